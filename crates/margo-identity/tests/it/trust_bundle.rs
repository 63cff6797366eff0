use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use margo_identity::{
    CurrentTrustBundle, DiscoveryDocument, ReplaceBundleError, SpiffeBundle, SpkiPin, TrustBundle,
    TrustBundleError,
};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::pki::{self, CLIENT, authority, authority_with, bundle, leaf, trust_domain};

fn parse(bundle: &Value) -> Result<TrustBundle, TrustBundleError> {
    TrustBundle::parse(trust_domain(), bundle.to_string().as_bytes())
}

fn key(usage: &str, der: &[u8]) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "use": usage, "x5c": [STANDARD.encode(der)], "new": 1 })
}

/// R-D-016: only keys for `x509-svid`, and everything unknown is ignored.
#[test]
fn only_x509_keys_count() {
    let root = authority("root");
    let jwt = json!({ "kty": "EC", "use": "jwt-svid", "kid": "1", "crv": "P-256", "x": "AA", "y": "AA" });
    let bundle = parse(&json!({
        "spiffe_sequence": 12,
        "spiffe_refresh_hint": 86_400,
        "keys": [jwt, key("x509-svid", root.der()), { "kty": "oct", "future": {} }, key("sig", root.der())],
        "unknown": [1],
    }))
    .unwrap();
    assert_eq!(bundle.sequence(), Some(12));
    assert_eq!(bundle.refresh_hint(), Some(Duration::from_hours(24)));
    assert_eq!(bundle.authorities(), [root.der().clone()]);
    let bundle = parse(&json!({ "keys": [key("x509-svid", root.der())] })).unwrap();
    assert_eq!((bundle.sequence(), bundle.refresh_hint()), (None, None));
}

/// R-D-016: fail closed.
#[test]
fn a_bundle_without_authorities_is_refused() {
    let root = authority("root");
    for keys in [json!([]), json!([key("jwt-svid", root.der())]), json!([{ "kty": "EC" }])] {
        assert!(matches!(parse(&json!({ "keys": keys })), Err(TrustBundleError::Empty)), "{keys}");
    }
    assert!(matches!(TrustBundle::new(trust_domain(), []), Err(TrustBundleError::Empty)));
    assert!(matches!(TrustBundle::from_pem(trust_domain(), b"no PEM"), Err(TrustBundleError::Empty)));
}

#[test]
fn a_bundle_that_cannot_be_read_says_where() {
    let root = authority("root");
    let der = root.der().as_ref();
    let leaf = leaf(CLIENT).issued_by(&root).der;
    let two = json!({ "use": "x509-svid", "x5c": [STANDARD.encode(der), STANDARD.encode(der)] });
    for wrong in [
        json!({ "use": "x509-svid" }),
        json!({ "use": "x509-svid", "x5c": ["%"] }),
        two,
        key("x509-svid", b"no certificate"),
        key("x509-svid", &der[..der.len() - 1]),
        key("x509-svid", &[der, &[0]].concat()),
        key("x509-svid", &leaf),
    ] {
        let error = parse(&json!({ "keys": [key("x509-svid", der), wrong] })).unwrap_err();
        assert!(matches!(error, TrustBundleError::Authority { index: 1, .. }), "{error}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"spiffe_sequence":-1}"#] {
        let error = TrustBundle::parse(trust_domain(), text.as_bytes()).unwrap_err();
        assert!(matches!(error, TrustBundleError::Json(_)), "{text}: {error}");
    }
    let large = vec![b' '; (1 << 20) + 1];
    assert!(matches!(TrustBundle::parse(trust_domain(), &large), Err(TrustBundleError::TooLarge { .. })));
}

/// A complete JWK for each kind of key, for whoever reads more of it than `x5c`.
#[test]
fn what_is_served_is_read() {
    let authorities = [
        authority("P-256"),
        authority_with("P-384", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()),
        authority_with("Ed25519", KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()),
        authority_with("RSA", pki::rsa(3072)),
    ];
    let ders: Vec<_> = authorities.iter().map(|authority| authority.der().clone()).collect();
    let bundle =
        TrustBundle::new(trust_domain(), ders.clone()).unwrap().with_schedule(3, Duration::from_mins(5));
    let json: Value = serde_json::from_str(&bundle.to_json()).unwrap();
    let read = parse(&json).unwrap();
    assert_eq!(read.authorities(), ders);
    assert_eq!((read.sequence(), read.refresh_hint()), (Some(3), Some(Duration::from_mins(5))));

    let keys = json["keys"].as_array().unwrap();
    let lengths = |key: &Value, names: &[&str]| -> Vec<usize> {
        names.iter().map(|name| key[name].as_str().unwrap().len()).collect()
    };
    assert_eq!((&keys[0]["kty"], &keys[0]["crv"]), (&json!("EC"), &json!("P-256")));
    assert_eq!(lengths(&keys[0], &["x", "y"]), [43, 43]);
    assert_eq!((&keys[1]["kty"], &keys[1]["crv"]), (&json!("EC"), &json!("P-384")));
    assert_eq!(lengths(&keys[1], &["x", "y"]), [64, 64]);
    assert_eq!((&keys[2]["kty"], &keys[2]["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert_eq!(lengths(&keys[2], &["x"]), [43]);
    assert_eq!((&keys[3]["kty"], &keys[3]["e"]), (&json!("RSA"), &json!("AQAB")));
    assert_eq!(lengths(&keys[3], &["n"]), [512]);
}

/// R-D-016.
#[test]
fn the_sequence_does_not_fall() {
    let (old, new) = (authority("old"), authority("new"));
    let version = |root, sequence| bundle(root).with_schedule(sequence, Duration::from_mins(5));
    let current = CurrentTrustBundle::new(bundle(&old));
    current.replace(version(&old, 5)).unwrap();
    current.replace(version(&new, 5)).unwrap();
    assert_eq!(current.get().authorities(), [new.der().clone()], "all of it is replaced");
    let (five, four) = (Some(5), Some(4));
    assert_eq!(
        current.replace(version(&old, 4)),
        Err(ReplaceBundleError::LowerSequence { current: five, found: four })
    );
    assert_eq!(
        current.replace(bundle(&old)),
        Err(ReplaceBundleError::LowerSequence { current: five, found: None })
    );
    let found = "elsewhere.example".parse().unwrap();
    let other = TrustBundle::new("elsewhere.example".parse().unwrap(), [old.der().clone()]).unwrap();
    assert_eq!(
        current.replace(other.with_schedule(9, Duration::ZERO)),
        Err(ReplaceBundleError::OtherTrustDomain { found })
    );
    assert_eq!(current.get().authorities(), [new.der().clone()], "nothing has changed");
    assert_eq!(current.get().sequence(), five);
}

/// R-D-015.
#[test]
fn discovery_leads_to_https_alone() {
    let parse = |uri: &str| {
        let json = json!({ "trustDomain": "factory.example", "trustBundleUri": uri, "later": true });
        serde_json::from_value::<DiscoveryDocument>(json)
    };
    let uri = "https://mis.factory.example/.well-known/spiffe/bundle.json";
    let document = parse(uri).unwrap();
    assert_eq!(document.trust_domain, trust_domain());
    assert_eq!(document.trust_bundle_uri.to_string(), uri);
    assert_eq!(
        serde_json::to_value(&document).unwrap(),
        json!({ "trustDomain": "factory.example", "trustBundleUri": uri, "later": true })
    );
    for wrong in [
        "http://mis.factory.example/bundle.json",
        "file:///etc/passwd",
        "/.well-known/spiffe/bundle.json",
        "mis.factory.example",
        "https:///bundle.json",
        "https://user:secret@mis.factory.example/",
        "",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    let wrong = json!({ "trustDomain": "spiffe://factory.example", "trustBundleUri": uri });
    assert!(serde_json::from_value::<DiscoveryDocument>(wrong).is_err());
}

/// R-D-014; RFC 7469, 2.4.
#[test]
fn a_pin_is_of_a_key() {
    let key = KeyPair::generate().unwrap();
    let again = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let (a, b) = (authority_with("a", key), authority_with("b", again));
    let pin = SpkiPin::of(a.der()).unwrap();
    assert!(pin.matches(b.der()), "another certificate of the same key");
    assert!(!pin.matches(authority("a").der()));
    assert!(!pin.matches(&b"no certificate"[..].into()));
    assert_eq!(pin.to_string().parse::<SpkiPin>().unwrap(), pin);
    // RFC 7469, 2.4: the form, by one of its examples.
    assert!("d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=".parse::<SpkiPin>().is_ok());
    for wrong in ["", "d6qz", "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM", "%"] {
        assert!(wrong.parse::<SpkiPin>().is_err(), "{wrong}");
    }
}

/// The pages' own documents, which lie beside the checkout: the bundle holds placeholders, which are no certificates.
#[test]
fn the_pages_documents_are_read() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        std::path::PathBuf::from,
    );
    if !folder.is_dir() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let read = |name: &str| std::fs::read(folder.join("D/valid").join(name)).unwrap();
    let json = read("DiscoveryDocument.page.json");
    let document = DiscoveryDocument::parse(&json).unwrap();
    let original: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), original);

    let json = read("SpiffeBundle.page.json");
    let document = SpiffeBundle::parse(&json).unwrap();
    let original: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), original);
    let error = TrustBundle::from_document(trust_domain(), &document).unwrap_err();
    assert!(matches!(error, TrustBundleError::Authority { index: 0, .. }));
}

/// R-D-016: a bundle survives its document, and other software's PEM.
#[test]
fn a_bundle_is_the_same_in_every_form() {
    let made = bundle(&authority("root")).with_schedule(7, Duration::from_hours(1));
    let again = TrustBundle::from_document(trust_domain(), &made.to_document()).unwrap();
    assert_eq!((again.sequence(), again.refresh_hint()), (Some(7), Some(Duration::from_hours(1))));
    assert_eq!(again.authorities(), made.authorities());
    assert_eq!(made.to_document().authorities(), made.authorities());
    let pem = TrustBundle::from_pem(trust_domain(), made.to_pem().as_bytes()).unwrap();
    assert_eq!((pem.authorities(), pem.sequence()), (made.authorities(), None));
}
