//! The verbs of the program `margo`.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand};

use failure::Failure;
use output::Output;
use session::ManagerArgs;

mod app;
mod change;
mod deploy;
mod device;
mod failure;
mod follow;
mod identity;
mod local;
mod output;
mod placement;
mod selection;
mod session;
mod show;
mod status;
mod values;
mod wait;
mod watch;

/// What was asked is done.
pub const EXIT_DONE: u8 = 0;

/// The manager refused, a document is wrong, or what was waited for did not happen.
pub const EXIT_REFUSED: u8 = 1;

/// The manager could not be asked, or the command line is wrong: whether it would refuse is not known.
pub const EXIT_NOT_ASKED: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes:
  0  what was asked is done
  1  the manager refused, a document is wrong, or what was waited for did not happen
  2  the manager could not be asked, or the command line is wrong";

const ABOUT: &str = "\
Operates a Margo workload fleet manager: onboards devices, deploys applications to them and shows what became of it.
Checks documents, which needs no manager: `margo check`.

What was asked for goes to standard output, everything else to standard error. The operator's token is read
from a file or from MARGO_OPERATOR_TOKEN, never from the command line, where every user of the machine sees it.";

const EXAMPLES: &str = "\
Examples:
  margo device onboard line-3 --write ./line-3
  margo deploy ./pump-monitor --to line-3 line-4 --set pollInterval=30
  margo wait && margo status --components
  margo update --app pump-monitor --to-package ./pump-monitor-1.1.0
  margo check .";

#[derive(Debug, Parser)]
#[command(name = "margo", version, long_about = ABOUT)]
#[command(about = "Operates a Margo workload fleet manager, and checks documents")]
#[command(after_help = EXIT_CODES, after_long_help = [EXAMPLES, "\n\n", EXIT_CODES].concat())]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    manager: ManagerArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Onboard, list, show, rotate, link and retire devices
    #[command(subcommand)]
    Device(device::DeviceVerb),
    /// Upload and list application packages
    #[command(subcommand)]
    App(app::AppVerb),
    /// Make, replace and show identities: a trust domain of your own
    #[command(subcommand)]
    Identity(identity::IdentityVerb),
    Placement(placement::PlacementArgs),
    Deploy(deploy::DeployArgs),
    Update(change::UpdateArgs),
    Reconfigure(change::ReconfigureArgs),
    Delete(change::DeleteArgs),
    Status(status::StatusArgs),
    Wait(wait::WaitArgs),
    Show(show::ShowArgs),
    #[command(flatten)]
    Local(local::LocalVerb),
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Verb::Local(verb) = cli.verb {
        return ExitCode::from(local::main(verb, cli.manager.json()));
    }
    let mut out = std::io::stdout().lock();
    let mut err = std::io::stderr().lock();
    let mut output = Output::new(&mut out, &mut err, cli.manager.json());
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::not_asked("the system gives no way to wait for answers").because(&cause))
        .and_then(|runtime| runtime.block_on(run(cli, &mut output)));
    match outcome {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// The command line as it is described to people, for tests of that description.
#[must_use]
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    // What is said of managers would only be in the way of those who check documents.
    command.mut_subcommands(|verb| match verb.get_name() {
        "identity" => local::describe(verb).mut_subcommands(local::describe),
        name if local::NAMES.contains(&name) => local::describe(verb),
        _ => verb,
    })
}

async fn run(cli: Cli, output: &mut Output<'_>) -> Result<(), Failure> {
    // What is wrong with the command line is said before anything else is looked at.
    match &cli.verb {
        Verb::Update(args) => args.check()?,
        Verb::Reconfigure(args) => args.check()?,
        Verb::Delete(args) => args.check()?,
        // No manager is asked.
        Verb::Identity(verb) => return identity::run(verb, output),
        _ => {}
    }
    let session = cli.manager.session(output)?;
    match cli.verb {
        Verb::Device(verb) => device::run(verb, &session, output).await,
        Verb::App(verb) => app::run(verb, &session, output).await,
        Verb::Identity(verb) => identity::run(&verb, output),
        Verb::Placement(args) => placement::run(args, &session, output).await,
        Verb::Deploy(args) => deploy::run(args, &session, output).await,
        Verb::Update(args) => change::update(args, &session, output).await,
        Verb::Reconfigure(args) => change::reconfigure(args, &session, output).await,
        Verb::Delete(args) => change::delete(args, &session, output).await,
        Verb::Status(args) => status::run(args, &session, output).await,
        Verb::Wait(args) => wait::run(args, &session, output).await,
        Verb::Show(args) => show::run(args, &session, output).await,
        Verb::Local(_) => Ok(()), // done before there was a session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        command().debug_assert();
    }
}
