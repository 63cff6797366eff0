//! What each fuzz target does with the bytes it is given: reads them, and holds the reader to its promises.
//!
//! One function for each reader, named as its target in `src/bin`. What must never happen is a panic, and text that
//! we wrote and cannot read. See `docs/fuzzing.md`.

#![warn(missing_docs)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is the finding")]

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::io::{Read, Write};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Request};
use margo_api::endpoint::request_token;
use margo_api::{ErrorResponse, OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse};
use margo_application::{AnyApplicationDescription, ApplicationDescription, check_values};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{
    ApplicationId, ClientId, ComponentName, DeploymentId, DeviceId, DeviceTarget, Digest, ManifestVersion,
    Quantity, SpecVersion, Strictness, Timeout,
};
use margo_deployment::{
    AnyApplicationDeployment, BundleLimits, DesiredStateManifest, Revision, read_bundle, verify_bundle,
    write_bundle,
};
use margo_identity::{
    ClientSpiffeId, DiscoveryDocument, MessageVerifier, Origin, SpiffeBundle, SpiffeId, SpkiPin, TrustBundle,
    TrustBundleUri, TrustDomain, VerifyingKey, WfmSpiffeId, verify_payload,
};
use margo_status::AnyDeploymentStatus;
use margo_syntax::{DecodeError, Format, Limits, Tree, decode, decode_with, from_value, parse, parse_all};
use rustls_pki_types::UnixTime;
use serde_json::Value;

#[doc(hidden)]
pub use libfuzzer_sys;

/// The target that hands what libFuzzer makes to one of this crate's functions.
#[macro_export]
macro_rules! target {
    ($reader:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$reader(data));
    };
}

/// YAML: every place can be named and found, and the value survives being written.
pub fn yaml(data: &[u8]) {
    if let Ok(trees) = parse_all(data, &limits()) {
        trees.iter().for_each(walk);
    }
    if let Ok(tree) = parse(data, Format::Yaml, &limits()) {
        let value = tree.to_value();
        let text = margo_syntax::to_yaml(&value).unwrap();
        // Aliases may have made more text than may be read.
        if text.len() <= limits().max_bytes {
            assert_eq!(parse(text.as_bytes(), Format::Yaml, &limits()).unwrap().to_value(), value);
        }
    }
}

/// JSON: as YAML; and without places it is read alike, and as `serde_json` reads it.
pub fn json(data: &[u8]) {
    let with_places = parse(data, Format::Json, &limits());
    let value = with_places.as_ref().map(Tree::to_value).map_err(|error| DecodeError::from(error.clone()));
    assert_eq!(decode_with(data, Format::Json, &limits(), Ok), value);
    assert_eq!(decode::<Value>(data, Format::Json, &limits()), value);
    if let (Ok(tree), Ok(value)) = (with_places, value) {
        walk(&tree);
        assert_eq!(serde_json::from_slice::<Value>(data).unwrap(), value);
        let text = margo_syntax::to_canonical_json(&value).unwrap();
        let again = parse(&text, Format::Json, &limits()).unwrap().to_value();
        assert_eq!(margo_syntax::to_canonical_json(&again).unwrap(), text);
    }
}

/// Application deployments of every revision.
pub fn deployment(data: &[u8]) {
    read_every_way(|revision, strictness| {
        let reading = AnyApplicationDeployment::read(bytes(data), revision, strictness, &limits()).ok()?;
        Some(reading.value.into_value())
    });
    let Ok(read) = AnyApplicationDeployment::parse(data, &limits()) else { return };
    let _ = read.check();
    let again =
        AnyApplicationDeployment::decode_as(read.to_yaml().unwrap().into(), read.revision(), &limits());
    assert_eq!(again.unwrap().into_value(), read);
    let target = "plc-7".parse().unwrap();
    for revision in SpecVersion::ALL {
        if let Ok(other) = read.convert(revision, &target) {
            let text = other.value.to_yaml().unwrap();
            let again = AnyApplicationDeployment::decode_as(text.into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), other.value);
        }
    }
}

/// State manifests.
pub fn manifest(data: &[u8]) {
    read_every_way(|revision, strictness| {
        let reading = DesiredStateManifest::read(bytes(data), revision, strictness, &limits()).ok()?;
        Some(reading.value.into_value())
    });
    let Ok(read) = DesiredStateManifest::parse(data, &limits()) else { return };
    // Canonical text has one zero and no whole floats, so it is texts that are compared.
    let json = read.to_json().unwrap();
    assert_eq!(DesiredStateManifest::parse(&json, &limits()).unwrap().to_json().unwrap(), json);
    for revision in SpecVersion::ALL {
        let moved = read.clone().at(revision, &"plant-7".parse().unwrap());
        assert!(DesiredStateManifest::parse(&moved.to_json().unwrap(), &limits()).is_ok());
    }
}

/// Bundles: nothing larger than the limits comes out.
///
/// The bytes are an archive; and a place, a change, and a deployment whose archive is changed there.
pub fn bundle(data: &[u8]) {
    read_archive(data);
    let [high, low, change, deployment @ ..] = data else { return };
    let id = "a".parse().unwrap();
    let archive = write_bundle([(&id, &bytes(deployment))]);
    let mut unpacked = Vec::new();
    GzDecoder::new(&archive[..]).read_to_end(&mut unpacked).unwrap();
    let place = usize::from(u16::from_be_bytes([*high, *low])) % unpacked.len();
    unpacked[place] ^= change;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&unpacked).unwrap();
    read_archive(&packed.finish().unwrap());
}

fn read_archive(data: &[u8]) {
    let limits = BundleLimits::default();
    let Ok(entries) = read_bundle(data, &limits) else { return };
    let unpacked: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(unpacked as u64 <= limits.max_unpacked);
    let nothing = DesiredStateManifest::new(ManifestVersion::FIRST, None, Vec::new());
    let _ = verify_bundle(entries, &nothing);
}

/// Device capabilities of every revision.
pub fn capabilities(data: &[u8]) {
    read_every_way(|revision, strictness| {
        AnyDeviceCapabilities::read(bytes(data), revision, strictness, &limits())
            .ok()
            .map(|r| r.value.into_value())
    });
    let read = decode_with(data, Format::Yaml, &limits(), AnyDeviceCapabilities::from_value);
    let Ok(read) = read else { return };
    let _ = read.check();
    let again = AnyDeviceCapabilities::decode_as(read.to_json().into(), read.revision(), &limits());
    assert_eq!(again.unwrap().into_value(), read);
    for revision in SpecVersion::ALL {
        if let Ok(other) = read.convert(revision) {
            let again =
                AnyDeviceCapabilities::decode_as(other.value.to_json().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), other.value);
        }
    }
}

/// Deployment status of every revision.
pub fn status(data: &[u8]) {
    read_every_way(|revision, strictness| {
        AnyDeploymentStatus::read(bytes(data), revision, strictness, &limits())
            .ok()
            .map(|r| r.value.into_value())
    });
    let Ok(read) = AnyDeploymentStatus::decode(bytes(data), &limits()) else { return };
    let read = read.into_value();
    let _ = read.check();
    let _ = read.contradiction();
    let _ = read.components();
    let again = AnyDeploymentStatus::decode_as(read.to_json().into(), read.revision(), &limits());
    assert_eq!(again.unwrap().into_value(), read);
    for revision in SpecVersion::ALL {
        if let Ok(other) = read.convert(revision) {
            let again =
                AnyDeploymentStatus::decode_as(other.value.to_json().into(), revision, &Limits::default());
            assert_eq!(again.unwrap().into_value(), other.value);
        }
    }
}

/// Application descriptions of every revision.
pub fn description(data: &[u8]) {
    read_every_way(|revision, strictness| {
        let reading = AnyApplicationDescription::read(bytes(data), revision, strictness, &limits()).ok()?;
        Some(reading.value.into_value())
    });
    let Ok(read) = AnyApplicationDescription::parse(data, &limits()) else { return };
    let _ = read.check();
    let yaml = read.to_yaml().unwrap();
    let again = AnyApplicationDescription::decode_as(yaml.into(), read.revision(), &limits());
    assert_eq!(again.unwrap().into_value(), read);
    for revision in SpecVersion::ALL {
        if let Ok(other) = read.convert(revision) {
            let again = AnyApplicationDescription::decode_as(
                other.value.to_yaml().unwrap().into(),
                revision,
                &Limits::default(),
            );
            assert_eq!(again.unwrap().into_value(), other.value);
        }
    }
}

/// Values for the parameters of an application: what takes effect is accepted again.
///
/// The bytes are a stream: a description, and then the values.
pub fn values(data: &[u8]) {
    let Ok(trees) = parse_all(data, &limits()) else { return };
    let [description, values] = &trees[..] else { return };
    let Ok(description) = from_value::<ApplicationDescription>(description.to_value()) else { return };
    let Ok(values) = values.decode::<BTreeMap<String, Value>>() else { return };
    for profile in &description.deployment_profiles {
        if let Ok(effective) = check_values(&description, &profile.components, &values, None) {
            let again = check_values(&description, &profile.components, &effective, None);
            assert_eq!(again.unwrap(), effective);
        }
    }
}

/// Detection: whatever the bytes are, every kind says which revisions it may be, and all of them together the same.
pub fn detection(data: &[u8]) {
    if let Ok(identity) = margo_detect::detect(data, &limits()) {
        assert_eq!(identity.is_none(), identity.likeliest().is_none());
        for candidate in &identity.candidates {
            assert!(!candidate.reasons.is_empty(), "{candidate}");
        }
    }
    for format in [Format::Yaml, Format::Json] {
        let detections = [
            AnyApplicationDeployment::detect_bytes(data, format, &limits()),
            AnyApplicationDescription::detect_bytes(data, format, &limits()),
            AnyDeviceCapabilities::detect_bytes(data, format, &limits()),
            AnyDeploymentStatus::detect_bytes(data, format, &limits()),
            DesiredStateManifest::detect_bytes(data, format, &limits()),
        ];
        for detection in detections.into_iter().flatten() {
            assert_eq!(detection.is_none(), detection.likeliest().is_none());
            assert!(detection.revisions().all(|revision| detection.allows(revision)));
            let _ = detection.to_string();
        }
    }
}

/// Identifiers, revisions of components and versions: what is read says the same again.
pub fn identifier(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    exact::<ApplicationId>(text);
    exact::<ClientId>(text);
    exact::<ComponentName>(text);
    exact::<DeploymentId>(text);
    if let Some(device) = exact::<DeviceId>(text) {
        assert!(device.segments().count() > 0);
        assert_eq!(device.gateway().is_some(), text.contains('/'));
    }
    if let Some(target) = exact::<DeviceTarget>(text) {
        exact::<DeviceId>(target.device().as_str()).unwrap();
    }
    exact::<Revision>(text);
    let _ = text.parse::<ManifestVersion>();
    let _ = text.parse::<SpecVersion>();
}

/// Digests: exactly 64 lowercase digits.
pub fn digest(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(digest) = exact::<Digest>(text) {
        assert_eq!(format!("sha256:{}", digest.hex()), text);
    }
    assert_eq!(exact::<Digest>(&Digest::of(data).to_string()), Some(Digest::of(data)));
}

/// Amounts of memory and storage: printed as they were read.
pub fn quantity(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(quantity) = from_value::<Quantity>(Value::from(text)) else { return };
    assert_eq!(serde_json::to_value(&quantity).unwrap(), text);
    if let Some(bytes) = quantity.bytes() {
        assert_eq!(Quantity::of_bytes(bytes).bytes(), Some(bytes));
    }
}

/// Timeouts: printed as they were read.
pub fn timeout(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(timeout) = exact::<Timeout>(text) {
        let _ = timeout.duration();
    }
}

/// Signatures of a request: nobody signs without the key.
///
/// The bytes are lines: the URL, headers, and after an empty line the body.
pub fn signature(data: &[u8]) {
    let Some(request) = request(data) else { return };
    let key = VerifyingKey::from_spki(&P256).unwrap();
    let origin: Origin = "https://wfm.example".parse().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
    let verified = MessageVerifier::new([origin]).verify(&request, |_| Some(key.clone()), now);
    assert!(verified.is_err());
    assert!(verify_payload(request.headers(), request.body(), &key, now).is_err());
}

/// Trust bundles as JSON and PEM, and the document that says where one is.
pub fn trust_bundle(data: &[u8]) {
    let domain: TrustDomain = "plant.example".parse().unwrap();
    let _ = TrustBundle::from_pem(domain.clone(), data);
    if let Ok(document) = DiscoveryDocument::parse(data) {
        assert_eq!(DiscoveryDocument::parse(document.to_json().as_bytes()).unwrap(), document);
    }
    if let Ok(bundle) = SpiffeBundle::parse(data) {
        let _ = bundle.authorities();
        let text = serde_json::to_vec(&bundle).unwrap();
        // Escapes may have made more text than may be read.
        if text.len() <= data.len() {
            assert_eq!(SpiffeBundle::parse(&text).unwrap(), bundle);
        }
    }
    if let Ok(bundle) = TrustBundle::parse(domain.clone(), data) {
        let again = TrustBundle::parse(domain, bundle.to_json().as_bytes()).unwrap();
        assert_eq!(again.authorities(), bundle.authorities());
    }
}

/// The small messages of the interface: what we write is read again as the same.
pub fn message(data: &[u8]) {
    macro_rules! same_again {
        ($($message:ident),*) => {$(
            if let Ok(message) = $message::parse(data, &limits()) {
                assert_eq!($message::parse(&message.to_json(), &Limits::default()).unwrap(), message);
            }
        )*};
    }
    same_again!(ErrorResponse, OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse);
    if let Ok(request) = OnboardingRequest::parse(data, &limits()) {
        let _ = request.certificate_der();
    }
    if let Ok(response) = RootCertificateResponse::parse(data, &limits())
        && let Ok(certificate) = response.certificate_der()
    {
        assert_eq!(RootCertificateResponse::new(&certificate).certificate_der().unwrap(), certificate);
    }
    if let Ok(request) = request_token::Request::from_form(data) {
        let form = request.to_form();
        // Characters that are escaped now and were not before may have made it too long.
        if form.len() <= data.len() {
            assert_eq!(request_token::Request::from_form(form.as_bytes()).unwrap(), request);
        }
    }
    if let Ok(response) = decode::<request_token::Response>(data, Format::Json, &limits()) {
        let text = serde_json::to_vec(&response).unwrap();
        let again: request_token::Response = decode(&text, Format::Json, &Limits::default()).unwrap();
        assert!(again == response, "a token that is read differently");
    }
    if let Ok(error) = ErrorResponse::parse(data, &limits()) {
        let problem = error.upgrade(http::StatusCode::BAD_REQUEST).value;
        assert_eq!(Problem::parse(&problem.to_json(), &Limits::default()).unwrap(), problem);
    }
    if let Ok(problem) = Problem::parse(data, &limits()) {
        let error = ErrorResponse::downgrade(&problem).value;
        assert_eq!(ErrorResponse::parse(&error.to_json(), &Limits::default()).unwrap(), error);
    }
}

/// SPIFFE ids, trust domains, and what else names a peer.
pub fn spiffe_id(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    exact::<TrustDomain>(text);
    exact::<SpiffeId>(text);
    if let Some(client) = exact::<ClientSpiffeId>(text) {
        assert_eq!(client.manager().client(client.client_id()).unwrap(), client);
    }
    exact::<WfmSpiffeId>(text);
    let _ = (text.parse::<SpkiPin>(), text.parse::<TrustBundleUri>(), text.parse::<Origin>());
}

/// The generator of P-256, as a public key that nobody signs with here.
const P256: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42,
    0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0,
    0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e,
    0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6,
    0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

fn limits() -> Limits {
    Limits::default().with_max_bytes(1024 * 1024)
}

fn bytes(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(data)
}

/// Whatever a strict reading takes, a lenient one takes too, and understands alike.
fn read_every_way<T: PartialEq + Debug>(read: impl Fn(Option<SpecVersion>, Strictness) -> Option<T>) {
    for revision in SpecVersion::ALL.into_iter().map(Some) {
        let strict = read(revision, Strictness::Strict);
        let lenient = read(revision, Strictness::Lenient);
        assert!(strict.is_none() || strict == lenient);
    }
    let _ = (read(None, Strictness::Strict), read(None, Strictness::Lenient));
}

/// Every value is where its pointer says.
fn walk(tree: &Tree) {
    for node in tree.nodes().take(64) {
        let pointer = node.pointer();
        assert_eq!(tree.get(&pointer).map(|found| found.span()), Some(node.span()));
        assert!(tree.source().get(node.span()).is_some());
        let _ = (node.location(), tree.locate_key(&pointer), node.literal(), pointer.to_string());
    }
}

/// A text that says exactly itself, if it is a `T`.
fn exact<T: FromStr<Err: Display> + Display>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            assert_eq!(value.to_string(), text);
            Some(value)
        }
        Err(error) => {
            let _ = error.to_string();
            None
        }
    }
}

fn request(data: &[u8]) -> Option<Request<Bytes>> {
    let mut lines = data.split(|&byte| byte == b'\n');
    let method = if data.len().is_multiple_of(2) { Method::GET } else { Method::POST };
    let mut request = Request::builder().method(method).uri(lines.next()?);
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = http::HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    request.headers_mut()?.extend(headers);
    request.body(bytes(&lines.collect::<Vec<_>>().join(&b'\n'))).ok()
}
