//! The management interface as an axum router over any manager, and a reference manager over any store.
//!
//! | Who you are | What you need |
//! | --- | --- |
//! | a vendor with a manager of your own | [`router`], [`authenticated`] around it, and [`listen`] to serve it |
//! | a vendor with a database | [`Store`], and [`store_examination!`] to see whether it holds |
//! | whoever wants a whole manager | [`Manager`], [`router`], [`operator_router`], and the table below |
//!
//! The manager is the Workload Fleet Manager (WFM) of the specification, formerly Workload Orchestration Software
//! (WOS). [`router`] serves the management interface of every revision at the same time over whatever implements
//! [`WorkloadFleetManager`](margo_api::WorkloadFleetManager); [`Manager`] is the reference implementation, and
//! [`operator_router`] what its operators see. Which revision a device speaks is said by its route, and who it is by
//! what that revision has for it; [`Schemes`] brings them together:
//!
//! | Revision | Who is calling | How a device gets there |
//! | --- | --- | --- |
//! | 1.0.0-rc.3 | [`SvidAuthenticator`](margo_identity::SvidAuthenticator) over [`ClientAcceptance`] | [`Transport::mutual_tls`](listen::Transport::mutual_tls), or [`client_cert_from_proxies`]; [`trust_router`] |
//! | 1.0.0-rc.2, 1.0.0-rc.1 | [`SignatureAuthenticator`](margo_identity::SignatureAuthenticator) over [`ClientKeys`] | [`onboarding_router`] |
//! | pre-draft | [`PayloadSigned`] | [`token_router`]; [`GitTokens`] for its repository |
//! | any, in development | [`BearerAuthenticator`](margo_identity::BearerAuthenticator) over [`ManagementTokens`] | [`LoopbackOnly`](margo_identity::LoopbackOnly) |
//!
//! # What it refuses
//!
//! It opens no socket, no file of its own and no database: whoever assembles it does, and hands a socket to
//! [`listen::serve`]. It knows no client, no agent and no Git: desired state leaves through a
//! [`DesiredStatePublisher`](margo_api::DesiredStatePublisher). It reads no clock: a manager is given one. It reads no
//! byte of a body before the head has said whose it is; on the routes that are open to strangers, no more than
//! [`RateLimit`] allows.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use jiff::Timestamp;
//! use margo_api::NoPublisher;
//! use margo_core::SpecVersion;
//! use margo_identity::SvidAuthenticator;
//! use margo_server::{ClientAcceptance, Manager, Memory, Schemes, authenticated, router};
//!
//! let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
//! let accepted = ClientAcceptance::new(Arc::clone(&manager), "spiffe://factory.example/margo/wfm/plant".parse()?);
//! let schemes = Schemes::new().with(SpecVersion::V1_0_0Rc3, SvidAuthenticator::new(accepted));
//! let app: axum::Router = authenticated(router(manager), Arc::new(schemes));
//! // listen::serve(listener, Transport::mutual_tls(config), app, &ListenConfig::new(), shutdown)
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go next
//!
//! `examples/wos_in_memory.rs` is a complete manager of one's own; `margo-store-sql` the store that lasts;
//! `margo-git` the publisher; `margo-reference` the assembly.

pub mod examination;
#[cfg(feature = "listen")]
pub mod listen;
pub mod store;

mod manager;
mod memory;
mod operator;
mod router;

pub use manager::{
    AccessTokens, Admission, ApplicationView, CapabilitiesView, ChangeKind, Changed, ClientAcceptance,
    ClientKeys, ComponentView, DeleteRequest, DeployRequest, DeploymentDetail, DeploymentView, Desired,
    DeviceView, ErrorView, FleetEvent, GitTokens, IssuedTokens, LinkRequest, LossView, ManagementTokens,
    Manager, OnboardRequest, Onboarded, OperatorError, ParameterView, PayloadSigned, PlacementRequest,
    PlacementView, Placements, ProfileView, ReasonView, Reception, ReconfigureRequest, RecoverError,
    ReportView, Selection, Spread, TargetRef, TrustAnchors, UnlinkRequest, UpdateRequest, WarningKind,
    WarningView,
};
pub use memory::Memory;
pub use operator::{OperatorConfig, OperatorToken, openapi, operator_router};
pub use router::{
    Proxies, RateLimit, RouterConfig, Schemes, authenticated, authenticated_with, client_cert_from_proxies,
    guarded, onboarding_router, router, router_with, token_router, token_router_at, trust_router,
};
pub use store::{
    ApplicationRecord, CapabilitiesRecord, Change, ClientRecord, ClientUpdate, ContentKind, DeploymentRecord,
    DeviceRecord, KEPT_MANIFESTS, KEPT_REPORTS, KEPT_TOKENS, ManifestRecord, StatusRecord, Store, StoreError,
    TokenRecord, TokenUse,
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
