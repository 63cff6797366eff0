use std::time::Duration;

use margo_api::{BoxError, DesiredStatePublisher, Publication, PublishError};
use margo_core::{ClientId, ManifestVersion};
use margo_deployment::{BundleLimits, DesiredStateManifest, read_bundle, verify_bundle};
use margo_syntax::Limits;

use super::{FleetEvent, Manager};
use crate::store::{ManifestRecord, Store, StoreError};

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// Publishes, for every client, what the store holds and is not visible: once, before serving.
    ///
    /// # Errors
    ///
    /// [`RecoverError::Ahead`] when a publisher shows what the store does not know, which is the mark of a store
    /// restored from a copy: going on would give versions away a second time, with other content (R-B-020). Nothing
    /// is published then. Else what the store or the publisher cannot do.
    pub async fn recover(&self) -> Result<(), RecoverError> {
        let mut behind = Vec::new();
        for client in self.store.clients().await? {
            let client = client.client_id;
            let Some(manifest) = self.store.manifest(&client).await? else { continue };
            let stored = manifest.version;
            match self.publisher.published(&client).await? {
                // Whoever publishes nowhere says so with the newest version there can be.
                Some(published) if published.next().is_none() => {}
                Some(published) if published > stored => {
                    return Err(RecoverError::Ahead { client, published, stored });
                }
                Some(published) if published == stored => {}
                _ => behind.push((client, manifest)),
            }
        }
        for (client, manifest) in behind {
            tracing::info!(%client, version = %manifest.version, "publishing again");
            let publication = publication(&client, &manifest).map_err(RecoverError::Corrupt)?;
            self.publisher.publish(&publication).await?;
            self.published(&client, manifest.version);
        }
        Ok(())
    }

    /// Publishes again what could not be published when it was changed. Returns how many clients' desired state may
    /// still not be visible everywhere.
    ///
    /// # Errors
    ///
    /// Those of the store; those of the publisher are logged, and counted.
    pub async fn repair(&self) -> Result<usize, StoreError> {
        let waiting: Vec<ClientId> = self.unpublished().iter().cloned().collect();
        for client in waiting {
            let _turn = self.turn.lock().await;
            let Some(manifest) = self.store.manifest(&client).await? else { continue };
            match publication(&client, &manifest) {
                Ok(publication) => self.publish(publication).await,
                Err(error) => tracing::error!(%client, error, "a manifest and its bundle disagree"),
            }
        }
        Ok(self.unpublished().len())
    }

    /// Calls [`repair`](Self::repair) every now and then, for ever.
    pub async fn keep_repairing(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = self.repair().await {
                tracing::warn!(error = crate::chain(&error), "repair failed; trying again");
            }
        }
    }

    /// Makes what is stored visible. A failure is logged and left to [`repair`](Self::repair): the change itself is
    /// done.
    pub(super) async fn publish(&self, publication: Publication) {
        let (client, version) = (&publication.client_id, publication.version);
        match self.publisher.publish(&publication).await {
            Ok(()) => self.published(client, version),
            Err(error) => {
                tracing::error!(%client, %version, error = crate::chain(&error), "not published; repair will try again");
            }
        }
    }

    /// From before it is stored until it is visible, so that a request that is given up in between is repaired too.
    pub(super) fn not_yet_published(&self, client: &ClientId) {
        self.unpublished().insert(client.clone());
    }

    fn published(&self, client: &ClientId, version: ManifestVersion) {
        self.unpublished().remove(client);
        let client_id = client.clone();
        self.announce(FleetEvent::DesiredStatePublished { at: self.now(), client_id, version });
    }
}

/// A manager cannot go on where it stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// What is visible is newer than what is stored.
    #[error(
        "desired state of `{client}` is published at version {published}, and the store knows {stored}: \
         the store seems to be an older copy"
    )]
    Ahead {
        /// Whose desired state it is.
        client: ClientId,
        /// The version that is visible.
        published: ManifestVersion,
        /// The version that is stored.
        stored: ManifestVersion,
    },
    /// What is stored does not fit together.
    #[error("a stored manifest and its bundle disagree")]
    Corrupt(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The publisher failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a manifest says, from its own bundle: whatever is changed meanwhile, the two belong together.
fn publication(client: &ClientId, record: &ManifestRecord) -> Result<Publication, BoxError> {
    let manifest = DesiredStateManifest::parse(&record.document, &Limits::default())?;
    let mut deployments = Vec::with_capacity(manifest.deployments.len());
    if let Some((_, bundle)) = &record.bundle {
        let content = verify_bundle(read_bundle(bundle, &BundleLimits::default())?, &manifest)?;
        for reference in &manifest.deployments {
            let bytes = content.get(&reference.digest).ok_or("a deployment is missing")?;
            deployments.push((reference.deployment_id.clone(), bytes.clone()));
        }
    }
    Ok(Publication::new(client.clone(), record.version, deployments))
}
