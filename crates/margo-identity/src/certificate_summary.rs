use std::time::Duration;

use margo_core::Digest;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::SpkiPin;

/// What a certificate says, for people to look at. Nothing of it is checked.
///
/// ```
/// # use std::time::Duration;
/// # #[cfg(feature = "issue")] {
/// use margo_identity::CertificateSummary;
/// use margo_identity::authority::Authority;
/// use rustls_pki_types::UnixTime;
///
/// let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));
/// let authority = Authority::generate(&"factory.example".parse().unwrap(), now, Duration::from_hours(24)).unwrap();
/// let summary = CertificateSummary::read(authority.certificate()).unwrap();
/// assert_eq!(summary.names, ["spiffe://factory.example"]);
/// assert!(summary.is_authority && summary.key == "EC P-256");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// The subject, as a distinguished name.
    pub subject: String,
    /// Who issued it, as a distinguished name.
    pub issuer: String,
    /// URIs, DNS names and addresses.
    pub names: Vec<String>,
    /// Whether it may issue certificates.
    pub is_authority: bool,
    /// The first second it is valid.
    pub not_before: UnixTime,
    /// The last second it is valid.
    pub not_after: UnixTime,
    /// The kind of its key, such as `EC P-256` or `RSA 3072`.
    pub key: String,
    /// The pin of its key (R-D-014).
    pub pin: SpkiPin,
    /// The SHA-256 of the certificate.
    pub fingerprint: Digest,
}

impl CertificateSummary {
    /// Reads a certificate. `None` for what is none.
    #[must_use]
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::URI(text) | GeneralName::DNSName(text) => Some((*text).to_owned()),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(bytes) => Some(std::net::IpAddr::from(bytes).to_string()),
                Err(_) => Some(std::net::IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
            },
            _ => None,
        };
        let time = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        };
        let key = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
            Ok(PublicKey::EC(point)) => format!("EC P-{}", point.key_size()),
            _ => "another kind".to_owned(),
        };
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: names.iter().filter_map(name).collect(),
            is_authority: parsed.basic_constraints().ok()?.is_some_and(|constraints| constraints.value.ca),
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            key,
            pin: SpkiPin::of(certificate)?,
            fingerprint: Digest::of(certificate),
        })
    }
}
