//! What is secret is never told.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::Method;
use margo_api::endpoint::request_token;
use margo_core::SpecVersion;
use margo_identity::BearerAuthenticator;
use margo_server::{
    AccessTokens, IssuedTokens, OnboardRequest, RateLimit, Schemes, authenticated, router, token_router,
    token_router_at,
};
use tower::ServiceExt as _;
use tracing::instrument::WithSubscriber as _;

use crate::pki::device_certificate;
use crate::plant::{Answer, Plant, old_capabilities, request, target};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every secret a device can have, in every call that takes one, good and bad, with the log at its most talkative.
#[tokio::test]
async fn no_secret_is_logged_or_answered() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let (secrets, answers) = all_calls().with_subscriber(subscriber).await;
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("answered"), "something was logged");
    assert!(secrets.len() > 6);
    for secret in &secrets {
        assert!(secret.len() > 20, "long enough to be found");
        assert!(!log.contains(secret), "logged: {}", &secret[..8]);
        for answer in &answers {
            assert!(!String::from_utf8_lossy(answer).contains(secret), "answered: {}", &secret[..8]);
        }
    }
}

async fn all_calls() -> (Vec<String>, Vec<bytes::Bytes>) {
    let plant = Plant::new();
    let certificate = device_certificate();
    let onboarding = OnboardRequest::new("plc-7".parse().unwrap(), SpecVersion::PreDraft)
        .with_certificate(certificate.pem.clone());
    let device = plant.manager.onboard(onboarding).await.unwrap();
    let lifetime = std::time::Duration::from_mins(1);
    let manager = || Arc::clone(&plant.manager);
    let (git, limit) = (IssuedTokens::for_git(manager(), lifetime, lifetime), RateLimit::new());
    let schemes =
        Schemes::new().with(SpecVersion::PreDraft, BearerAuthenticator::new(AccessTokens::new(manager())));
    let app = authenticated(router(manager()), Arc::new(schemes))
        .merge(token_router(Arc::new(IssuedTokens::for_management(manager(), lifetime)), &limit))
        .merge(token_router_at("/token/git", Arc::new(git), &limit));
    let send = async |request| Answer::of(app.clone().oneshot(request).await.unwrap()).await;

    let mut secrets = vec![
        device.token.reveal().to_owned(),
        device.git_token.reveal().to_owned(),
        plant.operator.reveal().to_owned(),
        certificate.key.serialize_pem().lines().nth(1).unwrap().to_owned(),
        "a-wrong-secret-of-some-length".to_owned(),
    ];
    let mut answers = Vec::new();
    let form = |secret: &str| request_token::Request::new(device.client_id.as_str(), secret).to_form();
    let ask = |path: &str, form: String| request("a-bearer-token-that-nobody-has", Method::POST, path, form);
    for path in ["/token", "/token/git"] {
        let issued = send(ask(path, form(device.token.reveal()))).await;
        secrets.push(issued.json()["access_token"].as_str().unwrap().to_owned());
        answers.push(send(ask(path, form("a-wrong-secret-of-some-length"))).await.body);
        answers.push(send(ask(path, format!("{}&{}", form("x"), form(device.token.reveal())))).await.body);
    }
    for token in secrets.clone() {
        let body = old_capabilities("plc-7").to_string();
        let token = if token.contains('\n') { "x".to_owned() } else { token };
        answers.push(send(request(&token, Method::POST, "/device/plc-7/capabilities", body)).await.body);
        answers.push(send(request(&token, Method::GET, "/api/v1/deployments", "")).await.body);
        answers.push(plant.send(request(&token, Method::GET, "/operator/v1/devices/x/y", "")).await.body);
        answers.push(plant.send(request(&token, Method::GET, "/operator/v1/devices", "")).await.body);
    }
    let rotated = plant.manager.rotate_tokens(&target("plc-7")).await.unwrap();
    secrets.push(rotated.token.reveal().to_owned());
    secrets.push(rotated.git_token.reveal().to_owned());
    answers.push(plant.snapshot().into());
    answers.push(format!("{:?} {rotated:?} {device:?}", plant.manager).into());
    (secrets, answers)
}
