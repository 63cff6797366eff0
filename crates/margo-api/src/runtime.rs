use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use margo_core::{ComponentName, DeploymentId, Document};
use margo_deployment::{ApplicationDeployment, Component};

use crate::{BoxError, BoxFuture};

/// What is on a device: the components of each deployment, complete or not.
pub type Present = BTreeMap<DeploymentId, BTreeSet<ComponentName>>;

/// What makes workloads run: the part a device vendor implements.
///
/// A runtime carries out one component at a time and remembers nothing but what it can see. The agent decides
/// the order of components, enforces `wait` and `timeout` by dropping the future that takes too long, reports
/// every change of state, and remembers which digest of a deployment is in force. So every runtime, however
/// small, survives a power cut in the middle.
///
/// Every method may be called again for what is already done, and then changes nothing.
pub trait WorkloadRuntime: Send + Sync {
    /// What is on the device now, of all that this runtime ever applied and did not remove.
    fn present(&self) -> impl Future<Output = Result<Present, RuntimeError>> + Send;

    /// Gets everything ready for `deployment`, such as images, without touching what runs.
    ///
    /// An error leaves the previous version running. Does nothing unless implemented.
    fn prepare(
        &self,
        deployment: &Document<ApplicationDeployment>,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send {
        let _ = deployment;
        async { Ok(()) }
    }

    /// Makes one component run as `deployment` says: installs it, or changes what is there.
    ///
    /// `deployment.values_for(&component.name)` are the parameters of the component (R-A-042). When
    /// `component.properties.waits()`, this returns once the component runs (R-A-037, R-D-036).
    fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Takes one component away. A component that is not there is a success.
    fn remove(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

/// [`WorkloadRuntime`], erased.
pub trait DynWorkloadRuntime: Send + Sync {
    /// See [`WorkloadRuntime::present`].
    fn present(&self) -> BoxFuture<'_, Result<Present, RuntimeError>>;

    /// See [`WorkloadRuntime::prepare`].
    fn prepare<'a>(
        &'a self,
        deployment: &'a Document<ApplicationDeployment>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// See [`WorkloadRuntime::apply`].
    fn apply<'a>(
        &'a self,
        deployment: &'a Document<ApplicationDeployment>,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// See [`WorkloadRuntime::remove`].
    fn remove<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        component: &'a ComponentName,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;
}

impl<R: WorkloadRuntime> DynWorkloadRuntime for R {
    fn present(&self) -> BoxFuture<'_, Result<Present, RuntimeError>> {
        Box::pin(WorkloadRuntime::present(self))
    }

    fn prepare<'a>(
        &'a self,
        deployment: &'a Document<ApplicationDeployment>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(WorkloadRuntime::prepare(self, deployment))
    }

    fn apply<'a>(
        &'a self,
        deployment: &'a Document<ApplicationDeployment>,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(WorkloadRuntime::apply(self, deployment, component))
    }

    fn remove<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        component: &'a ComponentName,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(WorkloadRuntime::remove(self, deployment, component))
    }
}

impl WorkloadRuntime for Arc<dyn DynWorkloadRuntime + '_> {
    async fn present(&self) -> Result<Present, RuntimeError> {
        (**self).present().await
    }

    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        (**self).prepare(deployment).await
    }

    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        (**self).apply(deployment, component).await
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        (**self).remove(deployment, component).await
    }
}

/// A runtime could not carry out what it was asked for.
///
/// Code and message become the `error` of the component in the status report (R-A-023, R-C-012).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    code: String,
    message: String,
    #[source]
    cause: Option<BoxError>,
}

impl RuntimeError {
    /// A failure. `code` is for programs and stays the same for the same cause; `message` is for people.
    ///
    /// Codes are the vendor's own, except `101` to `103`, which belong to gateways (X-C-12).
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), cause: None }
    }

    /// Adds what led to the failure, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}
