//! The JSON Schemas: what they accept is what a strict reading accepts, as far as a schema can say it, and what the
//! specification's own schemas accept, as far as those do not contradict it.

use std::fs;
use std::path::{Path, PathBuf};

use margo_core::{Level, SpecVersion, Strictness};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_syntax::{Format, Limits};
use serde_json::Value;

use crate::validator::validate;

fn schema(revision: SpecVersion, kind: &str) -> Value {
    let mut schemas = margo_deployment::schemas().into_iter();
    schemas.find(|(r, k, _)| (*r, *k) == (revision, kind)).map(|(.., schema)| schema.to_value()).unwrap()
}

fn untyped(path: &Path) -> Option<Value> {
    let format = Format::of_extension(&path.extension()?.to_string_lossy())?;
    Some(margo_syntax::parse(&fs::read(path).ok()?, format, &Limits::default()).ok()?.to_value())
}

/// What a strict reading says: `None` if it refuses, else whether there was something to warn of.
fn strictly(kind: &str, bytes: Vec<u8>, revision: SpecVersion) -> Option<bool> {
    let (strict, limits) = (Strictness::Strict, Limits::default());
    let deviations = if kind == "DesiredStateManifest" {
        DesiredStateManifest::read(bytes.into(), Some(revision), strict, &limits).ok()?.deviations
    } else {
        AnyApplicationDeployment::read(bytes.into(), Some(revision), strict, &limits).ok()?.deviations
    };
    // Forms of May 2026 are read, and are not what the schema describes.
    Some(deviations.iter().any(|deviation| deviation.level > Level::L1))
}

#[test]
fn every_example_follows_its_schema_and_is_read_without_a_word() {
    let schemas = margo_deployment::schemas();
    assert_eq!(schemas.len(), 7);
    for (revision, kind, schema) in schemas {
        let schema = schema.to_value();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["title"].as_str().unwrap().ends_with(&format!("({revision})")), "{kind}");
        let example = &schema["examples"][0];
        assert_eq!(validate(&schema, &schema, example), [""; 0], "{revision} {kind}");
        assert_eq!(
            strictly(kind, example.to_string().into_bytes(), revision),
            Some(false),
            "{revision} {kind}"
        );
    }
}

/// Every schema in a schema, with the names of the members that lead to it.
fn within<'a>(schema: &'a Value, at: &str, all: &mut Vec<(String, &'a Value)>) {
    all.push((at.to_owned(), schema));
    for keyword in ["properties", "$defs"] {
        for (name, inner) in schema[keyword].as_object().into_iter().flatten() {
            within(inner, &format!("{at}/{name}"), all);
        }
    }
    for inner in schema["oneOf"].as_array().into_iter().flatten().chain(schema.get("items")) {
        within(inner, at, all);
    }
}

#[test]
fn every_member_is_described_to_people() {
    for (revision, kind, schema) in margo_deployment::schemas() {
        let schema = schema.to_value();
        let mut all = Vec::new();
        within(&schema, "", &mut all);
        for (at, inner) in all {
            for (name, member) in inner["properties"].as_object().into_iter().flatten() {
                let description = member["description"].as_str();
                let description = description.unwrap_or_else(|| panic!("{revision} {kind} {at}/{name}"));
                assert!(!description.contains("X-") && !description.contains("spec]"), "{description}");
            }
        }
    }
}

/// Rules that relate places to one another, or that the OpenAPI schemas leave to the text.
const BEYOND_A_SCHEMA: [&str; 7] = [
    "bound-not-one-number",
    "deployment-listed-twice",
    "duplicate-component",
    "key-not-a-pointer",
    "missing-item-selector",
    "missing-values",
    "url-of-another-digest",
];

/// Rules whose documents a schema accepts for a reason of their own.
const OTHERWISE_SEEN: [(&str, &str); 6] = [
    ("different-ids", "X-C-03: a member that the schema does not know"),
    ("fractional-manifest-version", "X-B-36: to a schema, `7e0` is 7"),
    ("names-of-the-skeleton", "X-D-10: other members are allowed where `properSelector` stands"),
    ("needless-label", "X-D-20: other members are allowed at the root"),
    ("malformed-device-id", "X-C-13, X-D-32: the printed pattern allows `..`"),
    ("package-of-another-type", "as in the OpenAPI schemas, a type says nothing about packages"),
];

#[test]
fn fixtures_are_judged_as_a_strict_reading_judges_them() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"));
    let mut counts = (0, 0);
    for kind in ["ApplicationDeployment", "DesiredStateManifest"] {
        for revision in SpecVersion::ALL {
            let folder = root.join("valid").join(revision.as_str()).join(kind);
            for file in fs::read_dir(folder).into_iter().flatten() {
                let path = file.unwrap().path();
                let schema = schema(revision, kind);
                let errors = validate(&schema, &schema, &untyped(&path).unwrap());
                let warned = strictly(kind, fs::read(&path).unwrap(), revision).unwrap();
                assert_eq!(errors.is_empty(), !warned, "{revision} {}: {errors:?}", path.display());
                counts.0 += 1;
            }
            for rule in fs::read_dir(root.join("invalid")).unwrap() {
                let rule = rule.unwrap();
                let name = rule.file_name().to_string_lossy().into_owned();
                for file in fs::read_dir(rule.path()).unwrap() {
                    let path = file.unwrap().path();
                    let file = path.file_name().unwrap().to_string_lossy().into_owned();
                    // Beside a document may stand what is printed of it.
                    let is_document = path.extension().is_some_and(|extension| extension != "txt");
                    if !file.starts_with(&format!("{kind}-{revision}-")) || !is_document {
                        continue;
                    }
                    let schema = schema(revision, kind);
                    let errors = validate(&schema, &schema, &untyped(&path).unwrap());
                    let is_beyond = BEYOND_A_SCHEMA.contains(&name.as_str())
                        || OTHERWISE_SEEN.iter().any(|(rule, _)| *rule == name);
                    assert!(!errors.is_empty() || is_beyond, "{name}/{file} is accepted");
                    counts.1 += 1;
                }
            }
        }
    }
    assert!(counts.0 >= 40 && counts.1 >= 150, "{counts:?}");
}

/// Where our schemas and the specification's OpenAPI documents judge an example differently, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("B/invalid/DesiredStateManifest-001@0450fb92.json", "X-B-35"),
    ("B/invalid/DesiredStateManifest-003@0450fb92.json", "X-B-35"),
    ("B/valid/ApplicationDeployment-001@e9d13e09.yaml", "X-B-11, X-B-12"),
    ("B/valid/DesiredState-002.page.yaml", "X-B-12"),
    ("B/valid/DesiredState-002@4924c803.yaml", "X-B-12"),
    ("B/valid/StateManifest.page.json", "X-B-27"),
    ("C/invalid/DesiredStateManifest-001-invalid_manifest_version@aa650270.json", "X-B-35"),
    ("C/invalid/DesiredStateManifest-002-invalid_media_type@414e8ae7.json", "X-B-35"),
    ("C/invalid/DesiredStateManifest-003-invalid_digest@414e8ae7.json", "X-B-35"),
    ("C/valid/gateway-autonomous.rc2-tag.RECONSTRUCTED.yaml", "X-C-01"),
    ("C/valid/gateway-directed.rc2-tag.RECONSTRUCTED.yaml", "X-C-01"),
    ("D/valid/DesiredState-001@0450fb92-legacy.yaml", "X-D-03"),
    ("D/valid/DesiredState-002.compose.page.yaml", "X-D-03"),
    ("D/valid/StateManifest.page.json", "X-B-27"),
    ("D/valid/gateway-directed.page.yaml", "X-D-03"),
];

#[test]
fn the_specifications_examples_are_judged_as_its_own_schemas_do() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    let openapi = folder.with_file_name("openapi");
    if !folder.is_dir() || !openapi.is_dir() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let mut differences = Vec::new();
    for (letter, revision) in ["B", "C", "D"].into_iter().zip(&SpecVersion::ALL[1..]) {
        let api = untyped(&openapi.join(format!("workload-management-api-{revision}.yaml"))).unwrap();
        for verdict in ["invalid", "valid"] {
            let mut files: Vec<_> = fs::read_dir(folder.join(letter).join(verdict))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            for path in files {
                let name = path.file_name().unwrap().to_str().unwrap();
                let is_a = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
                let (kind, theirs) = if is_a(&["StateManifest", "DesiredStateManifest"]) {
                    ("DesiredStateManifest", "UnsignedAppStateManifest")
                } else if is_a(&["ApplicationDeployment", "DesiredState-", "gateway-"]) {
                    ("ApplicationDeployment", "appDeploymentManifest")
                } else {
                    continue;
                };
                let value = untyped(&path).unwrap();
                let ours = schema(*revision, kind);
                let ours = validate(&ours, &ours, &value);
                let theirs = validate(&api, &api["components"]["schemas"][theirs], &value);
                if ours.is_empty() != theirs.is_empty() {
                    differences.push(format!("{letter}/{verdict}/{name}"));
                }
            }
        }
    }
    assert_eq!(differences, DIFFERENT.iter().map(|(file, _)| *file).collect::<Vec<_>>());
}
