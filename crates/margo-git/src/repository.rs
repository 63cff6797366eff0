//! Reading a repository that may not be ours, on a disk that may have lost power.

use std::fmt;
use std::path::Path;

use gix::{ObjectId, Repository};
use margo_api::BoxError;
use margo_core::ManifestVersion;

use crate::layout;

/// The name of a commit: the 20 bytes of its SHA-1 hash. Prints as 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId([u8; 20]);

impl CommitId {
    /// The 20 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<ObjectId> for CommitId {
    fn from(id: ObjectId) -> Self {
        let mut hash = [0; 20];
        for (to, from) in hash.iter_mut().zip(id.as_slice()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({self})")
    }
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The repository on this disk is damaged, or is none.
    #[error("the repository cannot be read")]
    Storage(#[source] BoxError),
    /// The repository is sound, and what somebody wrote into it is not what we read.
    #[error("{place}: {message}")]
    Content { place: String, message: String },
}

impl ReadError {
    pub(crate) fn storage(cause: impl Into<BoxError>) -> Self {
        Self::Storage(cause.into())
    }

    pub(crate) fn content(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self::Content { place: place.to_string(), message: message.to_string() }
    }
}

/// Opens the bare repository at `path`, blind to the configuration of the machine and its users.
pub(crate) fn open(path: &Path, settings: &[String]) -> Result<Repository, ReadError> {
    let options = gix::open::Options::isolated()
        .with(gix::sec::Trust::Full)
        .open_path_as_is(true)
        .config_overrides(settings.iter().map(String::as_str));
    options.open(path).map(|repository| repository.to_thread_local()).map_err(ReadError::storage)
}

/// The commit a branch stands at; `None` before its first commit.
pub(crate) fn tip(repository: &Repository, reference: &str) -> Result<Option<ObjectId>, ReadError> {
    let found = repository.try_find_reference(reference).map_err(ReadError::storage)?;
    let peeled = found.map(|mut reference| reference.peel_to_id().map(gix::Id::detach));
    peeled.transpose().map_err(ReadError::storage)
}

/// What of a commit matters here.
pub(crate) struct Commit {
    pub(crate) tree: ObjectId,
    pub(crate) parent: Option<ObjectId>,
    pub(crate) message: String,
}

/// Reads a commit.
pub(crate) fn commit(repository: &Repository, id: ObjectId) -> Result<Commit, ReadError> {
    let data = object(repository, id, gix::objs::Kind::Commit)?;
    let commit = gix::objs::CommitRef::from_bytes(&data, id.kind()).map_err(ReadError::storage)?;
    let tree = commit.tree();
    let parent = commit.parents().next();
    Ok(Commit { tree, parent, message: commit.message.to_string() })
}

/// The manifest version at a commit: see [`layout`].
pub(crate) fn version(repository: &Repository, tip: ObjectId) -> Result<ManifestVersion, ReadError> {
    let at = |id: ObjectId| format!("commit {id}");
    let mut id = tip;
    let mut after = 0_u64;
    let named = loop {
        let commit = commit(repository, id)?;
        let named = layout::manifest_version(&commit.message).map_err(|error| {
            ReadError::content(at(id), format_args!("{}: {error}", layout::VERSION_TRAILER))
        })?;
        match (named, commit.parent) {
            (Some(named), _) => break named.get(),
            (None, None) => break 1,
            (None, Some(parent)) => id = parent,
        }
        after += 1;
    };
    let number = named.checked_add(after).and_then(ManifestVersion::new);
    number.ok_or_else(|| ReadError::content(at(tip), "there is no version after 18446744073709551615"))
}

/// Reads an object whose bytes are the ones its name names: an object that lost power while it was written is
/// an error, not other content.
pub(crate) fn object(
    repository: &Repository,
    id: ObjectId,
    kind: gix::objs::Kind,
) -> Result<Vec<u8>, ReadError> {
    let object = repository.find_object(id).map_err(ReadError::storage)?.detach();
    if object.kind != kind {
        return Err(ReadError::storage(format!("object {id} is a {}, not a {kind}", object.kind)));
    }
    let found = gix::objs::compute_hash(id.kind(), kind, &object.data).map_err(ReadError::storage)?;
    if found != id {
        return Err(ReadError::storage(format!("object {id} has the content of {found}")));
    }
    Ok(object.data)
}

/// The entries of a directory: mode, name, object.
pub(crate) fn entries(
    repository: &Repository,
    tree: ObjectId,
) -> Result<Vec<gix::objs::tree::Entry>, ReadError> {
    let data = object(repository, tree, gix::objs::Kind::Tree)?;
    let tree = gix::objs::TreeRef::from_bytes(&data, tree.kind()).map_err(ReadError::storage)?;
    Ok(tree.entries.iter().map(|entry| (*entry).into()).collect())
}
