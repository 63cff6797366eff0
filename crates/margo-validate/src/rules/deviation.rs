//! What was understood although it is written otherwise: the model crates' deviations, in words.

use margo_core::{Deviation, Level, Strictness};
use margo_syntax::{Pointer, Tree};

use super::words::{clip, place};
use super::{capabilities, deployment, shape, status};
use crate::{Change, Finding, RuleInfo};

/// The rule a deviation breaks. `None` for what is accepted silently, and for what nobody decided on.
pub(crate) fn rule(deviation: &Deviation, strictness: Strictness) -> Option<&'static RuleInfo> {
    let message = &deviation.message;
    let rule = match deviation.contradiction {
        // Silent for a reader, and worth a word to an author.
        "X-A-13" | "X-B-04" | "X-D-13" if message.ends_with("is not told") => &status::ERROR_WITHOUT_CODE,
        "X-A-15" | "X-B-17" | "X-C-04" => &deployment::ENVIRONMENT_PREFIX,
        _ if deviation.level < Level::L2 => return None,
        "X-B-06" if message.starts_with("a list") => &shape::OBJECT_IN_LIST,
        "X-A-12" | "X-A-05" | "X-B-06" | "X-D-10" => &shape::MISNAMED_FIELD,
        "X-A-06" | "X-A-07" | "X-B-01" | "X-D-12" | "X-C-07" => &shape::OBJECT_IN_LIST,
        "X-A-03" | "X-A-04" | "X-B-07" | "X-D-07" => &shape::MALFORMED_QUANTITY,
        "X-A-14" | "X-B-16" => &shape::QUOTED_VALUE,
        "X-A-22" => &shape::UNQUOTED_TEXT,
        "X-A-26" => &shape::WRONG_TYPE,
        "X-B-33" if message.ends_with("is missing") => &shape::MISSING_FIELD,
        "X-B-03" => &status::OVERALL_STATE,
        "X-C-12" => &status::RESERVED_ERROR_CODE,
        "X-B-10" | "X-C-17" | "X-D-33" => &capabilities::FRACTIONAL_CORES,
        "X-D-21" => &capabilities::MISSING_HOSTING_FIELD,
        "X-B-36" | "X-D-31" => &shape::MALFORMED_MANIFEST_VERSION,
        "X-D-38" if message.starts_with("nobody") => &shape::UNKNOWN_FIELD,
        "X-C-03" | "X-D-19" | "X-D-20" | "X-D-38" => &shape::DEPRECATED_FIELD,
        "X-C-15" => &shape::DEPRECATED_VALUE,
        "X-C-16" => &shape::DEPLOYMENT_ID_NOT_UUID,
        "X-D-23" => &shape::MALFORMED_REVISION,
        _ => &shape::UNKNOWN_VALUE,
    };
    let is_silent = deviation.level < Level::L2 && strictness == Strictness::Lenient;
    (!is_silent).then_some(rule)
}

/// Whether a flaw of the shape is what a deviation explains.
pub(crate) fn covers(deviation: &Deviation, at: &Pointer, missing: Option<&str>, is_unknown: bool) -> bool {
    let here: Pointer = deviation.pointer.parse().unwrap_or_default();
    let names = |name: &str| deviation.message.contains(&format!("`{name}`"));
    if let Some(name) = missing {
        if deviation.contradiction == "X-C-03" {
            let moved = here.last().is_some_and(|last| last == name);
            return name == "annotations"
                || (moved && at.segments().next().is_some_and(|first| first == "metadata"));
        }
        let says_so = names(name)
            || matches!(deviation.contradiction, "X-A-13" | "X-B-04" | "X-D-13" | "X-D-21" | "X-D-28");
        return *at == here && says_so;
    }
    // What contradicts, or is not told, says nothing about a value that is none.
    if matches!(deviation.contradiction, "X-B-03" | "X-D-21") {
        return false;
    }
    if *at == here {
        return true;
    }
    if deviation.contradiction == "X-D-08" {
        return at.parent().as_ref() == Some(&here) && at.last().is_some_and(|last| last == "operator");
    }
    let is_inside = at.starts_with(&here);
    let is_named = at.last().is_some_and(|last| names(&last));
    is_inside && (is_named || (!is_unknown && deviation.message.starts_with("a list")))
}

/// Whether a flaw of the shape leaves a deviation nothing to say: the value it is about is none.
pub(crate) fn is_overtaken(deviation: &Deviation, at: &Pointer, missing: Option<&str>) -> bool {
    let here = || deviation.pointer.parse::<Pointer>().unwrap_or_default();
    missing.is_none()
        && match deviation.contradiction {
            "X-B-03" => {
                let state = here();
                state.starts_with(at)
                    || at.segments().next().is_some_and(|first| first == "components")
                        && at.last().is_some_and(|last| last == "state")
            }
            "X-D-21" => *at == here().join("cpus"),
            _ => false,
        }
}

/// Whether a deviation says better what is wrong than the flaws it explains.
pub(crate) fn tells_more(deviation: &Deviation) -> bool {
    matches!(deviation.contradiction, "X-C-03" | "X-C-15" | "X-D-10" | "X-D-19" | "X-D-20" | "X-D-38")
        && !deviation.message.starts_with("nobody")
}

/// A deviation in its own words.
pub(crate) fn describe(deviation: &Deviation, tree: &Tree) -> Finding {
    let at: Pointer = deviation.pointer.parse().unwrap_or_default();
    let Deviation { message, contradiction, .. } = deviation;
    // A description's deviation is that of the whole target.
    let pointer = at.join("pointer");
    let is_target = matches!(*contradiction, "X-A-15" | "X-B-17" | "X-C-04") && tree.get(&pointer).is_some();
    let at = if is_target { pointer } else { at };
    if matches!(*contradiction, "X-B-36" | "X-D-31")
        && let Some(node) = tree.get(&at)
    {
        return shape::manifest_version(&at, node).1;
    }
    let subject = place(&at);
    let finding = match *contradiction {
        "X-D-20" => Finding::of_key(at.clone(), format!("{subject} is no field of this revision any more")),
        "X-D-19" => {
            let message = message.replace("is read over", "is not read any more");
            Finding::of_key(at.clone(), format!("{subject} {message}"))
        }
        "X-D-10" => {
            let written = stands_for(message).map_or("", |(written, _)| written);
            Finding::of_key(at.join(written), message)
        }
        "X-D-38" if !message.starts_with("nobody") => Finding::of_key(at.join("packageLocation"), message),
        "X-B-03" => Finding::new(at.clone(), format!("the overall state {message}")),
        "X-A-13" | "X-B-04" | "X-D-13" => {
            Finding::new(at.clone(), format!("{message} in {subject}").replace("not told", "missing"))
        }
        "X-C-16" | "X-C-03" | "X-A-15" | "X-B-17" | "X-C-04" => {
            Finding::new(at.clone(), format!("{subject} {message}"))
        }
        "X-C-12" | "X-C-15" | "X-B-10" | "X-C-17" | "X-D-21" | "X-D-33" => Finding::new(at.clone(), message),
        _ if at.is_root() => Finding::new(at.clone(), message),
        _ => Finding::new(at.clone(), format!("{subject}: {message}")),
    };
    // The last of the two states that the message names is the one to report.
    let overall = message.rsplit('`').nth(1).filter(|_| *contradiction == "X-B-03");
    let finding = match (help(deviation), stands_for(message)) {
        (Some(help), _) if overall.is_some() => {
            finding.help(format!("write `{}`: {help}", clip(overall.unwrap_or_default())))
        }
        (_, Some((_, meant))) => finding.help(format!("write `{}`", clip(meant))),
        (Some(help), None) => finding.help(help),
        (None, None) => finding,
    };
    fix(deviation, &at, tree)
        .into_iter()
        .fold(finding, |finding, (title, change)| finding.fix(title, [change]))
}

fn help(deviation: &Deviation) -> Option<&'static str> {
    Some(match deviation.contradiction {
        "X-D-20" => "remove it: a document of this revision is told by its other fields",
        "X-D-19" => {
            "say it anew, as in `deviceConstraints: { capacityRequirements: { cpu: { cores: 1 }, memory: 512Mi } }`; `margo convert` does it"
        }
        "X-D-38" if deviation.message.starts_with("nobody") => {
            "remove it, or put it into an extension, `x-<supplier>-extensions`"
        }
        "X-D-38" => {
            "publish the package in an OCI registry, and write `repository: oci://registry.example/collector` and `revision: 1.0.9`"
        }
        "X-C-15" => "write the word of this revision",
        "X-D-10" => "write the name it stands for",
        "X-C-03" if deviation.message.contains("annotations") => {
            "write it below `metadata.annotations`, where this revision has it"
        }
        "X-C-03" => "write it below `metadata`, where this revision has it",
        "X-C-16" => "write a UUID, such as `a3e2f5dc-912e-494f-8395-52cf3769bc06`",
        "X-A-15" | "X-B-17" | "X-C-04" => {
            "write the variable's name alone: a Compose target is a variable anyway"
        }
        "X-B-03" => {
            "the most severe state of the components counts, which is failed, then removing, installing, pending, removed, installed"
        }
        "X-C-12" => "use another code, or name the gateway in `source`",
        "X-A-13" | "X-B-04" | "X-D-13" => {
            "say what happened, as in `error: { code: pull-failed, source: collector, message: image not found }`"
        }
        "X-D-21" => {
            "add it, as in `cpus: [{ architecture: arm64, cores: 4 }]`: without it a manager cannot know whether the device can host a deployment"
        }
        "X-B-10" | "X-C-17" | "X-D-33" => "write a whole number, such as `cores: 4`",
        "X-A-06" | "X-A-07" | "X-B-01" | "X-D-12" | "X-C-07" => {
            "write the object itself, without a list around it"
        }
        "X-A-03" | "X-A-04" | "X-B-07" | "X-D-07" => "write digits and the unit, without a blank",
        _ => return None,
    })
}

/// A fix, where the deviation tells what is meant.
fn fix(deviation: &Deviation, at: &Pointer, tree: &Tree) -> Option<(String, Change)> {
    let node = tree.get(at)?;
    let value =
        |text: &str| Some((format!("write `{}`", clip(text)), Change::Value(at.clone(), text.into())));
    match deviation.contradiction {
        "X-A-15" | "X-B-17" | "X-C-04" => value(node.literal()?.strip_prefix("ENV.")?),
        "X-B-07" | "X-D-07" => {
            value(&shape::quantity(node.literal()?, &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])?)
        }
        _ => {
            let (written, meant) = stands_for(&deviation.message)?;
            if node.literal() == Some(written) {
                return value(meant);
            }
            let member = at.join(written);
            let renames = deviation.contradiction != "X-D-38" && node.get(meant).is_none();
            let is_same_kind = !(written == "value" && meant == "values");
            let key = tree.get(&member).filter(|_| renames && is_same_kind);
            key.map(|_| (format!("write `{meant}`"), Change::Key(member, meant.to_owned())))
        }
    }
}

/// What is written and what it is taken for, out of `` `a` stands for `b` `` or `` `a` is read as `b` ``.
fn stands_for(message: &str) -> Option<(&str, &str)> {
    let (written, meant) =
        message.split_once(" stands for ").or_else(|| message.split_once(" is read as "))?;
    let bare = |text: &str| text.len() > 2 && text.starts_with(['`', '"']) && text.ends_with(['`', '"']);
    (bare(written) && bare(meant)).then(|| (&written[1..written.len() - 1], &meant[1..meant.len() - 1]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use margo_application::AnyApplicationDescription;
    use margo_capability::AnyDeviceCapabilities;
    use margo_deployment::{AnyApplicationDeployment, DesiredStateManifest};
    use margo_status::AnyDeploymentStatus;

    use super::*;

    /// The contradictions about a word, which need no row of their own. A new one is put here or above.
    const ABOUT_WORDS: [&str; 13] = [
        "X-A-01", "X-A-08", "X-A-09", "X-A-10", "X-A-11", "X-B-05", "X-B-08", "X-B-09", "X-B-33", "X-C-05",
        "X-C-06", "X-D-02", "X-D-08",
    ];

    #[test]
    fn every_contradiction_worth_a_warning_was_decided_on() {
        let tables = [
            AnyApplicationDeployment::INTERPRETATIONS,
            AnyApplicationDescription::INTERPRETATIONS,
            AnyDeploymentStatus::INTERPRETATIONS,
            AnyDeviceCapabilities::INTERPRETATIONS,
            DesiredStateManifest::INTERPRETATIONS,
        ];
        let mut words = BTreeSet::new();
        for row in tables.into_iter().flatten().filter(|row| row.level >= Level::L2) {
            let deviation = Deviation::new(row.contradiction, row.level, "", "a message");
            let rule = rule(&deviation, Strictness::Strict).unwrap();
            if std::ptr::eq(rule, &raw const shape::UNKNOWN_VALUE) {
                words.insert(row.contradiction);
            }
        }
        assert_eq!(words, BTreeSet::from(ABOUT_WORDS));
    }

    #[test]
    fn what_stands_for_what_is_read_out_of_the_message() {
        assert_eq!(stands_for("`a` stands for `b`"), Some(("a", "b")));
        assert_eq!(stands_for("\"a\" is read as `b`"), Some(("a", "b")));
        assert_eq!(stands_for("the text \"true\" stands for a boolean"), None);
    }
}
