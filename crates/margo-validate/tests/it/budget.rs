//! What sources that are checked together may hold.

use margo_validate::{Checker, Source};

const DEVICE: &str = "properties: { id: a, vendor: b, modelNumber: c, serialNumber: d }\n";

fn sources(count: usize, text: &str) -> Vec<Source> {
    (0..count).map(|index| Source::new(format!("{index}.yaml"), text.to_owned())).collect()
}

#[test]
fn behind_many_findings_each_source_keeps_its_gravest() {
    // Each keeps 10,000, and one that is an error.
    let text = format!("{DEVICE}l: [{}]\nproperties: 1\n", vec!["yes"; 12_000].join(","));
    let report = Checker::default().check(&sources(7, &text));
    let kept = |source| report.diagnostics().iter().filter(move |found| found.primary.source == source);
    for source in 0..5 {
        assert_eq!((kept(source).count() >= 10_000, report.left_out(source)), (true, 0), "{source}");
    }
    for source in 5..7 {
        let names: Vec<_> = kept(source).map(|found| found.rule.name).collect();
        assert_eq!(names, ["duplicate-key"], "{source}");
        assert!(report.left_out(source) >= 9_999, "{source}");
    }
}

#[test]
fn behind_many_values_sources_are_compared_with_no_other() {
    let text = |count: usize| format!("{DEVICE}x-a-extensions: {{ l: [{}] }}\n", vec!["1"; count].join(","));
    let report = Checker::default().check(&sources(9, &text(100_000)));
    assert_eq!((report.first_alone(), report.documents().len()), (Some(7), 9));
    let report = Checker::default().check(&sources(9, &text(1_000)));
    assert_eq!(report.first_alone(), None);
}
