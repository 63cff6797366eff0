//! The reconcile loop of a device: poll, accept, plan, stage, carry out, commit, report.
//!
//! A device vendor brings one thing, a [`WorkloadRuntime`]: how to start and stop a workload on that device.
//! Everything the specification asks of a management client beyond that is here: refusing to go back, verifying
//! before changing, order and time limits of components, survival of power cuts, reports that are neither lost nor
//! reordered, polling hours, downtime, back-off, and capabilities.
//!
//! It refuses to know transports and runtimes: no HTTP, no Git, no Helm, no Compose. It reads no clock of its own
//! for the time of day, and it believes no source: every document is verified here again.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use margo_agent::{Agent, MemoryJournal};
//! use margo_api::{
//!     CapabilitySink, Checkpoint, DesiredStateSource, Present, RuntimeError, SinkError, SourceError, StatusSink,
//!     Update, WorkloadRuntime,
//! };
//! # use margo_api::SourceErrorKind;
//! use margo_capability::AnyDeviceCapabilities;
//! use margo_core::{ComponentName, DeploymentId, DeviceId, Document};
//! use margo_deployment::{ApplicationDeployment, Component, DeploymentRef, DesiredStateManifest};
//! use margo_status::DeploymentStatusManifest;
//! # use margo_core::ManifestVersion;
//! # use margo_syntax::Limits;
//!
//! /// All a vendor writes: here, workloads are names on a list.
//! #[derive(Default)]
//! struct List(Mutex<Present>);
//!
//! impl WorkloadRuntime for List {
//!     async fn present(&self) -> Result<Present, RuntimeError> {
//!         Ok(self.0.lock().unwrap().clone())
//!     }
//!
//!     async fn apply(
//!         &self,
//!         deployment: &Document<ApplicationDeployment>,
//!         component: &Component,
//!     ) -> Result<(), RuntimeError> {
//!         let mut list = self.0.lock().unwrap();
//!         list.entry(deployment.id.clone()).or_default().insert(component.name.clone());
//!         Ok(())
//!     }
//!
//!     async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
//!         let mut list = self.0.lock().unwrap();
//!         if let Some(components) = list.get_mut(deployment) {
//!             components.remove(component);
//!         }
//!         list.retain(|_, components| !components.is_empty());
//!         Ok(())
//!     }
//! }
//!
//! /// Stands for a manager; `margo-client` and `margo-git` bring real ones.
//! struct Manager(Document<DesiredStateManifest>, Document<ApplicationDeployment>);
//!
//! impl DesiredStateSource for Manager {
//!     async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
//!         let is_known = last == Some(Checkpoint::of(&self.0));
//!         Ok(if is_known { Update::Unchanged } else { Update::Changed(self.0.clone()) })
//!     }
//!
//!     async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
//!         # if reference.digest != self.1.digest() { return Err(SourceError::new(SourceErrorKind::NotFound)); }
//!         Ok(self.1.clone())
//!     }
//! }
//!
//! /// Receives what the device says.
//! struct Console;
//!
//! impl StatusSink for Console {
//!     async fn report_status(&self, status: &DeploymentStatusManifest) -> Result<(), SinkError> {
//!         println!("{} is {}", status.deployment_id, status.status.state);
//!         Ok(())
//!     }
//! }
//!
//! impl CapabilitySink for Console {
//!     async fn report_capabilities(&self, _: &AnyDeviceCapabilities) -> Result<(), SinkError> {
//!         Ok(())
//!     }
//!
//!     async fn remove_device(&self, _: &DeviceId) -> Result<(), SinkError> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let text = "
//! # id: pump-1
//! # metadata: { name: pump, namespace: plant, deviceId: plc-7 }
//! # spec:
//! #   applicationId: pump
//! #   deploymentProfile:
//! #     type: helm
//! #     components:
//! #       - { name: collector, properties: { repository: 'oci://r.example/c', revision: 1.0.9 } }
//! # ";
//! # let deployment = ApplicationDeployment::decode(text.into(), &Limits::default())?;
//! # let reference = DeploymentRef::new(deployment.id.clone(), deployment.digest());
//! # let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, None, vec![reference]);
//! # let manifest = Document::decode(manifest.to_json()?, |_| Ok::<_, SourceError>(manifest))?;
//! # let manager = Manager(manifest, deployment);
//! let mut agent = Agent::new(manager, Console, List::default(), MemoryJournal::new());
//! let round = agent.reconcile().await?;
//! assert_eq!(round.applied.len(), 1);
//! assert_eq!(agent.deliver().await?, 3); // pending, installing, installed
//! # Ok(())
//! # }
//! ```
//!
//! A real device calls [`Agent::run`], remembers in a [`RedbJournal`], polls by a [`Schedule`] and tells its
//! capabilities from a [`CapabilityFile`]. The decisions are pure and can be read alone: [`plan`] and [`accept`].
//!
//! [`WorkloadRuntime`]: margo_api::WorkloadRuntime

mod accept;
mod agent;
mod backoff;
mod capabilities;
mod host;
mod journal;
mod observer;
mod outbox;
mod plan;
mod runtimes;
mod schedule;

pub use accept::{Accepted, RefusalReason, RefusedManifest, accept};
pub use agent::{Agent, AgentError, Round};
pub use backoff::Backoff;
pub use capabilities::{CapabilityError, CapabilityFile};
pub use host::Host;
pub use journal::{
    Entry, Journal, JournalError, JournalState, MemoryJournal, Progress, QueuedReport, Record, RedbJournal,
};
pub use observer::Observer;
pub use outbox::OUTBOX_LIMIT;
pub use plan::{Applied, Step, plan};
pub use runtimes::Runtimes;
pub use schedule::{Clock, DayWindow, NeverOpen, ParseWindowError, ParseZoneError, Schedule, Zone};
