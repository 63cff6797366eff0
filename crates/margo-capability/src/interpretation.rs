use margo_core::SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
use margo_core::{Interpretation, Level, Quantity, SpecVersion};
use serde_json::Value;

use crate::{Architecture, pre_draft, rc1, rc2};

const A: &[SpecVersion] = &[PreDraft];
const B: &[SpecVersion] = &[V1_0_0Rc1];
const C: &[SpecVersion] = &[V1_0_0Rc2];
const D: &[SpecVersion] = &[V1_0_0Rc3];
const B_C: &[SpecVersion] = &[V1_0_0Rc1, V1_0_0Rc2];

const PERIPHERAL: &str = "/properties/resources/peripherals/*/type";

/// One row for each place where a document may take the other side of a contradiction and is understood. Resources, or
/// a processor, that stand in a list are at `0` in it.
pub(crate) const INTERPRETATIONS: &[Interpretation] = &[
    // The envelope.
    Interpretation::new("X-A-01", Level::L2, A, "/kind", |kind, _| other_text(kind, pre_draft::Kind::TEXT)),
    Interpretation::new("X-A-02", Level::L1, A, "/apiVersion", |version, _| {
        other_text(version, pre_draft::API_VERSION)
    }),
    Interpretation::new("X-B-19", Level::L1, B, "/apiVersion", |version, _| {
        other_text(version, rc1::API_VERSION)
    }),
    Interpretation::new("X-C-23", Level::L1, C, "/apiVersion", |version, _| {
        other_text(version, rc1::API_VERSION)
    }),
    Interpretation::new("X-B-33", Level::L2, B, "/kind", |kind, _| other_text(kind, rc1::Kind::TEXT)),
    Interpretation::new("X-C-18", Level::L1, C, "", |document, _| missing(document, "apiVersion")),
    Interpretation::new("X-C-18", Level::L1, C, "", |document, _| missing(document, "kind")),
    Interpretation::new("X-D-20", Level::L3, D, "/apiVersion", |_, _| needless()),
    Interpretation::new("X-D-20", Level::L3, D, "/kind", |_, _| needless()),
    // Roles.
    Interpretation::new("X-A-08", Level::L2, A, "/properties/roles/*", |role, _| {
        other_spelling(role, pre_draft::Role::KNOWN.iter().map(pre_draft::Role::as_str))
    }),
    Interpretation::new("X-A-09", Level::L3, A, "/properties/roles/*", |role, _| other_role(role)),
    Interpretation::new("X-B-05", Level::L2, B, "/properties/roles/*", |role, _| {
        other_spelling(role, rc1::Role::KNOWN.iter().map(rc1::Role::as_str))
    }),
    Interpretation::new("X-C-06", Level::L2, C, "/properties/roles/*", |role, _| {
        other_spelling(role, rc2::Role::KNOWN.iter().map(rc2::Role::as_str))
    }),
    // Amounts.
    Interpretation::new("X-A-03", Level::L2, A, "/properties/resources/memory", |amount, _| {
        gigabytes(amount)
    }),
    Interpretation::new("X-A-03", Level::L2, A, "/properties/resources/storage", |amount, _| {
        gigabytes(amount)
    }),
    Interpretation::new("X-A-03", Level::L2, A, "/properties/resources/0/memory", |amount, _| {
        gigabytes(amount)
    }),
    Interpretation::new("X-A-03", Level::L2, A, "/properties/resources/0/storage", |amount, _| {
        gigabytes(amount)
    }),
    Interpretation::new("X-B-07", Level::L2, B_C, "/properties/resources/memory", |amount, _| blank(amount)),
    Interpretation::new("X-B-07", Level::L2, B_C, "/properties/resources/storage", |amount, _| blank(amount)),
    Interpretation::new("X-D-07", Level::L2, D, "/properties/memory", |amount, _| blank(amount)),
    Interpretation::new("X-D-07", Level::L2, D, "/properties/storage", |amount, _| blank(amount)),
    // Processors.
    Interpretation::new("X-A-06", Level::L3, A, "/properties/resources", |resources, _| in_list(resources)),
    Interpretation::new("X-A-04", Level::L2, A, "/properties/resources/cpus/*/frequency", |frequency, _| {
        gigahertz(frequency)
    }),
    Interpretation::new(
        "X-A-04",
        Level::L2,
        A,
        "/properties/resources/0/cpus/*/frequency",
        |frequency, _| gigahertz(frequency),
    ),
    Interpretation::new("X-A-05", Level::L2, A, "/properties/resources/cpus/*/cpuArchitecture", |_, _| {
        renamed("architecture")
    }),
    Interpretation::new("X-A-05", Level::L2, A, "/properties/resources/0/cpus/*/cpuArchitecture", |_, _| {
        renamed("architecture")
    }),
    Interpretation::new("X-B-06", Level::L2, B, "/properties/resources/cpu", |cpu, _| in_list(cpu)),
    Interpretation::new("X-C-07", Level::L2, C, "/properties/resources/cpu", |cpu, _| in_list(cpu)),
    Interpretation::new("X-B-06", Level::L2, B_C, "/properties/resources/cpu/architectures", |_, _| {
        renamed("architecture")
    }),
    Interpretation::new("X-B-06", Level::L2, B_C, "/properties/resources/cpu/0/architectures", |_, _| {
        renamed("architecture")
    }),
    Interpretation::new("X-B-06", Level::L2, B_C, "/properties/resources/cpu/architecture", |word, _| {
        in_list(word)
    }),
    Interpretation::new("X-B-06", Level::L2, B_C, "/properties/resources/cpu/0/architecture", |word, _| {
        in_list(word)
    }),
    Interpretation::new("X-B-09", Level::L2, B, "/properties/resources/cpu", |cpu, _| alias(cpu)),
    Interpretation::new("X-B-09", Level::L2, B, "/properties/resources/cpu/0", |cpu, _| alias(cpu)),
    Interpretation::new("X-C-05", Level::L2, C, "/properties/resources/cpu", |cpu, _| alias(cpu)),
    Interpretation::new("X-C-05", Level::L2, C, "/properties/resources/cpu/0", |cpu, _| alias(cpu)),
    Interpretation::new("X-B-10", Level::L2, B, "/properties/resources/cpu/cores", |cores, _| {
        fraction(cores)
    }),
    Interpretation::new("X-B-10", Level::L2, B, "/properties/resources/cpu/0/cores", |cores, _| {
        fraction(cores)
    }),
    Interpretation::new("X-C-17", Level::L2, C, "/properties/resources/cpu/cores", |cores, _| {
        fraction(cores)
    }),
    Interpretation::new("X-C-17", Level::L2, C, "/properties/resources/cpu/0/cores", |cores, _| {
        fraction(cores)
    }),
    Interpretation::new("X-D-33", Level::L2, D, "/properties/cpus/*/cores", |cores, _| fraction(cores)),
    Interpretation::new("X-D-02", Level::L2, D, "/properties/cpus/*/architecture", |word, _| {
        unknown_architecture(word)
    }),
    // Parts.
    Interpretation::new("X-A-26", Level::L2, A, "/properties/peripherals/*/properties/*", |about, _| {
        no_text(about)
    }),
    Interpretation::new("X-A-26", Level::L2, A, "/properties/interfaces/*/properties/*", |about, _| {
        no_text(about)
    }),
    Interpretation::new("X-B-08", Level::L2, B_C, PERIPHERAL, |word, _| {
        other_spelling(word, rc1::PeripheralType::KNOWN.iter().map(rc1::PeripheralType::as_str))
    }),
    Interpretation::new("X-B-33", Level::L2, B, "/properties/resources", |resources, _| {
        missing(resources, "peripherals")
    }),
    Interpretation::new("X-B-33", Level::L2, B, "/properties/resources", |resources, _| {
        missing(resources, "interfaces")
    }),
    // What a device tells of its hosting.
    Interpretation::new("X-D-21", Level::L2, D, "/properties", |properties, _| hosting(properties)),
    Interpretation::new("X-D-28", Level::L1, D, "/properties", |properties, _| relaying(properties)),
];

fn other_text(value: &Value, ours: &str) -> Option<String> {
    let text = value.as_str().filter(|text| *text != ours)?;
    Some(format!("`{text}` is read, and `{ours}` is written"))
}

fn missing(object: &Value, member: &str) -> Option<String> {
    (object.is_object() && object.get(member).is_none()).then(|| format!("`{member}` is missing"))
}

#[expect(clippy::unnecessary_wraps, reason = "what a row wants")]
fn needless() -> Option<String> {
    Some("it is read over and not kept".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "what a row wants")]
fn renamed(to: &str) -> Option<String> {
    Some(format!("it is read as `{to}`"))
}

fn in_list(value: &Value) -> Option<String> {
    value.is_array().then(|| "a list of one stands for what is in it".to_owned())
}

fn other_spelling(word: &Value, mut known: impl Iterator<Item = &'static str> + Clone) -> Option<String> {
    let text = word.as_str()?;
    if known.clone().any(|known| known == text) {
        return None;
    }
    let is_lead = text.eq_ignore_ascii_case("cluster lead");
    let ours =
        known.find(|known| known.eq_ignore_ascii_case(text) || is_lead && *known == "Cluster Leader")?;
    Some(format!("`{text}` is read as `{ours}`"))
}

fn other_role(role: &Value) -> Option<String> {
    let text = role.as_str()?;
    let is_known = pre_draft::Role::from(text).is_known() || text.eq_ignore_ascii_case("cluster lead");
    (!is_known).then(|| format!("`{text}` is none of the three roles"))
}

fn gigabytes(amount: &Value) -> Option<String> {
    match amount {
        Value::String(text) => Some(format!("`{text}` is read as whole GB")),
        Value::Number(number) if number.is_f64() => Some(format!("`{number}` is read as whole GB")),
        _ => None,
    }
}

fn gigahertz(frequency: &Value) -> Option<String> {
    frequency.as_str().map(|text| format!("`{text}` is read as a number of GHz"))
}

fn blank(amount: &Value) -> Option<String> {
    let text = amount.as_str()?;
    if Quantity::from(text).bytes().is_none() {
        return Some(format!("`{text}` is an unknown amount"));
    }
    text.contains(' ').then(|| format!("`{text}` has a blank before its unit"))
}

/// `x86_64`, whichever of the two names it stands under.
fn alias(cpu: &Value) -> Option<String> {
    let word = cpu.get("architecture").or_else(|| cpu.get("architectures"))?;
    let word = word.as_array().map_or(Some(word), |words| words.first())?;
    (word == "x86_64").then(|| "`x86_64` is read as `amd64`".to_owned())
}

fn fraction(cores: &Value) -> Option<String> {
    let number = cores.as_f64().filter(|number| number.fract() != 0.0)?;
    Some(format!("a device with `{number}` cores has a fraction of one"))
}

fn unknown_architecture(word: &Value) -> Option<String> {
    let text = word.as_str().filter(|text| !Architecture::from(*text).is_known())?;
    Some(format!("`{text}` is none of the three architectures"))
}

fn no_text(about: &Value) -> Option<String> {
    (!about.is_string()).then(|| "it is no text".to_owned())
}

fn hosting(properties: &Value) -> Option<String> {
    let hosts = properties.get("supportedDeploymentTypes").is_some_and(|types| !types.is_null());
    (hosts && properties.get("cpus").is_none_or(Value::is_null))
        .then(|| "`cpus` is missing, and so what there is of them is unknown".to_owned())
}

fn relaying(properties: &Value) -> Option<String> {
    const HOSTING: [&str; 7] =
        ["cpus", "memory", "storage", "peripherals", "interfaces", "otelCollector", "supportedRuntimes"];

    if properties.get("supportedDeploymentTypes").is_some_and(|types| !types.is_null()) {
        return None;
    }
    let member = HOSTING.into_iter().find(|member| properties.get(member).is_some())?;
    Some(format!("`{member}` is told by a device that runs no workloads"))
}

#[cfg(test)]
mod tests {
    use margo_core::Deviation;
    use serde_json::json;

    use super::*;

    fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        margo_core::deviations(INTERPRETATIONS, revision, document)
    }

    /// A document in which nothing deviates.
    fn clean(revision: SpecVersion) -> Value {
        let mut device = json!({
            "properties": {"id": "plc-7", "vendor": "Acme", "modelNumber": "P", "serialNumber": "1"},
        });
        let properties = &mut device["properties"];
        match revision {
            PreDraft => {
                properties["roles"] = json!(["Standalone Device"]);
                let cpu = json!({"architecture": "arm64", "cores": 4, "frequency": 1.8});
                properties["resources"] = json!({"cpus": [cpu], "memory": 8, "storage": 64});
                let part = json!({"name": "N", "type": "T", "modelNumber": "M", "properties": {"a": "b"}});
                properties["peripherals"] = json!([part]);
                properties["interfaces"] = json!([part]);
                device["apiVersion"] = json!(pre_draft::API_VERSION);
                device["kind"] = json!("DeviceCapabilities");
            }
            V1_0_0Rc1 | V1_0_0Rc2 => {
                properties["roles"] = json!(["Standalone Device"]);
                properties["resources"] = json!({
                    "cpu": {"cores": 4, "architecture": "arm64"},
                    "memory": "8Gi",
                    "storage": "64Gi",
                    "peripherals": [{"type": "gpu"}],
                    "interfaces": [],
                });
                device["apiVersion"] = json!(rc1::API_VERSION);
                device["kind"] = json!("DeviceCapabilitiesManifest");
            }
            _ => {
                properties["cpus"] = json!([{"cores": 4, "architecture": "arm64"}]);
                properties["memory"] = json!("8Gi");
                properties["storage"] = json!("64Gi");
                properties["supportedDeploymentTypes"] = json!(["compose"]);
            }
        }
        device
    }

    /// What is found after a value was put into a place, as `id level place`.
    fn found(revision: SpecVersion, place: &str, value: Value) -> Vec<String> {
        let mut document = clean(revision);
        let (parent, member) = place.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[member.parse::<usize>().unwrap()] = value,
            object => object[member] = value,
        }
        let deviations = deviations(&document, revision);
        deviations.iter().map(|d| format!("{} {} {}", d.contradiction, d.level, d.pointer)).collect()
    }

    fn without(revision: SpecVersion, place: &str, members: &[&str]) -> Vec<String> {
        let mut document = clean(revision);
        let object = document.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.retain(|name, _| !members.contains(&name.as_str()));
        deviations(&document, revision).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_found_in_what_we_write() {
        for revision in SpecVersion::ALL {
            assert_eq!(deviations(&clean(revision), revision), []);
        }
    }

    /// X-A-01, X-A-02, X-B-19, X-B-33, X-C-18, X-C-23, X-D-20.
    #[test]
    fn the_envelope_of_others_is_told() {
        assert_eq!(found(PreDraft, "/kind", json!("DeviceCapability")), ["X-A-01 L2 /kind"]);
        assert_eq!(found(PreDraft, "/apiVersion", json!("v1")), ["X-A-02 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc1, "/apiVersion", json!("v1")), ["X-B-19 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc2, "/apiVersion", json!("margo.org")), ["X-C-23 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc1, "/kind", json!("DeviceCapabilities")), ["X-B-33 L2 /kind"]);
        assert_eq!(
            without(V1_0_0Rc2, "", &["apiVersion", "kind"]),
            [": `apiVersion` is missing (X-C-18)", ": `kind` is missing (X-C-18)"]
        );
        for member in ["apiVersion", "kind"] {
            let place = format!("/{member}");
            assert_eq!(found(V1_0_0Rc3, &place, json!("v1")), [format!("X-D-20 L3 {place}")]);
        }
    }

    /// X-A-08, X-A-09, X-B-05, X-C-06.
    #[test]
    fn other_roles_and_spellings_are_told() {
        let place = "/properties/roles/0";
        for (revision, id) in [(PreDraft, "X-A-08"), (V1_0_0Rc1, "X-B-05"), (V1_0_0Rc2, "X-C-06")] {
            for role in ["standalone cluster", "cluster lead", "Cluster Lead", "cluster leader"] {
                assert_eq!(found(revision, place, json!(role)), [format!("{id} L2 {place}")], "{role}");
            }
            assert_eq!(found(revision, place, json!("Cluster Leader")), [""; 0]);
        }
        assert_eq!(found(PreDraft, place, json!("Cluster Worker")), [format!("X-A-09 L3 {place}")]);
        assert_eq!(found(V1_0_0Rc1, place, json!("Gateway")), [""; 0]);
        assert_eq!(found(V1_0_0Rc2, place, json!("gateway")), [format!("X-C-06 L2 {place}")]);
    }

    /// X-A-03, X-A-04, X-B-07, X-D-07.
    #[test]
    fn amounts_in_other_words_are_told() {
        for member in ["memory", "storage"] {
            let place = format!("/properties/resources/{member}");
            for amount in [json!("64.0 GB"), json!(64.5)] {
                assert_eq!(found(PreDraft, &place, amount), [format!("X-A-03 L2 {place}")]);
            }
            for revision in [V1_0_0Rc1, V1_0_0Rc2] {
                for amount in ["8 Gi", "plenty"] {
                    assert_eq!(found(revision, &place, json!(amount)), [format!("X-B-07 L2 {place}")]);
                }
            }
            let place = format!("/properties/{member}");
            assert_eq!(found(V1_0_0Rc3, &place, json!("59 Gi")), [format!("X-D-07 L2 {place}")]);
        }
        let frequency = "/properties/resources/cpus/0/frequency";
        assert_eq!(found(PreDraft, frequency, json!("6.2 GHz")), [format!("X-A-04 L2 {frequency}")]);
        let unknown = &without(V1_0_0Rc3, "/properties", &["storage"]);
        assert_eq!(unknown, &[""; 0], "what is not told is for `check`");
    }

    /// X-A-05, X-A-06: and what stands inside the list is found there.
    #[test]
    fn resources_of_the_example_are_told() {
        let cpu = json!({"cpuArchitecture": "arm64", "cores": 4, "frequency": "2 GHz"});
        let resources = json!({"cpus": [cpu], "memory": "8 GB", "storage": 64});
        assert_eq!(
            found(PreDraft, "/properties/resources", json!([resources])),
            [
                "X-A-03 L2 /properties/resources/0/memory",
                "X-A-06 L3 /properties/resources",
                "X-A-04 L2 /properties/resources/0/cpus/0/frequency",
                "X-A-05 L2 /properties/resources/0/cpus/0/cpuArchitecture",
            ]
        );
        let place = "/properties/resources/cpus/0/cpuArchitecture";
        assert_eq!(found(PreDraft, place, json!("arm")), [format!("X-A-05 L2 {place}")]);
    }

    /// X-B-06, X-B-09, X-B-10, X-C-05, X-C-07, X-C-17.
    #[test]
    fn processors_of_the_examples_are_told() {
        let place = "/properties/resources/cpu";
        for (revision, list, alias, fraction) in
            [(V1_0_0Rc1, "X-B-06", "X-B-09", "X-B-10"), (V1_0_0Rc2, "X-C-07", "X-C-05", "X-C-17")]
        {
            assert_eq!(
                found(revision, place, json!([{"cores": 2.4, "architecture": "x86_64"}])),
                [
                    format!("{list} L2 {place}"),
                    format!("{alias} L2 {place}/0"),
                    format!("{fraction} L2 {place}/0/cores"),
                ]
            );
            assert_eq!(
                found(revision, place, json!({"cores": 2.4, "architectures": ["x86_64"]})),
                [
                    format!("X-B-06 L2 {place}/architectures"),
                    format!("{alias} L2 {place}"),
                    format!("{fraction} L2 {place}/cores"),
                ]
            );
            assert_eq!(
                found(revision, place, json!({"cores": 4, "architecture": ["arm"]})),
                [format!("X-B-06 L2 {place}/architecture")]
            );
        }
    }

    /// X-D-02, X-D-21, X-D-28, X-D-33.
    #[test]
    fn what_a_device_of_rc3_leaves_open_is_told() {
        let place = "/properties/cpus/0/architecture";
        assert_eq!(found(V1_0_0Rc3, place, json!("riscv64")), [format!("X-D-02 L2 {place}")]);
        let place = "/properties/cpus/0/cores";
        assert_eq!(found(V1_0_0Rc3, place, json!(0.5)), [format!("X-D-33 L2 {place}")]);
        assert_eq!(found(V1_0_0Rc3, place, json!(4.0)), [""; 0]);
        assert_eq!(
            without(V1_0_0Rc3, "/properties", &["cpus"]),
            ["/properties: `cpus` is missing, and so what there is of them is unknown (X-D-21)"]
        );
        assert_eq!(
            without(V1_0_0Rc3, "/properties", &["supportedDeploymentTypes"]),
            ["/properties: `cpus` is told by a device that runs no workloads (X-D-28)"]
        );
    }

    /// X-A-26, X-B-08, X-B-33.
    #[test]
    fn parts_of_others_are_told() {
        for part in ["peripherals", "interfaces"] {
            let place = format!("/properties/{part}/0/properties/bands");
            assert_eq!(found(PreDraft, &place, json!(["5 GHz"])), [format!("X-A-26 L2 {place}")]);
        }
        for revision in [V1_0_0Rc1, V1_0_0Rc2] {
            let place = "/properties/resources/peripherals/0/type";
            assert_eq!(found(revision, place, json!("GPU")), [format!("X-B-08 L2 {place}")]);
            assert_eq!(found(revision, place, json!("nic")), [""; 0]);
        }
        assert_eq!(
            without(V1_0_0Rc1, "/properties/resources", &["peripherals", "interfaces"]),
            [
                "/properties/resources: `peripherals` is missing (X-B-33)",
                "/properties/resources: `interfaces` is missing (X-B-33)"
            ]
        );
    }

    /// A level belongs to a contradiction, whatever the place.
    #[test]
    fn the_table_agrees_with_itself() {
        for row in INTERPRETATIONS {
            assert!(row.level > Level::L0 && row.level < Level::L4, "{}", row.contradiction);
            let mut others = INTERPRETATIONS.iter().filter(|other| other.contradiction == row.contradiction);
            assert!(others.all(|other| other.level == row.level), "{}", row.contradiction);
        }
    }
}
