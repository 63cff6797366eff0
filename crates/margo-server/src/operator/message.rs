use margo_core::{ClientId, DeviceId, SpecVersion};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manager::{ApplicationView, DeploymentView, DeviceView, Onboarded};

/// What a client needs to be let in. The secrets are told this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Onboarded)]
pub(super) struct Credentials {
    /// The client.
    #[schema(value_type = String)]
    client_id: ClientId,
    /// The device it was onboarded for.
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// The revision its documents are written in.
    #[schema(value_type = String)]
    revision: SpecVersion,
    /// The bearer token for the management interface.
    token: String,
    /// The token for the Git repository.
    git_token: String,
    /// Where the Git repository is: absolute, or a path on this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    git_url: Option<String>,
}

impl Credentials {
    pub(super) fn new(
        onboarded: &Onboarded,
        git_url: Option<&(dyn Fn(&ClientId) -> String + Send + Sync)>,
    ) -> Self {
        Self {
            client_id: onboarded.client_id.clone(),
            device_id: onboarded.device_id.clone(),
            revision: onboarded.revision,
            token: onboarded.token.reveal().to_owned(),
            git_token: onboarded.git_token.reveal().to_owned(),
            git_url: git_url.map(|git_url| git_url(&onboarded.client_id)),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Devices {
    /// The devices, by client and id.
    pub(super) devices: Vec<DeviceView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Applications {
    /// The versions of applications, by id, in the order they were stored.
    pub(super) applications: Vec<ApplicationView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Deployments {
    /// The deployments, in the order they were created.
    pub(super) deployments: Vec<DeploymentView>,
}
