use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use margo_core::Extensions;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::TrustBundleError;
use crate::trust_bundle::MAX_BYTES;

pub(crate) const X509_SVID: &str = "x509-svid";

/// A SPIFFE bundle as it is written: a JWK set (rev-D 2).
///
/// What it means is for [`TrustBundle`](crate::TrustBundle): this is for who forwards or inspects one. Members and keys of
/// other uses survive reading and writing.
///
/// ```
/// use margo_identity::SpiffeBundle;
/// use rustls_pki_types::CertificateDer;
///
/// let json = br#"{"keys":[{"kty":"EC","use":"x509-svid","x5c":["MAA="]},{"kty":"EC","use":"jwt-svid"}],"acme":1}"#;
/// let bundle = SpiffeBundle::parse(json)?;
/// assert_eq!(bundle.authorities(), [CertificateDer::from(vec![0x30, 0x00])]);
/// assert_eq!(bundle.keys[1].r#use.as_deref(), Some("jwt-svid"));
/// assert_eq!(serde_json::to_value(&bundle)?, serde_json::from_slice::<serde_json::Value>(json)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SpiffeBundle {
    /// The number of this version: later ones have higher numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_sequence: Option<u64>,
    /// How many seconds after fetching this bundle to look for the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_refresh_hint: Option<u64>,
    /// The keys. Those for `x509-svid` count, and without any the bundle is refused (R-D-016).
    pub keys: Vec<JsonWebKey>,
    /// Other members.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl SpiffeBundle {
    /// A bundle of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = JsonWebKey>) -> Self {
        Self { keys: keys.into_iter().collect(), ..Self::default() }
    }

    /// Reads a bundle of at most 1 MiB; nothing in it is believed yet.
    ///
    /// # Errors
    ///
    /// [`TrustBundleError::TooLarge`] before reading, [`TrustBundleError::Json`] for what is no JWK set.
    pub fn parse(json: &[u8]) -> Result<Self, TrustBundleError> {
        if json.len() > MAX_BYTES {
            return Err(TrustBundleError::TooLarge { max: MAX_BYTES });
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// The certificates of the keys that count, as far as they are base64; what is none of an authority is not told apart.
    #[must_use]
    pub fn authorities(&self) -> Vec<CertificateDer<'static>> {
        let keys = self.keys.iter().filter(|key| key.r#use.as_deref() == Some(X509_SVID));
        let certificates = keys.flat_map(|key| &key.x5c);
        certificates.filter_map(|text| STANDARD.decode(text).ok()).map(CertificateDer::from).collect()
    }
}

/// One key of a [`SpiffeBundle`] (RFC 7517).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JsonWebKey {
    /// The kind of key: `EC`, `RSA` or `OKP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(!default, !skip_serializing_if, required, extend("examples" = ["EC"])))]
    pub kty: Option<String>,
    /// What the key is for: `x509-svid`, or something that Margo has no use for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [X509_SVID])))]
    pub r#use: Option<String>,
    /// The curve of an `EC` or `OKP` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The x coordinate, in base64url; of an `OKP` key, the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The y coordinate, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus of an `RSA` key, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of an `RSA` key, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// The key's certificate, in base64: exactly one where the key is for `x509-svid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub x5c: Vec<String>,
    /// Other members.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl JsonWebKey {
    /// The key of an authority for SVIDs, from its certificate.
    #[must_use]
    pub fn of(authority: &CertificateDer<'_>) -> Self {
        let x5c = vec![STANDARD.encode(authority)];
        let mut jwk = Self { r#use: Some(X509_SVID.to_owned()), x5c, ..Self::default() };
        // A bundle's certificates have been read once already.
        let Ok((_, certificate)) = X509Certificate::from_der(authority) else { return jwk };
        let key = certificate.public_key();
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => {
                let unsigned = |bytes: &[u8]| {
                    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
                    Some(URL_SAFE_NO_PAD.encode(&bytes[start..]))
                };
                (jwk.kty, jwk.n, jwk.e) =
                    (Some("RSA".to_owned()), unsigned(rsa.modulus), unsigned(rsa.exponent));
            }
            Ok(PublicKey::EC(point)) if point.data().first() == Some(&4) => {
                let (x, y) = point.data()[1..].split_at(point.data().len() / 2);
                jwk.kty = Some("EC".to_owned());
                jwk.crv = match x.len() {
                    32 => Some("P-256".to_owned()),
                    48 => Some("P-384".to_owned()),
                    _ => Some("P-521".to_owned()),
                };
                (jwk.x, jwk.y) = (Some(URL_SAFE_NO_PAD.encode(x)), Some(URL_SAFE_NO_PAD.encode(y)));
            }
            _ => {
                (jwk.kty, jwk.crv) = (Some("OKP".to_owned()), Some("Ed25519".to_owned()));
                jwk.x = Some(URL_SAFE_NO_PAD.encode(&key.subject_public_key.data));
            }
        }
        jwk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-D-016: what does not count is kept all the same, for whoever it is meant for.
    #[test]
    fn everything_survives() {
        let json = r#"{"keys":[{"kid":"a","kty":"EC","use":"jwt-svid"},{"use":"x509-svid","x5c":["MAA="]}],"spiffe_sequence":12,"x":[1]}"#;
        let bundle = SpiffeBundle::parse(json.as_bytes()).unwrap();
        let written: serde_json::Value = serde_json::to_value(&bundle).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert!(SpiffeBundle::parse(b"{}").is_err());
        assert!(matches!(
            SpiffeBundle::parse(&vec![b' '; MAX_BYTES + 1]),
            Err(TrustBundleError::TooLarge { .. })
        ));
    }
}
