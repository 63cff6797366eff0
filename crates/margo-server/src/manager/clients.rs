use std::collections::BTreeMap;

use bytes::Bytes;
use margo_api::{DesiredStatePublisher, FieldError, Publication};
use margo_core::{ClientId, DeviceId, DeviceTarget, ManifestVersion, SpecVersion};
use margo_identity::Token;

use super::Manager;
use super::error::{OperatorError, keep};
use super::event::FleetEvent;
use super::order::{LinkRequest, OnboardRequest, UnlinkRequest};
use super::plan::{Plan, manifest};
use super::reception::{certificate_der, check_certificate};
use super::target::TargetRef;
use super::view::{Changed, DeviceView, Onboarded, WarningView};
use crate::store::{ClientRecord, ClientUpdate, DeploymentRecord, DeviceRecord, Store};

/// Who is served, and as whom. Every fault of a request is reported at once, and a request with faults changes nothing.
impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// Gives a device credentials, and its client a first manifest that lists nothing (R-B-020). The client of a device
    /// that was retired is served again, with what was known of it.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] for a device behind a gateway and for what is no certificate;
    /// [`OperatorError::Conflict`] when the client exists, or a client of that device that is not retired.
    pub async fn onboard(&self, request: OnboardRequest) -> Result<Onboarded, OperatorError> {
        let OnboardRequest { device_id, client_id, revision, certificate } = request;
        let mut errors = Vec::new();
        if let Some(gateway) = device_id.gateway() {
            let message = format!("`{device_id}` is reported by the client of `{gateway}`");
            errors.push(FieldError::new("deviceId", message));
        }
        let certificate =
            keep(&mut errors, certificate.as_deref().map(|text| self.certificate(text)).transpose());
        if !errors.is_empty() {
            return Err(OperatorError::Invalid { errors });
        }
        let newcomer = Newcomer { client_id, device_id, revision, certificate: certificate.flatten() };
        let _turn = self.turn.lock().await;
        let known = self.registered(&TargetRef::from(newcomer.device_id.clone())).await;
        match known {
            Ok(known) if known.retired_at.is_some() => self.take_back(known, newcomer).await,
            Ok(_) => Err(OperatorError::Conflict { what: newcomer.device_id.to_string() }),
            Err(OperatorError::NotFound { .. }) => self.take_on(newcomer).await,
            Err(error) => Err(error),
        }
    }

    /// Adds a client. The turn is taken.
    pub(super) async fn take_on(&self, newcomer: Newcomer) -> Result<Onboarded, OperatorError> {
        let Newcomer { client_id, device_id, revision, certificate } = newcomer;
        let client_id = match client_id {
            Some(client_id) => client_id,
            None => uuid::Uuid::new_v4().to_string().parse().map_err(OperatorError::failed)?,
        };
        let (token, git_token) = new_tokens()?;
        let mut client = ClientRecord::new(
            client_id.clone(),
            device_id.clone(),
            revision,
            token.hash(),
            git_token.hash(),
            self.now(),
        );
        client.certificate = certificate;
        let (manifest, _) = manifest(&client_id, revision, ManifestVersion::FIRST, &BTreeMap::new())?;
        let onboarded = Onboarded::new(&client, token, git_token);

        self.not_yet_published(&client_id);
        self.store.add_client(client, manifest).await?;
        self.announce(FleetEvent::DeviceOnboarded {
            at: self.now(),
            client_id: client_id.clone(),
            device_id,
        });
        self.publish(Publication::new(client_id, ManifestVersion::FIRST, Vec::new())).await;
        Ok(onboarded)
    }

    /// Serves a retired client again, with all that is known of it: an id is never given to another (R-D-019).
    async fn take_back(&self, known: ClientRecord, newcomer: Newcomer) -> Result<Onboarded, OperatorError> {
        if newcomer.client_id.as_ref().is_some_and(|named| *named != known.client_id) {
            return Err(OperatorError::Conflict { what: newcomer.device_id.to_string() });
        }
        let (token, git_token) = new_tokens()?;
        let mut client = known.clone();
        client.revision = newcomer.revision;
        client.retired_at = None;
        (client.token, client.git_token, client.git_token_until) = (token.hash(), git_token.hash(), None);
        client.certificate = newcomer.certificate.or(client.certificate);
        self.change_client(known, client.clone(), Known::default()).await?;
        let (client_id, device_id) = (client.client_id.clone(), client.device_id.clone());
        self.announce(FleetEvent::DeviceOnboarded { at: self.now(), client_id, device_id });
        Ok(Onboarded::new(&client, token, git_token))
    }

    /// Says what a device has become: it keeps its identity, its deployments and its history. Its documents are
    /// written anew where its revision is another one than before. The client id that it has already says that its SVID
    /// bears that id: it speaks 1.0.0-rc.3 from now on, unless another revision is named. What proved who it is before goes on proving it until
    /// [`rotate_tokens`](Self::rotate_tokens).
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] for a device no client was onboarded for, [`OperatorError::Retired`] for a retired
    /// one, [`OperatorError::Invalid`] for what is no certificate and for deployments that the revision cannot say,
    /// [`OperatorError::Conflict`] when the id or the certificate is that of another client that cannot be given up.
    pub async fn link(&self, device: &TargetRef, request: LinkRequest) -> Result<Changed, OperatorError> {
        let mut errors = Vec::new();
        let certificate = request.certificate.as_deref().map(|text| self.certificate(text)).transpose();
        let certificate = keep(&mut errors, certificate).flatten();
        if !errors.is_empty() {
            return Err(OperatorError::Invalid { errors });
        }
        let _turn = self.turn.lock().await;
        let before = self.registered(device).await?;
        if before.retired_at.is_some() {
            return Err(OperatorError::Retired { what: device.to_string() });
        }
        let mut after = before.clone();
        let keeps_its_id = request.client_id.as_ref() == Some(&before.client_id);
        let implied =
            if keeps_its_id { before.revision.max(SpecVersion::V1_0_0Rc3) } else { before.revision };
        after.revision = request.revision.unwrap_or(implied);
        let link = request.client_id.filter(|id| *id != before.client_id);
        let absorbed = match &link {
            Some(id) => self.store.client(id).await?.filter(|client| client.client_id == *id),
            None => None,
        };
        let inherited = absorbed.and_then(|client| client.certificate);
        after.certificate = certificate.or(inherited).or(after.certificate);
        let known = Known { link, unlink: None };
        let warnings = self.change_client(before, after.clone(), known).await?;
        self.as_it_is_now(&after, warnings).await
    }

    /// Takes an id away that a device was linked with. Whoever calls by it is nobody with its next request: not served
    /// until it is onboarded or linked again, here or elsewhere (R-D-019). What there is belongs to the client of the device as
    /// before: its deployments and their history, its repository, its tokens and its certificate; and what became one with
    /// it when they were linked does not come apart.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] for a device no client was onboarded for, and for an id that its client was not linked
    /// with; [`OperatorError::Invalid`] for the client's own id, which it keeps, and for deployments that the revision
    /// cannot say.
    pub async fn unlink(&self, device: &TargetRef, request: UnlinkRequest) -> Result<Changed, OperatorError> {
        let UnlinkRequest { client_id: id, revision } = request;
        let _turn = self.turn.lock().await;
        let before = self.registered(device).await?;
        if before.client_id == id {
            let message =
                format!("`{id}` is what the client itself is called: it can be retired, not unlinked");
            return Err(OperatorError::invalid("clientId", message));
        }
        if !self.store.links().await?.contains(&(id.clone(), before.client_id.clone())) {
            return Err(OperatorError::NotFound {
                what: format!("id `{id}` that `{device}` is linked with"),
            });
        }
        let after = ClientRecord { revision: revision.unwrap_or(before.revision), ..before.clone() };
        let known = Known { link: None, unlink: Some(id) };
        let warnings = self.change_client(before, after.clone(), known).await?;
        self.as_it_is_now(&after, warnings).await
    }

    /// The deployments of a client that was changed.
    async fn as_it_is_now(
        &self,
        client: &ClientRecord,
        warnings: Vec<WarningView>,
    ) -> Result<Changed, OperatorError> {
        let of_client =
            |record: &DeploymentRecord| record.client_id == client.client_id && record.deleted_at.is_none();
        Ok(Changed { deployments: self.views(of_client).await?, warnings })
    }

    /// Changes a client, and its documents with it if its revision changes. The turn is taken.
    pub(super) async fn change_client(
        &self,
        before: ClientRecord,
        after: ClientRecord,
        known: Known,
    ) -> Result<Vec<WarningView>, OperatorError> {
        let plan = if before.revision == after.revision {
            Plan::default()
        } else {
            self.plan_restatement(&after).await?
        };
        let mut update = ClientUpdate::new(before, after);
        (update.link, update.unlink) = (known.link, known.unlink);
        update.change = plan.changes().pop();
        for client in plan.editions.keys() {
            self.not_yet_published(client);
        }
        self.store.update_client(update).await?;
        let warnings = plan.warnings.clone();
        self.make_visible(plan).await;
        Ok(warnings)
    }

    /// The certificate an operator hands over, in DER.
    fn certificate(&self, text: &str) -> Result<Bytes, FieldError> {
        let fault = |message: String| FieldError::new("certificate", message);
        let der =
            certificate_der(text).ok_or_else(|| fault("is neither PEM nor the base64 of DER".to_owned()))?;
        check_certificate(&der, self.unix_now()).map_err(|error| fault(error.to_owned()))?;
        Ok(der)
    }

    /// Gives a client new tokens; the old ones open nothing any more. Nor does the certificate that a client of
    /// 1.0.0-rc.3 signed with when it was older: it proves who it is by its SVID.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] for a device no client was onboarded for, [`OperatorError::Retired`] for a retired
    /// one.
    pub async fn rotate_tokens(&self, device: &TargetRef) -> Result<Onboarded, OperatorError> {
        let (token, git_token) = new_tokens()?;
        let _turn = self.turn.lock().await;
        let mut client = self.registered(device).await?;
        if client.retired_at.is_some() {
            return Err(OperatorError::Retired { what: device.to_string() });
        }
        let before = client.clone();
        client.token = token.hash();
        client.git_token = git_token.hash();
        client.git_token_until = None;
        if client.revision >= SpecVersion::V1_0_0Rc3 {
            client.certificate = None;
        }
        self.store.update_client(ClientUpdate::new(before, client.clone())).await?;
        Ok(Onboarded::new(&client, token, git_token))
    }

    /// Refuses a client from now on (R-D-007). What is stored about it stays. Retiring twice is the same as once.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] for a device no client was onboarded for.
    pub async fn retire(&self, device: &TargetRef) -> Result<DeviceView, OperatorError> {
        let _turn = self.turn.lock().await;
        let mut client = self.registered(device).await?;
        if client.retired_at.is_none() {
            let at = self.now();
            let before = client.clone();
            client.retired_at = Some(at);
            self.store.update_client(ClientUpdate::new(before, client.clone())).await?;
            let (client_id, device_id) = (client.client_id.clone(), client.device_id.clone());
            self.announce(FleetEvent::DeviceRetired { at, client_id, device_id });
        }
        let of_client = |device: &DeviceRecord| {
            device.client_id == client.client_id && device.device_id == client.device_id
        };
        let known = self.store.devices().await?.into_iter().find(of_client);
        let device = known
            .unwrap_or_else(|| DeviceRecord::new(client.client_id.clone(), client.device_id.clone(), None));
        let version = self.manifest(&client.client_id).await?.version;
        DeviceView::new(&client, &device, version, &self.store.links().await?).map_err(OperatorError::Failed)
    }

    /// Every device, by client and id, retired ones included.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Failed`] when the store fails.
    pub async fn list_devices(&self) -> Result<Vec<DeviceView>, OperatorError> {
        let mut clients = BTreeMap::new();
        for client in self.store.clients().await? {
            let version = self.manifest(&client.client_id).await?.version;
            clients.insert(client.client_id.clone(), (client, version));
        }
        let devices = self.store.devices().await?;
        let links = self.store.links().await?;
        let views = devices.iter().filter_map(|device| {
            // One that was onboarded between the two is for the next list.
            let (client, version) = clients.get(&device.client_id)?;
            Some(DeviceView::new(client, device, *version, &links).map_err(OperatorError::Failed))
        });
        views.collect()
    }

    /// The client that was onboarded for a device.
    async fn registered(&self, device: &TargetRef) -> Result<ClientRecord, OperatorError> {
        let meant = |client: &ClientRecord| {
            *device.device() == DeviceTarget::from(client.device_id.clone())
                && device.client().is_none_or(|named| client.client_id == *named)
        };
        let client = self.store.clients().await?.into_iter().find(meant);
        client.ok_or_else(|| OperatorError::NotFound {
            what: format!("client that was onboarded for `{device}`"),
        })
    }
}

/// What becomes of the ids a client is known by.
#[derive(Default)]
pub(super) struct Known {
    link: Option<ClientId>,
    unlink: Option<ClientId>,
}

/// Who is about to become a client.
pub(super) struct Newcomer {
    /// A UUID if none is given.
    pub(super) client_id: Option<ClientId>,
    pub(super) device_id: DeviceId,
    pub(super) revision: SpecVersion,
    /// In DER, checked.
    pub(super) certificate: Option<Bytes>,
}

fn new_tokens() -> Result<(Token, Token), OperatorError> {
    let token = || Token::generate().map_err(OperatorError::failed);
    Ok((token()?, token()?))
}
