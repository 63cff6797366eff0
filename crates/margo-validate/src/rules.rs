//! The rules of the specification: what each says, by document, and the functions that look.
//!
//! Shape rules are told apart while looking ([`shape`]), and what a model crate decides is only put into words
//! (`meaning`, `deviation`): nothing is decided twice.

use std::sync::LazyLock;

use crate::RuleInfo;

pub mod capabilities;
pub mod deployment;
pub mod description;
pub(crate) mod deviation;
pub mod manifest;
pub(crate) mod meaning;
pub mod relations;
pub mod shape;
pub mod status;
mod syntax;
pub mod text;
pub(crate) mod words;

/// Every rule, by name.
pub(crate) static ALL: LazyLock<Vec<&'static RuleInfo>> = LazyLock::new(|| {
    let documents = [
        text::ALL,
        shape::ALL,
        deployment::ALL,
        description::ALL,
        manifest::ALL,
        capabilities::ALL,
        status::ALL,
        relations::ALL,
    ];
    let mut all = documents.concat();
    all.sort_by_key(|rule| rule.name);
    all
});

/// Declares rules with a page each in `docs/`, and the list of them.
macro_rules! rules {
    ($($static:ident = $name:literal, $summary:literal, $clause:expr $(, [$($also:literal),* $(,)?])?;)+) => {
        $(
            $crate::declare_rule! {
                #[doc = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/", $name, ".md"))]
                pub static $static = {
                    name: $name,
                    summary: $summary,
                    clause: $clause,
                    page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/", $name, ".md")),
                    $(also: [$($also),*],)?
                }
            }
        )+

        pub(crate) static ALL: &[&$crate::RuleInfo] = &[$(&$static),+];
    };
}

pub(crate) use rules;

/// What runs over a document of this kind.
pub(crate) fn of(kind: crate::DocumentKind) -> &'static [crate::Rule<crate::document::Written>] {
    match kind {
        crate::DocumentKind::ApplicationDeployment => deployment::RULES,
        _ => &[],
    }
}
