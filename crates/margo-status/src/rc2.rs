//! The deployment status as 1.0.0-rc.2 writes it, at its tag of June 2026.
//!
//! It is that of 1.0.0-rc.1 with a device and with the source of an error. Documents of the days after the tag leave
//! out `apiVersion`, or `kind` as well; they are read, and written as the tag wants them (X-C-18). The files of the
//! summer that carry the same label have the shape of the tag.

use margo_core::{
    ComponentName, DeploymentId, Deviation, DeviceId, Extensions, Loss, ManifestVersion, Upgraded,
};
use margo_syntax::Fault;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::rc1::{API_VERSION, DeploymentState};

use crate::pre_draft::not_empty;
use crate::rc1::without_envelope;
use crate::status::{Part, all_empty, check, code, contradiction};

/// What a device says about one deployment.
///
/// ```
/// use margo_core::ManifestVersion;
/// use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest, rc2};
///
/// let component = ComponentStatus::new("database".parse()?, DeploymentState::Removing);
/// let status = DeploymentStatusManifest::of("a3e2f5dc".parse()?, ManifestVersion::FIRST, vec![component])
///     .with_device("gateway-1/plc-7".parse()?);
/// let older = rc2::DeploymentStatusManifest::from(&status);
/// assert_eq!(
///     serde_json::to_string(&older)?,
///     concat!(
///         r#"{"apiVersion":"deployment.margo.org/v1alpha1","kind":"DeploymentStatusManifest","#,
///         r#""deploymentId":"a3e2f5dc","deviceId":"gateway-1/plc-7","status":{"state":"removing"},"#,
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
    /// The version of the document; opaque, and not empty (X-B-19, X-C-23).
    ///
    /// May be missing (X-C-18).
    #[serde(default = "api_version", deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), example = API_VERSION))]
    pub api_version: String,
    /// Always `DeploymentStatusManifest`.
    ///
    /// May be missing (X-C-18).
    #[serde(default)]
    pub kind: Kind,
    /// The deployment; equals the id in the route.
    pub deployment_id: DeploymentId,
    /// The device it runs on; required for a device behind a gateway (R-C-011, X-C-10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// The deployment as a whole.
    #[serde(deserialize_with = "margo_core::lenient_single")]
    pub status: OverallStatus,
    /// Its components, one entry for each (R-B-040).
    pub components: Vec<ComponentStatus>,
    /// Members 1.0.0-rc.2 does not name.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentStatusManifest {
    /// A status of a device that is not named.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, status: OverallStatus, components: Vec<ComponentStatus>) -> Self {
        Self {
            api_version: api_version(),
            kind: Kind::default(),
            deployment_id,
            device_id: None,
            status,
            components,
            extensions: Extensions::new(),
        }
    }

    /// What its shape cannot say: states that 1.0.0-rc.2 does not name, and components that are reported twice
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
    #[must_use]
    pub fn upgrade(self, adopted: ManifestVersion) -> Upgraded<crate::DeploymentStatusManifest> {
        let mut losses = Vec::new();
        if self.api_version != API_VERSION {
            losses.push(Loss::new("/apiVersion", "there is no such member"));
        }
        let status = crate::OverallStatus {
            state: self.status.state.upgrade(),
            error: self.status.error.map(ErrorReport::upgrade),
            extensions: self.status.extensions,
        };
        let components = self.components.into_iter().map(|component| crate::ComponentStatus {
            name: component.name,
            state: component.state.upgrade(),
            error: component.error.map(ErrorReport::upgrade),
            extensions: component.extensions,
        });
        let components = components.collect();
        let mut extensions = self.extensions;
        if extensions.remove("adoptedManifestVersion").is_some() {
            let reason = "1.0.0-rc.2 gives this member no meaning";
            losses.push(Loss::new("/adoptedManifestVersion", reason));
        }
        let value = crate::DeploymentStatusManifest {
            deployment_id: self.deployment_id,
            device_id: self.device_id,
            adopted_manifest_version: adopted,
            status,
            components,
            extensions,
        };
        Upgraded::new(value, losses)
    }

    /// The same status as 1.0.0-rc.2 says it, and what it leaves out: the version the client has adopted.
    ///
    /// There is nothing it cannot say.
    #[must_use]
    pub fn downgrade(newer: &crate::DeploymentStatusManifest) -> Upgraded<Self> {
        let mut losses = vec![Loss::new("/adoptedManifestVersion", "there is no such member")];
        let status = OverallStatus {
            state: DeploymentState::from(newer.status.state.as_str()),
            error: newer.status.error.as_ref().map(ErrorReport::downgrade),
            extensions: newer.status.extensions.clone(),
        };
        let components = newer.components.iter().map(|component| ComponentStatus {
            name: component.name.clone(),
            state: DeploymentState::from(component.state.as_str()),
            error: component.error.as_ref().map(ErrorReport::downgrade),
            extensions: component.extensions.clone(),
        });
        let components = components.collect();
        let value = Self {
            device_id: newer.device_id.clone(),
            extensions: without_envelope(&newer.extensions, &mut losses),
            ..Self::new(newer.deployment_id.clone(), status, components)
        };
        Upgraded::new(value, losses)
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.components.iter().map(|component| (&component.name, component.state.as_str()))
    }
}

impl From<&crate::DeploymentStatusManifest> for DeploymentStatusManifest {
    /// As [`downgrade`](Self::downgrade), for who does not ask what is left out.
    fn from(newer: &crate::DeploymentStatusManifest) -> Self {
        Self::downgrade(newer).value
    }
}

/// The `kind` of the document: `DeploymentStatusManifest`, and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind;

impl Kind {
    /// The text on the wire.
    pub const TEXT: &str = "DeploymentStatusManifest";
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
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"`DeploymentStatusManifest`"));
        }
        Ok(Self)
    }
}

/// The deployment as a whole.
///
/// One table types it as a list; a list of one is read (X-B-01).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OverallStatus {
    /// The most severe state among the components (R-B-039).
    pub state: DeploymentState,
    /// What went wrong, if something did.
    ///
    /// Never written when it says nothing (X-B-04).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members 1.0.0-rc.2 does not name.
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
    /// Never written when it says nothing (X-B-04).
    #[serde(default, deserialize_with = "spoken", skip_serializing_if = "silent")]
    pub error: Option<ErrorReport>,
    /// Members 1.0.0-rc.2 does not name.
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

/// What went wrong (R-C-012).
///
/// A member that is missing reads as empty, and an error whose members are all empty reads as no error (X-B-04).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorReport {
    /// A code. `101`, `102` and `103` are reserved for gateways: unknown child device, child device unreachable,
    /// autonomous placement not supported (R-C-009, R-C-010).
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
    /// Members 1.0.0-rc.2 does not name.
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

    fn upgrade(self) -> crate::ErrorReport {
        crate::ErrorReport {
            code: self.code,
            source: self.source,
            message: self.message,
            extensions: self.extensions,
        }
    }

    fn downgrade(newer: &crate::ErrorReport) -> Self {
        Self {
            code: newer.code.clone(),
            source: newer.source.clone(),
            message: newer.message.clone(),
            extensions: newer.extensions.clone(),
        }
    }
}

fn api_version() -> String {
    API_VERSION.to_owned()
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
            "deviceId": "gateway-1/plc-7",
            "status": {"state": "failed", "error": {"code": "102", "source": "gateway-1", "message": "no answer"}},
            "components": [{"name": "database", "state": "failed"}],
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
        assert_eq!((read(document()).check(), read(document()).contradiction()), (vec![], None));
        let note = with("/status/error", "note", json!({"n": 1}));
        assert_eq!(written(note.clone()), note);
    }

    /// X-C-18, X-C-23: what the days after the tag leave out is written again.
    #[test]
    fn the_envelope_may_be_missing() {
        for missing in [vec!["apiVersion"], vec!["apiVersion", "kind"], vec!["kind"]] {
            let mut after = document();
            after.as_object_mut().unwrap().retain(|name, _| !missing.contains(&name.as_str()));
            assert_eq!(written(after), document());
        }
        assert_eq!(written(with("", "apiVersion", json!("1.0.0")))["apiVersion"], "1.0.0");
        assert_eq!(refused(with("", "apiVersion", json!(""))), "/apiVersion");
        for kind in ["DeploymentStatus", "deploymentstatusmanifest"] {
            assert_eq!(refused(with("", "kind", json!(kind))), "/kind");
        }
    }

    /// X-B-01.
    #[test]
    fn the_status_is_one_object_that_may_stand_in_a_list() {
        let status = document()["status"].clone();
        assert_eq!(written(with("", "status", json!([status]))), document());
        assert_eq!(refused(with("", "status", json!([status, status]))), "/status");
    }

    /// X-B-04, X-C-11.
    #[test]
    fn an_error_is_read_however_much_it_says() {
        for error in [json!({"code": "", "source": "", "message": ""}), json!({}), json!(null)] {
            assert_eq!(read(with("/status", "error", error)).status.error, None);
        }
        let numbered = with("/status/error", "code", json!(102));
        assert_eq!(written(numbered), document());
        assert_eq!(refused(with("/status/error", "code", json!(-1))), "/status/error/code");
    }

    /// The capital of the weeks before 1.0.0-rc.1 is no word of 1.0.0-rc.2.
    #[test]
    fn a_state_is_written_in_one_way() {
        let faults = read(with("/status", "state", json!("Failed"))).check();
        assert_eq!(faults[0].to_string(), "/status/state: `Failed` is not a state");
    }

    /// R-C-002, X-C-13.
    #[test]
    fn a_device_is_named_by_its_levels() {
        assert_eq!(refused(with("", "deviceId", json!("gateway-1/../plc-7"))), "/deviceId");
        assert_eq!(refused(with("", "deviceId", json!("gateway 1"))), "/deviceId");
    }

    #[test]
    fn only_the_version_is_left_out() {
        let upgraded = read(document()).upgrade(ManifestVersion::FIRST);
        assert_eq!(upgraded.losses, []);
        let Upgraded { value, losses, .. } = DeploymentStatusManifest::downgrade(&upgraded.value);
        assert_eq!(value, read(document()));
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].pointer, "/adoptedManifestVersion");

        let mut strange = with("", "adoptedManifestVersion", json!(7));
        strange["apiVersion"] = json!("v1");
        let lost = read(strange).upgrade(ManifestVersion::FIRST).losses;
        let lost: Vec<_> = lost.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/apiVersion", "/adoptedManifestVersion"]);
    }
}
