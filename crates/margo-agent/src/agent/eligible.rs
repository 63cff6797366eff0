//! The device's own look at whether a deployment is for it.

use margo_api::RuntimeError;
use margo_core::Document;
use margo_deployment::ApplicationDeployment;
use margo_placement::evaluate_constraints;

use super::{Agent, run};

impl<S, K, R, J> Agent<S, K, R, J> {
    /// Whether the device is, now, what the deployment asks for: eligibility, and capacity where it is stated
    /// (R-D-030). A device without capabilities of its own leaves that to its manager.
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
        let target = document.metadata.device_id.device();
        let capabilities = match devices.as_slice() {
            [alone] => Some(alone),
            several => several.iter().find(|device| *device.device_id() == target),
        };
        // One of the devices behind a gateway, and it may be any.
        let Some(capabilities) = capabilities else { return Ok(()) };
        let placement = evaluate_constraints(constraints, &capabilities.clone().upgrade().value);
        let refusals: Vec<_> = placement.refusals().map(ToString::to_string).collect();
        if refusals.is_empty() {
            return Ok(());
        }
        Err(RuntimeError::new(
            "not-eligible",
            format!("the device is not what is asked for: {}", refusals.join("; ")),
        ))
    }
}
