use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use margo_api::Recorded;
use margo_core::{ApplicationId, ClientId, DeploymentId, DeviceId, Digest, ManifestVersion};
use margo_identity::TokenHash;

use crate::store::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ContentKind, DeploymentRecord, DeviceRecord,
    KEPT_MANIFESTS, KEPT_REPORTS, ManifestRecord, StatusRecord, Store, StoreError, TokenUse,
};

/// A [`Store`] that forgets everything when the process ends: for tests, examples and short demonstrations.
///
/// ```
/// use margo_server::{Memory, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), margo_server::StoreError> {
/// assert!(Memory::new().clients().await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

impl Memory {
    /// A store that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every method finds fault before it changes anything, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    async fn add_client(&self, client: ClientRecord, manifest: ManifestRecord) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.clients.contains_key(&client.client_id) {
            return Err(StoreError::Conflict { what: client.client_id.to_string() });
        }
        if state.clients.values().any(|other| other.record.device_id == client.device_id) {
            return Err(StoreError::Conflict { what: client.device_id.to_string() });
        }
        let devices = BTreeMap::from([(client.device_id.clone(), None)]);
        let editions = VecDeque::from([Edition { manifest, documents: BTreeMap::new() }]);
        state.clients.insert(client.client_id.clone(), Client { record: client, devices, editions });
        Ok(())
    }

    async fn client(&self, client: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
        Ok(self.state().clients.get(client).map(|client| client.record.clone()))
    }

    async fn client_by_token(
        &self,
        token_use: TokenUse,
        hash: &TokenHash,
    ) -> Result<Option<ClientRecord>, StoreError> {
        let state = self.state();
        let mut records = state.clients.values().map(|client| &client.record);
        let found = match token_use {
            TokenUse::Management => records.find(|record| record.token == *hash),
            TokenUse::Git => records.find(|record| record.git_token == *hash),
        };
        Ok(found.cloned())
    }

    async fn clients(&self) -> Result<Vec<ClientRecord>, StoreError> {
        Ok(self.state().clients.values().map(|client| client.record.clone()).collect())
    }

    async fn update_client(&self, client: ClientRecord) -> Result<(), StoreError> {
        let mut state = self.state();
        let known = state.client_mut(&client.client_id)?;
        // Fetching never goes back, whatever was read before it.
        let fetched = known.record.fetched.max(client.fetched);
        known.record = ClientRecord { fetched, ..client };
        Ok(())
    }

    async fn put_capabilities(&self, capabilities: CapabilitiesRecord) -> Result<Recorded, StoreError> {
        let mut state = self.state();
        let client = state.client_mut(&capabilities.client_id)?;
        if let Some(gateway) = capabilities.device_id.gateway()
            && client.devices.get(&gateway).is_none_or(Option::is_none)
        {
            return Err(StoreError::NoGateway { gateway });
        }
        let before = client.devices.insert(capabilities.device_id.clone(), Some(capabilities));
        Ok(if before.flatten().is_some() { Recorded::Updated } else { Recorded::Created })
    }

    async fn remove_device(&self, client: &ClientId, device: &DeviceId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(client) = state.clients.get_mut(client) else { return Ok(false) };
        let is_known = client.devices.contains_key(device);
        let behind = format!("{device}/");
        client.devices.retain(|other, _| other != device && !other.as_str().starts_with(&behind));
        Ok(is_known)
    }

    async fn devices(&self) -> Result<Vec<DeviceRecord>, StoreError> {
        let state = self.state();
        let devices = state.clients.iter().flat_map(|(client_id, client)| {
            client.devices.iter().map(|(device_id, capabilities)| {
                DeviceRecord::new(client_id.clone(), device_id.clone(), capabilities.clone())
            })
        });
        Ok(devices.collect())
    }

    async fn put_application(&self, application: ApplicationRecord) -> Result<Recorded, StoreError> {
        let mut state = self.state();
        let versions = state.applications.entry(application.application_id.clone()).or_default();
        match versions.iter().find(|known| known.version == application.version) {
            None => {
                versions.push(application);
                Ok(Recorded::Created)
            }
            Some(known) if known.description == application.description => Ok(Recorded::Updated),
            Some(known) => {
                Err(StoreError::Conflict { what: format!("{} {}", known.application_id, known.version) })
            }
        }
    }

    async fn application(
        &self,
        application: &ApplicationId,
        version: &str,
    ) -> Result<Option<ApplicationRecord>, StoreError> {
        let state = self.state();
        let mut versions = state.applications.get(application).into_iter().flatten();
        Ok(versions.find(|known| known.version == version).cloned())
    }

    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError> {
        Ok(self.state().applications.values().flatten().cloned().collect())
    }

    async fn manifest(&self, client: &ClientId) -> Result<Option<ManifestRecord>, StoreError> {
        Ok(self.state().clients.get(client).and_then(Client::manifest).cloned())
    }

    async fn manifest_digest(&self, client: &ClientId) -> Result<Option<Digest>, StoreError> {
        Ok(self.state().clients.get(client).and_then(Client::manifest).map(|manifest| manifest.digest))
    }

    async fn publish(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut state = self.state();
        for change in &changes {
            let current = state.clients.get(&change.client_id).and_then(Client::manifest);
            if current.is_none_or(|manifest| manifest.version != change.from) {
                return Err(StoreError::Stale { client_id: change.client_id.clone() });
            }
        }
        for Change { client_id, manifest, deployments, .. } in changes {
            for deployment in deployments {
                state.put_deployment(deployment);
            }
            let documents = state.documents(&client_id);
            if let Some(client) = state.clients.get_mut(&client_id) {
                client.editions.push_back(Edition { manifest, documents });
                if client.editions.len() as u64 > KEPT_MANIFESTS {
                    client.editions.pop_front();
                }
            }
        }
        Ok(())
    }

    async fn content(
        &self,
        client: &ClientId,
        kind: ContentKind,
        digest: Digest,
    ) -> Result<Option<Bytes>, StoreError> {
        let state = self.state();
        let mut editions =
            state.clients.get(client).into_iter().flat_map(|client| client.editions.iter().rev());
        let found = match kind {
            ContentKind::Deployment => editions.find_map(|edition| edition.documents.get(&digest)),
            ContentKind::Bundle => editions
                .filter_map(|edition| edition.manifest.bundle.as_ref())
                .find_map(|(bundle, bytes)| (*bundle == digest).then_some(bytes)),
        };
        Ok(found.cloned())
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<Option<DeploymentRecord>, StoreError> {
        let state = self.state();
        Ok(state.deployments.iter().find(|known| known.deployment_id == *deployment).cloned())
    }

    async fn deployments(&self, client: Option<&ClientId>) -> Result<Vec<DeploymentRecord>, StoreError> {
        let state = self.state();
        let of_client = |known: &&DeploymentRecord| client.is_none_or(|client| known.client_id == *client);
        Ok(state.deployments.iter().filter(of_client).cloned().collect())
    }

    async fn put_status(&self, status: StatusRecord) -> Result<Recorded, StoreError> {
        let mut state = self.state();
        let is_known = |known: &DeploymentRecord| {
            known.deployment_id == status.deployment_id && known.client_id == status.client_id
        };
        if !state.deployments.iter().any(is_known) {
            return Err(StoreError::NotFound { what: status.deployment_id.to_string() });
        }
        let reports = state.reports.entry(status.deployment_id.clone()).or_default();
        let recorded = if reports.is_empty() { Recorded::Created } else { Recorded::Updated };
        reports.push_back(status);
        if reports.len() as u64 > KEPT_REPORTS + 1 {
            reports.pop_front();
        }
        Ok(recorded)
    }

    async fn statuses(&self, client: Option<&ClientId>) -> Result<Vec<StatusRecord>, StoreError> {
        let state = self.state();
        let latest = state.reports.values().filter_map(VecDeque::back);
        Ok(latest.filter(|status| client.is_none_or(|client| status.client_id == *client)).cloned().collect())
    }

    async fn status_history(&self, deployment: &DeploymentId) -> Result<Vec<StatusRecord>, StoreError> {
        Ok(self.state().reports.get(deployment).into_iter().flatten().cloned().collect())
    }

    async fn note_fetched(&self, client: &ClientId, version: ManifestVersion) -> Result<(), StoreError> {
        if let Some(client) = self.state().clients.get_mut(client) {
            client.record.fetched = client.record.fetched.max(Some(version));
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<ClientId, Client>,
    applications: BTreeMap<ApplicationId, Vec<ApplicationRecord>>,
    /// In the order they were created.
    deployments: Vec<DeploymentRecord>,
    /// Oldest first.
    reports: BTreeMap<DeploymentId, VecDeque<StatusRecord>>,
}

impl State {
    fn client_mut(&mut self, client: &ClientId) -> Result<&mut Client, StoreError> {
        self.clients.get_mut(client).ok_or_else(|| StoreError::NotFound { what: client.to_string() })
    }

    fn put_deployment(&mut self, deployment: DeploymentRecord) {
        match self.deployments.iter_mut().find(|known| known.deployment_id == deployment.deployment_id) {
            Some(known) => *known = deployment,
            None => self.deployments.push(deployment),
        }
    }

    /// What a client is to run now.
    fn documents(&self, client: &ClientId) -> BTreeMap<Digest, Bytes> {
        let wanted = |known: &&DeploymentRecord| known.client_id == *client && known.deleted_at.is_none();
        self.deployments.iter().filter(wanted).map(|known| (known.digest, known.document.clone())).collect()
    }
}

#[derive(Debug)]
struct Client {
    record: ClientRecord,
    devices: BTreeMap<DeviceId, Option<CapabilitiesRecord>>,
    /// The manifests that stay retrievable, oldest first.
    editions: VecDeque<Edition>,
}

impl Client {
    fn manifest(&self) -> Option<&ManifestRecord> {
        self.editions.back().map(|edition| &edition.manifest)
    }
}

/// A manifest and the documents it lists.
#[derive(Debug)]
struct Edition {
    manifest: ManifestRecord,
    documents: BTreeMap<Digest, Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::store_examination! {
        async fn fresh() -> Memory {
            Memory::new()
        }
    }
}
