//! JSON (RFC 8259), exactly as `serde_json` understands it, but with places, limits and no duplicate keys.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Number;

use crate::Format;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::Limits;
use crate::source::Source;
use crate::tree::builder::{Builder, Position};
use crate::tree::{Scalar, Style, Tree};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Tree, SyntaxError> {
    let limits = limits.effective();
    let source = Arc::new(Source::new(bytes, &limits)?);
    Ok(document(&source, Builder::new(Arc::clone(&source), Format::Json, &limits))?.finish())
}

/// The document, if it can be read, and what is in its way: keys that are used again, or the error that ended it.
pub(crate) fn recover(bytes: &[u8], limits: &Limits) -> (Vec<Tree>, Vec<SyntaxError>) {
    let limits = limits.effective();
    let read = Source::new(bytes, &limits).map(Arc::new).and_then(|source| {
        let mut builder =
            document(&source, Builder::new(Arc::clone(&source), Format::Json, &limits).tolerating())?;
        let errors = builder.repeated();
        Ok((vec![builder.finish()], errors))
    });
    read.unwrap_or_else(|error| (Vec::new(), vec![error]))
}

fn document<'a>(source: &Source, mut builder: Builder<'a>) -> Result<Builder<'a>, SyntaxError> {
    let mut reader = Reader { source, text: source.text(), at: 0 };
    if reader.peek().is_none() {
        return Err(SyntaxError::nowhere(SyntaxErrorKind::Empty));
    }
    'value: loop {
        if reader.value(&mut builder)? {
            continue;
        }
        // A value is complete: another follows, or the collection around it ends.
        loop {
            match (builder.position(), reader.peek()) {
                (Position::Root, None) => break 'value,
                (Position::Root, Some(_)) => return Err(reader.expected("the end of the document")),
                (Position::Item, Some(b',')) => {
                    reader.at += 1;
                    continue 'value;
                }
                (Position::Key, Some(b',')) => {
                    reader.at += 1;
                    reader.key(&mut builder)?;
                    continue 'value;
                }
                (Position::Item, Some(b']')) | (Position::Key, Some(b'}')) => reader.close(&mut builder)?,
                (Position::Item, _) => return Err(reader.expected("`,` or `]`")),
                (Position::Key | Position::Value, _) => return Err(reader.expected("`,` or `}`")),
            }
        }
    }
    Ok(builder)
}

struct Reader<'a> {
    source: &'a Source,
    text: &'a str,
    /// A byte offset, always between two characters.
    at: usize,
}

impl<'a> Reader<'a> {
    /// A scalar, an empty collection, or the beginning of a collection up to its first value. Whether a value
    /// must follow.
    fn value(&mut self, builder: &mut Builder<'_>) -> Result<bool, SyntaxError> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{') => {
                builder.begin_mapping(start, Style::Flow, 0)?;
                self.at += 1;
                if self.peek() == Some(b'}') {
                    return self.close(builder).map(|()| false);
                }
                return self.key(builder).map(|()| true);
            }
            Some(b'[') => {
                builder.begin_sequence(start, Style::Flow, 0)?;
                self.at += 1;
                if self.peek() == Some(b']') {
                    return self.close(builder).map(|()| false);
                }
                return Ok(true);
            }
            Some(b'"') => {
                let text = self.string()?;
                builder.scalar(start..self.at, &text, Scalar::String, Style::DoubleQuoted, 0)?;
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                let text = &self.text[start..self.at];
                builder.scalar(start..self.at, text, Scalar::Number(number), Style::Plain, 0)?;
            }
            _ => {
                let (text, value) = self.word()?;
                builder.scalar(start..self.at, text, value, Style::Plain, 0)?;
            }
        }
        Ok(false)
    }

    fn close(&mut self, builder: &mut Builder<'_>) -> Result<(), SyntaxError> {
        self.at += 1;
        builder.end(Some(self.at))
    }

    /// A key and the colon after it.
    fn key(&mut self, builder: &mut Builder<'_>) -> Result<(), SyntaxError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let start = self.at;
        let key = self.string()?;
        builder.key(start..self.at, &key, Style::DoubleQuoted);
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self) -> Result<(&'static str, Scalar), SyntaxError> {
        let words = [("null", Scalar::Null), ("true", Scalar::Bool(true)), ("false", Scalar::Bool(false))];
        for (word, value) in words {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok((word, value));
            }
        }
        Err(self.expected("a value"))
    }

    fn number(&mut self) -> Result<Number, SyntaxError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
            if matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(self.malformed("a number has no leading zeros"));
            }
        } else {
            self.digits()?;
        }
        let mut is_integer = true;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_integer = false;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            is_integer = false;
        }
        let text = &self.text[start..self.at];
        // `-0` is a float, as in `serde_json`: an integer has no negative zero.
        if is_integer && text != "-0" {
            if let Ok(number) = text.parse::<u64>() {
                return Ok(number.into());
            }
            if let Ok(number) = text.parse::<i64>() {
                return Ok(number.into());
            }
        }
        text.parse().ok().and_then(Number::from_f64).ok_or_else(|| {
            self.source.error(start, SyntaxErrorKind::NumberOutOfRange { literal: text.into() })
        })
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// A string from its opening to its closing quote.
    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        self.at += 1;
        let first = self.fragment()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(first));
        }
        let mut text = first.to_owned();
        while self.byte() == Some(b'\\') {
            text.push(self.escape()?);
            text.push_str(self.fragment()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// Characters up to a quote or an escape.
    fn fragment(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let len = bytes.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ');
        self.at = len.map_or(self.text.len(), |len| start + len);
        match self.byte() {
            Some(b'"' | b'\\') => Ok(&self.text[start..self.at]),
            Some(_) => Err(self.malformed("a control character in a string must be escaped")),
            None => Err(self.expected("`\"`")),
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let character = match self.byte() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let high = self.hex()?;
                let code = match high {
                    0xD800..=0xDBFF if self.text.as_bytes()[self.at..].starts_with(b"\\u") => {
                        self.at += 2;
                        match self.hex()? {
                            low @ 0xDC00..=0xDFFF => 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                            _ => high,
                        }
                    }
                    _ => high,
                };
                return char::from_u32(code).ok_or_else(|| {
                    let kind = SyntaxErrorKind::malformed("an escaped surrogate needs its other half");
                    self.source.error(start, kind)
                });
            }
            _ => return Err(self.expected("an escape: one of `\"\\/bfnrtu`")),
        };
        self.at += 1;
        Ok(character)
    }

    /// Four hexadecimal digits.
    fn hex(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.expected("four hexadecimal digits")) };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expected(&self, what: &str) -> SyntaxError {
        let end = if self.at == self.text.len() { ", found the end of the text" } else { "" };
        self.malformed(&format!("expected {what}{end}"))
    }

    fn malformed(&self, message: &str) -> SyntaxError {
        self.source.error(self.at, SyntaxErrorKind::malformed(message))
    }
}
