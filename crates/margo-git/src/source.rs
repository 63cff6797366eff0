mod content;
mod http;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use margo_api::{Checkpoint, DesiredStateSource, SourceError, SourceErrorKind, Update};
use margo_core::{DeviceTarget, Document};
use margo_deployment::{ApplicationDeployment, DeploymentRef};
use margo_syntax::Limits;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use self::http::{Interrupt, Session};
use self::worker::{Poll, Worker};
use crate::layout;

/// Desired state from a Git repository (R-A-005, R-A-019, R-A-020).
///
/// A poll asks the server where the branch stands: two small requests. Only when it has moved is anything
/// fetched, into a bare clone that is the source's own; a clone that is damaged is replaced. [`layout`] says
/// what counts as a deployment. The manifest is made from the commit: its version, and each deployment with
/// the digest of its exact bytes. It has no bundle, because Git fetches everything at once.
///
/// A branch that was moved to a commit which does not follow the one the agent has adopted is
/// [`RolledBack`](SourceErrorKind::RolledBack). A repository without the branch is unchanged to an agent that
/// has adopted nothing, because nothing was ever published; otherwise the branch's absence is an error, never a
/// removal.
///
/// No program is started: the Git library works in this process. (A `file:` URL is the exception: there the
/// server's side is `git upload-pack`, as everywhere.)
///
/// # TLS
///
/// The process must install a TLS provider once, before the first poll over HTTP, encrypted or not:
/// `rustls::crypto::ring::default_provider().install_default()`. Without it every poll fails and says so. The
/// platform's certificates are trusted, or those of a plant's own authority alone
/// ([`root_certificates`](GitSourceConfig::root_certificates)).
///
/// ```
/// use margo_api::{DesiredStatePublisher, DesiredStateSource, Publication, Update};
/// use margo_core::ManifestVersion;
/// use margo_git::{GitPublisher, GitSource, GitSourceConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let publisher = GitPublisher::open(folder.path().join("manager"))?;
/// let nothing = Publication::new("plc-7".parse()?, ManifestVersion::FIRST, Vec::new());
/// publisher.publish(&nothing).await?;
///
/// let url = url::Url::from_file_path(publisher.repository(&nothing.client_id)).unwrap();
/// let config = GitSourceConfig::new(url, folder.path().join("device"), "plc-7".parse()?);
/// let source = GitSource::new(config)?;
/// let Update::Changed(manifest) = source.poll(None).await? else { panic!("nothing was published") };
/// assert_eq!(manifest.manifest_version, ManifestVersion::FIRST);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GitSource {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<GitSourceConfig>,
    token: RwLock<Option<Token>>,
    worker: Arc<Mutex<Worker>>,
}

/// Where a [`GitSource`] looks, and how much it takes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GitSourceConfig {
    /// The repository: an `https`, `http` or `file` URL. The token is not part of it.
    pub url: Url,
    /// What the device was given with the URL (R-A-019). Sent as the password of HTTP's basic authentication
    /// (MI-004).
    pub token: Option<Token>,
    /// Certificates in PEM, one after the other: what these signed is trusted, and nothing else. Empty, the default,
    /// for those of the platform.
    pub root_certificates: Vec<u8>,
    /// The folder for the clone, created if need be; this source's alone.
    pub directory: PathBuf,
    /// The branch. Default [`layout::BRANCH`].
    pub branch: String,
    /// The device this repository is for: deployments of the pre-draft do not say.
    pub device: DeviceTarget,
    /// How long one poll may take. Default 120 s.
    pub timeout: Duration,
    /// How much is taken. Default [`GitLimits::default`].
    pub limits: GitLimits,
}

impl GitSourceConfig {
    /// The branch `main` of the repository at `url`, for `device`, cloned into `directory`.
    #[must_use]
    pub fn new(url: Url, directory: impl Into<PathBuf>, device: DeviceTarget) -> Self {
        Self {
            url,
            token: None,
            root_certificates: Vec::new(),
            directory: directory.into(),
            branch: layout::BRANCH.to_owned(),
            device,
            timeout: Duration::from_mins(2),
            limits: GitLimits::default(),
        }
    }
}

/// How much a [`GitSource`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitLimits {
    /// The most bytes one poll transfers over HTTP, and the largest object that is unpacked. Default 64 MiB.
    pub transfer_bytes: u64,
    /// The most files and folders in a commit. Default 10,000.
    pub files: usize,
    /// What one document may hold. Default 1 MiB of text.
    pub document: Limits,
}

impl Default for GitLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            transfer_bytes: 64 * MIB as u64,
            files: 10_000,
            document: Limits::default().with_max_bytes(MIB),
        }
    }
}

/// A secret. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a source cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitConfigError {
    /// The URL has another scheme.
    #[error("expected an `https`, `http` or `file` URL, found `{scheme}`")]
    Scheme {
        /// What it has.
        scheme: String,
    },
    /// The URL contains a user or a password, which would end up in logs.
    #[error("the URL contains credentials; the token has a place of its own")]
    Credentials,
    /// A token would go to another host without encryption, for anybody on the way to read.
    #[error("a token is not sent to an `http` URL of another host")]
    Exposed,
    /// The branch cannot be the name of one.
    #[error("`{branch}` is not the name of a branch")]
    Branch {
        /// The name.
        branch: String,
    },
    /// The root certificates are not certificates in PEM.
    #[error("the root certificates cannot be read: {reason}")]
    RootCertificates {
        /// What is wrong with them.
        reason: String,
    },
}

impl GitSource {
    /// A source that has not asked anybody yet.
    ///
    /// # Errors
    ///
    /// A URL, a branch or root certificates this source cannot use.
    pub fn new(config: GitSourceConfig) -> Result<Self, GitConfigError> {
        if !matches!(config.url.scheme(), "https" | "http" | "file") {
            return Err(GitConfigError::Scheme { scheme: config.url.scheme().to_owned() });
        }
        if !config.url.username().is_empty() || config.url.password().is_some() {
            return Err(GitConfigError::Credentials);
        }
        if config.token.is_some() && is_exposed(&config.url) {
            return Err(GitConfigError::Exposed);
        }
        let reference = format!("refs/heads/{}", config.branch);
        if config.branch.starts_with('-') || gix::refs::FullName::try_from(reference).is_err() {
            return Err(GitConfigError::Branch { branch: config.branch });
        }
        http::root_certificates(&config.root_certificates)
            .map_err(|reason| GitConfigError::RootCertificates { reason })?;
        let token = RwLock::new(config.token.clone());
        let config = Arc::new(config);
        let worker = Arc::new(Mutex::new(Worker::new(Arc::clone(&config))));
        Ok(Self { shared: Arc::new(Shared { config, token, worker }) })
    }

    /// Uses another token from the next poll on: tokens are short-lived and rotated (R-A-016, R-A-017). At an `http` URL
    /// of another host, no poll succeeds with one: it could be read on the way.
    pub fn set_token(&self, token: Option<Token>) {
        *self.shared.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Has the worker do something, when it is free, within the time a poll may take. Whoever stops waiting
    /// interrupts it.
    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker, Arc<Interrupt>) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let interrupt = Arc::new(Interrupt::default());
        let _on_drop = InterruptOnDrop(Arc::clone(&interrupt));
        let work = async {
            let mut worker = Arc::clone(&self.shared.worker).lock_owned().await;
            tokio::task::spawn_blocking(move || job(&mut worker, interrupt)).await
        };
        let unavailable = |cause| SourceError::because(SourceErrorKind::Unavailable, cause);
        match tokio::time::timeout(self.shared.config.timeout, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => Err(SourceError::because(SourceErrorKind::Unavailable, panicked)),
            Err(_) => Err(unavailable(format!("no answer within {:?}", self.shared.config.timeout))),
        }
    }
}

impl DesiredStateSource for GitSource {
    async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
        let Shared { config, token, .. } = &*self.shared;
        let token = token.read().unwrap_or_else(PoisonError::into_inner).clone();
        if token.is_some() && is_exposed(&config.url) {
            return Err(SourceError::because(SourceErrorKind::Unauthorized, GitConfigError::Exposed));
        }
        let deadline = Instant::now() + config.timeout;
        let runtime = tokio::runtime::Handle::current();
        let config = Arc::clone(config);
        self.work(move |worker, interrupt| {
            let session = if config.url.scheme() == "file" {
                None
            } else {
                let client = match &worker.client {
                    Some(client) => client.clone(),
                    None => worker.client.insert(http::client(&config)?).clone(),
                };
                let max_bytes = config.limits.transfer_bytes;
                Some(Session::new(client, runtime, token, deadline, Arc::clone(&interrupt), max_bytes))
            };
            worker.poll(last, &Poll { session, interrupt })
        })
        .await
    }

    async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        let reference = reference.clone();
        self.work(move |worker, _| worker.fetch(&reference)).await
    }
}

/// Whether what is sent to `url` can be read on the way.
fn is_exposed(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !stays_here
}

struct InterruptOnDrop(Arc<Interrupt>);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(url: &str, branch: &str) -> Result<GitSource, GitConfigError> {
        let mut config = GitSourceConfig::new(url.parse().unwrap(), "clone", "plc-7".parse().unwrap());
        config.branch = branch.to_owned();
        GitSource::new(config)
    }

    #[test]
    fn what_cannot_work_is_refused_at_once() {
        assert!(new("https://wfm.example/git/plc-7", "main").is_ok());
        let scheme = GitConfigError::Scheme { scheme: "ssh".to_owned() };
        assert_eq!(new("ssh://wfm.example/plc-7", "main").unwrap_err(), scheme);
        assert_eq!(
            new("https://margo:secret@wfm.example/", "main").unwrap_err(),
            GitConfigError::Credentials
        );
        for branch in ["", "-x", "a b", "a..b", "a.lock"] {
            assert!(
                matches!(new("https://wfm.example/", branch), Err(GitConfigError::Branch { .. })),
                "{branch}"
            );
        }
    }

    /// R-A-016, R-A-019: neither the first token nor a later one leaves the machine in the clear.
    #[tokio::test]
    async fn a_token_is_not_sent_in_the_clear() {
        let folder = tempfile::tempdir().unwrap();
        let with = |url: &str, token: Option<&str>| {
            let mut config =
                GitSourceConfig::new(url.parse().unwrap(), folder.path(), "plc-7".parse().unwrap());
            config.token = token.map(|token| Token::from(token.to_owned()));
            GitSource::new(config)
        };
        let exposed = "http://wfm.example/git/plc-7";
        assert_eq!(with(exposed, Some("hunter2")).unwrap_err(), GitConfigError::Exposed);
        for url in ["https://wfm.example/git/plc-7", "http://127.0.0.1:1/plc-7", "http://[::1]:1/plc-7"] {
            assert!(with(url, Some("hunter2")).is_ok(), "{url}");
        }
        let source = with(exposed, None).unwrap();
        source.set_token(Some(Token::from("hunter2".to_owned())));
        let error = source.poll(None).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unauthorized);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, GitConfigError::Exposed.to_string());
    }

    #[test]
    fn root_certificates_are_certificates() {
        let broken = "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
        for text in ["not a certificate", broken] {
            let mut config = GitSourceConfig::new(
                "https://wfm.example/".parse().unwrap(),
                "clone",
                "plc-7".parse().unwrap(),
            );
            config.root_certificates = text.as_bytes().to_vec();
            let error = GitSource::new(config).unwrap_err();
            assert!(matches!(error, GitConfigError::RootCertificates { .. }), "{text}: {error}");
        }
    }

    /// R-A-016: a token is never part of what is logged.
    #[test]
    fn a_token_is_not_shown() {
        let mut config =
            GitSourceConfig::new("https://wfm.example".parse().unwrap(), "clone", "plc-7".parse().unwrap());
        config.token = Some(Token::from("hunter2".to_owned()));
        let shown = format!("{:?} {:?}", config.clone(), GitSource::new(config).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    /// No other test of this process installs a provider.
    #[tokio::test]
    async fn a_process_without_tls_is_told_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let url = "https://wfm.example/".parse().unwrap();
        let source =
            GitSource::new(GitSourceConfig::new(url, folder.path(), "plc-7".parse().unwrap())).unwrap();
        let error = source.poll(None).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unavailable);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("install_default()"), "{cause}");
    }
}
