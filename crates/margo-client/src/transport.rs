use std::sync::Arc;

use bytes::Bytes;
use margo_api::BoxError;

/// Moves one request to a manager, and its answer back.
///
/// Requests are complete: absolute URI, credentials and body. A transport adds nothing that changes what they mean,
/// follows no redirect, and repeats nothing that may have arrived.
pub trait Transport: Send + Sync {
    /// Sends `request` and returns the whole answer, whatever its status, with any content coding removed.
    ///
    /// Stops reading as soon as a body passes `max_body` bytes, counted after decompression: a success is then
    /// [`TransportErrorKind::TooLarge`]; an error may arrive with as much of its body as there was room for, because
    /// its status says what to do.
    fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> impl Future<Output = Result<http::Response<Bytes>, TransportError>> + Send;
}

impl<T: Transport> Transport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        (**self).send(request, max_body).await
    }
}

/// A request had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TransportError {
    kind: TransportErrorKind,
    #[source]
    cause: Option<BoxError>,
}

impl TransportError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// An error of this kind, and what led to it.
    pub fn because(kind: TransportErrorKind, cause: impl Into<BoxError>) -> Self {
        Self { kind, cause: Some(cause.into()) }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// There is no connection: nobody listens, or there is no way there.
    #[error("the manager cannot be reached")]
    Unreachable,
    /// Who listens is not the manager, or cannot prove it: its certificate is of somebody else, of an authority
    /// nobody named, or not valid at this time. The cause says which.
    #[error("who answers is not trusted to be the manager")]
    Untrusted,
    /// The manager ended the handshake: it does not take the certificate this device presented, or wants one.
    #[error("the manager does not take this device's certificate")]
    Refused,
    /// The whole answer did not arrive in time.
    #[error("the manager did not answer in time")]
    TimedOut,
    /// The connection ended before the answer did.
    #[error("the answer was cut short")]
    Interrupted,
    /// The answer passed the limit.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The most bytes there may be.
        limit: usize,
    },
    /// The answer is not in the coding it claims to be in.
    #[error("the answer cannot be decompressed")]
    Undecodable,
    /// The request cannot be sent at all.
    #[error("the request cannot be sent")]
    Unsendable,
}
