//! The management interface of every revision, at the same time.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderValue, Method, Request, header};
use margo_api::endpoint::{report_capabilities, report_deployment_status};
use margo_api::{Caller, ManagerError, Problem, ProblemType, Recorded, Update, WorkloadFleetManager};
use margo_core::{DeviceId, Digest, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, BUNDLE_MEDIA_TYPE, DeploymentRef, MANIFEST_MEDIA_TYPE};
use margo_server::{Onboarded, RouterConfig, router_with};
use margo_syntax::Limits;
use tower::ServiceExt as _;

use crate::plant::{Answer, PUMP, Plant, capabilities, old_capabilities, old_status, request, status};

/// A1, A2, A3, D1, D2, D6.
#[tokio::test]
async fn both_revisions_report_to_one_manager() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.upload(PUMP).await;
    let deployed = plant.deploy("pump-monitor", &["new", "old"]).await.deployments;

    let path = "/api/v1/capabilities/new";
    let body = capabilities("new").to_string();
    assert_eq!(plant.device(&new, Method::PUT, path, body.clone()).await.status, 201);
    assert_eq!(plant.device(&new, Method::PUT, path, body).await.status, 200);
    let path = "/api/v1/capabilities/new/plc-7";
    assert_eq!(
        plant.device(&new, Method::PUT, path, capabilities("new/plc-7").to_string()).await.status,
        201
    );
    assert_eq!(plant.device(&new, Method::DELETE, path, "").await.status, 204);
    // X-C-09: the levels of an id may be one segment.
    let path = "/api/v1/capabilities/new%2Fplc-8";
    assert_eq!(
        plant.device(&new, Method::PUT, path, capabilities("new/plc-8").to_string()).await.status,
        201
    );

    let path = "/device/old/capabilities";
    let body = old_capabilities("old").to_string();
    // X-A-34
    assert_eq!(plant.device(&old, Method::POST, path, body.clone()).await.status, 201);
    assert_eq!(plant.device(&old, Method::PUT, path, body).await.status, 201);

    let id = deployed[0].deployment_id.as_str();
    let path = format!("/api/v1/deployments/{id}/status");
    let installing = plant.device(&new, Method::POST, &path, status(id, 2, "installing").to_string()).await;
    assert_eq!(installing.status, 201);
    let installed = plant.device(&new, Method::POST, &path, status(id, 2, "installed").to_string()).await;
    assert_eq!(installed.status, 200);
    let id = deployed[1].deployment_id.as_str();
    let path = format!("/device/old/deployment/{id}/status");
    let pending = plant.device(&old, Method::POST, &path, old_status(id, "Pending").to_string()).await;
    assert_eq!(pending.status, 201);

    let devices = plant.manager.list_devices().await.unwrap();
    let known: Vec<_> = devices.iter().map(|device| device.device_id.as_str()).collect();
    assert_eq!(known, ["new", "new/plc-8", "old"]);
    let upgraded = devices[2].capabilities.as_ref().unwrap();
    assert_eq!(upgraded.revision, SpecVersion::PreDraft);
    assert!(upgraded.document["properties"]["supportedDeploymentTypes"].is_array(), "in the newest words");
    let deployments = plant.manager.list_deployments(None, None, None).await.unwrap();
    let states: Vec<_> = deployments.iter().map(|deployment| deployment.state.as_str()).collect();
    assert_eq!(states, ["installed", "pending"]);
}

/// X-B-03, X-B-04: strange, and accepted.
#[tokio::test]
async fn contradictory_and_silent_reports_are_accepted() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.to_string();
    let path = format!("/api/v1/deployments/{id}/status");
    let mut report = status(&id, 2, "failed");
    report["status"]["state"] = "installed".into();
    report["status"]["error"] = serde_json::json!({ "message": "no code" });
    report["components"][0]["name"] = "nobody-knows-it".into();
    assert_eq!(plant.device(&new, Method::POST, &path, report.to_string()).await.status, 201);
    let view = plant.manager.deployment_view(&id.parse().unwrap()).await.unwrap().deployment;
    assert_eq!(view.error.unwrap().message, "no code");
}

struct Fetching {
    plant: Plant,
    new: Onboarded,
}

impl Fetching {
    async fn new() -> Self {
        let plant = Plant::new();
        let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
        plant.upload(PUMP).await;
        // Enough of them to be worth compressing.
        for _ in 0..8 {
            plant.deploy("pump-monitor", &["new"]).await;
        }
        Self { plant, new }
    }

    async fn get(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = request(self.new.token.reveal(), Method::GET, path, "");
        for (name, value) in headers {
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        self.plant.send(request).await
    }
}

/// R-B-019, R-B-034, R-B-035, R-B-036, R-D-024.
#[tokio::test]
async fn a_manifest_that_is_known_is_not_sent() {
    let scene = Fetching::new().await;
    let path = "/api/v1/deployments";
    let answer = scene.get(path, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], MANIFEST_MEDIA_TYPE);
    assert_eq!(answer.headers["cache-control"], "private, no-cache");
    let etag = format!("\"{}\"", Digest::of(&answer.body));
    assert_eq!(answer.headers["etag"], etag.as_str());

    let stale = format!("\"{}\"", Digest::of(b""));
    for known in [etag.clone(), format!("W/{etag}"), "*".to_owned(), format!("{stale}, {etag}")] {
        let answer = scene.get(path, &[(header::IF_NONE_MATCH, &known)]).await;
        assert_eq!(answer.status, 304, "{known}");
        assert_eq!(answer.headers["etag"], etag.as_str());
        assert!(answer.body.is_empty());
    }
    assert_eq!(scene.get(path, &[(header::IF_NONE_MATCH, &stale)]).await.status, 200);

    scene.plant.deploy("pump-monitor", &["new"]).await;
    let answer = scene.get(path, &[(header::IF_NONE_MATCH, &etag)]).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.headers["etag"], etag.as_str());
}

/// R-B-023, R-B-024, R-B-037, X-D-45.
#[tokio::test]
async fn content_is_served_by_its_digest_for_ever() {
    let scene = Fetching::new().await;
    let manifest = scene.plant.manifest(&scene.new.client_id).await;
    let (reference, bundle) = (&manifest.deployments[0], manifest.bundle.as_ref().unwrap());
    for (url, digest, media_type) in [
        (&reference.url, reference.digest, "application/yaml"),
        (&bundle.url, bundle.digest, BUNDLE_MEDIA_TYPE),
    ] {
        let answer = scene.get(url, &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(Digest::of(&answer.body), digest);
        assert_eq!(answer.headers["content-type"], media_type);
        assert_eq!(answer.headers["cache-control"], "private, max-age=31536000, immutable");
        let etag = format!("\"{digest}\"");
        assert_eq!(answer.headers["etag"], etag.as_str());
        let answer = scene.get(url, &[(header::IF_NONE_MATCH, &etag)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    }
    // An earlier manifest's content is still there when a newer one is out.
    scene.plant.deploy("pump-monitor", &["new"]).await;
    assert_eq!(scene.get(&bundle.url, &[]).await.status, 200);
}

/// R-B-018.
#[tokio::test]
async fn a_client_that_takes_only_something_else_gets_nothing() {
    let scene = Fetching::new().await;
    let path = "/api/v1/deployments";
    let answer = scene.get(path, &[(header::ACCEPT, "text/html")]).await;
    assert_eq!(answer.problem(406, path).problem_type, ProblemType::ServerCannotGenerateResponse);
    assert_eq!(scene.get(path, &[(header::ACCEPT, MANIFEST_MEDIA_TYPE)]).await.status, 200);
}

/// R-B-034, R-B-037: the coding is not the content.
#[tokio::test]
async fn what_travels_compressed_keeps_its_name() {
    let scene = Fetching::new().await;
    let manifest = scene.plant.manifest(&scene.new.client_id).await;
    let plain = scene.get("/api/v1/deployments", &[]).await;
    let coded = scene.get("/api/v1/deployments", &[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]).await;
    assert_eq!(coded.headers["content-encoding"], "gzip");
    assert!(coded.body.len() < plain.body.len());
    let mut decoded = Vec::new();
    GzDecoder::new(&coded.body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(decoded, plain.body);
    assert_eq!(coded.headers["etag"], plain.headers["etag"]);
    for answer in [&plain, &coded] {
        assert_eq!(answer.headers["vary"], "accept-encoding");
    }

    // What is compressed already is not compressed again.
    let bundle =
        scene.get(&manifest.bundle.as_ref().unwrap().url, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert!(!bundle.headers.contains_key("content-encoding"));
    let yaml = scene.get(&manifest.deployments[0].url, &[]).await;
    assert_eq!(yaml.headers["vary"], "accept-encoding");
}

/// R-B-021: a client that has nothing to run is told so.
#[tokio::test]
async fn a_new_client_has_an_empty_manifest() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
    let answer = plant.device(&new, Method::GET, "/api/v1/deployments", "").await;
    assert_eq!(&answer.body[..], br#"{"bundle":null,"deployments":[],"manifestVersion":1}"#);
}

/// A pre-draft client finds its documents over REST too, in its own words.
#[tokio::test]
async fn each_client_reads_its_own_revision() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.upload(PUMP).await;
    plant.deploy("pump-monitor", &["new", "old"]).await;
    for client in [&new, &old] {
        for bytes in plant.documents(&client.client_id).await.values() {
            let document = AnyApplicationDeployment::parse(bytes, &Limits::default()).unwrap();
            assert_eq!(document.revision(), client.revision);
        }
    }
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let scene = Fetching::new().await;
    let id = header::HeaderName::from_static("x-request-id");
    let answer = scene.get("/api/v1/deployments", &[(id.clone(), "abc-123")]).await;
    assert_eq!(answer.headers[&id], "abc-123");
    let (first, second) = (scene.get("/x", &[]).await, scene.get("/x", &[]).await);
    assert_ne!(first.headers[&id], second.headers[&id]);
    // One that could disturb a log is replaced.
    for bad in ["", "a b", &"x".repeat(129)] {
        assert_ne!(scene.get("/x", &[(id.clone(), bad)]).await.headers[&id], bad);
    }
}

/// A manager that misbehaves in every way there is.
struct Unruly;

impl WorkloadFleetManager for Unruly {
    async fn desired_state(&self, _: &Caller, _: Option<Digest>) -> Result<Update, ManagerError> {
        panic!("a secret")
    }

    async fn deployment(&self, _: &Caller, _: &DeploymentRef) -> Result<Bytes, ManagerError> {
        Ok("something else".into())
    }

    async fn bundle(&self, _: &Caller, _: Digest) -> Result<Bytes, ManagerError> {
        std::future::pending().await
    }

    async fn report_capabilities(
        &self,
        _: &Caller,
        _: report_capabilities::Request,
    ) -> Result<Recorded, ManagerError> {
        Err(ManagerError::internal("a secret"))
    }

    async fn remove_device(&self, _: &Caller, _: &DeviceId) -> Result<(), ManagerError> {
        Ok(())
    }

    async fn report_status(
        &self,
        _: &Caller,
        _: report_deployment_status::Request,
    ) -> Result<Recorded, ManagerError> {
        Ok(Recorded::Created)
    }
}

async fn ask_unruly(method: Method, path: &str, body: String, is_known: bool) -> Answer {
    let config = RouterConfig::default().with_timeout(Duration::from_millis(10));
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    if is_known {
        request.extensions_mut().insert(Caller::new("c".parse().unwrap()));
    }
    Answer::of(router_with(Arc::new(Unruly), &config).oneshot(request).await.unwrap()).await
}

/// Whatever a vendor's manager does, the answer is a problem that tells no secret, and the process lives on.
#[tokio::test]
async fn a_manager_that_misbehaves_is_contained() {
    let digest = Digest::of(b"");
    let deployment = format!("/api/v1/deployments/a/{digest}");
    let bundle = format!("/api/v1/bundles/{digest}");
    let device = "/api/v1/capabilities/d";
    let body = capabilities("d").to_string();
    for (method, path, body, status) in [
        (Method::GET, "/api/v1/deployments", String::new(), 500),
        (Method::GET, &deployment, String::new(), 500),
        (Method::GET, &bundle, String::new(), 503),
        (Method::PUT, device, body, 500),
    ] {
        let answer = ask_unruly(method, path, body, true).await;
        let problem: Problem = answer.problem(status, path);
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
        assert_eq!(problem.retryable, Some(true));
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
}

/// Without an authentication layer there is no caller.
#[tokio::test]
async fn a_router_alone_lets_nobody_in() {
    let answer = ask_unruly(Method::DELETE, "/api/v1/capabilities/d", String::new(), false).await;
    answer.problem(401, "/api/v1/capabilities/d");
    let answer = ask_unruly(Method::DELETE, "/api/v1/capabilities/d", String::new(), true).await;
    assert_eq!(answer.status, 204);
}

/// R-D-037: routers that say nothing of methods themselves, such as one that tells how the manager is.
#[tokio::test]
async fn a_guarded_router_explains_a_method_it_does_not_have() {
    let health = axum::Router::new().route("/healthz", axum::routing::get(async || "ok"));
    let app = margo_server::guarded(health, &RouterConfig::default());
    let post = Request::post("/healthz").body(Body::empty()).unwrap();
    let answer = Answer::of(app.oneshot(post).await.unwrap()).await;
    answer.problem(405, "/healthz");
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}
