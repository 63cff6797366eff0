//! The specification's own examples: they lie beside the checkout and are never committed here.

use std::fs;
use std::path::PathBuf;

use margo_application::{AnyApplicationDescription, check_description};
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{DecodeError, Format, Limits};

/// Examples that are of another revision than their folder says, by their shape.
const OF_ANOTHER_REVISION: &[(&str, SpecVersion, &str)] = &[(
    "B/valid/ApplicationDescription-001@6acabdc4.yaml",
    SpecVersion::PreDraft,
    "revision B, section 2.5: profiles of rc.1 have ids; these have none, as in February 2025 (X-A-32)",
)];

/// Examples our reading judges otherwise than their folder, and the interpretation that explains it.
const EXPLAINED: &[(&str, &str)] = &[(
    "D/valid/ApplicationDescription.custom-runtime.page.yaml",
    "X-D-20: an id with dots, in the place of an older revision",
)];

/// What the readings of the valid examples were warned of: contradictions of level L2 and above, by file.
const WARNED: &[(&str, &[&str])] = &[
    ("A/valid/ApplicationDescription-001-helm_only.page@d3506741.yaml", &["X-A-22"]),
    ("B/valid/ApplicationDescription-002.page.yaml", &["X-B-09"]),
    ("C/valid/ApplicationDescription-helm_only@c2916af1.yaml", &["X-C-15"]),
];

/// Every description: the valid ones are read leniently, the invalid ones refused strictly.
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
                if !name.starts_with("ApplicationDescription") {
                    continue;
                }
                let key = format!("{revision}/{verdict}/{name}");
                let moved = OF_ANOTHER_REVISION.iter().find(|(file, ..)| *file == key);
                let version = moved.map_or(version, |(_, version, _)| *version);
                let strictness = if verdict == "valid" { Strictness::Lenient } else { Strictness::Strict };
                let result = examine(fs::read(&path).unwrap(), version, strictness);
                let is_explained = EXPLAINED.iter().any(|(explained, _)| *explained == key);
                assert_eq!(result.is_ok(), (verdict == "valid") != is_explained, "{key}: {result:?}");
                let warned = WARNED.iter().find(|(file, _)| *file == key).map_or(&[][..], |(_, ids)| *ids);
                assert_eq!(result.unwrap_or_default(), warned, "{key}");
                examined.push(key);
            }
        }
    }
    assert!(examined.len() >= 24, "only {} examples are there", examined.len());
    let named =
        OF_ANOTHER_REVISION.iter().map(|(file, ..)| *file).chain(EXPLAINED.iter().map(|(file, _)| *file));
    for file in named.chain(WARNED.iter().map(|(file, _)| *file)) {
        assert!(examined.iter().any(|examined| examined == file), "{file} is not there");
    }
}

/// The contradictions that are worth a warning.
fn examine(
    bytes: Vec<u8>,
    version: SpecVersion,
    strictness: Strictness,
) -> Result<Vec<&'static str>, DecodeError> {
    let reading =
        AnyApplicationDescription::read(bytes.into(), Some(version), strictness, &Limits::default())?;
    let value = margo_syntax::parse(reading.value.bytes(), Format::Yaml, &Limits::default())?.to_value();
    assert_eq!(AnyApplicationDescription::detect(&value).likeliest(), Some(version));
    let mut warned: Vec<_> = reading.warnings().map(|deviation| deviation.contradiction).collect();
    warned.sort_unstable();
    warned.dedup();
    let upgraded = reading.value.into_value().upgrade();
    assert!(upgraded.losses.is_empty(), "{:?}", upgraded.losses);
    assert_eq!(check_description(&upgraded.value), []);
    Ok(warned)
}
