//! The device's own look at whether a deployment is for it.

use margo_api::RuntimeError;
use margo_capability::AnyDeviceCapabilities;
use margo_core::Document;
use margo_deployment::ApplicationDeployment;
use margo_placement::evaluate_constraints;

use super::{Agent, run};

impl<S, K, R, J> Agent<S, K, R, J> {
    /// Whether the device is, now, what the deployment asks for: eligibility, and capacity where it is stated
    /// (R-D-030). A device without capabilities of its own leaves that to its manager; of the devices behind a gateway
    /// that may place it on any, one is enough.
    pub(super) async fn eligible(
        &self,
        document: &Document<ApplicationDeployment>,
    ) -> Result<(), RuntimeError> {
        let Some(constraints) = &document.spec.deployment_profile.device_constraints else { return Ok(()) };
        let Some(file) = &self.capabilities else { return Ok(()) };
        let devices = run::read(file).await.map_err(|error| {
            let message = "whether the device is eligible cannot be told: its capabilities cannot be read";
            RuntimeError::new("capabilities-unreadable", message).because(error)
        })?;
        let target = &document.metadata.device_id;
        let device = target.device();
        let behind = format!("{device}/");
        let is_meant = |it: &&AnyDeviceCapabilities| {
            if target.is_any_behind() {
                it.device_id().as_str().starts_with(&behind)
            } else {
                // A device alone may go by another name at its manager.
                devices.len() == 1 || *it.device_id() == device
            }
        };
        let mut refusals = Vec::new();
        for capabilities in devices.iter().filter(is_meant) {
            let placement = evaluate_constraints(constraints, &capabilities.clone().upgrade().value);
            let reasons: Vec<_> = placement.refusals().map(ToString::to_string).collect();
            if reasons.is_empty() {
                return Ok(());
            }
            refusals.extend(reasons);
        }
        // Nobody it could be meant for is known here.
        if refusals.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::new(
            "not-eligible",
            format!("the device is not what is asked for: {}", refusals.join("; ")),
        ))
    }
}
