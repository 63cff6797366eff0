use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use margo_api::{CapabilitySink, DesiredStateSource, Outage, RuntimeError, StatusSink, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, DeviceId, Document, ManifestVersion};
use margo_deployment::{ApplicationDeployment, Component};
use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest, ErrorReport};

use super::{Agent, AgentError, Outcome};
use crate::{Entry, Journal, Progress, Record};

/// The code of a component that was not in place in time (R-A-038).
const TIMEOUT: &str = "timeout";

impl<S, K, R, J> Agent<S, K, R, J>
where
    S: DesiredStateSource,
    K: StatusSink + CapabilitySink,
    R: WorkloadRuntime,
    J: Journal,
{
    /// Puts one deployment in force, component by component, in the listed order (R-A-036).
    ///
    /// The next component starts when the one before is in place, or at once when that one does not wait (R-A-037).
    /// After a failure no further component starts; those under way are waited for.
    pub(super) async fn apply(&self, application: Application) -> Result<Outcome, AgentError> {
        let Application { document, leftovers, mut board } = application;
        let components = &document.spec.deployment_profile.components;

        // Before the first change: whoever reads this after a power cut applies the deployment again.
        let record = record(&document, Progress::Applying, &leftovers);
        let mut entries =
            vec![Entry::Document(Box::new(document.clone())), Entry::Record(document.id.clone(), record)];
        let mut under_way = FuturesUnordered::new();
        for (index, component) in components.iter().enumerate() {
            board.set(index, DeploymentState::Installing);
            entries.extend(board.news().map(Entry::Report));
            self.write(std::mem::take(&mut entries)).await?;
            under_way.push(self.install(index, &document, component));
            while component.properties.waits()
                && let Some((finished, outcome)) = under_way.next().await
            {
                board.settle(finished, outcome);
                // What comes next is reported together with it, in one breath.
                if finished == index {
                    break;
                }
                self.tell(&mut board).await?;
            }
            let is_last = index + 1 == components.len();
            if board.has_failed() || (is_last && !under_way.is_empty()) {
                self.tell(&mut board).await?;
            }
            if board.has_failed() {
                break;
            }
        }
        while let Some((finished, outcome)) = under_way.next().await {
            board.settle(finished, outcome);
            if board.has_failed() || !under_way.is_empty() {
                self.tell(&mut board).await?;
            }
        }
        if board.has_failed() {
            return Ok(Outcome::Failed);
        }

        // Only now, with the new ones in place.
        for name in &leftovers {
            if let Err(error) = self.runtime.remove(&document.id, name).await {
                board.add_failed(name.clone(), &error);
                self.tell(&mut board).await?;
                return Ok(Outcome::Failed);
            }
        }
        let mut entries =
            vec![Entry::Record(document.id.clone(), self::record(&document, Progress::Applied, &[]))];
        entries.extend(board.news().map(Entry::Report));
        self.write(entries).await?;
        Ok(Outcome::Applied)
    }

    /// Takes one deployment away, the last component first: it may need those before it.
    pub(super) async fn remove(&self, removal: Removal) -> Result<Outcome, AgentError> {
        let Removal { id, record, mut board } = removal;
        let mut entries: Vec<_> =
            record.map(|record| Entry::Record(id.clone(), record)).into_iter().collect();
        entries.extend(board.news().map(Entry::Report));
        self.write(entries).await?;

        for index in (0..board.components.len()).rev() {
            match self.runtime.remove(&id, &board.components[index].name).await {
                Ok(()) => board.set(index, DeploymentState::Removed),
                Err(error) => {
                    board.settle(index, Err(error));
                    self.tell(&mut board).await?;
                    return Ok(Outcome::Failed);
                }
            }
            if index > 0 {
                self.tell(&mut board).await?;
            }
        }
        board.otherwise = DeploymentState::Removed;
        let mut entries = vec![Entry::Forget(id)];
        entries.extend(board.news().map(Entry::Report));
        self.write(entries).await?;
        Ok(Outcome::Removed)
    }

    /// Queues a report, if there is anything new to say (R-A-021, R-B-033).
    pub(super) async fn tell(&self, board: &mut Board) -> Result<(), AgentError> {
        match board.news() {
            Some(status) => self.write(vec![Entry::Report(status)]).await,
            None => Ok(()),
        }
    }

    async fn install(
        &self,
        index: usize,
        document: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> (usize, Result<(), RuntimeError>) {
        let apply = self.runtime.apply(document, component);
        let outcome = match &component.properties.timeout {
            // R-A-038: the runtime's future is dropped when its time is over.
            Some(timeout) => match tokio::time::timeout(timeout.duration(), apply).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    Err(self.give_up(document, component, &format!("not in place within {timeout}")).await)
                }
            },
            None => apply.await,
        };
        if let Err(error) = &outcome {
            let (deployment, component) = (&document.id, &component.name);
            tracing::warn!(%deployment, %component, error = error as &dyn std::error::Error, "a component failed");
        }
        (index, outcome)
    }

    /// Has what ran before brought back, where the runtime can.
    async fn give_up(
        &self,
        document: &Document<ApplicationDeployment>,
        component: &Component,
        why: &str,
    ) -> RuntimeError {
        match self.runtime.restore(&document.id, &component.name).await {
            Ok(true) => RuntimeError::new(TIMEOUT, format!("{why}; the previous version runs again")),
            Ok(false) => RuntimeError::new(TIMEOUT, why),
            Err(error) => {
                let message = format!("{why}; what ran before did not come back: {error}");
                RuntimeError::new(TIMEOUT, message).because(error)
            }
        }
    }
}

/// A deployment to put in force.
pub(super) struct Application {
    pub(super) document: Document<ApplicationDeployment>,
    /// Components of older revisions that this one does not have.
    leftovers: Vec<ComponentName>,
    pub(super) board: Board,
}

/// The board of a deployment that was applied, by what is remembered of it.
pub(super) fn board_of(id: &DeploymentId, record: &Record, version: ManifestVersion) -> Board {
    let names = record.components.iter().cloned();
    Board {
        id: id.clone(),
        version,
        name: record.name.clone(),
        device: record.device.clone(),
        components: names.map(|name| ComponentStatus::new(name, DeploymentState::Installed)).collect(),
        otherwise: DeploymentState::Installed,
        told: None,
        refusal: None,
    }
}

impl Application {
    pub(super) fn new(
        document: Document<ApplicationDeployment>,
        record: Option<&Record>,
        present: Option<&BTreeSet<ComponentName>>,
        version: ManifestVersion,
    ) -> Self {
        let profile = &document.spec.deployment_profile;
        let mut leftovers = known(record, present);
        leftovers.retain(|name| profile.component(name).is_none());
        let names = profile.components.iter().map(|component| component.name.clone());
        let board = Board {
            id: document.id.clone(),
            version,
            name: document.metadata.name.clone(),
            device: Some(document.metadata.device_id.device()),
            components: names.map(|name| ComponentStatus::new(name, DeploymentState::Pending)).collect(),
            otherwise: DeploymentState::Installed,
            refusal: None,
            told: None,
        };
        Self { document, leftovers, board }
    }

    pub(super) fn id(&self) -> &DeploymentId {
        &self.document.id
    }
}

/// A deployment to take away.
pub(super) struct Removal {
    id: DeploymentId,
    /// What to remember while it lasts; nothing of a deployment that nobody remembers.
    record: Option<Record>,
    board: Board,
}

impl Removal {
    pub(super) fn new(
        id: DeploymentId,
        record: Option<&Record>,
        present: Option<&BTreeSet<ComponentName>>,
        version: ManifestVersion,
    ) -> Self {
        let components = known(record, present);
        let board = Board {
            id: id.clone(),
            version,
            name: record.map(|record| record.name.clone()).unwrap_or_default(),
            device: record.and_then(|record| record.device.clone()),
            components: components
                .iter()
                .map(|name| ComponentStatus::new(name.clone(), DeploymentState::Removing))
                .collect(),
            otherwise: DeploymentState::Removing,
            refusal: None,
            told: None,
        };
        let record =
            record.map(|record| Record { progress: Progress::Removing, components, ..record.clone() });
        Self { id, record, board }
    }

    pub(super) fn id(&self) -> &DeploymentId {
        &self.id
    }
}

/// Where a deployment and its components stand, and what was told of it.
pub(super) struct Board {
    id: DeploymentId,
    /// Of the manifest that is being acted on (R-D-026).
    version: ManifestVersion,
    /// `metadata.name`: the source of the deployment's own errors (R-C-012).
    name: String,
    device: Option<DeviceId>,
    components: Vec<ComponentStatus>,
    /// The state of a deployment without components.
    otherwise: DeploymentState,
    /// What a gateway says of the deployment as a whole.
    refusal: Option<ErrorReport>,
    told: Option<DeploymentStatusManifest>,
}

impl Board {
    /// The board of a deployment of which no more than the id is known.
    pub(super) fn bare(id: DeploymentId, version: ManifestVersion) -> Self {
        Self {
            id,
            version,
            name: String::new(),
            device: None,
            components: Vec::new(),
            otherwise: DeploymentState::Pending,
            refusal: None,
            told: None,
        }
    }

    fn set(&mut self, index: usize, state: DeploymentState) {
        let component = &mut self.components[index];
        *component = ComponentStatus::new(component.name.clone(), state);
    }

    fn settle(&mut self, index: usize, outcome: Result<(), RuntimeError>) {
        match outcome {
            Ok(()) => self.set(index, DeploymentState::Installed),
            Err(error) => self.components[index] = failed(self.components[index].name.clone(), &error),
        }
    }

    /// Where each component of an applied deployment stands.
    pub(super) fn settle_all(&mut self, outages: &BTreeMap<ComponentName, Outage>) {
        for component in &mut self.components {
            *component = match outages.get(&component.name) {
                Some(outage) => {
                    ComponentStatus::failed(component.name.clone(), outage.code(), outage.message())
                }
                None => ComponentStatus::new(component.name.clone(), DeploymentState::Installed),
            };
        }
    }

    /// The deployment as a whole failed before any component was touched.
    pub(super) fn fail_all(&mut self, error: &RuntimeError) {
        for component in &mut self.components {
            *component = failed(component.name.clone(), error);
        }
    }

    /// As [`fail_all`](Self::fail_all), also where no component is known.
    pub(super) fn fail_whole(&mut self, error: &RuntimeError) {
        self.fail_all(error);
        if self.components.is_empty() {
            self.otherwise = DeploymentState::Failed;
            self.refusal = Some(ErrorReport::new(error.code(), self.id.as_str(), error.message()));
        }
    }

    /// A gateway cannot have the deployment carried out (R-C-010).
    pub(super) fn refuse(&mut self, error: ErrorReport) {
        for component in &mut self.components {
            *component = ComponentStatus::new(component.name.clone(), DeploymentState::Failed);
            component.error = Some(error.clone());
        }
        self.otherwise = DeploymentState::Failed;
        self.refusal = Some(error);
    }

    /// A component that should be gone could not be removed: it is told, because it is still there.
    fn add_failed(&mut self, name: ComponentName, error: &RuntimeError) {
        self.components.push(failed(name, error));
    }

    fn has_failed(&self) -> bool {
        self.components.iter().any(|component| component.state == DeploymentState::Failed)
    }

    /// The report of how things stand, unless it was told already.
    pub(super) fn news(&mut self) -> Option<DeploymentStatusManifest> {
        let status = DeploymentStatusManifest::of(self.id.clone(), self.version, self.components.clone());
        let mut status = if self.name.is_empty() { status } else { status.with_name(&self.name) };
        status.device_id.clone_from(&self.device);
        if self.components.is_empty() {
            status.status.state = self.otherwise.clone();
        }
        if let Some(refusal) = &self.refusal {
            status.status.error = Some(refusal.clone());
        }
        if self.told.as_ref() == Some(&status) {
            return None;
        }
        self.told = Some(status.clone());
        Some(status)
    }
}

fn record(
    document: &Document<ApplicationDeployment>,
    progress: Progress,
    leftovers: &[ComponentName],
) -> Record {
    let components = document.spec.deployment_profile.components.iter().map(|component| &component.name);
    Record {
        name: document.metadata.name.clone(),
        device: Some(document.metadata.device_id.device()),
        ..Record::new(document.digest(), progress, components.chain(leftovers).cloned())
    }
}

/// Every component there may be: in the order of the record, then what only the runtime knows.
fn known(record: Option<&Record>, present: Option<&BTreeSet<ComponentName>>) -> Vec<ComponentName> {
    let mut names: Vec<ComponentName> = record.map(|record| record.components.clone()).unwrap_or_default();
    let unknown: Vec<_> =
        present.into_iter().flatten().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(unknown);
    names
}

fn failed(name: ComponentName, error: &RuntimeError) -> ComponentStatus {
    ComponentStatus::failed(name, error.code(), error.message())
}
