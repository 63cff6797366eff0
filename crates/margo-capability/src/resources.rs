use margo_core::Extensions;
use serde::{Deserialize, Serialize, Serializer};

/// One kind of processor, as much of it as workloads may use.
///
/// The cores of several entries are never summed: a workload runs on one of them (rc.3, device constraints).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cpu {
    /// The number of cores; a whole number is expected of a device.
    ///
    /// A fraction is read (X-D-33). A whole number is written as one.
    #[serde(serialize_with = "shortest")]
    #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))]
    pub cores: f64,
    /// The instruction set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Supplier extensions, and fields newer than this library.
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
    /// An instruction set a device reports (X-D-02).
    pub enum Architecture {
        /// x86 with 64 bits.
        Amd64 = "amd64",
        /// Arm with 64 bits.
        Arm64 = "arm64",
        /// Arm with 32 bits.
        Arm = "arm",
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
    /// Supplier extensions, and fields newer than this library.
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
    /// What a peripheral is.
    pub enum PeripheralType {
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
    /// Supplier extensions, and fields newer than this library.
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

margo_core::string_enum! {
    /// What carries out workloads on the device.
    ///
    /// A value this library does not know counts as [`Custom`](Self::Custom) (R-D-022); see
    /// [`is_custom`](Self::is_custom).
    pub enum Runtime {
        /// A runtime for OCI images.
        Oci = "oci",
        /// Something of the supplier's own.
        Custom = "custom",
    }
}

impl Runtime {
    /// Whether it is the supplier's own: `custom`, or a name this library does not know (R-D-022).
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom | Self::Unrecognized(_))
    }
}

margo_core::string_enum! {
    /// A kind of deployment the device can carry out.
    ///
    /// A value this library does not know counts as [`Custom`](Self::Custom) (R-D-022); see
    /// [`is_custom`](Self::is_custom).
    pub enum DeploymentType {
        /// Helm charts, on Kubernetes (R-D-023).
        Helm = "helm",
        /// Compose files, on an OCI runtime (R-D-023).
        Compose = "compose",
        /// Something of the supplier's own.
        Custom = "custom",
    }
}

impl DeploymentType {
    /// Whether it is the supplier's own: `custom`, or a name this library does not know (R-D-022).
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self, Self::Custom | Self::Unrecognized(_))
    }
}

/// Writes a number without a fraction where it has none: `24`, not `24.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(crate) fn shortest<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // An `f64` displays without exponent, and without fraction where it has none.
    match number.to_string().parse::<i64>() {
        Ok(whole) => serializer.serialize_i64(whole),
        Err(_) => serializer.serialize_f64(*number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// X-D-33.
    #[test]
    fn cores_are_written_as_people_count_them() {
        for (read, written) in
            [("24", "24"), ("24.0", "24"), ("2.5", "2.5"), ("1e300", "1e+300"), ("-0.0", "0")]
        {
            let cpu: Cpu = serde_json::from_str(&format!(r#"{{"cores":{read}}}"#)).unwrap();
            assert_eq!(serde_json::to_string(&cpu).unwrap(), format!(r#"{{"cores":{written}}}"#));
        }
    }

    /// R-D-022.
    #[test]
    fn what_is_unknown_is_the_suppliers_own() {
        assert!(Runtime::from("unikernel").is_custom() && DeploymentType::from("nomad").is_custom());
        assert!(!Runtime::Oci.is_custom() && !DeploymentType::Helm.is_custom());
    }

    /// R-D-032.
    #[test]
    fn supplier_members_survive() {
        let json = json!({"type": "gpu", "model": "L4", "x-acme-extensions": {"slot": 3}});
        let peripheral: Peripheral = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&peripheral).unwrap(), json);
    }
}
