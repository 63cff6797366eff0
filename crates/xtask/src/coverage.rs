//! `docs/coverage.md`: every rule of the specification, and what there is to show for it.
//!
//! What a rule asks is written by hand in the page itself; whether it is met is read from citations. A state that
//! citations would get wrong is written by hand too, with its reason, and can only say less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::citation::{Id, REVISIONS, Series};
use crate::page;
use crate::register::{Evidence, Register};

const PAGE: &str = "docs/coverage.md";

/// The states, best first.
const STATES: [&str; 5] = ["tested", "met", "partial", "absent", "not ours"];
const BY_HAND: [&str; 3] = ["partial", "absent", "not ours"];

/// Writes the page, or with `check` fails when it is not what would be written.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let check = page::is_check(args)?;
    let root = page::root()?;
    settle(&root, &Register::read(&root)?, check)
}

fn settle(root: &Path, register: &Register, check: bool) -> Result<(), String> {
    let (text, counts) = render(&page::read(root, PAGE)?, register).map_err(|faults| faults.join("\n"))?;
    page::settle(root, PAGE, &text, check, "coverage")?;
    let counts =
        STATES.iter().map(|state| format!("{} {state}", counts.iter().filter(|(_, is)| is == state).count()));
    println!("coverage: {}", counts.collect::<Vec<_>>().join(", "));
    Ok(())
}

type States = Vec<(Id, &'static str)>;

/// The page with its generated cells as they should be, and the state of every rule.
fn render(text: &str, register: &Register) -> Result<(String, States), Vec<String>> {
    let mut faults = Vec::new();
    let mut lines = Vec::new();
    let mut states: States = Vec::new();
    let mut counts_at = None;
    for line in text.lines() {
        let cells = page::cells(line).unwrap_or_default();
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        let begins_counts = cells.first() == Some(&"Revision");
        if let Some(id) = cells.first().copied().and_then(Id::parse) {
            match rule(id, &cells, register) {
                Ok((state, row)) => {
                    states.push((id, state));
                    lines.push(row);
                }
                Err(fault) => faults.push(fault),
            }
        } else if begins_counts {
            counts_at = Some(lines.len());
            lines.push(line.to_owned());
        } else if !counts_at.is_some_and(|at| is_counted(&lines[at..], line)) {
            lines.push(line.to_owned());
        }
    }
    if faults.is_empty() {
        faults = missing(&states, register);
    }
    let Some(counts_at) = counts_at else {
        faults.push("there is no table that counts".to_owned());
        return Err(faults);
    };
    let after_head = (counts_at + 2).min(lines.len());
    lines.splice(after_head..after_head, counts(&states));
    if faults.is_empty() { Ok((lines.join("\n") + "\n", states)) } else { Err(faults) }
}

/// The state of a rule, and its row with it.
fn rule(id: Id, cells: &[&str], register: &Register) -> Result<(&'static str, String), String> {
    let [_, binds, asks, state, because, _] = cells else { return Err(format!("{id}: expected six cells")) };
    let evidence = register.evidence(id);
    let tests = evidence.and_then(Evidence::tests);
    let code = evidence.and_then(Evidence::code);
    let state = if because.is_empty() {
        match (&tests, &code) {
            (Some(_), _) => "tested",
            (None, Some(_)) => "met",
            (None, None) => "absent",
        }
    } else {
        let told = || format!("{id}: a reason is given, and `{state}` is none of {}", BY_HAND.join(", "));
        BY_HAND.into_iter().find(|by_hand| by_hand == state).ok_or_else(told)?
    };
    let shown = match state {
        "tested" | "met" | "partial" => tests.or(code).unwrap_or_default(),
        _ => String::new(),
    };
    Ok((state, page::row(&[&id.to_string(), binds, asks, state, because, &shown])))
}

/// Whether `line` is a row that is counted anew, after the head of the table that counts and what was kept of it.
fn is_counted(table: &[String], line: &str) -> bool {
    table.len() > 1 && table.iter().all(|line| line.starts_with('|')) && line.starts_with('|')
}

fn missing(states: &States, register: &Register) -> Vec<String> {
    let rules: Vec<Id> = REVISIONS.iter().flat_map(|revision| revision.rules()).collect();
    let listed: Vec<Id> = states.iter().map(|(id, _)| *id).collect();
    let known: BTreeSet<Id> = rules.iter().copied().collect();
    let mut faults = register.unknown(|id| matches!(id.series, Series::Rule(_)), &known);
    if listed != rules {
        let known: BTreeSet<Id> = listed.iter().copied().collect();
        let absent = rules.iter().filter(|id| !known.contains(id)).map(|id| format!("{id} is not in {PAGE}"));
        faults.extend(absent);
        faults.push(format!("{PAGE} does not list every rule once, in order"));
    }
    faults
}

fn counts(states: &States) -> Vec<String> {
    let mut counts: BTreeMap<(Series, &str), usize> = BTreeMap::new();
    for (id, state) in states {
        *counts.entry((id.series, state)).or_default() += 1;
    }
    let row = |name: &str, is_meant: &dyn Fn(Series) -> bool| {
        let count = |state: &str| {
            let meant = counts.iter().filter(|((series, is), _)| is_meant(*series) && *is == state);
            meant.map(|(_, count)| count).sum::<usize>()
        };
        let numbers = STATES.map(count);
        let cells =
            numbers.iter().chain([&numbers.iter().sum()]).map(ToString::to_string).collect::<Vec<_>>();
        let cells: Vec<_> = [name].into_iter().chain(cells.iter().map(String::as_str)).collect();
        page::row(&cells)
    };
    let each = REVISIONS
        .iter()
        .map(|revision| row(revision.name, &|series| series == Series::Rule(revision.letter)));
    each.chain([row("all", &|_| true)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with every rule, none of them with a state, but for the rows given.
    fn page_with(rows: &[&str]) -> String {
        let given = |id: Id| {
            rows.iter().find(|row| row.starts_with(&format!("| {id} "))).map(|row| (*row).to_owned())
        };
        let rules = REVISIONS.iter().flat_map(|revision| revision.rules());
        let rows = rules.map(|id| given(id).unwrap_or_else(|| format!("| {id} | both | asks |  |  |  |")));
        let head = "# Coverage\n\n| Revision | tested | met | partial | absent | not ours | rules |\n|---|---|\n| old | row |\n\n";
        let head = format!(
            "{head}Text.\n\n| Rule | Binds | What it asks | State | Because | Shown by |\n| --- | --- |\n"
        );
        head + &rows.collect::<Vec<_>>().join("\n") + "\n"
    }

    fn rendered(rows: &[&str], register: &Register) -> Vec<String> {
        let (text, _) = render(&page_with(rows), register).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_state_follows_the_citations() {
        let register = Register::of(&[
            ("margo-git/src/host.rs", "// R-A-004, R-A-005"),
            ("margo-git/tests/it.rs", "/// R-A-004\n#[test]\nfn serves() {}"),
        ]);
        let lines = rendered(&["| R-A-006 | both | a \\| b | tested |  | `gone::test` |"], &register);
        for line in [
            "| R-A-004 | both | asks | tested |  | `margo-git::serves` |",
            "| R-A-005 | both | asks | met |  | `margo-git/src/host.rs` |",
            "| R-A-006 | both | a \\| b | absent |  |  |",
            "| pre-draft | 1 | 1 | 0 | 50 | 0 | 52 |",
            "| all | 1 | 1 | 0 | 154 | 0 | 156 |",
            "Text.",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("old")));
    }

    #[test]
    fn what_is_written_stays_as_it_is() {
        let register = Register::of(&[("margo-git/src/host.rs", "// R-A-004")]);
        let (once, _) = render(&page_with(&[]), &register).unwrap();
        assert_eq!(render(&once, &register).unwrap().0, once);
    }

    #[test]
    fn a_hand_can_only_say_less_and_why() {
        let register = Register::of(&[("margo-git/tests/it.rs", "/// R-A-004\n#[test]\nfn serves() {}")]);
        let by_hand = "| R-A-004 | both | asks | partial | half of it | `margo-git::serves` |";
        assert!(rendered(&[by_hand], &register).iter().any(|line| line == by_hand));
        let absent = "| R-A-046 | owner | a chip | not ours | hardware |  |";
        assert!(rendered(&[absent], &register).iter().any(|line| line == absent));
        let more = page_with(&["| R-A-005 | both | asks | tested | believe me |  |"]);
        let faults = render(&more, &register).unwrap_err();
        assert_eq!(faults, ["R-A-005: a reason is given, and `tested` is none of partial, absent, not ours"]);
    }

    #[test]
    fn rules_that_do_not_exist_and_rows_that_are_missing_are_told() {
        let register = Register::of(&[("margo-git/src/host.rs", "\n// R-A-053")]);
        let page = page_with(&[]).replace("| R-C-016 | both | asks |  |  |  |\n", "");
        assert_eq!(
            render(&page, &register).unwrap_err(),
            [
                "crates/margo-git/src/host.rs:2: there is no R-A-053",
                "R-C-016 is not in docs/coverage.md",
                "docs/coverage.md does not list every rule once, in order",
            ]
        );
    }
}
