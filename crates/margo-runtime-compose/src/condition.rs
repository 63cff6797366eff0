//! What the engine says of containers, and what that means for a component.

use std::collections::{BTreeMap, BTreeSet};

use margo_api::Outage;
use serde::Deserialize;

/// A container that was restarted so often, and ran shorter than [`SHORT_RUN`], is in a loop.
const RESTARTS: u64 = 3;

/// A run shorter than this is no work, in milliseconds.
const SHORT_RUN: i64 = 10_000;

/// The label with the deployment a container belongs to.
pub(crate) const DEPLOYMENT_LABEL: &str = "org.margo.deployment";

/// The label with the component a container belongs to.
pub(crate) const COMPONENT_LABEL: &str = "org.margo.component";

/// The labels of Compose.
pub(crate) const PROJECT_LABEL: &str = "com.docker.compose.project";
const SERVICE_LABEL: &str = "com.docker.compose.service";

/// A container, as `inspect` describes it: as much as is needed of what Docker and Podman agree on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Container {
    pub(crate) id: String,
    restart_count: u64,
    state: State,
    config: Config,
    host_config: HostConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    status: String,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(alias = "Healthcheck")]
    health: Option<Health>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Health {
    status: String,
    log: Option<Vec<Probe>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Probe {
    output: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    restart_policy: RestartPolicy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: String,
}

/// How a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It runs, and is healthy if it can tell; or it did its work and ended well.
    Good,
    /// It is on its way.
    Starting,
    /// It does not run.
    Bad(Outage),
}

impl Container {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }

    pub(crate) fn service(&self) -> &str {
        self.label(SERVICE_LABEL).or_else(|| self.label("io.podman.compose.service")).unwrap_or_default()
    }

    /// Tells this run of the container from every other run of any.
    pub(crate) fn run(&self) -> (String, String) {
        (self.id.clone(), self.state.started_at.clone())
    }

    /// How it does. A container that ended with 0 and is not to be restarted did its work: that is how Compose
    /// files say "once, before the others".
    pub(crate) fn condition(&self) -> Condition {
        let service = self.service();
        let restarts = matches!(self.host_config.restart_policy.name.as_str(), "always" | "unless-stopped");
        let ran_briefly = self.last_run().is_some_and(|run| run < SHORT_RUN);
        let is_loop = self.restart_count >= RESTARTS && ran_briefly;
        match self.state.status.as_str() {
            "running" => match self.state.health.as_ref().map(|health| health.status.as_str()) {
                Some("starting") => Condition::Starting,
                Some("unhealthy") => {
                    let probe = self.state.health.as_ref().and_then(|health| health.log.as_ref()?.last());
                    let output = probe.map(|probe| probe.output.trim()).filter(|output| !output.is_empty());
                    let output = output.map(|output| format!(": {output}")).unwrap_or_default();
                    Condition::Bad(Outage::new(
                        "unhealthy",
                        format!("service `{service}` is not healthy{output}"),
                    ))
                }
                _ => Condition::Good,
            },
            "restarting" | "exited" | "stopped" | "dead" if is_loop => Condition::Bad(
                Outage::new(
                    "crash-loop",
                    format!(
                        "service `{service}` ended {} times right after its start, {}",
                        self.restart_count + 1,
                        self.end()
                    ),
                )
                .hopeless(),
            ),
            "created" | "configured" | "initialized" | "restarting" => {
                if self.state.error.is_empty() {
                    Condition::Starting
                } else {
                    let error = &self.state.error;
                    let code =
                        if error.contains("address already in use") { "port-in-use" } else { "start-failed" };
                    Condition::Bad(Outage::new(
                        code,
                        format!("service `{service}` cannot be started: {error}"),
                    ))
                }
            }
            "exited" | "stopped" if self.state.exit_code == 0 && !restarts => Condition::Good,
            // R-D-036
            "exited" | "stopped" | "dead" => Condition::Bad(Outage::new(
                "container-exited",
                format!("service `{service}` does not run: it ended {}", self.end()),
            )),
            "paused" => Condition::Bad(Outage::new("paused", format!("service `{service}` is paused"))),
            _ => Condition::Starting,
        }
    }

    fn end(&self) -> String {
        let memory = if self.state.oom_killed { " for want of memory" } else { "" };
        format!("with {}{memory}", self.state.exit_code)
    }

    /// How long the run took that ended last, in milliseconds.
    fn last_run(&self) -> Option<i64> {
        let (start, end) = (milliseconds(&self.state.started_at)?, milliseconds(&self.state.finished_at)?);
        (end >= start).then_some(end - start)
    }
}

/// How the services of a component do together: the worst, and the containers that are to blame.
pub(crate) fn judge<'a>(
    services: &BTreeSet<String>,
    containers: &'a [Container],
) -> (Condition, Option<&'a Container>) {
    let mut overall = (Condition::Good, None);
    for container in containers {
        match (container.condition(), &overall.0) {
            (Condition::Bad(outage), Condition::Bad(worst))
                if outage.is_hopeless() && !worst.is_hopeless() =>
            {
                overall = (Condition::Bad(outage), Some(container));
            }
            (Condition::Bad(outage), Condition::Good | Condition::Starting) => {
                overall = (Condition::Bad(outage), Some(container));
            }
            (Condition::Starting, Condition::Good) => overall = (Condition::Starting, Some(container)),
            _ => {}
        }
    }
    let missing = services.iter().find(|name| !containers.iter().any(|it| it.service() == name.as_str()));
    if let (Some(name), Condition::Good | Condition::Starting) = (missing, &overall.0) {
        return (
            Condition::Bad(Outage::new("container-missing", format!("service `{name}` has no container"))),
            None,
        );
    }
    overall
}

/// The milliseconds since the year 0 of a time in the engine's spelling; the zone is of no matter for a difference
/// between two times of one engine, except around a change to summer time. `None` for the time that means "never".
fn milliseconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 {
        return None;
    }
    let fraction: String =
        text.get(20..).unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let millis =
        format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(0);
    // Days since a March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(service: &str, state: impl Into<Value>, restarts: u64, policy: &str) -> Container {
        let state = state.into();
        serde_json::from_value(json!({
            "Id": service,
            "RestartCount": restarts,
            "State": state,
            "Config": { "Labels": { SERVICE_LABEL: service } },
            "HostConfig": { "RestartPolicy": { "Name": policy } },
        }))
        .unwrap()
    }

    fn code(container: &Container) -> String {
        match container.condition() {
            Condition::Bad(outage) => {
                format!("{}{}", outage.code(), if outage.is_hopeless() { "!" } else { "" })
            }
            other => format!("{other:?}"),
        }
    }

    /// R-D-036: running, healthy where that can be told, and no container that ended with anything but 0.
    #[test]
    fn a_container_is_judged_by_its_state() {
        let of = |state: Value, policy: &str| code(&container("web", state, 0, policy));
        assert_eq!(of(json!({ "Status": "running" }), "no"), "Good");
        assert_eq!(of(json!({ "Status": "running", "Health": { "Status": "starting" } }), "no"), "Starting");
        assert_eq!(of(json!({ "Status": "running", "Health": { "Status": "healthy" } }), "no"), "Good");
        let sick = json!({ "Status": "running", "Health": { "Status": "unhealthy", "Log": [{ "Output": "no\n" }] } });
        assert_eq!(of(sick.clone(), "no"), "unhealthy");
        let Condition::Bad(outage) = container("web", sick, 0, "no").condition() else { panic!() };
        assert_eq!(outage.message(), "service `web` is not healthy: no");
        assert_eq!(of(json!({ "Status": "exited", "ExitCode": 0 }), "no"), "Good");
        assert_eq!(of(json!({ "Status": "exited", "ExitCode": 0 }), "unless-stopped"), "container-exited");
        assert_eq!(of(json!({ "Status": "exited", "ExitCode": 3 }), "no"), "container-exited");
        assert_eq!(of(json!({ "Status": "created" }), "no"), "Starting");
        let error = "listen tcp :80: bind: address already in use";
        assert_eq!(of(json!({ "Status": "created", "Error": error }), "no"), "port-in-use");
        assert_eq!(of(json!({ "Status": "restarting", "ExitCode": 1 }), "always"), "Starting");
    }

    #[test]
    fn a_loop_is_many_short_runs_and_nothing_else() {
        let state = |finished: &str| {
            json!({ "Status": "restarting", "ExitCode": 1, "StartedAt": "2026-11-22T23:59:59.5Z",
                    "FinishedAt": finished })
        };
        let short = state("2026-11-23T00:00:00.123456789Z");
        assert_eq!(code(&container("web", short.clone(), 3, "always")), "crash-loop!");
        assert_eq!(code(&container("web", short, 2, "always")), "Starting");
        assert_eq!(code(&container("web", state("2026-11-24T00:00:00Z"), 30, "always")), "Starting");
        let Condition::Bad(outage) = container("web", state("2026-11-23T00:00:00Z"), 3, "always").condition()
        else {
            panic!()
        };
        assert_eq!(outage.message(), "service `web` ended 4 times right after its start, with 1");
    }

    #[test]
    fn the_worst_container_speaks_for_all() {
        let good = || container("db", json!({ "Status": "running" }), 0, "no");
        let starting = || container("web", json!({ "Status": "created" }), 0, "no");
        let bad = || container("web", json!({ "Status": "exited", "ExitCode": 1 }), 0, "no");
        let services: BTreeSet<_> = ["db".to_owned(), "web".to_owned()].into();
        let overall = |containers: &[Container]| match judge(&services, containers).0 {
            Condition::Bad(outage) => outage.code().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(overall(&[good(), starting()]), "Starting");
        assert_eq!(overall(&[good(), bad()]), "container-exited");
        assert_eq!(overall(&[good()]), "container-missing");
        assert_eq!(overall(&[good(), container("web", json!({ "Status": "running" }), 0, "no")]), "Good");
    }

    #[test]
    fn times_are_compared_across_days_and_years() {
        let difference = |a: &str, b: &str| milliseconds(b).unwrap() - milliseconds(a).unwrap();
        assert_eq!(difference("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"), 1);
        assert_eq!(difference("2028-02-28T00:00:00Z", "2028-03-01T00:00:00Z"), 2 * 86_400_000);
        assert_eq!(difference("2026-11-22T19:00:00.5Z", "2026-11-22T19:00:00.123456789Z"), -377);
        assert_eq!(milliseconds("0001-01-01T00:00:00Z"), None);
        assert_eq!(milliseconds("never"), None);
    }
}
