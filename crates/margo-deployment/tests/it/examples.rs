//! The specification's own examples: they lie beside the checkout and are never committed here.

use std::fs;
use std::path::PathBuf;

use margo_core::{SpecVersion, Strictness};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_syntax::{DecodeError, Limits};

/// Examples that are of another revision than their folder says, by their shape.
const OF_ANOTHER_REVISION: &[(&str, SpecVersion, &str)] = &[
    ("C/invalid/ApplicationDeployment-001@3924f4e8.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/ApplicationDeployment-002@3924f4e8.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/ApplicationDeployment-003-invalid_appid2@414e8ae7.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/ApplicationDeployment-003@3c113ea1.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/ApplicationDeployment-004@3924f4e8.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/DesiredState-001@145da991.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/invalid/DesiredState-002@145da991.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/valid/ApplicationDeployment-001-compose@d5c0935a.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/valid/ApplicationDeployment-compose@3c113ea1.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/valid/ApplicationDeployment-helm@3924f4e8.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/valid/DesiredState-001@145da991.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
    ("C/valid/DesiredState-002@145da991.yaml", SpecVersion::V1_0_0Rc1, MAY_2026),
];
const MAY_2026: &str = "X-C-03: a top-level `id`, `applicationId` in the annotations, no `deviceId`";

/// Examples our reading judges otherwise than their folder, and the interpretation that explains it.
const EXPLAINED: &[(&str, &str)] = &[
    ("B/valid/StateManifest.page.json", "X-B-27: the digests are cut short, for illustration"),
    ("D/valid/StateManifest.page.json", "X-B-27: the digests are cut short, for illustration"),
];

/// What the readings of the valid examples were warned of: contradictions of level L2 and above, by file.
const WARNED: &[(&str, &[&str])] = &[
    ("A/valid/ApplicationDeployment-001-helm.v3.page@d3506741.yaml", &["X-A-14"]),
    ("A/valid/DesiredState-001@cd980a5.fork-Feb2025.yaml", &["X-A-14"]),
    ("B/valid/DesiredState-001.page.yaml", &["X-B-16"]),
    ("C/valid/ApplicationDeployment-001-compose@d5c0935a.yaml", &["X-C-03"]),
    ("C/valid/ApplicationDeployment-compose@3c113ea1.yaml", &["X-C-03"]),
    ("C/valid/ApplicationDeployment-helm@3924f4e8.yaml", &["X-C-03"]),
    ("C/valid/DesiredState-001@145da991.yaml", &["X-B-16", "X-C-03"]),
    ("C/valid/DesiredState-002@145da991.yaml", &["X-C-03"]),
];

/// Every deployment and manifest: the valid ones are read leniently, the invalid ones refused strictly.
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
    let mut examined = Vec::new();
    for (revision, version) in ["A", "B", "C", "D"].into_iter().zip(SpecVersion::ALL) {
        for verdict in ["valid", "invalid"] {
            let mut files: Vec<_> = fs::read_dir(folder.join(revision).join(verdict))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            for path in files {
                let name = path.file_name().unwrap().to_str().unwrap();
                let key = format!("{revision}/{verdict}/{name}");
                let moved = OF_ANOTHER_REVISION.iter().find(|(file, ..)| *file == key);
                let version = moved.map_or(version, |(_, version, _)| *version);
                let is_a = |prefix: &&str| name.starts_with(*prefix);
                let read = if ["StateManifest", "DesiredStateManifest"].iter().any(is_a) {
                    manifest
                } else if ["ApplicationDeployment", "DesiredState-", "gateway-"].iter().any(is_a) {
                    deployment
                } else {
                    continue;
                };
                let strictness = if verdict == "valid" { Strictness::Lenient } else { Strictness::Strict };
                let result = read(fs::read(&path).unwrap(), version, strictness);
                let is_explained = EXPLAINED.iter().any(|(explained, _)| *explained == key);
                assert_eq!(result.is_ok(), (verdict == "valid") != is_explained, "{key}: {result:?}");
                let warned = WARNED.iter().find(|(file, _)| *file == key).map_or(&[][..], |(_, ids)| *ids);
                assert_eq!(result.unwrap_or_default(), warned, "{key}");
                examined.push(key);
            }
        }
    }
    assert!(examined.len() >= 37, "only {} examples are there", examined.len());
    let named =
        OF_ANOTHER_REVISION.iter().map(|(file, ..)| *file).chain(EXPLAINED.iter().map(|(file, _)| *file));
    for file in named.chain(WARNED.iter().map(|(file, _)| *file)) {
        assert!(examined.iter().any(|examined| examined == file), "{file} is not there");
    }
}

/// The contradictions that are worth a warning.
fn deployment(
    bytes: Vec<u8>,
    version: SpecVersion,
    strictness: Strictness,
) -> Result<Vec<&'static str>, DecodeError> {
    let reading =
        AnyApplicationDeployment::read(bytes.into(), Some(version), strictness, &Limits::default())?;
    let value = margo_syntax::parse(reading.value.bytes(), margo_syntax::Format::Yaml, &Limits::default());
    assert!(AnyApplicationDeployment::detect(&value?.to_value()).allows(version));
    let mut warned: Vec<_> = reading.warnings().map(|deviation| deviation.contradiction).collect();
    warned.sort_unstable();
    warned.dedup();
    let target = "edge-01".parse().unwrap();
    let upgraded = reading.value.into_value().convert(SpecVersion::LATEST, &target).unwrap();
    assert!(upgraded.losses.is_empty(), "{:?}", upgraded.losses);
    Ok(warned)
}

fn manifest(
    bytes: Vec<u8>,
    version: SpecVersion,
    strictness: Strictness,
) -> Result<Vec<&'static str>, DecodeError> {
    let reading = DesiredStateManifest::read(bytes.into(), Some(version), strictness, &Limits::default())?;
    Ok(reading.warnings().map(|deviation| deviation.contradiction).collect())
}
