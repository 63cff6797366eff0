use bytes::Bytes;
use margo_core::{DeploymentId, DeviceTarget, Document, SpecVersion, Upgraded};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, WriteError};
use serde_json::Value;

use crate::{ApplicationDeployment, pre_draft};

/// A deployment of whichever revision.
///
/// The revision is told by the shape of the document, never by a label (X-B-19): the pre-draft has
/// `metadata.annotations.id`, 1.0.0-rc.3 has `id` at the top.
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
    /// The pre-draft.
    PreDraft(pre_draft::ApplicationDeployment),
}

impl AnyApplicationDeployment {
    /// Reads a deployment of whichever revision.
    ///
    /// # Errors
    ///
    /// A document of no known shape, or what the revision's own reading finds:
    /// [`ApplicationDeployment::parse`], [`pre_draft::ApplicationDeployment::parse`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with(bytes, Format::Yaml, limits, |value| match shape(&value)? {
            SpecVersion::PreDraft => pre_draft::ApplicationDeployment::from_value(value).map(Self::PreDraft),
            _ => ApplicationDeployment::from_value(value).map(Self::Rc3),
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

    /// The deployment's id, wherever the revision puts it.
    #[must_use]
    pub fn id(&self) -> &DeploymentId {
        match self {
            Self::Rc3(deployment) => &deployment.id,
            Self::PreDraft(deployment) => &deployment.metadata.annotations.id,
        }
    }

    /// The revision whose shape the document has.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// The deployment in the newest revision's words. `target` is used where the revision does not name the
    /// device itself.
    #[must_use]
    pub fn upgrade(self, target: &DeviceTarget) -> Upgraded<ApplicationDeployment> {
        match self {
            Self::Rc3(deployment) => Upgraded::lossless(deployment),
            Self::PreDraft(deployment) => deployment.upgrade(target.clone()),
        }
    }

    /// The deployment as YAML, in its own revision.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        match self {
            Self::Rc3(deployment) => deployment.to_yaml(),
            Self::PreDraft(deployment) => deployment.to_yaml(),
        }
    }
}

fn shape(value: &Value) -> Result<SpecVersion, Fault> {
    if value.pointer("/metadata/annotations/id").is_some() {
        Ok(SpecVersion::PreDraft)
    } else if value.get("id").is_some() {
        Ok(SpecVersion::V1_0_0Rc3)
    } else {
        let message = "expected a deployment, with `id` at the top (1.0.0-rc.3) \
                       or in `metadata.annotations` (pre-draft)";
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
}
