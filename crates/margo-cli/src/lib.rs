//! The `margo` command line: what an operator types, and the client it types through.
//!
//! The program is `margo`; run `margo help`. This library holds the operator's side of a manager as a typed client
//! ([`OperatorClient`]), for programs that want to do what the command line does. It links no server: what it
//! knows of one is its [OpenAPI document](https://spec.openapis.org/oas/v3.1.0) at `/operator/v1/openapi.json`.
//! The verbs that look at documents (`check`, `explain`, `rules`, `schema`, `convert`, `fit`, `lsp`) ask no manager; what
//! they know is in `margo-validate`, which is the library for it.
//!
//! It refuses to judge what the manager judges: values, targets and versions are sent as they are typed, and every
//! fault the manager finds is shown. Nor does it take a secret as an argument, where every user of a machine sees it.
//!
//! ```no_run
//! use margo_cli::{OperatorClient, Selection};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let operator = OperatorClient::new("http://127.0.0.1:8080".parse()?, "the operator's token")?;
//! for deployment in operator.deployments(&Selection::all()).await? {
//!     println!("{} on {}: {}", deployment.application_id, deployment.device, deployment.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! From here: [`OperatorClient`] for the operations, [`Selection`] for what they are about, [`Package`] for what is
//! uploaded, [`Table`] for showing it to people.

mod check;
mod client;
mod files;
mod package;
mod settings;
mod table;
mod view;

#[doc(hidden)] // of interest to the program alone
pub mod command;

pub use client::{Event, FieldError, OperatorClient, OperatorError, RemoteProblem, Selection, Spread};
pub use package::{Package, PackageError};
pub use table::Table;
pub use view::{
    Application, ApplicationParameter, ApplicationProfile, Changed, Component, Deployment, Device,
    DeviceCapabilities, ErrorReport, Loss, Onboarded, Placement, PlacementReason, Placements, Report,
    Warning,
};
