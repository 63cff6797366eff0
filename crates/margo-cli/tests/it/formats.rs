//! What programs read: every format, over every document of ours that breaks a rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Our broken documents, in a folder that expects nothing of them.
fn broken() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/invalid"));
    copy(fixtures, folder.path());
    // A name that means something in every format.
    let strange = folder.path().join("100%, a:b <c>&'d'");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("é\u{1f4a1}.yaml"), "properties: { id: 'a\"b<c>%0A::error::,d' }\n").unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else if from.extension().is_none_or(|extension| extension != "txt") {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn written(folder: &TempDir, format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_margo"));
    let output = command
        .args(["check", ".", "--unrecognized", "error", "--format", format])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The members an object of SARIF may have, and those it must; `*` stands for itself.
const SARIF: &[(&str, &[&str], &[&str])] = &[
    ("", &["$schema", "version", "runs"], &["version", "runs"]),
    ("runs", &["tool", "columnKind", "invocations", "results"], &["tool"]),
    ("tool", &["driver"], &["driver"]),
    ("driver", &["name", "semanticVersion", "informationUri", "rules"], &["name"]),
    ("rules", &["id", "shortDescription", "help", "helpUri", "defaultConfiguration"], &["id"]),
    ("shortDescription", &["text"], &["text"]),
    ("help", &["text", "markdown"], &["text"]),
    ("defaultConfiguration", &["level"], &[]),
    ("invocations", &["executionSuccessful", "toolExecutionNotifications"], &["executionSuccessful"]),
    (
        "results",
        &["ruleId", "ruleIndex", "level", "message", "locations", "relatedLocations", "fixes", "properties"],
        &["message"],
    ),
    ("message", &["text"], &["text"]),
    ("locations", &["physicalLocation", "logicalLocations", "message"], &[]),
    ("relatedLocations", &["id", "physicalLocation", "logicalLocations", "message"], &[]),
    ("physicalLocation", &["artifactLocation", "region"], &["artifactLocation"]),
    ("artifactLocation", &["uri"], &[]),
    ("region", &["startLine", "startColumn", "endLine", "endColumn"], &["startLine"]),
    ("logicalLocations", &["fullyQualifiedName"], &[]),
    ("fixes", &["description", "artifactChanges"], &["artifactChanges"]),
    ("description", &["text"], &["text"]),
    ("artifactChanges", &["artifactLocation", "replacements"], &["artifactLocation", "replacements"]),
    ("replacements", &["deletedRegion", "insertedContent"], &["deletedRegion"]),
    ("deletedRegion", &["startLine", "startColumn", "endLine", "endColumn"], &["startLine"]),
    ("insertedContent", &["text"], &[]),
    ("properties", &["interpretation"], &[]),
];

/// What the schema of SARIF says of the objects that are written here.
fn is_sarif(name: &str, value: &Value) {
    match value {
        Value::Array(items) => {
            let unique: BTreeSet<_> = items.iter().map(Value::to_string).collect();
            let must_differ = ["rules", "logicalLocations", "relatedLocations", "fixes"].contains(&name);
            assert!(!must_differ || unique.len() == items.len(), "{name}: {value}");
            for item in items {
                is_sarif(name, item);
            }
        }
        Value::Object(members) => {
            let (_, known, required) = SARIF.iter().find(|(known, ..)| *known == name).unwrap();
            for (member, value) in members {
                assert!(known.contains(&member.as_str()), "`{member}` is not a member of `{name}`");
                is_sarif(member, value);
            }
            let missing: Vec<_> = required.iter().filter(|member| !members.contains_key(**member)).collect();
            assert!(missing.is_empty(), "{missing:?} in {name}: {value}");
        }
        Value::Number(number) => {
            let least = u64::from(name.starts_with("start") || name.starts_with("end"));
            assert!(number.as_u64().is_some_and(|number| number >= least), "{name}: {number}");
        }
        Value::String(text) => match name {
            "level" => assert!(["none", "note", "warning", "error"].contains(&text.as_str()), "{text}"),
            "columnKind" => assert_eq!(text, "unicodeCodePoints"),
            "version" => assert_eq!(text, "2.1.0"),
            "uri" | "helpUri" | "informationUri" | "$schema" => {
                let is_uri = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte);
                assert!(text.bytes().all(is_uri), "{text}");
            }
            _ => {}
        },
        _ => {}
    }
}

#[test]
fn sarif_of_every_rule_is_what_its_schema_says() {
    let folder = broken();
    let log: Value = serde_json::from_str(&written(&folder, "sarif")).unwrap();
    is_sarif("", &log);
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let names: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let all: BTreeSet<_> = margo_validate::docs::rules().iter().map(|rule| rule.name).collect();
    assert_eq!(names, all, "a rule without a finding, or a finding without a rule");
    let results = run["results"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
    }
    assert!(results.len() > 400, "{}", results.len());
}

#[test]
fn gitlab_has_what_it_requires_and_no_fingerprint_twice() {
    let folder = broken();
    let issues: Vec<Value> = serde_json::from_str(&written(&folder, "gitlab")).unwrap();
    let mut prints = BTreeSet::new();
    for issue in &issues {
        for member in ["description", "check_name", "fingerprint"] {
            assert!(issue[member].as_str().is_some_and(|text| !text.is_empty()), "{issue}");
        }
        let severities = ["info", "minor", "major", "critical", "blocker"];
        assert!(severities.contains(&issue["severity"].as_str().unwrap()), "{issue}");
        assert!(issue["location"]["lines"]["begin"].as_u64().unwrap() >= 1, "{issue}");
        // A path as in the repository, or the merge request does not show it.
        let path = issue["location"]["path"].as_str().unwrap();
        assert!(folder.path().join(path).exists() && !path.starts_with("./"), "{path}");
        assert!(prints.insert(issue["fingerprint"].to_string()), "{issue}");
    }
    assert!(issues.len() > 400, "{}", issues.len());
}

/// As GitHub's runner reads a command: properties end at `,` and at `::`, and only these escapes are undone.
#[test]
fn github_reads_back_what_was_meant() {
    let folder = broken();
    let text = written(&folder, "github");
    let decode = |text: &str, of_property: bool| {
        let text = text.replace("%0D", "\r").replace("%0A", "\n");
        let text = if of_property { text.replace("%3A", ":").replace("%2C", ",") } else { text };
        text.replace("%25", "%")
    };
    for line in text.lines() {
        let (command, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        let (name, properties) = command.split_once(' ').unwrap();
        assert!(["error", "warning"].contains(&name), "{line}");
        for property in properties.split(',') {
            let (key, value) = property.split_once('=').unwrap();
            assert!(["file", "line", "endLine", "col", "endColumn", "title"].contains(&key), "{line}");
            let value = decode(value, true);
            match key {
                "file" => assert!(folder.path().join(&value).exists(), "{value}"),
                "title" => assert!(margo_validate::docs::rule(&value).is_some(), "{value}"),
                _ => assert!(value.parse::<u32>().is_ok_and(|number| number >= 1), "{line}"),
            }
        }
        assert!(!decode(message, false).is_empty());
    }
    let strange =
        text.lines().find(|line| line.contains("malformed-device-id") && line.contains("100%25")).unwrap();
    let (_, message) = strange[2..].split_once("::").unwrap();
    assert!(decode(message, false).starts_with("`a\"b<c>%0A::error::,d`"), "{strange}");
}

/// An element of XML: its name, its attributes, and what is in it.
struct Element<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
    children: Vec<Element<'a>>,
}

impl<'a> Element<'a> {
    /// Reads an element, as far as a report has use for XML; panics where it is not well formed.
    fn read(text: &mut &'a str) -> Self {
        let rest = text.trim_start().strip_prefix('<').unwrap();
        let end = rest.find('>').unwrap();
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        *text = after;
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, mut left) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element = Self { name, attributes: Vec::new(), children: Vec::new() };
        while !left.trim().is_empty() {
            let (key, rest) = left.trim_start().split_once("=\"").unwrap();
            let (value, rest) = rest.split_once('"').unwrap();
            assert!(element.attributes.iter().all(|(known, _)| *known != key), "{key} twice");
            element.attributes.push((key, plain(value)));
            left = rest;
        }
        if is_empty {
            return element;
        }
        loop {
            let (inner, _) = text.split_once('<').unwrap();
            plain(inner);
            *text = &text[inner.len()..];
            if let Some(rest) = text.strip_prefix("</") {
                *text = rest.strip_prefix(name).unwrap().strip_prefix('>').unwrap();
                break;
            }
            element.children.push(Element::read(text));
        }
        element
    }

    fn count(&self, name: &str) -> usize {
        let own = self.children.iter().map(|child| child.count(name)).sum::<usize>();
        own + usize::from(self.name == name)
    }

    fn number(&self, name: &str) -> usize {
        self.attributes.iter().find(|(key, _)| *key == name).unwrap().1.parse().unwrap()
    }
}

/// What text stands for; every `&` begins one of the five entities, and nothing is there that XML has no place for.
fn plain(text: &str) -> String {
    assert!(
        text.chars().all(|it| !it.is_control() || matches!(it, '\n' | '\t')) && !text.contains('<'),
        "{text:?}"
    );
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'")];
    let plain = known.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    assert_eq!(plain.matches('&').count(), plain.matches("&amp;").count(), "{text}");
    plain.replace("&amp;", "&")
}

#[test]
fn junit_is_well_formed_and_its_counts_add_up() {
    let folder = broken();
    let text = written(&folder, "junit");
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    let suites = Element::read(&mut rest);
    assert_eq!((suites.name, rest), ("testsuites", "\n"));
    for element in suites.children.iter().chain([&suites]) {
        for (attribute, name) in [("tests", "testcase"), ("failures", "failure"), ("errors", "error")] {
            assert_eq!(element.number(attribute), element.count(name), "{:?}", element.attributes);
        }
    }
    let mut names = BTreeSet::new();
    for suite in &suites.children {
        for case in suite.children.iter().filter(|child| child.name == "testcase") {
            assert!(names.insert(format!("{:?}", case.attributes)), "{:?} twice", case.attributes);
        }
    }
    assert!(suites.number("failures") > 400);
    let strange = suites.children.iter().find(|suite| suite.attributes[0].1.contains("100%")).unwrap();
    assert_eq!(strange.attributes[0].1, "100%, a:b <c>&'d'/é\u{1f4a1}.yaml");
}
