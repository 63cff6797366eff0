use std::fmt;

use crate::source::Location;

/// Why a text could not be read, and where.
///
/// ```
/// use margo_syntax::{Format, Limits, SyntaxErrorKind, parse};
///
/// let error = parse(b"{\"a\": 1,}", Format::Json, &Limits::default()).unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 9: expected a key in double quotes");
/// assert!(matches!(error.kind(), SyntaxErrorKind::Malformed { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    place: Option<(usize, Location)>,
    kind: SyntaxErrorKind,
}

impl SyntaxError {
    pub(crate) fn nowhere(kind: SyntaxErrorKind) -> Self {
        Self { place: None, kind }
    }

    pub(crate) fn at(offset: usize, location: Location, kind: SyntaxErrorKind) -> Self {
        Self { place: Some((offset, location)), kind }
    }

    /// Line and column, unless the text as a whole is at fault.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.place.map(|(_, location)| location)
    }

    /// Bytes from the start of the text, unless the text as a whole is at fault.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.place.map(|(offset, _)| offset)
    }

    /// What is wrong. Its `Display` is the message without the place.
    #[must_use]
    pub fn kind(&self) -> &SyntaxErrorKind {
        &self.kind
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, location)) = self.place {
            write!(f, "{location}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for SyntaxError {}

/// The ways in which a text can fail to be a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxErrorKind {
    /// The text has more bytes than [`Limits::max_bytes`](crate::Limits::max_bytes).
    #[error("document is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A byte does not belong to any UTF-8 character.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// There is no document.
    #[error("document is empty")]
    Empty,
    /// Sequences and mappings nest deeper than [`Limits::max_depth`](crate::Limits::max_depth).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in levels.
        limit: usize,
    },
    /// There are more values than [`Limits::max_nodes`](crate::Limits::max_nodes).
    #[error("more than {limit} values")]
    TooManyNodes {
        /// The limit in values.
        limit: usize,
    },
    /// An alias repeats so much that the limits on values or bytes would be exceeded.
    #[error("alias repeats more than {limit} {unit}")]
    AliasBomb {
        /// The limit that was met.
        limit: usize,
        /// `values` or `bytes`.
        unit: &'static str,
    },
    /// An alias stands inside the value it names.
    #[error("alias stands inside the value it names")]
    RecursiveAlias,
    /// No anchor before the alias has its name.
    #[error("no anchor is named `{}`", Clipped(name))]
    UnknownAnchor {
        /// The name, without `*`.
        name: Box<str>,
    },
    /// A mapping uses a key twice. Keys are compared as text: `1` and `"1"` are the same key.
    #[error("duplicate key `{}`, first used on {first}", Clipped(key))]
    DuplicateKey {
        /// The key as read.
        key: Box<str>,
        /// Where the mapping used it first.
        first: Location,
    },
    /// A key is a sequence or a mapping.
    #[error("a mapping key must be a scalar")]
    NotAMapKey,
    /// A tag is not of the core schema.
    #[error("tag `{}` is not supported", Clipped(tag))]
    UnknownTag {
        /// The tag as written.
        tag: Box<str>,
    },
    /// A value is not what its tag says.
    #[error("value is not a `!!{tag}`")]
    TagMismatch {
        /// The tag's name in the core schema: `str`, `int`, `float`, `bool`, `null`, `seq` or `map`.
        tag: &'static str,
    },
    /// Infinity or "not a number", which JSON cannot express.
    #[error("`{}` is not a finite number", Clipped(literal))]
    NotFinite {
        /// The number as written.
        literal: Box<str>,
    },
    /// A number whose magnitude no 64-bit float holds.
    #[error("number `{}` is out of range", Clipped(literal))]
    NumberOutOfRange {
        /// The number as written.
        literal: Box<str>,
    },
    /// A second document follows where one was expected.
    #[error("expected a single document, found another")]
    MultipleDocuments,
    /// The text breaks the grammar.
    #[error("{message}")]
    Malformed {
        /// What was expected or found, as a lowercase fragment.
        message: Box<str>,
    },
}

impl SyntaxErrorKind {
    pub(crate) fn malformed(message: impl Into<Box<str>>) -> Self {
        Self::Malformed { message: message.into() }
    }
}

/// A stranger's text inside a message: at most 80 characters, and no control characters.
struct Clipped<'a>(&'a str);

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        clip(self.0, 80, f)
    }
}

/// Writes the first `most` characters of a stranger's text, with control characters escaped.
pub(crate) fn clip(text: &str, most: usize, out: &mut impl fmt::Write) -> fmt::Result {
    let mut characters = text.chars();
    for character in characters.by_ref().take(most) {
        if character.is_control() {
            write!(out, "{}", character.escape_default())?;
        } else {
            out.write_char(character)?;
        }
    }
    if characters.next().is_some() { out.write_char('…') } else { Ok(()) }
}
