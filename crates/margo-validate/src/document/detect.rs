//! What a document is, and of which revision: told by the model crates where its shape tells, and guessed by a few
//! fields where it is broken, so that it can be told what is wrong with it.

use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{Detection, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_status::AnyDeploymentStatus;
use serde_json::Value;

use crate::DocumentKind;

/// The kind of a document and the revisions it may be of; nothing where nothing tells.
pub(crate) fn detect(value: &Value, wanted: Option<DocumentKind>) -> Option<(DocumentKind, Detection)> {
    let kinds = [
        DocumentKind::ApplicationDeployment,
        DocumentKind::ApplicationDescription,
        DocumentKind::DesiredStateManifest,
        DocumentKind::DeploymentStatus,
        DocumentKind::DeviceCapabilities,
    ];
    let mut kinds = kinds.into_iter().filter(|kind| wanted.is_none_or(|wanted| wanted == *kind));
    let told = kinds.find_map(|kind| {
        let detection = by_shape(value, kind);
        (!detection.is_none()).then_some((kind, detection))
    });
    told.or_else(|| {
        let (kind, reason) = match wanted {
            Some(kind) => (kind, "it was said to be one".to_owned()),
            None => guess(value)?,
        };
        Some((kind, Detection::none().with(guess_revision(value, kind), [reason])))
    })
}

fn by_shape(value: &Value, kind: DocumentKind) -> Detection {
    match kind {
        DocumentKind::ApplicationDeployment => AnyApplicationDeployment::detect(value),
        DocumentKind::ApplicationDescription => AnyApplicationDescription::detect(value),
        DocumentKind::DesiredStateManifest => DesiredStateManifest::detect(value),
        DocumentKind::DeploymentStatus => AnyDeploymentStatus::detect(value),
        DocumentKind::DeviceCapabilities => AnyDeviceCapabilities::detect(value),
        DocumentKind::Bundle => Detection::none(),
    }
}

fn guess(value: &Value) -> Option<(DocumentKind, String)> {
    let has = |pointer: &str| value.pointer(pointer).is_some();
    let by = |kind, field: &str| Some((kind, format!("`{field}` is there")));
    if let Some(label) = value.get("kind").and_then(Value::as_str) {
        let kind = label.parse().ok().filter(|kind| *kind != DocumentKind::Bundle);
        let kind = kind.or((label == "application").then_some(DocumentKind::ApplicationDescription));
        if let Some(kind) = kind {
            return Some((kind, format!("`kind` is `{label}`")));
        }
    }
    if has("/manifestVersion") {
        return by(DocumentKind::DesiredStateManifest, "manifestVersion");
    }
    if has("/adoptedManifestVersion") {
        return by(DocumentKind::DeploymentStatus, "adoptedManifestVersion");
    }
    if has("/deploymentProfiles") {
        return by(DocumentKind::ApplicationDescription, "deploymentProfiles");
    }
    if has("/metadata/catalog") {
        return by(DocumentKind::ApplicationDescription, "metadata.catalog");
    }
    if has("/spec/applicationId") || has("/spec/deploymentProfile") {
        return by(DocumentKind::ApplicationDeployment, "spec");
    }
    if has("/metadata/deviceId") {
        return by(DocumentKind::ApplicationDeployment, "metadata.deviceId");
    }
    if has("/deploymentId") {
        return by(DocumentKind::DeploymentStatus, "deploymentId");
    }
    if has("/properties/id") || has("/properties/vendor") || has("/properties/modelNumber") {
        return by(DocumentKind::DeviceCapabilities, "properties");
    }
    None
}

fn guess_revision(value: &Value, kind: DocumentKind) -> SpecVersion {
    let has = |pointer: &str| value.pointer(pointer).is_some();
    let is_labeled = has("/apiVersion") && has("/kind");
    match kind {
        DocumentKind::ApplicationDeployment if has("/metadata/annotations") => SpecVersion::V1_0_0Rc1,
        DocumentKind::ApplicationDescription if !has("/id") && has("/metadata/id") => SpecVersion::PreDraft,
        DocumentKind::DesiredStateManifest => SpecVersion::LATEST,
        DocumentKind::DeploymentStatus if has("/adoptedManifestVersion") => SpecVersion::LATEST,
        _ if is_labeled => SpecVersion::V1_0_0Rc2,
        _ => SpecVersion::LATEST,
    }
}
