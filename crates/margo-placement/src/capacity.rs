use margo_capability::{Cpu, DeviceCapabilitiesManifest};
use margo_core::Quantity;
use margo_deployment::{Architecture, CpuRequirement, DeviceConstraints};

use crate::place::Place;
use crate::placement::{Criterion, Outcome, Reasons, list};

pub(crate) fn evaluate(
    constraints: &DeviceConstraints,
    at: &Place,
    device: &DeviceCapabilitiesManifest,
    reasons: &mut Reasons,
) {
    let Some(required) = &constraints.capacity_requirements else { return };
    let at = at.at("capacityRequirements");
    let offered = Place::root().at("properties");
    if let Some(asked) = &required.cpu {
        cpu(asked, &at.at("cpu"), device.properties.cpus.as_deref(), &offered.at("cpus"), reasons);
    }
    for (criterion, name, asked, has) in [
        (Criterion::Memory, "memory", &required.memory, &device.properties.memory),
        (Criterion::Storage, "storage", &required.storage, &device.properties.storage),
    ] {
        if let Some(asked) = asked {
            let (outcome, message) = amount(name, asked, has.as_ref());
            reasons.add(criterion, outcome, &at.at(name), &offered.at(name), message);
        }
    }
}

/// One entry alone has the cores and the architecture.
fn cpu(asked: &CpuRequirement, at: &Place, cpus: Option<&[Cpu]>, place: &Place, reasons: &mut Reasons) {
    let mut add = |outcome: Outcome, place: &Place, message: String| {
        reasons.add(Criterion::Cpu, outcome, at, place, message);
    };
    let wanted = Wanted::new(asked);
    let Some(cpus) = cpus else {
        let message = format!("{wanted} needed, and the device tells no processors");
        return add(Outcome::Unknown, place, message);
    };
    let Some(cores) = asked.cores.as_f64() else {
        return add(Outcome::Unmet, place, format!("`{}` cores are no number of cores", asked.cores));
    };
    let enough = cpus.iter().position(|cpu| cpu.cores >= cores && wanted.allows(cpu));
    if let Some(index) = enough {
        let message = format!("{wanted} needed, and a processor of the device has {}", told(&cpus[index]));
        return add(Outcome::Met, &place.at(index), message);
    }
    let has = list(cpus.iter().map(told));
    let reason = if cpus.iter().any(|cpu| cpu.cores >= cores) || cpus.len() < 2 {
        ""
    } else {
        ": no processor has as many by itself"
    };
    add(Outcome::Unmet, place, format!("{wanted} needed, and the device has {has}{reason}"));
}

struct Wanted<'a> {
    cores: String,
    architectures: Option<&'a [Architecture]>,
}

impl<'a> Wanted<'a> {
    fn new(asked: &'a CpuRequirement) -> Self {
        Self { cores: asked.cores.to_string(), architectures: asked.architectures.as_deref() }
    }

    fn allows(&self, cpu: &Cpu) -> bool {
        let Some(wanted) = self.architectures else { return true };
        // An empty list allows nothing less than no list does.
        if wanted.is_empty() {
            return true;
        }
        let Some(has) = &cpu.architecture else { return false };
        // X-B-09, X-C-05: an older device's word.
        let has = if has.as_str() == "x86_64" { "amd64" } else { has.as_str() };
        wanted.iter().any(|wanted| match wanted {
            // X-D-02: any architecture outside the named ones.
            Architecture::Other => has == "other" || !Architecture::from(has).is_known(),
            named => named.as_str() == has,
        })
    }
}

impl std::fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cores, architectures } = self;
        let one = cores == "1" || cores == "1.0";
        write!(f, "{cores} {}", if one { "core" } else { "cores" })?;
        if let Some([first, rest @ ..]) = architectures {
            write!(f, " of {first}")?;
            rest.iter().try_for_each(|architecture| write!(f, " or {architecture}"))?;
        }
        f.write_str(if one { " is" } else { " are" })
    }
}

fn told(cpu: &Cpu) -> String {
    let cores = cpu.cores.to_string();
    let cores = if cores == "1" { "1 core".to_owned() } else { format!("{cores} cores") };
    match &cpu.architecture {
        Some(architecture) => format!("{cores} of {architecture}"),
        None => format!("{cores} of an architecture it does not tell"),
    }
}

/// X-D-07: what the device does not say in words that can be understood refuses nothing; what is asked for in such
/// words is never met.
fn amount(name: &str, asked: &Quantity, has: Option<&Quantity>) -> (Outcome, String) {
    let Some(wanted) = asked.bytes() else {
        return (Outcome::Unmet, format!("`{asked}` is no amount of {name}"));
    };
    let Some(has) = has else {
        return (Outcome::Unknown, format!("{asked} of {name} are needed, and the device tells no {name}"));
    };
    match has.bytes() {
        Some(bytes) => {
            ((bytes >= wanted).into(), format!("{asked} of {name} are needed, and the device has {has}"))
        }
        None => (
            Outcome::Unknown,
            format!("{asked} of {name} are needed, and the device has `{has}`, which is no known amount"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use margo_capability::{DeploymentType, Properties};
    use serde_json::{Value, json};

    use super::*;
    use crate::{Placement, evaluate_constraints};

    fn device(change: impl FnOnce(&mut Properties)) -> DeviceCapabilitiesManifest {
        let mut properties = Properties::new("plc-7".parse().unwrap(), "Acme", "PLC", "1");
        properties.supported_deployment_types = Some(vec![DeploymentType::Helm]);
        change(&mut properties);
        DeviceCapabilitiesManifest::new(properties)
    }

    fn place(capacity: Value, device: &DeviceCapabilitiesManifest) -> Placement {
        let mut constraints = DeviceConstraints::default();
        constraints.capacity_requirements = Some(serde_json::from_value(capacity).unwrap());
        evaluate_constraints(&constraints, device)
    }

    /// What is said of the one capacity that is asked for.
    fn said(capacity: Value, device: &DeviceCapabilitiesManifest) -> (Outcome, String) {
        let placement = place(capacity, device);
        let reason = placement.reasons().last().unwrap();
        assert_eq!(placement.fits(), reason.outcome != Outcome::Unmet);
        (reason.outcome, reason.message.clone())
    }

    fn cpus(cpus: Value) -> DeviceCapabilitiesManifest {
        device(|properties| properties.cpus = Some(serde_json::from_value(cpus).unwrap()))
    }

    /// Revision D, section 3.5: one entry alone.
    #[test]
    fn cores_of_several_processors_are_not_summed() {
        let two =
            cpus(json!([{ "cores": 4, "architecture": "arm64" }, { "cores": 2, "architecture": "amd64" }]));
        let asked = |cores: Value| json!({ "cpu": { "cores": cores } });
        assert_eq!(
            said(asked(json!(6)), &two),
            (
                Outcome::Unmet,
                "6 cores are needed, and the device has 4 cores of arm64 and 2 cores of amd64: \
                 no processor has as many by itself"
                    .to_owned()
            )
        );
        assert_eq!(said(asked(json!(2.5)), &two).0, Outcome::Met);
        let placement = place(json!({ "cpu": { "cores": 1, "architectures": ["amd64"] } }), &two);
        let reason = placement.reasons().last().unwrap();
        assert_eq!(
            reason.message,
            "1 core of amd64 is needed, and a processor of the device has 2 cores of amd64"
        );
        assert_eq!(
            (reason.asked.as_str(), reason.offered.as_str()),
            ("/capacityRequirements/cpu", "/properties/cpus/1")
        );
        // Cores of one, architecture of the other.
        assert_eq!(
            said(json!({ "cpu": { "cores": 3, "architectures": ["amd64"] } }), &two),
            (
                Outcome::Unmet,
                "3 cores of amd64 are needed, and the device has 4 cores of arm64 and 2 cores of amd64"
                    .to_owned()
            )
        );
    }

    /// X-D-02: five can be asked for, three are reported, and others are what they are called.
    #[test]
    fn other_is_any_architecture_without_a_name() {
        let allows = |asked: &[&str], has: &str| {
            let device = cpus(json!([{ "cores": 4, "architecture": has }]));
            place(json!({ "cpu": { "cores": 1, "architectures": asked } }), &device).fits()
        };
        assert!(
            allows(&["other"], "sparc") && allows(&["sparc"], "sparc") && allows(&["riscv64"], "riscv64")
        );
        for named in ["amd64", "arm64", "arm", "riscv64", "x86_64"] {
            assert!(!allows(&["other"], named), "{named}");
        }
        // X-B-09, X-C-05.
        assert!(allows(&["amd64"], "x86_64") && allows(&["arm", "other", "amd64"], "amd64"));
        assert!(!allows(&["arm"], "arm64") && allows(&[], "arm64"));
        let untold = cpus(json!([{ "cores": 4 }]));
        let (outcome, message) = said(json!({ "cpu": { "cores": 1, "architectures": ["arm"] } }), &untold);
        assert_eq!(outcome, Outcome::Unmet);
        assert!(message.ends_with("the device has 4 cores of an architecture it does not tell"), "{message}");
        assert!(place(json!({ "cpu": { "cores": 1 } }), &untold).fits());
    }

    /// X-D-07, X-D-21: a capacity that is not told, or not understood, is a warning and no refusal.
    #[test]
    fn what_is_not_told_is_unknown() {
        let untold = device(|_| {});
        let placement = place(json!({ "cpu": { "cores": 1 }, "memory": "1Gi", "storage": "1Gi" }), &untold);
        assert!(placement.fits());
        let warnings: Vec<_> = placement.warnings().map(|reason| reason.message.as_str()).collect();
        assert_eq!(
            warnings,
            [
                "1 core is needed, and the device tells no processors",
                "1Gi of memory are needed, and the device tells no memory",
                "1Gi of storage are needed, and the device tells no storage",
            ]
        );
        let vague = device(|properties| properties.memory = Some("a lot".into()));
        assert_eq!(
            said(json!({ "memory": "1Gi" }), &vague),
            (
                Outcome::Unknown,
                "1Gi of memory are needed, and the device has `a lot`, which is no known amount".into()
            )
        );
        let none = cpus(json!([]));
        assert_eq!(
            said(json!({ "cpu": { "cores": 0.5 } }), &none),
            (Outcome::Unmet, "0.5 cores are needed, and the device has none".into())
        );
    }

    #[test]
    fn amounts_compare_by_what_they_mean() {
        let has = |memory: &str| device(|properties| properties.memory = Some(memory.into()));
        assert!(place(json!({ "memory": "1024Mi" }), &has("1 Gi")).fits());
        assert!(!place(json!({ "memory": "1025Mi" }), &has("1Gi")).fits());
        assert_eq!(
            said(json!({ "memory": "much" }), &has("1Gi")),
            (Outcome::Unmet, "`much` is no amount of memory".into())
        );
    }

    /// R-D-021.
    #[test]
    fn a_relay_is_not_measured() {
        let relay = DeviceCapabilitiesManifest::new(Properties::new("gw".parse().unwrap(), "A", "G", "1"));
        let placement = place(json!({ "memory": "1Gi" }), &relay);
        assert!(!placement.fits());
        let messages: Vec<_> = placement.reasons().iter().map(ToString::to_string).collect();
        assert_eq!(messages, ["the device hosts no workloads: it tells no deployment types"]);
    }
}
