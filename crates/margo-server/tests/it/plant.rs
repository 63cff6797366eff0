//! A manager in memory with devices around it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use margo_api::{
    Caller, DesiredStatePublisher, Problem, Publication, PublishError, WorkloadFleetManager as _,
};
use margo_core::{ClientId, Document, ManifestVersion, SpecVersion};
use margo_deployment::{BundleLimits, DesiredStateManifest, read_bundle, verify_bundle};
use margo_identity::{BearerAuthenticator, Token};
use margo_server::{
    DeployRequest, ManagementTokens, Manager, Memory, OnboardRequest, Onboarded, OperatorConfig,
    OperatorToken, RouterConfig, Store as _, TargetRef, authenticated_with, operator_router, router_with,
};
use margo_syntax::Limits;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const PUMP: &str = r"
apiVersion: v1
id: pump-monitor
metadata: { name: Pump monitor, version: '1.0', catalog: { organization: [{ name: Acme }] } }
deploymentProfiles:
  - type: helm
    id: cluster
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
      - name: dashboard
        properties: { repository: 'oci://registry.example/dashboard', revision: 2.0.0 }
parameters:
  interval: { value: 60, targets: [{ pointer: settings.interval, components: [collector] }] }
  site: { value: ABC, targets: [{ pointer: site, components: [collector, dashboard] }] }
  title: { targets: [{ pointer: title, components: [dashboard] }] }
configuration:
  sections:
    - name: General
      settings:
        - { parameter: interval, name: Interval, schema: seconds }
        - { parameter: site, name: Site, immutable: true, schema: code }
        - { parameter: title, name: Title, schema: words }
  schema:
    - { name: seconds, dataType: integer, minValue: 30, maxValue: 3600 }
    - { name: code, dataType: string, regexMatch: '^[A-Z]{3}$' }
    - { name: words, dataType: string, allowEmpty: true, maxLength: 10 }
";

/// `PUMP` with another version, another default and newer components.
pub(crate) fn newer_pump() -> String {
    PUMP.replace("version: '1.0'", "version: '2.0'")
        .replace("value: 60", "value: 90")
        .replace("revision: 1.0.9", "revision: 1.1.0")
}

/// A registry-based Compose application with constraints: the pre-draft cannot say where it is.
pub(crate) const COMPOSE: &str = r"
apiVersion: v1
id: line-dashboard
metadata: { name: Line dashboard, version: '1.0', catalog: { organization: [{ name: Acme }] } }
deploymentProfiles:
  - type: compose
    id: box
    components:
      - name: web
        properties: { repository: 'oci://registry.example/web', revision: 1.0.0 }
";

/// `PUMP` with what the pre-draft has no words for, and can do without.
pub(crate) fn constrained_pump() -> String {
    PUMP.replace("id: pump-monitor", "id: pump-constrained").replace(
        "    id: cluster\n",
        "    id: cluster\n    deviceConstraints: { capacityRequirements: { memory: 64Mi } }\n",
    )
}

/// Where publications end up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) published: Arc<Mutex<BTreeMap<ClientId, Publication>>>,
    pub(crate) is_broken: Arc<AtomicBool>,
}

impl DesiredStatePublisher for Shelf {
    async fn publish(&self, publication: &Publication) -> Result<(), PublishError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(PublishError::new(publication.client_id.clone(), "the disk is full"));
        }
        let mut published = self.published.lock().unwrap();
        let current = published.get(&publication.client_id);
        if current.is_none_or(|current| current.version < publication.version) {
            published.insert(publication.client_id.clone(), publication.clone());
        }
        Ok(())
    }

    async fn published(&self, client: &ClientId) -> Result<Option<ManifestVersion>, PublishError> {
        Ok(self.published.lock().unwrap().get(client).map(|publication| publication.version))
    }
}

pub(crate) type PlantManager = Manager<Arc<Memory>, Shelf>;

pub(crate) struct Plant {
    pub(crate) store: Arc<Memory>,
    pub(crate) shelf: Shelf,
    pub(crate) manager: Arc<PlantManager>,
    pub(crate) operator: Token,
    pub(crate) app: Router,
}

impl Plant {
    pub(crate) fn new() -> Self {
        Self::with_limits(RouterConfig::default())
    }

    pub(crate) fn with_limits(limits: RouterConfig) -> Self {
        let (store, shelf) = (Arc::new(Memory::new()), Shelf::default());
        let manager = Arc::new(Manager::new(Arc::clone(&store), shelf.clone(), ticking_clock()));
        let tokens = BearerAuthenticator::new(ManagementTokens::new(Arc::clone(&manager)));
        let operator = Token::generate().unwrap();
        let config = OperatorConfig::new(OperatorToken::from(&operator))
            .with_limits(limits)
            .with_git_url(|client| format!("/git/{client}"));
        let management = router_with(Arc::clone(&manager), &limits);
        let app = authenticated_with(management, Arc::new(tokens), &limits)
            .merge(operator_router(Arc::clone(&manager), config));
        Self { store, shelf, manager, operator, app }
    }

    /// Everything that is stored: two plants with the same text hold the same.
    pub(crate) fn snapshot(&self) -> String {
        format!("{:?}", self.store)
    }

    pub(crate) async fn onboard(&self, device: &str, revision: SpecVersion) -> Onboarded {
        let request = OnboardRequest::new(device.parse().unwrap(), revision)
            .with_client(format!("client-of-{device}").parse().unwrap());
        self.manager.onboard(request).await.unwrap()
    }

    pub(crate) async fn upload(&self, description: &str) {
        self.manager.upload_application(description.to_owned().into()).await.unwrap();
    }

    pub(crate) async fn deploy(&self, application: &str, targets: &[&str]) -> margo_server::Changed {
        self.manager.deploy(&deploy(application, targets)).await.unwrap()
    }

    /// A client's current manifest, without its having fetched it.
    pub(crate) async fn manifest(&self, client: &ClientId) -> Document<DesiredStateManifest> {
        let record = self.store.manifest(client).await.unwrap().unwrap();
        DesiredStateManifest::decode(record.document, &Limits::default()).unwrap()
    }

    /// The documents of a client's bundle, by deployment: whatever a device would have after a poll.
    pub(crate) async fn documents(&self, client: &ClientId) -> BTreeMap<String, Bytes> {
        let manifest = self.manifest(client).await;
        let Some(bundle) = &manifest.bundle else { return BTreeMap::new() };
        let bytes = self.manager.bundle(&Caller::new(client.clone()), bundle.digest).await.unwrap();
        let entries = read_bundle(&bytes, &BundleLimits::default()).unwrap();
        let content = verify_bundle(entries, &manifest).unwrap();
        manifest
            .deployments
            .iter()
            .map(|reference| (reference.deployment_id.to_string(), content[&reference.digest].clone()))
            .collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    /// A call of a device.
    pub(crate) async fn device(
        &self,
        as_client: &Onboarded,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        self.send(request(as_client.token.reveal(), method, path, body)).await
    }

    /// A call of the operator, with a JSON body unless it is null.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request(self.operator.reveal(), method, path, body)).await
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The problem, with everything that each problem must have (R-D-037, X-D-17).
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, path: &str) -> Problem {
        assert_eq!(self.status, status, "{:?}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert!(self.headers.contains_key("x-request-id"));
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((problem.status, problem.instance.as_deref()), (status, Some(path)));
        assert!(!problem.title.is_empty() && !problem.problem_type.as_str().is_empty());
        problem
    }

    /// The members a problem finds fault with.
    #[track_caller]
    pub(crate) fn faults(&self, status: u16, path: &str) -> Vec<String> {
        self.problem(status, path).errors.into_iter().map(|error| error.field).collect()
    }
}

pub(crate) fn request(token: &str, method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(body.into())
        .unwrap()
}

/// A body that says whether anybody has asked for it.
pub(crate) fn watched(content: impl Into<Bytes>) -> (Body, Arc<AtomicBool>) {
    let (content, is_read) = (content.into(), Arc::new(AtomicBool::new(false)));
    let reading = Arc::clone(&is_read);
    let body = futures_util::stream::once(async move {
        reading.store(true, Ordering::SeqCst);
        Ok::<_, std::io::Error>(content)
    });
    (Body::from_stream(body), is_read)
}

pub(crate) fn deploy(application: &str, targets: &[&str]) -> DeployRequest {
    let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
    DeployRequest::new(application.parse().unwrap(), targets)
}

pub(crate) fn target(text: &str) -> TargetRef {
    text.parse().unwrap()
}

/// A capabilities report as 1.0.0-rc.3 writes it.
pub(crate) fn capabilities(device: &str) -> Value {
    json!({ "properties": {
        "id": device, "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
        "cpus": [{ "cores": 4, "architecture": "arm64" }], "memory": "8Gi", "storage": "64 Gi",
        "peripherals": [], "interfaces": [{ "type": "ethernet" }], "otelCollector": true,
        "supportedRuntimes": ["oci"], "supportedDeploymentTypes": ["helm", "compose"],
    } })
}

/// A capabilities report as the pre-draft writes it.
pub(crate) fn old_capabilities(device: &str) -> Value {
    json!({ "apiVersion": "device.margo/v1", "kind": "DeviceCapabilities", "properties": {
        "id": device, "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
        "roles": ["Standalone Device"],
        "resources": { "cpus": [{ "architecture": "arm64", "cores": 4, "frequency": 2 }], "memory": 8, "storage": 64 },
        "peripherals": [], "interfaces": [],
    } })
}

/// A status report as 1.0.0-rc.3 writes it.
pub(crate) fn status(deployment: &str, adopted: u64, state: &str) -> Value {
    json!({
        "deploymentId": deployment, "adoptedManifestVersion": adopted, "status": { "state": state },
        "components": [{ "name": "collector", "state": state }, { "name": "dashboard", "state": state }],
    })
}

/// A status report as the pre-draft writes it.
pub(crate) fn old_status(deployment: &str, state: &str) -> Value {
    json!({
        "apiVersion": "deployment.margo/v1", "kind": "DeploymentStatus", "deploymentId": deployment,
        "status": { "state": state },
        "components": [{ "name": "collector", "state": state }, { "name": "dashboard", "state": state }],
    })
}

/// The manager's time when it starts, and that of every certificate in these tests: November 2023.
pub(crate) const START: u64 = 1_700_000_000;

/// A clock that is one millisecond later whenever it is asked.
pub(crate) fn ticking_clock() -> impl Fn() -> Timestamp + Send + Sync + 'static {
    let ticks = AtomicI64::new(1_700_000_000_000);
    move || Timestamp::from_millisecond(ticks.fetch_add(1, Ordering::SeqCst)).unwrap()
}
