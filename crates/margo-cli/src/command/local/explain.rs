use std::io::Write;

use clap::Args;
use margo_validate::{CLEAN, RuleInfo, docs};

use super::Stop;

const EXAMPLES: &str = "\
Examples:
  margo explain unknown-target-component";

/// Show the page of a rule: what it checks, why, and examples
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::command) struct ExplainArgs {
    /// The rule, as `margo check` names it in brackets
    rule: String,
}

pub(super) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<u8, Stop> {
    let rule = docs::rule(&args.rule).ok_or_else(|| unknown(&args.rule))?;
    out.write_all(page(rule).as_bytes())?;
    Ok(CLEAN)
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
