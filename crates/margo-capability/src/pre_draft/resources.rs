//! What a device of the pre-draft has for workloads: processors, amounts in GB, and parts that have names.

use std::collections::BTreeMap;

use margo_core::Extensions;
use margo_syntax::Pointer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::amount::{gigabytes, gigahertz};
use crate::older::Losses;
use crate::resources::shortest;
use crate::{Architecture, CommunicationInterface, InterfaceType, PeripheralType};

/// What a device has for the workloads (R-A-027).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Resources {
    /// The processors.
    pub cpus: Vec<Cpu>,
    /// Memory in GB.
    ///
    /// A text such as `64.0 GB` is read, rounded down (X-A-03).
    #[serde(deserialize_with = "gigabytes")]
    pub memory: u64,
    /// Storage in GB.
    ///
    /// A text such as `2000 GB` is read, rounded down (X-A-03).
    #[serde(deserialize_with = "gigabytes")]
    pub storage: u64,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Resources {
    /// Processors, and memory and storage in GB.
    #[must_use]
    pub fn new(cpus: Vec<Cpu>, memory: u64, storage: u64) -> Self {
        Self { cpus, memory, storage, extensions: Extensions::new() }
    }
}

/// One processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cpu {
    /// The instruction set, in any words.
    ///
    /// The table's `cpuArchitecture` is read as well (X-A-05).
    #[serde(alias = "cpuArchitecture")]
    pub architecture: String,
    /// The number of cores.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub cores: u64,
    /// The frequency in GHz.
    ///
    /// A text such as `6.2 GHz` is read (X-A-04).
    #[serde(deserialize_with = "gigahertz", serialize_with = "shortest")]
    #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))]
    pub frequency: f64,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Cpu {
    /// A processor; its frequency in GHz.
    #[must_use]
    pub fn new(architecture: impl Into<String>, cores: u64, frequency: f64) -> Self {
        Self { architecture: architecture.into(), cores, frequency, extensions: Extensions::new() }
    }

    pub(super) fn upgrade(self, place: &Pointer, losses: &mut Losses) -> crate::Cpu {
        let architecture = architecture(&self.architecture);
        if architecture.is_none() {
            losses.add(&place.join("architecture"), "it names no single architecture");
        }
        losses.add(&place.join("frequency"), "processors have no frequency");
        // Whole, and far below what a number of this kind says exactly.
        let cores = self.cores.to_string().parse().unwrap_or(f64::MAX);
        crate::Cpu {
            cores,
            architecture,
            extensions: losses.except(self.extensions, &["cores", "architecture"], place),
        }
    }
}

/// Hardware beside the processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Peripheral {
    /// What it is called.
    pub name: String,
    /// What it is, such as `GPU`.
    pub r#type: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Anything else about it.
    ///
    /// The table wants text, the example has lists; any value is read (X-A-26).
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>"))]
    pub properties: BTreeMap<String, Value>,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Peripheral {
    /// A peripheral about which nothing else is known.
    #[must_use]
    pub fn new(name: impl Into<String>, r#type: impl Into<String>, model_number: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            r#type: r#type.into(),
            model_number: model_number.into(),
            properties: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }

    pub(super) fn upgrade(mut self, place: &Pointer, losses: &mut Losses) -> Option<crate::Peripheral> {
        let r#type = PeripheralType::from(plain(&self.r#type).as_str());
        if !r#type.is_known() {
            losses.add(place, "there is no such type of peripheral");
            return None;
        }
        losses.add(&place.join("name"), "peripherals have no name");
        let manufacturer = match self.properties.remove("manufacturer") {
            Some(Value::String(manufacturer)) => Some(manufacturer),
            Some(_) => {
                losses.add(&place.join("properties").with("manufacturer"), "it is not text");
                None
            }
            None => None,
        };
        losses.add_all(self.properties, &place.join("properties"));
        Some(crate::Peripheral {
            r#type,
            manufacturer,
            model: Some(self.model_number),
            extensions: losses.except(self.extensions, &["manufacturer", "model"], place),
        })
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Interface {
    /// What it is called.
    pub name: String,
    /// What it is, such as `Ethernet`.
    pub r#type: String,
    /// What its maker calls it.
    pub model_number: String,
    /// Anything else about it.
    ///
    /// The table wants text, the example has lists; any value is read (X-A-26).
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, String>"))]
    pub properties: BTreeMap<String, Value>,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Interface {
    /// An interface about which nothing else is known.
    #[must_use]
    pub fn new(name: impl Into<String>, r#type: impl Into<String>, model_number: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            r#type: r#type.into(),
            model_number: model_number.into(),
            properties: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }

    pub(super) fn upgrade(self, place: &Pointer, losses: &mut Losses) -> Option<CommunicationInterface> {
        let r#type = match plain(&self.r#type).as_str() {
            "wlan" => InterfaceType::Wifi,
            "can" => InterfaceType::Canbus,
            text => InterfaceType::from(text),
        };
        if !r#type.is_known() {
            losses.add(place, "there is no such type of interface");
            return None;
        }
        losses.add(&place.join("name"), "interfaces have no name");
        losses.add(&place.join("modelNumber"), "interfaces have no model");
        losses.add_all(self.properties, &place.join("properties"));
        Some(CommunicationInterface { r#type, extensions: losses.except(self.extensions, &[], place) })
    }
}

/// The one architecture a free text names, such as `Intel x64`.
///
/// `ARM` in a text leaves open how many bits; only the newest revision's own `arm` says 32.
pub(super) fn architecture(text: &str) -> Option<Architecture> {
    let exact = Architecture::from(text);
    if exact.is_known() {
        return Some(exact);
    }
    let text = text.to_ascii_lowercase().replace("x86-64", "amd64").replace("x86_64", "amd64");
    let words: Vec<_> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let mut named = words.iter().filter_map(|word| match *word {
        "amd64" | "x64" => Some(Some(Architecture::Amd64)),
        "arm64" | "aarch64" | "armv8" => Some(Some(Architecture::Arm64)),
        "armv7" | "armv7l" | "armhf" => Some(Some(Architecture::Arm)),
        // Not one the newest revision has: beside it, no other is the only one.
        "x86" | "i386" | "i686" | "riscv64" => Some(None),
        _ => None,
    });
    let first = named.next()?;
    let is_arm = first.as_ref().is_some_and(|first| *first != Architecture::Amd64);
    let agrees = named.all(|other| other == first) && (is_arm || !words.contains(&"arm"));
    first.filter(|_| agrees)
}

/// Lower case, letters and digits only: `Wi-Fi` and `WiFi` are the same.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
