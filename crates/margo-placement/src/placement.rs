use std::fmt;

use margo_capability::{DeploymentType, DeviceCapabilitiesManifest, Runtime};
use margo_deployment::{DeploymentProfile, DeviceConstraints, ProfileType};

use crate::place::Place;
use crate::{capacity, eligibility};

/// Compares what a profile needs with what a device offers.
///
/// Besides [`evaluate_constraints`]: the profile's type is one of the device's deployment types (R-D-023), where
/// a type that this library does not know counts as `custom` on either side (R-D-022); and Compose needs a
/// runtime for OCI images.
///
/// The places of what is asked for are in the profile; for those in a deployment see [`Placement::within`].
///
/// ```
/// use margo_capability::{DeploymentType, DeviceCapabilitiesManifest, Properties, Runtime};
/// use margo_deployment::{DeploymentProfile, ProfileType};
/// use margo_placement::{Criterion, evaluate};
///
/// let mut plc = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1");
/// plc.supported_runtimes = Some(vec![Runtime::Oci]);
/// plc.supported_deployment_types = Some(vec![DeploymentType::Compose]);
/// let plc = DeviceCapabilitiesManifest::new(plc);
///
/// assert!(evaluate(&DeploymentProfile::new(ProfileType::Compose, Vec::new()), &plc).fits());
/// let chart = evaluate(&DeploymentProfile::new(ProfileType::Helm, Vec::new()), &plc);
/// assert_eq!(chart.refusals().next().unwrap().criterion, Criterion::DeploymentType);
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
pub fn evaluate(profile: &DeploymentProfile, device: &DeviceCapabilitiesManifest) -> Placement {
    let mut reasons = Reasons::default();
    if !hosting(device, &mut reasons) {
        return Placement(reasons.0);
    }
    deployment_type(&profile.profile_type, device, &mut reasons);
    if profile.profile_type == ProfileType::Compose {
        oci_runtime(device, &mut reasons);
    }
    if let Some(constraints) = &profile.device_constraints {
        let at = Place::root().at("deviceConstraints");
        capacity::evaluate(constraints, &at, device, &mut reasons);
        eligibility::evaluate(constraints, &at, device, &mut reasons);
    }
    Placement(reasons.0)
}

/// Compares what constraints ask for with what a device offers: that it hosts workloads at all (R-D-021), capacity,
/// and eligibility (R-D-027).
///
/// Nothing asked for is met by every device that hosts workloads. A capacity the device does not tell, or tells in
/// words that cannot be understood, is unknown: it refuses nothing and is a warning (X-D-07, X-D-21).
///
/// ```
/// use margo_capability::{DeploymentType, DeviceCapabilitiesManifest, Properties};
/// use margo_deployment::{CapacityRequirements, DeviceConstraints, EligibilityRule, MatchExpression, Selector};
/// use margo_placement::{Outcome, evaluate_constraints};
///
/// let mut plc = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1");
/// plc.supported_deployment_types = Some(vec![DeploymentType::Helm]);
/// let plc = DeviceCapabilitiesManifest::new(plc);
///
/// let mut rule = EligibilityRule::default();
/// rule.property_selector = Some(Selector::new(vec![MatchExpression::is_in("/vendor", ["Acme", "Other"])]));
/// let mut constraints = DeviceConstraints::default();
/// constraints.eligibility_rules = Some(vec![rule]);
/// let mut capacity = CapacityRequirements::default();
/// capacity.memory = Some("4Gi".into());
/// constraints.capacity_requirements = Some(capacity);
///
/// // The vendor matches; of its memory the device says nothing, which refuses nothing and is told.
/// let placement = evaluate_constraints(&constraints, &plc);
/// assert!(placement.fits());
/// assert_eq!(placement.warnings().next().unwrap().outcome, Outcome::Unknown);
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
pub fn evaluate_constraints(
    constraints: &DeviceConstraints,
    device: &DeviceCapabilitiesManifest,
) -> Placement {
    let mut reasons = Reasons::default();
    if !hosting(device, &mut reasons) {
        return Placement(reasons.0);
    }
    capacity::evaluate(constraints, &Place::root(), device, &mut reasons);
    eligibility::evaluate(constraints, &Place::root(), device, &mut reasons);
    Placement(reasons.0)
}

/// Whether a device can host something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Placement(Vec<Reason>);

impl Placement {
    /// Whether the device can host it: nothing that decides is unmet.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.refusals().next().is_none()
    }

    /// Everything that was looked at, in the order in which it was: hosting, type, runtime, capacity, eligibility.
    /// Behind [`Criterion::Eligibility`] come the rules, and behind each rule its expressions.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.0
    }

    /// Why not: what decides and is not met. Empty exactly when the device [fits](Self::fits).
    pub fn refusals(&self) -> impl Iterator<Item = &Reason> {
        self.0.iter().filter(|reason| reason.outcome == Outcome::Unmet && reason.criterion.decides())
    }

    /// What could not be judged, and so refused nothing.
    pub fn warnings(&self) -> impl Iterator<Item = &Reason> {
        self.0.iter().filter(|reason| reason.outcome == Outcome::Unknown)
    }

    /// The same, with the places of what is asked for in a document that has it at `pointer`: in a deployment,
    /// `/spec/deploymentProfile`.
    pub fn within(mut self, pointer: &str) -> Self {
        for reason in &mut self.0 {
            reason.asked.insert_str(0, pointer);
        }
        self
    }
}

/// Something that was looked at, and what came of it. It reads aloud.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// What was looked at.
    pub criterion: Criterion,
    /// What came of it.
    pub outcome: Outcome,
    /// Where it is asked for: a JSON Pointer (RFC 6901) into the profile or the constraints.
    pub asked: String,
    /// Where the device answers, or should: a JSON Pointer (RFC 6901) into its capabilities.
    pub offered: String,
    /// One sentence: `4Gi of memory are needed, and the device has 1Gi`.
    pub message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Criterion {
    /// Whether the device hosts workloads at all (R-D-021).
    Hosting,
    /// Whether it can carry out deployments of the profile's type (R-D-023).
    DeploymentType,
    /// Whether it has the runtime that the type needs (R-D-023).
    Runtime,
    /// Cores and architecture.
    Cpu,
    /// Memory.
    Memory,
    /// Storage.
    Storage,
    /// All eligibility rules together: one that matches is enough.
    Eligibility,
    /// One rule.
    Rule {
        /// Its place in the list, from 0.
        rule: usize,
    },
    /// One expression of a rule's selectors.
    Expression {
        /// The rule's place in the list, from 0.
        rule: usize,
    },
}

impl Criterion {
    /// Whether it decides by itself. Rules and expressions do not: another rule may match.
    #[must_use]
    pub fn decides(self) -> bool {
        !matches!(self, Self::Rule { .. } | Self::Expression { .. })
    }
}

/// What came of looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth answer")]
pub enum Outcome {
    /// The device has it.
    Met,
    /// The device has it not.
    Unmet,
    /// The device does not tell.
    Unknown,
}

impl From<bool> for Outcome {
    fn from(is_met: bool) -> Self {
        if is_met { Self::Met } else { Self::Unmet }
    }
}

#[derive(Default)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    pub(crate) fn add(
        &mut self,
        criterion: Criterion,
        outcome: impl Into<Outcome>,
        asked: &Place,
        offered: &Place,
        message: String,
    ) {
        let (asked, offered) = (asked.clone().into(), offered.clone().into());
        self.0.push(Reason { criterion, outcome: outcome.into(), asked, offered, message });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a reason before those it sums up.
    pub(crate) fn add_before(
        &mut self,
        index: usize,
        criterion: Criterion,
        outcome: impl Into<Outcome>,
        asked: &Place,
        message: String,
    ) {
        self.add(criterion, outcome, asked, &Place::root(), message);
        self.0[index..].rotate_right(1);
    }
}

/// A device that hosts nothing is asked nothing more.
fn hosting(device: &DeviceCapabilitiesManifest, reasons: &mut Reasons) -> bool {
    let hosts = device.properties.hosts_workloads();
    let message = if hosts {
        "the device hosts workloads"
    } else {
        "the device hosts no workloads: it tells no deployment types"
    };
    let offered = Place::root().at("properties").at("supportedDeploymentTypes");
    reasons.add(Criterion::Hosting, hosts, &Place::root(), &offered, message.to_owned());
    hosts
}

fn deployment_type(asked: &ProfileType, device: &DeviceCapabilitiesManifest, reasons: &mut Reasons) {
    let Some(offered) = &device.properties.supported_deployment_types else { return };
    let wanted = match asked {
        ProfileType::Helm => DeploymentType::Helm,
        ProfileType::Compose => DeploymentType::Compose,
        _ => DeploymentType::Custom,
    };
    let is_wanted = |offered: &DeploymentType| match wanted {
        DeploymentType::Custom => offered.is_custom(),
        _ => *offered == wanted,
    };
    let is_met = offered.iter().any(is_wanted);
    let message = if is_met {
        format!("the device carries out `{asked}` deployments")
    } else {
        let offered = list(offered.iter().map(|offered| format!("`{offered}`")));
        format!("the deployment is of type `{asked}`, and the device carries out {offered}")
    };
    let place = Place::root().at("properties").at("supportedDeploymentTypes");
    reasons.add(Criterion::DeploymentType, is_met, &Place::root().at("type"), &place, message);
}

fn oci_runtime(device: &DeviceCapabilitiesManifest, reasons: &mut Reasons) {
    let (outcome, message) = match &device.properties.supported_runtimes {
        _ if !device.properties.hosts_workloads() => return,
        None => {
            (Outcome::Unknown, "Compose needs the runtime `oci`, and the device tells no runtimes".to_owned())
        }
        Some(offered) if offered.contains(&Runtime::Oci) => {
            (Outcome::Met, "the device has the runtime `oci`".to_owned())
        }
        Some(offered) => {
            let offered = list(offered.iter().map(|offered| format!("`{offered}`")));
            (Outcome::Unmet, format!("Compose needs the runtime `oci`, and the device has {offered}"))
        }
    };
    let place = Place::root().at("properties").at("supportedRuntimes");
    reasons.add(Criterion::Runtime, outcome, &Place::root().at("type"), &place, message);
}

/// `none`, `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<_> = items.into_iter().collect();
    match items.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use margo_capability::Properties;
    use margo_deployment::CapacityRequirements;

    use super::*;

    fn device(types: &[&str], runtimes: Option<&[&str]>) -> DeviceCapabilitiesManifest {
        let mut properties = Properties::new("plc-7".parse().unwrap(), "Acme", "PLC", "1");
        properties.supported_deployment_types = Some(types.iter().map(|text| (*text).into()).collect());
        properties.supported_runtimes =
            runtimes.map(|texts| texts.iter().map(|text| (*text).into()).collect());
        DeviceCapabilitiesManifest::new(properties)
    }

    fn place(profile_type: &str, device: &DeviceCapabilitiesManifest) -> Placement {
        evaluate(&DeploymentProfile::new(profile_type.into(), Vec::new()), device)
    }

    fn refusals(placement: &Placement) -> Vec<(Criterion, &str)> {
        placement.refusals().map(|reason| (reason.criterion, reason.message.as_str())).collect()
    }

    /// R-D-023: a device carries out the types it tells.
    #[test]
    fn a_type_is_carried_out_or_not() {
        let cluster = device(&["helm"], Some(&["oci"]));
        assert!(place("helm", &cluster).fits());
        assert_eq!(
            refusals(&place("compose", &cluster)),
            [(
                Criterion::DeploymentType,
                "the deployment is of type `compose`, and the device carries out `helm`"
            )]
        );
        let nothing = device(&[], Some(&["oci"]));
        assert_eq!(
            refusals(&place("helm", &nothing)),
            [(
                Criterion::DeploymentType,
                "the deployment is of type `helm`, and the device carries out none"
            )]
        );
        let several = device(&["helm", "compose", "nomad"], Some(&["oci"]));
        assert_eq!(
            place("compose", &several).reasons()[1].message,
            "the device carries out `compose` deployments"
        );
    }

    /// R-D-022: what is unknown is custom, on both sides.
    #[test]
    fn what_is_unknown_is_custom() {
        for offered in ["custom", "nomad"] {
            let device = device(&[offered], Some(&["custom"]));
            for asked in ["custom", "nomad", "unikernel"] {
                assert!(place(asked, &device).fits(), "{asked} on {offered}");
            }
            assert!(!place("helm", &device).fits() && !place("compose", &device).fits());
        }
        assert!(!place("nomad", &device(&["helm", "compose"], Some(&["oci"]))).fits());
    }

    /// R-D-023: Compose needs an OCI runtime; Helm needs Kubernetes, which the type says already.
    #[test]
    fn compose_needs_a_runtime_for_images() {
        assert_eq!(
            refusals(&place("compose", &device(&["compose"], Some(&["custom", "wasm"])))),
            [(Criterion::Runtime, "Compose needs the runtime `oci`, and the device has `custom` and `wasm`")]
        );
        assert!(place("helm", &device(&["helm"], Some(&["custom"]))).fits());
        let untold = device(&["compose"], None);
        let placement = place("compose", &untold);
        assert!(placement.fits());
        let warnings: Vec<_> = placement.warnings().map(ToString::to_string).collect();
        assert_eq!(warnings, ["Compose needs the runtime `oci`, and the device tells no runtimes"]);
    }

    /// R-D-021, X-D-28: a device without deployment types hosts nothing, whatever else it tells.
    #[test]
    fn a_relay_hosts_nothing() {
        let mut relay = device(&[], Some(&["oci"]));
        relay.properties.supported_deployment_types = None;
        let message = "the device hosts no workloads: it tells no deployment types";
        assert_eq!(refusals(&place("compose", &relay)), [(Criterion::Hosting, message)]);
        let nothing_asked = evaluate_constraints(&DeviceConstraints::default(), &relay);
        assert_eq!(refusals(&nothing_asked), [(Criterion::Hosting, message)]);
    }

    #[test]
    fn places_are_in_the_profile_or_where_it_stands() {
        let mut profile = DeploymentProfile::new(ProfileType::Helm, Vec::new());
        let mut capacity = CapacityRequirements::default();
        capacity.memory = Some("1Gi".into());
        let mut constraints = DeviceConstraints::default();
        constraints.capacity_requirements = Some(capacity);
        profile.device_constraints = Some(constraints);
        let asked = |placement: &Placement| placement.reasons().last().unwrap().asked.clone();
        let placement = evaluate(&profile, &device(&["helm"], None));
        assert_eq!(asked(&placement), "/deviceConstraints/capacityRequirements/memory");
        assert_eq!(
            asked(&placement.within("/spec/deploymentProfile")),
            "/spec/deploymentProfile/deviceConstraints/capacityRequirements/memory"
        );
    }
}
