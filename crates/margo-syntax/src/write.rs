use std::fmt;

use serde::Serialize;

use crate::pointer::Pointer;

mod canonical;
mod ordered;
mod yaml;

/// `value` as canonical JSON (RFC 8785): one text for one value, so that it can be hashed and signed.
///
/// Members are ordered by their UTF-16 code units, nothing is indented, and floats are written as ECMAScript
/// writes them. One deviation, because Margo's manifest versions go up to 2^64 - 1: **integers are written
/// exactly**, where RFC 8785 would round those beyond 2^53 to the nearest float. Up to 2^53 the two agree.
///
/// ```
/// use margo_syntax::to_canonical_json;
/// use serde_json::json;
///
/// let text = to_canonical_json(&json!({"b": 1.0, "a": [18_446_744_073_709_551_615_u64, 1e21, "\u{e9}"]}))?;
/// assert_eq!(text, r#"{"a":[18446744073709551615,1e+21,"é"],"b":1}"#.as_bytes());
/// # Ok::<(), margo_syntax::WriteError>(())
/// ```
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, WriteError> {
    Ok(canonical::text(ordered::Ordered::of(value)?).into_bytes())
}

/// `value` as YAML, the way people write it: blocks, the order of the fields, and quotes only where needed.
///
/// A string is quoted where a reader of YAML 1.1 or 1.2 would take it for something else: `"no"`, `"1.10"`,
/// `"8080:80"`, `"2024-05-01"`. What is written reads back, with [`parse`](crate::parse), as the same value.
///
/// ```
/// use margo_syntax::to_yaml;
///
/// #[derive(serde::Serialize)]
/// struct Component<'a> {
///     name: &'a str,
///     revision: &'a str,
///     ports: &'a [u16],
/// }
///
/// let component = Component { name: "web", revision: "1.10", ports: &[80, 443] };
/// assert_eq!(to_yaml(&component)?, "name: web\nrevision: \"1.10\"\nports:\n  - 80\n  - 443\n");
/// # Ok::<(), margo_syntax::WriteError>(())
/// ```
pub fn to_yaml<T: Serialize + ?Sized>(value: &T) -> Result<String, WriteError> {
    Ok(yaml::text(&ordered::Ordered::of(value)?))
}

/// Why a value cannot be written, and which part of it.
///
/// ```
/// use std::collections::BTreeMap;
/// use margo_syntax::to_yaml;
///
/// let error = to_yaml(&BTreeMap::from([("load", f64::NAN)])).unwrap_err();
/// assert_eq!(error.to_string(), "/load: `NaN` is not a finite number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError {
    /// Keys and indices, innermost first: an error learns its place on the way out.
    path: Vec<String>,
    message: Box<str>,
}

impl WriteError {
    fn new(message: impl fmt::Display) -> Self {
        Self { path: Vec::new(), message: message.to_string().into() }
    }

    fn within(mut self, segment: impl fmt::Display) -> Self {
        self.path.push(segment.to_string());
        self
    }

    /// The part of the value that cannot be written.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        self.path.iter().rev().collect()
    }

    /// Why not.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer(), self.message)
        }
    }
}

impl std::error::Error for WriteError {}

impl serde::ser::Error for WriteError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}
