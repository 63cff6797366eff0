use bytes::Bytes;
use margo_core::{ApplicationId, Document, SpecVersion, Upgraded};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer};
use serde_json::Value;

use crate::{ApplicationDescription, pre_draft};

/// An application description of whichever revision.
///
/// The revision is told by the shape of the document, never by a label: the pre-draft has `metadata.id`,
/// 1.0.0-rc.3 has `id` at the top.
///
/// ```
/// use margo_application::AnyApplicationDescription;
/// use margo_core::SpecVersion;
/// use margo_syntax::Limits;
///
/// let text = "
/// apiVersion: margo.org/v1-alpha1
/// kind: application
/// metadata: { id: hello, name: Hello, version: 1.0, catalog: { organization: [{ name: Acme }] } }
/// deploymentProfiles:
///   - type: helm.v3
///     components:
///       - name: hello
///         properties: { repository: 'oci://registry.example/hello', revision: 1.0.1 }
/// ";
/// let description = AnyApplicationDescription::decode(text.into(), &Limits::default())?;
/// assert_eq!(description.revision(), SpecVersion::PreDraft);
/// assert_eq!((description.id().as_str(), description.version()), ("hello", "1.0"));
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyApplicationDescription {
    /// 1.0.0-rc.3.
    Rc3(ApplicationDescription),
    /// The pre-draft.
    PreDraft(pre_draft::ApplicationDescription),
}

impl AnyApplicationDescription {
    /// Reads a description of whichever revision.
    ///
    /// # Errors
    ///
    /// A document of no known shape, or what the revision's own reading finds:
    /// [`ApplicationDescription::parse`], [`pre_draft::ApplicationDescription::parse`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with_tree(bytes, Format::Yaml, limits, |tree, value| match shape(&value)? {
            SpecVersion::PreDraft => {
                pre_draft::ApplicationDescription::from_tree(tree, value).map(Self::PreDraft)
            }
            _ => ApplicationDescription::from_tree(tree, value).map(Self::Rc3),
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

    /// The application, wherever the revision puts its id.
    #[must_use]
    pub fn id(&self) -> &ApplicationId {
        match self {
            Self::Rc3(description) => &description.id,
            Self::PreDraft(description) => &description.metadata.id,
        }
    }

    /// The version of the application.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Rc3(description) => &description.metadata.version,
            Self::PreDraft(description) => &description.metadata.version,
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

    /// The description in the newest revision's words.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<ApplicationDescription> {
        match self {
            Self::Rc3(description) => Upgraded::lossless(description),
            Self::PreDraft(description) => description.upgrade(),
        }
    }
}

fn shape(value: &Value) -> Result<SpecVersion, Fault> {
    if value.get("id").is_some() {
        Ok(SpecVersion::V1_0_0Rc3)
    } else if value.pointer("/metadata/id").is_some() {
        Ok(SpecVersion::PreDraft)
    } else {
        let message =
            "expected a description, with `id` at the top (1.0.0-rc.3) or in `metadata` (pre-draft)";
        Err(Fault::new(Pointer::root(), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let error = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()).unwrap_err();
        (error.pointer().to_string(), error.message().to_owned())
    }

    const REST: &str = "name: A, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }";

    /// X-D-20: lenient about `apiVersion` and `kind` beside a top-level `id`, strict about the id itself.
    #[test]
    fn a_shape_decides_and_no_label_does() {
        let component = "{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.0 } }";
        let labelled = format!(
            "{{ apiVersion: margo.org/v1-alpha1, kind: ApplicationDescription, id: a, metadata: {{ {REST}, \
             deploymentProfiles: [{{ type: helm, id: h, components: [{component}] }}] }}"
        );
        let description = AnyApplicationDescription::parse(labelled.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(description.revision(), SpecVersion::V1_0_0Rc3);

        let dotted =
            format!("{{ apiVersion: v1, kind: ApplicationDescription, metadata: {{ id: com.acme, {REST} }}");
        assert_eq!(refused(&dotted).0, "/metadata/id");
        assert!(refused("{ apiVersion: v1 }").1.starts_with("expected a description"));
        assert!(refused("[]").1.starts_with("expected a description"));
    }

    /// X-D-38: profiles are closed; X-A-27: and a list.
    #[test]
    fn profiles_are_a_closed_list() {
        let profile = |profile: &str| {
            format!("{{ apiVersion: v1, id: a, metadata: {{ {REST}, deploymentProfiles: {profile} }}")
        };
        assert_eq!(refused(&profile("{ type: helm }")).0, "/deploymentProfiles");
        let component = "{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.0 } }";
        let old = format!("[{{ type: helm, id: h, requiredResources: {{}}, components: [{component}] }}]");
        assert_eq!(refused(&profile(&old)).0, "/deploymentProfiles/0/requiredResources");
        let tagged = old.replace("requiredResources: {},", "").replace("1.0.0", "v1.0.0");
        assert_eq!(refused(&profile(&tagged)).0, "/deploymentProfiles/0/components/0/properties/revision");
    }
}
