use std::collections::BTreeMap;
use std::fmt;

use margo_core::{DeviceId, Extensions, Quantity};
use margo_syntax::{Fault, pointer};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{CommunicationInterface, Cpu, DeploymentType, LabelValue, Peripheral, Runtime};

/// What a device is and what it offers ([spec]).
///
/// The document is closed but for supplier extensions: a member with another name is refused, and so is an
/// extension that is not an object (R-D-032). The members `apiVersion` and `kind`, which one page of the
/// specification still writes, are read over and never kept (X-D-20).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/device-capabilities
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = margo_core::schema::close)
)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceCapabilitiesManifest {
    /// The device itself.
    pub properties: Properties,
    /// What its supplier says about it, for matching. Names are case-sensitive; a domain in front keeps them apart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, LabelValue>,
    /// Supplier extensions: every name as [`Extensions::is_extension_name`] wants it.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeviceCapabilitiesManifest {
    /// The capabilities of a device, without labels.
    #[must_use]
    pub fn new(properties: Properties) -> Self {
        Self { properties, labels: BTreeMap::new(), extensions: Extensions::new() }
    }

    /// What its shape cannot say. Empty when there is nothing to object to.
    ///
    /// - A device that runs workloads says everything they may need (R-D-021, R-D-023). `cpus` alone may be missing:
    ///   the specification's own example leaves it out (X-D-21).
    /// - A list of runtimes or deployment types is not empty.
    /// - Cores are more than none.
    /// - Peripherals and interfaces are ones the specification names (X-D-36). Runtimes and deployment types need not
    ///   be (R-D-022), nor architectures (X-D-02).
    ///
    /// An amount of memory or storage that cannot be understood is no fault (X-D-07).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.properties.check_vocabulary(&mut faults);
        self.properties.check_hosting(&mut faults);
        faults
    }
}

/// The device itself.
///
/// A device that runs no workloads, such as a gateway that only relays, leaves out everything from
/// [`cpus`](Self::cpus) on (R-D-021); any part of it is accepted while no deployment types are told (X-D-28).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Properties {
    /// The device; equals the id in the route.
    pub id: DeviceId,
    /// Who makes it.
    pub vendor: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Which one of them it is.
    pub serial_number: String,
    /// The processors workloads may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Vec<Cpu>>,
    /// The memory workloads may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// The storage workloads may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// The peripherals workloads may use; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peripherals: Option<Vec<Peripheral>>,
    /// The interfaces workloads may use; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<CommunicationInterface>>,
    /// Whether an OpenTelemetry collector runs on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otel_collector: Option<bool>,
    /// What carries out its workloads; at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub supported_runtimes: Option<Vec<Runtime>>,
    /// The deployments it can carry out; at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub supported_deployment_types: Option<Vec<DeploymentType>>,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Properties {
    /// A device that runs no workloads: it only has a name.
    #[must_use]
    pub fn new(
        id: DeviceId,
        vendor: impl Into<String>,
        model_number: impl Into<String>,
        serial_number: impl Into<String>,
    ) -> Self {
        Self {
            id,
            vendor: vendor.into(),
            model_number: model_number.into(),
            serial_number: serial_number.into(),
            cpus: None,
            memory: None,
            storage: None,
            peripherals: None,
            interfaces: None,
            otel_collector: None,
            supported_runtimes: None,
            supported_deployment_types: None,
            extensions: Extensions::new(),
        }
    }

    /// Whether workloads can run on it: it tells deployment types (R-D-021, X-D-28).
    #[must_use]
    pub fn hosts_workloads(&self) -> bool {
        self.supported_deployment_types.is_some()
    }

    fn check_vocabulary(&self, faults: &mut Vec<Fault>) {
        for (i, cpu) in self.cpus.iter().flatten().enumerate() {
            if !(cpu.cores.is_finite() && cpu.cores > 0.0) {
                faults.push(Fault::new(pointer!["properties", "cpus", i, "cores"], "expected more than 0"));
            }
        }
        for (i, peripheral) in self.peripherals.iter().flatten().enumerate() {
            if !peripheral.r#type.is_known() {
                let message = format!("`{}` is not a type of peripheral", peripheral.r#type);
                faults.push(Fault::new(pointer!["properties", "peripherals", i, "type"], message));
            }
        }
        for (i, interface) in self.interfaces.iter().flatten().enumerate() {
            if !interface.r#type.is_known() {
                let message = format!("`{}` is not a type of interface", interface.r#type);
                faults.push(Fault::new(pointer!["properties", "interfaces", i, "type"], message));
            }
        }
    }

    fn check_hosting(&self, faults: &mut Vec<Fault>) {
        let hosts = self.hosts_workloads();
        let mut needs = |member: &str, is_told: bool| {
            if hosts && !is_told {
                faults.push(Fault::new(
                    pointer!["properties", member],
                    "missing: a device with deployment types must tell it",
                ));
            }
        };
        needs("memory", self.memory.is_some());
        needs("storage", self.storage.is_some());
        needs("peripherals", self.peripherals.is_some());
        needs("interfaces", self.interfaces.is_some());
        needs("otelCollector", self.otel_collector.is_some());
        needs("supportedRuntimes", self.supported_runtimes.is_some());

        // R-D-023.
        if hosts && self.otel_collector == Some(false) {
            let message = "expected `true`: a device with deployment types has a collector";
            faults.push(Fault::new(pointer!["properties", "otelCollector"], message));
        }
        if let Some(runtimes) = &self.supported_runtimes {
            let place = pointer!["properties", "supportedRuntimes"];
            let compose =
                self.supported_deployment_types.iter().flatten().any(|t| *t == DeploymentType::Compose);
            if runtimes.is_empty() {
                faults.push(Fault::new(place, "expected at least one"));
            } else if compose && !runtimes.contains(&Runtime::Oci) {
                faults.push(Fault::new(place, "expected `oci`, which the deployment type `compose` runs on"));
            }
        }
        if self.supported_deployment_types.as_ref().is_some_and(Vec::is_empty) {
            let place = pointer!["properties", "supportedDeploymentTypes"];
            faults.push(Fault::new(place, "expected at least one"));
        }
    }
}

// By hand, because each member is judged under its own name: a derived `flatten` would report every one at the root.
impl<'de> Deserialize<'de> for DeviceCapabilitiesManifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Root;

        impl<'de> Visitor<'de> for Root {
            type Value = DeviceCapabilitiesManifest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("device capabilities")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut properties = None;
                let mut labels = None;
                let mut extensions = Extensions::new();
                while let Some(name) = members.next_key::<String>()? {
                    match name.as_str() {
                        "properties" if properties.is_some() => {
                            return Err(A::Error::duplicate_field("properties"));
                        }
                        "labels" if labels.is_some() => return Err(A::Error::duplicate_field("labels")),
                        "properties" => properties = Some(members.next_value()?),
                        "labels" => labels = members.next_value()?,
                        "apiVersion" | "kind" => {
                            members.next_value::<IgnoredAny>()?;
                        }
                        extension if Extensions::is_extension_name(extension) => {
                            let value = members.next_value::<Map<String, Value>>()?;
                            extensions.insert(name, Value::Object(value));
                        }
                        _ => {
                            members.next_value::<Unknown>()?;
                        }
                    }
                }
                let properties = properties.ok_or_else(|| A::Error::missing_field("properties"))?;
                Ok(DeviceCapabilitiesManifest { properties, labels: labels.unwrap_or_default(), extensions })
            }
        }

        deserializer.deserialize_map(Root)
    }
}

/// The value of a member that may not be there: reading it fails, in its place.
struct Unknown;

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "unknown member, expected `properties`, `labels` or a name such as `x-acme-extensions`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The specification's main example, in other words.
    fn hosting() -> Value {
        json!({
            "properties": {
                "id": "gateway-1/plc-7",
                "vendor": "Acme",
                "modelNumber": "PLC 9000",
                "serialNumber": "SN-1",
                "cpus": [{"cores": 4, "architecture": "arm64"}],
                "memory": "16 Gi",
                "storage": "64Gi",
                "peripherals": [{"type": "gpu", "manufacturer": "NVIDIA"}],
                "interfaces": [{"type": "ethernet"}],
                "otelCollector": true,
                "supportedRuntimes": ["oci"],
                "supportedDeploymentTypes": ["compose"],
            },
            "labels": {"acme.com/hall": 1},
            "x-acme-extensions": {"slot": 3},
        })
    }

    fn read(value: Value) -> DeviceCapabilitiesManifest {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> String {
        margo_syntax::from_value::<DeviceCapabilitiesManifest>(value).unwrap_err().pointer().to_string()
    }

    /// The faults of the example after a change.
    fn faults(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<String> {
        let mut device = hosting();
        change(device["properties"].as_object_mut().unwrap());
        read(device).check().iter().map(ToString::to_string).collect()
    }

    /// R-D-032.
    #[test]
    fn it_is_written_as_it_was_read() {
        let read = read(hosting());
        assert_eq!(serde_json::to_value(&read).unwrap(), hosting());
        assert_eq!(read.check(), []);
        assert!(read.properties.hosts_workloads());
    }

    /// R-D-032: an extension has a name of that form and is an object. Nothing else is let in.
    #[test]
    fn the_root_is_closed_and_says_which_member_is_too_much() {
        for (name, value) in [
            ("roles", json!([])),
            ("x-Acme-extensions", json!({})),
            ("x-acme-extensions", json!(3)),
            ("metadata", json!({"name": "plc-7"})),
        ] {
            let mut device = hosting();
            device[name] = value;
            assert_eq!(refused(device), format!("/{name}"));
        }
        assert_eq!(refused(json!({"labels": {}})), "");
        assert_eq!(refused(json!([])), "");
    }

    /// X-D-20.
    #[test]
    fn an_api_version_and_a_kind_are_read_over() {
        let mut device = hosting();
        device["apiVersion"] = json!("device.margo.org/v1alpha1");
        device["kind"] = json!("DeviceCapabilitiesManifest");
        assert_eq!(serde_json::to_value(read(device)).unwrap(), hosting());
    }

    #[test]
    fn a_wrong_member_is_named() {
        for (place, value) in [
            ("/properties/id", json!("plc/../7")),
            ("/properties/vendor", json!(7)),
            ("/properties/cpus/0/cores", json!("four")),
            ("/properties/memory", json!(16)),
            ("/properties/peripherals/0/type", json!(null)),
            ("/properties/otelCollector", json!("true")),
            ("/properties/supportedRuntimes/0", json!(1)),
            ("/labels/acme.com~1hall", json!({"number": 1})),
        ] {
            let mut device = hosting();
            *device.pointer_mut(place).unwrap() = value;
            assert_eq!(refused(device), place);
        }
        // X-D-36: the place of what is missing is the place it is missing from.
        let mut device = hosting();
        device["properties"].as_object_mut().unwrap().remove("vendor");
        assert_eq!(refused(device), "/properties");
    }

    /// R-D-021, R-D-023: each hosting field, missing or empty.
    #[test]
    fn a_device_that_runs_workloads_says_what_it_has() {
        for member in ["memory", "storage", "peripherals", "interfaces", "otelCollector", "supportedRuntimes"]
        {
            let faults = faults(|properties| drop(properties.remove(member)));
            assert_eq!(
                faults,
                [format!("/properties/{member}: missing: a device with deployment types must tell it")]
            );
        }
        for member in ["supportedRuntimes", "supportedDeploymentTypes"] {
            let faults = faults(|properties| properties[member] = json!([]));
            assert_eq!(faults, [format!("/properties/{member}: expected at least one")]);
        }
        assert_eq!(
            faults(|properties| properties["otelCollector"] = json!(false)),
            ["/properties/otelCollector: expected `true`: a device with deployment types has a collector"]
        );
        assert_eq!(
            faults(|properties| properties["supportedRuntimes"] = json!(["custom"])),
            ["/properties/supportedRuntimes: expected `oci`, which the deployment type `compose` runs on"]
        );
        let all = faults(|properties| {
            properties.remove("memory");
            properties["supportedDeploymentTypes"] = json!([]);
        });
        assert_eq!(all.len(), 2);
    }

    /// X-D-21: the specification's own example. X-D-07: its amounts. R-D-022: its words.
    #[test]
    fn what_may_be_left_open_is_no_fault() {
        assert!(faults(|properties| drop(properties.remove("cpus"))).is_empty());
        assert!(faults(|properties| properties["memory"] = json!("plenty")).is_empty());
        assert!(faults(|properties| properties["peripherals"] = json!([])).is_empty());
        assert!(
            faults(|properties| properties["supportedRuntimes"] = json!(["oci", "unikernel"])).is_empty()
        );
        assert!(faults(|properties| properties["supportedDeploymentTypes"] = json!(["nomad"])).is_empty());
    }

    /// X-D-28: a relay tells any part of it.
    #[test]
    fn a_relay_may_say_any_part() {
        for member in ["memory", "peripherals", "interfaces", "otelCollector", "supportedRuntimes"] {
            let faults = faults(|properties| {
                properties.remove("supportedDeploymentTypes");
                properties.remove(member);
            });
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    /// X-D-02: kept, and no fault.
    #[test]
    fn an_unknown_architecture_is_kept() {
        let mut device = hosting();
        device["properties"]["cpus"][0]["architecture"] = json!("riscv64");
        let read = read(device.clone());
        assert_eq!(serde_json::to_value(&read).unwrap(), device);
        assert_eq!(read.check(), []);
    }

    /// X-D-36.
    #[test]
    fn unknown_words_are_kept_and_named() {
        for (place, word) in
            [("/properties/peripherals/0/type", "nic"), ("/properties/interfaces/0/type", "Ethernet")]
        {
            let mut device = hosting();
            *device.pointer_mut(place).unwrap() = json!(word);
            let read = read(device.clone());
            assert_eq!(serde_json::to_value(&read).unwrap(), device);
            let faults = read.check();
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].pointer().as_str(), place);
            assert!(faults[0].message().contains(word), "{}", faults[0]);
        }
    }

    #[test]
    fn cores_are_more_than_none() {
        for cores in [json!(0), json!(-1), json!(-0.5)] {
            let faults = faults(|properties| properties["cpus"][0]["cores"] = cores);
            assert_eq!(faults, ["/properties/cpus/0/cores: expected more than 0"]);
        }
        assert!(faults(|properties| properties["cpus"][0]["cores"] = json!(0.5)).is_empty());
    }
}
