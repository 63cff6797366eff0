use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::Limits;

/// A place in a text: line and column, both starting at one.
///
/// Columns count characters, not bytes. A line ends with `\n`, `\r\n` or `\r`. A byte order mark at the start
/// takes no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Location {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Location {
    /// The place at `line` and `column`, both counted from 1.
    #[must_use]
    pub fn new(line: usize, column: usize) -> Self {
        Self { line, column }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A text and, once somebody asks for a place, where its lines begin.
pub(crate) struct Source {
    text: Box<str>,
    lines: OnceLock<LineTable>,
}

impl Source {
    /// The text in `bytes`, if it is small enough and UTF-8.
    pub(crate) fn new(bytes: &[u8], limits: &Limits) -> Result<Self, SyntaxError> {
        if bytes.len() > limits.max_bytes {
            return Err(SyntaxError::nowhere(SyntaxErrorKind::TooLarge { limit: limits.max_bytes }));
        }
        match str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text: text.into(), lines: OnceLock::new() }),
            Err(error) => {
                let offset = error.valid_up_to();
                // What precedes the offset is UTF-8, so nothing is replaced here.
                let text = String::from_utf8_lossy(&bytes[..offset]);
                let location = LineTable::of(&text).location(&text, offset);
                Err(SyntaxError::at(offset, location, SyntaxErrorKind::NotUtf8))
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place of the byte at `offset`.
    pub(crate) fn location(&self, offset: usize) -> Location {
        self.lines.get_or_init(|| LineTable::of(&self.text)).location(&self.text, offset)
    }

    pub(crate) fn error(&self, offset: usize, kind: SyntaxErrorKind) -> SyntaxError {
        SyntaxError::at(offset, self.location(offset), kind)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// Where lines begin, and how many characters precede each block of bytes, so that a place in a document
/// written on one line costs no more than any other.
///
/// ```
/// use margo_syntax::{LineTable, Location};
///
/// let text = "größe: 1\nb: 2\n";
/// let lines = LineTable::of(text);
/// assert_eq!(lines.location(text, 9), Location::new(1, 8));
/// assert_eq!(lines.offset(text, Location::new(1, 8)), 9);
/// assert_eq!((lines.count(), &text[lines.line(text, 2)]), (3, "b: 2"));
/// ```
#[derive(Clone, Debug)]
pub struct LineTable {
    starts: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes. Empty where every character is one byte.
    characters: Vec<usize>,
}

const BLOCK: usize = 1024;

impl LineTable {
    /// The lines of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut starts = vec![first];
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let mut before = 0;
            for block in bytes.chunks(BLOCK) {
                characters.push(before);
                before += count(block);
            }
        }
        Self { starts, characters }
    }

    /// The place of the byte at `offset` in the text this was made from; its end for any offset beyond it.
    #[must_use]
    pub fn location(&self, text: &str, offset: usize) -> Location {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self.before(text, offset).saturating_sub(self.before(text, start)) + 1;
        Location { line, column }
    }

    /// The number of lines: one more than there are line ends.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of the line with this number, from 1, without its end; the end of the text for a line that is not
    /// there.
    #[must_use]
    pub fn line(&self, text: &str, number: usize) -> Range<usize> {
        let Some(&start) = self.starts.get(number.saturating_sub(1)) else { return text.len()..text.len() };
        let end = self.starts.get(number.max(1)).copied().unwrap_or(text.len());
        start..start + text[start..end].trim_end_matches(['\n', '\r']).len()
    }

    /// The byte at a place; the end of its line for a column beyond it.
    #[must_use]
    pub fn offset(&self, text: &str, at: Location) -> usize {
        let line = self.line(text, at.line);
        let characters = text[line.clone()].char_indices();
        characters.map(|(offset, _)| line.start + offset).nth(at.column.saturating_sub(1)).unwrap_or(line.end)
    }

    /// The number of characters that begin before `offset`.
    fn before(&self, text: &str, offset: usize) -> usize {
        let block = offset / BLOCK;
        match self.characters.get(block) {
            Some(before) => before + count(&text.as_bytes()[block * BLOCK..offset]),
            // The end of a text that fills its last block.
            None => match self.characters.last() {
                Some(before) => before + count(&text.as_bytes()[(block - 1) * BLOCK..offset]),
                None => offset,
            },
        }
    }
}

/// The number of characters that begin in `bytes`.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}
