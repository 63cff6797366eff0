//! `margo-device`: the management client of one device.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to people")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use margo_reference::config::DeviceConfig;
use margo_reference::doctor::{self, Health};
use margo_reference::{LogFormat, asked_to_end, device, install_logging, install_tls_provider};

/// Makes what runs on this device what its manager wants, and reports.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration: a TOML file, as `margo device onboard --write DIR` makes one.
    #[arg(long, value_name = "FILE", global = true, default_value = "margo-device.toml")]
    config: PathBuf,
    /// How to log; `RUST_LOG` says what.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Looks at everything the device needs, and says what to do about what is missing.
    ///
    /// Ends with 1 when the device does not work like this.
    Doctor,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    install_logging(arguments.log_format);
    install_tls_provider();
    let done = match arguments.command {
        Some(Command::Doctor) => examine(&arguments).await,
        None => run(&arguments).await.map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let config = DeviceConfig::read(&arguments.config)?;
    let _lock = device::lock(&config.device.data)?;
    let shutdown = async {
        if let Err(error) = asked_to_end().await {
            tracing::error!(%error, "signals cannot be received");
        }
    };
    tokio::pin!(shutdown);
    let (mut agent, _upkeep) = tokio::select! {
        // From the first moment on: what is assembled may wait for long.
        biased;
        () = &mut shutdown => return Ok(()),
        assembled = device::assemble(&config) => assembled?,
    };
    tracing::info!(device = %config.device.id, manager = %config.manager.url, "started");
    agent.run(shutdown).await;
    tracing::info!("ended");
    Ok(())
}

async fn examine(arguments: &Arguments) -> Result<ExitCode> {
    let config = DeviceConfig::read(&arguments.config)?;
    let findings = doctor::examine(&config, jiff::Timestamp::now()).await;
    for finding in &findings {
        println!("{finding}");
    }
    let is_bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
