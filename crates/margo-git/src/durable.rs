//! Writing so that a killed process or a lost power supply leaves either the old state or the new one.
//!
//! The Git library writes without waiting for the disk. Here everything is written beside its place, flushed,
//! and renamed; folders are flushed after what they name.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix::ObjectId;
use gix::objs::Kind;
use margo_api::BoxError;

/// How long a lock of a branch is respected that is not ours. Git itself, packing references, holds one for
/// milliseconds; whoever was killed holds it for ever.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Creates an empty bare repository at `path`, whose default branch is `branch`. An existing one is left alone.
///
/// `scratch` is a path beside it that nobody else uses.
pub(crate) fn create_repository(path: &Path, scratch: &Path, branch: &str) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    remove_dir(scratch)?;
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    write_new(&scratch.join("HEAD"), format!("ref: refs/heads/{branch}\n").as_bytes())?;
    write_new(
        &scratch.join("config"),
        b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
    )?;
    for folder in ["objects/info", "objects/pack", "objects", "refs/heads", "refs/tags", "refs", ""] {
        sync_dir(&scratch.join(folder))?;
    }
    fs::rename(scratch, path)?;
    sync_parent(path)
}

/// Removes a folder, if there is one.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file.
#[cfg(feature = "source")]
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".new");
    let scratch = PathBuf::from(scratch);
    remove_file(&scratch)?;
    write_new(&scratch, content)?;
    fs::rename(&scratch, path)?;
    sync_parent(path)
}

/// Holds back every other writer of a repository, of this process or another, until dropped.
#[derive(Debug)]
pub(crate) struct WriteLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl WriteLock {
    /// Waits until nobody else holds the lock at `path`. A killed process holds none.
    pub(crate) fn acquire(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(Self(file))
    }
}

/// Writes loose objects. Whoever does holds the repository's [`WriteLock`].
pub(crate) struct ObjectWriter {
    objects: PathBuf,
    folders: BTreeSet<PathBuf>,
    durable: BTreeSet<ObjectId>,
}

impl ObjectWriter {
    /// Into the repository at `repository`, which already holds `durable`.
    ///
    /// Whatever else is there may be what a lost power supply left of an object, and is written again.
    pub(crate) fn new(repository: &Path, durable: BTreeSet<ObjectId>) -> Self {
        Self { objects: repository.join("objects"), folders: BTreeSet::new(), durable }
    }

    /// Writes an object and returns its name.
    pub(crate) fn write(&mut self, kind: Kind, data: &[u8]) -> Result<ObjectId, BoxError> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, data)?;
        if !self.durable.insert(id) {
            return Ok(id);
        }
        let hex = id.to_hex().to_string();
        let (folder, name) = hex.split_at(2);
        let folder = self.objects.join(folder);
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
            self.folders.insert(self.objects.clone());
        }

        // A killed writer may have left one; `git gc` knows the name as well.
        let scratch = self.objects.join("tmp_obj_margo");
        remove_file(&scratch)?;
        let mut encoder = ZlibEncoder::new(new_file(&scratch)?, Compression::default());
        encoder.write_all(&gix::objs::encode::loose_header(kind, data.len() as u64))?;
        encoder.write_all(data)?;
        let file = encoder.finish()?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&scratch, folder.join(name))?;
        self.folders.insert(folder);
        Ok(id)
    }

    /// Returns when everything written will be found after a loss of power.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| sync_dir(folder))
    }
}

/// Moves a branch to another commit, if `is_expected` says that it still stands where it should.
///
/// Returns whether it did. The lock of a killed writer is removed.
pub(crate) fn move_branch(
    repository: &Path,
    branch: &str,
    to: ObjectId,
    is_expected: impl FnOnce() -> Result<bool, BoxError>,
) -> Result<bool, BoxError> {
    let heads = repository.join("refs/heads");
    fs::create_dir_all(&heads)?;
    let lock = BranchLock::acquire(heads.join(format!("{branch}.lock")))?;
    if !is_expected()? {
        return Ok(false);
    }
    lock.commit(&heads.join(branch), format!("{to}\n").as_bytes())?;
    sync_dir(&heads)?;
    Ok(true)
}

/// Returns when a branch that somebody may just have moved will be found there after a loss of power.
pub(crate) fn sync_branch(repository: &Path, branch: &str) -> io::Result<()> {
    let heads = repository.join("refs/heads");
    match File::open(heads.join(branch)) {
        Ok(file) => file.sync_all()?,
        // Packed: whoever packed it has seen to it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    sync_dir(&heads)
}

/// The file that Git takes for the lock of a branch, and its next content.
struct BranchLock {
    path: PathBuf,
    file: File,
    is_committed: bool,
}

impl BranchLock {
    fn acquire(path: PathBuf) -> io::Result<Self> {
        let mut waited = Duration::ZERO;
        loop {
            match new_file(&path) {
                Ok(file) => return Ok(Self { path, file, is_committed: false }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if waited < PATIENCE => {
                    std::thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(_) => {
                    tracing::warn!(path = %path.display(), "removing the lock of a writer that no longer is");
                    remove_file(&path)?;
                    waited = Duration::ZERO;
                }
            }
        }
    }

    fn commit(mut self, to: &Path, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()?;
        fs::rename(&self.path, to)?;
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for BranchLock {
    fn drop(&mut self) {
        if !self.is_committed {
            // Nothing can be done here; the next writer removes it.
            let _ = remove_file(&self.path);
        }
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = new_file(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere a folder cannot be opened, and is the file system's own business.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compare and swap: a branch that no longer stands where it should is left alone, and so is its lock's place.
    #[test]
    fn a_branch_that_was_moved_by_somebody_else_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.git");
        create_repository(&path, &folder.path().join("scratch"), "main").unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let id = |hex: &str| ObjectId::from_hex(hex.as_bytes()).unwrap();

        assert!(move_branch(&path, "main", id(&one), || Ok(true)).unwrap());
        assert!(!move_branch(&path, "main", id(&two), || Ok(false)).unwrap());
        assert!(move_branch(&path, "main", id(&two), || Err("unreadable".into())).is_err());
        assert_eq!(fs::read_to_string(path.join("refs/heads/main")).unwrap(), one + "\n");
        let left: Vec<_> = fs::read_dir(path.join("refs/heads")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_is_durable_is_not_written_again_and_all_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.git");
        create_repository(&path, &folder.path().join("scratch"), "main").unwrap();
        let file = |id: ObjectId| {
            let hex = id.to_hex().to_string();
            path.join("objects").join(&hex[..2]).join(&hex[2..])
        };
        let mut writer = ObjectWriter::new(&path, BTreeSet::new());
        let id = writer.write(Kind::Blob, b"pump").unwrap();
        writer.finish().unwrap();

        // What a lost power supply leaves.
        fs::remove_file(file(id)).unwrap();
        fs::write(file(id), "").unwrap();
        ObjectWriter::new(&path, BTreeSet::from([id])).write(Kind::Blob, b"pump").unwrap();
        assert_eq!(fs::read(file(id)).unwrap(), b"");
        ObjectWriter::new(&path, BTreeSet::new()).write(Kind::Blob, b"pump").unwrap();
        assert_ne!(fs::read(file(id)).unwrap(), b"");
    }
}
