use std::collections::BTreeMap;

use margo_capability::{DeviceCapabilitiesManifest, LabelValue};
use margo_core::Quantity;
use margo_deployment::{
    CapacityRequirements, CpuRequirement, DeploymentProfile, DeviceConstraints, EligibilityRule,
    MatchExpression, Operator, ProfileType, Selector,
};
use margo_placement::{Criterion, Outcome, evaluate, evaluate_constraints};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Number, Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..9).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-9.0..9.0).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        prop::sample::select(vec!["gpu", "display", "ethernet", "Acme", "helm"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-c]", inner, 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Keys that often lead somewhere, and others.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        "/vendor",
        "/type",
        "/manufacturer",
        "/peripherals",
        "/peripherals/0/type",
        "/interfaces",
        "/supportedDeploymentTypes",
        "/cpus/0/cores",
        "/x-a-extensions",
        "a",
        "b",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

fn selector() -> impl Strategy<Value = Selector> {
    let operator = prop_oneof![
        9 => prop::sample::select(Operator::KNOWN),
        1 => "[A-Z][a-z]{0,3}".prop_map(|text| text.as_str().into()),
    ];
    let expression = (key(), operator, option::weighted(0.8, vec(json_value(), 0..3)));
    let expression = expression.prop_map(|(key, operator, values)| {
        let mut expression = MatchExpression::new(key, operator);
        expression.values = values;
        expression
    });
    let leaf = vec(expression, 0..3).prop_map(Selector::new);
    leaf.prop_recursive(3, 9, 2, |inner| {
        let operator = prop::sample::select(vec![Operator::ContainsAll, Operator::ContainsAny]);
        (inner.clone(), inner, key(), operator).prop_map(|(mut outer, item, key, operator)| {
            let mut expression = MatchExpression::new(key, operator);
            expression.item_selector = Some(Box::new(item));
            outer.match_expressions.push(expression);
            outer
        })
    })
}

fn rule() -> impl Strategy<Value = EligibilityRule> {
    (option::of(selector()), option::of(selector())).prop_map(|(property, label)| {
        let mut rule = EligibilityRule::default();
        rule.property_selector = property;
        rule.label_selector = label;
        rule
    })
}

fn amount() -> impl Strategy<Value = Quantity> {
    prop_oneof![4 => "[0-9]{1,3} ?(Ki|Mi|Gi)", 1 => "\\PC{0,5}"].prop_map(Quantity::from)
}

fn capacity() -> impl Strategy<Value = CapacityRequirements> {
    let number = prop_oneof![(0_u64..9).prop_map(Number::from), Just(Number::from_f64(1.5).unwrap())];
    let architectures =
        vec(prop::sample::select(vec!["amd64", "arm64", "arm", "riscv64", "other", "sparc"]), 0..3);
    let cpu = (number, option::of(architectures)).prop_map(|(cores, architectures)| {
        let mut cpu = CpuRequirement::new(cores);
        cpu.architectures = architectures.map(|texts| texts.into_iter().map(Into::into).collect());
        cpu
    });
    (option::of(cpu), option::of(amount()), option::of(amount())).prop_map(|(cpu, memory, storage)| {
        let mut capacity = CapacityRequirements::default();
        capacity.cpu = cpu;
        capacity.memory = memory;
        capacity.storage = storage;
        capacity
    })
}

fn constraints() -> impl Strategy<Value = DeviceConstraints> {
    (option::of(capacity()), option::of(vec(rule(), 0..4))).prop_map(|(capacity, rules)| {
        let mut constraints = DeviceConstraints::default();
        constraints.capacity_requirements = capacity;
        constraints.eligibility_rules = rules;
        constraints
    })
}

fn profile() -> impl Strategy<Value = DeploymentProfile> {
    let profile_type = prop_oneof![
        4 => prop::sample::select(ProfileType::KNOWN),
        1 => "[a-z]{1,5}".prop_map(|text| text.as_str().into()),
    ];
    (profile_type, option::of(constraints())).prop_map(|(profile_type, constraints)| {
        let mut profile = DeploymentProfile::new(profile_type, Vec::new());
        profile.device_constraints = constraints;
        profile
    })
}

fn label() -> impl Strategy<Value = LabelValue> {
    prop_oneof![
        "[a-c]{0,2}".prop_map(LabelValue::Text),
        any::<bool>().prop_map(LabelValue::Boolean),
        (-3_i64..9).prop_map(|number| LabelValue::Number(number.into())),
        vec("[a-c]", 0..3).prop_map(LabelValue::Texts),
        vec(0_u64..9, 1..3)
            .prop_map(|numbers| LabelValue::Numbers(numbers.into_iter().map(Into::into).collect())),
    ]
}

fn device() -> impl Strategy<Value = DeviceCapabilitiesManifest> {
    let cpu = (
        0.0..9.0_f64,
        option::of(prop::sample::select(vec!["amd64", "arm64", "riscv64", "x86_64", "sparc"])),
    )
        .prop_map(|(cores, architecture)| match architecture {
            Some(architecture) => json!({ "cores": cores, "architecture": architecture }),
            None => json!({ "cores": cores }),
        });
    let types = |known: Vec<&'static str>| option::weighted(0.9, vec(prop::sample::select(known), 0..3));
    (
        option::of(vec(cpu, 0..3)),
        (option::of(amount()), option::of(amount())),
        option::of(vec(prop::sample::select(vec!["gpu", "display", "nic"]), 0..3)),
        types(vec!["helm", "compose", "custom", "nomad"]),
        types(vec!["oci", "custom"]),
        btree_map("[a-c]", label(), 0..3),
        option::of(json_value()),
    )
        .prop_map(|(cpus, (memory, storage), peripherals, deployments, runtimes, labels, extension)| {
            let mut properties = BTreeMap::from([
                ("id", json!("plc-7")),
                ("vendor", json!("Acme")),
                ("modelNumber", json!("P")),
                ("serialNumber", json!("1")),
            ]);
            let peripherals =
                peripherals.map(|types| types.iter().map(|t| json!({ "type": t })).collect::<Vec<_>>());
            for (name, value) in [
                ("cpus", cpus.map(Value::from)),
                ("memory", memory.map(|amount| json!(amount))),
                ("storage", storage.map(|amount| json!(amount))),
                ("peripherals", peripherals.map(Value::from)),
                ("supportedDeploymentTypes", deployments.map(|types| json!(types))),
                ("supportedRuntimes", runtimes.map(|types| json!(types))),
                ("x-a-extensions", extension),
            ] {
                if let Some(value) = value {
                    properties.insert(name, value);
                }
            }
            let mut device: DeviceCapabilitiesManifest =
                serde_json::from_value(json!({ "properties": properties })).unwrap();
            device.labels = labels;
            device
        })
}

proptest! {
    /// Whatever is asked of whatever device: an answer, and the answer is what its reasons say.
    #[test]
    fn an_answer_is_what_its_reasons_say(profile in profile(), device in device()) {
        let placement = evaluate(&profile, &device);
        let refused = placement.refusals().count();
        prop_assert_eq!(placement.fits(), refused == 0);
        prop_assert_eq!(evaluate(&profile, &device), placement.clone());
        let document = serde_json::to_value(&profile).unwrap();
        let capabilities = serde_json::to_value(&device).unwrap();
        for reason in placement.reasons() {
            prop_assert!(!reason.message.is_empty());
            prop_assert!(reason.outcome != Outcome::Unmet || !reason.criterion.decides() || refused > 0);
            prop_assert!(document.pointer(&reason.asked).is_some(), "{}", reason.asked);
            // What is met was found where it is said to be, unless it was to be missing.
            let is_missing = reason.message.ends_with("is not there");
            if reason.outcome == Outcome::Met && !is_missing {
                prop_assert!(capabilities.pointer(&reason.offered).is_some(), "{reason:?}");
            }
        }
    }

    /// Another way to be eligible never turns yes into no; the first one may.
    #[test]
    fn another_rule_never_turns_yes_into_no(
        constraints in constraints(),
        rule in rule(),
        device in device(),
        at in any::<prop::sample::Index>(),
    ) {
        prop_assume!(constraints.eligibility_rules.as_ref().is_some_and(|rules| !rules.is_empty()));
        let before = evaluate_constraints(&constraints, &device).fits();
        let mut more = constraints;
        let rules = more.eligibility_rules.as_mut().unwrap();
        rules.insert(at.index(rules.len() + 1), rule);
        prop_assert!(!before || evaluate_constraints(&more, &device).fits());
    }

    /// Another thing asked for in every rule never turns no into yes.
    #[test]
    fn another_expression_never_turns_no_into_yes(
        rules in vec(rule(), 1..4),
        selector in selector(),
        device in device(),
    ) {
        let mut constraints = DeviceConstraints::default();
        constraints.eligibility_rules = Some(rules);
        let before = evaluate_constraints(&constraints, &device).fits();
        for rule in constraints.eligibility_rules.as_mut().unwrap() {
            let mine = rule.property_selector.get_or_insert_default();
            mine.match_expressions.extend(selector.match_expressions.clone());
        }
        prop_assert!(before || !evaluate_constraints(&constraints, &device).fits());
    }

    /// Rules are alternatives: their order says nothing, and together they allow what one of them allows.
    #[test]
    fn rules_together_allow_what_one_of_them_allows(rules in vec(rule(), 1..4), device in device()) {
        let fits = |rules: &[EligibilityRule]| {
            let mut constraints = DeviceConstraints::default();
            constraints.eligibility_rules = Some(rules.to_vec());
            evaluate_constraints(&constraints, &device).fits()
        };
        let reversed: Vec<_> = rules.iter().rev().cloned().collect();
        prop_assert_eq!(fits(&rules), fits(&reversed));
        prop_assert_eq!(fits(&rules), rules.iter().any(|rule| fits(std::slice::from_ref(rule))));
    }

    /// Capacity and eligibility are independent: both, or nothing.
    #[test]
    fn capacity_and_eligibility_are_both_needed(constraints in constraints(), device in device()) {
        let mut capacity = constraints.clone();
        capacity.eligibility_rules = None;
        let mut eligibility = constraints.clone();
        eligibility.capacity_requirements = None;
        prop_assert_eq!(
            evaluate_constraints(&constraints, &device).fits(),
            evaluate_constraints(&capacity, &device).fits() && evaluate_constraints(&eligibility, &device).fits()
        );
    }

    /// More memory, and another processor, never turn yes into no.
    #[test]
    fn more_capacity_never_turns_yes_into_no(
        capacity in capacity(),
        device in device(),
        cores in 0.0..9.0_f64,
        gibibytes in 0_u64..999,
    ) {
        let mut constraints = DeviceConstraints::default();
        constraints.capacity_requirements = Some(capacity);
        let before = evaluate_constraints(&constraints, &device).fits();
        let mut better = device;
        if let Some(cpus) = &mut better.properties.cpus {
            cpus.push(margo_capability::Cpu::new(cores));
        }
        let bytes = better.properties.memory.as_ref().and_then(Quantity::bytes);
        if let Some(more) = bytes.and_then(|bytes| bytes.checked_add(gibibytes << 30)) {
            better.properties.memory = Some(Quantity::of_bytes(more));
        }
        prop_assert!(!before || evaluate_constraints(&constraints, &better).fits());
    }

    /// Of what is asked for: a complement is a complement, where there is something to compare.
    #[test]
    fn operators_come_in_opposites(key in key(), values in vec(json_value(), 0..3), device in device()) {
        // Nothing is asked of a device that hosts nothing.
        prop_assume!(device.properties.hosts_workloads());
        let fits = |operator: Operator, values: Option<Vec<Value>>| {
            let mut expression = MatchExpression::new(&key, operator);
            expression.values = values;
            let mut rule = EligibilityRule::default();
            rule.property_selector = Some(Selector::new(vec![expression]));
            let mut constraints = DeviceConstraints::default();
            constraints.eligibility_rules = Some(vec![rule]);
            let placement = evaluate_constraints(&constraints, &device);
            let reasons = placement.reasons().iter();
            reasons.filter(|r| matches!(r.criterion, Criterion::Expression { .. })).all(|r| r.outcome == Outcome::Met)
        };
        let exists = fits(Operator::Exists, None);
        prop_assert!(!(exists && fits(Operator::DoesNotExist, None)));
        let is_in = fits(Operator::In, Some(values.clone()));
        let not_in = fits(Operator::NotIn, Some(values.clone()));
        prop_assert!(!(is_in && not_in));
        prop_assert!(exists || !(is_in || not_in));
        prop_assert!(!(fits(Operator::Gt, Some(values.clone())) && fits(Operator::Lt, Some(values))));
    }
}
