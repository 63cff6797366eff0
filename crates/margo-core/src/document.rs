use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::Digest;

/// A value together with the exact bytes it was read from.
///
/// Digests and signatures cover bytes, so the bytes travel with the value and are what gets forwarded, stored
/// and served (R-B-025). `Document` deliberately implements no `Serialize`.
///
/// The value is a view: for a document of an older revision it may be the same document in the newest
/// revision's vocabulary.
///
/// ```
/// use margo_core::{Digest, Document};
///
/// let text = "7";
/// let document = Document::decode(text.into(), |bytes| str::from_utf8(bytes).unwrap().parse::<u8>())?;
/// assert_eq!((*document, document.bytes().as_ref()), (7, text.as_bytes()));
///
/// // Bytes that are not those that were announced are not even looked at.
/// let other = Document::decode_verified(text.into(), Digest::of(b"8"), |_| -> Result<u8, ()> { unreachable!() });
/// assert!(other.is_err());
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Document<T> {
    bytes: Bytes,
    /// Only once somebody asked: a status and capabilities are read without a look at it.
    digest: OnceLock<Digest>,
    value: T,
}

impl<T> Document<T> {
    /// Reads `bytes` with `decode`, keeping both.
    ///
    /// # Errors
    ///
    /// What `decode` returns.
    pub fn decode<E>(bytes: Bytes, decode: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self { value: decode(&bytes)?, digest: OnceLock::new(), bytes })
    }

    /// Reads `bytes` only if they are the bytes named by `expected` (R-B-026).
    ///
    /// # Errors
    ///
    /// [`VerifyError::Mismatch`] before anything is decoded, else what `decode` returns.
    pub fn decode_verified<E>(
        bytes: Bytes,
        expected: Digest,
        decode: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Self, VerifyError<E>> {
        let digest = Digest::of(&bytes);
        if digest != expected {
            return Err(VerifyError::Mismatch { expected, found: digest });
        }
        Ok(Self { value: decode(&bytes).map_err(VerifyError::Decode)?, digest: digest.into(), bytes })
    }

    /// The bytes, exactly as received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of [`bytes`](Self::bytes), computed when first asked for unless it was verified.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }

    /// What the bytes mean.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// The same bytes, seen as something else.
    #[must_use]
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Document<U> {
        Document { bytes: self.bytes, digest: self.digest, value: view(self.value) }
    }
}

/// Equal bytes seen as equal values; whether somebody asked for the digest is no difference.
impl<T: PartialEq> PartialEq for Document<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.value == other.value
    }
}

impl<T: Eq> Eq for Document<T> {}

impl<T> Deref for Document<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why bytes did not become a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError<E> {
    /// The bytes are not the ones announced (R-B-027).
    #[error("expected content with digest {expected}, found {found}")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What arrived.
        found: Digest,
    },
    /// The bytes are the ones announced, and they cannot be read.
    #[error("content cannot be read")]
    Decode(#[source] E),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-B-026, R-B-027: nothing is read before its digest was verified.
    #[test]
    fn other_bytes_are_never_decoded() {
        let mut decoded = false;
        let result = Document::decode_verified("abc".into(), Digest::of(b"abd"), |_| {
            decoded = true;
            Ok::<_, ()>(())
        });
        assert!(matches!(result, Err(VerifyError::Mismatch { .. })));
        assert!(!decoded);
    }

    #[test]
    fn a_view_keeps_the_bytes() {
        let document = Document::decode("12".into(), |bytes| Ok::<_, ()>(bytes.len())).unwrap();
        let digest = document.digest();
        let document = document.map(|length| length * 2);
        assert_eq!((*document, document.digest()), (4, digest));
        assert_eq!(document.bytes(), &Bytes::from("12"));
    }

    #[test]
    fn who_asked_for_the_digest_is_no_difference() {
        let digest = Digest::of(b"12");
        let decode = |bytes: &[u8]| Ok::<_, ()>(bytes.len());
        let asked = Document::decode("12".into(), decode).unwrap();
        assert_eq!(asked.digest(), digest);
        let unasked = Document::decode("12".into(), decode).unwrap();
        let verified = Document::decode_verified("12".into(), digest, decode).unwrap();
        assert_eq!((&asked, &asked.clone()), (&unasked, &verified));
        assert_eq!(unasked.digest(), verified.digest());
        assert_ne!(unasked, Document::decode("21".into(), decode).unwrap());
    }
}
