//! Where a manager keeps what it knows.
//!
//! A vendor with a database implements [`Store`] and has a manager. The reference stores are [`Memory`](crate::Memory)
//! and `margo-store-sql`; [`examination`](crate::examination) is what every store must pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::{BoxError, Recorded};
use margo_core::{
    ApplicationId, ClientId, DeploymentId, DeviceId, DeviceTarget, Digest, ManifestVersion, SpecVersion,
};
use margo_identity::TokenHash;
use serde_json::Value;

/// Where a manager keeps its clients, devices, applications, deployments and reports.
///
/// Every method is one transaction: it happens completely or not at all, and what it wrote is durable when it
/// returns. Concurrent calls see each other's writes in some order and lose none.
pub trait Store: Send + Sync + 'static {
    /// Adds a client, its registered device (without capabilities yet) and its first manifest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the client, or a client with that registered device, exists.
    fn add_client(
        &self,
        client: ClientRecord,
        manifest: ManifestRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One client, retired or not, by its id or by one that is linked to it.
    fn client(
        &self,
        client: &ClientId,
    ) -> impl Future<Output = Result<Option<ClientRecord>, StoreError>> + Send;

    /// The client whose token of this use has this hash, retired or not.
    fn client_by_token(
        &self,
        token_use: TokenUse,
        hash: &TokenHash,
    ) -> impl Future<Output = Result<Option<ClientRecord>, StoreError>> + Send;

    /// Every client, by id.
    fn clients(&self) -> impl Future<Output = Result<Vec<ClientRecord>, StoreError>> + Send;

    /// The client whose certificate has this digest, or had before it was given another, retired or not (R-B-007). A
    /// certificate that a client has now is found before one that another had.
    fn client_by_certificate(
        &self,
        certificate: Digest,
    ) -> impl Future<Output = Result<Option<ClientRecord>, StoreError>> + Send;

    /// The ids that clients are known by besides their own, each with its client; by id.
    fn links(&self) -> impl Future<Output = Result<Vec<(ClientId, ClientId)>, StoreError>> + Send;

    /// Changes a client: rotated tokens, retirement, another revision, another id it is known by or no longer.
    ///
    /// What it has fetched never goes back, whatever the record says. Tokens that were issued to it end when its own
    /// secrets change and when it is retired.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such client, or it is not known by the id that is to be unlinked;
    /// [`StoreError::Stale`] when its record, or its manifest, is no longer the one the change was made from; [`StoreError::Conflict`] when another client has its device,
    /// its certificate or deployments under the id that is to be linked.
    fn update_client(&self, update: ClientUpdate) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds a token that was issued to a client. Those it had for the same use end at `earlier_until` if there is
    /// one, the one in its record included. Of each use the last [`KEPT_TOKENS`] are kept, and none that has expired
    /// before this one was issued.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such client.
    fn put_token(
        &self,
        token: TokenRecord,
        earlier_until: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The issued token with this hash, expired or not.
    fn token(&self, hash: &TokenHash)
    -> impl Future<Output = Result<Option<TokenRecord>, StoreError>> + Send;

    /// Records what a device is capable of.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoGateway`] when the device is behind a gateway that the client has not reported
    /// (R-D-020, R-C-004); [`StoreError::NotFound`] when there is no such client.
    fn put_capabilities(
        &self,
        capabilities: CapabilitiesRecord,
    ) -> impl Future<Output = Result<Recorded, StoreError>> + Send;

    /// Forgets a device and those behind it; false when the client has no such device (R-C-007).
    fn remove_device(
        &self,
        client: &ClientId,
        device: &DeviceId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Every device, by client and id.
    fn devices(&self) -> impl Future<Output = Result<Vec<DeviceRecord>, StoreError>> + Send;

    /// Stores an application package.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when that version of the application is there with other content: a version
    /// names its content for ever.
    fn put_application(
        &self,
        application: ApplicationRecord,
    ) -> impl Future<Output = Result<Recorded, StoreError>> + Send;

    /// One version of an application.
    fn application(
        &self,
        application: &ApplicationId,
        version: &str,
    ) -> impl Future<Output = Result<Option<ApplicationRecord>, StoreError>> + Send;

    /// Every version of every application, by id, in the order they were stored.
    fn applications(&self) -> impl Future<Output = Result<Vec<ApplicationRecord>, StoreError>> + Send;

    /// The current manifest of a client.
    fn manifest(
        &self,
        client: &ClientId,
    ) -> impl Future<Output = Result<Option<ManifestRecord>, StoreError>> + Send;

    /// The digest of a client's current manifest: all that a poll of unchanged state needs.
    fn manifest_digest(
        &self,
        client: &ClientId,
    ) -> impl Future<Output = Result<Option<Digest>, StoreError>> + Send;

    /// Changes the desired state of several clients at once: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] when a client's manifest is no longer the one the change was made from
    /// (R-B-020: versions never repeat with other content).
    fn publish(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Content that was ever part of the last [`KEPT_MANIFESTS`] manifests of a client: a device that fetches
    /// what an earlier manifest named is served although a newer one is out (R-B-024, MI-020).
    fn content(
        &self,
        client: &ClientId,
        kind: ContentKind,
        digest: Digest,
    ) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;

    /// One deployment of whatever client.
    fn deployment(
        &self,
        deployment: &DeploymentId,
    ) -> impl Future<Output = Result<Option<DeploymentRecord>, StoreError>> + Send;

    /// Every deployment, wanted or no longer, of one client or of all; in the order they were created.
    fn deployments(
        &self,
        client: Option<&ClientId>,
    ) -> impl Future<Output = Result<Vec<DeploymentRecord>, StoreError>> + Send;

    /// Records a report. The latest of a deployment is kept, and [`KEPT_REPORTS`] before it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the client has no such deployment.
    fn put_status(&self, status: StatusRecord) -> impl Future<Output = Result<Recorded, StoreError>> + Send;

    /// The latest report of every deployment, of one client or of all.
    fn statuses(
        &self,
        client: Option<&ClientId>,
    ) -> impl Future<Output = Result<Vec<StatusRecord>, StoreError>> + Send;

    /// The reports of one deployment that are kept, oldest first.
    fn status_history(
        &self,
        deployment: &DeploymentId,
    ) -> impl Future<Output = Result<Vec<StatusRecord>, StoreError>> + Send;

    /// Notes that a client has fetched its desired state at this version, by whatever transport; never goes back.
    fn note_fetched(
        &self,
        client: &ClientId,
        version: ManifestVersion,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl<S: Store> Store for Arc<S> {
    async fn add_client(&self, client: ClientRecord, manifest: ManifestRecord) -> Result<(), StoreError> {
        (**self).add_client(client, manifest).await
    }

    async fn client(&self, client: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
        (**self).client(client).await
    }

    async fn client_by_token(
        &self,
        token_use: TokenUse,
        hash: &TokenHash,
    ) -> Result<Option<ClientRecord>, StoreError> {
        (**self).client_by_token(token_use, hash).await
    }

    async fn clients(&self) -> Result<Vec<ClientRecord>, StoreError> {
        (**self).clients().await
    }

    async fn client_by_certificate(&self, certificate: Digest) -> Result<Option<ClientRecord>, StoreError> {
        (**self).client_by_certificate(certificate).await
    }

    async fn links(&self) -> Result<Vec<(ClientId, ClientId)>, StoreError> {
        (**self).links().await
    }

    async fn update_client(&self, update: ClientUpdate) -> Result<(), StoreError> {
        (**self).update_client(update).await
    }

    async fn put_token(
        &self,
        token: TokenRecord,
        earlier_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        (**self).put_token(token, earlier_until).await
    }

    async fn token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        (**self).token(hash).await
    }

    async fn put_capabilities(&self, capabilities: CapabilitiesRecord) -> Result<Recorded, StoreError> {
        (**self).put_capabilities(capabilities).await
    }

    async fn remove_device(&self, client: &ClientId, device: &DeviceId) -> Result<bool, StoreError> {
        (**self).remove_device(client, device).await
    }

    async fn devices(&self) -> Result<Vec<DeviceRecord>, StoreError> {
        (**self).devices().await
    }

    async fn put_application(&self, application: ApplicationRecord) -> Result<Recorded, StoreError> {
        (**self).put_application(application).await
    }

    async fn application(
        &self,
        application: &ApplicationId,
        version: &str,
    ) -> Result<Option<ApplicationRecord>, StoreError> {
        (**self).application(application, version).await
    }

    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError> {
        (**self).applications().await
    }

    async fn manifest(&self, client: &ClientId) -> Result<Option<ManifestRecord>, StoreError> {
        (**self).manifest(client).await
    }

    async fn manifest_digest(&self, client: &ClientId) -> Result<Option<Digest>, StoreError> {
        (**self).manifest_digest(client).await
    }

    async fn publish(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        (**self).publish(changes).await
    }

    async fn content(
        &self,
        client: &ClientId,
        kind: ContentKind,
        digest: Digest,
    ) -> Result<Option<Bytes>, StoreError> {
        (**self).content(client, kind, digest).await
    }

    async fn deployment(&self, deployment: &DeploymentId) -> Result<Option<DeploymentRecord>, StoreError> {
        (**self).deployment(deployment).await
    }

    async fn deployments(&self, client: Option<&ClientId>) -> Result<Vec<DeploymentRecord>, StoreError> {
        (**self).deployments(client).await
    }

    async fn put_status(&self, status: StatusRecord) -> Result<Recorded, StoreError> {
        (**self).put_status(status).await
    }

    async fn statuses(&self, client: Option<&ClientId>) -> Result<Vec<StatusRecord>, StoreError> {
        (**self).statuses(client).await
    }

    async fn status_history(&self, deployment: &DeploymentId) -> Result<Vec<StatusRecord>, StoreError> {
        (**self).status_history(deployment).await
    }

    async fn note_fetched(&self, client: &ClientId, version: ManifestVersion) -> Result<(), StoreError> {
        (**self).note_fetched(client, version).await
    }
}

/// How many manifests of a client stay retrievable, the current one included.
pub const KEPT_MANIFESTS: u64 = 16;

/// How many reports of a deployment are kept besides the latest.
pub const KEPT_REPORTS: u64 = 100;

/// How many issued tokens of a client are kept for each use.
pub const KEPT_TOKENS: u64 = 16;

/// A device's management client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientRecord {
    /// The client.
    pub client_id: ClientId,
    /// The device it was onboarded for; devices behind gateways report themselves later.
    pub device_id: DeviceId,
    /// The revision its documents are written in.
    pub revision: SpecVersion,
    /// The hash of its token for the management interface.
    pub token: TokenHash,
    /// The hash of its token for its Git repository.
    pub git_token: TokenHash,
    /// When that token ends; it does not until another one is issued (R-A-016).
    pub git_token_until: Option<Timestamp>,
    /// The certificate it signs with, in DER (R-A-014, R-B-012).
    pub certificate: Option<Bytes>,
    /// When it was onboarded.
    pub onboarded_at: Timestamp,
    /// When it was retired: it is refused from then on (R-D-006, R-D-007).
    pub retired_at: Option<Timestamp>,
    /// The newest manifest version it is known to have fetched.
    pub fetched: Option<ManifestVersion>,
}

impl ClientRecord {
    /// A client that is onboarded now.
    #[must_use]
    pub fn new(
        client_id: ClientId,
        device_id: DeviceId,
        revision: SpecVersion,
        token: TokenHash,
        git_token: TokenHash,
        onboarded_at: Timestamp,
    ) -> Self {
        Self {
            client_id,
            device_id,
            revision,
            token,
            git_token,
            git_token_until: None,
            certificate: None,
            onboarded_at,
            retired_at: None,
            fetched: None,
        }
    }

    /// The same with a certificate, in DER.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Bytes) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// What finds the client by its certificate.
    #[must_use]
    pub fn certificate_digest(&self) -> Option<Digest> {
        self.certificate.as_ref().map(|der| Digest::of(der))
    }
}

/// A change of a client, and what it was made from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientUpdate {
    /// The record as it was read.
    pub before: ClientRecord,
    /// The record as it is to be; of the same client.
    pub after: ClientRecord,
    /// Another id that the client is known by from now on. If it is that of a client, this one takes its place: its
    /// devices are this client's from then on, and nothing else of it remains.
    pub link: Option<ClientId>,
    /// An id that the client is no longer known by. Nothing else of the client changes.
    pub unlink: Option<ClientId>,
    /// What becomes of its desired state at the same time.
    pub change: Option<Change>,
}

impl ClientUpdate {
    /// A change of the record alone.
    #[must_use]
    pub fn new(before: ClientRecord, after: ClientRecord) -> Self {
        Self { before, after, link: None, unlink: None, change: None }
    }

    /// The same, with another id for the client.
    #[must_use]
    pub fn with_link(mut self, id: ClientId) -> Self {
        self.link = Some(id);
        self
    }

    /// The same, and the client is no longer known by `id`.
    #[must_use]
    pub fn with_unlink(mut self, id: ClientId) -> Self {
        self.unlink = Some(id);
        self
    }

    /// The same, with a step of its desired state.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }

    /// Whether tokens that were issued end with this change.
    #[must_use]
    pub fn ends_tokens(&self) -> bool {
        (self.before.token, self.before.git_token) != (self.after.token, self.after.git_token)
            || self.after.retired_at.is_some()
    }
}

/// A token that was issued to a client, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Its hash.
    pub hash: TokenHash,
    /// Whose it is.
    pub client_id: ClientId,
    /// What it opens.
    pub token_use: TokenUse,
    /// When it was issued, in whole milliseconds.
    pub issued_at: Timestamp,
    /// When it ends, in whole milliseconds: it opens nothing at that time.
    pub expires_at: Timestamp,
}

impl TokenRecord {
    /// A token that is issued at `issued_at`. Times are cut to whole milliseconds.
    #[must_use]
    pub fn new(
        hash: TokenHash,
        client_id: ClientId,
        token_use: TokenUse,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let [issued_at, expires_at] = [issued_at, expires_at].map(whole_milliseconds);
        Self { hash, client_id, token_use, issued_at, expires_at }
    }
}

/// What a store keeps of the times of tokens.
fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TokenUse {
    /// The management interface.
    Management,
    /// The Git repository.
    Git,
}

/// What a device said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapabilitiesRecord {
    /// Whose device it is.
    pub client_id: ClientId,
    /// The device.
    pub device_id: DeviceId,
    /// The revision of the document.
    pub revision: SpecVersion,
    /// The exact bytes of the document.
    pub document: Bytes,
    /// When it arrived.
    pub reported_at: Timestamp,
}

impl CapabilitiesRecord {
    /// A report that arrived at `reported_at`.
    #[must_use]
    pub fn new(
        client_id: ClientId,
        device_id: DeviceId,
        revision: SpecVersion,
        document: Bytes,
        reported_at: Timestamp,
    ) -> Self {
        Self { client_id, device_id, revision, document, reported_at }
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceRecord {
    /// Whose device it is.
    pub client_id: ClientId,
    /// The device. Ids are unique for each client only (R-D-008).
    pub device_id: DeviceId,
    /// What it said about itself; nothing before its first report.
    pub capabilities: Option<CapabilitiesRecord>,
}

impl DeviceRecord {
    /// A device, with what it said about itself.
    #[must_use]
    pub fn new(client_id: ClientId, device_id: DeviceId, capabilities: Option<CapabilitiesRecord>) -> Self {
        Self { client_id, device_id, capabilities }
    }
}

/// One version of an application package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplicationRecord {
    /// The application.
    pub application_id: ApplicationId,
    /// The version, as its description writes it.
    pub version: String,
    /// The exact bytes of its description (`margo.yaml`).
    pub description: Bytes,
    /// When it was stored.
    pub stored_at: Timestamp,
}

impl ApplicationRecord {
    /// A version that is stored at `stored_at`.
    #[must_use]
    pub fn new(
        application_id: ApplicationId,
        version: String,
        description: Bytes,
        stored_at: Timestamp,
    ) -> Self {
        Self { application_id, version, description, stored_at }
    }
}

/// A client's state manifest, with its bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestRecord {
    /// Its version.
    pub version: ManifestVersion,
    /// Its exact bytes.
    pub document: Bytes,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The archive it refers to and the digest of the archive; none for zero deployments (R-B-021).
    pub bundle: Option<(Digest, Bytes)>,
}

impl ManifestRecord {
    /// The manifest with these bytes.
    #[must_use]
    pub fn new(version: ManifestVersion, document: Bytes, bundle: Option<Bytes>) -> Self {
        let digest = Digest::of(&document);
        Self { version, document, digest, bundle: bundle.map(|bytes| (Digest::of(&bytes), bytes)) }
    }
}

/// One step of a client's desired state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Whose desired state changes.
    pub client_id: ClientId,
    /// The version the change was made from.
    pub from: ManifestVersion,
    /// The manifest that takes the place of the one with version `from`.
    pub manifest: ManifestRecord,
    /// The deployments that are new or different, those no longer wanted included.
    pub deployments: Vec<DeploymentRecord>,
}

impl Change {
    /// A step from the manifest with version `from`.
    #[must_use]
    pub fn new(
        client_id: ClientId,
        from: ManifestVersion,
        manifest: ManifestRecord,
        deployments: Vec<DeploymentRecord>,
    ) -> Self {
        Self { client_id, from, manifest, deployments }
    }
}

/// Which content a digest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ContentKind {
    /// The document of the deployment.
    Deployment,
    /// A bundle.
    Bundle,
}

/// One deployment of one application to one target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeploymentRecord {
    /// The deployment: keeps its id while its content changes (R-D-025).
    pub deployment_id: DeploymentId,
    /// Whose device it runs on.
    pub client_id: ClientId,
    /// Where it is to run.
    pub target: DeviceTarget,
    /// What is deployed.
    pub application_id: ApplicationId,
    /// Which version of it.
    pub application_version: String,
    /// The id of the deployment profile that was chosen.
    pub profile: String,
    /// The namespace it runs in.
    pub namespace: String,
    /// The values the operator chose; defaults are not among them.
    pub values: BTreeMap<String, Value>,
    /// The exact bytes of the document, in the client's revision.
    pub document: Bytes,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The version of the manifest that made the latest change.
    pub since: ManifestVersion,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// When it was deleted: it is no longer in the manifest, and the device is to remove it.
    pub deleted_at: Option<Timestamp>,
}

impl DeploymentRecord {
    /// A deployment that is created at `created_at` by the manifest with version `since`.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "a record has as many members as it has")]
    pub fn new(
        deployment_id: DeploymentId,
        client_id: ClientId,
        target: DeviceTarget,
        application_id: ApplicationId,
        application_version: String,
        profile: String,
        namespace: String,
        values: BTreeMap<String, Value>,
        document: Bytes,
        since: ManifestVersion,
        created_at: Timestamp,
    ) -> Self {
        let digest = Digest::of(&document);
        Self {
            deployment_id,
            client_id,
            target,
            application_id,
            application_version,
            profile,
            namespace,
            values,
            document,
            digest,
            since,
            created_at,
            changed_at: created_at,
            deleted_at: None,
        }
    }
}

/// A report about a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusRecord {
    /// Who reported.
    pub client_id: ClientId,
    /// What the report is about.
    pub deployment_id: DeploymentId,
    /// The device it is about, where the report says so.
    pub device_id: Option<DeviceId>,
    /// The revision of the report.
    pub revision: SpecVersion,
    /// The exact bytes of the report.
    pub document: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl StatusRecord {
    /// A report that arrived at `received_at`.
    #[must_use]
    pub fn new(
        client_id: ClientId,
        deployment_id: DeploymentId,
        device_id: Option<DeviceId>,
        revision: SpecVersion,
        document: Bytes,
        received_at: Timestamp,
    ) -> Self {
        Self { client_id, deployment_id, device_id, revision, document, received_at }
    }
}

/// A store could not do what it was asked. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What is to be added exists with other content.
    #[error("`{what}` exists already")]
    Conflict {
        /// What exists.
        what: String,
    },
    /// What is to be changed does not exist.
    #[error("`{what}` is not known")]
    NotFound {
        /// What does not exist.
        what: String,
    },
    /// The gateway of a device is not known.
    #[error("gateway `{gateway}` is not known")]
    NoGateway {
        /// The gateway.
        gateway: DeviceId,
    },
    /// Somebody else was faster; read again and try again.
    #[error("the desired state of `{client_id}` has changed meanwhile")]
    Stale {
        /// Whose desired state has changed.
        client_id: ClientId,
    },
    /// The store itself failed, or holds what it never wrote.
    #[error("the store failed")]
    Failed(#[source] BoxError),
}

impl StoreError {
    /// The store itself failed because of `cause`.
    pub fn failed(cause: impl Into<BoxError>) -> Self {
        Self::Failed(cause.into())
    }
}
