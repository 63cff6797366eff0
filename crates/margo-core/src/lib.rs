//! What every Margo document shares: identifiers, digests, exact bytes, open vocabularies, versions.
//!
//! This crate is the ground floor of the workspace. It holds the few types that mean the same thing in every
//! document of every revision of the [Margo specification], and nothing that moves bytes.
//!
//! It refuses to do three things: it performs no I/O, it reads no clock, and it knows no document.
//!
//! ```
//! use margo_core::{DeviceId, Digest, Document};
//!
//! let plc: DeviceId = "gateway-1/plc-7".parse()?;
//! assert_eq!(plc.gateway().map(|gateway| gateway.to_string()).as_deref(), Some("gateway-1"));
//!
//! // Bytes first: a document keeps exactly what was received beside what it means.
//! let document = Document::decode("7".into(), |bytes| std::str::from_utf8(bytes).map(str::len))?;
//! assert_eq!(document.digest(), Digest::of(b"7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The documents themselves are in `margo-deployment`, `margo-capability`, `margo-status` and
//! `margo-application`; reading text safely is `margo-syntax`.
//!
//! [Margo specification]: https://specification.margo.org

mod detection;
mod digest;
mod document;
mod extensions;
mod id;
mod interpretation;
mod lenient;
mod quantity;
mod reading;
mod revision;
#[cfg(feature = "schema")]
pub mod schema;
mod strictness;
mod text;
mod timeout;
mod version;
mod vocabulary;

pub use detection::{Candidate, Detection};
pub use digest::{Digest, ParseDigestError};
pub use document::{Document, VerifyError};
pub use extensions::Extensions;
pub use id::{
    ApplicationId, ClientId, ComponentName, DeploymentId, DeviceId, DeviceTarget, ParseIdError,
    ParseIdErrorKind,
};
pub use interpretation::{Interpretation, deviations};
pub use lenient::{
    boolean as lenient_boolean, manifest_version as lenient_manifest_version, single as lenient_single,
};
pub use quantity::Quantity;
pub use reading::Reading;
pub use revision::{DowngradeError, Loss, Upgraded};
pub use strictness::{Deviation, Level, Strictness};
pub use timeout::{ParseTimeoutError, Timeout};
pub use version::{ManifestVersion, ParseManifestVersionError, ParseSpecVersionError, SpecVersion};
pub use vocabulary::Unrecognized;

#[doc(hidden)]
pub mod __private {
    pub use crate::text::parsed;
    pub use crate::vocabulary::unrecognized;
    #[cfg(feature = "schema")]
    pub use schemars;
    pub use serde;
}
