//! Laws over whole documents.

use std::collections::BTreeMap;

use margo_capability::pre_draft::{self, Role};
use margo_capability::{
    AnyDeviceCapabilities, Architecture, CommunicationInterface, Cpu, DeploymentType,
    DeviceCapabilitiesManifest, InterfaceType, LabelValue, Peripheral, PeripheralType, Properties, Runtime,
};
use margo_capability::{rc1, rc2};
use margo_core::{DeviceId, Extensions, Quantity, SpecVersion, Strictness};
use margo_syntax::Limits;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::conversion;

fn device_id() -> impl Strategy<Value = DeviceId> {
    "[a-z0-9]{1,5}(/[A-Za-z0-9_~-]{1,5}){0,2}".prop_map(|text| text.parse().unwrap())
}

/// A number that is the same after it was text: quarters are exact.
fn quarters() -> impl Strategy<Value = f64> {
    (1..4096_u32).prop_map(|n| f64::from(n) / 4.0)
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let members = btree_map("x-[a-z]{1,4}-extensions", any::<u64>(), 0..3);
    members.prop_map(|members| members.into_iter().map(|(name, n)| (name, json!({"n": n}))).collect())
}

/// Words the specification names, and one it does not.
macro_rules! words {
    ($vocabulary:ty) => {
        select(<$vocabulary>::KNOWN.iter().cloned().chain([<$vocabulary>::from("other")]).collect::<Vec<_>>())
    };
}

fn cpu() -> impl Strategy<Value = Cpu> {
    (quarters(), option::of(words!(Architecture)), extensions()).prop_map(
        |(cores, architecture, extensions)| {
            let mut cpu = Cpu::new(cores);
            (cpu.architecture, cpu.extensions) = (architecture, extensions);
            cpu
        },
    )
}

fn peripheral() -> impl Strategy<Value = Peripheral> {
    let text = || option::of(".{0,5}");
    (words!(PeripheralType), text(), text(), extensions()).prop_map(
        |(kind, manufacturer, model, extensions)| {
            let mut peripheral = Peripheral::new(kind);
            (peripheral.manufacturer, peripheral.model, peripheral.extensions) =
                (manufacturer, model, extensions);
            peripheral
        },
    )
}

fn label() -> impl Strategy<Value = LabelValue> {
    prop_oneof![
        ".{0,5}".prop_map(LabelValue::Text),
        any::<i64>().prop_map(|n| LabelValue::Number(n.into())),
        any::<bool>().prop_map(LabelValue::Boolean),
        vec(".{0,5}", 0..3).prop_map(LabelValue::Texts),
        vec(any::<u64>().prop_map(Into::into), 1..3).prop_map(LabelValue::Numbers),
    ]
}

prop_compose! {
    fn newer()(
        id in device_id(),
        names in (".{0,5}", ".{0,5}", ".{0,5}"),
        cpus in option::of(vec(cpu(), 0..3)),
        amounts in (option::of("[0-9]{1,4} ?[KMG]i"), option::of(".{0,5}")),
        peripherals in option::of(vec(peripheral(), 0..3)),
        interfaces in option::of(vec(words!(InterfaceType), 0..3)),
        otel_collector in option::of(any::<bool>()),
        supported_runtimes in option::of(vec(words!(Runtime), 0..3)),
        supported_deployment_types in option::of(vec(words!(DeploymentType), 0..3)),
        labels in btree_map(".{0,5}", label(), 0..3),
        extensions in (extensions(), extensions()),
    ) -> DeviceCapabilitiesManifest {
        let mut properties = Properties::new(id, names.0, names.1, names.2);
        properties.cpus = cpus;
        properties.memory = amounts.0.map(Quantity::from);
        properties.storage = amounts.1.map(Quantity::from);
        properties.peripherals = peripherals;
        properties.interfaces =
            interfaces.map(|all| all.into_iter().map(CommunicationInterface::new).collect());
        properties.otel_collector = otel_collector;
        properties.supported_runtimes = supported_runtimes;
        properties.supported_deployment_types = supported_deployment_types;
        properties.extensions = extensions.0;
        let mut capabilities = DeviceCapabilitiesManifest::new(properties);
        capabilities.labels = labels;
        capabilities.extensions = extensions.1;
        capabilities
    }
}

/// Members no revision names, and members of another place or revision.
fn strays() -> impl Strategy<Value = Extensions> {
    let names = ["note", "labels", "memory", "cpus", "model", "manufacturer", "x-acme-extensions"];
    let value = prop_oneof![Just(json!({})), Just(json!("a")), Just(json!([1]))];
    btree_map(select(names.to_vec()), value, 0..3)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn without(mut members: Extensions, names: &[&str]) -> Extensions {
    for name in names {
        members.remove(name);
    }
    members
}

fn about() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let value = prop_oneof![Just(json!("NVIDIA")), Just(json!(["5 GHz"])), Just(json!(null))];
    btree_map(select(vec!["manufacturer".to_owned(), "ram".to_owned()]), value, 0..3)
}

prop_compose! {
    fn older_cpu()(
        architecture in select(vec!["Intel x64", "arm64", "ARM/Intel x86", "z80"]),
        cores in 1..512_u64,
        frequency in quarters(),
        strays in strays(),
    ) -> pre_draft::Cpu {
        let mut cpu = pre_draft::Cpu::new(architecture, cores, frequency);
        cpu.extensions = strays;
        cpu
    }
}

prop_compose! {
    fn older_peripheral()(
        name in ".{0,5}",
        kind in select(vec!["GPU", "Display", "drill"]),
        about in about(),
        strays in strays(),
    ) -> pre_draft::Peripheral {
        let mut peripheral = pre_draft::Peripheral::new(name, kind, "M1");
        (peripheral.properties, peripheral.extensions) = (about, strays);
        peripheral
    }
}

prop_compose! {
    fn older_interface()(
        name in ".{0,5}",
        kind in select(vec!["Ethernet", "Wi-Fi", "RS-232", "CAN bus", "Profibus"]),
        about in about(),
        strays in strays(),
    ) -> pre_draft::Interface {
        let mut interface = pre_draft::Interface::new(name, kind, "M1");
        (interface.properties, interface.extensions) = (about, strays);
        interface
    }
}

prop_compose! {
    fn older()(
        id in device_id(),
        names in (".{0,5}", ".{0,5}", ".{0,5}"),
        roles in vec(words!(Role), 0..4),
        cpus in vec(older_cpu(), 0..3),
        amounts in (0..1_u64 << 35, 0..1_u64 << 35),
        peripherals in vec(older_peripheral(), 0..3),
        interfaces in vec(older_interface(), 0..3),
        strays in (strays(), strays(), strays()),
    ) -> pre_draft::DeviceCapabilities {
        let mut resources = pre_draft::Resources::new(cpus, amounts.0, amounts.1);
        resources.extensions = without(strays.0, &["cpus", "memory"]);
        let mut properties = pre_draft::Properties::new(id, names.0, names.1, names.2, roles, resources);
        (properties.peripherals, properties.interfaces) = (peripherals, interfaces);
        properties.extensions = strays.1;
        let mut capabilities = pre_draft::DeviceCapabilities::new(properties);
        capabilities.extensions = strays.2;
        capabilities
    }
}

prop_compose! {
    /// Pre-draft capabilities that say nothing the newest revision has no place for.
    fn sayable()(
        id in device_id(),
        roles in select(vec![
            vec![Role::StandaloneCluster],
            vec![Role::StandaloneDevice],
            vec![Role::StandaloneDevice, Role::StandaloneCluster],
        ]),
        amounts in (0..=u64::MAX / 1_000_000_000, 0..=u64::MAX / 1_000_000_000),
        extensions in (extensions(), extensions()),
    ) -> pre_draft::DeviceCapabilities {
        let resources = pre_draft::Resources::new(Vec::new(), amounts.0, amounts.1);
        let mut properties = pre_draft::Properties::new(id, "Acme", "P", "1", roles, resources);
        properties.extensions = extensions.0;
        let mut capabilities = pre_draft::DeviceCapabilities::new(properties);
        capabilities.extensions = extensions.1;
        capabilities
    }
}

fn second_part() -> impl Strategy<Value = rc1::Peripheral> {
    let text = || option::of(".{0,5}");
    (words!(rc1::PeripheralType), text(), text(), extensions()).prop_map(
        |(kind, manufacturer, model, extensions)| {
            let mut peripheral = rc1::Peripheral::new(kind);
            (peripheral.manufacturer, peripheral.model) = (manufacturer, model);
            peripheral.extensions = extensions;
            peripheral
        },
    )
}

prop_compose! {
    fn second_resources()(
        cores in quarters(),
        architecture in option::of(words!(rc1::Architecture)),
        amounts in ("[0-9]{1,4}[KMGTPE]i", ".{0,5}"),
        peripherals in vec(second_part(), 0..3),
        interfaces in vec(words!(rc1::InterfaceType), 0..3),
        extensions in extensions(),
    ) -> rc1::Resources {
        let mut cpu = rc1::Cpu::new(cores);
        (cpu.architecture, cpu.extensions) = (architecture, extensions);
        let mut resources = rc1::Resources::new(cpu, amounts.0, amounts.1);
        resources.peripherals = peripherals;
        resources.interfaces = interfaces.into_iter().map(rc1::CommunicationInterface::new).collect();
        resources
    }
}

prop_compose! {
    /// Capabilities of 1.0.0-rc.1 with anything in them.
    fn first()(
        id in device_id(),
        names in (".{0,5}", ".{0,5}", ".{0,5}"),
        roles in vec(words!(rc1::Role), 0..4),
        mut resources in second_resources(),
        strays in (strays(), strays(), strays()),
    ) -> rc1::DeviceCapabilitiesManifest {
        resources.extensions = without(strays.0, &["memory"]);
        let mut properties = rc1::Properties::new(id, names.0, names.1, names.2, roles, resources);
        properties.extensions = strays.1;
        let mut capabilities = rc1::DeviceCapabilitiesManifest::new(properties);
        capabilities.extensions = strays.2;
        capabilities
    }
}

prop_compose! {
    /// Capabilities of 1.0.0-rc.2 with anything in them.
    fn second()(
        id in device_id(),
        names in (".{0,5}", ".{0,5}", ".{0,5}"),
        roles in vec(words!(rc2::Role), 0..4),
        resources in option::of(second_resources()),
        strays in (strays(), strays()),
    ) -> rc2::DeviceCapabilitiesManifest {
        let mut properties = rc2::Properties::new(id, names.0, names.1, names.2, roles);
        (properties.resources, properties.extensions) = (resources, strays.0);
        let mut capabilities = rc2::DeviceCapabilitiesManifest::new(properties);
        capabilities.extensions = strays.1;
        capabilities
    }
}

/// Capabilities of any revision.
fn any_capabilities() -> impl Strategy<Value = AnyDeviceCapabilities> {
    prop_oneof![
        newer().prop_map(AnyDeviceCapabilities::Rc3),
        second().prop_map(AnyDeviceCapabilities::Rc2),
        first().prop_map(AnyDeviceCapabilities::Rc1),
        older().prop_map(AnyDeviceCapabilities::PreDraft),
    ]
}

/// Any JSON built from the words of these documents.
fn any_value() -> impl Strategy<Value = Value> {
    let words = [
        "properties",
        "roles",
        "resources",
        "cpus",
        "cores",
        "memory",
        "type",
        "kind",
        "DeviceCapabilities",
        "64.0 GB",
        "6.2 GHz",
        "GPU",
        "Standalone Device",
        "x-acme-extensions",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(select(words.to_vec()), inner, 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Every place in a tree, as a JSON Pointer, the root first. The names used here need no escapes.
fn places(value: &Value) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        _ => Vec::new(),
    };
    let below = below
        .into_iter()
        .flat_map(|(name, value)| places(value).into_iter().map(move |place| format!("/{name}{place}")));
    std::iter::once(String::new()).chain(below).collect()
}

/// Whatever was read can be looked at, changed to any revision, written, and read again.
fn exercise(capabilities: &AnyDeviceCapabilities) -> Result<(), TestCaseError> {
    let _ = capabilities.check();
    prop_assert_eq!(&read_again(capabilities)?, capabilities);
    for revision in SpecVersion::ALL {
        if let Ok(other) = capabilities.to_revision(revision) {
            prop_assert_eq!(other.revision(), revision);
            prop_assert_eq!(other.device_id(), capabilities.device_id());
            // What can be said without leaving anything out is what can be said.
            let converted = capabilities.convert(revision);
            prop_assert_eq!(converted.map(|converted| converted.value), Ok(other));
        }
        if let Ok(converted) = capabilities.convert(revision) {
            prop_assert_eq!(&read_again(&converted.value)?, &converted.value);
        }
    }
    Ok(())
}

/// What becomes of capabilities that are written and read again. Their shape allows their revision, and what we write
/// deviates in nothing but what its maker put there.
fn read_again(capabilities: &AnyDeviceCapabilities) -> Result<AnyDeviceCapabilities, TestCaseError> {
    let revision = capabilities.revision();
    let tree: Value = serde_json::from_slice(&capabilities.to_json()).unwrap();
    let allows = AnyDeviceCapabilities::detect(&tree).allows(revision);
    // A document of the newest revision may keep members that have a meaning in the others.
    let strays = ["/properties/roles", "/properties/resources"].map(|place| tree.pointer(place).is_some());
    let is_strange = revision == SpecVersion::V1_0_0Rc3 && strays.contains(&true);
    prop_assert!(allows || is_strange, "{tree}");
    let makers = [
        "X-A-02", "X-A-09", "X-A-26", "X-B-07", "X-B-10", "X-B-19", "X-C-17", "X-C-23", "X-D-02", "X-D-07",
        "X-D-21", "X-D-28", "X-D-33",
    ];
    for deviation in AnyDeviceCapabilities::deviations(&tree, revision) {
        prop_assert!(makers.contains(&deviation.contradiction), "{deviation}");
    }
    let bytes = capabilities.to_json().into();
    match AnyDeviceCapabilities::read(bytes, Some(revision), Strictness::Lenient, &Limits::default()) {
        Ok(reading) => Ok(reading.value.into_value()),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

proptest! {
    #[test]
    fn every_revision_is_read_as_it_was_written(capabilities in any_capabilities()) {
        prop_assert_eq!(&read_again(&capabilities)?, &capabilities);
        // Text, type, text.
        let tree: Value = serde_json::from_slice(&capabilities.to_json()).unwrap();
        let read = AnyDeviceCapabilities::from_value(tree).unwrap();
        prop_assert_eq!(read.to_json(), capabilities.to_json());
    }

    /// What has a place is kept, what has none is listed by a place that exists; and where nothing is lost, downgrading
    /// undoes upgrading.
    #[test]
    fn an_upgrade_of_rc1_and_rc2_keeps_or_lists_everything((first, second) in (first(), second())) {
        let kept = |upgraded: &margo_core::Upgraded<DeviceCapabilitiesManifest>, document: Value| {
            for loss in &upgraded.losses {
                prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
            }
            let written = AnyDeviceCapabilities::Rc3(upgraded.value.clone());
            prop_assert_eq!(&read_again(&written)?, &written);
            Ok(())
        };
        let upgraded = first.clone().upgrade();
        kept(&upgraded, serde_json::to_value(&first).unwrap())?;
        // R-B-043, R-B-044: without a fault here, without a fault there.
        if first.check().is_empty() {
            prop_assert_eq!(upgraded.value.check(), []);
        }
        // X-B-40: what 1.0.0-rc.1 itself gives no meaning does not come back.
        let is_behind = first.properties.id.gateway().is_some();
        if upgraded.losses.is_empty() && first.check().is_empty() && !is_behind {
            prop_assert_eq!(rc1::DeviceCapabilitiesManifest::try_from(&upgraded.value), Ok(first));
        }

        let upgraded = second.clone().upgrade();
        kept(&upgraded, serde_json::to_value(&second).unwrap())?;
        if second.check().is_empty() {
            prop_assert_eq!(upgraded.value.check(), []);
        }
        if upgraded.losses.is_empty() {
            prop_assert_eq!(rc2::DeviceCapabilitiesManifest::try_from(&upgraded.value), Ok(second));
        }
    }

    /// What an older revision can say whole comes back whole.
    #[test]
    fn a_downgrade_that_leaves_nothing_out_is_undone_by_an_upgrade(newer in newer()) {
        if let Ok(older) = rc2::DeviceCapabilitiesManifest::try_from(&newer) {
            let again = older.upgrade();
            prop_assert_eq!(&again.losses, &[]);
            if newer.check().is_empty() {
                prop_assert_eq!(&again.value, &newer);
            }
        }
        for revision in SpecVersion::ALL {
            let newer = AnyDeviceCapabilities::from(newer.clone());
            if let Ok(converted) = newer.convert(revision) {
                let document: Value = serde_json::from_slice(&newer.to_json()).unwrap();
                for loss in &converted.losses {
                    prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
                }
                // TryFrom is the same without what it leaves out.
                prop_assert_eq!(newer.to_revision(revision).is_ok(), converted.losses.is_empty());
            }
        }
    }

    /// What any older revision leaves out is listed, and what it cannot say is named.
    #[test]
    fn what_is_lost_on_the_way_down_is_listed(
        newer in prop_oneof![newer(), any_capabilities().prop_map(|any| any.upgrade().value)],
        to in select(SpecVersion::ALL[..3].to_vec()),
    ) {
        let document = serde_json::to_value(&newer).unwrap();
        let converted = AnyDeviceCapabilities::from(newer).convert(to);
        let back = |older: AnyDeviceCapabilities| {
            let mut again = serde_json::to_value(older.upgrade().value).unwrap();
            // A role says of a device that hosts what it has to tell (R-D-023), even if it does not.
            for implied in ["otelCollector", "supportedRuntimes"] {
                if document["properties"].get(implied).is_none() {
                    again["properties"].as_object_mut().unwrap().remove(implied);
                }
            }
            again
        };
        conversion::down_and_up(&document, converted, back)?;
    }

    /// What the newest revision has no place for is listed, at its place in the older document, and the rest comes back.
    #[test]
    fn what_is_lost_on_the_way_up_is_listed(capabilities in any_capabilities()) {
        let tree = |capabilities: &AnyDeviceCapabilities| -> Value {
            serde_json::from_slice(&capabilities.to_json()).unwrap()
        };
        let document = tree(&capabilities);
        let upgraded = capabilities.clone().upgrade();
        conversion::told(&document, &upgraded.losses)?;
        let newest = AnyDeviceCapabilities::from(upgraded.value);
        match newest.convert(capabilities.revision()) {
            Ok(again) if again.losses.is_empty() => {
                conversion::holds(&document, &tree(&again.value), &upgraded.losses)?;
            }
            Ok(again) => conversion::told(&tree(&newest), &again.losses)?,
            Err(error) => conversion::named(&tree(&newest), &error)?,
        }
    }

    /// What has a place is kept, what has none is listed by a place that exists, and what comes out is a document.
    #[test]
    fn an_upgrade_keeps_or_lists_everything(older in older()) {
        let document = serde_json::to_value(&older).unwrap();
        let upgraded = older.clone().upgrade();
        let newer = &upgraded.value.properties;
        for loss in &upgraded.losses {
            prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
        }
        let lost = |place: String| upgraded.losses.iter().any(|loss| loss.pointer == place);

        prop_assert_eq!(&newer.id, &older.properties.id);
        prop_assert_eq!(&newer.serial_number, &older.properties.serial_number);
        prop_assert_eq!(newer.cpus.iter().flatten().count(), older.properties.resources.cpus.len());
        let kept = (0..older.properties.peripherals.len())
            .filter(|i| !lost(format!("/properties/peripherals/{i}"))).count();
        prop_assert_eq!(newer.peripherals.iter().flatten().count(), kept);
        let kept = (0..older.properties.interfaces.len())
            .filter(|i| !lost(format!("/properties/interfaces/{i}"))).count();
        prop_assert_eq!(newer.interfaces.iter().flatten().count(), kept);
        if let Some(bytes) = newer.memory.as_ref().and_then(Quantity::bytes) {
            let exact = older.properties.resources.memory * 1_000_000_000;
            prop_assert!(bytes <= exact && exact - bytes < 1024);
        } else {
            prop_assert!(lost("/properties/resources/memory".into()));
        }

        // A document without faults becomes a document without faults, and every one can be written and read.
        if older.check().is_empty() {
            prop_assert_eq!(upgraded.value.check(), []);
        }
        let written = AnyDeviceCapabilities::Rc3(upgraded.value);
        prop_assert_eq!(
            AnyDeviceCapabilities::decode_as(written.to_json().into(), SpecVersion::V1_0_0Rc3, &Limits::default())
                .unwrap().into_value(),
            written
        );
    }

    #[test]
    fn a_downgrade_undoes_an_upgrade_that_lost_nothing(older in sayable()) {
        let upgraded = older.clone().upgrade();
        prop_assert_eq!(&upgraded.losses, &[]);
        prop_assert_eq!(pre_draft::DeviceCapabilities::try_from(&upgraded.value), Ok(older));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(read) = AnyDeviceCapabilities::decode(bytes.into(), &Limits::default()) {
            exercise(&read)?;
        }
    }

    /// Near to a document, where the branches are: one of its bytes is another, or it ends early.
    #[test]
    fn a_damaged_document_is_read_without_panic(
        capabilities in any_capabilities(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = capabilities.to_json();
        let at = at.index(bytes.len());
        prop_assert!(AnyDeviceCapabilities::decode(bytes[..at].to_vec().into(), &Limits::default()).is_err());
        bytes[at] = byte;
        if let Ok(read) = AnyDeviceCapabilities::decode(bytes.into(), &Limits::default()) {
            exercise(&read)?;
        }
    }

    /// As above, where the values differ and not the text.
    #[test]
    fn a_document_with_another_value_somewhere_is_read_without_panic(
        capabilities in any_capabilities(),
        at in any::<prop::sample::Index>(),
        other in any_value(),
    ) {
        let mut document: Value = serde_json::from_slice(&capabilities.to_json()).unwrap();
        let places = places(&document);
        if let Some(place) = document.pointer_mut(&places[at.index(places.len())]) {
            *place = other;
        }
        for revision in SpecVersion::ALL {
            let _ = AnyDeviceCapabilities::deviations(&document, revision);
        }
        if let Ok(read) = AnyDeviceCapabilities::from_value(document) {
            exercise(&read)?;
        }
    }
}
