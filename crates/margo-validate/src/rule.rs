use std::fmt;

use margo_core::SpecVersion;

use crate::{Reporter, Severity};

/// What a rule says, and where that is written.
///
/// Made by [`declare_rule!`](crate::declare_rule), here and in a vendor's crate alike.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleInfo {
    /// The defect, in kebab case: `unknown-target-component`. Names are never reused.
    pub name: &'static str,
    /// What must hold, as a lowercase fragment.
    pub summary: &'static str,
    /// The sentence of the specification it serves.
    pub clause: Clause,
    /// Its page: Markdown, every `yaml` block of which is executed.
    pub page: &'static str,
    /// Narrower names that fixtures of this rule are filed under.
    pub also: &'static [&'static str],
}

impl RuleInfo {
    /// The rule of this name.
    #[must_use]
    pub const fn new(name: &'static str, summary: &'static str, clause: Clause, page: &'static str) -> Self {
        Self { name, summary, clause, page, also: &[] }
    }

    /// The same rule, with narrower names that fixtures of it are filed under.
    #[must_use]
    pub const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }

    /// Whether a folder of this name in a corpus holds documents that break this rule.
    #[must_use]
    pub fn covers(&self, folder: &str) -> bool {
        self.name == folder || self.also.contains(&folder)
    }

    /// The severity that the clause's wording asks for.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.clause.requirement {
            Requirement::Must => Severity::Error,
            Requirement::Should => Severity::Warning,
        }
    }
}

/// A sentence of a specification.
///
/// ```
/// use margo_validate::Clause;
///
/// let clause = Clause::must("desired-state#digest");
/// assert_eq!(clause.url(), "https://specification.margo.org/1.0.0-rc.3/desired-state#digest");
/// assert_eq!(clause.to_string(), "MUST — desired-state#digest");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clause {
    /// How binding it is.
    pub requirement: Requirement,
    /// Page and fragment below the specification's address; a whole address where another specification is meant.
    pub place: &'static str,
    /// The revision whose page is cited.
    pub revision: SpecVersion,
}

impl Clause {
    /// A `MUST` of the newest revision.
    #[must_use]
    pub const fn must(place: &'static str) -> Self {
        Self { requirement: Requirement::Must, place, revision: SpecVersion::LATEST }
    }

    /// A `SHOULD` of the newest revision.
    #[must_use]
    pub const fn should(place: &'static str) -> Self {
        Self { requirement: Requirement::Should, place, revision: SpecVersion::LATEST }
    }

    /// The same clause, of another revision.
    #[must_use]
    pub const fn of(mut self, revision: SpecVersion) -> Self {
        self.revision = revision;
        self
    }

    /// Where it can be read.
    #[must_use]
    pub fn url(&self) -> String {
        if self.place.starts_with("https://") {
            return self.place.to_owned();
        }
        format!("https://specification.margo.org/{}/{}", self.revision, self.place)
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} — {}", self.requirement, self.place)
    }
}

/// How binding a clause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 2119 has these two that a rule can break")]
pub enum Requirement {
    /// `MUST`, `SHALL`, `REQUIRED`, and their negations.
    Must,
    /// `SHOULD`, `RECOMMENDED`, and their negations.
    Should,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        })
    }
}

/// A rule over a `T`: a description and a function.
///
/// A relation is a rule over a pair. A vendor's rule is an ordinary rule: see
/// [`Options::with_rules`](crate::Options::with_rules).
#[non_exhaustive]
pub struct Rule<T: ?Sized> {
    /// What it says.
    pub info: &'static RuleInfo,
    /// Finds what breaks it.
    pub check: fn(&T, &mut Reporter<'_>),
}

impl<T: ?Sized> Rule<T> {
    /// The rule that `info` describes and `check` runs.
    #[must_use]
    pub const fn new(info: &'static RuleInfo, check: fn(&T, &mut Reporter<'_>)) -> Self {
        Self { info, check }
    }
}

impl<T: ?Sized> Clone for Rule<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Rule<T> {}

impl<T: ?Sized> fmt::Debug for Rule<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.info.name).finish()
    }
}

/// Declares what a rule says: a static [`RuleInfo`](crate::RuleInfo).
///
/// ```
/// use margo_validate::{Clause, declare_rule};
///
/// declare_rule! {
///     /// Devices of Ostwind begin with `ow-`.
///     pub static FOREIGN_DEVICE = {
///         name: "foreign-device",
///         summary: "devices of this plant begin with `ow-`",
///         clause: Clause::must("https://ostwind.example/handbook#names"),
///         page: "## What it checks\n\nDevices of this plant begin with `ow-`.\n",
///     }
/// }
/// assert_eq!(FOREIGN_DEVICE.severity().as_str(), "error");
/// ```
#[macro_export]
macro_rules! declare_rule {
    (
        $(#[$attribute:meta])*
        $visibility:vis static $static:ident = {
            name: $name:expr,
            summary: $summary:expr,
            clause: $clause:expr,
            page: $page:expr,
            $(also: [$($also:expr),* $(,)?],)?
        }
    ) => {
        $(#[$attribute])*
        $visibility static $static: $crate::RuleInfo =
            $crate::RuleInfo::new($name, $summary, $clause, $page)$(.also(&[$($also),*]))?;
    };
}
