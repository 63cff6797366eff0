use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long a component may take to be installed: minutes and seconds, `8m30s` ([spec], R-A-038).
///
/// Prints as it was read; compares by the duration it means.
///
/// ```
/// use margo_core::Timeout;
/// use std::time::Duration;
///
/// let timeout: Timeout = "8m30s".parse()?;
/// assert_eq!(timeout.duration(), Duration::from_secs(510));
/// assert!("510s".parse::<Timeout>().is_err());
/// # Ok::<(), margo_core::ParseTimeoutError>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#componentproperties
#[derive(Clone, Debug)]
pub struct Timeout {
    text: String,
    duration: Duration,
}

impl Timeout {
    /// The time it allows.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

impl From<Duration> for Timeout {
    /// Rounds up to whole seconds.
    fn from(duration: Duration) -> Self {
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        Self { text: format!("{}m{}s", seconds / 60, seconds % 60), duration: Duration::from_secs(seconds) }
    }
}

impl PartialEq for Timeout {
    fn eq(&self, other: &Self) -> bool {
        self.duration == other.duration
    }
}

impl Eq for Timeout {}

impl FromStr for Timeout {
    type Err = ParseTimeoutError;

    fn from_str(text: &str) -> Result<Self, ParseTimeoutError> {
        let digits = |part: &str| {
            let all_digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            all_digits.then(|| part.parse::<u64>().ok()).flatten()
        };
        let (minutes, seconds) =
            text.strip_suffix('s').and_then(|rest| rest.split_once('m')).ok_or(ParseTimeoutError)?;
        let (minutes, seconds) = digits(minutes).zip(digits(seconds)).ok_or(ParseTimeoutError)?;
        let total = minutes.checked_mul(60).and_then(|m| m.checked_add(seconds)).ok_or(ParseTimeoutError)?;
        Ok(Self { text: text.to_owned(), duration: Duration::from_secs(total) })
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not `<minutes>m<seconds>s`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected minutes and seconds such as `8m30s`")]
#[non_exhaustive]
pub struct ParseTimeoutError;
