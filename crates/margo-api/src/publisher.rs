use bytes::Bytes;
use margo_core::{ClientId, DeploymentId, ManifestVersion};

use crate::BoxError;

/// The complete desired state of one client, ready to be made visible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publication {
    /// Whose desired state this is.
    pub client_id: ClientId,
    /// The version of the manifest that lists these deployments.
    pub version: ManifestVersion,
    /// Each deployment and the exact bytes of its document, in the client's revision.
    pub deployments: Vec<(DeploymentId, Bytes)>,
}

impl Publication {
    /// The desired state of `client_id` at `version`.
    #[must_use]
    pub fn new(
        client_id: ClientId,
        version: ManifestVersion,
        deployments: Vec<(DeploymentId, Bytes)>,
    ) -> Self {
        Self { client_id, version, deployments }
    }
}

/// How a manager makes a new desired state visible elsewhere than over REST, such as in Git (R-A-004, R-A-018).
pub trait DesiredStatePublisher: Send + Sync {
    /// Makes the publication visible; durable when this returns.
    ///
    /// Publishing a version that is already visible, or an older one, changes nothing: a manager that lost
    /// power between its database and the publisher simply publishes again.
    fn publish(&self, publication: &Publication) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// The version that is visible now; `None` when nothing was ever published for this client.
    fn published(
        &self,
        client: &ClientId,
    ) -> impl Future<Output = Result<Option<ManifestVersion>, PublishError>> + Send;
}

/// Publishes nowhere: for a manager that serves desired state over REST alone.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoPublisher;

impl NoPublisher {
    /// A publisher that publishes nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl DesiredStatePublisher for NoPublisher {
    async fn publish(&self, _: &Publication) -> Result<(), PublishError> {
        Ok(())
    }

    /// Always the newest version there can be, so that nothing is ever left to publish.
    async fn published(&self, _: &ClientId) -> Result<Option<ManifestVersion>, PublishError> {
        Ok(ManifestVersion::new(u64::MAX))
    }
}

/// Desired state could not be made visible. Trying again is safe.
#[derive(Debug, thiserror::Error)]
#[error("desired state of `{client_id}` could not be published")]
pub struct PublishError {
    client_id: ClientId,
    #[source]
    cause: BoxError,
}

impl PublishError {
    /// Publishing for `client_id` failed because of `cause`.
    pub fn new(client_id: ClientId, cause: impl Into<BoxError>) -> Self {
        Self { client_id, cause: cause.into() }
    }

    /// Whose desired state is not visible.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }
}
