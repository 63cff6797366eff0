//! Identities of a vendor's devices as a layer of the vendor's own axum application.
//!
//! The application knows nothing of Margo but this layer: who calls is in the request's extensions, whichever scheme
//! found it out. Here it is message signatures (rc.1, rc.2). For mutual TLS (rc.3) the authenticator is a
//! `SvidAuthenticator`, and whoever accepts connections puts the peer's `Svid` into each request; for the pre-draft it is a
//! `BearerAuthenticator`.
//!
//! ```sh
//! cargo run -p margo-identity --example axum_layer --features issue
//! ```

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::StatusCode;
use margo_api::{AuthError, Authenticator, BoxError, Caller, Credentials as _};
use margo_core::ClientId;
use margo_identity::authority::Authority;
use margo_identity::{
    KeyLookup, MessageSigner, MessageVerifier, SignatureAuthenticator, SignatureCredentials, SigningKey,
    VerifyingKey,
};
use rustls_pki_types::UnixTime;
use tower::ServiceExt as _;

// The layer: ten lines, for any `Authenticator`. The body of a stranger is not read.
async fn identify<A: Authenticator>(
    gate: State<Arc<A>>,
    request: Request,
    next: Next,
) -> Result<Response, Response> {
    let refuse = |error: AuthError| error.problem().to_http().map(Body::from);
    let (mut head, body) = request.into_parts();
    let identified = gate.identify(&head).await.map_err(refuse)?;
    let body = to_bytes(body, 1 << 20).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
    head.extensions.insert(identified.confirm(&body).map_err(refuse)?);
    Ok(next.run(Request::from_parts(head, Body::from(body))).await)
}

/// The vendor's application.
fn application<A: Authenticator + 'static>(gate: A) -> Router {
    let greet = |caller: Extension<Caller>| async move { format!("hello, {}", caller.client_id) };
    Router::new()
        .route("/api/v1/clients/{client_id}/greeting", get(greet))
        .layer(from_fn_with_state(Arc::new(gate), identify::<A>))
}

/// The vendor's register of devices: the key of each device's certificate.
struct Register(BTreeMap<ClientId, VerifyingKey>);

impl KeyLookup for Register {
    async fn keys_of(&self, client: &ClientId, _key_id: &str) -> Result<Vec<VerifyingKey>, BoxError> {
        Ok(self.0.get(client).cloned().into_iter().collect())
    }
}

fn now() -> UnixTime {
    // An application has a real clock here.
    UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000))
}

/// Answers to the same question: asked by the device, asked again with the same signature, and asked by nobody.
pub(crate) async fn ask() -> Result<Vec<(u16, String)>, BoxError> {
    // Once, when the device is onboarded.
    let authority = Authority::generate(&"factory.example".parse()?, now(), Duration::from_hours(1))?;
    let device = authority.issue_device("plc-7", now(), Duration::from_hours(1))?;
    let register =
        Register(BTreeMap::from([("plc-7".parse()?, VerifyingKey::from_certificate(device.certificate())?)]));
    let verifier = MessageVerifier::new(["https://wfm.example".parse()?]);
    let app = application(SignatureAuthenticator::new(verifier, register, now));

    // The device, for each request.
    let key = SigningKey::from_pem(device.reveal_key_pem().as_bytes())?;
    let signer = MessageSigner::new(Arc::new(key), "plc-7", "https://wfm.example".parse()?)?;
    let mut first = http::Request::get("/api/v1/clients/plc-7/greeting").body(bytes::Bytes::new())?;
    SignatureCredentials::new(signer, now).authorize(&mut first).await?;

    let nobody = http::Request::get("/api/v1/clients/plc-7/greeting").body(bytes::Bytes::new())?;
    let mut answers = Vec::new();
    for request in [first.clone(), first, nobody] {
        let response = app.clone().oneshot(request.map(Body::from)).await?;
        let status = response.status().as_u16();
        answers.push((status, String::from_utf8(to_bytes(response.into_body(), 1 << 16).await?.into())?));
    }
    Ok(answers)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    for (status, body) in ask().await? {
        println!("{status} {body}");
    }
    Ok(())
}
