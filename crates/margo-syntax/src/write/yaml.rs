use std::fmt::Write;

use serde_json::Number;

use super::ordered::{Entry, Ordered};
use crate::tree::Scalar;
use crate::yaml::plain;

/// YAML in block style, two spaces a level.
pub(super) fn text(value: &Ordered) -> String {
    let mut out = String::new();
    match value {
        Ordered::Sequence(items) if !items.is_empty() => sequence(items, 0, &mut out),
        Ordered::Mapping(entries) if !entries.is_empty() => mapping(entries, 0, &mut out),
        scalar => {
            inline(scalar, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

/// The lines of a sequence. The first begins where `out` ends, the others are indented.
fn sequence(items: &[Ordered], indent: usize, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Ordered::Sequence(items) if !items.is_empty() => sequence(items, indent + 2, out),
            Ordered::Mapping(entries) if !entries.is_empty() => mapping(entries, indent + 2, out),
            scalar => {
                inline(scalar, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

/// The lines of a mapping. The first begins where `out` ends, the others are indented.
fn mapping(entries: &[Entry], indent: usize, out: &mut String) {
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            pad(indent, out);
        }
        let start = out.len();
        line(key, out);
        if out.len() - start > MAX_IMPLICIT_KEY {
            out.insert_str(start, "? ");
            out.push('\n');
            pad(indent, out);
        }
        out.push(':');
        match value {
            Ordered::Sequence(items) if !items.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                sequence(items, indent + 2, out);
            }
            Ordered::Mapping(entries) if !entries.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                mapping(entries, indent + 2, out);
            }
            scalar => {
                out.push(' ');
                inline(scalar, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

/// A longer key needs a `?` before it (YAML 1.2.2, section 8.2.2). 1024 characters are allowed.
const MAX_IMPLICIT_KEY: usize = 1000;

/// A scalar or an empty collection; what takes several lines is indented. No line break at the end.
fn inline(value: &Ordered, indent: usize, out: &mut String) {
    match value {
        Ordered::Null => out.push_str("null"),
        Ordered::Bool(true) => out.push_str("true"),
        Ordered::Bool(false) => out.push_str("false"),
        Ordered::Number(number) => self::number(number, out),
        Ordered::String(text) if is_literal(text) => literal(text, indent.max(2), out),
        Ordered::String(text) => line(text, out),
        Ordered::Sequence(_) => out.push_str("[]"),
        Ordered::Mapping(_) => out.push_str("{}"),
    }
}

/// A number in a form that YAML 1.1 takes for a number too: `1.0e+30`, not `1e30`.
fn number(number: &Number, out: &mut String) {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once('e').filter(|_| number.is_f64()) else {
        out.push_str(&text);
        return;
    };
    out.push_str(mantissa);
    if !mantissa.contains('.') {
        out.push_str(".0");
    }
    out.push('e');
    if !exponent.starts_with(['-', '+']) {
        out.push('+');
    }
    out.push_str(exponent);
}

/// Whether `text` has several lines that can be written as they are after a `|`.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        // The first line sets the indentation, and trailing empty lines need care of the reader.
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && body.chars().all(|character| is_printable(character) || matches!(character, '\n' | '\t'))
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let (header, body) = match text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", text),
    };
    out.push_str(header);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

/// A string on one line, quoted if it has to be.
fn line(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else if text.contains(['"', '\\']) && text.chars().all(is_printable) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        double_quoted(text, out);
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        // Writing to a string cannot fail.
        let _ = match character {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\t' => out.write_str("\\t"),
            '\r' => out.write_str("\\r"),
            other if is_printable(other) => out.write_char(other),
            other if u32::from(other) <= 0xFF => write!(out, "\\x{:02X}", u32::from(other)),
            other => write!(out, "\\u{:04X}", u32::from(other)),
        };
    }
    out.push('"');
}

/// Whether every reader takes `text` without quotes for this very string.
fn is_plain(text: &str) -> bool {
    let is_string = matches!(plain(text), Ok(Scalar::String)) && !is_typed_in_yaml_1_1(text);
    let Some(first) = text.chars().next() else { return false };
    is_string
        && !"?:,[]{}#&*!|>'\"%@`".contains(first)
        && text != "-"
        && !["- ", "---", "..."].iter().any(|marker| text.starts_with(marker))
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(is_printable)
}

/// Whether YAML 1.1 has a type of its own for `text` (<https://yaml.org/type/>). Rather one too many.
fn is_typed_in_yaml_1_1(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) || matches!(text, "=" | "<<") {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some(first @ (b'.' | b'0'..=b'9')) = unsigned.bytes().next() else { return false };
    let all = |text: &str, allowed: fn(u8) -> bool| text.bytes().all(allowed);
    // Decimal, octal and sexagesimal integers and floats: `1_000`, `017`, `8080:80`, `1.2.3`.
    let is_number = |text: &str| all(text, |byte| byte.is_ascii_digit() || b"_.:".contains(&byte));
    let has_exponent = unsigned.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| {
        is_number(mantissa) && is_number(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
    });
    let has_radix = first == b'0' && unsigned.len() > 1 && {
        let digits = &unsigned.get(2..).unwrap_or_default();
        matches!(unsigned.as_bytes()[1], b'b' | b'o' | b'x')
            && all(digits, |byte| byte.is_ascii_hexdigit() || byte == b'_')
    };
    let is_infinite = [".inf", ".nan"].iter().any(|word| word.eq_ignore_ascii_case(unsigned));
    is_number(unsigned) || has_exponent || has_radix || is_infinite || is_timestamp(text)
}

/// Whether `text` begins like a date: `2024-05-01`, alone or before a time.
fn is_timestamp(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let day_len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let is_date = year.len() == 4 && is_digits(year) && month.len() <= 2 && is_digits(month);
    is_date
        && (1..=2).contains(&day_len)
        && matches!(rest[day_len..].chars().next(), None | Some('T' | 't' | ' '))
}

/// What may stand in YAML without an escape, on one line, and survives editors: no tabs, no separators.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
