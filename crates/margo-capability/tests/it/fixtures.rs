//! Our own documents: the folder a document lies in is what is asserted of it.

use std::path::{Path, PathBuf};

use margo_capability::AnyDeviceCapabilities;
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{Fault, Format, Limits};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    // Beside a document may stand what is printed of it.
    let is_document = |path: &PathBuf| path.extension().is_none_or(|extension| extension != "txt");
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_document).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn tree(path: &Path) -> Value {
    let format = Format::of_extension(&path.extension().unwrap().to_string_lossy()).unwrap();
    margo_syntax::parse(&std::fs::read(path).unwrap(), format, &Limits::default()).unwrap().to_value()
}

fn read(
    value: &Value,
    revision: SpecVersion,
    strictness: Strictness,
) -> Result<AnyDeviceCapabilities, Fault> {
    AnyDeviceCapabilities::read_value(value.clone(), Some(revision), strictness).map(|reading| reading.value)
}

/// Read strictly by its revision and by its shape; written, and read as the same; in the newest revision without faults.
#[test]
fn valid_capabilities_are_read_strictly_and_written_as_they_were_read() {
    for revision in SpecVersion::ALL {
        let documents = entries(&root().join("valid").join(revision.as_str()).join("DeviceCapabilities"));
        assert!(documents.len() >= 4, "{revision}");
        for path in documents {
            let name = name(&path);
            let value = tree(&path);
            let device = read(&value, revision, Strictness::Strict).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(device.revision(), revision, "{name}");
            assert!(AnyDeviceCapabilities::detect(&value).allows(revision), "{name}");
            assert_eq!(device.clone().upgrade().value.check(), [], "{name}");

            let again =
                AnyDeviceCapabilities::decode_as(device.to_json().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), device, "{name}");
            // Where nothing deviates, nothing is changed.
            if AnyDeviceCapabilities::deviations(&value, revision).is_empty() {
                assert_eq!(device.to_json(), value.to_string().into_bytes(), "{name}");
            }
        }
    }
}

/// What breaks each rule: a part of the message, and how many documents show it at least.
const RULES: [(&str, &str, usize); 31] = [
    ("compose-without-oci", "expected `oci`", 1), // R-D-023
    ("empty-api-version", "expected text that is not empty", 2), // X-A-02, X-C-23
    ("extension-not-object", "expected a map", 1), // R-D-032
    ("hosting-without-collector", "expected `true`", 1), // R-D-023
    ("hosting-without-resources", "missing: a device with the role", 1), // R-C-006
    ("malformed-amount", "invalid", 5),           // R-A-027
    ("malformed-device-id", "not a DeviceId", 4), // R-C-002, X-C-13, X-D-32
    ("malformed-extension-name", "unknown member", 2), // R-D-032
    ("malformed-frequency", "a number of GHz", 1), // X-A-04
    ("malformed-label", "expected a string", 2),
    ("missing-api-version", "missing field `apiVersion`", 2),
    ("missing-cores", "missing field `cores`", 2),
    ("missing-hosting-field", "missing: a device with deployment types", 6), // R-D-021
    ("missing-properties", "missing field `properties`", 1),
    ("missing-resource", "missing field", 6),        // R-A-026
    ("missing-role", "expected at least one", 3),    // R-A-028, R-B-044
    ("missing-vendor", "missing field `vendor`", 4), // R-A-026
    ("needless-label", "(X-D-20)", 2),
    ("negative-cores", "expected more than 0", 1),
    ("no-cores", "expected more than 0", 3),
    ("no-deployment-type", "expected at least one", 1), // R-D-023
    ("no-runtime", "expected at least one", 1),         // R-D-023
    ("resources-in-a-list", "(X-A-06)", 1),
    ("several-architectures", "expected one architecture", 2), // X-B-06
    ("several-processors", "expected one object", 2),          // X-B-06, X-C-07
    ("unknown-architecture", "is not an architecture", 2),
    ("unknown-interface", "is not a type of interface", 3),
    ("unknown-member", "unknown member", 2), // R-D-032
    ("unknown-peripheral", "is not a type of peripheral", 3),
    ("unknown-role", "role", 3), // R-A-028, X-A-09
    ("wrong-kind", "expected `DeviceCapabilities", 3),
];

/// Refused when read strictly, for the reason its folder names and for no other.
#[test]
fn invalid_capabilities_break_the_rule_they_lie_under_and_no_other() {
    let mut seen = Vec::new();
    for folder in entries(&root().join("invalid")) {
        let rule = name(&folder);
        for path in entries(&folder) {
            let file = name(&path);
            let Some(rest) = file.strip_prefix("DeviceCapabilities-") else { continue };
            let of = |revision: &SpecVersion| rest.starts_with(&format!("{revision}-"));
            let revision = SpecVersion::ALL.into_iter().find(of).unwrap_or_else(|| panic!("{file}"));
            let (_, message, _) =
                RULES.into_iter().find(|(name, ..)| *name == rule).unwrap_or_else(|| panic!("{rule}/{file}"));

            let value = tree(&path);
            let fault = read(&value, revision, Strictness::Strict).expect_err(&file);
            assert!(fault.to_string().contains(message), "{rule}/{file}: {fault}");
            if let Ok(device) = read(&value, revision, Strictness::Lenient) {
                let deviations = AnyDeviceCapabilities::deviations(&value, revision);
                let refused = deviations.iter().filter(|d| d.level.is_refused(Strictness::Strict)).count();
                assert_eq!(device.check().len() + refused, 1, "{rule}/{file}");
            }
            seen.push(rule.clone());
        }
    }
    for (rule, _, count) in RULES {
        assert!(seen.iter().filter(|other| *other == rule).count() >= count, "{rule}");
    }
}
