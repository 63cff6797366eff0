//! The Margo deployment status: what a device says about one deployment.
//!
//! The types at the root follow the newest revision of the specification ([1.0.0-rc.3]); [`rc2`], [`rc1`] and
//! [`pre_draft`] are the same document as the older ones write it. [`AnyDeploymentStatus`] reads any of them, by its
//! shape, and writes any of them.
//!
//! This crate refuses to do three things: it sends nothing, it knows no deployment (whether the components
//! reported are the components deployed is a question for whoever holds both), and it never writes a state the
//! specification does not name.
//!
//! ```
//! use margo_core::{Document, ManifestVersion};
//! use margo_status::{AnyDeploymentStatus, ComponentStatus, DeploymentState, DeploymentStatusManifest};
//! use margo_syntax::Limits;
//!
//! // A device says how its components are doing; the state of the whole follows (R-B-039).
//! let status = DeploymentStatusManifest::of(
//!     "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?,
//!     ManifestVersion::FIRST,
//!     vec![
//!         ComponentStatus::new("database".parse()?, DeploymentState::Installed),
//!         ComponentStatus::failed("broker".parse()?, "E42", "image not found"),
//!     ],
//! )
//! .with_name("digitron");
//! assert_eq!(status.status.state, DeploymentState::Failed);
//!
//! // A manager reads it, whatever its revision.
//! let body = serde_json::to_vec(&status)?;
//! let read: Document<AnyDeploymentStatus> = AnyDeploymentStatus::decode(body.into(), &Limits::default())?;
//! assert_eq!(read.state(), DeploymentState::Failed);
//! assert_eq!(read.error().map(|error| error.source).as_deref(), Some("digitron"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # An older manager
//!
//! ```
//! use margo_core::{ManifestVersion, SpecVersion, Strictness};
//! use margo_status::{AnyDeploymentStatus, ComponentStatus, DeploymentState, DeploymentStatusManifest};
//! use margo_syntax::Limits;
//!
//! // The same report in the words of another revision, with what they have no place for.
//! let component = ComponentStatus::new("database".parse()?, DeploymentState::Installed);
//! let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, vec![component]);
//! let older = AnyDeploymentStatus::from(status).convert(SpecVersion::PreDraft)?;
//! assert!(older.value.to_json().starts_with(br#"{"apiVersion":"deployment.margo/v1""#));
//!
//! // Read again, with every liberty it takes: here none.
//! let body = older.value.to_json().into();
//! let reading = AnyDeploymentStatus::read(body, None, Strictness::Strict, &Limits::default())?;
//! assert_eq!(reading.deviations, []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No older revision says which manifest was adopted, so every report loses at least that on its way to one. The conversions
//! by `From` and `TryFrom` therefore leave out what has no place and refuse only what cannot be left out, whereas those of the
//! other documents refuse any loss; who must know what is lost asks `downgrade` or [`AnyDeploymentStatus::convert`].
//!
//! # One crate is enough
//!
//! What the signatures here name is of `margo-core` and `margo-syntax`, and both are re-exported:
//!
//! ```
//! use margo_status::AnyDeploymentStatus;
//! use margo_status::margo_core::{SpecVersion, Strictness};
//! use margo_status::margo_syntax::Limits;
//!
//! // Any revision is read, what was accepted and what is lost is told, and another revision is written.
//! let body = r#"{"apiVersion": "deployment.margo/v1", "kind": "DeploymentStatus", "deploymentId": "a3e2f5dc",
//!                "status": {"state": "Success"}, "components": []}"#;
//! let reading = AnyDeploymentStatus::read(body.into(), None, Strictness::Lenient, &Limits::default())?;
//! let accepted: Vec<_> = reading.warnings().map(ToString::to_string).collect();
//! assert_eq!(accepted, [r#"/status/state: "Success" is read as `Installed` (X-A-11)"#]);
//! let newer = reading.value.convert(SpecVersion::V1_0_0Rc1)?;
//! assert_eq!(newer.losses, []);
//! assert!(newer.value.to_json().starts_with(br#"{"apiVersion":"deployment.margo.org/v1alpha1""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go next
//!
//! [`AnyDeploymentStatus::detect`] says which revisions a document may be of and why;
//! [`AnyDeploymentStatus::INTERPRETATIONS`] how the contradictions of the specification are read. With the feature
//! `schema`, `schemas` has the JSON Schema of every revision. What is deployed is in `margo-deployment`; the route
//! that carries this document is in `margo-api`.
//!
//! [1.0.0-rc.3]: https://specification.margo.org/1.0.0-rc.3/deployment-status

mod any;
mod detect;
mod interpretation;
pub mod pre_draft;
pub mod rc1;
pub mod rc2;
#[cfg(feature = "schema")]
mod schema;
mod state;
mod status;

pub use margo_core;
pub use margo_syntax;

pub use any::AnyDeploymentStatus;
#[cfg(feature = "schema")]
pub use schema::schemas;
pub use state::DeploymentState;
pub use status::{ComponentStatus, DeploymentStatusManifest, ErrorReport, OverallStatus};
