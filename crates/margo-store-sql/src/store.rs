use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::Recorded;
use margo_core::{ApplicationId, ClientId, DeploymentId, DeviceId, Digest, ManifestVersion};
use margo_identity::TokenHash;
use margo_server::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ClientUpdate, ContentKind, DeploymentRecord,
    DeviceRecord, KEPT_MANIFESTS, KEPT_REPORTS, KEPT_TOKENS, ManifestRecord, StatusRecord, Store, StoreError,
    TokenRecord, TokenUse,
};
use serde_json::Value;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteTransaction};

use crate::OpenError;
use crate::field::{Fields, version_text};
use crate::open::{BEGIN, Pools};

/// A manager's store in one SQLite file, with `-wal` and `-shm` beside it while it is open.
///
/// Clones share the connections. Needs a Tokio runtime.
#[derive(Clone, Debug)]
pub struct SqliteStore(Pools);

impl SqliteStore {
    /// Opens the store in `path`, creates the file (readable by its owner alone) where there is none, and brings
    /// its schema up to date. The folder must exist.
    ///
    /// What a process left behind that was killed is put in order here.
    ///
    /// # Errors
    ///
    /// [`OpenError::NewerSchema`] when a newer version of this library wrote the file; it is not touched. The
    /// others when the file cannot be created or read, is no database, or cannot be brought up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let store = Pools::open(path).await.map(Self)?;
        tracing::debug!(path = %path.display(), "store opened");
        Ok(store)
    }

    /// Waits for what is under way, moves the write-ahead log into the file and closes it, for all clones.
    ///
    /// Nothing is lost without it. Afterwards every method fails.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }

    async fn begin(&self) -> Result<SqliteTransaction<'static>, StoreError> {
        self.0.writer.begin_with(BEGIN).await.map_err(StoreError::failed)
    }

    async fn read_one<T>(
        &self,
        query: Query,
        read: fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let row = query.fetch_optional(&self.0.readers).await.map_err(StoreError::failed)?;
        row.as_ref().map(read).transpose()
    }

    async fn read_all<T>(
        &self,
        query: Query,
        read: fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = query.fetch_all(&self.0.readers).await.map_err(StoreError::failed)?;
        rows.iter().map(read).collect()
    }
}

impl Store for SqliteStore {
    async fn add_client(&self, client: ClientRecord, manifest: ManifestRecord) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let query = sqlx::query(
            "SELECT client_id FROM clients WHERE client_id = $1 UNION ALL SELECT id FROM links WHERE id = $1",
        );
        if one(&mut transaction, query.bind(client.client_id.as_str())).await?.is_some() {
            return Err(StoreError::Conflict { what: client.client_id.to_string() });
        }
        check_unique(&mut transaction, &client).await?;
        let query = sqlx::query(
            "INSERT INTO clients
                 (client_id, device_id, revision, token, git_token, onboarded_at, retired_at, fetched,
                  git_token_until, certificate_digest, certificate)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        );
        change(&mut transaction, bind_client(query, &client)).await?;
        note_certificate(&mut transaction, None, &client).await?;
        let query = sqlx::query("INSERT INTO devices (client_id, device_id) VALUES ($1, $2)")
            .bind(client.client_id.as_str())
            .bind(client.device_id.as_str());
        change(&mut transaction, query).await?;
        insert_manifest(&mut transaction, &client.client_id, &manifest).await?;
        commit(transaction).await
    }

    async fn client(&self, client: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
        self.read_one(sqlx::query(CLIENT).bind(client.as_str()), read_client).await
    }

    async fn client_by_token(
        &self,
        token_use: TokenUse,
        hash: &TokenHash,
    ) -> Result<Option<ClientRecord>, StoreError> {
        let sql = match token_use {
            TokenUse::Management => "SELECT * FROM clients WHERE token = $1 ORDER BY client_id LIMIT 1",
            TokenUse::Git => "SELECT * FROM clients WHERE git_token = $1 ORDER BY client_id LIMIT 1",
            _ => return Ok(None),
        };
        self.read_one(sqlx::query(sql).bind(hash.to_string()), read_client).await
    }

    async fn clients(&self) -> Result<Vec<ClientRecord>, StoreError> {
        self.read_all(sqlx::query("SELECT * FROM clients ORDER BY client_id"), read_client).await
    }

    async fn client_by_certificate(&self, certificate: Digest) -> Result<Option<ClientRecord>, StoreError> {
        self.read_one(sqlx::query(CLIENT_BY_CERTIFICATE).bind(certificate.to_string()), read_client).await
    }

    async fn links(&self) -> Result<Vec<(ClientId, ClientId)>, StoreError> {
        self.read_all(sqlx::query("SELECT * FROM links ORDER BY id"), read_link).await
    }

    async fn update_client(&self, update: ClientUpdate) -> Result<(), StoreError> {
        let ends_tokens = update.ends_tokens();
        let ClientUpdate { before, after, link, unlink, change: step, .. } = update;
        let mut transaction = self.begin().await?;
        let query = sqlx::query("SELECT * FROM clients WHERE client_id = $1").bind(after.client_id.as_str());
        let Some(row) = one(&mut transaction, query).await? else {
            return Err(StoreError::NotFound { what: after.client_id.to_string() });
        };
        let mut known = read_client(&row)?;
        known.fetched = before.fetched;
        if known != before {
            return Err(StoreError::Stale { client_id: after.client_id });
        }
        if let Some(id) = &link {
            link_client(&mut transaction, id, &after.client_id).await?;
        }
        if let Some(id) = &unlink {
            let query = sqlx::query("DELETE FROM links WHERE id = $1 AND client_id = $2 RETURNING id");
            let query = query.bind(id.as_str()).bind(after.client_id.as_str());
            if one(&mut transaction, query).await?.is_none() {
                return Err(StoreError::NotFound { what: id.to_string() });
            }
        }
        check_unique(&mut transaction, &after).await?;
        // `fetched` never goes back, whatever was read before a device noted more.
        let query = sqlx::query(
            "UPDATE clients
             SET device_id = $2, revision = $3, token = $4, git_token = $5, onboarded_at = $6, retired_at = $7,
                 fetched = CASE WHEN fetched IS NULL OR fetched < $8 THEN $8 ELSE fetched END,
                 git_token_until = $9, certificate_digest = $10, certificate = $11
             WHERE client_id = $1",
        );
        change(&mut transaction, bind_client(query, &after)).await?;
        note_certificate(&mut transaction, before.certificate_digest(), &after).await?;
        if before.device_id != after.device_id {
            // What was never heard of goes; what reported itself stays.
            let query = sqlx::query(
                "DELETE FROM devices WHERE client_id = $1 AND device_id = $2 AND reported_at IS NULL",
            );
            let query = query.bind(after.client_id.as_str()).bind(before.device_id.as_str());
            change(&mut transaction, query).await?;
            let query = sqlx::query("INSERT OR IGNORE INTO devices (client_id, device_id) VALUES ($1, $2)");
            let query = query.bind(after.client_id.as_str()).bind(after.device_id.as_str());
            change(&mut transaction, query).await?;
        }
        if ends_tokens {
            let query = sqlx::query("DELETE FROM tokens WHERE client_id = $1").bind(after.client_id.as_str());
            change(&mut transaction, query).await?;
        }
        if let Some(step) = &step {
            publish(&mut transaction, step).await?;
        }
        commit(transaction).await
    }

    async fn put_token(
        &self,
        token: TokenRecord,
        earlier_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let Some(token_use) = use_text(token.token_use) else {
            return Err(StoreError::failed("a use of tokens that is not known"));
        };
        let mut transaction = self.begin().await?;
        let query = sqlx::query("SELECT * FROM clients WHERE client_id = $1").bind(token.client_id.as_str());
        let Some(row) = one(&mut transaction, query).await? else {
            return Err(StoreError::NotFound { what: token.client_id.to_string() });
        };
        let query = sqlx::query("DELETE FROM tokens WHERE expires_at <= $1");
        change(&mut transaction, query.bind(token.issued_at.as_millisecond())).await?;
        if let Some(until) = earlier_until {
            let query = sqlx::query(
                "UPDATE tokens SET expires_at = min(expires_at, $3) WHERE client_id = $1 AND token_use = $2",
            );
            let query = query.bind(token.client_id.as_str()).bind(token_use).bind(until.as_millisecond());
            change(&mut transaction, query).await?;
            if token.token_use == TokenUse::Git {
                let known = read_client(&row)?.git_token_until;
                let until = known.map_or(until, |known| known.min(until));
                let query = sqlx::query("UPDATE clients SET git_token_until = $2 WHERE client_id = $1");
                let query = query.bind(token.client_id.as_str()).bind(until.to_string());
                change(&mut transaction, query).await?;
            }
        }
        let query = sqlx::query(
            "INSERT INTO tokens (hash, client_id, token_use, issued_at, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
        );
        let query = query
            .bind(token.hash.to_string())
            .bind(token.client_id.as_str())
            .bind(token_use)
            .bind(token.issued_at.as_millisecond())
            .bind(token.expires_at.as_millisecond());
        change(&mut transaction, query).await?;
        // As long as there are fewer, the inner query finds nothing, and nothing compares to that.
        let query = sqlx::query(
            "DELETE FROM tokens
             WHERE client_id = $1 AND token_use = $2 AND position <= (
                 SELECT position FROM tokens WHERE client_id = $1 AND token_use = $2
                 ORDER BY position DESC LIMIT 1 OFFSET $3)",
        );
        let query = query.bind(token.client_id.as_str()).bind(token_use).bind(rows(KEPT_TOKENS));
        change(&mut transaction, query).await?;
        commit(transaction).await
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        let query = sqlx::query("SELECT * FROM tokens WHERE hash = $1").bind(hash.to_string());
        self.read_one(query, read_token).await
    }

    async fn put_capabilities(&self, capabilities: CapabilitiesRecord) -> Result<Recorded, StoreError> {
        let CapabilitiesRecord { client_id, device_id, revision, document, reported_at, .. } = capabilities;
        let mut transaction = self.begin().await?;
        let query =
            sqlx::query("SELECT client_id FROM clients WHERE client_id = $1").bind(client_id.as_str());
        if one(&mut transaction, query).await?.is_none() {
            return Err(StoreError::NotFound { what: client_id.to_string() });
        }
        // R-D-020, R-C-004
        if let Some(gateway) = device_id.gateway()
            && !has_reported(&mut transaction, &client_id, &gateway).await?
        {
            return Err(StoreError::NoGateway { gateway });
        }
        let reported_before = has_reported(&mut transaction, &client_id, &device_id).await?;
        let query = sqlx::query(
            "INSERT INTO devices (client_id, device_id, revision, reported_at, document)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (client_id, device_id) DO UPDATE
             SET revision = excluded.revision, reported_at = excluded.reported_at, document = excluded.document",
        )
        .bind(client_id.as_str())
        .bind(device_id.as_str())
        .bind(revision.as_str())
        .bind(reported_at.to_string())
        .bind(&*document);
        change(&mut transaction, query).await?;
        commit(transaction).await?;
        Ok(recorded(reported_before))
    }

    async fn remove_device(&self, client: &ClientId, device: &DeviceId) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let query = sqlx::query("DELETE FROM devices WHERE client_id = $1 AND device_id = $2")
            .bind(client.as_str())
            .bind(device.as_str());
        if change(&mut transaction, query).await? == 0 {
            return Ok(false);
        }
        // Not `LIKE`: `_` is a letter of device ids, and a wildcard there.
        let query = sqlx::query(
            "DELETE FROM devices WHERE client_id = $1 AND substr(device_id, 1, length($2) + 1) = $2 || '/'",
        )
        .bind(client.as_str())
        .bind(device.as_str());
        change(&mut transaction, query).await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn devices(&self) -> Result<Vec<DeviceRecord>, StoreError> {
        self.read_all(sqlx::query("SELECT * FROM devices ORDER BY client_id, device_id"), read_device).await
    }

    async fn put_application(&self, application: ApplicationRecord) -> Result<Recorded, StoreError> {
        let ApplicationRecord { application_id, version, description, stored_at, .. } = application;
        let mut transaction = self.begin().await?;
        let query = sqlx::query("SELECT * FROM applications WHERE application_id = $1 AND version = $2")
            .bind(application_id.as_str())
            .bind(version.as_str());
        if let Some(row) = one(&mut transaction, query).await? {
            return if read_application(&row)?.description == description {
                Ok(Recorded::Updated)
            } else {
                Err(StoreError::Conflict { what: format!("{application_id} {version}") })
            };
        }
        let query = sqlx::query(
            "INSERT INTO applications (application_id, version, stored_at, description)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(application_id.as_str())
        .bind(version)
        .bind(stored_at.to_string())
        .bind(&*description);
        change(&mut transaction, query).await?;
        commit(transaction).await?;
        Ok(Recorded::Created)
    }

    async fn application(
        &self,
        application: &ApplicationId,
        version: &str,
    ) -> Result<Option<ApplicationRecord>, StoreError> {
        let query = sqlx::query("SELECT * FROM applications WHERE application_id = $1 AND version = $2")
            .bind(application.as_str())
            .bind(version);
        self.read_one(query, read_application).await
    }

    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError> {
        let query = sqlx::query("SELECT * FROM applications ORDER BY application_id, position");
        self.read_all(query, read_application).await
    }

    async fn manifest(&self, client: &ClientId) -> Result<Option<ManifestRecord>, StoreError> {
        let query = sqlx::query("SELECT * FROM manifests WHERE client_id = $1 ORDER BY version DESC LIMIT 1")
            .bind(client.as_str());
        self.read_one(query, read_manifest).await
    }

    async fn manifest_digest(&self, client: &ClientId) -> Result<Option<Digest>, StoreError> {
        let query = sqlx::query(MANIFEST_DIGEST).bind(client.as_str());
        self.read_one(query, |row| Fields::of("manifests", row).parsed("digest")).await
    }

    async fn publish(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for step in &changes {
            publish(&mut transaction, step).await?;
        }
        commit(transaction).await
    }

    async fn content(
        &self,
        client: &ClientId,
        kind: ContentKind,
        digest: Digest,
    ) -> Result<Option<Bytes>, StoreError> {
        let sql = match kind {
            ContentKind::Deployment => DEPLOYMENT_CONTENT,
            ContentKind::Bundle => BUNDLE_CONTENT,
            _ => return Ok(None),
        };
        let query = sqlx::query(sql).bind(client.as_str()).bind(digest.to_string());
        match kind {
            ContentKind::Bundle => {
                self.read_one(query, |row| Fields::of("manifests", row).bytes("bundle")).await
            }
            _ => self.read_one(query, |row| Fields::of("deployments", row).bytes("document")).await,
        }
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<Option<DeploymentRecord>, StoreError> {
        let query =
            sqlx::query("SELECT * FROM deployments WHERE deployment_id = $1").bind(deployment.as_str());
        self.read_one(query, read_deployment).await
    }

    async fn deployments(&self, client: Option<&ClientId>) -> Result<Vec<DeploymentRecord>, StoreError> {
        let query = match client {
            Some(client) => sqlx::query("SELECT * FROM deployments WHERE client_id = $1 ORDER BY position")
                .bind(client.as_str()),
            None => sqlx::query("SELECT * FROM deployments ORDER BY position"),
        };
        self.read_all(query, read_deployment).await
    }

    async fn put_status(&self, status: StatusRecord) -> Result<Recorded, StoreError> {
        let StatusRecord { client_id, deployment_id, device_id, revision, document, received_at, .. } =
            status;
        let mut transaction = self.begin().await?;
        let query =
            sqlx::query("SELECT position FROM deployments WHERE deployment_id = $1 AND client_id = $2")
                .bind(deployment_id.as_str())
                .bind(client_id.as_str());
        if one(&mut transaction, query).await?.is_none() {
            return Err(StoreError::NotFound { what: deployment_id.to_string() });
        }
        let query = sqlx::query("SELECT position FROM reports WHERE deployment_id = $1 LIMIT 1")
            .bind(deployment_id.as_str());
        let reported_before = one(&mut transaction, query).await?.is_some();
        let query = sqlx::query(
            "INSERT INTO reports (deployment_id, client_id, device_id, revision, received_at, document)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(deployment_id.as_str())
        .bind(client_id.as_str())
        .bind(device_id.as_ref().map(DeviceId::as_str))
        .bind(revision.as_str())
        .bind(received_at.to_string())
        .bind(&*document);
        change(&mut transaction, query).await?;
        // As long as there are fewer, the inner query finds nothing, and nothing compares to that.
        let query = sqlx::query(
            "DELETE FROM reports
             WHERE deployment_id = $1 AND position <= (
                 SELECT position FROM reports WHERE deployment_id = $1
                 ORDER BY position DESC LIMIT 1 OFFSET $2)",
        )
        .bind(deployment_id.as_str())
        .bind(rows(KEPT_REPORTS + 1));
        change(&mut transaction, query).await?;
        commit(transaction).await?;
        Ok(recorded(reported_before))
    }

    async fn statuses(&self, client: Option<&ClientId>) -> Result<Vec<StatusRecord>, StoreError> {
        let query = match client {
            Some(client) => sqlx::query(LATEST_REPORTS_OF_CLIENT).bind(client.as_str()),
            None => sqlx::query(LATEST_REPORTS),
        };
        self.read_all(query, read_status).await
    }

    async fn status_history(&self, deployment: &DeploymentId) -> Result<Vec<StatusRecord>, StoreError> {
        let query = sqlx::query("SELECT * FROM reports WHERE deployment_id = $1 ORDER BY position")
            .bind(deployment.as_str());
        self.read_all(query, read_status).await
    }

    async fn note_fetched(&self, client: &ClientId, version: ManifestVersion) -> Result<(), StoreError> {
        // Devices come back to the same version again and again: that waits for no writer and syncs nothing.
        let query = sqlx::query("SELECT fetched FROM clients WHERE client_id = $1").bind(client.as_str());
        let known = self.read_one(query, |row| Fields::of("clients", row).parsed_if_any("fetched")).await?;
        if known.is_none_or(|fetched: Option<ManifestVersion>| fetched >= Some(version)) {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE clients SET fetched = $2 WHERE client_id = $1 AND (fetched IS NULL OR fetched < $2)",
        )
        .bind(client.as_str())
        .bind(version_text(version));
        let mut transaction = self.begin().await?;
        change(&mut transaction, query).await?;
        commit(transaction).await
    }
}

const CLIENT: &str = "
    SELECT * FROM clients
    WHERE client_id = coalesce((SELECT client_id FROM links WHERE id = $1), $1)";

/// Whoever has it, or had it: never both, see `note_certificate`.
const CLIENT_BY_CERTIFICATE: &str = "SELECT * FROM clients WHERE certificate_digest = $1
     OR client_id = (SELECT client_id FROM former_certificates WHERE digest = $1)";

const MANIFEST_DIGEST: &str =
    "SELECT digest FROM manifests WHERE client_id = $1 ORDER BY version DESC LIMIT 1";

const DEPLOYMENT_CONTENT: &str = "
    SELECT document FROM deployments WHERE client_id = $1 AND digest = $2 AND deleted_at IS NULL
    UNION ALL
    SELECT document FROM superseded WHERE client_id = $1 AND digest = $2
    LIMIT 1";

const BUNDLE_CONTENT: &str =
    "SELECT bundle FROM manifests WHERE client_id = $1 AND bundle_digest = $2 LIMIT 1";

const LATEST_REPORTS: &str = "
    SELECT reports.* FROM deployments JOIN reports ON reports.position = (
        SELECT max(position) FROM reports WHERE deployment_id = deployments.deployment_id)
    ORDER BY deployments.deployment_id";

const LATEST_REPORTS_OF_CLIENT: &str = "
    SELECT reports.* FROM deployments JOIN reports ON reports.position = (
        SELECT max(position) FROM reports WHERE deployment_id = deployments.deployment_id)
    WHERE deployments.client_id = $1
    ORDER BY deployments.deployment_id";

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

async fn one(
    transaction: &mut SqliteTransaction<'static>,
    query: Query,
) -> Result<Option<SqliteRow>, StoreError> {
    query.fetch_optional(&mut **transaction).await.map_err(StoreError::failed)
}

/// Returns how many rows are other than before.
async fn change(transaction: &mut SqliteTransaction<'static>, query: Query) -> Result<u64, StoreError> {
    Ok(query.execute(&mut **transaction).await.map_err(StoreError::failed)?.rows_affected())
}

async fn commit(transaction: SqliteTransaction<'static>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(StoreError::failed)
}

/// A number of rows, as SQL takes it.
fn rows(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn recorded(reported_before: bool) -> Recorded {
    if reported_before { Recorded::Updated } else { Recorded::Created }
}

async fn has_reported(
    transaction: &mut SqliteTransaction<'static>,
    client: &ClientId,
    device: &DeviceId,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "SELECT device_id FROM devices WHERE client_id = $1 AND device_id = $2 AND reported_at IS NOT NULL",
    )
    .bind(client.as_str())
    .bind(device.as_str());
    Ok(one(transaction, query).await?.is_some())
}

/// Nobody else has the device or the certificate.
async fn check_unique(
    transaction: &mut SqliteTransaction<'static>,
    client: &ClientRecord,
) -> Result<(), StoreError> {
    let certificate = client.certificate_digest().map(|digest| digest.to_string());
    for (sql, value, what) in [
        (
            "SELECT client_id FROM clients WHERE client_id <> $1 AND device_id = $2",
            Some(client.device_id.to_string()),
            client.device_id.as_str(),
        ),
        (
            "SELECT client_id FROM clients WHERE client_id <> $1 AND certificate_digest = $2",
            certificate,
            "the certificate",
        ),
    ] {
        let query = sqlx::query(sql).bind(client.client_id.as_str()).bind(value);
        if one(transaction, query).await?.is_some() {
            return Err(StoreError::Conflict { what: what.to_owned() });
        }
    }
    Ok(())
}

/// The certificate that a client had is nobody else's; the one it has is not a former one.
async fn note_certificate(
    transaction: &mut SqliteTransaction<'static>,
    before: Option<Digest>,
    client: &ClientRecord,
) -> Result<(), StoreError> {
    let after = client.certificate_digest();
    if let Some(former) = before.filter(|former| Some(*former) != after) {
        let query = sqlx::query("INSERT INTO former_certificates (digest, client_id) VALUES ($1, $2)");
        change(transaction, query.bind(former.to_string()).bind(client.client_id.as_str())).await?;
    }
    if let Some(digest) = after {
        let query = sqlx::query("DELETE FROM former_certificates WHERE digest = $1");
        change(transaction, query.bind(digest.to_string())).await?;
    }
    Ok(())
}

/// Makes `id` another id of `client`, and its devices those of `client`.
async fn link_client(
    transaction: &mut SqliteTransaction<'static>,
    id: &ClientId,
    client: &ClientId,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "SELECT 1 FROM links WHERE id = $1 AND client_id <> $2
         UNION ALL SELECT 1 FROM deployments WHERE client_id = $1",
    );
    let query = query.bind(id.as_str()).bind(client.as_str());
    if id == client || one(transaction, query).await?.is_some() {
        return Err(StoreError::Conflict { what: id.to_string() });
    }
    for sql in [
        "INSERT INTO devices (client_id, device_id, revision, reported_at, document)
         SELECT $2, device_id, revision, reported_at, document FROM devices WHERE client_id = $1
         ON CONFLICT (client_id, device_id) DO UPDATE
         SET revision = excluded.revision, reported_at = excluded.reported_at, document = excluded.document
         WHERE excluded.document IS NOT NULL",
        "UPDATE links SET client_id = $2 WHERE client_id = $1",
        "UPDATE former_certificates SET client_id = $2 WHERE client_id = $1",
        "INSERT INTO former_certificates (digest, client_id)
         SELECT certificate_digest, $2 FROM clients WHERE client_id = $1 AND certificate_digest IS NOT NULL",
        "INSERT INTO links (id, client_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    ] {
        let query = sqlx::query(sql).bind(id.as_str()).bind(client.as_str());
        change(transaction, query).await?;
    }
    for sql in [
        "DELETE FROM devices WHERE client_id = $1",
        "DELETE FROM tokens WHERE client_id = $1",
        "DELETE FROM superseded WHERE client_id = $1",
        "DELETE FROM manifests WHERE client_id = $1",
        "DELETE FROM clients WHERE client_id = $1",
    ] {
        change(transaction, sqlx::query(sql).bind(id.as_str())).await?;
    }
    Ok(())
}

async fn insert_manifest(
    transaction: &mut SqliteTransaction<'static>,
    client: &ClientId,
    manifest: &ManifestRecord,
) -> Result<(), StoreError> {
    check_digest(manifest.digest, &manifest.document)?;
    if let Some((digest, bytes)) = &manifest.bundle {
        check_digest(*digest, bytes)?;
    }
    let (bundle_digest, bundle) =
        manifest.bundle.as_ref().map(|(digest, bytes)| (digest.to_string(), &**bytes)).unzip();
    let query = sqlx::query(
        "INSERT INTO manifests (client_id, version, digest, bundle_digest, document, bundle)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(client.as_str())
    .bind(version_text(manifest.version))
    .bind(manifest.digest.to_string())
    .bind(bundle_digest)
    .bind(&*manifest.document)
    .bind(bundle);
    change(transaction, query).await.map(drop)
}

async fn publish(transaction: &mut SqliteTransaction<'static>, step: &Change) -> Result<(), StoreError> {
    let query = sqlx::query("SELECT max(version) AS version FROM manifests WHERE client_id = $1")
        .bind(step.client_id.as_str());
    let current = one(transaction, query).await?;
    let current = current.map(|row| Fields::of("manifests", &row).parsed_if_any("version")).transpose()?;
    if current.flatten() != Some(step.from) {
        return Err(StoreError::Stale { client_id: step.client_id.clone() });
    }
    // R-B-020. The current manifest is found by its version: a lower one would never be.
    if step.manifest.version <= step.from {
        return Err(StoreError::failed(format!(
            "version {} of the desired state of `{}` cannot follow version {}",
            step.manifest.version, step.client_id, step.from,
        )));
    }
    for deployment in &step.deployments {
        supersede(transaction, &deployment.deployment_id, step.from).await?;
        upsert_deployment(transaction, deployment).await?;
    }
    insert_manifest(transaction, &step.client_id, &step.manifest).await?;
    prune(transaction, &step.client_id).await
}

/// Keeps the document of a deployment that is about to change: manifests up to `last_version` name it.
async fn supersede(
    transaction: &mut SqliteTransaction<'static>,
    deployment: &DeploymentId,
    last_version: ManifestVersion,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO superseded (client_id, digest, last_version, document)
         SELECT client_id, digest, $2, document FROM deployments
         WHERE deployment_id = $1 AND deleted_at IS NULL
         ON CONFLICT (client_id, digest) DO UPDATE SET last_version = excluded.last_version",
    )
    .bind(deployment.as_str())
    .bind(version_text(last_version));
    change(transaction, query).await.map(drop)
}

async fn upsert_deployment(
    transaction: &mut SqliteTransaction<'static>,
    deployment: &DeploymentRecord,
) -> Result<(), StoreError> {
    check_digest(deployment.digest, &deployment.document)?;
    let parameters = serde_json::to_string(&deployment.values).map_err(StoreError::failed)?;
    let query = sqlx::query(
        "INSERT INTO deployments
             (deployment_id, client_id, digest, target, application_id, application_version, profile, namespace,
              since, created_at, changed_at, deleted_at, parameters, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (deployment_id) DO UPDATE
         SET client_id = excluded.client_id, digest = excluded.digest, target = excluded.target,
             application_id = excluded.application_id, application_version = excluded.application_version,
             profile = excluded.profile, namespace = excluded.namespace, since = excluded.since,
             created_at = excluded.created_at, changed_at = excluded.changed_at,
             deleted_at = excluded.deleted_at, parameters = excluded.parameters, document = excluded.document",
    )
    .bind(deployment.deployment_id.as_str())
    .bind(deployment.client_id.as_str())
    .bind(deployment.digest.to_string())
    .bind(deployment.target.as_str())
    .bind(deployment.application_id.as_str())
    .bind(deployment.application_version.as_str())
    .bind(deployment.profile.as_str())
    .bind(deployment.namespace.as_str())
    .bind(version_text(deployment.since))
    .bind(deployment.created_at.to_string())
    .bind(deployment.changed_at.to_string())
    .bind(deployment.deleted_at.map(|time| time.to_string()))
    .bind(parameters)
    .bind(&*deployment.document);
    change(transaction, query).await.map(drop)
}

/// Forgets what no kept manifest names (R-B-024).
async fn prune(transaction: &mut SqliteTransaction<'static>, client: &ClientId) -> Result<(), StoreError> {
    // As long as there are fewer, the inner query finds nothing, and nothing compares to that.
    let query = sqlx::query(
        "DELETE FROM manifests
         WHERE client_id = $1 AND version <= (
             SELECT version FROM manifests WHERE client_id = $1
             ORDER BY version DESC LIMIT 1 OFFSET $2)",
    )
    .bind(client.as_str())
    .bind(rows(KEPT_MANIFESTS));
    change(transaction, query).await?;
    let query = sqlx::query(
        "DELETE FROM superseded
         WHERE client_id = $1 AND last_version < (SELECT min(version) FROM manifests WHERE client_id = $1)",
    )
    .bind(client.as_str());
    change(transaction, query).await.map(drop)
}

fn bind_client(query: Query, client: &ClientRecord) -> Query {
    query
        .bind(client.client_id.as_str())
        .bind(client.device_id.as_str())
        .bind(client.revision.as_str())
        .bind(client.token.to_string())
        .bind(client.git_token.to_string())
        .bind(client.onboarded_at.to_string())
        .bind(client.retired_at.map(|time| time.to_string()))
        .bind(client.fetched.map(version_text))
        .bind(client.git_token_until.map(|time| time.to_string()))
        .bind(client.certificate_digest().map(|digest| digest.to_string()))
        .bind(client.certificate.as_deref())
}

fn read_link(row: &SqliteRow) -> Result<(ClientId, ClientId), StoreError> {
    let fields = Fields::of("links", row);
    Ok((fields.parsed("id")?, fields.parsed("client_id")?))
}

fn read_client(row: &SqliteRow) -> Result<ClientRecord, StoreError> {
    let fields = Fields::of("clients", row);
    let mut client = ClientRecord::new(
        fields.parsed("client_id")?,
        fields.parsed("device_id")?,
        fields.parsed("revision")?,
        fields.parsed("token")?,
        fields.parsed("git_token")?,
        fields.parsed("onboarded_at")?,
    );
    client.retired_at = fields.parsed_if_any("retired_at")?;
    client.fetched = fields.parsed_if_any("fetched")?;
    client.git_token_until = fields.parsed_if_any("git_token_until")?;
    client.certificate = fields.bytes_if_any("certificate")?;
    same_digest(&fields, "certificate_digest", client.certificate_digest())?;
    Ok(client)
}

fn read_token(row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let fields = Fields::of("tokens", row);
    let token_use = match fields.text("token_use")? {
        "git" => TokenUse::Git,
        _ => TokenUse::Management, // no other text can be stored
    };
    Ok(TokenRecord::new(
        fields.parsed("hash")?,
        fields.parsed("client_id")?,
        token_use,
        fields.milliseconds("issued_at")?,
        fields.milliseconds("expires_at")?,
    ))
}

fn use_text(token_use: TokenUse) -> Option<&'static str> {
    match token_use {
        TokenUse::Management => Some("management"),
        TokenUse::Git => Some("git"),
        _ => None,
    }
}

fn read_device(row: &SqliteRow) -> Result<DeviceRecord, StoreError> {
    let fields = Fields::of("devices", row);
    let client_id: ClientId = fields.parsed("client_id")?;
    let device_id: DeviceId = fields.parsed("device_id")?;
    let capabilities = match fields.bytes_if_any("document")? {
        Some(document) => Some(CapabilitiesRecord::new(
            client_id.clone(),
            device_id.clone(),
            fields.parsed("revision")?,
            document,
            fields.parsed("reported_at")?,
        )),
        None => None,
    };
    Ok(DeviceRecord::new(client_id, device_id, capabilities))
}

fn read_application(row: &SqliteRow) -> Result<ApplicationRecord, StoreError> {
    let fields = Fields::of("applications", row);
    Ok(ApplicationRecord::new(
        fields.parsed("application_id")?,
        fields.text("version")?.to_owned(),
        fields.bytes("description")?,
        fields.parsed("stored_at")?,
    ))
}

fn read_manifest(row: &SqliteRow) -> Result<ManifestRecord, StoreError> {
    let fields = Fields::of("manifests", row);
    let manifest = ManifestRecord::new(
        fields.parsed("version")?,
        fields.bytes("document")?,
        fields.bytes_if_any("bundle")?,
    );
    same_digest(&fields, "digest", Some(manifest.digest))?;
    same_digest(&fields, "bundle_digest", manifest.bundle.as_ref().map(|(digest, _)| *digest))?;
    Ok(manifest)
}

fn read_deployment(row: &SqliteRow) -> Result<DeploymentRecord, StoreError> {
    let fields = Fields::of("deployments", row);
    let values: BTreeMap<String, Value> = serde_json::from_str(fields.text("parameters")?)
        .map_err(|cause| fields.unreadable("parameters", cause))?;
    let mut deployment = DeploymentRecord::new(
        fields.parsed("deployment_id")?,
        fields.parsed("client_id")?,
        fields.parsed("target")?,
        fields.parsed("application_id")?,
        fields.text("application_version")?.to_owned(),
        fields.text("profile")?.to_owned(),
        fields.text("namespace")?.to_owned(),
        values,
        fields.bytes("document")?,
        fields.parsed("since")?,
        fields.parsed("created_at")?,
    );
    deployment.changed_at = fields.parsed("changed_at")?;
    deployment.deleted_at = fields.parsed_if_any("deleted_at")?;
    same_digest(&fields, "digest", Some(deployment.digest))?;
    Ok(deployment)
}

fn read_status(row: &SqliteRow) -> Result<StatusRecord, StoreError> {
    let fields = Fields::of("reports", row);
    Ok(StatusRecord::new(
        fields.parsed("client_id")?,
        fields.parsed("deployment_id")?,
        fields.parsed_if_any("device_id")?,
        fields.parsed("revision")?,
        fields.bytes("document")?,
        fields.parsed("received_at")?,
    ))
}

/// A record names the bytes it carries: other ones could not be read again.
fn check_digest(digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
    let actual = Digest::of(bytes);
    if digest == actual {
        Ok(())
    } else {
        Err(StoreError::failed(format!("a record says `{digest}` of bytes whose digest is `{actual}`")))
    }
}

/// The digest that was stored is that of the bytes that were read.
fn same_digest(fields: &Fields<'_>, column: &'static str, read: Option<Digest>) -> Result<(), StoreError> {
    let stored: Option<Digest> = fields.parsed_if_any(column)?;
    if stored == read {
        Ok(())
    } else {
        Err(fields.unreadable(column, "not the digest of the bytes beside it"))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;

    /// A poll of unchanged state, a device's token, a client's reports: none may grow with the fleet.
    #[tokio::test]
    async fn lookups_use_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("manager.db")).await.unwrap();
        for sql in [
            MANIFEST_DIGEST,
            DEPLOYMENT_CONTENT,
            BUNDLE_CONTENT,
            LATEST_REPORTS_OF_CLIENT,
            CLIENT,
            CLIENT_BY_CERTIFICATE,
            "SELECT * FROM tokens WHERE hash = $1",
            "SELECT * FROM clients WHERE token = $1 ORDER BY client_id LIMIT 1",
            "SELECT * FROM clients WHERE git_token = $1 ORDER BY client_id LIMIT 1",
            "SELECT * FROM reports WHERE deployment_id = $1 ORDER BY position",
            "SELECT * FROM deployments WHERE client_id = $1 ORDER BY position",
        ] {
            let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let steps = sqlx::query(plan).fetch_all(&store.0.readers).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.contains("USING")), "{sql}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{sql}: {steps:?}");
        }
    }
}
