use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use margo_syntax::{Format, LineTable, Location};

/// A text to check: a name to show, the bytes, and where its lines begin.
///
/// ```
/// use margo_validate::Source;
///
/// let source = Source::new("plc-7.yaml", "größe: 1\nid: plc-7\n");
/// assert_eq!(source.location(15).to_string(), "line 2, column 5");
/// assert_eq!(source.line(2), "id: plc-7");
/// ```
#[derive(Clone)]
pub struct Source {
    name: Box<str>,
    group: Box<str>,
    format: Option<Format>,
    bytes: Bytes,
    shown: OnceLock<Shown>,
}

impl Source {
    /// The text in `bytes`, called `name`: a path, a URL, `<stdin>`.
    ///
    /// A name that ends in `.json` is read as JSON, everything else as YAML.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let name = name.into();
        let format = name.rsplit_once('.').and_then(|(_, extension)| Format::of_extension(extension));
        Self { name: name.into(), group: "".into(), format, bytes: bytes.into(), shown: OnceLock::new() }
    }

    /// The same source in a notation its name does not tell.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// The same source as one of a group. What documents say about each other is checked within a group: the files
    /// named on a command line, or those of one folder. Sources without a group are one group.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into().into();
        self
    }

    /// What the source is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it belongs to; empty if nothing was said.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The notation it is read in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format.unwrap_or(Format::Yaml)
    }

    /// Exactly what was given.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text, as far as it can be shown: bytes that are not UTF-8 are replaced, and then offsets no longer agree.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.shown().text
    }

    /// The place of the byte at `offset`; columns count characters.
    #[must_use]
    pub fn location(&self, offset: usize) -> Location {
        self.shown().lines.location(self.text(), offset)
    }

    /// The byte at a place; the end of its line for a column beyond it.
    #[must_use]
    pub fn offset(&self, at: Location) -> usize {
        self.shown().lines.offset(self.text(), at)
    }

    /// The text of the line with this number, from 1, without its end; empty if there is no such line.
    #[must_use]
    pub fn line(&self, number: usize) -> &str {
        &self.text()[self.line_span(number)]
    }

    /// The bytes of the line with this number, from 1, without its end.
    #[must_use]
    pub fn line_span(&self, number: usize) -> Range<usize> {
        self.shown().lines.line(self.text(), number)
    }

    /// The number of lines.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.shown().lines.count()
    }

    fn shown(&self) -> &Shown {
        self.shown.get_or_init(|| {
            let text: Box<str> = if let Ok(text) = str::from_utf8(&self.bytes) {
                text.into()
            } else {
                let start = &self.bytes[..self.bytes.len().min(MOST_SHOWN)];
                String::from_utf8_lossy(start).into()
            };
            Shown { lines: LineTable::of(&text), text }
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A text as it is shown, made when somebody asks for a place.
#[derive(Clone)]
struct Shown {
    text: Box<str>,
    lines: LineTable,
}

/// How much is shown of what is no text, in bytes.
const MOST_SHOWN: usize = 64 * 1024;
