use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};

const MINUTES_OF_DAY: u16 = 24 * 60;

/// A window recurs every day; a change of the clocks can skip it once.
const MINUTES_SEARCHED: i64 = 3 * MINUTES_OF_DAY as i64;

/// A poll is a round trip and a walk over what runs; a configuration that asks for more of them means something
/// else.
const SHORTEST_RATE: Duration = Duration::from_millis(100);

/// Tells the time on the wall. Durations never come from it: they survive a clock that is set.
///
/// Any `Fn() -> jiff::Timestamp` is one, so a program passes `jiff::Timestamp::now`, and a test its own time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// When a device asks for its desired state (R-A-009, R-B-014): how often (polling rate), in which hours of the
/// day (polling period), and when not at all (downtime).
///
/// During downtime the device contacts its manager for nothing, and no communication error counts (MI-018).
///
/// ```
/// use margo_agent::{DayWindow, Schedule, Zone};
/// use std::time::Duration;
///
/// let hours: DayWindow = "06:00-22:00".parse()?;
/// let backup: DayWindow = "12:00-12:30".parse()?;
/// let zone: Zone = "UTC".parse()?;
/// let schedule = Schedule::every(Duration::from_secs(300)).with_windows(vec![hours], vec![backup], zone)?;
///
/// let noon = "2026-11-22T12:10:00Z".parse()?;
/// assert!(schedule.is_downtime(noon));
/// assert_eq!(schedule.next_poll(noon, None, 0.0), Duration::from_mins(20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    rate: Duration,
    jitter: f64,
    period: Vec<DayWindow>,
    downtime: Vec<DayWindow>,
    zone: Zone,
}

impl Schedule {
    /// Polls at this rate, all day. A rate below a tenth of a second is taken as one.
    #[must_use]
    pub fn every(rate: Duration) -> Self {
        Self {
            rate: rate.max(SHORTEST_RATE),
            jitter: 0.1,
            period: Vec::new(),
            downtime: Vec::new(),
            zone: Zone(TimeZone::UTC),
        }
    }

    /// The same schedule, whose polls come earlier or later at random by up to this part of the rate: 0 for none,
    /// 1 for all. Other values are taken to the nearest of these. 0.1 unless set, so that devices that were
    /// switched on together drift apart.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = fraction(jitter);
        self
    }

    /// The same schedule within hours of the day, as clocks in `zone` show them: polls only in `period` (none
    /// means all day), nothing at all in `downtime`.
    ///
    /// # Errors
    ///
    /// [`NeverOpen`] when downtime covers the whole period.
    pub fn with_windows(
        mut self,
        period: Vec<DayWindow>,
        downtime: Vec<DayWindow>,
        zone: Zone,
    ) -> Result<Self, NeverOpen> {
        (self.period, self.downtime, self.zone) = (period, downtime, zone);
        if (0..MINUTES_OF_DAY).any(|minute| self.is_open_at(minute)) { Ok(self) } else { Err(NeverOpen) }
    }

    /// The polling rate.
    #[must_use]
    pub fn rate(&self) -> Duration {
        self.rate
    }

    /// How long to wait for the next poll.
    ///
    /// `since_last` is how long ago the last poll began; `None` asks for a first poll, which is due at once
    /// (within the period and outside downtime). `random` is a number from 0 up to 1. A poll that has to wait for
    /// its window comes at the window's beginning, later at random by up to the jitter.
    #[must_use]
    pub fn next_poll(&self, now: Timestamp, since_last: Option<Duration>, random: f64) -> Duration {
        let random = fraction(random);
        let interval = self.rate.mul_f64(1.0 - self.jitter + 2.0 * self.jitter * random);
        let due = since_last.map_or(Duration::ZERO, |elapsed| interval.saturating_sub(elapsed));
        let wait = until(after(now, due), |at| self.is_open(at));
        if wait.is_zero() {
            return due;
        }
        let opening = due + wait;
        let spread = opening + self.rate.mul_f64(self.jitter * random);
        if self.is_open(after(now, spread)) { spread } else { opening }
    }

    /// How long to wait until the manager may be contacted at all: nothing outside downtime.
    #[must_use]
    pub fn next_contact(&self, now: Timestamp) -> Duration {
        until(now, |at| !self.is_downtime(at))
    }

    /// Whether this moment is in the downtime.
    #[must_use]
    pub fn is_downtime(&self, at: Timestamp) -> bool {
        let minute = self.zone.minute_of_day(at);
        self.downtime.iter().any(|window| window.contains(minute))
    }

    /// Whether polls are made at this moment.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.is_open_at(self.zone.minute_of_day(at))
    }

    fn is_open_at(&self, minute: u16) -> bool {
        let within = self.period.is_empty() || self.period.iter().any(|window| window.contains(minute));
        within && !self.downtime.iter().any(|window| window.contains(minute))
    }
}

impl Default for Schedule {
    /// Once a minute, all day.
    fn default() -> Self {
        Self::every(Duration::from_mins(1))
    }
}

/// Hours that recur every day: `06:00-22:00`, across midnight `22:00-06:00`, all day `00:00-24:00`.
///
/// The first minute belongs to it, the last one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct DayWindow {
    /// Minutes since midnight, as clocks show them.
    start: u16,
    /// As `start`; 1440 for the end of the day.
    end: u16,
}

impl DayWindow {
    fn contains(self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

impl FromStr for DayWindow {
    type Err = ParseWindowError;

    fn from_str(text: &str) -> Result<Self, ParseWindowError> {
        let (start, end) = text.split_once('-').ok_or(ParseWindowError)?;
        let (start, end) = minute(start).zip(minute(end)).ok_or(ParseWindowError)?;
        if start == MINUTES_OF_DAY || start == end {
            return Err(ParseWindowError);
        }
        Ok(Self { start, end })
    }
}

impl TryFrom<String> for DayWindow {
    type Error = ParseWindowError;

    fn try_from(text: String) -> Result<Self, ParseWindowError> {
        text.parse()
    }
}

impl fmt::Display for DayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)
    }
}

impl Serialize for DayWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not a window of hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected hours of the day such as `06:00-22:00`, with different ends")]
#[non_exhaustive]
pub struct ParseWindowError;

/// What the clocks show where a device is: `Europe/Berlin`, `UTC`, or a POSIX rule such as
/// `CET-1CEST,M3.5.0,M10.5.0/3` on a device without a time zone database.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(TimeZone);

impl Zone {
    fn minute_of_day(&self, at: Timestamp) -> u16 {
        let time = self.0.to_datetime(at).time();
        u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
    }
}

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = ParseZoneError;

    fn from_str(text: &str) -> Result<Self, ParseZoneError> {
        // Known without a database, which an empty container does not have.
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::default());
        }
        let zone = TimeZone::get(text).or_else(|_| TimeZone::posix(text));
        zone.map(Self).map_err(|_| ParseZoneError { text: text.into() })
    }
}

impl TryFrom<String> for Zone {
    type Error = ParseZoneError;

    fn try_from(text: String) -> Result<Self, ParseZoneError> {
        text.parse()
    }
}

/// The text names no time zone this device knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither in this device's time zone database nor a POSIX time zone rule")]
#[non_exhaustive]
pub struct ParseZoneError {
    /// The text.
    pub text: Box<str>,
}

/// The downtime covers the whole polling period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the downtime covers the whole polling period, so the device would never poll")]
#[non_exhaustive]
pub struct NeverOpen;

/// A number from 0 to 1, whatever was given.
pub(crate) fn fraction(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, 1.0) }
}

/// A number from 0 up to 1, good enough to keep devices from acting in step and for nothing else.
pub(crate) fn random() -> f64 {
    // Every `RandomState` has other keys; 32 bits fit an `f64` exactly.
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

/// How long it is from `now` until `open`, by full minutes: there is no arithmetic with clock changes to get
/// wrong.
fn until(now: Timestamp, open: impl Fn(Timestamp) -> bool) -> Duration {
    if open(now) {
        return Duration::ZERO;
    }
    let this_minute = now.as_second().div_euclid(60);
    (1..=MINUTES_SEARCHED)
        .filter_map(|minutes| Timestamp::from_second((this_minute + minutes) * 60).ok())
        .find(|at| open(*at))
        .map_or(Duration::ZERO, |at| now.duration_until(at).unsigned_abs())
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten().map(u16::from);
    let (hours, minutes) = number(hours).zip(number(minutes))?;
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MINUTES_OF_DAY).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Berlin's rule, so that the test needs no time zone database.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn windows(texts: &[&str]) -> Vec<DayWindow> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn schedule(period: &[&str], downtime: &[&str], zone: &str) -> Schedule {
        let schedule = Schedule::every(Duration::from_mins(10)).with_jitter(0.0);
        schedule.with_windows(windows(period), windows(downtime), zone.parse().unwrap()).unwrap()
    }

    /// When the next poll is, after one that began just now.
    fn next(schedule: &Schedule, now: &str) -> String {
        let now = at(now);
        (now + schedule.next_poll(now, Some(Duration::ZERO), 0.0)).to_string()
    }

    /// The zone that everybody has by default needs no database.
    #[test]
    fn utc_is_known_everywhere() {
        for text in ["UTC", "utc"] {
            assert_eq!(text.parse(), Ok(Zone::default()));
        }
    }

    #[test]
    fn the_first_poll_is_immediate_and_the_others_keep_the_rate() {
        let schedule = Schedule::every(Duration::from_mins(10)).with_jitter(0.0);
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(schedule.next_poll(now, None, 0.9), Duration::ZERO);
        assert_eq!(schedule.next_poll(now, Some(Duration::from_secs(100)), 0.9), Duration::from_secs(500));
        assert_eq!(schedule.next_poll(now, Some(Duration::from_secs(700)), 0.9), Duration::ZERO);
        assert_eq!(Schedule::every(Duration::ZERO).rate(), SHORTEST_RATE);
    }

    /// R-A-009, R-B-014.
    #[test]
    fn polls_keep_to_the_period_and_avoid_downtime() {
        let day = schedule(&["06:00-22:00"], &["12:00-12:30"], "UTC");
        assert_eq!(next(&day, "2026-11-22T08:00:00Z"), "2026-11-22T08:10:00Z");
        assert_eq!(next(&day, "2026-11-22T21:55:30Z"), "2026-11-23T06:00:00Z");
        assert_eq!(next(&day, "2026-11-22T11:51:00Z"), "2026-11-22T12:30:00Z");
        // The last minute does not belong to the window.
        assert_eq!(next(&day, "2026-11-22T11:49:59Z"), "2026-11-22T11:59:59Z");
        assert!(day.is_downtime(at("2026-11-22T12:00:00Z")) && !day.is_downtime(at("2026-11-22T12:30:00Z")));
        // Outside the period there are no polls, and everything else goes on.
        assert_eq!(day.next_contact(at("2026-11-22T23:00:00Z")), Duration::ZERO);
        assert_eq!(day.next_contact(at("2026-11-22T12:29:00Z")), Duration::from_mins(1));
    }

    #[test]
    fn a_window_may_cross_midnight() {
        let night = schedule(&["22:00-06:00"], &["23:50-00:20"], "UTC");
        assert_eq!(next(&night, "2026-11-22T23:30:00Z"), "2026-11-22T23:40:00Z");
        assert_eq!(next(&night, "2026-11-22T23:45:00Z"), "2026-11-23T00:20:00Z");
        assert_eq!(next(&night, "2026-11-23T05:55:00Z"), "2026-11-23T22:00:00Z");
    }

    /// 29 March 2026, 01:00 UTC: from 02:00 to 03:00. 25 October, 01:00 UTC: from 03:00 back to 02:00.
    #[test]
    fn clocks_may_change() {
        let morning = schedule(&["06:00-07:00"], &[], BERLIN);
        assert_eq!(next(&morning, "2026-03-28T08:00:00Z"), "2026-03-29T04:00:00Z");
        assert_eq!(next(&morning, "2026-10-24T08:00:00Z"), "2026-10-25T05:00:00Z");
        // Hours that do not exist on one day come on the next; the beginning that is skipped is the first minute
        // after it.
        let skipped = schedule(&["02:00-02:30"], &[], BERLIN);
        assert_eq!(next(&skipped, "2026-03-28T20:00:00Z"), "2026-03-30T00:00:00Z");
        let begins_inside = schedule(&["02:30-04:00"], &[], BERLIN);
        assert_eq!(next(&begins_inside, "2026-03-28T20:00:00Z"), "2026-03-29T01:00:00Z");
        // Hours that come twice are kept twice.
        let twice = schedule(&[], &["02:00-03:00"], BERLIN);
        assert_eq!(twice.next_contact(at("2026-10-25T00:00:00Z")), Duration::from_hours(2));
    }

    #[test]
    fn a_schedule_that_never_polls_is_refused() {
        let every = |period: &[&str], downtime: &[&str]| {
            Schedule::default().with_windows(windows(period), windows(downtime), Zone::default())
        };
        assert_eq!(every(&["06:00-08:00"], &["05:00-07:00", "07:00-09:00"]), Err(NeverOpen));
        assert_eq!(every(&[], &["00:00-24:00"]), Err(NeverOpen));
        assert!(every(&["06:00-08:00"], &["06:01-05:59"]).is_ok());
    }

    #[test]
    fn windows_and_zones_are_read_strictly() {
        for text in ["06:00-22:00", "22:00-06:00", "00:00-24:00"] {
            assert_eq!(text.parse::<DayWindow>().unwrap().to_string(), text);
            assert_eq!(serde_json::from_str::<DayWindow>(&format!("\"{text}\"")).unwrap().to_string(), text);
        }
        for text in [
            "",
            "6:00-22:00",
            "06:00",
            "06:60-07:00",
            "24:00-06:00",
            "06:00-06:00",
            "06:00-24:01",
            "-1:00-02:00",
        ] {
            assert_eq!(text.parse::<DayWindow>(), Err(ParseWindowError), "{text}");
        }
        let error = "Mars/Olympus".parse::<Zone>().unwrap_err();
        assert!(error.to_string().starts_with("`Mars/Olympus` is neither"));
    }

    proptest! {
        #[test]
        fn a_poll_is_always_allowed_when_it_comes(
            second in 1_700_000_000..1_900_000_000_i64,
            start in 0..1440_u16,
            length in 1..1440_u16,
            down in 0..1440_u16,
            since in prop::option::of(0..2_000_u64),
            random in 0.0..1.0,
        ) {
            let window = |start: u16, length: u16| DayWindow { start, end: (start + length) % MINUTES_OF_DAY };
            let schedule = Schedule::every(Duration::from_mins(10)).with_jitter(0.3).with_windows(
                vec![window(start, length)],
                vec![window(down, 30)],
                BERLIN.parse().unwrap(),
            );
            if let Ok(schedule) = schedule {
                let now = Timestamp::from_second(second).unwrap();
                let wait = schedule.next_poll(now, since.map(Duration::from_secs), random);
                prop_assert!(schedule.is_open(now + wait));
                prop_assert!(wait < Duration::from_hours(3 * 24));
            }
        }

        #[test]
        fn jitter_keeps_its_bounds(jitter in 0.0..=1.0, random in 0.0..1.0) {
            let schedule = Schedule::every(Duration::from_secs(1000)).with_jitter(jitter);
            let wait = schedule.next_poll(Timestamp::UNIX_EPOCH, Some(Duration::ZERO), random).as_secs_f64();
            prop_assert!((wait - 1000.0).abs() <= jitter * 1000.0 + 0.001);
        }
    }

    #[test]
    fn random_numbers_are_in_range_and_differ() {
        let numbers: Vec<f64> = (0..64).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.iter().any(|number| number.to_bits() != numbers[0].to_bits()));
    }
}
