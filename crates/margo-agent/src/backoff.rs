use std::time::Duration;

/// The longest a peer's `Retry-After` is obeyed: a mistaken date must not silence a device for years.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// How long to wait after failures: twice as long after each, up to a limit, and never less than the peer asks for
/// (`Retry-After`, R-D-038).
///
/// ```
/// use margo_agent::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(5)).with_jitter(0.0);
/// let seconds: Vec<_> = (0..3).map(|_| backoff.next_delay(None, 0.0).as_secs()).collect();
/// assert_eq!(seconds, [2, 4, 5]);
/// backoff.reset();
/// assert_eq!(backoff.next_delay(Some(Duration::from_secs(30)), 0.0).as_secs(), 30);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    jitter: f64,
    failures: u32,
}

impl Backoff {
    /// Waits `initial` after the first failure, and never more than `max` unless a peer asks for it.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial: initial.min(max), max, jitter: 0.5, failures: 0 }
    }

    /// The same back-off, whose delays are shortened at random by up to this part of them: 0 for none, 1 for all.
    /// Other values are taken to the nearest of these. 0.5 unless set, so that a fleet does not return at once.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = crate::schedule::fraction(jitter);
        self
    }

    /// Counts a failure and says how long to wait.
    ///
    /// `retry_after` is what the peer asks for; at most a day of it is believed. `random` is a number from 0
    /// up to 1.
    pub fn next_delay(&mut self, retry_after: Option<Duration>, random: f64) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let longest = self.initial.saturating_mul(factor).min(self.max);
        let delay = longest.mul_f64(1.0 - self.jitter * crate::schedule::fraction(random));
        delay.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }

    /// Forgets all failures: something succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many failures there were since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl Default for Backoff {
    /// From 2 seconds to 5 minutes.
    fn default() -> Self {
        Self::new(Duration::from_secs(2), Duration::from_mins(5))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_has_its_bounds(
            initial in 1..10_000_u64,
            max in 1..1_000_000_u64,
            jitter in 0.0..=1.0,
            retry_after in prop::option::of(0..100_000_000_u64),
            randoms in prop::collection::vec(0.0..1.0, 1..80),
        ) {
            let mut backoff = Backoff::new(Duration::from_millis(initial), Duration::from_millis(max)).with_jitter(jitter);
            let retry_after = retry_after.map(Duration::from_millis);
            let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            for random in randoms {
                let delay = backoff.next_delay(retry_after, random);
                prop_assert!(delay >= asked);
                prop_assert!(delay <= Duration::from_millis(max).max(asked));
            }
        }
    }

    #[test]
    fn jitter_only_shortens() {
        let mut backoff = Backoff::new(Duration::from_secs(8), Duration::from_mins(1)).with_jitter(0.25);
        assert_eq!(backoff.next_delay(None, 0.0), Duration::from_secs(8));
        backoff.reset();
        assert_eq!(backoff.next_delay(None, 1.0), Duration::from_secs(6));
        assert_eq!((backoff.failures(), backoff.with_jitter(f64::NAN).jitter.to_bits()), (1, 0));
    }

    #[test]
    fn a_mistaken_retry_after_is_obeyed_for_a_day() {
        let delay = Backoff::default().next_delay(Some(Duration::MAX), 0.5);
        assert_eq!(delay, Duration::from_hours(24));
    }
}
