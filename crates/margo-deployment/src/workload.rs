//! What a component's parameters become for the program that installs it, and what the program calls it.

mod env;
mod values;

pub use env::{compose_env, compose_variables};
use margo_core::{ComponentName, Digest};
pub use values::helm_values;

/// The longest name Helm takes for a release, in characters.
const LONGEST: usize = 53;

/// A name that Helm takes for a release and Compose for a project: at most 53 lower-case letters, digits and dashes,
/// from the name of a deployment and that of a component. Two pairs of names may get one name here when they differ
/// only in what such a name cannot say.
///
/// ```
/// # use margo_deployment::workload::workload_name;
/// assert_eq!(workload_name("Pump_Station 7", &"db".parse()?), "pump-station-7-db");
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[must_use]
pub fn workload_name(deployment: &str, component: &ComponentName) -> String {
    let full = format!("{deployment}-{component}");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = full.chars().map(plain).collect();
    let name = name.trim_matches('-');
    if (1..=LONGEST).contains(&name.len()) {
        return name.to_owned();
    }
    // Two long names stay two names.
    let hash = Digest::of(full.as_bytes()).hex();
    format!("{}-{}", name.get(..LONGEST - 9).unwrap_or("workload"), &hash[..8])
}

/// A parameter cannot be given to a component as its pointer says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pointer `{pointer}`: {problem}")]
#[non_exhaustive]
pub struct PointerError {
    /// The pointer, as written.
    pub pointer: String,
    /// What is wrong with it, or with the value.
    pub problem: String,
}

impl PointerError {
    fn new(pointer: &str, problem: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_helm_takes() {
        let name = |deployment: &str, component: &str| workload_name(deployment, &component.parse().unwrap());
        assert_eq!(name("pump", "collector"), "pump-collector");
        assert_eq!(name("Pump_Station 7", "db"), "pump-station-7-db");
        assert!(name("ü", "-").starts_with("workload-"));
        let (one, other) = (name(&"a".repeat(60), "b"), name(&"a".repeat(61), "b"));
        assert_eq!((one.len(), other.len()), (LONGEST, LONGEST));
        assert_ne!(one, other);
    }
}
