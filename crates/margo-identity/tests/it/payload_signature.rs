use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use margo_identity::{
    PayloadSignatureError as Error, SigningKey, VerifyingKey, sign_payload, verify_payload,
};
use rcgen::KeyPair;

use crate::pki::{self, authority, later, leaf, now, year};

const BODY: &[u8] = br#"{"id":"device"}"#;

fn device(key: KeyPair) -> (SigningKey, VerifyingKey) {
    let certificate = leaf("spiffe://unused.example/a").key(key).issued_by(&authority("any"));
    let key = SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap();
    (key, VerifyingKey::from_certificate(&certificate.der).unwrap())
}

fn headers(value: impl AsRef<[u8]>) -> HeaderMap {
    let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
    HeaderMap::from_iter([(http::HeaderName::from_static("x-payload-signature"), value)])
}

/// R-A-013, R-A-014.
#[test]
fn what_a_device_signs_is_verified() {
    for key in [KeyPair::generate().unwrap(), pki::rsa(2048)] {
        let (key, registered) = device(key);
        let headers = headers(sign_payload(&key, BODY).unwrap());
        assert_eq!(verify_payload(&headers, BODY, &registered, now()), Ok(()));
        assert_eq!(verify_payload(&headers, b"{}", &registered, now()), Err(Error::Mismatch));
        assert_eq!(verify_payload(&headers, BODY, &registered, later(year(1))), Err(Error::Certificate));
    }
}

/// The numbers of an ECDSA signature come in many lengths.
#[test]
fn every_signature_of_a_curve_verifies() {
    let (key, registered) = device(KeyPair::generate().unwrap());
    for n in 0..600_u32 {
        let body = n.to_be_bytes();
        let headers = headers(sign_payload(&key, &body).unwrap());
        assert_eq!(verify_payload(&headers, &body, &registered, now()), Ok(()));
    }
}

/// X-A-17: a header that is right in itself, by a key that is not the device's.
#[test]
fn the_key_in_the_header_authenticates_nobody() {
    let (_, registered) = device(KeyPair::generate().unwrap());
    let (attacker, _) = device(KeyPair::generate().unwrap());
    let forged = sign_payload(&attacker, BODY).unwrap();
    assert_eq!(verify_payload(&headers(&forged), BODY, &registered, now()), Err(Error::OtherKey));

    // The registered key, which is public, before the attacker's signature.
    let forged = STANDARD.decode(forged).unwrap();
    let signature = &forged[attacker.verifying_key().spki().len() + 1..];
    let joined = STANDARD.encode([registered.spki(), b";", signature].concat());
    assert_eq!(verify_payload(&headers(joined), BODY, &registered, now()), Err(Error::Mismatch));
}

/// X-A-18: each reading of "base-64 of `<public key>;<signature>`".
#[test]
fn every_reading_of_the_encoding_is_read() {
    let (key, registered) = device(pki::rsa(2048));
    let signed = STANDARD.decode(sign_payload(&key, BODY).unwrap()).unwrap();
    let signature = signed.strip_prefix(registered.spki()).unwrap().strip_prefix(b";").unwrap();
    let (spki64, signature64) = (STANDARD.encode(registered.spki()), STANDARD.encode(signature));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki64}\n-----END PUBLIC KEY-----\n");
    let raw = |key: &str| STANDARD.encode([key.as_bytes(), b";", signature].concat());
    for value in [
        format!("{spki64};{signature64}"),
        STANDARD.encode(format!("{spki64};{signature64}")),
        STANDARD.encode(format!("{pem};{signature64}")),
        raw(&spki64),
        raw(&pem),
    ] {
        assert_eq!(verify_payload(&headers(&value), BODY, &registered, now()), Ok(()), "{value}");
        assert_eq!(
            verify_payload(&headers(&value), b"", &registered, now()),
            Err(Error::Mismatch),
            "{value}"
        );
    }
}

/// X-A-16: what is around a payload, an envelope with a name in it perhaps, is no signature.
#[test]
fn an_envelope_is_no_signature() {
    let (key, registered) = device(KeyPair::generate().unwrap());
    let signature = sign_payload(&key, BODY).unwrap();
    let envelope = format!(
        r#"{{"certificateId":"plc-7","payload":"e30=","signature":"{}"}}"#,
        signature.to_str().unwrap()
    );
    let verify = |headers: &HeaderMap| verify_payload(headers, envelope.as_bytes(), &registered, now());
    assert_eq!(verify(&HeaderMap::new()), Err(Error::Missing));
    assert_eq!(verify(&headers(signature)), Err(Error::Mismatch), "it is over what is inside");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let (key, registered) = device(KeyPair::generate().unwrap());
    let verify = |headers: &HeaderMap| verify_payload(headers, BODY, &registered, now());
    assert_eq!(verify(&HeaderMap::new()), Err(Error::Missing));
    for value in ["", "%", ";", "AAAA", "AAAA;%", &"A".repeat(8196)] {
        let error = verify(&headers(value)).unwrap_err();
        assert!(matches!(error, Error::Malformed | Error::OtherKey), "{value}: {error:?}");
    }
    let mut twice = headers(sign_payload(&key, BODY).unwrap());
    twice.append("x-payload-signature", sign_payload(&key, BODY).unwrap());
    assert_eq!(verify(&twice), Err(Error::Malformed));
    let (p384, _) = device(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap());
    assert!(sign_payload(&p384, BODY).is_err());
}
