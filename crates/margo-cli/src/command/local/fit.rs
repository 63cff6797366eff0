use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use margo_application::AnyApplicationDescription;
use margo_capability::{AnyDeviceCapabilities, DeviceCapabilitiesManifest};
use margo_core::{DeviceTarget, Extensions};
use margo_deployment::{AnyApplicationDeployment, DeploymentProfile};
use margo_placement::{Criterion, Outcome, Placement, Reason, evaluate};
use margo_validate::{CLEAN, COULD_NOT_LOOK, DocumentKind, FINDINGS};
use serde_json::json;

use super::read::{Read, read, read_some};
use super::{Stop, a, tell};
use crate::command::placement;
use crate::{Placement as Answer, PlacementReason};

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

pub(super) fn run(args: &FitArgs, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Stop> {
    let profiles = profiles(args)?;
    let (devices, is_complete) = devices(args, err)?;
    let mut answers = Vec::new();
    for (device, capabilities) in &devices {
        for profile in &profiles {
            let placement = evaluate(&profile.needs, capabilities).within(&profile.pointer);
            answers.push(answer(device, &profile.id, &placement));
        }
    }
    let text =
        if json { format!("{:#}\n", json!({ "answers": answers })) } else { placement::to_text(&answers) };
    out.write_all(text.as_bytes())?;
    let fits = answers.iter().any(|answer| answer.fits);
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

fn answer(device: &str, profile: &str, placement: &Placement) -> Answer {
    let reason = |reason: &Reason| PlacementReason {
        message: reason.message.clone(),
        asked: reason.asked.clone(),
        offered: reason.offered.clone(),
        because: Vec::new(),
        extensions: Extensions::default(),
    };
    let refusal = |summary: &Reason| {
        let is_behind = |other: &&Reason| {
            summary.criterion == Criterion::Eligibility
                && matches!(other.criterion, Criterion::Expression { .. })
                && other.outcome == Outcome::Unmet
        };
        let because = placement.reasons().iter().filter(is_behind).map(reason).collect();
        PlacementReason { because, ..reason(summary) }
    };
    Answer {
        client_id: None,
        device: device.to_owned(),
        profile: profile.to_owned(),
        fits: placement.fits(),
        refusals: placement.refusals().map(refusal).collect(),
        warnings: placement.warnings().map(reason).collect(),
        extensions: Extensions::default(),
    }
}
