//! The management interface as an axum router over any manager, and a reference manager over any store.
//!
//! | Who you are | What you need |
//! | --- | --- |
//! | a vendor with a manager of your own | [`router`], and [`authenticated`] around it |
//! | a vendor with a database | [`Store`], and [`store_examination!`] to see whether it holds |
//! | whoever wants a whole manager | [`Manager`], [`router`], [`operator_router`] |
//!
//! The manager is the Workload Fleet Manager (WFM) of the specification, formerly Workload Orchestration Software
//! (WOS). [`router`] serves the management interface of every revision at the same time over whatever implements
//! [`WorkloadFleetManager`](margo_api::WorkloadFleetManager); [`Manager`] is the reference implementation, and
//! [`operator_router`] what its operators see.
//!
//! # What it refuses
//!
//! It opens no socket, no file and no database: whoever assembles it does. It knows no client, no agent and no Git:
//! desired state leaves through a [`DesiredStatePublisher`](margo_api::DesiredStatePublisher). It reads no clock: a
//! manager is given one.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use jiff::Timestamp;
//! use margo_api::NoPublisher;
//! use margo_identity::{BearerAuthenticator, LoopbackOnly};
//! use margo_server::{ManagementTokens, Manager, Memory, authenticated, router};
//!
//! let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
//! let tokens = LoopbackOnly::new(BearerAuthenticator::new(ManagementTokens::new(Arc::clone(&manager))));
//! let app: axum::Router = authenticated(router(manager), Arc::new(tokens));
//! // axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
//! ```
//!
//! # Where to go next
//!
//! `examples/wos_in_memory.rs` is a complete manager of one's own; `margo-store-sql` the store that lasts;
//! `margo-git` the publisher; `margo-reference` the assembly.

pub mod examination;
pub mod store;

mod manager;
mod memory;
mod operator;
mod router;

pub use manager::{
    ApplicationView, CapabilitiesView, ChangeKind, Changed, ComponentView, DeleteRequest, DeployRequest,
    DeploymentDetail, DeploymentView, Desired, DeviceView, ErrorView, FleetEvent, GitTokens, LossView,
    ManagementTokens, Manager, OnboardRequest, Onboarded, OperatorError, ParameterView, ProfileView,
    ReconfigureRequest, RecoverError, ReportView, Selection, TargetRef, UpdateRequest, WarningView,
};
pub use memory::Memory;
pub use operator::{OperatorConfig, OperatorToken, openapi, operator_router};
pub use router::{RouterConfig, authenticated, authenticated_with, guarded, router, router_with};
pub use store::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ContentKind, DeploymentRecord, DeviceRecord,
    KEPT_MANIFESTS, KEPT_REPORTS, ManifestRecord, StatusRecord, Store, StoreError, TokenUse,
};

#[doc(hidden)]
pub mod __private {
    pub use crate::examination::run;
}

/// An error and everything that led to it, in one line for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
