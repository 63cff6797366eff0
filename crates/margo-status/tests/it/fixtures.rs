//! Our own documents: the folder a document lies in is what is asserted of it.

use std::path::{Path, PathBuf};

use margo_core::{SpecVersion, Strictness};
use margo_status::AnyDeploymentStatus;
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

fn read(value: &Value, revision: SpecVersion, strictness: Strictness) -> Result<AnyDeploymentStatus, Fault> {
    AnyDeploymentStatus::read_value(value.clone(), Some(revision), strictness).map(|reading| reading.value)
}

/// Read strictly by its revision and by its shape; written, and read as the same.
#[test]
fn a_valid_status_is_read_strictly_and_written_as_it_was_read() {
    for revision in SpecVersion::ALL {
        let documents = entries(&root().join("valid").join(revision.as_str()).join("DeploymentStatus"));
        assert!(documents.len() >= 4, "{revision}");
        for path in documents {
            let name = name(&path);
            let value = tree(&path);
            let status = read(&value, revision, Strictness::Strict).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(status.contradiction(), None, "{name}");
            assert!(AnyDeploymentStatus::detect(&value).allows(revision), "{name}");

            let again = AnyDeploymentStatus::decode_as(status.to_json().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), status, "{name}");
            // Where nothing deviates, nothing is changed.
            if AnyDeploymentStatus::deviations(&value, revision).is_empty() {
                assert_eq!(status.to_json(), value.to_string().into_bytes(), "{name}");
            }
        }
    }
}

/// What breaks each rule: a part of the message, and how many documents show it at least.
const RULES: [(&str, &str, usize); 18] = [
    ("duplicate-component", "component `mixer-control` is reported twice", 4), // R-B-040
    ("empty-api-version", "expected text that is not empty", 2),               // X-B-19
    ("error-code-not-text", "expected a string", 3),                           // X-C-11
    ("fractional-manifest-version", "(X-D-31)", 1),
    ("malformed-component-name", "not a ComponentName", 4), // R-A-034
    ("malformed-deployment-id", "not a DeploymentId", 3),   // X-C-16
    ("malformed-device-id", "not a DeviceId", 3),           // R-C-002, X-C-13, X-D-32
    ("malformed-manifest-version", "expected a whole number from 1", 4), // X-D-31
    ("missing-adopted-manifest-version", "missing field `adoptedManifestVersion`", 1), // R-D-026
    ("missing-api-version", "missing field `apiVersion`", 2),
    ("missing-components", "", 2), // R-B-040
    ("missing-deployment-id", "missing field `deploymentId`", 4),
    ("missing-state", "missing field `state`", 4),
    ("other-words-for-a-state", "(X-A-11)", 2),
    ("several-statuses", "expected one object", 2), // X-B-01, X-D-12
    ("status-in-a-list", "a list of one stands for the object in it (X-", 4), // X-A-07, X-B-01, X-D-12
    ("unknown-state", "is not a state", 4),
    ("wrong-kind", "expected `DeploymentStatus", 3),
];

/// Refused when read strictly, for the reason its folder names and for no other.
#[test]
fn an_invalid_status_breaks_the_rule_it_lies_under_and_no_other() {
    let mut seen = Vec::new();
    for folder in entries(&root().join("invalid")) {
        let rule = name(&folder);
        for path in entries(&folder) {
            let file = name(&path);
            let Some(rest) = file.strip_prefix("DeploymentStatus-") else { continue };
            let of = |revision: &SpecVersion| rest.starts_with(&format!("{revision}-"));
            let revision = SpecVersion::ALL.into_iter().find(of).unwrap_or_else(|| panic!("{file}"));
            let (_, message, _) =
                RULES.into_iter().find(|(name, ..)| *name == rule).unwrap_or_else(|| panic!("{rule}/{file}"));

            let value = tree(&path);
            let fault = read(&value, revision, Strictness::Strict).expect_err(&file);
            assert!(fault.to_string().contains(message), "{rule}/{file}: {fault}");
            if let Ok(status) = read(&value, revision, Strictness::Lenient) {
                let deviations = AnyDeploymentStatus::deviations(&value, revision);
                let refused = deviations.iter().filter(|d| d.level.is_refused(Strictness::Strict)).count();
                assert_eq!(status.check().len() + refused, 1, "{rule}/{file}");
            }
            seen.push(rule.clone());
        }
    }
    for (rule, _, count) in RULES {
        assert!(seen.iter().filter(|other| *other == rule).count() >= count, "{rule}");
    }
}
