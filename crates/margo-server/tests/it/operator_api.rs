//! What operators see over HTTP.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use margo_core::SpecVersion;
use margo_server::{FleetEvent, openapi};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::plant::{PUMP, Plant, capabilities, newer_pump, old_capabilities, request, status};

const DEVICES: &str = "/operator/v1/devices";
const APPLICATIONS: &str = "/operator/v1/applications";
const DEPLOYMENTS: &str = "/operator/v1/deployments";

impl Plant {
    async fn post_yaml(&self, yaml: &str) -> crate::plant::Answer {
        let mut request = request(self.operator.reveal(), Method::POST, APPLICATIONS, yaml.to_owned());
        request.headers_mut().insert(header::CONTENT_TYPE, "application/yaml".parse().unwrap());
        self.send(request).await
    }
}

/// The whole way of one deployment, as the command line walks it.
#[tokio::test]
async fn from_onboarding_to_removal() {
    let plant = Plant::new();
    let answer = plant.operate(Method::POST, DEVICES, json!({ "deviceId": "plc-7", "clientId": "c1" })).await;
    assert_eq!(answer.status, 201);
    let onboarded = answer.json();
    assert_eq!(onboarded["revision"], "1.0.0-rc.3");
    assert_eq!(onboarded["gitUrl"], "/git/c1");
    let token = onboarded["token"].as_str().unwrap();
    let git_token = onboarded["gitToken"].as_str().unwrap();

    let answer = plant.post_yaml(PUMP).await;
    assert_eq!(answer.status, 201);
    let application = answer.json();
    assert_eq!(application["profiles"][0]["components"], json!(["collector", "dashboard"]));
    let parameter = json!({ "name": "site", "value": "ABC", "immutable": true, "dataType": "string" });
    assert_eq!(application["parameters"][1], parameter);
    assert_eq!(plant.post_yaml(PUMP).await.status, 200);
    assert_eq!(plant.post_yaml(&newer_pump()).await.status, 201);

    let body = json!({
        "applicationId": "pump-monitor", "version": "1.0", "targets": ["c1:plc-7"], "values": { "interval": 120 },
    });
    let answer = plant.operate(Method::POST, DEPLOYMENTS, body).await;
    assert_eq!(answer.status, 201);
    let changed = answer.json();
    assert_eq!(changed["warnings"][0]["kind"], "placement", "it has reported nothing yet");
    let deployment = &changed["deployments"][0];
    let id = deployment["deploymentId"].as_str().unwrap().to_owned();
    for (member, expected) in [
        ("clientId", json!("c1")),
        ("device", json!("plc-7")),
        ("applicationVersion", json!("1.0")),
        ("profile", json!("cluster")),
        ("namespace", json!("pump-monitor")),
        ("desired", json!("present")),
        ("state", json!("pending")),
        ("confirmed", json!(false)),
        ("converged", json!(false)),
        ("since", json!(2)),
        ("values", json!({ "interval": 120 })),
        ("adoptedVersion", Value::Null),
    ] {
        assert_eq!(deployment[member], expected, "{member}");
    }

    let select = json!({ "ids": [id] });
    let update = json!({ "select": select, "version": "2.0" });
    let answer = plant.operate(Method::POST, &format!("{DEPLOYMENTS}/update"), update).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["deployments"][0]["since"]), (200, &json!(3)));
    let reconfigure = json!({ "select": { "application": "pump-monitor" }, "values": { "interval": null } });
    let answer = plant.operate(Method::POST, &format!("{DEPLOYMENTS}/reconfigure"), reconfigure).await;
    assert_eq!(answer.json()["deployments"][0]["values"], json!({}));

    let path = format!("/api/v1/deployments/{id}/status");
    let mut report = status(&id, 4, "failed");
    report["components"][0]["error"] = json!({ "code": "E1", "source": "collector", "message": "no image" });
    plant.send(request(token, Method::POST, &path, report.to_string())).await;
    let detail = plant.operate(Method::GET, &format!("{DEPLOYMENTS}/{id}"), Value::Null).await.json();
    assert_eq!(detail["deployment"]["state"], "failed");
    assert_eq!(detail["deployment"]["components"][0]["error"]["message"], "no image");
    assert_eq!(detail["history"][0]["adoptedVersion"], 4);
    assert!(detail["document"].as_str().unwrap().starts_with("id: "));

    for (query, expected) in [
        ("", 1),
        ("?device=plc-7", 1),
        ("?device=c1:plc-7", 1),
        ("?device=other", 0),
        ("?application=pump-monitor&state=failed", 1),
        ("?state=installed", 0),
    ] {
        let answer = plant.operate(Method::GET, &format!("{DEPLOYMENTS}{query}"), Value::Null).await;
        assert_eq!(answer.json()["deployments"].as_array().unwrap().len(), expected, "{query}");
    }

    let answer =
        plant.operate(Method::POST, &format!("{DEPLOYMENTS}/delete"), json!({ "select": select })).await;
    assert_eq!(answer.json()["deployments"][0]["desired"], "absent");
    // Nothing that was told later repeats a secret.
    for path in [DEVICES, APPLICATIONS, DEPLOYMENTS] {
        let text =
            String::from_utf8(plant.operate(Method::GET, path, Value::Null).await.body.to_vec()).unwrap();
        assert!(!text.contains(token) && !text.contains(git_token));
    }
}

#[tokio::test]
async fn devices_show_their_capabilities_in_the_newest_words() {
    let plant = Plant::new();
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    let gateway = plant.onboard("gw", SpecVersion::LATEST).await;
    plant.device(&old, Method::POST, "/device/old/capabilities", old_capabilities("old").to_string()).await;
    for device in ["gw", "gw/plc-7"] {
        let path = format!("/api/v1/capabilities/{device}");
        plant.device(&gateway, Method::PUT, &path, capabilities(device).to_string()).await;
    }
    let devices = plant.operate(Method::GET, DEVICES, Value::Null).await.json();
    let devices = devices["devices"].as_array().unwrap();
    let seen: Vec<_> = devices
        .iter()
        .map(|device| (device["deviceId"].as_str().unwrap(), &device["isRegistered"]))
        .collect();
    assert_eq!(seen, [("gw", &json!(true)), ("gw/plc-7", &json!(false)), ("old", &json!(true))]);
    assert_eq!(devices[0]["capabilities"]["document"], capabilities("gw"));
    let upgraded = &devices[2]["capabilities"];
    assert_eq!(upgraded["revision"], "pre-draft");
    assert_eq!(upgraded["document"]["properties"]["supportedDeploymentTypes"], json!(["compose"]));
    assert!(upgraded["losses"].is_array());
}

#[tokio::test]
async fn clients_are_rotated_and_retired() {
    let plant = Plant::new();
    let old = plant.onboard("plc-7", SpecVersion::LATEST).await;
    let rotated = plant.operate(Method::POST, "/operator/v1/devices/plc-7/rotate", Value::Null).await.json();
    assert_ne!(rotated["token"], old.token.reveal());
    let path = "/operator/v1/devices/client-of-plc-7%3Aplc-7/retire";
    let retired = plant.operate(Method::POST, path, Value::Null).await.json();
    assert!(retired["retiredAt"].is_string());
    let again = plant.operate(Method::DELETE, "/operator/v1/devices/plc-7", Value::Null).await;
    assert_eq!((again.status.as_u16(), &again.json()["retiredAt"]), (200, &retired["retiredAt"]));
    let path = "/operator/v1/devices/plc-7/rotate";
    plant.operate(Method::POST, path, Value::Null).await.problem(409, path);
    for device in ["nobody", "..", "a%2F%2Fb", "%ff"] {
        let path = format!("/operator/v1/devices/{device}");
        plant.operate(Method::DELETE, &path, Value::Null).await.problem(404, &path);
    }
}

/// R-A-039, R-A-040.
#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let plant = Plant::new();
    plant.onboard("plc-7", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let before = plant.snapshot();
    let body = json!({
        "applicationId": "pump-monitor", "targets": ["plc-7", "plc-8"],
        "values": { "interval": 5, "site": "abc", "colour": "red" },
    });
    let answer = plant.operate(Method::POST, DEPLOYMENTS, body).await;
    assert_eq!(
        answer.faults(422, DEPLOYMENTS),
        ["targets[1]", "values.colour", "values.interval", "values.site"]
    );
    let problem = answer.problem(422, DEPLOYMENTS);
    assert_eq!(problem.errors[2].message, "`interval` must be at least 30, and is 5");
    assert_eq!(problem.detail.as_deref(), Some("4 members are wrong"));

    let broken =
        PUMP.replace("components: [collector]", "components: [colector]").replace("value: 60", "value: 6");
    let faults = plant.post_yaml(&broken).await.faults(422, APPLICATIONS);
    assert!(faults.contains(&"parameters.interval.targets[0].components[0]".to_owned()), "{faults:?}");
    assert!(faults.contains(&"parameters.interval.value".to_owned()), "{faults:?}");
    assert_eq!(plant.snapshot(), before);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused() {
    let plant = Plant::new();
    plant.upload(PUMP).await;
    let before = plant.snapshot();
    for (body, status, fault) in [
        ("{", 400, None),
        ("[]", 400, None),
        ("", 400, None),
        ("{}", 422, Some("")),
        (r#"{"deviceId": 7}"#, 422, Some("deviceId")),
        (r#"{"deviceId": "a/../b"}"#, 422, Some("deviceId")),
        (r#"{"deviceId": "a", "revision": "2.0"}"#, 422, Some("revision")),
        (r#"{"deviceId": "a", "devicId": "b"}"#, 422, Some("devicId")),
        (r#"{"deviceId": "a", "deviceId": "b"}"#, 400, None),
    ] {
        let request = request(plant.operator.reveal(), Method::POST, DEVICES, body);
        let answer = plant.send(request).await;
        let errors = answer.faults(status, DEVICES);
        assert_eq!(errors.first().map(String::as_str), fault, "{body}");
    }
    let mut text = request(plant.operator.reveal(), Method::POST, DEVICES, r#"{"deviceId": "a"}"#);
    text.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    plant.send(text).await.problem(415, DEVICES);
    plant.post_yaml("a: [").await.problem(400, APPLICATIONS);
    plant.post_yaml(&PUMP.replace("value: 60", "value: 61")).await.problem(409, APPLICATIONS);

    for query in ["?state=paused", "?device=a//b", "?application=A", "?colour=red"] {
        let path = format!("{DEPLOYMENTS}{query}");
        plant.operate(Method::GET, &path, Value::Null).await.problem(422, DEPLOYMENTS);
    }
    for id in ["nothing", "..", "%ff"] {
        let path = format!("{DEPLOYMENTS}/{id}");
        plant.operate(Method::GET, &path, Value::Null).await.problem(404, &path);
    }
    for path in ["/operator", "/operator/v2/devices", "/operator/v1/devices/a/b/c"] {
        plant.operate(Method::GET, path, Value::Null).await.problem(404, path);
    }
    let answer = plant.operate(Method::PUT, DEVICES, Value::Null).await;
    answer.problem(405, DEVICES);
    assert!(answer.headers.contains_key(header::ALLOW));
    assert_eq!(plant.snapshot(), before);
}

#[tokio::test]
async fn only_the_operator_operates() {
    let plant = Plant::new();
    let device = plant.onboard("plc-7", SpecVersion::LATEST).await;
    let before = plant.snapshot();
    let anonymous = Request::get(DEVICES).body(Body::empty()).unwrap();
    let body = json!({ "deviceId": "plc-8" }).to_string();
    let as_device = request(device.token.reveal(), Method::POST, DEVICES, body.clone());
    let truncated = &plant.operator.reveal()[..plant.operator.reveal().len() - 1];
    let almost = request(truncated, Method::POST, DEVICES, body);
    for request in [anonymous, as_device, almost] {
        let answer = plant.send(request).await;
        answer.problem(401, DEVICES);
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    assert_eq!(plant.snapshot(), before);
}

#[tokio::test]
async fn what_happens_is_streamed() {
    let plant = Plant::new();
    let request = request(plant.operator.reveal(), Method::GET, "/operator/v1/events", "");
    let response = plant.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body();
    let mut next = async || {
        let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(frame.to_vec()).unwrap()
    };
    assert_eq!(next().await, ": ready\n\n");
    plant.onboard("plc-7", SpecVersion::LATEST).await;
    let event = next().await;
    let (name, data) = event.trim_end().split_once('\n').unwrap();
    assert_eq!(name, "event: device-onboarded");
    let data: FleetEvent = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert!(matches!(data, FleetEvent::DeviceOnboarded { device_id, .. } if device_id.as_str() == "plc-7"));
    assert!(next().await.starts_with("event: desired-state-published\n"));
}

/// The document describes what is there: each operation it lists is served, and each one that is served is listed.
#[tokio::test]
async fn the_openapi_document_lists_every_route() {
    let plant = Plant::new();
    let path = "/operator/v1/openapi.json";
    let answer = plant.send(Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200, "without a token");
    let document = answer.json();
    assert_eq!(document, openapi());
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));

    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            listed.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["summary"].is_string(), "{path}");
            let concrete = path.replace("{device}", "nobody").replace("{id}", "nothing");
            let answer = plant.app.clone().oneshot(request(
                plant.operator.reveal(),
                method.to_uppercase().parse().unwrap(),
                &concrete,
                "",
            ));
            let status = answer.await.unwrap().status();
            assert!(status != 405 && (status != 404 || path.contains('{')), "{method} {path}: {status}");
        }
    }
    let served = [
        "POST /operator/v1/devices",
        "GET /operator/v1/devices",
        "DELETE /operator/v1/devices/{device}",
        "POST /operator/v1/devices/{device}/retire",
        "POST /operator/v1/devices/{device}/rotate",
        "POST /operator/v1/devices/{device}/link",
        "POST /operator/v1/devices/{device}/unlink",
        "POST /operator/v1/applications",
        "GET /operator/v1/applications",
        "POST /operator/v1/placements",
        "POST /operator/v1/deployments",
        "GET /operator/v1/deployments",
        "GET /operator/v1/deployments/{id}",
        "POST /operator/v1/deployments/update",
        "POST /operator/v1/deployments/reconfigure",
        "POST /operator/v1/deployments/delete",
        "GET /operator/v1/events",
    ];
    assert_eq!(listed, served.map(str::to_owned).into());

    // Every schema that is referred to is there.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
