use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, StatusCode};
use margo_api::Problem;
use margo_identity::{Svid, SvidVerifier};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::rate_limit::peer;
use super::{RouterConfig, guarded, refuse};

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const MAX_CERTIFICATE: usize = 16 << 10;
const MAX_CHAIN: usize = 8;

/// Proxies that terminate TLS in front of a manager, and how it checks what they say of its clients.
#[derive(Clone)]
pub struct Proxies {
    addresses: BTreeSet<IpAddr>,
    verifier: SvidVerifier,
    clock: Arc<dyn Fn() -> UnixTime + Send + Sync>,
}

impl Proxies {
    /// Believes these addresses alone. `verifier` checks the certificates they hand on, at the time that `clock`
    /// tells: the proxy's word is that the client held the key, no more.
    #[must_use]
    pub fn new(
        addresses: impl IntoIterator<Item = IpAddr>,
        verifier: SvidVerifier,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        let addresses = addresses.into_iter().map(|address| address.to_canonical()).collect();
        Self { addresses, verifier, clock: Arc::new(clock) }
    }

    fn speak_at(&self, peer: SocketAddr) -> bool {
        self.addresses.contains(&peer.ip().to_canonical())
    }

    /// Who the proxy says is calling; nobody if it says nothing.
    fn client(&self, headers: &HeaderMap) -> Result<Option<Svid>, Problem> {
        let refused = |status: StatusCode, detail: &str| Problem::about_blank(status).with_detail(detail);
        let mut leaves = headers.get_all(CLIENT_CERT).iter();
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else {
            if headers.contains_key(CLIENT_CERT) {
                return Err(refused(StatusCode::BAD_REQUEST, "`Client-Cert` is there twice"));
            }
            return Ok(None);
        };
        let malformed = || refused(StatusCode::BAD_REQUEST, "`Client-Cert` cannot be read");
        let leaf = leaf.to_str().ok().and_then(certificate).ok_or_else(malformed)?;
        let mut chain = Vec::new();
        for value in headers.get_all(CLIENT_CERT_CHAIN) {
            for item in value.to_str().map_err(|_| malformed())?.split(',') {
                if chain.len() == MAX_CHAIN {
                    return Err(refused(StatusCode::BAD_REQUEST, "`Client-Cert-Chain` is too long"));
                }
                chain.push(certificate(item).ok_or_else(malformed)?);
            }
        }
        match self.verifier.verify(&leaf, &chain, (self.clock)()) {
            Ok(svid) => Ok(Some(svid)),
            Err(error) => {
                tracing::info!(%error, "a forwarded certificate is refused");
                Err(refused(StatusCode::UNAUTHORIZED, "the client's certificate is not accepted"))
            }
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Takes `Client-Cert` and `Client-Cert-Chain` (RFC 9440) for the peer's certificate where one of `proxies` sends them
/// (R-D-017), and forgets them wherever else they come from. Around [`authenticated`](crate::authenticated).
///
/// What the proxy itself was authenticated by is never taken for the client. A certificate that does not verify is a
/// `401`, one that cannot be read a `400`.
pub fn client_cert_from_proxies(router: Router, proxies: Proxies) -> Router {
    let router = router.layer(middleware::from_fn_with_state(Arc::new(proxies), unwrap));
    guarded(router, &RouterConfig::default())
}

async fn unwrap(State(proxies): State<Arc<Proxies>>, mut request: Request, next: Next) -> Response {
    if peer(request.extensions()).is_some_and(|peer| proxies.speak_at(peer)) {
        request.extensions_mut().remove::<Svid>();
        match proxies.client(request.headers()) {
            Ok(Some(svid)) => drop(request.extensions_mut().insert(svid)),
            Ok(None) => {}
            Err(problem) => return refuse(problem, request.uri().path()),
        }
    }
    request.headers_mut().remove(CLIENT_CERT);
    request.headers_mut().remove(CLIENT_CERT_CHAIN);
    next.run(request).await
}

/// A byte sequence (RFC 8941, 3.3.5).
fn certificate(text: &str) -> Option<CertificateDer<'static>> {
    let text = text.trim().strip_prefix(':')?.strip_suffix(':')?;
    if text.len() > MAX_CERTIFICATE {
        return None;
    }
    STANDARD.decode(text).ok().map(CertificateDer::from)
}
