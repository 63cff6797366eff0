use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;
use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_deployment::AnyApplicationDeployment;
use margo_status::AnyDeploymentStatus;
use margo_validate::{CLEAN, RuleInfo, docs};

use serde_json::{Value, json};

use super::{Stop, rules};
use crate::check::UNEXPECTED;

const EXAMPLES: &str = "\
Examples:
  margo explain unknown-target-component
  margo explain X-D-07
  margo explain unknown-target-component --json";

const UNEXPECTED_PAGE: &str = "\
# not-as-expected

A file below `valid/` or `invalid/<rule>/`, or one that is checked with `--expect`, is not what it is expected to be:
it breaks another rule than its folder names, or none. Put it where it belongs, or make it what its folder says.
`--expect valid` takes no notice of folders.
";

/// Show the page of a rule: what it checks, why, and examples
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::command) struct ExplainArgs {
    /// The rule, as `margo check` names it in brackets, or a reading such as `X-D-07`
    rule: String,
}

pub(super) fn run(args: &ExplainArgs, json: bool, out: &mut dyn Write) -> Result<u8, Stop> {
    if json {
        writeln!(out, "{:#}", to_json(&args.rule)?)?;
        return Ok(CLEAN);
    }
    let page = match docs::rule(&args.rule) {
        Some(rule) => page(rule),
        None if args.rule == UNEXPECTED => UNEXPECTED_PAGE.to_owned(),
        None => reading(&args.rule).ok_or_else(|| unknown(&args.rule))?,
    };
    out.write_all(page.as_bytes())?;
    Ok(CLEAN)
}

/// A rule as `margo rules --json` has it, and its page; of what is no rule, only the page.
fn to_json(name: &str) -> Result<Value, Stop> {
    if let Some(rule) = docs::rule(name) {
        let mut value = rules::to_json(rule);
        value["page"] = rule.page.into();
        return Ok(value);
    }
    let page = if name == UNEXPECTED { Some(UNEXPECTED_PAGE.to_owned()) } else { reading(name) };
    let page = page.ok_or_else(|| unknown(name))?;
    Ok(json!({ "name": name, "page": page }))
}

fn page(rule: &RuleInfo) -> String {
    let clause = format!("{} ({})", rule.clause, rule.clause.url());
    format!(
        "# {}\n\n{}: {}.\n\nspec: {clause}\n\n{}\n",
        rule.name,
        rule.severity(),
        rule.summary,
        rule.page.trim()
    )
}

/// What is known of a contradiction in the specification, such as `X-D-07`, that findings name as their reading.
fn reading(contradiction: &str) -> Option<String> {
    let tables = [
        AnyApplicationDescription::INTERPRETATIONS,
        AnyApplicationDeployment::INTERPRETATIONS,
        AnyDeviceCapabilities::INTERPRETATIONS,
        AnyDeploymentStatus::INTERPRETATIONS,
    ];
    let places: BTreeSet<String> = tables
        .into_iter()
        .flatten()
        .filter(|row| row.contradiction == contradiction)
        .map(|row| {
            let revisions: Vec<&str> = row.revisions.iter().map(|revision| revision.as_str()).collect();
            format!("- `{}` in {}", row.place, revisions.join(", "))
        })
        .collect();
    let places: Vec<String> = places.into_iter().collect();
    (!places.is_empty()).then(|| {
        format!(
            "# {contradiction}\n\nA reading of the specification where it contradicts itself. It is applied to:\n\n{}\n\n\
             What was decided, and why: `docs/interpretations.md`.\n",
            places.join("\n")
        )
    })
}

fn unknown(name: &str) -> Stop {
    let stop = Stop::because(format!("no rule is named `{name}`"));
    match nearest(name) {
        Some(rule) => stop.help(format!("`{rule}` is; `margo rules` lists them all")),
        None => stop.help("`margo rules` lists them"),
    }
}

/// The rule whose name is most like `name`, if one is.
fn nearest(name: &str) -> Option<&'static str> {
    let names = docs::rules().iter().map(|rule| rule.name);
    let measured = names.map(|rule| (distance(name, rule), rule));
    measured.min().filter(|(distance, rule)| *distance <= rule.len() / 3).map(|(_, rule)| rule)
}

/// How many characters to add, take away or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_characters() {
        assert_eq!(distance("unknown-member", "unknown-member"), 0);
        assert_eq!(distance("unkown-membre", "unknown-member"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
