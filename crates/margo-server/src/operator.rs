use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};
use margo_api::{DesiredStatePublisher, FieldError, Problem, ProblemType, Recorded};
use margo_core::{ApplicationId, ClientId, DeploymentId};
use margo_identity::{Token, TokenHash, bearer_token};
use margo_status::DeploymentState;
use margo_syntax::{Format, Limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use utoipa::OpenApi as _;

use crate::manager::{
    ApplicationView, Changed, DeleteRequest, DeployRequest, DeploymentDetail, DeviceView, FleetEvent,
    LinkRequest, Manager, OnboardRequest, OperatorError, PlacementRequest, Placements, ReconfigureRequest,
    TargetRef, UnlinkRequest, UpdateRequest,
};
use crate::router::{RouterConfig, guarded, no_such_method, no_such_route, read_body, refuse};
use crate::store::Store;

mod document;
mod message;

use message::{Applications, Credentials, Deployments, Devices};

/// What operators see of a manager: a small JSON API below `/operator/v1`, described by the OpenAPI document at
/// `/operator/v1/openapi.json`.
///
/// Every call but that for the document carries the operator's bearer token. Whatever is wrong, the answer is a
/// [`Problem`]; one about the body lists every fault in `errors`, each with the member it is in.
///
/// The router comes with [`guarded`] applied, without a fallback, and may be merged with
/// [`router`](crate::router). Its event stream ends only with the connection: a server that stops in good order has
/// to end it.
///
/// ```
/// # use std::sync::Arc;
/// use jiff::Timestamp;
/// use margo_api::NoPublisher;
/// use margo_identity::Token;
/// use margo_server::{Manager, Memory, OperatorConfig, OperatorToken, operator_router, router};
///
/// let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
/// let token = Token::generate()?;
/// let config = OperatorConfig::new(OperatorToken::from(&token));
/// let app: axum::Router = router(Arc::clone(&manager)).merge(operator_router(manager, config));
/// # Ok::<(), margo_identity::TokenError>(())
/// ```
pub fn operator_router<S, P>(manager: Arc<Manager<S, P>>, config: OperatorConfig) -> Router
where
    S: Store,
    P: DesiredStatePublisher + 'static,
{
    let limits = config.limits;
    let office = Office { manager, config: Arc::new(config) };
    let open = Router::new()
        .route("/operator/v1/openapi.json", get(document::serve))
        .route("/operator/{*rest}", any(no_such_route));
    let closed = Router::new()
        .route("/operator/v1/devices", post(onboard::<S, P>).get(list_devices::<S, P>))
        .route("/operator/v1/devices/{device}", axum::routing::delete(retire::<S, P>))
        .route("/operator/v1/devices/{device}/retire", post(retire_by_post::<S, P>))
        .route("/operator/v1/devices/{device}/rotate", post(rotate::<S, P>))
        .route("/operator/v1/devices/{device}/link", post(link::<S, P>))
        .route("/operator/v1/devices/{device}/unlink", post(unlink::<S, P>))
        .route("/operator/v1/applications", post(upload::<S, P>).get(list_applications::<S, P>))
        .route("/operator/v1/placements", post(placements::<S, P>))
        .route("/operator/v1/deployments", post(deploy::<S, P>).get(list_deployments::<S, P>))
        .route("/operator/v1/deployments/{id}", get(deployment::<S, P>))
        .route("/operator/v1/deployments/update", post(update::<S, P>))
        .route("/operator/v1/deployments/reconfigure", post(reconfigure::<S, P>))
        .route("/operator/v1/deployments/delete", post(delete::<S, P>))
        .route("/operator/v1/events", get(events::<S, P>))
        .route_layer(middleware::from_fn_with_state(office.clone(), gate::<S, P>));
    let router = closed.merge(open).method_not_allowed_fallback(no_such_method).with_state(office);
    guarded(router, &limits)
}

/// The operator API as an `OpenAPI` 3.1 document.
#[must_use]
pub fn openapi() -> serde_json::Value {
    // The document is made of texts and numbers; there is nothing to fail.
    serde_json::to_value(document::Document::openapi()).unwrap_or_default()
}

/// Who may operate, and where devices find their Git repositories.
#[derive(Clone)]
#[non_exhaustive]
pub struct OperatorConfig {
    /// What an operator presents.
    pub token: OperatorToken,
    /// How much a request may ask for.
    pub limits: RouterConfig,
    git_url: Option<GitUrl>,
}

type GitUrl = Arc<dyn Fn(&ClientId) -> String + Send + Sync>;

impl OperatorConfig {
    /// One operator, and no Git.
    #[must_use]
    pub fn new(token: OperatorToken) -> Self {
        Self { token, limits: RouterConfig::default(), git_url: None }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: RouterConfig) -> Self {
        self.limits = limits;
        self
    }

    /// The same with repositories: `git_url` is where a client's is, absolute or on the same server, and is handed over
    /// together with the token that opens it (R-A-019).
    #[must_use]
    pub fn with_git_url(mut self, git_url: impl Fn(&ClientId) -> String + Send + Sync + 'static) -> Self {
        self.git_url = Some(Arc::new(git_url));
        self
    }
}

impl fmt::Debug for OperatorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorConfig")
            .field("token", &self.token)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What is kept of the token that operators present: its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorToken(TokenHash);

impl OperatorToken {
    /// The token with this hash.
    #[must_use]
    pub fn new(hash: TokenHash) -> Self {
        Self(hash)
    }
}

impl From<&Token> for OperatorToken {
    fn from(token: &Token) -> Self {
        Self(token.hash())
    }
}

struct Office<S, P> {
    manager: Arc<Manager<S, P>>,
    config: Arc<OperatorConfig>,
}

impl<S, P> Clone for Office<S, P> {
    fn clone(&self) -> Self {
        Self { manager: Arc::clone(&self.manager), config: Arc::clone(&self.config) }
    }
}

impl<S, P> Office<S, P> {
    async fn read<T: DeserializeOwned>(&self, headers: &HeaderMap, body: Body) -> Result<T, Refusal> {
        require(headers, "application/json")?;
        let body = read_body(body, self.config.limits.max_body).await?;
        margo_syntax::decode(&body, Format::Json, &Limits::default()).map_err(|error| {
            if error.is_malformed() {
                return Problem::new(ProblemType::InvalidRequest).with_detail(error.to_string()).into();
            }
            let fault = margo_syntax::Fault::new(error.pointer().clone(), error.message());
            OperatorError::Invalid { errors: vec![FieldError::from(&fault)] }.into()
        })
    }
}

/// A problem on its way to the response that will carry it.
struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<OperatorError> for Refusal {
    fn from(error: OperatorError) -> Self {
        if matches!(error, OperatorError::Failed(_)) {
            tracing::error!(error = crate::chain(&error), "an operator's request failed");
        }
        error.problem().into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // The gate knows the path and writes the body.
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(*self.0));
        response
    }
}

/// Lets operators in, and turns refusals into responses.
async fn gate<S, P>(State(office): State<Office<S, P>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let presented = bearer_token(request.headers());
    if !presented.is_some_and(|presented| office.config.token.0.verify(presented)) {
        let problem = Problem::about_blank(StatusCode::UNAUTHORIZED)
            .with_detail("expected the operator's bearer token");
        return refuse(problem, &path);
    }
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Arc<Problem>>() {
        Some(problem) => refuse((*problem).clone(), &path),
        None => response,
    }
}

/// `415` for a body that is said to be something else.
fn require(headers: &HeaderMap, media_type: &str) -> Result<(), Refusal> {
    let Some(said) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = said.to_str().ok().and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let problem = Problem::about_blank(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .with_detail(format!("the body must be `{media_type}`"));
    Err(problem.into())
}

/// How a path names a device.
const DEVICE: &str = "The device a client was onboarded for: `plc-7`, or `client:device`";

fn named_device(path: Result<Path<String>, PathRejection>) -> Result<TargetRef, Refusal> {
    let absent = || Refusal::from(OperatorError::NotFound { what: "such device".to_owned() });
    path.map_err(|_| absent())?.0.parse().map_err(|_| absent())
}

/// Onboard a device
///
/// Gives the device credentials. The secrets are in this answer and nowhere else.
#[utoipa::path(
    post, path = "/operator/v1/devices", tag = "devices", request_body = OnboardRequest,
    responses(
        (status = 201, description = "The device's credentials", body = Credentials),
        (status = 409, description = "The device or the client is there already", body = document::ProblemDetail),
        (status = 422, description = "Something is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn onboard<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Credentials>), Refusal> {
    let request = office.read(&headers, body).await?;
    let onboarded = office.manager.onboard(request).await?;
    Ok((StatusCode::CREATED, Json(Credentials::new(&onboarded, office.config.git_url.as_deref()))))
}

/// List devices
///
/// Every device of every client, with what it said about itself in the words of 1.0.0-rc.3.
#[utoipa::path(
    get, path = "/operator/v1/devices", tag = "devices",
    responses((status = 200, description = "The devices, by client and id", body = Devices))
)]
async fn list_devices<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
) -> Result<Json<Devices>, Refusal> {
    Ok(Json(Devices { devices: office.manager.list_devices().await? }))
}

/// Retire a device's client
///
/// The client is refused from now on. What is known of it stays.
#[utoipa::path(
    delete, path = "/operator/v1/devices/{device}", tag = "devices", params(("device" = String, Path, description = DEVICE)),
    responses(
        (status = 200, description = "The device", body = DeviceView),
        (status = 404, description = "No client was onboarded for the device", body = document::ProblemDetail),
    )
)]
async fn retire<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    device: Result<Path<String>, PathRejection>,
) -> Result<Json<DeviceView>, Refusal> {
    Ok(Json(office.manager.retire(&named_device(device)?).await?))
}

/// Retire a device's client
///
/// The same as `DELETE`.
#[utoipa::path(
    post, path = "/operator/v1/devices/{device}/retire", tag = "devices", params(("device" = String, Path, description = DEVICE)),
    responses(
        (status = 200, description = "The device", body = DeviceView),
        (status = 404, description = "No client was onboarded for the device", body = document::ProblemDetail),
    )
)]
async fn retire_by_post<S: Store, P: DesiredStatePublisher + 'static>(
    office: State<Office<S, P>>,
    device: Result<Path<String>, PathRejection>,
) -> Result<Json<DeviceView>, Refusal> {
    retire(office, device).await
}

/// Rotate a client's tokens
///
/// The old ones open nothing any more. The new ones are in this answer and nowhere else.
#[utoipa::path(
    post, path = "/operator/v1/devices/{device}/rotate", tag = "devices", params(("device" = String, Path, description = DEVICE)),
    responses(
        (status = 200, description = "The client's new credentials", body = Credentials),
        (status = 404, description = "No client was onboarded for the device", body = document::ProblemDetail),
        (status = 409, description = "The client is retired", body = document::ProblemDetail),
    )
)]
async fn rotate<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    device: Result<Path<String>, PathRejection>,
) -> Result<Json<Credentials>, Refusal> {
    let onboarded = office.manager.rotate_tokens(&named_device(device)?).await?;
    Ok(Json(Credentials::new(&onboarded, office.config.git_url.as_deref())))
}

/// Say what a device has become
///
/// A device that was upgraded to another revision, or got another certificate, keeps its identity, deployments and
/// history. Its documents are written anew where the revision is another one.
#[utoipa::path(
    post, path = "/operator/v1/devices/{device}/link", tag = "devices", params(("device" = String, Path, description = DEVICE)),
    request_body = LinkRequest,
    responses(
        (status = 200, description = "The device's deployments, and what its revision cannot say", body = Changed),
        (status = 404, description = "No client was onboarded for the device", body = document::ProblemDetail),
        (status = 409, description = "The client is retired, or the id or certificate is another's", body = document::ProblemDetail),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn link<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    device: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Refusal> {
    let device = named_device(device)?;
    let request: LinkRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.link(&device, request).await?))
}

/// Take back what a device was linked with
///
/// Whoever calls by that id is not served any more. Deployments, history, repository, tokens and certificate stay with
/// the device.
#[utoipa::path(
    post, path = "/operator/v1/devices/{device}/unlink", tag = "devices", params(("device" = String, Path, description = DEVICE)),
    request_body = UnlinkRequest,
    responses(
        (status = 200, description = "The device's deployments, and what its revision cannot say", body = Changed),
        (status = 404, description = "No client was onboarded for the device, or it is not linked with that id", body = document::ProblemDetail),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn unlink<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    device: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Refusal> {
    let device = named_device(device)?;
    let request: UnlinkRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.unlink(&device, request).await?))
}

/// Store an application
///
/// The body is the `margo.yaml` of a package, of any revision.
#[utoipa::path(
    post, path = "/operator/v1/applications", tag = "applications",
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 200, description = "That version is there already, byte for byte", body = ApplicationView),
        (status = 201, description = "The application", body = ApplicationView),
        (status = 400, description = "The body is not YAML", body = document::ProblemDetail),
        (status = 409, description = "That version is there with other content", body = document::ProblemDetail),
        (status = 422, description = "Something is wrong with the description", body = document::ProblemDetail),
    )
)]
async fn upload<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ApplicationView>), Refusal> {
    require(&headers, "application/yaml")?;
    let description = read_body(body, office.config.limits.max_body).await?;
    let (recorded, application) = office.manager.upload_application(description).await?;
    let status = if recorded == Recorded::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(application)))
}

/// List applications
#[utoipa::path(
    get, path = "/operator/v1/applications", tag = "applications",
    responses((status = 200, description = "Every version of every application", body = Applications))
)]
async fn list_applications<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
) -> Result<Json<Applications>, Refusal> {
    Ok(Json(Applications { applications: office.manager.list_applications().await? }))
}

/// Ask which devices can host an application
///
/// And why the others cannot. Nothing is changed.
#[utoipa::path(
    post, path = "/operator/v1/placements", tag = "applications", request_body = PlacementRequest,
    responses(
        (status = 200, description = "Every device and profile, and whether they fit", body = Placements),
        (status = 400, description = "The description is not YAML", body = document::ProblemDetail),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn placements<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Placements>, Refusal> {
    let request: PlacementRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.placements(&request).await?))
}

/// Deploy an application
///
/// To all targets, or to none; a device that does not fit is refused. Without targets, to devices that fit: if there
/// are none, `errors` says why not for each of them, under its name.
#[utoipa::path(
    post, path = "/operator/v1/deployments", tag = "deployments", request_body = DeployRequest,
    responses(
        (status = 201, description = "The deployments, one for each target", body = Changed),
        (
            status = 422, description = "Everything that is wrong with the request, or why no device fits",
            body = document::ProblemDetail
        ),
    )
)]
async fn deploy<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Changed>), Refusal> {
    let request: DeployRequest = office.read(&headers, body).await?;
    Ok((StatusCode::CREATED, Json(office.manager.deploy(&request).await?)))
}

/// Update deployments
///
/// Brings them to another version of their application.
#[utoipa::path(
    post, path = "/operator/v1/deployments/update", tag = "deployments", request_body = UpdateRequest,
    responses(
        (status = 200, description = "The deployments that were selected", body = Changed),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn update<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Refusal> {
    let request: UpdateRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.update(&request).await?))
}

/// Reconfigure deployments
///
/// Changes their parameters: what is given overrides, `null` goes back to the default, the rest stays.
#[utoipa::path(
    post, path = "/operator/v1/deployments/reconfigure", tag = "deployments", request_body = ReconfigureRequest,
    responses(
        (status = 200, description = "The deployments that were selected", body = Changed),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn reconfigure<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Refusal> {
    let request: ReconfigureRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.reconfigure(&request).await?))
}

/// Delete deployments
///
/// Their devices are to remove them. Those that are deleted already stay so.
#[utoipa::path(
    post, path = "/operator/v1/deployments/delete", tag = "deployments", request_body = DeleteRequest,
    responses(
        (status = 200, description = "The deployments that were selected", body = Changed),
        (status = 422, description = "Everything that is wrong with the request", body = document::ProblemDetail),
    )
)]
async fn delete<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Refusal> {
    let request: DeleteRequest = office.read(&headers, body).await?;
    Ok(Json(office.manager.delete(&request).await?))
}

/// Which deployments to list: those that fit everything that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    device: Option<String>,
    application: Option<String>,
    state: Option<String>,
}

/// List deployments
///
/// In the order they were created, deleted ones included.
#[utoipa::path(
    get, path = "/operator/v1/deployments", tag = "deployments",
    params(
        ("device" = Option<String>, Query, description = "Those on this device: `plc-7`, or `client:device`"),
        ("application" = Option<String>, Query, description = "Those of this application"),
        (
            "state" = Option<String>, Query,
            description = "Those in this state: `pending`, `installing`, `installed`, `removing`, `removed` or `failed`"
        ),
    ),
    responses(
        (status = 200, description = "The deployments", body = Deployments),
        (status = 422, description = "Something is wrong with the query", body = document::ProblemDetail),
    )
)]
async fn list_deployments<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Deployments>, Refusal> {
    let Query(filter) = filter.map_err(|error| OperatorError::invalid("", error.body_text()))?;
    let mut errors = Vec::new();
    let device: Option<TargetRef> = parse("device", filter.device.as_deref(), &mut errors);
    let application: Option<ApplicationId> = parse("application", filter.application.as_deref(), &mut errors);
    let state = filter.state.as_deref().map(DeploymentState::from);
    if let Some(state) = state.as_ref().filter(|state| !state.is_known()) {
        errors.push(FieldError::new("state", format!("`{state}` is not a state")));
    }
    if !errors.is_empty() {
        return Err(OperatorError::Invalid { errors }.into());
    }
    let deployments =
        office.manager.list_deployments(device.as_ref(), application.as_ref(), state.as_ref()).await?;
    Ok(Json(Deployments { deployments }))
}

fn parse<T: std::str::FromStr<Err: fmt::Display>>(
    field: &str,
    text: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    text?.parse().map_err(|error: T::Err| errors.push(FieldError::new(field, error.to_string()))).ok()
}

/// Look at a deployment
///
/// With the document its device is given, and everything the device said about it.
#[utoipa::path(
    get, path = "/operator/v1/deployments/{id}", tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, description = "The deployment", body = DeploymentDetail),
        (status = 404, description = "There is no such deployment", body = document::ProblemDetail),
    )
)]
async fn deployment<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<DeploymentDetail>, Refusal> {
    let absent = || Refusal::from(OperatorError::NotFound { what: "such deployment".to_owned() });
    let id: DeploymentId = id.map_err(|_| absent())?.0.parse().map_err(|_| absent())?;
    Ok(Json(office.manager.deployment_view(&id).await?))
}

/// Watch the fleet
///
/// A stream of server-sent events, each with one JSON object as its data. It starts with the comment `ready`: what
/// happens from then on is told. A reader that is too slow gets the event `missed` and should read everything again.
#[utoipa::path(
    get, path = "/operator/v1/events", tag = "events",
    responses((status = 200, description = "The events", body = FleetEvent, content_type = "text/event-stream"))
)]
async fn events<S: Store, P: DesiredStatePublisher + 'static>(
    State(office): State<Office<S, P>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ready = stream::once(async { Ok(Event::default().comment("ready")) });
    let told = stream::unfold(office.manager.subscribe(), next_event);
    Sse::new(ready.chain(told)).keep_alive(KeepAlive::default())
}

async fn next_event(
    mut events: broadcast::Receiver<FleetEvent>,
) -> Option<(Result<Event, Infallible>, broadcast::Receiver<FleetEvent>)> {
    let event = match events.recv().await {
        Ok(event) => server_sent(event.name(), &event),
        Err(RecvError::Lagged(count)) => {
            server_sent("missed", &serde_json::json!({ "type": "missed", "count": count }))
        }
        Err(RecvError::Closed) => return None,
    };
    Some((Ok(event), events))
}

fn server_sent(name: &str, data: &impl Serialize) -> Event {
    // Events are texts and numbers; there is nothing to fail.
    let json = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(json)
}
