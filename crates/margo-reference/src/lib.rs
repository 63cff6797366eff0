//! The parts, assembled: `margo-wfm`, `margo-device` and the demonstration.
//!
//! The programs are thin on purpose: each shows how the libraries fit together, and is short enough to be read
//! standing. [`manager`] puts a router over a reference manager over SQLite and Git; [`device`] puts an agent over REST
//! or Git and a runtime; [`demo`] starts both as processes and watches them agree. A vendor copies one of them and
//! replaces what is its own.

pub mod config;
pub mod demo;
pub mod device;
pub mod doctor;
pub mod manager;
pub mod runtimes;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Gives the process its provider of cryptography; libraries never choose one.
pub fn install_tls_provider() {
    // Fails only when there is one already, and then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How a program logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Logs to standard error. `RUST_LOG` says what; without it, everything from `info` on.
pub fn install_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}

/// Returns when the process is asked to end: SIGTERM or Ctrl-C.
///
/// # Errors
///
/// That signals cannot be received.
pub async fn asked_to_end() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
