use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use margo_api::endpoint::{
    Endpoint, Incoming, PathParams, Reply, get_bundle, get_deployment, get_desired_state, remove_device,
    report_capabilities, report_deployment_status,
};
use margo_api::{Caller, ManagerError, ManagerErrorKind, Problem, ProblemType, Update, WorkloadFleetManager};
use margo_core::{Digest, SpecVersion};

use crate::chain;

mod authentication;
mod budget;
mod compression;
mod envelope;
mod open;
mod proxy;
mod rate_limit;
mod refusal;
mod schemes;

pub use authentication::{authenticated, authenticated_with};
pub use envelope::guarded;
pub use open::{onboarding_router, token_router, token_router_at, trust_router};
pub use proxy::{Proxies, client_cert_from_proxies};
pub use rate_limit::RateLimit;
pub(crate) use refusal::{read_body, refuse};
pub use schemes::Schemes;

/// The management interface of `manager`, ready to be merged into any axum application: the routes of every
/// revision (A1 to A3, E3 to E8, C3 to C9, D1 to D6) at the same time.
///
/// Authentication is a layer: it must put a [`Caller`] into the request extensions, as [`authenticated`] does.
/// A request without one is answered `401`.
///
/// Whatever is wrong, the answer is a [`Problem`] (R-D-037), for the pre-draft as well (X-A-35), and for 1.0.0-rc.1 and
/// 1.0.0-rc.2 what those have instead: an unknown path, a method the path does not have, a body that is too large, a manager that panics or takes too long. The router
/// comes with [`guarded`] applied and with a fallback; of two routers that are merged, only one may have a fallback.
///
/// ```
/// # use std::sync::Arc;
/// use jiff::Timestamp;
/// use margo_api::NoPublisher;
/// use margo_server::{Manager, Memory, router};
///
/// let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
/// let app: axum::Router = router(manager);
/// ```
pub fn router<M: WorkloadFleetManager + 'static>(manager: Arc<M>) -> Router {
    router_with(manager, &RouterConfig::default())
}

/// As [`router`], with limits of one's own.
pub fn router_with<M: WorkloadFleetManager + 'static>(manager: Arc<M>, config: &RouterConfig) -> Router {
    let router = Router::new();
    let router = serve::<M, report_capabilities::Request>(router);
    let router = serve::<M, remove_device::Request>(router);
    let router = serve::<M, get_desired_state::Request>(router);
    let router = serve::<M, get_deployment::Request>(router);
    let router = serve::<M, get_bundle::Request>(router);
    let router = serve::<M, report_deployment_status::Request>(router);
    let router = router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Served { manager, max_body: config.max_body });
    guarded(router, config)
}

/// How much a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterConfig {
    /// The largest body in bytes; a larger one is answered `413` before it is read. 1 MiB by default.
    pub max_body: usize,
    /// How many bytes of bodies may be in memory, in one router, of all its callers together; a body that would be more is
    /// answered `503`. One client may hold a sixteenth of it, and each body may have [`max_body`](Self::max_body)
    /// whatever is said here. 64 MiB by default. Bodies of strangers are not read.
    pub max_bodies: usize,
    /// How long an answer may take, up to its first byte; a later one is answered `503`. 30 s by default.
    pub timeout: Duration,
}

impl RouterConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self { max_body: 1 << 20, max_bodies: 64 << 20, timeout: Duration::from_secs(30) }
    }

    /// The same with another [`max_body`](Self::max_body).
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The same with another [`max_bodies`](Self::max_bodies).
    #[must_use]
    pub fn with_max_bodies(mut self, bytes: usize) -> Self {
        self.max_bodies = bytes;
        self
    }

    /// The same with another [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// `404` for a path nobody serves.
pub(crate) async fn no_such_route(uri: Uri) -> Response {
    let problem = Problem::about_blank(StatusCode::NOT_FOUND).with_detail("there is no such route");
    refuse(problem, uri.path())
}

/// `405`; axum adds `Allow`.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Response {
    refuse(method_not_allowed(&method), uri.path())
}

fn method_not_allowed(method: &Method) -> Problem {
    Problem::about_blank(StatusCode::METHOD_NOT_ALLOWED)
        .with_detail(format!("`{method}` is not a method of this route"))
}

/// An operation, as a question to a manager.
trait Ask<M>: Endpoint {
    /// Whether its answers may be compressed. An archive that is compressed already may not.
    const COMPRESSIBLE: bool = false;

    fn ask(
        self,
        manager: &M,
        caller: &Caller,
    ) -> impl Future<Output = Result<Self::Response, ManagerError>> + Send;
}

impl<M: WorkloadFleetManager> Ask<M> for report_capabilities::Request {
    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        manager.report_capabilities(caller, self).await.map(report_capabilities::Response::new)
    }
}

impl<M: WorkloadFleetManager> Ask<M> for remove_device::Request {
    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        manager.remove_device(caller, &self.device_id).await?;
        Ok(remove_device::Response::new())
    }
}

impl<M: WorkloadFleetManager> Ask<M> for get_desired_state::Request {
    const COMPRESSIBLE: bool = true;

    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        let known = self.known.digests.first().copied();
        match (manager.desired_state(caller, known).await?, known) {
            (Update::Unchanged, Some(known)) => Ok(get_desired_state::Response::NotModified(known)),
            (Update::Unchanged, None) => Err(ManagerError::internal("`unchanged` although nothing is known")),
            // One of the other digests, or `*` (R-B-035).
            (Update::Changed(manifest), _) if self.known.matches(manifest.digest()) => {
                Ok(get_desired_state::Response::NotModified(manifest.digest()))
            }
            (Update::Changed(manifest), _) => Ok(get_desired_state::Response::Manifest(manifest)),
        }
    }
}

impl<M: WorkloadFleetManager> Ask<M> for get_deployment::Request {
    const COMPRESSIBLE: bool = true;

    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        let bytes = manager.deployment(caller, &self.reference()).await?;
        let digest = named(self.digest, &bytes)?;
        if self.known.matches(digest) {
            return Ok(get_deployment::Response::NotModified(digest));
        }
        Ok(get_deployment::Response::Deployment { digest, bytes })
    }
}

impl<M: WorkloadFleetManager> Ask<M> for get_bundle::Request {
    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        let bytes = manager.bundle(caller, self.digest).await?;
        let digest = named(self.digest, &bytes)?;
        if self.known.matches(digest) {
            return Ok(get_bundle::Response::NotModified(digest));
        }
        Ok(get_bundle::Response::Bundle { digest, bytes })
    }
}

impl<M: WorkloadFleetManager> Ask<M> for report_deployment_status::Request {
    async fn ask(self, manager: &M, caller: &Caller) -> Result<Self::Response, ManagerError> {
        manager.report_status(caller, self).await.map(report_deployment_status::Response::new)
    }
}

/// R-B-024: what a URL serves has the digest the URL names, whoever implements the manager.
fn named(digest: Digest, bytes: &Bytes) -> Result<Digest, ManagerError> {
    let found = Digest::of(bytes);
    if found == digest {
        return Ok(digest);
    }
    Err(ManagerError::internal(format!("the manager answered {found} when asked for {digest}")))
}

struct Served<M> {
    manager: Arc<M>,
    max_body: usize,
}

impl<M> Clone for Served<M> {
    fn clone(&self) -> Self {
        Self { manager: Arc::clone(&self.manager), max_body: self.max_body }
    }
}

/// Adds every route of an operation.
fn serve<M, E>(router: Router<Served<M>>) -> Router<Served<M>>
where
    M: WorkloadFleetManager + 'static,
    E: Ask<M> + 'static,
    E::Response: 'static,
{
    E::ROUTES.iter().fold(router, |router, route| {
        let version = route.version;
        let method = MethodFilter::try_from(route.method.clone()).expect("operations use ordinary methods");
        let answer =
            move |served: State<Served<M>>,
                  params: Result<RawPathParams, RawPathParamsRejection>,
                  request: Request| answer::<M, E>(served.0, version, params, request);
        router.route(route.path, on(method, answer))
    })
}

async fn answer<M, E>(
    served: Served<M>,
    version: SpecVersion,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response
where
    M: WorkloadFleetManager,
    E: Ask<M>,
{
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let answered: Result<E::Response, Problem> = async {
        let caller = parts.extensions.get::<Caller>().ok_or_else(refusal::not_authenticated)?;
        let caller = caller.clone().with_revision(version);
        let params = path_params(params)?;
        let body = read_body(body, served.max_body).await?;
        let incoming = Incoming::new(version, &params, &parts.headers, body);
        incoming.require_client(&caller)?; // R-D-008
        let operation = E::from_http(incoming)?;
        operation.ask(&served.manager, &caller).await.map_err(|error| explain(&error))
    }
    .await;
    match answered {
        Ok(reply) => respond(reply.to_http(version), E::COMPRESSIBLE, &parts.headers),
        Err(problem) => refusal::refuse_as::<E>(problem, &path, version),
    }
}

fn path_params(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<PathParams, Problem> {
    match params {
        Ok(params) => Ok(params.iter().collect()),
        Err(_) => Err(Problem::new(ProblemType::InvalidRequest).with_detail("the path is not UTF-8")),
    }
}

fn respond(response: http::Response<Bytes>, compressible: bool, headers: &HeaderMap) -> Response {
    let response = if compressible { compression::negotiate(response, headers) } else { response };
    response.map(Body::from)
}

/// The cause is for the log, the problem for the caller.
fn explain(error: &ManagerError) -> Problem {
    match error.kind() {
        ManagerErrorKind::Internal => tracing::error!(error = chain(error), "the manager failed"),
        ManagerErrorKind::Unavailable { .. } => tracing::warn!(error = chain(error), "the manager is busy"),
        _ => tracing::debug!(error = chain(error), "refused"),
    }
    error.problem()
}
