use std::collections::BTreeSet;
use std::sync::Arc;

use margo_api::{AuthError, Authenticator, Caller, Identified};

use crate::{ClientSpiffeId, SpiffeId, Svid, WfmSpiffeId};

/// Whom a manager serves: holding a valid SVID is not enough (R-D-006).
///
/// Whatever is accepted, an id must be exactly that of a client of this manager, in its trust domain (R-D-004).
///
/// ```
/// use margo_identity::AcceptedClients;
///
/// let accepted = AcceptedClients::these(
///     "spiffe://factory.example/margo/wfm/plant".parse()?,
///     ["press-7".parse()?],
/// );
/// assert!(accepted.accept(&"spiffe://factory.example/margo/wfm/plant/client/press-7".parse()?).is_ok());
/// assert!(accepted.accept(&"spiffe://factory.example/margo/wfm/plant/client/press-8".parse()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedClients {
    manager: WfmSpiffeId,
    clients: Option<BTreeSet<margo_core::ClientId>>,
}

impl AcceptedClients {
    /// Accepts every client in the namespace of `manager`: whoever issues its SVIDs decides whom it serves.
    #[must_use]
    pub fn namespace(manager: WfmSpiffeId) -> Self {
        Self { manager, clients: None }
    }

    /// Accepts these clients of `manager` and no others.
    #[must_use]
    pub fn these(manager: WfmSpiffeId, clients: impl IntoIterator<Item = margo_core::ClientId>) -> Self {
        Self { manager, clients: Some(clients.into_iter().collect()) }
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &WfmSpiffeId {
        &self.manager
    }

    /// The client that this id is, if it is served.
    ///
    /// # Errors
    ///
    /// [`NotAcceptedError`] says why, for the log. The client learns that it is not accepted, and nothing else.
    pub fn accept(&self, id: &SpiffeId) -> Result<ClientSpiffeId, NotAcceptedError> {
        let client =
            ClientSpiffeId::try_from(id.clone()).map_err(|_| NotAcceptedError::Form { id: id.clone() })?;
        if *client.manager() != self.manager {
            return Err(NotAcceptedError::OtherManager { manager: client.manager().clone() });
        }
        if self.clients.as_ref().is_some_and(|clients| !clients.contains(client.client_id())) {
            return Err(NotAcceptedError::NotListed { id: client });
        }
        Ok(client)
    }
}

/// Why a manager does not serve somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAcceptedError {
    /// The id is not that of a client (R-D-004).
    #[error("`{id}` is not the id of a client")]
    Form {
        /// The id.
        id: SpiffeId,
    },
    /// The id is that of a client of another manager (R-D-004).
    #[error("the client is one of `{manager}`")]
    OtherManager {
        /// The other manager.
        manager: WfmSpiffeId,
    },
    /// The client is ours, and not accepted (any more) (R-D-006).
    #[error("`{id}` is not accepted")]
    NotListed {
        /// The client.
        id: ClientSpiffeId,
    },
}

/// Where a manager finds whom it serves, anew for each request (R-D-013).
///
/// An [`AcceptedClients`] is one that never changes.
pub trait AcceptancePolicy: Send + Sync {
    /// The client that this id is, if it is served at this moment.
    ///
    /// # Errors
    ///
    /// [`AuthError::NotAccepted`] when it is not; [`AuthError::Unavailable`] when that cannot be found out.
    fn accept(&self, id: &SpiffeId) -> impl Future<Output = Result<ClientSpiffeId, AuthError>> + Send;
}

impl AcceptancePolicy for AcceptedClients {
    async fn accept(&self, id: &SpiffeId) -> Result<ClientSpiffeId, AuthError> {
        self.accept(id).map_err(|error| {
            tracing::info!(%error, "a client is refused");
            AuthError::NotAccepted
        })
    }
}

impl<P: AcceptancePolicy> AcceptancePolicy for Arc<P> {
    async fn accept(&self, id: &SpiffeId) -> Result<ClientSpiffeId, AuthError> {
        (**self).accept(id).await
    }
}

/// A manager's side of mutual TLS: the caller is who the connection was authenticated by, if that is served
/// (R-D-004, R-D-006).
///
/// Finds the peer's [`Svid`] in the request's extensions. Whom the policy does not accept gets
/// [`AuthError::NotAccepted`], which is a 403 and not a closed connection (R-D-007).
#[derive(Clone, Debug)]
pub struct SvidAuthenticator<P> {
    policy: P,
}

impl<P: AcceptancePolicy> SvidAuthenticator<P> {
    /// Accepts whom `policy` accepts.
    #[must_use]
    pub fn new(policy: P) -> Self {
        Self { policy }
    }
}

impl<P: AcceptancePolicy> Authenticator for SvidAuthenticator<P> {
    async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
        let svid = head.extensions.get::<Svid>().ok_or(AuthError::Missing)?;
        let client = self.policy.accept(svid.id()).await?;
        Ok(Identified::new(Caller::new(client.client_id().clone())))
    }
}
