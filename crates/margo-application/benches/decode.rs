//! What it costs to read and write an application description of every revision.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::{Sample, limits};
use margo_application::AnyApplicationDescription;
use margo_core::SpecVersion;
use margo_syntax::Format;

fn main() {
    documents::main();
}

document!(
    application_description,
    AnyApplicationDescription,
    samples,
    |bytes| AnyApplicationDescription::decode(bytes, &limits()).unwrap(),
    |description| description.to_yaml().unwrap()
);

/// The same description in every revision, and one that no older revision could say.
fn samples() -> Vec<Sample<AnyApplicationDescription>> {
    let oldest = read(include_str!("../../../fixtures/packages/line-dashboard-2.3.0/margo.yaml"));
    let newest = read(include_str!("../../../fixtures/packages/pump-monitor-1.1.0/margo.yaml"));
    let sample = |name: String, description: AnyApplicationDescription| {
        let yaml = description.to_yaml().unwrap();
        assert_eq!(read(&yaml).revision(), description.revision());
        Sample::new(name, Format::Yaml, yaml, description)
    };
    let in_revision =
        |revision: SpecVersion| sample(revision.to_string(), oldest.to_revision(revision).unwrap());
    let constrained = sample(format!("{} with constraints", newest.revision()), newest);
    SpecVersion::ALL.into_iter().map(in_revision).chain([constrained]).collect()
}

fn read(text: &str) -> AnyApplicationDescription {
    AnyApplicationDescription::parse(text.as_bytes(), &limits()).unwrap()
}
