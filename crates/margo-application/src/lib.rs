//! The Margo application package: what an author describes, what a user may set, and the deployment made of
//! both.
//!
//! A package is a folder with a description, `margo.yaml`, in its root. The description lists the ways to
//! install the application (its profiles), what can be configured (its parameters), and what is a valid value
//! (its configuration). From a description, a choice of profile and some values this crate makes an
//! [`ApplicationDeployment`](margo_deployment::ApplicationDeployment).
//!
//! The types at the root are those of the newest revision, 1.0.0-rc.3. Older ones have a module each ([`rc2`],
//! [`rc1`], [`pre_draft`]) and a way up and down; [`AnyApplicationDescription`] tells them apart by shape.
//!
//! Where the specification contradicts itself, reading is as strict as wanted and tells what it accepted:
//! [`AnyApplicationDescription::read`], [`AnyApplicationDescription::INTERPRETATIONS`].
//!
//! # What it refuses
//!
//! It reads no folder and pulls from no registry: it is handed bytes. It asks no user: it says what is wrong
//! with a value, everything at once, and leaves asking to others. It does not choose a profile where several
//! would do.
//!
//! # Example
//!
//! ```
//! use margo_application::{AnyApplicationDescription, Instantiation, check_description, instantiate};
//! use margo_syntax::Limits;
//! use serde_json::json;
//!
//! let text = "
//! apiVersion: v1
//! id: pump-monitor
//! metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }
//! deploymentProfiles:
//!   - type: helm
//!     id: cluster
//!     components:
//!       - name: collector
//!         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
//! parameters:
//!   interval: { value: 60, targets: [{ pointer: interval, components: [collector] }] }
//! ";
//! let description = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default())?.upgrade().value;
//! assert_eq!(check_description(&description), []);
//!
//! let id = "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?;
//! let mut request = Instantiation::new(id, "plc-7".parse()?, "plant");
//! request.values.insert("interval".into(), json!(30));
//! let deployment = instantiate(&description, &request)?;
//! assert_eq!(deployment.metadata.name, "pump-monitor-a3e2f5dc");
//! assert_eq!(deployment.spec.parameters["interval"].value, json!(30));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One crate is enough
//!
//! What the signatures here name is of `margo-core`, `margo-syntax` and `margo-deployment`, which are re-exported as
//! [`margo_core`], [`margo_syntax`] and [`margo_deployment`].
//!
//! # Where to go next
//!
//! [`package`] for folders and registries, [`check_values`] for the rules of parameters, `margo-placement` for which device can host a profile,
//! `margo-deployment` for what becomes of the result.

mod any;
mod check;
mod description;
mod instantiate;
mod interpretation;
#[cfg(feature = "schema")]
mod json_schema;
mod older;
pub mod package;
pub mod pre_draft;
pub mod rc1;
pub mod rc2;
mod required;
mod schema;
mod values;

pub use margo_core;
pub use margo_deployment;
pub use margo_syntax;

pub use any::AnyApplicationDescription;
pub use check::check_description;
pub use description::{
    API_VERSION, ApplicationDescription, Author, Catalog, Configuration, DescriptionProfile, Metadata,
    Organization, ParameterDefinition, Presentation, Section, Setting,
};
pub use instantiate::{InstantiateError, Instantiation, instantiate, select_profile};
#[cfg(feature = "schema")]
pub use json_schema::schemas;
pub use schema::{DataType, FaultKind, Schema};
pub use values::{ParameterFault, ParameterFaults, check_values};
