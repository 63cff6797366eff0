use std::collections::BTreeSet;
use std::fmt;

use margo_core::{ComponentName, DeploymentId, Deviation, DeviceId, Extensions, Level, ManifestVersion};
use margo_syntax::{Fault, pointer};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::DeploymentState;

/// What a device says about one deployment ([spec]).
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/deployment-status
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentStatusManifest {
    /// The deployment; equals the id in the route.
    pub deployment_id: DeploymentId,
    /// The device it runs on; required for a device behind a gateway (R-C-003 to R-C-012, X-C-10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// The version of the manifest whose revision of this deployment the client holds. Fetching a newer manifest
    /// does not advance it (R-D-026).
    ///
    /// A whole number written with a fraction is read (X-D-31).
    #[serde(deserialize_with = "margo_core::lenient_manifest_version")]
    pub adopted_manifest_version: ManifestVersion,
    /// The deployment as a whole.
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub status: OverallStatus,
    /// Its components, one entry for each (R-B-040).
    pub components: Vec<ComponentStatus>,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentStatusManifest {
    /// The status that follows from the components: the state of the whole is the most severe of theirs
    /// (R-B-039), `pending` when there are none, and the error of the whole is that of the first component that
    /// failed and says why.
    ///
    /// Name the deployment with [`with_name`](Self::with_name), so that the error of the whole has its own source.
    ///
    /// ```
    /// use margo_core::ManifestVersion;
    /// use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
    ///
    /// let database = ComponentStatus::new("database".parse()?, DeploymentState::Installed);
    /// let broker = ComponentStatus::failed("broker".parse()?, "E42", "image not found");
    /// let id = "a3e2f5dc".parse()?;
    /// let status = DeploymentStatusManifest::of(id, ManifestVersion::FIRST, vec![database, broker]);
    /// assert_eq!(status.status.state, DeploymentState::Failed);
    /// assert_eq!(status.status.error.unwrap().message, "image not found");
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn of(
        deployment_id: DeploymentId,
        adopted_manifest_version: ManifestVersion,
        components: Vec<ComponentStatus>,
    ) -> Self {
        let state = DeploymentState::overall(components.iter().map(|component| &component.state));
        let error = components
            .iter()
            .filter(|component| component.state == DeploymentState::Failed)
            .find_map(|component| component.error.clone());
        Self {
            deployment_id,
            device_id: None,
            adopted_manifest_version,
            status: OverallStatus {
                state: state.cloned().unwrap_or(DeploymentState::Pending),
                error,
                extensions: Extensions::new(),
            },
            components,
            extensions: Extensions::new(),
        }
    }

    /// The same status, with `name` (the deployment's `metadata.name`) as the source of the error of the whole, if
    /// there is one.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        if let Some(error) = &mut self.status.error {
            name.clone_into(&mut error.source);
        }
        self
    }

    /// The same status, of a deployment on `device`.
    #[must_use]
    pub fn with_device(mut self, device: DeviceId) -> Self {
        self.device_id = Some(device);
        self
    }

    /// The same status, in which `component` stands as told here: in the place of the one with its name, or last.
    ///
    /// The whole follows from the components again, so a status made by [`of`](Self::of) never contradicts itself; its
    /// error has to be named again, with [`with_name`](Self::with_name).
    ///
    /// ```
    /// # use margo_core::ManifestVersion;
    /// # use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
    /// let database = "database".parse()?;
    /// let waiting = vec![ComponentStatus::new(database, DeploymentState::Pending)];
    /// let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, waiting)
    ///     .with_component(ComponentStatus::new("database".parse()?, DeploymentState::Installing));
    /// assert_eq!(status.status.state, DeploymentState::Installing);
    /// assert_eq!(status.components.len(), 1);
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn with_component(self, component: ComponentStatus) -> Self {
        let Self { deployment_id, device_id, adopted_manifest_version, status, mut components, extensions } =
            self;
        match components.iter_mut().find(|other| other.name == component.name) {
            Some(place) => *place = component,
            None => components.push(component),
        }
        let mut again = Self::of(deployment_id, adopted_manifest_version, components);
        (again.device_id, again.extensions) = (device_id, extensions);
        again.status.extensions = status.extensions;
        again
    }

    /// Whether the state of the whole is the one its components have (R-B-039).
    ///
    /// A device always says yes. A manager reads a document that says no, and may warn (X-B-03). True when there
    /// are no components.
    #[must_use]
    pub fn components_agree(&self) -> bool {
        self.contradiction().is_none()
    }

    /// The state of the whole, if it is not the one its components have (R-B-039, X-B-03).
    ///
    /// A device that made its report by hand asks before it sends; a manager accepts the report and warns. That is why
    /// [`check`](Self::check) says nothing about it.
    ///
    /// ```
    /// # use margo_core::ManifestVersion;
    /// # use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
    /// let failed = vec![ComponentStatus::new("database".parse()?, DeploymentState::Failed)];
    /// let mut status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, failed);
    /// assert_eq!(status.contradiction(), None);
    /// status.status.state = DeploymentState::Installed;
    /// assert_eq!(status.contradiction().unwrap().contradiction, "X-B-03");
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn contradiction(&self) -> Option<Deviation> {
        contradiction(self.status.state.as_str(), self.parts())
    }

    /// What its shape cannot say: states that no revision names (X-D-36) and components that are reported twice
    /// (R-B-040). Empty when there is nothing to object to.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        check(self.status.state.as_str(), self.parts(), |state| DeploymentState::from(state).is_known())
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.components.iter().map(|component| (&component.name, component.state.as_str()))
    }
}

/// The deployment as a whole.
///
/// One table types it as a list; it is an object everywhere else. A list of one is read (X-D-12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OverallStatus {
    /// The most severe state among the components.
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing.
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl OverallStatus {
    /// A deployment in `state`, without an error.
    #[must_use]
    pub fn new(state: DeploymentState) -> Self {
        Self { state, error: None, extensions: Extensions::new() }
    }
}

/// One component of the deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ComponentStatus {
    /// The name the deployment profile gives it.
    pub name: ComponentName,
    /// Where it stands.
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing.
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ComponentStatus {
    /// A component in `state`, without an error.
    #[must_use]
    pub fn new(name: ComponentName, state: DeploymentState) -> Self {
        Self { name, state, error: None, extensions: Extensions::new() }
    }

    /// A component that failed; the source of its error is its name.
    #[must_use]
    pub fn failed(name: ComponentName, code: impl Into<String>, message: impl Into<String>) -> Self {
        let error = ErrorReport::new(code, name.as_str(), message);
        Self { error: Some(error), ..Self::new(name, DeploymentState::Failed) }
    }
}

/// What went wrong.
///
/// A member that is missing reads as empty, and an error whose members are all empty reads as no error
/// (X-D-13: the specification's example sends such errors with `pending`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorReport {
    /// A code. `101`, `102` and `103` are reserved for gateways: unknown child device, child device unreachable,
    /// autonomous placement not supported.
    ///
    /// A whole number is read as its text (X-C-11).
    #[serde(default, deserialize_with = "code")]
    pub code: String,
    /// Who failed: the deployment's `metadata.name`, the component's name, or the gateway's device id.
    #[serde(default)]
    pub source: String,
    /// What happened, for a person.
    #[serde(default)]
    pub message: String,
    /// Supplier extensions, and fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ErrorReport {
    /// An error.
    #[must_use]
    pub fn new(code: impl Into<String>, source: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            source: source.into(),
            message: message.into(),
            extensions: Extensions::new(),
        }
    }

    /// Whether it says nothing at all: every member is empty. Such an error is never written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
            && self.source.is_empty()
            && self.message.is_empty()
            && all_empty(&self.extensions)
    }
}

pub(crate) fn all_empty(extensions: &Extensions) -> bool {
    extensions.iter().all(|(_, value)| value.is_null() || value.as_str() == Some(""))
}

/// What every revision's component has: a name and a state.
pub(crate) type Part<'a> = (&'a ComponentName, &'a str);

/// What the shape of no revision can say: states it does not name, and components that are reported twice.
pub(crate) fn check<'a>(
    whole: &str,
    parts: impl Iterator<Item = Part<'a>>,
    is_known: impl Fn(&str) -> bool,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let unknown = |state: &str| format!("`{state}` is not a state");
    if !is_known(whole) {
        faults.push(Fault::new(pointer!["status", "state"], unknown(whole)));
    }
    let mut names = BTreeSet::new();
    for (i, (name, state)) in parts.enumerate() {
        if !names.insert(name) {
            let message = format!("component `{name}` is reported twice");
            faults.push(Fault::new(pointer!["components", i, "name"], message));
        }
        if !is_known(state) {
            faults.push(Fault::new(pointer!["components", i, "state"], unknown(state)));
        }
    }
    faults
}

/// X-B-03, for the revisions in which the whole is the most severe of its parts.
pub(crate) fn contradiction<'a>(whole: &str, parts: impl Iterator<Item = Part<'a>>) -> Option<Deviation> {
    let states: Vec<_> = parts.map(|(_, state)| DeploymentState::from(state)).collect();
    let message = disagreement(whole, &states)?;
    Some(Deviation::new("X-B-03", Level::L2, "/status/state", message))
}

pub(crate) fn disagreement(whole: &str, parts: &[DeploymentState]) -> Option<String> {
    let overall = DeploymentState::overall(parts).filter(|state| state.as_str() != whole)?;
    Some(format!("is `{whole}`, and the components are `{overall}`"))
}

fn spoken<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorReport>, D::Error> {
    Ok(Option::<ErrorReport>::deserialize(deserializer)?.filter(|error| !error.is_empty()))
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn silent(error: &Option<ErrorReport>) -> bool {
    error.as_ref().is_none_or(ErrorReport::is_empty)
}

pub(crate) fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Code;

    impl Visitor<'_> for Code {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Err(E::invalid_type(Unexpected::Signed(number), &self))
        }
    }

    deserializer.deserialize_any(Code)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest() -> Value {
        json!({
            "deploymentId": "a3e2f5dc",
            "adoptedManifestVersion": 7,
            "status": {"state": "installing"},
            "components": [{"name": "database", "state": "installing"}, {"name": "broker", "state": "installed"}],
        })
    }

    fn with(place: &str, member: &str, value: Value) -> Value {
        let mut manifest = manifest();
        manifest.pointer_mut(place).unwrap()[member] = value;
        manifest
    }

    fn read(value: Value) -> DeploymentStatusManifest {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> String {
        margo_syntax::from_value::<DeploymentStatusManifest>(value).unwrap_err().pointer().to_string()
    }

    fn name(text: &str) -> ComponentName {
        text.parse().unwrap()
    }

    /// R-B-039.
    #[test]
    fn the_whole_follows_from_the_components() {
        let of = |components| {
            DeploymentStatusManifest::of("a3e2f5dc".parse().unwrap(), ManifestVersion::FIRST, components)
        };
        let installed = ComponentStatus::new(name("database"), DeploymentState::Installed);
        let silent = ComponentStatus::new(name("silent"), DeploymentState::Failed);
        let failed = ComponentStatus::failed(name("broker"), "E42", "image not found");

        assert_eq!(of(vec![installed.clone()]).status, OverallStatus::new(DeploymentState::Installed));
        assert_eq!(of(vec![]).status, OverallStatus::new(DeploymentState::Pending));
        let whole = of(vec![installed, silent, failed.clone()]);
        assert_eq!(whole.status.state, DeploymentState::Failed);
        assert_eq!(whole.status.error, Some(ErrorReport::new("E42", "broker", "image not found")));
        let named = whole.with_name("digitron").with_device("plc-7".parse().unwrap());
        assert_eq!(named.status.error, Some(ErrorReport::new("E42", "digitron", "image not found")));
        assert_eq!(named.components[2], failed);
        assert_eq!(named.device_id, "plc-7".parse().ok());
    }

    /// X-B-03: read, and noticed.
    #[test]
    fn a_whole_that_contradicts_its_parts_is_noticed() {
        assert!(read(manifest()).components_agree());
        let contradictory = read(with("/status", "state", json!("installed")));
        assert!(!contradictory.components_agree());
        assert_eq!(contradictory.check(), []);
        assert_eq!(
            contradictory.contradiction().unwrap().to_string(),
            "/status/state: is `installed`, and the components are `installing` (X-B-03)"
        );
    }

    /// X-D-13: never written either, however it came about.
    #[test]
    fn an_error_that_says_nothing_is_none() {
        for error in [
            json!({}),
            json!({"code": "", "source": "", "message": ""}),
            json!({"message ": ""}),
            json!({"x-acme-extensions": null}),
            json!(null),
        ] {
            assert_eq!(read(with("/status", "error", error.clone())).status.error, None);
            assert_eq!(read(with("/components/0", "error", error)).components[0].error, None);
        }
        let mut status = read(manifest());
        status.status.error = Some(ErrorReport::default());
        assert_eq!(serde_json::to_value(&status).unwrap(), manifest());
    }

    #[test]
    fn an_error_that_says_anything_is_kept() {
        for error in [
            json!({"code": "101", "source": "", "message": ""}),
            json!({"code": "", "source": "", "message": "", "x-acme-extensions": {"at": 1}}),
        ] {
            let status = read(with("/status", "error", error.clone()));
            assert_eq!(serde_json::to_value(&status).unwrap()["status"]["error"], error);
        }
        let report = read(with("/status", "error", json!({"message": "no"}))).status.error;
        assert_eq!(report, Some(ErrorReport::new("", "", "no")));
    }

    /// X-C-11: the reserved codes are numbers in the text and strings in the schema.
    #[test]
    fn a_code_may_be_a_whole_number() {
        let read = |code| read(with("/status", "error", json!({"code": code}))).status.error;
        assert_eq!(read(json!(101)), Some(ErrorReport::new("101", "", "")));
        for code in [json!(-1), json!(1.5), json!(true), json!([])] {
            assert_eq!(refused(with("/status", "error", json!({"code": code}))), "/status/error/code");
        }
    }

    /// X-D-12.
    #[test]
    fn the_status_is_one_object_that_may_stand_in_a_list() {
        let status = json!({"state": "installing"});
        assert_eq!(read(with("", "status", json!([status]))), read(manifest()));
        assert_eq!(refused(with("", "status", json!([]))), "/status");
        assert_eq!(refused(with("", "status", json!([status, status]))), "/status");
    }

    /// X-D-31.
    #[test]
    fn a_version_may_be_written_with_a_fraction() {
        assert_eq!(read(with("", "adoptedManifestVersion", json!(7.0))), read(manifest()));
        for version in [json!(7.5), json!(0.0), json!("7"), json!(1e300)] {
            assert_eq!(refused(with("", "adoptedManifestVersion", version)), "/adoptedManifestVersion");
        }
    }

    #[test]
    fn a_wrong_member_is_named() {
        assert_eq!(refused(with("", "deploymentId", json!("../x"))), "/deploymentId");
        assert_eq!(refused(with("", "deviceId", json!("a//b"))), "/deviceId");
        assert_eq!(refused(with("", "adoptedManifestVersion", json!(0))), "/adoptedManifestVersion");
        assert_eq!(refused(with("/components/1", "name", json!(""))), "/components/1/name");
        assert_eq!(refused(with("/components/1", "state", json!(3))), "/components/1/state");
        assert_eq!(refused(with("", "components", json!(null))), "/components");
    }

    /// X-D-36 (a state no revision names), R-B-040 (one entry for each component).
    #[test]
    fn what_the_shape_cannot_say_is_listed_at_once() {
        assert_eq!(read(manifest()).check(), []);
        let mut manifest = with("/status", "state", json!("running"));
        manifest["components"][0]["state"] = json!("Installed");
        manifest["components"][1]["name"] = json!("database");
        let faults: Vec<_> = read(manifest).check().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "/status/state: `running` is not a state",
                "/components/0/state: `Installed` is not a state",
                "/components/1/name: component `database` is reported twice",
            ]
        );
    }
}
