//! What a package looks like as a folder and in a registry: names and media types, and no access to either.
//!
//! ```
//! use margo_application::{AnyApplicationDescription, package};
//! use margo_syntax::Limits;
//!
//! let text = "
//! apiVersion: v1
//! id: pump-monitor
//! metadata:
//!   name: Pump monitor
//!   version: 1.0.0
//!   catalog:
//!     application: { icon: ./resources/logo.png, site: https://pumps.example }
//!     organization: [{ name: Acme }]
//! deploymentProfiles:
//!   - type: helm
//!     id: cluster
//!     components:
//!       - name: collector
//!         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
//! ";
//! let description = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default())?.upgrade().value;
//! let folder = package::PackageFolder::of(&description)?;
//! let files: Vec<_> = folder.files().map(|file| (file.path.as_str(), file.media_type())).collect();
//! assert_eq!(
//!     files,
//!     [
//!         ("margo.yaml", "application/vnd.margo.app.description.v1+yaml".to_owned()),
//!         ("resources/logo.png", "application/vnd.margo.app.icon.v1+png".to_owned()),
//!     ]
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;

use margo_core::{Digest, Extensions, string_enum};
use margo_syntax::{Fault, Pointer, pointer};
use serde::{Deserialize, Serialize};

use crate::{ApplicationDescription, Presentation};

/// The description's name in the root of a package (R-A-033).
pub const DESCRIPTION_FILE: &str = "margo.yaml";

/// Where a package keeps what its description links to.
pub const RESOURCES_FOLDER: &str = "resources";

/// The `artifactType` of a package in a registry (revision D, section 3.8).
pub const ARTIFACT_TYPE: &str = "application/vnd.margo.app.v1+json";

/// The media type of a description's layer.
pub const DESCRIPTION_MEDIA_TYPE: &str = "application/vnd.margo.app.description.v1+yaml";

/// The annotation that tells which resource a layer is.
pub const RESOURCE_ANNOTATION: &str = "org.margo.app.resource";

/// The media type of an OCI image manifest.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The media type of a config that says nothing: the two bytes of [`EMPTY_CONFIG`].
pub const EMPTY_CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The config of a package.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// The `artifactType` of a Compose component in a registry.
pub const COMPOSE_ARTIFACT_TYPE: &str = "application/vnd.org.margo.component.compose+json";

/// The media type of a Compose component's layer: a gzipped tar archive with one directory and a
/// [`COMPOSE_FILE`] in it.
pub const COMPOSE_MEDIA_TYPE: &str = "application/vnd.org.margo.component.compose.tar+gzip";

/// The annotation that tells the type of a component: `compose`.
pub const COMPONENT_TYPE_ANNOTATION: &str = "org.margo.component.type";

/// The annotation that tells the version of a component.
pub const COMPONENT_VERSION_ANNOTATION: &str = "org.margo.component.version";

/// The only name a Compose file has in the archive of a component.
pub const COMPOSE_FILE: &str = "compose.yaml";

/// The files of a package: its description, and what that links to inside the package.
///
/// This is a list of names. Nothing is opened, and nothing is known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFolder {
    files: Vec<PackageFile>,
}

impl PackageFolder {
    /// The files a description needs beside itself. Links to other places, such as `https://…`, are left alone.
    ///
    /// # Errors
    ///
    /// The first link that leads out of the package, or to a file without an extension to tell its format.
    pub fn of(description: &ApplicationDescription) -> Result<Self, Fault> {
        let mut files = vec![PackageFile {
            resource: None,
            path: DESCRIPTION_FILE.to_owned(),
            format: "yaml".to_owned(),
        }];
        let at = pointer!["metadata", "catalog", "application"];
        if let Some(presentation) = &description.metadata.catalog.application {
            for (resource, link) in links(presentation) {
                if let Some(file) = PackageFile::of(&resource, link, &at.join(resource.member()))? {
                    files.push(file);
                }
            }
        }
        Ok(Self { files })
    }

    /// The files, the description first.
    pub fn files(&self) -> impl Iterator<Item = &PackageFile> {
        self.files.iter()
    }
}

/// One file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackageFile {
    /// What it is; `None` for the description itself.
    pub resource: Option<Resource>,
    /// Its place in the package: relative, with `/`, without `.` and `..`.
    pub path: String,
    /// Its format: the extension of its name in lower case.
    pub format: String,
}

impl PackageFile {
    /// The media type of its layer in a registry.
    #[must_use]
    pub fn media_type(&self) -> String {
        match &self.resource {
            None => DESCRIPTION_MEDIA_TYPE.to_owned(),
            Some(resource) => resource.media_type(&self.format),
        }
    }

    /// `None` if the link leads elsewhere.
    fn of(resource: &Resource, link: &str, at: &Pointer) -> Result<Option<Self>, Fault> {
        if link.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '.']))
        {
            return Ok(None);
        }
        let path = link.split('/').filter(|segment| *segment != ".").collect::<Vec<_>>();
        let is_inside = !link.contains(['\\', '\0'])
            && !path.iter().any(|segment| segment.is_empty() || *segment == "..")
            && !path.is_empty();
        if !is_inside {
            return Err(Fault::new(at.clone(), "leads out of the package"));
        }
        let format = path.last().and_then(|name| name.rsplit_once('.')).filter(|(name, _)| !name.is_empty());
        let format = format.map(|(_, extension)| extension.to_ascii_lowercase());
        let is_format =
            |format: &String| !format.is_empty() && format.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let Some(format) = format.filter(is_format) else {
            return Err(Fault::new(at.clone(), "has no extension to tell its format"));
        };
        Ok(Some(Self { resource: Some(resource.clone()), path: path.join("/"), format }))
    }
}

string_enum! {
    /// What a file of a package is, in the words of [`RESOURCE_ANNOTATION`] and of its media type.
    pub enum Resource {
        /// A picture.
        Icon = "icon",
        /// A description at length.
        DescriptionFile = "descriptionFile",
        /// A license.
        LicenseFile = "licenseFile",
        /// What is new.
        ReleaseNotes = "releaseNotes",
    }
}

impl Resource {
    /// The media type of its layer: `application/vnd.margo.app.icon.v1+png`.
    #[must_use]
    pub fn media_type(&self, format: &str) -> String {
        format!("application/vnd.margo.app.{self}.v1+{format}")
    }

    fn member(&self) -> &str {
        self.as_str()
    }
}

fn links(presentation: &Presentation) -> impl Iterator<Item = (Resource, &str)> {
    [
        (Resource::Icon, &presentation.icon),
        (Resource::DescriptionFile, &presentation.description_file),
        (Resource::LicenseFile, &presentation.license_file),
        (Resource::ReleaseNotes, &presentation.release_notes),
    ]
    .into_iter()
    .filter_map(|(resource, link)| Some((resource, link.as_deref()?)))
}

/// A package as a registry lists it: an OCI image manifest with [`ARTIFACT_TYPE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PackageManifest {
    /// Always 2.
    pub schema_version: u8,
    /// [`MANIFEST_MEDIA_TYPE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// [`ARTIFACT_TYPE`] for a package, [`COMPOSE_ARTIFACT_TYPE`] for a component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The empty config.
    pub config: Descriptor,
    /// The description and its resources.
    pub layers: Vec<Descriptor>,
    /// What else is told of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl PackageManifest {
    /// A package with these layers.
    #[must_use]
    pub fn new(layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST_MEDIA_TYPE.to_owned()),
            artifact_type: Some(ARTIFACT_TYPE.to_owned()),
            config: Descriptor::of(EMPTY_CONFIG_MEDIA_TYPE, EMPTY_CONFIG),
            layers,
            annotations: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }

    /// The layer of the description.
    #[must_use]
    pub fn description(&self) -> Option<&Descriptor> {
        self.layers.iter().find(|layer| layer.media_type == DESCRIPTION_MEDIA_TYPE)
    }

    /// What a package may not be: of another type, with a config that says something, with no description or with
    /// two.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut expect = |is_met: bool, at: Pointer, message: fmt::Arguments<'_>| {
            if !is_met {
                faults.push(Fault::new(at, message.to_string()));
            }
        };
        expect(self.schema_version == 2, pointer!["schemaVersion"], format_args!("expected 2"));
        let is_package = self.artifact_type.as_deref() == Some(ARTIFACT_TYPE);
        expect(is_package, pointer!["artifactType"], format_args!("expected `{ARTIFACT_TYPE}`"));
        let is_empty = self.config.media_type == EMPTY_CONFIG_MEDIA_TYPE;
        expect(
            is_empty,
            pointer!["config", "mediaType"],
            format_args!("expected `{EMPTY_CONFIG_MEDIA_TYPE}`"),
        );
        let descriptions =
            self.layers.iter().filter(|layer| layer.media_type == DESCRIPTION_MEDIA_TYPE).count();
        expect(
            descriptions == 1,
            pointer!["layers"],
            format_args!("expected one layer of type `{DESCRIPTION_MEDIA_TYPE}`, found {descriptions}"),
        );
        faults
    }
}

/// Content in a registry, by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Which bytes (R-D-035).
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// What else is told of it: [`RESOURCE_ANNOTATION`] for a resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Descriptor {
    /// These bytes.
    #[must_use]
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }

    /// The layer of a file of a package.
    #[must_use]
    pub fn of_file(file: &PackageFile, bytes: &[u8]) -> Self {
        let mut layer = Self::of(file.media_type(), bytes);
        if let Some(resource) = &file.resource {
            layer.annotations.insert(RESOURCE_ANNOTATION.to_owned(), resource.to_string());
        }
        layer
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(link: &str) -> Result<Option<(String, String)>, String> {
        PackageFile::of(&Resource::Icon, link, &pointer!["icon"])
            .map(|file| file.map(|file| (file.path.clone(), file.media_type())))
            .map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn a_link_stays_in_the_package_or_is_no_file_of_it() {
        let icon = |path: &str, format: &str| {
            Ok(Some((path.to_owned(), format!("application/vnd.margo.app.icon.v1+{format}"))))
        };
        assert_eq!(file("./resources/logo.PNG"), icon("resources/logo.PNG", "png"));
        assert_eq!(file("logo.tar.gz"), icon("logo.tar.gz", "gz"));
        assert_eq!(file("https://pumps.example/logo.png"), Ok(None));
        assert_eq!(file("data:image/png;base64,AAAA"), Ok(None));
        for link in
            ["../logo.png", "resources/../../logo.png", "/etc/logo.png", "a//b.png", "a\\..\\b.png", "", "."]
        {
            assert_eq!(file(link), Err("leads out of the package".into()), "{link}");
        }
        for link in ["logo", ".png", "logo.", "logo.p+g", "resources.d/logo"] {
            assert_eq!(file(link), Err("has no extension to tell its format".into()), "{link}");
        }
    }

    /// R-D-034, revision D, section 3.8.
    #[test]
    fn a_package_in_a_registry_has_one_description_and_an_empty_config() {
        let description = Descriptor::of(DESCRIPTION_MEDIA_TYPE, b"id: pump-monitor\n");
        let icon = PackageFile::of(&Resource::Icon, "logo.svg", &Pointer::root()).unwrap().unwrap();
        let icon = Descriptor::of_file(&icon, b"<svg/>");
        assert_eq!(icon.annotations[RESOURCE_ANNOTATION], "icon");
        let manifest = PackageManifest::new(vec![description.clone(), icon]);
        assert_eq!(manifest.check(), []);
        assert_eq!(manifest.description(), Some(&description));
        let json = serde_json::to_value(&manifest).unwrap();
        assert_eq!(json["artifactType"], "application/vnd.margo.app.v1+json");
        assert_eq!(json["config"]["size"], 2);
        assert_eq!(serde_json::from_value::<PackageManifest>(json.clone()).unwrap(), manifest);

        let places = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut changed = json.clone();
            change(&mut changed);
            let manifest: PackageManifest = serde_json::from_value(changed).unwrap();
            manifest.check().iter().map(|fault| fault.pointer().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places(&|m| m["schemaVersion"] = json!(1)), ["/schemaVersion"]);
        assert_eq!(places(&|m| drop(m.as_object_mut().unwrap().remove("artifactType"))), ["/artifactType"]);
        assert_eq!(places(&|m| m["config"]["mediaType"] = json!("text/plain")), ["/config/mediaType"]);
        assert_eq!(places(&|m| m["layers"] = json!([])), ["/layers"]);
    }
}
