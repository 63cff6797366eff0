//! What is opened, what is refused, and what stays as it was.

use margo_server::Store;
use margo_store_sql::{OpenError, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::records::client;

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    SqliteStore::open(&path).await.unwrap().close().await;

    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (4711, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();

    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 4711, .. }), "{error:?}");
    assert!(error.to_string().contains("schema 4711, written by a newer version"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let text = "not a database, but something somebody wants to keep\n".repeat(100);
    std::fs::write(&path, &text).unwrap();

    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("manager.db"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(&folder.path().join("missing").join("manager.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::Inaccessible { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
}

/// The file holds what the operator deployed and the hashes of tokens.
#[cfg(unix)]
#[tokio::test]
async fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let plant = client("plant-7");
    store.add_client(plant, crate::records::manifest(margo_core::ManifestVersion::FIRST)).await.unwrap();

    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["manager.db", "manager.db-shm", "manager.db-wal"]);

    store.close().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// SQLite's own reading of such a name would be a database in memory.
#[tokio::test]
async fn a_name_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "with spaces & Ümläute %20"] {
        let path = folder.path().join(name);
        SqliteStore::open(&path).await.unwrap().close().await;
        assert!(path.metadata().unwrap().len() > 0, "{name}");
    }
}
