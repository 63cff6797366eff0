use std::fmt;

/// How a reader treats what the specification says in two ways.
///
/// Every contradiction in the specification has an id (`X-D-07`), a reading and a [`Level`]; ours are listed in
/// `docs/interpretations.md`.
///
/// ```
/// use margo_core::{Level, Strictness};
///
/// assert_eq!(Strictness::default(), Strictness::Lenient);
/// assert!(!Level::L3.is_refused(Strictness::Lenient) && Level::L3.is_warned());
/// assert!(Level::L3.is_refused(Strictness::Strict));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the strictness scale has exactly these two modes")]
pub enum Strictness {
    /// Accept what can be understood, and report it: what a manager and a device do.
    #[default]
    Lenient,
    /// Refuse what conformance forbids: what an author's CI does.
    Strict,
}

/// How serious a deviation from our reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the strictness scale has exactly these levels")]
pub enum Level {
    /// Not checked at all.
    L0,
    /// Every listed form is accepted silently; only the canonical one is written.
    L1,
    /// Accepted with a warning; only the canonical form is written.
    L2,
    /// Refused when reading strictly, accepted with a warning otherwise.
    L3,
    /// Always refused.
    L4,
}

impl Level {
    /// Whether a deviation of this level is refused.
    #[must_use]
    pub fn is_refused(self, strictness: Strictness) -> bool {
        match self {
            Self::L0 | Self::L1 | Self::L2 => false,
            Self::L3 => strictness == Strictness::Strict,
            Self::L4 => true,
        }
    }

    /// Whether an accepted deviation of this level is worth a warning.
    #[must_use]
    pub fn is_warned(self) -> bool {
        self >= Self::L2
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A place where a document is written in another way than we would write it, and was understood.
///
/// ```
/// use margo_core::{Deviation, Level, Strictness};
///
/// let deviation = Deviation::new("X-A-14", Level::L2, "/spec/wait", "the string \"true\" stands for a boolean");
/// assert!(!deviation.level.is_refused(Strictness::Strict));
/// assert_eq!(deviation.to_string(), "/spec/wait: the string \"true\" stands for a boolean (X-A-14)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deviation {
    /// The contradiction that explains it, such as `X-D-07`.
    pub contradiction: &'static str,
    /// How serious it is.
    pub level: Level,
    /// Where it stands: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What stands there, and what it was taken for.
    pub message: String,
}

impl Deviation {
    /// What stands at `pointer` deviates from our reading of `contradiction`.
    pub fn new(
        contradiction: &'static str,
        level: Level,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { contradiction, level, pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.pointer, self.message, self.contradiction)
    }
}
