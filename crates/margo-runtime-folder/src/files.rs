use std::collections::BTreeMap;

use margo_api::RuntimeError;
use margo_core::{Digest, Document};
use margo_deployment::workload::{PointerError, compose_env, helm_values, workload_name};
use margo_deployment::{ApplicationDeployment, Component, Package, ProfileType};
use serde::Serialize;
use serde_json::Value;

/// What a component's folder holds: names and contents.
pub(crate) type Files = Vec<(&'static str, String)>;

/// What Helm or Compose would be handed for `component`.
pub(crate) fn files(
    deployment: &Document<ApplicationDeployment>,
    component: &Component,
) -> Result<Files, RuntimeError> {
    let parameters = deployment.values_for(&component.name);
    let invalid = |error: PointerError| RuntimeError::new("invalid-parameter", error.to_string());
    let workload = Workload::of(deployment, component);
    Ok(match deployment.spec.deployment_profile.profile_type {
        ProfileType::Helm => {
            let values = helm_values(parameters).map_err(invalid)?;
            vec![("values.yaml", yaml(&values)?), ("release.yaml", yaml(&workload)?)]
        }
        ProfileType::Compose => {
            let env = compose_env(parameters).map_err(invalid)?;
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

fn yaml(value: &impl Serialize) -> Result<String, RuntimeError> {
    margo_syntax::to_yaml(value).map_err(|cause| {
        RuntimeError::new("invalid-parameter", format!("cannot be written as YAML: {cause}")).because(cause)
    })
}
