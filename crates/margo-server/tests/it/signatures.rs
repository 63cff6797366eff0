//! 1.0.0-rc.1 and 1.0.0-rc.2: taken on with a certificate, and every call signed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use margo_api::RootCertificateResponse;
use margo_core::{ClientId, Digest, SpecVersion};
use margo_deployment::AnyApplicationDeployment;
use margo_identity::{MessageSigner, MessageVerifier, Origin, PeerAddr, SignatureAuthenticator, SigningKey};
use margo_server::{
    Admission, ClientKeys, LinkRequest, OnboardRequest, RateLimit, Reception, Schemes, Store as _,
    authenticated, onboarding_router, router,
};
use margo_syntax::Limits;
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::pki::{Issued, authority, device_certificate, issue, now};
use crate::plant::{Answer, COMPOSE, PUMP, Plant, START, target, watched};

const ORIGIN: &str = "https://manager.example";

struct Site {
    plant: Plant,
    app: axum::Router,
}

impl Site {
    fn new() -> Self {
        Self::with(Admission::Anyone { max_clients: 10 })
    }

    fn with(admission: Admission) -> Self {
        Self::at(admission, now())
    }

    /// With a verifier that takes it for this time.
    fn at(admission: Admission, time: UnixTime) -> Self {
        let plant = Plant::new();
        let verifier = MessageVerifier::new([ORIGIN.parse::<Origin>().unwrap()]);
        let keys = ClientKeys::new(Arc::clone(&plant.manager));
        let schemes = Schemes::new()
            .with(SpecVersion::V1_0_0Rc1, SignatureAuthenticator::new(verifier, keys, move || time));
        let reception =
            Reception::new(Arc::clone(&plant.manager), admission).with_authority(&b"authority"[..]);
        let app = authenticated(router(Arc::clone(&plant.manager)), Arc::new(schemes))
            .merge(onboarding_router(Arc::new(reception), &RateLimit::new()));
        Self { plant, app }
    }

    async fn send(&self, request: Request<Bytes>) -> Answer {
        Answer::of(self.app.clone().oneshot(request.map(Body::from)).await.unwrap()).await
    }

    async fn onboard(&self, certificate: &Issued) -> Answer {
        let body = json!({
            "apiVersion": "onboarding.margo.org/v1alpha1", "kind": "OnboardingRequest",
            "certificate": STANDARD.encode(&certificate.der),
        });
        self.send(unsigned(Method::POST, "/api/v1/onboarding", &body)).await
    }

    async fn device(&self) -> Device {
        let certificate = device_certificate();
        let answer = self.onboard(&certificate).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        let client: ClientId = answer.json()["clientId"].as_str().unwrap().parse().unwrap();
        let key = SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap();
        Device { client, certificate, key: Arc::new(key) }
    }
}

struct Device {
    client: ClientId,
    certificate: Issued,
    key: Arc<SigningKey>,
}

impl Device {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/clients/{}/{rest}", self.client)
    }

    fn signed(&self, request: Request<Bytes>) -> Request<Bytes> {
        self.signed_as(self.client.as_str(), request, now())
    }

    fn signed_as(&self, key_id: &str, mut request: Request<Bytes>, at: UnixTime) -> Request<Bytes> {
        let origin = ORIGIN.parse().unwrap();
        MessageSigner::new(Arc::clone(&self.key), key_id, origin).unwrap().sign(&mut request, at).unwrap();
        request
    }

    async fn call(&self, site: &Site, method: Method, rest: &str, body: &Value) -> Answer {
        site.send(self.signed(unsigned(method, &self.path(rest), body))).await
    }
}

fn unsigned(method: Method, path: &str, body: &Value) -> Request<Bytes> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder().method(method).uri(path).header("content-type", "application/json").body(body).unwrap()
}

fn capabilities(device: &str) -> Value {
    json!({
        "apiVersion": "device.margo.org/v1alpha1", "kind": "DeviceCapabilitiesManifest",
        "properties": {
            "id": device, "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
            "roles": ["Standalone Cluster"],
            "resources": {
                "cpu": { "cores": 4, "architecture": "arm64" }, "memory": "8Gi", "storage": "64Gi",
                "peripherals": [], "interfaces": [{ "type": "ethernet" }],
            },
        },
    })
}

fn status(deployment: &str, device: Option<&str>, state: &str, error: Option<Value>) -> Value {
    let mut status = json!({
        "apiVersion": "deployment.margo.org/v1alpha1", "kind": "DeploymentStatusManifest",
        "deploymentId": deployment, "status": { "state": state },
        "components": [{ "name": "collector", "state": state }, { "name": "dashboard", "state": state }],
    });
    if let Some(device) = device {
        status["deviceId"] = device.into();
    }
    if let Some(error) = error {
        status["status"]["error"] = error;
    }
    status
}

/// E1, E2, R-B-006, X-B-33: a certificate is one client's, however often it is sent.
#[tokio::test]
async fn a_certificate_is_taken_on_once() {
    let site = Site::new();
    let root = site.send(unsigned(Method::GET, "/api/v1/onboarding/certificate", &Value::Null)).await;
    assert_eq!(root.status, 200);
    let told: RootCertificateResponse = serde_json::from_value(root.json()).unwrap();
    assert_eq!(told.certificate_der().unwrap(), b"authority");
    // A5
    let older = site.send(unsigned(Method::GET, "/onboarding/certificate", &Value::Null)).await;
    assert_eq!(older.body, root.body);

    let device = site.device().await;
    assert!(uuid::Uuid::parse_str(device.client.as_str()).is_ok());
    let before = site.plant.snapshot();
    let again = site.onboard(&device.certificate).await;
    assert_eq!((again.status.as_u16(), again.json()), (201, json!({ "clientId": device.client.as_str() })));
    let early = json!({ "kind": "OnboardingRequest", "public_certificate": device.certificate.pem });
    let early = site.send(unsigned(Method::POST, "/api/v1/onboarding", &early)).await;
    assert_eq!(early.json()["clientId"], device.client.as_str());
    assert_eq!(site.plant.snapshot(), before);

    site.plant.manager.retire(&target(device.client.as_str())).await.unwrap();
    let before = site.plant.snapshot();
    let retired = site.onboard(&device.certificate).await;
    assert_eq!((retired.status.as_u16(), retired.json()), (403, json!({ "error": "Client rejected" })));
    assert_eq!(site.plant.snapshot(), before);
}

/// E2, R-B-007: what an operator took from a device makes nobody a client again, whoever may come; an operator may give it
/// back.
#[tokio::test]
async fn a_certificate_that_was_taken_away_is_not_taken_on_again() {
    let (first, second) = (device_certificate(), device_certificate());
    let listed = Admission::Listed([&first, &second].map(|issued| Digest::of(&issued.der)).into());
    for admission in [Admission::Anyone { max_clients: 10 }, listed] {
        let site = Site::with(admission);
        let manager = &site.plant.manager;
        let client = site.onboard(&first).await.json()["clientId"].as_str().unwrap().to_owned();
        let renewed = LinkRequest::new().with_certificate(second.pem.clone());
        manager.link(&target(&client), renewed).await.unwrap();
        let before = site.plant.snapshot();
        let old = site.onboard(&first).await;
        assert_eq!((old.status.as_u16(), old.json()), (403, json!({ "error": "Client rejected" })));
        assert_eq!(site.plant.snapshot(), before);
        assert_eq!(site.onboard(&second).await.json()["clientId"], client);

        manager.retire(&target(&client)).await.unwrap();
        let before = site.plant.snapshot();
        for certificate in [&first, &second] {
            assert_eq!(site.onboard(certificate).await.status, 403);
        }
        assert_eq!(site.plant.snapshot(), before);
        let taken_back = OnboardRequest::new(client.parse().unwrap(), SpecVersion::V1_0_0Rc2)
            .with_certificate(first.pem.clone());
        manager.onboard(taken_back).await.unwrap();
        assert_eq!(site.onboard(&first).await.json()["clientId"], client);
        assert_eq!(site.onboard(&second).await.status, 403);
    }
}

/// E2: 400 and 403 with nothing stored.
#[tokio::test]
async fn what_is_not_taken_on_leaves_nothing() {
    let authority = authority("factory");
    let expired =
        issue(&authority, &["spiffe://a/b"], |params| params.not_after = rcgen::date_time_ymd(2023, 2, 1));
    let listed = device_certificate();
    let site = Site::with(Admission::Listed([Digest::of(&listed.der)].into()));
    let before = site.plant.snapshot();
    for (body, status) in [
        (json!({ "kind": "OnboardingRequest", "certificate": "MAA=" }), 400),
        (json!({ "kind": "OnboardingRequest", "certificate": "%" }), 400),
        (json!({ "kind": "OnboardingRequest", "certificate": STANDARD.encode(&expired.der) }), 400),
        (json!({ "kind": "OnboardingRequest" }), 400),
        (json!([]), 400),
        (
            json!({ "kind": "OnboardingRequest", "certificate": STANDARD.encode(&device_certificate().der) }),
            403,
        ),
    ] {
        let answer = site.send(unsigned(Method::POST, "/api/v1/onboarding", &body)).await;
        assert_eq!(answer.status, status, "{body}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(error, if status == 400 { "Invalid certificate" } else { "Client rejected" });
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(site.plant.snapshot(), before);
    assert_eq!(site.onboard(&listed).await.status, 201);

    let full = Site::with(Admission::Anyone { max_clients: 1 });
    full.device().await;
    assert_eq!(full.onboard(&device_certificate()).await.status, 403);
}

/// R-B-001, E3 to E8 in the words of rc.2: from onboarding to a deployment's report.
#[tokio::test]
async fn an_rc_2_device_lives_on_its_own_routes() {
    let site = Site::new();
    let device = site.device().await;
    let reported = device.call(&site, Method::POST, "capabilities/plc-7", &capabilities("plc-7")).await;
    assert_eq!(reported.status, 201, "{:?}", reported.body);
    let update = device.call(&site, Method::PUT, "capabilities/plc-7", &capabilities("plc-7")).await;
    assert_eq!(update.status, 201); // C4
    let devices = site.plant.manager.list_devices().await.unwrap();
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert!(devices[0].device_id.as_str() == "plc-7" && devices[0].is_registered);

    let empty = device.call(&site, Method::GET, "deployments", &Value::Null).await;
    assert_eq!((empty.status.as_u16(), &empty.json()["bundle"]), (200, &Value::Null));
    site.plant.upload(PUMP).await;
    let id = site.plant.deploy("pump-monitor", &["plc-7"]).await.deployments[0].deployment_id.to_string();

    let manifest = device.call(&site, Method::GET, "deployments", &Value::Null).await;
    assert_eq!(manifest.headers["content-type"], "application/vnd.margo.manifest.v1+json");
    assert_eq!(manifest.headers["etag"], format!("\"{}\"", Digest::of(&manifest.body)));
    let (reference, bundle) = (&manifest.json()["deployments"][0], &manifest.json()["bundle"]);
    let digest = reference["digest"].as_str().unwrap();
    assert_eq!(reference["url"], device.path(&format!("deployments/{id}/{digest}")));
    let bundle_digest = bundle["digest"].as_str().unwrap();
    assert_eq!(bundle["url"], device.path(&format!("bundles/{bundle_digest}")));

    let rest = format!("deployments/{id}/{digest}");
    let document = device.call(&site, Method::GET, &rest, &Value::Null).await;
    assert_eq!(
        (document.status.as_u16(), &document.headers["content-type"]),
        (200, &HeaderValue::from_static("application/yaml"))
    );
    assert!(document.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let read = AnyApplicationDeployment::parse(&document.body, &Limits::default()).unwrap();
    assert_eq!((read.revision(), read.id().as_str()), (SpecVersion::V1_0_0Rc2, &*id));
    assert_eq!(read.application_id().as_str(), "pump-monitor"); // R-B-042, R-C-013
    let AnyApplicationDeployment::Rc2(read) = read else { panic!("1.0.0-rc.2") };
    assert_eq!(read.metadata.device_id.as_str(), "plc-7"); // R-C-008
    let archive = device.call(&site, Method::GET, &format!("bundles/{bundle_digest}"), &Value::Null).await;
    assert_eq!(archive.headers["content-type"], "application/vnd.margo.bundle.v1+tar+gzip");

    let report = status(&id, None, "installed", None);
    let answer = device.call(&site, Method::POST, &format!("deployments/{id}/status"), &report).await;
    assert_eq!(answer.status, 200); // X-B-28
    let view = &site.plant.manager.list_deployments(None, None, None).await.unwrap()[0];
    assert!(view.converged, "{view:?}");

    let missing =
        device.call(&site, Method::GET, &format!("deployments/{id}/{}", Digest::of(b"")), &Value::Null).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.headers["content-type"]),
        (404, &HeaderValue::from_static("application/json"))
    );
    let semantic = device.call(&site, Method::POST, &format!("deployments/{id}/status"), &json!({})).await;
    assert_eq!(semantic.status, 422);
    let mut picky = unsigned(Method::GET, &device.path("deployments"), &Value::Null);
    picky.headers_mut().insert("accept", HeaderValue::from_static("text/html"));
    assert_eq!(site.send(device.signed(picky)).await.status, 406);
    let mut unchanged = unsigned(Method::GET, &device.path("deployments"), &Value::Null);
    unchanged.headers_mut().insert("if-none-match", manifest.headers["etag"].clone());
    assert_eq!(site.send(device.signed(unchanged)).await.status, 304);
    let deleted = device.call(&site, Method::DELETE, "capabilities/plc-7", &Value::Null).await;
    assert_eq!(deleted.status, 204); // R-C-007
}

/// rev-C 5, MI-024, E3: the route of the first report tells rc.1 from rc.2.
#[tokio::test]
async fn an_rc_1_device_is_known_by_its_route() {
    let site = Site::new();
    let device = site.device().await;
    let reported = device.call(&site, Method::POST, "capabilities", &capabilities("plc-1")).await;
    assert_eq!(reported.status, 201, "{:?}", reported.body);
    let client = site.plant.store.client(&device.client).await.unwrap().unwrap();
    assert_eq!((client.revision, client.device_id.as_str()), (SpecVersion::V1_0_0Rc1, "plc-1"));
    site.plant.upload(PUMP).await;
    site.plant.deploy("pump-monitor", &["plc-1"]).await;
    let manifest = device.call(&site, Method::GET, "deployments", &Value::Null).await.json();
    let url = manifest["deployments"][0]["url"].as_str().unwrap();
    let document = site.send(device.signed(unsigned(Method::GET, url, &Value::Null))).await;
    let read = AnyApplicationDeployment::parse(&document.body, &Limits::default()).unwrap();
    assert_eq!(read.revision(), SpecVersion::V1_0_0Rc1);

    // The same device, upgraded: its next report is on the route of rc.2.
    let reported = device.call(&site, Method::PUT, "capabilities/plc-1", &capabilities("plc-1")).await;
    assert_eq!(reported.status, 201);
    let manifest = device.call(&site, Method::GET, "deployments", &json!(null)).await.json();
    assert_eq!(manifest["manifestVersion"], 4);
    let url = manifest["deployments"][0]["url"].as_str().unwrap();
    let document = site.send(device.signed(unsigned(Method::GET, url, &Value::Null))).await;
    let read = AnyApplicationDeployment::parse(&document.body, &Limits::default()).unwrap();
    assert_eq!(read.revision(), SpecVersion::V1_0_0Rc2);
}

/// R-D-008: ids are for each client alone; the second keeps the name it was given, and is told from the first by it.
#[tokio::test]
async fn two_devices_may_call_themselves_the_same() {
    let site = Site::new();
    let (first, second) = (site.device().await, site.device().await);
    for device in [&first, &second] {
        let reported = device.call(&site, Method::POST, "capabilities", &capabilities("plc-1")).await;
        assert_eq!(reported.status, 201, "{:?}", reported.body);
        let client = site.plant.store.client(&device.client).await.unwrap().unwrap();
        assert_eq!(client.revision, SpecVersion::V1_0_0Rc1);
    }
    site.plant.upload(PUMP).await;
    let changed = site.plant.deploy("pump-monitor", &[&format!("{}:plc-1", second.client)]).await;
    assert_eq!(changed.deployments[0].client_id, second.client);
}

/// R-C-003, R-C-004, R-C-007, R-C-009 to R-C-012, X-C-11.
#[tokio::test]
async fn a_gateway_speaks_for_its_children() {
    let site = Site::new();
    let gateway = site.device().await;
    let mut relay = capabilities("gw");
    relay["properties"]["roles"] = json!(["Gateway"]);
    relay["properties"].as_object_mut().unwrap().remove("resources");
    let before = site.plant.snapshot();
    let early = gateway.call(&site, Method::POST, "capabilities/gw/plc-1", &capabilities("gw/plc-1")).await;
    assert_eq!(early.status, 404);
    assert_eq!(site.plant.snapshot(), before);
    assert_eq!(gateway.call(&site, Method::POST, "capabilities/gw", &relay).await.status, 201);
    let encoded =
        gateway.call(&site, Method::POST, "capabilities/gw%2Fplc-1", &capabilities("gw/plc-1")).await;
    assert_eq!(encoded.status, 201, "X-C-09: {:?}", encoded.body);

    site.plant.upload(PUMP).await;
    let changed = site.plant.deploy("pump-monitor", &["gw/plc-1", "gw/*"]).await;
    for (deployment, code) in changed.deployments.iter().zip(["102", "103"]) {
        let id = deployment.deployment_id.as_str();
        let error = json!({ "code": code, "source": "gw", "message": "no" });
        let device = deployment.device.as_str().strip_suffix("/*").unwrap_or(deployment.device.as_str());
        let report = status(id, Some(device), "failed", Some(error));
        let answer = gateway.call(&site, Method::POST, &format!("deployments/{id}/status"), &report).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let detail = site.plant.manager.deployment_view(&deployment.deployment_id).await.unwrap();
        let error = detail.deployment.error.unwrap();
        assert_eq!((&*error.code, &*error.source), (code, "gw"));
    }
    let removed = gateway.call(&site, Method::DELETE, "capabilities/gw/plc-1", &Value::Null).await;
    assert_eq!(removed.status, 204);
    let again = gateway.call(&site, Method::DELETE, "capabilities/gw/plc-1", &Value::Null).await;
    assert_eq!(again.status, 404);
}

/// R-B-011 to R-B-013, MI-022, rev-B 1: every way to say what one did not sign. Nothing changes.
#[tokio::test]
async fn a_request_that_is_not_what_was_signed_changes_nothing() {
    let site = Site::new();
    let (device, other) = (site.device().await, site.device().await);
    let path = device.path("capabilities/plc-7");
    let put = |path: &str| unsigned(Method::PUT, path, &capabilities("plc-7"));
    let good = || device.signed(put(&path));
    let change = |change: &dyn Fn(&mut Request<Bytes>)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let key_id = device.client.as_str();
    let before = site.plant.snapshot();
    for (what, request, status) in [
        ("unsigned", put(&path), 401),
        ("other body", change(&|r| *r.body_mut() = Bytes::from(capabilities("plc-8").to_string())), 400),
        ("no digest", change(&|r| drop(r.headers_mut().remove("content-digest"))), 400),
        (
            "other body and digest",
            change(&|r| {
                *r.body_mut() = Bytes::from(capabilities("plc-8").to_string());
                let digest = margo_identity::content_digest(r.body());
                r.headers_mut().insert("content-digest", digest);
            }),
            401,
        ),
        ("other path", change(&|r| *r.uri_mut() = device.path("capabilities/plc-8").parse().unwrap()), 401),
        ("other method", change(&|r| *r.method_mut() = Method::POST), 401),
        (
            "a component is missing",
            change(&|r| {
                let input = r.headers()["signature-input"].to_str().unwrap().replace("\"@method\" ", "");
                r.headers_mut().insert("signature-input", input.parse().unwrap());
            }),
            401,
        ),
        (
            "another algorithm",
            change(&|r| {
                let input =
                    format!("{};alg=\"rsa-v1_5-sha256\"", r.headers()["signature-input"].to_str().unwrap());
                r.headers_mut().insert("signature-input", input.parse().unwrap());
            }),
            401,
        ),
        ("in the future", device.signed_as(key_id, put(&path), at(START + 3600)), 401),
        ("too old", device.signed_as(key_id, put(&path), at(START - 3600)), 401),
        ("unknown key", device.signed_as("somebody", put(&path), now()), 401),
        ("another's key", other.signed_as(key_id, put(&path), now()), 401),
        ("another's name", other.signed(put(&path)), 401),
        ("nobody's path", device.signed(put("/api/v1/clients/nobody/capabilities/plc-7")), 401),
        (
            "obsolete header",
            change(&|r| drop(r.headers_mut().insert("x-payload-signature", HeaderValue::from_static("x")))),
            401,
        ),
        (
            "oversized header",
            change(&|r| drop(r.headers_mut().insert("signature-input", "x".repeat(9000).parse().unwrap()))),
            401,
        ),
    ] {
        let answer = site.send(request).await;
        assert_eq!(answer.status, status, "{what}: {:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        if status == 401 {
            assert_eq!(answer.json()["error"], "Invalid signature", "{what}");
        }
    }
    assert_eq!(site.plant.snapshot(), before);

    let request = good();
    let replayed = Request::from_parts(request.clone().into_parts().0, request.body().clone());
    assert_eq!(site.send(request).await.status, 201);
    let before = site.plant.snapshot();
    assert_eq!(site.send(replayed).await.status, 401, "a signature is taken once");
    assert_eq!(site.plant.snapshot(), before);
    let named = format!("{}", Digest::of(&device.certificate.der));
    let by_fingerprint = device.signed_as(named.strip_prefix("sha256:").unwrap(), put(&path), at(START + 1));
    assert_eq!(site.send(by_fingerprint).await.status, 201, "a key is named by its certificate too");
}

/// R-B-012, R-B-013: a signature covers the body's digest, so that it is judged before a byte of the body is read.
#[tokio::test]
async fn the_body_of_whoever_did_not_sign_is_not_read() {
    let site = Site::new();
    let (device, other) = (site.device().await, site.device().await);
    let path = device.path("capabilities/plc-7");
    let put = |path: &str| {
        let mut request = unsigned(Method::PUT, path, &capabilities("plc-7"));
        let length = request.body().len().into();
        request.headers_mut().insert("content-length", length);
        request
    };
    let change = |change: &dyn Fn(&mut http::HeaderMap)| {
        let mut request = device.signed(put(&path));
        change(request.headers_mut());
        request
    };
    let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let key_id = device.client.as_str();
    let send = async |request: Request<Bytes>| {
        let (parts, content) = request.into_parts();
        let (body, is_read) = watched(content);
        let answer = site.app.clone().oneshot(Request::from_parts(parts, body)).await.unwrap();
        (answer.status().as_u16(), is_read.load(Ordering::SeqCst))
    };
    let before = site.plant.snapshot();
    for (what, request, status) in [
        ("unsigned", put(&path), 401),
        ("unreadable", change(&|h| drop(h.insert("signature-input", HeaderValue::from_static("(")))), 401),
        ("no digest", change(&|h| drop(h.remove("content-digest"))), 400),
        (
            "a digest that is not signed",
            change(&|h| {
                let input = h["signature-input"].to_str().unwrap().replace(" \"content-digest\"", "");
                h.insert("signature-input", input.parse().unwrap());
            }),
            401,
        ),
        (
            "another digest",
            change(&|h| drop(h.insert("content-digest", margo_identity::content_digest(b"[]")))),
            401,
        ),
        ("in the future", device.signed_as(key_id, put(&path), at(START + 3600)), 401),
        ("too old", device.signed_as(key_id, put(&path), at(START - 3600)), 401),
        ("unknown key", device.signed_as("somebody", put(&path), now()), 401),
        ("another's key", other.signed_as(key_id, put(&path), now()), 401),
        ("nobody's path", device.signed(put("/api/v1/clients/nobody/capabilities/plc-7")), 401),
    ] {
        assert_eq!(send(request).await, (status, false), "{what}");
    }
    assert_eq!(site.plant.snapshot(), before);

    // Whose body did not arrive whole may send it again; whose did may not.
    let good = device.signed(put(&path));
    let mut cut = Request::from_parts(good.clone().into_parts().0, Body::empty());
    *cut.body_mut() = Body::from_stream(futures_util::stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::Error::other("gone")),
    ]));
    assert_eq!(site.app.clone().oneshot(cut).await.unwrap().status(), 400);
    assert_eq!(site.plant.snapshot(), before);
    assert_eq!(send(good.clone()).await, (201, true));
    assert_eq!(send(good).await, (401, false), "a replay");
}

/// Whoever asks to be taken on too often has to wait, in the words of each revision; others have not.
#[tokio::test]
async fn whoever_asks_too_often_has_to_wait() {
    let plant = Plant::new();
    let reception = Reception::new(Arc::clone(&plant.manager), Admission::Anyone { max_clients: 10 })
        .with_authority(&b"authority"[..]);
    let limit = RateLimit::of(NonZeroU32::new(2).unwrap(), Duration::from_hours(1));
    let app = onboarding_router(Arc::new(reception), &limit);
    let ask = async |peer: &str, path: &str, body: Body| {
        let method = if path.ends_with("certificate") { Method::GET } else { Method::POST };
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        request.extensions_mut().insert(PeerAddr::new(peer.parse().unwrap()));
        Answer::of(app.clone().oneshot(request).await.unwrap()).await
    };
    let (one, another) = ("192.0.2.1:5", "192.0.2.2:5");
    for _ in 0..2 {
        assert_eq!(ask(one, "/api/v1/onboarding/certificate", Body::empty()).await.status, 200);
    }
    let before = plant.snapshot();
    let certificate = STANDARD.encode(&device_certificate().der);
    let body = json!({ "kind": "OnboardingRequest", "certificate": certificate }).to_string();
    let (unread, is_read) = watched(body.clone());
    let refused = ask("192.0.2.1:6", "/api/v1/onboarding", unread).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]), (429, &"Too Many Requests".into()));
    assert_eq!(refused.headers["content-type"], "application/json");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(!is_read.load(Ordering::SeqCst));
    let path = "/onboarding/certificate";
    ask(one, path, Body::empty()).await.problem(429, path);
    assert_eq!(plant.snapshot(), before);
    assert_eq!(ask(another, "/api/v1/onboarding", body.into()).await.status, 201);
}

/// rev-B 1: 403 for a certificate that is not trusted, and for a client that is not served any more.
#[tokio::test]
async fn who_is_known_and_not_trusted_is_403() {
    let years_later = UnixTime::since_unix_epoch(Duration::from_secs(START + 60_000_000));
    let site = Site::at(Admission::Anyone { max_clients: 2 }, years_later);
    let device = site.device().await;
    let request = unsigned(Method::GET, &device.path("deployments"), &Value::Null);
    let expired = site.send(device.signed_as(device.client.as_str(), request, years_later)).await;
    assert_eq!(expired.status, 403, "{:?}", expired.body);

    let site = Site::new();
    let device = site.device().await;
    assert_eq!(device.call(&site, Method::GET, "deployments", &Value::Null).await.status, 200);
    site.plant.manager.retire(&target(device.client.as_str())).await.unwrap();
    let before = site.plant.snapshot();
    let retired = device.call(&site, Method::PUT, "capabilities/plc-7", &capabilities("plc-7")).await;
    assert_eq!(
        (retired.status.as_u16(), &retired.headers["content-type"]),
        (403, &HeaderValue::from_static("application/json"))
    );
    assert_eq!(site.plant.snapshot(), before);
}

/// R-D-008 holds for older revisions as well: another client's things are not there.
#[tokio::test]
async fn another_clients_things_are_not_there() {
    let site = Site::new();
    let (owner, stranger) = (site.device().await, site.device().await);
    owner.call(&site, Method::POST, "capabilities/plc-7", &capabilities("plc-7")).await;
    site.plant.upload(PUMP).await;
    let id = site.plant.deploy("pump-monitor", &["plc-7"]).await.deployments[0].deployment_id.to_string();
    let manifest = owner.call(&site, Method::GET, "deployments", &Value::Null).await.json();
    let digest = manifest["deployments"][0]["digest"].as_str().unwrap();
    let bundle = manifest["bundle"]["digest"].as_str().unwrap();
    let absent = Digest::of(b"nothing").to_string();
    let before = site.plant.snapshot();
    for (method, theirs, nobodys, body) in [
        (
            Method::GET,
            format!("deployments/{id}/{digest}"),
            format!("deployments/nothing/{absent}"),
            Value::Null,
        ),
        (Method::GET, format!("bundles/{bundle}"), format!("bundles/{absent}"), Value::Null),
        (Method::DELETE, "capabilities/plc-7".to_owned(), "capabilities/plc-8".to_owned(), Value::Null),
        (
            Method::POST,
            format!("deployments/{id}/status"),
            "deployments/nothing/status".to_owned(),
            Value::Bool(true),
        ),
    ] {
        let body_for =
            |id: &str| if body.is_null() { Value::Null } else { status(id, None, "installed", None) };
        let theirs = stranger.call(&site, method.clone(), &theirs, &body_for(&id)).await;
        let nobodys = stranger.call(&site, method, &nobodys, &body_for("nothing")).await;
        assert_eq!((theirs.status.as_u16(), theirs.body), (404, nobodys.body));
    }
    assert_eq!(site.plant.snapshot(), before);
}

/// What rc.2 can say and rc.1 cannot, or the other way round, is found before anything is stored.
#[tokio::test]
async fn an_operator_may_bring_the_certificate() {
    let site = Site::new();
    let certificate = device_certificate();
    let request = OnboardRequest::new("plc-9".parse().unwrap(), SpecVersion::V1_0_0Rc2)
        .with_client("plant-9".parse().unwrap())
        .with_certificate(certificate.pem.clone());
    site.plant.manager.onboard(request).await.unwrap();
    let key = Arc::new(SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap());
    let device = Device { client: "plant-9".parse().unwrap(), certificate, key };
    assert_eq!(device.call(&site, Method::GET, "deployments", &Value::Null).await.status, 200);
    let onboarded = site.onboard(&device.certificate).await;
    assert_eq!(onboarded.json()["clientId"], "plant-9");
    site.plant.upload(COMPOSE).await;
    let refused = site.plant.manager.deploy(&crate::plant::deploy("line-dashboard", &["plc-9"])).await;
    assert!(refused.is_err(), "rc.2 has no registry for Compose");
}
