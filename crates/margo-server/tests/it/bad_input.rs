//! Whatever a stranger sends: a clear answer in the form of a problem, and nothing is stored.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Method, header};
use hyper::body::{Frame, SizeHint};
use margo_api::ProblemType;
use margo_core::{Digest, SpecVersion};
use margo_server::{Onboarded, RouterConfig};

use crate::plant::{
    Answer, PUMP, Plant, capabilities, old_capabilities, old_status, request, status, target, watched,
};

/// Two devices of either revision, each with one deployment.
struct Scene {
    plant: Plant,
    new: Onboarded,
    new_deployment: String,
    old: Onboarded,
    old_deployment: String,
    before: String,
}

impl Scene {
    async fn set() -> Self {
        Self::with_limits(RouterConfig::default()).await
    }

    async fn with_limits(limits: RouterConfig) -> Self {
        let plant = Plant::with_limits(limits);
        let new = plant.onboard("new", SpecVersion::V1_0_0Rc3).await;
        let old = plant.onboard("old", SpecVersion::PreDraft).await;
        plant.upload(PUMP).await;
        let deployed = plant.deploy("pump-monitor", &["new", "old"]).await.deployments;
        let [new_deployment, old_deployment] =
            [&deployed[0], &deployed[1]].map(|deployment| deployment.deployment_id.to_string());
        let before = plant.snapshot();
        Self { plant, new, new_deployment, old, old_deployment, before }
    }

    async fn as_new(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.plant.device(&self.new, method, path, body).await
    }

    async fn as_old(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.plant.device(&self.old, method, path, body).await
    }

    #[track_caller]
    fn nothing_was_stored(&self) {
        assert_eq!(self.plant.snapshot(), self.before);
    }
}

#[tokio::test]
async fn an_unknown_route() {
    let scene = Scene::set().await;
    for path in ["/", "/api/v1", "/api/v2/deployments", "/device/new/capabilities/x", "/api/v1/deployments/"]
    {
        let problem = scene.as_new(Method::GET, path, "").await.problem(404, path);
        assert_eq!(problem.problem_type, ProblemType::AboutBlank);
    }
    scene.nothing_was_stored();
}

#[tokio::test]
async fn a_wrong_method() {
    let scene = Scene::set().await;
    for (method, path, allowed) in [
        (Method::POST, "/api/v1/capabilities/new", "PUT,DELETE"),
        (Method::DELETE, "/api/v1/deployments", "GET,HEAD"),
        (Method::GET, "/device/new/capabilities", "POST,PUT"),
    ] {
        let answer = scene.as_new(method, path, capabilities("new").to_string()).await;
        assert_eq!(answer.problem(405, path).problem_type, ProblemType::AboutBlank);
        let mut found: Vec<_> = answer.headers[header::ALLOW].to_str().unwrap().split(',').collect();
        let mut allowed: Vec<_> = allowed.split(',').collect();
        found.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(found, allowed);
    }
    scene.nothing_was_stored();
}

/// X-D-34.
#[tokio::test]
async fn an_oversized_body() {
    let scene = Scene::with_limits(RouterConfig::default().with_max_body(1000)).await;
    let path = "/api/v1/capabilities/new";
    let mut body = capabilities("new");
    body["properties"]["vendor"] = "x".repeat(1000).into();
    let body = body.to_string();
    // Of a known length, and in pieces without one.
    let whole = Body::from(body.clone());
    let pieces = body.into_bytes().chunks(100).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    for body in [whole, Body::from_stream(pieces)] {
        let problem = scene.as_new(Method::PUT, path, body).await.problem(413, path);
        assert_eq!(problem.detail.as_deref(), Some("a body may have 1000 bytes"));
    }
    scene.nothing_was_stored();
}

/// X-D-36: what is not JSON, or no object, is malformed.
#[tokio::test]
async fn truncated_json() {
    let scene = Scene::set().await;
    let deployment = &scene.new_deployment;
    let status_path = format!("/api/v1/deployments/{deployment}/status");
    for (path, body) in [
        ("/api/v1/capabilities/new", capabilities("new").to_string()),
        (&status_path, status(deployment, 2, "installed").to_string()),
    ] {
        let method = if path.ends_with("status") { Method::POST } else { Method::PUT };
        for body in [&body[..body.len() / 2], "", "[]", "\u{feff}x"] {
            let answer = scene.as_new(method.clone(), path, body.to_owned()).await;
            assert_eq!(answer.problem(400, path).problem_type, ProblemType::InvalidRequest, "{body}");
        }
    }
    let old = format!("/device/old/deployment/{}/status", scene.old_deployment);
    scene.as_old(Method::POST, &old, "{").await.problem(400, &old);
    scene.nothing_was_stored();
}

/// A body that ends before it is complete is not taken for a complete one.
#[tokio::test]
async fn a_broken_connection() {
    let scene = Scene::set().await;
    let path = "/api/v1/capabilities/new";
    let pieces = [Ok(Bytes::from(capabilities("new").to_string())), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    scene.as_new(Method::PUT, path, body).await.problem(400, path);
    scene.nothing_was_stored();
}

/// R-D-040, X-D-36: what can be read and is wrong says where.
#[tokio::test]
async fn wrong_types() {
    let scene = Scene::set().await;
    let path = "/api/v1/capabilities/new";
    let mut body = capabilities("new");
    body["properties"]["cpus"] = "four".into();
    let answer = scene.as_new(Method::PUT, path, body.to_string()).await;
    assert_eq!(answer.faults(422, path), ["properties.cpus"]);
    assert_eq!(answer.problem(422, path).problem_type, ProblemType::SemanticError);

    // Every fault that the shape cannot say, at once.
    let mut body = capabilities("new");
    body["properties"]["cpus"][0]["cores"] = 0.into();
    body["properties"]["interfaces"][0]["type"] = "carrier-pigeon".into();
    let answer = scene.as_new(Method::PUT, path, body.to_string()).await;
    assert_eq!(answer.faults(422, path), ["properties.cpus[0].cores", "properties.interfaces[0].type"]);

    let path = format!("/api/v1/deployments/{}/status", scene.new_deployment);
    let mut body = status(&scene.new_deployment, 2, "installed");
    body["adoptedManifestVersion"] = 1.5.into();
    let answer = scene.as_new(Method::POST, &path, body.to_string()).await;
    assert_eq!(answer.faults(422, &path), ["adoptedManifestVersion"]);
    let mut body = status(&scene.new_deployment, 2, "paused");
    body["components"][1]["name"] = "collector".into();
    let answer = scene.as_new(Method::POST, &path, body.to_string()).await;
    let faults = answer.faults(422, &path);
    assert!(faults.len() >= 4, "{faults:?}");

    let path = "/device/old/capabilities";
    let answer = scene.as_old(Method::POST, path, capabilities("old").to_string()).await;
    assert_eq!(answer.status, 422, "another revision's document on this revision's route");
    scene.nothing_was_stored();
}

#[tokio::test]
async fn a_body_that_says_it_is_something_else() {
    let scene = Scene::set().await;
    let path = "/api/v1/capabilities/new";
    let body = capabilities("new").to_string();
    let mut request = request(scene.new.token.reveal(), Method::PUT, path, body);
    request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    scene.plant.send(request).await.problem(415, path);
    scene.nothing_was_stored();
}

/// X-A-21, R-C-004, R-D-020, X-D-27, X-D-44.
#[tokio::test]
async fn an_unknown_device_or_deployment() {
    let scene = Scene::set().await;
    let path = "/device/nobody/capabilities";
    let answer = scene.as_old(Method::POST, path, old_capabilities("nobody").to_string()).await;
    assert_eq!(answer.problem(404, path).problem_type, ProblemType::DeviceNotFound);
    // Devices behind devices are not the pre-draft's.
    let path = "/device/old%2Fchild/capabilities";
    let answer = scene.as_old(Method::PUT, path, old_capabilities("old/child").to_string()).await;
    assert_eq!(answer.problem(404, path).problem_type, ProblemType::DeviceNotFound);

    let path = "/api/v1/capabilities/new/child";
    let answer = scene.as_new(Method::PUT, path, capabilities("new/child").to_string()).await;
    assert_eq!(answer.problem(404, path).problem_type, ProblemType::GatewayNotFound);
    let path = "/api/v1/capabilities/nobody";
    let answer = scene.as_new(Method::DELETE, path, "").await;
    assert_eq!(answer.problem(404, path).problem_type, ProblemType::DeviceNotFound);

    let nothing = "00000000-0000-4000-8000-000000000000";
    let path = format!("/api/v1/deployments/{nothing}/status");
    let answer = scene.as_new(Method::POST, &path, status(nothing, 2, "installed").to_string()).await;
    assert_eq!(answer.problem(404, &path).problem_type, ProblemType::DeploymentNotFound);
    let path = format!("/device/old/deployment/{nothing}/status");
    let answer = scene.as_old(Method::POST, &path, old_status(nothing, "Installed").to_string()).await;
    assert_eq!(answer.problem(404, &path).problem_type, ProblemType::DeploymentNotFound);
    scene.nothing_was_stored();
}

/// R-D-008: what belongs to another client is answered exactly as what does not exist.
#[tokio::test]
async fn a_foreign_devices_token() {
    let scene = Scene::set().await;
    let nothing = "00000000-0000-4000-8000-000000000000";
    let pairs = [
        // As the rc.3 client, about the pre-draft one.
        (Method::POST, "/device/{}/capabilities", "old", "none", old_capabilities as fn(&str) -> _),
        (Method::DELETE, "/api/v1/capabilities/{}", "old", "none", capabilities),
        (Method::POST, "/api/v1/deployments/{}/status", &scene.old_deployment, nothing, |id: &str| {
            status(id, 2, "installed")
        }),
        (Method::POST, "/device/new/deployment/{}/status", &scene.old_deployment, nothing, |id: &str| {
            old_status(id, "Installed")
        }),
        (Method::POST, "/device/old/deployment/{}/status", &scene.old_deployment, nothing, |id: &str| {
            old_status(id, "Installed")
        }),
    ];
    for (method, path, foreign, absent, body) in pairs {
        let mut answers = Vec::new();
        for id in [foreign, absent] {
            let path = path.replace("{}", id);
            let answer = scene.as_new(method.clone(), &path, body(id).to_string()).await;
            let mut problem = answer.problem(404, &path);
            problem.instance = None;
            answers.push(problem);
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
    // The same content under the client's own name is there; under the other's it is not.
    let manifest = scene.plant.manifest(&scene.old.client_id).await;
    let before = scene.plant.snapshot();
    let bundle = manifest.bundle.as_ref().unwrap().digest;
    for path in [manifest.deployments[0].url.clone(), format!("/api/v1/bundles/{bundle}")] {
        assert_eq!(scene.as_old(Method::GET, &path, "").await.status, 200);
        scene.as_new(Method::GET, &path, "").await.problem(404, &path);
    }
    assert_eq!(scene.plant.snapshot(), before);
}

/// R-D-008, R-D-020, MI-007: device ids are each client's own, so another client's id is no intrusion and touches nothing.
#[tokio::test]
async fn a_device_id_that_another_client_uses() {
    let scene = Scene::set().await;
    let path = "/api/v1/capabilities/old";
    let answer = scene.as_new(Method::PUT, path, capabilities("old").to_string()).await;
    assert_eq!(answer.status, 201);
    let devices = scene.plant.manager.list_devices().await.unwrap();
    let named: Vec<_> = devices.iter().filter(|device| device.device_id.as_str() == "old").collect();
    assert_eq!(named.len(), 2);
    let theirs = named.iter().find(|device| device.client_id == scene.old.client_id).unwrap();
    assert!(theirs.capabilities.is_none(), "the other client's device is as it was");
}

/// R-C-001, X-A-21, X-D-36.
#[tokio::test]
async fn a_path_about_something_else_than_the_body() {
    let scene = Scene::set().await;
    let path = "/api/v1/capabilities/new";
    let answer = scene.as_new(Method::PUT, path, capabilities("old").to_string()).await;
    assert_eq!(answer.faults(422, path), ["properties.id"]);
    let path = "/device/old/capabilities";
    let answer = scene.as_old(Method::PUT, path, old_capabilities("new").to_string()).await;
    assert_eq!(answer.faults(422, path), ["properties.id"]);
    let path = format!("/api/v1/deployments/{}/status", scene.new_deployment);
    let body = status(&scene.old_deployment, 2, "installed");
    let answer = scene.as_new(Method::POST, &path, body.to_string()).await;
    assert_eq!(answer.faults(422, &path), ["deploymentId"]);
    let path = format!("/device/old/deployment/{}/status", scene.old_deployment);
    let body = old_status(&scene.new_deployment, "Installed");
    let answer = scene.as_old(Method::POST, &path, body.to_string()).await;
    assert_eq!(answer.faults(422, &path), ["deploymentId"]);
    scene.nothing_was_stored();
}

/// R-C-011: a report about another device than the deployment is for.
#[tokio::test]
async fn a_report_about_another_device() {
    let scene = Scene::set().await;
    let path = format!("/api/v1/deployments/{}/status", scene.new_deployment);
    let mut body = status(&scene.new_deployment, 2, "installed");
    body["deviceId"] = "new/child".into();
    let answer = scene.as_new(Method::POST, &path, body.to_string()).await;
    assert_eq!(answer.faults(422, &path), ["deviceId"]);
    scene.nothing_was_stored();
}

/// R-B-024.
#[tokio::test]
async fn a_digest_of_something_else() {
    let scene = Scene::set().await;
    scene.plant.deploy("pump-monitor", &["new"]).await;
    let manifest = scene.plant.manifest(&scene.new.client_id).await;
    let before = scene.plant.snapshot();
    let [first, second] = [&manifest.deployments[0], &manifest.deployments[1]];
    let bundle = manifest.bundle.as_ref().unwrap().digest;
    let elsewhere = Digest::of(b"something else");
    for path in [
        format!("/api/v1/deployments/{}/{elsewhere}", first.deployment_id),
        format!("/api/v1/deployments/{}/{}", first.deployment_id, second.digest),
        format!("/api/v1/deployments/{}/{bundle}", first.deployment_id),
    ] {
        let problem = scene.as_new(Method::GET, &path, "").await.problem(404, &path);
        assert_eq!(problem.problem_type, ProblemType::DeploymentNotFound);
    }
    for path in [format!("/api/v1/bundles/{elsewhere}"), format!("/api/v1/bundles/{}", first.digest)] {
        let problem = scene.as_new(Method::GET, &path, "").await.problem(404, &path);
        assert_eq!(problem.problem_type, ProblemType::InvalidBundle);
    }
    assert_eq!(scene.plant.snapshot(), before);
}

/// X-B-26, X-B-32, X-D-26: what Margo has no digest of names nothing.
#[tokio::test]
async fn an_unsupported_algorithm() {
    let scene = Scene::set().await;
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let short = format!("sha256:{}", "0".repeat(63));
    let upper = format!("sha256:{}", "A".repeat(64));
    for digest in [&sha512, &short, &upper, "md5:0", "sha256", "..."] {
        let path = format!("/api/v1/deployments/{}/{digest}", scene.new_deployment);
        let problem = scene.as_new(Method::GET, &path, "").await.problem(404, &path);
        assert_eq!(problem.problem_type, ProblemType::DeploymentNotFound);
        let path = format!("/api/v1/bundles/{digest}");
        let problem = scene.as_new(Method::GET, &path, "").await.problem(404, &path);
        assert_eq!(problem.problem_type, ProblemType::InvalidBundle);
    }
    scene.nothing_was_stored();
}

/// X-C-13, X-D-32: a path that navigates names nothing, however it is written.
#[tokio::test]
async fn ids_that_navigate() {
    let scene = Scene::set().await;
    for id in ["..", "%2e%2e", "new/..", "new/%2e%2e/x", ".", "new//x", "new%00", "%2e%2e%2fx"] {
        let path = format!("/api/v1/capabilities/{id}");
        let answer = scene.as_new(Method::PUT, &path, capabilities("new").to_string()).await;
        assert_eq!(answer.faults(422, &path), ["device_id"], "{id}");
        let answer = scene.as_new(Method::DELETE, &path, "").await;
        assert_eq!(answer.problem(404, &path).problem_type, ProblemType::DeviceNotFound, "{id}");
    }
    for id in ["..", "%2e%2e", "%2e%2e%2fx"] {
        let path = format!("/device/{id}/capabilities");
        let answer = scene.as_old(Method::POST, &path, old_capabilities("old").to_string()).await;
        assert_eq!(answer.faults(422, &path), ["device_id"]);
        let path = format!("/api/v1/deployments/{id}/status");
        let answer = scene.as_new(Method::POST, &path, status("x", 2, "installed").to_string()).await;
        assert_eq!(answer.problem(404, &path).problem_type, ProblemType::DeploymentNotFound);
        let path = format!("/api/v1/deployments/{id}/{}", Digest::of(b""));
        let answer = scene.as_new(Method::GET, &path, "").await;
        assert_eq!(answer.problem(404, &path).problem_type, ProblemType::DeploymentNotFound);
    }
    let path = "/api/v1/capabilities/%ff";
    scene.as_new(Method::DELETE, path, "").await.problem(400, path);
    scene.nothing_was_stored();
}

/// R-D-006, R-D-007, X-D-34.
#[tokio::test]
async fn nobody_and_those_who_are_not_served() {
    let scene = Scene::set().await;
    let path = "/api/v1/deployments";
    let anonymous = http::Request::get(path).body(Body::empty()).unwrap();
    let unknown = request("margo_x", Method::GET, path, "");
    // The other token of the same client opens the other door.
    let other_use = request(scene.new.git_token.reveal(), Method::GET, path, "");
    let operators = request(scene.plant.operator.reveal(), Method::GET, path, "");
    for request in [anonymous, unknown, other_use, operators] {
        let answer = scene.plant.send(request).await;
        assert_eq!(answer.problem(401, path).problem_type, ProblemType::AboutBlank);
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    scene.nothing_was_stored();

    scene.plant.manager.retire(&target("new")).await.unwrap();
    let before = scene.plant.snapshot();
    let status_path = format!("/api/v1/deployments/{}/status", scene.new_deployment);
    for (method, path, body) in [
        (Method::GET, path, String::new()),
        (Method::PUT, "/api/v1/capabilities/new", capabilities("new").to_string()),
        (Method::DELETE, "/api/v1/capabilities/new", String::new()),
        (Method::POST, &status_path, status(&scene.new_deployment, 2, "installed").to_string()),
    ] {
        let answer = scene.as_new(method, path, body).await;
        assert_eq!(answer.problem(403, path).problem_type, ProblemType::NotAuthorized);
    }
    assert_eq!(scene.plant.snapshot(), before);
}

/// What somebody sends who is not known is not read, so that however much it is, it keeps no device out.
#[tokio::test]
async fn the_bodies_of_strangers_are_not_read() {
    let limits = RouterConfig::new().with_max_body(1000).with_max_bodies(1000);
    let plant = Plant::with_limits(limits);
    let device = plant.onboard("plc-7", SpecVersion::LATEST).await;
    let path = "/api/v1/capabilities/plc-7";
    let report = capabilities("plc-7").to_string();
    let before = plant.snapshot();
    for token in ["of-a-stranger", device.git_token.reveal(), plant.operator.reveal(), ""] {
        for _ in 0..50 {
            let (body, is_read) = watched(vec![b'x'; 900]);
            plant.send(request(token, Method::PUT, path, body)).await.problem(401, path);
            assert!(!is_read.load(Ordering::SeqCst));
        }
    }
    // Nor is what says of itself that it is too large, whoever sends it.
    let (body, is_read) = watched(vec![b'x'; 1001]);
    let mut large = request(device.token.reveal(), Method::PUT, path, Body::new(Announced(body, 1001)));
    large.headers_mut().insert(header::CONTENT_LENGTH, 1001.into());
    plant.send(large).await.problem(413, path);
    assert!(!is_read.load(Ordering::SeqCst));
    assert_eq!(plant.snapshot(), before);
    assert_eq!(plant.device(&device, Method::PUT, path, report).await.status, 201);
}

/// A body that says how long it is.
struct Announced(Body, u64);

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

/// Known callers can make the manager hold so much and no more, each of them a part of it, and what is refused changes
/// nothing.
#[tokio::test]
async fn bodies_are_held_within_a_budget() {
    let plant = Plant::with_limits(RouterConfig::new().with_max_body(1000).with_max_bodies(2000));
    let mut devices = Vec::new();
    for name in ["plc-7", "plc-8", "plc-9"] {
        devices.push(plant.onboard(name, SpecVersion::LATEST).await);
    }
    let path = |name: &str| format!("/api/v1/capabilities/{name}");
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut unfinished = Vec::new();
    for device in &devices[..2] {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 900]))]);
        let last = futures_util::stream::once(async {
            receiver.await.unwrap();
            Ok(Bytes::from_static(b"x"))
        });
        let body = Body::from_stream(futures_util::StreamExt::chain(first, last));
        let mut slow = Box::pin(plant.device(device, Method::PUT, "/api/v1/capabilities/plc-7", body));
        assert!(slow.as_mut().poll(&mut context).is_pending());
        unfinished.push((slow, sender));

        let report = capabilities("plc-7").to_string();
        let own = plant.device(device, Method::PUT, &path("plc-7"), report).await;
        own.problem(503, &path("plc-7"));
        assert!(own.headers.contains_key("retry-after"));
        let is_left = unfinished.len() == 1;
        let other = capabilities("plc-9").to_string();
        let other = plant.device(&devices[2], Method::PUT, &path("plc-9"), other).await;
        assert_eq!(other.status, if is_left { 201 } else { 503 });
    }
    assert_eq!(plant.device(&devices[2], Method::GET, "/api/v1/deployments", "").await.status, 200);
    for (slow, sender) in unfinished {
        sender.send(()).unwrap();
        slow.await.problem(400, &path("plc-7"));
    }
    for name in ["plc-7", "plc-8"] {
        let devices = plant.manager.list_devices().await.unwrap();
        assert!(
            devices.iter().any(|device| device.device_id.as_str() == name && device.capabilities.is_none())
        );
    }
    let report = capabilities("plc-7").to_string();
    assert_eq!(plant.device(&devices[0], Method::PUT, &path("plc-7"), report).await.status, 201);
}
