//! One module per operation, shared by both sides ([spec]).
//!
//! Each operation is a pair of plain values. A request knows its routes through the revisions of the
//! specification, so a client can speak to an older manager without a branch in its code. `…` stands for `/api/v1`,
//! `{c}` for the client id that 1.0.0-rc.1 and 1.0.0-rc.2 have in their paths:
//!
//! | Operation | Pre-draft | 1.0.0-rc.1, 1.0.0-rc.2 | 1.0.0-rc.3 |
//! | --- | --- | --- | --- |
//! | [`get_root_certificate`] | `GET /onboarding/certificate` | `GET …/onboarding/certificate` | – (trust bundle) |
//! | [`onboard`] | – (no message is defined) | `POST …/onboarding` | – (SVIDs) |
//! | [`request_token`] | `POST /token`, or wherever the manager says | – | – |
//! | [`get_discovery`] | – | – | `GET /.well-known/margo` |
//! | [`get_trust_bundle`] | – | – | `GET /.well-known/spiffe/bundle.json`, or wherever discovery says |
//! | [`report_capabilities`] | `POST`, `PUT /device/{deviceId}/capabilities` | `POST`, `PUT …/clients/{c}/capabilities`, in rc.2 `…/{deviceId}` | `PUT …/capabilities/{deviceId}` |
//! | [`remove_device`] | – | in rc.2 `DELETE …/clients/{c}/capabilities/{deviceId}` | `DELETE …/capabilities/{deviceId}` |
//! | [`get_desired_state`] | – (Git) | `GET …/clients/{c}/deployments` | `GET …/deployments` |
//! | [`get_deployment`] | – (Git) | `GET …/clients/{c}/deployments/{deploymentId}/{digest}` | `GET …/deployments/{deploymentId}/{digest}` |
//! | [`get_bundle`] | – (Git) | `GET …/clients/{c}/bundles/{digest}` | `GET …/bundles/{digest}` |
//! | [`report_deployment_status`] | `POST /device/{deviceId}/deployment/{deploymentId}/status` | `POST …/clients/{c}/deployments/{deploymentId}/status` | `POST …/deployments/{deploymentId}/status` |
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
use margo_core::{ClientId, SpecVersion};
use margo_syntax::DecodeError;

use crate::{Caller, FieldError, Problem, ProblemType};

pub mod get_bundle;
pub mod get_deployment;
pub mod get_desired_state;
pub mod get_discovery;
pub mod get_root_certificate;
pub mod get_trust_bundle;
pub mod onboard;
pub mod remove_device;
pub mod report_capabilities;
pub mod report_deployment_status;
pub mod request_token;

mod negotiation;
mod tagged;

use tagged::tagged_json;

pub use negotiation::IfNoneMatch;

/// One operation of the management interface, as its request.
pub trait Endpoint: Sized + Send {
    /// Where the operation lives, in each revision that has it. The first route of a revision is the one
    /// clients use.
    const ROUTES: &'static [Route];

    /// What a manager answers.
    type Response: Reply;

    /// The request as the revision of `dialect` writes it: a path without scheme and host, and a complete body.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when that revision has no such operation, or no words for the body; and when it names the
    /// client in its paths and `dialect` does not say who that is.
    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError>;

    /// Reads a request that arrived on one of [`ROUTES`](Self::ROUTES).
    ///
    /// # Errors
    ///
    /// The problem to answer with.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem>;

    /// The response that says `problem` as `version` does.
    #[must_use]
    fn refuse(problem: &Problem, version: SpecVersion) -> http::Response<Bytes> {
        problem.to_http_as(version)
    }
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

/// Which revision to speak to a manager, and as whom.
///
/// A revision alone is one where it does not name the client in its paths.
///
/// ```
/// use margo_api::endpoint::{Dialect, Endpoint, get_desired_state};
/// use margo_core::{ClientId, SpecVersion};
///
/// let client: ClientId = "plant-7".parse()?;
/// let rc2 = Dialect::new(SpecVersion::V1_0_0Rc2).with_client(&client);
/// let http = get_desired_state::Request::new(None).to_http(rc2)?;
/// assert_eq!(http.uri(), "/api/v1/clients/plant-7/deployments");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect<'a> {
    /// The revision.
    pub version: SpecVersion,
    /// The client, as the manager called it when it was onboarded.
    pub client_id: Option<&'a ClientId>,
}

impl<'a> Dialect<'a> {
    /// Speaks `version`, as nobody in particular.
    #[must_use]
    pub fn new(version: SpecVersion) -> Self {
        Self { version, client_id: None }
    }

    /// Speaks as this client.
    #[must_use]
    pub fn with_client(mut self, client_id: &'a ClientId) -> Self {
        self.client_id = Some(client_id);
        self
    }
}

impl From<SpecVersion> for Dialect<'_> {
    fn from(version: SpecVersion) -> Self {
        Self::new(version)
    }
}

/// Where an operation lives in one revision, or in several that agree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The newest revision that has the route.
    pub version: SpecVersion,
    /// The oldest revision that has the route. Where it is another one than [`version`](Self::version), the body
    /// tells which a peer speaks, or nothing does.
    pub since: SpecVersion,
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces: `{name}` is one segment, `{*name}` all that remain.
    pub path: &'static str,
}

impl Route {
    const fn new(version: SpecVersion, method: Method, path: &'static str) -> Self {
        Self { version, since: version, method, path }
    }

    /// The same route since an older revision.
    const fn since(mut self, since: SpecVersion) -> Self {
        self.since = since;
        self
    }

    /// Whether `version` has the route.
    #[must_use]
    pub fn is_in(&self, version: SpecVersion) -> bool {
        (self.since..=self.version).contains(&version)
    }
}

/// The client that a path of 1.0.0-rc.1 or 1.0.0-rc.2 names, which nobody has authenticated yet: for who has to find
/// the key registered for it (R-B-012).
///
/// ```
/// use margo_api::endpoint::client_in_path;
///
/// let client = client_in_path("/api/v1/clients/plant-7/deployments").unwrap();
/// assert_eq!(client.as_str(), "plant-7");
/// assert_eq!(client_in_path("/api/v1/deployments"), None);
/// ```
#[must_use]
pub fn client_in_path(path: &str) -> Option<ClientId> {
    let (client, _) = path.strip_prefix("/api/v1/clients/")?.split_once('/')?;
    client.parse().ok()
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

    /// `404` when the path names another client than `caller`: whether there is such a client is nobody else's
    /// business (R-D-008).
    ///
    /// # Errors
    ///
    /// The problem to answer with.
    pub fn require_client(&self, caller: &Caller) -> Result<(), Problem> {
        match self.params.get("client_id") {
            Some(named) if named != caller.client_id.as_str() => {
                Err(Problem::about_blank(StatusCode::NOT_FOUND).with_detail("there is no such client"))
            }
            _ => Ok(()),
        }
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
    /// The parameter with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, FieldError> {
        let text = self.get(name).unwrap_or_default();
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

/// The path clients that speak `dialect` use, with its parameters filled in. Values are safe in a path already.
fn path<E: Endpoint>(dialect: Dialect<'_>, params: &[(&str, &str)]) -> Result<(Method, String), EncodeError> {
    path_with::<E>(dialect, |_| true, params)
}

/// As [`path`], for the first route that `wanted` takes.
fn path_with<E: Endpoint>(
    dialect: Dialect<'_>,
    wanted: impl Fn(&Route) -> bool,
    params: &[(&str, &str)],
) -> Result<(Method, String), EncodeError> {
    let Dialect { version, client_id } = dialect;
    let mut routes = E::ROUTES.iter().filter(|route| route.is_in(version));
    let first = routes.clone().next().ok_or(EncodeError::NoRoute { version })?;
    let route = routes.find(|route| wanted(route)).unwrap_or(first);
    let mut path = route.path.to_owned();
    if path.contains("{client_id}") {
        let client_id = client_id
            .ok_or_else(|| EncodeError::invalid(format!("{version} names the client in its paths")))?;
        path = path.replace("{client_id}", client_id.as_str());
    }
    let path = params.iter().fold(path, |path, (name, value)| {
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

/// How long content that is named by its digest may be kept: for ever, by whom each revision says (R-B-037, R-D-024,
/// X-D-47).
fn immutable(version: SpecVersion) -> &'static str {
    match version {
        SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2 => "public, max-age=31536000, immutable",
        _ => "private, max-age=31536000, immutable",
    }
}

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
