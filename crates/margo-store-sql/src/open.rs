use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use margo_api::BoxError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlSafeStr, SqliteConnection};

/// How many reads run at the same time: each holds a thread and a page cache (2 MiB), and ends soon.
const READERS: u32 = 8;

/// How long a transaction waits for one of another process, a backup for example, before it gives up.
const BUSY: Duration = Duration::from_secs(10);

/// What starts a transaction that will write. SQLite's own `BEGIN` takes the lock at the first write only, and
/// refuses there, without waiting, if anybody else wrote since the first read.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// The database in a file: one connection that writes, and some that read.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

impl Pools {
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        let inaccessible = |cause| OpenError::Inaccessible { path: path.to_owned(), cause };
        // SQLite gives names such as `file:` and `:memory:` a meaning of their own; no absolute path has it.
        let file = std::path::absolute(path).map_err(inaccessible)?;
        create(&file).await.map_err(inaccessible)?;

        let options = SqliteConnectOptions::new()
            .filename(&file)
            .synchronous(SqliteSynchronous::Full)
            // Only macOS knows a difference: there, a plain sync leaves data in the cache of the disk.
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON")
            .busy_timeout(BUSY);
        let writer = pool(1)
            .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(|cause| OpenError::NotADatabase { path: path.to_owned(), cause: cause.into() })?;
        migrate(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(found) if found > newest() => {
                OpenError::NewerSchema { path: path.to_owned(), found, known: newest() }
            }
            cause => OpenError::Migration { path: path.to_owned(), cause: cause.into() },
        })?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers })
    }
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be created or opened.
    #[error("`{path}` cannot be opened")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The file is not a SQLite database, or a damaged one.
    #[error("`{path}` cannot be opened as a database")]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: BoxError,
    },
    /// A newer version of this library wrote the file. It was not touched.
    #[error("`{path}` has schema {found}, written by a newer version; this one knows up to {known}")]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The number of the schema that this library does not know.
        found: i64,
        /// The number of the newest schema that it does.
        known: i64,
    },
    /// The schema of the file cannot be brought up to date. It stays as it was.
    #[error("the schema of `{path}` cannot be brought up to date")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: BoxError,
    },
}

/// Creates the file for its owner alone: it holds what the operator deployed. SQLite gives the files beside it
/// (`-wal`, `-shm`) the same mode.
async fn create(file: &Path) -> io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(file).await.map(drop)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file neither grows old nor breaks while it is idle.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Brings the schema up to date in one transaction: completely or not at all, and by one process only.
async fn migrate(writer: &SqlitePool) -> Result<(), MigrateError> {
    let mut transaction = writer.begin_with(BEGIN).await?;
    let connection: &mut SqliteConnection = &mut transaction;
    Migrator::with_migrations(migrations()).run(connection).await?;
    Ok(transaction.commit().await?)
}

fn migrations() -> Vec<Migration> {
    let migration = |number, name: &'static str, sql: &'static str| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    vec![
        migration(1, "initial", include_str!("../migrations/sqlite/0001_initial.sql")),
        migration(2, "identities", include_str!("../migrations/sqlite/0002_identities.sql")),
        migration(
            3,
            "former certificates",
            include_str!("../migrations/sqlite/0003_former_certificates.sql"),
        ),
    ]
}

fn newest() -> i64 {
    migrations().last().map_or(0, |migration| migration.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no test of a process can show: a commit is on the disk when it returns, not only in the kernel.
    #[tokio::test]
    async fn every_commit_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let pools = Pools::open(&folder.path().join("manager.db")).await.unwrap();
        for (pragma, expected) in
            [("PRAGMA journal_mode", "wal"), ("PRAGMA synchronous", "2"), ("PRAGMA foreign_keys", "1")]
        {
            let text: String = match sqlx::query_scalar::<_, String>(pragma).fetch_one(&pools.writer).await {
                Ok(text) => text,
                Err(_) => {
                    sqlx::query_scalar::<_, i64>(pragma).fetch_one(&pools.writer).await.unwrap().to_string()
                }
            };
            assert_eq!(text, expected, "{pragma}");
        }
    }

    /// What an older version wrote is there after its schema has been brought up to date.
    #[tokio::test]
    async fn an_older_file_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manager.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = pool(1).connect_with(options).await.unwrap();
        let mut connection = old.acquire().await.unwrap();
        let first = migrations().into_iter().take(1).collect();
        Migrator::with_migrations(first).run(&mut *connection).await.unwrap();
        let hash = margo_identity::TokenHash::of("x").to_string();
        sqlx::query(
            "INSERT INTO clients (client_id, device_id, revision, token, git_token, onboarded_at)
             VALUES ('plant-7', 'plc-7', 'pre-draft', $1, $1, '2026-01-01T00:00:00Z')",
        )
        .bind(hash)
        .execute(&mut *connection)
        .await
        .unwrap();
        drop(connection);
        old.close().await;

        let store = crate::SqliteStore::open(&path).await.unwrap();
        let client = margo_server::Store::client(&store, &"plant-7".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(
            (client.device_id.as_str(), client.certificate, client.git_token_until),
            ("plc-7", None, None)
        );
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let pools = Pools::open(&folder.path().join("manager.db")).await.unwrap();
        sqlx::query("DELETE FROM clients").execute(&pools.writer).await.unwrap();
        sqlx::query("DELETE FROM clients").execute(&pools.readers).await.unwrap_err();
    }

    /// Migrations are found by their number when a file is opened.
    #[test]
    fn migrations_are_numbered_in_order() {
        let numbers: Vec<i64> = migrations().iter().map(|migration| migration.version).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
}
