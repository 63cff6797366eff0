use std::fmt::Write as _;

use super::{Outcome, plain};

/// One line for each finding: `deployment.yaml:41:19: error[unknown-target-component]: no component is named …`.
///
/// Problems come last, as `file: error: …`.
#[must_use]
pub fn concise(outcome: &Outcome) -> String {
    let mut text = String::new();
    for finding in &outcome.findings {
        let message = plain(&finding.message);
        let _ = writeln!(text, "{}: {}[{}]: {message}", finding.place, finding.severity, finding.rule);
    }
    for problem in &outcome.problems {
        let _ = writeln!(text, "{}: error: {}", plain(&problem.file), plain(&problem.message));
    }
    text
}
