use std::io::Write;

use clap::Args;
use margo_validate::{CLEAN, RuleInfo, docs};
use serde_json::{Value, json};

use super::Stop;
use crate::Table;

const EXAMPLES: &str = "\
Examples:
  margo rules
  margo rules --json";

/// List every rule that `margo check` knows
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::command) struct RulesArgs {}

pub(super) fn run(json: bool, out: &mut dyn Write) -> Result<u8, Stop> {
    if json {
        let rules: Vec<Value> = docs::rules().iter().map(|rule| to_json(rule)).collect();
        writeln!(out, "{:#}", json!({ "rules": rules }))?;
        return Ok(CLEAN);
    }
    let mut table = Table::new(["rule", "severity", "what must hold", "spec"]);
    for rule in docs::rules() {
        table.row([rule.name, rule.severity().as_str(), rule.summary, rule.clause.place]);
    }
    out.write_all(table.to_string().as_bytes())?;
    Ok(CLEAN)
}

/// A rule, without its page.
pub(super) fn to_json(rule: &RuleInfo) -> Value {
    json!({
        "name": rule.name, "severity": rule.severity(), "summary": rule.summary,
        "clause": {
            "requirement": rule.clause.requirement.to_string(),
            "place": rule.clause.place,
            "url": rule.clause.url(),
        },
    })
}
