//! What stopped working since it was installed: seen, told, and healed with patience.

use std::collections::BTreeMap;

use margo_api::{
    CapabilitySink, DesiredStateSource, Outages, Present, RuntimeError, StatusSink, WorkloadRuntime,
};
use margo_core::{DeploymentId, Digest};
use margo_deployment::DesiredStateManifest;
use tokio::time::Instant;

use super::patience::Verdict;
use super::work::{Board, board_of};
use super::{Agent, AgentError, Contact, Outcome};
use crate::{Entry, Journal, JournalState, Progress, Step};

impl<S, K, R, J> Agent<S, K, R, J>
where
    S: DesiredStateSource,
    K: StatusSink + CapabilitySink,
    R: WorkloadRuntime,
    J: Journal,
{
    /// Heals what can be healed without asking anybody.
    pub(super) async fn look(&self) {
        let outcome = match self.journal.read().await {
            Ok(state) => self.pursue(&state, Contact::Lost).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(round) if round.is_quiet() => {}
            Ok(round) => tracing::info!(applied = round.applied.len(), "what did not work was applied again"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "not everything works");
            }
        }
    }

    /// The steps that are to be taken now, and the deployments that are left as they are, though they do not work.
    ///
    /// What was in force and stopped working is applied again a few times; what fails is tried ever more rarely.
    pub(super) async fn pace(
        &self,
        steps: Vec<Step>,
        state: &JournalState,
        manifest: &DesiredStateManifest,
        outages: &Outages,
    ) -> Result<(Vec<Step>, Vec<DeploymentId>), AgentError> {
        let now = Instant::now();
        let mut reports = Vec::new();
        let (mut taken, mut left) = (Vec::with_capacity(steps.len()), Vec::new());
        {
            let mut patience = self.patience();
            for step in steps {
                let Step::Apply(reference) = &step else {
                    taken.push(step);
                    continue;
                };
                let (id, digest) = (&reference.deployment_id, reference.digest);
                let record = state.deployments.get(id);
                let applied = record.filter(|it| it.digest == digest && it.progress == Progress::Applied);
                let Some(record) = applied else {
                    match patience.attempt(id, digest, now) {
                        Verdict::Now => taken.push(step),
                        _ => left.push(id.clone()),
                    }
                    continue;
                };
                let nothing = BTreeMap::new();
                let out = outages.get(id).unwrap_or(&nothing);
                let is_hopeless = out.values().any(margo_api::Outage::is_hopeless);
                if patience.heal(id, digest, is_hopeless, now) == Verdict::Now {
                    taken.push(step);
                    continue;
                }
                let mut board = board_of(id, record, manifest.manifest_version);
                board.settle_all(out);
                reports.extend(board.news().filter(|news| patience.told.get(id) != Some(news)));
                left.push(id.clone());
            }
            for status in &reports {
                patience.told.insert(status.deployment_id.clone(), status.clone());
            }
            // What was told to have failed, and works again without having been applied.
            let well: Vec<_> = patience.told.keys().filter(|id| !left.contains(id)).cloned().collect();
            for id in well {
                let is_taken = taken.iter().any(|step| match step {
                    Step::Apply(reference) => reference.deployment_id == id,
                    Step::Remove(removed) => *removed == id,
                });
                if let Some(record) = state.deployments.get(&id).filter(|_| !is_taken) {
                    reports.extend(board_of(&id, record, manifest.manifest_version).news());
                    patience.recovered(&id);
                } else {
                    patience.told.remove(&id);
                }
            }
        }
        if !reports.is_empty() {
            self.write(reports.into_iter().map(Entry::Report).collect()).await?;
        }
        Ok((taken, left))
    }

    /// Tells that nothing can be done while the runtime cannot see the device: of every deployment that is to be
    /// changed, once (R-A-023). What is in force may well work.
    pub(super) async fn tell_blind(
        &self,
        state: &JournalState,
        manifest: &DesiredStateManifest,
        error: &RuntimeError,
    ) -> Result<(), AgentError> {
        let version = manifest.manifest_version;
        let is_wanted =
            |id: &DeploymentId| manifest.deployments.iter().any(|wanted| wanted.deployment_id == *id);
        let leaving = state.deployments.keys().filter(|id| !is_wanted(id)).cloned();
        let changing = manifest.deployments.iter().filter(|wanted| {
            let record = state.deployments.get(&wanted.deployment_id);
            record.is_none_or(|it| it.digest != wanted.digest || it.progress != Progress::Applied)
        });
        let changing = changing.map(|wanted| wanted.deployment_id.clone());
        let mut reports = Vec::new();
        for id in leaving.chain(changing) {
            let mut board = match state.deployments.get(&id) {
                Some(record) => board_of(&id, record, version),
                None => Board::bare(id, version),
            };
            board.fail_whole(error);
            reports.extend(board.news());
        }
        {
            let mut patience = self.patience();
            reports.retain(|news| patience.told.get(&news.deployment_id) != Some(news));
            for status in &reports {
                patience.told.insert(status.deployment_id.clone(), status.clone());
            }
        }
        if reports.is_empty() {
            return Ok(());
        }
        self.write(reports.into_iter().map(Entry::Report).collect()).await
    }

    /// Remembers how an action ended, for the next time.
    pub(super) fn learn(&self, id: &DeploymentId, outcome: &Outcome, manifest: &DesiredStateManifest) {
        let wanted = manifest.deployments.iter().find(|wanted| wanted.deployment_id == *id);
        let digest: Option<Digest> = wanted.map(|wanted| wanted.digest);
        let mut patience = self.patience();
        match (outcome, digest) {
            (Outcome::Applied, _) => patience.succeeded(id),
            (Outcome::Failed, Some(digest)) => patience.failed(id, digest, Instant::now()),
            (Outcome::Removed, _) => patience.forget(id),
            (Outcome::Failed, None) => {}
        }
    }
}

/// What is present and works.
pub(super) fn working(present: &Present, outages: &Outages) -> Present {
    let mut working = present.clone();
    for (id, components) in &mut working {
        if let Some(out) = outages.get(id) {
            components.retain(|name| !out.contains_key(name));
        }
    }
    working
}
