//! A trust domain for tests.

use std::path::Path;
use std::sync::Arc;

use margo_identity::{CurrentTrustBundle, IdentityFiles, ReloadingIdentity, TrustBundle, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};

pub(crate) const WFM: &str = "spiffe://factory.example/margo/wfm/plant";
pub(crate) const CLIENT: &str = "spiffe://factory.example/margo/wfm/plant/client/press-7";

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn trust_domain() -> TrustDomain {
    "factory.example".parse().unwrap()
}

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn bundle(authority: &Authority) -> TrustBundle {
    TrustBundle::new(trust_domain(), [authority.der().clone()]).unwrap()
}

pub(crate) fn current(authority: &Authority) -> Arc<CurrentTrustBundle> {
    Arc::new(CurrentTrustBundle::new(bundle(authority)))
}

/// The first and the last year of an SVID.
pub(crate) const NOW: (i32, i32) = (2020, 4000);
pub(crate) const PAST: (i32, i32) = (2020, 2021);
pub(crate) const FUTURE: (i32, i32) = (3000, 4000);

/// Writes an SVID and its key into a folder, in place of any that is there.
pub(crate) fn write(folder: &Path, authority: &Authority, id: &str, years: (i32, i32)) -> IdentityFiles {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let certificate = params.signed_by(&key, authority).unwrap();
    let (svid, private) = (folder.join("svid.pem"), folder.join("svid.key"));
    std::fs::write(&svid, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    IdentityFiles::new(svid, private)
}

pub(crate) fn load(files: IdentityFiles) -> Arc<ReloadingIdentity> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Arc::new(ReloadingIdentity::load(files, provider).unwrap())
}

pub(crate) fn identity(authority: &Authority, id: &str, years: (i32, i32)) -> Arc<ReloadingIdentity> {
    let folder = tempfile::tempdir().unwrap();
    load(write(folder.path(), authority, id, years))
}
