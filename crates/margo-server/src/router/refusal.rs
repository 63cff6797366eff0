use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use margo_api::endpoint::Endpoint;
use margo_api::{AuthError, Problem, ProblemType};
use margo_core::SpecVersion;

use super::budget::Portion;

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

/// `401`, which the specification does not name because its connections are authenticated (X-D-34).
pub(crate) fn not_authenticated() -> Problem {
    AuthError::Missing.problem()
}

/// Reads a body to its end, or says what is wrong: `413` when it is larger than `limit`, if possible before a byte
/// of it is read.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    read(body, limit, |_| true).await
}

/// As [`read_body`], within what is left of a budget: `503` when it is too little.
pub(super) async fn read_body_within<K: Ord + Clone + Send>(
    body: Body,
    limit: usize,
    held: &mut Portion<K>,
) -> Result<Bytes, Problem> {
    read(body, limit, |bytes| held.take(bytes)).await
}

/// `413` for a body that says of itself that it is larger than `limit`.
pub(super) fn check_length(body: &Body, limit: usize) -> Result<(), Problem> {
    if body.size_hint().lower() > limit as u64 { Err(too_large(limit)) } else { Ok(()) }
}

async fn read(
    body: Body,
    limit: usize,
    mut may_hold: impl FnMut(usize) -> bool + Send,
) -> Result<Bytes, Problem> {
    check_length(&body, limit)?;
    let mut body = Limited::new(body, limit);
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&*error, limit))?;
        let Ok(data) = frame.into_data() else { continue };
        if !may_hold(data.len()) {
            tracing::warn!("a body is refused: too much is being received");
            return Err(Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail("too much is being received")
                .with_retry_after(Duration::from_secs(5)));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::about_blank(StatusCode::PAYLOAD_TOO_LARGE).with_detail(format!("a body may have {limit} bytes"))
}

fn unreadable(error: &(dyn std::error::Error + 'static), limit: usize) -> Problem {
    if error.is::<LengthLimitError>() {
        return too_large(limit);
    }
    #[cfg(feature = "listen")]
    if is_timeout(error) {
        return Problem::about_blank(StatusCode::REQUEST_TIMEOUT).with_detail("the body took too long");
    }
    tracing::debug!(error, "a body ended early");
    Problem::new(ProblemType::InvalidRequest).with_detail("the body ended early")
}

#[cfg(feature = "listen")]
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(<dyn std::error::Error>::is::<crate::listen::BodyTimeout>)
}
