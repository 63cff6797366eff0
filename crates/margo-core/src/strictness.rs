use std::fmt;

use serde_json::Value;

use crate::{Document, Place};

/// How a reader treats what the specification says in two ways.
///
/// Every contradiction in the specification has an id (`X-D-07`), a reading and a [`Level`]; ours are listed in
/// `docs/interpretations.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the strictness scale has exactly these two modes")]
pub enum Strictness {
    /// Accept what can be understood, and report it: what a manager and a device do.
    #[default]
    Lenient,
    /// Refuse what conformance forbids: what an author's CI does.
    Strict,
}

/// How serious a deviation from our reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the strictness scale has exactly these levels")]
pub enum Level {
    /// Not checked at all.
    L0,
    /// Every listed form is accepted silently; only the canonical one is written.
    L1,
    /// Accepted with a warning; only the canonical form is written.
    L2,
    /// Refused when reading strictly, accepted with a warning otherwise.
    L3,
    /// Always refused.
    L4,
}

impl Level {
    /// Whether a deviation of this level is refused.
    #[must_use]
    pub fn is_refused(self, strictness: Strictness) -> bool {
        match self {
            Self::L0 | Self::L1 | Self::L2 => false,
            Self::L3 => strictness == Strictness::Strict,
            Self::L4 => true,
        }
    }

    /// Whether an accepted deviation of this level is worth a warning.
    #[must_use]
    pub fn is_warned(self) -> bool {
        self >= Self::L2
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A place where a document is written in another way than we would write it, and was understood.
///
/// ```
/// use margo_core::{Deviation, Level, Strictness};
///
/// let deviation = Deviation::new("X-A-14", Level::L2, "/spec/wait", "the string \"true\" stands for a boolean");
/// assert!(!deviation.level.is_refused(Strictness::Strict));
/// assert_eq!(deviation.to_string(), "/spec/wait: the string \"true\" stands for a boolean (X-A-14)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deviation {
    /// The contradiction that explains it, such as `X-D-07`.
    pub contradiction: &'static str,
    /// How serious it is.
    pub level: Level,
    /// Where it stands: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What stands there, and what it was taken for.
    pub message: String,
}

impl Deviation {
    /// What stands at `pointer` deviates from our reading of `contradiction`.
    pub fn new(
        contradiction: &'static str,
        level: Level,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { contradiction, level, pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.pointer, self.message, self.contradiction)
    }
}

/// A document, and every place where it is written in another way than we would write it.
///
/// ```
/// use margo_core::{Deviation, Document, Level, Reading};
///
/// let document = Document::decode("true".into(), |bytes| Ok::<_, ()>(bytes.len()))?;
/// let silent = Deviation::new("X-A-15", Level::L1, "/pointer", "the prefix `ENV.` is left out");
/// let loud = Deviation::new("X-A-14", Level::L2, "/wait", "the string \"true\" stands for a boolean");
/// let reading = Reading::new(document, vec![silent, loud.clone()]);
/// assert_eq!(reading.warnings().collect::<Vec<_>>(), [&loud]);
/// # Ok::<(), ()>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading<T> {
    /// What was read.
    pub document: Document<T>,
    /// What was understood although it deviates, of every level; in no particular order.
    pub deviations: Vec<Deviation>,
}

impl<T> Reading<T> {
    /// A document, and what deviates in it.
    #[must_use]
    pub fn new(document: Document<T>, deviations: Vec<Deviation>) -> Self {
        Self { document, deviations }
    }

    /// The deviations that are worth a warning: those of level L2 and above.
    pub fn warnings(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(|deviation| deviation.level.is_warned())
    }
}

/// One contradiction of the specification as one document of one revision meets it: our reading, and how to find
/// what deviates from it.
///
/// A document's contradictions are a table of these, so that documentation and code can be checked against one
/// another.
///
/// ```
/// use margo_core::{Contradiction, Level};
/// use serde_json::json;
///
/// let wait = Contradiction::new("X-A-14", Level::L2, "`wait` is a boolean", |document, found| {
///     let wait = document.at("wait");
///     if let Some(text) = wait.text() {
///         found(&wait, format!("the string {text:?} stands for a boolean"));
///     }
/// });
/// let deviations = wait.deviations(&json!({"wait": "true"}));
/// assert_eq!(deviations[0].to_string(), "/wait: the string \"true\" stands for a boolean (X-A-14)");
/// assert!(wait.deviations(&json!({"wait": true})).is_empty());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Contradiction {
    /// Its id, such as `X-D-07`.
    pub id: &'static str,
    /// How serious the other reading is.
    pub level: Level,
    /// What we read: a fragment.
    pub reading: &'static str,
    find: Option<Find>,
}

/// Calls its second argument for each place that deviates, with what stands there and what it is taken for.
pub type Find = fn(&Place<'_>, &mut dyn FnMut(&Place<'_>, String));

impl Contradiction {
    /// A contradiction whose other side can be found in a document.
    #[must_use]
    pub const fn new(id: &'static str, level: Level, reading: &'static str, find: Find) -> Self {
        Self { id, level, reading, find: Some(find) }
    }

    /// A contradiction that leaves no trace in a document, or whose other side is never read.
    #[must_use]
    pub const fn decided(id: &'static str, level: Level, reading: &'static str) -> Self {
        Self { id, level, reading, find: None }
    }

    /// Whether its other side can be found in a document.
    #[must_use]
    pub const fn is_found(&self) -> bool {
        self.find.is_some()
    }

    /// Every place of `document` that takes the other side.
    #[must_use]
    pub fn deviations(&self, document: &Value) -> Vec<Deviation> {
        let mut deviations = Vec::new();
        if let Some(find) = self.find {
            find(&Place::root(document), &mut |place, message| {
                deviations.push(Deviation::new(self.id, self.level, place.pointer(), message));
            });
        }
        deviations
    }
}

/// Every place of `document` that one of `table` finds.
///
/// # Errors
///
/// The first deviation that is refused when reading with `strictness`.
pub fn judge(
    table: &[Contradiction],
    document: &Value,
    strictness: Strictness,
) -> Result<Vec<Deviation>, Deviation> {
    let deviations: Vec<_> = table.iter().flat_map(|row| row.deviations(document)).collect();
    match deviations.iter().find(|deviation| deviation.level.is_refused(strictness)) {
        Some(refused) => Err(refused.clone()),
        None => Ok(deviations),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_level_is_refused_and_warned_of_as_its_name_says() {
        let rows = [
            (Level::L0, false, false, false),
            (Level::L1, false, false, false),
            (Level::L2, false, false, true),
            (Level::L3, false, true, true),
            (Level::L4, true, true, true),
        ];
        for (level, lenient, strict, warned) in rows {
            assert_eq!(level.is_refused(Strictness::Lenient), lenient, "{level}");
            assert_eq!(level.is_refused(Strictness::Strict), strict, "{level}");
            assert_eq!(level.is_warned(), warned, "{level}");
        }
    }

    #[test]
    fn what_was_only_decided_is_found_nowhere() {
        let decided = Contradiction::decided("X-B-02", Level::L3, "`removed` stands after `pending`");
        assert!(!decided.is_found());
        assert_eq!(decided.deviations(&json!({"state": "removed"})), []);
    }

    #[test]
    fn a_strict_reading_refuses_what_a_lenient_one_tells() {
        let table = [Contradiction::new("X-B-01", Level::L3, "`status` is an object", |document, found| {
            let status = document.at("status");
            if status.value().is_some_and(Value::is_array) {
                found(&status, "a list stands for the object in it".to_owned());
            }
        })];
        let document = json!({"status": [{}]});
        assert_eq!(judge(&table, &document, Strictness::Lenient).map(|found| found.len()), Ok(1));
        let refused = judge(&table, &document, Strictness::Strict).unwrap_err();
        assert_eq!((refused.contradiction, refused.pointer.as_str()), ("X-B-01", "/status"));
        assert_eq!(judge(&table, &json!({"status": {}}), Strictness::Strict), Ok(vec![]));
    }
}
