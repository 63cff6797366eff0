use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use margo_identity::TlsVersions;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

const MAX_FILE: u64 = 1 << 20;

/// TLS with a certificate of the server alone, as the pre-draft, 1.0.0-rc.1 and 1.0.0-rc.2 have it (R-B-003), and as
/// trust bundles are served (rev-D, D7 and D8).
///
/// # Errors
///
/// When the provider cannot speak these versions.
pub fn server_tls_config(
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn TimeProvider>,
    versions: TlsVersions,
    certificate: Arc<ServerCertificate>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[_] = match versions {
        TlsVersions::Tls13OrTls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        _ => &[&rustls::version::TLS13],
    };
    let mut config = ServerConfig::builder_with_details(provider, clock)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.require_ems = true;
    Ok(config)
}

/// A server's certificate and key, read from files again when told to.
///
/// Each handshake presents the one read last.
pub struct ServerCertificate {
    certificates: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<Loaded>>,
}

struct Loaded {
    key: Arc<CertifiedKey>,
    files: (Vec<u8>, Vec<u8>),
}

impl ServerCertificate {
    /// Reads the leaf and its intermediates from `certificates` and the leaf's private key from `key`, both in PEM.
    ///
    /// # Errors
    ///
    /// [`LoadCertificateError`] names the file.
    pub fn load(
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, LoadCertificateError> {
        let (certificates, key) = (certificates.into(), key.into());
        let loaded = Loaded::read(&certificates, &key, &provider)?;
        Ok(Self { certificates, key, provider, current: RwLock::new(Arc::new(loaded)) })
    }

    /// Reads the files again, and says whether they have changed.
    ///
    /// # Errors
    ///
    /// [`LoadCertificateError`], and what was read before stays in use.
    pub fn reload(&self) -> Result<bool, LoadCertificateError> {
        let files = (read(&self.certificates)?, read(&self.key)?);
        if files == self.loaded().files {
            return Ok(false);
        }
        let loaded = Loaded::parse(&self.certificates, &self.key, files, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(true)
    }

    fn loaded(&self) -> Arc<Loaded> {
        // The lock guards a pointer, which is whole even if a thread panicked.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.loaded().key))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("certificates", &self.certificates)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    fn read(
        certificates: &Path,
        key: &Path,
        provider: &CryptoProvider,
    ) -> Result<Self, LoadCertificateError> {
        let files = (read(certificates)?, read(key)?);
        Self::parse(certificates, key, files, provider)
    }

    fn parse(
        certificates: &Path,
        key: &Path,
        files: (Vec<u8>, Vec<u8>),
        provider: &CryptoProvider,
    ) -> Result<Self, LoadCertificateError> {
        let pem = |path: &Path, expected| LoadCertificateError::Pem { path: path.to_owned(), expected };
        let chain = CertificateDer::pem_slice_iter(&files.0).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| pem(certificates, "certificates"))?;
        let secret = PrivateKeyDer::from_pem_slice(&files.1).map_err(|_| pem(key, "a private key"))?;
        let certified = CertifiedKey::from_der(chain, secret, provider)
            .map_err(|source| LoadCertificateError::Key { path: key.to_owned(), source })?;
        Ok(Self { key: Arc::new(certified), files })
    }
}

/// Why a server's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadCertificateError {
    /// A file cannot be read.
    #[error("cannot read `{path}`", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file does not hold what it should. Says nothing about its content, which may be secret.
    #[error("`{path}` does not hold {expected} in PEM", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The key cannot be used, or is not the certificate's.
    #[error("`{path}` does not hold the key of the certificate", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadCertificateError> {
    let mut bytes = Vec::new();
    let result = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    match result {
        Ok(_) => Ok(bytes),
        Err(source) => Err(LoadCertificateError::Read { path: path.to_owned(), source }),
    }
}
