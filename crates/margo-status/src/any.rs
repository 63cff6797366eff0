use bytes::Bytes;
use margo_core::{DeploymentId, DeviceId, Document, DowngradeError, ManifestVersion, SpecVersion, Upgraded};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer};
use serde_json::Value;

use crate::{ComponentStatus, DeploymentState, DeploymentStatusManifest, ErrorReport, pre_draft};

/// A deployment status of any revision this library reads.
///
/// The accessors answer in the newest revision's vocabulary.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyDeploymentStatus {
    /// As 1.0.0-rc.3 writes it.
    Rc3(DeploymentStatusManifest),
    /// As the pre-draft writes it.
    PreDraft(pre_draft::DeploymentStatus),
}

impl AnyDeploymentStatus {
    /// Reads a status as JSON; its shape tells its revision, never its label.
    ///
    /// A document with an `adoptedManifestVersion`, or without a `kind`, is one of 1.0.0-rc.3; every other one is
    /// read as the pre-draft's.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_status::{AnyDeploymentStatus, DeploymentState};
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"apiVersion": "deployment.margo/v1", "kind": "DeploymentStatus", "deploymentId": "a3e2f5dc",
    ///                "status": {"state": "Installing"}, "components": []}"#;
    /// let status = AnyDeploymentStatus::decode(body.into(), &Limits::default())?;
    /// assert_eq!(status.revision(), SpecVersion::PreDraft);
    /// assert_eq!(status.state(), DeploymentState::Installing);
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Bytes that are not JSON, that exceed `limits`, or that are not a status; with the place.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, Self::from_value)
        })
    }

    /// Reads a status as JSON that is known to follow `revision`, because the route it came by belongs to it.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and any `revision` this library does not read yet.
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, |value| Self::read(value, revision))
        })
    }

    /// Reads a status from a tree; its shape tells its revision.
    ///
    /// # Errors
    ///
    /// A tree that is not a status, with the place.
    pub fn from_value(value: Value) -> Result<Self, Fault> {
        let revision = match (value.get("adoptedManifestVersion"), value.get("kind")) {
            (None, Some(_)) => SpecVersion::PreDraft,
            _ => SpecVersion::V1_0_0Rc3,
        };
        Self::read(value, revision)
    }

    /// The revision it follows.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// The deployment.
    #[must_use]
    pub fn deployment_id(&self) -> &DeploymentId {
        match self {
            Self::Rc3(status) => &status.deployment_id,
            Self::PreDraft(status) => &status.deployment_id,
        }
    }

    /// The device, if the document names one. The pre-draft leaves that to the route.
    #[must_use]
    pub fn device_id(&self) -> Option<&DeviceId> {
        match self {
            Self::Rc3(status) => status.device_id.as_ref(),
            Self::PreDraft(_) => None,
        }
    }

    /// The version of the manifest the client acts on. The pre-draft knows none.
    #[must_use]
    pub fn adopted(&self) -> Option<ManifestVersion> {
        match self {
            Self::Rc3(status) => Some(status.adopted_manifest_version),
            Self::PreDraft(_) => None,
        }
    }

    /// The state of the deployment as a whole.
    #[must_use]
    pub fn state(&self) -> DeploymentState {
        match self {
            Self::Rc3(status) => status.status.state.clone(),
            Self::PreDraft(status) => status.status.state.upgrade(),
        }
    }

    /// The error of the deployment as a whole, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<ErrorReport> {
        self.latest().status.error
    }

    /// The components.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentStatus> {
        match self {
            Self::Rc3(status) => status.components.clone(),
            Self::PreDraft(_) => self.latest().components,
        }
    }

    /// What its shape cannot say: see [`DeploymentStatusManifest::check`] and
    /// [`pre_draft::DeploymentStatus::check`].
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(status) => status.check(),
            Self::PreDraft(status) => status.check(),
        }
    }

    /// The same status in the newest revision. `adopted` stands in where the document says no version.
    #[must_use]
    pub fn upgrade(self, adopted: ManifestVersion) -> Upgraded<DeploymentStatusManifest> {
        match self {
            Self::Rc3(status) => Upgraded::lossless(status),
            Self::PreDraft(status) => status.upgrade(adopted),
        }
    }

    /// The same status, as `revision` writes it.
    ///
    /// # Errors
    ///
    /// What `revision` cannot say, and any `revision` this library does not write yet. The pre-draft does not say which
    /// manifest a client has adopted, so going up takes [`upgrade`](Self::upgrade).
    pub fn to_revision(&self, revision: SpecVersion) -> Result<Self, DowngradeError> {
        match (self, revision) {
            (Self::Rc3(_), SpecVersion::V1_0_0Rc3) | (Self::PreDraft(_), SpecVersion::PreDraft) => {
                Ok(self.clone())
            }
            (Self::Rc3(status), SpecVersion::PreDraft) => {
                pre_draft::DeploymentStatus::try_from(status).map(Self::PreDraft)
            }
            (Self::PreDraft(_), SpecVersion::V1_0_0Rc3) => {
                Err(DowngradeError::new(revision, "/adoptedManifestVersion", "the pre-draft does not say it"))
            }
            _ => Err(DowngradeError::new(revision, "", "a status of it cannot be written yet")),
        }
    }

    /// The document as JSON, in its own revision: equal statuses are equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let written = match self {
            Self::Rc3(status) => serde_json::to_value(status),
            Self::PreDraft(status) => serde_json::to_value(status),
        };
        // Every name is text, so there is nothing to fail. Through a tree, because its members are sorted and its
        // text cannot fail at all.
        written.unwrap_or_default().to_string().into_bytes()
    }

    fn read(value: Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc3 => margo_syntax::from_value(value).map(Self::Rc3),
            SpecVersion::PreDraft => margo_syntax::from_value(value).map(Self::PreDraft),
            _ => {
                let message = format!("a deployment status of {revision} cannot be read yet");
                Err(Fault::new(Pointer::root(), message))
            }
        }
    }

    // The version is no part of what the callers look at.
    fn latest(&self) -> DeploymentStatusManifest {
        self.clone().upgrade(ManifestVersion::FIRST).value
    }
}

impl From<DeploymentStatusManifest> for AnyDeploymentStatus {
    fn from(status: DeploymentStatusManifest) -> Self {
        Self::Rc3(status)
    }
}

impl From<pre_draft::DeploymentStatus> for AnyDeploymentStatus {
    fn from(status: pre_draft::DeploymentStatus) -> Self {
        Self::PreDraft(status)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rc3() -> Value {
        json!({
            "deploymentId": "a3e2f5dc",
            "deviceId": "gateway-1/plc-7",
            "adoptedManifestVersion": u64::MAX,
            "status": {"state": "failed", "error": {"code": "E", "source": "digitron", "message": "no"}},
            "components": [{"name": "database", "state": "failed"}],
        })
    }

    fn pre_draft() -> Value {
        json!({
            "apiVersion": "deployment.margo/v1",
            "kind": "DeploymentStatus",
            "deploymentId": "a3e2f5dc",
            "status": {"state": "Failed", "error": {"code": "E", "message": "no"}},
            "components": [{"name": "database", "state": "Failed", "error": {"code": "E", "message": "no"}}],
        })
    }

    #[test]
    fn every_question_is_answered_in_the_newest_words() {
        let newer = AnyDeploymentStatus::from_value(rc3()).unwrap();
        assert_eq!(newer.revision(), SpecVersion::V1_0_0Rc3);
        assert_eq!(newer.deployment_id().as_str(), "a3e2f5dc");
        assert_eq!(newer.device_id().map(ToString::to_string).as_deref(), Some("gateway-1/plc-7"));
        assert_eq!(newer.adopted().map(ManifestVersion::get), Some(u64::MAX));
        assert_eq!(newer.state(), DeploymentState::Failed);
        assert_eq!(newer.error(), Some(ErrorReport::new("E", "digitron", "no")));
        assert_eq!(newer.components().len(), 1);

        let older = AnyDeploymentStatus::from_value(pre_draft()).unwrap();
        assert_eq!(older.revision(), SpecVersion::PreDraft);
        assert_eq!((older.device_id(), older.adopted()), (None, None));
        assert_eq!(older.error(), Some(ErrorReport::new("E", "", "no")));
        assert_eq!(older.components(), [ComponentStatus::failed("database".parse().unwrap(), "E", "no")]);
    }

    /// A label proves nothing: three shapes share one kind.
    #[test]
    fn the_shape_decides_and_not_the_label() {
        let mut labelled = rc3();
        labelled["kind"] = json!("DeploymentStatus");
        let read = AnyDeploymentStatus::from_value(labelled).unwrap();
        assert_eq!(read.revision(), SpecVersion::V1_0_0Rc3);

        let mut between = pre_draft();
        between["kind"] = json!("DeploymentStatusManifest");
        let fault = AnyDeploymentStatus::from_value(between).unwrap_err();
        assert_eq!(fault.pointer().as_str(), "/kind");
        assert!(fault.message().contains("expected `DeploymentStatus`"), "{fault}");

        let mut without = rc3();
        without.as_object_mut().unwrap().remove("adoptedManifestVersion");
        let fault = AnyDeploymentStatus::from_value(without).unwrap_err();
        assert_eq!(fault.message(), "missing field `adoptedManifestVersion`");
    }

    #[test]
    fn a_known_revision_is_not_guessed() {
        let bytes = Bytes::from(pre_draft().to_string());
        let read = |revision| AnyDeploymentStatus::decode_as(bytes.clone(), revision, &Limits::default());
        assert_eq!(read(SpecVersion::PreDraft).unwrap().bytes(), &bytes);
        assert!(read(SpecVersion::V1_0_0Rc3).unwrap_err().message().contains("adoptedManifestVersion"));
        for revision in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2] {
            let error = read(revision).unwrap_err();
            assert!(error.message().contains(revision.as_str()), "{error}");
        }
    }

    /// X-D-36: what cannot be read at all, and what is merely wrong.
    #[test]
    fn malformed_and_wrong_are_told_apart() {
        let error =
            |text: &str| AnyDeploymentStatus::decode(text.to_owned().into(), &Limits::default()).unwrap_err();
        assert!(error("{").is_malformed());
        assert!(error("[]").is_malformed());
        assert!(!error("{}").is_malformed());
        let error = error(&rc3().to_string().replace("database", "Data Base"));
        assert!(!error.is_malformed());
        assert_eq!(error.pointer().as_str(), "/components/0/name");
    }
}
