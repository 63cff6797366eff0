//! The configuration of the programs: one TOML file each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use margo_client::is_exposed;
use margo_core::{ClientId, ComponentName, DeviceId, SpecVersion};
use margo_identity::{IdentityFolder, SpkiPin, TlsVersions, TrustBundleUri};
use serde::{Deserialize, Deserializer};
use url::Url;

mod manager;

pub use manager::{
    AcceptClients, AdmitDevices, LimitsSection, ManagerConfig, MutualTlsSection, OnboardingSection,
    PlainSection, ProxySection, SignaturesSection, TlsListenSection, TokensSection,
};

use crate::runtimes::{CollectorSection, ComposeSection, HelmSection, PackagesSection};

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

/// The manager, and how the device proves itself to it: at most one of `token-file`, `oauth`, `signature` and `svid`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ManagerSection {
    /// Where it is (R-A-010).
    pub url: Url,
    /// The revision the two speak. Default: the newest.
    #[serde(default = "default_revision")]
    pub revision: SpecVersion,
    /// What the manager calls the client; for rc.1 and rc.2, where default is what onboarding answers.
    pub client_id: Option<ClientId>,
    /// The file with the client's token: for development, on loopback.
    pub token_file: Option<PathBuf>,
    /// Tokens from a token endpoint: pre-draft (A6).
    pub oauth: Option<OAuthSection>,
    /// The key that signs each body: pre-draft (R-A-013).
    pub payload_key: Option<PathBuf>,
    /// The certificate that signs each request: rc.1, rc.2 (R-B-011).
    pub signature: Option<SignatureSection>,
    /// The identity of mutual TLS: rc.3 (R-D-001).
    pub svid: Option<SvidSection>,
    /// Whom to trust where there is no `svid`, and how to speak TLS.
    #[serde(default)]
    pub tls: TlsSection,
}

/// Tokens from a token endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct OAuthSection {
    /// Where it is; relative to the manager. Default: `/token`.
    #[serde(default = "default_token_endpoint")]
    pub endpoint: String,
    /// Who asks.
    pub client_id: String,
    /// The file with the secret.
    pub secret_file: PathBuf,
}

/// A certificate that signs requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SignatureSection {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// What the key is called in signatures. Default: the SHA-256 of the certificate, in hexadecimal digits.
    pub key_id: Option<String>,
    /// Sign by RSA-PSS where the key is an RSA key.
    #[serde(default)]
    pub rsa_pss: bool,
    /// Digest and sign what has no body too (X-B-23).
    #[serde(default)]
    pub digest_of_nothing: bool,
}

/// An SVID, and whom its trust domain vouches for: exactly one of `bundle`, `bundle-uri` and `discovery`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SvidSection {
    /// The folder with all of it, under the names that SPIRE's tools use; in place of `certificate`, `key` and `bundle`.
    pub folder: Option<PathBuf>,
    /// The SVID and its intermediates, in PEM. Read again when it changes.
    #[serde(default)]
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    #[serde(default)]
    pub key: PathBuf,
    /// The file with the trust bundle, as SPIFFE writes it or in PEM. Read again when it changes.
    pub bundle: Option<PathBuf>,
    /// Where the trust bundle is fetched, with `tls` saying how to know the server (R-D-014).
    pub bundle_uri: Option<TrustBundleUri>,
    /// The server whose discovery document says where the trust bundle is (R-D-015).
    pub discovery: Option<Url>,
}

/// Whom to trust over TLS, and which TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct TlsSection {
    /// The file with the authorities that may vouch for the server, in PEM (R-B-005).
    pub authority: Option<PathBuf>,
    /// The keys the server may have: base64 of the SHA-256 of a `SubjectPublicKeyInfo` (R-D-014). With them the
    /// authority of a manager of rc.1 or rc.2 is downloaded once, and kept.
    #[serde(deserialize_with = "pins")]
    pub pins: Vec<SpkiPin>,
    /// Download the authority of a manager of the pre-draft once from whoever answers, and keep it (A5).
    pub trust_on_first_use: bool,
    /// Speak TLS 1.2 with those who cannot speak 1.3 (R-D-003).
    pub allow_tls_1_2: bool,
    /// How long a connection is used (R-D-013). Default: `15m`.
    #[serde(deserialize_with = "duration")]
    pub max_connection_age: Duration,
}

impl Default for TlsSection {
    fn default() -> Self {
        Self {
            authority: None,
            pins: Vec::new(),
            trust_on_first_use: false,
            allow_tls_1_2: false,
            max_connection_age: Duration::from_mins(15),
        }
    }
}

impl TlsSection {
    /// The versions of TLS.
    #[must_use]
    pub fn versions(&self) -> TlsVersions {
        versions(self.allow_tls_1_2)
    }
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
    /// The file with the token of the repository; for `git` only. Read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Where short-lived tokens of the repository are issued to the client of `manager.oauth`; relative to the manager.
    /// In place of `token-file` (R-A-016).
    pub token_endpoint: Option<String>,
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
    /// The OpenTelemetry collector containers are told of; for `engine` only. Without it they are told of none.
    pub collector: Option<CollectorSection>,
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
        let registries = packages.registries.values_mut().flat_map(|registry| {
            let secrets = [registry.password_file.as_mut(), registry.token_file.as_mut()];
            secrets.into_iter().chain([registry.root_certificate.as_mut()])
        });
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
        let manager = &mut config.manager;
        let mut paths = vec![
            Some(&mut config.device.data),
            Some(&mut config.device.capabilities),
            manager.token_file.as_mut(),
            manager.payload_key.as_mut(),
            manager.tls.authority.as_mut(),
            config.desired_state.token_file.as_mut(),
            Some(&mut config.runtime.folder),
        ];
        if let Some(oauth) = &mut manager.oauth {
            paths.push(Some(&mut oauth.secret_file));
        }
        if let Some(signature) = &mut manager.signature {
            paths.extend([Some(&mut signature.certificate), Some(&mut signature.key)]);
        }
        if let Some(svid) = &mut manager.svid {
            let files = [&mut svid.certificate, &mut svid.key];
            let bundle = settle_identity("manager.svid", base, svid.folder.as_deref(), files)?;
            if let Some(bundle) = &mut svid.bundle {
                *bundle = base.join(&bundle);
            } else if svid.bundle_uri.is_none() && svid.discovery.is_none() {
                svid.bundle = bundle;
            }
        }
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        config.manager.check()?;
        config.runtime.relative_to(base);
        let state = &config.desired_state;
        if let Some(url) = state.url.as_ref().filter(|url| is_exposed(url)) {
            ensure!(
                state.token_file.is_none() && state.token_endpoint.is_none(),
                "`desired-state.url` is `{url}`: without encryption, a token is sent to this host alone; use `https`"
            );
        }
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

impl ManagerSection {
    fn check(&self) -> Result<()> {
        let schemes =
            [self.token_file.is_some(), self.oauth.is_some(), self.signature.is_some(), self.svid.is_some()];
        let schemes = schemes.into_iter().filter(|is_there| *is_there).count();
        ensure!(
            schemes == 1,
            "`manager` needs one of `token-file`, `oauth`, `signature` and `svid`, and has {schemes}"
        );
        if let Some(svid) = &self.svid {
            let places = [svid.bundle.is_some(), svid.bundle_uri.is_some(), svid.discovery.is_some()];
            let places = places.into_iter().filter(|is_there| *is_there).count();
            ensure!(
                places == 1,
                "`manager.svid` needs one of `bundle`, `bundle-uri` and `discovery`, and has {places}"
            );
        }
        // R-D-001: without TLS nobody shows to be the manager.
        ensure!(
            self.svid.is_none() || self.url.scheme() == "https",
            "`manager.svid` is for mutual TLS: `manager.url` has to be an `https` address, and is `{}`",
            self.url
        );
        ensure!(
            !is_exposed(&self.url),
            "`manager.url` is `{}`: without encryption, a device proves itself to this host alone; use `https`",
            self.url
        );
        // R-B-005, R-D-014: no other revision trusts on first use.
        ensure!(
            !self.tls.trust_on_first_use || self.revision == SpecVersion::PreDraft,
            "`manager.tls.trust-on-first-use` is for the pre-draft alone"
        );
        Ok(())
    }
}

/// Where an SVID and its key are, relative to `base`: in files that are named, or in a folder, which has a bundle as well.
fn settle_identity(
    section: &str,
    base: &Path,
    folder: Option<&Path>,
    files: [&mut PathBuf; 2],
) -> Result<Option<PathBuf>> {
    let named = files.iter().filter(|file| !file.as_os_str().is_empty()).count();
    let Some(folder) = folder else {
        ensure!(named == 2, "`{section}` needs `certificate` and `key`, or a `folder` that holds them");
        for file in files {
            *file = base.join(&*file);
        }
        return Ok(None);
    };
    ensure!(named == 0, "`{section}` has a `folder`, and `certificate` or `key` besides");
    let found = IdentityFolder::find(&base.join(folder))?;
    let [certificate, key] = files;
    found.svid_path().clone_into(certificate);
    found.key_path().clone_into(key);
    Ok(Some(found.bundle_path().to_owned()))
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

/// Reads a file, such as one with a certificate.
///
/// # Errors
///
/// A file that cannot be read.
pub fn read_file(path: &Path) -> Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(text)
}

/// Writes a file that only its owner can read, as a whole or not at all.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let write = |file: std::fs::File| -> std::io::Result<()> {
        let mut file = file;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(write)
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let signed: jiff::SignedDuration = text.parse().map_err(serde::de::Error::custom)?;
    Duration::try_from(signed).map_err(|_| serde::de::Error::custom("a duration cannot be negative"))
}

fn pins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SpkiPin>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn versions(allow_tls_1_2: bool) -> TlsVersions {
    if allow_tls_1_2 { TlsVersions::Tls13OrTls12 } else { TlsVersions::Tls13 }
}

fn default_token_endpoint() -> String {
    "/token".to_owned()
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

    /// R-A-010: somebody has to say where the manager is.
    #[test]
    fn the_address_of_the_manager_is_a_persons() {
        let line = MINIMAL.lines().find(|line| line.contains("url = ")).unwrap();
        let error = format!("{:#}", read(&MINIMAL.replace(line, "")).unwrap_err());
        assert!(error.contains("url"), "{error}");
    }

    #[test]
    fn an_error_names_the_place() {
        let error = format!("{:#}", read(&MINIMAL.replace("folder = ", "fodler = ")).unwrap_err());
        assert!(error.contains("fodler"), "{error}");
        let error = format!("{:#}", read(&format!("{MINIMAL}\ndelay = \"-1s\"")).unwrap_err());
        assert!(error.contains("negative"), "{error}");
    }

    /// R-B-005, R-D-014: what would weaken a scheme is an error, not a preference.
    #[test]
    fn a_device_proves_itself_in_one_way() {
        let minimal = MINIMAL.replace("http://", "https://");
        let with = |manager: &str| read(&minimal.replace("token-file = \"token\"", manager));
        for (manager, expected) in [
            ("", "has 0"),
            ("token-file = \"t\"\nsignature = { certificate = \"c\", key = \"k\" }", "has 2"),
            ("svid = { certificate = \"c\", key = \"k\" }", "`bundle`"),
            ("token-file = \"t\"\ntls = { trust-on-first-use = true }", "pre-draft alone"),
            ("token-file = \"t\"\ntls = { pins = [\"nonsense\"] }", "SHA-256"),
            ("svid = { certificate = \"c\", key = \"k\", bundle-uri = \"http://mis.example/b\" }", "https"),
        ] {
            let error = format!("{:#}", with(manager).unwrap_err());
            assert!(error.contains(expected), "{manager}: {error}");
        }
        let config = with("svid = { certificate = \"c\", key = \"k\", bundle = \"b.json\" }").unwrap();
        let svid = config.manager.svid.unwrap();
        assert!(svid.bundle.unwrap().is_absolute() && svid.key.is_absolute());
    }

    /// R-D-001, R-B-011, R-A-011: what proves a device does not go where anybody could be or read.
    #[test]
    fn nothing_that_proves_a_device_leaves_it_in_the_clear() {
        let with = |url: &str, manager: &str| {
            let text = MINIMAL.replace("http://127.0.0.1:8080", url);
            read(&text.replace("token-file = \"token\"", manager))
        };
        let svid = "svid = { certificate = \"c\", key = \"k\", bundle = \"b\" }";
        for url in ["http://wfm.example", "http://127.0.0.1:8080"] {
            let error = with(url, svid).unwrap_err().to_string();
            assert!(error.contains("`manager.svid`") && error.contains(url), "{error}");
        }
        assert!(with("https://wfm.example", svid).is_ok());
        for manager in [
            "token-file = \"t\"",
            "token-file = \"t\"\npayload-key = \"k\"",
            "oauth = { client-id = \"c\", secret-file = \"s\" }",
            "signature = { certificate = \"c\", key = \"k\" }",
        ] {
            let error = with("http://wfm.example", manager).unwrap_err().to_string();
            assert!(error.contains("`http://wfm.example/`"), "{manager}: {error}");
            assert!(with("http://[::1]:8080", manager).is_ok(), "{manager}");
            assert!(with("https://wfm.example", manager).is_ok(), "{manager}");
        }
        let git = |url: &str| {
            let state = format!("source = \"git\"\nurl = \"{url}\"\ntoken-file = \"t\"");
            read(&MINIMAL.replace("source = \"rest\"", &state))
        };
        let error = git("http://wfm.example/git/a").unwrap_err().to_string();
        assert!(error.contains("`desired-state.url`"), "{error}");
        assert!(git("http://127.0.0.1/git/a").is_ok() && git("https://wfm.example/git/a").is_ok());
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
