//! A fix removes its finding, adds none, and leaves everything else of the text alone.

use std::collections::BTreeMap;

use margo_validate::{Checker, Diagnostic, Edit, Options, Report, Source};

use crate::layout::{documents, fixtures, told};

/// How often each rule is broken at each place.
fn counted(report: &Report) -> BTreeMap<(&'static str, String), usize> {
    let mut counted = BTreeMap::new();
    for found in report.diagnostics() {
        let pointer = found.primary.pointer.as_str().to_owned();
        *counted.entry((found.rule.name, pointer)).or_default() += 1;
    }
    counted
}

fn apply(source: &Source, found: &Diagnostic) -> String {
    Edit::apply(source.text(), 0, &found.fix.as_ref().unwrap().edits)
}

#[test]
fn a_fix_removes_its_finding_and_adds_none() {
    let checker = Checker::default();
    let mut fixed = BTreeMap::<&str, usize>::new();
    for path in documents(&fixtures()) {
        if path.extension().is_some_and(|extension| extension == "gz") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let source = Source::new(path.to_string_lossy(), bytes);
        let before = checker.check(std::slice::from_ref(&source));
        for found in before.diagnostics().iter().filter(|found| found.fix.is_some()) {
            let text = apply(&source, found);
            // A document that fits several revisions is still of the same one.
            let revision = before.documents()[found.primary.document].revision;
            let options =
                revision.map_or_else(Options::default, |revision| Options::default().with_revision(revision));
            let after = Checker::new(options).check(&[Source::new(path.to_string_lossy(), text.clone())]);
            let shown = format!("{}\n{text}\n{}", path.display(), told(&after));
            let (before, after) = (counted(&before), counted(&after));
            let here = (found.rule.name, found.primary.pointer.as_str().to_owned());
            let count = |counted: &BTreeMap<_, usize>| counted.get(&here).copied().unwrap_or_default();
            assert!(count(&after) < count(&before), "{} remains in {shown}", found.rule.name);
            for (what, times) in &after {
                assert!(times <= before.get(what).unwrap_or(&0), "{what:?} is new in {shown}");
            }
            *fixed.entry(found.rule.name).or_default() += 1;
        }
    }
    for rule in ["quoted-value", "malformed-quantity", "unknown-value", "environment-prefix", "unquoted-text"]
    {
        assert!(fixed.contains_key(rule), "{rule} is never fixed: {fixed:?}");
    }
}

/// All fixes of a document at once, as `--fix` applies them.
#[test]
fn comments_and_layout_survive() {
    let text = "\
# The pump of line 3.
id:   a3e2f5dc-912e-494f-8395-52cf3769bc06   # as the WFM says
metadata: {name: pump, namespace: plant, deviceId: plc-7}

spec:
    applicationId: pump
    deploymentProfile:
        type: Compose   # not a chart
        components:
        -   name: collector
            properties: { repository: 'oci://r.example/c', revision: 1.0.9, wait: \"False\" } # soon
    parameters:
        a: { value: 1, targets: [ { pointer: 'ENV.A', components: [collector] } ] }
";
    let source = Source::new("a.yaml", text);
    let report = Checker::default().check(std::slice::from_ref(&source));
    let edits = |report: &Report| -> Vec<Edit> {
        let fixes = report.diagnostics().iter().filter_map(|found| found.fix.as_ref());
        fixes.flat_map(|fix| fix.edits.clone()).collect()
    };
    let once = Edit::apply(text, 0, &edits(&report));
    // The type is known only after the first round, and so is what it makes of the pointer.
    let again = Checker::default().check_bytes("a.yaml", once.clone());
    let twice = Edit::apply(&once, 0, &edits(&again));
    let expected = text
        .replace("type: Compose ", "type: compose ")
        .replace("wait: \"False\"", "wait: false")
        .replace("'ENV.A'", "'A'");
    assert_eq!(twice, expected);
    let clean = Checker::default().check_bytes("a.yaml", twice);
    assert!(clean.is_clean(), "{}", told(&clean));
}
