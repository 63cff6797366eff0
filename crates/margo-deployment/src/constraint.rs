use margo_core::{Extensions, Quantity, string_enum};
use margo_syntax::{Fault, Pointer};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// What a device must have to host a deployment ([spec]).
///
/// A manager copies the constraints of the chosen profile into the deployment unchanged (R-D-029); these types
/// keep everything they read, down to the spelling of numbers and the difference between an absent and an empty
/// list. Evaluating them is `margo-placement`.
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/application-description#deviceconstraints
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl DeviceConstraints {
    /// What 1.0.0-rc.3 does not allow here, and reading lets pass: fewer than no cores, an operator it does not
    /// know, an operator without what it compares with, a key that is no pointer where one is wanted.
    ///
    /// `at` is where the constraints stand in their document.
    #[must_use]
    pub fn check(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(cpu) = self.capacity_requirements.as_ref().and_then(|capacity| capacity.cpu.as_ref())
            && !cpu.cores.as_f64().is_some_and(|cores| cores >= 0.0)
        {
            let at = at.join("capacityRequirements").with("cpu").with("cores");
            faults.push(Fault::new(at, "expected no negative number"));
        }
        for (index, rule) in self.eligibility_rules.iter().flatten().enumerate() {
            let at = at.join("eligibilityRules").with(index);
            if let Some(selector) = &rule.property_selector {
                selector.check(&at.join("propertySelector"), true, &mut faults);
            }
            if let Some(selector) = &rule.label_selector {
                selector.check(&at.join("labelSelector"), false, &mut faults);
            }
        }
        faults
    }

    /// X-D-08: the one misprint that is refused although the vocabulary of operators is open.
    pub(crate) fn check_misprint(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (index, rule) in self.eligibility_rules.iter().flatten().enumerate() {
            let at = at.join("eligibilityRules").with(index);
            for (name, selector) in
                [("propertySelector", &rule.property_selector), ("labelSelector", &rule.label_selector)]
            {
                if let Some(selector) = selector {
                    selector.check_misprint(&at.join(name), &mut faults);
                }
            }
        }
        faults
    }
}

/// X-D-10: reads the names of the page's skeleton as those of the schema.
pub(crate) fn settle_names(constraints: &mut Value) {
    let Some(Value::Array(rules)) = constraints.get_mut("eligibilityRules") else { return };
    for rule in rules {
        rename(rule, "properSelector", "propertySelector", |selector| selector);
        for name in ["propertySelector", "labelSelector"] {
            if let Some(selector) = rule.get_mut(name) {
                settle_selector(selector);
            }
        }
    }
}

fn settle_selector(selector: &mut Value) {
    rename(selector, "matchExpression", "matchExpressions", into_list);
    let Some(Value::Array(expressions)) = selector.get_mut("matchExpressions") else { return };
    for expression in expressions {
        rename(expression, "value", "values", into_list);
        if let Some(selector) = expression.get_mut("itemSelector") {
            settle_selector(selector);
        }
    }
}

fn into_list(value: Value) -> Value {
    if value.is_array() { value } else { Value::Array(vec![value]) }
}

/// Unless both names are there.
fn rename(object: &mut Value, skeleton: &str, schema: &str, convert: fn(Value) -> Value) {
    if let Value::Object(members) = object
        && !members.contains_key(schema)
        && let Some(value) = members.remove(skeleton)
    {
        members.insert(schema.to_owned(), convert(value));
    }
}

/// The capacity a workload needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CapacityRequirements {
    /// Processor cores, of one entry of the device's `cpus`: entries are not summed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuRequirement>,
    /// Memory: digits and `Ki`, `Mi` or `Gi`, without a blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::memory"))]
    pub memory: Option<Quantity>,
    /// Storage: digits and `Ki`, `Mi`, `Gi`, `Ti`, `Pi` or `Ei`, without a blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::storage"))]
    pub storage: Option<Quantity>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// The processor a workload needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CpuRequirement {
    /// How many cores; fractions are allowed (X-B-10, X-D-33).
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

    fn check(&self, at: &Pointer, by_pointer: bool, faults: &mut Vec<Fault>) {
        for (index, expression) in self.match_expressions.iter().enumerate() {
            expression.check(&at.join("matchExpressions").with(index), by_pointer, faults);
        }
    }

    fn check_misprint(&self, at: &Pointer, faults: &mut Vec<Fault>) {
        for (index, expression) in self.match_expressions.iter().enumerate() {
            let at = at.join("matchExpressions").with(index);
            if expression.operator.as_str() == "ContainersAny" {
                faults.push(Fault::new(at.join("operator"), "expected `ContainsAny`"));
            }
            if let Some(selector) = &expression.item_selector {
                selector.check_misprint(&at.join("itemSelector"), faults);
            }
        }
    }
}

/// One comparison. Strings compare exactly; a mismatch of types is false, never an error.
///
/// ```
/// use margo_deployment::{MatchExpression, Operator};
/// use serde_json::json;
///
/// let gpu = MatchExpression::contains_all("/peripherals", vec![MatchExpression::is_in("/type", ["gpu"])]);
/// assert_eq!(
///     serde_json::to_value(&gpu)?,
///     json!({
///         "key": "/peripherals",
///         "operator": "ContainsAll",
///         "itemSelector": { "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["gpu"] }] },
///     })
/// );
/// // A word that is no operator is read, kept, and found by `check` of the constraints it stands in.
/// assert!(!Operator::from("Near").is_known());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MatchExpression {
    /// Property selector: a JSON Pointer (RFC 6901) relative to `properties`. Label selector: the label's exact
    /// key. Inside an item selector: a pointer relative to the element.
    #[cfg_attr(feature = "schema", schemars(example = "/peripherals"))]
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

    /// `key In values`.
    #[must_use]
    pub fn is_in<V: Into<Value>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        let values = Some(values.into_iter().map(Into::into).collect());
        Self { values, ..Self::new(key, Operator::In) }
    }

    /// `key ContainsAll`: one element matches all of `expressions`.
    #[must_use]
    pub fn contains_all(key: impl Into<String>, expressions: Vec<MatchExpression>) -> Self {
        let selector = Some(Box::new(Selector::new(expressions)));
        Self { item_selector: selector, ..Self::new(key, Operator::ContainsAll) }
    }

    fn check(&self, at: &Pointer, by_pointer: bool, faults: &mut Vec<Fault>) {
        if by_pointer && self.key.parse::<Pointer>().is_err() {
            faults.push(Fault::new(at.join("key"), "expected a JSON Pointer such as `/vendor`"));
        }
        let values = self.values.as_deref();
        match self.operator {
            Operator::In | Operator::NotIn if values.is_none() => {
                faults.push(Fault::new(at.clone(), "missing `values`"));
            }
            Operator::Gt | Operator::Lt if !matches!(values, Some([Value::Number(_)])) => {
                faults.push(Fault::new(at.join("values"), "expected exactly one number"));
            }
            Operator::ContainsAll | Operator::ContainsAny if self.item_selector.is_none() => {
                faults.push(Fault::new(at.clone(), "missing `itemSelector`"));
            }
            Operator::Unrecognized(_) => {
                let message = format!("`{}` is not an operator", self.operator);
                faults.push(Fault::new(at.join("operator"), message));
            }
            _ => {}
        }
        if let Some(selector) = &self.item_selector {
            // Inside, keys are pointers relative to the element.
            selector.check(&at.join("itemSelector"), true, faults);
        }
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

    /// The places of the faults of one expression in a property selector.
    fn faults(expression: &Value) -> Vec<String> {
        let rules =
            json!({ "eligibilityRules": [{ "propertySelector": { "matchExpressions": [expression] } }] });
        let constraints: DeviceConstraints = serde_json::from_value(rules).unwrap();
        let strip = "/eligibilityRules/0/propertySelector/matchExpressions/0";
        let place = |fault: &Fault| fault.pointer().as_str().strip_prefix(strip).unwrap().to_owned();
        constraints.check(&Pointer::root()).iter().map(place).collect()
    }

    #[test]
    fn an_operator_needs_what_it_compares_with() {
        assert_eq!(faults(&json!({ "key": "/vendor", "operator": "In" })), [""]);
        assert_eq!(faults(&json!({ "key": "/vendor", "operator": "NotIn", "values": [] })), [""; 0]);
        for values in [json!([]), json!([1, 2]), json!(["1"])] {
            assert_eq!(faults(&json!({ "key": "/a", "operator": "Gt", "values": values })), ["/values"]);
        }
        assert_eq!(faults(&json!({ "key": "/a", "operator": "Lt", "values": [1.5] })), [""; 0]);
        assert_eq!(faults(&json!({ "key": "/a", "operator": "ContainsAny", "values": [1] })), [""]);
        assert_eq!(faults(&json!({ "key": "vendor", "operator": "Exists" })), ["/key"]);
        assert_eq!(faults(&json!({ "key": "/a", "operator": "Near" })), ["/operator"]);
        let inside = json!({ "matchExpressions": [{ "key": "type", "operator": "Exists" }] });
        assert_eq!(
            faults(&json!({ "key": "/a", "operator": "ContainsAll", "itemSelector": inside })),
            ["/itemSelector/matchExpressions/0/key"]
        );
        // The key of a label is any text.
        let rules = json!({ "eligibilityRules": [{ "labelSelector": { "matchExpressions": [
            { "key": "acme.com/hall", "operator": "Exists" }
        ] } }] });
        assert_eq!(serde_json::from_value::<DeviceConstraints>(rules).unwrap().check(&Pointer::root()), []);
        let cores = json!({ "capacityRequirements": { "cpu": { "cores": -1 } } });
        assert_eq!(
            serde_json::from_value::<DeviceConstraints>(cores).unwrap().check(&Pointer::root()).len(),
            1
        );
    }

    /// X-D-10.
    #[test]
    fn names_of_the_skeleton_are_understood() {
        let mut skeleton = json!({ "eligibilityRules": [{ "properSelector": { "matchExpression": [
            { "key": "/vendor", "operator": "In", "value": "Acme" },
            { "key": "/hall", "operator": "In", "values": [{ "value": 1 }], "x-a-extensions": { "value": 2 } }
        ] } }] });
        settle_names(&mut skeleton);
        let schema = json!({ "eligibilityRules": [{ "propertySelector": { "matchExpressions": [
            { "key": "/vendor", "operator": "In", "values": ["Acme"] },
            { "key": "/hall", "operator": "In", "values": [{ "value": 1 }], "x-a-extensions": { "value": 2 } }
        ] } }] });
        assert_eq!(skeleton, schema);
    }
}
