//! A certificate authority for tests.

use std::time::Duration;

use margo_identity::{TrustBundle, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, UnixTime};

pub(crate) const WFM: &str = "spiffe://factory.example/margo/wfm/plant";
pub(crate) const CLIENT: &str = "spiffe://factory.example/margo/wfm/plant/client/press-7";

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn trust_domain() -> TrustDomain {
    "factory.example".parse().unwrap()
}

/// 2026-06-15, within the year every certificate of this module is valid.
pub(crate) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_hours(494_856))
}

pub(crate) fn year(years: u64) -> Duration {
    Duration::from_secs(years * 366 * 86_400)
}

pub(crate) fn later(by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs()) + by)
}

pub(crate) fn earlier(by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs()).checked_sub(by).unwrap())
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn authority_with(name: &str, key: KeyPair) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), key).unwrap()
}

pub(crate) fn authority(name: &str) -> Authority {
    authority_with(name, KeyPair::generate().unwrap())
}

pub(crate) fn bundle(authority: &Authority) -> TrustBundle {
    TrustBundle::new(trust_domain(), [authority.der().clone()]).unwrap()
}

pub(crate) fn rsa(bits: usize) -> KeyPair {
    KeyPair::from_pem(match bits {
        2048 => include_str!("keys/rsa-2048.pem"),
        3072 => include_str!("keys/rsa-3072.pem"),
        _ => unreachable!("no such key"),
    })
    .unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

/// What a leaf is to be; everything right unless changed.
pub(crate) struct Leaf {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
}

pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

pub(crate) fn leaf(id: &str) -> Leaf {
    let mut params = params("leaf");
    params.subject_alt_names = vec![uri(id)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Leaf { params, key: KeyPair::generate().unwrap() }
}

pub(crate) fn uri(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

impl Leaf {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    pub(crate) fn key(self, key: KeyPair) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn issued_by(self, authority: &Authority) -> Issued {
        let certificate = self.params.signed_by(&self.key, authority).unwrap();
        Issued { der: certificate.der().clone(), pem: certificate.pem(), key: self.key }
    }
}

pub(crate) fn critical_unknown() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
    extension.set_criticality(true);
    extension
}
