use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::{Svid, SvidError, SvidVerifier, WfmSpiffeId};

const MAX_FILE: u64 = 1 << 20;

/// How the ends of a connection may prove that they hold their keys: rev-D 2, and PKCS#1 for TLS 1.2 alone.
const SIGNATURE_SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Which versions of TLS to speak (R-D-003). Older ones than these cannot be spoken at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsVersions {
    /// TLS 1.3 alone.
    #[default]
    Tls13,
    /// TLS 1.3, and 1.2 with those who cannot: with ephemeral keys, AEAD ciphers and the extended master secret
    /// (RFC 9325). Only because an operator said so.
    Tls13OrTls12,
}

static TLS_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static TLS_1_3_OR_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

impl TlsVersions {
    /// As rustls wants them.
    #[must_use]
    pub fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls13 => TLS_1_3,
            Self::Tls13OrTls12 => TLS_1_3_OR_1_2,
        }
    }
}

/// A manager's side of mutual TLS: presents `identity`, and completes a handshake only with an SVID of its trust
/// domain (R-D-002).
///
/// Each connection is authenticated by a full handshake: sessions are not resumed, because a resumed one would be
/// as old as its first handshake (R-D-013). Set `alpn_protocols` to what is served.
///
/// # Errors
///
/// When the provider cannot speak these versions.
pub fn server_config(
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn TimeProvider>,
    versions: TlsVersions,
    identity: Arc<ReloadingIdentity>,
    verifier: SvidVerifier,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(SvidClientVerifier::new(verifier, Arc::clone(&provider)));
    let mut config = ServerConfig::builder_with_details(provider, clock)
        .with_protocol_versions(versions.supported())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.require_ems = true;
    Ok(config)
}

/// A device's side of mutual TLS: presents `identity`, and completes a handshake only with `manager`, which is
/// [`ClientSpiffeId::manager`](crate::ClientSpiffeId::manager) of that identity (R-D-005).
///
/// Each connection is authenticated by a full handshake, as in [`server_config`].
///
/// # Errors
///
/// When the provider cannot speak these versions.
pub fn client_config(
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn TimeProvider>,
    versions: TlsVersions,
    identity: Arc<ReloadingIdentity>,
    verifier: SvidVerifier,
    manager: WfmSpiffeId,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Arc::new(SvidServerVerifier::new(verifier, manager, Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(versions.supported())?
        .dangerous() // the name of the door to any verifier but that of DNS names (R-D-010)
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(identity);
    config.resumption = Resumption::disabled();
    config.require_ems = true;
    Ok(config)
}

/// Lets clients with a valid SVID finish their handshake. Whether one is served is for the request to find out
/// (R-D-007).
#[derive(Debug)]
pub struct SvidClientVerifier {
    verifier: SvidVerifier,
    provider: Arc<CryptoProvider>,
}

impl SvidClientVerifier {
    /// Accepts what `verifier` accepts; signatures are checked by `provider`.
    #[must_use]
    pub fn new(verifier: SvidVerifier, provider: Arc<CryptoProvider>) -> Self {
        Self { verifier, provider }
    }
}

impl ClientCertVerifier for SvidClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // names of authorities would tell a stranger whom to steal from
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.verifier.verify(end_entity, intermediates, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => Err(refused("client", error)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider)
    }
}

/// Lets a handshake finish with one manager alone, whatever its address or DNS name (R-D-005, R-D-010).
#[derive(Debug)]
pub struct SvidServerVerifier {
    verifier: SvidVerifier,
    manager: WfmSpiffeId,
    provider: Arc<CryptoProvider>,
}

impl SvidServerVerifier {
    /// Accepts what `verifier` accepts, if it is `manager`; signatures are checked by `provider`.
    #[must_use]
    pub fn new(verifier: SvidVerifier, manager: WfmSpiffeId, provider: Arc<CryptoProvider>) -> Self {
        Self { verifier, manager, provider }
    }
}

impl ServerCertVerifier for SvidServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verifier.verify(end_entity, intermediates, now) {
            Ok(svid) if svid.id() == self.manager.spiffe_id() => Ok(ServerCertVerified::assertion()),
            Ok(svid) => Err(refused("server", SvidError::OtherPeer { found: svid.id().clone() })),
            Err(error) => Err(refused("server", error)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes(&self.provider)
    }
}

/// Where an identity is kept, both files in PEM: the leaf and all intermediates (R-D-011), and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    certificates: PathBuf,
    key: PathBuf,
}

impl IdentityFiles {
    /// The leaf first and then its intermediates in `certificates`; the leaf's private key in `key`.
    pub fn new(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificates: certificates.into(), key: key.into() }
    }
}

/// An SVID and its key, read from files again when told to.
///
/// Each handshake presents the one read last; connections made before keep the one they were made with.
pub struct ReloadingIdentity {
    files: IdentityFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<Loaded>>,
}

struct Loaded {
    svid: Svid,
    key: Arc<CertifiedKey>,
    files: (Vec<u8>, Vec<u8>),
}

impl ReloadingIdentity {
    /// Reads the identity for the first time.
    ///
    /// # Errors
    ///
    /// [`LoadIdentityError`] names the file.
    pub fn load(files: IdentityFiles, provider: Arc<CryptoProvider>) -> Result<Self, LoadIdentityError> {
        let loaded = Loaded::parse(&files, read(&files)?, &provider)?;
        Ok(Self { files, provider, current: RwLock::new(Arc::new(loaded)) })
    }

    /// Reads the files again, and says whether they have changed. For a task that does so every few seconds.
    ///
    /// # Errors
    ///
    /// [`LoadIdentityError`], and the identity read before stays in use, when the new one is not whole (such as when
    /// only one of the files has been replaced yet) or is somebody else's.
    pub fn reload(&self) -> Result<bool, LoadIdentityError> {
        let current = self.loaded();
        let read = read(&self.files)?;
        if read == current.files {
            return Ok(false);
        }
        let loaded = Loaded::parse(&self.files, read, &self.provider)?;
        if loaded.svid.id() != current.svid.id() {
            let path = self.files.certificates.clone();
            return Err(LoadIdentityError::OtherIdentity { path, found: loaded.svid.id().clone() });
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(true)
    }

    /// What the certificate says: who we are, and until when.
    #[must_use]
    pub fn svid(&self) -> Svid {
        self.loaded().svid.clone()
    }

    fn loaded(&self) -> Arc<Loaded> {
        // The lock guards a pointer, which is whole even if a thread panicked.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for ReloadingIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.loaded().key))
    }
}

impl ResolvesClientCert for ReloadingIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.loaded().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for ReloadingIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadingIdentity")
            .field("files", &self.files)
            .field("svid", &self.loaded().svid)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    fn parse(
        files: &IdentityFiles,
        read: (Vec<u8>, Vec<u8>),
        provider: &CryptoProvider,
    ) -> Result<Self, LoadIdentityError> {
        let chain = CertificateDer::pem_slice_iter(&read.0).collect::<Result<Vec<_>, _>>();
        let path = &files.certificates;
        let Some((leaf, chain)) = chain.ok().and_then(|chain| Some((chain.first()?.clone(), chain))) else {
            return Err(LoadIdentityError::Pem { path: path.clone(), expected: "certificates" });
        };
        let svid =
            Svid::read(&leaf).map_err(|source| LoadIdentityError::Svid { path: path.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&read.1)
            .map_err(|_| LoadIdentityError::Pem { path: files.key.clone(), expected: "a private key" })?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|source| LoadIdentityError::Key { path: files.key.clone(), source })?;
        Ok(Self { svid, key: Arc::new(key), files: read })
    }
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadIdentityError {
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
    /// The certificate is not an SVID.
    #[error("`{path}` does not hold an SVID", path = .path.display())]
    Svid {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SvidError,
    },
    /// The key cannot be used, or is not the certificate's.
    #[error("`{path}` does not hold the key of the certificate", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The certificate is somebody else's than before: who one is does not change while running (R-D-019).
    #[error("`{path}` has become the SVID of `{found}`", path = .path.display())]
    OtherIdentity {
        /// The file.
        path: PathBuf,
        /// Whose it is now.
        found: crate::SpiffeId,
    },
}

fn read(files: &IdentityFiles) -> Result<(Vec<u8>, Vec<u8>), LoadIdentityError> {
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        let result = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
        result.map_err(|source| LoadIdentityError::Read { path: path.to_owned(), source })?;
        Ok(bytes)
    };
    Ok((read(&files.certificates)?, read(&files.key)?))
}

/// Whatever failed, the peer sees the same alert.
fn refused(peer: &'static str, error: SvidError) -> rustls::Error {
    tracing::info!(peer, error = &error as &dyn std::error::Error, "a peer's certificate is refused");
    let error = rustls::OtherError(Arc::new(error));
    rustls::Error::InvalidCertificate(CertificateError::Other(error))
}

fn schemes(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    let known = provider.signature_verification_algorithms.supported_schemes();
    SIGNATURE_SCHEMES.into_iter().filter(|scheme| known.contains(scheme)).collect()
}
