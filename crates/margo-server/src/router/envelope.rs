use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, StatusCode, header, header::HeaderName};
use margo_api::Problem;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{RouterConfig, method_not_allowed, refuse};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 128;

/// Puts every route of `router` into an envelope: a request id, a tracing span, metrics, a time limit, and a `500`
/// where a handler panics.
///
/// The id is the one the client sent in `x-request-id`, if it is short and plain, else a new one; the response
/// carries it. Metrics are `margo_http_requests_total` (`method`, `route`, `status`),
/// `margo_http_request_duration_seconds` (`method`, `route`) and `margo_http_requests_in_flight`.
///
/// A request that is in an envelope already is passed on, so whoever merges routers may apply this to all of them.
pub fn guarded(router: Router, config: &RouterConfig) -> Router {
    router.layer(middleware::from_fn_with_state(config.timeout, envelope))
}

async fn envelope(State(limit): State<Duration>, mut request: Request, next: Next) -> Response {
    if request.extensions().get::<Enveloped>().is_some() {
        return next.run(request).await;
    }
    request.extensions_mut().insert(Enveloped);
    let id = request_id(&request);
    let path = request.uri().path().to_owned();
    let method = known_method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method,
        path,
        client = tracing::field::Empty
    );

    let request_method = request.method().clone();
    let started = Instant::now();
    let _in_flight = InFlight::start();
    let guarded = tokio::time::timeout(limit, AssertUnwindSafe(next.run(request)).catch_unwind());
    let mut response = async {
        let response = match guarded.await {
            Ok(Ok(response)) => explained(response, &request_method, &path),
            Ok(Err(panic)) => {
                tracing::error!(panic = panic_message(&*panic), "a handler panicked");
                refuse(Problem::about_blank(StatusCode::INTERNAL_SERVER_ERROR), &path)
            }
            Err(_) => {
                tracing::warn!(limit_seconds = limit.as_secs_f64(), "a handler took too long");
                let problem = Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE)
                    .with_detail("the answer took too long")
                    .with_retry_after(Duration::from_secs(5));
                refuse(problem, &path)
            }
        };
        let elapsed = started.elapsed().as_secs_f64();
        tracing::info!(status = response.status().as_u16(), elapsed_seconds = elapsed, "answered");
        metrics::histogram!("margo_http_request_duration_seconds", "method" => method, "route" => route.clone())
            .record(elapsed);
        response
    }
    .instrument(span)
    .await;

    let status = response.status().as_str().to_owned();
    metrics::counter!("margo_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A router that says nothing of methods answers a `405` without a body.
fn explained(response: Response, method: &Method, path: &str) -> Response {
    let is_bare = response.status() == StatusCode::METHOD_NOT_ALLOWED
        && !response.headers().contains_key(header::CONTENT_TYPE);
    if !is_bare {
        return response;
    }
    let mut explained = refuse(method_not_allowed(method), path);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        explained.headers_mut().insert(header::ALLOW, allow.clone());
    }
    explained
}

/// The request is in an envelope.
#[derive(Clone, Copy)]
struct Enveloped;

/// Counts a request for as long as somebody waits for its answer.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn start() -> Self {
        let gauge = metrics::gauge!("margo_http_requests_in_flight");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// The client's own id, unless it could disturb a log.
fn request_id(request: &Request) -> HeaderValue {
    let sent = request.headers().get(REQUEST_ID).filter(|value| {
        (1..=LONGEST_REQUEST_ID).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    sent.cloned().unwrap_or_else(|| {
        let id = Uuid::new_v4().to_string();
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// A method may be any word, and a metric must not grow with what strangers say.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}
