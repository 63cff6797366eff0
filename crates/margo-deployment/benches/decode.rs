//! What it costs to read and write a deployment and a state manifest of every revision, and a manifest of five thousand
//! deployments.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::{Sample, limits};
use margo_core::{Digest, ManifestVersion, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, BundleRef, DeploymentRef, DesiredStateManifest};
use margo_syntax::Format;

fn main() {
    documents::main();
}

document!(
    application_deployment,
    AnyApplicationDeployment,
    deployments,
    |bytes| AnyApplicationDeployment::decode(bytes, &limits()).unwrap(),
    |deployment| deployment.to_yaml().unwrap()
);

document!(
    state_manifest,
    DesiredStateManifest,
    manifests,
    |bytes| DesiredStateManifest::decode(bytes, &limits()).unwrap(),
    |manifest| manifest.to_json().unwrap()
);

/// The same deployment in every revision.
fn deployments() -> Vec<Sample<AnyApplicationDeployment>> {
    let text = include_str!("documents/deployment.rc3.yaml");
    let newest = AnyApplicationDeployment::decode(text.into(), &limits()).unwrap();
    let sample = |revision: SpecVersion| {
        let deployment = newest.to_revision(revision, &"line-3".parse().unwrap()).unwrap();
        let yaml = deployment.to_yaml().unwrap();
        let read = AnyApplicationDeployment::decode(yaml.clone().into(), &limits()).unwrap();
        assert_eq!(read.revision(), revision);
        Sample::new(revision, Format::Yaml, yaml, deployment)
    };
    SpecVersion::ALL.into_iter().map(sample).collect()
}

/// Ten deployments in every revision that has manifests, and more of them in the newest.
fn manifests() -> Vec<Sample<DesiredStateManifest>> {
    let sample = |count: u64, revision: SpecVersion| {
        let manifest = manifest(count).at(revision, &"plant-7".parse().unwrap());
        let name = format!("{revision}, {count} deployments");
        Sample::new(name, Format::Json, manifest.to_json().unwrap(), manifest)
    };
    let ten = SpecVersion::ALL[1..].iter().map(|&revision| sample(10, revision));
    ten.chain([1, 100, 5_000].map(|count| sample(count, SpecVersion::LATEST))).collect()
}

fn manifest(count: u64) -> DesiredStateManifest {
    let deployments = (0..count).map(|number| {
        let id = format!("a3e2f5dc-912e-494f-8395-{number:012}");
        let mut reference = DeploymentRef::new(id.parse().unwrap(), Digest::of(id.as_bytes()));
        reference.size_bytes = Some(1800);
        reference
    });
    let bundle = BundleRef::new(Digest::of(b"bundle"), 600 * count);
    DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), deployments.collect())
}
