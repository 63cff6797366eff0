use crate::SpecVersion;

/// A document of an older revision, in the newest revision's vocabulary, with what found no place there.
///
/// Upgrading never fails: what has a place is kept, what has none is listed. The way back is told alike, where it is
/// possible.
///
/// ```
/// use margo_core::{Loss, Upgraded};
///
/// let kept = Upgraded::lossless(7);
/// assert!(kept.is_lossless());
///
/// let upgraded = Upgraded::new(7, vec![Loss::new("/metadata/note", "there is no such member")]);
/// assert!(!upgraded.is_lossless());
/// assert_eq!(upgraded.losses[0].pointer, "/metadata/note");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Upgraded<T> {
    /// The document as the newest revision writes it.
    pub value: T,
    /// What the newest revision has no place for. Empty when nothing was lost.
    pub losses: Vec<Loss>,
}

impl<T> Upgraded<T> {
    /// An upgrade that lost nothing.
    #[must_use]
    pub fn lossless(value: T) -> Self {
        Self { value, losses: Vec::new() }
    }

    /// An upgrade, and what it lost.
    #[must_use]
    pub fn new(value: T, losses: Vec<Loss>) -> Self {
        Self { value, losses }
    }

    /// Whether nothing was lost.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.losses.is_empty()
    }
}

/// Something one revision says and another has no place for. It reads aloud.
///
/// ```
/// use margo_core::Loss;
///
/// let loss = Loss::new("/deviceId", "to 1.0.0-rc.1 a client is one device");
/// assert_eq!(loss.to_string(), "/deviceId: to 1.0.0-rc.1 a client is one device");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// Where it stood: a JSON Pointer (RFC 6901) into the document it was read from.
    pub pointer: String,
    /// Why it has no place.
    pub reason: String,
}

impl Loss {
    /// What stood at `pointer` has no place because of `reason`.
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pointer, self.reason)
    }
}

/// An older revision cannot say what a document says.
///
/// ```
/// use margo_core::{DowngradeError, SpecVersion};
///
/// let error = DowngradeError::new(SpecVersion::PreDraft, "/status/state", "it has no word for removal");
/// assert_eq!(error.to_string(), "pre-draft cannot say `/status/state`: it has no word for removal");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{revision} cannot say `{pointer}`: {reason}")]
#[non_exhaustive]
pub struct DowngradeError {
    /// The revision that lacks the words.
    pub revision: SpecVersion,
    /// What it cannot say: a JSON Pointer (RFC 6901) into the newer document.
    pub pointer: String,
    /// Why not.
    pub reason: String,
}

impl DowngradeError {
    /// `revision` cannot say what stands at `pointer`.
    pub fn new(revision: SpecVersion, pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { revision, pointer: pointer.into(), reason: reason.into() }
    }
}
