//! The JSON Schemas of the description, as far as the types do not say them by themselves.

use std::borrow::Cow;

use margo_core::SpecVersion;
use margo_core::schema::{document, vocabulary};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::{AnyApplicationDescription, ApplicationDescription, older, pre_draft, rc1, rc2};

/// The JSON Schemas of the application description in every revision: the revision, the name of the document there,
/// and the schema.
///
/// ```
/// let schemas = margo_application::schemas();
/// let names: Vec<_> = schemas.iter().map(|(revision, kind, _)| format!("{revision}/{kind}")).collect();
/// assert_eq!(names[0], "pre-draft/ApplicationDescription");
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    use SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
    vec![
        schema::<pre_draft::ApplicationDescription>(PreDraft),
        schema::<rc1::ApplicationDescription>(V1_0_0Rc1),
        schema::<rc2::ApplicationDescription>(V1_0_0Rc2),
        schema::<ApplicationDescription>(V1_0_0Rc3),
    ]
}

fn schema<T: JsonSchema>(revision: SpecVersion) -> (SpecVersion, &'static str, Schema) {
    // The tests of the schemas read the examples: none of this fails.
    let newest = serde_json::from_value(example()).ok().map(AnyApplicationDescription::Rc3);
    let example = match newest.and_then(|newest| newest.to_revision(revision).ok()) {
        Some(AnyApplicationDescription::Rc3(description)) => serde_json::to_value(description),
        Some(AnyApplicationDescription::Rc2(description)) => serde_json::to_value(description),
        Some(AnyApplicationDescription::Rc1(description)) => serde_json::to_value(description),
        Some(AnyApplicationDescription::PreDraft(description)) => serde_json::to_value(description),
        None => Ok(Value::Null),
    };
    let title = format!("Application description ({revision})");
    (revision, older::Kind::TEXT, document::<T>(&title, example.unwrap_or_default()))
}

/// A description that every revision can say.
fn example() -> Value {
    json!({
        "apiVersion": crate::API_VERSION,
        "id": "pump-monitor",
        "metadata": {
            "name": "Pump monitor",
            "description": "Warns before a bearing fails.",
            "version": "1.0.0",
            "catalog": { "organization": [{ "name": "Example Pumps", "site": "https://pumps.example" }] },
        },
        "deploymentProfiles": [{
            "type": "helm",
            "id": "pump-monitor-helm-0",
            "components": [{
                "name": "collector",
                "properties": { "repository": "oci://registry.example/collector", "revision": "1.0.9" },
            }],
        }],
        "parameters": {
            "interval": { "value": 60, "targets": [{ "pointer": "interval", "components": ["collector"] }] },
        },
        "configuration": {
            "sections": [{
                "name": "General",
                "settings": [{ "parameter": "interval", "name": "Interval", "schema": "seconds" }],
            }],
            "schema": [{ "name": "seconds", "dataType": "integer", "minValue": 5, "maxValue": 3600 }],
        },
    })
}

/// X-B-18: the table's word is read silently.
impl JsonSchema for older::Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary([Self::TEXT, "application"])
    }
}

/// X-A-32: the word of February 2025 is read silently.
impl JsonSchema for pre_draft::Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary(["application", older::Kind::TEXT])
    }
}
