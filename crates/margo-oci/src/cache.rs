//! Packages by digest, in a folder of bounded size.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use margo_core::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The most references that are remembered; each is a few hundred bytes.
const MAX_RECORDS: usize = 1000;

/// The most bytes of a remembered reference.
const MAX_RECORD: u64 = 1 << 16;

/// Room that is left on the file system for everything else, in bytes.
const RESERVE: u64 = 16 << 20;

/// ```text
/// blobs/<hex>      complete, and of that digest when it was put there
/// partial/<name>   on its way
/// records/<hex>    what a reference meant last
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: Arc<Path>,
    max: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// When each was used last, in this process.
    uses: BTreeMap<String, u64>,
    count: u64,
    leases: BTreeMap<String, Weak<()>>,
    /// Who is fetching what.
    locks: BTreeMap<String, Weak<tokio::sync::Mutex<()>>>,
}

/// Keeps a package from being thrown away.
#[derive(Clone, Debug)]
pub(crate) struct Lease(#[expect(dead_code, reason = "held, not read")] Arc<()>);

/// What a reference meant when its registry was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

impl Cache {
    pub(crate) fn open(root: &Path, max: u64) -> io::Result<Self> {
        for folder in ["blobs", "partial", "records"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root: root.into(), max, state: Arc::default() })
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs").join(digest.hex())
    }

    /// Where a package is put together. The name says which, so that the next attempt finds it.
    pub(crate) fn partial(&self, name: &str) -> PathBuf {
        self.root.join("partial").join(name)
    }

    /// The package of this digest and size, if it is here and still is what it was. One that is not is thrown away.
    pub(crate) fn find(&self, digest: Digest, size: u64) -> io::Result<Option<Lease>> {
        let lease = self.lease(&digest.hex());
        let path = self.blob(digest);
        let found = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => hash(&mut file?)?,
        };
        if found == (digest, size) {
            return Ok(Some(lease));
        }
        tracing::warn!(%digest, "a package in the cache has changed and is thrown away");
        fs::remove_file(&path)?;
        Ok(None)
    }

    /// Moves a complete package of this digest to its place. It survives a power cut from then on.
    pub(crate) fn keep(&self, partial: &Path, digest: Digest) -> io::Result<Lease> {
        let lease = self.lease(&digest.hex());
        File::open(partial)?.sync_all()?;
        fs::rename(partial, self.blob(digest))?;
        File::open(self.root.join("blobs"))?.sync_all()?;
        Ok(lease)
    }

    /// Makes room for `size` bytes: throws away what is used least, but nothing that is in use.
    ///
    /// # Errors
    ///
    /// `StorageFull` when the file system has less room than that even then.
    pub(crate) fn make_room(&self, size: u64, partial: &str) -> io::Result<()> {
        let mut kept = Vec::new();
        for folder in ["blobs", "partial"] {
            for entry in fs::read_dir(self.root.join(folder))? {
                let entry = entry?;
                // Gone in between.
                let Ok(metadata) = entry.metadata() else { continue };
                let name = entry.file_name().to_string_lossy().into_owned();
                let used = self.state().uses.get(&name).copied();
                let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                kept.push(((used, changed), entry.path(), name, metadata.len()));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(.., size)| size).sum();
        for (_, path, name, length) in kept {
            let is_needed =
                total.saturating_add(size) > self.max || self.free()? < size.saturating_add(RESERVE);
            if !is_needed {
                return Ok(());
            }
            if name == partial || self.is_in_use(&name) {
                continue;
            }
            tracing::info!(package = %name, "thrown away to make room");
            fs::remove_file(&path)?;
            self.state().uses.remove(&name);
            total -= length;
        }
        let free = self.free()?;
        if free < size.saturating_add(RESERVE) {
            let message = format!("{size} bytes are needed, and {free} are free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(())
    }

    pub(crate) fn remember(&self, reference: &str, record: &Record) -> io::Result<()> {
        let folder = self.root.join("records");
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        serde_json::to_writer(&mut file, record)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(Digest::of(reference.as_bytes()).hex())).map_err(|error| error.error)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            names.push((entry.metadata()?.modified()?, entry.path()));
        }
        names.sort();
        let surplus = names.len().saturating_sub(MAX_RECORDS);
        names.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// What a reference meant last, if that is still known.
    pub(crate) fn recall(&self, reference: &str) -> Option<Record> {
        let path = self.root.join("records").join(Digest::of(reference.as_bytes()).hex());
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Lets one at a time fetch what has this name.
    pub(crate) fn lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut state = self.state();
        state.locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = state.locks.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        state.locks.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }

    fn lease(&self, name: &str) -> Lease {
        let mut state = self.state();
        state.count += 1;
        let now = state.count;
        state.uses.insert(name.to_owned(), now);
        state.leases.retain(|_, lease| lease.strong_count() > 0);
        let lease = state.leases.get(name).and_then(Weak::upgrade).unwrap_or_default();
        state.leases.insert(name.to_owned(), Arc::downgrade(&lease));
        Lease(lease)
    }

    fn is_in_use(&self, name: &str) -> bool {
        let state = self.state();
        let is_leased = state.leases.get(name).is_some_and(|lease| lease.strong_count() > 0);
        is_leased || state.locks.get(name).is_some_and(|lock| lock.strong_count() > 0)
    }

    /// In bytes, for whoever this program runs as.
    fn free(&self) -> io::Result<u64> {
        let file_system = rustix::fs::statvfs(&*self.root)?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Digest and length of a file.
fn hash(file: &mut File) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let size = io::copy(file, &mut hasher)?;
    Ok((Digest::from(<[u8; 32]>::from(hasher.finalize())), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Cache, bytes: &[u8]) -> (Digest, Lease) {
        let digest = Digest::of(bytes);
        let partial = cache.partial(&digest.hex());
        fs::write(&partial, bytes).unwrap();
        (digest, cache.keep(&partial, digest).unwrap())
    }

    #[test]
    fn what_is_used_least_goes_first_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 30).unwrap();
        let (one, _) = put(&cache, &[1; 10]);
        let (two, _) = put(&cache, &[2; 10]);
        let (three, lease) = put(&cache, &[3; 10]);
        assert!(cache.find(one, 10).unwrap().is_some());
        cache.make_room(10, "").unwrap();
        assert!(cache.find(two, 10).unwrap().is_none());
        cache.make_room(30, "").unwrap();
        assert!(cache.find(one, 10).unwrap().is_none());
        assert!(cache.find(three, 10).unwrap().is_some());
        drop(lease);
        cache.make_room(30, "").unwrap();
        assert!(cache.find(three, 10).unwrap().is_none());
    }

    #[test]
    fn what_another_process_left_goes_before_what_is_used() {
        let folder = tempfile::tempdir().unwrap();
        put(&Cache::open(folder.path(), 30).unwrap(), &[9; 10]);
        fs::write(folder.path().join("partial/old"), [0; 10]).unwrap();
        let cache = Cache::open(folder.path(), 30).unwrap();
        let (digest, _) = put(&cache, &[1; 10]);
        cache.make_room(20, "").unwrap();
        assert!(cache.find(digest, 10).unwrap().is_some());
        assert_eq!(fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
    }

    #[test]
    fn what_has_changed_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 30).unwrap();
        let (digest, _) = put(&cache, b"whole");
        fs::write(cache.blob(digest), b"whale").unwrap();
        assert!(cache.find(digest, 5).unwrap().is_none());
        assert!(!cache.blob(digest).exists());
    }

    #[test]
    fn more_than_the_file_system_has_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), u64::MAX).unwrap();
        let error = cache.make_room(u64::MAX >> 1, "").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_reference_is_remembered_across_processes() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record { digest: Digest::of(b"x"), size: 1, etag: Some("\"1\"".to_owned()) };
        Cache::open(folder.path(), 1).unwrap().remember("r/a:1", &record).unwrap();
        let cache = Cache::open(folder.path(), 1).unwrap();
        assert_eq!(cache.recall("r/a:1"), Some(record));
        assert_eq!(cache.recall("r/a:2"), None);
    }
}
