//! What is asked of the engine itself, beside Compose.

use std::collections::BTreeSet;
use std::time::Duration;

use margo_api::RuntimeError;
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::condition::Container;
use crate::failure::{explain, last};
use crate::process::{CallError, Streaming};
use crate::tool::Tool;

/// How long the engine may take to answer a question.
const ANSWER: Duration = Duration::from_secs(30);

/// How many of a container's last lines go into a message.
const LOG_LINES: &str = "10";

/// The engine behind a tool.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) tool: Tool,
    host: OnceCell<Host>,
}

/// What the engine runs on.
#[derive(Clone, Debug)]
struct Host {
    platform: String,
    folder: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    os: String,
    architecture: String,
}

impl Engine {
    pub(crate) fn new(tool: Tool) -> Self {
        Self { tool, host: OnceCell::new() }
    }

    /// The containers with all of these labels, running or not.
    pub(crate) async fn containers(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        let failed = |error| explain("what runs cannot be seen", "engine-failed", error);
        let mut list = self.tool.engine(ANSWER).args(["ps", "--all", "--quiet", "--no-trunc"]);
        for label in labels {
            list = list.arg("--filter").arg(format!("label={label}"));
        }
        let list = list.read().await.map_err(failed)?;
        let ids: Vec<&str> = list.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = || self.tool.engine(ANSWER).args(["container", "inspect"]);
        let text = match inspect().args(ids.iter().copied()).read().await {
            Ok(text) => text,
            // One of them is gone by now: ask for each.
            Err(CallError::Failed { .. }) => {
                let mut containers = Vec::new();
                for id in ids {
                    if let Ok(text) = inspect().arg(id).read().await {
                        containers.extend(parse(&text)?);
                    }
                }
                return Ok(containers);
            }
            Err(error) => return Err(failed(error)),
        };
        parse(&text)
    }

    /// The last lines a container wrote; nothing when they cannot be had.
    pub(crate) async fn last_lines(&self, container: &Container) -> String {
        // Programs write to both, and so does `logs`.
        let logs = self.tool.engine(ANSWER).args(["logs", "--tail", LOG_LINES, &container.id]);
        let lines = logs.read_both().await.unwrap_or_default();
        last(&lines)
    }

    pub(crate) async fn stop(&self, container: &Container) -> Result<(), RuntimeError> {
        let stop = self.tool.engine(ANSWER).args(["stop", &container.id]);
        stop.read()
            .await
            .map(drop)
            .map_err(|error| explain("a container cannot be stopped", "engine-failed", error))
    }

    /// Whether the image is here; an error when it is one that cannot run here.
    pub(crate) async fn has(&self, image: &str) -> Result<bool, RuntimeError> {
        let inspect = self.tool.engine(ANSWER).args(["image", "inspect", image]);
        let text = match inspect.read().await {
            Ok(text) => text,
            Err(CallError::Failed { errors, .. }) if errors.to_lowercase().contains("no such image") => {
                return Ok(false);
            }
            Err(error) => {
                let error = explain("images cannot be seen", "engine-failed", error);
                // Podman says it in other words.
                return if error.code() == "engine-failed" { Ok(false) } else { Err(error) };
            }
        };
        let images: Vec<Image> = serde_json::from_str(&text).unwrap_or_default();
        let host = self.host().await?;
        if let Some(image_of) = images.first() {
            let platform = format!("{}/{}", image_of.os, image_of.architecture);
            if !image_of.architecture.is_empty() && platform != host.platform {
                let message =
                    format!("image `{image}` is for {platform}, and this device is {}", host.platform);
                return Err(RuntimeError::new("wrong-architecture", message));
            }
        }
        Ok(true)
    }

    pub(crate) async fn pull(&self, image: &str, limit: Duration) -> Result<(), RuntimeError> {
        let pull = self.tool.engine(limit).args(["pull", "--quiet", image]);
        let pulled = pull.read().await;
        pulled
            .map(drop)
            .map_err(|error| explain(&format!("image `{image}` cannot be pulled"), "image-pull", error))
    }

    /// Deletes images that nothing uses. The engine keeps those that something does.
    pub(crate) async fn forget(&self, images: &BTreeSet<String>) {
        for image in images {
            let _ = self.tool.engine(ANSWER).args(["image", "rm", image]).read().await;
        }
    }

    /// The free bytes where images are kept. `None` when that is not on this machine.
    pub(crate) async fn free_bytes(&self) -> Result<Option<u64>, RuntimeError> {
        let host = self.host().await?;
        let Ok(status) = rustix::fs::statvfs(host.folder.as_str()) else { return Ok(None) };
        Ok(Some(status.f_bavail.saturating_mul(status.f_frsize)))
    }

    /// Removes what carries the label, of this kind: `container`, `network` or `volume`.
    pub(crate) async fn sweep(&self, kind: &str, label: &str) -> Result<(), RuntimeError> {
        let failed = |error| explain(&format!("a {kind} cannot be removed"), "remove-failed", error);
        let mut list = self.tool.engine(ANSWER).args([kind, "ls", "--quiet"]);
        if kind == "container" {
            list = list.arg("--all");
        }
        let list = list.arg("--filter").arg(format!("label={label}")).read().await.map_err(failed)?;
        let names: Vec<&str> = list.split_whitespace().collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut remove = self.tool.engine(ANSWER).args([kind, "rm"]);
        if kind == "container" {
            remove = remove.arg("--force");
        }
        remove.args(names).read().await.map(drop).map_err(failed)
    }

    /// A line for whatever happens to a container with this label.
    pub(crate) fn events(&self, label: &str) -> Result<Streaming, CallError> {
        let mut events = self.tool.engine(Duration::MAX).args(["events", "--format", "{{.Status}}"]);
        for event in ["die", "destroy", "stop", "kill", "oom", "pause", "unpause", "start", "health_status"] {
            events = events.arg("--filter").arg(format!("event={event}"));
        }
        events.arg("--filter").arg("type=container").arg("--filter").arg(format!("label={label}")).stream()
    }

    async fn host(&self) -> Result<&Host, RuntimeError> {
        let ask = async || {
            let format = if self.tool.is_podman() {
                "{{.Version.OsArch}} {{.Store.GraphRoot}}"
            } else {
                "{{.OSType}}/{{.Architecture}} {{.DockerRootDir}}"
            };
            let info = self.tool.engine(ANSWER).args(["info", "--format", format]);
            let text = info
                .read()
                .await
                .map_err(|error| explain("the engine cannot be asked", "engine-failed", error))?;
            let (platform, folder) = text.trim().split_once(' ').unwrap_or((text.trim(), "/"));
            Ok(Host { platform: plain(platform), folder: folder.to_owned() })
        };
        self.host.get_or_try_init(ask).await
    }
}

/// The engine says `x86_64` where images say `amd64`.
fn plain(platform: &str) -> String {
    platform.replace("x86_64", "amd64").replace("aarch64", "arm64").replace("armv7l", "arm")
}

fn parse(text: &str) -> Result<Vec<Container>, RuntimeError> {
    serde_json::from_str(text).map_err(|cause| {
        RuntimeError::new("engine-failed", "what the engine says of its containers is not understood")
            .because(cause)
    })
}
