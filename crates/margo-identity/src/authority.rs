//! Making identities: a trust domain of one's own for development, for laboratories, and for plants without an identity
//! service; behind the feature `issue`.
//!
//! [`Authority`] makes certificates in memory. [`DevelopmentDomain`] keeps one in a folder, with what it issued, and never
//! overwrites a key. What it makes is what a real identity service makes, so that replacing it changes files alone.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    ClientSpiffeId, ParseSpiffeIdError, SpiffeId, SpkiPin, TrustBundle, TrustBundleError, TrustDomain,
    WfmSpiffeId,
};

mod domain;

pub use domain::{AuthorityRotation, DevelopmentDomain, DomainError, Written};

/// How long before now a certificate becomes valid: clocks differ.
const BACKDATED: Duration = Duration::from_mins(5);

/// A certificate authority that issues the certificates of every revision.
///
/// ```
/// use std::time::Duration;
///
/// use margo_identity::authority::Authority;
/// use margo_identity::{Svid, SvidVerifier, CurrentTrustBundle, WfmSpiffeId};
/// use rustls_pki_types::UnixTime;
///
/// let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));
/// let authority = Authority::generate(&"factory.example".parse()?, now, Duration::from_hours(24 * 365))?;
/// let manager: WfmSpiffeId = "spiffe://factory.example/margo/wfm/plant".parse()?;
/// let issued = authority.issue_client(&manager.client(&"press-7".parse()?)?, now, Duration::from_hours(24))?;
///
/// let verifier = SvidVerifier::new(CurrentTrustBundle::new(authority.bundle(1)?).into());
/// let svid = verifier.verify(issued.certificate(), &[], now)?;
/// assert_eq!(svid.id().to_string(), "spiffe://factory.example/margo/wfm/plant/client/press-7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authority {
    trust_domain: TrustDomain,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority for a trust domain, with a new P-256 key (R-D-012), valid from now on.
    ///
    /// # Errors
    ///
    /// [`IssueError::Certificate`] when there is no randomness, or `lifetime` leads beyond the year 9999.
    pub fn generate(
        trust_domain: &TrustDomain,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, IssueError> {
        let key = KeyPair::generate().map_err(certificate)?;
        // The names of two authorities of one trust domain differ, for people who look at chains.
        let name = SpkiPin::of_spki(&key.subject_public_key_info()).to_string();
        let mut params = params(&format!("{trust_domain} authority {}", &name[..8]), now, lifetime)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // X509-SVID 3.2: the authority names its trust domain.
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        let made = params.self_signed(&key).map_err(certificate)?;
        Self::from_pem(&made.pem(), &key.serialize_pem())
    }

    /// Reads an authority: its certificate and its key, both in PEM. The certificate names the trust domain.
    ///
    /// # Errors
    ///
    /// [`IssueError::Authority`] when the certificate is not an authority's, names no trust domain, or the key is not
    /// its own.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, IssueError> {
        let reason = |reason| IssueError::Authority { reason };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| reason("the certificate is not PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).ok();
        let key = key.and_then(|key| KeyPair::try_from(&key).ok());
        let key = key.ok_or_else(|| reason("the key cannot be read"))?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| reason("the certificate cannot be read"))?;
        let constraints = parsed.basic_constraints().ok().flatten();
        if !constraints.is_some_and(|constraints| constraints.value.ca) {
            return Err(reason("the certificate is not an authority's"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(reason("the key is another certificate's"));
        }
        let trust_domain =
            trust_domain(&parsed).ok_or_else(|| reason("the certificate names no trust domain"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|_| reason("the certificate cannot be read"))?;
        // Written anew: the text that was read may hold the key too.
        let certificate_pem = crate::trust_bundle::certificate_pem(&certificate);
        Ok(Self { trust_domain, certificate, certificate_pem, issuer })
    }

    /// The trust domain it issues for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its certificate: what devices of the pre-draft, rc.1 and rc.2 call the root certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its key in PEM: whoever has it is everybody.
    #[must_use]
    pub fn reveal_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A trust bundle of this authority alone.
    ///
    /// # Errors
    ///
    /// None for what [`generate`](Self::generate) made.
    pub fn bundle(&self, sequence: u64) -> Result<TrustBundle, TrustBundleError> {
        let bundle = TrustBundle::new(self.trust_domain.clone(), [self.certificate.clone()])?;
        Ok(bundle.with_schedule(sequence, REFRESH_HINT))
    }

    /// The SVID of a manager (rc.3).
    ///
    /// # Errors
    ///
    /// [`IssueError::OtherTrustDomain`], and those of [`generate`](Self::generate).
    pub fn issue_manager(
        &self,
        id: &WfmSpiffeId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Issued, IssueError> {
        self.issue_svid(id.spiffe_id(), now, lifetime)
    }

    /// The SVID of a client (rc.3).
    ///
    /// # Errors
    ///
    /// Those of [`issue_manager`](Self::issue_manager).
    pub fn issue_client(
        &self,
        id: &ClientSpiffeId,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Issued, IssueError> {
        self.issue_svid(id.spiffe_id(), now, lifetime)
    }

    /// The certificate that a device of the pre-draft, rc.1 or rc.2 signs with; `name` becomes its common name
    /// (R-A-015).
    ///
    /// # Errors
    ///
    /// Those of [`generate`](Self::generate).
    pub fn issue_device(&self, name: &str, now: UnixTime, lifetime: Duration) -> Result<Issued, IssueError> {
        let mut params = params(name, now, lifetime)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    /// The certificate that a manager shows to devices of the pre-draft, rc.1 and rc.2, which know it by its DNS names or
    /// addresses.
    ///
    /// # Errors
    ///
    /// [`IssueError::NoName`] without any; [`IssueError::Name`] for what is neither.
    pub fn issue_server(
        &self,
        names: &[String],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Issued, IssueError> {
        let first = names.first().ok_or(IssueError::NoName)?;
        let mut params = params(first, now, lifetime)?;
        for name in names {
            params.subject_alt_names.push(server_name(name)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    fn issue_svid(&self, id: &SpiffeId, now: UnixTime, lifetime: Duration) -> Result<Issued, IssueError> {
        if *id.trust_domain() != self.trust_domain {
            return Err(IssueError::OtherTrustDomain { id: id.clone(), ours: self.trust_domain.clone() });
        }
        let name = id.path().rsplit('/').next().unwrap_or_default();
        let mut params = params(name, now, lifetime)?;
        params.subject_alt_names = vec![uri(id.as_str())?];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Issued, IssueError> {
        let key = KeyPair::generate().map_err(certificate)?;
        let made = params.signed_by(&key, &self.issuer).map_err(certificate)?;
        Ok(Issued {
            certificate: made.der().clone(),
            certificate_pem: made.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

/// How often a bundle is looked at again: often enough for a new authority to be known everywhere within the hour.
const REFRESH_HINT: Duration = Duration::from_mins(30);

/// A certificate and its key, just made.
pub struct Issued {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl Issued {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate in PEM. The authority itself is left out: it is in the bundle.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key: PKCS#8 in PEM.
    #[must_use]
    pub fn reveal_key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued(redacted)")
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The authority cannot be used.
    #[error("not a certificate authority: {reason}")]
    Authority {
        /// Why not.
        reason: &'static str,
    },
    /// The id belongs elsewhere.
    #[error("`{id}` is not in the trust domain `{ours}`")]
    OtherTrustDomain {
        /// The id.
        id: SpiffeId,
        /// The trust domain this authority issues for.
        ours: TrustDomain,
    },
    /// The text is not a SPIFFE id.
    #[error("not a SPIFFE id")]
    Id(#[from] ParseSpiffeIdError),
    /// A server has to be called something.
    #[error("a server needs a DNS name or an address")]
    NoName,
    /// The text is neither a DNS name nor an address.
    #[error("`{name}` is neither a DNS name nor an address")]
    Name {
        /// The text.
        name: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {reason}")]
    Certificate {
        /// Why not, in the words of the library that makes it.
        reason: String,
    },
}

fn certificate(error: impl fmt::Display) -> IssueError {
    IssueError::Certificate { reason: error.to_string() }
}

fn params(name: &str, now: UnixTime, lifetime: Duration) -> Result<CertificateParams, IssueError> {
    /// 9999-12-31: the last day a certificate can name (RFC 5280, 4.1.2.5).
    const LAST: u64 = 253_402_214_400;
    let start = now.as_secs().saturating_sub(BACKDATED.as_secs());
    let end = now.as_secs().saturating_add(lifetime.as_secs());
    if end > LAST {
        return Err(certificate("it would be valid beyond the year 9999"));
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(start);
    params.not_after = epoch + Duration::from_secs(end);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn server_name(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let is_name = rustls_pki_types::DnsName::try_from(name).is_ok();
    let text = is_name.then(|| name.try_into().ok()).flatten();
    text.map(SanType::DnsName).ok_or_else(|| IssueError::Name { name: name.to_owned() })
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    Ok(SanType::URI(text.try_into().map_err(certificate)?))
}

/// The trust domain that an authority's certificate names: a SPIFFE id without a path.
fn trust_domain(certificate: &X509Certificate<'_>) -> Option<TrustDomain> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => uri.strip_prefix("spiffe://")?.parse().ok(),
        _ => None,
    })
}
