//! What is read after the file was closed is what was written before.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::Recorded;
use margo_core::{Digest, ManifestVersion, SpecVersion};
use margo_server::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientUpdate, ContentKind, KEPT_MANIFESTS, ManifestRecord,
    Store, StoreError,
};
use margo_store_sql::SqliteStore;
use proptest::prelude::*;
use serde_json::Value;

use crate::records::{client, deployment, manifest, status};

fn version(number: u64) -> ManifestVersion {
    ManifestVersion::new(number).unwrap()
}

#[tokio::test]
async fn everything_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let store = SqliteStore::open(&path).await.unwrap();

    let mut plant = client("plant-7");
    plant.onboarded_at = Timestamp::MIN;
    store.add_client(plant.clone(), ManifestRecord::new(version(1), Bytes::new(), None)).await.unwrap();
    let before = plant.clone();
    plant.retired_at = Some(Timestamp::MAX);
    plant.fetched = Some(version(u64::MAX));
    plant.certificate = Some(Bytes::from_static(b"\0certificate"));
    plant.git_token_until = Some(Timestamp::MIN);
    store.update_client(ClientUpdate::new(before, plant.clone())).await.unwrap();

    let spoken = Timestamp::new(1_763_000_000, 123_456_789).unwrap();
    let capabilities = CapabilitiesRecord::new(
        plant.client_id.clone(),
        plant.device_id.clone(),
        SpecVersion::PreDraft,
        Bytes::from_static(b"\0\xff not text"),
        spoken,
    );
    store.put_capabilities(capabilities.clone()).await.unwrap();

    let application = ApplicationRecord::new(
        "com-acme-app".parse().unwrap(),
        "1.0.0-ß'; DROP TABLE clients; --".to_owned(),
        Bytes::from_static(b"\xfe"),
        spoken,
    );
    store.put_application(application.clone()).await.unwrap();

    let mut hello = deployment("hello", &plant.client_id, version(u64::MAX), Bytes::new());
    hello.values =
        serde_json::from_str(r#"{"a": [0.1, 1e300, 18446744073709551615], "ß": {"n": null}}"#).unwrap();
    hello.changed_at = spoken;
    hello.deleted_at = Some(Timestamp::MAX);
    let bundled = ManifestRecord::new(version(u64::MAX), "{}".into(), Some(Bytes::new()));
    store
        .publish(vec![Change::new(plant.client_id.clone(), version(1), bundled.clone(), vec![hello.clone()])])
        .await
        .unwrap();

    let mut report = status(&hello.deployment_id, &plant.client_id, Bytes::from_static(b"\0"));
    report.device_id = Some("gateway-1/plc-7".parse().unwrap());
    assert_eq!(store.put_status(report.clone()).await.unwrap(), Recorded::Created);
    store.close().await;
    store.clients().await.unwrap_err();

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.clients().await.unwrap(), [plant.clone()]);
    assert_eq!(store.devices().await.unwrap()[0].capabilities, Some(capabilities));
    assert_eq!(store.applications().await.unwrap(), [application]);
    assert_eq!(store.manifest(&plant.client_id).await.unwrap(), Some(bundled));
    assert_eq!(store.deployments(None).await.unwrap(), [hello.clone()]);
    assert_eq!(store.statuses(None).await.unwrap(), [report.clone()]);
    assert_eq!(store.put_status(report).await.unwrap(), Recorded::Updated);
}

/// R-B-020: 9 is less than 10, which text does not know, and 2^63 less than 2^64 - 1, which integers do not.
#[tokio::test]
async fn the_greatest_version_is_the_current_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let plant = client("plant-7");
    let store = SqliteStore::open(&path).await.unwrap();
    store.add_client(plant.clone(), manifest(version(1))).await.unwrap();
    store.close().await;

    let steps = [1, 9, 10, i64::MAX as u64, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    for step in steps.windows(2) {
        let [from, to] = [version(step[0]), version(step[1])];
        let store = SqliteStore::open(&path).await.unwrap();
        let change = Change::new(plant.client_id.clone(), from, manifest(to), Vec::new());
        store.publish(vec![change.clone()]).await.unwrap();
        store.note_fetched(&plant.client_id, to).await.unwrap();
        store.note_fetched(&plant.client_id, from).await.unwrap();
        let error = store.publish(vec![change]).await.unwrap_err();
        assert!(matches!(error, StoreError::Stale { .. }), "{error:?}");
        store.close().await;

        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.manifest(&plant.client_id).await.unwrap(), Some(manifest(to)));
        assert_eq!(store.manifest_digest(&plant.client_id).await.unwrap(), Some(manifest(to).digest));
        assert_eq!(store.client(&plant.client_id).await.unwrap().unwrap().fetched, Some(to));
        store.close().await;
    }
}

/// R-B-020: a lower version would never become the current one.
#[tokio::test]
async fn a_manifest_that_goes_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
    let plant = client("plant-7");
    store.add_client(plant.clone(), manifest(version(5))).await.unwrap();
    for to in [4, 5] {
        let change = Change::new(plant.client_id.clone(), version(5), manifest(version(to)), Vec::new());
        let error = store.publish(vec![change]).await.unwrap_err();
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
    }
    assert_eq!(store.manifest(&plant.client_id).await.unwrap(), Some(manifest(version(5))));
}

/// A record that misnames its bytes could be written and never read again.
#[tokio::test]
async fn a_record_that_misnames_its_bytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
    let plant = client("plant-7");
    store.add_client(plant.clone(), manifest(version(1))).await.unwrap();
    let mut wrong = deployment("hello", &plant.client_id, version(2), "new");
    wrong.digest = Digest::of(b"old");
    let change = Change::new(plant.client_id.clone(), version(1), manifest(version(2)), vec![wrong]);
    let error = store.publish(vec![change]).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
    assert_eq!(store.manifest(&plant.client_id).await.unwrap(), Some(manifest(version(1))));
    assert!(store.deployments(None).await.unwrap().is_empty());
}

/// R-B-024, across a restart: what the last manifests named is served, what only older ones did is gone.
#[tokio::test]
async fn content_outlives_its_manifest_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let plant = client("plant-7");
    let store = SqliteStore::open(&path).await.unwrap();
    store.add_client(plant.clone(), manifest(version(1))).await.unwrap();
    let last = 2 * KEPT_MANIFESTS;
    for number in 1..last {
        let [from, to] = [version(number), version(number + 1)];
        let changed = deployment("hello", &plant.client_id, to, format!("document {to}"));
        store
            .publish(vec![Change::new(plant.client_id.clone(), from, manifest(to), vec![changed])])
            .await
            .unwrap();
    }
    store.close().await;

    let store = SqliteStore::open(&path).await.unwrap();
    for number in 2..=last {
        let kept = number > last - KEPT_MANIFESTS;
        for (kind, bytes) in [
            (ContentKind::Deployment, format!("document {number}")),
            (ContentKind::Bundle, format!("bundle {number}")),
        ] {
            let digest = Digest::of(bytes.as_bytes());
            let found = store.content(&plant.client_id, kind, digest).await.unwrap();
            assert_eq!(found, kept.then(|| Bytes::from(bytes)), "{kind:?} {number}");
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC*\\u{0}?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// An operator's value is the same to the last bit when it is read for the next change.
    #[test]
    fn values_and_times_are_exact(
        values in prop::collection::vec(prop::collection::btree_map("\\PC{0,8}", json(), 0..4), 1..8),
        seconds in Timestamp::MIN.as_second() + 1..Timestamp::MAX.as_second(),
        nanoseconds in 0..1_000_000_000_i32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
            let plant = client("plant-7");
            store.add_client(plant.clone(), manifest(version(1))).await.unwrap();
            let mut wanted = Vec::new();
            for (index, values) in values.into_iter().enumerate() {
                let mut one = deployment(&format!("d{index}"), &plant.client_id, version(2), "");
                one.values = BTreeMap::clone(&values);
                one.created_at = Timestamp::new(seconds, nanoseconds).unwrap();
                wanted.push(one);
            }
            let change = Change::new(plant.client_id.clone(), version(1), manifest(version(2)), wanted.clone());
            store.publish(vec![change]).await.unwrap();
            assert_eq!(store.deployments(Some(&plant.client_id)).await.unwrap(), wanted);
            store.close().await;
        });
    }
}
