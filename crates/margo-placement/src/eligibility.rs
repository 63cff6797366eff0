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
        Operator::Unrecognized(_) => {
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

/// The longest text of a document that a message repeats, in characters.
const LONGEST: usize = 60;

fn told(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(members) => format!("an object of {} members", members.len()),
        _ => text.chars().take(LONGEST).chain(['…']).collect(),
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
