//! The JSON Schemas of these documents, as far as the types do not say them by themselves.

use std::borrow::Cow;

use margo_core::schema::{close, document, text, vocabulary};
use margo_core::{ComponentName, Digest, SpecVersion, Timeout};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::older::Kind;
use crate::{
    AnyApplicationDeployment, ApplicationDeployment, BUNDLE_MEDIA_TYPE, BundleRef, ComponentProperties,
    DesiredStateManifest, Revision, pre_draft, rc1, rc2,
};

/// The regular expression of revision D, section 3.3.
const REVISION: &str = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:_([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$";

/// The JSON Schemas of deployment and state manifest in every revision that has them: the revision, the name of the
/// document there, and the schema.
///
/// ```
/// let schemas = margo_deployment::schemas();
/// let names: Vec<_> = schemas.iter().map(|(revision, kind, _)| format!("{revision}/{kind}")).collect();
/// assert_eq!(names[0], "pre-draft/ApplicationDeployment");
/// assert_eq!(names[6], "1.0.0-rc.3/DesiredStateManifest");
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    use SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
    let example = example();
    vec![
        deployment::<pre_draft::ApplicationDeployment>(PreDraft, &example),
        deployment::<rc1::ApplicationDeployment>(V1_0_0Rc1, &example),
        deployment::<rc2::ApplicationDeployment>(V1_0_0Rc2, &example),
        deployment::<ApplicationDeployment>(V1_0_0Rc3, &example),
        manifest(V1_0_0Rc1),
        manifest(V1_0_0Rc2),
        manifest(V1_0_0Rc3),
    ]
}

fn deployment<T: JsonSchema>(revision: SpecVersion, example: &Value) -> (SpecVersion, &'static str, Schema) {
    // The tests of the schemas read the examples: none of this fails.
    let newest = ApplicationDeployment::from_value(example.clone()).ok().map(AnyApplicationDeployment::Rc3);
    let older = newest.and_then(|newest| newest.to_revision(revision, &"plc-7".parse().ok()?).ok());
    let example = match older {
        Some(AnyApplicationDeployment::Rc3(deployment)) => serde_json::to_value(deployment),
        Some(AnyApplicationDeployment::Rc2(deployment)) => serde_json::to_value(deployment),
        Some(AnyApplicationDeployment::Rc1(deployment)) => serde_json::to_value(deployment),
        Some(AnyApplicationDeployment::PreDraft(deployment)) => serde_json::to_value(deployment),
        None => Ok(Value::Null),
    };
    let title = format!("Application deployment ({revision})");
    (revision, Kind::TEXT, document::<T>(&title, example.unwrap_or_default()))
}

/// A deployment that every revision can say.
fn example() -> Value {
    json!({
        "id": "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11",
        "metadata": { "name": "pump-monitor-3e9f6a0e", "namespace": "plant", "deviceId": "plc-7" },
        "spec": {
            "applicationId": "pump-monitor",
            "deploymentProfile": {
                "type": "helm",
                "components": [{
                    "name": "collector",
                    "properties": {
                        "repository": "oci://registry.example/collector",
                        "revision": "1.0.9",
                        "wait": true,
                        "timeout": "8m30s",
                    },
                }],
            },
            "parameters": {
                "interval": { "value": 30, "targets": [{ "pointer": "interval", "components": ["collector"] }] },
            },
        },
    })
}

fn manifest(revision: SpecVersion) -> (SpecVersion, &'static str, Schema) {
    let prefix = if revision == SpecVersion::V1_0_0Rc3 { "/api/v1" } else { "/api/v1/clients/plant-7" };
    let (bundle, deployment) = (Digest::of(b"bundle"), Digest::of(b"deployment"));
    let id = "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11";
    let example = json!({
        "manifestVersion": 7,
        "bundle": {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "digest": bundle,
            "sizeBytes": 1200,
            "url": format!("{prefix}/bundles/{bundle}"),
        },
        "deployments": [{
            "deploymentId": id,
            "digest": deployment,
            "sizeBytes": 700,
            "url": format!("{prefix}/deployments/{id}/{deployment}"),
        }],
    });
    let title = format!("State manifest ({revision})");
    (revision, "DesiredStateManifest", document::<DesiredStateManifest>(&title, example))
}

/// An amount of memory as requirements write it: without blank (X-D-07).
#[must_use]
pub fn memory(_: &mut SchemaGenerator) -> Schema {
    text("^[0-9]+(Mi|Gi|Ki)$", "512Mi")
}

/// An amount of storage as requirements write it: without blank (X-D-07).
#[must_use]
pub fn storage(_: &mut SchemaGenerator) -> Schema {
    text("^[0-9]+(Mi|Gi|Ki|Ti|Pi|Ei)$", "20Gi")
}

/// X-C-16: what the older revisions write.
pub(crate) fn uuid(_: &mut SchemaGenerator) -> Schema {
    text(
        "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11",
    )
}

pub(crate) fn bundle(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "oneOf": [generator.subschema_for::<BundleRef>(), { "type": "null" }] })
}

pub(crate) fn bundle_media_type(_: &mut SchemaGenerator) -> Schema {
    vocabulary([BUNDLE_MEDIA_TYPE])
}

/// R-B-021: null exactly when there are no deployments.
pub(crate) fn bundle_exactly_when_deployments(schema: &mut Schema) {
    schema.insert("if".to_owned(), json!({ "properties": { "deployments": { "maxItems": 0 } } }));
    schema.insert("then".to_owned(), json!({ "properties": { "bundle": { "type": "null" } } }));
    schema.insert("else".to_owned(), json!({ "properties": { "bundle": { "type": "object" } } }));
}

/// X-A-29, X-B-14, X-D-04: absent parameters are none.
pub(crate) fn parameters_may_be_missing(schema: &mut Schema) {
    may_be_missing(schema, "parameters");
}

/// X-B-14.
pub(crate) fn namespace_may_be_missing(schema: &mut Schema) {
    may_be_missing(schema, "namespace");
}

pub(crate) fn close_spec(schema: &mut Schema) {
    parameters_may_be_missing(schema);
    close(schema);
}

fn may_be_missing(schema: &mut Schema, member: &str) {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != member);
    }
}

impl JsonSchema for Kind {
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

impl JsonSchema for Revision {
    fn schema_name() -> Cow<'static, str> {
        "Revision".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        text(REVISION, "1.0.9")
    }
}

/// In the newest revision: a package in a registry. The object is open (X-D-38).
impl JsonSchema for ComponentProperties {
    fn schema_name() -> Cow<'static, str> {
        "ComponentProperties".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let revision = generator.subschema_for::<Revision>();
        let mut properties = how_to_install(generator);
        properties.insert(
            "repository".to_owned(),
            json!({
                "type": "string",
                "pattern": "^oci://.+",
                "description": "Where the package is.",
                "examples": ["oci://registry.example/collector"],
            }),
        );
        properties.insert("revision".to_owned(), described(revision, "Which package: its tag."));
        json_schema!({
            "type": "object",
            "description": "Where a component's package is, and how to install it.",
            "properties": properties,
            "required": ["repository", "revision"],
        })
    }
}

/// A component as the older revisions write it: a chart, or an archive at a URL.
#[derive(Debug)]
#[non_exhaustive]
pub struct OlderComponent;

impl JsonSchema for OlderComponent {
    fn schema_name() -> Cow<'static, str> {
        "Component".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = |description: &str, example: &str| json!({ "type": "string", "minLength": 1, "description": description, "examples": [example] });
        let mut chart = how_to_install(generator);
        chart.insert(
            "repository".to_owned(),
            text("Where the chart is.", "oci://registry.example/charts/collector"),
        );
        chart.insert("revision".to_owned(), text("The full version of the chart.", "1.0.9"));
        let mut archive = how_to_install(generator);
        archive.insert(
            "packageLocation".to_owned(),
            text("The URL of a gzipped tar file.", "https://packages.example/collector-1.0.9.tar.gz"),
        );
        archive.insert(
            "keyLocation".to_owned(),
            text("The URL of the public key that verifies it.", "https://packages.example/signing.asc"),
        );
        let name = described(
            generator.subschema_for::<ComponentName>(),
            "Unique in the profile; what parameters target and status reports name.",
        );
        json_schema!({
            "type": "object",
            "description": "One part of an application.",
            "properties": {
                "name": name,
                "properties": {
                    "description": "Where the package is, and how to install it.",
                    "oneOf": [
                        { "type": "object", "properties": chart, "required": ["repository", "revision"] },
                        { "type": "object", "properties": archive, "required": ["packageLocation"] },
                    ],
                },
            },
            "required": ["name", "properties"],
        })
    }
}

fn how_to_install(generator: &mut SchemaGenerator) -> serde_json::Map<String, Value> {
    let timeout = generator.subschema_for::<Timeout>();
    let wait = json!({
        "type": "boolean",
        "default": true,
        "description": "Whether the next component waits for this one.",
    });
    let timeout = described(timeout, "How long the installation may take before it has failed.");
    [("wait".to_owned(), wait), ("timeout".to_owned(), timeout)].into_iter().collect()
}

fn described(mut schema: Schema, description: &str) -> Value {
    schema.insert("description".to_owned(), description.into());
    schema.to_value()
}
