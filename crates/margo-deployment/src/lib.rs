//! The Margo deployment specification: what a device is to run, and how the answer travels.
//!
//! Three documents and an archive, each named as the specification names it:
//!
//! - [`ApplicationDeployment`]: one workload, as a Workload Fleet Manager (WFM) wants it to run;
//! - [`DesiredStateManifest`]: everything a client is to run, by digest;
//! - the bundle: all deployments of a manifest in one archive, [written](write_bundle) reproducibly,
//!   [read](read_bundle) within limits, and [verified](verify_bundle) against its manifest.
//!
//! The types at the root are those of the newest revision, 1.0.0-rc.3. Older ones have a module each ([`rc2`],
//! [`rc1`], [`pre_draft`]) and a way up and down; [`AnyApplicationDeployment`] tells them apart by shape. The
//! state manifest is the same since 1.0.0-rc.1 but for its URLs: [`DesiredStateManifest::at`].
//!
//! Where the specification contradicts itself, reading is as strict as wanted and tells what it accepted:
//! [`AnyApplicationDeployment::read`], [`AnyApplicationDeployment::INTERPRETATIONS`].
//!
//! # What it refuses
//!
//! It moves no bytes and opens no file. It does not judge: whether targets name existing components is
//! `margo-validate`'s to say, whether a device can host a deployment `margo-placement`'s. It does not write
//! what it cannot name: going down to an older revision says what gets lost.
//!
//! # Example
//!
//! ```
//! use margo_core::{Digest, ManifestVersion};
//! use margo_deployment::{
//!     ApplicationDeployment, BundleLimits, BundleRef, Component, DeploymentProfile, DeploymentRef,
//!     DesiredStateManifest, Metadata, Package, ProfileType, Spec, read_bundle, verify_bundle, write_bundle,
//! };
//! use margo_syntax::Limits;
//!
//! let package = Package::oci("oci://registry.example/collector", "1.0.9".parse()?);
//! let collector = Component::new("collector".parse()?, package);
//! let profile = DeploymentProfile::new(ProfileType::Helm, vec![collector]);
//! let deployment = ApplicationDeployment::new(
//!     "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?,
//!     Metadata::new("pump-monitor", "plant", "plc-7".parse()?),
//!     Spec::new("pump-monitor".parse()?, profile),
//! );
//!
//! // Bytes first: from here on the deployment is these bytes.
//! let document = ApplicationDeployment::decode(deployment.to_yaml()?.into(), &Limits::default())?;
//! let bundle = write_bundle([(&document.id, document.bytes())]);
//! let manifest = DesiredStateManifest::new(
//!     ManifestVersion::FIRST,
//!     Some(BundleRef::new(Digest::of(&bundle), bundle.len() as u64)),
//!     vec![DeploymentRef::new(document.id.clone(), document.digest())],
//! );
//!
//! let content = verify_bundle(read_bundle(&bundle, &BundleLimits::default())?, &manifest)?;
//! assert_eq!(&content[&document.digest()], document.bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One crate is enough
//!
//! What the signatures here name is of `margo-core` and `margo-syntax`, which are re-exported as [`margo_core`] and
//! [`margo_syntax`].
//!
//! # Where to go next
//!
//! `margo-application` makes deployments from application packages; `margo-api` carries these documents
//! between a manager and its clients.

mod any;
mod bundle;
mod constraint;
mod deployment;
mod interpretation;
mod manifest;
mod older;
mod parameter;
pub mod pre_draft;
mod profile;
pub mod rc1;
pub mod rc2;
#[cfg(feature = "schema")]
mod schema;
pub mod workload;

pub use margo_core;
pub use margo_syntax;

pub use any::AnyApplicationDeployment;
pub use bundle::{BundleError, BundleLimits, Entry, EntryProblem, read_bundle, verify_bundle, write_bundle};
pub use constraint::{
    Architecture, CapacityRequirements, CpuRequirement, DeviceConstraints, EligibilityRule, MatchExpression,
    Operator, Selector,
};
pub use deployment::{ApplicationDeployment, Metadata, Spec};
pub use manifest::{
    BUNDLE_MEDIA_TYPE, BundleRef, DEPLOYMENT_MEDIA_TYPE, DeploymentRef, DesiredStateManifest,
    MANIFEST_MEDIA_TYPE,
};
pub use parameter::{Parameter, Target};
pub use profile::{
    Component, ComponentProperties, DeploymentProfile, Package, ParseRevisionError, ProfileType, Revision,
};
#[cfg(feature = "schema")]
pub use schema::schemas;

/// For `margo-application` alone, which has the same profiles.
#[doc(hidden)]
pub mod __private {
    pub use crate::interpretation::{
        archive, boolean_as_text, helm_v3, misprinted_operator, name_of_the_skeleton, needless_label,
        old_resources, prefix_taken_off, quantities, refused, unknown_architecture, unknown_properties,
    };
    pub use crate::older::{Losses, NO_EXTENSIONS, Packaging, cannot_say, upgrade_components};
    pub use crate::profile::settle_profile;
    #[cfg(feature = "schema")]
    pub use crate::schema::{OlderComponent, memory, storage};
}
