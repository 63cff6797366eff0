use std::path::Path;

use bytes::Bytes;
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{DecodeError, Fault, Format, Limits};
use margo_validate::{Checker, DocumentKind, Options, Source};

use super::Stop;
use crate::files::{self, Found, Problem};

/// A document that was read, and what it is.
pub(super) struct Read {
    pub(super) name: String,
    pub(super) bytes: Bytes,
    pub(super) format: Format,
    pub(super) kind: DocumentKind,
    pub(super) revision: SpecVersion,
    pub(super) limits: Limits,
}

impl Read {
    /// The document as a type, in either notation.
    pub(super) fn decode_with<T>(
        &self,
        read: impl FnOnce(serde_json::Value) -> Result<T, Fault>,
    ) -> Result<T, DecodeError> {
        margo_syntax::decode_with(&self.bytes, self.format, &self.limits, read)
    }
}

/// Reads the one document in a file. What is wrong with it is found by whoever decodes it.
pub(super) fn read(
    path: &Path,
    kind: Option<DocumentKind>,
    revision: Option<SpecVersion>,
) -> Result<Read, Stop> {
    let (mut all, problems) = read_some(path, kind, revision)?;
    if let Some(problem) = problems.first() {
        return Err(Stop::because(problem.to_string()));
    }
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(Stop::because(format!("`{}` holds no document", path.display()))),
        _ => Err(Stop::because(format!("`{}` holds several documents; one is expected", path.display()))
            .help("write each into a file of its own")),
    }
}

/// Reads the documents in a file, or in the files of a folder. What is no Margo document is an error only in a file
/// that was named itself. The second result is what stands in a folder and cannot be read.
pub(super) fn read_some(
    path: &Path,
    kind: Option<DocumentKind>,
    revision: Option<SpecVersion>,
) -> Result<(Vec<Read>, Vec<Problem>), Stop> {
    let mut options = Options::default().with_strictness(Strictness::Lenient);
    (options.kind, options.revision) = (kind, revision);
    let limits = options.limits.clone();
    let checker = Checker::new(options);
    let Found { files, mut problems, .. } = files::find(&[path.to_owned()], &super::check::nothing());
    if let Some(problem) = problems.first().filter(|_| !path.is_dir()) {
        return Err(Stop::because(problem.to_string()));
    }
    let mut all = Vec::new();
    for file in files {
        let bytes = match file.read(limits.max_bytes as u64) {
            Ok(bytes) => Bytes::from(bytes),
            Err(problem) if file.is_named => return Err(Stop::because(problem.to_string())),
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let mut source = Source::new(file.name.clone(), bytes.clone());
        if file.path.is_none() && bytes.trim_ascii_start().starts_with(b"{") {
            source = source.with_format(Format::Json);
        }
        let report = checker.check(std::slice::from_ref(&source));
        for document in report.documents() {
            let (Some(kind), Some(revision)) = (kind.or(document.kind), revision.or(document.revision))
            else {
                if file.is_named {
                    return Err(Stop::because(format!("`{}` is no document that is known", file.name))
                        .help("`--kind` and `--revision` say what it is"));
                }
                continue;
            };
            let (name, format, limits) = (file.name.clone(), source.format(), limits.clone());
            let bytes = bytes.slice(document.span.clone());
            all.push(Read { name, bytes, format, kind, revision, limits });
        }
        if report.documents().is_empty() && file.is_named {
            let reason = report.diagnostics().first().map(|found| {
                let place = found.primary.span.as_ref().map(|span| source.location(span.start));
                place.map_or_else(|| found.message.clone(), |place| format!("{place}: {}", found.message))
            });
            let reason = reason.unwrap_or_else(|| "it holds no document".to_owned());
            return Err(Stop::because(format!("`{}` cannot be read: {reason}", file.name)));
        }
    }
    Ok((all, problems))
}
