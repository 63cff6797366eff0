use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use margo_core::ClientId;
use margo_identity::authority::{AuthorityRotation, DevelopmentDomain, DomainError, Written};
use margo_identity::{CertificateSummary, CurrentTrustBundle, Svid, SvidVerifier, TrustDomain, WfmSpiffeId};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::failure::Failure;
use super::output::Output;

mod inspect;

const INIT_EXAMPLES: &str = "\
Examples:
  margo identity init ./identity --trust-domain factory.example --wfm plant
  margo identity issue ./identity --client press-7
  margo identity inspect ./identity

An operator with an identity service of their own (SPIRE, say) needs none of this: manager and
device read svid.pem, svid_key.pem and bundle.json, whoever writes them.";

const ISSUE_EXAMPLES: &str = "\
Examples:
  margo identity issue ./identity --client press-7
  margo identity issue ./identity --device plc-7
  margo identity issue ./identity --server wfm.plant.example --server 10.0.0.5";

const ROTATE_EXAMPLES: &str = "\
Examples:
  margo identity rotate ./identity --client press-7
  margo identity rotate ./identity --server wfm.plant.example --server 10.0.0.5

An authority is replaced in two steps. Carry the bundle to everybody after each, and rotate every
SVID between them:
  margo identity rotate ./identity --authority
  margo identity rotate ./identity --finish";

#[derive(Debug, Subcommand)]
pub(super) enum IdentityVerb {
    Init(InitArgs),
    Issue(IssueArgs),
    Rotate(RotateArgs),
    Inspect(inspect::InspectArgs),
}

/// Make a trust domain of your own: an authority, a trust bundle and the manager's identity
///
/// For development, laboratories, and plants without an identity service. Keys are readable by their
/// owner alone and never overwritten; the folder is there whole or not at all.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = INIT_EXAMPLES)]
pub(super) struct InitArgs {
    /// The folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The name of the trust domain, such as `factory.example`
    #[arg(long, value_name = "NAME")]
    trust_domain: TrustDomain,
    /// The name of the manager in it
    #[arg(long, value_name = "ID", default_value = "wfm")]
    wfm: String,
    /// How long the authority lasts
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    authority_days: u32,
    /// How long the manager's identity lasts
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Make an identity: of a client, of a device of an older revision, of the manager's server
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = ISSUE_EXAMPLES)]
#[command(group = ArgGroup::new("whom").required(true))]
pub(super) struct IssueArgs {
    /// The folder that `margo identity init` made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// An SVID for this client: for devices of 1.0.0-rc.3
    #[arg(long, value_name = "ID", group = "whom")]
    client: Option<ClientId>,
    /// A certificate to sign with: for a device of the pre-draft, 1.0.0-rc.1 or 1.0.0-rc.2
    #[arg(long, value_name = "NAME", group = "whom")]
    device: Option<ClientId>,
    /// A certificate with these DNS names and addresses: what the manager shows to devices of older revisions
    #[arg(long, value_name = "NAME", group = "whom")]
    server: Vec<String>,
    /// How long it lasts
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Replace an identity and its key, or the authority in two steps
///
/// Running managers and devices read their files again. Between `--authority` and `--finish` both
/// authorities are in the trust bundle, so that nobody is refused.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = ROTATE_EXAMPLES)]
#[command(group = ArgGroup::new("what").required(true))]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct RotateArgs {
    /// The folder that `margo identity init` made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The manager's SVID
    #[arg(long, group = "what")]
    wfm: bool,
    /// The SVID of this client
    #[arg(long, value_name = "ID", group = "what")]
    client: Option<ClientId>,
    /// The certificate of this device of the pre-draft, 1.0.0-rc.1 or 1.0.0-rc.2
    #[arg(long, value_name = "NAME", group = "what")]
    device: Option<ClientId>,
    /// The certificate that the manager shows to devices of older revisions; with these names from now on
    #[arg(long, value_name = "NAME", group = "what")]
    server: Vec<String>,
    /// Make a new authority, beside the old one
    #[arg(long, group = "what")]
    authority: bool,
    /// Drop the old authority: whatever it issued is refused from now on
    #[arg(long, group = "what")]
    finish: bool,
    /// Drop it although there are SVIDs in the folder that it has issued
    #[arg(long, requires = "finish", conflicts_with_all = ["wfm", "client", "device", "server", "authority"])]
    anyway: bool,
    /// How long the new one lasts [default: 30, and 3650 for an authority]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: Option<u32>,
}

pub(super) fn run(verb: &IdentityVerb, output: &mut Output<'_>) -> Result<(), Failure> {
    let now = UnixTime::now();
    match verb {
        IdentityVerb::Init(args) => init(args, now, output),
        IdentityVerb::Issue(args) => issue(args, now, output),
        IdentityVerb::Rotate(args) => rotate(args, now, output),
        IdentityVerb::Inspect(args) => inspect::run(args, now, output),
    }
}

fn init(args: &InitArgs, now: UnixTime, output: &mut Output<'_>) -> Result<(), Failure> {
    let manager: WfmSpiffeId =
        format!("spiffe://{}/margo/wfm/{}", args.trust_domain, args.wfm).parse().map_err(|error| {
            Failure::refused(format!("`{}` is no name for a manager", args.wfm)).because(&error)
        })?;
    let domain =
        DevelopmentDomain::init(&args.folder, manager, now, days(args.authority_days), days(args.days))
            .map_err(|error| failure(&error))?;
    let files = [
        ("authority/authority_key.pem", "keep it here, and nowhere else: whoever has it is everybody"),
        ("authority/authority.pem", "no secret: what devices of older revisions trust"),
        (
            "bundle.json",
            "no secret: goes to everybody; the manager serves it at /.well-known/spiffe/bundle.json",
        ),
        ("bundle.pem", "the same for other software"),
        ("manager/", "goes to the manager: svid.pem, svid_key.pem (secret), bundle.json, bundle.pem"),
    ];
    let files: Vec<_> =
        files.iter().map(|(file, what)| (args.folder.join(file), (*what).to_owned())).collect();
    said(domain.manager().as_str(), &files, output)?;
    output.note(&format!(
        "The manager is {}. In its margo-wfm.toml, for devices of rc.3 at port 443:",
        domain.manager()
    ));
    section(
        "mutual-tls",
        &[
            ("certificate", "manager/svid.pem"),
            ("key", "manager/svid_key.pem"),
            ("bundle", "manager/bundle.json"),
        ],
        output,
    );
    let folder = args.folder.display();
    output.note(&format!("Next: margo identity issue {folder} --client ID, for each device of rc.3;"));
    output.note("--server NAME and --device ID, for devices of older revisions.");
    Ok(())
}

fn issue(args: &IssueArgs, now: UnixTime, output: &mut Output<'_>) -> Result<(), Failure> {
    let domain = DevelopmentDomain::open(&args.folder).map_err(|error| failure(&error))?;
    let lifetime = days(args.days);
    if let Some(client) = &args.client {
        let written = domain.issue_client(client, now, lifetime).map_err(|error| failure(&error))?;
        files(&format!("{}/client/{client}", domain.manager()), "the device", &written, output)?;
        output.note("The manager serves it once it is onboarded (or linked with the device it was before):");
        onboard(client, "", &written, output);
    } else if let Some(device) = &args.device {
        let written = domain.issue_device(device, now, lifetime).map_err(|error| failure(&error))?;
        device_files(device, &written, output)?;
    } else {
        let written = domain.issue_server(&args.server, now, lifetime).map_err(|error| failure(&error))?;
        files(&args.server.join(", "), "the manager", &written, output)?;
        output.note("In its margo-wfm.toml, for devices of the pre-draft, rc.1 and rc.2 at port 443:");
        section(
            "tls",
            &[
                ("certificate", "server/certificate.pem"),
                ("key", "server/key.pem"),
                ("authority", "server/authority.pem"),
            ],
            output,
        );
        let origins: Vec<_> = args.server.iter().map(|name| format!("\"https://{name}\"")).collect();
        output.note(&format!("  origins = [{}]", origins.join(", ")));
        output.note("Beside [mutual-tls], each needs an address of its own: listen = \"192.0.2.10:443\".");
    }
    Ok(())
}

fn device_files(device: &ClientId, written: &Written, output: &mut Output<'_>) -> Result<(), Failure> {
    files(device.as_str(), "the device", written, output)?;
    let certificate = written.folder.join("certificate.pem");
    let digest = CertificateDer::from_pem_file(&certificate).ok();
    let digest = digest.and_then(|certificate| CertificateSummary::read(&certificate));
    if let Some(CertificateSummary { fingerprint, .. }) = digest {
        output.note("The manager knows it by this digest, should it onboard itself (rc.1, rc.2; `onboarding.certificates`):");
        output.note(&format!("  {fingerprint}"));
    }
    output.note("To onboard it, as a device of rc.2, or of rc.1 or the pre-draft:");
    onboard(device, " --revision rc.2", written, output);
    Ok(())
}

/// Where identities are in use, which is seldom where they are made.
const CARRY: &str = "Where copies are in use elsewhere, carry it there: it is read again within a second.";

/// Whoever has an SVID of the old authority would be refused from one moment to the next.
fn refuse_to_strand(domain: &DevelopmentDomain, args: &RotateArgs, now: UnixTime) -> Result<(), Failure> {
    let Ok(bundle) = domain.authority().bundle(1) else { return Ok(()) };
    let verifier = SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle)));
    let clients = args.folder.join("clients");
    let clients = std::fs::read_dir(clients).into_iter().flatten().filter_map(Result::ok).map(|entry| {
        let name = entry.file_name().display().to_string();
        (format!("--client {name}"), entry.path())
    });
    let mut stranded: Vec<String> = std::iter::once(("--wfm".to_owned(), args.folder.join("manager")))
        .chain(clients)
        .filter(|(_, folder)| {
            // One that is not here, or has expired, loses nothing.
            let leaf = CertificateDer::from_pem_file(folder.join("svid.pem")).ok();
            let lasts = leaf
                .as_ref()
                .and_then(|leaf| Svid::read(leaf).ok())
                .is_some_and(|svid| svid.not_after() > now);
            lasts && leaf.is_some_and(|leaf| verifier.verify(&leaf, &[], now).is_err())
        })
        .map(|(option, _)| option)
        .collect();
    if stranded.is_empty() {
        return Ok(());
    }
    stranded.sort();
    let folder = args.folder.display();
    let options: Vec<_> =
        stranded.iter().map(|option| format!("`margo identity rotate {folder} {option}`")).collect();
    Err(Failure::refused(format!(
        "{} of the SVIDs in `{folder}` would be refused from now on",
        stranded.len()
    ))
    .help(format!("the old authority has issued them; first {}, or add `--anyway`", options.join(", "))))
}

/// How the identity comes to the device, and the device to the manager.
fn onboard(name: &ClientId, revision: &str, written: &Written, output: &mut Output<'_>) {
    output
        .note(&format!("  margo device onboard {name}{revision} --identity {} \\", written.folder.display()));
    output.note(&format!("    --address https://MANAGER --write ./{name}"));
}

/// A section of a configuration, for whoever writes it beside the identities.
fn section(name: &str, members: &[(&str, &str)], output: &mut Output<'_>) {
    output.note(&format!("  [{name}]"));
    for (member, file) in members {
        output.note(&format!("  {member} = \"{file}\""));
    }
}

fn rotate(args: &RotateArgs, now: UnixTime, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut domain = DevelopmentDomain::open(&args.folder).map_err(|error| failure(&error))?;
    let lifetime = |default| days(args.days.unwrap_or(default));
    if let Some(device) = &args.device {
        let written = domain.rotate_device(device, now, lifetime(30)).map_err(|error| failure(&error))?;
        files(device.as_str(), "the device", &written, output)?;
        output.note(CARRY);
        output.note(&format!(
            "The manager is told: margo device link {device} --certificate {}",
            written.folder.join("certificate.pem").display()
        ));
        return Ok(());
    }
    if !args.server.is_empty() {
        let written = domain.rotate_server(&args.server, now, lifetime(30));
        let written = written.map_err(|error| failure(&error))?;
        files(&args.server.join(", "), "the manager", &written, output)?;
        output.note(CARRY);
        return Ok(());
    }
    if args.wfm {
        let written = domain.rotate_manager(now, lifetime(30)).map_err(|error| failure(&error))?;
        files(domain.manager().as_str(), "the manager", &written, output)?;
        output.note(CARRY);
        Ok(())
    } else if let Some(client) = &args.client {
        let written = domain.rotate_client(client, now, lifetime(30)).map_err(|error| failure(&error))?;
        files(&format!("{}/client/{client}", domain.manager()), "the device", &written, output)?;
        output.note(CARRY);
        Ok(())
    } else {
        if args.finish && !args.anyway {
            refuse_to_strand(&domain, args, now)?;
        }
        let step = if args.authority { AuthorityRotation::Begin } else { AuthorityRotation::Finish };
        let written = domain.rotate_authority(step, now, lifetime(3650)).map_err(|error| failure(&error))?;
        bundles(&domain, &written, output)?;
        output.note("Where copies of these are in use elsewhere, carry them there: to managers and devices.");
        if args.authority {
            output.note("Both authorities are in the bundle now. Once everybody has it, rotate --wfm and each --client");
            output.note(
                "(and --server, each --device, once these trust the new authority.pem beside the old one);",
            );
            output.note(&format!("then: margo identity rotate {} --finish", args.folder.display()));
        } else {
            output.note("Whatever the old authority issued is refused where this bundle is in force.");
        }
        Ok(())
    }
}

/// Says which bundles were replaced: the domain's own, then those in the folders of the manager and its clients.
fn bundles(domain: &DevelopmentDomain, all: &[Written], output: &mut Output<'_>) -> Result<(), Failure> {
    let mut replaced = Vec::new();
    for (place, written) in all.iter().enumerate() {
        let below = written.folder.strip_prefix(&all[0].folder).unwrap_or(&written.folder);
        let what = match (place, below.strip_prefix("clients")) {
            (0, _) => "goes to everybody".to_owned(),
            (_, Ok(client)) => format!("replaced; goes to {}", client.display()),
            (_, Err(_)) => "replaced; goes to the manager".to_owned(),
        };
        replaced.extend(written.files.iter().map(|(file, _)| (written.folder.join(file), what.clone())));
    }
    said(domain.manager().trust_domain().as_str(), &replaced, output)
}

/// Says what was written for whom, and where it goes.
fn files(name: &str, to: &str, written: &Written, output: &mut Output<'_>) -> Result<(), Failure> {
    let files = written.files.iter().map(|(file, is_secret)| {
        let what = if *is_secret { format!("secret: goes to {to} alone") } else { format!("goes to {to}") };
        (written.folder.join(file), what)
    });
    said(name, &files.collect::<Vec<_>>(), output)
}

fn said(name: &str, files: &[(PathBuf, String)], output: &mut Output<'_>) -> Result<(), Failure> {
    if output.is_json() {
        let files: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        return output.json(&serde_json::json!({ "name": name, "files": files }));
    }
    let width = files.iter().map(|(path, _)| path.display().to_string().chars().count()).max().unwrap_or(0);
    files.iter().try_for_each(|(path, what)| {
        let path = path.display().to_string();
        output.line(&format!("{path:<width$}  {what}"))
    })
}

fn days(days: u32) -> Duration {
    Duration::from_hours(24 * u64::from(days))
}

fn failure(error: &DomainError) -> Failure {
    let help = match error {
        DomainError::Exists { .. } => {
            Some("take another folder, or `margo identity rotate` to replace an identity")
        }
        DomainError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Some("`margo identity init` makes such a folder, `margo identity issue` an identity in it")
        }
        DomainError::Rotation { .. } => Some("an authority is replaced with `--authority`, then `--finish`"),
        _ => None,
    };
    let failure = Failure::refused(error.to_string());
    let failure = match std::error::Error::source(error) {
        Some(cause) => failure.because(cause),
        None => failure,
    };
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// A path as it is shown: below the folder that was asked about.
fn below(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
