//! Every rule there is.

use crate::{RuleInfo, rules};

/// Every rule of this crate, by name.
#[must_use]
pub fn rules() -> &'static [&'static RuleInfo] {
    &rules::ALL
}

/// The rule of this name, or the one that this narrower name belongs to.
#[must_use]
pub fn rule(name: &str) -> Option<&'static RuleInfo> {
    let exact = rules().iter().find(|rule| rule.name == name);
    exact.or_else(|| rules().iter().find(|rule| rule.covers(name))).copied()
}
