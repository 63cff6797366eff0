//! The JSON Schemas of these documents, as far as the types do not say them by themselves.

use std::borrow::Cow;

use margo_core::SpecVersion;
use margo_core::schema::{document, text};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use crate::{DiscoveryDocument, SpiffeBundle, TrustBundleUri, TrustDomain};

/// The JSON Schemas of discovery document and SPIFFE bundle: the revision, the name of the document there, and the
/// schema.
///
/// ```
/// let names: Vec<_> = margo_identity::schemas().into_iter().map(|(_, kind, _)| kind).collect();
/// assert_eq!(names, ["DiscoveryDocument", "SpiffeBundle"]);
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    let discovery = json!({
        "trustDomain": "factory.example",
        "trustBundleUri": "https://mis.factory.example/.well-known/spiffe/bundle.json",
    });
    let bundle = json!({
        "spiffe_sequence": 12,
        "spiffe_refresh_hint": 86400,
        "keys": [{"kty": "EC", "crv": "P-256", "use": "x509-svid", "x": "…", "y": "…", "x5c": ["MIIB…"]}],
    });
    let (newest, of) = (SpecVersion::V1_0_0Rc3, "(1.0.0-rc.3)");
    vec![
        (
            newest,
            "DiscoveryDocument",
            document::<DiscoveryDocument>(&format!("Discovery document {of}"), discovery),
        ),
        (newest, "SpiffeBundle", document::<SpiffeBundle>(&format!("SPIFFE bundle {of}"), bundle)),
    ]
}

impl JsonSchema for TrustDomain {
    fn schema_name() -> Cow<'static, str> {
        "TrustDomain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        text("^[a-z0-9._-]{1,255}$", "factory.example")
    }
}

impl JsonSchema for TrustBundleUri {
    fn schema_name() -> Cow<'static, str> {
        "TrustBundleUri".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = text(
            "^https://[^@/?#]+([/?#].*)?$",
            "https://mis.factory.example/.well-known/spiffe/bundle.json",
        );
        schema.insert("format".to_owned(), "uri".into());
        schema
    }
}
