//! One report, in every format.

use super::*;
use crate::{Checker, Severity, Source};

/// A misspelt component with its declaration far above, a word in the wrong case, and a blank in an amount.
const DEPLOYMENT: &str = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump-monitor
  deploymentProfile:
    type: Helm # a chart
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
";

const TARGETS: &str = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump-monitor
  deploymentProfile:
    type: helm
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
  parameters:
    größe:
      value: 60
      targets: [{ pointer: größe.wert, components: [colector] }]
";

fn sources() -> Vec<Source> {
    vec![
        Source::new("plant, north/100%:<a>.yaml", DEPLOYMENT).with_group("1"),
        Source::new("deployments/targets.yaml", TARGETS).with_group("2"),
        Source::new("broken.json", "{ \"a\": 1,\n  \"a\": 2 }\n").with_group("3"),
        Source::new("valid.yaml", TARGETS.replace("[colector]", "[collector]")).with_group("4"),
    ]
}

fn outcome() -> Outcome {
    let sources = sources();
    let mut outcome = Outcome::of(&Checker::default().check(&sources), &sources);
    outcome.problems.push(Problem::new("pipe.yaml", "`pipe.yaml` is a FIFO, not a file"));
    let unexpected =
        Record::about("valid.yaml", "not-as-expected", Severity::Error, "nothing is wrong with <this>");
    outcome.findings.push(unexpected.with_help("put it elsewhere"));
    outcome
}

#[test]
fn full_shows_the_text() {
    let sources = sources();
    let report = Checker::default().check(&sources);
    insta::assert_snapshot!(full(&report, &sources, false));
    let colored = full(&report, &sources, true);
    assert!(colored.contains("\u{1b}["));
    // Colors add nothing but colors.
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, full(&report, &sources, false));
}

#[test]
fn a_file_as_a_whole_has_no_text_to_show() {
    let record =
        Record::about("a.yaml", "not-as-expected", Severity::Error, "nothing is wrong").with_help("move it");
    assert_eq!(
        headline(&record, false),
        "error[not-as-expected]: nothing is wrong\n--> a.yaml:1\n = help: move it\n\n"
    );
}

#[test]
fn concise_is_a_line_each() {
    insta::assert_snapshot!(concise(&outcome()));
}

#[test]
fn github_escapes_what_its_commands_mean() {
    let text = github(&outcome());
    assert!(
        text.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")),
        "{text}"
    );
    insta::assert_snapshot!(text);
}

#[test]
fn gitlab_names_each_issue_for_good() {
    let text = gitlab(&outcome());
    let issues: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let prints: std::collections::BTreeSet<_> =
        issues.iter().map(|issue| issue["fingerprint"].to_string()).collect();
    assert_eq!(prints.len(), issues.len());
    // Lines above a finding do not make it another.
    let moved = [Source::new("a.yaml", format!("# more\n\n{DEPLOYMENT}"))];
    let stays = [Source::new("a.yaml", DEPLOYMENT)];
    let print = |sources: &[Source]| {
        let text = gitlab(&Outcome::of(&Checker::default().check(sources), sources));
        let issues: serde_json::Value = serde_json::from_str(&text).unwrap();
        issues[0]["fingerprint"].as_str().unwrap().to_owned()
    };
    assert_eq!(print(&moved), print(&stays));
    insta::assert_snapshot!(text);
}

#[test]
fn json_is_one_object() {
    let text = json(&outcome());
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["version"], 1);
    insta::assert_snapshot!(text);
}

#[test]
fn json_lines_are_an_object_each() {
    let text = json_lines(&outcome());
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["type"].is_string(), "{line}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn junit_is_well_formed() {
    let text = junit(&outcome());
    // Every element that begins, ends.
    let begun = text.matches("<testsuite ").count();
    assert_eq!(begun, text.matches("</testsuite>").count());
    insta::assert_snapshot!(text);
}

#[test]
fn sarif_is_a_log() {
    let text = sarif(&outcome());
    let log: serde_json::Value = serde_json::from_str(&text).unwrap();
    let run = &log["runs"][0];
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    // What the schema of SARIF says of what is written here: every region is counted from 1, no URI holds a blank, and
    // the members are those it knows.
    for place in all(&log, "physicalLocation") {
        assert!(
            !place["artifactLocation"]["uri"].as_str().unwrap().contains([' ', '<', ':', ',']),
            "{place}"
        );
        if let Some(region) = place["region"].as_object() {
            assert!(
                region.len() == 4 && region.values().all(|number| number.as_u64().unwrap() >= 1),
                "{region:?}"
            );
        }
    }
    for message in all(&log, "message") {
        assert!(message["text"].is_string(), "{message}");
    }
    // The pages of rules are shown by `margo explain`.
    let mut short = log.clone();
    for rule in short["runs"][0]["tool"]["driver"]["rules"].as_array_mut().unwrap() {
        if let Some(help) = rule.get_mut("help") {
            *help = serde_json::json!("…");
        }
    }
    insta::assert_snapshot!(format!("{short:#}"));
}

/// Every value of members of this name.
fn all<'a>(value: &'a serde_json::Value, name: &str) -> Vec<&'a serde_json::Value> {
    let below: Vec<&serde_json::Value> = match value {
        serde_json::Value::Array(items) => items.iter().collect(),
        serde_json::Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    };
    value.get(name).into_iter().chain(below.into_iter().flat_map(|value| all(value, name))).collect()
}

/// A terminal, a workflow and an XML reader are not at the mercy of what a document says.
#[test]
fn strange_text_stays_text() {
    let text = "kind: \"\u{1b}[2J\u{202e}]]>&\"\nproperties: { id: \"a\\nb::error::c\" }\n";
    let sources = [Source::new("a\u{1b}[31m\n::error::.yaml", text)];
    let report = Checker::default().check(&sources);
    assert!(!report.is_clean());
    let outcome = Outcome::of(&report, &sources);
    for text in [concise(&outcome), full(&report, &sources, false)] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
    assert!(
        github(&outcome).lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning "))
    );
    assert!(!junit(&outcome).contains('\u{1b}'));
}

/// Long lines are shown around the place that is meant, under its true column.
#[test]
fn a_long_line_is_cut() {
    let text = format!("{{\"properties\": {{\"{}\": 1, \"id\": \"plc 7\"}}}}", "a".repeat(100_000));
    let sources = [Source::new("one-line.json", text)];
    let report = Checker::default().check(&sources);
    let shown = full(&report, &sources, false);
    assert!(shown.contains(" --> one-line.json:1:100030\n"), "{shown}");
    assert!(shown.contains("plc 7"), "{shown}");
    assert!(shown.len() < 10_000, "{}", shown.len());
}

#[test]
fn a_uri_holds_no_blank() {
    assert_eq!(uri("plant, north/100%/größe.yaml"), "plant%2C%20north/100%25/gr%C3%B6%C3%9Fe.yaml");
}
