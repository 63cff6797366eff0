//! YAML 1.2 with the core schema. The only module that knows which parser does the work.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};
use serde_json::Number;

use crate::Format;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::Limits;
use crate::source::Source;
use crate::tree::builder::{Builder, Position};
use crate::tree::{Scalar, Style, Tree};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Tree, SyntaxError> {
    let trees = documents(bytes, limits, 1)?;
    trees.into_iter().next().ok_or_else(|| SyntaxError::nowhere(SyntaxErrorKind::Empty))
}

pub(crate) fn read_all(bytes: &[u8], limits: &Limits) -> Result<Vec<Tree>, SyntaxError> {
    documents(bytes, limits, usize::MAX)
}

/// Everything that can be read, and what is in its way: keys that are used again, and the error that ended it.
pub(crate) fn recover(bytes: &[u8], limits: &Limits) -> (Vec<Tree>, Vec<SyntaxError>) {
    let limits = limits.effective();
    let (mut trees, mut errors) = (Vec::new(), Vec::new());
    let result = Source::new(bytes, &limits).map(Arc::new).and_then(|source| {
        let builder = Builder::new(Arc::clone(&source), Format::Yaml, &limits).tolerating();
        stream(&source, &limits, usize::MAX, builder, |mut builder| {
            errors.append(&mut builder.repeated());
            trees.push(builder.finish());
        })
    });
    errors.extend(result.err());
    (trees, errors)
}

fn documents(bytes: &[u8], limits: &Limits, most: usize) -> Result<Vec<Tree>, SyntaxError> {
    let limits = limits.effective();
    let source = Arc::new(Source::new(bytes, &limits)?);
    let mut trees = Vec::new();
    let builder = Builder::new(Arc::clone(&source), Format::Yaml, &limits);
    stream(&source, &limits, most, builder, |builder| trees.push(builder.finish()))?;
    Ok(trees)
}

/// Reads at most so many documents, each with a builder like the first one, and hands them over.
fn stream<'a>(
    source: &Source,
    limits: &Limits,
    most: usize,
    mut builder: Builder<'a>,
    mut take: impl FnMut(Builder<'a>),
) -> Result<(), SyntaxError> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: limits.max_depth,
        block_nesting_limit: limits.max_depth,
    };
    options.set_emit_comments(false);
    let mut count = 0;
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = event.map_err(|error| syntax_error(&error, source, limits))?;
        match event {
            Event::DocumentStart(..) if count == most => {
                return Err(source.error(range(&span).start, SyntaxErrorKind::MultipleDocuments));
            }
            Event::DocumentEnd => {
                let next = builder.next();
                take(std::mem::replace(&mut builder, next));
                count += 1;
            }
            other => node(&mut builder, other, &span, source)?,
        }
    }
    Ok(())
}

fn node(
    builder: &mut Builder<'_>,
    event: Event<'_>,
    span: &Span,
    source: &Source,
) -> Result<(), SyntaxError> {
    let tag_start = span.tag_start().and_then(|marker| marker.byte_offset());
    let span = range(span);
    // What is wrong with a tag, or with a value for its tag, is shown at the tag.
    let mistyped = |kind| source.error(tag_start.unwrap_or(span.start), kind);
    match event {
        Event::Alias(anchor) => builder.alias(span.clone(), anchor),
        Event::Scalar(text, style, anchor, tag) => {
            // The parser says `~` where nothing is written.
            let text = if style == ScalarStyle::Plain && span.is_empty() { "".into() } else { text };
            let value = typed(&text, style, tag.as_deref()).map_err(mistyped);
            let style = scalar_style(style);
            if builder.position() == Position::Key {
                // A key is its text; only a tag can make it wrong.
                let value = if tag.is_some() { value? } else { value.unwrap_or(Scalar::String) };
                builder.key(span.clone(), &text, style);
                if anchor != 0 {
                    builder.anchor_key(span.clone(), value, style, anchor);
                }
                return Ok(());
            }
            builder.scalar(span.clone(), &text, value?, style, anchor)
        }
        Event::SequenceStart(style, anchor, tag) => {
            collection_tag(tag.as_deref(), "seq").map_err(mistyped)?;
            let start = if builder.position() == Position::Value {
                before_dash(source.text(), span.start)
            } else {
                span.start
            };
            builder.begin_sequence(start, collection_style(style), anchor)
        }
        Event::MappingStart(style, anchor, tag) => {
            collection_tag(tag.as_deref(), "map").map_err(mistyped)?;
            builder.begin_mapping(span.start, collection_style(style), anchor)
        }
        Event::SequenceEnd | Event::MappingEnd => {
            // A block ends with its last entry; the event stands wherever the next token does.
            let is_bracket = matches!(source.text().get(span.clone()), Some("]" | "}"));
            builder.end(is_bracket.then_some(span.end))
        }
        // Stream boundaries, and comments where another crate asks the parser for them.
        _ => Ok(()),
    }
}

/// The type of a scalar (YAML 1.2.2, section 10.3.2).
fn typed(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, SyntaxErrorKind> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Scalar::String) };
    };
    if tag.parts() == ("", "!") || tag.parts() == ("!", "") {
        // The non-specific tag: a string, whatever it looks like.
        return Ok(Scalar::String);
    }
    let mismatch = |tag| SyntaxErrorKind::TagMismatch { tag };
    match tag.core_suffix() {
        Some("str") => Ok(Scalar::String),
        Some("null") => match plain(text)? {
            Scalar::Null => Ok(Scalar::Null),
            _ => Err(mismatch("null")),
        },
        Some("bool") => match plain(text)? {
            Scalar::Bool(value) => Ok(Scalar::Bool(value)),
            _ => Err(mismatch("bool")),
        },
        Some("int") => match plain(text)? {
            Scalar::Number(number) if is_integer(text) => Ok(Scalar::Number(number)),
            _ => Err(mismatch("int")),
        },
        Some("float") => match plain(text)? {
            Scalar::Number(number) => {
                let float = number.as_f64().and_then(Number::from_f64);
                float.map(Scalar::Number).ok_or(mismatch("float"))
            }
            _ => Err(mismatch("float")),
        },
        Some("seq") => Err(mismatch("seq")),
        Some("map") => Err(mismatch("map")),
        _ => Err(SyntaxErrorKind::UnknownTag { tag: tag.original().into() }),
    }
}

/// The type of a scalar without quotes and tag.
pub(crate) fn plain(text: &str) -> Result<Scalar, SyntaxErrorKind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Scalar::Null),
        "true" | "True" | "TRUE" => return Ok(Scalar::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Scalar::Bool(false)),
        _ => {}
    }
    if !text.starts_with(['-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        return Ok(Scalar::String);
    }
    let out_of_range = || SyntaxErrorKind::NumberOutOfRange { literal: text.into() };
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
                return Ok(Scalar::String);
            }
            let number = u128::from_str_radix(digits, radix).map_err(|_| out_of_range())?;
            return Ok(Scalar::Number(from_u128(number)));
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Err(SyntaxErrorKind::NotFinite { literal: text.into() }),
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => {
            return Err(SyntaxErrorKind::NotFinite { literal: text.into() });
        }
        _ => {}
    }
    if is_integer(text) {
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Scalar::Number(number.into()));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Scalar::Number(number.into()));
        }
    } else if !is_float(unsigned) {
        return Ok(Scalar::String);
    }
    let number = text.parse().ok().and_then(Number::from_f64).ok_or_else(out_of_range)?;
    Ok(Scalar::Number(number))
}

/// `[-+]? [0-9]+`, or octal or hexadecimal digits after their prefix.
fn is_integer(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_decimal = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal || text.starts_with("0o") || text.starts_with("0x")
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let is_exponent = exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent));
    has_digits && all_digits(whole) && all_digits(fraction) && is_exponent
}

#[expect(clippy::cast_precision_loss, reason = "an integer beyond 64 bits becomes the nearest float")]
fn from_u128(number: u128) -> Number {
    match u64::try_from(number) {
        Ok(number) => number.into(),
        // Every `u128` is far below the largest float.
        Err(_) => Number::from_f64(number as f64).unwrap_or_else(|| u64::MAX.into()),
    }
}

fn collection_tag(tag: Option<&Tag>, own: &'static str) -> Result<(), SyntaxErrorKind> {
    let Some(tag) = tag else { return Ok(()) };
    if tag.parts() == ("", "!") || tag.parts() == ("!", "") {
        return Ok(());
    }
    match tag.core_suffix() {
        Some(suffix) if suffix == own => Ok(()),
        Some(suffix) => {
            let known = ["str", "int", "float", "bool", "null", "seq", "map"];
            let tag = known.into_iter().find(|known| *known == suffix).unwrap_or("str");
            Err(SyntaxErrorKind::TagMismatch { tag })
        }
        None => Err(SyntaxErrorKind::UnknownTag { tag: tag.original().into() }),
    }
}

fn scalar_style(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

fn collection_style(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Block => Style::Block,
        StructureStyle::Flow => Style::Flow,
    }
}

fn syntax_error(error: &ScanError, source: &Source, limits: &Limits) -> SyntaxError {
    let offset = error.marker().byte_offset().unwrap_or_default();
    let kind = match error.kind() {
        ErrorKind::RecursionLimitExceeded => SyntaxErrorKind::TooDeep { limit: limits.max_depth },
        ErrorKind::UnknownAnchor => {
            let rest = source.text().get(offset..).unwrap_or_default().trim_start_matches('*');
            let end = rest.find(|c: char| c.is_whitespace() || ",[]{}".contains(c)).unwrap_or(rest.len());
            SyntaxErrorKind::UnknownAnchor { name: rest[..end].into() }
        }
        _ => SyntaxErrorKind::malformed(error.info()),
    };
    source.error(offset, kind)
}

/// Where a sequence begins whose dashes stand below the key: the parser reports the place after the first dash.
fn before_dash(text: &str, start: usize) -> usize {
    let before = text[..start].trim_end_matches([' ', '\t']);
    if before.ends_with('-') { before.len() - 1 } else { start }
}

/// The bytes of an event. A parser of a `&str` always knows them.
fn range(span: &Span) -> Range<usize> {
    let range = span.byte_range().unwrap_or_default();
    range.start..range.end.max(range.start)
}
