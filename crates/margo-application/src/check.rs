use std::collections::{BTreeMap, BTreeSet};

use margo_deployment::{Component, ProfileType};
use margo_syntax::{Fault, Pointer, pointer};

use crate::{ApplicationDescription, Configuration, DescriptionProfile, Schema};

/// Finds what does not fit together in a description; a manager accepts none with faults.
///
/// - There is at least one profile, and no two have the same id.
/// - Every profile has components (X-A-28), each with a name of its own.
/// - A `custom` profile selects devices by label (R-D-031).
/// - Targets name components of some profile (R-A-042).
/// - Settings name parameters and schemas that exist; no two schemas have the same name.
/// - Every schema can be followed: a known data type, a pattern that can be used, options of the data type,
///   bounds in their order.
/// - Every default is a valid value.
///
/// The pointers are places in the description as 1.0.0-rc.3 writes it.
///
/// ```
/// use margo_application::{AnyApplicationDescription, check_description};
/// use margo_syntax::Limits;
///
/// let text = "
/// apiVersion: v1
/// id: pump-monitor
/// metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }
/// deploymentProfiles:
///   - type: helm
///     id: cluster
///     components:
///       - name: collector
///         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
/// parameters:
///   interval: { value: 60, targets: [{ pointer: interval, components: [colector] }] }
/// ";
/// let description = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default())?.upgrade().value;
/// let faults = check_description(&description);
/// assert_eq!(
///     faults[0].to_string(),
///     "/parameters/interval/targets/0/components/0: no component is named `colector`"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn check_description(description: &ApplicationDescription) -> Vec<Fault> {
    let mut faults = Faults(Vec::new());
    check_profiles(&description.deployment_profiles, &mut faults);
    check_targets(description, &mut faults);
    if let Some(configuration) = &description.configuration {
        check_configuration(description, configuration, &mut faults);
    }
    check_defaults(description, &mut faults);
    faults.0
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, at: Pointer, message: impl Into<String>) {
        self.0.push(Fault::new(at, message));
    }
}

fn check_profiles(profiles: &[DescriptionProfile], faults: &mut Faults) {
    if profiles.is_empty() {
        faults.add(pointer!["deploymentProfiles"], "expected at least one profile");
    }
    let mut ids = BTreeSet::new();
    for (index, profile) in profiles.iter().enumerate() {
        let at = pointer!["deploymentProfiles", index];
        if !ids.insert(&profile.id) {
            faults.add(at.join("id"), format!("another profile is `{}`", profile.id));
        }
        check_components(&profile.components, &at.join("components"), faults);
        if profile.profile_type == ProfileType::Custom && !selects_by_label(profile) {
            let message = "a `custom` profile needs an eligibility rule with a label selector";
            faults.add(at.join("deviceConstraints"), message);
        }
    }
}

fn check_components(components: &[Component], at: &Pointer, faults: &mut Faults) {
    if components.is_empty() {
        faults.add(at.clone(), "expected at least one component");
    }
    let mut names = BTreeSet::new();
    for (index, component) in components.iter().enumerate() {
        if !names.insert(&component.name) {
            let message = format!("another component is named `{}`", component.name);
            faults.add(at.join(index).with("name"), message);
        }
    }
}

fn selects_by_label(profile: &DescriptionProfile) -> bool {
    let rules = profile.device_constraints.iter().flat_map(|constraints| &constraints.eligibility_rules);
    rules.flatten().any(|rule| rule.label_selector.is_some())
}

fn check_targets(description: &ApplicationDescription, faults: &mut Faults) {
    let components = description.deployment_profiles.iter().flat_map(|profile| &profile.components);
    let known: BTreeSet<_> = components.map(|component| &component.name).collect();
    for (name, parameter) in &description.parameters {
        for (t, target) in parameter.targets.iter().enumerate() {
            for (c, component) in target.components.iter().enumerate() {
                if !known.contains(component) {
                    let at = pointer!["parameters", name, "targets", t, "components", c];
                    faults.add(at, format!("no component is named `{component}`"));
                }
            }
        }
    }
}

fn check_configuration(
    description: &ApplicationDescription,
    configuration: &Configuration,
    faults: &mut Faults,
) {
    let at = pointer!["configuration"];
    let known: BTreeSet<_> = configuration.schema.iter().map(|schema| schema.name.as_str()).collect();
    for (s, section) in configuration.sections.iter().enumerate() {
        for (i, setting) in section.settings.iter().enumerate() {
            let at = at.join("sections").with(s).with("settings").with(i);
            if !description.parameters.contains_key(&setting.parameter) {
                let message = format!("no parameter is named `{}`", setting.parameter);
                faults.add(at.join("parameter"), message);
            }
            if !known.contains(setting.schema.as_str()) {
                faults.add(at.join("schema"), format!("no schema is named `{}`", setting.schema));
            }
        }
    }
    let mut names = BTreeSet::new();
    for (index, schema) in configuration.schema.iter().enumerate() {
        let at = at.join("schema").with(index);
        if !names.insert(&schema.name) {
            faults.add(at.join("name"), format!("another schema is named `{}`", schema.name));
        }
        for (member, message) in schema.defects() {
            faults.add(at.join(member), message);
        }
    }
}

fn check_defaults(description: &ApplicationDescription, faults: &mut Faults) {
    let Some(configuration) = &description.configuration else { return };
    // The first of several schemas with one name is the one that is meant.
    let schemas: BTreeMap<_, _> =
        configuration.schema.iter().rev().map(|schema| (schema.name.as_str(), schema)).collect();
    let mut shown: BTreeMap<&str, Vec<&Schema>> = BTreeMap::new();
    for setting in configuration.sections.iter().flat_map(|section| &section.settings) {
        let schema = schemas.get(setting.schema.as_str());
        shown.entry(&setting.parameter).or_default().extend(schema);
    }
    for (name, parameter) in &description.parameters {
        let Some(default) = &parameter.value else { continue };
        for schema in shown.get(name.as_str()).into_iter().flatten() {
            for violation in schema.apply(default).err().unwrap_or_default() {
                let message = format!("the default {}", violation.message);
                faults.add(pointer!["parameters", name, "value"], message);
            }
        }
    }
}
