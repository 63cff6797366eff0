//! The other side of every role, and what happened between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use margo_agent::{Agent, Backoff, MemoryJournal, Schedule};
use margo_api::{
    CapabilitySink, Checkpoint, DesiredStateSource, Present, RuntimeError, SinkError, SinkErrorKind,
    SourceError, SourceErrorKind, StatusSink, Update, WorkloadRuntime,
};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{ComponentName, DeploymentId, DeviceId, Digest, Document, ManifestVersion};
use margo_deployment::{ApplicationDeployment, Component, DeploymentRef, DesiredStateManifest};
use margo_status::{DeploymentStatusManifest, ErrorReport};
use margo_syntax::Limits;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Everything that exists outside the agent. Clones are the same world.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

pub(crate) struct Inner {
    /// What was done, in order.
    pub(crate) log: Vec<String>,

    // The manager.
    pub(crate) manifest: Option<Document<DesiredStateManifest>>,
    pub(crate) documents: BTreeMap<Digest, Document<ApplicationDeployment>>,
    /// How the next polls fail; afterwards they succeed.
    pub(crate) poll_failures: VecDeque<SourceError>,
    /// While set, every poll fails.
    pub(crate) is_unreachable: bool,
    /// While set, the manager does not know that a manifest is held already.
    pub(crate) never_unchanged: bool,
    /// When polls came, since the world began.
    pub(crate) polls: Vec<Duration>,
    pub(crate) reports: Vec<DeploymentStatusManifest>,
    /// How the next reports fail; afterwards they succeed.
    pub(crate) sink_failures: VecDeque<SinkError>,
    pub(crate) offers: Vec<Duration>,
    pub(crate) capabilities: Vec<AnyDeviceCapabilities>,
    pub(crate) capability_failures: VecDeque<SinkError>,

    // The device.
    /// What runs: the digest a component was made from, or nothing while it is being changed.
    pub(crate) device: BTreeMap<(DeploymentId, ComponentName), Option<Digest>>,
    pub(crate) behaviors: BTreeMap<String, Behavior>,
    pub(crate) present_fails: bool,

    began: Instant,
}

#[derive(Clone)]
pub(crate) enum Behavior {
    Fail { times: u32 },
    FailToPrepare,
    FailToRemove { times: u32 },
    Take(Duration),
    Hang,
}

pub(crate) type TestAgent<J = MemoryJournal> = Agent<World, World, World, J>;

impl World {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            log: Vec::new(),
            manifest: None,
            documents: BTreeMap::new(),
            poll_failures: VecDeque::new(),
            is_unreachable: false,
            never_unchanged: false,
            polls: Vec::new(),
            reports: Vec::new(),
            sink_failures: VecDeque::new(),
            offers: Vec::new(),
            capabilities: Vec::new(),
            capability_failures: VecDeque::new(),
            device: BTreeMap::new(),
            behaviors: BTreeMap::new(),
            present_fails: false,
            began: Instant::now(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The manager wants exactly `deployments` from now on.
    pub(crate) fn desire(&self, version: u64, deployments: &[&Document<ApplicationDeployment>]) {
        let mut inner = self.lock();
        let references =
            deployments.iter().map(|it| DeploymentRef::new(it.id.clone(), it.digest())).collect();
        let version = ManifestVersion::new(version).unwrap();
        let manifest = DesiredStateManifest::new(version, None, references);
        let bytes = manifest.to_json().unwrap();
        inner.manifest = Some(Document::decode(bytes, |_| Ok::<_, ()>(manifest)).unwrap());
        inner.documents.extend(deployments.iter().map(|it| (it.digest(), (*it).clone())));
    }

    /// Components named `component`, of whatever deployment, or one as `deployment/component`.
    pub(crate) fn behave(&self, component: &str, behavior: Behavior) {
        self.lock().behaviors.insert(component.to_owned(), behavior);
    }

    /// What happened since the last time this was asked.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    /// What runs, as `deployment/component`; `?` after what is half-way.
    pub(crate) fn running(&self) -> Vec<String> {
        let inner = self.lock();
        let all = inner.device.iter();
        all.map(|((id, name), digest)| format!("{id}/{name}{}", if digest.is_some() { "" } else { "?" }))
            .collect()
    }

    /// Whether every component of `deployment` runs, made from these very bytes, and nothing else of it.
    pub(crate) fn runs(&self, deployment: &Document<ApplicationDeployment>) -> bool {
        let inner = self.lock();
        let names = deployment.spec.deployment_profile.components.iter().map(|component| &component.name);
        let wanted: BTreeMap<_, _> = names.map(|name| (name.clone(), Some(deployment.digest()))).collect();
        let has = inner.device.iter().filter(|((id, _), _)| *id == deployment.id);
        has.map(|((_, name), digest)| (name.clone(), *digest)).collect::<BTreeMap<_, _>>() == wanted
    }

    /// The reports about a deployment that arrived, each as `overall: component=state …`.
    pub(crate) fn told(&self, id: &str) -> Vec<String> {
        let inner = self.lock();
        inner.reports.iter().filter(|status| status.deployment_id.as_str() == id).map(tell).collect()
    }

    /// An agent of this world that remembers in `journal`.
    pub(crate) fn agent<J: margo_agent::Journal>(&self, journal: J) -> TestAgent<J> {
        Agent::new(self.clone(), self.clone(), self.clone(), journal)
            .with_schedule(Schedule::every(Duration::from_mins(1)).with_jitter(0.0), || {
                jiff::Timestamp::UNIX_EPOCH
            })
            .with_backoff(Backoff::new(Duration::from_secs(2), Duration::from_mins(5)).with_jitter(0.0))
    }

    fn note(&self, entry: String) {
        self.lock().log.push(entry);
    }

    fn behavior(&self, id: &DeploymentId, name: &str) -> Option<Behavior> {
        let inner = self.lock();
        inner.behaviors.get(&format!("{id}/{name}")).or_else(|| inner.behaviors.get(name)).cloned()
    }

    /// Uses up one failure; whether there was one.
    fn fails(&self, id: &DeploymentId, name: &str, is_removal: bool) -> bool {
        let mut inner = self.lock();
        let key = [format!("{id}/{name}"), name.to_owned()]
            .into_iter()
            .find(|key| inner.behaviors.contains_key(key));
        match key.and_then(|key| inner.behaviors.get_mut(&key)) {
            Some(Behavior::Fail { times }) if !is_removal && *times > 0 => *times -= 1,
            Some(Behavior::FailToRemove { times }) if is_removal && *times > 0 => *times -= 1,
            _ => return false,
        }
        true
    }
}

/// A status as `overall: component=state …`, with codes where there are errors.
pub(crate) fn tell(status: &DeploymentStatusManifest) -> String {
    let code =
        |error: &Option<ErrorReport>| error.as_ref().map(|it| format!("({})", it.code)).unwrap_or_default();
    let overall = format!("{}{}:", status.status.state, code(&status.status.error));
    let components = status.components.iter();
    components.fold(overall, |text, it| format!("{text} {}={}{}", it.name, it.state, code(&it.error)))
}

/// A deployment whose components are written as `name`, `name!` (does not wait) or `name:0m5s` (has a timeout).
/// `content` makes revisions differ.
pub(crate) fn deployment(id: &str, components: &[&str], content: &str) -> Document<ApplicationDeployment> {
    deployment_for("gateway-1/plc-7", id, components, content)
}

/// As [`deployment`], for another target.
pub(crate) fn deployment_for(
    target: &str,
    id: &str,
    components: &[&str],
    content: &str,
) -> Document<ApplicationDeployment> {
    let mut profile = String::new();
    for text in components {
        let (name, timeout) = text.split_once(':').unwrap_or((text, ""));
        let (name, wait) = name.strip_suffix('!').map_or((name, true), |name| (name, false));
        let timeout = if timeout.is_empty() { String::new() } else { format!(", timeout: {timeout}") };
        let package = format!("repository: 'oci://r.example/{name}', revision: 1.0.0");
        let _ = writeln!(
            profile,
            "      - {{ name: {name}, properties: {{ {package}, wait: {wait}{timeout} }} }}"
        );
    }
    let text = format!(
        "id: {id}\nmetadata: {{ name: {id}-name, namespace: plant, deviceId: '{target}' }}\nspec:\n  \
         applicationId: app\n  deploymentProfile:\n    type: helm\n    components:\n{profile}# {content}\n"
    );
    ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
}

pub(crate) fn unavailable(retry_after: Option<u64>) -> SinkError {
    SinkError::new(SinkErrorKind::Unavailable).with_retry_after(retry_after.map(Duration::from_secs))
}

impl DesiredStateSource for World {
    async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
        yield_now().await;
        let update = {
            let mut inner = self.lock();
            let since = inner.began.elapsed();
            inner.polls.push(since);
            inner.log.push("poll".to_owned());
            if let Some(error) = inner.poll_failures.pop_front() {
                return Err(error);
            }
            if inner.is_unreachable {
                return Err(SourceError::new(SourceErrorKind::Unavailable));
            }
            match &inner.manifest {
                Some(manifest)
                    if inner.never_unchanged || last.map(|it| it.digest) != Some(manifest.digest()) =>
                {
                    Update::Changed(manifest.clone())
                }
                _ => Update::Unchanged,
            }
        };
        yield_now().await;
        Ok(update)
    }

    async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        self.note(format!("fetch {}", reference.deployment_id));
        yield_now().await;
        let found = self.lock().documents.get(&reference.digest).cloned();
        found.ok_or_else(|| SourceError::new(SourceErrorKind::NotFound))
    }
}

impl StatusSink for World {
    async fn report_status(&self, status: &DeploymentStatusManifest) -> Result<(), SinkError> {
        yield_now().await;
        {
            let mut inner = self.lock();
            let since = inner.began.elapsed();
            inner.offers.push(since);
            if let Some(error) = inner.sink_failures.pop_front() {
                return Err(error);
            }
            inner.reports.push(status.clone());
        }
        yield_now().await;
        Ok(())
    }
}

impl CapabilitySink for World {
    async fn report_capabilities(&self, capabilities: &AnyDeviceCapabilities) -> Result<(), SinkError> {
        let mut inner = self.lock();
        if let Some(error) = inner.capability_failures.pop_front() {
            return Err(error);
        }
        inner.capabilities.push(capabilities.clone());
        inner.log.push(format!("capabilities {}", capabilities.device_id()));
        Ok(())
    }

    async fn remove_device(&self, device: &DeviceId) -> Result<(), SinkError> {
        let mut inner = self.lock();
        if let Some(error) = inner.capability_failures.pop_front() {
            return Err(error);
        }
        inner.log.push(format!("gone {device}"));
        Ok(())
    }
}

impl WorkloadRuntime for World {
    async fn present(&self) -> Result<Present, RuntimeError> {
        yield_now().await;
        let inner = self.lock();
        if inner.present_fails {
            return Err(RuntimeError::new("E0", "the engine does not answer"));
        }
        let mut present: BTreeMap<DeploymentId, BTreeSet<ComponentName>> = BTreeMap::new();
        for (id, name) in inner.device.keys() {
            present.entry(id.clone()).or_default().insert(name.clone());
        }
        Ok(present)
    }

    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        self.note(format!("prepare {}", deployment.id));
        yield_now().await;
        for component in &deployment.spec.deployment_profile.components {
            if let Some(Behavior::FailToPrepare) = self.behavior(&deployment.id, component.name.as_str()) {
                return Err(RuntimeError::new("E9", "no such image"));
            }
        }
        Ok(())
    }

    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        struct Dropped<'a>(&'a World, Option<String>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                if let Some(what) = self.1.take() {
                    self.0.note(what);
                }
            }
        }

        let (id, name) = (&deployment.id, &component.name);
        self.note(format!("apply {id}/{name}"));
        let mut dropped = Dropped(self, Some(format!("dropped {id}/{name}")));
        yield_now().await;
        match self.behavior(id, name.as_str()) {
            Some(Behavior::Take(time)) => sleep(time).await,
            Some(Behavior::Hang) => std::future::pending().await,
            _ => {}
        }
        if self.fails(id, name.as_str(), false) {
            dropped.1 = None;
            return Err(RuntimeError::new("E42", "image not found"));
        }
        let key = (id.clone(), name.clone());
        self.lock().device.insert(key.clone(), None);
        yield_now().await;
        self.lock().device.insert(key, Some(deployment.digest()));
        yield_now().await;
        dropped.1 = None;
        self.note(format!("done {id}/{name}"));
        Ok(())
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        self.note(format!("remove {deployment}/{component}"));
        yield_now().await;
        if self.fails(deployment, component.as_str(), true) {
            return Err(RuntimeError::new("E7", "still in use"));
        }
        self.lock().device.remove(&(deployment.clone(), component.clone()));
        yield_now().await;
        Ok(())
    }
}
