use std::io::Write;

use clap::Args;
use margo_core::SpecVersion;
use margo_validate::{CLEAN, DocumentKind, schema};

use super::Stop;

const EXAMPLES: &str = "\
Examples:
  margo schema ApplicationDeployment
  margo schema DeviceCapabilities --revision 1.0.0-rc.1 > device.schema.json";

/// Print the JSON Schema of a kind of document
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::command) struct SchemaArgs {
    /// `ApplicationDeployment`, `ApplicationDescription`, `DesiredStateManifest`, `DeploymentStatus` or
    /// `DeviceCapabilities`
    kind: DocumentKind,
    /// The revision: pre-draft, 1.0.0-rc.1, 1.0.0-rc.2 or 1.0.0-rc.3
    #[arg(long, default_value_t = SpecVersion::LATEST)]
    revision: SpecVersion,
}

pub(super) fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<u8, Stop> {
    let SchemaArgs { kind, revision } = args;
    let text = schema::text(*kind, *revision).ok_or_else(|| {
        let has = |revision: &SpecVersion| schema::text(*kind, *revision).is_some();
        let others: Vec<&str> = SpecVersion::ALL.iter().filter(|r| has(r)).map(|r| r.as_str()).collect();
        let stop = Stop::because(format!("{revision} has no schema of {}", super::a(*kind)));
        if others.is_empty() {
            stop.help("it is an archive, and no text that a schema could describe")
        } else {
            stop.help(format!("these revisions have: {}", others.join(", ")))
        }
    })?;
    out.write_all(text.as_bytes())?;
    Ok(CLEAN)
}
