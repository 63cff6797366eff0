use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use margo_core::ClientId;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Authority, IssueError, Issued, REFRESH_HINT};
use crate::{TrustBundle, TrustBundleError, WfmSpiffeId};

/// A trust domain in a folder: an authority, a manager's identity, and those of its devices.
///
/// | In the folder | What | For whom |
/// | --- | --- | --- |
/// | `authority/authority.pem`, `authority_key.pem` | the authority's certificate; certificate and key | stays here, offline if possible |
/// | `bundle.json`, `bundle.pem` | the trust bundle | everybody; no secret |
/// | `manager/svid.pem`, `svid_key.pem`, bundles | the manager's SVID (rc.3) | the manager |
/// | `clients/<id>/svid.pem`, `svid_key.pem`, bundles | a client's SVID (rc.3) | the device |
/// | `devices/<name>/certificate.pem`, `key.pem`, `authority.pem` | a device's certificate (pre-draft, rc.1, rc.2) | the device |
/// | `server/certificate.pem`, `key.pem`, `authority.pem` | a certificate with DNS names (pre-draft, rc.1, rc.2) | the manager |
///
/// The names are those that SPIRE's helper writes, so an operator's own identity service fills the same folders; see
/// [`IdentityFolder`](crate::IdentityFolder). Keys are readable by their owner alone (mode 0600), a folder is there whole
/// or not at all, and nothing is overwritten but what [`rotate_manager`](Self::rotate_manager) and its like say.
#[derive(Debug)]
pub struct DevelopmentDomain {
    folder: PathBuf,
    manager: WfmSpiffeId,
    authority: Authority,
}

/// What a folder is about, beside its certificates.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct About {
    manager: WfmSpiffeId,
}

const ABOUT: &str = "domain.json";
const BUNDLE_JSON: &str = "bundle.json";
const BUNDLE_PEM: &str = "bundle.pem";
const AUTHORITY: &str = "authority";
const AUTHORITY_PEM: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority_key.pem";
const SVID: &str = "svid.pem";
const SVID_KEY: &str = "svid_key.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Files that were written, for whoever has to carry them somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The folder they are in.
    pub folder: PathBuf,
    /// Their names, and whether each is a secret.
    pub files: Vec<(&'static str, bool)>,
}

/// A step of replacing an authority without anybody being refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an authority is replaced in two steps")]
pub enum AuthorityRotation {
    /// A new authority issues from now on; the bundle holds both. Identities that the old one issued are still taken.
    Begin,
    /// The bundle holds the new authority alone: whatever the old one issued is refused.
    Finish,
}

impl DevelopmentDomain {
    /// Makes a folder with an authority, a bundle and the manager's identity.
    ///
    /// # Errors
    ///
    /// [`DomainError::Exists`] when there is something at `folder` already; it stays as it is.
    pub fn init(
        folder: &Path,
        manager: WfmSpiffeId,
        now: UnixTime,
        authority_lifetime: Duration,
        svid_lifetime: Duration,
    ) -> Result<Self, DomainError> {
        let authority = Authority::generate(manager.trust_domain(), now, authority_lifetime)?;
        let bundle = authority.bundle(1)?;
        let svid = authority.issue_manager(&manager, now, svid_lifetime)?;
        let about =
            serde_json::to_string_pretty(&About { manager: manager.clone() }).unwrap_or_default() + "\n";
        whole(folder, |staging| {
            let inner = staging.join(AUTHORITY);
            make_folder(&inner)?;
            write(&inner.join(AUTHORITY_PEM), authority.certificate_pem(), false)?;
            write(&inner.join(AUTHORITY_KEY), &secret(&authority), true)?;
            write(&staging.join(ABOUT), &about, false)?;
            write_bundle(staging, &bundle)?;
            let inner = staging.join("manager");
            make_folder(&inner)?;
            write_svid(&inner, &svid, &bundle)
        })?;
        Ok(Self { folder: folder.to_owned(), manager, authority })
    }

    /// Opens a folder that [`init`](Self::init) made.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] and [`DomainError::NotADomain`] name the file.
    pub fn open(folder: &Path) -> Result<Self, DomainError> {
        let wrong = |path: &Path, reason: String| DomainError::NotADomain { path: path.to_owned(), reason };
        let path = folder.join(ABOUT);
        let about: About =
            serde_json::from_str(&read(&path)?).map_err(|error| wrong(&path, error.to_string()))?;
        let inner = folder.join(AUTHORITY);
        let path = inner.join(AUTHORITY_KEY);
        let both = read(&path)?;
        let authority = Authority::from_pem(&both, &both).map_err(|error| wrong(&path, error.to_string()))?;
        if authority.trust_domain() != about.manager.trust_domain() {
            let reason = format!("is of another trust domain than `{}`", about.manager);
            return Err(wrong(&path, reason));
        }
        Ok(Self { folder: folder.to_owned(), manager: about.manager, authority })
    }

    /// The manager whose domain this is.
    #[must_use]
    pub fn manager(&self) -> &WfmSpiffeId {
        &self.manager
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The trust bundle.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] and [`DomainError::NotADomain`].
    pub fn bundle(&self) -> Result<TrustBundle, DomainError> {
        let path = self.folder.join(BUNDLE_JSON);
        let text = read(&path)?;
        TrustBundle::parse(self.manager.trust_domain().clone(), text.as_bytes())
            .map_err(|error| DomainError::NotADomain { path, reason: error.to_string() })
    }

    /// Makes the SVID of a client: `clients/<id>` (rc.3).
    ///
    /// # Errors
    ///
    /// [`DomainError::Exists`] when the client has one.
    pub fn issue_client(
        &self,
        client: &ClientId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let id = self.manager.client(client).map_err(IssueError::from)?;
        let issued = self.authority.issue_client(&id, now, lifetime)?;
        let bundle = self.bundle()?;
        let folder = self.folder.join("clients").join(client.as_str());
        whole(&folder, |staging| write_svid(staging, &issued, &bundle))?;
        Ok(svid_files(folder))
    }

    /// Makes the certificate that a device of the pre-draft, rc.1 or rc.2 signs with: `devices/<name>`.
    ///
    /// # Errors
    ///
    /// [`DomainError::Exists`] when the device has one.
    pub fn issue_device(
        &self,
        name: &ClientId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let issued = self.authority.issue_device(name.as_str(), now, lifetime)?;
        self.write_older(self.folder.join("devices").join(name.as_str()), &issued)
    }

    /// Makes the certificate that the manager shows to devices of the pre-draft, rc.1 and rc.2: `server`.
    ///
    /// # Errors
    ///
    /// [`DomainError::Exists`] when there is one.
    pub fn issue_server(
        &self,
        names: &[String],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let issued = self.authority.issue_server(names, now, lifetime)?;
        self.write_older(self.folder.join("server"), &issued)
    }

    /// Replaces the manager's SVID and its key. Running managers read both again.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] when there is none to replace.
    pub fn rotate_manager(&self, now: UnixTime, lifetime: Duration) -> Result<Written, DomainError> {
        let issued = self.authority.issue_manager(&self.manager, now, lifetime)?;
        self.replace(self.folder.join("manager"), &issued)
    }

    /// Replaces a client's SVID and its key.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] when there is none to replace.
    pub fn rotate_client(
        &self,
        client: &ClientId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let id = self.manager.client(client).map_err(IssueError::from)?;
        let issued = self.authority.issue_client(&id, now, lifetime)?;
        self.replace(self.folder.join("clients").join(client.as_str()), &issued)
    }

    /// Replaces the certificate that a device of the pre-draft, rc.1 or rc.2 signs with, and its key.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] when there is none to replace.
    pub fn rotate_device(
        &self,
        name: &ClientId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let issued = self.authority.issue_device(name.as_str(), now, lifetime)?;
        self.replace_older(self.folder.join("devices").join(name.as_str()), &issued)
    }

    /// Replaces the certificate that the manager shows to devices of the pre-draft, rc.1 and rc.2, and its key. The
    /// names may be others than before.
    ///
    /// # Errors
    ///
    /// [`DomainError::Read`] when there is none to replace.
    pub fn rotate_server(
        &self,
        names: &[String],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Written, DomainError> {
        let issued = self.authority.issue_server(names, now, lifetime)?;
        self.replace_older(self.folder.join("server"), &issued)
    }

    /// Replaces the authority, in two steps: between them, everybody gets the bundle and then a new SVID.
    ///
    /// The bundles in `manager` and in the folder of each client are replaced with the one of the domain. What is
    /// answered is one item for each folder, the domain's own first; what an
    /// interrupted step left is replaced with the next one.
    ///
    /// # Errors
    ///
    /// [`DomainError::Rotation`] when the step is not the next one.
    pub fn rotate_authority(
        &mut self,
        step: AuthorityRotation,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Vec<Written>, DomainError> {
        let bundle = self.bundle()?;
        let trust_domain = self.manager.trust_domain();
        let sequence = bundle.sequence().unwrap_or(0).saturating_add(1);
        let current = self.authority.certificate().clone();
        let authorities = match (step, bundle.authorities().len()) {
            (AuthorityRotation::Begin, 1) => {
                let next = Authority::generate(trust_domain, now, lifetime)?;
                let both = vec![next.certificate().clone(), current];
                let inner = self.folder.join(AUTHORITY);
                // The bundle first: what the new authority issues is known from the start.
                let bundle = TrustBundle::new(trust_domain.clone(), both.clone())?;
                replace_bundle(&self.folder, &bundle.with_schedule(sequence, REFRESH_HINT))?;
                replace_file(&inner.join(AUTHORITY_KEY), &secret(&next), true)?;
                replace_file(&inner.join(AUTHORITY_PEM), next.certificate_pem(), false)?;
                self.authority = next;
                both
            }
            (AuthorityRotation::Finish, 2..) => vec![current],
            (AuthorityRotation::Begin, _) => {
                return Err(DomainError::Rotation {
                    reason: "two authorities are in force already: finish first",
                });
            }
            (AuthorityRotation::Finish, _) => {
                return Err(DomainError::Rotation {
                    reason: "one authority is in force: there is none to drop",
                });
            }
        };
        if step == AuthorityRotation::Finish {
            let bundle = TrustBundle::new(trust_domain.clone(), authorities)?;
            replace_bundle(&self.folder, &bundle.with_schedule(sequence, REFRESH_HINT))?;
        }
        self.renew_bundles()
    }

    /// Puts the domain's bundle in the place of those in `manager` and in the folder of each client.
    fn renew_bundles(&self) -> Result<Vec<Written>, DomainError> {
        let bundle = self.bundle()?;
        let clients = self.folder.join("clients");
        let mut folders = vec![self.folder.join("manager")];
        match fs::read_dir(&clients) {
            Ok(entries) => {
                for entry in entries {
                    let entry =
                        entry.map_err(|source| DomainError::Read { path: clients.clone(), source })?;
                    folders.push(entry.path());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(DomainError::Read { path: clients, source }),
        }
        // What an operator has moved elsewhere, or what is being made, has no bundle here.
        folders.retain(|folder| folder.join(BUNDLE_JSON).is_file());
        folders.sort();
        for folder in &folders {
            replace_bundle(folder, &bundle)?;
        }
        let files = || vec![(BUNDLE_JSON, false), (BUNDLE_PEM, false)];
        let all = std::iter::once(self.folder.clone()).chain(folders);
        Ok(all.map(|folder| Written { folder, files: files() }).collect())
    }

    fn write_older(&self, folder: PathBuf, issued: &Issued) -> Result<Written, DomainError> {
        whole(&folder, |staging| {
            write(&staging.join(CERTIFICATE), issued.certificate_pem(), false)?;
            write(&staging.join(KEY), issued.reveal_key_pem(), true)?;
            write(&staging.join(AUTHORITY_PEM), self.authority.certificate_pem(), false)
        })?;
        Ok(older_files(folder))
    }

    fn replace_older(&self, folder: PathBuf, issued: &Issued) -> Result<Written, DomainError> {
        let path = folder.join(CERTIFICATE);
        read(&path)?; // none is nothing to replace
        replace_file(&folder.join(AUTHORITY_PEM), self.authority.certificate_pem(), false)?;
        replace_file(&folder.join(KEY), issued.reveal_key_pem(), true)?;
        replace_file(&path, issued.certificate_pem(), false)?;
        Ok(older_files(folder))
    }

    fn replace(&self, folder: PathBuf, issued: &Issued) -> Result<Written, DomainError> {
        let bundle = self.bundle()?;
        // A certificate of somebody else, or none, is nothing to replace.
        let path = folder.join(SVID);
        let found = CertificateDer::from_pem_slice(read(&path)?.as_bytes()).ok();
        let found = found.and_then(|found| crate::Svid::read(&found).ok());
        let expected = crate::Svid::read(issued.certificate()).ok();
        if found.as_ref().map(crate::Svid::id) != expected.as_ref().map(crate::Svid::id) {
            let reason = "does not hold the SVID that is to be replaced".to_owned();
            return Err(DomainError::NotADomain { path, reason });
        }
        replace_bundle(&folder, &bundle)?;
        // Whoever reads between the two keeps what it has: the new key is not that of the old certificate.
        replace_file(&folder.join(SVID_KEY), issued.reveal_key_pem(), true)?;
        replace_file(&path, issued.certificate_pem(), false)?;
        Ok(svid_files(folder))
    }
}

/// The authority's certificate and key in one file, so that they are replaced together.
fn secret(authority: &Authority) -> String {
    format!("{}{}", authority.certificate_pem(), authority.reveal_key_pem())
}

fn older_files(folder: PathBuf) -> Written {
    Written { folder, files: vec![(CERTIFICATE, false), (KEY, true), (AUTHORITY_PEM, false)] }
}

fn svid_files(folder: PathBuf) -> Written {
    let files = vec![(SVID, false), (SVID_KEY, true), (BUNDLE_JSON, false), (BUNDLE_PEM, false)];
    Written { folder, files }
}

/// Why a trust domain's folder cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Something is there already, and keys are not overwritten.
    #[error("`{path}` is there already, and keys are not overwritten", path = .path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what `init` made.
    #[error("`{path}` {reason}", path = .path.display())]
    NotADomain {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An authority is replaced in two steps, one after the other.
    #[error("{reason}")]
    Rotation {
        /// Which step is missing.
        reason: &'static str,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A bundle cannot be made.
    #[error(transparent)]
    Bundle(#[from] TrustBundleError),
}

/// Makes a folder that is there whole or not at all.
fn whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<(), DomainError>) -> Result<(), DomainError> {
    let exists = || DomainError::Exists { path: folder.to_owned() };
    if fs::symlink_metadata(folder).is_ok() {
        return Err(exists());
    }
    let failed = |source| DomainError::Write { path: folder.to_owned(), source };
    let name = folder.file_name().ok_or_else(exists)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let staging = parent.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    make_folder(&staging)?;
    let filled = fill(&staging).and_then(|()| {
        // A folder that appeared meanwhile is not replaced: renaming onto one that is not empty fails.
        if fs::symlink_metadata(folder).is_ok() {
            Err(exists())
        } else {
            fs::rename(&staging, folder).map_err(failed)
        }
    });
    if filled.is_err() {
        let _ = fs::remove_dir_all(&staging); // what failed is told; this is only tidy
    }
    filled
}

fn write_svid(folder: &Path, issued: &Issued, bundle: &TrustBundle) -> Result<(), DomainError> {
    write(&folder.join(SVID), issued.certificate_pem(), false)?;
    write(&folder.join(SVID_KEY), issued.reveal_key_pem(), true)?;
    write_bundle(folder, bundle)
}

fn write_bundle(folder: &Path, bundle: &TrustBundle) -> Result<(), DomainError> {
    write(&folder.join(BUNDLE_JSON), &bundle.to_json(), false)?;
    write(&folder.join(BUNDLE_PEM), &bundle.to_pem(), false)
}

fn replace_bundle(folder: &Path, bundle: &TrustBundle) -> Result<(), DomainError> {
    replace_file(&folder.join(BUNDLE_JSON), &bundle.to_json(), false)?;
    replace_file(&folder.join(BUNDLE_PEM), &bundle.to_pem(), false)
}

/// Writes a file anew, never over another one.
fn write(path: &Path, text: &str, is_secret: bool) -> Result<(), DomainError> {
    let written = open_new(path, is_secret).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => DomainError::Exists { path: path.to_owned() },
        _ => DomainError::Write { path: path.to_owned(), source },
    })
}

/// Puts a file in the place of another one: at any time, one of them is there whole.
fn replace_file(path: &Path, text: &str, is_secret: bool) -> Result<(), DomainError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let staging = path.with_file_name(name);
    let _ = fs::remove_file(&staging); // of a rotation that lost power
    write(&staging, text, is_secret)?;
    fs::rename(&staging, path).map_err(|source| DomainError::Write { path: path.to_owned(), source })
}

#[cfg(unix)]
fn open_new(path: &Path, is_secret: bool) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if is_secret { 0o600 } else { 0o644 };
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn open_new(path: &Path, _: bool) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// A folder that its owner alone can enter.
fn make_folder(path: &Path) -> Result<(), DomainError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => DomainError::Exists { path: path.to_owned() },
        _ => DomainError::Write { path: path.to_owned(), source },
    })
}

fn read(path: &Path) -> Result<String, DomainError> {
    fs::read_to_string(path).map_err(|source| DomainError::Read { path: path.to_owned(), source })
}
