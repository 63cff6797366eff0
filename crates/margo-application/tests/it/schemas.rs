//! The JSON Schemas: what they accept is what a strict reading accepts, as far as a schema can say it. The
//! specification's OpenAPI documents have no schema for the description.

use std::fs;
use std::path::{Path, PathBuf};

use margo_application::{AnyApplicationDescription, check_description};
use margo_core::{Level, SpecVersion, Strictness};
use margo_syntax::{Format, Limits};
use serde_json::Value;

use crate::validator::validate;

fn schema(revision: SpecVersion) -> Value {
    let mut schemas = margo_application::schemas().into_iter();
    schemas.find(|(other, ..)| *other == revision).map(|(.., schema)| schema.to_value()).unwrap()
}

fn errors(path: &Path, revision: SpecVersion) -> Vec<String> {
    let tree = margo_syntax::parse(&fs::read(path).unwrap(), Format::Yaml, &Limits::default()).unwrap();
    let schema = schema(revision);
    validate(&schema, &schema, &tree.to_value())
}

/// What a strict reading says: `None` if it refuses, else whether there was something to warn of.
fn strictly(bytes: Vec<u8>, revision: SpecVersion) -> Option<bool> {
    let strict = Strictness::Strict;
    let reading = AnyApplicationDescription::read(bytes.into(), Some(revision), strict, &Limits::default());
    Some(reading.ok()?.deviations.iter().any(|deviation| deviation.level > Level::L1))
}

#[test]
fn every_example_follows_its_schema_and_is_read_without_a_word() {
    let schemas = margo_application::schemas();
    assert!(schemas.iter().map(|(revision, ..)| *revision).eq(SpecVersion::ALL));
    for (revision, kind, schema) in schemas {
        let schema = schema.to_value();
        assert_eq!((kind, &schema["$schema"]), ("ApplicationDescription", &Value::from(DIALECT)));
        assert!(schema["title"].as_str().unwrap().ends_with(&format!("({revision})")));
        let example = &schema["examples"][0];
        assert_eq!(validate(&schema, &schema, example), [""; 0], "{revision}");
        let bytes = example.to_string().into_bytes();
        assert_eq!(strictly(bytes.clone(), revision), Some(false), "{revision}");
        let description = AnyApplicationDescription::parse(&bytes, &Limits::default()).unwrap();
        assert_eq!(check_description(&description.upgrade().value), [], "{revision}");
    }
}

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

#[test]
fn every_member_is_described_to_people() {
    for revision in SpecVersion::ALL {
        let schema = schema(revision);
        let definitions = schema["$defs"].as_object().unwrap().iter();
        for (at, inner) in definitions.chain([(&"document".to_owned(), &schema)]) {
            for (name, member) in inner["properties"].as_object().into_iter().flatten() {
                let description = member["description"].as_str();
                let description = description.unwrap_or_else(|| panic!("{revision} {at}/{name}"));
                assert!(!description.contains("X-") && !description.contains("spec]"), "{description}");
            }
        }
    }
}

/// Rules that relate places to one another: [`check_description`] finds them.
const BEYOND_A_SCHEMA: [&str; 7] = [
    "custom-without-labels",
    "default-against-its-schema",
    "repeated-profile-id",
    "unknown-setting-parameter",
    "unknown-setting-schema",
    "unknown-target-component",
    "unusable-pattern",
];

/// Rules whose documents a schema accepts for a reason of their own.
const OTHERWISE_SEEN: [(&str, &str); 3] = [
    ("different-ids", "X-C-03: a member that the schema does not know"),
    ("needless-label", "X-D-20: other members are allowed at the root"),
    (
        "package-of-another-type",
        "as in the OpenAPI schemas of deployments, a type says nothing about packages",
    ),
];

#[test]
fn fixtures_are_judged_as_a_strict_reading_judges_them() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"));
    let mut counts = (0, 0);
    for revision in SpecVersion::ALL {
        let folder = root.join("valid").join(revision.as_str()).join("ApplicationDescription");
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let errors = errors(&path, revision);
            let warned = strictly(fs::read(&path).unwrap(), revision).unwrap();
            assert_eq!(errors.is_empty(), !warned, "{}: {errors:?}", path.display());
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
                if !file.starts_with(&format!("ApplicationDescription-{revision}-")) || !is_document {
                    continue;
                }
                let is_beyond = BEYOND_A_SCHEMA.contains(&name.as_str())
                    || OTHERWISE_SEEN.iter().any(|(rule, _)| *rule == name);
                assert!(is_beyond || !errors(&path, revision).is_empty(), "{name}/{file} is accepted");
                counts.1 += 1;
            }
        }
    }
    assert!(counts.0 >= 18 && counts.1 >= 90, "{counts:?}");
}
