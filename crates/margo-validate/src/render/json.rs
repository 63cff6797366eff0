use serde::Serialize;
use serde_json::json;

use super::{Outcome, Problem, Record, Summary};

/// The version of the shape that [`json()`] and [`json_lines()`] write. Members are added without changing it.
const VERSION: u32 = 1;

/// One JSON object: `version`, `files`, `findings`, `problems`, `summary`.
#[must_use]
pub fn json(outcome: &Outcome) -> String {
    let object = json!({
        "version": VERSION,
        "files": outcome.files,
        "findings": outcome.findings,
        "problems": outcome.problems,
        "summary": outcome.summary(),
    });
    format!("{object:#}\n")
}

/// A JSON object on each line, told apart by `type`: `finding`, `problem`, and one `summary` at the end.
#[must_use]
pub fn json_lines(outcome: &Outcome) -> String {
    let findings: String = outcome.findings.iter().map(json_line).collect();
    findings + &json_end(&outcome.problems, &outcome.summary())
}

/// The line of one finding, for those who write as they find.
#[must_use]
pub fn json_line(finding: &Record) -> String {
    line("finding", finding)
}

/// The lines behind those of the findings.
#[must_use]
pub fn json_end(problems: &[Problem], summary: &Summary) -> String {
    let problems: String = problems.iter().map(|problem| line("problem", problem)).collect();
    problems + &line("summary", summary)
}

fn line(kind: &'static str, value: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        value: &'a T,
    }
    // Nothing in these types can fail to be written.
    serde_json::to_string(&Line { kind, value }).map(|line| line + "\n").unwrap_or_default()
}
