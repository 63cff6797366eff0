use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use margo_api::BoxError;
use margo_identity::{CurrentTrustBundle, ReloadingIdentity, TrustBundle};

use super::certificate::read;
use super::{AuthorityFile, ServerCertificate};

/// What is read from disk again while a manager runs (R-D-013, R-D-016).
///
/// Whatever cannot be used is logged once per look, and what was in use before stays in use.
#[derive(Clone, Debug, Default)]
pub struct Reloading {
    identities: Vec<Arc<ReloadingIdentity>>,
    certificates: Vec<Arc<ServerCertificate>>,
    authorities: Vec<Arc<AuthorityFile>>,
    bundles: Vec<(PathBuf, Arc<CurrentTrustBundle>)>,
}

impl Reloading {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this identity.
    #[must_use]
    pub fn with_identity(mut self, identity: Arc<ReloadingIdentity>) -> Self {
        self.identities.push(identity);
        self
    }

    /// And this certificate.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Arc<ServerCertificate>) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// And this authority.
    #[must_use]
    pub fn with_authority(mut self, authority: Arc<AuthorityFile>) -> Self {
        self.authorities.push(authority);
        self
    }

    /// And this bundle, from a file that holds a SPIFFE bundle, or the authorities in PEM.
    #[must_use]
    pub fn with_bundle(mut self, path: impl Into<PathBuf>, bundle: Arc<CurrentTrustBundle>) -> Self {
        self.bundles.push((path.into(), bundle));
        self
    }

    /// Looks once. Reads files: not for a thread that others wait for.
    pub fn look(&self) {
        for identity in &self.identities {
            told(identity.reload().map_err(Into::into), "the SVID");
        }
        for certificate in &self.certificates {
            told(certificate.reload().map_err(Into::into), "the server's certificate");
        }
        for authority in &self.authorities {
            told(authority.reload().map_err(Into::into), "the authority that devices are told");
        }
        for (path, bundle) in &self.bundles {
            told(reload_bundle(path, bundle), "the trust bundle");
        }
    }

    /// Looks every `interval`, for ever.
    pub async fn keep_looking(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let all = self.clone();
            // An error is a panic, which the next look may not have.
            let _ = tokio::task::spawn_blocking(move || all.look()).await;
        }
    }
}

fn told(reloaded: Result<bool, BoxError>, what: &'static str) {
    match reloaded {
        Ok(true) => tracing::info!("{what} has been read again"),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(
                error = crate::chain(&*error),
                "{what} cannot be read again; the one before stays"
            );
        }
    }
}

fn reload_bundle(path: &std::path::Path, current: &CurrentTrustBundle) -> Result<bool, BoxError> {
    let bytes = read(path)?;
    let before = current.get();
    let trust_domain = before.trust_domain().clone();
    let bundle = if bytes.trim_ascii_start().starts_with(b"{") {
        TrustBundle::parse(trust_domain, &bytes)?
    } else {
        TrustBundle::from_pem(trust_domain, &bytes)?
    };
    let is_same = bundle.authorities() == before.authorities()
        && (bundle.sequence(), bundle.refresh_hint()) == (before.sequence(), before.refresh_hint());
    if is_same {
        return Ok(false);
    }
    current.replace(bundle)?;
    Ok(true)
}
