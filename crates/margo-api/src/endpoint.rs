//! One module per operation, shared by both sides ([spec]).
//!
//! Each operation is a pair of plain values. A request knows its routes through the revisions of the
//! specification, so a client can speak to an older manager without a branch in its code:
//!
//! | Operation | Pre-draft | 1.0.0-rc.3 |
//! | --- | --- | --- |
//! | [`report_capabilities`] | `POST` or `PUT /device/{deviceId}/capabilities` | `PUT /api/v1/capabilities/{deviceId}` |
//! | [`remove_device`] | – | `DELETE /api/v1/capabilities/{deviceId}` |
//! | [`get_desired_state`] | – (Git) | `GET /api/v1/deployments` |
//! | [`get_deployment`] | – (Git) | `GET /api/v1/deployments/{deploymentId}/{digest}` |
//! | [`get_bundle`] | – (Git) | `GET /api/v1/bundles/{digest}` |
//! | [`report_deployment_status`] | `POST /device/{deviceId}/deployment/{deploymentId}/status` | `POST /api/v1/deployments/{deploymentId}/status` |
//!
//! Requests and responses are `http` values with complete bodies; moving them, and limiting their size before
//! reading, is for whoever has a socket.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/margo-api-reference

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use margo_core::SpecVersion;
use margo_syntax::DecodeError;

use crate::{FieldError, Problem, ProblemType};

pub mod get_bundle;
pub mod get_deployment;
pub mod get_desired_state;
pub mod remove_device;
pub mod report_capabilities;
pub mod report_deployment_status;

mod negotiation;

pub use negotiation::IfNoneMatch;

/// One operation of the management interface, as its request.
pub trait Endpoint: Sized + Send {
    /// Where the operation lives, in each revision that has it. The first route of a revision is the one
    /// clients use.
    const ROUTES: &'static [Route];

    /// What a manager answers.
    type Response: Reply;

    /// The request as `version` writes it: a path without scheme and host, and a complete body.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when that revision has no such operation, or no words for the body.
    fn to_http(&self, version: SpecVersion) -> Result<http::Request<Bytes>, EncodeError>;

    /// Reads a request that arrived on one of [`ROUTES`](Self::ROUTES).
    ///
    /// # Errors
    ///
    /// The problem to answer with.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem>;
}

/// What a manager answers when it did what it was asked.
pub trait Reply: Sized + Send {
    /// The response as `version` writes it.
    fn to_http(&self, version: SpecVersion) -> http::Response<Bytes>;

    /// Reads a response. Any `2xx` is a success (X-A-34, X-B-28); success bodies that the specification does
    /// not define are ignored (X-D-46).
    ///
    /// # Errors
    ///
    /// [`ResponseError`] for every other status, and for content that cannot be read.
    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError>;
}

/// Where an operation lives in one revision.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The revision.
    pub version: SpecVersion,
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces: `{name}` is one segment, `{*name}` all that remain.
    pub path: &'static str,
}

impl Route {
    const fn new(version: SpecVersion, method: Method, path: &'static str) -> Self {
        Self { version, method, path }
    }
}

/// A request that arrived: everything but who sent it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming<'a> {
    /// The revision of the route it arrived on.
    pub version: SpecVersion,
    /// The parameters of the path, without percent-encoding.
    pub params: &'a PathParams,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The complete body.
    pub body: Bytes,
}

impl<'a> Incoming<'a> {
    /// A request that arrived on a route of `version`.
    #[must_use]
    pub fn new(version: SpecVersion, params: &'a PathParams, headers: &'a HeaderMap, body: Bytes) -> Self {
        Self { version, params, headers, body }
    }

    /// `415` unless the body is JSON, or nothing is said about it (X-D-34).
    fn require_json(&self) -> Result<(), Problem> {
        let Some(content_type) = self.headers.get(header::CONTENT_TYPE) else { return Ok(()) };
        let essence = content_type.to_str().ok().and_then(|value| value.split(';').next()).map(str::trim);
        match essence {
            Some(essence)
                if essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json") =>
            {
                Ok(())
            }
            _ => Err(Problem::about_blank(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the body must be `application/json`")),
        }
    }
}

/// The parameters of a path, by name, without percent-encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathParams(BTreeMap<String, String>);

impl PathParams {
    fn parse<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, FieldError> {
        let text = self.0.get(name).map_or("", String::as_str);
        text.parse().map_err(|error: T::Err| FieldError::new(name, error.to_string()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for PathParams {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(params: I) -> Self {
        Self(params.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A request cannot be written for a revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The revision has no such operation.
    #[error("{version} has no such operation")]
    NoRoute {
        /// The revision.
        version: SpecVersion,
    },
    /// The revision has no words for the body.
    #[error(transparent)]
    Unsayable(#[from] margo_core::DowngradeError),
    /// The values do not make a request, such as an id that is no URI.
    #[error("not a request: {reason}")]
    Invalid {
        /// Why not.
        reason: String,
    },
}

impl EncodeError {
    fn invalid(error: impl std::fmt::Display) -> Self {
        Self::Invalid { reason: error.to_string() }
    }
}

/// A manager did not do what it was asked, or its answer cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The manager said what is wrong.
    #[error("{problem}")]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// How long it asks to be left alone: `Retry-After`, else the advice in the body (R-D-038).
        retry_after: Option<Duration>,
    },
    /// The answer is a success with content that cannot be read.
    #[error("the response cannot be read")]
    Unreadable(#[source] DecodeError),
    /// The answer is neither a success nor an error.
    #[error("unexpected status {status}")]
    Unexpected {
        /// The status.
        status: StatusCode,
    },
}

impl ResponseError {
    /// The status a decision can be made by; the one in the response, not the one in the body.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Problem { problem, .. } => StatusCode::from_u16(problem.status).ok(),
            Self::Unreadable(_) => None,
            Self::Unexpected { status } => Some(*status),
        }
    }
}

/// Returns the response if it is a success, else what is wrong.
fn success(response: http::Response<Bytes>) -> Result<http::Response<Bytes>, ResponseError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_client_error() || status.is_server_error() {
        let mut problem = Problem::from_http(&response);
        // The status line is what the transport saw; a body may claim anything.
        problem.status = status.as_u16();
        let header = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = header.and_then(|value| value.trim().parse().ok()).or(problem.retry_after_seconds);
        return Err(ResponseError::Problem {
            problem: Box::new(problem),
            retry_after: seconds.map(Duration::from_secs),
        });
    }
    Err(ResponseError::Unexpected { status })
}

/// The path clients of `version` use, with its parameters filled in. Values are safe in a path already.
fn path<E: Endpoint>(version: SpecVersion, params: &[(&str, &str)]) -> Result<(Method, String), EncodeError> {
    let route =
        E::ROUTES.iter().find(|route| route.version == version).ok_or(EncodeError::NoRoute { version })?;
    let path = params.iter().fold(route.path.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), value).replace(&format!("{{*{name}}}"), value)
    });
    Ok((route.method.clone(), path))
}

fn request(
    method: Method,
    path: &str,
    headers: &[(http::HeaderName, String)],
    body: Bytes,
) -> Result<http::Request<Bytes>, EncodeError> {
    let mut builder = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(EncodeError::invalid)
}

fn json_headers() -> Vec<(http::HeaderName, String)> {
    vec![(header::CONTENT_TYPE, "application/json".to_owned())]
}

/// An empty response.
fn empty(status: StatusCode) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A response with content, its strong `ETag` and how it may be cached.
fn content(
    media_type: &'static str,
    digest: margo_core::Digest,
    cache_control: &'static str,
    body: Bytes,
) -> http::Response<Bytes> {
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    insert_etag(headers, digest);
    response
}

/// `304` with the validators of the content it stands for.
fn not_modified(digest: margo_core::Digest, cache_control: &'static str) -> http::Response<Bytes> {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    insert_etag(headers, digest);
    response
}

fn insert_etag(headers: &mut HeaderMap, digest: margo_core::Digest) {
    // A digest in quotes is always a header value.
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(header::ETAG, etag);
    }
}

/// How long content that is named by its digest may be kept (R-D-024).
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// `400` for a body that is not JSON or no object, else `422` with the fault (X-D-36, R-D-040).
fn body_problem(error: &DecodeError) -> Problem {
    if error.is_malformed() {
        return Problem::new(ProblemType::InvalidRequest).with_detail(error.to_string());
    }
    let fault = margo_syntax::Fault::new(error.pointer().clone(), error.message());
    semantic(vec![FieldError::from(&fault)])
}

/// `422` with every fault.
fn semantic(errors: Vec<FieldError>) -> Problem {
    let count = errors.len();
    let detail =
        if count == 1 { "1 member is wrong".to_owned() } else { format!("{count} members are wrong") };
    Problem::new(ProblemType::SemanticError).with_detail(detail).with_errors(errors)
}
