//! `# margo: allow(rule) reason`: what the text itself allows.

use std::ops::Range;

use margo_syntax::{Format, Pointer};

use super::Inspected;
use crate::reporter::Place;
use crate::rules::text::USELESS_ALLOW;
use crate::rules::words::{clip, nearest};
use crate::{Diagnostic, Finding, Reporter};

/// `known` gives the names of all rules. Moves what the comments of a source allow from `found` to `allowed`, and tells which of them allow nothing.
pub(super) fn apply<I: Iterator<Item = &'static str>>(
    inspected: &Inspected,
    known: impl FnOnce() -> I,
    found: &mut Vec<Diagnostic>,
    allowed: &mut Vec<Diagnostic>,
) {
    let source = &inspected.source;
    let mentions_it = str::from_utf8(source.bytes()).is_ok_and(|text| text.contains(MARK));
    if source.format() != Format::Yaml || !mentions_it {
        return;
    }
    let mut comments = comments(inspected);
    let is_meant = |comment: &Comment, diagnostic: &Diagnostic| {
        let line = match &diagnostic.primary.span {
            Some(span) => source.location(span.start).line,
            None => 1,
        };
        diagnostic.primary.source == inspected.index
            && line == comment.line
            && comment.rules.iter().any(|(rule, _)| rule == diagnostic.rule.name)
            && !comment.reason.is_empty()
    };
    let mut kept = Vec::with_capacity(found.len());
    for diagnostic in found.drain(..) {
        match comments.iter_mut().find(|comment| is_meant(comment, &diagnostic)) {
            Some(comment) => {
                comment.used.push(diagnostic.rule.name);
                allowed.push(diagnostic);
            }
            None => kept.push(diagnostic),
        }
    }
    *found = kept;
    if inspected.left_out > 0 {
        // What they allow may be among what was left out.
        return;
    }
    let known: Vec<_> = known().collect();
    let place = [Place { source: inspected.index, document: 0, tree: None }];
    for comment in &comments {
        for (rule, span) in &comment.rules {
            if let Some(finding) = comment.useless(rule, &known) {
                Reporter::new(&USELESS_ALLOW, &place, found).report(finding.at(span.clone()));
            }
        }
    }
}

const MARK: &str = "margo: allow(";

struct Comment {
    /// The line it is about.
    line: usize,
    rules: Vec<(String, Range<usize>)>,
    reason: String,
    used: Vec<&'static str>,
}

impl Comment {
    fn useless(&self, rule: &str, known: &[&'static str]) -> Option<Finding> {
        let shown = clip(rule);
        let (message, help) = if known.iter().all(|known| *known != rule) {
            let near = nearest(rule, known.iter().copied());
            let help =
                near.map_or_else(|| "see `margo rules`".to_owned(), |near| format!("did you mean `{near}`?"));
            (format!("no rule is called `{shown}`"), help)
        } else if self.reason.is_empty() {
            (
                format!("`{shown}` is allowed without a reason, and so it is not"),
                "say why, after the parenthesis".to_owned(),
            )
        } else if self.used.contains(&rule) {
            return None;
        } else {
            (format!("nothing here breaks `{shown}`"), "remove the comment".to_owned())
        };
        Some(Finding::new(Pointer::root(), message).help(help))
    }
}

fn comments(inspected: &Inspected) -> Vec<Comment> {
    let source = &inspected.source;
    let text = source.text();
    let mut comments = Vec::new();
    for (at, _) in text.match_indices(MARK) {
        let number = source.location(at).line;
        let line = source.line_span(number);
        let before = &text[line.start..at];
        let Some(hash) = before.trim_end().strip_suffix('#') else { continue };
        let is_comment = hash.is_empty() || hash.ends_with([' ', '\t']);
        if !is_comment || is_inside_scalar(inspected, at) {
            continue;
        }
        let start = at + MARK.len();
        let Some((names, reason)) = text[start..line.end.max(start)].split_once(')') else { continue };
        let mut offset = start;
        let mut rules = Vec::new();
        for name in names.split(',') {
            let lead = name.len() - name.trim_start().len();
            let from = offset + lead;
            rules.push((name.trim().to_owned(), from..from + name.trim().len().max(1)));
            offset += name.len() + 1;
        }
        let stands_alone = hash.trim().is_empty();
        let line = if stands_alone { next_line(inspected, number) } else { number };
        comments.push(Comment { line, rules, reason: reason.trim().to_owned(), used: Vec::new() });
    }
    comments
}

/// The next line that says something.
fn next_line(inspected: &Inspected, number: usize) -> usize {
    let source = &inspected.source;
    let says = |line: &usize| {
        let text = source.line(*line).trim();
        !text.is_empty() && !text.starts_with('#')
    };
    (number + 1..=source.line_count()).find(says).unwrap_or(number)
}

fn is_inside_scalar(inspected: &Inspected, at: usize) -> bool {
    let trees = inspected.written.iter().filter_map(|written| written.tree.as_ref());
    let mut nodes = trees.flat_map(margo_syntax::Tree::nodes);
    nodes.any(|node| node.literal().is_some() && node.span().contains(&at))
}
