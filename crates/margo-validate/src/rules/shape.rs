//! What one value must be, whatever stands around it: the JSON Schemas, in words.

use std::collections::BTreeSet;

use margo_core::{Digest, Extensions, SpecVersion};
use margo_syntax::{Format, Node, NodeKind, Pointer, Style, Tree};
use serde_json::Value;

use super::words::{clip, nearest, one_of, place, same_but_for_case, value};
use super::{deployment, manifest, rules};
use crate::schema::compile::{Additional, Schema, Shape, Type};
use crate::schema::example::shown;
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
    DEPRECATED_FIELD = "deprecated-field", "fields are those of the revision, not of another one",
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

/// How the flaws of one document are put into words.
pub(crate) struct Words<'a> {
    schema: &'a Schema,
    kind: DocumentKind,
    revision: SpecVersion,
    tree: &'a Tree,
    /// The fields that are missing, and stand there under another name.
    misspelled: BTreeSet<String>,
    /// Those other names.
    meant: BTreeSet<String>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(
        schema: &'a Schema,
        kind: DocumentKind,
        revision: SpecVersion,
        tree: &'a Tree,
        flaws: &[Flaw<'_>],
    ) -> Self {
        let missing: BTreeSet<String> = flaws
            .iter()
            .filter_map(|flaw| match flaw.what {
                What::Missing(_, name) => Some(flaw.at.join(name).as_str().to_owned()),
                _ => None,
            })
            .collect();
        let (mut misspelled, mut meant) = (BTreeSet::new(), BTreeSet::new());
        for flaw in flaws.iter().filter(|_| !missing.is_empty()) {
            let near = match &flaw.what {
                What::Misspelled(near) => Some(*near),
                What::Unknown(shape) => near_field(flaw, shape),
                _ => None,
            };
            let Some((near, parent)) = near.zip(flaw.at.parent()) else { continue };
            let field = parent.join(near).as_str().to_owned();
            if missing.contains(&field) && misspelled.insert(field) {
                meant.insert(flaw.at.as_str().to_owned());
            }
        }
        Self { schema, kind, revision, tree, misspelled, meant }
    }

    /// Whether a field is missing only because it is misspelled, which is told where it stands; or is one that moved,
    /// which is told where it belongs.
    pub(crate) fn is_told_elsewhere(&self, flaw: &Flaw<'_>) -> bool {
        match &flaw.what {
            What::Missing(_, name) => {
                let field = flaw.at.join(name);
                self.misspelled.contains(field.as_str())
            }
            What::Elsewhere(_) => {
                let moved = MOVED.iter().filter(|(_, before)| *before == flaw.at.as_str());
                moved.into_iter().any(|(now, _)| !self.has(now))
            }
            _ => false,
        }
    }

    /// A flaw in words: the rule it breaks, and the finding.
    pub(crate) fn describe(&self, flaw: &Flaw<'_>) -> (&'static RuleInfo, Finding) {
        let (kind, format) = (self.kind, self.tree.format());
        let Flaw { at, node, what } = flaw;
        match what {
            What::Missing(shape, name) => self.missing(at, shape, name),
            What::Unknown(shape) => self.unknown(flaw, shape),
            What::Misspelled(name) => {
                let inside = place(&at.parent().unwrap_or_default());
                let finding =
                    Finding::of_key(at.clone(), format!("{} is not a field of {inside}", place(at)))
                        .help(format!("did you mean `{name}`?"));
                let finding = if self.is_needed(at) { finding } else { finding.warning() };
                (&UNKNOWN_FIELD, renamed(finding, at, name))
            }
            What::Elsewhere(revisions) => {
                let (rule, finding) = self.of_another_revision(at, revisions);
                (rule, finding.warning())
            }
            What::ExtensionName => extension_name(at),
            What::Type(shape) => {
                let (rule, finding) = wrong_type(at, *node, shape, kind, format);
                let is_vague =
                    finding.help_text().is_some_and(|help| VAGUE.iter().any(|vague| help.starts_with(vague)));
                match self.example(at).filter(|_| is_vague) {
                    Some(example) => {
                        let help = format!("{}, such as {example}", finding.help_text().unwrap_or_default());
                        (rule, finding.help(help))
                    }
                    None => (rule, finding),
                }
            }
            What::Value(values) => self.unknown_value(at, *node, values),
            What::Pattern(pattern) => malformed(at, *node, pattern),
            What::Empty => {
                let help = match node.kind() {
                    NodeKind::String => "write at least one character",
                    _ => "write at least one item",
                };
                let example =
                    self.example(at).map(|example| format!(", such as {example}")).unwrap_or_default();
                let help = format!("{help}{example}");
                (&EMPTY_VALUE, Finding::new(at.clone(), format!("{} is empty", place(at))).help(help))
            }
            What::TooMany => {
                let finding = Finding::new(at.clone(), format!("{} has too many items", place(at)));
                (&OUT_OF_RANGE, finding.help("remove some"))
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

    /// Whether a misspelled field is one that is missing.
    pub(crate) fn is_needed(&self, at: &Pointer) -> bool {
        self.meant.contains(at.as_str())
    }

    fn missing(&self, at: &Pointer, shape: &Shape, name: &str) -> (&'static RuleInfo, Finding) {
        let finding = Finding::new(at.clone(), format!("`{name}` is missing in {}", place(at)));
        if self.kind == DocumentKind::DesiredStateManifest && name == "bundle" {
            let help = "add `bundle`: the archive of all deployments, or `null` where there are none";
            return (&manifest::MISSING_BUNDLE, finding.help(help));
        }
        let field = at.join(name);
        if let Some((_, before)) =
            MOVED.iter().find(|(now, before)| *now == field.as_str() && self.has(before))
        {
            let from: Pointer = before.parse().unwrap_or_default();
            let old = before.trim_start_matches('/').replace('/', ".");
            let help = format!("write it here, and not as `{old}`, where older revisions have it");
            return (&MISSING_FIELD, finding.help(help).related(from, "older revisions have it here"));
        }
        let member = shape.properties.get(name);
        let described = member.and_then(|shape| shape.description.as_deref());
        let mut help = format!("add `{name}`");
        if let Some(text) = described.and_then(|text| text.split_inclusive(['.', ':']).next()) {
            help.push_str(": ");
            help.push_str(&lowercase(text.trim_end_matches(['.', ':'])));
        }
        if let Some(example) = self.example(&field) {
            help.push_str(", such as ");
            help.push_str(&example);
        }
        (&MISSING_FIELD, finding.help(help))
    }

    /// A field with something that may stand there, as it is written here.
    fn example(&self, at: &Pointer) -> Option<String> {
        let format = self.tree.format();
        let value = match self.schema.example(at) {
            Some(value) => shown(value, format)?,
            None if at.last().is_some_and(|name| Extensions::is_extension_name(&name)) => {
                "{ \"shelf\": 7 }".to_owned()
            }
            None => return None,
        };
        let name = at.last().filter(|name| name.parse::<usize>().is_err());
        Some(match (name, format) {
            (Some(name), Format::Json) => format!("`{}: {value}`", Value::from(&*name)),
            (Some(name), _) => format!("`{}: {value}`", clip(&name)),
            (None, _) => format!("`{value}`"),
        })
    }

    fn has(&self, pointer: &str) -> bool {
        pointer.parse().is_ok_and(|pointer: Pointer| self.tree.get(&pointer).is_some())
    }

    fn unknown(&self, flaw: &Flaw<'_>, shape: &Shape) -> (&'static RuleInfo, Finding) {
        let at = &flaw.at;
        let name = at.last().unwrap_or_default();
        let inside = at.parent().unwrap_or_default();
        if name.starts_with("x-") {
            return extension_name(at);
        }
        let elsewhere = self.schema.others_with_field(&inside, &name);
        if !elsewhere.is_empty() {
            return self.of_another_revision(at, &elsewhere);
        }
        let finding =
            Finding::of_key(at.clone(), format!("`{}` is not a field of {}", clip(&name), place(&inside)));
        if let Some(near) = near_field(flaw, shape) {
            let finding = finding.help(format!("did you mean `{near}`?"));
            return (&UNKNOWN_FIELD, renamed(finding, at, near));
        }
        let known = || shape.properties.keys().map(String::as_str);
        if let Some(near) = nearest(&name, known()) {
            let there = inside.join(near);
            let help = format!("remove it, or merge it into `{near}`, which is there too");
            return (&UNKNOWN_FIELD, finding.help(help).related_key(there, "this one is known"));
        }
        let mut help = format!("its fields are {}", one_of(known()).replace(" or ", " and "));
        if matches!(shape.additional, Additional::None) && !shape.pattern_properties.is_empty() {
            help.push_str("; a supplier's own go into `x-<supplier>-extensions`");
        }
        (&UNKNOWN_FIELD, finding.help(help))
    }

    /// A field that this revision does not define, and these do.
    fn of_another_revision(&self, at: &Pointer, revisions: &[SpecVersion]) -> (&'static RuleInfo, Finding) {
        let (name, inside) = (at.last().unwrap_or_default(), at.parent().unwrap_or_default());
        let message = format!(
            "`{}` is a field of {} in {}, and not in {}",
            clip(&name),
            place(&inside),
            listed(revisions),
            self.revision
        );
        let help = format!(
            "remove it, or say that the document is of that revision: `--revision {}`, or `revision` in `margo.toml`",
            revisions.first().map_or("", |revision| revision.as_str())
        );
        (&DEPRECATED_FIELD, Finding::of_key(at.clone(), message).help(help))
    }

    fn unknown_value(&self, at: &Pointer, node: Node<'_>, values: &[Value]) -> (&'static RuleInfo, Finding) {
        let (rule, finding) = unknown_value(at, node, values);
        let written = node.literal().unwrap_or_default();
        let elsewhere = self.schema.others_with_word(at, written);
        let known = values.iter().filter_map(Value::as_str);
        let is_near = known.clone().any(|known| same_but_for_case(written, known));
        let Some(newest) = elsewhere.first().filter(|_| values.len() > 1 && !is_near) else {
            return (rule, finding);
        };
        let message = format!(
            "`{}` is a value of {} in {}, and not in {}",
            clip(written),
            place(at),
            listed(&elsewhere),
            self.revision
        );
        let meant = finding
            .help_text()
            .and_then(|help| help.split_once('?'))
            .map(|(meant, _)| format!("{meant}? Else write"));
        let help = format!(
            "{} {}, or say that the document is of that revision: `--revision {newest}`",
            meant.as_deref().unwrap_or("write"),
            one_of(known)
        );
        (rule, finding.reword(message).help(help))
    }
}

/// A name that has only letters of the lower case, digits and `others`, made of what is written; where that is nothing,
/// another. `A` among the others stands for capitals.
fn slug(written: &str, otherwise: &str, others: &str) -> String {
    let keeps_case = others.contains('A');
    let known =
        |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || (it != 'A' && others.contains(it));
    let characters = written.trim().chars().take(60).map(|it| match it {
        _ if keeps_case && it.is_ascii_uppercase() => it,
        _ if !keeps_case && known(it.to_ascii_lowercase()) => it.to_ascii_lowercase(),
        _ if known(it) => it,
        _ => '-',
    });
    let slug: String = characters.collect();
    let slug = slug.trim_matches(['-', '/']);
    let is_name = slug.chars().any(|it| it.is_ascii_alphanumeric()) && !slug.contains("//");
    if is_name { slug.to_owned() } else { otherwise.to_owned() }
}

/// How a help begins that needs an example.
const VAGUE: [&str; 5] =
    ["give it a value", "write a list", "write a mapping", "write a number", "write a whole number"];

/// Fields that stand elsewhere than in older revisions, and where those have them.
const MOVED: [(&str, &str); 3] = [
    ("/id", "/metadata/id"),
    ("/id", "/metadata/annotations/id"),
    ("/spec/applicationId", "/metadata/annotations/applicationId"),
];

/// `1.0.0-rc.3, 1.0.0-rc.2 and 1.0.0-rc.1`
fn listed(revisions: &[SpecVersion]) -> String {
    let names: Vec<&str> = revisions.iter().map(|revision| revision.as_str()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The field that an unknown one is probably meant to be: none that is there already.
fn near_field<'s>(flaw: &Flaw<'_>, shape: &'s Shape) -> Option<&'s str> {
    let name = flaw.at.last()?;
    let object = flaw.node.parent();
    let is_free = |known: &&str| object.as_ref().is_none_or(|object| object.get(known).is_none());
    nearest(&name, shape.properties.keys().map(String::as_str).filter(is_free))
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

/// A name that begins like that of an extension, and is none (R-D-032).
fn extension_name(at: &Pointer) -> (&'static RuleInfo, Finding) {
    let name = at.last().unwrap_or_default();
    let message = format!("`{}` is not a name for an extension", clip(&name));
    let bare = name.trim_start_matches("x-").to_ascii_lowercase();
    let bare = bare.trim_end_matches("extensions").trim_end_matches("extension").trim_end_matches('-');
    let meant = format!("x-{}-extensions", bare.replace(['_', '.', ' '], "-"));
    let help = if Extensions::is_extension_name(&meant) {
        format!(
            "write `{}`: `x-`, the supplier's name in lowercase letters, digits and `-`, and `-extensions`",
            clip(&meant)
        )
    } else {
        "write `x-`, the supplier's name in lowercase letters, digits and `-`, beginning with a letter, and \
         `-extensions`, as in `x-acme-extensions`"
            .to_owned()
    };
    (&MALFORMED_EXTENSION_NAME, Finding::of_key(at.clone(), message).help(help))
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
            let finding = Finding::new(at.clone(), message).help(
                "give `mediaType`, `digest`, `sizeBytes` and `url` of the archive that holds their documents",
            );
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
        NodeKind::String if wants(Type::Boolean) && says_yes_or_no(literal).is_some() => {
            let word = says_yes_or_no(literal).unwrap_or_default();
            let finding = finding.help(format!("write `{word}`: `{literal}` is text"));
            let is_plain = node.style() == Style::Plain && types == [Type::Boolean];
            let change = Change::Text(node.span(), word.to_owned());
            let finding = if is_plain { finding.fix(format!("write `{word}`"), [change]) } else { finding };
            (&WRONG_TYPE, finding)
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
            let help = if matches!(shape.additional, Additional::Of(_)) {
                "write a mapping, each value behind a name of its own"
            } else {
                "write the object itself, without a list around it"
            };
            (&OBJECT_IN_LIST, finding.help(help))
        }
        NodeKind::Null => (&WRONG_TYPE, finding.help("give it a value")),
        NodeKind::Mapping if wants(Type::Array) && format == Format::Yaml => {
            let first = node.children().next().and_then(|child| Some(clip(child.key()?.text())));
            let help = match first {
                Some(first) => format!(
                    "make it the item of a list: `- ` before `{first}`, and its other fields indented like it"
                ),
                None => "write a list, with `- ` before each item".to_owned(),
            };
            (&WRONG_TYPE, finding.help(help))
        }
        _ if wants(Type::Array) => (
            &WRONG_TYPE,
            finding.help(if format == Format::Yaml {
                "write a list, with `- ` before each item or `[…]` around them"
            } else {
                "write a list"
            }),
        ),
        _ => (&WRONG_TYPE, finding.help(format!("write {}", all_of(types)))),
    }
}

/// The boolean that older readers of YAML take a word for.
fn says_yes_or_no(text: &str) -> Option<&'static str> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    let says_no = is(["no", "off", "n"]).then_some("false");
    if is(["yes", "on", "y"]) { Some("true") } else { says_no }
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
    // `docker-compose` is `compose`, said longer.
    let within = || {
        known()
            .find(|known| known.len() > 3 && written.split(['-', '.', '_', ' ']).any(|part| part == *known))
    };
    let Some(near) = nearest(written, known()).or_else(within) else {
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
            let help = format!(
                "write 1 to 200 lowercase letters, digits and `-`, such as `{}`",
                slug(written, "pump-monitor", "-")
            );
            (&MALFORMED_APPLICATION_ID, finding("an application id").help(help))
        }
        "^[a-z0-9-]+$" => {
            let help = format!(
                "write lowercase letters, digits and `-`, such as `{}`",
                slug(written, "collector", "-")
            );
            (&MALFORMED_COMPONENT_NAME, finding("a component name").help(help))
        }
        "^[A-Za-z0-9._~-]+$" => {
            let example = "a3e2f5dc-912e-494f-8395-52cf3769bc06";
            let help = format!(
                "write letters, digits, `.`, `_`, `~` and `-`, such as `{}`",
                slug(written, example, "A-._~")
            );
            (&MALFORMED_DEPLOYMENT_ID, finding("a deployment id").help(help))
        }
        UUID => {
            let help = "write a UUID, such as `a3e2f5dc-912e-494f-8395-52cf3769bc06`";
            (&DEPLOYMENT_ID_NOT_UUID, finding("a UUID").help(help))
        }
        "^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$" => {
            let help = format!(
                "write letters, digits, `.`, `_`, `~` and `-`, with `/` between gateway and device, such as `{}`",
                slug(written, "gateway-1/plc-7", "A-._~/")
            );
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
                Finding::new(at.clone(), format!("{here} is `{}`, and not an amount", clip(written)))
                    .help(help);
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
    let help = "write `sha256:` and the 64 digits that `sha256sum` prints of the file";
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
        _ => {
            let found = finding(format!("`{}` is not a digest", clip(written)));
            let whole = format!("sha256:{}", written.to_ascii_lowercase());
            if whole.parse::<Digest>().is_err() {
                return (&MALFORMED_DIGEST, found.help(help));
            }
            let change = Change::Value(at.clone(), Value::from(whole));
            (
                &MALFORMED_DIGEST,
                found.help("write `sha256:` before it").fix("write `sha256:` before it", [change]),
            )
        }
    }
}
