//! What is expected of a file: by its folder, or by what was asked for.

use std::path::Path;

use margo_core::SpecVersion;
use margo_validate::render::Record;
use margo_validate::{Diagnostic, DocumentKind, Report, Severity, Source, docs};

/// The name under which a document that is not as expected is reported.
pub(crate) const UNEXPECTED: &str = "not-as-expected";

/// What is expected of every file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Expect {
    /// Nothing is wrong with it
    Valid,
    /// Something is wrong with it; a file that passes is a failure
    Invalid,
    /// What its folder says: `valid/` or `invalid/<rule>/`; elsewhere valid
    #[default]
    Folder,
}

/// What is expected of a group of files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expectation {
    /// Nothing is wrong.
    Valid,
    /// Something is wrong with each file.
    Invalid,
    /// This rule is broken, and no other.
    Breaks(String),
}

impl Expectation {
    pub(crate) fn is_valid(&self) -> bool {
        *self == Self::Valid
    }
}

/// What the path of a file says about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) expectation: Expectation,
    /// The folder of documents that belong together, where there is one.
    pub(crate) scene: Option<&'a str>,
    /// From `valid/<revision>/` or from `<Kind>-<revision>-….yaml`.
    pub(crate) revision: Option<SpecVersion>,
    /// From `<Kind>-<revision>-….yaml`.
    pub(crate) kind: Option<DocumentKind>,
}

/// What the path `name` says, if it lies below a folder `valid` or `invalid`.
pub(crate) fn place(name: &str) -> Option<Place<'_>> {
    let (folder, file) = name.rsplit_once('/')?;
    let mut end = folder.len();
    let (is_valid, below) = loop {
        let start = folder[..end].rfind('/').map_or(0, |slash| slash + 1);
        match &folder[start..end] {
            "valid" => break (true, folder[end..].trim_start_matches('/')),
            "invalid" => break (false, folder[end..].trim_start_matches('/')),
            _ if start == 0 => return None,
            _ => end = start - 1,
        }
    };
    let mut parts = below.split('/').filter(|part| !part.is_empty());
    let first = parts.next();
    if is_valid {
        let revision = first.and_then(|part| part.parse().ok());
        return Some(Place { expectation: Expectation::Valid, scene: None, revision, kind: None });
    }
    let (kind, revision) = labels(file).unzip();
    let expectation = first.map_or(Expectation::Invalid, |rule| Expectation::Breaks(rule.to_owned()));
    // Everything up to the folder below the rule's.
    let scene = parts.next().map(|scene| {
        let offset = scene.as_ptr() as usize - name.as_ptr() as usize;
        &name[..offset + scene.len()]
    });
    Some(Place { expectation, scene, revision, kind })
}

/// Whether a folder is, or lies below, one that says something about every file in it.
pub(crate) fn is_within_corpus(folder: &Path) -> bool {
    folder.iter().any(|part| part == "valid" || part == "invalid")
}

/// `ApplicationDeployment-1.0.0-rc.3-at-a-url.yaml` says what it is.
fn labels(file: &str) -> Option<(DocumentKind, SpecVersion)> {
    let (kind, rest) = file.split_once('-')?;
    let kind = kind.parse().ok()?;
    let is_named = |revision: &SpecVersion| {
        rest.strip_prefix(revision.as_str()).is_some_and(|rest| rest.starts_with(['-', '.']))
    };
    SpecVersion::ALL.into_iter().find(is_named).map(|revision| (kind, revision))
}

/// Compares a report with what was expected: what was expected is taken out of it, and what was not found is added to
/// the result.
///
/// A source that is `None` was passed over, or could not be read: nothing is expected of it.
///
/// The second result is how many findings were expected.
pub(crate) fn judge(
    expectation: &Expectation,
    report: &mut Report,
    sources: &[Option<&Source>],
) -> (Vec<Record>, usize) {
    let before = report.diagnostics().len();
    let mut unexpected = Vec::new();
    match expectation {
        Expectation::Valid => return (unexpected, 0),
        Expectation::Invalid => {
            for (index, source) in sources.iter().enumerate() {
                let Some(source) = source else { continue };
                let is_invalid = |found: &Diagnostic| found.primary.source == index && is_error(found);
                if !report.diagnostics().iter().any(is_invalid) {
                    let message = "nothing is wrong with this file, and it is expected to be invalid";
                    unexpected.push(failure(source.name(), message));
                }
            }
            report.retain(|found| !is_error(found));
        }
        Expectation::Breaks(rule) => {
            let is_it = |found: &Diagnostic| found.rule.covers(rule);
            if !docs::rules().iter().any(|known| known.covers(rule)) {
                if let Some(source) = sources.iter().flatten().next() {
                    let message = format!("no rule is named `{rule}`, as its folder below `invalid/` is");
                    unexpected.push(failure(source.name(), message));
                }
            } else if report.diagnostics().iter().any(is_it) {
                report.retain(|found| !is_it(found) && is_error(found));
                for found in report.diagnostics() {
                    if let Some(Some(source)) = sources.get(found.primary.source) {
                        let message = format!(
                            "this breaks `{}` too; below `invalid/{rule}/` it is to break that rule alone",
                            found.rule.name
                        );
                        unexpected.push(failure(source.name(), message));
                    }
                }
            } else if let Some(source) = sources.iter().flatten().next() {
                let other = report.diagnostics().iter().find(|found| is_error(found));
                let message = match other {
                    None => format!("nothing is wrong with this file, and it is expected to break `{rule}`"),
                    Some(other) => {
                        format!(
                            "this is expected to break `{rule}`, and breaks `{}` instead",
                            other.rule.name
                        )
                    }
                };
                unexpected.push(failure(source.name(), message));
            }
        }
    }
    let expected = before - report.diagnostics().len();
    unexpected.dedup();
    (unexpected, expected)
}

fn is_error(found: &Diagnostic) -> bool {
    found.severity == Severity::Error
}

fn failure(file: &str, message: impl Into<String>) -> Record {
    Record::about(file, UNEXPECTED, Severity::Error, message)
        .with_help("put it where it belongs, or make it what its folder says; see `docs/check.md`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_is_expected() {
        let rule = |rule: &str| Expectation::Breaks(rule.to_owned());
        for (name, expectation, scene) in [
            ("valid/a.yaml", Expectation::Valid, None),
            ("fixtures/valid/1.0.0-rc.1/x/a.yaml", Expectation::Valid, None),
            ("invalid/a.yaml", Expectation::Invalid, None),
            ("f/invalid/no-cores/a.yaml", rule("no-cores"), None),
            ("f/invalid/no-cores/two/a.yaml", rule("no-cores"), Some("f/invalid/no-cores/two")),
            ("f/invalid/no-cores/two/deep/a.yaml", rule("no-cores"), Some("f/invalid/no-cores/two")),
            ("invalid/x/valid/a.yaml", Expectation::Valid, None),
        ] {
            let place = place(name).unwrap();
            assert_eq!((place.expectation, place.scene), (expectation, scene), "{name}");
        }
        for name in ["a.yaml", "valid.yaml", "invalidated/a.yaml", "x/a.yaml"] {
            assert_eq!(place(name), None, "{name}");
        }
    }

    #[test]
    fn folders_and_names_may_tell_the_revision() {
        assert_eq!(place("valid/1.0.0-rc.1/x/a.yaml").unwrap().revision, Some(SpecVersion::V1_0_0Rc1));
        let place = place("invalid/no-cores/DeviceCapabilities-1.0.0-rc.3-none.yaml").unwrap();
        assert_eq!(
            (place.kind, place.revision),
            (Some(DocumentKind::DeviceCapabilities), Some(SpecVersion::V1_0_0Rc3))
        );
        assert_eq!(labels("DeviceCapabilities-other.yaml"), None);
        assert_eq!(labels("device-1.0.0-rc.3.yaml"), None);
        assert_eq!(labels("ApplicationDeployment-pre-draft-x.yaml").unwrap().1, SpecVersion::PreDraft);
    }
}
