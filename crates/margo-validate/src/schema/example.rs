//! Something to write, for a field that is missing or is not what it must be.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use margo_syntax::{Format, Pointer};
use serde_json::Value;

use super::compile::Schema;

impl Schema {
    /// What may stand at `at`: from the example of the whole document, from what the schema says of the field, or from
    /// what fields of this name usually hold.
    pub(crate) fn example(&self, at: &Pointer) -> Option<&Value> {
        let whole = self.document.as_ref().and_then(|document| {
            let mut here = document;
            let mut above = Pointer::root();
            for step in at.segments() {
                here = match here {
                    Value::Array(items) => items.first()?,
                    // The names in a map are the author's.
                    Value::Object(members) => members.get(&*step).or_else(|| {
                        let is_map = self.at(&above).iter().all(|shape| shape.properties.is_empty());
                        members.values().next().filter(|_| is_map)
                    })?,
                    _ => return None,
                };
                above.push(step);
            }
            Some(here)
        });
        let shapes = self.at(at);
        let own = || {
            let own = shapes.iter().find_map(|shape| shape.example.as_ref());
            own.or_else(|| shapes.iter().find_map(|shape| shape.values.as_ref()?.first()))
        };
        whole.or_else(own).or_else(|| USUAL.get(&*at.last()?).filter(|_| !shapes.is_empty()))
    }
}

/// What optional fields hold, which the examples of whole documents leave out.
static USUAL: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    // That it parses, and follows the schemas, is a test.
    serde_json::from_str(
        r#"{
            "capacityRequirements": { "cpu": { "cores": 1 }, "memory": "512Mi" },
            "cpu": { "cores": 1 },
            "cores": 1,
            "deviceConstraints": { "capacityRequirements": { "cpu": { "cores": 1 }, "memory": "512Mi" } },
            "eligibilityRules": [
                { "labelSelector": { "matchExpressions": [{ "key": "example.com/hall", "operator": "Exists" }] } }
            ],
            "error": { "code": "pull-failed", "source": "collector", "message": "image not found" },
            "code": "pull-failed",
            "source": "collector",
            "message": "image not found",
            "itemSelector": { "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["gpu"] }] },
            "key": "/vendor",
            "labelSelector": { "matchExpressions": [{ "key": "example.com/hall", "operator": "Exists" }] },
            "matchExpressions": [{ "key": "/vendor", "operator": "In", "values": ["Ostwind"] }],
            "propertySelector": { "matchExpressions": [{ "key": "/vendor", "operator": "In", "values": ["Ostwind"] }] },
            "values": ["Ostwind"],
            "timeout": "8m30s",
            "wait": true,
            "packageLocation": "https://packages.example/collector.tar.gz",
            "keyLocation": "https://packages.example/collector.asc"
        }"#,
    )
    .unwrap_or_default()
});

/// A value as it is written in one line; `None` for one that does not fit there.
pub(crate) fn shown(value: &Value, format: Format) -> Option<String> {
    let text = match format {
        Format::Json => value.to_string(),
        _ => flow(value),
    };
    (text.chars().count() <= LONGEST).then_some(text)
}

/// Longer examples are not read.
const LONGEST: usize = 160;

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => crate::reporter::plain(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", crate::reporter::plain(name), flow(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use margo_core::SpecVersion;
    use margo_syntax::{Limits, pointer};

    use super::*;
    use crate::DocumentKind;
    use crate::schema::compile::{Shape, schema};
    use crate::schema::look::look_at;

    /// Every field of the schema within this shape, and where it is.
    fn fields<'a>(schema: &'a Schema, at: &Pointer, found: &mut Vec<(Pointer, bool, Vec<&'a Shape>)>) {
        if at.segments().count() > 9 {
            return;
        }
        for shape in schema.at(at) {
            for name in shape.properties.keys() {
                let field = at.join(name);
                if found.iter().all(|(known, ..)| *known != field) {
                    found.push((field.clone(), shape.required.contains(name), schema.at(&field)));
                    fields(schema, &field, found);
                }
            }
            if shape.items.is_some() {
                fields(schema, &at.join(0), found);
            }
            if matches!(&shape.additional, crate::schema::compile::Additional::Of(_)) {
                fields(schema, &at.join("any"), found);
            }
        }
    }

    #[test]
    fn an_example_follows_its_schema_and_required_fields_have_one() {
        let (mut with, mut without) = (0, Vec::new());
        for kind in DocumentKind::ALL {
            for revision in SpecVersion::ALL {
                let Some(schema) = schema(kind, revision) else { continue };
                let mut found = Vec::new();
                fields(schema, &pointer![], &mut found);
                for (at, is_required, shapes) in found {
                    let Some(example) = schema.example(&at) else {
                        // Pre-draft peripherals are not described in the page.
                        if is_required && !at.as_str().contains("/peripherals/") {
                            without.push(format!("{kind} {revision} {at}"));
                        }
                        continue;
                    };
                    let text = example.to_string();
                    let tree =
                        margo_syntax::parse(text.as_bytes(), Format::Json, &Limits::default()).unwrap();
                    let fits = shapes.iter().any(|shape| look_at(schema, shape, tree.root()).is_empty());
                    assert!(fits, "{kind} {revision} {at}: {text}");
                    with += 1;
                }
            }
        }
        assert!(with > 200, "{with}");
        assert!(without.is_empty(), "{without:#?}");
    }

    #[test]
    fn examples_are_written_as_people_write_them() {
        let value = serde_json::json!({ "cpu": { "cores": 1 }, "memory": "512Mi", "version": "1.0", "tags": ["a: b"] });
        let yaml = "{ cpu: { cores: 1 }, memory: 512Mi, tags: [\"a: b\"], version: \"1.0\" }";
        assert_eq!(shown(&value, Format::Yaml).as_deref(), Some(yaml));
        assert_eq!(shown(&serde_json::json!("1.0"), Format::Json).as_deref(), Some("\"1.0\""));
        assert_eq!(shown(&serde_json::json!("x".repeat(200)), Format::Yaml), None);
    }
}
