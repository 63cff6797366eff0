//! YAML and JSON read once, safely, with the place of every node.
//!
//! Every crate that reads or writes a document does it here, so that a document means the same to a validator,
//! a manager and a device. Text becomes a [`Tree`]; the tree becomes a [`serde_json::Value`]; the value becomes
//! a type. Errors name a [`Pointer`] and a [`Location`], because the tree remembers where everything stood.
//!
//! # What it refuses
//!
//! - Keys used twice in one mapping: the error names both places.
//! - More bytes, nodes or nesting than [`Limits`] allow, aliases that multiply beyond them, and aliases to
//!   something that contains them.
//! - Tags that are not of YAML's core schema, keys that are not scalars, and `.inf` and `.nan`, which JSON
//!   cannot say.
//! - Guesses: `yes`, `no`, `on` and `off` are strings, as YAML 1.2 says; merge keys (`<<`) are ordinary keys.
//! - Reading JSON with a YAML reader: trailing commas, comments and single quotes are errors in JSON.
//!
//! It knows text, not Margo: no document type, no rule and no file access lives here.
//!
//! # Example
//!
//! ```
//! use margo_syntax::{Format, Limits, decode, parse, pointer};
//!
//! #[derive(Debug, serde::Deserialize)]
//! struct Device {
//!     id: String,
//!     slots: u8,
//! }
//!
//! let text = b"id: plc-7\nslots: 3\n";
//! let device: Device = decode(text, Format::Yaml, &Limits::default())?;
//! assert_eq!((device.id.as_str(), device.slots), ("plc-7", 3));
//!
//! let tree = parse(text, Format::Yaml, &Limits::default())?;
//! assert_eq!(tree.locate(&pointer!["slots"]).unwrap().to_string(), "line 2, column 8");
//!
//! let error = decode::<Device>(b"id: plc-7\nslots: 300\n", Format::Yaml, &Limits::default()).unwrap_err();
//! assert!(error.to_string().starts_with("line 2, column 8: /slots: invalid value: integer `300`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go next
//!
//! [`decode`] for a typed value, [`decode_with`] to read older shapes and [`decode_with_tree`] where the text itself
//! matters; [`parse`], [`parse_all`] and [`Tree`] to look at what was written; [`to_yaml`] and
//! [`to_canonical_json`] for writing.

mod decode;
mod error;
mod json;
mod limits;
mod pointer;
mod source;
mod tree;
mod write;
mod yaml;

pub use decode::{
    DecodeError, Fault, decode, decode_checked, decode_or_explain, decode_with, decode_with_tree, from_value,
};
pub use error::{SyntaxError, SyntaxErrorKind};
pub use limits::Limits;
pub use pointer::{ParsePointerError, Pointer};
pub use source::{LineTable, Location};
pub use tree::{Key, Node, NodeKind, Style, Tree};
pub use write::{WriteError, to_canonical_json, to_yaml};

/// The two notations a document may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// YAML 1.2 with the core schema.
    Yaml,
    /// JSON (RFC 8259).
    Json,
}

impl Format {
    /// The notation that files of this extension have: `yaml`, `yml` or `json`, in any case and without the dot.
    ///
    /// ```
    /// use margo_syntax::Format;
    ///
    /// assert_eq!(Format::of_extension("yml"), Some(Format::Yaml));
    /// assert_eq!(Format::of_extension("JSON"), Some(Format::Json));
    /// assert_eq!(Format::of_extension("toml"), None);
    /// ```
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(extension);
        if is("yaml") || is("yml") {
            Some(Self::Yaml)
        } else if is("json") {
            Some(Self::Json)
        } else {
            None
        }
    }
}

/// Reads the single document in `bytes`.
///
/// A YAML stream with a second document is an error here; see [`parse_all`].
///
/// ```
/// use margo_syntax::{Format, Limits, parse};
///
/// let error = parse(b"a: 1\nb: 2\na: 3\n", Format::Yaml, &Limits::default()).unwrap_err();
/// assert_eq!(error.to_string(), "line 3, column 1: duplicate key `a`, first used on line 1, column 1");
/// ```
pub fn parse(bytes: &[u8], format: Format, limits: &Limits) -> Result<Tree, SyntaxError> {
    match format {
        Format::Yaml => yaml::read(bytes, limits),
        Format::Json => json::read(bytes, limits),
    }
}

/// Reads every document of a YAML stream. A stream without documents is an empty list.
///
/// The limits hold for the stream as a whole.
///
/// ```
/// use margo_syntax::{Limits, parse_all};
///
/// let trees = parse_all(b"kind: A\n---\nkind: B\n", &Limits::default())?;
/// assert_eq!(trees.len(), 2);
/// assert_eq!(trees[1].to_value()["kind"], "B");
/// # Ok::<(), margo_syntax::SyntaxError>(())
/// ```
pub fn parse_all(bytes: &[u8], limits: &Limits) -> Result<Vec<Tree>, SyntaxError> {
    yaml::read_all(bytes, limits)
}

/// Reads as much of `bytes` as can be read, for whoever tells everything that is wrong with a text.
///
/// Entries that use a key again are left out and told. Any other error ends the reading; the documents of a stream
/// before it are still there.
///
/// ```
/// use margo_syntax::{Format, Limits, recover};
///
/// let (trees, errors) = recover(b"a: 1\na: 2\n---\nb: [\n", Format::Yaml, &Limits::default());
/// assert_eq!(trees[0].to_value(), serde_json::json!({"a": 1}));
/// assert_eq!(errors[0].to_string(), "line 2, column 1: duplicate key `a`, first used on line 1, column 1");
/// assert_eq!((trees.len(), errors.len()), (1, 2));
/// ```
#[must_use]
pub fn recover(bytes: &[u8], format: Format, limits: &Limits) -> (Vec<Tree>, Vec<SyntaxError>) {
    match format {
        Format::Yaml => yaml::recover(bytes, limits),
        Format::Json => json::recover(bytes, limits),
    }
}
