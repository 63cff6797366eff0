//! Reports are not lost, not reordered, and not delivered to a manager that asks to be left alone.

use std::time::Duration;

use margo_agent::{AgentError, Entry, Journal, MemoryJournal, RedbJournal};
use margo_api::{SinkError, SinkErrorKind};
use margo_core::ManifestVersion;
use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};

use crate::world::{World, deployment, unavailable};

/// A report that says its number.
fn report(id: &str, number: u64) -> DeploymentStatusManifest {
    let component = ComponentStatus::new("a".parse().unwrap(), DeploymentState::Installing);
    let version = ManifestVersion::new(number).unwrap();
    DeploymentStatusManifest::of(id.parse().unwrap(), version, vec![component])
}

fn numbers(world: &World) -> Vec<u64> {
    world.lock().reports.iter().map(|report| report.adopted_manifest_version.get()).collect()
}

/// R-B-033, R-A-006, R-B-015.
#[tokio::test]
async fn reports_survive_outages_and_restarts_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let world = World::new();
    for number in 1..=3 {
        let journal = RedbJournal::open(&path).unwrap();
        for part in 0..4 {
            let entry = Entry::Report(report(["x", "y"][part % 2], number * 10 + part as u64));
            journal.write(vec![entry]).await.unwrap();
        }
        // One arrives, the next does not, and the agent is restarted.
        let mut agent = world.agent(journal);
        world.lock().sink_failures.push_back(unavailable(None));
        assert!(matches!(agent.deliver().await, Err(AgentError::Deliver(_))));
        world.lock().sink_failures.clear();
    }
    let mut agent = world.agent(RedbJournal::open(&path).unwrap());
    assert_eq!(agent.deliver().await.unwrap(), 12);
    assert_eq!(numbers(&world), [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33]);
    assert_eq!(agent.deliver().await.unwrap(), 0);
}

#[tokio::test]
async fn what_will_never_be_taken_does_not_hold_up_the_rest() {
    let world = World::new();
    let journal = MemoryJournal::new();
    journal.write((1..=4).map(|number| Entry::Report(report("x", number))).collect()).await.unwrap();
    let mut agent = world.agent(journal.clone());
    for kind in [SinkErrorKind::Unsayable, SinkErrorKind::Rejected] {
        world.lock().sink_failures.push_back(SinkError::new(kind));
    }
    world.lock().sink_failures.push_back(SinkError::new(SinkErrorKind::Unauthorized));
    // Somebody must act first, and then it is delivered.
    assert!(matches!(agent.deliver().await, Err(AgentError::Deliver(_))));
    assert_eq!(journal.reports().len(), 2);
    agent.deliver().await.unwrap();
    assert_eq!(numbers(&world), [3, 4]);
}

async fn queue_more_than_fits(journal: impl Journal) -> Vec<(String, u64)> {
    for number in 1..=30 {
        let id = if number == 5 { "quiet".to_owned() } else { format!("d{}", number % 3) };
        journal.write(vec![Entry::Report(report(&id, number))]).await.unwrap();
    }
    let mut left = Vec::new();
    while let Some(first) = journal.first_report().await.unwrap() {
        left.push((first.status.deployment_id.to_string(), first.status.adopted_manifest_version.get()));
        journal.write(vec![Entry::Delivered(first.number)]).await.unwrap();
    }
    left
}

/// Bounded, and the latest state of every deployment is kept.
#[tokio::test]
async fn a_full_outbox_gives_up_what_newer_reports_replace() {
    let folder = tempfile::tempdir().unwrap();
    let in_file = RedbJournal::open(folder.path().join("agent.redb")).unwrap().with_outbox_limit(10);
    let left = queue_more_than_fits(in_file).await;
    assert_eq!(left, queue_more_than_fits(MemoryJournal::new().with_outbox_limit(10)).await);
    assert!(left.len() <= 10);
    assert!(left.is_sorted_by_key(|(_, number)| *number));
    for latest in [("quiet", 5), ("d1", 28), ("d2", 29), ("d0", 30)] {
        assert!(left.contains(&(latest.0.to_owned(), latest.1)), "{latest:?} is lost from {left:?}");
    }
}

/// R-D-038: `Retry-After`, and delays that grow without it.
#[tokio::test(start_paused = true)]
async fn delivery_honours_what_the_manager_asks_for() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    world.lock().sink_failures.extend([
        unavailable(None),
        unavailable(None),
        unavailable(Some(100)),
        SinkError::new(SinkErrorKind::Unauthorized),
    ]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.run(tokio::time::sleep(Duration::from_secs(500))).await;
    let offers: Vec<_> = world.lock().offers.iter().map(Duration::as_secs).collect();
    // 2, 4, the manager's 100 instead of 8, 16; then one after another.
    assert_eq!(offers, [0, 2, 6, 106, 122, 122, 122]);
    assert_eq!(world.told("d").len(), 3);
}
