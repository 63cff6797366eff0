//! Our own documents: the folder a document lies in is what is asserted of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use margo_application::{AnyApplicationDescription, check_description};
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{Format, Limits};
use serde_json::Value;

const DESCRIPTION: &str = "ApplicationDescription";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

/// What lies in a folder, by name; nothing if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    // Beside a document may stand what is printed of it.
    let is_document = |path: &PathBuf| path.extension().is_none_or(|extension| extension != "txt");
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_document).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn untyped(text: &[u8]) -> Value {
    margo_syntax::parse(text, Format::Yaml, &Limits::default()).unwrap().to_value()
}

/// Read strictly, with the revision's name and by its shape; written, and read as the same.
#[test]
fn a_valid_description_is_read_strictly_and_written_as_it_was_read() {
    for (revision, least) in SpecVersion::ALL.into_iter().zip([4, 5, 5, 5]) {
        let documents = entries(&root().join("valid").join(revision.as_str()).join(DESCRIPTION));
        assert!(documents.len() >= least, "{revision}: {}", documents.len());
        for path in documents {
            let name = name(&path);
            let bytes = std::fs::read(&path).unwrap();
            let read = |revision| {
                let bytes = bytes.clone().into();
                AnyApplicationDescription::read(bytes, revision, Strictness::Strict, &Limits::default())
            };
            let reading = read(Some(revision)).unwrap_or_else(|e| panic!("{revision} {name}: {e}"));
            let value = untyped(&bytes);
            let detection = AnyApplicationDescription::detect(&value);
            assert_eq!(detection.likeliest(), Some(revision), "{name}: {detection}");
            assert_eq!(read(None).unwrap(), reading, "{revision} {name}");

            let description = reading.value.into_value();
            let yaml = description.to_yaml().unwrap();
            let again =
                AnyApplicationDescription::decode_as(yaml.clone().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), description, "{revision} {name}");
            // Where nothing deviates, nothing is changed but lists that are empty.
            if reading.deviations.is_empty() {
                assert_eq!(untyped(yaml.as_bytes()), value, "{revision} {name}");
            }
            // Everything fits together, and goes up and down again where nothing is lost.
            let newest = description.clone().upgrade();
            assert_eq!(newest.losses, [], "{revision} {name}");
            assert_eq!(check_description(&newest.value), [], "{revision} {name}");
            let back = AnyApplicationDescription::Rc3(newest.value).convert(revision).unwrap();
            assert!(!back.losses.is_empty() || back.value == description, "{revision} {name}");
        }
    }
}

/// What each rule's documents are refused with.
fn reasons() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("archive-after-rc2", "(X-D-38)"),
        ("custom-without-labels", "a `custom` profile needs an eligibility rule with a label selector"), // R-D-031
        ("default-against-its-schema", "the default must be at most 50, and is 700"), // R-A-040
        ("different-ids", "differs from `/metadata/id`"),                             // X-C-03
        ("empty-api-version", "expected at least one character"), // X-A-02, X-B-19, X-C-23, X-D-39
        ("extension-not-object", "expected an object"),           // R-D-032
        ("helm-v3-after-rc1", "(X-C-15)"),
        ("malformed-application-id", "not a ApplicationId"), // R-A-034
        ("malformed-requirement", "is no amount of memory"), // X-B-07
        ("malformed-timeout", "expected minutes and seconds"), // R-A-038
        ("missing-catalog", "missing field `catalog`"),
        ("missing-cores", "missing field `cores`"),
        ("missing-organization", "missing field `organization`"),
        ("missing-parameter-targets", "missing field `targets`"),
        ("missing-profile-id", "missing field `id`"),
        ("needless-label", "(X-D-20)"),
        ("no-components", "expected at least one component"), // X-A-28
        ("package-of-another-type", "a chart needs `repository` and `revision`"), // R-A-031
        ("profiles-not-a-list", "expected a sequence"),       // X-A-27
        ("repeated-profile-id", "another profile is `bearing-watch-cluster`"), // X-B-39
        ("required-resources-after-rc2", "(X-D-19)"),
        ("revision-not-semver", "expected a semantic version"), // X-D-23
        ("unknown-architecture", "`sparc` is not one of the values there are"),
        ("unknown-data-type", "`text` is not a data type"),
        ("unknown-interface", "`token ring` is not one of the values there are"),
        ("unknown-member", "unknown member"), // X-D-38
        ("unknown-peripheral", "`nic` is not one of the values there are"),
        ("unknown-profile-type", "`snap` is not a type of profile"),
        ("unknown-setting-parameter", "no parameter is named `treshold`"), // R-A-039
        ("unknown-setting-schema", "no schema is named `velocities`"),     // R-A-039
        ("unknown-target-component", "no component is named `watch-cor`"), // R-A-042
        ("unusable-pattern", "is not supported"),
        ("version-not-text", "expected a string"), // X-A-22
        ("wrong-kind", "ApplicationDescription`"), // X-B-18
    ])
}

/// Refused when read strictly, or when looked at as a whole, for the reason its folder names and for no other. R-B-045: the
/// rules of the pre-draft hold for 1.0.0-rc.1 and 1.0.0-rc.2 too.
#[test]
fn an_invalid_description_breaks_the_rule_it_lies_under_and_no_other() {
    let reasons = reasons();
    let mut unused: Vec<_> = reasons.keys().copied().collect();
    for (revision, least) in SpecVersion::ALL.into_iter().zip([18, 25, 25, 25]) {
        let mut count = 0;
        for folder in entries(&root().join("invalid")) {
            let rule = name(&folder);
            for path in entries(&folder) {
                let file = name(&path);
                if !file.starts_with(&format!("{DESCRIPTION}-{revision}-")) {
                    continue;
                }
                let reason = reasons.get(rule.as_str()).unwrap_or_else(|| panic!("{rule} has no reason"));
                let faults = faults(&path, revision);
                assert_eq!(faults.len(), 1, "{rule}/{file}: {faults:?}");
                assert!(faults[0].contains(reason), "{rule}/{file}: {faults:?}");
                unused.retain(|used| *used != rule);
                count += 1;
            }
        }
        assert!(count >= least, "{revision}: {count}");
    }
    assert_eq!(unused, [""; 0], "rules without a document");
}

/// Everything a strict reader objects to: one thing where the document cannot be read at all.
fn faults(path: &Path, revision: SpecVersion) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap().into();
    match AnyApplicationDescription::read(bytes, Some(revision), Strictness::Lenient, &Limits::default()) {
        Err(error) => vec![error.to_string()],
        Ok(reading) => {
            let refused = reading.deviations.iter().filter(|d| d.level.is_refused(Strictness::Strict));
            let mut faults: Vec<_> = refused.map(ToString::to_string).collect();
            let description = reading.value.into_value();
            faults.extend(description.check().iter().map(ToString::to_string));
            let strict = AnyApplicationDescription::read(
                std::fs::read(path).unwrap().into(),
                Some(revision),
                Strictness::Strict,
                &Limits::default(),
            );
            assert_eq!(strict.is_err(), !faults.is_empty(), "{}", path.display());
            if faults.is_empty() {
                let newest = description.upgrade().value;
                faults.extend(check_description(&newest).iter().map(ToString::to_string));
            }
            faults
        }
    }
}
