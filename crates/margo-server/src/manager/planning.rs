//! What it takes to do what an operator asks: everything is worked out, and every fault found, before anything is
//! written.

use std::collections::{BTreeMap, BTreeSet};

use margo_api::{DesiredStatePublisher, FieldError};
use margo_core::{ApplicationId, ClientId, DeviceTarget, Digest};

use super::error::{OperatorError, keep};
use super::event::ChangeKind;
use super::order::{DeleteRequest, DeployRequest, ReconfigureRequest, Selection, UpdateRequest};
use super::package::{BuildError, Choice, Order, Package, effective_values};
use super::placement::{Judgement, judge_target, spoken};
use super::plan::{Desk, Plan};
use super::selecting::Purpose;
use super::view::ReasonView;
use super::{Manager, new_deployment_id};
use crate::store::{ClientRecord, DeploymentRecord, Store};

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    pub(super) async fn plan(&self, verb: &Verb<'_>) -> Result<Plan, OperatorError> {
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
        let application = self.application(&request.application_id, request.version.as_deref()).await?;
        let application = keep(&mut errors, application);
        match (request.targets.is_empty(), request.spread) {
            (true, None) => errors.push(FieldError::new("targets", "expected at least one device")),
            (false, Some(_)) => {
                errors.push(FieldError::new("spread", "is for when no device is named"));
            }
            _ => {}
        }
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
            Choice { check: values.clone(), remember: values }
        });
        if let Some(profile) = profile {
            errors.extend(value_errors(package.check_values(profile, &choice.check), ""));
        }
        let Some(profile) = profile.filter(|_| errors.is_empty()) else {
            return Err(OperatorError::Invalid { errors });
        };

        let mut plan = Plan::default();
        let named: BTreeSet<ClientId> = targets.iter().map(|(client, _)| client.client_id.clone()).collect();
        let fleet = self.fleet(|client| request.spread.is_some() || named.contains(client)).await?;
        let targets = match request.spread {
            Some(spread) => {
                let application = (&request.application_id, version.as_str(), &package);
                self.spread(spread, &fleet, application, profile).await?
            }
            None => targets,
        };
        let mut desks = self.desks(targets.iter().map(|(client, _)| client)).await?;
        for (index, (client, target)) in targets.into_iter().enumerate() {
            let judgement = judge_target(&package, profile, &client.client_id, &target, &fleet);
            let refusals =
                judgement.refusals.iter().map(|reason| misfit(&format!("targets[{index}]"), &target, reason));
            errors.extend(refusals);
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
            plan.doubt(&deployment_id, &target, judgement.doubts);
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
        let meant: BTreeSet<ClientId> = selected.iter().map(|(_, client)| client.client_id.clone()).collect();
        let fleet = self.fleet(|client| change.version.is_some() && meant.contains(client)).await?;
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
            // What is there already is not asked again: its constraints are those it was placed by.
            let is_moved = version != record.application_version;
            let judgement = if is_moved {
                judge_target(package, &record.profile, &client.client_id, &record.target, &fleet)
            } else {
                Judgement::default()
            };
            errors.extend(judgement.refusals.iter().map(|reason| misfit("version", &record.target, reason)));

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
            plan.doubt(id, &record.target, judgement.doubts);
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

    /// What a client is to run, in the words of its revision.
    pub(super) async fn plan_restatement(&self, client: &ClientRecord) -> Result<Plan, OperatorError> {
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
}

/// What an operator asks to be done to deployments.
pub(super) enum Verb<'a> {
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

/// A device that was named and does not fit (R-D-028).
fn misfit(field: &str, target: &DeviceTarget, reason: &ReasonView) -> FieldError {
    FieldError::new(field, format!("`{target}` does not fit: {}", spoken(reason)))
}

/// RFC 1123, 2.1, as Kubernetes wants it.
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
