//! The JSON Schemas of every document and revision.
//!
//! They are generated from the types and committed in `schemas/`. The crate compiles each when it is first needed, and
//! looks at the text's own tree with it, so every flaw has its place.

use margo_core::SpecVersion;

use crate::{Clause, DocumentKind};

pub(crate) mod compile;
pub(crate) mod example;
pub(crate) mod look;
pub(crate) mod mend;

/// Where the specification speaks of a place of a kind of document: the page, and the part of it.
///
/// ```
/// use margo_core::SpecVersion;
/// use margo_syntax::pointer;
/// use margo_validate::{DocumentKind, schema};
///
/// let place = pointer!["spec", "parameters", "interval", "targets", 0, "pointer"];
/// let clause = schema::clause(DocumentKind::ApplicationDeployment, SpecVersion::LATEST, &place);
/// assert_eq!(clause.place, "desired-state#target-attributes");
/// ```
#[must_use]
pub fn clause(kind: DocumentKind, revision: SpecVersion, at: &margo_syntax::Pointer) -> Clause {
    use DocumentKind as K;

    let steps: Vec<_> = at.segments().collect();
    let steps: Vec<&str> = steps.iter().map(|step| &**step).collect();
    let place = match (kind, steps.as_slice()) {
        (K::ApplicationDeployment, ["spec", "parameters", _, "targets", ..]) => {
            "desired-state#target-attributes"
        }
        (K::ApplicationDeployment, ["spec", "parameters", ..]) => "desired-state#parameter-attributes",
        (K::ApplicationDeployment, ["spec", "deploymentProfile", "deviceConstraints", ..])
        | (K::ApplicationDescription, ["deploymentProfiles", _, "deviceConstraints", ..]) => {
            "application-description#deviceconstraints"
        }
        (K::ApplicationDeployment, ["spec", "deploymentProfile", "components", ..]) => {
            "desired-state#component-attributes"
        }
        (K::ApplicationDeployment, ["spec", "deploymentProfile", ..]) => {
            "desired-state#deploymentprofile-attributes"
        }
        (K::ApplicationDeployment, _) => "desired-state#applicationdeployment",
        (K::ApplicationDescription, ["metadata", ..]) => "application-description#metadata-attributes",
        (K::ApplicationDescription, ["deploymentProfiles", _, "components", _, "properties", ..]) => {
            "application-description#componentproperties"
        }
        (K::ApplicationDescription, ["configuration", "schema", ..]) => {
            "application-description#schema-attributes"
        }
        (K::ApplicationDescription, _) => "application-description",
        (K::DesiredStateManifest, ["bundle", ..]) | (K::Bundle, _) => "desired-state#bundle",
        (K::DesiredStateManifest, _) => "desired-state#state-manifest",
        (K::DeploymentStatus, ["status" | "components", ..]) => "deployment-status#status-attributes",
        (K::DeploymentStatus, _) => "deployment-status",
        (K::DeviceCapabilities, ["properties", "id"]) => "device-id",
        (K::DeviceCapabilities, _) => "device-capabilities",
    };
    Clause::must(place).of(revision)
}

/// What may stand at a place of a kind of document in a revision, for somebody who does not know what to write there.
/// Items of lists, and names that the author gives, may be any. `None` where there is nothing to show.
///
/// ```
/// use margo_core::SpecVersion;
/// use margo_syntax::pointer;
/// use margo_validate::{DocumentKind, schema};
///
/// let place = pointer!["spec", "deploymentProfile", "components", 3, "properties", "revision"];
/// let example = schema::example(DocumentKind::ApplicationDeployment, SpecVersion::LATEST, &place);
/// assert_eq!(example.unwrap(), "1.0.9");
/// ```
#[must_use]
pub fn example(
    kind: DocumentKind,
    revision: SpecVersion,
    at: &margo_syntax::Pointer,
) -> Option<&'static serde_json::Value> {
    compile::schema(kind, revision)?.example(at)
}

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
