//! The specification's own examples: they lie beside the checkout and are never committed here.

use std::fs;
use std::path::PathBuf;

use margo_application::{AnyApplicationDescription, check_description};
use margo_core::SpecVersion;
use margo_syntax::{DecodeError, Limits};

/// Examples our reading judges otherwise than their folder, and the interpretation that explains it.
const EXPLAINED: &[(&str, &str)] = &[(
    "D/valid/ApplicationDescription.custom-runtime.page.yaml",
    "X-D-20: an id with dots, in the place of an older revision",
)];

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
                if !name.starts_with("ApplicationDescription") {
                    continue;
                }
                examined += 1;
                let result = examine(&fs::read(&path).unwrap(), version);
                let key = format!("{revision}/{verdict}/{name}");
                let is_explained = EXPLAINED.iter().any(|(explained, _)| *explained == key);
                assert_eq!(result.is_ok(), (verdict == "valid") != is_explained, "{key}: {result:?}");
            }
        }
    }
    assert!(examined >= 7, "only {examined} examples are there");
}

fn examine(bytes: &[u8], version: SpecVersion) -> Result<(), DecodeError> {
    let description = AnyApplicationDescription::parse(bytes, &Limits::default())?;
    assert_eq!(description.revision(), version);
    let upgraded = description.upgrade();
    assert!(upgraded.losses.is_empty(), "{:?}", upgraded.losses);
    assert_eq!(check_description(&upgraded.value), []);
    Ok(())
}
