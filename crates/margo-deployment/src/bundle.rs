use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use margo_core::{DeploymentId, Digest};
use tar::{Archive, EntryType, Header};

use crate::DesiredStateManifest;

const BLOCK: usize = 512;

/// How many bytes are unpacked at once.
const BUFFER: usize = 32 << 10;

/// How much a bundle may hold. Each limit is checked while reading, so a small archive that unpacks into a
/// large one is given up as soon as it passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleLimits {
    /// The most bytes of the archive as received. 64 MiB by default.
    pub max_compressed: u64,
    /// The most bytes it may unpack into, headers and padding included. 256 MiB by default.
    pub max_unpacked: u64,
    /// The most entries. 10,000 by default.
    pub max_entries: usize,
    /// The most bytes of one entry. 16 MiB by default: what a document may have.
    pub max_entry_size: u64,
}

impl Default for BundleLimits {
    fn default() -> Self {
        Self {
            max_compressed: 64 << 20,
            max_unpacked: 256 << 20,
            max_entries: 10_000,
            max_entry_size: 16 << 20,
        }
    }
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The file's name: one segment, no path. It identifies nothing; content is found by digest.
    pub name: String,
    /// The file's content, exactly as packed.
    pub bytes: Bytes,
}

/// Packs deployments into one archive ([spec]): gzip over tar, each document at the root as `<id>.yaml`
/// (MI-019).
///
/// The bytes depend on nothing but the entries: not on their order, the time or the machine. If an id occurs
/// twice, the last one counts. An id of more than 95 bytes does not fit a plain tar header; its file is named
/// by the hex digits of its digest instead.
///
/// There is no bundle of nothing: a manifest without deployments has `bundle: null` (R-B-021).
///
/// ```
/// use margo_core::DeploymentId;
/// use margo_deployment::{BundleLimits, read_bundle, write_bundle};
///
/// let id: DeploymentId = "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?;
/// let yaml = "id: a3e2f5dc-912e-494f-8395-52cf3769bc06\n".into();
/// let bundle = write_bundle([(&id, &yaml)]);
/// let entries = read_bundle(&bundle, &BundleLimits::default())?;
/// assert_eq!(entries[0].name, "a3e2f5dc-912e-494f-8395-52cf3769bc06.yaml");
/// assert_eq!(entries[0].bytes, yaml);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#bundle
#[must_use]
pub fn write_bundle<'a>(entries: impl IntoIterator<Item = (&'a DeploymentId, &'a Bytes)>) -> Bytes {
    let entries: BTreeMap<_, _> = entries.into_iter().collect();
    let files: BTreeMap<_, _> =
        entries.into_iter().map(|(id, bytes)| (entry_name(id, bytes), bytes)).collect();
    let mut tar = Vec::new();
    for (name, bytes) in files {
        tar.extend_from_slice(header(&name, bytes).as_bytes());
        tar.extend_from_slice(bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    gzip(&tar).into()
}

/// Unpacks an archive within `limits`.
///
/// Nothing is written anywhere: the result is names and bytes. Still only plain files at the root are accepted,
/// so whoever writes them out cannot be led astray.
///
/// ```
/// use bytes::Bytes;
/// use margo_deployment::{BundleLimits, read_bundle, write_bundle};
///
/// let bundle = write_bundle([(&"a3e2f5dc".parse()?, &Bytes::from("id: a3e2f5dc\n"))]);
/// let entries = read_bundle(&bundle, &BundleLimits::default())?;
/// assert_eq!((entries[0].name.as_str(), &entries[0].bytes[..]), ("a3e2f5dc.yaml", &b"id: a3e2f5dc\n"[..]));
///
/// let mut limits = BundleLimits::default();
/// limits.max_entry_size = 4;
/// assert!(read_bundle(&bundle, &limits).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first entry that is not a plain file at the root, the first limit passed, or the first byte that does
/// not belong to a gzipped tar archive, bytes after its end included.
pub fn read_bundle(bytes: &[u8], limits: &BundleLimits) -> Result<Vec<Entry>, BundleError> {
    if bytes.len() as u64 > limits.max_compressed {
        return Err(BundleError::CompressedTooLarge { limit: limits.max_compressed });
    }
    let exceeded = Cell::new(false);
    let unreadable = |error| {
        if exceeded.get() {
            BundleError::UnpackedTooLarge { limit: limits.max_unpacked }
        } else {
            BundleError::Unreadable(error)
        }
    };
    let unpacked = Limited { inner: GzDecoder::new(bytes), left: limits.max_unpacked, exceeded: &exceeded };
    // `tar` reads in small pieces, and each would be a call into the decompressor.
    let mut archive = Archive::new(BufReader::with_capacity(BUFFER, unpacked));

    let mut entries: BTreeMap<String, Bytes> = BTreeMap::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if entries.len() == limits.max_entries {
            return Err(BundleError::TooManyEntries { limit: limits.max_entries });
        }
        let name = plain_name(&entry.path_bytes(), entry.header().entry_type())?;
        if entries.contains_key(&name) {
            return Err(BundleError::entry(name, EntryProblem::Repeated));
        }
        let size = entry.size();
        if size > limits.max_entry_size {
            return Err(BundleError::entry(name, EntryProblem::TooLarge { limit: limits.max_entry_size }));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 != size {
            return Err(BundleError::entry(name, EntryProblem::Truncated));
        }
        entries.insert(name, content.into());
    }

    let mut rest = archive.into_inner();
    drain(&mut rest).map_err(unreadable)?;
    if !rest.get_ref().inner.get_ref().is_empty() {
        return Err(BundleError::Unreadable(after_the_end()));
    }
    Ok(entries.into_iter().map(|(name, bytes)| Entry { name, bytes }).collect())
}

/// Checks that a bundle holds exactly the documents a manifest refers to (R-B-022), by digest and never by
/// name.
///
/// ```
/// use bytes::Bytes;
/// use margo_core::{Digest, ManifestVersion};
/// use margo_deployment::{
///     BundleLimits, DeploymentRef, DesiredStateManifest, read_bundle, verify_bundle, write_bundle,
/// };
///
/// let (id, yaml) = ("a3e2f5dc".parse()?, Bytes::from("id: a3e2f5dc\n"));
/// let wanted = DeploymentRef::new("a3e2f5dc".parse()?, Digest::of(&yaml));
/// let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, None, vec![wanted]);
///
/// let entries = read_bundle(&write_bundle([(&id, &yaml)]), &BundleLimits::default())?;
/// assert_eq!(verify_bundle(entries, &manifest)?[&Digest::of(&yaml)], yaml);
/// let other = read_bundle(&write_bundle([(&id, &Bytes::from("id: b"))]), &BundleLimits::default())?;
/// assert!(verify_bundle(other, &manifest).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The entry no deployment refers to, or the deployments that no entry holds.
pub fn verify_bundle(
    entries: impl IntoIterator<Item = Entry>,
    manifest: &DesiredStateManifest,
) -> Result<BTreeMap<Digest, Bytes>, BundleError> {
    let mut content = BTreeMap::new();
    for Entry { name, bytes } in entries {
        let digest = Digest::of(&bytes);
        let is_wanted = manifest.deployments.iter().any(|reference| reference.digest == digest);
        if !is_wanted || content.insert(digest, bytes).is_some() {
            return Err(BundleError::entry(name, EntryProblem::Unreferenced { digest }));
        }
    }
    let is_missing = |digest: &Digest| !content.contains_key(digest);
    let missing: Vec<_> = manifest
        .deployments
        .iter()
        .filter(|reference| is_missing(&reference.digest))
        .map(|reference| reference.deployment_id.clone())
        .collect();
    if missing.is_empty() { Ok(content) } else { Err(BundleError::Missing { deployments: missing }) }
}

/// Why an archive is not the bundle of a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The archive has too many bytes as received.
    #[error("bundle has more than {limit} bytes")]
    CompressedTooLarge {
        /// [`BundleLimits::max_compressed`].
        limit: u64,
    },
    /// The archive unpacks into too many bytes.
    #[error("bundle unpacks into more than {limit} bytes")]
    UnpackedTooLarge {
        /// [`BundleLimits::max_unpacked`].
        limit: u64,
    },
    /// The archive has too many entries.
    #[error("bundle has more than {limit} entries")]
    TooManyEntries {
        /// [`BundleLimits::max_entries`].
        limit: usize,
    },
    /// The bytes are not a gzipped tar archive.
    #[error("bundle is not a gzipped tar archive")]
    Unreadable(#[source] io::Error),
    /// One entry may not be there.
    #[error("bundle entry {name:?} {problem}")]
    Entry {
        /// The entry's name, shortened if it is long.
        name: String,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// The archive lacks documents the manifest refers to (R-B-022).
    #[error("bundle lacks the documents of {}", Listed(deployments))]
    Missing {
        /// The deployments whose documents are not there.
        deployments: Vec<DeploymentId>,
    },
}

impl BundleError {
    fn entry(name: impl Into<String>, problem: EntryProblem) -> Self {
        Self::Entry { name: name.into().chars().take(100).collect(), problem }
    }
}

/// What is wrong with an entry of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// A link, a directory, a device, or something else that is not a file.
    #[error("is a {kind}, not a plain file")]
    NotAFile {
        /// What it is.
        kind: &'static str,
    },
    /// The name leads away from the root of the archive.
    #[error("is not at the root of the archive")]
    NotAtRoot,
    /// The name is not text, or no system should be asked to create it.
    #[error("has a name that is not a plain file name")]
    UnsafeName,
    /// Another entry has the same name.
    #[error("occurs twice")]
    Repeated,
    /// The entry has too many bytes.
    #[error("has more than {limit} bytes")]
    TooLarge {
        /// [`BundleLimits::max_entry_size`].
        limit: u64,
    },
    /// The archive ends inside the entry.
    #[error("is cut short")]
    Truncated,
    /// No deployment of the manifest refers to the content, or another entry holds the same (R-B-022).
    #[error("has content {digest}, which no deployment still needs")]
    Unreferenced {
        /// The digest of the content.
        digest: Digest,
    },
}

struct Listed<'a>(&'a [DeploymentId]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, id) in self.0.iter().take(3).enumerate() {
            write!(f, "{}`{id}`", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(3) {
            0 => Ok(()),
            others => write!(f, " and {others} more"),
        }
    }
}

fn entry_name(id: &DeploymentId, bytes: &Bytes) -> String {
    match id.as_str() {
        short if short.len() <= 95 => format!("{short}.yaml"),
        _ => format!("{}.yaml", Digest::of(bytes).hex()),
    }
}

fn header(name: &str, content: &Bytes) -> Header {
    let mut header = Header::new_ustar();
    // `entry_name` is at most 100 bytes long, the length of the field.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    header
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    const UNKNOWN_SYSTEM: u8 = 255;
    let builder = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(tar).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

fn plain_name(path: &[u8], entry_type: EntryType) -> Result<String, BundleError> {
    let printable = || String::from_utf8_lossy(path).into_owned();
    if !matches!(entry_type, EntryType::Regular) {
        let kind = match entry_type {
            EntryType::Link => "hard link",
            EntryType::Symlink => "symbolic link",
            EntryType::Directory => "directory",
            EntryType::Char | EntryType::Block => "device",
            EntryType::Fifo => "pipe",
            _ => "special entry",
        };
        return Err(BundleError::entry(printable(), EntryProblem::NotAFile { kind }));
    }
    let Ok(name) = std::str::from_utf8(path) else {
        return Err(BundleError::entry(printable(), EntryProblem::UnsafeName));
    };
    // `tar -C folder .` writes `./name` for what lies at the root.
    let name = name.strip_prefix("./").unwrap_or(name);
    if name == ".." || name.contains(['/', '\\']) {
        return Err(BundleError::entry(printable(), EntryProblem::NotAtRoot));
    }
    if matches!(name, "" | ".") || name.len() > 255 || name.contains(|c: char| c.is_control() || c == ':') {
        return Err(BundleError::entry(printable(), EntryProblem::UnsafeName));
    }
    Ok(name.to_owned())
}

/// Reads what follows the last entry: padding, whose end carries gzip's own checksum.
fn drain(rest: &mut impl Read) -> io::Result<()> {
    let mut buffer = [0; 16 * BLOCK];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Err(after_the_end()),
            _ => {}
        }
    }
}

fn after_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bytes after the end of the archive")
}

/// A reader that fails, instead of ending, where a limit is passed.
struct Limited<'a, R> {
    inner: R,
    left: u64,
    exceeded: &'a Cell<bool>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            // The limit itself is allowed: only one more byte passes it.
            if self.inner.read(&mut [0])? == 0 {
                return Ok(0);
            }
            self.exceeded.set(true);
            return Err(io::Error::other("more than may be unpacked"));
        }
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..allowed])?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use margo_core::ManifestVersion;

    use super::*;
    use crate::{BundleRef, DeploymentRef};

    fn id(text: &str) -> DeploymentId {
        text.parse().unwrap()
    }

    /// An archive as an attacker, or another tool, writes it.
    fn archive(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, entry_type, content) in entries {
            let mut header = header("", &Bytes::copy_from_slice(content));
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(*entry_type);
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.extend_from_slice(content);
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        gzip(&tar)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, BundleError> {
        read_bundle(bytes, &BundleLimits::default())
    }

    #[track_caller]
    fn refused(bytes: &[u8], expected: &EntryProblem) {
        match read(bytes) {
            Err(BundleError::Entry { problem, .. }) => assert_eq!(&problem, expected),
            other => panic!("expected {expected:?}, found {other:?}"),
        }
    }

    #[test]
    fn entries_that_lead_elsewhere_are_refused() {
        let names: [&[u8]; 7] = [
            b"../a.yaml",
            b"/etc/passwd",
            b"a/b.yaml",
            b"a/../../b.yaml",
            b"././a.yaml",
            b"..\\a.yaml",
            b"..",
        ];
        for name in names {
            refused(&archive(&[(name, EntryType::Regular, b"x")]), &EntryProblem::NotAtRoot);
        }
        for name in [&b"C:a.yaml"[..], b"a\nb.yaml", b"\xff.yaml", b".", b"./"] {
            refused(&archive(&[(name, EntryType::Regular, b"x")]), &EntryProblem::UnsafeName);
        }
        let entries = read(&archive(&[(b"./a.yaml", EntryType::Regular, b"x")])).unwrap();
        assert_eq!(entries[0].name, "a.yaml");
    }

    #[test]
    fn only_plain_files_are_accepted() {
        for (entry_type, kind) in [
            (EntryType::Symlink, "symbolic link"),
            (EntryType::Link, "hard link"),
            (EntryType::Directory, "directory"),
            (EntryType::Char, "device"),
            (EntryType::Block, "device"),
            (EntryType::Fifo, "pipe"),
        ] {
            refused(&archive(&[(b"a.yaml", entry_type, b"")]), &EntryProblem::NotAFile { kind });
        }
    }

    #[test]
    fn an_error_names_the_entry() {
        let error = read(&archive(&[(b"../a.yaml", EntryType::Regular, b"x")])).unwrap_err();
        assert_eq!(error.to_string(), "bundle entry \"../a.yaml\" is not at the root of the archive");
    }

    /// Names a header has no room for, or that replace the one in the header.
    #[test]
    fn a_name_from_an_extended_header_is_no_way_out() {
        let gnu = archive(&[
            (b"././@LongLink", EntryType::GNULongName, b"../a.yaml\0"),
            (b"a.yaml", EntryType::Regular, b"x"),
        ]);
        refused(&gnu, &EntryProblem::NotAtRoot);
        let pax = archive(&[
            (b"pax", EntryType::XHeader, b"20 path=/etc/passwd\n"),
            (b"a.yaml", EntryType::Regular, b"x"),
        ]);
        refused(&pax, &EntryProblem::NotAtRoot);
    }

    #[test]
    fn names_are_used_once() {
        let twice =
            [(&b"a.yaml"[..], EntryType::Regular, &b"x"[..]), (b"./a.yaml", EntryType::Regular, b"y")];
        refused(&archive(&twice), &EntryProblem::Repeated);
    }

    #[test]
    fn a_gzip_bomb_stops_at_the_limit() {
        // Half a kilobyte that unpacks into half a megabyte of zeros, in one entry and behind the last one.
        let mut limits = BundleLimits { max_unpacked: 64 << 10, ..BundleLimits::default() };
        let zeros = vec![0; 512 << 10];
        let inside = archive(&[(b"a.yaml", EntryType::Regular, &zeros)]);
        assert!(inside.len() < 2 << 10);
        assert!(matches!(
            read_bundle(&inside, &limits),
            Err(BundleError::UnpackedTooLarge { limit }) if limit == 64 << 10
        ));
        let behind = gzip(&zeros);
        assert!(matches!(read_bundle(&behind, &limits), Err(BundleError::UnpackedTooLarge { .. })));

        limits.max_entry_size = 1 << 10;
        assert!(matches!(
            read_bundle(&inside, &limits),
            Err(BundleError::Entry { problem: EntryProblem::TooLarge { limit: 1024 }, .. })
        ));
    }

    #[test]
    fn every_limit_is_a_limit() {
        let documents = [(id("a"), Bytes::from("1")), (id("b"), Bytes::from("2"))];
        let bundle = write_bundle(documents.iter().map(|(id, bytes)| (id, bytes)));
        let unpacked = 2 * 2 * 512 + 2 * 512;

        let exact = BundleLimits {
            max_compressed: bundle.len() as u64,
            max_unpacked: unpacked,
            max_entries: 2,
            max_entry_size: 1,
        };
        assert_eq!(read_bundle(&bundle, &exact).unwrap().len(), 2);

        let with = |change: fn(&mut BundleLimits)| {
            let mut limits = exact;
            change(&mut limits);
            read_bundle(&bundle, &limits).unwrap_err()
        };
        assert!(matches!(with(|l| l.max_compressed -= 1), BundleError::CompressedTooLarge { .. }));
        assert!(matches!(with(|l| l.max_unpacked -= 1), BundleError::UnpackedTooLarge { .. }));
        assert!(matches!(with(|l| l.max_entries -= 1), BundleError::TooManyEntries { limit: 1 }));
        assert!(matches!(with(|l| l.max_entry_size -= 1), BundleError::Entry { .. }));
    }

    #[test]
    fn damage_and_stowaways_are_noticed() {
        let document = Bytes::from("id: a\n");
        let bundle = write_bundle([(&id("a"), &document)]);
        let unreadable = |bytes: &[u8]| matches!(read(bytes), Err(BundleError::Unreadable(_)));

        assert!(unreadable(b""));
        assert!(unreadable(b"id: a\n"));
        // The checksum at the very end is read as well.
        assert!(unreadable(&bundle[..bundle.len() - 1]));
        let mut damaged = bundle.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(unreadable(&damaged));
        // A second archive behind the first, in the file and in the stream.
        assert!(unreadable(&[&bundle[..], &bundle[..]].concat()));
        let mut tar = Vec::new();
        GzDecoder::new(&bundle[..]).read_to_end(&mut tar).unwrap();
        assert!(unreadable(&gzip(&[&tar[..], &tar[..]].concat())));
        // A header that promises more than there is.
        let mut promising = header("a.yaml", &document);
        promising.set_size(4096);
        promising.set_cksum();
        let cut = gzip(&[promising.as_bytes(), &b"short"[..]].concat());
        assert!(read(&cut).is_err());
    }

    #[test]
    fn a_long_id_still_has_a_plain_name() {
        let long = id(&"x".repeat(255));
        let document = Bytes::from("content");
        let entries = read(&write_bundle([(&long, &document)])).unwrap();
        assert_eq!(entries[0].name, format!("{}.yaml", Digest::of(&document).hex()));
        let edge = id(&"x".repeat(95));
        assert_eq!(read(&write_bundle([(&edge, &document)])).unwrap()[0].name, format!("{edge}.yaml"));
    }

    /// R-B-022, MI-019: exactly what the manifest refers to, whatever the names.
    #[test]
    fn a_bundle_holds_exactly_what_its_manifest_names() {
        let documents = [(id("a"), Bytes::from("1")), (id("b"), Bytes::from("2"))];
        let references =
            documents.iter().map(|(id, bytes)| DeploymentRef::new(id.clone(), Digest::of(bytes))).collect();
        let bundle = BundleRef::new(Digest::of(b""), 0);
        let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), references);
        let entry = |name: &str, bytes: &'static str| Entry { name: name.into(), bytes: bytes.into() };

        let content = verify_bundle([entry("x", "2"), entry("y", "1")], &manifest).unwrap();
        assert_eq!(content[&Digest::of(b"2")], "2");
        assert_eq!(content.len(), 2);

        let error = verify_bundle([entry("a", "1")], &manifest).unwrap_err();
        assert_eq!(error.to_string(), "bundle lacks the documents of `b`");
        for extra in [entry("c", "3"), entry("c", "1")] {
            let error = verify_bundle([entry("a", "1"), entry("b", "2"), extra], &manifest).unwrap_err();
            assert!(matches!(error, BundleError::Entry { name, .. } if name == "c"));
        }
    }
}
