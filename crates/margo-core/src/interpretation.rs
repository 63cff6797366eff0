use serde_json::Value;

use crate::{Deviation, Level, SpecVersion};

/// How one contradiction of the specification is read in one place of a document.
///
/// Each model has a table of these. [`deviations`] goes through a document with a table and changes nothing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Interpretation {
    /// The contradiction, such as `X-D-07`.
    pub contradiction: &'static str,
    /// How serious the deviation is.
    pub level: Level,
    /// The revisions it belongs to.
    pub revisions: &'static [SpecVersion],
    /// Where to look: a JSON Pointer (RFC 6901) in which `*` stands for any member or item, and a `**` at the end
    /// for the place before it and everything inside.
    pub place: &'static str,
    /// What is told of the value at that place, the first argument, in the document, the second one. `None` if
    /// there is nothing to tell.
    pub sees: fn(&Value, &Value) -> Option<String>,
}

impl Interpretation {
    /// In documents of `revisions`, `sees` looks at every value at `place`.
    #[must_use]
    pub const fn new(
        contradiction: &'static str,
        level: Level,
        revisions: &'static [SpecVersion],
        place: &'static str,
        sees: fn(&Value, &Value) -> Option<String>,
    ) -> Self {
        Self { contradiction, level, revisions, place, sees }
    }
}

/// Every place of a document of `revision` that is written in another way than we would write it.
///
/// ```
/// use margo_core::{Interpretation, Level, SpecVersion, deviations};
/// use serde_json::json;
///
/// const TABLE: &[Interpretation] = &[Interpretation::new(
///     "X-A-14",
///     Level::L2,
///     &[SpecVersion::PreDraft],
///     "/components/*/wait",
///     |wait, _| wait.is_string().then(|| "the text stands for a boolean".into()),
/// )];
/// let document = json!({ "components": [{ "wait": true }, { "wait": "true" }] });
/// let found = deviations(TABLE, SpecVersion::PreDraft, &document);
/// assert_eq!(found[0].to_string(), "/components/1/wait: the text stands for a boolean (X-A-14)");
/// assert_eq!((found.len(), deviations(TABLE, SpecVersion::LATEST, &document).len()), (1, 0));
/// ```
#[must_use]
pub fn deviations(table: &[Interpretation], revision: SpecVersion, document: &Value) -> Vec<Deviation> {
    let mut found = Vec::new();
    for row in table.iter().filter(|row| row.revisions.contains(&revision)) {
        visit(document, row.place.strip_prefix('/'), &mut Vec::new(), &mut |path, value| {
            if let Some(message) = (row.sees)(value, document) {
                found.push(Deviation::new(row.contradiction, row.level, pointer(path), message));
            }
        });
    }
    found
}

/// A member or an item on the way to a value. Most values are visited and nothing is told of them, so that a pointer is
/// written only when it is wanted.
#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

/// Calls `sees` with every value that `place` leads to, and the way there. No place is the value itself.
fn visit<'a>(
    value: &'a Value,
    place: Option<&'a str>,
    path: &mut Vec<Step<'a>>,
    sees: &mut impl FnMut(&[Step<'_>], &Value),
) {
    let Some(place) = place else { return sees(path, value) };
    let (segment, rest) =
        place.split_once('/').map_or((place, None), |(segment, rest)| (segment, Some(rest)));
    let inner = match segment {
        "*" => rest,
        "**" => {
            sees(path, value);
            Some(place)
        }
        name => {
            let child = match value {
                Value::Object(members) => members.get(name),
                Value::Array(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
                _ => None,
            };
            if let Some(child) = child {
                path.push(Step::Member(name));
                visit(child, rest, path, sees);
                path.pop();
            }
            return;
        }
    };
    match value {
        Value::Object(members) => {
            for (name, child) in members {
                path.push(Step::Member(name));
                visit(child, inner, path, sees);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                path.push(Step::Item(index));
                visit(child, inner, path, sees);
                path.pop();
            }
        }
        _ => {}
    }
}

/// RFC 6901.
fn pointer(path: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in path {
        pointer.push('/');
        match step {
            Step::Member(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
            Step::Item(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(place: &'static str) -> Vec<String> {
        let table = [Interpretation::new("X-A-01", Level::L2, &SpecVersion::ALL, place, |value, _| {
            (!value.is_object()).then(|| value.to_string())
        })];
        let document = json!({ "a": [{ "b/c": 1 }, { "b/c": { "d": 2 } }, 3], "**": 4 });
        deviations(&table, SpecVersion::LATEST, &document).into_iter().map(|found| found.pointer).collect()
    }

    #[test]
    fn a_place_leads_where_it_says_and_pointers_are_escaped() {
        assert_eq!(places("/a/0/b~1c"), [""; 0], "segments of a place are names as they are");
        assert_eq!(places("/a/*/b"), [""; 0]);
        assert_eq!(places("/a/*"), ["/a/2"]);
        assert_eq!(places("/a/*/*"), ["/a/0/b~1c"]);
        assert_eq!(places("/a/**"), ["/a", "/a/0/b~1c", "/a/1/b~1c/d", "/a/2"]);
        assert_eq!(places("/missing/*"), [""; 0]);
    }

    #[test]
    fn the_document_itself_is_a_place() {
        let table =
            [Interpretation::new("X-A-01", Level::L1, &[SpecVersion::PreDraft], "", |value, document| {
                (value == document).then(|| "all of it".into())
            })];
        let found = deviations(&table, SpecVersion::PreDraft, &json!([]));
        assert_eq!((found.len(), found[0].pointer.as_str()), (1, ""));
    }
}
