use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use bytes::Bytes;
use margo_api::FieldError;
use margo_application::{
    AnyApplicationDescription, ApplicationDescription, DescriptionProfile, InstantiateError, Instantiation,
    check_description, check_values, instantiate, select_profile,
};
use margo_core::{ApplicationId, DeploymentId, DeviceTarget, Digest, Loss, SpecVersion};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, DeploymentProfile, Metadata, Package as Place, Spec,
};
use margo_syntax::{DecodeError, Limits, pointer};
use serde_json::Value;

use super::error::OperatorError;
use super::view::{ApplicationView, ParameterView, ProfileView};
use crate::store::{ApplicationRecord, DeploymentRecord};

/// One version of an application, ready to make deployments from.
#[derive(Debug)]
pub(super) struct Package {
    description: ApplicationDescription,
}

/// What to make a deployment from.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) deployment_id: DeploymentId,
    pub(super) target: DeviceTarget,
    pub(super) revision: SpecVersion,
    pub(super) profile: &'a str,
    pub(super) namespace: &'a str,
    /// What the operator chose, defaults asked for by name included.
    pub(super) values: &'a BTreeMap<String, Value>,
    /// What is in force now, in the deployment that is replaced.
    pub(super) previous: Option<BTreeMap<String, Value>>,
}

/// A document, and what its revision could not say.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) document: Bytes,
    pub(super) losses: Vec<Loss>,
}

/// Why a document cannot be made, by what is to blame.
#[derive(Debug)]
pub(super) enum BuildError {
    /// The profile.
    Profile(String),
    /// Values, by parameter.
    Values(Vec<(String, String)>),
    /// The device's revision.
    Revision(Vec<String>),
    /// The manager.
    Failed(OperatorError),
}

impl Package {
    /// Reads a description that somebody hands over; every fault at once.
    pub(super) fn upload(description: &Bytes) -> Result<(ApplicationId, String, Self), OperatorError> {
        let document = AnyApplicationDescription::decode(description.clone(), &Limits::default())
            .map_err(|error| unreadable(&error))?;
        let (id, version) = (document.id().clone(), document.version().to_owned());
        let description = document.into_value().upgrade().value;
        let faults = check_description(&description);
        if !faults.is_empty() {
            return Err(OperatorError::Invalid { errors: faults.iter().map(FieldError::from).collect() });
        }
        Ok((id, version, Self { description }))
    }

    /// Reads a description that was accepted earlier.
    pub(super) fn stored(record: &ApplicationRecord) -> Result<Self, OperatorError> {
        let description = AnyApplicationDescription::parse(&record.description, &Limits::default())
            .map_err(OperatorError::failed)?;
        Ok(Self { description: description.upgrade().value })
    }

    /// The id of the profile that `requested` means.
    pub(super) fn profile(&self, requested: Option<&str>) -> Result<&str, String> {
        select_profile(&self.description, requested)
            .map(|profile| profile.id.as_str())
            .map_err(|error| error.to_string())
    }

    /// The ids of its profiles.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &str> {
        self.description.deployment_profiles.iter().map(|profile| profile.id.as_str())
    }

    /// What a profile needs.
    pub(super) fn needs(&self, profile: &str) -> Option<DeploymentProfile> {
        select_profile(&self.description, Some(profile)).ok().map(DescriptionProfile::to_deployment_profile)
    }

    /// Why a profile cannot be deployed to a device of this revision, whatever the values.
    pub(super) fn unsayable(
        &self,
        profile: &str,
        target: &DeviceTarget,
        revision: SpecVersion,
    ) -> Vec<String> {
        let (Some(profile), Ok(id)) = (self.needs(profile), DeploymentId::from_str("any")) else {
            return Vec::new();
        };
        let metadata = Metadata::new("any", "any", target.clone());
        let spec = Spec::new(self.description.id.clone(), profile);
        let deployment = ApplicationDeployment::new(id, metadata, spec);
        if revision == SpecVersion::LATEST {
            return unsayable(&deployment, revision);
        }
        let converted = AnyApplicationDeployment::from(deployment).convert(revision, target);
        converted.err().map(|error| error.to_string()).into_iter().collect()
    }

    /// What a choice of values means: `null` asks for the default. Returned are the values to check, in which
    /// defaults that were asked for stand by themselves, and the values to remember, in which they do not.
    pub(super) fn choose(
        &self,
        before: &BTreeMap<String, Value>,
        chosen: &BTreeMap<String, Value>,
    ) -> Result<Choice, Vec<(String, String)>> {
        let mut remember = before.clone();
        let mut check = before.clone();
        let mut faults = Vec::new();
        for (name, value) in chosen {
            if !value.is_null() {
                remember.insert(name.clone(), value.clone());
                check.insert(name.clone(), value.clone());
                continue;
            }
            let known = remember.remove(name).is_some();
            check.remove(name);
            match self.description.parameters.get(name) {
                Some(definition) => {
                    let default = definition.value.as_ref().filter(|value| !value.is_null());
                    if let Some(default) = default.filter(|_| known) {
                        check.insert(name.clone(), default.clone());
                    }
                }
                None if known => {}
                None => {
                    let message = format!("`{name}` is not a parameter of `{}`", self.description.id);
                    faults.push((name.clone(), message));
                }
            }
        }
        if faults.is_empty() { Ok(Choice { check, remember }) } else { Err(faults) }
    }

    /// Every fault of some values in a profile, before anything is deployed.
    pub(super) fn check_values(
        &self,
        profile: &str,
        values: &BTreeMap<String, Value>,
    ) -> Vec<(String, String)> {
        let Ok(profile) = select_profile(&self.description, Some(profile)) else { return Vec::new() };
        match check_values(&self.description, &profile.components, values, None) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| (fault.parameter, fault.message)).collect(),
        }
    }

    /// The document of a deployment, in the words of the client's revision.
    pub(super) fn build(&self, order: Order<'_>) -> Result<Rendered, BuildError> {
        let mut instantiation =
            Instantiation::new(order.deployment_id, order.target.clone(), order.namespace);
        instantiation.profile = Some(order.profile.to_owned());
        instantiation.values.clone_from(order.values);
        instantiation.previous = order.previous;
        let deployment = instantiate(&self.description, &instantiation).map_err(|error| match error {
            InstantiateError::Parameters(faults) => {
                BuildError::Values(faults.into_iter().map(|fault| (fault.parameter, fault.message)).collect())
            }
            other => BuildError::Profile(other.to_string()),
        })?;
        if order.revision == SpecVersion::LATEST {
            let faults = unsayable(&deployment, order.revision);
            if !faults.is_empty() {
                return Err(BuildError::Revision(faults));
            }
        }
        let converted = AnyApplicationDeployment::from(deployment)
            .convert(order.revision, &order.target)
            .map_err(|error| BuildError::Revision(vec![error.to_string()]))?;
        let losses = converted.losses;
        let yaml = converted.value.to_yaml();
        let yaml = yaml.map_err(|error| BuildError::Failed(OperatorError::failed(error)))?;
        let document = Bytes::from(yaml);
        // What cannot be read back would be found out by every device at once.
        AnyApplicationDeployment::parse(&document, &Limits::default())
            .map_err(|error| BuildError::Failed(OperatorError::failed(error)))?;
        Ok(Rendered { document, losses })
    }

    /// What an operator sees of it.
    pub(super) fn view(&self, record: &ApplicationRecord) -> ApplicationView {
        let description = &self.description;
        let profiles = description.deployment_profiles.iter().map(|profile| ProfileView {
            id: profile.id.clone(),
            profile_type: profile.profile_type.to_string(),
            components: profile.components.iter().map(|component| component.name.clone()).collect(),
        });
        let parameters = description.parameters.iter().map(|(name, definition)| ParameterView {
            name: name.clone(),
            value: definition.value.clone(),
            immutable: description.settings_of(name).any(|(setting, _)| setting.immutable),
            data_type: description
                .settings_of(name)
                .find_map(|(_, schema)| schema)
                .map(|schema| schema.data_type.to_string()),
        });
        ApplicationView {
            application_id: record.application_id.clone(),
            version: record.version.clone(),
            name: description.metadata.name.clone(),
            description: description.metadata.description.clone(),
            digest: Digest::of(&record.description),
            stored_at: record.stored_at,
            profiles: profiles.collect(),
            parameters: parameters.collect(),
        }
    }
}

/// Values to check, and values to remember.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) check: BTreeMap<String, Value>,
    pub(super) remember: BTreeMap<String, Value>,
}

/// The values that are in force in a deployment, as its document says.
pub(super) fn effective_values(record: &DeploymentRecord) -> Result<BTreeMap<String, Value>, OperatorError> {
    let document = AnyApplicationDeployment::parse(&record.document, &Limits::default())
        .map_err(OperatorError::failed)?;
    let parameters = document.upgrade(&record.target).value.spec.parameters;
    Ok(parameters.into_iter().map(|(name, parameter)| (name, parameter.value)).collect())
}

/// What a revision reads and must not be written (X-D-38): strict when writing.
fn unsayable(deployment: &ApplicationDeployment, revision: SpecVersion) -> Vec<String> {
    let at = pointer!["spec", "deploymentProfile"];
    let profile = &deployment.spec.deployment_profile;
    let mut faults: BTreeSet<String> = profile.check(&at).iter().map(ToString::to_string).collect();
    for (index, component) in profile.components.iter().enumerate() {
        if matches!(component.properties.package, Place::Archive { .. }) {
            let at = at.join("components").with(index).with("properties");
            faults.insert(format!("{at}: an archive at a URL"));
        }
    }
    faults.into_iter().map(|fault| format!("{revision} cannot say {fault}")).collect()
}

fn unreadable(error: &DecodeError) -> OperatorError {
    if error.is_malformed() {
        return OperatorError::Malformed { reason: error.to_string() };
    }
    let fault = margo_syntax::Fault::new(error.pointer().clone(), error.message());
    OperatorError::Invalid { errors: vec![FieldError::from(&fault)] }
}
