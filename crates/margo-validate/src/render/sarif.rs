use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Outcome, Place, Record, uri};
use crate::{RuleInfo, Severity, docs};

/// A SARIF 2.1.0 log of one run: what GitHub code scanning and most editors take.
#[must_use]
pub fn sarif(outcome: &Outcome) -> String {
    let mut indices = BTreeMap::new();
    for finding in &outcome.findings {
        indices.entry(finding.rule.as_str()).or_insert(0);
    }
    for (index, place) in indices.values_mut().enumerate() {
        *place = index;
    }
    let rules = indices.keys().map(|name| Rule::of(name)).collect();
    let results = outcome.findings.iter().map(|finding| Found::of(finding, indices[finding.rule.as_str()]));
    let notifications = outcome.problems.iter().map(|problem| Notification {
        level: "error",
        message: Message::of(&problem.message),
        locations: vec![Location {
            id: None,
            physical_location: Physical::file(&problem.file),
            logical_locations: Vec::new(),
            message: None,
        }],
    });
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "margo",
                    semantic_version: env!("CARGO_PKG_VERSION"),
                    information_uri: "https://specification.margo.org",
                    rules,
                },
            },
            column_kind: "unicodeCodePoints",
            invocations: [Invocation {
                execution_successful: outcome.problems.is_empty(),
                tool_execution_notifications: notifications.collect(),
            }],
            results: results.collect(),
        }],
    };
    // Nothing in these types can fail to be written.
    serde_json::to_string_pretty(&log).map(|text| text + "\n").unwrap_or_default()
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    column_kind: &'static str,
    invocations: [Invocation<'a>; 1],
    results: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver<'a> {
    name: &'static str,
    semantic_version: &'static str,
    information_uri: &'static str,
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_description: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_configuration: Option<Value>,
}

impl<'a> Rule<'a> {
    fn of(id: &'a str) -> Self {
        let info = docs::rules().iter().copied().find(|rule| rule.name == id);
        Self {
            id,
            short_description: info.map(|rule| Message::of(rule.summary)),
            help: info.map(|rule| json!({ "text": rule.page, "markdown": rule.page })),
            help_uri: info.map(|rule| rule.clause.url()),
            default_configuration: info.map(|rule| json!({ "level": level(RuleInfo::severity(rule)) })),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification<'a>>,
}

#[derive(Serialize)]
struct Notification<'a> {
    level: &'static str,
    message: Message<'a>,
    locations: Vec<Location<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    rule_id: &'a str,
    rule_index: usize,
    level: &'static str,
    message: Message<'a>,
    locations: [Location<'a>; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Value>,
}

impl<'a> Found<'a> {
    fn of(finding: &'a Record, rule_index: usize) -> Self {
        let message = match &finding.help {
            Some(help) => Message { text: format!("{}\n{help}", finding.message).into() },
            None => Message::of(&finding.message),
        };
        let related = finding.related.iter().enumerate().map(|(index, related)| Location {
            id: Some(index),
            physical_location: Physical::of(&related.place),
            logical_locations: Vec::new(),
            message: Some(Message::of(&related.message)),
        });
        let place = &finding.place;
        let logical = (!place.pointer.is_empty()).then(|| Logical { fully_qualified_name: &place.pointer });
        Self {
            rule_id: &finding.rule,
            rule_index,
            level: level(finding.severity),
            message,
            locations: [Location {
                id: None,
                physical_location: Physical::of(place),
                logical_locations: logical.into_iter().collect(),
                message: None,
            }],
            related_locations: related.collect(),
            fixes: fixes(finding),
            properties: finding.interpretation.as_ref().map(|id| json!({ "interpretation": id })),
        }
    }
}

/// A fix groups its edits by file.
fn fixes(finding: &Record) -> Vec<Value> {
    let Some(fix) = finding.fix.as_ref().filter(|fix| !fix.edits.is_empty()) else { return Vec::new() };
    let mut changes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        changes.entry(&edit.file).or_default().push(json!({
            "deletedRegion": {
                "startLine": edit.line, "startColumn": edit.column,
                "endLine": edit.end_line, "endColumn": edit.end_column,
            },
            "insertedContent": { "text": edit.replacement },
        }));
    }
    let changes: Vec<Value> = changes
        .into_iter()
        .map(|(file, replacements)| json!({ "artifactLocation": { "uri": uri(file) }, "replacements": replacements }))
        .collect();
    vec![json!({ "description": { "text": fix.title }, "artifactChanges": changes })]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are SARIF's")]
struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    physical_location: Physical,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<Logical<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

impl Physical {
    fn file(file: &str) -> Self {
        Self { artifact_location: Artifact { uri: uri(file) }, region: None }
    }

    fn of(place: &Place) -> Self {
        let region = || {
            Some(Region {
                start_line: place.line?,
                start_column: place.column?,
                end_line: place.end_line?,
                end_column: place.end_column?,
            })
        };
        Self { region: region(), ..Self::file(&place.file) }
    }
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical<'a> {
    fully_qualified_name: &'a str,
}

#[derive(Serialize)]
struct Message<'a> {
    text: std::borrow::Cow<'a, str>,
}

impl<'a> Message<'a> {
    fn of(text: &'a str) -> Self {
        Self { text: text.into() }
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
