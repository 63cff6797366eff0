use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use margo_identity::{
    ClientSpiffeId, CurrentTrustBundle, ReloadingIdentity, ReplaceBundleError, SvidVerifier, TlsVersions,
    TrustBundle, TrustBundleError, TrustDomain, client_config,
};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;

use crate::SetupError;

const MAX_FILE: u64 = 1 << 20;

/// A device's side of mutual TLS: who it is, and whom its trust domain vouches for (R-D-001).
///
/// The manager it may speak to is not configured: it follows from the device's own SVID (R-D-005). Both files of the
/// identity are looked at while requests are made, and a renewed one is presented from the next request on, without a
/// restart (R-D-013); so is the [file of the bundle](Self::with_bundle_file).
#[derive(Clone, Debug)]
pub struct MutualTls {
    identity: Arc<ReloadingIdentity>,
    bundle: Arc<CurrentTrustBundle>,
    own: ClientSpiffeId,
    file: Option<Arc<WatchedFile>>,
    complaint: Arc<Mutex<String>>,
}

impl MutualTls {
    /// Presents `identity`, and validates the manager against what `bundle` is at the time.
    ///
    /// # Errors
    ///
    /// [`SetupError::Identity`] when the identity is not that of a client, or the bundle is another trust domain's.
    pub fn new(
        identity: Arc<ReloadingIdentity>,
        bundle: Arc<CurrentTrustBundle>,
    ) -> Result<Self, SetupError> {
        let own = client_id(&identity)?;
        if own.trust_domain() != bundle.get().trust_domain() {
            let reason = format!("`{own}` is not of the trust domain `{}`", bundle.get().trust_domain());
            return Err(SetupError::Identity { reason });
        }
        Ok(Self { identity, bundle, own, file: None, complaint: Arc::default() })
    }

    /// Reads the bundle from this file, now and whenever it changes: the SPIFFE bundle (a JWK set), or the
    /// authorities in PEM. For bundles that are delivered by other means than the network (R-D-014).
    ///
    /// # Errors
    ///
    /// [`SetupError::Identity`] when the identity is not that of a client; [`SetupError::Bundle`] when the file cannot
    /// be read or holds no bundle.
    pub fn with_bundle_file(
        identity: Arc<ReloadingIdentity>,
        path: impl Into<PathBuf>,
    ) -> Result<Self, SetupError> {
        let own = client_id(&identity)?;
        let path = path.into();
        let bytes = read(&path)?;
        let bundle = parse(own.trust_domain(), &bytes)
            .map_err(|source| SetupError::Bundle { path: path.clone(), source: source.into() })?;
        let bundle = Arc::new(CurrentTrustBundle::new(bundle));
        let file = WatchedFile { path, last: Mutex::new(bytes) };
        Ok(Self { file: Some(Arc::new(file)), ..Self::new(identity, bundle)? })
    }

    /// Who the device is.
    #[must_use]
    pub fn own_id(&self) -> &ClientSpiffeId {
        &self.own
    }

    /// The bundle in force.
    #[must_use]
    pub fn current_bundle(&self) -> &Arc<CurrentTrustBundle> {
        &self.bundle
    }

    pub(crate) fn bundle(&self) -> Arc<TrustBundle> {
        self.bundle.get()
    }

    pub(crate) fn config(
        &self,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn TimeProvider>,
        versions: TlsVersions,
    ) -> Result<ClientConfig, rustls::Error> {
        let verifier = SvidVerifier::new(Arc::clone(&self.bundle));
        let identity = Arc::clone(&self.identity);
        client_config(provider, clock, versions, identity, verifier, self.own.manager().clone())
    }

    /// Looks at the files, and says whether what is presented has changed. What cannot be used is said once, and what
    /// was read before stays in use.
    pub(crate) fn look(&self) -> bool {
        let mut complaints = Vec::new();
        let changed = self.identity.reload().unwrap_or_else(|error| {
            complaints.push(with_cause(&error));
            false
        });
        if changed {
            tracing::info!(identity = %self.own, "presenting a renewed SVID");
        }
        if let Some(file) = &self.file
            && let Err(error) = file.look(&self.bundle)
        {
            complaints.push(with_cause(&error));
        }
        let complaints = complaints.join("; ");
        let mut before = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != complaints {
            if !complaints.is_empty() {
                tracing::warn!(reason = complaints, "the files of the identity cannot be used as they are");
            }
            *before = complaints;
        }
        changed
    }
}

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    last: Mutex<Vec<u8>>,
}

impl WatchedFile {
    fn look(&self, current: &CurrentTrustBundle) -> Result<(), SetupError> {
        let bytes = read(&self.path)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == bytes {
            return Ok(());
        }
        let unusable =
            |source: BundleFileError| SetupError::Bundle { path: self.path.clone(), source: source.into() };
        let bundle = parse(current.get().trust_domain(), &bytes).map_err(|error| unusable(error.into()))?;
        current.replace(bundle).map_err(|error| unusable(error.into()))?;
        tracing::info!(path = %self.path.display(), "the trust bundle was replaced");
        *last = bytes;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum BundleFileError {
    #[error(transparent)]
    Parse(#[from] TrustBundleError),
    #[error(transparent)]
    Replace(#[from] ReplaceBundleError),
}

fn client_id(identity: &ReloadingIdentity) -> Result<ClientSpiffeId, SetupError> {
    let id = identity.svid().id().clone();
    ClientSpiffeId::try_from(id.clone()).map_err(|error| SetupError::Identity {
        reason: format!("`{id}` is not the id of a client: {error}"),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|source| SetupError::Bundle { path: path.to_owned(), source: source.into() })?;
    Ok(bytes)
}

fn parse(trust_domain: &TrustDomain, bytes: &[u8]) -> Result<TrustBundle, TrustBundleError> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => TrustBundle::parse(trust_domain.clone(), bytes),
        _ => TrustBundle::from_pem(trust_domain.clone(), bytes),
    }
}

fn with_cause(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
