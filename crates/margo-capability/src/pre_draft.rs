//! The device capabilities as the pre-draft of October 2024 writes them.
//!
//! A device has roles instead of deployment types, amounts in GB and GHz, and names for its parts. The
//! specification's own example contradicts its tables in most members; each type here says what else it reads.
//! What it writes is what the tables say. One table types `resources` as a list; the example is an object. A list of
//! one is read (X-A-06).

mod amount;
mod resources;

use margo_core::{DeviceId, DowngradeError, Extensions, Quantity, SpecVersion, Upgraded};
use margo_syntax::{Fault, Pointer, pointer};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::amount::{gigabytes_of, quantity};
pub use self::resources::{Cpu, Interface, Peripheral, Resources};
use crate::older::{Hosting, Losses, NEWER_PROPERTIES, host, unsayable, whole};
use crate::{DeploymentType, DeviceCapabilitiesManifest};

/// The `apiVersion` this library writes. Any text that is not empty is read (X-A-02).
pub const API_VERSION: &str = "device.margo/v1";

/// What a device is and what it offers.
///
/// ```
/// use margo_capability::pre_draft::{Cpu, DeviceCapabilities, Properties, Resources, Role};
///
/// let resources = Resources::new(vec![Cpu::new("arm64", 4, 1.8)], 8, 64);
/// let roles = vec![Role::StandaloneDevice];
/// let device = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1", roles, resources);
/// assert_eq!(
///     serde_json::to_string(&DeviceCapabilities::new(device))?,
///     concat!(
///         r#"{"apiVersion":"device.margo/v1","kind":"DeviceCapabilities","properties":{"id":"plc-7","#,
///         r#""vendor":"Acme","modelNumber":"PLC 9000","serialNumber":"SN-1","roles":["Standalone Device"],"#,
///         r#""resources":{"cpus":[{"architecture":"arm64","cores":4,"frequency":1.8}],"memory":8,"storage":64},"#,
///         r#""peripherals":[],"interfaces":[]}}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceCapabilities {
    /// The version of the document; opaque, and not empty (X-A-02).
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeviceCapabilities`.
    pub kind: Kind,
    /// The device itself.
    pub properties: Properties,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeviceCapabilities {
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

    /// What its shape cannot say: a device has a role (R-A-028); a processor has cores and a frequency. Empty when
    /// there is nothing to object to.
    ///
    /// A role of another page, which the pre-draft's table does not name, is no fault: it is refused when reading
    /// strictly, and told otherwise (X-A-09).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.properties.roles.is_empty() {
            faults.push(Fault::new(pointer!["properties", "roles"], "expected at least one"));
        }
        for (i, cpu) in self.properties.resources.cpus.iter().enumerate() {
            let place = pointer!["properties", "resources", "cpus", i];
            if cpu.cores == 0 {
                faults.push(Fault::new(place.join("cores"), "expected more than 0"));
            }
            if !(cpu.frequency.is_finite() && cpu.frequency > 0.0) {
                faults.push(Fault::new(place.join("frequency"), "expected more than 0"));
            }
        }
        faults
    }

    /// The same capabilities in the newest revision.
    ///
    /// - A role becomes the deployment type it stands for: Helm for a cluster, Compose for a device. Each of them has
    ///   an OCI runtime and a collector (R-A-047, R-A-048, MI-009). A device without a known role is not said
    ///   to run workloads.
    /// - A GB is 10^9 bytes (MI-008); amounts are rounded down to whole `Ki`.
    /// - An architecture is recognized by its usual names; one that is none of them, or several, is lost.
    /// - A peripheral keeps its type, its model and its manufacturer; an interface keeps its type. One of a type the
    ///   newest revision does not name is lost.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<DeviceCapabilitiesManifest> {
        let mut losses = Losses::default();
        if self.api_version != API_VERSION {
            losses.add(&pointer!["apiVersion"], "there is no such member");
        }
        let properties = self.properties.upgrade(&mut losses);
        let extensions = losses.extensions(self.extensions);
        let value = DeviceCapabilitiesManifest { extensions, ..DeviceCapabilitiesManifest::new(properties) };
        Upgraded::new(value, losses.0)
    }

    /// The same capabilities as the pre-draft says them, amounts in whole GB, rounded down; and what it leaves out:
    /// labels, deployment types without a role, and runtimes beside OCI.
    ///
    /// For a strict reading, where any loss is an error, there is `TryFrom`.
    ///
    /// # Errors
    ///
    /// Whatever the pre-draft asks for and the newest revision does not tell: the frequency of a processor, the name of
    /// a peripheral or an interface, and a role for a device that runs no workloads. A device with a processor
    /// therefore never has one; write its pre-draft document instead.
    pub fn downgrade(newer: &DeviceCapabilitiesManifest) -> Result<Upgraded<Self>, DowngradeError> {
        let mut losses = Losses::default();
        if !newer.labels.is_empty() {
            losses.add(&pointer!["labels"], "there are no labels");
        }
        let extensions = losses.untaken(&newer.extensions, &["apiVersion", "kind"], &Pointer::root());
        let properties = Properties::downgrade(&newer.properties, &mut losses)?;
        Ok(Upgraded::new(Self { extensions, ..Self::new(properties) }, losses.0))
    }
}

impl TryFrom<&DeviceCapabilitiesManifest> for DeviceCapabilities {
    type Error = DowngradeError;

    /// As [`downgrade`](Self::downgrade), and anything that would be left out is an error too.
    fn try_from(newer: &DeviceCapabilitiesManifest) -> Result<Self, DowngradeError> {
        whole(Self::downgrade(newer)?, SpecVersion::PreDraft)
    }
}

/// The `kind` of the document: `DeviceCapabilities`. The example's `DeviceCapability` is read as well (X-A-01).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeviceCapabilities";

    pub(crate) fn accepts(text: &str) -> bool {
        matches!(text, Self::TEXT | "DeviceCapability")
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !Self::accepts(&text) {
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"`DeviceCapabilities`"));
        }
        Ok(Self)
    }
}

/// The device itself (R-A-026).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Properties {
    /// The device, named by its owner; equals the id in the route.
    pub id: DeviceId,
    /// Who makes it.
    pub vendor: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Which one of them it is.
    pub serial_number: String,
    /// What it is to the workloads.
    ///
    /// Read whatever the case; the example's `cluster lead` is read as [`Role::ClusterLeader`] (X-A-08).
    #[serde(deserialize_with = "roles")]
    pub roles: Vec<Role>,
    /// What it has for them.
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub resources: Resources,
    /// The hardware beside it that workloads may use; may be empty.
    pub peripherals: Vec<Peripheral>,
    /// The network interfaces; may be empty.
    pub interfaces: Vec<Interface>,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Properties {
    /// A device without peripherals and interfaces.
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
            peripherals: Vec::new(),
            interfaces: Vec::new(),
            extensions: Extensions::new(),
        }
    }

    fn upgrade(self, losses: &mut Losses) -> crate::Properties {
        let place = pointer!["properties"];
        let mut newer = crate::Properties::new(self.id, self.vendor, self.model_number, self.serial_number);

        host(&mut newer, &self.roles, losses);

        let resources = place.join("resources");
        newer.memory = Some(quantity(self.resources.memory, &resources.join("memory"), losses));
        newer.storage = Some(quantity(self.resources.storage, &resources.join("storage"), losses));
        losses.add_all(self.resources.extensions, &resources);
        let cpus = resources.join("cpus");
        let upgraded = self.resources.cpus.into_iter().enumerate();
        newer.cpus = Some(upgraded.map(|(i, cpu)| cpu.upgrade(&cpus.join(i), losses)).collect());

        let peripherals = place.join("peripherals");
        let upgraded = self.peripherals.into_iter().enumerate();
        newer.peripherals =
            Some(upgraded.filter_map(|(i, part)| part.upgrade(&peripherals.join(i), losses)).collect());
        let interfaces = place.join("interfaces");
        let upgraded = self.interfaces.into_iter().enumerate();
        newer.interfaces =
            Some(upgraded.filter_map(|(i, part)| part.upgrade(&interfaces.join(i), losses)).collect());

        newer.extensions = losses.except(self.extensions, &NEWER_PROPERTIES, &place);
        newer
    }

    fn downgrade(newer: &crate::Properties, losses: &mut Losses) -> Result<Self, DowngradeError> {
        let place = pointer!["properties"];
        let at = |member: &str| place.join(member);
        let unsayable = |place: &Pointer, reason: &str| unsayable(SpecVersion::PreDraft, place, reason);

        let roles = crate::older::roles(newer, SpecVersion::PreDraft, losses)?;
        let roles = roles.ok_or_else(|| {
            unsayable(&at("supportedDeploymentTypes"), "every device has a role, and this one tells none")
        })?;
        let cpus = newer.cpus.as_ref();
        if cpus.is_none_or(|cpus| !cpus.is_empty()) {
            let place = if cpus.is_none() { at("cpus") } else { at("cpus").with(0) };
            return Err(unsayable(&place, "a processor has a frequency, which is not told"));
        }
        if newer.peripherals.as_ref().is_none_or(|peripherals| !peripherals.is_empty()) {
            return Err(unsayable(&at("peripherals"), "a peripheral has a name, which is not told"));
        }
        if newer.interfaces.as_ref().is_none_or(|interfaces| !interfaces.is_empty()) {
            return Err(unsayable(&at("interfaces"), "an interface has a name, which is not told"));
        }
        let amount = |quantity: &Option<Quantity>, member| {
            let gigabytes = quantity.as_ref().and_then(gigabytes_of);
            gigabytes.ok_or_else(|| unsayable(&at(member), "amounts are told in GB, and this one is unknown"))
        };
        let memory = amount(&newer.memory, "memory")?;
        let storage = amount(&newer.storage, "storage")?;

        let resources = Resources::new(Vec::new(), memory, storage);
        let (vendor, model, serial) = (&newer.vendor, &newer.model_number, &newer.serial_number);
        Ok(Self {
            extensions: losses.untaken(&newer.extensions, &["roles", "resources"], &place),
            ..Self::new(newer.id.clone(), vendor, model, serial, roles, resources)
        })
    }
}

margo_core::string_enum! {
    /// What a device is to the workloads (R-A-028).
    ///
    /// Written as the table spells it; read whatever the case (X-A-08). Roles of other pages, such as `Cluster
    /// Worker`, are kept as they are (X-A-09).
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
    /// The deployments such a device carries out; `None` for a role the pre-draft does not name.
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

pub(crate) fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::invalid_value(Unexpected::Str(""), &"text that is not empty"));
    }
    Ok(text)
}

/// Roles of any revision. One of the examples has its own word for one of them (X-A-08, X-B-05).
pub(crate) fn roles<'de, D: Deserializer<'de>, R: for<'a> From<&'a str>>(
    deserializer: D,
) -> Result<Vec<R>, D::Error> {
    let read = |text: String| {
        let is_lead = text.eq_ignore_ascii_case("cluster lead");
        R::from(if is_lead { "Cluster Leader" } else { text.as_str() })
    };
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::resources::architecture;
    use super::*;
    use crate::Architecture;

    /// A device without a processor, so that each test adds what it is about.
    fn device() -> Value {
        json!({
            "apiVersion": "device.margo/v1",
            "kind": "DeviceCapabilities",
            "properties": {
                "id": "plc-7",
                "vendor": "Acme",
                "modelNumber": "PLC 9000",
                "serialNumber": "SN-1",
                "roles": ["Standalone Device"],
                "resources": {"cpus": [], "memory": 8, "storage": 64},
                "peripherals": [],
                "interfaces": [],
            },
        })
    }

    fn with(place: &str, value: Value) -> Value {
        let mut device = device();
        *device.pointer_mut(place).unwrap() = value;
        device
    }

    fn read(value: Value) -> DeviceCapabilities {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> (String, String) {
        let fault = margo_syntax::from_value::<DeviceCapabilities>(value).unwrap_err();
        (fault.pointer().to_string(), fault.message().to_owned())
    }

    /// Reads, writes, and looks at one place of what was written.
    fn written(value: Value, place: &str) -> Value {
        serde_json::to_value(read(value)).unwrap().pointer(place).unwrap().clone()
    }

    /// X-A-01, X-A-02.
    #[test]
    fn either_kind_and_any_api_version_is_read_and_one_is_written() {
        assert_eq!(written(with("/kind", json!("DeviceCapability")), "/kind"), "DeviceCapabilities");
        let (place, message) = refused(with("/kind", json!("DeviceCapabilitiesManifest")));
        assert_eq!(place, "/kind");
        assert!(message.contains("expected `DeviceCapabilities`"), "{message}");
        assert_eq!(refused(with("/kind", json!({"DeviceCapabilities": null}))).0, "/kind");

        assert_eq!(written(with("/apiVersion", json!("v9")), "/apiVersion"), "v9");
        assert_eq!(refused(with("/apiVersion", json!(""))).0, "/apiVersion");
    }

    /// X-A-03.
    #[test]
    fn amounts_are_whole_gigabytes_rounded_down() {
        let place = "/properties/resources/memory";
        for (amount, gigabytes) in [
            (json!(64), 64),
            (json!(64.9), 64),
            (json!("64.0 GB"), 64),
            (json!("64.9 GB"), 64),
            (json!("2000 GB"), 2000),
            (json!("2000GB"), 2000),
            (json!(u64::MAX), u64::MAX),
        ] {
            assert_eq!(written(with(place, amount.clone()), place), gigabytes, "{amount}");
        }
        for amount in [
            json!(-1),
            json!(-0.5),
            json!("64"),
            json!("64 GiB"),
            json!("64  GB"),
            json!(".5 GB"),
            json!("5. GB"),
            json!("-5 GB"),
            json!("1e3 GB"),
            json!("18446744073709551616 GB"),
            json!(null),
        ] {
            assert_eq!(refused(with(place, amount)).0, place);
        }
        assert!(refused(with(place, json!("64"))).1.contains("text such as `8 GB`"));
    }

    /// X-A-04.
    #[test]
    fn frequencies_are_numbers_in_gigahertz() {
        let cpu = |frequency| json!([{"architecture": "amd64", "cores": 4, "frequency": frequency}]);
        let (list, place) = ("/properties/resources/cpus", "/properties/resources/cpus/0/frequency");
        for (frequency, gigahertz) in [
            (json!(6), json!(6)),
            (json!(6.0), json!(6)),
            (json!(6.2), json!(6.2)),
            (json!("6.2 GHz"), json!(6.2)),
            (json!("6 GHz"), json!(6)),
        ] {
            assert_eq!(written(with(list, cpu(frequency)), place), gigahertz);
        }
        for frequency in
            [json!("6.2"), json!("6200 MHz"), json!(-1), json!(format!("{} GHz", "9".repeat(400)))]
        {
            assert_eq!(refused(with(list, cpu(frequency))).0, place);
        }
    }

    /// X-A-05.
    #[test]
    fn an_architecture_has_two_names_and_is_written_by_one() {
        let cpus = json!([{"cpuArchitecture": "arm64", "cores": 4, "frequency": 2}]);
        let written = written(with("/properties/resources/cpus", cpus), "/properties/resources/cpus/0");
        assert_eq!(written, json!({"architecture": "arm64", "cores": 4, "frequency": 2}));
    }

    /// X-A-06.
    #[test]
    fn resources_are_one_object_that_may_stand_in_a_list() {
        let (place, resources) = ("/properties/resources", json!({"cpus": [], "memory": 8, "storage": 64}));
        assert_eq!(read(with(place, json!([resources]))), read(device()));
        assert_eq!(refused(with(place, json!([]))).0, place);
        assert_eq!(refused(with(place, json!([resources, resources]))).0, place);
    }

    /// X-A-08, X-A-09, R-A-028.
    #[test]
    fn roles_are_written_as_the_table_spells_them() {
        let place = "/properties/roles";
        let roles = json!(["standalone cluster", "cluster lead", "STANDALONE DEVICE", "Cluster Worker"]);
        let device = with(place, roles);
        assert_eq!(
            written(device.clone(), place),
            json!(["Standalone Cluster", "Cluster Leader", "Standalone Device", "Cluster Worker"])
        );
        assert_eq!(read(device).check(), []);
        assert_eq!(read(with(place, json!([]))).check()[0].pointer().as_str(), place);
    }

    /// X-A-26.
    #[test]
    fn what_is_known_about_a_part_may_be_anything() {
        let part = json!([{
            "name": "AX411", "type": "Wi-Fi", "modelNumber": "AX411NGW", "properties": {"bands": ["5 GHz"]},
        }]);
        let place = "/properties/interfaces";
        assert_eq!(written(with(place, part.clone()), place), part);
    }

    #[test]
    fn free_words_name_an_architecture_or_none() {
        for (text, expected) in [
            ("Intel x64", Some(Architecture::Amd64)),
            ("x86_64", Some(Architecture::Amd64)),
            ("Intel x86-64", Some(Architecture::Amd64)),
            ("amd64", Some(Architecture::Amd64)),
            ("ARM aarch64", Some(Architecture::Arm64)),
            ("arm64", Some(Architecture::Arm64)),
            ("ARMv7", Some(Architecture::Arm)),
            ("arm", Some(Architecture::Arm)),
            ("ARM", None),
            ("ARM/Intel x86", None),
            ("ARM/Intel x64", None),
            ("arm64 or amd64", None),
            ("x86", None),
            ("", None),
        ] {
            assert_eq!(architecture(text), expected, "{text}");
        }
    }

    /// R-A-047, R-A-048, MI-009: what a role promises. R-A-027, MI-008: what a GB is.
    #[test]
    fn an_upgrade_says_what_the_role_promises() {
        let upgraded =
            read(with("/properties/roles", json!(["Standalone Device", "Standalone Cluster"]))).upgrade();
        assert_eq!(upgraded.losses, []);
        let newer = upgraded.value.properties;
        assert_eq!(
            newer.supported_deployment_types,
            Some(vec![DeploymentType::Compose, DeploymentType::Helm])
        );
        assert_eq!(newer.supported_runtimes, Some(vec![crate::Runtime::Oci]));
        assert_eq!(newer.otel_collector, Some(true));
        assert_eq!(newer.memory.as_ref().map(Quantity::as_str), Some("7812500Ki"));
        assert_eq!(newer.memory.and_then(|memory| memory.bytes()), Some(8_000_000_000));

        let leader = read(with("/properties/roles", json!(["Cluster Leader"]))).upgrade();
        assert_eq!(leader.value.properties.supported_deployment_types, Some(vec![DeploymentType::Helm]));
        assert_eq!(leader.losses[0].pointer, "/properties/roles/0");

        let worker = read(with("/properties/roles", json!(["Cluster Worker"]))).upgrade();
        assert!(!worker.value.properties.hosts_workloads());
        assert_eq!(worker.losses[0].pointer, "/properties/roles/0");
    }

    #[test]
    fn an_upgrade_lists_each_thing_that_has_no_place() {
        let mut device = device();
        device["apiVersion"] = json!("v1");
        device["note"] = json!("kept in stock");
        device["x-acme-extensions"] = json!({"hall": 1});
        let properties = &mut device["properties"];
        properties["memory"] = json!("16Gi");
        properties["hall"] = json!(1);
        properties["resources"]["cpus"] =
            json!([{"architecture": "Intel x64", "cores": 24, "frequency": 6.2}]);
        properties["peripherals"] = json!([
            {"name": "RTX", "type": "GPU", "modelNumber": "TUF",
             "properties": {"manufacturer": "NVIDIA", "ram": "16 GB"}},
            {"name": "Drill", "type": "drill", "modelNumber": "D", "properties": {}},
        ]);
        properties["interfaces"] = json!([
            {"name": "AX411", "type": "Wi-Fi", "modelNumber": "AX411NGW", "properties": {"bands": []}},
            {"name": "P", "type": "Profibus", "modelNumber": "P", "properties": {}},
        ]);

        let upgraded = read(device).upgrade();
        assert_eq!(
            serde_json::to_value(&upgraded.value).unwrap(),
            json!({
                "properties": {
                    "id": "plc-7",
                    "vendor": "Acme",
                    "modelNumber": "PLC 9000",
                    "serialNumber": "SN-1",
                    "cpus": [{"cores": 24, "architecture": "amd64"}],
                    "memory": "7812500Ki",
                    "storage": "62500000Ki",
                    "peripherals": [{"type": "gpu", "manufacturer": "NVIDIA", "model": "TUF"}],
                    "interfaces": [{"type": "wifi"}],
                    "otelCollector": true,
                    "supportedRuntimes": ["oci"],
                    "supportedDeploymentTypes": ["compose"],
                    "hall": 1,
                },
                "x-acme-extensions": {"hall": 1},
            })
        );
        let lost: Vec<_> = upgraded.losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/apiVersion",
                "/properties/resources/cpus/0/frequency",
                "/properties/peripherals/0/name",
                "/properties/peripherals/0/properties/ram",
                "/properties/peripherals/1",
                "/properties/interfaces/0/name",
                "/properties/interfaces/0/modelNumber",
                "/properties/interfaces/0/properties/bands",
                "/properties/interfaces/1",
                "/properties/memory",
                "/note",
            ]
        );
    }

    /// Each thing the pre-draft cannot say is named.
    #[test]
    fn a_downgrade_names_what_cannot_be_said() {
        type Change = fn(&mut DeviceCapabilitiesManifest);

        let sayable = || read(device()).upgrade().value;
        assert_eq!(DeviceCapabilities::try_from(&sayable()), Ok(read(device())));

        let changes: [(&str, Change); 12] = [
            ("/labels", |d| drop(d.labels.insert("acme.com/hall".into(), true.into()))),
            ("/kind", |d| drop(d.extensions.insert("kind", json!(1)))),
            ("/properties/resources", |d| drop(d.properties.extensions.insert("resources", json!({})))),
            ("/properties/cpus/0", |d| d.properties.cpus = Some(vec![crate::Cpu::new(4.0)])),
            ("/properties/cpus", |d| d.properties.cpus = None),
            ("/properties/memory", |d| d.properties.memory = Some("a lot".into())),
            ("/properties/storage", |d| d.properties.storage = None),
            ("/properties/peripherals", |d| {
                d.properties.peripherals = Some(vec![crate::Peripheral::new(crate::PeripheralType::Gpu)]);
            }),
            ("/properties/interfaces", |d| d.properties.interfaces = None),
            ("/properties/otelCollector", |d| d.properties.otel_collector = Some(false)),
            ("/properties/supportedRuntimes/1", |d| {
                d.properties.supported_runtimes = Some(vec![crate::Runtime::Oci, crate::Runtime::Custom]);
            }),
            ("/properties/supportedDeploymentTypes/0", |d| {
                d.properties.supported_deployment_types = Some(vec![DeploymentType::Custom]);
            }),
        ];
        for (place, change) in changes {
            let mut newer = sayable();
            change(&mut newer);
            let error = DeviceCapabilities::try_from(&newer).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.revision), (place, SpecVersion::PreDraft));
        }
        let mut relay = sayable();
        relay.properties.supported_deployment_types = None;
        let error = DeviceCapabilities::try_from(&relay).unwrap_err();
        assert_eq!(error.pointer, "/properties/supportedDeploymentTypes");
    }
}
