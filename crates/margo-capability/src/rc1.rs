//! The device capabilities as 1.0.0-rc.1 writes them: the pages of Preview Release 1, and the OpenAPI document that
//! was corrected after them.
//!
//! A device has roles instead of deployment types, one processor, and everything that workloads may use below
//! `resources`. The examples of the pages contradict their tables; each type here says what else it reads. Documents
//! of the weeks before the release are read as well: their `kind` is `DeviceCapabilities`, and their resources name
//! neither peripherals nor interfaces (X-B-33).

mod resources;

use margo_core::{DeviceId, DowngradeError, Extensions, SpecVersion, Upgraded};
use margo_syntax::{Fault, Pointer, pointer};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::resources::earlier;
pub use self::resources::{
    Architecture, CommunicationInterface, Cpu, InterfaceType, Peripheral, PeripheralType, Resources,
};
use crate::DeploymentType;
use crate::older::{Hosting, Losses, NEWER_PROPERTIES, host, unsayable, whole};
use crate::pre_draft::{not_empty, roles};

/// The `apiVersion` this library writes. Any text that is not empty is read (X-B-19).
pub const API_VERSION: &str = "device.margo.org/v1alpha1";

/// What a device is and what it offers.
///
/// ```
/// use margo_capability::rc1::{Architecture, Cpu, DeviceCapabilitiesManifest, Properties, Resources, Role};
///
/// let cpu = Cpu::new(4.0).with_architecture(Architecture::Arm64);
/// let resources = Resources::new(cpu, "8Gi", "64Gi");
/// let device = Properties::new(
///     "plc-7".parse()?, "Acme", "PLC 9000", "SN-1", vec![Role::StandaloneDevice], resources,
/// );
/// assert_eq!(
///     serde_json::to_string(&DeviceCapabilitiesManifest::new(device))?,
///     concat!(
///         r#"{"apiVersion":"device.margo.org/v1alpha1","kind":"DeviceCapabilitiesManifest","properties":{"#,
///         r#""id":"plc-7","vendor":"Acme","modelNumber":"PLC 9000","serialNumber":"SN-1","#,
///         r#""roles":["Standalone Device"],"resources":{"cpu":{"cores":4,"architecture":"arm64"},"#,
///         r#""memory":"8Gi","storage":"64Gi","peripherals":[],"interfaces":[]}}}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceCapabilitiesManifest {
    /// The version of the document; opaque, and not empty (X-B-19).
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeviceCapabilitiesManifest`.
    pub kind: Kind,
    /// The device itself.
    pub properties: Properties,
    /// Members 1.0.0-rc.1 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeviceCapabilitiesManifest {
    /// The capabilities of a device.
    #[must_use]
    pub fn new(properties: Properties) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind::default(),
            properties,
            extensions: Extensions::new(),
        }
    }

    /// What its shape cannot say: a device has a role (R-B-044) and cores; roles, architectures, peripherals and
    /// interfaces are ones 1.0.0-rc.1 names. Empty when there is nothing to object to.
    ///
    /// An amount of memory or storage that cannot be understood is no fault (X-B-07).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let roles = self.properties.roles.iter().map(|role| (role.as_str(), role.is_known()));
        check_roles(roles, &mut faults);
        self.properties.resources.check(&mut faults);
        faults
    }

    /// The same capabilities in the newest revision.
    ///
    /// A role becomes the deployment type it stands for: Helm for a cluster, Compose for a device. Each of them has an
    /// OCI runtime and a collector (R-B-043, R-B-044). A device without a known role is not said to run workloads.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<crate::DeviceCapabilitiesManifest> {
        let mut losses = Losses::default();
        if self.api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "there is no such member");
        }
        let Properties { id, vendor, model_number, serial_number, roles, resources, extensions } =
            self.properties;
        let mut newer = crate::Properties::new(id, vendor, model_number, serial_number);
        host(&mut newer, &roles, &mut losses);
        resources.upgrade(&mut newer, &mut losses);
        newer.extensions = upgrade_members(extensions, &mut losses);
        let extensions = losses.extensions(self.extensions);
        let value =
            crate::DeviceCapabilitiesManifest { extensions, ..crate::DeviceCapabilitiesManifest::new(newer) };
        Upgraded::new(value, losses.0)
    }

    /// The same capabilities as 1.0.0-rc.1 says them, and what it leaves out: labels, deployment types without a role,
    /// runtimes beside OCI, and all processors but the first.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// A device behind a gateway, since a client is one device (X-B-40); one that runs no workloads, since every one has
    /// a role; one without an OCI runtime or a collector; and resources that are not told.
    pub fn downgrade(newer: &crate::DeviceCapabilitiesManifest) -> Result<Upgraded<Self>, DowngradeError> {
        let mut losses = Losses::default();
        if !newer.labels.is_empty() {
            losses.add(&pointer!["labels"], "there are no labels");
        }
        let extensions = losses.untaken(&newer.extensions, &["apiVersion", "kind"], &Pointer::root());
        let newer = &newer.properties;
        if newer.id.gateway().is_some() {
            let reason = "there are no devices behind gateways";
            return Err(unsayable(SpecVersion::V1_0_0Rc1, &pointer!["properties", "id"], reason));
        }
        let Some(roles) = crate::older::roles(newer, SpecVersion::V1_0_0Rc1, &mut losses)? else {
            let place = pointer!["properties", "supportedDeploymentTypes"];
            let reason = "every device has a role, and this one tells none";
            return Err(unsayable(SpecVersion::V1_0_0Rc1, &place, reason));
        };
        let resources = Resources::downgrade(newer, SpecVersion::V1_0_0Rc1, &mut losses)?;
        let (vendor, model, serial) = (&newer.vendor, &newer.model_number, &newer.serial_number);
        let mut properties = Properties::new(newer.id.clone(), vendor, model, serial, roles, resources);
        properties.extensions =
            losses.untaken(&newer.extensions, &["roles", "resources"], &pointer!["properties"]);
        Ok(Upgraded::new(Self { extensions, ..Self::new(properties) }, losses.0))
    }
}

impl TryFrom<&crate::DeviceCapabilitiesManifest> for DeviceCapabilitiesManifest {
    type Error = DowngradeError;

    /// As [`downgrade`](Self::downgrade), and anything that would be left out is an error too.
    fn try_from(newer: &crate::DeviceCapabilitiesManifest) -> Result<Self, DowngradeError> {
        whole(Self::downgrade(newer)?, SpecVersion::V1_0_0Rc1)
    }
}

/// The `kind` of the document: `DeviceCapabilitiesManifest`. The earlier `DeviceCapabilities` is read as well
/// (X-B-33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeviceCapabilitiesManifest";

    /// What the weeks before the release wrote.
    pub(crate) const EARLIER: &str = "DeviceCapabilities";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text != Self::TEXT && text != Self::EARLIER {
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
    /// The device. The route names the client and not the device (X-B-40).
    pub id: DeviceId,
    /// Who makes it.
    pub vendor: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Which one of them it is.
    pub serial_number: String,
    /// What it is to the workloads.
    ///
    /// Read whatever the case; the example's `cluster lead` is read as [`Role::ClusterLeader`] (X-B-05).
    #[serde(deserialize_with = "roles")]
    pub roles: Vec<Role>,
    /// What it has for them.
    #[serde(deserialize_with = "earlier")]
    pub resources: Resources,
    /// Members 1.0.0-rc.1 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Properties {
    /// A device.
    #[must_use]
    pub fn new(
        id: DeviceId,
        vendor: impl Into<String>,
        model_number: impl Into<String>,
        serial_number: impl Into<String>,
        roles: Vec<Role>,
        resources: Resources,
    ) -> Self {
        Self {
            id,
            vendor: vendor.into(),
            model_number: model_number.into(),
            serial_number: serial_number.into(),
            roles,
            resources,
            extensions: Extensions::new(),
        }
    }
}

margo_core::string_enum! {
    /// What a device is to the workloads (R-B-044).
    ///
    /// Written as the table spells it; read whatever the case (X-B-05).
    pub enum Role ignoring case {
        /// A Kubernetes cluster of one device.
        StandaloneCluster = "Standalone Cluster",
        /// The device of a Kubernetes cluster that the manager talks to.
        ClusterLeader = "Cluster Leader",
        /// A device that runs containers without Kubernetes.
        StandaloneDevice = "Standalone Device",
    }
}

impl Role {
    /// The deployments such a device carries out; `None` for a role 1.0.0-rc.1 does not name.
    #[must_use]
    pub fn deployment_type(&self) -> Option<DeploymentType> {
        match self {
            Self::StandaloneCluster | Self::ClusterLeader => Some(DeploymentType::Helm),
            Self::StandaloneDevice => Some(DeploymentType::Compose),
            Self::Unrecognized(_) => None,
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

/// The members of a newer document's properties that an older one's may keep.
pub(crate) fn upgrade_members(members: Extensions, losses: &mut Losses) -> Extensions {
    let taken = [&NEWER_PROPERTIES[..], &["peripherals", "interfaces"]].concat();
    losses.except(members, &taken, &pointer!["properties"])
}

pub(crate) fn check_roles<'a>(roles: impl Iterator<Item = (&'a str, bool)>, faults: &mut Vec<Fault>) {
    let mut roles = roles.enumerate().peekable();
    if roles.peek().is_none() {
        faults.push(Fault::new(pointer!["properties", "roles"], "expected at least one"));
    }
    for (i, (role, is_known)) in roles {
        if !is_known {
            faults.push(Fault::new(pointer!["properties", "roles", i], format!("`{role}` is not a role")));
        }
    }
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
                "id": "plc-7",
                "vendor": "Acme",
                "modelNumber": "PLC 9000",
                "serialNumber": "SN-1",
                "roles": ["Standalone Cluster", "Standalone Device"],
                "resources": {
                    "cpu": {"cores": 4, "architecture": "amd64"},
                    "memory": "16Gi",
                    "storage": "64Gi",
                    "peripherals": [{"type": "gpu", "manufacturer": "NVIDIA", "model": "L4"}],
                    "interfaces": [{"type": "ethernet"}],
                },
            },
        })
    }

    fn with(place: &str, value: Value) -> Value {
        let mut device = device();
        let (parent, member) = place.rsplit_once('/').unwrap();
        match device.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[member.parse::<usize>().unwrap()] = value,
            object => object[member] = value,
        }
        device
    }

    fn without(place: &str, member: &str) -> Value {
        let mut device = device();
        device.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(member);
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
        assert_eq!(written(device()), device());
        assert_eq!(read(device()).check(), []);
        let note = with("/properties/resources/cpu/note", json!({"n": 1}));
        assert_eq!(written(note.clone()), note);
    }

    /// X-B-19, X-B-33.
    #[test]
    fn any_api_version_and_either_kind_is_read() {
        assert_eq!(written(with("/apiVersion", json!("v1")))["apiVersion"], "v1");
        assert_eq!(refused(with("/apiVersion", json!(""))), "/apiVersion");
        assert_eq!(written(with("/kind", json!("DeviceCapabilities"))), device());
        assert_eq!(refused(with("/kind", json!("DeviceCapability"))), "/kind");
        assert_eq!(refused(without("", "kind")), "");
    }

    /// X-B-33: what the weeks before the release left out.
    #[test]
    fn peripherals_and_interfaces_may_be_missing() {
        let mut earlier = without("/properties/resources", "peripherals");
        earlier["properties"]["resources"].as_object_mut().unwrap().remove("interfaces");
        let resources = &written(earlier)["properties"]["resources"];
        assert_eq!((&resources["peripherals"], &resources["interfaces"]), (&json!([]), &json!([])));
        for member in ["cpu", "memory", "storage"] {
            assert_eq!(
                refused(without("/properties/resources", member)),
                "/properties/resources",
                "{member}"
            );
        }
        assert_eq!(refused(without("/properties", "resources")), "/properties");
        assert_eq!(refused(with("/properties/resources/memory", json!(16))), "/properties/resources/memory");
    }

    /// X-B-05, R-B-044.
    #[test]
    fn roles_are_written_as_the_table_spells_them() {
        let roles = json!(["standalone cluster", "cluster lead", "STANDALONE DEVICE", "Gateway"]);
        let device = with("/properties/roles", roles);
        assert_eq!(
            written(device.clone())["properties"]["roles"],
            json!(["Standalone Cluster", "Cluster Leader", "Standalone Device", "Gateway"])
        );
        let faults: Vec<_> = read(device).check().iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["/properties/roles/3: `Gateway` is not a role"]);
        let none = read(with("/properties/roles", json!([]))).check();
        assert_eq!(none[0].to_string(), "/properties/roles: expected at least one");
    }

    /// X-B-06, X-B-09, X-B-10.
    #[test]
    fn a_processor_is_one_object_with_one_architecture() {
        let place = "/properties/resources/cpu";
        for cpu in [
            json!([{"cores": 4, "architecture": "amd64"}]),
            json!({"cores": 4, "architecture": "x86_64"}),
            json!({"cores": 4.0, "architectures": ["x86_64"]}),
        ] {
            assert_eq!(written(with(place, cpu)), device());
        }
        assert_eq!(read(with(place, json!({"cores": 2.4}))).properties.resources.cpu, Cpu::new(2.4));
        assert_eq!(
            refused(with(place, json!({"cores": 4, "architectures": ["amd64", "arm64"]}))),
            "/properties/resources/cpu/architectures"
        );
        assert_eq!(refused(with(place, json!([]))), place);
        assert_eq!(refused(with(place, json!({"architecture": "amd64"}))), place);
        let unknown = read(with(place, json!({"cores": 0, "architecture": "z80"}))).check();
        let unknown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            unknown,
            [
                "/properties/resources/cpu/cores: expected more than 0",
                "/properties/resources/cpu/architecture: `z80` is not an architecture",
            ]
        );
    }

    /// X-B-07, X-B-08.
    #[test]
    fn amounts_are_kept_and_peripherals_have_any_case() {
        let blank = with("/properties/resources/memory", json!("16 Gi"));
        assert_eq!(written(blank.clone()), blank);
        assert_eq!(read(with("/properties/resources/storage", json!("plenty"))).check(), []);
        let gpu = with("/properties/resources/peripherals/0/type", json!("GPU"));
        assert_eq!(written(gpu), device());
        for (place, word) in [("peripherals", "nic"), ("interfaces", "Ethernet")] {
            let place = format!("/properties/resources/{place}/0/type");
            let faults = read(with(&place, json!(word))).check();
            assert_eq!((faults.len(), faults[0].pointer().as_str()), (1, place.as_str()));
        }
    }

    /// R-B-043, R-B-044: what a role promises.
    #[test]
    fn an_upgrade_says_what_the_role_promises() {
        let upgraded = read(device()).upgrade();
        assert_eq!(upgraded.losses, []);
        assert_eq!(upgraded.value.check(), []);
        assert_eq!(
            serde_json::to_value(&upgraded.value).unwrap(),
            json!({
                "properties": {
                    "id": "plc-7",
                    "vendor": "Acme",
                    "modelNumber": "PLC 9000",
                    "serialNumber": "SN-1",
                    "cpus": [{"cores": 4, "architecture": "amd64"}],
                    "memory": "16Gi",
                    "storage": "64Gi",
                    "peripherals": [{"type": "gpu", "manufacturer": "NVIDIA", "model": "L4"}],
                    "interfaces": [{"type": "ethernet"}],
                    "otelCollector": true,
                    "supportedRuntimes": ["oci"],
                    "supportedDeploymentTypes": ["helm", "compose"],
                },
            })
        );
        assert_eq!(DeviceCapabilitiesManifest::try_from(&upgraded.value), Ok(read(device())));
    }

    #[test]
    fn an_upgrade_lists_each_thing_that_has_no_place() {
        let mut device = with("/apiVersion", json!("v1"));
        device["note"] = json!("kept in stock");
        device["x-acme-extensions"] = json!({"hall": 1});
        let properties = &mut device["properties"];
        properties["roles"] = json!(["Cluster Leader", "Standalone Cluster", "Gateway"]);
        properties["memory"] = json!("16Gi");
        properties["interfaces"] = json!([]);
        properties["hall"] = json!(1);
        properties["resources"]["slots"] = json!(2);
        let upgraded = read(device).upgrade();
        let lost: Vec<_> = upgraded.losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/apiVersion",
                "/properties/roles/0",
                "/properties/roles/1",
                "/properties/roles/2",
                "/properties/resources/slots",
                "/properties/interfaces",
                "/properties/memory",
                "/note",
            ]
        );
        assert_eq!(upgraded.value.properties.extensions.get("hall"), Some(&json!(1)));
        assert_eq!(upgraded.value.extensions.len(), 1);
        assert_eq!(upgraded.value.properties.supported_deployment_types, Some(vec![DeploymentType::Helm]));
    }

    /// Each thing 1.0.0-rc.1 cannot say is named; what it can leave out is listed first.
    #[test]
    fn a_downgrade_names_what_cannot_be_said_and_lists_what_is_left_out() {
        type Change = fn(&mut crate::DeviceCapabilitiesManifest);

        let sayable = || read(device()).upgrade().value;
        let left_out: [(&str, Change); 7] = [
            ("/labels", |d| drop(d.labels.insert("acme.com/hall".into(), true.into()))),
            ("/kind", |d| drop(d.extensions.insert("kind", json!(1)))),
            ("/properties/resources", |d| drop(d.properties.extensions.insert("resources", json!({})))),
            ("/properties/supportedDeploymentTypes/2", |d| {
                d.properties.supported_deployment_types.as_mut().unwrap().push(DeploymentType::Custom);
            }),
            ("/properties/supportedRuntimes/1", |d| {
                d.properties.supported_runtimes.as_mut().unwrap().push(crate::Runtime::Custom);
            }),
            ("/properties/cpus/1", |d| d.properties.cpus.as_mut().unwrap().push(crate::Cpu::new(2.0))),
            ("/properties/cpus/0/architectures", |d| {
                drop(d.properties.cpus.as_mut().unwrap()[0].extensions.insert("architectures", json!([])));
            }),
        ];
        for (place, change) in left_out {
            let mut newer = sayable();
            change(&mut newer);
            let Upgraded { value, losses, .. } = DeviceCapabilitiesManifest::downgrade(&newer).unwrap();
            assert_eq!(losses.iter().map(|loss| loss.pointer.as_str()).collect::<Vec<_>>(), [place]);
            assert_eq!(value, read(device()));
            let error = DeviceCapabilitiesManifest::try_from(&newer).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.revision), (place, SpecVersion::V1_0_0Rc1));
        }

        let unsayable: [(&str, Change); 10] = [
            ("/properties/id", |d| d.properties.id = "gateway-1/plc-7".parse().unwrap()),
            ("/properties/supportedDeploymentTypes", |d| d.properties.supported_deployment_types = None),
            ("/properties/supportedDeploymentTypes", |d| {
                d.properties.supported_deployment_types = Some(vec![]);
            }),
            ("/properties/supportedDeploymentTypes/0", |d| {
                d.properties.supported_deployment_types = Some(vec![DeploymentType::Custom]);
            }),
            ("/properties/supportedRuntimes", |d| {
                d.properties.supported_runtimes = Some(vec![crate::Runtime::Custom]);
            }),
            ("/properties/otelCollector", |d| d.properties.otel_collector = Some(false)),
            ("/properties/cpus", |d| d.properties.cpus = Some(vec![])),
            ("/properties/memory", |d| d.properties.memory = None),
            ("/properties/peripherals", |d| d.properties.peripherals = None),
            ("/properties/interfaces", |d| d.properties.interfaces = None),
        ];
        for (place, change) in unsayable {
            let mut newer = sayable();
            change(&mut newer);
            let error = DeviceCapabilitiesManifest::downgrade(&newer).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.revision), (place, SpecVersion::V1_0_0Rc1));
        }
    }
}
