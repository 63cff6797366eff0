//! The deployment as 1.0.0-rc.2 writes it: the tag of June 2026 (revision C), with gateways.
//!
//! Two later states carry the same label. What they write is read here as far as the shape allows: no
//! `apiVersion` and no `kind`, and Compose components in a registry.
//!
//! ```
//! use margo_deployment::rc2::ApplicationDeployment;
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: application.margo.org/v1alpha1
//! kind: ApplicationDeployment
//! id: ad9b614e-8912-45f4-a523-372358765def
//! metadata: { name: line-dashboard, namespace: plant, deviceId: gateway-1/* }
//! spec:
//!   applicationId: line-dashboard
//!   deploymentProfile:
//!     type: compose
//!     components:
//!       - name: dashboard
//!         properties: { packageLocation: 'https://example.com/dashboard.tar.gz' }
//! ";
//! let old = ApplicationDeployment::decode(text.into(), &Limits::default())?.into_value();
//! let upgraded = old.clone().upgrade();
//! assert!(upgraded.value.metadata.device_id.is_any_behind());
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
use serde_json::Value;

pub use crate::older::Kind;

use crate::older::{
    Losses, NO_EXTENSIONS, Packaging, cannot_say, downgrade_parameters, strip_environment_prefix,
    unknown_type, upgrade_components,
};
use crate::{Component, Parameter};

/// What a deployment of 1.0.0-rc.2 has as `apiVersion`.
pub const API_VERSION: &str = "application.margo.org/v1alpha1";

/// One workload, as a Workload Fleet Manager wants it to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDeployment {
    /// Any text but none; [`API_VERSION`] when written (X-C-23), and where it is missing.
    #[serde(default = "api_version")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `ApplicationDeployment`. May be missing when read.
    #[serde(default)]
    pub kind: Kind,
    /// Assigned by the manager: a UUID when written; any text that is safe in a path is read (X-C-16).
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::uuid"))]
    pub id: DeploymentId,
    /// What it is called, and where it is to run.
    pub metadata: Metadata,
    /// What to install, and with which parameters.
    pub spec: Spec,
    /// Fields that 1.0.0-rc.2 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDeployment {
    /// A deployment.
    #[must_use]
    pub fn new(id: DeploymentId, metadata: Metadata, spec: Spec) -> Self {
        Self { api_version: api_version(), kind: Kind, id, metadata, spec, extensions: Extensions::new() }
    }

    /// Reads a deployment as 1.0.0-rc.2 writes it, and as its examples do: `wait` as a string (X-B-16), no
    /// `parameters` (X-B-14), the type `helm.v3` (X-C-15), environment variables that begin with `ENV.`, which
    /// is taken off (X-C-04), and what the two later states of that name write.
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; no component at all (X-A-28), a
    /// component name used twice, a chart without `repository` and `revision`.
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

    /// What 1.0.0-rc.2 does not allow and reading lets pass: a type of profile it does not know.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let profile_type = &self.spec.deployment_profile.profile_type;
        unknown_type(profile_type.is_known(), profile_type.as_str()).into_iter().collect()
    }

    /// The same deployment in the newest revision's words.
    ///
    /// Lost are another `apiVersion` than [`API_VERSION`], and members that the newest revision forbids or uses
    /// otherwise. A package stays where it is, although the newest revision would not write an archive at a URL
    /// or a chart outside a registry.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<crate::ApplicationDeployment> {
        let Self { api_version, kind: Kind, id, metadata, spec, extensions } = self;
        let Metadata { name, namespace, device_id, labels, extensions: metadata_extensions } = metadata;
        let Spec { application_id, deployment_profile, parameters, extensions: spec_extensions } = spec;
        let mut losses = Losses::new();
        if api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "there is no `apiVersion`");
        }

        let mut metadata = crate::Metadata::new(name, namespace, device_id);
        metadata.labels = labels;
        metadata.extensions = metadata_extensions;

        let at = pointer!["spec", "deploymentProfile"];
        let DeploymentProfile { profile_type, mut components, extensions: profile_extensions } =
            deployment_profile;
        upgrade_components(&mut components, &at, &mut losses);
        let upgraded = crate::ProfileType::from(profile_type.as_str());
        if !profile_type.is_known() && upgraded.is_known() {
            losses.add(&at.join("type"), "is not a type of 1.0.0-rc.2, and has a meaning here");
        }
        let mut profile = crate::DeploymentProfile::new(upgraded, components);
        profile.extensions = losses.keep(profile_extensions, &at, Extensions::is_extension_name);

        let mut spec = crate::Spec::new(application_id, profile);
        spec.parameters = parameters;
        spec.extensions = losses.keep(spec_extensions, &pointer!["spec"], Extensions::is_extension_name);

        let mut deployment = crate::ApplicationDeployment::new(id, metadata, spec);
        deployment.extensions = extensions;
        Upgraded::new(deployment, losses.into_vec())
    }

    /// The same deployment in the words of 1.0.0-rc.2, with what it has no words for but a device can do
    /// without: device constraints, extensions.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// The place that cannot be said and cannot be left out: a `custom` profile, a Compose component in a
    /// registry, a chart that is an archive.
    pub fn downgrade(deployment: &crate::ApplicationDeployment) -> Result<Upgraded<Self>, DowngradeError> {
        let crate::ApplicationDeployment { id, metadata, spec, extensions } = deployment;
        let mut losses = Losses::new();
        losses.drain(extensions.clone(), &Pointer::root(), NO_EXTENSIONS);
        losses.drain(metadata.extensions.clone(), &pointer!["metadata"], NO_EXTENSIONS);
        let mut downgraded_metadata =
            Metadata::new(&metadata.name, &metadata.namespace, metadata.device_id.clone());
        downgraded_metadata.labels.clone_from(&metadata.labels);

        let profile = DeploymentProfile::downgrade(&spec.deployment_profile, &mut losses)?;
        let at = pointer!["spec"];
        let mut downgraded = Spec::new(spec.application_id.clone(), profile);
        downgraded.parameters.extend(downgrade_parameters(&spec.parameters, &at, &mut losses));
        losses.drain(spec.extensions.clone(), &at, NO_EXTENSIONS);
        Ok(Upgraded::new(Self::new(id.clone(), downgraded_metadata, downgraded), losses.into_vec()))
    }

    pub(crate) fn from_value(mut value: Value) -> Result<Self, Fault> {
        // X-C-15: the word is gone, and examples of the time have it still.
        if let Some(profile_type) = value.pointer_mut("/spec/deploymentProfile/type")
            && *profile_type == "helm.v3"
        {
            *profile_type = "helm".into();
        }
        let mut deployment: Self = margo_syntax::from_value(value)?;
        if deployment.api_version.is_empty() {
            return Err(Fault::new(pointer!["apiVersion"], "expected at least one character"));
        }
        let profile = &deployment.spec.deployment_profile;
        let packaging = match profile.profile_type {
            // The last state of that name has Compose components in registries.
            ProfileType::Compose => Packaging::Either,
            _ => profile.profile_type.packaging(),
        };
        packaging.check_all(&profile.components, &pointer!["spec", "deploymentProfile"])?;
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
            Some(loss) => Err(DowngradeError::new(SpecVersion::V1_0_0Rc2, loss.pointer, loss.reason)),
        }
    }
}

/// What a deployment is called, and where it is to run.
///
/// The member `annotations`, which the OpenAPI file requires and nobody defines, is kept where it is read
/// (X-C-01).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// The name of the workload as a Kubernetes object.
    pub name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The device, or the gateway that picks one (R-C-008).
    pub device_id: DeviceTarget,
    /// Labels a manager attached; the OpenAPI file alone has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fields that 1.0.0-rc.2 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// Metadata without labels.
    #[must_use]
    pub fn new(name: impl Into<String>, namespace: impl Into<String>, device_id: DeviceTarget) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            device_id,
            labels: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }
}

/// What to install, and with which parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::parameters_may_be_missing))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Spec {
    /// The application this deploys: the description's `id` (R-C-013).
    pub application_id: ApplicationId,
    /// The one profile the manager chose.
    pub deployment_profile: DeploymentProfile,
    /// The values the user set, by name. Absent means none (X-B-14).
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Fields that 1.0.0-rc.2 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Spec {
    /// A profile of an application, without parameters.
    #[must_use]
    pub fn new(application_id: ApplicationId, deployment_profile: DeploymentProfile) -> Self {
        Self {
            application_id,
            deployment_profile,
            parameters: BTreeMap::new(),
            extensions: Extensions::new(),
        }
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
    /// Fields that 1.0.0-rc.2 does not know.
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
        let components = downgraded.packaging().downgrade(components, SpecVersion::V1_0_0Rc2, &at, losses)?;
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
    }
}

impl ProfileType {
    #[doc(hidden)]
    #[must_use]
    pub fn packaging(&self) -> Packaging {
        match self {
            Self::Helm => Packaging::Charts,
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
                Err(cannot_say(SpecVersion::V1_0_0Rc2, &at.join("type"), reason))
            }
            other => Ok(Self::from(other.as_str())),
        }
    }
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceConstraints, Package};

    const TEXT: &str = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: gateway-1/plc-7, labels: { line: '3' } }
spec:
  applicationId: pump-monitor
  deploymentProfile: { type: helm, components: [{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.9 } }] }
";

    fn read(text: &str) -> Result<ApplicationDeployment, DecodeError> {
        ApplicationDeployment::parse(text.as_bytes(), &Limits::default())
    }

    fn place(text: &str) -> String {
        read(text).unwrap_err().pointer().to_string()
    }

    /// R-C-008: a target, and one that leaves the choice to the gateway.
    #[test]
    fn a_target_is_named() {
        assert_eq!(read(TEXT).unwrap().metadata.device_id.as_str(), "gateway-1/plc-7");
        assert!(
            read(&TEXT.replace("gateway-1/plc-7", "gateway-1/*")).unwrap().metadata.device_id.is_any_behind()
        );
        assert_eq!(place(&TEXT.replace("gateway-1/plc-7", "'*'")), "/metadata/deviceId");
        assert_eq!(place(&TEXT.replace(", deviceId: gateway-1/plc-7", "")), "/metadata");
    }

    /// X-C-23, and the state after the tag, which has neither member.
    #[test]
    fn the_label_may_be_missing_and_is_written() {
        let bare =
            TEXT.replace("apiVersion: application.margo.org/v1alpha1\nkind: ApplicationDeployment\n", "");
        assert_eq!(read(&bare), read(TEXT));
        assert!(read(&bare).unwrap().to_yaml().unwrap().contains("kind: ApplicationDeployment\n"));
        assert_eq!(place(&TEXT.replace("kind: ApplicationDeployment", "kind: Deployment")), "/kind");
        assert_eq!(place(&TEXT.replace("application.margo.org/v1alpha1", "''")), "/apiVersion");
    }

    /// X-B-16, X-C-02, X-C-04, X-C-15.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let nameless = TEXT.replace("id: a3e2f5dc-912e-494f-8395-52cf3769bc06\n", "");
        assert!(read(&nameless).unwrap_err().message().contains("`id`"));
        assert_eq!(read(&TEXT.replace("type: helm,", "type: helm.v3,")), read(TEXT));
        let waiting = read(&TEXT.replace("1.0.9", "1.0.9, wait: 'true'")).unwrap();
        assert_eq!(waiting.spec.deployment_profile.components[0].properties.wait, Some(true));
        let compose = TEXT
            .replace("helm", "compose")
            .replace("repository: 'oci://r/a', revision: 1.0.9", "packageLocation: 'https://h/a.tgz'")
            + "  parameters: { p: { value: 1, targets: [{ pointer: ENV.A, components: [a] }] } }";
        assert_eq!(read(&compose).unwrap().spec.parameters["p"].targets[0].pointer, "A");
    }

    /// Files of July 2026 carry the label of the tag, and Compose components from registries.
    #[test]
    fn a_compose_component_in_a_registry_is_read_and_never_written() {
        let registry = read(&TEXT.replace("type: helm", "type: compose")).unwrap();
        let newest = registry.upgrade();
        assert_eq!(newest.losses, []);
        let error = ApplicationDeployment::downgrade(&newest.value).unwrap_err();
        assert_eq!(error.pointer, "/spec/deploymentProfile/components/0/properties/repository");
        assert_eq!(error.revision, SpecVersion::V1_0_0Rc2);
    }

    #[test]
    fn everything_but_constraints_and_extensions_goes_up_and_down() {
        let mut newest = read(TEXT).unwrap().upgrade().value;
        assert_eq!(ApplicationDeployment::try_from(&newest), Ok(read(TEXT).unwrap()));
        newest.spec.deployment_profile.device_constraints = Some(DeviceConstraints::default());
        newest.spec.extensions.insert("x-acme-extensions", serde_json::json!({}));
        let Upgraded { value, losses, .. } = ApplicationDeployment::downgrade(&newest).unwrap();
        assert_eq!(value, read(TEXT).unwrap());
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/spec/deploymentProfile/deviceConstraints", "/spec/x-acme-extensions"]);

        newest.spec.deployment_profile.profile_type = crate::ProfileType::Custom;
        let error = ApplicationDeployment::downgrade(&newest).unwrap_err();
        assert_eq!(error.pointer, "/spec/deploymentProfile/type");
        newest.spec.deployment_profile.profile_type = crate::ProfileType::Helm;
        newest.spec.deployment_profile.components[0].properties.package = Package::archive("https://h/a.tgz");
        assert!(ApplicationDeployment::downgrade(&newest).is_err());
    }

    #[test]
    fn upgrading_lists_what_has_no_place() {
        let extended = TEXT
            .replace("v1alpha1", "v2")
            .replace("{ type: helm,", "{ type: custom, deviceConstraints: {}, x-acme-extensions: {},");
        let Upgraded { value, losses, .. } = read(&extended).unwrap().upgrade();
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            ["/apiVersion", "/spec/deploymentProfile/type", "/spec/deploymentProfile/deviceConstraints"]
        );
        assert_eq!(value.check(), []);
        assert_eq!(read(&extended).unwrap().check().len(), 1);
    }
}
