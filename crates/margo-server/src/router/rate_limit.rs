use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::{Extensions, StatusCode};
use margo_api::Problem;
use margo_identity::PeerAddr;
use tokio::time::Instant;

/// How many addresses are remembered.
const MAX_ADDRESSES: usize = 20_000;

/// How often whoever is not known yet may ask from one address: for the routes that are open to strangers.
///
/// Each address has a bucket of its own; an IPv6 address shares that of its network (`/64`), and callers whose address is not
/// known share one. Behind a proxy all of them have the proxy's address. The 20,000 addresses that asked last are
/// remembered. Clones count together, so that several routes and listeners may have one limit.
///
/// Whoever asks too often is answered `429` with `Retry-After`, before a byte of the body is read.
#[derive(Clone)]
pub struct RateLimit {
    burst: NonZeroU32,
    every: Duration,
    seen: Arc<Mutex<Seen>>,
}

/// When the bucket of each address will be full again.
#[derive(Default)]
struct Seen {
    lately: BTreeMap<Address, Instant>,
    /// Those that have not asked since the others became too many.
    before: BTreeMap<Address, Instant>,
}

/// Who counts as one; nobody if that is not known.
pub(super) type Address = Option<IpAddr>;

impl RateLimit {
    /// How many requests an address may make at once unless said otherwise: 100, so that a site may restart behind one
    /// address.
    pub const DEFAULT_BURST: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");
    /// How long it takes unless said otherwise until an address may make one more: 100 ms.
    pub const DEFAULT_EVERY: Duration = Duration::from_millis(100);

    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Self::DEFAULT_BURST, Self::DEFAULT_EVERY)
    }

    /// `burst` requests at once, and then one more after each `every`. With an `every` of zero nothing is limited.
    #[must_use]
    pub fn of(burst: NonZeroU32, every: Duration) -> Self {
        Self { burst, every, seen: Arc::default() }
    }

    /// Takes one request of `address` from its bucket. The error says when there is one again.
    pub(super) fn admit(&self, address: Address) -> Result<(), Problem> {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let full = seen.full_at(&address).map_or(now, |full| full.max(now));
        let room = self.every.saturating_mul(self.burst.get() - 1);
        let missing = full.duration_since(now).saturating_sub(room);
        if missing > Duration::ZERO {
            tracing::info!(?address, "asked too often");
            return Err(Problem::about_blank(StatusCode::TOO_MANY_REQUESTS)
                .with_detail("there are too many requests from this address")
                .with_retry_after(missing));
        }
        seen.note(address, full + self.every);
        Ok(())
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("burst", &self.burst)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Seen {
    fn full_at(&self, address: &Address) -> Option<Instant> {
        self.lately.get(address).or_else(|| self.before.get(address)).copied()
    }

    fn note(&mut self, address: Address, full: Instant) {
        self.lately.insert(address, full);
        if self.lately.len() >= MAX_ADDRESSES / 2 {
            self.before = std::mem::take(&mut self.lately);
        }
    }
}

/// The other end of the connection, as whoever accepted it says.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    let connected = || extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    extensions.get::<PeerAddr>().map(|peer| peer.get()).or_else(connected)
}

/// Who the other end counts as.
pub(super) fn address(extensions: &Extensions) -> Address {
    peer(extensions).map(|peer| match peer.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str) -> Address {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddr::new(peer.parse().unwrap()));
        address(&extensions)
    }

    #[test]
    fn an_address_counts_as_its_network() {
        assert_eq!(from("[2001:db8::1]:1"), from("[2001:db8::ffff:0:0:2]:9"));
        assert_ne!(from("[2001:db8::1]:1"), from("[2001:db8:0:1::1]:1"));
        assert_eq!(from("[::ffff:192.0.2.1]:1"), from("192.0.2.1:2"));
        assert_ne!(from("192.0.2.1:1"), from("192.0.2.2:1"));
        assert_eq!(address(&Extensions::new()), None);
    }

    #[test]
    fn each_address_has_its_own_bucket() {
        let limit = RateLimit::of(NonZeroU32::new(3).unwrap(), Duration::from_hours(1));
        let [one, other] = ["192.0.2.1:1", "192.0.2.2:1"].map(from);
        for _ in 0..3 {
            limit.admit(one).unwrap();
        }
        let refused = limit.admit(one).unwrap_err();
        assert_eq!((refused.status, refused.retryable), (429, Some(true)));
        assert!((1..=3600).contains(&refused.retry_after_seconds.unwrap()), "{refused:?}");
        limit.clone().admit(other).unwrap();
        limit.admit(None).unwrap();
        assert!(limit.admit(one).is_err(), "a refusal takes nothing and gives nothing");
    }

    #[test]
    fn a_bucket_fills_again() {
        let limit = RateLimit::of(NonZeroU32::MIN, Duration::from_hours(1));
        let one = from("192.0.2.1:1");
        limit.admit(one).unwrap();
        assert!(limit.admit(one).is_err());
        let an_hour_ago = Instant::now().checked_sub(Duration::from_secs(1));
        limit.seen.lock().unwrap().lately.insert(one, an_hour_ago.unwrap());
        limit.admit(one).unwrap();
        assert!(limit.admit(one).is_err());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_may_be() {
        let limit = RateLimit::of(NonZeroU32::MIN, Duration::from_hours(1));
        let asked_lately = from("10.255.255.255:1");
        for number in 0..3 * MAX_ADDRESSES {
            let bits = u32::try_from(number).unwrap();
            limit.admit(Some(std::net::Ipv4Addr::from_bits(bits).into())).unwrap();
            if number == 3 * MAX_ADDRESSES - 100 {
                limit.admit(asked_lately).unwrap();
            }
            let seen = limit.seen.lock().unwrap();
            assert!(seen.lately.len() + seen.before.len() <= MAX_ADDRESSES);
        }
        assert!(limit.admit(asked_lately).is_err());
    }
}
