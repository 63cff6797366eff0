use std::collections::BTreeMap;

use bytes::Bytes;
use margo_api::{DesiredStatePublisher, Recorded};
use margo_core::{ApplicationId, ClientId, DeploymentId};
use margo_status::DeploymentState;

use super::Manager;
use super::error::OperatorError;
use super::event::FleetEvent;
use super::order::{DeleteRequest, DeployRequest, ReconfigureRequest, UpdateRequest};
use super::package::Package;
use super::plan::Plan;
use super::planning::Verb;
use super::selecting::names;
use super::target::TargetRef;
use super::view::{ApplicationView, Changed, DeploymentDetail, DeploymentView, ReportView};
use crate::store::{ApplicationRecord, DeploymentRecord, ManifestRecord, StatusRecord, Store, StoreError};

/// How often a change is tried when writers elsewhere are faster.
const ATTEMPTS: u32 = 16;

/// What is to run. Every fault of a request is reported at once, and a request with faults changes nothing.
impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// Stores one version of an application, from the bytes of its `margo.yaml`. The same bytes again are no fault.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Malformed`] for what is not YAML, [`OperatorError::Invalid`] with every fault of the
    /// description, [`OperatorError::Conflict`] when the version is there with other bytes.
    pub async fn upload_application(
        &self,
        description: Bytes,
    ) -> Result<(Recorded, ApplicationView), OperatorError> {
        let (application_id, version, package) = Package::upload(&description)?;
        let mut record = ApplicationRecord::new(application_id, version, description, self.now());
        let recorded = self.store.put_application(record.clone()).await?;
        if recorded == Recorded::Updated
            && let Some(known) = self.store.application(&record.application_id, &record.version).await?
        {
            record = known;
        }
        Ok((recorded, package.view(&record)))
    }

    /// Every version of every application, by id, in the order they were stored.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Failed`] when the store fails.
    pub async fn list_applications(&self) -> Result<Vec<ApplicationView>, OperatorError> {
        let records = self.store.applications().await?;
        records.iter().map(|record| Ok(Package::stored(record)?.view(record))).collect()
    }

    /// Deploys an application to devices, one deployment each: to all of them, or to none.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with every fault: an application, version or profile that does not exist, values
    /// that its configuration does not allow (R-A-039, R-A-040), a device that is not known, is ambiguous, or whose
    /// revision cannot say what would have to be said.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Deploy(request)).await
    }

    /// Brings deployments to another version of their application.
    ///
    /// # Errors
    ///
    /// As [`deploy`](Self::deploy); also for a deployment that does not exist, is deleted, or whose client is retired,
    /// and for a value that may not change any more (R-A-041).
    pub async fn update(&self, request: &UpdateRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Update(request)).await
    }

    /// Changes the parameters of deployments.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn reconfigure(&self, request: &ReconfigureRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Reconfigure(request)).await
    }

    /// Takes deployments out of desired state, so that their devices remove them (R-B-032).
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] for a deployment that does not exist.
    pub async fn delete(&self, request: &DeleteRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Delete(request)).await
    }

    /// The deployments on a device, of an application, in a state: those that fit all that is asked for; in the order
    /// they were created, deleted ones included.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Failed`] when the store fails.
    pub async fn list_deployments(
        &self,
        device: Option<&TargetRef>,
        application: Option<&ApplicationId>,
        state: Option<&DeploymentState>,
    ) -> Result<Vec<DeploymentView>, OperatorError> {
        let mut views = self
            .views(|record| {
                device.is_none_or(|device| names(device, record))
                    && application.is_none_or(|application| record.application_id == *application)
            })
            .await?;
        views.retain(|view| state.is_none_or(|state| view.state == *state));
        Ok(views)
    }

    /// One deployment, with its document and everything its device said about it.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] when there is no such deployment.
    pub async fn deployment_view(&self, id: &DeploymentId) -> Result<DeploymentDetail, OperatorError> {
        let absent = || OperatorError::NotFound { what: format!("deployment `{id}`") };
        let record = self.store.deployment(id).await?.ok_or_else(absent)?;
        let client = self.store.client(&record.client_id).await?.ok_or_else(absent)?;
        let history = self.store.status_history(id).await?;
        Ok(DeploymentDetail {
            deployment: DeploymentView::new(&client, &record, history.last())
                .map_err(OperatorError::Failed)?,
            document: String::from_utf8_lossy(&record.document).into_owned(),
            history: history
                .iter()
                .map(|report| ReportView::new(report).map_err(OperatorError::Failed))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Plans, commits and publishes; plans again when a writer elsewhere was faster.
    async fn carry_out(&self, verb: Verb<'_>) -> Result<Changed, OperatorError> {
        let _turn = self.turn.lock().await;
        let mut attempt = 1;
        let plan = loop {
            let plan = self.plan(&verb).await?;
            if plan.editions.is_empty() {
                break plan;
            }
            for client in plan.editions.keys() {
                self.not_yet_published(client);
            }
            match self.store.publish(plan.changes()).await {
                Ok(()) => break plan,
                Err(StoreError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let (selected, warnings) = (plan.selected.clone(), plan.warnings.clone());
        self.make_visible(plan).await;
        let deployments = self.views(|record| selected.contains(&record.deployment_id)).await?;
        Ok(Changed { deployments, warnings })
    }

    /// Publishes what is stored, and tells of it.
    pub(super) async fn make_visible(&self, plan: Plan) {
        for edition in plan.editions.into_values() {
            for (kind, record) in edition.changed {
                self.announce(FleetEvent::DeploymentChanged {
                    at: self.now(),
                    client_id: record.client_id,
                    deployment_id: record.deployment_id,
                    device: record.target,
                    change: kind,
                    since: record.since,
                });
            }
            self.publish(edition.publication).await;
        }
    }

    pub(super) async fn manifest(&self, client: &ClientId) -> Result<ManifestRecord, OperatorError> {
        let manifest = self.store.manifest(client).await?;
        manifest.ok_or_else(|| OperatorError::failed(format!("`{client}` has no manifest")))
    }

    /// The deployments that fit, in the order they were created.
    pub(super) async fn views(
        &self,
        fits: impl Fn(&DeploymentRecord) -> bool + Send,
    ) -> Result<Vec<DeploymentView>, OperatorError> {
        let records: Vec<_> = self.store.deployments(None).await?.into_iter().filter(fits).collect();
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let clients: BTreeMap<_, _> = self
            .store
            .clients()
            .await?
            .into_iter()
            .map(|client| (client.client_id.clone(), client))
            .collect();
        let statuses = self.store.statuses(None).await?;
        let statuses: BTreeMap<&DeploymentId, &StatusRecord> =
            statuses.iter().map(|status| (&status.deployment_id, status)).collect();
        let views = records.iter().filter_map(|record| {
            let client = clients.get(&record.client_id)?;
            let latest = statuses.get(&record.deployment_id).copied();
            Some(DeploymentView::new(client, record, latest).map_err(OperatorError::Failed))
        });
        views.collect()
    }
}
