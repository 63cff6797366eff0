use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use margo_identity::{CertificateSummary, SpiffeBundle};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::{Value, json};

use super::below;
use crate::Table;
use crate::command::failure::Failure;
use crate::command::output::Output;

const MAX_FILE: u64 = 1 << 20;
/// `clients/press-7/svid.pem` has two folders above it.
const DEPTH: u32 = 2;
/// When an identity is worth replacing: the last third of a month.
const SOON: u64 = 10 * 86_400;

const EXAMPLES: &str = "\
Examples:
  margo identity inspect ./identity
  margo identity inspect /run/spire/svid.pem";

/// Show the certificates and trust bundles of a folder or a file
///
/// Nothing of them is checked but time, and that keys are readable by their owner alone.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
pub(in crate::command) struct InspectArgs {
    /// A folder, or a file: certificates in PEM, or a trust bundle in JSON
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &InspectArgs, now: UnixTime, output: &mut Output<'_>) -> Result<(), Failure> {
    let unreadable =
        |path: &Path, error| Failure::not_asked(format!("cannot read `{}`", path.display())).because(&error);
    let mut paths = Vec::new();
    if args.path.is_dir() {
        collect(&args.path, DEPTH, &mut paths).map_err(|error| unreadable(&args.path, error))?;
    } else {
        paths.push(args.path.clone());
    }
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    for path in &paths {
        let bytes = read(path).map_err(|error| unreadable(path, error))?;
        let name = below(path, &args.path);
        let name = if name.is_empty() { path.display().to_string() } else { name };
        found.extend(certificates(&name, &bytes));
        if holds_key(&bytes) && is_readable_by_others(path) {
            warnings.push(format!("{name} holds a private key, and others than its owner can read it"));
        }
    }
    if found.is_empty() {
        let message = format!("`{}` holds no certificate and no trust bundle", args.path.display());
        return Err(Failure::refused(message));
    }
    if output.is_json() {
        let all: Vec<_> = found.iter().map(|(file, summary)| to_json(file, summary)).collect();
        output.json(&json!({ "certificates": all }))?;
    } else {
        output.table(&table(&found, now))?;
    }
    for (file, summary) in &found {
        let left = summary.not_after.as_secs().checked_sub(now.as_secs());
        match left {
            None => warnings.push(format!("{file} has expired")),
            Some(left) if left < SOON && !summary.is_authority => {
                warnings.push(format!("{file} expires in {} days", left / 86_400));
            }
            _ => {}
        }
    }
    for warning in &warnings {
        output.warning(warning);
    }
    Ok(())
}

/// The files that may hold something, in order of names.
fn collect(folder: &Path, depth: u32, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, paths)?;
            }
        } else if path.extension().is_some_and(|ending| {
            ["pem", "crt", "key", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known))
        }) {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every certificate in PEM, or in a trust bundle.
fn certificates(file: &str, bytes: &[u8]) -> Vec<(String, CertificateSummary)> {
    let summaries: Vec<_> = match SpiffeBundle::parse(bytes) {
        Ok(bundle) => {
            let authorities = bundle.authorities();
            authorities.iter().filter_map(CertificateSummary::read).collect()
        }
        Err(_) => CertificateDer::pem_slice_iter(bytes)
            .filter_map(Result::ok)
            .filter_map(|certificate| CertificateSummary::read(&certificate))
            .collect(),
    };
    summaries.into_iter().map(|summary| (file.to_owned(), summary)).collect()
}

fn holds_key(bytes: &[u8]) -> bool {
    let mark = b"PRIVATE KEY-----";
    bytes.windows(mark.len()).any(|window| window == mark)
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

fn table(found: &[(String, CertificateSummary)], now: UnixTime) -> Table<5> {
    let mut table = Table::new(["file", "who", "valid until", "key", "pin"]);
    for (file, summary) in found {
        let who = if summary.names.is_empty() { summary.subject.clone() } else { summary.names.join(" ") };
        let who = if summary.is_authority { format!("{who} (authority)") } else { who };
        let mut until = time(summary.not_after);
        if summary.not_after.as_secs() < now.as_secs() {
            until.push_str(" expired");
        } else if summary.not_before.as_secs() > now.as_secs() {
            until.push_str(" not yet valid");
        }
        table.row([file.clone(), who, until, summary.key.clone(), summary.pin.to_string()]);
    }
    table
}

fn to_json(file: &str, summary: &CertificateSummary) -> Value {
    json!({
        "file": file,
        "names": summary.names,
        "subject": summary.subject,
        "issuer": summary.issuer,
        "isAuthority": summary.is_authority,
        "notBefore": time(summary.not_before),
        "notAfter": time(summary.not_after),
        "key": summary.key,
        "pin": summary.pin.to_string(),
        "fingerprint": summary.fingerprint.to_string(),
    })
}

fn time(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |at| at.to_string())
}
