use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use margo_api::{AuthError, BoxError, Credentials};
use margo_identity::{BearerCredentials, TokenEndpointError, TokenRequest, TokenResponse};
use tokio::sync::Mutex;
use url::Url;

use crate::base::{Base, is_exposed};
use crate::failure::retry_after;
use crate::{SetupError, Transport};

/// The most bytes of an answer of a token endpoint.
const MAX_ANSWER: usize = 64 << 10;

/// The longest time before its end at which a token is replaced.
const MARGIN: Duration = Duration::from_mins(1);

/// The longest time that an endpoint is left alone.
const MAX_SILENCE: Duration = Duration::from_hours(1);

/// Bearer tokens from a token endpoint, for as long as each lasts (pre-draft, A6; R-A-011, R-A-012).
///
/// A token is asked for when the first request needs one, and again before it ends: a minute before, or a tenth of its
/// life if that is shorter. One that is refused all the same, as after the manager has revoked it, is replaced once and
/// the request made again. Requests that are made at the same time share one token, and one call for it. An endpoint that
/// wants to be left alone for a while (`Retry-After`) is, for at most an hour (R-D-038).
///
/// ```
/// use margo_client::{HttpOptions, HttpTransport, OAuthCredentials};
/// use margo_identity::TokenRequest;
///
/// let endpoint = "http://127.0.0.1:8080/oauth/token".parse()?; // handed over when the device was onboarded
/// let transport = HttpTransport::new(&HttpOptions::default())?;
/// let credentials = OAuthCredentials::new(transport, endpoint, TokenRequest::new("press-7", "s3cret"))?;
/// assert!(!format!("{credentials:?}").contains("s3cret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OAuthCredentials<T> {
    transport: T,
    endpoint: Uri,
    request: TokenRequest,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Until when the endpoint wants to be left alone.
    silent_until: Option<Instant>,
}

struct Held {
    bearer: BearerCredentials,
    /// What the header looks like, to know which token a refused request carried.
    authorization: HeaderValue,
    /// When to ask for another one; `None` when the endpoint did not say how long the token lasts.
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

impl<T> OAuthCredentials<T> {
    /// Tokens of this client, from this endpoint.
    ///
    /// # Errors
    ///
    /// [`SetupError::BaseUrl`] unless the endpoint is an `http` or `https` address without credentials, query and
    /// fragment, or if it is an `http` address of another host: the secret could be read on the way.
    pub fn new(transport: T, endpoint: Url, request: TokenRequest) -> Result<Self, SetupError> {
        let endpoint = Base::check(endpoint)?;
        if is_exposed(&endpoint) {
            return Err(SetupError::BaseUrl { reason: "it is not `https`, and a secret is sent to it" });
        }
        let endpoint = endpoint.as_str().parse();
        let endpoint = endpoint.map_err(|_| SetupError::BaseUrl { reason: "it is no URI" })?;
        Ok(Self { transport, endpoint, request, state: Mutex::default() })
    }
}

impl<T: Transport> OAuthCredentials<T> {
    async fn fetch(&self, silent_until: &mut Option<Instant>) -> Result<Held, AuthError> {
        let asked = Instant::now();
        if silent_until.is_some_and(|until| asked < until) {
            return Err(unavailable("the token endpoint wants to be left alone"));
        }
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.clone())
            .header(header::CONTENT_TYPE, TokenRequest::CONTENT_TYPE)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::from(self.request.to_form()))
            .map_err(unavailable)?;
        let answer = self.transport.send(request, MAX_ANSWER).await.map_err(unavailable)?;
        if !answer.status().is_success() {
            *silent_until = retry_after(answer.headers()).map(|delay| asked + delay.min(MAX_SILENCE));
            return Err(refusal(&answer));
        }
        let token: TokenResponse = margo_syntax::decode(
            answer.body(),
            margo_syntax::Format::Json,
            &margo_syntax::Limits::default().with_max_bytes(MAX_ANSWER),
        )
        // What cannot be read may hold a secret, so it is not shown.
        .map_err(|_| unavailable("the token endpoint's answer cannot be read"))?;
        if !token.is_bearer() {
            return Err(unavailable("the token endpoint gives no bearer token"));
        }
        let bearer = BearerCredentials::new(token.reveal_token()).map_err(unavailable)?;
        let authorization = authorization(&bearer).await?;
        let lasts = token.expires_in();
        tracing::debug!(seconds = lasts.map(|lasts| lasts.as_secs()), "received a token");
        Ok(Held {
            bearer,
            authorization,
            renew_at: lasts.and_then(|lasts| asked.checked_add(lasts.saturating_sub(MARGIN.min(lasts / 10)))),
            ends_at: lasts.and_then(|lasts| asked.checked_add(lasts)),
        })
    }
}

impl<T: Transport> Credentials for OAuthCredentials<T> {
    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), AuthError> {
        let State { held, silent_until } = &mut *self.state.lock().await;
        let now = Instant::now();
        let is_due = held.as_ref().is_none_or(|held| held.renew_at.is_some_and(|due| due <= now));
        if is_due {
            match self.fetch(silent_until).await {
                Ok(fresh) => *held = Some(fresh),
                // The endpoint may come back before the token ends.
                Err(error) => {
                    let lives = |held: &Held| held.ends_at.is_none_or(|end| now < end);
                    if !held.as_ref().is_some_and(lives) {
                        return Err(error);
                    }
                }
            }
        }
        match held.as_ref() {
            Some(held) => held.bearer.authorize(request).await,
            None => Err(AuthError::Unavailable),
        }
    }

    async fn renew(&self, refused: &http::Request<Bytes>) -> bool {
        let State { held, silent_until } = &mut *self.state.lock().await;
        let presented = refused.headers().get(header::AUTHORIZATION);
        if held.as_ref().is_some_and(|held| Some(&held.authorization) != presented) {
            return true; // somebody else has replaced it meanwhile
        }
        *held = self.fetch(silent_until).await.ok();
        held.is_some()
    }
}

impl<T> fmt::Debug for OAuthCredentials<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthCredentials")
            .field("endpoint", &self.endpoint)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// What presenting the token looks like.
async fn authorization(bearer: &BearerCredentials) -> Result<HeaderValue, AuthError> {
    let mut request = http::Request::new(Bytes::new());
    bearer.authorize(&mut request).await?;
    request.headers_mut().remove(header::AUTHORIZATION).ok_or(AuthError::Unavailable)
}

fn refusal(answer: &http::Response<Bytes>) -> AuthError {
    let status = answer.status();
    let error: Option<TokenEndpointError> =
        margo_syntax::decode(answer.body(), margo_syntax::Format::Json, &margo_syntax::Limits::default())
            .ok();
    tracing::warn!(
        status = status.as_u16(),
        reason = error.map(|error| error.to_string()),
        "the token endpoint gives no token"
    );
    let is_final = error == Some(TokenEndpointError::InvalidClient)
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_final { AuthError::Refused } else { AuthError::Unavailable }
}

fn unavailable(cause: impl Into<BoxError>) -> AuthError {
    tracing::warn!(error = cause.into(), "no token can be had");
    AuthError::Unavailable
}
