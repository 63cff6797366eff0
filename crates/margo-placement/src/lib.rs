//! Can this device host this deployment, and if not, why: a pure function of two documents ([spec]).
//!
//! A deployment profile says how its components are packaged and what a device must have; a device says what it
//! offers. [`evaluate`] compares them and gives the [`Reason`]s, for yes and for no, each with a place in both
//! documents and a sentence that can be read aloud.
//!
//! Capacity comes first, then eligibility, and neither makes up for the other:
//!
//! - one entry of the device's `cpus` alone must have the cores and the architecture: entries are not summed;
//! - of several eligibility rules one is enough; in a rule both selectors must match, in a selector every
//!   expression;
//! - what is of another type than asked for does not match; it is never an error.
//!
//! # What it refuses
//!
//! It chooses no device and ranks none, reads no file, asks no clock, and knows nothing of what else runs on a
//! device: what a device reports is what it offers. It reads only the newest revision's words; documents of older
//! ones are upgraded first.
//!
//! # Example
//!
//! ```
//! use margo_capability::{Architecture, Cpu, DeploymentType, DeviceCapabilitiesManifest, Properties, Runtime};
//! use margo_deployment::{
//!     CapacityRequirements, CpuRequirement, DeploymentProfile, DeviceConstraints, ProfileType,
//! };
//! use margo_placement::evaluate;
//!
//! let mut plc = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1");
//! plc.cpus = Some(vec![Cpu::new(2.0).with_architecture(Architecture::Arm64)]);
//! plc.memory = Some("1Gi".into());
//! plc.supported_runtimes = Some(vec![Runtime::Oci]);
//! plc.supported_deployment_types = Some(vec![DeploymentType::Compose]);
//! let plc = DeviceCapabilitiesManifest::new(plc);
//!
//! let mut capacity = CapacityRequirements::default();
//! capacity.cpu = Some(CpuRequirement::new(1));
//! capacity.memory = Some("4Gi".into());
//! let mut constraints = DeviceConstraints::default();
//! constraints.capacity_requirements = Some(capacity);
//! let mut profile = DeploymentProfile::new(ProfileType::Compose, Vec::new());
//! profile.device_constraints = Some(constraints);
//!
//! let placement = evaluate(&profile, &plc);
//! assert!(!placement.fits());
//! let refusals: Vec<_> = placement.refusals().map(|reason| reason.message.as_str()).collect();
//! assert_eq!(refusals, ["4Gi of memory are needed, and the device has 1Gi"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One crate is enough
//!
//! What the signatures here name is of `margo-capability` and `margo-deployment`, which are re-exported as
//! [`margo_capability`] and [`margo_deployment`].
//!
//! # Where to go next
//!
//! `margo-deployment` and `margo-capability` for the two documents, `margo-application` for the profiles of an
//! application.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#deviceconstraints

mod capacity;
mod eligibility;
mod place;
mod placement;

pub use margo_capability;
pub use margo_deployment;

pub use placement::{Criterion, Outcome, Placement, Reason, evaluate, evaluate_constraints};
