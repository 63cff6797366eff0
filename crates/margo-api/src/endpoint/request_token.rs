//! `POST` of the token endpoint (pre-draft: A6; OAuth 2.0 client credentials, RFC 6749, 4.4): a bearer token for an id
//! and a secret.
//!
//! The pre-draft leaves the address to the manager, who hands it over when a device is onboarded; ours is `/token`.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use margo_core::SpecVersion;
use margo_syntax::{Format, Limits};
use serde::{Deserialize, Serialize};

use super::{Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, path, request, success};
use crate::Problem;

const MAX_BYTES: usize = 8192;
const GRANT_TYPE: &str = "client_credentials";

/// What a device asks of the token endpoint (pre-draft, A6; RFC 6749, 4.4.2): a form.
///
/// ```
/// use margo_api::endpoint::request_token::Request;
///
/// let request = Request::new("plant-7", "s3cret&more");
/// assert_eq!(
///     request.to_form(),
///     "grant_type=client_credentials&client_id=plant-7&client_secret=s3cret%26more"
/// );
/// assert_eq!(Request::from_form(request.to_form().as_bytes())?, request);
/// assert!(!format!("{request:?}").contains("s3cret"));
/// # Ok::<(), margo_api::endpoint::request_token::TokenError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    client_id: String,
    client_secret: String,
}

impl Request {
    /// The media type of the form.
    pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

    /// Asks for a token for `client_id`.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    /// Who asks, as the form says: not checked in any way.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The secret itself: to compare its hash with the one stored.
    #[must_use]
    pub fn reveal_secret(&self) -> &str {
        &self.client_secret
    }

    /// The form.
    #[must_use]
    pub fn to_form(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", &self.client_secret)
            .finish()
    }

    /// Reads a form of at most 8192 bytes. Unknown fields are ignored (RFC 6749, 3.2).
    ///
    /// # Errors
    ///
    /// What the endpoint answers: [`TokenError::UnsupportedGrantType`] for another grant;
    /// [`TokenError::InvalidRequest`] when a field is missing, there twice, or there is too much.
    pub fn from_form(form: &[u8]) -> Result<Self, TokenError> {
        if form.len() > MAX_BYTES {
            return Err(TokenError::InvalidRequest);
        }
        let (mut grant_type, mut client_id, mut client_secret) = (None, None, None);
        for (name, value) in form_urlencoded::parse(form) {
            let field = match name.as_ref() {
                "grant_type" => &mut grant_type,
                "client_id" => &mut client_id,
                "client_secret" => &mut client_secret,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(TokenError::InvalidRequest);
            }
        }
        if grant_type.ok_or(TokenError::InvalidRequest)? != GRANT_TYPE {
            return Err(TokenError::UnsupportedGrantType);
        }
        match (client_id, client_secret) {
            (Some(client_id), Some(client_secret)) => Ok(Self { client_id, client_secret }),
            _ => Err(TokenError::InvalidRequest),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What the token endpoint answers: a token and how long it lasts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Response {
    /// The token.
    access_token: String,
    /// How it is presented: `Bearer`.
    token_type: String,
    /// How many seconds the token lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl Response {
    /// A bearer token that lasts for `expires_in`, in whole seconds.
    #[must_use]
    pub fn bearer(access_token: impl Into<String>, expires_in: Duration) -> Self {
        let expires_in = Some(expires_in.as_secs());
        Self { access_token: access_token.into(), token_type: "Bearer".into(), expires_in }
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal_token(&self) -> &str {
        &self.access_token
    }

    /// Whether the token is to be presented as `Authorization: Bearer`. Any case will do (RFC 6749, 5.1).
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.token_type.eq_ignore_ascii_case("bearer")
    }

    /// How long the token lasts from when it was issued. `None` when the endpoint does not say.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[Route::new(SpecVersion::PreDraft, Method::POST, "/token")];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let (method, path) = path::<Self>(dialect.into(), &[])?;
        let headers = [
            (header::CONTENT_TYPE, Self::CONTENT_TYPE.to_owned()),
            (header::ACCEPT, "application/json".to_owned()),
        ];
        request(method, &path, &headers, self.to_form().into())
    }

    /// # Errors
    ///
    /// `400` for what is no such form, whatever its media type is said to be.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        Self::from_form(&incoming.body).map_err(TokenError::problem)
    }

    /// As RFC 6749, 5.2 has it: `{"error": "invalid_client"}`; `temporarily_unavailable` for who asks too often or too
    /// early.
    fn refuse(problem: &Problem, version: SpecVersion) -> http::Response<Bytes> {
        let error = match problem.status {
            400 | 413 | 415 => {
                problem.extensions.get(ERROR).cloned().unwrap_or_else(|| "invalid_request".into())
            }
            401 | 403 => "invalid_client".into(),
            // RFC 6749 has this word for another endpoint; here it has none.
            429 | 503 => "temporarily_unavailable".into(),
            _ => return problem.to_http_as(version),
        };
        // With its `Retry-After`.
        let mut response = problem.to_http_as(version);
        *response.body_mut() = serde_json::json!({ "error": error }).to_string().into();
        *response.status_mut() = match problem.status {
            401 | 403 => StatusCode::UNAUTHORIZED,
            429 => StatusCode::TOO_MANY_REQUESTS,
            503 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        secret_json(response.headers_mut());
        response
    }
}

impl Reply for Response {
    fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
        // Texts and numbers can always be written as JSON.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = http::Response::new(Bytes::from(body));
        secret_json(response.headers_mut());
        response
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let body = success(response)?.into_body();
        let limits = Limits::default().with_max_bytes(MAX_BYTES);
        margo_syntax::decode(&body, Format::Json, &limits).map_err(ResponseError::Unreadable)
    }
}

/// JSON that no cache may keep (RFC 6749, 5.1).
fn secret_json(headers: &mut http::HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The member of a problem that holds the code of RFC 6749.
const ERROR: &str = "error";

/// Why the token endpoint gives no token (RFC 6749, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenError {
    /// 400: a field is missing or there twice.
    #[error("the token request cannot be read")]
    InvalidRequest,
    /// 401: nobody has that id and secret.
    #[error("the client is not known, or its secret is another")]
    InvalidClient,
    /// 400: not `client_credentials`.
    #[error("only the grant type `client_credentials` is supported")]
    UnsupportedGrantType,
}

impl TokenError {
    /// What the client is told.
    #[must_use]
    pub fn problem(self) -> Problem {
        let (status, code) = match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        };
        let mut problem = Problem::about_blank(status).with_detail(self.to_string());
        problem.extensions.insert(ERROR, code.into());
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A6.
    #[test]
    fn forms_are_read_as_they_are_sent() {
        let read = |form: &str| Request::from_form(form.as_bytes());
        let good = "client_id=a&x=y&grant_type=client_credentials&client_secret=b+c%2B";
        assert_eq!(read(good), Ok(Request::new("a", "b c+")));
        for wrong in [
            "",
            "grant_type=client_credentials&client_id=a",
            "grant_type=client_credentials&client_secret=a",
            "client_id=a&client_secret=b",
            "grant_type=client_credentials&client_id=a&client_id=b&client_secret=c",
        ] {
            assert_eq!(read(wrong), Err(TokenError::InvalidRequest), "{wrong}");
        }
        let password = "grant_type=password&client_id=a&client_secret=b";
        assert_eq!(read(password), Err(TokenError::UnsupportedGrantType));
        let large = format!("{good}&pad={}", "x".repeat(MAX_BYTES));
        assert_eq!(read(&large), Err(TokenError::InvalidRequest));
    }

    /// A6.
    #[test]
    fn answers_are_read_as_they_are_sent() {
        let response = Response::bearer("t0ken", Duration::from_hours(1));
        let json = serde_json::to_string(&response).unwrap();
        assert_eq!(json, r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#);
        assert_eq!(serde_json::from_str::<Response>(&json).unwrap(), response);
        assert!(!format!("{response:?}").contains("t0ken"));
        let other = r#"{"access_token":"t","token_type":"bearer","scope":"all"}"#;
        let other: Response = serde_json::from_str(other).unwrap();
        assert!(other.is_bearer());
        assert_eq!(other.expires_in(), None);
        let error = serde_json::to_string(&TokenError::InvalidClient).unwrap();
        assert_eq!(error, r#"{"error":"invalid_client"}"#);
    }

    /// A6.
    #[test]
    fn both_sides_agree() {
        let (version, params) = (SpecVersion::PreDraft, crate::endpoint::PathParams::default());
        let request = Request::new("plant-7", "s3cret");
        let http = request.to_http(version).unwrap();
        assert_eq!((http.method(), http.uri().path()), (&Method::POST, "/token"));
        let incoming = Incoming::new(version, &params, http.headers(), http.body().clone());
        assert_eq!(Request::from_http(incoming).unwrap(), request);

        let response = Response::bearer("t0ken", Duration::from_hours(1));
        let http = response.to_http(version);
        assert_eq!(http.headers()["cache-control"], "no-store");
        assert_eq!(Response::from_http(http), Ok(response));
        // What cannot be read is not repeated.
        let broken = http::Response::new(Bytes::from(r#"{"access_token":"t0ken"}"#));
        assert!(!format!("{:?}", Response::from_http(broken).unwrap_err()).contains("t0ken"));
    }

    /// RFC 6749, 5.2.
    #[test]
    fn refusals_have_the_codes_of_oauth() {
        let say = |problem: &Problem| {
            let http = Request::refuse(problem, SpecVersion::PreDraft);
            (http.status().as_u16(), String::from_utf8(http.body().to_vec()).unwrap())
        };
        for (error, status, code) in [
            (TokenError::InvalidRequest, 400, "invalid_request"),
            (TokenError::UnsupportedGrantType, 400, "unsupported_grant_type"),
            (TokenError::InvalidClient, 401, "invalid_client"),
        ] {
            assert_eq!(say(&error.problem()), (status, format!(r#"{{"error":"{code}"}}"#)));
        }
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            let later = Problem::about_blank(status).with_retry_after(Duration::from_secs(7));
            assert_eq!(say(&later), (status.as_u16(), r#"{"error":"temporarily_unavailable"}"#.to_owned()));
            let http = Request::refuse(&later, SpecVersion::PreDraft);
            assert_eq!(
                (&http.headers()["retry-after"], &http.headers()["cache-control"]),
                (&"7".parse().unwrap(), &"no-store".parse().unwrap())
            );
        }
        let error =
            Response::from_http(Request::refuse(&TokenError::InvalidClient.problem(), SpecVersion::PreDraft));
        let Err(ResponseError::Problem { problem, .. }) = error else { panic!("{error:?}") };
        assert_eq!((problem.status, problem.title.as_str()), (401, "invalid_client"));
    }
}
