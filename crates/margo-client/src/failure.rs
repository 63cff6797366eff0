use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use margo_api::endpoint::{EncodeError, ResponseError};
use margo_api::{
    AuthError, BoxError, Problem, ProblemType, SinkError, SinkErrorKind, SourceError, SourceErrorKind,
};

use crate::base::ForeignUrl;
use crate::{TransportError, TransportErrorKind};

/// Why an exchange with the manager did not succeed, before it is known which role asked.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    retry_after: Option<Duration>,
    cause: BoxError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// It may work later.
    Unavailable,
    /// Somebody has to act first.
    Unauthorized,
    /// The manager has no such thing.
    NotFound,
    /// Nothing is there, says somebody who does not speak as a manager does: a proxy whose manager is away, say.
    NobodyThere,
    /// The manager read the request and refused it.
    Rejected,
    /// The answer is none that a manager gives.
    Unreadable,
    /// The peer's revision has no such operation, or no words for the content.
    Unsayable,
}

impl Failure {
    fn new(kind: FailureKind, cause: impl Into<BoxError>) -> Self {
        Self { kind, retry_after: None, cause: cause.into() }
    }

    /// The answer is one that this request cannot have.
    pub(crate) fn unexpected(status: StatusCode) -> Self {
        Self::new(FailureKind::Unreadable, ResponseError::Unexpected { status })
    }

    /// `headers` are those of the response.
    pub(crate) fn response(error: ResponseError, headers: &HeaderMap) -> Self {
        let advised = match &error {
            ResponseError::Problem { retry_after, .. } => *retry_after,
            _ => None,
        };
        let kind = match &error {
            ResponseError::Problem { problem, .. } => match problem_kind(problem) {
                FailureKind::NotFound if !is_json(headers) => FailureKind::NobodyThere,
                kind => kind,
            },
            _ => FailureKind::Unreadable,
        };
        Self { retry_after: retry_after(headers).or(advised), ..Self::new(kind, error) }
    }
}

/// R-D-038: the type decides where it says something, then the status. A status that promises another outcome later
/// is believed first: proxies answer for a manager that is away, and dropping a report cannot be undone.
fn problem_kind(problem: &Problem) -> FailureKind {
    match problem.status {
        408 | 425 | 429 | 500.. => return FailureKind::Unavailable,
        401 | 403 | 407 => return FailureKind::Unauthorized,
        _ => {}
    }
    match problem.kind() {
        ProblemType::NotAuthorized => FailureKind::Unauthorized,
        ProblemType::GatewayNotFound
        | ProblemType::DeviceNotFound
        | ProblemType::InvalidBundle
        | ProblemType::DeploymentNotFound => FailureKind::NotFound,
        ProblemType::InvalidRequest
        | ProblemType::SemanticError
        | ProblemType::ServerCannotGenerateResponse => FailureKind::Rejected,
        _ if problem.retryable == Some(true) => FailureKind::Unavailable,
        _ if matches!(problem.status, 404 | 410) => FailureKind::NotFound,
        _ => FailureKind::Rejected,
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::new(FailureKind::Unsayable, error)
    }
}

impl From<ForeignUrl> for Failure {
    fn from(error: ForeignUrl) -> Self {
        Self::new(FailureKind::Unreadable, error)
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        let kind = match error {
            AuthError::Unavailable => FailureKind::Unavailable,
            _ => FailureKind::Unauthorized,
        };
        Self::new(kind, error)
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let kind = match error.kind() {
            TransportErrorKind::TooLarge { .. } | TransportErrorKind::Undecodable => FailureKind::Unreadable,
            TransportErrorKind::Unsendable => FailureKind::Rejected,
            TransportErrorKind::Refused => FailureKind::Unauthorized,
            _ => FailureKind::Unavailable,
        };
        Self::new(kind, error)
    }
}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Unavailable => SourceErrorKind::Unavailable,
            FailureKind::Unauthorized => SourceErrorKind::Unauthorized,
            FailureKind::NotFound | FailureKind::NobodyThere | FailureKind::Unsayable => {
                SourceErrorKind::NotFound
            }
            FailureKind::Rejected | FailureKind::Unreadable => SourceErrorKind::Corrupt,
        };
        Self::because(kind, failure.cause).with_retry_after(failure.retry_after)
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            // Whoever gave an unreadable answer, a captive portal perhaps, has not recorded the report.
            FailureKind::Unavailable | FailureKind::Unreadable | FailureKind::NobodyThere => {
                SinkErrorKind::Unavailable
            }
            FailureKind::Unauthorized => SinkErrorKind::Unauthorized,
            FailureKind::NotFound | FailureKind::Rejected => SinkErrorKind::Rejected,
            FailureKind::Unsayable => SinkErrorKind::Unsayable,
        };
        Self::because(kind, failure.cause).with_retry_after(failure.retry_after)
    }
}

/// Whether an error says what it is about: a problem, or an older revision's error object.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence =
        value.and_then(|value| value.split(';').next()).map(|value| value.trim().to_ascii_lowercase());
    essence.is_some_and(|essence| essence == "application/json" || essence.ends_with("+json"))
}

/// How long the headers of a response ask to be left alone (RFC 9110, 10.2.3).
///
/// A date counts from the response's own `Date`: a device's clock may be anywhere. One without the other says
/// nothing.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let value: &str = text(header::RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More seconds than can be counted are still a wish to be left alone.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(retry_after: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_str(date).unwrap());
        }
        headers
    }

    /// R-D-038.
    #[test]
    fn a_delay_is_read_in_both_forms() {
        const NOW: Option<&str> = Some("Sun, 22 Nov 2026 12:00:00 GMT");
        let read = |value, date| retry_after(&headers(value, date)).map(|delay| delay.as_secs());
        assert_eq!(read("120", None), Some(120));
        assert_eq!(read(" 0 ", None), Some(0));
        assert_eq!(read("99999999999999999999999", None), Some(u64::MAX));
        assert_eq!(read("Sun, 22 Nov 2026 12:02:00 GMT", NOW), Some(120));
        assert_eq!(read("Sunday, 22-Nov-26 12:02:00 GMT", NOW), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 11:00:00 GMT", NOW), Some(0), "already past");
        assert_eq!(read("Sun, 22 Nov 2026 12:02:00 GMT", None), None);
        for nonsense in ["", "-1", "1.5", "soon", "+5"] {
            assert_eq!(read(nonsense, NOW), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn any_delay_is_read_without_panic(value in "[ -~]{0,40}", date in proptest::option::of("[ -~]{0,40}")) {
            retry_after(&headers(&value, date.as_deref()));
        }
    }
}
