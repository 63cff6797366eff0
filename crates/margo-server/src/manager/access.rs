//! Who is let in, as the store knows it.

use std::sync::Arc;

use margo_api::{AuthError, Authenticator, BoxError, DesiredStatePublisher, Identified};
use margo_core::{ClientId, Digest, SpecVersion};
use margo_identity::{
    AcceptancePolicy, AcceptedClients, BearerAuthenticator, ClientSpiffeId, KeyLookup, PayloadSignature,
    PayloadSignatureError, SpiffeId, TokenHash, TokenLookup, VerifyingKey, WfmSpiffeId,
};
use rustls_pki_types::CertificateDer;

use super::clients::Newcomer;
use super::{Manager, OperatorError};
use crate::store::{ClientRecord, Store, StoreError, TokenUse};

/// Makes a handle of a manager: cheap to clone, whatever the manager is made of.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $new:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<S, P>(Arc<Manager<S, P>>);

        impl<S, P> $name<S, P> {
            #[doc = $new]
            #[must_use]
            pub fn new(manager: Arc<Manager<S, P>>) -> Self {
                Self(manager)
            }
        }

        impl<S, P> Clone for $name<S, P> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }
    };
}

handle! {
    /// Finds the client of a secret that was given out when it was onboarded, retired ones included: those are told that
    /// they are not served (R-D-007). For development: elsewhere the secret is for the token endpoint alone, see
    /// [`AccessTokens`].
    ManagementTokens, "The secrets that `manager` gave out."
}

impl<S: Store, P: DesiredStatePublisher> TokenLookup for ManagementTokens<S, P> {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        let client = self.0.store.client_by_token(TokenUse::Management, hash).await?;
        Ok(client.map(|client| client.client_id))
    }
}

handle! {
    /// Finds the client of a token that the token endpoint issued and that has not ended (R-A-011, R-A-012). It opens the
    /// management interface and no repository.
    AccessTokens, "The tokens that `manager` issued."
}

impl<S: Store, P: DesiredStatePublisher> TokenLookup for AccessTokens<S, P> {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        Ok(issued(&self.0, hash, TokenUse::Management).await?)
    }
}

handle! {
    /// Finds the client of a token for a Git repository: the one it was onboarded with, until the manager has issued
    /// another and the overlap is over, or one of those that were issued (R-A-016). A retired client has none.
    GitTokens, "The tokens that `manager` gave out and issued."
}

impl<S: Store, P: DesiredStatePublisher> TokenLookup for GitTokens<S, P> {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        if let Some(client) = issued(&self.0, hash, TokenUse::Git).await? {
            let client = self.0.store.client(&client).await?;
            return Ok(client.filter(|client| client.retired_at.is_none()).map(|client| client.client_id));
        }
        let client = self.0.store.client_by_token(TokenUse::Git, hash).await?;
        let now = self.0.now();
        let opens = |client: &ClientRecord| {
            client.retired_at.is_none() && client.git_token_until.is_none_or(|until| now < until)
        };
        Ok(client.filter(opens).map(|client| client.client_id))
    }
}

async fn issued<S: Store, P: DesiredStatePublisher>(
    manager: &Manager<S, P>,
    hash: &TokenHash,
    token_use: TokenUse,
) -> Result<Option<ClientId>, StoreError> {
    let now = manager.now();
    let token = manager.store.token(hash).await?;
    let token = token.filter(|token| token.token_use == token_use && now < token.expires_at);
    Ok(token.map(|token| token.client_id))
}

handle! {
    /// Finds the key of the certificate that is registered for a client (R-B-012).
    ///
    /// A key is called what its client is called, or by the SHA-256 of its certificate in hexadecimal digits. rc.1 and
    /// rc.2 leave the name open; whatever else a device may say is the name of no key (MI-022).
    ClientKeys, "The keys of the clients that `manager` knows."
}

impl<S: Store, P: DesiredStatePublisher> KeyLookup for ClientKeys<S, P> {
    async fn keys_of(&self, client: &ClientId, key_id: &str) -> Result<Vec<VerifyingKey>, BoxError> {
        let Some(record) = self.0.store.client(client).await? else { return Ok(Vec::new()) };
        let Some(der) = record.certificate else { return Ok(Vec::new()) };
        let fingerprint = Digest::of(&der).to_string();
        let names = [client.as_str(), record.client_id.as_str(), &fingerprint];
        let is_named =
            names.contains(&key_id) || fingerprint.ends_with(&format!(":{}", key_id.to_ascii_lowercase()));
        if !is_named {
            return Ok(Vec::new());
        }
        Ok(vec![VerifyingKey::from_certificate(&CertificateDer::from(&der[..]))?])
    }
}

/// Whom a manager serves over mutual TLS (R-D-006): the clients of its own namespace that it knows and that are not
/// retired. A client of an older revision is known by other means: an SVID that bears its name is not accepted for it
/// until an operator links the two (R-D-019). Asked for every request, so that whoever is retired while connected is refused with the next (R-D-013).
#[derive(Debug)]
pub struct ClientAcceptance<S, P> {
    manager: Arc<Manager<S, P>>,
    form: AcceptedClients,
    admits: bool,
}

impl<S, P> ClientAcceptance<S, P> {
    /// Serves the clients that an operator onboarded or linked; `id` is the manager's own.
    #[must_use]
    pub fn new(manager: Arc<Manager<S, P>>, id: WfmSpiffeId) -> Self {
        Self { manager, form: AcceptedClients::namespace(id), admits: false }
    }

    /// The same, and serves whoever has an SVID in the manager's namespace: the first request makes a client of it.
    /// Whoever issues SVIDs decides then; those that were retired stay so.
    #[must_use]
    pub fn with_namespace(mut self) -> Self {
        self.admits = true;
        self
    }
}

impl<S, P> Clone for ClientAcceptance<S, P> {
    fn clone(&self) -> Self {
        let (manager, form) = (Arc::clone(&self.manager), self.form.clone());
        Self { manager, form, admits: self.admits }
    }
}

impl<S: Store, P: DesiredStatePublisher> AcceptancePolicy for ClientAcceptance<S, P> {
    async fn accept(&self, id: &SpiffeId) -> Result<ClientSpiffeId, AuthError> {
        let client = AcceptancePolicy::accept(&self.form, id).await?;
        let known =
            self.manager.store.client(client.client_id()).await.map_err(|error| unavailable(&error))?;
        match known {
            Some(known) if is_served(&known, client.client_id()) => Ok(client),
            None if self.admits => {
                self.manager.admit(client.client_id()).await?;
                Ok(client)
            }
            _ => {
                tracing::info!(%id, "a client is not accepted");
                Err(AuthError::NotAccepted)
            }
        }
    }
}

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// Makes a client of whoever may be one.
    async fn admit(&self, client: &ClientId) -> Result<(), AuthError> {
        // A device id may be whatever a client id may be.
        let device_id = client.as_str().parse().map_err(|_| AuthError::NotAccepted)?;
        let client_id = Some(client.clone());
        let newcomer = Newcomer { client_id, device_id, revision: SpecVersion::LATEST, certificate: None };
        let _turn = self.turn.lock().await;
        match self.take_on(newcomer).await {
            Ok(_) => Ok(()),
            // Of two first requests, one comes second; or the name is that of somebody's device.
            Err(OperatorError::Conflict { .. }) => match self.store.client(client).await {
                Ok(Some(known)) if is_served(&known, client) => Ok(()),
                Ok(_) => Err(AuthError::NotAccepted),
                Err(error) => Err(unavailable(&error)),
            },
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// Whether an SVID for `id` is one of this client: it bears a name that it was linked with, or the client speaks a
/// revision that has SVIDs. A name alone proves nothing about who had it before (R-D-019).
fn is_served(known: &ClientRecord, id: &ClientId) -> bool {
    let is_linked = known.client_id != *id;
    known.retired_at.is_none() && (is_linked || known.revision >= SpecVersion::V1_0_0Rc3)
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> AuthError {
    tracing::error!(error = crate::chain(error), "who is accepted cannot be found out");
    AuthError::Unavailable
}

/// The pre-draft's two proofs: a bearer token says who calls, and `X-Payload-Signature` that the body is theirs (R-A-013,
/// R-A-014).
///
/// The signature is checked with the certificate registered for the client, never with the key it brings along
/// (X-A-17). A client without a registered certificate is refused.
#[derive(Debug)]
pub struct PayloadSigned<S, P> {
    manager: Arc<Manager<S, P>>,
    tokens: BearerAuthenticator<AccessTokens<S, P>>,
    is_optional: bool,
}

impl<S: Store, P: DesiredStatePublisher> PayloadSigned<S, P> {
    /// Takes the tokens that `manager` issued.
    #[must_use]
    pub fn new(manager: Arc<Manager<S, P>>) -> Self {
        let tokens = BearerAuthenticator::new(AccessTokens::new(Arc::clone(&manager)));
        Self { manager, tokens, is_optional: false }
    }

    /// The same, but takes the bodies of clients without a registered certificate as they are: for devices that do
    /// not sign. The token alone protects them.
    #[must_use]
    pub fn with_optional_signature(mut self) -> Self {
        self.is_optional = true;
        self
    }
}

impl<S: Store, P: DesiredStatePublisher> Authenticator for PayloadSigned<S, P> {
    async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
        let identified = self.tokens.identify(head).await?;
        let id = identified.client_id().clone();
        let client = self.manager.store.client(&id).await.map_err(|error| unavailable(&error))?;
        let Some(client) = client else { return Err(AuthError::Refused) };
        let Some(der) = client.certificate else {
            if self.is_optional {
                return Ok(identified);
            }
            return Err(AuthError::Forbidden { reason: "no certificate is registered for the device" });
        };
        let key = VerifyingKey::from_certificate(&CertificateDer::from(&der[..]));
        let key = key.map_err(|error| unavailable(&error))?;
        let refused = move |error: PayloadSignatureError| {
            tracing::info!(client = %id, %error, "a payload is refused");
            AuthError::Refused
        };
        let signature = PayloadSignature::read(&head.headers, key, self.manager.unix_now());
        let signature = signature.map_err(&refused)?;
        Ok(identified.with_check(move |body| signature.verify(body).map_err(refused)))
    }
}
