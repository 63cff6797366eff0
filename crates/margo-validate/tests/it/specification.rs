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
    ("D/valid/ApplicationDescription.custom-runtime.page.yaml", "an excerpt: parts of it are `...`"),
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
