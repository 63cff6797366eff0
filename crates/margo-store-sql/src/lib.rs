//! The manager's [`Store`](margo_server::Store) on SQLite: one file, nothing to install.
//!
//! What a method answered with `Ok` is on the disk: it survives SIGKILL and, as far as the disk keeps what it was
//! told to keep, loss of power (write-ahead log, `synchronous=FULL`). Every method is one transaction. Writers
//! queue for one connection, so none is ever told that the database is busy; readers have their own and wait for
//! nobody.
//!
//! It refuses three things: a database that a newer version of this crate wrote, a row that says what it never
//! wrote ([`StoreError::Failed`](margo_server::StoreError::Failed) names table and column), and any opinion about
//! documents: they are bytes here.
//!
//! ```
//! use jiff::Timestamp;
//! use margo_core::{ManifestVersion, SpecVersion};
//! use margo_identity::TokenHash;
//! use margo_server::{ClientRecord, ManifestRecord, Store};
//! use margo_store_sql::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let store = SqliteStore::open(&folder.path().join("manager.db")).await?;
//!
//! let client = ClientRecord::new(
//!     "plant-7".parse()?,
//!     "plc-7".parse()?,
//!     SpecVersion::LATEST,
//!     TokenHash::of("for the management interface"),
//!     TokenHash::of("for the Git repository"),
//!     Timestamp::UNIX_EPOCH,
//! );
//! let manifest = ManifestRecord::new(ManifestVersion::FIRST, "{}".into(), None);
//! store.add_client(client.clone(), manifest.clone()).await?;
//!
//! assert_eq!(store.client(&client.client_id).await?, Some(client.clone()));
//! assert_eq!(store.manifest_digest(&client.client_id).await?, Some(manifest.digest));
//! # Ok(())
//! # }
//! ```
//!
//! SQLite itself lets several processes open one file, and this store stays correct then; that only one manager
//! answers for a folder is for the manager to ensure, with a lock of its own.
//!
//! Where to go next: `margo-server` has the trait, the examination every store must pass, and a manager over any
//! store; `migrations/sqlite/` in this crate is the schema.

mod field;
mod open;
mod store;

pub use open::OpenError;
pub use store::SqliteStore;
