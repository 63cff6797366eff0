use margo_api::Checkpoint;
use margo_core::Document;
use margo_deployment::DesiredStateManifest;

/// Under this target, everything is logged that looks like somebody turning back time.
pub(crate) const SECURITY: &str = "margo_agent::security";

/// A manifest this device may act on. Only [`accept`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted(Document<DesiredStateManifest>);

impl Accepted {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Document<DesiredStateManifest> {
        &self.0
    }

    /// What adopting it leads to.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::of(&self.0)
    }
}

/// Refuses to go back (R-B-030).
///
/// - `last` is the manifest that was adopted completely: a new one has a greater version, strictly.
/// - `attempted` is the newest one that was ever accepted, adopted or not: a new one is not older, and if it has
///   the same version, it is the same. So a manager cannot take back a state a device already works on
///   (MI-016).
///
/// A refusal is logged at `warn` under the target `margo_agent::security`.
///
/// # Errors
///
/// [`RefusedManifest`], with both versions.
pub fn accept(
    last: Option<Checkpoint>,
    attempted: Option<Checkpoint>,
    manifest: Document<DesiredStateManifest>,
) -> Result<Accepted, RefusedManifest> {
    let offered = Checkpoint::of(&manifest);
    let refuse = |known: Checkpoint, reason: RefusalReason| {
        tracing::warn!(
            target: SECURITY,
            offered = %offered.version,
            offered_digest = %offered.digest,
            known = %known.version,
            known_digest = %known.digest,
            "refused a state manifest: {reason}"
        );
        Err(RefusedManifest { offered, known, reason })
    };
    if let Some(last) = last
        && offered.version <= last.version
    {
        return refuse(last, RefusalReason::NotNewer);
    }
    match attempted {
        Some(attempted) if offered.version < attempted.version => {
            refuse(attempted, RefusalReason::RolledBack)
        }
        Some(attempted) if offered.version == attempted.version && offered.digest != attempted.digest => {
            refuse(attempted, RefusalReason::Rewritten)
        }
        _ => Ok(Accepted(manifest)),
    }
}

/// A manifest this device must not act on (R-B-030).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused manifest version {}: {reason} (known: version {})", offered.version, known.version)]
#[non_exhaustive]
pub struct RefusedManifest {
    /// What was offered.
    pub offered: Checkpoint,
    /// What the device knows.
    pub known: Checkpoint,
    /// Why it was refused.
    pub reason: RefusalReason,
}

/// Why a manifest was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Its version is not greater than the one that was adopted.
    #[error("its version is not greater than the adopted one")]
    NotNewer,
    /// Its version is lower than one that was accepted and is being worked on.
    #[error("its version is lower than one already accepted")]
    RolledBack,
    /// Its version is known, with other content.
    #[error("its version was already accepted with other content")]
    Rewritten,
}

#[cfg(test)]
mod tests {
    use margo_core::ManifestVersion;

    use super::*;

    /// Manifests of the same version differ by `content`.
    fn manifest(version: u64, content: &str) -> Document<DesiredStateManifest> {
        let value = DesiredStateManifest::new(ManifestVersion::new(version).unwrap(), None, Vec::new());
        Document::decode(format!("{version}{content}").into(), |_| Ok::<_, ()>(value)).unwrap()
    }

    fn outcome(
        last: Option<(u64, &str)>,
        attempted: Option<(u64, &str)>,
        offered: (u64, &str),
    ) -> Option<RefusalReason> {
        let checkpoint = |known: Option<(u64, &str)>| known.map(|(v, c)| Checkpoint::of(&manifest(v, c)));
        let result = accept(checkpoint(last), checkpoint(attempted), manifest(offered.0, offered.1));
        result.err().map(|refused| refused.reason)
    }

    #[test]
    fn the_first_manifest_is_accepted_whatever_its_version() {
        assert_eq!(outcome(None, None, (1, "a")), None);
        assert_eq!(outcome(None, None, (u64::MAX, "a")), None);
    }

    /// R-B-030.
    #[test]
    fn a_version_must_be_strictly_greater_than_the_adopted_one() {
        let last = Some((7, "a"));
        assert_eq!(outcome(last, last, (8, "b")), None);
        for (version, content) in [(7, "a"), (7, "b"), (6, "a"), (1, "a")] {
            assert_eq!(outcome(last, last, (version, content)), Some(RefusalReason::NotNewer));
        }
    }

    /// R-B-030, MI-016: a state that was accepted and not yet adopted cannot be taken back either.
    #[test]
    fn a_state_being_worked_on_is_not_taken_back() {
        let (last, attempted) = (Some((7, "a")), Some((9, "c")));
        assert_eq!(outcome(last, attempted, (8, "b")), Some(RefusalReason::RolledBack));
        assert_eq!(outcome(None, attempted, (8, "b")), Some(RefusalReason::RolledBack));
        assert_eq!(outcome(last, attempted, (9, "other")), Some(RefusalReason::Rewritten));
        // Trying again what failed is the point of remembering it.
        assert_eq!(outcome(last, attempted, (9, "c")), None);
        assert_eq!(outcome(last, attempted, (10, "d")), None);
    }

    #[test]
    fn a_refusal_names_both_versions() {
        let known = Checkpoint::of(&manifest(7, "a"));
        let refused = accept(Some(known), None, manifest(3, "b")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "refused manifest version 3: its version is not greater than the adopted one (known: version 7)"
        );
    }
}
