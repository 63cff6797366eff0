//! Operators and devices at the same time: nobody is told that the database is busy, and nothing is lost.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use margo_core::{Digest, ManifestVersion};
use margo_server::{Change, Store, StoreError};
use margo_store_sql::SqliteStore;
use tokio::task::JoinSet;

use crate::records::{client, deployment, manifest, status};

const WRITERS: u64 = 8;
const READERS: u64 = 8;
const STEPS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_and_eight_readers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let store = SqliteStore::open(&path).await.unwrap();
    // A second store on the same file stands for a second process.
    let other = SqliteStore::open(&path).await.unwrap();
    let plant = client("plant-7").client_id;
    store.add_client(client("plant-7"), manifest(ManifestVersion::FIRST)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = if writer % 2 == 0 { store.clone() } else { other.clone() };
        let plant = plant.clone();
        writers.spawn(async move {
            for step in 0..STEPS {
                let id = format!("w{writer}-{step}");
                // Read, change, try; somebody else may have been faster (as the manager does it).
                loop {
                    let from = store.manifest(&plant).await.unwrap().unwrap().version;
                    let to = from.next().unwrap();
                    let new = deployment(&id, &plant, to, id.clone());
                    match store.publish(vec![Change::new(plant.clone(), from, manifest(to), vec![new])]).await
                    {
                        Ok(()) => break,
                        Err(StoreError::Stale { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                store.put_status(status(&id.parse().unwrap(), &plant, id.clone())).await.unwrap();
                let seen = store.manifest(&plant).await.unwrap().unwrap().version;
                store.note_fetched(&plant, seen).await.unwrap();
            }
        });
    }

    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let store = if reader % 2 == 0 { store.clone() } else { other.clone() };
        let (plant, done) = (plant.clone(), Arc::clone(&done));
        readers.spawn(async move {
            let mut seen = (ManifestVersion::FIRST, 0);
            while !done.load(Ordering::Relaxed) {
                let current = store.manifest(&plant).await.unwrap().unwrap();
                let deployments = store.deployments(Some(&plant)).await.unwrap();
                assert!(store.manifest_digest(&plant).await.unwrap().is_some());
                // Never back, and never half of a change: each version came with one deployment.
                assert_eq!(current.digest, Digest::of(&manifest(current.version).document));
                assert!(current.version >= seen.0 && deployments.len() >= seen.1);
                assert!(deployments.len() as u64 >= current.version.get() - 1);
                seen = (current.version, deployments.len());
                store.statuses(Some(&plant)).await.unwrap();
            }
        });
    }

    while let Some(result) = writers.join_next().await {
        result.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    while let Some(result) = readers.join_next().await {
        result.unwrap();
    }

    let last = ManifestVersion::new(1 + WRITERS * STEPS).unwrap();
    assert_eq!(store.manifest(&plant).await.unwrap(), Some(manifest(last)));
    assert_eq!(store.client(&plant).await.unwrap().unwrap().fetched, Some(last));
    let wanted: BTreeSet<String> =
        (0..WRITERS).flat_map(|writer| (0..STEPS).map(move |step| format!("w{writer}-{step}"))).collect();
    let deployments = store.deployments(None).await.unwrap();
    assert!(deployments.is_sorted_by(|a, b| a.since < b.since));
    let found: BTreeSet<String> = deployments.iter().map(|found| found.deployment_id.to_string()).collect();
    assert_eq!(found, wanted);
    let statuses = store.statuses(None).await.unwrap();
    let found: BTreeSet<String> = statuses.iter().map(|found| found.deployment_id.to_string()).collect();
    assert_eq!(found, wanted);
}

/// A caller that goes away in the middle leaves nothing half done and nothing locked.
#[tokio::test]
async fn an_abandoned_call_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
    let plant = client("plant-7").client_id;
    store.add_client(client("plant-7"), manifest(ManifestVersion::FIRST)).await.unwrap();

    // Rounds get further and further: from before the first statement to after the commit.
    for steps in (0..30).chain([u32::MAX]) {
        let from = store.manifest(&plant).await.unwrap().unwrap().version;
        let to = from.next().unwrap();
        let new = deployment(&format!("d{steps}"), &plant, to, format!("{to}"));
        let publish = store.publish(vec![Change::new(plant.clone(), from, manifest(to), vec![new])]);
        let finished = abandon_after(steps, publish).await.transpose().unwrap().is_some();

        // The next writer gets through, and sees all of it or nothing.
        store.add_client(client(&format!("other-{steps}")), manifest(ManifestVersion::FIRST)).await.unwrap();
        let current = store.manifest(&plant).await.unwrap().unwrap().version;
        assert_eq!(store.deployments(None).await.unwrap().len() as u64, current.get() - 1);
        assert!(!finished || current == to);
        assert!(finished || steps < u32::MAX);
    }
}

/// The outcome, unless it takes more than this many steps.
async fn abandon_after<T>(steps: u32, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}
