use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use margo_application::AnyApplicationDescription;
use margo_capability::AnyDeviceCapabilities;
use margo_core::{SpecVersion, Strictness};
use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
use margo_status::AnyDeploymentStatus;
use margo_syntax::Limits;
use serde::{Deserialize, Serialize};

use crate::{Diagnostic, DocumentKind, Rule, RuleInfo, Severity};

/// What to check, and how strictly.
///
/// ```
/// use margo_core::{SpecVersion, Strictness};
/// use margo_validate::{Checker, Options, RuleLevel};
///
/// let options = Options::default()
///     .with_revision(SpecVersion::V1_0_0Rc2)
///     .with_strictness(Strictness::Lenient)
///     .with_level("unknown-member", RuleLevel::Allow);
/// let checker = Checker::new(options);
/// # let _ = checker;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The revision every document follows; `None` finds out.
    pub revision: Option<SpecVersion>,
    /// What every document is; `None` finds out.
    pub kind: Option<DocumentKind>,
    /// How what the specification says in two ways is taken. Default [`Strictness::Strict`], as in an author's CI.
    pub strictness: Strictness,
    /// Another level than that of the clause, by the name of the rule.
    pub levels: BTreeMap<String, RuleLevel>,
    /// How much a source may hold.
    pub limits: Limits,
    pub(crate) rules: RuleSet,
}

impl Options {
    /// The same options, for documents of this revision.
    #[must_use]
    pub fn with_revision(mut self, revision: SpecVersion) -> Self {
        self.revision = Some(revision);
        self
    }

    /// The same options, for documents of this kind.
    #[must_use]
    pub fn with_kind(mut self, kind: DocumentKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The same options, as strict as this.
    #[must_use]
    pub fn with_strictness(mut self, strictness: Strictness) -> Self {
        self.strictness = strictness;
        self
    }

    /// The same options, with another level for a rule.
    #[must_use]
    pub fn with_level(mut self, rule: impl Into<String>, level: RuleLevel) -> Self {
        self.levels.insert(rule.into(), level);
        self
    }

    /// The same options, with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same options, with a vendor's rules for one kind of document.
    ///
    /// ```
    /// use margo_syntax::pointer;
    /// use margo_validate::{Checker, Clause, Finding, Options, Reporter, Rule, declare_rule};
    /// use margo_capability::AnyDeviceCapabilities;
    ///
    /// declare_rule! {
    ///     /// Devices of Ostwind begin with `ow-`.
    ///     pub static FOREIGN_DEVICE = {
    ///         name: "foreign-device",
    ///         summary: "devices of this plant begin with `ow-`",
    ///         clause: Clause::should("https://ostwind.example/handbook#names"),
    ///         page: "Devices of this plant begin with `ow-`.\n",
    ///     }
    /// }
    ///
    /// fn foreign_device(device: &AnyDeviceCapabilities, out: &mut Reporter<'_>) {
    ///     if !device.device_id().as_str().starts_with("ow-") {
    ///         out.report(Finding::new(pointer!["properties", "id"], "this is no device of ours"));
    ///     }
    /// }
    ///
    /// let rules = [Rule::new(&FOREIGN_DEVICE, foreign_device)];
    /// let checker = Checker::new(Options::default().with_rules(&rules));
    /// let device = r#"{ "properties": { "id": "plc-7", "vendor": "a", "modelNumber": "b", "serialNumber": "c" } }"#;
    /// let report = checker.check_bytes("plc-7.json", device);
    /// assert_eq!(report.diagnostics()[0].rule.name, "foreign-device");
    /// assert!(report.is_valid());
    /// ```
    #[must_use]
    pub fn with_rules<T: Subject>(mut self, rules: &[Rule<T>]) -> Self {
        T::rules(&mut self.rules).extend_from_slice(rules);
        self
    }

    /// The severity of a finding of `rule`; `None` if it is not wanted.
    pub(crate) fn severity(&self, rule: &RuleInfo, severity: Severity) -> Option<Severity> {
        match self.levels.get(rule.name) {
            None => Some(severity),
            Some(RuleLevel::Allow) => None,
            Some(RuleLevel::Warn) => Some(Severity::Warning),
            Some(RuleLevel::Error) => Some(Severity::Error),
        }
    }

    /// Leaves what is wanted, as serious as it is wanted.
    pub(crate) fn settle(&self, found: &mut Vec<Diagnostic>) {
        if self.levels.is_empty() {
            return;
        }
        found.retain_mut(|diagnostic| match self.severity(diagnostic.rule, diagnostic.severity) {
            Some(severity) => {
                diagnostic.severity = severity;
                true
            }
            None => false,
        });
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            revision: None,
            kind: None,
            strictness: Strictness::Strict,
            levels: BTreeMap::new(),
            limits: Limits::default(),
            rules: RuleSet::default(),
        }
    }
}

/// How seriously a rule is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a rule is off, a warning or an error")]
pub enum RuleLevel {
    /// Not at all.
    Allow,
    /// As a warning.
    Warn,
    /// As an error.
    Error,
}

impl FromStr for RuleLevel {
    type Err = ParseRuleLevelError;

    fn from_str(text: &str) -> Result<Self, ParseRuleLevelError> {
        match text {
            "allow" => Ok(Self::Allow),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(ParseRuleLevelError),
        }
    }
}

impl fmt::Display for RuleLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// The text is no level of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of `allow`, `warn`, `error`")]
#[non_exhaustive]
pub struct ParseRuleLevelError;

/// A vendor's rules, by what they look at.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(crate) deployment: Vec<Rule<AnyApplicationDeployment>>,
    pub(crate) description: Vec<Rule<AnyApplicationDescription>>,
    pub(crate) manifest: Vec<Rule<DesiredStateManifest>>,
    pub(crate) status: Vec<Rule<AnyDeploymentStatus>>,
    pub(crate) capabilities: Vec<Rule<AnyDeviceCapabilities>>,
}

impl RuleSet {
    /// What the rules are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let deployment = self.deployment.iter().map(|rule| rule.info);
        let description = self.description.iter().map(|rule| rule.info);
        let manifest = self.manifest.iter().map(|rule| rule.info);
        let status = self.status.iter().map(|rule| rule.info);
        let capabilities = self.capabilities.iter().map(|rule| rule.info);
        let all = deployment.chain(description).chain(manifest).chain(status).chain(capabilities);
        all.map(|rule| rule.name)
    }
}

/// What a vendor's rule may look at: a document of any revision.
pub trait Subject: sealed::Sealed + Sized + 'static {
    /// What it is called.
    const KIND: DocumentKind;

    #[doc(hidden)]
    fn rules(set: &mut RuleSet) -> &mut Vec<Rule<Self>>;

    #[doc(hidden)]
    fn of(value: crate::document::Value) -> Option<Self>;
}

mod sealed {
    #[expect(unnameable_types, reason = "a sealed trait")]
    pub trait Sealed {}
}

macro_rules! subject {
    ($type:ident, $kind:ident, $field:ident) => {
        impl sealed::Sealed for $type {}

        impl Subject for $type {
            const KIND: DocumentKind = DocumentKind::$kind;

            fn rules(set: &mut RuleSet) -> &mut Vec<Rule<Self>> {
                &mut set.$field
            }

            fn of(value: crate::document::Value) -> Option<Self> {
                match value {
                    crate::document::Value::$kind(value) => Some(*value),
                    _ => None,
                }
            }
        }
    };
}

subject!(AnyApplicationDeployment, ApplicationDeployment, deployment);
subject!(AnyApplicationDescription, ApplicationDescription, description);
subject!(DesiredStateManifest, DesiredStateManifest, manifest);
subject!(AnyDeploymentStatus, DeploymentStatus, status);
subject!(AnyDeviceCapabilities, DeviceCapabilities, capabilities);
