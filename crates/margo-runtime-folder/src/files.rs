use std::collections::BTreeMap;

use margo_api::RuntimeError;
use margo_core::{ComponentName, Digest, Document};
use margo_deployment::{ApplicationDeployment, Component, Package, ProfileType};
use serde::Serialize;
use serde_json::Value;

use crate::env::env;
use crate::values::values;

/// The longest release name Helm takes, in characters.
const LONGEST_RELEASE: usize = 53;

/// What a component's folder holds: names and contents.
pub(crate) type Files = Vec<(&'static str, String)>;

/// What Helm or Compose would be handed for `component`.
pub(crate) fn files(
    deployment: &Document<ApplicationDeployment>,
    component: &Component,
) -> Result<Files, RuntimeError> {
    let parameters = deployment.values_for(&component.name);
    let invalid = |problem: String| RuntimeError::new("invalid-parameter", problem);
    let workload = Workload::of(deployment, component);
    Ok(match deployment.spec.deployment_profile.profile_type {
        ProfileType::Helm => {
            let values = values(parameters).map_err(invalid)?;
            vec![("values.yaml", yaml(&values)?), ("release.yaml", yaml(&workload)?)]
        }
        ProfileType::Compose => {
            let env = env(parameters).map_err(invalid)?;
            vec![(".env", env), ("package.yaml", yaml(&workload)?)]
        }
        _ => {
            let parameters: BTreeMap<&str, &Value> = parameters.collect();
            vec![("parameters.yaml", yaml(&parameters)?), ("package.yaml", yaml(&workload)?)]
        }
    })
}

/// Everything that is not a parameter.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Workload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_location: Option<&'a str>,
    wait: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    application: &'a str,
    /// The bytes this folder was made from.
    digest: Digest,
}

impl<'a> Workload<'a> {
    fn of(deployment: &'a Document<ApplicationDeployment>, component: &'a Component) -> Self {
        let name = workload_name(&deployment.metadata.name, &component.name);
        let is_helm = deployment.spec.deployment_profile.profile_type == ProfileType::Helm;
        let (release, project) = if is_helm { (Some(name), None) } else { (None, Some(name)) };
        let mut workload = Self {
            release,
            project,
            namespace: &deployment.metadata.namespace,
            repository: None,
            revision: None,
            package_location: None,
            key_location: None,
            wait: component.properties.waits(),
            timeout: component.properties.timeout.as_ref().map(ToString::to_string),
            application: deployment.spec.application_id.as_str(),
            digest: deployment.digest(),
        };
        match &component.properties.package {
            Package::Oci { repository, revision } => {
                workload.repository = Some(repository);
                workload.revision = Some(revision.as_str());
            }
            Package::Archive { package_location, key_location } => {
                workload.package_location = Some(package_location);
                workload.key_location = key_location.as_deref();
            }
            _ => {}
        }
        workload
    }
}

/// A name that Helm takes for a release and Compose for a project: lower-case letters, digits and dashes.
fn workload_name(deployment: &str, component: &ComponentName) -> String {
    let full = format!("{deployment}-{component}");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = full.chars().map(plain).collect();
    let name = name.trim_matches('-');
    if (1..=LONGEST_RELEASE).contains(&name.len()) {
        return name.to_owned();
    }
    // Two long names stay two names.
    let hash = Digest::of(full.as_bytes()).hex();
    format!("{}-{}", name.get(..LONGEST_RELEASE - 9).unwrap_or("workload"), &hash[..8])
}

fn yaml(value: &impl Serialize) -> Result<String, RuntimeError> {
    margo_syntax::to_yaml(value).map_err(|cause| {
        RuntimeError::new("invalid-parameter", format!("cannot be written as YAML: {cause}")).because(cause)
    })
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
        assert_eq!((one.len(), other.len()), (LONGEST_RELEASE, LONGEST_RELEASE));
        assert_ne!(one, other);
    }
}
