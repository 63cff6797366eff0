//! What is asked of the engine itself, beside Compose.

use std::collections::BTreeSet;
use std::time::Duration;

use margo_api::RuntimeError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::OnceCell;

use crate::api::{Api, Frames};
use crate::condition::Container;
use crate::failure::{self, explain, last};
use crate::process::{CallError, Streaming};
use crate::tool::Tool;

/// How long the engine may take to answer a question.
const ANSWER: Duration = Duration::from_secs(30);

/// How many of a container's last lines go into a message.
const LOG_LINES: &str = "10";

/// The events of containers that are worth a look.
const EVENTS: &[&str] =
    &["die", "destroy", "stop", "kill", "oom", "pause", "unpause", "start", "health_status"];

/// The engine behind a tool.
///
/// Docker's is asked on its socket where it has one: a process for each question is what a device has to spare least.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) tool: Tool,
    api: Option<Api>,
    host: OnceCell<Host>,
}

/// What the engine runs on.
#[derive(Clone, Debug)]
struct Host {
    /// As images say it: `linux/amd64`.
    platform: String,
    folder: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    os: String,
    architecture: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(rename = "OSType")]
    os_type: String,
    architecture: String,
    docker_root_dir: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

/// What happens to containers, as the engine tells it.
#[derive(Debug)]
pub(crate) enum Changes {
    OfApi(Frames),
    OfTool(Box<ToolChanges>),
}

/// The lines of a tool that tells them.
#[derive(Debug)]
pub(crate) struct ToolChanges {
    lines: Lines<BufReader<ChildStdout>>,
    /// It ends when this is dropped.
    _stream: Streaming,
}

impl Changes {
    /// Waits for the next; `false` when there are no more.
    pub(crate) async fn next(&mut self) -> bool {
        match self {
            Self::OfApi(frames) => frames.next().await,
            Self::OfTool(tool) => matches!(tool.lines.next_line().await, Ok(Some(_))),
        }
    }
}

impl Engine {
    pub(crate) fn new(tool: Tool) -> Self {
        let api = tool.socket().map(|socket| Api::new(&socket));
        Self { tool, api, host: OnceCell::new() }
    }

    /// Whether a question to it costs no process.
    pub(crate) fn is_asked_cheaply(&self) -> bool {
        self.api.is_some()
    }

    /// The containers with all of these labels, running or not.
    pub(crate) async fn containers(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        let failed = |error| explain("what runs cannot be seen", "engine-failed", error);
        if let Some(api) = &self.api {
            return listed(api, labels).await.map_err(failed);
        }
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
        let parsed = |text: &str| parse::<Vec<Container>>(text.as_bytes()).map_err(failed);
        match inspect().args(ids.iter().copied()).read().await {
            Ok(text) => parsed(&text),
            // One of them is gone by now: ask for each.
            Err(CallError::Failed { .. }) => {
                let mut containers = Vec::new();
                for id in ids {
                    if let Ok(text) = inspect().arg(id).read().await {
                        containers.extend(parsed(&text)?);
                    }
                }
                Ok(containers)
            }
            Err(error) => Err(failed(error)),
        }
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
        let Some(found) = self.image(image).await? else { return Ok(false) };
        let host = self.host().await?;
        let platform = format!("{}/{}", found.os, found.architecture);
        if !found.architecture.is_empty() && platform != host.platform {
            let message = format!("image `{image}` is for {platform}, and this device is {}", host.platform);
            return Err(RuntimeError::new("wrong-architecture", message));
        }
        Ok(true)
    }

    async fn image(&self, image: &str) -> Result<Option<Image>, RuntimeError> {
        let failed = |error| explain("images cannot be seen", "engine-failed", error);
        if let Some(api) = &self.api {
            if !is_image_name(image) {
                // Whoever pulls it says what is wrong with it.
                return Ok(None);
            }
            let found = api.get(&format!("/images/{image}/json"), &[], ANSWER).await.map_err(failed)?;
            return found.map(|text| parse(&text)).transpose().map_err(failed);
        }
        match self.tool.engine(ANSWER).args(["image", "inspect", image]).read().await {
            Ok(text) => Ok(parse::<Vec<Image>>(text.as_bytes()).map_err(failed)?.pop()),
            Err(CallError::Failed { errors, .. }) if errors.to_lowercase().contains("no such image") => {
                Ok(None)
            }
            Err(error) => match failed(error) {
                // Podman says it in other words.
                error if error.code() == "engine-failed" => Ok(None),
                error => Err(error),
            },
        }
    }

    pub(crate) async fn pull(&self, image: &str, limit: Duration) -> Result<(), RuntimeError> {
        match self.tool.engine(limit).args(["pull", "--quiet", image]).read().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let what = format!("image `{image}` cannot be pulled");
                Err(self.explain(&what, "image-pull", error).await)
            }
        }
    }

    /// As [`explain`]; of a failure that says nothing of the engine, the engine may still be the cause.
    pub(crate) async fn explain(&self, what: &str, otherwise: &str, error: CallError) -> RuntimeError {
        let error = explain(what, otherwise, error);
        if error.code() != otherwise || self.answers().await {
            return error;
        }
        let message = format!("{what}: {}", failure::NO_ENGINE);
        RuntimeError::new("engine-unavailable", message).because(error)
    }

    async fn answers(&self) -> bool {
        match &self.api {
            Some(api) => api.get("/_ping", &[], ANSWER).await.is_ok(),
            None => self.tool.engine(ANSWER).arg("version").read().await.is_ok(),
        }
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

    /// Whatever happens to a container with this label, from now on.
    pub(crate) async fn changes(&self, label: &str) -> Result<Changes, CallError> {
        if let Some(api) = &self.api {
            let filters = json!({ "type": ["container"], "label": [label], "event": EVENTS }).to_string();
            return Ok(Changes::OfApi(api.stream("/events", &[("filters", &filters)]).await?));
        }
        let mut events = self.tool.engine(Duration::MAX).args(["events", "--format", "{{.Status}}"]);
        for event in EVENTS {
            events = events.arg("--filter").arg(format!("event={event}"));
        }
        let events =
            events.arg("--filter").arg("type=container").arg("--filter").arg(format!("label={label}"));
        let mut stream = events.stream()?;
        let output = stream.child.stdout.take();
        let output = output.ok_or_else(|| CallError::Failed {
            program: "events".to_owned(),
            errors: "there is nothing to read".to_owned(),
        })?;
        let lines = BufReader::new(output).lines();
        Ok(Changes::OfTool(Box::new(ToolChanges { lines, _stream: stream })))
    }

    /// What the engine runs on, as images say it: `linux/amd64`.
    pub(crate) async fn platform(&self) -> Result<&str, RuntimeError> {
        Ok(&self.host().await?.platform)
    }

    async fn host(&self) -> Result<&Host, RuntimeError> {
        let failed = |error| explain("the engine cannot be asked", "engine-failed", error);
        let ask = async || {
            if let Some(api) = &self.api {
                let text = api.get("/info", &[], ANSWER).await.map_err(failed)?.unwrap_or_default();
                let info: Info = parse(&text).map_err(failed)?;
                let platform = plain(&format!("{}/{}", info.os_type, info.architecture));
                return Ok(Host { platform, folder: info.docker_root_dir });
            }
            let format = if self.tool.is_podman() {
                "{{.Version.OsArch}} {{.Store.GraphRoot}}"
            } else {
                "{{.OSType}}/{{.Architecture}} {{.DockerRootDir}}"
            };
            let text = self.tool.engine(ANSWER).args(["info", "--format", format]).read().await;
            let text = text.map_err(failed)?;
            let (platform, folder) = text.trim().split_once(' ').unwrap_or((text.trim(), "/"));
            Ok(Host { platform: plain(platform), folder: folder.to_owned() })
        };
        self.host.get_or_try_init(ask).await
    }
}

async fn listed(api: &Api, labels: &[String]) -> Result<Vec<Container>, CallError> {
    let filters = json!({ "label": labels }).to_string();
    let list = api.get("/containers/json", &[("all", "1"), ("filters", &filters)], ANSWER).await?;
    let list: Vec<Listed> = parse(&list.unwrap_or_default())?;
    let mut containers = Vec::with_capacity(list.len());
    for Listed { id } in list {
        // One that is gone by now is none.
        if let Some(text) = api.get(&format!("/containers/{id}/json"), &[], ANSWER).await? {
            containers.push(parse(&text)?);
        }
    }
    Ok(containers)
}

/// Whether a text can be the name of an image, and stand in a path.
fn is_image_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:@/".contains(&byte);
    text.bytes().all(is_of_name)
        && text.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The engine says `x86_64` where images say `amd64`.
fn plain(platform: &str) -> String {
    platform.replace("x86_64", "amd64").replace("aarch64", "arm64").replace("armv7l", "arm")
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(text).map_err(|error| CallError::Failed {
        program: "engine".to_owned(),
        errors: format!("what it says is not understood: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_go_into_a_path() {
        for name in ["box", "r.example:5000/a/box:1", "box@sha256:0123", "sha256:0123"] {
            assert!(is_image_name(name), "{name}");
        }
        for name in ["", "../containers/x", "a/../b", "box?x", "a b", "box#1", "bo%78", "/box", "a//b"] {
            assert!(!is_image_name(name), "{name}");
        }
    }
}
