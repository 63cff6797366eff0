//! The programs of the demonstration, as separate processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// A program that runs until it is stopped or dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program `name` that lies beside this one; what it says goes to the end of `<folder>/<label>.log`.
    pub(crate) fn start(name: &str, label: &str, folder: &Path, args: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name(name);
        if !program.exists() {
            bail!("`{name}` is not built: run `cargo xtask demo`, which builds it");
        }
        let log = folder.join(format!("{label}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = Command::new(&program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("`{name}` cannot be started"))?;
        Ok(Self { name: label.to_owned(), child, log })
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("`{}` cannot be killed", self.name))
    }

    /// Fails when the process has ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("`{}` ended by itself with {status}", self.name),
        }
    }

    /// The last lines it said.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n  ");
        format!("{} said last:\n  {last}", self.name)
    }
}
