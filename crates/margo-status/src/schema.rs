use std::borrow::Cow;

use margo_core::SpecVersion;
use margo_core::schema::{document, vocabulary};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::{DeploymentStatusManifest, pre_draft, rc1, rc2};

/// The JSON Schema of the deployment status in every revision: the revision, the name of the document there, and the
/// schema.
///
/// ```
/// let schemas = margo_status::schemas();
/// let names: Vec<_> = schemas.iter().map(|(revision, kind, _)| format!("{revision}/{kind}")).collect();
/// assert_eq!(names[0], "pre-draft/DeploymentStatus");
/// assert_eq!(names[3], "1.0.0-rc.3/DeploymentStatusManifest");
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    let pre_draft = json!({
        "apiVersion": pre_draft::API_VERSION,
        "kind": pre_draft::Kind::TEXT,
        "deploymentId": "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11",
        "status": {"state": "Installing"},
        "components": [
            {"name": "telemetry-database", "state": "Installed"},
            {"name": "telemetry-broker", "state": "Installing"},
        ],
    });
    let rc1 = json!({
        "apiVersion": rc1::API_VERSION,
        "kind": rc1::Kind::TEXT,
        "deploymentId": "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11",
        "status": {"state": "removing"},
        "components": [
            {"name": "telemetry-database", "state": "removing"},
            {"name": "telemetry-broker", "state": "removed"},
        ],
    });
    let rc2 = json!({
        "apiVersion": rc2::API_VERSION,
        "kind": rc2::Kind::TEXT,
        "deploymentId": "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11",
        "deviceId": "gateway-1/plc-7",
        "status": {
            "state": "failed",
            "error": {"code": "102", "source": "gateway-1", "message": "plc-7 does not answer"},
        },
        "components": [{"name": "telemetry-broker", "state": "failed"}],
    });
    let mut rc3 = rc2.clone();
    if let Value::Object(members) = &mut rc3 {
        members.retain(|name, _| name != "apiVersion" && name != "kind");
        members.insert("adoptedManifestVersion".to_owned(), 7.into());
    }
    vec![
        schema::<pre_draft::DeploymentStatus>(SpecVersion::PreDraft, pre_draft::Kind::TEXT, pre_draft),
        schema::<rc1::DeploymentStatusManifest>(SpecVersion::V1_0_0Rc1, rc1::Kind::TEXT, rc1),
        schema::<rc2::DeploymentStatusManifest>(SpecVersion::V1_0_0Rc2, rc2::Kind::TEXT, rc2),
        schema::<DeploymentStatusManifest>(SpecVersion::V1_0_0Rc3, rc2::Kind::TEXT, rc3),
    ]
}

fn schema<T: JsonSchema>(
    revision: SpecVersion,
    kind: &'static str,
    example: Value,
) -> (SpecVersion, &'static str, Schema) {
    (revision, kind, document::<T>(&format!("Deployment status ({revision})"), example))
}

impl JsonSchema for pre_draft::Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary([Self::TEXT])
    }
}

impl JsonSchema for rc1::Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary([Self::TEXT])
    }
}

impl JsonSchema for rc2::Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary([Self::TEXT])
    }
}
