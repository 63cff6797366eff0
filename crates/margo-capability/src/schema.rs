use std::borrow::Cow;

use margo_core::SpecVersion;
use margo_core::schema::{document, vocabulary};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{DeviceCapabilitiesManifest, LabelValue, pre_draft, rc1, rc2};

/// The JSON Schema of the device capabilities in every revision: the revision, the name of the document there, and the
/// schema.
///
/// ```
/// let schemas = margo_capability::schemas();
/// let names: Vec<_> = schemas.iter().map(|(revision, kind, _)| format!("{revision}/{kind}")).collect();
/// assert_eq!(names[0], "pre-draft/DeviceCapabilities");
/// assert_eq!(names[3], "1.0.0-rc.3/DeviceCapabilitiesManifest");
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    let resources = json!({
        "cpu": {"cores": 4, "architecture": "arm64"},
        "memory": "8Gi",
        "storage": "64Gi",
        "peripherals": [{"type": "camera", "manufacturer": "Ostwind", "model": "OW-C2"}],
        "interfaces": [{"type": "ethernet"}, {"type": "canbus"}],
    });
    let pre_draft = json!({
        "apiVersion": pre_draft::API_VERSION,
        "kind": pre_draft::Kind::TEXT,
        "properties": {
            "id": "plc-7",
            "vendor": "Ostwind",
            "modelNumber": "OW-7000",
            "serialNumber": "7000-0815",
            "roles": ["Standalone Device"],
            "resources": {
                "cpus": [{"architecture": "arm64", "cores": 4, "frequency": 2}],
                "memory": 8,
                "storage": 64,
            },
            "peripherals": [],
            "interfaces": [
                {"name": "eth0", "type": "Ethernet", "modelNumber": "OW-E1", "properties": {"maxSpeed": "1 Gbps"}},
            ],
        },
    });
    let rc1 = json!({
        "apiVersion": rc1::API_VERSION,
        "kind": rc1::Kind::TEXT,
        "properties": {
            "id": "plc-7",
            "vendor": "Ostwind",
            "modelNumber": "OW-7000",
            "serialNumber": "7000-0815",
            "roles": ["Standalone Device"],
            "resources": resources.clone(),
        },
    });
    let rc2 = json!({
        "apiVersion": rc2::API_VERSION,
        "kind": rc2::Kind::TEXT,
        "properties": {
            "id": "gateway-1/plc-7",
            "vendor": "Ostwind",
            "modelNumber": "OW-7000",
            "serialNumber": "7000-0815",
            "roles": ["Standalone Device"],
            "resources": resources,
        },
    });
    let rc3 = json!({
        "properties": {
            "id": "gateway-1/plc-7",
            "vendor": "Ostwind",
            "modelNumber": "OW-7000",
            "serialNumber": "7000-0815",
            "cpus": [{"cores": 4, "architecture": "arm64"}],
            "memory": "8Gi",
            "storage": "64Gi",
            "peripherals": [{"type": "camera", "manufacturer": "Ostwind", "model": "OW-C2"}],
            "interfaces": [{"type": "ethernet"}, {"type": "canbus"}],
            "otelCollector": true,
            "supportedRuntimes": ["oci"],
            "supportedDeploymentTypes": ["compose"],
        },
        "labels": {"ostwind.example/hall": 2, "ostwind.example/lines": ["mixing", "filling"]},
        "x-ostwind-extensions": {"cabinet": "B12"},
    });
    vec![
        schema::<pre_draft::DeviceCapabilities>(SpecVersion::PreDraft, pre_draft::Kind::TEXT, pre_draft),
        schema::<rc1::DeviceCapabilitiesManifest>(SpecVersion::V1_0_0Rc1, rc1::Kind::TEXT, rc1),
        schema::<rc2::DeviceCapabilitiesManifest>(SpecVersion::V1_0_0Rc2, rc2::Kind::TEXT, rc2),
        schema::<DeviceCapabilitiesManifest>(SpecVersion::V1_0_0Rc3, rc2::Kind::TEXT, rc3),
    ]
}

fn schema<T: JsonSchema>(
    revision: SpecVersion,
    kind: &'static str,
    example: Value,
) -> (SpecVersion, &'static str, Schema) {
    (revision, kind, document::<T>(&format!("Device capabilities ({revision})"), example))
}

impl JsonSchema for LabelValue {
    fn schema_name() -> Cow<'static, str> {
        "LabelValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text, a number, a boolean, a list of texts or a list of numbers.",
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": "string"}},
                {"type": "array", "items": {"type": "number"}},
            ],
        })
    }
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
