//! The Margo deployment status: what a device says about one deployment.
//!
//! The types at the root follow the newest revision of the specification ([1.0.0-rc.3]); [`pre_draft`] is the
//! same document as October 2024 wrote it. [`AnyDeploymentStatus`] reads either, by its shape.
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
//! What is deployed is in `margo-deployment`; the route that carries this document is in `margo-api`.
//!
//! [1.0.0-rc.3]: https://specification.margo.org/1.0.0-rc.3/deployment-status

mod any;
pub mod pre_draft;
mod state;
mod status;

pub use any::AnyDeploymentStatus;
pub use state::DeploymentState;
pub use status::{ComponentStatus, DeploymentStatusManifest, ErrorReport, OverallStatus};
