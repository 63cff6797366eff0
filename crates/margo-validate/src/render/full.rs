use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Record, plain};
use crate::rules::shape;
use crate::{Diagnostic, Label, Report, Requirement, Severity, Source};

/// Each finding with its rule, its place, the text around it underlined, what to do, and the clause: for people.
///
/// `is_colored` adds ANSI colors; nothing is said by color alone. `report` must be about exactly `sources`.
#[must_use]
pub fn full(report: &Report, sources: &[Source], is_colored: bool) -> String {
    let renderer = renderer(is_colored);
    let broken: BTreeSet<_> =
        report.diagnostics().iter().filter(|found| is_broken(found)).map(document).collect();
    let is_one_of_several = report.documents().len() > 1;
    let mut told = BTreeSet::new();
    let show = |found: &Diagnostic| {
        let mut moved = None;
        let mut group = group(found, sources, &mut moved);
        if told.insert(document(found)) {
            group = group.elements(read_as(report, document(found)).map(|text| note("read as", text)));
            let waits = is_one_of_several && broken.contains(&document(found));
            group = group.elements(waits.then(|| note("note", WAITS.to_owned())));
        }
        let mut text = renderer.render(&[group]) + "\n\n";
        if let Some(Moved { counted, meant }) = moved {
            text = text.replacen(&counted, &meant, 1);
        }
        text
    };
    report.diagnostics().iter().map(show).collect()
}

/// A document: the index of its source, and its own.
fn document(found: &Diagnostic) -> (usize, usize) {
    (found.primary.source, found.primary.document)
}

/// Whether a finding keeps a document from being compared with others.
fn is_broken(found: &Diagnostic) -> bool {
    found.severity == Severity::Error && found.interpretation.is_none() && shape::is_about_shape(found.rule)
}

const WAITS: &str = "it is compared with other documents once its shape is right";

/// What a document was taken for.
fn read_as(report: &Report, document: (usize, usize)) -> Option<String> {
    let documents = report.documents();
    let at = documents.binary_search_by_key(&document, |known| (known.source, known.index)).ok()?;
    let known = &documents[at];
    Some(format!("{} of {}", known.kind?, known.revision?))
}

fn note<'a>(name: &'static str, text: String) -> annotate_snippets::Message<'a> {
    Level::NOTE.with_name(name).message(text)
}

/// A finding about a file as a whole, as [`full()`] shows it.
#[must_use]
pub fn headline(record: &Record, is_colored: bool) -> String {
    let title = level(record.severity).primary_title(plain(&record.message)).id(plain(&record.rule));
    let origin = Origin::path(plain(&record.place.file)).line(1);
    let help = record.help.iter().map(|help| Level::HELP.message(plain(help)));
    renderer(is_colored).render(&[title.element(origin).elements(help)]) + "\n\n"
}

fn renderer(is_colored: bool) -> Renderer {
    let renderer = if is_colored { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(DEFAULT_TERM_WIDTH)
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    }
}

/// The place of a finding on a line whose beginning is not shown.
struct Moved {
    /// As it is counted in what is shown.
    counted: String,
    /// As it is.
    meant: String,
}

fn group<'a>(found: &'a Diagnostic, sources: &'a [Source], moved: &mut Option<Moved>) -> Group<'a> {
    let title = level(found.severity).primary_title(plain(&found.message)).id(found.rule.name);
    let mut group = Group::with_title(title);

    let mut marks: BTreeMap<usize, Vec<Mark>> = BTreeMap::new();
    for (index, label) in std::iter::once(&found.primary).chain(&found.related).enumerate() {
        if let Some(mark) = sources.get(label.source).and_then(|source| Mark::of(label, source, index == 0)) {
            marks.entry(label.source).or_default().push(mark);
        }
    }
    let first = found.primary.source;
    if !marks.contains_key(&first) {
        let name = sources.get(first).map(Source::name).unwrap_or_default();
        group = group.element(Origin::path(plain(name)).line(1));
    }
    let own = marks.remove(&first).map(|marks| (first, marks));
    for (source, marks) in own.into_iter().chain(marks) {
        for cluster in clusters(marks) {
            group = show(group, &sources[source], cluster, moved);
        }
    }

    let mut notes = Vec::new();
    notes.extend(found.help.iter().map(|help| Level::HELP.message(plain(help))));
    let fix =
        |title: &String| Level::HELP.with_name("fix").message(format!("{} (`--fix` does it)", plain(title)));
    notes.extend(found.fix.iter().map(|found| fix(&found.title)));
    notes.push(Level::NOTE.with_name("spec").message(found.clause.to_string()));
    let is_accepted = found.severity == Severity::Warning && found.clause.requirement == Requirement::Must;
    let reading = |id: &&str| {
        let words = if is_accepted { format!("accepted with a warning by {id}") } else { (*id).to_owned() };
        Level::NOTE.with_name("reading").message(words)
    };
    notes.extend(found.interpretation.iter().map(reading));
    group.elements(notes)
}

/// A part of one line, and what to see there.
struct Mark {
    /// From 1.
    line: usize,
    /// Bytes within the line.
    columns: Range<usize>,
    message: String,
    is_primary: bool,
}

impl Mark {
    /// What takes several lines is marked on the first of them.
    fn of(label: &Label, source: &Source, is_primary: bool) -> Option<Self> {
        let span = label.span.as_ref()?;
        let line = source.location(span.start).line;
        let whole = source.line_span(line);
        let text = source.line(line);
        let mut start = span.start.clamp(whole.start, whole.end) - whole.start;
        let mut end = span.end.clamp(whole.start + start, whole.end) - whole.start;
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        // What is within a mapping or a list begins on its first line, and a comment behind it does not belong to it.
        end = start + text[start..end].trim_end().len();
        Some(Self { line, columns: start..end, message: plain(&label.message), is_primary })
    }
}

/// Marks that are far apart are shown apart.
fn clusters(mut marks: Vec<Mark>) -> Vec<Vec<Mark>> {
    marks.sort_by_key(|mark| mark.line);
    let mut clusters: Vec<Vec<Mark>> = Vec::new();
    for mark in marks {
        match clusters.last_mut() {
            Some(last) if last.last().is_some_and(|before| mark.line - before.line < FAR) => last.push(mark),
            _ => clusters.push(vec![mark]),
        }
    }
    clusters.sort_by_key(|cluster| !cluster.iter().any(|mark| mark.is_primary));
    clusters
}

/// Lines between two marks that make it two excerpts.
const FAR: usize = 200;

/// The longest line that is shown whole, in bytes.
const WIDE: usize = 400;

fn show<'a>(group: Group<'a>, source: &'a Source, marks: Vec<Mark>, moved: &mut Option<Moved>) -> Group<'a> {
    let Some((first, last)) = marks.first().zip(marks.last()).map(|(first, last)| (first.line, last.line))
    else {
        return group;
    };
    let mut text = String::new();
    // Where each line begins in the excerpt, and which part of it that is.
    let mut starts = Vec::new();
    for number in first..=last {
        let line = source.line(number);
        let wanted = marks.iter().find(|mark| mark.line == number).map_or(0, |mark| mark.columns.start);
        let window = window(line, wanted);
        starts.push((text.len(), window.clone()));
        text.push_str(&line[window]);
        text.push('\n');
    }
    let name = plain(source.name());
    if let Some(mark) = marks.iter().find(|mark| mark.is_primary) {
        let (_, window) = &starts[mark.line - first];
        let column = |from: usize| source.line(mark.line)[from..mark.columns.start].chars().count() + 1;
        if window.start > 0 {
            let place = |column: usize| format!("{name}:{}:{column}", mark.line);
            *moved = Some(Moved { counted: place(column(window.start)), meant: place(column(0)) });
        }
    }
    let mut snippet = Snippet::source(text).line_start(first).path(name);
    for mark in marks {
        let (start, window) = &starts[mark.line - first];
        let within = |column: usize| start + column.clamp(window.start, window.end) - window.start;
        let kind = if mark.is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(within(mark.columns.start)..within(mark.columns.end));
        let label = (!mark.message.is_empty()).then_some(mark.message);
        snippet = snippet.annotation(annotation.label(label));
    }
    group.element(snippet)
}

/// The part of a line that is shown: all of it, or what is around the byte at `wanted`.
fn window(line: &str, wanted: usize) -> Range<usize> {
    if line.len() <= WIDE {
        return 0..line.len();
    }
    let boundary = |mut at: usize| {
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(wanted.saturating_sub(WIDE / 8));
    start..boundary((start + WIDE / 4).min(line.len()))
}
