use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use margo_core::{Extensions, Interpretation, Level, SpecVersion, string_enum};
use margo_syntax::Limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ErrorResponse;
use crate::message::message;

const MEDIA_TYPE: &str = "application/problem+json";
const D: &[SpecVersion] = &[SpecVersion::V1_0_0Rc3];
/// The most bytes of an error that are looked at.
const MAX_ERROR: usize = 1 << 16;
const NAMESPACE: &str = "https://docs.margo.org/specification/problem-types";

/// What is wrong with a request, said to the caller ([RFC 9457], rev-D 3.7).
///
/// The body of every error response; sent for the pre-draft as well, which defines none (X-A-35). It never holds
/// the manager's internal causes.
///
/// ```
/// use margo_api::{Problem, ProblemType};
///
/// let problem = Problem::new(ProblemType::GatewayNotFound).with_detail("report `gateway-1` first");
/// assert_eq!(problem.status, 404);
/// ```
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem this is: what programs decide by (R-D-038).
    #[serde(rename = "type", default)]
    #[cfg_attr(feature = "schema", schemars(!default, required, schema_with = "crate::schema::problem_type"))]
    pub problem_type: ProblemType,
    /// The kind in words.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(required))]
    pub title: String,
    /// The HTTP status code; 0 when the peer left it out (X-D-17), which is not written.
    #[serde(default, skip_serializing_if = "is_left_out")]
    #[cfg_attr(
        feature = "schema",
        schemars(!default, !skip_serializing_if, required, range(min = 100, max = 599))
    )]
    pub status: u16,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Which occurrence this is: a URI reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "uri-reference")))]
    pub instance: Option<String>,
    /// Whether the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Advisory delay in seconds; the header `Retry-After` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// How to space retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_strategy: Option<BackoffStrategy>,
    /// Everything that is wrong with the body, for a semantic error (R-D-040).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of a vendor's own.
    #[serde(flatten)]
    pub extensions: Extensions,
}

message!(Problem, &[SpecVersion::V1_0_0Rc3], |value| {
    let is_problem = value.get("type").is_some() || value.get("status").is_some_and(Value::is_number);
    (is_problem && value.get("title").is_some())
        .then_some("`title` is there, and `type` or a number as `status`")
});

impl Problem {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] = &[
        Interpretation::new("X-D-17", Level::L2, D, "", |problem, _| {
            let missing = ["type", "title", "status"].into_iter().find(|name| problem.get(name).is_none())?;
            Some(format!("`{missing}` is missing"))
        }),
        Interpretation::new("X-D-16", Level::L1, D, "/type", |kind, _| {
            let kind = ProblemType::from(kind.as_str()?);
            let read = canonical(&kind)?;
            Some(format!("`{kind}` stands for `{read}`"))
        }),
        Interpretation::new("X-D-14", Level::L1, D, "/title", |title, problem| {
            let kind = ProblemType::from(problem.get("type")?.as_str()?);
            let registered = canonical(&kind).unwrap_or(kind);
            let is_own = registered.is_known()
                && registered != ProblemType::AboutBlank
                && !title.as_str()?.eq_ignore_ascii_case(registered.registered().1);
            is_own.then(|| "the title is not the registered one".to_owned())
        }),
        Interpretation::new("X-D-15", Level::L1, D, "/type", |kind, _| {
            let kind = ProblemType::from(kind.as_str()?);
            let is_ours = kind.as_str().starts_with(NAMESPACE);
            let is_known = kind.is_known() || canonical(&kind).is_some();
            (is_ours && !is_known).then(|| format!("`{kind}` is not registered"))
        }),
    ];

    /// The members that have a meaning in a problem.
    pub(crate) const MEMBERS: [&str; 9] = [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "retryable",
        "retryAfterSeconds",
        "backoffStrategy",
        "errors",
    ];

    /// A problem of a registered type, with its status, title and retry advice.
    #[must_use]
    pub fn new(problem_type: ProblemType) -> Self {
        let (status, title) = problem_type.registered();
        Self::of(problem_type, status, title)
    }

    /// A problem that the registry has no type for: `about:blank` and the status code's own meaning.
    #[must_use]
    pub fn about_blank(status: StatusCode) -> Self {
        Self::of(ProblemType::AboutBlank, status, status.canonical_reason().unwrap_or("Error"))
    }

    fn of(problem_type: ProblemType, status: StatusCode, title: &str) -> Self {
        let later = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::INTERNAL_SERVER_ERROR
        );
        let strategy = if later { BackoffStrategy::Exponential } else { BackoffStrategy::None };
        Self {
            problem_type,
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            instance: None,
            retryable: Some(later),
            retry_after_seconds: None,
            backoff_strategy: Some(strategy),
            errors: Vec::new(),
            extensions: Extensions::new(),
        }
    }

    /// Adds what happened this time.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds everything that is wrong with the body.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds when to come back, rounded up to whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retryable = Some(true);
        self.retry_after_seconds = Some(delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
        self
    }

    /// The response that carries this problem, with `Retry-After` where it says when to come back.
    #[must_use]
    pub fn to_http(&self) -> http::Response<Bytes> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The response that says this problem as `version` does: in rc.1 and rc.2 an [`ErrorResponse`], everywhere else the
    /// problem itself (X-A-35).
    #[must_use]
    pub fn to_http_as(&self, version: SpecVersion) -> http::Response<Bytes> {
        let mut response = self.to_http();
        if matches!(version, SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2) {
            *response.body_mut() = ErrorResponse::downgrade(self).value.to_json();
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        response
    }

    /// Reads the problem from an error response. A response without a readable problem becomes
    /// `about:blank` with its status (X-D-17): a misbehaving peer still yields information. The error of an older
    /// revision becomes `about:blank` with its words.
    #[must_use]
    pub fn from_http(response: &http::Response<Bytes>) -> Self {
        let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            value.to_str().is_ok_and(|value| value.trim_start().to_ascii_lowercase().starts_with(MEDIA_TYPE))
        });
        let read = if is_problem {
            serde_json::from_slice::<Self>(response.body()).ok()
        } else {
            let error =
                ErrorResponse::parse(response.body(), &Limits::default().with_max_bytes(MAX_ERROR)).ok();
            error.map(|error| error.upgrade(response.status()).value)
        };
        let mut problem = read.unwrap_or_else(|| Self::about_blank(response.status()));
        if problem.status == 0 {
            problem.status = response.status().as_u16();
        }
        problem
    }

    /// The type, with the older spelling `problem-types/…` read as `problem-types#…` (X-D-16).
    #[must_use]
    pub fn kind(&self) -> ProblemType {
        canonical(&self.problem_type).unwrap_or_else(|| self.problem_type.clone())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_left_out(status: &u16) -> bool {
    *status == 0
}

/// What `problem-types/…` stands for, if that is registered (X-D-16).
fn canonical(kind: &ProblemType) -> Option<ProblemType> {
    let fragment = kind.as_str().strip_prefix(NAMESPACE)?.strip_prefix('/')?;
    let kind = ProblemType::from(format!("{NAMESPACE}#{fragment}").as_str());
    kind.is_known().then_some(kind)
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for error in &self.errors {
            write!(f, "; {}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// One thing that is wrong with a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FieldError {
    /// Where it is: a path of member names such as `properties.cpus[0].cores`. Not written when empty: the body as a
    /// whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong there. Not written when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Members of a vendor's own.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl FieldError {
    /// `message` is wrong with `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), extensions: Extensions::new() }
    }
}

impl From<&margo_syntax::Fault> for FieldError {
    fn from(fault: &margo_syntax::Fault) -> Self {
        Self::new(field_path(fault.pointer()), fault.message())
    }
}

/// `/properties/cpus/0/cores` as the specification's examples write it: `properties.cpus[0].cores`.
fn field_path(pointer: &margo_syntax::Pointer) -> String {
    pointer.segments().fold(String::new(), |mut path, segment| {
        if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
            path.extend(["[", &segment, "]"]);
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&segment);
        }
        path
    })
}

string_enum! {
    /// The registered problem types (rev-D 3.7, R-D-037).
    pub enum ProblemType {
        /// 400: the body is not JSON, or not an object (X-D-36).
        InvalidRequest = "https://docs.margo.org/specification/problem-types#invalid-request",
        /// 422: the body can be read and does not make sense.
        SemanticError = "https://docs.margo.org/specification/problem-types#semantic-error",
        /// 403: this manager does not serve the client.
        NotAuthorized = "https://docs.margo.org/specification/problem-types#not-authorized",
        /// 404: a child device was reported before its gateway.
        GatewayNotFound = "https://docs.margo.org/specification/problem-types#gateway-not-found",
        /// 404: the client has no such device.
        DeviceNotFound = "https://docs.margo.org/specification/problem-types#device-not-found",
        /// 404: no bundle of this client has that digest.
        InvalidBundle = "https://docs.margo.org/specification/problem-types#invalid-bundle",
        /// 404: no deployment of this client has that id and digest.
        DeploymentNotFound = "https://docs.margo.org/specification/problem-types#deployment-not-found",
        /// 406: no supported media type is accepted.
        ServerCannotGenerateResponse = "https://docs.margo.org/specification/problem-types#server-cannot-generate-response",
        /// Nothing beyond the status code.
        AboutBlank = "about:blank",
    }
}

impl ProblemType {
    fn registered(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "Invalid Request"),
            Self::SemanticError => (StatusCode::UNPROCESSABLE_ENTITY, "Semantic Error"),
            Self::NotAuthorized => (StatusCode::FORBIDDEN, "Not Authorized"),
            Self::GatewayNotFound => (StatusCode::NOT_FOUND, "Gateway not found"),
            Self::DeviceNotFound => (StatusCode::NOT_FOUND, "Device Not Found"),
            Self::InvalidBundle => (StatusCode::NOT_FOUND, "Invalid Bundle"),
            Self::DeploymentNotFound => (StatusCode::NOT_FOUND, "Deployment Not Found"),
            Self::ServerCannotGenerateResponse => {
                (StatusCode::NOT_ACCEPTABLE, "Server Cannot Generate Response")
            }
            Self::AboutBlank | Self::Unrecognized(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Error"),
        }
    }
}

impl Default for ProblemType {
    /// What RFC 9457 says of a problem without a type.
    fn default() -> Self {
        Self::AboutBlank
    }
}

string_enum! {
    /// How to space retries.
    pub enum BackoffStrategy {
        /// Do not retry.
        None = "none",
        /// Retry after the delay, again and again.
        Fixed = "fixed",
        /// Retry after the delay, then after longer and longer ones.
        Exponential = "exponential",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_its_response() {
        let problem = Problem::new(ProblemType::SemanticError)
            .with_detail("1 member is wrong")
            .with_errors(vec![FieldError::new("properties.id", "must be there")]);
        let response = problem.to_http();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(Problem::from_http(&response), problem);
    }

    /// X-D-17: the page calls `status` optional.
    #[test]
    fn what_a_peer_leaves_out_comes_from_the_response() {
        let mut response = http::Response::new(Bytes::from(r#"{"title":"No","acme_code":7}"#));
        *response.status_mut() = StatusCode::CONFLICT;
        assert_eq!(Problem::from_http(&response), Problem::about_blank(StatusCode::CONFLICT));
        let problem_json = HeaderValue::from_static("application/problem+json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, problem_json);
        let problem = Problem::from_http(&response);
        assert_eq!((problem.status, problem.title.as_str()), (409, "No"));
        assert_eq!(problem.extensions.get("acme_code"), Some(&7.into()));
        let silent = Problem::parse(br#"{"title":"No"}"#, &Limits::default()).unwrap();
        assert_eq!(silent.to_json(), r#"{"type":"about:blank","title":"No"}"#);
    }

    /// X-D-16.
    #[test]
    fn both_spellings_of_a_type_mean_the_same() {
        let mut problem = Problem::about_blank(StatusCode::FORBIDDEN);
        problem.problem_type =
            ProblemType::from("https://docs.margo.org/specification/problem-types/not-authorized");
        assert_eq!(problem.kind(), ProblemType::NotAuthorized);
    }

    #[test]
    fn a_delay_is_rounded_up_and_said_twice() {
        let problem = Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE)
            .with_retry_after(Duration::from_millis(1500));
        assert_eq!(problem.to_http().headers()["retry-after"], "2");
        assert_eq!(problem.retry_after_seconds, Some(2));
    }

    #[test]
    fn a_pointer_becomes_a_field_path() {
        let fault = margo_syntax::Fault::new(margo_syntax::pointer!["properties", "cpus", 0, "cores"], "no");
        assert_eq!(FieldError::from(&fault).field, "properties.cpus[0].cores");
    }
}
