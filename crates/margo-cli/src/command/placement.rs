use std::fmt::Write as _;
use std::io;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::deploy::{self, Source};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::table::plain;
use crate::{Placement, Table};

const EXAMPLES: &str = "\
Examples:
  margo placement ./pump-monitor
  margo placement pump-monitor@1.0.0 --profile pump-monitor-cluster
  margo placement pump-monitor --json";

/// Show which devices of the manager can host an application, and why the others cannot
///
/// By what the devices have reported. Nothing is changed, and a package is not stored. `margo fit` asks files.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
pub(super) struct PlacementArgs {
    /// The package, or the application that was uploaded before
    ///
    /// A package is a folder with a `margo.yaml`, or that file. Of an application without a version, the version
    /// stored last is meant.
    #[arg(value_name = "PACKAGE|ID[@VERSION]", verbatim_doc_comment)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    what: String,
    /// Only this deployment profile
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
}

pub(super) async fn run(
    args: PlacementArgs,
    session: &Session,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let profile = args.profile.as_deref();
    let client = &session.client;
    let found = match Source::of(&args.what) {
        Source::Package(path) => {
            let description = String::from_utf8(deploy::read(&path)?.description);
            let description = description.map_err(|cause| io::Error::other(cause.utf8_error()))?;
            client.placements_of(&description, profile).await?
        }
        Source::Stored { id, version } => {
            let application = deploy::find(client.applications().await?, &id, version.as_deref())?;
            client.placements(&application, profile).await?
        }
    };
    if output.is_json() {
        output.json(&found)?;
    } else if found.placements.is_empty() {
        output.note("there are no devices");
    } else {
        output.exactly(&to_text(&with_clients(&found.placements)))?;
    }
    if found.placements.iter().any(|placement| placement.fits) {
        return Ok(());
    }
    let (id, version) = (&found.application_id, &found.version);
    Err(Failure::refused(format!("`{id}` {version} cannot be placed: no device is known to fit")))
}

/// Names devices with their clients where several have the name.
fn with_clients(placements: &[Placement]) -> Vec<Placement> {
    let is_shared = |placement: &Placement| {
        let is_other = |other: &&Placement| other.device == placement.device;
        placements.iter().filter(is_other).any(|other| other.client_id != placement.client_id)
    };
    let named = placements.iter().map(|placement| {
        let mut named = placement.clone();
        if let Some(client) = placement.client_id.as_ref().filter(|_| is_shared(placement)) {
            named.device = format!("{client}:{}", placement.device);
        }
        named
    });
    named.collect()
}

/// A table of what fits, and below it why not.
pub(super) fn to_text(placements: &[Placement]) -> String {
    let mut table = Table::new(["device", "profile", "can host it"]);
    let mut reasons = String::new();
    for placement in placements {
        let Placement { device, profile, refusals, warnings, .. } = placement;
        let word = match (placement.fits, warnings.is_empty()) {
            (true, true) => "yes",
            (true, false) => "yes, as far as is known",
            (false, _) => "no",
        };
        table.row([device.as_str(), profile.as_str(), word]);
        let told = refusals.iter().map(|reason| ("  no: ", reason));
        let told: Vec<_> = told.chain(warnings.iter().map(|reason| ("  not known: ", reason))).collect();
        if !told.is_empty() {
            let _ = writeln!(reasons, "\n{} and {}:", plain(device), plain(profile));
        }
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
            for expression in &reason.because {
                let _ = writeln!(reasons, "      {}", plain(&expression.message));
            }
        }
    }
    table.to_string() + &reasons
}
