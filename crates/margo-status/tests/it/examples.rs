//! The specification's own examples. They lie beside the checkout and are never part of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use margo_core::SpecVersion::{self, PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
use margo_core::{DeviceId, ManifestVersion, Strictness};
use margo_status::{AnyDeploymentStatus, DeploymentState};
use margo_syntax::Limits;

/// What becomes of an example, and which contradictions explain it.
enum Verdict {
    /// Read, strictly too, with these deviations.
    Read(&'static [&'static str]),
    /// Read with these deviations, but with a fault there, so that a manager refuses it.
    Faulty(&'static str, &'static [&'static str]),
    /// Not read at all: the place, and a part of the message.
    Refused(&'static str, &'static str),
}

use Verdict::{Faulty, Read, Refused};

/// Every example of this document: its folder, its name, its revision, and what becomes of it. What the OpenAPI
/// document of the revision says is noted where it differs.
const EXAMPLES: [(&str, &str, SpecVersion, Verdict); 8] = [
    (
        "A/valid",
        "DeploymentStatus-001.contradictory.page@d3506741.json",
        PreDraft,
        Read(&["X-A-10", "X-A-12", "X-A-13"]),
    ),
    ("B/valid", "DeploymentStatus.page.json", V1_0_0Rc1, Read(&["X-B-04"])),
    // `apiVersion` is `v1`; the whole says `installed` and a component `failed`.
    ("B/valid", "DeploymentStatusManifest-001@0450fb92.json", V1_0_0Rc1, Read(&["X-B-03", "X-B-19"])),
    (
        "B/invalid",
        "DeploymentStatusManifest-001@0450fb92.json",
        V1_0_0Rc1,
        Refused("/kind", "expected `DeploymentStatusManifest`"),
    ),
    (
        "B/invalid",
        "DeploymentStatusManifest-002@0450fb92.json",
        V1_0_0Rc1,
        Faulty("/status/state: `running` is not a state", &["X-B-03", "X-B-19"]),
    ),
    (
        "B/invalid",
        "DeploymentStatusManifest-003@0450fb92.json",
        V1_0_0Rc1,
        Refused("", "missing field `deploymentId`"),
    ),
    // The OpenAPI document refuses it: `apiVersion` and `kind` are required at the tag (X-C-18).
    ("C/valid", "DeploymentStatus.page@02b3189e.json", V1_0_0Rc2, Read(&["X-B-04", "X-C-18"])),
    ("D/valid", "DeploymentStatus.page.json", V1_0_0Rc3, Read(&["X-D-13"])),
];

fn folder() -> PathBuf {
    std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    )
}

/// The bytes of an example; `None` where there are no examples at all.
fn example(place: &str, name: &str) -> Option<Vec<u8>> {
    let folder = folder();
    if !folder.is_dir() {
        notice(&format!("the specification's examples are absent: {}", folder.display()));
        return None;
    }
    Some(std::fs::read(folder.join(place).join(name)).unwrap_or_else(|e| panic!("{place}/{name}: {e}")))
}

#[expect(clippy::print_stderr, reason = "a test that looks at nothing says so")]
fn notice(text: &str) {
    eprintln!("{text}");
}

/// X-A-10, X-A-12, X-A-13, X-B-03, X-B-04, X-B-19, X-C-18, X-D-13.
#[test]
fn every_verdict_of_the_specification_is_explained() {
    let limits = Limits::default();
    for (place, name, revision, verdict) in EXAMPLES {
        let Some(bytes) = example(place, name) else { return };
        let at = format!("{place}/{name}");
        let tree = serde_json::from_slice(&bytes).unwrap();
        let found = |expected: &[&str]| {
            let found = AnyDeploymentStatus::deviations(&tree, revision);
            let found: BTreeSet<_> = found.iter().map(|deviation| deviation.contradiction).collect();
            assert!(found.iter().eq(expected), "{at}: {found:?}");
        };
        let lenient = AnyDeploymentStatus::decode_as(bytes.clone().into(), revision, &limits);
        let strict =
            |revision| AnyDeploymentStatus::read(bytes.clone().into(), revision, Strictness::Strict, &limits);
        match verdict {
            Read(deviations) => {
                let status = lenient.unwrap_or_else(|e| panic!("{at}: {e}"));
                assert_eq!(status.check(), [], "{at}");
                found(deviations);
                assert_eq!(strict(Some(revision)).unwrap().value, status, "{at}");
                assert!(AnyDeploymentStatus::detect(&tree).allows(revision), "{at}");
                assert_eq!(strict(None).unwrap().value.state(), status.state(), "{at}");
                let again = AnyDeploymentStatus::decode_as(status.to_json().into(), revision, &limits);
                assert_eq!(again.unwrap().value(), status.value(), "{at}");
            }
            Faulty(fault, deviations) => {
                let faults: Vec<_> = lenient.unwrap().check().iter().map(ToString::to_string).collect();
                assert_eq!(faults, [fault], "{at}");
                found(deviations);
                assert!(strict(Some(revision)).is_err() && strict(None).is_err(), "{at}");
            }
            Refused(pointer, message) => {
                let error = lenient.unwrap_err();
                assert_eq!(error.pointer().as_str(), pointer, "{at}");
                assert!(error.message().contains(message), "{at}: {error}");
                assert!(AnyDeploymentStatus::decode(bytes.into(), &limits).is_err(), "{at}");
            }
        }
    }
}

/// No example is skipped.
#[test]
fn every_example_has_a_verdict() {
    if !folder().is_dir() {
        return notice("the specification's examples are absent");
    }
    for revision in ["A", "B", "C", "D"] {
        for validity in ["valid", "invalid"] {
            let place = format!("{revision}/{validity}");
            for entry in std::fs::read_dir(folder().join(&place)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                let is_listed = EXAMPLES.iter().any(|(p, n, ..)| *p == place && *n == name);
                assert!(is_listed || !name.starts_with("DeploymentStatus"), "{place}/{name}");
            }
        }
    }
}

/// Three examples say `pending` with errors that say nothing, each in its words.
#[test]
fn the_examples_of_the_pages_say_the_same() {
    for (place, name, revision, _) in EXAMPLES.iter().filter(|(_, name, ..)| name.contains("page")) {
        let Some(bytes) = example(place, name) else { return };
        let status = AnyDeploymentStatus::decode(bytes.into(), &Limits::default()).unwrap().into_value();
        assert_eq!(status.deployment_id().as_str(), "a3e2f5dc-912e-494f-8395-52cf3769bc06", "{name}");
        assert_eq!((status.state(), status.error()), (DeploymentState::Pending, None), "{name}");
        let components = status.components();
        let names: Vec<_> = components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["digitron-orchestrator", "database-services"], "{name}");
        assert!(components.iter().all(|component| component.error.is_none()), "{name}");

        let device = (*revision >= V1_0_0Rc2).then_some("plant-alfa-zone1-edge01");
        assert_eq!(status.device_id().map(DeviceId::as_str), device, "{name}");
        let adopted = if *revision == V1_0_0Rc3 { ManifestVersion::new(7) } else { None };
        assert_eq!(status.adopted(), adopted, "{name}");
    }
}

/// X-A-10, X-A-12, X-A-13: the example contradicts its tables, and is written as they say.
#[test]
fn the_example_of_the_pre_draft_is_written_as_its_tables_say() {
    let (place, name, ..) = EXAMPLES[0];
    let Some(bytes) = example(place, name) else { return };
    let status = AnyDeploymentStatus::decode(bytes.into(), &Limits::default()).unwrap().into_value();
    let AnyDeploymentStatus::PreDraft(status) = status else { panic!("{name}") };
    assert_eq!(
        serde_json::to_string(&status).unwrap(),
        concat!(
            r#"{"apiVersion":"deployment.margo/v1","kind":"DeploymentStatus","#,
            r#""deploymentId":"a3e2f5dc-912e-494f-8395-52cf3769bc06","status":{"state":"Pending"},"#,
            r#""components":[{"name":"digitron-orchestrator","state":"Pending"},"#,
            r#"{"name":"database-services","state":"Pending"}]}"#,
        )
    );
}
