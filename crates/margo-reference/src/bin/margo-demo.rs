//! `margo-demo`: a manager and three devices of different ages agree on what runs.
#![expect(clippy::print_stderr, reason = "a program that talks to people")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use margo_reference::demo;

/// Starts a manager and three devices on loopback: one of 1.0.0-rc.3 over mutual TLS, one of 1.0.0-rc.2 that signs what it
/// says, one of the pre-draft with tokens and Git. Deploys two applications, updates, reconfigures, kills and restarts the
/// manager, and deletes everything again.
///
/// Ends with 0 only if what was desired is what the devices reported and hold.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The folder with the packages and devices to show.
    #[arg(long, default_value = "fixtures", value_name = "DIR")]
    fixtures: PathBuf,
    /// One JSON object per line instead of something to look at.
    #[arg(long)]
    json: bool,
    /// Work in this folder and leave it behind.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    margo_reference::install_tls_provider();
    match demo::run(demo::Options::new(arguments.fixtures, arguments.json, arguments.keep)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the demonstration failed");
            for cause in error.chain().skip(1) {
                eprintln!("  {cause}");
            }
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
