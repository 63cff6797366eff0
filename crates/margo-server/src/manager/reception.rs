//! How devices come to be clients, and clients to tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use margo_api::endpoint::request_token::TokenError;
use margo_api::endpoint::{onboard, request_token};
use margo_api::{
    DesiredStatePublisher, IssueTokenError, ManagerError, ManagerErrorKind, Onboarding,
    RootCertificateResponse, TokenIssuer, TrustSource,
};
use margo_core::{ClientId, Digest, SpecVersion};
use margo_identity::{CurrentTrustBundle, DiscoveryDocument, Token, TrustBundleUri, VerifyingKey};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::clients::Newcomer;
use super::{Manager, OperatorError};
use crate::store::{Store, TokenRecord, TokenUse};

/// Which devices of 1.0.0-rc.1 and 1.0.0-rc.2 may make themselves known (E2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Those whose certificates' digests are listed, and those that are known already.
    Listed(BTreeSet<Digest>),
    /// Whoever asks, until there are so many clients. They are given nothing until an operator deploys to them.
    Anyone {
        /// How many clients there may be altogether.
        max_clients: usize,
    },
}

/// Takes devices of 1.0.0-rc.1 and 1.0.0-rc.2 on, and tells those before 1.0.0-rc.3 the manager's authority.
///
/// A certificate is one client's for ever: whoever sends it again is told the same client (E2), and is rejected once the
/// client was retired or given another certificate, until an operator says otherwise. The device is named when it
/// reports its capabilities first; until then it is called what its client is called (MI-024).
pub struct Reception<S, P> {
    manager: Arc<Manager<S, P>>,
    admission: Admission,
    authority: Option<Authority>,
}

type Authority = Arc<dyn Fn() -> Bytes + Send + Sync>;

impl<S, P> Reception<S, P> {
    /// Takes on whom `admission` lets in.
    #[must_use]
    pub fn new(manager: Arc<Manager<S, P>>, admission: Admission) -> Self {
        Self { manager, admission, authority: None }
    }

    /// The same, and tells the authority that the server's certificate is issued by, in DER (A5, E1).
    #[must_use]
    pub fn with_authority(self, authority: impl Into<Bytes>) -> Self {
        let authority = authority.into();
        self.with_current_authority(move || authority.clone())
    }

    /// The same, with whatever is the authority when a device asks.
    #[must_use]
    pub fn with_current_authority(mut self, authority: impl Fn() -> Bytes + Send + Sync + 'static) -> Self {
        self.authority = Some(Arc::new(authority));
        self
    }
}

impl<S, P> fmt::Debug for Reception<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reception").field("admission", &self.admission).finish_non_exhaustive()
    }
}

impl<S: Store, P: DesiredStatePublisher> Onboarding for Reception<S, P> {
    async fn root_certificate(&self) -> Result<RootCertificateResponse, ManagerError> {
        let absent = || ManagerError::new(ManagerErrorKind::Absent);
        self.authority.as_ref().map(|told| RootCertificateResponse::new(&told())).ok_or_else(absent)
    }

    async fn onboard(&self, request: onboard::Request) -> Result<onboard::Response, ManagerError> {
        let der = Bytes::from(request.certificate()?);
        check_certificate(&der, self.manager.unix_now())
            .map_err(|reason| ManagerError::new(ManagerErrorKind::InvalidCertificate).with_detail(reason))?;
        let digest = Digest::of(&der);
        let rejected = || ManagerError::new(ManagerErrorKind::ClientRejected);
        // Whoever is known, or never will be, keeps nobody waiting.
        if let Some(client) = self.known(digest).await? {
            return Ok(onboard::Response::new(client));
        }
        if matches!(&self.admission, Admission::Listed(digests) if !digests.contains(&digest)) {
            return Err(rejected());
        }
        // Held until it is decided, so that one certificate never becomes two clients.
        let _turn = self.manager.turn.lock().await;
        if let Some(client) = self.known(digest).await? {
            return Ok(onboard::Response::new(client));
        }
        if let Admission::Anyone { max_clients } = &self.admission {
            let clients = self.manager.store.clients().await.map_err(ManagerError::internal)?;
            if clients.len() >= *max_clients {
                tracing::warn!(max_clients, "a device is not taken on: there are enough");
                return Err(rejected());
            }
        }
        let name = uuid::Uuid::new_v4().to_string(); // R-B-006
        let newcomer = Newcomer {
            client_id: Some(name.parse().map_err(ManagerError::internal)?),
            device_id: name.parse().map_err(ManagerError::internal)?,
            revision: SpecVersion::V1_0_0Rc2,
            certificate: Some(der),
        };
        match self.manager.take_on(newcomer).await {
            Ok(onboarded) => Ok(onboard::Response::new(onboarded.client_id)),
            // Another process of the same store was asked at the same time.
            Err(OperatorError::Conflict { .. }) => {
                self.known(digest).await?.map(onboard::Response::new).ok_or_else(rejected)
            }
            Err(error) => Err(ManagerError::internal(error)),
        }
    }
}

impl<S: Store, P: DesiredStatePublisher> Reception<S, P> {
    async fn known(&self, certificate: Digest) -> Result<Option<ClientId>, ManagerError> {
        let client = self.manager.store.client_by_certificate(certificate).await;
        match client.map_err(ManagerError::internal)? {
            // What was taken from a device makes it, or somebody else, no client again: an operator may.
            Some(client)
                if client.retired_at.is_some() || client.certificate_digest() != Some(certificate) =>
            {
                Err(ManagerError::new(ManagerErrorKind::ClientRejected))
            }
            client => Ok(client.map(|client| client.client_id)),
        }
    }
}

/// Issues tokens to clients of the pre-draft, for one use: the token endpoint (A6), and beside it one for the tokens that
/// open their repositories (R-A-016, R-A-017, MI-023).
///
/// A client presents its id and the secret it was onboarded with.
pub struct IssuedTokens<S, P> {
    manager: Arc<Manager<S, P>>,
    token_use: TokenUse,
    lifetime: Duration,
    overlap: Option<Duration>,
}

impl<S, P> IssuedTokens<S, P> {
    /// Tokens for the management interface, each good for `lifetime`.
    #[must_use]
    pub fn for_management(manager: Arc<Manager<S, P>>, lifetime: Duration) -> Self {
        Self { manager, token_use: TokenUse::Management, lifetime, overlap: None }
    }

    /// Tokens for Git repositories, each good for `lifetime`. The one before, and the one a client was onboarded with,
    /// is good for `overlap` from when the next one is issued, and no longer.
    #[must_use]
    pub fn for_git(manager: Arc<Manager<S, P>>, lifetime: Duration, overlap: Duration) -> Self {
        Self { manager, token_use: TokenUse::Git, lifetime, overlap: Some(overlap) }
    }
}

impl<S, P> fmt::Debug for IssuedTokens<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("token_use", &self.token_use)
            .field("lifetime", &self.lifetime)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}

impl<S: Store, P: DesiredStatePublisher> TokenIssuer for IssuedTokens<S, P> {
    async fn issue_token(
        &self,
        request: request_token::Request,
    ) -> Result<request_token::Response, IssueTokenError> {
        let manager = &self.manager;
        let client = match request.client_id().parse::<ClientId>() {
            Ok(id) => manager.store.client(&id).await.map_err(ManagerError::internal)?,
            Err(_) => None,
        };
        let client = client
            .filter(|client| client.retired_at.is_none() && client.token.verify(request.reveal_secret()));
        let Some(client) = client else { return Err(TokenError::InvalidClient.into()) };
        let token = Token::generate().map_err(ManagerError::internal)?;
        let now = manager.now();
        let after = |duration| now.checked_add(duration).map_err(ManagerError::internal);
        let record =
            TokenRecord::new(token.hash(), client.client_id, self.token_use, now, after(self.lifetime)?);
        let earlier_until = self.overlap.map(after).transpose()?;
        manager.store.put_token(record, earlier_until).await.map_err(ManagerError::internal)?;
        Ok(request_token::Response::bearer(token.reveal(), self.lifetime))
    }
}

/// Serves the bundle in force, and where it is (D7, D8).
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    bundle: Arc<CurrentTrustBundle>,
    uri: Option<TrustBundleUri>,
}

impl TrustAnchors {
    /// Serves `bundle`, whatever it is at the time; without discovery.
    #[must_use]
    pub fn new(bundle: Arc<CurrentTrustBundle>) -> Self {
        Self { bundle, uri: None }
    }

    /// The same, with a discovery document that says the bundle is at `uri` (R-D-015).
    #[must_use]
    pub fn with_discovery(mut self, uri: TrustBundleUri) -> Self {
        self.uri = Some(uri);
        self
    }
}

impl TrustSource for TrustAnchors {
    async fn discovery(&self) -> Result<Bytes, ManagerError> {
        let Some(uri) = self.uri.clone() else { return Err(ManagerError::new(ManagerErrorKind::Absent)) };
        let document = DiscoveryDocument::new(self.bundle.get().trust_domain().clone(), uri);
        serde_json::to_vec(&document).map(Bytes::from).map_err(ManagerError::internal)
    }

    async fn trust_bundle(&self) -> Result<Bytes, ManagerError> {
        Ok(self.bundle.get().to_json().into())
    }
}

/// A certificate in PEM or in the base64 of DER, in DER.
pub(super) fn certificate_der(text: &str) -> Option<Bytes> {
    let mut message = RootCertificateResponse::new(b"");
    text.clone_into(&mut message.certificate);
    message.certificate_der().ok().map(Bytes::from)
}

/// Whether signatures can be checked with it (R-B-007).
pub(super) fn check_certificate(der: &[u8], now: UnixTime) -> Result<(), &'static str> {
    let key = VerifyingKey::from_certificate(&CertificateDer::from(der));
    let key = key.map_err(|_| "it is no X.509 certificate of a key that can be used")?;
    if key.is_valid_at(now) { Ok(()) } else { Err("it is not valid at this time") }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use jiff::Timestamp;
    use margo_api::NoPublisher;

    use super::*;
    use crate::Memory;

    /// Whoever is not listed is refused while somebody else has the turn, and leaves nothing behind.
    #[tokio::test]
    async fn a_stranger_waits_for_no_turn() {
        let certificate = rcgen::generate_simple_self_signed(["device".to_owned()]).unwrap().cert;
        let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
        let reception = Reception::new(Arc::clone(&manager), Admission::Listed(BTreeSet::new()));
        let turn = manager.turn.lock().await;
        let mut asked = pin!(reception.onboard(onboard::Request::new(certificate.der())));
        let answer = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(answer) = answer else { panic!("the stranger waits") };
        assert_eq!(answer.unwrap_err().kind(), ManagerErrorKind::ClientRejected);
        drop(turn);
        assert!(manager.store.clients().await.unwrap().is_empty());
    }
}
