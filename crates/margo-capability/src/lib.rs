//! The Margo device capabilities: what a device is and what it offers to the workloads of others.
//!
//! The types at the root follow the newest revision of the specification ([1.0.0-rc.3]); [`pre_draft`] is the
//! same document as October 2024 wrote it. [`AnyDeviceCapabilities`] reads either, by its shape.
//!
//! This crate refuses to do three things: it sends nothing, it looks at no hardware, and it matches no deployment
//! against a device.
//!
//! ```
//! use margo_capability::{AnyDeviceCapabilities, Cpu, DeploymentType, DeviceCapabilitiesManifest, Properties, Runtime};
//! use margo_core::Document;
//! use margo_syntax::Limits;
//!
//! // A device that runs workloads says what it has for them (R-D-021).
//! let mut device = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1");
//! device.cpus = Some(vec![Cpu::new(4.0)]);
//! device.memory = Some("16Gi".into());
//! device.storage = Some("64Gi".into());
//! device.peripherals = Some(vec![]);
//! device.interfaces = Some(vec![]);
//! device.otel_collector = Some(true);
//! device.supported_runtimes = Some(vec![Runtime::Oci]);
//! device.supported_deployment_types = Some(vec![DeploymentType::Compose]);
//! let capabilities = DeviceCapabilitiesManifest::new(device);
//! assert!(capabilities.check().is_empty());
//!
//! // A manager reads it, whatever its revision.
//! let body = serde_json::to_vec(&capabilities)?;
//! let read: Document<AnyDeviceCapabilities> = AnyDeviceCapabilities::decode(body.into(), &Limits::default())?;
//! assert_eq!(read.device_id().as_str(), "plc-7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a deployment asks of a device is in `margo-deployment`; the route that carries this document is in
//! `margo-api`.
//!
//! [1.0.0-rc.3]: https://specification.margo.org/1.0.0-rc.3/device-capabilities

mod any;
mod capabilities;
mod label;
pub mod pre_draft;
mod resources;

pub use any::AnyDeviceCapabilities;
pub use capabilities::{DeviceCapabilitiesManifest, Properties};
pub use label::LabelValue;
pub use resources::{
    Architecture, CommunicationInterface, Cpu, DeploymentType, InterfaceType, Peripheral, PeripheralType,
    Runtime,
};
