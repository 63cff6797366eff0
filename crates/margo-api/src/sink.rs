use std::sync::Arc;
use std::time::Duration;

use margo_capability::AnyDeviceCapabilities;
use margo_core::DeviceId;
use margo_status::DeploymentStatusManifest;

use crate::{BoxError, BoxFuture};

/// Where a device reports the state of its deployments (R-B-033).
pub trait StatusSink: Send + Sync {
    /// Delivers one report. When this returns, the manager has recorded it.
    ///
    /// The report is in the newest revision's vocabulary; the sink writes it as its peer's revision does.
    fn report_status(
        &self,
        status: &DeploymentStatusManifest,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Where a device reports what it is capable of (R-A-025, R-D-020).
pub trait CapabilitySink: Send + Sync {
    /// Delivers the capabilities of one device. When this returns, the manager has recorded them.
    fn report_capabilities(
        &self,
        capabilities: &AnyDeviceCapabilities,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Tells that a device is gone (R-C-007).
    fn remove_device(&self, device: &DeviceId) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// [`StatusSink`], erased.
pub trait DynStatusSink: Send + Sync {
    /// See [`StatusSink::report_status`].
    fn report_status<'a>(
        &'a self,
        status: &'a DeploymentStatusManifest,
    ) -> BoxFuture<'a, Result<(), SinkError>>;
}

impl<S: StatusSink> DynStatusSink for S {
    fn report_status<'a>(
        &'a self,
        status: &'a DeploymentStatusManifest,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(StatusSink::report_status(self, status))
    }
}

impl StatusSink for Arc<dyn DynStatusSink + '_> {
    async fn report_status(&self, status: &DeploymentStatusManifest) -> Result<(), SinkError> {
        (**self).report_status(status).await
    }
}

/// [`CapabilitySink`], erased.
pub trait DynCapabilitySink: Send + Sync {
    /// See [`CapabilitySink::report_capabilities`].
    fn report_capabilities<'a>(
        &'a self,
        capabilities: &'a AnyDeviceCapabilities,
    ) -> BoxFuture<'a, Result<(), SinkError>>;

    /// See [`CapabilitySink::remove_device`].
    fn remove_device<'a>(&'a self, device: &'a DeviceId) -> BoxFuture<'a, Result<(), SinkError>>;
}

impl<S: CapabilitySink> DynCapabilitySink for S {
    fn report_capabilities<'a>(
        &'a self,
        capabilities: &'a AnyDeviceCapabilities,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(CapabilitySink::report_capabilities(self, capabilities))
    }

    fn remove_device<'a>(&'a self, device: &'a DeviceId) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(CapabilitySink::remove_device(self, device))
    }
}

impl CapabilitySink for Arc<dyn DynCapabilitySink + '_> {
    async fn report_capabilities(&self, capabilities: &AnyDeviceCapabilities) -> Result<(), SinkError> {
        (**self).report_capabilities(capabilities).await
    }

    async fn remove_device(&self, device: &DeviceId) -> Result<(), SinkError> {
        (**self).remove_device(device).await
    }
}

/// A report was not recorded.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct SinkError {
    kind: SinkErrorKind,
    retry_after: Option<Duration>,
    #[source]
    cause: Option<BoxError>,
}

impl SinkError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: SinkErrorKind) -> Self {
        Self { kind, retry_after: None, cause: None }
    }

    /// An error of this kind, and what led to it.
    pub fn because(kind: SinkErrorKind, cause: impl Into<BoxError>) -> Self {
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
    pub fn kind(&self) -> SinkErrorKind {
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
pub enum SinkErrorKind {
    /// Try again later; keep the report.
    #[error("the manager is unreachable")]
    Unavailable,
    /// Trying again will not help until somebody acts; keep the report.
    #[error("this client is not authorized")]
    Unauthorized,
    /// The manager will never accept this report; drop it.
    #[error("the manager rejected the report")]
    Rejected,
    /// The peer's revision has no words for this report; drop it.
    #[error("the peer's revision cannot say this")]
    Unsayable,
}
