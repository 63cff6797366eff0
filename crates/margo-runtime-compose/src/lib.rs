//! A [`WorkloadRuntime`] that runs components with Docker Compose or Podman.
//!
//! Each component of a deployment is one Compose project, whose name never changes. Its parameters become the
//! environment of the project, in a file that nobody else can read; its images are on the device before the old
//! version stops; when the new one does not come up, the old one comes back. Containers carry labels, by which they
//! are found again when everything else is lost.
//!
//! It works with `docker compose`, with `docker-compose` from 1.29 on and with `podman-compose` from 1.0.6 on:
//! [`Tool::probe`] finds out which of them there is. Where packages come from is behind [`ComponentFiles`]; `margo-oci`
//! is one.
//!
//! # What it refuses
//!
//! - Compose files that ask for more of the device than its [`Policy`] allows: mounts from outside the package,
//!   privileges, other people's volumes, keys nobody here has heard of. The error names the line.
//! - Building images, and Compose files that take in others from outside.
//! - Deciding. What runs when, in which order, how often something is tried again and what is reported is the
//!   agent's.
//!
//! # Example
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use margo_api::{BoxFuture, RuntimeError, WorkloadRuntime};
//! # use margo_runtime_compose::*;
//! # async fn example(files: Arc<dyn ComponentFiles>) -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("/var/lib/margo-device/compose");
//! let tool = Tool::probe(&ToolKind::ALL, EngineAccess::default(), folder).await?;
//! let runtime = ComposeRuntime::open(folder, "plc-7", files, tool, ComposeOptions::default())?;
//! for (deployment, components) in runtime.present().await? {
//!     println!("{deployment}: {components:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to go next
//!
//! [`ComposeRuntime`] and its [`ComposeOptions`]; `margo-agent`, which drives it; `docs/device.md`, which sets up a
//! device with it.
//!
//! [`WorkloadRuntime`]: margo_api::WorkloadRuntime

mod api;
mod collector;
mod condition;
mod engine;
mod environment;
mod failure;
mod files;
mod plain;
mod policy;
mod process;
mod runtime;
mod shelf;
mod tool;

pub use collector::{Collector, Protocol};
pub use files::{ComponentFiles, PackageFiles};
pub use policy::Policy;
pub use runtime::{ComposeOptions, ComposeRuntime};
pub use tool::{EngineAccess, EngineInfo, NoTool, Tool, ToolKind};
