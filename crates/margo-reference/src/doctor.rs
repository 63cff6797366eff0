//! `margo-device doctor`: looks at everything a device needs, and says what to do about what is missing.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use margo_agent::{CapabilityFile, Host};
use margo_api::{DesiredStateSource as _, SourceErrorKind};
use margo_capability::AnyDeviceCapabilities;
use margo_client::{DeviceCredentials, HttpTransport, RestClient, Transport as _, TransportErrorKind};
use margo_oci::FetchErrorKind;
use margo_runtime_compose::{Tool, ToolKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::process::Command;

use crate::config::{DeviceConfig, RuntimeKind, SourceKind};
use crate::device::{self, Upkeep};
use crate::runtimes;

/// A clock may be off by as much before certificates and signatures suffer.
const MAX_SKEW: Duration = Duration::from_mins(1);

/// Less free space than that is a warning, and a tenth of it a failure; in bytes.
const LOW_SPACE: u64 = 1 << 30;

/// A certificate that ends within this time is a warning.
const SOON: Duration = Duration::from_hours(7 * 24);

const MAKE_ROOM: &str =
    "make room: `docker system df` shows what images take, `docker image prune --all` removes unused ones";
const SET_CLOCK: &str = "set the clock, or have it set: `timedatectl set-ntp true`";
const RENEW: &str = "have it renewed by whoever issued it; with `margo identity`, issue it again";
const NOT_THERE: &str =
    "put it there, readable for whoever runs this, or correct the path in the configuration";

/// How long one program or one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The oldest Helm that works: it labels releases.
const HELM: (u64, u64) = (3, 13);

/// What was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at: `disk`, `device`, `identity`, `manager`, `time`, `engine`, `registry`.
    pub subject: &'static str,
    /// How bad it is.
    pub health: Health,
    /// What there is to see.
    pub message: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between and beyond")]
pub enum Health {
    /// As it should be.
    Good,
    /// The device works, and may not for long.
    Doubtful,
    /// The device does not work like this.
    Bad,
}

impl Finding {
    fn good(subject: &'static str, message: impl Into<String>) -> Self {
        Self { subject, health: Health::Good, message: message.into(), remedy: String::new() }
    }

    fn doubtful(subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, health: Health::Doubtful, message: message.into(), remedy: remedy.into() }
    }

    fn bad(subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, health: Health::Bad, message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.health {
            Health::Good => "good",
            Health::Doubtful => "warn",
            Health::Bad => "FAIL",
        };
        write!(f, "{mark}  {:<9} {}", self.subject, self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "\n                {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Looks at the device that `config` describes. Changes nothing but its own folders, which it makes if need be.
pub async fn examine(config: &DeviceConfig, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![disk(&config.device.data)];
    if config.runtime.folder != config.device.data {
        findings.push(disk(&config.runtime.folder));
    }
    findings.push(capabilities(config));
    findings.extend(schedule(config));
    findings.extend(secrets(config).iter().map(|path| secret(path)));
    findings.extend(own_certificates(config).iter().flat_map(|path| certificate(path, now)));
    findings.extend(authorities(config).iter().map(|path| authority(path, now)));
    findings.extend(manager(config, now).await);
    if config.runtime.kind == RuntimeKind::Engine {
        findings.extend(engines(config).await);
        findings.extend(registries(config).await);
    }
    findings
}

/// The files that nobody else should read.
fn secrets(config: &DeviceConfig) -> Vec<&Path> {
    let (manager, packages) = (&config.manager, &config.runtime.packages);
    let mut files = Vec::new();
    files.extend(manager.token_file.as_deref());
    files.extend(manager.oauth.as_ref().map(|oauth| oauth.secret_file.as_path()));
    files.extend(manager.payload_key.as_deref());
    files.extend(manager.signature.as_ref().map(|signature| signature.key.as_path()));
    files.extend(manager.svid.as_ref().map(|svid| svid.key.as_path()));
    files.extend(config.desired_state.token_file.as_deref());
    files.extend(packages.registry_config.as_deref());
    for registry in packages.registries.values() {
        files.extend(registry.password_file.as_deref());
        files.extend(registry.token_file.as_deref());
    }
    files.extend(config.runtime.helm.iter().filter_map(|helm| helm.kubeconfig.as_deref()));
    files
}

/// What the device shows of itself.
fn own_certificates(config: &DeviceConfig) -> Vec<&Path> {
    let manager = &config.manager;
    let mut files = Vec::new();
    files.extend(manager.signature.as_ref().map(|signature| signature.certificate.as_path()));
    files.extend(manager.svid.as_ref().map(|svid| svid.certificate.as_path()));
    files
}

/// Who vouches for others.
fn authorities(config: &DeviceConfig) -> Vec<&Path> {
    let packages = &config.runtime.packages;
    let mut files = Vec::new();
    files.extend(config.manager.tls.authority.as_deref());
    files.extend(packages.root_certificate.as_deref());
    files.extend(packages.registries.values().filter_map(|registry| registry.root_certificate.as_deref()));
    files
}

/// What the device says about itself, as it would be reported.
fn capabilities(config: &DeviceConfig) -> Finding {
    let device = &config.device;
    let shown = device.capabilities.display();
    let file = CapabilityFile::new(&device.capabilities).with_host(Host::new().with_storage(&device.data));
    match file.read() {
        Err(error) => {
            let remedy = format!("correct it; `margo check {shown}` shows the place");
            Finding::bad("device", chain(&error), remedy)
        }
        Ok(devices) => match devices.first().map(AnyDeviceCapabilities::device_id) {
            Some(id) if *id != config.device.id => {
                let message = format!("`{shown}` is about `{id}`, and this device is `{}`", config.device.id);
                Finding::doubtful("device", message, "write the same id into both files")
            }
            _ => Finding::good("device", format!("`{shown}` says what `{}` is", config.device.id)),
        },
    }
}

/// Hours and time zones that cannot be understood: the device would not start.
fn schedule(config: &DeviceConfig) -> Option<Finding> {
    let error = device::schedule(&config.schedule).err()?;
    let remedy = "correct `[schedule]`; without a time zone database, as in a container, a zone is a rule such as \
                  `CET-1CEST,M3.5.0,M10.5.0/3`";
    Some(Finding::bad("device", format!("{error:#}"), remedy))
}

fn disk(folder: &Path) -> Finding {
    let shown = folder.display();
    let writable = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    if let Err(error) = writable {
        let remedy = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => MAKE_ROOM.to_owned(),
            ErrorKind::ReadOnlyFilesystem => "see why it was mounted read-only: `dmesg`".to_owned(),
            _ => {
                format!("give it to whoever runs this: `chown -R USER {shown}`, or correct the configuration")
            }
        };
        return Finding::bad("disk", format!("`{shown}` cannot be written to: {error}"), remedy);
    }
    match rustix::fs::statvfs(folder) {
        Ok(file_system) => space(folder, file_system.f_bavail.saturating_mul(file_system.f_frsize)),
        Err(error) => Finding::doubtful(
            "disk",
            format!("the space at `{shown}` is not known: {error}"),
            "look with `df`: a full disk stops updates",
        ),
    }
}

/// `free` in bytes.
fn space(folder: &Path, free: u64) -> Finding {
    let (subject, shown) = ("disk", folder.display());
    let message = format!("`{shown}` has {} MiB free", free >> 20);
    match free {
        _ if free < LOW_SPACE / 10 => Finding::bad(subject, message, MAKE_ROOM),
        _ if free < LOW_SPACE => Finding::doubtful(subject, message, MAKE_ROOM),
        _ => Finding::good(subject, message),
    }
}

/// A file that is there, and only for its owner.
fn secret(path: &Path) -> Finding {
    let shown = path.display();
    let metadata = match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::bad("identity", format!("`{shown}` cannot be read: {error}"), NOT_THERE);
        }
    };
    if metadata.mode() & 0o077 != 0 {
        let message = format!("`{shown}` can be read by others: its mode is {:o}", metadata.mode() & 0o777);
        return Finding::bad("identity", message, format!("`chmod 600 {shown}`"));
    }
    if metadata.len() == 0 {
        return Finding::bad("identity", format!("`{shown}` is empty"), "write the secret into it");
    }
    Finding::good("identity", format!("`{shown}` is only for its owner"))
}

/// The times within which the certificates of a file are valid; `None` for one that cannot be read.
fn validities(path: &Path) -> std::io::Result<Vec<Option<(Timestamp, Timestamp)>>> {
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(1 << 20).read_to_end(&mut text))?;
    let validity = |der: CertificateDer<'_>| {
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let validity = certificate.validity();
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some((time(validity.not_before)?, time(validity.not_after)?))
    };
    Ok(CertificateDer::pem_slice_iter(&text).map(|der| der.ok().and_then(validity)).collect())
}

/// Every certificate of a file: that it is one, has begun, and does not end soon.
fn certificate(path: &Path, now: Timestamp) -> Vec<Finding> {
    let shown = path.display();
    let validities = match validities(path) {
        Ok(validities) => validities,
        Err(error) => {
            return vec![Finding::bad("identity", format!("`{shown}` cannot be read: {error}"), NOT_THERE)];
        }
    };
    if validities.is_empty() {
        return vec![Finding::bad("identity", format!("`{shown}` has no certificate in it"), RENEW)];
    }
    let finding = |validity: &Option<(Timestamp, Timestamp)>| match *validity {
        None => Finding::bad("identity", format!("`{shown}` has a certificate that cannot be read"), RENEW),
        Some((begin, _)) if now < begin => {
            Finding::bad("identity", format!("`{shown}` is not valid before {begin}"), SET_CLOCK)
        }
        Some((_, end)) if now > end => {
            Finding::bad("identity", format!("`{shown}` is not valid any more since {end}"), RENEW)
        }
        Some((_, end)) if end.duration_since(now).unsigned_abs() < SOON => {
            Finding::doubtful("identity", format!("`{shown}` is valid until {end} only"), RENEW)
        }
        Some((_, end)) => Finding::good("identity", format!("`{shown}` is valid until {end}")),
    };
    validities.iter().map(finding).collect()
}

/// That one authority of a file is valid, and stays so; those of an operating system are many, and some have ended.
fn authority(path: &Path, now: Timestamp) -> Finding {
    const FETCH: &str = "get the file anew from whoever runs the server it is for";
    let shown = path.display();
    let validities = match validities(path) {
        Ok(validities) => validities,
        Err(error) => {
            return Finding::bad("identity", format!("`{shown}` cannot be read: {error}"), NOT_THERE);
        }
    };
    let valid = validities.iter().flatten().filter(|(begin, end)| (*begin..=*end).contains(&now));
    match valid.map(|(_, end)| *end).max() {
        None => {
            let message = format!("`{shown}` has no authority in it that is valid now");
            Finding::bad("identity", message, format!("{FETCH}, and see that the clock is right"))
        }
        Some(end) if end.duration_since(now).unsigned_abs() < SOON => {
            let message = format!("`{shown}` has no authority in it that is valid after {end}");
            Finding::doubtful("identity", message, FETCH)
        }
        Some(end) => Finding::good("identity", format!("`{shown}` has authorities until {end}")),
    }
}

/// That it answers, what time it has, and that it takes the device for who it is.
async fn manager(config: &DeviceConfig, now: Timestamp) -> Vec<Finding> {
    let url = &config.manager.url;
    let is_new = config.manager.signature.is_some()
        && config.manager.client_id.is_none()
        && !config.device.data.join("client-id").exists();
    if is_new {
        // To look would be to onboard it.
        let remedy = "start `margo-device` once: it is onboarded then";
        return vec![Finding::doubtful("manager", "does not know the device yet", remedy)];
    }
    let mut upkeep = Upkeep::default();
    let met = tokio::time::timeout(PATIENCE, device::manager(config, &mut upkeep)).await;
    let (contact, client) = match met {
        Ok(Ok(met)) => met,
        Ok(Err(error)) => {
            let remedy = "correct `[manager]` in the configuration, or the file it names";
            return vec![Finding::bad("manager", format!("{error:#}"), remedy)];
        }
        Err(_) => {
            let message = format!(
                "nobody gives what proves `{url}` to be the manager, within {} s",
                PATIENCE.as_secs()
            );
            let remedy = "what is logged above says why; see that the manager runs, and that `[manager.tls]` and `[manager.svid]` are right";
            return vec![Finding::bad("manager", message, remedy)];
        }
    };
    let request = match http::Request::get(url.as_str()).body(Bytes::new()) {
        Ok(request) => request,
        Err(error) => {
            return vec![Finding::bad("manager", format!("`{url}`: {error}"), "correct `manager.url`")];
        }
    };
    let answer = match contact.transport.send(request, 1 << 20).await {
        Ok(answer) => answer,
        Err(error) => {
            let message = format!("`{url}`: {}", chain(&error));
            return vec![Finding::bad("manager", message, reach(error.kind()))];
        }
    };
    let mut findings = vec![Finding::good("manager", format!("`{url}` answers"))];
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    findings.push(time(date, now));
    findings.push(acceptance(config, &client).await);
    findings
}

/// What to do when the manager cannot be spoken to.
fn reach(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Untrusted => {
            "see that `manager.tls.authority`, or the trust bundle of `manager.svid`, is that of the manager, \
             that `manager.url` names it as its certificate does, and that the clock is right"
        }
        TransportErrorKind::Refused => {
            "see that the device's certificate is valid and of the manager's trust domain, and that the device is \
             onboarded: `margo device list`"
        }
        TransportErrorKind::TimedOut | TransportErrorKind::Interrupted => {
            "see what is between here and there, a firewall or a proxy, and that the manager is not overloaded"
        }
        TransportErrorKind::Unreachable => {
            "see that the manager runs, that `manager.url` is its address, that its name is known here, and that \
             the network is up"
        }
        _ => "see that `manager.url` is the address of a manager",
    }
}

/// The clock of the device by that of the manager.
fn time(date: Option<&str>, now: Timestamp) -> Finding {
    let theirs = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let Some(theirs) = theirs else {
        return Finding::doubtful(
            "time",
            "the manager does not say what time it is",
            "compare the clocks by hand",
        );
    };
    let skew = theirs.duration_since(now).unsigned_abs();
    let message = format!("the clock is {} s off that of the manager", skew.as_secs());
    match skew {
        _ if skew > MAX_SKEW * 5 => Finding::bad("time", message, SET_CLOCK),
        _ if skew > MAX_SKEW => Finding::doubtful("time", message, SET_CLOCK),
        _ => Finding::good("time", message),
    }
}

async fn acceptance(config: &DeviceConfig, client: &RestClient<HttpTransport, DeviceCredentials>) -> Finding {
    if config.desired_state.source != SourceKind::Rest {
        return Finding::good("manager", "desired state comes from Git, which was not asked");
    }
    match client.poll(None).await {
        Ok(_) => Finding::good("manager", format!("knows `{}`", config.device.id)),
        Err(error) if error.kind() == SourceErrorKind::Unauthorized => Finding::bad(
            "manager",
            format!("does not take this client for one of `{}`", config.device.id),
            format!(
                "see that its id and its secret belong together; `margo device rotate {}` gives it new tokens",
                config.device.id
            ),
        ),
        Err(error) => Finding::bad(
            "manager",
            chain(&error),
            "see that `manager.revision` is one that the manager speaks, and that `manager.url` has no path of its own",
        ),
    }
}

/// The programs that run things.
async fn engines(config: &DeviceConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.runtime.compose.is_none() && config.runtime.helm.is_none() {
        let message = "`runtime.kind` is \"engine\", and nothing is said of one";
        findings.push(Finding::bad("engine", message, "add `[runtime.compose]`, `[runtime.helm]` or both"));
    }
    if let Some(compose) = &config.runtime.compose {
        let home = config.runtime.folder.join("compose");
        let probed = std::fs::create_dir_all(&home).map_err(anyhow::Error::from);
        let probed = match probed {
            Ok(()) => runtimes::probe(compose, &home).await,
            Err(error) => Err(error),
        };
        match probed {
            Ok(tool) => findings.extend(container_engine(&tool).await),
            Err(error) => findings.push(Finding::bad(
                "engine",
                format!("{error:#}"),
                "`apt-get install docker.io docker-compose`, or correct `runtime.compose.tools`",
            )),
        }
    }
    if let Some(helm) = &config.runtime.helm {
        let program = helm.program.clone().unwrap_or_else(|| "helm".into());
        if let Err(finding) = helm_version(&program).await {
            findings.push(finding);
            return findings;
        }
        let mut command = Command::new(&program);
        if let Some(kubeconfig) = &helm.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(context) = &helm.context {
            command.args(["--kube-context", context]);
        }
        // Asks the cluster, and changes nothing.
        command.args(["list", "--max", "1"]);
        let remedy = "see that the cluster runs, and that `runtime.helm.kubeconfig` leads to it";
        findings.push(match answer(&program, command, remedy).await {
            Ok(_) => Finding::good("engine", format!("`{}` reaches its cluster", program.display())),
            Err(finding) => finding,
        });
    }
    findings
}

/// That the engine behind a tool answers, and has room for images.
async fn container_engine(tool: &Tool) -> Vec<Finding> {
    let named = format!("{} {}", tool.kind(), tool.version());
    let info = match tool.engine_info().await {
        Ok(info) => info,
        Err(error) => {
            let message = format!("{named}: {}", error.message());
            let remedy = if error.message().contains("permission denied") {
                "let whoever runs this use it: `usermod --append --groups docker USER`, and start anew"
            } else if tool.kind() == ToolKind::PodmanCompose {
                "see that `podman info` works for whoever runs this, or correct `runtime.compose.host`"
            } else {
                "start it, `systemctl start docker`, or correct `runtime.compose.host`"
            };
            return vec![Finding::bad("engine", message, remedy)];
        }
    };
    let mut findings =
        vec![Finding::good("engine", format!("{named} with version {} of its engine", info.version))];
    // It may be on another machine.
    if let Ok(file_system) = rustix::fs::statvfs(&info.folder) {
        let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
        findings.push(space(&info.folder, free));
    }
    findings
}

async fn helm_version(program: &Path) -> Result<(), Finding> {
    let mut command = Command::new(program);
    command.args(["version", "--template", "{{.Version}}"]);
    let said = answer(program, command, "see that it is a Helm").await?;
    let mut numbers = said.trim().trim_start_matches('v').split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= HELM => Ok(()),
        _ => Err(Finding::bad(
            "engine",
            format!("`{}` is Helm `{}`", program.display(), said.trim()),
            "install Helm, 3.13 or newer, or name another in `runtime.helm.program`",
        )),
    }
}

/// What a program says; what it complains of last when it fails.
async fn answer(program: &Path, mut command: Command, remedy: &str) -> Result<String, Finding> {
    let shown = program.display();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last: String = errors.lines().last().unwrap_or_default().chars().take(300).collect();
            Err(Finding::bad("engine", format!("`{shown}`: {last}"), remedy))
        }
        Ok(Err(error)) => Err(Finding::bad(
            "engine",
            format!("`{shown}` cannot be started: {error}"),
            "install Helm, 3.13 or newer, or say in `runtime.helm.program` where it is",
        )),
        Err(_) => {
            let message = format!("`{shown}` does not end within {} s", PATIENCE.as_secs());
            Err(Finding::bad("engine", message, remedy))
        }
    }
}

async fn registries(config: &DeviceConfig) -> Vec<Finding> {
    let packages = &config.runtime.packages;
    let cache: PathBuf = config.device.data.join("packages");
    let fetcher = match runtimes::fetcher(packages, &cache) {
        Ok(fetcher) => fetcher,
        Err(error) => {
            return vec![Finding::bad("registry", format!("{error:#}"), "correct `[runtime.packages]`")];
        }
    };
    if packages.registries.is_empty() {
        let message = "none is in the configuration, so none was asked";
        let remedy = "name those that packages come from: `[runtime.packages.registries.\"HOST:PORT\"]`";
        let remedy = match &packages.root_certificate {
            Some(_) => remedy.to_owned(),
            None => format!("{remedy}; without `runtime.packages.root-certificate` no other is trusted"),
        };
        return vec![Finding::doubtful("registry", message, remedy)];
    }
    let mut findings = Vec::new();
    for host in packages.registries.keys() {
        let answer = tokio::time::timeout(PATIENCE, fetcher.check_registry(host)).await;
        findings.push(match answer {
            Ok(Ok(())) => Finding::good("registry", format!("`{host}` answers")),
            Ok(Err(error)) => {
                let section = format!("[runtime.packages.registries.\"{host}\"]");
                let remedy = if error.kind() == FetchErrorKind::Unauthorized {
                    format!("correct `user` and `password-file`, or `token-file`, in `{section}`")
                } else {
                    format!(
                        "see that it runs and that this is its address; in `{section}`, `plain-http` is for one \
                         without TLS, and `root-certificate` for one with an authority of its own"
                    )
                };
                Finding::bad("registry", chain(&error), remedy)
            }
            Err(_) => {
                let message = format!("`{host}` does not answer within {} s", PATIENCE.as_secs());
                Finding::bad("registry", message, "see that it runs, and what is between here and there")
            }
        });
    }
    findings
}

/// An error and what led to it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use margo_runtime_compose::EngineAccess;

    use super::*;

    #[test]
    fn a_secret_is_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert_eq!(secret(&file).health, Health::Bad);
        std::fs::write(&file, "geheim").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let finding = secret(&file);
        assert!(finding.remedy.starts_with("`chmod 600 "), "{finding}");
        assert!(!finding.to_string().contains("geheim"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret(&file).health, Health::Good);
        std::fs::write(&file, "").unwrap();
        assert_eq!(secret(&file).health, Health::Bad);
    }

    #[test]
    fn a_clock_that_is_off_is_noticed() {
        let now: Timestamp = "2026-11-22T20:00:00Z".parse().unwrap();
        let health = |date: &str| time(Some(date), now).health;
        assert_eq!(health("Sun, 22 Nov 2026 20:00:59 GMT"), Health::Good);
        assert_eq!(health("Sun, 22 Nov 2026 19:58:00 GMT"), Health::Doubtful);
        assert_eq!(health("Sun, 22 Nov 2026 21:00:00 GMT"), Health::Bad);
        assert_eq!(health("yesterday"), Health::Doubtful);
        assert_eq!(time(None, now).health, Health::Doubtful);
    }

    #[test]
    fn a_certificate_ends_some_day() {
        let mut parameters = rcgen::CertificateParams::new(vec!["plant.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2026, 12, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        let health = |now: &str| {
            let findings = certificate(&file, now.parse().unwrap());
            assert_eq!(findings.len(), 1);
            findings[0].health
        };
        assert_eq!(health("2025-12-31T00:00:00Z"), Health::Bad);
        assert_eq!(health("2026-06-01T00:00:00Z"), Health::Good);
        assert_eq!(health("2026-11-25T00:00:00Z"), Health::Doubtful);
        assert_eq!(health("2026-12-02T00:00:00Z"), Health::Bad);
        std::fs::write(&file, "nothing").unwrap();
        assert_eq!(health("2026-06-01T00:00:00Z"), Health::Bad);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let finding = disk(&file);
        assert_eq!(finding.health, Health::Bad);
        assert!(finding.message.contains("file"), "{finding}");
        assert_ne!(disk(folder.path()).health, Health::Bad);
    }

    #[test]
    fn a_disk_that_is_full_is_noticed() {
        let health = |mebibytes: u64| space(Path::new("/data"), mebibytes << 20).health;
        assert_eq!((health(2048), health(1000), health(50)), (Health::Good, Health::Doubtful, Health::Bad));
        let finding = space(Path::new("/data"), 50 << 20);
        assert!(finding.message.contains("50 MiB") && finding.remedy.contains("make room"), "{finding}");
    }

    #[test]
    fn one_authority_of_many_is_enough() {
        let pem = |last: i32| {
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            parameters.not_before = rcgen::date_time_ymd(2025, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(last, 1, 1);
            parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem(2026) + &pem(2028)).unwrap();
        let at = |now: &str| authority(&file, now.parse().unwrap());
        assert_eq!(at("2027-01-01T00:00:00Z").health, Health::Good);
        assert_eq!(at("2027-12-30T00:00:00Z").health, Health::Doubtful);
        assert_eq!(at("2024-01-01T00:00:00Z").health, Health::Bad);
        let finding = at("2029-01-01T00:00:00Z");
        assert!(finding.health == Health::Bad && finding.remedy.contains("clock"), "{finding}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(at("2027-01-01T00:00:00Z").remedy, NOT_THERE);
    }

    #[tokio::test]
    async fn an_engine_that_does_not_answer_is_told_from_one_that_may_not_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let mut access = EngineAccess::default();
        access.path = Some(folder.path().into());
        program("docker-compose", "echo 1.29.2");
        program("docker", "echo 'dial unix /run/docker.sock: connect: permission denied' >&2; exit 1");
        let tool = Tool::probe(&ToolKind::ALL, access, folder.path()).await.unwrap();
        let findings = container_engine(&tool).await;
        assert!(findings[0].remedy.contains("usermod"), "{}", findings[0]);
        program("docker", "echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1");
        let findings = container_engine(&tool).await;
        assert!(findings[0].remedy.contains("systemctl start docker"), "{}", findings[0]);
        program("docker", &format!("echo 28.0 {}", folder.path().display()));
        let findings = container_engine(&tool).await;
        assert_eq!((findings.len(), findings[0].health), (2, Health::Good));
        assert_eq!(findings[1].subject, "disk");
    }

    #[test]
    fn a_finding_says_what_to_do() {
        let finding = Finding::bad("engine", "is not there", "install it");
        assert_eq!(finding.to_string(), "FAIL  engine    is not there\n                install it");
        assert_eq!(Finding::good("time", "fine").to_string(), "good  time      fine");
    }
}
