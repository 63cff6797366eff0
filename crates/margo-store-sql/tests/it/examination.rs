//! What every store must pass.

use std::cell::RefCell;

use margo_store_sql::SqliteStore;
use tempfile::TempDir;

thread_local! {
    /// The folders of the stores of a test: they go when its thread ends, not when a store is handed over.
    static FOLDERS: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

margo_server::store_examination! {
    async fn fresh() -> SqliteStore {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
        FOLDERS.with_borrow_mut(|folders| folders.push(folder));
        store
    }
}
