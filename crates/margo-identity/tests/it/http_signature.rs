use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request};
use margo_api::{AuthError, Authenticator as _, BoxError, Credentials as _};
use margo_core::ClientId;
use margo_identity::{
    HttpSignatureError as Error, HttpSignatureErrorKind as Kind, KeyLookup, MessageSigner, MessageVerifier,
    Origin, ReplayMemory, SignatureAlgorithm, SignatureAuthenticator, SignatureCredentials, SigningKey,
    VerifyingKey, content_digest,
};
use rcgen::KeyPair;

use crate::pki::{self, authority, earlier, later, leaf, now, year};

const ORIGIN: &str = "https://wfm.example";
const PATH: &str = "/api/v1/clients/c-7/deployments/d/status";

fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

fn p256() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn signing(key: &KeyPair) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap())
}

fn signer(key: &Arc<SigningKey>) -> MessageSigner {
    MessageSigner::new(Arc::clone(key), "device", origin()).unwrap()
}

fn post() -> Request<Bytes> {
    Request::post(PATH).body(Bytes::from_static(b"{}")).unwrap()
}

fn get() -> Request<Bytes> {
    Request::get(PATH).body(Bytes::new()).unwrap()
}

fn verify(request: &Request<Bytes>, key: &SigningKey) -> Result<(), Error> {
    let key_of = |name: &str| (name == "device").then(|| key.verifying_key());
    MessageVerifier::new([origin()]).verify(request, key_of, now())
}

fn header(request: &Request<Bytes>, name: &str) -> String {
    request.headers()[name].to_str().unwrap().to_owned()
}

/// A request signed by hand: over this base, and sent with this `Signature-Input`.
fn by_hand(mut request: Request<Bytes>, key: &KeyPair, lines: &[&str], input: &str) -> Request<Bytes> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = ring::rand::SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der(), &random).unwrap();
    let signature = pair.sign(&random, lines.join("\n").as_bytes()).unwrap();
    let signature = format!("sig1=:{}:", STANDARD.encode(signature));
    let headers = request.headers_mut();
    headers.insert("signature-input", format!("sig1={input}").parse().unwrap());
    headers.insert("signature", signature.parse().unwrap());
    request
}

fn with_digest(mut request: Request<Bytes>) -> Request<Bytes> {
    let digest = content_digest(request.body());
    request.headers_mut().insert("content-digest", digest);
    request
}

/// R-B-008, R-B-010, R-B-011, R-B-012.
#[test]
fn every_algorithm_signs_and_verifies() {
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    for key in [p256(), p384, pki::rsa(2048)] {
        let certificate = leaf("spiffe://unused.example/a").key(key).issued_by(&authority("any"));
        let key = signing(&certificate.key);
        let registered = VerifyingKey::from_certificate(&certificate.der).unwrap();
        for signer in [signer(&key), signer(&key).with_rsa_pss(), signer(&key).with_digest_of_nothing()] {
            for mut request in [post(), get()] {
                signer.sign(&mut request, now()).unwrap();
                let result =
                    MessageVerifier::new([origin()]).verify(&request, |_| Some(registered.clone()), now());
                assert_eq!(result, Ok(()), "{signer:?} {request:?}");
            }
        }
    }
}

/// Rev-B 1.2; X-B-21: lower case is sent; X-B-23: nothing has no digest.
#[test]
fn headers_are_sent_as_printed() {
    let key = signing(&p256());
    let mut request = post();
    signer(&key).sign(&mut request, now()).unwrap();
    assert_eq!(
        header(&request, "signature-input"),
        r#"sig1=("@method" "@target-uri" "content-digest");created=1781481600;keyid="device""#
    );
    assert_eq!(header(&request, "content-digest"), "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
    let mut request = get();
    signer(&key).sign(&mut request, now()).unwrap();
    assert!(!request.headers().contains_key("content-digest"));
    signer(&key).with_digest_of_nothing().sign(&mut request, now()).unwrap();
    assert_eq!(header(&request, "content-digest"), "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
}

/// R-B-012: each part of a request is covered.
#[test]
fn a_changed_request_is_refused() {
    let key = signing(&p256());
    let mut signed = post();
    signer(&key).sign(&mut signed, now()).unwrap();
    assert_eq!(verify(&signed, &key), Ok(()));
    let changed = |change: fn(&mut Request<Bytes>)| {
        let mut request = signed.clone();
        change(&mut request);
        verify(&request, &key)
    };
    assert_eq!(changed(|r| *r.body_mut() = "[]".into()), Err(Error::WrongDigest));
    assert_eq!(changed(|r| *r.body_mut() = Bytes::new()), Err(Error::WrongDigest));
    assert_eq!(
        changed(|r| {
            *r.body_mut() = "[]".into();
            let digest = content_digest(b"[]");
            r.headers_mut().insert("content-digest", digest);
        }),
        Err(Error::Mismatch)
    );
    assert_eq!(changed(|r| drop(r.headers_mut().remove("content-digest"))), Err(Error::MissingDigest));
    assert_eq!(changed(|r| *r.method_mut() = http::Method::PUT), Err(Error::Mismatch));
    assert_eq!(
        changed(|r| *r.uri_mut() = "/api/v1/clients/c-8/deployments/d/status".parse().unwrap()),
        Err(Error::Mismatch)
    );
    assert_eq!(changed(|r| *r.uri_mut() = format!("{PATH}?a").parse().unwrap()), Err(Error::Mismatch));
    let elsewhere = MessageVerifier::new(["https://other.example".parse().unwrap()]);
    assert_eq!(elsewhere.verify(&signed, |_| Some(key.verifying_key()), now()), Err(Error::Mismatch));
    let either = MessageVerifier::new(["https://other.example".parse().unwrap(), origin()]);
    assert_eq!(either.verify(&signed, |_| Some(key.verifying_key()), now()), Ok(()));
}

/// R-B-012; the key decides, not the message.
#[test]
fn other_keys_and_algorithms_are_refused() {
    let key = signing(&p256());
    let other = signing(&p256());
    let rsa = signing(&pki::rsa(2048));
    let mut request = post();
    signer(&key).sign(&mut request, now()).unwrap();
    assert_eq!(verify(&request, &other), Err(Error::Mismatch));
    assert_eq!(verify(&request, &rsa), Err(Error::Mismatch));
    let unknown = MessageVerifier::new([origin()]).verify(&request, |_| None, now());
    assert_eq!(unknown, Err(Error::UnknownKey));

    let input = header(&request, "signature-input");
    for named in ["hmac-sha256", "rsa-v1_5-sha256", "ecdsa-p384-sha384", "none", ""] {
        let value = format!("{input};alg=\"{named}\"").parse().unwrap();
        request.headers_mut().insert("signature-input", value);
        assert_eq!(verify(&request, &key), Err(Error::Algorithm), "{named}");
    }
}

/// Rev-B 1.2, freshness.
#[test]
fn signatures_are_fresh() {
    let key = signing(&p256());
    let at = |created, window| {
        let mut request = post();
        signer(&key).sign(&mut request, created).unwrap();
        let verifier = MessageVerifier::new([origin()]).with_window(window, Duration::from_secs(2));
        verifier.verify(&request, |_| Some(key.verifying_key()), now())
    };
    let minute = Duration::from_mins(1);
    let second = Duration::from_secs(1);
    assert_eq!(at(earlier(minute), minute), Ok(()));
    assert_eq!(at(earlier(minute + second), minute), Err(Error::Stale), "replayed too late");
    assert_eq!(at(later(2 * second), minute), Ok(()));
    assert_eq!(at(later(3 * second), minute), Err(Error::Future));
}

/// R-B-007: 403, not 401.
#[test]
fn an_expired_certificate_signs_nothing() {
    let certificate = leaf("spiffe://unused.example/a").issued_by(&authority("any"));
    let registered = VerifyingKey::from_certificate(&certificate.der).unwrap();
    for time in [earlier(year(1)), later(year(1))] {
        let mut request = post();
        signer(&signing(&certificate.key)).sign(&mut request, time).unwrap();
        let result = MessageVerifier::new([origin()]).verify(&request, |_| Some(registered.clone()), time);
        assert_eq!(result, Err(Error::Certificate));
        assert_eq!(result.unwrap_err().kind(), Kind::Certificate);
    }
}

/// R-B-011: what must be covered.
#[test]
fn missing_components_are_refused() {
    let key = p256();
    let digest = format!("\"content-digest\": {}", content_digest(b"{}").to_str().unwrap());
    let method = "\"@method\": POST";
    let target = format!("\"@target-uri\": {ORIGIN}{PATH}");
    for (missing, names, lines) in [
        ("@method", r#""@target-uri" "content-digest""#, [&*target, &*digest]),
        ("@target-uri", r#""@method" "content-digest""#, [method, &*digest]),
        ("content-digest", r#""@method" "@target-uri""#, [method, &*target]),
    ] {
        let input = format!(r#"({names});created=1781481600;keyid="device""#);
        let params = format!("\"@signature-params\": {input}");
        let lines = [lines[0], lines[1], &params];
        let request = by_hand(with_digest(post()), &key, &lines, &input);
        let not_covered = Err(Error::NotCovered { component: missing });
        assert_eq!(verify(&request, &signing(&key)), not_covered);
    }
}

/// X-B-21: the capitalised component, with each base it may have been signed over.
#[test]
fn the_printed_spelling_is_read() {
    let key = p256();
    let digest = content_digest(b"{}").to_str().unwrap().to_owned();
    let input = r#"("@method" "@target-uri" "Content-Digest");created=1781481600;keyid="device""#;
    for (quote, name) in [("\"", "Content-Digest"), ("\"", "content-digest"), ("", "Content-Digest")] {
        let lines = [
            format!("{quote}@method{quote}: POST"),
            format!("{quote}@target-uri{quote}: {ORIGIN}{PATH}"),
            format!("{quote}{name}{quote}: {digest}"),
            format!("{quote}@signature-params{quote}: {input}"),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut request = by_hand(with_digest(post()), &key, &lines, input);
        assert_eq!(verify(&request, &signing(&key)), Ok(()), "{lines:?}");
        *request.method_mut() = http::Method::PUT;
        assert_eq!(verify(&request, &signing(&key)), Err(Error::Mismatch));
    }
}

/// Other fields may be signed as well, several values as one.
#[test]
fn additional_components_are_covered() {
    let key = p256();
    let input = r#"("@method" "@target-uri" "x-a" "@path");created=1781481600;keyid="device";alg="ecdsa-p256-sha256""#;
    let mut request = get();
    request.headers_mut().append("x-a", HeaderValue::from_static(" 1 "));
    request.headers_mut().append("x-a", HeaderValue::from_static("2"));
    let target = format!("\"@target-uri\": {ORIGIN}{PATH}");
    let path = format!("\"@path\": {PATH}");
    let params = format!("\"@signature-params\": {input}");
    let lines = ["\"@method\": GET", &target, "\"x-a\": 1, 2", &path, &params];
    let mut request = by_hand(request, &key, &lines, input);
    assert_eq!(verify(&request, &signing(&key)), Ok(()));
    request.headers_mut().append("x-a", HeaderValue::from_static("3"));
    assert_eq!(verify(&request, &signing(&key)), Err(Error::Mismatch));
    request.headers_mut().remove("x-a");
    assert_eq!(verify(&request, &signing(&key)), Err(Error::UnsupportedComponent));
}

/// X-B-20.
#[test]
fn obsolete_headers_are_refused() {
    let key = signing(&p256());
    for name in ["x-payload-signature", "x-body-signature"] {
        let mut request = post();
        signer(&key).sign(&mut request, now()).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_static("x"));
        assert_eq!(verify(&request, &key), Err(Error::Obsolete));
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let key = signing(&p256());
    assert_eq!(verify(&post(), &key), Err(Error::Missing));
    let mut signed = get();
    signer(&key).sign(&mut signed, now()).unwrap();
    let good = header(&signed, "signature-input");
    let refused = |name: &'static str, value: &str| {
        let mut request = signed.clone();
        request.headers_mut().insert(name, value.parse().unwrap());
        let error = verify(&request, &key).unwrap_err();
        assert_eq!(error.kind(), Kind::Signature);
        error
    };
    for input in [
        "",
        "sig1",
        "sig1=1",
        "(",
        r#"sig1=("@method" "@target-uri");created=1781481600"#,
        r#"sig1=("@method" "@target-uri");keyid="device""#,
        r#"sig1=("@method" "@target-uri");created="x";keyid="device""#,
        r#"sig1=("@method" "@target-uri");created=1781481600;keyid=1"#,
        r#"sig1=("@method" "@target-uri" "@method");created=1781481600;keyid="device""#,
        r#"sig1=(1 "@target-uri");created=1781481600;keyid="device""#,
        r#"a=("@method" "@target-uri"), b=()"#,
        r#"sig2=("@method" "@target-uri");created=1781481600;keyid="device""#,
        &format!("{good}, pad=\"{}\"", "x".repeat(8192)),
    ] {
        let error = refused("signature-input", input);
        assert!(matches!(error, Error::Malformed { .. } | Error::Missing), "{input}: {error:?}");
    }
    for component in ["\"@status\"", "\"@method\";req", "\"x-absent\""] {
        let input = format!(r#"sig1=("@target-uri" {component});created=1781481600;keyid="device""#);
        let error = refused("signature-input", &input);
        assert!(
            matches!(error, Error::UnsupportedComponent | Error::NotCovered { .. }),
            "{component}: {error:?}"
        );
    }
    let many = (0..17).map(|n| format!("\"a{n}\"")).collect::<Vec<_>>().join(" ");
    let error = refused("signature-input", &format!(r#"sig1=({many});created=1781481600;keyid="device""#));
    assert!(matches!(error, Error::Malformed { .. }));
    for signature in ["", "sig1", "sig1=\"a\"", "sig2=:AA==:", "sig1=:%:"] {
        let error = refused("signature", signature);
        assert!(matches!(error, Error::Malformed { .. } | Error::Missing), "{signature}: {error:?}");
    }
    for signature in ["sig1=::", "sig1=:AA==:"] {
        assert_eq!(refused("signature", signature), Error::Mismatch);
    }
}

/// RFC 9530: 400 for each way not to have a body's digest.
#[test]
fn digests_are_of_the_body_by_sha_256() {
    let key = signing(&p256());
    let mut signed = post();
    signer(&key).sign(&mut signed, now()).unwrap();
    for digest in [
        "sha-512=:AA==:",
        "sha-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        "sha-256=:AA==:",
        "sha-256",
    ] {
        let mut request = signed.clone();
        request.headers_mut().insert("content-digest", digest.parse().unwrap());
        let error = verify(&request, &key).unwrap_err();
        let malformed = matches!(error, Error::Malformed { header: "content-digest", .. });
        assert!(malformed || error.kind() == Kind::Digest, "{digest}: {error:?}");
    }
    // X-B-24: signed, and of the base64 of the body.
    let mut encoded = signed.clone();
    *encoded.body_mut() = STANDARD.encode(signed.body()).into();
    signer(&key).sign(&mut encoded, now()).unwrap();
    *encoded.body_mut() = signed.body().clone();
    assert_eq!(verify(&encoded, &key), Err(Error::WrongDigest));
}

/// RFC 9421, B.2.4, with the key of B.1.3: the form of a signature and of a key.
#[test]
fn a_vector_of_the_rfc_verifies() {
    let key = VerifyingKey::from_spki(
        &STANDARD
            .decode(concat!(
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf",
                "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==",
            ))
            .unwrap(),
    )
    .unwrap();
    let base = concat!(
        "\"@status\": 200\n",
        "\"content-type\": application/json\n",
        "\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n",
        "\"content-length\": 23\n",
        "\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\")",
        ";created=1618884473;keyid=\"test-key-ecc-p256\"",
    );
    let signature = STANDARD
        .decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==")
        .unwrap();
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    assert!(key.verify(algorithm, base.as_bytes(), &signature));
    assert!(!key.verify(algorithm, &base.as_bytes()[1..], &signature));
    assert!(!key.verify(SignatureAlgorithm::EcdsaP384Sha384, base.as_bytes(), &signature));
}

#[test]
fn origins_are_normal() {
    let normal = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string()).ok();
    assert_eq!(normal("https://WFM.example:443/").as_deref(), Some("https://wfm.example"));
    assert_eq!(normal("http://wfm.example:443").as_deref(), Some("http://wfm.example:443"));
    for wrong in
        ["", "wfm.example", "/a", "ftp://a", "https://a/b", "https://a/?b", "https://u@a", "https://"]
    {
        assert_eq!(normal(wrong), None, "{wrong}");
    }
    let key = signing(&p256());
    for name in ["", "a\"b", "a\\b", "a\nb", "ä"] {
        assert!(MessageSigner::new(Arc::clone(&key), name, origin()).is_err(), "{name:?}");
    }
}

#[test]
fn keys_are_read_or_refused_without_a_trace() {
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    for pem in ["", "secret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", &ed25519]
    {
        let error = SigningKey::from_pem(pem.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    let key = signing(&p256());
    assert_eq!(format!("{key:?}"), "SigningKey(redacted)");
    for key in [p256(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), pki::rsa(3072)] {
        let certificate = leaf("spiffe://unused.example/a").key(key).issued_by(&authority("any"));
        let registered = VerifyingKey::from_certificate(&certificate.der).unwrap();
        assert_eq!(signing(&certificate.key).verifying_key().spki(), registered.spki());
    }
}

#[tokio::test]
async fn credentials_sign_with_the_time_of_the_call() {
    let key = signing(&p256());
    let credentials = SignatureCredentials::new(signer(&key), now);
    let mut request = post();
    credentials.authorize(&mut request).await.unwrap();
    assert_eq!(verify(&request, &key), Ok(()));
    credentials.authorize(&mut request).await.unwrap();
    assert_eq!(verify(&request, &key), Ok(()), "the first signature is replaced");
}

/// The keys of the client `c-7`, all called `device`.
struct Keys(Vec<VerifyingKey>);

impl KeyLookup for Keys {
    async fn keys_of(&self, client: &ClientId, key_id: &str) -> Result<Vec<VerifyingKey>, BoxError> {
        match client.as_str() {
            "broken" => Err("disk on fire".into()),
            "c-7" if key_id == "device" => Ok(self.0.clone()),
            _ => Ok(Vec::new()),
        }
    }
}

type Gate = SignatureAuthenticator<Keys, fn() -> rustls_pki_types::UnixTime>;

fn gate(keys: Vec<VerifyingKey>) -> Gate {
    SignatureAuthenticator::new(MessageVerifier::new([origin()]), Keys(keys), now)
}

/// R-B-012, R-B-041: the client is the one in the path, and each way not to be it is answered as rev-B 1 says.
#[tokio::test]
async fn the_caller_is_the_client_in_the_path_if_one_of_its_keys_signed() {
    let (old, new) = (signing(&p256()), signing(&p256()));
    let gate = gate(vec![old.verifying_key(), new.verifying_key()]);
    for key in [&old, &new] {
        let mut request = post();
        signer(key).sign(&mut request, now()).unwrap();
        let caller = gate.authenticate(&request).await.unwrap();
        assert_eq!(caller.client_id.as_str(), "c-7");
    }

    assert_eq!(gate.authenticate(&post()).await, Err(AuthError::Missing));
    let mut stranger = post();
    signer(&signing(&p256())).sign(&mut stranger, now()).unwrap();
    assert_eq!(gate.authenticate(&stranger).await, Err(AuthError::Refused));
    let mut named = post();
    MessageSigner::new(Arc::clone(&old), "other", origin()).unwrap().sign(&mut named, now()).unwrap();
    assert_eq!(gate.authenticate(&named).await, Err(AuthError::Refused), "unknown keyid");
    let mut changed = post();
    signer(&old).sign(&mut changed, now()).unwrap();
    *changed.body_mut() = "[]".into();
    assert_eq!(gate.authenticate(&changed).await, Err(AuthError::Digest));

    for (path, expected) in [
        ("/api/v1/clients/c-8/deployments", AuthError::Refused), // another client, or none
        ("/api/v1/clients/broken/deployments", AuthError::Unavailable),
        ("/api/v1/deployments", AuthError::Missing),
        ("/api/v1/clients/%2e%2e/deployments", AuthError::Missing),
    ] {
        let mut request = Request::get(path).body(Bytes::new()).unwrap();
        signer(&old).sign(&mut request, now()).unwrap();
        assert_eq!(gate.authenticate(&request).await, Err(expected), "{path}");
    }
}

/// rev-B 1: 403 for a certificate that is not trusted (any more).
#[tokio::test]
async fn a_certificate_that_has_expired_is_not_accepted() {
    let certificate = leaf("spiffe://unused.example/a")
        .with(|params| params.not_after = rcgen::date_time_ymd(2026, 2, 1))
        .issued_by(&authority("any"));
    let key = signing(&certificate.key);
    let gate = gate(vec![VerifyingKey::from_certificate(&certificate.der).unwrap()]);
    let mut request = post();
    signer(&key).sign(&mut request, now()).unwrap();
    assert_eq!(gate.authenticate(&request).await, Err(AuthError::NotAccepted));
    // Whoever does not hold the key learns nothing about the certificate.
    let mut guessed = post();
    signer(&signing(&p256())).sign(&mut guessed, now()).unwrap();
    assert_eq!(gate.authenticate(&guessed).await, Err(AuthError::Refused));
}

/// R-B-013: a signature is taken once, and neither its twin nor a change of label makes another one of it.
#[tokio::test]
async fn a_request_that_was_taken_is_not_taken_again() {
    let key = signing(&p256());
    let gate = gate(vec![key.verifying_key()]);
    let mut request = post();
    signer(&key).sign(&mut request, now()).unwrap();
    assert!(gate.authenticate(&request).await.is_ok());
    assert_eq!(gate.authenticate(&request).await, Err(AuthError::Refused));

    // (r, n - s) holds as (r, s) does, for whoever knows the order n of P-256.
    let mut twin = request.clone();
    let text = header(&request, "signature");
    let signature = STANDARD.decode(&text["sig1=:".len()..text.len() - 1]).unwrap();
    let order = b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    let mut mirrored = [0; 32];
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(order[index]) - i16::from(signature[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        mirrored[index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let mirrored = STANDARD.encode([&signature[..32], &mirrored].concat());
    twin.headers_mut().insert("signature", format!("sig1=:{mirrored}:").parse().unwrap());
    assert_eq!(verify(&twin, &key), Ok(()), "it would be taken by who remembers nothing");
    assert_eq!(gate.authenticate(&twin).await, Err(AuthError::Refused));

    let mut later = post();
    signer(&key).sign(&mut later, now()).unwrap();
    assert!(gate.authenticate(&later).await.is_ok(), "the same once more, signed anew");
}

/// R-B-012, R-B-013: the head alone says who calls; a signature is taken when the body is there, and is the one that was
/// meant.
#[tokio::test]
async fn a_caller_is_known_before_the_body_is_read() {
    let key = signing(&p256());
    let gate = gate(vec![key.verifying_key()]);
    let mut request = post();
    let length = request.body().len();
    request.headers_mut().insert("content-length", length.into());
    signer(&key).sign(&mut request, now()).unwrap();
    let (head, body) = request.into_parts();

    for refused in [&b""[..], b"[]"] {
        let identified = gate.identify(&head).await.unwrap();
        assert_eq!(identified.client_id().as_str(), "c-7");
        assert_eq!(identified.confirm(refused), Err(AuthError::Digest));
    }
    let (first, second) = (gate.identify(&head).await.unwrap(), gate.identify(&head).await.unwrap());
    assert!(first.confirm(&body).is_ok());
    assert_eq!(second.confirm(&body), Err(AuthError::Refused), "of two at the same time, one is taken");
    assert_eq!(gate.identify(&head).await.unwrap_err(), AuthError::Refused, "and from then on none is read");

    // A body that is announced has to be signed; one that comes unannounced as well.
    let mut bare = get();
    signer(&key).sign(&mut bare, now()).unwrap();
    let (mut head, _) = bare.into_parts();
    let identified = gate.identify(&head).await.unwrap();
    assert_eq!(identified.confirm(b"{}"), Err(AuthError::Digest));
    for (name, value) in [("content-length", "2"), ("transfer-encoding", "chunked")] {
        head.headers.insert(name, value.parse().unwrap());
        assert_eq!(gate.identify(&head).await.unwrap_err(), AuthError::Digest, "{name}");
        head.headers.remove(name);
    }
    head.headers.insert("content-length", "0".parse().unwrap());
    assert!(gate.identify(&head).await.unwrap().confirm(b"").is_ok());
}

#[tokio::test]
async fn what_changes_nothing_may_be_repeated_where_that_is_wanted() {
    let key = signing(&p256());
    let gate =
        gate(vec![key.verifying_key()]).with_replay_memory(ReplayMemory::of_changes().with_per_client(1));
    let (mut read, mut first, mut second) = (get(), post(), post());
    for request in [&mut read, &mut first, &mut second] {
        signer(&key).sign(request, now()).unwrap();
    }
    for _ in 0..3 {
        assert!(gate.authenticate(&read).await.is_ok());
    }
    assert!(gate.authenticate(&first).await.is_ok());
    assert_eq!(gate.authenticate(&first).await, Err(AuthError::Refused));
    assert_eq!(gate.authenticate(&second).await, Err(AuthError::Unavailable), "its share is full");
}
