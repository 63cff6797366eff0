//! What the older revisions share on the way up and down.

use std::collections::{BTreeMap, BTreeSet};

use margo_core::{ComponentName, DowngradeError, Extensions, SpecVersion};
use margo_deployment::__private::{Losses, NO_EXTENSIONS};
use margo_deployment::Component;
use margo_deployment::pre_draft::strip_environment_prefix;
use margo_syntax::{Fault, Pointer, pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::ParameterDefinition;

/// The word `ApplicationDescription`, checked when read; `application`, which a table still has, is read too
/// (X-B-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is one word and will stay one")]
pub struct Kind;

impl Kind {
    pub(crate) const TEXT: &'static str = "ApplicationDescription";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            Self::TEXT | "application" => Ok(Self),
            other => {
                let found = serde::de::Unexpected::Str(other);
                Err(serde::de::Error::invalid_value(found, &"`ApplicationDescription`"))
            }
        }
    }
}

/// Where a target's components are all of Compose profiles, its pointer is an environment variable, and an
/// `ENV.` before it is taken off (X-A-15, X-B-17, X-C-04). `profiles` tells of each whether it is one.
pub(crate) fn strip_environment_prefixes<'a>(
    profiles: impl IntoIterator<Item = (bool, &'a [Component])>,
    parameters: &mut BTreeMap<String, ParameterDefinition>,
) {
    let mut variables: BTreeMap<&ComponentName, bool> = BTreeMap::new();
    for (is_compose, components) in profiles {
        for component in components {
            *variables.entry(&component.name).or_insert(true) &= is_compose;
        }
    }
    for target in parameters.values_mut().flat_map(|parameter| &mut parameter.targets) {
        if target.components.iter().all(|name| variables.get(name).copied().unwrap_or(false)) {
            strip_environment_prefix(&mut target.pointer);
        }
    }
}

/// Parameters without members that no older revision has.
pub(crate) fn downgrade_parameters(
    parameters: &BTreeMap<String, ParameterDefinition>,
    losses: &mut Losses,
) -> BTreeMap<String, ParameterDefinition> {
    let mut parameters = parameters.clone();
    for (name, parameter) in &mut parameters {
        let at = pointer!["parameters", name];
        losses.drain(std::mem::take(&mut parameter.extensions), &at, NO_EXTENSIONS);
        for (index, target) in parameter.targets.iter_mut().enumerate() {
            let at = at.join("targets").with(index);
            losses.drain(std::mem::take(&mut target.extensions), &at, NO_EXTENSIONS);
        }
    }
    parameters
}

/// Members of a description's root with a place in the newest revision.
pub(crate) fn keep_root(extensions: Extensions, losses: &mut Losses) -> Extensions {
    losses.keep(extensions, &Pointer::root(), |name| name != "id")
}

/// What a strict downgrade makes of the first loss.
pub(crate) fn lossless<T>(
    revision: SpecVersion,
    downgraded: Result<margo_core::Upgraded<T>, DowngradeError>,
) -> Result<T, DowngradeError> {
    let margo_core::Upgraded { value, losses, .. } = downgraded?;
    match losses.into_iter().next() {
        None => Ok(value),
        Some(loss) => Err(DowngradeError::new(revision, loss.pointer, loss.reason)),
    }
}

/// X-B-11, X-C-15: the pages' word for `helm`, in every profile.
pub(crate) fn settle_types(description: &mut Value) {
    for profile in profiles(description) {
        if let Some(profile_type) = profile.get_mut("type")
            && *profile_type == "helm.v3"
        {
            *profile_type = "helm".into();
        }
    }
}

/// The untyped profiles of a description.
pub(crate) fn profiles(description: &mut Value) -> impl Iterator<Item = &mut Value> {
    description.get_mut("deploymentProfiles").and_then(Value::as_array_mut).into_iter().flatten()
}

/// The faults of profiles whose types their revision does not know.
pub(crate) fn unknown_types<'a>(types: impl IntoIterator<Item = (bool, &'a str)>) -> Vec<Fault> {
    let numbered = types.into_iter().enumerate().filter(|(_, (is_known, _))| !is_known);
    numbered
        .map(|(index, (_, text))| {
            let at = pointer!["deploymentProfiles", index, "type"];
            Fault::new(at, format!("`{text}` is not a type of profile"))
        })
        .collect()
}

/// The faults of profiles whose ids are not their own.
pub(crate) fn repeated_ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<Fault> {
    let mut known = BTreeSet::new();
    let numbered = ids.into_iter().enumerate().filter(|(_, id)| !known.insert(*id));
    numbered
        .map(|(index, id)| {
            Fault::new(pointer!["deploymentProfiles", index, "id"], format!("another profile is `{id}`"))
        })
        .collect()
}

/// The first profile that has no component (X-A-28).
pub(crate) fn check_components(components: &[Component], at: &Pointer) -> Result<(), Fault> {
    if components.is_empty() {
        return Err(Fault::new(at.join("components"), "expected at least one component"));
    }
    Ok(())
}
