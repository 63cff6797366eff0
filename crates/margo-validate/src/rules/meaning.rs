//! What the model crates find in a document as a whole, in words: each fault with its rule.

use margo_syntax::{Fault, Node, NodeKind, Pointer, Tree, pointer};

use super::deployment::name_one_of;
use super::words::place;
use super::{capabilities, deployment, description, manifest, shape};
use crate::{Finding, RuleInfo};

/// What a fault says, the rule it breaks, and what to do. The first row that fits counts.
type Row = (&'static str, &'static RuleInfo, Option<&'static str>);

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
        Some("write `repository` and `revision`, or another `type`"),
    ),
    (
        "an archive needs",
        &deployment::PACKAGE_OF_ANOTHER_TYPE,
        Some("write `packageLocation`, or another `type`"),
    ),
    (
        "expected a JSON Pointer",
        &deployment::MALFORMED_EXPRESSION,
        Some("begin the key with `/`, as in `/vendor`"),
    ),
    (
        "expected exactly one number",
        &deployment::MALFORMED_EXPRESSION,
        Some("`Gt` and `Lt` compare with one number: `values: [4]`"),
    ),
    (
        "missing `values`",
        &deployment::MALFORMED_EXPRESSION,
        Some("say what to compare with: `values: [...]`"),
    ),
    (
        "missing `itemSelector`",
        &deployment::MALFORMED_EXPRESSION,
        Some("say what the items must be: `itemSelector`"),
    ),
    ("another profile is", &description::DUPLICATE_PROFILE_ID, Some("give every profile an id of its own")),
    (
        "needs an eligibility rule",
        &description::CUSTOM_WITHOUT_LABELS,
        Some("add `deviceConstraints.eligibilityRules` with a `labelSelector`"),
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
        Some("name the archive that holds their documents"),
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
        Some("write the URL of what the digest names"),
    ),
    ("listed twice", &manifest::DEPLOYMENT_LISTED_TWICE, Some("list every deployment once")),
    (
        "a device with deployment types must tell it",
        &capabilities::MISSING_HOSTING_FIELD,
        Some("tell it, or leave out `supportedDeploymentTypes` if it hosts nothing"),
    ),
    (
        "the deployment type `compose` runs on",
        &capabilities::COMPOSE_WITHOUT_OCI,
        Some("add `oci`, or take `compose` out of `supportedDeploymentTypes`"),
    ),
    (
        "has a collector",
        &capabilities::MISSING_HOSTING_FIELD,
        Some("a device that hosts workloads runs an OpenTelemetry collector"),
    ),
    (
        "a device with the role",
        &capabilities::MISSING_HOSTING_FIELD,
        Some("tell what the device offers, or drop the roles that host workloads"),
    ),
    ("not a ApplicationId", &shape::MALFORMED_APPLICATION_ID, None),
    ("not a ComponentName", &shape::MALFORMED_COMPONENT_NAME, None),
    (
        "not a DeploymentId",
        &shape::MALFORMED_DEPLOYMENT_ID,
        Some("write a name without `.` or `..` as a segment"),
    ),
    ("not a DeviceId", &shape::MALFORMED_DEVICE_ID, Some("write segments that do not navigate")),
    ("not a DeviceTarget", &shape::MALFORMED_DEVICE_ID, Some("write segments that do not navigate")),
    ("text that is not empty", &shape::EMPTY_VALUE, Some("give it at least one character")),
    ("differs from", &shape::DEPRECATED_FIELD, Some("write the id once, where this revision has it")),
    ("expected at least one", &shape::EMPTY_VALUE, Some("give it at least one")),
    ("expected more than 0", &shape::OUT_OF_RANGE, Some("write a number above 0")),
    ("expected no negative number", &shape::OUT_OF_RANGE, Some("write a number from 0 up")),
    ("is no amount", &shape::MALFORMED_QUANTITY, Some("write digits and a unit, such as `512Mi`")),
    (
        "unknown member",
        &shape::UNKNOWN_FIELD,
        Some("remove it, or put it into an extension, `x-<supplier>-extensions`"),
    ),
    ("missing field", &shape::MISSING_FIELD, Some("add it")),
    (
        "is not supported",
        &description::UNUSABLE_SCHEMA,
        Some("write a pattern without look-around and back-references"),
    ),
    ("is not a", &shape::UNKNOWN_VALUE, None),
    ("is not one of", &shape::UNKNOWN_VALUE, None),
];

/// A fault in words: the rule it breaks, and the finding.
pub(crate) fn describe(fault: &Fault, tree: &Tree) -> (&'static RuleInfo, Finding) {
    let at = fault.pointer();
    let message = fault.message();
    let row = ROWS.iter().find(|(says, ..)| message.contains(says));
    let is_schema = at.starts_with(&pointer!["configuration", "schema"]);
    let (rule, help) = match row {
        _ if is_schema && !message.starts_with("another schema") => {
            (&description::UNUSABLE_SCHEMA, Some("change the schema so that some value can follow it"))
        }
        Some((_, rule, help)) => (*rule, *help),
        None => (&shape::WRONG_TYPE, None),
    };
    let sentence = sentence(at, message);
    let mut finding = if fault.is_key() {
        Finding::of_key(at.clone(), sentence)
    } else {
        Finding::new(at.clone(), sentence)
    };
    if let Some(help) = help {
        finding = finding.help(help);
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

fn sentence(at: &Pointer, message: &str) -> String {
    let missing = message.strip_prefix("missing field ").or_else(|| message.strip_prefix("missing "));
    if let Some(name) = missing.filter(|name| name.starts_with('`')) {
        return format!("{name} is missing in {}", place(at));
    }
    if let Some((_, why)) = message.strip_prefix("not a ").and_then(|rest| rest.split_once(": ")) {
        let why = why.split_once(" at byte").map_or(why, |(why, _)| why);
        return format!("{} cannot be used as an id: {why}", place(at));
    }
    if message.ends_with("text that is not empty") {
        return format!("{} is empty", place(at));
    }
    if let Some((is, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        return format!("{} must be {expected}, and is {is}", place(at));
    }
    match message.strip_prefix("missing: ") {
        Some(why) => format!("{} is missing: {why}", place(at)),
        None if message.starts_with("greater than") => format!("{} is {message}", place(at)),
        None if speaks_for_itself(message) => message.to_owned(),
        None => format!("{}: {message}", place(at)),
    }
}

/// Whether a message is a sentence that needs no subject.
fn speaks_for_itself(message: &str) -> bool {
    let subjects = ["another ", "no ", "`", "component ", "a `", "the "];
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
