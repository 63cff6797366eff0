//! The smallest manager of one's own works.

#[path = "../../examples/wos_in_memory.rs"]
#[expect(dead_code, reason = "`main` opens a socket")]
mod wos_in_memory;

use axum::body::Body;
use http::{Method, Request, header};
use margo_deployment::{
    ApplicationDeployment, BundleLimits, DesiredStateManifest, read_bundle, verify_bundle,
};
use margo_identity::{PeerAddr, Token};
use margo_syntax::Limits;
use tower::ServiceExt as _;

use crate::plant::{Answer, capabilities, request, status};

async fn call(token: &Token, app: &axum::Router, method: Method, path: &str, body: String) -> Answer {
    let mut request: Request<Body> = request(token.reveal(), method, path, body);
    request.extensions_mut().insert(PeerAddr::new("127.0.0.1:50000".parse().unwrap()));
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn a_device_learns_what_to_run_and_reports() {
    let token = Token::generate().unwrap();
    let app = wos_in_memory::app(&token).unwrap();
    let call = async |method, path: &str, body: String| call(&token, &app, method, path, body).await;

    let body = capabilities("plc-7").to_string();
    assert_eq!(call(Method::PUT, "/api/v1/capabilities/plc-7", body.clone()).await.status, 201);
    assert_eq!(call(Method::PUT, "/api/v1/capabilities/plc-7", body).await.status, 200);

    let answer = call(Method::GET, "/api/v1/deployments", String::new()).await;
    let manifest = DesiredStateManifest::decode(answer.body.clone(), &Limits::default()).unwrap();
    let [reference] = &manifest.deployments[..] else { panic!("{manifest:?}") };
    let bundle = call(Method::GET, &manifest.bundle.as_ref().unwrap().url, String::new()).await.body;
    let content = verify_bundle(read_bundle(&bundle, &BundleLimits::default()).unwrap(), &manifest).unwrap();
    let yaml = call(Method::GET, &reference.url, String::new()).await.body;
    assert_eq!(content[&reference.digest], yaml);
    let deployment = ApplicationDeployment::parse(&yaml, &Limits::default()).unwrap();
    assert_eq!(deployment.id, reference.deployment_id);

    let path = format!("/api/v1/deployments/{}/status", deployment.id);
    let report = status(deployment.id.as_str(), 1, "installed").to_string();
    assert_eq!(call(Method::POST, &path, report).await.status, 201);

    let unknown = "/api/v1/deployments/b4f3/status";
    let answer = call(Method::POST, unknown, status("b4f3", 1, "installed").to_string()).await;
    answer.problem(404, unknown);
    assert_eq!(call(Method::DELETE, "/api/v1/capabilities/plc-7", String::new()).await.status, 204);
    call(Method::DELETE, "/api/v1/capabilities/plc-7", String::new())
        .await
        .problem(404, "/api/v1/capabilities/plc-7");
}

/// The program is short enough to be read standing.
#[test]
fn it_has_sixty_lines_of_code_at_most() {
    let source = include_str!("../../examples/wos_in_memory.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    assert!(source.lines().filter(is_code).count() <= 60);
}

/// A development token is taken from this machine alone.
#[tokio::test]
async fn a_peer_elsewhere_is_refused() {
    let token = Token::generate().unwrap();
    let app = wos_in_memory::app(&token).unwrap();
    let mut request = request(token.reveal(), Method::GET, "/api/v1/deployments", "");
    request.extensions_mut().insert(PeerAddr::new("192.0.2.7:50000".parse().unwrap()));
    request.headers_mut().insert(header::ACCEPT, "*/*".parse().unwrap());
    Answer::of(app.oneshot(request).await.unwrap()).await.problem(403, "/api/v1/deployments");
}
