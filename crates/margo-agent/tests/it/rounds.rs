//! One round: what happens in which order, and what is told of it.

use std::time::Duration;

use margo_agent::{AgentError, Journal, MemoryJournal, Progress};
use margo_api::{SourceError, SourceErrorKind};
use margo_core::{DeviceId, ManifestVersion};
use tokio::time::Instant;

use crate::world::{Behavior, World, deployment};

/// R-A-020 to R-A-024, R-A-036, R-B-033, R-B-039, R-B-040.
#[tokio::test]
async fn a_deployment_is_installed_in_order_and_told_step_by_step() {
    let world = World::new();
    world.desire(3, &[&deployment("d", &["a", "b"], "1")]);
    let journal = MemoryJournal::new();
    let mut agent = world.agent(journal.clone());

    let round = agent.reconcile().await.unwrap();
    assert_eq!(round.applied, ["d".parse().unwrap()]);
    assert_eq!(round.adopted.unwrap().version.get(), 3);
    assert_eq!(
        world.take_log(),
        ["poll", "fetch d", "prepare d", "apply d/a", "done d/a", "apply d/b", "done d/b"]
    );
    assert_eq!(agent.deliver().await.unwrap(), 4);
    assert_eq!(
        world.told("d"),
        [
            "pending: a=pending b=pending",
            "installing: a=installing b=pending",
            "installing: a=installed b=installing",
            "installed: a=installed b=installed",
        ]
    );
    // R-D-026, R-C-011.
    for report in &world.lock().reports {
        assert_eq!(report.adopted_manifest_version, ManifestVersion::new(3).unwrap());
        assert_eq!(report.device_id, Some("gateway-1/plc-7".parse::<DeviceId>().unwrap()));
        assert!(report.components_agree());
    }

    // R-B-035: nothing moves as long as nothing changes.
    assert!(agent.reconcile().await.unwrap().is_quiet());
    assert_eq!(world.take_log(), ["poll"]);
    assert!(journal.reports().is_empty());
}

/// R-A-037: the next one waits, or does not.
#[tokio::test(start_paused = true)]
async fn a_component_is_waited_for_unless_it_says_otherwise() {
    let world = World::new();
    world.behave("a", Behavior::Take(Duration::from_secs(10)));
    world.desire(1, &[&deployment("d", &["a", "b"], "1")]);
    world.agent(MemoryJournal::new()).reconcile().await.unwrap();
    assert_eq!(world.take_log()[3..], ["apply d/a", "done d/a", "apply d/b", "done d/b"]);

    let world = World::new();
    world.behave("a", Behavior::Take(Duration::from_secs(10)));
    world.desire(1, &[&deployment("d", &["a!", "b", "c"], "1")]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    assert_eq!(
        world.take_log()[3..],
        ["apply d/a", "apply d/b", "done d/b", "apply d/c", "done d/c", "done d/a"]
    );
    agent.deliver().await.unwrap();
    assert_eq!(
        world.told("d"),
        [
            "pending: a=pending b=pending c=pending",
            "installing: a=installing b=pending c=pending",
            "installing: a=installing b=installing c=pending",
            "installing: a=installing b=installed c=installing",
            "installing: a=installing b=installed c=installed",
            "installed: a=installed b=installed c=installed",
        ]
    );
}

/// R-A-038.
#[tokio::test(start_paused = true)]
async fn a_component_that_takes_too_long_has_failed() {
    let world = World::new();
    world.behave("a", Behavior::Hang);
    world.desire(1, &[&deployment("d", &["a:1m30s", "b"], "1")]);
    let mut agent = world.agent(MemoryJournal::new());
    let start = Instant::now();
    assert!(matches!(agent.reconcile().await, Err(AgentError::Deployments { .. })));
    assert_eq!(start.elapsed(), Duration::from_secs(90));
    assert_eq!(world.take_log()[3..], ["apply d/a", "dropped d/a"]);
    agent.deliver().await.unwrap();
    assert_eq!(world.told("d").last().unwrap(), "failed(timeout): a=failed(timeout) b=pending");
    let error = world.lock().reports.last().unwrap().components[0].error.clone().unwrap();
    assert_eq!(error.message, "not in place within 1m30s");
}

/// R-A-023, R-C-012, rev-C 2.4; and one deployment does not stop the others.
#[tokio::test]
async fn a_failure_is_told_and_stays_alone() {
    let world = World::new();
    world.behave("bad/b", Behavior::Fail { times: 1 });
    let (bad, good) = (deployment("bad", &["a", "b", "c"], "1"), deployment("good", &["b"], "1"));
    world.desire(1, &[&bad, &good]);
    let journal = MemoryJournal::new();
    let mut agent = world.agent(journal.clone());

    let Err(AgentError::Deployments { failed, .. }) = agent.reconcile().await else { panic!("must fail") };
    assert_eq!(failed, ["bad".parse().unwrap()]);
    assert!(world.runs(&good));
    assert_eq!(world.running(), ["bad/a", "good/b"]);
    // R-B-029: the round did not succeed.
    assert_eq!(journal.read().await.unwrap().adopted, None);
    agent.deliver().await.unwrap();
    assert_eq!(world.told("bad").last().unwrap(), "failed(E42): a=installed b=failed(E42) c=pending");
    assert_eq!(world.told("good").last().unwrap(), "installed: b=installed");
    {
        let inner = world.lock();
        let report = inner.reports.iter().rfind(|report| report.deployment_id.as_str() == "bad").unwrap();
        let (overall, component) =
            (report.status.error.as_ref().unwrap(), report.components[1].error.as_ref().unwrap());
        assert_eq!((overall.source.as_str(), overall.message.as_str()), ("bad-name", "image not found"));
        assert_eq!((component.source.as_str(), component.message.as_str()), ("b", "image not found"));
    }

    // Only what is not in force is tried again, from what is at hand.
    world.take_log();
    let round = agent.reconcile().await.unwrap();
    assert_eq!(round.applied, ["bad".parse().unwrap()]);
    assert_eq!(
        world.take_log(),
        [
            "poll",
            "prepare bad",
            "apply bad/a",
            "done bad/a",
            "apply bad/b",
            "done bad/b",
            "apply bad/c",
            "done bad/c"
        ]
    );
    assert_eq!(journal.read().await.unwrap().adopted, round.adopted);
    assert!(round.adopted.is_some());
}

/// The issue: verifies every digest and stages every byte before the first change. R-B-027, R-B-031.
#[tokio::test]
async fn nothing_changes_before_everything_has_arrived() {
    let world = World::new();
    let (old, kept) = (deployment("old", &["a"], "1"), deployment("kept", &["a"], "1"));
    world.desire(1, &[&old, &kept]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    world.take_log();

    // `old` is to go, `kept` to change, `new` to come; `new` cannot be had.
    let (changed, new) = (deployment("kept", &["a"], "2"), deployment("new", &["a"], "1"));
    world.desire(2, &[&changed, &new]);
    world.lock().documents.remove(&new.digest());
    let error = agent.reconcile().await.unwrap_err();
    assert!(matches!(&error, AgentError::Fetch(source) if source.kind() == SourceErrorKind::NotFound));
    assert_eq!(world.take_log(), ["poll", "fetch kept", "fetch new"]);
    assert!(world.runs(&old) && world.runs(&kept));

    // It arrives, and is something else: a source that does not verify is not believed.
    for wrong in [deployment("new", &["a"], "other"), deployment("another", &["a"], "1")] {
        world.lock().documents.insert(new.digest(), wrong);
        let error = agent.reconcile().await.unwrap_err();
        assert!(matches!(&error, AgentError::Fetch(source) if source.kind() == SourceErrorKind::Corrupt));
        assert_eq!(world.take_log(), ["poll", "fetch kept", "fetch new"]);
        assert!(world.runs(&old) && world.runs(&kept));
    }

    world.desire(2, &[&changed, &new]);
    agent.reconcile().await.unwrap();
    assert_eq!(
        world.take_log(),
        [
            "poll",
            "fetch kept",
            "fetch new",
            "prepare kept",
            "prepare new",
            "remove old/a",
            "apply kept/a",
            "done kept/a",
            "apply new/a",
            "done new/a"
        ]
    );
    assert!(world.runs(&changed) && world.runs(&new));
}

/// The document of another deployment is not taken for the right one, even with the right digest.
#[tokio::test]
async fn a_document_that_names_another_deployment_is_refused() {
    let world = World::new();
    let stranger = deployment("stranger", &["a"], "1");
    world.desire(1, &[&stranger]);
    {
        let mut inner = world.lock();
        let mut manifest = inner.manifest.take().unwrap().into_value();
        manifest.deployments[0].deployment_id = "d".parse().unwrap();
        let bytes = manifest.to_json().unwrap();
        inner.manifest = Some(margo_core::Document::decode(bytes, |_| Ok::<_, ()>(manifest)).unwrap());
    }
    let error = world.agent(MemoryJournal::new()).reconcile().await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap().to_string();
    assert_eq!(cause, "the document of `d` says it is `stranger`");
    assert!(world.running().is_empty());
}

#[tokio::test]
async fn a_deployment_that_cannot_be_prepared_leaves_the_old_one_running() {
    let world = World::new();
    let old = deployment("d", &["a"], "1");
    world.desire(1, &[&old]);
    let journal = MemoryJournal::new();
    let mut agent = world.agent(journal.clone());
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    world.lock().reports.clear();
    world.take_log();

    world.behave("bad", Behavior::FailToPrepare);
    let other = deployment("e", &["a"], "1");
    world.desire(2, &[&deployment("d", &["a", "bad"], "2"), &other]);
    assert!(matches!(agent.reconcile().await, Err(AgentError::Deployments { .. })));
    assert_eq!(
        world.take_log(),
        ["poll", "fetch d", "fetch e", "prepare d", "prepare e", "apply e/a", "done e/a"]
    );
    assert!(world.runs(&old) && world.runs(&other));
    agent.deliver().await.unwrap();
    assert_eq!(
        world.told("d"),
        ["pending: a=pending bad=pending", "failed(E9): a=failed(E9) bad=failed(E9)"]
    );
    assert_eq!(journal.read().await.unwrap().adopted.unwrap().version.get(), 1);
}

/// Components no longer listed go after the new ones are in place.
#[tokio::test]
async fn an_update_removes_what_is_no_longer_part_of_it_last() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a", "b"], "1")]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    world.lock().reports.clear();
    world.take_log();

    let new = deployment("d", &["b", "c"], "2");
    world.desire(2, &[&new]);
    agent.reconcile().await.unwrap();
    assert_eq!(
        world.take_log(),
        ["poll", "fetch d", "prepare d", "apply d/b", "done d/b", "apply d/c", "done d/c", "remove d/a"]
    );
    assert!(world.runs(&new));
    agent.deliver().await.unwrap();
    assert_eq!(
        world.told("d"),
        [
            "pending: b=pending c=pending",
            "installing: b=installing c=pending",
            "installing: b=installed c=installing",
            "installed: b=installed c=installed",
        ]
    );
}

#[tokio::test]
async fn a_component_that_will_not_go_keeps_the_update_open() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    world.behave("a", Behavior::FailToRemove { times: 1 });
    let new = deployment("d", &["b"], "2");
    world.desire(2, &[&new]);
    assert!(agent.reconcile().await.is_err());
    agent.deliver().await.unwrap();
    assert_eq!(world.told("d").last().unwrap(), "failed(E7): b=installed a=failed(E7)");
    agent.reconcile().await.unwrap();
    assert!(world.runs(&new));
    agent.deliver().await.unwrap();
    assert_eq!(world.told("d").last().unwrap(), "installed: b=installed");
}

/// R-B-032: what is absent from the manifest goes.
#[tokio::test]
async fn a_removal_is_told_component_by_component() {
    let world = World::new();
    let kept = deployment("kept", &["a"], "1");
    world.desire(1, &[&deployment("d", &["a", "b"], "1"), &kept]);
    let journal = MemoryJournal::new();
    let mut agent = world.agent(journal.clone());
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    world.lock().reports.clear();
    world.take_log();

    world.behave("a", Behavior::FailToRemove { times: 1 });
    world.desire(2, &[&kept]);
    assert!(matches!(agent.reconcile().await, Err(AgentError::Deployments { .. })));
    assert_eq!(world.take_log(), ["poll", "remove d/b", "remove d/a"]);
    let record = journal.read().await.unwrap().deployments["d"].clone();
    assert_eq!(record.progress, Progress::Removing);
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    assert_eq!(
        world.told("d"),
        [
            "removing: a=removing b=removing",
            "removing: a=removing b=removed",
            "failed(E7): a=failed(E7) b=removed",
            "removing: a=removing b=removing",
            "removing: a=removing b=removed",
            "removed: a=removed b=removed",
        ]
    );
    {
        let inner = world.lock();
        assert_eq!(inner.reports[2].status.error.as_ref().unwrap().source, "d-name");
        assert!(inner.reports.iter().all(|report| report.adopted_manifest_version.get() == 2));
    }
    assert_eq!(world.running(), ["kept/a"]);
    assert!(!journal.read().await.unwrap().deployments.contains_key("d"));
    assert_eq!(journal.document(&"d".parse().unwrap()).await.unwrap(), None);
}

/// A workload nobody remembers was this runtime's own, and is not in the manifest.
#[tokio::test]
async fn what_nobody_remembers_is_removed() {
    let world = World::new();
    world.lock().device.insert(("lost".parse().unwrap(), "a".parse().unwrap()), None);
    world.desire(1, &[]);
    let mut agent = world.agent(MemoryJournal::new());
    let round = agent.reconcile().await.unwrap();
    assert_eq!(round.removed, ["lost".parse().unwrap()]);
    assert!(world.running().is_empty());
    agent.deliver().await.unwrap();
    assert_eq!(world.told("lost"), ["removing: a=removing", "removed: a=removed"]);
}

#[tokio::test]
async fn what_disappeared_comes_back_without_being_fetched() {
    let world = World::new();
    let wanted = deployment("d", &["a", "b"], "1");
    world.desire(1, &[&wanted]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    world.take_log();
    let lose = || world.lock().device.remove(&("d".parse().unwrap(), "b".parse().unwrap()));

    lose();
    assert_eq!(agent.reconcile().await.unwrap().applied, ["d".parse().unwrap()]);
    assert_eq!(world.take_log(), ["poll", "prepare d", "apply d/a", "done d/a", "apply d/b", "done d/b"]);
    assert!(world.runs(&wanted));

    // R-A-006: even while the manager cannot be reached.
    lose();
    world.lock().is_unreachable = true;
    assert!(matches!(agent.reconcile().await, Err(AgentError::Poll(_))));
    assert!(world.runs(&wanted));
}

/// What is not at hand needs contact; until then, what runs is left as it is.
#[tokio::test]
async fn without_contact_nothing_is_begun_that_cannot_be_finished() {
    let world = World::new();
    let old = deployment("old", &["a"], "1");
    world.desire(1, &[&old]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();

    let new = deployment("new", &["a"], "1");
    world.desire(2, &[&new]);
    world.lock().documents.remove(&new.digest());
    agent.reconcile().await.unwrap_err();
    world.desire(2, &[&new]);
    world.lock().is_unreachable = true;
    world.take_log();
    assert!(matches!(agent.reconcile().await, Err(AgentError::Poll(_))));
    assert_eq!(world.take_log(), ["poll"]);
    assert!(world.runs(&old));
    world.lock().is_unreachable = false;
    agent.reconcile().await.unwrap();
    assert!(world.runs(&new) && !world.runs(&old));
}

#[tokio::test]
async fn a_runtime_that_cannot_see_changes_nothing() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    world.lock().present_fails = true;
    let mut agent = world.agent(MemoryJournal::new());
    assert!(matches!(agent.reconcile().await, Err(AgentError::Present(_))));
    assert_eq!(world.take_log(), ["poll"]);
    world.lock().present_fails = false;
    assert_eq!(agent.reconcile().await.unwrap().applied.len(), 1);
}

/// R-A-023: while nothing can be done, that is told of what is to be changed: once, and of nothing else.
#[tokio::test]
async fn a_runtime_that_cannot_see_is_told_of() {
    let world = World::new();
    let (kept, gone) = (deployment("kept", &["a"], "1"), deployment("gone", &["a"], "1"));
    world.desire(1, &[&kept, &gone]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    let before = ["kept", "gone"].map(|id| world.told(id).len());

    world.desire(2, &[&kept, &deployment("new", &["a"], "1")]);
    world.lock().present_fails = true;
    for _ in 0..3 {
        assert!(matches!(agent.reconcile().await, Err(AgentError::Present(_))));
        agent.deliver().await.unwrap();
    }
    assert_eq!(world.told("kept").len(), before[0]);
    assert_eq!(world.told("gone")[before[1]..], ["failed(E0): a=failed(E0)"]);
    assert_eq!(world.told("new"), ["failed(E0):"]);
    let error = world.lock().reports.last().unwrap().status.error.clone().unwrap();
    let said = [&error.code, &error.source, &error.message].map(|text| text.as_str().to_owned());
    assert_eq!(said, ["E0", "new", "the engine does not answer"]);

    world.lock().present_fails = false;
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap();
    assert_eq!(world.told("kept").len(), before[0]);
    assert_eq!(world.told("gone").last().unwrap(), "removed: a=removed");
    assert_eq!(world.told("new").last().unwrap(), "installed: a=installed");
}

/// R-B-030.
#[tokio::test]
async fn a_manifest_that_goes_back_is_refused_and_changes_nothing() {
    let world = World::new();
    let (first, second) = (deployment("d", &["a"], "1"), deployment("d", &["a"], "2"));
    world.desire(4, &[&first]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    world.desire(5, &[&second]);
    agent.reconcile().await.unwrap();
    world.take_log();
    for version in [4, 5, 1] {
        world.desire(version, &[&first]);
        assert!(matches!(agent.reconcile().await, Err(AgentError::Refused(_))), "{version}");
        assert!(world.runs(&second));
        assert_eq!(world.take_log(), ["poll"]);
    }
    world.desire(6, &[&first]);
    agent.reconcile().await.unwrap();
    assert!(world.runs(&first));
}

/// A manager without `304` sends what is held already: nothing is offered, so nothing is refused.
#[tokio::test]
async fn the_manifest_already_held_is_unchanged() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    world.lock().never_unchanged = true;
    let mut agent = world.agent(MemoryJournal::new());
    agent.reconcile().await.unwrap();
    assert!(agent.reconcile().await.unwrap().is_quiet());
}

#[tokio::test]
async fn a_failed_poll_says_when_to_come_back() {
    let world = World::new();
    let busy = SourceError::new(SourceErrorKind::Unavailable).with_retry_after(Some(Duration::from_secs(17)));
    world.lock().poll_failures.push_back(busy);
    let error = world.agent(MemoryJournal::new()).reconcile().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
}
