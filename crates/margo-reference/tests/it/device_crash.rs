//! A device that loses power in the middle of its work. Only a process can be killed.

use std::collections::BTreeSet;

use margo_cli::Selection;
use margo_core::SpecVersion;
use serde_json::json;

use crate::plant::{Device, Files, Plant, Source, object, states};
use crate::program::until;

const STORE: &str = "measurement-store";
const ANALYZER: &str = "pump-analyzer";

/// 1.0.0-rc.3 over REST.
#[tokio::test]
async fn what_was_begun_is_finished_over_rest() {
    power_fails_in_the_middle("line-3", SpecVersion::V1_0_0Rc3, Source::Rest).await;
}

/// The pre-draft over Git.
#[tokio::test]
async fn what_was_begun_is_finished_over_git() {
    power_fails_in_the_middle("press-7", SpecVersion::PreDraft, Source::Git).await;
}

/// R-A-020, R-B-029, R-B-032, R-B-033: killed between the two components of an installation, an update and a
/// removal, the next start finishes each, reports in order, and then leaves alone what is in force.
async fn power_fails_in_the_middle(name: &str, revision: SpecVersion, source: Source) {
    let plant = Plant::start().await;
    let mut device = Device::onboard(&plant, name, revision, source, "delay = \"400ms\"").await;
    device.start();

    // Nothing of what follows touches it.
    let dashboard = plant.upload("line-dashboard-2.3.0").await;
    let bystander = plant.deploy(&dashboard, "helm", json!({}), &[name]).await.remove(0);
    plant.until_converged(&bystander).await;
    let untouched = device.files();

    let id = plant.deploy_pumps(name).await;
    until("one of two components is installed", async || only_the_store(&device.components(&id))).await;
    device.kill();
    device.start();
    plant.until_converged(&id).await;
    let installed = plant.history(&id).await.len();
    assert_in_order(&states(&plant.history(&id).await));
    assert_complete(&device, &id);
    assert_left_alone(&plant, &mut device, &id).await;

    let before = device.files();
    let newer = plant.upload("pump-monitor-1.1.0").await;
    let selection = Selection::ids(vec![id.clone()]);
    plant.operator().update(&selection, &newer.version, &object(json!({ "mode": "eco" }))).await.unwrap();
    until("one of two components is updated", async || only_the_store(&rewritten(&device, &id, &before)))
        .await;
    device.kill();
    device.start();
    plant.until_converged(&id).await;
    let values = std::fs::read_to_string(device.workload(&id).join(ANALYZER).join("values.yaml")).unwrap();
    assert!(values.contains("mode: eco") && values.contains("bearingModel"), "{values}");
    assert_complete(&device, &id);
    assert_in_order(&states(&plant.history(&id).await)[installed..]);
    assert_left_alone(&plant, &mut device, &id).await;

    let updated = plant.history(&id).await.len();
    plant.delete(&id).await;
    until("one of two components is removed", async || only_the_store(&device.components(&id))).await;
    device.kill();
    device.start();
    until("the workload is gone", async || (!device.workload(&id).exists()).then_some(())).await;
    let removed = plant.until_converged(&id).await;
    assert_eq!(removed.state, "removed");
    let history = plant.history(&id).await;
    match states(&history)[updated..] {
        // The pre-draft has no words for a removal.
        [] => assert!(revision == SpecVersion::PreDraft && !removed.confirmed),
        [ref before @ .., last] => {
            assert!(last == "removed" && before.iter().all(|state| *state == "removing"), "{before:?}");
        }
    }
    assert_left_alone(&plant, &mut device, &id).await;

    assert_eq!(device.files(), untouched);
    assert_eq!(states(&plant.history(&bystander).await), ["pending", "installing", "installed"]);
}

fn only_the_store(components: &BTreeSet<String>) -> Option<()> {
    (*components == BTreeSet::from([STORE.to_owned()])).then_some(())
}

/// The components whose files are not those from before.
fn rewritten(device: &Device, id: &str, before: &Files) -> BTreeSet<String> {
    let files = device.files();
    let is_rewritten = |component: &&str| {
        let release = device.workload(id).join(component).join("release.yaml");
        files.get(&release).is_some_and(|now| before.get(&release) != Some(now))
    };
    [STORE, ANALYZER].into_iter().filter(is_rewritten).map(str::to_owned).collect()
}

/// The deployment passes through the states of an installation, each life of the device from the beginning; it is
/// installed once, in the end.
#[track_caller]
fn assert_in_order(states: &[&str]) {
    let (last, before) = states.split_last().unwrap();
    assert_eq!(*last, "installed", "{states:?}");
    assert_eq!(before.first(), Some(&"pending"), "{states:?}");
    assert!(before.iter().all(|state| ["pending", "installing"].contains(state)), "{states:?}");
    let lives = before.iter().zip(&before[1..]).filter(|(a, b)| **a == "installing" && **b == "pending");
    assert_eq!(lives.count(), 1, "{states:?}");
}

/// Both components are from the same revision of the deployment.
#[track_caller]
fn assert_complete(device: &Device, id: &str) {
    let digests = [STORE, ANALYZER].map(|component| {
        let release = device.workload(id).join(component).join("release.yaml");
        let text = std::fs::read_to_string(release).unwrap();
        text.lines().find(|line| line.starts_with("digest:")).unwrap().to_owned()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(device.components(id), BTreeSet::from([STORE, ANALYZER].map(str::to_owned)));
}

/// What is in force is neither written nor reported again, not even after one more power cut.
async fn assert_left_alone(plant: &Plant, device: &mut Device, id: &str) {
    let (files, reports) = (device.files(), plant.history(id).await.len());
    plant.until_polled(device, 2).await;
    device.kill();
    device.start();
    plant.until_polled(device, 3).await;
    assert_eq!(device.files(), files);
    assert_eq!(plant.history(id).await.len(), reports);
}
