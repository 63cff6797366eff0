//! The reference manager: a router over a manager over SQLite and Git, on as many listeners as its configuration names.
//!
//! One process serves devices of every revision. Which one a device speaks is told by the route it calls; how it proves
//! itself, by the listener:
//!
//! | Listener | Devices | Proof |
//! | --- | --- | --- |
//! | plain, on loopback | of any revision, under development | development tokens; signatures; issued tokens |
//! | TLS | pre-draft | issued tokens and payload signatures |
//! | TLS | rc.1, rc.2 | message signatures |
//! | mutual TLS, or a proxy's | rc.3 | SVIDs |

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path as UrlPath, RawQuery, Request, State};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use margo_api::{AuthError, BoxError};
use margo_core::{ClientId, Digest, SpecVersion};
use margo_git::{GitHost, GitPublisher};
use margo_identity::{
    BearerAuthenticator, CurrentTrustBundle, IdentityFiles, LoopbackOnly, MessageVerifier, Origin, PeerAddr,
    ReloadingIdentity, SignatureAuthenticator, SvidAuthenticator, SvidVerifier, Token, TokenHash,
    TokenLookup, TrustBundle, WfmSpiffeId, basic_password, bearer_token, server_config,
};
use margo_server::listen::{
    AuthorityFile, ListenConfig, Reloading, ServerCertificate, Transport, server_tls_config,
};
use margo_server::{
    AccessTokens, Admission, ClientAcceptance, ClientKeys, GitTokens, IssuedTokens, ManagementTokens,
    Manager, OperatorConfig, OperatorToken, PayloadSigned, Proxies, RateLimit, Reception, Schemes,
    Store as _, TrustAnchors, authenticated, client_cert_from_proxies, guarded, onboarding_router,
    operator_router, router, token_router, token_router_at, trust_router,
};
use margo_store_sql::SqliteStore;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::time_provider::DefaultTimeProvider;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{
    AcceptClients, AdmitDevices, ManagerConfig, MutualTlsSection, ProxySection, TlsListenSection,
};

/// How often what could not be published is published again.
const REPAIR_INTERVAL: Duration = Duration::from_secs(15);

/// How often the files of identities are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long open connections may take to end when the manager is asked to.
const FAREWELL: Duration = Duration::from_secs(3);

/// The largest request of a Git client, in bytes, before decompression.
const MAX_GIT_REQUEST: usize = 1 << 20;

/// Where short-lived tokens of repositories are issued; the pre-draft leaves it open (R-A-017).
const GIT_TOKEN_ENDPOINT: &str = "/git-token";

type Reference = Manager<SqliteStore, GitPublisher>;

/// Runs a manager that keeps everything in the folder `data`, until `shutdown` completes.
///
/// The folder then holds `margo.db` (everything), `git/` (one repository for each client; what the database says is
/// published again where it is missing), `operator-token` (mode 0600, made at the first start), and `lock`.
///
/// # Errors
///
/// A folder that is in use, that cannot be written to, or that holds what this version cannot read; an address that
/// cannot be listened on; an identity that cannot be used.
pub async fn serve(data: &Path, config: &ManagerConfig, shutdown: impl Future<Output = ()>) -> Result<()> {
    config.check()?;
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

    let office = Office {
        token: operator_token(&data.join("operator-token"))?,
        host: GitHost::new(data.join("git")),
        metrics: recorder()?,
        provider: Arc::new(ring::default_provider()),
        manager: Arc::clone(&manager),
        strangers: config.limits.rate(),
    };
    let descriptors = raise_descriptors();
    let (mut doors, reloading) = office.doors(config).await?;
    let most = connections(descriptors, doors.len());
    tracing::info!(descriptors, connections = most, "connections for each listener");
    for door in &mut doors {
        door.config = door.config.with_max_connections(most).with_stall(config.limits.stall);
    }
    for door in &doors {
        tracing::info!(address = %door.listener.local_addr()?, transport = door.name, "listening");
    }
    for (section, other) in config.other_ports() {
        tracing::warn!(section, "{other}: devices of other makers may not find this manager");
    }
    tracing::info!(data = %data.display(), "started");

    let (stop, stopping) = watch::channel(false);
    let mut serving = JoinSet::new();
    for door in doors {
        let mut stopping = stopping.clone();
        let stopped = async move { drop(stopping.wait_for(|stop| *stop).await) };
        serving.spawn(async move {
            margo_server::listen::serve(door.listener, door.transport, door.app, &door.config, stopped).await;
        });
    }
    tokio::select! {
        _ = serving.join_next() => bail!("a listener failed"),
        () = manager.keep_repairing(REPAIR_INTERVAL) => {}
        () = reloading.keep_looking(LOOK_INTERVAL) => {}
        () = shutdown => {}
    }
    tracing::info!("ending");
    let _ = stop.send(true);
    // Event streams end with their connections, so the wait is bounded.
    let _ = tokio::time::timeout(FAREWELL, async { while serving.join_next().await.is_some() {} }).await;
    manager.store().close().await;
    Ok(())
}

/// An address, and what is served there.
struct Door {
    name: &'static str,
    listener: TcpListener,
    transport: Transport,
    config: ListenConfig,
    app: Router,
}

impl Door {
    async fn open(
        name: &'static str,
        address: SocketAddr,
        transport: Transport,
        max_age: Option<Duration>,
        app: Router,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| unheard(address))?;
        let config = ListenConfig::new().with_max_age(max_age).with_farewell(FAREWELL);
        Ok(Self { name, listener, transport, config, app })
    }
}

/// What every door leads to.
struct Office {
    manager: Arc<Reference>,
    token: Token,
    host: GitHost,
    metrics: PrometheusHandle,
    provider: Arc<CryptoProvider>,
    /// One for all listeners.
    strangers: RateLimit,
}

impl Office {
    async fn doors(&self, config: &ManagerConfig) -> Result<(Vec<Door>, Reloading)> {
        let mut reloading = Reloading::new();
        let authority = match config.tls.as_ref().and_then(|tls| tls.authority.as_ref()) {
            Some(path) => {
                let authority = Arc::new(AuthorityFile::load(path)?);
                reloading = reloading.with_authority(Arc::clone(&authority));
                Some(authority)
            }
            None => None,
        };
        let plain = config.plain.listen;
        // Event streams of operators last as long as they like.
        let app = self.plain(config, authority.as_ref())?;
        let mut doors = vec![Door::open("plain", plain, Transport::plain(), None, app).await?];
        let mut bundle = None;
        if let Some(mutual) = &config.mutual_tls {
            let identity = self.identity(mutual)?;
            let own = WfmSpiffeId::try_from(identity.svid().id().clone()).with_context(|| {
                format!("`{}` is not the SVID of a manager", mutual.certificate.display())
            })?;
            let current = Arc::new(CurrentTrustBundle::new(read_bundle(&own, &mutual.bundle)?));
            let verifier = SvidVerifier::new(Arc::clone(&current));
            reloading = reloading
                .with_identity(Arc::clone(&identity))
                .with_bundle(&mutual.bundle, Arc::clone(&current));
            tracing::info!(id = %own, "devices of 1.0.0-rc.3 are served");
            let app = self.svids(mutual, own);
            if let Some(proxy) = &config.proxy {
                doors.push(proxied(proxy, app.clone(), verifier.clone()).await?);
            }
            let tls = server_config(
                Arc::clone(&self.provider),
                Arc::new(DefaultTimeProvider),
                mutual.versions(),
                identity,
                verifier.clone(),
            )?;
            let age = Some(mutual.max_connection_age);
            let transport = Transport::mutual_tls(tls, verifier);
            doors.push(Door::open("mutual TLS", mutual.listen, transport, age, app).await?);
            bundle = Some((current, mutual.bundle_uri.clone()));
        }
        if let Some(tls) = &config.tls {
            let certificate =
                ServerCertificate::load(&tls.certificate, &tls.key, Arc::clone(&self.provider))?;
            let certificate = Arc::new(certificate);
            reloading = reloading.with_certificate(Arc::clone(&certificate));
            let mut app = self.encrypted(tls, config, authority.as_ref());
            if let Some((current, uri)) = bundle {
                let anchors = TrustAnchors::new(current);
                let anchors = match uri {
                    Some(uri) => anchors.with_discovery(uri),
                    None => anchors,
                };
                app = app.merge(trust_router(Arc::new(anchors)));
            }
            let server = server_tls_config(
                Arc::clone(&self.provider),
                Arc::new(DefaultTimeProvider),
                tls.versions(),
                certificate,
            )?;
            let age = Some(tls.max_connection_age);
            doors.push(Door::open("TLS", tls.listen, Transport::tls(server), age, app).await?);
        }
        Ok((doors, reloading))
    }

    /// On loopback: everything, and development tokens for every revision.
    fn plain(&self, config: &ManagerConfig, authority: Option<&Arc<AuthorityFile>>) -> Result<Router> {
        let own = || {
            let tokens = OnboardedOrIssued {
                onboarded: ManagementTokens::new(Arc::clone(&self.manager)),
                issued: AccessTokens::new(Arc::clone(&self.manager)),
            };
            LoopbackOnly::new(BearerAuthenticator::new(tokens))
        };
        let origins = vec![format!("http://{}", config.plain.listen).parse()?];
        let schemes = Schemes::new()
            .with(SpecVersion::V1_0_0Rc3, own())
            .with(SpecVersion::V1_0_0Rc2, self.signatures(origins, config))
            .with(SpecVersion::V1_0_0Rc2, own())
            .with(SpecVersion::PreDraft, own());
        let operator = operator_router(
            Arc::clone(&self.manager),
            OperatorConfig::new(OperatorToken::from(&self.token))
                .with_git_url(|client| format!("/git/{client}.git")),
        );
        let metrics = self.metrics.clone();
        let metrics = Router::new().route("/metrics", get(move || std::future::ready(metrics.render())));
        let others = guarded(metrics, &margo_server::RouterConfig::default());
        Ok(authenticated(router(Arc::clone(&self.manager)), Arc::new(schemes))
            .merge(self.reception(config, authority))
            .merge(operator)
            .merge(others)
            .merge(self.git_and_health(true)))
    }

    /// With a certificate of the manager alone.
    fn encrypted(
        &self,
        tls: &TlsListenSection,
        config: &ManagerConfig,
        authority: Option<&Arc<AuthorityFile>>,
    ) -> Router {
        let mut signed = PayloadSigned::new(Arc::clone(&self.manager));
        if tls.optional_payload_signatures {
            signed = signed.with_optional_signature();
        }
        let schemes = Schemes::new()
            .with(SpecVersion::V1_0_0Rc2, self.signatures(tls.origins.clone(), config))
            .with(SpecVersion::PreDraft, signed);
        authenticated(router(Arc::clone(&self.manager)), Arc::new(schemes))
            .merge(self.reception(config, authority))
            .merge(self.git_and_health(false))
    }

    /// With certificates on both sides.
    fn svids(&self, mutual: &MutualTlsSection, own: WfmSpiffeId) -> Router {
        let mut accepted = ClientAcceptance::new(Arc::clone(&self.manager), own);
        if mutual.accept == AcceptClients::Namespace {
            accepted = accepted.with_namespace();
        }
        let schemes = Schemes::new().with(SpecVersion::V1_0_0Rc3, SvidAuthenticator::new(accepted));
        authenticated(router(Arc::clone(&self.manager)), Arc::new(schemes))
    }

    fn signatures(
        &self,
        origins: Vec<Origin>,
        config: &ManagerConfig,
    ) -> impl margo_api::Authenticator + use<> + 'static {
        let signatures = &config.signatures;
        let verifier = MessageVerifier::new(origins).with_window(signatures.window, signatures.skew);
        SignatureAuthenticator::new(verifier, ClientKeys::new(Arc::clone(&self.manager)), UnixTime::now)
    }

    /// How devices come to be known, and to tokens.
    fn reception(&self, config: &ManagerConfig, authority: Option<&Arc<AuthorityFile>>) -> Router {
        let onboarding = &config.onboarding;
        let admission = match onboarding.admit {
            AdmitDevices::Listed => Admission::Listed(onboarding.certificates.iter().copied().collect()),
            AdmitDevices::Anyone => Admission::Anyone { max_clients: onboarding.max_clients },
        };
        let mut reception = Reception::new(Arc::clone(&self.manager), admission);
        if let Some(authority) = authority {
            let authority = Arc::clone(authority);
            reception = reception.with_current_authority(move || authority.get());
        }
        let tokens = &config.tokens;
        let management = IssuedTokens::for_management(Arc::clone(&self.manager), tokens.lifetime);
        let git = IssuedTokens::for_git(Arc::clone(&self.manager), tokens.git_lifetime, tokens.git_overlap);
        onboarding_router(Arc::new(reception), &self.strangers)
            .merge(token_router(Arc::new(management), &self.strangers))
            .merge(token_router_at(GIT_TOKEN_ENDPOINT, Arc::new(git), &self.strangers))
    }

    fn git_and_health(&self, loopback_only: bool) -> Router {
        let git = Git {
            host: self.host.clone(),
            tokens: Arc::new(BearerAuthenticator::new(GitTokens::new(Arc::clone(&self.manager)))),
            manager: Arc::clone(&self.manager),
            loopback_only,
        };
        let git = Router::new()
            .route("/git/{repository}/{*path}", any(git_request))
            .layer(DefaultBodyLimit::max(MAX_GIT_REQUEST))
            .with_state(git);
        let health = Router::new().route("/healthz", get(healthz)).with_state(Arc::clone(&self.manager));
        guarded(git.merge(health), &margo_server::RouterConfig::default())
    }

    fn identity(&self, mutual: &MutualTlsSection) -> Result<Arc<ReloadingIdentity>> {
        let files = IdentityFiles::new(&mutual.certificate, &mutual.key);
        Ok(Arc::new(ReloadingIdentity::load(files, Arc::clone(&self.provider))?))
    }
}

/// R-D-017.
async fn proxied(proxy: &ProxySection, app: Router, verifier: SvidVerifier) -> Result<Door> {
    let proxies = Proxies::new(proxy.addresses.iter().copied(), verifier, UnixTime::now);
    let app = client_cert_from_proxies(app, proxies);
    Door::open("a proxy's", proxy.listen, Transport::plain(), None, app).await
}

fn read_bundle(own: &WfmSpiffeId, path: &Path) -> Result<TrustBundle> {
    let text = crate::config::read_file(path)?;
    let trust_domain = own.trust_domain().clone();
    let bundle = if text.trim_start().starts_with('{') {
        TrustBundle::parse(trust_domain, text.as_bytes())
    } else {
        TrustBundle::from_pem(trust_domain, text.as_bytes())
    };
    bundle.with_context(|| format!("`{}` cannot be used", path.display()))
}

/// The tokens an operator hands over, and those of the token endpoint.
struct OnboardedOrIssued {
    onboarded: ManagementTokens<SqliteStore, GitPublisher>,
    issued: AccessTokens<SqliteStore, GitPublisher>,
}

impl TokenLookup for OnboardedOrIssued {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        match self.onboarded.client_of(hash).await? {
            Some(client) => Ok(Some(client)),
            None => self.issued.client_of(hash).await,
        }
    }
}

/// `200` when the database answers, else `503`.
async fn healthz(State(manager): State<Arc<Reference>>) -> impl IntoResponse {
    // One lookup in an index, however many clients there are: no certificate has this digest.
    match manager.store().client_by_certificate(Digest::from([0; 32])).await {
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
    loopback_only: bool,
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
    if git.loopback_only && (is_forwarded || !PeerAddr::new(peer).is_loopback()) {
        return (StatusCode::FORBIDDEN, "without encryption, tokens are accepted on loopback only\n")
            .into_response();
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

/// Why an address cannot be listened on, as far as that can be guessed before the cause is told.
fn unheard(address: SocketAddr) -> String {
    // What Linux asks a privilege for by default.
    let needs = if address.port() < 1024 && address.port() != 0 {
        "; a port below 1024 needs the capability `CAP_NET_BIND_SERVICE`"
    } else {
        ""
    };
    format!("cannot listen on {address}{needs}")
}

/// Descriptors for what is no connection: the database, repositories, certificates, listeners.
const OTHER_DESCRIPTORS: u64 = 256;

/// Raises the number of files this process may have open to what the system allows it, and tells it. `None`: no limit.
fn raise_descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    }
}

/// How many connections each of `doors` listeners may have, so that all together leave descriptors for the rest.
fn connections(descriptors: Option<u64>, doors: usize) -> usize {
    let usual = ListenConfig::new().max_connections;
    let Some(descriptors) = descriptors else { return usual };
    let left = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 2);
    let each = left / (doors.max(1) as u64);
    usize::try_from(each).unwrap_or(usize::MAX).clamp(1, usual)
}

/// Where measurements are gathered: once for each process.
fn recorder() -> Result<PrometheusHandle> {
    const SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("seconds".to_owned()), &SECONDS)?
        .install_recorder()
        .context("measurements cannot be gathered")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let usual = ListenConfig::new().max_connections;
        assert_eq!(connections(None, 3), usual);
        assert_eq!(connections(Some(1 << 20), 3), usual);
        assert_eq!(connections(Some(1024), 1), 768);
        assert_eq!(connections(Some(1024), 3), 256);
        assert_eq!(connections(Some(64), 1), 32);
        assert_eq!(connections(Some(0), 0), 1);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_the_hard_one() {
        use rustix::process::{Resource, getrlimit};
        let allowed = raise_descriptors();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((limit.current, allowed), (limit.maximum, limit.maximum));
    }
}
