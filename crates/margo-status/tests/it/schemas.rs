//! The JSON Schemas, as far as they can be looked at without a validator.

use margo_core::{SpecVersion, Strictness};
use margo_status::{AnyDeploymentStatus, DeploymentState, pre_draft, rc1};
use serde_json::{Value, json};

fn schema(revision: SpecVersion) -> Value {
    let schemas = margo_status::schemas();
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
    let schemas = margo_status::schemas();
    assert!(schemas.iter().map(|(revision, ..)| *revision).eq(SpecVersion::ALL));
    for (revision, kind, schema) in schemas {
        let schema = schema.to_value();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["title"].as_str().unwrap().ends_with(&format!("({revision})")), "{kind}");
        let example = schema["examples"][0].clone();
        let reading = AnyDeploymentStatus::read_value(example.clone(), Some(revision), Strictness::Strict);
        let reading = reading.unwrap_or_else(|e| panic!("{revision}: {e}"));
        assert_eq!((reading.deviations, reading.value.contradiction()), (vec![], None));
        assert_eq!(reading.value.to_json(), example.to_string().into_bytes());
        // Its members are those the schema knows, and all that are required are there.
        for name in example.as_object().unwrap().keys() {
            assert!(schema["properties"][name].is_object(), "{revision} {name}");
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(example.get(name.as_str().unwrap()).is_some(), "{revision} {name}");
        }
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
    let words = |revision| {
        let schema = schema(revision);
        schema["$defs"]["DeploymentState"]["enum"].clone()
    };
    assert_eq!(words(SpecVersion::PreDraft), json!(pre_draft::DeploymentState::KNOWN));
    assert_eq!(words(SpecVersion::V1_0_0Rc1), json!(rc1::DeploymentState::KNOWN));
    assert_eq!(words(SpecVersion::V1_0_0Rc3), json!(DeploymentState::KNOWN));

    let envelope = json!(["apiVersion", "kind", "deploymentId", "status", "components"]);
    for revision in [SpecVersion::PreDraft, SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2] {
        assert_eq!(schema(revision)["required"], envelope);
    }
    let newest = schema(SpecVersion::V1_0_0Rc3);
    assert_eq!(newest["required"], json!(["deploymentId", "adoptedManifestVersion", "status", "components"]));
    let version = &newest["$defs"]["ManifestVersion"];
    assert_eq!((&version["minimum"], &version["maximum"]), (&json!(1), &json!(u64::MAX)));
    // Open, as the OpenAPI documents have it.
    for revision in SpecVersion::ALL {
        assert!(within(&schema(revision)).iter().all(|inner| inner.get("additionalProperties").is_none()));
    }
}
