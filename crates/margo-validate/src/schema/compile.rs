//! A JSON Schema in the form in which it is applied.
//!
//! Only the keywords that our generator writes are understood. Any other is an error and not ignored, so a schema
//! cannot quietly check less than it says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use margo_core::SpecVersion;
use margo_syntax::Pointer;
use regex::Regex;
use serde_json::{Map, Number, Value};

use crate::DocumentKind;

/// The schema of a document, compiled once. `None` if the revision has no such document.
pub(crate) fn schema(kind: DocumentKind, revision: SpecVersion) -> Option<&'static Schema> {
    const KINDS: usize = DocumentKind::ALL.len();
    static COMPILED: [[OnceLock<Option<Schema>>; KINDS]; SpecVersion::ALL.len()] =
        [const { [const { OnceLock::new() }; KINDS] }; SpecVersion::ALL.len()];

    let row = SpecVersion::ALL.iter().position(|known| *known == revision)?;
    let column = DocumentKind::ALL.iter().position(|known| *known == kind)?;
    let compiled = COMPILED[row][column].get_or_init(|| {
        // That every committed schema compiles is a test.
        let compiled = Schema::compile(super::text(kind, revision)?).ok()?;
        Some(Schema { of: Some((kind, revision)), ..compiled })
    });
    compiled.as_ref()
}

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) root: Shape,
    /// A whole document.
    pub(crate) document: Option<Value>,
    /// The document it describes.
    of: Option<(DocumentKind, SpecVersion)>,
    definitions: Vec<Shape>,
}

/// What one value must be.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The definition that stands here instead.
    pub(crate) reference: Option<usize>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) example: Option<Value>,
    /// No types means any.
    pub(crate) types: Vec<Type>,
    pub(crate) values: Option<Vec<Value>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) min_length: usize,
    pub(crate) minimum: Option<f64>,
    pub(crate) exclusive_minimum: Option<f64>,
    pub(crate) maximum: Option<Number>,
    pub(crate) min_items: usize,
    pub(crate) max_items: Option<usize>,
    pub(crate) items: Option<Box<Shape>>,
    pub(crate) required: Vec<String>,
    pub(crate) properties: BTreeMap<String, Shape>,
    pub(crate) pattern_properties: Vec<(Pattern, Shape)>,
    pub(crate) additional: Additional,
    pub(crate) one_of: Vec<Shape>,
    pub(crate) any_of: Vec<Shape>,
    pub(crate) condition: Option<Box<[Shape; 3]>>,
}

/// What other members an object may have.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    #[default]
    Any,
    None,
    Of(Box<Shape>),
}

/// A type of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// A regular expression, compiled when it is first needed.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: Box<str>,
    regex: OnceLock<Option<Arc<Regex>>>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.into(), regex: OnceLock::new() }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.get_or_init(|| compiled(&self.text)).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// The regular expression of a pattern, which the schemas of all revisions share.
fn compiled(pattern: &str) -> Option<Arc<Regex>> {
    static COMPILED: Mutex<BTreeMap<Box<str>, Arc<Regex>>> = Mutex::new(BTreeMap::new());
    let mut known = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known.get(pattern) {
        return Some(Arc::clone(regex));
    }
    // The digits of ECMA-262 are those of ASCII.
    let regex = Arc::new(Regex::new(&pattern.replace(r"\d", "[0-9]")).ok()?);
    known.insert(pattern.into(), Arc::clone(&regex));
    Some(regex)
}

impl Schema {
    fn compile(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = value.as_object().ok_or("a schema is an object")?;
        let none = Map::new();
        let definitions = object.get("$defs").and_then(Value::as_object).unwrap_or(&none);
        let names: Names<'_> =
            definitions.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        Ok(Self {
            root: shape(&value, &names)?,
            document: first(object.get("examples")),
            of: None,
            definitions: definitions.values().map(|value| shape(value, &names)).collect::<Result<_, _>>()?,
        })
    }

    /// The revisions other than its own in which an object at `at` has a field of this name, the newest first.
    pub(crate) fn others_with_field(&self, at: &Pointer, name: &str) -> Vec<SpecVersion> {
        let has = |shape: &Shape| shape.properties.contains_key(name);
        if self.at(at).into_iter().any(has) {
            return Vec::new();
        }
        self.others(at, has)
    }

    /// The revisions other than its own in which the value at `at` may be this word, the newest first.
    pub(crate) fn others_with_word(&self, at: &Pointer, word: &str) -> Vec<SpecVersion> {
        self.others(at, |shape| shape.values.iter().flatten().any(|value| value == word))
    }

    fn others(&self, at: &Pointer, has: impl Fn(&Shape) -> bool) -> Vec<SpecVersion> {
        let Some((kind, own)) = self.of else { return Vec::new() };
        let others = SpecVersion::ALL.into_iter().rev().filter(|revision| *revision != own);
        let has = |revision: &SpecVersion| {
            schema(kind, *revision).is_some_and(|schema| schema.at(at).into_iter().any(&has))
        };
        others.filter(has).collect()
    }

    /// Every shape that a value at `at` may have.
    pub(crate) fn at(&self, at: &Pointer) -> Vec<&Shape> {
        let mut shapes = Vec::new();
        self.open(&self.root, &mut shapes);
        for step in at.segments() {
            let mut inner = Vec::new();
            for shape in shapes {
                if let Some(items) = shape.items.as_ref().filter(|_| step.parse::<usize>().is_ok()) {
                    self.open(items, &mut inner);
                }
                if let Some(member) = shape.properties.get(&*step) {
                    self.open(member, &mut inner);
                } else if let Additional::Of(member) = &shape.additional {
                    self.open(member, &mut inner);
                }
            }
            shapes = inner;
        }
        shapes
    }

    /// A shape, and the branches of it.
    fn open<'a>(&'a self, shape: &'a Shape, opened: &mut Vec<&'a Shape>) {
        let shape = self.resolve(shape);
        opened.push(shape);
        let branches =
            shape.one_of.iter().chain(&shape.any_of).chain(shape.condition.iter().flat_map(|it| &it[1..]));
        for branch in branches {
            self.open(branch, opened);
        }
    }

    /// What is meant: the definition, where one is referred to.
    pub(crate) fn resolve<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        shape.reference.and_then(|index| self.definitions.get(index)).unwrap_or(shape)
    }
}

/// Where each definition is.
type Names<'a> = BTreeMap<&'a str, usize>;

fn shape(value: &Value, names: &Names<'_>) -> Result<Shape, String> {
    let shape_of = |value: &Value| shape(value, names);
    let mut shape = Shape::default();
    let object = match value {
        Value::Bool(true) => return Ok(shape),
        Value::Object(object) => object,
        other => return Err(format!("`{other}` is no schema")),
    };
    for (keyword, value) in object {
        match keyword.as_str() {
            // Applied elsewhere, or said to people.
            "$id" | "$schema" | "$defs" | "title" | "default" | "then" | "else" => {}
            "examples" => shape.example = first(Some(value)),
            "description" => shape.description = value.as_str().map(Into::into),
            "$ref" => {
                let name = value.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                let index = name.and_then(|name| names.get(name)).ok_or("a reference leads nowhere")?;
                shape.reference = Some(*index);
            }
            "type" => shape.types = types(value)?,
            "enum" => shape.values = Some(list(value)?.clone()),
            "pattern" => shape.pattern = Some(Pattern::new(text(value)?)),
            "minLength" => shape.min_length = count(value)?,
            "minimum" => shape.minimum = Some(number(value)?),
            "exclusiveMinimum" => shape.exclusive_minimum = Some(number(value)?),
            "maximum" => shape.maximum = Some(value.as_number().ok_or("a maximum is a number")?.clone()),
            "minItems" => shape.min_items = count(value)?,
            "maxItems" => shape.max_items = Some(count(value)?),
            "items" => shape.items = Some(Box::new(shape_of(value)?)),
            "required" => {
                shape.required = list(value)?
                    .iter()
                    .map(|name| text(name).map(str::to_owned))
                    .collect::<Result<_, _>>()?;
            }
            "properties" => {
                for (name, value) in members(value)? {
                    shape.properties.insert(name.clone(), shape_of(value)?);
                }
            }
            "patternProperties" => {
                for (pattern, value) in members(value)? {
                    shape.pattern_properties.push((Pattern::new(pattern), shape_of(value)?));
                }
            }
            "additionalProperties" if *value == Value::Bool(false) => shape.additional = Additional::None,
            "additionalProperties" => shape.additional = Additional::Of(Box::new(shape_of(value)?)),
            "oneOf" => shape.one_of = list(value)?.iter().map(shape_of).collect::<Result<_, _>>()?,
            "anyOf" => shape.any_of = list(value)?.iter().map(shape_of).collect::<Result<_, _>>()?,
            "if" => {
                let branch = |name| object.get(name).map_or_else(|| Ok(Shape::default()), shape_of);
                shape.condition = Some(Box::new([shape_of(value)?, branch("then")?, branch("else")?]));
            }
            other => return Err(format!("`{other}` is not understood")),
        }
    }
    Ok(shape)
}

fn first(examples: Option<&Value>) -> Option<Value> {
    examples?.as_array()?.first().cloned()
}

fn types(value: &Value) -> Result<Vec<Type>, String> {
    let one = |value: &Value| match text(value)? {
        "null" => Ok(Type::Null),
        "boolean" => Ok(Type::Boolean),
        "integer" => Ok(Type::Integer),
        "number" => Ok(Type::Number),
        "string" => Ok(Type::String),
        "array" => Ok(Type::Array),
        "object" => Ok(Type::Object),
        other => Err(format!("`{other}` is no type")),
    };
    match value {
        Value::Array(several) => several.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("`{value}` is no text"))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("`{value}` is no list"))
}

fn members(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("`{value}` is no object"))
}

fn count(value: &Value) -> Result<usize, String> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("`{value}` is no count"))
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("`{value}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_committed_schema_is_understood_whole() {
        let mut count = 0;
        for kind in DocumentKind::ALL {
            for revision in SpecVersion::ALL {
                if let Some(text) = crate::schema::text(kind, revision) {
                    let compiled = Schema::compile(text).unwrap_or_else(|e| panic!("{kind} {revision}: {e}"));
                    for shape in &compiled.definitions {
                        if let Some(pattern) = &shape.pattern {
                            assert!(Regex::new(&pattern.text).is_ok(), "{}", pattern.text);
                        }
                    }
                    count += 1;
                }
            }
        }
        assert_eq!(count, 19);
    }

    #[test]
    fn a_keyword_nobody_understands_is_refused() {
        let error = Schema::compile(r#"{"properties": {"a": {"uniqueItems": true}}}"#).unwrap_err();
        assert_eq!(error, "`uniqueItems` is not understood");
    }
}
