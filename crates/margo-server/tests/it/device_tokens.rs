//! The pre-draft: tokens from the token endpoint, tokens for repositories, and bodies that are signed.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Method, Request};
use jiff::Timestamp;
use margo_api::NoPublisher;
use margo_api::endpoint::request_token;
use margo_core::SpecVersion;
use margo_identity::{BearerAuthenticator, SigningKey, sign_payload};
use margo_server::{
    GitTokens, IssuedTokens, Manager, Memory, OnboardRequest, Onboarded, PayloadSigned, RateLimit, Schemes,
    authenticated, router, token_router, token_router_at,
};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::pki::{Issued, device_certificate};
use crate::plant::{Answer, START, old_capabilities, target, watched};

const LIFETIME: Duration = Duration::from_mins(10);
const OVERLAP: Duration = Duration::from_mins(2);

type SiteManager = Manager<Arc<Memory>, NoPublisher>;

struct Site {
    store: Arc<Memory>,
    manager: Arc<SiteManager>,
    app: axum::Router,
    clock: Arc<AtomicI64>,
}

impl Site {
    fn new(is_signature_optional: bool) -> Self {
        let clock = Arc::new(AtomicI64::new(i64::try_from(START).unwrap()));
        let read = Arc::clone(&clock);
        let store = Arc::new(Memory::new());
        let manager = Arc::new(Manager::new(Arc::clone(&store), NoPublisher::new(), move || {
            Timestamp::from_second(read.load(Ordering::SeqCst)).unwrap()
        }));
        let mut signed = PayloadSigned::new(Arc::clone(&manager));
        if is_signature_optional {
            signed = signed.with_optional_signature();
        }
        let schemes = Schemes::new().with(SpecVersion::PreDraft, signed);
        let tokens = IssuedTokens::for_management(Arc::clone(&manager), LIFETIME);
        let git = IssuedTokens::for_git(Arc::clone(&manager), LIFETIME, OVERLAP);
        let limit = RateLimit::new();
        let app = authenticated(router(Arc::clone(&manager)), Arc::new(schemes))
            .merge(token_router(Arc::new(tokens), &limit))
            .merge(token_router_at("/token/git", Arc::new(git), &limit));
        Self { store, manager, app, clock }
    }

    fn wait(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_secs()).unwrap(), Ordering::SeqCst);
    }

    fn snapshot(&self) -> String {
        format!("{:?}", self.store)
    }

    async fn onboard(&self, device: &str, certificate: Option<&Issued>) -> Onboarded {
        let mut request = OnboardRequest::new(device.parse().unwrap(), SpecVersion::PreDraft);
        if let Some(certificate) = certificate {
            request = request.with_certificate(certificate.pem.clone());
        }
        self.manager.onboard(request).await.unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    async fn ask(&self, path: &str, id: &str, secret: &str) -> Answer {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        self.send(Request::post(path).body(form.into()).unwrap()).await
    }

    async fn token(&self, path: &str, device: &Onboarded) -> String {
        let answer = self.ask(path, device.client_id.as_str(), device.token.reveal()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["token_type"]), (200, &"Bearer".into()));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.json()["expires_in"], LIFETIME.as_secs());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn report(&self, token: &str, device: &str, body: &Value, signature: Option<&Issued>) -> Answer {
        let body = body.to_string();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/device/{device}/capabilities"))
            .header("authorization", format!("Bearer {token}"));
        if let Some(issued) = signature {
            let key = SigningKey::from_pem(issued.key.serialize_pem().as_bytes()).unwrap();
            let value = sign_payload(&key, body.as_bytes()).unwrap();
            request = request.header("x-payload-signature", value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn opens_git(&self, token: &str) -> bool {
        BearerAuthenticator::new(GitTokens::new(Arc::clone(&self.manager))).caller_of(token).await.is_ok()
    }
}

/// A6, R-A-001, R-A-011 to R-A-014: from the secret to a report that is taken.
#[tokio::test]
async fn a_device_gets_a_token_and_signs_what_it_says() {
    let (site, certificate) = (Site::new(false), device_certificate());
    let device = site.onboard("plc-7", Some(&certificate)).await;
    let token = site.token("/token", &device).await;
    assert!(!site.snapshot().contains(&token));
    let answer = site.report(&token, "plc-7", &old_capabilities("plc-7"), Some(&certificate)).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
}

/// RFC 6749, 5.2: nobody can find out which ids exist.
#[tokio::test]
async fn whoever_has_no_secret_gets_no_token() {
    let site = Site::new(false);
    let (device, other) = (site.onboard("plc-7", None).await, site.onboard("plc-8", None).await);
    let retired = site.onboard("plc-9", None).await;
    site.manager.retire(&target("plc-9")).await.unwrap();
    let (id, secret) = (device.client_id.as_str(), device.token.reveal());
    let before = site.snapshot();
    let mut bodies = Vec::new();
    for (id, secret) in [
        (id, "wrong"),
        (id, other.token.reveal()),
        (id, device.git_token.reveal()),
        ("nobody", secret),
        ("%2F", secret),
        (retired.client_id.as_str(), retired.token.reveal()),
    ] {
        let answer = site.ask("/token", id, secret).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (401, &"invalid_client".into()),
            "{id}"
        );
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    for (form, error) in [
        (format!("grant_type=password&client_id={id}&client_secret={secret}"), "unsupported_grant_type"),
        (format!("client_id={id}&client_secret={secret}"), "invalid_request"),
        ("x".repeat(100_000), "invalid_request"),
    ] {
        let answer = site.send(Request::post("/token").body(form.into()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &error.into()));
    }
    assert_eq!(site.snapshot(), before);
}

/// R-A-012 to R-A-014, R-D-008, X-A-17, X-A-21: tokens and signatures that are no proof. Nothing changes.
#[tokio::test]
async fn what_is_no_proof_changes_nothing() {
    let (site, certificate, elsewhere) = (Site::new(false), device_certificate(), device_certificate());
    let device = site.onboard("plc-7", Some(&certificate)).await;
    let other = site.onboard("plc-8", Some(&elsewhere)).await;
    let without = site.onboard("plc-9", None).await;
    let mut tokens = Vec::new();
    for device in [&device, &other, &without] {
        tokens.push(site.token("/token", device).await);
    }
    let git = site.token("/token/git", &device).await;
    let body = old_capabilities("plc-7");
    let before = site.snapshot();
    for (what, token, path, signature, status) in [
        ("no signature", tokens[0].as_str(), "plc-7", None, 401),
        ("another key, sent along", &tokens[0], "plc-7", Some(&elsewhere), 401),
        ("another device's token", &tokens[1], "plc-7", Some(&elsewhere), 404),
        ("another device's token and ours to sign", &tokens[1], "plc-7", Some(&certificate), 401),
        ("no registered certificate", &tokens[2], "plc-9", Some(&certificate), 403),
        ("no token", "", "plc-7", Some(&certificate), 401),
        ("the secret itself", device.token.reveal(), "plc-7", Some(&certificate), 401),
        ("a Git token", &git, "plc-7", Some(&certificate), 401),
        ("the Git token of onboarding", device.git_token.reveal(), "plc-7", Some(&certificate), 401),
    ] {
        let answer = site.report(token, path, &body, signature).await;
        assert_eq!(answer.status, status, "{what}: {:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    }
    let mut request = Request::post("/device/plc-7/capabilities")
        .header("authorization", format!("Bearer {}", tokens[0]))
        .body(Body::from(old_capabilities("plc-8").to_string()))
        .unwrap();
    let key = SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap();
    let signature = sign_payload(&key, body.to_string().as_bytes()).unwrap();
    request.headers_mut().insert("x-payload-signature", signature);
    assert_eq!(site.send(request).await.status, 401, "a signature over another body");
    site.wait(LIFETIME);
    let expired = site.report(&tokens[0], "plc-7", &body, Some(&certificate)).await;
    assert_eq!(expired.status, 401, "an expired token");
    assert_eq!(site.snapshot(), before);
}

/// R-A-012 to R-A-014: what the head decides is decided before a byte of the body is read.
#[tokio::test]
async fn the_body_of_whoever_has_no_token_is_not_read() {
    let (site, certificate, elsewhere) = (Site::new(false), device_certificate(), device_certificate());
    let device = site.onboard("plc-7", Some(&certificate)).await;
    let without = site.onboard("plc-9", None).await;
    let (token, other) = (site.token("/token", &device).await, site.token("/token", &without).await);
    let content = old_capabilities("plc-7").to_string();
    let signed = |issued: &Issued| {
        let key = SigningKey::from_pem(issued.key.serialize_pem().as_bytes()).unwrap();
        Some(sign_payload(&key, content.as_bytes()).unwrap())
    };
    let before = site.snapshot();
    for (what, token, signature, status, reads) in [
        ("no token", "", signed(&certificate), 401, false),
        ("nobody's token", "margo_x", signed(&certificate), 401, false),
        ("no signature", &token, None, 401, false),
        ("unreadable", &token, Some(http::HeaderValue::from_static("x")), 401, false),
        ("another key", &token, signed(&elsewhere), 401, false),
        ("no registered certificate", &other, signed(&certificate), 403, false),
        ("itself", &token, signed(&certificate), 201, true),
    ] {
        let (body, is_read) = watched(content.clone());
        let request = Request::post("/device/plc-7/capabilities")
            .header("authorization", format!("Bearer {token}"))
            .body(body);
        let mut request = request.unwrap();
        if let Some(signature) = signature {
            request.headers_mut().insert("x-payload-signature", signature);
        }
        let answer = site.send(request).await;
        assert_eq!((answer.status.as_u16(), is_read.load(Ordering::SeqCst)), (status, reads), "{what}");
        assert_eq!(site.snapshot() == before, !reads, "{what}");
    }
}

/// RFC 6749 has a word for it; nobody's secret is looked at.
#[tokio::test]
async fn whoever_asks_for_tokens_too_often_has_to_wait() {
    let site = Site::new(false);
    let device = site.onboard("plc-7", None).await;
    let limit = RateLimit::of(NonZeroU32::new(3).unwrap(), Duration::from_hours(1));
    let tokens = Arc::new(IssuedTokens::for_management(Arc::clone(&site.manager), LIFETIME));
    let app = token_router(Arc::clone(&tokens), &limit).merge(token_router_at("/git", tokens, &limit));
    let ask = async |peer: Option<&str>, path: &str, secret: &str| {
        let form = request_token::Request::new(device.client_id.as_str(), secret).to_form();
        let mut request = Request::post(path).body(Body::from(form)).unwrap();
        if let Some(peer) = peer {
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        Answer::of(app.clone().oneshot(request).await.unwrap()).await
    };
    let (one, secret) = (Some("[2001:db8::1]:5"), device.token.reveal());
    for path in ["/token", "/git", "/token"] {
        assert_eq!(ask(one, path, "a guess").await.status, 401);
    }
    let before = site.snapshot();
    for path in ["/token", "/git"] {
        let refused = ask(one, path, secret).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()),
            (429, serde_json::json!({ "error": "temporarily_unavailable" }))
        );
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
    assert_eq!(ask(Some("[2001:db8::2]:5"), "/token", secret).await.status, 429, "of the same network");
    assert_eq!(site.snapshot(), before);
    assert_eq!(ask(Some("192.0.2.1:5"), "/token", secret).await.status, 200);
    for status in [200, 200, 200, 429] {
        assert_eq!(ask(None, "/token", secret).await.status, status, "those without an address together");
    }
}

/// R-A-014: who does not sign is taken at its token's word only where somebody said so.
#[tokio::test]
async fn a_device_without_a_certificate_is_served_only_where_it_is_configured() {
    let site = Site::new(true);
    let (certificate, elsewhere) = (device_certificate(), device_certificate());
    let without = site.onboard("plc-9", None).await;
    let with = site.onboard("plc-7", Some(&certificate)).await;
    let token = site.token("/token", &without).await;
    assert_eq!(site.report(&token, "plc-9", &old_capabilities("plc-9"), None).await.status, 201);
    let token = site.token("/token", &with).await;
    assert_eq!(site.report(&token, "plc-7", &old_capabilities("plc-7"), None).await.status, 401);
    let forged = site.report(&token, "plc-7", &old_capabilities("plc-7"), Some(&elsewhere)).await;
    assert_eq!(forged.status, 401);
}

/// R-A-016, R-A-017, MI-023: the token before is good for the overlap and no longer; API tokens open no repository.
#[tokio::test]
async fn git_tokens_are_rotated() {
    let (site, certificate) = (Site::new(false), device_certificate());
    let device = site.onboard("plc-7", Some(&certificate)).await;
    let first = device.git_token.reveal().to_owned();
    assert!(site.opens_git(&first).await);
    let second = site.token("/token/git", &device).await;
    site.wait(Duration::from_secs(OVERLAP.as_secs() - 1));
    assert!(site.opens_git(&first).await && site.opens_git(&second).await);
    site.wait(Duration::from_secs(1));
    assert!(!site.opens_git(&first).await && site.opens_git(&second).await);
    let third = site.token("/token/git", &device).await;
    site.wait(OVERLAP);
    assert!(!site.opens_git(&second).await && site.opens_git(&third).await);
    site.wait(LIFETIME);
    assert!(!site.opens_git(&third).await, "none is for ever");

    let api = site.token("/token", &device).await;
    for not_for_git in [api.as_str(), device.token.reveal()] {
        assert!(!site.opens_git(not_for_git).await);
    }
    let fourth = site.token("/token/git", &device).await;
    site.manager.rotate_tokens(&target("plc-7")).await.unwrap();
    assert!(!site.opens_git(&fourth).await, "rotating the secrets ends what was issued");
    let refused = site.report(&api, "plc-7", &old_capabilities("plc-7"), Some(&certificate)).await;
    assert_eq!(refused.status, 401);
}
