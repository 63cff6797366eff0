use std::borrow::Borrow;

use bytes::Bytes;
use margo_core::{
    Detection, Deviation, DeviceId, Document, DowngradeError, Interpretation, Reading, SpecVersion,
    Strictness, Upgraded, deviations,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, SyntaxError};
use serde_json::Value;

use crate::detect::{detect, has_no_roles};
use crate::{DeviceCapabilitiesManifest, interpretation, pre_draft, rc1, rc2};

/// Device capabilities of any revision.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyDeviceCapabilities {
    /// As 1.0.0-rc.3 writes them.
    Rc3(DeviceCapabilitiesManifest),
    /// As 1.0.0-rc.2 writes them.
    Rc2(rc2::DeviceCapabilitiesManifest),
    /// As 1.0.0-rc.1 writes them.
    Rc1(rc1::DeviceCapabilitiesManifest),
    /// As the pre-draft writes them.
    PreDraft(pre_draft::DeviceCapabilities),
}

impl AnyDeviceCapabilities {
    /// How the contradictions of the specification are read here: one row for each place where a document may take
    /// the other side and is understood.
    pub const INTERPRETATIONS: &'static [Interpretation] = interpretation::INTERPRETATIONS;

    /// Reads capabilities as JSON; their shape tells their revision, never their label.
    ///
    /// Of several candidates (see [`detect`](Self::detect)) the likeliest that can be read is taken.
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
            let read = |value: Value| {
                let likeliest = detect(&value).revisions().next()?;
                Self::of_owned(value, likeliest)
            };
            margo_syntax::decode_or_explain(bytes, Format::Json, limits, read, Self::from_value)
        })
    }

    /// Reads capabilities as JSON that are known to follow `revision`, because the route they came by belongs to it.
    ///
    /// A peer of 1.0.0-rc.2 may send any of three shapes. The last of them has neither roles nor resources: it is that
    /// of 1.0.0-rc.3 and read as such, so that [`revision`](Self::revision) says `V1_0_0Rc3` (X-D-35).
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_core::SpecVersion;
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"properties": {"id": "relay-1", "vendor": "Acme", "modelNumber": "R", "serialNumber": "1"}}"#;
    /// let read = |revision| AnyDeviceCapabilities::decode_as(body.into(), revision, &Limits::default());
    /// assert_eq!(read(SpecVersion::V1_0_0Rc3)?.device_id().as_str(), "relay-1");
    /// assert!(read(SpecVersion::PreDraft).is_err());
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            let read = |value| Self::of_owned(value, revision);
            let explain = |value| Self::of_revision(&value, revision);
            margo_syntax::decode_or_explain(bytes, Format::Json, limits, read, explain)
        })
    }

    /// Reads capabilities as JSON as strictly as wanted, and tells what was accepted. Where no revision is given, the
    /// likeliest that can be read is taken. Strictly, what [`check`](Self::check) finds is refused too.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_core::Strictness;
    /// use margo_syntax::Limits;
    ///
    /// let body = r#"{"kind": "G", "labels": {}, "properties": {"id": "g", "vendor": "A", "modelNumber": "G", "serialNumber": "1"}}"#;
    /// let read = |strictness| AnyDeviceCapabilities::read(body.into(), None, strictness, &Limits::default());
    /// let reading = read(Strictness::Lenient)?;
    /// assert_eq!(reading.deviations[0].contradiction, "X-D-20");
    /// assert!(read(Strictness::Strict).unwrap_err().message().ends_with("(X-D-20)"));
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode), and what is too far off for this strictness.
    pub fn read(
        bytes: Bytes,
        revision: Option<SpecVersion>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Reading<Document<Self>>, DecodeError> {
        let mut found = Vec::new();
        let document = Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, |value| {
                let Reading { value, deviations, .. } = Self::read_value(value, revision, strictness)?;
                found = deviations;
                Ok(value)
            })
        })?;
        Ok(Reading::new(document, found))
    }

    /// As [`read`](Self::read), from a tree such as that of a file.
    ///
    /// # Errors
    ///
    /// A tree that is not capabilities, and what is too far off for this strictness; with the place.
    pub fn read_value(
        value: impl Borrow<Value>,
        revision: Option<SpecVersion>,
        strictness: Strictness,
    ) -> Result<Reading<Self>, Fault> {
        let read = |value: &Value, revision| {
            let deviations = Self::deviations(value, revision);
            let capabilities = Self::of_revision(value, revision)?;
            let fault = match strictness {
                Strictness::Strict => capabilities.check().into_iter().next(),
                Strictness::Lenient => None,
            };
            let reading = Reading::judge(capabilities, deviations, strictness);
            let reading = reading.map_err(|deviation| refused(&deviation))?;
            fault.map_or(Ok(reading), Err)
        };
        match revision {
            Some(revision) => read(value.borrow(), revision),
            None => among(value.borrow(), read),
        }
    }

    /// Reads capabilities from a tree, such as that of a file; their shape tells their revision.
    ///
    /// # Errors
    ///
    /// A tree that is not capabilities, with the place.
    pub fn from_value(value: impl Borrow<Value>) -> Result<Self, Fault> {
        among(value.borrow(), Self::of_revision)
    }

    /// The revisions a document may be capabilities of, by its shape; none for a document of another kind.
    ///
    /// Looks at few members and reads nothing: a candidate may still turn out to be no capabilities.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_core::SpecVersion;
    /// use serde_json::json;
    ///
    /// let device = json!({"kind": "DeviceCapabilities", "properties": {"roles": [], "resources": {"cpus": []}}});
    /// let detection = AnyDeviceCapabilities::detect(&device);
    /// assert_eq!(detection.revision(), Some(SpecVersion::PreDraft));
    /// assert_eq!(detection.candidates[0].reasons, ["`resources.cpus` is there"]);
    /// ```
    #[must_use]
    pub fn detect(document: &Value) -> Detection {
        detect(document)
    }

    /// As [`detect`](Self::detect), for text.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_syntax::{Format, Limits};
    ///
    /// let detection = AnyDeviceCapabilities::detect_bytes(b"deploymentId: 7", Format::Yaml, &Limits::default())?;
    /// assert!(detection.is_none());
    /// # Ok::<(), margo_syntax::SyntaxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Text that cannot be read, or that exceeds `limits`.
    pub fn detect_bytes(bytes: &[u8], format: Format, limits: &Limits) -> Result<Detection, SyntaxError> {
        Ok(detect(&margo_syntax::parse(bytes, format, limits)?.to_value()))
    }

    /// Every place where `document`, read as `revision`, is written in another way than we would write it, and was
    /// understood all the same; see [`INTERPRETATIONS`](Self::INTERPRETATIONS).
    ///
    /// A document of 1.0.0-rc.2 with the shape of 1.0.0-rc.3 is looked at as one of these, but for the `apiVersion` and
    /// the `kind` that its label wants.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_core::{Level, SpecVersion};
    /// use serde_json::json;
    ///
    /// let device = json!({"properties": {"supportedDeploymentTypes": ["compose"], "memory": "59 Gi", "cpus": []}});
    /// let deviations = AnyDeviceCapabilities::deviations(&device, SpecVersion::V1_0_0Rc3);
    /// assert_eq!((deviations[0].contradiction, deviations[0].level), ("X-D-07", Level::L2));
    /// ```
    #[must_use]
    pub fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        if revision == SpecVersion::V1_0_0Rc2 && has_no_roles(document) {
            let mut found = deviations(Self::INTERPRETATIONS, SpecVersion::V1_0_0Rc3, document);
            found.retain(|deviation| deviation.contradiction != "X-D-20");
            return found;
        }
        deviations(Self::INTERPRETATIONS, revision, document)
    }

    /// The revision they follow.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::Rc2(_) => SpecVersion::V1_0_0Rc2,
            Self::Rc1(_) => SpecVersion::V1_0_0Rc1,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        match self {
            Self::Rc3(capabilities) => &capabilities.properties.id,
            Self::Rc2(capabilities) => &capabilities.properties.id,
            Self::Rc1(capabilities) => &capabilities.properties.id,
            Self::PreDraft(capabilities) => &capabilities.properties.id,
        }
    }

    /// What their shape cannot say, and what a manager refuses: see [`DeviceCapabilitiesManifest::check`] and those of
    /// the older revisions.
    ///
    /// ```
    /// use margo_capability::{AnyDeviceCapabilities, DeploymentType, DeviceCapabilitiesManifest, Properties};
    ///
    /// let mut plc = Properties::new("plc-7".parse()?, "Acme", "PLC 9000", "SN-1");
    /// plc.supported_deployment_types = Some(vec![DeploymentType::Compose]);
    /// let capabilities = AnyDeviceCapabilities::from(DeviceCapabilitiesManifest::new(plc));
    /// // A device that hosts has to tell what it hosts with (R-D-023).
    /// assert_eq!(
    ///     capabilities.check()[0].to_string(),
    ///     "/properties/memory: missing: a device with deployment types must tell it"
    /// );
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(capabilities) => capabilities.check(),
            Self::Rc2(capabilities) => capabilities.check(),
            Self::Rc1(capabilities) => capabilities.check(),
            Self::PreDraft(capabilities) => capabilities.check(),
        }
    }

    /// The same capabilities in the newest revision.
    ///
    /// ```
    /// use margo_capability::{AnyDeviceCapabilities, DeploymentType};
    /// use serde_json::json;
    ///
    /// let older = AnyDeviceCapabilities::from_value(json!({
    ///     "apiVersion": "device.margo/v1", "kind": "DeviceCapabilities",
    ///     "properties": {
    ///         "id": "plc-7", "vendor": "Acme", "modelNumber": "PLC 9000", "serialNumber": "SN-1",
    ///         "roles": ["Standalone Device"],
    ///         "resources": { "memory": 8, "storage": 64,
    ///                        "cpus": [{ "architecture": "Intel x64", "cores": 4, "frequency": 1.8 }] },
    ///         "peripherals": [], "interfaces": [],
    ///     },
    /// }))?;
    /// let upgraded = older.upgrade();
    /// let device = &upgraded.value.properties;
    /// assert_eq!(device.supported_deployment_types.as_deref(), Some(&[DeploymentType::Compose][..]));
    /// // What there is no place for is told with its place.
    /// assert!(upgraded.losses.iter().any(|loss| loss.pointer == "/properties/resources/cpus/0/frequency"));
    /// # Ok::<(), margo_syntax::Fault>(())
    /// ```
    #[must_use]
    pub fn upgrade(self) -> Upgraded<DeviceCapabilitiesManifest> {
        match self {
            Self::Rc3(capabilities) => Upgraded::lossless(capabilities),
            Self::Rc2(capabilities) => capabilities.upgrade(),
            Self::Rc1(capabilities) => capabilities.upgrade(),
            Self::PreDraft(capabilities) => capabilities.upgrade(),
        }
    }

    /// The same capabilities in `revision`: unchanged in their own, upgraded in a newer one, and in an older one only if
    /// it can say all of them.
    ///
    /// What an upgrade loses is not told here; see [`convert`](Self::convert).
    ///
    /// # Errors
    ///
    /// What `revision` cannot say.
    pub fn to_revision(&self, revision: SpecVersion) -> Result<Self, DowngradeError> {
        if revision == self.revision() {
            return Ok(self.clone());
        }
        let newest = self.clone().upgrade().value;
        match revision {
            SpecVersion::V1_0_0Rc3 => Ok(Self::Rc3(newest)),
            SpecVersion::V1_0_0Rc2 => rc2::DeviceCapabilitiesManifest::try_from(&newest).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => rc1::DeviceCapabilitiesManifest::try_from(&newest).map(Self::Rc1),
            SpecVersion::PreDraft => pre_draft::DeviceCapabilities::try_from(&newest).map(Self::PreDraft),
            _ => Err(DowngradeError::new(revision, "", "capabilities of it cannot be written yet")),
        }
    }

    /// The same capabilities in `revision`, as far as it can say them, and what is lost on the way.
    ///
    /// The way leads through the newest revision. What a document of an older one loses on the first half stands at its
    /// place in that document; what is lost on the second half stands at its place in the newest one.
    ///
    /// ```
    /// use margo_capability::{AnyDeviceCapabilities, DeviceCapabilitiesManifest, Properties};
    /// use margo_core::SpecVersion;
    ///
    /// let mut gateway =
    ///     DeviceCapabilitiesManifest::new(Properties::new("gateway-1".parse()?, "Acme", "G2", "SN-1"));
    /// gateway.labels.insert("acme.example/hall".into(), "north".into());
    /// let gateway = AnyDeviceCapabilities::from(gateway);
    /// assert!(gateway.to_revision(SpecVersion::V1_0_0Rc2).is_err());
    /// let older = gateway.convert(SpecVersion::V1_0_0Rc2)?;
    /// assert_eq!(older.losses[0].to_string(), "/labels: there are no labels");
    /// assert!(String::from_utf8(older.value.to_json())?.contains(r#""roles":["Gateway"]"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `revision` asks for and the document does not tell, and what it can neither say nor leave out.
    pub fn convert(&self, revision: SpecVersion) -> Result<Upgraded<Self>, DowngradeError> {
        if revision == self.revision() {
            return Ok(Upgraded::lossless(self.clone()));
        }
        let Upgraded { value: newest, mut losses, .. } = self.clone().upgrade();
        let (value, more) = match revision {
            SpecVersion::V1_0_0Rc3 => (Self::Rc3(newest), Vec::new()),
            SpecVersion::V1_0_0Rc2 => {
                let converted = rc2::DeviceCapabilitiesManifest::downgrade(&newest)?;
                (Self::Rc2(converted.value), converted.losses)
            }
            SpecVersion::V1_0_0Rc1 => {
                let converted = rc1::DeviceCapabilitiesManifest::downgrade(&newest)?;
                (Self::Rc1(converted.value), converted.losses)
            }
            SpecVersion::PreDraft => {
                let converted = pre_draft::DeviceCapabilities::downgrade(&newest)?;
                (Self::PreDraft(converted.value), converted.losses)
            }
            _ => return Err(DowngradeError::new(revision, "", "capabilities of it cannot be written yet")),
        };
        losses.extend(more);
        Ok(Upgraded::new(value, losses))
    }

    /// The document as JSON, in its own revision: equal capabilities are equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let written = match self {
            Self::Rc3(capabilities) => serde_json::to_value(capabilities),
            Self::Rc2(capabilities) => serde_json::to_value(capabilities),
            Self::Rc1(capabilities) => serde_json::to_value(capabilities),
            Self::PreDraft(capabilities) => serde_json::to_value(capabilities),
        };
        // Names are text and numbers that JSON lacks are written as null, so there is nothing to fail. Through a
        // tree, because its members are sorted and its text cannot fail at all.
        written.unwrap_or_default().to_string().into_bytes()
    }

    /// Reads capabilities known to follow `revision` from a tree, such as that of a file.
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, with the place, and a `revision` this library does not read.
    pub fn of_revision(value: &Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc2 if has_no_roles(value) => margo_syntax::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc3 => margo_syntax::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => margo_syntax::from_value(value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => margo_syntax::from_value(value).map(Self::Rc1),
            SpecVersion::PreDraft => margo_syntax::from_value(value).map(Self::PreDraft),
            _ => Err(Fault::new(Pointer::root(), format!("capabilities of {revision} cannot be read yet"))),
        }
    }

    /// As [`of_revision`](Self::of_revision), where the tree is not needed again: its texts become those of the document.
    fn of_owned(value: Value, revision: SpecVersion) -> Option<Self> {
        let read = match revision {
            SpecVersion::V1_0_0Rc2 if has_no_roles(&value) => serde_json::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc3 => serde_json::from_value(value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => serde_json::from_value(value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => serde_json::from_value(value).map(Self::Rc1),
            SpecVersion::PreDraft => serde_json::from_value(value).map(Self::PreDraft),
            _ => return None,
        };
        read.ok()
    }
}

/// What `read` makes of the likeliest candidate it can read. If it can read none, what is wrong with the likeliest.
fn among<T>(value: &Value, read: impl Fn(&Value, SpecVersion) -> Result<T, Fault>) -> Result<T, Fault> {
    let detection = detect(value);
    let mut candidates = detection.revisions();
    // A document that looks like no capabilities at all is told what the newest revision misses.
    let likeliest = candidates.next().unwrap_or(SpecVersion::LATEST);
    read(value, likeliest).or_else(|fault| candidates.find_map(|other| read(value, other).ok()).ok_or(fault))
}

/// A deviation that was not accepted.
fn refused(deviation: &Deviation) -> Fault {
    let place = deviation.pointer.parse().unwrap_or_default();
    Fault::new(place, format!("{} ({})", deviation.message, deviation.contradiction))
}

impl From<DeviceCapabilitiesManifest> for AnyDeviceCapabilities {
    fn from(capabilities: DeviceCapabilitiesManifest) -> Self {
        Self::Rc3(capabilities)
    }
}

impl From<rc2::DeviceCapabilitiesManifest> for AnyDeviceCapabilities {
    fn from(capabilities: rc2::DeviceCapabilitiesManifest) -> Self {
        Self::Rc2(capabilities)
    }
}

impl From<rc1::DeviceCapabilitiesManifest> for AnyDeviceCapabilities {
    fn from(capabilities: rc1::DeviceCapabilitiesManifest) -> Self {
        Self::Rc1(capabilities)
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
        // The weeks before 1.0.0-rc.1 had the same kind (X-B-33), and amounts as text.
        let place = |revision| read(revision).unwrap_err().pointer().to_string();
        assert_eq!(place(SpecVersion::V1_0_0Rc1), "/properties/resources/memory");
        assert_eq!(place(SpecVersion::V1_0_0Rc2), "/kind");
        assert_eq!(read(SpecVersion::V1_0_0Rc3).unwrap().revision(), SpecVersion::V1_0_0Rc3);
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
        // R-C-016: every device has a processor, and the pre-draft's document tells none.
        let error = older.to_revision(SpecVersion::V1_0_0Rc2).unwrap_err();
        assert_eq!((error.pointer.as_str(), error.revision), ("/properties/cpus", SpecVersion::V1_0_0Rc2));
    }

    fn rc2() -> Value {
        json!({
            "apiVersion": "device.margo.org/v1alpha1",
            "kind": "DeviceCapabilitiesManifest",
            "properties": {
                "id": "plc-7", "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
                "roles": ["Standalone Device"],
                "resources": {
                    "cpu": {"cores": 4, "architecture": "arm64"}, "memory": "8Gi", "storage": "64Gi",
                    "peripherals": [], "interfaces": [{"type": "ethernet"}],
                },
            },
        })
    }

    /// Every pair, through the newest.
    #[test]
    fn every_revision_is_written_as_every_other() {
        let newest = AnyDeviceCapabilities::from_value(rc2()).unwrap();
        for from in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3] {
            let capabilities = newest.to_revision(from).unwrap();
            assert_eq!(capabilities.revision(), from);
            assert_eq!((capabilities.device_id().as_str(), capabilities.check()), ("plc-7", vec![]));
            for to in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3] {
                let converted = capabilities.convert(to).unwrap();
                assert_eq!((converted.value.revision(), converted.losses), (to, vec![]));
                assert_eq!(capabilities.to_revision(to).unwrap(), converted.value);
                assert_eq!(converted.value.to_revision(from).unwrap(), capabilities);
            }
            // A processor has a frequency there.
            let error = capabilities.convert(SpecVersion::PreDraft).unwrap_err();
            assert_eq!(error.pointer, "/properties/cpus/0");
        }
    }

    /// What is lost on both halves of the way is told.
    #[test]
    fn a_conversion_tells_what_is_lost() {
        let mut leader = rc2();
        leader["properties"]["roles"] = json!(["Gateway", "Cluster Leader"]);
        let leader = AnyDeviceCapabilities::from_value(leader).unwrap();
        let lost = leader.convert(SpecVersion::V1_0_0Rc1).unwrap().losses;
        let lost: Vec<_> = lost.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(lost, ["/properties/roles/0", "/properties/roles/1"]);

        let mut labelled = AnyDeviceCapabilities::from_value(rc2()).unwrap().upgrade().value;
        labelled.labels.insert("hall".into(), true.into());
        let labelled = AnyDeviceCapabilities::from(labelled);
        assert_eq!(labelled.convert(SpecVersion::V1_0_0Rc1).unwrap().losses[0].pointer, "/labels");
        assert_eq!(labelled.to_revision(SpecVersion::V1_0_0Rc1).unwrap_err().pointer, "/labels");
    }

    /// X-D-35: the files that were labelled 1.0.0-rc.2 in the summer of 2026.
    #[test]
    fn the_last_shape_called_rc2_is_read_as_that_of_rc3() {
        let summer = json!({
            "apiVersion": "device.margo.org/v1alpha1",
            "kind": "DeviceCapabilitiesManifest",
            "properties": {
                "id": "plc-7", "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
                "cpus": [{"cores": 4}], "memory": "8 Gi", "storage": "64Gi", "peripherals": [], "interfaces": [],
                "otelCollector": true, "supportedRuntimes": ["oci"], "supportedDeploymentTypes": ["helm"],
            },
        });
        let read = |revision, strictness| {
            let bytes = Bytes::from(summer.to_string());
            AnyDeviceCapabilities::read(bytes, revision, strictness, &Limits::default())
        };
        for revision in [None, Some(SpecVersion::V1_0_0Rc2)] {
            let reading = read(revision, Strictness::Strict).unwrap();
            assert_eq!(reading.value.revision(), SpecVersion::V1_0_0Rc3);
            let found: Vec<_> = reading.deviations.iter().map(|d| d.contradiction).collect();
            assert_eq!(found, ["X-D-07"]);
        }
        let error = read(Some(SpecVersion::V1_0_0Rc3), Strictness::Strict).unwrap_err();
        assert!(error.message().ends_with("(X-D-20)"), "{error}");
    }

    /// L3 is refused when reading strictly and told otherwise; so is a fault.
    #[test]
    fn strictness_is_a_parameter_of_reading() {
        let mut worker = pre_draft();
        worker["properties"]["roles"] = json!(["Cluster Worker"]);
        let reading = AnyDeviceCapabilities::read_value(worker.clone(), None, Strictness::Lenient).unwrap();
        assert_eq!(reading.value.check(), []);
        assert_eq!(reading.warnings().next().unwrap().contradiction, "X-A-09");
        let fault = AnyDeviceCapabilities::read_value(worker, None, Strictness::Strict).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "/properties/roles/0: `Cluster Worker` is none of the three roles (X-A-09)"
        );

        let mut unknown = rc2();
        unknown["properties"]["roles"] = json!(["Non existing role"]);
        assert!(AnyDeviceCapabilities::read_value(unknown.clone(), None, Strictness::Lenient).is_ok());
        let fault = AnyDeviceCapabilities::read_value(unknown, None, Strictness::Strict).unwrap_err();
        assert_eq!(fault.message(), "`Non existing role` is not a role");
    }
}
