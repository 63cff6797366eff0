//! The deployment status as the pre-draft of October 2024 writes it.
//!
//! It has four states, written with a capital, and no word for removal, for the version of the desired state or
//! for the source of an error. One table types `status` as a list; the example is an object. A list of one is read
//! (X-A-07).

use margo_core::{
    ComponentName, DeploymentId, DowngradeError, Extensions, Loss, ManifestVersion, SpecVersion, Upgraded,
};
use margo_syntax::Fault;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rc1::{told_elsewhere, without_envelope};
use crate::status::{all_empty, check};
use crate::{ComponentStatus as LatestComponentStatus, DeploymentState as LatestState};
use crate::{DeploymentStatusManifest, ErrorReport as LatestError, OverallStatus};

/// The `apiVersion` this library writes. Any text that is not empty is read (X-A-02).
pub const API_VERSION: &str = "deployment.margo/v1";

/// What a device says about one deployment.
///
/// ```
/// use margo_core::ManifestVersion;
/// use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest, pre_draft};
///
/// let component = ComponentStatus::new("database".parse()?, DeploymentState::Installing);
/// let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, vec![component]);
/// let older = pre_draft::DeploymentStatus::try_from(&status)?;
/// assert_eq!(
///     serde_json::to_string(&older)?,
///     concat!(
///         r#"{"apiVersion":"deployment.margo/v1","kind":"DeploymentStatus","deploymentId":"a3e2f5dc","#,
///         r#""status":{"state":"Installing"},"components":[{"name":"database","state":"Installing"}]}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentStatus {
    /// The version of the document; opaque, and not empty (X-A-02).
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeploymentStatus`.
    pub kind: Kind,
    /// The deployment; equals the id in the route.
    pub deployment_id: DeploymentId,
    /// The deployment as a whole.
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub status: Status,
    /// Its components.
    pub components: Vec<ComponentStatus>,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentStatus {
    /// A status.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, status: Status, components: Vec<ComponentStatus>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Kind::default(),
            deployment_id,
            status,
            components,
            extensions: Extensions::new(),
        }
    }

    /// What its shape cannot say: states the pre-draft does not name, and components that are reported twice. Empty
    /// when there is nothing to object to.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let parts = self.components.iter().map(|component| (&component.name, component.state.as_str()));
        check(self.status.state.as_str(), parts, |state| DeploymentState::from(state).is_known())
    }

    /// The same status in the newest revision, of a client that holds the manifest `adopted`.
    ///
    /// The error of a component gets the component as its source; the error of the whole has none, since the
    /// document does not tell the deployment's name.
    #[must_use]
    pub fn upgrade(self, adopted: ManifestVersion) -> Upgraded<DeploymentStatusManifest> {
        let mut losses = Vec::new();
        if self.api_version != API_VERSION {
            losses.push(Loss::new("/apiVersion", "there is no such member"));
        }
        let status = OverallStatus {
            state: self.status.state.upgrade(),
            error: self.status.error.and_then(|error| error.upgrade("", "/status/error", &mut losses)),
            extensions: self.status.extensions,
        };
        let components = self.components.into_iter().enumerate().map(|(i, component)| {
            let place = format!("/components/{i}/error");
            let source = component.name.as_str();
            LatestComponentStatus {
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
                losses.push(Loss::new(format!("/{taken}"), "the pre-draft gives this member no meaning"));
            }
        }
        let value = DeploymentStatusManifest {
            deployment_id: self.deployment_id,
            device_id: None,
            adopted_manifest_version: adopted,
            status,
            components,
            extensions,
        };
        Upgraded::new(value, losses)
    }

    /// The same status as the pre-draft says it, and what it leaves out.
    ///
    /// The device and the version the client has adopted are left out: the route names the one and nothing the other, for
    /// desired state is known by its commit. The source of an error is the object the error stands in; any other source
    /// is left out too.
    ///
    /// # Errors
    ///
    /// `removing` and `removed`: the pre-draft has no word for either.
    pub fn downgrade(newer: &DeploymentStatusManifest) -> Result<Upgraded<Self>, DowngradeError> {
        let commit = "desired state is known by its commit";
        let mut losses = told_elsewhere(newer, commit, "the route names the device");
        let error = newer.status.error.as_ref();
        let status = Status {
            state: DeploymentState::downgrade(&newer.status.state, || "/status/state".to_owned())?,
            error: error.and_then(|error| ErrorReport::downgrade(error, "", "/status/error", &mut losses)),
            extensions: newer.status.extensions.clone(),
        };
        let mut components = Vec::new();
        for (i, component) in newer.components.iter().enumerate() {
            let place = format!("/components/{i}/error");
            let error = component.error.as_ref();
            let source = component.name.as_str();
            components.push(ComponentStatus {
                name: component.name.clone(),
                state: DeploymentState::downgrade(&component.state, || format!("/components/{i}/state"))?,
                error: error.and_then(|error| ErrorReport::downgrade(error, source, &place, &mut losses)),
                extensions: component.extensions.clone(),
            });
        }
        let extensions = without_envelope(&newer.extensions, &mut losses);
        let value = Self { extensions, ..Self::new(newer.deployment_id.clone(), status, components) };
        Ok(Upgraded::new(value, losses))
    }
}

impl TryFrom<&DeploymentStatusManifest> for DeploymentStatus {
    type Error = DowngradeError;

    /// As [`downgrade`](Self::downgrade), for who does not ask what is left out.
    fn try_from(newer: &DeploymentStatusManifest) -> Result<Self, DowngradeError> {
        Self::downgrade(newer).map(|downgraded| downgraded.value)
    }
}

/// The `kind` of the document: `DeploymentStatus`, and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeploymentStatus";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text != Self::TEXT {
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"`DeploymentStatus`"));
        }
        Ok(Self)
    }
}

margo_core::string_enum! {
    /// Where a deployment, or one of its components, stands.
    ///
    /// Written with a capital; read whatever the case, since the example writes `pending` (X-A-10). The `Failure` and
    /// `Success` of another page are read as [`Failed`](Self::Failed) and [`Installed`](Self::Installed) (X-A-11).
    pub enum DeploymentState ignoring case {
        /// Received, not yet started (R-A-022).
        Pending = "Pending",
        /// Being applied.
        Installing = "Installing",
        /// Applied completely.
        Installed = "Installed",
        /// Could not be applied (R-A-023).
        Failed = "Failed",
    }
}

impl DeploymentState {
    /// The same state in the newest revision. One the pre-draft does not name keeps its text.
    #[must_use]
    pub fn upgrade(&self) -> LatestState {
        match self {
            Self::Pending => LatestState::Pending,
            Self::Installing => LatestState::Installing,
            Self::Installed => LatestState::Installed,
            Self::Failed => LatestState::Failed,
            Self::Unrecognized(text) => LatestState::from(text.as_str()),
        }
    }

    fn read(text: &str) -> Self {
        match text {
            "Failure" => Self::Failed,
            "Success" => Self::Installed,
            _ => Self::from(text),
        }
    }

    fn downgrade(newer: &LatestState, place: impl FnOnce() -> String) -> Result<Self, DowngradeError> {
        match newer {
            LatestState::Pending => Ok(Self::Pending),
            LatestState::Installing => Ok(Self::Installing),
            LatestState::Installed => Ok(Self::Installed),
            LatestState::Failed => Ok(Self::Failed),
            LatestState::Unrecognized(text) => Ok(Self::read(text.as_str())),
            LatestState::Removing | LatestState::Removed => Err(DowngradeError::new(
                SpecVersion::PreDraft,
                place(),
                format!("there is no word for `{newer}`"),
            )),
        }
    }
}

/// The deployment as a whole: it takes the state of the component in progress until all are handled (R-A-024).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Where it stands.
    #[serde(deserialize_with = "state")]
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing (X-A-13).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members the pre-draft does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl Status {
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
    /// Never written when it says nothing (X-A-13).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members the pre-draft does not name.
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

/// What went wrong (R-A-023).
///
/// A member that is missing reads as empty. The example once writes `"message "`, with a blank: that is another
/// member, and the message is missing (X-A-12). An error whose members are all empty reads as no error (X-A-13).
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
    /// Members the pre-draft does not name.
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
    fn upgrade(mut self, source: &str, place: &str, losses: &mut Vec<Loss>) -> Option<LatestError> {
        if self.extensions.remove("source").is_some() {
            losses.push(Loss::new(format!("{place}/source"), "the pre-draft gives this member no meaning"));
        }
        (!self.is_empty()).then(|| LatestError {
            code: self.code,
            source: source.to_owned(),
            message: self.message,
            extensions: self.extensions,
        })
    }

    // None if nothing is left of it.
    fn downgrade(newer: &LatestError, owner: &str, place: &str, losses: &mut Vec<Loss>) -> Option<Self> {
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

pub(crate) fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::invalid_value(Unexpected::Str(""), &"text that is not empty"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "apiVersion": "deployment.margo/v1",
            "kind": "DeploymentStatus",
            "deploymentId": "a3e2f5dc",
            "status": {"state": "Installing"},
            "components": [{"name": "database", "state": "Installing"}],
        })
    }

    fn with(place: &str, member: &str, value: Value) -> Value {
        let mut document = document();
        document.pointer_mut(place).unwrap()[member] = value;
        document
    }

    fn read(value: Value) -> DeploymentStatus {
        margo_syntax::from_value(value).unwrap()
    }

    fn refused(value: Value) -> String {
        margo_syntax::from_value::<DeploymentStatus>(value).unwrap_err().pointer().to_string()
    }

    /// X-A-02.
    #[test]
    fn any_api_version_and_only_one_kind_is_read() {
        assert_eq!(read(with("", "apiVersion", json!("v9"))).api_version, "v9");
        assert_eq!(refused(with("", "apiVersion", json!(""))), "/apiVersion");
        assert_eq!(refused(with("", "kind", json!("DeploymentStatusManifest"))), "/kind");
        assert_eq!(refused(with("", "kind", json!({"DeploymentStatus": null}))), "/kind");
    }

    /// X-A-07.
    #[test]
    fn the_status_is_one_object_that_may_stand_in_a_list() {
        let status = json!({"state": "Installing"});
        assert_eq!(read(with("", "status", json!([status]))), read(document()));
        assert_eq!(refused(with("", "status", json!([status, status]))), "/status");
        assert_eq!(refused(with("", "status", json!("Pending"))), "/status");
    }

    /// X-A-10, X-A-11.
    #[test]
    fn states_are_read_whatever_their_case_and_written_with_a_capital() {
        for (text, state) in [
            ("pending", DeploymentState::Pending),
            ("INSTALLING", DeploymentState::Installing),
            ("Installed", DeploymentState::Installed),
            ("faiLed", DeploymentState::Failed),
        ] {
            assert_eq!(read(with("/status", "state", json!(text))).status.state, state);
            assert!(state.as_str().starts_with(char::is_uppercase));
        }
        for (text, state) in [("Failure", DeploymentState::Failed), ("Success", DeploymentState::Installed)] {
            let status = read(with("/components/0", "state", json!(text)));
            assert_eq!((&status.components[0].state, status.check()), (&state, vec![]));
        }
        let status = read(with("/components/0", "state", json!("paused")));
        assert_eq!(status.check()[0].to_string(), "/components/0/state: `paused` is not a state");
        let newer = status.upgrade(ManifestVersion::FIRST);
        assert_eq!(newer.value.components[0].state.as_str(), "paused");
        assert!(!newer.value.components[0].state.is_known());
    }

    /// X-A-12, X-A-13.
    #[test]
    fn an_error_that_says_nothing_is_none() {
        for error in [json!({"code": "", "message": ""}), json!({"code": "", "message ": ""}), json!({})] {
            let status = read(with("/components/0", "error", error));
            assert_eq!(serde_json::to_value(&status).unwrap(), document());
        }
        let error =
            read(with("/status", "error", json!({"code": "E", "message ": "no"}))).status.error.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("E", ""));
        assert_eq!(error.extensions.get("message "), Some(&json!("no")));
    }

    #[test]
    fn components_are_reported_once() {
        let component = json!({"name": "database", "state": "Pending"});
        let faults = read(with("", "components", json!([component, component]))).check();
        assert_eq!(faults[0].to_string(), "/components/1/name: component `database` is reported twice");
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
                "status": {"state": "installing", "error": {"code": "E", "source": "", "message": "no"}},
                "components": [{"name": "database", "state": "installing"}],
                "note": 1,
            })
        );
    }

    #[test]
    fn removal_cannot_be_said() {
        let mut newer = read(document()).upgrade(ManifestVersion::FIRST).value;
        newer.extensions.insert("kind", json!("read over"));
        assert_eq!(DeploymentStatus::try_from(&newer), Ok(read(document())));
        newer.status.error = Some(LatestError::new("E", "digitron", "no"));
        let lost = DeploymentStatus::downgrade(&newer).unwrap().losses;
        let lost: Vec<_> = lost.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/adoptedManifestVersion", "/status/error/source", "/kind"]);
        newer.components[0].state = LatestState::Removed;
        let error = DeploymentStatus::try_from(&newer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pre-draft cannot say `/components/0/state`: there is no word for `removed`"
        );
        newer.status.state = LatestState::Removing;
        assert_eq!(DeploymentStatus::try_from(&newer).unwrap_err().pointer, "/status/state");
    }
}
