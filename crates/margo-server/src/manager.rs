use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::endpoint::{report_capabilities, report_deployment_status};
use margo_api::{
    Caller, DesiredStatePublisher, FieldError, ManagerError, ManagerErrorKind, Recorded, Update,
    WorkloadFleetManager,
};
use margo_core::{ClientId, DeploymentId, DeviceId, Digest, ManifestVersion, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, DeploymentRef, DesiredStateManifest};
use margo_status::AnyDeploymentStatus;
use margo_syntax::Limits;
use rustls_pki_types::UnixTime;
use tokio::sync::broadcast;

use crate::store::{
    CapabilitiesRecord, ClientRecord, ContentKind, DeploymentRecord, StatusRecord, Store, StoreError,
};

mod access;
mod clients;
mod deployments;
mod error;
mod event;
mod order;
mod package;
mod placement;
mod plan;
mod planning;
mod publication;
mod reception;
mod selecting;
mod target;
mod view;

use clients::Known;

pub use access::{AccessTokens, ClientAcceptance, ClientKeys, GitTokens, ManagementTokens, PayloadSigned};
pub use error::OperatorError;
pub use event::{ChangeKind, FleetEvent};
pub use order::{
    DeleteRequest, DeployRequest, LinkRequest, OnboardRequest, PlacementRequest, ReconfigureRequest,
    Selection, Spread, UnlinkRequest, UpdateRequest,
};
pub use publication::RecoverError;
pub use reception::{Admission, IssuedTokens, Reception, TrustAnchors};
pub use target::TargetRef;
pub use view::{
    ApplicationView, CapabilitiesView, Changed, ComponentView, DeploymentDetail, DeploymentView, Desired,
    DeviceView, ErrorView, LossView, Onboarded, ParameterView, PlacementView, Placements, ProfileView,
    ReasonView, ReportView, WarningKind, WarningView,
};

/// How many events a reader may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// The reference Workload Fleet Manager: any [`Store`], and desired state made visible by any
/// [`DesiredStatePublisher`].
///
/// Devices meet it as a [`WorkloadFleetManager`]; operators by the methods here, which know no HTTP. What it answers
/// with success is durable. Whatever changes desired state is written to the store first, as one transaction over
/// every client it touches, and published afterwards; a publication that fails is repeated by
/// [`repair`](Self::repair), and by [`recover`](Self::recover) after a restart.
///
/// MI-007: over rc.3 a client speaks for whatever devices it names, whose ids are its own and nobody else's
/// (R-D-008, R-D-020); over the pre-draft for the device it was onboarded for alone, and another one is absent (X-A-21).
///
/// ```
/// use jiff::Timestamp;
/// use margo_api::NoPublisher;
/// use margo_core::SpecVersion;
/// use margo_server::{Manager, Memory, OnboardRequest};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now);
/// let onboarded = manager.onboard(OnboardRequest::new("plc-7".parse()?, SpecVersion::LATEST)).await?;
/// assert!(onboarded.token.reveal().starts_with("margo_"));
/// assert_eq!(manager.list_devices().await?[0].client_id, onboarded.client_id);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "WOS")]
#[doc(alias = "WFM")]
pub struct Manager<S, P> {
    store: S,
    publisher: P,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    events: broadcast::Sender<FleetEvent>,
    /// Held while desired state is changed and published, so that operators of this process need not race. Writers
    /// elsewhere are found out by the store.
    turn: tokio::sync::Mutex<()>,
    /// Whose desired state may not be visible everywhere yet.
    unpublished: Mutex<BTreeSet<ClientId>>,
}

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// A manager of what `store` holds. `clock` says what time it is.
    ///
    /// Call [`recover`](Self::recover) before serving from a store that was in use before.
    pub fn new(store: S, publisher: P, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            store,
            publisher,
            clock: Arc::new(clock),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            turn: tokio::sync::Mutex::new(()),
            unpublished: Mutex::new(BTreeSet::new()),
        }
    }

    /// Where it keeps what it knows.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How it makes desired state visible.
    #[must_use]
    pub fn publisher(&self) -> &P {
        &self.publisher
    }

    /// What happens from now on. A reader that is more than 1024 events behind misses some and is told so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<FleetEvent> {
        self.events.subscribe()
    }

    /// Notes that a client has fetched its desired state at `version`: called by whoever serves it, over REST this
    /// manager itself, over Git the host. Having fetched is not having adopted.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn note_fetched(&self, client: &ClientId, version: ManifestVersion) -> Result<(), StoreError> {
        match self.store.client(client).await? {
            Some(record) => self.note_fetched_by(&record, version).await,
            None => Ok(()),
        }
    }

    /// Costs a write only when the client gets ahead of what is known.
    async fn note_fetched_by(
        &self,
        client: &ClientRecord,
        version: ManifestVersion,
    ) -> Result<(), StoreError> {
        if client.fetched >= Some(version) {
            return Ok(());
        }
        self.store.note_fetched(&client.client_id, version).await?;
        let client_id = client.client_id.clone();
        self.announce(FleetEvent::DesiredStateFetched { at: self.now(), client_id, version });
        Ok(())
    }

    /// The client, if it is served (R-D-006, R-D-007).
    async fn accepted(&self, caller: &Caller) -> Result<ClientRecord, ManagerError> {
        let client = self.store.client(&caller.client_id).await.map_err(ManagerError::internal)?;
        match client {
            Some(client) if client.retired_at.is_none() => Ok(client),
            Some(_) => {
                Err(ManagerError::new(ManagerErrorKind::NotAuthorized).with_detail("this client is retired"))
            }
            None => Err(ManagerError::new(ManagerErrorKind::NotAuthorized)),
        }
    }

    /// What a report tells of its client: which of the two revisions it speaks that take devices on in the same words
    /// (rev-C 5), and what the device is called that came without a name (MI-024).
    async fn learn(
        &self,
        caller: &Caller,
        client: &ClientId,
        device: &DeviceId,
    ) -> Result<(), OperatorError> {
        let is_between = |revision| matches!(revision, SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2);
        let what_is_new = |record: &ClientRecord| {
            let mut after = record.clone();
            let is_nameless = record.device_id.as_str() == record.client_id.as_str();
            if is_between(record.revision) && is_between(caller.revision) {
                // rc.2 may use the short path too (X-C-08): only the first report tells that a device is older.
                let least = if is_nameless { SpecVersion::V1_0_0Rc1 } else { record.revision };
                after.revision = caller.revision.max(least);
            }
            if is_nameless && device.gateway().is_none() {
                after.device_id.clone_from(device);
            }
            (after != *record).then_some(after)
        };
        let read =
            async || self.store.client(client).await.map(|record| record.as_ref().and_then(what_is_new));
        if read().await?.is_none() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let Some(before) = self.store.client(client).await? else { return Ok(()) };
        let Some(mut after) = what_is_new(&before) else { return Ok(()) };
        match self.change_client(before.clone(), after.clone(), Known::default()).await {
            // Another client has a device of that name, which is no fault (R-D-008); operators say which they mean.
            Err(OperatorError::Conflict { .. }) if after.device_id != before.device_id => {
                after.device_id.clone_from(&before.device_id);
                self.change_client(before, after, Known::default()).await.map(drop)
            }
            changed => changed.map(drop),
        }
    }

    async fn content(
        &self,
        client: &ClientRecord,
        kind: ContentKind,
        digest: Digest,
        absent: ManagerErrorKind,
    ) -> Result<Bytes, ManagerError> {
        let content = self.store.content(&client.client_id, kind, digest).await;
        content.map_err(ManagerError::internal)?.ok_or_else(|| ManagerError::new(absent))
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn unix_now(&self) -> UnixTime {
        let seconds = u64::try_from(self.now().as_second()).unwrap_or(0);
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    fn announce(&self, event: FleetEvent) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    fn unpublished(&self) -> MutexGuard<'_, BTreeSet<ClientId>> {
        // Single insertions and removals: a panic leaves nothing half done.
        self.unpublished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store, P: DesiredStatePublisher> WorkloadFleetManager for Manager<S, P> {
    async fn desired_state(&self, caller: &Caller, known: Option<Digest>) -> Result<Update, ManagerError> {
        let client = self.accepted(caller).await?;
        if known.is_some() {
            let digest = self.store.manifest_digest(&client.client_id).await;
            if digest.map_err(ManagerError::internal)? == known {
                return Ok(Update::Unchanged);
            }
        }
        let record = self.store.manifest(&client.client_id).await.map_err(ManagerError::internal)?;
        let record = record.ok_or_else(|| ManagerError::internal("a client without a manifest"))?;
        let manifest = DesiredStateManifest::decode(record.document, &Limits::default())
            .map_err(ManagerError::internal)?;
        // It could have changed between the two.
        if known == Some(manifest.digest()) {
            return Ok(Update::Unchanged);
        }
        if let Err(error) = self.note_fetched_by(&client, manifest.manifest_version).await {
            tracing::warn!(error = crate::chain(&error), "a fetch could not be noted");
        }
        Ok(Update::Changed(manifest))
    }

    async fn deployment(&self, caller: &Caller, reference: &DeploymentRef) -> Result<Bytes, ManagerError> {
        let client = self.accepted(caller).await?;
        let absent = ManagerErrorKind::DeploymentNotFound;
        let bytes = self.content(&client, ContentKind::Deployment, reference.digest, absent).await?;
        let document = AnyApplicationDeployment::parse(&bytes, &Limits::default());
        if *document.map_err(ManagerError::internal)?.id() != reference.deployment_id {
            return Err(ManagerError::new(absent));
        }
        Ok(bytes)
    }

    async fn bundle(&self, caller: &Caller, digest: Digest) -> Result<Bytes, ManagerError> {
        let client = self.accepted(caller).await?;
        self.content(&client, ContentKind::Bundle, digest, ManagerErrorKind::BundleNotFound).await
    }

    async fn report_capabilities(
        &self,
        caller: &Caller,
        report: report_capabilities::Request,
    ) -> Result<Recorded, ManagerError> {
        let client = self.accepted(caller).await?;
        let revision = report.capabilities.revision();
        check_device(&client, &report.device_id, revision)?;
        let faults = report.capabilities.check(); // R-D-021, X-D-36
        if !faults.is_empty() {
            return Err(ManagerError::semantic(faults.iter().map(FieldError::from).collect()));
        }
        let (client_id, device_id, at) = (client.client_id, report.device_id, self.now());
        let record = CapabilitiesRecord::new(
            client_id.clone(),
            device_id.clone(),
            revision,
            report.capabilities.bytes().clone(),
            at,
        );
        let recorded = self.store.put_capabilities(record).await.map_err(|error| match error {
            // R-D-020
            StoreError::NoGateway { gateway } => ManagerError::new(ManagerErrorKind::GatewayNotFound)
                .with_detail(format!("report `{gateway}` first")),
            other => ManagerError::internal(other),
        })?;
        if let Err(error) = self.learn(caller, &client_id, &device_id).await {
            tracing::warn!(%client_id, error = crate::chain(&error), "a client stays what it was taken for");
        }
        let first = recorded == Recorded::Created;
        self.announce(FleetEvent::CapabilitiesReported { at, client_id, device_id, first });
        Ok(recorded)
    }

    async fn remove_device(&self, caller: &Caller, device: &DeviceId) -> Result<(), ManagerError> {
        let client = self.accepted(caller).await?;
        let removed = self.store.remove_device(&client.client_id, device).await;
        if !removed.map_err(ManagerError::internal)? {
            return Err(ManagerError::new(ManagerErrorKind::DeviceNotFound));
        }
        let (client_id, device_id) = (client.client_id, device.clone());
        self.announce(FleetEvent::DeviceRemoved { at: self.now(), client_id, device_id });
        Ok(())
    }

    async fn report_status(
        &self,
        caller: &Caller,
        report: report_deployment_status::Request,
    ) -> Result<Recorded, ManagerError> {
        let client = self.accepted(caller).await?;
        let report_deployment_status::Request { device_id, status, .. } = report;
        if let Some(device) = &device_id {
            check_device(&client, device, status.revision())?;
        }
        let absent = || ManagerError::new(ManagerErrorKind::DeploymentNotFound); // X-D-44
        let deployment = self.store.deployment(status.deployment_id()).await;
        let deployment = deployment.map_err(ManagerError::internal)?.ok_or_else(absent)?;
        if deployment.client_id != client.client_id {
            return Err(absent());
        }
        let mut errors: Vec<_> = status.check().iter().map(FieldError::from).collect();
        errors.extend(wrong_device(&deployment, device_id.as_ref()));
        if !errors.is_empty() {
            return Err(ManagerError::semantic(errors));
        }
        warn_about(&deployment, &status);

        let (client_id, deployment_id) = (client.client_id, deployment.deployment_id);
        let (state, at) = (status.state(), self.now());
        let record = StatusRecord::new(
            client_id.clone(),
            deployment_id.clone(),
            device_id,
            status.revision(),
            status.bytes().clone(),
            at,
        );
        let recorded = self.store.put_status(record).await.map_err(|error| match error {
            StoreError::NotFound { .. } => absent(),
            other => ManagerError::internal(other),
        })?;
        self.announce(FleetEvent::StatusReported { at, client_id, deployment_id, state });
        Ok(recorded)
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Manager<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("store", &self.store)
            .field("publisher", &self.publisher)
            .finish_non_exhaustive()
    }
}

/// The pre-draft names the device in the path, and it is the caller's own or absent (R-D-008, X-A-21). Later revisions
/// let a client speak for several devices, whose ids are its own (R-D-020, MI-007).
fn check_device(client: &ClientRecord, device: &DeviceId, revision: SpecVersion) -> Result<(), ManagerError> {
    if revision > SpecVersion::PreDraft || *device == client.device_id {
        return Ok(());
    }
    Err(ManagerError::new(ManagerErrorKind::DeviceNotFound))
}

/// R-C-011: a report about another device than the one it was deployed to.
fn wrong_device(deployment: &DeploymentRecord, device: Option<&DeviceId>) -> Option<FieldError> {
    let device = device?;
    let wanted = deployment.target.device();
    let fits = if deployment.target.is_any_behind() {
        // The gateway itself speaks until it has chosen a device.
        *device == wanted || device.as_str().starts_with(&format!("{wanted}/"))
    } else {
        *device == wanted
    };
    let message = format!("is `{device}`, and the deployment is for `{}`", deployment.target);
    (!fits).then(|| FieldError::new("deviceId", message))
}

/// What is strange about a report, and no reason to refuse it.
fn warn_about(deployment: &DeploymentRecord, status: &AnyDeploymentStatus) {
    if let Some(deviation) = status.contradiction() {
        // X-B-03
        tracing::warn!(deployment = %deployment.deployment_id, "{}", deviation.message);
    }
    if status.adopted().is_some_and(|adopted| adopted < deployment.since) {
        tracing::debug!(deployment = %deployment.deployment_id, "a report about an earlier version");
    }
    let Ok(document) = AnyApplicationDeployment::parse(&deployment.document, &Limits::default()) else {
        return;
    };
    let profile = document.upgrade(&deployment.target).value.spec.deployment_profile;
    for component in
        status.components().iter().filter(|component| profile.component(&component.name).is_none())
    {
        tracing::warn!(
            deployment = %deployment.deployment_id,
            component = %component.name,
            "a report names a component that was not deployed"
        );
    }
}

/// The manager's own ids.
fn new_deployment_id() -> Result<DeploymentId, OperatorError> {
    uuid::Uuid::new_v4().to_string().parse().map_err(OperatorError::failed)
}
