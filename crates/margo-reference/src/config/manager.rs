use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use margo_core::Digest;
use margo_identity::{MessageVerifier, Origin, TlsVersions, TrustBundleUri};
use serde::{Deserialize, Deserializer};

use super::{duration, read_file, versions};

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
    /// The address.
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
    /// The address.
    pub listen: SocketAddr,
    /// The manager's SVID and its intermediates, in PEM. Read again when it changes.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The trust bundle, as SPIFFE writes it or in PEM. Read again when it changes, and served (D8).
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
            paths.extend([&mut mutual.certificate, &mut mutual.key, &mut mutual.bundle].map(Some));
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
        Ok(())
    }
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
            ("[tls]\nlisten = \"0.0.0.0:443\"".to_owned(), "certificate"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read(mutual).unwrap().mutual_tls.unwrap().key.is_absolute());
    }
}
