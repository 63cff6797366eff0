//! A gateway: the devices behind it are told of, believed to be gone when they are, and spoken for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use margo_agent::{CapabilityFile, MemoryJournal, RedbJournal};
use margo_api::{SinkError, SinkErrorKind};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::world::{World, deployment_for, unavailable};

fn write(folder: &Path, ids: &[&str]) {
    let relay =
        |id: &&str| format!("properties: {{ id: {id}, vendor: A, modelNumber: G, serialNumber: '1' }}\n");
    let text = ids.iter().map(relay).collect::<Vec<_>>().join("---\n");
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("capabilities.yaml")).unwrap();
}

fn file(folder: &TempDir) -> CapabilityFile {
    CapabilityFile::new(folder.path().join("capabilities.yaml")).with_interval(Duration::from_secs(10))
}

async fn seconds(number: u64) {
    sleep(Duration::from_secs(number)).await;
}

/// What the manager was told of devices since the last time this was asked.
fn told(world: &World) -> Vec<String> {
    world.take_log().into_iter().filter(|line| line != "poll").collect()
}

/// R-C-003, R-C-007, R-D-020, R-D-039: a gateway before its children, and after them when they go.
#[tokio::test(start_paused = true)]
async fn children_come_after_their_gateway_and_go_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    write(folder.path(), &["gw", "gw/a/plc", "gw/b", "gw/a"]);
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent
        .run(async {
            seconds(5).await;
            let all = ["capabilities gw", "capabilities gw/b", "capabilities gw/a", "capabilities gw/a/plc"];
            assert_eq!(told(&world), all);
            write(folder.path(), &["gw", "gw/b", "gw/c"]);
            seconds(15).await;
            assert_eq!(told(&world), ["capabilities gw/c", "gone gw/a/plc", "gone gw/a"]);
            write(folder.path(), &["gw", "gw/b", "gw/c", "gw/a"]);
            seconds(15).await;
            assert_eq!(told(&world), ["capabilities gw/a"], "it is back");
        })
        .await;
}

/// R-C-007: what disappeared while the agent was away, or while the manager was, is told all the same.
#[tokio::test(start_paused = true)]
async fn a_device_that_went_while_nobody_listened_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let journal = || {
        // The agent before may have left a reader that has not ended yet.
        let path = folder.path().join("journal.redb");
        let attempts = std::iter::repeat_with(|| RedbJournal::open(&path)).take(1000);
        let opened = attempts.inspect(|_| std::thread::sleep(Duration::from_millis(1))).find_map(Result::ok);
        opened.unwrap()
    };
    write(folder.path(), &["gw", "gw/a", "gw/b"]);
    world.agent(journal()).with_capabilities(file(&folder)).run(seconds(5)).await;
    told(&world);

    write(folder.path(), &["gw"]);
    // The gateway is taken, and then the manager is away.
    let mut agent = world.agent(journal()).with_capabilities(file(&folder));
    agent
        .run(async {
            world.lock().capability_failures.extend([unavailable(None), unavailable(None)]);
            seconds(60).await;
        })
        .await;
    assert_eq!(told(&world), ["capabilities gw", "gone gw/a", "gone gw/b"]);

    drop(agent);
    world.agent(journal()).with_capabilities(file(&folder)).run(seconds(5)).await;
    assert_eq!(told(&world), ["capabilities gw"], "nobody believes in them any more");
}

/// A revision without a word for it (rc.1, pre-draft), or a manager that never knew the device, is not asked again.
#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_told_is_told_once() {
    for kind in [SinkErrorKind::Unsayable, SinkErrorKind::Rejected] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new();
        write(folder.path(), &["gw", "gw/a"]);
        let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
        agent
            .run(async {
                seconds(5).await;
                world.lock().capability_failures.push_back(SinkError::new(kind));
                write(folder.path(), &["gw"]);
                seconds(60).await;
            })
            .await;
        assert_eq!(told(&world), ["capabilities gw", "capabilities gw/a"]);
    }
}

/// R-C-009, R-C-010, R-C-012: code, source and message, in the name of the gateway, and nothing is run.
#[tokio::test(start_paused = true)]
async fn a_gateway_says_what_it_cannot_do() {
    for (target, code) in [("gw/unknown", "101"), ("gw/*", "103")] {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new();
        write(folder.path(), &["gw", "gw/a"]);
        world.desire(1, &[&deployment_for(target, "pump", &["db"], "")]);
        let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
        agent.run(seconds(5)).await;
        assert!(world.running().is_empty());
        let report = world.lock().reports.last().cloned().unwrap();
        let overall = report.status.error.unwrap();
        assert_eq!((overall.code.as_str(), overall.source.as_str()), (code, "gw"), "{target}");
        assert!(!overall.message.is_empty());
        assert_eq!(report.components[0].error, Some(overall));
    }
}

/// R-C-011: a known device behind the gateway is named in every report; a gateway that places itself is asked to.
#[tokio::test(start_paused = true)]
async fn a_gateway_speaks_for_what_is_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    write(folder.path(), &["gw", "gw/a"]);
    world.desire(
        1,
        &[&deployment_for("gw/a", "pump", &["db"], ""), &deployment_for("gw/*", "fan", &["web"], "")],
    );
    let agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent.with_autonomous_placement().run(seconds(5)).await;
    assert_eq!(world.running(), ["fan/web", "pump/db"]);
    for report in &world.lock().reports {
        let expected = if report.deployment_id.as_str() == "pump" { "gw/a" } else { "gw" };
        assert_eq!(report.device_id.as_ref().unwrap().as_str(), expected);
    }
}

/// A device appears, and what waited for it is carried out.
#[tokio::test(start_paused = true)]
async fn what_was_refused_is_done_when_its_device_appears() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    write(folder.path(), &["gw"]);
    world.desire(1, &[&deployment_for("gw/a", "pump", &["db"], "")]);
    let mut agent = world.agent(MemoryJournal::new()).with_capabilities(file(&folder));
    agent
        .run(async {
            seconds(5).await;
            assert!(world.running().is_empty());
            write(folder.path(), &["gw", "gw/a"]);
            seconds(180).await;
        })
        .await;
    assert_eq!(world.running(), ["pump/db"]);
    assert_eq!(world.told("pump").last().unwrap(), "installed: db=installed");
}
