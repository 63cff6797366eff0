use std::ops::Range;

use margo_core::SpecVersion;
use serde::Serialize;

use crate::{Diagnostic, DocumentKind, Label, Report, Severity, Source};

/// What a run found in all the files it looked at. It holds no text of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Outcome {
    /// The files that were looked at, in order.
    pub files: Vec<FileOutcome>,
    /// What is wrong, in the order of the files.
    pub findings: Vec<Record>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
    /// The number of findings that the texts themselves allow.
    pub allowed: usize,
    /// The number of findings that were expected.
    pub expected: usize,
}

impl Outcome {
    /// What `report` says about `sources`.
    #[must_use]
    pub fn of(report: &Report, sources: &[Source]) -> Self {
        let mut outcome = Self::default();
        outcome.add(report, sources);
        outcome
    }

    /// Adds what another report says about other sources.
    pub fn add(&mut self, report: &Report, sources: &[Source]) {
        let first = self.files.len();
        self.files.extend(sources.iter().map(|source| FileOutcome::new(source.name())));
        for document in report.documents() {
            if let Some(file) = self.files.get_mut(first + document.source) {
                file.documents.push(DocumentOutcome { kind: document.kind, revision: document.revision });
            }
        }
        self.findings.extend(report.diagnostics().iter().map(|found| Record::of(found, sources)));
        self.allowed += report.allowed().len();
    }

    /// The figures.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        Summary {
            files: self.files.len(),
            documents: self.files.iter().map(|file| file.documents.len()).sum(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            problems: self.problems.len(),
            allowed: self.allowed,
            expected: self.expected,
        }
    }
}

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Summary {
    /// Files that were looked at.
    pub files: usize,
    /// Documents in them.
    pub documents: usize,
    /// Broken `MUST`s.
    pub errors: usize,
    /// Broken `SHOULD`s, and what is better written otherwise.
    pub warnings: usize,
    /// What could not be looked at.
    pub problems: usize,
    /// Findings that the texts themselves allow.
    pub allowed: usize,
    /// Findings that were expected.
    pub expected: usize,
}

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileOutcome {
    /// The name of the source.
    pub file: String,
    /// The documents in it.
    pub documents: Vec<DocumentOutcome>,
}

impl FileOutcome {
    /// A file in which no document is known.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), documents: Vec::new() }
    }
}

/// A document in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DocumentOutcome {
    /// What it is, if that is known.
    pub kind: Option<DocumentKind>,
    /// The revision it was checked by.
    pub revision: Option<SpecVersion>,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What it is called.
    pub file: String,
    /// Why not: a whole sentence without a full stop, which names the file.
    pub message: String,
}

impl Problem {
    /// `file` could not be looked at because of `message`.
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), message: message.into() }
    }
}

/// A [`Diagnostic`] with its places resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// The name of the rule that was broken.
    pub rule: String,
    /// How serious it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What else to look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedPlace>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The sentence of the specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<Citation>,
    /// The contradiction in the specification that explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpretation: Option<String>,
    /// How to put it right, where that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<SuggestedFix>,
}

impl Record {
    /// Something to say about a file as a whole.
    pub fn about(
        file: impl Into<String>,
        rule: impl Into<String>,
        severity: Severity,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            severity,
            message: message.into(),
            place: Place::whole(file),
            related: Vec::new(),
            help: None,
            clause: None,
            interpretation: None,
            fix: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What `found` says, with places in `sources`.
    #[must_use]
    pub fn of(found: &Diagnostic, sources: &[Source]) -> Self {
        let related =
            |label: &Label| RelatedPlace { place: Place::of(label, sources), message: label.message.clone() };
        let fix = found.fix.as_ref().map(|fix| SuggestedFix {
            title: fix.title.clone(),
            edits: fix
                .edits
                .iter()
                .filter_map(|edit| Replacement::of(sources.get(edit.source)?, &edit.range, &edit.replacement))
                .collect(),
        });
        let clause = &found.clause;
        Self {
            rule: found.rule.name.to_owned(),
            severity: found.severity,
            message: found.message.clone(),
            place: Place::of(&found.primary, sources),
            related: found.related.iter().map(related).collect(),
            help: found.help.clone(),
            clause: Some(Citation {
                requirement: clause.requirement.to_string(),
                place: clause.place.to_owned(),
                url: clause.url(),
            }),
            interpretation: found.interpretation.map(str::to_owned),
            fix,
        }
    }

    /// Everything there is to say, line by line: the message, where else to look, what to do, the clause.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.message.clone()];
        let related = self.related.iter().filter(|related| !related.message.is_empty());
        lines.extend(related.map(|related| format!("{}: {}", related.place, related.message)));
        lines.extend(self.help.iter().map(|help| format!("help: {help}")));
        lines.extend(
            self.clause.iter().map(|clause| format!("spec: {} — {}", clause.requirement, clause.place)),
        );
        lines.extend(self.interpretation.iter().map(|id| format!("reading: {id}")));
        lines
    }
}

/// A place in a file. Lines and columns are counted from 1, columns in characters; the end is behind the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Place {
    /// The name of the source.
    pub file: String,
    /// The line it begins on; `None` where the file as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column it begins at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The line it ends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_line: Option<usize>,
    /// The column behind its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column: Option<usize>,
    /// The document within the file, from 0.
    pub document: usize,
    /// The place in the document: a JSON Pointer (RFC 6901).
    pub pointer: String,
}

impl Place {
    fn whole(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            end_line: None,
            end_column: None,
            document: 0,
            pointer: String::new(),
        }
    }

    fn of(label: &Label, sources: &[Source]) -> Self {
        let Some(source) = sources.get(label.source) else { return Self::whole("") };
        let mut place = Self::whole(source.name());
        place.document = label.document;
        label.pointer.as_str().clone_into(&mut place.pointer);
        if let Some(span) = &label.span {
            place.resolve(source, span);
        }
        place
    }

    fn resolve(&mut self, source: &Source, span: &Range<usize>) {
        let (start, end) = (source.location(span.start), source.location(span.end.max(span.start)));
        (self.line, self.column) = (Some(start.line), Some(start.column));
        (self.end_line, self.end_column) = (Some(end.line), Some(end.column));
    }
}

impl std::fmt::Display for Place {
    /// `deployment.yaml:41:19`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&super::plain(&self.file))?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, ":{line}:{column}"),
            _ => Ok(()),
        }
    }
}

/// Another place, and what to see there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RelatedPlace {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What to see there.
    pub message: String,
}

/// A sentence of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Citation {
    /// `MUST` or `SHOULD`.
    pub requirement: String,
    /// The page and the fragment.
    pub place: String,
    /// Where it can be read.
    pub url: String,
}

/// How to put something right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SuggestedFix {
    /// What it does.
    pub title: String,
    /// The edits, in the order of the text.
    pub edits: Vec<Replacement>,
}

/// A part of a text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Replacement {
    /// The name of the source.
    pub file: String,
    /// The line the part begins on, from 1.
    pub line: usize,
    /// The column it begins at, from 1, in characters.
    pub column: usize,
    /// The line it ends on.
    pub end_line: usize,
    /// The column behind its end.
    pub end_column: usize,
    /// What to write.
    pub replacement: String,
}

impl Replacement {
    fn of(source: &Source, range: &Range<usize>, replacement: &str) -> Option<Self> {
        source.text().get(range.clone())?;
        let (start, end) = (source.location(range.start), source.location(range.end));
        Some(Self {
            file: source.name().to_owned(),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            replacement: replacement.to_owned(),
        })
    }
}
