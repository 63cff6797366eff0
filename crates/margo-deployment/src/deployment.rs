use std::collections::BTreeMap;

use bytes::Bytes;
use margo_core::{ApplicationId, ComponentName, DeploymentId, DeviceTarget, Document, Extensions};
use margo_syntax::{DecodeError, Fault, Format, Limits, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::profile::{closed, objects, settle_profile};
use crate::{DeploymentProfile, Parameter};

/// One workload, as a Workload Fleet Manager wants it to run ([spec]).
///
/// ```
/// use margo_deployment::ApplicationDeployment;
/// use margo_syntax::Limits;
///
/// let text = "
/// id: a3e2f5dc-912e-494f-8395-52cf3769bc06
/// metadata: { name: pump-monitor, namespace: plant, deviceId: gateway-1/plc-7 }
/// spec:
///   applicationId: pump-monitor
///   deploymentProfile:
///     type: helm
///     components:
///       - name: collector
///         properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
///   parameters:
///     interval:
///       value: 30
///       targets: [{ pointer: settings.interval, components: [collector] }]
/// ";
/// let deployment = ApplicationDeployment::decode(text.into(), &Limits::default())?;
/// let collector = "collector".parse()?;
/// let values: Vec<_> = deployment.values_for(&collector).collect();
/// assert_eq!(values, [("settings.interval", &30.into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#applicationdeployment
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationDeployment {
    /// Assigned by the manager; stays while the content changes, which then has another digest (R-D-025).
    pub id: DeploymentId,
    /// What it is called, and where it is to run.
    pub metadata: Metadata,
    /// What to install, and with which parameters.
    pub spec: Spec,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ApplicationDeployment {
    /// A deployment.
    #[must_use]
    pub fn new(id: DeploymentId, metadata: Metadata, spec: Spec) -> Self {
        Self { id, metadata, spec, extensions: Extensions::new() }
    }

    /// Reads a deployment as 1.0.0-rc.3 writes it; in its constraints the names of the page's skeleton are
    /// understood (X-D-10), and `requiredResources` of older revisions are read over (X-D-19).
    ///
    /// # Errors
    ///
    /// The first place that is not YAML, does not have the form of the page, or breaks a rule of
    /// [`DeploymentProfile::check`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with(bytes, Format::Yaml, limits, Self::from_value)
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// The deployment as YAML.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        margo_syntax::to_yaml(self)
    }

    /// What `component` is to be given: pointer and value of every target that names it, in the order of the
    /// parameters' names.
    pub fn values_for<'a>(
        &'a self,
        component: &'a ComponentName,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.spec.parameters.values().flat_map(move |parameter| {
            parameter
                .targets
                .iter()
                .filter(move |target| target.components.contains(component))
                .map(move |target| (target.pointer.as_str(), &parameter.value))
        })
    }

    /// What 1.0.0-rc.3 does not allow and reading lets pass: unknown members of `spec`, and what
    /// [`DeploymentProfile::check_written`] finds.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let at = pointer!["spec"];
        let mut faults = closed(&self.spec.extensions, &at);
        faults.extend(objects(&self.spec.extensions, &at));
        faults.extend(self.spec.deployment_profile.check_written(&at.join("deploymentProfile")));
        faults
    }

    pub(crate) fn from_value(mut value: Value) -> Result<Self, Fault> {
        if let Some(profile) = value.pointer_mut("/spec/deploymentProfile") {
            settle_profile(profile);
        }
        let deployment: Self = margo_syntax::from_value(value)?;
        deployment.refusal().map_or(Ok(deployment), Err)
    }

    /// What even a lenient reading refuses.
    pub(crate) fn refusal(&self) -> Option<Fault> {
        self.spec.deployment_profile.check(&pointer!["spec", "deploymentProfile"]).into_iter().next()
    }
}

/// What a deployment is called, and where it is to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// The name of the workload as a Kubernetes object.
    pub name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The device, or the gateway that picks one (R-C-008).
    pub device_id: DeviceTarget,
    /// Labels a manager attached.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Metadata {
    /// Metadata without labels.
    #[must_use]
    pub fn new(name: impl Into<String>, namespace: impl Into<String>, device_id: DeviceTarget) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            device_id,
            labels: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }
}

/// What to install, and with which parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::close_spec))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Spec {
    /// The application this deploys: the description's `id` (R-C-013).
    pub application_id: ApplicationId,
    /// The one profile the manager chose.
    pub deployment_profile: DeploymentProfile,
    /// The values the user set, by name. Absent means none (X-D-04).
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Spec {
    /// A profile of an application, without parameters.
    #[must_use]
    pub fn new(application_id: ApplicationId, deployment_profile: DeploymentProfile) -> Self {
        Self {
            application_id,
            deployment_profile,
            parameters: BTreeMap::new(),
            extensions: Extensions::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Package;

    const HEAD: &str = "
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump-monitor
";

    fn read(rest: &str) -> Result<ApplicationDeployment, DecodeError> {
        ApplicationDeployment::parse(format!("{HEAD}{rest}").as_bytes(), &Limits::default())
    }

    fn refused(rest: &str) -> (String, String) {
        let error = read(rest).unwrap_err();
        (error.pointer().to_string(), error.message().to_owned())
    }

    fn component(members: &str) -> String {
        format!("  deploymentProfile: {{ type: helm, components: [{{ name: a, {members} }}] }}\n")
    }

    const PACKAGE: &str = "properties: { repository: 'oci://r/a', revision: 1.0.0 }";

    /// X-D-04: no parameters at all.
    #[test]
    fn absent_parameters_are_none() {
        assert!(read(&component(PACKAGE)).unwrap().spec.parameters.is_empty());
    }

    /// X-D-38: components and profiles are closed except for extensions, properties are open.
    #[test]
    fn an_unknown_member_is_refused_where_the_object_is_closed() {
        let deployment = read(&component(&format!("{PACKAGE}, x-acme-extensions: {{ a: 1 }}"))).unwrap();
        let component_extensions = &deployment.spec.deployment_profile.components[0].extensions;
        assert_eq!(component_extensions.get("x-acme-extensions"), Some(&json!({ "a": 1 })));

        let (pointer, message) = refused(&component(&format!("{PACKAGE}, replicas: 2")));
        assert_eq!(pointer, "/spec/deploymentProfile/components/0/replicas");
        assert_eq!(message, "unknown member");

        let profile = |member: &str| {
            format!(
                "  deploymentProfile: {{ type: helm, {member}: {{}}, components: [{{ name: a, {PACKAGE} }}] }}"
            )
        };
        assert_eq!(refused(&profile("replicas")).0, "/spec/deploymentProfile/replicas");
        // X-D-19: what it says is read over.
        assert_eq!(read(&profile("requiredResources")), read(&component(PACKAGE)));

        let open = component(
            "properties: { repository: 'oci://r/a', revision: 1.0.0, packageLocation: x, mode: y }",
        );
        let deployment = read(&open).unwrap();
        let properties = &deployment.spec.deployment_profile.components[0].properties;
        assert!(matches!(properties.package, Package::Oci { .. }));
        assert_eq!(properties.extensions.len(), 2);
    }

    /// X-D-23: revisions are `SemVer` without `v`, with `_`; repositories are `oci://`.
    #[test]
    fn a_package_is_named_by_registry_and_semantic_version() {
        let at = |name: &str| format!("/spec/deploymentProfile/components/0/properties{name}");
        for revision in ["v1.0.0", "1.0", "1.0.0+7", "01.0.0", "latest", "''"] {
            let text = component(&format!("properties: {{ repository: 'oci://r/a', revision: {revision} }}"));
            let (pointer, _) = refused(&text);
            assert!(pointer.starts_with(&at("")), "{revision}: {pointer}");
        }
        for repository in ["https://r/a", "oci://", "OCI://r/a"] {
            let text = component(&format!("properties: {{ repository: '{repository}', revision: 1.0.0 }}"));
            assert_eq!(refused(&text).0, at("/repository"), "{repository}");
        }
        let no_package = component("properties: { wait: true }");
        assert_eq!(refused(&no_package), (at(""), "missing `repository` and `revision`".into()));
        assert!(read(&component("properties: { packageLocation: 'https://x/y.tar.gz' }")).is_ok());
    }

    /// X-A-28: at least one component; names are unique.
    #[test]
    fn components_are_there_and_told_apart() {
        let none = "  deploymentProfile: { type: helm, components: [] }\n";
        assert_eq!(refused(none).0, "/spec/deploymentProfile/components");
        let twice = format!(
            "  deploymentProfile: {{ type: helm, components: [{{ name: a, {PACKAGE} }}, {{ name: a, {PACKAGE} }}] }}"
        );
        let (pointer, message) = refused(&twice);
        assert_eq!(pointer, "/spec/deploymentProfile/components/1/name");
        assert_eq!(message, "another component is named `a`");
    }

    /// X-B-16: the two strings, and nothing else that is not a boolean. R-A-037: waiting is the default.
    #[test]
    fn waiting_is_the_default() {
        let wait = |wait: &str| {
            let text = format!("properties: {{ repository: 'oci://r/a', revision: 1.0.0{wait} }}");
            read(&component(&text)).map(|d| d.spec.deployment_profile.components[0].properties.waits())
        };
        assert_eq!(wait(""), Ok(true));
        assert_eq!(wait(", wait: false"), Ok(false));
        assert_eq!(wait(", wait: 'false'"), Ok(false));
        assert!(wait(", wait: 'no'").is_err());
    }

    /// X-D-29: any JSON value; a missing one is an error that says where.
    #[test]
    fn a_parameter_has_a_value() {
        let parameter = |members: &str| {
            format!(
                "{}  parameters: {{ p: {{ {members} targets: [{{ pointer: x, components: [a] }}] }} }}",
                component(PACKAGE)
            )
        };
        assert_eq!(
            read(&parameter("value: [1, two],")).unwrap().spec.parameters["p"].value,
            json!([1, "two"])
        );
        assert_eq!(read(&parameter("value: null,")).unwrap().spec.parameters["p"].value, Value::Null);
        let (pointer, message) = refused(&parameter(""));
        assert_eq!((pointer.as_str(), message.as_str()), ("/spec/parameters/p", "missing field `value`"));
    }

    /// X-D-08, R-D-032, R-D-022.
    #[test]
    fn what_reading_lets_pass_is_found_by_checking() {
        let constraints = |operator: &str| {
            let expression = format!("{{ key: /vendor, operator: {operator}, values: [Acme] }}");
            let rules = format!("[{{ propertySelector: {{ matchExpressions: [{expression}] }} }}]");
            component(PACKAGE).replace(
                "components",
                &format!("deviceConstraints: {{ eligibilityRules: {rules} }}, components"),
            )
        };
        let places = |text: &str| {
            let faults = read(text).unwrap().check();
            faults.iter().map(|fault| fault.pointer().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places(&constraints("In")), [""; 0]);
        let expression = "/spec/deploymentProfile/deviceConstraints/eligibilityRules/0/propertySelector/matchExpressions/0";
        assert_eq!(places(&constraints("Near")), [format!("{expression}/operator")]);
        assert_eq!(refused(&constraints("ContainersAny")).0, format!("{expression}/operator"));
        let unknown = component(&format!("{PACKAGE}, x-acme-extensions: 3")).replace("helm", "unikernel");
        let profile = "/spec/deploymentProfile";
        assert_eq!(
            places(&format!("{unknown}  replicas: 2\n  x-acme-extensions: []\n")),
            [
                "/spec/replicas".to_owned(),
                "/spec/x-acme-extensions".to_owned(),
                format!("{profile}/type"),
                format!("{profile}/components/0/x-acme-extensions"),
            ]
        );
    }

    #[test]
    fn a_component_receives_what_names_it() {
        let parameters = "
  deploymentProfile:
    type: helm
    components:
      - { name: a, properties: { repository: 'oci://r/a', revision: 1.0.0 } }
      - { name: b, properties: { repository: 'oci://r/b', revision: 1.0.0 } }
  parameters:
    z: { value: 1, targets: [{ pointer: z, components: [a, b] }] }
    m: { value: 2, targets: [{ pointer: m.one, components: [b] }, { pointer: m.two, components: [a] }] }
";
        let deployment = read(parameters).unwrap();
        let values = |name: &str| {
            let name = name.parse().unwrap();
            deployment.values_for(&name).map(|(p, v)| (p.to_owned(), v.clone())).collect::<Vec<_>>()
        };
        assert_eq!(values("a"), [("m.two".to_owned(), json!(2)), ("z".to_owned(), json!(1))]);
        assert_eq!(values("b"), [("m.one".to_owned(), json!(2)), ("z".to_owned(), json!(1))]);
        assert_eq!(values("c"), []);
    }
}
