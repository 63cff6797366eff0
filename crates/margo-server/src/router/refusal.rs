use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use margo_api::{Problem, ProblemType};

/// The response that carries a problem about `path`.
pub(crate) fn refuse(mut problem: Problem, path: &str) -> Response {
    problem.instance = Some(path.to_owned());
    let mut response = problem.to_http().map(Body::from);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
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
        Err(error) => {
            tracing::debug!(error, "a body ended early");
            Err(Problem::new(ProblemType::InvalidRequest).with_detail("the body ended early"))
        }
    }
}
