//! The JSON Schemas, as far as they can be looked at without a validator.

use margo_capability::{AnyDeviceCapabilities, pre_draft, rc1, rc2};
use margo_core::schema::EXTENSION_NAME;
use margo_core::{SpecVersion, Strictness};
use serde_json::{Value, json};

fn schema(revision: SpecVersion) -> Value {
    let schemas = margo_capability::schemas();
    schemas.into_iter().find(|(other, ..)| *other == revision).map(|(.., schema)| schema.to_value()).unwrap()
}

/// Every schema in a schema.
fn within(schema: &Value) -> Vec<&Value> {
    let mut all = vec![schema];
    for name in ["properties", "patternProperties", "$defs"] {
        all.extend(schema[name].as_object().into_iter().flatten().flat_map(|(_, inner)| within(inner)));
    }
    all.extend(schema.get("items").into_iter().flat_map(within));
    all
}

#[test]
fn there_is_one_for_every_revision_with_an_example_that_follows_it() {
    let schemas = margo_capability::schemas();
    assert!(schemas.iter().map(|(revision, ..)| *revision).eq(SpecVersion::ALL));
    for (revision, kind, schema) in schemas {
        let schema = schema.to_value();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["title"].as_str().unwrap().ends_with(&format!("({revision})")), "{kind}");
        let example = schema["examples"][0].clone();
        let reading = AnyDeviceCapabilities::read_value(example.clone(), Some(revision), Strictness::Strict);
        let reading = reading.unwrap_or_else(|e| panic!("{revision}: {e}"));
        assert_eq!(reading.deviations, []);
        assert_eq!(reading.value.to_json(), example.to_string().into_bytes());
    }
}

#[test]
fn every_member_is_described_and_none_is_null() {
    for revision in SpecVersion::ALL {
        let schema = schema(revision);
        assert!(!schema.to_string().contains("null"), "{revision}");
        for inner in within(&schema) {
            for (name, member) in inner["properties"].as_object().into_iter().flatten() {
                let description =
                    member["description"].as_str().unwrap_or_else(|| panic!("{revision} {name}"));
                assert!(!description.contains("X-") && !description.contains("spec]"), "{description}");
            }
        }
    }
}

#[test]
fn words_and_required_members_are_those_of_the_revision() {
    let definition = |revision, name: &str| schema(revision)["$defs"][name].clone();
    let roles = |revision| definition(revision, "Role")["enum"].clone();
    assert_eq!(roles(SpecVersion::PreDraft), json!(pre_draft::Role::KNOWN));
    assert_eq!(roles(SpecVersion::V1_0_0Rc1), json!(rc1::Role::KNOWN));
    assert_eq!(roles(SpecVersion::V1_0_0Rc2), json!(rc2::Role::KNOWN));
    assert_eq!(definition(SpecVersion::V1_0_0Rc1, "Architecture")["enum"], json!(["amd64", "arm64", "arm"]));

    let required = |revision| definition(revision, "Properties")["required"].clone();
    let identity = ["id", "vendor", "modelNumber", "serialNumber"];
    assert_eq!(required(SpecVersion::V1_0_0Rc3), json!(identity));
    assert_eq!(required(SpecVersion::V1_0_0Rc2), json!([&identity[..], &["roles"]].concat()));
    assert_eq!(required(SpecVersion::V1_0_0Rc1), json!([&identity[..], &["roles", "resources"]].concat()));
    let newest = definition(SpecVersion::V1_0_0Rc3, "Properties");
    for member in ["supportedRuntimes", "supportedDeploymentTypes"] {
        assert_eq!(newest["properties"][member]["minItems"], 1);
    }
}

/// R-D-032: the root of 1.0.0-rc.3 is closed, and nothing else is.
#[test]
fn only_the_newest_root_is_closed() {
    for revision in SpecVersion::ALL {
        let schema = schema(revision);
        let closed: Vec<_> = within(&schema)
            .into_iter()
            .filter(|inner| inner.get("additionalProperties") == Some(&json!(false)))
            .collect();
        if revision == SpecVersion::V1_0_0Rc3 {
            assert_eq!(closed, [&schema]);
            assert_eq!(schema["patternProperties"][EXTENSION_NAME]["type"], "object");
        } else {
            assert!(closed.is_empty(), "{revision}");
        }
    }
}
