//! Helm as a program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use margo_api::RuntimeError;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::Instant;

/// The most bytes of an answer that are read.
const MAX_ANSWER: u64 = 8 << 20;

/// The most bytes of a complaint that are read, and the most characters that are told.
const MAX_COMPLAINT: u64 = 64 << 10;
const MAX_MESSAGE: usize = 1000;

/// How much longer than it should Helm may take before it is ended: it knows its own limit.
const GRACE: Duration = Duration::from_secs(30);

/// How long a Helm of an earlier process is waited for at a time.
const PREDECESSOR: Duration = Duration::from_secs(10);

/// One line for each label, after the state, the revision and what was said last.
const FACTS: &str = "{{.Release.Info.Status}}\n{{.Release.Version}}\n{{printf \"%q\" .Release.Info.Description}}\n\
                     {{range $name, $value := .Release.Labels}}{{$name}}={{$value}}\n{{end}}";

#[derive(Clone, Debug)]
pub(crate) struct Helm {
    pub(crate) program: PathBuf,
    /// Its home: nothing of the person who started this is read or changed.
    pub(crate) home: PathBuf,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    /// Locked. Every Helm has it as its standard input, so that it stays locked until the last one has ended, even
    /// when this process is killed.
    pub(crate) lock: Arc<File>,
    pub(crate) major: u64,
}

/// A release, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) status: String,
}

/// A release, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) status: String,
    pub(crate) revision: u64,
    pub(crate) description: String,
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct HistoryEntry {
    revision: u64,
    status: String,
}

impl Helm {
    /// The major version of the program.
    pub(crate) async fn version(&self) -> Result<u64, RuntimeError> {
        let text = self.run(["version", "--template", "{{.Version}}"], Duration::from_secs(10)).await?;
        let major = text.trim().strip_prefix('v').and_then(|text| text.split('.').next()?.parse().ok());
        major.filter(|major| (3..=4).contains(major)).ok_or_else(|| {
            let message =
                format!("`{}` is Helm {}, and 3 or 4 is needed", self.program.display(), text.trim());
            RuntimeError::new("helm-unsupported", message)
        })
    }

    pub(crate) async fn list(&self, selector: &str) -> Result<Vec<Listed>, RuntimeError> {
        let arguments = [
            "list",
            "--all-namespaces",
            // Helm 4 has no `--all`, which Helm 3 needs.
            "--deployed",
            "--failed",
            "--pending",
            "--uninstalling",
            "--max",
            "100000",
            "--output",
            "json",
            "--selector",
            selector,
        ];
        let text = self.run(arguments, Duration::from_mins(1)).await?;
        serde_json::from_str(&text).map_err(not_understood)
    }

    /// `None` if there is no such release.
    pub(crate) async fn facts(&self, namespace: &str, name: &str) -> Result<Option<Facts>, RuntimeError> {
        let arguments = ["get", "all", name, "--namespace", namespace, "--template", FACTS];
        match self.run(arguments, Duration::from_mins(1)).await {
            Ok(text) => facts(&text).map(Some).ok_or_else(|| {
                RuntimeError::new("helm", format!("what Helm says of release `{name}` is not understood"))
            }),
            Err(error) if error.message().contains("release: not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest revision that worked.
    pub(crate) async fn last_good(&self, namespace: &str, name: &str) -> Result<Option<u64>, RuntimeError> {
        let arguments = ["history", name, "--namespace", namespace, "--max", "256", "--output", "json"];
        let text = self.run(arguments, Duration::from_mins(1)).await?;
        let history: Vec<HistoryEntry> = serde_json::from_str(&text).map_err(not_understood)?;
        let newest = |status: &str| {
            history.iter().filter(|entry| entry.status == status).map(|entry| entry.revision).max()
        };
        Ok(newest("deployed").or_else(|| newest("superseded")))
    }

    pub(crate) async fn uninstall(
        &self,
        namespace: &str,
        name: &str,
        limit: Duration,
    ) -> Result<(), RuntimeError> {
        let timeout = seconds(limit);
        let mut arguments =
            vec!["uninstall", name, "--namespace", namespace, "--no-hooks", "--ignore-not-found"];
        arguments.extend(["--wait", "--timeout", &timeout]);
        self.run(arguments, limit + GRACE).await.map(drop)
    }

    pub(crate) async fn rollback(
        &self,
        namespace: &str,
        name: &str,
        revision: u64,
        limit: Duration,
    ) -> Result<(), RuntimeError> {
        let (timeout, revision) = (seconds(limit), revision.to_string());
        let mut arguments = vec!["rollback", name, &revision, "--namespace", namespace, "--no-hooks"];
        arguments.extend(["--wait", "--timeout", &timeout]);
        self.run(arguments, limit + GRACE).await.map(drop)
    }

    /// Runs Helm, and returns what it says. It ends with this future, and at the latest after `limit`.
    pub(crate) async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        limit: Duration,
    ) -> Result<String, RuntimeError> {
        let lock = self.lock.try_clone().map_err(|cause| {
            RuntimeError::new("storage", format!("the lock cannot be handed on: {cause}")).because(cause)
        })?;
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"))
            .current_dir(&self.home)
            .args(arguments)
            .stdin(lock)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Where the cluster is, for whoever is in it.
        for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(file) = &self.kubeconfig {
            command.env("KUBECONFIG", file);
        }
        if let Some(context) = &self.context {
            command.env("HELM_KUBECONTEXT", context);
        }
        let finished = tokio::time::timeout(limit, finish(&mut command)).await;
        let (is_success, answer, complaint) = finished
            .map_err(|_| {
                let message = format!("Helm did not end within {} s and was ended", limit.as_secs());
                RuntimeError::new("timed-out", message)
            })?
            .map_err(|cause| {
                let message = format!("`{}` cannot be run: {cause}", self.program.display());
                RuntimeError::new("helm-missing", message).because(cause)
            })?;
        if is_success { Ok(answer) } else { Err(failure(&complaint)) }
    }
}

/// Locks the file at `path`, which is made if need be, as soon as no Helm of an earlier process runs any more: it would
/// change what is read here. Each of them ends by itself.
pub(crate) async fn lock(path: PathBuf) -> Result<File, RuntimeError> {
    let failed = |cause: io::Error| {
        RuntimeError::new("storage", format!("`{}` cannot be locked: {cause}", path.display())).because(cause)
    };
    let file = File::options().create(true).truncate(false).write(true).read(true).open(&path);
    let file = file.map_err(failed)?;
    let deadline = Instant::now() + PREDECESSOR;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(TryLockError::WouldBlock) => {
                let message = "a Helm that was started before is still at work; it is waited for";
                return Err(RuntimeError::new("helm-busy", message));
            }
        }
    }
}

/// As Helm reads a duration.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs().max(1))
}

async fn finish(command: &mut Command) -> io::Result<(bool, String, String)> {
    let mut child = command.spawn()?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let read = async |pipe: Option<tokio::process::ChildStdout>| {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            (&mut pipe).take(MAX_ANSWER).read_to_end(&mut bytes).await?;
            // What is too much is an error, and a pipe that nobody reads would stop the program.
            if tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await? > 0 {
                return Err(io::Error::other("it says more than 8 MiB"));
            }
        }
        io::Result::Ok(bytes)
    };
    let complain = async |pipe: Option<tokio::process::ChildStderr>| {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            (&mut pipe).take(MAX_COMPLAINT).read_to_end(&mut bytes).await?;
            tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
        }
        io::Result::Ok(bytes)
    };
    let (answer, complaint) = tokio::try_join!(read(output), complain(errors))?;
    let status = child.wait().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status.success(), text(answer), text(complaint)))
}

fn facts(text: &str) -> Option<Facts> {
    let mut lines = text.lines();
    let status = lines.next()?.to_owned();
    let revision = lines.next()?.parse().ok()?;
    let description = lines.next()?;
    let description = serde_json::from_str(description).unwrap_or_else(|_| description.to_owned());
    let labels =
        lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Some(Facts { status, revision, description, labels })
}

/// What a complaint of Helm means to whoever reads the report.
fn failure(complaint: &str) -> RuntimeError {
    let start = complaint.find("Error: ").map_or(0, |at| at + "Error: ".len());
    let message = complaint.get(start..).unwrap_or_default().trim();
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    let has = |text: &str| message.contains(text);
    let code = if has("cluster unreachable") || has("connection refused") || has("no such host") {
        "cluster-unreachable"
    } else if has("specifications of the schema") {
        "invalid-parameter"
    } else if has("timed out waiting") || has("deadline exceeded") || has("context deadline") {
        "timed-out"
    } else if has("is forbidden") || has("Unauthorized") {
        "cluster-unauthorized"
    } else if has("cannot be imported into the current release") || has("conflict") {
        "resource-taken"
    } else {
        "helm"
    };
    RuntimeError::new(
        code,
        if message.is_empty() { "Helm failed, and did not say why".into() } else { message },
    )
}

fn not_understood(cause: serde_json::Error) -> RuntimeError {
    RuntimeError::new("helm", "what Helm says is not understood").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_become_codes() {
        for (complaint, code) in [
            ("Error: Kubernetes cluster unreachable: Get \"https://x\": dial", "cluster-unreachable"),
            ("WARNING: x\nError: values don't meet the specifications of the schema(s)", "invalid-parameter"),
            ("Error: UPGRADE FAILED: release x failed: timed out waiting for the condition", "timed-out"),
            ("Error: secrets is forbidden: User", "cluster-unauthorized"),
            (
                "Error: ConfigMap \"x\" exists and cannot be imported into the current release",
                "resource-taken",
            ),
            ("Error: something else", "helm"),
            ("", "helm"),
        ] {
            assert_eq!(failure(complaint).code(), code, "{complaint}");
        }
        assert_eq!(failure("WARNING: w\nError: because\nof this\n").message(), "because\nof this");
        assert_eq!(failure(&"x".repeat(5000)).message().len(), MAX_MESSAGE);
    }

    #[test]
    fn facts_are_read() {
        let text = "deployed\n3\n\"Upgrade \\\"complete\\\"\"\nmargo.org/managed=true\na=b=c\n";
        let facts = facts(text).unwrap();
        assert_eq!((facts.status.as_str(), facts.revision), ("deployed", 3));
        assert_eq!(facts.description, "Upgrade \"complete\"");
        assert_eq!(facts.labels["a"], "b=c");
        assert_eq!(super::facts("deployed\nx\n\n"), None);
        assert_eq!(super::facts(""), None);
    }
}
