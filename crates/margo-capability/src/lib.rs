//! The Margo device capabilities: what a device is and what it offers to the workloads of others.
//!
//! The types at the root follow the newest revision of the specification ([1.0.0-rc.3]); [`rc2`], [`rc1`] and
//! [`pre_draft`] are the same document as the older ones write it. [`AnyDeviceCapabilities`] reads any of them, by its
//! shape, and writes any of them.
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
//! # An older manager
//!
//! ```
//! use margo_capability::AnyDeviceCapabilities;
//! use margo_core::{SpecVersion, Strictness};
//! use margo_syntax::Limits;
//!
//! let body = r#"{"properties": {"id": "gateway-1", "vendor": "Acme", "modelNumber": "G", "serialNumber": "1"}}"#;
//! let relay = AnyDeviceCapabilities::decode(body.into(), &Limits::default())?;
//!
//! // The same device in the words of another revision, with what they have no place for: here nothing.
//! let older = relay.convert(SpecVersion::V1_0_0Rc2)?;
//! assert!(older.losses.is_empty());
//!
//! // Read again, with every liberty it takes: none either.
//! let body = older.value.to_json().into();
//! let reading = AnyDeviceCapabilities::read(body, None, Strictness::Strict, &Limits::default())?;
//! assert_eq!(reading.deviations, []);
//!
//! // To 1.0.0-rc.1 every device runs workloads.
//! let error = relay.convert(SpecVersion::V1_0_0Rc1).unwrap_err();
//! assert_eq!(error.pointer, "/properties/supportedDeploymentTypes");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One crate is enough
//!
//! What the signatures here name is of `margo-core` and `margo-syntax`, which are re-exported as [`margo_core`] and
//! [`margo_syntax`].
//!
//! # Where to go next
//!
//! [`AnyDeviceCapabilities::detect`] says which revisions a document may be of and why;
//! [`AnyDeviceCapabilities::INTERPRETATIONS`] how the contradictions of the specification are read. With the feature
//! `schema`, `schemas` has the JSON Schema of every revision. What a deployment asks of a device is in
//! `margo-deployment`; the route that carries this document is in `margo-api`.
//!
//! [1.0.0-rc.3]: https://specification.margo.org/1.0.0-rc.3/device-capabilities

mod any;
mod capabilities;
mod detect;
mod interpretation;
mod label;
mod older;
pub mod pre_draft;
pub mod rc1;
pub mod rc2;
mod resources;
#[cfg(feature = "schema")]
mod schema;

pub use margo_core;
pub use margo_syntax;

pub use any::AnyDeviceCapabilities;
pub use capabilities::{DeviceCapabilitiesManifest, Properties};
pub use label::LabelValue;
pub use resources::{
    Architecture, CommunicationInterface, Cpu, DeploymentType, InterfaceType, Peripheral, PeripheralType,
    Runtime,
};
#[cfg(feature = "schema")]
pub use schema::schemas;
