use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A revision of the Margo specification.
///
/// Ordered by age. A file or a peer is never classified by the label it carries, only by its shape: three
/// different shapes are called rc.2.
///
/// ```
/// use margo_core::SpecVersion;
///
/// let revision: SpecVersion = "1.0.0-rc.2".parse()?;
/// assert!(SpecVersion::PreDraft < revision && revision < SpecVersion::LATEST);
/// # Ok::<(), margo_core::ParseSpecVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SpecVersion {
    /// The pre-draft of October 2024: desired state in Git.
    PreDraft,
    /// 1.0.0-rc.1: desired state over REST, RFC 9421 signatures.
    V1_0_0Rc1,
    /// 1.0.0-rc.2: gateways.
    V1_0_0Rc2,
    /// 1.0.0-rc.3: mutual TLS, device constraints, problem details.
    V1_0_0Rc3,
}

impl SpecVersion {
    /// Every revision, oldest first.
    pub const ALL: [Self; 4] = [Self::PreDraft, Self::V1_0_0Rc1, Self::V1_0_0Rc2, Self::V1_0_0Rc3];

    /// The newest revision: the one the types at the root of each crate follow.
    pub const LATEST: Self = Self::V1_0_0Rc3;

    /// The name used on the command line, in configuration and in folder names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreDraft => "pre-draft",
            Self::V1_0_0Rc1 => "1.0.0-rc.1",
            Self::V1_0_0Rc2 => "1.0.0-rc.2",
            Self::V1_0_0Rc3 => "1.0.0-rc.3",
        }
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SpecVersion {
    type Err = ParseSpecVersionError;

    fn from_str(text: &str) -> Result<Self, ParseSpecVersionError> {
        let named = |version: &Self| {
            version.as_str() == text || version.as_str().strip_prefix("1.0.0-") == Some(text)
        };
        Self::ALL.into_iter().find(named).ok_or(ParseSpecVersionError)
    }
}

impl Serialize for SpecVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SpecVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text names no revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of `pre-draft`, `1.0.0-rc.1`, `1.0.0-rc.2`, `1.0.0-rc.3`")]
#[non_exhaustive]
pub struct ParseSpecVersionError;

/// The version of a state manifest: 1 to 2^64 - 1, strictly growing for each client (R-B-020, R-B-030).
///
/// The JSON type is `number`; it is read from its literal, so no precision is lost beyond 2^53
/// (X-B-36, X-D-31). Fractions and exponents are refused.
///
/// ```
/// use margo_core::ManifestVersion;
///
/// let version: ManifestVersion = "18446744073709551615".parse()?;
/// assert_eq!(version.get(), u64::MAX);
/// assert_eq!(version.next(), None);
/// assert!("0".parse::<ManifestVersion>().is_err());
/// # Ok::<(), margo_core::ParseManifestVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ManifestVersion(NonZeroU64);

impl ManifestVersion {
    /// The version of a client's first manifest.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version with this number; `None` for 0.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The version after this one; `None` after 2^64 - 1.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for ManifestVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ManifestVersion {
    type Err = ParseManifestVersionError;

    fn from_str(text: &str) -> Result<Self, ParseManifestVersionError> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Self).ok_or(ParseManifestVersionError)
    }
}

impl<'de> Deserialize<'de> for ManifestVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl serde::de::Visitor<'_> for Number {
            type Value = ManifestVersion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 1 to 18446744073709551615")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<ManifestVersion, E> {
                ManifestVersion::new(number)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// The text is not a whole number from 1 to 2^64 - 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number from 1 to 18446744073709551615")]
#[non_exhaustive]
pub struct ParseManifestVersionError;

#[cfg(test)]
mod tests {
    use super::*;

    /// X-B-36, X-D-31, R-B-020.
    #[test]
    fn the_whole_range_is_exact_and_nothing_else_is_read() {
        let read = |text: &str| serde_json::from_str::<ManifestVersion>(text);
        for number in [1, (1 << 53) + 1, u64::MAX] {
            let version = read(&number.to_string()).unwrap();
            assert_eq!(version.get(), number);
            assert_eq!(serde_json::to_string(&version).unwrap(), number.to_string());
        }
        for text in ["0", "-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn revisions_are_read_by_either_name() {
        assert_eq!("rc.3".parse(), Ok(SpecVersion::V1_0_0Rc3));
        assert_eq!("pre-draft".parse(), Ok(SpecVersion::PreDraft));
        assert!("1.0.0".parse::<SpecVersion>().is_err());
        assert!(SpecVersion::ALL.is_sorted());
    }
}
