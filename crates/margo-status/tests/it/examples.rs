//! The specification's own examples. They lie beside the checkout and are never part of it.

use std::path::PathBuf;

use margo_core::{ManifestVersion, SpecVersion};
use margo_status::{AnyDeploymentStatus, DeploymentState};
use margo_syntax::Limits;

/// The examples of one revision whose names say they are statuses; none where the examples are absent.
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
        if name.starts_with("DeploymentStatus") {
            examples.push((name, std::fs::read(&path).unwrap()));
        }
    }
    assert!(!examples.is_empty(), "{} has no status", folder.display());
    examples.sort();
    examples
}

#[expect(clippy::print_stderr, reason = "a test that looks at nothing says so")]
fn notice(text: &str) {
    eprintln!("{text}");
}

/// Reads an example by its shape and by its route, writes it, and reads it again.
fn read(name: &str, bytes: Vec<u8>, revision: SpecVersion) -> AnyDeploymentStatus {
    let limits = Limits::default();
    let document =
        AnyDeploymentStatus::decode(bytes.into(), &limits).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(document.revision(), revision, "{name}");
    let routed = AnyDeploymentStatus::decode_as(document.bytes().clone(), revision, &limits).unwrap();
    assert_eq!(document, routed, "{name}");
    let again = AnyDeploymentStatus::decode(document.to_json().into(), &limits).unwrap();
    assert_eq!(again.value(), document.value(), "{name}");
    assert_eq!(document.check(), [], "{name}");
    document.into_value()
}

/// Both examples say `pending` with errors that say nothing.
fn is_pending_without_errors(name: &str, status: &AnyDeploymentStatus) {
    assert_eq!(status.deployment_id().as_str(), "a3e2f5dc-912e-494f-8395-52cf3769bc06", "{name}");
    assert_eq!(status.state(), DeploymentState::Pending, "{name}");
    assert_eq!(status.error(), None, "{name}");
    let components = status.components();
    let names: Vec<_> = components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["digitron-orchestrator", "database-services"], "{name}");
    assert!(components.iter().all(|component| component.error.is_none()), "{name}");
}

/// X-D-13.
#[test]
fn the_example_of_rc3_is_accepted() {
    for (name, bytes) in examples("D") {
        let status = read(&name, bytes, SpecVersion::V1_0_0Rc3);
        is_pending_without_errors(&name, &status);
        assert_eq!(status.adopted(), ManifestVersion::new(7), "{name}");
        assert_eq!(status.device_id().map(ToString::to_string).as_deref(), Some("plant-alfa-zone1-edge01"));
    }
}

/// X-A-10, X-A-12, X-A-13: the example contradicts its tables, and is read.
#[test]
fn the_example_of_the_pre_draft_is_accepted_and_written_as_its_tables_say() {
    for (name, bytes) in examples("A") {
        let status = read(&name, bytes, SpecVersion::PreDraft);
        is_pending_without_errors(&name, &status);
        assert_eq!((status.adopted(), status.device_id()), (None, None), "{name}");
        let AnyDeploymentStatus::PreDraft(status) = status else { unreachable!() };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            concat!(
                r#"{"apiVersion":"deployment.margo/v1","kind":"DeploymentStatus","#,
                r#""deploymentId":"a3e2f5dc-912e-494f-8395-52cf3769bc06","status":{"state":"Pending"},"#,
                r#""components":[{"name":"digitron-orchestrator","state":"Pending"},"#,
                r#"{"name":"database-services","state":"Pending"}]}"#,
            ),
            "{name}"
        );
    }
}
