//! What an operator means: which version, which devices, which deployments.

use std::collections::{BTreeMap, BTreeSet};

use margo_api::{DesiredStatePublisher, FieldError};
use margo_core::{ApplicationId, DeploymentId, DeviceTarget};

use super::Manager;
use super::error::OperatorError;
use super::order::Selection;
use super::package::Package;
use super::target::TargetRef;
use crate::store::{ClientRecord, DeploymentRecord, DeviceRecord, Store};

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// The version that is asked for, or the one stored last.
    pub(super) async fn application(
        &self,
        id: &ApplicationId,
        version: Option<&str>,
    ) -> Result<Result<(String, Package), FieldError>, OperatorError> {
        let (record, field, message) = if let Some(version) = version {
            let message = format!("`{id}` has no version `{version}`");
            (self.store.application(id, version).await?, "version", message)
        } else {
            let stored = self.store.applications().await?;
            let last = stored.into_iter().rfind(|record| record.application_id == *id);
            (last, "applicationId", format!("no application is `{id}`"))
        };
        match record {
            Some(record) => Ok(Ok((record.version.clone(), Package::stored(&record)?))),
            None => Ok(Err(FieldError::new(field, message))),
        }
    }

    /// The clients and devices that are meant; every one that is not known, or not only one, is a fault.
    pub(super) async fn targets(
        &self,
        targets: &[TargetRef],
        errors: &mut Vec<FieldError>,
    ) -> Result<Vec<(ClientRecord, DeviceTarget)>, OperatorError> {
        let clients = self.store.clients().await?;
        let devices = self.store.devices().await?;
        let mut found = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let field = format!("targets[{index}]");
            let named = |device: &&DeviceRecord| {
                device.device_id == target.device().device()
                    && target.client().is_none_or(|client| device.client_id == *client)
            };
            let mut candidates = devices.iter().filter(named).filter_map(|device| {
                clients
                    .iter()
                    .find(|client| client.client_id == device.client_id && client.retired_at.is_none())
            });
            match (candidates.next(), candidates.next()) {
                (Some(client), None) => {
                    let target = (client.clone(), target.device().clone());
                    if found.iter().any(|(other, device): &(ClientRecord, DeviceTarget)| {
                        (&other.client_id, device) == (&target.0.client_id, &target.1)
                    }) {
                        errors.push(FieldError::new(field, format!("`{}` is named twice", target.1)));
                    } else {
                        found.push(target);
                    }
                }
                (None, _) => {
                    let message = match devices.iter().find(named) {
                        Some(_) => format!("`{target}` is retired"),
                        None => format!("no device is `{target}`"),
                    };
                    errors.push(FieldError::new(field, message));
                }
                (Some(first), Some(second)) => {
                    let all = [first, second].into_iter().chain(candidates);
                    let all: Vec<_> =
                        all.map(|client| format!("`{}:{}`", client.client_id, target.device())).collect();
                    let message = format!("`{target}` may be {}", all.join(" or "));
                    errors.push(FieldError::new(field, message));
                }
            }
        }
        Ok(found)
    }

    /// The deployments that are meant, each with its client.
    pub(super) async fn select(
        &self,
        select: &Selection,
        purpose: Purpose,
        errors: &mut Vec<FieldError>,
    ) -> Result<Vec<(DeploymentId, ClientRecord)>, OperatorError> {
        let by_filter = select.application.is_some() || select.device.is_some();
        match [!select.ids.is_empty(), by_filter, select.all].into_iter().filter(|way| *way).count() {
            0 => errors.push(FieldError::new("select", "expected `ids`, `application`, `device` or `all`")),
            1 => {}
            _ => errors.push(FieldError::new("select", "`ids`, a filter and `all` exclude one another")),
        }
        if !errors.is_empty() {
            return Ok(Vec::new());
        }
        let clients: BTreeMap<_, _> = self
            .store
            .clients()
            .await?
            .into_iter()
            .map(|client| (client.client_id.clone(), client))
            .collect();
        let records = self.store.deployments(None).await?;
        if select.ids.is_empty() {
            let meant = records.into_iter().filter(|record| {
                record.deleted_at.is_none()
                    && select.application.as_ref().is_none_or(|wanted| record.application_id == *wanted)
                    && select.device.as_ref().is_none_or(|device| names(device, record))
            });
            let with_client = meant.filter_map(|record| {
                let client = clients.get(&record.client_id)?.clone();
                // A client that is refused learns of no change; taking away is still worth writing down.
                let is_reached = purpose == Purpose::Delete || client.retired_at.is_none();
                is_reached.then_some((record.deployment_id, client))
            });
            return Ok(with_client.collect());
        }
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, id) in select.ids.iter().enumerate() {
            let field = format!("select.ids[{index}]");
            let known = records.iter().find(|record| record.deployment_id == *id);
            let Some((record, client)) =
                known.and_then(|record| Some((record, clients.get(&record.client_id)?)))
            else {
                errors.push(FieldError::new(field, format!("no deployment is `{id}`")));
                continue;
            };
            if purpose == Purpose::Change && record.deleted_at.is_some() {
                errors.push(FieldError::new(field, format!("`{id}` is deleted")));
            } else if purpose == Purpose::Change && client.retired_at.is_some() {
                let message = format!("the client of `{id}`, `{}`, is retired", client.client_id);
                errors.push(FieldError::new(field, message));
            } else if seen.insert(id) {
                found.push((id.clone(), client.clone()));
            }
        }
        Ok(found)
    }
}

/// What deployments are selected for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    Change,
    Delete,
}

/// Whether an operator means this deployment by a device: its target, or the gateway in front of `/*`.
pub(super) fn names(device: &TargetRef, record: &DeploymentRecord) -> bool {
    device.client().is_none_or(|client| record.client_id == *client)
        && (*device.device() == record.target || *device.device() == record.target.device().into())
}
