use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use margo_api::{BoxError, Checkpoint};
use margo_core::{ComponentName, DeploymentId, DeviceId, Digest, Document};
use margo_deployment::{ApplicationDeployment, DesiredStateManifest};
use margo_status::DeploymentStatusManifest;
use serde::{Deserialize, Serialize};

use crate::outbox::{OUTBOX_LIMIT, superseded};

mod file;

pub use file::RedbJournal;

/// What an agent remembers across restarts and power cuts: how far it got, and what it has not told yet.
///
/// Everything given to one [`write`](Self::write) becomes durable together or not at all; that is how a deployment
/// is never in force without its report being queued.
pub trait Journal: Send + Sync {
    /// Everything but documents and reports.
    fn read(&self) -> impl Future<Output = Result<JournalState, JournalError>> + Send;

    /// The document last written for a deployment.
    fn document(
        &self,
        id: &DeploymentId,
    ) -> impl Future<Output = Result<Option<Document<ApplicationDeployment>>, JournalError>> + Send;

    /// The report that has waited longest.
    fn first_report(&self) -> impl Future<Output = Result<Option<QueuedReport>, JournalError>> + Send;

    /// Writes all of `entries`, in order, or none of them. Durable when it returns.
    fn write(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// What an agent remembers of its desired state.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct JournalState {
    /// The manifest that was adopted completely (R-B-029).
    pub adopted: Option<Checkpoint>,
    /// The newest manifest that was ever accepted, adopted or not.
    pub attempted: Option<Checkpoint>,
    /// The manifest of [`attempted`](Self::attempted): what to restore when something disappears.
    pub manifest: Option<DesiredStateManifest>,
    /// Every deployment of which there may be something on the device.
    pub deployments: BTreeMap<DeploymentId, Record>,
    /// Every device the manager was told of and may still believe in (R-C-007).
    pub told: BTreeSet<DeviceId>,
}

/// What an agent remembers of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// The digest of the document that is, or was being, applied.
    pub digest: Digest,
    /// How far that got.
    pub progress: Progress,
    /// Every component that may be there: those of the document in its order, then those of older revisions that
    /// were not removed yet.
    pub components: Vec<ComponentName>,
    /// The deployment's `metadata.name`, for the errors of a removal; empty when it is not known.
    pub name: String,
    /// The device it is on.
    pub device: Option<DeviceId>,
}

impl Record {
    /// A record of a deployment whose name and device are not known.
    #[must_use]
    pub fn new(
        digest: Digest,
        progress: Progress,
        components: impl IntoIterator<Item = ComponentName>,
    ) -> Self {
        Self {
            digest,
            progress,
            components: components.into_iter().collect(),
            name: String::new(),
            device: None,
        }
    }
}

/// How far work on a deployment got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "work is under way in one direction or it is complete")]
pub enum Progress {
    /// Written before the first change: whoever finds it after a restart applies the deployment again.
    Applying,
    /// Written after the last change.
    Applied,
    /// Written before the first component is removed. After the last, the record is gone.
    Removing,
}

/// Something to remember.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever implements a journal must know every entry")]
pub enum Entry {
    /// A manifest was accepted: this is what the device works towards from now on.
    Attempted(Checkpoint, DesiredStateManifest),
    /// A manifest was adopted completely.
    Adopted(Checkpoint),
    /// How far work on a deployment got; takes the place of what was known.
    Record(DeploymentId, Record),
    /// The document of a deployment, bytes and meaning; takes the place of the one before.
    Document(Box<Document<ApplicationDeployment>>),
    /// A deployment is gone: forget its record and its document.
    Forget(DeploymentId),
    /// A report to deliver, after all that wait already.
    Report(DeploymentStatusManifest),
    /// The report with this number needs no delivery any more.
    Delivered(u64),
    /// The devices the manager was told of; takes the place of those before.
    Told(BTreeSet<DeviceId>),
}

/// A report that waits to be delivered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueuedReport {
    /// Its place in the order: later reports have greater numbers.
    pub number: u64,
    /// The report.
    pub status: DeploymentStatusManifest,
}

impl QueuedReport {
    /// A report and its place.
    #[must_use]
    pub fn new(number: u64, status: DeploymentStatusManifest) -> Self {
        Self { number, status }
    }
}

/// The journal could not do its part. What was written before is still there.
#[derive(Debug, thiserror::Error)]
#[error("the journal could not be {operation}")]
pub struct JournalError {
    operation: &'static str,
    #[source]
    cause: BoxError,
}

impl JournalError {
    /// The journal could not be `operation` (such as `written`) because of `cause`.
    pub fn new(operation: &'static str, cause: impl Into<BoxError>) -> Self {
        Self { operation, cause: cause.into() }
    }
}

/// A journal that forgets everything when the last clone of it is dropped: for tests and examples.
///
/// A device needs one that survives a power cut, such as [`RedbJournal`].
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    content: Arc<Mutex<Content>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Content {
    state: JournalState,
    documents: BTreeMap<DeploymentId, Document<ApplicationDeployment>>,
    outbox: BTreeMap<u64, DeploymentStatusManifest>,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self { content: Arc::default(), limit: OUTBOX_LIMIT }
    }

    /// The same journal, with room for so many reports before older ones give way.
    #[must_use]
    pub fn with_outbox_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Every report that waits, oldest first.
    #[must_use]
    pub fn reports(&self) -> Vec<QueuedReport> {
        let content = self.lock();
        content.outbox.iter().map(|(number, status)| QueuedReport::new(*number, status.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing panics while it is held.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal for MemoryJournal {
    async fn read(&self) -> Result<JournalState, JournalError> {
        Ok(self.lock().state.clone())
    }

    async fn document(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<Document<ApplicationDeployment>>, JournalError> {
        Ok(self.lock().documents.get(id).cloned())
    }

    async fn first_report(&self) -> Result<Option<QueuedReport>, JournalError> {
        let content = self.lock();
        let first = content.outbox.first_key_value();
        Ok(first.map(|(number, status)| QueuedReport::new(*number, status.clone())))
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        let mut content = self.lock();
        for entry in entries {
            content.write(entry, self.limit);
        }
        Ok(())
    }
}

impl Content {
    fn write(&mut self, entry: Entry, limit: usize) {
        match entry {
            Entry::Attempted(checkpoint, manifest) => {
                self.state.attempted = Some(checkpoint);
                self.state.manifest = Some(manifest);
            }
            Entry::Adopted(checkpoint) => self.state.adopted = Some(checkpoint),
            Entry::Record(id, record) => drop(self.state.deployments.insert(id, record)),
            Entry::Document(document) => drop(self.documents.insert(document.id.clone(), *document)),
            Entry::Forget(id) => {
                self.state.deployments.remove(&id);
                self.documents.remove(&id);
            }
            Entry::Report(status) => {
                if self.outbox.len() >= limit {
                    let waiting = self.outbox.iter().map(|(number, status)| (*number, &status.deployment_id));
                    for number in superseded(waiting, &status.deployment_id, limit) {
                        self.outbox.remove(&number);
                    }
                }
                let number = self.outbox.last_key_value().map_or(0, |(last, _)| last + 1);
                self.outbox.insert(number, status);
            }
            Entry::Delivered(number) => drop(self.outbox.remove(&number)),
            Entry::Told(devices) => self.state.told = devices,
        }
    }
}
