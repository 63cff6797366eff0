//! The JSON Schemas of every document and revision.
//!
//! They are generated from the types and committed in `schemas/`. The crate compiles each when it is first needed, and
//! looks at the text's own tree with it, so every flaw has its place.

use margo_core::SpecVersion;

use crate::DocumentKind;

pub(crate) mod compile;
pub(crate) mod look;

/// The text of the JSON Schema of a kind of document in a revision, as it is committed in `schemas/`. `None` if the
/// revision has no such document.
#[must_use]
pub fn text(kind: DocumentKind, revision: SpecVersion) -> Option<&'static str> {
    use DocumentKind as K;
    use SpecVersion as V;

    macro_rules! schema {
        ($path:literal) => {
            Some(include_str!(concat!("../../../schemas/", $path, ".schema.json")))
        };
    }
    match (kind, revision) {
        (K::ApplicationDeployment, V::PreDraft) => schema!("pre-draft/ApplicationDeployment"),
        (K::ApplicationDeployment, V::V1_0_0Rc1) => schema!("1.0.0-rc.1/ApplicationDeployment"),
        (K::ApplicationDeployment, V::V1_0_0Rc2) => schema!("1.0.0-rc.2/ApplicationDeployment"),
        (K::ApplicationDeployment, V::V1_0_0Rc3) => schema!("1.0.0-rc.3/ApplicationDeployment"),
        (K::ApplicationDescription, V::PreDraft) => schema!("pre-draft/ApplicationDescription"),
        (K::ApplicationDescription, V::V1_0_0Rc1) => schema!("1.0.0-rc.1/ApplicationDescription"),
        (K::ApplicationDescription, V::V1_0_0Rc2) => schema!("1.0.0-rc.2/ApplicationDescription"),
        (K::ApplicationDescription, V::V1_0_0Rc3) => schema!("1.0.0-rc.3/ApplicationDescription"),
        (K::DesiredStateManifest, V::V1_0_0Rc1) => schema!("1.0.0-rc.1/DesiredStateManifest"),
        (K::DesiredStateManifest, V::V1_0_0Rc2) => schema!("1.0.0-rc.2/DesiredStateManifest"),
        (K::DesiredStateManifest, V::V1_0_0Rc3) => schema!("1.0.0-rc.3/DesiredStateManifest"),
        (K::DeploymentStatus, V::PreDraft) => schema!("pre-draft/DeploymentStatus"),
        (K::DeploymentStatus, V::V1_0_0Rc1) => schema!("1.0.0-rc.1/DeploymentStatusManifest"),
        (K::DeploymentStatus, V::V1_0_0Rc2) => schema!("1.0.0-rc.2/DeploymentStatusManifest"),
        (K::DeploymentStatus, V::V1_0_0Rc3) => schema!("1.0.0-rc.3/DeploymentStatusManifest"),
        (K::DeviceCapabilities, V::PreDraft) => schema!("pre-draft/DeviceCapabilities"),
        (K::DeviceCapabilities, V::V1_0_0Rc1) => schema!("1.0.0-rc.1/DeviceCapabilitiesManifest"),
        (K::DeviceCapabilities, V::V1_0_0Rc2) => schema!("1.0.0-rc.2/DeviceCapabilitiesManifest"),
        (K::DeviceCapabilities, V::V1_0_0Rc3) => schema!("1.0.0-rc.3/DeviceCapabilitiesManifest"),
        _ => None,
    }
}
