//! As much of the manifests of images as tells how large they are.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The kinds of list that name one manifest for each platform.
const INDEXES: &[&str] =
    &["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

#[derive(Deserialize)]
struct Manifest {
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

pub(crate) fn is_index(media_type: &str) -> bool {
    INDEXES.contains(&media_type)
}

/// The bytes of everything a manifest names, each counted once. `None` for what is no manifest of an image.
pub(crate) fn size(manifest: &[u8]) -> Option<u64> {
    let Manifest { config, layers } = serde_json::from_slice(manifest).ok()?;
    let blobs: BTreeMap<_, _> =
        layers.iter().chain([&config]).map(|blob| (&blob.digest, blob.size)).collect();
    blobs.into_values().try_fold(0_u64, u64::checked_add)
}

/// The manifest for a platform such as `linux/arm64`: the first, as engines choose. `None` where there is none for it.
pub(crate) fn of_platform(index: &[u8], platform: &str) -> Option<margo_core::Digest> {
    let Index { manifests } = serde_json::from_slice(index).ok()?;
    let is_for = |entry: &&Entry| {
        let of = entry.platform.as_ref();
        of.is_some_and(|of| format!("{}/{}", of.os, of.architecture) == platform)
    };
    manifests.iter().find(is_for)?.digest.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_named_twice_is_pulled_once() {
        let manifest = json!({
            "config": { "digest": "a", "size": 10 },
            "layers": [{ "digest": "b", "size": 100 }, { "digest": "b", "size": 100 }, { "digest": "c", "size": 1 }],
        });
        assert_eq!(size(manifest.to_string().as_bytes()), Some(111));
        assert_eq!(size(b"{}"), None);
        let absurd = json!({
            "config": { "digest": "a", "size": u64::MAX },
            "layers": [{ "digest": "b", "size": 1 }],
        });
        assert_eq!(size(absurd.to_string().as_bytes()), None);
    }

    #[test]
    fn the_manifest_of_the_platform_is_found() {
        let digest = margo_core::Digest::of(b"arm");
        let index = json!({ "manifests": [
            { "digest": "sha256:0", "platform": { "os": "linux", "architecture": "amd64" } },
            { "digest": "x" },
            { "digest": digest, "platform": { "os": "linux", "architecture": "arm64", "variant": "v8" } },
        ] });
        let of = |platform: &str| of_platform(index.to_string().as_bytes(), platform);
        assert_eq!(of("linux/arm64"), Some(digest));
        assert_eq!(of("linux/amd64"), None, "its digest is none");
        assert_eq!(of("linux/s390x"), None);
        assert_eq!(of_platform(b"[]", "linux/arm64"), None);
    }
}
