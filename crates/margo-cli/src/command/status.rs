use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::selection::{self, SelectionArgs};
use super::session::Session;
use super::watch;
use crate::{Deployment, Table};

const EXAMPLES: &str = "\
Examples:
  margo status
  margo status --device line-3 --components
  margo status --app pump-monitor --watch
  margo status --json | jq '.deployments[] | select(.converged | not)'

STATE is what the device reported last. In parentheses:
  no report yet  the device has said nothing about the deployment
  outdated       the report is older than the change it should be about
  unconfirmed    the manager's conclusion; the device's revision has no word for it";

/// Show where deployments stand
///
/// Deployments that are deleted and gone from their devices are left out, unless they are named or `--removed` is
/// given. With `--watch`, a line follows for each change until Ctrl-C; with `--json` as well, each line is a
/// deployment as it stands then.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// Show each component as well
    #[arg(long)]
    components: bool,
    /// Show what is deleted and gone as well
    #[arg(long)]
    removed: bool,
    /// Go on and show each change
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(super) async fn run(args: StatusArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let selection = args.selection.or_all();
    let shows_removed = args.removed || args.selection.names_deployments();
    if args.watch {
        return watch::run(&selection, args.components, shows_removed, session, output).await;
    }
    let deployments = selection::read(&selection, session).await?;
    show(deployments, args.components, shows_removed, output)
}

/// Shows deployments as they stand.
pub(super) fn show(
    mut deployments: Vec<Deployment>,
    components: bool,
    removed: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&serde_json::json!({ "deployments": deployments }));
    }
    let all = deployments.len();
    if !removed {
        deployments.retain(|deployment| !is_gone(deployment));
    }
    output.table(&table(&deployments, components))?;
    match (deployments.len(), all - deployments.len()) {
        (0, 0) => output.note("there are no deployments"),
        (_, 0) => {}
        (_, gone) => output.note(&format!("{gone} removed, not shown (`--removed` shows them)")),
    }
    Ok(())
}

/// A table of deployments, and of their components where they are asked for.
pub(super) fn table(deployments: &[Deployment], components: bool) -> Table<7> {
    let mut table =
        Table::new(["deployment", "device", "application", "version", "desired", "state", "error"]);
    for deployment in deployments {
        table.row([
            deployment.deployment_id.clone(),
            deployment.device.clone(),
            deployment.application_id.clone(),
            deployment.application_version.clone(),
            deployment.desired.clone(),
            standing(deployment),
            deployment.error.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
        for component in deployment.components.iter().filter(|_| components) {
            let mut row = std::array::from_fn(|_| String::new());
            row[0] = format!("  - {}", component.name);
            row[5].clone_from(&component.state);
            row[6] = component.error.as_ref().map(ToString::to_string).unwrap_or_default();
            table.row(row);
        }
    }
    table
}

/// The state of a deployment, and in parentheses how far to trust it.
pub(super) fn standing(deployment: &Deployment) -> String {
    let Deployment { state, confirmed, converged, .. } = deployment;
    let is_wanted = deployment.desired == "present";
    if !confirmed && deployment.reported_at.is_none() {
        format!("{state} (no report yet)")
    } else if !confirmed {
        format!("{state} (unconfirmed)")
    } else if is_wanted && !converged && (state == "installed" || is_older_than_change(deployment)) {
        format!("{state} (outdated)")
    } else {
        state.clone()
    }
}

/// Whether the device has tried what is desired now, and failed.
pub(super) fn has_failed(deployment: &Deployment) -> bool {
    deployment.state == "failed" && !is_older_than_change(deployment)
}

/// Whether a deployment is deleted and, as far as is known, no longer on its device.
pub(super) fn is_gone(deployment: &Deployment) -> bool {
    deployment.desired == "absent" && deployment.converged
}

/// Whether the device's latest report was there before the latest change.
pub(super) fn is_older_than_change(deployment: &Deployment) -> bool {
    let changed = deployment.deleted_at.as_ref().or(deployment.changed_at.as_ref());
    match (&deployment.reported_at, changed) {
        (Some(reported), Some(changed)) => instant(reported) < instant(changed),
        _ => false,
    }
}

/// Orders times as the manager writes them: RFC 3339 in UTC, with as many digits of a second as there are.
fn instant(time: &str) -> (&str, &str) {
    let time = time.trim_end_matches('Z');
    let (second, fraction) = time.split_once('.').unwrap_or((time, ""));
    (second, fraction.trim_end_matches('0'))
}

/// A time without fractions of a second.
pub(super) fn to_seconds(time: &str) -> String {
    let (second, _) = instant(time);
    format!("{second}Z")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A deployment that is installed as it should be, but for `different`.
    pub(in super::super) fn deployment(id: &str, different: &Value) -> Deployment {
        let mut value = json!({
            "deploymentId": id, "clientId": "c-1", "device": "line-3", "revision": "1.0.0-rc.3",
            "applicationId": "pump-monitor", "applicationVersion": "1.0.0", "profile": "cluster",
            "namespace": "pump-monitor", "values": {}, "desired": "present", "state": "installed",
            "confirmed": true, "components": [], "digest": "sha256:00", "since": 3, "adoptedVersion": 3,
            "converged": true, "createdAt": "2026-03-02T08:00:00Z", "changedAt": "2026-03-02T08:00:00Z",
            "reportedAt": "2026-03-02T08:00:09.5Z",
        });
        for (name, member) in different.as_object().unwrap() {
            match member {
                Value::Null => value.as_object_mut().unwrap().remove(name),
                member => value.as_object_mut().unwrap().insert(name.clone(), member.clone()),
            };
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_state_says_how_far_to_trust_it() {
        let standing = |different: Value| standing(&deployment("a", &different));
        assert_eq!(standing(json!({})), "installed");
        assert_eq!(
            standing(json!({"state": "pending", "confirmed": false, "converged": false, "reportedAt": null})),
            "pending (no report yet)"
        );
        assert_eq!(
            standing(json!({"state": "removed", "desired": "absent", "confirmed": false})),
            "removed (unconfirmed)"
        );
        // Installed, but not what is desired now.
        assert_eq!(standing(json!({"since": 4, "converged": false})), "installed (outdated)");
        let before = json!({"state": "failed", "converged": false, "changedAt": "2026-03-02T08:00:09.51Z"});
        assert_eq!(standing(before.clone()), "failed (outdated)");
        assert!(!has_failed(&deployment("a", &before)));
        let after = json!({"state": "failed", "converged": false, "changedAt": "2026-03-02T08:00:09.49Z"});
        assert_eq!(standing(after.clone()), "failed");
        assert!(has_failed(&deployment("a", &after)));
        // A deleted deployment is where it is.
        assert_eq!(standing(json!({"desired": "absent", "converged": false})), "installed");
    }

    #[test]
    fn times_are_compared_as_times() {
        assert!(instant("2026-03-02T08:00:09Z") < instant("2026-03-02T08:00:09.1Z"));
        assert!(instant("2026-03-02T08:00:09.49Z") < instant("2026-03-02T08:00:09.5Z"));
        assert!(instant("2026-03-02T08:00:09.999Z") < instant("2026-03-02T08:00:10Z"));
        assert_eq!(instant("2026-03-02T08:00:09.50Z"), instant("2026-03-02T08:00:09.5Z"));
        assert_eq!(to_seconds("2026-03-02T08:00:09.999Z"), "2026-03-02T08:00:09Z");
    }

    #[test]
    fn a_table_of_deployments_and_components() {
        let deployments = [
            deployment(
                "0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11",
                &json!({"components": [
                    {"name": "measurement-store", "state": "installed"},
                    {"name": "pump-analyzer", "state": "installed"},
                ]}),
            ),
            deployment(
                "5f1c7d3e-8a4b-4f0e-b0a6-2f7f1a1c9b22",
                &json!({
                    "device": "gw-1/press-7", "state": "failed", "converged": false,
                    "error": {"code": "E-CHART", "source": "helm", "message": "chart not found"},
                    "components": [{
                        "name": "pump-analyzer", "state": "failed",
                        "error": {"code": "", "source": "", "message": "no such chart\nin the registry"},
                    }],
                }),
            ),
        ];
        insta::assert_snapshot!(table(&deployments, false));
        insta::assert_snapshot!(table(&deployments, true));
    }

    fn shown(deployments: Vec<Deployment>, removed: bool) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        show(deployments, false, removed, &mut Output::new(&mut out, &mut err, false)).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn what_is_gone_is_counted_and_not_shown() {
        let gone = deployment("a", &json!({"desired": "absent", "state": "removed"}));
        let leaving = deployment("b", &json!({"desired": "absent", "state": "removing", "converged": false}));
        let (out, err) = shown(vec![gone.clone(), leaving.clone()], false);
        assert!(!out.contains("removed") && out.contains("removing"), "{out}");
        assert_eq!(err, "1 removed, not shown (`--removed` shows them)\n");
        let (out, err) = shown(vec![gone, leaving], true);
        assert!(out.contains("removed") && out.contains("removing"), "{out}");
        assert_eq!(err, "");
        assert_eq!(shown(vec![], false), (String::new(), "there are no deployments\n".to_owned()));
    }
}
