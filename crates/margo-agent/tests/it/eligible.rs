//! A device looks itself whether it is what a deployment asks for, before anything is touched.

use std::fs;
use std::path::Path;

use margo_agent::{CapabilityFile, MemoryJournal};
use margo_core::Document;
use margo_deployment::ApplicationDeployment;
use margo_syntax::Limits;

use crate::world::{World, deployment_for};

/// Devices, each with its memory; a gateway that hosts nothing has none.
fn write(folder: &Path, devices: &[(&str, Option<&str>)]) -> CapabilityFile {
    let device = |(id, memory): &(&str, Option<&str>)| {
        let hosting = memory.map(|memory| {
            format!(
                ", memory: {memory}, storage: 64Gi, cpus: [], interfaces: [], peripherals: [], \
                 otelCollector: true, supportedRuntimes: [oci], supportedDeploymentTypes: [helm]"
            )
        });
        let hosting = hosting.unwrap_or_default();
        format!("properties: {{ id: {id}, vendor: A, modelNumber: P, serialNumber: '1'{hosting} }}\n")
    };
    let path = folder.join("capabilities.yaml");
    fs::write(&path, devices.iter().map(device).collect::<Vec<_>>().join("---\n")).unwrap();
    CapabilityFile::new(path)
}

/// For `target`, which needs 4 GiB.
fn needing_memory(target: &str, content: &str) -> Document<ApplicationDeployment> {
    let deployment = deployment_for(target, "app-1", &["web"], content);
    let text = std::str::from_utf8(deployment.bytes()).unwrap();
    let text = text.replace(
        "    type: helm\n",
        "    type: helm\n    deviceConstraints: { capacityRequirements: { memory: 4Gi } }\n",
    );
    ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
}

/// One round on such devices: what the manager is told, and whether anything was touched.
async fn round(devices: &[(&str, Option<&str>)], target: &str) -> (Vec<String>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    world.desire(1, &[&needing_memory(target, "")]);
    let file = write(folder.path(), devices);
    let agent = world.agent(MemoryJournal::new()).with_capabilities(file);
    let mut agent = if target.ends_with("/*") { agent.with_autonomous_placement() } else { agent };
    let _ = agent.reconcile().await;
    agent.deliver().await.unwrap();
    let is_touched =
        world.take_log().iter().any(|line| line.starts_with("prepare") || line.starts_with("apply"));
    (world.told("app-1"), is_touched)
}

fn is_refused((told, is_touched): &(Vec<String>, bool)) -> bool {
    let is_told = told.last().is_some_and(|last| last.starts_with("failed(not-eligible)"));
    is_told && !is_touched
}

/// R-D-030: what the manager believed of the device when it placed the deployment may be wrong by now.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_not_what_is_asked_for_refuses_before_anything_is_touched() {
    let small = round(&[("plc-7", Some("2Gi"))], "plc-7").await;
    assert!(is_refused(&small), "{small:?}");
    let large = round(&[("plc-7", Some("8Gi"))], "plc-7").await;
    assert!(large.1 && !is_refused(&large), "{large:?}");
    // Its manager has another name for it.
    let renamed = round(&[("plc-7", Some("2Gi"))], "press-line-2").await;
    assert!(is_refused(&renamed), "{renamed:?}");
}

/// R-D-030: the capabilities are read again each time.
#[tokio::test(start_paused = true)]
async fn what_is_refused_once_is_taken_when_the_device_has_become_eligible() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let file = write(folder.path(), &[("plc-7", Some("2Gi"))]);
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file);
    world.desire(1, &[&needing_memory("plc-7", "first")]);
    let _ = agent.reconcile().await;
    assert!(world.running().is_empty());
    write(folder.path(), &[("plc-7", Some("8Gi"))]);
    world.desire(2, &[&needing_memory("plc-7", "second")]);
    let _ = agent.reconcile().await;
    assert_eq!(world.running(), ["app-1/web"]);
}

/// R-D-030: of several devices the one that is meant counts.
#[tokio::test(start_paused = true)]
async fn behind_a_gateway_the_device_that_is_meant_counts() {
    let devices = [("gw", None), ("gw/small", Some("2Gi")), ("gw/large", Some("8Gi"))];
    for (target, refused) in [("gw/small", true), ("gw/large", false), ("gw", true)] {
        let outcome = round(&devices, target).await;
        assert_eq!((is_refused(&outcome), outcome.1), (refused, !refused), "{target}: {outcome:?}");
    }
}

/// R-D-030: where the gateway chooses, one device that fits is enough, and the gateway itself need not.
#[tokio::test(start_paused = true)]
async fn where_the_gateway_places_it_any_device_behind_it_will_do() {
    let one_fits = [("gw", None), ("gw/small", Some("2Gi")), ("gw/large", Some("8Gi"))];
    let none_fits = [("gw", Some("8Gi")), ("gw/small", Some("2Gi")), ("gw/other", Some("1Gi"))];
    let none_known = [("gw", None)];
    for (devices, refused) in [(&one_fits[..], false), (&none_fits[..], true), (&none_known[..], false)] {
        let outcome = round(devices, "gw/*").await;
        assert_eq!((is_refused(&outcome), outcome.1), (refused, !refused), "{devices:?}: {outcome:?}");
    }
}

/// R-D-030: what cannot be looked at is not taken on trust.
#[tokio::test(start_paused = true)]
async fn capabilities_that_cannot_be_read_are_no_permission() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let file = write(folder.path(), &[("plc-7", Some("8Gi"))]);
    fs::write(folder.path().join("capabilities.yaml"), "?").unwrap();
    world.desire(1, &[&needing_memory("plc-7", "")]);
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file);
    let _ = agent.reconcile().await;
    agent.deliver().await.unwrap();
    assert!(world.told("app-1").last().unwrap().starts_with("failed(capabilities-unreadable)"));
    assert!(world.running().is_empty());
}
