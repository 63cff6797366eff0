use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use margo_core::{ComponentName, DeploymentId, Document};
use margo_deployment::{ApplicationDeployment, Component};

use crate::{BoxError, BoxFuture};

/// What is on a device: the components of each deployment, complete or not.
pub type Present = BTreeMap<DeploymentId, BTreeSet<ComponentName>>;

/// What does not do its work, of what is present: for each component, why.
pub type Outages = BTreeMap<DeploymentId, BTreeMap<ComponentName, Outage>>;

/// Why a component that is present does not do its work.
///
/// Code and message become the `error` of the component when it is reported as failed, as those of a
/// [`RuntimeError`] do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    code: String,
    message: String,
    is_hopeless: bool,
}

impl Outage {
    /// An outage that applying the component again may end.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), is_hopeless: false }
    }

    /// The same outage, but applying the component again would only repeat it, as with a workload that ends
    /// whenever it is started.
    #[must_use]
    pub fn hopeless(mut self) -> Self {
        self.is_hopeless = true;
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

    /// Whether applying the component again would only repeat it.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.is_hopeless
    }
}

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

    /// Ends an [`apply`](Self::apply) that was given up in the middle: brings back what ran before it, and says
    /// whether that runs again. Does nothing unless implemented.
    fn restore(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> impl Future<Output = Result<bool, RuntimeError>> + Send {
        let _ = (deployment, component);
        async { Ok(false) }
    }

    /// What is present and does not do its work. Nothing, unless implemented.
    fn outages(&self) -> impl Future<Output = Result<Outages, RuntimeError>> + Send {
        async { Ok(Outages::new()) }
    }

    /// Completes when something happened that is worth a look at [`present`](Self::present) and
    /// [`outages`](Self::outages). Never, unless implemented. May be dropped and called again at any time.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
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

    /// See [`WorkloadRuntime::restore`].
    fn restore<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        component: &'a ComponentName,
    ) -> BoxFuture<'a, Result<bool, RuntimeError>>;

    /// See [`WorkloadRuntime::outages`].
    fn outages(&self) -> BoxFuture<'_, Result<Outages, RuntimeError>>;

    /// See [`WorkloadRuntime::changed`].
    fn changed(&self) -> BoxFuture<'_, ()>;
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

    fn restore<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        component: &'a ComponentName,
    ) -> BoxFuture<'a, Result<bool, RuntimeError>> {
        Box::pin(WorkloadRuntime::restore(self, deployment, component))
    }

    fn outages(&self) -> BoxFuture<'_, Result<Outages, RuntimeError>> {
        Box::pin(WorkloadRuntime::outages(self))
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(WorkloadRuntime::changed(self))
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

    async fn restore(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> Result<bool, RuntimeError> {
        (**self).restore(deployment, component).await
    }

    async fn outages(&self) -> Result<Outages, RuntimeError> {
        (**self).outages().await
    }

    async fn changed(&self) {
        (**self).changed().await;
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
