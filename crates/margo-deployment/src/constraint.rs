use margo_core::{Extensions, Quantity, string_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// What a device must have to host a deployment ([spec], 1.0.0-rc.3).
///
/// A manager copies the constraints of the chosen profile into the deployment unchanged (R-D-029); these types
/// keep everything they read, down to the spelling of numbers and the difference between an absent and an empty
/// list. Evaluating them is `margo-placement`.
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#deviceconstraints
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeviceConstraints {
    /// What must be free for the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_requirements: Option<CapacityRequirements>,
    /// What the device must be; one matching rule is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligibility_rules: Option<Vec<EligibilityRule>>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// The capacity a workload needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CapacityRequirements {
    /// Processor cores, of one entry of the device's `cpus`: entries are not summed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuRequirement>,
    /// Memory: `^[0-9]+(Ki|Mi|Gi)$`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Storage: `^[0-9]+(Ki|Mi|Gi|Ti|Pi|Ei)$`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// The processor a workload needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CpuRequirement {
    /// How many cores; fractions are allowed (X-B-10, X-D-33).
    pub cores: Number,
    /// Any of these architectures will do; absent means any at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<Architecture>>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl CpuRequirement {
    /// `cores` of any architecture.
    #[must_use]
    pub fn new(cores: impl Into<Number>) -> Self {
        Self { cores: cores.into(), architectures: None, extensions: Extensions::new() }
    }
}

string_enum! {
    /// A processor architecture a workload can ask for. Devices report the first three (X-D-02).
    pub enum Architecture {
        /// 64-bit x86.
        Amd64 = "amd64",
        /// 64-bit ARM.
        Arm64 = "arm64",
        /// 32-bit ARM.
        Arm = "arm",
        /// 64-bit RISC-V.
        Riscv64 = "riscv64",
        /// Any architecture outside the named ones.
        Other = "other",
    }
}

/// One way to be eligible: both selectors must match, an absent one always does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EligibilityRule {
    /// Selects by the `properties` of the device's capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_selector: Option<Selector>,
    /// Selects by the device's labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<Selector>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// A list of expressions that must all match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Selector {
    /// All of these must match.
    pub match_expressions: Vec<MatchExpression>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Selector {
    /// Matches when all of `expressions` do.
    #[must_use]
    pub fn new(expressions: Vec<MatchExpression>) -> Self {
        Self { match_expressions: expressions, extensions: Extensions::new() }
    }
}

/// One comparison. Strings compare exactly; a mismatch of types is false, never an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MatchExpression {
    /// Property selector: a JSON Pointer (RFC 6901) relative to `properties`. Label selector: the label's exact
    /// key. Inside an item selector: a pointer relative to the element.
    pub key: String,
    /// How to compare.
    pub operator: Operator,
    /// What to compare with: for `In` and `NotIn`; for `Gt` and `Lt` exactly one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    /// What the elements of an array must be: for `ContainsAll` and `ContainsAny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_selector: Option<Box<Selector>>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl MatchExpression {
    /// `key operator`, with nothing to compare with yet.
    #[must_use]
    pub fn new(key: impl Into<String>, operator: Operator) -> Self {
        Self { key: key.into(), operator, values: None, item_selector: None, extensions: Extensions::new() }
    }
}

string_enum! {
    /// How an expression compares (X-D-08: `ContainersAny` in one place of the page is a misprint).
    pub enum Operator {
        /// The value is one of `values`.
        In = "In",
        /// The key exists, and its value is none of `values`.
        NotIn = "NotIn",
        /// The key exists.
        Exists = "Exists",
        /// The key does not exist.
        DoesNotExist = "DoesNotExist",
        /// The value is a number greater than the one in `values`.
        Gt = "Gt",
        /// The value is a number less than the one in `values`.
        Lt = "Lt",
        /// One element of the array matches every expression of the item selector.
        ContainsAll = "ContainsAll",
        /// One element of the array matches at least one expression of the item selector.
        ContainsAny = "ContainsAny",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// R-D-029: what is copied through these types is what was read.
    #[test]
    fn constraints_are_copied_unchanged() {
        let constraints = json!({
            "capacityRequirements": {
                "cpu": { "cores": 1.5, "architectures": ["riscv64", "sparc"] },
                "memory": "1024Mi",
                "storage": "5 Gi",
                "gpuMemory": "4Gi"
            },
            "eligibilityRules": [
                {},
                {
                    "propertySelector": { "matchExpressions": [
                        { "key": "/vendor", "operator": "In", "values": ["Acme", 7, null, [true]] },
                        { "key": "/interfaces", "operator": "ContainsAny", "itemSelector": { "matchExpressions": [
                            { "key": "/type", "operator": "Near", "values": [] }
                        ] } }
                    ], "since": 4 },
                    "labelSelector": { "matchExpressions": [{ "key": "a/b", "operator": "Exists" }] }
                }
            ],
            "x-acme-extensions": { "tier": "gold" }
        });
        for constraints in [constraints, json!({}), json!({ "eligibilityRules": [] })] {
            let read: DeviceConstraints = serde_json::from_value(constraints.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), constraints);
        }
        let whole = json!({ "capacityRequirements": { "cpu": { "cores": 2 } } });
        let read: DeviceConstraints = serde_json::from_value(whole.clone()).unwrap();
        // Not `2.0`: the spelling of a number is kept as well.
        assert_eq!(serde_json::to_string(&read).unwrap(), whole.to_string());
    }
}
