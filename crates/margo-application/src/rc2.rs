//! The application description as 1.0.0-rc.2 writes it: the tag of June 2026 (revision C).
//!
//! ```
//! use margo_application::rc2::ApplicationDescription;
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: margo.org/v1-alpha1
//! kind: ApplicationDescription
//! id: line-dashboard
//! metadata:
//!   name: Line dashboard
//!   version: '1.0'
//!   catalog: { organization: [{ name: Acme }] }
//! deploymentProfiles:
//!   - type: compose
//!     id: line-dashboard-compose
//!     components:
//!       - name: dashboard
//!         properties: { packageLocation: 'https://example.com/dashboard.tar.gz' }
//!     requiredResources:
//!       interfaces: [{ type: ethernet }]
//! ";
//! let old = ApplicationDescription::decode(text.into(), &Limits::default())?.into_value();
//! let upgraded = old.clone().upgrade();
//! assert_eq!(upgraded.losses, []);
//! assert_eq!(ApplicationDescription::try_from(&upgraded.value)?, old);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{ApplicationId, Document, DowngradeError, Extensions, SpecVersion, Upgraded};
use margo_deployment::__private::{Losses, NO_EXTENSIONS, Packaging, upgrade_components};
use margo_deployment::Component;
pub use margo_deployment::rc2::ProfileType;
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, Tree, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::description::Metadata;
pub use crate::older::Kind;
pub use crate::required::{
    Architecture, InterfaceType, PeripheralType, RequiredCpu, RequiredInterface, RequiredPeripheral,
    RequiredResources,
};

use crate::description::{check_api_version, read_version_literally};
use crate::older::{self, check_components, downgrade_parameters, repeated_ids, unknown_types};
use crate::{Configuration, DescriptionProfile, ParameterDefinition, required};

/// What a description of 1.0.0-rc.2 has as `apiVersion`.
pub const API_VERSION: &str = "margo.org/v1-alpha1";

/// An application as its author describes it: `margo.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDescription {
    /// Any text but none; [`API_VERSION`] when written (X-C-23).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// `ApplicationDescription`; `application` is read too (X-B-18). May be missing when read.
    #[serde(default)]
    pub kind: Kind,
    /// The application: 1 to 200 lower-case letters, digits and dashes (R-C-013).
    pub id: ApplicationId,
    /// What a catalog shows: the same as in the newest revision.
    pub metadata: Metadata,
    /// The ways to install it; one is chosen for a device.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub deployment_profiles: Vec<Profile>,
    /// What can be configured, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterDefinition>,
    /// How a user is asked for the parameters, and what is a valid answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// Fields that 1.0.0-rc.2 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDescription {
    /// A description without parameters.
    #[must_use]
    pub fn new(id: ApplicationId, metadata: Metadata, deployment_profiles: Vec<Profile>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind,
            id,
            metadata,
            deployment_profiles,
            parameters: BTreeMap::new(),
            configuration: None,
            extensions: Extensions::new(),
        }
    }

    /// Reads a description as 1.0.0-rc.2 writes it, and as its examples do: the type `helm.v3` (X-C-15), a
    /// `version` that is a number (X-A-22), `datatype` for `dataType` (X-A-24), either kind (X-B-18), amounts
    /// with a blank (X-B-07), `x86_64` (X-C-05), peripherals in any case (X-B-08), environment variables that
    /// begin with `ENV.`, which is taken off (X-C-04), and Compose components in registries, as files of July
    /// 2026 with the same label have them.
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; a profile without components
    /// (X-A-28), a chart without `repository` and `revision`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with_tree(bytes, Format::Yaml, limits, Self::from_tree)
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// The description as YAML.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        margo_syntax::to_yaml(self)
    }

    /// What 1.0.0-rc.2 does not allow and reading lets pass: types, peripherals, interfaces and architectures it
    /// does not name, amounts that are none, ids of profiles used twice (X-B-39).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let profiles = &self.deployment_profiles;
        let mut faults =
            unknown_types(profiles.iter().map(|p| (p.profile_type.is_known(), p.profile_type.as_str())));
        faults.extend(repeated_ids(profiles.iter().map(|profile| profile.id.as_str())));
        for (index, profile) in profiles.iter().enumerate() {
            if let Some(required) = &profile.required_resources {
                faults.extend(required.check(&pointer!["deploymentProfiles", index, "requiredResources"]));
            }
        }
        faults
    }

    /// The same description in the newest revision's words.
    ///
    /// What is required of a device becomes its constraints: one `ContainsAll` expression for each peripheral and
    /// interface (X-D-30). Lost are another `apiVersion` than [`API_VERSION`], and members that the newest
    /// revision forbids or uses otherwise.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<crate::ApplicationDescription> {
        let Self {
            api_version,
            kind: Kind,
            id,
            metadata,
            deployment_profiles,
            parameters,
            configuration,
            extensions,
        } = self;
        let mut losses = Losses::new();
        if api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "`apiVersion` has one value only");
        }
        let profiles = deployment_profiles.into_iter().enumerate();
        let profiles = profiles
            .map(|(index, profile)| profile.upgrade(&pointer!["deploymentProfiles", index], &mut losses))
            .collect();
        let mut description = crate::ApplicationDescription::new(id, metadata, profiles);
        description.parameters = parameters;
        description.configuration = configuration;
        description.extensions = extensions;
        Upgraded::new(description, losses.into_vec())
    }

    /// The same description in the words of 1.0.0-rc.2, with what it has no words for: extensions, and
    /// constraints that ask for anything else than a capacity, peripherals and interfaces.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// The place that cannot be said and cannot be left out: a `custom` profile, a Compose component in a
    /// registry, a chart that is an archive.
    pub fn downgrade(description: &crate::ApplicationDescription) -> Result<Upgraded<Self>, DowngradeError> {
        let mut losses = Losses::new();
        if description.api_version != crate::API_VERSION {
            losses.add(&pointer!["apiVersion"], "`apiVersion` has one value only");
        }
        losses.drain(description.extensions.clone(), &Pointer::root(), NO_EXTENSIONS);
        let profiles = description.deployment_profiles.iter().enumerate();
        let profiles: Result<_, DowngradeError> = profiles
            .map(|(index, profile)| {
                Profile::downgrade(profile, &pointer!["deploymentProfiles", index], &mut losses)
            })
            .collect();
        let (id, metadata) = (description.id.clone(), description.metadata.clone());
        let mut downgraded = Self::new(id, metadata, profiles?);
        downgraded.parameters = downgrade_parameters(&description.parameters, &mut losses);
        downgraded.configuration.clone_from(&description.configuration);
        Ok(Upgraded::new(downgraded, losses.into_vec()))
    }

    pub(crate) fn from_tree(tree: &Tree, mut value: Value) -> Result<Self, Fault> {
        read_version_literally(tree, &mut value);
        older::settle_types(&mut value);
        older::profiles(&mut value).for_each(required::settle);
        let mut description: Self = margo_syntax::from_value(value)?;
        check_api_version(&description.api_version)?;
        for (index, profile) in description.deployment_profiles.iter().enumerate() {
            let at = pointer!["deploymentProfiles", index];
            check_components(&profile.components, &at)?;
            let packaging = match profile.profile_type {
                ProfileType::Compose => Packaging::Either,
                _ => profile.profile_type.packaging(),
            };
            packaging.check(&profile.components, &at)?;
        }
        let Self { deployment_profiles, parameters, .. } = &mut description;
        let profiles = deployment_profiles
            .iter()
            .map(|profile| (profile.profile_type == ProfileType::Compose, profile.components.as_slice()));
        older::strip_environment_prefixes(profiles, parameters);
        Ok(description)
    }
}

impl TryFrom<&crate::ApplicationDescription> for ApplicationDescription {
    type Error = DowngradeError;

    /// As [`downgrade`](ApplicationDescription::downgrade), and what would be lost is an error too.
    fn try_from(description: &crate::ApplicationDescription) -> Result<Self, DowngradeError> {
        older::lossless(SpecVersion::V1_0_0Rc2, Self::downgrade(description))
    }
}

/// One way to install an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Profile {
    /// How the components are packaged.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// Tells the profiles of a description apart: free text (X-B-39).
    pub id: String,
    /// For whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What to install, in the order of installation (R-B-045): at least one (X-A-28).
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Vec<margo_deployment::__private::OlderComponent>", length(min = 1))
    )]
    pub components: Vec<Component>,
    /// What a device must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_resources: Option<RequiredResources>,
    /// Fields that 1.0.0-rc.2 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Profile {
    /// A profile that any device can host.
    #[must_use]
    pub fn new(profile_type: ProfileType, id: impl Into<String>, components: Vec<Component>) -> Self {
        Self {
            profile_type,
            id: id.into(),
            description: None,
            components,
            required_resources: None,
            extensions: Extensions::new(),
        }
    }

    fn upgrade(self, at: &Pointer, losses: &mut Losses) -> DescriptionProfile {
        let Self { profile_type, id, description, mut components, required_resources, extensions } = self;
        upgrade_components(&mut components, at, losses);
        let upgraded = margo_deployment::ProfileType::from(profile_type.as_str());
        if !profile_type.is_known() && upgraded.is_known() {
            losses.add(&at.join("type"), "is not a type of 1.0.0-rc.2, and has a meaning here");
        }
        let mut profile = DescriptionProfile::new(upgraded, id, components);
        profile.description = description;
        profile.device_constraints =
            required_resources.map(|required| required.upgrade(&at.join("requiredResources"), losses));
        profile.extensions = losses.keep(extensions, at, Extensions::is_extension_name);
        profile
    }

    fn downgrade(
        profile: &DescriptionProfile,
        at: &Pointer,
        losses: &mut Losses,
    ) -> Result<Self, DowngradeError> {
        let profile_type = ProfileType::downgrade(&profile.profile_type, at)?;
        let components = &profile.components;
        let components =
            profile_type.packaging().downgrade(components, SpecVersion::V1_0_0Rc2, at, losses)?;
        let mut downgraded = Self::new(profile_type, &profile.id, components);
        downgraded.description.clone_from(&profile.description);
        downgraded.required_resources = profile.device_constraints.as_ref().map(|constraints| {
            RequiredResources::downgrade(constraints, &at.join("deviceConstraints"), losses)
        });
        losses.drain(profile.extensions.clone(), at, NO_EXTENSIONS);
        Ok(downgraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: margo.org/v1-alpha1
kind: ApplicationDescription
id: line-dashboard
metadata:
  name: Line dashboard
  version: 1.10
  catalog: { organization: [{ name: Acme }] }
deploymentProfiles:
  - type: helm
    id: line-dashboard-helm-a
    components:
      - { name: chart, properties: { repository: 'oci://r/a', revision: 1.0.1, wait: 'false' } }
    requiredResources: { cpu: { cores: 0.5, architectures: [x86_64] }, memory: 1 Gi }
  - type: compose
    id: line-dashboard-compose-a
    components:
      - { name: stack, properties: { packageLocation: 'https://h/a.tar.gz' } }
parameters:
  title: { targets: [{ pointer: title, components: [chart] }, { pointer: ENV.TITLE, components: [stack] }] }
";

    fn read(text: &str) -> Result<ApplicationDescription, DecodeError> {
        ApplicationDescription::parse(text.as_bytes(), &Limits::default())
    }

    fn place(text: &str) -> String {
        read(text).unwrap_err().pointer().to_string()
    }

    /// X-A-22, X-B-07, X-B-16, X-B-18, X-C-04, X-C-05, X-C-15, X-C-23.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let description = read(TEXT).unwrap();
        assert_eq!(description.metadata.version, "1.10");
        assert_eq!(description.parameters["title"].targets[1].pointer, "TITLE");
        let yaml = description.to_yaml().unwrap();
        assert!(
            yaml.contains("- amd64\n") && yaml.contains("memory: 1Gi\n") && yaml.contains("wait: false\n")
        );
        assert_eq!(read(&TEXT.replace("type: helm\n", "type: helm.v3\n")).as_ref(), Ok(&description));
        assert_eq!(read(&TEXT.replace("kind: ApplicationDescription\n", "")).as_ref(), Ok(&description));
        assert_eq!(place(&TEXT.replace("kind: ApplicationDescription", "kind: SomethingErroneous")), "/kind");
        let other = read(&TEXT.replace("margo.org/v1-alpha1", "v1")).unwrap();
        assert_eq!(other.upgrade().losses[0].pointer, "/apiVersion");
    }

    #[test]
    fn the_id_is_at_the_top() {
        assert_eq!(place(&TEXT.replace("\nid: line-dashboard\n", "\nid: Line\n")), "/id");
        assert_eq!(place(&TEXT.replace("\nid: line-dashboard\n", "\n")), "");
    }

    /// Files of July 2026 carry the label of the tag, and Compose components from registries.
    #[test]
    fn a_compose_component_in_a_registry_is_read_and_never_written() {
        let text =
            TEXT.replace("packageLocation: 'https://h/a.tar.gz'", "repository: 'oci://r/b', revision: 1.0.0");
        let newest = read(&text).unwrap().upgrade();
        assert_eq!(newest.losses, []);
        let error = ApplicationDescription::downgrade(&newest.value).unwrap_err();
        assert_eq!(error.pointer, "/deploymentProfiles/1/components/0/properties/repository");
    }

    #[test]
    fn everything_goes_up_and_down() {
        let old = read(TEXT).unwrap();
        assert_eq!(old.check(), []);
        let upgraded = old.clone().upgrade();
        assert_eq!(upgraded.losses, []);
        assert_eq!(crate::check_description(&upgraded.value), []);
        assert_eq!(ApplicationDescription::try_from(&upgraded.value), Ok(old.clone()));

        let mut newest = upgraded.value;
        newest.api_version = "v2".to_owned();
        let error = ApplicationDescription::try_from(&newest).unwrap_err();
        assert_eq!(error.to_string(), "1.0.0-rc.2 cannot say `/apiVersion`: `apiVersion` has one value only");
        let Upgraded { value, losses, .. } = ApplicationDescription::downgrade(&newest).unwrap();
        assert_eq!((value, losses.len()), (old, 1));
        newest.deployment_profiles[1].profile_type = margo_deployment::ProfileType::Custom;
        assert_eq!(
            ApplicationDescription::downgrade(&newest).unwrap_err().pointer,
            "/deploymentProfiles/1/type"
        );
    }
}
