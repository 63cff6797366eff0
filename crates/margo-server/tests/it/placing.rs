//! Which devices can host an application, and what becomes of one that none can.

use http::Method;
use margo_core::SpecVersion;
use margo_server::{DeployRequest, OnboardRequest, Onboarded, Selection, Spread, UpdateRequest, WarningKind};
use serde_json::{Value, json};

use crate::plant::{COMPOSE, PUMP, Plant, capabilities, deploy, old_capabilities, target};

const DEPLOYMENTS: &str = "/operator/v1/deployments";
const PLACEMENTS: &str = "/operator/v1/placements";

/// `PUMP` in some version, for devices with so much memory and by one vendor.
fn demanding(version: &str, memory: &str, vendor: &str) -> String {
    let constraints = format!(
        "    id: cluster
    deviceConstraints:
      capacityRequirements: {{ memory: {memory} }}
      eligibilityRules:
        - propertySelector:
            matchExpressions: [{{ key: /vendor, operator: In, values: [{vendor}] }}]
"
    );
    PUMP.replace("version: '1.0'", &format!("version: '{version}'"))
        .replace("    id: cluster\n", &constraints)
}

impl Plant {
    /// A device of the newest revision that says what it has: 8Gi of memory, by Acme.
    async fn reporting(&self, device: &str) -> Onboarded {
        let onboarded = self.onboard(device, SpecVersion::LATEST).await;
        self.says(&onboarded, device, &capabilities(device)).await;
        onboarded
    }

    async fn says(&self, client: &Onboarded, device: &str, capabilities: &Value) {
        let path = format!("/api/v1/capabilities/{device}");
        let answer = self.device(client, Method::PUT, &path, capabilities.to_string()).await;
        assert!(answer.status.is_success(), "{:?}", answer.body);
    }

    async fn spread(&self, application: &str, spread: Spread) -> Vec<String> {
        let request = DeployRequest::spread(application.parse().unwrap(), spread);
        let changed = self.manager.deploy(&request).await.unwrap();
        assert!(changed.warnings.is_empty(), "{:?}", changed.warnings);
        changed.deployments.iter().map(|deployment| deployment.device.to_string()).collect()
    }
}

/// R-D-028: what no device can host is not placeable. The report names each device with its reasons, nothing is placed
/// in its stead, and nothing has changed.
#[tokio::test]
async fn an_application_that_no_device_can_host_is_reported_and_goes_nowhere() {
    let plant = Plant::new();
    plant.upload(&demanding("1.0", "16Gi", "Other")).await;
    let request = |spread: &str| json!({ "applicationId": "pump-monitor", "spread": spread, "values": { "interval": 60 } });
    let problem =
        plant.operate(Method::POST, DEPLOYMENTS, request("anywhere")).await.problem(422, DEPLOYMENTS);
    assert_eq!(problem.detail.as_deref(), Some("`pump-monitor` 1.0 cannot be placed: there is no device"));

    plant.reporting("plc-7").await;
    plant.onboard("silent", SpecVersion::LATEST).await;
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.device(&old, Method::POST, "/device/old/capabilities", old_capabilities("old").to_string()).await;
    let retired = plant.reporting("retired").await;
    plant.manager.retire(&target("retired")).await.unwrap();
    let before = plant.snapshot();
    for spread in ["anywhere", "everywhere"] {
        let answer = plant.operate(Method::POST, DEPLOYMENTS, request(spread)).await;
        let problem = answer.problem(422, DEPLOYMENTS);
        assert_eq!(
            problem.detail.as_deref(),
            Some("`pump-monitor` 1.0 cannot be placed: none of 3 devices fits")
        );
        let told: Vec<_> =
            problem.errors.iter().map(|error| (error.field.as_str(), error.message.as_str())).collect();
        assert_eq!(
            told,
            [
                ("old", "the deployment is of type `helm`, and the device carries out `compose`"),
                ("old", "16Gi of memory are needed, and the device has 7812500Ki"),
                ("old", "the eligibility rule does not match (`/vendor` must be \"Other\", and is \"Acme\")"),
                ("plc-7", "16Gi of memory are needed, and the device has 8Gi"),
                (
                    "plc-7",
                    "the eligibility rule does not match (`/vendor` must be \"Other\", and is \"Acme\")"
                ),
                ("silent", "it has not reported its capabilities"),
            ]
        );
    }
    assert_eq!(plant.snapshot(), before);
    assert!(plant.manager.list_deployments(None, None, None).await.unwrap().is_empty());
    assert!(plant.shelf.published.lock().unwrap().values().all(|published| published.version.get() == 1));
    drop(retired);
}

/// R-D-027, R-D-028: among those that fit, and nowhere else.
#[tokio::test]
async fn devices_are_chosen_among_those_that_fit() {
    let plant = Plant::new();
    for device in ["plc-7", "plc-8"] {
        plant.reporting(device).await;
    }
    let small = plant.onboard("a-small-one", SpecVersion::LATEST).await;
    let mut little = capabilities("a-small-one");
    little["properties"]["memory"] = "1Gi".into();
    plant.says(&small, "a-small-one", &little).await;
    plant.onboard("a-silent-one", SpecVersion::LATEST).await;
    plant.upload(&demanding("1.0", "2Gi", "Acme")).await;

    assert_eq!(plant.spread("pump-monitor", Spread::Anywhere).await, ["plc-7"]);
    assert_eq!(plant.spread("pump-monitor", Spread::Anywhere).await, ["plc-8"], "the one with less to do");
    assert_eq!(plant.spread("pump-monitor", Spread::Everywhere).await, ["plc-7", "plc-8"]);

    // Who is named and is no longer served is told apart from who is not known.
    plant.manager.retire(&target("plc-8")).await.unwrap();
    let body = json!({ "applicationId": "pump-monitor", "targets": ["plc-8", "plc-9"] });
    let problem = plant.operate(Method::POST, DEPLOYMENTS, body).await.problem(422, DEPLOYMENTS);
    let told: Vec<_> = problem.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(told, ["`plc-8` is retired", "no device is `plc-9`"]);

    // Who is both named and chosen, or neither, is not guessed.
    for body in [
        json!({ "applicationId": "pump-monitor" }),
        json!({ "applicationId": "pump-monitor", "targets": [] }),
    ] {
        let answer = plant.operate(Method::POST, DEPLOYMENTS, body).await;
        assert_eq!(answer.faults(422, DEPLOYMENTS), ["targets"]);
    }
    let both = json!({ "applicationId": "pump-monitor", "targets": ["plc-7"], "spread": "anywhere" });
    assert_eq!(plant.operate(Method::POST, DEPLOYMENTS, both).await.faults(422, DEPLOYMENTS), ["spread"]);
}

/// A device may fit and its revision have no words for the application.
#[tokio::test]
async fn what_a_revision_cannot_say_is_a_reason_not_to_choose_its_device() {
    let plant = Plant::new();
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.device(&old, Method::POST, "/device/old/capabilities", old_capabilities("old").to_string()).await;
    plant.upload(COMPOSE).await;
    let request = json!({ "applicationId": "line-dashboard", "spread": "anywhere" });
    let problem = plant.operate(Method::POST, DEPLOYMENTS, request.clone()).await.problem(422, DEPLOYMENTS);
    assert_eq!(problem.errors.len(), 1);
    assert!(problem.errors[0].message.contains("pre-draft"), "{:?}", problem.errors);
    plant.reporting("plc-7").await;
    let changed = plant.operate(Method::POST, DEPLOYMENTS, request).await.json();
    assert_eq!(changed["deployments"][0]["device"], "plc-7");
}

/// R-D-028: naming a device that does not fit is no way around, and takes those that fit with it. A device that has said
/// nothing is the operator's risk, with a warning.
#[tokio::test]
async fn a_named_device_that_does_not_fit_is_refused() {
    let plant = Plant::new();
    plant.reporting("plc-7").await;
    let other = plant.onboard("plc-8", SpecVersion::LATEST).await;
    let mut foreign = capabilities("plc-8");
    foreign["properties"]["vendor"] = "Other".into();
    plant.says(&other, "plc-8", &foreign).await;
    plant.onboard("silent", SpecVersion::LATEST).await;
    plant.upload(&demanding("1.0", "2Gi", "Acme")).await;

    let before = plant.snapshot();
    let body = json!({ "applicationId": "pump-monitor", "targets": ["plc-7", "plc-8"] });
    let problem = plant.operate(Method::POST, DEPLOYMENTS, body).await.problem(422, DEPLOYMENTS);
    let [error] = &problem.errors[..] else { panic!("{:?}", problem.errors) };
    assert_eq!(error.field, "targets[1]");
    assert_eq!(
        error.message,
        "`plc-8` does not fit: the eligibility rule does not match (`/vendor` must be \"Acme\", and is \"Other\")"
    );
    assert_eq!(plant.snapshot(), before);

    let changed = plant.deploy("pump-monitor", &["plc-7", "silent"]).await;
    let [warning] = &changed.warnings[..] else { panic!("{:?}", changed.warnings) };
    assert_eq!((warning.kind, warning.device.as_str()), (WarningKind::Placement, "silent"));
    assert_eq!(warning.reason, "it has not reported its capabilities");
}

/// X-D-07: an amount nobody understands refuses nothing, and the operator is told.
#[tokio::test]
async fn what_cannot_be_judged_is_a_warning() {
    let plant = Plant::new();
    let device = plant.onboard("plc-7", SpecVersion::LATEST).await;
    let mut vague = capabilities("plc-7");
    vague["properties"]["memory"] = "plenty".into();
    plant.says(&device, "plc-7", &vague).await;
    plant.upload(&demanding("1.0", "2Gi", "Acme")).await;
    let changed = plant.deploy("pump-monitor", &["plc-7"]).await;
    let [warning] = &changed.warnings[..] else { panic!("{:?}", changed.warnings) };
    assert_eq!(warning.pointer, "/spec/deploymentProfile/deviceConstraints/capacityRequirements/memory");
}

/// A gateway that chooses needs one device behind it that fits.
#[tokio::test]
async fn behind_a_gateway_one_that_fits_is_enough() {
    let plant = Plant::new();
    let gateway = plant.reporting("gw").await;
    plant.upload(&demanding("1.0", "2Gi", "Acme")).await;
    let any = deploy("pump-monitor", &["gw/*"]);
    let changed = plant.manager.deploy(&any).await.unwrap();
    assert_eq!(changed.warnings[0].reason, "it has not reported its capabilities");

    let mut little = capabilities("gw/plc-1");
    little["properties"]["memory"] = "1Gi".into();
    plant.says(&gateway, "gw/plc-1", &little).await;
    let before = plant.snapshot();
    let body = json!({ "applicationId": "pump-monitor", "targets": ["gw/*"] });
    let problem = plant.operate(Method::POST, DEPLOYMENTS, body).await.problem(422, DEPLOYMENTS);
    assert!(problem.errors[0].message.contains("gw/plc-1: 2Gi of memory"), "{:?}", problem.errors);
    assert_eq!(plant.snapshot(), before);

    plant.says(&gateway, "gw/plc-2", &capabilities("gw/plc-2")).await;
    assert!(plant.manager.deploy(&any).await.unwrap().warnings.is_empty());
}

/// R-D-028 holds for what an update asks for; what runs already may be reconfigured.
#[tokio::test]
async fn an_update_that_needs_more_is_refused() {
    let plant = Plant::new();
    let device = plant.reporting("plc-7").await;
    plant.upload(&demanding("1.0", "2Gi", "Acme")).await;
    plant.upload(&demanding("2.0", "16Gi", "Acme")).await;
    plant.upload(&demanding("3.0", "1Gi", "Acme")).await;
    let mut request = deploy("pump-monitor", &["plc-7"]);
    request.version = Some("1.0".to_owned());
    let id = plant.manager.deploy(&request).await.unwrap().deployments[0].deployment_id.clone();

    let before = plant.snapshot();
    let path = "/operator/v1/deployments/update";
    let body = json!({ "select": { "all": true }, "version": "2.0" });
    let problem = plant.operate(Method::POST, path, body).await.problem(422, path);
    assert_eq!(problem.errors[0].field, "version");
    assert!(problem.errors[0].message.contains("16Gi of memory are needed"), "{:?}", problem.errors);
    assert_eq!(plant.snapshot(), before);

    let mut little = capabilities("plc-7");
    little["properties"]["memory"] = "1Gi".into();
    plant.says(&device, "plc-7", &little).await;
    let path = "/operator/v1/deployments/reconfigure";
    let body = json!({ "select": { "ids": [id] }, "values": { "interval": 90 } });
    assert_eq!(plant.operate(Method::POST, path, body).await.status, 200);
    let request = UpdateRequest::new(Selection::ids([id]), "3.0");
    assert_eq!(plant.manager.update(&request).await.unwrap().deployments[0].application_version, "3.0");
}

/// Asking changes nothing, whether the application is stored or not.
#[tokio::test]
async fn who_can_host_an_application_can_be_asked_before() {
    let plant = Plant::new();
    plant.reporting("plc-7").await;
    plant.onboard("silent", SpecVersion::LATEST).await;
    let twin = OnboardRequest::new("twin".parse().unwrap(), SpecVersion::LATEST);
    plant.manager.onboard(twin).await.unwrap();
    plant.manager.retire(&target("twin")).await.unwrap();
    plant.upload(&demanding("1.0", "16Gi", "Acme")).await;
    let before = plant.snapshot();
    let stored =
        plant.operate(Method::POST, PLACEMENTS, json!({ "applicationId": "pump-monitor" })).await.json();
    assert_eq!((&stored["applicationId"], &stored["version"]), (&json!("pump-monitor"), &json!("1.0")));
    assert_eq!(
        stored["placements"],
        json!([
            {
                "clientId": "client-of-plc-7", "device": "plc-7", "profile": "cluster", "fits": false,
                "refusals": [{
                    "message": "16Gi of memory are needed, and the device has 8Gi",
                    "asked": "/deviceConstraints/capacityRequirements/memory", "offered": "/properties/memory",
                }],
                "warnings": [],
            },
            {
                "clientId": "client-of-silent", "device": "silent", "profile": "cluster", "fits": false,
                "refusals": [{ "message": "it has not reported its capabilities" }], "warnings": [],
            },
        ])
    );
    let described = json!({ "description": demanding("2.0", "2Gi", "Acme"), "profile": "helm" });
    let described = plant.operate(Method::POST, PLACEMENTS, described).await.json();
    assert_eq!((&described["version"], &described["placements"][0]["fits"]), (&json!("2.0"), &json!(true)));

    for (body, status) in [
        (json!({}), 422),
        (json!({ "applicationId": "pump-monitor", "description": PUMP }), 422),
        (json!({ "description": PUMP, "version": "1.0" }), 422),
        (json!({ "applicationId": "nothing" }), 422),
        (json!({ "applicationId": "pump-monitor", "version": "9" }), 422),
        (json!({ "applicationId": "pump-monitor", "profile": "box" }), 422),
        (json!({ "description": "a: [" }), 400),
        (json!({ "description": "apiVersion: v1" }), 422),
    ] {
        plant.operate(Method::POST, PLACEMENTS, body).await.problem(status, PLACEMENTS);
    }
    assert_eq!(plant.snapshot(), before);
}
