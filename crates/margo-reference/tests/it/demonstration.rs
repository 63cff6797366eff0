//! The README's first command. It is made of processes, and ends well only if they agree.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::plant::fixtures;
use crate::program::{DEMO, Program, until};

/// It waits for a dozen things, one after the other, while other tests run beside it.
const PATIENCE: Duration = Duration::from_mins(4);

/// What happens: what, where, over which revision and transport, and what is seen of it in the end.
const EXPECTED: [(&str, &str, (&str, &str), &str); 17] = [
    ("deployed pump-monitor 1.0.0", "line-3", RC3, "installed"),
    ("deployed pump-monitor 1.0.0", "pack-5", RC2, "installed"),
    ("deployed pump-monitor 1.0.0", "press-7", PRE_DRAFT, "installed"),
    ("deployed line-dashboard 2.3.0", "line-3", RC3, "installed"),
    ("deployed line-dashboard 2.3.0", "pack-5", RC2, "installed"),
    ("deployed line-dashboard 2.3.0", "press-7", PRE_DRAFT, "installed"),
    ("updated pump-monitor 1.1.0", "line-3", RC3, "installed"),
    ("updated pump-monitor 1.1.0", "pack-5", RC2, "installed"),
    ("updated pump-monitor 1.1.0", "press-7", PRE_DRAFT, "installed"),
    ("reconfigured line-dashboard 2.3.0", "press-7", PRE_DRAFT, "installed"),
    ("memory added", "line-3", RC3, "16Gi"),
    ("deleted line-dashboard 2.3.0", "line-3", RC3, "removed"),
    ("deleted line-dashboard 2.3.0", "pack-5", RC2, "removed"),
    ("deleted line-dashboard 2.3.0", "press-7", PRE_DRAFT, "removed"),
    ("deleted pump-monitor 1.1.0", "line-3", RC3, "removed"),
    ("deleted pump-monitor 1.1.0", "pack-5", RC2, "removed"),
    ("deleted pump-monitor 1.1.0", "press-7", PRE_DRAFT, "removed"),
];

const RC3: (&str, &str) = ("1.0.0-rc.3", "rest, mutual TLS");
const RC2: (&str, &str) = ("1.0.0-rc.2", "rest, signatures");
const PRE_DRAFT: (&str, &str) = ("pre-draft", "git, tokens");

/// R-A-003, R-A-005, R-B-032, R-B-033, R-D-020: devices of different ages carry out what the operator wants, and say
/// so; a killed manager is where it was.
#[tokio::test]
async fn everything_desired_is_what_the_devices_run() {
    let folder = tempfile::tempdir().unwrap();
    let (fixtures, kept) = (fixtures(), folder.path().join("kept"));
    let arguments = ["--json", "--fixtures", fixtures.to_str().unwrap(), "--keep", kept.to_str().unwrap()];
    let mut demo = Program::start(DEMO, "demonstration", folder.path(), &arguments);
    let status = demo.ended_within(PATIENCE).await;
    let (out, log) = (demo.out(), demo.log());
    assert!(status.success(), "{status}\n{out}\n{log}");
    assert_eq!(log, "");

    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.is_sorted_by(|a, b| a["at"].as_f64().unwrap() <= b["at"].as_f64().unwrap()), "{out}");
    let titles = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!((titles("step"), titles("finished")), (10, 1), "{out}");
    let refused: Vec<_> = lines.iter().filter_map(|line| line["note"].as_str()).collect();
    for parameter in ["values.siteId", "values.pollInterval", "values.vibrationLimit"] {
        assert!(refused.iter().any(|note| note.starts_with(parameter)), "{parameter}: {out}");
    }

    let finished = lines.last().unwrap();
    assert_eq!(finished["event"], "finished");
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    let happened = finished["happened"].as_array().unwrap();
    let rows: BTreeSet<_> = happened
        .iter()
        .map(|row| ["what", "device", "revision", "over", "seen"].map(|member| text(row, member)))
        .collect();
    let expected: BTreeSet<_> =
        EXPECTED.into_iter().map(|(a, b, (c, d), e)| [a, b, c, d, e].map(str::to_owned)).collect();
    assert_eq!(rows, expected);
    assert_eq!(happened.len(), EXPECTED.len());

    // What was shown last of each deployment is that it is gone.
    let shown = || lines.iter().filter(|line| line["event"] == "state");
    let ids: BTreeSet<_> = shown().map(|line| text(line, "deploymentId")).collect();
    assert_eq!(ids.len(), 6);
    for id in ids {
        let last = shown().rfind(|line| line["deploymentId"] == *id).unwrap();
        assert!(last["state"] == "removed" && last["converged"] == true, "{last}");
    }
}

/// A demonstration that cannot go on says why, and does not end well.
#[tokio::test]
async fn what_goes_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    let arguments = ["--json", "--fixtures", nothing.to_str().unwrap()];
    let mut demo = Program::start(DEMO, "demonstration", folder.path(), &arguments);
    assert_eq!(demo.ended().await.code(), Some(1));
    let log = demo.log();
    assert!(
        log.contains("error: the demonstration failed") && log.contains("the fixtures of `line-3`"),
        "{log}"
    );
    assert!(!demo.out().contains("\"finished\""));
}

/// Whoever ends the demonstration ends its processes with it.
#[tokio::test]
async fn nothing_is_left_running_when_it_is_asked_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (fixtures, kept) = (fixtures(), folder.path().join("kept"));
    let arguments = ["--json", "--fixtures", fixtures.to_str().unwrap(), "--keep", kept.to_str().unwrap()];
    let mut demo = Program::start(DEMO, "demonstration", folder.path(), &arguments);
    until("a device says something", async || {
        std::fs::read_to_string(kept.join("line-3.log")).ok().filter(|log| log.contains("started"))
    })
    .await;
    assert_eq!(demo.terminate().await.code(), Some(1));
    assert!(demo.log().contains("asked to end"), "{}", demo.log());
    // A lock is held for as long as its process lives.
    for data in ["manager", "line-3/data"] {
        let lock = std::fs::File::open(kept.join(data).join("lock")).unwrap();
        until("the process is gone", async || lock.try_lock().ok()).await;
    }
}
