//! What one value must be, whatever stands around it: the JSON Schemas, in words.

use margo_core::{Digest, SpecVersion};
use margo_syntax::{Format, Node, NodeKind, Pointer, Style};
use serde_json::Value;

use super::words::{clip, nearest, one_of, place, same_but_for_case, value};
use super::{deployment, manifest, rules};
use crate::schema::compile::{Additional, Shape, Type};
use crate::schema::look::{Flaw, What};
use crate::{Change, Clause, DocumentKind, Finding, RuleInfo};

rules! {
    MISSING_FIELD = "missing-field", "required fields are there",
        Clause::must("desired-state#applicationdeployment"),
        ["missing-adopted-manifest-version", "missing-api-version", "missing-catalog", "missing-components",
         "missing-cores", "missing-deployment-id", "missing-device-id", "missing-name", "missing-organization",
         "missing-package", "missing-parameter-targets", "missing-parameter-value", "missing-profile-id",
         "missing-properties", "missing-resource", "missing-role", "missing-state", "missing-vendor"];
    UNKNOWN_FIELD = "unknown-field", "objects have no fields that nobody defines",
        Clause::must("desired-state#applicationdeployment"), ["unknown-member"];
    WRONG_TYPE = "wrong-type", "values have the type their field has",
        Clause::must("desired-state#applicationdeployment"),
        ["error-code-not-text", "extension-not-object", "malformed-label", "malformed-size", "missing-components",
         "profiles-not-a-list", "several-architectures", "wait-not-boolean"];
    UNQUOTED_TEXT = "unquoted-text", "text that looks like a number or a boolean is quoted",
        Clause::must("application-description#metadata-attributes"),
        ["error-code-not-text", "malformed-amount", "version-not-text"];
    QUOTED_VALUE = "quoted-value", "numbers and booleans are not quoted",
        Clause::must("desired-state#component-attributes");
    UNKNOWN_VALUE = "unknown-value", "words are those the specification names",
        Clause::must("desired-state#deploymentprofile-attributes"),
        ["misprinted-operator", "other-words-for-a-state", "unknown-architecture", "unknown-data-type",
         "unknown-interface", "unknown-operator", "unknown-peripheral", "unknown-profile-type", "unknown-role",
         "unknown-state", "wrong-kind"];
    EMPTY_VALUE = "empty-value", "values that must say something do",
        Clause::must("desired-state#deploymentprofile-attributes"),
        ["empty-api-version", "missing-role", "no-components", "no-deployment-type", "no-runtime"];
    OUT_OF_RANGE = "out-of-range", "numbers are within their bounds",
        Clause::must("device-capabilities"), ["malformed-amount", "malformed-size", "negative-cores", "no-cores"];
    MALFORMED_APPLICATION_ID = "malformed-application-id",
        "application ids are 1 to 200 lowercase letters, digits and `-`",
        Clause::must("application-description");
    MALFORMED_COMPONENT_NAME = "malformed-component-name", "component names are lowercase letters, digits and `-`",
        Clause::must("desired-state#component-attributes");
    MALFORMED_DEPLOYMENT_ID = "malformed-deployment-id",
        "deployment ids are letters, digits, `.`, `_`, `~` and `-`",
        Clause::must("desired-state#applicationdeployment");
    DEPLOYMENT_ID_NOT_UUID = "deployment-id-not-uuid", "deployment ids are UUIDs where the revision says so",
        Clause::must("desired-state#applicationdeployment").of(SpecVersion::V1_0_0Rc2),
        ["malformed-deployment-id"];
    MALFORMED_DEVICE_ID = "malformed-device-id",
        "device ids are segments of letters, digits, `.`, `_`, `~` and `-`, separated by `/`",
        Clause::must("device-id");
    MALFORMED_DIGEST = "malformed-digest", "digests are `sha256:` and 64 lowercase hexadecimal digits",
        Clause::must("desired-state#digest"),
        ["digest-not-lowercase", "digest-of-wrong-length", "digest-without-algorithm"];
    UNSUPPORTED_DIGEST_ALGORITHM = "unsupported-digest-algorithm", "digests are made with SHA-256",
        Clause::must("desired-state#digest");
    MALFORMED_QUANTITY = "malformed-quantity", "amounts are digits and a unit such as `Mi` or `Gi`",
        Clause::must("device-capabilities"),
        ["malformed-amount", "malformed-requirement", "malformed-frequency"];
    MALFORMED_TIMEOUT = "malformed-timeout", "timeouts are minutes and seconds, such as `8m30s`",
        Clause::must("application-description#componentproperties");
    MALFORMED_REPOSITORY = "malformed-repository", "repositories begin with `oci://`",
        Clause::must("application-description#componentproperties"), ["repository-not-oci"];
    MALFORMED_REVISION = "malformed-revision", "revisions are semantic versions without `v`",
        Clause::must("application-description#componentproperties"), ["revision-not-semver"];
    MALFORMED_MANIFEST_VERSION = "malformed-manifest-version", "manifest versions are whole numbers from 1 to 2^64 - 1",
        Clause::must("desired-state#state-manifest"), ["fractional-manifest-version"];
    MALFORMED_EXTENSION_NAME = "malformed-extension-name", "extensions are called `x-…-extensions`",
        Clause::must("application-description#extensions");
    OBJECT_IN_LIST = "object-in-list", "a single object does not stand in a list",
        Clause::must("deployment-status#status-attributes"),
        ["extension-not-object", "status-in-a-list", "resources-in-a-list", "several-statuses", "several-processors",
         "several-architectures"];
    MISNAMED_FIELD = "misnamed-field", "fields have the name the schema has, not that of another page",
        Clause::must("application-description#deviceconstraints"), ["names-of-the-skeleton"];
    DEPRECATED_FIELD = "deprecated-field", "fields are those of the revision, not of an older one",
        Clause::must("desired-state#applicationdeployment"),
        ["archive-after-rc2", "different-ids", "needless-label", "required-resources-after-rc2"];
    DEPRECATED_VALUE = "deprecated-value", "words are those of the revision, not of an older one",
        Clause::must("desired-state#deploymentprofile-attributes"), ["helm-v3-after-rc1"];
}

/// Where a rule stands for a document: the shape of each kind on its own page, all of them in its revision.
pub(crate) fn clause(rule: &RuleInfo, kind: DocumentKind, revision: SpecVersion) -> Clause {
    let mut clause = rule.clause;
    if clause.place.starts_with("https://") {
        return clause;
    }
    if clause.revision == SpecVersion::LATEST {
        clause = clause.of(revision);
    }
    let own = match kind {
        DocumentKind::ApplicationDescription => "application-description",
        DocumentKind::DeploymentStatus => "deployment-status",
        DocumentKind::DeviceCapabilities => "device-capabilities",
        _ => "desired-state",
    };
    let page = clause.place.split('#').next().unwrap_or_default();
    if is_about_shape(rule) && page != "device-id" {
        if page != own {
            clause.place = own;
        } else if kind == DocumentKind::DesiredStateManifest
            && clause.place.ends_with("#applicationdeployment")
        {
            clause.place = "desired-state#state-manifest";
        }
    }
    clause
}

/// Whether a rule is one of those on this page.
pub(crate) fn is_about_shape(rule: &RuleInfo) -> bool {
    ALL.iter().any(|known| known.name == rule.name)
}

/// A flaw in words: the rule it breaks, and the finding.
pub(crate) fn describe(flaw: &Flaw<'_>, kind: DocumentKind, format: Format) -> (&'static RuleInfo, Finding) {
    let Flaw { at, node, what } = flaw;
    match what {
        What::Missing(shape, name) => missing(at, shape, name, kind),
        What::Unknown(shape) => unknown(at, shape, *node),
        What::Misspelled(name) => {
            let written = place(at);
            let inside = at.parent().unwrap_or_default();
            let finding =
                Finding::of_key(at.clone(), format!("{written} is not a field of {}", place(&inside)))
                    .help(format!("did you mean `{name}`?"))
                    .warning();
            (&UNKNOWN_FIELD, renamed(finding, at, name))
        }
        What::Type(shape) => wrong_type(at, *node, shape, kind, format),
        What::Value(values) => unknown_value(at, *node, values),
        What::Pattern(pattern) => malformed(at, *node, pattern),
        What::Empty => {
            let finding = Finding::new(at.clone(), format!("{} is empty", place(at)));
            (&EMPTY_VALUE, finding.help("give it at least one"))
        }
        What::TooMany => {
            (&OUT_OF_RANGE, Finding::new(at.clone(), format!("{} has too many items", place(at))))
        }
        What::TooSmall(bound, inclusive) => {
            let words = if *inclusive { "at least" } else { "more than" };
            out_of_range(at, *node, &format!("{words} {bound}"))
        }
        What::TooGreat(bound) => out_of_range(at, *node, &format!("at most {bound}")),
        What::Branches { all: true } => {
            let message = format!("{} names a chart and an archive at once", place(at));
            let help = "write `repository` and `revision` for a chart, `packageLocation` for an archive";
            (&deployment::PACKAGE_OF_ANOTHER_TYPE, Finding::new(at.clone(), message).help(help))
        }
        What::Branches { all: false } => {
            let message = format!("{} is {}, and no value a label may have", place(at), value(*node));
            let help = "write text, a number, a boolean, a list of texts or a list of numbers";
            (&WRONG_TYPE, Finding::new(at.clone(), message).help(help))
        }
    }
}

fn missing(at: &Pointer, shape: &Shape, name: &str, kind: DocumentKind) -> (&'static RuleInfo, Finding) {
    let finding = Finding::new(at.clone(), format!("`{name}` is missing in {}", place(at)));
    if kind == DocumentKind::DesiredStateManifest && name == "bundle" {
        let help = "add `bundle`: the archive of all deployments, or `null` where there are none";
        return (&manifest::MISSING_BUNDLE, finding.help(help));
    }
    let described = shape.properties.get(name).and_then(|shape| shape.description.as_deref());
    let help = match described.and_then(|text| text.split_inclusive(['.', ':']).next()) {
        Some(text) => format!("add `{name}`: {}", lowercase(text.trim_end_matches(['.', ':']))),
        None => format!("add `{name}`"),
    };
    (&MISSING_FIELD, finding.help(help))
}

/// Without a capital at the beginning of its first word, unless the word is an abbreviation.
fn lowercase(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

fn unknown(at: &Pointer, shape: &Shape, node: Node<'_>) -> (&'static RuleInfo, Finding) {
    let name = at.last().unwrap_or_default();
    let inside = at.parent().unwrap_or_default();
    if name.starts_with("x-") {
        let message = format!("`{}` is not a name for an extension", clip(&name));
        let help = "write `x-`, a lowercase letter, lowercase letters, digits or `-`, and `-extensions`";
        return (&MALFORMED_EXTENSION_NAME, Finding::of_key(at.clone(), message).help(help));
    }
    let finding =
        Finding::of_key(at.clone(), format!("`{}` is not a field of {}", clip(&name), place(&inside)));
    let taken = |known: &str| node.parent().is_some_and(|parent| parent.get(known).is_some());
    let known = || shape.properties.keys().map(String::as_str);
    if let Some(near) = nearest(&name, known().filter(|known| !taken(known))) {
        let finding = finding.help(format!("did you mean `{near}`?"));
        return (&UNKNOWN_FIELD, renamed(finding, at, near));
    }
    let mut help = format!("its fields are {}", one_of(known()).replace(" or ", " and "));
    if matches!(shape.additional, Additional::None) && !shape.pattern_properties.is_empty() {
        help.push_str("; a supplier's own go into `x-<supplier>-extensions`");
    }
    (&UNKNOWN_FIELD, finding.help(help))
}

/// With a fix, if only the case is wrong.
fn renamed(finding: Finding, at: &Pointer, name: &str) -> Finding {
    let written = at.last().unwrap_or_default();
    if !same_but_for_case(&written, name) {
        return finding;
    }
    finding.fix(format!("write `{name}`"), [Change::Key(at.clone(), name.to_owned())])
}

fn wrong_type(
    at: &Pointer,
    node: Node<'_>,
    shape: &Shape,
    kind: DocumentKind,
    format: Format,
) -> (&'static RuleInfo, Finding) {
    let types = &shape.types[..];
    let wants = |wanted: Type| types.contains(&wanted);
    let here = place(at);
    let finding =
        Finding::new(at.clone(), format!("{here} must be {}, and is {}", all_of(types), value(node)));
    let literal = node.literal().unwrap_or_default();
    if kind == DocumentKind::DesiredStateManifest && at.as_str() == "/bundle" {
        if types == [Type::Null] {
            let message = "there is a bundle, and there are no deployments";
            let finding = Finding::new(at.clone(), message).help("write `bundle: null`");
            return (&manifest::BUNDLE_OF_NOTHING, finding);
        }
        if node.kind() == NodeKind::Null {
            let message = "there are deployments, and no bundle";
            let finding =
                Finding::new(at.clone(), message).help("name the archive that holds their documents");
            return (&manifest::MISSING_BUNDLE, finding);
        }
    }
    let is_version = matches!(at.last().as_deref(), Some("manifestVersion" | "adoptedManifestVersion"));
    if is_version && !literal.is_empty() {
        return manifest_version(at, node);
    }
    match node.kind() {
        NodeKind::Number | NodeKind::Bool if wants(Type::String) => {
            if let Some(pattern) = shape.pattern.as_ref().filter(|pattern| !pattern.matches(literal)) {
                // Quotes do not make an id or an amount of it.
                return malformed(at, node, &pattern.text);
            }
            let quoted = Value::from(literal).to_string();
            let finding = finding.help(format!("quote it: `{quoted}`"));
            let is_plain = node.style() == Style::Plain && shape.values.is_none();
            let change = Change::Text(node.span(), quoted.clone());
            let finding = if is_plain { finding.fix(format!("write `{quoted}`"), [change]) } else { finding };
            (&UNQUOTED_TEXT, finding)
        }
        NodeKind::String if wants(Type::Boolean) && is_boolean(literal) => {
            let plain = literal.to_ascii_lowercase();
            let finding = finding.help(format!("write `{plain}`, without quotes"));
            (&QUOTED_VALUE, unquoted(finding, node, plain, format))
        }
        NodeKind::String if (wants(Type::Number) || wants(Type::Integer)) && is_number(literal, shape) => {
            let plain = literal.to_owned();
            let finding = finding.help(format!("write `{plain}`, without quotes"));
            (&QUOTED_VALUE, unquoted(finding, node, plain, format))
        }
        NodeKind::Sequence if wants(Type::Object) => {
            (&OBJECT_IN_LIST, finding.help("write the object itself, without a list around it"))
        }
        NodeKind::Null => {
            (&WRONG_TYPE, finding.help("give it a value, or leave it out where it may be left out"))
        }
        _ if wants(Type::Array) => (&WRONG_TYPE, finding.help("write a list, with `- ` before each item")),
        _ => (&WRONG_TYPE, finding.help(format!("write {}", all_of(types)))),
    }
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// Whether a text is a number as JSON writes it, and one that may stand there.
fn is_number(text: &str, shape: &Shape) -> bool {
    let Ok(Value::Number(number)) = serde_json::from_str::<Value>(text) else { return false };
    let float = number.as_f64().unwrap_or_default();
    (shape.types.contains(&Type::Number) || !number.is_f64())
        && shape.minimum.is_none_or(|minimum| float >= minimum)
        && shape.exclusive_minimum.is_none_or(|minimum| float > minimum)
}

fn unquoted(finding: Finding, node: Node<'_>, plain: String, format: Format) -> Finding {
    // In YAML, plain text is boolean in no other case than lower, `True` and `TRUE`; quotes are why it is text.
    let is_quoted = matches!(node.style(), Style::SingleQuoted | Style::DoubleQuoted | Style::Plain);
    if !is_quoted && format == Format::Yaml {
        return finding;
    }
    let title = format!("write `{plain}`");
    finding.fix(title, [Change::Text(node.span(), plain)])
}

fn all_of(types: &[Type]) -> String {
    let words: Vec<_> = types
        .iter()
        .map(|wanted| match wanted {
            Type::Null => "null",
            Type::Boolean => "`true` or `false`",
            Type::Integer => "a whole number",
            Type::Number => "a number",
            Type::String => "text",
            Type::Array => "a list",
            Type::Object => "a mapping",
        })
        .collect();
    words.join(" or ")
}

fn unknown_value(at: &Pointer, node: Node<'_>, values: &[Value]) -> (&'static RuleInfo, Finding) {
    let written = node.literal().unwrap_or_default();
    let known = || values.iter().filter_map(Value::as_str);
    let rule =
        if at.last().as_deref() == Some("mediaType") { &manifest::WRONG_MEDIA_TYPE } else { &UNKNOWN_VALUE };
    let message = match values {
        [only] => {
            let only = only.as_str().unwrap_or_default();
            format!("{} must be `{only}`, and is `{}`", place(at), clip(written))
        }
        _ => format!("`{}` is not a value of {}", clip(written), place(at)),
    };
    let finding = Finding::new(at.clone(), message);
    let finding =
        if at.parent().and_then(|list| list.last().map(|name| name == "supportedRuntimes")) == Some(true) {
            // A supplier's own runtime is read strictly too.
            finding.warning()
        } else {
            finding
        };
    let Some(near) = nearest(written, known()) else {
        return (rule, finding.help(format!("write {}", one_of(known()))));
    };
    let finding = match values.len() {
        1 => finding.help(format!("write `{near}`")),
        _ => finding.help(format!("did you mean `{near}`? It may be {}", one_of(known()))),
    };
    if same_but_for_case(written, near) {
        let change = Change::Value(at.clone(), Value::from(near));
        return (rule, finding.fix(format!("write `{near}`"), [change]));
    }
    (rule, finding)
}

fn out_of_range(at: &Pointer, node: Node<'_>, bound: &str) -> (&'static RuleInfo, Finding) {
    if matches!(at.last().as_deref(), Some("manifestVersion" | "adoptedManifestVersion")) {
        return manifest_version(at, node);
    }
    let literal = clip(node.literal().unwrap_or_default());
    let finding = Finding::new(at.clone(), format!("{} must be {bound}, and is `{literal}`", place(at)));
    (&OUT_OF_RANGE, finding.help(format!("write a number that is {bound}")))
}

/// A version of a manifest that is none (R-B-020).
pub(crate) fn manifest_version(at: &Pointer, node: Node<'_>) -> (&'static RuleInfo, Finding) {
    let literal = node.literal().unwrap_or_default();
    let message = format!("{} is `{}`, and no whole number from 1 to 2^64 - 1", place(at), clip(literal));
    let finding = Finding::new(at.clone(), message);
    // Exact below 2^53, and whole.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds are compared before"
    )]
    let whole = literal
        .parse::<f64>()
        .ok()
        .filter(|float| float.fract() == 0.0 && (1.0..9_007_199_254_740_992.0).contains(float))
        .map(|float| (float as u64).to_string());
    match whole.filter(|whole| whole != literal || node.kind() == NodeKind::String) {
        Some(whole) => {
            let finding = finding.help(format!("write `{whole}`, without a fraction, an exponent or quotes"));
            let change = Change::Text(node.span(), whole.clone());
            (&MALFORMED_MANIFEST_VERSION, finding.fix(format!("write `{whole}`"), [change]))
        }
        None => (&MALFORMED_MANIFEST_VERSION, finding.help("count manifests from 1")),
    }
}

/// The patterns of the schemas in words, each with its rule.
fn malformed(at: &Pointer, node: Node<'_>, pattern: &str) -> (&'static RuleInfo, Finding) {
    let written = node.literal().unwrap_or_default();
    let here = place(at);
    let finding = |what: &str| Finding::new(at.clone(), format!("`{}` is not {what}", clip(written)));
    let exact = |finding: Finding, text: String| {
        let change = Change::Value(at.clone(), Value::from(text.clone()));
        finding.fix(format!("write `{text}`"), [change])
    };
    match pattern {
        "^[a-z0-9-]{1,200}$" => {
            let help = "write 1 to 200 lowercase letters, digits and `-`";
            (&MALFORMED_APPLICATION_ID, finding("an application id").help(help))
        }
        "^[a-z0-9-]+$" => {
            let help = "write lowercase letters, digits and `-`";
            (&MALFORMED_COMPONENT_NAME, finding("a component name").help(help))
        }
        "^[A-Za-z0-9._~-]+$" => {
            let help = "write letters, digits, `.`, `_`, `~` and `-`";
            (&MALFORMED_DEPLOYMENT_ID, finding("a deployment id").help(help))
        }
        UUID => {
            let help = "write a UUID, such as `a3e2f5dc-912e-494f-8395-52cf3769bc06`";
            (&DEPLOYMENT_ID_NOT_UUID, finding("a UUID").help(help))
        }
        "^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$" => {
            let help = "write segments of letters, digits, `.`, `_`, `~` and `-`, with `/` between gateway and device";
            (&MALFORMED_DEVICE_ID, finding("a device id").help(help))
        }
        r"^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*(/\*)?$" => {
            let help =
                "write a device id such as `gateway-1/plc-7`; `gateway-1/*` leaves the choice to the gateway";
            (&MALFORMED_DEVICE_ID, finding("a device id, nor a gateway's `…/*`").help(help))
        }
        "^sha256:[0-9a-f]{64}$" => digest(at, written),
        "^[0-9]+m[0-9]+s$" => {
            let finding = finding("a timeout").help("write minutes and seconds, such as `8m30s`");
            let digits = |unit| {
                let digits = written.strip_suffix(unit)?;
                (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
            };
            let whole = digits('m').map(|minutes| format!("{minutes}m0s"));
            let whole = whole.or_else(|| digits('s').map(|seconds| format!("0m{seconds}s")));
            (&MALFORMED_TIMEOUT, whole.into_iter().fold(finding, exact))
        }
        "^oci://.+" => {
            let help = "write where the registry has it, such as `oci://registry.example/collector`";
            (&MALFORMED_REPOSITORY, finding("a repository").help(help))
        }
        pattern if pattern.contains("Gi") => {
            let units = pattern.split_once('(').map_or("", |(_, units)| units.trim_end_matches([')', '$']));
            let mut units: Vec<_> = units.split('|').collect();
            units.sort_by_key(|unit| "KMGTPE".find(&unit[..1]));
            let help = format!("write digits and {}, such as `512Mi`", one_of(units.iter().copied()));
            let finding =
                Finding::new(at.clone(), format!("{here} is `{}`, and no amount", clip(written))).help(help);
            (&MALFORMED_QUANTITY, quantity(written, &units).into_iter().fold(finding, exact))
        }
        _ if pattern.starts_with(r"^(0|[1-9]\d*)") => {
            let help = "write a semantic version such as `1.0.9`, without `v`, and with `_` instead of `+`";
            let finding = finding("a revision").help(help);
            let tag = written.contains('+').then(|| written.replace('+', "_"));
            (&MALFORMED_REVISION, tag.into_iter().fold(finding, exact))
        }
        _ => (&WRONG_TYPE, Finding::new(at.clone(), format!("{here} does not match `{pattern}`"))),
    }
}

const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// An amount without blanks and with its unit in the right case, if that is all that is wrong with it.
pub(crate) fn quantity(written: &str, units: &[&str]) -> Option<String> {
    let bare: String = written.chars().filter(|character| !character.is_whitespace()).collect();
    let at = bare.find(|character: char| !character.is_ascii_digit()).filter(|at| *at > 0)?;
    let (digits, unit) = bare.split_at(at);
    let unit = units.iter().find(|known| known.eq_ignore_ascii_case(unit))?;
    Some(format!("{digits}{unit}")).filter(|amount| amount != written)
}

/// What `Digest` says about it (R-B-025, R-B-028).
fn digest(at: &Pointer, written: &str) -> (&'static RuleInfo, Finding) {
    use margo_core::ParseDigestError as E;

    let finding = |message: String| Finding::new(at.clone(), message);
    let help = "write `sha256:` and 64 lowercase hexadecimal digits";
    match written.parse::<Digest>() {
        Err(E::UnsupportedAlgorithm { algorithm }) => {
            let message = format!("`{}` is not an algorithm for digests", clip(&algorithm));
            (&UNSUPPORTED_DIGEST_ALGORITHM, finding(message).help("use SHA-256: `sha256:` and 64 digits"))
        }
        Err(E::WrongLength { found }) => {
            (&MALFORMED_DIGEST, finding(format!("a digest has 64 digits, and this one {found}")).help(help))
        }
        Err(E::NotLowercaseHex { .. }) => {
            let message = "a digest has lowercase hexadecimal digits, and this one others";
            let lower = written.to_ascii_lowercase();
            let found = finding(message.to_owned()).help(help);
            let change = Change::Value(at.clone(), Value::from(lower.clone()));
            let is_digest = lower.parse::<Digest>().is_ok();
            (&MALFORMED_DIGEST, if is_digest { found.fix("write it in lowercase", [change]) } else { found })
        }
        _ => (&MALFORMED_DIGEST, finding(format!("`{}` is not a digest", clip(written))).help(help)),
    }
}
