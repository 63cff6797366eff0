//! The application description as the pre-draft of October 2024 writes it ([spec], revision A).
//!
//! ```
//! use margo_application::pre_draft::ApplicationDescription;
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: margo.org/v1-alpha1
//! kind: application
//! metadata:
//!   id: line-dashboard
//!   name: Line dashboard
//!   version: 1.0
//!   catalog: { organization: [{ name: Acme }] }
//! deploymentProfiles:
//!   - type: docker-compose
//!     components:
//!       - name: dashboard
//!         properties: { packageLocation: 'https://example.com/dashboard.tar.gz' }
//! ";
//! let old = ApplicationDescription::decode(text.into(), &Limits::default())?.into_value();
//! let newest = old.upgrade().value;
//! assert_eq!(newest.id.as_str(), "line-dashboard");
//! assert_eq!(newest.metadata.version, "1.0");
//! assert_eq!(newest.deployment_profiles[0].id, "line-dashboard-compose-0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [spec]: https://github.com/margo/specification/blob/d35067419af831bcd00c69a4d8f0563f522f2daa/system-design/app-interoperability/application-package-definition.md

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{ApplicationId, Document, DowngradeError, Extensions, SpecVersion, Upgraded};
use margo_deployment::__private::{Losses, NO_EXTENSIONS, cannot_say, upgrade_components};
use margo_deployment::Component;
pub use margo_deployment::pre_draft::ProfileType;
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, Tree, WriteError, pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::description::{check_api_version, read_version_literally};
use crate::older::{self, check_components, downgrade_parameters, keep_root, unknown_types};
use crate::{Catalog, Configuration, DescriptionProfile, ParameterDefinition};

/// What a description of the pre-draft has as `apiVersion`.
pub const API_VERSION: &str = "margo.org/v1-alpha1";

/// An application as its author describes it: `margo.yaml` in the root of a package (R-A-033).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDescription {
    /// Any text but none; [`API_VERSION`] when written (X-A-02).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// `application`; `ApplicationDescription` is read too (X-A-32).
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
    /// Fields the pre-draft does not know.
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

    /// Reads a description as the pre-draft writes it, and as its examples do: a `version` that is a number
    /// (X-A-22), `datatype` for `dataType` (X-A-24), either kind (X-A-32), and environment variables that begin
    /// with `ENV.`, which is taken off (X-A-15).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML or does not have the form of the page; a profile without components
    /// (X-A-28), a chart without `repository` and `revision`, an archive without `packageLocation`.
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

    /// The same description in the newest revision's words.
    ///
    /// The pre-draft's profiles have no ids: they become `<application>-<type>-<index>`, with the newest
    /// revision's type and the place in the list from 0, so `line-dashboard-compose-0`. Lost are another
    /// `apiVersion` than [`API_VERSION`], and members that the newest revision forbids or uses otherwise.
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

        let profiles = deployment_profiles.into_iter().enumerate().map(|(index, profile)| {
            let at = pointer!["deploymentProfiles", index];
            let Profile { profile_type, mut components, extensions } = profile;
            upgrade_components(&mut components, &at, &mut losses);
            let profile_type = match profile_type {
                ProfileType::HelmV3 => margo_deployment::ProfileType::Helm,
                ProfileType::DockerCompose => margo_deployment::ProfileType::Compose,
                ProfileType::Unrecognized(_) => {
                    let upgraded = margo_deployment::ProfileType::from(profile_type.as_str());
                    if upgraded.is_known() {
                        let reason = "is not a type of the pre-draft, and has a meaning here";
                        losses.add(&at.join("type"), reason);
                    }
                    upgraded
                }
                _ => margo_deployment::ProfileType::from(profile_type.as_str()),
            };
            let profile_id = profile_id(&id, &profile_type, index);
            let mut profile = DescriptionProfile::new(profile_type, profile_id, components);
            profile.extensions = losses.keep(extensions, &at, Extensions::is_extension_name);
            profile
        });
        let profiles = profiles.collect();

        let mut description = crate::ApplicationDescription::new(id, upgraded_metadata, profiles);
        description.parameters = parameters;
        description.configuration = configuration;
        description.extensions = keep_root(extensions, &mut losses);
        Upgraded::new(description, losses.into_vec())
    }

    /// The same description in the pre-draft's words, with what it has no words for: what profiles are called and
    /// ask of a device, and extensions. An id that [`upgrade`](Self::upgrade) would give a profile is not lost.
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

        let mut profiles = Vec::new();
        for (index, profile) in description.deployment_profiles.iter().enumerate() {
            let at = pointer!["deploymentProfiles", index];
            if profile.id != profile_id(&description.id, &profile.profile_type, index) {
                losses.add(&at.join("id"), "profiles have no ids");
            }
            profiles.push(Profile::downgrade(profile, &at, &mut losses)?);
        }
        let mut downgraded = Self::new(metadata, profiles);
        downgraded.parameters = downgrade_parameters(&description.parameters, &mut losses);
        downgraded.configuration.clone_from(&description.configuration);
        Ok(Upgraded::new(downgraded, losses.into_vec()))
    }

    /// What the pre-draft does not allow and reading lets pass: types of profiles it does not know.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let types = self.deployment_profiles.iter().map(|profile| &profile.profile_type);
        unknown_types(types.map(|profile_type| (profile_type.is_known(), profile_type.as_str())))
    }

    pub(crate) fn from_tree(tree: &Tree, mut value: Value) -> Result<Self, Fault> {
        read_version_literally(tree, &mut value);
        let mut description: Self = margo_syntax::from_value(value)?;
        check_api_version(&description.api_version)?;
        for (index, profile) in description.deployment_profiles.iter().enumerate() {
            let at = pointer!["deploymentProfiles", index];
            check_components(&profile.components, &at)?;
            profile.profile_type.packaging().check(&profile.components, &at)?;
        }
        let Self { deployment_profiles, parameters, .. } = &mut description;
        let profiles = deployment_profiles.iter().map(|profile| {
            (profile.profile_type == ProfileType::DockerCompose, profile.components.as_slice())
        });
        older::strip_environment_prefixes(profiles, parameters);
        Ok(description)
    }
}

impl TryFrom<&crate::ApplicationDescription> for ApplicationDescription {
    type Error = DowngradeError;

    /// As [`downgrade`](ApplicationDescription::downgrade), and what would be lost is an error too.
    fn try_from(description: &crate::ApplicationDescription) -> Result<Self, DowngradeError> {
        older::lossless(SpecVersion::PreDraft, Self::downgrade(description))
    }
}

/// The word `application`, checked when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is one word and will stay one")]
pub struct Kind;

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("application")
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "application" | "ApplicationDescription" => Ok(Self),
            other => {
                let found = serde::de::Unexpected::Str(other);
                Err(serde::de::Error::invalid_value(found, &"`application` or `ApplicationDescription`"))
            }
        }
    }
}

/// The application, and what a catalog shows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// The application: 1 to 200 lower-case letters, digits and dashes (R-A-034).
    pub id: ApplicationId,
    /// The name to show.
    pub name: String,
    /// What it is good for (X-A-23).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of the application: free text.
    pub version: String,
    /// Who makes it, and where to read about it.
    pub catalog: Catalog,
    /// Fields the pre-draft does not know.
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
    /// What to install, in the order of installation (R-A-036): at least one (X-A-28).
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Vec<margo_deployment::__private::OlderComponent>", length(min = 1))
    )]
    pub components: Vec<Component>,
    /// Fields the pre-draft does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Profile {
    /// A profile.
    #[must_use]
    pub fn new(profile_type: ProfileType, components: Vec<Component>) -> Self {
        Self { profile_type, components, extensions: Extensions::new() }
    }

    fn downgrade(
        profile: &DescriptionProfile,
        at: &Pointer,
        losses: &mut Losses,
    ) -> Result<Self, DowngradeError> {
        use margo_deployment::ProfileType as Newest;
        let profile_type = match &profile.profile_type {
            Newest::Helm => ProfileType::HelmV3,
            Newest::Compose => ProfileType::DockerCompose,
            Newest::Custom => {
                let reason = "profiles are `helm.v3` or `docker-compose`";
                return Err(cannot_say(SpecVersion::PreDraft, &at.join("type"), reason));
            }
            other => ProfileType::from(other.as_str()),
        };
        let components = &profile.components;
        let components = profile_type.packaging().downgrade(components, SpecVersion::PreDraft, at, losses)?;
        if profile.description.is_some() {
            losses.add(&at.join("description"), "profiles have no descriptions");
        }
        if profile.device_constraints.is_some() {
            losses.add(&at.join("deviceConstraints"), "profiles ask nothing of a device");
        }
        losses.drain(profile.extensions.clone(), at, NO_EXTENSIONS);
        Ok(Self::new(profile_type, components))
    }
}

/// The id a profile is given when it goes up.
fn profile_id(
    application: &ApplicationId,
    profile_type: &margo_deployment::ProfileType,
    index: usize,
) -> String {
    format!("{application}-{profile_type}-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "
apiVersion: margo.org/v1-alpha1
kind: application
metadata:
  id: line-dashboard
  name: Line dashboard
  version: 1.10
  catalog: { organization: [{ name: Acme }] }
deploymentProfiles:
  - type: helm.v3
    components:
      - { name: chart, properties: { repository: 'oci://r/a', revision: 1.0.1, wait: 'false' } }
  - type: docker-compose
    components:
      - { name: stack, properties: { packageLocation: 'https://h/a.tar.gz' } }
";

    fn read(text: &str) -> Result<ApplicationDescription, DecodeError> {
        ApplicationDescription::parse(text.as_bytes(), &Limits::default())
    }

    fn place(text: &str) -> String {
        read(text).unwrap_err().pointer().to_string()
    }

    /// X-A-22: the text of a number, not its value.
    #[test]
    fn a_version_is_its_own_text() {
        assert_eq!(read(HEAD).unwrap().metadata.version, "1.10");
        assert_eq!(read(&HEAD.replace("1.10", "1.0")).unwrap().metadata.version, "1.0");
        assert_eq!(place(&HEAD.replace("1.10", "true")), "/metadata/version");
    }

    /// X-A-23.
    #[test]
    fn an_application_may_be_described() {
        assert_eq!(read(HEAD).unwrap().metadata.description, None);
        let described = HEAD.replace("  version: 1.10\n", "  version: 1.10\n  description: Shows a line\n");
        let described = read(&described).unwrap();
        assert_eq!(described.metadata.description.as_deref(), Some("Shows a line"));
        assert!(described.to_yaml().unwrap().contains("description: Shows a line\n"));
    }

    /// X-A-32, X-B-18.
    #[test]
    fn two_kinds_are_read_and_one_is_written() {
        let other = read(&HEAD.replace("kind: application", "kind: ApplicationDescription")).unwrap();
        assert_eq!(other, read(HEAD).unwrap());
        assert!(other.to_yaml().unwrap().contains("kind: application\n"));
        assert_eq!(place(&HEAD.replace("kind: application", "kind: ApplicationSpecification")), "/kind");
    }

    /// X-A-28: at least one component.
    #[test]
    fn a_profile_has_components() {
        let none = HEAD
            .replace("      - { name: stack, properties: { packageLocation: 'https://h/a.tar.gz' } }\n", "");
        assert_eq!(
            place(&none.replace("docker-compose\n    components:\n", "docker-compose\n")),
            "/deploymentProfiles/1"
        );
        let empty = none.replace("docker-compose\n    components:\n", "docker-compose\n    components: []\n");
        assert_eq!(place(&empty), "/deploymentProfiles/1/components");
        let swapped = HEAD.replace("helm.v3", "docker-compose");
        assert_eq!(place(&swapped), "/deploymentProfiles/0/components/0/properties");
    }

    /// X-A-15: only for environment variables.
    #[test]
    fn the_environment_prefix_is_taken_off() {
        let parameters = "
parameters:
  a: { targets: [{ pointer: ENV.A, components: [stack] }, { pointer: ENV.B, components: [chart] }] }
  b: { targets: [{ pointer: ENV.C, components: [chart, stack] }] }
";
        let description = read(&format!("{HEAD}{parameters}")).unwrap();
        let pointers = |name: &str| {
            let targets = &description.parameters[name].targets;
            targets.iter().map(|target| target.pointer.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(pointers("a"), ["A", "ENV.B"]);
        assert_eq!(pointers("b"), ["ENV.C"]);
    }

    #[test]
    fn upgrading_names_the_profiles_and_lists_what_has_no_place() {
        let Upgraded { value, losses, .. } = read(HEAD).unwrap().upgrade();
        assert_eq!(losses, []);
        let ids: Vec<_> = value.deployment_profiles.iter().map(|profile| profile.id.as_str()).collect();
        assert_eq!(ids, ["line-dashboard-helm-0", "line-dashboard-compose-1"]);
        assert_eq!(value.api_version, "v1");
        assert!(!value.deployment_profiles[0].components[0].properties.waits());
        assert_eq!(crate::check_description(&value), []);

        let extended = HEAD
            .replace("v1-alpha1", "v2")
            .replace(
                "  - type: helm.v3\n",
                "  - type: helm.v3\n    requiredResources: {}\n    x-a-extensions: {}\n",
            )
            .replace("{ name: chart,", "{ name: chart, replicas: 2,");
        let Upgraded { value, losses, .. } = read(&extended).unwrap().upgrade();
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/apiVersion",
                "/deploymentProfiles/0/components/0/replicas",
                "/deploymentProfiles/0/requiredResources"
            ]
        );
        assert_eq!(value.deployment_profiles[0].extensions.len(), 1);
    }

    #[test]
    fn downgrading_drops_the_ids_it_would_give() {
        let old = read(HEAD).unwrap();
        let mut newest = old.clone().upgrade().value;
        assert_eq!(ApplicationDescription::try_from(&newest).as_ref(), Ok(&old));
        newest.deployment_profiles[0].id = "cluster".to_owned();
        newest.deployment_profiles[0].description = Some("For a cluster.".to_owned());
        newest.deployment_profiles[1].device_constraints =
            Some(margo_deployment::DeviceConstraints::default());
        let Upgraded { value, losses, .. } = ApplicationDescription::downgrade(&newest).unwrap();
        assert_eq!(value, old);
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/deploymentProfiles/0/id",
                "/deploymentProfiles/0/description",
                "/deploymentProfiles/1/deviceConstraints"
            ]
        );
        let error = ApplicationDescription::try_from(&newest).unwrap_err();
        assert_eq!(error.pointer, "/deploymentProfiles/0/id");
        newest.deployment_profiles[0].profile_type = margo_deployment::ProfileType::Custom;
        assert_eq!(
            ApplicationDescription::downgrade(&newest).unwrap_err().pointer,
            "/deploymentProfiles/0/type"
        );
        let unknown = read(&HEAD.replace("helm.v3", "custom")).unwrap();
        assert_eq!(unknown.check()[0].pointer().as_str(), "/deploymentProfiles/0/type");
        assert_eq!(unknown.upgrade().losses[0].pointer, "/deploymentProfiles/0/type");
    }
}
