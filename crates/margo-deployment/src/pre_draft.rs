//! The deployment as the pre-draft of October 2024 writes it ([spec], revision A).
//!
//! ```
//! use margo_deployment::pre_draft::ApplicationDeployment;
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
//!     type: docker-compose
//!     components:
//!       - name: dashboard
//!         properties: { packageLocation: 'https://example.com/dashboard.tar.gz', wait: 'true' }
//! ";
//! let old = ApplicationDeployment::decode(text.into(), &Limits::default())?.into_value();
//! let upgraded = old.clone().upgrade("plc-7".parse()?);
//! assert_eq!(upgraded.value.id, old.metadata.annotations.id);
//! assert!(upgraded.losses.is_empty());
//! assert_eq!(ApplicationDeployment::try_from(&upgraded.value)?, old);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [spec]: https://github.com/margo/specification/blob/d35067419af831bcd00c69a4d8f0563f522f2daa/system-design/margo-api-reference/workload-api/desired-state-api/desired-state.md

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{
    ApplicationId, DeploymentId, DeviceTarget, Document, DowngradeError, Extensions, SpecVersion, Upgraded,
    string_enum,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::older::{Kind, strip_environment_prefix};

use crate::older::{
    Losses, NO_EXTENSIONS, Packaging, cannot_say, downgrade_parameters, unknown_type, upgrade_components,
};
use crate::{Component, Parameter};

/// What a deployment of the pre-draft has as `apiVersion`.
pub const API_VERSION: &str = "application.margo.org/v1alpha1";

/// One workload, as a Workload Orchestration Software (WOS) wants it to run.
///
/// Which device it is for, it does not say: each device has a repository of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDeployment {
    /// Any text but none; [`API_VERSION`] when written (X-A-02).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `ApplicationDeployment`.
    pub kind: Kind,
    /// What it is called.
    pub metadata: Metadata,
    /// What to install, and with which parameters.
    pub spec: Spec,
    /// Fields the pre-draft does not know.
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

    /// Reads a deployment as the pre-draft writes it, and as its examples do: `wait` as a string (X-A-14), no
    /// `parameters` at all (X-A-29), and environment variables that begin with `ENV.`, which is taken off
    /// (X-A-15).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; no component at all (X-A-28), a
    /// component name used twice, a chart without `repository` and `revision`, an archive without
    /// `packageLocation`.
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

    /// The same deployment in the newest revision's words, for `target`: the device whose repository it is in.
    ///
    /// Lost are another `apiVersion` than [`API_VERSION`], and members that the newest revision forbids, uses
    /// otherwise, or has no object for. A package stays where it is, although the newest revision would not
    /// write an archive at a URL or a chart outside a registry.
    #[must_use]
    pub fn upgrade(self, target: DeviceTarget) -> Upgraded<crate::ApplicationDeployment> {
        let Self { api_version, kind: Kind, metadata, spec, extensions } = self;
        let Metadata { annotations, name, namespace, extensions: metadata_extensions } = metadata;
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
        metadata.extensions = losses.keep(metadata_extensions, &pointer!["metadata"], |name| {
            !matches!(name, "name" | "namespace" | "deviceId" | "labels")
        });

        let at = pointer!["spec", "deploymentProfile"];
        let DeploymentProfile { profile_type, mut components, extensions: profile_extensions } =
            deployment_profile;
        upgrade_components(&mut components, &at, &mut losses);
        let profile_type = match profile_type {
            ProfileType::HelmV3 => crate::ProfileType::Helm,
            ProfileType::DockerCompose => crate::ProfileType::Compose,
            ProfileType::Unrecognized(_) => {
                let upgraded = crate::ProfileType::from(profile_type.as_str());
                if upgraded.is_known() {
                    losses.add(&at.join("type"), "is not a type of the pre-draft, and has a meaning here");
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

    /// The same deployment in the pre-draft's words, with what it has no words for but a device can do without:
    /// labels, device constraints, extensions. The device is named by the repository the result is put into.
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
            let reason = "each deployment is for one device";
            return Err(cannot_say(SpecVersion::PreDraft, &at.join("deviceId"), reason));
        }
        if !metadata.labels.is_empty() {
            losses.add(&at.join("labels"), "there are no labels");
        }
        losses.drain(metadata.extensions.clone(), &at, NO_EXTENSIONS);
        let annotations = Annotations::new(id.clone(), spec.application_id.clone());
        let metadata = Metadata::new(annotations, &metadata.name, &metadata.namespace);

        let profile = DeploymentProfile::downgrade(&spec.deployment_profile, &mut losses)?;
        let at = pointer!["spec"];
        let mut downgraded = Spec::new(profile);
        downgraded.parameters.extend(downgrade_parameters(&spec.parameters, &at, &mut losses));
        losses.drain(spec.extensions.clone(), &at, NO_EXTENSIONS);
        Ok(Upgraded::new(Self::new(metadata, downgraded), losses.into_vec()))
    }

    /// What the pre-draft does not allow and reading lets pass: a type of profile it does not know.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let profile_type = &self.spec.deployment_profile.profile_type;
        unknown_type(profile_type.is_known(), profile_type.as_str()).into_iter().collect()
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, Fault> {
        let mut deployment: Self = margo_syntax::from_value(value)?;
        if deployment.api_version.is_empty() {
            return Err(Fault::new(pointer!["apiVersion"], "expected at least one character"));
        }
        let profile = &deployment.spec.deployment_profile;
        profile
            .profile_type
            .packaging()
            .check_all(&profile.components, &pointer!["spec", "deploymentProfile"])?;
        if deployment.spec.deployment_profile.profile_type == ProfileType::DockerCompose {
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
            Some(loss) => Err(DowngradeError::new(SpecVersion::PreDraft, loss.pointer, loss.reason)),
        }
    }
}

/// What a deployment is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// What the WOS assigned.
    pub annotations: Annotations,
    /// The name of the workload as a Kubernetes object.
    pub name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// Fields the pre-draft does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// Metadata.
    #[must_use]
    pub fn new(annotations: Annotations, name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { annotations, name: name.into(), namespace: namespace.into(), extensions: Extensions::new() }
    }
}

/// What the WOS assigned to a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Annotations {
    /// The deployment: a UUID when written (R-A-029); any text that is safe in a path is read (X-C-16).
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::uuid"))]
    pub id: DeploymentId,
    /// The application this deploys: the description's `metadata.id` (R-A-030).
    pub application_id: ApplicationId,
    /// Fields the pre-draft does not know.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::parameters_may_be_missing))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Spec {
    /// The one profile the WOS chose.
    pub deployment_profile: DeploymentProfile,
    /// The values the user set, by name. Absent means none (X-A-29).
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Fields the pre-draft does not know.
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
    /// What to install, in the order of installation (R-A-036).
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::OlderComponent>", length(min = 1)))]
    pub components: Vec<Component>,
    /// Fields the pre-draft does not know.
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
        let downgraded = match profile_type {
            crate::ProfileType::Helm => ProfileType::HelmV3,
            crate::ProfileType::Compose => ProfileType::DockerCompose,
            crate::ProfileType::Custom => {
                let reason = "profiles are `helm.v3` or `docker-compose`";
                return Err(cannot_say(SpecVersion::PreDraft, &at.join("type"), reason));
            }
            crate::ProfileType::Unrecognized(_) => ProfileType::from(profile_type.as_str()),
        };
        let components = downgraded.packaging().downgrade(components, SpecVersion::PreDraft, &at, losses)?;
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
        HelmV3 = "helm.v3",
        /// Compose archives.
        DockerCompose = "docker-compose",
    }
}

impl ProfileType {
    #[doc(hidden)]
    #[must_use]
    pub fn packaging(&self) -> Packaging {
        match self {
            Self::HelmV3 => Packaging::Charts,
            Self::DockerCompose => Packaging::Archives,
            Self::Unrecognized(_) => Packaging::Either,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{DeviceConstraints, Package, Target};

    fn text(profile: &str, parameters: &str) -> String {
        format!(
            "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata:
  annotations: {{ id: a3e2f5dc-912e-494f-8395-52cf3769bc06, applicationId: pump-monitor }}
  name: pump-monitor
  namespace: plant
spec:
  deploymentProfile: {profile}
{parameters}
"
        )
    }

    const CHART: &str = "{ type: helm.v3, components: [{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.9 } }] }";
    const ARCHIVE: &str = "{ type: docker-compose, components: [{ name: a, properties: { packageLocation: 'https://h/a.tgz' } }] }";

    fn read(text: &str) -> Result<ApplicationDeployment, DecodeError> {
        ApplicationDeployment::parse(text.as_bytes(), &Limits::default())
    }

    fn newest(text: &str) -> crate::ApplicationDeployment {
        let upgraded = read(text).unwrap().upgrade("plc-7".parse().unwrap());
        assert_eq!(upgraded.losses, []);
        upgraded.value
    }

    /// X-A-15: for environment variables, not for charts, and only once.
    #[test]
    fn the_environment_prefix_is_taken_off() {
        let parameters =
            "  parameters: { p: { value: 1, targets: [{ pointer: ENV.ENV.A, components: [a] }] } }";
        let pointer = |profile| {
            read(&text(profile, parameters)).unwrap().spec.parameters["p"].targets[0].pointer.clone()
        };
        assert_eq!(pointer(ARCHIVE), "ENV.A");
        assert_eq!(pointer(CHART), "ENV.ENV.A");
    }

    /// X-A-02, X-A-14, X-A-29, X-A-30.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let parameters = "  parameters: { p: { value: '4', targets: [{ pointer: x, components: [a] }] } }";
        let chart = CHART.replace("1.0.9", "full chart version, wait: 'true'");
        let deployment = read(&text(&chart, parameters).replace("v1alpha1", "v2")).unwrap();
        assert_eq!(deployment.api_version, "application.margo.org/v2");
        assert_eq!(deployment.spec.deployment_profile.components[0].properties.wait, Some(true));
        // Without the description's schema a quoted number stays a string.
        assert_eq!(deployment.spec.parameters["p"].value, json!("4"));
        assert!(deployment.to_yaml().unwrap().contains("wait: true"));
        assert!(read(&text(CHART, "")).unwrap().spec.parameters.is_empty());
        assert!(read(&text(CHART, "").replace("application.margo.org/v1alpha1", "''")).is_err());
    }

    #[test]
    fn a_wrong_kind_or_package_is_refused_at_its_place() {
        let at = |text: &str| read(text).unwrap_err().pointer().to_string();
        assert_eq!(at(&text(CHART, "").replace("kind: ApplicationDeployment", "kind: Deployment")), "/kind");
        let properties = "/spec/deploymentProfile/components/0/properties";
        assert_eq!(at(&text(&CHART.replace("helm.v3", "docker-compose"), "")), properties);
        assert_eq!(at(&text(&ARCHIVE.replace("docker-compose", "helm.v3"), "")), properties);
        assert_eq!(at(&text("{ type: helm.v3, components: [] }", "")), "/spec/deploymentProfile/components");
    }

    #[test]
    fn upgrading_lists_what_has_no_place() {
        let extended = text(CHART, "")
            .replace("name: a,", "name: a, replicas: 2, x-acme-extensions: { a: 1 },")
            .replace("namespace: plant", "namespace: plant\n  deviceId: plc-8\n  owner: line 3")
            .replace("applicationId: pump", "site: north, applicationId: pump")
            .replace("v1alpha1", "v1");
        let Upgraded { value, losses, .. } = read(&extended).unwrap().upgrade("plc-7".parse().unwrap());
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/apiVersion",
                "/metadata/annotations/site",
                "/metadata/deviceId",
                "/spec/deploymentProfile/components/0/replicas",
            ]
        );
        assert_eq!(value.metadata.device_id.as_str(), "plc-7");
        assert_eq!(value.metadata.extensions.get("owner"), Some(&json!("line 3")));
        assert_eq!(value.spec.deployment_profile.components[0].extensions.len(), 1);
        // What comes out is a document of the newest revision.
        let yaml = value.to_yaml().unwrap();
        assert_eq!(crate::ApplicationDeployment::parse(yaml.as_bytes(), &Limits::default()), Ok(value));
    }

    #[test]
    fn downgrading_lists_what_a_device_can_do_without() {
        let mut deployment = newest(&text(CHART, ""));
        deployment.metadata.labels.insert("line".into(), "3".into());
        deployment.spec.extensions.insert("x-acme-extensions", json!({}));
        let profile = &mut deployment.spec.deployment_profile;
        profile.device_constraints = Some(DeviceConstraints::default());
        profile.components[0].extensions.insert("x-acme-extensions", json!({}));
        let target = Target::new("x", ["a".parse().unwrap()]);
        let mut parameter = Parameter::new(1, vec![target]);
        parameter.targets[0].extensions.insert("unit", json!("s"));
        deployment.spec.parameters.insert("a/b".into(), parameter);

        let Upgraded { value, losses, .. } = ApplicationDeployment::downgrade(&deployment).unwrap();
        let mut lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        lost.sort_unstable();
        assert_eq!(
            lost,
            [
                "/metadata/labels",
                "/spec/deploymentProfile/components/0/x-acme-extensions",
                "/spec/deploymentProfile/deviceConstraints",
                "/spec/parameters/a~1b/targets/0/unit",
                "/spec/x-acme-extensions",
            ]
        );
        let yaml = value.to_yaml().unwrap();
        assert!(!yaml.contains("extensions"));
        assert_eq!(read(&yaml).unwrap(), value);
        let error = ApplicationDeployment::try_from(&deployment).unwrap_err();
        assert_eq!(error.pointer, "/metadata/labels");
    }

    #[test]
    fn downgrading_refuses_what_it_cannot_leave_out() {
        let refused = |change: fn(&mut crate::ApplicationDeployment)| {
            let mut deployment = newest(&text(CHART, ""));
            change(&mut deployment);
            ApplicationDeployment::downgrade(&deployment).unwrap_err().pointer
        };
        assert_eq!(
            refused(|d| d.spec.deployment_profile.profile_type = crate::ProfileType::Custom),
            "/spec/deploymentProfile/type"
        );
        assert_eq!(
            refused(|d| d.spec.deployment_profile.profile_type = crate::ProfileType::Compose),
            "/spec/deploymentProfile/components/0/properties/repository"
        );
        assert_eq!(
            refused(|d| {
                d.spec.deployment_profile.components[0].properties.package =
                    Package::archive("https://h/a.tgz");
            }),
            "/spec/deploymentProfile/components/0/properties/packageLocation"
        );
        assert_eq!(refused(|d| d.metadata.device_id = "gateway-1/*".parse().unwrap()), "/metadata/deviceId");
        let error = ApplicationDeployment::downgrade(&{
            let mut deployment = newest(&text(CHART, ""));
            deployment.spec.deployment_profile.profile_type = crate::ProfileType::Custom;
            deployment
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "pre-draft cannot say `/spec/deploymentProfile/type`: profiles are `helm.v3` or `docker-compose`"
        );
    }
}
