//! `margo-wfm`: the reference Workload Fleet Manager (formerly Workload Orchestration Software, WOS).
#![expect(clippy::print_stderr, reason = "a program that talks to people")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use margo_reference::config::ManagerConfig;
use margo_reference::{LogFormat, asked_to_end, install_logging, manager};

/// Manages what runs on a fleet of Margo devices.
///
/// Serves on a loopback address: the management interface of every revision, a Git repository for each device (`/git`),
/// the operator's API (`/operator/v1`), `/healthz` and `/metrics`. A configuration adds TLS for devices of the
/// pre-draft, 1.0.0-rc.1 and 1.0.0-rc.2, and mutual TLS for devices of 1.0.0-rc.3.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The folder that holds everything; made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The configuration: a TOML file. Without, only the loopback address is served.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The loopback address to listen on; 127.0.0.1:8080 unless the configuration says otherwise.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
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
    let mut config = match &arguments.config {
        Some(path) => ManagerConfig::read(path)?,
        None => ManagerConfig::default(),
    };
    config.plain.listen = arguments.listen.unwrap_or(config.plain.listen);
    manager::serve(&arguments.data, &config, async {
        if let Err(error) = asked_to_end().await {
            tracing::error!(%error, "signals cannot be received");
        }
    })
    .await
}
