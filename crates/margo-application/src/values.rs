use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use margo_core::ComponentName;
use margo_deployment::Component;
use serde_json::Value;

use crate::schema::{FaultKind, is_same};
use crate::{ApplicationDescription, ParameterDefinition};

/// Checks the values a user gave against an application's configuration (R-A-039, R-A-040), and returns the
/// values that take effect in the profile that has `components`.
///
/// For each parameter that reaches one of `components`, the value is the one given; else, if the parameter is
/// immutable, the one in `previous`, the values of the earlier installation; else the default. A value is
/// returned in its native type: `"30"` for an integer becomes `30` (X-A-30, MI-014). A parameter that no
/// setting shows takes any JSON value. Values for parameters that reach none of `components` are checked, and
/// left out.
///
/// Decimal places are counted as written when a number is given as text (`"1.50"` has two), else as few as say
/// the number (MI-013).
///
/// ```
/// use margo_application::{ApplicationDescription, FaultKind, check_values};
/// use margo_syntax::Limits;
/// use serde_json::json;
/// use std::collections::BTreeMap;
///
/// let text = "
/// apiVersion: v1
/// id: pump-monitor
/// metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }
/// deploymentProfiles:
///   - type: helm
///     id: cluster
///     components:
///       - name: collector
///         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
/// parameters:
///   interval: { value: 60, targets: [{ pointer: interval, components: [collector] }] }
///   site: { targets: [{ pointer: site, components: [collector] }] }
/// configuration:
///   sections:
///     - name: General
///       settings:
///         - { parameter: interval, name: Interval, schema: seconds }
///         - { parameter: site, name: Site, schema: code }
///   schema:
///     - { name: seconds, dataType: integer, minValue: 30 }
///     - { name: code, dataType: string, regexMatch: '^[A-Z]{3}$' }
/// ";
/// let description = ApplicationDescription::parse(text.as_bytes(), &Limits::default())?;
/// let components = &description.deployment_profiles[0].components;
///
/// let values = BTreeMap::from([("interval".to_owned(), json!("45")), ("site".to_owned(), json!("ABC"))]);
/// let effective = check_values(&description, components, &values, None)?;
/// assert_eq!(effective["interval"], json!(45));
///
/// let values = BTreeMap::from([("interval".to_owned(), json!(5)), ("colour".to_owned(), json!("red"))]);
/// let faults = check_values(&description, components, &values, None).unwrap_err();
/// let kinds: Vec<_> = faults.iter().map(|fault| fault.kind).collect();
/// assert_eq!(kinds, [FaultKind::UnknownParameter, FaultKind::Range, FaultKind::Missing]);
/// assert_eq!(faults.iter().nth(1).unwrap().to_string(), "`interval` must be at least 30, and is 5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Every fault at once, never only the first.
pub fn check_values(
    description: &ApplicationDescription,
    components: &[Component],
    values: &BTreeMap<String, Value>,
    previous: Option<&BTreeMap<String, Value>>,
) -> Result<BTreeMap<String, Value>, ParameterFaults> {
    let components: BTreeSet<&ComponentName> = components.iter().map(|component| &component.name).collect();
    let mut faults = Vec::new();
    for name in values.keys().filter(|name| !description.parameters.contains_key(*name)) {
        let message = format!("is not a parameter of `{}`", description.id);
        faults.push(ParameterFault::new(name, FaultKind::UnknownParameter, None, &message));
    }
    let mut effective = BTreeMap::new();
    for (name, definition) in &description.parameters {
        let reaches = definition
            .targets
            .iter()
            .any(|target| target.components.iter().any(|component| components.contains(component)));
        let given = values.get(name);
        if given.is_none() && !reaches {
            continue;
        }
        let before = previous.and_then(|previous| previous.get(name));
        match settle(description, name, definition, given, before) {
            Ok(Some(value)) if reaches => {
                effective.insert(name.clone(), value);
            }
            Ok(_) => {}
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(effective) } else { Err(ParameterFaults(faults)) }
}

/// The values that cannot be used, and why: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterFaults(Vec<ParameterFault>);

impl ParameterFaults {
    /// The faults, by parameter; unknown parameters first.
    pub fn iter(&self) -> std::slice::Iter<'_, ParameterFault> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ParameterFaults {
    type Item = &'a ParameterFault;
    type IntoIter = std::slice::Iter<'a, ParameterFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for ParameterFaults {
    type Item = ParameterFault;
    type IntoIter = std::vec::IntoIter<ParameterFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for ParameterFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ParameterFaults {}

/// One rule that one value breaks.
///
/// It reads aloud: `` `interval` must be at least 30, and is 5``. Texts that a user gave are never repeated, as
/// they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterFault {
    /// The parameter.
    pub parameter: String,
    /// Which rule the value breaks.
    pub kind: FaultKind,
    /// The schema that has the rule, if one does.
    pub schema: Option<String>,
    /// The whole sentence, as [`Display`](fmt::Display) prints it.
    pub message: String,
}

impl ParameterFault {
    fn new(parameter: &str, kind: FaultKind, schema: Option<&str>, message: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            kind,
            schema: schema.map(str::to_owned),
            message: format!("`{parameter}` {message}"),
        }
    }
}

impl fmt::Display for ParameterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The value of one parameter, native; `None` if there is none and need not be.
fn settle(
    description: &ApplicationDescription,
    name: &str,
    definition: &ParameterDefinition,
    given: Option<&Value>,
    before: Option<&Value>,
) -> Result<Option<Value>, Vec<ParameterFault>> {
    let fault = |kind, schema, message: &str| ParameterFault::new(name, kind, schema, message);
    let is_immutable = description.settings_of(name).any(|(setting, _)| setting.immutable);
    let before = before.filter(|_| is_immutable);
    let mut schemas = description.settings_of(name).filter_map(|(_, schema)| schema);

    let Some(value) = given.or(before).or(definition.value.as_ref()) else {
        return match schemas.find(|schema| !schema.allow_empty) {
            Some(schema) => Err(vec![fault(FaultKind::Missing, Some(&schema.name), "needs a value")]),
            None => Ok(None),
        };
    };
    let mut native = Some(value.clone());
    let mut faults = Vec::new();
    for schema in schemas {
        match schema.apply(value) {
            Ok(applied) => native = applied,
            Err(violations) => faults.extend(
                violations
                    .iter()
                    .map(|violation| fault(violation.kind, Some(&schema.name), &violation.message)),
            ),
        }
    }
    // R-A-041. The earlier value may have been written down as text, too.
    if faults.is_empty()
        && let Some(before) = before
    {
        let applied =
            description.settings_of(name).filter_map(|(_, schema)| schema?.apply(before).ok()).last();
        let before = applied.unwrap_or_else(|| Some(before.clone()));
        let is_kept = match (&before, &native) {
            (Some(before), Some(native)) => is_same(before, native),
            (before, native) => before == native,
        };
        if !is_kept {
            let message = "cannot change any more: it was fixed when the application was installed";
            faults.push(fault(FaultKind::Immutable, None, message));
        }
    }
    if faults.is_empty() { Ok(native) } else { Err(faults) }
}
