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

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use margo_core::{ApplicationId, Document, Extensions, Loss, Upgraded};
use margo_deployment::pre_draft::{ProfileType, strip_environment_prefix};
use margo_deployment::{Component, Package};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, Tree, WriteError, pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::description::{check_api_version, read_version_literally};
use crate::{Catalog, Configuration, DescriptionProfile, ParameterDefinition};

/// What a description of the pre-draft has as `apiVersion`.
pub const API_VERSION: &str = "margo.org/v1-alpha1";

/// An application as its author describes it: `margo.yaml` in the root of a package (R-A-033).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDescription {
    /// Any text but none; [`API_VERSION`] when written (X-A-02).
    pub api_version: String,
    /// `application`; `ApplicationDescription` is read too (X-A-32).
    pub kind: Kind,
    /// The application, and what a catalog shows of it.
    pub metadata: Metadata,
    /// The ways to install it; one is chosen for a device.
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
        let mut losses = Vec::new();
        if api_version != API_VERSION {
            losses.push(Loss::new("/apiVersion", "`apiVersion` has one value only"));
        }

        let mut upgraded_metadata = crate::Metadata::new(name, version, catalog);
        upgraded_metadata.description = description;
        upgraded_metadata.extensions = metadata_extensions;

        let profiles = deployment_profiles.into_iter().enumerate().map(|(index, profile)| {
            let at = pointer!["deploymentProfiles", index];
            let Profile { profile_type, mut components, extensions } = profile;
            for (c, component) in components.iter_mut().enumerate() {
                let at = at.join("components").with(c);
                let extensions = std::mem::take(&mut component.extensions);
                component.extensions = keep(extensions, &at, Extensions::is_extension_name, &mut losses);
            }
            let profile_type = match profile_type {
                ProfileType::HelmV3 => margo_deployment::ProfileType::Helm,
                ProfileType::DockerCompose => margo_deployment::ProfileType::Compose,
                other => margo_deployment::ProfileType::from(other.as_str()),
            };
            let profile_id = format!("{id}-{profile_type}-{index}");
            let mut profile = DescriptionProfile::new(profile_type, profile_id, components);
            profile.extensions = keep(extensions, &at, Extensions::is_extension_name, &mut losses);
            profile
        });
        let profiles = profiles.collect();

        let mut description = crate::ApplicationDescription::new(id, upgraded_metadata, profiles);
        description.parameters = parameters;
        description.configuration = configuration;
        description.extensions = keep(extensions, &Pointer::root(), |name| name != "id", &mut losses);
        Upgraded::new(description, losses)
    }

    pub(crate) fn from_tree(tree: &Tree, mut value: Value) -> Result<Self, Fault> {
        read_version_literally(tree, &mut value);
        let mut description: Self = margo_syntax::from_value(value)?;
        check_api_version(&description.api_version)?;
        for (index, profile) in description.deployment_profiles.iter().enumerate() {
            profile.check(&pointer!["deploymentProfiles", index])?;
        }
        description.strip_environment_prefixes();
        Ok(description)
    }

    /// Where a target's components are all of Compose profiles, its pointer is an environment variable.
    fn strip_environment_prefixes(&mut self) {
        let (compose, others): (Vec<_>, Vec<_>) = self
            .deployment_profiles
            .iter()
            .partition(|profile| profile.profile_type == ProfileType::DockerCompose);
        let names = |profiles: Vec<&Profile>| -> BTreeSet<_> {
            profiles.into_iter().flat_map(|p| &p.components).map(|component| component.name.clone()).collect()
        };
        let (compose, others) = (names(compose), names(others));
        for target in self.parameters.values_mut().flat_map(|parameter| &mut parameter.targets) {
            if target.components.iter().all(|name| compose.contains(name) && !others.contains(name)) {
                strip_environment_prefix(&mut target.pointer);
            }
        }
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
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Profile {
    /// How the components are packaged.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// What to install, in the order of installation (R-A-036): at least one (X-A-28).
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

    fn check(&self, at: &Pointer) -> Result<(), Fault> {
        if self.components.is_empty() {
            return Err(Fault::new(at.join("components"), "expected at least one component"));
        }
        for (index, component) in self.components.iter().enumerate() {
            let missing = match (&self.profile_type, &component.properties.package) {
                (ProfileType::HelmV3, Package::Archive { .. }) => "a chart needs `repository` and `revision`",
                (ProfileType::DockerCompose, Package::Oci { .. }) => "an archive needs `packageLocation`",
                _ => continue,
            };
            return Err(Fault::new(at.join("components").with(index).with("properties"), missing));
        }
        Ok(())
    }
}

/// Members with a place; the others are lost.
fn keep(
    extensions: Extensions,
    at: &Pointer,
    has_place: impl Fn(&str) -> bool,
    losses: &mut Vec<Loss>,
) -> Extensions {
    let mut kept = Extensions::new();
    for (name, value) in extensions {
        if has_place(&name) {
            kept.insert(name, value);
        } else {
            let reason = "the newest revision forbids it here, or means something else by it";
            losses.push(Loss::new(at.join(name).as_str(), reason));
        }
    }
    kept
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
}
