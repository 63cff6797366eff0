//! The folder a document lies in is what is asserted of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use margo_core::{SpecVersion, Strictness};
use margo_validate::{Checker, DocumentKind, Options, Severity, docs};

use crate::layout::{documents, entries, fixtures, is_document, name, sources, told};

/// A document in `valid` breaks no MUST, read as its revision and as whatever it looks like.
#[test]
fn valid_documents_break_no_must() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for revision in SpecVersion::ALL {
        for folder in entries(&fixtures().join("valid").join(revision.as_str())) {
            let kind: DocumentKind = name(&folder).parse().unwrap();
            let told_what = Checker::new(Options::default().with_revision(revision).with_kind(kind));
            for path in documents(&folder) {
                for checker in [&told_what, &Checker::default()] {
                    let report = checker.check(&sources(&path));
                    if !report.is_valid() {
                        wrong.push(format!("{}\n{}", path.display(), told(&report)));
                    }
                    assert_eq!(report.documents()[0].kind, Some(kind), "{}", path.display());
                }
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 80, "{count}");
}

/// The cases of a rule: single files, and folders of files that belong together.
fn cases(folder: &std::path::Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir() || is_document(path)).collect()
}

/// A document in `invalid` breaks the rule it lies under.
#[test]
fn invalid_documents_break_the_rule_they_lie_under() {
    let mut wrong = Vec::new();
    for folder in entries(&fixtures().join("invalid")) {
        let filed = name(&folder);
        let covering: Vec<_> =
            docs::rules().iter().filter(|rule| rule.covers(&filed)).map(|rule| rule.name).collect();
        assert!(!covering.is_empty(), "no rule covers {filed}");
        for path in cases(&folder) {
            // The models' own documents tell in their names what they are read as.
            let mut options = Options::default();
            let file = name(&path);
            if let Some((kind, rest)) = file.split_once('-')
                && let Ok(kind) = kind.parse::<DocumentKind>()
            {
                let revision = SpecVersion::ALL.into_iter().find(|known| rest.starts_with(known.as_str()));
                options = options.with_kind(kind).with_revision(revision.unwrap());
            }
            let report = Checker::new(options).check(&sources(&path));
            if !covering.iter().any(|rule| report.rules().contains(rule)) {
                wrong.push(format!("{}\n{}", path.display(), told(&report)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every rule has a document that breaks it, filed under its own name, and one without errors beside it.
#[test]
fn every_rule_has_a_failing_document() {
    let folders: BTreeSet<_> = entries(&fixtures().join("invalid")).iter().map(|path| name(path)).collect();
    let missing: Vec<_> =
        docs::rules().iter().filter(|rule| !folders.contains(rule.name)).map(|rule| rule.name).collect();
    assert!(missing.is_empty(), "rules without fixtures/invalid/<rule>: {missing:?}");
}

/// A case of our own breaks its rule and, as an error, no other (R-B-022, R-B-024, R-B-025: bytes of several files).
#[test]
fn our_own_documents_break_one_rule_alone() {
    let mut wrong = Vec::new();
    for rule in docs::rules() {
        for path in cases(&fixtures().join("invalid").join(rule.name)) {
            let is_a_models_own =
                name(&path).split_once('-').is_some_and(|(kind, _)| kind.parse::<DocumentKind>().is_ok());
            let report = Checker::default().check(&sources(&path));
            let others = report
                .diagnostics()
                .iter()
                .any(|found| found.rule != *rule && found.severity == Severity::Error);
            if !is_a_models_own && (others || !report.rules().contains(rule.name)) {
                wrong.push(format!("{}\n{}", path.display(), told(&report)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every rule has a document that follows it, with nothing wrong in it at all.
#[test]
fn every_rule_has_a_passing_document() {
    let folder = fixtures().join("valid/rules");
    let mut without: BTreeSet<_> = docs::rules().iter().map(|rule| rule.name).collect();
    for path in cases(&folder) {
        let report = Checker::default().check(&sources(&path));
        assert!(report.is_clean(), "{}\n{}", path.display(), told(&report));
        let file = name(&path);
        let stem = file.trim_end_matches(".yaml");
        without.remove(stem);
    }
    assert!(without.is_empty(), "rules without fixtures/valid/rules/<rule>: {without:?}");
}

/// What the models read leniently is no error when checked leniently.
#[test]
fn lenient_is_what_a_reader_accepts() {
    let checker = |strictness| Checker::new(Options::default().with_strictness(strictness));
    let text = "\
id: pump-1
metadata: { name: pump, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump
  deploymentProfile:
    type: compose
    components:
      - name: collector
        properties: { packageLocation: 'https://example.com/collector.tar.gz', wait: 'true' }
";
    let strict = checker(Strictness::Strict).check_bytes("a.yaml", text);
    assert_eq!(strict.rules(), BTreeSet::from(["deprecated-field", "quoted-value"]), "{}", told(&strict));
    assert_eq!((strict.errors(), strict.warnings()), (1, 1), "{}", told(&strict));
    let found: Vec<_> = strict.diagnostics().iter().filter_map(|found| found.interpretation).collect();
    assert_eq!(found, ["X-D-38", "X-B-16"]);
    let lenient = checker(Strictness::Lenient).check_bytes("a.yaml", text);
    assert_eq!((lenient.errors(), lenient.warnings()), (0, 2), "{}", told(&lenient));
}
