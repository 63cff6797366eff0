//! JSON Schemas (draft 2020-12) of documents, for editors and validators; behind the feature `schema`.
//!
//! A schema describes the canonical form: what this library writes, and what it reads silently. Vocabularies are
//! closed in it and name the values the specification names, although a reader keeps every other value too.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{
    ApplicationId, ClientId, ComponentName, DeploymentId, DeviceId, DeviceTarget, Digest, Extensions,
    ManifestVersion, Quantity, SpecVersion, Timeout,
};

/// The schema of a document: of what is written, with `title`, and with `example` to show one.
///
/// Descriptions are the first paragraphs of the documentation of types and fields, without their citations. An
/// optional member is one that may be left out and never one that may be null; where null is a value of its own, the
/// type says so with `oneOf`.
///
/// ```
/// use margo_core::schema;
/// use serde_json::json;
///
/// #[derive(schemars::JsonSchema, serde::Serialize)]
/// struct Note {
///     /// What is noted (R-A-001).
///     text: String,
/// }
///
/// let schema = schema::document::<Note>("Note", json!({"text": "Hello"}));
/// assert_eq!(schema.pointer("/properties/text/description"), Some(&json!("What is noted.")));
/// assert_eq!(schema.get("examples"), Some(&json!([{"text": "Hello"}])));
/// ```
#[must_use]
pub fn document<T: JsonSchema>(title: &str, example: Value) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings
        .with_transform(RecursiveTransform(not_null))
        .with_transform(RecursiveTransform(plain))
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.insert("examples".to_owned(), Value::Array(vec![example]));
    schema
}

/// The schema of one of several texts.
#[must_use]
pub fn vocabulary<'a>(values: impl IntoIterator<Item = &'a str>) -> Schema {
    let values: Vec<_> = values.into_iter().collect();
    json_schema!({"type": "string", "enum": values})
}

/// The schema of a text with a pattern (ECMA-262).
#[must_use]
pub fn text(pattern: &str, example: &str) -> Schema {
    json_schema!({"type": "string", "pattern": pattern, "examples": [example]})
}

/// The names of supplier extensions, as a pattern (R-D-032).
pub const EXTENSION_NAME: &str = "^x-[a-z][a-z0-9-]*-extensions$";

/// Closes an object but for supplier extensions, which are objects (R-D-032).
///
/// For `#[schemars(transform = margo_core::schema::close)]`.
pub fn close(schema: &mut Schema) {
    extend(schema);
    schema.insert("additionalProperties".to_owned(), false.into());
}

/// Says of an object that stays open what supplier extensions in it are: objects (R-D-032).
///
/// For `#[schemars(transform = margo_core::schema::extend)]`.
pub fn extend(schema: &mut Schema) {
    let extensions = json!({
        EXTENSION_NAME: {"type": "object", "description": "A supplier's extension: any object."},
    });
    schema.insert("patternProperties".to_owned(), extensions);
}

macro_rules! text {
    ($($(#[$meta:meta])* $name:ident = $pattern:literal, $example:literal;)+) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text($pattern, $example)
            }
        }
    )+};
}

text! {
    // Weaker than the reader, which refuses `.` and `..` as segments (X-C-13, X-D-32): this is the printed pattern.
    DeviceId = "^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$", "gateway-1/plc-7";
    DeviceTarget = "^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*(/\\*)?$", "gateway-1/*";
    ClientId = "^[A-Za-z0-9._~-]+$", "plant-7";
    // Any text that is safe as one segment of a path (X-C-16).
    DeploymentId = "^[A-Za-z0-9._~-]+$", "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11";
    ApplicationId = "^[a-z0-9-]{1,200}$", "pump-monitor";
    ComponentName = "^[a-z0-9-]+$", "pump-monitor-database";
    Digest = "^sha256:[0-9a-f]{64}$", "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    // One blank is allowed, as in every example of the specification (X-B-07, X-D-07).
    Quantity = "^[0-9]+ ?(Ki|Mi|Gi|Ti|Pi|Ei)$", "16Gi";
    Timeout = "^[0-9]+m[0-9]+s$", "8m30s";
}

impl JsonSchema for ManifestVersion {
    fn schema_name() -> Cow<'static, str> {
        "ManifestVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": u64::MAX, "examples": [1]})
    }
}

impl JsonSchema for SpecVersion {
    fn schema_name() -> Cow<'static, str> {
        "SpecVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary(Self::ALL.map(Self::as_str))
    }
}

/// Any members: what is flattened into an object leaves it open.
impl JsonSchema for Extensions {
    fn schema_name() -> Cow<'static, str> {
        "Extensions".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// An `Option` is left out, never null; what reads as empty when it is left out is no default to be written.
fn not_null(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.get("default").is_some_and(|default| default.is_null() || default == "") {
        schema.remove("default");
    }
    for name in ["type", "enum"] {
        let Some(Value::Array(values)) = schema.get_mut(name) else { continue };
        values.retain(|value| !value.is_null() && *value != "null");
        if name == "type" && values.len() == 1 {
            let only = values.remove(0);
            schema.insert(name.to_owned(), only);
        }
    }
    let Some(Value::Array(values)) = schema.get_mut("anyOf") else { return };
    values.retain(|value| *value != json!({"type": "null"}));
    if values.len() == 1
        && let Value::Object(only) = values.remove(0)
    {
        schema.remove("anyOf");
        // What is said of the member goes before what is said of its type.
        for (name, value) in only {
            schema.entry(name).or_insert(value);
        }
    }
}

/// Plain descriptions, and no formats that only Rust has.
fn plain(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| {
        matches!(format, "double" | "float" | "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "int64")
    }) {
        schema.remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = prose(description);
    }
}

/// The first paragraph of a documentation, without links and without citations in parentheses.
fn prose(documentation: &str) -> String {
    let paragraph = documentation.split("\n\n").next().unwrap_or_default();
    let paragraph: Vec<_> = paragraph.split_whitespace().collect();
    let mut rest = paragraph.join(" ");
    let mut prose = String::new();
    // A link is its text: what is in brackets, without what is in parentheses directly behind. Brackets inside code are
    // code.
    while let Some((before, after)) = rest.split_once('[') {
        prose.push_str(before);
        if prose.matches('`').count() % 2 == 1 {
            prose.push('[');
            rest = after.to_owned();
            continue;
        }
        let (text, after) = after.split_once(']').unwrap_or((after, ""));
        prose.push_str(text);
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = target.map_or(after, |(_, after)| after).to_owned();
    }
    prose.push_str(&rest);

    let mut plain = String::new();
    let mut rest = prose.as_str();
    while let Some((before, after)) = rest.split_once(" (") {
        let (inside, after) = after.split_once(')').unwrap_or((after, ""));
        plain.push_str(before);
        let kept = without_citations(inside);
        if !kept.is_empty() {
            plain.push_str(" (");
            plain.push_str(&kept);
            plain.push(')');
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// What is in parentheses, as it is if nothing in it is a citation.
fn without_citations(inside: &str) -> String {
    if !inside.split([',', ';']).any(is_citation) {
        return inside.to_owned();
    }
    let kept = inside.split([',', ';']).filter(|part| !is_citation(part)).map(str::trim);
    kept.collect::<Vec<_>>().join(", ")
}

/// `spec`, `R-D-024`, `X-A-14`, `MI-004`, `rev-D 3.7`, or a range such as `R-C-003 to R-C-012`.
fn is_citation(text: &str) -> bool {
    text.split(" to ").all(|text| {
        let text = text.trim();
        text == "spec" || ["R-", "X-", "MI-", "rev-"].iter().any(|prefix| text.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    crate::string_enum! {
        /// A light.
        enum Light {
            /// Stop.
            Red = "red",
            /// Go.
            Green = "green",
        }
    }

    /// A crossing of `roads[0]` ([RFC 1], [spec], rev-A 1, R-A-001).
    ///
    /// More about it.
    #[derive(Serialize, JsonSchema)]
    #[schemars(crate = "schemars", transform = close)]
    struct Crossing {
        /// How many lights; see [`Light`] and [the page](https://example.com) (one at least) (X-A-14, MI-004).
        ///
        /// The rest is for programmers.
        count: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        light: Option<Light>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        devices: BTreeMap<String, DeviceId>,
        #[serde(flatten)]
        extensions: Extensions,
    }

    fn schema() -> Value {
        document::<Crossing>("Crossing", json!({"count": 1})).to_value()
    }

    #[test]
    fn what_may_be_left_out_is_not_required_and_never_null() {
        let schema = schema();
        assert_eq!(schema["required"], json!(["count"]));
        assert!(!schema.to_string().contains("null"), "{schema}");
        assert_eq!(schema["properties"]["name"], json!({"type": "string"}));
        assert_eq!(schema["$defs"]["Light"], json!({"type": "string", "enum": ["red", "green"]}));
        assert!(Light::KNOWN.iter().all(Light::is_known));
    }

    #[test]
    fn descriptions_are_read_by_people_without_rustdoc() {
        let schema = schema();
        assert_eq!(schema["description"], "A crossing of `roads[0]` (RFC 1).");
        assert_eq!(
            schema["properties"]["count"]["description"],
            "How many lights; see `Light` and the page (one at least)."
        );
        assert_eq!(schema["properties"]["count"].get("format"), None);
    }

    /// R-D-032.
    #[test]
    fn a_closed_object_lets_extensions_in() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["patternProperties"][EXTENSION_NAME]["type"], "object");
        assert_eq!(schema["title"], "Crossing");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}
