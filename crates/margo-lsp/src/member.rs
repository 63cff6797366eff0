//! What may stand at a place of a document, as its JSON Schema says.

use std::collections::BTreeMap;

use margo_core::SpecVersion;
use margo_syntax::Pointer;
use margo_validate::{Clause, DocumentKind, schema};
use regex::Regex;
use serde_json::Value;

/// How many schemas may refer to one another in a row. Ours need three.
const MOST_REFERENCES: usize = 16;

/// The schema of a kind of document in a revision.
#[derive(Debug)]
pub(crate) struct Schema {
    kind: DocumentKind,
    revision: SpecVersion,
    root: Value,
}

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Item,
}

/// A way as a pointer; which item of a list is meant does not matter.
fn pointer(path: &[Step]) -> Pointer {
    path.iter().fold(Pointer::root(), |at, step| match step {
        Step::Member(name) => at.with(name),
        Step::Item => at.with(0),
    })
}

/// What a schema says about one place: every alternative it gives, the most specific word first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape<'a> {
    schemas: Vec<&'a Value>,
    /// Whether whoever has this member must have it.
    pub(crate) is_required: bool,
}

impl Schema {
    pub(crate) fn of(kind: DocumentKind, revision: SpecVersion) -> Option<Self> {
        let root = serde_json::from_str(schema::text(kind, revision)?).ok()?;
        Some(Self { kind, revision, root })
    }

    /// Where the specification speaks of what is at the end of `path`.
    pub(crate) fn clause(&self, path: &[Step]) -> Clause {
        schema::clause(self.kind, self.revision, &pointer(path))
    }

    /// What may stand at the end of `path`, for somebody who does not know.
    pub(crate) fn example(&self, path: &[Step]) -> Option<&'static Value> {
        schema::example(self.kind, self.revision, &pointer(path))
    }

    pub(crate) fn title(&self) -> &str {
        self.root["title"].as_str().unwrap_or_default()
    }

    /// What may stand at the end of `path`.
    pub(crate) fn at<'a>(&self, path: impl IntoIterator<Item = &'a Step>) -> Shape<'_> {
        let root = Shape { schemas: self.open(&self.root), is_required: true };
        path.into_iter().fold(root, |shape, step| self.enter(&shape, step))
    }

    /// The members an object at `shape` may have, by name.
    pub(crate) fn members<'s>(&'s self, shape: &Shape<'s>) -> BTreeMap<String, Shape<'s>> {
        let names = shape
            .schemas
            .iter()
            .filter_map(|schema| schema["properties"].as_object())
            .flat_map(|it| it.keys());
        let mut members = BTreeMap::new();
        for name in names {
            if !members.contains_key(name) {
                members.insert(name.clone(), self.enter(shape, &Step::Member(name.clone())));
            }
        }
        members
    }

    fn enter<'s>(&'s self, shape: &Shape<'s>, step: &Step) -> Shape<'s> {
        let mut schemas = Vec::new();
        let mut is_required = false;
        for &schema in &shape.schemas {
            match step {
                Step::Item => schemas.extend(self.open(&schema["items"])),
                Step::Member(name) => {
                    let is_named = |named: &Value| named.as_str() == Some(name);
                    is_required |=
                        schema["required"].as_array().is_some_and(|names| names.iter().any(is_named));
                    schemas.extend(self.member(schema, name));
                }
            }
        }
        Shape { schemas, is_required }
    }

    fn member<'s>(&'s self, schema: &'s Value, name: &str) -> Vec<&'s Value> {
        if let Some(member) = schema["properties"].get(name) {
            return self.open(member);
        }
        let mut patterns = schema["patternProperties"].as_object().into_iter().flatten();
        let is_match = |pattern: &str| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(name));
        if let Some((_, member)) = patterns.find(|(pattern, _)| is_match(pattern)) {
            return self.open(member);
        }
        self.open(&schema["additionalProperties"])
    }

    /// `schema`, what it refers to, and its alternatives.
    fn open<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        let mut opened = Vec::new();
        self.open_into(schema, MOST_REFERENCES, &mut opened);
        opened
    }

    fn open_into<'s>(&'s self, schema: &'s Value, left: usize, opened: &mut Vec<&'s Value>) {
        if !schema.is_object() || left == 0 {
            return;
        }
        opened.push(schema);
        if let Some(target) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'))
            && let Some(target) = self.root.pointer(target)
        {
            self.open_into(target, left - 1, opened);
        }
        for alternatives in ["allOf", "oneOf", "anyOf"] {
            for schema in schema[alternatives].as_array().into_iter().flatten() {
                self.open_into(schema, left - 1, opened);
            }
        }
    }
}

impl Shape<'_> {
    /// Whether the schema knows nothing of such a place.
    pub(crate) fn is_unknown(&self) -> bool {
        self.schemas.is_empty()
    }

    /// What it is for.
    pub(crate) fn description(&self) -> Option<&str> {
        self.schemas.iter().find_map(|schema| schema["description"].as_str())
    }

    pub(crate) fn default(&self) -> Option<&Value> {
        self.schemas.iter().find_map(|schema| schema.get("default"))
    }

    pub(crate) fn pattern(&self) -> Option<&str> {
        self.schemas.iter().find_map(|schema| schema["pattern"].as_str())
    }

    pub(crate) fn examples(&self) -> impl Iterator<Item = &Value> {
        self.schemas.iter().filter_map(|schema| schema["examples"].as_array()).flatten()
    }

    /// The words of its vocabulary.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Value> {
        self.schemas
            .iter()
            .flat_map(|schema| schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")))
    }

    /// The types of JSON it may have, each once.
    pub(crate) fn types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for schema in &self.schemas {
            let several = schema["type"].as_array().into_iter().flatten();
            for name in several.chain(schema.get("type")).filter_map(Value::as_str) {
                if !types.contains(&name) {
                    types.push(name);
                }
            }
        }
        types
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Step> {
        let step = |name: &str| if name == "-" { Step::Item } else { Step::Member(name.to_owned()) };
        text.split('/').filter(|name| !name.is_empty()).map(step).collect()
    }

    #[test]
    fn a_place_is_found_through_references_alternatives_and_patterns() {
        let schema = Schema::of(DocumentKind::ApplicationDeployment, SpecVersion::V1_0_0Rc3).unwrap();
        let profile = schema.at(&path("spec/deploymentProfile"));
        assert!(profile.is_required);
        assert!(schema.members(&profile).contains_key("components"));

        let kind = schema.at(&path("spec/deploymentProfile/type"));
        assert!(kind.words().any(|word| word == "helm"), "{kind:?}");

        let wait = schema.at(&path("spec/deploymentProfile/components/-/properties/wait"));
        assert_eq!((wait.types(), wait.is_required), (vec!["boolean"], false));
        assert_eq!(wait.default(), Some(&Value::Bool(true)));

        let pointer = schema.at(&path("spec/parameters/anything/targets/-/pointer"));
        assert!(pointer.description().is_some());
        assert!(schema.at(&path("spec/nothing")).is_unknown());
        assert!(schema.at(&path("id/below")).is_unknown());
    }

    #[test]
    fn every_document_with_a_schema_has_members() {
        let mut count = 0;
        for kind in DocumentKind::ALL {
            for revision in SpecVersion::ALL {
                let Some(schema) = Schema::of(kind, revision) else { continue };
                count += 1;
                assert!(!schema.members(&schema.at(&[])).is_empty(), "{}", schema.title());
            }
        }
        assert!(count >= 19, "{count}");
    }
}
