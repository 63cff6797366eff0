//! JSON (RFC 8259), exactly as `serde_json` understands it, but with places, limits and no duplicate keys.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::Format;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::{Limits, MAPPING};
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
    let mut reader = Reader { text: source.text(), at: 0 };
    if reader.peek().is_none() {
        return Err(SyntaxError::nowhere(SyntaxErrorKind::Empty));
    }
    match reader.document(&mut builder) {
        Ok(()) => Ok(builder),
        Err(Stop::Flaw(Flaw { at, kind })) => Err(source.error(at, kind)),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// The value that the tree of `bytes` would have, if there is one. It costs half, and cannot say what is wrong.
pub(crate) fn value(bytes: &[u8], limits: &Limits) -> Option<Value> {
    whole(bytes, limits, Reader::untyped).map(|(_, value)| value)
}

/// The text in `bytes`, if it would have a tree.
pub(crate) fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Option<&'a str> {
    let mut keys = Vec::new();
    whole(bytes, limits, |reader, depth, nodes| reader.skip(depth, nodes, &mut keys)).map(|(text, ())| text)
}

/// What `read` makes of a text that holds nothing else. It is given the nesting and the values that are allowed.
fn whole<'a, T>(
    bytes: &'a [u8],
    limits: &Limits,
    read: impl FnOnce(&mut Reader<'a>, usize, &mut usize) -> Option<T>,
) -> Option<(&'a str, T)> {
    let limits = limits.effective();
    if bytes.len() > limits.max_bytes {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    let mut reader = Reader { text, at: 0 };
    let mut nodes = limits.max_nodes;
    let value = read(&mut reader, limits.max_depth, &mut nodes)?;
    reader.peek().is_none().then_some((text, value))
}

/// Objects up to this many keys are searched from front to back.
const SMALL: usize = 16;

struct Reader<'a> {
    text: &'a str,
    /// A byte offset, always between two characters.
    at: usize,
}

/// Where the text breaks the grammar, and how.
struct Flaw {
    at: usize,
    kind: SyntaxErrorKind,
}

/// Why reading ends early: the grammar is broken, or a limit or a key that the builder watches.
enum Stop {
    Flaw(Flaw),
    Error(SyntaxError),
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<SyntaxError> for Stop {
    fn from(error: SyntaxError) -> Self {
        Self::Error(error)
    }
}

impl<'a> Reader<'a> {
    fn document(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        'value: loop {
            if self.value(builder)? {
                continue;
            }
            // A value is complete: another follows, or the collection around it ends.
            loop {
                match (builder.position(), self.peek()) {
                    (Position::Root, None) => return Ok(()),
                    (Position::Root, Some(_)) => return Err(self.expected("the end of the document").into()),
                    (Position::Item, Some(b',')) => {
                        self.at += 1;
                        continue 'value;
                    }
                    (Position::Key, Some(b',')) => {
                        self.at += 1;
                        self.key(builder)?;
                        continue 'value;
                    }
                    (Position::Item, Some(b']')) | (Position::Key, Some(b'}')) => self.close(builder)?,
                    (Position::Item, _) => return Err(self.expected("`,` or `]`").into()),
                    (Position::Key | Position::Value, _) => return Err(self.expected("`,` or `}`").into()),
                }
            }
        }
    }

    /// A scalar, an empty collection, or the beginning of a collection up to its first value. Whether a value
    /// must follow.
    fn value(&mut self, builder: &mut Builder<'_>) -> Result<bool, Stop> {
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

    fn close(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        self.at += 1;
        Ok(builder.end(Some(self.at))?)
    }

    /// A key and the colon after it.
    fn key(&mut self, builder: &mut Builder<'_>) -> Result<(), Stop> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes").into());
        }
        let start = self.at;
        let key = self.string()?;
        builder.key(start..self.at, &key, Style::DoubleQuoted);
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`").into());
        }
        self.at += 1;
        Ok(())
    }

    /// A value without its place; `None` where something is wrong with it.
    fn untyped(&mut self, depth: usize, nodes: &mut usize) -> Option<Value> {
        *nodes = nodes.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().ok().map(|text| Value::String(text.into_owned())),
            b'{' => {
                *nodes = nodes.checked_sub(MAPPING - 1)?;
                self.object(depth.checked_sub(1)?, nodes).map(Value::Object)
            }
            b'[' => self.array(depth.checked_sub(1)?, nodes).map(Value::Array),
            b'-' | b'0'..=b'9' => self.number().ok().map(Value::Number),
            _ => match self.word().ok()?.1 {
                Scalar::Bool(value) => Some(Value::Bool(value)),
                _ => Some(Value::Null),
            },
        }
    }

    fn object(&mut self, depth: usize, nodes: &mut usize) -> Option<Map<String, Value>> {
        let mut entries = Map::new();
        self.collection(b'}', |reader| {
            let key = reader.name()?.into_owned();
            *nodes = nodes.checked_sub(1)?;
            let value = reader.untyped(depth, nodes)?;
            entries.insert(key, value).is_none().then_some(())
        })?;
        Some(entries)
    }

    fn array(&mut self, depth: usize, nodes: &mut usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.collection(b']', |reader| {
            items.push(reader.untyped(depth, nodes)?);
            Some(())
        })?;
        Some(items)
    }

    /// Reads over a value; `None` where something is wrong with it. `keys` are those of the objects around it.
    fn skip(&mut self, depth: usize, nodes: &mut usize, keys: &mut Vec<Cow<'a, str>>) -> Option<()> {
        *nodes = nodes.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().ok().map(drop),
            b'{' => {
                *nodes = nodes.checked_sub(MAPPING - 1)?;
                self.skip_object(depth.checked_sub(1)?, nodes, keys)
            }
            b'[' => {
                let depth = depth.checked_sub(1)?;
                self.collection(b']', |reader| reader.skip(depth, nodes, keys))
            }
            b'-' | b'0'..=b'9' => self.number().ok().map(drop),
            _ => self.word().ok().map(drop),
        }
    }

    fn skip_object(&mut self, depth: usize, nodes: &mut usize, keys: &mut Vec<Cow<'a, str>>) -> Option<()> {
        let first = keys.len();
        self.collection(b'}', |reader| {
            let key = reader.name()?;
            *nodes = nodes.checked_sub(1)?;
            if keys.len() - first < SMALL && keys[first..].contains(&key) {
                return None;
            }
            keys.push(key);
            reader.skip(depth, nodes, keys)
        })?;
        if keys.len() - first > SMALL {
            keys[first..].sort_unstable();
            if keys[first..].windows(2).any(|pair| pair[0] == pair[1]) {
                return None;
            }
        }
        keys.truncate(first);
        Some(())
    }

    /// What stands between brackets, without and between commas.
    fn collection(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        if self.peek()? == end {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self)?;
            let next = self.peek()?;
            self.at += 1;
            if next == end {
                return Some(());
            }
            if next != b',' {
                return None;
            }
        }
    }

    /// A key and the colon after it.
    fn name(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        let key = self.string().ok()?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        Some(key)
    }

    fn word(&mut self) -> Result<(&'static str, Scalar), Flaw> {
        let words = [("null", Scalar::Null), ("true", Scalar::Bool(true)), ("false", Scalar::Bool(false))];
        for (word, value) in words {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok((word, value));
            }
        }
        Err(self.expected("a value"))
    }

    fn number(&mut self) -> Result<Number, Flaw> {
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
        text.parse().ok().and_then(Number::from_f64).ok_or_else(|| Flaw {
            at: start,
            kind: SyntaxErrorKind::NumberOutOfRange { literal: text.into() },
        })
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// A string from its opening to its closing quote.
    fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        if let Some(text) = self.plain_string() {
            return Ok(Cow::Borrowed(text));
        }
        self.at += 1;
        let mut text = self.fragment()?.to_owned();
        while self.byte() == Some(b'\\') {
            text.push(self.escape()?);
            text.push_str(self.fragment()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// A string without escapes; nothing is read where there are some.
    #[inline]
    fn plain_string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let end = end_of_fragment(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(&self.text[start..end])
    }

    /// Characters up to a quote or an escape.
    fn fragment(&mut self) -> Result<&'a str, Flaw> {
        let start = self.at;
        self.at = end_of_fragment(self.text.as_bytes(), start);
        match self.byte() {
            Some(b'"' | b'\\') => Ok(&self.text[start..self.at]),
            Some(_) => Err(self.malformed("a control character in a string must be escaped")),
            None => Err(self.expected("`\"`")),
        }
    }

    fn escape(&mut self) -> Result<char, Flaw> {
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
                    Flaw { at: start, kind }
                });
            }
            _ => return Err(self.expected("an escape: one of `\"\\/bfnrtu`")),
        };
        self.at += 1;
        Ok(character)
    }

    /// Four hexadecimal digits.
    fn hex(&mut self) -> Result<u32, Flaw> {
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

    fn expected(&self, what: &str) -> Flaw {
        let end = if self.at == self.text.len() { ", found the end of the text" } else { "" };
        self.malformed(&format!("expected {what}{end}"))
    }

    fn malformed(&self, message: &str) -> Flaw {
        Flaw { at: self.at, kind: SyntaxErrorKind::malformed(message) }
    }
}

/// The first byte from `at` that ends a run of ordinary characters: a quote, a backslash or a control character.
fn end_of_fragment(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;

    // Eight at a time. A subtraction borrows from the byte above, so only the lowest hit is certain.
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let eight = u64::from_le_bytes(*eight);
        let below = |byte: u64, bound: u8| byte.wrapping_sub(ONES * u64::from(bound)) & !byte;
        let equals = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
        let hits = (below(eight, b' ') | equals(b'"') | equals(b'\\')) & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_end = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
    bytes.get(at..).and_then(|rest| rest.iter().position(is_end)).map_or(bytes.len(), |len| at + len)
}
