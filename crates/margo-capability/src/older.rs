//! What the older revisions share on their way to the newest one and back.

use margo_core::{DowngradeError, Extensions, Loss, SpecVersion, Upgraded};
use margo_syntax::{Pointer, pointer};
use serde_json::Value;

use crate::{DeploymentType, Runtime};

pub(crate) const NO_MEANING: &str = "there is no such member";

/// The members the newest revision's properties have and an older one's have not.
pub(crate) const NEWER_PROPERTIES: [&str; 6] =
    ["cpus", "memory", "storage", "otelCollector", "supportedRuntimes", "supportedDeploymentTypes"];

#[derive(Default)]
pub(crate) struct Losses(pub(crate) Vec<Loss>);

impl Losses {
    pub(crate) fn add(&mut self, place: &Pointer, reason: &str) {
        self.0.push(Loss::new(place.to_string(), reason));
    }

    pub(crate) fn add_all(&mut self, members: impl IntoIterator<Item = (String, Value)>, place: &Pointer) {
        for (name, _) in members {
            self.add(&place.join(name), NO_MEANING);
        }
    }

    /// The members that may stay: those whose names are not `taken` by members of the newer revision.
    pub(crate) fn except(&mut self, members: Extensions, taken: &[&str], place: &Pointer) -> Extensions {
        let stays = |(name, _): &(String, Value)| !taken.contains(&name.as_str());
        let (staying, leaving): (Vec<_>, Vec<_>) = members.into_iter().partition(stays);
        self.add_all(leaving, place);
        staying.into_iter().collect()
    }

    /// The members of the root that may stay: extensions, since the newest revision closes it (R-D-032).
    pub(crate) fn extensions(&mut self, members: Extensions) -> Extensions {
        let stays =
            |(name, value): &(String, Value)| Extensions::is_extension_name(name) && value.is_object();
        let (staying, leaving): (Vec<_>, Vec<_>) = members.into_iter().partition(stays);
        self.add_all(leaving, &Pointer::root());
        staying.into_iter().collect()
    }

    /// The members of a newer document, without those whose names are `taken` in an older one.
    pub(crate) fn untaken(&mut self, members: &Extensions, taken: &[&str], place: &Pointer) -> Extensions {
        let mut members = members.clone();
        for name in taken {
            if members.remove(name).is_some() {
                self.add(&place.join(name), "the name means something else there");
            }
        }
        members
    }
}

/// A downgrade in which nothing may be left out.
pub(crate) fn whole<T>(downgraded: Upgraded<T>, revision: SpecVersion) -> Result<T, DowngradeError> {
    match downgraded.losses.into_iter().next() {
        None => Ok(downgraded.value),
        Some(loss) => Err(DowngradeError::new(revision, loss.pointer, loss.reason)),
    }
}

pub(crate) fn unsayable(revision: SpecVersion, place: &Pointer, reason: &str) -> DowngradeError {
    DowngradeError::new(revision, place.to_string(), reason)
}

/// A revision's roles, as far as they stand for what a device can carry out.
pub(crate) trait Hosting: Clone + PartialEq + Sized {
    /// The deployments a device of this role carries out.
    fn deployment_type(&self) -> Option<DeploymentType>;

    /// The role that stands for such deployments.
    fn of(kind: &DeploymentType) -> Option<Self>;
}

/// Says of a device what its roles promise: each has an OCI runtime and a collector (R-A-047, R-A-048, R-B-043).
///
/// Roles that a downgrade would not write again are lost.
pub(crate) fn host<R: Hosting>(newer: &mut crate::Properties, roles: &[R], losses: &mut Losses) {
    let mut types = Vec::new();
    for (i, role) in roles.iter().enumerate() {
        let kind = role.deployment_type();
        // What a downgrade would write for this type, and only once.
        let says_all = kind.as_ref().is_some_and(|kind| R::of(kind).as_ref() == Some(role));
        if !says_all || kind.as_ref().is_some_and(|kind| types.contains(kind)) {
            let place = pointer!["properties", "roles", i];
            losses.add(&place, "there are deployment types instead of roles");
        }
        types.extend(kind.filter(|kind| !types.contains(kind)));
    }
    if !types.is_empty() {
        newer.supported_deployment_types = Some(types);
        newer.supported_runtimes = Some(vec![Runtime::Oci]);
        newer.otel_collector = Some(true);
    }
}

/// The roles of a device that runs workloads; `None` if it does not say that it does.
///
/// # Errors
///
/// A device without an OCI runtime or a collector, and one none of whose deployment types has a role.
pub(crate) fn roles<R: Hosting>(
    newer: &crate::Properties,
    revision: SpecVersion,
    losses: &mut Losses,
) -> Result<Option<Vec<R>>, DowngradeError> {
    let at = |member: &str| pointer!["properties", member];
    let Some(types) = &newer.supported_deployment_types else { return Ok(None) };

    let mut roles = Vec::new();
    let mut unsaid = None;
    for (i, kind) in types.iter().enumerate() {
        let place = at("supportedDeploymentTypes").with(i);
        let reason = format!("no role stands for the deployment type `{kind}`");
        match R::of(kind) {
            Some(role) if roles.contains(&role) => losses.add(&place, "it is told twice"),
            Some(role) => roles.push(role),
            None => {
                losses.add(&place, &reason);
                unsaid.get_or_insert(unsayable(revision, &place, &reason));
            }
        }
    }
    if roles.is_empty() {
        let none = || unsayable(revision, &at("supportedDeploymentTypes"), "a device has a role");
        return Err(unsaid.unwrap_or_else(none));
    }

    let runtimes = newer.supported_runtimes.as_deref();
    if runtimes.is_some_and(|runtimes| !runtimes.contains(&Runtime::Oci)) {
        return Err(unsayable(revision, &at("supportedRuntimes"), "every device has an OCI runtime"));
    }
    for (i, runtime) in runtimes.into_iter().flatten().enumerate() {
        if *runtime != Runtime::Oci {
            losses.add(&at("supportedRuntimes").with(i), "every device has an OCI runtime");
        }
    }
    if newer.otel_collector == Some(false) {
        return Err(unsayable(revision, &at("otelCollector"), "every device has a collector"));
    }
    Ok(Some(roles))
}
