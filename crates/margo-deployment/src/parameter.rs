use margo_core::{ComponentName, Extensions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value a user set, and where it goes ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#parameter-attributes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Parameter {
    /// Any JSON value (X-D-29). Required in a deployment; in an application description it is the default and
    /// may be absent.
    pub value: Value,
    /// Where the value goes.
    pub targets: Vec<Target>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Parameter {
    /// `value`, handed to each of `targets`.
    #[must_use]
    pub fn new(value: impl Into<Value>, targets: Vec<Target>) -> Self {
        Self { value: value.into(), targets, extensions: Extensions::new() }
    }
}

/// One place a parameter goes to ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#target-attributes
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Target {
    /// Helm: a dotted path, as `--set` takes it. Compose: the name of an environment variable.
    pub pointer: String,
    /// The components that receive the value, by name (R-A-042).
    pub components: Vec<ComponentName>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Target {
    /// `pointer`, in each of `components`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, components: impl IntoIterator<Item = ComponentName>) -> Self {
        Self {
            pointer: pointer.into(),
            components: components.into_iter().collect(),
            extensions: Extensions::new(),
        }
    }
}
