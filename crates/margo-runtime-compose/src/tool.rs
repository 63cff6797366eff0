use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use margo_api::RuntimeError;

use crate::environment::Dialect;
use crate::failure::explain;
use crate::process::Call;

/// How long a tool may take to say its version.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// The `PATH` of every program that is started.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where Docker's engine listens unless it is told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The tools this runtime works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a further one needs code of its own")]
pub enum ToolKind {
    /// `docker compose`: the plugin of Docker's command line.
    DockerCompose,
    /// `docker-compose`: 1.29, or the newer ones that stand alone.
    DockerComposeStandalone,
    /// `podman-compose`, from 1.0.6 on. It makes every container of a project anew when one changes.
    PodmanCompose,
}

impl ToolKind {
    /// All of them, the preferred first.
    pub const ALL: [Self; 3] = [Self::DockerCompose, Self::DockerComposeStandalone, Self::PodmanCompose];

    fn compose(self) -> &'static [&'static str] {
        match self {
            Self::DockerCompose => &["docker", "compose"],
            Self::DockerComposeStandalone => &["docker-compose"],
            Self::PodmanCompose => &["podman-compose"],
        }
    }

    /// Its version in what it prints: `podman-compose` tells Podman's too, perhaps first.
    fn version(self, text: &str) -> Option<String> {
        match self {
            Self::PodmanCompose => version(text.split_once("podman-compose")?.1),
            Self::DockerCompose | Self::DockerComposeStandalone => version(text),
        }
    }

    fn engine(self) -> &'static str {
        match self {
            Self::DockerCompose | Self::DockerComposeStandalone => "docker",
            Self::PodmanCompose => "podman",
        }
    }
}

impl fmt::Display for ToolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.compose().join(" "))
    }
}

/// How the engine is reached.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineAccess {
    /// The engine's address, such as `unix:///run/docker.sock`. Default: what the tools take by default.
    pub host: Option<String>,
    /// The folder with the `config.json` that holds the credentials of image registries. Default: none.
    pub config: Option<PathBuf>,
    /// Where programs are looked for. Default: the system's folders.
    pub path: Option<OsString>,
}

/// A Compose tool and the engine it talks to.
#[derive(Clone, Debug)]
pub struct Tool {
    kind: ToolKind,
    version: String,
    access: EngineAccess,
    /// The home folder of the programs, which is not the agent's.
    home: PathBuf,
}

impl Tool {
    /// The first of `kinds` that is there. `home` is a folder for what the tools keep for themselves.
    ///
    /// # Errors
    ///
    /// None is there; the error says what each of them said.
    pub async fn probe(kinds: &[ToolKind], access: EngineAccess, home: &Path) -> Result<Self, NoTool> {
        let mut said = Vec::new();
        for kind in kinds {
            let mut tool =
                Self { kind: *kind, version: String::new(), access: access.clone(), home: home.to_owned() };
            let arguments: &[&str] =
                if *kind == ToolKind::PodmanCompose { &["--version"] } else { &["version", "--short"] };
            match tool.compose(Path::new("/"), PROBE_LIMIT).args(arguments).read().await {
                Ok(text) => match kind.version(&text) {
                    Some(version)
                        if *kind == ToolKind::PodmanCompose && numbers(&version) < PODMAN_COMPOSE =>
                    {
                        let (major, minor, patch) = PODMAN_COMPOSE;
                        said.push(format!(
                            "`{kind}` is {version}, and {major}.{minor}.{patch} is the oldest that works"
                        ));
                    }
                    Some(version) => {
                        tool.version = version;
                        return Ok(tool);
                    }
                    None => said.push(format!("`{kind}` does not say its version")),
                },
                Err(error) => {
                    let first = error.said().lines().next().map(str::to_owned);
                    said.push(format!("`{kind}`: {}", first.unwrap_or_else(|| error.to_string())));
                }
            }
        }
        Err(NoTool { said: said.join("; ") })
    }

    /// Which tool it is.
    #[must_use]
    pub fn kind(&self) -> ToolKind {
        self.kind
    }

    /// Its version, as it says it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Asks the engine behind the tool who it is.
    ///
    /// # Errors
    ///
    /// It does not answer, or not in time; the error has what its command line said.
    pub async fn engine_info(&self) -> Result<EngineInfo, RuntimeError> {
        let format = if self.is_podman() {
            "{{.Version.Version}} {{.Store.GraphRoot}}"
        } else {
            "{{.ServerVersion}} {{.DockerRootDir}}"
        };
        let said = self.engine(PROBE_LIMIT).args(["info", "--format", format]).read().await;
        let said = said.map_err(|error| explain("the engine cannot be asked", "engine-failed", error))?;
        match said.trim().split_once(' ') {
            Some((version, folder)) if !version.is_empty() => {
                Ok(EngineInfo { version: version.to_owned(), folder: folder.into() })
            }
            _ => Err(RuntimeError::new("engine-failed", "the engine does not say its version")),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        let is_first = self.version.starts_with("1.");
        match self.kind {
            ToolKind::PodmanCompose => Dialect::Python,
            ToolKind::DockerComposeStandalone if is_first => Dialect::Python,
            _ => Dialect::Go,
        }
    }

    /// A call of the Compose tool.
    pub(crate) fn compose(&self, directory: &Path, limit: Duration) -> Call {
        let words = self.kind.compose();
        self.call(words[0], directory, limit).args(words[1..].iter().copied())
    }

    /// A call of the engine's command line.
    pub(crate) fn engine(&self, limit: Duration) -> Call {
        self.call(self.kind.engine(), Path::new("/"), limit)
    }

    /// The Unix socket on which Docker's engine listens, where it is on one.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        if self.is_podman() {
            return None;
        }
        match (&self.access.host, &self.access.config) {
            (Some(host), _) => host.strip_prefix("unix://").map(PathBuf::from),
            // This file may name another engine.
            (None, Some(config)) if config.join("config.json").exists() => None,
            (None, _) => Some(DEFAULT_SOCKET.into()),
        }
    }

    pub(crate) fn is_podman(&self) -> bool {
        self.kind == ToolKind::PodmanCompose
    }

    fn call(&self, program: &str, directory: &Path, limit: Duration) -> Call {
        let path = self.access.path.clone().unwrap_or_else(|| PATH.into());
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
        let program = found.unwrap_or_else(|| program.into());
        let mut call = Call::new(&program, directory, limit)
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("LANG", "C.UTF-8");
        if let Some(host) = &self.access.host {
            let name = if self.is_podman() { "CONTAINER_HOST" } else { "DOCKER_HOST" };
            call = call.env(name, host);
        }
        if let Some(config) = &self.access.config {
            call = if self.is_podman() {
                call.env("REGISTRY_AUTH_FILE", config.join("config.json"))
            } else {
                call.env("DOCKER_CONFIG", config)
            };
        }
        call
    }
}

/// An engine, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// Its version.
    pub version: String,
    /// Where it keeps images, on the machine it runs on.
    pub folder: PathBuf,
}

/// No Compose tool is on this device.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Compose tool is found: install Debian's `docker-compose`, or Docker's `docker-compose-plugin` ({said})"
)]
pub struct NoTool {
    said: String,
}

/// The version in what a tool prints, which may stand after a name or a `v`.
fn version(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v').trim_end_matches(','))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

/// The oldest `podman-compose` that works: those before, such as Debian 12's, have no `config`.
const PODMAN_COMPOSE: (u64, u64, u64) = (1, 0, 6);

/// Major, minor and patch; what is missing counts as zero.
fn numbers(version: &str) -> (u64, u64, u64) {
    let mut numbers = version.split('.').map(|text| text.parse().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        assert_eq!(version("1.29.2\n").as_deref(), Some("1.29.2"));
        assert_eq!(version("v2.40.3\n").as_deref(), Some("2.40.3"));
        let podman = |text: &str| ToolKind::PodmanCompose.version(text);
        let old = "['podman', '--version', '']\nusing podman version: 4.3.1\npodman-composer version  1.0.3";
        assert_eq!(podman(old).as_deref(), Some("1.0.3"));
        assert_eq!(podman("podman-compose version 1.3.0\npodman version 4.3.1").as_deref(), Some("1.3.0"));
        assert!(numbers("1.0.3") < PODMAN_COMPOSE && numbers("1.3") > PODMAN_COMPOSE);
        assert_eq!(version("docker: 'compose' is not a command"), None);
    }

    #[tokio::test]
    async fn the_first_tool_that_answers_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let access = EngineAccess { path: Some(folder.path().into()), ..EngineAccess::default() };
        let probe = async || Tool::probe(&ToolKind::ALL, access.clone(), folder.path()).await;

        let error = probe().await.unwrap_err().to_string();
        assert!(
            error.contains("install Debian's `docker-compose`") && error.contains("podman-compose"),
            "{error}"
        );

        program("podman-compose", "echo podman-composer version 1.0.3");
        let error = probe().await.unwrap_err().to_string();
        assert!(error.contains("`podman-compose` is 1.0.3, and 1.0.6 is the oldest that works"), "{error}");

        program("podman-compose", "echo podman-compose version 1.3.0");
        let tool = probe().await.unwrap();
        assert_eq!((tool.kind(), tool.dialect()), (ToolKind::PodmanCompose, Dialect::Python));
        program("docker-compose", "echo 1.29.2");
        let tool = probe().await.unwrap();
        assert_eq!((tool.kind(), tool.dialect()), (ToolKind::DockerComposeStandalone, Dialect::Python));
        program("docker-compose", "echo 2.40.3");
        assert_eq!(probe().await.unwrap().dialect(), Dialect::Go);
        // A command line without the plugin.
        program("docker", "echo \"docker: unknown command: docker compose\" >&2; exit 1");
        assert_eq!(probe().await.unwrap().kind(), ToolKind::DockerComposeStandalone);
        program("docker", "echo v2.40.3");
        let tool = probe().await.unwrap();
        assert_eq!((tool.kind(), tool.version()), (ToolKind::DockerCompose, "2.40.3"));
    }

    #[tokio::test]
    async fn an_engine_says_who_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let program = |script: &str| {
            let file = folder.path().join("docker");
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let access = EngineAccess { path: Some(folder.path().into()), ..EngineAccess::default() };
        program("echo v2.40.3");
        let tool = Tool::probe(&ToolKind::ALL, access, folder.path()).await.unwrap();
        program("[ \"$1\" = info ] && echo '20.10.24 /var/lib/docker'");
        let info = tool.engine_info().await.unwrap();
        assert_eq!((info.version.as_str(), info.folder), ("20.10.24", "/var/lib/docker".into()));
        program("echo 'Cannot connect to the Docker daemon' >&2; exit 1");
        assert_eq!(tool.engine_info().await.unwrap_err().code(), "engine-unavailable");
        program("echo ' '");
        assert_eq!(tool.engine_info().await.unwrap_err().code(), "engine-failed");
    }
}
