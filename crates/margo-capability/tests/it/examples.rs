//! The specification's own examples. They lie beside the checkout and are never part of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use margo_capability::AnyDeviceCapabilities;
use margo_core::SpecVersion::{self, PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
use margo_core::Strictness;
use margo_syntax::Limits;
use serde_json::{Value, json};

/// What becomes of an example, and which contradictions explain it.
enum Verdict {
    /// Read, strictly too, with these deviations.
    Read(&'static [&'static str]),
    /// Read with these deviations; strictly refused for the last of them.
    Lenient(&'static [&'static str]),
    /// Read with these deviations, but with a fault there, so that a manager refuses it.
    Faulty(&'static str, &'static [&'static str]),
    /// Not read at all: the place, and a part of the message.
    Refused(&'static str, &'static str),
}

use Verdict::{Faulty, Lenient, Read, Refused};

const UNKNOWN_ROLE: &str = "/properties/roles/0: `Non existing role` is not a role";

/// Every example of this document: its folder, its name, its revision, and what becomes of it.
///
/// The OpenAPI document of the revision refuses each of these that deviates in roles (X-B-05, X-C-06), the list of
/// processors (X-B-06, X-C-07), `GPU` (X-B-08), `x86_64` below `architecture` (X-B-09, X-C-05) or a closed root (X-D-20);
/// it accepts `architectures`, since its objects are open, and every amount, since it has no pattern (X-B-07, X-D-07).
const EXAMPLES: [(&str, &str, SpecVersion, Verdict); 19] = [
    (
        "A/valid",
        "DeviceCapabilities-001.contradictory.page@d3506741.json",
        PreDraft,
        Read(&["X-A-01", "X-A-03", "X-A-04", "X-A-08", "X-A-26"]),
    ),
    (
        "B/valid",
        "DeviceCapabilities.page.json",
        V1_0_0Rc1,
        Read(&["X-B-05", "X-B-06", "X-B-07", "X-B-08", "X-B-09"]),
    ),
    ("B/valid", "DeviceCapabilitiesManifest-001@0450fb92.json", V1_0_0Rc1, Read(&["X-B-06", "X-B-09"])),
    (
        "B/invalid",
        "DeviceCapabilitiesManifest-001@0450fb92.json",
        V1_0_0Rc1,
        Faulty(UNKNOWN_ROLE, &["X-B-06", "X-B-09"]),
    ),
    (
        "B/invalid",
        "DeviceCapabilitiesManifest-001@ab5933b2.json",
        V1_0_0Rc1,
        Faulty(UNKNOWN_ROLE, &["X-B-07", "X-B-09"]),
    ),
    (
        "B/invalid",
        "DeviceCapabilitiesManifest-002@0450fb92.json",
        V1_0_0Rc1,
        Refused("/properties", "missing field `vendor`"),
    ),
    (
        "C/valid",
        "DeviceCapabilities.child.page.json",
        V1_0_0Rc2,
        Read(&["X-B-07", "X-B-08", "X-C-05", "X-C-07"]),
    ),
    (
        "C/valid",
        "DeviceCapabilities.gateway-hosting.page.json",
        V1_0_0Rc2,
        Read(&["X-B-07", "X-C-05", "X-C-07"]),
    ),
    ("C/valid", "DeviceCapabilities.gateway-no-hosting.page.json", V1_0_0Rc2, Read(&[])),
    (
        "C/valid",
        "DeviceCapabilities.main.page.json",
        V1_0_0Rc2,
        Read(&["X-B-07", "X-B-08", "X-C-05", "X-C-06", "X-C-07"]),
    ),
    (
        "C/valid",
        "DeviceCapabilitiesManifest-001-standalone_cluster@d5c0935a.json",
        V1_0_0Rc2,
        Read(&["X-B-07"]),
    ),
    ("C/valid", "DeviceCapabilitiesManifest-002@3c113ea1.json", V1_0_0Rc2, Read(&["X-B-07", "X-C-05"])),
    (
        "C/invalid",
        "DeviceCapabilitiesManifest-001@23fca5ce.json",
        V1_0_0Rc2,
        Faulty(UNKNOWN_ROLE, &["X-B-07"]),
    ),
    // Its 2.4 cores alone would be no reason (X-C-17).
    (
        "C/invalid",
        "DeviceCapabilitiesManifest-002@61ab2c4e.json",
        V1_0_0Rc2,
        Refused("/kind", "expected `DeviceCapabilitiesManifest`"),
    ),
    ("D/valid", "DeviceCapabilities.child.page.json", V1_0_0Rc3, Read(&["X-D-07"])),
    (
        "D/valid",
        "DeviceCapabilities.custom-runtime.page.json",
        V1_0_0Rc3,
        Lenient(&["X-D-07", "X-D-20", "X-D-21"]),
    ),
    ("D/valid", "DeviceCapabilities.gateway-hosting.page.json", V1_0_0Rc3, Read(&["X-D-07"])),
    ("D/valid", "DeviceCapabilities.gateway-no-hosting.page.json", V1_0_0Rc3, Read(&[])),
    ("D/valid", "DeviceCapabilities.main.page.json", V1_0_0Rc3, Read(&["X-D-07"])),
];

fn folder() -> PathBuf {
    std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    )
}

/// The bytes of an example; `None` where there are no examples at all.
fn example(place: &str, name: &str) -> Option<Vec<u8>> {
    let folder = folder();
    if !folder.is_dir() {
        notice(&format!("the specification's examples are absent: {}", folder.display()));
        return None;
    }
    Some(std::fs::read(folder.join(place).join(name)).unwrap_or_else(|e| panic!("{place}/{name}: {e}")))
}

#[expect(clippy::print_stderr, reason = "a test that looks at nothing says so")]
fn notice(text: &str) {
    eprintln!("{text}");
}

/// X-A-01, X-A-03, X-A-04, X-A-08, X-A-26, X-B-05, X-B-06, X-B-07, X-B-08, X-B-09, X-C-05, X-C-06, X-C-07, X-C-17,
/// X-D-07, X-D-20, X-D-21, X-D-28.
#[test]
fn every_verdict_of_the_specification_is_explained() {
    let limits = Limits::default();
    for (place, name, revision, verdict) in EXAMPLES {
        let Some(bytes) = example(place, name) else { return };
        let at = format!("{place}/{name}");
        let tree = serde_json::from_slice(&bytes).unwrap();
        let found = |expected: &[&str]| {
            let found = AnyDeviceCapabilities::deviations(&tree, revision);
            let found: BTreeSet<_> = found.iter().map(|deviation| deviation.contradiction).collect();
            assert!(found.iter().eq(expected), "{at}: {found:?}");
        };
        let lenient = AnyDeviceCapabilities::decode_as(bytes.clone().into(), revision, &limits);
        let strict = |revision| {
            AnyDeviceCapabilities::read(bytes.clone().into(), revision, Strictness::Strict, &limits)
        };
        match verdict {
            Read(deviations) | Lenient(deviations) => {
                let device = lenient.unwrap_or_else(|e| panic!("{at}: {e}"));
                assert_eq!((device.revision(), device.check()), (revision, vec![]), "{at}");
                found(deviations);
                assert!(AnyDeviceCapabilities::detect(&tree).allows(revision), "{at}");
                let again = AnyDeviceCapabilities::decode_as(device.to_json().into(), revision, &limits);
                assert_eq!(again.unwrap().value(), device.value(), "{at}");
                if matches!(verdict, Read(_)) {
                    assert_eq!(strict(Some(revision)).unwrap().value, device, "{at}");
                    assert!(strict(None).is_ok(), "{at}");
                } else {
                    let error = strict(Some(revision)).unwrap_err();
                    assert!(error.message().ends_with("(X-D-20)"), "{at}: {error}");
                    assert!(strict(None).is_err(), "{at}");
                }
            }
            Faulty(fault, deviations) => {
                let faults: Vec<_> = lenient.unwrap().check().iter().map(ToString::to_string).collect();
                assert_eq!(faults, [fault], "{at}");
                found(deviations);
                assert!(strict(Some(revision)).is_err() && strict(None).is_err(), "{at}");
            }
            Refused(pointer, message) => {
                let error = lenient.unwrap_err();
                assert_eq!(error.pointer().as_str(), pointer, "{at}");
                assert!(error.message().contains(message), "{at}: {error}");
                assert!(AnyDeviceCapabilities::decode(bytes.into(), &limits).is_err(), "{at}");
            }
        }
    }
}

/// No example is skipped.
#[test]
fn every_example_has_a_verdict() {
    if !folder().is_dir() {
        return notice("the specification's examples are absent");
    }
    for revision in ["A", "B", "C", "D"] {
        for validity in ["valid", "invalid"] {
            let place = format!("{revision}/{validity}");
            for entry in std::fs::read_dir(folder().join(&place)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                let is_listed = EXAMPLES.iter().any(|(p, n, ..)| *p == place && *n == name);
                assert!(is_listed || !name.starts_with("DeviceCapabilities"), "{place}/{name}");
            }
        }
    }
}

fn read(place: &str, name: &str) -> Option<AnyDeviceCapabilities> {
    let bytes = example(place, name)?;
    Some(AnyDeviceCapabilities::decode(bytes.into(), &Limits::default()).unwrap().into_value())
}

fn written(capabilities: &AnyDeviceCapabilities) -> Value {
    serde_json::from_slice(&capabilities.to_json()).unwrap()
}

/// The example of the pre-draft contradicts its tables, and is written as they say.
#[test]
fn the_example_of_the_pre_draft_is_written_as_its_tables_say() {
    let (place, name, ..) = EXAMPLES[0];
    let Some(capabilities) = read(place, name) else { return };
    let document = written(&capabilities);
    assert_eq!(document["kind"], "DeviceCapabilities");
    assert_eq!(document["properties"]["roles"], json!(["Standalone Cluster", "Cluster Leader"]));
    assert_eq!(
        document["properties"]["resources"],
        json!({
            "cpus": [{"architecture": "Intel x64", "cores": 24, "frequency": 6.2}],
            "memory": 64,
            "storage": 2000,
        })
    );

    let newer = capabilities.upgrade().value;
    assert_eq!(newer.check(), []);
    let newer = serde_json::to_value(newer).unwrap();
    assert_eq!(newer["properties"]["cpus"], json!([{"cores": 24, "architecture": "amd64"}]));
    assert_eq!(newer["properties"]["supportedDeploymentTypes"], json!(["helm"]));
    assert_eq!(newer["properties"]["interfaces"], json!([{"type": "ethernet"}, {"type": "wifi"}]));
    assert_eq!(
        newer["properties"]["peripherals"],
        json!([{"type": "gpu", "manufacturer": "NVIDIA", "model": "TUF-RTX4070TIS-O16G"}])
    );
}

/// The main examples of 1.0.0-rc.1 and 1.0.0-rc.2 are written as their tables say, and mean what that of 1.0.0-rc.3 says.
#[test]
fn the_main_examples_mean_the_same() {
    let Some(newest) = read("D/valid", "DeviceCapabilities.main.page.json") else { return };
    let newest = written(&newest);
    for (place, name) in
        [("B/valid", "DeviceCapabilities.page.json"), ("C/valid", "DeviceCapabilities.main.page.json")]
    {
        let Some(capabilities) = read(place, name) else { return };
        let document = written(&capabilities);
        assert_eq!(
            document["properties"]["roles"],
            json!(["Standalone Cluster", "Cluster Leader"]),
            "{place}"
        );
        let resources = &document["properties"]["resources"];
        assert_eq!(resources["cpu"], json!({"cores": 24, "architecture": "amd64"}), "{place}");
        assert_eq!(resources["peripherals"], json!([{"type": "gpu", "manufacturer": "NVIDIA"}]), "{place}");

        let upgraded = capabilities.upgrade();
        let lost: Vec<_> = upgraded.losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/properties/roles/1"], "{place}");
        let upgraded = serde_json::to_value(upgraded.value).unwrap();
        for member in ["id", "cpus", "memory", "storage", "peripherals", "interfaces", "supportedRuntimes"] {
            assert_eq!(upgraded["properties"][member], newest["properties"][member], "{place} {member}");
        }
    }
}
