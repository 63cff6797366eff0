use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeviceId, Digest, Document};
use margo_deployment::{ApplicationDeployment, DeploymentRef};
use margo_status::{AnyDeploymentStatus, DeploymentStatusManifest};
use margo_syntax::Limits;

use crate::endpoint::{report_capabilities, report_deployment_status};
use crate::{
    BoxError, Caller, CapabilitySink, Checkpoint, DesiredStateSource, FieldError, Problem, ProblemType,
    SinkError, SinkErrorKind, SourceError, SourceErrorKind, StatusSink, Update,
};

/// The Workload Fleet Manager's side of the management interface: the part an orchestration vendor implements.
///
/// Every method receives the [`Caller`] the transport authenticated; none sees HTTP. Whatever belongs to another
/// caller is treated as absent (R-D-008).
#[doc(alias = "WOS")]
#[doc(alias = "WFM")]
pub trait WorkloadFleetManager: Send + Sync {
    /// The desired state of the caller: [`Update::Unchanged`] when `known` is the digest of the current
    /// manifest (R-B-035). A caller without deployments has a manifest that lists none (R-B-021).
    fn desired_state(
        &self,
        caller: &Caller,
        known: Option<Digest>,
    ) -> impl Future<Output = Result<Update, ManagerError>> + Send;

    /// The exact bytes of one deployment: those whose digest `reference` names (R-B-024).
    fn deployment(
        &self,
        caller: &Caller,
        reference: &DeploymentRef,
    ) -> impl Future<Output = Result<Bytes, ManagerError>> + Send;

    /// The exact bytes of one bundle (R-B-024).
    fn bundle(
        &self,
        caller: &Caller,
        digest: Digest,
    ) -> impl Future<Output = Result<Bytes, ManagerError>> + Send;

    /// Records what one of the caller's devices is capable of. Durable when it returns.
    fn report_capabilities(
        &self,
        caller: &Caller,
        report: report_capabilities::Request,
    ) -> impl Future<Output = Result<Recorded, ManagerError>> + Send;

    /// Forgets one of the caller's devices, and those behind it (R-C-007).
    fn remove_device(
        &self,
        caller: &Caller,
        device: &DeviceId,
    ) -> impl Future<Output = Result<(), ManagerError>> + Send;

    /// Records what the caller says about a deployment. Durable when it returns.
    fn report_status(
        &self,
        caller: &Caller,
        report: report_deployment_status::Request,
    ) -> impl Future<Output = Result<Recorded, ManagerError>> + Send;
}

/// Whether a report was the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a report is the first or it is not")]
pub enum Recorded {
    /// Nothing was recorded before.
    Created,
    /// It takes the place of an earlier report.
    Updated,
}

/// A manager could not do what a caller asked.
///
/// The cause is for the manager's log; the caller receives [`problem`](Self::problem) and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct ManagerError {
    kind: ManagerErrorKind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    #[source]
    cause: Option<BoxError>,
}

impl ManagerError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ManagerErrorKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), cause: None }
    }

    /// The body can be read and does not make sense; every fault is listed.
    #[must_use]
    pub fn semantic(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(ManagerErrorKind::Semantic) }
    }

    /// Something of the manager's own broke. The caller learns nothing of the cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(ManagerErrorKind::Internal) }
    }

    /// Adds what the caller may know about this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What a transport can act on.
    #[must_use]
    pub fn kind(&self) -> ManagerErrorKind {
        self.kind
    }

    /// What the caller is told (R-D-037).
    #[must_use]
    pub fn problem(&self) -> Problem {
        let mut problem = match self.kind {
            ManagerErrorKind::NotAuthorized => Problem::new(ProblemType::NotAuthorized),
            ManagerErrorKind::GatewayNotFound => Problem::new(ProblemType::GatewayNotFound),
            ManagerErrorKind::DeviceNotFound => Problem::new(ProblemType::DeviceNotFound),
            ManagerErrorKind::DeploymentNotFound => Problem::new(ProblemType::DeploymentNotFound),
            ManagerErrorKind::BundleNotFound => Problem::new(ProblemType::InvalidBundle),
            ManagerErrorKind::Semantic => Problem::new(ProblemType::SemanticError),
            ManagerErrorKind::InvalidCertificate => {
                titled(ProblemType::InvalidRequest, "Invalid certificate")
            }
            ManagerErrorKind::ClientRejected => titled(ProblemType::NotAuthorized, "Client rejected"),
            ManagerErrorKind::Absent => Problem::about_blank(StatusCode::NOT_FOUND),
            ManagerErrorKind::Unavailable { retry_after } => {
                Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(retry_after)
            }
            ManagerErrorKind::Internal => Problem::about_blank(StatusCode::INTERNAL_SERVER_ERROR),
        };
        problem.detail.clone_from(&self.detail);
        problem.with_errors(self.errors.clone())
    }
}

/// A problem with a title of its own (X-D-14): the one that rc.1 and rc.2 print.
fn titled(problem_type: ProblemType, title: &str) -> Problem {
    let mut problem = Problem::new(problem_type);
    title.clone_into(&mut problem.title);
    problem
}

/// What a transport can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerErrorKind {
    /// The client is known and not served (R-D-007).
    #[error("the client is not authorized")]
    NotAuthorized,
    /// A child device was reported before its gateway (R-D-020).
    #[error("the gateway of the device is not known")]
    GatewayNotFound,
    /// The caller has no such device.
    #[error("the client has no such device")]
    DeviceNotFound,
    /// The caller has no such deployment, or none with that digest.
    #[error("the client has no such deployment")]
    DeploymentNotFound,
    /// The caller has no bundle with that digest.
    #[error("the client has no such bundle")]
    BundleNotFound,
    /// The body can be read and does not make sense.
    #[error("the body does not make sense")]
    Semantic,
    /// What a device sent to be taken on with is no certificate.
    #[error("the certificate is not one")]
    InvalidCertificate,
    /// The device, or its certificate, is not taken on.
    #[error("the device is rejected")]
    ClientRejected,
    /// There is nothing of this kind, such as no trust bundle.
    #[error("there is no such thing")]
    Absent,
    /// Try again later.
    #[error("the manager is busy")]
    Unavailable {
        /// How much later.
        retry_after: Duration,
    },
    /// Something of the manager's own broke.
    #[error("the manager failed")]
    Internal,
}

/// A manager in the same process, seen by one of its clients.
///
/// Plays every role of the device's side, so that an agent and a manager can be tested together without a
/// socket.
#[derive(Debug)]
pub struct InProcess<M> {
    manager: Arc<M>,
    caller: Caller,
}

impl<M> Clone for InProcess<M> {
    fn clone(&self) -> Self {
        Self { manager: Arc::clone(&self.manager), caller: self.caller.clone() }
    }
}

impl<M: WorkloadFleetManager> InProcess<M> {
    /// `manager`, as `caller` sees it.
    #[must_use]
    pub fn new(manager: Arc<M>, caller: Caller) -> Self {
        Self { manager, caller }
    }
}

impl<M: WorkloadFleetManager> DesiredStateSource for InProcess<M> {
    async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
        Ok(self.manager.desired_state(&self.caller, last.map(|checkpoint| checkpoint.digest)).await?)
    }

    async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        let bytes = self.manager.deployment(&self.caller, reference).await?;
        let document = ApplicationDeployment::decode(bytes, &Limits::default())
            .map_err(|cause| SourceError::because(SourceErrorKind::Corrupt, cause))?;
        if document.digest() == reference.digest {
            Ok(document)
        } else {
            Err(SourceError::new(SourceErrorKind::Corrupt))
        }
    }
}

impl<M: WorkloadFleetManager> StatusSink for InProcess<M> {
    async fn report_status(&self, status: &DeploymentStatusManifest) -> Result<(), SinkError> {
        let bytes = margo_syntax::to_canonical_json(status)
            .map_err(|cause| SinkError::because(SinkErrorKind::Unsayable, cause))?;
        let status = AnyDeploymentStatus::decode(bytes.into(), &Limits::default())
            .map_err(|cause| SinkError::because(SinkErrorKind::Unsayable, cause))?;
        let report = report_deployment_status::Request::new(status);
        self.manager.report_status(&self.caller, report).await?;
        Ok(())
    }
}

impl<M: WorkloadFleetManager> CapabilitySink for InProcess<M> {
    async fn report_capabilities(&self, capabilities: &AnyDeviceCapabilities) -> Result<(), SinkError> {
        let capabilities = AnyDeviceCapabilities::decode(capabilities.to_json().into(), &Limits::default())
            .map_err(|cause| SinkError::because(SinkErrorKind::Unsayable, cause))?;
        let report = report_capabilities::Request::new(capabilities);
        self.manager.report_capabilities(&self.caller, report).await?;
        Ok(())
    }

    async fn remove_device(&self, device: &DeviceId) -> Result<(), SinkError> {
        Ok(self.manager.remove_device(&self.caller, device).await?)
    }
}

impl From<ManagerError> for SourceError {
    fn from(error: ManagerError) -> Self {
        let (kind, retry_after) = match error.kind {
            ManagerErrorKind::NotAuthorized => (SourceErrorKind::Unauthorized, None),
            ManagerErrorKind::Unavailable { retry_after } => {
                (SourceErrorKind::Unavailable, Some(retry_after))
            }
            ManagerErrorKind::Internal => (SourceErrorKind::Unavailable, None),
            _ => (SourceErrorKind::NotFound, None),
        };
        Self::because(kind, error).with_retry_after(retry_after)
    }
}

impl From<ManagerError> for SinkError {
    fn from(error: ManagerError) -> Self {
        let (kind, retry_after) = match error.kind {
            ManagerErrorKind::NotAuthorized => (SinkErrorKind::Unauthorized, None),
            ManagerErrorKind::Unavailable { retry_after } => (SinkErrorKind::Unavailable, Some(retry_after)),
            ManagerErrorKind::Internal => (SinkErrorKind::Unavailable, None),
            _ => (SinkErrorKind::Rejected, None),
        };
        Self::because(kind, error).with_retry_after(retry_after)
    }
}
