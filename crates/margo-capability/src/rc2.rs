//! The device capabilities as 1.0.0-rc.2 writes them, at its tag of June 2026.
//!
//! They are those of 1.0.0-rc.1 with gateways: a role of its own, ids with levels, and no resources where a device
//! hosts nothing itself. Documents of the days after the tag leave out `apiVersion`, or `kind` as well; they are read,
//! and written as the tag wants them (X-C-18). The files of the summer that carry the same label have neither roles
//! nor resources: they have the shape of 1.0.0-rc.3, and [`AnyDeviceCapabilities`](crate::AnyDeviceCapabilities)
//! reads them as such.

use margo_core::{DeviceId, DowngradeError, Extensions, SpecVersion, Upgraded};
use margo_syntax::{Fault, Pointer, pointer};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::rc1::{
    API_VERSION, Architecture, CommunicationInterface, Cpu, InterfaceType, Peripheral, PeripheralType,
    Resources,
};

use crate::DeploymentType;
use crate::older::{Hosting, Losses, host, whole};
use crate::pre_draft::{not_empty, roles};
use crate::rc1::{check_roles, upgrade_members};

/// What a device is and what it offers.
///
/// ```
/// use margo_capability::rc2::{DeviceCapabilitiesManifest, Properties, Role};
///
/// let gateway = Properties::new("gateway-1".parse()?, "Acme", "G2", "SN-1", vec![Role::Gateway]);
/// assert_eq!(
///     serde_json::to_string(&DeviceCapabilitiesManifest::new(gateway))?,
///     concat!(
///         r#"{"apiVersion":"device.margo.org/v1alpha1","kind":"DeviceCapabilitiesManifest","properties":{"#,
///         r#""id":"gateway-1","vendor":"Acme","modelNumber":"G2","serialNumber":"SN-1","roles":["Gateway"]}}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceCapabilitiesManifest {
    /// The version of the document; opaque, and not empty (X-B-19, X-C-23).
    ///
    /// May be missing (X-C-18).
    #[serde(default = "api_version", deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeviceCapabilitiesManifest`.
    ///
    /// May be missing (X-C-18).
    #[serde(default)]
    pub kind: Kind,
    /// The device itself.
    pub properties: Properties,
    /// Members 1.0.0-rc.2 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeviceCapabilitiesManifest {
    /// The capabilities of a device.
    #[must_use]
    pub fn new(properties: Properties) -> Self {
        Self { api_version: api_version(), kind: Kind::default(), properties, extensions: Extensions::new() }
    }

    /// What its shape cannot say: a device has a role, and resources unless it is nothing but a gateway (R-C-006);
    /// roles, architectures, peripherals and interfaces are ones 1.0.0-rc.2 names, and a processor has cores. Empty
    /// when there is nothing to object to.
    ///
    /// An amount of memory or storage that cannot be understood is no fault (X-B-07).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let Properties { roles, resources, .. } = &self.properties;
        check_roles(roles.iter().map(|role| (role.as_str(), role.is_known())), &mut faults);
        match resources {
            Some(resources) => resources.check(&mut faults),
            None => {
                if let Some(role) = roles.iter().find(|role| role.deployment_type().is_some()) {
                    let message = format!("missing: a device with the role `{role}` tells it");
                    faults.push(Fault::new(pointer!["properties", "resources"], message));
                }
            }
        }
        faults
    }

    /// The same capabilities in the newest revision.
    ///
    /// A role becomes the deployment type it stands for: Helm for a cluster, Compose for a device. Each of them has an
    /// OCI runtime and a collector (R-C-016). A gateway is known by the devices behind it; a device that is only that
    /// runs no workloads.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<crate::DeviceCapabilitiesManifest> {
        let mut losses = Losses::default();
        if self.api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "there is no such member");
        }
        let Properties { id, vendor, model_number, serial_number, roles, resources, extensions } =
            self.properties;
        let mut newer = crate::Properties::new(id, vendor, model_number, serial_number);
        match roles.as_slice() {
            [] => losses.add(&pointer!["properties", "roles"], "there are deployment types instead of roles"),
            // What a downgrade writes for a device that runs no workloads.
            [Role::Gateway] => {}
            roles => host(&mut newer, roles, &mut losses),
        }
        if let Some(resources) = resources {
            resources.upgrade(&mut newer, &mut losses);
        }
        newer.extensions = upgrade_members(extensions, &mut losses);
        let extensions = losses.extensions(self.extensions);
        let value =
            crate::DeviceCapabilitiesManifest { extensions, ..crate::DeviceCapabilitiesManifest::new(newer) };
        Upgraded::new(value, losses.0)
    }

    /// The same capabilities as 1.0.0-rc.2 says them, and what it leaves out: labels, deployment types without a role,
    /// runtimes beside OCI, and all processors but the first. A device that does not say that it runs workloads is a
    /// gateway; whatever part of its resources it tells is left out unless it tells all.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// A device that runs workloads without an OCI runtime or a collector, or tells a part of its resources only.
    pub fn downgrade(newer: &crate::DeviceCapabilitiesManifest) -> Result<Upgraded<Self>, DowngradeError> {
        let mut losses = Losses::default();
        if !newer.labels.is_empty() {
            losses.add(&pointer!["labels"], "there are no labels");
        }
        let extensions = losses.untaken(&newer.extensions, &["apiVersion", "kind"], &Pointer::root());
        let newer = &newer.properties;
        let roles = crate::older::roles(newer, SpecVersion::V1_0_0Rc2, &mut losses)?;
        let resources = downgrade_resources(newer, &mut losses)?;
        if roles.is_none() {
            let told = [
                ("supportedRuntimes", newer.supported_runtimes.is_some()),
                ("otelCollector", newer.otel_collector.is_some()),
            ];
            for (member, _) in told.into_iter().filter(|(_, is_told)| *is_told) {
                losses
                    .add(&pointer!["properties", member], "a device that runs no workloads does not tell it");
            }
        }
        let (vendor, model, serial) = (&newer.vendor, &newer.model_number, &newer.serial_number);
        let roles = roles.unwrap_or_else(|| vec![Role::Gateway]);
        let mut properties = Properties::new(newer.id.clone(), vendor, model, serial, roles);
        properties.resources = resources;
        properties.extensions =
            losses.untaken(&newer.extensions, &["roles", "resources"], &pointer!["properties"]);
        Ok(Upgraded::new(Self { extensions, ..Self::new(properties) }, losses.0))
    }
}

impl TryFrom<&crate::DeviceCapabilitiesManifest> for DeviceCapabilitiesManifest {
    type Error = DowngradeError;

    /// As [`downgrade`](Self::downgrade), and anything that would be left out is an error too.
    fn try_from(newer: &crate::DeviceCapabilitiesManifest) -> Result<Self, DowngradeError> {
        whole(Self::downgrade(newer)?, SpecVersion::V1_0_0Rc2)
    }
}

/// The `kind` of the document: `DeviceCapabilitiesManifest`, and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeviceCapabilitiesManifest";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text != Self::TEXT {
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"`DeviceCapabilitiesManifest`"));
        }
        Ok(Self)
    }
}

/// The device itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Properties {
    /// The device; equals the id in the route (R-C-001). Levels stand behind gateways (R-C-002).
    pub id: DeviceId,
    /// Who makes it.
    pub vendor: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Which one of them it is.
    pub serial_number: String,
    /// What it is to the workloads.
    ///
    /// Read whatever the case; `cluster lead` is read as [`Role::ClusterLeader`] (X-B-05, X-C-06).
    #[serde(deserialize_with = "roles")]
    pub roles: Vec<Role>,
    /// What it has for them. Missing where a gateway hosts nothing itself (R-C-006).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Members 1.0.0-rc.2 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Properties {
    /// A device without resources.
    #[must_use]
    pub fn new(
        id: DeviceId,
        vendor: impl Into<String>,
        model_number: impl Into<String>,
        serial_number: impl Into<String>,
        roles: Vec<Role>,
    ) -> Self {
        Self {
            id,
            vendor: vendor.into(),
            model_number: model_number.into(),
            serial_number: serial_number.into(),
            roles,
            resources: None,
            extensions: Extensions::new(),
        }
    }
}

margo_core::string_enum! {
    /// What a device is to the workloads.
    ///
    /// Written as the table spells it; read whatever the case (X-C-06).
    pub enum Role ignoring case {
        /// A Kubernetes cluster of one device.
        StandaloneCluster = "Standalone Cluster",
        /// The device of a Kubernetes cluster that the manager talks to.
        ClusterLeader = "Cluster Leader",
        /// A device that runs containers without Kubernetes.
        StandaloneDevice = "Standalone Device",
        /// A device with others behind it.
        Gateway = "Gateway",
    }
}

impl Role {
    /// The deployments such a device carries out; `None` for a gateway, and for a role 1.0.0-rc.2 does not name.
    #[must_use]
    pub fn deployment_type(&self) -> Option<DeploymentType> {
        match self {
            Self::StandaloneCluster | Self::ClusterLeader => Some(DeploymentType::Helm),
            Self::StandaloneDevice => Some(DeploymentType::Compose),
            Self::Gateway | Self::Unrecognized(_) => None,
        }
    }
}

impl Hosting for Role {
    fn deployment_type(&self) -> Option<DeploymentType> {
        self.deployment_type()
    }

    fn of(kind: &DeploymentType) -> Option<Self> {
        match kind {
            DeploymentType::Helm => Some(Self::StandaloneCluster),
            DeploymentType::Compose => Some(Self::StandaloneDevice),
            DeploymentType::Custom | DeploymentType::Unrecognized(_) => None,
        }
    }
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn downgrade_resources(
    newer: &crate::Properties,
    losses: &mut Losses,
) -> Result<Option<Resources>, DowngradeError> {
    let told = [
        ("cpus", newer.cpus.is_some()),
        ("memory", newer.memory.is_some()),
        ("storage", newer.storage.is_some()),
        ("peripherals", newer.peripherals.is_some()),
        ("interfaces", newer.interfaces.is_some()),
    ];
    let has_cpu = newer.cpus.as_ref().is_some_and(|cpus| !cpus.is_empty());
    let is_whole = has_cpu && told.iter().all(|(_, is_told)| *is_told);
    if told.iter().all(|(_, is_told)| !is_told) {
        return Ok(None);
    }
    if is_whole || newer.hosts_workloads() {
        return Resources::downgrade(newer, SpecVersion::V1_0_0Rc2, losses).map(Some);
    }
    for (member, _) in told.into_iter().filter(|(_, is_told)| *is_told) {
        losses.add(&pointer!["properties", member], "resources are told together, or not at all");
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn device() -> Value {
        json!({
            "apiVersion": "device.margo.org/v1alpha1",
            "kind": "DeviceCapabilitiesManifest",
            "properties": {
                "id": "gateway-1/plc-7",
                "vendor": "Acme",
                "modelNumber": "PLC 9000",
                "serialNumber": "SN-1",
                "roles": ["Standalone Device"],
                "resources": {
                    "cpu": {"cores": 4, "architecture": "arm64"},
                    "memory": "16Gi",
                    "storage": "64Gi",
                    "peripherals": [],
                    "interfaces": [{"type": "ethernet"}],
                },
            },
        })
    }

    fn gateway() -> Value {
        let mut gateway = device();
        let properties = gateway["properties"].as_object_mut().unwrap();
        properties.remove("resources");
        properties.insert("id".into(), json!("gateway-1"));
        properties.insert("roles".into(), json!(["Gateway"]));
        gateway
    }

    fn with(place: &str, member: &str, value: Value) -> Value {
        let mut device = device();
        device.pointer_mut(place).unwrap()[member] = value;
        device
    }

    fn read(value: Value) -> DeviceCapabilitiesManifest {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> String {
        margo_syntax::from_value::<DeviceCapabilitiesManifest>(value).unwrap_err().pointer().to_string()
    }

    fn written(value: Value) -> Value {
        serde_json::to_value(read(value)).unwrap()
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        for document in [device(), gateway()] {
            assert_eq!(written(document.clone()), document);
            assert_eq!(read(document).check(), []);
        }
    }

    /// X-C-18, X-C-23.
    #[test]
    fn the_envelope_may_be_missing() {
        for missing in [vec!["apiVersion"], vec!["apiVersion", "kind"]] {
            let mut after = device();
            after.as_object_mut().unwrap().retain(|name, _| !missing.contains(&name.as_str()));
            assert_eq!(written(after), device());
        }
        assert_eq!(written(with("", "apiVersion", json!("1.0.0")))["apiVersion"], "1.0.0");
        assert_eq!(refused(with("", "apiVersion", json!(""))), "/apiVersion");
        assert_eq!(refused(with("", "kind", json!("DeviceCapabilities"))), "/kind");
    }

    /// X-B-08, X-C-05, X-C-06, X-C-07, X-C-17.
    #[test]
    fn the_forms_of_the_examples_are_read_and_written_as_the_tables_say() {
        let mut example = with("/properties", "roles", json!(["standalone device"]));
        example["properties"]["resources"]["cpu"] = json!([{"cores": 2.4, "architecture": "x86_64"}]);
        example["properties"]["resources"]["peripherals"] = json!([{"type": "GPU"}]);
        let mut expected = device();
        expected["properties"]["resources"]["cpu"] = json!({"cores": 2.4, "architecture": "amd64"});
        expected["properties"]["resources"]["peripherals"] = json!([{"type": "gpu"}]);
        assert_eq!(written(example), expected);
    }

    /// The weeks before 1.0.0-rc.1 left lists out; 1.0.0-rc.2 asks for them.
    #[test]
    fn resources_are_whole_or_missing() {
        for member in ["cpu", "memory", "storage", "peripherals", "interfaces"] {
            let mut device = device();
            device["properties"]["resources"].as_object_mut().unwrap().remove(member);
            assert_eq!(refused(device), "/properties/resources", "{member}");
        }
    }

    /// R-C-002, X-C-13.
    #[test]
    fn a_device_is_named_by_its_levels() {
        assert_eq!(refused(with("/properties", "id", json!("gateway-1/../plc-7"))), "/properties/id");
    }

    /// R-C-006.
    #[test]
    fn only_a_gateway_has_no_resources() {
        let mut hosting = gateway();
        hosting["properties"]["roles"] = json!(["Gateway", "Standalone Device"]);
        let faults: Vec<_> = read(hosting).check().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            ["/properties/resources: missing: a device with the role `Standalone Device` tells it"]
        );
        let unknown = read(with("/properties", "roles", json!(["Non existing role"]))).check();
        assert_eq!(unknown[0].to_string(), "/properties/roles/0: `Non existing role` is not a role");
    }

    /// R-C-006, R-D-021: a gateway that only relays is a device that tells nothing about workloads.
    #[test]
    fn a_gateway_is_upgraded_and_comes_back() {
        for document in [device(), gateway()] {
            let upgraded = read(document.clone()).upgrade();
            assert_eq!(upgraded.losses, []);
            assert_eq!(upgraded.value.check(), []);
            assert_eq!(DeviceCapabilitiesManifest::try_from(&upgraded.value), Ok(read(document)));
        }
        assert!(!read(gateway()).upgrade().value.properties.hosts_workloads());

        let both = read(with("/properties", "roles", json!(["Gateway", "Standalone Device"]))).upgrade();
        assert_eq!(both.losses.len(), 1);
        assert_eq!(both.losses[0].pointer, "/properties/roles/0");
        let none = read(with("/properties", "roles", json!([]))).upgrade();
        assert_eq!(none.losses[0].pointer, "/properties/roles");
    }

    /// X-D-28: a relay may tell a part of it.
    #[test]
    fn a_downgrade_leaves_out_what_a_relay_tells() {
        let mut relay = read(gateway()).upgrade().value;
        relay.properties.interfaces = Some(vec![]);
        relay.properties.otel_collector = Some(true);
        let Upgraded { value, losses, .. } = DeviceCapabilitiesManifest::downgrade(&relay).unwrap();
        assert_eq!(value, read(gateway()));
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/properties/interfaces", "/properties/otelCollector"]);
        let error = DeviceCapabilitiesManifest::try_from(&relay).unwrap_err();
        assert_eq!(
            (error.pointer.as_str(), error.revision),
            ("/properties/interfaces", SpecVersion::V1_0_0Rc2)
        );

        let mut nothing = read(gateway()).upgrade().value;
        nothing.properties.cpus = Some(vec![]);
        let error = DeviceCapabilitiesManifest::try_from(&nothing).unwrap_err();
        assert_eq!(error.pointer, "/properties/cpus");

        let mut hosting = read(device()).upgrade().value;
        hosting.properties.storage = None;
        let error = DeviceCapabilitiesManifest::downgrade(&hosting).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1.0.0-rc.2 cannot say `/properties/storage`: resources have it, and it is not told"
        );
    }
}
