//! What the pointer rests on.

use std::fmt::Write as _;
use std::ops::Range;

use margo_syntax::{Node, Tree};
use margo_validate::{Diagnostic, RuleInfo};
use serde_json::Value;

use crate::member::{Schema, Shape, Step};

/// A member or a value, and where it stands.
#[derive(Debug)]
pub(crate) struct Pointed {
    pub(crate) path: Vec<Step>,
    pub(crate) span: Range<usize>,
}

/// What stands at the byte at `offset`: a key, or a value that holds no others.
pub(crate) fn pointed(trees: &[Tree], offset: usize) -> Option<Pointed> {
    let nodes = trees.iter().flat_map(Tree::nodes);
    nodes.filter_map(|node| touched(&node, offset).map(|span| (node, span))).last().map(|(node, span)| {
        let mut path = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            at = node.parent();
            if at.is_some() {
                path.push(node.key().map_or(Step::Item, |key| Step::Member(key.text().to_owned())));
            }
        }
        path.reverse();
        Pointed { path, span }
    })
}

fn touched(node: &Node<'_>, offset: usize) -> Option<Range<usize>> {
    let touches = |span: &Range<usize>| span.start <= offset && offset <= span.end;
    let key = node.key().map(|key| key.span()).filter(touches);
    let value = || Some(node.span()).filter(|span| node.children().len() == 0 && touches(span));
    key.or_else(value)
}

/// What there is to say about a member, and about what was found there.
pub(crate) fn explain<'a>(
    schema: Option<(&Schema, &Pointed)>,
    found: impl Iterator<Item = &'a Diagnostic>,
) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((schema, pointed)) = schema {
        let shape = schema.at(&pointed.path);
        if !shape.is_unknown() {
            parts.push(member(schema, pointed, &shape));
        }
    }
    let mut told: Vec<&RuleInfo> = Vec::new();
    for diagnostic in found {
        if !told.contains(&diagnostic.rule) {
            told.push(diagnostic.rule);
            parts.push(rule(diagnostic));
        }
    }
    (!parts.is_empty()).then(|| parts.join("\n\n---\n\n"))
}

fn member(schema: &Schema, pointed: &Pointed, shape: &Shape<'_>) -> String {
    let named = pointed.path.iter().rev().find_map(|step| match step {
        Step::Member(name) => Some(name.as_str()),
        Step::Item => None,
    });
    let mut text = format!("**{}**", named.unwrap_or_default());
    if matches!(pointed.path.last(), Some(Step::Item)) {
        text.push_str(" (an item)");
    }
    let types = shape.types().join(" or ");
    if !types.is_empty() {
        let _ = write!(text, ": {types}");
    }
    if shape.is_required {
        text.push_str(", required");
    }
    if let Some(description) = shape.description() {
        let _ = write!(text, "\n\n{description}");
    }
    list(&mut text, "One of", shape.words());
    list(&mut text, "Default", shape.default().into_iter());
    list(&mut text, "For example", shape.examples().filter(|example| !example.is_object()));
    if let Some(pattern) = shape.pattern() {
        let _ = write!(text, "\n\nPattern: `{pattern}`");
    }
    if shape.examples().next().is_none() && shape.words().next().is_none() {
        let example = schema.example(&pointed.path).filter(|it| !it.is_object() && !it.is_array());
        list(&mut text, "For example", example.into_iter());
    }
    let clause = schema.clause(&pointed.path);
    let _ = write!(text, "\n\n*{}* · [{}]({})", schema.title(), clause.place, clause.url());
    text
}

fn list<'a>(text: &mut String, heading: &str, values: impl Iterator<Item = &'a Value>) {
    let mut shown = Vec::new();
    for value in values {
        let value = format!("`{}`", plain(value));
        if !shown.contains(&value) {
            shown.push(value);
        }
    }
    if !shown.is_empty() {
        let _ = write!(text, "\n\n{heading}: {}", shown.join(", "));
    }
}

/// A value as people write it.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn rule(diagnostic: &Diagnostic) -> String {
    let rule = diagnostic.rule;
    let mut text = format!("**{}**: {}.", rule.name, rule.summary);
    if let Some(help) = &diagnostic.help {
        let _ = write!(text, "\n\nHelp: {help}");
    }
    let _ = write!(text, "\n\n[{}]({})", diagnostic.clause, diagnostic.clause.url());
    if let Some(interpretation) = diagnostic.interpretation {
        let _ = write!(text, " · `{interpretation}`");
    }
    text
}
