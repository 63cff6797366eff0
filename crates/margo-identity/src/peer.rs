use std::net::SocketAddr;

use http::header;
use margo_api::{AuthError, Authenticator, Identified};

/// The other end of the connection a request came by.
///
/// Whoever accepts connections puts it into the extensions of each request; nobody can send one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// The address the transport saw.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self(addr)
    }

    /// The address.
    #[must_use]
    pub fn get(self) -> SocketAddr {
        self.0
    }

    /// Whether the other end is on this machine. An IPv4 address in IPv6 clothes is what it is inside.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

/// Accepts what `A` accepts, from this machine alone: for development tokens, until connections themselves are
/// authenticated (R-D-004).
///
/// Refuses, with [`AuthError::Forbidden`] and before `A` is asked, a request whose [`PeerAddr`] is not loopback or
/// not known, and one that a proxy on this machine says it forwarded (`Forwarded`, `X-Forwarded-For`): its sender
/// is elsewhere.
#[derive(Clone, Debug)]
pub struct LoopbackOnly<A>(A);

impl<A> LoopbackOnly<A> {
    /// Accepts what `authenticator` accepts, from this machine alone.
    #[must_use]
    pub fn new(authenticator: A) -> Self {
        Self(authenticator)
    }
}

impl<A: Authenticator> Authenticator for LoopbackOnly<A> {
    async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
        let forbidden = |reason| Err(AuthError::Forbidden { reason });
        match head.extensions.get::<PeerAddr>() {
            None => return forbidden("the peer's address is not known"),
            Some(peer) if !peer.is_loopback() => {
                return forbidden("development tokens are accepted on loopback only");
            }
            Some(_) => {}
        }
        if head.headers.contains_key(header::FORWARDED) || head.headers.contains_key("x-forwarded-for") {
            return forbidden("the request was forwarded from elsewhere");
        }
        self.0.identify(head).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use margo_api::Caller;

    use super::*;

    struct Everyone;

    impl Authenticator for Everyone {
        async fn identify(&self, _: &http::request::Parts) -> Result<Identified, AuthError> {
            Ok(Identified::new(Caller::new("plant-7".parse().unwrap())))
        }
    }

    fn from(peer: Option<&str>) -> http::Request<Bytes> {
        let mut request = http::Request::new(Bytes::new());
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr::new(peer.parse().unwrap()));
        }
        request
    }

    #[tokio::test]
    async fn only_this_machine_is_let_through() {
        let gate = LoopbackOnly::new(Everyone);
        for peer in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(gate.authenticate(&from(Some(peer))).await.is_ok(), "{peer}");
        }
        let elsewhere = ["0.0.0.0:1", "192.168.0.7:1", "[::]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"];
        for peer in elsewhere.map(Some).into_iter().chain([None]) {
            let result = gate.authenticate(&from(peer)).await;
            assert!(matches!(result, Err(AuthError::Forbidden { .. })), "{peer:?}");
        }
    }

    #[tokio::test]
    async fn a_local_proxy_does_not_make_its_users_local() {
        let gate = LoopbackOnly::new(Everyone);
        for name in ["forwarded", "x-forwarded-for"] {
            let mut request = from(Some("127.0.0.1:1"));
            request.headers_mut().insert(name, HeaderValue::from_static("for=192.0.2.60"));
            let result = gate.authenticate(&request).await;
            assert!(matches!(result, Err(AuthError::Forbidden { .. })), "{name}");
        }
    }
}
