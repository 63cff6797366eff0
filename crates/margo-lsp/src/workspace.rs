//! The documents that are open, and what was found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gen_lsp_types as lsp;
use margo_core::SpecVersion;
use margo_syntax::{Format, Limits, Tree};
use margo_validate::{Checker, DocumentKind, Options, Report, Source};

use crate::member::Schema;

/// A text that is open in the editor.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) uri: lsp::Uri,
    pub(crate) version: i32,
    pub(crate) source: Source,
    /// What each document in it was, when that could last be told.
    known: Vec<Known>,
}

/// What a document is, and by which revision.
type Known = Option<(DocumentKind, SpecVersion)>;

impl Text {
    pub(crate) fn new(
        uri: lsp::Uri,
        version: i32,
        language: Option<&lsp::LanguageKind>,
        text: String,
    ) -> Self {
        let mut source = Source::new(uri.as_str(), text);
        match language {
            Some(lsp::LanguageKind::JSON) => source = source.with_format(Format::Json),
            Some(lsp::LanguageKind::YAML) => source = source.with_format(Format::Yaml),
            _ => {}
        }
        Self { uri, version, source, known: Vec::new() }
    }

    /// The same text, written anew.
    pub(crate) fn rewrite(&mut self, version: i32, text: String) {
        self.source = Source::new(self.uri.as_str(), text).with_format(self.source.format());
        self.version = version;
    }

    /// The path it has, if it is a file.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.uri.to_file_path().ok()
    }

    /// The documents in it, as far as they can be parsed.
    pub(crate) fn trees(&self) -> Vec<Tree> {
        margo_syntax::recover(self.source.bytes(), self.source.format(), &Limits::default()).0
    }

    /// The schema of the document around the byte at `offset`: what the document is now, what it was when it could
    /// last be told, or what it is without the line that is being written.
    pub(crate) fn schema(&self, offset: usize, options: &Options) -> Option<Schema> {
        let number = number(self.source.text(), offset);
        let known = self.known.get(number).copied().flatten().or_else(|| {
            let line = self.source.line_span(self.source.location(offset).line);
            let mut text = self.source.text().to_owned();
            text.replace_range(line, "");
            let source = Source::new(self.source.name(), text).with_format(self.source.format());
            let report = Checker::new(options.clone()).check(&[source]);
            told(&report, 0).get(number).copied().flatten()
        });
        let (kind, revision) = known?;
        Schema::of(kind, revision)
    }
}

/// The number of the document around the byte at `offset`, from 0.
fn number(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    let mut number = 0;
    let mut has_content = false;
    for line in before.lines() {
        if line.starts_with("---") {
            number += usize::from(has_content);
            has_content = true;
        } else {
            has_content |= !line.trim().is_empty() && !line.starts_with('#');
        }
    }
    number
}

/// What the documents of a source are.
fn told(report: &Report, source: usize) -> Vec<Known> {
    let mut known = Vec::new();
    for document in report.documents().iter().filter(|document| document.source == source) {
        known.resize(known.len().max(document.index + 1), None);
        known[document.index] = document.kind.zip(document.revision);
    }
    known
}

/// What is open of one folder: it is checked together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    texts: BTreeMap<String, Text>,
    report: Report,
}

impl Folder {
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(crate) fn put(&mut self, text: Text) {
        self.texts.insert(text.uri.to_string(), text);
    }

    pub(crate) fn remove(&mut self, uri: &lsp::Uri) -> Option<Text> {
        self.texts.remove(uri.as_str())
    }

    pub(crate) fn get_mut(&mut self, uri: &lsp::Uri) -> Option<&mut Text> {
        self.texts.get_mut(uri.as_str())
    }

    pub(crate) fn get(&self, uri: &lsp::Uri) -> Option<(usize, &Text)> {
        self.texts.values().enumerate().find(|(_, text)| text.uri == *uri)
    }

    /// The texts, in the order of their numbers in the report.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.texts.values()
    }

    pub(crate) fn text(&self, index: usize) -> Option<&Text> {
        self.texts.values().nth(index)
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Checks everything that is open here.
    pub(crate) fn check(&mut self, options: Options) {
        let sources: Vec<_> = self.texts().map(|text| text.source.clone()).collect();
        self.report = Checker::new(options).check(&sources);
        pass_over(&mut self.report);
        for (index, text) in self.texts.values_mut().enumerate() {
            let told = told(&self.report, index);
            let count = told.len().max(text.known.len());
            text.known.resize(count, None);
            for (known, told) in text.known.iter_mut().zip(told) {
                *known = told.or(*known);
            }
        }
    }
}

/// Editors offer every YAML and JSON file: what is none of Margo's documents is left alone.
fn pass_over(report: &mut Report) {
    let foreign: BTreeSet<(usize, usize)> = report
        .diagnostics()
        .iter()
        .filter(|found| found.rule.name == "unrecognized-document")
        .map(|found| (found.primary.source, found.primary.document))
        .collect();
    report.retain(|found| !foreign.contains(&(found.primary.source, found.primary.document)));
}

/// The address of the folder that a document lies in.
pub(crate) fn folder_of(uri: &lsp::Uri) -> String {
    let text = uri.as_str();
    text.rfind('/').map_or(text, |at| &text[..=at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_by_what_separates_them() {
        let text = "# first\na: 1\n---\nb: 2\n---\nc: 3\n";
        for (part, expected) in [("a", 0), ("b", 1), ("c", 2)] {
            assert_eq!(number(text, text.find(&format!("{part}: ")).unwrap()), expected, "{part}");
        }
        assert_eq!(number("---\na: 1\n", 4), 0);
    }
}
