use std::sync::Arc;

use bytes::Bytes;

use crate::endpoint::request_token::TokenError;
use crate::endpoint::{onboard, request_token};
use crate::{ManagerError, RootCertificateResponse};

/// How devices of the pre-draft, rc.1 and rc.2 come to know a manager and be known by it: a role beside
/// [`WorkloadFleetManager`](crate::WorkloadFleetManager), in plain values.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
///
/// use margo_api::endpoint::onboard;
/// use margo_api::{ManagerError, Onboarding, RootCertificateResponse};
/// use margo_core::{ClientId, Digest};
///
/// /// Takes on whoever asks: for a laboratory.
/// struct Laboratory {
///     authority: Vec<u8>,
///     clients: Mutex<BTreeMap<Digest, ClientId>>,
/// }
///
/// impl Onboarding for Laboratory {
///     async fn root_certificate(&self) -> Result<RootCertificateResponse, ManagerError> {
///         Ok(RootCertificateResponse::new(&self.authority))
///     }
///
///     async fn onboard(&self, request: onboard::Request) -> Result<onboard::Response, ManagerError> {
///         let certificate = Digest::of(&request.certificate()?);
///         let mut clients = self.clients.lock().map_err(|_| ManagerError::internal("poisoned"))?;
///         let next: ClientId = format!("client-{}", clients.len() + 1).parse().map_err(ManagerError::internal)?;
///         Ok(onboard::Response::new(clients.entry(certificate).or_insert(next).clone()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ManagerError> {
/// let laboratory = Laboratory { authority: vec![0x30, 0], clients: Mutex::default() };
/// let first = laboratory.onboard(onboard::Request::new(b"a certificate")).await?;
/// assert_eq!(laboratory.onboard(onboard::Request::new(b"a certificate")).await?, first);
/// # Ok(())
/// # }
/// ```
pub trait Onboarding: Send + Sync {
    /// The authority that this manager's own certificate is issued by (A5, E1).
    fn root_certificate(&self) -> impl Future<Output = Result<RootCertificateResponse, ManagerError>> + Send;

    /// Takes a device on with its certificate (E2). The same certificate is the same client, however often it asks.
    ///
    /// # Errors
    ///
    /// [`InvalidCertificate`](crate::ManagerErrorKind::InvalidCertificate) and
    /// [`ClientRejected`](crate::ManagerErrorKind::ClientRejected).
    fn onboard(
        &self,
        request: onboard::Request,
    ) -> impl Future<Output = Result<onboard::Response, ManagerError>> + Send;
}

impl<O: Onboarding> Onboarding for Arc<O> {
    async fn root_certificate(&self) -> Result<RootCertificateResponse, ManagerError> {
        (**self).root_certificate().await
    }

    async fn onboard(&self, request: onboard::Request) -> Result<onboard::Response, ManagerError> {
        (**self).onboard(request).await
    }
}

/// Gives devices of the pre-draft the bearer tokens they authenticate by (A6, R-A-011).
pub trait TokenIssuer: Send + Sync {
    /// A token for whoever has this id and secret.
    ///
    /// # Errors
    ///
    /// [`IssueTokenError::Refused`] with [`TokenError::InvalidClient`] for an id nobody has as for a wrong secret:
    /// nobody can find out which ids exist.
    fn issue_token(
        &self,
        request: request_token::Request,
    ) -> impl Future<Output = Result<request_token::Response, IssueTokenError>> + Send;
}

impl<I: TokenIssuer> TokenIssuer for Arc<I> {
    async fn issue_token(
        &self,
        request: request_token::Request,
    ) -> Result<request_token::Response, IssueTokenError> {
        (**self).issue_token(request).await
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueTokenError {
    /// The client is told which.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// Something of the manager's own.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

impl IssueTokenError {
    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> crate::Problem {
        match self {
            Self::Refused(error) => error.problem(),
            Self::Manager(error) => error.problem(),
        }
    }
}

/// Serves what validates the identities of a trust domain (D7, D8): an identity service, or a manager that is one too.
///
/// Documents are handed on as they are: `margo_identity` has `DiscoveryDocument` and `TrustBundle` to make them.
pub trait TrustSource: Send + Sync {
    /// The discovery document, JSON.
    ///
    /// # Errors
    ///
    /// [`Absent`](crate::ManagerErrorKind::Absent) where there is none: discovery is optional.
    fn discovery(&self) -> impl Future<Output = Result<Bytes, ManagerError>> + Send;

    /// The trust bundle, JSON.
    ///
    /// # Errors
    ///
    /// [`Absent`](crate::ManagerErrorKind::Absent) where there is none.
    fn trust_bundle(&self) -> impl Future<Output = Result<Bytes, ManagerError>> + Send;
}

impl<T: TrustSource> TrustSource for Arc<T> {
    async fn discovery(&self) -> Result<Bytes, ManagerError> {
        (**self).discovery().await
    }

    async fn trust_bundle(&self) -> Result<Bytes, ManagerError> {
        (**self).trust_bundle().await
    }
}
