//! A rule page is a test: every `yaml` block is checked, and a trailing comment says what is found on its line.

use std::collections::BTreeSet;

use margo_validate::{Checker, Source, docs};

use crate::layout::told;

/// Pages of rules that text cannot show: bytes, and bytes of several files. They have fixtures.
const WITHOUT_EXAMPLES: &[&str] = &[
    "bundle-differs-from-manifest",
    "digest-of-other-bytes",
    "not-text",
    "size-of-other-bytes",
    "unlisted-deployment",
    "unusable-bundle",
];

/// R-A-031, R-A-034, R-A-040, R-A-042, R-B-020, R-B-021, R-B-024, R-B-028, R-B-030, R-B-039, R-D-020, R-D-021, R-D-023,
/// R-D-031, R-D-032: each has a page that breaks it.
#[test]
fn every_block_of_every_page_finds_what_it_says() {
    let mut wrong = Vec::new();
    for rule in docs::rules() {
        let blocks = blocks(rule.page);
        let annotated = blocks.iter().filter(|block| !annotations(block).is_empty()).count();
        let is_shown = !WITHOUT_EXAMPLES.contains(&rule.name);
        assert_eq!(annotated > 0, is_shown, "{}: blocks that break it", rule.name);
        assert_eq!(blocks.len() > annotated, is_shown, "{}: blocks that follow it", rule.name);
        for block in blocks {
            let expected = annotations(&block);
            let source = Source::new("page.yaml", without_annotations(&block));
            let report = Checker::default().check(std::slice::from_ref(&source));
            let found: BTreeSet<_> = report
                .diagnostics()
                .iter()
                .map(|found| {
                    let start = found.primary.span.as_ref().map_or(0, |span| span.start);
                    (source.location(start).line, format!("{}: [{}]", found.severity, found.rule.name))
                })
                .collect();
            if found != expected {
                let told = told(&report);
                wrong.push(format!("{}\nexpected {expected:?}\nfound {found:?}\n{told}", rule.name));
            }
            let own = format!("[{}]", rule.name);
            let shows_it = expected.is_empty() || expected.iter().any(|(_, found)| found.ends_with(&own));
            assert!(shows_it, "{}: a block that breaks another rule alone", rule.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_says_what_and_why() {
    for rule in docs::rules() {
        for heading in ["## What it checks\n", "## Why it matters\n"] {
            assert!(rule.page.contains(heading), "{}: {heading}", rule.name);
        }
        assert!(rule.page.lines().all(|line| line.len() <= 200), "{}", rule.name);
        let summary = rule.summary.as_bytes();
        let is_sentence = summary[0].is_ascii_uppercase() && !summary[1].is_ascii_uppercase();
        assert!(!summary.ends_with(b".") && !is_sentence, "{}", rule.name);
        assert!(rule.clause.url().starts_with("https://"), "{}", rule.name);
        assert_eq!(docs::rule(rule.name), Some(*rule));
    }
    let names: BTreeSet<_> = docs::rules().iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), docs::rules().len(), "names are unique");
}

fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("```yaml\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

fn annotations(block: &str) -> BTreeSet<(usize, String)> {
    let lines = block.lines().enumerate();
    lines.filter_map(|(index, line)| Some((index + 1, annotation(line)?.1.to_owned()))).collect()
}

fn annotation(line: &str) -> Option<(&str, &str)> {
    let at = line.find(" # error: [").or_else(|| line.find(" # warning: ["))?;
    Some((&line[..at], &line[at + 3..]))
}

fn without_annotations(block: &str) -> String {
    let lines = block.lines().map(|line| annotation(line).map_or(line, |(line, _)| line));
    lines.flat_map(|line| [line, "\n"]).collect()
}
