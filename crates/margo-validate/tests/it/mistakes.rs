//! What people get wrong, and whether they are told so that they can put it right.

use margo_validate::{Checker, Diagnostic, Edit, Report, Source};

use crate::layout::told;

const DESCRIPTION: &str = "\
apiVersion: v1
id: pump-monitor
metadata:
  name: Pump monitor
  description: Warns before a bearing fails.
  version: 1.0.0
  catalog:
    organization:
      - name: Ostwind
deploymentProfiles:
  - type: helm
    id: cluster
    components:
      - name: collector
        properties:
          repository: oci://registry.example/collector
          revision: 1.0.9
          wait: true
parameters:
  interval:
    value: 60
    targets:
      - pointer: interval
        components: [collector]
configuration:
  sections:
    - name: General
      settings:
        - { parameter: interval, name: Interval, schema: seconds }
  schema:
    - { name: seconds, dataType: integer, minValue: 30 }
";

const DEVICE: &str = r#"{
  "properties": {
    "id": "plc-7",
    "vendor": "Ostwind",
    "modelNumber": "OW-7000",
    "serialNumber": "7000-0815",
    "cpus": [{ "architecture": "arm64", "cores": 4 }],
    "memory": "8Gi",
    "storage": "64Gi",
    "peripherals": [],
    "interfaces": [{ "type": "ethernet" }],
    "otelCollector": true,
    "supportedRuntimes": ["oci"],
    "supportedDeploymentTypes": ["helm", "compose"]
  }
}
"#;

fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn check(text: &str) -> (Source, Report) {
    let name = if text.starts_with('{') { "a.json" } else { "a.yaml" };
    let source = Source::new(name, text.to_owned());
    let report = Checker::default().check(std::slice::from_ref(&source));
    (source, report)
}

/// A mistake, the one finding it makes, and what is underlined.
struct Mistake {
    from: &'static str,
    to: &'static str,
    rule: &'static str,
    place: &'static str,
    says: &'static str,
    helps: &'static str,
}

const fn mistake(
    from: &'static str,
    to: &'static str,
    rule: &'static str,
    place: &'static str,
    says: &'static str,
    helps: &'static str,
) -> Mistake {
    Mistake { from, to, rule, place, says, helps }
}

fn try_on(text: &str, mistakes: &[Mistake]) {
    assert!(check(text).1.is_clean());
    for Mistake { from, to, rule, place, says, helps } in mistakes {
        let (source, report) = check(&changed(text, from, to));
        let [found] = report.diagnostics() else { panic!("{to:?}\n{}", told(&report)) };
        let help = found.help.as_deref().unwrap_or_default();
        let span = found.primary.span.clone().unwrap_or_default();
        assert_eq!((found.rule.name, &source.text()[span]), (*rule, *place), "{to:?}: {}", found.message);
        assert!(found.message.contains(says), "{to:?}: {}", found.message);
        assert!(help.contains(helps), "{to:?}: {help}");
    }
}

const SYNTAX: &str = "unreadable-text";

#[test]
fn slips_of_yaml_are_told_as_what_they_are() {
    try_on(
        DESCRIPTION,
        &[
            mistake(
                "  version:",
                "    version:",
                SYNTAX,
                "version: 1.0.0",
                "indented further",
                "indent it like",
            ),
            mistake(
                "        properties:",
                "      properties:",
                SYNTAX,
                "properties:",
                "no item",
                "begin it with `- `",
            ),
            mistake(
                "  - type: helm",
                "  -type: helm",
                SYNTAX,
                "-",
                "a blank is missing",
                "write `- type: helm`",
            ),
            mistake("type: helm", "type:helm", SYNTAX, ":", "a blank is missing", "write `type: helm`"),
            mistake("    id: cluster", "\tid: cluster", "tab-indentation", "\t", "a tab", "blanks"),
            mistake("name: Pump", "name: \"Pump", SYNTAX, "\"", "never closed", "same mark"),
            mistake(
                "Warns before",
                "Warns: before",
                SYNTAX,
                ":",
                "second `: `",
                "`description: \"Warns: before a bearing fails.\"`",
            ),
            mistake("name: Pump", "name: @pump", SYNTAX, "@", "`@`", "quotes: `\"@pump monitor\"`"),
            mistake("type: helm", "type:\u{a0}helm", SYNTAX, "\u{a0}", "U+00A0", "ordinary blank"),
            mistake("oci://registry.example/", "\"C:\\charts\"#", SYNTAX, "\"", "escape", "single quotes"),
            mistake(
                "  version: 1.0.0",
                "<<<<<<< HEAD\n  version: 1.0.0\n=======\n",
                SYNTAX,
                "<<<<<<< HEAD",
                "Git",
                "`>>>>>>>`",
            ),
            mistake(
                "id: pump-monitor",
                "id: {{ .Values.id }}",
                SYNTAX,
                "{{ .Values.id }}",
                "template",
                "`helm template`",
            ),
            mistake("[collector]", "[collector", SYNTAX, "[", "is not closed", "close it with `]`"),
            mistake("[collector]", "*none", SYNTAX, "*", "no anchor is named `none`", "`&none`"),
        ],
    );
}

#[test]
fn slips_of_json_are_told_as_what_they_are() {
    try_on(
        DEVICE,
        &[
            mistake("\"plc-7\",", "\"plc-7\"", SYNTAX, "\"", "a `,` is missing", "write `,`"),
            mistake("\"compose\"]", "\"compose\"],", SYNTAX, ",", "nothing follows", "remove it"),
            mistake("\"8Gi\",", "\"8Gi\", // RAM", SYNTAX, "/", "no comments", "YAML"),
            mistake("\"memory\"", "'memory'", SYNTAX, "'", "single quotes", "write `\"`"),
            mistake("\"memory\"", "memory", SYNTAX, "memory", "no quotes", "write `\"memory\"`"),
            mistake("\n  }\n}\n", "", SYNTAX, "]", "not closed", "close every `{`"),
        ],
    );
}

#[test]
fn a_field_or_a_word_that_is_not_right_has_the_right_one_beside_it() {
    try_on(
        DESCRIPTION,
        &[
            mistake(
                "deploymentProfiles",
                "deploymentProfile",
                "unknown-field",
                "deploymentProfile",
                "not a field",
                "`deploymentProfiles`?",
            ),
            mistake(
                "revision:",
                "revison:",
                "unknown-field",
                "revison",
                "not a field",
                "did you mean `revision`?",
            ),
            mistake(
                "deploymentProfiles",
                "deployment_profiles",
                "unknown-field",
                "deployment_profiles",
                "not a field",
                "`deploymentProfiles`?",
            ),
            mistake(
                "      - name: collector",
                "        name: collector",
                "wrong-type",
                "components",
                "must be a list",
                "`- ` before `name`",
            ),
            mistake("wait: true", "wait: yes", "wrong-type", "yes", "`true` or `false`", "write `true`"),
            mistake(
                "oci://registry.example/collector",
                "C:\\charts",
                "malformed-repository",
                "C:\\charts",
                "not a repository",
                "`oci://",
            ),
            mistake(
                "id: pump-monitor",
                "id: Pump_Monitor",
                "malformed-application-id",
                "Pump_Monitor",
                "not an application id",
                "`pump-monitor`",
            ),
            mistake(
                "    targets:\n      - pointer: interval\n        components: [collector]",
                "    targets:",
                "wrong-type",
                "targets",
                "is nothing",
                "`targets: [{",
            ),
            mistake(
                "components: [collector]",
                "components: collector",
                "wrong-type",
                "collector",
                "must be a list",
                "`components: [collector]`",
            ),
            mistake(
                "\nparameters:",
                "\nparameters: {}\nparameters:",
                "duplicate-key",
                "parameters",
                "twice",
                "keep one",
            ),
        ],
    );
}

/// What another revision has is said to be of that revision (X-D-20).
#[test]
fn fields_and_words_of_other_revisions_are_known() {
    let description = changed(DESCRIPTION, "\nid: pump-monitor\n", "\n");
    let description = changed(&description, "name: Pump monitor", "id: pump-monitor\n  name: Pump monitor");
    let description = changed(&description, "    id: cluster", "    id: cluster\n    deviceConstraints: {}");
    let (_, report) = check(&description);
    let [found] = report.diagnostics() else { panic!("{}", told(&report)) };
    assert_eq!(
        (found.rule.name, found.message.as_str()),
        ("missing-field", "`id` is missing in the document")
    );
    assert!(found.help.as_ref().unwrap().contains("not as `metadata.id`"), "{:?}", found.help);
    assert_eq!(found.related.len(), 1);

    try_on(
        DESCRIPTION,
        &[mistake(
            "type: helm",
            "type: docker-compose",
            "unknown-value",
            "docker-compose",
            "in pre-draft, and not in 1.0.0-rc.3",
            "did you mean `compose`?",
        )],
    );
    let roles = "\"roles\": [\"Standalone Device\"], \"vendor\"";
    try_on(
        DEVICE,
        &[mistake(
            "\"vendor\"",
            roles,
            "deprecated-field",
            "\"roles\"",
            "in 1.0.0-rc.2, 1.0.0-rc.1 and pre-draft",
            "`--revision 1.0.0-rc.2`",
        )],
    );
}

/// R-D-032: at the root of a description too, which is open to fields that nobody knows yet.
#[test]
fn extensions_at_the_root_are_called_and_made_like_extensions() {
    let end = "minValue: 30 }\n";
    let with = |line: &str| format!("{end}{line}\n").leak() as &'static str;
    let rule = "malformed-extension-name";
    try_on(
        DESCRIPTION,
        &[
            mistake(end, with("x-ostwind: {}"), rule, "x-ostwind", "not a name", "`x-ostwind-extensions`"),
            mistake(
                end,
                with("x-Ostwind-extensions: {}"),
                rule,
                "x-Ostwind-extensions",
                "not a name",
                "`x-ostwind-",
            ),
            mistake(
                end,
                with("x-7-extensions: {}"),
                rule,
                "x-7-extensions",
                "not a name",
                "beginning with a letter",
            ),
            mistake(
                end,
                with("x-ostwind-extensions: 7"),
                "wrong-type",
                "7",
                "a mapping",
                "`x-ostwind-extensions: {",
            ),
        ],
    );
    for fine in ["x-ostwind-extensions: { shelf: 7 }", "someday: 1"] {
        assert!(check(&changed(DESCRIPTION, end, with(fine))).1.is_clean(), "{fine}");
    }
}

#[test]
fn two_documents_that_ran_into_one_another_are_told_apart() {
    let (_, report) = check(&[DESCRIPTION, DESCRIPTION].concat());
    assert!(report.diagnostics().iter().all(|found| found.rule.name == "duplicate-key"), "{}", told(&report));
    let help = |found: &Diagnostic| found.help.clone().unwrap_or_default();
    assert!(help(&report.diagnostics()[0]).contains("`---`"));
}

#[test]
fn what_only_looks_strange_is_no_mistake() {
    let emoji = changed(DESCRIPTION, "Pump monitor", "\"💡 Pump\" # 💡");
    let anchors = changed(DESCRIPTION, "    targets:\n", "    targets: &all\n");
    let anchors = changed(&anchors, "configuration:", "  other: { value: 1, targets: *all }\nconfiguration:");
    for text in [
        DESCRIPTION.replace('\n', "\r\n"),
        format!("\u{feff}{DESCRIPTION}"),
        DESCRIPTION.replace('\n', "   \n"),
        format!("# the pump\n\n---\n{DESCRIPTION}...\n"),
        emoji,
        anchors,
    ] {
        assert!(check(&text).1.is_clean(), "{text}\n{}", told(&check(&text).1));
    }
}

/// A word of older YAML is mended to what it meant.
#[test]
fn yes_is_mended_to_true() {
    let (source, report) = check(&changed(DESCRIPTION, "wait: true", "wait: Yes # it must"));
    let fix = report.diagnostics()[0].fix.as_ref().unwrap();
    assert!(Edit::apply(source.text(), 0, &fix.edits).contains("wait: true # it must\n"));
}
