//! What documents say about each other: rules over the documents of one group.

use std::collections::{BTreeMap, BTreeSet};

use margo_application::{AnyApplicationDescription, ApplicationDescription, FaultKind, check_values};
use margo_core::{ComponentName, DeviceId, Digest, SpecVersion};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, BundleError, BundleLimits, Component,
    DesiredStateManifest, EntryProblem,
};
use margo_placement::{Criterion, Outcome};
use margo_syntax::{Pointer, pointer};

use super::deployment::name_one_of;
use super::rules;
use super::words::clip;
use crate::document::{Value, Written};
use crate::reporter::Place;
use crate::{Change, Clause, Diagnostic, DocumentKind, Finding, Inspected, Reporter, RuleInfo};

rules! {
    UNKNOWN_PARAMETER = "unknown-parameter", "a deployment sets parameters its application has",
        Clause::must("desired-state#parameter-attributes");
    VALUE_AGAINST_ITS_SCHEMA = "value-against-its-schema", "a deployment sets values its application accepts",
        Clause::must("application-description#schema-attributes");
    COMPONENT_NOT_DESCRIBED = "component-not-described", "a deployment installs components its application has",
        Clause::must("desired-state#deploymentprofile-attributes");
    CONSTRAINTS_NOT_COPIED = "constraints-not-copied", "a deployment carries the device constraints of its profile unchanged",
        Clause::must("desired-state#deploymentprofile-attributes");
    DEVICE_CANNOT_HOST = "device-cannot-host", "a deployment is for a device that can host it",
        Clause::must("application-description#deviceconstraints");
    DEVICE_DOES_NOT_TELL = "device-does-not-tell", "a device tells what its deployments ask for",
        Clause::should("device-capabilities");
    STATUS_OF_ANOTHER_DEVICE = "status-of-another-device", "a status is that of the device its deployment is for",
        Clause::must("deployment-status#status-attributes");
    COMPONENT_NOT_DEPLOYED = "component-not-deployed", "a status reports components of its deployment",
        Clause::must("deployment-status#status-attributes");
    COMPONENT_NOT_REPORTED = "component-not-reported", "a status reports every component of its deployment",
        Clause::should("deployment-status#status-attributes");
    DIGEST_OF_OTHER_BYTES = "digest-of-other-bytes", "digests are those of the exact bytes",
        Clause::must("desired-state#digest");
    SIZE_OF_OTHER_BYTES = "size-of-other-bytes", "sizes are those of the exact bytes",
        Clause::should("desired-state#state-manifest");
    UNLISTED_DEPLOYMENT = "unlisted-deployment", "the manifest lists every deployment beside it",
        Clause::should("desired-state#state-manifest");
    UNUSABLE_BUNDLE = "unusable-bundle", "a bundle is a gzipped tar archive of plain files at its root",
        Clause::must("desired-state#bundle");
    BUNDLE_DIFFERS = "bundle-differs-from-manifest", "a bundle holds exactly the documents its manifest lists",
        Clause::must("desired-state#bundle");
    MANIFEST_VERSION_NOT_INCREASING = "manifest-version-not-increasing", "every manifest of a client has a greater version than the one before",
        Clause::must("desired-state#state-manifest");
    MISSING_GATEWAY = "missing-gateway", "the gateway in front of a device is reported too",
        Clause::must("device-id");
}

/// What is wrong between the documents of each group. `inspected` is in the order of the sources.
pub(crate) fn between(inspected: &[Inspected]) -> Vec<Diagnostic> {
    let mut groups: BTreeMap<&str, Vec<&Written>> = BTreeMap::new();
    for inspected in inspected {
        let group = groups.entry(inspected.source.group()).or_default();
        group.extend(&inspected.written);
    }
    let mut found = Vec::new();
    for written in groups.values() {
        let group = Group::of(written, inspected);
        group.deployments_and_descriptions(&mut found);
        group.deployments_and_devices(&mut found);
        group.statuses_and_deployments(&mut found);
        group.manifests_and_deployments(&mut found);
        group.bundles(&mut found);
        group.manifests_in_order(&mut found);
        group.devices_and_gateways(&mut found);
    }
    found
}

/// The documents that belong together, by kind. Only those that mean something.
#[derive(Default)]
struct Group<'a> {
    deployments: Vec<(&'a Written, &'a AnyApplicationDeployment)>,
    descriptions: Vec<(&'a Written, &'a AnyApplicationDescription)>,
    devices: Vec<(&'a Written, &'a margo_capability::AnyDeviceCapabilities)>,
    statuses: Vec<(&'a Written, &'a margo_status::AnyDeploymentStatus)>,
    /// In the order of their names.
    manifests: Vec<(&'a Written, &'a DesiredStateManifest)>,
    bundles: Vec<&'a Written>,
}

impl<'a> Group<'a> {
    fn of(documents: &[&'a Written], inspected: &[Inspected]) -> Self {
        let mut group = Self::default();
        for written in documents {
            match &written.value {
                Some(Value::ApplicationDeployment(value)) => group.deployments.push((written, value)),
                Some(Value::ApplicationDescription(value)) => group.descriptions.push((written, value)),
                Some(Value::DesiredStateManifest(value)) => group.manifests.push((written, value)),
                Some(Value::DeploymentStatus(value)) => group.statuses.push((written, value)),
                Some(Value::DeviceCapabilities(value)) => group.devices.push((written, value)),
                None if written.kind == DocumentKind::Bundle => group.bundles.push(written),
                None => {}
            }
        }
        let name = |written: &Written| {
            let at = inspected.binary_search_by_key(&written.source, |inspected| inspected.index);
            natural(at.map_or("", |at| inspected[at].source.name()))
        };
        group.manifests.sort_by_cached_key(|(written, _)| (name(written), written.index));
        group
    }

    /// Parameters, values and components (R-A-040).
    fn deployments_and_descriptions(&self, found: &mut Vec<Diagnostic>) {
        if self.descriptions.is_empty() {
            return;
        }
        let mut newest: BTreeMap<&str, (&Written, ApplicationDescription)> = BTreeMap::new();
        for (written, description) in &self.descriptions {
            let value = AnyApplicationDescription::clone(description).upgrade().value;
            newest.insert(description.id().as_str(), (written, value));
        }
        for (written, deployment) in &self.deployments {
            let Some((described, description)) = newest.get(deployment.application_id().as_str()) else {
                continue;
            };
            let places = [place(written), place(described)];
            let deployment = upgraded(deployment);
            values(&deployment, description, &places, found);
            constraints(&deployment, description, &places, found);
            components(written, described, &places, found);
        }
    }

    /// Placement, with its reasons (R-D-021, R-D-023, R-D-027).
    fn deployments_and_devices(&self, found: &mut Vec<Diagnostic>) {
        if self.devices.is_empty() {
            return;
        }
        let only = match (self.devices.as_slice(), self.deployments.as_slice()) {
            ([only], [_]) => Some(only.1.device_id()),
            _ => None,
        };
        let devices: BTreeMap<&DeviceId, _> =
            self.devices.iter().map(|(written, device)| (device.device_id(), (written, device))).collect();
        for (written, deployment) in &self.deployments {
            let deployment = upgraded(deployment);
            let target = &deployment.metadata.device_id;
            let names_its_device = written.revision >= SpecVersion::V1_0_0Rc2;
            let device = match only {
                Some(only) if !names_its_device => only.clone(),
                _ if names_its_device && !target.is_any_behind() => target.device(),
                _ => continue,
            };
            let Some((offered, device)) = devices.get(&device) else { continue };
            let newest = margo_capability::AnyDeviceCapabilities::clone(device).upgrade().value;
            placement(&deployment, &newest, &[place(written), place(offered)], found);
        }
    }

    /// Components that are reported and not deployed, and the other way around (R-B-040).
    fn statuses_and_deployments(&self, found: &mut Vec<Diagnostic>) {
        for (written, status) in &self.statuses {
            let is_meant = |deployment: &AnyApplicationDeployment| deployment.id() == status.deployment_id();
            let Some((deployed, deployment)) =
                self.deployments.iter().find(|(_, deployment)| is_meant(deployment))
            else {
                continue;
            };
            let places = [place(written), place(deployed)];
            another_device(status, deployment, &places, found);
            let list = pointer!["spec", "deploymentProfile", "components"];
            let declared: BTreeSet<_> = names(deployed, &list).into_iter().collect();
            let reported = names(written, &pointer!["components"]);
            for (index, name) in reported.iter().enumerate() {
                if !declared.contains(name) {
                    let at = pointer!["components", index, "name"];
                    let message = format!("the deployment has no component `{}`", clip(name));
                    let finding = Finding::new(at, message)
                        .related_in(1, list.clone(), "components are deployed here")
                        .help(name_one_of(name, declared.iter().copied()));
                    Reporter::new(&COMPONENT_NOT_DEPLOYED, &places, found).report(finding);
                }
            }
            let missing: Vec<_> = declared.iter().filter(|name| !reported.contains(name)).copied().collect();
            // A name that is misspelt is not missing too.
            let are_known = reported.iter().all(|name| declared.contains(name));
            if !missing.is_empty() && !reported.is_empty() && are_known {
                let first = missing.first().map_or_else(String::new, |name| clip(name));
                let names = super::words::one_of(missing).replace(" or ", " and ");
                let finding =
                    Finding::new(pointer!["components"], format!("nothing is reported of {}", clip(&names)))
                        .related_in(1, list, "components are deployed here")
                        .help(format!(
                            "report every component of the deployment: add an entry with the name `{first}` and its `state`"
                        ));
                Reporter::new(&COMPONENT_NOT_REPORTED, &places, found).report(finding);
            }
        }
    }

    /// Digests and sizes of the documents a manifest lists (R-B-024, R-B-025, R-B-038).
    fn manifests_and_deployments(&self, found: &mut Vec<Diagnostic>) {
        // Documents beside several manifests are those of the newest.
        let Some((written, manifest)) =
            self.manifests.iter().max_by_key(|(_, manifest)| manifest.manifest_version)
        else {
            return;
        };
        for (document, deployment) in &self.deployments {
            let Some(bytes) = &document.bytes else { continue };
            let id = deployment.id();
            let listed = manifest.deployments.iter().position(|listed| listed.deployment_id == *id);
            let Some(index) = listed else {
                let at = Pointer::root();
                let finding =
                    Finding::new(at, format!("the manifest beside this deployment does not list `{id}`"))
                        .related_in(1, pointer!["deployments"], "deployments are listed here")
                        .help("list it, or remove it from this folder");
                let places = [place(document), place(written)];
                Reporter::new(&UNLISTED_DEPLOYMENT, &places, found).report(finding);
                continue;
            };
            let reference = &manifest.deployments[index];
            let at = pointer!["deployments", index];
            let places = [place(written), place(document)];
            let what = format!("deployment `{id}`");
            same_bytes(bytes, reference.digest, reference.size_bytes, &at, &what, &places, found);
        }
    }

    /// The archive against its manifest (R-B-022, R-B-023).
    fn bundles(&self, found: &mut Vec<Diagnostic>) {
        let newest = self.manifests.iter().max_by_key(|(_, manifest)| manifest.manifest_version);
        for archive in &self.bundles {
            let Some(bytes) = &archive.bytes else { continue };
            let limits = BundleLimits::default();
            let entries = match margo_deployment::read_bundle(bytes, &limits) {
                Ok(entries) => entries,
                Err(error) => {
                    let message = chain(&error);
                    let finding = Finding::new(Pointer::root(), message)
                        .help("pack the documents with gzip over tar, each a plain file at the root");
                    Reporter::new(&UNUSABLE_BUNDLE, &[place(archive)], found).report(finding);
                    continue;
                }
            };
            let Some((written, manifest)) = newest else { continue };
            let Some(reference) = &manifest.bundle else { continue };
            let places = [place(written), place(archive)];
            let at = pointer!["bundle"];
            same_bytes(bytes, reference.digest, reference.size_bytes, &at, "the bundle", &places, found);
            if let Err(error) = margo_deployment::verify_bundle(entries, manifest) {
                let message = match &error {
                    BundleError::Entry { name, problem: EntryProblem::Unreferenced { digest } } => format!(
                        "the bundle holds `{}`, and the manifest lists no deployment of its digest, {digest}",
                        clip(name)
                    ),
                    error => chain(error),
                };
                let finding = Finding::new(pointer!["deployments"], message).help(
                    "pack exactly the documents that the manifest lists, with the bytes its digests name",
                );
                Reporter::new(&BUNDLE_DIFFERS, &places, found).report(finding);
            }
        }
    }

    /// Versions of the manifests, in the order of their names (R-B-020, R-B-030).
    fn manifests_in_order(&self, found: &mut Vec<Diagnostic>) {
        for pair in self.manifests.windows(2) {
            let [(earlier, before), (later, after)] = pair else { continue };
            let is_copy = earlier.bytes.is_some() && earlier.bytes == later.bytes;
            if after.manifest_version > before.manifest_version || is_copy {
                continue;
            }
            let message = format!(
                "version {} follows version {}, and a client refuses to go back",
                after.manifest_version, before.manifest_version
            );
            let finding = Finding::new(pointer!["manifestVersion"], message)
                .related_in(1, pointer!["manifestVersion"], "the manifest before this one")
                .help(format!("write a version above {}", before.manifest_version));
            let places = [place(later), place(earlier)];
            Reporter::new(&MANIFEST_VERSION_NOT_INCREASING, &places, found).report(finding);
        }
    }

    /// Devices behind gateways that nobody reported (R-C-003, R-D-020).
    fn devices_and_gateways(&self, found: &mut Vec<Diagnostic>) {
        if self.devices.len() < 2 {
            return;
        }
        let reported: BTreeSet<&DeviceId> =
            self.devices.iter().map(|(_, device)| device.device_id()).collect();
        for (written, device) in &self.devices {
            let Some(gateway) = device.device_id().gateway().filter(|gateway| !reported.contains(gateway))
            else {
                continue;
            };
            let message = format!("no capabilities of the gateway `{gateway}` are here");
            let finding = Finding::new(pointer!["properties", "id"], message)
                .help("report the gateway first: a manager answers `gateway-not-found` otherwise");
            Reporter::new(&MISSING_GATEWAY, &[place(written)], found).report(finding);
        }
    }
}

fn place(written: &Written) -> Place<'_> {
    Place { source: written.source, document: written.index, tree: written.tree.as_ref() }
}

/// The deployment in the newest revision. Where the revision does not name the device, nothing is asked of it.
fn upgraded(deployment: &AnyApplicationDeployment) -> ApplicationDeployment {
    let nobody = margo_core::DeviceTarget::from(unnamed());
    deployment.clone().upgrade(&nobody).value
}

fn unnamed() -> DeviceId {
    "unnamed".parse().unwrap_or_else(|_| unreachable!("it is a device id"))
}

fn names<'a>(written: &'a Written, list: &Pointer) -> Vec<&'a str> {
    let items = written.at(list).into_iter().flat_map(|list| list.children());
    items.filter_map(|item| item.get("name")?.literal()).collect()
}

fn values(
    deployment: &ApplicationDeployment,
    description: &ApplicationDescription,
    places: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let given =
        deployment.spec.parameters.iter().map(|(name, parameter)| (name.clone(), parameter.value.clone()));
    let components = &deployment.spec.deployment_profile.components;
    let Err(faults) = check_values(description, components, &given.collect(), None) else { return };
    for fault in &faults {
        let at = pointer!["spec", "parameters", fault.parameter];
        let (rule, finding): (&'static RuleInfo, _) = match fault.kind {
            FaultKind::UnknownParameter => {
                let known = description.parameters.keys().map(String::as_str);
                let message = format!("the application has no parameter `{}`", clip(&fault.parameter));
                let finding = Finding::of_key(at, message).help(name_one_of(&fault.parameter, known));
                (
                    &UNKNOWN_PARAMETER,
                    finding.related_in(1, pointer!["parameters"], "parameters are declared here"),
                )
            }
            FaultKind::Missing => {
                let finding = Finding::new(pointer!["spec", "parameters"], &fault.message)
                    .help("set it: the application has no default for it");
                (&VALUE_AGAINST_ITS_SCHEMA, finding)
            }
            _ => {
                let finding =
                    Finding::new(at.with("value"), &fault.message).help("write a value the schema accepts");
                (&VALUE_AGAINST_ITS_SCHEMA, finding)
            }
        };
        let schema = fault.schema.as_ref().and_then(|name| {
            let schemas = description.configuration.as_ref()?.schema.iter();
            schemas.enumerate().find(|(_, schema)| schema.name == *name).map(|(index, _)| index)
        });
        let finding = match schema {
            Some(index) => {
                finding.related_in(1, pointer!["configuration", "schema", index, "name"], "the schema")
            }
            None => finding,
        };
        Reporter::new(rule, places, found).report(finding);
    }
}

fn components(deployed: &Written, described: &Written, places: &[Place<'_>], found: &mut Vec<Diagnostic>) {
    let profiles = pointer!["deploymentProfiles"];
    let lists = described.at(&profiles).into_iter().flat_map(|list| list.children());
    let known: BTreeSet<&str> = lists
        .filter_map(|profile| profile.get("components"))
        .flat_map(|list| list.children())
        .filter_map(|component| component.get("name")?.literal())
        .collect();
    let list = pointer!["spec", "deploymentProfile", "components"];
    for (index, name) in names(deployed, &list).into_iter().enumerate() {
        if known.contains(name) {
            continue;
        }
        let finding = Finding::new(
            list.join(index).with("name"),
            format!("the application has no component `{}`", clip(name)),
        )
        .related_in(1, profiles.clone(), "components are described here")
        .help(name_one_of(name, known.iter().copied()));
        Reporter::new(&COMPONENT_NOT_DESCRIBED, places, found).report(finding);
    }
}

/// Constraints of the profile that the deployment was made from (R-D-029): the one with its type and its components.
fn constraints(
    deployment: &ApplicationDeployment,
    description: &ApplicationDescription,
    places: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let profile = &deployment.spec.deployment_profile;
    let names = |components: &[Component]| -> Vec<ComponentName> {
        components.iter().map(|component| component.name.clone()).collect()
    };
    let mut candidates = description.deployment_profiles.iter().enumerate().filter(|(_, described)| {
        described.profile_type == profile.profile_type
            && names(&described.components) == names(&profile.components)
    });
    let (Some((index, described)), None) = (candidates.next(), candidates.next()) else { return };
    if described.device_constraints == profile.device_constraints {
        return;
    }
    let json = |constraints| serde_json::to_value(constraints).unwrap_or_default();
    let (asked, copied) = (json(&described.device_constraints), json(&profile.device_constraints));
    let differs = difference(&asked, &copied);
    let at = below(pointer!["spec", "deploymentProfile", "deviceConstraints"], &differs);
    let there = below(pointer!["deploymentProfiles", index, "deviceConstraints"], &differs);
    let message = match &at {
        at if differs.is_root() => format!("{} is not that of the application", super::words::place(at)),
        at => format!("{} is not what the application asks for", super::words::place(at)),
    };
    let finding = Finding::new(at, message)
        .related_in(1, there, "the application asks for this")
        .help("copy `deviceConstraints` from the profile of the description, unchanged");
    Reporter::new(&CONSTRAINTS_NOT_COPIED, places, found).report(finding);
}

/// The place `inside` what is at `at`.
fn below(at: Pointer, inside: &Pointer) -> Pointer {
    inside.segments().fold(at, Pointer::with)
}

/// The first place at which two values differ.
fn difference(a: &serde_json::Value, b: &serde_json::Value) -> Pointer {
    use serde_json::Value::{Array, Object};

    let inner: Vec<(String, Option<_>, Option<_>)> = match (a, b) {
        (Object(a), Object(b)) => {
            let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            names.into_iter().map(|name| (name.clone(), a.get(name), b.get(name))).collect()
        }
        (Array(a), Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().map(|(index, (a, b))| (index.to_string(), Some(a), Some(b))).collect()
        }
        _ => return Pointer::root(),
    };
    match inner.into_iter().find(|(_, a, b)| a != b) {
        Some((name, Some(a), Some(b))) => below(pointer![name], &difference(a, b)),
        Some((name, ..)) => pointer![name],
        None => Pointer::root(),
    }
}

/// A device that the deployment is not for (R-B-040, R-C-008).
fn another_device(
    status: &margo_status::AnyDeploymentStatus,
    deployment: &AnyApplicationDeployment,
    places: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let Some(device) = status.device_id() else { return };
    if deployment.revision() < SpecVersion::V1_0_0Rc2 {
        return;
    }
    let target = upgraded(deployment).metadata.device_id;
    let meant = target.device();
    // A gateway that chooses answers for itself until it has chosen.
    let mut gateways = std::iter::successors(device.gateway(), DeviceId::gateway);
    let is_meant = *device == meant || (target.is_any_behind() && gateways.any(|gateway| gateway == meant));
    if !is_meant {
        let finding = Finding::new(
            pointer!["deviceId"],
            format!("the deployment is for `{target}`, and not for `{device}`"),
        )
        .related_in(1, pointer!["metadata", "deviceId"], "the device it is for")
        .help("report the device the deployment names, or the right deployment");
        Reporter::new(&STATUS_OF_ANOTHER_DEVICE, places, found).report(finding);
    }
}

fn placement(
    deployment: &ApplicationDeployment,
    device: &margo_capability::DeviceCapabilitiesManifest,
    places: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let placement = margo_placement::evaluate(&deployment.spec.deployment_profile, device);
    let placement = placement.within("/spec/deploymentProfile");
    let id = &device.properties.id;
    for reason in placement.reasons() {
        let rule = match reason.outcome {
            Outcome::Unmet if reason.criterion.decides() => &DEVICE_CANNOT_HOST,
            Outcome::Unknown if reason.criterion.decides() => &DEVICE_DOES_NOT_TELL,
            _ => continue,
        };
        let at: Pointer = reason.asked.parse().unwrap_or_default();
        let offered: Pointer = reason.offered.parse().unwrap_or_default();
        let mut finding = Finding::new(at, format!("device `{id}`: {reason}"));
        let help = match reason.outcome {
            Outcome::Unmet => "choose another device or profile, or ask for less",
            _ => "have the device tell it, or ask for nothing it does not tell",
        };
        finding = finding.help(help);
        finding = finding.related_in(1, offered, "what the device offers");
        if reason.criterion == Criterion::Eligibility {
            let expressions = placement.reasons().iter().filter(|other| {
                matches!(other.criterion, Criterion::Expression { .. }) && other.outcome == Outcome::Unmet
            });
            for expression in expressions {
                finding = finding.related(expression.asked.parse().unwrap_or_default(), expression);
            }
        }
        Reporter::new(rule, places, found).report(finding);
    }
}

/// Whether `bytes` are what a manifest says of them at `at`.
fn same_bytes(
    bytes: &[u8],
    digest: Digest,
    size: Option<u64>,
    at: &Pointer,
    what: &str,
    places: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let actual = Digest::of(bytes);
    if actual != digest {
        let finding =
            Finding::new(at.join("digest"), format!("{what} has other bytes than this digest names"))
                .related_in(1, Pointer::root(), format!("its digest is {actual}"))
                .help("write the digest of the bytes as they are served, or serve the bytes it names");
        Reporter::new(&DIGEST_OF_OTHER_BYTES, places, found).report(finding);
        return;
    }
    if let Some(size) = size.filter(|size| *size != bytes.len() as u64) {
        let actual = bytes.len();
        let message = format!("{what} has {actual} bytes, and not {size}");
        let finding = Finding::new(at.join("sizeBytes"), message)
            .help(format!("write `{actual}`"))
            .fix(format!("write `{actual}`"), [Change::Value(at.join("sizeBytes"), actual.into())]);
        Reporter::new(&SIZE_OF_OTHER_BYTES, places, found).report(finding);
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    clip_line(&message)
}

fn clip_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(300).collect()
}

/// A name in the order in which people count: `manifest-2` before `manifest-10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let (word, digits) = rest.split_at(text);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = digits.split_at(count);
        parts.push((word.to_owned(), number.parse().unwrap_or(u64::MAX)));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_in_which_people_count() {
        let mut names = ["manifest-10.json", "manifest-2.json", "a.json", "manifest-2b.json"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a.json", "manifest-2.json", "manifest-2b.json", "manifest-10.json"]);
    }
}
