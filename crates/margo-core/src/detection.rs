use std::fmt;

use crate::SpecVersion;

/// The revisions a document may be of, judged by its shape and never by the label it carries.
///
/// Three different shapes are called rc.2, and some documents look the same in two revisions; so more than one
/// candidate is an answer, and none is one too: the document is of another kind.
///
/// ```
/// use margo_core::{Detection, SpecVersion};
///
/// let detection = Detection::none()
///     .with(SpecVersion::V1_0_0Rc2, ["`kind` is `DeploymentStatusManifest`"])
///     .with(SpecVersion::V1_0_0Rc1, ["`kind` is `DeploymentStatusManifest`"]);
/// assert!(detection.is_ambiguous());
/// assert_eq!(detection.revision(), None);
/// assert_eq!(detection.likeliest(), Some(SpecVersion::V1_0_0Rc2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detection {
    /// The candidates, the likeliest first. Where nothing tells two of them apart, the newer comes first.
    pub candidates: Vec<Candidate>,
}

/// A revision a document may be of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The revision.
    pub revision: SpecVersion,
    /// What about the document speaks for it: fragments such as "`deviceId` is there".
    pub reasons: Vec<String>,
}

impl Detection {
    /// No revision has a document of this kind and shape.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The same, with a candidate that is less likely than those before it.
    #[must_use]
    pub fn with<R: Into<String>>(
        mut self,
        revision: SpecVersion,
        reasons: impl IntoIterator<Item = R>,
    ) -> Self {
        let reasons = reasons.into_iter().map(Into::into).collect();
        self.candidates.push(Candidate { revision, reasons });
        self
    }

    /// Whether there is no candidate.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Whether there is more than one candidate.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.candidates.len() > 1
    }

    /// The revision, if there is exactly one candidate.
    #[must_use]
    pub fn revision(&self) -> Option<SpecVersion> {
        match self.candidates.as_slice() {
            [only] => Some(only.revision),
            _ => None,
        }
    }

    /// The first candidate's revision.
    #[must_use]
    pub fn likeliest(&self) -> Option<SpecVersion> {
        self.revisions().next()
    }

    /// The revisions of the candidates, the likeliest first.
    pub fn revisions(&self) -> impl Iterator<Item = SpecVersion> {
        self.candidates.iter().map(|candidate| candidate.revision)
    }

    /// Whether `revision` is one of the candidates.
    #[must_use]
    pub fn allows(&self, revision: SpecVersion) -> bool {
        self.revisions().any(|candidate| candidate == revision)
    }
}

impl fmt::Display for Detection {
    /// `1.0.0-rc.2 (`deviceId` is there)`, several joined by `or`; `no known revision` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.candidates.is_empty() {
            return f.write_str("no known revision");
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.revision)?;
        if self.reasons.is_empty() { Ok(()) } else { write!(f, " ({})", self.reasons.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_several_and_none_are_told_apart() {
        let none = Detection::none();
        assert!(none.is_none() && !none.is_ambiguous());
        assert_eq!((none.revision(), none.likeliest()), (None, None));
        assert_eq!(none.to_string(), "no known revision");

        let one =
            none.with(SpecVersion::PreDraft, ["`resources.cpus` is there", "`kind` is `DeviceCapability`"]);
        assert_eq!(one.revision(), Some(SpecVersion::PreDraft));
        assert_eq!(one.to_string(), "pre-draft (`resources.cpus` is there; `kind` is `DeviceCapability`)");

        let two = one.with(SpecVersion::V1_0_0Rc1, [] as [&str; 0]);
        assert!(two.is_ambiguous() && two.allows(SpecVersion::V1_0_0Rc1));
        assert!(!two.allows(SpecVersion::V1_0_0Rc2));
        assert!(two.to_string().ends_with(") or 1.0.0-rc.1"));
    }
}
