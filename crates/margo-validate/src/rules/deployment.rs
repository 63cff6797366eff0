//! What a deployment must be as a whole.

use std::collections::BTreeSet;

use margo_syntax::{Node, pointer};

use super::rules;
use super::words::{clip, nearest, one_of};
use crate::document::Written;
use crate::{Change, Clause, Finding, Reporter, Rule};

rules! {
    DUPLICATE_COMPONENT = "duplicate-component", "components of a profile, or of a status, have different names",
        Clause::must("desired-state#component-attributes");
    UNKNOWN_TARGET_COMPONENT = "unknown-target-component", "parameter targets name components of the deployment profile",
        Clause::must("desired-state#target-attributes");
    PACKAGE_OF_ANOTHER_TYPE = "package-of-another-type", "the packages of a profile are of its type",
        Clause::must("application-description#componentproperties");
    ENVIRONMENT_PREFIX = "environment-prefix", "parameters of Compose profiles name a variable, without `ENV.`",
        Clause::should("desired-state#target-attributes");
    MALFORMED_EXPRESSION = "malformed-expression", "match expressions have what their operator needs",
        Clause::must("application-description#deviceconstraints"),
        ["key-not-a-pointer", "bound-not-one-number", "missing-values", "missing-item-selector"];
}

/// What runs over every deployment.
pub(crate) static RULES: &[Rule<Written>] = &[
    Rule::new(&UNKNOWN_TARGET_COMPONENT, unknown_target_component),
    Rule::new(&ENVIRONMENT_PREFIX, environment_prefix),
];

/// R-A-042.
fn unknown_target_component(deployment: &Written, out: &mut Reporter<'_>) {
    let Some(profile) = deployment.at(&pointer!["spec", "deploymentProfile"]) else { return };
    let components = profile.get("components").into_iter().flat_map(|list| list.children());
    let names = components.map(|component| component.get("name")?.literal());
    // Where a name is missing, it may be the one that is meant.
    let Some(declared) = names.collect::<Option<BTreeSet<&str>>>().filter(|names| !names.is_empty()) else {
        return;
    };
    for target in targets(deployment) {
        for component in target.get("components").into_iter().flat_map(|list| list.children()) {
            let Some(name) = component.literal().filter(|name| !declared.contains(name)) else { continue };
            let finding = Finding::new(
                component.pointer(),
                format!("no component is named `{}`", clip(name)),
            )
            .related(pointer!["spec", "deploymentProfile", "components"], "components are declared here");
            out.report(finding.help(name_one_of(name, declared.iter().copied())));
        }
    }
}

/// X-A-15: in revisions that never had the prefix, so that the model crates do not look for it.
fn environment_prefix(deployment: &Written, out: &mut Reporter<'_>) {
    let is_newest = deployment.revision == margo_core::SpecVersion::V1_0_0Rc3;
    let profile_type = deployment.at(&pointer!["spec", "deploymentProfile", "type"]);
    if !is_newest || profile_type.and_then(|node| node.literal()) != Some("compose") {
        return;
    }
    for target in targets(deployment) {
        let Some(pointer) = target.get("pointer") else { continue };
        let Some(variable) = pointer.literal().and_then(|text| text.strip_prefix("ENV.")) else { continue };
        let finding = Finding::new(
            pointer.pointer(),
            format!("`ENV.{}` is not the name of a variable", clip(variable)),
        )
        .help(format!("write `{}`: a Compose target is a variable anyway", clip(variable)));
        let change = Change::Value(pointer.pointer(), variable.into());
        out.report(finding.fix(format!("write `{}`", clip(variable)), [change]));
    }
}

/// The targets of all parameters.
fn targets(deployment: &Written) -> impl Iterator<Item = Node<'_>> {
    let parameters = deployment.at(&pointer!["spec", "parameters"]);
    let parameters = parameters.into_iter().flat_map(|parameters| parameters.children());
    parameters.filter_map(|parameter| parameter.get("targets")).flat_map(|targets| targets.children())
}

/// What to do about a name that nothing has.
pub(crate) fn name_one_of<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let mut few: Vec<_> = known.take(9).collect();
    match few.len() {
        0 => "declare it first: there are none".to_owned(),
        9 => {
            few.truncate(8);
            format!("name one that is declared, such as {}", one_of(few))
        }
        _ => format!("name one that is declared: {}", one_of(few)),
    }
}
