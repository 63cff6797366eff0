//! Discovery documents and SPIFFE bundles: our own, by the folder they lie in, and the laws of both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use margo_core::Extensions;
use margo_identity::{DiscoveryDocument, JsonWebKey, SpiffeBundle, TrustBundle, TrustDomain};
use proptest::prelude::*;
use serde_json::Value;

const REVISION: &str = "1.0.0-rc.3";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/messages"))
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn domain() -> TrustDomain {
    "plant.example".parse().unwrap()
}

/// The causes of an error, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads a message, with everything it is for, and writes it; `None` for what is another crate's.
fn read(kind: &str, bytes: &[u8]) -> Option<Result<String, String>> {
    Some(match kind {
        "DiscoveryDocument" => {
            DiscoveryDocument::parse(bytes).map(|document| document.to_json()).map_err(|error| told(&error))
        }
        "SpiffeBundle" => SpiffeBundle::parse(bytes)
            .and_then(|bundle| {
                let trusted = TrustBundle::from_document(domain(), &bundle)?;
                assert_eq!(trusted.authorities(), bundle.authorities());
                Ok(serde_json::to_string(&bundle)?)
            })
            .map_err(|error| told(&error)),
        _ => return None,
    })
}

/// What `message` objects to in its schema.
#[cfg(feature = "schema")]
fn by_schema(kind: &str, message: &Value) -> Vec<String> {
    let mut schemas = margo_identity::schemas().into_iter();
    let schema = schemas.find(|(_, name, _)| *name == kind).unwrap().2.to_value();
    crate::validator::validate(&schema, &schema, message)
}

/// R-D-015, R-D-016: what is newer than us, or not for us, is kept.
#[test]
fn an_accepted_message_is_written_as_it_was_read() {
    let mut count = 0;
    for folder in entries(&root().join("accepted").join(REVISION)) {
        for path in entries(&folder) {
            let bytes = std::fs::read(&path).unwrap();
            let Some(result) = read(&name(&folder), &bytes) else { continue };
            let written = result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), message, "{}", path.display());
            #[cfg(feature = "schema")]
            assert_eq!(by_schema(&name(&folder), &message), [""; 0], "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}

/// What each folder's messages are refused with.
fn reasons() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("bundle-address-not-https", "expected an absolute https URL"), // R-D-015
        ("certificate-not-base64", "`x5c` is not base64"),
        ("keys-not-a-list", "expected a sequence"),
        ("malformed-trust-domain", "not a SPIFFE id"), // R-D-015
        ("missing-bundle-address", "missing field `trustBundleUri`"),
        ("missing-keys", "missing field `keys`"),
        ("missing-trust-domain", "missing field `trustDomain`"),
        ("no-authority", "has no X.509 authority"), // R-D-016
        ("not-a-certificate", "not a certificate"),
        ("not-an-authority", "not the certificate of an authority"),
        ("not-json", "cannot be read"),
        ("not-one-certificate", "`x5c` does not hold one certificate"),
        ("sequence-not-whole", "expected u64"),
        ("trust-domain-not-text", "expected a string"),
    ])
}

/// What a schema cannot say: what is inside base64, and how many keys are for what.
#[cfg(feature = "schema")]
const BEYOND_A_SCHEMA: [&str; 6] = [
    "certificate-not-base64",
    "no-authority",
    "not-a-certificate",
    "not-an-authority",
    "not-json",
    "not-one-certificate",
];

#[test]
fn a_refused_message_is_refused_for_the_reason_it_lies_under() {
    let reasons = reasons();
    let mut unused: Vec<_> = reasons.keys().copied().collect();
    for folder in entries(&root().join("refused")) {
        let rule = name(&folder);
        for path in entries(&folder) {
            let file = name(&path);
            let (kind, rest) = file.split_once('-').unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let Some(result) = read(kind, &bytes) else { continue };
            assert!(rest.starts_with(REVISION), "{rule}/{file}");
            let reason = reasons.get(rule.as_str()).unwrap_or_else(|| panic!("{rule} has no reason"));
            let error = result.expect_err(&format!("{rule}/{file} is read"));
            assert!(error.contains(reason), "{rule}/{file}: {error}");
            #[cfg(feature = "schema")]
            if !BEYOND_A_SCHEMA.contains(&rule.as_str()) {
                let message = serde_json::from_slice(&bytes).unwrap();
                assert_ne!(by_schema(kind, &message), [""; 0], "{rule}/{file} follows its schema");
            }
            unused.retain(|used| *used != rule);
        }
    }
    assert_eq!(unused, [""; 0], "reasons without a message");
}

/// The specification's own messages, by our schemas and by its own.
#[cfg(feature = "schema")]
#[test]
fn the_specifications_messages_are_judged_as_its_own_schemas_do() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    let openapi = folder.with_file_name("openapi").join("trust-bundle-api-1.0.0-rc.3.yaml");
    if !folder.is_dir() || !openapi.is_file() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let api = margo_syntax::parse(
        &std::fs::read(openapi).unwrap(),
        margo_syntax::Format::Yaml,
        &margo_syntax::Limits::default(),
    );
    let api = api.unwrap().to_value();
    let mut seen = 0;
    for path in entries(&folder.join("D/valid")) {
        let file = name(&path);
        let kind = file.split('.').next().unwrap();
        if !["DiscoveryDocument", "SpiffeBundle"].contains(&kind) {
            continue;
        }
        let message: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let theirs = api.pointer(&format!("/components/schemas/{kind}")).unwrap();
        assert_eq!(crate::validator::validate(&api, theirs, &message), [""; 0], "{file}");
        assert_eq!(by_schema(kind, &message), [""; 0], "{file}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Members that the page does not name.
fn others() -> impl Strategy<Value = Extensions> {
    let names = prop_oneof!["x-[a-z]{1,4}-extensions", "[a-z]{1,3}_[a-z]{1,6}"];
    prop::collection::btree_map(names, any_json(), 0..3).prop_map(|members| members.into_iter().collect())
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("\\PC{0,12}")
}

prop_compose! {
    fn key()(
        what in (text(), text(), text()),
        numbers in (text(), text(), text(), text()),
        x5c in prop::collection::vec("[A-Za-z0-9+/]{0,12}", 0..3),
        extensions in others(),
    ) -> JsonWebKey {
        let mut key = JsonWebKey::default();
        (key.r#use, key.kty, key.crv) = what;
        (key.x, key.y, key.n, key.e) = numbers;
        (key.x5c, key.extensions) = (x5c, extensions);
        key
    }
}

prop_compose! {
    fn bundle()(
        keys in prop::collection::vec(key(), 0..4),
        schedule in (prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
        extensions in others(),
    ) -> SpiffeBundle {
        let mut bundle = SpiffeBundle::new(keys);
        (bundle.spiffe_sequence, bundle.spiffe_refresh_hint) = schedule;
        bundle.extensions = extensions;
        bundle
    }
}

prop_compose! {
    fn discovery()(
        domain in "[a-z0-9._-]{1,20}",
        address in "https://[a-z]{1,9}(:[1-9][0-9]{1,3})?(/[a-z]{1,5}){0,3}",
        extensions in others(),
    ) -> DiscoveryDocument {
        let mut document = DiscoveryDocument::new(domain.parse().unwrap(), address.parse().unwrap());
        document.extensions = extensions;
        document
    }
}

proptest! {
    /// Type to text to type, and text to type to text for what is emitted.
    #[test]
    fn a_bundle_survives_its_text(bundle in bundle()) {
        let text = serde_json::to_vec(&bundle).unwrap();
        let read = SpiffeBundle::parse(&text).unwrap();
        prop_assert_eq!(&read, &bundle);
        prop_assert_eq!(serde_json::to_vec(&read).unwrap(), text);
    }

    /// As above; and the address is the text that it was.
    #[test]
    fn a_discovery_document_survives_its_text(document in discovery()) {
        let text = document.to_json();
        let read = DiscoveryDocument::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.to_json(), text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
        let _ = DiscoveryDocument::parse(&bytes);
        let _ = SpiffeBundle::parse(&bytes).map(|bundle| bundle.authorities());
        let _ = TrustBundle::parse(domain(), &bytes);
        let _ = TrustBundle::from_pem(domain(), &bytes);
    }

    /// Near to a message, where the branches are.
    #[test]
    fn a_damaged_message_is_read_without_panic(
        bundle in bundle(), document in discovery(), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        for text in [serde_json::to_vec(&bundle).unwrap(), document.to_json().into_bytes()] {
            let mut text = text;
            let at = at.index(text.len());
            text[at] = byte;
            let _ = DiscoveryDocument::parse(&text);
            let _ = TrustBundle::parse(domain(), &text);
        }
    }
}
