//! What operators do, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use margo_api::{Caller, Update, WorkloadFleetManager as _};
use margo_core::{DeploymentId, ManifestVersion, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, ApplicationDeployment, pre_draft};
use margo_server::{
    CapabilitiesRecord, Changed, DeleteRequest, DeploymentView, Desired, FleetEvent, OnboardRequest,
    Onboarded, OperatorError, ReconfigureRequest, Selection, Store as _, UpdateRequest, WarningKind,
};
use margo_syntax::Limits;
use serde_json::{Value, json};

use crate::plant::{
    COMPOSE, PUMP, Plant, capabilities, constrained_pump, deploy, newer_pump, old_status, status, target,
};

fn faults(result: Result<Changed, OperatorError>) -> Vec<String> {
    match result {
        Err(OperatorError::Invalid { errors }) => errors.into_iter().map(|error| error.field).collect(),
        other => panic!("{other:?}"),
    }
}

fn values(values: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(values).unwrap()
}

/// The values in force in an rc.3 document.
async fn effective(plant: &Plant, client: &Onboarded, id: &DeploymentId) -> BTreeMap<String, Value> {
    let documents = plant.documents(&client.client_id).await;
    let document = ApplicationDeployment::parse(&documents[id.as_str()], &Limits::default()).unwrap();
    document.spec.parameters.into_iter().map(|(name, parameter)| (name, parameter.value)).collect()
}

/// R-B-006, R-B-020, R-B-021.
#[tokio::test]
async fn onboarding_hands_over_secrets_once() {
    let plant = Plant::new();
    let request = OnboardRequest::new("plc-7".parse().unwrap(), SpecVersion::LATEST);
    let onboarded = plant.manager.onboard(request.clone()).await.unwrap();
    assert!(uuid::Uuid::parse_str(onboarded.client_id.as_str()).is_ok());
    assert_eq!(plant.manifest(&onboarded.client_id).await.manifest_version, ManifestVersion::FIRST);
    assert_eq!(plant.shelf.published.lock().unwrap()[&onboarded.client_id].version, ManifestVersion::FIRST);
    for secret in [onboarded.token.reveal(), onboarded.git_token.reveal()] {
        assert!(!plant.snapshot().contains(secret));
        assert!(!format!("{onboarded:?}").contains(secret));
    }
    let before = plant.snapshot();
    let again = plant.manager.onboard(request).await;
    assert!(matches!(again, Err(OperatorError::Conflict { .. })), "{again:?}");
    let behind = OnboardRequest::new("gw/plc".parse().unwrap(), SpecVersion::LATEST);
    let no_certificate = OnboardRequest::new("plc-8".parse().unwrap(), SpecVersion::V1_0_0Rc1);
    for refused in [behind, no_certificate.with_certificate("MAA=")] {
        let refused = plant.manager.onboard(refused).await;
        assert!(matches!(refused, Err(OperatorError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(plant.snapshot(), before);
}

#[tokio::test]
async fn rotated_tokens_take_the_place_of_the_old_ones() {
    let plant = Plant::new();
    let old = plant.onboard("new", SpecVersion::LATEST).await;
    let rotated = plant.manager.rotate_tokens(&target("client-of-new:new")).await.unwrap();
    assert_eq!(rotated.client_id, old.client_id);
    plant.device(&old, Method::GET, "/api/v1/deployments", "").await.problem(401, "/api/v1/deployments");
    assert_eq!(plant.device(&rotated, Method::GET, "/api/v1/deployments", "").await.status, 200);

    plant.manager.retire(&target("new")).await.unwrap();
    let retired = plant.manager.rotate_tokens(&target("new")).await;
    assert!(matches!(retired, Err(OperatorError::Retired { .. })), "{retired:?}");
    for unknown in ["other:new", "nobody"] {
        let unknown = plant.manager.rotate_tokens(&target(unknown)).await;
        assert!(matches!(unknown, Err(OperatorError::NotFound { .. })), "{unknown:?}");
    }
    // Retiring twice is retiring once.
    let first = plant.manager.retire(&target("new")).await.unwrap().retired_at;
    assert_eq!(plant.manager.retire(&target("new")).await.unwrap().retired_at, first);
}

#[tokio::test]
async fn a_version_of_an_application_is_stored_once() {
    let plant = Plant::new();
    plant.upload(PUMP).await;
    plant.upload(PUMP).await;
    plant.upload(&newer_pump()).await;
    let stored = plant.manager.list_applications().await.unwrap();
    let versions: Vec<_> = stored.iter().map(|application| application.version.as_str()).collect();
    assert_eq!(versions, ["1.0", "2.0"]);
    let site = stored[0].parameters.iter().find(|parameter| parameter.name == "site").unwrap();
    assert!(site.immutable);

    let changed = PUMP.replace("value: 60", "value: 61");
    let conflict = plant.manager.upload_application(changed.into()).await;
    assert!(matches!(conflict, Err(OperatorError::Conflict { .. })), "{conflict:?}");
    let broken =
        PUMP.replace("components: [collector]", "components: [colector]").replace("value: 60", "value: 6");
    match plant.manager.upload_application(broken.into()).await {
        Err(OperatorError::Invalid { errors }) => assert!(errors.len() >= 2, "{errors:?}"),
        other => panic!("{other:?}"),
    }
    let malformed = plant.manager.upload_application("a: [".into()).await;
    assert!(matches!(malformed, Err(OperatorError::Malformed { .. })), "{malformed:?}");
}

/// R-A-029, R-D-025, R-B-042, R-C-008.
#[tokio::test]
async fn one_application_is_deployed_to_many_devices_in_their_own_words() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.upload(PUMP).await;
    let mut request = deploy("pump-monitor", &["new", "client-of-old:old"]);
    request.values = values(json!({ "interval": "120", "title": null }));
    request.namespace = Some("plant-1".to_owned());
    let deployed = plant.manager.deploy(&request).await.unwrap().deployments;
    assert_eq!(deployed.len(), 2);

    let document = &plant.documents(&new.client_id).await[deployed[0].deployment_id.as_str()];
    let document = ApplicationDeployment::parse(document, &Limits::default()).unwrap();
    assert_eq!(document.id, deployed[0].deployment_id);
    assert!(uuid::Uuid::parse_str(document.id.as_str()).is_ok());
    assert_eq!(document.metadata.device_id.as_str(), "new");
    assert_eq!(document.metadata.namespace, "plant-1");
    // X-A-30: native types.
    assert_eq!(document.spec.parameters["interval"].value, json!(120));
    assert_eq!(document.spec.parameters["site"].value, json!("ABC"));
    assert!(!document.spec.parameters.contains_key("title"));

    let document = &plant.documents(&old.client_id).await[deployed[1].deployment_id.as_str()];
    let document = pre_draft::ApplicationDeployment::parse(document, &Limits::default()).unwrap();
    assert_eq!(document.metadata.annotations.application_id.as_str(), "pump-monitor");
    assert_eq!(document.spec.deployment_profile.profile_type, pre_draft::ProfileType::HelmV3);

    // What is published elsewhere is what is served.
    for client in [&new, &old] {
        let published = plant.shelf.published.lock().unwrap()[&client.client_id].clone();
        let published: BTreeMap<_, _> =
            published.deployments.into_iter().map(|(id, bytes)| (id.to_string(), bytes)).collect();
        assert_eq!(published, plant.documents(&client.client_id).await);
    }
}

#[tokio::test]
async fn the_version_stored_last_is_the_default() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(&newer_pump()).await;
    plant.upload(PUMP).await;
    assert_eq!(plant.deploy("pump-monitor", &["new"]).await.deployments[0].application_version, "1.0");
}

/// What an older revision can do without is left out and told; what it cannot is refused.
#[tokio::test]
async fn an_older_revision_costs_words() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.onboard("old", SpecVersion::PreDraft).await;
    plant.upload(&constrained_pump()).await;
    let changed = plant.deploy("pump-constrained", &["new", "old"]).await;
    let losses: Vec<_> =
        changed.warnings.iter().filter(|warning| warning.kind == WarningKind::Revision).collect();
    let [loss] = losses[..] else { panic!("{losses:?}") };
    assert_eq!(loss.device.as_str(), "old");
    assert_eq!(loss.pointer, "/spec/deploymentProfile/deviceConstraints");

    plant.upload(COMPOSE).await;
    let before = plant.snapshot();
    let refused = plant.manager.deploy(&deploy("line-dashboard", &["new", "old"])).await;
    let Err(OperatorError::Invalid { errors }) = refused else { panic!("{refused:?}") };
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "targets[1]");
    assert!(errors[0].message.contains("/spec/deploymentProfile/components/0"), "{}", errors[0].message);
    assert_eq!(plant.snapshot(), before, "not to the other one either");
}

/// X-D-38: what rc.3 reads and does not write.
#[tokio::test]
async fn an_archive_at_a_url_is_not_written_for_the_newest_revision() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.onboard("old", SpecVersion::PreDraft).await;
    plant
        .upload(
            "
apiVersion: margo.org/v1-alpha1
kind: application
metadata: { id: hello, name: Hello, version: 1.0, catalog: { organization: [{ name: Acme }] } }
deploymentProfiles:
  - type: docker-compose
    components:
      - { name: hello, properties: { packageLocation: 'https://example.com/hello.tar.gz' } }
",
        )
        .await;
    assert_eq!(faults(plant.manager.deploy(&deploy("hello", &["old", "new"])).await), ["targets[1]"]);
    plant.deploy("hello", &["old"]).await;
}

/// R-A-039, R-A-040: everything that is wrong, at once, and nothing is written.
#[tokio::test]
async fn every_fault_of_every_target_is_told_at_once() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let before = plant.snapshot();
    let mut request = deploy("pump-monitor", &["new", "nobody", "new", "new/*", "other:new"]);
    request.values = values(json!({
        "interval": 5, "site": "abc", "title": "much too long", "colour": "red", "size": null,
    }));
    request.namespace = Some("Not A Label".to_owned());
    let found = faults(plant.manager.deploy(&request).await);
    // `new/*` is a target of its own: the gateway chooses.
    for field in [
        "targets[1]",
        "targets[2]",
        "targets[4]",
        "namespace",
        "values.interval",
        "values.site",
        "values.title",
        "values.colour",
        "values.size",
    ] {
        assert!(found.iter().any(|found| found == field), "{field} in {found:?}");
    }
    assert_eq!(found.len(), 9, "{found:?}");

    let mut request = deploy("pump-monitor", &[]);
    request.version = Some("7".to_owned());
    assert_eq!(faults(plant.manager.deploy(&request).await), ["version", "targets"]);
    let mut request = deploy("pump-monitor", &["new"]);
    request.profile = Some("nothing".to_owned());
    assert_eq!(faults(plant.manager.deploy(&request).await), ["profile"]);
    assert_eq!(faults(plant.manager.deploy(&deploy("nothing", &["new"])).await), ["applicationId"]);
    assert_eq!(plant.snapshot(), before);
}

/// R-D-008: two clients may have devices of one name.
#[tokio::test]
async fn an_ambiguous_name_is_told_with_its_candidates() {
    let plant = Plant::new();
    for device in ["a", "b"] {
        let client = plant.onboard(device, SpecVersion::LATEST).await.client_id;
        let record = CapabilitiesRecord::new(
            client,
            "shared".parse().unwrap(),
            SpecVersion::LATEST,
            capabilities("shared").to_string().into(),
            jiff::Timestamp::UNIX_EPOCH,
        );
        plant.store.put_capabilities(record).await.unwrap();
    }
    plant.upload(PUMP).await;
    let refused = plant.manager.deploy(&deploy("pump-monitor", &["shared"])).await;
    let Err(OperatorError::Invalid { errors }) = refused else { panic!("{refused:?}") };
    assert_eq!(errors[0].message, "`shared` may be `client-of-a:shared` or `client-of-b:shared`");
    let deployed = plant.deploy("pump-monitor", &["client-of-b:shared"]).await.deployments;
    assert_eq!(deployed[0].client_id.as_str(), "client-of-b");
    let found =
        async |device| plant.manager.list_deployments(Some(&target(device)), None, None).await.unwrap().len();
    assert_eq!((found("shared").await, found("client-of-a:shared").await), (1, 0));
}

/// R-C-008: a gateway that places the workload itself.
#[tokio::test]
async fn a_gateway_may_choose_the_device() {
    let plant = Plant::new();
    let gateway = plant.onboard("gw", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["gw/*"]).await.deployments[0].deployment_id.clone();
    let document = &plant.documents(&gateway.client_id).await[id.as_str()];
    let document = ApplicationDeployment::parse(document, &Limits::default()).unwrap();
    assert_eq!(document.metadata.device_id.as_str(), "gw/*");
    let path = format!("/api/v1/deployments/{id}/status");
    let mut report = status(id.as_str(), 2, "installed");
    report["deviceId"] = "gw/plc-7".into();
    assert_eq!(plant.device(&gateway, Method::POST, &path, report.to_string()).await.status, 201);
    let detail = plant.manager.deployment_view(&id).await.unwrap();
    assert_eq!(detail.history[0].device_id.as_ref().unwrap().as_str(), "gw/plc-7");
    assert!(detail.deployment.converged);
}

/// X-C-10: which child it is about is what the text asks for and the OpenAPI document does not.
#[tokio::test]
async fn a_report_about_a_child_may_leave_out_the_device() {
    let plant = Plant::new();
    let gateway = plant.onboard("gw", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["gw/*"]).await.deployments[0].deployment_id.clone();
    let path = format!("/api/v1/deployments/{id}/status");
    let report = status(id.as_str(), 2, "installed");
    assert_eq!(report.get("deviceId"), None);
    assert_eq!(plant.device(&gateway, Method::POST, &path, report.to_string()).await.status, 201);
}

/// R-D-025, R-B-020.
#[tokio::test]
async fn an_update_keeps_the_id_and_changes_the_digest() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    plant.upload(&newer_pump()).await;
    let mut request = deploy("pump-monitor", &["new", "new/*"]);
    request.version = Some("1.0".to_owned());
    let before = plant.manager.deploy(&request).await.unwrap().deployments;
    let one = Selection::ids([before[0].deployment_id.clone()]);
    let after = plant.manager.update(&UpdateRequest::new(one.clone(), "2.0")).await.unwrap().deployments;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].deployment_id, before[0].deployment_id);
    assert_ne!(after[0].digest, before[0].digest);
    assert_eq!((after[0].application_version.as_str(), after[0].since.get()), ("2.0", 3));
    assert_eq!(effective(&plant, &new, &after[0].deployment_id).await["interval"], json!(90));
    // The other one stays as it was.
    let other = plant.manager.deployment_view(&before[1].deployment_id).await.unwrap().deployment;
    assert_eq!((other.digest, other.since.get()), (before[1].digest, 2));
    assert_eq!(effective(&plant, &new, &before[1].deployment_id).await["interval"], json!(60));

    // Again is nothing new.
    let again = plant.manager.update(&UpdateRequest::new(one.clone(), "2.0")).await.unwrap();
    assert_eq!(again.deployments, after);
    assert_eq!(plant.manifest(&new.client_id).await.manifest_version.get(), 3);
    assert_eq!(faults(plant.manager.update(&UpdateRequest::new(one, "3.0")).await), ["version"]);
}

#[tokio::test]
async fn an_update_must_give_up_what_the_new_version_does_not_have() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let without_title = newer_pump()
        .replace("  title: { targets: [{ pointer: title, components: [dashboard] }] }\n", "")
        .replace("        - { parameter: title, name: Title, schema: words }\n", "");
    let mut request = deploy("pump-monitor", &["new"]);
    request.values = values(json!({ "title": "Hall 1" }));
    let id = plant.manager.deploy(&request).await.unwrap().deployments[0].deployment_id.clone();
    plant.upload(&without_title).await;
    let mut update = UpdateRequest::new(Selection::all(), "2.0");
    assert_eq!(faults(plant.manager.update(&update).await), ["values.title"]);
    update.values = values(json!({ "title": null }));
    plant.manager.update(&update).await.unwrap();
    assert!(!effective(&plant, &new, &id).await.contains_key("title"));
}

/// What is given overrides, `null` goes back to the default, and what is not mentioned stays.
#[tokio::test]
async fn values_are_merged() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let mut request = deploy("pump-monitor", &["new"]);
    request.values = values(json!({ "interval": 120, "title": "Hall 1" }));
    let id = plant.manager.deploy(&request).await.unwrap().deployments[0].deployment_id.clone();
    let reconfigure = async |changes: Value| {
        let request = ReconfigureRequest::new(Selection::ids([id.clone()]), values(changes));
        plant.manager.reconfigure(&request).await
    };
    reconfigure(json!({ "title": "Hall 2" })).await.unwrap();
    let now = effective(&plant, &new, &id).await;
    assert_eq!((&now["interval"], &now["title"]), (&json!(120), &json!("Hall 2")));
    let view = reconfigure(json!({ "interval": null })).await.unwrap().deployments.remove(0);
    assert_eq!(view.values, values(json!({ "title": "Hall 2" })));
    assert_eq!(effective(&plant, &new, &id).await["interval"], json!(60));

    let version = plant.manifest(&new.client_id).await.manifest_version;
    for nothing in [json!({}), json!({ "title": "Hall 2" }), json!({ "interval": null })] {
        reconfigure(nothing).await.unwrap();
    }
    assert_eq!(plant.manifest(&new.client_id).await.manifest_version, version, "nothing changed");
    // A choice that equals the default is a choice: it survives an update to another default.
    reconfigure(json!({ "interval": 60 })).await.unwrap();
    plant.upload(&newer_pump()).await;
    plant.manager.update(&UpdateRequest::new(Selection::all(), "2.0")).await.unwrap();
    assert_eq!(effective(&plant, &new, &id).await["interval"], json!(60));

    let found = faults(reconfigure(json!({ "interval": 1, "colour": null })).await);
    assert_eq!(found, ["values.colour"], "unknown names first");
    assert_eq!(faults(reconfigure(json!({ "interval": 1 })).await), ["values.interval"]);
}

/// R-A-041.
#[tokio::test]
async fn an_immutable_value_stays() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    plant.upload(&newer_pump().replace("value: ABC", "value: XYZ")).await;
    let mut request = deploy("pump-monitor", &["new"]);
    request.version = Some("1.0".to_owned());
    let id = plant.manager.deploy(&request).await.unwrap().deployments[0].deployment_id.clone();
    let reconfigure = async |changes: Value| {
        plant.manager.reconfigure(&ReconfigureRequest::new(Selection::all(), values(changes))).await
    };
    assert_eq!(faults(reconfigure(json!({ "site": "DEF" })).await), ["values.site"]);
    reconfigure(json!({ "site": "ABC" })).await.unwrap();
    // Another default is no reason to change it.
    plant.manager.update(&UpdateRequest::new(Selection::all(), "2.0")).await.unwrap();
    assert_eq!(effective(&plant, &new, &id).await["site"], json!("ABC"));
    assert_eq!(faults(reconfigure(json!({ "site": null })).await), ["values.site"]);
}

#[tokio::test]
async fn deployments_are_selected_in_one_way() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.onboard("other", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    plant.upload(COMPOSE).await;
    plant.deploy("pump-monitor", &["new", "other"]).await;
    let web = plant.deploy("line-dashboard", &["new"]).await.deployments[0].deployment_id.clone();
    let before = plant.snapshot();
    let mut both = Selection::all();
    both.ids.push(web.clone());
    for select in [Selection::default(), both] {
        assert_eq!(faults(plant.manager.delete(&DeleteRequest::new(select)).await), ["select"]);
    }
    let unknown = Selection::ids([web.clone(), "nothing".parse().unwrap(), "nobody".parse().unwrap()]);
    assert_eq!(
        faults(plant.manager.delete(&DeleteRequest::new(unknown)).await),
        ["select.ids[1]", "select.ids[2]"]
    );
    assert_eq!(plant.snapshot(), before);

    let delete = async |select| plant.manager.delete(&DeleteRequest::new(select)).await.unwrap().deployments;
    let mut narrow = Selection::of_application("pump-monitor".parse().unwrap());
    narrow.device = Some(target("new"));
    let deleted = delete(narrow.clone()).await;
    assert_eq!(deleted.len(), 1);
    assert_eq!((deleted[0].device.as_str(), deleted[0].desired), ("new", Desired::Absent));
    assert!(delete(narrow).await.is_empty(), "there is nothing left to select");
    assert_eq!(plant.documents(&new.client_id).await.len(), 1);
    assert_eq!(delete(Selection::all()).await.len(), 2);
    // R-B-021
    assert_eq!(plant.manifest(&new.client_id).await.bundle, None);
    // By its id, what is deleted is found and stays deleted.
    let version = plant.manifest(&new.client_id).await.manifest_version;
    assert_eq!(delete(Selection::ids([web.clone()])).await.len(), 1);
    assert_eq!(plant.manifest(&new.client_id).await.manifest_version, version);
    let update = UpdateRequest::new(Selection::ids([web]), "1.0");
    assert_eq!(faults(plant.manager.update(&update).await), ["select.ids[0]"]);
}

#[tokio::test]
async fn a_retired_client_is_left_alone() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.clone();
    plant.manager.retire(&target("new")).await.unwrap();
    assert_eq!(faults(plant.manager.deploy(&deploy("pump-monitor", &["new"])).await), ["targets[0]"]);
    let change = |select| ReconfigureRequest::new(select, values(json!({ "interval": 99 })));
    assert!(plant.manager.reconfigure(&change(Selection::all())).await.unwrap().deployments.is_empty());
    let by_id = plant.manager.reconfigure(&change(Selection::ids([id]))).await;
    assert_eq!(faults(by_id), ["select.ids[0]"]);
    assert_eq!(
        plant.manager.delete(&DeleteRequest::new(Selection::all())).await.unwrap().deployments.len(),
        1
    );
}

async fn view(plant: &Plant, id: &DeploymentId) -> DeploymentView {
    plant.manager.deployment_view(id).await.unwrap().deployment
}

fn standing(view: &DeploymentView) -> (&str, bool, bool) {
    (view.state.as_str(), view.confirmed, view.converged)
}

/// R-D-026: having fetched is not having adopted.
#[tokio::test]
async fn a_new_device_converges_when_it_says_so() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.clone();
    let path = format!("/api/v1/deployments/{id}/status");
    let report = async |adopted, state| {
        let answer =
            plant.device(&new, Method::POST, &path, status(id.as_str(), adopted, state).to_string()).await;
        assert!(answer.status.is_success());
        view(&plant, &id).await
    };
    let fresh = view(&plant, &id).await;
    assert_eq!(standing(&fresh), ("pending", false, false));
    let components: Vec<_> = fresh.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!((components, fresh.fetched_version), (vec!["collector", "dashboard"], None));

    plant.device(&new, Method::GET, "/api/v1/deployments", "").await;
    let fetched = view(&plant, &id).await;
    assert_eq!((standing(&fetched), fetched.fetched_version.unwrap().get()), (("pending", false, false), 2));
    assert_eq!(standing(&report(2, "installing").await), ("installing", true, false));
    assert_eq!(standing(&report(2, "installed").await), ("installed", true, true));

    let select = Selection::ids([id.clone()]);
    let request = ReconfigureRequest::new(select.clone(), values(json!({ "interval": 120 })));
    plant.manager.reconfigure(&request).await.unwrap();
    // The last word is about the version before.
    assert_eq!(standing(&view(&plant, &id).await), ("installed", true, false));
    assert_eq!(standing(&report(2, "installed").await), ("installed", true, false));
    assert_eq!(standing(&report(3, "installed").await), ("installed", true, true));

    plant.manager.delete(&DeleteRequest::new(select)).await.unwrap();
    assert_eq!(standing(&view(&plant, &id).await), ("installed", true, false));
    assert_eq!(standing(&report(4, "removing").await), ("removing", true, false));
    assert_eq!(standing(&report(4, "removed").await), ("removed", true, true));
    assert_eq!(plant.manager.deployment_view(&id).await.unwrap().history.len(), 6);
}

/// What a device never had, it says nothing about.
#[tokio::test]
async fn what_was_deleted_before_it_was_seen_is_gone_once_the_deletion_is() {
    let plant = Plant::new();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.clone();
    plant.manager.delete(&DeleteRequest::new(Selection::all())).await.unwrap();
    assert_eq!(standing(&view(&plant, &id).await), ("removing", false, false));
    plant.device(&new, Method::GET, "/api/v1/deployments", "").await;
    assert_eq!(standing(&view(&plant, &id).await), ("removed", false, true));
}

/// MI-005, MI-006: the pre-draft has no word for what was adopted, nor for removal.
#[tokio::test]
async fn an_old_device_converges_as_far_as_its_words_reach() {
    let plant = Plant::new();
    let old = plant.onboard("old", SpecVersion::PreDraft).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["old"]).await.deployments[0].deployment_id.clone();
    let path = format!("/device/old/deployment/{id}/status");
    let report = async |state| {
        let answer =
            plant.device(&old, Method::POST, &path, old_status(id.as_str(), state).to_string()).await;
        assert_eq!(answer.status, 201);
        view(&plant, &id).await
    };
    let fetch = async |version| {
        let version = ManifestVersion::new(version).unwrap();
        plant.manager.note_fetched(&old.client_id, version).await.unwrap();
        view(&plant, &id).await
    };
    assert_eq!(standing(&fetch(2).await), ("pending", false, false));
    assert_eq!(standing(&report("Installed").await), ("installed", true, true));

    let request = ReconfigureRequest::new(Selection::all(), values(json!({ "interval": 120 })));
    plant.manager.reconfigure(&request).await.unwrap();
    assert_eq!(standing(&view(&plant, &id).await), ("installed", true, false));
    assert_eq!(standing(&fetch(3).await), ("installed", true, false), "not before it says so again");
    assert_eq!(standing(&report("Installed").await), ("installed", true, true));

    plant.manager.delete(&DeleteRequest::new(Selection::all())).await.unwrap();
    assert_eq!(standing(&view(&plant, &id).await), ("removing", false, false));
    assert_eq!(standing(&fetch(3).await), ("removing", false, false));
    assert_eq!(standing(&fetch(4).await), ("removed", false, true));
    assert_eq!(standing(&report("Failed").await), ("failed", true, false));
}

#[tokio::test]
async fn whoever_watches_is_told() {
    let plant = Plant::new();
    let mut events = plant.manager.subscribe();
    let new = plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.clone();
    plant.device(&new, Method::GET, "/api/v1/deployments", "").await;
    plant.device(&new, Method::GET, "/api/v1/deployments", "").await;
    plant.device(&new, Method::PUT, "/api/v1/capabilities/new", capabilities("new").to_string()).await;
    let path = format!("/api/v1/deployments/{id}/status");
    plant.device(&new, Method::POST, &path, status(id.as_str(), 2, "failed").to_string()).await;
    plant.manager.delete(&DeleteRequest::new(Selection::all())).await.unwrap();
    plant.device(&new, Method::DELETE, "/api/v1/capabilities/new", "").await;
    plant.manager.retire(&target("new")).await.unwrap();
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    let names: Vec<_> = told.iter().map(FleetEvent::name).collect();
    assert_eq!(
        names,
        [
            "device-onboarded",
            "desired-state-published",
            "deployment-changed",
            "desired-state-published",
            "desired-state-fetched",
            "capabilities-reported",
            "status-reported",
            "deployment-changed",
            "desired-state-published",
            "device-removed",
            "device-retired",
        ]
    );
}

/// Operators of two managers on one store, and devices, all at the same time: nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_operators_and_devices_lose_nothing() {
    const OPERATORS: usize = 4;
    const ROUNDS: usize = 5;
    let plant = Arc::new(Plant::new());
    let clients =
        [plant.onboard("a", SpecVersion::LATEST).await, plant.onboard("b", SpecVersion::PreDraft).await];
    plant.upload(PUMP).await;
    let steady = plant.deploy("pump-monitor", &["a"]).await.deployments[0].deployment_id.clone();
    let elsewhere = Arc::new(margo_server::Manager::new(
        Arc::clone(&plant.store),
        plant.shelf.clone(),
        crate::plant::ticking_clock(),
    ));
    let mut tasks = Vec::new();
    for operator in 0..OPERATORS {
        let manager = if operator % 2 == 0 { Arc::clone(&plant.manager) } else { Arc::clone(&elsewhere) };
        tasks.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let targets: &[&str] = if round % 2 == 0 { &["a", "b"] } else { &["b"] };
                // Too many others is an honest answer; asking again is what an operator does.
                while let Err(error) = manager.deploy(&deploy("pump-monitor", targets)).await {
                    assert!(matches!(error, OperatorError::Busy { .. }), "{error:?}");
                }
            }
        }));
    }
    let device = Arc::clone(&plant);
    let client = clients[0].clone();
    tasks.push(tokio::spawn(async move {
        for round in 0..20 {
            let state = if round % 2 == 0 { "installing" } else { "installed" };
            let path = format!("/api/v1/deployments/{steady}/status");
            let body = status(steady.as_str(), 2, state).to_string();
            assert!(device.device(&client, Method::POST, &path, body).await.status.is_success());
            let caller = Caller::new(client.client_id.clone());
            let Update::Changed(manifest) = device.manager.desired_state(&caller, None).await.unwrap() else {
                panic!("nothing was known");
            };
            // Whatever a device is told to fetch is there.
            for reference in &manifest.deployments {
                assert!(device.manager.deployment(&caller, reference).await.is_ok());
            }
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }

    let deployments = plant.manager.list_deployments(None, None, None).await.unwrap();
    let (to_both, to_one) = (ROUNDS.div_ceil(2), ROUNDS / 2);
    assert_eq!(deployments.len(), 1 + OPERATORS * (2 * to_both + to_one));
    for (client, versions) in [(&clients[0], 2 + OPERATORS * to_both), (&clients[1], 1 + OPERATORS * ROUNDS)]
    {
        let manifest = plant.manifest(&client.client_id).await;
        assert_eq!(manifest.manifest_version.get(), versions as u64);
        let listed: BTreeSet<_> = manifest.deployments.iter().map(|one| one.deployment_id.clone()).collect();
        let wanted: BTreeSet<_> = deployments
            .iter()
            .filter(|view| view.client_id == client.client_id)
            .map(|view| view.deployment_id.clone())
            .collect();
        assert_eq!(listed, wanted);
        for bytes in plant.documents(&client.client_id).await.values() {
            AnyApplicationDeployment::parse(bytes, &Limits::default()).unwrap();
        }
        let published = plant.shelf.published.lock().unwrap()[&client.client_id].version;
        assert_eq!(published, manifest.manifest_version);
    }
    let history = plant.manager.deployment_view(&deployments[0].deployment_id).await.unwrap().history;
    assert_eq!(history.len(), 20);
}
