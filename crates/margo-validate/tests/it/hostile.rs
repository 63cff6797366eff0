//! Bad input: findings, no panic, and the rest is still checked.

use std::fmt::Write;

use margo_syntax::{Format, Limits};
use margo_validate::{Checker, Options, Source};
use proptest::prelude::*;

use crate::layout::{documents, fixtures, told};

fn rules(bytes: impl Into<Vec<u8>>) -> Vec<&'static str> {
    let report = Checker::default().check_bytes("a.yaml", bytes.into());
    report.rules().into_iter().collect()
}

#[test]
fn what_is_no_text_is_told() {
    assert_eq!(rules(&b"\x89PNG\r\n\x1a\n\0\0"[..]), ["not-text"]);
    assert_eq!(rules(&b"id: p\xfcmp\n"[..]), ["not-text"]);
    assert_eq!(rules(&b"\xff\xfei\0d\0"[..]), ["not-text"]);
    assert_eq!(rules(""), ["empty-document"]);
    assert_eq!(rules("---\n"), ["unrecognized-document"]);
    assert_eq!(rules("just text"), ["unrecognized-document"]);
}

#[test]
fn bombs_and_depths_are_told_in_time() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (before, after) in ('a'..'j').zip('b'..='j') {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        writeln!(bomb, "{after}: &{after} [{aliases}]").unwrap();
    }
    assert_eq!(rules(bomb), ["alias-bomb"]);
    assert_eq!(rules("a: &a [*a]\n"), ["alias-bomb"]);
    assert_eq!(rules("[".repeat(10_000)), ["beyond-limits"]);
    assert_eq!(rules("{a: ".repeat(10_000)), ["beyond-limits"]);
    assert_eq!(rules("- ".repeat(10_000)), ["beyond-limits"]);
    let small = Options::default().with_limits(Limits::default().with_max_bytes(100));
    let report = Checker::new(small).check_bytes("a.yaml", vec![b' '; 101]);
    assert!(report.rules().contains("beyond-limits"));
}

#[test]
fn broken_sources_do_not_keep_others_from_being_checked() {
    let sources = [
        Source::new("a.yaml", &b"\0\0\0"[..]),
        Source::new("b.json", "{"),
        Source::new("c.yaml", "properties: { id: plc 7 }\n"),
    ];
    let report = Checker::default().check(&sources);
    let of = |source| report.diagnostics().iter().filter(move |found| found.primary.source == source);
    assert_eq!((of(0).count(), of(1).count()), (1, 1), "{}", told(&report));
    assert!(of(2).any(|found| found.rule.name == "malformed-device-id"), "{}", told(&report));
}

#[test]
fn a_stream_is_checked_document_by_document() {
    let text = "properties: { id: plc 7 }\n---\nproperties: { id: plc 8 }\n---\nmanifestVersion: 0\n";
    let report = Checker::default().check_bytes("a.yaml", text);
    let documents: Vec<_> = report.documents().iter().map(|found| found.kind.unwrap().as_str()).collect();
    assert_eq!(documents, ["DeviceCapabilities", "DeviceCapabilities", "DesiredStateManifest"]);
    let malformed = report.diagnostics().iter().filter(|found| found.rule.name == "malformed-device-id");
    assert_eq!(malformed.map(|found| found.primary.document).collect::<Vec<_>>(), [0, 1]);
}

/// A key used twice and a second document that cannot be read keep nothing else from being told.
#[test]
fn everything_is_told_in_one_run() {
    let text = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump, name: pump, namespace: plant, deviceId: plc 7 }
spec:
  applicationId: Pump
  deploymentProfile:
    type: helm
    components:
      - { name: a, properties: { repository: 'oci://r.example/a', revision: 1.0.9, timeout: 90s }, replicas: 2 }
---
id: [
";
    let rules = rules(text);
    let expected = [
        "duplicate-key",
        "malformed-application-id",
        "malformed-device-id",
        "malformed-timeout",
        "unknown-field",
        "unreadable-text",
    ];
    assert_eq!(rules, expected);
}

/// Every span is one of the text, whatever was cut away or replaced in it.
fn check(source: &Source) {
    let report = Checker::default().check(std::slice::from_ref(source));
    for found in report.diagnostics() {
        for label in std::iter::once(&found.primary).chain(&found.related) {
            if let Some(span) = &label.span {
                assert!(source.text().get(span.clone()).is_some(), "{}: {span:?}", found.rule.name);
            }
        }
        for edit in found.fix.iter().flat_map(|fix| &fix.edits) {
            assert!(source.text().get(edit.range.clone()).is_some(), "{}", found.rule.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_document_is_checked_all_the_same(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        count in 0_usize..40,
        instead in "[a-z0-9:'\"\\[\\]{}*&#! \n\t-]{0,8}|\\PC{0,3}",
    ) {
        let documents = documents(&fixtures());
        let path = &documents[which.index(documents.len())];
        let mut bytes = std::fs::read(path).unwrap();
        let start = at.index(bytes.len().max(1));
        let end = (start + count).min(bytes.len());
        bytes.splice(start..end, instead.bytes());
        check(&Source::new(path.to_string_lossy(), bytes));
    }

    #[test]
    fn any_bytes_are_checked(bytes in prop::collection::vec(any::<u8>(), 0..200), json in any::<bool>()) {
        let format = if json { Format::Json } else { Format::Yaml };
        check(&Source::new("a", bytes).with_format(format));
    }
}
