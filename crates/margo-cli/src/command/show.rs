use clap::Args;
use margo_core::DeploymentId;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use super::status::{standing, to_seconds};
use crate::{Component, Deployment, Report, Table};

const EXAMPLES: &str = "\
Examples:
  margo show 0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11
  margo show 0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11 --document > deployment.yaml";

/// Show one deployment: what is desired, what its device has reported, and the document it is given
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    id: DeploymentId,
    /// Print the document alone, exactly as the device is given it
    #[arg(long)]
    document: bool,
}

pub(super) async fn run(args: ShowArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let deployment = session.client.deployment(args.id.as_str()).await?;
    if output.is_json() {
        let Deployment { document, history, .. } = &deployment;
        let alone = Deployment { document: None, history: None, ..deployment.clone() };
        return output.json(&json!({ "deployment": alone, "document": document, "history": history }));
    }
    if args.document {
        return output.exactly(deployment.document.as_deref().unwrap_or_default());
    }
    show(&deployment, output)
}

fn show(deployment: &Deployment, output: &mut Output<'_>) -> Result<(), Failure> {
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |time: &Option<String>| time.as_deref().map(to_seconds).unwrap_or_default();
    let revision = deployment.revision.as_ref().map(|revision| format!(", {revision}")).unwrap_or_default();
    let adopted = deployment.adopted_version.map(|version| format!(", adopted {version}"));
    let fetched = deployment.fetched_version.map(|version| format!(", fetched {version}"));
    output.members(&[
        ("deployment", deployment.deployment_id.clone()),
        ("application", format!("{} {}", deployment.application_id, deployment.application_version)),
        ("profile", deployment.profile.clone()),
        ("namespace", or_nothing(&deployment.namespace)),
        ("device", format!("{} (client {}{revision})", deployment.device, deployment.client_id)),
        ("desired", deployment.desired.clone()),
        ("state", standing(deployment)),
        ("error", deployment.error.as_ref().map(ToString::to_string).unwrap_or_default()),
        (
            "manifest",
            format!(
                "changed in {}{}{}",
                deployment.since,
                fetched.unwrap_or_default(),
                adopted.unwrap_or_default()
            ),
        ),
        ("created", time(&deployment.created_at)),
        ("changed", time(&deployment.changed_at)),
        ("deleted", time(&deployment.deleted_at)),
        ("reported", time(&deployment.reported_at)),
        ("digest", or_nothing(&deployment.digest)),
    ])?;

    let mut values = Table::new(["value", "chosen"]);
    for (name, value) in &deployment.values {
        values.row([name.clone(), written(value)]);
    }
    let mut components = Table::new(["component", "state", "error"]);
    for component in &deployment.components {
        let error = component.error.as_ref().map(ToString::to_string).unwrap_or_default();
        components.row([component.name.clone(), component.state.clone(), error]);
    }
    for table in [values.to_string(), components.to_string()].iter().filter(|table| table.lines().count() > 1)
    {
        output.line("")?;
        output.document(table)?;
    }
    let history = deployment.history.as_deref().unwrap_or_default();
    if !history.is_empty() {
        output.line("")?;
        output.table(&reports(history))?;
    }
    if let Some(document) = &deployment.document {
        output.line("")?;
        output.document(document)?;
    }
    Ok(())
}

fn reports(history: &[Report]) -> Table<5> {
    let mut table = Table::new(["reported", "state", "adopted", "components", "error"]);
    for report in history {
        table.row([
            to_seconds(&report.received_at),
            report.state.clone(),
            report.adopted_version.map(|version| version.to_string()).unwrap_or_default(),
            report.components.iter().map(brief).collect::<Vec<_>>().join(", "),
            report.error.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table
}

fn brief(component: &Component) -> String {
    format!("{} {}", component.name, component.state)
}

/// A value as it is typed: text without quotes.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::deployment;
    use super::*;

    #[test]
    fn one_deployment_with_everything_about_it() {
        let deployment = deployment(
            "0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11",
            &json!({
                "since": 7, "fetchedVersion": 7, "adoptedVersion": 6, "state": "failed", "converged": false,
                "changedAt": "2026-03-02T08:00:01.25Z", "values": {"pollInterval": 30, "siteId": "SE-0042"},
                "error": {"code": "E-CHART", "source": "helm", "message": "chart not found"},
                "components": [
                    {"name": "measurement-store", "state": "installed"},
                    {"name": "pump-analyzer", "state": "failed",
                        "error": {"code": "E-CHART", "source": "helm", "message": "chart not found"}},
                ],
                "document": "apiVersion: application.margo.org/v1alpha1\nkind: ApplicationDeployment\n",
                "history": [
                    {"receivedAt": "2026-03-02T08:00:04Z", "revision": "1.0.0-rc.3", "state": "installing",
                        "components": [{"name": "measurement-store", "state": "installing"}]},
                    {"receivedAt": "2026-03-02T08:00:09.5Z", "revision": "1.0.0-rc.3", "state": "failed",
                        "adoptedVersion": 6, "error": {"code": "E-CHART", "source": "helm", "message": "chart not found"},
                        "components": [
                            {"name": "measurement-store", "state": "installed"},
                            {"name": "pump-analyzer", "state": "failed"},
                        ]},
                ],
            }),
        );
        let (mut out, mut err) = (Vec::new(), Vec::new());
        show(&deployment, &mut Output::new(&mut out, &mut err, false)).unwrap();
        assert!(err.is_empty());
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
