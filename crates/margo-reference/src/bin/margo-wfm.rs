//! `margo-wfm`: the reference Workload Fleet Manager (formerly Workload Orchestration Software, WOS).
#![expect(clippy::print_stderr, reason = "a program that talks to people")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use margo_reference::{LogFormat, asked_to_end, install_logging, manager};

/// Manages what runs on a fleet of Margo devices.
///
/// Serves on one address: the management interface (`/api/v1`, `/device`), a Git repository for each device (`/git`), the
/// operator's API (`/operator/v1`), `/healthz` and `/metrics`. Until devices have certificates, they are
/// authenticated by tokens, and only on loopback addresses.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The folder that holds everything; made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How to log; `RUST_LOG` says what.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    install_logging(arguments.log_format);
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    manager::serve(&arguments.data, arguments.listen, async {
        if let Err(error) = asked_to_end().await {
            tracing::error!(%error, "signals cannot be received");
        }
    })
    .await
}
