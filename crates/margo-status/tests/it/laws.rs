//! Laws over whole documents.

use margo_core::{ComponentName, DeploymentId, DeviceId, Extensions, ManifestVersion};
use margo_status::pre_draft;
use margo_status::{
    AnyDeploymentStatus, ComponentStatus, DeploymentState, DeploymentStatusManifest, ErrorReport,
};
use margo_syntax::Limits;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

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
    let others = ["Failure", "Success", "paused"].map(pre_draft::DeploymentState::from);
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
    let again =
        AnyDeploymentStatus::decode_as(status.to_json().into(), status.revision(), &Limits::default());
    prop_assert!(again.is_ok(), "{again:?}");
    let newer = AnyDeploymentStatus::from(newer);
    let again = AnyDeploymentStatus::decode_as(newer.to_json().into(), newer.revision(), &Limits::default());
    prop_assert!(again.is_ok(), "{again:?}");
    Ok(())
}

fn read_again(status: &AnyDeploymentStatus) -> AnyDeploymentStatus {
    AnyDeploymentStatus::decode(status.to_json().into(), &Limits::default()).unwrap().into_value()
}

proptest! {
    /// X-D-31: the version keeps all its 64 bits.
    #[test]
    fn rc3_is_read_as_it_was_written(status in newer()) {
        let status = AnyDeploymentStatus::Rc3(status);
        prop_assert_eq!(read_again(&status), status);
    }

    #[test]
    fn the_pre_draft_is_read_as_it_was_written(status in older()) {
        let status = AnyDeploymentStatus::PreDraft(status);
        prop_assert_eq!(read_again(&status), status);
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
    fn a_damaged_document_is_read_without_panic(older in older(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = AnyDeploymentStatus::PreDraft(older).to_json();
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
        (older, newer) in (older(), newer()),
        at in any::<prop::sample::Index>(),
        other in any_value(),
    ) {
        for mut document in [serde_json::to_value(older).unwrap(), serde_json::to_value(newer).unwrap()] {
            let places = places(&document);
            if let Some(place) = document.pointer_mut(&places[at.index(places.len())]) {
                *place = other.clone();
            }
            if let Ok(read) = AnyDeploymentStatus::from_value(document) {
                exercise(&read)?;
            }
        }
    }
}
