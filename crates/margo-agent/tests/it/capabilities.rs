//! Capabilities are reported at start and whenever they change (R-A-025).

use std::fs;
use std::path::Path;
use std::time::Duration;

use margo_agent::{CapabilityFile, MemoryJournal};
use margo_api::{SinkError, SinkErrorKind};
use margo_capability::AnyDeviceCapabilities;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::world::{World, unavailable};

fn write(folder: &Path, memory: &str) {
    let text = format!(
        "properties: {{ id: plc-7, vendor: Acme, modelNumber: P, serialNumber: S, memory: {memory}, \
         storage: 64Gi, cpus: [], interfaces: [], peripherals: [], otelCollector: true, \
         supportedRuntimes: [oci], supportedDeploymentTypes: [compose] }}\n"
    );
    // As editors and configuration tools do it.
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("capabilities.yaml")).unwrap();
}

fn memories(world: &World) -> Vec<String> {
    let memory = |capabilities: &AnyDeviceCapabilities| match capabilities {
        AnyDeviceCapabilities::Rc3(capabilities) => {
            capabilities.properties.memory.clone().unwrap().to_string()
        }
        other => panic!("{other:?}"),
    };
    world.lock().capabilities.iter().map(memory).collect()
}

fn file(folder: &TempDir) -> CapabilityFile {
    CapabilityFile::new(folder.path().join("capabilities.yaml")).with_interval(Duration::from_secs(10))
}

async fn seconds(number: u64) {
    sleep(Duration::from_secs(number)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    write(folder.path(), "8Gi");
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent
        .run(async {
            seconds(35).await;
            assert_eq!(memories(&world), ["8Gi"]);
            write(folder.path(), "16Gi");
            seconds(35).await;
            assert_eq!(memories(&world), ["8Gi", "16Gi"]);
            // Written again with the same content.
            write(folder.path(), "16Gi");
            seconds(35).await;
            // Not readable, and gone: the last good ones stay in force.
            fs::write(folder.path().join("capabilities.yaml"), "properties: [").unwrap();
            seconds(35).await;
            fs::remove_file(folder.path().join("capabilities.yaml")).unwrap();
            seconds(35).await;
            assert_eq!(memories(&world), ["8Gi", "16Gi"]);
            write(folder.path(), "32Gi");
            seconds(35).await;
        })
        .await;
    assert_eq!(memories(&world), ["8Gi", "16Gi", "32Gi"]);

    // At every start, whatever was told before.
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent.run(seconds(5)).await;
    assert_eq!(memories(&world), ["8Gi", "16Gi", "32Gi", "32Gi"]);
}

#[tokio::test(start_paused = true)]
async fn a_report_waits_for_the_manager_and_not_for_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    write(folder.path(), "8Gi");
    world.lock().capability_failures.extend([unavailable(Some(100)), unavailable(None)]);
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent
        .run(async {
            seconds(99).await;
            // Broken before it was told: what was good is still told.
            fs::write(folder.path().join("capabilities.yaml"), "?").unwrap();
            assert_eq!(world.lock().capability_failures.len(), 1);
            seconds(20).await;
            assert_eq!(memories(&world), ["8Gi"]);

            world.lock().capability_failures.push_back(SinkError::new(SinkErrorKind::Rejected));
            write(folder.path(), "16Gi");
            seconds(60).await;
            assert_eq!((memories(&world).len(), world.lock().capability_failures.len()), (1, 0));
            write(folder.path(), "32Gi");
            seconds(20).await;
        })
        .await;
    assert_eq!(memories(&world), ["8Gi", "32Gi"]);
}
