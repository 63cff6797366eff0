//! `margo-device doctor`: looks at everything a device needs, and says what to do about what is missing.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use margo_api::{DesiredStateSource as _, SourceErrorKind};
use margo_client::{DeviceCredentials, HttpTransport, RestClient, Transport as _};
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

/// How long one program or one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at: `engine`, `registry`, `time`, `disk`, `identity`, `manager`.
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
    let mut findings = vec![disk("disk", &config.device.data)];
    if config.runtime.folder != config.device.data {
        findings.push(disk("disk", &config.runtime.folder));
    }
    findings.extend(secrets(config).iter().map(|path| secret(path)));
    for path in certificates(config) {
        findings.extend(certificate(path, now));
    }
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

/// The certificates that end some day.
fn certificates(config: &DeviceConfig) -> Vec<&Path> {
    let manager = &config.manager;
    let mut files = Vec::new();
    files.extend(manager.signature.as_ref().map(|signature| signature.certificate.as_path()));
    files.extend(manager.svid.as_ref().map(|svid| svid.certificate.as_path()));
    files.extend(manager.tls.authority.as_deref());
    let packages = &config.runtime.packages;
    files.extend(packages.root_certificate.as_deref());
    files.extend(packages.registries.values().filter_map(|registry| registry.root_certificate.as_deref()));
    files
}

fn disk(subject: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    let writable = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    if let Err(error) = writable {
        let remedy = format!("give the folder to whoever runs this: `chown -R $USER {shown}`");
        return Finding::bad(subject, format!("`{shown}` cannot be written to: {error}"), remedy);
    }
    let free = match rustix::fs::statvfs(folder) {
        Ok(file_system) => file_system.f_bavail.saturating_mul(file_system.f_frsize),
        Err(error) => {
            return Finding::doubtful(subject, format!("the space at `{shown}` is not known: {error}"), "");
        }
    };
    let message = format!("`{shown}` has {} MiB free", free >> 20);
    let remedy = "make room: images and packages that nobody needs are a good start";
    match free {
        _ if free < LOW_SPACE / 10 => Finding::bad(subject, message, remedy),
        _ if free < LOW_SPACE => Finding::doubtful(subject, message, remedy),
        _ => Finding::good(subject, message),
    }
}

/// A file that is there, and only for its owner.
fn secret(path: &Path) -> Finding {
    let shown = path.display();
    let metadata = match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => metadata,
        Err(error) => {
            let remedy = "put it where the configuration says, readable for whoever runs this";
            return Finding::bad("identity", format!("`{shown}` cannot be read: {error}"), remedy);
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

/// Every certificate of a file: that it is one, has begun, and does not end soon.
fn certificate(path: &Path, now: Timestamp) -> Vec<Finding> {
    let shown = path.display();
    let renew = "have it renewed by whoever issued it";
    let mut text = Vec::new();
    if let Err(error) = File::open(path).and_then(|file| file.take(1 << 20).read_to_end(&mut text)) {
        return vec![Finding::bad("identity", format!("`{shown}` cannot be read: {error}"), "")];
    }
    let mut findings = Vec::new();
    for der in CertificateDer::pem_slice_iter(&text) {
        let validity = der.ok().and_then(|der| {
            let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
            let validity = certificate.validity();
            let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
            Some((time(validity.not_before)?, time(validity.not_after)?))
        });
        findings.push(match validity {
            None => {
                Finding::bad("identity", format!("`{shown}` has a certificate that cannot be read"), renew)
            }
            Some((begin, _)) if now < begin => {
                let remedy = "see that the clock is right";
                Finding::bad("identity", format!("`{shown}` is not valid before {begin}"), remedy)
            }
            Some((_, end)) if now > end => {
                Finding::bad("identity", format!("`{shown}` is not valid any more since {end}"), renew)
            }
            Some((_, end)) if end.duration_since(now).unsigned_abs() < SOON => {
                Finding::doubtful("identity", format!("`{shown}` is valid until {end} only"), renew)
            }
            Some((_, end)) => Finding::good("identity", format!("`{shown}` is valid until {end}")),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::bad("identity", format!("`{shown}` has no certificate in it"), renew));
    }
    findings
}

/// That it answers, what time it has, and that it takes the device for who it is.
async fn manager(config: &DeviceConfig, now: Timestamp) -> Vec<Finding> {
    let url = &config.manager.url;
    let is_new = config.manager.signature.is_some()
        && config.manager.client_id.is_none()
        && !config.device.data.join("client-id").exists();
    if is_new {
        // To look would be to onboard it.
        let remedy = "start it once: it is onboarded then";
        return vec![Finding::doubtful("manager", "does not know the device yet", remedy)];
    }
    let mut upkeep = Upkeep::default();
    let met = tokio::time::timeout(PATIENCE, device::manager(config, &mut upkeep)).await;
    let (contact, client) = match met {
        Ok(Ok(met)) => met,
        Ok(Err(error)) => {
            let remedy = "correct `[manager]`, or onboard the device again";
            return vec![Finding::bad("manager", format!("{error:#}"), remedy)];
        }
        Err(_) => {
            let remedy = "see that the address is right, the network is up, and the manager runs";
            return vec![Finding::bad(
                "manager",
                format!("`{url}` does not give what the device needs"),
                remedy,
            )];
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
            let remedy = "see that the address is right, the network is up, and the manager runs";
            return vec![Finding::bad("manager", format!("`{url}`: {}", chain(&error)), remedy)];
        }
    };
    let mut findings = vec![Finding::good("manager", format!("`{url}` answers"))];
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    findings.push(time(date, now));
    findings.push(acceptance(config, &client).await);
    findings
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
    let remedy = "let the clock be set: `timedatectl set-ntp true`";
    match skew {
        _ if skew > MAX_SKEW * 5 => Finding::bad("time", message, remedy),
        _ if skew > MAX_SKEW => Finding::doubtful("time", message, remedy),
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
            "onboard the device again, or see that its id and its token belong together",
        ),
        Err(error) => Finding::bad(
            "manager",
            chain(&error),
            "see that the revision and the address are those of the manager",
        ),
    }
}

/// The programs that run things.
async fn engines(config: &DeviceConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(compose) = &config.runtime.compose {
        let home = config.runtime.folder.join("compose");
        let probed = std::fs::create_dir_all(&home).map_err(anyhow::Error::from);
        let probed = match probed {
            Ok(()) => runtimes::probe(compose, &home).await,
            Err(error) => Err(error),
        };
        findings.push(match probed {
            Ok(tool) => Finding::good("engine", format!("{} {}", tool.kind(), tool.version())),
            Err(error) => Finding::bad(
                "engine",
                format!("{error:#}"),
                "`apt-get install docker.io docker-compose`, or see that whoever runs this may use it",
            ),
        });
        if let Some(host) = &compose.host {
            findings.push(socket(host));
        }
    }
    if let Some(helm) = &config.runtime.helm {
        let program = helm.program.clone().unwrap_or_else(|| "helm".into());
        let mut command = Command::new(&program);
        if let Some(kubeconfig) = &helm.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(context) = &helm.context {
            command.args(["--kube-context", context]);
        }
        // Asks the cluster, and changes nothing.
        command.args(["list", "--max", "1"]);
        findings.push(program_works(&program, command).await);
    }
    findings
}

fn socket(host: &str) -> Finding {
    let Some(path) = host.strip_prefix("unix://").or_else(|| host.strip_prefix("unix:")) else {
        return Finding::good("engine", format!("is at `{host}`"));
    };
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Finding::good("engine", format!("`{path}` answers")),
        Err(error) => {
            let remedy = "start the engine, and let whoever runs this use it: `systemctl start docker`";
            Finding::bad("engine", format!("`{path}` does not answer: {error}"), remedy)
        }
    }
}

async fn program_works(program: &Path, mut command: Command) -> Finding {
    let shown = program.display();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(Ok(output)) if output.status.success() => {
            Finding::good("engine", format!("`{shown}` reaches its cluster"))
        }
        Ok(Ok(output)) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last: String = errors.lines().last().unwrap_or_default().chars().take(300).collect();
            Finding::bad(
                "engine",
                format!("`{shown}`: {last}"),
                "see that `runtime.helm.kubeconfig` leads to the cluster",
            )
        }
        Ok(Err(error)) => Finding::bad(
            "engine",
            format!("`{shown}` cannot be started: {error}"),
            "install Helm, 3.13 or newer",
        ),
        Err(_) => {
            Finding::bad("engine", format!("`{shown}` does not end"), "see that the cluster can be reached")
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
        let remedy = "registries without credentials need no settings; the others do";
        return vec![Finding::doubtful("registry", "none is in the configuration", remedy)];
    }
    let mut findings = Vec::new();
    for host in packages.registries.keys() {
        let answer = tokio::time::timeout(PATIENCE, fetcher.check_registry(host)).await;
        findings.push(match answer {
            Ok(Ok(())) => Finding::good("registry", format!("`{host}` answers")),
            Ok(Err(error)) => {
                let remedy = match error.kind() {
                    margo_oci::FetchErrorKind::Unauthorized => "correct its `user` and `password-file`",
                    _ => "see that the address is right, whether it speaks HTTPS, and who vouches for it",
                };
                Finding::bad("registry", error.to_string(), remedy)
            }
            Err(_) => {
                Finding::bad("registry", format!("`{host}` does not answer"), "see that the network is up")
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
        let finding = disk("disk", &file);
        assert_eq!(finding.health, Health::Bad);
        assert!(finding.message.contains("file"), "{finding}");
        assert_ne!(disk("disk", folder.path()).health, Health::Bad);
    }

    #[test]
    fn a_finding_says_what_to_do() {
        let finding = Finding::bad("engine", "is not there", "install it");
        assert_eq!(finding.to_string(), "FAIL  engine    is not there\n                install it");
        assert_eq!(Finding::good("time", "fine").to_string(), "good  time      fine");
    }
}
