//! What it costs to read and write a deployment status of every revision.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::{Sample, limits};
use margo_core::SpecVersion;
use margo_status::AnyDeploymentStatus;
use margo_syntax::Format;

fn main() {
    documents::main();
}

document!(
    deployment_status,
    AnyDeploymentStatus,
    samples,
    |bytes| AnyDeploymentStatus::decode(bytes, &limits()).unwrap(),
    AnyDeploymentStatus::to_json
);

/// The same status in every revision.
fn samples() -> Vec<Sample<AnyDeploymentStatus>> {
    let text = include_str!("documents/status.rc3.json");
    let newest = AnyDeploymentStatus::decode(text.into(), &limits()).unwrap();
    let sample = |revision: SpecVersion| {
        let status = newest.to_revision(revision).unwrap();
        let json = status.to_json();
        assert_eq!(AnyDeploymentStatus::decode(json.clone().into(), &limits()).unwrap().revision(), revision);
        Sample::new(revision, Format::Json, json, status)
    };
    SpecVersion::ALL.into_iter().map(sample).collect()
}
