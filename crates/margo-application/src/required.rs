//! What 1.0.0-rc.1 and 1.0.0-rc.2 ask of a device, and the same in the newest revision's words.

use margo_core::{Extensions, Quantity, string_enum};
use margo_deployment::__private::Losses;
use margo_deployment::{
    CapacityRequirements, CpuRequirement, DeviceConstraints, EligibilityRule, MatchExpression, Operator,
    Selector,
};
use margo_syntax::{Fault, Pointer};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

const PERIPHERALS: &str = "/peripherals";
const INTERFACES: &str = "/interfaces";
const TYPE: &str = "/type";
const MANUFACTURER: &str = "/manufacturer";
const MODEL: &str = "/model";

/// What a device must have to host a profile: `requiredResources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequiredResources {
    /// The processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<RequiredCpu>,
    /// Memory: digits and `Ki`, `Mi` or `Gi`. A blank before the unit is read over (X-B-07).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "margo_deployment::__private::memory"))]
    pub memory: Option<Quantity>,
    /// Storage: digits and `Ki`, `Mi`, `Gi`, `Ti`, `Pi` or `Ei`. A blank before the unit is read over (X-B-07).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "margo_deployment::__private::storage"))]
    pub storage: Option<Quantity>,
    /// The peripherals: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peripherals: Vec<RequiredPeripheral>,
    /// The interfaces: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<RequiredInterface>,
    /// Fields the revision does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// The processor a profile needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequiredCpu {
    /// How many cores; fractions are allowed (X-B-10).
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub cores: Number,
    /// Any of these architectures will do; absent means any at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<Architecture>>,
    /// Fields the revision does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl RequiredCpu {
    /// `cores` of any architecture.
    #[must_use]
    pub fn new(cores: impl Into<Number>) -> Self {
        Self { cores: cores.into(), architectures: None, extensions: Extensions::new() }
    }
}

/// A peripheral a profile needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequiredPeripheral {
    /// What it is.
    #[serde(rename = "type")]
    pub peripheral_type: PeripheralType,
    /// Who makes it; absent means anyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Which model; absent means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fields the revision does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl RequiredPeripheral {
    /// Of anyone, any model.
    #[must_use]
    pub fn new(peripheral_type: PeripheralType) -> Self {
        Self { peripheral_type, manufacturer: None, model: None, extensions: Extensions::new() }
    }
}

/// An interface a profile needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequiredInterface {
    /// What it is.
    #[serde(rename = "type")]
    pub interface_type: InterfaceType,
    /// Fields the revision does not know.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl RequiredInterface {
    /// An interface.
    #[must_use]
    pub fn new(interface_type: InterfaceType) -> Self {
        Self { interface_type, extensions: Extensions::new() }
    }
}

string_enum! {
    /// A processor architecture. `x86_64` is read as `amd64` (X-B-09, X-C-05).
    pub enum Architecture {
        /// 64-bit x86.
        Amd64 = "amd64",
        /// 64-bit ARM.
        Arm64 = "arm64",
        /// 32-bit ARM.
        Arm = "arm",
    }
}

string_enum! {
    /// What a peripheral is, whatever its case (X-B-08).
    pub enum PeripheralType ignoring case {
        /// A graphics processor.
        Gpu = "gpu",
        /// A screen.
        Display = "display",
        /// A camera.
        Camera = "camera",
        /// A microphone.
        Microphone = "microphone",
        /// A speaker.
        Speaker = "speaker",
    }
}

string_enum! {
    /// What a communication interface is, whatever its case (X-B-08).
    pub enum InterfaceType ignoring case {
        /// Ethernet.
        Ethernet = "ethernet",
        /// Wi-Fi.
        Wifi = "wifi",
        /// A mobile network.
        Cellular = "cellular",
        /// Bluetooth.
        Bluetooth = "bluetooth",
        /// USB.
        Usb = "usb",
        /// CAN bus.
        Canbus = "canbus",
        /// RS-232.
        Rs232 = "rs232",
    }
}

impl RequiredResources {
    /// What the revision does not allow and reading lets pass: values it does not name, amounts it cannot read.
    pub(crate) fn check(&self, at: &Pointer) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut unnamed = |is_known: bool, at: Pointer, text: &str| {
            if !is_known {
                faults.push(Fault::new(at, format!("`{text}` is not one of the values there are")));
            }
        };
        for (index, architecture) in self.architectures().enumerate() {
            let at = at.join("cpu").with("architectures").with(index);
            unnamed(architecture.is_known(), at, architecture.as_str());
        }
        for (index, peripheral) in self.peripherals.iter().enumerate() {
            let at = at.join("peripherals").with(index).with("type");
            unnamed(peripheral.peripheral_type.is_known(), at, peripheral.peripheral_type.as_str());
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            let at = at.join("interfaces").with(index).with("type");
            unnamed(interface.interface_type.is_known(), at, interface.interface_type.as_str());
        }
        if let Some(cpu) = &self.cpu
            && !cpu.cores.as_f64().is_some_and(|cores| cores >= 0.0)
        {
            faults.push(Fault::new(at.join("cpu").with("cores"), "expected no negative number"));
        }
        for (name, amount, units) in
            [("memory", &self.memory, &["Ki", "Mi", "Gi"][..]), ("storage", &self.storage, &["i"])]
        {
            if let Some(amount) = amount
                && (amount.bytes().is_none() || !units.iter().any(|unit| amount.as_str().ends_with(unit)))
            {
                faults.push(Fault::new(at.join(name), format!("`{amount}` is no amount of {name}")));
            }
        }
        faults
    }

    /// The same demands as device constraints: one `ContainsAll` for each thing that must be there (X-D-30).
    pub(crate) fn upgrade(self, at: &Pointer, losses: &mut Losses) -> DeviceConstraints {
        const UNKNOWN: &str = "device constraints have no such member";
        let Self { cpu, memory, storage, peripherals, interfaces, extensions } = self;
        losses.drain(extensions, at, UNKNOWN);
        let mut capacity = CapacityRequirements::default();
        capacity.cpu = cpu.map(|cpu| {
            losses.drain(cpu.extensions, &at.join("cpu"), UNKNOWN);
            let mut required = CpuRequirement::new(cpu.cores);
            required.architectures = cpu.architectures.map(|architectures| {
                architectures.iter().map(|architecture| architecture.as_str().into()).collect()
            });
            required
        });
        capacity.memory = memory;
        capacity.storage = storage;

        let mut expressions = Vec::new();
        for (index, peripheral) in peripherals.into_iter().enumerate() {
            losses.drain(peripheral.extensions, &at.join("peripherals").with(index), UNKNOWN);
            let mut item = vec![MatchExpression::is_in(TYPE, [peripheral.peripheral_type.as_str()])];
            item.extend(peripheral.manufacturer.map(|maker| MatchExpression::is_in(MANUFACTURER, [maker])));
            item.extend(peripheral.model.map(|model| MatchExpression::is_in(MODEL, [model])));
            expressions.push(MatchExpression::contains_all(PERIPHERALS, item));
        }
        for (index, interface) in interfaces.into_iter().enumerate() {
            losses.drain(interface.extensions, &at.join("interfaces").with(index), UNKNOWN);
            let item = vec![MatchExpression::is_in(TYPE, [interface.interface_type.as_str()])];
            expressions.push(MatchExpression::contains_all(INTERFACES, item));
        }

        let mut constraints = DeviceConstraints::default();
        if capacity != CapacityRequirements::default() {
            constraints.capacity_requirements = Some(capacity);
        }
        if !expressions.is_empty() {
            let mut rule = EligibilityRule::default();
            rule.property_selector = Some(Selector::new(expressions));
            constraints.eligibility_rules = Some(vec![rule]);
        }
        constraints
    }

    /// The constraints that have exactly the form [`upgrade`](Self::upgrade) gives them; the others are lost.
    pub(crate) fn downgrade(constraints: &DeviceConstraints, at: &Pointer, losses: &mut Losses) -> Self {
        let mut required = Self::default();
        losses.drain(constraints.extensions.clone(), at, "there is no such member");
        if let Some(capacity) = &constraints.capacity_requirements {
            let at = at.join("capacityRequirements");
            if *capacity == CapacityRequirements::default() {
                losses.add(&at, "there is nothing to say");
            }
            losses.drain(capacity.extensions.clone(), &at, "there is no such member");
            required.cpu = capacity.cpu.as_ref().map(|cpu| downgrade_cpu(cpu, &at.join("cpu"), losses));
            required.memory.clone_from(&capacity.memory);
            required.storage.clone_from(&capacity.storage);
        }
        if let Some(rules) = &constraints.eligibility_rules {
            match Self::from_rules(rules) {
                Some((peripherals, interfaces)) => {
                    required.peripherals = peripherals;
                    required.interfaces = interfaces;
                }
                None => losses.add(
                    &at.join("eligibilityRules"),
                    "only peripherals and interfaces that must all be there can be asked for",
                ),
            }
        }
        required
    }

    fn architectures(&self) -> impl Iterator<Item = &Architecture> {
        self.cpu.iter().flat_map(|cpu| &cpu.architectures).flatten()
    }

    /// Peripherals first, then interfaces: in the order in which upgrading writes them, and in no other.
    fn from_rules(rules: &[EligibilityRule]) -> Option<(Vec<RequiredPeripheral>, Vec<RequiredInterface>)> {
        let [rule] = rules else { return None };
        let mut candidate = Self::default();
        for expression in &rule.property_selector.as_ref()?.match_expressions {
            let item = &expression.item_selector.as_ref()?.match_expressions;
            match expression.key.as_str() {
                PERIPHERALS => {
                    let peripheral_type = only(item, TYPE)?.into();
                    let mut peripheral = RequiredPeripheral::new(peripheral_type);
                    peripheral.manufacturer = only(item, MANUFACTURER).map(str::to_owned);
                    peripheral.model = only(item, MODEL).map(str::to_owned);
                    candidate.peripherals.push(peripheral);
                }
                INTERFACES => {
                    candidate.interfaces.push(RequiredInterface::new(only(item, TYPE)?.into()));
                }
                _ => return None,
            }
        }
        // Whatever else the rule says, it is of this form only if this form says it all.
        let again = candidate.clone().upgrade(&Pointer::root(), &mut Losses::new());
        (again.eligibility_rules.as_deref() == Some(rules))
            .then_some((candidate.peripherals, candidate.interfaces))
    }
}

/// The one value that `key` must have.
fn only<'a>(expressions: &'a [MatchExpression], key: &str) -> Option<&'a str> {
    let expression = expressions.iter().find(|expression| expression.key == key)?;
    match (&expression.operator, expression.values.as_deref()) {
        (Operator::In, Some([Value::String(text)])) => Some(text),
        _ => None,
    }
}

fn downgrade_cpu(cpu: &CpuRequirement, at: &Pointer, losses: &mut Losses) -> RequiredCpu {
    losses.drain(cpu.extensions.clone(), at, "there is no such member");
    let mut required = RequiredCpu::new(cpu.cores.clone());
    let Some(architectures) = &cpu.architectures else { return required };
    let at = at.join("architectures");
    let mut known = Vec::new();
    for (index, architecture) in architectures.iter().enumerate() {
        use margo_deployment::Architecture as Newest;
        match architecture {
            // To ask for fewer is to ask for more: no device is chosen that cannot host the profile.
            Newest::Riscv64 | Newest::Other => losses.add(&at.join(index), "there is no such architecture"),
            other => known.push(Architecture::from(other.as_str())),
        }
    }
    if known.is_empty() && !architectures.is_empty() {
        losses.add(&at, "no architecture is left, so that any will do");
        return required;
    }
    required.architectures = Some(known);
    required
}

/// What reading understands in an untyped profile: amounts with a blank (X-B-07), and `x86_64` (X-B-09, X-C-05).
pub(crate) fn settle(profile: &mut Value) {
    let Some(required) = profile.get_mut("requiredResources") else { return };
    for name in ["memory", "storage"] {
        if let Some(Value::String(amount)) = required.get_mut(name)
            && Quantity::from(amount.as_str()).bytes().is_some()
        {
            *amount = amount.replacen(' ', "", 1);
        }
    }
    if let Some(Value::Array(architectures)) = required.pointer_mut("/cpu/architectures")
        && architectures.iter().any(|architecture| architecture == "x86_64")
    {
        let is_told = architectures.iter().any(|architecture| architecture == "amd64");
        let at = architectures.iter().position(|architecture| architecture == "x86_64");
        architectures.retain(|architecture| architecture != "x86_64");
        if let (false, Some(at)) = (is_told, at) {
            architectures.insert(at, "amd64".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> RequiredResources {
        let mut profile = Value::Object([("requiredResources".to_owned(), value)].into_iter().collect());
        settle(&mut profile);
        serde_json::from_value(profile["requiredResources"].take()).unwrap()
    }

    fn up(required: RequiredResources) -> (DeviceConstraints, usize) {
        let mut losses = Losses::new();
        let constraints = required.upgrade(&Pointer::root(), &mut losses);
        (constraints, losses.into_vec().len())
    }

    fn down(constraints: &Value) -> (RequiredResources, Vec<String>) {
        let mut losses = Losses::new();
        let constraints = serde_json::from_value(constraints.clone()).unwrap();
        let required = RequiredResources::downgrade(&constraints, &Pointer::root(), &mut losses);
        (required, losses.into_vec().into_iter().map(|loss| loss.pointer).collect())
    }

    /// X-D-30: one expression for each thing, and back.
    #[test]
    fn each_thing_asked_for_is_one_expression() {
        let required = read(json!({
            "cpu": { "cores": 1.5, "architectures": ["amd64"] },
            "memory": "1024Mi",
            "storage": "10Gi",
            "peripherals": [{ "type": "gpu", "manufacturer": "Acme", "model": "G1" }, { "type": "display" }],
            "interfaces": [{ "type": "ethernet" }, { "type": "bluetooth" }],
        }));
        let is_in = |key: &str, value: &str| json!({ "key": key, "operator": "In", "values": [value] });
        let all = |key: &str, item: &[Value]| json!({ "key": key, "operator": "ContainsAll", "itemSelector": { "matchExpressions": item } });
        let constraints = json!({
            "capacityRequirements": {
                "cpu": { "cores": 1.5, "architectures": ["amd64"] }, "memory": "1024Mi", "storage": "10Gi",
            },
            "eligibilityRules": [{ "propertySelector": { "matchExpressions": [
                all("/peripherals", &[is_in("/type", "gpu"), is_in("/manufacturer", "Acme"), is_in("/model", "G1")]),
                all("/peripherals", &[is_in("/type", "display")]),
                all("/interfaces", &[is_in("/type", "ethernet")]),
                all("/interfaces", &[is_in("/type", "bluetooth")]),
            ] } }],
        });
        let (upgraded, losses) = up(required.clone());
        assert_eq!((serde_json::to_value(&upgraded).unwrap(), losses), (constraints.clone(), 0));
        assert_eq!(down(&constraints), (required, vec![]));
    }

    #[test]
    fn nothing_asked_for_is_nothing_asked_for() {
        let (upgraded, losses) = up(RequiredResources::default());
        assert_eq!((upgraded, losses), (DeviceConstraints::default(), 0));
        assert_eq!(down(&json!({})), (RequiredResources::default(), vec![]));
    }

    /// Rules that say anything else than that everything must be there have no older words.
    #[test]
    fn other_rules_are_lost_and_said_to_be() {
        let rule = |expressions: Value| json!([{ "propertySelector": { "matchExpressions": expressions } }]);
        let gpu = json!({ "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["gpu"] }] });
        let contains =
            |operator: &str| json!({ "key": "/peripherals", "operator": operator, "itemSelector": gpu });
        let exact = rule(json!([contains("ContainsAll")]));
        assert_eq!(down(&json!({ "eligibilityRules": exact })).1, [""; 0]);
        let either = json!({ "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["gpu", "display"] }] });
        let mut labeled = exact.clone();
        labeled[0]["labelSelector"] = json!({ "matchExpressions": [] });
        let upper = json!({ "matchExpressions": [{ "key": "/type", "operator": "In", "values": ["GPU"] }] });
        for rules in [
            rule(json!([contains("ContainsAny")])),
            rule(json!([{ "key": "/peripherals", "operator": "ContainsAll", "itemSelector": either }])),
            rule(json!([{ "key": "/peripherals", "operator": "ContainsAll", "itemSelector": upper }])),
            rule(json!([{ "key": "/vendor", "operator": "In", "values": ["Acme"] }])),
            json!([exact[0], exact[0]]),
            labeled,
            json!([]),
            json!([{}]),
        ] {
            let (required, losses) = down(&json!({ "eligibilityRules": rules }));
            assert_eq!(losses, ["/eligibilityRules"], "{rules}");
            assert_eq!(required, RequiredResources::default());
        }
    }

    /// X-D-02: what only newer revisions name.
    #[test]
    fn an_architecture_without_a_name_is_left_out() {
        let cpu = |architectures: Value| json!({ "capacityRequirements": { "cpu": { "cores": 1, "architectures": architectures } } });
        let at = "/capacityRequirements/cpu/architectures";
        let (required, losses) = down(&cpu(json!(["riscv64", "arm64"])));
        assert_eq!(required.architectures().collect::<Vec<_>>(), [&Architecture::Arm64]);
        assert_eq!(losses, [format!("{at}/0")]);
        let (required, losses) = down(&cpu(json!(["other"])));
        assert_eq!(required.cpu.unwrap().architectures, None);
        assert_eq!(losses, [format!("{at}/0"), at.to_owned()]);
    }

    /// X-B-07, X-B-08, X-B-09, X-C-05.
    #[test]
    fn contradictions_are_read_as_recorded() {
        let required = read(json!({
            "cpu": { "cores": 2, "architectures": ["arm64", "x86_64"] },
            "memory": "59 Gi",
            "storage": "much",
            "peripherals": [{ "type": "GPU" }],
        }));
        let architectures: Vec<_> = required.architectures().map(Architecture::as_str).collect();
        assert_eq!(architectures, ["arm64", "amd64"]);
        assert_eq!(required.memory.as_ref().unwrap().as_str(), "59Gi");
        assert_eq!(required.peripherals[0].peripheral_type, PeripheralType::Gpu);
        assert_eq!(
            required.check(&Pointer::root())[0].to_string(),
            "/storage: `much` is no amount of storage"
        );
        let both = read(json!({ "cpu": { "cores": 2, "architectures": ["amd64", "x86_64"] } }));
        assert_eq!(both.architectures().collect::<Vec<_>>(), [&Architecture::Amd64]);
    }

    #[test]
    fn what_has_no_name_is_a_fault() {
        let required = read(json!({
            "cpu": { "cores": -1, "architectures": ["sparc"] },
            "memory": "1Ti",
            "peripherals": [{ "type": "nic" }],
            "interfaces": [{ "type": "token ring" }],
            "extra": 1,
        }));
        let faults = required.check(&Pointer::root());
        let places: Vec<_> = faults.iter().map(|fault| fault.pointer().as_str()).collect();
        assert_eq!(
            places,
            ["/cpu/architectures/0", "/peripherals/0/type", "/interfaces/0/type", "/cpu/cores", "/memory"]
        );
        assert_eq!(up(required).1, 1);
    }
}
