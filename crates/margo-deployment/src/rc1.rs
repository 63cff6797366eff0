//! The deployment as 1.0.0-rc.1 writes it: Preview Release 1 of December 2025 (revision B).
//!
//! The revision moved while it lived. Written is what its pages and its corrected OpenAPI file say together;
//! read are the stages before and after as well:
//!
//! - the pages' type `helm.v3`, which means `helm` (X-B-11);
//! - ids at the top level, as of May 2026 (X-C-03).
//!
//! ```
//! use margo_deployment::rc1::ApplicationDeployment;
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: application.margo.org/v1alpha1
//! kind: ApplicationDeployment
//! metadata:
//!   annotations: { id: ad9b614e-8912-45f4-a523-372358765def, applicationId: line-dashboard }
//!   name: line-dashboard
//!   namespace: plant
//! spec:
//!   deploymentProfile:
//!     type: compose
//!     components:
//!       - name: dashboard
//!         properties: { packageLocation: 'https://example.com/dashboard.tar.gz' }
//! ";
//! let old = ApplicationDeployment::decode(text.into(), &Limits::default())?.into_value();
//! let upgraded = old.clone().upgrade("plc-7".parse()?);
//! assert_eq!(upgraded.value.id, old.metadata.annotations.id);
//! assert!(upgraded.losses.is_empty());
//! assert_eq!(ApplicationDeployment::try_from(&upgraded.value)?, old);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{
    ApplicationId, DeploymentId, DeviceTarget, Document, DowngradeError, Extensions, SpecVersion, Upgraded,
    string_enum,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::older::Kind;

use crate::older::{
    Losses, NO_EXTENSIONS, Packaging, cannot_say, downgrade_parameters, relocate, strip_environment_prefix,
    unknown_type, upgrade_components,
};
use crate::{Component, Parameter};

/// What a deployment of 1.0.0-rc.1 has as `apiVersion`.
pub const API_VERSION: &str = "application.margo.org/v1alpha1";

/// One workload, as a Workload Fleet Manager wants it to run.
///
/// Which device it is for, it does not say: each client is one device (X-B-40).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDeployment {
    /// Any text but none; [`API_VERSION`] when written (X-B-19).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `ApplicationDeployment`.
    pub kind: Kind,
    /// What it is called.
    pub metadata: Metadata,
    /// What to install, and with which parameters.
    pub spec: Spec,
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDeployment {
    /// A deployment.
    #[must_use]
    pub fn new(metadata: Metadata, spec: Spec) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind,
            metadata,
            spec,
            extensions: Extensions::new(),
        }
    }

    /// Reads a deployment as 1.0.0-rc.1 writes it, and as its examples do: `wait` as a string (X-B-16), no
    /// `namespace` or `parameters` (X-B-14), the type `helm.v3` (X-B-11), ids at the top level (X-C-03), and
    /// environment variables that begin with `ENV.`, which is taken off (X-B-17).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; no component at all (X-A-28), a
    /// component name used twice, a chart without `repository` and `revision`, an archive without
    /// `packageLocation`, two different ids.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with(bytes, Format::Yaml, limits, Self::from_value)
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// The deployment as YAML.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        margo_syntax::to_yaml(self)
    }

    /// The same deployment with `helm.v3` for `helm`: for a peer that follows the pages of Preview Release 1 to
    /// the letter (X-B-11).
    #[must_use]
    pub fn in_words_of_the_pages(mut self) -> Self {
        let profile_type = &mut self.spec.deployment_profile.profile_type;
        if *profile_type == ProfileType::Helm {
            *profile_type = ProfileType::HelmV3;
        }
        self
    }

    /// What 1.0.0-rc.1 does not allow and reading lets pass: a type of profile it does not know.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let profile_type = &self.spec.deployment_profile.profile_type;
        unknown_type(profile_type.is_known(), profile_type.as_str()).into_iter().collect()
    }

    /// The same deployment in the newest revision's words, for `target`: the device that the client is.
    ///
    /// Lost are another `apiVersion` than [`API_VERSION`], and members that the newest revision forbids, uses
    /// otherwise, or has no object for. A package stays where it is, although the newest revision would not
    /// write an archive at a URL or a chart outside a registry.
    #[must_use]
    pub fn upgrade(self, target: DeviceTarget) -> Upgraded<crate::ApplicationDeployment> {
        let Self { api_version, kind: Kind, metadata, spec, extensions } = self;
        let Metadata { annotations, name, namespace, labels, extensions: metadata_extensions } = metadata;
        let Spec { deployment_profile, parameters, extensions: spec_extensions } = spec;
        let mut losses = Losses::new();

        if api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "there is no `apiVersion`");
        }
        losses.drain(
            annotations.extensions,
            &pointer!["metadata", "annotations"],
            "there are no annotations",
        );

        let mut metadata = crate::Metadata::new(name, namespace, target);
        metadata.labels = labels;
        metadata.extensions = losses.keep(metadata_extensions, &pointer!["metadata"], |name| {
            !matches!(name, "name" | "namespace" | "deviceId" | "labels")
        });

        let at = pointer!["spec", "deploymentProfile"];
        let DeploymentProfile { profile_type, mut components, extensions: profile_extensions } =
            deployment_profile;
        upgrade_components(&mut components, &at, &mut losses);
        let profile_type = match profile_type {
            ProfileType::Helm => crate::ProfileType::Helm,
            ProfileType::HelmV3 => {
                losses.add(&at.join("type"), "`helm.v3` is written `helm`");
                crate::ProfileType::Helm
            }
            ProfileType::Compose => crate::ProfileType::Compose,
            ProfileType::Unrecognized(_) => {
                let upgraded = crate::ProfileType::from(profile_type.as_str());
                if upgraded.is_known() {
                    losses.add(&at.join("type"), "is not a type of 1.0.0-rc.1, and has a meaning here");
                }
                upgraded
            }
        };
        let mut profile = crate::DeploymentProfile::new(profile_type, components);
        profile.extensions = losses.keep(profile_extensions, &at, Extensions::is_extension_name);

        let mut spec = crate::Spec::new(annotations.application_id, profile);
        spec.parameters = parameters;
        spec.extensions = losses.keep(spec_extensions, &pointer!["spec"], Extensions::is_extension_name);

        let mut deployment = crate::ApplicationDeployment::new(annotations.id, metadata, spec);
        deployment.extensions =
            losses.keep(extensions, &Pointer::root(), |name| !matches!(name, "id" | "metadata" | "spec"));
        Upgraded::new(deployment, losses.into_vec())
    }

    /// The same deployment in the words of 1.0.0-rc.1, with what it has no words for but a device can do
    /// without: device constraints, extensions. The device is the client whose manifest lists the result.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// The place that cannot be said and cannot be left out: a `custom` profile, a Compose component in a
    /// registry, a chart that is an archive, a target that leaves the choice to a gateway.
    pub fn downgrade(deployment: &crate::ApplicationDeployment) -> Result<Upgraded<Self>, DowngradeError> {
        let crate::ApplicationDeployment { id, metadata, spec, extensions } = deployment;
        let mut losses = Losses::new();
        losses.drain(extensions.clone(), &Pointer::root(), NO_EXTENSIONS);

        let at = pointer!["metadata"];
        if metadata.device_id.is_any_behind() {
            let reason = "each client is one device";
            return Err(cannot_say(SpecVersion::V1_0_0Rc1, &at.join("deviceId"), reason));
        }
        losses.drain(metadata.extensions.clone(), &at, NO_EXTENSIONS);
        let annotations = Annotations::new(id.clone(), spec.application_id.clone());
        let mut downgraded_metadata = Metadata::new(annotations, &metadata.name, &metadata.namespace);
        downgraded_metadata.labels.clone_from(&metadata.labels);

        let profile = DeploymentProfile::downgrade(&spec.deployment_profile, &mut losses)?;
        let at = pointer!["spec"];
        let mut downgraded = Spec::new(profile);
        downgraded.parameters.extend(downgrade_parameters(&spec.parameters, &at, &mut losses));
        losses.drain(spec.extensions.clone(), &at, NO_EXTENSIONS);
        Ok(Upgraded::new(Self::new(downgraded_metadata, downgraded), losses.into_vec()))
    }

    pub(crate) fn from_value(mut value: Value) -> Result<Self, Fault> {
        let moved = settle_ids(&mut value)?;
        settle_type(&mut value);
        let mut deployment: Self = margo_syntax::from_value(value).map_err(|fault| {
            // Told where it stands, not where it was moved to.
            let written = moved.iter().find(|(_, now)| fault.pointer() == now);
            written.map_or(fault.clone(), |(written, _)| Fault::new(written.clone(), fault.message()))
        })?;
        if deployment.api_version.is_empty() {
            return Err(Fault::new(pointer!["apiVersion"], "expected at least one character"));
        }
        let profile = &deployment.spec.deployment_profile;
        profile
            .profile_type
            .packaging()
            .check_all(&profile.components, &pointer!["spec", "deploymentProfile"])?;
        if profile.profile_type == ProfileType::Compose {
            let targets =
                deployment.spec.parameters.values_mut().flat_map(|parameter| &mut parameter.targets);
            for target in targets {
                strip_environment_prefix(&mut target.pointer);
            }
        }
        Ok(deployment)
    }
}

impl TryFrom<&crate::ApplicationDeployment> for ApplicationDeployment {
    type Error = DowngradeError;

    /// As [`downgrade`](ApplicationDeployment::downgrade), and what would be lost is an error too.
    fn try_from(deployment: &crate::ApplicationDeployment) -> Result<Self, DowngradeError> {
        let Upgraded { value, losses, .. } = Self::downgrade(deployment)?;
        match losses.into_iter().next() {
            None => Ok(value),
            Some(loss) => Err(DowngradeError::new(SpecVersion::V1_0_0Rc1, loss.pointer, loss.reason)),
        }
    }
}

/// What a deployment is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::namespace_may_be_missing))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// What the manager assigned.
    pub annotations: Annotations,
    /// The name of the workload as a Kubernetes object.
    pub name: String,
    /// The Kubernetes namespace. Always written; `default` where it is missing, as in Kubernetes (X-B-14).
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Labels a manager attached; the OpenAPI file alone has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// Metadata without labels.
    #[must_use]
    pub fn new(annotations: Annotations, name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            annotations,
            name: name.into(),
            namespace: namespace.into(),
            labels: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }
}

/// What the manager assigned to a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Annotations {
    /// The deployment: a UUID when written (R-B-042); any text that is safe in a path is read (X-C-16).
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::uuid"))]
    pub id: DeploymentId,
    /// The application this deploys: the description's `metadata.id` (R-B-042).
    pub application_id: ApplicationId,
    /// Other annotations.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Annotations {
    /// The deployment `id` of an application.
    #[must_use]
    pub fn new(id: DeploymentId, application_id: ApplicationId) -> Self {
        Self { id, application_id, extensions: Extensions::new() }
    }
}

/// What to install, and with which parameters.
///
/// The member `appPackageRef`, which the OpenAPI file requires and nobody defines, is kept where it is read
/// (X-B-12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::parameters_may_be_missing))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Spec {
    /// The one profile the manager chose.
    pub deployment_profile: DeploymentProfile,
    /// The values the user set, by name. Absent means none (X-B-14).
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Spec {
    /// A profile, without parameters.
    #[must_use]
    pub fn new(deployment_profile: DeploymentProfile) -> Self {
        Self { deployment_profile, parameters: BTreeMap::new(), extensions: Extensions::new() }
    }
}

/// What to install: the components of one packaging of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentProfile {
    /// How the components are packaged.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// What to install, in the order of installation (R-B-045).
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::OlderComponent>", length(min = 1)))]
    pub components: Vec<Component>,
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentProfile {
    /// A profile.
    #[must_use]
    pub fn new(profile_type: ProfileType, components: Vec<Component>) -> Self {
        Self { profile_type, components, extensions: Extensions::new() }
    }

    fn downgrade(profile: &crate::DeploymentProfile, losses: &mut Losses) -> Result<Self, DowngradeError> {
        let crate::DeploymentProfile { profile_type, components, device_constraints, extensions } = profile;
        let at = pointer!["spec", "deploymentProfile"];
        let downgraded = ProfileType::downgrade(profile_type, &at)?;
        let components = downgraded.packaging().downgrade(components, SpecVersion::V1_0_0Rc1, &at, losses)?;
        if device_constraints.is_some() {
            losses.add(&at.join("deviceConstraints"), "there are no device constraints");
        }
        losses.drain(extensions.clone(), &at, NO_EXTENSIONS);
        Ok(Self::new(downgraded, components))
    }
}

string_enum! {
    /// How the components of a profile are packaged.
    pub enum ProfileType {
        /// Helm charts, on Kubernetes.
        Helm = "helm",
        /// Compose archives.
        Compose = "compose",
        /// Helm charts, as the pages write it. Read as [`Helm`](Self::Helm) (X-B-11); written only by
        /// [`ApplicationDeployment::in_words_of_the_pages`].
        HelmV3 = "helm.v3",
    }
}

impl ProfileType {
    #[doc(hidden)]
    #[must_use]
    pub fn packaging(&self) -> Packaging {
        match self {
            Self::Helm | Self::HelmV3 => Packaging::Charts,
            Self::Compose => Packaging::Archives,
            Self::Unrecognized(_) => Packaging::Either,
        }
    }

    /// The type of a profile of the newest revision that stands at `at`.
    #[doc(hidden)]
    pub fn downgrade(profile_type: &crate::ProfileType, at: &Pointer) -> Result<Self, DowngradeError> {
        match profile_type {
            crate::ProfileType::Custom => {
                let reason = "profiles are `helm` or `compose`";
                Err(cannot_say(SpecVersion::V1_0_0Rc1, &at.join("type"), reason))
            }
            other => Ok(Self::from(other.as_str())),
        }
    }
}

/// X-B-14: what Kubernetes does where no namespace is told.
fn default_namespace() -> String {
    "default".to_owned()
}

/// X-C-03: from the places of May 2026 into the annotations. Returns where something stood, and now does.
fn settle_ids(value: &mut Value) -> Result<Vec<(Pointer, Pointer)>, Fault> {
    const ANNOTATIONS: &str = "/metadata/annotations";
    if value.get("id").is_some()
        && let Some(Value::Object(metadata)) = value.get_mut("metadata")
    {
        metadata.entry("annotations").or_insert_with(|| json!({}));
    }
    let mut moved = Vec::new();
    for (from, member) in [("", "id"), ("/spec", "applicationId")] {
        if relocate(value, (from, member), (ANNOTATIONS, member))? {
            let written = if from.is_empty() { pointer![member] } else { pointer!["spec", member] };
            moved.push((written, pointer!["metadata", "annotations", member]));
        }
    }
    Ok(moved)
}

/// X-B-11: the pages and the OpenAPI file mean the same.
fn settle_type(value: &mut Value) {
    if let Some(profile_type) = value.pointer_mut("/spec/deploymentProfile/type")
        && *profile_type == "helm.v3"
    {
        *profile_type = "helm".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceConstraints, Package};

    const TEXT: &str = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata:
  annotations: { id: a3e2f5dc-912e-494f-8395-52cf3769bc06, applicationId: pump-monitor }
  name: pump-monitor
  namespace: plant
  labels: { line: '3' }
spec:
  deploymentProfile: { type: helm, components: [{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.9 } }] }
";

    fn read(text: &str) -> Result<ApplicationDeployment, DecodeError> {
        ApplicationDeployment::parse(text.as_bytes(), &Limits::default())
    }

    fn place(text: &str) -> String {
        read(text).unwrap_err().pointer().to_string()
    }

    fn newest() -> crate::ApplicationDeployment {
        read(TEXT).unwrap().upgrade("plc-7".parse().unwrap()).value
    }

    /// X-B-11: one meaning, written in the words of the OpenAPI file unless asked for otherwise.
    #[test]
    fn helm_v3_is_helm() {
        let pages = read(&TEXT.replace("type: helm,", "type: helm.v3,")).unwrap();
        assert_eq!(pages, read(TEXT).unwrap());
        assert!(pages.to_yaml().unwrap().contains("type: helm\n"));
        let words = pages.clone().in_words_of_the_pages();
        assert!(words.to_yaml().unwrap().contains("type: helm.v3\n"));
        assert_eq!(read(&words.to_yaml().unwrap()).unwrap(), pages);
    }

    /// X-C-03: ids at the top level, with and without annotations.
    #[test]
    fn ids_of_may_2026_are_found() {
        let annotations =
            "  annotations: { id: a3e2f5dc-912e-494f-8395-52cf3769bc06, applicationId: pump-monitor }\n";
        let at_the_top = "id: a3e2f5dc-912e-494f-8395-52cf3769bc06\nmetadata:";
        let half =
            TEXT.replace("id: a3e2f5dc-912e-494f-8395-52cf3769bc06, ", "").replace("metadata:", at_the_top);
        assert_eq!(read(&half), read(TEXT));
        let whole = TEXT
            .replace(annotations, "")
            .replace("metadata:", at_the_top)
            .replace("spec:\n", "spec:\n  applicationId: pump-monitor\n");
        assert_eq!(read(&whole), read(TEXT));

        // Faults are told where the text has them.
        assert_eq!(place(&whole.replace("pump-monitor\n  deploy", "Pump\n  deploy")), "/spec/applicationId");
        assert_eq!(place(&half.replace("id: a3e2f5dc-912e", "id: a/b")), "/id");
        let twice = TEXT.replace("metadata:", "id: other\nmetadata:");
        assert_eq!(place(&twice), "/id");
        assert!(read(&twice).unwrap_err().message().contains("/metadata/annotations/id"));
    }

    /// X-B-14, X-B-15, X-B-16, X-B-17, X-B-19.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let bare = read(&TEXT.replace("  namespace: plant\n", "")).unwrap();
        assert_eq!(bare.metadata.namespace, "default");
        assert!(bare.spec.parameters.is_empty());
        assert!(bare.to_yaml().unwrap().contains("namespace: default"));
        let waiting = read(&TEXT.replace("1.0.9", "1.0.9, wait: 'false'")).unwrap();
        assert_eq!(waiting.spec.deployment_profile.components[0].properties.wait, Some(false));
        let compose = TEXT
            .replace("helm", "compose")
            .replace("repository: 'oci://r/a', revision: 1.0.9", "packageLocation: 'https://h/a.tgz'")
            + "  parameters: { p: { value: 1, targets: [{ pointer: ENV.A, components: [a] }] } }";
        assert_eq!(read(&compose).unwrap().spec.parameters["p"].targets[0].pointer, "A");
        for value in ["text", "true", "[1, b]", "{ a: null }"] {
            let other = compose.replace("value: 1", &format!("value: {value}"));
            assert!(read(&other).unwrap().to_yaml().is_ok(), "{value}");
        }
        assert_eq!(
            read(&TEXT.replace("application.margo.org/v1alpha1", "margo.org")).unwrap().api_version,
            "margo.org"
        );
        assert_eq!(place(&TEXT.replace("application.margo.org/v1alpha1", "''")), "/apiVersion");
    }

    #[test]
    fn a_package_has_the_form_of_its_type() {
        let properties = "/spec/deploymentProfile/components/0/properties";
        assert_eq!(place(&TEXT.replace("type: helm", "type: compose")), properties);
        assert_eq!(place(&TEXT.replace("kind: ApplicationDeployment", "kind: Deployment")), "/kind");
        let unknown = read(&TEXT.replace("type: helm", "type: helmchart")).unwrap();
        assert_eq!(unknown.check()[0].pointer().as_str(), "/spec/deploymentProfile/type");
        assert_eq!(read(TEXT).unwrap().check(), []);
    }

    #[test]
    fn labels_go_up_and_down_and_constraints_do_not() {
        let mut deployment = newest();
        assert_eq!(deployment.metadata.labels["line"], "3");
        assert_eq!(ApplicationDeployment::try_from(&deployment), Ok(read(TEXT).unwrap()));
        deployment.spec.deployment_profile.device_constraints = Some(DeviceConstraints::default());
        let Upgraded { value, losses, .. } = ApplicationDeployment::downgrade(&deployment).unwrap();
        assert_eq!(value, read(TEXT).unwrap());
        assert_eq!(losses[0].pointer, "/spec/deploymentProfile/deviceConstraints");
        assert!(ApplicationDeployment::try_from(&deployment).is_err());
    }

    #[test]
    fn downgrading_refuses_what_it_cannot_leave_out() {
        let refused = |change: fn(&mut crate::ApplicationDeployment)| {
            let mut deployment = newest();
            change(&mut deployment);
            ApplicationDeployment::downgrade(&deployment).unwrap_err().to_string()
        };
        assert_eq!(
            refused(|d| d.spec.deployment_profile.profile_type = crate::ProfileType::Custom),
            "1.0.0-rc.1 cannot say `/spec/deploymentProfile/type`: profiles are `helm` or `compose`"
        );
        assert!(
            refused(|d| d.metadata.device_id = "gateway-1/*".parse().unwrap())
                .contains("`/metadata/deviceId`")
        );
        assert!(
            refused(|d| {
                d.spec.deployment_profile.components[0].properties.package =
                    Package::archive("https://h/a.tgz");
            })
            .contains("`/spec/deploymentProfile/components/0/properties/packageLocation`")
        );
    }

    #[test]
    fn upgrading_lists_what_has_no_place() {
        let extended = TEXT
            .replace("v1alpha1", "v2")
            .replace("applicationId: pump", "site: north, applicationId: pump")
            .replace("spec:\n", "spec:\n  appPackageRef: { name: pump }\n")
            .replace("{ type: helm,", "{ type: custom, x-acme-extensions: {},");
        let Upgraded { value, losses, .. } = read(&extended).unwrap().upgrade("plc-7".parse().unwrap());
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/apiVersion",
                "/metadata/annotations/site",
                "/spec/deploymentProfile/type",
                "/spec/appPackageRef"
            ]
        );
        assert_eq!(value.check(), []);
    }
}
