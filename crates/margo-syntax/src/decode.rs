use std::borrow::Borrow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::error::{SyntaxError, SyntaxErrorKind, clip};
use crate::limits::Limits;
use crate::pointer::Pointer;
use crate::source::Location;
use crate::tree::{NodeKind, Tree};
use crate::{Format, json, parse};

/// Reads `bytes` as a `T`.
///
/// ```
/// use std::collections::BTreeMap;
/// use margo_syntax::{Format, Limits, decode};
///
/// let ports: BTreeMap<String, u16> = decode(br#"{"http": 80}"#, Format::Json, &Limits::default())?;
/// assert_eq!(ports["http"], 80);
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
pub fn decode<T: DeserializeOwned>(bytes: &[u8], format: Format, limits: &Limits) -> Result<T, DecodeError> {
    decode_checked(bytes, format, limits, |_| Ok(()))
}

/// As [`decode`], with a check of what was read.
///
/// ```
/// use std::collections::BTreeMap;
/// use margo_syntax::{Fault, Format, Limits, decode_checked, pointer};
///
/// let error = decode_checked(br#"{"http": 80}"#, Format::Json, &Limits::default(), |ports: &BTreeMap<String, u16>| {
///     let low = ports.iter().find(|(_, port)| **port < 1024);
///     low.map_or(Ok(()), |(name, _)| Err(Fault::new(pointer![name], "expected a port from 1024")))
/// })
/// .unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 10: /http: expected a port from 1024");
/// ```
pub fn decode_checked<T: DeserializeOwned>(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    check: impl Fn(&T) -> Result<(), Fault>,
) -> Result<T, DecodeError> {
    // What cannot be read this way is read again, with its places, to say why.
    if format == Format::Json
        && let Some(text) = json::text(bytes, limits)
        && let Ok(value) = serde_json::from_str(text)
        && check(&value).is_ok()
    {
        return Ok(value);
    }
    decode_with(bytes, format, limits, |value| {
        let value = from_value(value)?;
        check(&value).map(|()| value)
    })
}

/// As [`decode`], with the caller's own reading of the untyped value.
///
/// Whatever place `read` finds fault with is looked up in the text.
///
/// ```
/// use margo_syntax::{Fault, Format, Limits, decode_with, pointer};
///
/// let error = decode_with(b"a:\n  b: 3\n", Format::Yaml, &Limits::default(), |value| {
///     match value["a"]["b"].as_u64() {
///         Some(b) if b < 3 => Ok(b),
///         _ => Err(Fault::new(pointer!["a", "b"], "expected a number below 3")),
///     }
/// })
/// .unwrap_err();
/// assert_eq!(error.to_string(), "line 2, column 6: /a/b: expected a number below 3");
/// ```
pub fn decode_with<T>(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    read: impl FnOnce(Value) -> Result<T, Fault>,
) -> Result<T, DecodeError> {
    if format == Format::Json
        && let Some(value) = json::value(bytes, limits)
    {
        // Only a fault needs the tree, which knows the place.
        return read(value).or_else(|fault| Err(DecodeError::new(fault, &parse(bytes, format, limits)?)));
    }
    decode_with_tree(bytes, format, limits, |_, value| read(value))
}

/// As [`decode_with`], with a first reading that may use the value up and need not say why it fails: only then is the
/// text read again, for `explain` to find the reason or another way to read it.
///
/// ```
/// use margo_syntax::{Format, Limits, decode_or_explain, from_value};
///
/// let read = |text: &[u8]| {
///     let first = |value| serde_json::from_value::<Vec<u8>>(value).ok();
///     decode_or_explain(text, Format::Json, &Limits::default(), first, from_value)
/// };
/// assert_eq!(read(b"[1, 2]")?, [1, 2]);
/// assert_eq!(read(b"[1, -2]").unwrap_err().pointer().as_str(), "/1");
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
pub fn decode_or_explain<T>(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    read: impl FnOnce(Value) -> Option<T>,
    explain: impl FnOnce(Value) -> Result<T, Fault>,
) -> Result<T, DecodeError> {
    if format == Format::Json
        && let Some(read) = json::value(bytes, limits).and_then(read)
    {
        return Ok(read);
    }
    decode_with(bytes, format, limits, explain)
}

/// As [`decode_with`], for a reading that needs the text itself, such as a version written as a number.
///
/// ```
/// use margo_syntax::{Fault, Format, Limits, decode_with_tree, pointer};
///
/// // A number where a string is wanted stands for its own text: `1.0`, not `1` (X-A-22).
/// let version = decode_with_tree(b"version: 1.0\n", Format::Yaml, &Limits::default(), |tree, _| {
///     let at = pointer!["version"];
///     tree.literal(&at).map(str::to_owned).ok_or_else(|| Fault::new(at, "expected a version"))
/// })?;
/// assert_eq!(version, "1.0");
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
pub fn decode_with_tree<T>(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    read: impl FnOnce(&Tree, Value) -> Result<T, Fault>,
) -> Result<T, DecodeError> {
    parse(bytes, format, limits)?.decode_with(read)
}

impl Tree {
    /// Reads the document as a `T`.
    ///
    /// ```
    /// use margo_syntax::{Limits, parse_all};
    ///
    /// let trees = parse_all(b"[1, 2]\n---\n[3, x]\n", &Limits::default())?;
    /// assert_eq!(trees[0].decode::<Vec<u8>>()?, [1, 2]);
    /// let error = trees[1].decode::<Vec<u8>>().unwrap_err();
    /// assert_eq!(error.to_string(), "line 3, column 5: /1: invalid type: string \"x\", expected u8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.decode_with(|_, value| from_value(value))
    }

    /// As [`decode`](Self::decode), with the caller's own reading of the untyped value.
    pub fn decode_with<T>(
        &self,
        read: impl FnOnce(&Self, Value) -> Result<T, Fault>,
    ) -> Result<T, DecodeError> {
        read(self, self.to_value()).map_err(|fault| DecodeError::new(fault, self))
    }
}

/// Reads an untyped value as a `T`; the fault names the first place that does not fit.
///
/// The value may be lent, for who wants to read it as something else should it not fit.
///
/// ```
/// use margo_syntax::from_value;
/// use serde_json::json;
///
/// let value = json!([1, "two"]);
/// let fault = from_value::<Vec<u8>>(&value).unwrap_err();
/// assert_eq!(fault.to_string(), "/1: invalid type: string \"two\", expected u8");
/// assert_eq!(from_value::<(u8, String)>(value)?, (1, "two".into()));
/// # Ok::<(), margo_syntax::Fault>(())
/// ```
pub fn from_value<T: DeserializeOwned>(value: impl Borrow<Value>) -> Result<T, Fault> {
    let value = value.borrow();
    // Remembering the place costs as much as reading, so it is done for a value that does not fit.
    T::deserialize(value).or_else(|_| from_value_with_place(value))
}

fn from_value_with_place<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = Pointer::root();
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => pointer.push(index),
                Segment::Map { key } => pointer.push(key),
                Segment::Enum { variant } => pointer.push(variant),
                // Below here the path is not known.
                Segment::Unknown => break,
            }
        }
        let mut message = String::new();
        // Writing to a string cannot fail.
        let _ = clip(&error.inner().to_string(), MOST, &mut message);
        // serde reports an unknown field before it looks at the value.
        let is_key = message.starts_with("unknown field `");
        Fault { pointer, is_key, message: message.into() }
    })
}

/// The most characters of a document that a message repeats.
const MOST: usize = 400;

/// What is wrong with a value, and where in the document.
///
/// ```
/// use margo_syntax::{Fault, Pointer, pointer};
///
/// assert_eq!(Fault::new(pointer!["a", "b"], "too long").to_string(), "/a/b: too long");
/// assert_eq!(Fault::new(Pointer::root(), "too long").to_string(), "document: too long");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pointer: Pointer,
    is_key: bool,
    message: Box<str>,
}

impl Fault {
    /// A fault at `pointer`. The message is a lowercase fragment.
    #[must_use]
    pub fn new(pointer: Pointer, message: impl Into<String>) -> Self {
        Self { pointer, is_key: false, message: message.into().into() }
    }

    /// A fault of the key at `pointer`, not of its value: an unknown field, a malformed name.
    #[must_use]
    pub fn of_key(pointer: Pointer, message: impl Into<String>) -> Self {
        Self { is_key: true, ..Self::new(pointer, message) }
    }

    /// The place in the document.
    #[must_use]
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Whether the key is at fault, and not its value.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.is_key
    }

    /// What is wrong there.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_root() {
            f.write_str("document")?;
        } else {
            clip(self.pointer.as_str(), MOST, f)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Fault {}

/// Why bytes are not the document that was asked for.
///
/// Either the text cannot be read, or a value in it does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Cause>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Syntax { error: SyntaxError, message: Box<str> },
    Fault { fault: Fault, location: Location, is_malformed: bool },
}

impl DecodeError {
    /// Places a fault in the text in which it was found.
    #[must_use]
    pub fn new(fault: Fault, tree: &Tree) -> Self {
        let key = if fault.is_key { tree.locate_key(&fault.pointer) } else { None };
        let location = key.unwrap_or_else(|| tree.locate_nearest(&fault.pointer));
        let is_malformed = tree.root().kind() != NodeKind::Mapping;
        Self(Box::new(Cause::Fault { fault, location, is_malformed }))
    }

    /// The place in the document. The root if the text could not be read at all.
    #[must_use]
    pub fn pointer(&self) -> &Pointer {
        static ROOT: Pointer = Pointer::ROOT;
        match &*self.0 {
            Cause::Syntax { .. } => &ROOT,
            Cause::Fault { fault, .. } => fault.pointer(),
        }
    }

    /// The place in the text, unless the text as a whole is at fault.
    ///
    /// For something that is missing, the place of what should contain it.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        match &*self.0 {
            Cause::Syntax { error, .. } => error.location(),
            Cause::Fault { location, .. } => Some(*location),
        }
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        match &*self.0 {
            Cause::Syntax { message, .. } => message,
            Cause::Fault { fault, .. } => fault.message(),
        }
    }

    /// Why the text could not be read; `None` if it could, and a value in it does not fit.
    #[must_use]
    pub fn syntax(&self) -> Option<&SyntaxErrorKind> {
        match &*self.0 {
            Cause::Syntax { error, .. } => Some(error.kind()),
            Cause::Fault { .. } => None,
        }
    }

    /// Whether the text cannot be read at all, or holds something other than a mapping.
    ///
    /// A server answers such a request with `400`, and one that is merely wrong with `422` (X-D-36).
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        match &*self.0 {
            Cause::Syntax { .. } => true,
            Cause::Fault { is_malformed, .. } => *is_malformed,
        }
    }
}

impl From<SyntaxError> for DecodeError {
    fn from(error: SyntaxError) -> Self {
        let message = error.kind().to_string().into();
        Self(Box::new(Cause::Syntax { error, message }))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Syntax { error, .. } => error.fmt(f),
            Cause::Fault { fault, location, .. } => write!(f, "{location}: {fault}"),
        }
    }
}

impl std::error::Error for DecodeError {}
