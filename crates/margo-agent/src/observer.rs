use std::sync::Arc;

use margo_api::SinkError;
use margo_capability::AnyDeviceCapabilities;
use margo_status::DeploymentStatusManifest;

use crate::{AgentError, Round};

/// Watches an agent at work: for a program that shows what happens, or counts it.
///
/// Every method does nothing unless implemented, and is called from within the work: it must return quickly. What
/// is observed here is logged with `tracing` as well.
pub trait Observer: Send + Sync {
    /// A round is over.
    fn finished(&self, outcome: Result<&Round, &AgentError>) {
        let _ = outcome;
    }

    /// A deployment, or one of its components, changed its state. The report is queued.
    fn changed(&self, status: &DeploymentStatusManifest) {
        let _ = status;
    }

    /// A report was offered to the manager.
    fn delivered(&self, status: &DeploymentStatusManifest, outcome: Result<(), &SinkError>) {
        let _ = (status, outcome);
    }

    /// The capabilities were offered to the manager.
    fn reported(&self, capabilities: &AnyDeviceCapabilities, outcome: Result<(), &SinkError>) {
        let _ = (capabilities, outcome);
    }
}

/// Nobody watches.
impl Observer for () {}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn finished(&self, outcome: Result<&Round, &AgentError>) {
        (**self).finished(outcome);
    }

    fn changed(&self, status: &DeploymentStatusManifest) {
        (**self).changed(status);
    }

    fn delivered(&self, status: &DeploymentStatusManifest, outcome: Result<(), &SinkError>) {
        (**self).delivered(status, outcome);
    }

    fn reported(&self, capabilities: &AnyDeviceCapabilities, outcome: Result<(), &SinkError>) {
        (**self).reported(capabilities, outcome);
    }
}
