use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use margo_core::{ClientId, DeviceId, Quantity, SpecVersion};
use serde_json::Value;

use folder::DeviceFolder;
use proof::Proof;
use url::Url;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use super::status::to_seconds;
use crate::{Device, Onboarded, Table};

mod folder;
mod proof;

/// The most bytes a file with a certificate may have.
const MAX_CERTIFICATE: u64 = 64 * 1024;

const ONBOARD_EXAMPLES: &str = "\
Examples:
  margo device onboard line-3 --identity ./plant/clients/line-3 --address https://wfm.example --write ./line-3
  margo device onboard press-7 --revision pre-draft --identity ./plant/devices/press-7 \\
    --address https://wfm.example --write ./press-7
  margo device onboard line-4 --write ./line-4
  margo device onboard line-4 --json > line-4.json

`--write` writes margo-device.toml, capabilities.yaml (an example to be filled in) and what the device proves itself
with; then `margo-device --config DIR/margo-device.toml` runs the device. Files that exist are never overwritten.
Without `--identity` that is a token for development, which the manager takes on its own machine alone.";

#[derive(Debug, Subcommand)]
pub(super) enum DeviceVerb {
    Onboard(OnboardArgs),
    /// List every device
    List,
    /// Show one device and its capabilities
    Show(DeviceArg),
    /// Give a device new tokens; the old ones stop working at once
    Rotate(DeviceArg),
    Link(LinkArgs),
    Unlink(UnlinkArgs),
    /// Stop serving a device: its tokens stop working at once
    Retire(DeviceArg),
}

/// Make a device known to the manager
///
/// Its tokens are printed this once, or written to files with `--write`; the manager keeps only their hashes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = ONBOARD_EXAMPLES)]
pub(super) struct OnboardArgs {
    /// The device's id
    #[arg(value_name = "DEVICE")]
    device: DeviceId,
    /// The revision it speaks
    #[arg(long, value_enum, default_value_t = Revision::Rc3)]
    revision: Revision,
    /// The id of the device's client [default: one that nobody can guess]
    #[arg(long, value_name = "ID")]
    client_id: Option<ClientId>,
    /// The certificate it signs with, in PEM: devices of the pre-draft cannot send theirs
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Write what the device needs into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// What the device proves itself with: the folder that `margo identity issue` or an identity service wrote
    ///
    /// An SVID for 1.0.0-rc.3, which says what the client is called; for the older revisions a
    /// certificate, which the manager is told. The files are copied into the folder of `--write`.
    #[arg(
        long,
        value_name = "DIR",
        requires = "write",
        requires = "address",
        conflicts_with = "certificate"
    )]
    #[arg(verbatim_doc_comment)]
    identity: Option<PathBuf>,
    /// Where the device finds the manager, such as `https://wfm.example`
    #[arg(long, value_name = "URL", requires = "identity", value_parser = address)]
    address: Option<Url>,
}

const LINK_EXAMPLES: &str = "\
Examples:
  margo device link press-7 --client press-7-svid --revision rc.3
  margo device link press-7 --revision rc.2 --certificate press-7.pem";

/// Say what a device is now that it was upgraded
///
/// It keeps its deployments and its history; its documents are written anew in the words of its new revision.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = LINK_EXAMPLES)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct LinkArgs {
    /// The device; `client:device` when two have the name
    #[arg(value_name = "DEVICE", value_parser = device_name)]
    device: String,
    /// The id its client is known by now: the last segment of its SPIFFE id
    #[arg(long, value_name = "ID", group = "change")]
    client: Option<ClientId>,
    /// The revision it speaks now
    #[arg(long, value_enum, group = "change")]
    revision: Option<Revision>,
    /// The certificate it signs with now, in PEM
    #[arg(long, value_name = "FILE", group = "change")]
    certificate: Option<PathBuf>,
}

const UNLINK_EXAMPLES: &str = "\
Examples:
  margo device unlink press-7 --client press-7-svid
  margo device unlink press-7 --client press-7-svid --revision rc.2

`margo device show press-7` shows what it is linked with.";

/// Take back what a device was linked with
///
/// Whoever calls by that id is refused from its next request on, until it is onboarded or linked
/// again. Everything else stays with the device: its deployments and their history, its repository,
/// its tokens and the certificate it signs with. A device that comes back to its older revision needs
/// `--revision`: its documents are written anew.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = UNLINK_EXAMPLES)]
pub(super) struct UnlinkArgs {
    /// The device; `client:device` when two have the name
    #[arg(value_name = "DEVICE", value_parser = device_name)]
    device: String,
    /// The id it was linked with
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// The revision it speaks again
    #[arg(long, value_enum)]
    revision: Option<Revision>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Revision {
    /// October 2024: desired state from a Git repository
    #[value(name = "pre-draft")]
    PreDraft,
    /// July 2025: desired state over REST, signed requests
    #[value(name = "1.0.0-rc.1", alias = "rc.1")]
    Rc1,
    /// Gateways; otherwise as 1.0.0-rc.1
    #[value(name = "1.0.0-rc.2", alias = "rc.2")]
    Rc2,
    /// The newest: desired state over REST
    #[value(name = "1.0.0-rc.3", alias = "rc.3")]
    Rc3,
}

impl From<Revision> for SpecVersion {
    fn from(revision: Revision) -> Self {
        match revision {
            Revision::PreDraft => Self::PreDraft,
            Revision::Rc1 => Self::V1_0_0Rc1,
            Revision::Rc2 => Self::V1_0_0Rc2,
            Revision::Rc3 => Self::V1_0_0Rc3,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DeviceArg {
    /// The device; `client:device` when two have the name
    #[arg(value_name = "DEVICE", value_parser = device_name)]
    device: String,
}

/// Where identities are shown: nowhere in the clear (R-B-003, R-D-001).
fn address(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(url),
        _ => Err("expected an address that begins with `https://`".to_owned()),
    }
}

/// An empty name, or one that navigates, would be no segment of a path.
fn device_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("expected the name of a device".to_owned()),
        name => Ok(name.to_owned()),
    }
}

pub(super) async fn run(verb: DeviceVerb, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    match verb {
        DeviceVerb::Onboard(args) => onboard(args, session, output).await,
        DeviceVerb::List => {
            let devices = session.client.devices().await?;
            if output.is_json() {
                return output.json(&serde_json::json!({ "devices": devices }));
            }
            if devices.is_empty() {
                output.note("there are no devices");
            }
            output.table(&table(&devices))
        }
        DeviceVerb::Show(args) => {
            let device = find(session.client.devices().await?, &args.device)?;
            if output.is_json() { output.json(&device) } else { show(&device, output) }
        }
        DeviceVerb::Rotate(args) => {
            let onboarded = session.client.rotate(&args.device).await?;
            secrets(&onboarded, output)?;
            output.note("Its old tokens no longer work.");
            Ok(())
        }
        DeviceVerb::Link(args) => link(args, session, output).await,
        DeviceVerb::Unlink(args) => unlink(args, session, output).await,
        DeviceVerb::Retire(args) => {
            let device = session.client.retire(&args.device).await?;
            if output.is_json() { output.json(&device) } else { output.table(&table(&[device])) }
        }
    }
}

async fn onboard(args: OnboardArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    // The secrets are given once. Whatever can go wrong with the files goes wrong before they are asked for.
    let revision = SpecVersion::from(args.revision);
    let proof = match (&args.identity, args.address) {
        (Some(identity), Some(address)) => Some(Proof::read(identity, revision, address)?),
        _ => None,
    };
    let folder = args.write.as_deref();
    let folder = folder.map(|path| DeviceFolder::prepare(path, revision, proof.as_ref())).transpose()?;
    let in_svid = proof.as_ref().and_then(|proof| proof.client_id.as_ref());
    if let (Some(asked), Some(bears)) = (&args.client_id, in_svid)
        && asked != bears
    {
        let message = format!("the SVID is one of the client `{bears}`, and `--client-id` says `{asked}`");
        return Err(Failure::not_asked(message).help("leave `--client-id` out: the SVID says it"));
    }
    let client_id = args.client_id.as_ref().or(in_svid).map(ClientId::as_str);
    let certificate = match &proof {
        Some(proof) if revision < SpecVersion::V1_0_0Rc3 => proof.certificate(),
        _ => args.certificate.as_deref().map(certificate).transpose()?,
    };
    let (device, certificate) = (args.device.as_str(), certificate.as_deref());
    let onboarded = session.client.onboard_with(device, client_id, revision.as_str(), certificate).await?;
    let Some(folder) = folder else {
        return secrets(&onboarded, output);
    };
    match folder.write(&onboarded, revision, &session.manager, proof.as_ref()) {
        Ok(files) => {
            if output.is_json() {
                output.json(&onboarded)?;
            } else {
                files.iter().try_for_each(|file| output.line(&file.display().to_string()))?;
            }
        }
        Err(failure) => {
            // Never lost: there is no second time.
            secrets(&onboarded, output)?;
            return Err(failure);
        }
    }
    if revision == SpecVersion::PreDraft && onboarded.git_url.is_none() {
        output.warning("the manager hosts no Git repositories; name one in margo-device.toml");
    }
    output.note(&format!("{} is onboarded as client {}.", onboarded.device_id, onboarded.client_id));
    output.note(&format!("Fill in {}, then run:", folder.file("capabilities.yaml").display()));
    output.note(&format!("  margo-device --config {}", folder.file("margo-device.toml").display()));
    if let Some(proof) = &proof {
        let [_, key, _] = proof.names();
        output.note(&format!("The folder goes to the device, and its {key} to nobody else."));
    } else {
        output.note("It proves itself with a token, which the manager takes on this machine alone: `--identity` is for others.");
    }
    Ok(())
}

async fn link(args: LinkArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let certificate = args.certificate.as_deref().map(certificate).transpose()?;
    let client_id = args.client.as_ref().map(ClientId::as_str);
    let revision = args.revision.map(|revision| SpecVersion::from(revision).as_str());
    let changed = session.client.link(&args.device, client_id, revision, certificate.as_deref()).await?;
    output.of_device(&changed)?;
    if client_id.is_some() {
        output.note(&format!(
            "{} is the same device as before: `margo device show` says what it is linked with.",
            args.device
        ));
    }
    Ok(())
}

async fn unlink(args: UnlinkArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let revision = args.revision.map(|revision| SpecVersion::from(revision).as_str());
    let changed = session.client.unlink(&args.device, args.client.as_str(), revision).await?;
    output.of_device(&changed)?;
    output.note(&format!(
        "Whoever calls as {} is refused from now on; the rest stays with {}.",
        args.client, args.device
    ));
    Ok(())
}

/// The text of a certificate. What it says is for the manager to judge.
fn certificate(path: &Path) -> Result<String, Failure> {
    let unreadable =
        |cause: &io::Error| Failure::not_asked(format!("`{}` cannot be read", path.display())).because(cause);
    let file = File::open(path).map_err(|cause| unreadable(&cause))?;
    let mut text = String::new();
    file.take(MAX_CERTIFICATE + 1).read_to_string(&mut text).map_err(|cause| unreadable(&cause))?;
    if text.len() as u64 > MAX_CERTIFICATE || !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Failure::not_asked(format!("`{}` is no certificate in PEM", path.display())));
    }
    Ok(text)
}

/// Prints the secrets, and what goes where.
fn secrets(onboarded: &Onboarded, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(onboarded);
    }
    output.members(&[
        ("device", onboarded.device_id.clone()),
        ("client", onboarded.client_id.clone()),
        ("revision", onboarded.revision.clone()),
        ("token", onboarded.token.clone()),
        ("git url", onboarded.git_url.clone().unwrap_or_default()),
        ("git token", onboarded.git_token.clone()),
    ])?;
    output.note("");
    output.note("The tokens are shown this once. In the device's margo-device.toml:");
    output.note("  token      into the file that `manager.token-file` names");
    output.note("  git url    to `desired-state.url`, for `source = \"git\"`");
    output.note("  git token  into the file that `desired-state.token-file` names, for `source = \"git\"`");
    Ok(())
}

fn table(devices: &[Device]) -> Table<6> {
    let mut table = Table::new(["device", "client", "revision", "status", "manifest", "capabilities"]);
    for device in devices {
        table.row([
            device.device_id.clone(),
            device.client_id.clone(),
            device.revision.clone(),
            status(device).to_owned(),
            manifest(device),
            match &device.capabilities {
                Some(capabilities) => brief(&capabilities.document),
                None => "not reported".to_owned(),
            },
        ]);
    }
    table
}

fn status(device: &Device) -> &'static str {
    match (&device.retired_at, device.is_registered) {
        (Some(_), _) => "retired",
        (None, true) => "onboarded",
        (None, false) => "behind a gateway",
    }
}

fn manifest(device: &Device) -> String {
    match device.fetched_version {
        Some(fetched) if fetched >= device.manifest_version => format!("{fetched}, fetched"),
        Some(fetched) => format!("{}, fetched {fetched}", device.manifest_version),
        None => format!("{}, never fetched", device.manifest_version),
    }
}

/// Capabilities in a few words.
fn brief(document: &Value) -> String {
    let properties = &document["properties"];
    let text = |member: &str| properties[member].as_str().unwrap_or_default();
    let names = |member: &str| {
        let names = properties[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(" ")
    };
    let cores: Vec<String> = properties["cpus"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cpu| format!("{} cores {}", cpu["cores"], cpu["architecture"].as_str().unwrap_or_default()))
        .map(|cpu| cpu.trim_end().to_owned())
        .collect();
    let mut parts = vec![format!("{} {}", text("vendor"), text("modelNumber")).trim().to_owned()];
    parts.extend(cores);
    for (member, what) in [("memory", "memory"), ("storage", "storage")] {
        parts.push(match text(member) {
            "" => String::new(),
            amount => format!("{} {what}", readable(amount)),
        });
    }
    parts.push(names("supportedDeploymentTypes"));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// An amount as people say it, to a tenth: hosts count their memory in `Ki`.
fn readable(amount: &str) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    const GIBIBYTE: u64 = 1 << 30;
    let (unit, name) = match Quantity::from(amount).bytes() {
        Some(bytes) if bytes >= GIBIBYTE => (bytes / (GIBIBYTE / 10), "Gi"),
        Some(bytes) if bytes >= MEBIBYTE => (bytes / (MEBIBYTE / 10), "Mi"),
        _ => return amount.to_owned(),
    };
    match (unit / 10, unit % 10) {
        (whole, 0) => format!("{whole}{name}"),
        (whole, tenths) => format!("{whole}.{tenths}{name}"),
    }
}

fn show(device: &Device, output: &mut Output<'_>) -> Result<(), Failure> {
    let time = |time: &Option<String>| time.as_deref().map(to_seconds).unwrap_or_default();
    let capabilities = device.capabilities.as_ref();
    output.members(&[
        ("device", device.device_id.clone()),
        ("client", device.client_id.clone()),
        ("linked with", device.linked_ids.join(", ")),
        ("revision", device.revision.clone()),
        ("status", status(device).to_owned()),
        ("onboarded", time(&device.onboarded_at)),
        ("retired", time(&device.retired_at)),
        ("manifest", manifest(device)),
        (
            "capabilities",
            capabilities.map_or("not reported".to_owned(), |reported| {
                format!("reported {}", to_seconds(&reported.reported_at))
            }),
        ),
    ])?;
    let Some(capabilities) = capabilities else { return Ok(()) };
    if !capabilities.losses.is_empty() {
        let mut losses = Table::new(["not shown", "because"]);
        for loss in &capabilities.losses {
            losses.row([&loss.pointer, &loss.reason]);
        }
        output.line("")?;
        output.table(&losses)?;
    }
    output.line("")?;
    // A tree of JSON has nothing in it that YAML could not say.
    output.document(&margo_syntax::to_yaml(&capabilities.document).unwrap_or_default())
}

/// The device that is meant, as the manager understands names: a device, or a client and its device.
fn find(devices: Vec<Device>, name: &str) -> Result<Device, Failure> {
    let full = |device: &Device| format!("{}:{}", device.client_id, device.device_id);
    let mut found: Vec<Device> =
        devices.into_iter().filter(|device| device.device_id == name || full(device) == name).collect();
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(full).collect();
        let message = format!("{} devices are called `{name}`", found.len());
        return Err(Failure::refused(message).help(format!("name one of {}", names.join(", "))));
    }
    found.pop().ok_or_else(|| {
        Failure::refused(format!("there is no device `{name}`")).help("`margo device list` shows them all")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn devices() -> Vec<Device> {
        serde_json::from_value(json!([
            {
                "clientId": "5f0c2c1e-77a1-4f57-8a0f-3f1f0a3c9d01", "deviceId": "line-3", "revision": "1.0.0-rc.3",
                "isRegistered": true, "onboardedAt": "2026-03-02T08:00:00.123Z", "manifestVersion": 7,
                "fetchedVersion": 7,
                "capabilities": {
                    "reportedAt": "2026-03-02T08:00:05Z", "revision": "1.0.0-rc.3", "losses": [],
                    "document": {"properties": {
                        "id": "line-3", "vendor": "Lindqvist Automation", "modelNumber": "LX-400",
                        "serialNumber": "LX400-20931", "cpus": [{"cores": 4, "architecture": "amd64"}],
                        "memory": "8Gi", "storage": "120Gi", "peripherals": [], "interfaces": [{"type": "ethernet"}],
                        "otelCollector": true, "supportedRuntimes": ["oci"],
                        "supportedDeploymentTypes": ["helm", "compose"],
                    }},
                },
            },
            {
                "clientId": "5f0c2c1e-77a1-4f57-8a0f-3f1f0a3c9d01", "deviceId": "line-3/plc-1",
                "revision": "1.0.0-rc.3", "isRegistered": false, "onboardedAt": "2026-03-02T08:00:00Z",
                "manifestVersion": 7, "fetchedVersion": 6,
                "capabilities": {
                    "reportedAt": "2026-03-02T08:00:05Z", "revision": "pre-draft",
                    "losses": [{"pointer": "/properties/resources/cpus/0/frequency", "reason": "processors have no frequency"}],
                    "document": {"properties": {"id": "line-3/plc-1", "vendor": "Acme", "modelNumber": "P"}},
                },
            },
            {
                "clientId": "c-2", "deviceId": "line-3", "revision": "pre-draft", "isRegistered": true,
                "onboardedAt": "2026-03-02T08:00:00Z", "retiredAt": "2026-03-03T08:00:00Z", "manifestVersion": 1,
            },
        ]))
        .unwrap()
    }

    #[test]
    fn devices_in_a_table_and_one_by_one() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut out, &mut err, false);
        output.table(&table(&devices())).unwrap();
        for device in &devices() {
            output.line("").unwrap();
            show(device, &mut output).unwrap();
        }
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn an_ambiguous_name_is_refused_with_the_candidates() {
        let found = |name: &str| find(devices(), name).map(|device| device.client_id);
        assert_eq!(found("c-2:line-3").unwrap(), "c-2");
        assert!(found("line-3/plc-1").unwrap().starts_with("5f0c"));
        let lines = found("line-3").unwrap_err().lines().join("\n");
        assert!(lines.contains("2 devices are called `line-3`") && lines.contains(", c-2:line-3"), "{lines}");
        assert!(found("line-9").unwrap_err().lines()[0].contains("no device `line-9`"));
    }

    #[test]
    fn amounts_are_readable() {
        for (amount, read) in [
            ("8Gi", "8Gi"),
            ("24414062Ki", "23.2Gi"),
            ("512Mi", "512Mi"),
            ("1500Ki", "1.4Mi"),
            ("12Ki", "12Ki"),
            ("plenty", "plenty"),
        ] {
            assert_eq!(readable(amount), read);
        }
    }

    #[test]
    fn a_name_that_navigates_is_no_device() {
        for wrong in ["", ".", ".."] {
            assert!(device_name(wrong).is_err(), "{wrong}");
        }
        assert!(device_name("c-1:gw/plc-7").is_ok());
    }
}
