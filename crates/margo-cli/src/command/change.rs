use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use super::failure::Failure;
use super::output::Output;
use super::selection::{self, SelectionArgs};
use super::session::Session;
use super::values::{UnsetArgs, ValueArgs};
use super::{app, deploy};
use crate::Selection;

const UPDATE_USAGE: &str = "\
margo update [OPTIONS] <--to-package <PATH>|--version <VERSION>> <DEPLOYMENT>...
       margo update [OPTIONS] <--to-package <PATH>|--version <VERSION>> [--app <ID>] [--device <DEVICE>]";

const RECONFIGURE_USAGE: &str = "\
margo reconfigure [OPTIONS] <DEPLOYMENT>...
       margo reconfigure [OPTIONS] [--app <ID>] [--device <DEVICE>]";

const DELETE_USAGE: &str = "\
margo delete [OPTIONS] <DEPLOYMENT>...
       margo delete [OPTIONS] [--app <ID>] [--device <DEVICE>]
       margo delete [OPTIONS] --all";

const UPDATE_EXAMPLES: &str = "\
Examples:
  margo update --app pump-monitor --to-package ./pump-monitor-1.1.0
  margo update --app pump-monitor --device line-3 --version 1.1.0 --set mode=eco
  margo update 0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11 --version 1.0.0";

/// Move deployments to another version of their application
///
/// All selected deployments are changed, or none. The values chosen before stay, unless they are set or unset here.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, override_usage = UPDATE_USAGE, after_long_help = UPDATE_EXAMPLES)]
#[command(group = ArgGroup::new("to").required(true).args(["to_package", "version"]))]
pub(super) struct UpdateArgs {
    /// Upload this package and move to its version
    ///
    /// With `--device` alone, the deployments of other applications on the device are left as they are.
    #[arg(long, value_name = "PATH")]
    to_package: Option<PathBuf>,
    /// Move to this version, which was uploaded before
    #[arg(long, value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    version: Option<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    unset: UnsetArgs,
}

impl UpdateArgs {
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.selection.check("")
    }
}

pub(super) async fn update(
    args: UpdateArgs,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let values = args.values.read(&args.unset)?;
    let mut selection = args.selection.or_all();
    let version = match (args.to_package, args.version) {
        (Some(path), _) => {
            let package = deploy::read(&path)?;
            // A version means something for one application only.
            if let Some(app) = args.selection.app().filter(|app| *app != package.id) {
                let message =
                    format!("`{}` is a package of `{}`, not of `{app}`", path.display(), package.id);
                return Err(Failure::not_asked(message));
            }
            if args.selection.names_deployments() {
                check_application(&selection, &package.id, session).await?;
            } else {
                selection.application = Some(package.id.clone());
            }
            app::upload(package, session, output).await?.version
        }
        (None, version) => version.unwrap_or_default(),
    };
    output.changed(&session.client.update(&selection, &version, &values).await?)
}

/// Fails unless all deployments that are named are of this application.
async fn check_application(
    selection: &Selection,
    application: &str,
    session: &Session,
) -> Result<(), Failure> {
    let deployments = selection::read(selection, session).await?;
    match deployments.iter().find(|deployment| deployment.application_id != application) {
        Some(other) => Err(Failure::refused(format!(
            "`{}` is a deployment of `{}`, not of `{application}`",
            other.deployment_id, other.application_id
        ))),
        None => Ok(()),
    }
}

const RECONFIGURE_EXAMPLES: &str = "\
Examples:
  margo reconfigure --app pump-monitor --set pollInterval=30 --set mode=eco
  margo reconfigure --device line-3 --app pump-monitor --unset pollInterval
  margo reconfigure 0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11 --values values.yaml";

/// Change parameters of deployments
///
/// All selected deployments are changed, or none. What is not mentioned stays as it is.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, override_usage = RECONFIGURE_USAGE, after_long_help = RECONFIGURE_EXAMPLES)]
pub(super) struct ReconfigureArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    unset: UnsetArgs,
}

impl ReconfigureArgs {
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.selection.check("")?;
        if self.values.is_empty() && self.unset.is_empty() {
            let help = "use `--set`, `--set-json`, `--values` or `--unset`";
            return Err(Failure::not_asked("no parameter is changed").help(help));
        }
        Ok(())
    }
}

pub(super) async fn reconfigure(
    args: ReconfigureArgs,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let values = args.values.read(&args.unset)?;
    output.changed(&session.client.reconfigure(&args.selection.or_all(), &values).await?)
}

const DELETE_EXAMPLES: &str = "\
Examples:
  margo delete 0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11
  margo delete --app pump-monitor --device line-3
  margo delete --all && margo wait";

/// Delete deployments: their devices remove what runs
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, override_usage = DELETE_USAGE, after_long_help = DELETE_EXAMPLES)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Every deployment on every device; nothing is asked
    #[arg(long, conflicts_with_all = ["ids", "app", "device"])]
    all: bool,
}

impl DeleteArgs {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.all { Ok(()) } else { self.selection.check("; `--all` deletes every deployment") }
    }
}

pub(super) async fn delete(
    args: DeleteArgs,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    // Nothing else selects where everything is.
    output.changed(&session.client.delete(&args.selection.or_all()).await?)
}
