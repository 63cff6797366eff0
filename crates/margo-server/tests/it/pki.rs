//! A certificate authority for tests, and what it issues.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use margo_identity::{
    CurrentTrustBundle, IdentityFiles, ReloadingIdentity, SvidVerifier, TlsVersions, TrustBundle,
    TrustDomain, server_config,
};
use margo_server::listen::Transport;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::{CertificateDer, UnixTime};
use tempfile::TempDir;

use crate::plant::START;

pub(crate) const WFM: &str = "spiffe://factory.example/margo/wfm/plant";

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

pub(crate) fn client_id(name: &str) -> String {
    format!("{WFM}/client/{name}")
}

pub(crate) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(START))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The time that every certificate here is made for.
#[derive(Debug)]
pub(crate) struct At(pub(crate) UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An authority that another one has issued.
pub(crate) fn subordinate(authority: &Authority, name: &str) -> Authority {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), authority).unwrap()
}

/// A leaf for these URIs; everything right unless changed.
pub(crate) fn issue(
    authority: &Authority,
    uris: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> Issued {
    let mut params = params("leaf");
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Issued { der: certificate.der().clone(), pem: certificate.pem(), key }
}

/// What a device signs with: issued by itself.
pub(crate) fn device_certificate() -> Issued {
    let key = KeyPair::generate().unwrap();
    let certificate = params("device").self_signed(&key).unwrap();
    Issued { der: certificate.der().clone(), pem: certificate.pem(), key }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2023, 1, 1);
    params.not_after = date_time_ymd(2024, 1, 1);
    params
}

pub(crate) fn bundle(authority: &Authority) -> TrustBundle {
    let trust_domain: TrustDomain = "factory.example".parse().unwrap();
    TrustBundle::new(trust_domain, [authority.der().clone()]).unwrap()
}

/// A manager's identity in a folder, and the bundle it goes by.
pub(crate) struct ManagerFiles {
    pub(crate) folder: TempDir,
    pub(crate) identity: Arc<ReloadingIdentity>,
    pub(crate) bundle: Arc<CurrentTrustBundle>,
}

impl ManagerFiles {
    pub(crate) fn new(authority: &Authority) -> Self {
        let folder = TempDir::new().unwrap();
        write(&folder, &issue(authority, &[WFM], |_| {}));
        let files = IdentityFiles::new(folder.path().join("svid.pem"), folder.path().join("key.pem"));
        let identity = Arc::new(ReloadingIdentity::load(files, provider()).unwrap());
        let bundle = Arc::new(CurrentTrustBundle::new(bundle(authority)));
        std::fs::write(folder.path().join("bundle.pem"), authority.pem()).unwrap();
        Self { folder, identity, bundle }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn replace(&self, issued: &Issued) {
        write(&self.folder, issued);
    }

    pub(crate) fn transport(&self, versions: TlsVersions) -> Transport {
        let verifier = SvidVerifier::new(Arc::clone(&self.bundle));
        let (clock, identity) = (Arc::new(At(now())), Arc::clone(&self.identity));
        let config = server_config(provider(), clock, versions, identity, verifier.clone()).unwrap();
        Transport::mutual_tls(config, verifier)
    }
}

fn write(folder: &TempDir, issued: &Issued) {
    std::fs::write(folder.path().join("svid.pem"), &issued.pem).unwrap();
    std::fs::write(folder.path().join("key.pem"), issued.key.serialize_pem()).unwrap();
}
