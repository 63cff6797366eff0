//! How the contradictions of the specification are read in a description: one table.

use margo_core::{Interpretation, Level, Quantity, SpecVersion};
use margo_deployment::__private::{
    archive, boolean_as_text, helm_v3, misprinted_operator, name_of_the_skeleton, needless_label,
    old_resources, prefix_taken_off, quantities, unknown_architecture, unknown_properties,
};
use serde_json::Value;

use crate::older::Kind;
use crate::rc1;

const A: &[SpecVersion] = &[SpecVersion::PreDraft];
const B: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1];
const C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc2];
const D: &[SpecVersion] = &[SpecVersion::V1_0_0Rc3];
const B_C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];
const B_C_D: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3];

const VERSION: &str = "/metadata/version";
const TYPE: &str = "/deploymentProfiles/*/type";
const PROPERTIES: &str = "/deploymentProfiles/*/components/*/properties";
const WAIT: &str = "/deploymentProfiles/*/components/*/properties/wait";
const TARGET: &str = "/parameters/*/targets/*";
const SCHEMA: &str = "/configuration/schema/*";
const ARCHITECTURE: &str = "/deploymentProfiles/*/requiredResources/cpu/architectures/*";
const PERIPHERAL: &str = "/deploymentProfiles/*/requiredResources/peripherals/*/type";
const INTERFACE: &str = "/deploymentProfiles/*/requiredResources/interfaces/*/type";
const MEMORY: &str = "/deploymentProfiles/*/requiredResources/memory";
const STORAGE: &str = "/deploymentProfiles/*/requiredResources/storage";
const RULES: &str = "/deploymentProfiles/*/deviceConstraints/eligibilityRules/**";

/// Those of a description.
pub(crate) const DESCRIPTION: &[Interpretation] = &[
    Interpretation::new("X-A-02", Level::L1, A, "/apiVersion", another_api_version),
    Interpretation::new("X-B-19", Level::L1, B, "/apiVersion", another_api_version),
    Interpretation::new("X-C-23", Level::L1, C, "/apiVersion", another_api_version),
    Interpretation::new("X-D-39", Level::L1, D, "/apiVersion", another_api_version_than_v1),
    Interpretation::new("X-A-32", Level::L1, A, "/kind", kind_of_february_2025),
    Interpretation::new("X-B-18", Level::L1, B_C, "/kind", kind_of_the_table),
    Interpretation::new("X-D-20", Level::L3, D, "/kind", needless_label),
    Interpretation::new("X-C-03", Level::L2, B, "/id", id_of_may_2026),
    Interpretation::new("X-A-22", Level::L2, &SpecVersion::ALL, VERSION, version_as_number),
    Interpretation::new("X-D-23", Level::L2, D, VERSION, no_tag),
    Interpretation::new("X-B-11", Level::L1, B, TYPE, helm_v3),
    Interpretation::new("X-C-15", Level::L3, C, TYPE, helm_v3),
    Interpretation::new("X-A-14", Level::L2, A, WAIT, boolean_as_text),
    Interpretation::new("X-B-16", Level::L2, B_C_D, WAIT, boolean_as_text),
    Interpretation::new("X-A-15", Level::L1, A, TARGET, environment_prefix),
    Interpretation::new("X-B-17", Level::L1, B, TARGET, environment_prefix),
    Interpretation::new("X-C-04", Level::L1, C, TARGET, environment_prefix),
    Interpretation::new("X-A-24", Level::L1, &SpecVersion::ALL, SCHEMA, datatype),
    Interpretation::new("X-B-09", Level::L2, B, ARCHITECTURE, x86_64),
    Interpretation::new("X-C-05", Level::L2, C, ARCHITECTURE, x86_64),
    Interpretation::new("X-B-08", Level::L2, B_C, PERIPHERAL, upper_case),
    Interpretation::new("X-B-08", Level::L2, B_C, INTERFACE, upper_case),
    Interpretation::new("X-B-07", Level::L2, B_C, MEMORY, blank),
    Interpretation::new("X-B-07", Level::L2, B_C, STORAGE, blank),
    Interpretation::new("X-D-38", Level::L3, D, PROPERTIES, archive),
    Interpretation::new("X-D-38", Level::L2, D, PROPERTIES, unknown_properties),
    Interpretation::new("X-D-19", Level::L3, D, "/deploymentProfiles/*/requiredResources", old_resources),
    Interpretation::new("X-D-07", Level::L3, D, "/deploymentProfiles/*/deviceConstraints", quantities),
    Interpretation::new(
        "X-D-02",
        Level::L2,
        D,
        "/deploymentProfiles/*/deviceConstraints/capacityRequirements/cpu/architectures/*",
        unknown_architecture,
    ),
    Interpretation::new("X-D-10", Level::L3, D, RULES, name_of_the_skeleton),
    Interpretation::new("X-D-08", Level::L4, D, RULES, misprinted_operator),
];

fn another_api_version(version: &Value, _: &Value) -> Option<String> {
    let version = version.as_str().filter(|version| *version != rc1::API_VERSION)?;
    Some(format!("`{version}` says the same as `{}`", rc1::API_VERSION))
}

fn another_api_version_than_v1(version: &Value, _: &Value) -> Option<String> {
    let version = version.as_str().filter(|version| *version != crate::API_VERSION)?;
    Some(format!("`{version}` says the same as `{}`", crate::API_VERSION))
}

fn kind_of_february_2025(kind: &Value, _: &Value) -> Option<String> {
    (kind == Kind::TEXT).then(|| format!("`{}` stands for `application`", Kind::TEXT))
}

fn kind_of_the_table(kind: &Value, _: &Value) -> Option<String> {
    (kind == "application").then(|| format!("`application` stands for `{}`", Kind::TEXT))
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table asks for it")]
fn id_of_may_2026(_: &Value, _: &Value) -> Option<String> {
    Some("stands where May 2026 had it, and not in the metadata".to_owned())
}

fn version_as_number(version: &Value, _: &Value) -> Option<String> {
    version.is_number().then(|| "a number stands for its own text".to_owned())
}

fn no_tag(version: &Value, _: &Value) -> Option<String> {
    let version = version.as_str()?;
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_tag = (1..=128).contains(&version.len())
        && version.chars().all(is_inside)
        && !version.starts_with(['.', '-']);
    (!is_tag).then(|| format!("`{version}` cannot be the tag of a package"))
}

/// `ENV.` in a target whose components are all of Compose profiles.
fn environment_prefix(target: &Value, description: &Value) -> Option<String> {
    let message = prefix_taken_off(target.get("pointer")?)?;
    let profiles = description.get("deploymentProfiles")?.as_array()?;
    let is_variable = |name: &Value| {
        let mut of = profiles.iter().filter(|profile| has_component(profile, name)).peekable();
        of.peek().is_some() && of.all(is_compose)
    };
    target.get("components")?.as_array()?.iter().all(is_variable).then_some(message)
}

fn has_component(profile: &Value, name: &Value) -> bool {
    let components = profile.get("components").and_then(Value::as_array);
    components.into_iter().flatten().any(|component| component.get("name") == Some(name))
}

fn is_compose(profile: &Value) -> bool {
    profile.get("type").is_some_and(|kind| kind == "compose" || kind == "docker-compose")
}

fn datatype(schema: &Value, _: &Value) -> Option<String> {
    schema.get("datatype").map(|_| "`datatype` stands for `dataType`".to_owned())
}

fn x86_64(architecture: &Value, _: &Value) -> Option<String> {
    (architecture == "x86_64").then(|| "`x86_64` stands for `amd64`".to_owned())
}

fn upper_case(text: &Value, _: &Value) -> Option<String> {
    let text = text.as_str().filter(|text| text.chars().any(|c| c.is_ascii_uppercase()))?;
    Some(format!("`{text}` stands for `{}`", text.to_ascii_lowercase()))
}

fn blank(amount: &Value, _: &Value) -> Option<String> {
    let amount = amount.as_str().filter(|amount| amount.contains(' '))?;
    Quantity::from(amount).bytes().map(|_| format!("`{amount}` has a blank before its unit"))
}

#[cfg(test)]
mod tests {
    use margo_core::deviations;
    use serde_json::json;

    use super::*;

    fn told(revision: SpecVersion, document: &Value) -> Vec<String> {
        let found = deviations(DESCRIPTION, revision, document);
        found.iter().map(|d| format!("{} {} {}", d.contradiction, d.level, d.pointer)).collect()
    }

    /// A description that deviates wherever it can, and what of it deviates in each revision.
    #[test]
    fn every_row_is_seen_in_its_revisions_alone() {
        let document = json!({
            "apiVersion": "margo.org",
            "kind": "application",
            "id": "pump-monitor",
            "metadata": { "version": 1.0 },
            "deploymentProfiles": [
                {
                    "type": "helm.v3",
                    "components": [{ "name": "a", "properties": { "wait": "true", "packageLocation": "x" } }],
                    "requiredResources": {
                        "cpu": { "architectures": ["x86_64"] },
                        "memory": "59 Gi",
                        "storage": "1 Ti",
                        "peripherals": [{ "type": "GPU" }],
                        "interfaces": [{ "type": "Ethernet" }],
                    },
                    "deviceConstraints": {
                        "capacityRequirements": { "memory": "5 Gi", "cpu": { "architectures": ["sparc"] } },
                        "eligibilityRules": [{ "labelSelector": { "matchExpressions": [
                            { "key": "a", "operator": "ContainersAny", "value": 1 }
                        ] } }]
                    }
                },
                { "type": "compose", "components": [{ "name": "b", "properties": { "repository": 1, "mode": 2 } }] },
            ],
            "parameters": { "p": { "targets": [
                { "pointer": "ENV.A", "components": ["a"] },
                { "pointer": "ENV.B", "components": ["b"] },
                { "pointer": "ENV.C", "components": ["c"] },
            ] } },
            "configuration": { "schema": [{ "datatype": "string" }] },
        });
        let profile = "/deploymentProfiles/0";
        let target = "/parameters/p/targets/1";
        let schema = "/configuration/schema/0";
        let properties = format!("{profile}/components/0/properties");
        assert_eq!(
            told(SpecVersion::PreDraft, &document),
            [
                "X-A-02 L1 /apiVersion".to_owned(),
                "X-A-22 L2 /metadata/version".to_owned(),
                format!("X-A-14 L2 {properties}/wait"),
                format!("X-A-15 L1 {target}"),
                format!("X-A-24 L1 {schema}"),
            ]
        );
        let required = format!("{profile}/requiredResources");
        let older = |version: &str, prefix: &str, architecture: &str, helm: &str| {
            [
                format!("{version} L1 /apiVersion"),
                "X-B-18 L1 /kind".to_owned(),
                "X-A-22 L2 /metadata/version".to_owned(),
                format!("{helm} {profile}/type"),
                format!("X-B-16 L2 {properties}/wait"),
                format!("{prefix} L1 {target}"),
                format!("X-A-24 L1 {schema}"),
                format!("{architecture} L2 {required}/cpu/architectures/0"),
                format!("X-B-08 L2 {required}/peripherals/0/type"),
                format!("X-B-08 L2 {required}/interfaces/0/type"),
                format!("X-B-07 L2 {required}/memory"),
                format!("X-B-07 L2 {required}/storage"),
            ]
        };
        assert_eq!(told(SpecVersion::V1_0_0Rc2, &document), older("X-C-23", "X-C-04", "X-C-05", "X-C-15 L3"));
        let mut rc1 = older("X-B-19", "X-B-17", "X-B-09", "X-B-11 L1").to_vec();
        rc1.insert(2, "X-C-03 L2 /id".to_owned());
        assert_eq!(told(SpecVersion::V1_0_0Rc1, &document), rc1);
        let constraints = format!("{profile}/deviceConstraints");
        let expression = format!("{constraints}/eligibilityRules/0/labelSelector/matchExpressions/0");
        assert_eq!(
            told(SpecVersion::V1_0_0Rc3, &document),
            [
                "X-D-39 L1 /apiVersion".to_owned(),
                "X-D-20 L3 /kind".to_owned(),
                "X-A-22 L2 /metadata/version".to_owned(),
                format!("X-B-16 L2 {properties}/wait"),
                format!("X-A-24 L1 {schema}"),
                format!("X-D-38 L3 {properties}"),
                "X-D-38 L2 /deploymentProfiles/1/components/0/properties".to_owned(),
                format!("X-D-19 L3 {required}"),
                format!("X-D-07 L3 {constraints}"),
                format!("X-D-02 L2 {constraints}/capacityRequirements/cpu/architectures/0"),
                format!("X-D-10 L3 {expression}"),
                format!("X-D-08 L4 {expression}"),
            ]
        );
        let february = json!({ "kind": "ApplicationDescription" });
        assert_eq!(told(SpecVersion::PreDraft, &february), ["X-A-32 L1 /kind"]);
    }

    /// X-D-23.
    #[test]
    fn a_version_is_a_tag() {
        for version in ["1.0", "v1.0.0", "2026-05_a"] {
            assert_eq!(no_tag(&json!(version), &Value::Null), None, "{version}");
        }
        for version in ["", "1.0+7", "-1", ".1", "one two", &"1".repeat(129)] {
            assert!(no_tag(&json!(version), &Value::Null).is_some(), "{version}");
        }
    }
}
