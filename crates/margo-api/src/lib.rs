//! The management interface of Margo: its messages and its roles.
//!
//! A device talks to a Workload Fleet Manager (WFM, formerly Workload Orchestration Software, WOS) through six
//! operations, and through a few more to come to know it. This crate says what they are ([`endpoint`]), who plays which part in them, and what they answer
//! when something is wrong ([`Problem`]). It refuses to move a single byte: no sockets, no runtime, no clock.
//!
//! | Role | Side | Who implements it |
//! | --- | --- | --- |
//! | [`DesiredStateSource`] | device | `margo-client` (REST), `margo-git` (Git), [`InProcess`] |
//! | [`StatusSink`], [`CapabilitySink`] | device | `margo-client`, [`InProcess`] |
//! | [`WorkloadRuntime`] | device | a device vendor |
//! | [`WorkloadFleetManager`] | manager | an orchestration vendor, or `margo-server` |
//! | [`Onboarding`], [`TokenIssuer`], [`TrustSource`] | manager | the same, for the revisions that have them |
//! | [`DesiredStatePublisher`] | manager | `margo-git` |
//! | [`Credentials`], [`Authenticator`] | both | `margo-identity` |
//!
//! **The device's side has no caller:** a source already knows who it is. **The manager's side always has one:**
//! the transport has authenticated it. Neither mentions HTTP, so both can be tested together in one process:
//!
//! ```
//! use margo_api::endpoint::{Endpoint, get_desired_state};
//! use margo_core::SpecVersion;
//!
//! // Plain values in, plain values out: no server is needed to see what goes over the wire.
//! let request = get_desired_state::Request::new(None);
//! let http = request.to_http(SpecVersion::V1_0_0Rc3)?;
//! assert_eq!(http.method(), "GET");
//! assert_eq!(http.uri(), "/api/v1/deployments");
//! # Ok::<(), margo_api::endpoint::EncodeError>(())
//! ```

pub mod endpoint;

mod auth;
mod checkpoint;
mod error_response;
mod identity;
mod manager;
mod message;
mod onboarding;
mod port;
mod problem;
mod publisher;
mod runtime;
#[cfg(feature = "schema")]
mod schema;
mod sink;
mod source;

pub use auth::{AuthError, Authenticator, Caller, Credentials, Identified};
pub use checkpoint::{Checkpoint, Update};
pub use error_response::ErrorResponse;
pub use identity::{IssueTokenError, Onboarding, TokenIssuer, TrustSource};
pub use manager::{InProcess, ManagerError, ManagerErrorKind, Recorded, WorkloadFleetManager};
pub use onboarding::{
    ONBOARDING_API_VERSION, OnboardingKind, OnboardingRequest, OnboardingResponse, RootCertificateResponse,
};
pub use port::{MANAGEMENT_PORT, OtherPort, check_port};
pub use problem::{BackoffStrategy, FieldError, Problem, ProblemType};
pub use publisher::{DesiredStatePublisher, NoPublisher, Publication, PublishError};
pub use runtime::{DynWorkloadRuntime, Outage, Outages, Present, RuntimeError, WorkloadRuntime};
#[cfg(feature = "schema")]
pub use schema::schemas;
pub use sink::{CapabilitySink, DynCapabilitySink, DynStatusSink, SinkError, SinkErrorKind, StatusSink};
pub use source::{DesiredStateSource, DynDesiredStateSource, SourceError, SourceErrorKind};

/// A future that can be sent between threads, boxed: what the erased twins of the roles return.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The causes of an error, when they are kept.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
