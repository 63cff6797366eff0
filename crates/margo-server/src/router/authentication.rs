use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::StatusCode;
use margo_api::{AuthError, Authenticator, Problem, ProblemType};
use margo_identity::PeerAddr;
use tokio::sync::Semaphore;

use super::refusal::{not_authenticated, read_body_within};
use super::{RouterConfig, guarded, refuse};

/// Asks `authenticator` who is calling before any route of `router` is reached, and tells the route.
///
/// `401` without credentials or with ones nobody has; `403` for a client that is not served, or credentials that may
/// not be used on this connection (R-D-007); `503` when that cannot be found out. Paths without a route stay `404`.
///
/// The connection's peer is handed on as [`PeerAddr`] where the router is served with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn authenticated<A: Authenticator + 'static>(router: Router, authenticator: Arc<A>) -> Router {
    authenticated_with(router, authenticator, &RouterConfig::default())
}

/// As [`authenticated`], with limits of one's own: an authenticator sees complete requests, so their bodies are
/// read here. What strangers can make it hold at once is [`RouterConfig::max_unauthenticated`]; beyond that a body is
/// answered `503`.
pub fn authenticated_with<A: Authenticator + 'static>(
    router: Router,
    authenticator: Arc<A>,
    config: &RouterConfig,
) -> Router {
    let budget = config.max_unauthenticated.max(config.max_body).min(Semaphore::MAX_PERMITS);
    let gate = Gate { authenticator, max_body: config.max_body, budget: Arc::new(Semaphore::new(budget)) };
    guarded(router.route_layer(middleware::from_fn_with_state(gate, authenticate)), config)
}

struct Gate<A> {
    authenticator: Arc<A>,
    max_body: usize,
    /// Bytes of bodies whose senders are not known yet.
    budget: Arc<Semaphore>,
}

impl<A> Clone for Gate<A> {
    fn clone(&self) -> Self {
        let (authenticator, budget) = (Arc::clone(&self.authenticator), Arc::clone(&self.budget));
        Self { authenticator, max_body: self.max_body, budget }
    }
}

async fn authenticate<A: Authenticator>(
    State(gate): State<Gate<A>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let (mut parts, body) = request.into_parts();
    let (body, held) = match read_body_within(body, gate.max_body, &gate.budget).await {
        Ok(body) => body,
        Err(problem) => return refuse(problem, &path),
    };
    if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied()
        && parts.extensions.get::<PeerAddr>().is_none()
    {
        parts.extensions.insert(PeerAddr::new(peer));
    }
    let request = http::Request::from_parts(parts, body);
    let authenticated = gate.authenticator.authenticate(&request).await;
    drop(held);
    match authenticated {
        Ok(caller) => {
            tracing::Span::current().record("client", caller.client_id.as_str());
            let mut request = request.map(Body::from);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            tracing::info!(%error, "not authenticated");
            refuse(explain(&error), &path)
        }
    }
}

fn explain(error: &AuthError) -> Problem {
    match error {
        AuthError::Missing => not_authenticated(),
        AuthError::Digest => Problem::new(ProblemType::InvalidRequest).with_detail(error.to_string()),
        AuthError::NotAccepted | AuthError::Forbidden { .. } => {
            Problem::new(ProblemType::NotAuthorized).with_detail(error.to_string())
        }
        AuthError::Unavailable => Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE)
            .with_detail(error.to_string())
            .with_retry_after(Duration::from_secs(5)),
        _ => Problem::about_blank(StatusCode::UNAUTHORIZED).with_detail(error.to_string()),
    }
}
