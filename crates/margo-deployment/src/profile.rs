use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use margo_core::{ComponentName, Extensions, Timeout, string_enum};
use margo_syntax::{Fault, Pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::DeviceConstraints;
use crate::constraint::settle_names;

/// What to install: the components of one packaging of an application ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#deploymentprofile-attributes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = margo_core::schema::close))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentProfile {
    /// How the components are packaged, and so what runs them.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// What to install, in the order of installation (R-A-036).
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub components: Vec<Component>,
    /// What the device must have, copied unchanged from the description (R-D-029).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_constraints: Option<DeviceConstraints>,
    /// Supplier extensions, forwarded unchanged (R-D-033). The object is closed otherwise (X-D-38).
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentProfile {
    /// A profile without constraints.
    #[must_use]
    pub fn new(profile_type: ProfileType, components: Vec<Component>) -> Self {
        Self { profile_type, components, device_constraints: None, extensions: Extensions::new() }
    }

    /// The component with this name.
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Component> {
        self.components.iter().find(|component| component.name == *name)
    }

    /// What 1.0.0-rc.3 does not allow here: unknown members (X-D-38), no component at all (X-A-28), a component
    /// name used twice, the misprint `ContainersAny` (X-D-08), and what [`Component::check`] finds.
    ///
    /// `at` is where the profile stands in its document.
    #[must_use]
    pub fn check(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = closed(&self.extensions, at);
        faults.extend(check_names(&self.components, &at.join("components")));
        for (index, component) in self.components.iter().enumerate() {
            faults.extend(component.check(&at.join("components").with(index)));
        }
        if let Some(constraints) = &self.device_constraints {
            faults.extend(constraints.check_misprint(&at.join("deviceConstraints")));
        }
        faults
    }

    /// What 1.0.0-rc.3 does not allow here, and reading lets pass: a type it does not know, an extension that is
    /// no object (R-D-032), and what [`DeviceConstraints::check`] finds.
    ///
    /// `at` is where the profile stands in its document.
    #[must_use]
    pub fn check_written(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.profile_type.is_known() {
            let message = format!("`{}` is not a type of profile", self.profile_type);
            faults.push(Fault::new(at.join("type"), message));
        }
        faults.extend(objects(&self.extensions, at));
        for (index, component) in self.components.iter().enumerate() {
            faults.extend(objects(&component.extensions, &at.join("components").with(index)));
        }
        if let Some(constraints) = &self.device_constraints {
            faults.extend(constraints.check(&at.join("deviceConstraints")));
        }
        faults
    }
}

/// Reads what older pages write into a profile: constraints under the names of the skeleton (X-D-10), and
/// `requiredResources`, which say nothing any more (X-D-19).
#[doc(hidden)]
pub fn settle_profile(profile: &mut Value) {
    if let Some(members) = profile.as_object_mut() {
        members.remove("requiredResources");
        if let Some(constraints) = members.get_mut("deviceConstraints") {
            settle_names(constraints);
        }
    }
}

string_enum! {
    /// How the components of a profile are packaged (X-D-01: `custom` is in the pages, not in the OpenAPI
    /// file).
    pub enum ProfileType {
        /// Helm charts, on Kubernetes.
        Helm = "helm",
        /// Compose archives, on an OCI runtime.
        Compose = "compose",
        /// Something a supplier and a device agree on.
        Custom = "custom",
    }
}

/// One part of an application ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#component-attributes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = margo_core::schema::close))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Component {
    /// Unique in the profile; what parameters target and status reports name.
    pub name: ComponentName,
    /// Where the package is, and how to install it.
    pub properties: ComponentProperties,
    /// Supplier extensions, forwarded unchanged (R-D-033). The object is closed otherwise.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Component {
    /// A component that is waited for, without a time limit.
    #[must_use]
    pub fn new(name: ComponentName, package: Package) -> Self {
        Self { name, properties: ComponentProperties::new(package), extensions: Extensions::new() }
    }

    /// What 1.0.0-rc.3 does not allow here: unknown members (X-D-38), a repository that is not `oci://`, a
    /// revision that is not a semantic version (X-D-23).
    ///
    /// `at` is where the component stands in its document. An archive at a URL is read, as reading is lenient
    /// (X-D-38).
    #[must_use]
    pub fn check(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = closed(&self.extensions, at);
        if let Package::Oci { repository, revision } = &self.properties.package {
            let at = at.join("properties");
            if repository.strip_prefix("oci://").is_none_or(str::is_empty) {
                faults.push(Fault::new(
                    at.join("repository"),
                    "expected a repository such as `oci://host/name`",
                ));
            }
            if revision.semver().is_none() {
                let message = "expected a semantic version without `v`, and with `_` instead of `+`";
                faults.push(Fault::new(at.join("revision"), message));
            }
        }
        faults
    }
}

/// Where a component's package is, and how to install it ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#componentproperties
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
#[non_exhaustive]
pub struct ComponentProperties {
    /// Where the package is.
    pub package: Package,
    /// Whether the next component waits for this one; see [`waits`](Self::waits). Reading accepts the strings
    /// `"true"` and `"false"` as well (X-A-14, X-B-16).
    pub wait: Option<bool>,
    /// How long the installation may take before it has failed (R-A-038).
    pub timeout: Option<Timeout>,
    /// Other members: this object is open (X-D-38).
    pub extensions: Extensions,
}

impl ComponentProperties {
    /// A package that is waited for, without a time limit.
    #[must_use]
    pub fn new(package: Package) -> Self {
        Self { package, wait: None, timeout: None, extensions: Extensions::new() }
    }

    /// Whether the next component waits for this one: true unless the document says otherwise (R-A-037).
    #[must_use]
    pub fn waits(&self) -> bool {
        self.wait.unwrap_or(true)
    }
}

/// Where a component's package is.
///
/// ```
/// use margo_deployment::Package;
///
/// let chart = Package::oci("oci://registry.example/collector", "1.0.9".parse()?);
/// assert!(matches!(chart, Package::Oci { repository, .. } if repository.starts_with("oci://")));
/// # Ok::<(), margo_deployment::ParseRevisionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Package {
    /// `repository` and `revision`: a chart or an archive in a registry.
    Oci {
        /// Where it is: `oci://…`. Only the pre-draft knows other URLs for charts.
        repository: String,
        /// Which one: the tag.
        revision: Revision,
    },
    /// `packageLocation`: a Compose archive at a URL. The form of the pre-draft, rc.1 and rc.2; rc.3 reads it
    /// and does not write it (X-D-38).
    Archive {
        /// The URL of a gzipped tar file (R-A-032).
        package_location: String,
        /// The URL of the public key that verifies the archive's PGP signature.
        key_location: Option<String>,
    },
}

impl Package {
    /// A package in a registry.
    #[must_use]
    pub fn oci(repository: impl Into<String>, revision: Revision) -> Self {
        Self::Oci { repository: repository.into(), revision }
    }

    /// An unsigned archive at a URL.
    #[must_use]
    pub fn archive(package_location: impl Into<String>) -> Self {
        Self::Archive { package_location: package_location.into(), key_location: None }
    }
}

/// The version of a component's package, and its tag in a registry: `1.0.9`, `2.0.0-rc.1_build.7`.
///
/// In 1.0.0-rc.3 it is a semantic version without a leading `v` and with `_` where `SemVer` has `+`, because a
/// tag cannot hold `+` (X-D-23); older revisions have free text. Prints as it was read.
///
/// ```
/// use margo_deployment::Revision;
///
/// let revision: Revision = "2.0.0-rc.1_build.7".parse()?;
/// assert_eq!(revision.semver().map(|version| version.to_string()).as_deref(), Some("2.0.0-rc.1+build.7"));
/// assert_eq!("v2.0".parse::<Revision>()?.semver(), None);
/// # Ok::<(), margo_deployment::ParseRevisionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(Box<str>);

impl Revision {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The semantic version, if it is one.
    #[must_use]
    pub fn semver(&self) -> Option<semver::Version> {
        if self.0.contains('+') {
            return None;
        }
        semver::Version::parse(&self.0.replacen('_', "+", 1)).ok()
    }
}

impl From<semver::Version> for Revision {
    fn from(version: semver::Version) -> Self {
        Self(version.to_string().replacen('+', "_", 1).into())
    }
}

impl FromStr for Revision {
    type Err = ParseRevisionError;

    fn from_str(text: &str) -> Result<Self, ParseRevisionError> {
        if text.is_empty() { Err(ParseRevisionError) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({self})")
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A revision has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision needs at least one character")]
#[non_exhaustive]
pub struct ParseRevisionError;

/// No components, and names used twice.
pub(crate) fn check_names(components: &[Component], at: &Pointer) -> Vec<Fault> {
    if components.is_empty() {
        return vec![Fault::new(at.clone(), "expected at least one component")];
    }
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, component) in components.iter().enumerate() {
        if !names.insert(&component.name) {
            let message = format!("another component is named `{}`", component.name);
            faults.push(Fault::new(at.join(index).with("name"), message));
        }
    }
    faults
}

/// Members that are no extensions, where nothing else is allowed.
pub(crate) fn closed(extensions: &Extensions, at: &Pointer) -> Vec<Fault> {
    let unknown = extensions.iter().filter(|(name, _)| !Extensions::is_extension_name(name));
    unknown.map(|(name, _)| Fault::new(at.join(name), "unknown member")).collect()
}

/// R-D-032: extensions that are no objects.
pub(crate) fn objects(extensions: &Extensions, at: &Pointer) -> Vec<Fault> {
    let others =
        extensions.iter().filter(|(name, value)| Extensions::is_extension_name(name) && !value.is_object());
    others.map(|(name, _)| Fault::new(at.join(name), "expected an object")).collect()
}

/// The members of `properties` on the wire, before it is known which form they have.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "margo_core::lenient_boolean")]
    wait: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Timeout>,
    #[serde(flatten)]
    extensions: Extensions,
}

/// `properties` names no package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoPackage {
    #[error("missing `repository` and `revision`")]
    Nothing,
    #[error("missing `revision` beside `repository`")]
    Revision,
    #[error("missing `repository` beside `revision`")]
    Repository,
}

impl TryFrom<Members> for ComponentProperties {
    type Error = NoPackage;

    fn try_from(members: Members) -> Result<Self, NoPackage> {
        let Members { repository, revision, package_location, key_location, wait, timeout, mut extensions } =
            members;
        let mut keep = |name: &str, text: Option<String>| {
            if let Some(text) = text {
                extensions.insert(name, text.into());
            }
        };
        let package = match (repository, revision, package_location) {
            // Members of the other form say nothing here; they are kept, not understood (X-D-38).
            (Some(repository), Some(revision), package_location) => {
                keep("packageLocation", package_location);
                keep("keyLocation", key_location);
                Package::Oci { repository, revision }
            }
            (None, revision, Some(package_location)) => {
                keep("revision", revision.map(|revision| revision.to_string()));
                Package::Archive { package_location, key_location }
            }
            (Some(_), None, _) => return Err(NoPackage::Revision),
            (None, Some(_), None) => return Err(NoPackage::Repository),
            (None, None, None) => return Err(NoPackage::Nothing),
        };
        Ok(Self { package, wait, timeout, extensions })
    }
}

impl From<ComponentProperties> for Members {
    fn from(properties: ComponentProperties) -> Self {
        let ComponentProperties { package, wait, timeout, extensions } = properties;
        let members = Self { wait, timeout, extensions, ..Self::default() };
        match package {
            Package::Oci { repository, revision } => {
                Self { repository: Some(repository), revision: Some(revision), ..members }
            }
            Package::Archive { package_location, key_location } => {
                Self { package_location: Some(package_location), key_location, ..members }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// X-D-01.
    #[test]
    fn custom_is_a_type_like_the_others() {
        assert_eq!(ProfileType::from("custom"), ProfileType::Custom);
        assert!(ProfileType::KNOWN.contains(&ProfileType::Custom));
        let text = "{ id: a, metadata: { name: a, namespace: a, deviceId: a }, spec: { applicationId: a, \
                    deploymentProfile: { type: custom, components: [{ name: a, properties: \
                    { repository: 'oci://r/a', revision: 1.0.9 } }] }, parameters: {} } }";
        let read = |strictness| {
            let limits = margo_syntax::Limits::default();
            crate::AnyApplicationDeployment::read(text.into(), None, strictness, &limits)
        };
        let reading = read(margo_core::Strictness::Lenient).unwrap();
        let found: Vec<_> = reading.deviations.iter().map(|deviation| deviation.contradiction).collect();
        assert_eq!(found, ["X-D-01"]);
        assert!(read(margo_core::Strictness::Strict).is_ok());
    }

    /// X-D-23, the expression of revision D section 3.3.
    #[test]
    fn a_revision_is_a_semantic_version_with_an_underscore() {
        let is_semver = |text: &str| text.parse::<Revision>().unwrap().semver().is_some();
        for text in ["0.0.0", "1.0.9", "2.0.0-rc.1", "1.0.0_7", "1.0.0-a.b-c_0.01.x"] {
            assert!(is_semver(text), "{text}");
        }
        for text in ["1", "1.0", "v1.0.0", "1.0.0+7", "1.0.0_", "1.0.0_a_b", "1.0.0-01", "1.0.0-", " 1.0.0"] {
            assert!(!is_semver(text), "{text}");
        }
        assert_eq!("".parse::<Revision>(), Err(ParseRevisionError));
    }

    proptest! {
        #[test]
        fn every_semantic_version_is_a_revision(
            numbers in any::<[u64; 3]>(),
            pre in "(rc\\.[1-9]|[a-z-]{0,5})",
            build in "[a-z0-9]{0,4}",
        ) {
            let [major, minor, patch] = numbers;
            let version = semver::Version {
                pre: semver::Prerelease::new(&pre).unwrap(),
                build: semver::BuildMetadata::new(&build).unwrap(),
                ..semver::Version::new(major, minor, patch)
            };
            let revision = Revision::from(version.clone());
            prop_assert!(!revision.as_str().contains('+'));
            prop_assert_eq!(revision.semver(), Some(version));
        }
    }
}
