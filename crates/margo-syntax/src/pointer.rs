use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The place of a value in a document: a JSON Pointer (RFC 6901).
///
/// It displays as `/spec/parameters/x`; the root is the empty string.
///
/// ```
/// use margo_syntax::{Pointer, pointer};
///
/// let at = pointer!["spec", "a/b", 3];
/// assert_eq!(at.as_str(), "/spec/a~1b/3");
/// assert_eq!(at.segments().collect::<Vec<_>>(), ["spec", "a/b", "3"]);
/// assert_eq!("/spec/a~1b/3".parse::<Pointer>()?, at);
/// # Ok::<(), margo_syntax::ParsePointerError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(String);

impl Pointer {
    pub(crate) const ROOT: Self = Self(String::new());

    /// The document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::ROOT
    }

    /// Goes down by one key or index.
    pub fn push(&mut self, segment: impl Display) {
        self.0.push('/');
        // Writing to a string fails only if the segment's own `Display` does; what it wrote stays.
        let _ = write!(Escape(&mut self.0), "{segment}");
    }

    /// This place, one key or index further down.
    #[must_use]
    pub fn join(&self, segment: impl Display) -> Self {
        self.clone().with(segment)
    }

    /// As [`join`](Self::join), without a copy.
    #[must_use]
    pub fn with(mut self, segment: impl Display) -> Self {
        self.push(segment);
        self
    }

    /// The place that contains this one; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }

    /// The last key or index, unescaped; `None` for the root.
    #[must_use]
    pub fn last(&self) -> Option<Cow<'_, str>> {
        let (_, last) = self.0.rsplit_once('/')?;
        Some(unescape(last))
    }

    /// Keys and indices from the root, unescaped.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(unescape)
    }

    /// Whether this is the document itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this place is `other` or inside it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The pointer as RFC 6901 writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Pointer {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = ParsePointerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(ParsePointerError::MissingSlash);
        }
        let bytes = text.as_bytes();
        for (offset, _) in text.match_indices('~') {
            if !matches!(bytes.get(offset + 1), Some(b'0' | b'1')) {
                return Err(ParsePointerError::InvalidEscape { offset });
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl<S: Display> Extend<S> for Pointer {
    fn extend<I: IntoIterator<Item = S>>(&mut self, segments: I) {
        for segment in segments {
            self.push(segment);
        }
    }
}

impl<S: Display> FromIterator<S> for Pointer {
    fn from_iter<I: IntoIterator<Item = S>>(segments: I) -> Self {
        let mut pointer = Self::root();
        pointer.extend(segments);
        pointer
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePointerError {
    /// The text is neither empty nor does it begin with `/`.
    #[error("a pointer is empty or begins with `/`")]
    MissingSlash,
    /// A `~` is followed by neither `0` nor `1`.
    #[error("expected `0` or `1` after `~` at byte {offset}")]
    InvalidEscape {
        /// Byte offset of the `~`.
        offset: usize,
    },
}

/// A [`Pointer`] from its segments: anything that implements `Display`.
///
/// ```
/// use margo_syntax::pointer;
///
/// let parameter = String::from("pollFrequency");
/// assert_eq!(pointer!["spec", "parameters", parameter, "targets", 0].as_str(),
///            "/spec/parameters/pollFrequency/targets/0");
/// assert!(pointer![].is_root());
/// ```
#[macro_export]
macro_rules! pointer {
    [$($segment:expr),* $(,)?] => {
        $crate::Pointer::root()$(.with(&$segment))*
    };
}

/// Writes `~` as `~0` and `/` as `~1`.
struct Escape<'a>(&'a mut String);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(['~', '/']) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            match character {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

fn unescape(segment: &str) -> Cow<'_, str> {
    if segment.contains('~') {
        Cow::Owned(segment.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(segment)
    }
}
