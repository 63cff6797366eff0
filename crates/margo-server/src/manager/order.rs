use std::collections::BTreeMap;

use margo_core::{ApplicationId, ClientId, DeploymentId, DeviceId, SpecVersion};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::target::TargetRef;

/// A device to be given credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct OnboardRequest {
    /// The device. Not one behind a gateway: those are reported by the gateway's client.
    #[schema(value_type = String)]
    pub device_id: DeviceId,
    /// The name of its client; a UUID if none is given (R-B-006).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_id: Option<ClientId>,
    /// The revision its documents are to be written in; the newest if none is given.
    #[serde(default = "newest")]
    #[schema(value_type = Option<String>, example = "1.0.0-rc.3")]
    pub revision: SpecVersion,
    /// The certificate it signs with: PEM, or the base64 of DER. The pre-draft has it uploaded by its user (R-A-014);
    /// 1.0.0-rc.1 and 1.0.0-rc.2 devices may send it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl OnboardRequest {
    /// A device of this revision, with a client whose name the manager chooses.
    #[must_use]
    pub fn new(device_id: DeviceId, revision: SpecVersion) -> Self {
        Self { device_id, client_id: None, revision, certificate: None }
    }

    /// The same, with the certificate it signs with: PEM, or the base64 of DER.
    #[must_use]
    pub fn with_certificate(mut self, certificate: impl Into<String>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }

    /// The same, with a name for the client.
    #[must_use]
    pub fn with_client(mut self, client_id: ClientId) -> Self {
        self.client_id = Some(client_id);
        self
    }
}

fn newest() -> SpecVersion {
    SpecVersion::LATEST
}

/// What a device has become: it was upgraded to another revision, or got another certificate. What is not mentioned stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct LinkRequest {
    /// The id its client is known by now, such as the last segment of its SPIFFE id. If that is a client already,
    /// because the device called before it was linked, it becomes one with the client of the device; it may not have
    /// deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_id: Option<ClientId>,
    /// The revision its documents are to be written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1.0.0-rc.3")]
    pub revision: Option<SpecVersion>,
    /// The certificate it signs with: PEM, or the base64 of DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl LinkRequest {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the id its client is known by now.
    #[must_use]
    pub fn with_client(mut self, client_id: ClientId) -> Self {
        self.client_id = Some(client_id);
        self
    }

    /// The same, with the revision it speaks now.
    #[must_use]
    pub fn with_revision(mut self, revision: SpecVersion) -> Self {
        self.revision = Some(revision);
        self
    }

    /// The same, with the certificate it signs with now: PEM, or the base64 of DER.
    #[must_use]
    pub fn with_certificate(mut self, certificate: impl Into<String>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }
}

/// An id that a device is no longer known by: it was linked by mistake, or its upgrade is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct UnlinkRequest {
    /// The id that was linked.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// The revision its documents are to be written in again. What is not mentioned stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1.0.0-rc.2")]
    pub revision: Option<SpecVersion>,
}

impl UnlinkRequest {
    /// The device is no longer known by `client_id`.
    #[must_use]
    pub fn new(client_id: ClientId) -> Self {
        Self { client_id, revision: None }
    }

    /// The same, with the revision it speaks again.
    #[must_use]
    pub fn with_revision(mut self, revision: SpecVersion) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// An application to be deployed: to all targets, or to none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct DeployRequest {
    /// The application.
    #[schema(value_type = String)]
    pub application_id: ApplicationId,
    /// Its version; the one stored last if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The profile, by id or type; not needed where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The namespace, a DNS label; the application's id if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The values of parameters; `null` is the same as none.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Value>,
    /// Where to: devices, at least one unless `spread` says where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub targets: Vec<TargetRef>,
    /// Where to, when no device is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

/// On which of the devices that fit an application is to run (R-D-027).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Spread {
    /// On one: that with the fewest deployments.
    Anywhere,
    /// On every one there is now.
    Everywhere,
}

impl DeployRequest {
    /// The version stored last, in its only profile, with every parameter at its default.
    #[must_use]
    pub fn new(application_id: ApplicationId, targets: Vec<TargetRef>) -> Self {
        Self {
            application_id,
            version: None,
            profile: None,
            namespace: None,
            values: BTreeMap::new(),
            targets,
            spread: None,
        }
    }

    /// The same, on devices that fit.
    #[must_use]
    pub fn spread(application_id: ApplicationId, spread: Spread) -> Self {
        Self { spread: Some(spread), ..Self::new(application_id, Vec::new()) }
    }
}

/// Which devices can host an application? It is stored, or its description comes with the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct PlacementRequest {
    /// The application, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub application_id: Option<ApplicationId>,
    /// Its version; the one stored last if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The text of its `margo.yaml`, if it is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Only this profile, by id or type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl PlacementRequest {
    /// The version stored last, in each of its profiles.
    #[must_use]
    pub fn of(application_id: ApplicationId) -> Self {
        Self { application_id: Some(application_id), ..Self::default() }
    }

    /// The application with this `margo.yaml`, in each of its profiles.
    #[must_use]
    pub fn of_description(description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..Self::default() }
    }
}

/// Which deployments are meant: some by their ids, those of an application, a device or both, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Selection {
    /// Exactly these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub ids: Vec<DeploymentId>,
    /// Those of this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub application: Option<ApplicationId>,
    /// Those on this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub device: Option<TargetRef>,
    /// All of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl Selection {
    /// Exactly these.
    #[must_use]
    pub fn ids(ids: impl IntoIterator<Item = DeploymentId>) -> Self {
        Self { ids: ids.into_iter().collect(), ..Self::default() }
    }

    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Those of an application.
    #[must_use]
    pub fn of_application(application: ApplicationId) -> Self {
        Self { application: Some(application), ..Self::default() }
    }

    /// Those on a device.
    #[must_use]
    pub fn on_device(device: TargetRef) -> Self {
        Self { device: Some(device), ..Self::default() }
    }
}

/// Deployments to be brought to another version of their application. Each keeps its profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct UpdateRequest {
    /// Which deployments.
    pub select: Selection,
    /// The version they are to have.
    pub version: String,
    /// What changes among their values: what is given overrides, `null` goes back to the default, and what is not
    /// mentioned stays. A value that the new version has no parameter for must be given up with `null`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Value>,
}

impl UpdateRequest {
    /// Brings deployments to `version` with the values they have.
    #[must_use]
    pub fn new(select: Selection, version: impl Into<String>) -> Self {
        Self { select, version: version.into(), values: BTreeMap::new() }
    }
}

/// Deployments whose parameters are to change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ReconfigureRequest {
    /// Which deployments.
    pub select: Selection,
    /// What changes: what is given overrides, `null` goes back to the default, and what is not mentioned stays.
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Value>,
}

impl ReconfigureRequest {
    /// Changes these values.
    #[must_use]
    pub fn new(select: Selection, values: BTreeMap<String, Value>) -> Self {
        Self { select, values }
    }
}

/// Deployments to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// Which deployments. Those that are deleted already stay so.
    pub select: Selection,
}

impl DeleteRequest {
    /// Removes these.
    #[must_use]
    pub fn new(select: Selection) -> Self {
        Self { select }
    }
}
