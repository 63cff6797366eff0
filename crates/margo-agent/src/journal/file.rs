use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use margo_api::{BoxError, Checkpoint};
use margo_core::{DeploymentId, Document};
use margo_deployment::{ApplicationDeployment, DesiredStateManifest};
use margo_status::DeploymentStatusManifest;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Entry, Journal, JournalError, JournalState, QueuedReport, Record};
use crate::outbox::{OUTBOX_LIMIT, superseded};

/// One row each under the keys below, as JSON.
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
/// Deployment id to [`Record`], as JSON.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Deployment id to the exact bytes of its document.
const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
/// Deployment id to what the bytes mean in the newest revision, as JSON: an older revision is not read twice.
const VIEWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("views");
/// Number to report, as JSON.
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");

const FORMAT: &str = "format";
const ADOPTED: &str = "adopted";
const ATTEMPTED: &str = "attempted";
const MANIFEST: &str = "manifest";
const TOLD: &str = "told";

/// Raised when an older agent could no longer read what a newer one wrote.
const FORMAT_VERSION: u32 = 1;

/// In bytes. The default of the database, 1 GiB, suits servers.
const CACHE: usize = 1 << 20;

/// A journal in one file, which survives a power cut at any moment.
///
/// Every write has reached the disk when it returns. The file belongs to one process at a time. Losing it loses the
/// protection against older manifests and the reports that were not delivered; what runs is seen again, and applied
/// again once.
#[derive(Clone, Debug)]
pub struct RedbJournal {
    database: Arc<Database>,
    limit: usize,
}

impl RedbJournal {
    /// Opens the journal at `path`, or begins one that only its owner can read.
    ///
    /// Reads the whole file once, so that a damaged one is found now. Blocks; call it before the agent runs.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is in use by another process, is damaged, or was written by a newer agent.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let open = || -> Result<Database, BoxError> {
            // Parameters can be secrets, and the database would let everybody read them.
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            let database =
                Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).create(path)?;
            prepare(&database)?;
            Ok(database)
        };
        let database = open().map_err(|cause| JournalError::new("opened", cause))?;
        Ok(Self { database: Arc::new(database), limit: OUTBOX_LIMIT })
    }

    /// The same journal, with room for so many reports before older ones give way.
    #[must_use]
    pub fn with_outbox_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Database) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let database = Arc::clone(&self.database);
        let result = tokio::task::spawn_blocking(move || work(&database)).await;
        result.map_err(BoxError::from).flatten().map_err(|cause| JournalError::new(operation, cause))
    }
}

impl Journal for RedbJournal {
    async fn read(&self) -> Result<JournalState, JournalError> {
        self.blocking("read", read).await
    }

    async fn document(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<Document<ApplicationDeployment>>, JournalError> {
        let id = id.clone();
        self.blocking("read", move |database| document(database, &id)).await
    }

    async fn first_report(&self) -> Result<Option<QueuedReport>, JournalError> {
        self.blocking("read", first_report).await
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        let limit = self.limit;
        self.blocking("written", move |database| {
            let transaction = database.begin_write()?;
            for entry in entries {
                write(&transaction, entry, limit)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }
}

fn prepare(database: &Database) -> Result<(), BoxError> {
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(DOCUMENTS)?;
    transaction.open_table(VIEWS)?;
    transaction.open_table(OUTBOX)?;
    {
        let mut state = transaction.open_table(STATE)?;
        let format =
            state.get(FORMAT)?.map(|json| serde_json::from_slice::<u32>(json.value())).transpose()?;
        match format {
            None => drop(state.insert(FORMAT, &*serde_json::to_vec(&FORMAT_VERSION)?)?),
            Some(FORMAT_VERSION) => {}
            Some(other) => {
                return Err(format!("its format is {other}, and this agent reads {FORMAT_VERSION}").into());
            }
        }
    }
    Ok(transaction.commit()?)
}

fn read(database: &Database) -> Result<JournalState, BoxError> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(STATE)?;
    let mut state = JournalState {
        adopted: row::<Checkpoint>(&table, ADOPTED)?,
        attempted: row::<Checkpoint>(&table, ATTEMPTED)?,
        manifest: row::<DesiredStateManifest>(&table, MANIFEST)?,
        told: row(&table, TOLD)?.unwrap_or_default(),
        ..JournalState::default()
    };
    for row in transaction.open_table(RECORDS)?.iter()? {
        let (id, record) = row?;
        let record: Record = serde_json::from_slice(record.value())?;
        state.deployments.insert(id.value().parse()?, record);
    }
    Ok(state)
}

fn document(
    database: &Database,
    id: &DeploymentId,
) -> Result<Option<Document<ApplicationDeployment>>, BoxError> {
    let transaction = database.begin_read()?;
    let (documents, views) = (transaction.open_table(DOCUMENTS)?, transaction.open_table(VIEWS)?);
    let Some((bytes, view)) = documents.get(id.as_str())?.zip(views.get(id.as_str())?) else {
        return Ok(None);
    };
    let bytes = Bytes::copy_from_slice(bytes.value());
    Ok(Some(Document::decode(bytes, |_| serde_json::from_slice(view.value()))?))
}

fn first_report(database: &Database) -> Result<Option<QueuedReport>, BoxError> {
    let transaction = database.begin_read()?;
    let outbox = transaction.open_table(OUTBOX)?;
    let Some((number, status)) = outbox.first()? else { return Ok(None) };
    Ok(Some(QueuedReport::new(number.value(), serde_json::from_slice(status.value())?)))
}

fn row<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, BoxError> {
    Ok(table.get(key)?.map(|json| serde_json::from_slice(json.value())).transpose()?)
}

fn write(transaction: &WriteTransaction, entry: Entry, limit: usize) -> Result<(), BoxError> {
    match entry {
        Entry::Attempted(checkpoint, manifest) => {
            let mut state = transaction.open_table(STATE)?;
            state.insert(ATTEMPTED, &*serde_json::to_vec(&checkpoint)?)?;
            state.insert(MANIFEST, &*serde_json::to_vec(&manifest)?)?;
        }
        Entry::Adopted(checkpoint) => {
            transaction.open_table(STATE)?.insert(ADOPTED, &*serde_json::to_vec(&checkpoint)?)?;
        }
        Entry::Record(id, record) => {
            transaction.open_table(RECORDS)?.insert(id.as_str(), &*serde_json::to_vec(&record)?)?;
        }
        Entry::Document(document) => {
            let id = document.id.as_str();
            transaction.open_table(DOCUMENTS)?.insert(id, &document.bytes()[..])?;
            transaction.open_table(VIEWS)?.insert(id, &*serde_json::to_vec(document.value())?)?;
        }
        Entry::Forget(id) => {
            transaction.open_table(RECORDS)?.remove(id.as_str())?;
            transaction.open_table(DOCUMENTS)?.remove(id.as_str())?;
            transaction.open_table(VIEWS)?.remove(id.as_str())?;
        }
        Entry::Report(status) => queue(transaction, &status, limit)?,
        Entry::Delivered(number) => {
            transaction.open_table(OUTBOX)?.remove(number)?;
        }
        Entry::Told(devices) => {
            transaction.open_table(STATE)?.insert(TOLD, &*serde_json::to_vec(&devices)?)?;
        }
    }
    Ok(())
}

fn queue(
    transaction: &WriteTransaction,
    status: &DeploymentStatusManifest,
    limit: usize,
) -> Result<(), BoxError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct About {
        deployment_id: DeploymentId,
    }

    let mut outbox = transaction.open_table(OUTBOX)?;
    if outbox.len()? >= limit.try_into()? {
        let mut waiting = Vec::new();
        for row in outbox.iter()? {
            let (number, status) = row?;
            let about: About = serde_json::from_slice(status.value())?;
            waiting.push((number.value(), about.deployment_id));
        }
        let waiting = waiting.iter().map(|(number, id)| (*number, id));
        for number in superseded(waiting, &status.deployment_id, limit) {
            outbox.remove(number)?;
        }
    }
    let number = outbox.last()?.map_or(0, |(last, _)| last.value() + 1);
    outbox.insert(number, &*serde_json::to_vec(status)?)?;
    Ok(())
}
