use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256";
const HEX_DIGITS: usize = 64;

/// The identity of an exact sequence of bytes: `sha256:` and 64 lowercase hex digits ([spec], R-B-024, R-B-025).
///
/// Two digests are equal exactly when the bytes they were computed over are.
///
/// ```
/// use margo_core::Digest;
///
/// let digest = Digest::of(b"hello");
/// let text = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
/// assert_eq!(digest.to_string(), text);
/// assert_eq!(text.parse::<Digest>()?, digest);
/// # Ok::<(), margo_core::ParseDigestError>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#digest
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of `bytes`, exactly as received.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lowercase hex digits, without the algorithm: safe as a file name.
    #[must_use]
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(HEX_DIGITS), |mut hex, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl From<[u8; 32]> for Digest {
    /// Takes a SHA-256 hash that was computed elsewhere.
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(ParseDigestError::MissingAlgorithm)?;
        if algorithm != ALGORITHM {
            return Err(ParseDigestError::UnsupportedAlgorithm { algorithm: algorithm.into() });
        }
        let offset = algorithm.len() + 1;
        let found = hex.chars().count();
        if found != HEX_DIGITS {
            return Err(ParseDigestError::WrongLength { found });
        }
        let mut hash = [0; 32];
        for (i, digit) in hex.bytes().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(ParseDigestError::NotLowercaseHex { offset: offset + i }),
            };
            hash[i / 2] = hash[i / 2] << 4 | value;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a string is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// There is no `:` between algorithm and value.
    #[error("expected `sha256:` followed by 64 hex digits")]
    MissingAlgorithm,
    /// The digest may be well formed, and its algorithm is one Margo does not use (R-B-028).
    #[error("digest algorithm `{algorithm}` is not supported")]
    UnsupportedAlgorithm {
        /// The algorithm as written.
        algorithm: Box<str>,
    },
    /// The value does not have 64 digits (X-B-26, X-D-26).
    #[error("expected 64 hex digits, found {found}")]
    WrongLength {
        /// The number of characters found.
        found: usize,
    },
    /// A digit is not lowercase hexadecimal.
    #[error("expected a lowercase hex digit at byte {offset}")]
    NotLowercaseHex {
        /// Byte offset from the start of the digest.
        offset: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_to_be_wrong_is_told_apart() {
        let parse = |text: &str| text.parse::<Digest>().unwrap_err();
        assert_eq!(parse("b5c6d7e8f9"), ParseDigestError::MissingAlgorithm);
        assert_eq!(parse("sha512:00"), ParseDigestError::UnsupportedAlgorithm { algorithm: "sha512".into() });
        assert_eq!(parse(&format!("sha256:{}", "0".repeat(63))), ParseDigestError::WrongLength { found: 63 });
        assert_eq!(
            parse(&format!("sha256:{}A", "0".repeat(63))),
            ParseDigestError::NotLowercaseHex { offset: 70 }
        );
        // 64 characters, more bytes: never a panic, never a digest.
        assert!(matches!(
            parse(&format!("sha256:{}é", "0".repeat(63))),
            ParseDigestError::NotLowercaseHex { .. }
        ));
    }

    proptest! {
        #[test]
        fn text_is_the_value(hash in any::<[u8; 32]>()) {
            let digest = Digest::from(hash);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            prop_assert_eq!(format!("sha256:{}", digest.hex()), digest.to_string());
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(sha256:)?\\PC{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
