use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use margo_api::endpoint::Endpoint;
use margo_api::{Problem, ProblemType};
use margo_core::SpecVersion;

/// The response that carries a problem about `path`, in the words of the revision that has such paths.
pub(crate) fn refuse(mut problem: Problem, path: &str) -> Response {
    let revision = revision_of(path);
    problem.instance = Some(path.to_owned());
    finish(problem.to_http_as(revision), revision)
}

/// As [`refuse`], in the words of an operation of its own.
pub(super) fn refuse_as<E: Endpoint>(mut problem: Problem, path: &str, revision: SpecVersion) -> Response {
    problem.instance = Some(path.to_owned());
    finish(E::refuse(&problem, revision), revision)
}

fn finish(response: http::Response<Bytes>, revision: SpecVersion) -> Response {
    let mut response = response.map(Body::from);
    // A signature is nothing that RFC 9110 has a scheme for.
    if response.status() == StatusCode::UNAUTHORIZED && revision != SpecVersion::V1_0_0Rc2 {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Which revision has paths like this one; 1.0.0-rc.2 stands for 1.0.0-rc.1 as well, whose paths it has.
pub(super) fn revision_of(path: &str) -> SpecVersion {
    let is_below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_below("/device") || is_below("/onboarding") || is_below("/token") {
        SpecVersion::PreDraft
    } else if is_below("/api/v1/clients") || is_below("/api/v1/onboarding") {
        SpecVersion::V1_0_0Rc2
    } else {
        SpecVersion::LATEST
    }
}

/// `401`, which the specification does not name because its connections are authenticated (X-D-34): for
/// development tokens.
pub(crate) fn not_authenticated() -> Problem {
    Problem::about_blank(StatusCode::UNAUTHORIZED).with_detail("the request carries no credentials")
}

/// Reads a body to its end, or says what is wrong: `413` when it is larger than `limit`, if possible before a byte
/// of it is read.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::about_blank(StatusCode::PAYLOAD_TOO_LARGE)
            .with_detail(format!("a body may have {limit} bytes"))
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        #[cfg(feature = "listen")]
        Err(error) if is_timeout(&*error) => {
            Err(Problem::about_blank(StatusCode::REQUEST_TIMEOUT).with_detail("the body took too long"))
        }
        Err(error) => {
            tracing::debug!(error, "a body ended early");
            Err(Problem::new(ProblemType::InvalidRequest).with_detail("the body ended early"))
        }
    }
}

#[cfg(feature = "listen")]
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(<dyn std::error::Error>::is::<crate::listen::BodyTimeout>)
}
