use bytes::Bytes;
use margo_core::{
    ApplicationId, DeploymentId, Detection, Deviation, DeviceTarget, Document, DowngradeError,
    Interpretation, Reading, SpecVersion, Strictness, Upgraded, deviations,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, SyntaxError, WriteError};
use serde_json::Value;

use crate::interpretation::{self, refused};
use crate::older::Kind;
use crate::{ApplicationDeployment, pre_draft, rc1, rc2};

/// A deployment of whichever revision.
///
/// The revision is told by the shape of the document, never by a label (X-B-19); see
/// [`detect`](Self::detect).
///
/// ```
/// use margo_core::SpecVersion;
/// use margo_deployment::AnyApplicationDeployment;
/// use margo_syntax::Limits;
///
/// let text = "
/// apiVersion: application.margo.org/v1alpha1
/// kind: ApplicationDeployment
/// metadata:
///   annotations: { id: a3e2f5dc-912e-494f-8395-52cf3769bc06, applicationId: pump-monitor }
///   name: pump-monitor
///   namespace: plant
/// spec:
///   deploymentProfile:
///     type: helm.v3
///     components:
///       - name: collector
///         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
/// ";
/// let deployment = AnyApplicationDeployment::decode(text.into(), &Limits::default())?;
/// assert_eq!(deployment.revision(), SpecVersion::PreDraft);
/// // The view changes, the bytes do not.
/// let newest = deployment.map(|old| old.upgrade(&"plc-7".parse().unwrap()).value);
/// assert_eq!(newest.bytes(), text.as_bytes());
/// assert_eq!(newest.spec.application_id.as_str(), "pump-monitor");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyApplicationDeployment {
    /// 1.0.0-rc.3.
    Rc3(ApplicationDeployment),
    /// 1.0.0-rc.2.
    Rc2(rc2::ApplicationDeployment),
    /// 1.0.0-rc.1.
    Rc1(rc1::ApplicationDeployment),
    /// The pre-draft.
    PreDraft(pre_draft::ApplicationDeployment),
}

impl AnyApplicationDeployment {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] = interpretation::DEPLOYMENT;

    /// Reads a deployment of whichever revision: the likeliest where its shape fits several.
    ///
    /// # Errors
    ///
    /// A document of no known shape, or what the revision's own reading finds:
    /// [`ApplicationDeployment::parse`], [`rc2::ApplicationDeployment::parse`],
    /// [`rc1::ApplicationDeployment::parse`], [`pre_draft::ApplicationDeployment::parse`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with(bytes, Format::Yaml, limits, |value| {
            let revision = shape(&value)?;
            Self::from_value(value, revision)
        })
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// Reads a deployment that is known to follow `revision`, because the peer it came from does.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_deployment::AnyApplicationDeployment;
    /// use margo_syntax::Limits;
    ///
    /// # let text = "
    /// # id: a3e2f5dc-912e-494f-8395-52cf3769bc06
    /// # metadata: { name: pump-monitor, namespace: plant, deviceId: gateway-1/plc-7 }
    /// # spec:
    /// #   applicationId: pump-monitor
    /// #   deploymentProfile:
    /// #     type: helm
    /// #     components:
    /// #       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
    /// # ";
    /// let limits = Limits::default();
    /// let newest = AnyApplicationDeployment::decode_as(text.into(), SpecVersion::V1_0_0Rc3, &limits)?;
    /// assert_eq!(newest.id().as_str(), "a3e2f5dc-912e-494f-8395-52cf3769bc06");
    /// // The same text is none of a revision that asks for a label.
    /// assert!(AnyApplicationDeployment::decode_as(text.into(), SpecVersion::V1_0_0Rc1, &limits).is_err());
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, and a `revision` this library does not read.
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Yaml, limits, |value| Self::from_value(value, revision))
        })
    }

    /// Reads a deployment as strictly as wanted, telling what was accepted. Where no revision is given, the
    /// likeliest is taken. Strictly, what [`check`](Self::check) finds is refused too.
    ///
    /// ```
    /// use margo_core::Strictness;
    /// use margo_deployment::AnyApplicationDeployment;
    /// use margo_syntax::Limits;
    ///
    /// let text = "
    /// id: a3e2f5dc-912e-494f-8395-52cf3769bc06
    /// metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
    /// spec:
    ///   applicationId: pump-monitor
    ///   deploymentProfile:
    ///     type: compose
    ///     components:
    ///       - name: collector
    ///         properties: { packageLocation: 'https://example.com/collector.tar.gz', wait: 'true' }
    /// ";
    /// let read = |strictness| AnyApplicationDeployment::read(text.into(), None, strictness, &Limits::default());
    /// let reading = read(Strictness::Lenient)?;
    /// let warned: Vec<_> = reading.warnings().map(|deviation| deviation.contradiction).collect();
    /// assert_eq!(warned, ["X-B-16", "X-D-38"]);
    /// assert!(read(Strictness::Strict).unwrap_err().message().ends_with("(X-D-38)"));
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) and [`decode_as`](Self::decode_as), and what is too far off for this
    /// strictness.
    pub fn read(
        bytes: Bytes,
        revision: Option<SpecVersion>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Reading<Document<Self>>, DecodeError> {
        let mut found = Vec::new();
        let document = Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Yaml, limits, |value| {
                let revision = revision.map_or_else(|| shape(&value), Ok)?;
                found = Self::deviations(&value, revision);
                let deployment = Self::from_value(value, revision)?;
                refused(&found, strictness)?;
                match deployment.check().into_iter().next() {
                    Some(fault) if strictness == Strictness::Strict => Err(fault),
                    _ => Ok(deployment),
                }
            })
        })?;
        Ok(Reading::new(document, found))
    }

    /// Which revisions a document may be a deployment of, by its shape; none if it is no deployment.
    ///
    /// Where the pre-draft and 1.0.0-rc.1 cannot be told apart, they mean the same.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_deployment::AnyApplicationDeployment;
    /// use serde_json::json;
    ///
    /// let deployment = json!({
    ///     "metadata": { "annotations": { "id": "pump-1" } },
    ///     "spec": { "deploymentProfile": { "type": "helm.v3" } },
    /// });
    /// let detection = AnyApplicationDeployment::detect(&deployment);
    /// assert!(detection.revisions().eq([SpecVersion::PreDraft, SpecVersion::V1_0_0Rc1]));
    /// assert!(AnyApplicationDeployment::detect(&json!({ "id": "pump-1" })).is_none());
    /// ```
    #[must_use]
    pub fn detect(value: &Value) -> Detection {
        if value.pointer("/spec/deploymentProfile").is_none() {
            return Detection::none();
        }
        let has = |pointer: &str| value.pointer(pointer).is_some();
        let profile_type = value.pointer("/spec/deploymentProfile/type").and_then(Value::as_str);
        let is_labeled = has("/apiVersion") || has("/kind");
        if has("/metadata/annotations/id") {
            let place = "`metadata.annotations.id` is there";
            return match profile_type {
                Some("docker-compose") => Detection::none()
                    .with(SpecVersion::PreDraft, [place, "`docker-compose` is the pre-draft's word"]),
                Some("helm" | "compose") => Detection::none().with(
                    SpecVersion::V1_0_0Rc1,
                    [place, "`helm` and `compose` are not the pre-draft's words"],
                ),
                Some("helm.v3") => Detection::none()
                    .with(SpecVersion::PreDraft, [place, "`helm.v3` is the pre-draft's only word for charts"])
                    .with(SpecVersion::V1_0_0Rc1, [place, "its pages write `helm.v3` too"]),
                _ => Detection::none()
                    .with(SpecVersion::PreDraft, [place])
                    .with(SpecVersion::V1_0_0Rc1, [place]),
            };
        }
        if !has("/id") {
            return Detection::none();
        }
        if has("/metadata/annotations/applicationId") {
            let reasons = ["`id` is at the top, `applicationId` in the annotations: May 2026"];
            return Detection::none().with(SpecVersion::V1_0_0Rc1, reasons);
        }
        if !has("/metadata/deviceId") && is_labeled {
            let reasons = ["`id` is at the top, and there is no `metadata.deviceId`: May 2026"];
            return Detection::none().with(SpecVersion::V1_0_0Rc1, reasons);
        }
        let is_newest = has("/spec/deploymentProfile/deviceConstraints") || profile_type == Some("custom");
        match (is_labeled, is_newest) {
            (true, false) => Detection::none().with(
                SpecVersion::V1_0_0Rc2,
                ["`id` is at the top", "`apiVersion` or `kind` is there", "`metadata.deviceId` is there"],
            ),
            (true, true) => Detection::none().with(
                SpecVersion::V1_0_0Rc3,
                ["`deviceConstraints` or `custom` is there, whatever `apiVersion` and `kind` say"],
            ),
            (false, false) if has_archive(value) => Detection::none()
                .with(SpecVersion::V1_0_0Rc3, ["neither `apiVersion` nor `kind` is there"])
                .with(SpecVersion::V1_0_0Rc2, ["`packageLocation` is there: right after the tag"]),
            (false, _) => Detection::none().with(
                SpecVersion::V1_0_0Rc3,
                ["`id` is at the top", "neither `apiVersion` nor `kind` is there"],
            ),
        }
    }

    /// As [`detect`](Self::detect), for text.
    ///
    /// # Errors
    ///
    /// Text that cannot be read, or that exceeds `limits`.
    pub fn detect_bytes(bytes: &[u8], format: Format, limits: &Limits) -> Result<Detection, SyntaxError> {
        Ok(Self::detect(&margo_syntax::parse(bytes, format, limits)?.to_value()))
    }

    /// Every place where `document`, read as `revision`, is written in another way than we would write it, and was
    /// understood all the same; see [`INTERPRETATIONS`](Self::INTERPRETATIONS).
    #[must_use]
    pub fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        deviations(Self::INTERPRETATIONS, revision, document)
    }

    /// The deployment's id, wherever the revision puts it.
    #[must_use]
    pub fn id(&self) -> &DeploymentId {
        match self {
            Self::Rc3(deployment) => &deployment.id,
            Self::Rc2(deployment) => &deployment.id,
            Self::Rc1(deployment) => &deployment.metadata.annotations.id,
            Self::PreDraft(deployment) => &deployment.metadata.annotations.id,
        }
    }

    /// The application, wherever the revision puts its id.
    #[must_use]
    pub fn application_id(&self) -> &ApplicationId {
        match self {
            Self::Rc3(deployment) => &deployment.spec.application_id,
            Self::Rc2(deployment) => &deployment.spec.application_id,
            Self::Rc1(deployment) => &deployment.metadata.annotations.application_id,
            Self::PreDraft(deployment) => &deployment.metadata.annotations.application_id,
        }
    }

    /// The revision whose shape the document has.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::Rc2(_) => SpecVersion::V1_0_0Rc2,
            Self::Rc1(_) => SpecVersion::V1_0_0Rc1,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// What its revision does not allow and reading lets pass; a manager writes none of it.
    ///
    /// ```
    /// use margo_deployment::AnyApplicationDeployment;
    /// use margo_syntax::Limits;
    ///
    /// # let text = "
    /// # id: a3e2f5dc-912e-494f-8395-52cf3769bc06
    /// # metadata: { name: pump-monitor, namespace: plant, deviceId: gateway-1/plc-7 }
    /// # spec:
    /// #   applicationId: pump-monitor
    /// #   deploymentProfile:
    /// #     type: helm
    /// #     components:
    /// #       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
    /// # ";
    /// let text = text.replace("type: helm", "type: nomad");
    /// let deployment = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default())?;
    /// let faults: Vec<_> = deployment.check().iter().map(ToString::to_string).collect();
    /// assert_eq!(faults, ["/spec/deploymentProfile/type: `nomad` is not a type of profile"]);
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(deployment) => deployment.check(),
            Self::Rc2(deployment) => deployment.check(),
            Self::Rc1(deployment) => deployment.check(),
            Self::PreDraft(deployment) => deployment.check(),
        }
    }

    /// The deployment in the newest revision's words. `target` is used where the revision does not name the
    /// device itself.
    ///
    /// What an older document says is kept even where 1.0.0-rc.3 takes it from nobody, such as a chart outside a registry or
    /// a revision that is free text (X-D-23): a device can work with it. Who wants a document of 1.0.0-rc.3 asks
    /// [`convert`](Self::convert).
    #[must_use]
    pub fn upgrade(self, target: &DeviceTarget) -> Upgraded<ApplicationDeployment> {
        match self {
            Self::Rc3(deployment) => Upgraded::lossless(deployment),
            Self::Rc2(deployment) => deployment.upgrade(),
            Self::Rc1(deployment) => deployment.upgrade(target.clone()),
            Self::PreDraft(deployment) => deployment.upgrade(target.clone()),
        }
    }

    /// The deployment in the words of `revision`, for who does not ask what is lost; see
    /// [`convert`](Self::convert).
    ///
    /// # Errors
    ///
    /// What `revision` cannot say and cannot leave out.
    pub fn to_revision(&self, revision: SpecVersion, target: &DeviceTarget) -> Result<Self, DowngradeError> {
        self.convert(revision, target).map(|converted| converted.value)
    }

    /// The deployment in the words of `revision`, whether older or newer, and what is lost on the way. `target` is
    /// used where its own revision does not name the device itself.
    ///
    /// The way leads through the newest revision. What a document of an older one loses on the first half stands
    /// at its place in that document; what is lost on the second half stands at its place in the newest one.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_deployment::AnyApplicationDeployment;
    /// use margo_syntax::Limits;
    ///
    /// # let text = "
    /// # id: a3e2f5dc-912e-494f-8395-52cf3769bc06
    /// # metadata: { name: pump-monitor, namespace: plant, deviceId: gateway-1/plc-7 }
    /// # spec:
    /// #   applicationId: pump-monitor
    /// #   deploymentProfile:
    /// #     type: helm
    /// #     components:
    /// #       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
    /// # ";
    /// let newest = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default())?;
    /// let target = "gateway-1/plc-7".parse()?;
    ///
    /// for revision in SpecVersion::ALL {
    ///     let older = newest.convert(revision, &target)?;
    ///     assert!(older.is_lossless());
    ///     // Up to 1.0.0-rc.1, whose deployment it is stands in no document: that is what `target` is for.
    ///     assert_eq!(older.value.convert(SpecVersion::LATEST, &target)?.value, newest);
    /// }
    ///
    /// let text = text.replace("gateway-1/plc-7", "gateway-1/*");
    /// let any = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default())?;
    /// let error = any.convert(SpecVersion::V1_0_0Rc1, &target).unwrap_err();
    /// assert_eq!(error.to_string(), "1.0.0-rc.1 cannot say `/metadata/deviceId`: each client is one device");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `revision` cannot say and cannot leave out. 1.0.0-rc.3 is one of them: it takes a chart only from a registry,
    /// by a semantic version, where older ones have any URL and free text (X-D-23).
    pub fn convert(
        &self,
        revision: SpecVersion,
        target: &DeviceTarget,
    ) -> Result<Upgraded<Self>, DowngradeError> {
        if revision == self.revision() {
            return Ok(Upgraded::lossless(self.clone()));
        }
        let Upgraded { value, mut losses, .. } = self.clone().upgrade(target);
        let (value, more) = match revision {
            SpecVersion::V1_0_0Rc3 => {
                if let Some(fault) = value.refusal() {
                    return Err(DowngradeError::new(revision, fault.pointer().as_str(), fault.message()));
                }
                (Self::Rc3(value), Vec::new())
            }
            SpecVersion::V1_0_0Rc2 => {
                let Upgraded { value, losses, .. } = rc2::ApplicationDeployment::downgrade(&value)?;
                (Self::Rc2(value), losses)
            }
            SpecVersion::V1_0_0Rc1 => {
                let Upgraded { value, losses, .. } = rc1::ApplicationDeployment::downgrade(&value)?;
                (Self::Rc1(value), losses)
            }
            SpecVersion::PreDraft => {
                let Upgraded { value, losses, .. } = pre_draft::ApplicationDeployment::downgrade(&value)?;
                (Self::PreDraft(value), losses)
            }
            _ => return Err(DowngradeError::new(revision, "", "deployments of it cannot be written yet")),
        };
        losses.extend(more);
        Ok(Upgraded::new(value, losses))
    }

    /// The deployment as YAML, in its own revision.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        match self {
            Self::Rc3(deployment) => deployment.to_yaml(),
            Self::Rc2(deployment) => deployment.to_yaml(),
            Self::Rc1(deployment) => deployment.to_yaml(),
            Self::PreDraft(deployment) => deployment.to_yaml(),
        }
    }

    /// Reads a deployment that is known to follow `revision` from a tree, such as that of a file.
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, with the place, and a `revision` this library does not read.
    pub fn from_value(value: Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc3 => ApplicationDeployment::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => rc2::ApplicationDeployment::from_value(value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => rc1::ApplicationDeployment::from_value(value).map(Self::Rc1),
            SpecVersion::PreDraft => pre_draft::ApplicationDeployment::from_value(value).map(Self::PreDraft),
            _ => Err(Fault::new(Pointer::root(), format!("deployments of {revision} cannot be read yet"))),
        }
    }
}

impl From<ApplicationDeployment> for AnyApplicationDeployment {
    fn from(deployment: ApplicationDeployment) -> Self {
        Self::Rc3(deployment)
    }
}

impl From<rc2::ApplicationDeployment> for AnyApplicationDeployment {
    fn from(deployment: rc2::ApplicationDeployment) -> Self {
        Self::Rc2(deployment)
    }
}

impl From<rc1::ApplicationDeployment> for AnyApplicationDeployment {
    fn from(deployment: rc1::ApplicationDeployment) -> Self {
        Self::Rc1(deployment)
    }
}

impl From<pre_draft::ApplicationDeployment> for AnyApplicationDeployment {
    fn from(deployment: pre_draft::ApplicationDeployment) -> Self {
        Self::PreDraft(deployment)
    }
}

fn has_archive(value: &Value) -> bool {
    let components = value.pointer("/spec/deploymentProfile/components").and_then(Value::as_array);
    components
        .into_iter()
        .flatten()
        .any(|component| component.pointer("/properties/packageLocation").is_some())
}

/// The likeliest revision. What lacks a profile is told so by the reading of some revision.
fn shape(value: &Value) -> Result<SpecVersion, Fault> {
    if let Some(likeliest) = AnyApplicationDeployment::detect(value).likeliest() {
        return Ok(likeliest);
    }
    if value.pointer("/metadata/annotations/id").is_some() {
        Ok(SpecVersion::PreDraft)
    } else if value.get("id").is_some() {
        let is_labeled = value.get("kind").is_some_and(|kind| kind == Kind::TEXT);
        Ok(if is_labeled { SpecVersion::V1_0_0Rc2 } else { SpecVersion::V1_0_0Rc3 })
    } else {
        let message = "expected a deployment, with `id` at the top (1.0.0-rc.2 and newer) \
                       or in `metadata.annotations` (1.0.0-rc.1 and older)";
        Err(Fault::new(Pointer::root(), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_decides_and_no_label_does() {
        let at = |text: &str| {
            let error = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default()).unwrap_err();
            (error.pointer().to_string(), error.message().to_owned())
        };
        // Each revision's own reading names what it misses.
        assert_eq!(
            at("{ apiVersion: v1, metadata: { annotations: { id: a } } }").1,
            "missing field `applicationId`"
        );
        assert_eq!(
            at("{ kind: ApplicationDeployment, id: a, metadata: { name: n } }").1,
            "missing field `namespace`"
        );
        assert!(at("{ apiVersion: application.margo.org/v1alpha1 }").1.starts_with("expected a deployment"));
        assert!(at("[]").1.starts_with("expected a deployment"));
    }

    const COMPONENT: &str = "{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.0 } }";
    const LABEL: &str = "apiVersion: application.margo.org/v1alpha1, kind: ApplicationDeployment";

    fn detected(text: &str) -> Vec<SpecVersion> {
        let tree = margo_syntax::parse(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
        AnyApplicationDeployment::detect(&tree.to_value()).revisions().collect()
    }

    /// Revision C, section 5: each shape of a deployment, and what it is read as.
    #[test]
    fn every_stage_is_told_by_its_shape() {
        use SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
        let profile = |profile_type: &str| {
            format!("deploymentProfile: {{ type: {profile_type}, components: [{COMPONENT}] }}")
        };
        let annotated = |profile_type: &str| {
            let ids = "annotations: { id: a, applicationId: b }";
            format!(
                "{{ {LABEL}, metadata: {{ {ids}, name: n, namespace: s }}, spec: {{ {} }} }}",
                profile(profile_type)
            )
        };
        assert_eq!(detected(&annotated("docker-compose")), [PreDraft]);
        assert_eq!(detected(&annotated("helm.v3")), [PreDraft, V1_0_0Rc1]);
        assert_eq!(detected(&annotated("helm")), [V1_0_0Rc1]);
        assert_eq!(detected(&annotated("compose")), [V1_0_0Rc1]);
        assert_eq!(detected(&annotated("unikernel")), [PreDraft, V1_0_0Rc1]);

        let half = annotated("helm").replace("id: a, ", "").replace("metadata", "id: a, metadata");
        assert_eq!(detected(&half), [V1_0_0Rc1]);
        let top = |label: &str, device: &str, profile: &str| {
            format!(
                "{{ {label} id: a, metadata: {{ {device} name: n, namespace: s }}, spec: {{ applicationId: b, {profile} }} }}"
            )
        };
        let label = &format!("{LABEL},");
        assert_eq!(detected(&top(label, "", &profile("helm"))), [V1_0_0Rc1]);
        assert_eq!(detected(&top(label, "deviceId: d,", &profile("helm"))), [V1_0_0Rc2]);
        assert_eq!(detected(&top(label, "deviceId: d,", &profile("custom"))), [V1_0_0Rc3]);
        assert_eq!(detected(&top("", "deviceId: d,", &profile("helm"))), [V1_0_0Rc3]);
        let archive =
            profile("compose").replace("repository: 'oci://r/a', revision: 1.0.0", "packageLocation: u");
        assert_eq!(detected(&top("", "deviceId: d,", &archive)), [V1_0_0Rc3, V1_0_0Rc2]);
        let constrained = profile("helm").replace("components", "deviceConstraints: {}, components");
        assert_eq!(detected(&top(label, "deviceId: d,", &constrained)), [V1_0_0Rc3]);

        assert_eq!(detected("{ properties: { id: a } }"), []);
        assert_eq!(detected("{ spec: { deploymentProfile: {} } }"), []);
        assert_eq!(detected("[]"), []);
    }

    /// Where shape fits several revisions, a hint decides, and the meaning stays.
    #[test]
    fn a_known_revision_is_not_guessed() {
        let text = format!(
            "{{ {LABEL}, metadata: {{ annotations: {{ id: a, applicationId: b }}, name: n, namespace: s }}, \
             spec: {{ deploymentProfile: {{ type: helm.v3, components: [{COMPONENT}] }} }} }}"
        );
        let target = "plc-7".parse().unwrap();
        let read = |revision| {
            let bytes = Bytes::from(text.clone());
            AnyApplicationDeployment::decode_as(bytes, revision, &Limits::default())
        };
        let (pre_draft, rc1) = (read(SpecVersion::PreDraft).unwrap(), read(SpecVersion::V1_0_0Rc1).unwrap());
        assert_eq!(pre_draft.revision(), SpecVersion::PreDraft);
        assert_eq!(rc1.revision(), SpecVersion::V1_0_0Rc1);
        assert_eq!(pre_draft.into_value().upgrade(&target), rc1.into_value().upgrade(&target));
        assert!(read(SpecVersion::V1_0_0Rc2).is_err() && read(SpecVersion::V1_0_0Rc3).is_err());
    }

    #[test]
    fn a_deployment_is_said_in_any_revision_that_can() {
        let text = format!(
            "{{ id: a, metadata: {{ name: n, namespace: s, deviceId: plc-7 }}, \
             spec: {{ applicationId: b, deploymentProfile: {{ type: helm, components: [{COMPONENT}] }} }} }}"
        );
        let newest = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default()).unwrap();
        let target = "elsewhere".parse().unwrap();
        for from in SpecVersion::ALL {
            let older = newest.convert(from, &target).unwrap();
            assert_eq!((older.value.revision(), older.losses.len()), (from, 0));
            assert_eq!(
                (older.value.id(), older.value.application_id()),
                (newest.id(), newest.application_id())
            );
            for to in SpecVersion::ALL {
                let there = older.value.to_revision(to, &"plc-7".parse().unwrap()).unwrap();
                assert_eq!(there, newest.to_revision(to, &target).unwrap(), "{from} to {to}");
            }
        }
    }

    /// Strictly, what a manager would never write is refused, and the contradiction is named.
    #[test]
    fn strictness_is_a_parameter() {
        let text = |id: &str, profile_type: &str| {
            format!(
                "{{ {LABEL}, id: {id}, metadata: {{ name: n, namespace: s, deviceId: d }}, spec: {{ applicationId: b, \
                 parameters: {{}}, deploymentProfile: {{ type: {profile_type}, components: [{COMPONENT}] }} }} }}"
            )
        };
        let uuid = "a3e2f5dc-912e-494f-8395-52cf3769bc06";
        let read = |text: String, strictness| {
            AnyApplicationDeployment::read(text.into(), None, strictness, &Limits::default())
        };
        assert_eq!(read(text(uuid, "helm"), Strictness::Strict).unwrap().deviations, []);
        assert_eq!(read(text("pump-1", "helm"), Strictness::Lenient).unwrap().deviations.len(), 1);
        let error = read(text("pump-1", "helm"), Strictness::Strict).unwrap_err();
        assert_eq!((error.pointer().as_str(), error.message()), ("/id", "is not a UUID (X-C-16)"));
        assert_eq!(read(text(uuid, "helmchart"), Strictness::Lenient).unwrap().deviations, []);
        let error = read(text(uuid, "helmchart"), Strictness::Strict).unwrap_err();
        assert_eq!(error.pointer().as_str(), "/spec/deploymentProfile/type");
    }

    /// X-D-23: found by fuzzing. What is made for a peer of 1.0.0-rc.3 is what such a peer reads.
    #[test]
    fn free_text_for_a_revision_goes_anywhere_but_to_the_newest() {
        let text = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
id: a
metadata: { name: n, namespace: s, deviceId: d }
spec:
  applicationId: b
  deploymentProfile:
    type: helm
    components: [{ name: a, properties: { repository: 'oci://r/a', revision: 2.core } }]
";
        let older = AnyApplicationDeployment::parse(text.as_bytes(), &Limits::default()).unwrap();
        let target = "d".parse().unwrap();
        let error = older.convert(SpecVersion::V1_0_0Rc3, &target).unwrap_err();
        assert_eq!(error.pointer, "/spec/deploymentProfile/components/0/properties/revision");
        for revision in [SpecVersion::PreDraft, SpecVersion::V1_0_0Rc1] {
            let converted = older.convert(revision, &target).unwrap();
            assert_eq!(converted.losses, []);
            let text = converted.value.to_yaml().unwrap();
            let again = AnyApplicationDeployment::decode_as(text.into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), converted.value);
        }
        assert!(older.upgrade(&target).is_lossless());
    }
}
