use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use margo_api::{FieldError, Publication};
use margo_core::{ClientId, DeploymentId, DeviceTarget, Digest, Loss, ManifestVersion, SpecVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest, write_bundle};

use super::error::OperatorError;
use super::event::ChangeKind;
use super::view::{ReasonView, WarningKind, WarningView};
use crate::store::{Change, DeploymentRecord, ManifestRecord};

/// Where a deployment has its profile.
const PROFILE: &str = "/spec/deploymentProfile";

/// What one client is to run, and what is about to change.
pub(super) struct Desk {
    pub(super) revision: SpecVersion,
    pub(super) from: ManifestVersion,
    pub(super) next: ManifestVersion,
    /// What is wanted now.
    pub(super) deployments: BTreeMap<DeploymentId, DeploymentRecord>,
    pub(super) changed: Vec<(ChangeKind, DeploymentRecord)>,
    /// A manifest is due although no deployment may have changed: another revision has other URLs.
    pub(super) is_restated: bool,
}

impl Desk {
    pub(super) fn put(&mut self, kind: ChangeKind, record: DeploymentRecord) {
        if record.deleted_at.is_some() {
            self.deployments.remove(&record.deployment_id);
        } else {
            self.deployments.insert(record.deployment_id.clone(), record.clone());
        }
        self.changed.push((kind, record));
    }
}

/// A change that is ready to be committed.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) editions: BTreeMap<ClientId, Edition>,
    pub(super) selected: BTreeSet<DeploymentId>,
    pub(super) warnings: Vec<WarningView>,
}

impl Plan {
    pub(super) fn warn(&mut self, deployment_id: &DeploymentId, device: &DeviceTarget, losses: &[Loss]) {
        self.warnings.extend(losses.iter().map(|loss| WarningView {
            deployment_id: deployment_id.clone(),
            device: device.clone(),
            kind: WarningKind::Revision,
            pointer: loss.pointer.clone(),
            reason: loss.reason.clone(),
        }));
    }

    /// What is not known of the device.
    pub(super) fn doubt(
        &mut self,
        deployment_id: &DeploymentId,
        device: &DeviceTarget,
        doubts: Vec<ReasonView>,
    ) {
        self.warnings.extend(doubts.into_iter().map(|doubt| WarningView {
            deployment_id: deployment_id.clone(),
            device: device.clone(),
            kind: WarningKind::Placement,
            pointer: if doubt.asked.is_empty() { String::new() } else { format!("{PROFILE}{}", doubt.asked) },
            reason: doubt.message,
        }));
    }

    /// A manifest for every client whose deployments change; none for the others, whose versions stay.
    pub(super) fn finish(
        mut self,
        desks: BTreeMap<ClientId, Desk>,
        errors: Vec<FieldError>,
    ) -> Result<Self, OperatorError> {
        if !errors.is_empty() {
            return Err(OperatorError::Invalid { errors });
        }
        for (client, desk) in desks {
            if desk.changed.is_empty() && !desk.is_restated {
                continue;
            }
            let (manifest, documents) = manifest(&client, desk.revision, desk.next, &desk.deployments)?;
            let publication = Publication::new(client.clone(), desk.next, documents);
            let edition = Edition { from: desk.from, manifest, publication, changed: desk.changed };
            self.editions.insert(client, edition);
        }
        Ok(self)
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        let changes = self.editions.iter().map(|(client, edition)| {
            let records = edition.changed.iter().map(|(_, record)| record.clone()).collect();
            Change::new(client.clone(), edition.from, edition.manifest.clone(), records)
        });
        changes.collect()
    }
}

/// The next manifest of one client.
pub(super) struct Edition {
    pub(super) from: ManifestVersion,
    pub(super) manifest: ManifestRecord,
    pub(super) publication: Publication,
    pub(super) changed: Vec<(ChangeKind, DeploymentRecord)>,
}

/// The manifest of these deployments, with its bundle (R-B-021, R-B-022, R-B-034). In 1.0.0-rc.1 and 1.0.0-rc.2 its URLs
/// name the client.
pub(super) fn manifest(
    client: &ClientId,
    revision: SpecVersion,
    version: ManifestVersion,
    deployments: &BTreeMap<DeploymentId, DeploymentRecord>,
) -> Result<(ManifestRecord, Vec<(DeploymentId, Bytes)>), OperatorError> {
    let documents: Vec<_> =
        deployments.iter().map(|(id, record)| (id.clone(), record.document.clone())).collect();
    let bundle =
        (!documents.is_empty()).then(|| write_bundle(documents.iter().map(|(id, document)| (id, document))));
    let bundle_ref = bundle.as_ref().map(|bundle| BundleRef::new(Digest::of(bundle), bundle.len() as u64));
    let references = deployments.iter().map(|(id, record)| {
        let mut reference = DeploymentRef::new(id.clone(), record.digest);
        reference.size_bytes = Some(record.document.len() as u64);
        reference
    });
    let mut manifest = DesiredStateManifest::new(version, bundle_ref, references.collect());
    if matches!(revision, SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2) {
        manifest = manifest.at(revision, client);
    }
    let json = manifest.to_json().map_err(OperatorError::failed)?;
    Ok((ManifestRecord::new(version, json, bundle), documents))
}
