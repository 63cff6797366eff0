use bytes::Bytes;
use margo_core::{DeviceId, Document, DowngradeError, SpecVersion, Upgraded};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer};
use serde_json::Value;

use crate::{DeviceCapabilitiesManifest, pre_draft};

/// Device capabilities of any revision this library reads.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyDeviceCapabilities {
    /// As 1.0.0-rc.3 writes them.
    Rc3(DeviceCapabilitiesManifest),
    /// As the pre-draft writes them.
    PreDraft(pre_draft::DeviceCapabilities),
}

impl AnyDeviceCapabilities {
    /// Reads capabilities as JSON; their shape tells their revision.
    ///
    /// A document with `roles` or `resources` among its properties, or with the pre-draft's `kind` in either of its
    /// spellings (X-A-01), is read as the pre-draft's; every other one as 1.0.0-rc.3's.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_core::SpecVersion;
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"properties": {"id": "gateway-1", "vendor": "Acme", "modelNumber": "G", "serialNumber": "1"}}"#;
    /// let gateway = AnyDeviceCapabilities::decode(body.into(), &Limits::default())?;
    /// assert_eq!(gateway.revision(), SpecVersion::V1_0_0Rc3);
    ///
    /// let error = AnyDeviceCapabilities::decode(r#"{"properties": 7}"#.into(), &Limits::default()).unwrap_err();
    /// assert_eq!(error.pointer().as_str(), "/properties");
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Bytes that are not JSON, that exceed `limits`, or that are not capabilities; with the place.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, Self::from_value)
        })
    }

    /// Reads capabilities as JSON that are known to follow `revision`, because the route they came by belongs to it.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and any `revision` this library does not read yet.
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, |value| Self::read(value, revision))
        })
    }

    /// Reads capabilities from a tree, such as that of a file; their shape tells their revision.
    ///
    /// # Errors
    ///
    /// A tree that is not capabilities, with the place.
    pub fn from_value(value: Value) -> Result<Self, Fault> {
        let has = |member| value.get("properties").is_some_and(|properties| properties.get(member).is_some());
        let kind = value.get("kind").and_then(Value::as_str);
        let is_pre_draft = has("roles") || has("resources") || kind.is_some_and(pre_draft::Kind::accepts);
        Self::read(value, if is_pre_draft { SpecVersion::PreDraft } else { SpecVersion::V1_0_0Rc3 })
    }

    /// The revision they follow.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        match self {
            Self::Rc3(capabilities) => &capabilities.properties.id,
            Self::PreDraft(capabilities) => &capabilities.properties.id,
        }
    }

    /// What their shape cannot say: see [`DeviceCapabilitiesManifest::check`] and
    /// [`pre_draft::DeviceCapabilities::check`].
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(capabilities) => capabilities.check(),
            Self::PreDraft(capabilities) => capabilities.check(),
        }
    }

    /// The same capabilities in the newest revision.
    #[must_use]
    pub fn upgrade(self) -> Upgraded<DeviceCapabilitiesManifest> {
        match self {
            Self::Rc3(capabilities) => Upgraded::lossless(capabilities),
            Self::PreDraft(capabilities) => capabilities.upgrade(),
        }
    }

    /// The same capabilities in `revision`: unchanged in their own, upgraded in a newer one.
    ///
    /// What an upgrade loses is not told here; see [`upgrade`](Self::upgrade).
    ///
    /// # Errors
    ///
    /// What `revision` cannot say, and any `revision` this library does not write yet.
    pub fn to_revision(&self, revision: SpecVersion) -> Result<Self, DowngradeError> {
        match (self, revision) {
            (Self::Rc3(_), SpecVersion::V1_0_0Rc3) | (Self::PreDraft(_), SpecVersion::PreDraft) => {
                Ok(self.clone())
            }
            (Self::PreDraft(capabilities), SpecVersion::V1_0_0Rc3) => {
                Ok(Self::Rc3(capabilities.clone().upgrade().value))
            }
            (Self::Rc3(capabilities), SpecVersion::PreDraft) => {
                pre_draft::DeviceCapabilities::try_from(capabilities).map(Self::PreDraft)
            }
            _ => Err(DowngradeError::new(revision, "", "capabilities of it cannot be written yet")),
        }
    }

    /// The document as JSON, in its own revision: equal capabilities are equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let written = match self {
            Self::Rc3(capabilities) => serde_json::to_value(capabilities),
            Self::PreDraft(capabilities) => serde_json::to_value(capabilities),
        };
        // Names are text and numbers that JSON lacks are written as null, so there is nothing to fail. Through a
        // tree, because its members are sorted and its text cannot fail at all.
        written.unwrap_or_default().to_string().into_bytes()
    }

    fn read(value: Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc3 => margo_syntax::from_value(value).map(Self::Rc3),
            SpecVersion::PreDraft => margo_syntax::from_value(value).map(Self::PreDraft),
            _ => Err(Fault::new(Pointer::root(), format!("capabilities of {revision} cannot be read yet"))),
        }
    }
}

impl From<DeviceCapabilitiesManifest> for AnyDeviceCapabilities {
    fn from(capabilities: DeviceCapabilitiesManifest) -> Self {
        Self::Rc3(capabilities)
    }
}

impl From<pre_draft::DeviceCapabilities> for AnyDeviceCapabilities {
    fn from(capabilities: pre_draft::DeviceCapabilities) -> Self {
        Self::PreDraft(capabilities)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pre_draft() -> Value {
        json!({
            "apiVersion": "device.margo/v1",
            "kind": "DeviceCapabilities",
            "properties": {
                "id": "plc-7", "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
                "roles": ["Standalone Device"],
                "resources": {"cpus": [], "memory": 8, "storage": 64},
                "peripherals": [], "interfaces": [],
            },
        })
    }

    /// A label proves nothing: three shapes share one kind.
    #[test]
    fn the_shape_decides_and_not_the_label() {
        assert_eq!(AnyDeviceCapabilities::from_value(pre_draft()).unwrap().revision(), SpecVersion::PreDraft);

        let mut newer = AnyDeviceCapabilities::from_value(pre_draft()).unwrap().upgrade().value;
        newer.labels.insert("hall".into(), true.into());
        let mut labelled = serde_json::to_value(&newer).unwrap();
        labelled["kind"] = json!("DeviceCapabilitiesManifest");
        let read = AnyDeviceCapabilities::from_value(labelled).unwrap();
        assert_eq!(read, AnyDeviceCapabilities::Rc3(newer));

        // Of one revision's kind and another's shape: judged as the pre-draft, and refused where it differs.
        let mut between = pre_draft();
        between["kind"] = json!("DeviceCapabilitiesManifest");
        assert_eq!(AnyDeviceCapabilities::from_value(between).unwrap_err().pointer().as_str(), "/kind");

        // A pre-draft document that lacks what makes it one is not taken for a relay.
        let mut broken = pre_draft();
        broken["properties"]
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name != "roles" && name != "resources");
        let fault = AnyDeviceCapabilities::from_value(broken).unwrap_err();
        assert_eq!(fault.to_string(), "/properties: missing field `roles`");
    }

    #[test]
    fn a_known_revision_is_not_guessed() {
        let bytes = Bytes::from(pre_draft().to_string());
        let limits = Limits::default();
        let read = |revision| AnyDeviceCapabilities::decode_as(bytes.clone(), revision, &limits);
        assert_eq!(read(SpecVersion::PreDraft).unwrap().device_id().as_str(), "plc-7");
        assert_eq!(read(SpecVersion::PreDraft).unwrap().bytes(), &bytes);
        for revision in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2] {
            let error = read(revision).unwrap_err();
            assert!(error.message().contains(revision.as_str()), "{error}");
        }
    }

    /// X-D-36: what cannot be read at all, and what is merely wrong.
    #[test]
    fn malformed_and_wrong_are_told_apart() {
        let error = |text: &str| {
            AnyDeviceCapabilities::decode(text.to_owned().into(), &Limits::default()).unwrap_err()
        };
        assert!(error("{").is_malformed());
        assert!(error("[]").is_malformed());
        assert!(!error("{}").is_malformed());
        assert!(!error(r#"{"properties": {"id": ".."}}"#).is_malformed());
    }

    #[test]
    fn a_newer_revision_is_an_upgrade_and_the_own_one_changes_nothing() {
        let older = AnyDeviceCapabilities::from_value(pre_draft()).unwrap();
        assert_eq!(older.to_revision(SpecVersion::PreDraft), Ok(older.clone()));
        let newer = older.to_revision(SpecVersion::V1_0_0Rc3).unwrap();
        assert_eq!(newer, AnyDeviceCapabilities::Rc3(older.clone().upgrade().value));
        assert_eq!(newer.to_revision(SpecVersion::PreDraft), Ok(older.clone()));
        assert_eq!(older.to_revision(SpecVersion::V1_0_0Rc2).unwrap_err().revision, SpecVersion::V1_0_0Rc2);
    }
}
