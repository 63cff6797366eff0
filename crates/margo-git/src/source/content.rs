//! What a commit says a device is to run.

use std::collections::BTreeMap;

use bytes::Bytes;
use gix::objs::Kind;
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository};
use margo_core::{DeploymentId, Digest, Document};
use margo_deployment::{AnyApplicationDeployment, DeploymentRef, DesiredStateManifest};
use margo_syntax::{DecodeError, Format, Limits};

use super::GitLimits;
use crate::layout;
use crate::repository::{self, ReadError};

/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// The `kind` of a deployment, in the revisions that have one.
const KIND: &str = "ApplicationDeployment";

/// The desired state at a commit.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) tip: ObjectId,
    pub(super) manifest: Document<DesiredStateManifest>,
    /// Where the bytes of each deployment are.
    pub(super) blobs: BTreeMap<Digest, ObjectId>,
}

impl Content {
    /// Reads everything a commit holds: see [`layout`].
    pub(super) fn read(
        repository: &Repository,
        tip: ObjectId,
        limits: &GitLimits,
    ) -> Result<Self, ReadError> {
        let version = repository::version(repository, tip)?;
        let mut files = Files { repository, limits, found: Vec::new(), left: limits.files };
        files.collect(repository::commit(repository, tip)?.tree, "", 0)?;

        let mut paths: BTreeMap<DeploymentId, String> = BTreeMap::new();
        let mut references = BTreeMap::new();
        let mut blobs = BTreeMap::new();
        for (path, blob) in files.found {
            let bytes = read_blob(repository, blob, &path, limits)?;
            let Some(deployment) = read_file(&path, &bytes, &limits.document)? else { continue };
            let id = deployment.id().clone();
            if let Some(other) = paths.insert(id.clone(), path.clone()) {
                return Err(ReadError::content(path, format_args!("`{other}` is deployment `{id}` as well")));
            }
            let digest = Digest::of(&bytes);
            let mut reference = DeploymentRef::new(id.clone(), digest);
            reference.size_bytes = u64::try_from(bytes.len()).ok();
            references.insert(id, reference);
            blobs.insert(digest, blob);
        }

        // Git has no bundle, so this cannot be read back as a REST manifest that lists deployments could: the
        // document is made from the value.
        let manifest = DesiredStateManifest::new(version, None, references.into_values().collect());
        let json =
            manifest.to_json().map_err(|error| ReadError::content(format_args!("commit {tip}"), error))?;
        let manifest = Document::decode(json, |_| Ok::<_, ReadError>(manifest))?;
        Ok(Self { tip, manifest, blobs })
    }
}

/// Reads the file of a deployment.
pub(super) fn read_blob(
    repository: &Repository,
    blob: ObjectId,
    path: &str,
    limits: &GitLimits,
) -> Result<Bytes, ReadError> {
    let size = repository.find_header(blob).map_err(ReadError::storage)?.size();
    let max = limits.document.max_bytes;
    if usize::try_from(size).is_ok_and(|size| size <= max) {
        return Ok(repository::object(repository, blob, Kind::Blob)?.into());
    }
    Err(ReadError::content(path, format_args!("the file has {size} bytes; {max} are read")))
}

/// The files that may be deployments.
struct Files<'a> {
    repository: &'a Repository,
    limits: &'a GitLimits,
    found: Vec<(String, ObjectId)>,
    left: usize,
}

impl Files<'_> {
    fn collect(&mut self, tree: ObjectId, within: &str, depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return Err(ReadError::content(
                within,
                format_args!("more than {MAX_DEPTH} folders within folders"),
            ));
        }
        for entry in repository::entries(self.repository, tree)? {
            let path = format!("{within}{}", entry.filename);
            let Some(left) = self.left.checked_sub(1) else {
                let max = self.limits.files;
                return Err(ReadError::content(path, format_args!("more than {max} files and folders")));
            };
            self.left = left;
            match entry.mode.kind() {
                EntryKind::Tree => self.collect(entry.oid, &format!("{path}/"), depth + 1)?,
                EntryKind::Blob | EntryKind::BlobExecutable if layout::is_document(&path) => {
                    self.found.push((path, entry.oid));
                }
                EntryKind::Link if layout::is_document(&path) => {
                    tracing::warn!(path, "passing over a symbolic link");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a file that may be a deployment; `None` if it is something else.
fn read_file(
    path: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<AnyApplicationDeployment>, ReadError> {
    match AnyApplicationDeployment::parse(bytes, limits) {
        Ok(deployment) => Ok(Some(deployment)),
        Err(error) if is_meant(path, bytes, &error, limits) => Err(ReadError::content(path, error)),
        Err(error) => {
            tracing::warn!(path, %error, "passing over a file that is no deployment");
            Ok(None)
        }
    }
}

/// Whether a file that cannot be read as a deployment was meant as one. Passing over it would remove the
/// deployment from the device.
fn is_meant(path: &str, bytes: &[u8], error: &DecodeError, limits: &Limits) -> bool {
    if path.split_once('/').is_some_and(|(folder, _)| folder == layout::FOLDER) {
        return true;
    }
    if error.syntax().is_some() {
        return bytes.windows(KIND.len()).any(|text| text == KIND.as_bytes());
    }
    let value = margo_syntax::decode_with(bytes, Format::Yaml, limits, Ok);
    value.is_ok_and(|value| {
        value.get("kind").and_then(|kind| kind.as_str()) == Some(KIND)
            || value.pointer("/spec/deploymentProfile").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Result<bool, String> {
        let read = read_file(path, text.as_bytes(), &Limits::default());
        read.map(|found| found.is_some()).map_err(|error| error.to_string())
    }

    /// R-B-031, R-B-032: what cannot be read is never taken for something that is not there.
    #[test]
    fn what_was_meant_as_a_deployment_is_never_passed_over() {
        let cut_short = "kind: ApplicationDeployment\nmetadata: {annotations: {id: a";
        assert!(
            read("anywhere/a.yaml", cut_short).unwrap_err().starts_with("anywhere/a.yaml: line 2, column")
        );
        assert!(read("a.yaml", "kind: ApplicationDeployment\nmetadata: {}\n").is_err());
        assert!(read("a.yaml", "id: a\nspec: {deploymentProfile: {type: helm}}\n").is_err());
        assert!(read("deployments/a.yaml", "hello: world\n").is_err());
        assert!(read("deployments/deeper/a.yaml", "").is_err());
    }

    #[test]
    fn other_files_are_passed_over() {
        assert_eq!(read("kustomization.yaml", "resources: [deployments]\n"), Ok(false));
        assert_eq!(read("templates/a.yaml", "{{- if .Values.x }}\na: 1\n{{ end }}\n"), Ok(false));
        assert_eq!(read("margo.yaml", "kind: application\ndeploymentProfiles: []\n"), Ok(false));
        assert_eq!(read("notes.yaml", "about: what an ApplicationDeployment is\n"), Ok(false));
        assert_eq!(read("list.yaml", "- 1\n"), Ok(false));
        assert_eq!(read("empty.yaml", ""), Ok(false));
    }
}
