use std::collections::BTreeMap;

use super::failure::Failure;
use super::follow::Follower;
use super::output::Output;
use super::selection;
use super::session::Session;
use super::status::{self, standing, to_seconds};
use crate::{Component, Deployment, Event, Selection};

/// Shows the selected deployments, and then each change until Ctrl-C.
pub(super) async fn run(
    selection: &Selection,
    components: bool,
    removed: bool,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    tokio::select! {
        outcome = follow(selection, components, removed, session, output) => outcome,
        // Where the signal cannot be waited for, it ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(
    selection: &Selection,
    components: bool,
    removed: bool,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut follower = Follower::new(&session.client);
    // From here on nothing is missed.
    follower.next(output).await?;
    let now = selection::read(selection, session).await?;
    if output.is_json() {
        now.iter().try_for_each(|deployment| output.json_line(deployment))?;
    } else {
        status::show(now.clone(), components, removed, output)?;
    }
    let mut shown = Shown::new(now);
    loop {
        let events = follower.next(output).await?;
        let now = match session.client.deployments(selection).await {
            Ok(now) => now,
            // The follower waits until the manager is back.
            Err(error) if error.is_transient() => continue,
            Err(error) => return Err(error.into()),
        };
        for change in shown.changes(now, &events, components) {
            match change {
                Change::Line(line) if !output.is_json() => output.line(&line)?,
                Change::Deployment(deployment) if output.is_json() => output.json_line(&deployment)?,
                _ => {}
            }
        }
    }
}

/// What the operator has been shown.
struct Shown(BTreeMap<String, Deployment>);

/// Something to be shown: to people, or to programs.
#[derive(Debug)]
enum Change {
    Line(String),
    Deployment(Box<Deployment>),
}

impl Shown {
    fn new(deployments: Vec<Deployment>) -> Self {
        let by_id = |deployment: Deployment| (deployment.deployment_id.clone(), deployment);
        Self(deployments.into_iter().map(by_id).collect())
    }

    /// What is different `now`; `events` tell of states that have passed in between.
    fn changes(&mut self, now: Vec<Deployment>, events: &[Event], components: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let width = now.iter().map(|deployment| deployment.device.chars().count()).max().unwrap_or_default();
        for deployment in now {
            let before = self.0.get(&deployment.deployment_id);
            let said = news(before, &deployment, &passed(events, &deployment), components);
            let head = format!(
                "{:<width$}  {} {}",
                deployment.device, deployment.application_id, deployment.application_version
            );
            for (at, news) in &said {
                let line = format!("{}  {}  {head}  {news}", to_seconds(at), deployment.deployment_id);
                changes.push(Change::Line(line));
            }
            if !said.is_empty() {
                changes.push(Change::Deployment(Box::new(deployment.clone())));
            }
            self.0.insert(deployment.deployment_id.clone(), deployment);
        }
        changes
    }
}

/// The states a deployment has passed through, oldest first and with their times, according to events.
fn passed(events: &[Event], deployment: &Deployment) -> Vec<(String, String)> {
    let reported = events.iter().filter_map(|event| match event {
        Event::Happened(happened)
            if happened["type"] == "status-reported"
                && happened["deploymentId"] == deployment.deployment_id =>
        {
            let text = |member: &str| Some(happened[member].as_str()?.to_owned());
            Some((text("at")?, text("state")?))
        }
        _ => None,
    });
    let mut passed: Vec<(String, String)> = reported.collect();
    passed.dedup_by(|next, first| next.1 == first.1);
    passed
}

/// What is new about a deployment, each with its time.
fn news(
    before: Option<&Deployment>,
    now: &Deployment,
    passed: &[(String, String)],
    components: bool,
) -> Vec<(String, String)> {
    let mut news = Vec::new();
    let changed_at = now.deleted_at.as_ref().or(now.changed_at.as_ref()).cloned().unwrap_or_default();
    let change = match before {
        None => Some("created"),
        Some(before) if before.desired != now.desired && now.desired == "absent" => Some("deleted"),
        Some(before) if before.application_version != now.application_version => Some("updated"),
        Some(before) if before.since != now.since => Some("reconfigured"),
        Some(_) => None,
    };
    news.extend(change.map(|change| (changed_at.clone(), change.to_owned())));

    let mut last = before.map(|before| (before.state.clone(), described(before)));
    for (at, state) in passed {
        // The last of them is described with all that is known of it.
        let is_latest = *state == now.state && passed.last().is_some_and(|(_, latest)| latest == state);
        if is_latest || last.as_ref().is_some_and(|(before, _)| before == state) {
            continue;
        }
        news.push((at.clone(), state.clone()));
        last = Some((state.clone(), state.clone()));
    }
    // A report that was there before the change says something else after it.
    let reported_at = match &now.reported_at {
        Some(reported_at) if !status::is_older_than_change(now) => reported_at.clone(),
        _ => changed_at,
    };
    let description = described(now);
    if last.is_none_or(|(_, last)| last != description) {
        news.push((reported_at.clone(), description));
    }
    if components && now.reported_at.is_some() {
        let known = before.map(|before| before.components.as_slice()).unwrap_or_default();
        for component in &now.components {
            let name = &component.name;
            let is_known = known.iter().any(|one| one.name == *name && state(one) == state(component));
            if !is_known {
                news.push((reported_at.clone(), format!("component {name}: {}", state(component))));
            }
        }
    }
    news
}

fn described(deployment: &Deployment) -> String {
    match &deployment.error {
        Some(error) => format!("{}: {error}", standing(deployment)),
        None => standing(deployment),
    }
}

fn state(component: &Component) -> String {
    match &component.error {
        Some(error) => format!("{}: {error}", component.state),
        None => component.state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::status::tests::deployment;
    use super::*;

    fn reported(id: &str, state: &str, at: &str) -> Event {
        Event::Happened(
            json!({"type": "status-reported", "clientId": "c-1", "deploymentId": id, "state": state, "at": at}),
        )
    }

    fn lines(shown: &mut Shown, now: Vec<Deployment>, events: &[Event], components: bool) -> Vec<String> {
        let changes = shown.changes(now, events, components).into_iter();
        changes.filter_map(|change| if let Change::Line(line) = change { Some(line) } else { None }).collect()
    }

    #[test]
    fn each_change_is_a_line_and_nothing_else_is() {
        let mut shown = Shown::new(vec![]);
        let new = json!({"state": "pending", "confirmed": false, "converged": false, "reportedAt": null});
        assert_eq!(
            lines(&mut shown, vec![deployment("a", &new)], &[], false),
            [
                "2026-03-02T08:00:00Z  a  line-3  pump-monitor 1.0.0  created",
                "2026-03-02T08:00:00Z  a  line-3  pump-monitor 1.0.0  pending (no report yet)",
            ]
        );
        // Two states have passed before the deployment was read.
        let events = [
            reported("a", "pending", "2026-03-02T08:00:01Z"),
            reported("a", "installing", "2026-03-02T08:00:02Z"),
            reported("b", "failed", "2026-03-02T08:00:03Z"),
            reported("a", "installed", "2026-03-02T08:00:09.5Z"),
        ];
        assert_eq!(
            lines(&mut shown, vec![deployment("a", &json!({}))], &events, false),
            [
                "2026-03-02T08:00:02Z  a  line-3  pump-monitor 1.0.0  installing",
                "2026-03-02T08:00:09Z  a  line-3  pump-monitor 1.0.0  installed",
            ]
        );
        // The same again, and a report that changes nothing.
        let events = [reported("a", "installed", "2026-03-02T08:01:00Z")];
        assert!(lines(&mut shown, vec![deployment("a", &json!({}))], &events, false).is_empty());
        // The connection was lost meanwhile: no events, only another state of things.
        let updated = json!({
            "applicationVersion": "1.1.0", "since": 4, "changedAt": "2026-03-02T09:00:00Z", "converged": false,
            "state": "failed", "reportedAt": "2026-03-02T09:00:05Z",
            "error": {"code": "E-CHART", "source": "helm", "message": "chart not found"},
        });
        assert_eq!(
            lines(&mut shown, vec![deployment("a", &updated)], &[], false),
            [
                "2026-03-02T09:00:00Z  a  line-3  pump-monitor 1.1.0  updated",
                "2026-03-02T09:00:05Z  a  line-3  pump-monitor 1.1.0  failed: E-CHART (helm): chart not found",
            ]
        );
        let gone = json!({
            "applicationVersion": "1.1.0", "since": 5, "desired": "absent", "state": "removed", "confirmed": false,
            "deletedAt": "2026-03-02T10:00:00Z", "reportedAt": "2026-03-02T09:00:05Z",
        });
        assert_eq!(
            lines(&mut shown, vec![deployment("a", &gone)], &[], false),
            [
                "2026-03-02T10:00:00Z  a  line-3  pump-monitor 1.1.0  deleted",
                "2026-03-02T10:00:00Z  a  line-3  pump-monitor 1.1.0  removed (unconfirmed)",
            ]
        );
    }

    #[test]
    fn components_are_shown_when_asked_for() {
        let with = |state: &str| {
            let components =
                json!([{"name": "store", "state": "installed"}, {"name": "analyzer", "state": state}]);
            deployment("a", &json!({"state": "installing", "converged": false, "components": components}))
        };
        let mut shown = Shown::new(vec![with("pending")]);
        assert!(lines(&mut shown, vec![with("installing")], &[], false).is_empty());
        assert_eq!(
            lines(&mut shown, vec![with("installed")], &[], true),
            ["2026-03-02T08:00:09Z  a  line-3  pump-monitor 1.0.0  component analyzer: installed"]
        );
    }
}
