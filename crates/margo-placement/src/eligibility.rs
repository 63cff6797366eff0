use std::cmp::Ordering;

use margo_capability::DeviceCapabilitiesManifest;
use margo_deployment::{DeviceConstraints, EligibilityRule, MatchExpression, Operator, Selector};
use serde_json::{Number, Value};

use crate::place::{Place, is_pointer};
use crate::placement::{Criterion, Reasons, list};

pub(crate) fn evaluate(
    constraints: &DeviceConstraints,
    at: &Place,
    device: &DeviceCapabilitiesManifest,
    reasons: &mut Reasons,
) {
    let Some(rules) = constraints.eligibility_rules.as_deref().filter(|rules| !rules.is_empty()) else {
        return;
    };
    // Everything the device says, as it says it. Names are texts and numbers are finite: nothing to fail.
    let device = serde_json::to_value(device).unwrap_or_default();
    let at = at.at("eligibilityRules");
    let start = reasons.len();
    let mut matching = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if evaluate_rule(index, rule, &at.at(index), &device, reasons) {
            matching.push(index);
        }
    }
    let message = match (matching.first(), rules.len()) {
        (Some(first), 1) => format!("eligibility rule {} matches", first + 1),
        (Some(first), all) => format!("eligibility rule {} of {all} matches", first + 1),
        (None, 1) => "the eligibility rule does not match".to_owned(),
        (None, all) => format!("none of {all} eligibility rules matches"),
    };
    reasons.add_before(start, Criterion::Eligibility, !matching.is_empty(), &at, message);
}

/// Both selectors match; an absent one always does.
fn evaluate_rule(
    index: usize,
    rule: &EligibilityRule,
    at: &Place,
    device: &Value,
    reasons: &mut Reasons,
) -> bool {
    let start = reasons.len();
    let mut is_met = true;
    let selectors = [
        ("propertySelector", &rule.property_selector, Keys::Pointers, "properties"),
        ("labelSelector", &rule.label_selector, Keys::Names, "labels"),
    ];
    for (name, selector, keys, member) in selectors {
        let Some(selector) = selector else { continue };
        let subject = Subject { value: device.get(member), place: Place::root().at(member), keys };
        for (number, expression) in selector.match_expressions.iter().enumerate() {
            let found = subject.find(&expression.key);
            let verdict = compare(expression, &found);
            is_met &= verdict.is_met;
            reasons.add(
                Criterion::Expression { rule: index },
                verdict.is_met,
                &at.at(name).at("matchExpressions").at(number),
                &verdict.place.unwrap_or(found.place),
                verdict.message,
            );
        }
    }
    let number = index + 1;
    let message =
        if is_met { format!("rule {number} matches") } else { format!("rule {number} does not match") };
    reasons.add_before(start, Criterion::Rule { rule: index }, is_met, at, message);
    is_met
}

/// How a key names a value.
#[derive(Clone, Copy)]
enum Keys {
    /// By a JSON Pointer (RFC 6901).
    Pointers,
    /// By its exact name.
    Names,
}

/// What keys are looked up in.
struct Subject<'a> {
    value: Option<&'a Value>,
    place: Place,
    keys: Keys,
}

/// What a key leads to.
struct Found<'a> {
    name: String,
    value: Option<&'a Value>,
    place: Place,
    /// The key is a pointer where one is wanted.
    is_key: bool,
}

impl<'a> Subject<'a> {
    fn find(&self, key: &str) -> Found<'a> {
        let name = if key.is_empty() { "the element".to_owned() } else { format!("`{key}`") };
        match self.keys {
            Keys::Pointers => {
                let is_key = is_pointer(key);
                let value = self.value.filter(|_| is_key).and_then(|value| value.pointer(key));
                let place = if is_key { self.place.follow(key) } else { self.place.clone() };
                Found { name, value, place, is_key }
            }
            Keys::Names => {
                let value = self.value.and_then(|value| value.get(key));
                let name = format!("the label `{key}`");
                Found { name, value, place: self.place.at(key), is_key: true }
            }
        }
    }
}

struct Verdict {
    is_met: bool,
    message: String,
    /// The place that decided, if it is another than that of the key.
    place: Option<Place>,
}

impl Verdict {
    fn new(is_met: bool, message: String) -> Self {
        Self { is_met, message, place: None }
    }
}

/// A mismatch of types is false, never an error (revision D, section 3.5).
fn compare(expression: &MatchExpression, found: &Found<'_>) -> Verdict {
    let Found { name, value, is_key, .. } = found;
    if !is_key {
        return Verdict::new(false, format!("the key {name} is no JSON Pointer"));
    }
    match &expression.operator {
        Operator::Exists => match value {
            Some(value) => Verdict::new(true, format!("{name} is there, and is {}", told(value))),
            None => Verdict::new(false, format!("{name} must be there, and is not")),
        },
        Operator::DoesNotExist => match value {
            Some(value) => Verdict::new(false, format!("{name} must not be there, and is {}", told(value))),
            None => Verdict::new(true, format!("{name} is not there")),
        },
        Operator::In | Operator::NotIn => one_of(expression, found),
        Operator::Gt => bound(expression, found, Ordering::Greater, "more than"),
        Operator::Lt => bound(expression, found, Ordering::Less, "less than"),
        Operator::ContainsAll | Operator::ContainsAny => contains(expression, found),
        _ => {
            let operator = &expression.operator;
            Verdict::new(
                false,
                format!("`{operator}` is no operator this library knows, so {name} does not match"),
            )
        }
    }
}

fn one_of(expression: &MatchExpression, found: &Found<'_>) -> Verdict {
    let name = &found.name;
    let wants_in = expression.operator == Operator::In;
    let Some(values) = expression.values.as_deref() else {
        return Verdict::new(false, format!("there are no values to compare {name} with"));
    };
    let listed = match values {
        [] => "nothing".to_owned(),
        [only] => told(only),
        _ => format!("one of {}", list(values.iter().map(told))),
    };
    let (must, wanted) = if wants_in { ("must be", &listed) } else { ("must not be", &listed) };
    // `NotIn` needs the key to exist.
    let Some(value) = found.value else {
        return Verdict::new(false, format!("{name} {must} {wanted}, and is not there"));
    };
    let is_comparable = values.is_empty() || values.iter().any(|other| is_same_type(value, other));
    let is_in = values.iter().any(|other| is_same(value, other));
    let is_met = is_comparable && is_in == wants_in;
    let note = if is_comparable { "" } else { ", which is of another type" };
    Verdict::new(is_met, format!("{name} {must} {wanted}, and is {}{note}", told(value)))
}

fn bound(expression: &MatchExpression, found: &Found<'_>, wanted: Ordering, words: &str) -> Verdict {
    let name = &found.name;
    let Some([Value::Number(bound)]) = expression.values.as_deref() else {
        return Verdict::new(false, format!("{name} needs exactly one number to be compared with"));
    };
    match found.value {
        Some(Value::Number(number)) => {
            let is_met = order(number, bound) == Some(wanted);
            Verdict::new(is_met, format!("{name} must be {words} {bound}, and is {number}"))
        }
        Some(other) => Verdict::new(
            false,
            format!("{name} must be {words} {bound}, and is {}, which is no number", told(other)),
        ),
        None => Verdict::new(false, format!("{name} must be {words} {bound}, and is not there")),
    }
}

fn contains(expression: &MatchExpression, found: &Found<'_>) -> Verdict {
    let name = &found.name;
    let Some(selector) = expression.item_selector.as_deref() else {
        return Verdict::new(false, format!("nothing says what {name} must contain"));
    };
    let wants_all = expression.operator == Operator::ContainsAll;
    let wanted = described(selector, if wants_all { " and " } else { " or " });
    let items = match found.value {
        Some(Value::Array(items)) => items,
        Some(other) => {
            let is = told(other);
            return Verdict::new(
                false,
                format!("{name} must contain one {wanted}, and is {is}, which is no list"),
            );
        }
        None => return Verdict::new(false, format!("{name} must contain one {wanted}, and is not there")),
    };
    for (index, item) in items.iter().enumerate() {
        let place = found.place.at(index);
        let subject = Subject { value: Some(item), place: place.clone(), keys: Keys::Pointers };
        let matches =
            |expression: &MatchExpression| compare(expression, &subject.find(&expression.key)).is_met;
        let expressions = &selector.match_expressions;
        if if wants_all { expressions.iter().all(matches) } else { expressions.iter().any(matches) } {
            let number = index + 1;
            let message = format!("{name} must contain one {wanted}, and number {number} is");
            return Verdict { is_met: true, message, place: Some(place) };
        }
    }
    let message = match items.len() {
        0 => format!("{name} must contain one {wanted}, and is empty"),
        1 => format!("{name} must contain one {wanted}, and the only one is not"),
        count => format!("{name} must contain one {wanted}, and none of {count} is"),
    };
    Verdict::new(false, message)
}

/// What an item selector asks for: ``whose `/type` is "gpu"``.
fn described(selector: &Selector, conjunction: &str) -> String {
    let parts: Vec<_> = selector
        .match_expressions
        .iter()
        .map(|expression| {
            let key =
                if expression.key.is_empty() { "value".to_owned() } else { format!("`{}`", expression.key) };
            let values = || list(expression.values.iter().flatten().map(told));
            match &expression.operator {
                Operator::In if expression.values.as_ref().is_some_and(|values| values.len() > 1) => {
                    format!("{key} is one of {}", values())
                }
                Operator::In => format!("{key} is {}", values()),
                Operator::NotIn => format!("{key} is not {}", values()),
                Operator::Exists => format!("{key} is there"),
                Operator::DoesNotExist => format!("{key} is not there"),
                Operator::Gt => format!("{key} is more than {}", values()),
                Operator::Lt => format!("{key} is less than {}", values()),
                other => format!("{key} {other} something"),
            }
        })
        .collect();
    if parts.is_empty() { "of any kind".to_owned() } else { format!("whose {}", parts.join(conjunction)) }
}

/// The longest text of a document that a message repeats, in characters; and the longest list, in items.
const LONGEST: usize = 60;
const MOST: usize = 8;

/// What stands there, in a few words however much it is.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let short: String = text.chars().take(LONGEST).collect();
            let rest = if short.len() < text.len() { "…" } else { "" };
            format!("{:?}", format!("{short}{rest}"))
        }
        Value::Array(items)
            if items.len() > MOST || items.iter().any(|item| item.is_array() || item.is_object()) =>
        {
            format!("a list of {}", items.len())
        }
        Value::Array(items) => format!("[{}]", items.iter().map(told).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.len() == 1 => "an object of 1 member".to_owned(),
        Value::Object(members) => format!("an object of {} members", members.len()),
        scalar => scalar.to_string(),
    }
}

fn is_same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Texts exactly and case-sensitively, numbers by what they count: `4` is `4.0`.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

/// Whole numbers are compared exactly, however large.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "expressions read better where they stand")]
mod tests {
    use margo_capability::{
        CommunicationInterface, DeploymentType, InterfaceType, Peripheral, PeripheralType, Properties,
    };
    use serde_json::json;

    use super::*;
    use crate::{Outcome, Placement, evaluate_constraints};

    fn device() -> DeviceCapabilitiesManifest {
        let mut properties = Properties::new("plc-7".parse().unwrap(), "Acme", "PLC 9000", "SN-1");
        properties.supported_deployment_types = Some(vec![DeploymentType::Helm, DeploymentType::Custom]);
        properties.otel_collector = Some(true);
        let mut gpu = Peripheral::new(PeripheralType::Gpu);
        gpu.manufacturer = Some("NVIDIA".into());
        properties.peripherals = Some(vec![Peripheral::new(PeripheralType::Display), gpu]);
        properties.interfaces = Some(vec![CommunicationInterface::new(InterfaceType::Ethernet)]);
        properties
            .extensions
            .insert("x-acme-extensions", json!({ "slots": 4, "a/b": null, "big": u64::MAX }));
        let mut device = DeviceCapabilitiesManifest::new(properties);
        let labels = json!({ "acme.com/hall": "north", "rack": 7, "safe": true, "zones": ["a", "b"], "rates": [1.5, 3] });
        device.labels = serde_json::from_value(labels).unwrap();
        device
    }

    fn place(rules: Value) -> Placement {
        let mut constraints = DeviceConstraints::default();
        constraints.eligibility_rules = Some(serde_json::from_value(rules).unwrap());
        evaluate_constraints(&constraints, &device())
    }

    /// Whether one expression of a property selector matches, and what is said of it.
    fn property(expression: Value) -> (bool, String) {
        said(place(json!([{ "propertySelector": { "matchExpressions": [expression] } }])))
    }

    fn label(expression: Value) -> (bool, String) {
        said(place(json!([{ "labelSelector": { "matchExpressions": [expression] } }])))
    }

    fn said(placement: Placement) -> (bool, String) {
        let reason = placement.reasons().last().unwrap();
        assert_eq!(placement.fits(), reason.outcome == Outcome::Met);
        (placement.fits(), reason.message.clone())
    }

    /// R-D-027.
    #[test]
    fn in_is_exact_and_case_sensitive() {
        let vendor =
            |values: Value| property(json!({ "key": "/vendor", "operator": "In", "values": values }));
        assert_eq!(
            vendor(json!(["Globex", "Acme"])),
            (true, r#"`/vendor` must be one of "Globex" and "Acme", and is "Acme""#.into())
        );
        assert_eq!(vendor(json!(["acme"])), (false, r#"`/vendor` must be "acme", and is "Acme""#.into()));
        assert_eq!(
            vendor(json!([7])),
            (false, r#"`/vendor` must be 7, and is "Acme", which is of another type"#.into())
        );
        assert!(!vendor(json!([])).0);
        assert!(!property(json!({ "key": "/vendor", "operator": "In" })).0);
        assert!(!property(json!({ "key": "/missing", "operator": "In", "values": [null] })).0);
    }

    /// Revision D, section 3.5: `NotIn` needs the key to exist (R-D-027).
    #[test]
    fn not_in_needs_the_key() {
        let not_in =
            |key: &str, values: Value| property(json!({ "key": key, "operator": "NotIn", "values": values }));
        assert!(not_in("/vendor", json!(["Globex"])).0);
        assert!(not_in("/vendor", json!([])).0);
        assert!(!not_in("/vendor", json!(["Globex", "Acme"])).0);
        assert_eq!(
            not_in("/missing", json!(["a"])),
            (false, r#"`/missing` must not be "a", and is not there"#.into())
        );
        // A mismatch of types is false, whatever the operator.
        assert_eq!(
            not_in("/vendor", json!([7, 8])),
            (
                false,
                r#"`/vendor` must not be one of 7 and 8, and is "Acme", which is of another type"#.into()
            )
        );
        assert!(not_in("/vendor", json!([7, "Globex"])).0);
    }

    #[test]
    fn existence_is_of_keys_and_not_of_values() {
        let is = |key: &str, operator: &str| property(json!({ "key": key, "operator": operator })).0;
        for key in ["/vendor", "/otelCollector", "/x-acme-extensions/a~1b", "/peripherals/1/manufacturer", ""]
        {
            assert!(is(key, "Exists") && !is(key, "DoesNotExist"), "{key}");
        }
        for key in ["/cpus", "/peripherals/2", "/peripherals/01", "/vendor/x"] {
            assert!(!is(key, "Exists") && is(key, "DoesNotExist"), "{key}");
        }
        // What is no pointer leads nowhere, and nothing follows from that.
        for key in ["vendor", "/a~2b"] {
            assert!(!is(key, "Exists") && !is(key, "DoesNotExist"), "{key}");
        }
    }

    #[test]
    fn bounds_take_exactly_one_number() {
        let slots = "/x-acme-extensions/slots";
        let is = |key: &str, operator: &str, values: Value| {
            property(json!({ "key": key, "operator": operator, "values": values }))
        };
        assert_eq!(is(slots, "Gt", json!([3])), (true, format!("`{slots}` must be more than 3, and is 4")));
        assert!(
            !is(slots, "Gt", json!([4])).0
                && !is(slots, "Gt", json!([4.0])).0
                && is(slots, "Gt", json!([3.99])).0
        );
        assert!(is(slots, "Lt", json!([4.5])).0 && !is(slots, "Lt", json!([4])).0);
        for values in [json!([]), json!([1, 2]), json!(["3"])] {
            assert!(!is(slots, "Gt", values.clone()).0 && !is(slots, "Lt", values).0);
        }
        assert_eq!(
            is("/vendor", "Gt", json!([3])),
            (false, r#"`/vendor` must be more than 3, and is "Acme", which is no number"#.into())
        );
        assert!(!is("/missing", "Lt", json!([3])).0);
        // Beyond what a float can tell apart.
        let big = "/x-acme-extensions/big";
        assert!(is(big, "Gt", json!([u64::MAX - 1])).0 && !is(big, "Lt", json!([u64::MAX])).0);
        assert!(is(big, "In", json!([u64::MAX])).0 && !is(big, "In", json!([u64::MAX - 1])).0);
        assert!(is(slots, "In", json!([4.0])).0);
    }

    fn items(key: &str, operator: &str, expressions: Value) -> (bool, String) {
        property(
            json!({ "key": key, "operator": operator, "itemSelector": { "matchExpressions": expressions } }),
        )
    }

    /// Revision D, section 3.5: one element satisfies all expressions, or at least one (R-D-027).
    #[test]
    fn one_element_matches_all_or_any() {
        let is = |key: &str, value: &str| json!({ "key": key, "operator": "In", "values": [value] });
        let (gpu, nvidia, display) =
            (is("/type", "gpu"), is("/manufacturer", "NVIDIA"), is("/type", "display"));
        assert_eq!(
            items("/peripherals", "ContainsAll", json!([gpu, nvidia])),
            (
                true,
                r#"`/peripherals` must contain one whose `/type` is "gpu" and `/manufacturer` is "NVIDIA", and number 2 is"#
                    .into()
            )
        );
        // One is a display, another is by NVIDIA: no element is both.
        assert_eq!(
            items("/peripherals", "ContainsAll", json!([display, nvidia])),
            (
                false,
                r#"`/peripherals` must contain one whose `/type` is "display" and `/manufacturer` is "NVIDIA", and none of 2 is"#
                    .into()
            )
        );
        assert!(items("/peripherals", "ContainsAny", json!([is("/type", "camera"), nvidia])).0);
        assert_eq!(
            items("/interfaces", "ContainsAny", json!([is("/type", "wifi"), is("/type", "usb")])),
            (
                false,
                r#"`/interfaces` must contain one whose `/type` is "wifi" or `/type` is "usb", and the only one is not"#.into()
            )
        );
        // X-D-09: `nic` is no type of peripheral, and matches nothing.
        assert!(!items("/peripherals", "ContainsAll", json!([is("/type", "nic")])).0);
        assert!(items("/peripherals", "ContainsAll", json!([])).0);
        assert!(!items("/peripherals", "ContainsAny", json!([])).0);
        assert!(!items("/vendor", "ContainsAll", json!([])).0);
        assert!(!items("/missing", "ContainsAny", json!([gpu])).0);
        assert!(!property(json!({ "key": "/peripherals", "operator": "ContainsAll" })).0);
    }

    #[test]
    fn elements_may_be_values_themselves() {
        let helm = json!([{ "key": "", "operator": "In", "values": ["helm"] }]);
        assert_eq!(
            items("/supportedDeploymentTypes", "ContainsAll", helm),
            (
                true,
                r#"`/supportedDeploymentTypes` must contain one whose value is "helm", and number 1 is"#
                    .into()
            )
        );
        let more = json!({ "matchExpressions": [{ "key": "", "operator": "Gt", "values": [2] }] });
        assert!(label(json!({ "key": "rates", "operator": "ContainsAny", "itemSelector": more })).0);
        assert!(!label(json!({ "key": "zones", "operator": "ContainsAny", "itemSelector": more })).0);
    }

    /// The key of a label is its exact name, and no pointer.
    #[test]
    fn labels_go_by_their_names() {
        assert_eq!(
            label(json!({ "key": "acme.com/hall", "operator": "In", "values": ["north"] })),
            (true, r#"the label `acme.com/hall` must be "north", and is "north""#.into())
        );
        assert!(!label(json!({ "key": "/rack", "operator": "Exists" })).0);
        assert!(label(json!({ "key": "rack", "operator": "Gt", "values": [6] })).0);
        assert!(label(json!({ "key": "safe", "operator": "In", "values": [true] })).0);
        assert_eq!(
            label(json!({ "key": "zones", "operator": "In", "values": ["a"] })),
            (false, r#"the label `zones` must be "a", and is ["a", "b"], which is of another type"#.into())
        );
        assert!(label(json!({ "key": "Rack", "operator": "DoesNotExist" })).0);
    }

    #[test]
    fn an_unknown_operator_matches_nothing() {
        let (fits, message) = property(json!({ "key": "/vendor", "operator": "Near", "values": ["Acme"] }));
        assert_eq!(
            (fits, message.as_str()),
            (false, "`Near` is no operator this library knows, so `/vendor` does not match")
        );
    }

    /// Rules OR; inside a rule property AND label; expressions AND (R-D-027).
    #[test]
    fn one_rule_is_enough_and_every_expression_of_it_is_needed() {
        let yes = json!({ "key": "/vendor", "operator": "Exists" });
        let no = json!({ "key": "/missing", "operator": "Exists" });
        let label = |name: &str| json!({ "key": name, "operator": "Exists" });
        let rule = |properties: Value, labels: Value| {
            json!({
                "propertySelector": { "matchExpressions": properties },
                "labelSelector": { "matchExpressions": labels },
            })
        };
        assert!(place(json!([rule(json!([yes, yes]), json!([label("rack")]))])).fits());
        assert!(!place(json!([rule(json!([yes, no]), json!([label("rack")]))])).fits());
        assert!(!place(json!([rule(json!([yes]), json!([label("shelf")]))])).fits());
        assert!(place(json!([{}])).fits() && place(json!([])).fits());

        let placement = place(json!([rule(json!([no]), json!([])), rule(json!([yes]), json!([]))]));
        assert!(placement.fits());
        let told: Vec<_> =
            placement.reasons().iter().map(|r| (r.criterion, r.outcome, r.asked.as_str())).collect();
        let at = "/eligibilityRules";
        let expression = |rule| format!("{at}/{rule}/propertySelector/matchExpressions/0");
        assert_eq!(
            told,
            [
                (Criterion::Hosting, Outcome::Met, ""),
                (Criterion::Eligibility, Outcome::Met, at),
                (Criterion::Rule { rule: 0 }, Outcome::Unmet, &format!("{at}/0")),
                (Criterion::Expression { rule: 0 }, Outcome::Unmet, &expression(0)),
                (Criterion::Rule { rule: 1 }, Outcome::Met, &format!("{at}/1")),
                (Criterion::Expression { rule: 1 }, Outcome::Met, &expression(1)),
            ]
        );
        assert_eq!(placement.reasons()[1].message, "eligibility rule 2 of 2 matches");
        assert_eq!(placement.reasons()[5].offered, "/properties/vendor");

        let refused = place(json!([rule(json!([no]), json!([])), rule(json!([no]), json!([]))]));
        let refusals: Vec<_> = refused.refusals().map(|reason| reason.message.as_str()).collect();
        assert_eq!(refusals, ["none of 2 eligibility rules matches"]);
    }

    #[test]
    fn places_lead_into_both_documents() {
        let item = json!({ "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["gpu"] }] });
        let rules = json!([{ "propertySelector": { "matchExpressions": [
            { "key": "/peripherals", "operator": "ContainsAll", "itemSelector": item }
        ] } }]);
        let placement = place(rules).within("/spec/deploymentProfile/deviceConstraints");
        let reason = placement.reasons().last().unwrap();
        assert_eq!(reason.offered, "/properties/peripherals/1");
        assert_eq!(
            reason.asked,
            "/spec/deploymentProfile/deviceConstraints/eligibilityRules/0/propertySelector/matchExpressions/0"
        );
    }

    #[test]
    fn a_message_stays_short() {
        let long = "x".repeat(1000);
        let (_, message) = property(
            json!({ "key": "/vendor", "operator": "In", "values": [long, vec![0; 100], { "a": 1 }] }),
        );
        assert!(message.chars().count() < 200, "{message}");
        assert!(message.contains("a list of 100 and an object of 1 member"), "{message}");
    }
}
