use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use margo_api::endpoint::{
    Endpoint, Incoming, Reply, get_discovery, get_root_certificate, get_trust_bundle, onboard, request_token,
};
use margo_api::{Onboarding, Problem, TokenIssuer, TrustSource};
use margo_core::SpecVersion;

use super::budget::Budget;
use super::rate_limit::{Address, RateLimit, address};
use super::refusal::{read_body_within, refuse_as};
use super::{RouterConfig, explain, guarded, no_such_method, path_params, respond};

/// The largest body that is read of somebody who is not known: 64 KiB.
const MAX_BODY: usize = 64 << 10;
/// How much of such bodies is held at once, in one router: 16 MiB.
const MAX_BODIES: usize = 16 << 20;
/// One address may hold this part of it.
const SHARE: usize = 16;

/// How devices of the pre-draft, 1.0.0-rc.1 and 1.0.0-rc.2 are taken on (A5, E1, E2): without a caller, because there is
/// none yet, and as often as `limit` allows.
///
/// Comes with [`guarded`] applied and without a fallback, as all of these; merge it with what is
/// [`authenticated`](crate::authenticated).
pub fn onboarding_router<O: Onboarding + 'static>(onboarding: Arc<O>, limit: &RateLimit) -> Router {
    let router = serve::<O, onboard::Request>(Router::new());
    finish(serve::<O, get_root_certificate::Request>(router), onboarding, Some(limit))
}

/// The token endpoint of the pre-draft (A6, R-A-011), as often as `limit` allows.
pub fn token_router<T: TokenIssuer + 'static>(tokens: Arc<T>, limit: &RateLimit) -> Router {
    finish(serve::<T, request_token::Request>(Router::new()), tokens, Some(limit))
}

/// The same messages at another `path`, such as for the tokens that open Git repositories: the pre-draft leaves open
/// how those are rotated (R-A-017).
pub fn token_router_at<T: TokenIssuer + 'static>(path: &str, tokens: Arc<T>, limit: &RateLimit) -> Router {
    let answer = |open: State<Open<T>>, params: Params, request: Request| {
        answer::<T, request_token::Request>(open.0, SpecVersion::PreDraft, params, request)
    };
    finish(Router::new().route(path, axum::routing::post(answer)), tokens, Some(limit))
}

/// What validates the identities of a trust domain (D7, D8): server TLS is all that protects it, because whoever asks
/// cannot validate more yet (R-D-014).
pub fn trust_router<T: TrustSource + 'static>(source: Arc<T>) -> Router {
    let router = serve::<T, get_discovery::Request>(Router::new());
    finish(serve::<T, get_trust_bundle::Request>(router), source, None)
}

/// An operation that anybody may ask for.
trait AskOpenly<T>: Endpoint {
    fn ask(self, of: &T) -> impl Future<Output = Result<Self::Response, Problem>> + Send;
}

impl<O: Onboarding> AskOpenly<O> for onboard::Request {
    async fn ask(self, onboarding: &O) -> Result<Self::Response, Problem> {
        onboarding.onboard(self).await.map_err(|error| explain(&error))
    }
}

impl<O: Onboarding> AskOpenly<O> for get_root_certificate::Request {
    async fn ask(self, onboarding: &O) -> Result<Self::Response, Problem> {
        let message = onboarding.root_certificate().await.map_err(|error| explain(&error))?;
        let der = message.certificate_der();
        let der = der.map_err(|fault| explain(&margo_api::ManagerError::internal(fault.to_string())))?;
        Ok(get_root_certificate::Response::new(&der))
    }
}

impl<T: TokenIssuer> AskOpenly<T> for request_token::Request {
    async fn ask(self, tokens: &T) -> Result<Self::Response, Problem> {
        tokens.issue_token(self).await.map_err(|error| error.problem())
    }
}

impl<T: TrustSource> AskOpenly<T> for get_discovery::Request {
    async fn ask(self, source: &T) -> Result<Self::Response, Problem> {
        let bytes = source.discovery().await.map_err(|error| explain(&error))?;
        Ok(get_discovery::Response::of(bytes, &self))
    }
}

impl<T: TrustSource> AskOpenly<T> for get_trust_bundle::Request {
    async fn ask(self, source: &T) -> Result<Self::Response, Problem> {
        let bytes = source.trust_bundle().await.map_err(|error| explain(&error))?;
        Ok(get_trust_bundle::Response::of(bytes, &self))
    }
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

/// Whoever answers, and what strangers may ask of them.
struct Open<T> {
    of: Arc<T>,
    limit: Option<RateLimit>,
    bodies: Arc<Budget<Address>>,
}

impl<T> Clone for Open<T> {
    fn clone(&self) -> Self {
        let (of, bodies) = (Arc::clone(&self.of), Arc::clone(&self.bodies));
        Self { of, limit: self.limit.clone(), bodies }
    }
}

fn finish<T: Send + Sync + 'static>(
    router: Router<Open<T>>,
    of: Arc<T>,
    limit: Option<&RateLimit>,
) -> Router {
    let open = Open { of, limit: limit.cloned(), bodies: Budget::new(MAX_BODIES, MAX_BODIES / SHARE) };
    guarded(router.method_not_allowed_fallback(no_such_method).with_state(open), &RouterConfig::default())
}

fn serve<T, E>(router: Router<Open<T>>) -> Router<Open<T>>
where
    T: Send + Sync + 'static,
    E: AskOpenly<T> + 'static,
    E::Response: 'static,
{
    E::ROUTES.iter().fold(router, |router, route| {
        let version = route.version;
        let method = MethodFilter::try_from(route.method.clone()).expect("operations use ordinary methods");
        let answer = move |open: State<Open<T>>, params: Params, request: Request| {
            answer::<T, E>(open.0, version, params, request)
        };
        router.route(route.path, on(method, answer))
    })
}

async fn answer<T, E: AskOpenly<T>>(
    open: Open<T>,
    version: SpecVersion,
    params: Params,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let answered: Result<E::Response, Problem> = async {
        let params = path_params(params)?;
        let sender = address(&parts.extensions);
        if let Some(limit) = &open.limit {
            limit.admit(sender)?;
        }
        let mut held = open.bodies.portion(sender);
        let body = read_body_within(body, MAX_BODY, &mut held).await?;
        E::from_http(Incoming::new(version, &params, &parts.headers, body))?.ask(&open.of).await
    }
    .await;
    match answered {
        Ok(reply) => respond(reply.to_http(version), false, &parts.headers),
        Err(problem) => refuse_as::<E>(problem, &path, version),
    }
}
