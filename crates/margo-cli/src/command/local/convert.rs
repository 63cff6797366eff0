use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeviceTarget, Loss, SpecVersion};
use margo_deployment::AnyApplicationDeployment;
use margo_status::AnyDeploymentStatus;
use margo_syntax::Format;
use margo_validate::{CLEAN, Checker, Diagnostic, DocumentKind, FINDINGS, Options, Severity, Source};

use super::read::{Read, read};
use super::{Stop, tell};

const EXAMPLES: &str = "\
Examples:
  margo convert --to 1.0.0-rc.3 old/margo.yaml > margo.yaml
  margo convert --to pre-draft deployment.yaml
  margo convert --to 1.0.0-rc.3 deployment.yaml --device line-3";

const EXIT_CODES: &str = "\
Exit codes:
  0  the document is written; what was lost is told on standard error
  1  the revision cannot say what the document says, or the document or the result is wrong
  2  the document could not be read, or the command line is wrong";

/// Write a document in the words of another revision
///
/// What the other revision has no place for is told on standard error. Comments are not kept.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = [EXAMPLES, "\n\n", EXIT_CODES].concat())]
pub(in crate::command) struct ConvertArgs {
    /// The file, or `-` for the standard input
    file: PathBuf,
    /// The revision to write: pre-draft, 1.0.0-rc.1, 1.0.0-rc.2 or 1.0.0-rc.3
    #[arg(long, value_name = "REVISION")]
    to: SpecVersion,
    /// The revision of the file, instead of the one its shape tells
    #[arg(long, value_name = "REVISION")]
    revision: Option<SpecVersion>,
    /// What the file is, instead of what its shape tells
    #[arg(long)]
    kind: Option<DocumentKind>,
    /// The device a deployment is for, where the file does not say it, as in the pre-draft and 1.0.0-rc.1
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceTarget>,
}

pub(super) fn run(args: &ConvertArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Stop> {
    let read = read(&args.file, args.kind, args.revision)?;
    let converted = match convert(&read, args) {
        Ok(converted) => converted,
        Err(Failure::Stop(stop)) => return Err(stop),
        Err(Failure::Refused(message)) => {
            tell(err, &format!("error: {message}"));
            return Ok(FINDINGS);
        }
    };
    for loss in &converted.losses {
        tell(err, &format!("lost: {loss}"));
    }
    let wrong = wrong(&converted.text, &read, args.to);
    for line in &wrong {
        tell(err, &format!("error: {line}"));
    }
    out.write_all(converted.text.as_bytes())?;
    Ok(if wrong.is_empty() { CLEAN } else { FINDINGS })
}

/// What `margo check` would refuse in the text that is written.
fn wrong(text: &str, read: &Read, revision: SpecVersion) -> Vec<String> {
    let mut options = Options::default().with_revision(revision);
    options.kind = Some(read.kind);
    let is_json = text.starts_with('{');
    let source = Source::new("the result", text.to_owned()).with_format(if is_json {
        Format::Json
    } else {
        Format::Yaml
    });
    let report = Checker::new(options).check(std::slice::from_ref(&source));
    let errors = report.diagnostics().iter().filter(|found| found.severity == Severity::Error);
    let line = |found: &Diagnostic| {
        let pointer = found.primary.pointer.as_str();
        let place = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
        format!(
            "the result is no valid document of {revision}{place}: {} [{}]",
            found.message, found.rule.name
        )
    };
    errors.map(line).collect()
}

struct Converted {
    text: String,
    losses: Vec<Loss>,
}

enum Failure {
    /// The answer is no.
    Refused(String),
    /// The question could not be put.
    Stop(Stop),
}

impl Failure {
    fn refused(read: &Read, error: &dyn std::error::Error) -> Self {
        Self::Refused(format!("`{}`: {error}", read.name))
    }
}

fn convert(read: &Read, args: &ConvertArgs) -> Result<Converted, Failure> {
    let no = |error: &dyn std::error::Error| Failure::refused(read, error);
    let text = |json: Vec<u8>| notation(read, &json).map_err(Failure::Refused);
    let (bytes, from, limits) = (read.bytes.clone(), read.revision, &read.limits);
    match read.kind {
        DocumentKind::ApplicationDescription => {
            let document = AnyApplicationDescription::decode_as(bytes, from, limits).map_err(|e| no(&e))?;
            let converted = document.convert(args.to).map_err(|e| no(&e))?;
            let text = converted.value.to_yaml().map_err(|e| no(&e))?;
            Ok(Converted { text, losses: converted.losses })
        }
        DocumentKind::ApplicationDeployment => {
            let document = AnyApplicationDeployment::decode_as(bytes, from, limits).map_err(|e| no(&e))?;
            let names_no_device = matches!(from, SpecVersion::PreDraft | SpecVersion::V1_0_0Rc1);
            let names_device = matches!(args.to, SpecVersion::V1_0_0Rc2 | SpecVersion::V1_0_0Rc3);
            let target = match &args.device {
                Some(device) => device.clone(),
                None if names_no_device && names_device => {
                    return Err(Failure::Stop(
                        Stop::because(format!("a deployment of {from} does not say which device it is for"))
                            .help("say it with `--device`"),
                    ));
                }
                // It is named in the document, or not written.
                None => "unknown".parse().map_err(|error| no(&error))?,
            };
            let converted = document.convert(args.to, &target).map_err(|e| no(&e))?;
            let text = converted.value.to_yaml().map_err(|e| no(&e))?;
            Ok(Converted { text, losses: converted.losses })
        }
        DocumentKind::DeviceCapabilities => {
            let document = read
                .decode_with(|value| AnyDeviceCapabilities::of_revision(&value, from))
                .map_err(|e| no(&e))?;
            let converted = document.convert(args.to).map_err(|e| no(&e))?;
            Ok(Converted { text: text(converted.value.to_json())?, losses: converted.losses })
        }
        DocumentKind::DeploymentStatus => {
            let document = read
                .decode_with(|value| AnyDeploymentStatus::of_revision(&value, from))
                .map_err(|e| no(&e))?;
            let converted = document.convert(args.to).map_err(|e| no(&e))?;
            Ok(Converted { text: text(converted.value.to_json())?, losses: converted.losses })
        }
        kind => Err(Failure::Stop(
            Stop::because(format!("`{}`: a {kind} is not converted", read.name))
                .help("the manager that serves it writes it in the revision its client speaks"),
        )),
    }
}

/// JSON for people, or YAML if that is what was read.
fn notation(read: &Read, json: &[u8]) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match read.format {
        Format::Json => Ok(format!("{value:#}\n")),
        _ => margo_syntax::to_yaml(&value).map_err(|error| error.to_string()),
    }
}
