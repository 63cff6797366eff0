//! `docs/interpretations.md`: how we read the specification where it contradicts itself or is silent.
//!
//! The page is written by hand, one section for each contradiction, with the id and the level in its heading. The
//! quotation at the end of a section is read from citations: where code follows the reading, and which test shows it.

use std::collections::BTreeSet;

use crate::citation::{Id, REVISIONS, Series};
use crate::page;
use crate::register::{Evidence, Register};

const PAGE: &str = "docs/interpretations.md";

/// In a heading: there is nothing that code could do.
const EDITORIAL: &str = "editorial";

/// Writes the page, or with `check` fails when it is not what would be written.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let check = page::is_check(args)?;
    let root = page::root()?;
    let register = Register::read(&root)?;
    let (text, sections) =
        render(&page::read(&root, PAGE)?, &register).map_err(|faults| faults.join("\n"))?;
    page::settle(&root, PAGE, &text, check, "interpretations")?;
    println!("interpretations: {}", summary(&sections));
    Ok(())
}

/// A reading, and how far it has got.
struct Section {
    id: Id,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Tested,
    Followed,
    NotYet,
    Editorial,
}

impl State {
    const ALL: [Self; 4] = [Self::Tested, Self::Followed, Self::NotYet, Self::Editorial];

    fn name(self) -> &'static str {
        match self {
            Self::Tested => "shown by a test",
            Self::Followed => "in code",
            Self::NotYet => "not yet",
            Self::Editorial => EDITORIAL,
        }
    }
}

fn render(text: &str, register: &Register) -> Result<(String, Vec<Section>), Vec<String>> {
    let mut faults = Vec::new();
    let mut sections = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut quotation = None;
    for line in text.lines() {
        if line.starts_with('#') {
            close(&mut lines, quotation.take());
        }
        if let Some(heading) = line.strip_prefix("### ") {
            match Heading::parse(heading) {
                Some(heading) => {
                    let (state, text) = state(&heading, register);
                    faults.extend(heading.contradicted_by_code(register));
                    sections.push(Section { id: heading.id, state });
                    quotation = Some(text);
                }
                None => faults.push(format!("`{line}`: expected an id, levels, and perhaps `{EDITORIAL}`")),
            }
        }
        // A quotation is never by hand.
        if !(quotation.is_some() && line.starts_with('>')) {
            lines.push(line.to_owned());
        }
    }
    close(&mut lines, quotation);
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    faults.extend(missing(&sections, register));
    if faults.is_empty() { Ok((lines.join("\n") + "\n", sections)) } else { Err(faults) }
}

/// Ends a section with its quotation.
fn close(lines: &mut Vec<String>, quotation: Option<String>) {
    let Some(quotation) = quotation else { return };
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.extend([String::new(), quotation, String::new()]);
}

/// `X-A-04 · L2`, `X-B-18 · L1, L4`, `X-A-19 · L0 · editorial`, `MI-001`.
struct Heading {
    id: Id,
    levels: Vec<u8>,
    is_editorial: bool,
}

impl Heading {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(" · ");
        let id = Id::parse(parts.next()?)?;
        let (mut levels, mut is_editorial) = (Vec::new(), false);
        for part in parts {
            if part == EDITORIAL {
                is_editorial = true;
                continue;
            }
            for level in part.split(", ") {
                levels.push(level.strip_prefix('L')?.parse().ok().filter(|level| *level <= 4)?);
            }
        }
        Some(Self { id, levels, is_editorial })
    }

    fn contradicted_by_code(&self, register: &Register) -> Vec<String> {
        let others =
            register.evidence(self.id).into_iter().flat_map(|evidence| evidence.other_levels(&self.levels));
        others.map(|(level, at)| format!("{at}: {} is L{level} there, and not in {PAGE}", self.id)).collect()
    }
}

fn state(heading: &Heading, register: &Register) -> (State, String) {
    let evidence = register.evidence(heading.id);
    let code = evidence.and_then(Evidence::code).map(|code| format!("> Code: {code}."));
    let tests = evidence.and_then(Evidence::tests).map(|tests| format!("> Tests: {tests}."));
    match (code, tests) {
        (Some(code), Some(tests)) => (State::Tested, format!("{code}\n{tests}")),
        (None, Some(tests)) => (State::Tested, tests),
        (Some(code), None) => (State::Followed, format!("{code}\n> No test yet.")),
        (None, None) if heading.is_editorial => (State::Editorial, "> Nothing for code to do.".to_owned()),
        (None, None) => (State::NotYet, "> Not yet.".to_owned()),
    }
}

fn missing(sections: &[Section], register: &Register) -> Vec<String> {
    let mut wanted: Vec<Id> = REVISIONS.iter().flat_map(|revision| revision.contradictions()).collect();
    let own = sections.iter().filter(|section| section.id.series == Series::Own);
    wanted.extend((1..).zip(own).map(|(number, _)| Id { series: Series::Own, number }));
    let listed: Vec<Id> = sections.iter().map(|section| section.id).collect();
    let known: BTreeSet<Id> = listed.iter().copied().collect();
    let mut faults = register.unknown(|id| !matches!(id.series, Series::Rule(_)), &known);
    if listed != wanted {
        let absent =
            wanted.iter().filter(|id| !known.contains(id)).map(|id| format!("{id} is not in {PAGE}"));
        faults.extend(absent);
        faults.push(format!("{PAGE} does not list every contradiction once, in order"));
    }
    faults
}

fn summary(sections: &[Section]) -> String {
    let count = |state: State| sections.iter().filter(|section| section.state == state).count();
    let counts = State::ALL.map(|state| format!("{} {}", count(state), state.name()));
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_with(sections: &[(&str, &str)], own: &str) -> String {
        let contradictions = REVISIONS.iter().flat_map(|revision| revision.contradictions());
        let sections = contradictions.map(|id| {
            let given = sections.iter().find(|(heading, _)| heading.starts_with(&id.to_string()));
            let (heading, body) =
                given.copied().map_or((format!("{id} · L1"), ""), |(h, b)| (h.to_owned(), b));
            format!("### {heading}\n\nText.\n{body}\n")
        });
        format!("# Interpretations\n\n> By hand.\n\n## All\n\n{}{own}", sections.collect::<String>())
    }

    #[test]
    fn a_section_ends_with_what_there_is_to_see() {
        let register = Register::of(&[
            ("margo-core/src/lenient.rs", "// X-A-14, X-A-15\n"),
            ("margo-core/tests/it.rs", "/// X-A-14, MI-001\n#[test]\nfn reads() {}"),
        ]);
        let own = "### MI-001\n\nOurs.\n\n## End\n\nLast.\n";
        let page = page_with(&[("X-A-14 · L2", "\n> Code: `old`.\n"), ("X-A-19 · L0 · editorial", "")], own);
        let (text, sections) = render(&page, &register).unwrap();
        for part in [
            "# Interpretations\n\n> By hand.\n\n## All\n\n",
            "### X-A-14 · L2\n\nText.\n\n> Code: `margo-core/src/lenient.rs`.\n> Tests: `margo-core::reads`.\n\n### X-A-15",
            "### X-A-15 · L1\n\nText.\n\n> Code: `margo-core/src/lenient.rs`.\n> No test yet.\n\n",
            "### X-A-16 · L1\n\nText.\n\n> Not yet.\n\n",
            "### X-A-19 · L0 · editorial\n\nText.\n\n> Nothing for code to do.\n\n",
            "### MI-001\n\nOurs.\n\n> Tests: `margo-core::reads`.\n\n## End\n\nLast.\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert_eq!(summary(&sections), "2 shown by a test, 1 in code, 143 not yet, 1 editorial");
        assert_eq!(render(&text, &register).unwrap().0, text, "what is written stays as it is");
    }

    #[test]
    fn code_that_takes_a_contradiction_more_or_less_seriously_is_told() {
        let source = r#"fn f() { Deviation::new("X-B-18", Level::L4, "", ""); Deviation::new("X-A-14", Level::L3, "", "") }"#;
        let register = Register::of(&[("margo-core/src/a.rs", source)]);
        let page = page_with(&[("X-A-14 · L2", ""), ("X-B-18 · L1, L4", "")], "");
        let faults = render(&page, &register).err().unwrap();
        assert_eq!(
            faults,
            ["crates/margo-core/src/a.rs:1: X-A-14 is L3 there, and not in docs/interpretations.md"]
        );
    }

    #[test]
    fn what_is_missing_or_does_not_exist_is_told() {
        let register = Register::of(&[("margo-core/src/a.rs", "// X-D-43, MI-002, R-A-999")]);
        let page = page_with(&[], "### MI-001\n").replace("### X-C-23 · L1\n\nText.\n\n", "");
        assert_eq!(
            render(&page, &register).err().unwrap(),
            [
                "crates/margo-core/src/a.rs:1: there is no X-D-43",
                "crates/margo-core/src/a.rs:1: there is no MI-002",
                "X-C-23 is not in docs/interpretations.md",
                "docs/interpretations.md does not list every contradiction once, in order",
            ]
        );
        let page = page_with(&[], "").replace("### X-A-01 · L1", "### X-A-01 · L5");
        let faults = render(&page, &Register::default()).err().unwrap();
        assert_eq!(faults[0], "`### X-A-01 · L5`: expected an id, levels, and perhaps `editorial`");
    }
}
