use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::SetupError;

/// How a [`Fetcher`](crate::Fetcher) behaves.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) registries: BTreeMap<String, Registry>,
    pub(crate) roots: RootCertStore,
    pub(crate) limits: Limits,
    pub(crate) signatures: Signatures,
    pub(crate) gpgv: PathBuf,
    pub(crate) attempts: u32,
}

impl Options {
    /// HTTPS only, no credentials, and no authority that is trusted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            registries: BTreeMap::new(),
            roots: RootCertStore::empty(),
            limits: Limits::default(),
            signatures: Signatures::WhereGiven,
            gpgv: "gpgv".into(),
            attempts: 4,
        }
    }

    /// Says how to talk to the registry, or to the server of archives, at `host`: a name with a port unless it is the
    /// usual one, as in `registry.example` or `10.0.0.7:5000`.
    #[must_use]
    pub fn with_registry(mut self, host: impl Into<String>, registry: Registry) -> Self {
        self.registries.insert(host.into(), registry);
        self
    }

    /// Adds the credentials of a registry configuration file, as `docker login`, `helm registry login` and
    /// `skopeo login` write it. What else was said of those registries stays.
    ///
    /// # Errors
    ///
    /// A text that is no such file, or that leaves the credentials to another program. Never shows them.
    pub fn with_registry_config(mut self, text: &[u8]) -> Result<Self, SetupError> {
        let wrong = |host: &str, reason: &str| SetupError::Credentials {
            host: host.to_owned(),
            reason: reason.to_owned(),
        };
        let file: RegistryConfig = serde_json::from_slice(text)
            .map_err(|_| wrong("", "the file is not JSON with an object `auths`"))?;
        for (host, entry) in file.auths {
            let host = registry_host(&host);
            let Some(auth) = entry.auth else {
                return Err(wrong(host, "`auth` is missing; programs that keep credentials are not asked"));
            };
            let text = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| wrong(host, "`auth` is not Base64"))?;
            let (user, password) =
                text.split_once(':').ok_or_else(|| wrong(host, "`auth` has no colon in it"))?;
            let credentials = Credentials::basic(user, password);
            self.registries.entry(host.to_owned()).or_default().credentials = Some(credentials);
        }
        Ok(self)
    }

    /// Adds every certificate in `pem` to the authorities that may vouch for any server.
    ///
    /// None is trusted by default: a plant has an authority of its own. Where public ones are meant, add the operating
    /// system's file.
    ///
    /// # Errors
    ///
    /// [`SetupError::Certificate`] for text that is not PEM, has no certificate, or has one that cannot be used.
    pub fn with_root_certificate(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        add_certificates(&mut self.roots, pem)?;
        Ok(self)
    }

    /// Sets how much is taken.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whose archives are taken.
    #[must_use]
    pub fn with_signatures(mut self, signatures: Signatures) -> Self {
        self.signatures = signatures;
        self
    }

    /// Sets where the program `gpgv` is, which checks signatures. Searched for in `PATH` by default.
    #[must_use]
    pub fn with_gpgv(mut self, program: impl Into<PathBuf>) -> Self {
        self.gpgv = program.into();
        self
    }

    /// Sets how often something is tried before it has failed: 4 times by default, with pauses that double from half
    /// a second, or as long as the server asks for, up to half a minute.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// How to talk to one registry.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) roots: Option<RootCertStore>,
    pub(crate) plain_http: bool,
}

impl Registry {
    /// HTTPS without credentials.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Adds every certificate in `pem` to the authorities that may vouch for this registry; those of
    /// [`Options::with_root_certificate`] may not any more.
    ///
    /// # Errors
    ///
    /// [`SetupError::Certificate`] for text that is not PEM, has no certificate, or has one that cannot be used.
    pub fn with_root_certificate(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        add_certificates(self.roots.get_or_insert_with(RootCertStore::empty), pem)?;
        Ok(self)
    }

    /// Talks to it without encryption. Credentials then travel in the clear: for a registry on the device itself.
    #[must_use]
    pub fn with_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }
}

/// What a registry wants to know before it gives anything. Never shown.
#[derive(Clone)]
pub struct Credentials(pub(crate) Secret);

#[derive(Clone)]
pub(crate) enum Secret {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Credentials {
    /// A name and a password. They go to the registry itself, or to the service of tokens that it names.
    #[must_use]
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Secret::Basic { user: user.into(), password: password.into() })
    }

    /// A token that the registry takes as it is.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Secret::Bearer(token.into()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Secret::Basic { .. } => "basic",
            Secret::Bearer(_) => "bearer",
        };
        write!(f, "Credentials({kind})")
    }
}

/// How much is taken. Everything is checked before or while it is read, never after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a manifest in a registry. 4 MiB by default, what registries themselves take.
    pub max_manifest: u64,
    /// The most bytes of a package as it travels. 64 MiB by default.
    pub max_package: u64,
    /// The most bytes of all packages that are kept, finished or not. 1 GiB by default; packages in use are kept
    /// beyond it.
    pub max_cache: u64,
    /// The most packages fetched at the same time. 2 by default.
    pub max_parallel: usize,
    /// What an archive may hold.
    pub unpack: UnpackLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_manifest: 4 << 20,
            max_package: 64 << 20,
            max_cache: 1 << 30,
            max_parallel: 2,
            unpack: UnpackLimits::default(),
        }
    }
}

/// What an archive may hold (revision D, section 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnpackLimits {
    /// The most bytes it unpacks into, headers and padding included. 256 MiB by default.
    pub max_bytes: u64,
    /// The most files, folders and links. 10,000 by default.
    pub max_entries: usize,
    /// The most folders on top of each other. 32 by default.
    pub max_depth: usize,
    /// The most bytes that one byte may become, once more than 1 MiB came out. 200 by default; what people write is
    /// far below, zeros are at a thousand.
    pub max_ratio: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_entries: 10_000, max_depth: 32, max_ratio: 200 }
    }
}

/// Whose archives are taken (R-A-032). Concerns archives at a URL; a registry's packages are named by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signatures {
    /// Nothing is checked.
    Ignored,
    /// Where the deployment names a key, the archive must be signed with it. The default.
    WhereGiven,
    /// A deployment that names no key is refused.
    Required,
}

#[derive(Deserialize)]
struct RegistryConfig {
    #[serde(default)]
    auths: BTreeMap<String, RegistryConfigEntry>,
}

#[derive(Deserialize)]
struct RegistryConfigEntry {
    auth: Option<String>,
}

/// Some programs write `https://host/v1/` where others write `host`.
fn registry_host(key: &str) -> &str {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    host.split('/').next().unwrap_or(host)
}

fn add_certificates(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), SetupError> {
    let unusable = |reason: String| SetupError::Certificate { reason };
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.len() == before {
        return Err(unusable("there is none in the text".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_the_file_of_other_programs_and_are_never_shown() {
        let text = br#"{"auths": {
            "r.example:5000": {"auth": "YW5uOnBhc3M6d29yZA=="},
            "https://index.example/v1/": {"auth": "Ym9iOg=="}
        }, "credsStore": "x"}"#;
        let options = Options::new()
            .with_registry("r.example:5000", Registry::new().with_plain_http())
            .with_registry_config(text)
            .unwrap();
        let registry = &options.registries["r.example:5000"];
        assert!(registry.plain_http);
        let Some(Credentials(Secret::Basic { user, password })) = &registry.credentials else { panic!() };
        assert_eq!((user.as_str(), password.as_str()), ("ann", "pass:word"));
        assert!(options.registries.contains_key("index.example"));
        let shown = format!("{options:?}");
        assert!(!shown.contains("pass") && !shown.contains("ann"), "{shown}");
    }

    #[test]
    fn a_file_that_has_no_credentials_is_refused_without_repeating_it() {
        for (text, reason) in [
            ("geheim", "not JSON"),
            (r#"{"auths": {"h": {}}}"#, "`auth` is missing"),
            (r#"{"auths": {"h": {"auth": "ge heim"}}}"#, "not Base64"),
            (r#"{"auths": {"h": {"auth": "Z2VoZWlt"}}}"#, "no colon"),
        ] {
            let error = Options::new().with_registry_config(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_certificate_that_is_none_is_refused() {
        assert!(matches!(Options::new().with_root_certificate(b"no"), Err(SetupError::Certificate { .. })));
        assert!(matches!(Registry::new().with_root_certificate(b""), Err(SetupError::Certificate { .. })));
    }
}
