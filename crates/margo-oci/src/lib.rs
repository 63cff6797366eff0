//! Fetches the packages of components: Compose components and Helm charts from OCI registries (revision D, section
//! 3.8), and the archives at URLs of the older revisions.
//!
//! - Every byte is verified against the digest its manifest names, before anything is done with it (R-D-035).
//! - Everything is bounded: manifests, packages, what an archive unpacks into, the cache, how long a server may be
//!   silent. Limits are checked before and while reading: [`Limits`].
//! - A download that broke off goes on where it ended, also after a restart.
//! - A package that is here is used when its registry cannot be reached.
//!
//! It refuses to talk without encryption unless that was said for the host ([`Registry::with_plain_http`]), to take
//! credentials along a redirect to somebody else, to take an artifact of another type than the one expected, and to
//! unpack an archive that leads out of its folder ([`unpack`]). It reads nothing from the environment: no proxy, no
//! certificates, no credentials. What a Compose file or a chart says is for the runtimes to judge.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use margo_deployment::Package;
//! use margo_oci::{Artifact, Credentials, Fetcher, Options, Registry};
//!
//! let registry = Registry::new().with_credentials(Credentials::basic("device", "secret"));
//! let options = Options::new()
//!     .with_registry("registry.example:5000", registry)
//!     .with_root_certificate(&std::fs::read("/etc/ssl/certs/ca-certificates.crt")?)?;
//! let fetcher = Fetcher::new("/var/lib/margo/packages", options)?;
//!
//! let package = Package::oci("oci://registry.example:5000/pumps/collector", "1.0.9".parse()?);
//! let fetched = fetcher.fetch(&package, &Artifact::Compose).await?;
//! let unpacked = fetched.unpack_into("/var/lib/margo/projects/pump-1").await?;
//! println!("{} is in {}", fetched.digest(), unpacked.compose_file()?.display());
//! # Ok(())
//! # }
//! ```
//!
//! Unpacking alone needs no network:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use margo_oci::{FetchErrorKind, UnpackLimits, unpack};
//!
//! let folder = tempfile::tempdir()?;
//! let archive = folder.path().join("package.tgz");
//! std::fs::write(&archive, "not an archive")?;
//! let error = unpack(&archive, &folder.path().join("package"), &UnpackLimits::default()).unwrap_err();
//! assert_eq!(error.kind(), FetchErrorKind::BadArchive);
//! assert!(!folder.path().join("package").exists());
//! # Ok(())
//! # }
//! ```
//!
//! What is done with packages: `margo-runtime-compose` and `margo-runtime-helm`. Why this is not one of the OCI clients
//! there are: `docs/decisions/oci-client.md`.

mod artifact;
mod auth;
mod cache;
mod error;
mod fetcher;
mod image;
mod options;
mod reference;
mod signature;
mod unpack;
mod web;

pub use artifact::Artifact;
pub use error::{FetchError, FetchErrorKind, SetupError};
pub use fetcher::{Fetched, Fetcher};
pub use options::{Credentials, Limits, Options, Registry, Signatures, UnpackLimits};
pub use reference::Reference;
pub use unpack::{Unpacked, unpack};
