use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::{IdentityFiles, Svid, SvidError, TrustBundle, TrustBundleError};

const MAX_FILE: u64 = 1 << 20;
const SVIDS: [&str; 3] = ["svid.pem", "svid.0.pem", "svid.crt"];
const KEYS: [&str; 4] = ["svid_key.pem", "svid.0.key", "svid.key", "key.pem"];
const BUNDLES: [&str; 5] = ["bundle.json", "bundle.pem", "svid_bundle.pem", "bundle.0.pem", "bundle.crt"];

/// A folder into which an identity service writes: SVID, key and bundle under the names that SPIRE's tools use.
///
/// | | Names, the first that is there |
/// | --- | --- |
/// | SVID and intermediates, PEM | `svid.pem`, `svid.0.pem`, `svid.crt` |
/// | key, PEM | `svid_key.pem`, `svid.0.key`, `svid.key`, `key.pem` |
/// | bundle, SPIFFE JSON or PEM | `bundle.json`, `bundle.pem`, `svid_bundle.pem`, `bundle.0.pem`, `bundle.crt` |
///
/// `spiffe-helper` writes the first of each by default (and `svid_bundle.pem`), `spire-agent api fetch x509 -write` those
/// with a number. A bundle in PEM has no sequence, and so cannot be told from an older one (R-D-016).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFolder {
    svid: PathBuf,
    key: PathBuf,
    bundle: PathBuf,
}

impl IdentityFolder {
    /// Finds the files in a folder.
    ///
    /// # Errors
    ///
    /// [`IdentityFolderError::Missing`] says which names were looked for.
    pub fn find(folder: &Path) -> Result<Self, IdentityFolderError> {
        let find = |what, names: &'static [&'static str]| {
            let path = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            path.ok_or_else(|| IdentityFolderError::Missing { folder: folder.to_owned(), what, names })
        };
        Ok(Self {
            svid: find("an SVID", &SVIDS)?,
            key: find("a key", &KEYS)?,
            bundle: find("a trust bundle", &BUNDLES)?,
        })
    }

    /// The SVID and its key, for [`ReloadingIdentity`](crate::ReloadingIdentity).
    #[must_use]
    pub fn identity(&self) -> IdentityFiles {
        IdentityFiles::new(&self.svid, &self.key)
    }

    /// Where the SVID is.
    #[must_use]
    pub fn svid_path(&self) -> &Path {
        &self.svid
    }

    /// Where its key is.
    #[must_use]
    pub fn key_path(&self) -> &Path {
        &self.key
    }

    /// Where the bundle is.
    #[must_use]
    pub fn bundle_path(&self) -> &Path {
        &self.bundle
    }

    /// Reads the SVID: who this is.
    ///
    /// # Errors
    ///
    /// [`IdentityFolderError`] names the file.
    pub fn svid(&self) -> Result<Svid, IdentityFolderError> {
        let pem = read(&self.svid)?;
        let path = || self.svid.clone();
        let leaf = CertificateDer::from_pem_slice(&pem)
            .map_err(|_| IdentityFolderError::Svid { path: path(), source: SvidError::Malformed })?;
        Svid::read(&leaf).map_err(|source| IdentityFolderError::Svid { path: path(), source })
    }

    /// Reads the bundle of the SVID's trust domain.
    ///
    /// # Errors
    ///
    /// [`IdentityFolderError`] names the file.
    pub fn bundle(&self) -> Result<TrustBundle, IdentityFolderError> {
        let trust_domain = self.svid()?.id().trust_domain().clone();
        let bytes = read(&self.bundle)?;
        let is_json = self.bundle.extension().is_some_and(|ending| ending == "json");
        let bundle = if is_json {
            TrustBundle::parse(trust_domain, &bytes)
        } else {
            TrustBundle::from_pem(trust_domain, &bytes)
        };
        bundle.map_err(|source| IdentityFolderError::Bundle { path: self.bundle.clone(), source })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityFolderError> {
    let mut bytes = Vec::new();
    let result = fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    result.map_err(|source| IdentityFolderError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Why a folder holds no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFolderError {
    /// A file is not there under any name.
    #[error("`{folder}` holds no file for {what}: looked for {names}", folder = .folder.display(), names = .names.join(", "))]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What the file would hold.
        what: &'static str,
        /// The names that were looked for.
        names: &'static [&'static str],
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificate is no SVID.
    #[error("`{path}` does not hold an SVID", path = .path.display())]
    Svid {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SvidError,
    },
    /// The bundle cannot be used.
    #[error("`{path}` does not hold a trust bundle", path = .path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: TrustBundleError,
    },
}
