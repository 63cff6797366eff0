use std::fmt::Write as _;

use super::{Outcome, Place};
use crate::Severity;

/// Workflow commands for GitHub Actions: each finding becomes an annotation at its line.
#[must_use]
pub fn github(outcome: &Outcome) -> String {
    let mut text = String::new();
    for finding in &outcome.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let properties = format!("{},title={}", place(&finding.place), property(&finding.rule));
        let _ = writeln!(text, "::{command} {properties}::{}", data(&finding.lines().join("\n")));
    }
    for problem in &outcome.problems {
        let _ = writeln!(
            text,
            "::error file={},title=not checked::{}",
            property(&problem.file),
            data(&problem.message)
        );
    }
    text
}

/// GitHub takes columns only of a place on one line.
fn place(place: &Place) -> String {
    let mut text = format!("file={}", property(&place.file));
    if let (Some(line), Some(column)) = (place.line, place.column) {
        let _ = write!(text, ",line={line}");
        match (place.end_line, place.end_column) {
            (Some(end_line), Some(end)) if end_line == line => {
                // GitHub's end is the last column, not the one behind it.
                let _ = write!(text, ",endLine={line},col={column},endColumn={}", end.max(column + 1) - 1);
            }
            (Some(end_line), _) => {
                let _ = write!(text, ",endLine={end_line}");
            }
            _ => {}
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
