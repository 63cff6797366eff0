//! When the agent polls: by the schedule, after failures, and not in the downtime.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use margo_agent::{AgentError, Backoff, MemoryJournal, Observer, Round, Schedule, Zone};
use margo_api::{SinkError, SourceError, SourceErrorKind};
use margo_status::DeploymentStatusManifest;
use tokio::time::{Instant, sleep};

use crate::world::{Behavior, World, deployment, tell};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

fn unavailable(retry_after: Option<u64>) -> SourceError {
    SourceError::new(SourceErrorKind::Unavailable).with_retry_after(retry_after.map(Duration::from_secs))
}

fn polls(world: &World) -> Vec<u64> {
    world.lock().polls.iter().map(Duration::as_secs).collect()
}

/// A clock on the wall that shows `text` now and runs with tokio's time.
fn clock(text: &str) -> impl Fn() -> Timestamp + Clone + use<> {
    let (start, shown) = (Instant::now(), text.parse::<Timestamp>().unwrap());
    move || shown + start.elapsed()
}

fn schedule(rate: u64, period: &[&str], downtime: &[&str]) -> Schedule {
    let windows = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Schedule::every(Duration::from_secs(rate))
        .with_jitter(0.0)
        .with_windows(windows(period), windows(downtime), Zone::default())
        .unwrap()
}

/// R-A-009: immediately, then at the polling rate; and an agent can be spawned.
#[tokio::test(start_paused = true)]
async fn polls_keep_the_rate() {
    let world = World::new();
    let mut agent = world.agent(MemoryJournal::new());
    let run = tokio::spawn(async move { agent.run(sleep(Duration::from_secs(200))).await });
    run.await.unwrap();
    assert_eq!(polls(&world), [0, 60, 120, 180]);
}

/// R-A-009, R-B-014: polling period.
#[tokio::test(start_paused = true)]
async fn polls_keep_to_the_period() {
    let world = World::new();
    let mut agent = world
        .agent(MemoryJournal::new())
        .with_schedule(schedule(HOUR, &["06:00-08:00"], &[]), clock("2026-11-22T06:30:00Z"));
    agent.run(sleep(Duration::from_secs(25 * HOUR))).await;
    // 06:30, 07:30, then 06:00 and 07:00 of the next day.
    assert_eq!(polls(&world), [0, HOUR, 23 * HOUR + 30 * MINUTE, 24 * HOUR + 30 * MINUTE]);
}

/// R-A-009, R-B-014, MI-018: in the downtime nothing is sent, and no error counts.
#[tokio::test(start_paused = true)]
async fn downtime_is_quiet_and_forgiving() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    // Takes from 11:59:30 into the downtime, which begins at noon, and then the manager is gone.
    world.behave("a", Behavior::Take(Duration::from_mins(1)));
    world.lock().sink_failures.extend((0..2).map(|_| crate::world::unavailable(None)));
    let mut agent = world
        .agent(MemoryJournal::new())
        .with_schedule(schedule(5 * MINUTE, &[], &["12:00-13:00"]), clock("2026-11-22T11:59:30Z"));
    agent.run(sleep(Duration::from_secs(2 * HOUR))).await;
    let begin = 30;
    let end = HOUR + 30;
    assert_eq!(polls(&world)[..3], [0, end, end + 5 * MINUTE]);
    let offers: Vec<_> = world.lock().offers.iter().map(Duration::as_secs).collect();
    // Two attempts before noon, and the rest when it is over.
    assert_eq!(offers, [0, 2, 6, 6, end]);
    assert!(offers.iter().all(|at| *at < begin || *at >= end));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_downtime_does_not_lengthen_the_next_delay() {
    struct Gone(World);
    impl Observer for Gone {
        fn finished(&self, _: Result<&Round, &AgentError>) {
            self.0.lock().is_unreachable = true;
        }
    }
    let world = World::new();
    // The first round begins before noon and fails after it: its error does not count.
    world.behave("a", Behavior::Hang);
    world.desire(1, &[&deployment("d", &["a:1m0s"], "1")]);
    let mut agent = world
        .agent(MemoryJournal::new())
        .with_observer(Gone(world.clone()))
        .with_schedule(schedule(10 * MINUTE, &[], &["12:00-13:00"]), clock("2026-11-22T11:59:30Z"));
    agent.run(sleep(Duration::from_secs(HOUR + 100))).await;
    // The first counted failure is the one after the downtime: 2 seconds, not 4. The hanging component takes a
    // minute each time, because what is at hand is completed without contact.
    assert_eq!(polls(&world), [0, HOUR + 30, HOUR + 30 + 62]);
}

/// Delays grow, are capped, start again after a success, and are never shorter than the manager asks for.
#[tokio::test(start_paused = true)]
async fn failed_polls_back_off() {
    let world = World::new();
    let failures = [None, None, None, None, Some(500), None].map(unavailable);
    world.lock().poll_failures.extend(failures);
    let mut agent = world
        .agent(MemoryJournal::new())
        .with_backoff(Backoff::new(Duration::from_secs(2), Duration::from_secs(10)).with_jitter(0.0));
    agent.run(sleep(Duration::from_mins(10))).await;
    let at = [0, 2, 6, 14, 24, 524, 534];
    assert_eq!(polls(&world), [&at[..], &[594]].concat());
}

/// A deployment that keeps failing is retried with growing delays, and does not delay the next desired state
/// beyond the polling rate.
#[tokio::test(start_paused = true)]
async fn a_failing_deployment_does_not_slow_down_polling() {
    let world = World::new();
    world.behave("a", Behavior::Fail { times: 7 });
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    let mut agent = world.agent(MemoryJournal::new());
    agent.run(sleep(Duration::from_secs(250))).await;
    assert_eq!(polls(&world), [0, 2, 6, 14, 30, 62, 122, 182, 242]);
    assert_eq!(world.told("d").last().unwrap(), "installed: a=installed");
}

/// A device without a battery starts in 1970 and is told the time later.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed() {
    let world = World::new();
    let ahead = Arc::new(AtomicI64::new(0));
    let base = clock("1970-01-01T00:00:00Z");
    let shown = Arc::clone(&ahead);
    let clock = move || base() + SignedDuration::from_secs(shown.load(Ordering::Relaxed));
    let mut agent =
        world.agent(MemoryJournal::new()).with_schedule(schedule(HOUR, &["06:00-22:00"], &[]), clock);
    let set = async {
        sleep(Duration::from_secs(90)).await;
        ahead.store("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap().as_second(), Ordering::Relaxed);
        sleep(Duration::from_mins(5)).await;
    };
    agent.run(set).await;
    assert_eq!(polls(&world), [120]);
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }
}

impl Observer for Notes {
    fn finished(&self, outcome: Result<&Round, &AgentError>) {
        self.add(
            outcome.map_or_else(ToString::to_string, |round| format!("applied {}", round.applied.len())),
        );
    }

    fn changed(&self, status: &DeploymentStatusManifest) {
        self.add(tell(status));
    }

    fn delivered(&self, status: &DeploymentStatusManifest, outcome: Result<(), &SinkError>) {
        let outcome = outcome.map_or_else(ToString::to_string, |()| "delivered".to_owned());
        self.add(format!("{outcome}: {}", status.status.state));
    }
}

#[tokio::test]
async fn an_observer_sees_what_happens() {
    let world = World::new();
    world.desire(1, &[&deployment("d", &["a"], "1")]);
    world.lock().poll_failures.push_back(unavailable(None));
    world.lock().sink_failures.push_back(crate::world::unavailable(None));
    let notes = Arc::new(Notes::default());
    let mut agent = world.agent(MemoryJournal::new()).with_observer(Arc::clone(&notes));
    agent.reconcile().await.unwrap_err();
    agent.reconcile().await.unwrap();
    agent.deliver().await.unwrap_err();
    agent.deliver().await.unwrap();
    let expected = [
        "could not poll for the desired state",
        "pending: a=pending",
        "installing: a=installing",
        "installed: a=installed",
        "applied 1",
        "the manager is unreachable: pending",
        "delivered: pending",
        "delivered: installing",
        "delivered: installed",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}
