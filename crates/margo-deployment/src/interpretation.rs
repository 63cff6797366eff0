//! How the contradictions of the specification are read in these documents: one table each.

use margo_core::{Deviation, Interpretation, Level, SpecVersion, Strictness};
use margo_syntax::{Fault, Pointer};
use serde_json::Value;

use crate::pre_draft;

const A: &[SpecVersion] = &[SpecVersion::PreDraft];
const B: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1];
const C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc2];
const B_C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];
const A_B: &[SpecVersion] = &[SpecVersion::PreDraft, SpecVersion::V1_0_0Rc1];
const D: &[SpecVersion] = &[SpecVersion::V1_0_0Rc3];
const B_C_D: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3];

const WAIT: &str = "/spec/deploymentProfile/components/*/properties/wait";
const POINTER: &str = "/spec/parameters/*/targets/*/pointer";
const TYPE: &str = "/spec/deploymentProfile/type";
const ANNOTATED_ID: &str = "/metadata/annotations/id";
const PROPERTIES: &str = "/spec/deploymentProfile/components/*/properties";

/// Those of a deployment.
pub(crate) const DEPLOYMENT: &[Interpretation] = &[
    Interpretation::new("X-A-02", Level::L1, A, "/apiVersion", another_api_version),
    Interpretation::new("X-B-19", Level::L1, B, "/apiVersion", another_api_version),
    Interpretation::new("X-C-23", Level::L1, C, "/apiVersion", another_api_version),
    Interpretation::new("X-C-18", Level::L1, C, "", unlabeled),
    Interpretation::new("X-D-20", Level::L3, D, "/apiVersion", needless_label),
    Interpretation::new("X-D-20", Level::L3, D, "/kind", needless_label),
    Interpretation::new("X-C-16", Level::L3, A_B, ANNOTATED_ID, no_uuid),
    Interpretation::new("X-C-16", Level::L3, B_C, "/id", no_uuid),
    Interpretation::new("X-C-03", Level::L2, B, "/id", id_of_may_2026),
    Interpretation::new("X-C-03", Level::L2, B, "/spec/applicationId", id_of_may_2026),
    Interpretation::new("X-B-14", Level::L1, B, "/metadata", no_namespace),
    Interpretation::new("X-A-29", Level::L1, A, "/spec", no_parameters),
    Interpretation::new("X-B-14", Level::L1, B_C, "/spec", no_parameters),
    Interpretation::new("X-D-04", Level::L1, D, "/spec", no_parameters),
    Interpretation::new("X-B-11", Level::L1, B, TYPE, helm_v3),
    Interpretation::new("X-C-15", Level::L3, C, TYPE, helm_v3),
    Interpretation::new("X-D-01", Level::L1, D, TYPE, custom),
    Interpretation::new("X-A-14", Level::L2, A, WAIT, boolean_as_text),
    Interpretation::new("X-B-16", Level::L2, B_C_D, WAIT, boolean_as_text),
    Interpretation::new("X-A-15", Level::L1, A, POINTER, environment_prefix),
    Interpretation::new("X-B-17", Level::L1, B, POINTER, environment_prefix),
    Interpretation::new("X-C-04", Level::L1, C, POINTER, environment_prefix),
    Interpretation::new("X-D-38", Level::L3, D, PROPERTIES, archive),
    Interpretation::new("X-D-38", Level::L2, D, PROPERTIES, unknown_properties),
    Interpretation::new("X-D-19", Level::L3, D, "/spec/deploymentProfile/requiredResources", old_resources),
    Interpretation::new("X-D-07", Level::L3, D, "/spec/deploymentProfile/deviceConstraints", quantities),
    Interpretation::new(
        "X-D-02",
        Level::L2,
        D,
        "/spec/deploymentProfile/deviceConstraints/capacityRequirements/cpu/architectures/*",
        unknown_architecture,
    ),
    Interpretation::new(
        "X-D-10",
        Level::L3,
        D,
        "/spec/deploymentProfile/deviceConstraints/eligibilityRules/**",
        name_of_the_skeleton,
    ),
    Interpretation::new(
        "X-D-08",
        Level::L4,
        D,
        "/spec/deploymentProfile/deviceConstraints/eligibilityRules/**",
        misprinted_operator,
    ),
];

/// Those of a state manifest.
pub(crate) const MANIFEST: &[Interpretation] = &[
    Interpretation::new("X-B-36", Level::L3, B_C, "/manifestVersion", inexact_number),
    Interpretation::new("X-D-31", Level::L3, D, "/manifestVersion", inexact_number),
];

/// The first deviation that a reading of this strictness refuses, as a fault that names the contradiction.
///
/// # Errors
///
/// That fault.
pub fn refused(deviations: &[Deviation], strictness: Strictness) -> Result<(), Fault> {
    match deviations.iter().find(|deviation| deviation.level.is_refused(strictness)) {
        None => Ok(()),
        Some(Deviation { pointer, message, contradiction, .. }) => {
            let pointer = pointer.parse().unwrap_or_else(|_| Pointer::root());
            Err(Fault::new(pointer, format!("{message} ({contradiction})")))
        }
    }
}

fn another_api_version(version: &Value, _: &Value) -> Option<String> {
    let version = version.as_str().filter(|version| *version != pre_draft::API_VERSION)?;
    Some(format!("`{version}` says the same as `{}`", pre_draft::API_VERSION))
}

fn unlabeled(document: &Value, _: &Value) -> Option<String> {
    let missing = ["apiVersion", "kind"].iter().any(|label| document.get(label).is_none());
    missing.then(|| "`apiVersion` or `kind` is missing, as right after the tag".to_owned())
}

/// A member of older revisions.
#[must_use]
pub fn needless_label(_: &Value, _: &Value) -> Option<String> {
    Some("there is no such member any more".to_owned())
}

fn no_uuid(id: &Value, _: &Value) -> Option<String> {
    let id = id.as_str()?;
    let groups: Vec<_> = id.split('-').collect();
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (!is_uuid).then(|| "is not a UUID".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table asks for it")]
fn id_of_may_2026(_: &Value, _: &Value) -> Option<String> {
    Some("stands where May 2026 had it, and not in the annotations".to_owned())
}

fn no_namespace(metadata: &Value, _: &Value) -> Option<String> {
    metadata.get("namespace").is_none().then(|| "no `namespace` stands for `default`".to_owned())
}

fn no_parameters(spec: &Value, _: &Value) -> Option<String> {
    spec.get("parameters").is_none().then(|| "no `parameters` stands for an empty map".to_owned())
}

/// The pages' word for `helm`.
#[must_use]
pub fn helm_v3(profile_type: &Value, _: &Value) -> Option<String> {
    (profile_type == "helm.v3").then(|| "`helm.v3` stands for `helm`".to_owned())
}

fn custom(profile_type: &Value, _: &Value) -> Option<String> {
    (profile_type == "custom").then(|| "`custom` is in the pages and not in the OpenAPI file".to_owned())
}

/// A text where a boolean is wanted.
#[must_use]
pub fn boolean_as_text(wait: &Value, _: &Value) -> Option<String> {
    wait.as_str().map(|text| format!("the text {text:?} stands for a boolean"))
}

fn environment_prefix(pointer: &Value, document: &Value) -> Option<String> {
    let is_compose = document
        .pointer(TYPE)
        .is_some_and(|profile_type| profile_type == "compose" || profile_type == "docker-compose");
    prefix_taken_off(pointer).filter(|_| is_compose)
}

/// `ENV.` before the name of an environment variable.
#[must_use]
pub fn prefix_taken_off(pointer: &Value) -> Option<String> {
    let variable = pointer.as_str()?.strip_prefix("ENV.")?;
    Some(format!("stands for the variable `{variable}`"))
}

/// An archive at a URL, and nothing else.
#[must_use]
pub fn archive(properties: &Value, _: &Value) -> Option<String> {
    let is_archive = properties.get("packageLocation").is_some() && properties.get("repository").is_none();
    is_archive.then(|| "`packageLocation` stands where `repository` and `revision` belong".to_owned())
}

/// Members of an open object that nobody defines.
#[must_use]
pub fn unknown_properties(properties: &Value, document: &Value) -> Option<String> {
    if archive(properties, document).is_some() {
        return None;
    }
    let known = ["repository", "revision", "wait", "timeout"];
    let unknown: Vec<_> = properties
        .as_object()?
        .keys()
        .filter(|name| !known.contains(&name.as_str()) && !margo_core::Extensions::is_extension_name(name))
        .map(|name| format!("`{name}`"))
        .collect();
    (!unknown.is_empty()).then(|| format!("nobody defines {}", unknown.join(", ")))
}

/// `requiredResources` in a revision that has device constraints.
#[must_use]
pub fn old_resources(_: &Value, _: &Value) -> Option<String> {
    Some("is read over: `deviceConstraints` took its place".to_owned())
}

/// Amounts of memory and storage that are not written as requirements are.
#[must_use]
pub fn quantities(constraints: &Value, _: &Value) -> Option<String> {
    const MEMORY: &[&str] = &["Ki", "Mi", "Gi"];
    const STORAGE: &[&str] = &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let required = constraints.get("capacityRequirements")?;
    [("memory", MEMORY), ("storage", STORAGE)].into_iter().find_map(|(name, units)| {
        let text = required.get(name)?.as_str()?;
        let digits = units.iter().find_map(|unit| text.strip_suffix(unit));
        let is_written =
            digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        (!is_written)
            .then(|| format!("`{name}` is {text:?}: expected digits and one of {}", units.join(", ")))
    })
}

/// An architecture that requirements do not name.
#[must_use]
pub fn unknown_architecture(architecture: &Value, _: &Value) -> Option<String> {
    let text = architecture.as_str()?;
    (!crate::Architecture::from(text).is_known()).then(|| format!("`{text}` is not an architecture"))
}

/// A name that the page's skeleton alone has.
#[must_use]
pub fn name_of_the_skeleton(object: &Value, _: &Value) -> Option<String> {
    let has = |name: &str| object.get(name).is_some();
    let (skeleton, schema) = if has("properSelector") && !has("propertySelector") {
        ("properSelector", "propertySelector")
    } else if has("matchExpression") && !has("matchExpressions") {
        ("matchExpression", "matchExpressions")
    } else if has("operator") && has("value") && !has("values") {
        ("value", "values")
    } else {
        return None;
    };
    Some(format!("`{skeleton}` stands for `{schema}`"))
}

/// An operator that exists in one misprint alone.
#[must_use]
pub fn misprinted_operator(expression: &Value, _: &Value) -> Option<String> {
    let is_misprint = expression.get("operator").is_some_and(|operator| operator == "ContainersAny");
    is_misprint.then(|| "expected `ContainsAny`".to_owned())
}

fn inexact_number(version: &Value, _: &Value) -> Option<String> {
    version.is_f64().then(|| "a whole number is written with a fraction or an exponent".to_owned())
}

#[cfg(test)]
mod tests {
    use margo_core::deviations;
    use serde_json::json;

    use super::*;

    fn told(revision: SpecVersion, document: &Value) -> Vec<String> {
        let found = deviations(DEPLOYMENT, revision, document);
        found.iter().map(|d| format!("{} {} {}", d.contradiction, d.level, d.pointer)).collect()
    }

    /// A deployment that deviates wherever it can, and what of it deviates in each revision.
    #[test]
    fn every_row_is_seen_in_its_revisions_alone() {
        let document = json!({
            "apiVersion": "margo.org",
            "id": "not-a-uuid",
            "metadata": { "annotations": { "id": "neither-is-this" } },
            "spec": {
                "applicationId": "pump-monitor",
                "deploymentProfile": {
                    "type": "helm.v3",
                    "components": [{ "properties": { "wait": "true", "packageLocation": "x" } }],
                    "requiredResources": {},
                    "deviceConstraints": {
                        "capacityRequirements": { "memory": "5 Gi", "cpu": { "architectures": ["amd64", "x86_64"] } },
                        "eligibilityRules": [{ "properSelector": { "matchExpression": [
                            { "key": "/a", "operator": "ContainersAny", "value": 1 }
                        ] } }]
                    }
                }
            }
        });
        let wait = "/spec/deploymentProfile/components/0/properties/wait";
        let a = ["X-A-02 L1 /apiVersion", "X-C-16 L3 /metadata/annotations/id", "X-A-29 L1 /spec"];
        assert_eq!(told(SpecVersion::PreDraft, &document)[..3], a);
        assert_eq!(told(SpecVersion::PreDraft, &document)[3..], [format!("X-A-14 L2 {wait}")]);
        let b = [
            "X-B-19 L1 /apiVersion",
            "X-C-16 L3 /metadata/annotations/id",
            "X-C-16 L3 /id",
            "X-C-03 L2 /id",
            "X-C-03 L2 /spec/applicationId",
            "X-B-14 L1 /metadata",
            "X-B-14 L1 /spec",
            "X-B-11 L1 /spec/deploymentProfile/type",
        ];
        assert_eq!(told(SpecVersion::V1_0_0Rc1, &document)[..8], b);
        let c = [
            "X-C-23 L1 /apiVersion",
            "X-C-18 L1 ",
            "X-C-16 L3 /id",
            "X-B-14 L1 /spec",
            "X-C-15 L3 /spec/deploymentProfile/type",
        ];
        assert_eq!(told(SpecVersion::V1_0_0Rc2, &document)[..5], c);
        let constraints = "/spec/deploymentProfile/deviceConstraints";
        let rule = format!("{constraints}/eligibilityRules/0");
        let d = [
            "X-D-20 L3 /apiVersion".to_owned(),
            "X-D-04 L1 /spec".to_owned(),
            format!("X-B-16 L2 {wait}"),
            "X-D-38 L3 /spec/deploymentProfile/components/0/properties".to_owned(),
            "X-D-19 L3 /spec/deploymentProfile/requiredResources".to_owned(),
            format!("X-D-07 L3 {constraints}"),
            format!("X-D-02 L2 {constraints}/capacityRequirements/cpu/architectures/1"),
            format!("X-D-10 L3 {rule}"),
            format!("X-D-10 L3 {rule}/properSelector"),
            format!("X-D-10 L3 {rule}/properSelector/matchExpression/0"),
            format!("X-D-08 L4 {rule}/properSelector/matchExpression/0"),
        ];
        assert_eq!(told(SpecVersion::V1_0_0Rc3, &document), d);
    }

    /// X-A-15, X-B-17, X-C-04: for environment variables alone.
    #[test]
    fn a_prefix_is_taken_off_variables() {
        let document = |profile_type: &str| {
            json!({ "spec": {
                "deploymentProfile": { "type": profile_type },
                "parameters": { "a": { "targets": [{ "pointer": "ENV.A" }, { "pointer": "B" }] } },
            }, "apiVersion": pre_draft::API_VERSION, "kind": "ApplicationDeployment" })
        };
        let place = "/spec/parameters/a/targets/0/pointer";
        assert_eq!(told(SpecVersion::PreDraft, &document("docker-compose")), [format!("X-A-15 L1 {place}")]);
        assert_eq!(told(SpecVersion::V1_0_0Rc2, &document("compose")), [format!("X-C-04 L1 {place}")]);
        assert_eq!(told(SpecVersion::V1_0_0Rc2, &document("helm")), [""; 0]);
    }

    #[test]
    fn requirements_are_written_without_blank() {
        let seen = |name: &str, text: &str| {
            quantities(&json!({ "capacityRequirements": { name: text } }), &Value::Null).is_some()
        };
        for text in ["1Ki", "1024Mi", "0Gi"] {
            assert!(!seen("memory", text) && !seen("storage", text), "{text}");
        }
        assert!(seen("memory", "1Ti") && !seen("storage", "1Ti"));
        for text in ["5 Gi", "Gi", "1.5Gi", "5GB", ""] {
            assert!(seen("storage", text), "{text}");
        }
    }
}
