//! Deployments made from the packages in `fixtures/`.

use std::collections::BTreeMap;

use margo_application::{InstantiateError, Instantiation, check_description, instantiate};
use margo_core::SpecVersion;
use margo_deployment::{ApplicationDeployment, ProfileType, pre_draft};
use margo_syntax::Limits;
use serde_json::{Value, json};

use crate::{newest, package};

const ID: &str = "a3e2f5dc-912e-494f-8395-52cf3769bc06";

fn request() -> Instantiation {
    let mut request = Instantiation::new(ID.parse().unwrap(), "plc-7".parse().unwrap(), "plant");
    request.values.insert("siteId".into(), json!("DE-0042"));
    request
}

fn for_profile(profile: &str) -> Instantiation {
    let mut request = request();
    request.profile = Some(profile.into());
    request
}

fn values(deployment: &ApplicationDeployment, component: &str) -> BTreeMap<String, Value> {
    let component = component.parse().unwrap();
    deployment.values_for(&component).map(|(pointer, value)| (pointer.to_owned(), value.clone())).collect()
}

/// R-A-033: the description is `margo.yaml` in the root of each package.
#[test]
fn the_packages_are_without_fault() {
    for (name, revision, version) in [
        ("pump-monitor-1.0.0", SpecVersion::V1_0_0Rc3, "1.0.0"),
        ("pump-monitor-1.1.0", SpecVersion::V1_0_0Rc3, "1.1.0"),
        ("line-dashboard-2.3.0", SpecVersion::PreDraft, "2.3.0"),
    ] {
        let description = package(name);
        assert_eq!((description.revision(), description.version()), (revision, version), "{name}");
        let upgraded = description.upgrade();
        assert_eq!(upgraded.losses, [], "{name}");
        assert_eq!(check_description(&upgraded.value), [], "{name}");
    }
}

/// R-A-035, MI-015: one profile, its components in their order, the parameters that reach it.
#[test]
fn a_profile_becomes_a_deployment() {
    let deployment =
        instantiate(&newest("pump-monitor-1.0.0"), &for_profile("pump-monitor-cluster")).unwrap();
    assert_eq!(deployment.id.as_str(), ID);
    assert_eq!(deployment.metadata.name, "pump-monitor-a3e2f5dc");
    assert_eq!(deployment.spec.application_id.as_str(), "pump-monitor");
    let profile = &deployment.spec.deployment_profile;
    let names: Vec<_> = profile.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["measurement-store", "pump-analyzer"]);
    assert_eq!(
        values(&deployment, "measurement-store"),
        [("site.id".to_owned(), json!("DE-0042")), ("retention.keepRawData".to_owned(), json!(false))].into()
    );
    assert_eq!(values(&deployment, "pump-analyzer")["alarms.vibrationLimit"], json!(7.1));
    // `alarmMail` has no value, so nothing is written for it.
    assert!(!deployment.spec.parameters.contains_key("alarmMail"));

    let compose = instantiate(&newest("pump-monitor-1.0.0"), &for_profile("compose")).unwrap();
    assert_eq!(compose.spec.deployment_profile.profile_type, ProfileType::Compose);
    // `alarmChannels` reaches no component of this profile, and targets of the other are gone.
    assert!(!compose.spec.parameters.contains_key("alarmChannels"));
    assert_eq!(compose.spec.parameters["siteId"].targets.len(), 1);
    let pointers: Vec<_> = values(&compose, "pump-monitor-stack").into_keys().collect();
    assert_eq!(pointers, ["ANALYSIS_MODE", "KEEP_RAW_DATA", "POLL_INTERVAL", "SITE_ID", "VIBRATION_LIMIT"]);
}

/// R-D-029, R-D-033.
#[test]
fn constraints_and_extensions_are_forwarded_and_those_at_the_root_are_not() {
    let description = newest("pump-monitor-1.0.0");
    assert!(!description.extensions.is_empty());
    let deployment = instantiate(&description, &for_profile("helm")).unwrap();
    let profile = &deployment.spec.deployment_profile;
    let described = &description.deployment_profiles[0];
    assert_eq!(profile.device_constraints, described.device_constraints);
    assert_eq!(profile.extensions, described.extensions);
    assert_eq!(profile.components, described.components);
    assert!(deployment.extensions.is_empty());
    assert!(!deployment.to_yaml().unwrap().contains("PM-1000"));
}

/// What is made is a document that a strict reader takes, for every profile of every package; and it is of the package's
/// application (R-A-030).
#[test]
fn every_deployment_can_be_read_by_its_device() {
    for name in ["pump-monitor-1.0.0", "pump-monitor-1.1.0"] {
        for profile in ["helm", "compose"] {
            let deployment = instantiate(&newest(name), &for_profile(profile)).unwrap();
            let yaml = deployment.to_yaml().unwrap();
            assert_eq!(ApplicationDeployment::parse(yaml.as_bytes(), &Limits::default()), Ok(deployment));
        }
    }
    for profile in ["helm.v3", "docker-compose"] {
        let mut request = for_profile(profile);
        request.values.clear();
        let deployment = instantiate(&newest("line-dashboard-2.3.0"), &request).unwrap();
        let old = pre_draft::ApplicationDeployment::try_from(&deployment).unwrap();
        let yaml = old.to_yaml().unwrap();
        let read = pre_draft::ApplicationDeployment::parse(yaml.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(read.spec.deployment_profile.profile_type.as_str(), profile);
        assert_eq!(read.metadata.annotations.application_id, newest("line-dashboard-2.3.0").id);
        assert_eq!(read.upgrade("plc-7".parse().unwrap()).value, deployment);
    }
}

/// X-A-15: variables have their own names in the deployment.
#[test]
fn environment_variables_lose_their_prefix() {
    let mut request = for_profile("compose");
    request.values = [("targetOee".to_owned(), json!("0.9"))].into();
    let deployment = instantiate(&newest("line-dashboard-2.3.0"), &request).unwrap();
    let values = values(&deployment, "line-dashboard-stack");
    let pointers: Vec<_> = values.keys().map(String::as_str).collect();
    assert_eq!(pointers, ["DASHBOARD_TITLE", "REFRESH_SECONDS", "TARGET_OEE", "THEME"]);
    assert_eq!(values["TARGET_OEE"], json!(0.9));
}

#[test]
fn a_profile_is_found_by_id_or_by_type_or_told_to_be_missing() {
    let description = newest("pump-monitor-1.0.0");
    let select = |requested| {
        let mut request = request();
        request.profile = requested;
        instantiate(&description, &request)
    };
    let available = vec!["pump-monitor-cluster".to_owned(), "pump-monitor-standalone".to_owned()];
    assert_eq!(select(None), Err(InstantiateError::AmbiguousProfile { available: available.clone() }));
    let missing = select(Some("custom".into())).unwrap_err();
    assert_eq!(missing, InstantiateError::UnknownProfile { requested: "custom".into(), available });
    assert_eq!(
        missing.to_string(),
        "no profile is `custom`; there is `pump-monitor-cluster` or `pump-monitor-standalone`"
    );

    let mut twice = newest("pump-monitor-1.0.0");
    let mut again = twice.deployment_profiles[0].clone();
    again.id = "compose".into();
    twice.deployment_profiles.push(again);
    let mut request = for_profile("helm");
    assert!(matches!(instantiate(&twice, &request), Err(InstantiateError::AmbiguousProfile { .. })));
    // An id goes before a type.
    request.profile = Some("compose".into());
    let deployment = instantiate(&twice, &request).unwrap();
    assert_eq!(deployment.spec.deployment_profile.profile_type, ProfileType::Helm);

    let mut single = newest("pump-monitor-1.0.0");
    single.deployment_profiles.truncate(1);
    request.profile = None;
    assert!(instantiate(&single, &request).is_ok());
}

/// R-A-041, R-D-025: an update keeps the id, the name and what cannot change.
#[test]
fn an_update_keeps_what_was_fixed() {
    let first = instantiate(&newest("pump-monitor-1.0.0"), &for_profile("helm")).unwrap();
    let previous: BTreeMap<_, _> = first
        .spec
        .parameters
        .iter()
        .map(|(name, parameter)| (name.clone(), parameter.value.clone()))
        .collect();

    let mut update = for_profile("helm");
    update.values.clear();
    update.previous = Some(previous);
    let second = instantiate(&newest("pump-monitor-1.1.0"), &update).unwrap();
    assert_eq!((&second.id, &second.metadata.name), (&first.id, &first.metadata.name));
    assert_eq!(second.spec.parameters["siteId"].value, json!("DE-0042"));
    assert_eq!(second.spec.parameters["bearingModel"].value, json!("6309"));

    update.values.insert("siteId".into(), json!("DE-0043"));
    let error = instantiate(&newest("pump-monitor-1.1.0"), &update).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`siteId` cannot change any more: it was fixed when the application was installed"
    );
}
