//! Looks at a tree with a schema, and tells every flaw with its place.

use std::collections::BTreeSet;

use margo_core::SpecVersion;
use margo_syntax::{Node, NodeKind, Pointer, Tree};
use serde_json::{Number, Value};

use crate::rules::words::nearest;

use super::compile::{Additional, Schema, Shape, Type};

/// A place where a document is not what its schema says.
#[derive(Debug)]
pub(crate) struct Flaw<'a> {
    /// Where; for a member too many, the member.
    pub(crate) at: Pointer,
    /// The value there; for a member that is missing, what should contain it.
    pub(crate) node: Node<'a>,
    pub(crate) what: What<'a>,
}

impl What<'_> {
    /// Whether the schema lets it pass.
    fn is_advice(&self) -> bool {
        matches!(self, Self::Misspelled(_) | Self::Elsewhere(_) | Self::ExtensionName)
    }
}

impl Flaw<'_> {
    /// Equal for what is wrong in the same way at the same place, whichever shape says so.
    fn identity(&self) -> (String, u8, &str) {
        let (what, name) = match &self.what {
            What::Missing(_, name) => (0, *name),
            What::Unknown(_) => (1, ""),
            What::Misspelled(_) => (2, ""),
            What::Type(_) => (3, ""),
            What::Value(_) => (4, ""),
            What::Pattern(_) => (5, ""),
            What::Empty => (6, ""),
            What::TooSmall(..) => (7, ""),
            What::TooGreat(_) => (8, ""),
            What::TooMany => (9, ""),
            What::Branches { .. } => (10, ""),
            What::ExtensionName => (11, ""),
            What::Elsewhere(_) => (12, ""),
        };
        (self.at.as_str().to_owned(), what, name)
    }
}

/// What a value is not.
#[derive(Debug)]
pub(crate) enum What<'a> {
    /// A member of this object is missing.
    Missing(&'a Shape, &'a str),
    /// A member is there that must not be; those that may be.
    Unknown(&'a Shape),
    /// A member that may be there, and that is probably meant to be another.
    Misspelled(&'a str),
    /// A member that may be there, and that only these revisions define.
    Elsewhere(Vec<SpecVersion>),
    /// A member that may be there, and that begins like an extension and is not called like one.
    ExtensionName,
    /// Not of the type of this shape.
    Type(&'a Shape),
    /// Not one of these values.
    Value(&'a [Value]),
    /// Text that does not match this pattern.
    Pattern(&'a str),
    /// Text, or a list, that must not be empty.
    Empty,
    /// A number below or above this bound, and whether the bound itself is allowed.
    TooSmall(f64, bool),
    TooGreat(&'a Number),
    /// A list with items, where there must be none.
    TooMany,
    /// Both of two forms at once, or none of several.
    Branches {
        all: bool,
    },
}

/// Every flaw of `tree`, in the order of the text.
pub(crate) fn look<'a>(schema: &'a Schema, tree: &'a Tree) -> Vec<Flaw<'a>> {
    let mut look = Look::new(schema);
    look.at(&schema.root, tree.root());
    look.flaws
}

/// Every flaw of one value.
#[cfg(test)]
pub(crate) fn look_at<'a>(schema: &'a Schema, shape: &'a Shape, node: Node<'a>) -> Vec<Flaw<'a>> {
    let mut look = Look::new(schema);
    look.at(shape, node);
    look.flaws
}

struct Look<'a> {
    schema: &'a Schema,
    path: Vec<Step<'a>>,
    flaws: Vec<Flaw<'a>>,
    /// Whether it is only asked if the schema accepts the value: then the first flaw ends the search, and none is kept.
    only_asks: bool,
    is_refused: bool,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl<'a> Look<'a> {
    fn new(schema: &'a Schema) -> Self {
        Self { schema, path: Vec::new(), flaws: Vec::new(), only_asks: false, is_refused: false }
    }

    fn at(&mut self, shape: &'a Shape, node: Node<'a>) {
        if self.is_refused {
            return;
        }
        let start = self.flaws.len();
        let shape = self.schema.resolve(shape);
        if !shape.types.is_empty() && !shape.types.iter().any(|wanted| is(*wanted, node)) {
            return self.flaw(node, What::Type(shape));
        }
        if let Some(values) = &shape.values
            && !values.iter().any(|value| value.as_str().is_some_and(|text| is_text(node, text)))
        {
            return self.flaw(node, What::Value(values));
        }
        match node.kind() {
            NodeKind::String => self.text(shape, node),
            NodeKind::Number => self.number(shape, node),
            NodeKind::Sequence => self.items(shape, node),
            NodeKind::Mapping => self.members(shape, node),
            _ => {}
        }
        let before = self.flaws.len();
        self.branches(shape, node);
        self.forget_what_is_known(start, before);
    }

    /// What a branch finds wrong once more.
    fn forget_what_is_known(&mut self, start: usize, before: usize) {
        if start == before || before == self.flaws.len() {
            return;
        }
        let found = self.flaws.split_off(before);
        let known: BTreeSet<_> = self.flaws[start..].iter().map(Flaw::identity).collect();
        let new: Vec<_> = found.into_iter().filter(|flaw| !known.contains(&flaw.identity())).collect();
        self.flaws.extend(new);
    }

    fn text(&mut self, shape: &'a Shape, node: Node<'a>) {
        let text = node.literal().unwrap_or_default();
        if shape.min_length > 0 && text.chars().count() < shape.min_length {
            self.flaw(node, What::Empty);
        } else if let Some(pattern) = &shape.pattern
            && !pattern.matches(text)
        {
            self.flaw(node, What::Pattern(&pattern.text));
        }
    }

    fn number(&mut self, shape: &'a Shape, node: Node<'a>) {
        if shape.minimum.is_none() && shape.exclusive_minimum.is_none() && shape.maximum.is_none() {
            return;
        }
        let Value::Number(exact) = node.to_value() else { return };
        let Some(number) = exact.as_f64() else { return };
        if let Some(minimum) = shape.minimum.filter(|minimum| number < *minimum) {
            self.flaw(node, What::TooSmall(minimum, true));
        }
        if let Some(minimum) = shape.exclusive_minimum.filter(|minimum| number <= *minimum) {
            self.flaw(node, What::TooSmall(minimum, false));
        }
        if let Some(maximum) = shape.maximum.as_ref().filter(|maximum| is_greater(&exact, maximum)) {
            self.flaw(node, What::TooGreat(maximum));
        }
    }

    fn items(&mut self, shape: &'a Shape, node: Node<'a>) {
        let count = node.children().len();
        if count < shape.min_items {
            self.flaw(node, What::Empty);
        }
        if shape.max_items.is_some_and(|most| count > most) {
            self.flaw(node, What::TooMany);
        }
        let Some(inner) = &shape.items else { return };
        for (index, item) in node.children().enumerate() {
            self.within(Step::Item(index), |look| look.at(inner, item));
        }
    }

    fn members(&mut self, shape: &'a Shape, node: Node<'a>) {
        for name in &shape.required {
            if node.get(name).is_none() {
                self.flaw(node, What::Missing(shape, name));
            }
        }
        let looks_no_further = shape.properties.is_empty()
            && shape.pattern_properties.is_empty()
            && matches!(shape.additional, Additional::Any);
        if looks_no_further {
            return;
        }
        for member in node.children() {
            let Some(key) = member.key() else { continue };
            let name = key.text();
            let inner = shape.properties.get(name).or_else(|| {
                shape
                    .pattern_properties
                    .iter()
                    .find(|(pattern, _)| pattern.matches(name))
                    .map(|(_, shape)| shape)
            });
            self.within(Step::Member(name), |look| match (inner, &shape.additional) {
                (Some(inner), _) => look.at(inner, member),
                // All that can be said of it is advice.
                (None, Additional::Any) if look.only_asks => {}
                (None, Additional::Any) if name.starts_with("x-") => {
                    // Where extensions have a place, a name that begins like theirs is meant to be one (R-D-032).
                    if !shape.pattern_properties.is_empty() {
                        look.flaw(member, What::ExtensionName);
                    }
                }
                (None, Additional::Any) => {
                    let elsewhere = look.schema.others_with_field(&look.parent(), name);
                    let others = shape.properties.keys().map(String::as_str);
                    let others = others.filter(|other| node.get(other).is_none());
                    if !elsewhere.is_empty() {
                        look.flaw(member, What::Elsewhere(elsewhere));
                    } else if let Some(near) = nearest(name, others) {
                        look.flaw(member, What::Misspelled(near));
                    }
                }
                (None, Additional::None) => look.flaw(member, What::Unknown(shape)),
                (None, Additional::Of(inner)) => look.at(inner, member),
            });
        }
    }

    fn branches(&mut self, shape: &'a Shape, node: Node<'a>) {
        if let Some(branches) = &shape.condition {
            let [condition, then, otherwise] = &**branches;
            let branch = if self.fits(condition, node) { then } else { otherwise };
            let before = self.flaws.len();
            self.at(branch, node);
            // A branch names only some of the members.
            let found = self.flaws.split_off(before);
            self.flaws.extend(found.into_iter().filter(|flaw| !flaw.what.is_advice()));
        }
        if !shape.any_of.is_empty() && !shape.any_of.iter().any(|branch| self.fits(branch, node)) {
            self.flaw(node, What::Branches { all: false });
        }
        if shape.one_of.is_empty() {
            return;
        }
        let fitting: Vec<_> = shape.one_of.iter().filter(|branch| self.fits(branch, node)).collect();
        match fitting.as_slice() {
            [only] => self.at(only, node),
            [] => {
                // The branch that was meant: the one whose type fits and that names most of the members.
                let meant = shape.one_of.iter().rev().max_by_key(|branch| self.closeness(branch, node));
                if let Some(meant) = meant {
                    self.at(meant, node);
                }
            }
            _ => self.flaw(node, What::Branches { all: true }),
        }
    }

    /// How much of a branch the value already has.
    fn closeness(&self, branch: &'a Shape, node: Node<'a>) -> (bool, usize) {
        let branch = self.schema.resolve(branch);
        let fits = branch.types.is_empty() || branch.types.iter().any(|wanted| is(*wanted, node));
        let named = node.children().filter_map(|child| child.key());
        (fits, named.filter(|key| branch.properties.contains_key(key.text())).count())
    }

    /// Whether another shape accepts what is here.
    fn fits(&mut self, shape: &'a Shape, node: Node<'a>) -> bool {
        let before = (self.only_asks, self.is_refused);
        (self.only_asks, self.is_refused) = (true, false);
        self.at(shape, node);
        let fits = !self.is_refused;
        (self.only_asks, self.is_refused) = before;
        fits
    }

    fn within(&mut self, step: Step<'a>, inside: impl FnOnce(&mut Self)) {
        self.path.push(step);
        inside(self);
        self.path.pop();
    }

    fn flaw(&mut self, node: Node<'a>, what: What<'a>) {
        if self.only_asks {
            self.is_refused |= !what.is_advice();
            return;
        }
        let at = pointer(&self.path);
        self.flaws.push(Flaw { at, node, what });
    }

    /// Where the object is whose member is looked at.
    fn parent(&self) -> Pointer {
        pointer(&self.path[..self.path.len().saturating_sub(1)])
    }
}

fn pointer(path: &[Step<'_>]) -> Pointer {
    let mut at = Pointer::root();
    for step in path {
        match step {
            Step::Member(name) => at.push(name),
            Step::Item(index) => at.push(index),
        }
    }
    at
}

fn is_text(node: Node<'_>, text: &str) -> bool {
    node.kind() == NodeKind::String && node.literal() == Some(text)
}

/// Compares whole numbers exactly: the greatest version of a manifest is no 64-bit float (X-D-31).
fn is_greater(number: &Number, bound: &Number) -> bool {
    match (whole(number), whole(bound)) {
        (Some(number), Some(bound)) => number > bound,
        _ => number.as_f64() > bound.as_f64(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bound is compared before")]
fn whole(number: &Number) -> Option<i128> {
    let exact = number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from));
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e30);
    exact.or_else(|| float.map(|float| float as i128))
}

/// Whether a number is written in digits alone, as nearly all whole ones are.
fn is_digits(node: Node<'_>) -> bool {
    node.literal().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is(wanted: Type, node: Node<'_>) -> bool {
    match (wanted, node.kind()) {
        (Type::Null, NodeKind::Null)
        | (Type::Boolean, NodeKind::Bool)
        | (Type::Number, NodeKind::Number)
        | (Type::String, NodeKind::String)
        | (Type::Array, NodeKind::Sequence)
        | (Type::Object, NodeKind::Mapping) => true,
        (Type::Integer, NodeKind::Number) if is_digits(node) => true,
        (Type::Integer, NodeKind::Number) => match node.to_value() {
            Value::Number(number) => {
                !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
            }
            _ => false,
        },
        _ => false,
    }
}

/// An implementation of its own, which the models test their schemas with.
#[cfg(test)]
#[path = "../../../margo-deployment/tests/it/validator.rs"]
mod validator;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;

    use margo_core::SpecVersion;
    use margo_syntax::{Format, Limits};
    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde_json::json;

    use super::*;
    use crate::DocumentKind;
    use crate::schema::compile::schema;

    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }

    /// Every document of our fixtures, broken or not.
    fn documents() -> &'static [Value] {
        static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(read);
        &DOCUMENTS
    }

    fn read() -> Vec<Value> {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), &mut files);
        files.sort();
        let read = |path: &PathBuf| {
            margo_syntax::recover(&std::fs::read(path).unwrap(), Format::Yaml, &Limits::default()).0
        };
        let documents = files.iter().flat_map(read).map(|tree| tree.to_value());
        documents.filter(Value::is_object).collect()
    }

    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(members) => {
                for (name, inner) in members {
                    places(inner, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    places(inner, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }

    /// What stands somewhere, or nothing.
    fn strange() -> impl Strategy<Value = Option<Value>> {
        let values = [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(7.0),
            json!(1.5),
            json!(u64::MAX),
            json!(2e19),
            json!(""),
            json!("x"),
            json!("8Gi"),
            json!("helm"),
            json!("1m2s"),
            json!("oci://a"),
            json!([]),
            json!({}),
            json!([1, "a"]),
            json!(["a"]),
            json!({"x-a-extensions": {}, "x-A-extensions": 1}),
        ];
        prop::option::of(prop::sample::select(values.to_vec()))
    }

    fn agree(kind: DocumentKind, revision: SpecVersion, document: &Value) {
        let Some(text) = crate::schema::text(kind, revision) else { return };
        let mut root: Value = serde_json::from_str(text).unwrap();
        root.as_object_mut().unwrap().remove("$id");
        let theirs = validator::validate(&root, &root, document);
        let tree =
            margo_syntax::parse(document.to_string().as_bytes(), Format::Json, &Limits::default()).unwrap();
        let flaws = look(schema(kind, revision).unwrap(), &tree);
        let ours = flaws.iter().any(|flaw| !flaw.what.is_advice());
        assert_eq!(ours, !theirs.is_empty(), "{kind} {revision} {document}\n{flaws:?}\n{theirs:?}");
    }

    /// By the schemas of whatever it looks like, in every revision.
    fn agree_on(document: &Value) {
        if let Some((kind, _)) = crate::document::detect::detect(document, None) {
            for revision in SpecVersion::ALL {
                agree(kind, revision, document);
            }
        }
    }

    #[test]
    fn every_schema_judges_our_documents_as_another_implementation_does() {
        documents().iter().for_each(agree_on);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn and_so_it_does_for_damaged_ones(which in any::<Index>(), changes in prop::collection::vec((any::<Index>(), strange()), 1..4)) {
            let documents = documents();
            let mut document = documents[which.index(documents.len())].clone();
            for (at, instead) in changes {
                let mut found = Vec::new();
                places(&document, "", &mut found);
                let place = &found[at.index(found.len())];
                let (parent, name) = place.rsplit_once('/').unwrap_or_default();
                match (instead, document.pointer_mut(parent)) {
                    (None, Some(Value::Object(members))) => drop(members.remove(name)),
                    (None, _) => {}
                    (Some(instead), _) => *document.pointer_mut(place).unwrap() = instead,
                }
            }
            agree_on(&document);
        }
    }
}
