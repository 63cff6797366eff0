use jiff::Timestamp;
use margo_core::{ClientId, DeploymentId, DeviceId, DeviceTarget, ManifestVersion};
use margo_status::DeploymentState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something happened in the fleet, and is stored.
///
/// Events are for those who watch: they are not kept, and whoever missed some reads the state again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum FleetEvent {
    /// A client was given its credentials.
    DeviceOnboarded {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// The client.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The device it was onboarded for.
        #[schema(value_type = String)]
        device_id: DeviceId,
    },
    /// A client is refused from now on.
    DeviceRetired {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// The client.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The device it was onboarded for.
        #[schema(value_type = String)]
        device_id: DeviceId,
    },
    /// A device said what it is capable of.
    CapabilitiesReported {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Whose device it is.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The device.
        #[schema(value_type = String)]
        device_id: DeviceId,
        /// Whether it was the device's first report.
        first: bool,
    },
    /// A device, and those behind it, are gone (R-C-007).
    DeviceRemoved {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Whose device it was.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The device.
        #[schema(value_type = String)]
        device_id: DeviceId,
    },
    /// An operator changed a deployment.
    DeploymentChanged {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Whose device it runs on.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The deployment.
        #[schema(value_type = String)]
        deployment_id: DeploymentId,
        /// Where it is to run.
        #[schema(value_type = String)]
        device: DeviceTarget,
        /// What was done to it.
        change: ChangeKind,
        /// The manifest that says so.
        #[schema(value_type = u64)]
        since: ManifestVersion,
    },
    /// A device said where a deployment stands.
    StatusReported {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Whose device it runs on.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The deployment.
        #[schema(value_type = String)]
        deployment_id: DeploymentId,
        /// The overall state reported.
        #[schema(value_type = String)]
        state: DeploymentState,
    },
    /// A client's desired state can be fetched everywhere it is served.
    DesiredStatePublished {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// The client.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The version of its manifest.
        #[schema(value_type = u64)]
        version: ManifestVersion,
    },
    /// A client has fetched its desired state; it may not have acted on it yet.
    DesiredStateFetched {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// The client.
        #[schema(value_type = String)]
        client_id: ClientId,
        /// The version of its manifest.
        #[schema(value_type = u64)]
        version: ManifestVersion,
    },
}

impl FleetEvent {
    /// The name of the event, as its serialized form has it in `type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeviceOnboarded { .. } => "device-onboarded",
            Self::DeviceRetired { .. } => "device-retired",
            Self::CapabilitiesReported { .. } => "capabilities-reported",
            Self::DeviceRemoved { .. } => "device-removed",
            Self::DeploymentChanged { .. } => "deployment-changed",
            Self::StatusReported { .. } => "status-reported",
            Self::DesiredStatePublished { .. } => "desired-state-published",
            Self::DesiredStateFetched { .. } => "desired-state-fetched",
        }
    }
}

/// What an operator did to a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It has another version or other values.
    Updated,
    /// It is to be removed.
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_type() {
        let at = Timestamp::UNIX_EPOCH;
        let client_id: ClientId = "c".parse().unwrap();
        let device_id: DeviceId = "d".parse().unwrap();
        let deployment_id: DeploymentId = "a".parse().unwrap();
        let version = ManifestVersion::FIRST;
        for event in [
            FleetEvent::DeviceOnboarded { at, client_id: client_id.clone(), device_id: device_id.clone() },
            FleetEvent::DeviceRetired { at, client_id: client_id.clone(), device_id: device_id.clone() },
            FleetEvent::CapabilitiesReported {
                at,
                client_id: client_id.clone(),
                device_id: device_id.clone(),
                first: true,
            },
            FleetEvent::DeviceRemoved { at, client_id: client_id.clone(), device_id: device_id.clone() },
            FleetEvent::DeploymentChanged {
                at,
                client_id: client_id.clone(),
                deployment_id: deployment_id.clone(),
                device: device_id.into(),
                change: ChangeKind::Deleted,
                since: version,
            },
            FleetEvent::StatusReported {
                at,
                client_id: client_id.clone(),
                deployment_id,
                state: DeploymentState::Failed,
            },
            FleetEvent::DesiredStatePublished { at, client_id: client_id.clone(), version },
            FleetEvent::DesiredStateFetched { at, client_id, version },
        ] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["type"], event.name());
            assert_eq!(json["clientId"], "c");
            assert_eq!(serde_json::from_value::<FleetEvent>(json).unwrap(), event);
        }
    }
}
