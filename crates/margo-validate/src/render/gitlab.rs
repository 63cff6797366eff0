use std::collections::BTreeMap;

use margo_core::Digest;
use serde_json::{Value, json};

use super::Outcome;
use crate::Severity;

/// A GitLab Code Quality report: JSON, one issue for each finding.
///
/// The fingerprint of an issue does not depend on its line, so that it stays the same issue when lines above it change.
#[must_use]
pub fn gitlab(outcome: &Outcome) -> String {
    let mut seen = BTreeMap::new();
    let mut fingerprint = |parts: [&str; 4]| {
        let identity = parts.join("\n");
        let nth = seen.entry(identity.clone()).and_modify(|nth| *nth += 1).or_insert(0_usize);
        let digest = Digest::of(format!("{identity}\n{nth}").as_bytes()).to_string();
        digest.trim_start_matches("sha256:").to_owned()
    };
    let mut issues = Vec::new();
    for finding in &outcome.findings {
        let place = &finding.place;
        issues.push(json!({
            "description": finding.message,
            "content": { "body": finding.lines().join("\n\n") },
            "check_name": finding.rule,
            "fingerprint": fingerprint([&finding.rule, &place.file, &place.pointer, &finding.message]),
            "severity": match finding.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
            },
            "location": { "path": place.file, "lines": { "begin": place.line.unwrap_or(1) } },
        }));
    }
    for problem in &outcome.problems {
        issues.push(json!({
            "description": problem.message,
            "check_name": "not-checked",
            "fingerprint": fingerprint(["not-checked", &problem.file, "", &problem.message]),
            "severity": "blocker",
            "location": { "path": problem.file, "lines": { "begin": 1 } },
        }));
    }
    format!("{:#}\n", Value::Array(issues))
}
