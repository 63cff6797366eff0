//! Desired state in a Git repository: one layout, a publisher, a host, a source.
//!
//! In the pre-draft of October 2024 a manager keeps a Git repository for each device, and the device clones and
//! watches it (R-A-004, R-A-005). Later revisions dropped Git (X-A-36), so this crate is for devices that were
//! there before. It has one of everything the loop needs:
//!
//! | | Side | |
//! | --- | --- | --- |
//! | [`layout`] | both | which file is which deployment, which commit which version |
//! | [`GitPublisher`] | manager | writes: a [`DesiredStatePublisher`](margo_api::DesiredStatePublisher) |
//! | `GitHost` (feature `host`) | manager | serves what was written, read-only, over smart HTTP |
//! | `GitSource` (feature `source`) | device | polls and fetches: a [`DesiredStateSource`](margo_api::DesiredStateSource) |
//!
//! # What it refuses
//!
//! It knows no web framework: the host takes an `http::Request` and gives an `http::Response`, and whoever calls
//! it has authenticated the device. It takes no push. It decides nothing: whether a version may be acted on is
//! the agent's to say. The device's side starts no program; the manager's side starts `git upload-pack`, and
//! only to transfer objects.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "host")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bytes::Bytes;
//! use margo_api::{DesiredStatePublisher, Publication};
//! use margo_core::ManifestVersion;
//! use margo_git::{GitHost, GitPublisher};
//!
//! # let folder = tempfile::tempdir()?;
//! # let root = folder.path();
//! let publisher = GitPublisher::open(root)?;
//! let pump: Bytes = "kind: ApplicationDeployment\n…".into();
//! let state = Publication::new("plc-7".parse()?, ManifestVersion::FIRST, vec![("pump".parse()?, pump)]);
//! publisher.publish(&state).await?;
//! let (commit, _) = publisher.tip(&state.client_id).await?.unwrap();
//!
//! // `GET https://wfm.example/git/plc-7/info/refs?service=git-upload-pack`, authenticated.
//! let host = GitHost::new(root);
//! let request = http::Request::get("/").body(Bytes::new())?;
//! let reply = host.serve(&state.client_id, "info/refs", Some("service=git-upload-pack"), request).await;
//! let offered = String::from_utf8_lossy(reply.response.body());
//! assert!(offered.contains(&format!("{commit} refs/heads/main")));
//! assert_eq!(host.children_started(), 0);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "host"))]
//! # fn main() {}
//! ```
//!
//! # Where to go next
//!
//! `margo-server` says when to publish, `margo-agent` when to poll; `margo-reference` puts both together.

mod durable;
#[cfg(feature = "host")]
mod host;
pub mod layout;
mod publisher;
mod repository;
#[cfg(feature = "source")]
mod source;

#[cfg(feature = "host")]
pub use host::{GitHost, GitReply, HostLimits};
pub use publisher::GitPublisher;
pub use repository::CommitId;
#[cfg(feature = "source")]
pub use source::{GitConfigError, GitLimits, GitSource, GitSourceConfig, Token};
