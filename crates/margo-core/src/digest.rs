use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::text;

const ALGORITHM: &str = "sha256";
const HEX_DIGITS: usize = 64;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

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
        self.digits().iter().map(|&digit| char::from(digit)).collect()
    }

    fn digits(&self) -> [u8; HEX_DIGITS] {
        let mut digits = [0; HEX_DIGITS];
        for (digits, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        digits
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
        f.write_str(ALGORITHM)?;
        f.write_str(":")?;
        // Digits are ASCII.
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
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
        if hex.len() != HEX_DIGITS || !hex.is_ascii() {
            let found = hex.chars().count();
            if found != HEX_DIGITS {
                return Err(ParseDigestError::WrongLength { found });
            }
        }
        let mut hash = [0; 32];
        let mut is_hex = true;
        for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (value(digits[0]), value(digits[1]));
            is_hex &= high < 16 && low < 16;
            *byte = high << 4 | low & 15;
        }
        if is_hex {
            return Ok(Self(hash));
        }
        let wrong = hex.bytes().position(|digit| value(digit) >= 16).unwrap_or_default();
        Err(ParseDigestError::NotLowercaseHex { offset: offset + wrong })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer, str::parse)
    }
}

/// What a lowercase hex digit stands for; 16 or more for anything else.
fn value(digit: u8) -> u8 {
    const VALUES: [u8; 256] = {
        let mut values = [u8::MAX; 256];
        let mut value = 0;
        while value < 16 {
            values[DIGITS[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    VALUES[usize::from(digit)]
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
