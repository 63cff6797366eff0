//! A device that is upgraded stays who it is.

use http::Method;
use margo_api::{Caller, WorkloadFleetManager as _};
use margo_core::{ClientId, SpecVersion};
use margo_deployment::AnyApplicationDeployment;
use margo_identity::KeyLookup as _;
use margo_server::{ClientKeys, LinkRequest, OnboardRequest, OperatorError, Store as _, UnlinkRequest};
use margo_syntax::Limits;
use serde_json::json;

use crate::pki::device_certificate;
use crate::plant::{COMPOSE, PUMP, Plant, capabilities, old_capabilities, old_status, status, target};

async fn pre_draft_with_history(plant: &Plant) -> (margo_server::Onboarded, String) {
    let device = plant.onboard("plc-7", SpecVersion::PreDraft).await;
    let mut cluster = old_capabilities("plc-7");
    cluster["properties"]["roles"] = json!(["Standalone Cluster"]);
    plant.device(&device, Method::POST, "/device/plc-7/capabilities", cluster.to_string()).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["plc-7"]).await.deployments[0].deployment_id.to_string();
    let path = format!("/device/plc-7/deployment/{id}/status");
    let reported = plant.device(&device, Method::POST, &path, old_status(&id, "Installed").to_string()).await;
    assert_eq!(reported.status, 201);
    (device, id)
}

/// Issue "all at once": identity, deployments and history outlive the upgrade.
#[tokio::test]
async fn an_upgraded_device_keeps_its_deployments_and_its_history() {
    let plant = Plant::new();
    let (device, id) = pre_draft_with_history(&plant).await;
    let other = plant.onboard("plc-8", SpecVersion::LATEST).await;
    let link = json!({ "clientId": "plc-7-svid", "revision": "1.0.0-rc.3" });
    let linked = plant.operate(Method::POST, "/operator/v1/devices/plc-7/link", link).await;
    assert_eq!(linked.status, 200, "{:?}", linked.body);
    assert_eq!(linked.json()["deployments"][0]["revision"], "1.0.0-rc.3");

    // Whoever calls by the new id sees what was deployed before, in the new words, and goes on telling.
    let renamed: ClientId = "plc-7-svid".parse().unwrap();
    let caller = Caller::new(renamed.clone());
    let margo_api::Update::Changed(manifest) = plant.manager.desired_state(&caller, None).await.unwrap()
    else {
        panic!("a manifest");
    };
    assert_eq!(manifest.manifest_version.get(), 3);
    let reference = &manifest.deployments[0];
    assert_eq!((reference.deployment_id.as_str(), reference.url.contains("/clients/")), (&*id, false));
    let bytes = plant.manager.deployment(&caller, reference).await.unwrap();
    let document = AnyApplicationDeployment::parse(&bytes, &Limits::default()).unwrap();
    assert_eq!(document.revision(), SpecVersion::V1_0_0Rc3);
    let report = margo_status::AnyDeploymentStatus::decode(
        status(&id, 3, "installed").to_string().into(),
        &Limits::default(),
    );
    let report = margo_api::endpoint::report_deployment_status::Request::new(report.unwrap());
    plant.manager.report_status(&caller, report).await.unwrap();
    let detail = plant.manager.deployment_view(&id.parse().unwrap()).await.unwrap();
    assert_eq!(detail.history.len(), 2);
    assert_eq!(detail.deployment.client_id, device.client_id);
    assert!(detail.deployment.converged);
    assert_eq!(plant.shelf.published.lock().unwrap()[&device.client_id].version.get(), 3);
    assert_eq!(plant.manager.list_devices().await.unwrap().len(), 2);

    // The id is taken, for others and for ever.
    let stolen = LinkRequest::new().with_client(renamed.clone());
    let stolen = plant.manager.link(&target("plc-8"), stolen).await;
    assert!(matches!(stolen, Err(OperatorError::Conflict { .. })), "{stolen:?}");
    let request = OnboardRequest::new("plc-9".parse().unwrap(), SpecVersion::LATEST).with_client(renamed);
    assert!(matches!(plant.manager.onboard(request).await, Err(OperatorError::Conflict { .. })));
    assert_ne!(other.client_id, device.client_id);
}

/// The device was quicker than the operator: it called as a new client first.
#[tokio::test]
async fn a_device_that_called_before_it_was_linked_becomes_one_with_its_past() {
    let plant = Plant::new();
    let (device, id) = pre_draft_with_history(&plant).await;
    let certificate = device_certificate();
    let request = OnboardRequest::new("plc-7-svid".parse().unwrap(), SpecVersion::LATEST)
        .with_client("plc-7-svid".parse().unwrap())
        .with_certificate(certificate.pem.clone());
    let newcomer = plant.manager.onboard(request).await.unwrap();
    let path = "/api/v1/capabilities/plc-7";
    let reported = plant.device(&newcomer, Method::PUT, path, capabilities("plc-7").to_string()).await;
    assert_eq!(reported.status, 201);
    let link = LinkRequest::new().with_client(newcomer.client_id.clone()).with_revision(SpecVersion::LATEST);
    plant.manager.link(&target("plc-7-of-nobody"), link.clone()).await.unwrap_err();
    let changed = plant.manager.link(&target("client-of-plc-7:plc-7"), link).await.unwrap();
    assert_eq!(changed.deployments[0].deployment_id.as_str(), id);
    let clients = plant.store.clients().await.unwrap();
    assert_eq!(clients.len(), 1);
    assert_eq!(
        (&clients[0].client_id, clients[0].certificate.as_deref()),
        (&device.client_id, Some(&certificate.der[..]))
    );
    let devices = plant.manager.list_devices().await.unwrap();
    let known = devices.iter().find(|known| known.device_id.as_str() == "plc-7").unwrap();
    assert_eq!(known.capabilities.as_ref().unwrap().revision, SpecVersion::V1_0_0Rc3, "the newer report");
}

/// What cannot be linked changes nothing.
#[tokio::test]
async fn what_cannot_be_linked_changes_nothing() {
    let plant = Plant::new();
    let device = plant.onboard("plc-7", SpecVersion::LATEST).await;
    let busy = plant.onboard("plc-8", SpecVersion::LATEST).await;
    plant.upload(COMPOSE).await;
    plant.deploy("line-dashboard", &["plc-7", "plc-8"]).await;
    let before = plant.snapshot();
    for (body, status) in [
        (json!({ "revision": "pre-draft" }), 422), // it cannot say where the application is
        (json!({ "clientId": busy.client_id.as_str() }), 409),
        (json!({ "certificate": "MAA=" }), 422),
        (json!({ "revision": "2.0.0" }), 422),
        (json!({ "name": "x" }), 422),
    ] {
        let path = "/operator/v1/devices/plc-7/link";
        plant.operate(Method::POST, path, body).await.problem(status, path);
    }
    let path = "/operator/v1/devices/nothing/link";
    plant.operate(Method::POST, path, json!({})).await.problem(404, path);
    assert_eq!(plant.snapshot(), before);
    plant.manager.retire(&target("plc-7")).await.unwrap();
    let retired = plant.manager.link(&target("plc-7"), LinkRequest::new()).await;
    assert!(matches!(retired, Err(OperatorError::Retired { .. })), "{retired:?}");
    drop(device);
}

/// R-D-019: a retired device that comes back is the same client, with what it had.
#[tokio::test]
async fn a_retired_device_that_is_onboarded_again_is_the_same_client() {
    let plant = Plant::new();
    let (device, id) = pre_draft_with_history(&plant).await;
    plant.manager.retire(&target("plc-7")).await.unwrap();
    let request = OnboardRequest::new("plc-7".parse().unwrap(), SpecVersion::LATEST);
    let other = request.clone().with_client("somebody-else".parse().unwrap());
    let before = plant.snapshot();
    assert!(matches!(plant.manager.onboard(other).await, Err(OperatorError::Conflict { .. })));
    assert_eq!(plant.snapshot(), before);
    let again = plant.manager.onboard(request).await.unwrap();
    assert_eq!((&again.client_id, again.revision), (&device.client_id, SpecVersion::LATEST));
    plant.device(&device, Method::GET, "/api/v1/deployments", "").await.problem(401, "/api/v1/deployments");
    let manifest = plant.device(&again, Method::GET, "/api/v1/deployments", "").await.json();
    assert_eq!(manifest["deployments"][0]["deploymentId"], id);
}

/// What a client signed with when it was older ends with its older secrets, once it has an SVID to speak with; until
/// then, and for a client that signs, it stays.
#[tokio::test]
async fn rotation_ends_the_certificate_of_a_client_that_has_an_svid() {
    let plant = Plant::new();
    let request = OnboardRequest::new("line-3".parse().unwrap(), SpecVersion::V1_0_0Rc2)
        .with_client("line-3".parse().unwrap())
        .with_certificate(device_certificate().pem);
    let client = plant.manager.onboard(request).await.unwrap().client_id;
    let keys = ClientKeys::new(std::sync::Arc::clone(&plant.manager));
    let count = async || keys.keys_of(&client, "line-3").await.unwrap().len();
    let line = target("line-3");
    plant.manager.rotate_tokens(&line).await.unwrap();
    assert_eq!(count().await, 1, "it signs");
    plant.manager.link(&line, LinkRequest::new().with_revision(SpecVersion::V1_0_0Rc3)).await.unwrap();
    assert_eq!(count().await, 1, "the upgrade can be taken back");
    plant.manager.rotate_tokens(&line).await.unwrap();
    assert_eq!(count().await, 0);
}

/// R-D-019: taking a link back gives nothing to anybody. What there is stays with the device, in its old words; who calls
/// by the id is nobody, until an operator says otherwise.
#[tokio::test]
async fn a_link_can_be_taken_back() {
    let plant = Plant::new();
    let (device, id) = pre_draft_with_history(&plant).await;
    let path = "/operator/v1/devices/plc-7/link";
    let link = json!({ "clientId": "plc-7-svid", "revision": "1.0.0-rc.3" });
    assert_eq!(plant.operate(Method::POST, path, link).await.status, 200);
    let devices = plant.operate(Method::GET, "/operator/v1/devices", json!(null)).await.json();
    assert_eq!(devices["devices"][0]["linkedIds"], json!(["plc-7-svid"]));

    // What cannot be taken back changes nothing.
    let before = plant.snapshot();
    let path = "/operator/v1/devices/plc-7/unlink";
    for (body, status) in [
        (json!({ "clientId": "somebody" }), 404),
        (json!({ "clientId": device.client_id.as_str() }), 422),
        (json!({}), 422),
        (json!({ "clientId": "plc-7-svid", "revision": "2.0.0" }), 422),
    ] {
        plant.operate(Method::POST, path, body).await.problem(status, path);
    }
    let nowhere = "/operator/v1/devices/plc-8/unlink";
    plant.operate(Method::POST, nowhere, json!({ "clientId": "plc-7-svid" })).await.problem(404, nowhere);
    assert_eq!(plant.snapshot(), before);

    let back = json!({ "clientId": "plc-7-svid", "revision": "pre-draft" });
    let back = plant.operate(Method::POST, path, back.clone()).await.json();
    assert_eq!(back["deployments"][0]["deploymentId"], id);
    assert_eq!(back["deployments"][0]["revision"], "pre-draft");
    let stranger = Caller::new("plc-7-svid".parse().unwrap());
    plant.manager.desired_state(&stranger, None).await.unwrap_err();
    let detail = plant.manager.deployment_view(&id.parse().unwrap()).await.unwrap();
    assert_eq!((detail.history.len(), &detail.deployment.client_id), (1, &device.client_id));
    assert!(detail.document.contains("kind: ApplicationDeployment"), "{}", detail.document);
    let report = old_status(&id, "Installed").to_string();
    let path = format!("/device/plc-7/deployment/{id}/status");
    assert_eq!(plant.device(&device, Method::POST, &path, report).await.status, 201, "its token is good");

    // Once is enough; and the id is free for whom the operator says.
    let again =
        plant.manager.unlink(&target("plc-7"), UnlinkRequest::new("plc-7-svid".parse().unwrap())).await;
    assert!(matches!(again, Err(OperatorError::NotFound { .. })), "{again:?}");
    plant.onboard("plc-8", SpecVersion::LATEST).await;
    let link = LinkRequest::new().with_client("plc-7-svid".parse().unwrap());
    plant.manager.link(&target("plc-8"), link).await.unwrap();
}
