//! A document without its flaws, so that the rest of it can be asked what it means.

use margo_syntax::{NodeKind, Pointer};
use serde_json::{Map, Number, Value, json};

use super::compile::{Pattern, Schema, Shape, Type};
use super::look::{Flaw, What};

/// Puts something plausible in the place of every flaw, and gives those places. `None` where a flaw says of two
/// values that they cannot stand together, and not which of them is meant.
pub(crate) fn mend(schema: &Schema, document: &mut Value, flaws: &[Flaw<'_>]) -> Option<Vec<Pointer>> {
    flaws.iter().map(|flaw| mend_one(schema, document, flaw)).collect()
}

fn mend_one(schema: &Schema, document: &mut Value, flaw: &Flaw<'_>) -> Option<Pointer> {
    let at = &flaw.at;
    let instead = match &flaw.what {
        What::Missing(shape, name) => {
            let value =
                shape.properties.get(*name).map_or_else(text, |shape| plausible(schema, shape, DEEPEST));
            if let Some(object) = document.pointer_mut(at.as_str()).and_then(Value::as_object_mut) {
                object.insert((*name).to_owned(), value);
            }
            return Some(at.join(name));
        }
        What::Unknown(_) => {
            let object =
                at.parent().and_then(|parent| document.pointer_mut(parent.as_str())?.as_object_mut());
            if let (Some(object), Some(name)) = (object, at.last()) {
                object.remove(&*name);
            }
            return Some(at.clone());
        }
        What::Misspelled(_) | What::Elsewhere(_) | What::ExtensionName | What::TooMany => {
            return Some(at.clone());
        }
        What::Empty if flaw.node.kind() != NodeKind::String => return Some(at.clone()),
        What::Branches { all: true } => return None,
        What::Empty | What::Branches { all: false } => text(),
        What::Type(shape) => plausible(schema, shape, DEEPEST),
        What::Value(values) => values.first().cloned().unwrap_or_default(),
        What::Pattern(pattern) => matching(&Pattern::new(pattern)),
        What::TooSmall(bound, is_inclusive) => number(bound + f64::from(u8::from(!is_inclusive))),
        What::TooGreat(bound) => Value::Number((*bound).clone()),
    };
    if let Some(value) = document.pointer_mut(at.as_str()) {
        *value = instead;
    }
    Some(at.clone())
}

/// How far what is required of what is required is followed. Ours need four.
const DEEPEST: usize = 8;

/// A value of this shape, with no more in it than must be.
fn plausible(schema: &Schema, shape: &Shape, depth: usize) -> Value {
    let shape = schema.resolve(shape);
    if depth == 0 {
        return Value::Null;
    }
    if let Some(value) = shape.values.as_ref().and_then(|values| values.first()) {
        return value.clone();
    }
    let inner = |shape: &Shape| plausible(schema, shape, depth - 1);
    let branch = shape.one_of.first().or_else(|| shape.any_of.first()).map(inner);
    match shape.types.iter().find(|wanted| **wanted != Type::Null) {
        Some(Type::String) => shape.pattern.as_ref().map_or_else(text, matching),
        Some(Type::Boolean) => Value::Bool(true),
        Some(Type::Integer | Type::Number) => {
            number(shape.minimum.or_else(|| shape.exclusive_minimum.map(|bound| bound + 1.0)).unwrap_or(1.0))
        }
        Some(Type::Array) => {
            shape.items.iter().cycle().take(shape.min_items).map(|shape| inner(shape)).collect()
        }
        Some(Type::Object) => {
            let mut members = match branch {
                Some(Value::Object(members)) => members,
                _ => Map::new(),
            };
            for name in &shape.required {
                let value = shape.properties.get(name).map_or_else(text, inner);
                members.entry(name.clone()).or_insert(value);
            }
            Value::Object(members)
        }
        _ => branch.unwrap_or_default(),
    }
}

/// Text that no author writes, so that nothing in the document refers to it.
fn text() -> Value {
    json!("mended-here")
}

/// Text that matches a pattern of the schemas.
fn matching(pattern: &Pattern) -> Value {
    const EXAMPLES: [&str; 6] = [
        "1m0s",
        "1Mi",
        "0.0.0-mended",
        "oci://mended.invalid/here",
        "00000000-0000-0000-0000-000000000000",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ];
    let fits = |text: &&str| pattern.matches(text);
    std::iter::once("mended-here").chain(EXAMPLES).find(fits).map_or_else(text, Value::from)
}

/// Whole numbers are integers.
fn number(float: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "the bounds of the schemas are small")]
    let whole = float.ceil() as i64;
    Value::Number(Number::from(whole))
}

#[cfg(test)]
mod tests {
    use margo_core::SpecVersion;
    use margo_syntax::{Format, Limits, Tree};

    use super::*;
    use crate::DocumentKind;
    use crate::schema::compile::schema;
    use crate::schema::look::look;

    /// Nothing at all is mended to a document that follows its schema. Where one flaw hides another, as `bundle` and
    /// `deployments` do, it takes twice.
    #[test]
    fn every_schema_has_a_plausible_document() {
        for kind in DocumentKind::ALL {
            for revision in SpecVersion::ALL {
                let Some(schema) = schema(kind, revision) else { continue };
                let mut text = "{}".to_owned();
                for _ in 0..2 {
                    let tree = read(&text);
                    let mut document = tree.to_value();
                    mend(schema, &mut document, &look(schema, &tree)).unwrap();
                    text = document.to_string();
                }
                let tree = read(&text);
                assert!(
                    look(schema, &tree).is_empty(),
                    "{kind} {revision} {text}\n{:?}",
                    look(schema, &tree)
                );
            }
        }
    }

    fn read(text: &str) -> Tree {
        margo_syntax::parse(text.as_bytes(), Format::Json, &Limits::default()).unwrap()
    }
}
