use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use margo_core::{ClientId, SpecVersion};

use crate::{Problem, ProblemType};

/// Who is calling, as the transport has authenticated it (R-D-004).
///
/// Everything a caller may see or change is scoped to it (R-D-008).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The client.
    pub client_id: ClientId,
    /// The revision of the route it called by, or the newest that has that route: what a manager answers in. The newest
    /// revision unless said otherwise.
    pub revision: SpecVersion,
}

impl Caller {
    /// An authenticated client. Only a transport, or a test, has reason to make one.
    #[must_use]
    pub fn new(client_id: ClientId) -> Self {
        Self { client_id, revision: SpecVersion::LATEST }
    }

    /// The same client, calling by a route of `revision`. Whoever knows the route says so.
    #[must_use]
    pub fn with_revision(mut self, revision: SpecVersion) -> Self {
        self.revision = revision;
        self
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

    /// Told that `refused`, with the proof in it, was answered with 401. Returns whether there is another proof now,
    /// with which the request may be made once more.
    ///
    /// There is none, unless implemented: what was refused once is refused again.
    fn renew(&self, refused: &http::Request<Bytes>) -> impl Future<Output = bool> + Send {
        let _ = refused;
        std::future::ready(false)
    }
}

/// What a manager learns from a request: who is calling.
///
/// In two steps, because what a stranger sends is not worth reading: the head says who calls, and the body, once it is
/// here, whether it is theirs.
///
/// ```
/// use margo_api::{AuthError, Authenticator, Caller, Identified};
///
/// /// Believes a header: for a laboratory.
/// struct Named;
///
/// impl Authenticator for Named {
///     async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
///         let name = head.headers.get("x-client").ok_or(AuthError::Missing)?;
///         let name = name.to_str().ok().and_then(|name| name.parse().ok());
///         name.map(Caller::new).map(Identified::new).ok_or(AuthError::Refused)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (head, body) = http::Request::get("/").header("x-client", "plant-7").body("its body")?.into_parts();
/// let identified = Named.identify(&head).await?;
/// // Only now is a body read.
/// assert_eq!(identified.confirm(body.as_bytes())?.client_id.as_str(), "plant-7");
/// # Ok(())
/// # }
/// ```
pub trait Authenticator: Send + Sync {
    /// The caller, as far as the head of a request proves it. The body is read after this, and only if there is a
    /// caller.
    ///
    /// Schemes that authenticate the connection find its peer in the request's extensions.
    ///
    /// # Errors
    ///
    /// [`AuthError::Missing`] and [`AuthError::Refused`] say nothing about which part of the proof was wrong.
    fn identify(&self, head: &Parts) -> impl Future<Output = Result<Identified, AuthError>> + Send;

    /// The caller of a complete request, both steps in one: for who has the body already.
    ///
    /// # Errors
    ///
    /// Those of [`identify`](Self::identify) and of [`Identified::confirm`].
    fn authenticate(
        &self,
        request: &http::Request<Bytes>,
    ) -> impl Future<Output = Result<Caller, AuthError>> + Send {
        let (head, body) = request.clone().into_parts();
        async move { self.identify(&head).await?.confirm(&body) }
    }
}

/// A caller whose body is still to come.
#[must_use = "nobody is a caller before the body is confirmed"]
pub struct Identified {
    caller: Caller,
    check: Option<BodyCheck>,
}

type BodyCheck = Box<dyn FnOnce(&[u8]) -> Result<(), AuthError> + Send>;

impl Identified {
    /// A caller that the head alone proves: any body is theirs.
    pub fn new(caller: Caller) -> Self {
        Self { caller, check: None }
    }

    /// The same, if `check` finds the body to be theirs.
    pub fn with_check(mut self, check: impl FnOnce(&[u8]) -> Result<(), AuthError> + Send + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// Who is said to be calling: enough to decide whether their body is read.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.caller.client_id
    }

    /// The caller, whose body this is.
    ///
    /// # Errors
    ///
    /// [`AuthError::Digest`] or [`AuthError::Refused`] when it is not.
    pub fn confirm(self, body: &[u8]) -> Result<Caller, AuthError> {
        if let Some(check) = self.check {
            check(body)?;
        }
        Ok(self.caller)
    }
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_check = self.check.is_some();
        f.debug_struct("Identified").field("caller", &self.caller).field("has_check", &has_check).finish()
    }
}

/// Why a caller is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request carries no proof of the expected kind.
    #[error("the request carries no credentials")]
    Missing,
    /// The body has no `Content-Digest`, or another body's: 400 in rc.1 and rc.2.
    #[error("the body's digest is missing or wrong")]
    Digest,
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

impl AuthError {
    /// What the client is told. In rc.3 a connection without an identity is closed, so that there is no 401 (X-D-34).
    #[must_use]
    pub fn problem(&self) -> Problem {
        let problem = match self {
            Self::NotAccepted | Self::Forbidden { .. } => Problem::new(ProblemType::NotAuthorized),
            Self::Digest => Problem::new(ProblemType::InvalidRequest),
            Self::Unavailable => {
                Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(Duration::from_secs(5))
            }
            Self::Missing | Self::Refused => Problem::about_blank(StatusCode::UNAUTHORIZED),
        };
        problem.with_detail(self.to_string())
    }
}
