use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use margo_api::{DesiredStatePublisher, FieldError, Publication, Recorded};
use margo_core::{
    ApplicationId, ClientId, DeploymentId, DeviceId, DeviceTarget, Digest, Loss, ManifestVersion, SpecVersion,
};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest, write_bundle};
use margo_identity::Token;
use margo_status::DeploymentState;

use super::error::OperatorError;
use super::event::{ChangeKind, FleetEvent};
use super::order::{
    DeleteRequest, DeployRequest, LinkRequest, OnboardRequest, ReconfigureRequest, Selection, UpdateRequest,
};
use super::package::{BuildError, Order, Package, effective_values};
use super::reception::{certificate_der, check_certificate};
use super::target::TargetRef;
use super::view::{
    ApplicationView, Changed, DeploymentDetail, DeploymentView, DeviceView, Onboarded, ReportView,
    WarningView,
};
use super::{Manager, new_deployment_id};
use crate::store::{
    ApplicationRecord, Change, ClientRecord, ClientUpdate, DeploymentRecord, DeviceRecord, ManifestRecord,
    StatusRecord, Store, StoreError,
};

/// How often a change is tried when writers elsewhere are faster.
const ATTEMPTS: u32 = 16;

/// What an operator does. Every fault of a request is reported at once, and a request with faults changes nothing.
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
        self.change_client(known, client.clone(), None).await?;
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
        let warnings = self.change_client(before, after.clone(), link).await?;
        let of_client =
            |record: &DeploymentRecord| record.client_id == after.client_id && record.deleted_at.is_none();
        Ok(Changed { deployments: self.views(of_client).await?, warnings })
    }

    /// Changes a client, and its documents with it if its revision changes. The turn is taken.
    pub(super) async fn change_client(
        &self,
        before: ClientRecord,
        after: ClientRecord,
        link: Option<ClientId>,
    ) -> Result<Vec<WarningView>, OperatorError> {
        let plan = if before.revision == after.revision {
            Plan::default()
        } else {
            self.plan_restatement(&after).await?
        };
        let mut update = ClientUpdate::new(before, after);
        update.link = link;
        update.change = plan.changes().pop();
        for client in plan.editions.keys() {
            self.not_yet_published(client);
        }
        self.store.update_client(update).await?;
        let warnings = plan.warnings.clone();
        self.make_visible(plan).await;
        Ok(warnings)
    }

    /// What a client is to run, in the words of its revision.
    async fn plan_restatement(&self, client: &ClientRecord) -> Result<Plan, OperatorError> {
        let mut errors = Vec::new();
        let mut plan = Plan::default();
        let mut desks = self.desks(std::iter::once(client)).await?;
        for desk in desks.values_mut() {
            desk.is_restated = true;
            for record in desk.deployments.values().cloned().collect::<Vec<_>>() {
                let suffix = format!(" (deployment {} on {})", record.deployment_id, record.target);
                let stored =
                    self.store.application(&record.application_id, &record.application_version).await?;
                let Some(stored) = stored else { return Err(OperatorError::failed("a package is missing")) };
                let order = Order {
                    deployment_id: record.deployment_id.clone(),
                    target: record.target.clone(),
                    revision: client.revision,
                    profile: &record.profile,
                    namespace: &record.namespace,
                    values: &record.values,
                    previous: None,
                };
                let rendered = match Package::stored(&stored)?.build(order) {
                    Ok(rendered) => rendered,
                    Err(error) => {
                        errors.extend(explain(error, "revision", "revision", &suffix)?);
                        continue;
                    }
                };
                plan.warn(&record.deployment_id, &record.target, &rendered.losses);
                let digest = Digest::of(&rendered.document);
                if digest != record.digest {
                    let (since, changed_at) = (desk.next, self.now());
                    let document = rendered.document;
                    let changed = DeploymentRecord { document, digest, since, changed_at, ..record };
                    desk.put(ChangeKind::Updated, changed);
                }
            }
        }
        plan.finish(desks, errors)
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
        DeviceView::new(&client, &device, version).map_err(OperatorError::Failed)
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
        let views = devices.iter().filter_map(|device| {
            // One that was onboarded between the two is for the next list.
            let (client, version) = clients.get(&device.client_id)?;
            Some(DeviceView::new(client, device, *version).map_err(OperatorError::Failed))
        });
        views.collect()
    }

    /// Stores one version of an application, from the bytes of its `margo.yaml`. The same bytes again are no fault.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Malformed`] for what is not YAML, [`OperatorError::Invalid`] with every fault of the
    /// description, [`OperatorError::Conflict`] when the version is there with other bytes.
    pub async fn upload_application(
        &self,
        description: Bytes,
    ) -> Result<(Recorded, ApplicationView), OperatorError> {
        let (application_id, version, package) = Package::upload(&description)?;
        let mut record = ApplicationRecord::new(application_id, version, description, self.now());
        let recorded = self.store.put_application(record.clone()).await?;
        if recorded == Recorded::Updated
            && let Some(known) = self.store.application(&record.application_id, &record.version).await?
        {
            record = known;
        }
        Ok((recorded, package.view(&record)))
    }

    /// Every version of every application, by id, in the order they were stored.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Failed`] when the store fails.
    pub async fn list_applications(&self) -> Result<Vec<ApplicationView>, OperatorError> {
        let records = self.store.applications().await?;
        records.iter().map(|record| Ok(Package::stored(record)?.view(record))).collect()
    }

    /// Deploys an application to devices, one deployment each: to all of them, or to none.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with every fault: an application, version or profile that does not exist, values
    /// that its configuration does not allow (R-A-039, R-A-040), a device that is not known, is ambiguous, or whose
    /// revision cannot say what would have to be said.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Deploy(request)).await
    }

    /// Brings deployments to another version of their application.
    ///
    /// # Errors
    ///
    /// As [`deploy`](Self::deploy); also for a deployment that does not exist, is deleted, or whose client is retired,
    /// and for a value that may not change any more (R-A-041).
    pub async fn update(&self, request: &UpdateRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Update(request)).await
    }

    /// Changes the parameters of deployments.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn reconfigure(&self, request: &ReconfigureRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Reconfigure(request)).await
    }

    /// Takes deployments out of desired state, so that their devices remove them (R-B-032).
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] for a deployment that does not exist.
    pub async fn delete(&self, request: &DeleteRequest) -> Result<Changed, OperatorError> {
        self.carry_out(Verb::Delete(request)).await
    }

    /// The deployments on a device, of an application, in a state: those that fit all that is asked for; in the order
    /// they were created, deleted ones included.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Failed`] when the store fails.
    pub async fn list_deployments(
        &self,
        device: Option<&TargetRef>,
        application: Option<&ApplicationId>,
        state: Option<&DeploymentState>,
    ) -> Result<Vec<DeploymentView>, OperatorError> {
        let mut views = self
            .views(|record| {
                device.is_none_or(|device| names(device, record))
                    && application.is_none_or(|application| record.application_id == *application)
            })
            .await?;
        views.retain(|view| state.is_none_or(|state| view.state == *state));
        Ok(views)
    }

    /// One deployment, with its document and everything its device said about it.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`] when there is no such deployment.
    pub async fn deployment_view(&self, id: &DeploymentId) -> Result<DeploymentDetail, OperatorError> {
        let absent = || OperatorError::NotFound { what: format!("deployment `{id}`") };
        let record = self.store.deployment(id).await?.ok_or_else(absent)?;
        let client = self.store.client(&record.client_id).await?.ok_or_else(absent)?;
        let history = self.store.status_history(id).await?;
        Ok(DeploymentDetail {
            deployment: DeploymentView::new(&client, &record, history.last())
                .map_err(OperatorError::Failed)?,
            document: String::from_utf8_lossy(&record.document).into_owned(),
            history: history
                .iter()
                .map(|report| ReportView::new(report).map_err(OperatorError::Failed))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Plans, commits and publishes; plans again when a writer elsewhere was faster.
    async fn carry_out(&self, verb: Verb<'_>) -> Result<Changed, OperatorError> {
        let _turn = self.turn.lock().await;
        let mut attempt = 1;
        let plan = loop {
            let plan = self.plan(&verb).await?;
            if plan.editions.is_empty() {
                break plan;
            }
            for client in plan.editions.keys() {
                self.not_yet_published(client);
            }
            match self.store.publish(plan.changes()).await {
                Ok(()) => break plan,
                Err(StoreError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let (selected, warnings) = (plan.selected.clone(), plan.warnings.clone());
        self.make_visible(plan).await;
        let deployments = self.views(|record| selected.contains(&record.deployment_id)).await?;
        Ok(Changed { deployments, warnings })
    }

    /// Publishes what is stored, and tells of it.
    async fn make_visible(&self, plan: Plan) {
        for edition in plan.editions.into_values() {
            for (kind, record) in edition.changed {
                self.announce(FleetEvent::DeploymentChanged {
                    at: self.now(),
                    client_id: record.client_id,
                    deployment_id: record.deployment_id,
                    device: record.target,
                    change: kind,
                    since: record.since,
                });
            }
            self.publish(edition.publication).await;
        }
    }

    async fn plan(&self, verb: &Verb<'_>) -> Result<Plan, OperatorError> {
        match verb {
            Verb::Deploy(request) => self.plan_deploy(request).await,
            Verb::Update(request) => {
                let change = Revaluation { version: Some(&request.version), values: &request.values };
                self.plan_change(&request.select, &change).await
            }
            Verb::Reconfigure(request) => {
                let change = Revaluation { version: None, values: &request.values };
                self.plan_change(&request.select, &change).await
            }
            Verb::Delete(request) => self.plan_delete(&request.select).await,
        }
    }

    async fn plan_deploy(&self, request: &DeployRequest) -> Result<Plan, OperatorError> {
        let mut errors = Vec::new();
        let application = keep(&mut errors, self.application(request).await?);
        let targets = self.targets(&request.targets, &mut errors).await?;
        let namespace = request.namespace.as_deref().unwrap_or(request.application_id.as_str());
        if !is_dns_label(namespace) {
            let message = format!("`{namespace}` is not a DNS label: up to 63 of a-z, 0-9 and inner dashes");
            errors.push(FieldError::new("namespace", message));
        }
        let Some((version, package)) = application else { return Err(OperatorError::Invalid { errors }) };
        let profile = package.profile(request.profile.as_deref());
        let profile = keep(&mut errors, profile.map_err(|message| FieldError::new("profile", message)));
        let choice = package.choose(&BTreeMap::new(), &request.values);
        let choice = choice.unwrap_or_else(|faults| {
            errors.extend(value_errors(faults, ""));
            // Go on with the values that can be checked.
            let known = |name: &str| !request.values.get(name).is_some_and(serde_json::Value::is_null);
            let values: BTreeMap<_, _> = request
                .values
                .iter()
                .filter(|(name, _)| known(name))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            super::package::Choice { check: values.clone(), remember: values }
        });
        if let Some(profile) = profile {
            errors.extend(value_errors(package.check_values(profile, &choice.check), ""));
        }
        let Some(profile) = profile.filter(|_| errors.is_empty()) else {
            return Err(OperatorError::Invalid { errors });
        };

        let mut plan = Plan::default();
        let mut desks = self.desks(targets.iter().map(|(client, _)| client)).await?;
        for (index, (client, target)) in targets.into_iter().enumerate() {
            let Some(desk) = desks.get_mut(&client.client_id) else { continue };
            let deployment_id = new_deployment_id()?;
            let order = Order {
                deployment_id: deployment_id.clone(),
                target: target.clone(),
                revision: client.revision,
                profile,
                namespace,
                values: &choice.check,
                previous: None,
            };
            let rendered = match package.build(order) {
                Ok(rendered) => rendered,
                Err(error) => {
                    errors.extend(explain(error, &format!("targets[{index}]"), "profile", "")?);
                    continue;
                }
            };
            plan.warn(&deployment_id, &target, &rendered.losses);
            plan.selected.insert(deployment_id.clone());
            let record = DeploymentRecord::new(
                deployment_id,
                client.client_id,
                target,
                request.application_id.clone(),
                version.clone(),
                profile.to_owned(),
                namespace.to_owned(),
                choice.remember.clone(),
                rendered.document,
                desk.next,
                self.now(),
            );
            desk.put(ChangeKind::Created, record);
        }
        plan.finish(desks, errors)
    }

    async fn plan_change(&self, select: &Selection, change: &Revaluation<'_>) -> Result<Plan, OperatorError> {
        let mut errors = Vec::new();
        let selected = self.select(select, Purpose::Change, &mut errors).await?;
        let mut plan = Plan::default();
        let mut desks = self.desks(selected.iter().map(|(_, client)| client)).await?;
        let mut packages: BTreeMap<(ApplicationId, String), Option<Package>> = BTreeMap::new();
        for (id, client) in &selected {
            // As its desk has it: read after the version that the change is made from.
            let Some(desk) = desks.get_mut(&client.client_id) else { continue };
            let Some(record) = desk.deployments.get(id).cloned() else { continue };
            plan.selected.insert(id.clone());
            let suffix = format!(" (deployment {id} on {})", record.target);

            let version = change.version.unwrap_or(&record.application_version).to_owned();
            let key = (record.application_id.clone(), version.clone());
            if !packages.contains_key(&key) {
                let stored = self.store.application(&key.0, &version).await?;
                if stored.is_none() {
                    let message = format!("`{}` has no version `{version}`", key.0);
                    errors.push(FieldError::new("version", message));
                }
                let package = stored.as_ref().map(Package::stored).transpose()?;
                packages.insert(key.clone(), package);
            }
            let Some(Some(package)) = packages.get(&key) else { continue };

            let choice = match package.choose(&record.values, change.values) {
                Ok(choice) => choice,
                Err(faults) => {
                    errors.extend(value_errors(faults, &suffix));
                    continue;
                }
            };
            let order = Order {
                deployment_id: id.clone(),
                target: record.target.clone(),
                revision: client.revision,
                profile: &record.profile,
                namespace: &record.namespace,
                values: &choice.check,
                previous: Some(effective_values(&record)?),
            };
            let rendered = match package.build(order) {
                Ok(rendered) => rendered,
                Err(error) => {
                    errors.extend(explain(error, "select", "version", &suffix)?);
                    continue;
                }
            };
            plan.warn(id, &record.target, &rendered.losses);
            let digest = Digest::of(&rendered.document);
            let is_same_content = digest == record.digest;
            if is_same_content && version == record.application_version && choice.remember == record.values {
                continue;
            }
            let mut changed = record;
            changed.application_version = version;
            changed.values = choice.remember;
            // What the device is given stays what it was, unless its bytes differ.
            if !is_same_content {
                changed.document = rendered.document;
                changed.digest = digest;
                changed.since = desk.next;
            }
            changed.changed_at = if is_same_content { changed.changed_at } else { self.now() };
            desk.put(ChangeKind::Updated, changed);
        }
        plan.finish(desks, errors)
    }

    async fn plan_delete(&self, select: &Selection) -> Result<Plan, OperatorError> {
        let mut errors = Vec::new();
        let selected = self.select(select, Purpose::Delete, &mut errors).await?;
        let mut plan = Plan::default();
        let mut desks = self.desks(selected.iter().map(|(_, client)| client)).await?;
        for (id, client) in selected {
            let Some(desk) = desks.get_mut(&client.client_id) else { continue };
            // Those that are deleted already are not on the desk.
            if let Some(mut record) = desk.deployments.get(&id).cloned() {
                let at = self.now();
                record.deleted_at = Some(at);
                record.changed_at = at;
                record.since = desk.next;
                desk.put(ChangeKind::Deleted, record);
            }
            plan.selected.insert(id);
        }
        plan.finish(desks, errors)
    }

    /// The version that is asked for, or the one stored last.
    async fn application(
        &self,
        request: &DeployRequest,
    ) -> Result<Result<(String, Package), FieldError>, OperatorError> {
        let id = &request.application_id;
        let (record, field, message) = if let Some(version) = &request.version {
            let message = format!("`{id}` has no version `{version}`");
            (self.store.application(id, version).await?, "version", message)
        } else {
            let stored = self.store.applications().await?;
            let last = stored.into_iter().rfind(|record| record.application_id == *id);
            (last, "applicationId", format!("no application is `{id}`"))
        };
        match record {
            Some(record) => Ok(Ok((record.version.clone(), Package::stored(&record)?))),
            None => Ok(Err(FieldError::new(field, message))),
        }
    }

    /// The clients and devices that are meant; every one that is not known, or not only one, is a fault.
    async fn targets(
        &self,
        targets: &[TargetRef],
        errors: &mut Vec<FieldError>,
    ) -> Result<Vec<(ClientRecord, DeviceTarget)>, OperatorError> {
        if targets.is_empty() {
            errors.push(FieldError::new("targets", "expected at least one device"));
        }
        let clients = self.store.clients().await?;
        let devices = self.store.devices().await?;
        let mut found = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let field = format!("targets[{index}]");
            let named = |device: &&DeviceRecord| {
                device.device_id == target.device().device()
                    && target.client().is_none_or(|client| device.client_id == *client)
            };
            let mut candidates = devices.iter().filter(named).filter_map(|device| {
                clients
                    .iter()
                    .find(|client| client.client_id == device.client_id && client.retired_at.is_none())
            });
            match (candidates.next(), candidates.next()) {
                (Some(client), None) => {
                    let target = (client.clone(), target.device().clone());
                    if found.iter().any(|(other, device): &(ClientRecord, DeviceTarget)| {
                        (&other.client_id, device) == (&target.0.client_id, &target.1)
                    }) {
                        errors.push(FieldError::new(field, format!("`{}` is named twice", target.1)));
                    } else {
                        found.push(target);
                    }
                }
                (None, _) => {
                    errors.push(FieldError::new(field, format!("no device is `{target}`")));
                }
                (Some(first), Some(second)) => {
                    let all = [first, second].into_iter().chain(candidates);
                    let all: Vec<_> =
                        all.map(|client| format!("`{}:{}`", client.client_id, target.device())).collect();
                    let message = format!("`{target}` may be {}", all.join(" or "));
                    errors.push(FieldError::new(field, message));
                }
            }
        }
        Ok(found)
    }

    /// The deployments that are meant, each with its client.
    async fn select(
        &self,
        select: &Selection,
        purpose: Purpose,
        errors: &mut Vec<FieldError>,
    ) -> Result<Vec<(DeploymentId, ClientRecord)>, OperatorError> {
        let by_filter = select.application.is_some() || select.device.is_some();
        match [!select.ids.is_empty(), by_filter, select.all].into_iter().filter(|way| *way).count() {
            0 => errors.push(FieldError::new("select", "expected `ids`, `application`, `device` or `all`")),
            1 => {}
            _ => errors.push(FieldError::new("select", "`ids`, a filter and `all` exclude one another")),
        }
        if !errors.is_empty() {
            return Ok(Vec::new());
        }
        let clients: BTreeMap<_, _> = self
            .store
            .clients()
            .await?
            .into_iter()
            .map(|client| (client.client_id.clone(), client))
            .collect();
        let records = self.store.deployments(None).await?;
        if select.ids.is_empty() {
            let meant = records.into_iter().filter(|record| {
                record.deleted_at.is_none()
                    && select.application.as_ref().is_none_or(|wanted| record.application_id == *wanted)
                    && select.device.as_ref().is_none_or(|device| names(device, record))
            });
            let with_client = meant.filter_map(|record| {
                let client = clients.get(&record.client_id)?.clone();
                // A client that is refused learns of no change; taking away is still worth writing down.
                let is_reached = purpose == Purpose::Delete || client.retired_at.is_none();
                is_reached.then_some((record.deployment_id, client))
            });
            return Ok(with_client.collect());
        }
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, id) in select.ids.iter().enumerate() {
            let field = format!("select.ids[{index}]");
            let known = records.iter().find(|record| record.deployment_id == *id);
            let Some((record, client)) =
                known.and_then(|record| Some((record, clients.get(&record.client_id)?)))
            else {
                errors.push(FieldError::new(field, format!("no deployment is `{id}`")));
                continue;
            };
            if purpose == Purpose::Change && record.deleted_at.is_some() {
                errors.push(FieldError::new(field, format!("`{id}` is deleted")));
            } else if purpose == Purpose::Change && client.retired_at.is_some() {
                let message = format!("the client of `{id}`, `{}`, is retired", client.client_id);
                errors.push(FieldError::new(field, message));
            } else if seen.insert(id) {
                found.push((id.clone(), client.clone()));
            }
        }
        Ok(found)
    }

    /// Reads what a change is made from. The version comes first: whatever is changed after it was read makes the
    /// change stale, so nothing can be lost in between.
    async fn desks<'a>(
        &self,
        clients: impl Iterator<Item = &'a ClientRecord> + Send,
    ) -> Result<BTreeMap<ClientId, Desk>, OperatorError> {
        let clients: BTreeMap<_, _> = clients.map(|client| (&client.client_id, client.revision)).collect();
        let mut desks = BTreeMap::new();
        for (client, revision) in clients {
            let from = self.manifest(client).await?.version;
            let next = from.next().ok_or_else(|| OperatorError::failed("no version is left"))?;
            let wanted = self.store.deployments(Some(client)).await?.into_iter();
            let wanted = wanted.filter(|record| record.deleted_at.is_none());
            let deployments = wanted.map(|record| (record.deployment_id.clone(), record)).collect();
            let desk = Desk { revision, from, next, deployments, changed: Vec::new(), is_restated: false };
            desks.insert(client.clone(), desk);
        }
        Ok(desks)
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

    async fn manifest(&self, client: &ClientId) -> Result<ManifestRecord, OperatorError> {
        let manifest = self.store.manifest(client).await?;
        manifest.ok_or_else(|| OperatorError::failed(format!("`{client}` has no manifest")))
    }

    /// The deployments that fit, in the order they were created.
    async fn views(
        &self,
        fits: impl Fn(&DeploymentRecord) -> bool + Send,
    ) -> Result<Vec<DeploymentView>, OperatorError> {
        let records: Vec<_> = self.store.deployments(None).await?.into_iter().filter(fits).collect();
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let clients: BTreeMap<_, _> = self
            .store
            .clients()
            .await?
            .into_iter()
            .map(|client| (client.client_id.clone(), client))
            .collect();
        let statuses = self.store.statuses(None).await?;
        let statuses: BTreeMap<&DeploymentId, &StatusRecord> =
            statuses.iter().map(|status| (&status.deployment_id, status)).collect();
        let views = records.iter().filter_map(|record| {
            let client = clients.get(&record.client_id)?;
            let latest = statuses.get(&record.deployment_id).copied();
            Some(DeploymentView::new(client, record, latest).map_err(OperatorError::Failed))
        });
        views.collect()
    }
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

enum Verb<'a> {
    Deploy(&'a DeployRequest),
    Update(&'a UpdateRequest),
    Reconfigure(&'a ReconfigureRequest),
    Delete(&'a DeleteRequest),
}

/// What becomes of deployments that stay.
struct Revaluation<'a> {
    version: Option<&'a str>,
    values: &'a BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Change,
    Delete,
}

/// What one client is to run, and what is about to change.
struct Desk {
    revision: SpecVersion,
    from: ManifestVersion,
    next: ManifestVersion,
    /// What is wanted now.
    deployments: BTreeMap<DeploymentId, DeploymentRecord>,
    changed: Vec<(ChangeKind, DeploymentRecord)>,
    /// A manifest is due although no deployment may have changed: another revision has other URLs.
    is_restated: bool,
}

impl Desk {
    fn put(&mut self, kind: ChangeKind, record: DeploymentRecord) {
        if record.deleted_at.is_some() {
            self.deployments.remove(&record.deployment_id);
        } else {
            self.deployments.insert(record.deployment_id.clone(), record.clone());
        }
        self.changed.push((kind, record));
    }
}

/// A change that is ready to be committed.
#[derive(Default)]
struct Plan {
    editions: BTreeMap<ClientId, Edition>,
    selected: BTreeSet<DeploymentId>,
    warnings: Vec<WarningView>,
}

impl Plan {
    fn warn(&mut self, deployment_id: &DeploymentId, device: &DeviceTarget, losses: &[Loss]) {
        self.warnings.extend(losses.iter().map(|loss| WarningView {
            deployment_id: deployment_id.clone(),
            device: device.clone(),
            pointer: loss.pointer.clone(),
            reason: loss.reason.clone(),
        }));
    }

    /// A manifest for every client whose deployments change; none for the others, whose versions stay.
    fn finish(
        mut self,
        desks: BTreeMap<ClientId, Desk>,
        errors: Vec<FieldError>,
    ) -> Result<Self, OperatorError> {
        if !errors.is_empty() {
            return Err(OperatorError::Invalid { errors });
        }
        for (client, desk) in desks {
            if desk.changed.is_empty() && !desk.is_restated {
                continue;
            }
            let (manifest, documents) = manifest(&client, desk.revision, desk.next, &desk.deployments)?;
            let publication = Publication::new(client.clone(), desk.next, documents);
            let edition = Edition { from: desk.from, manifest, publication, changed: desk.changed };
            self.editions.insert(client, edition);
        }
        Ok(self)
    }

    fn changes(&self) -> Vec<Change> {
        let changes = self.editions.iter().map(|(client, edition)| {
            let records = edition.changed.iter().map(|(_, record)| record.clone()).collect();
            Change::new(client.clone(), edition.from, edition.manifest.clone(), records)
        });
        changes.collect()
    }
}

/// The next manifest of one client.
struct Edition {
    from: ManifestVersion,
    manifest: ManifestRecord,
    publication: Publication,
    changed: Vec<(ChangeKind, DeploymentRecord)>,
}

/// The manifest of these deployments, with its bundle (R-B-021, R-B-022, R-B-034). In 1.0.0-rc.1 and 1.0.0-rc.2 its URLs
/// name the client.
fn manifest(
    client: &ClientId,
    revision: SpecVersion,
    version: ManifestVersion,
    deployments: &BTreeMap<DeploymentId, DeploymentRecord>,
) -> Result<(ManifestRecord, Vec<(DeploymentId, Bytes)>), OperatorError> {
    let documents: Vec<_> =
        deployments.iter().map(|(id, record)| (id.clone(), record.document.clone())).collect();
    let bundle =
        (!documents.is_empty()).then(|| write_bundle(documents.iter().map(|(id, document)| (id, document))));
    let bundle_ref = bundle.as_ref().map(|bundle| BundleRef::new(Digest::of(bundle), bundle.len() as u64));
    let references = deployments.iter().map(|(id, record)| {
        let mut reference = DeploymentRef::new(id.clone(), record.digest);
        reference.size_bytes = Some(record.document.len() as u64);
        reference
    });
    let mut manifest = DesiredStateManifest::new(version, bundle_ref, references.collect());
    if matches!(revision, SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2) {
        manifest = manifest.at(revision, client);
    }
    let json = manifest.to_json().map_err(OperatorError::failed)?;
    Ok((ManifestRecord::new(version, json, bundle), documents))
}

fn new_tokens() -> Result<(Token, Token), OperatorError> {
    let token = || Token::generate().map_err(OperatorError::failed);
    Ok((token()?, token()?))
}

/// Whether an operator means this deployment by a device: its target, or the gateway in front of `/*`.
fn names(device: &TargetRef, record: &DeploymentRecord) -> bool {
    device.client().is_none_or(|client| record.client_id == *client)
        && (*device.device() == record.target || *device.device() == record.target.device().into())
}

fn keep<T>(errors: &mut Vec<FieldError>, result: Result<T, FieldError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn value_errors(faults: Vec<(String, String)>, suffix: &str) -> impl Iterator<Item = FieldError> {
    faults
        .into_iter()
        .map(move |(name, message)| FieldError::new(format!("values.{name}"), format!("{message}{suffix}")))
}

/// Puts blame where the request can be changed: on its `values`, or on the members named here.
fn explain(
    error: BuildError,
    device: &str,
    profile: &str,
    suffix: &str,
) -> Result<Vec<FieldError>, OperatorError> {
    Ok(match error {
        BuildError::Failed(error) => return Err(error),
        BuildError::Values(faults) => value_errors(faults, suffix).collect(),
        BuildError::Profile(message) => vec![FieldError::new(profile, format!("{message}{suffix}"))],
        BuildError::Revision(messages) => messages
            .into_iter()
            .map(|message| FieldError::new(device, format!("{message}{suffix}")))
            .collect(),
    })
}

/// RFC 1123, 2.1, as Kubernetes wants it.
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
