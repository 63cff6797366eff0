use std::collections::BTreeMap;

use margo_core::{DeploymentId, DeviceTarget};
use margo_deployment::{ApplicationDeployment, Metadata, Parameter, ProfileType, Spec, Target};
use serde_json::Value;

use crate::{ApplicationDescription, DescriptionProfile, ParameterFaults, check_values};

/// The longest name of a Kubernetes object that is also a label, in characters.
const NAME_LENGTH: usize = 63;
const SUFFIX_LENGTH: usize = 8;

/// What is to be deployed, and where.
///
/// ```
/// use margo_application::Instantiation;
/// use serde_json::json;
///
/// let id = "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?;
/// let mut update = Instantiation::new(id, "plc-7".parse()?, "plant");
/// update.profile = Some("helm".into());
/// update.values.insert("interval".into(), json!(30));
/// // What may not change after the first installation is compared with this.
/// update.previous = Some([("site".to_owned(), json!("ABC"))].into());
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Instantiation {
    /// The deployment's id: the same for every change of it (R-D-025).
    pub deployment_id: DeploymentId,
    /// The device, or the gateway that picks one.
    pub target: DeviceTarget,
    /// The profile: its id, or its type where only one profile has it. Not needed where there is only one.
    pub profile: Option<String>,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The values a user gave, by parameter.
    pub values: BTreeMap<String, Value>,
    /// The values of the deployment that this one replaces (R-A-041).
    pub previous: Option<BTreeMap<String, Value>>,
}

impl Instantiation {
    /// The only profile, with every parameter at its default.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, target: DeviceTarget, namespace: impl Into<String>) -> Self {
        Self {
            deployment_id,
            target,
            profile: None,
            namespace: namespace.into(),
            values: BTreeMap::new(),
            previous: None,
        }
    }
}

/// Makes the deployment of one profile of an application for one device.
///
/// Written are the parameters that have a value and reach a component of the profile, with the targets that do
/// (R-A-035, MI-015). Device constraints are copied unchanged (R-D-029), as are the extensions of the profile
/// and its components, while those at the root of the description stay behind (R-D-033).
///
/// `metadata.name` is the application's id and the first eight letters and digits of the deployment's id, in
/// lower case and joined by a dash, at most 63 characters: fit for a Kubernetes object, and the same for every
/// change of the deployment (MI-011). The application's id is cut where that is too long.
///
/// ```
/// use margo_application::{ApplicationDescription, InstantiateError, Instantiation, instantiate};
/// use margo_syntax::Limits;
/// use serde_json::json;
///
/// # let text = "
/// # apiVersion: v1
/// # id: pump-monitor
/// # metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }
/// # deploymentProfiles:
/// #   - type: helm
/// #     id: cluster
/// #     components:
/// #       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
/// #   - type: custom
/// #     id: unikernel
/// #     components:
/// #       - { name: kernel, properties: { repository: 'oci://registry.example/k', revision: 1.0.9 } }
/// # parameters:
/// #   interval: { value: 60, targets: [{ pointer: interval, components: [collector] }] }
/// # ";
/// let description = ApplicationDescription::parse(text.as_bytes(), &Limits::default())?;
/// let id = "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse()?;
/// let mut request = Instantiation::new(id, "gateway-1/*".parse()?, "plant");
/// // There are two ways to install it, and none is chosen for anybody.
/// assert!(matches!(instantiate(&description, &request), Err(InstantiateError::AmbiguousProfile { .. })));
///
/// request.profile = Some("cluster".into());
/// request.values.insert("interval".into(), json!(30));
/// let deployment = instantiate(&description, &request)?;
/// assert_eq!(deployment.metadata.device_id.as_str(), "gateway-1/*");
/// assert_eq!(deployment.spec.parameters["interval"].value, json!(30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A profile that does not exist or is not the only one meant, or every fault of the values.
pub fn instantiate(
    description: &ApplicationDescription,
    request: &Instantiation,
) -> Result<ApplicationDeployment, InstantiateError> {
    let profile = select_profile(description, request.profile.as_deref())?;
    let values = check_values(description, &profile.components, &request.values, request.previous.as_ref())?;

    let name = object_name(description.id.as_str(), &request.deployment_id);
    let metadata = Metadata::new(name, &request.namespace, request.target.clone());
    let mut spec = Spec::new(description.id.clone(), profile.to_deployment_profile());
    for (name, value) in values {
        let definition = description.parameters.get(&name);
        let targets = definition.iter().flat_map(|definition| &definition.targets);
        let targets = targets.filter_map(|target| reduced(target, profile)).collect();
        spec.parameters.insert(name, Parameter::new(value, targets));
    }
    Ok(ApplicationDeployment::new(request.deployment_id.clone(), metadata, spec))
}

/// Finds a profile by its id, or by its type where only one profile has it; `None` stands for the only one.
///
/// The pre-draft's types `helm.v3` and `docker-compose` are understood as `helm` and `compose` (X-B-11).
///
/// ```
/// use margo_application::{ApplicationDescription, select_profile};
/// use margo_syntax::Limits;
///
/// # let text = "
/// # apiVersion: v1
/// # id: pump-monitor
/// # metadata: { name: Pump monitor, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }
/// # deploymentProfiles:
/// #   - type: helm
/// #     id: cluster
/// #     components:
/// #       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
/// #   - type: custom
/// #     id: unikernel
/// #     components:
/// #       - { name: kernel, properties: { repository: 'oci://registry.example/k', revision: 1.0.9 } }
/// # parameters:
/// #   interval: { value: 60, targets: [{ pointer: interval, components: [collector] }] }
/// # ";
/// let description = ApplicationDescription::parse(text.as_bytes(), &Limits::default())?;
/// assert_eq!(select_profile(&description, Some("unikernel"))?.id, "unikernel");
/// assert_eq!(select_profile(&description, Some("helm.v3"))?.id, "cluster");
/// let error = select_profile(&description, None).unwrap_err();
/// assert_eq!(error.to_string(), "more than one profile fits; choose `cluster` or `unikernel`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`InstantiateError::UnknownProfile`] and [`InstantiateError::AmbiguousProfile`], listing the profiles there
/// are.
pub fn select_profile<'a>(
    description: &'a ApplicationDescription,
    requested: Option<&str>,
) -> Result<&'a DescriptionProfile, InstantiateError> {
    let profiles = &description.deployment_profiles;
    let ids = |profiles: &[&DescriptionProfile]| profiles.iter().map(|profile| profile.id.clone()).collect();
    let candidates: Vec<_> = match requested {
        None => profiles.iter().collect(),
        Some(requested) => {
            if let Some(profile) = profiles.iter().find(|profile| profile.id == requested) {
                return Ok(profile);
            }
            let wanted = ProfileType::from(match requested {
                "helm.v3" => "helm",
                "docker-compose" => "compose",
                other => other,
            });
            profiles.iter().filter(|profile| profile.profile_type == wanted).collect()
        }
    };
    match candidates[..] {
        [profile] => Ok(profile),
        [] => Err(InstantiateError::UnknownProfile {
            requested: requested.unwrap_or_default().to_owned(),
            available: ids(&profiles.iter().collect::<Vec<_>>()),
        }),
        _ => Err(InstantiateError::AmbiguousProfile { available: ids(&candidates) }),
    }
}

/// Why a deployment cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// No profile has the id or type that was asked for.
    #[error("no profile is `{requested}`; there is {}", listed(available))]
    UnknownProfile {
        /// What was asked for.
        requested: String,
        /// The ids of all profiles.
        available: Vec<String>,
    },
    /// More than one profile is meant.
    #[error("more than one profile fits; choose {}", listed(available))]
    AmbiguousProfile {
        /// The ids of the profiles that fit.
        available: Vec<String>,
    },
    /// Values cannot be used.
    #[error(transparent)]
    Parameters(#[from] ParameterFaults),
}

fn listed(ids: &[String]) -> String {
    match ids {
        [] => "none".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|id| format!("`{id}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

fn reduced(target: &Target, profile: &DescriptionProfile) -> Option<Target> {
    let components: Vec<_> =
        target.components.iter().filter(|name| profile.has_component(name)).cloned().collect();
    (!components.is_empty()).then(|| Target::new(&target.pointer, components))
}

fn object_name(application: &str, deployment: &DeploymentId) -> String {
    let suffix: String = deployment
        .as_str()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(SUFFIX_LENGTH)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let room = NAME_LENGTH - SUFFIX_LENGTH - 1;
    // An application id is ASCII, so every index is between characters.
    let prefix = application[..application.len().min(room)].trim_matches('-');
    [prefix, &suffix].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// MI-011.
    #[test]
    fn a_name_says_application_and_deployment() {
        let name = |application: &str, id: &str| object_name(application, &id.parse().unwrap());
        assert_eq!(name("pump-monitor", "A3E2f5dc-912e-494f-8395-52cf3769bc06"), "pump-monitor-a3e2f5dc");
        assert_eq!(name("pump", "d.1_2"), "pump-d12");
        assert_eq!(name(&"a".repeat(200), "0123456789").len(), 63);
        assert_eq!(name("---", "0123456789"), "01234567");
        assert_eq!(name("pump", "~"), "pump");
    }

    proptest! {
        /// What Kubernetes takes as a label: RFC 1123.
        #[test]
        fn a_name_is_fit_for_kubernetes(application in "[a-z0-9-]{0,80}[a-z0-9]", id in "[A-Za-z0-9._~-]{1,40}[a-z]") {
            let name = object_name(&application, &id.parse().unwrap());
            prop_assert!(name.len() <= 63);
            let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            prop_assert!(name.chars().all(is_inner), "{}", name);
            prop_assert!(!name.starts_with('-') && !name.ends_with('-'), "{}", name);
        }
    }
}
