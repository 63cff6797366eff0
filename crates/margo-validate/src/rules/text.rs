//! What a text must be before it is a document: YAML or JSON that every reader understands alike.

use std::collections::BTreeSet;
use std::ops::Range;

use margo_syntax::{Format, NodeKind, Pointer, Style, SyntaxError, SyntaxErrorKind, Tree};
use serde_json::Value;

use super::rules;
use super::syntax;
use super::words::clip;
use crate::reporter::{MOST, Place};
use crate::{Change, Clause, Diagnostic, Finding, Reporter, RuleInfo, Source};

rules! {
    NOT_TEXT = "not-text", "a document is UTF-8 text",
        Clause::must("https://yaml.org/spec/1.2.2/#52-character-encodings");
    UNREADABLE_TEXT = "unreadable-text", "a document is YAML or JSON",
        Clause::must("https://yaml.org/spec/1.2.2/#chapter-5-character-productions");
    EMPTY_DOCUMENT = "empty-document", "a file says something",
        Clause::must("https://yaml.org/spec/1.2.2/#91-documents");
    BEYOND_LIMITS = "beyond-limits", "a document is neither larger nor deeper than readers accept",
        Clause::must("https://www.rfc-editor.org/rfc/rfc8259#section-9");
    ALIAS_BOMB = "alias-bomb", "aliases do not multiply",
        Clause::must("https://yaml.org/spec/1.2.2/#71-alias-nodes");
    DUPLICATE_KEY = "duplicate-key", "a mapping uses a key once",
        Clause::must("https://yaml.org/spec/1.2.2/#3211-nodes");
    TAB_INDENTATION = "tab-indentation", "indentation is made of spaces",
        Clause::must("https://yaml.org/spec/1.2.2/#61-indentation-spaces");
    NOT_JSON = "not-json", "a document says nothing that JSON has no words for",
        Clause::must("https://yaml.org/spec/1.2.2/#102-json-schema");
    AMBIGUOUS_SCALAR = "ambiguous-scalar", "plain text that YAML readers understand differently is quoted",
        Clause::should("https://yaml.org/spec/1.2.2/#103-core-schema");
    UNRECOGNIZED_DOCUMENT = "unrecognized-document", "a document has the shape of one that Margo knows",
        Clause::must("desired-state");
    USELESS_ALLOW = "useless-allow", "an `allow` names a rule that is broken there, and gives a reason",
        Clause::should("https://www.rfc-editor.org/rfc/rfc2119#section-6");
}

/// Why a source cannot be read, as a finding.
pub(crate) fn unreadable(
    source: &Source,
    index: usize,
    error: &SyntaxError,
    is_merged: bool,
    found: &mut Vec<Diagnostic>,
) {
    let (rule, finding) = explain(source, error, is_merged);
    let place = [Place { source: index, document: 0, tree: None }];
    Reporter::new(rule, &place, found).report(finding);
}

/// There is nothing in a source.
pub(crate) fn empty(index: usize, found: &mut Vec<Diagnostic>) {
    let place = [Place { source: index, document: 0, tree: None }];
    let finding = Finding::new(Pointer::root(), NOTHING).help(WRITE_ONE);
    Reporter::new(&EMPTY_DOCUMENT, &place, found).report(finding);
}

/// So much is wrong with a source that the rest of it, from this document on, is not looked at.
pub(crate) fn too_much(index: usize, from: &Tree, found: &mut Vec<Diagnostic>) {
    let place = [Place { source: index, document: 0, tree: None }];
    let message = format!("more than {MOST} findings: this document and those behind it were not looked at");
    let span = from.root().span();
    let help = "put right what is told, and check again";
    let finding = Finding::new(Pointer::root(), message).at(span.start..span.start).help(help).warning();
    let mut said = Vec::new();
    Reporter::new(&BEYOND_LIMITS, &place, &mut said).report(finding);
    found.append(&mut said);
}

const NOTHING: &str = "there is no document here";
const WRITE_ONE: &str = "write one, or remove the file";

fn explain(source: &Source, error: &SyntaxError, is_merged: bool) -> (&'static RuleInfo, Finding) {
    use SyntaxErrorKind as K;

    let at = error.offset();
    let finding = |message: String| {
        let finding = Finding::new(Pointer::root(), message);
        match at {
            Some(offset) => finding.at(character(source, offset)),
            None => finding,
        }
    };
    let message = error.kind().to_string();
    let is_about_grammar =
        matches!(error.kind(), K::Malformed { .. } | K::NotAMapKey | K::UnknownAnchor { .. });
    let tab =
        at.filter(|_| is_about_grammar).and_then(|offset| tab_near(source, offset, message.contains("tab")));
    if let Some(tab) = tab {
        let finding = Finding::new(Pointer::root(), "a tab indents this line").at(tab);
        return (&TAB_INDENTATION, finding.help("write blanks instead, as many as the lines around it have"));
    }
    if let Some(slip) =
        at.filter(|_| is_about_grammar).and_then(|offset| syntax::slip(source, offset, &message))
    {
        let finding = Finding::new(Pointer::root(), slip.message).at(slip.span);
        return (&UNREADABLE_TEXT, finding.help(slip.help));
    }
    match error.kind() {
        K::NotUtf8 => {
            let help = "save it as UTF-8, or leave it out of what is checked";
            (&NOT_TEXT, Finding::new(Pointer::root(), "this is not UTF-8 text").help(help))
        }
        K::Empty => (&EMPTY_DOCUMENT, finding(NOTHING.to_owned()).help(WRITE_ONE)),
        K::TooLarge { limit } => {
            let message = format!("there are more than {limit} bytes here, and readers accept no more");
            (&BEYOND_LIMITS, finding(message).help("split it into several documents"))
        }
        K::TooDeep { limit } => {
            let message = format!("this is nested deeper than {limit} levels, and readers accept no more");
            (&BEYOND_LIMITS, finding(message).help("nest less: no Margo document needs more than 20 levels"))
        }
        K::TooManyNodes { limit } => {
            let message = format!(
                "there are more than {limit} values here, a mapping counting as four, and readers accept no more"
            );
            (&BEYOND_LIMITS, finding(message).help("split it into several documents"))
        }
        K::AliasBomb { .. } | K::RecursiveAlias => {
            (&ALIAS_BOMB, finding(format!("this {message}")).help("write out what the alias stands for"))
        }
        K::DuplicateKey { key, first } => {
            let start = source.offset(*first);
            let shown = clip(key);
            let length = source.text()[start..].chars().zip(key.chars()).take_while(|(a, b)| a == b);
            let length: usize = length.map(|(character, _)| character.len_utf8()).sum();
            let second = at.unwrap_or_default();
            let finding = Finding::new(Pointer::root(), format!("`{shown}` is used twice in one mapping"))
                .at(second..(second + length.max(1)).min(source.bytes().len()))
                .related_at(Pointer::root(), start..start + length.max(1), "first used here")
                .help(if is_merged {
                    "put a line `---` between two documents in one file, or keep one of the two fields"
                } else {
                    "keep one of them: readers disagree on which counts"
                });
            (&DUPLICATE_KEY, finding)
        }
        K::NotAMapKey
        | K::UnknownTag { .. }
        | K::TagMismatch { .. }
        | K::NotFinite { .. }
        | K::NumberOutOfRange { .. } => {
            let help =
                "write what JSON has words for: text, numbers, `true`, `false`, `null`, lists and mappings";
            let start = at.unwrap_or_default();
            let (_, rest) = source.text().split_at_checked(start).unwrap_or_default();
            let length = rest.find([' ', ',', ']', '}', '\n', '\r']).unwrap_or(rest.len());
            (&NOT_JSON, finding(message).at(start..start + length).help(help))
        }
        _ => (&UNREADABLE_TEXT, finding(message).help("correct the syntax here, or shortly before")),
    }
}

/// The character at `offset`; the last one of the text at its end.
fn character(source: &Source, offset: usize) -> Range<usize> {
    let text = source.text();
    let start = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    if let Some(character) = text[start..].chars().next() {
        return start..start + character.len_utf8();
    }
    let text = text.trim_end();
    let last = text.chars().next_back().map_or(0, char::len_utf8);
    text.len() - last..text.len()
}

/// Where the keys begin that are used again.
pub(crate) fn repeated(source: &Source, errors: &[SyntaxError]) -> BTreeSet<usize> {
    let first = |error: &SyntaxError| match error.kind() {
        SyntaxErrorKind::DuplicateKey { first, .. } => Some(source.offset(*first)),
        _ => None,
    };
    errors.iter().filter_map(first).collect()
}

/// Whether a mapping at the beginning of its lines uses several keys twice: two documents run into one another.
pub(crate) fn are_merged(errors: &[SyntaxError]) -> bool {
    let is_at_margin = |error: &&SyntaxError| matches!(error.kind(), SyntaxErrorKind::DuplicateKey { first, .. } if first.column == 1);
    errors.iter().filter(is_at_margin).count() > 1
}

/// The tab that indents the line at `offset`, one of the two lines before it, or, if the parser met it, the line behind
/// it.
fn tab_near(source: &Source, offset: usize, is_met: bool) -> Option<Range<usize>> {
    let line = source.location(offset).line;
    let behind = (line + 1..=source.line_count()).take(usize::from(is_met));
    (line.saturating_sub(2).max(1)..=line).rev().chain(behind).find_map(|line| {
        let span = source.line_span(line);
        let indentation = source.line(line).bytes().take_while(u8::is_ascii_whitespace);
        let tab = indentation.enumerate().find(|(_, byte)| *byte == b'\t')?.0;
        Some(span.start + tab..span.start + tab + 1)
    })
}

/// Plain text that a reader of YAML 1.1 takes for something else.
pub(crate) fn ambiguous(tree: &Tree, out: &mut Reporter<'_>) {
    if tree.format() != Format::Yaml {
        return;
    }
    for node in tree.nodes() {
        if let Some(key) = node.key().filter(|key| key.style() == Style::Plain && key.text() == "<<") {
            let finding =
                Finding::of_key(node.pointer(), "`<<` is an ordinary key here, and merges elsewhere")
                    .at(key.span())
                    .help("write out what is merged");
            out.report(finding);
        }
        if node.style() != Style::Plain || node.kind() == NodeKind::Mapping {
            continue;
        }
        let raw = node.raw();
        let Some(other) = read_otherwise(raw, node.kind()) else { continue };
        let quoted = Value::from(raw).to_string();
        let finding = Finding::new(
            node.pointer(),
            format!("`{}` is {} here, and {other} elsewhere", clip(raw), ours(node.kind())),
        );
        if node.kind() == NodeKind::String {
            let change = Change::Text(node.span(), quoted.clone());
            out.report(
                finding.help(format!("quote it: `{quoted}`")).fix(format!("write `{quoted}`"), [change]),
            );
        } else {
            out.report(finding.help("write it in decimal digits, or quote it if it is text"));
        }
    }
}

fn ours(kind: NodeKind) -> &'static str {
    if kind == NodeKind::String { "text" } else { "a number" }
}

/// What YAML 1.1 takes a plain scalar for, where that differs from YAML 1.2.
fn read_otherwise(raw: &str, kind: NodeKind) -> Option<&'static str> {
    let first = *raw.as_bytes().first()?;
    if kind == NodeKind::String && matches!(first, b'y' | b'Y' | b'n' | b'N' | b'o' | b'O') {
        let is = |known: &&str| known.eq_ignore_ascii_case(raw);
        return ["y", "n", "yes", "no", "on", "off"].iter().any(is).then_some("a boolean");
    }
    if !first.is_ascii_digit() && first != b'-' && first != b'+' {
        return None;
    }
    let digits = raw.trim_start_matches(['-', '+']);
    let all = |text: &str, known: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(known);
    if kind == NodeKind::Number {
        let octal = digits.len() > 1 && digits.starts_with('0') && all(digits, u8::is_ascii_digit);
        let is_prefixed = digits.starts_with("0o");
        return if octal { Some("an octal number") } else { is_prefixed.then_some("text") };
    }
    if kind != NodeKind::String {
        return None;
    }
    let parts: Vec<_> = digits.split(':').collect();
    if parts.len() > 1 && parts.iter().all(|part| all(part, u8::is_ascii_digit)) {
        let is_base_60 =
            parts[1..].iter().all(|part| part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60));
        return is_base_60.then_some("a number to base 60");
    }
    if digits.contains('_')
        && digits.matches('.').count() < 2
        && all(digits, |byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
    {
        return Some("a number");
    }
    is_date(raw).then_some("a date")
}

fn is_date(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && (bytes.len() == 10 || matches!(bytes[10], b'T' | b't' | b' '))
}

/// What speaks for no document at all.
pub(crate) fn unrecognized(tree: &Tree, out: &mut Reporter<'_>) {
    let root = tree.root();
    if root.kind() != NodeKind::Mapping {
        let message = format!("a Margo document is a mapping, and this is {}", super::words::value(root));
        let finding = Finding::new(Pointer::root(), message);
        return out
            .report(finding.help("write `key: value` lines, or leave the file out of what is checked"));
    }
    let help = "write the fields that tell a document: `spec.deploymentProfile` (deployment), `deploymentProfiles` \
                (description), `manifestVersion` (state manifest), `deploymentId` and `status` (status), `properties` \
                (capabilities); or say what it is with `--kind`";
    out.report(
        Finding::new(Pointer::root(), "this is not a Margo document, as far as its fields tell").help(help),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_that_readers_disagree_on_are_told() {
        let text = |raw| read_otherwise(raw, NodeKind::String);
        assert_eq!(text("yes"), Some("a boolean"));
        assert_eq!(text("NO"), Some("a boolean"));
        assert_eq!(text("2026-11-22"), Some("a date"));
        assert_eq!(text("2026-11-22T10:00:00Z"), Some("a date"));
        assert_eq!(text("1:30:00"), Some("a number to base 60"));
        assert_eq!(text("1_000"), Some("a number"));
        for clear in ["1.0.9", "2.4.1_7", "note", "8m30s", "2026-11", "10:70", "a3e2f5dc", "-", "192.168.0.1"]
        {
            assert_eq!(text(clear), None, "{clear}");
        }
        assert_eq!(read_otherwise("0755", NodeKind::Number), Some("an octal number"));
        assert_eq!(read_otherwise("0o17", NodeKind::Number), Some("text"));
        assert_eq!(read_otherwise("0.5", NodeKind::Number), None);
        assert_eq!(read_otherwise("0", NodeKind::Number), None);
    }
}
