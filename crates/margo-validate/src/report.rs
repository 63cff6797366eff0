use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use margo_core::{Detection, Document, SpecVersion};

use crate::{CLEAN, Diagnostic, DocumentKind, FINDINGS, Severity};

/// Everything that was found, and in which documents.
///
/// Diagnostics are in the order of the sources and, within a source, of the text.
#[derive(Clone, Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    allowed: Vec<Diagnostic>,
    documents: Vec<FoundDocument>,
    /// By the index of the source.
    left_out: BTreeMap<usize, usize>,
    first_alone: Option<usize>,
}

impl Report {
    /// A report of these findings, put in order.
    pub(crate) fn new(
        mut diagnostics: Vec<Diagnostic>,
        mut allowed: Vec<Diagnostic>,
        documents: Vec<FoundDocument>,
    ) -> Self {
        let order = |found: &Diagnostic| {
            let at = &found.primary;
            (at.source, at.span.as_ref().map_or(0, |span| span.start), at.document, found.rule.name)
        };
        diagnostics.sort_by_key(order);
        allowed.sort_by_key(order);
        Self { diagnostics, allowed, documents, left_out: BTreeMap::new(), first_alone: None }
    }

    /// The same report, of sources that held more than there was room for.
    pub(crate) fn without(mut self, left_out: BTreeMap<usize, usize>, first_alone: Option<usize>) -> Self {
        (self.left_out, self.first_alone) = (left_out, first_alone);
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What the text itself allows: `# margo: allow(rule) reason`.
    #[must_use]
    pub fn allowed(&self) -> &[Diagnostic] {
        &self.allowed
    }

    /// The documents that were found.
    #[must_use]
    pub fn documents(&self) -> &[FoundDocument] {
        &self.documents
    }

    /// How many findings in this source are not told, since there were too many before it; see [`Budget`](crate::Budget).
    #[must_use]
    pub fn left_out(&self, source: usize) -> usize {
        self.left_out.get(&source).copied().unwrap_or_default()
    }

    /// The first source that was compared with no other, since those before it hold too much; see
    /// [`Budget`](crate::Budget).
    #[must_use]
    pub fn first_alone(&self) -> Option<usize> {
        self.first_alone
    }

    /// The number of errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// The number of warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Whether no `MUST` is broken.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors() == 0
    }

    /// What a program that checks answers: [`CLEAN`] if no `MUST` is broken, [`FINDINGS`] otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.is_valid() { CLEAN } else { FINDINGS }
    }

    /// The names of the rules that were broken.
    #[must_use]
    pub fn rules(&self) -> BTreeSet<&'static str> {
        self.diagnostics.iter().map(|found| found.rule.name).collect()
    }

    /// Takes over what another report found, in sources that follow those of this one. The indices of `other`
    /// must already be those of all sources together.
    pub fn extend(&mut self, other: Self) {
        self.diagnostics.extend(other.diagnostics);
        self.allowed.extend(other.allowed);
        self.documents.extend(other.documents);
        self.left_out.extend(other.left_out);
    }

    /// The same report without the findings that `keep` does not keep.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.diagnostics.retain(keep);
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == severity).count()
    }
}

/// A document, as it was found in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundDocument {
    /// The source: its index in the slice that was checked.
    pub source: usize,
    /// The document within the source, from 0.
    pub index: usize,
    /// What it is; `None` if nothing is known of it.
    pub kind: Option<DocumentKind>,
    /// The revision it was checked by.
    pub revision: Option<SpecVersion>,
    /// Which revisions it may be of, and why.
    pub detection: Detection,
    /// The bytes it takes in the text.
    pub span: Range<usize>,
}

/// One document that was checked, with its value if it has one.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    value: Option<Document<T>>,
    report: Report,
}

impl<T> Checked<T> {
    pub(crate) fn new(value: Option<Document<T>>, report: Report) -> Self {
        Self { value, report }
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The document, if it breaks no `MUST`.
    ///
    /// # Errors
    ///
    /// The report otherwise.
    pub fn into_valid(self) -> Result<Valid<T>, Report> {
        match self.value {
            Some(document) if self.report.is_valid() => Ok(Valid(document)),
            _ => Err(self.report),
        }
    }
}

/// A document that breaks no `MUST`. Only [`Checked::into_valid`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid<T>(Document<T>);

impl<T> Valid<T> {
    /// The document with its exact bytes.
    #[must_use]
    pub fn into_document(self) -> Document<T> {
        self.0
    }
}

impl<T> std::ops::Deref for Valid<T> {
    type Target = Document<T>;

    fn deref(&self) -> &Document<T> {
        &self.0
    }
}
