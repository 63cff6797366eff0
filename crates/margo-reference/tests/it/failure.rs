//! A component that fails. What the operator is told has gone through two processes and a socket.

use margo_core::SpecVersion;
use serde_json::json;

use crate::plant::{Device, Plant, Source, states};
use crate::program::until;

/// R-A-023, R-A-036, R-B-039, R-B-040, R-C-012: code, source and message arrive; what comes after the failed
/// component is not begun; the other deployment proceeds; trying again succeeds in the end.
#[tokio::test]
async fn a_component_that_fails_is_told_and_tried_again() {
    let plant = Plant::start().await;
    let runtime =
        "[runtime.fail.measurement-store]\ncode = \"E-DISK\"\nmessage = \"no space is left\"\ntimes = 2\n";
    let mut device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, runtime).await;
    let pumps = plant.deploy_pumps("line-3").await;
    let dashboard = plant.upload("line-dashboard-2.3.0").await;
    let dashboard = plant.deploy(&dashboard, "helm", json!({}), &["line-3"]).await.remove(0);
    device.start();
    plant.until_converged(&pumps).await;
    plant.until_converged(&dashboard).await;

    let document = plant.look_at(&pumps).await.document.unwrap();
    let history = plant.history(&pumps).await;
    let attempt = ["pending", "installing", "failed"];
    let success = ["pending", "installing", "installing", "installed"];
    assert_eq!(states(&history), [&attempt[..], &attempt, &success].concat());
    for failed in history.iter().filter(|report| report.state == "failed") {
        let said = failed.error.as_ref().unwrap();
        assert_eq!((said.code.as_str(), said.message.as_str()), ("E-DISK", "no space is left"));
        // R-C-012: the deployment's own error is from the deployment, that of a component from the component.
        assert!(
            said.source.starts_with("pump-monitor-")
                && document.contains(&format!("  name: {}\n", said.source))
        );
        let [store, analyzer] = &failed.components[..] else { panic!("{failed:?}") };
        let said = store.error.as_ref().unwrap();
        assert_eq!((store.name.as_str(), store.state.as_str()), ("measurement-store", "failed"));
        assert_eq!(
            (said.code.as_str(), said.source.as_str(), said.message.as_str()),
            ("E-DISK", "measurement-store", "no space is left")
        );
        assert_eq!((analyzer.name.as_str(), analyzer.state.as_str()), ("pump-analyzer", "pending"));
    }
    assert_eq!(states(&plant.history(&dashboard).await), ["pending", "installing", "installed"]);
}

/// What keeps failing is tried once for each poll, not more; it can be changed, and deleted.
#[tokio::test]
async fn what_keeps_failing_can_be_deleted() {
    let plant = Plant::start().await;
    let runtime = "[runtime.fail.pump-analyzer]\ncode = \"E-9\"\nmessage = \"no such chart\"\n";
    let mut device = Device::onboard(&plant, "press-7", SpecVersion::PreDraft, Source::Git, runtime).await;
    let id = plant.deploy_pumps("press-7").await;
    device.start();
    let failures = async || {
        let history = plant.history(&id).await;
        history.iter().filter(|report| report.state == "failed").count() as u64
    };
    until("it has failed some times", async || (failures().await >= 4).then_some(())).await;
    // In this order: what fails in between was polled for in between.
    let failures = failures().await;
    let polls = plant.requests("GET", "/git/{repository}/{*path}").await;
    assert!(failures <= polls, "{failures} failures after {polls} polls");

    let failed = plant.until(&id, "it fails again", |deployment| deployment.state == "failed").await;
    let said = failed.error.unwrap();
    assert_eq!((said.code.as_str(), said.message.as_str()), ("E-9", "no such chart"));
    let components: Vec<_> = failed.components.iter().map(|c| (c.name.as_str(), c.state.as_str())).collect();
    assert_eq!(components, [("measurement-store", "installed"), ("pump-analyzer", "failed")]);

    plant.delete(&id).await;
    until("the workload is gone", async || (!device.workload(&id).exists()).then_some(())).await;
    assert_eq!(plant.until_converged(&id).await.state, "removed");
}
