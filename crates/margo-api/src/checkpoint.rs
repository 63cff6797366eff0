use margo_core::{Digest, Document, ManifestVersion};
use margo_deployment::DesiredStateManifest;
use serde::{Deserialize, Serialize};

/// A state manifest a device has adopted completely: what it remembers to refuse older ones (R-B-029, R-B-030).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Checkpoint {
    /// The version of the manifest.
    pub version: ManifestVersion,
    /// The digest of its exact bytes: the `ETag` without its quotes (R-B-034).
    pub digest: Digest,
}

impl Checkpoint {
    /// The checkpoint of a manifest with this version and digest.
    #[must_use]
    pub fn new(version: ManifestVersion, digest: Digest) -> Self {
        Self { version, digest }
    }

    /// The checkpoint that adopting `manifest` leads to.
    #[must_use]
    pub fn of(manifest: &Document<DesiredStateManifest>) -> Self {
        Self { version: manifest.manifest_version, digest: manifest.digest() }
    }
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "desired state has changed or it has not")]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it arrives, never kept")]
pub enum Update {
    /// The manifest is the one already held (R-B-035).
    Unchanged,
    /// The manifest is another one. Whether it may be acted on is for the agent to decide.
    Changed(Document<DesiredStateManifest>),
}
