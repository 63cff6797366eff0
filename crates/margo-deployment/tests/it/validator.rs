//! As much of a JSON Schema validator as the schemas of these crates and of the specification's OpenAPI documents
//! need. An unknown keyword that judges is a panic, so nothing is passed over.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Map, Value};

/// What `schema`, a part of `root`, objects to in `value`: places and keywords.
pub(crate) fn validate(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    Validator { root }.visit(schema, value, "", &mut errors);
    errors
}

struct Validator<'a> {
    root: &'a Value,
}

impl Validator<'_> {
    fn accepts(&self, schema: &Value, value: &Value) -> bool {
        let mut errors = Vec::new();
        self.visit(schema, value, "", &mut errors);
        errors.is_empty()
    }

    fn visit(&self, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
        let Value::Object(schema) = schema else {
            if *schema == Value::Bool(false) {
                errors.push(format!("{at}: false"));
            }
            return;
        };
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return;
        }
        for (keyword, argument) in schema {
            let is_met = match keyword.as_str() {
                "$ref" => {
                    let pointer = argument.as_str().unwrap().strip_prefix('#').unwrap();
                    self.visit(self.root.pointer(pointer).unwrap(), value, at, errors);
                    true
                }
                "type" => match argument {
                    Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                    one => is_of(one, value),
                },
                "enum" => argument.as_array().unwrap().contains(value),
                "pattern" => text(value).is_none_or(|text| matches(argument, text)),
                "minLength" => text(value).is_none_or(|text| text.chars().count() as u64 >= number(argument)),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= number(argument)),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= number(argument)),
                "minimum" => !value.is_number() || order(value, argument).is_ge(),
                "exclusiveMinimum" => !value.is_number() || order(value, argument).is_gt(),
                "maximum" => !value.is_number() || order(value, argument).is_le(),
                "required" => {
                    // X-B-13: names with dots are of members inside.
                    let names = argument.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    let missing: Vec<_> = names
                        .filter(|name| !name.contains('.') && value.is_object() && value.get(name).is_none())
                        .collect();
                    errors.extend(missing.iter().map(|name| format!("{at}/{name}: required")));
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.visit(argument, item, &format!("{at}/{index}"), errors);
                    }
                    true
                }
                "properties" | "patternProperties" | "additionalProperties" => {
                    if let Value::Object(members) = value {
                        self.members(keyword, argument, schema, members, at, errors);
                    }
                    true
                }
                "oneOf" => {
                    argument.as_array().unwrap().iter().filter(|one| self.accepts(one, value)).count() == 1
                }
                "anyOf" => argument.as_array().unwrap().iter().any(|one| self.accepts(one, value)),
                "if" => {
                    let branch = if self.accepts(argument, value) { "then" } else { "else" };
                    if let Some(branch) = schema.get(branch) {
                        self.visit(branch, value, at, errors);
                    }
                    true
                }
                // Judged elsewhere, or not at all.
                "then" | "else" | "nullable" | "$schema" | "$defs" | "title" | "description" | "default"
                | "example" | "examples" | "components" | "x-go-type" | "$id" | "format"
                | "contentEncoding" => true,
                other => panic!("the keyword {other} is not known"),
            };
            if !is_met {
                errors.push(format!("{at}: {keyword}"));
            }
        }
    }

    fn members(
        &self,
        keyword: &str,
        argument: &Value,
        schema: &Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        errors: &mut Vec<String>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        for (name, member) in members {
            let at = format!("{at}/{name}");
            let is_named = properties.is_some_and(|properties| properties.contains_key(name));
            let fits = patterns
                .into_iter()
                .flatten()
                .filter(|(pattern, _)| Regex::new(pattern).unwrap().is_match(name));
            match keyword {
                "properties" if is_named => self.visit(&argument[name], member, &at, errors),
                "patternProperties" => fits.for_each(|(_, schema)| self.visit(schema, member, &at, errors)),
                "additionalProperties" if !is_named && fits.count() == 0 => {
                    self.visit(argument, member, &at, errors);
                }
                _ => {}
            }
        }
    }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // A number without a fraction, however it is written.
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number % 1.0 == 0.0)
        }
        other => panic!("the type {other} is not known"),
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn number(argument: &Value) -> u64 {
    argument.as_u64().unwrap()
}

fn matches(pattern: &Value, text: &str) -> bool {
    Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
}

/// Whole numbers exactly: a schema's bounds are beyond what a float can tell apart.
fn order(one: &Value, other: &Value) -> Ordering {
    // An `f64` displays without exponent, and without fraction where it has none.
    let whole = |value: &Value| {
        value.as_u64().map(i128::from).or_else(|| value.as_f64()?.to_string().parse::<i128>().ok())
    };
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_f64().unwrap().total_cmp(&other.as_f64().unwrap()),
    }
}
