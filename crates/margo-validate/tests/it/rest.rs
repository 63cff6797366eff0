//! What is wrong with the shape of one part keeps no other part from being asked what it means, and nothing is told
//! that follows only from it.

use margo_validate::{Checker, Options};

use crate::layout::told;

const DESCRIPTION: &str = "\
apiVersion: v1
id: pump-monitor
metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Example Pumps }] } }
deploymentProfiles:
  - type: helm
    id: cluster
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
parameters:
  interval:
    value: 60
    targets: [{ pointer: interval, components: [collector] }]
configuration:
  sections: [{ name: General, settings: [{ parameter: interval, name: Interval, schema: seconds }] }]
  schema: [{ name: seconds, dataType: integer, minValue: 30 }]
";

const DEPLOYMENT: &str = "\
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
    interval: { value: 60, targets: [{ pointer: interval, components: [collector] }] }
";

const DEVICE: &str = "\
properties:
  id: plc-7
  vendor: Ostwind
  modelNumber: OW-4
  serialNumber: 4-0017
  cpus: [{ cores: 4, architecture: arm64 }]
  memory: 8Gi
  storage: 64Gi
  peripherals: []
  interfaces: []
  otelCollector: true
  supportedRuntimes: [oci]
  supportedDeploymentTypes: [compose]
";

/// The rules that `text` breaks with every change made to it, in order of their names.
fn broken(text: &str, changes: &[(&str, &str)]) -> Vec<&'static str> {
    let mut mistaken = text.to_owned();
    for (from, to) in changes {
        assert!(mistaken.contains(from), "{from}");
        mistaken = mistaken.replacen(from, to, 1);
    }
    Checker::default().check_bytes("a.yaml", mistaken).rules().into_iter().collect()
}

/// R-A-042, R-D-021: also where something else is wrong.
#[test]
fn every_part_without_flaws_is_asked_what_it_means() {
    assert_eq!(broken(DESCRIPTION, &[]), [""; 0]);
    let many = [
        ("version: 1.0.0", "versoin: 1.0.0"),
        ("components: [collector]", "components: [colector]"),
        ("parameter: interval", "parameter: intervall"),
        ("schema: seconds", "schema: second"),
    ];
    let unknown = ["field", "setting-parameter", "setting-schema", "target-component"];
    assert_eq!(broken(DESCRIPTION, &many), unknown.map(|what| format!("unknown-{what}")));
    let default = [("revision: 1.0.9", "revision: v1"), ("value: 60", "value: 5")];
    assert_eq!(broken(DESCRIPTION, &default), ["default-against-its-schema", "malformed-revision"]);
    let deployment = [("deviceId: plc-7", "deviceId: plc 7"), ("[collector]", "[colector]")];
    assert_eq!(broken(DEPLOYMENT, &deployment), ["malformed-device-id", "unknown-target-component"]);
    let device = [("id: plc-7", "id: plc 7"), ("otelCollector: true", ""), ("[oci]", "[custom]")];
    let rules = ["compose-without-oci", "malformed-device-id", "missing-hosting-field"];
    assert_eq!(broken(DEVICE, &device), rules);
    let twice = "  components: [{ name: a, state: installed }, { name: a, state: removed }]\n";
    let status = format!(
        "deploymentId: a..b c\nadoptedManifestVersion: 1\nstatus: {{ state: removed }}\n{}",
        twice.trim()
    );
    assert_eq!(broken(&status, &[]), ["duplicate-component", "malformed-deployment-id"]);
}

/// One mistake, one finding.
#[test]
fn nothing_is_told_that_follows_from_a_flaw_alone() {
    for (text, from, to, rules) in [
        (DESCRIPTION, "name: collector", "nmae: collector", &["unknown-field"][..]),
        (DESCRIPTION, "name: collector", "name: Collector 1", &["malformed-component-name"]),
        (DESCRIPTION, "dataType: integer", "dataType: int", &["unknown-value"]),
        (DESCRIPTION, "- name: collector", "- type: x", &["missing-field", "unknown-field"]),
        (DESCRIPTION, "{ name: seconds,", "{ nam: seconds,", &["unknown-field"]),
        (DESCRIPTION, "minValue: 30", "minValue: thirty", &["wrong-type"]),
        (DESCRIPTION, "type: helm", "type: Compose", &["unknown-value"]),
        (DEPLOYMENT, "name: collector", "nmae: collector", &["unknown-field"]),
        (DEPLOYMENT, "    components:\n", "    componets:\n", &["unknown-field"]),
        (DEVICE, "supportedRuntimes: [oci]", "supportedRuntimes: oci", &["wrong-type"]),
        (DEVICE, "[compose]", "[]", &["empty-value"]),
        (DEVICE, "memory: 8Gi", "memory: 8 gigabytes", &["malformed-quantity"]),
    ] {
        assert_eq!(broken(text, &[(from, to)]), rules, "{from} -> {to}");
    }
}

#[test]
fn a_lenient_check_asks_no_less() {
    let options = Options::default().with_strictness(margo_core::Strictness::Lenient);
    let text = DESCRIPTION.replace("    id: cluster\n", "    id: cluster\n    strategy: rolling\n");
    let text = text.replace("parameter: interval", "parameter: intervall");
    let report = Checker::new(options).check_bytes("a.yaml", text);
    assert!(report.rules().contains("unknown-setting-parameter"), "{}", told(&report));
}
