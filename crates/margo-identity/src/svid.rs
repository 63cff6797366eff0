use std::sync::Arc;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{CurrentTrustBundle, ParseSpiffeIdError, SpiffeId, TrustBundle, TrustDomain};

const MIN_RSA_BITS: usize = 3072;

/// What certificates may be signed with: rev-D 2 names these and no others.
static CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
];

/// What an X.509-SVID says: who, and until when.
///
/// Whoever accepts connections puts the one its peer was authenticated by into the extensions of each request;
/// nobody can send one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svid {
    id: SpiffeId,
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Svid {
    /// Reads a leaf certificate and checks its constraints: exactly one URI, which is a SPIFFE id with a path; not
    /// an authority; signs neither certificates nor lists (R-D-009, last step).
    ///
    /// Nothing here says that the certificate is anybody's: that is for [`SvidVerifier`]. This is for one's own, and
    /// for one that a handshake has verified.
    pub fn read(leaf: &CertificateDer<'_>) -> Result<Self, SvidError> {
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| SvidError::Malformed)?;
        if !rest.is_empty() {
            return Err(SvidError::Malformed);
        }
        let constraints = certificate.basic_constraints().map_err(|_| SvidError::Malformed)?;
        if constraints.is_some_and(|constraints| constraints.value.ca) {
            return Err(SvidError::Authority);
        }
        if let Some(usage) = certificate.key_usage().map_err(|_| SvidError::Malformed)? {
            if usage.value.key_cert_sign() {
                return Err(SvidError::KeyUsage { usage: "keyCertSign" });
            }
            if usage.value.crl_sign() {
                return Err(SvidError::KeyUsage { usage: "cRLSign" });
            }
        }
        let [uri] = uris(&certificate)?[..] else {
            return Err(SvidError::UriNames { found: uris(&certificate)?.len() });
        };
        let id = uri.parse()?;
        let validity = certificate.validity();
        let seconds = |time: i64| {
            let seconds = u64::try_from(time).unwrap_or(0);
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
        };
        Ok(Self {
            id,
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
        })
    }

    /// Who.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The first second it is valid.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last second it is valid: no connection should outlive it (R-D-013).
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// Decides whether a chain of certificates is an SVID of our own trust domain (R-D-009).
///
/// It looks at no DNS name, asks for no revocation and fetches no certificate (R-D-010): what is not revoked by its
/// short life is by the bundle or by [`AcceptedClients`](crate::AcceptedClients). An authority counts for as long as it
/// is in the bundle, whatever its own certificate says of time.
#[derive(Clone, Debug)]
pub struct SvidVerifier {
    bundle: Arc<CurrentTrustBundle>,
}

impl SvidVerifier {
    /// Validates against what `bundle` is at the time, in its trust domain.
    #[must_use]
    pub fn new(bundle: Arc<CurrentTrustBundle>) -> Self {
        Self { bundle }
    }

    /// The bundle in force. Whoever keeps it finds out by comparing whether it was replaced, and so whether what was
    /// verified has to be verified again.
    #[must_use]
    pub fn bundle(&self) -> Arc<TrustBundle> {
        self.bundle.get()
    }

    /// Who presents `leaf` with these `intermediates` at the time `now`.
    ///
    /// In this order: the trust domain is our own; the chain ends at an authority of the bundle in force; all of it
    /// is within its validity period; the leaf's constraints hold. Neither the root nor the order of intermediates
    /// matters.
    ///
    /// # Errors
    ///
    /// The step that failed, for the log. The peer must not learn it.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Svid, SvidError> {
        let bundle = self.bundle.get();
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| SvidError::Malformed)?;
        for uri in uris(&certificate)? {
            let id: SpiffeId = uri.parse()?;
            if id.trust_domain() != bundle.trust_domain() {
                return Err(SvidError::OtherTrustDomain { found: id.trust_domain().clone() });
            }
        }

        // One walk finds the chain and looks at the validity periods: a certificate that fails both is reported by
        // either.
        let end_entity = EndEntityCert::try_from(leaf)?;
        let path = end_entity.verify_for_usage(
            CERTIFICATE_ALGORITHMS,
            bundle.anchors(),
            intermediates,
            now,
            KeyUsage::client_auth(), // SPIFFE: either extended usage, or none, on both sides
            None,
            None,
        )?;
        strong(end_entity.subject_public_key_info().as_ref())?;
        for intermediate in path.intermediate_certificates() {
            strong(intermediate.subject_public_key_info().as_ref())?;
        }
        strong(webpki::spki_for_anchor(path.anchor()).as_ref())?;

        Svid::read(leaf)
    }
}

/// Why a chain of certificates is not an SVID of ours.
///
/// For the log: what a peer presented may be named, what it should have presented is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// The leaf cannot be read as a certificate.
    #[error("not an X.509 certificate")]
    Malformed,
    /// A URI of the leaf is not a SPIFFE id.
    #[error("the certificate's URI is not a SPIFFE id")]
    SpiffeId(#[from] ParseSpiffeIdError),
    /// The leaf is somebody's elsewhere.
    #[error("the certificate is of the trust domain `{found}`")]
    OtherTrustDomain {
        /// Where.
        found: TrustDomain,
    },
    /// The chain does not lead to an authority of the bundle in force.
    #[error("the certificate's chain does not hold: {reason}")]
    Chain {
        /// What failed, in the words of the library that checks it.
        reason: String,
    },
    /// A certificate of the chain is not valid yet.
    #[error("the certificate, or one that signs it, is not valid yet")]
    NotYetValid,
    /// A certificate of the chain is not valid any more.
    #[error("the certificate, or one that signs it, has expired")]
    Expired,
    /// An RSA key of the chain is too short (R-D-012).
    #[error("an RSA key has {bits} bits, and 3072 are needed")]
    WeakRsaKey {
        /// Its length.
        bits: usize,
    },
    /// The leaf does not have exactly one URI.
    #[error("the certificate has {found} URIs, and one is needed")]
    UriNames {
        /// How many it has.
        found: usize,
    },
    /// The leaf is an authority (`cA`).
    #[error("the certificate is of an authority")]
    Authority,
    /// The leaf may sign certificates or revocation lists.
    #[error("the certificate may be used for `{usage}`")]
    KeyUsage {
        /// What it may be used for.
        usage: &'static str,
    },
    /// The SVID is valid, and the other end is not the one expected (R-D-005).
    #[error("the peer is `{found}`")]
    OtherPeer {
        /// Who it is.
        found: SpiffeId,
    },
}

impl From<webpki::Error> for SvidError {
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::CertNotValidYet { .. } => Self::NotYetValid,
            webpki::Error::CertExpired { .. } => Self::Expired,
            webpki::Error::CaUsedAsEndEntity => Self::Authority,
            other => Self::Chain { reason: other.to_string() },
        }
    }
}

fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, SvidError> {
    let names = certificate.subject_alternative_name().map_err(|_| SvidError::Malformed)?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let uri = |name: &GeneralName<'a>| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    };
    Ok(names.iter().filter_map(uri).collect())
}

/// R-D-012.
fn strong(spki: &[u8]) -> Result<(), SvidError> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| SvidError::Malformed)?;
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() < MIN_RSA_BITS => {
            Err(SvidError::WeakRsaKey { bits: rsa.key_size() })
        }
        _ => Ok(()),
    }
}
