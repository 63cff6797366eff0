//! What the operator's API answers, as far as the command line looks at it.

use std::collections::BTreeMap;

use margo_core::Extensions;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A device that was just onboarded, with its secrets: they are shown this once.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Onboarded {
    /// The device's client.
    pub client_id: String,
    /// The device.
    pub device_id: String,
    /// The revision of the specification it speaks.
    pub revision: String,
    /// The token for the management interface.
    pub token: String,
    /// The token for the Git repository.
    pub git_token: String,
    /// The Git repository, where the manager hosts one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_url: Option<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl std::fmt::Debug for Onboarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onboarded").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// A device.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Device {
    /// Whose device it is.
    pub client_id: String,
    /// The device.
    pub device_id: String,
    /// The revision of the specification its client speaks.
    pub revision: String,
    /// Whether the client was onboarded for it; otherwise it sits behind a gateway.
    #[serde(default)]
    pub is_registered: bool,
    /// The ids its client is known by besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked_ids: Vec<String>,
    /// When its client was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<String>,
    /// The version of the client's manifest.
    #[serde(default)]
    pub manifest_version: u64,
    /// The newest version the client is known to have fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_version: Option<u64>,
    /// What it says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<DeviceCapabilities>,
    /// When its client was onboarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onboarded_at: Option<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// What a device says about itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceCapabilities {
    /// When.
    pub reported_at: String,
    /// The document, as the newest revision writes it.
    pub document: Value,
    /// The revision of the document the device wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What the newest revision has no place for.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Something a device said and the newest revision has no place for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Where it stood: a JSON Pointer into the document the device wrote.
    pub pointer: String,
    /// Why it has no place.
    pub reason: String,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// An application package.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Application {
    /// The application.
    pub application_id: String,
    /// The version.
    pub version: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its deployment profiles.
    #[serde(default)]
    pub profiles: Vec<ApplicationProfile>,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<ApplicationParameter>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The digest of its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// A deployment profile of an application.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ApplicationProfile {
    /// Its id.
    pub id: String,
    /// Helm, Compose or a vendor's own.
    #[serde(rename = "type")]
    pub profile_type: String,
    /// Its components.
    #[serde(default)]
    pub components: Vec<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// A parameter of an application.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationParameter {
    /// Its name.
    pub name: String,
    /// Its default value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether it can no longer be changed once installed.
    #[serde(default)]
    pub immutable: bool,
    /// The type its values have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// One deployment of an application to a device.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Deployment {
    /// The deployment.
    pub deployment_id: String,
    /// Where it runs.
    pub device: String,
    /// Whose device that is.
    pub client_id: String,
    /// What is deployed.
    pub application_id: String,
    /// Which version of it.
    pub application_version: String,
    /// The deployment profile that was chosen.
    pub profile: String,
    /// The values the operator chose.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
    /// `present` or `absent`.
    pub desired: String,
    /// Where it stands.
    pub state: String,
    /// Whether the device itself said so.
    #[serde(default)]
    pub confirmed: bool,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Where each component stands.
    #[serde(default)]
    pub components: Vec<Component>,
    /// The manifest version that made the latest change.
    #[serde(default)]
    pub since: u64,
    /// The manifest version the device has adopted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_version: Option<u64>,
    /// Whether what is desired is what is reported.
    #[serde(default)]
    pub converged: bool,
    /// The revision of the specification its document is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The namespace it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The digest of its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The newest manifest version its client is known to have fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_version: Option<u64>,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When what is desired of it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
    /// When its device reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<String>,
    /// The document the device is given; only when it is asked for alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// What its device has reported, oldest first; only when it is asked for alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Report>>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Where a component stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Component {
    /// The component.
    pub name: String,
    /// Where it stands.
    pub state: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// What went wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// For programs.
    #[serde(default)]
    pub code: String,
    /// Where.
    #[serde(default)]
    pub source: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Something a device reported about a deployment.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// When it arrived.
    pub received_at: String,
    /// The revision of the specification it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the deployment stood.
    pub state: String,
    /// The device it is about, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The manifest version the device had adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_version: Option<u64>,
    /// What had gone wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Where each component stood.
    #[serde(default)]
    pub components: Vec<Component>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// The deployments an operation changed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// The deployments, after the change.
    pub deployments: Vec<Deployment>,
    /// What may not be as it was meant.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Something that may not be as it was meant.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Warning {
    /// The device.
    pub device: String,
    /// `revision`: the device's older revision cannot say it, and it was left out. `placement`: whether the device has
    /// what is asked for is not known.
    #[serde(default = "revision")]
    pub kind: String,
    /// What it is about: a JSON Pointer into the deployment.
    pub pointer: String,
    /// Why.
    pub reason: String,
    /// The deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// What managers warned of before they warned of anything else.
fn revision() -> String {
    "revision".to_owned()
}

/// Which devices can host an application.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Placements {
    /// The application.
    pub application_id: String,
    /// Its version.
    pub version: String,
    /// Every device, and every profile that was asked for.
    pub placements: Vec<Placement>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Whether a device can host an application in one of its profiles, and why not.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Placement {
    /// Whose device it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The device.
    pub device: String,
    /// The profile.
    pub profile: String,
    /// Whether it can, as far as is known.
    pub fits: bool,
    /// Why not.
    pub refusals: Vec<PlacementReason>,
    /// What could not be judged, and refuses nothing.
    pub warnings: Vec<PlacementReason>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// Something that was looked at, and what came of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PlacementReason {
    /// One sentence.
    pub message: String,
    /// Where it is asked for: a JSON Pointer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asked: String,
    /// Where the device answers, or should: a JSON Pointer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offered: String,
    /// What is not met in the rules behind this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<PlacementReason>,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl std::fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Any of the three may be empty (X-B-04).
        let who = match (self.code.as_str(), self.source.as_str()) {
            ("", source) => source.to_owned(),
            (code, "") => code.to_owned(),
            (code, source) => format!("{code} ({source})"),
        };
        match (who.as_str(), self.message.as_str()) {
            ("", message) => f.write_str(message),
            (who, "") => f.write_str(who),
            (who, message) => write!(f, "{who}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_newer_manager_says_is_not_lost() {
        let deployment = json!({
            "deploymentId": "a", "device": "line-3", "clientId": "c", "applicationId": "pump", "applicationVersion": "1",
            "profile": "p", "values": {}, "desired": "present", "state": "paused", "confirmed": true, "since": 3,
            "components": [{ "name": "x", "state": "paused", "restarts": 7 }], "converged": false,
            "error": { "code": "E", "source": "s", "message": "m", "severity": "high" }, "priority": { "of": 3 },
        });
        let read: Deployment = serde_json::from_value(deployment.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), deployment);
    }

    #[test]
    fn secrets_are_not_debugged() {
        let onboarded = json!({
            "clientId": "c", "deviceId": "d", "revision": "pre-draft", "token": "margo_1", "gitToken": "margo_2",
            "apiKey": "margo_3",
        });
        let onboarded: Onboarded = serde_json::from_value(onboarded).unwrap();
        assert!(!format!("{onboarded:?}").contains("margo_"));
    }

    /// X-B-04.
    #[test]
    fn an_error_says_what_it_has() {
        let text = |code: &str, source: &str, message: &str| {
            let error = json!({ "code": code, "source": source, "message": message });
            serde_json::from_value::<ErrorReport>(error).unwrap().to_string()
        };
        assert_eq!(text("E-7", "helm", "chart not found"), "E-7 (helm): chart not found");
        assert_eq!(text("E-7", "", "chart not found"), "E-7: chart not found");
        assert_eq!(text("", "helm", ""), "helm");
        assert_eq!(text("", "", "chart not found"), "chart not found");
        assert_eq!(text("", "", ""), "");
    }
}
