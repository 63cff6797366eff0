//! Our own documents: the folder a document lies in is what is asserted of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use margo_core::{SpecVersion, Strictness};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_syntax::{DecodeError, Format, Limits};
use serde_json::Value;

const DEPLOYMENT: &str = "ApplicationDeployment";
const MANIFEST: &str = "DesiredStateManifest";

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

/// The documents of a kind and revision in `invalid`, with their rules.
fn invalid(document: &str, revision: SpecVersion) -> Vec<(String, PathBuf)> {
    let prefix = format!("{document}-{revision}-");
    let folders = entries(&root().join("invalid"));
    let files =
        folders.iter().flat_map(|folder| entries(folder).into_iter().map(|file| (name(folder), file)));
    files.filter(|(_, file)| name(file).starts_with(&prefix)).collect()
}

fn valid(document: &str, revision: SpecVersion) -> Vec<PathBuf> {
    entries(&root().join("valid").join(revision.as_str()).join(document))
}

fn untyped(path: &Path) -> Value {
    let format = Format::of_extension(&path.extension().unwrap().to_string_lossy()).unwrap();
    margo_syntax::parse(&std::fs::read(path).unwrap(), format, &Limits::default()).unwrap().to_value()
}

/// Read strictly, with the revision's name and by its shape; written, and read as the same.
#[test]
fn a_valid_deployment_is_read_strictly_and_written_as_it_was_read() {
    for (revision, least) in SpecVersion::ALL.into_iter().zip([6, 7, 7, 8]) {
        let documents = valid(DEPLOYMENT, revision);
        assert!(documents.len() >= least, "{revision}: {}", documents.len());
        for path in documents {
            let name = name(&path);
            let bytes = std::fs::read(&path).unwrap();
            let read = |revision| {
                let bytes = bytes.clone().into();
                AnyApplicationDeployment::read(bytes, revision, Strictness::Strict, &Limits::default())
            };
            let reading = read(Some(revision)).unwrap_or_else(|e| panic!("{revision} {name}: {e}"));
            let value = untyped(&path);
            let detection = AnyApplicationDeployment::detect(&value);
            assert!(detection.allows(revision), "{revision} {name}: {detection}");
            assert!(read(None).is_ok(), "{revision} {name}");

            let deployment = reading.value.into_value();
            let yaml = deployment.to_yaml().unwrap();
            let again =
                AnyApplicationDeployment::decode_as(yaml.clone().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), deployment, "{revision} {name}");
            // Where nothing deviates, nothing is changed.
            if AnyApplicationDeployment::deviations(&value, revision).is_empty() {
                let written = margo_syntax::parse(yaml.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
                assert_eq!(written.to_value(), value, "{revision} {name}");
            }
            // Up and down again, where nothing is lost.
            let target = "press-line-3".parse().unwrap();
            let newest = deployment.clone().upgrade(&target);
            assert_eq!(newest.losses, [], "{revision} {name}");
            let back = AnyApplicationDeployment::Rc3(newest.value).convert(revision, &target);
            let back = back.unwrap_or_else(|e| panic!("{revision} {name}: {e}"));
            assert!(!back.losses.is_empty() || back.value == deployment, "{revision} {name}");
        }
    }
}

#[test]
fn a_valid_manifest_is_read_strictly_and_written_as_it_was_read() {
    for revision in &SpecVersion::ALL[1..] {
        let documents = valid(MANIFEST, *revision);
        assert!(documents.len() >= 4, "{revision}");
        for path in documents {
            let name = name(&path);
            let bytes = std::fs::read(&path).unwrap().into();
            let reading =
                DesiredStateManifest::read(bytes, Some(*revision), Strictness::Strict, &Limits::default());
            let reading = reading.unwrap_or_else(|e| panic!("{revision} {name}: {e}"));
            assert_eq!(reading.deviations, [], "{revision} {name}");
            let value = untyped(&path);
            assert!(DesiredStateManifest::detect(&value).allows(*revision), "{revision} {name}");
            let json = reading.value.to_json().unwrap();
            let again = DesiredStateManifest::decode(json.clone(), &Limits::default()).unwrap();
            assert_eq!(again.value(), reading.value.value(), "{revision} {name}");
            assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), value, "{revision} {name}");
        }
    }
}

/// What each rule's documents are refused with.
fn reasons() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("archive-after-rc2", "(X-D-38)"),
        ("bound-not-one-number", "expected exactly one number"),
        ("bundle-of-nothing", "expected null, as there are no deployments"), // R-B-021
        ("deployment-id-not-uuid", "is not a UUID (X-C-16)"),                // R-A-029, R-B-042
        ("deployment-listed-twice", "listed twice"),
        ("different-ids", "differs from `/metadata/annotations/id`"), // X-C-03
        ("digest-not-lowercase", "expected a lowercase hex digit"),   // R-B-025
        ("digest-of-wrong-length", "expected 64 hex digits, found 63"), // X-B-26, X-D-26
        ("digest-without-algorithm", "expected `sha256:`"),           // X-B-35
        ("duplicate-component", "another component is named"),        // R-A-031
        ("empty-api-version", "expected at least one character"),     // X-A-02, X-B-19, X-C-23
        ("extension-not-object", "expected an object"),               // R-D-032
        ("fractional-manifest-version", "with a fraction or an exponent (X-"), // X-B-36, X-D-31
        ("helm-v3-after-rc1", "(X-C-15)"),
        ("key-not-a-pointer", "expected a JSON Pointer"),
        ("malformed-application-id", "not a ApplicationId"), // R-A-034
        ("malformed-component-name", "not a ComponentName"), // R-A-034
        ("malformed-deployment-id", "not a DeploymentId"),   // X-C-16
        ("malformed-device-id", "not a DeviceTarget"),       // R-C-002, R-C-008, X-C-13
        ("malformed-manifest-version", "expected a whole number from 1"), // R-B-020
        ("malformed-requirement", "(X-D-07)"),
        ("malformed-size", "expected u64"),                    // R-B-038
        ("malformed-timeout", "expected minutes and seconds"), // R-A-038
        ("misprinted-operator", "expected `ContainsAny`"),     // X-D-08
        ("missing-bundle", "bundle"),                          // R-B-021, X-B-34
        ("missing-device-id", "missing field `deviceId`"),     // R-C-008
        ("missing-item-selector", "missing `itemSelector`"),
        ("missing-name", "missing field `name`"),
        ("missing-package", "missing `re"),
        ("missing-parameter-targets", "missing field `targets`"),
        ("missing-parameter-value", "missing field `value`"),
        ("missing-values", "missing `values`"),
        ("names-of-the-skeleton", "(X-D-10)"),
        ("needless-label", "(X-D-20)"),
        ("negative-cores", "expected no negative number"),
        ("no-components", "expected at least one component"), // X-A-28
        ("package-of-another-type", "needs `"),               // R-A-031
        ("repository-not-oci", "expected a repository such as `oci://host/name`"),
        ("required-resources-after-rc2", "(X-D-19)"),
        ("revision-not-semver", "expected a semantic version"), // X-D-23
        ("unknown-member", "unknown member"),                   // X-D-38
        ("unknown-operator", "`Near` is not an operator"),
        ("unknown-profile-type", "is not a type of profile"),
        ("unsupported-digest-algorithm", "is not supported"), // R-B-028
        ("url-of-another-digest", "expected a URL that ends in"), // R-B-024
        ("wait-not-boolean", "expected a boolean"),           // X-A-14, X-B-16
        ("wrong-bundle-media-type", "expected `application/vnd.margo.bundle.v1+tar+gzip`"), // R-B-023
        ("wrong-kind", "expected `ApplicationDeployment`"),
    ])
}

/// Refused when read strictly, for the reason its folder names and for no other. R-B-045: the rules of the pre-draft hold
/// for 1.0.0-rc.1 and 1.0.0-rc.2 too.
#[test]
fn an_invalid_document_breaks_the_rule_it_lies_under_and_no_other() {
    let reasons = reasons();
    let mut unused: Vec<_> = reasons.keys().copied().collect();
    for (revision, least) in SpecVersion::ALL.into_iter().zip([20, 35, 35, 45]) {
        let mut count = 0;
        for document in [DEPLOYMENT, MANIFEST] {
            for (rule, path) in invalid(document, revision) {
                let file = name(&path);
                let reason = reasons.get(rule.as_str()).unwrap_or_else(|| panic!("{rule} has no reason"));
                let error = refused(document, &path, revision).expect_err(&format!("{rule}/{file}"));
                assert!(error.to_string().contains(reason), "{rule}/{file}: {error}");
                if document == DEPLOYMENT {
                    assert_eq!(strictly_wrong(&path, revision), 1, "{rule}/{file}");
                }
                unused.retain(|used| *used != rule);
                count += 1;
            }
        }
        assert!(count >= least, "{revision}: {count}");
    }
    assert_eq!(unused, [""; 0], "rules without a document");
}

fn refused(document: &str, path: &Path, revision: SpecVersion) -> Result<(), DecodeError> {
    let bytes = std::fs::read(path).unwrap().into();
    let (strict, limits) = (Strictness::Strict, Limits::default());
    if document == MANIFEST {
        DesiredStateManifest::read(bytes, Some(revision), strict, &limits).map(drop)
    } else {
        AnyApplicationDeployment::read(bytes, Some(revision), strict, &limits).map(drop)
    }
}

/// How much a strict reading objects to: one thing where the document cannot be read at all.
fn strictly_wrong(path: &Path, revision: SpecVersion) -> usize {
    let bytes = std::fs::read(path).unwrap().into();
    match AnyApplicationDeployment::read(bytes, Some(revision), Strictness::Lenient, &Limits::default()) {
        Err(_) => 1,
        Ok(reading) => {
            let refused = reading.deviations.iter().filter(|d| d.level.is_refused(Strictness::Strict));
            refused.count() + reading.value.check().len()
        }
    }
}
