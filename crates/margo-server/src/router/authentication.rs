use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use margo_api::{AuthError, Authenticator, Problem};
use margo_core::ClientId;
use margo_identity::PeerAddr;

use super::budget::{Budget, Portion};
use super::rate_limit::peer;
use super::refusal::{check_length, read_body_within};
use super::{RouterConfig, guarded, refuse};

/// A client may hold this part of what all of them may.
const SHARE: usize = 16;

/// Asks `authenticator` who is calling before any route of `router` is reached, and tells the route.
///
/// `401` without credentials or with ones nobody has; `403` for a client that is not served, or credentials that may
/// not be used on this connection (R-D-007); `503` when that cannot be found out. Paths without a route stay `404`.
/// Whatever the head of a request decides is decided before a byte of its body is read or asked for
/// (`Expect: 100-continue`).
///
/// The connection's peer is handed on as [`PeerAddr`] where the router is served with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn authenticated<A: Authenticator + 'static>(router: Router, authenticator: Arc<A>) -> Router {
    authenticated_with(router, authenticator, &RouterConfig::default())
}

/// As [`authenticated`], with limits of one's own. What callers can make it hold at once is
/// [`RouterConfig::max_bodies`]; beyond that a body is answered `503`.
pub fn authenticated_with<A: Authenticator + 'static>(
    router: Router,
    authenticator: Arc<A>,
    config: &RouterConfig,
) -> Router {
    let max_body = config.max_body;
    let bodies = Budget::new(config.max_bodies.max(max_body), (config.max_bodies / SHARE).max(max_body));
    let gate = Gate { authenticator, max_body, bodies };
    guarded(router.route_layer(middleware::from_fn_with_state(gate, authenticate)), config)
}

struct Gate<A> {
    authenticator: Arc<A>,
    max_body: usize,
    bodies: Arc<Budget<ClientId>>,
}

impl<A> Clone for Gate<A> {
    fn clone(&self) -> Self {
        let (authenticator, bodies) = (Arc::clone(&self.authenticator), Arc::clone(&self.bodies));
        Self { authenticator, max_body: self.max_body, bodies }
    }
}

async fn authenticate<A: Authenticator>(
    State(gate): State<Gate<A>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let (mut head, body) = request.into_parts();
    match gate.admit(&mut head, body).await {
        Ok((body, portion)) => {
            let response = next.run(Request::from_parts(head, Body::from(body))).await;
            drop(portion); // the route is done with the body
            response
        }
        Err(problem) => refuse(problem, &path),
    }
}

impl<A: Authenticator> Gate<A> {
    /// The body of a caller, whom the head then names.
    async fn admit(&self, head: &mut Parts, body: Body) -> Result<(Bytes, Portion<ClientId>), Problem> {
        if let (Some(peer), None) = (peer(&head.extensions), head.extensions.get::<PeerAddr>()) {
            head.extensions.insert(PeerAddr::new(peer));
        }
        check_length(&body, self.max_body)?;
        let identified = self.authenticator.identify(head).await.map_err(|error| explain(&error))?;
        let mut portion = self.bodies.portion(identified.client_id().clone());
        let body = read_body_within(body, self.max_body, &mut portion).await?;
        let caller = identified.confirm(&body).map_err(|error| explain(&error))?;
        tracing::Span::current().record("client", caller.client_id.as_str());
        head.extensions.insert(caller);
        Ok((body, portion))
    }
}

fn explain(error: &AuthError) -> Problem {
    tracing::info!(%error, "not authenticated");
    error.problem()
}
