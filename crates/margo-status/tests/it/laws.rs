//! Laws over whole documents.

use margo_core::{
    ComponentName, DeploymentId, DeviceId, Extensions, ManifestVersion, SpecVersion, Strictness,
};
use margo_status::{
    AnyDeploymentStatus, ComponentStatus, DeploymentState, DeploymentStatusManifest, ErrorReport,
};
use margo_status::{pre_draft, rc1, rc2};
use margo_syntax::Limits;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::conversion;

fn deployment_id() -> impl Strategy<Value = DeploymentId> {
    "[a-z0-9][a-z0-9._~-]{0,8}".prop_map(|text| text.parse().unwrap())
}

fn device_id() -> impl Strategy<Value = DeviceId> {
    "[a-z0-9]{1,5}(/[A-Za-z0-9_~-]{1,5}){0,2}".prop_map(|text| text.parse().unwrap())
}

fn component_name() -> impl Strategy<Value = ComponentName> {
    "[a-z0-9-]{1,5}".prop_map(|text| text.parse().unwrap())
}

fn version() -> impl Strategy<Value = ManifestVersion> {
    (1..=u64::MAX).prop_map(|number| ManifestVersion::new(number).unwrap())
}

/// Members of other places and revisions, and others that no revision names.
fn strays() -> impl Strategy<Value = Extensions> {
    let names =
        ["deviceId", "adoptedManifestVersion", "apiVersion", "kind", "source", "note", "x-acme-extensions"];
    let value = prop_oneof![Just(json!({})), Just(json!("a")), Just(json!(7))];
    btree_map(select(names.to_vec()), value, 0..3)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let members = btree_map("(x-[a-z]{1,4}-extensions|note)", any::<u64>(), 0..3);
    members.prop_map(|members| members.into_iter().map(|(name, n)| (name, json!({"n": n}))).collect())
}

fn state() -> impl Strategy<Value = DeploymentState> {
    select(DeploymentState::KNOWN).prop_map(|state| state)
}

/// Errors that say something.
fn error() -> impl Strategy<Value = ErrorReport> {
    (".{0,5}", ".{0,5}", ".{1,5}", extensions()).prop_map(|(code, source, message, extensions)| {
        let mut error = ErrorReport::new(code, source, message);
        error.extensions = extensions;
        error
    })
}

fn component() -> impl Strategy<Value = ComponentStatus> {
    (component_name(), state(), option::of(error()), extensions()).prop_map(
        |(name, state, error, extensions)| {
            let mut component = ComponentStatus::new(name, state);
            (component.error, component.extensions) = (error, extensions);
            component
        },
    )
}

prop_compose! {
    /// As a device makes it.
    fn newer()(
        id in deployment_id(),
        adopted in version(),
        components in vec(component(), 0..4),
        device in option::of(device_id()),
        name in ".{0,5}",
        extensions in extensions(),
    ) -> DeploymentStatusManifest {
        let mut status = DeploymentStatusManifest::of(id, adopted, components).with_name(&name);
        (status.device_id, status.extensions) = (device, extensions);
        status
    }
}

fn older_state() -> impl Strategy<Value = pre_draft::DeploymentState> {
    let others = ["paused"].map(pre_draft::DeploymentState::from);
    select(pre_draft::DeploymentState::KNOWN.iter().cloned().chain(others).collect::<Vec<_>>())
}

fn older_error() -> impl Strategy<Value = pre_draft::ErrorReport> {
    (".{0,5}", ".{1,5}", extensions()).prop_map(|(code, message, extensions)| {
        let mut error = pre_draft::ErrorReport::new(code, message);
        error.extensions = extensions;
        error
    })
}

prop_compose! {
    fn older_component()(
        name in component_name(),
        state in older_state(),
        error in option::of(older_error()),
        extensions in extensions(),
    ) -> pre_draft::ComponentStatus {
        let mut component = pre_draft::ComponentStatus::new(name, state);
        (component.error, component.extensions) = (error, extensions);
        component
    }
}

prop_compose! {
    fn older()(
        id in deployment_id(),
        state in older_state(),
        error in option::of(older_error()),
        components in vec(older_component(), 0..4),
        extensions in (extensions(), extensions()),
    ) -> pre_draft::DeploymentStatus {
        let mut status = pre_draft::Status::new(state);
        (status.error, status.extensions) = (error, extensions.0);
        let mut status = pre_draft::DeploymentStatus::new(id, status, components);
        status.extensions = extensions.1;
        status
    }
}

fn second_state() -> impl Strategy<Value = rc1::DeploymentState> {
    let others = ["paused"].map(rc1::DeploymentState::from);
    select(rc1::DeploymentState::KNOWN.iter().cloned().chain(others).collect::<Vec<_>>())
}

prop_compose! {
    fn first_component()(
        name in component_name(),
        state in second_state(),
        error in option::of((".{0,5}", ".{1,5}", extensions())),
        extensions in extensions(),
    ) -> rc1::ComponentStatus {
        let mut component = rc1::ComponentStatus::new(name, state);
        component.error = error.map(|(code, message, extensions)| {
            let mut error = rc1::ErrorReport::new(code, message);
            error.extensions = extensions;
            error
        });
        component.extensions = extensions;
        component
    }
}

prop_compose! {
    fn first()(
        id in deployment_id(),
        state in second_state(),
        components in vec(first_component(), 0..4),
        extensions in (extensions(), extensions()),
    ) -> rc1::DeploymentStatusManifest {
        let mut status = rc1::OverallStatus::new(state);
        status.error = components.iter().find_map(|component| component.error.clone());
        status.extensions = extensions.0;
        let mut status = rc1::DeploymentStatusManifest::new(id, status, components);
        status.extensions = extensions.1;
        status
    }
}

prop_compose! {
    fn second_component()(
        name in component_name(),
        state in second_state(),
        error in option::of((".{0,5}", ".{0,5}", ".{1,5}", extensions())),
        extensions in extensions(),
    ) -> rc2::ComponentStatus {
        let mut component = rc2::ComponentStatus::new(name, state);
        component.error = error.map(|(code, source, message, extensions)| {
            let mut error = rc2::ErrorReport::new(code, source, message);
            error.extensions = extensions;
            error
        });
        component.extensions = extensions;
        component
    }
}

prop_compose! {
    fn second()(
        id in deployment_id(),
        device in option::of(device_id()),
        state in second_state(),
        components in vec(second_component(), 0..4),
        extensions in (extensions(), extensions()),
    ) -> rc2::DeploymentStatusManifest {
        let mut status = rc2::OverallStatus::new(state);
        status.error = components.iter().find_map(|component| component.error.clone());
        status.extensions = extensions.0;
        let mut status = rc2::DeploymentStatusManifest::new(id, status, components);
        (status.device_id, status.extensions) = (device, extensions.1);
        status
    }
}

/// A status of any revision.
fn any_status() -> impl Strategy<Value = AnyDeploymentStatus> {
    prop_oneof![
        newer().prop_map(AnyDeploymentStatus::Rc3),
        second().prop_map(AnyDeploymentStatus::Rc2),
        first().prop_map(AnyDeploymentStatus::Rc1),
        older().prop_map(AnyDeploymentStatus::PreDraft),
    ]
}

/// A status of any revision with members of another in it.
fn strange_status() -> impl Strategy<Value = AnyDeploymentStatus> {
    (any_status(), strays(), strays()).prop_filter_map(
        "a member that has a meaning",
        |(status, root, error)| {
            let mut tree: Value = serde_json::from_slice(&status.to_json()).unwrap();
            for (place, strays) in [("", root), ("/status/error", error)] {
                let Some(members) = tree.pointer_mut(place).and_then(Value::as_object_mut) else { continue };
                for (name, value) in &strays {
                    members.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            AnyDeploymentStatus::of_revision(&tree, status.revision()).ok()
        },
    )
}

/// Every place in a tree, as a JSON Pointer, the root first. The names used here need no escapes.
fn places(value: &Value) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        _ => Vec::new(),
    };
    let below = below
        .into_iter()
        .flat_map(|(name, value)| places(value).into_iter().map(move |place| format!("/{name}{place}")));
    std::iter::once(String::new()).chain(below).collect()
}

fn any_value() -> impl Strategy<Value = Value> {
    let words = [
        "state",
        "error",
        "source",
        "kind",
        "deviceId",
        "adoptedManifestVersion",
        "removed",
        "PENDING",
        "101",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(select(words.to_vec()), inner, 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Whatever was read can be looked at, upgraded, written, and read again.
fn exercise(status: &AnyDeploymentStatus) -> Result<(), TestCaseError> {
    let _ = (status.check(), status.device_id(), status.adopted(), status.error());
    let newer = status.clone().upgrade(ManifestVersion::FIRST).value;
    prop_assert_eq!(&newer.deployment_id, status.deployment_id());
    prop_assert_eq!(&newer.status.state, &status.state());
    prop_assert_eq!(&newer.components, &status.components());
    prop_assert_eq!(&read_again(status)?, status);
    let newer = AnyDeploymentStatus::from(newer);
    prop_assert_eq!(&read_again(&newer)?, &newer);
    for revision in SpecVersion::ALL {
        if let Ok(converted) = status.convert(revision) {
            prop_assert_eq!(converted.value.revision(), revision);
            prop_assert_eq!(&read_again(&converted.value)?, &converted.value);
        }
    }
    Ok(())
}

/// What becomes of a status that is written and read again. Its shape allows its revision unless it has words of
/// another, and what we write deviates in nothing but what its maker put there: an `apiVersion`, a contradiction, an
/// error without a code.
fn read_again(status: &AnyDeploymentStatus) -> Result<AnyDeploymentStatus, TestCaseError> {
    let revision = status.revision();
    let tree: Value = serde_json::from_slice(&status.to_json()).unwrap();
    let allows = AnyDeploymentStatus::detect(&tree).allows(revision);
    prop_assert!(allows || !status.check().is_empty(), "{tree}");
    let makers = ["X-A-02", "X-A-12", "X-A-13", "X-B-03", "X-B-04", "X-B-19", "X-C-12", "X-C-23", "X-D-13"];
    for deviation in AnyDeploymentStatus::deviations(&tree, revision) {
        prop_assert!(makers.contains(&deviation.contradiction), "{deviation}");
    }
    let reading = AnyDeploymentStatus::read(
        status.to_json().into(),
        Some(revision),
        Strictness::Lenient,
        &Limits::default(),
    );
    match reading {
        Ok(reading) => Ok(reading.value.into_value()),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

proptest! {
    /// X-D-31: the version keeps all its 64 bits.
    #[test]
    fn every_revision_is_read_as_it_was_written(status in any_status()) {
        prop_assert_eq!(&read_again(&status)?, &status);
        // Text, type, text.
        let tree: Value = serde_json::from_slice(&status.to_json()).unwrap();
        let read = AnyDeploymentStatus::from_value(tree).unwrap();
        prop_assert_eq!(read.to_json(), status.to_json());
    }

    /// R-B-039, and the error of the whole is that of a component which failed.
    #[test]
    fn what_a_device_makes_agrees_with_itself(status in newer()) {
        prop_assert!(status.components_agree());
        let failed = |component: &&ComponentStatus| component.state == DeploymentState::Failed;
        let first = status.components.iter().filter(failed).find_map(|component| component.error.as_ref());
        let message = |error: Option<&ErrorReport>| error.map(|error| error.message.clone());
        prop_assert_eq!(message(status.status.error.as_ref()), message(first));
    }

    #[test]
    fn an_upgrade_keeps_everything(older in older(), adopted in version()) {
        let upgraded = older.clone().upgrade(adopted);
        prop_assert_eq!(&upgraded.losses, &[]);
        let newer = upgraded.value;
        prop_assert_eq!(newer.adopted_manifest_version, adopted);
        for (newer, older) in newer.components.iter().zip(&older.components) {
            prop_assert_eq!(newer.error.as_ref().map(|error| &error.message), older.error.as_ref().map(|error| &error.message));
            prop_assert!(newer.error.as_ref().is_none_or(|error| error.source == older.name.as_str()));
        }
        prop_assert_eq!(pre_draft::DeploymentStatus::try_from(&newer), Ok(older));
    }

    /// Downgrading undoes upgrading, since nothing is lost.
    #[test]
    fn an_upgrade_of_rc1_and_rc2_keeps_everything((first, second) in (first(), second()), adopted in version()) {
        let upgraded = first.clone().upgrade(adopted);
        prop_assert_eq!(&upgraded.losses, &[]);
        prop_assert_eq!(rc1::DeploymentStatusManifest::try_from(&upgraded.value), Ok(first));

        let upgraded = second.clone().upgrade(adopted);
        prop_assert_eq!(&upgraded.losses, &[]);
        prop_assert_eq!(upgraded.value.adopted_manifest_version, adopted);
        prop_assert_eq!(rc2::DeploymentStatusManifest::from(&upgraded.value), second);
    }

    /// And the other way round: what is lost is listed, by a place that exists, and everything else is kept.
    #[test]
    fn a_downgrade_lists_what_it_leaves_out(newer in newer()) {
        let adopted = newer.adopted_manifest_version;
        let document = serde_json::to_value(&newer).unwrap();

        let downgraded = rc2::DeploymentStatusManifest::downgrade(&newer);
        prop_assert_eq!(downgraded.losses.len(), 1);
        prop_assert_eq!(&downgraded.value.upgrade(adopted).value, &newer);

        let mut sources = newer.clone();
        let components = sources.components.iter_mut();
        for component in components {
            if let Some(error) = &mut component.error {
                error.source = component.name.to_string();
            }
        }
        if let Some(error) = &mut sources.status.error {
            error.source = String::new();
        }
        match rc1::DeploymentStatusManifest::downgrade(&newer) {
            Ok(downgraded) => {
                for loss in &downgraded.losses {
                    prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
                }
                if downgraded.losses.iter().all(|loss| !loss.pointer.ends_with("/source")) {
                    prop_assert_eq!(&newer.components, &sources.components);
                }
                sources.device_id = None;
                prop_assert_eq!(downgraded.value.upgrade(adopted).value, sources);
            }
            // X-B-40.
            Err(error) => {
                prop_assert_eq!(error.pointer.as_str(), "/deviceId");
                prop_assert!(newer.device_id.is_some_and(|device| device.gateway().is_some()));
            }
        }
    }

    /// What any older revision leaves out is listed, and what it cannot say is named.
    #[test]
    fn what_is_lost_on_the_way_down_is_listed(
        newer in prop_oneof![newer(), strange_status().prop_map(|any| any.upgrade(ManifestVersion::FIRST).value)],
        to in select(SpecVersion::ALL[..3].to_vec()),
    ) {
        let document = serde_json::to_value(&newer).unwrap();
        let adopted = newer.adopted_manifest_version;
        let converted = AnyDeploymentStatus::from(newer).convert(to);
        let back = |older: AnyDeploymentStatus| serde_json::to_value(older.upgrade(adopted).value).unwrap();
        conversion::down_and_up(&document, converted, back)?;
    }

    /// What the newest revision has no place for is listed, at its place in the older document, and the rest comes back.
    #[test]
    fn what_is_lost_on_the_way_up_is_listed(
        status in prop_oneof![any_status(), strange_status()],
        adopted in version(),
    ) {
        let tree = |status: &AnyDeploymentStatus| -> Value { serde_json::from_slice(&status.to_json()).unwrap() };
        let document = tree(&status);
        let upgraded = status.clone().upgrade(adopted);
        conversion::told(&document, &upgraded.losses)?;
        let newest = AnyDeploymentStatus::from(upgraded.value);
        prop_assert_eq!(&read_again(&newest)?, &newest);
        match newest.convert(status.revision()) {
            Ok(again) => {
                conversion::told(&tree(&newest), &again.losses)?;
                if again.losses.iter().all(|loss| loss.pointer == "/adoptedManifestVersion") {
                    conversion::holds(&document, &tree(&again.value), &upgraded.losses)?;
                }
            }
            Err(error) => conversion::named(&tree(&newest), &error)?,
        }
    }

    /// R-B-039: however a report is made of components, the whole never contradicts them.
    #[test]
    fn a_report_that_is_made_step_by_step_never_contradicts_itself(
        status in newer(),
        steps in vec(component(), 0..5),
    ) {
        let mut status = status;
        for step in steps {
            status = status.with_component(step.clone());
            prop_assert_eq!(status.contradiction(), None);
            prop_assert!(status.components.contains(&step));
        }
        let names = |status: &DeploymentStatusManifest| status.components.len();
        let again = status.components.last().cloned();
        if let Some(again) = again {
            prop_assert_eq!(names(&status.clone().with_component(again)), names(&status));
        }
    }

    /// The pre-draft says everything but removal, and what it says means the same.
    #[test]
    fn a_downgrade_fails_for_removal_alone(newer in newer()) {
        let is_removal = |state: &DeploymentState| matches!(state, DeploymentState::Removing | DeploymentState::Removed);
        match pre_draft::DeploymentStatus::try_from(&newer) {
            Ok(older) => {
                let again = older.upgrade(newer.adopted_manifest_version).value;
                prop_assert_eq!(&again.status.state, &newer.status.state);
                let states = |status: &DeploymentStatusManifest| {
                    status.components.iter().map(|component| component.state.clone()).collect::<Vec<_>>()
                };
                prop_assert!(!states(&newer).iter().any(is_removal));
                prop_assert_eq!(again.components.len(), newer.components.len());
            }
            Err(error) => {
                let document = serde_json::to_value(&newer).unwrap();
                let state = document.pointer(&error.pointer).and_then(Value::as_str);
                prop_assert!(matches!(state, Some("removing" | "removed")), "{}", error);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(read) = AnyDeploymentStatus::decode(bytes.into(), &Limits::default()) {
            exercise(&read)?;
        }
    }

    /// Near to a document, where the branches are: one of its bytes is another, or it ends early.
    #[test]
    fn a_damaged_document_is_read_without_panic(status in any_status(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = status.to_json();
        let at = at.index(bytes.len());
        prop_assert!(AnyDeploymentStatus::decode(bytes[..at].to_vec().into(), &Limits::default()).is_err());
        bytes[at] = byte;
        if let Ok(read) = AnyDeploymentStatus::decode(bytes.into(), &Limits::default()) {
            exercise(&read)?;
        }
    }

    /// As above, where the values differ and not the text.
    #[test]
    fn a_document_with_another_value_somewhere_is_read_without_panic(
        status in any_status(),
        at in any::<prop::sample::Index>(),
        other in any_value(),
    ) {
        let mut document: Value = serde_json::from_slice(&status.to_json()).unwrap();
        let places = places(&document);
        if let Some(place) = document.pointer_mut(&places[at.index(places.len())]) {
            *place = other;
        }
        for revision in SpecVersion::ALL {
            let _ = AnyDeploymentStatus::deviations(&document, revision);
        }
        if let Ok(read) = AnyDeploymentStatus::from_value(document) {
            exercise(&read)?;
        }
    }
}

/// Why the conversions leave out what has no place instead of refusing it: no report at all could be written for an older
/// manager.
#[test]
fn every_report_loses_what_it_adopted() {
    let status =
        DeploymentStatusManifest::of("a3e2f5dc".parse().unwrap(), ManifestVersion::FIRST, Vec::new());
    let any = AnyDeploymentStatus::from(status);
    for revision in &SpecVersion::ALL[..3] {
        let converted = any.convert(*revision).unwrap();
        let lost: Vec<_> = converted.losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/adoptedManifestVersion"], "{revision}");
        assert_eq!(any.to_revision(*revision).unwrap(), converted.value);
    }
}
