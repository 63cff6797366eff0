//! Values against a whole configuration, and what does not fit together in one.

use std::collections::BTreeMap;

use margo_application::{
    ApplicationDescription, DataType, FaultKind, ParameterDefinition, ParameterFaults, Schema, Setting,
    check_description, check_values,
};
use margo_deployment::{DeviceConstraints, EligibilityRule, ProfileType, Selector, Target};
use serde_json::{Value, json};

use crate::newest;

const HELM: usize = 0;
const COMPOSE: usize = 1;

type Values = BTreeMap<String, Value>;

fn values(members: Value) -> Values {
    serde_json::from_value(members).unwrap()
}

fn check(profile: usize, given: Value, previous: Option<Value>) -> Result<Values, ParameterFaults> {
    let description = newest("pump-monitor-1.0.0");
    let components = &description.deployment_profiles[profile].components;
    check_values(&description, components, &values(given), previous.map(values).as_ref())
}

fn kinds(result: Result<Values, ParameterFaults>) -> Vec<(String, FaultKind)> {
    result.unwrap_err().into_iter().map(|fault| (fault.parameter, fault.kind)).collect()
}

/// R-A-039, R-A-040: every fault at once, each with its parameter, its rule, its schema and a sentence.
#[test]
fn every_fault_is_told_at_once() {
    let given = json!({
        "alarmChannels": ["mail", "pigeon"],
        "alarmMail": "nobody",
        "colour": "red",
        "keepRawData": "maybe",
        "mode": "",
        "pollInterval": "4",
        "vibrationLimit": 50.125,
    });
    let faults = check(HELM, given, None).unwrap_err();
    let told: Vec<_> =
        faults.iter().map(|fault| (fault.kind, fault.schema.as_deref(), fault.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (FaultKind::UnknownParameter, None, "`colour` is not a parameter of `pump-monitor`"),
            (
                FaultKind::NotAnOption,
                Some("channels"),
                "`alarmChannels` item 2 must be one of `display`, `mail`, `siren`"
            ),
            (FaultKind::Pattern, Some("optionalMail"), "`alarmMail` must match the pattern `^[^@]+@[^@]+$`"),
            (FaultKind::WrongType, Some("yesNo"), "`keepRawData` must be true or false, and is a text"),
            (FaultKind::Empty, Some("analysisMode"), "`mode` must not be empty"),
            (FaultKind::Range, Some("seconds"), "`pollInterval` must be at least 5, and is 4"),
            (FaultKind::Missing, Some("siteCode"), "`siteId` needs a value"),
            (FaultKind::Range, Some("velocity"), "`vibrationLimit` must be at most 50, and is 50.125"),
            (
                FaultKind::Precision,
                Some("velocity"),
                "`vibrationLimit` must have at most 2 decimal places, and has 3"
            ),
        ]
    );
    assert!(
        faults
            .to_string()
            .starts_with("`colour` is not a parameter of `pump-monitor`; `alarmChannels` item 2")
    );
}

/// A value may be a secret: no text that a user gave comes back in a message.
#[test]
fn texts_are_not_repeated() {
    let secret = "hunter2";
    let given = json!({
        "alarmChannels": secret, "alarmMail": secret, "keepRawData": secret, "mode": secret,
        "pollInterval": secret, "siteId": secret, "vibrationLimit": secret,
    });
    let faults = check(HELM, given, Some(json!({ "siteId": "hunter2-before" }))).unwrap_err();
    assert_eq!(faults.iter().count(), 7);
    assert!(!faults.to_string().contains("hunter"), "{faults}");
}

#[test]
fn values_take_effect_in_the_profile_they_reach() {
    let given =
        json!({ "siteId": "DE-0001", "pollInterval": "90", "alarmChannels": ["mail"], "alarmMail": null });
    let helm = check(HELM, given.clone(), None).unwrap();
    let expected = json!({
        "siteId": "DE-0001", "pollInterval": 90, "alarmChannels": ["mail"],
        "vibrationLimit": 7.1, "mode": "balanced", "keepRawData": false,
    });
    assert_eq!(helm, values(expected));
    let compose = check(COMPOSE, given, None).unwrap();
    assert!(!compose.contains_key("alarmChannels"));
    // Checked all the same, although it reaches nothing.
    let given = json!({ "siteId": "DE-0001", "alarmChannels": ["pigeon"] });
    assert_eq!(kinds(check(COMPOSE, given, None)), [("alarmChannels".into(), FaultKind::NotAnOption)]);
}

/// R-A-041.
#[test]
fn an_immutable_value_stays() {
    let previous = || Some(json!({ "siteId": "DE-0001", "mode": "eco" }));
    // Not given: kept; while a value that may change goes back to its default.
    let kept = check(HELM, json!({}), previous()).unwrap();
    assert_eq!((&kept["siteId"], &kept["mode"]), (&json!("DE-0001"), &json!("balanced")));
    assert!(check(HELM, json!({ "siteId": "DE-0001" }), previous()).is_ok());
    let changed = check(HELM, json!({ "siteId": "DE-0002" }), previous());
    assert_eq!(kinds(changed), [("siteId".into(), FaultKind::Immutable)]);
    // Nothing was fixed before, so there is nothing to keep.
    assert!(check(HELM, json!({ "siteId": "DE-0002" }), Some(json!({}))).is_ok());

    // Numbers are compared by what they are worth, and an optional value cannot be taken back either.
    let mut description = newest("pump-monitor-1.0.0");
    for section in &mut description.configuration.as_mut().unwrap().sections {
        section.settings.iter_mut().for_each(|setting| setting.immutable = true);
    }
    let components = description.deployment_profiles[HELM].components.clone();
    let previous =
        values(json!({ "siteId": "DE-0001", "vibrationLimit": "8.0", "alarmMail": "a@b.example" }));
    let mut given = values(json!({ "vibrationLimit": 8 }));
    assert!(check_values(&description, &components, &given, Some(&previous)).is_ok());
    given.insert("alarmMail".into(), Value::Null);
    let taken_back = check_values(&description, &components, &given, Some(&previous));
    assert_eq!(kinds(taken_back), [("alarmMail".into(), FaultKind::Immutable)]);
}

/// MI-014: a parameter that no setting shows takes any JSON value.
#[test]
fn a_parameter_without_a_setting_is_free() {
    let mut description = newest("pump-monitor-1.0.0");
    let target = Target::new("raw", ["pump-analyzer".parse().unwrap()]);
    description.parameters.insert("raw".into(), ParameterDefinition::new(vec![target]));
    let components = description.deployment_profiles[HELM].components.clone();
    for value in [json!({ "a": [1, null] }), json!(""), Value::Null] {
        let given = values(json!({ "siteId": "DE-0001", "raw": value }));
        let effective = check_values(&description, &components, &given, None).unwrap();
        assert_eq!(effective["raw"], value);
    }
    let effective =
        check_values(&description, &components, &values(json!({ "siteId": "DE-0001" })), None).unwrap();
    assert!(!effective.contains_key("raw"));
}

#[test]
fn a_description_tells_all_its_faults() {
    fn faulty(change: impl FnOnce(&mut ApplicationDescription)) -> Vec<String> {
        let mut description = newest("pump-monitor-1.0.0");
        change(&mut description);
        check_description(&description).iter().map(ToString::to_string).collect()
    }
    let configuration = |d: &mut ApplicationDescription| d.configuration.clone().unwrap();

    // R-A-042.
    assert_eq!(
        faulty(|d| {
            let parameter = d.parameters.get_mut("siteId").unwrap();
            parameter.targets[1].components.push("pump-analyser".parse().unwrap());
        }),
        ["/parameters/siteId/targets/1/components/1: no component is named `pump-analyser`"]
    );
    assert_eq!(
        faulty(|d| d.deployment_profiles[1].id = "pump-monitor-cluster".into()),
        ["/deploymentProfiles/1/id: another profile is `pump-monitor-cluster`"]
    );
    assert_eq!(
        faulty(|d| {
            let again = d.deployment_profiles[0].components[0].clone();
            d.deployment_profiles[0].components.push(again);
        }),
        ["/deploymentProfiles/0/components/2/name: another component is named `measurement-store`"]
    );
    assert_eq!(
        faulty(|d| {
            let mut changed = configuration(d);
            changed.sections[0].settings.push(Setting::new("colour", "Colour", "rainbow"));
            changed.schema.push(Schema::new("yesNo", DataType::String));
            d.configuration = Some(changed);
        }),
        [
            "/configuration/sections/0/settings/1/parameter: no parameter is named `colour`",
            "/configuration/sections/0/settings/1/schema: no schema is named `rainbow`",
            "/configuration/schema/7/name: another schema is named `yesNo`",
        ]
    );
    assert_eq!(
        faulty(|d| {
            d.parameters.get_mut("pollInterval").unwrap().value = Some(json!(2));
            let mut changed = configuration(d);
            changed.schema[0].regex_match = Some("(?!x)".into());
            d.configuration = Some(changed);
        }),
        [
            "/configuration/schema/0/regexMatch: the pattern `(?!x)` is not supported",
            "/parameters/pollInterval/value: the default must be at least 5, and is 2",
        ]
    );
    assert_eq!(
        faulty(|d| d.deployment_profiles.clear())[0],
        "/deploymentProfiles: expected at least one profile"
    );
    assert_eq!(
        faulty(|d| d.deployment_profiles[1].components.clear())[0],
        "/deploymentProfiles/1/components: expected at least one component"
    );

    // R-D-031.
    let custom = "/deploymentProfiles/1/deviceConstraints: a `custom` profile needs an eligibility rule with a label selector";
    assert_eq!(faulty(|d| d.deployment_profiles[1].profile_type = ProfileType::Custom), [custom]);
    let labelled = faulty(|d| {
        d.deployment_profiles[1].profile_type = ProfileType::Custom;
        let mut rule = EligibilityRule::default();
        rule.label_selector = Some(Selector::default());
        let mut constraints = DeviceConstraints::default();
        constraints.eligibility_rules = Some(vec![rule]);
        d.deployment_profiles[1].device_constraints = Some(constraints);
    });
    assert_eq!(labelled, [""; 0]);
}
