//! How many requests a second each scheme proves and checks, on one core.
//!
//! ```sh
//! cargo bench -p margo-identity --features issue
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use margo_identity::authority::Authority;
use margo_identity::{
    AcceptedClients, CurrentTrustBundle, MessageSigner, MessageVerifier, SigningKey, SvidVerifier, Token,
    TokenHash, VerifyingKey, WfmSpiffeId, sign_payload, verify_payload,
};
use rcgen::KeyPair;
use rustls_pki_types::UnixTime;

fn main() {
    divan::main();
}

/// A status report, or what is about as long.
const BODY: &[u8] = &[b'x'; 512];
const KEYS: [&str; 3] = ["P-256", "P-384", "RSA 2048"];
const LIFETIME: Duration = Duration::from_hours(24);

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000))
}

fn key(kind: &str) -> Arc<SigningKey> {
    let pem = match kind {
        "P-256" => KeyPair::generate().map(|key| key.serialize_pem()),
        "P-384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).map(|key| key.serialize_pem()),
        _ => Ok(include_str!("../tests/it/keys/rsa-2048.pem").to_owned()),
    };
    Arc::new(SigningKey::from_pem(pem.expect("a key").as_bytes()).expect("a key"))
}

fn request() -> http::Request<Bytes> {
    let request = http::Request::post("/api/v1/clients/c-7/deployments/d/status");
    request.body(Bytes::from_static(BODY)).expect("a request")
}

fn signer(key: &Arc<SigningKey>) -> MessageSigner {
    let origin = "https://wfm.example".parse().expect("an origin");
    MessageSigner::new(Arc::clone(key), "device", origin).expect("a name")
}

/// rc.1, rc.2: RFC 9421.
#[divan::bench(args = KEYS)]
fn sign_message(bencher: Bencher<'_, '_>, kind: &str) {
    let signer = signer(&key(kind));
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(request)
        .bench_refs(|request| signer.sign(request, now()).expect("randomness"));
}

/// rc.1, rc.2: everything but looking the key up.
#[divan::bench(args = KEYS)]
fn verify_message(bencher: Bencher<'_, '_>, kind: &str) {
    let key = key(kind);
    let mut request = request();
    signer(&key).sign(&mut request, now()).expect("randomness");
    let verifier = MessageVerifier::new(["https://wfm.example".parse().expect("an origin")]);
    let registered: VerifyingKey = key.verifying_key();
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let result = verifier.verify(black_box(&request), |_| Some(registered.clone()), now());
        assert!(result.is_ok(), "what was signed is verified");
    });
}

/// Pre-draft: `X-Payload-Signature`.
#[divan::bench(args = ["P-256", "RSA 2048"])]
fn sign_body(bencher: Bencher<'_, '_>, kind: &str) {
    let key = key(kind);
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| sign_payload(&key, black_box(BODY)).expect("randomness"));
}

/// Pre-draft: `X-Payload-Signature`.
#[divan::bench(args = ["P-256", "RSA 2048"])]
fn verify_body(bencher: Bencher<'_, '_>, kind: &str) {
    let key = key(kind);
    let mut headers = http::HeaderMap::new();
    headers.insert("x-payload-signature", sign_payload(&key, BODY).expect("randomness"));
    let registered = key.verifying_key();
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let result = verify_payload(black_box(&headers), BODY, &registered, now());
        assert!(result.is_ok(), "what was signed is verified");
    });
}

/// Pre-draft: the hash of a token among 10,000.
#[divan::bench]
fn look_up_token(bencher: Bencher<'_, '_>) {
    let tokens: Vec<_> = (0..10_000).map(|_| Token::generate().expect("randomness")).collect();
    let known: BTreeMap<_, _> =
        tokens.iter().enumerate().map(|(index, token)| (token.hash(), index)).collect();
    let presented = tokens[5_000].reveal();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| assert!(known.contains_key(&TokenHash::of(black_box(presented))), "it is known"));
}

/// rc.3: what a handshake does with a peer's certificate, apart from the handshake itself.
#[divan::bench]
fn validate_svid(bencher: Bencher<'_, '_>) {
    let authority = authority();
    let id = manager().client(&"press-7".parse().expect("an id")).expect("an id");
    let issued = authority.issue_client(&id, now(), LIFETIME).expect("a certificate");
    let bundle = authority.bundle(1).expect("a bundle");
    let verifier = SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle)));
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| verifier.verify(black_box(issued.certificate()), &[], now()).expect("an SVID"));
}

/// rc.3: what each request costs on a connection that is there already: one of 10,000 accepted clients.
#[divan::bench]
fn accept_client(bencher: Bencher<'_, '_>) {
    let clients = (0..10_000).map(|number| format!("press-{number}").parse().expect("an id"));
    let accepted = AcceptedClients::these(manager(), clients);
    let id = manager().client(&"press-5000".parse().expect("an id")).expect("an id");
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| accepted.accept(black_box(id.spiffe_id())).expect("an accepted client"));
}

/// A new key and its certificate.
#[divan::bench]
fn issue_svid(bencher: Bencher<'_, '_>) {
    let authority = authority();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| authority.issue_manager(&manager(), now(), LIFETIME).expect("a certificate"));
}

fn manager() -> WfmSpiffeId {
    "spiffe://factory.example/margo/wfm/plant".parse().expect("an id")
}

fn authority() -> Authority {
    Authority::generate(&"factory.example".parse().expect("a name"), now(), LIFETIME).expect("an authority")
}
