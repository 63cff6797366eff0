//! Which Margo document some bytes are, and of which revision: told by their shape, without any hint.
//!
//! Who receives a file from a stranger knows neither its kind nor its revision, and a label proves nothing: three shapes
//! are called rc.2. [`detect`] looks at the bytes alone and answers with every kind and revision they may be, the
//! likeliest first, each with what speaks for it. More than one candidate is an answer, and none is one too.
//!
//! It refuses to do three things: it opens no file, it does not read what it recognizes (a candidate may still turn out
//! not to be one), and it never guesses from a name.
//!
//! ```
//! use margo_core::SpecVersion;
//! use margo_detect::{DocumentKind, detect};
//! use margo_syntax::Limits;
//!
//! let body = br#"{"deploymentId": "a3e2f5dc", "adoptedManifestVersion": 7,
//!                 "status": {"state": "pending"}, "components": []}"#;
//! let identity = detect(body, &Limits::default())?;
//! assert_eq!(identity.kind(), Some(DocumentKind::DeploymentStatus));
//! assert_eq!(identity.revision(), Some(SpecVersion::V1_0_0Rc3));
//! assert!(identity.to_string().starts_with("DeploymentStatus of 1.0.0-rc.3 (`adoptedManifestVersion` is there"));
//!
//! // What two revisions write alike stays open, with the reasons.
//! let manifest = br#"{"manifestVersion": 1, "bundle": null, "deployments": []}"#;
//! let identity = detect(manifest, &Limits::default())?;
//! assert_eq!(identity.kind(), Some(DocumentKind::DesiredStateManifest));
//! assert_eq!(identity.revision(), None);
//! assert!(identity.is_ambiguous());
//!
//! // A configuration file of something else is nothing of ours.
//! assert!(detect(b"services: {}", &Limits::default())?.is_none());
//! # Ok::<(), margo_syntax::SyntaxError>(())
//! ```
//!
//! # Where to go next
//!
//! What the signatures here name is re-exported with [`margo_core`] and [`margo_syntax`]. The crate of the kind reads it: `margo-deployment`, `margo-capability`, `margo-status`, `margo-application`, and for
//! the messages `margo-api` and `margo-identity`. Who knows the kind asks its own type, such as
//! `AnyDeploymentStatus::detect`. What is wrong with a document is for `margo-validate`.

mod identity;
mod kind;
mod message;

use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{Detection, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, BundleLimits, DesiredStateManifest, read_bundle};
use margo_status::AnyDeploymentStatus;
use margo_syntax::{Format, Limits, SyntaxError};
use serde_json::Value;

pub use margo_core;
pub use margo_syntax;

pub use identity::{Candidate, Identity};
pub use kind::{DocumentKind, ParseDocumentKindError};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Says what `bytes` may be: a bundle, or a document or message in JSON or YAML.
///
/// ```
/// use margo_core::SpecVersion;
/// use margo_detect::{DocumentKind, detect};
/// use margo_syntax::Limits;
///
/// let message = br#"{"trustDomain": "plant.example", "trustBundleUri": "https://mis.example/bundle.json"}"#;
/// let identity = detect(message, &Limits::default())?;
/// assert_eq!(identity.kind(), Some(DocumentKind::DiscoveryDocument));
///
/// let error = detect(b"id: [", &Limits::default()).unwrap_err();
/// assert!(error.to_string().starts_with("line 1"));
/// # Ok::<(), margo_syntax::SyntaxError>(())
/// ```
///
/// # Errors
///
/// Text that is neither JSON nor YAML, holds more than one document, or exceeds `limits`; with the place. An archive that
/// is no bundle is no error: it is none of ours.
pub fn detect(bytes: &[u8], limits: &Limits) -> Result<Identity, SyntaxError> {
    if bytes.starts_with(&GZIP) {
        return Ok(archive(bytes));
    }
    let parse = |format| margo_syntax::parse(bytes, format, limits).map(|tree| tree.to_value());
    // What begins like JSON is said to be wrong as JSON, unless it is YAML after all.
    let looks_like_json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    let value = if looks_like_json {
        parse(Format::Json).or_else(|error| parse(Format::Yaml).map_err(|_| error))?
    } else {
        parse(Format::Yaml)?
    };
    Ok(detect_value(&value))
}

/// As [`detect`], for a tree that was read already.
///
/// ```
/// use margo_core::SpecVersion;
/// use margo_detect::{DocumentKind, detect_value};
/// use serde_json::json;
///
/// let identity = detect_value(&json!({ "properties": { "id": "plc-7", "cpus": [{ "cores": 2 }] } }));
/// let likeliest = identity.likeliest().unwrap();
/// assert_eq!((likeliest.kind, likeliest.revision), (DocumentKind::DeviceCapabilities, SpecVersion::V1_0_0Rc3));
/// assert!(likeliest.reasons.iter().any(|reason| reason == "`cpus` is there"));
/// ```
#[must_use]
pub fn detect_value(document: &Value) -> Identity {
    let documents = [
        (DocumentKind::ApplicationDeployment, AnyApplicationDeployment::detect(document)),
        (DocumentKind::ApplicationDescription, AnyApplicationDescription::detect(document)),
        (DocumentKind::DesiredStateManifest, DesiredStateManifest::detect(document)),
        (DocumentKind::DeviceCapabilities, AnyDeviceCapabilities::detect(document)),
        (DocumentKind::DeploymentStatus, AnyDeploymentStatus::detect(document)),
    ];
    let found = Identity::of(documents);
    // Messages have so few members that a stray one in a document would count.
    if found.is_none() { Identity::of(message::detections(document)) } else { found }
}

fn archive(bytes: &[u8]) -> Identity {
    if read_bundle(bytes, &BundleLimits::default()).is_err() {
        return Identity::none();
    }
    let reason = "a gzipped archive of plain files; all revisions since 1.0.0-rc.1 write it alike";
    let since = SpecVersion::ALL.into_iter().rev().filter(|revision| *revision >= SpecVersion::V1_0_0Rc1);
    let detection = since.fold(Detection::none(), |found, revision| found.with(revision, [reason]));
    Identity::of([(DocumentKind::Bundle, detection)])
}
