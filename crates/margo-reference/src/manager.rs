//! The reference manager: a router over a manager over SQLite and Git, on one listener.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path as UrlPath, RawQuery, Request, State};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use margo_api::AuthError;
use margo_core::ClientId;
use margo_git::{GitHost, GitPublisher};
use margo_identity::{BearerAuthenticator, LoopbackOnly, PeerAddr, Token, basic_password, bearer_token};
use margo_server::{
    GitTokens, ManagementTokens, Manager, OperatorConfig, OperatorToken, Store as _, authenticated, guarded,
    operator_router, router,
};
use margo_store_sql::SqliteStore;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

/// How often what could not be published is published again.
const REPAIR_INTERVAL: Duration = Duration::from_secs(15);

/// How long open connections may take to end when the manager is asked to.
const FAREWELL: Duration = Duration::from_secs(3);

/// The largest request of a Git client, in bytes, before decompression.
const MAX_GIT_REQUEST: usize = 1 << 20;

type Reference = Manager<SqliteStore, GitPublisher>;

/// Runs a manager that keeps everything in the folder `data`, until `shutdown` completes.
///
/// The folder then holds `margo.db` (everything), `git/` (one repository for each client; what the database says is
/// published again where it is missing), `operator-token` (mode 0600, made at the first start), and `lock`.
///
/// # Errors
///
/// A folder that is in use, that cannot be written to, or that holds what this version cannot read; an address that
/// cannot be listened on.
pub async fn serve(data: &Path, listen: SocketAddr, shutdown: impl Future<Output = ()>) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("`{}` cannot be made", data.display()))?;
    let _lock = crate::device::lock(data)?;
    let store = SqliteStore::open(&data.join("margo.db")).await?;
    let publisher = GitPublisher::open(data.join("git"))?;
    let manager = Arc::new(Manager::new(store, publisher, jiff::Timestamp::now));
    manager.recover().await?;

    let token = operator_token(&data.join("operator-token"))?;
    let app = application(&manager, &token, GitHost::new(data.join("git")), recorder()?);
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    tracing::info!(address = %listener.local_addr()?, data = %data.display(), "listening");

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        // An error means that the sender is gone, which is the same order.
        let _ = stopped.await;
    });
    let server = server.into_future();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.context("the listener failed"),
        () = manager.keep_repairing(REPAIR_INTERVAL) => {}
        () = shutdown => {}
    }
    tracing::info!("ending");
    let _ = stop.send(());
    // Event streams end with their connections, so the wait is bounded.
    let _ = tokio::time::timeout(FAREWELL, server).await;
    manager.store().close().await;
    Ok(())
}

/// Everything on one router: the management interface, Git, the operator's API, and how the manager is doing.
fn application(manager: &Arc<Reference>, token: &Token, host: GitHost, metrics: PrometheusHandle) -> Router {
    let tokens = LoopbackOnly::new(BearerAuthenticator::new(ManagementTokens::new(Arc::clone(manager))));
    let management = authenticated(router(Arc::clone(manager)), Arc::new(tokens));
    let operator = operator_router(
        Arc::clone(manager),
        OperatorConfig::new(OperatorToken::from(token)).with_git_url(|client| format!("/git/{client}.git")),
    );
    let git = Git {
        host,
        tokens: Arc::new(BearerAuthenticator::new(GitTokens::new(Arc::clone(manager)))),
        manager: Arc::clone(manager),
    };
    let others = Router::new()
        .route("/git/{repository}/{*path}", any(git_request))
        .layer(DefaultBodyLimit::max(MAX_GIT_REQUEST))
        .with_state(git);
    let health = Router::new()
        .route("/healthz", get(healthz))
        .with_state(Arc::clone(manager))
        .route("/metrics", get(move || std::future::ready(metrics.render())));
    management.merge(operator).merge(guarded(others.merge(health), &margo_server::RouterConfig::default()))
}

/// `200` when the database answers, else `503`.
async fn healthz(State(manager): State<Arc<Reference>>) -> impl IntoResponse {
    match manager.store().clients().await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::error!(?error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}

#[derive(Clone)]
struct Git {
    host: GitHost,
    tokens: Arc<BearerAuthenticator<GitTokens<SqliteStore, GitPublisher>>>,
    manager: Arc<Reference>,
}

/// One request of a Git client, for the repository of its own device (R-A-018, R-A-019).
async fn git_request(
    State(git): State<Git>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    UrlPath((repository, path)): UrlPath<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> axum::response::Response {
    let is_forwarded = headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for");
    if is_forwarded || !PeerAddr::new(peer).is_loopback() {
        return (StatusCode::FORBIDDEN, "development tokens are accepted on loopback only\n").into_response();
    }
    let presented = basic_password(&headers).or_else(|| bearer_token(&headers).map(str::to_owned));
    let Some(presented) = presented else { return ask_for_token() };
    let caller = match git.tokens.caller_of(&presented).await {
        Ok(caller) => caller,
        Err(AuthError::Unavailable) => {
            return (StatusCode::SERVICE_UNAVAILABLE, "tokens cannot be checked at the moment\n")
                .into_response();
        }
        Err(_) => return ask_for_token(),
    };
    let client = repository.strip_suffix(".git").and_then(|name| name.parse::<ClientId>().ok());
    // Somebody else's repository and one that does not exist look the same (R-D-008).
    let Some(client) = client.filter(|client| *client == caller.client_id) else {
        return (StatusCode::NOT_FOUND, "there is no such repository\n").into_response();
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_GIT_REQUEST).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n").into_response();
    };
    let request: http::Request<Bytes> = http::Request::from_parts(parts, body);
    let reply = git.host.serve(&client, &path, query.as_deref(), request).await;
    if let Some(version) = reply.transferred
        && let Err(error) = git.manager.note_fetched(&client, version).await
    {
        tracing::error!(?error, %client, "what a device has fetched cannot be noted");
    }
    reply.response.map(axum::body::Body::from)
}

fn ask_for_token() -> axum::response::Response {
    let mut response = (StatusCode::UNAUTHORIZED, "the token of the device is needed\n").into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"margo\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// The operator's token: the one in the file, or a new one in a new file that nobody else can read.
fn operator_token(path: &PathBuf) -> Result<Token> {
    if path.exists() {
        let text = crate::config::read_secret(path)?;
        return text.parse().with_context(|| format!("`{}` holds no token", path.display()));
    }
    let token = Token::generate()?;
    let temporary = path.with_extension("new");
    ensure!(temporary != *path, "`{}` cannot be written", path.display());
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{}", token.reveal())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(token)
}

/// Where measurements are gathered: once for each process.
fn recorder() -> Result<PrometheusHandle> {
    const SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("seconds".to_owned()), &SECONDS)?
        .install_recorder()
        .context("measurements cannot be gathered")
}
