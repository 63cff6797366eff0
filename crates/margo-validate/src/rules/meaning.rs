//! What the model crates find in a document as a whole, in words: each fault with its rule.

use margo_syntax::{Fault, Format, Node, NodeKind, Pointer, Tree, pointer};

use super::deployment::name_one_of;
use super::words::{clip, one_of, place};
use super::{capabilities, deployment, description, manifest, shape};
use crate::schema::compile::Schema;
use crate::schema::example::shown;
use crate::{Finding, RuleInfo};

/// What a fault says, the rule it breaks, and what to do. The first row that fits counts.
type Row = (&'static str, &'static RuleInfo, Option<&'static str>);

/// Where an example goes.
const EXAMPLE: &str = "{such as}";

static ROWS: &[Row] = &[
    (
        "another component is named",
        &deployment::DUPLICATE_COMPONENT,
        Some("give every component a name of its own"),
    ),
    ("is reported twice", &deployment::DUPLICATE_COMPONENT, Some("report every component once")),
    ("no component is named", &deployment::UNKNOWN_TARGET_COMPONENT, None),
    (
        "a chart needs",
        &deployment::PACKAGE_OF_ANOTHER_TYPE,
        Some("write `repository: oci://registry.example/collector` and `revision: 1.0.9`, or another `type`"),
    ),
    (
        "an archive needs",
        &deployment::PACKAGE_OF_ANOTHER_TYPE,
        Some("write `packageLocation: https://packages.example/collector.tar.gz`, or another `type`"),
    ),
    (
        "expected a JSON Pointer",
        &deployment::MALFORMED_EXPRESSION,
        Some("begin the key with `/`, and separate what it leads through with `/`, as in `/cpus/0/cores`"),
    ),
    (
        "expected exactly one number",
        &deployment::MALFORMED_EXPRESSION,
        Some("write one number, as in `values: [4]`"),
    ),
    (
        "missing `values`",
        &deployment::MALFORMED_EXPRESSION,
        Some("say what to compare with, as in `values: [Ostwind]`"),
    ),
    (
        "missing `itemSelector`",
        &deployment::MALFORMED_EXPRESSION,
        Some(
            "say what the items must be, as in `itemSelector: { matchExpressions: [{ key: /type, operator: In, values: [gpu] }] }`",
        ),
    ),
    ("another profile is", &description::DUPLICATE_PROFILE_ID, Some("give every profile an id of its own")),
    (
        "needs an eligibility rule",
        &description::CUSTOM_WITHOUT_LABELS,
        Some(
            "add `deviceConstraints: { eligibilityRules: [{ labelSelector: { matchExpressions: [{ key: example.com/runtime, operator: Exists }] } }] }`, with a label that suitable devices have",
        ),
    ),
    ("no parameter is named", &description::UNKNOWN_SETTING_PARAMETER, None),
    ("no schema is named", &description::UNKNOWN_SETTING_SCHEMA, None),
    ("another schema is named", &description::DUPLICATE_SCHEMA, Some("give every schema a name of its own")),
    (
        "the default ",
        &description::DEFAULT_AGAINST_ITS_SCHEMA,
        Some("change the default, or the schema its setting names"),
    ),
    (
        "null although there are deployments",
        &manifest::MISSING_BUNDLE,
        Some("give `mediaType`, `digest`, `sizeBytes` and `url` of the archive that holds their documents"),
    ),
    (
        "expected null, as there are no deployments",
        &manifest::BUNDLE_OF_NOTHING,
        Some("write `bundle: null`"),
    ),
    ("expected `application/vnd", &manifest::WRONG_MEDIA_TYPE, None),
    (
        "expected a URL that ends in",
        &manifest::URL_OF_ANOTHER_DIGEST,
        Some("write the URL of what the digest names, or the digest of what the URL leads to"),
    ),
    (
        "listed twice",
        &manifest::DEPLOYMENT_LISTED_TWICE,
        Some("remove one of the two entries, or give it the id of its own deployment"),
    ),
    (
        "a device with deployment types must tell it",
        &capabilities::MISSING_HOSTING_FIELD,
        Some("add it{such as}, or leave out `supportedDeploymentTypes` if the device hosts nothing"),
    ),
    (
        "the deployment type `compose` runs on",
        &capabilities::COMPOSE_WITHOUT_OCI,
        Some("write `supportedRuntimes: [oci]`, or take `compose` out of `supportedDeploymentTypes`"),
    ),
    (
        "has a collector",
        &capabilities::MISSING_HOSTING_FIELD,
        Some(
            "write `true` and run an OpenTelemetry collector on it, or leave out `supportedDeploymentTypes`",
        ),
    ),
    (
        "a device with the role",
        &capabilities::MISSING_HOSTING_FIELD,
        Some("add it{such as}, or drop the roles that host workloads"),
    ),
    ("not a ApplicationId", &shape::MALFORMED_APPLICATION_ID, None),
    ("not a ComponentName", &shape::MALFORMED_COMPONENT_NAME, None),
    (
        "not a DeploymentId",
        &shape::MALFORMED_DEPLOYMENT_ID,
        Some("write a name, such as `a3e2f5dc-912e-494f-8395-52cf3769bc06`"),
    ),
    (
        "not a DeviceId",
        &shape::MALFORMED_DEVICE_ID,
        Some("write names between the slashes, as in `gateway-1/plc-7`"),
    ),
    (
        "not a DeviceTarget",
        &shape::MALFORMED_DEVICE_ID,
        Some("write names between the slashes, as in `gateway-1/plc-7`"),
    ),
    ("text that is not empty", &shape::EMPTY_VALUE, Some("write at least one character{such as}")),
    ("differs from", &shape::DEPRECATED_FIELD, Some("write the id once, where this revision has it")),
    ("expected at least one character", &shape::EMPTY_VALUE, Some("write at least one character{such as}")),
    ("expected at least one", &shape::EMPTY_VALUE, Some("write at least one item{such as}")),
    ("expected more than 0", &shape::OUT_OF_RANGE, Some("write a number above 0")),
    ("expected no negative number", &shape::OUT_OF_RANGE, Some("write a number from 0 up")),
    ("is no amount", &shape::MALFORMED_QUANTITY, Some("write digits and a unit, such as `512Mi`")),
    (
        "unknown member",
        &shape::UNKNOWN_FIELD,
        Some("remove it, or put it into an extension, `x-<supplier>-extensions`"),
    ),
    ("missing field", &shape::MISSING_FIELD, Some("add it{such as}")),
    (
        "is not supported",
        &description::UNUSABLE_SCHEMA,
        Some("write a pattern without look-around and back-references"),
    ),
    ("is not a", &shape::UNKNOWN_VALUE, None),
    ("is not one of", &shape::UNKNOWN_VALUE, None),
];

/// A fault in words: the rule it breaks, and the finding.
pub(crate) fn describe(fault: &Fault, schema: Option<&Schema>, tree: &Tree) -> (&'static RuleInfo, Finding) {
    let at = fault.pointer();
    let message = fault.message();
    let row = ROWS.iter().find(|(says, ..)| message.contains(says));
    let is_schema = at.starts_with(&pointer!["configuration", "schema"]);
    let (rule, help) = match row {
        _ if is_schema && !message.starts_with("another schema") && !message.contains("is not supported") => {
            (
                &description::UNUSABLE_SCHEMA,
                Some("change one of the bounds, so that some value can follow the schema"),
            )
        }
        Some((_, rule, help)) => (*rule, *help),
        None => (&shape::WRONG_TYPE, None),
    };
    let sentence = sentence(at, message, tree);
    let mut finding = if fault.is_key() {
        Finding::of_key(at.clone(), sentence)
    } else {
        Finding::new(at.clone(), sentence)
    };
    let example = || {
        // A field that is missing is named by the fault.
        let name = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let at = name.map_or_else(|| at.clone(), |name| at.join(name));
        let value = shown(schema?.example(&at)?, tree.format())?;
        let name = at.last().filter(|name| name.parse::<usize>().is_err())?;
        Some(format!("`{}: {value}`", key(&name, tree.format())))
    };
    if let Some(help) = help {
        // Where an example belongs, there is one or nothing.
        let help = match example().filter(|_| help.contains(EXAMPLE)) {
            Some(example) => help.replace(EXAMPLE, &format!(", such as {example}")),
            None => help.replace(EXAMPLE, ""),
        };
        finding = finding.help(help);
    } else if let Some(words) = schema
        .filter(|_| std::ptr::eq(rule, &raw const shape::UNKNOWN_VALUE))
        .map(|schema| words_at(schema, at))
    {
        if !words.is_empty() {
            finding = finding.help(format!("write {}", one_of(words)));
        }
    } else if let Some((_, expected)) = mistyped(message) {
        let such_as = example().map(|example| format!(", such as {example}")).unwrap_or_default();
        finding = finding.help(format!("write {expected}{such_as}"));
    }
    let literal = tree.literal(at).unwrap_or_default();
    let related = |finding: Finding, list: Pointer, names: Vec<&str>, label: &str| {
        finding.help(name_one_of(literal, names.into_iter())).related(list, label)
    };
    let rule_is = |other: &'static RuleInfo| std::ptr::eq(rule, other);
    let finding = if rule_is(&deployment::UNKNOWN_TARGET_COMPONENT) {
        let profiles = pointer!["deploymentProfiles"];
        let lists = tree.get(&profiles).into_iter().flat_map(|list| list.children());
        let names = lists.filter_map(|profile| profile.get("components")).flat_map(named).collect();
        related(finding, profiles, names, "components are declared here")
    } else if rule_is(&description::UNKNOWN_SETTING_PARAMETER) {
        let keys = tree.get(&pointer!["parameters"]).into_iter().flat_map(|map| map.children());
        let names = keys.filter_map(|value| Some(value.key()?.text())).collect();
        related(finding, pointer!["parameters"], names, "parameters are declared here")
    } else if rule_is(&description::UNKNOWN_SETTING_SCHEMA) {
        let list = pointer!["configuration", "schema"];
        let names = tree.get(&list).into_iter().flat_map(named).collect();
        related(finding, list, names, "schemas are declared here")
    } else if let Some(first) = same_before(at, tree) {
        finding.related(first, "first used here")
    } else {
        finding
    };
    (rule, finding)
}

/// Whether a fault may be there only because of what was mended at these places.
pub(crate) fn looks_at(fault: &Fault, tree: &Tree, mended: &[Pointer]) -> bool {
    let at = fault.pointer();
    let (rule, _) = describe(fault, None, tree);
    let is = |others: &[&'static RuleInfo]| others.iter().any(|other| std::ptr::eq(*other, rule));
    let up = |levels: usize| (0..levels).try_fold(at.clone(), |at, _| at.parent()).unwrap_or_default();
    let around = if is(&[&deployment::MALFORMED_EXPRESSION, &manifest::URL_OF_ANOTHER_DIGEST]) {
        vec![up(1)]
    } else if is(&[&description::UNUSABLE_SCHEMA]) {
        vec![pointer!["configuration", "schema", at.segments().nth(2).unwrap_or_default()]]
    } else if is(&[&description::CUSTOM_WITHOUT_LABELS]) {
        vec![up(1).with("type")]
    } else if is(&[&deployment::PACKAGE_OF_ANOTHER_TYPE]) {
        // The profile: above the component, its list, and its properties.
        vec![up(3).with("type")]
    } else if is(&[&description::DEFAULT_AGAINST_ITS_SCHEMA]) {
        vec![pointer!["configuration"]]
    } else if is(&[&description::UNKNOWN_SETTING_SCHEMA]) {
        return touch(at, mended) || lead_to(&["configuration", "schema", "*", "name"], mended);
    } else if is(&[&description::UNKNOWN_SETTING_PARAMETER]) {
        return touch(at, mended) || lead_to(&["parameters"], mended);
    } else if is(&[&deployment::UNKNOWN_TARGET_COMPONENT]) {
        return touch(at, mended) || lead_to(&["deploymentProfiles", "*", "components", "*", "name"], mended);
    } else if is(&[&capabilities::MISSING_HOSTING_FIELD, &capabilities::COMPOSE_WITHOUT_OCI]) {
        let told = ["roles", "supportedDeploymentTypes", "supportedRuntimes"];
        told.map(|name| pointer!["properties", name]).into()
    } else {
        Vec::new()
    };
    touch(at, mended) || around.iter().any(|around| touch(around, mended))
}

/// Whether any of these places is `at`, within it, or around it.
fn touch(at: &Pointer, places: &[Pointer]) -> bool {
    places.iter().any(|place| place.starts_with(at) || at.starts_with(place))
}

/// Whether one of these places leads to such names, or is one: what is declared there is not what somebody wrote.
fn lead_to(names: &[&str], places: &[Pointer]) -> bool {
    places.iter().any(|place| {
        let mut steps = place.segments().zip(names);
        place.segments().count() <= names.len() && steps.all(|(step, name)| *name == "*" || step == *name)
    })
}

fn sentence(at: &Pointer, message: &str, tree: &Tree) -> String {
    let written = || clip(tree.literal(at).unwrap_or_default());
    let missing = message.strip_prefix("missing field ").or_else(|| message.strip_prefix("missing "));
    if let Some(name) = missing.filter(|name| name.starts_with('`')) {
        return format!("{name} is missing in {}", place(at));
    }
    if let Some((_, why)) = message.strip_prefix("not a ").and_then(|rest| rest.split_once(": ")) {
        let why = why.split_once(" at byte").map_or(why, |(why, _)| why);
        if why == "`.` or `..` as a segment" {
            return format!("`{}` is no id: `.` and `..` lead elsewhere in a path", written());
        }
        return format!("{} cannot be used as an id: {why}", place(at));
    }
    if message.ends_with("text that is not empty") || message.starts_with("expected at least one") {
        return format!("{} is empty", place(at));
    }
    if let Some((is, expected)) = mistyped(message) {
        return format!("{} must be {expected}, and is {is}", place(at));
    }
    if message.starts_with("expected a JSON Pointer") {
        return format!("the key `{}` is no JSON Pointer: it does not begin with `/`", written());
    }
    if message.starts_with("expected exactly one number") {
        return "`Gt` and `Lt` compare with exactly one number, and `values` is something else".to_owned();
    }
    if message.starts_with("expected a URL that ends in") {
        return "the URL does not end in the digest beside it".to_owned();
    }
    if let Some(id) = message.strip_prefix("another profile is ") {
        return format!("another profile has the id {id}");
    }
    if message == "listed twice" {
        return format!("deployment `{}` is listed twice", written());
    }
    if let Some(word) = message.strip_prefix("expected `oci`") {
        return format!("{} lacks `oci`{word}", place(at));
    }
    if let Some(why) = message.strip_prefix("expected `true`: ") {
        return format!("{} is `{}`, and {why}", place(at), written());
    }
    match message.strip_prefix("missing: ") {
        Some(why) => format!("{} is missing: {why}", place(at)),
        None if message.starts_with("greater than") => format!("{} is {message}", place(at)),
        None if speaks_for_itself(message) => message.to_owned(),
        None => format!("{}: {message}", place(at)),
    }
}

/// The words that may stand at a place; of an object, those of its state.
fn words_at<'a>(schema: &'a Schema, at: &Pointer) -> Vec<&'a str> {
    let words = |at: &Pointer| -> Vec<&'a str> {
        schema
            .at(at)
            .into_iter()
            .filter_map(|shape| shape.values.as_ref())
            .flatten()
            .filter_map(|it| it.as_str())
            .collect()
    };
    let own = words(at);
    if own.is_empty() { words(&at.join("state")) } else { own }
}

/// What a value is, and what it must be, out of the message of a reader that knows only types.
fn mistyped(message: &str) -> Option<(String, &'static str)> {
    let (is, expected) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?
        .split_once(", expected ")?;
    let words = [
        ("a string", "text"),
        ("string", "text"),
        ("a boolean", "`true` or `false`"),
        ("a sequence", "a list"),
        ("a map", "a mapping"),
        ("struct", "a mapping"),
        ("u", "a whole number"),
        ("i", "a whole number"),
        ("f", "a number"),
    ];
    let expected =
        words.iter().find(|(word, _)| expected.starts_with(word)).map_or("another value", |(_, it)| it);
    let kinds = [
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", "the boolean "),
        ("string ", "the text "),
        ("map", "a mapping"),
        ("sequence", "a list"),
        ("null", "nothing"),
        ("unit value", "nothing"),
    ];
    let is = kinds.iter().find_map(|(word, plain)| Some(format!("{plain}{}", is.strip_prefix(word)?)));
    Some((is.unwrap_or_else(|| "another".to_owned()).replace('"', "`"), expected))
}

fn key(name: &str, format: Format) -> String {
    if format == Format::Json { serde_json::Value::from(name).to_string() } else { clip(name) }
}

/// Whether a message is a sentence that needs no subject.
fn speaks_for_itself(message: &str) -> bool {
    let subjects = ["another ", "no ", "`", "component ", "a ", "an ", "the "];
    subjects.iter().any(|subject| message.starts_with(subject))
}

fn named(list: Node<'_>) -> Vec<&str> {
    list.children().filter_map(|item| item.get("name")?.literal()).collect()
}

/// The place of the same text in an earlier item of the same list.
fn same_before(at: &Pointer, tree: &Tree) -> Option<Pointer> {
    let name = at.last()?.into_owned();
    let item = at.parent()?;
    let index: usize = item.last()?.parse().ok()?;
    let list = item.parent()?;
    let text = tree.literal(at)?;
    let items = tree.get(&list).filter(|node| node.kind() == NodeKind::Sequence)?;
    let earlier = items
        .children()
        .take(index)
        .position(|item| item.get(&name).and_then(|node| node.literal()) == Some(text))?;
    Some(list.with(earlier).with(name))
}
