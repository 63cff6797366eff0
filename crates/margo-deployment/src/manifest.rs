use std::collections::BTreeSet;

use bytes::Bytes;
use margo_core::{
    ClientId, DeploymentId, Detection, Digest, Document, Extensions, Interpretation, ManifestVersion,
    Reading, SpecVersion, Strictness, deviations,
};
use margo_syntax::{DecodeError, Fault, Format, Limits, Pointer, SyntaxError, WriteError, pointer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::interpretation::{self, refused};

/// The media type of a state manifest.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.margo.manifest.v1+json";

/// The media type of a bundle: a gzipped tar archive (R-B-023).
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.margo.bundle.v1+tar+gzip";

/// The media type of one deployment.
pub const DEPLOYMENT_MEDIA_TYPE: &str = "application/yaml";

/// Everything a client is to run, by digest ([spec]): one manifest for each client, covering all its devices.
///
/// A deployment that is not listed is to be removed; nothing else means removal (R-B-031, R-B-032).
///
/// ```
/// use margo_core::ManifestVersion;
/// use margo_deployment::DesiredStateManifest;
/// use margo_syntax::Limits;
///
/// let nothing = DesiredStateManifest::new(ManifestVersion::FIRST, None, Vec::new());
/// let json = nothing.to_json()?;
/// assert_eq!(&json[..], br#"{"bundle":null,"deployments":[],"manifestVersion":1}"#);
/// assert_eq!(DesiredStateManifest::decode(json, &Limits::default())?.into_value(), nothing);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state#state-manifest
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::bundle_exactly_when_deployments))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DesiredStateManifest {
    /// Strictly grows for each client; guards against rollback (R-B-020, R-B-030). A whole number that is written
    /// with a fraction or an exponent is read while it is exact, and refused when reading strictly (X-B-36,
    /// X-D-31).
    #[serde(deserialize_with = "margo_core::lenient_manifest_version")]
    pub manifest_version: ManifestVersion,
    /// All deployments in one archive. Null exactly when there are no deployments, and never omitted (R-B-021).
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::bundle"))]
    pub bundle: Option<BundleRef>,
    /// What to run.
    pub deployments: Vec<DeploymentRef>,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DesiredStateManifest {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] = interpretation::MANIFEST;

    /// A manifest of `deployments`, all contained in `bundle`.
    #[must_use]
    pub fn new(
        manifest_version: ManifestVersion,
        bundle: Option<BundleRef>,
        deployments: Vec<DeploymentRef>,
    ) -> Self {
        Self { manifest_version, bundle, deployments, extensions: Extensions::new() }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The first place that is not JSON, does not have the form of the page, or breaks one of its rules: a
    /// digest of another algorithm invalidates the whole manifest (R-B-028); `bundle` must be present, and be
    /// `null` exactly when there are no deployments (R-B-021); its media type must be [`BUNDLE_MEDIA_TYPE`];
    /// every URL must end in its digest; and no deployment may be listed twice.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode_checked(bytes, Format::Json, limits, |manifest: &Self| {
            manifest.check().into_iter().next().map_or(Ok(()), Err)
        })
    }

    /// As [`parse`](Self::parse), keeping the bytes.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Document<Self>, DecodeError> {
        Document::decode(bytes, |bytes| Self::parse(bytes, limits))
    }

    /// As [`decode`](Self::decode), as strictly as wanted, telling what was accepted. Where no revision is given,
    /// the likeliest is taken.
    ///
    /// ```
    /// use margo_core::Strictness;
    /// use margo_deployment::DesiredStateManifest;
    /// use margo_syntax::Limits;
    ///
    /// // A version that is written with an exponent is understood, and refused where it has to be right.
    /// let body = r#"{"manifestVersion": 7e0, "bundle": null, "deployments": []}"#;
    /// let read = |strictness| DesiredStateManifest::read(body.into(), None, strictness, &Limits::default());
    /// let reading = read(Strictness::Lenient)?;
    /// assert_eq!(reading.value.manifest_version.get(), 7);
    /// assert_eq!(reading.deviations[0].contradiction, "X-D-31");
    /// assert!(read(Strictness::Strict).is_err());
    /// # Ok::<(), margo_syntax::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse), and what is too far off for this strictness.
    pub fn read(
        bytes: Bytes,
        revision: Option<SpecVersion>,
        strictness: Strictness,
        limits: &Limits,
    ) -> Result<Reading<Document<Self>>, DecodeError> {
        let mut found = Vec::new();
        let document = Document::decode(bytes, |bytes| {
            margo_syntax::decode_with(bytes, Format::Json, limits, |value| {
                let likeliest = || Self::detect(&value).likeliest();
                let revision = revision.or_else(likeliest).unwrap_or(SpecVersion::LATEST);
                found = deviations(Self::INTERPRETATIONS, revision, &value);
                let manifest = Self::from_value(value)?;
                refused(&found, strictness)?;
                Ok(manifest)
            })
        })?;
        Ok(Reading::new(document, found))
    }

    /// Which revisions a manifest may be of, by where its URLs lead; none if `value` is no manifest.
    ///
    /// ```
    /// use margo_core::SpecVersion;
    /// use margo_deployment::DesiredStateManifest;
    /// use serde_json::json;
    ///
    /// // Without anything to fetch there is no telling.
    /// let nothing = json!({ "manifestVersion": 1, "bundle": null, "deployments": [] });
    /// let detection = DesiredStateManifest::detect(&nothing);
    /// assert!(detection.is_ambiguous() && !detection.allows(SpecVersion::PreDraft));
    /// assert!(DesiredStateManifest::detect(&json!({ "manifestVersion": 1 })).is_none());
    /// ```
    #[must_use]
    pub fn detect(value: &Value) -> Detection {
        let Some(deployments) = value.get("deployments").and_then(Value::as_array) else {
            return Detection::none();
        };
        if value.get("manifestVersion").is_none() {
            return Detection::none();
        }
        let urls = deployments.iter().chain(value.get("bundle")).filter_map(|item| item.get("url")?.as_str());
        let paths: Vec<_> = urls.map(|url| url.find("/api/v1/").map_or(url, |at| &url[at..])).collect();
        if paths.iter().any(|path| path.starts_with("/api/v1/clients/")) {
            let reason = ["URLs begin with `/api/v1/clients/`"];
            return Detection::none()
                .with(SpecVersion::V1_0_0Rc2, reason)
                .with(SpecVersion::V1_0_0Rc1, reason);
        }
        let is_newest =
            |path: &&str| path.starts_with("/api/v1/bundles/") || path.starts_with("/api/v1/deployments/");
        if paths.iter().any(is_newest) {
            return Detection::none()
                .with(SpecVersion::V1_0_0Rc3, ["URLs begin with `/api/v1/`, and name no client"]);
        }
        let reason = ["no URL tells"];
        Detection::none()
            .with(SpecVersion::V1_0_0Rc3, reason)
            .with(SpecVersion::V1_0_0Rc2, reason)
            .with(SpecVersion::V1_0_0Rc1, reason)
    }

    /// As [`detect`](Self::detect), for text.
    ///
    /// # Errors
    ///
    /// Text that cannot be read, or that exceeds `limits`.
    pub fn detect_bytes(bytes: &[u8], format: Format, limits: &Limits) -> Result<Detection, SyntaxError> {
        Ok(Self::detect(&margo_syntax::parse(bytes, format, limits)?.to_value()))
    }

    /// The same manifest, with every URL where `revision` has it for `client`. Nothing else differs between the
    /// revisions.
    ///
    /// ```
    /// use margo_core::{Digest, ManifestVersion, SpecVersion};
    /// use margo_deployment::{DeploymentRef, DesiredStateManifest};
    ///
    /// let reference = DeploymentRef::new("a3e2f5dc".parse()?, Digest::of(b"id: a3e2f5dc"));
    /// let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, None, vec![reference]);
    /// let older = manifest.clone().at(SpecVersion::V1_0_0Rc1, &"plant-7".parse()?);
    /// assert!(older.deployments[0].url.starts_with("/api/v1/clients/plant-7/deployments/a3e2f5dc/sha256:"));
    /// assert_eq!(older.at(SpecVersion::LATEST, &"plant-7".parse()?), manifest);
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn at(mut self, revision: SpecVersion, client: &ClientId) -> Self {
        let prefix = prefix(revision, client);
        if let Some(bundle) = &mut self.bundle {
            bundle.url = bundle_url(&prefix, bundle.digest);
        }
        for reference in &mut self.deployments {
            reference.url = deployment_url(&prefix, &reference.deployment_id, reference.digest);
        }
        self
    }

    /// The manifest as canonical JSON: the same bytes for the same manifest (R-B-034).
    ///
    /// # Errors
    ///
    /// A value JSON cannot express; none of those that reading produces.
    pub fn to_json(&self) -> Result<Bytes, WriteError> {
        margo_syntax::to_canonical_json(self).map(Bytes::from)
    }

    /// The reference to a deployment.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<&DeploymentRef> {
        self.deployments.iter().find(|reference| reference.deployment_id == *id)
    }

    /// What its places say about each other, and should not: a bundle where nothing is to run or none where something
    /// is, another media type, URLs of another digest, deployments listed twice.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        match &self.bundle {
            None if !self.deployments.is_empty() => {
                faults.push(Fault::new(pointer!["bundle"], "null although there are deployments"));
            }
            Some(_) if self.deployments.is_empty() => {
                faults.push(Fault::new(pointer!["bundle"], "expected null, as there are no deployments"));
            }
            None => {}
            Some(bundle) => {
                if bundle.media_type != BUNDLE_MEDIA_TYPE {
                    let message = format!("expected `{BUNDLE_MEDIA_TYPE}`");
                    faults.push(Fault::new(pointer!["bundle", "mediaType"], message));
                }
                faults.extend(check_url(&bundle.url, bundle.digest, || pointer!["bundle", "url"]));
            }
        }
        let mut ids = BTreeSet::new();
        for (index, reference) in self.deployments.iter().enumerate() {
            let url = || pointer!["deployments", index, "url"];
            faults.extend(check_url(&reference.url, reference.digest, url));
            if !ids.insert(&reference.deployment_id) {
                faults.push(Fault::new(pointer!["deployments", index, "deploymentId"], "listed twice"));
            }
        }
        faults
    }

    fn from_value(value: Value) -> Result<Self, Fault> {
        let manifest: Self = margo_syntax::from_value(value)?;
        manifest.check().into_iter().next().map_or(Ok(manifest), Err)
    }
}

/// Where the archive of all deployments is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BundleRef {
    /// What the archive is: always [`BUNDLE_MEDIA_TYPE`].
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::bundle_media_type"))]
    pub media_type: String,
    /// The digest of the archive's bytes, as served.
    pub digest: Digest,
    /// The number of bytes; advisory, never a check of integrity (R-B-038).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where to fetch it, relative to the manager.
    pub url: String,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl BundleRef {
    /// The archive with this digest and number of bytes, at its 1.0.0-rc.3 place: `/api/v1/bundles/{digest}`.
    #[must_use]
    pub fn new(digest: Digest, size_bytes: u64) -> Self {
        Self {
            media_type: BUNDLE_MEDIA_TYPE.to_owned(),
            digest,
            size_bytes: Some(size_bytes),
            url: bundle_url(NEWEST, digest),
            extensions: Extensions::new(),
        }
    }

    /// The archive with this digest and number of bytes, where `revision` has it for `client`:
    /// `/api/v1/clients/{client}/bundles/{digest}` in 1.0.0-rc.1 and 1.0.0-rc.2. The pre-draft has no archives;
    /// its place is the newest revision's.
    #[must_use]
    pub fn at(revision: SpecVersion, client: &ClientId, digest: Digest, size_bytes: u64) -> Self {
        let url = bundle_url(&prefix(revision, client), digest);
        Self { url, ..Self::new(digest, size_bytes) }
    }
}

/// One deployment of a manifest: which, and which bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentRef {
    /// The deployment's `id`.
    pub deployment_id: DeploymentId,
    /// The digest of the document's bytes, as served (R-B-024).
    pub digest: Digest,
    /// The number of bytes; advisory, never a check of integrity (R-B-038).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where to fetch it, relative to the manager.
    pub url: String,
    /// Fields newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl DeploymentRef {
    /// The deployment with this digest, at its 1.0.0-rc.3 place: `/api/v1/deployments/{id}/{digest}`.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, digest: Digest) -> Self {
        let url = deployment_url(NEWEST, &deployment_id, digest);
        Self { deployment_id, digest, size_bytes: None, url, extensions: Extensions::new() }
    }

    /// The deployment with this digest, where `revision` has it for `client`:
    /// `/api/v1/clients/{client}/deployments/{id}/{digest}` in 1.0.0-rc.1 and 1.0.0-rc.2. The pre-draft has no
    /// URLs; its place is the newest revision's.
    ///
    /// ```
    /// use margo_core::{Digest, SpecVersion};
    /// use margo_deployment::DeploymentRef;
    ///
    /// let digest = Digest::of(b"id: pump-1");
    /// let reference = DeploymentRef::at(SpecVersion::V1_0_0Rc2, &"plant-7".parse()?, "pump-1".parse()?, digest);
    /// assert_eq!(reference.url, format!("/api/v1/clients/plant-7/deployments/pump-1/{digest}"));
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    #[must_use]
    pub fn at(revision: SpecVersion, client: &ClientId, deployment_id: DeploymentId, digest: Digest) -> Self {
        let url = deployment_url(&prefix(revision, client), &deployment_id, digest);
        Self { url, ..Self::new(deployment_id, digest) }
    }
}

/// Where the newest revision has everything.
const NEWEST: &str = "/api/v1";

fn prefix(revision: SpecVersion, client: &ClientId) -> String {
    match revision {
        SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2 => format!("{NEWEST}/clients/{client}"),
        _ => NEWEST.to_owned(),
    }
}

fn bundle_url(prefix: &str, digest: Digest) -> String {
    format!("{prefix}/bundles/{digest}")
}

fn deployment_url(prefix: &str, id: &DeploymentId, digest: Digest) -> String {
    format!("{prefix}/deployments/{id}/{digest}")
}

/// A colon in a path may be percent-encoded.
fn check_url(url: &str, digest: Digest, at: impl FnOnce() -> Pointer) -> Option<Fault> {
    let end = url.bytes().position(|byte| byte == b'?' || byte == b'#').unwrap_or(url.len());
    let path = &url[..end];
    let last = path.rfind('/').map_or(path, |slash| &path[slash + 1..]);
    let named = if last.contains('%') {
        last.replace("%3A", ":").replace("%3a", ":").parse::<Digest>()
    } else {
        last.parse()
    };
    if named.is_ok_and(|named| named == digest) {
        return None;
    }
    Some(Fault::new(at(), format!("expected a URL that ends in `{digest}`")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "a3e2f5dc-912e-494f-8395-52cf3769bc06";

    fn manifest() -> Value {
        let reference = DeploymentRef::new(ID.parse().unwrap(), Digest::of(b"yaml"));
        let bundle = BundleRef::new(Digest::of(b"bundle"), 6);
        let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), vec![reference]);
        serde_json::to_value(manifest).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Value)) -> (String, String) {
        let mut manifest = manifest();
        change(&mut manifest);
        let text = serde_json::to_vec(&manifest).unwrap();
        let error = DesiredStateManifest::parse(&text, &Limits::default()).unwrap_err();
        (error.pointer().to_string(), error.message().to_owned())
    }

    /// R-B-021, X-B-13, X-B-34, X-D-05: present, and null exactly when there is nothing to run.
    #[test]
    fn a_bundle_is_there_exactly_when_deployments_are() {
        assert_eq!(refused(|m| m["bundle"] = Value::Null).0, "/bundle");
        assert_eq!(refused(|m| m["deployments"] = json!([])).0, "/bundle");
        let missing = refused(|m| drop(m.as_object_mut().unwrap().remove("bundle")));
        assert_eq!(missing, (String::new(), "missing field `bundle`".into()));
    }

    /// R-B-028: the reason is told, and it is the whole manifest that is refused.
    #[test]
    fn another_digest_algorithm_invalidates_the_manifest() {
        let (pointer, message) = refused(|m| m["deployments"][0]["digest"] = json!("sha512:00"));
        assert_eq!(pointer, "/deployments/0/digest");
        assert_eq!(message, "digest algorithm `sha512` is not supported");
        let (pointer, _) = refused(|m| m["bundle"]["digest"] = json!("md5:00"));
        assert_eq!(pointer, "/bundle/digest");
    }

    /// X-B-35: what a schema lets pass is refused here.
    #[test]
    fn version_media_type_and_digest_are_checked() {
        assert_eq!(refused(|m| m["manifestVersion"] = json!(0)).0, "/manifestVersion");
        assert_eq!(refused(|m| m["manifestVersion"] = json!(1.5)).0, "/manifestVersion");
        assert_eq!(refused(|m| m["bundle"]["mediaType"] = json!("application/gzip")).0, "/bundle/mediaType");
        // X-B-26: 63 digits.
        let short = format!("sha256:{}", "0".repeat(63));
        assert_eq!(refused(|m| m["bundle"]["digest"] = json!(short)).0, "/bundle/digest");
    }

    #[test]
    fn a_url_ends_in_its_digest() {
        let other = format!("/api/v1/bundles/{}", Digest::of(b"other"));
        assert_eq!(refused(|m| m["bundle"]["url"] = json!(other)).0, "/bundle/url");
        assert_eq!(refused(|m| m["deployments"][0]["url"] = json!("/x/")).0, "/deployments/0/url");

        let mut manifest = manifest();
        let encoded = manifest["bundle"]["url"].as_str().unwrap().replace(':', "%3A");
        manifest["bundle"]["url"] = json!(format!("https://wfm.example{encoded}?a=/b#/c"));
        let text = serde_json::to_vec(&manifest).unwrap();
        assert!(DesiredStateManifest::parse(&text, &Limits::default()).is_ok());
    }

    /// Revisions B and C, section 2.2: the client is named in every URL, and that is all.
    #[test]
    fn urls_are_where_the_revision_has_them() {
        let newest: DesiredStateManifest = serde_json::from_value(manifest()).unwrap();
        let client = "plant-7".parse().unwrap();
        for revision in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2] {
            let older = newest.clone().at(revision, &client);
            let digest = Digest::of(b"bundle");
            assert_eq!(older.bundle, Some(BundleRef::at(revision, &client, digest, 6)));
            assert_eq!(
                older.bundle.as_ref().unwrap().url,
                format!("/api/v1/clients/plant-7/bundles/{digest}")
            );
            let id = older.deployments[0].deployment_id.clone();
            assert_eq!(older.deployments[0], DeploymentRef::at(revision, &client, id, Digest::of(b"yaml")));
            let json = older.to_json().unwrap();
            let read =
                DesiredStateManifest::read(json, None, Strictness::Strict, &Limits::default()).unwrap();
            assert_eq!((read.value.value(), read.deviations.len()), (&older, 0));
            let detection = DesiredStateManifest::detect(&serde_json::to_value(&older).unwrap());
            assert!(detection.allows(revision) && !detection.allows(SpecVersion::V1_0_0Rc3));
            assert_eq!(older.at(SpecVersion::V1_0_0Rc3, &client), newest);
        }
        assert_eq!(DesiredStateManifest::detect(&manifest()).revision(), Some(SpecVersion::V1_0_0Rc3));
    }

    /// X-B-36, X-D-31.
    #[test]
    fn a_version_with_a_fraction_is_read_leniently_while_it_is_exact() {
        let read = |version: &str, strictness| {
            let text = format!(r#"{{"manifestVersion":{version},"bundle":null,"deployments":[]}}"#);
            DesiredStateManifest::read(text.into(), None, strictness, &Limits::default())
        };
        let lenient = read("7.0", Strictness::Lenient).unwrap();
        assert_eq!(
            (lenient.value.manifest_version.get(), lenient.deviations[0].contradiction),
            (7, "X-D-31")
        );
        let strict = read("7.0", Strictness::Strict).unwrap_err();
        assert_eq!(strict.pointer().as_str(), "/manifestVersion");
        assert!(read("7.5", Strictness::Lenient).is_err());
        assert!(read("18446744073709551615", Strictness::Strict).unwrap().deviations.is_empty());
    }

    #[test]
    fn a_deployment_is_listed_once() {
        let (pointer, _) = refused(|m| {
            let again = m["deployments"][0].clone();
            m["deployments"].as_array_mut().unwrap().push(again);
        });
        assert_eq!(pointer, "/deployments/1/deploymentId");
    }

    /// A number of a supplier is the nearest float, not its neighbor.
    #[test]
    fn floats_are_exact() {
        let mut manifest = DesiredStateManifest::new(ManifestVersion::FIRST, None, Vec::new());
        manifest.extensions.insert("x-acme-extensions", json!({ "a": 31.245_270_191_439_438_f64 }));
        let json = manifest.to_json().unwrap();
        assert!(json.windows(18).any(|text| text == b"31.245270191439438"));
        assert_eq!(DesiredStateManifest::parse(&json, &Limits::default()).unwrap(), manifest);
    }

    /// X-B-36, X-D-31: no version is rounded on its way through text.
    #[test]
    fn versions_are_exact() {
        for number in [(1 << 53) + 1, u64::MAX] {
            let version = ManifestVersion::new(number).unwrap();
            let manifest = DesiredStateManifest::new(version, None, Vec::new());
            let read = DesiredStateManifest::parse(&manifest.to_json().unwrap(), &Limits::default()).unwrap();
            assert_eq!(read.manifest_version, version);
        }
    }
}
