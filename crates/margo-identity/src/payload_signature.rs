use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls_pki_types::UnixTime;

use crate::{SigningKey, VerifyingKey};

const HEADER: HeaderName = HeaderName::from_static("x-payload-signature");
const MAX_HEADER: usize = 8192;

/// A device's side: the value of `X-Payload-Signature` for a body (pre-draft, R-A-013).
///
/// The base64 of the key, a `;` and the signature, joined as they are (X-A-18): the key as its DER
/// `SubjectPublicKeyInfo`; the signature as PKCS#1 v1.5 for RSA, as ASN.1 for P-256, over the SHA-256 of the body.
///
/// # Errors
///
/// [`SignPayloadError`] for a key of P-384, which the pre-draft's SHA-256 does not go with.
pub fn sign_payload(key: &SigningKey, body: &[u8]) -> Result<HeaderValue, SignPayloadError> {
    let signature = key.sign_payload(body).ok_or(SignPayloadError)?;
    let joined = [key.verifying_key().spki(), b";", &signature].concat();
    HeaderValue::try_from(STANDARD.encode(joined)).map_err(|_| SignPayloadError)
}

/// A body could not be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is not one for payload signatures, or the operating system gave no randomness")]
#[non_exhaustive]
pub struct SignPayloadError;

/// A manager's side: the `X-Payload-Signature` of a request whose body is still to come (R-A-014).
///
/// The key inside the header authenticates nobody: whoever signs can send the key along. It must be the one of the
/// certificate that was registered for the device, and that one alone is used (X-A-17). Both parts are read as DER or
/// base64, the key as PEM too, joined before or after the base64 (X-A-18).
pub struct PayloadSignature {
    signature: Vec<u8>,
    registered: VerifyingKey,
}

impl PayloadSignature {
    /// Reads the header. It must name the key `registered`, whose certificate must be valid at the time `now`.
    ///
    /// # Errors
    ///
    /// [`PayloadSignatureError`], for the log.
    pub fn read(
        headers: &HeaderMap,
        registered: VerifyingKey,
        now: UnixTime,
    ) -> Result<Self, PayloadSignatureError> {
        let mut values = headers.get_all(HEADER).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Err(PayloadSignatureError::Missing),
            (Some(value), None) if value.len() <= MAX_HEADER => value.as_bytes(),
            _ => return Err(PayloadSignatureError::Malformed),
        };
        if !registered.is_valid_at(now) {
            return Err(PayloadSignatureError::Certificate);
        }
        let (key, signature) = parts(value, &registered).ok_or(PayloadSignatureError::Malformed)?;
        if !is_key(&key, &registered) {
            return Err(PayloadSignatureError::OtherKey);
        }
        Ok(Self { signature, registered })
    }

    /// Whether the signature is over this body.
    ///
    /// # Errors
    ///
    /// [`PayloadSignatureError::Mismatch`].
    pub fn verify(&self, body: &[u8]) -> Result<(), PayloadSignatureError> {
        let decoded = text(&self.signature).and_then(|text| STANDARD.decode(text).ok());
        let mut forms = std::iter::once(&self.signature).chain(&decoded);
        if forms.any(|form| self.registered.verify_payload(body, form)) {
            Ok(())
        } else {
            Err(PayloadSignatureError::Mismatch)
        }
    }
}

impl fmt::Debug for PayloadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadSignature").finish_non_exhaustive()
    }
}

/// Whether `X-Payload-Signature` is that of `registered` over the body, at the time `now`: [`PayloadSignature`], for who
/// has the body already.
///
/// # Errors
///
/// [`PayloadSignatureError`], for the log.
pub fn verify_payload(
    headers: &HeaderMap,
    body: &[u8],
    registered: &VerifyingKey,
    now: UnixTime,
) -> Result<(), PayloadSignatureError> {
    PayloadSignature::read(headers, registered.clone(), now)?.verify(body)
}

/// Why a body is not what a device said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadSignatureError {
    /// There is no signature.
    #[error("the payload is not signed")]
    Missing,
    /// The header is not a key and a signature, or there are several.
    #[error("the payload's signature cannot be read")]
    Malformed,
    /// The certificate registered for the device is not valid at this time.
    #[error("the certificate registered for the device is not valid at this time")]
    Certificate,
    /// The key in the header is not the one registered (X-A-17).
    #[error("the payload is signed with another key than the one registered")]
    OtherKey,
    /// The signature is not the key's, or not for this body.
    #[error("the payload's signature does not match")]
    Mismatch,
}

/// The key and the signature. A key in DER may contain the separator, so its own length says where it ends.
fn parts(value: &[u8], registered: &VerifyingKey) -> Option<(Vec<u8>, Vec<u8>)> {
    let split = |bytes: &[u8]| {
        let at = bytes.iter().position(|b| *b == b';')?;
        Some((bytes[..at].to_vec(), bytes[at + 1..].to_vec()))
    };
    let Ok(joined) = STANDARD.decode(value) else {
        let (key, signature) = split(value)?;
        return Some((STANDARD.decode(key).ok()?, STANDARD.decode(signature).ok()?));
    };
    match joined.strip_prefix(registered.spki()) {
        Some([b';', signature @ ..]) => Some((registered.spki().to_vec(), signature.to_vec())),
        _ => split(&joined),
    }
}

fn is_key(found: &[u8], registered: &VerifyingKey) -> bool {
    if found == registered.spki() {
        return true;
    }
    let Some(text) = text(found) else { return false };
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).is_ok_and(|der| der == registered.spki())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(str::trim)
}
