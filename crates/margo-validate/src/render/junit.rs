use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Outcome, Record};
use crate::Severity;

/// A `JUnit` report: a suite for each file, in it a failed test for each error, or one that passed.
///
/// Warnings are written to the output of the suite, since `JUnit` knows none.
#[must_use]
pub fn junit(outcome: &Outcome) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    let mut by_file: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for finding in &outcome.findings {
        by_file.entry(&finding.place.file).or_default().push(finding);
    }
    // A finding may stand in a file that was only compared with.
    let looked: BTreeSet<&str> = outcome.files.iter().map(|file| file.file.as_str()).collect();
    let others: Vec<&str> = by_file.keys().copied().filter(|file| !looked.contains(file)).collect();
    for file in outcome.files.iter().map(|file| file.file.as_str()).chain(others) {
        let name = escape(file);
        let findings = by_file.remove(file).unwrap_or_default();
        let mut cases: BTreeMap<String, usize> = BTreeMap::new();
        let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error);
        let failed = errors().count();
        let count = failed.max(1);
        tests += count;
        failures += failed;
        let _ =
            writeln!(suites, r#"  <testsuite name="{name}" tests="{count}" failures="{failed}" errors="0">"#);
        if failed == 0 {
            let _ = writeln!(suites, r#"    <testcase name="valid" classname="{name}"/>"#);
        }
        for finding in errors() {
            let mut case = escape(&finding.rule);
            if let Some(line) = finding.place.line {
                let _ = write!(case, " on line {line}");
            }
            let number = cases.entry(case.clone()).or_default();
            *number += 1;
            if *number > 1 {
                let _ = write!(case, " ({number})");
            }
            let _ = writeln!(
                suites,
                r#"    <testcase name="{case}" classname="{name}"{}>"#,
                finding
                    .place
                    .line
                    .map_or_else(String::new, |line| format!(r#" file="{name}" line="{line}""#)),
            );
            let lines = format!("{}\n{}", finding.place, finding.lines().join("\n"));
            let _ = writeln!(
                suites,
                r#"      <failure type="{}" message="{}">{}</failure>"#,
                escape(&finding.rule),
                escape(&finding.message),
                escape(&lines),
            );
            suites.push_str("    </testcase>\n");
        }
        let mut warnings = String::new();
        for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
            let (place, rule) = (escape(&finding.place.to_string()), escape(&finding.rule));
            let _ = writeln!(warnings, "{place}: warning[{rule}]: {}", escape(&finding.message));
        }
        if !warnings.is_empty() {
            let _ = writeln!(suites, "    <system-out>{warnings}</system-out>");
        }
        suites.push_str("  </testsuite>\n");
    }
    for problem in &outcome.problems {
        tests += 1;
        let (name, message) = (escape(&problem.file), escape(&problem.message));
        let _ = writeln!(
            suites,
            r#"  <testsuite name="{name}" tests="1" failures="0" errors="1">
    <testcase name="checked" classname="{name}">
      <error type="not-checked" message="{message}"/>
    </testcase>
  </testsuite>"#
        );
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="margo check" tests="{tests}" failures="{failures}" errors="{}">
{suites}</testsuites>
"#,
        outcome.problems.len()
    )
}

/// Text for an element or an attribute, where a line end reads as a blank: markup is escaped, and what XML 1.0 has no place for is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
