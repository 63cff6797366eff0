use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{ApplicationId, ComponentName, Document, Extensions};
use margo_deployment::__private::settle_profile;
use margo_deployment::{Component, DeploymentProfile, DeviceConstraints, ProfileType, Target};
use margo_syntax::{DecodeError, Fault, Format, Limits, Tree, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Schema;
use crate::older::profiles;

/// What a description of 1.0.0-rc.3 has as `apiVersion`.
pub const API_VERSION: &str = "v1";

/// An application as its author describes it: `margo.yaml` ([spec]).
///
/// ```
/// use margo_application::ApplicationDescription;
/// use margo_syntax::Limits;
///
/// let text = "
/// apiVersion: v1
/// id: pump-monitor
/// metadata:
///   name: Pump monitor
///   version: 1.0
///   catalog: { organization: [{ name: Acme }] }
/// deploymentProfiles:
///   - type: helm
///     id: cluster
///     components:
///       - name: collector
///         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
/// ";
/// let description = ApplicationDescription::decode(text.into(), &Limits::default())?;
/// assert_eq!(description.metadata.version, "1.0");
/// assert_eq!(description.deployment_profiles[0].components[0].name.as_str(), "collector");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = margo_core::schema::extend))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDescription {
    /// Any text but none; [`API_VERSION`] when written (X-D-39).
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// The application: 1 to 200 lower-case letters, digits and dashes (R-A-034).
    pub id: ApplicationId,
    /// What a catalog shows.
    pub metadata: Metadata,
    /// The ways to install it; one is chosen for a device.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub deployment_profiles: Vec<DescriptionProfile>,
    /// What can be configured, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterDefinition>,
    /// How a user is asked for the parameters, and what is a valid answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// Supplier extensions, never forwarded to a device (R-D-033), and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDescription {
    /// A description without parameters.
    #[must_use]
    pub fn new(id: ApplicationId, metadata: Metadata, deployment_profiles: Vec<DescriptionProfile>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            id,
            metadata,
            deployment_profiles,
            parameters: BTreeMap::new(),
            configuration: None,
            extensions: Extensions::new(),
        }
    }

    /// Reads a description as 1.0.0-rc.3 writes it. A `version` that is a number stands for its own text
    /// (X-A-22); in constraints the names of the page's skeleton are understood (X-D-10), and
    /// `requiredResources` of older revisions are read over (X-D-19).
    ///
    /// This judges form; whether the parts fit together is [`check_description`](crate::check_description).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML, does not have the form of the page, or breaks a rule of
    /// [`DeploymentProfile::check`].
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

    /// The settings that show a parameter, each with its schema if that exists.
    pub fn settings_of<'a>(
        &'a self,
        parameter: &'a str,
    ) -> impl Iterator<Item = (&'a Setting, Option<&'a Schema>)> {
        let sections = self.configuration.iter().flat_map(|configuration| &configuration.sections);
        let settings = sections.flat_map(|section| &section.settings);
        settings
            .filter(move |setting| setting.parameter == parameter)
            .map(|setting| (setting, self.schema(&setting.schema)))
    }

    /// The schema with this name.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.configuration.as_ref()?.schema.iter().find(|schema| schema.name == name)
    }

    /// What 1.0.0-rc.3 does not allow and reading lets pass: an extension that is no object, or is not called like one
    /// (R-D-032), and in the profiles what [`DeploymentProfile::check_written`] finds. Whether the parts fit together
    /// is [`check_description`](crate::check_description).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let extensions = self.extensions.iter().filter_map(|(name, value)| {
            let at = pointer![name];
            if !Extensions::is_extension_name(name) {
                return name.starts_with("x-").then(|| Fault::of_key(at, "not a name for an extension"));
            }
            (!value.is_object()).then(|| Fault::new(at, "expected an object"))
        });
        let profiles = self.deployment_profiles.iter().enumerate();
        let check = |(index, profile): (usize, &DescriptionProfile)| {
            profile.to_deployment_profile().check_written(&pointer!["deploymentProfiles", index])
        };
        extensions.chain(profiles.flat_map(check)).collect()
    }

    pub(crate) fn from_tree(tree: &Tree, mut value: Value) -> Result<Self, Fault> {
        read_version_literally(tree, &mut value);
        profiles(&mut value).for_each(settle_profile);
        let description: Self = margo_syntax::from_value(value)?;
        check_api_version(&description.api_version)?;
        description.refusal().map_or(Ok(description), Err)
    }

    /// What even a lenient reading refuses in a profile.
    pub(crate) fn refusal(&self) -> Option<Fault> {
        let mut profiles = self.deployment_profiles.iter().enumerate();
        profiles.find_map(|(index, profile)| {
            let faults = profile.to_deployment_profile().check(&pointer!["deploymentProfiles", index]);
            faults.into_iter().next()
        })
    }
}

/// What a catalog shows of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// The name to show.
    pub name: String,
    /// What it is good for (X-A-23).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of the application, and the tag of its package (R-D-034): free text (X-D-23).
    pub version: String,
    /// Who makes it, and where to read about it.
    pub catalog: Catalog,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// A name, a version, and who makes it.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>, catalog: Catalog) -> Self {
        Self {
            name: name.into(),
            description: None,
            version: version.into(),
            catalog,
            extensions: Extensions::new(),
        }
    }
}

/// Who makes an application, and where to read about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Catalog {
    /// Where to read about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<Presentation>,
    /// The authors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub author: Vec<Author>,
    /// The vendors.
    pub organization: Vec<Organization>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Catalog {
    /// Made by these vendors.
    #[must_use]
    pub fn new(organization: Vec<Organization>) -> Self {
        Self { application: None, author: Vec::new(), organization, extensions: Extensions::new() }
    }
}

/// Where to read about an application: links, relative to the package or absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Presentation {
    /// A Markdown file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_file: Option<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Plain text, Markdown or PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_file: Option<String>,
    /// Markdown or PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_notes: Option<String>,
    /// A web site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// A slogan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagline: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// An author of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Author {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their address, unchecked (X-B-41).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// A vendor of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Organization {
    /// Its name.
    pub name: String,
    /// Its web site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Organization {
    /// A vendor.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), site: None, extensions: Extensions::new() }
    }
}

/// One way to install an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = margo_core::schema::close))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DescriptionProfile {
    /// How the components are packaged.
    #[serde(rename = "type")]
    pub profile_type: ProfileType,
    /// Tells the profiles of a description apart: free text (X-B-39).
    pub id: String,
    /// For whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What to install, in the order of installation (R-A-036).
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub components: Vec<Component>,
    /// What a device must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_constraints: Option<DeviceConstraints>,
    /// Supplier extensions, forwarded unchanged (R-D-033). The object is closed otherwise (X-D-38).
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DescriptionProfile {
    /// A profile that any device can host.
    #[must_use]
    pub fn new(profile_type: ProfileType, id: impl Into<String>, components: Vec<Component>) -> Self {
        Self {
            profile_type,
            id: id.into(),
            description: None,
            components,
            device_constraints: None,
            extensions: Extensions::new(),
        }
    }

    /// The profile as a deployment carries it: constraints and extensions unchanged (R-D-029, R-D-033).
    #[must_use]
    pub fn to_deployment_profile(&self) -> DeploymentProfile {
        let mut profile = DeploymentProfile::new(self.profile_type.clone(), self.components.clone());
        profile.device_constraints.clone_from(&self.device_constraints);
        profile.extensions.clone_from(&self.extensions);
        profile
    }

    /// Whether the profile has a component with this name.
    #[must_use]
    pub fn has_component(&self, name: &ComponentName) -> bool {
        self.components.iter().any(|component| component.name == *name)
    }
}

/// Something a user can configure, and where the value goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ParameterDefinition {
    /// The default: any JSON value (X-A-30). `null` is the same as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Where the value goes, in whichever profiles have the components.
    pub targets: Vec<Target>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ParameterDefinition {
    /// A parameter without a default.
    #[must_use]
    pub fn new(targets: Vec<Target>) -> Self {
        Self { value: None, targets, extensions: Extensions::new() }
    }
}

/// How a user is asked for the parameters, and what is a valid answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Configuration {
    /// The settings, in groups.
    pub sections: Vec<Section>,
    /// The rules that settings refer to by name.
    pub schema: Vec<Schema>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Configuration {
    /// Groups of settings, and the rules they refer to.
    #[must_use]
    pub fn new(sections: Vec<Section>, schema: Vec<Schema>) -> Self {
        Self { sections, schema, extensions: Extensions::new() }
    }
}

/// A group of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Section {
    /// Its heading.
    pub name: String,
    /// The settings, in the order to show them.
    pub settings: Vec<Setting>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Section {
    /// A group.
    #[must_use]
    pub fn new(name: impl Into<String>, settings: Vec<Setting>) -> Self {
        Self { name: name.into(), settings, extensions: Extensions::new() }
    }
}

/// How a user is asked for one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Setting {
    /// The parameter.
    pub parameter: String,
    /// The name to show.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the value stays what it was at the first installation (R-A-041). False unless said otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// The rules a value must follow: the name of a schema.
    pub schema: String,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Setting {
    /// A setting that can be changed at any time.
    #[must_use]
    pub fn new(parameter: impl Into<String>, name: impl Into<String>, schema: impl Into<String>) -> Self {
        Self {
            parameter: parameter.into(),
            name: name.into(),
            description: None,
            immutable: false,
            schema: schema.into(),
            extensions: Extensions::new(),
        }
    }
}

/// X-A-22: `version: 1.0` means the text `1.0`.
pub(crate) fn read_version_literally(tree: &Tree, value: &mut Value) {
    if let Some(version) = value.pointer_mut("/metadata/version")
        && version.is_number()
        && let Some(literal) = tree.literal(&pointer!["metadata", "version"])
    {
        *version = literal.into();
    }
}

pub(crate) fn check_api_version(api_version: &str) -> Result<(), Fault> {
    match api_version {
        "" => Err(Fault::new(pointer!["apiVersion"], "expected at least one character")),
        _ => Ok(()),
    }
}
