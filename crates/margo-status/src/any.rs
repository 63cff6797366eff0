use std::borrow::Borrow;

use bytes::Bytes;
use margo_core::{
    DeploymentId, Detection, Deviation, DeviceId, Document, DowngradeError, Interpretation, ManifestVersion,
    Reading, SpecVersion, Strictness, Upgraded, deviations,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, SyntaxError};
use serde_json::Value;

use crate::detect::detect;
use crate::{
    ComponentStatus, DeploymentState, DeploymentStatusManifest, ErrorReport, interpretation, pre_draft, rc1,
    rc2,
};

/// A deployment status of any revision.
///
/// The accessors answer in the newest revision's vocabulary.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyDeploymentStatus {
    /// As 1.0.0-rc.3 writes it.
    Rc3(DeploymentStatusManifest),
    /// As 1.0.0-rc.2 writes it.
    Rc2(rc2::DeploymentStatusManifest),
    /// As 1.0.0-rc.1 writes it.
    Rc1(rc1::DeploymentStatusManifest),
    /// As the pre-draft writes it.
    PreDraft(pre_draft::DeploymentStatus),
}

impl AnyDeploymentStatus {
    /// How the contradictions of the specification are read here: one row for each place where a document may take
    /// the other side and is understood.
    pub const INTERPRETATIONS: &'static [Interpretation] = interpretation::INTERPRETATIONS;

    /// Reads a status as JSON; its shape tells its revision, never its label.
    ///
    /// Of several candidates (see [`detect`](Self::detect)) the likeliest that can be read is taken.
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
            let read = |value: Value| {
                let likeliest = detect(&value).revisions().next()?;
                Self::of_owned(value, likeliest)
            };
            margo_syntax::decode_or_explain(bytes, Format::Json, limits, read, Self::from_value)
        })
    }

    /// Reads a status as JSON that is known to follow `revision`, because the route it came by belongs to it.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_status::AnyDeploymentStatus;
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"apiVersion": "v1", "kind": "DeploymentStatusManifest", "deploymentId": "a3e2f5dc",
    ///                "status": {"state": "removing"}, "components": []}"#;
    /// let read = |revision| AnyDeploymentStatus::decode_as(body.into(), revision, &Limits::default());
    /// assert_eq!(read(SpecVersion::V1_0_0Rc1)?.revision(), SpecVersion::V1_0_0Rc1);
    /// assert_eq!(read(SpecVersion::V1_0_0Rc2)?.revision(), SpecVersion::V1_0_0Rc2);
    /// assert!(read(SpecVersion::V1_0_0Rc3).unwrap_err().to_string().contains("adoptedManifestVersion"));
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            let read = |value| Self::of_owned(value, revision);
            let explain = |value| Self::of_revision(&value, revision);
            margo_syntax::decode_or_explain(bytes, Format::Json, limits, read, explain)
        })
    }

    /// Reads a status as JSON as strictly as wanted, and tells what was accepted. Where no revision is given, the
    /// likeliest that can be read is taken. Strictly, what [`check`](Self::check) finds is refused too.
    ///
    /// ```
    /// use margo_core::Strictness;
    /// use margo_status::AnyDeploymentStatus;
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"deploymentId": "a3e2f5dc", "adoptedManifestVersion": 7.0,
    ///                "status": {"state": "pending"}, "components": []}"#;
    /// let read = |strictness| AnyDeploymentStatus::read(body.into(), None, strictness, &Limits::default());
    /// let reading = read(Strictness::Lenient)?;
    /// assert_eq!(reading.deviations[0].contradiction, "X-D-31");
    /// assert!(read(Strictness::Strict).unwrap_err().message().ends_with("(X-D-31)"));
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode), and what is too far off for this strictness.
    pub fn read(
        bytes: Bytes,
        revision: Option<SpecVersion>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Reading<Document<Self>>, DecodeError> {
        let mut found = Vec::new();
        let document = Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, |value| {
                let Reading { value, deviations, .. } = Self::read_value(value, revision, strictness)?;
                found = deviations;
                Ok(value)
            })
        })?;
        Ok(Reading::new(document, found))
    }

    /// As [`read`](Self::read), from a tree such as that of a file.
    ///
    /// # Errors
    ///
    /// A tree that is not a status, and what is too far off for this strictness; with the place.
    pub fn read_value(
        value: impl Borrow<Value>,
        revision: Option<SpecVersion>,
        strictness: Strictness,
    ) -> Result<Reading<Self>, Fault> {
        let read = |value: &Value, revision| {
            let deviations = Self::deviations(value, revision);
            let status = Self::of_revision(value, revision)?;
            let fault = match strictness {
                Strictness::Strict => status.check().into_iter().next(),
                Strictness::Lenient => None,
            };
            let reading =
                Reading::judge(status, deviations, strictness).map_err(|deviation| refused(&deviation))?;
            fault.map_or(Ok(reading), Err)
        };
        match revision {
            Some(revision) => read(value.borrow(), revision),
            None => among(value.borrow(), read),
        }
    }

    /// Reads a status from a tree; its shape tells its revision.
    ///
    /// # Errors
    ///
    /// A tree that is not a status, with the place.
    pub fn from_value(value: impl Borrow<Value>) -> Result<Self, Fault> {
        among(value.borrow(), Self::of_revision)
    }

    /// The revisions a document may be a deployment status of, by its shape; none for a document of another kind.
    ///
    /// Looks at few members and reads nothing: a candidate may still turn out to be no status.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_status::AnyDeploymentStatus;
    /// use serde_json::json;
    ///
    /// let mut status = json!({"apiVersion": "v1", "kind": "DeploymentStatusManifest", "deploymentId": "a3e2f5dc",
    ///                         "status": {"state": "pending"}, "components": []});
    /// assert!(AnyDeploymentStatus::detect(&status).is_ambiguous()); // rc.1 and rc.2 both write this
    ///
    /// status["deviceId"] = json!("gateway-1/plc-7");
    /// let detection = AnyDeploymentStatus::detect(&status);
    /// assert_eq!(detection.revision(), Some(SpecVersion::V1_0_0Rc2));
    /// assert!(detection.to_string().contains("`deviceId` is there"));
    /// ```
    #[must_use]
    pub fn detect(document: &Value) -> Detection {
        detect(document)
    }

    /// As [`detect`](Self::detect), for text.
    ///
    /// ```
    /// use margo_status::AnyDeploymentStatus;
    /// use margo_syntax::{Format, Limits};
    ///
    /// let detection = AnyDeploymentStatus::detect_bytes(b"properties: {}", Format::Yaml, &Limits::default())?;
    /// assert!(detection.is_none());
    /// # Ok::<(), margo_syntax::SyntaxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Text that cannot be read, or that exceeds `limits`.
    pub fn detect_bytes(bytes: &[u8], format: Format, limits: &Limits) -> Result<Detection, SyntaxError> {
        Ok(detect(&margo_syntax::parse(bytes, format, limits)?.to_value()))
    }

    /// Every place where `document`, read as `revision`, is written in another way than we would write it, and was
    /// understood all the same; see [`INTERPRETATIONS`](Self::INTERPRETATIONS).
    ///
    /// ```
    /// use margo_core::{Level, SpecVersion};
    /// use margo_status::AnyDeploymentStatus;
    /// use serde_json::json;
    ///
    /// let status = json!({"deploymentId": "a3e2f5dc", "adoptedManifestVersion": 7.0,
    ///                     "status": {"state": "pending"}, "components": []});
    /// let deviations = AnyDeploymentStatus::deviations(&status, SpecVersion::V1_0_0Rc3);
    /// assert_eq!((deviations[0].contradiction, deviations[0].level), ("X-D-31", Level::L3));
    /// ```
    #[must_use]
    pub fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        deviations(Self::INTERPRETATIONS, revision, document)
    }

    /// The revision it follows.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::Rc2(_) => SpecVersion::V1_0_0Rc2,
            Self::Rc1(_) => SpecVersion::V1_0_0Rc1,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// The deployment.
    #[must_use]
    pub fn deployment_id(&self) -> &DeploymentId {
        match self {
            Self::Rc3(status) => &status.deployment_id,
            Self::Rc2(status) => &status.deployment_id,
            Self::Rc1(status) => &status.deployment_id,
            Self::PreDraft(status) => &status.deployment_id,
        }
    }

    /// The device, if the document names one. The pre-draft leaves that to the route; to 1.0.0-rc.1 a client is one
    /// device.
    #[must_use]
    pub fn device_id(&self) -> Option<&DeviceId> {
        match self {
            Self::Rc3(status) => status.device_id.as_ref(),
            Self::Rc2(status) => status.device_id.as_ref(),
            Self::Rc1(_) | Self::PreDraft(_) => None,
        }
    }

    /// The version of the manifest the client acts on. Only 1.0.0-rc.3 says it.
    #[must_use]
    pub fn adopted(&self) -> Option<ManifestVersion> {
        match self {
            Self::Rc3(status) => Some(status.adopted_manifest_version),
            _ => None,
        }
    }

    /// The state of the deployment as a whole.
    #[must_use]
    pub fn state(&self) -> DeploymentState {
        match self {
            Self::Rc3(status) => status.status.state.clone(),
            Self::Rc2(status) => status.status.state.upgrade(),
            Self::Rc1(status) => status.status.state.upgrade(),
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
            _ => self.latest().components,
        }
    }

    /// What its shape cannot say, and what a manager refuses: see [`DeploymentStatusManifest::check`] and those of
    /// the older revisions.
    ///
    /// ```
    /// use margo_status::AnyDeploymentStatus;
    /// use serde_json::json;
    ///
    /// let status = AnyDeploymentStatus::from_value(json!({
    ///     "deploymentId": "a3e2f5dc", "adoptedManifestVersion": 7,
    ///     "status": { "state": "running" }, "components": [],
    /// }))?;
    /// assert_eq!(status.check()[0].to_string(), "/status/state: `running` is not a state");
    /// # Ok::<(), margo_syntax::Fault>(())
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(status) => status.check(),
            Self::Rc2(status) => status.check(),
            Self::Rc1(status) => status.check(),
            Self::PreDraft(status) => status.check(),
        }
    }

    /// The state of the whole, if it is not the one its components have (R-B-039, X-B-03): no reason to refuse a
    /// report. The pre-draft has another rule (R-A-024), so of its documents this says nothing.
    #[must_use]
    pub fn contradiction(&self) -> Option<Deviation> {
        match self {
            Self::Rc3(status) => status.contradiction(),
            Self::Rc2(status) => status.contradiction(),
            Self::Rc1(status) => status.contradiction(),
            Self::PreDraft(_) => None,
        }
    }

    /// The same status in the newest revision. `adopted` stands in where the document says no version.
    ///
    /// ```
    /// use margo_core::ManifestVersion;
    /// use margo_status::{AnyDeploymentStatus, DeploymentState};
    /// use serde_json::json;
    ///
    /// let older = AnyDeploymentStatus::from_value(json!({
    ///     "apiVersion": "deployment.margo/v1", "kind": "DeploymentStatus", "deploymentId": "a3e2f5dc",
    ///     "status": { "state": "Installed" }, "components": [{ "name": "database", "state": "Installed" }],
    /// }))?;
    /// let upgraded = older.upgrade(ManifestVersion::FIRST);
    /// assert!(upgraded.is_lossless());
    /// assert_eq!(upgraded.value.components[0].state, DeploymentState::Installed);
    /// # Ok::<(), margo_syntax::Fault>(())
    /// ```
    #[must_use]
    pub fn upgrade(self, adopted: ManifestVersion) -> Upgraded<DeploymentStatusManifest> {
        match self {
            Self::Rc3(status) => Upgraded::lossless(status),
            Self::Rc2(status) => status.upgrade(adopted),
            Self::Rc1(status) => status.upgrade(adopted),
            Self::PreDraft(status) => status.upgrade(adopted),
        }
    }

    /// The same status, as `revision` writes it, for who does not ask what is lost; see [`convert`](Self::convert).
    ///
    /// # Errors
    ///
    /// What `revision` cannot say.
    pub fn to_revision(&self, revision: SpecVersion) -> Result<Self, DowngradeError> {
        self.convert(revision).map(|converted| converted.value)
    }

    /// The same status, as `revision` writes it, and what is lost on the way.
    ///
    /// The way leads through the newest revision. What a document of an older one loses on the first half stands at
    /// its place in that document; what is lost on the second half stands at its place in the newest one, which has
    /// the same members in the same places.
    ///
    /// ```
    /// use margo_core::{ManifestVersion, SpecVersion};
    /// use margo_status::{AnyDeploymentStatus, ComponentStatus, DeploymentState, DeploymentStatusManifest};
    ///
    /// let component = ComponentStatus::new("database".parse()?, DeploymentState::Installed);
    /// let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, vec![component]);
    /// let converted = AnyDeploymentStatus::from(status).convert(SpecVersion::V1_0_0Rc2)?;
    /// assert_eq!(converted.value.revision(), SpecVersion::V1_0_0Rc2);
    /// assert_eq!(converted.losses[0].pointer, "/adoptedManifestVersion");
    ///
    /// // No older revision says which manifest a client has adopted, so going up takes `upgrade`.
    /// let error = converted.value.convert(SpecVersion::V1_0_0Rc3).unwrap_err();
    /// assert_eq!(error.pointer, "/adoptedManifestVersion");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `revision` cannot say: removal in the pre-draft, a device behind a gateway in 1.0.0-rc.1, and what a
    /// document of an older revision does not say and 1.0.0-rc.3 asks for.
    pub fn convert(&self, revision: SpecVersion) -> Result<Upgraded<Self>, DowngradeError> {
        let own = self.revision();
        if revision == own {
            return Ok(Upgraded::lossless(self.clone()));
        }
        // The first version stands in for the one that no revision but the newest says: it is never written.
        let newest = self.clone().upgrade(ManifestVersion::FIRST);
        let mut converted = match revision {
            SpecVersion::PreDraft => {
                let converted = pre_draft::DeploymentStatus::downgrade(&newest.value)?;
                Upgraded::new(Self::PreDraft(converted.value), converted.losses)
            }
            SpecVersion::V1_0_0Rc1 => {
                let converted = rc1::DeploymentStatusManifest::downgrade(&newest.value)?;
                Upgraded::new(Self::Rc1(converted.value), converted.losses)
            }
            SpecVersion::V1_0_0Rc2 => {
                let converted = rc2::DeploymentStatusManifest::downgrade(&newest.value);
                Upgraded::new(Self::Rc2(converted.value), converted.losses)
            }
            _ => {
                let reason = format!("{own} does not say it");
                return Err(DowngradeError::new(revision, "/adoptedManifestVersion", reason));
            }
        };
        if own != SpecVersion::V1_0_0Rc3 {
            converted.losses.retain(|loss| loss.pointer != "/adoptedManifestVersion");
        }
        converted.losses.splice(0..0, newest.losses);
        Ok(converted)
    }

    /// The document as JSON, in its own revision: equal statuses are equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let written = match self {
            Self::Rc3(status) => serde_json::to_value(status),
            Self::Rc2(status) => serde_json::to_value(status),
            Self::Rc1(status) => serde_json::to_value(status),
            Self::PreDraft(status) => serde_json::to_value(status),
        };
        // Every name is text, so there is nothing to fail. Through a tree, because its members are sorted and its
        // text cannot fail at all.
        written.unwrap_or_default().to_string().into_bytes()
    }

    /// Reads a status known to follow `revision` from a tree, such as that of a file.
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, with the place, and a `revision` this library does not read.
    pub fn of_revision(value: &Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc3 => margo_syntax::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => margo_syntax::from_value(value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => margo_syntax::from_value(value).map(Self::Rc1),
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

    /// As [`of_revision`](Self::of_revision), where the tree is not needed again: its texts become those of the document.
    fn of_owned(value: Value, revision: SpecVersion) -> Option<Self> {
        let read = match revision {
            SpecVersion::V1_0_0Rc3 => serde_json::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => serde_json::from_value(value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => serde_json::from_value(value).map(Self::Rc1),
            SpecVersion::PreDraft => serde_json::from_value(value).map(Self::PreDraft),
            _ => return None,
        };
        read.ok()
    }
}

/// What `read` makes of the likeliest candidate it can read. If it can read none, what is wrong with the likeliest.
fn among<T>(value: &Value, read: impl Fn(&Value, SpecVersion) -> Result<T, Fault>) -> Result<T, Fault> {
    let detection = detect(value);
    let mut candidates = detection.revisions();
    // A document that looks like no status at all is told what the newest revision misses.
    let likeliest = candidates.next().unwrap_or(SpecVersion::LATEST);
    read(value, likeliest).or_else(|fault| candidates.find_map(|other| read(value, other).ok()).ok_or(fault))
}

/// A deviation that was not accepted.
fn refused(deviation: &Deviation) -> Fault {
    let place = deviation.pointer.parse().unwrap_or_default();
    Fault::new(place, format!("{} ({})", deviation.message, deviation.contradiction))
}

impl From<DeploymentStatusManifest> for AnyDeploymentStatus {
    fn from(status: DeploymentStatusManifest) -> Self {
        Self::Rc3(status)
    }
}

impl From<rc2::DeploymentStatusManifest> for AnyDeploymentStatus {
    fn from(status: rc2::DeploymentStatusManifest) -> Self {
        Self::Rc2(status)
    }
}

impl From<rc1::DeploymentStatusManifest> for AnyDeploymentStatus {
    fn from(status: rc1::DeploymentStatusManifest) -> Self {
        Self::Rc1(status)
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

    fn rc2() -> Value {
        let mut status = rc3();
        status.as_object_mut().unwrap().remove("adoptedManifestVersion");
        status["apiVersion"] = json!("deployment.margo.org/v1alpha1");
        status["kind"] = json!("DeploymentStatusManifest");
        status
    }

    fn rc1() -> Value {
        json!({
            "apiVersion": "deployment.margo.org/v1alpha1",
            "kind": "DeploymentStatusManifest",
            "deploymentId": "a3e2f5dc",
            "status": {"state": "failed", "error": {"code": "E", "message": "no"}},
            "components": [{"name": "database", "state": "failed", "error": {"code": "E", "message": "no"}}],
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

    fn all() -> [(SpecVersion, Value); 4] {
        [
            (SpecVersion::V1_0_0Rc3, rc3()),
            (SpecVersion::V1_0_0Rc2, rc2()),
            (SpecVersion::V1_0_0Rc1, rc1()),
            (SpecVersion::PreDraft, pre_draft()),
        ]
    }

    #[test]
    fn every_question_is_answered_in_the_newest_words() {
        for (revision, document) in all() {
            let status = AnyDeploymentStatus::from_value(document).unwrap();
            assert_eq!(status.revision(), revision);
            assert_eq!(status.deployment_id().as_str(), "a3e2f5dc");
            assert_eq!(status.state(), DeploymentState::Failed);
            assert_eq!(status.components().len(), 1);
            assert_eq!((status.check(), status.contradiction()), (vec![], None));
            let device = (revision > SpecVersion::V1_0_0Rc1).then_some("gateway-1/plc-7");
            assert_eq!(status.device_id().map(DeviceId::as_str), device);
            let adopted = (revision == SpecVersion::V1_0_0Rc3).then_some(u64::MAX);
            assert_eq!(status.adopted().map(ManifestVersion::get), adopted);
            let source = if device.is_some() { "digitron" } else { "" };
            assert_eq!(status.error(), Some(ErrorReport::new("E", source, "no")));
        }
        let older = AnyDeploymentStatus::from_value(rc1()).unwrap();
        assert_eq!(older.components(), [ComponentStatus::failed("database".parse().unwrap(), "E", "no")]);
    }

    /// A label proves nothing: three shapes share one kind.
    #[test]
    fn the_shape_decides_and_not_the_label() {
        let mut labelled = rc3();
        labelled["kind"] = json!("DeploymentStatus");
        let read = AnyDeploymentStatus::from_value(labelled).unwrap();
        assert_eq!(read.revision(), SpecVersion::V1_0_0Rc3);

        // Of one revision's kind and another's words: the weeks before 1.0.0-rc.1 wrote that (X-B-33).
        let mut between = pre_draft();
        between["kind"] = json!("DeploymentStatusManifest");
        let read = AnyDeploymentStatus::from_value(between).unwrap();
        assert_eq!(read.revision(), SpecVersion::V1_0_0Rc1);
        assert_eq!(read.state(), DeploymentState::Failed);

        let mut other = rc1();
        other["kind"] = json!("Status");
        let fault = AnyDeploymentStatus::from_value(other).unwrap_err();
        assert_eq!(fault.pointer().as_str(), "/kind");
        assert!(fault.message().contains("expected `DeploymentStatusManifest`"), "{fault}");

        // X-C-18.
        let mut without = rc3();
        without.as_object_mut().unwrap().remove("adoptedManifestVersion");
        let read = AnyDeploymentStatus::from_value(without).unwrap();
        assert_eq!(read.revision(), SpecVersion::V1_0_0Rc2);
    }

    /// Of two candidates, one that can be read is better than one that cannot.
    #[test]
    fn the_second_candidate_is_asked_before_anything_is_refused() {
        let mut numbered = rc1();
        numbered["components"][0]["error"]["code"] = json!(101);
        assert_eq!(detect(&numbered).likeliest(), Some(SpecVersion::V1_0_0Rc1));
        let read = AnyDeploymentStatus::from_value(numbered).unwrap();
        assert_eq!(read.revision(), SpecVersion::V1_0_0Rc2);
    }

    #[test]
    fn a_known_revision_is_not_guessed() {
        for (revision, document) in all() {
            let bytes = Bytes::from(document.to_string());
            let read = |revision| AnyDeploymentStatus::decode_as(bytes.clone(), revision, &Limits::default());
            assert_eq!(read(revision).unwrap().bytes(), &bytes);
            assert_eq!(read(revision).unwrap().revision(), revision);
        }
        let read = |value: Value, revision| {
            AnyDeploymentStatus::decode_as(value.to_string().into(), revision, &Limits::default())
                .unwrap_err()
        };
        assert!(read(pre_draft(), SpecVersion::V1_0_0Rc3).message().contains("adoptedManifestVersion"));
        assert_eq!(read(pre_draft(), SpecVersion::V1_0_0Rc2).pointer().as_str(), "/kind");
        assert_eq!(read(rc2(), SpecVersion::PreDraft).pointer().as_str(), "/kind");
        assert_eq!(read(rc3(), SpecVersion::V1_0_0Rc1).message(), "missing field `apiVersion`");
    }

    /// Every pair, through the newest.
    #[test]
    fn every_revision_is_written_as_every_other() {
        for (from, document) in all() {
            let status = AnyDeploymentStatus::from_value(document).unwrap();
            for to in SpecVersion::ALL {
                match status.convert(to) {
                    Ok(converted) => {
                        assert_eq!(converted.value.revision(), to);
                        assert_eq!(converted.value.state(), DeploymentState::Failed);
                        assert_eq!(status.to_revision(to).unwrap(), converted.value);
                        assert_eq!(
                            converted.losses.is_empty(),
                            from == to || from < SpecVersion::V1_0_0Rc2,
                            "{from} {to}"
                        );
                    }
                    Err(error) if to == SpecVersion::V1_0_0Rc3 => {
                        assert_eq!(
                            error.to_string(),
                            format!("{to} cannot say `/adoptedManifestVersion`: {from} does not say it")
                        );
                    }
                    // X-B-40.
                    Err(error) => {
                        assert_eq!((to, error.pointer.as_str()), (SpecVersion::V1_0_0Rc1, "/deviceId"));
                    }
                }
            }
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

    /// L3 is refused when reading strictly and told otherwise; L1 and L2 never are.
    #[test]
    fn strictness_is_a_parameter_of_reading() {
        let read = |document: &Value, revision, strictness| {
            let bytes = Bytes::from(document.to_string());
            AnyDeploymentStatus::read(bytes, revision, strictness, &Limits::default())
        };
        let mut listed = rc3();
        listed["status"] = json!([listed["status"]]);
        let reading = read(&listed, None, Strictness::Lenient).unwrap();
        assert_eq!(reading.value.state(), DeploymentState::Failed);
        assert_eq!(reading.warnings().map(|warning| warning.contradiction).collect::<Vec<_>>(), ["X-D-12"]);
        let error = read(&listed, None, Strictness::Strict).unwrap_err();
        assert_eq!((error.pointer().as_str(), error.location().is_some()), ("/status", true));
        assert_eq!(error.message(), "a list of one stands for the object in it (X-D-12)");

        let mut silent = rc3();
        silent["status"]["error"]["source"] = json!("");
        for strictness in [Strictness::Lenient, Strictness::Strict] {
            let reading = read(&silent, Some(SpecVersion::V1_0_0Rc3), strictness).unwrap();
            assert_eq!(reading.deviations[0].contradiction, "X-D-13");
            assert_eq!(reading.warnings().count(), 0);
        }

        let mut unknown = rc3();
        unknown["status"]["state"] = json!("running");
        assert!(read(&unknown, None, Strictness::Lenient).is_ok());
        assert_eq!(
            read(&unknown, None, Strictness::Strict).unwrap_err().message(),
            "`running` is not a state"
        );
    }
}
