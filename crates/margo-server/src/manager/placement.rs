//! Which devices can host an application: asked before anything is deployed, and answered from what they reported.

use std::collections::BTreeMap;

use bytes::Bytes;
use margo_api::{DesiredStatePublisher, FieldError};
use margo_capability::{AnyDeviceCapabilities, DeviceCapabilitiesManifest};
use margo_core::{ApplicationId, ClientId, DeviceId, DeviceTarget};
use margo_placement::{Criterion, Outcome, Placement, Reason, evaluate};
use margo_syntax::Limits;

use super::Manager;
use super::error::OperatorError;
use super::order::{PlacementRequest, Spread};
use super::package::Package;
use super::view::{PlacementView, Placements, ReasonView};
use crate::store::{ClientRecord, DeviceRecord, Store};

impl<S: Store, P: DesiredStatePublisher> Manager<S, P> {
    /// Which devices can host an application, and why the others cannot (R-D-027). Nothing is changed by asking.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Malformed`] and [`OperatorError::Invalid`] for a description with faults;
    /// [`OperatorError::Invalid`] for an application, version or profile that does not exist.
    pub async fn placements(&self, request: &PlacementRequest) -> Result<Placements, OperatorError> {
        let (application_id, version, package) = match (&request.application_id, &request.description) {
            (Some(id), None) => {
                let found = self.application(id, request.version.as_deref()).await?;
                let (version, package) =
                    found.map_err(|fault| OperatorError::Invalid { errors: vec![fault] })?;
                (id.clone(), version, package)
            }
            (None, Some(description)) if request.version.is_none() => {
                Package::upload(&Bytes::from(description.clone()))?
            }
            _ => {
                let message = "expected `applicationId`, with or without `version`, or else `description`";
                return Err(OperatorError::invalid("applicationId", message));
            }
        };
        let profiles: Vec<&str> = match &request.profile {
            Some(profile) => {
                let found = package.profile(Some(profile));
                vec![found.map_err(|message| OperatorError::invalid("profile", message))?]
            }
            None => package.profiles().collect(),
        };
        let fleet = self.fleet(|_| true).await?;
        let answers = fleet.iter().flat_map(|candidate| {
            profiles.iter().map(|profile| judge(&package, profile, candidate).view(candidate, profile))
        });
        Ok(Placements { application_id, version, placements: answers.collect() })
    }

    /// The devices of those clients that are meant and served, with what they said about themselves.
    pub(super) async fn fleet(
        &self,
        is_meant: impl Fn(&ClientId) -> bool + Send,
    ) -> Result<Vec<Candidate>, OperatorError> {
        let is_meant = |client: &ClientRecord| client.retired_at.is_none() && is_meant(&client.client_id);
        let clients = self.store.clients().await?.into_iter().filter(is_meant);
        let clients: BTreeMap<_, _> = clients.map(|client| (client.client_id.clone(), client)).collect();
        let candidate = |device: DeviceRecord| {
            let client = clients.get(&device.client_id)?.clone();
            Some(Candidate::new(client, device))
        };
        self.store.devices().await?.into_iter().filter_map(candidate).collect()
    }

    /// The devices of `fleet` that an application is to run on when none is named (R-D-028).
    pub(super) async fn spread(
        &self,
        spread: Spread,
        fleet: &[Candidate],
        (application_id, version, package): (&ApplicationId, &str, &Package),
        profile: &str,
    ) -> Result<Vec<(ClientRecord, DeviceTarget)>, OperatorError> {
        let mut fitting = Vec::new();
        let mut errors = Vec::new();
        let mut namesakes: BTreeMap<&DeviceId, usize> = BTreeMap::new();
        for candidate in fleet {
            *namesakes.entry(&candidate.device).or_default() += 1;
        }
        for candidate in fleet {
            let judgement = judge(package, profile, candidate);
            if judgement.refusals.is_empty() {
                fitting.push(candidate);
            }
            let name = candidate.name(namesakes[&candidate.device] == 1);
            errors.extend(judgement.refusals.iter().map(|reason| FieldError::new(&name, spoken(reason))));
        }
        if fitting.is_empty() {
            return Err(OperatorError::NotPlaceable {
                application_id: application_id.clone(),
                version: version.to_owned(),
                devices: fleet.len(),
                errors,
            });
        }
        if spread == Spread::Anywhere {
            let mut busy: BTreeMap<(ClientId, DeviceId), usize> = BTreeMap::new();
            for record in self.store.deployments(None).await? {
                if record.deleted_at.is_none() {
                    *busy.entry((record.client_id, record.target.device())).or_default() += 1;
                }
            }
            let load = |candidate: &Candidate| {
                let key = (candidate.client.client_id.clone(), candidate.device.clone());
                busy.get(&key).copied().unwrap_or_default()
            };
            // Of several with as little to do, the first by client and id.
            let least = fitting.iter().copied().min_by_key(|candidate| load(candidate));
            fitting = least.into_iter().collect();
        }
        let place = |candidate: &Candidate| (candidate.client.clone(), candidate.device.clone().into());
        Ok(fitting.into_iter().map(place).collect())
    }
}

/// A device of a client that is served.
pub(super) struct Candidate {
    client: ClientRecord,
    device: DeviceId,
    /// In the newest revision's words; nothing before its first report.
    capabilities: Option<DeviceCapabilitiesManifest>,
}

impl Candidate {
    fn new(client: ClientRecord, device: DeviceRecord) -> Result<Self, OperatorError> {
        let read = |record: crate::store::CapabilitiesRecord| {
            AnyDeviceCapabilities::decode_as(record.document, record.revision, &Limits::default())
                .map(|reported| reported.into_value().upgrade().value)
                .map_err(OperatorError::failed)
        };
        let capabilities = device.capabilities.map(read).transpose()?;
        Ok(Self { client, device: device.device_id, capabilities })
    }

    /// As operators name it, with its client where that is needed.
    fn name(&self, is_only: bool) -> String {
        if is_only { self.device.to_string() } else { format!("{}:{}", self.client.client_id, self.device) }
    }
}

/// What became of comparing a profile with a device.
#[derive(Default)]
pub(super) struct Judgement {
    /// Why not.
    pub(super) refusals: Vec<ReasonView>,
    /// What is not known.
    pub(super) doubts: Vec<ReasonView>,
}

impl Judgement {
    fn view(self, candidate: &Candidate, profile: &str) -> PlacementView {
        PlacementView {
            client_id: candidate.client.client_id.clone(),
            device: candidate.device.clone(),
            profile: profile.to_owned(),
            fits: self.refusals.is_empty(),
            refusals: self.refusals,
            warnings: self.doubts,
        }
    }
}

/// Whether the device is known to have what the profile needs. One that said nothing is not.
fn judge(package: &Package, profile: &str, candidate: &Candidate) -> Judgement {
    let Some(capabilities) = &candidate.capabilities else {
        return Judgement { refusals: vec![silent()], ..Judgement::default() };
    };
    let Some(needs) = package.needs(profile) else { return Judgement::default() };
    let placement = evaluate(&needs, capabilities);
    let refusals = placement.refusals().map(|reason| reason_view(reason, &placement));
    let target = candidate.device.clone().into();
    let unsayable = package.unsayable(profile, &target, candidate.client.revision);
    Judgement {
        refusals: refusals.chain(unsayable.into_iter().map(plain_reason)).collect(),
        doubts: placement.warnings().map(|reason| reason_view(reason, &placement)).collect(),
    }
}

/// The same for what an operator names, who may know more than the manager: a device that said nothing refuses nothing.
/// Of the devices behind a gateway that may choose, one that fits is enough.
pub(super) fn judge_target(
    package: &Package,
    profile: &str,
    client: &ClientId,
    target: &DeviceTarget,
    fleet: &[Candidate],
) -> Judgement {
    let behind = format!("{}/", target.device());
    let is_meant = |candidate: &&Candidate| {
        candidate.client.client_id == *client
            && if target.is_any_behind() {
                candidate.device.as_str().starts_with(&behind)
            } else {
                candidate.device == target.device()
            }
    };
    let mut refusals = Vec::new();
    let mut silent_ones = 0;
    for candidate in fleet.iter().filter(is_meant) {
        let (Some(needs), Some(capabilities)) = (package.needs(profile), &candidate.capabilities) else {
            silent_ones += 1;
            continue;
        };
        let placement = evaluate(&needs, capabilities);
        if placement.fits() {
            let doubts = placement.warnings().map(|reason| reason_view(reason, &placement)).collect();
            return Judgement { refusals: Vec::new(), doubts };
        }
        refusals.extend(placement.refusals().map(|reason| {
            let mut reason = reason_view(reason, &placement);
            if target.is_any_behind() {
                reason.message = format!("{}: {}", candidate.device, reason.message);
            }
            reason
        }));
    }
    if silent_ones > 0 || refusals.is_empty() {
        return Judgement { refusals: Vec::new(), doubts: vec![silent()] };
    }
    Judgement { refusals, doubts: Vec::new() }
}

/// A reason in one sentence.
pub(super) fn spoken(reason: &ReasonView) -> String {
    let because: Vec<_> = reason.because.iter().map(|reason| reason.message.as_str()).collect();
    if because.is_empty() {
        reason.message.clone()
    } else {
        format!("{} ({})", reason.message, because.join("; "))
    }
}

fn silent() -> ReasonView {
    plain_reason("it has not reported its capabilities".to_owned())
}

fn plain_reason(message: String) -> ReasonView {
    ReasonView { message, asked: String::new(), offered: String::new(), because: Vec::new() }
}

fn reason_view(reason: &Reason, placement: &Placement) -> ReasonView {
    let one = |reason: &Reason| ReasonView {
        message: reason.message.clone(),
        asked: reason.asked.clone(),
        offered: reason.offered.clone(),
        because: Vec::new(),
    };
    let is_behind = |other: &&Reason| {
        reason.criterion == Criterion::Eligibility
            && matches!(other.criterion, Criterion::Expression { .. })
            && other.outcome == Outcome::Unmet
    };
    let because = placement.reasons().iter().filter(is_behind).map(one).collect();
    ReasonView { because, ..one(reason) }
}
