//! Verbs that go on until something happens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use margo_cli::command::{EXIT_DONE, EXIT_REFUSED};
use serde_json::{Value, json};

use crate::fake::{Fake, deployment, pending, said};

const DEPLOYMENTS: &str = "GET /operator/v1/deployments";

fn reported(state: &str) -> Value {
    json!({
        "type": "status-reported", "at": "2026-03-02T08:00:09.5Z", "clientId": "c-1", "deploymentId": "a",
        "state": state,
    })
}

fn start(fake: &Fake, args: &[&str]) -> Child {
    fake.margo(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn stand(fake: &Fake, deployments: &[Value]) {
    fake.answer(DEPLOYMENTS, 200, &json!({ "deployments": deployments }));
}

#[test]
fn waiting_ends_when_all_is_as_desired() {
    let fake = Fake::start();
    stand(&fake, &[pending("a"), deployment("b", &json!({}))]);
    let waiting = start(&fake, &["wait"]);
    // It has looked, and found it not so.
    fake.await_asked(DEPLOYMENTS, 1);
    stand(&fake, &[deployment("a", &json!({})), deployment("b", &json!({}))]);
    fake.say(&reported("installed"));
    let said = said(waiting.wait_with_output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(EXIT_DONE.into()), ""));
    assert!(said.err.ends_with("all 2 deployments are as desired\n"), "{said:?}");
}

#[test]
fn waiting_ends_when_one_has_failed() {
    let fake = Fake::start();
    let error = json!({"code": "E-CHART", "source": "helm", "message": "chart not found"});
    let failed = json!({
        "state": "failed", "converged": false, "error": error,
        "components": [{"name": "pump-analyzer", "state": "failed", "error": error}],
    });
    stand(&fake, &[pending("a"), deployment("b", &failed), deployment("c", &json!({}))]);
    let said = fake.run(&["wait"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(EXIT_REFUSED.into()), "error: 1 of 3 deployments failed\n")
    );
    insta::assert_snapshot!("not_as_desired", said.out);
}

/// What has failed before the change says nothing about the change.
#[test]
fn waiting_goes_on_when_the_failure_is_older_than_the_change() {
    let fake = Fake::start();
    let failed = json!({"state": "failed", "converged": false, "changedAt": "2026-03-02T09:00:00Z"});
    stand(&fake, &[deployment("a", &failed)]);
    let waiting = start(&fake, &["wait", "a"]);
    fake.await_asked(DEPLOYMENTS, 1);
    stand(&fake, &[deployment("a", &json!({}))]);
    fake.say(&reported("installed"));
    assert_eq!(said(waiting.wait_with_output().unwrap()).code, Some(EXIT_DONE.into()));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let fake = Fake::start();
    stand(&fake, &[pending("a")]);
    let said = fake.run(&["wait", "--timeout", "0s"]);
    assert_eq!(said.code, Some(EXIT_REFUSED.into()));
    assert!(
        said.err.ends_with("error: 1 of 1 deployments are not as desired, and the time is up\n"),
        "{said:?}"
    );
    assert!(said.out.contains("pending (no report yet)"), "{said:?}");
}

#[test]
fn waiting_survives_the_manager() {
    let fake = Fake::start();
    stand(&fake, &[pending("a")]);
    let waiting = start(&fake, &["wait"]);
    fake.await_asked(DEPLOYMENTS, 1);
    // It happens while nobody listens.
    stand(&fake, &[deployment("a", &json!({}))]);
    fake.hang_up();
    let said = said(waiting.wait_with_output().unwrap());
    assert_eq!(said.code, Some(EXIT_DONE.into()), "{said:?}");
    assert!(said.err.contains("connecting again"), "{said:?}");
}

#[test]
fn nothing_to_wait_for_is_said() {
    let fake = Fake::start();
    stand(&fake, &[]);
    let none = fake.run(&["wait", "--app", "pump-monitor"]);
    assert_eq!(none.code, Some(EXIT_DONE.into()));
    assert!(none.err.contains("nothing to wait for"), "{none:?}");
    let named = fake.run(&["wait", "a"]);
    assert_eq!(
        (named.code, named.err.as_str()),
        (Some(EXIT_REFUSED.into()), "error: there is no deployment `a`\n")
    );
}

/// The lines a program prints, as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    receiver
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_mins(1)).expect("another line")
}

#[test]
fn watching_shows_each_change_until_it_is_interrupted() {
    let fake = Fake::start();
    stand(&fake, &[pending("a")]);
    let mut watching = start(&fake, &["status", "--watch"]);
    let lines = lines(&mut watching);
    assert!(next(&lines).starts_with("DEPLOYMENT"));
    assert!(next(&lines).contains("pending (no report yet)"));

    // Two states at once: the first has passed when the deployments are read.
    stand(&fake, &[deployment("a", &json!({}))]);
    fake.say(&reported("installing"));
    assert_eq!(next(&lines), "2026-03-02T08:00:09Z  a  line-3  pump-monitor 1.0.0  installing");
    assert_eq!(next(&lines), "2026-03-02T08:00:09Z  a  line-3  pump-monitor 1.0.0  installed");

    // What happens while the connection is lost is shown when it is back.
    let updated = json!({
        "applicationVersion": "1.1.0", "since": 4, "converged": false, "changedAt": "2026-03-02T09:00:00Z",
    });
    stand(&fake, &[deployment("a", &updated)]);
    fake.hang_up();
    assert_eq!(next(&lines), "2026-03-02T09:00:00Z  a  line-3  pump-monitor 1.1.0  updated");
    assert_eq!(next(&lines), "2026-03-02T09:00:00Z  a  line-3  pump-monitor 1.1.0  installed (outdated)");
    fake.await_listeners(2);

    let interrupted =
        Command::new("sh").args(["-c", &format!("kill -INT {}", watching.id())]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(watching.wait().unwrap().code(), Some(EXIT_DONE.into()));
}

#[test]
fn programs_watch_deployments() {
    let fake = Fake::start();
    stand(&fake, &[pending("a")]);
    let mut watching = start(&fake, &["status", "--watch", "--json"]);
    let lines = lines(&mut watching);
    let read = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    assert_eq!(read(next(&lines)), pending("a"));
    stand(&fake, &[deployment("a", &json!({}))]);
    fake.say(&reported("installed"));
    assert_eq!(read(next(&lines)), deployment("a", &json!({})));
    watching.kill().unwrap();
    watching.wait().unwrap();
}
