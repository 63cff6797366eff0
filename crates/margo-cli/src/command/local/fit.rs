use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use margo_application::AnyApplicationDescription;
use margo_capability::{AnyDeviceCapabilities, DeviceCapabilitiesManifest};
use margo_core::DeviceTarget;
use margo_deployment::{AnyApplicationDeployment, DeploymentProfile};
use margo_placement::{Criterion, Outcome, Placement, Reason, evaluate};
use margo_validate::{CLEAN, COULD_NOT_LOOK, DocumentKind, FINDINGS};
use serde_json::{Value, json};

use super::read::{Read, read, read_some};
use super::{Stop, a, tell};
use crate::Table;
use crate::table::plain;

const EXAMPLES: &str = "\
Examples:
  margo fit ./pump-monitor devices/
  margo fit deployment.yaml line-3.json press-7.json
  margo fit ./pump-monitor devices/ --profile cluster --json";

const EXIT_CODES: &str = "\
Exit codes:
  0  at least one device can host it
  1  none can
  2  a document could not be read, or the command line is wrong";

/// Which devices can host an application, and why the others cannot
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = [EXAMPLES, "\n\n", EXIT_CODES].concat())]
pub(in crate::command) struct FitArgs {
    /// An application package, its `margo.yaml`, or a deployment
    #[arg(value_name = "APP")]
    application: PathBuf,
    /// Files or folders with device capabilities
    #[arg(required = true, value_name = "CAPABILITIES")]
    capabilities: Vec<PathBuf>,
    /// Only this deployment profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
}

/// A way to install an application: its name, where it stands in the newest revision's words, and what it needs.
struct Profile {
    id: String,
    pointer: String,
    needs: DeploymentProfile,
}

/// A device and a profile, and whether they fit.
struct Answer {
    device: String,
    profile: String,
    placement: Placement,
}

pub(super) fn run(args: &FitArgs, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Stop> {
    let profiles = profiles(args)?;
    let (devices, is_complete) = devices(args, err)?;
    let mut answers = Vec::new();
    for (device, capabilities) in &devices {
        for profile in &profiles {
            let placement = evaluate(&profile.needs, capabilities).within(&profile.pointer);
            answers.push(Answer { device: device.clone(), profile: profile.id.clone(), placement });
        }
    }
    let text = if json { to_json(&answers) } else { to_text(&answers) };
    out.write_all(text.as_bytes())?;
    let fits = answers.iter().any(|answer| answer.placement.fits());
    Ok(match (is_complete, fits) {
        (false, _) => COULD_NOT_LOOK,
        (true, true) => CLEAN,
        (true, false) => FINDINGS,
    })
}

fn profiles(args: &FitArgs) -> Result<Vec<Profile>, Stop> {
    let is_folder = args.application.is_dir();
    let path = if is_folder { args.application.join("margo.yaml") } else { args.application.clone() };
    let document = read(&path, None, None).map_err(|stop| {
        if is_folder { stop.help("an application package is a folder with a `margo.yaml`") } else { stop }
    })?;
    let wrong = |error: &dyn std::error::Error| wrong(&document, error);
    let mut profiles: Vec<Profile> = match document.kind {
        DocumentKind::ApplicationDescription => {
            let description = AnyApplicationDescription::decode_as(
                document.bytes.clone(),
                document.revision,
                &document.limits,
            )
            .map_err(|e| wrong(&e))?;
            let description = description.into_value().upgrade().value;
            let profiles = description.deployment_profiles.iter().enumerate();
            let profile = |(index, profile): (usize, &margo_application::DescriptionProfile)| Profile {
                id: profile.id.clone(),
                pointer: format!("/deploymentProfiles/{index}"),
                needs: profile.to_deployment_profile(),
            };
            profiles.map(profile).collect()
        }
        DocumentKind::ApplicationDeployment => {
            let deployment = AnyApplicationDeployment::decode_as(
                document.bytes.clone(),
                document.revision,
                &document.limits,
            )
            .map_err(|e| wrong(&e))?;
            // Which device it is for is not looked at.
            let target: DeviceTarget = "unknown".parse().map_err(|error| wrong(&error))?;
            let deployment = deployment.into_value().upgrade(&target).value;
            let needs = deployment.spec.deployment_profile;
            vec![Profile {
                id: needs.profile_type.to_string(),
                pointer: "/spec/deploymentProfile".to_owned(),
                needs,
            }]
        }
        kind => {
            return Err(Stop::because(format!("`{}` is {}", document.name, a(kind)))
                .help("an application package, its `margo.yaml` or a deployment is expected first"));
        }
    };
    if let Some(wanted) = &args.profile {
        let ids: Vec<String> = profiles.iter().map(|profile| format!("`{}`", profile.id)).collect();
        profiles.retain(|profile| profile.id == *wanted);
        if profiles.is_empty() {
            return Err(Stop::because(format!("no deployment profile is called `{wanted}`"))
                .help(format!("there are {}", ids.join(", "))));
        }
    }
    Ok(profiles)
}

/// The devices, and whether everything that was named could be read.
fn devices(
    args: &FitArgs,
    err: &mut dyn Write,
) -> Result<(BTreeMap<String, DeviceCapabilitiesManifest>, bool), Stop> {
    let mut devices = BTreeMap::new();
    let mut is_complete = true;
    for path in &args.capabilities {
        let (documents, problems) = read_some(path, None, None)?;
        for problem in problems {
            tell(err, &format!("error: {problem}"));
            is_complete = false;
        }
        for document in documents {
            if document.kind != DocumentKind::DeviceCapabilities {
                if path.is_file() {
                    return Err(Stop::because(format!("`{}` is {}", document.name, a(document.kind)))
                        .help("device capabilities are expected behind the application"));
                }
                continue;
            }
            let capabilities = document
                .decode_with(|value| AnyDeviceCapabilities::of_revision(&value, document.revision))
                .map_err(|error| wrong(&document, &error))?;
            let capabilities = capabilities.upgrade().value;
            let device = capabilities.properties.id.to_string();
            if devices.insert(device.clone(), capabilities).is_some() {
                tell(err, &format!("warning: {device} is described twice; `{}` is taken", document.name));
            }
        }
    }
    if devices.is_empty() {
        return Err(Stop::because("there are no device capabilities in what was named")
            .help("name files or folders with what devices report: `properties` with `id`, `cpus`, `memory` and more"));
    }
    Ok((devices, is_complete))
}

fn wrong(document: &Read, error: &dyn std::error::Error) -> Stop {
    Stop::because(format!("`{}`: {error}", document.name))
        .help(format!("`margo check {}` says everything that is wrong", document.name))
}

/// What is not met in the rules behind `reason`, which sums them up.
fn unmet<'a>(placement: &'a Placement, reason: &Reason) -> Vec<&'a Reason> {
    let is_unmet = |other: &&Reason| {
        reason.criterion == Criterion::Eligibility
            && matches!(other.criterion, Criterion::Expression { .. })
            && other.outcome == Outcome::Unmet
    };
    placement.reasons().iter().filter(is_unmet).collect()
}

fn to_json(answers: &[Answer]) -> String {
    let plain = |reason: &Reason| json!({ "message": reason.message, "asked": reason.asked, "offered": reason.offered });
    let refusal = |placement: &Placement, reason: &Reason| {
        let mut value = plain(reason);
        let because = unmet(placement, reason);
        if !because.is_empty() {
            value["because"] = because.into_iter().map(plain).collect();
        }
        value
    };
    let answers: Vec<Value> = answers
        .iter()
        .map(|answer| {
            json!({
                "device": answer.device, "profile": answer.profile, "fits": answer.placement.fits(),
                "refusals": answer.placement.refusals().map(|reason| refusal(&answer.placement, reason)).collect::<Vec<_>>(),
                "warnings": answer.placement.warnings().map(plain).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "answers": answers }))
}

fn to_text(answers: &[Answer]) -> String {
    let mut table = Table::new(["device", "profile", "can host it"]);
    let mut reasons = String::new();
    for answer in answers {
        let Answer { device, profile, placement } = answer;
        let unknown = placement.warnings().next().is_some();
        let word = match (placement.fits(), unknown) {
            (true, false) => "yes",
            (true, true) => "yes, as far as is known",
            (false, _) => "no",
        };
        table.row([device.as_str(), profile.as_str(), word]);
        let told = placement.refusals().map(|reason| ("  no: ", reason));
        let told: Vec<_> = told.chain(placement.warnings().map(|reason| ("  not known: ", reason))).collect();
        if !told.is_empty() {
            let _ = writeln!(reasons, "\n{} and {}:", plain(device), plain(profile));
            for (word, reason) in told {
                let _ = writeln!(reasons, "{word}{}", plain(&reason.message));
                let place = [("asked for at", &reason.asked), ("answered at", &reason.offered)];
                let place: Vec<String> = place
                    .iter()
                    .filter(|(_, pointer)| !pointer.is_empty())
                    .map(|(word, pointer)| format!("{word} {}", plain(pointer)))
                    .collect();
                if !place.is_empty() {
                    let _ = writeln!(reasons, "      {}", place.join(", "));
                }
                for expression in unmet(placement, reason) {
                    let _ = writeln!(reasons, "      {}", plain(&expression.message));
                }
            }
        }
    }
    table.to_string() + &reasons
}
