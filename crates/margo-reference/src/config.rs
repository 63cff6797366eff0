//! The configuration of `margo-device`: one TOML file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use margo_core::{ComponentName, DeviceId, SpecVersion};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::runtimes::{ComposeSection, HelmSection, PackagesSection};

/// The most bytes of a configuration file or token that are read.
const MAX_FILE: u64 = 1 << 20;

/// What a device's client needs to know.
///
/// Paths are relative to the file they stand in. Durations are text such as `30s`, `5m` or `1h 30m`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DeviceConfig {
    /// The device itself.
    pub device: DeviceSection,
    /// The manager it reports to.
    pub manager: ManagerSection,
    /// Where it learns what to run.
    pub desired_state: DesiredStateSection,
    /// When it asks (R-A-009, R-B-014).
    #[serde(default)]
    pub schedule: ScheduleSection,
    /// What makes workloads run.
    pub runtime: RuntimeSection,
}

/// The device itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DeviceSection {
    /// Its id, as the operator onboarded it.
    pub id: DeviceId,
    /// The folder where the client remembers things. Default: `data`.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// The file with its capabilities; what it leaves out is read off the host.
    pub capabilities: PathBuf,
    /// How often that file is looked at. Default: `5s`.
    #[serde(default = "default_check", deserialize_with = "duration")]
    pub capabilities_check: Duration,
}

/// The manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ManagerSection {
    /// Where it is (R-A-010).
    pub url: Url,
    /// The revision the two speak. Default: the newest.
    #[serde(default = "default_revision")]
    pub revision: SpecVersion,
    /// The file with the client's token.
    pub token_file: PathBuf,
}

/// Where the device learns what to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DesiredStateSection {
    /// Over REST or from Git.
    pub source: SourceKind,
    /// The Git repository; for `git` only.
    pub url: Option<Url>,
    /// The file with the token of the repository; for `git` only.
    pub token_file: Option<PathBuf>,
}

/// How desired state travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceKind {
    /// The state manifest of 1.0.0-rc.3.
    Rest,
    /// A Git repository (R-A-005).
    Git,
}

/// When the device asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct ScheduleSection {
    /// The time between two polls: the polling *rate*. Default: `30s`.
    #[serde(deserialize_with = "duration")]
    pub rate: Duration,
    /// How much a pause may differ from the rate, as a fraction from 0 to 1. Default: 0.1.
    pub jitter: f64,
    /// The hours of the day in which to poll, such as `06:00-22:00`: the polling *period*. Default: all.
    pub period: Vec<String>,
    /// The hours of the day in which neither to poll nor to count errors. Default: none.
    pub downtime: Vec<String>,
    /// The time zone of both, such as `Europe/Stockholm`. Default: `UTC`.
    pub time_zone: String,
}

impl Default for ScheduleSection {
    fn default() -> Self {
        Self {
            rate: Duration::from_secs(30),
            jitter: 0.1,
            period: Vec::new(),
            downtime: Vec::new(),
            time_zone: "UTC".to_owned(),
        }
    }
}

/// What makes workloads run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RuntimeSection {
    /// Which runtime.
    pub kind: RuntimeKind,
    /// The folder it writes to.
    pub folder: PathBuf,
    /// How long every component takes, to try things out. Default: none.
    #[serde(default, deserialize_with = "duration")]
    pub delay: Duration,
    /// Components that fail, to try things out.
    #[serde(default)]
    pub fail: BTreeMap<ComponentName, FailSection>,
    /// Where packages come from; for `engine` only.
    #[serde(default)]
    pub packages: PackagesSection,
    /// How Compose deployments run; for `engine` only. Without it none does.
    pub compose: Option<ComposeSection>,
    /// How Helm deployments run; for `engine` only. Without it none does.
    pub helm: Option<HelmSection>,
}

/// A component that fails.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FailSection {
    /// The code of the error.
    pub code: String,
    /// The message of the error.
    pub message: String,
    /// How many times it fails before it succeeds. Default: always.
    pub times: Option<u32>,
}

/// The runtimes this program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RuntimeKind {
    /// Writes what Helm or Compose would be handed into a folder.
    Folder,
    /// Runs it.
    Engine,
}

impl RuntimeSection {
    fn relative_to(&mut self, base: &Path) {
        let packages = &mut self.packages;
        let registries = packages.registries.values_mut().map(|registry| registry.password_file.as_mut());
        let of_compose = self.compose.iter_mut().map(|compose| compose.docker_config.as_mut());
        let of_helm = self.helm.iter_mut().map(|helm| helm.kubeconfig.as_mut());
        let files = [packages.registry_config.as_mut(), packages.root_certificate.as_mut()].into_iter();
        for path in files.chain(registries).chain(of_compose).chain(of_helm).flatten() {
            *path = base.join(&path);
        }
    }
}

impl DeviceConfig {
    /// Reads the configuration in the file `path`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or understood, with the place.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_file(path)?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("`{}` is not a configuration", path.display()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        let paths = [
            Some(&mut config.device.data),
            Some(&mut config.device.capabilities),
            Some(&mut config.manager.token_file),
            config.desired_state.token_file.as_mut(),
            Some(&mut config.runtime.folder),
        ];
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        config.runtime.relative_to(base);
        let git = config.desired_state.source == SourceKind::Git;
        ensure!(
            !git || config.desired_state.url.is_some(),
            "`desired-state.url` is missing: where the repository is"
        );
        ensure!(
            git || config.manager.revision != SpecVersion::PreDraft,
            "the pre-draft has no state manifest: set `desired-state.source` to \"git\""
        );
        Ok(config)
    }
}

/// Reads a secret that stands alone in a file.
///
/// # Errors
///
/// A file that cannot be read, or that is empty.
pub fn read_secret(path: &Path) -> Result<String> {
    let text = read_file(path)?;
    let secret = text.trim();
    ensure!(!secret.is_empty(), "`{}` is empty", path.display());
    Ok(secret.to_owned())
}

fn read_file(path: &Path) -> Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(text)
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let signed: jiff::SignedDuration = text.parse().map_err(serde::de::Error::custom)?;
    Duration::try_from(signed).map_err(|_| serde::de::Error::custom("a duration cannot be negative"))
}

fn default_data() -> PathBuf {
    "data".into()
}

fn default_check() -> Duration {
    Duration::from_secs(5)
}

fn default_revision() -> SpecVersion {
    SpecVersion::LATEST
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        [device]
        id = "line-3"
        capabilities = "capabilities.yaml"
        [manager]
        url = "http://127.0.0.1:8080"
        token-file = "token"
        [desired-state]
        source = "rest"
        [runtime]
        kind = "folder"
        folder = "workloads"
    "#;

    fn read(text: &str) -> Result<DeviceConfig> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("margo-device.toml");
        std::fs::write(&file, text)?;
        DeviceConfig::read(&file)
    }

    #[test]
    fn what_is_left_out_has_a_default_and_paths_are_relative_to_the_file() {
        let config = read(MINIMAL).unwrap();
        assert_eq!(config.manager.revision, SpecVersion::LATEST);
        assert_eq!(config.schedule.rate, Duration::from_secs(30));
        assert!(config.device.data.is_absolute());
        assert!(config.runtime.folder.ends_with("workloads"));
    }

    #[test]
    fn an_error_names_the_place() {
        let error = format!("{:#}", read(&MINIMAL.replace("folder = ", "fodler = ")).unwrap_err());
        assert!(error.contains("fodler"), "{error}");
        let error = format!("{:#}", read(&format!("{MINIMAL}\ndelay = \"-1s\"")).unwrap_err());
        assert!(error.contains("negative"), "{error}");
    }

    #[test]
    fn the_pre_draft_goes_with_git_alone() {
        let text = MINIMAL.replace("token-file", "revision = \"pre-draft\"\ntoken-file");
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("desired-state.source"), "{error}");
        let error = read(&text.replace("\"rest\"", "\"git\"")).unwrap_err().to_string();
        assert!(error.contains("desired-state.url"), "{error}");
    }
}
