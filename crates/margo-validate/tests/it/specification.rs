//! The specification's own examples, where they lie beside the repository.

use std::path::Path;

use margo_core::Strictness;
use margo_validate::{Checker, Options};

use crate::layout::{documents, entries, name, sources, told};

/// Messages, which are no documents.
const OTHERS: [&str; 8] = [
    "DiscoveryDocument",
    "OnboardingRequest",
    "OnboardingResponse",
    "ProblemDetail",
    "RootCertificateResponse",
    "SpiffeBundle",
    "TokenResponse",
    "README",
];

/// Examples that are judged otherwise than their folder says, and why.
const EXPLAINED: &[(&str, &str)] = &[
    ("B/valid/StateManifest.page.json", "the digests are placeholders"),
    (
        "D/valid/ApplicationDescription.custom-runtime.page.yaml",
        "X-D-20, and an excerpt: parts of it are `...`",
    ),
    ("D/valid/StateManifest.page.json", "the digests are placeholders"),
];

/// A valid example has no error read leniently, and an invalid one has read strictly.
#[expect(clippy::print_stdout, reason = "what is skipped is told")]
#[test]
fn examples_of_the_specification_are_judged_as_they_are_filed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/examples");
    if !folder.is_dir() {
        println!("SKIPPED: the examples of the specification are not at {}", folder.display());
        return;
    }
    let checker = |strictness| Checker::new(Options::default().with_strictness(strictness));
    let (mut wrong, mut explained, mut count) = (Vec::new(), Vec::new(), 0);
    for revision in entries(&folder) {
        for (filed, strictness) in [("valid", Strictness::Lenient), ("invalid", Strictness::Strict)] {
            for path in documents(&revision.join(filed)) {
                let example = format!("{}/{filed}/{}", name(&revision), name(&path));
                if OTHERS.iter().any(|other| name(&path).starts_with(other)) {
                    continue;
                }
                count += 1;
                let report = checker(strictness).check(&sources(&path));
                if report.is_valid() == (filed == "valid") {
                    continue;
                }
                match EXPLAINED.iter().find(|(known, _)| *known == example) {
                    Some((known, _)) => explained.push(*known),
                    None => wrong.push(format!("{example}\n{}", told(&report))),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(explained.len(), EXPLAINED.len(), "{explained:?}");
    assert!(count > 60, "{count}");
}

/// X-D-20, R-D-031: what is wrong with the page's own description for a custom runtime, apart from what it leaves out.
#[expect(clippy::print_stdout, reason = "what is skipped is told")]
#[test]
fn the_description_of_a_custom_runtime_is_read_as_the_newest_revision() {
    let name = "../../../shared/spec/examples/D/valid/ApplicationDescription.custom-runtime.page.yaml";
    let Ok(text) = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)) else {
        return println!("SKIPPED: the examples of the specification are not there");
    };
    let told = |text: String| {
        let report = Checker::default().check_bytes("a.yaml", text);
        assert_eq!(report.documents()[0].revision, Some(margo_core::SpecVersion::V1_0_0Rc3));
        let places =
            report.diagnostics().iter().map(|found| (found.rule.name, found.primary.pointer.to_string()));
        places.collect::<Vec<_>>()
    };
    let place = |rule: &'static str, pointer: &str| (rule, pointer.to_owned());
    let label = [place("missing-field", ""), place("deprecated-field", "/kind")];
    let left_out = [place("wrong-type", "/parameters"), place("wrong-type", "/configuration")];
    assert_eq!(told(text.clone()), [label.clone(), left_out].concat());
    assert_eq!(told(text.replace("parameters: ...\nconfiguration: ...", "")), label);
}
