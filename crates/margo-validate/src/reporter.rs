use std::fmt;
use std::ops::Range;

use margo_syntax::{Format, Node, Pointer, Style, Tree};
use serde_json::Value;

use crate::{Diagnostic, Edit, Fix, Label, RuleInfo, Severity};

/// Takes what a rule finds, and knows where that stands in the text.
///
/// A rule speaks in pointers; the reporter turns them into places. Where there is no text, as with a value that was
/// never written down, places stay pointers.
pub struct Reporter<'a> {
    rule: &'static RuleInfo,
    documents: &'a [Place<'a>],
    found: &'a mut Vec<Diagnostic>,
}

/// One document a rule looks at, in its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The index of the source.
    pub(crate) source: usize,
    /// The index of the document within it.
    pub(crate) document: usize,
    /// Its text; `None` for what is not text, such as an archive.
    pub(crate) tree: Option<&'a Tree>,
}

impl<'a> Reporter<'a> {
    /// Takes what `rule` finds in the first of `documents`, and what is related in the others.
    pub(crate) fn new(
        rule: &'static RuleInfo,
        documents: &'a [Place<'a>],
        found: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self { rule, documents, found }
    }

    /// The text the rule looks at, if there is one.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        self.documents.first().and_then(|place| place.tree)
    }

    /// Takes a finding.
    pub fn report(&mut self, finding: Finding) {
        self.report_as(self.rule, finding);
    }

    /// Takes a finding of a rule that is told apart from others only while looking.
    pub(crate) fn report_as(&mut self, rule: &'static RuleInfo, finding: Finding) {
        let Finding { primary, message, related, help, interpretation, severity, fix } = finding;
        let severity = severity.unwrap_or(rule.severity());
        let last = self.found.last().map(|found| found.severity);
        if self.found.len() >= MOST && (severity != Severity::Error || last == Some(Severity::Error)) {
            return;
        }
        let fix = fix.and_then(|(title, changes)| self.fix(primary.document, title, &changes));
        let primary = self.label(primary);
        let related = related.into_iter().map(|spot| self.label(spot)).collect();
        let clause = rule.clause;
        let found =
            Diagnostic { rule, severity, clause, message, primary, related, help, interpretation, fix };
        self.found.push(found);
    }

    fn label(&self, spot: Spot) -> Label {
        let Spot { document, pointer, is_key, span, message } = spot;
        let Some(place) = self.documents.get(document) else {
            return Label { source: 0, document, pointer, span: None, message };
        };
        let span = span.or_else(|| place.tree.map(|tree| span_of(tree, &pointer, is_key)));
        Label { source: place.source, document: place.document, pointer, span, message }
    }

    fn fix(&self, document: usize, title: String, changes: &[Change]) -> Option<Fix> {
        let place = self.documents.get(document)?;
        let tree = place.tree?;
        let edits: Option<Vec<_>> = changes.iter().map(|change| change.edit(place.source, tree)).collect();
        Some(Fix::new(title, edits?))
    }
}

/// Findings of one document, and of one source, that are kept; behind them, one error if there was none. A text of 16 MiB has room for
/// millions, and nobody reads on.
pub(crate) const MOST: usize = 10_000;

impl fmt::Debug for Reporter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("rule", &self.rule.name).finish_non_exhaustive()
    }
}

/// What a rule found, in the words of the document: pointers, no places.
///
/// ```
/// use margo_syntax::pointer;
/// use margo_validate::Finding;
///
/// let finding = Finding::new(pointer!["id"], "`Pump` is not a name")
///     .related(pointer!["metadata"], "names are declared here")
///     .help("use lowercase letters");
/// assert_eq!(finding.message(), "`Pump` is not a name");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Finding {
    primary: Spot,
    message: String,
    related: Vec<Spot>,
    help: Option<String>,
    interpretation: Option<&'static str>,
    severity: Option<Severity>,
    fix: Option<(String, Vec<Change>)>,
}

impl Finding {
    /// Something is wrong with the value at `pointer`; the message is a sentence without a full stop. For something
    /// that is missing, the place is what should contain it.
    pub fn new(pointer: Pointer, message: impl fmt::Display) -> Self {
        Self {
            primary: Spot { document: 0, pointer, is_key: false, span: None, message: String::new() },
            message: message.to_string(),
            related: Vec::new(),
            help: None,
            interpretation: None,
            severity: None,
            fix: None,
        }
    }

    /// Something is wrong with the key at `pointer`, and not with its value.
    pub fn of_key(pointer: Pointer, message: impl fmt::Display) -> Self {
        let mut finding = Self::new(pointer, message);
        finding.primary.is_key = true;
        finding
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// What to see at the place itself.
    pub fn label(mut self, message: impl fmt::Display) -> Self {
        self.primary.message = message.to_string();
        self
    }

    /// The same finding in another document of the relation, from 0.
    pub fn in_document(mut self, document: usize) -> Self {
        self.primary.document = document;
        self
    }

    /// The same finding at these bytes of the text instead of where its value stands.
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.primary.span = Some(span);
        self
    }

    /// Another place to look at.
    pub fn related(self, pointer: Pointer, message: impl fmt::Display) -> Self {
        self.related_in(0, pointer, message)
    }

    /// A key to look at, and not its value.
    pub(crate) fn related_key(mut self, pointer: Pointer, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        self.related.push(Spot { document: 0, pointer, is_key: true, span: None, message });
        self
    }

    /// The same finding in other words.
    pub(crate) fn reword(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// Another place to look at, in another document of the relation, from 0.
    pub fn related_in(mut self, document: usize, pointer: Pointer, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        self.related.push(Spot { document, pointer, is_key: false, span: None, message });
        self
    }

    /// Another place to look at, by its bytes.
    pub(crate) fn related_at(
        mut self,
        pointer: Pointer,
        span: Range<usize>,
        message: impl fmt::Display,
    ) -> Self {
        let message = message.to_string();
        self.related.push(Spot { document: 0, pointer, is_key: false, span: Some(span), message });
        self
    }

    /// What to do about it, as a lowercase fragment.
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// The contradiction that explains it, such as `X-D-07`.
    pub fn interpretation(mut self, contradiction: &'static str) -> Self {
        self.interpretation = Some(contradiction);
        self
    }

    /// A warning, although the rule's clause says MUST: the text was understood all the same.
    pub fn warning(mut self) -> Self {
        self.severity = Some(Severity::Warning);
        self
    }

    /// Whether it is a warning whatever the rule's clause says.
    pub(crate) fn is_advice(&self) -> bool {
        self.severity == Some(Severity::Warning)
    }

    /// How to put it right, where that is certain.
    pub fn fix(mut self, title: impl fmt::Display, changes: impl Into<Vec<Change>>) -> Self {
        self.fix = Some((title.to_string(), changes.into()));
        self
    }
}

/// One change of a fix, in the words of the document.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Another scalar at this place; a string keeps the quotes it has.
    Value(Pointer, Value),
    /// Another name for the key at this place.
    Key(Pointer, String),
    /// Other text for these bytes.
    Text(Range<usize>, String),
}

impl Change {
    /// The edit that makes the change; `None` where the text has no such place, or the value is written in a way
    /// that a small edit cannot keep: an alias, a block of lines.
    fn edit(&self, source: usize, tree: &Tree) -> Option<Edit> {
        let (range, replacement) = match self {
            Self::Text(range, text) => (range.clone(), text.clone()),
            Self::Value(pointer, value) => {
                let node = tree.get(pointer)?;
                (node.span(), written(value, style_of(&node)?, tree.format())?)
            }
            Self::Key(pointer, name) => {
                let key = tree.get(pointer)?.key()?;
                (key.span(), written(&Value::String(name.clone()), key.style(), tree.format())?)
            }
        };
        Some(Edit::new(source, range, replacement))
    }
}

#[derive(Clone, Debug)]
struct Spot {
    document: usize,
    pointer: Pointer,
    is_key: bool,
    span: Option<Range<usize>>,
    message: String,
}

/// The style a replacement of this scalar is written in.
fn style_of(node: &Node<'_>) -> Option<Style> {
    node.literal()?;
    Some(node.style())
}

/// A scalar as it is written in a style; `None` where the style has no place for it.
fn written(value: &Value, style: Style, format: Format) -> Option<String> {
    let Value::String(text) = value else { return Some(value.to_string()) };
    match style {
        _ if format == Format::Json => Some(value.to_string()),
        Style::DoubleQuoted => Some(value.to_string()),
        Style::SingleQuoted if !text.contains(['\n', '\r']) => {
            Some(format!("'{}'", text.replace('\'', "''")))
        }
        Style::Plain => Some(plain(text)),
        _ => None,
    }
}

/// A string as a plain scalar, or quoted where it would be read as something else.
pub(crate) fn plain(text: &str) -> String {
    let is_read_as_it_is =
        margo_syntax::parse(format!("[{text}]").as_bytes(), Format::Yaml, &margo_syntax::Limits::default())
            .is_ok_and(|tree| tree.to_value() == serde_json::json!([text]));
    if is_read_as_it_is { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}

/// Where a value stands, or a key; for something that is missing, the key of what should contain it.
fn span_of(tree: &Tree, pointer: &Pointer, is_key: bool) -> Range<usize> {
    if let Some(node) = tree.get(pointer) {
        if is_key && let Some(key) = node.key() {
            return key.span();
        }
        return place_of(&node);
    }
    place_of(&tree.nearest(pointer))
}

/// What to underline for a value: a collection by its key, a long scalar by its first line.
fn place_of(node: &Node<'_>) -> Range<usize> {
    let span = node.span();
    if node.literal().is_none() && node.style() != Style::Alias {
        if let Some(key) = node.key() {
            return key.span();
        }
        if let Some(first) = node.children().next().and_then(|child| child.key()) {
            return first.span();
        }
    }
    if span.is_empty()
        && let Some(key) = node.key()
    {
        return key.span();
    }
    span
}
