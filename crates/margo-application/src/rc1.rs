//! The application description as 1.0.0-rc.1 writes it: Preview Release 1 of December 2025 (revision B).
//!
//! ```
//! use margo_application::rc1::ApplicationDescription;
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: margo.org/v1-alpha1
//! kind: ApplicationDescription
//! metadata:
//!   id: line-dashboard
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
//!       memory: 512Mi
//!       peripherals: [{ type: display }]
//! ";
//! let old = ApplicationDescription::decode(text.into(), &Limits::default())?.into_value();
//! let upgraded = old.clone().upgrade();
//! assert_eq!(upgraded.losses, []);
//! // What was required of the device is a constraint now (X-D-30).
//! let constraints = upgraded.value.deployment_profiles[0].device_constraints.as_ref().unwrap();
//! assert_eq!(constraints.eligibility_rules.as_ref().unwrap().len(), 1);
//! assert_eq!(ApplicationDescription::try_from(&upgraded.value)?, old);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{ApplicationId, Document, DowngradeError, Extensions, SpecVersion, Upgraded};
use margo_deployment::__private::{Losses, NO_EXTENSIONS, upgrade_components};
use margo_deployment::Component;
pub use margo_deployment::rc1::ProfileType;
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, Tree, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::older::Kind;
pub use crate::required::{
    Architecture, InterfaceType, PeripheralType, RequiredCpu, RequiredInterface, RequiredPeripheral,
    RequiredResources,
};

use crate::description::{check_api_version, read_version_literally};
use crate::older::{self, check_components, downgrade_parameters, keep_root, repeated_ids, unknown_types};
use crate::{Catalog, Configuration, DescriptionProfile, ParameterDefinition, required};

/// What a description of 1.0.0-rc.1 has as `apiVersion`.
pub const API_VERSION: &str = "margo.org/v1-alpha1";

/// An application as its author describes it: `margo.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDescription {
    /// Any text but none; [`API_VERSION`] when written (X-B-19).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// `ApplicationDescription`; `application` is read too (X-B-18).
    pub kind: Kind,
    /// The application, and what a catalog shows of it.
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
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDescription {
    /// A description without parameters.
    #[must_use]
    pub fn new(metadata: Metadata, deployment_profiles: Vec<Profile>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind,
            metadata,
            deployment_profiles,
            parameters: BTreeMap::new(),
            configuration: None,
            extensions: Extensions::new(),
        }
    }

    /// Reads a description as 1.0.0-rc.1 writes it, and as its examples do: the type `helm.v3` (X-B-11), a
    /// `version` that is a number (X-A-22), `datatype` for `dataType` (X-A-24), either kind (X-B-18), amounts
    /// with a blank (X-B-07), `x86_64` (X-B-09), peripherals in any case (X-B-08), the id at the top level
    /// (X-C-03), and environment variables that begin with `ENV.`, which is taken off (X-B-17).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; a profile without components
    /// (X-A-28), a chart without `repository` and `revision`, an archive without `packageLocation`, two
    /// different ids.
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

    /// The same description with `helm.v3` for `helm`: for a peer that follows the pages of Preview Release 1
    /// to the letter (X-B-11).
    #[must_use]
    pub fn in_words_of_the_pages(mut self) -> Self {
        for profile in &mut self.deployment_profiles {
            if profile.profile_type == ProfileType::Helm {
                profile.profile_type = ProfileType::HelmV3;
            }
        }
        self
    }

    /// What 1.0.0-rc.1 does not allow and reading lets pass: types, peripherals, interfaces and architectures it
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
            metadata,
            deployment_profiles,
            parameters,
            configuration,
            extensions,
        } = self;
        let Metadata { id, name, description, version, catalog, extensions: metadata_extensions } = metadata;
        let mut losses = Losses::new();
        if api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "`apiVersion` has one value only");
        }
        let mut upgraded_metadata = crate::Metadata::new(name, version, catalog);
        upgraded_metadata.description = description;
        upgraded_metadata.extensions = metadata_extensions;

        let profiles = deployment_profiles.into_iter().enumerate();
        let profiles = profiles
            .map(|(index, profile)| profile.upgrade(&pointer!["deploymentProfiles", index], &mut losses))
            .collect();
        let mut description = crate::ApplicationDescription::new(id, upgraded_metadata, profiles);
        description.parameters = parameters;
        description.configuration = configuration;
        description.extensions = keep_root(extensions, &mut losses);
        Upgraded::new(description, losses.into_vec())
    }

    /// The same description in the words of 1.0.0-rc.1, with what it has no words for: extensions, and
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
        let crate::Metadata { name, description: about, version, catalog, extensions } =
            &description.metadata;
        let mut metadata = Metadata::new(description.id.clone(), name, version, catalog.clone());
        metadata.description.clone_from(about);
        metadata.extensions = losses.keep(extensions.clone(), &pointer!["metadata"], |name| name != "id");

        let profiles = description.deployment_profiles.iter().enumerate();
        let profiles: Result<_, DowngradeError> = profiles
            .map(|(index, profile)| {
                Profile::downgrade(profile, &pointer!["deploymentProfiles", index], &mut losses)
            })
            .collect();
        let mut downgraded = Self::new(metadata, profiles?);
        downgraded.parameters = downgrade_parameters(&description.parameters, &mut losses);
        downgraded.configuration.clone_from(&description.configuration);
        Ok(Upgraded::new(downgraded, losses.into_vec()))
    }

    pub(crate) fn from_tree(tree: &Tree, mut value: Value) -> Result<Self, Fault> {
        read_version_literally(tree, &mut value);
        let is_moved = settle_id(&mut value)?;
        older::settle_types(&mut value);
        older::profiles(&mut value).for_each(required::settle);
        let mut description: Self = margo_syntax::from_value(value).map_err(|fault| {
            // Told where it stands, not where it was moved to.
            let is_id = is_moved && fault.pointer().as_str() == "/metadata/id";
            if is_id { Fault::new(pointer!["id"], fault.message()) } else { fault }
        })?;
        check_api_version(&description.api_version)?;
        for (index, profile) in description.deployment_profiles.iter().enumerate() {
            let at = pointer!["deploymentProfiles", index];
            check_components(&profile.components, &at)?;
            profile.profile_type.packaging().check(&profile.components, &at)?;
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
        older::lossless(SpecVersion::V1_0_0Rc1, Self::downgrade(description))
    }
}

/// The application, and what a catalog shows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// The application: 1 to 200 lower-case letters, digits and dashes (R-B-045).
    pub id: ApplicationId,
    /// The name to show.
    pub name: String,
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of the application: free text.
    pub version: String,
    /// Who makes it, and where to read about it.
    pub catalog: Catalog,
    /// Fields that 1.0.0-rc.1 does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// An application, its name and version, and who makes it.
    #[must_use]
    pub fn new(
        id: ApplicationId,
        name: impl Into<String>,
        version: impl Into<String>,
        catalog: Catalog,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            description: None,
            version: version.into(),
            catalog,
            extensions: Extensions::new(),
        }
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
    /// Fields that 1.0.0-rc.1 does not know.
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
        let upgraded = match profile_type {
            ProfileType::HelmV3 => {
                losses.add(&at.join("type"), "`helm.v3` is written `helm`");
                margo_deployment::ProfileType::Helm
            }
            _ => margo_deployment::ProfileType::from(profile_type.as_str()),
        };
        if !profile_type.is_known() && upgraded.is_known() {
            losses.add(&at.join("type"), "is not a type of 1.0.0-rc.1, and has a meaning here");
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
            profile_type.packaging().downgrade(components, SpecVersion::V1_0_0Rc1, at, losses)?;
        let mut downgraded = Self::new(profile_type, &profile.id, components);
        downgraded.description.clone_from(&profile.description);
        downgraded.required_resources = profile.device_constraints.as_ref().map(|constraints| {
            RequiredResources::downgrade(constraints, &at.join("deviceConstraints"), losses)
        });
        losses.drain(profile.extensions.clone(), at, NO_EXTENSIONS);
        Ok(downgraded)
    }
}

/// X-C-03: from the place of May 2026 into the metadata. Returns whether it was there.
fn settle_id(value: &mut Value) -> Result<bool, Fault> {
    let Some(id) = value.get("id").cloned() else { return Ok(false) };
    let Some(Value::Object(metadata)) = value.get_mut("metadata") else { return Ok(false) };
    if metadata.get("id").is_some_and(|there| *there != id) {
        return Err(Fault::new(pointer!["id"], "differs from `/metadata/id`"));
    }
    metadata.insert("id".to_owned(), id);
    if let Value::Object(members) = value {
        members.remove("id");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: margo.org/v1-alpha1
kind: ApplicationDescription
metadata:
  id: line-dashboard
  name: Line dashboard
  version: 1.10
  catalog: { organization: [{ name: Acme }] }
deploymentProfiles:
  - type: helm
    id: line-dashboard-helm.v3-a
    description: For a cluster.
    components:
      - { name: chart, properties: { repository: 'oci://r/a', revision: 1.0.1, wait: 'false' } }
    requiredResources: { cpu: { cores: 0.5 }, memory: 1Gi }
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

    /// X-A-22, X-A-24, X-B-11, X-B-16, X-B-17, X-B-18, X-B-19.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let description = read(TEXT).unwrap();
        assert_eq!(description.metadata.version, "1.10");
        assert_eq!(description.parameters["title"].targets[1].pointer, "TITLE");
        assert!(!description.deployment_profiles[0].components[0].properties.waits());
        assert_eq!(description.check(), []);
        for (from, to) in
            [("type: helm\n", "type: helm.v3\n"), ("kind: ApplicationDescription", "kind: application")]
        {
            assert_eq!(read(&TEXT.replace(from, to)).as_ref(), Ok(&description), "{to}");
        }
        let words = description.clone().in_words_of_the_pages().to_yaml().unwrap();
        assert!(words.contains("type: helm.v3\n"));
        assert_eq!(read(&words).as_ref(), Ok(&description));
        assert!(description.to_yaml().unwrap().contains("kind: ApplicationDescription\n"));
        assert_eq!(
            place(&TEXT.replace("kind: ApplicationDescription", "kind: ApplicationSpecification")),
            "/kind"
        );
        assert_eq!(place(&TEXT.replace("margo.org/v1-alpha1", "''")), "/apiVersion");
    }

    /// X-C-03.
    #[test]
    fn the_id_of_may_2026_is_found() {
        let moved =
            TEXT.replace("  id: line-dashboard\n", "").replace("metadata:", "id: line-dashboard\nmetadata:");
        assert_eq!(read(&moved), read(TEXT));
        assert_eq!(place(&moved.replace("id: line-dashboard\nm", "id: Line\nm")), "/id");
        assert_eq!(place(&TEXT.replace("metadata:", "id: other\nmetadata:")), "/id");
    }

    #[test]
    fn a_profile_has_an_id_components_and_packages_of_its_type() {
        assert_eq!(place(&TEXT.replace("    id: line-dashboard-helm.v3-a\n", "")), "/deploymentProfiles/0");
        let properties = "/deploymentProfiles/0/components/0/properties";
        assert_eq!(place(&TEXT.replace("type: helm", "type: compose")), properties);
        let twice = read(&TEXT.replace("helm.v3-a", "compose-a")).unwrap();
        assert_eq!(twice.check()[0].pointer().as_str(), "/deploymentProfiles/1/id");
        let unknown = read(&TEXT.replace("type: helm\n", "type: helmchart\n")).unwrap();
        assert_eq!(unknown.check()[0].pointer().as_str(), "/deploymentProfiles/0/type");
        let empty = TEXT
            .replace("      - { name: stack, properties: { packageLocation: 'https://h/a.tar.gz' } }\n", "");
        let empty = empty.replace("compose-a\n    components:", "compose-a\n    components: []");
        assert_eq!(place(&empty), "/deploymentProfiles/1/components");
    }

    #[test]
    fn everything_goes_up_and_down() {
        let old = read(TEXT).unwrap();
        let upgraded = old.clone().upgrade();
        assert_eq!(upgraded.losses, []);
        assert_eq!(crate::check_description(&upgraded.value), []);
        assert_eq!(ApplicationDescription::try_from(&upgraded.value), Ok(old));
    }

    #[test]
    fn what_has_no_words_is_lost_or_refused() {
        let mut newest = read(TEXT).unwrap().upgrade().value;
        newest.extensions.insert("x-acme-extensions", serde_json::json!({}));
        newest.deployment_profiles[0].extensions.insert("x-acme-extensions", serde_json::json!({}));
        let Upgraded { value, losses, .. } = ApplicationDescription::downgrade(&newest).unwrap();
        assert_eq!(value, read(TEXT).unwrap());
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/x-acme-extensions", "/deploymentProfiles/0/x-acme-extensions"]);
        let error = ApplicationDescription::try_from(&newest).unwrap_err();
        assert_eq!((error.revision, error.pointer.as_str()), (SpecVersion::V1_0_0Rc1, "/x-acme-extensions"));

        newest.deployment_profiles[0].profile_type = margo_deployment::ProfileType::Custom;
        let error = ApplicationDescription::downgrade(&newest).unwrap_err();
        assert_eq!(error.pointer, "/deploymentProfiles/0/type");
        newest.deployment_profiles[0].profile_type = margo_deployment::ProfileType::Compose;
        let error = ApplicationDescription::downgrade(&newest).unwrap_err();
        assert_eq!(error.pointer, "/deploymentProfiles/0/components/0/properties/repository");
    }
}
