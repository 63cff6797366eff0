use std::fmt;
use std::ops::Range;

use margo_syntax::Pointer;
use serde::{Deserialize, Serialize};

use crate::{Clause, RuleInfo};

/// One thing that is wrong: its rule, its place, and what to do about it.
///
/// ```
/// use margo_validate::{Checker, Severity};
///
/// let report = Checker::default().check_bytes("plc-7.yaml", "properties: { id: plc 7 }\n");
/// let diagnostic = report.diagnostics().iter().find(|found| found.rule.name == "malformed-device-id").unwrap();
/// assert_eq!(diagnostic.severity, Severity::Error);
/// assert_eq!(diagnostic.primary.pointer.as_str(), "/properties/id");
/// assert_eq!(diagnostic.primary.span, Some(18..23));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The rule that was broken.
    pub rule: &'static RuleInfo,
    /// How serious it is here: the clause's wording, unless the options say otherwise.
    pub severity: Severity,
    /// The sentence it breaks: the rule's, on the page of the document's kind and revision where those are known.
    pub clause: Clause,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// What else to look at.
    pub related: Vec<Label>,
    /// What to do about it, as a lowercase fragment.
    pub help: Option<String>,
    /// The contradiction in the specification that explains it, such as `X-D-07`: see `docs/interpretations.md`.
    pub interpretation: Option<&'static str>,
    /// How to put it right, where that is certain.
    pub fix: Option<Fix>,
}

/// A place, and what to see there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The source: its index in the slice that was checked.
    pub source: usize,
    /// The document within the source, from 0: a YAML file may hold several.
    pub document: usize,
    /// The place in the document: what an API client sees.
    pub pointer: Pointer,
    /// The place in the text in bytes: what an author sees. `None` where the text as a whole is meant.
    pub span: Option<Range<usize>>,
    /// What to see there; may be empty where the diagnostic's message says it all.
    pub message: String,
}

impl Label {
    /// The place at `pointer`, which takes `span` in the text.
    #[must_use]
    pub fn new(source: usize, pointer: Pointer, span: Option<Range<usize>>) -> Self {
        Self { source, document: 0, pointer, span, message: String::new() }
    }

    /// The same, with what to see there.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}

/// How serious a finding is. The wording of the clause decides; the more serious is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the specification knows MUST and SHOULD")]
pub enum Severity {
    /// A `SHOULD`, or something that was understood and is better written otherwise.
    Warning,
    /// A `MUST`.
    Error,
}

impl Severity {
    /// `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How to put something right: small edits that leave comments and layout alone.
///
/// ```
/// use margo_validate::Edit;
///
/// let edits = [Edit::new(0, 6..10, "helm")];
/// assert_eq!(Edit::apply("type: Helm # a chart\n", 0, &edits), "type: helm # a chart\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fix {
    /// What it does, as an imperative: "write `helm`".
    pub title: String,
    /// The edits, in the order of the text. None overlaps another.
    pub edits: Vec<Edit>,
}

impl Fix {
    /// A fix of these edits.
    #[must_use]
    pub fn new(title: impl Into<String>, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| (edit.source, edit.range.start));
        Self { title: title.into(), edits }
    }
}

/// A part of a text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// The source: its index in the slice that was checked.
    pub source: usize,
    /// The bytes to replace; an empty range inserts.
    pub range: Range<usize>,
    /// What to write.
    pub replacement: String,
}

impl Edit {
    /// `replacement` instead of `range`.
    #[must_use]
    pub fn new(source: usize, range: Range<usize>, replacement: impl Into<String>) -> Self {
        Self { source, range, replacement: replacement.into() }
    }

    /// `text`, which is that of `source`, after the edits that are its own. An edit that overlaps one before it, or
    /// does not fit the text, is left out.
    #[must_use]
    pub fn apply<'a>(text: &str, source: usize, edits: impl IntoIterator<Item = &'a Self>) -> String {
        let mut edits: Vec<_> = edits.into_iter().filter(|edit| edit.source == source).collect();
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        edits.dedup();
        let mut edited = String::with_capacity(text.len());
        let mut done = 0;
        for edit in edits {
            let Some(before) = text.get(done..edit.range.start) else { continue };
            if text.get(edit.range.clone()).is_none() {
                continue;
            }
            edited.push_str(before);
            edited.push_str(&edit.replacement);
            done = edit.range.end;
        }
        edited.push_str(&text[done..]);
        edited
    }
}
