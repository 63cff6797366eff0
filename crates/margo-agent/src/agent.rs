use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use margo_api::{
    CapabilitySink, Checkpoint, DesiredStateSource, Present, RuntimeError, SinkError, SourceError,
    SourceErrorKind, StatusSink, Update, WorkloadRuntime,
};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeploymentId, DeviceTarget, Document, ManifestVersion};
use margo_deployment::{ApplicationDeployment, DeploymentRef, DesiredStateManifest};
use margo_status::ErrorReport;
use tokio::sync::Notify;

use crate::accept::SECURITY;
use crate::outbox::{Delivery, deliver_first};
use crate::{
    Applied, Backoff, CapabilityFile, Clock, Entry, Journal, JournalError, JournalState, Observer,
    RefusedManifest, Schedule, Step, accept, plan,
};

mod drift;
mod eligible;
mod patience;
mod run;
mod work;

use drift::working;
use patience::Patience;
use work::{Application, Removal};

/// The management client of a device: it makes what runs what should run, and tells what happens.
///
/// It is put together from roles, and knows nothing of what is behind them: where desired state comes from, who
/// receives reports, what runs workloads, and where it remembers.
///
/// [`run`](Self::run) does everything until it is told to stop. [`reconcile`](Self::reconcile) and
/// [`deliver`](Self::deliver) are single steps of it, for programs that have their own loop. Dropping any of these
/// futures is safe at every moment, and so is losing power: what was begun is completed by the next round.
pub struct Agent<S, K, R, J> {
    source: S,
    sink: K,
    runtime: R,
    journal: J,
    schedule: Schedule,
    clock: Box<dyn Clock>,
    backoff: Backoff,
    capabilities: Option<CapabilityFile>,
    /// The devices that file told of last; `None` until it could be read.
    devices: Mutex<Option<Arc<[AnyDeviceCapabilities]>>>,
    places_itself: bool,
    observer: Box<dyn Observer>,
    /// Woken when a report is queued.
    queued: Notify,
    patience: Mutex<Patience>,
}

impl<S, K, R, J> Agent<S, K, R, J>
where
    S: DesiredStateSource,
    K: StatusSink + CapabilitySink,
    R: WorkloadRuntime,
    J: Journal,
{
    /// An agent that polls once a minute, all day, and reports no capabilities.
    #[must_use]
    pub fn new(source: S, sink: K, runtime: R, journal: J) -> Self {
        Self {
            source,
            sink,
            runtime,
            journal,
            schedule: Schedule::default(),
            // Never asked: a schedule without windows does not depend on the time of day.
            clock: Box::new(|| Timestamp::UNIX_EPOCH),
            backoff: Backoff::default(),
            capabilities: None,
            devices: Mutex::default(),
            places_itself: false,
            observer: Box::new(()),
            queued: Notify::new(),
            patience: Mutex::default(),
        }
    }

    /// The same agent with another schedule, whose windows are those of `clock` (R-A-009, R-B-014).
    ///
    /// A program passes `jiff::Timestamp::now`.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule, clock: impl Clock + 'static) -> Self {
        (self.schedule, self.clock) = (schedule, Box::new(clock));
        self
    }

    /// The same agent with other delays after failures.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The same agent, which reports these capabilities at start and whenever they change (R-A-025, R-D-020): of the
    /// device itself, and of those behind it if it is a gateway (R-C-003). Those that disappear from the file are told
    /// to be gone (R-C-007).
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: CapabilityFile) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// The same agent, of a gateway whose runtime decides itself on which of the devices behind it a deployment for
    /// `<gateway>/*` runs. Without, such a deployment fails with code 103 (R-C-009).
    #[must_use]
    pub fn with_autonomous_placement(mut self) -> Self {
        self.places_itself = true;
        self
    }

    /// The same agent, watched by `observer`.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// One round: poll, accept, plan, stage, carry out, commit.
    ///
    /// A manifest is refused if it goes back ([`accept`], R-B-030). Nothing changes before every document has
    /// arrived and matched its digest (R-B-026, R-B-027) and the runtime has got everything ready. The manifest is
    /// adopted after the last change succeeded, and not before (R-B-029); until then the next rounds retry what is
    /// not in force yet, and leave alone what is.
    ///
    /// An unchanged manifest is compared with what runs all the same, so what disappeared from the device comes
    /// back. When the manager cannot be reached, what is missing comes back as far as its documents are at hand.
    ///
    /// # Errors
    ///
    /// [`AgentError`]; deployments that did not fail are in force all the same.
    pub async fn reconcile(&mut self) -> Result<Round, AgentError> {
        self.round().await
    }

    /// Delivers the reports that wait, in order, until none is left; says how many left the outbox.
    ///
    /// # Errors
    ///
    /// [`AgentError::Deliver`] when a report, and with it all that follow, has to wait longer.
    pub async fn deliver(&mut self) -> Result<usize, AgentError> {
        for delivered in 0.. {
            match deliver_first(&self.journal, &self.sink, &*self.observer).await? {
                Delivery::Empty => return Ok(delivered),
                Delivery::Done => {}
                Delivery::Kept(error) => return Err(AgentError::Deliver(error)),
            }
        }
        Ok(usize::MAX)
    }

    async fn round(&self) -> Result<Round, AgentError> {
        let outcome = self.poll_and_pursue().await;
        match &outcome {
            Ok(round) if round.is_quiet() => tracing::debug!("the desired state is in force"),
            Ok(round) => tracing::info!(
                version = round.adopted.map(|checkpoint| checkpoint.version.get()),
                applied = round.applied.len(),
                removed = round.removed.len(),
                "the desired state is in force"
            ),
            Err(error) => {
                tracing::warn!(error = error as &dyn std::error::Error, "the desired state is not in force");
            }
        }
        self.observer.finished(outcome.as_ref());
        outcome
    }

    async fn poll_and_pursue(&self) -> Result<Round, AgentError> {
        let mut state = self.journal.read().await?;
        let error = match self.source.poll(state.adopted).await {
            // A manager that answers with the manifest already held offers nothing: it is unchanged.
            Ok(Update::Changed(manifest)) if state.adopted != Some(Checkpoint::of(&manifest)) => {
                match accept(state.adopted, state.attempted, manifest) {
                    Ok(accepted) => {
                        let (checkpoint, manifest) =
                            (accepted.checkpoint(), accepted.manifest().value().clone());
                        self.write(vec![Entry::Attempted(checkpoint, manifest.clone())]).await?;
                        (state.attempted, state.manifest) = (Some(checkpoint), Some(manifest));
                        return self.pursue(&state, Contact::Available).await;
                    }
                    Err(refused) => AgentError::Refused(refused),
                }
            }
            Ok(_) => return self.pursue(&state, Contact::Available).await,
            Err(error) => {
                // R-B-030, seen by the source: a history that was rewritten.
                if error.kind() == SourceErrorKind::RolledBack {
                    tracing::warn!(target: SECURITY, error = &error as &dyn std::error::Error, "refused what the source offers");
                }
                AgentError::Poll(error)
            }
        };
        if let Err(error) = self.pursue(&state, Contact::Lost).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is missing did not come back");
        }
        Err(error)
    }

    /// Puts the newest accepted manifest in force.
    async fn pursue(&self, state: &JournalState, contact: Contact) -> Result<Round, AgentError> {
        let (Some(checkpoint), Some(manifest)) = (state.attempted, &state.manifest) else {
            return Ok(Round::default());
        };
        let seen = async { Ok((self.runtime.present().await?, self.runtime.outages().await?)) };
        let (present, outages) = match seen.await {
            Ok(seen) => seen,
            Err(error) => {
                self.tell_blind(state, manifest, &error).await?;
                return Err(AgentError::Present(error));
            }
        };
        let steps = plan(&Applied::join(&state.deployments, &working(&present, &outages)), manifest);
        let (steps, mut failed) = self.pace(steps, state, manifest, &outages).await?;
        let Some(documents) = self.documents(&steps, manifest, state, contact).await? else {
            return Ok(Round::default());
        };
        let staged = self.stage(steps, documents, state, &present, manifest.manifest_version).await?;

        let mut round = Round::default();
        for action in staged {
            let (id, succeeded) = match action {
                Action::Remove(removal) => (removal.id().clone(), self.remove(*removal).await?),
                Action::Apply(application) => (application.id().clone(), self.apply(*application).await?),
                Action::Abandon(id) => (id, Outcome::Failed),
            };
            self.learn(&id, &succeeded, manifest);
            match succeeded {
                Outcome::Applied => round.applied.push(id),
                Outcome::Removed => round.removed.push(id),
                Outcome::Failed => failed.push(id),
            }
        }
        if !failed.is_empty() {
            return Err(AgentError::Deployments { failed });
        }
        // R-B-029: durably, and only now.
        if state.adopted != Some(checkpoint) {
            self.write(vec![Entry::Adopted(checkpoint)]).await?;
            round.adopted = Some(checkpoint);
        }
        Ok(round)
    }

    /// Every document the steps need, each verified. `None` when one is not at hand and nobody can be asked.
    ///
    /// A document that is not found anywhere says nothing about its deployment: it ends the round (R-B-031).
    async fn documents(
        &self,
        steps: &[Step],
        manifest: &DesiredStateManifest,
        state: &JournalState,
        contact: Contact,
    ) -> Result<Option<Documents>, AgentError> {
        let mut documents = Documents::new();
        let mut missing = Vec::new();
        for step in steps {
            let Step::Apply(reference) = step else { continue };
            let known = state.deployments.get(&reference.deployment_id);
            let document = if known.is_some_and(|record| record.digest == reference.digest) {
                self.journal.document(&reference.deployment_id).await?
            } else {
                None
            };
            match document.filter(|document| document.digest() == reference.digest) {
                Some(document) => drop(documents.insert(reference.deployment_id.clone(), document)),
                None => missing.push(reference.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(Some(documents));
        }
        if contact == Contact::Lost {
            return Ok(None);
        }
        let fetched = self.source.fetch_all(manifest, &missing).await.map_err(AgentError::Fetch)?;
        documents.extend(verified(&missing, fetched).map_err(AgentError::Fetch)?);
        Ok(Some(documents))
    }

    /// Says what is about to happen, and lets the runtime get everything ready. Nothing that runs is touched.
    async fn stage(
        &self,
        steps: Vec<Step>,
        mut documents: Documents,
        state: &JournalState,
        present: &Present,
        version: ManifestVersion,
    ) -> Result<Vec<Action>, AgentError> {
        let mut staged = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Remove(id) => {
                    let (record, has) = (state.deployments.get(&id), present.get(&id));
                    staged.push(Action::Remove(Box::new(Removal::new(id, record, has, version))));
                }
                Step::Apply(DeploymentRef { deployment_id: id, .. }) => {
                    let (record, has) = (state.deployments.get(&id), present.get(&id));
                    let document = documents.remove(&id);
                    let apply = |it| Action::Apply(Box::new(Application::new(it, record, has, version)));
                    staged.extend(document.map(apply));
                }
            }
        }
        // R-A-022: after receipt, before work starts.
        let pending = staged.iter_mut().filter_map(|action| match action {
            Action::Apply(application) => application.board.news().map(Entry::Report),
            _ => None,
        });
        let pending: Vec<_> = pending.collect();
        if !pending.is_empty() {
            self.write(pending).await?;
        }
        if let (Some(file), None) = (&self.capabilities, self.seen_devices()) {
            // The first round may come before the first report.
            run::read(file).await.map_or_else(drop, |devices| self.see_devices(devices));
        }
        for action in &mut staged {
            let Action::Apply(application) = action else { continue };
            if let Some(refusal) = self.gateway_refusal(&application.document.metadata.device_id) {
                application.board.refuse(refusal);
                self.tell(&mut application.board).await?;
                *action = Action::Abandon(application.id().clone());
                continue;
            }
            let ready = match self.eligible(&application.document).await {
                Ok(()) => self.runtime.prepare(&application.document).await,
                refused => refused,
            };
            if let Err(error) = ready {
                application.board.fail_all(&error);
                self.tell(&mut application.board).await?;
                *action = Action::Abandon(application.id().clone());
            }
        }
        Ok(staged)
    }

    /// Why a gateway cannot have this carried out (R-C-009, R-C-010). Whether a device behind it can be reached is for
    /// its runtime to say, by the code 102.
    fn gateway_refusal(&self, target: &DeviceTarget) -> Option<ErrorReport> {
        let devices = self.seen_devices()?;
        let device = target.device();
        if target.is_any_behind() && !self.places_itself {
            let message = "this gateway does not choose a device itself";
            return Some(ErrorReport::new("103", device.as_str(), message));
        }
        let gateway = device.gateway()?;
        if devices.iter().any(|known| *known.device_id() == device) {
            return None;
        }
        let message = format!("there is no device `{device}` behind this gateway");
        Some(ErrorReport::new("101", gateway.as_str(), message))
    }

    fn see_devices(&self, devices: Vec<AnyDeviceCapabilities>) {
        *self.devices.lock().unwrap_or_else(PoisonError::into_inner) = Some(devices.into());
    }

    fn seen_devices(&self) -> Option<Arc<[AnyDeviceCapabilities]>> {
        // The lock guards a pointer, which is whole even if a thread panicked.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        // Nothing panics while it is held.
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers, and lets everyone know that there is something to tell.
    async fn write(&self, entries: Vec<Entry>) -> Result<(), AgentError> {
        let reports = entries.iter().filter_map(|entry| match entry {
            Entry::Report(status) => Some(status.clone()),
            _ => None,
        });
        let reports: Vec<_> = reports.collect();
        self.journal.write(entries).await?;
        for status in &reports {
            let (deployment, state) = (&status.deployment_id, &status.status.state);
            if let Some(error) = &status.status.error {
                let (code, reason) = (&error.code, &error.message);
                tracing::warn!(%deployment, %state, code, reason, "a deployment failed");
            } else {
                tracing::info!(%deployment, %state, "a deployment changed its state");
            }
            self.observer.changed(status);
        }
        if !reports.is_empty() {
            self.queued.notify_one();
        }
        Ok(())
    }
}

impl<S, K, R, J> fmt::Debug for Agent<S, K, R, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("schedule", &self.schedule)
            .field("backoff", &self.backoff)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

/// What a round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// The manifest that became the adopted one; `None` when it was that already.
    pub adopted: Option<Checkpoint>,
    /// The deployments that were installed, changed or completed.
    pub applied: Vec<DeploymentId>,
    /// The deployments that were removed.
    pub removed: Vec<DeploymentId>,
}

impl Round {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// The desired state is not in force (yet), or not everything was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The source could not say what should run.
    #[error("could not poll for the desired state")]
    Poll(#[source] SourceError),
    /// The source said something that must not be acted on (R-B-030).
    #[error("the manifest offered is refused")]
    Refused(#[source] RefusedManifest),
    /// A document did not arrive, or is not the one announced. Nothing was changed (R-B-027).
    #[error("could not fetch every deployment")]
    Fetch(#[source] SourceError),
    /// The runtime could not say what runs. Nothing was changed.
    #[error("could not see what runs")]
    Present(#[source] RuntimeError),
    /// Some deployments could not be applied or removed; their reports say why.
    #[error("{} deployments failed, first `{}`", failed.len(), failed.first().map_or("", DeploymentId::as_str))]
    #[non_exhaustive]
    Deployments {
        /// Which; at least one.
        failed: Vec<DeploymentId>,
    },
    /// A report could not be delivered now.
    #[error("could not deliver every report")]
    Deliver(#[source] SinkError),
    /// The journal failed.
    #[error("could not remember")]
    Journal(#[from] JournalError),
}

impl AgentError {
    /// How long the peer asks to be left alone (`Retry-After`, R-D-038).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Poll(error) | Self::Fetch(error) => error.retry_after(),
            Self::Deliver(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the failure is the device's own, so that asking the manager again burdens nobody.
    fn is_local(&self) -> bool {
        matches!(self, Self::Present(_) | Self::Deployments { .. } | Self::Journal(_))
    }
}

/// Whether anybody can be asked for a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contact {
    Available,
    Lost,
}

/// A step with all it needs.
enum Action {
    Remove(Box<Removal>),
    Apply(Box<Application>),
    /// Its runtime could not get ready for it; the previous version keeps running.
    Abandon(DeploymentId),
}

/// How an action ended. Why it failed is reported where it failed.
enum Outcome {
    Applied,
    Removed,
    Failed,
}

type Documents = BTreeMap<DeploymentId, Document<ApplicationDeployment>>;

/// Trusts no source: what arrived is what was asked for (R-B-026).
fn verified(
    references: &[DeploymentRef],
    fetched: Vec<Document<ApplicationDeployment>>,
) -> Result<Documents, SourceError> {
    let corrupt = |message: String| SourceError::because(SourceErrorKind::Corrupt, message);
    if fetched.len() != references.len() {
        return Err(corrupt(format!(
            "asked for {} deployments, received {}",
            references.len(),
            fetched.len()
        )));
    }
    let verify = |(reference, document): (&DeploymentRef, Document<ApplicationDeployment>)| {
        let id = &reference.deployment_id;
        if document.digest() != reference.digest {
            return Err(corrupt(format!(
                "`{id}` has digest {}, not {}",
                document.digest(),
                reference.digest
            )));
        }
        if document.id != *id {
            return Err(corrupt(format!("the document of `{id}` says it is `{}`", document.id)));
        }
        Ok((id.clone(), document))
    };
    references.iter().zip(fetched).map(verify).collect()
}
