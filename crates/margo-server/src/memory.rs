use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::Recorded;
use margo_core::{ApplicationId, ClientId, DeploymentId, DeviceId, Digest, ManifestVersion};
use margo_identity::TokenHash;

use crate::store::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ClientUpdate, ContentKind, DeploymentRecord,
    DeviceRecord, KEPT_MANIFESTS, KEPT_REPORTS, KEPT_TOKENS, ManifestRecord, StatusRecord, Store, StoreError,
    TokenRecord, TokenUse,
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
        if state.clients.contains_key(&client.client_id) || state.links.contains_key(&client.client_id) {
            return Err(StoreError::Conflict { what: client.client_id.to_string() });
        }
        state.check_unique(&client, None)?;
        let devices = BTreeMap::from([(client.device_id.clone(), None)]);
        let editions = VecDeque::from([Edition { manifest, documents: BTreeMap::new() }]);
        state.note_certificate(None, &client);
        state.clients.insert(client.client_id.clone(), Client { record: client, devices, editions });
        Ok(())
    }

    async fn client(&self, client: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
        let state = self.state();
        let client = state.links.get(client).unwrap_or(client);
        Ok(state.clients.get(client).map(|client| client.record.clone()))
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

    async fn client_by_certificate(&self, certificate: Digest) -> Result<Option<ClientRecord>, StoreError> {
        let state = self.state();
        let mut records = state.clients.values().map(|client| &client.record);
        let former = state.former_certificates.get(&certificate);
        let is_it = |record: &&ClientRecord| {
            record.certificate_digest() == Some(certificate) || Some(&record.client_id) == former
        };
        Ok(records.find(is_it).cloned())
    }

    async fn links(&self) -> Result<Vec<(ClientId, ClientId)>, StoreError> {
        Ok(self.state().links.iter().map(|(id, client)| (id.clone(), client.clone())).collect())
    }

    async fn update_client(&self, update: ClientUpdate) -> Result<(), StoreError> {
        let mut state = self.state();
        let ends_tokens = update.ends_tokens();
        let ClientUpdate { before, after, link, unlink, change } = update;
        let known = &state.client_mut(&after.client_id)?.record;
        let fetched = known.fetched.max(after.fetched);
        if (ClientRecord { fetched: before.fetched, ..known.clone() }) != before {
            return Err(StoreError::Stale { client_id: after.client_id });
        }
        if let Some(id) = &link {
            let is_taken = state.links.get(id).is_some_and(|client| *client != after.client_id);
            let has_deployments = state.deployments.iter().any(|deployment| deployment.client_id == *id);
            if *id == after.client_id || is_taken || has_deployments {
                return Err(StoreError::Conflict { what: id.to_string() });
            }
        }
        if let Some(id) = &unlink
            && state.links.get(id) != Some(&after.client_id)
        {
            return Err(StoreError::NotFound { what: id.to_string() });
        }
        state.check_unique(&after, link.as_ref())?;
        if let Some(change) = change {
            state.check_version(&change)?;
            state.publish(change);
        }
        if let Some(id) = link {
            let absorbed = state.clients.remove(&id);
            state.tokens.retain(|_, token| token.client_id != id);
            let State { links, former_certificates, .. } = &mut *state;
            for client in links.values_mut().chain(former_certificates.values_mut()) {
                if *client == id {
                    client.clone_from(&after.client_id);
                }
            }
            let certificate = absorbed.as_ref().and_then(|client| client.record.certificate_digest());
            state.note_certificate(certificate, &after);
            state.links.insert(id, after.client_id.clone());
            let client = state.client_mut(&after.client_id)?;
            for (device, capabilities) in absorbed.into_iter().flat_map(|absorbed| absorbed.devices) {
                let capabilities = capabilities
                    .map(|known| CapabilitiesRecord { client_id: after.client_id.clone(), ..known });
                let known = client.devices.entry(device).or_default();
                *known = capabilities.or_else(|| known.take());
            }
        }
        if let Some(id) = unlink {
            state.links.remove(&id);
        }
        state.note_certificate(before.certificate_digest(), &after);
        if ends_tokens {
            state.tokens.retain(|_, token| token.client_id != after.client_id);
        }
        let client = state.client_mut(&after.client_id)?;
        if before.device_id != after.device_id {
            // What was never heard of goes; what reported itself stays.
            if client.devices.get(&before.device_id).is_some_and(Option::is_none) {
                client.devices.remove(&before.device_id);
            }
            client.devices.entry(after.device_id.clone()).or_default();
        }
        client.record = ClientRecord { fetched, ..after };
        Ok(())
    }

    async fn put_token(
        &self,
        token: TokenRecord,
        earlier_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let client = &mut state.client_mut(&token.client_id)?.record;
        if let Some(until) = earlier_until.filter(|_| token.token_use == TokenUse::Git) {
            client.git_token_until = Some(client.git_token_until.map_or(until, |known| known.min(until)));
        }
        state.tokens.retain(|_, known| known.expires_at > token.issued_at);
        let is_same =
            |known: &TokenRecord| (&known.client_id, known.token_use) == (&token.client_id, token.token_use);
        for known in state.tokens.values_mut().filter(|known| is_same(known)) {
            known.expires_at = earlier_until.map_or(known.expires_at, |until| known.expires_at.min(until));
        }
        let mut same: Vec<_> =
            state.tokens.iter().filter(|(_, known)| is_same(known)).map(|(n, _)| *n).collect();
        same.reverse();
        for number in same.into_iter().skip(usize::try_from(KEPT_TOKENS - 1).unwrap_or(usize::MAX)) {
            state.tokens.remove(&number);
        }
        let number = state.tokens.last_key_value().map_or(0, |(last, _)| last + 1);
        state.tokens.insert(number, token);
        Ok(())
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        Ok(self.state().tokens.values().find(|token| token.hash == *hash).cloned())
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
            state.check_version(change)?;
        }
        for change in changes {
            state.publish(change);
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
    /// Other ids that clients are known by.
    links: BTreeMap<ClientId, ClientId>,
    /// Those that clients no longer sign with.
    former_certificates: BTreeMap<Digest, ClientId>,
    /// In the order they were issued.
    tokens: BTreeMap<u64, TokenRecord>,
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

    /// Nobody else has the device or the certificate; whoever is to be linked does not count.
    fn check_unique(&self, client: &ClientRecord, link: Option<&ClientId>) -> Result<(), StoreError> {
        let others = self.clients.values().map(|client| &client.record);
        let others =
            others.filter(|other| other.client_id != client.client_id && Some(&other.client_id) != link);
        for other in others {
            if other.device_id == client.device_id {
                return Err(StoreError::Conflict { what: client.device_id.to_string() });
            }
            if client.certificate.is_some() && other.certificate == client.certificate {
                return Err(StoreError::Conflict { what: "the certificate".to_owned() });
            }
        }
        Ok(())
    }

    /// The certificate that a client had is nobody else's; the one it has is not a former one.
    fn note_certificate(&mut self, before: Option<Digest>, client: &ClientRecord) {
        let after = client.certificate_digest();
        if let Some(former) = before {
            self.former_certificates.insert(former, client.client_id.clone());
        }
        if let Some(digest) = after {
            self.former_certificates.remove(&digest);
        }
    }

    fn check_version(&self, change: &Change) -> Result<(), StoreError> {
        let current = self.clients.get(&change.client_id).and_then(Client::manifest);
        if current.is_none_or(|manifest| manifest.version != change.from) {
            return Err(StoreError::Stale { client_id: change.client_id.clone() });
        }
        Ok(())
    }

    fn publish(&mut self, change: Change) {
        let Change { client_id, manifest, deployments, .. } = change;
        for deployment in deployments {
            self.put_deployment(deployment);
        }
        let documents = self.documents(&client_id);
        if let Some(client) = self.clients.get_mut(&client_id) {
            client.editions.push_back(Edition { manifest, documents });
            if client.editions.len() as u64 > KEPT_MANIFESTS {
                client.editions.pop_front();
            }
        }
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
