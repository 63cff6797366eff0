//! The part of a source that works on a disk and waits for a network: everything here blocks.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gix::error::{Class, ResourceExhaustionKind};
use gix::progress::Discard;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::Transport as Conversation;
use gix::protocol::transport::client::blocking_io::http::Transport;
use gix::remote::{Connection, Direction, fetch::Tags};
use gix::{ObjectId, Repository};
use margo_api::{BoxError, Checkpoint, SourceError, SourceErrorKind, Update};
use margo_core::{Digest, Document, ManifestVersion};
use margo_deployment::{AnyApplicationDeployment, ApplicationDeployment, DeploymentRef};

use super::GitSourceConfig;
use super::content::{self, Content};
use super::http::{Fault, Interrupt, Requests, Session, chain};
use crate::durable;
use crate::repository::{self, ReadError};

/// Every fetch adds a pack. With so many of them, a clone is replaced by a fresh one, which has one.
const MAX_PACKS: usize = 50;

/// What a source keeps between polls.
#[derive(Debug)]
pub(super) struct Worker {
    config: Arc<GitSourceConfig>,
    pub(super) client: Option<reqwest::Client>,
    /// The newest content this source has seen.
    offered: Option<Content>,
    /// The newest commit the agent is known to have adopted; what the disk holds, once it was needed.
    adopted: Option<Adopted>,
    /// Whether the clone could not be read when content was fetched from it.
    is_suspect: bool,
}

/// One poll: how it is carried out, and how it is stopped.
#[derive(Debug)]
pub(super) struct Poll {
    /// `None` for a URL that needs no HTTP.
    pub(super) session: Option<Arc<Session>>,
    pub(super) interrupt: Arc<Interrupt>,
}

impl Worker {
    pub(super) fn new(config: Arc<GitSourceConfig>) -> Self {
        Self { config, client: None, offered: None, adopted: None, is_suspect: false }
    }

    pub(super) fn poll(&mut self, last: Option<Checkpoint>, poll: &Poll) -> Result<Update, SourceError> {
        if self.offered.is_none() {
            // A clone that cannot be read will be found out again, and replaced, while it is brought up to date.
            self.offered = self.read_clone().ok().flatten();
        }
        let adopted = last.and_then(|last| self.adopted(last));
        let Some(tip) = self.refresh(poll, adopted)? else {
            return match (last, adopted) {
                // Nothing was ever published.
                (None, _) => Ok(Update::Unchanged),
                (Some(_), Some(_)) => {
                    Err(SourceError::because(SourceErrorKind::RolledBack, "the branch is no longer there"))
                }
                (Some(_), None) => {
                    Err(SourceError::because(SourceErrorKind::Unavailable, "nothing has been published yet"))
                }
            };
        };
        match &self.offered {
            Some(content) if last == Some(Checkpoint::of(&content.manifest)) => Ok(Update::Unchanged),
            Some(content) => Ok(Update::Changed(content.manifest.clone())),
            None => Err(SourceError::because(SourceErrorKind::Corrupt, format!("commit {tip} was not read"))),
        }
    }

    pub(super) fn fetch(
        &mut self,
        reference: &DeploymentRef,
    ) -> Result<Document<ApplicationDeployment>, SourceError> {
        let fetched = self.read_deployment(reference.digest);
        let bytes = match fetched {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(SourceError::new(SourceErrorKind::NotFound)),
            Err(ReadError::Storage(cause)) => {
                tracing::warn!(error = chain(&*cause), "the clone may be damaged; the next poll replaces it");
                self.offered = None;
                self.is_suspect = true;
                return Err(SourceError::because(SourceErrorKind::Unavailable, ReadError::Storage(cause)));
            }
            Err(error) => return Err(SourceError::because(SourceErrorKind::Corrupt, error)),
        };
        let corrupt = |cause: BoxError| SourceError::because(SourceErrorKind::Corrupt, cause);
        let limits = &self.config.limits.document;
        let decode = |bytes: &[u8]| AnyApplicationDeployment::parse(bytes, limits);
        let document = Document::decode_verified(bytes, reference.digest, decode)
            .map_err(|error| corrupt(error.into()))?;
        let document = document.map(|deployment| deployment.upgrade(&self.config.device).value);
        if document.id != reference.deployment_id {
            let message =
                format!("the content is deployment `{}`, not `{}`", document.id, reference.deployment_id);
            return Err(corrupt(message.into()));
        }
        Ok(document)
    }

    fn read_deployment(&mut self, digest: Digest) -> Result<Option<Bytes>, ReadError> {
        if self.offered.is_none() {
            self.offered = self.read_clone()?;
        }
        let Some(blob) = self.offered.as_ref().and_then(|content| content.blobs.get(&digest)) else {
            return Ok(None);
        };
        let repository = self.open(&self.clone_path())?;
        content::read_blob(&repository, *blob, &digest.to_string(), &self.config.limits).map(Some)
    }

    /// The content at hand, without asking anybody.
    fn read_clone(&self) -> Result<Option<Content>, ReadError> {
        let path = self.clone_path();
        if !path.is_dir() {
            return Ok(None);
        }
        let repository = self.open(&path)?;
        let tip = repository::tip(&repository, &self.branch())?;
        tip.map(|tip| Content::read(&repository, tip, &self.config.limits)).transpose()
    }

    /// Brings the clone up to date and reads it. Returns where the branch stands, unless it is not there.
    fn refresh(&mut self, poll: &Poll, adopted: Option<ObjectId>) -> Result<Option<ObjectId>, SourceError> {
        let path = self.clone_path();
        if path.is_dir() && !self.is_suspect {
            let before = self.offered.as_ref().map(|content| content.tip);
            match self.refresh_at(&path, poll, adopted) {
                Ok(tip) if tip == before || packs(&path) <= MAX_PACKS => return Ok(tip),
                Ok(tip) => {
                    tracing::debug!("the clone holds many packs; replacing it");
                    // What there is will do until that works.
                    return Ok(self.replace_clone(&path, poll, adopted).unwrap_or(tip));
                }
                Err(Failure::Told(error)) => return Err(error),
                Err(Failure::Suspect(_, cause)) => {
                    tracing::warn!(error = chain(&*cause), "the clone may be damaged; replacing it");
                }
            }
        }
        self.replace_clone(&path, poll, adopted).map_err(Failure::into_error)
    }

    /// Clones anew. What is there is replaced only when its successor is complete.
    fn replace_clone(
        &mut self,
        path: &Path,
        poll: &Poll,
        adopted: Option<ObjectId>,
    ) -> Result<Option<ObjectId>, Failure> {
        let unavailable =
            |error: std::io::Error| Failure::Told(SourceError::because(SourceErrorKind::Unavailable, error));
        let next = self.config.directory.join("next.git");
        fs::create_dir_all(&self.config.directory).map_err(unavailable)?;
        durable::remove_dir(&next).map_err(unavailable)?;
        let scratch = self.config.directory.join("scratch.git");
        durable::create_repository(&next, &scratch, &self.config.branch).map_err(unavailable)?;
        let tip = self.refresh_at(&next, poll, adopted)?;
        durable::remove_dir(path).map_err(unavailable)?;
        fs::rename(&next, path).map_err(unavailable)?;
        self.is_suspect = false;
        Ok(tip)
    }

    fn refresh_at(
        &mut self,
        path: &Path,
        poll: &Poll,
        adopted: Option<ObjectId>,
    ) -> Result<Option<ObjectId>, Failure> {
        let repository = self.open(path)?;
        let Some(tip) = self.pull(&repository, poll)? else {
            return Ok(None);
        };
        if let Some(adopted) = adopted
            && adopted != tip
            && !descends(&repository, tip, adopted)?
        {
            // R-B-030, MI-003: whoever rewrites history does not tell what was withdrawn.
            let message = format!("commit {tip} does not follow {adopted}");
            return Err(Failure::Told(SourceError::because(SourceErrorKind::RolledBack, message)));
        }
        if self.offered.as_ref().is_none_or(|content| content.tip != tip) {
            self.offered = Some(Content::read(&repository, tip, &self.config.limits)?);
        }
        Ok(Some(tip))
    }

    /// Asks where the branch stands, and fetches what is missing, if anything is.
    fn pull(&self, repository: &Repository, poll: &Poll) -> Result<Option<ObjectId>, Failure> {
        let mapping = format!("+{0}:{0}", self.branch());
        let url = self.config.url.as_str();
        let remote = repository
            .remote_at(url)
            .and_then(|remote| remote.with_refspecs([mapping.as_str()], Direction::Fetch))
            .map_err(|error| Failure::protocol(error, poll))?
            .with_fetch_tags(Tags::None);
        let Some(session) = &poll.session else {
            let connection =
                remote.connect(Direction::Fetch).map_err(|error| Failure::protocol(error, poll))?;
            return self.pull_over(connection, repository, poll);
        };
        let url = gix::url::parse(url).map_err(|error| Failure::protocol(error, poll))?;
        let transport = Transport::new_http(Requests(Arc::clone(session)), url, Protocol::V2, false);
        // What the library would read from Git's configuration is not ours.
        let connection = remote.to_connection_with_transport(transport).with_transport_options(Box::new(()));
        self.pull_over(connection, repository, poll)
    }

    fn pull_over<T: Conversation>(
        &self,
        connection: Connection<'_, '_, '_, T>,
        repository: &Repository,
        poll: &Poll,
    ) -> Result<Option<ObjectId>, Failure> {
        let fetch = connection
            // No helper is asked, and no person.
            .with_credentials(|_| Ok(None))
            .prepare_fetch(Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| Failure::protocol(error, poll))?;
        let offered = fetch.ref_map().mappings.iter().find_map(|mapping| mapping.remote.as_id());
        let Some(tip) = offered.map(ToOwned::to_owned) else {
            return Ok(None);
        };
        if repository::tip(repository, &self.branch())? != Some(tip) {
            fetch.receive(Discard, poll.interrupt.flag()).map_err(|error| Failure::transfer(error, poll))?;
        }
        Ok(Some(tip))
    }

    /// The commit that is known to have led to `last`.
    fn adopted(&mut self, last: Checkpoint) -> Option<ObjectId> {
        let path = self.config.directory.join("adopted");
        if self.adopted.is_none() {
            self.adopted = Adopted::read(&path);
        }
        if let Some(content) = &self.offered
            && Checkpoint::of(&content.manifest) == last
        {
            let now = Adopted { commit: content.tip, checkpoint: last };
            if self.adopted.as_ref() != Some(&now) {
                if let Err(error) = now.write(&path) {
                    tracing::warn!(%error, "what was adopted will be forgotten with this process");
                }
                self.adopted = Some(now);
            }
        }
        self.adopted.as_ref().filter(|known| known.checkpoint == last).map(|known| known.commit)
    }

    fn open(&self, path: &Path) -> Result<Repository, ReadError> {
        let settings = [
            "core.logAllRefUpdates=false".to_owned(),
            format!("gitoxide.objects.allocLimit={}", self.config.limits.transfer_bytes),
        ];
        repository::open(path, &settings)
    }

    fn clone_path(&self) -> PathBuf {
        self.config.directory.join("clone.git")
    }

    /// The branch, in the clone as in its origin.
    fn branch(&self) -> String {
        format!("refs/heads/{}", self.config.branch)
    }
}

/// Whether `tip` has `ancestor` in its history.
fn descends(repository: &Repository, tip: ObjectId, ancestor: ObjectId) -> Result<bool, ReadError> {
    for commit in repository.rev_walk([tip]).all().map_err(ReadError::storage)? {
        if commit.map_err(ReadError::storage)?.id == ancestor {
            return Ok(true);
        }
    }
    Ok(false)
}

fn packs(clone: &Path) -> usize {
    let Ok(files) = fs::read_dir(clone.join("objects/pack")) else { return 0 };
    files
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "pack"))
        .count()
}

/// A commit whose manifest an agent has adopted completely. Kept beside the clone, and longer than it.
#[derive(Clone, Debug, PartialEq)]
struct Adopted {
    commit: ObjectId,
    checkpoint: Checkpoint,
}

impl Adopted {
    /// A file that is missing, or not one of ours, says that nothing is known.
    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut words = text.split_whitespace();
        let commit = ObjectId::from_hex(words.next()?.as_bytes()).ok()?;
        let version: ManifestVersion = words.next()?.parse().ok()?;
        let digest: Digest = words.next()?.parse().ok()?;
        Some(Self { commit, checkpoint: Checkpoint::new(version, digest) })
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let Checkpoint { version, digest, .. } = self.checkpoint;
        durable::replace(path, format!("{} {version} {digest}\n", self.commit).as_bytes())
    }
}

/// Why a clone could not be brought up to date.
#[derive(Debug)]
enum Failure {
    /// Another clone would not help.
    Told(SourceError),
    /// The clone may be damaged. If a fresh one fails likewise, it is the server's doing.
    Suspect(SourceErrorKind, BoxError),
}

impl Failure {
    /// Something went wrong while talking about references.
    fn protocol(error: gix::Error, poll: &Poll) -> Self {
        let fault =
            fault(error, poll).unwrap_or_else(|error| Fault::new(SourceErrorKind::Unavailable, error));
        Self::Told(fault.into())
    }

    /// Something went wrong while objects were found out, transferred and stored.
    fn transfer(error: gix::Error, poll: &Poll) -> Self {
        let limit = Class::ResourceExhaustion(ResourceExhaustionKind::AllocationLimit);
        let is_too_large = error.classify().has(limit);
        match fault(error, poll) {
            Ok(fault) => Self::Told(fault.into()),
            Err(error) if is_too_large => Self::Told(SourceError::because(SourceErrorKind::Corrupt, error)),
            Err(error) => Self::Suspect(SourceErrorKind::Unavailable, error),
        }
    }

    fn into_error(self) -> SourceError {
        match self {
            Self::Told(error) => error,
            Self::Suspect(kind, cause) => SourceError::because(kind, cause),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(cause) => Self::Suspect(SourceErrorKind::Corrupt, cause),
            content @ ReadError::Content { .. } => {
                Self::Told(SourceError::because(SourceErrorKind::Corrupt, content))
            }
        }
    }
}

impl From<Fault> for SourceError {
    fn from(fault: Fault) -> Self {
        Self::because(fault.kind, fault.cause).with_retry_after(fault.retry_after)
    }
}

/// What the transport knows about a failure, or else what the library says.
fn fault(error: gix::Error, poll: &Poll) -> Result<Fault, BoxError> {
    poll.session.as_ref().and_then(|session| session.take_fault()).ok_or_else(|| Said(error).into())
}

/// An error of the library, which says at first glance only what it was doing, with all it has to say.
struct Said(gix::Error);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter_errors().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { ": " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Said {}
