use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::ObjectId;
use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{Kind, WriteTo};
use margo_api::{BoxError, DesiredStatePublisher, Publication, PublishError};
use margo_core::{ClientId, ManifestVersion};

use crate::durable::{self, ObjectWriter, WriteLock};
use crate::layout;
use crate::repository::{self, CommitId, ReadError};

/// The last second of the year 9999: beyond it, tools stop understanding dates.
const LAST_SECOND: u64 = 253_402_300_799;

/// How often publishing starts anew when somebody else moves the branch meanwhile.
const ATTEMPTS: u32 = 5;

/// Makes desired state visible in one bare repository for each client (R-A-004, R-A-018).
///
/// Every version is one commit whose tree is exactly the desired state; [`layout`] says where. A repository is
/// created with its first publication. A process killed at any moment leaves the old state or the new one,
/// and what it leaves behind (a lock, half an object) is cleared away by the next publication. Publishers in
/// other processes are waited for. An operator may run `git gc` in a repository at any time; nobody else but
/// publishers should write into it.
///
/// ```
/// use margo_api::{DesiredStatePublisher, Publication};
/// use margo_core::{ClientId, ManifestVersion};
/// use margo_git::GitPublisher;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let publisher = GitPublisher::open(folder.path())?;
/// let plc: ClientId = "plc-7".parse()?;
/// assert_eq!(publisher.published(&plc).await?, None);
///
/// let nothing = Publication::new(plc.clone(), ManifestVersion::FIRST, Vec::new());
/// publisher.publish(&nothing).await?;
/// assert_eq!(publisher.published(&plc).await?, Some(ManifestVersion::FIRST));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GitPublisher {
    root: Arc<Path>,
    clock: Option<Clock>,
}

type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

impl GitPublisher {
    /// Publishes into the folder `root`, which is created if need be.
    ///
    /// # Errors
    ///
    /// The folder cannot be created.
    pub fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(&root)?;
        Ok(Self { root: root.into(), clock: None })
    }

    /// Dates commits by `clock`, in seconds since 1970-01-01T00:00:00Z.
    ///
    /// Without a clock the date is the version itself, and the same publications make the same commits.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where the repository of a client is, or will be: `<root>/<client>.git`.
    #[must_use]
    pub fn repository(&self, client: &ClientId) -> PathBuf {
        repository_path(&self.root, client)
    }

    /// The commit and the version that are visible now; `None` when nothing was ever published for this client.
    ///
    /// # Errors
    ///
    /// The repository cannot be read.
    pub async fn tip(&self, client: &ClientId) -> Result<Option<(CommitId, ManifestVersion)>, PublishError> {
        let path = self.repository(client);
        let tip = blocking(client, move || Ok(Tip::read(&path)?)).await?;
        Ok(tip.map(|tip| (tip.commit.into(), tip.version)))
    }
}

impl DesiredStatePublisher for GitPublisher {
    async fn publish(&self, publication: &Publication) -> Result<(), PublishError> {
        let (publisher, publication) = (self.clone(), publication.clone());
        let client = publication.client_id.clone();
        blocking(&client, move || publisher.publish_blocking(&publication)).await
    }

    async fn published(&self, client: &ClientId) -> Result<Option<ManifestVersion>, PublishError> {
        Ok(self.tip(client).await?.map(|(_, version)| version))
    }
}

impl fmt::Debug for GitPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitPublisher").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The repository of a client. No two names meet: a client's id has neither `/` nor `+`.
pub(crate) fn repository_path(root: &Path, client: &ClientId) -> PathBuf {
    root.join(format!("{client}.git"))
}

impl GitPublisher {
    fn publish_blocking(&self, publication: &Publication) -> Result<(), BoxError> {
        let path = self.repository(&publication.client_id);
        if !path.is_dir() {
            let _lock = WriteLock::acquire(&self.root.join("+lock"))?;
            let scratch = self.root.join(format!("{}.git+new", publication.client_id));
            durable::create_repository(&path, &scratch, layout::BRANCH)?;
        }
        let _lock = WriteLock::acquire(&path.join("margo.lock"))?;
        for _ in 0..ATTEMPTS {
            let tip = Tip::read(&path)?;
            if tip.as_ref().is_some_and(|tip| tip.version >= publication.version) {
                // Whoever moved the branch may have been killed before it was durable.
                durable::sync_branch(&path, layout::BRANCH)?;
                return Ok(());
            }
            let from = tip.as_ref().map(|tip| tip.commit);
            let commit = self.write(&path, publication, tip)?;
            let is_expected = || Ok(branch(&path)? == from);
            if durable::move_branch(&path, layout::BRANCH, commit, is_expected)? {
                tracing::debug!(client = %publication.client_id, version = %publication.version, %commit, "published");
                return Ok(());
            }
        }
        Err("somebody else keeps moving the branch".into())
    }

    /// Writes the commit of a publication, and all it needs, durably. Nothing is visible yet.
    fn write(&self, path: &Path, publication: &Publication, tip: Option<Tip>) -> Result<ObjectId, BoxError> {
        let (parent, durable) = tip.map_or_else(Default::default, |tip| (Some(tip.commit), tip.objects));
        let mut objects = ObjectWriter::new(path, durable);

        let mut files = BTreeMap::new();
        for (id, bytes) in &publication.deployments {
            let blob = objects.write(Kind::Blob, bytes)?;
            if files.insert(layout::file_name(id), blob).is_some() {
                return Err(format!("deployment `{id}` is listed twice").into());
            }
        }
        let mut root = gix::objs::Tree::empty();
        if !files.is_empty() {
            let entries = files.into_iter().map(|(name, oid)| entry(EntryKind::Blob, &name, oid)).collect();
            let folder = objects.write(Kind::Tree, &encode(&gix::objs::Tree { entries })?)?;
            root.entries.push(entry(EntryKind::Tree, layout::FOLDER, folder));
        }
        let tree = objects.write(Kind::Tree, &encode(&root)?)?;

        let seconds = self.clock.as_ref().map_or(publication.version.get(), |clock| clock()).min(LAST_SECOND);
        let signature = gix::actor::Signature {
            name: layout::AUTHOR_NAME.into(),
            email: layout::AUTHOR_EMAIL.into(),
            time: gix::date::Time { seconds: i64::try_from(seconds).unwrap_or_default(), offset: 0 },
        };
        let commit = gix::objs::Commit {
            tree,
            parents: parent.into_iter().collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: layout::commit_message(publication.version).into(),
            extra_headers: Vec::new(),
        };
        let commit = objects.write(Kind::Commit, &encode(&commit)?)?;
        objects.finish()?;
        Ok(commit)
    }
}

/// What is visible now.
struct Tip {
    commit: ObjectId,
    version: ManifestVersion,
    /// The files and folders that are visible: all of them durable, because the branch was moved after them.
    objects: BTreeSet<ObjectId>,
}

impl Tip {
    fn read(path: &Path) -> Result<Option<Self>, ReadError> {
        if !path.is_dir() {
            return Ok(None);
        }
        let repository = repository::open(path, &[])?;
        let Some(commit) = repository::tip(&repository, BRANCH_REFERENCE)? else {
            return Ok(None);
        };
        let version = repository::version(&repository, commit)?;
        let root = repository::commit(&repository, commit)?.tree;
        let mut objects = BTreeSet::from([root]);
        for entry in repository::entries(&repository, root)? {
            if entry.mode.is_tree() {
                objects
                    .extend(repository::entries(&repository, entry.oid)?.into_iter().map(|entry| entry.oid));
            }
            objects.insert(entry.oid);
        }
        Ok(Some(Self { commit, version, objects }))
    }
}

pub(crate) const BRANCH_REFERENCE: &str = "refs/heads/main";

fn branch(path: &Path) -> Result<Option<ObjectId>, ReadError> {
    repository::tip(&repository::open(path, &[])?, BRANCH_REFERENCE)
}

fn entry(kind: EntryKind, name: &str, oid: ObjectId) -> Entry {
    Entry { mode: kind.into(), filename: name.into(), oid }
}

fn encode(object: &impl WriteTo) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    object.write_to(&mut data)?;
    Ok(data)
}

async fn blocking<T: Send + 'static>(
    client: &ClientId,
    job: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, PublishError> {
    let done = tokio::task::spawn_blocking(job).await;
    done.map_err(BoxError::from).flatten().map_err(|cause| PublishError::new(client.clone(), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_the_branch_of_the_layout() {
        assert_eq!(BRANCH_REFERENCE, format!("refs/heads/{}", layout::BRANCH));
    }
}
