use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use margo_core::{Digest, Extensions};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::spiffe_bundle::X509_SVID;
use crate::{JsonWebKey, SpiffeBundle, TrustDomain};

pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The certificates that a trust domain's SVIDs are issued under: a SPIFFE bundle (rev-D 2, R-D-016).
///
/// Has at least one authority: without any, everything would have to be refused or accepted, and neither is what
/// somebody who serves an empty bundle means.
#[derive(Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
    authorities: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl TrustBundle {
    /// A bundle of these authorities.
    ///
    /// # Errors
    ///
    /// [`TrustBundleError::Empty`] without any; [`TrustBundleError::Authority`] when one is not the certificate of a
    /// certificate authority.
    pub fn new(
        trust_domain: TrustDomain,
        authorities: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TrustBundleError> {
        let authorities: Vec<_> = authorities.into_iter().collect();
        if authorities.is_empty() {
            return Err(TrustBundleError::Empty);
        }
        let anchors = authorities.iter().enumerate().map(|(index, authority)| {
            anchor(authority).map_err(|reason| TrustBundleError::Authority { index, reason })
        });
        let anchors = anchors.collect::<Result<_, _>>()?;
        Ok(Self { trust_domain, sequence: None, refresh_hint: None, authorities, anchors })
    }

    /// Numbers this version of the bundle, and says how often to look for the next. Hints are whole seconds.
    #[must_use]
    pub fn with_schedule(mut self, sequence: u64, refresh_hint: Duration) -> Self {
        self.sequence = Some(sequence);
        self.refresh_hint = Some(Duration::from_secs(refresh_hint.as_secs()));
        self
    }

    /// Reads the SPIFFE bundle of `trust_domain`: a JWK set.
    ///
    /// Only keys for `x509-svid` count, others and unknown members are ignored (R-D-016).
    ///
    /// # Errors
    ///
    /// [`TrustBundleError::TooLarge`] beyond 1 MiB, before reading; [`TrustBundleError::Empty`] when no key counts;
    /// [`TrustBundleError::Authority`] when one that counts cannot be read, by its place among the keys.
    pub fn parse(trust_domain: TrustDomain, json: &[u8]) -> Result<Self, TrustBundleError> {
        Self::from_document(trust_domain, &SpiffeBundle::parse(json)?)
    }

    /// As [`parse`](Self::parse), from a document that was read already.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn from_document(
        trust_domain: TrustDomain,
        document: &SpiffeBundle,
    ) -> Result<Self, TrustBundleError> {
        let mut authorities = Vec::new();
        for (index, key) in document.keys.iter().enumerate() {
            if key.r#use.as_deref() != Some(X509_SVID) {
                continue;
            }
            let error = |reason| TrustBundleError::Authority { index, reason };
            // SPIFFE X509-SVID 6.2: exactly one certificate per key.
            let [certificate] = &key.x5c[..] else {
                return Err(error("`x5c` does not hold one certificate"));
            };
            let der = STANDARD.decode(certificate).map_err(|_| error("`x5c` is not base64"))?;
            let der = CertificateDer::from(der);
            anchor(&der).map_err(error)?;
            authorities.push(der);
        }
        let mut bundle = Self::new(trust_domain, authorities)?;
        bundle.sequence = document.spiffe_sequence;
        bundle.refresh_hint = document.spiffe_refresh_hint.map(Duration::from_secs);
        Ok(bundle)
    }

    /// Reads the authorities of `trust_domain` from PEM: what an operator's own certificate authority has.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse); [`TrustBundleError::Pem`] when the text is not PEM.
    pub fn from_pem(trust_domain: TrustDomain, pem: &[u8]) -> Result<Self, TrustBundleError> {
        if pem.len() > MAX_BYTES {
            return Err(TrustBundleError::TooLarge { max: MAX_BYTES });
        }
        let authorities = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        Self::new(trust_domain, authorities.map_err(|_| TrustBundleError::Pem)?)
    }

    /// The bundle as a SPIFFE bundle endpoint serves it.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "strings and numbers can always be written as JSON")]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.to_document()).expect("strings and numbers can be written as JSON")
    }

    /// The authorities in PEM, as other software wants them.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.authorities.iter().map(certificate_pem).collect()
    }

    /// The bundle as a document.
    #[must_use]
    pub fn to_document(&self) -> SpiffeBundle {
        let mut document = SpiffeBundle::new(self.authorities.iter().map(JsonWebKey::of));
        document.spiffe_sequence = self.sequence;
        document.spiffe_refresh_hint = self.refresh_hint.map(|hint| hint.as_secs());
        document
    }

    /// Whose bundle this is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The number of this version: later ones have higher numbers.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// How long after fetching this bundle to look for the next.
    #[must_use]
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// The certificates; at least one.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle")
            .field("trust_domain", &self.trust_domain)
            .field("sequence", &self.sequence)
            .field("refresh_hint", &self.refresh_hint)
            .field("authorities", &self.authorities.len())
            .finish_non_exhaustive()
    }
}

/// Why a bundle cannot be used. Nothing may be validated against what cannot be used (R-D-016).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustBundleError {
    /// There is too much of it.
    #[error("the trust bundle has more than {max} bytes")]
    TooLarge {
        /// The most bytes there may be.
        max: usize,
    },
    /// It is not a JWK set.
    #[error("the trust bundle is not a JWK set")]
    Json(#[from] serde_json::Error),
    /// It is not PEM.
    #[error("the trust bundle is not PEM")]
    Pem,
    /// A key that counts has no usable certificate.
    #[error("the trust bundle's key {index}: {reason}")]
    Authority {
        /// Its place, counted from 0.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// No key counts.
    #[error("the trust bundle has no X.509 authority")]
    Empty,
}

/// The bundle in force: shared by everything that validates, replaced as a whole (R-D-016).
#[derive(Debug)]
pub struct CurrentTrustBundle(RwLock<Arc<TrustBundle>>);

impl CurrentTrustBundle {
    /// Starts with this bundle. It must have come by a channel trusted already (R-D-014).
    #[must_use]
    pub fn new(bundle: TrustBundle) -> Self {
        Self(RwLock::new(Arc::new(bundle)))
    }

    /// The bundle in force.
    #[must_use]
    pub fn get(&self) -> Arc<TrustBundle> {
        // The lock guards a pointer, which is whole even if a thread panicked.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a newer version in force. No authority of the old one remains.
    ///
    /// # Errors
    ///
    /// [`ReplaceBundleError`], and the old one stays in force, when the new one is for another trust domain, or its
    /// sequence is lower, or missing where the old one has one.
    pub fn replace(&self, bundle: TrustBundle) -> Result<(), ReplaceBundleError> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if bundle.trust_domain != current.trust_domain {
            return Err(ReplaceBundleError::OtherTrustDomain { found: bundle.trust_domain });
        }
        if bundle.sequence < current.sequence {
            return Err(ReplaceBundleError::LowerSequence {
                current: current.sequence,
                found: bundle.sequence,
            });
        }
        *current = Arc::new(bundle);
        Ok(())
    }
}

/// Why a bundle does not replace the one in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceBundleError {
    /// It is somebody else's.
    #[error("the trust bundle is of the trust domain `{found}`")]
    OtherTrustDomain {
        /// Whose it is.
        found: TrustDomain,
    },
    /// It is older.
    #[error("the trust bundle's sequence fell from {current:?} to {found:?}")]
    LowerSequence {
        /// The one in force.
        current: Option<u64>,
        /// The one offered.
        found: Option<u64>,
    },
}

/// Where a trust domain's bundle is: `GET /.well-known/margo` (R-D-015).
///
/// ```
/// use margo_identity::DiscoveryDocument;
///
/// let json = br#"{"trustDomain":"factory.example","trustBundleUri":"https://mis.factory.example/bundle.json","x":1}"#;
/// let document = DiscoveryDocument::parse(json)?;
/// assert_eq!(document.trust_bundle_uri.get().host(), Some("mis.factory.example"));
/// assert_eq!(document.to_json().as_bytes(), json);
/// # Ok::<(), margo_identity::DiscoveryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DiscoveryDocument {
    /// The trust domain: exactly one.
    pub trust_domain: TrustDomain,
    /// Where its bundle is: an absolute `https` URL.
    pub trust_bundle_uri: TrustBundleUri,
    /// Members newer than this library, which are ignored (R-D-015).
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DiscoveryDocument {
    /// The bundle of `trust_domain` is at `trust_bundle_uri`.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, trust_bundle_uri: TrustBundleUri) -> Self {
        Self { trust_domain, trust_bundle_uri, extensions: Extensions::new() }
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::TooLarge`] beyond 64 KiB, before reading; [`DiscoveryError::Json`] for what has another form,
    /// such as an address that is not `https`.
    pub fn parse(json: &[u8]) -> Result<Self, DiscoveryError> {
        if json.len() > MAX_DISCOVERY {
            return Err(DiscoveryError::TooLarge { max: MAX_DISCOVERY });
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// The document as JSON.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "what was read as JSON can be written as JSON")]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts can be written as JSON")
    }
}

const MAX_DISCOVERY: usize = 1 << 16;

/// Why a discovery document cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// There is too much of it.
    #[error("the discovery document has more than {max} bytes")]
    TooLarge {
        /// The most bytes there may be.
        max: usize,
    },
    /// It has another form.
    #[error("the discovery document cannot be read")]
    Json(#[from] serde_json::Error),
}

/// An absolute `https` URL (R-D-015).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustBundleUri(http::Uri);

impl TrustBundleUri {
    /// The URL.
    #[must_use]
    pub fn get(&self) -> &http::Uri {
        &self.0
    }
}

impl FromStr for TrustBundleUri {
    type Err = ParseTrustBundleUriError;

    fn from_str(text: &str) -> Result<Self, ParseTrustBundleUriError> {
        let uri: http::Uri = text.parse().map_err(|_| ParseTrustBundleUriError)?;
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let no_user = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if uri.scheme() == Some(&http::uri::Scheme::HTTPS) && host && no_user {
            Ok(Self(uri))
        } else {
            Err(ParseTrustBundleUriError)
        }
    }
}

impl TryFrom<String> for TrustBundleUri {
    type Error = ParseTrustBundleUriError;

    fn try_from(text: String) -> Result<Self, ParseTrustBundleUriError> {
        text.parse()
    }
}

impl From<TrustBundleUri> for String {
    fn from(uri: TrustBundleUri) -> Self {
        uri.0.to_string()
    }
}

impl fmt::Display for TrustBundleUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not an absolute `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an absolute https URL without user information")]
#[non_exhaustive]
pub struct ParseTrustBundleUriError;

/// The public key an operator expects of a server that is not yet otherwise known (R-D-014): the base64 of the
/// SHA-256 of its DER `SubjectPublicKeyInfo` (RFC 7469, 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiPin(Digest);

impl SpkiPin {
    /// The pin of this certificate's key. `None` when the certificate cannot be read.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(Digest::of(certificate.public_key().raw)))
    }

    /// The pin of a key, from its DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Digest::of(spki))
    }

    /// Whether this certificate has the key.
    #[must_use]
    pub fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        Self::of(certificate).as_ref() == Some(self)
    }
}

impl FromStr for SpkiPin {
    type Err = ParseSpkiPinError;

    fn from_str(text: &str) -> Result<Self, ParseSpkiPinError> {
        let bytes = STANDARD.decode(text).map_err(|_| ParseSpkiPinError)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| ParseSpkiPinError)?;
        Ok(Self(bytes.into()))
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0.as_bytes()))
    }
}

/// The text is not a pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the base64 of a SHA-256")]
#[non_exhaustive]
pub struct ParseSpkiPinError;

/// A certificate, and nothing else, in PEM.
pub(crate) fn certificate_pem(certificate: &CertificateDer<'static>) -> String {
    let encoded = STANDARD.encode(certificate);
    let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn anchor(authority: &CertificateDer<'static>) -> Result<TrustAnchor<'static>, &'static str> {
    let (rest, certificate) = X509Certificate::from_der(authority).map_err(|_| "not a certificate")?;
    if !rest.is_empty() {
        return Err("more than a certificate");
    }
    let constraints = certificate.basic_constraints().map_err(|_| "not a certificate")?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("not the certificate of an authority");
    }
    Ok(webpki::anchor_from_trusted_cert(authority).map_err(|_| "not a usable certificate")?.to_owned())
}
