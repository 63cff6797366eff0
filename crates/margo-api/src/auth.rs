use bytes::Bytes;
use margo_core::ClientId;

/// Who is calling, as the transport has authenticated it (R-D-004).
///
/// Everything a caller may see or change is scoped to it (R-D-008).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The client.
    pub client_id: ClientId,
}

impl Caller {
    /// An authenticated client. Only a transport, or a test, has reason to make one.
    #[must_use]
    pub fn new(client_id: ClientId) -> Self {
        Self { client_id }
    }
}

/// What a request must carry: a device's proof of who it is.
pub trait Credentials: Send + Sync {
    /// Adds the proof to a complete request.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`] when the proof cannot be made now, such as when no token can be had.
    fn authorize(
        &self,
        request: &mut http::Request<Bytes>,
    ) -> impl Future<Output = Result<(), AuthError>> + Send;
}

/// What a manager learns from a request: who is calling.
pub trait Authenticator: Send + Sync {
    /// The caller of a complete request.
    ///
    /// Schemes that authenticate the connection find its peer in the request's extensions.
    ///
    /// # Errors
    ///
    /// [`AuthError::Missing`] and [`AuthError::Refused`] say nothing about which part of the proof was wrong.
    fn authenticate(
        &self,
        request: &http::Request<Bytes>,
    ) -> impl Future<Output = Result<Caller, AuthError>> + Send;
}

/// Why a caller is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request carries no proof of the expected kind.
    #[error("the request carries no credentials")]
    Missing,
    /// The proof is not accepted.
    #[error("the credentials are not accepted")]
    Refused,
    /// The caller is known, and this manager does not serve it (any more) (R-D-007).
    #[error("this client is not accepted")]
    NotAccepted,
    /// The proof may not be used on this connection, such as a development token beyond loopback.
    #[error("these credentials may not be used on this connection: {reason}")]
    Forbidden {
        /// Why not.
        reason: &'static str,
    },
    /// Whether the proof holds cannot be found out now.
    #[error("credentials cannot be checked or made at the moment")]
    Unavailable,
}
