//! The runtimes of a device, chosen by its configuration: Compose, Helm, or none that runs anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use margo_agent::Runtimes;
use margo_api::DynWorkloadRuntime;
use margo_core::{Quantity, SpecVersion};
use margo_deployment::ProfileType;
use margo_oci::{Credentials, Fetcher, Options, Registry};
use margo_runtime_compose::{
    Collector, ComposeOptions, ComposeRuntime, EngineAccess, Protocol, Tool, ToolKind,
};
use margo_runtime_helm::{ChartRules, HelmOptions, HelmRuntime};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::config::{DeviceConfig, duration, read_secret};

/// Where packages come from: OCI registries, and web servers for tarballs of the pre-draft.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct PackagesSection {
    /// What is to be known of single registries, by host and port, such as `registry.example:5000`.
    pub registries: BTreeMap<String, RegistrySection>,
    /// A `config.json` as `docker login` writes it, with the credentials of registries. Default: none.
    pub registry_config: Option<PathBuf>,
    /// Certificates, as PEM, of the authorities that vouch for registries; the operating system has its own in
    /// `/etc/ssl/certs/ca-certificates.crt`. Default: none, and then nobody's HTTPS is trusted.
    pub root_certificate: Option<PathBuf>,
}

/// One registry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct RegistrySection {
    /// Whether it is asked without TLS. Default: no.
    pub plain_http: bool,
    /// The user's name. Default: nobody's.
    pub user: Option<String>,
    /// The file with the password. Default: none.
    pub password_file: Option<PathBuf>,
    /// The file with a token that the registry takes instead of user and password. Default: none.
    pub token_file: Option<PathBuf>,
    /// Certificates, as PEM, of the only authorities that vouch for it. Default: those of all registries.
    pub root_certificate: Option<PathBuf>,
}

/// The OpenTelemetry collector of the device, of which every container of a Compose deployment is told in its
/// environment (R-A-050). What an application sets itself stays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CollectorSection {
    /// Where it takes OTLP over HTTP, as containers reach it: `HTTP_OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub http: Url,
    /// Where it takes OTLP over gRPC: `GRPC_OTEL_EXPORTER_OTLP_ENDPOINT`. Default: nowhere.
    pub grpc: Option<Url>,
    /// The file with the authority that vouches for it, as containers see it: `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    /// Default: none.
    pub certificate: Option<String>,
    /// Which of the two applications should use: `OTEL_EXPORTER_OTLP_PROTOCOL`. Default: not said, which means
    /// `http/protobuf`.
    pub protocol: Option<ProtocolName>,
}

/// How telemetry is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProtocolName {
    /// `grpc`.
    Grpc,
    /// `http/protobuf`.
    HttpProtobuf,
}

impl CollectorSection {
    fn collector(&self) -> Collector {
        // An address without a path is written without the slash that a URL has.
        let text = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let mut collector = Collector::new(text(&self.http));
        if let Some(grpc) = &self.grpc {
            collector = collector.with_grpc(text(grpc));
        }
        if let Some(certificate) = &self.certificate {
            collector = collector.with_certificate(certificate);
        }
        match self.protocol {
            Some(ProtocolName::Grpc) => collector.with_protocol(Protocol::Grpc),
            Some(ProtocolName::HttpProtobuf) => collector.with_protocol(Protocol::HttpProtobuf),
            None => collector,
        }
    }
}

/// How Compose deployments run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of the configuration")]
pub struct ComposeSection {
    /// The tools to look for, the preferred first: `docker-compose-plugin`, `docker-compose`, `podman-compose`.
    /// Default: all, in this order.
    pub tools: Vec<ToolName>,
    /// Where the engine listens, such as `unix:///run/docker.sock`. Default: where the tools look for it.
    pub host: Option<String>,
    /// What tells this device's containers from those of other agents on the same engine. Default: the device's id.
    pub owner: Option<String>,
    /// The folder with the `config.json` that has the credentials for images. Default: none.
    pub docker_config: Option<PathBuf>,
    /// Files and folders of the device that containers may mount. Default: none.
    pub binds: Vec<PathBuf>,
    /// Whether containers may share the device's network. Default: no.
    pub host_network: bool,
    /// Whether containers may share the device's processes, memory and users. Default: no.
    pub host_namespaces: bool,
    /// Whether containers may use the device's devices. Default: no.
    pub devices: bool,
    /// Whether containers may have more rights than usual. Default: no.
    pub privileged: bool,
    /// Whether containers may use volumes and networks of others. Default: no.
    pub external: bool,
    /// Whether volumes go with the component that made them. Default: no.
    pub remove_volumes: bool,
    /// Whether images stay that nothing needs any more. Default: no.
    pub keep_images: bool,
    /// Whether images are pulled before the old version stops. Default: yes.
    pub pull_early: bool,
    /// How many components are worked on at once. Default: 2.
    pub parallel: usize,
    /// How many images are pulled at once. Default: 2.
    pub parallel_pulls: usize,
    /// What has to be free on the disk before an image is pulled, beside three times what its registry says is pulled;
    /// a registry is asked as `runtime.packages` says of it, with `docker-config`'s credentials. Default: `256Mi`.
    #[serde(deserialize_with = "bytes")]
    pub min_free: u64,
    /// How long a component may take that has no `timeout`. Default: `10m`.
    #[serde(deserialize_with = "duration")]
    pub ready_within: Duration,
    /// How long an image may take to arrive. Default: `30m`.
    #[serde(deserialize_with = "duration")]
    pub pull_within: Duration,
    /// How often the device is looked at whose engine tells no events. Default: `30s`.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
}

impl Default for ComposeSection {
    fn default() -> Self {
        let options = ComposeOptions::default();
        Self {
            tools: vec![ToolName::DockerComposePlugin, ToolName::DockerCompose, ToolName::PodmanCompose],
            host: None,
            owner: None,
            docker_config: None,
            binds: Vec::new(),
            host_network: false,
            host_namespaces: false,
            devices: false,
            privileged: false,
            external: false,
            remove_volumes: options.remove_volumes,
            keep_images: options.keep_images,
            pull_early: options.pull_early,
            parallel: options.parallel,
            parallel_pulls: options.parallel_pulls,
            min_free: options.min_free_bytes,
            ready_within: options.ready_within,
            pull_within: options.pull_within,
            poll: options.poll,
        }
    }
}

/// A Compose tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ToolName {
    /// `docker compose`.
    DockerComposePlugin,
    /// `docker-compose`.
    DockerCompose,
    /// `podman-compose`.
    PodmanCompose,
}

/// How Helm deployments run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct HelmSection {
    /// The program. Default: the `helm` that is found.
    pub program: Option<PathBuf>,
    /// How the cluster is reached. Default: as Helm finds it.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. Default: the current one.
    pub context: Option<String>,
    /// How long a component may take that has no `timeout`. Default: `5m`.
    #[serde(deserialize_with = "duration")]
    pub ready_within: Duration,
    /// How often the releases are looked at between polls. Default: `1m`.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
}

impl Default for HelmSection {
    fn default() -> Self {
        Self {
            program: None,
            kubeconfig: None,
            context: None,
            ready_within: Duration::from_mins(5),
            poll: Duration::from_mins(1),
        }
    }
}

/// The runtimes that really run something.
///
/// # Errors
///
/// None is configured, or one cannot be: no Compose tool, no `helm`, a file that cannot be read.
pub async fn engine(config: &DeviceConfig) -> Result<Arc<dyn DynWorkloadRuntime>> {
    let section = &config.runtime;
    ensure!(
        section.compose.is_some() || section.helm.is_some(),
        "`runtime.kind` is \"engine\", and there is neither `[runtime.compose]` nor `[runtime.helm]`"
    );
    let images = section.compose.as_ref().and_then(|compose| compose.docker_config.as_deref());
    let fetcher = fetcher_and_sizes(&section.packages, images, &config.device.data.join("packages"))?;
    let mut runtimes = Runtimes::new();
    if let Some(compose) = &section.compose {
        let runtime = compose_runtime(compose, config, fetcher.clone()).await?;
        tracing::info!(tool = %runtime.tool().kind(), version = runtime.tool().version(), "runs Compose deployments");
        runtimes = runtimes.with(ProfileType::Compose, Arc::new(runtime));
    }
    if let Some(helm) = &section.helm {
        let mut options =
            HelmOptions::new(section.folder.join("helm")).with_limit(helm.ready_within).with_poll(helm.poll);
        if let Some(program) = &helm.program {
            options = options.with_program(program);
        }
        if let Some(kubeconfig) = &helm.kubeconfig {
            options = options.with_kubeconfig(kubeconfig);
        }
        if let Some(context) = &helm.context {
            options = options.with_context(context);
        }
        // R-C-014 came with rc.2.
        if matches!(config.manager.revision, SpecVersion::PreDraft | SpecVersion::V1_0_0Rc1) {
            options = options.with_rules(ChartRules::Any);
        }
        let runtime = HelmRuntime::new(fetcher, options).context("`runtime.helm`")?;
        runtimes = runtimes.with(ProfileType::Helm, Arc::new(runtime));
    }
    Ok(Arc::new(runtimes))
}

/// How the engine of a section is reached.
#[must_use]
pub fn engine_access(section: &ComposeSection) -> EngineAccess {
    let mut access = EngineAccess::default();
    access.host.clone_from(&section.host);
    access.config.clone_from(&section.docker_config);
    access
}

/// The Compose tool of a section; `home` is a folder for what it keeps for itself.
///
/// # Errors
///
/// None of them is there.
pub async fn probe(section: &ComposeSection, home: &Path) -> Result<Tool> {
    let kinds: Vec<_> = section
        .tools
        .iter()
        .map(|name| match name {
            ToolName::DockerComposePlugin => ToolKind::DockerCompose,
            ToolName::DockerCompose => ToolKind::DockerComposeStandalone,
            ToolName::PodmanCompose => ToolKind::PodmanCompose,
        })
        .collect();
    Ok(Tool::probe(&kinds, engine_access(section), home).await?)
}

/// What gets packages onto the device.
///
/// # Errors
///
/// A file of credentials or certificates that cannot be read.
pub fn fetcher(section: &PackagesSection, cache: &Path) -> Result<Fetcher> {
    fetcher_and_sizes(section, None, cache)
}

/// As [`fetcher`], and it asks how large images are with the credentials in the folder `images`.
fn fetcher_and_sizes(section: &PackagesSection, images: Option<&Path>, cache: &Path) -> Result<Fetcher> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()));
    let mut options = Options::new();
    if let Some(path) = &section.root_certificate {
        options = options.with_root_certificate(&read(path)?)?;
    }
    if let Some(text) = images.and_then(|folder| std::fs::read(folder.join("config.json")).ok()) {
        // It is the engine's, and may leave credentials to programs that are not asked here.
        let known = options.clone().with_registry_config(&text);
        options = known.unwrap_or_else(|error| {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the sizes of images are asked for without credentials"
            );
            options
        });
    }
    if let Some(path) = &section.registry_config {
        options = options.with_registry_config(&read(path)?)?;
    }
    for (host, registry) in &section.registries {
        let mut known = Registry::new();
        if registry.plain_http {
            known = known.with_plain_http();
        }
        if let Some(path) = &registry.root_certificate {
            let why = || format!("`root-certificate` of the registry `{host}`");
            known = known.with_root_certificate(&read(path)?).with_context(why)?;
        }
        if let Some(path) = &registry.token_file {
            anyhow::ensure!(
                registry.user.is_none(),
                "the registry `{host}` has both `user` and `token-file`; it takes one"
            );
            known = known.with_credentials(Credentials::bearer(read_secret(path)?));
        }
        if let Some(user) = &registry.user {
            let file = registry.password_file.as_deref();
            let file =
                file.with_context(|| format!("`password-file` of the registry `{host}` is missing"))?;
            known = known.with_credentials(Credentials::basic(user, read_secret(file)?));
        }
        options = options.with_registry(host, known);
    }
    Ok(Fetcher::new(cache, options)?)
}

async fn compose_runtime(
    section: &ComposeSection,
    config: &DeviceConfig,
    fetcher: Fetcher,
) -> Result<ComposeRuntime> {
    let mut options = ComposeOptions::default();
    options.policy.binds.clone_from(&section.binds);
    options.policy.host_network = section.host_network;
    options.policy.host_namespaces = section.host_namespaces;
    options.policy.devices = section.devices;
    options.policy.privileged = section.privileged;
    options.policy.external = section.external;
    options.remove_volumes = section.remove_volumes;
    options.keep_images = section.keep_images;
    options.pull_early = section.pull_early;
    options.parallel = section.parallel;
    options.parallel_pulls = section.parallel_pulls;
    options.collector = config.runtime.collector.as_ref().map(CollectorSection::collector);
    options.min_free_bytes = section.min_free;
    options.ready_within = section.ready_within;
    options.pull_within = section.pull_within;
    options.poll = section.poll;

    let folder = config.runtime.folder.join("compose");
    std::fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let tool = probe(section, &folder).await.context("`runtime.compose`")?;
    let owner = section.owner.clone().unwrap_or_else(|| config.device.id.to_string());
    ComposeRuntime::open(&folder, owner, Arc::new(fetcher), tool, options)
        .with_context(|| format!("`{}` cannot be used", folder.display()))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    Quantity::from(text).bytes().ok_or_else(|| serde::de::Error::custom("expected an amount such as `256Mi`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-A-050.
    #[test]
    fn a_collector_is_told_as_the_specification_names_it() {
        let section: CollectorSection = toml::from_str(
            "http = 'http://10.0.0.1:4318'\ngrpc = 'http://10.0.0.1:4317'\nprotocol = 'http-protobuf'",
        )
        .unwrap();
        let variables = section.collector().variables();
        assert_eq!(variables["HTTP_OTEL_EXPORTER_OTLP_ENDPOINT"], "http://10.0.0.1:4318");
        assert_eq!(variables["GRPC_OTEL_EXPORTER_OTLP_ENDPOINT"], "http://10.0.0.1:4317");
        assert_eq!(variables["OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf");
        assert!(toml::from_str::<CollectorSection>("http = 'somewhere'").is_err());
        assert!(toml::from_str::<CollectorSection>("http = 'http://a'\nprotocol = 'http'").is_err());
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let section: ComposeSection = toml::from_str("min-free = '1Gi'\nready-within = '2m'").unwrap();
        assert_eq!((section.min_free, section.ready_within), (1 << 30, Duration::from_mins(2)));
        assert!(section.pull_early && !section.host_network && section.tools.len() == 3);
        let error = toml::from_str::<ComposeSection>("min-free = 'much'").unwrap_err().to_string();
        assert!(error.contains("256Mi"), "{error}");
        assert!(toml::from_str::<ComposeSection>("hots-network = true").is_err());
    }

    #[test]
    fn a_user_needs_a_password() {
        let section: PackagesSection =
            toml::from_str("[registries.'r.example:5000']\nuser = 'plant'").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = fetcher(&section, folder.path()).unwrap_err().to_string();
        assert!(error.contains("password-file") && error.contains("r.example:5000"), "{error}");
    }

    #[test]
    fn a_registry_has_a_token_and_an_authority_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (token, authority) = (folder.path().join("token"), folder.path().join("ca.pem"));
        std::fs::write(&token, "geheim\n").unwrap();
        let of = |more: &str| {
            let text = format!("[registries.'r.example:5000']\ntoken-file = '{}'\n{more}", token.display());
            let section: PackagesSection = toml::from_str(&text).unwrap();
            fetcher(&section, &folder.path().join("cache"))
        };
        assert!(of("").is_ok());
        let error = of("user = 'plant'").unwrap_err().to_string();
        assert!(error.contains("r.example:5000") && error.contains("token-file"), "{error}");
        let with_authority = format!("root-certificate = '{}'", authority.display());
        let error = of(&with_authority).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
        std::fs::write(&authority, "geheim").unwrap();
        let error = format!("{:#}", of(&with_authority).unwrap_err());
        assert!(error.contains("r.example:5000") && !error.contains("geheim"), "{error}");
    }
}
