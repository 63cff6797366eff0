use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::deploy::{self, LocalPackage};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use super::show::written;
use super::status::to_seconds;
use crate::{Application, Table};

const UPLOAD_EXAMPLES: &str = "\
Examples:
  margo app upload ./pump-monitor
  margo app upload ./pump-monitor/margo.yaml --json";

#[derive(Debug, Subcommand)]
pub(super) enum AppVerb {
    Upload(UploadArgs),
    /// List every version of every application
    List,
}

/// Upload an application package
///
/// Uploading the same again changes nothing. A version that is stored with other content is refused: a version
/// names its content for ever.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = UPLOAD_EXAMPLES)]
pub(super) struct UploadArgs {
    /// The package: a folder with a `margo.yaml`, or that file
    path: PathBuf,
}

pub(super) async fn run(verb: AppVerb, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    match verb {
        AppVerb::Upload(args) => {
            let package = deploy::read(&args.path)?;
            let application = session.client.upload(package.description).await?;
            if output.is_json() {
                return output.json(&application);
            }
            show(&application, output)
        }
        AppVerb::List => {
            let applications = session.client.applications().await?;
            if output.is_json() {
                return output.json(&serde_json::json!({ "applications": applications }));
            }
            if applications.is_empty() {
                output.note("there are no applications");
            }
            output.table(&table(&applications))
        }
    }
}

/// Uploads a package on the way to something else.
pub(super) async fn upload(
    package: LocalPackage,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<Application, Failure> {
    let application = session.client.upload(package.description).await?;
    output.note(&format!("uploaded {} {}", application.application_id, application.version));
    Ok(application)
}

fn table(applications: &[Application]) -> Table<5> {
    let mut table = Table::new(["application", "version", "name", "stored", "profiles"]);
    for application in applications {
        let profiles: Vec<&str> = application.profiles.iter().map(|profile| profile.id.as_str()).collect();
        table.row([
            application.application_id.clone(),
            application.version.clone(),
            application.name.clone(),
            application.stored_at.as_deref().map(to_seconds).unwrap_or_default(),
            profiles.join(", "),
        ]);
    }
    table
}

fn show(application: &Application, output: &mut Output<'_>) -> Result<(), Failure> {
    output.members(&[
        ("application", application.application_id.clone()),
        ("version", application.version.clone()),
        ("name", application.name.clone()),
        ("description", application.description.clone().unwrap_or_default()),
        ("digest", application.digest.clone().unwrap_or_default()),
    ])?;
    let mut profiles = Table::new(["profile", "type", "components"]);
    for profile in &application.profiles {
        profiles.row([profile.id.clone(), profile.profile_type.clone(), profile.components.join(", ")]);
    }
    output.line("")?;
    output.table(&profiles)?;
    if !application.parameters.is_empty() {
        let mut parameters = Table::new(["parameter", "type", "default", "note"]);
        for parameter in &application.parameters {
            parameters.row([
                parameter.name.clone(),
                parameter.data_type.clone().unwrap_or_default(),
                parameter.value.as_ref().map(written).unwrap_or_default(),
                if parameter.immutable { "stays as first installed" } else { "" }.to_owned(),
            ]);
        }
        output.line("")?;
        output.table(&parameters)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application() -> Application {
        serde_json::from_value(json!({
            "applicationId": "pump-monitor", "version": "1.0.0", "name": "Pump monitor",
            "description": "Watches the vibration of pumps.", "digest": "sha256:00", "storedAt": "2026-03-02T08:00:00.5Z",
            "profiles": [
                {"id": "pump-monitor-cluster", "type": "helm", "components": ["measurement-store", "pump-analyzer"]},
                {"id": "pump-monitor-standalone", "type": "compose", "components": ["pump-monitor-stack"]},
            ],
            "parameters": [
                {"name": "siteId", "immutable": true, "dataType": "string"},
                {"name": "pollInterval", "value": 60, "immutable": false, "dataType": "integer"},
                {"name": "alarmChannels", "value": ["display"], "immutable": false},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn applications_and_what_can_be_chosen() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut out, &mut err, false);
        show(&application(), &mut output).unwrap();
        output.line("").unwrap();
        output.table(&table(&[application()])).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
