use bytes::Bytes;
use margo_core::{
    ApplicationId, Detection, Deviation, Document, DowngradeError, Interpretation, Reading, SpecVersion,
    Strictness, Upgraded, deviations,
};
use margo_deployment::__private::refused;
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, SyntaxError, Tree, WriteError};
use serde_json::Value;

use crate::{ApplicationDescription, interpretation, pre_draft, rc1, rc2};

/// An application description of whichever revision.
///
/// The revision is told by the shape of the document, never by a label; see [`detect`](Self::detect).
///
/// ```
/// use margo_application::AnyApplicationDescription;
/// use margo_core::SpecVersion;
/// use margo_syntax::Limits;
///
/// let text = "
/// apiVersion: margo.org/v1-alpha1
/// kind: application
/// metadata: { id: hello, name: Hello, version: 1.0, catalog: { organization: [{ name: Acme }] } }
/// deploymentProfiles:
///   - type: helm.v3
///     components:
///       - name: hello
///         properties: { repository: 'oci://registry.example/hello', revision: 1.0.1 }
/// ";
/// let description = AnyApplicationDescription::decode(text.into(), &Limits::default())?;
/// assert_eq!(description.revision(), SpecVersion::PreDraft);
/// assert_eq!((description.id().as_str(), description.version()), ("hello", "1.0"));
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnyApplicationDescription {
    /// 1.0.0-rc.3.
    Rc3(ApplicationDescription),
    /// 1.0.0-rc.2.
    Rc2(rc2::ApplicationDescription),
    /// 1.0.0-rc.1.
    Rc1(rc1::ApplicationDescription),
    /// The pre-draft.
    PreDraft(pre_draft::ApplicationDescription),
}

impl AnyApplicationDescription {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] = interpretation::DESCRIPTION;

    /// Reads a description of whichever revision: the likeliest where its shape fits several.
    ///
    /// # Errors
    ///
    /// A document of no known shape, or what the revision's own reading finds:
    /// [`ApplicationDescription::parse`], [`rc2::ApplicationDescription::parse`],
    /// [`rc1::ApplicationDescription::parse`], [`pre_draft::ApplicationDescription::parse`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_with_tree(bytes, Format::Yaml, limits, |tree, value| {
            let revision = shape(&value)?;
            Self::from_tree(tree, value, revision)
        })
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// ```
    /// use margo_application::AnyApplicationDescription;
    /// use margo_core::SpecVersion;
    /// use margo_syntax::Limits;
    ///
    /// let text = "
    /// apiVersion: margo.org/v1-alpha1
    /// kind: ApplicationDescription
    /// metadata: { id: pump-monitor, name: Pump monitor, version: '1.0', catalog: { organization: [{ name: Acme }] } }
    /// deploymentProfiles:
    ///   - type: helm.v3
    ///     components:
    ///       - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
    /// ";
    /// let description = AnyApplicationDescription::decode(text.into(), &Limits::default())?;
    /// assert_eq!(description.revision(), SpecVersion::PreDraft);
    /// assert_eq!(description.bytes(), text.as_bytes());
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// Reads a description that is known to follow `revision`.
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, and a `revision` this library does not read.
    pub fn decode_as(
        bytes: Bytes,
        revision: SpecVersion,
        limits: &Limits,
    ) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| {
            margo_syntax::decode_with_tree(bytes, Format::Yaml, limits, |tree, value| {
                Self::from_tree(tree, value, revision)
            })
        })
    }

    /// Reads a description as strictly as wanted, telling what was accepted. Where no revision is given, the
    /// likeliest is taken. Strictly, what [`check`](Self::check) finds is refused too.
    ///
    /// ```
    /// use margo_application::AnyApplicationDescription;
    /// use margo_core::Strictness;
    /// use margo_syntax::Limits;
    ///
    /// let text = "
    /// apiVersion: v1
    /// id: hello
    /// metadata: { name: Hello, version: 1.0, catalog: { organization: [{ name: Acme }] } }
    /// deploymentProfiles:
    ///   - type: helm
    ///     id: cluster
    ///     components: [{ name: hello, properties: { repository: 'oci://registry.example/hello', revision: 1.0.1 } }]
    ///     requiredResources: { memory: 1Gi }
    /// ";
    /// let read = |strictness| AnyApplicationDescription::read(text.into(), None, strictness, &Limits::default());
    /// let reading = read(Strictness::Lenient)?;
    /// let found: Vec<_> = reading.warnings().map(|deviation| deviation.contradiction).collect();
    /// assert_eq!(found, ["X-A-22", "X-D-19"]);
    /// assert_eq!(read(Strictness::Strict).unwrap_err().pointer().as_str(), "/deploymentProfiles/0/requiredResources");
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) and [`decode_as`](Self::decode_as), and what is too far off for this
    /// strictness.
    pub fn read(
        bytes: Bytes,
        revision: Option<SpecVersion>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Reading<Document<Self>>, DecodeError> {
        let mut found = Vec::new();
        let document = Document::decode(bytes, |bytes| {
            margo_syntax::decode_with_tree(bytes, Format::Yaml, limits, |tree, value| {
                let revision = revision.map_or_else(|| shape(&value), Ok)?;
                found = Self::deviations(&value, revision);
                let description = Self::from_tree(tree, value, revision)?;
                refused(&found, strictness)?;
                match description.check().into_iter().next() {
                    Some(fault) if strictness == Strictness::Strict => Err(fault),
                    _ => Ok(description),
                }
            })
        })?;
        Ok(Reading::new(document, found))
    }

    /// Which revisions a document may be a description of, by its shape; none if it is no description.
    ///
    /// ```
    /// use margo_application::AnyApplicationDescription;
    /// use margo_core::SpecVersion;
    /// use serde_json::json;
    ///
    /// let description = json!({ "id": "hello", "metadata": {}, "deploymentProfiles": [] });
    /// let detection = AnyApplicationDescription::detect(&description);
    /// assert_eq!(detection.revision(), Some(SpecVersion::V1_0_0Rc3));
    /// assert!(AnyApplicationDescription::detect(&json!({ "id": "hello" })).is_none());
    /// ```
    #[must_use]
    pub fn detect(value: &Value) -> Detection {
        let Some(profiles) = value.get("deploymentProfiles").and_then(Value::as_array) else {
            return Detection::none();
        };
        let any_has = |member: &str| profiles.iter().any(|profile| profile.get(member).is_some());
        let any_is = |words: &[&str]| {
            let types = profiles.iter().filter_map(|profile| profile.get("type")?.as_str());
            types.into_iter().any(|word| words.contains(&word))
        };
        if value.get("id").is_some() {
            let is_newest = any_has("deviceConstraints") || any_is(&["custom"]);
            return match (value.get("kind").is_some(), is_newest) {
                (true, true) => Detection::none().with(
                    SpecVersion::V1_0_0Rc3,
                    ["`deviceConstraints` or `custom` is there, whatever `kind` says"],
                ),
                (true, false) if any_is(&["helm.v3"]) => Detection::none()
                    .with(SpecVersion::V1_0_0Rc2, ["`id` is at the top", "`kind` is there"])
                    .with(SpecVersion::V1_0_0Rc1, ["`helm.v3` with an `id` at the top: May 2026"]),
                (true, false) => {
                    Detection::none().with(SpecVersion::V1_0_0Rc2, ["`id` is at the top", "`kind` is there"])
                }
                (false, false) if any_has("requiredResources") => Detection::none()
                    .with(SpecVersion::V1_0_0Rc3, ["`id` is at the top", "there is no `kind`"])
                    .with(SpecVersion::V1_0_0Rc2, ["`requiredResources` is there"]),
                (false, _) => Detection::none()
                    .with(SpecVersion::V1_0_0Rc3, ["`id` is at the top", "there is no `kind`"]),
            };
        }
        if value.pointer("/metadata/id").is_none() {
            return Detection::none();
        }
        let place = "`metadata.id` is there";
        if any_has("deviceConstraints") || any_is(&["custom"]) {
            // Older revisions would read over what it asks of a device (X-D-20).
            let why = "`deviceConstraints` or `custom` is there, whatever `metadata.id` says";
            return Detection::none().with(SpecVersion::V1_0_0Rc3, [why]);
        }
        if any_is(&["docker-compose"]) {
            Detection::none().with(SpecVersion::PreDraft, [place, "`docker-compose` is the pre-draft's word"])
        } else if any_has("id") || any_has("requiredResources") || any_is(&["helm", "compose"]) {
            Detection::none().with(
                SpecVersion::V1_0_0Rc1,
                [place, "profiles have ids, or types the pre-draft does not name"],
            )
        } else {
            Detection::none().with(SpecVersion::PreDraft, [place, "profiles have no ids"])
        }
    }

    /// As [`detect`](Self::detect), for text.
    ///
    /// # Errors
    ///
    /// Text that cannot be read, or that exceeds `limits`.
    pub fn detect_bytes(bytes: &[u8], format: Format, limits: &Limits) -> Result<Detection, SyntaxError> {
        Ok(Self::detect(&margo_syntax::parse(bytes, format, limits)?.to_value()))
    }

    /// Every place where `document`, read as `revision`, is written in another way than we would write it, and was
    /// understood all the same; see [`INTERPRETATIONS`](Self::INTERPRETATIONS).
    #[must_use]
    pub fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        deviations(Self::INTERPRETATIONS, revision, document)
    }

    /// The application, wherever the revision puts its id.
    #[must_use]
    pub fn id(&self) -> &ApplicationId {
        match self {
            Self::Rc3(description) => &description.id,
            Self::Rc2(description) => &description.id,
            Self::Rc1(description) => &description.metadata.id,
            Self::PreDraft(description) => &description.metadata.id,
        }
    }

    /// The version of the application.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Rc3(description) => &description.metadata.version,
            Self::Rc2(description) => &description.metadata.version,
            Self::Rc1(description) => &description.metadata.version,
            Self::PreDraft(description) => &description.metadata.version,
        }
    }

    /// The revision whose shape the document has.
    #[must_use]
    pub fn revision(&self) -> SpecVersion {
        match self {
            Self::Rc3(_) => SpecVersion::V1_0_0Rc3,
            Self::Rc2(_) => SpecVersion::V1_0_0Rc2,
            Self::Rc1(_) => SpecVersion::V1_0_0Rc1,
            Self::PreDraft(_) => SpecVersion::PreDraft,
        }
    }

    /// What its revision does not allow in one place and reading lets pass. Whether the places fit together is
    /// [`check_description`](crate::check_description).
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        match self {
            Self::Rc3(description) => description.check(),
            Self::Rc2(description) => description.check(),
            Self::Rc1(description) => description.check(),
            Self::PreDraft(description) => description.check(),
        }
    }

    /// The description in the newest revision's words.
    ///
    /// What an older document says is kept even where 1.0.0-rc.3 takes it from nobody, such as a chart outside a registry or
    /// a revision that is free text (X-D-23): a device can work with it. Who wants a document of 1.0.0-rc.3 asks
    /// [`convert`](Self::convert).
    #[must_use]
    pub fn upgrade(self) -> Upgraded<ApplicationDescription> {
        match self {
            Self::Rc3(description) => Upgraded::lossless(description),
            Self::Rc2(description) => description.upgrade(),
            Self::Rc1(description) => description.upgrade(),
            Self::PreDraft(description) => description.upgrade(),
        }
    }

    /// The description in the words of `revision`, for who does not ask what is lost; see
    /// [`convert`](Self::convert).
    ///
    /// # Errors
    ///
    /// What `revision` cannot say and cannot leave out.
    pub fn to_revision(&self, revision: SpecVersion) -> Result<Self, DowngradeError> {
        self.convert(revision).map(|converted| converted.value)
    }

    /// The description in the words of `revision`, whether older or newer, and what is lost on the way.
    ///
    /// The way leads through the newest revision. What a document of an older one loses on the first half stands
    /// at its place in that document; what is lost on the second half stands at its place in the newest one.
    ///
    /// ```
    /// use margo_application::AnyApplicationDescription;
    /// use margo_core::SpecVersion;
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
    /// let newest = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default())?;
    /// // 1.0.0-rc.1 has no profiles of a supplier's own.
    /// let error = newest.convert(SpecVersion::V1_0_0Rc1).unwrap_err();
    /// assert_eq!(error.pointer, "/deploymentProfiles/1/type");
    ///
    /// // An extension can be left out, and is told.
    /// let text = text.replace("type: custom", "type: helm").replace("id: pump-monitor", "id: pump-monitor\nx-acme-extensions: {}");
    /// let newest = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default())?;
    /// let older = newest.convert(SpecVersion::V1_0_0Rc1)?;
    /// assert_eq!(older.losses[0].pointer, "/x-acme-extensions");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `revision` cannot say and cannot leave out. 1.0.0-rc.3 is one of them: it takes a chart only from a registry,
    /// by a semantic version, where older ones have any URL and free text (X-D-23).
    pub fn convert(&self, revision: SpecVersion) -> Result<Upgraded<Self>, DowngradeError> {
        if revision == self.revision() {
            return Ok(Upgraded::lossless(self.clone()));
        }
        let Upgraded { value, mut losses, .. } = self.clone().upgrade();
        let (value, more) = match revision {
            SpecVersion::V1_0_0Rc3 => {
                if let Some(fault) = value.refusal() {
                    return Err(DowngradeError::new(revision, fault.pointer().as_str(), fault.message()));
                }
                (Self::Rc3(value), Vec::new())
            }
            SpecVersion::V1_0_0Rc2 => {
                let Upgraded { value, losses, .. } = rc2::ApplicationDescription::downgrade(&value)?;
                (Self::Rc2(value), losses)
            }
            SpecVersion::V1_0_0Rc1 => {
                let Upgraded { value, losses, .. } = rc1::ApplicationDescription::downgrade(&value)?;
                (Self::Rc1(value), losses)
            }
            SpecVersion::PreDraft => {
                let Upgraded { value, losses, .. } = pre_draft::ApplicationDescription::downgrade(&value)?;
                (Self::PreDraft(value), losses)
            }
            _ => return Err(DowngradeError::new(revision, "", "descriptions of it cannot be written yet")),
        };
        losses.extend(more);
        Ok(Upgraded::new(value, losses))
    }

    /// The description as YAML, in its own revision.
    ///
    /// # Errors
    ///
    /// A value YAML cannot express; none of those that reading produces.
    pub fn to_yaml(&self) -> Result<String, WriteError> {
        match self {
            Self::Rc3(description) => description.to_yaml(),
            Self::Rc2(description) => description.to_yaml(),
            Self::Rc1(description) => description.to_yaml(),
            Self::PreDraft(description) => description.to_yaml(),
        }
    }

    /// Reads a description that is known to follow `revision` from its text and the tree's value.
    ///
    /// # Errors
    ///
    /// What the revision's own reading finds, with the place, and a `revision` this library does not read.
    pub fn from_tree(tree: &Tree, value: Value, revision: SpecVersion) -> Result<Self, Fault> {
        match revision {
            SpecVersion::V1_0_0Rc3 => ApplicationDescription::from_tree(tree, value).map(Self::Rc3),
            SpecVersion::V1_0_0Rc2 => rc2::ApplicationDescription::from_tree(tree, value).map(Self::Rc2),
            SpecVersion::V1_0_0Rc1 => rc1::ApplicationDescription::from_tree(tree, value).map(Self::Rc1),
            SpecVersion::PreDraft => {
                pre_draft::ApplicationDescription::from_tree(tree, value).map(Self::PreDraft)
            }
            _ => Err(Fault::new(Pointer::root(), format!("descriptions of {revision} cannot be read yet"))),
        }
    }
}

impl From<ApplicationDescription> for AnyApplicationDescription {
    fn from(description: ApplicationDescription) -> Self {
        Self::Rc3(description)
    }
}

impl From<rc2::ApplicationDescription> for AnyApplicationDescription {
    fn from(description: rc2::ApplicationDescription) -> Self {
        Self::Rc2(description)
    }
}

impl From<rc1::ApplicationDescription> for AnyApplicationDescription {
    fn from(description: rc1::ApplicationDescription) -> Self {
        Self::Rc1(description)
    }
}

impl From<pre_draft::ApplicationDescription> for AnyApplicationDescription {
    fn from(description: pre_draft::ApplicationDescription) -> Self {
        Self::PreDraft(description)
    }
}

/// The likeliest revision. What lacks profiles is told so by the reading of some revision.
fn shape(value: &Value) -> Result<SpecVersion, Fault> {
    if let Some(likeliest) = AnyApplicationDescription::detect(value).likeliest() {
        Ok(likeliest)
    } else if value.get("id").is_some() {
        let is_labeled = value.get("kind").is_some();
        Ok(if is_labeled { SpecVersion::V1_0_0Rc2 } else { SpecVersion::V1_0_0Rc3 })
    } else if value.pointer("/metadata/id").is_some() {
        Ok(SpecVersion::PreDraft)
    } else {
        let message = "expected a description, with `id` at the top (1.0.0-rc.2 and newer) \
                       or in `metadata` (1.0.0-rc.1 and older)";
        Err(Fault::new(Pointer::root(), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let error = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()).unwrap_err();
        (error.pointer().to_string(), error.message().to_owned())
    }

    const REST: &str = "name: A, version: 1.0.0, catalog: { organization: [{ name: Acme }] } }";

    const COMPONENT: &str = "{ name: a, properties: { repository: 'oci://r/a', revision: 1.0.0 } }";

    fn detected(text: &str) -> Vec<SpecVersion> {
        let tree = margo_syntax::parse(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
        AnyApplicationDescription::detect(&tree.to_value()).revisions().collect()
    }

    /// Revision C, section 5, for descriptions: each shape, and what it is read as.
    #[test]
    fn every_stage_is_told_by_its_shape() {
        use SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
        let of = |head: &str, profile: &str| {
            detected(&format!(
                "{{ {head}, deploymentProfiles: [{{ {profile}, components: [{COMPONENT}] }}] }}"
            ))
        };
        let inside = "kind: ApplicationDescription, metadata: { id: a }";
        assert_eq!(of("kind: application, metadata: { id: a }", "type: helm.v3"), [PreDraft]);
        assert_eq!(of(inside, "type: helm.v3"), [PreDraft]);
        assert_eq!(of(inside, "type: docker-compose, id: b"), [PreDraft]);
        assert_eq!(of(inside, "type: helm.v3, id: b"), [V1_0_0Rc1]);
        assert_eq!(of(inside, "type: compose"), [V1_0_0Rc1]);
        let top = "kind: ApplicationDescription, id: a";
        assert_eq!(of(top, "type: helm, id: b"), [V1_0_0Rc2]);
        assert_eq!(of(top, "type: helm.v3, id: b"), [V1_0_0Rc2, V1_0_0Rc1]);
        assert_eq!(of(top, "type: custom, id: b"), [V1_0_0Rc3]);
        assert_eq!(of(top, "type: helm, deviceConstraints: {}"), [V1_0_0Rc3]);
        assert_eq!(of("id: a", "type: helm, id: b"), [V1_0_0Rc3]);
        assert_eq!(of("id: a", "type: helm, requiredResources: {}"), [V1_0_0Rc3, V1_0_0Rc2]);
        assert_eq!(of("metadata: {}", "type: helm"), []);
        assert_eq!(detected("{ id: a, spec: { deploymentProfile: {} } }"), []);
    }

    /// X-D-20: lenient about `apiVersion` and `kind` beside what only the newest revision has, strict about the
    /// id itself.
    #[test]
    fn a_shape_decides_and_no_label_does() {
        let labeled = |profile: &str| {
            format!(
                "{{ apiVersion: margo.org/v1-alpha1, kind: ApplicationDescription, id: a, metadata: {{ {REST}, \
                 deploymentProfiles: [{{ {profile}, id: h, components: [{COMPONENT}] }}] }}"
            )
        };
        let revision = |profile: &str| {
            let text = labeled(profile);
            AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()).unwrap().revision()
        };
        assert_eq!(revision("type: helm"), SpecVersion::V1_0_0Rc2);
        assert_eq!(revision("type: helm, deviceConstraints: {}"), SpecVersion::V1_0_0Rc3);
        let strict = |profile: &str| {
            let bytes = labeled(profile).into();
            AnyApplicationDescription::read(bytes, None, Strictness::Strict, &Limits::default())
        };
        assert!(strict("type: helm").is_ok());
        let error = strict("type: helm, deviceConstraints: {}").unwrap_err();
        assert_eq!(
            (error.pointer().as_str(), error.message()),
            ("/kind", "there is no such member any more (X-D-20)")
        );

        let dotted =
            format!("{{ apiVersion: v1, kind: ApplicationDescription, metadata: {{ id: com.acme, {REST} }}");
        assert_eq!(refused(&dotted).0, "/metadata/id");
        assert!(refused("{ apiVersion: v1 }").1.starts_with("expected a description"));
        assert!(refused("[]").1.starts_with("expected a description"));
    }

    #[test]
    fn a_description_is_said_in_any_revision_that_can() {
        let text = format!(
            "{{ apiVersion: v1, id: a, metadata: {{ {REST}, \
             deploymentProfiles: [{{ type: helm, id: a-helm-0, components: [{COMPONENT}] }}] }}"
        );
        let newest = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()).unwrap();
        for from in SpecVersion::ALL {
            let older = newest.convert(from).unwrap();
            assert_eq!((older.value.revision(), older.losses.len()), (from, 0));
            assert_eq!((older.value.id(), older.value.version()), (newest.id(), newest.version()));
            let read = AnyApplicationDescription::decode_as(
                older.value.to_yaml().unwrap().into(),
                from,
                &Limits::default(),
            );
            assert_eq!(read.unwrap().value(), &older.value);
            for to in SpecVersion::ALL {
                let there = older.value.to_revision(to).unwrap();
                assert_eq!(there, newest.to_revision(to).unwrap(), "{from} to {to}");
            }
        }
    }

    /// X-D-38: profiles are closed; X-A-27: and a list.
    #[test]
    fn profiles_are_a_closed_list() {
        let profile = |profile: &str| {
            format!("{{ apiVersion: v1, id: a, metadata: {{ {REST}, deploymentProfiles: {profile} }}")
        };
        assert_eq!(refused(&profile("{ type: helm }")).0, "/deploymentProfiles");
        let with =
            |member: &str| format!("[{{ type: helm, id: h, {member}: {{}}, components: [{COMPONENT}] }}]");
        assert_eq!(refused(&profile(&with("replicas"))).0, "/deploymentProfiles/0/replicas");
        // X-D-19: what it says is read over.
        let old = profile(&with("requiredResources"));
        assert!(AnyApplicationDescription::parse(old.as_bytes(), &Limits::default()).is_ok());
        let tagged = with("x-a-extensions").replace("1.0.0", "v1.0.0");
        assert_eq!(refused(&profile(&tagged)).0, "/deploymentProfiles/0/components/0/properties/revision");
    }

    /// X-D-23: found by fuzzing. What is made for a peer of 1.0.0-rc.3 is what such a peer reads.
    #[test]
    fn free_text_for_a_revision_goes_anywhere_but_to_the_newest() {
        let component = COMPONENT.replace("1.0.0", "3.2/0");
        let text = format!(
            "{{ apiVersion: v1, kind: ApplicationDescription, metadata: {{ id: a, {REST}, deploymentProfiles: [{{ \
             type: helm, id: c, components: [{component}] }}] }}"
        );
        let older = AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()).unwrap();
        let error = older.convert(SpecVersion::V1_0_0Rc3).unwrap_err();
        assert_eq!(error.pointer, "/deploymentProfiles/0/components/0/properties/revision");
        let converted = older.convert(SpecVersion::PreDraft).unwrap();
        let text = converted.value.to_yaml().unwrap();
        assert_eq!(
            AnyApplicationDescription::parse(text.as_bytes(), &Limits::default()),
            Ok(converted.value)
        );
    }
}
