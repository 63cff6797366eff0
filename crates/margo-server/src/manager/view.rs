use std::collections::BTreeMap;

use jiff::Timestamp;
use margo_api::BoxError;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{
    ApplicationId, ClientId, ComponentName, DeploymentId, DeviceId, DeviceTarget, Digest, Loss,
    ManifestVersion, SpecVersion,
};
use margo_deployment::AnyApplicationDeployment;
use margo_identity::Token;
use margo_status::{AnyDeploymentStatus, ComponentStatus, DeploymentState, ErrorReport};
use margo_syntax::Limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::store::{CapabilitiesRecord, ClientRecord, DeploymentRecord, DeviceRecord, StatusRecord};

/// What a client was given when it was onboarded, or when its tokens were rotated.
///
/// The secrets are here and nowhere else: a store keeps their hashes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Onboarded {
    /// The client.
    pub client_id: ClientId,
    /// The device it was onboarded for.
    pub device_id: DeviceId,
    /// The revision its documents are written in.
    pub revision: SpecVersion,
    /// Its token for the management interface.
    pub token: Token,
    /// Its token for its Git repository.
    pub git_token: Token,
}

impl Onboarded {
    pub(crate) fn new(client: &ClientRecord, token: Token, git_token: Token) -> Self {
        Self {
            client_id: client.client_id.clone(),
            device_id: client.device_id.clone(),
            revision: client.revision,
            token,
            git_token,
        }
    }
}

/// A device, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Device)]
#[non_exhaustive]
pub struct DeviceView {
    /// Whose device it is.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// The device.
    #[schema(value_type = String)]
    pub device_id: DeviceId,
    /// The revision its client's documents are written in.
    #[schema(value_type = String)]
    pub revision: SpecVersion,
    /// Whether its client was onboarded for it; the others sit behind it.
    pub is_registered: bool,
    /// The ids its client is known by besides its own: those it was linked with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub linked_ids: Vec<ClientId>,
    /// When its client was onboarded.
    #[schema(value_type = String, format = DateTime)]
    pub onboarded_at: Timestamp,
    /// When its client was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retired_at: Option<Timestamp>,
    /// The version of its client's current manifest.
    #[schema(value_type = u64)]
    pub manifest_version: ManifestVersion,
    /// The newest version its client is known to have fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub fetched_version: Option<ManifestVersion>,
    /// What it said about itself; nothing before its first report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilitiesView>,
}

impl DeviceView {
    pub(crate) fn new(
        client: &ClientRecord,
        device: &DeviceRecord,
        manifest_version: ManifestVersion,
        links: &[(ClientId, ClientId)],
    ) -> Result<Self, BoxError> {
        let own = links.iter().filter(|(_, of)| *of == client.client_id);
        Ok(Self {
            client_id: client.client_id.clone(),
            device_id: device.device_id.clone(),
            revision: client.revision,
            is_registered: client.device_id == device.device_id,
            linked_ids: own.map(|(id, _)| id.clone()).collect(),
            onboarded_at: client.onboarded_at,
            retired_at: client.retired_at,
            manifest_version,
            fetched_version: client.fetched,
            capabilities: device.capabilities.as_ref().map(CapabilitiesView::new).transpose()?,
        })
    }
}

/// What a device said about itself, in the newest revision's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Capabilities)]
#[non_exhaustive]
pub struct CapabilitiesView {
    /// When it said so.
    #[schema(value_type = String, format = DateTime)]
    pub reported_at: Timestamp,
    /// The revision it said it in.
    #[schema(value_type = String)]
    pub revision: SpecVersion,
    /// The capabilities, as 1.0.0-rc.3 writes them.
    #[schema(value_type = Object)]
    pub document: Value,
    /// What 1.0.0-rc.3 has no place for.
    pub losses: Vec<LossView>,
}

impl CapabilitiesView {
    fn new(record: &CapabilitiesRecord) -> Result<Self, BoxError> {
        let reported =
            AnyDeviceCapabilities::decode_as(record.document.clone(), record.revision, &Limits::default())?;
        let upgraded = reported.into_value().upgrade();
        Ok(Self {
            reported_at: record.reported_at,
            revision: record.revision,
            document: serde_json::to_value(&upgraded.value)?,
            losses: upgraded.losses.iter().map(LossView::from).collect(),
        })
    }
}

/// Something one revision says and another has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Loss)]
#[non_exhaustive]
pub struct LossView {
    /// Where it stood: a JSON Pointer (RFC 6901) into the document it was read from.
    pub pointer: String,
    /// Why it has no place.
    pub reason: String,
}

impl From<&Loss> for LossView {
    fn from(loss: &Loss) -> Self {
        Self { pointer: loss.pointer.clone(), reason: loss.reason.clone() }
    }
}

/// One version of an application, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Application)]
#[non_exhaustive]
pub struct ApplicationView {
    /// The application.
    #[schema(value_type = String)]
    pub application_id: ApplicationId,
    /// The version.
    pub version: String,
    /// What it is called.
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The digest of its description's bytes.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub stored_at: Timestamp,
    /// How it can be deployed.
    pub profiles: Vec<ProfileView>,
    /// What can be set.
    pub parameters: Vec<ParameterView>,
}

/// One way to deploy an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Profile)]
#[non_exhaustive]
pub struct ProfileView {
    /// Its name: what a deployment chooses it by.
    pub id: String,
    /// How its components are packaged.
    #[serde(rename = "type")]
    pub profile_type: String,
    /// Its components, in the order of installation.
    #[schema(value_type = Vec<String>)]
    pub components: Vec<ComponentName>,
}

/// Something that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Parameter)]
#[non_exhaustive]
pub struct ParameterView {
    /// Its name.
    pub name: String,
    /// The value it has if nothing is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// Whether its value stays what it was when first installed (R-A-041).
    pub immutable: bool,
    /// The type its schema asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
}

/// One deployment: what is wanted, and what its device says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deployment)]
#[non_exhaustive]
pub struct DeploymentView {
    /// The deployment.
    #[schema(value_type = String)]
    pub deployment_id: DeploymentId,
    /// Whose device it runs on.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// Where it is to run.
    #[schema(value_type = String)]
    pub device: DeviceTarget,
    /// The revision its document is written in.
    #[schema(value_type = String)]
    pub revision: SpecVersion,
    /// What is deployed.
    #[schema(value_type = String)]
    pub application_id: ApplicationId,
    /// Which version of it.
    pub application_version: String,
    /// The profile that was chosen.
    pub profile: String,
    /// The namespace it runs in.
    pub namespace: String,
    /// The values that were chosen; defaults are not among them.
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Value>,
    /// Whether it is to be there.
    pub desired: Desired,
    /// Where it stands; `pending` while nothing was reported.
    #[schema(value_type = String)]
    pub state: DeploymentState,
    /// Whether its device said so; false while nothing was reported, and where the manager had to conclude.
    pub confirmed: bool,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// Where its components stand.
    pub components: Vec<ComponentView>,
    /// The digest of its document.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The version of the manifest that made the latest change.
    #[schema(value_type = u64)]
    pub since: ManifestVersion,
    /// The version its device said it has adopted; the pre-draft has no word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub adopted_version: Option<ManifestVersion>,
    /// The newest version its client is known to have fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub fetched_version: Option<ManifestVersion>,
    /// Whether what is wanted is what runs, as far as the device's revision lets the manager know.
    pub converged: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// When its device reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<Timestamp>,
}

impl DeploymentView {
    pub(crate) fn new(
        client: &ClientRecord,
        record: &DeploymentRecord,
        latest: Option<&StatusRecord>,
    ) -> Result<Self, BoxError> {
        let report = latest.map(ReportView::new).transpose()?;
        let conclusion = Conclusion::of(client, record, report.as_ref());
        let components = match &report {
            Some(report) => report.components.clone(),
            None => pending_components(record)?,
        };
        let (adopted_version, reported_at, error) = match report {
            Some(report) => (report.adopted_version, Some(report.received_at), report.error),
            None => (None, None, None),
        };
        Ok(Self {
            deployment_id: record.deployment_id.clone(),
            client_id: record.client_id.clone(),
            device: record.target.clone(),
            revision: client.revision,
            application_id: record.application_id.clone(),
            application_version: record.application_version.clone(),
            profile: record.profile.clone(),
            namespace: record.namespace.clone(),
            values: record.values.clone(),
            desired: if record.deleted_at.is_none() { Desired::Present } else { Desired::Absent },
            state: conclusion.state,
            confirmed: conclusion.confirmed,
            error,
            components,
            digest: record.digest,
            since: record.since,
            adopted_version,
            fetched_version: client.fetched,
            converged: conclusion.converged,
            created_at: record.created_at,
            changed_at: record.changed_at,
            deleted_at: record.deleted_at,
            reported_at,
        })
    }
}

/// Whether a deployment is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "it is to be there or it is not")]
pub enum Desired {
    /// It is to run.
    Present,
    /// It is to be removed.
    Absent,
}

/// Where a component stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ComponentState)]
#[non_exhaustive]
pub struct ComponentView {
    /// The component.
    #[schema(value_type = String)]
    pub name: ComponentName,
    /// Where it stands.
    #[schema(value_type = String)]
    pub state: DeploymentState,
    /// What went wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
}

impl From<ComponentStatus> for ComponentView {
    fn from(status: ComponentStatus) -> Self {
        let ComponentStatus { name, state, error, .. } = status;
        Self { name, state, error: error.and_then(ErrorView::spoken) }
    }
}

/// What went wrong on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
#[non_exhaustive]
pub struct ErrorView {
    /// For programs. May be empty (X-B-04).
    pub code: String,
    /// Who met it. May be empty; the pre-draft does not say.
    pub source: String,
    /// For people. May be empty.
    pub message: String,
}

impl ErrorView {
    /// Empty errors mean that there is none (X-A-13, X-D-13).
    fn spoken(error: ErrorReport) -> Option<Self> {
        let ErrorReport { code, source, message, .. } = error;
        let is_spoken = !(code.is_empty() && source.is_empty() && message.is_empty());
        is_spoken.then_some(Self { code, source, message })
    }
}

/// One report of a device about a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Report)]
#[non_exhaustive]
pub struct ReportView {
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// The revision it was written in.
    #[schema(value_type = String)]
    pub revision: SpecVersion,
    /// The overall state.
    #[schema(value_type = String)]
    pub state: DeploymentState,
    /// The device it is about, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub device_id: Option<DeviceId>,
    /// The version the device has adopted, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub adopted_version: Option<ManifestVersion>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// Where the components stand.
    pub components: Vec<ComponentView>,
}

impl ReportView {
    pub(crate) fn new(record: &StatusRecord) -> Result<Self, BoxError> {
        let status =
            AnyDeploymentStatus::decode_as(record.document.clone(), record.revision, &Limits::default())?;
        Ok(Self {
            received_at: record.received_at,
            revision: record.revision,
            state: status.state(),
            device_id: record.device_id.clone(),
            adopted_version: status.adopted(),
            error: status.error().and_then(ErrorView::spoken),
            components: status.components().into_iter().map(ComponentView::from).collect(),
        })
    }
}

/// One deployment with its document and everything its device said about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentDetail {
    /// The deployment.
    pub deployment: DeploymentView,
    /// The document its device is given, as YAML in the device's revision.
    pub document: String,
    /// The reports that are kept, oldest first.
    pub history: Vec<ReportView>,
}

/// What changing desired state led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Changed {
    /// The deployments that were asked for, as they are now.
    pub deployments: Vec<DeploymentView>,
    /// What may not be as it was meant.
    pub warnings: Vec<WarningView>,
}

/// Something that may not be as it was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Warning)]
#[non_exhaustive]
pub struct WarningView {
    /// The deployment.
    #[schema(value_type = String)]
    pub deployment_id: DeploymentId,
    /// Where it is to run.
    #[schema(value_type = String)]
    pub device: DeviceTarget,
    /// What this is about.
    pub kind: WarningKind,
    /// Where it stands: a JSON Pointer (RFC 6901) into the document as the newest revision writes it.
    pub pointer: String,
    /// Why it was left out, or is not known.
    pub reason: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WarningKind {
    /// The device's older revision cannot say it, and it was left out of the document.
    Revision,
    /// Whether the device has what is asked for there is not known.
    Placement,
}

/// Which devices can host an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Placements {
    /// The application.
    #[schema(value_type = String)]
    pub application_id: ApplicationId,
    /// Its version.
    pub version: String,
    /// Every device of every client that is served, and every profile that was asked for.
    pub placements: Vec<PlacementView>,
}

/// Whether a device can host an application in one of its profiles, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Placement)]
#[non_exhaustive]
pub struct PlacementView {
    /// Whose device it is.
    #[schema(value_type = String)]
    pub client_id: ClientId,
    /// The device.
    #[schema(value_type = String)]
    pub device: DeviceId,
    /// The profile.
    pub profile: String,
    /// Whether it can, as far as is known. Of a device that has reported nothing, nothing is known.
    pub fits: bool,
    /// Why not. Empty exactly when it fits.
    pub refusals: Vec<ReasonView>,
    /// What could not be judged, and refuses nothing (X-D-07).
    pub warnings: Vec<ReasonView>,
}

/// Something that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reason)]
#[non_exhaustive]
pub struct ReasonView {
    /// One sentence.
    pub message: String,
    /// Where it is asked for: a JSON Pointer (RFC 6901) into the deployment profile.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asked: String,
    /// Where the device answers, or should: a JSON Pointer (RFC 6901) into its capabilities.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offered: String,
    /// The expressions that do not match, behind eligibility rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub because: Vec<ReasonView>,
}

/// Where a deployment stands, in the manager's own judgment.
struct Conclusion {
    state: DeploymentState,
    confirmed: bool,
    converged: bool,
}

impl Conclusion {
    /// MI-005, MI-006: the pre-draft reports neither the version a device has adopted nor that something is
    /// removed.
    ///
    /// - A pre-draft deployment has converged when its client has fetched the change and a report that arrived after
    ///   the change says `Installed`.
    /// - A deleted pre-draft deployment is `removing` until its client has fetched the deletion, and `removed`, though
    ///   unconfirmed, from then on; unless the device has said `Failed` since.
    /// - Whatever the revision, a deleted deployment that was never reported is `removed` and unconfirmed once its
    ///   client has fetched the deletion: a device says nothing about what it never had.
    fn of(client: &ClientRecord, record: &DeploymentRecord, report: Option<&ReportView>) -> Self {
        let fetched = client.fetched >= Some(record.since);
        let Some(deleted_at) = record.deleted_at else {
            let Some(report) = report else {
                return Self { state: DeploymentState::Pending, confirmed: false, converged: false };
            };
            let is_current = match report.adopted_version {
                Some(adopted) => adopted >= record.since,
                None => fetched && report.received_at >= record.changed_at,
            };
            let converged = is_current && report.state == DeploymentState::Installed;
            return Self { state: report.state.clone(), confirmed: true, converged };
        };
        match report {
            Some(report) if report.revision == SpecVersion::PreDraft => {
                if fetched && report.received_at >= deleted_at && report.state == DeploymentState::Failed {
                    return Self { state: DeploymentState::Failed, confirmed: true, converged: false };
                }
                Self::removal(fetched)
            }
            Some(report) => {
                let converged = report.state == DeploymentState::Removed;
                Self { state: report.state.clone(), confirmed: true, converged }
            }
            None => Self::removal(fetched),
        }
    }

    fn removal(fetched: bool) -> Self {
        let state = if fetched { DeploymentState::Removed } else { DeploymentState::Removing };
        Self { state, confirmed: false, converged: fetched }
    }
}

fn pending_components(record: &DeploymentRecord) -> Result<Vec<ComponentView>, BoxError> {
    let document = AnyApplicationDeployment::parse(&record.document, &Limits::default())?;
    let deployment = document.upgrade(&record.target).value;
    let components = deployment.spec.deployment_profile.components.into_iter();
    Ok(components
        .map(|component| ComponentView { name: component.name, state: DeploymentState::Pending, error: None })
        .collect())
}
