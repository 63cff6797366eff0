//! Desired state that is visible elsewhere agrees with what is stored; versions never repeat with other content.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use margo_api::{NoPublisher, Publication};
use margo_core::{DeploymentId, ManifestVersion, SpecVersion};
use margo_server::{
    DeleteRequest, Manager, ReconfigureRequest, RecoverError, Selection, Store as _, UpdateRequest,
};
use proptest::prelude::*;
use serde_json::json;

use crate::plant::{PUMP, Plant, deploy, newer_pump, ticking_clock};

fn version(number: u64) -> ManifestVersion {
    ManifestVersion::new(number).unwrap()
}

/// As after a loss of power between the store and the publisher.
#[tokio::test]
async fn what_was_stored_and_not_published_is_published_on_recovery() {
    let plant = Plant::new();
    let client = plant.onboard("new", SpecVersion::LATEST).await.client_id;
    let other = plant.onboard("other", SpecVersion::PreDraft).await.client_id;
    plant.upload(PUMP).await;
    plant.shelf.is_broken.store(true, Ordering::SeqCst);
    // The change itself is done, and a device that asks over REST sees it.
    let id = plant.deploy("pump-monitor", &["new"]).await.deployments[0].deployment_id.clone();
    assert_eq!(plant.manifest(&client).await.manifest_version, version(2));
    assert_eq!(plant.shelf.published.lock().unwrap()[&client].version, version(1));

    plant.shelf.is_broken.store(false, Ordering::SeqCst);
    let restarted = Manager::new(Arc::clone(&plant.store), plant.shelf.clone(), ticking_clock());
    restarted.recover().await.unwrap();
    let published = plant.shelf.published.lock().unwrap().clone();
    let document = plant.documents(&client).await[id.as_str()].clone();
    assert_eq!(published[&client], Publication::new(client.clone(), version(2), vec![(id, document)]));
    assert_eq!(published[&other].version, version(1));
    restarted.recover().await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_published_is_repaired() {
    let plant = Plant::new();
    plant.upload(PUMP).await;
    plant.shelf.is_broken.store(true, Ordering::SeqCst);
    let client = plant.onboard("new", SpecVersion::LATEST).await.client_id;
    plant.deploy("pump-monitor", &["new"]).await;
    assert_eq!(plant.manager.repair().await.unwrap(), 1);
    assert!(plant.shelf.published.lock().unwrap().is_empty());
    plant.shelf.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(plant.manager.repair().await.unwrap(), 0);
    assert_eq!(plant.shelf.published.lock().unwrap()[&client].version, version(2));
}

/// R-B-020: an older copy of the store would give versions away a second time.
#[tokio::test]
async fn a_store_older_than_what_is_published_is_refused() {
    let plant = Plant::new();
    let behind = plant.onboard("a-behind", SpecVersion::LATEST).await.client_id;
    let client = plant.onboard("new", SpecVersion::LATEST).await.client_id;
    plant.upload(PUMP).await;
    plant.shelf.is_broken.store(true, Ordering::SeqCst);
    plant.deploy("pump-monitor", &["a-behind"]).await;
    plant.shelf.is_broken.store(false, Ordering::SeqCst);
    let ahead = Publication::new(client.clone(), version(9), Vec::new());
    plant.shelf.published.lock().unwrap().insert(client, ahead);
    let before = plant.snapshot();
    match plant.manager.recover().await {
        Err(error @ RecoverError::Ahead { .. }) => {
            assert!(error.to_string().contains("version 9, and the store knows 1"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(plant.snapshot(), before);
    assert_eq!(plant.shelf.published.lock().unwrap()[&behind].version, version(1), "nothing is published");
}

/// A manager that serves REST alone has nothing to recover.
#[tokio::test]
async fn publishing_nowhere_is_never_behind() {
    let plant = Plant::new();
    plant.onboard("new", SpecVersion::LATEST).await;
    plant.upload(PUMP).await;
    let alone = Manager::new(Arc::clone(&plant.store), NoPublisher::new(), ticking_clock());
    alone.deploy(&deploy("pump-monitor", &["new"])).await.unwrap();
    alone.recover().await.unwrap();
    assert_eq!(alone.repair().await.unwrap(), 0);
}

/// What an operator may do next.
#[derive(Clone, Debug)]
enum Act {
    Deploy(Vec<usize>),
    Update(usize, bool),
    Reconfigure(usize, Option<i64>),
    Delete(usize),
    DeleteAll,
    Break(bool),
    Repair,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop::collection::vec(0..3_usize, 1..3).prop_map(Act::Deploy),
        2 => (0..8_usize, any::<bool>()).prop_map(|(which, newer)| Act::Update(which, newer)),
        // Some of these are faults, and change nothing.
        4 => (0..8_usize, prop::option::of(0..100_i64)).prop_map(|(which, value)| Act::Reconfigure(which, value)),
        2 => (0..8_usize).prop_map(Act::Delete),
        1 => Just(Act::DeleteAll),
        1 => any::<bool>().prop_map(Act::Break),
        1 => Just(Act::Repair),
    ];
    prop::collection::vec(act, 1..25)
}

const DEVICES: [&str; 3] = ["a", "b", "c"];

async fn perform(plant: &Plant, act: &Act) {
    let known = plant.manager.list_deployments(None, None, None).await.unwrap();
    let pick = |which: usize| -> Option<Selection> {
        let id: &DeploymentId = &known.get(which % known.len().max(1))?.deployment_id;
        Some(Selection::ids([id.clone()]))
    };
    let manager = &plant.manager;
    match act {
        Act::Deploy(devices) => {
            let targets: Vec<_> = devices.iter().map(|index| DEVICES[*index]).collect();
            let _ = manager.deploy(&deploy("pump-monitor", &targets)).await;
        }
        Act::Update(which, newer) => {
            let Some(select) = pick(*which) else { return };
            let _ = manager.update(&UpdateRequest::new(select, if *newer { "2.0" } else { "1.0" })).await;
        }
        Act::Reconfigure(which, value) => {
            let Some(select) = pick(*which) else { return };
            let values = BTreeMap::from([("interval".to_owned(), json!(value))]);
            let _ = manager.reconfigure(&ReconfigureRequest::new(select, values)).await;
        }
        Act::Delete(which) => {
            let Some(select) = pick(*which) else { return };
            manager.delete(&DeleteRequest::new(select)).await.unwrap();
        }
        Act::DeleteAll => {
            manager.delete(&DeleteRequest::new(Selection::all())).await.unwrap();
        }
        Act::Break(is_broken) => plant.shelf.is_broken.store(*is_broken, Ordering::SeqCst),
        Act::Repair => {
            manager.repair().await.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// R-B-020, R-B-030: whatever operators do, a version names its content for ever, versions only grow, by one at
    /// a time, and only when something changes.
    #[test]
    fn a_version_names_its_content_for_ever(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let plant = Plant::new();
            let mut clients = Vec::new();
            for device in DEVICES {
                clients.push(plant.onboard(device, SpecVersion::LATEST).await.client_id);
            }
            plant.upload(&newer_pump()).await;
            plant.upload(PUMP).await;
            let mut seen: BTreeMap<(usize, ManifestVersion), Bytes> = BTreeMap::new();
            for act in &acts {
                let records = plant.store.deployments(None).await.unwrap();
                let before: Vec<_> = versions(&plant, &clients).await;
                perform(&plant, act).await;
                let after: Vec<_> = versions(&plant, &clients).await;
                let is_unchanged = plant.store.deployments(None).await.unwrap() == records;
                for (index, (before, after)) in before.iter().zip(&after).enumerate() {
                    prop_assert!(after == before || Some(*after) == before.next());
                    prop_assert!(!is_unchanged || after == before, "nothing changed but the version");
                    let document = plant.store.manifest(&clients[index]).await.unwrap().unwrap().document;
                    let known = seen.entry((index, *after)).or_insert_with(|| document.clone());
                    prop_assert_eq!(&*known, &document);
                    // What is visible elsewhere is never ahead.
                    let published = plant.shelf.published.lock().unwrap()[&clients[index]].version;
                    prop_assert!(published <= *after);
                }
            }
            plant.shelf.is_broken.store(false, Ordering::SeqCst);
            prop_assert_eq!(plant.manager.repair().await.unwrap(), 0);
            for client in &clients {
                let published = plant.shelf.published.lock().unwrap()[client].clone();
                let published: BTreeMap<_, _> =
                    published.deployments.into_iter().map(|(id, bytes)| (id.to_string(), bytes)).collect();
                prop_assert_eq!(published, plant.documents(client).await);
            }
            Ok(())
        })?;
    }
}

async fn versions(plant: &Plant, clients: &[margo_core::ClientId]) -> Vec<ManifestVersion> {
    let mut versions = Vec::new();
    for client in clients {
        versions.push(plant.store.manifest(client).await.unwrap().unwrap().version);
    }
    versions
}
