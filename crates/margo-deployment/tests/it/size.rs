use margo_core::{ClientId, Digest, ManifestVersion, SpecVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest};
use margo_syntax::{Limits, SyntaxErrorKind};

fn manifest(count: u64) -> DesiredStateManifest {
    let deployments = (0..count).map(|number| {
        let id = format!("a3e2f5dc-912e-494f-8395-{number:012}");
        let mut reference = DeploymentRef::new(id.parse().unwrap(), Digest::of(id.as_bytes()));
        reference.size_bytes = Some(1800);
        reference
    });
    let bundle = (count > 0).then(|| BundleRef::new(Digest::of(b"bundle"), 600 * count));
    DesiredStateManifest::new(ManifestVersion::FIRST, bundle, deployments.collect())
}

/// Well within the default limits, in every revision.
#[test]
fn five_thousand_deployments_are_read() {
    let client: ClientId = "plant-7".parse().unwrap();
    for revision in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3] {
        let manifest = manifest(5_000).at(revision, &client);
        let json = manifest.to_json().unwrap();
        assert_eq!(DesiredStateManifest::parse(&json, &Limits::default()).unwrap(), manifest);
    }
}

#[test]
fn more_than_the_limits_allow_is_refused_by_the_name_of_the_limit() {
    let json = manifest(60_000).to_json().unwrap();
    let error = DesiredStateManifest::parse(&json, &Limits::default()).unwrap_err();
    assert_eq!(error.syntax(), Some(&SyntaxErrorKind::TooLarge { limit: 16 * 1024 * 1024 }));
    assert_eq!(error.to_string(), "document is larger than 16777216 bytes");
    let few = Limits::default().with_max_nodes(100);
    let error = DesiredStateManifest::parse(&manifest(20).to_json().unwrap(), &few).unwrap_err();
    assert_eq!(error.message(), "more than 100 values");
}
