use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use margo_api::{OtherPort, check_port};
use margo_core::Digest;
use margo_identity::{MessageVerifier, Origin, TlsVersions, TrustBundleUri};
use margo_server::RateLimit;
use margo_server::listen::{DEFAULT_ADDRESS, ListenConfig};
use serde::{Deserialize, Deserializer};

use super::{duration, read_file, settle_identity, versions};

/// How a manager listens, and whom it serves.
///
/// Paths are relative to the file they stand in. Durations are text such as `30s`, `5m` or `1h 30m`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// Without encryption: for the operator, and for devices under development on this machine.
    pub plain: PlainSection,
    /// TLS with a certificate of the manager: for devices of the pre-draft, rc.1 and rc.2, and for trust bundles.
    pub tls: Option<TlsListenSection>,
    /// Mutual TLS: for devices of rc.3.
    pub mutual_tls: Option<MutualTlsSection>,
    /// For proxies that terminate the mutual TLS of devices of rc.3 (R-D-017).
    pub proxy: Option<ProxySection>,
    /// Which devices of rc.1 and rc.2 may make themselves known.
    pub onboarding: OnboardingSection,
    /// How long tokens of the pre-draft last.
    pub tokens: TokensSection,
    /// Which signatures of rc.1 and rc.2 are taken.
    pub signatures: SignaturesSection,
    /// How much may be asked for.
    pub limits: LimitsSection,
}

/// Without encryption.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct PlainSection {
    /// The address; a loopback address. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
}

impl Default for PlainSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// TLS with a certificate of the manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TlsListenSection {
    /// The address. Default: `0.0.0.0:443`, the only port that 1.0.0-rc.1 and 1.0.0-rc.2 have (R-B-004).
    #[serde(default = "management_address")]
    pub listen: SocketAddr,
    /// The certificate and its intermediates, in PEM. Read again when it changes.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authority that devices are told of when they ask (A5, E1), in PEM.
    pub authority: Option<PathBuf>,
    /// What devices call the manager, such as `https://wfm.example`: what their signatures cover.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<Origin>,
    /// Take bodies of devices of the pre-draft whose certificate is not registered without a signature.
    #[serde(default)]
    pub optional_payload_signatures: bool,
    /// Speak TLS 1.2 with those who cannot speak 1.3.
    #[serde(default)]
    pub allow_tls_1_2: bool,
    /// How old a connection may become. Default: `1h`.
    #[serde(default = "hour", deserialize_with = "duration")]
    pub max_connection_age: Duration,
}

impl TlsListenSection {
    /// The versions of TLS.
    #[must_use]
    pub fn versions(&self) -> TlsVersions {
        versions(self.allow_tls_1_2)
    }
}

/// Mutual TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MutualTlsSection {
    /// The address. Default: `0.0.0.0:443`, the only port that 1.0.0-rc.3 has (R-D-001); beside `tls`, each needs an
    /// address of its own.
    #[serde(default = "management_address")]
    pub listen: SocketAddr,
    /// The folder with all of it, under the names that SPIRE's tools use; in place of `certificate`, `key` and `bundle`.
    pub folder: Option<PathBuf>,
    /// The manager's SVID and its intermediates, in PEM. Read again when it changes.
    #[serde(default)]
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    #[serde(default)]
    pub key: PathBuf,
    /// The trust bundle, as SPIFFE writes it or in PEM. Read again when it changes, and served (D8).
    #[serde(default)]
    pub bundle: PathBuf,
    /// Where the bundle is, for discovery (D7): an address of the `tls` section.
    pub bundle_uri: Option<TrustBundleUri>,
    /// Whom to serve. Default: `onboarded`.
    #[serde(default)]
    pub accept: AcceptClients,
    /// Speak TLS 1.2 with those who cannot speak 1.3 (R-D-003).
    #[serde(default)]
    pub allow_tls_1_2: bool,
    /// How old a connection may become (R-D-013). Default: `1h`.
    #[serde(default = "hour", deserialize_with = "duration")]
    pub max_connection_age: Duration,
}

impl MutualTlsSection {
    /// The versions of TLS.
    #[must_use]
    pub fn versions(&self) -> TlsVersions {
        versions(self.allow_tls_1_2)
    }
}

/// Whom a manager serves over mutual TLS (R-D-006).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AcceptClients {
    /// Clients an operator onboarded.
    #[default]
    Onboarded,
    /// Every client with an SVID in the manager's namespace.
    Namespace,
}

/// Proxies that terminate mutual TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ProxySection {
    /// The address the proxies connect to.
    pub listen: SocketAddr,
    /// The addresses they connect from. No other is believed.
    pub addresses: Vec<IpAddr>,
}

/// Which devices of rc.1 and rc.2 may make themselves known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct OnboardingSection {
    /// Whom to take on. Default: `listed`.
    pub admit: AdmitDevices,
    /// The digests of the certificates that are taken on (`sha256:…` of the DER), for `listed`.
    pub certificates: Vec<Digest>,
    /// The most clients there may be, for `anyone`. Default: 1000.
    pub max_clients: usize,
}

impl Default for OnboardingSection {
    fn default() -> Self {
        Self { admit: AdmitDevices::Listed, certificates: Vec::new(), max_clients: 1000 }
    }
}

/// Whom to take on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AdmitDevices {
    /// Those listed, and those whose certificate an operator has registered.
    Listed,
    /// Whoever asks.
    Anyone,
}

/// How long tokens of the pre-draft last.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct TokensSection {
    /// Those for the management interface. Default: `1h`.
    #[serde(deserialize_with = "duration")]
    pub lifetime: Duration,
    /// Those for Git repositories (R-A-016). Default: `1h`.
    #[serde(deserialize_with = "duration")]
    pub git_lifetime: Duration,
    /// How long the one before stays good when a new one is issued (R-A-017). Default: `5m`.
    #[serde(deserialize_with = "duration")]
    pub git_overlap: Duration,
}

impl Default for TokensSection {
    fn default() -> Self {
        Self { lifetime: hour(), git_lifetime: hour(), git_overlap: Duration::from_mins(5) }
    }
}

/// Which signatures of rc.1 and rc.2 are taken (R-B-013).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct SignaturesSection {
    /// How old they may be. Default: `5m`.
    #[serde(deserialize_with = "duration")]
    pub window: Duration,
    /// How far in the future they may be. Default: `30s`.
    #[serde(deserialize_with = "duration")]
    pub skew: Duration,
}

impl Default for SignaturesSection {
    fn default() -> Self {
        Self { window: MessageVerifier::DEFAULT_WINDOW, skew: MessageVerifier::DEFAULT_SKEW }
    }
}

/// How much may be asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct LimitsSection {
    /// How many requests for onboarding and for tokens one address may make at once; the first 64 bits of an IPv6
    /// address count. Default: 100.
    pub requests: NonZeroU32,
    /// How long it then takes until it may make one more; `0s` for no limit. Default: `100ms`.
    #[serde(deserialize_with = "duration")]
    pub request_interval: Duration,
    /// How long a caller may take nothing of an answer. Default: `1m`.
    #[serde(deserialize_with = "duration")]
    pub stall: Duration,
}

impl LimitsSection {
    /// The limit of requests, which all routes it is given to share.
    #[must_use]
    pub fn rate(&self) -> RateLimit {
        RateLimit::of(self.requests, self.request_interval)
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            requests: RateLimit::DEFAULT_BURST,
            request_interval: RateLimit::DEFAULT_EVERY,
            stall: ListenConfig::new().stall,
        }
    }
}

impl ManagerConfig {
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
        let mut paths = Vec::new();
        if let Some(tls) = &mut config.tls {
            paths.extend([Some(&mut tls.certificate), Some(&mut tls.key), tls.authority.as_mut()]);
        }
        if let Some(mutual) = &mut config.mutual_tls {
            let files = [&mut mutual.certificate, &mut mutual.key];
            let bundle = settle_identity("mutual-tls", base, mutual.folder.as_deref(), files)?;
            match bundle {
                Some(bundle) if mutual.bundle.as_os_str().is_empty() => mutual.bundle = bundle,
                _ => {
                    ensure!(!mutual.bundle.as_os_str().is_empty(), "`mutual-tls` needs a `bundle`");
                    paths.push(Some(&mut mutual.bundle));
                }
            }
        }
        for path in paths.into_iter().flatten() {
            *path = base.join(&path);
        }
        config.check()?;
        Ok(config)
    }

    /// Says what must not be.
    ///
    /// # Errors
    ///
    /// An unencrypted address that others than this machine can reach, and sections that need another one.
    pub fn check(&self) -> Result<()> {
        let address = self.plain.listen;
        ensure!(
            address.ip().to_canonical().is_loopback(),
            "`plain.listen` is `{address}`, and without encryption it must be a loopback address"
        );
        ensure!(
            self.proxy.is_none() || self.mutual_tls.is_some(),
            "`proxy` needs `mutual-tls`: the trust bundle that forwarded certificates are checked with"
        );
        let discovers = self.mutual_tls.as_ref().is_some_and(|mutual| mutual.bundle_uri.is_some());
        ensure!(
            !discovers || self.tls.is_some(),
            "`mutual-tls.bundle-uri` needs `tls`: whoever fetches the bundle has none to validate an SVID with"
        );
        if let (Some(tls), Some(mutual)) = (&self.tls, &self.mutual_tls) {
            ensure!(
                tls.listen.port() == 0 || tls.listen != mutual.listen,
                "`tls.listen` and `mutual-tls.listen` are both `{}`: each needs an IP address of its own, such as \
                 `192.0.2.10:443` and `192.0.2.11:443`",
                tls.listen
            );
        }
        Ok(())
    }

    /// The sections whose devices have port 443 only and are listened to on another one (R-B-004, R-D-001). Address
    /// translation in front may put that right, and only who set it up can know.
    #[must_use]
    pub fn other_ports(&self) -> Vec<(&'static str, OtherPort)> {
        let tls = self.tls.as_ref().map(|tls| ("tls", tls.listen));
        let mutual = self.mutual_tls.as_ref().map(|mutual| ("mutual-tls", mutual.listen));
        let listening = tls.into_iter().chain(mutual);
        listening.filter_map(|(section, at)| Some((section, check_port(at.port()).err()?))).collect()
    }
}

fn management_address() -> SocketAddr {
    DEFAULT_ADDRESS
}

fn hour() -> Duration {
    Duration::from_hours(1)
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Origin>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ManagerConfig> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("margo-wfm.toml");
        std::fs::write(&file, text)?;
        ManagerConfig::read(&file)
    }

    #[test]
    fn nothing_is_a_configuration() {
        let config = read("").unwrap();
        assert!(config.tls.is_none() && config.mutual_tls.is_none());
        assert_eq!(config.onboarding.admit, AdmitDevices::Listed);
        assert_eq!((config.limits.requests.get(), config.limits.stall), (100, Duration::from_mins(1)));
        let limits =
            read("[limits]\nrequests = 7\nrequest-interval = \"2s\"\nstall = \"90s\"").unwrap().limits;
        let found = (limits.requests.get(), limits.request_interval, limits.stall);
        assert_eq!(found, (7, Duration::from_secs(2), Duration::from_secs(90)));
    }

    /// R-B-004, R-D-001: port 443, unless somebody wants another one, and then it is said.
    #[test]
    fn devices_are_listened_to_on_port_443() {
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\norigins = [\"https://wfm.example\"]\n";
        let mutual = "[mutual-tls]\ncertificate = \"c\"\nkey = \"k\"\nbundle = \"b\"\n";
        let config = read(tls).unwrap();
        assert_eq!(config.tls.as_ref().unwrap().listen, "0.0.0.0:443".parse().unwrap());
        assert!(config.other_ports().is_empty());
        let config = read(mutual).unwrap();
        assert_eq!(config.mutual_tls.as_ref().unwrap().listen, "0.0.0.0:443".parse().unwrap());
        assert!(config.other_ports().is_empty());

        let error = format!("{:#}", read(&format!("{tls}{mutual}")).unwrap_err());
        assert!(error.contains("both `0.0.0.0:443`"), "{error}");
        let both = |ours: &str, theirs: &str| {
            let config = format!("{tls}listen = \"{ours}\"\n{mutual}listen = \"{theirs}\"\n");
            let others = read(&config).unwrap().other_ports();
            others.into_iter().map(|(section, other)| (section, other.port)).collect::<Vec<_>>()
        };
        assert!(both("192.0.2.10:443", "192.0.2.11:443").is_empty());
        assert_eq!(both("0.0.0.0:443", "0.0.0.0:8443"), [("mutual-tls", 8443)]);
        assert_eq!(both("127.0.0.1:0", "127.0.0.1:0"), [("tls", 0), ("mutual-tls", 0)]);
    }

    /// Whatever the identity service calls its files.
    #[test]
    fn an_identity_may_be_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for file in ["svid.0.pem", "svid.0.key", "bundle.0.pem"] {
            std::fs::write(at(file), "").unwrap();
        }
        let read = |section: &str| {
            std::fs::write(at("margo-wfm.toml"), format!("[mutual-tls]\n{section}")).unwrap();
            ManagerConfig::read(&at("margo-wfm.toml"))
        };
        let mutual = read("folder = \".\"").unwrap().mutual_tls.unwrap();
        let names = [&mutual.certificate, &mutual.key, &mutual.bundle]
            .map(|path| path.file_name().unwrap().to_owned());
        assert_eq!(names, ["svid.0.pem", "svid.0.key", "bundle.0.pem"]);
        let mutual = read("folder = \".\"\nbundle = \"b.json\"").unwrap().mutual_tls.unwrap();
        assert_eq!(mutual.bundle, at("b.json"));
        for (section, expected) in [
            ("folder = \"nowhere\"", "no file for an SVID: looked for svid.pem"),
            ("folder = \".\"\nkey = \"k\"", "`certificate` or `key` besides"),
            ("certificate = \"c\"\nbundle = \"b\"", "needs `certificate` and `key`, or a `folder`"),
            ("certificate = \"c\"\nkey = \"k\"", "needs a `bundle`"),
        ] {
            let error = format!("{:#}", read(section).unwrap_err());
            assert!(error.contains(expected), "{section}: {error}");
        }
    }

    #[test]
    fn what_would_open_a_door_is_refused() {
        let mutual =
            "[mutual-tls]\nlisten = \"0.0.0.0:443\"\ncertificate = \"c\"\nkey = \"k\"\nbundle = \"b\"\n";
        let uri = "bundle-uri = \"https://wfm.example/bundle\"\n";
        for (text, expected) in [
            ("[plain]\nlisten = \"0.0.0.0:80\"".to_owned(), "loopback"),
            ("[proxy]\nlisten = \"0.0.0.0:80\"\naddresses = []".to_owned(), "`mutual-tls`"),
            (format!("{mutual}{uri}"), "needs `tls`"),
            (format!("{mutual}bundle-uri = \"http://wfm.example/bundle\""), "https"),
            (format!("{mutual}accept = \"everybody\""), "accept"),
            ("[onboarding]\ncertificates = [\"md5:0\"]".to_owned(), "certificates"),
            ("[limits]\nrequests = 0".to_owned(), "requests"),
            ("[limits]\nrequest-interval = \"-1s\"".to_owned(), "negative"),
            ("[tls]\n".to_owned(), "certificate"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read(mutual).unwrap().mutual_tls.unwrap().key.is_absolute());
    }
}
