use std::sync::Arc;
use std::time::Duration;

use margo_core::Document;
use margo_deployment::{ApplicationDeployment, DeploymentRef, DesiredStateManifest};

use crate::{BoxError, BoxFuture, Checkpoint, Update};

/// Where a device learns what it should run.
///
/// Implementations move bytes and verify digests (R-B-026). Rollback protection, retry and back-off belong to
/// the agent, so that every source behaves alike.
pub trait DesiredStateSource: Send + Sync {
    /// Returns the manifest if it differs from the one at `last`.
    fn poll(&self, last: Option<Checkpoint>) -> impl Future<Output = Result<Update, SourceError>> + Send;

    /// Returns the deployment whose bytes have exactly the digest in `reference`.
    ///
    /// A deployment written by an older revision arrives in the newest revision's vocabulary, beside its own
    /// bytes.
    fn fetch(
        &self,
        reference: &DeploymentRef,
    ) -> impl Future<Output = Result<Document<ApplicationDeployment>, SourceError>> + Send;

    /// Returns every deployment in `references`, in that order. All of them are listed by `manifest`.
    ///
    /// A source that can fetch several at once, such as from the manifest's bundle, does so here.
    fn fetch_all(
        &self,
        manifest: &DesiredStateManifest,
        references: &[DeploymentRef],
    ) -> impl Future<Output = Result<Vec<Document<ApplicationDeployment>>, SourceError>> + Send {
        let _ = manifest;
        async move {
            let mut fetched = Vec::with_capacity(references.len());
            for reference in references {
                fetched.push(self.fetch(reference).await?);
            }
            Ok(fetched)
        }
    }
}

/// [`DesiredStateSource`], erased: for whoever chooses a source at run time.
pub trait DynDesiredStateSource: Send + Sync {
    /// See [`DesiredStateSource::poll`].
    fn poll(&self, last: Option<Checkpoint>) -> BoxFuture<'_, Result<Update, SourceError>>;

    /// See [`DesiredStateSource::fetch`].
    fn fetch<'a>(
        &'a self,
        reference: &'a DeploymentRef,
    ) -> BoxFuture<'a, Result<Document<ApplicationDeployment>, SourceError>>;

    /// See [`DesiredStateSource::fetch_all`].
    fn fetch_all<'a>(
        &'a self,
        manifest: &'a DesiredStateManifest,
        references: &'a [DeploymentRef],
    ) -> BoxFuture<'a, Result<Vec<Document<ApplicationDeployment>>, SourceError>>;
}

impl<S: DesiredStateSource> DynDesiredStateSource for S {
    fn poll(&self, last: Option<Checkpoint>) -> BoxFuture<'_, Result<Update, SourceError>> {
        Box::pin(DesiredStateSource::poll(self, last))
    }

    fn fetch<'a>(
        &'a self,
        reference: &'a DeploymentRef,
    ) -> BoxFuture<'a, Result<Document<ApplicationDeployment>, SourceError>> {
        Box::pin(DesiredStateSource::fetch(self, reference))
    }

    fn fetch_all<'a>(
        &'a self,
        manifest: &'a DesiredStateManifest,
        references: &'a [DeploymentRef],
    ) -> BoxFuture<'a, Result<Vec<Document<ApplicationDeployment>>, SourceError>> {
        Box::pin(DesiredStateSource::fetch_all(self, manifest, references))
    }
}

// `+ '_`, not the implied `'static`: an agent that holds this can then be spawned.
impl DesiredStateSource for Arc<dyn DynDesiredStateSource + '_> {
    async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
        (**self).poll(last).await
    }

    async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        (**self).fetch(reference).await
    }

    async fn fetch_all(
        &self,
        manifest: &DesiredStateManifest,
        references: &[DeploymentRef],
    ) -> Result<Vec<Document<ApplicationDeployment>>, SourceError> {
        (**self).fetch_all(manifest, references).await
    }
}

/// A source could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct SourceError {
    kind: SourceErrorKind,
    retry_after: Option<Duration>,
    #[source]
    cause: Option<BoxError>,
}

impl SourceError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: SourceErrorKind) -> Self {
        Self { kind, retry_after: None, cause: None }
    }

    /// An error of this kind, and what led to it.
    pub fn because(kind: SourceErrorKind, cause: impl Into<BoxError>) -> Self {
        Self { kind, retry_after: None, cause: Some(cause.into()) }
    }

    /// Adds how long the peer asks to be left alone (`Retry-After`, R-D-038).
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// How long the peer asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// Try again later.
    #[error("desired state is unreachable")]
    Unavailable,
    /// Trying again will not help.
    #[error("this client is not authorized")]
    Unauthorized,
    /// The named content is not there. This says nothing about deletion (R-B-031).
    #[error("no content has that digest")]
    NotFound,
    /// Content arrived and is not what was announced (R-B-027), or cannot be read.
    #[error("content is not what was announced")]
    Corrupt,
    /// History was rewritten: what is offered does not follow what was adopted (R-B-030).
    #[error("desired state went back")]
    RolledBack,
}
