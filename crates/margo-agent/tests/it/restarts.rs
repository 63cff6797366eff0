//! Power cuts: at every point where an agent can be interrupted, and with the file it remembers in.

use std::os::unix::fs::PermissionsExt as _;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use margo_agent::{
    Entry, Journal, JournalError, JournalState, MemoryJournal, Progress, QueuedReport, RedbJournal,
};
use margo_core::{DeploymentId, Document};
use margo_deployment::ApplicationDeployment;
use tokio::task::yield_now;

use crate::world::{Behavior, World, deployment};

/// A journal one can be interrupted in, before and after every write.
#[derive(Clone)]
struct Interruptible(MemoryJournal);

impl Journal for Interruptible {
    async fn read(&self) -> Result<JournalState, JournalError> {
        yield_now().await;
        self.0.read().await
    }

    async fn document(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<Document<ApplicationDeployment>>, JournalError> {
        yield_now().await;
        self.0.document(id).await
    }

    async fn first_report(&self) -> Result<Option<QueuedReport>, JournalError> {
        yield_now().await;
        self.0.first_report().await
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        yield_now().await;
        self.0.write(entries).await?;
        yield_now().await;
        Ok(())
    }
}

/// Runs `work` until it has been interrupted `times` times, then drops it. Whether it completed.
async fn interrupted_after(times: usize, work: impl Future) -> bool {
    let mut work = pin!(work);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        if polls > times {
            return Poll::Ready(false);
        }
        polls += 1;
        work.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// R-B-029: whatever the moment of the power cut, the next start completes the work, the manifest is adopted only
/// when everything is in force, and every deployment's last report tells the truth.
#[tokio::test]
async fn power_may_be_cut_at_every_moment() {
    let first = [
        deployment("update", &["a", "b"], "1"),
        deployment("gone", &["a", "b"], "1"),
        deployment("kept", &["a"], "1"),
    ];
    let second =
        [deployment("update", &["a", "c!"], "2"), deployment("new", &["a!", "b"], "1"), first[2].clone()];

    for times in 0.. {
        let world = World::new();
        let journal = Interruptible(MemoryJournal::new());
        world.desire(1, &first.each_ref());
        world.agent(journal.clone()).reconcile().await.unwrap();
        world.desire(2, &second.each_ref());

        let mut agent = world.agent(journal.clone());
        let completed = interrupted_after(times, async {
            agent.reconcile().await.unwrap();
            agent.deliver().await.unwrap();
        })
        .await;
        drop(agent);

        let state = journal.0.read().await.unwrap();
        let version = state.adopted.unwrap().version.get();
        if version == 2 {
            assert!(second.iter().all(|it| world.runs(it)), "adopted too early, after {times}");
        }
        // A deployment that is not as it was, or as it shall be, is marked.
        for it in first.iter().chain(&second) {
            let marked = state.deployments.get(&it.id).map(|record| (record.progress, record.digest));
            if marked == Some((Progress::Applied, it.digest())) {
                assert!(world.runs(it), "`{}` is not marked, after {times}", it.id);
            }
        }

        let mut agent = world.agent(journal.clone());
        agent.reconcile().await.unwrap();
        agent.deliver().await.unwrap();
        assert_eq!(world.running(), ["kept/a", "new/a", "new/b", "update/a", "update/c"], "after {times}");
        assert!(second.iter().all(|it| world.runs(it)), "after {times}");
        assert_eq!(journal.0.read().await.unwrap().adopted.unwrap().version.get(), 2);
        for (id, last) in [
            ("update", "installed: a=installed c=installed"),
            ("new", "installed: a=installed b=installed"),
            ("gone", "removed: a=removed b=removed"),
            ("kept", "installed: a=installed"),
        ] {
            assert_eq!(world.told(id).last().map(String::as_str), Some(last), "after {times}");
        }
        // What was never in question was left alone.
        assert_eq!(
            world.take_log().iter().filter(|entry| *entry == "apply kept/a").count(),
            1,
            "after {times}"
        );
        assert!(agent.reconcile().await.unwrap().is_quiet());
        if completed {
            // A round has many more moments than steps.
            assert!(times > 40, "only {times} interruptions");
            break;
        }
    }
}

/// The same with the file: closed in the middle of a component, and opened again.
#[tokio::test(start_paused = true)]
async fn the_file_remembers_what_was_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let (old, new) = (deployment("d", &["a", "b"], "1"), deployment("d", &["a", "c"], "2"));
    let world = World::new();
    world.desire(1, &[&old]);
    world.agent(RedbJournal::open(&path).unwrap()).reconcile().await.unwrap();

    world.desire(2, &[&new]);
    for component in ["a", "c"] {
        world.behave(component, Behavior::Hang);
        let mut agent = world.agent(RedbJournal::open(&path).unwrap());
        // No time passes while anything else happens.
        tokio::time::timeout(Duration::from_secs(1), agent.reconcile()).await.unwrap_err();
        drop(agent);
        let journal = RedbJournal::open(&path).unwrap();
        let state = journal.read().await.unwrap();
        assert_eq!((state.adopted.unwrap().version.get(), state.attempted.unwrap().version.get()), (1, 2));
        let record = &state.deployments["d"];
        assert_eq!((record.progress, record.digest), (Progress::Applying, new.digest()));
        // Everything that may be there, so that nothing is forgotten.
        assert_eq!(record.components, ["a", "c", "b"].map(|name| name.parse().unwrap()));
        world.lock().behaviors.clear();
    }

    // Without contact: everything needed is in the file.
    world.lock().is_unreachable = true;
    let mut agent = world.agent(RedbJournal::open(&path).unwrap());
    agent.reconcile().await.unwrap_err();
    assert!(world.runs(&new));
    world.lock().is_unreachable = false;
    // The manifest is unchanged for a device that has adopted it, and it has.
    assert!(agent.reconcile().await.unwrap().is_quiet());
    agent.deliver().await.unwrap();
    assert_eq!(world.told("d").last().unwrap(), "installed: a=installed c=installed");
    let told: Vec<_> = world.told("d");
    assert_eq!(told[..2], ["pending: a=pending b=pending", "installing: a=installing b=pending"]);
}

#[tokio::test]
async fn the_file_gives_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let world = World::new();
    let wanted = deployment("d", &["a:0m30s", "b!"], "with äöü");
    world.desire(u64::MAX, &[&wanted]);
    let in_memory = MemoryJournal::new();
    world.agent(in_memory.clone()).reconcile().await.unwrap();
    world.lock().device.clear();
    let in_file = RedbJournal::open(&path).unwrap();
    world.agent(in_file.clone()).reconcile().await.unwrap();
    assert!(RedbJournal::open(&path).is_err(), "one process at a time");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(in_file);

    let in_file = RedbJournal::open(&path).unwrap();
    assert_eq!(in_file.read().await.unwrap(), in_memory.read().await.unwrap());
    let id = "d".parse().unwrap();
    assert_eq!(in_file.document(&id).await.unwrap().as_ref(), Some(&wanted));
    assert_eq!(in_file.first_report().await.unwrap(), in_memory.first_report().await.unwrap());
    in_file.write(vec![Entry::Forget(id.clone()), Entry::Delivered(0)]).await.unwrap();
    in_memory.write(vec![Entry::Forget(id.clone()), Entry::Delivered(0)]).await.unwrap();
    assert_eq!(in_file.read().await.unwrap(), in_memory.read().await.unwrap());
    assert_eq!(in_file.document(&id).await.unwrap(), None);
    assert_eq!(in_file.first_report().await.unwrap(), in_memory.first_report().await.unwrap());
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    std::fs::write(&path, "not a database, and long enough to be looked at").unwrap();
    let error = RedbJournal::open(&path).unwrap_err();
    assert_eq!(error.to_string(), "the journal could not be opened");
    assert!(std::error::Error::source(&error).is_some());
    assert!(RedbJournal::open(folder.path().join("missing/agent.redb")).is_err());
}
