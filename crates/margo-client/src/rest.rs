use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{StatusCode, Uri};
use margo_api::endpoint::{
    Dialect, EncodeError, Endpoint, Reply, get_bundle, get_deployment, get_desired_state, remove_device,
    report_capabilities, report_deployment_status,
};
use margo_api::{
    CapabilitySink, Checkpoint, Credentials, DesiredStateSource, SinkError, SinkErrorKind, SourceError,
    SourceErrorKind, StatusSink, Update,
};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{
    ClientId, DeploymentId, DeviceId, DeviceTarget, Digest, Document, DowngradeError, Loss, SpecVersion,
};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, BundleRef, DeploymentRef, DesiredStateManifest,
    read_bundle, verify_bundle,
};
use margo_identity::BearerCredentials;
use margo_status::{AnyDeploymentStatus, DeploymentStatusManifest};
use margo_syntax::Limits;
use tracing::Instrument as _;
use url::Url;

use crate::base::Base;
use crate::failure::Failure;
use crate::{ClientLimits, HttpOptions, HttpTransport, SetupError, Transport};

/// Up to this many deployments are fetched one by one even if there is a bundle: a bundle holds all of them, and
/// most changes are about one.
const FETCHED_SINGLY: usize = 3;

/// The most bytes of an answer to a report. The specification defines none (X-D-46), so it is not looked at.
const MAX_ANSWER: usize = 1 << 20;

/// One manager, as one of its clients sees it over REST.
///
/// # What is said to which revision
///
/// Reports arrive in the newest revision's words and leave in those of `version`; what it cannot say is
/// [`SinkErrorKind::Unsayable`]. Deployments arrive in the words of an rc.1 or rc.2 manager, are verified as they are,
/// and are handed out in those of the newest; what is lost on the way is [told](Self::with_loss_observer). In the
/// pre-draft desired state is in Git, and [`poll`](DesiredStateSource::poll) finds nothing.
///
/// # What failures mean
///
/// | The manager | As a source | As a sink |
/// | --- | --- | --- |
/// | answers 401, 403, 407, or the type `not-authorized`; refuses the device's certificate | `Unauthorized` | `Unauthorized` |
/// | answers 404, 410, or a type that says what is not found | `NotFound` | `Rejected` |
/// | answers so without a problem or any JSON: a proxy whose manager is away | `NotFound` | `Unavailable`: the report is kept |
/// | answers 408, 425, 429, 5xx, or another status with `retryable: true` | `Unavailable` | `Unavailable` |
/// | answers another 4xx | `Corrupt` | `Rejected` |
/// | does not answer, or not completely | `Unavailable` | `Unavailable` |
/// | answers what cannot be read or has too many bytes, or redirects | `Corrupt` | `Unavailable`: the report is kept |
///
/// A delay comes from `Retry-After`, in seconds or as a date, else from the problem (R-D-038). It is passed on as it
/// was said, however long.
///
/// # Where content is fetched
///
/// At the routes of the specification, below the base address and its path. A manifest that names another place is
/// followed within the manager's own origin; a path is then resolved as RFC 3986 says, `/…` from the root of the
/// host. Anything else is `Corrupt`, and receives neither request nor credentials.
#[derive(Clone, Debug)]
pub struct RestClient<T, C> {
    base: Base,
    version: SpecVersion,
    transport: T,
    credentials: C,
    client: Option<ClientId>,
    device: Option<DeviceId>,
    limits: ClientLimits,
    loss_observer: Option<LossObserver>,
    reported: Arc<Mutex<BTreeSet<DeviceId>>>,
}

#[derive(Clone)]
struct LossObserver(Arc<ObserveLosses>);

type ObserveLosses = dyn Fn(&DeploymentId, &[Loss]) + Send + Sync;

impl fmt::Debug for LossObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LossObserver")
    }
}

impl RestClient<HttpTransport, BearerCredentials> {
    /// The manager at `base`, which speaks `version`, for the client with this token: with the default options of
    /// [`HttpTransport`].
    ///
    /// ```
    /// use margo_client::RestClient;
    /// use margo_core::SpecVersion;
    /// use margo_identity::Token;
    ///
    /// let token = Token::generate()?; // in earnest: what the manager printed when the device was onboarded
    /// let base = "http://127.0.0.1:8080".parse()?;
    /// let client = RestClient::connect(base, SpecVersion::PreDraft, token)?.with_device("plc-7".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) and [`HttpTransport::new`]; and [`SetupError::Certificate`] for an `https`
    /// address, because the default options trust no authority: see [`HttpOptions::with_root_certificate`].
    pub fn connect(
        base: Url,
        version: SpecVersion,
        token: impl Into<BearerCredentials>,
    ) -> Result<Self, SetupError> {
        let transport = HttpTransport::new(&HttpOptions::default())?;
        let client = Self::new(base, version, transport, token.into())?;
        if client.base.is_tls() {
            let reason = "none is trusted by default".to_owned();
            return Err(SetupError::Certificate { reason });
        }
        Ok(client)
    }
}

impl<T, C> RestClient<T, C> {
    /// The manager at `base`, which speaks `version`. A path in `base` stays in front of every route.
    ///
    /// # Errors
    ///
    /// [`SetupError::BaseUrl`] unless `base` is an `http` or `https` address without credentials, query and
    /// fragment.
    pub fn new(base: Url, version: SpecVersion, transport: T, credentials: C) -> Result<Self, SetupError> {
        let base = Base::new(base)?;
        if base.is_exposed() {
            tracing::warn!("credentials and reports leave this machine unencrypted");
        }
        Ok(Self {
            base,
            version,
            transport,
            credentials,
            client: None,
            device: None,
            limits: ClientLimits::default(),
            loss_observer: None,
            reported: Arc::default(),
        })
    }

    /// Says who the client is, as the manager called it at [onboarding](crate::Onboarding): rc.1 and rc.2 name the client
    /// in every path (R-B-006).
    #[must_use]
    pub fn with_client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Tells `observe` what a deployment of an older revision says that has no place in the newest one. It is logged as
    /// well.
    #[must_use]
    pub fn with_loss_observer(
        mut self,
        observe: impl Fn(&DeploymentId, &[Loss]) + Send + Sync + 'static,
    ) -> Self {
        self.loss_observer = Some(LossObserver(Arc::new(observe)));
        self
    }

    /// Says which device status reports are about where they do not say it themselves: the pre-draft names the
    /// device in the path (A3). Also the device that deployments of rc.1 are for, which do not say.
    #[must_use]
    pub fn with_device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Sets how much the manager may send.
    #[must_use]
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl<T: Transport, C: Credentials> RestClient<T, C> {
    /// One exchange. `at` is where a manifest says the answer is, if it does.
    async fn call<E: Endpoint>(
        &self,
        endpoint: E,
        at: Option<&str>,
        max_body: usize,
    ) -> Result<E::Response, Failure> {
        let mut dialect = Dialect::new(self.version);
        dialect.client_id = self.client.as_ref();
        let mut request = endpoint.to_http(dialect)?;
        *request.uri_mut() = match at {
            Some(at) if !is_route(at, request.uri()) => self.base.resolve(at)?,
            _ => self.base.route(request.uri())?,
        };
        // Addresses hold no secrets: those with credentials are refused.
        let span = tracing::debug_span!("exchange", method = %request.method(), uri = %request.uri());
        async {
            let mut response = self.exchange(request.clone(), max_body).await?;
            if let Err(refused) = response {
                // R-A-012: a token may have ended on the way; once, because the next one may be refused as well.
                response = if self.credentials.renew(&refused.request).await {
                    self.exchange(request, max_body).await?
                } else {
                    Err(refused)
                };
            }
            let response = response.unwrap_or_else(|refused| refused.response);
            let headers = response.headers().clone();
            E::Response::from_http(response).map_err(|error| Failure::response(error, &headers))
        }
        .instrument(span)
        .await
    }

    /// One request with its answer; apart, with the request, if the answer is that its proof was refused.
    async fn exchange(
        &self,
        mut request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<Result<http::Response<Bytes>, Box<Refused>>, Failure> {
        self.credentials.authorize(&mut request).await?;
        let response = self.transport.send(request.clone(), max_body).await?;
        tracing::debug!(status = response.status().as_u16(), bytes = response.body().len(), "answered");
        Ok(match response.status() {
            StatusCode::UNAUTHORIZED => Err(Box::new(Refused { request, response })),
            _ => Ok(response),
        })
    }

    /// The exact bytes of a bundle, unpacked and compared with the manifest.
    async fn fetch_bundle(
        &self,
        bundle: &BundleRef,
        manifest: &DesiredStateManifest,
    ) -> Result<BTreeMap<Digest, Bytes>, SourceError> {
        let limits = self.limits.for_bundle();
        let max_body = usize::try_from(limits.max_compressed).unwrap_or(usize::MAX);
        let request = get_bundle::Request::new(bundle.digest);
        let get_bundle::Response::Bundle { bytes, .. } =
            self.call(request, Some(&bundle.url), max_body).await?
        else {
            return Err(Failure::unexpected(StatusCode::NOT_MODIFIED).into());
        };
        let expected = bundle.digest;
        // Hundreds of megabytes may have to be hashed and unpacked.
        let unpacking = tokio::task::spawn_blocking(move || {
            Document::decode_verified(bytes, expected, |bytes| read_bundle(bytes, &limits))
        });
        let entries = unpacking
            .await
            .map_err(|cause| SourceError::because(SourceErrorKind::Unavailable, cause))?
            .map_err(corrupt)?
            .into_value();
        verify_bundle(entries, manifest).map_err(corrupt)
    }

    /// Bytes become a deployment only if they are the ones `reference` names (R-B-026, R-B-027).
    fn decode(
        &self,
        reference: &DeploymentRef,
        bytes: Bytes,
    ) -> Result<Document<ApplicationDeployment>, SourceError> {
        let limits = Limits::default().with_max_bytes(self.limits.max_deployment);
        let read = Document::decode_verified(bytes, reference.digest, |bytes| match self.version {
            SpecVersion::V1_0_0Rc3 => {
                ApplicationDeployment::parse(bytes, &limits).map(AnyApplicationDeployment::Rc3)
            }
            // Three shapes are called rc.2 alone (rev-C 5): the shape decides, not what was configured.
            _ => AnyApplicationDeployment::parse(bytes, &limits),
        })
        .map_err(corrupt)?;
        let target = match read.value() {
            AnyApplicationDeployment::Rc3(newest) => newest.metadata.device_id.clone(),
            AnyApplicationDeployment::Rc2(named) => named.metadata.device_id.clone(),
            _ => self.target().ok_or_else(|| corrupt("it does not say for which device it is"))?,
        };
        let mut losses = Vec::new();
        let document = read.map(|read| {
            let upgraded = read.upgrade(&target);
            losses = upgraded.losses;
            upgraded.value
        });
        if !losses.is_empty() {
            for loss in &losses {
                tracing::warn!(deployment = %document.id, %loss, "left out: it has no place any more");
            }
            if let Some(LossObserver(observe)) = &self.loss_observer {
                observe(&document.id, &losses);
            }
        }
        if document.id != reference.deployment_id {
            let message = format!("`{}` is listed as `{}`", document.id, reference.deployment_id);
            return Err(corrupt(message));
        }
        Ok(document)
    }

    /// For whom a deployment is that does not say it itself: in rc.1 a client is one device (X-B-40).
    fn target(&self) -> Option<DeviceTarget> {
        let device = self.device.clone().map(DeviceTarget::from);
        device.or_else(|| self.client.as_ref()?.as_str().parse().ok())
    }

    /// Whose capabilities the manager has from us.
    fn reported(&self) -> MutexGuard<'_, BTreeSet<DeviceId>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pre-draft has one segment for the device in its paths; a device behind a gateway has several.
    fn require_one_segment(&self, device: Option<&DeviceId>) -> Result<(), SinkError> {
        if self.version == SpecVersion::PreDraft && device.is_some_and(|device| device.gateway().is_some()) {
            let error = DowngradeError::new(self.version, "", "devices behind a gateway have no place");
            return Err(Failure::from(EncodeError::Unsayable(error)).into());
        }
        Ok(())
    }
}

impl<T: Transport, C: Credentials> DesiredStateSource for RestClient<T, C> {
    async fn poll(&self, last: Option<Checkpoint>) -> Result<Update, SourceError> {
        let known = last.map(|checkpoint| checkpoint.digest);
        let request = get_desired_state::Request::new(known);
        match self.call(request, None, self.limits.max_manifest).await? {
            get_desired_state::Response::NotModified(_) if known.is_some() => Ok(Update::Unchanged),
            get_desired_state::Response::NotModified(_) => {
                Err(Failure::unexpected(StatusCode::NOT_MODIFIED).into())
            }
            // A manager, or a cache before it, need not look at what is known.
            get_desired_state::Response::Manifest(manifest) if Some(manifest.digest()) == known => {
                Ok(Update::Unchanged)
            }
            get_desired_state::Response::Manifest(manifest) => Ok(Update::Changed(manifest)),
        }
    }

    async fn fetch(&self, reference: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        let request = get_deployment::Request::new(reference.deployment_id.clone(), reference.digest);
        match self.call(request, Some(&reference.url), self.limits.max_deployment).await? {
            get_deployment::Response::Deployment { bytes, .. } => self.decode(reference, bytes),
            get_deployment::Response::NotModified(_) => {
                Err(Failure::unexpected(StatusCode::NOT_MODIFIED).into())
            }
        }
    }

    /// Fetches the bundle when more than three deployments are wanted, else each alone.
    ///
    /// A bundle is a shortcut, never the only way: when it is missing, too large, not what was announced (R-B-027),
    /// or does not arrive, it is dropped and the deployments are fetched one by one, each verified by its own digest.
    /// The error is then the one that stopped *them*. Only a manager that does not know the client, or says when to
    /// come back, is not asked again at once.
    async fn fetch_all(
        &self,
        manifest: &DesiredStateManifest,
        references: &[DeploymentRef],
    ) -> Result<Vec<Document<ApplicationDeployment>>, SourceError> {
        let content = match &manifest.bundle {
            Some(bundle) if references.len() > FETCHED_SINGLY => {
                match self.fetch_bundle(bundle, manifest).await {
                    Ok(content) => content,
                    Err(error)
                        if error.kind() == SourceErrorKind::Unauthorized || error.retry_after().is_some() =>
                    {
                        return Err(error);
                    }
                    Err(error) => {
                        let cause = error.source().map(ToString::to_string);
                        tracing::warn!(%error, cause, digest = %bundle.digest, "bundle is of no use");
                        BTreeMap::new()
                    }
                }
            }
            _ => BTreeMap::new(),
        };
        let mut fetched = Vec::with_capacity(references.len());
        for reference in references {
            fetched.push(match content.get(&reference.digest) {
                Some(bytes) => self.decode(reference, bytes.clone())?,
                None => self.fetch(reference).await?,
            });
        }
        Ok(fetched)
    }
}

impl<T: Transport, C: Credentials> StatusSink for RestClient<T, C> {
    async fn report_status(&self, status: &DeploymentStatusManifest) -> Result<(), SinkError> {
        let bytes = margo_syntax::to_canonical_json(status).map_err(unsayable)?;
        let status = AnyDeploymentStatus::decode_as(bytes.into(), SpecVersion::LATEST, &Limits::default())
            .map_err(unsayable)?;
        let mut report = report_deployment_status::Request::new(status);
        report.device_id = report.device_id.or_else(|| self.device.clone());
        self.require_one_segment(report.device_id.as_ref())?;
        self.call(report, None, MAX_ANSWER).await?;
        Ok(())
    }
}

impl<T: Transport, C: Credentials> CapabilitySink for RestClient<T, C> {
    async fn report_capabilities(&self, capabilities: &AnyDeviceCapabilities) -> Result<(), SinkError> {
        self.require_one_segment(Some(capabilities.device_id()))?;
        let capabilities = AnyDeviceCapabilities::decode_as(
            capabilities.to_json().into(),
            capabilities.revision(),
            &Limits::default(),
        )
        .map_err(unsayable)?;
        let mut request = report_capabilities::Request::new(capabilities);
        let device = request.device_id.clone();
        // R-B-016: first a POST, then a PUT, where the revision has both.
        if self.reported().contains(&device) {
            request = request.as_update();
        }
        self.call(request, None, MAX_ANSWER).await?;
        self.reported().insert(device);
        Ok(())
    }

    async fn remove_device(&self, device: &DeviceId) -> Result<(), SinkError> {
        self.call(remove_device::Request::new(device.clone()), None, MAX_ANSWER).await?;
        self.reported().remove(device);
        Ok(())
    }
}

/// A request whose proof was refused, and how.
struct Refused {
    request: http::Request<Bytes>,
    response: http::Response<Bytes>,
}

/// Whether a manifest names the place of the specification. A colon in a path may be percent-encoded.
fn is_route(at: &str, route: &Uri) -> bool {
    at.replace("%3A", ":").replace("%3a", ":") == route.path()
}

fn corrupt(cause: impl Into<margo_api::BoxError>) -> SourceError {
    SourceError::because(SourceErrorKind::Corrupt, cause)
}

fn unsayable(cause: impl Into<margo_api::BoxError>) -> SinkError {
    SinkError::because(SinkErrorKind::Unsayable, cause)
}
