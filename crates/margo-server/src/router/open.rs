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

use super::refusal::refuse_as;
use super::{RouterConfig, explain, guarded, no_such_method, path_params, read_body, respond};

/// The largest body that is read of somebody who is not known: 64 KiB.
const MAX_BODY: usize = 64 << 10;

/// How devices of the pre-draft, 1.0.0-rc.1 and 1.0.0-rc.2 are taken on (A5, E1, E2): without a caller, because there is
/// none yet.
///
/// Comes with [`guarded`] applied and without a fallback, as all of these; merge it with what is
/// [`authenticated`](crate::authenticated).
pub fn onboarding_router<O: Onboarding + 'static>(onboarding: Arc<O>) -> Router {
    let router = serve::<O, onboard::Request>(Router::new());
    finish(serve::<O, get_root_certificate::Request>(router), onboarding)
}

/// The token endpoint of the pre-draft (A6, R-A-011).
pub fn token_router<T: TokenIssuer + 'static>(tokens: Arc<T>) -> Router {
    finish(serve::<T, request_token::Request>(Router::new()), tokens)
}

/// The same messages at another `path`, such as for the tokens that open Git repositories: the pre-draft leaves open
/// how those are rotated (R-A-017).
pub fn token_router_at<T: TokenIssuer + 'static>(path: &str, tokens: Arc<T>) -> Router {
    let answer = |issuer: State<Arc<T>>, params: Params, request: Request| {
        answer::<T, request_token::Request>(issuer.0, SpecVersion::PreDraft, params, request)
    };
    finish(Router::new().route(path, axum::routing::post(answer)), tokens)
}

/// What validates the identities of a trust domain (D7, D8): server TLS is all that protects it, because whoever asks
/// cannot validate more yet (R-D-014).
pub fn trust_router<T: TrustSource + 'static>(source: Arc<T>) -> Router {
    let router = serve::<T, get_discovery::Request>(Router::new());
    finish(serve::<T, get_trust_bundle::Request>(router), source)
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

fn finish<T: Send + Sync + 'static>(router: Router<Arc<T>>, of: Arc<T>) -> Router {
    guarded(router.method_not_allowed_fallback(no_such_method).with_state(of), &RouterConfig::default())
}

fn serve<T, E>(router: Router<Arc<T>>) -> Router<Arc<T>>
where
    T: Send + Sync + 'static,
    E: AskOpenly<T> + 'static,
    E::Response: 'static,
{
    E::ROUTES.iter().fold(router, |router, route| {
        let version = route.version;
        let method = MethodFilter::try_from(route.method.clone()).expect("operations use ordinary methods");
        let answer = move |of: State<Arc<T>>, params: Params, request: Request| {
            answer::<T, E>(of.0, version, params, request)
        };
        router.route(route.path, on(method, answer))
    })
}

async fn answer<T, E: AskOpenly<T>>(
    of: Arc<T>,
    version: SpecVersion,
    params: Params,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let answered: Result<E::Response, Problem> = async {
        let params = path_params(params)?;
        let body = read_body(body, MAX_BODY).await?;
        E::from_http(Incoming::new(version, &params, &parts.headers, body))?.ask(&of).await
    }
    .await;
    match answered {
        Ok(reply) => respond(reply.to_http(version), false, &parts.headers),
        Err(problem) => refuse_as::<E>(problem, &path, version),
    }
}
