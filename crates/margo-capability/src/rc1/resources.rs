//! What a device of 1.0.0-rc.1 and 1.0.0-rc.2 has for workloads.

use std::fmt;

use margo_core::{DowngradeError, Extensions, Quantity, SpecVersion};
use margo_syntax::{Fault, pointer};
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::older::{Losses, unsayable};
use crate::resources::shortest;

/// What a device has for the workloads of others (R-B-047).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Resources {
    /// The processor.
    ///
    /// The example has a list; a list of one is read (X-B-06, X-C-07).
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub cpu: Cpu,
    /// The memory workloads may use.
    ///
    /// The examples write a blank before the unit (X-B-07).
    pub memory: Quantity,
    /// The storage workloads may use.
    ///
    /// The examples write a blank before the unit (X-B-07).
    pub storage: Quantity,
    /// The peripherals workloads may use; may be empty.
    pub peripherals: Vec<Peripheral>,
    /// The interfaces workloads may use; may be empty.
    pub interfaces: Vec<CommunicationInterface>,
    /// Members the revision does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Resources {
    /// A processor, memory and storage, without peripherals and interfaces.
    #[must_use]
    pub fn new(cpu: Cpu, memory: impl Into<Quantity>, storage: impl Into<Quantity>) -> Self {
        Self {
            cpu,
            memory: memory.into(),
            storage: storage.into(),
            peripherals: Vec::new(),
            interfaces: Vec::new(),
            extensions: Extensions::new(),
        }
    }

    pub(crate) fn check(&self, faults: &mut Vec<Fault>) {
        let place = pointer!["properties", "resources"];
        if !(self.cpu.cores.is_finite() && self.cpu.cores > 0.0) {
            faults.push(Fault::new(place.join("cpu").with("cores"), "expected more than 0"));
        }
        if let Some(architecture) = &self.cpu.architecture
            && !architecture.is_known()
        {
            let message = format!("`{architecture}` is not an architecture");
            faults.push(Fault::new(place.join("cpu").with("architecture"), message));
        }
        for (i, peripheral) in self.peripherals.iter().enumerate() {
            if !peripheral.r#type.is_known() {
                let message = format!("`{}` is not a type of peripheral", peripheral.r#type);
                faults.push(Fault::new(place.join("peripherals").with(i).with("type"), message));
            }
        }
        for (i, interface) in self.interfaces.iter().enumerate() {
            if !interface.r#type.is_known() {
                let message = format!("`{}` is not a type of interface", interface.r#type);
                faults.push(Fault::new(place.join("interfaces").with(i).with("type"), message));
            }
        }
    }

    pub(crate) fn upgrade(self, newer: &mut crate::Properties, losses: &mut Losses) {
        newer.cpus = Some(vec![crate::Cpu {
            cores: self.cpu.cores,
            architecture: self.cpu.architecture.map(|word| crate::Architecture::from(word.as_str())),
            extensions: self.cpu.extensions,
        }]);
        newer.memory = Some(self.memory);
        newer.storage = Some(self.storage);
        let peripherals = self.peripherals.into_iter().map(|peripheral| crate::Peripheral {
            r#type: crate::PeripheralType::from(peripheral.r#type.as_str()),
            manufacturer: peripheral.manufacturer,
            model: peripheral.model,
            extensions: peripheral.extensions,
        });
        newer.peripherals = Some(peripherals.collect());
        let interfaces = self.interfaces.into_iter().map(|interface| crate::CommunicationInterface {
            r#type: crate::InterfaceType::from(interface.r#type.as_str()),
            extensions: interface.extensions,
        });
        newer.interfaces = Some(interfaces.collect());
        losses.add_all(self.extensions, &pointer!["properties", "resources"]);
    }

    pub(crate) fn downgrade(
        newer: &crate::Properties,
        revision: SpecVersion,
        losses: &mut Losses,
    ) -> Result<Self, DowngradeError> {
        let at = |member: &str| pointer!["properties", member];
        let untold = |member: &str| unsayable(revision, &at(member), "resources have it, and it is not told");
        let cpus = newer.cpus.as_ref().ok_or_else(|| untold("cpus"))?;
        let cpu = cpus.first().ok_or_else(|| untold("cpus"))?;
        for i in 1..cpus.len() {
            losses.add(&at("cpus").with(i), "there is one processor");
        }
        let cpu = Cpu {
            cores: cpu.cores,
            architecture: cpu.architecture.as_ref().map(|word| Architecture::read(word.as_str())),
            extensions: losses.untaken(&cpu.extensions, &["architectures"], &at("cpus").with(0)),
        };
        let memory = newer.memory.clone().ok_or_else(|| untold("memory"))?;
        let storage = newer.storage.clone().ok_or_else(|| untold("storage"))?;
        let peripherals = newer.peripherals.as_ref().ok_or_else(|| untold("peripherals"))?;
        let peripherals = peripherals.iter().map(|peripheral| Peripheral {
            r#type: PeripheralType::from(peripheral.r#type.as_str()),
            manufacturer: peripheral.manufacturer.clone(),
            model: peripheral.model.clone(),
            extensions: peripheral.extensions.clone(),
        });
        let interfaces = newer.interfaces.as_ref().ok_or_else(|| untold("interfaces"))?;
        let interfaces = interfaces.iter().map(|interface| CommunicationInterface {
            r#type: InterfaceType::from(interface.r#type.as_str()),
            extensions: interface.extensions.clone(),
        });
        Ok(Self {
            peripherals: peripherals.collect(),
            interfaces: interfaces.collect(),
            ..Self::new(cpu, memory, storage)
        })
    }
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cpu {
    /// The number of cores; a whole number is expected of a device.
    ///
    /// A fraction is read (X-B-10, X-C-17).
    #[serde(serialize_with = "shortest")]
    #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))]
    pub cores: f64,
    /// The instruction set.
    ///
    /// `architectures`, a list of one, is read as well (X-B-06), and `x86_64` as [`Architecture::Amd64`] (X-B-09,
    /// X-C-05).
    #[serde(
        default,
        alias = "architectures",
        deserialize_with = "architecture",
        skip_serializing_if = "Option::is_none"
    )]
    pub architecture: Option<Architecture>,
    /// Members the revision does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Cpu {
    /// So many cores of an instruction set that is not told.
    #[must_use]
    pub fn new(cores: f64) -> Self {
        Self { cores, architecture: None, extensions: Extensions::new() }
    }

    /// The same processor, with its instruction set.
    #[must_use]
    pub fn with_architecture(mut self, architecture: Architecture) -> Self {
        self.architecture = Some(architecture);
        self
    }
}

margo_core::string_enum! {
    /// An instruction set a device reports.
    pub enum Architecture {
        /// x86 with 64 bits.
        Amd64 = "amd64",
        /// Arm with 64 bits.
        Arm64 = "arm64",
        /// Arm with 32 bits.
        Arm = "arm",
    }
}

impl Architecture {
    fn read(text: &str) -> Self {
        if text == "x86_64" { Self::Amd64 } else { Self::from(text) }
    }
}

/// Hardware beside the processor that workloads may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Peripheral {
    /// What it is.
    pub r#type: PeripheralType,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// What its maker calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Members the revision does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Peripheral {
    /// A peripheral of an unknown maker.
    #[must_use]
    pub fn new(r#type: PeripheralType) -> Self {
        Self { r#type, manufacturer: None, model: None, extensions: Extensions::new() }
    }
}

margo_core::string_enum! {
    /// What a peripheral is. Read whatever the case, since the examples write `GPU` (X-B-08).
    pub enum PeripheralType ignoring case {
        /// A graphics processor.
        Gpu = "gpu",
        /// A screen.
        Display = "display",
        /// A camera.
        Camera = "camera",
        /// A microphone.
        Microphone = "microphone",
        /// A speaker.
        Speaker = "speaker",
    }
}

/// A way in which the device talks to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CommunicationInterface {
    /// What it is.
    pub r#type: InterfaceType,
    /// Members the revision does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl CommunicationInterface {
    /// An interface.
    #[must_use]
    pub fn new(r#type: InterfaceType) -> Self {
        Self { r#type, extensions: Extensions::new() }
    }
}

margo_core::string_enum! {
    /// What a communication interface is.
    pub enum InterfaceType {
        /// Ethernet.
        Ethernet = "ethernet",
        /// Wi-Fi.
        Wifi = "wifi",
        /// A mobile network.
        Cellular = "cellular",
        /// Bluetooth.
        Bluetooth = "bluetooth",
        /// USB.
        Usb = "usb",
        /// CAN bus.
        Canbus = "canbus",
        /// RS-232.
        Rs232 = "rs232",
    }
}

/// Resources as the weeks before the release wrote them: without peripherals and interfaces.
pub(super) fn earlier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resources, D::Error> {
    #[derive(Deserialize)]
    struct Earlier {
        #[serde(deserialize_with = "margo_core::lenient_single")]
        cpu: Cpu,
        memory: Quantity,
        storage: Quantity,
        #[serde(default)]
        peripherals: Vec<Peripheral>,
        #[serde(default)]
        interfaces: Vec<CommunicationInterface>,
        #[serde(flatten)]
        extensions: Extensions,
    }

    let Earlier { cpu, memory, storage, peripherals, interfaces, extensions } =
        Earlier::deserialize(deserializer)?;
    Ok(Resources { cpu, memory, storage, peripherals, interfaces, extensions })
}

fn architecture<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Architecture>, D::Error> {
    struct One;

    impl<'de> Visitor<'de> for One {
        type Value = Option<Architecture>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one architecture")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Architecture::read(text)))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let first: String = items.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
            match items.next_element::<String>()? {
                None => Ok(Some(Architecture::read(&first))),
                Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
            }
        }
    }

    deserializer.deserialize_any(One)
}
