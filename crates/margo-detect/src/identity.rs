use std::fmt;

use margo_core::{Detection, SpecVersion};

use crate::DocumentKind;

/// What some bytes may be, judged by their shape.
///
/// ```
/// use margo_detect::{DocumentKind, detect_value};
/// use serde_json::json;
///
/// // A pre-draft report, or one of the weeks before 1.0.0-rc.1: the kind is certain, the revision is not.
/// let identity = detect_value(&json!({
///     "apiVersion": "deployment.margo/v1", "kind": "DeploymentStatus", "deploymentId": "a3e2f5dc",
///     "status": { "state": "Pending" }, "components": [],
/// }));
/// assert_eq!((identity.kind(), identity.revision()), (Some(DocumentKind::DeploymentStatus), None));
/// for candidate in &identity.candidates {
///     assert!(!candidate.reasons.is_empty());
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The candidates, the likeliest first. Where nothing tells two revisions apart, the newer comes first.
    pub candidates: Vec<Candidate>,
}

/// A kind and a revision a document may be of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The kind.
    pub kind: DocumentKind,
    /// The revision.
    pub revision: SpecVersion,
    /// What about the document speaks for both: fragments such as "`deviceId` is there".
    pub reasons: Vec<String>,
}

impl Identity {
    /// Nothing that any revision has.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn of(detections: impl IntoIterator<Item = (DocumentKind, Detection)>) -> Self {
        let candidates = detections.into_iter().flat_map(|(kind, detection)| {
            let candidates = detection.candidates.into_iter();
            candidates.map(move |found| Candidate { kind, revision: found.revision, reasons: found.reasons })
        });
        Self { candidates: candidates.collect() }
    }

    /// Whether there is no candidate.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Whether there is more than one candidate, of one kind or of several.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.candidates.len() > 1
    }

    /// The kind, if all candidates are of one.
    #[must_use]
    pub fn kind(&self) -> Option<DocumentKind> {
        let first = self.candidates.first()?.kind;
        self.candidates.iter().all(|candidate| candidate.kind == first).then_some(first)
    }

    /// The revision, if there is exactly one candidate.
    #[must_use]
    pub fn revision(&self) -> Option<SpecVersion> {
        match self.candidates.as_slice() {
            [only] => Some(only.revision),
            _ => None,
        }
    }

    /// The first candidate.
    #[must_use]
    pub fn likeliest(&self) -> Option<&Candidate> {
        self.candidates.first()
    }

    /// Whether `kind` of `revision` is one of the candidates.
    #[must_use]
    pub fn allows(&self, kind: DocumentKind, revision: SpecVersion) -> bool {
        self.candidates.iter().any(|candidate| (candidate.kind, candidate.revision) == (kind, revision))
    }
}

impl fmt::Display for Identity {
    /// The candidates, joined by `or`; `no known document` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.candidates.is_empty() {
            return f.write_str("no known document");
        }
        for (i, candidate) in self.candidates.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            candidate.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Candidate {
    /// `DeploymentStatus of 1.0.0-rc.2 (`deviceId` is there)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.revision)?;
        if self.reasons.is_empty() { Ok(()) } else { write!(f, " ({})", self.reasons.join("; ")) }
    }
}
