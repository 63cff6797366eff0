use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use x509_parser::oid_registry;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

/// How a message is signed: the four that a manager must support (R-B-008).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaV15Sha256,
    /// RSA-PSS with SHA-256. Named by the specification, not registered with RFC 9421.
    RsaPssSha256,
}

impl SignatureAlgorithm {
    const ALL: [Self; 4] =
        [Self::EcdsaP256Sha256, Self::EcdsaP384Sha384, Self::RsaV15Sha256, Self::RsaPssSha256];

    /// The name of RFC 9421's `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::RsaPssSha256 => "rsa-pss-sha256",
        }
    }

    #[cfg(feature = "http-signature")]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    fn kind(self) -> Kind {
        match self {
            Self::EcdsaP256Sha256 => Kind::P256,
            Self::EcdsaP384Sha384 => Kind::P384,
            Self::RsaV15Sha256 | Self::RsaPssSha256 => Kind::Rsa,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::RsaV15Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
}

/// A private key that signs messages: of a device certificate of the pre-draft, rc.1 or rc.2.
pub struct SigningKey {
    pair: Pair,
    spki: Vec<u8>,
    random: SystemRandom,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Reads a private key: PKCS#8 in PEM, of P-256, P-384, or RSA with 2048 to 4096 bits; or RSA in PKCS#1.
    ///
    /// # Errors
    ///
    /// [`KeyError`], which says nothing about the content.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?;
        let random = SystemRandom::new();
        let pair = match &der {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der, &random).ok();
                if let Some(pair) = ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING) {
                    Some(Pair::P256(pair))
                } else if let Some(pair) = ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING) {
                    Some(Pair::P384(pair))
                } else {
                    RsaKeyPair::from_pkcs8(der).ok().map(Pair::Rsa)
                }
            }
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(Pair::Rsa),
            _ => None,
        };
        let pair = pair.ok_or(KeyError::Unsupported)?;
        let spki = match &pair {
            Pair::P256(pair) => spki(P256, pair.public_key().as_ref()),
            Pair::P384(pair) => spki(P384, pair.public_key().as_ref()),
            Pair::Rsa(pair) => spki(RSA, pair.public_key().as_ref()),
        };
        Ok(Self { pair, spki, random })
    }

    /// The public half.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "what is written here can be read here")]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_spki(&self.spki).expect("the key was read")
    }

    /// What it signs with unless told otherwise: for RSA, PKCS#1 v1.5, which RFC 9421 registers.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        match &self.pair {
            Pair::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
            Pair::P384(_) => SignatureAlgorithm::EcdsaP384Sha384,
            Pair::Rsa(_) => SignatureAlgorithm::RsaV15Sha256,
        }
    }

    /// `None` when the algorithm is for another kind of key, or there is no randomness.
    #[cfg(feature = "http-signature")]
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        match (&self.pair, algorithm) {
            (Pair::P256(pair), SignatureAlgorithm::EcdsaP256Sha256)
            | (Pair::P384(pair), SignatureAlgorithm::EcdsaP384Sha384) => {
                Some(pair.sign(&self.random, message).ok()?.as_ref().to_vec())
            }
            (Pair::Rsa(pair), SignatureAlgorithm::RsaV15Sha256) => {
                self.sign_rsa(pair, &signature::RSA_PKCS1_SHA256, message)
            }
            (Pair::Rsa(pair), SignatureAlgorithm::RsaPssSha256) => {
                self.sign_rsa(pair, &signature::RSA_PSS_SHA256, message)
            }
            _ => None,
        }
    }

    /// Over the SHA-256 of a payload, in the forms of the pre-draft. `None` as for [`Self::sign`].
    #[cfg(feature = "payload-signature")]
    pub(crate) fn sign_payload(&self, payload: &[u8]) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::P256(pair) => Some(asn1(pair.sign(&self.random, payload).ok()?.as_ref())),
            Pair::P384(_) => None,
            Pair::Rsa(pair) => self.sign_rsa(pair, &signature::RSA_PKCS1_SHA256, payload),
        }
    }

    fn sign_rsa(
        &self,
        pair: &RsaKeyPair,
        encoding: &'static dyn signature::RsaEncoding,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(encoding, &self.random, message, &mut signature).ok()?;
        Some(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// A public key that a message's signature is checked with, and how long it may be.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    kind: Kind,
    key: Vec<u8>,
    spki: Vec<u8>,
    validity: Option<(i64, i64)>,
}

impl VerifyingKey {
    /// The key of a certificate that was registered for a device (R-A-014, R-B-007). It verifies nothing outside the
    /// certificate's validity period.
    ///
    /// That the certificate is the device's was found out when it was registered; its issuer is not looked at.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it cannot be read, or its key is neither P-256, P-384 nor RSA with 2048 bits or more.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, KeyError> {
        let (rest, certificate) = X509Certificate::from_der(certificate).map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed);
        }
        let validity = certificate.validity();
        let validity = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { validity: Some(validity), ..Self::of(certificate.public_key())? })
    }

    /// A key without a certificate, from its DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// As [`from_certificate`](Self::from_certificate).
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], spki)) => Self::of(&spki),
            _ => Err(KeyError::Malformed),
        }
    }

    fn of(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, KeyError> {
        let algorithm = &spki.algorithm;
        let curve = || algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        let kind = if algorithm.algorithm == oid_registry::OID_PKCS1_RSAENCRYPTION {
            Kind::Rsa
        } else if algorithm.algorithm == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
            match curve() {
                Some(curve) if curve == oid_registry::OID_EC_P256 => Kind::P256,
                Some(curve) if curve == oid_registry::OID_NIST_EC_P384 => Kind::P384,
                _ => return Err(KeyError::Unsupported),
            }
        } else {
            return Err(KeyError::Unsupported);
        };
        if let (Kind::Rsa, Ok(x509_parser::public_key::PublicKey::RSA(rsa))) = (kind, spki.parsed())
            && rsa.key_size() < 2048
        {
            return Err(KeyError::Unsupported);
        }
        let key = spki.subject_public_key.data.to_vec();
        Ok(Self { kind, key, spki: spki.raw.to_vec(), validity: None })
    }

    /// The DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether the key's certificate is valid at this time. A key without one always is.
    #[must_use]
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.validity.is_none_or(|(not_before, not_after)| (not_before..=not_after).contains(&now))
    }

    /// The algorithms this kind of key has: never decided by what a message says of itself.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = SignatureAlgorithm> {
        let kind = self.kind;
        SignatureAlgorithm::ALL.into_iter().filter(move |algorithm| algorithm.kind() == kind)
    }

    /// Whether the signature is this key's, by this algorithm.
    #[must_use]
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.algorithms().any(|possible| possible == algorithm)
            && UnparsedPublicKey::new(algorithm.verification(), &self.key).verify(message, signature).is_ok()
    }

    #[cfg(feature = "payload-signature")]
    pub(crate) fn verify_payload(&self, payload: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Kind::P384 => &signature::ECDSA_P384_SHA256_ASN1,
            Kind::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.key).verify(payload, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why a key cannot be used. Says nothing about its content, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It cannot be read.
    #[error("neither a key nor a certificate")]
    Malformed,
    /// It is of a kind that no revision uses, or too short.
    #[error("expected a key of P-256, P-384 or RSA with at least 2048 bits")]
    Unsupported,
}

// The DER of each kind's AlgorithmIdentifier (RFC 5480, RFC 3279).
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// The two numbers of a signature as RFC 3279 writes them: ring makes them side by side, in equal halves.
#[cfg(feature = "payload-signature")]
fn asn1(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let integer = |bytes: &[u8]| {
        let significant = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
        // A zero in front keeps the number positive.
        let sign: &[u8] = if significant.first().is_none_or(|b| *b >= 0x80) { &[0] } else { &[] };
        tagged(0x02, &[sign, significant].concat())
    };
    tagged(0x30, &[integer(r), integer(s)].concat())
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tagged(0x03, &[&[0], key].concat());
    tagged(0x30, &[algorithm, &bits].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    match significant {
        [short @ 0..0x80] => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).expect("a length has 8 bytes at most"));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}
