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
    /// Rounds up to whole seconds, as far as there are any.
    fn from(duration: Duration) -> Self {
        let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Timeout, serde_json::Error> {
        serde_json::from_value(text.into())
    }

    /// R-A-038.
    #[test]
    fn only_minutes_and_seconds_are_a_timeout() {
        for (text, seconds) in [("0m0s", 0), ("8m30s", 510), ("08m030s", 510), ("0m90s", 90)] {
            assert_eq!(text.parse::<Timeout>().unwrap().duration(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "8m", "30s", "m0s", "8ms", "8m30", "8 m30s", "-8m30s", "+8m30s", "8m3.5s", "1h5m0s"]
        {
            assert!(text.parse::<Timeout>().is_err(), "{text}");
        }
        // One second more than there are.
        assert!("307445734561825860m15s".parse::<Timeout>().is_ok());
        assert!("307445734561825860m16s".parse::<Timeout>().is_err());
    }

    #[test]
    fn every_duration_is_a_timeout() {
        assert_eq!(Timeout::from(Duration::from_millis(1)).to_string(), "0m1s");
        assert_eq!(Timeout::from(Duration::MAX).duration(), Duration::from_secs(u64::MAX));
    }

    proptest! {
        /// Type to text to type.
        #[test]
        fn a_timeout_survives_its_text(seconds: u64) {
            let timeout = Timeout::from(Duration::from_secs(seconds));
            prop_assert_eq!(timeout.duration(), Duration::from_secs(seconds));
            prop_assert_eq!(timeout.to_string().parse(), Ok(timeout.clone()));
            let text = serde_json::to_value(&timeout).unwrap();
            prop_assert_eq!(read(text.as_str().unwrap()).unwrap(), timeout);
        }

        /// Text to type to text: nothing is made prettier.
        #[test]
        fn a_timeout_prints_as_it_was_read(text in prop_oneof!["[0-9]{1,22}m[0-9]{1,22}s", "\\PC{0,8}"]) {
            if let Ok(timeout) = text.parse::<Timeout>() {
                prop_assert_eq!(timeout.to_string(), text.clone());
                prop_assert_eq!(serde_json::to_value(&timeout).unwrap(), text.clone());
            }
            prop_assert_eq!(read(&text).ok(), text.parse().ok());
        }
    }
}
