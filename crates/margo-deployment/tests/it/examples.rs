//! The specification's own examples: they lie beside the checkout and are never committed here.

use std::fs;
use std::path::PathBuf;

use margo_core::SpecVersion;
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_syntax::{DecodeError, Limits};

/// Examples our reading judges otherwise than their folder, and the interpretation that explains it.
const EXPLAINED: &[(&str, &str)] = &[
    ("A/invalid/DesiredState-004@cd980a5.fork-Feb2025.yaml", "X-C-16: any path-safe id is read"),
    ("D/valid/StateManifest.page.json", "X-B-27: the digests are cut short, for illustration"),
];

#[test]
fn the_specifications_examples_are_judged_as_it_does() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let mut examined = 0;
    for (revision, version) in [("A", SpecVersion::PreDraft), ("D", SpecVersion::V1_0_0Rc3)] {
        for verdict in ["valid", "invalid"] {
            let mut files: Vec<_> = fs::read_dir(folder.join(revision).join(verdict))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            for path in files {
                let name = path.file_name().unwrap().to_str().unwrap();
                let read = if name.starts_with("StateManifest") {
                    manifest
                } else if ["ApplicationDeployment", "DesiredState-", "gateway-"]
                    .iter()
                    .any(|p| name.starts_with(p))
                {
                    deployment
                } else {
                    continue;
                };
                examined += 1;
                let result = read(&fs::read(&path).unwrap(), version);
                let key = format!("{revision}/{verdict}/{name}");
                let is_explained = EXPLAINED.iter().any(|(explained, _)| *explained == key);
                assert_eq!(result.is_ok(), (verdict == "valid") != is_explained, "{key}: {result:?}");
            }
        }
    }
    assert!(examined >= 12, "only {examined} examples are there");
}

fn deployment(bytes: &[u8], version: SpecVersion) -> Result<(), DecodeError> {
    let deployment = AnyApplicationDeployment::parse(bytes, &Limits::default())?;
    assert_eq!(deployment.revision(), version);
    let upgraded = deployment.upgrade(&"edge-01".parse().unwrap());
    assert!(upgraded.losses.is_empty(), "{:?}", upgraded.losses);
    Ok(())
}

fn manifest(bytes: &[u8], _: SpecVersion) -> Result<(), DecodeError> {
    DesiredStateManifest::parse(bytes, &Limits::default()).map(drop)
}
