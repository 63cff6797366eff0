use std::sync::{Arc, Mutex, PoisonError};

use margo_identity::{Svid, SvidVerifier, TrustBundle};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::CertificateDer;

/// The other end of a connection with certificates on both sides.
pub(super) struct Peer {
    svid: Svid,
    chain: Vec<CertificateDer<'static>>,
    verifier: SvidVerifier,
    clock: Arc<dyn TimeProvider>,
    /// What the chain was verified against last.
    against: Mutex<Arc<TrustBundle>>,
}

impl Peer {
    /// The one that a handshake has verified, while `against` or a later bundle was in force.
    pub(super) fn new(
        chain: &[CertificateDer<'_>],
        verifier: SvidVerifier,
        clock: Arc<dyn TimeProvider>,
        against: Arc<TrustBundle>,
    ) -> Option<Self> {
        let svid = Svid::read(chain.first()?).ok()?;
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Some(Self { svid, chain, verifier, clock, against: Mutex::new(against) })
    }

    pub(super) fn svid(&self) -> &Svid {
        &self.svid
    }

    /// How many seconds the SVID is still valid.
    pub(super) fn seconds_left(&self) -> u64 {
        let now = self.clock.current_time().map_or(u64::MAX, |now| now.as_secs());
        self.svid.not_after().as_secs().saturating_sub(now)
    }

    /// Whether the bundle in force vouches for it as well: a new one takes the place of all authorities (R-D-016), and
    /// who was let in by one of them has to leave. Costs a comparison unless the bundle was replaced.
    pub(super) fn is_still_trusted(&self) -> bool {
        let current = self.verifier.bundle();
        let mut against = self.against.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, &against) {
            return true;
        }
        let (Some((leaf, intermediates)), Some(now)) = (self.chain.split_first(), self.clock.current_time())
        else {
            return false;
        };
        match self.verifier.verify(leaf, intermediates, now) {
            Ok(_) => {
                *against = current;
                true
            }
            Err(error) => {
                tracing::info!(id = %self.svid.id(), %error, "no longer trusted");
                false
            }
        }
    }
}
