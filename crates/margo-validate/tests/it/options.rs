//! Revision, kind, levels, comments that allow, groups.

use margo_capability::AnyDeviceCapabilities;
use margo_core::SpecVersion;
use margo_deployment::AnyApplicationDeployment;
use margo_validate::{
    Change, Checker, DocumentKind, Edit, Finding, Options, Reporter, Rule, RuleLevel, Severity, Source,
};

use crate::layout::told;

const DEVICE: &str =
    r#"{ "properties": { "id": "plc 7", "vendor": "a", "modelNumber": "b", "serialNumber": "c" } }"#;

#[test]
fn a_level_makes_a_finding_more_or_less_serious() {
    let check = |level| {
        Checker::new(Options::default().with_level("malformed-device-id", level))
            .check_bytes("a.json", DEVICE)
    };
    assert_eq!(check(RuleLevel::Error).diagnostics()[0].severity, Severity::Error);
    assert_eq!(check(RuleLevel::Warn).diagnostics()[0].severity, Severity::Warning);
    assert!(check(RuleLevel::Allow).is_clean());
}

#[test]
fn a_revision_and_a_kind_are_taken_at_their_word() {
    let options = Options::default().with_revision(SpecVersion::V1_0_0Rc1);
    let report = Checker::new(options).check_bytes("a.json", DEVICE);
    assert_eq!(report.documents()[0].revision, Some(SpecVersion::V1_0_0Rc1));
    assert!(report.rules().contains("missing-field"), "{}", told(&report));
    let options = Options::default().with_kind(DocumentKind::DeploymentStatus);
    let report = Checker::new(options).check_bytes("a.json", DEVICE);
    assert_eq!(report.documents()[0].kind, Some(DocumentKind::DeploymentStatus));
    let options = Options::default().with_kind(DocumentKind::DesiredStateManifest);
    let none = Checker::new(options.with_revision(SpecVersion::PreDraft)).check_bytes("a.json", "{}");
    assert_eq!(none.diagnostics()[0].message, "there is no `DesiredStateManifest` in pre-draft");
}

#[test]
fn a_comment_allows_what_it_gives_a_reason_for() {
    let check = |line: &str| {
        let rest = "  vendor: a\n  modelNumber: b\n  serialNumber: c\n";
        Checker::default().check_bytes("a.yaml", format!("properties:\n{line}\n{rest}"))
    };
    let trailing = check("  id: plc 7 # margo: allow(malformed-device-id) the old plant calls it so");
    assert!(trailing.is_clean(), "{}", told(&trailing));
    assert_eq!(trailing.allowed()[0].rule.name, "malformed-device-id");
    let above = check("  # margo: allow(malformed-device-id) the old plant calls it so\n\n  id: plc 7");
    assert!(above.is_clean(), "{}", told(&above));
    let silent = check("  id: plc 7 # margo: allow(malformed-device-id)");
    assert!(silent.rules().contains("malformed-device-id") && silent.rules().contains("useless-allow"));
    let unknown = check("  id: plc 7 # margo: allow(malformed-device-ids) why not");
    let useless = unknown.diagnostics().iter().find(|found| found.rule.name == "useless-allow").unwrap();
    assert_eq!(useless.help.as_deref(), Some("did you mean `malformed-device-id`?"));
    let text = check("  id: plc-7\n  note: 'a # margo: allow(malformed-device-id) in a text'");
    assert!(text.is_clean(), "{}", told(&text));
}

#[test]
fn a_vendors_rule_is_an_ordinary_rule() {
    margo_validate::declare_rule! {
        static FOREIGN_DEVICE = {
            name: "foreign-device",
            summary: "devices of this plant begin with `ow-`",
            clause: margo_validate::Clause::must("https://ostwind.example/handbook#names"),
            page: "",
        }
    }
    fn foreign_device(device: &AnyDeviceCapabilities, out: &mut Reporter<'_>) {
        if !device.device_id().as_str().starts_with("ow-") {
            let at = margo_syntax::pointer!["properties", "id"];
            let change = Change::Value(at.clone(), format!("ow-{}", device.device_id()).into());
            out.report(Finding::new(at, "this is no device of ours").fix("put `ow-` before it", [change]));
        }
    }
    let options = Options::default().with_rules(&[Rule::new(&FOREIGN_DEVICE, foreign_device)]);
    let text =
        |id: &str| format!("properties:\n  id: {id}\n  vendor: a\n  modelNumber: b\n  serialNumber: c\n");
    let report = Checker::new(options.clone()).check_bytes("a.yaml", text("plc-7"));
    assert_eq!((report.errors(), report.diagnostics()[0].rule.name), (1, "foreign-device"));
    let edits = &report.diagnostics()[0].fix.as_ref().unwrap().edits;
    assert_eq!(Edit::apply(&text("plc-7"), 0, edits), text("ow-plc-7"));
    let quiet = Checker::new(options.clone().with_level("foreign-device", RuleLevel::Allow));
    assert!(quiet.check_bytes("a.yaml", text("plc-7")).is_clean());
    let allowed =
        Checker::new(options).check_bytes("a.yaml", text("plc-7 # margo: allow(foreign-device) borrowed"));
    assert!(allowed.is_clean(), "{}", told(&allowed));
}

#[test]
fn exit_codes_are_what_they_are_documented_to_be() {
    assert_eq!((margo_validate::CLEAN, margo_validate::FINDINGS, margo_validate::COULD_NOT_LOOK), (0, 1, 2));
    let code = |text: &str| Checker::default().check_bytes("a.yaml", text.to_owned()).exit_code();
    assert_eq!(
        code("properties: { id: a, vendor: a, modelNumber: b, serialNumber: c, vendr: d }"),
        0,
        "a warning"
    );
    assert_eq!(code("properties: { id: a }"), 1);
}

#[test]
fn documents_are_related_within_a_group_alone() {
    let manifest = |version: u8, group: &str| {
        let text = format!(r#"{{ "manifestVersion": {version}, "bundle": null, "deployments": [] }}"#);
        Source::new(format!("{group}/{version}.json"), text).with_group(group)
    };
    let report = Checker::default().check(&[manifest(7, "a"), manifest(7, "b"), manifest(8, "a")]);
    assert!(report.is_clean(), "{}", told(&report));
    let again = Source::new("c.json", r#"{"manifestVersion": 7, "bundle": null, "deployments": []}"#);
    let report = Checker::default().check(&[manifest(7, "a"), again.with_group("a")]);
    assert_eq!(report.diagnostics()[0].rule.name, "manifest-version-not-increasing");
    let related = &report.diagnostics()[0].related[0];
    assert_eq!((report.diagnostics()[0].primary.source, related.source), (1, 0));
}

#[test]
fn threads_find_what_one_finds() {
    let sources =
        [Source::new("a.json", DEVICE), Source::new("b.yaml", "a: 1\na: 2\n"), Source::new("c.yaml", DEVICE)];
    let checker = Checker::default();
    let one = checker.check(&sources);
    let several = std::thread::scope(|scope| {
        let threads: Vec<_> = sources
            .iter()
            .enumerate()
            .rev()
            .map(|(index, source)| {
                scope.spawn({
                    let checker = &checker;
                    move || checker.inspect(source, index)
                })
            })
            .collect();
        checker.conclude(threads.into_iter().map(|thread| thread.join().unwrap()).collect())
    });
    assert_eq!(told(&one), told(&several));
}

#[test]
fn a_valid_document_is_a_value() {
    let text = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump
  deploymentProfile:
    type: helm
    components: [{ name: a, properties: { repository: 'oci://r.example/a', revision: 1.0.9 } }]
";
    let checked = Checker::default().check_document::<AnyApplicationDeployment>("a.yaml", text);
    let valid = checked.into_valid().unwrap();
    assert_eq!((valid.id().as_str().len(), valid.bytes().as_ref()), (36, text.as_bytes()));
    let broken =
        Checker::default().check_document::<AnyApplicationDeployment>("a.yaml", text.replace("helm", "snap"));
    assert_eq!(broken.into_valid().unwrap_err().errors(), 1);
}
