//! What is being written at a place of an unfinished text.
//!
//! A text that somebody is typing cannot be parsed most of the time. What it will be is read off its lines: for
//! block YAML from the indentation, for JSON and flow YAML from the brackets.

use std::collections::BTreeSet;
use std::ops::Range;

use margo_syntax::Format;

use crate::member::Step;

/// Where somebody is typing, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The way to the object or the value.
    pub(crate) path: Vec<Step>,
    pub(crate) writing: Writing,
    /// What is typed of it so far, in bytes of the text.
    pub(crate) typed: Range<usize>,
    /// The members the object has already, as far as they can be seen.
    pub(crate) present: BTreeSet<String>,
    /// How far in it is, in columns; within brackets, nothing.
    pub(crate) indent: Option<usize>,
    /// Whether it stands between quotation marks that somebody has typed.
    pub(crate) is_quoted: bool,
}

/// What somebody is typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// The name of a member of the object at the path.
    Member,
    /// The value at the path.
    Value,
    /// An item of a list: its first member, or itself.
    Item,
}

impl Cursor {
    /// What is being written at `offset` of `text`; nothing in a comment.
    pub(crate) fn at(text: &str, offset: usize, format: Format) -> Option<Self> {
        match format {
            Format::Json => flow(text, 0, offset, Vec::new()),
            _ => block(text, offset),
        }
    }
}

/// What stands in a line of block YAML, by column.
#[derive(Debug)]
enum Token<'a> {
    Dash,
    Key(&'a str),
}

/// The dashes and the key of a line, and where what follows them begins.
fn tokens(line: &str) -> (Vec<(usize, Token<'_>)>, usize) {
    let mut tokens = Vec::new();
    let mut at = line.len() - line.trim_start_matches(' ').len();
    while line[at..].starts_with("- ") || &line[at..] == "-" {
        tokens.push((at, Token::Dash));
        let rest = &line[at + 1..];
        at += 1 + rest.len() - rest.trim_start_matches(' ').len();
    }
    let rest = &line[at..];
    let end = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map(|end| end + 2),
        _ => rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len)),
    };
    if let Some(end) = end
        && rest[end..].starts_with(':')
        && !rest.starts_with(['{', '[', '#'])
    {
        tokens.push((at, Token::Key(rest[..end].trim_matches(['"', '\'']))));
        let value = &rest[end + 1..];
        at += end + 1 + value.len() - value.trim_start_matches(' ').len();
    }
    (tokens, at)
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn block(text: &str, offset: usize) -> Option<Cursor> {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[start..offset];
    if line.trim_start().starts_with('#') || line.contains(" #") {
        return None;
    }
    let (tokens, value) = tokens(line);
    let above = text[..start].lines().rev().take_while(|line| !line.starts_with("---"));
    let below = text[offset..].lines().skip(1).take_while(|line| !line.starts_with("---"));

    if let Some((column, Token::Key(_))) = tokens.last() {
        let column = *column;
        let path = path(&tokens, column, true, above);
        let is_flow = line[value..].starts_with(['{', '[']);
        if is_flow {
            return flow(text, start + value, offset, path);
        }
        // Directly after the colon nothing can stand yet.
        let is_quoted = line[value..].starts_with(['"', '\'']);
        let typed = start + value + usize::from(is_quoted)..offset;
        return line[..value].ends_with(' ').then(|| Cursor {
            path,
            writing: Writing::Value,
            typed,
            present: BTreeSet::new(),
            indent: Some(column),
            is_quoted,
        });
    }
    if line[value..].starts_with(['{', '[']) {
        return flow(text, start + value, offset, path(&tokens, value, false, above));
    }
    let writing =
        if matches!(tokens.last(), Some((_, Token::Dash))) { Writing::Item } else { Writing::Member };
    let mut present = BTreeSet::new();
    if writing == Writing::Member {
        present.extend(siblings(above.clone(), value, true));
    }
    present.extend(siblings(below, value, false));
    let path = path(&tokens, value, false, above);
    Some(Cursor {
        path,
        writing,
        typed: start + value..offset,
        present,
        indent: Some(value),
        is_quoted: false,
    })
}

/// The way to what stands at `column` after `tokens`, whose last one is its own key if `is_value`.
fn path<'a>(
    tokens: &[(usize, Token<'_>)],
    column: usize,
    is_value: bool,
    above: impl Iterator<Item = &'a str>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    // Whatever encloses this begins before this column; a list may begin at that of its own key.
    let mut limit = column;
    let mut may_equal = false;
    let mut own = tokens.iter().rev();
    if is_value && let Some((_, Token::Key(key))) = own.next() {
        steps.push(Step::Member((*key).to_owned()));
    }
    for (column, token) in own {
        if let Token::Dash = token {
            steps.push(Step::Item);
            (limit, may_equal) = (*column, true);
        }
    }
    for line in above.filter(|line| !is_blank(line)) {
        if limit == 0 && !may_equal {
            break;
        }
        let (tokens, _) = self::tokens(line);
        for (column, token) in tokens.iter().rev() {
            match token {
                Token::Key(key) if *column < limit || may_equal && *column == limit => {
                    steps.push(Step::Member((*key).to_owned()));
                    (limit, may_equal) = (*column, false);
                }
                Token::Dash if *column < limit => {
                    steps.push(Step::Item);
                    (limit, may_equal) = (*column, true);
                }
                _ => {}
            }
        }
    }
    steps.reverse();
    steps
}

/// The members of the same object among these lines, which lead away from it. On the way up, the first of them may
/// stand behind the dash of its item; on the way down, that is the next item.
fn siblings<'a>(lines: impl Iterator<Item = &'a str>, column: usize, is_up: bool) -> BTreeSet<String> {
    let mut present = BTreeSet::new();
    for line in lines.filter(|line| !is_blank(line)) {
        let (tokens, value) = tokens(line);
        let first = tokens.first().map_or(value, |(at, _)| *at);
        let is_outside = first < column;
        if let Some((at, Token::Key(key))) = tokens.last()
            && *at == column
            && (is_up || !is_outside)
        {
            present.insert((*key).to_owned());
        }
        if is_outside {
            break;
        }
    }
    present
}

/// An object or a list between brackets, as far as it is written.
#[derive(Debug, Default)]
struct Frame {
    is_list: bool,
    key: Option<String>,
    is_after_colon: bool,
    present: BTreeSet<String>,
}

fn flow(text: &str, from: usize, offset: usize, path: Vec<Step>) -> Option<Cursor> {
    let mut frames: Vec<Frame> = Vec::new();
    // Where the text between two signs of structure begins, and in which quotation marks.
    let mut token = from;
    let mut quote = None;
    let mut is_escaped = false;
    let mut last: Option<String> = None;
    for (at, character) in text[from..offset].char_indices() {
        let at = from + at;
        if let Some(mark) = quote {
            if is_escaped {
                is_escaped = false;
            } else if character == '\\' && mark == '"' {
                is_escaped = true;
            } else if character == mark {
                quote = None;
                last = Some(text[token..at].to_owned());
                token = at + 1;
            }
            continue;
        }
        match character {
            '"' | '\'' if text[token..at].trim().is_empty() => {
                quote = Some(character);
                token = at + 1;
            }
            '{' | '[' => {
                frames.push(Frame { is_list: character == '[', ..Frame::default() });
                token = at + 1;
            }
            '}' | ']' => {
                frames.pop();
                token = at + 1;
            }
            ':' => {
                let plain = text[token..at].trim();
                let key = last.take().unwrap_or_else(|| plain.to_owned());
                if let Some(frame) = frames.last_mut().filter(|frame| !frame.is_list && !frame.is_after_colon)
                {
                    frame.present.insert(key.clone());
                    frame.key = Some(key);
                    frame.is_after_colon = true;
                    token = at + 1;
                }
            }
            ',' => {
                if let Some(frame) = frames.last_mut() {
                    frame.is_after_colon = false;
                }
                last = None;
                token = at + 1;
            }
            _ => {}
        }
    }
    let frame = frames.last()?;
    let writing = match (frame.is_list, frame.is_after_colon) {
        (true, _) => Writing::Item,
        (false, true) => Writing::Value,
        (false, false) => Writing::Member,
    };
    let begin = token + text[token..offset].len() - text[token..offset].trim_start().len();
    let typed = if quote.is_some() { token..offset } else { begin..offset };
    let present = if writing == Writing::Member { frame.present.clone() } else { BTreeSet::new() };
    let mut path = path;
    let innermost = frames.len() - 1;
    for (depth, frame) in frames.iter().enumerate() {
        if frame.is_list {
            path.push(Step::Item);
        } else if depth < innermost || frame.is_after_colon {
            path.extend(frame.key.clone().map(Step::Member));
        }
    }
    Some(Cursor { path, writing, typed, present, indent: None, is_quoted: quote.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at the `|` in `text`: the way there, what is written, and what is typed of it.
    fn look(text: &str, format: Format) -> Option<(String, Writing, String, Vec<String>)> {
        let offset = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let cursor = Cursor::at(&text, offset, format)?;
        let step = |step: &Step| match step {
            Step::Member(name) => name.clone(),
            Step::Item => "-".to_owned(),
        };
        let path: Vec<_> = cursor.path.iter().map(step).collect();
        let present = cursor.present.into_iter().collect();
        Some((path.join("/"), cursor.writing, text[cursor.typed].to_owned(), present))
    }

    fn found(text: &str, path: &str, writing: Writing, typed: &str, present: &[&str]) {
        let present = present.iter().map(|&name| name.to_owned()).collect();
        let format = if text.starts_with('{') { Format::Json } else { Format::Yaml };
        assert_eq!(look(text, format), Some((path.to_owned(), writing, typed.to_owned(), present)), "{text}");
    }

    #[test]
    fn block_yaml_is_read_by_its_indentation() {
        use Writing::{Item, Member, Value};
        found("|", "", Member, "", &[]);
        found("id: 1\nme|\nspec: {}\n", "", Member, "me", &["id", "spec"]);
        found("spec:\n  deploymentProfile:\n    ty|", "spec/deploymentProfile", Member, "ty", &[]);
        found("spec:\n  type: he|", "spec/type", Value, "he", &[]);
        found("spec:\n  type: |", "spec/type", Value, "", &[]);
        found("a:\n  - name: x\n    pro|\n    z: 1\n  - other: 1\n", "a/-", Member, "pro", &["name", "z"]);
        found("a:\n- name: x\n  pro|", "a/-", Member, "pro", &["name"]);
        found("a:\n- n|", "a/-", Item, "n", &[]);
        found("a:\n  b:\n    - |\n", "a/b/-", Item, "", &[]);
        found("a:\n  - b:\n      c: |", "a/-/b/c", Value, "", &[]);
        found("a: 1\n---\nb:\n  |", "b", Member, "", &[]);
        found("a:\n  - name: x\n    # note\n\n    wait: tr|", "a/-/wait", Value, "tr", &[]);
        found("a: \"he|", "a", Value, "he", &[]);
    }

    #[test]
    fn brackets_are_read_as_brackets() {
        use Writing::{Item, Member, Value};
        found("{\"id\": 1, \"sp|", "", Member, "sp", &["id"]);
        found("{\"a\": {\"b\": [{\"c\": 1}, {\"d|", "a/b/-", Member, "d", &[]);
        found("{\"a\": \"x:,{|", "a", Value, "x:,{", &[]);
        found("{\"a\": [\"x\", \"y|", "a/-", Item, "y", &[]);
        found("{\"a\": {\"b\": true}, |", "", Member, "", &["a"]);
        found("spec:\n  - { name: a, ty|", "spec/-", Member, "ty", &["name"]);
        found("spec:\n  it: { name: [a, |", "spec/it/name/-", Item, "", &[]);
    }

    #[test]
    fn nothing_is_written_in_a_comment_or_right_after_a_colon() {
        assert_eq!(look("a: # x|", Format::Yaml), None);
        assert_eq!(look("# x|", Format::Yaml), None);
        assert_eq!(look("a:|", Format::Yaml), None);
    }

    #[test]
    fn no_text_is_too_strange() {
        let text = "a: [{'é\": - - x\n  - ? : }]] \"\\";
        for offset in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = Cursor::at(text, offset, Format::Yaml);
            let _ = Cursor::at(text, offset, Format::Json);
        }
    }
}
