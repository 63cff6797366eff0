//! The device's roles over REST.
//!
//! [`RestClient`] is a [`DesiredStateSource`](margo_api::DesiredStateSource), a
//! [`StatusSink`](margo_api::StatusSink) and a [`CapabilitySink`](margo_api::CapabilitySink): what an agent needs
//! of a Workload Fleet Manager (WFM, formerly Workload Orchestration Software, WOS), in the words of whichever
//! revision the manager speaks. In the pre-draft it carries reports alone; desired state is in Git there
//! (`margo-git`).
//!
//! It refuses
//!
//! - to decide: it does not retry, poll on its own or compare versions. It says [what can be done about a
//!   failure](margo_api::SourceErrorKind), and how long the manager asks to be left alone. The agent decides;
//! - to hand out anything unverified: every deployment has the digest it was asked for by (R-B-026);
//! - to be led away: redirects are not followed, and a manifest sends it nowhere but to its own manager;
//! - to be flooded: every body is cut off at [a limit](ClientLimits) while it arrives, after decompression;
//! - to trust anybody it was not told to. Over mutual TLS it speaks to the one manager that follows from its own identity
//!   ([`MutualTls`]); else to who has a certificate from [an authority](HttpOptions::with_root_certificate) or [a
//!   key](HttpOptions::with_pin) that somebody named.
//!
//! Bytes are moved by a [`Transport`]. [`HttpTransport`] is the usual one; this one is a manager in four lines:
//!
//! ```
//! use bytes::Bytes;
//! use margo_api::{DesiredStateSource, Update};
//! use margo_client::{RestClient, Transport, TransportError};
//! use margo_core::SpecVersion;
//! use margo_identity::{BearerCredentials, Token};
//!
//! struct Manager;
//!
//! impl Transport for Manager {
//!     async fn send(&self, request: http::Request<Bytes>, _: usize) -> Result<http::Response<Bytes>, TransportError> {
//!         assert_eq!(request.uri(), "http://127.0.0.1:8080/margo/api/v1/deployments");
//!         assert!(request.headers()["authorization"].is_sensitive());
//!         Ok(http::Response::new(r#"{"manifestVersion": 1, "bundle": null, "deployments": []}"#.into()))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let base = "http://127.0.0.1:8080/margo".parse()?;
//! let credentials = BearerCredentials::from(Token::generate()?);
//! let client = RestClient::new(base, SpecVersion::V1_0_0Rc3, Manager, credentials)?;
//! let Update::Changed(manifest) = client.poll(None).await? else { panic!("nothing was known before") };
//! assert!(manifest.deployments.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Over a real network, [`RestClient::connect`] needs no more than an address and a token.
//!
//! How a device proves itself differs with the revision, and so does what it needs before it can:
//!
//! | Revision | Proof | Before |
//! | --- | --- | --- |
//! | rc.3 | [`MutualTls`] | a trust bundle: a file, or [`TrustBundleClient`] |
//! | rc.1, rc.2 | a signature on each request | [`Onboarding`]: an authority, and a name |
//! | pre-draft | [`OAuthCredentials`], a signature on each body | [`Onboarding`]: an authority |
//!
//! [`DeviceCredentials`] is whichever of these a program's configuration says.
//!
//! Where to go next: `margo-agent` turns a source, two sinks and a runtime into a device.

mod base;
mod credentials;
mod failure;
mod http_transport;
mod limits;
mod mutual_tls;
mod oauth;
mod onboarding;
mod pinned;
mod rest;
mod transport;
mod trust_bundle;

pub use base::{SetupError, check_port, is_exposed};
pub use credentials::DeviceCredentials;
pub use http_transport::{HttpOptions, HttpTransport};
pub use limits::ClientLimits;
pub use mutual_tls::MutualTls;
pub use oauth::OAuthCredentials;
pub use onboarding::{Onboarding, OnboardingError};
pub use rest::RestClient;
pub use transport::{Transport, TransportError, TransportErrorKind};
pub use trust_bundle::{FetchBundleError, TrustBundleClient};
