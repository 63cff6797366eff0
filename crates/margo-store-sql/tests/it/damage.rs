//! A row that this crate never wrote is an error with a place, whatever column it stands in.

use std::error::Error as _;

use margo_core::{Digest, ManifestVersion};
use margo_server::{ApplicationRecord, CapabilitiesRecord, Change, ContentKind, Store, StoreError};
use margo_store_sql::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use crate::records::{client, deployment, manifest, status};

/// Every column that means something, with text that does not. (A report of another deployment is only not found.)
const DAMAGE: &[(&str, &str, &str)] = &[
    ("clients", "client_id", "'a b'"),
    ("clients", "device_id", "'a//b'"),
    ("clients", "revision", "'2.0'"),
    ("clients", "token", "'sha256:1234'"),
    ("clients", "git_token", "''"),
    ("clients", "onboarded_at", "'yesterday'"),
    ("clients", "retired_at", "'tomorrow'"),
    ("clients", "fetched", "'00000000000000000000'"),
    ("devices", "client_id", "'a b'"),
    ("devices", "device_id", "'..'"),
    ("devices", "revision", "'2.0'"),
    ("devices", "reported_at", "'yesterday'"),
    ("applications", "application_id", "'A'"),
    ("applications", "stored_at", "'yesterday'"),
    ("manifests", "version", "'99999999999999999999'"),
    ("manifests", "digest", "'md5:00'"),
    ("manifests", "document", "x'00'"),
    ("manifests", "bundle", "x'00'"),
    ("deployments", "deployment_id", "'a/b'"),
    ("deployments", "client_id", "'a b'"),
    ("deployments", "digest", "'sha256:0000000000000000000000000000000000000000000000000000000000000000'"),
    ("deployments", "target", "'*'"),
    ("deployments", "application_id", "''"),
    ("deployments", "since", "'                   1'"),
    ("deployments", "created_at", "'yesterday'"),
    ("deployments", "changed_at", "''"),
    ("deployments", "deleted_at", "'yesterday'"),
    ("deployments", "parameters", "'[1'"),
    ("deployments", "parameters", "'[1]'"),
    ("deployments", "profile", "CAST(x'ff' AS TEXT)"),
    ("reports", "client_id", "'a b'"),
    ("reports", "device_id", "''"),
    ("reports", "revision", "'2.0'"),
    ("reports", "received_at", "'yesterday'"),
];

#[tokio::test]
async fn a_damaged_row_is_named() {
    for (table, column, value) in DAMAGE {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manager.db");
        let store = SqliteStore::open(&path).await.unwrap();
        fill(&store).await;
        read(&store, table).await.unwrap();

        let mut connection = raw(&path).await;
        let update = AssertSqlSafe(format!(
            "UPDATE {table} SET {column} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})"
        ));
        sqlx::raw_sql(update).execute(&mut connection).await.unwrap();

        let error = read(&store, table).await.expect_err(column);
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
        let said = error.source().unwrap().to_string();
        // The digest is what does not match damaged bytes.
        let named = match *column {
            "document" => "digest",
            "bundle" => "bundle_digest",
            column => column,
        };
        assert!(
            said.contains(&format!("`{table}`")) && said.contains(&format!("`{named}`")),
            "{column}: {said}"
        );
        store.close().await;
    }
}

/// A file that was cut or overwritten: an error from whatever is asked, and no panic.
#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let store = SqliteStore::open(&path).await.unwrap();
    fill(&store).await;
    store.close().await;

    let intact = std::fs::read(&path).unwrap();
    let mut damaged = intact.clone();
    damaged[4096..].fill(0xa5);
    std::fs::write(&path, damaged).unwrap();
    let failed = match SqliteStore::open(&path).await {
        Err(_) => true,
        Ok(store) => store.clients().await.is_err(),
    };
    assert!(failed);

    std::fs::write(&path, intact).unwrap();
    assert_eq!(SqliteStore::open(&path).await.unwrap().clients().await.unwrap().len(), 1);
}

async fn fill(store: &SqliteStore) {
    let plant = client("plant-7");
    let [first, second] = [1, 2].map(|number| ManifestVersion::new(number).unwrap());
    store.add_client(plant.clone(), manifest(first)).await.unwrap();
    store
        .put_capabilities(CapabilitiesRecord::new(
            plant.client_id.clone(),
            plant.device_id.clone(),
            plant.revision,
            "{}".into(),
            plant.onboarded_at,
        ))
        .await
        .unwrap();
    store
        .put_application(ApplicationRecord::new(
            "com-acme-app".parse().unwrap(),
            "1.0.0".to_owned(),
            "{}".into(),
            plant.onboarded_at,
        ))
        .await
        .unwrap();
    let hello = deployment("hello", &plant.client_id, second, "{}");
    store
        .publish(vec![Change::new(plant.client_id.clone(), first, manifest(second), vec![hello.clone()])])
        .await
        .unwrap();
    store.put_status(status(&hello.deployment_id, &plant.client_id, "{}")).await.unwrap();
}

/// Reads everything of one kind, the digest of a manifest before the manifest.
async fn read(store: &SqliteStore, table: &str) -> Result<(), StoreError> {
    let plant = client("plant-7").client_id;
    match table {
        "clients" => store.clients().await.map(drop),
        "devices" => store.devices().await.map(drop),
        "applications" => store.applications().await.map(drop),
        "manifests" => {
            store.manifest_digest(&plant).await?;
            store.content(&plant, ContentKind::Bundle, Digest::of(b"bundle 2")).await?;
            store.manifest(&plant).await.map(drop)
        }
        "deployments" => store.deployments(None).await.map(drop),
        _ => store.status_history(&"hello".parse().unwrap()).await.map(drop),
    }
}

/// A connection that minds neither foreign keys nor checks.
async fn raw(path: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .pragma("ignore_check_constraints", "ON")
        .connect()
        .await
        .unwrap()
}
