//! A device's roles against a manager, over a socket and within one process: the same sentences for both.
//!
//! The sentences are those of the specification, written over the roles of `margo-api` alone; what they are held
//! against is chosen below. Over REST they need a socket because a body, a status line or a header could lose what
//! the roles promise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use jiff::Timestamp;
use margo_api::{
    Caller, CapabilitySink, Checkpoint, DesiredStateSource, InProcess, NoPublisher, SinkErrorKind,
    SourceErrorKind, StatusSink, Update,
};
use margo_capability::AnyDeviceCapabilities;
use margo_client::{HttpTransport, RestClient};
use margo_core::{DeploymentId, DeviceId, Digest, Document, ManifestVersion, SpecVersion};
use margo_deployment::{DeploymentRef, DesiredStateManifest};
use margo_identity::{BearerAuthenticator, BearerCredentials, LoopbackOnly, Token};
use margo_server::{
    DeleteRequest, DeployRequest, ManagementTokens, Manager, Memory, OnboardRequest, Onboarded,
    ReconfigureRequest, Selection, authenticated, router,
};
use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
use serde_json::{Value, json};

use crate::plant::fixtures;

type Wfm = Manager<Memory, NoPublisher>;

/// What lies between a device and its manager.
trait Between: Sized {
    type Client: DesiredStateSource + StatusSink + CapabilitySink;

    async fn a_manager(manager: Arc<Wfm>) -> Self;

    /// A device's side.
    fn client(&self, onboarded: &Onboarded) -> Self::Client;
}

/// Nothing.
struct Nothing(Arc<Wfm>);

impl Between for Nothing {
    type Client = InProcess<Wfm>;

    async fn a_manager(manager: Arc<Wfm>) -> Self {
        Self(manager)
    }

    fn client(&self, onboarded: &Onboarded) -> Self::Client {
        InProcess::new(Arc::clone(&self.0), Caller::new(onboarded.client_id.clone()))
    }
}

/// HTTP over a socket, with development tokens.
struct Socket {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// A request, and the status of its answer.
type Seen = (String, u16);

impl Between for Socket {
    type Client = RestClient<HttpTransport, BearerCredentials>;

    async fn a_manager(manager: Arc<Wfm>) -> Self {
        let tokens = LoopbackOnly::new(BearerAuthenticator::new(ManagementTokens::new(Arc::clone(&manager))));
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let notes = Arc::clone(&seen);
        let note = move |request: Request, next: Next| note(Arc::clone(&notes), request, next);
        let app = authenticated(router(manager), Arc::new(tokens)).layer(from_fn(note));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async { axum::serve(listener, service).await });
        Self { address, seen, server }
    }

    fn client(&self, onboarded: &Onboarded) -> Self::Client {
        self.connect(onboarded, onboarded.token.clone())
    }
}

impl Socket {
    fn connect(&self, onboarded: &Onboarded, token: Token) -> <Self as Between>::Client {
        let base = format!("http://{}", self.address).parse().unwrap();
        RestClient::connect(base, onboarded.revision, token).unwrap().with_device(onboarded.device_id.clone())
    }

    /// What was asked since the last time.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn note(notes: Arc<Mutex<Vec<Seen>>>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    notes.lock().unwrap().push((asked, response.status().as_u16()));
    response
}

/// A manager with two clients of this revision, and what lies between.
struct Scene<B> {
    manager: Arc<Wfm>,
    between: B,
    ours: Onboarded,
    theirs: Onboarded,
}

impl<B: Between> Scene<B> {
    async fn set() -> Self {
        Self::of(SpecVersion::LATEST).await
    }

    async fn of(revision: SpecVersion) -> Self {
        let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
        let package = fixtures().join("packages/pump-monitor-1.0.0/margo.yaml");
        manager.upload_application(std::fs::read(package).unwrap().into()).await.unwrap();
        let onboard = async |device: &str| {
            manager.onboard(OnboardRequest::new(device.parse().unwrap(), revision)).await.unwrap()
        };
        let (ours, theirs) = (onboard("line-3").await, onboard("line-4").await);
        Self { between: B::a_manager(Arc::clone(&manager)).await, manager, ours, theirs }
    }

    fn client(&self) -> B::Client {
        self.between.client(&self.ours)
    }

    async fn deploy(&self, onboarded: &Onboarded) -> DeploymentId {
        let target = onboarded.device_id.clone().into();
        let mut request = DeployRequest::new("pump-monitor".parse().unwrap(), vec![target]);
        request.profile = Some("pump-monitor-cluster".to_owned());
        request.values = BTreeMap::from([("siteId".to_owned(), json!("DE-0042"))]);
        self.manager.deploy(&request).await.unwrap().deployments.remove(0).deployment_id
    }

    async fn reconfigure(&self, id: &DeploymentId, interval: u64) {
        let values = BTreeMap::from([("pollInterval".to_owned(), json!(interval))]);
        let request = ReconfigureRequest::new(Selection::ids([id.clone()]), values);
        self.manager.reconfigure(&request).await.unwrap();
    }

    /// What the manager knows a device to have reported: states of deployments, devices with their models.
    async fn states(&self, id: &DeploymentId) -> Vec<String> {
        let history = self.manager.deployment_view(id).await.unwrap().history;
        history.iter().map(|report| report.state.to_string()).collect()
    }

    async fn models(&self, onboarded: &Onboarded) -> BTreeMap<String, Option<String>> {
        let devices = self.manager.list_devices().await.unwrap();
        let ours = devices.into_iter().filter(|device| device.client_id == onboarded.client_id);
        let model = |document: &Value| document["properties"]["modelNumber"].as_str().unwrap().to_owned();
        ours.map(|device| {
            (
                device.device_id.to_string(),
                device.capabilities.map(|capabilities| model(&capabilities.document)),
            )
        })
        .collect()
    }
}

async fn changed(
    client: &impl DesiredStateSource,
    last: Option<Checkpoint>,
) -> Document<DesiredStateManifest> {
    match client.poll(last).await.unwrap() {
        Update::Changed(manifest) => manifest,
        Update::Unchanged => panic!("nothing has changed"),
    }
}

fn status(id: &DeploymentId, states: [DeploymentState; 2]) -> DeploymentStatusManifest {
    let names = ["measurement-store", "pump-analyzer"].map(|name| name.parse().unwrap());
    let components = names.into_iter().zip(states).map(|(name, state)| ComponentStatus::new(name, state));
    DeploymentStatusManifest::of(id.clone(), ManifestVersion::FIRST, components.collect())
}

fn capabilities(device: &str, model: &str) -> AnyDeviceCapabilities {
    let document = json!({ "properties": {
        "id": device, "vendor": "Lindqvist", "modelNumber": model, "serialNumber": "1", "cpus": [{ "cores": 2 }],
        "memory": "4Gi", "storage": "8Gi", "peripherals": [], "interfaces": [], "otelCollector": true,
        "supportedRuntimes": ["oci"], "supportedDeploymentTypes": ["helm"],
    }});
    AnyDeviceCapabilities::from_value(document).unwrap()
}

fn id(text: &str) -> DeploymentId {
    text.parse().unwrap()
}

/// Holds every way between a device and its manager against the same sentences.
macro_rules! sentences {
    ($($sentence:ident)*) => {
        mod over_a_socket {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence::<super::Socket>().await;
            })*
        }

        mod in_one_process {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence::<super::Nothing>().await;
            })*
        }
    };
}

sentences! {
    the_first_manifest_lists_nothing
    a_known_manifest_is_unchanged
    a_change_has_a_greater_version
    what_is_listed_is_there_and_is_what_was_announced
    what_an_earlier_manifest_listed_is_still_there
    a_digest_of_something_else_is_not_found
    what_is_somebody_elses_does_not_exist
    statuses_are_recorded_in_order
    a_status_that_makes_no_sense_is_rejected
    capabilities_are_recorded_and_replaced
    a_gateway_comes_before_the_devices_behind_it
    a_retired_client_is_not_served
}

/// R-B-020, R-B-021.
async fn the_first_manifest_lists_nothing<B: Between>() {
    let scene = Scene::<B>::set().await;
    let manifest = changed(&scene.client(), None).await;
    assert_eq!(manifest.manifest_version, ManifestVersion::FIRST);
    assert!(manifest.deployments.is_empty() && manifest.bundle.is_none());
}

/// R-B-035.
async fn a_known_manifest_is_unchanged<B: Between>() {
    let scene = Scene::<B>::set().await;
    scene.deploy(&scene.ours).await;
    let client = scene.client();
    let manifest = changed(&client, None).await;
    let last = Some(Checkpoint::of(&manifest));
    assert_eq!(client.poll(last).await.unwrap(), Update::Unchanged);
    // What happens to others is nothing to this client.
    scene.deploy(&scene.theirs).await;
    assert_eq!(client.poll(last).await.unwrap(), Update::Unchanged);
    // Without a checkpoint everything is news, byte for byte the same.
    assert_eq!(changed(&client, None).await.bytes(), manifest.bytes());
}

/// R-B-020, R-D-025, R-B-031: only what is absent from a manifest is to be removed.
async fn a_change_has_a_greater_version<B: Between>() {
    let scene = Scene::<B>::set().await;
    let client = scene.client();
    let mut last = Checkpoint::of(&changed(&client, None).await);
    let one = scene.deploy(&scene.ours).await;
    let two = scene.deploy(&scene.ours).await;
    let both = changed(&client, Some(last)).await;
    assert!(both.manifest_version > last.version);
    last = Checkpoint::of(&both);

    scene.reconfigure(&one, 10).await;
    let reconfigured = changed(&client, Some(last)).await;
    assert!(reconfigured.manifest_version > last.version);
    assert_ne!(reconfigured.deployment(&one).unwrap().digest, both.deployment(&one).unwrap().digest);
    assert_eq!(reconfigured.deployment(&two), both.deployment(&two));
    last = Checkpoint::of(&reconfigured);

    scene.manager.delete(&DeleteRequest::new(Selection::ids([one.clone()]))).await.unwrap();
    let less = changed(&client, Some(last)).await;
    assert!(less.manifest_version > last.version);
    assert_eq!((less.deployment(&one), less.deployment(&two)), (None, both.deployment(&two)));
}

/// R-B-024, R-B-026: one at a time or all at once, in whatever order they are asked for.
async fn what_is_listed_is_there_and_is_what_was_announced<B: Between>() {
    let scene = Scene::<B>::set().await;
    for _ in 0..5 {
        scene.deploy(&scene.ours).await;
    }
    let client = scene.client();
    let manifest = changed(&client, None).await;
    assert_eq!(manifest.deployments.len(), 5);
    let mut wanted = manifest.deployments.clone();
    wanted.reverse();
    let fetched = client.fetch_all(&manifest, &wanted).await.unwrap();
    assert_eq!(fetched.len(), wanted.len());
    for (reference, document) in wanted.iter().zip(&fetched) {
        assert_eq!((document.digest(), &document.id), (reference.digest, &reference.deployment_id));
        assert_eq!(client.fetch(reference).await.unwrap().bytes(), document.bytes());
    }
    assert!(client.fetch_all(&manifest, &[]).await.unwrap().is_empty());
}

/// R-B-024: a device that is slow is served although there is a newer manifest.
async fn what_an_earlier_manifest_listed_is_still_there<B: Between>() {
    let scene = Scene::<B>::set().await;
    let deployed = scene.deploy(&scene.ours).await;
    let client = scene.client();
    let earlier = changed(&client, None).await;
    scene.reconfigure(&deployed, 10).await;
    let fetched = client.fetch_all(&earlier, &earlier.deployments).await.unwrap();
    assert_eq!(fetched[0].digest(), earlier.deployments[0].digest);
}

/// R-B-024: what is not found says nothing about what is to be removed (R-B-031).
async fn a_digest_of_something_else_is_not_found<B: Between>() {
    let scene = Scene::<B>::set().await;
    let (one, two) = (scene.deploy(&scene.ours).await, scene.deploy(&scene.ours).await);
    let client = scene.client();
    let manifest = changed(&client, None).await;
    let digest_of_two = manifest.deployment(&two).unwrap().digest;
    for reference in [
        DeploymentRef::new(one.clone(), Digest::of(b"something else")),
        DeploymentRef::new(one, digest_of_two),
        DeploymentRef::new(id("nobody"), digest_of_two),
    ] {
        let error = client.fetch(&reference).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::NotFound, "{reference:?}");
    }
}

/// R-D-008, X-D-44: nobody learns that it exists.
async fn what_is_somebody_elses_does_not_exist<B: Between>() {
    let scene = Scene::<B>::set().await;
    let theirs = scene.deploy(&scene.theirs).await;
    let manifest = changed(&scene.between.client(&scene.theirs), None).await;
    let reference = manifest.deployment(&theirs).unwrap();
    let client = scene.client();
    let nobodys = DeploymentRef::new(id("nobody"), Digest::of(b"nothing"));
    let [foreign, absent] =
        [client.fetch(reference).await, client.fetch(&nobodys).await].map(Result::unwrap_err);
    assert_eq!((foreign.kind(), absent.kind()), (SourceErrorKind::NotFound, SourceErrorKind::NotFound));
    assert_eq!(foreign.to_string(), absent.to_string());

    for unknown in [&theirs, &nobodys.deployment_id] {
        let installed = status(unknown, [DeploymentState::Installed, DeploymentState::Installed]);
        let error = client.report_status(&installed).await.unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::Rejected);
    }
    assert!(scene.states(&theirs).await.is_empty());
    // A device of that name is another one, each client's own.
    let absent: DeviceId = "line-5".parse().unwrap();
    assert_eq!(client.remove_device(&absent).await.unwrap_err().kind(), SinkErrorKind::Rejected);
    client.report_capabilities(&capabilities("line-4", "ours")).await.unwrap();
    assert_eq!(scene.models(&scene.theirs).await, BTreeMap::from([("line-4".to_owned(), None)]));
    client.remove_device(&scene.theirs.device_id).await.unwrap();
    assert_eq!(scene.models(&scene.theirs).await, BTreeMap::from([("line-4".to_owned(), None)]));
}

/// R-B-033, R-B-039, R-B-040, R-C-012.
async fn statuses_are_recorded_in_order<B: Between>() {
    use DeploymentState::{Failed, Installed, Installing, Pending, Removed, Removing};
    let scene = Scene::<B>::set().await;
    let deployed = scene.deploy(&scene.ours).await;
    let client = scene.client();
    for states in [
        [Pending, Pending],
        [Installing, Pending],
        [Installed, Installing],
        [Installed, Installed],
        [Installed, Installed],
        [Removing, Removing],
        [Removed, Removed],
    ] {
        client.report_status(&status(&deployed, states)).await.unwrap();
    }
    let mut failed = status(&deployed, [Installed, Failed]);
    failed.components[1] = ComponentStatus::failed("pump-analyzer".parse().unwrap(), "E-1", "no \"chart\"\n");
    let failed = DeploymentStatusManifest::of(deployed.clone(), ManifestVersion::FIRST, failed.components);
    client.report_status(&failed.with_name("pumps").with_device("line-3".parse().unwrap())).await.unwrap();

    let states =
        ["pending", "installing", "installing", "installed", "installed", "removing", "removed", "failed"];
    assert_eq!(scene.states(&deployed).await, states);
    let view = scene.manager.deployment_view(&deployed).await.unwrap().deployment;
    let error = view.error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.source.as_str(), error.message.as_str()),
        ("E-1", "pumps", "no \"chart\"\n")
    );
    assert_eq!(view.components[1].error.as_ref().unwrap().source, "pump-analyzer");
    assert_eq!(view.adopted_version, Some(ManifestVersion::FIRST));
}

/// Nothing is stored of it, and a device need not say it again.
async fn a_status_that_makes_no_sense_is_rejected<B: Between>() {
    let scene = Scene::<B>::set().await;
    let deployed = scene.deploy(&scene.ours).await;
    let client = scene.client();
    let sleeping = status(&deployed, [DeploymentState::Installed, DeploymentState::from("sleeping")]);
    let twice = ["pump-analyzer"; 2]
        .map(|name| ComponentStatus::new(name.parse().unwrap(), DeploymentState::Installed));
    let twice = DeploymentStatusManifest::of(deployed.clone(), ManifestVersion::FIRST, twice.into());
    let installed = || status(&deployed, [DeploymentState::Installed, DeploymentState::Installed]);
    // R-C-011: it was deployed to the gateway itself.
    let elsewhere = installed().with_device("line-3/sensor".parse().unwrap());
    for report in [sleeping, twice, elsewhere] {
        let error = client.report_status(&report).await.unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::Rejected, "{report:?}");
    }
    assert!(scene.states(&deployed).await.is_empty());
    client.report_status(&installed()).await.unwrap();
    assert_eq!(scene.states(&deployed).await, ["installed"]);
}

/// R-D-020.
async fn capabilities_are_recorded_and_replaced<B: Between>() {
    let scene = Scene::<B>::set().await;
    let client = scene.client();
    let device = |model: Option<&str>| BTreeMap::from([("line-3".to_owned(), model.map(str::to_owned))]);
    assert_eq!(scene.models(&scene.ours).await, device(None));
    for model in ["LX-400", "LX-500"] {
        client.report_capabilities(&capabilities("line-3", model)).await.unwrap();
        assert_eq!(scene.models(&scene.ours).await, device(Some(model)));
    }
}

/// R-D-020, R-C-004, R-C-007.
async fn a_gateway_comes_before_the_devices_behind_it<B: Between>() {
    let scene = Scene::<B>::set().await;
    let client = scene.client();
    let child = capabilities("line-3/cell-1/sensor", "S");
    let error = client.report_capabilities(&child).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Rejected);
    for device in ["line-3", "line-3/cell-1", "line-3/cell-1/sensor"] {
        client.report_capabilities(&capabilities(device, "S")).await.unwrap();
    }
    let cell: DeviceId = "line-3/cell-1".parse().unwrap();
    client.remove_device(&cell).await.unwrap();
    assert_eq!(scene.models(&scene.ours).await.into_keys().collect::<Vec<_>>(), ["line-3"]);
    assert_eq!(client.remove_device(&cell).await.unwrap_err().kind(), SinkErrorKind::Rejected);
}

/// R-D-006, R-D-007.
async fn a_retired_client_is_not_served<B: Between>() {
    let scene = Scene::<B>::set().await;
    let deployed = scene.deploy(&scene.ours).await;
    let client = scene.client();
    let manifest = changed(&client, None).await;
    scene.manager.retire(&scene.ours.device_id.clone().into()).await.unwrap();

    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unauthorized);
    let error = client.fetch(&manifest.deployments[0]).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unauthorized);
    let installed = status(&deployed, [DeploymentState::Installed, DeploymentState::Installed]);
    assert_eq!(client.report_status(&installed).await.unwrap_err().kind(), SinkErrorKind::Unauthorized);
    let error = client.report_capabilities(&capabilities("line-3", "LX-400")).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unauthorized);
    let error = client.remove_device(&scene.ours.device_id).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unauthorized);
    assert!(scene.states(&deployed).await.is_empty());
    changed(&scene.between.client(&scene.theirs), None).await;
}

/// R-A-012: a token nobody has, that of another client, and none of the two revisions lets it in.
#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    for revision in [SpecVersion::PreDraft, SpecVersion::LATEST] {
        let scene = Scene::<Socket>::of(revision).await;
        let deployed = scene.deploy(&scene.ours).await;
        let installed = status(&deployed, [DeploymentState::Installed, DeploymentState::Installed]);
        let client = scene.between.connect(&scene.ours, Token::generate().unwrap());
        let error = client.report_status(&installed).await.unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::Unauthorized, "{revision}");
        if revision == SpecVersion::LATEST {
            assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unauthorized);
        }
        // R-D-008: their token is good, and opens what is theirs.
        let client = scene.between.connect(&scene.ours, scene.theirs.token.clone());
        let error = client.report_status(&installed).await.unwrap_err();
        assert_eq!(error.kind(), SinkErrorKind::Rejected, "{revision}");
        assert!(scene.states(&deployed).await.is_empty());
    }
}

/// R-B-022, R-B-035: what goes over the wire is as little as there can be.
#[tokio::test]
async fn many_deployments_are_one_request() {
    let scene = Scene::<Socket>::set().await;
    for _ in 0..5 {
        scene.deploy(&scene.ours).await;
    }
    let client = scene.client();
    let manifest = changed(&client, None).await;
    client.poll(Some(Checkpoint::of(&manifest))).await.unwrap();
    let poll = "GET /api/v1/deployments".to_owned();
    assert_eq!(scene.between.seen(), [(poll.clone(), 200), (poll, 304)]);

    client.fetch_all(&manifest, &manifest.deployments).await.unwrap();
    let bundle = manifest.bundle.as_ref().unwrap();
    assert_eq!(scene.between.seen(), [(format!("GET /api/v1/bundles/{}", bundle.digest), 200)]);

    client.fetch_all(&manifest, &manifest.deployments[..2]).await.unwrap();
    let single = |reference: &DeploymentRef| (format!("GET {}", reference.url), 200);
    assert_eq!(scene.between.seen(), [single(&manifest.deployments[0]), single(&manifest.deployments[1])]);
}

/// A1 to A3: the pre-draft over its own routes, in its own words; what it cannot say is not sent.
#[tokio::test]
async fn the_pre_draft_says_what_it_can() {
    use DeploymentState::{Installed, Installing, Removing};
    let scene = Scene::<Socket>::of(SpecVersion::PreDraft).await;
    let deployed = scene.deploy(&scene.ours).await;
    let client = scene.client();
    for states in [[Installing, Installing], [Installed, Installed]] {
        client.report_status(&status(&deployed, states)).await.unwrap();
    }
    let report = format!("POST /device/line-3/deployment/{deployed}/status");
    assert_eq!(scene.between.seen(), [(report.clone(), 201), (report, 201)]);
    assert_eq!(scene.states(&deployed).await, ["installing", "installed"]);
    let history = scene.manager.deployment_view(&deployed).await.unwrap().history;
    assert!(history.iter().all(|report| report.revision == SpecVersion::PreDraft));

    let removing = client.report_status(&status(&deployed, [Removing, Removing])).await.unwrap_err();
    assert_eq!(removing.kind(), SinkErrorKind::Unsayable);
    let removal = client.remove_device(&"line-3".parse().unwrap()).await.unwrap_err();
    assert_eq!(removal.kind(), SinkErrorKind::Unsayable);
    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::NotFound);
    assert!(scene.between.seen().is_empty(), "nothing is sent that has no words or no route");

    let document = json!({ "apiVersion": "device.margo/v1", "kind": "DeviceCapabilities", "properties": {
        "id": "line-3", "vendor": "Lindqvist", "modelNumber": "PX-20", "serialNumber": "1",
        "roles": ["Standalone Device"], "peripherals": [], "interfaces": [],
        "resources": { "cpus": [{ "architecture": "x86_64", "cores": 2, "frequency": 3 }], "memory": 4, "storage": 8 },
    }});
    client.report_capabilities(&AnyDeviceCapabilities::from_value(document).unwrap()).await.unwrap();
    assert_eq!(scene.between.seen(), [("POST /device/line-3/capabilities".to_owned(), 201)]);
    let known = BTreeMap::from([("line-3".to_owned(), Some("PX-20".to_owned()))]);
    assert_eq!(scene.models(&scene.ours).await, known);
}
