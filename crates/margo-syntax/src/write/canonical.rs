use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Number;

use super::ordered::{Entry, Ordered};

/// Canonical JSON (RFC 8785), with integers written exactly.
pub(super) fn text(value: Ordered) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: Ordered, out: &mut String) {
    match value {
        Ordered::Null => out.push_str("null"),
        Ordered::Bool(true) => out.push_str("true"),
        Ordered::Bool(false) => out.push_str("false"),
        Ordered::Number(number) => self::number(&number, out),
        Ordered::String(text) => string(&text, out),
        Ordered::Sequence(items) => {
            out.push('[');
            for (at, item) in items.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Ordered::Mapping(mut entries) => {
            entries.sort_unstable_by(order);
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                string(&key, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

/// RFC 8785, section 3.2.3. No key is used twice.
fn order((a, _): &Entry, (b, _): &Entry) -> Ordering {
    // UTF-16 has another order than UTF-8 only beyond ASCII.
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn number(number: &Number, out: &mut String) {
    if number.is_f64() {
        float(&number.to_string(), out);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{number}");
    }
}

/// A float as `Number.prototype.toString` writes it (ECMA-262, `Number::toString`).
///
/// `shortest` are the fewest digits that read back as the same float and, of two candidates equally near, the
/// even one: what ECMAScript asks for and `serde_json` writes. The standard library takes the larger of the two.
fn float(shortest: &str, out: &mut String) {
    let (sign, unsigned) = match shortest.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", shortest),
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let leading = all.len() - significant.len();
    let digits = significant.trim_end_matches('0');
    if digits.is_empty() {
        // ECMAScript has no sign for zero.
        out.push('0');
        return;
    }
    out.push_str(sign);
    // The names of the specification: k digits, the decimal point after the n-th.
    let k = digits.len();
    let n = offset(whole.len()) - offset(leading) + exponent.parse::<i32>().unwrap_or_default();
    match usize::try_from(n) {
        Ok(n @ 1..=21) if k <= n => {
            out.push_str(digits);
            out.extend(std::iter::repeat_n('0', n - k));
        }
        Ok(n @ 1..=21) => {
            out.push_str(&digits[..n]);
            out.push('.');
            out.push_str(&digits[n..]);
        }
        _ if (-5..=0).contains(&n) => {
            out.push_str("0.");
            out.extend((n..0).map(|_| '0'));
            out.push_str(digits);
        }
        _ => {
            out.push_str(&digits[..1]);
            if k > 1 {
                out.push('.');
                out.push_str(&digits[1..]);
            }
            // Writing to a string cannot fail.
            let _ = write!(out, "e{:+}", n - 1);
        }
    }
}

/// A number of digits; a float has a few hundred at most.
fn offset(digits: usize) -> i32 {
    i32::try_from(digits).unwrap_or(i32::MAX)
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What is escaped is one byte.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x8 => out.push_str("\\b"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0xC => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            control => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
