//! The manager is away for a while, and the device lives on. It takes two processes, one of which ends.

use margo_core::SpecVersion;
use serde_json::{Value, json};

use crate::plant::{Device, Plant, Source};
use crate::program::until;

#[tokio::test]
async fn nothing_is_lost_over_rest() {
    what_happened_meanwhile_is_told_in_order(Source::Rest).await;
}

/// The newest revision, with its desired state from Git.
#[tokio::test]
async fn nothing_is_lost_over_git() {
    what_happened_meanwhile_is_told_in_order(Source::Git).await;
}

/// R-A-006, R-B-015, R-A-021, R-B-033, R-A-025: installing, failing, trying again, losing a workload and bringing it
/// back, gaining memory, losing power: whatever happens while nobody answers is told afterwards, in order, and none of
/// it is lost.
async fn what_happened_meanwhile_is_told_in_order(source: Source) {
    let mut plant = Plant::start().await;
    let runtime = "delay = \"300ms\"\n[runtime.fail.line-dashboard]\ncode = \"E-7\"\nmessage = \"no image\"\ntimes = 2\n";
    let mut device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, source, runtime).await;
    // Both in one round of the device.
    let pumps = plant.deploy_pumps("line-3").await;
    let dashboard = plant.upload("line-dashboard-2.3.0").await;
    let dashboard = plant.deploy(&dashboard, "helm", json!({}), &["line-3"]).await.remove(0);
    device.start();
    until("the device reports its capabilities", async || memory(&plant).await).await;
    let begun = |deployment: &margo_cli::Deployment| deployment.state == "installing";
    plant.until(&pumps, "the device is at work", begun).await;
    plant.terminate().await;

    // It goes on alone: what it has fetched is carried out, and what fails is tried again.
    until_says(&device, &dashboard, "installed", 1).await;
    assert!(said(&device).contains(&(pumps.clone(), "installed".to_owned())));
    // A workload disappears and comes back.
    std::fs::remove_dir_all(device.workload(&pumps).join("pump-analyzer")).unwrap();
    until_says(&device, &pumps, "installed", 2).await;
    for memory in ["memory: 12Gi", "memory: 16Gi"] {
        let capabilities = std::fs::read_to_string(device.capabilities()).unwrap();
        let line = capabilities.lines().find(|line| line.trim_start().starts_with("memory:")).unwrap();
        let changed = capabilities.replace(line.trim_start(), memory);
        std::fs::write(device.capabilities(), changed).unwrap();
    }
    // The power fails, and the reports wait on the disk.
    device.kill();
    device.start();

    plant.up().await;
    until("the capabilities are the last ones", async || {
        memory(&plant).await.filter(|found| found == "16Gi")
    })
    .await;

    let said = said(&device);
    let told = until("everything is told", async || {
        let mut told = Vec::new();
        for id in [&pumps, &dashboard] {
            told.extend(plant.history(id).await.into_iter().map(|report| (report, id.clone())));
        }
        told.sort_by_key(|(report, _)| report.received_at.parse::<jiff::Timestamp>().unwrap());
        let told: Vec<_> = told.into_iter().map(|(report, id)| (id, report.state)).collect();
        (told.len() >= said.len()).then_some(told)
    })
    .await;
    assert_eq!(told, said);
    let of = |id: &str| {
        told.iter().filter(|(of, _)| of == id).map(|(_, state)| state.as_str()).collect::<Vec<_>>()
    };
    let tries = of(&dashboard).iter().filter(|state| **state == "failed").count();
    assert_eq!(tries, 2, "{told:?}");
    assert_eq!(of(&pumps).iter().filter(|state| **state == "installed").count(), 2, "{told:?}");
    plant.until_polled(&device, 2).await;
    for id in [&pumps, &dashboard] {
        assert!(
            plant.until_converged(id).await.history.unwrap().len() == of(id).len(),
            "nothing more is told"
        );
    }
}

/// The states of deployments that the device has put on its way, as its log has them.
fn said(device: &Device) -> Vec<(String, String)> {
    const MESSAGES: [&str; 2] = ["a deployment changed its state", "a deployment failed"];
    let text = |line: &Value, member: &str| line[member].as_str().unwrap().to_owned();
    device
        .logged()
        .iter()
        .filter(|line| line["message"].as_str().is_some_and(|message| MESSAGES.contains(&message)))
        .map(|line| (text(line, "deployment"), text(line, "state")))
        .collect()
}

async fn until_says(device: &Device, id: &str, state: &str, times: usize) {
    let wanted = (id.to_owned(), state.to_owned());
    let what = format!("`{state}` is said {times} times");
    until(&what, async || {
        (said(device).iter().filter(|said| **said == wanted).count() >= times).then_some(())
    })
    .await;
}

/// What the manager knows of the device's memory.
async fn memory(plant: &Plant) -> Option<String> {
    let devices = plant.operator().devices().await.unwrap();
    let capabilities = devices.into_iter().find_map(|device| device.capabilities)?;
    capabilities.document["properties"]["memory"].as_str().map(str::to_owned)
}
