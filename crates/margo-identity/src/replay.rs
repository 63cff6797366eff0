use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use margo_core::{ClientId, Digest};
use rustls_pki_types::UnixTime;

/// The signatures presented lately, so that each is taken once (R-B-013).
///
/// Remembers a signature for as long as the window of the [`MessageVerifier`](crate::MessageVerifier) is open, and only
/// after it was verified: strangers fill nothing. Each client has a share of its own; whoever fills it is refused until
/// the oldest is forgotten, and nobody else is.
///
/// PKCS#1 v1.5 signatures of equal requests within one second are equal, and so are requests that a connection repeats by
/// itself. Where devices do that, [`of_changes`](Self::of_changes) lets requests that change nothing be repeated.
pub struct ReplayMemory {
    per_client: usize,
    reads: bool,
    seen: Mutex<BTreeMap<ClientId, BTreeMap<Digest, u64>>>,
}

impl ReplayMemory {
    /// How many signatures are remembered of each client unless said otherwise: 4096, which is 13 requests a second in a
    /// window of 5 minutes.
    pub const DEFAULT_PER_CLIENT: usize = 4096;

    /// Remembers every request.
    #[must_use]
    pub fn new() -> Self {
        Self { per_client: Self::DEFAULT_PER_CLIENT, reads: true, seen: Mutex::default() }
    }

    /// Remembers every request but `GET` and `HEAD`: what changes something is taken once.
    #[must_use]
    pub fn of_changes() -> Self {
        Self { reads: false, ..Self::new() }
    }

    /// Remembers at most this many signatures of each client; 0 is 1.
    #[must_use]
    pub fn with_per_client(mut self, most: usize) -> Self {
        self.per_client = most.max(1);
        self
    }

    /// Whether the signature `name` would be taken now. Remembers nothing.
    pub(crate) fn weigh(
        &self,
        client: &ClientId,
        method: &Method,
        name: &Digest,
        now: UnixTime,
    ) -> Admission {
        if !self.remembers(method) {
            return Admission::First;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(client).map_or(Admission::First, |known| self.judge(known, name, now.as_secs()))
    }

    /// Whether this is the first time, now remembered for `lasting`.
    pub(crate) fn admit(
        &self,
        client: &ClientId,
        method: &Method,
        name: Digest,
        now: UnixTime,
        lasting: Duration,
    ) -> Admission {
        if !self.remembers(method) {
            return Admission::First;
        }
        let now = now.as_secs();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that is gone is forgotten when another one calls.
        if !seen.contains_key(client) {
            seen.retain(|_, signatures| signatures.values().any(|until| *until >= now));
        }
        let signatures = seen.entry(client.clone()).or_default();
        let admission = self.judge(signatures, &name, now);
        if admission == Admission::First {
            if signatures.len() >= self.per_client {
                signatures.retain(|_, until| *until >= now);
            }
            signatures.insert(name, now.saturating_add(lasting.as_secs()));
        }
        admission
    }

    fn remembers(&self, method: &Method) -> bool {
        self.reads || !matches!(*method, Method::GET | Method::HEAD)
    }

    fn judge(&self, known: &BTreeMap<Digest, u64>, name: &Digest, now: u64) -> Admission {
        if known.get(name).is_some_and(|until| *until >= now) {
            Admission::Again
        } else if known.len() >= self.per_client && known.values().all(|until| *until >= now) {
            Admission::Full
        } else {
            Admission::First
        }
    }
}

impl Default for ReplayMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ReplayMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayMemory").field("per_client", &self.per_client).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    First,
    Again,
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(5);

    fn admit(memory: &ReplayMemory, client: &str, method: &Method, signature: &[u8], at: u64) -> Admission {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let (client, name) = (client.parse().unwrap(), Digest::of(signature));
        let weighed = memory.weigh(&client, method, &name, now);
        let admitted = memory.admit(&client, method, name, now, WINDOW);
        assert_eq!(weighed, admitted);
        admitted
    }

    /// R-B-013.
    #[test]
    fn a_signature_is_taken_once_while_its_window_is_open() {
        let memory = ReplayMemory::new();
        let put = |client, signature: &[u8], at| admit(&memory, client, &Method::PUT, signature, at);
        assert_eq!(put("a", b"1", 1000), Admission::First);
        assert_eq!(put("a", b"1", 1000), Admission::Again);
        assert_eq!(put("a", b"1", 1300), Admission::Again);
        assert_eq!(put("a", b"2", 1300), Admission::First);
        assert_eq!(put("b", b"1", 1300), Admission::First, "clients have nothing in common");
        assert_eq!(put("a", b"1", 1301), Admission::First, "the window is what refuses it from here on");
    }

    #[test]
    fn who_asks_too_often_is_refused_alone_and_for_a_while() {
        let memory = ReplayMemory::new().with_per_client(2);
        let get = |client, signature: &[u8], at| admit(&memory, client, &Method::GET, signature, at);
        assert_eq!(get("a", b"1", 0), Admission::First);
        assert_eq!(get("a", b"2", 1), Admission::First);
        assert_eq!(get("a", b"3", 2), Admission::Full);
        assert_eq!(get("b", b"3", 2), Admission::First);
        assert_eq!(get("a", b"3", 301), Admission::First);
        // Nobody stays for ever.
        assert_eq!(get("c", b"1", 5000), Admission::First);
        assert_eq!(memory.seen.lock().unwrap().len(), 1);
    }

    #[test]
    fn what_changes_nothing_may_be_repeated_if_wanted() {
        let memory = ReplayMemory::of_changes();
        for _ in 0..2 {
            assert_eq!(admit(&memory, "a", &Method::GET, b"1", 0), Admission::First);
        }
        assert_eq!(admit(&memory, "a", &Method::DELETE, b"2", 0), Admission::First);
        assert_eq!(admit(&memory, "a", &Method::DELETE, b"2", 0), Admission::Again);
    }
}
