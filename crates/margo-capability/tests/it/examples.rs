//! The specification's own examples. They lie beside the checkout and are never part of it.

use std::path::PathBuf;

use margo_capability::AnyDeviceCapabilities;
use margo_core::SpecVersion;
use margo_syntax::Limits;
use serde_json::json;

/// The examples of one revision whose names say they are capabilities; none where the examples are absent.
fn examples(revision: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    let folder = folder.join(revision).join("valid");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        notice(&format!("the specification's examples are absent: {}", folder.display()));
        return Vec::new();
    };
    let mut examples = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("DeviceCapabilities") {
            examples.push((name, std::fs::read(&path).unwrap()));
        }
    }
    assert!(!examples.is_empty(), "{} has no capabilities", folder.display());
    examples.sort();
    examples
}

#[expect(clippy::print_stderr, reason = "a test that looks at nothing says so")]
fn notice(text: &str) {
    eprintln!("{text}");
}

/// Reads an example by its shape and by its route, writes it, and reads it again.
fn read(name: &str, bytes: Vec<u8>, revision: SpecVersion) -> AnyDeviceCapabilities {
    let limits = Limits::default();
    let document =
        AnyDeviceCapabilities::decode(bytes.into(), &limits).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(document.revision(), revision, "{name}");
    let routed = AnyDeviceCapabilities::decode_as(document.bytes().clone(), revision, &limits).unwrap();
    assert_eq!(document, routed, "{name}");
    let again = AnyDeviceCapabilities::decode(document.to_json().into(), &limits).unwrap();
    assert_eq!(again.value(), document.value(), "{name}");
    document.into_value()
}

/// X-D-07 (`59 Gi`), X-D-20 (`apiVersion` and `kind` at the root), X-D-21 (no `cpus`), X-D-28 (a relay).
#[test]
fn every_valid_example_of_rc3_is_accepted() {
    for (name, bytes) in examples("D") {
        let capabilities = read(&name, bytes, SpecVersion::V1_0_0Rc3);
        assert_eq!(capabilities.check(), [], "{name}");
        let AnyDeviceCapabilities::Rc3(capabilities) = capabilities else { unreachable!() };
        assert_eq!(capabilities.properties.hosts_workloads(), !name.contains("no-hosting"), "{name}");
        let memory = capabilities.properties.memory;
        assert!(memory.is_none_or(|memory| memory.bytes().is_some()), "{name}");
    }
}

/// X-A-01, X-A-03, X-A-04, X-A-08, X-A-26: the example contradicts its tables, and is read.
#[test]
fn the_example_of_the_pre_draft_is_accepted_and_written_as_its_tables_say() {
    for (name, bytes) in examples("A") {
        let capabilities = read(&name, bytes, SpecVersion::PreDraft);
        assert_eq!(capabilities.check(), [], "{name}");
        let AnyDeviceCapabilities::PreDraft(older) = &capabilities else { unreachable!() };
        let written = serde_json::to_value(older).unwrap();
        assert_eq!(written["kind"], "DeviceCapabilities");
        assert_eq!(written["properties"]["roles"], json!(["Standalone Cluster", "Cluster Leader"]));
        assert_eq!(
            written["properties"]["resources"],
            json!({
                "cpus": [{"architecture": "Intel x64", "cores": 24, "frequency": 6.2}],
                "memory": 64,
                "storage": 2000,
            })
        );

        let newer = capabilities.upgrade().value;
        assert_eq!(newer.check(), [], "{name}");
        let newer = serde_json::to_value(newer).unwrap();
        assert_eq!(newer["properties"]["cpus"], json!([{"cores": 24, "architecture": "amd64"}]));
        assert_eq!(newer["properties"]["supportedDeploymentTypes"], json!(["helm"]));
        assert_eq!(newer["properties"]["interfaces"], json!([{"type": "ethernet"}, {"type": "wifi"}]));
        assert_eq!(
            newer["properties"]["peripherals"],
            json!([{"type": "gpu", "manufacturer": "NVIDIA", "model": "TUF-RTX4070TIS-O16G"}])
        );
    }
}
