//! The deployment status as 1.0.0-rc.1 writes it: the pages of Preview Release 1, and the OpenAPI document that was
//! corrected after them.
//!
//! It says nothing about the manifest a client has adopted, the device, or the source of an error. Documents of the
//! weeks before the release are read as well: their `kind` is `DeploymentStatus`, their states have a capital, and
//! two of them say `Updating` and `Updated` (X-B-33). One table types `status` as a list; a list of one is read
//! (X-B-01).

use margo_core::{
    ComponentName, DeploymentId, Deviation, DowngradeError, Extensions, Loss, ManifestVersion, SpecVersion,
    Upgraded,
};
use margo_syntax::Fault;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pre_draft::not_empty;
use crate::status::{Part, all_empty, check, contradiction};

/// The `apiVersion` this library writes. Any text that is not empty is read (X-B-19).
pub const API_VERSION: &str = "deployment.margo.org/v1alpha1";

/// What a device says about one deployment.
///
/// ```
/// use margo_core::ManifestVersion;
/// use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest, rc1};
///
/// let component = ComponentStatus::new("database".parse()?, DeploymentState::Removing);
/// let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, vec![component]);
/// let older = rc1::DeploymentStatusManifest::try_from(&status)?;
/// assert_eq!(
///     serde_json::to_string(&older)?,
///     concat!(
///         r#"{"apiVersion":"deployment.margo.org/v1alpha1","kind":"DeploymentStatusManifest","#,
///         r#""deploymentId":"a3e2f5dc","status":{"state":"removing"},"#,
///         r#""components":[{"name":"database","state":"removing"}]}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentStatusManifest {
    /// The version of the document; opaque, and not empty (X-B-19).
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeploymentStatusManifest`.
    pub kind: Kind,
    /// The deployment; equals the id in the route.
    pub deployment_id: DeploymentId,
    /// The deployment as a whole.
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub status: OverallStatus,
    /// Its components, one entry for each (R-B-040).
    pub components: Vec<ComponentStatus>,
    /// Members 1.0.0-rc.1 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentStatusManifest {
    /// A status.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, status: OverallStatus, components: Vec<ComponentStatus>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind::default(),
            deployment_id,
            status,
            components,
            extensions: Extensions::new(),
        }
    }

    /// What its shape cannot say: states that 1.0.0-rc.1 does not name, and components that are reported twice
    /// (R-B-040). Empty when there is nothing to object to.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        check(self.status.state.as_str(), self.parts(), |state| DeploymentState::from(state).is_known())
    }

    /// The state of the whole, if it is not the one its components have (R-B-039, X-B-03).
    #[must_use]
    pub fn contradiction(&self) -> Option<Deviation> {
        contradiction(self.status.state.as_str(), self.parts())
    }

    /// The same status in the newest revision, of a client that holds the manifest `adopted`.
    ///
    /// The error of a component gets the component as its source; the error of the whole has none, since the
    /// document does not tell the deployment's name.
    #[must_use]
    pub fn upgrade(self, adopted: ManifestVersion) -> Upgraded<crate::DeploymentStatusManifest> {
        let mut losses = Vec::new();
        if self.api_version != API_VERSION {
            losses.push(Loss::new("/apiVersion", "there is no such member"));
        }
        let status = crate::OverallStatus {
            state: self.status.state.upgrade(),
            error: self.status.error.and_then(|error| error.upgrade("", "/status/error", &mut losses)),
            extensions: self.status.extensions,
        };
        let components = self.components.into_iter().enumerate().map(|(i, component)| {
            let place = format!("/components/{i}/error");
            let source = component.name.as_str();
            crate::ComponentStatus {
                state: component.state.upgrade(),
                error: component.error.and_then(|error| error.upgrade(source, &place, &mut losses)),
                name: component.name,
                extensions: component.extensions,
            }
        });
        let components = components.collect();
        let mut extensions = self.extensions;
        for taken in ["deviceId", "adoptedManifestVersion"] {
            if extensions.remove(taken).is_some() {
                losses.push(Loss::new(format!("/{taken}"), "1.0.0-rc.1 gives this member no meaning"));
            }
        }
        let value = crate::DeploymentStatusManifest {
            deployment_id: self.deployment_id,
            device_id: None,
            adopted_manifest_version: adopted,
            status,
            components,
            extensions,
        };
        Upgraded::new(value, losses)
    }

    /// The same status as 1.0.0-rc.1 says it, and what it leaves out: the version the client has adopted, the device
    /// (a client is one, and the route names it), and the source of an error that is not the object the error stands in.
    ///
    /// # Errors
    ///
    /// A device behind a gateway: to 1.0.0-rc.1 a client is one device, and so the device of every report (X-B-40).
    pub fn downgrade(newer: &crate::DeploymentStatusManifest) -> Result<Upgraded<Self>, DowngradeError> {
        if newer.device_id.as_ref().is_some_and(|device| device.gateway().is_some()) {
            let reason = "there are no devices behind gateways";
            return Err(DowngradeError::new(SpecVersion::V1_0_0Rc1, "/deviceId", reason));
        }
        let mut losses = told_elsewhere(newer, "there is no such member", "a client is one device");
        let error = newer.status.error.as_ref();
        let status = OverallStatus {
            state: DeploymentState::read(newer.status.state.as_str()),
            error: error.and_then(|error| ErrorReport::downgrade(error, "", "/status/error", &mut losses)),
            extensions: newer.status.extensions.clone(),
        };
        let components = newer.components.iter().enumerate().map(|(i, component)| {
            let place = format!("/components/{i}/error");
            let error = component.error.as_ref();
            let source = component.name.as_str();
            ComponentStatus {
                name: component.name.clone(),
                state: DeploymentState::read(component.state.as_str()),
                error: error.and_then(|error| ErrorReport::downgrade(error, source, &place, &mut losses)),
                extensions: component.extensions.clone(),
            }
        });
        let components = components.collect();
        let extensions = without_envelope(&newer.extensions, &mut losses);
        let value = Self { extensions, ..Self::new(newer.deployment_id.clone(), status, components) };
        Ok(Upgraded::new(value, losses))
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.components.iter().map(|component| (&component.name, component.state.as_str()))
    }
}

impl TryFrom<&crate::DeploymentStatusManifest> for DeploymentStatusManifest {
    type Error = DowngradeError;

    /// As [`downgrade`](Self::downgrade), for who does not ask what is left out.
    fn try_from(newer: &crate::DeploymentStatusManifest) -> Result<Self, DowngradeError> {
        Self::downgrade(newer).map(|downgraded| downgraded.value)
    }
}

/// What no member says up to 1.0.0-rc.1, and why: the manifest and the device.
pub(crate) fn told_elsewhere(
    newer: &crate::DeploymentStatusManifest,
    manifest: &str,
    device: &str,
) -> Vec<Loss> {
    let device = newer.device_id.as_ref().map(|_| Loss::new("/deviceId", device));
    std::iter::once(Loss::new("/adoptedManifestVersion", manifest)).chain(device).collect()
}

/// The `kind` of the document: `DeploymentStatusManifest`. The earlier `DeploymentStatus` is read as well (X-B-33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeploymentStatusManifest";

    /// What the weeks before the release wrote.
    pub(crate) const EARLIER: &str = "DeploymentStatus";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text != Self::TEXT && text != Self::EARLIER {
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"`DeploymentStatusManifest`"));
        }
        Ok(Self)
    }
}

margo_core::string_enum! {
    /// Where a deployment, or one of its components, stands.
    pub enum DeploymentState {
        /// Received, not yet started.
        Pending = "pending",
        /// Being applied.
        Installing = "installing",
        /// Applied completely.
        Installed = "installed",
        /// Being taken away.
        Removing = "removing",
        /// Gone.
        Removed = "removed",
        /// Could not be applied or removed.
        Failed = "failed",
    }
}

impl DeploymentState {
    /// The same state in the newest revision, which has the same words.
    #[must_use]
    pub fn upgrade(&self) -> crate::DeploymentState {
        crate::DeploymentState::from(self.as_str())
    }

    fn read(text: &str) -> Self {
        Self::earlier(text).unwrap_or_else(|| Self::from(text))
    }

    /// The state the weeks before the release wrote with this word (X-B-33).
    pub(crate) fn earlier(text: &str) -> Option<Self> {
        match text {
            "Pending" => Some(Self::Pending),
            "Installing" | "Updating" => Some(Self::Installing),
            "Installed" | "Updated" => Some(Self::Installed),
            "Removing" => Some(Self::Removing),
            "Removed" => Some(Self::Removed),
            "Failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// The deployment as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OverallStatus {
    /// The most severe state among the components (R-B-039).
    #[serde(deserialize_with = "state")]
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing (X-B-04).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members 1.0.0-rc.1 does not name.
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
    #[serde(deserialize_with = "state")]
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing (X-B-04).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members 1.0.0-rc.1 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ComponentStatus {
    /// A component in `state`, without an error.
    #[must_use]
    pub fn new(name: ComponentName, state: DeploymentState) -> Self {
        Self { name, state, error: None, extensions: Extensions::new() }
    }
}

/// What went wrong.
///
/// A member that is missing reads as empty, and an error whose members are all empty reads as no error (X-B-04).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorReport {
    /// A code of the device's own.
    #[serde(default)]
    pub code: String,
    /// What happened, for a person.
    #[serde(default)]
    pub message: String,
    /// Members 1.0.0-rc.1 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ErrorReport {
    /// An error.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), extensions: Extensions::new() }
    }

    /// Whether it says nothing at all: every member is empty. Such an error is never written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty() && self.message.is_empty() && all_empty(&self.extensions)
    }

    // None if nothing is left of it.
    fn upgrade(mut self, source: &str, place: &str, losses: &mut Vec<Loss>) -> Option<crate::ErrorReport> {
        if self.extensions.remove("source").is_some() {
            losses.push(Loss::new(format!("{place}/source"), "1.0.0-rc.1 gives this member no meaning"));
        }
        (!self.is_empty()).then(|| crate::ErrorReport {
            code: self.code,
            source: source.to_owned(),
            message: self.message,
            extensions: self.extensions,
        })
    }

    // None if nothing is left of it.
    fn downgrade(
        newer: &crate::ErrorReport,
        owner: &str,
        place: &str,
        losses: &mut Vec<Loss>,
    ) -> Option<Self> {
        if newer.source != owner {
            losses.push(Loss::new(format!("{place}/source"), "there is no such member"));
        }
        let older = Self {
            code: newer.code.clone(),
            message: newer.message.clone(),
            extensions: newer.extensions.clone(),
        };
        Some(older).filter(|older| !older.is_empty())
    }
}

/// The members of a newer document, without those that are members of their own in an older one.
pub(crate) fn without_envelope(members: &Extensions, losses: &mut Vec<Loss>) -> Extensions {
    let mut members = members.clone();
    for taken in ["apiVersion", "kind"] {
        if members.remove(taken).is_some() {
            losses.push(Loss::new(format!("/{taken}"), "the name means something else there"));
        }
    }
    members
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeploymentState, D::Error> {
    Ok(DeploymentState::read(&String::deserialize(deserializer)?))
}

fn spoken<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorReport>, D::Error> {
    Ok(Option::<ErrorReport>::deserialize(deserializer)?.filter(|error| !error.is_empty()))
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn silent(error: &Option<ErrorReport>) -> bool {
    error.as_ref().is_none_or(ErrorReport::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "apiVersion": "deployment.margo.org/v1alpha1",
            "kind": "DeploymentStatusManifest",
            "deploymentId": "a3e2f5dc",
            "status": {"state": "removing"},
            "components": [{"name": "database", "state": "removing"}, {"name": "broker", "state": "removed"}],
        })
    }

    fn with(place: &str, member: &str, value: Value) -> Value {
        let mut document = document();
        document.pointer_mut(place).unwrap()[member] = value;
        document
    }

    fn read(value: Value) -> DeploymentStatusManifest {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> String {
        margo_syntax::from_value::<DeploymentStatusManifest>(value).unwrap_err().pointer().to_string()
    }

    fn written(value: Value) -> Value {
        serde_json::to_value(read(value)).unwrap()
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        assert_eq!(written(document()), document());
        assert_eq!(read(document()).check(), []);
        let note = with("/components/0", "note", json!({"n": 1}));
        assert_eq!(written(note.clone()), note);
    }

    /// X-B-19, X-B-33.
    #[test]
    fn any_api_version_and_either_kind_is_read() {
        assert_eq!(written(with("", "apiVersion", json!("v1"))), with("", "apiVersion", json!("v1")));
        assert_eq!(refused(with("", "apiVersion", json!(""))), "/apiVersion");
        assert_eq!(written(with("", "kind", json!("DeploymentStatus"))), document());
        assert_eq!(refused(with("", "kind", json!("DeploymentState"))), "/kind");
        for member in ["apiVersion", "kind", "deploymentId", "status", "components"] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(member);
            assert_eq!(refused(document), "", "{member}");
        }
    }

    /// X-B-33: the words of the weeks before the release.
    #[test]
    fn earlier_states_are_read_and_written_as_the_release_spells_them() {
        for (earlier, state) in [
            ("Pending", "pending"),
            ("Installing", "installing"),
            ("Updating", "installing"),
            ("Installed", "installed"),
            ("Updated", "installed"),
            ("Removing", "removing"),
            ("Removed", "removed"),
            ("Failed", "failed"),
        ] {
            let written = written(with("/components/0", "state", json!(earlier)));
            assert_eq!(written["components"][0]["state"], state);
        }
        let faults = read(with("/components/0", "state", json!("PENDING"))).check();
        assert_eq!(faults[0].to_string(), "/components/0/state: `PENDING` is not a state");
    }

    /// X-B-01.
    #[test]
    fn the_status_is_one_object_that_may_stand_in_a_list() {
        assert_eq!(written(with("", "status", json!([{"state": "removing"}]))), document());
        assert_eq!(refused(with("", "status", json!([]))), "/status");
        assert_eq!(
            refused(with("", "status", json!([{"state": "removing"}, {"state": "failed"}]))),
            "/status"
        );
    }

    /// X-B-04.
    #[test]
    fn an_error_that_says_nothing_is_none() {
        for error in [json!({"code": "", "message": ""}), json!({}), json!(null)] {
            assert_eq!(written(with("/components/0", "error", error)), document());
        }
        let half = with("/status", "error", json!({"code": "E"}));
        assert_eq!(read(half).status.error, Some(ErrorReport::new("E", "")));
        assert_eq!(refused(with("/status", "error", json!({"code": 101}))), "/status/error/code");
    }

    /// R-B-039, R-B-040, X-B-03.
    #[test]
    fn what_the_shape_cannot_say_is_told() {
        assert_eq!(read(document()).contradiction(), None);
        let mut other = with("/status", "state", json!("running"));
        other["components"][1]["name"] = json!("database");
        let faults: Vec<_> = read(other).check().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "/status/state: `running` is not a state",
                "/components/1/name: component `database` is reported twice"
            ]
        );
        let deviation = read(with("/status", "state", json!("installed"))).contradiction().unwrap();
        assert_eq!((deviation.contradiction, deviation.pointer.as_str()), ("X-B-03", "/status/state"));
    }

    /// Names that the newest revision gives a meaning, in a document that gives them none.
    #[test]
    fn an_upgrade_lists_members_it_cannot_take_over() {
        let mut document = with("/status", "error", json!({"code": "E", "message": "no", "source": "db"}));
        document["apiVersion"] = json!("v1");
        document["deviceId"] = json!("plc-7");
        document["adoptedManifestVersion"] = json!(9);
        document["note"] = json!(1);
        let upgraded = read(document).upgrade(ManifestVersion::FIRST);
        let lost: Vec<_> = upgraded.losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/apiVersion", "/status/error/source", "/deviceId", "/adoptedManifestVersion"]);
        assert_eq!(
            serde_json::to_value(upgraded.value).unwrap(),
            json!({
                "deploymentId": "a3e2f5dc",
                "adoptedManifestVersion": 1,
                "status": {"state": "removing", "error": {"code": "E", "source": "", "message": "no"}},
                "components": [
                    {"name": "database", "state": "removing"},
                    {"name": "broker", "state": "removed"},
                ],
                "note": 1,
            })
        );
    }

    /// X-B-40.
    #[test]
    fn a_downgrade_names_what_cannot_be_said_and_lists_what_is_left_out() {
        let mut newer = read(document()).upgrade(ManifestVersion::FIRST).value;
        newer.device_id = "plc-7".parse().ok();
        newer.extensions.insert("kind", json!("read over"));
        newer.status.error = Some(crate::ErrorReport::new("E", "digitron", "no"));
        newer.components[0].error = Some(crate::ErrorReport::new("E", "database", "no"));
        newer.components[1].error = Some(crate::ErrorReport::new("101", "gateway-1", "no"));
        let Upgraded { value, losses, .. } = DeploymentStatusManifest::downgrade(&newer).unwrap();
        let lost: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(
            lost,
            [
                "/adoptedManifestVersion",
                "/deviceId",
                "/status/error/source",
                "/components/1/error/source",
                "/kind"
            ]
        );
        assert_eq!(DeploymentStatusManifest::try_from(&newer), Ok(value));

        newer.device_id = "gateway-1/plc-7".parse().ok();
        assert_eq!(
            DeploymentStatusManifest::try_from(&newer).unwrap_err().to_string(),
            "1.0.0-rc.1 cannot say `/deviceId`: there are no devices behind gateways"
        );
    }
}
