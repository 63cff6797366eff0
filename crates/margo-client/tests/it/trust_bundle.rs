//! Where a trust bundle comes from, and which one is taken.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use margo_client::{FetchBundleError, SetupError, TrustBundleClient};
use margo_identity::{CurrentTrustBundle, TrustBundleError};

use crate::fake::{Fake, answer};
use crate::pki::{authority, bundle, trust_domain};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A server whose discovery document and bundle are these; the bundle's tag is its content's length.
fn server(discovery: &'static str, bundle: Arc<Mutex<String>>) -> (TrustBundleClient<Arc<Fake>>, Arc<Fake>) {
    let fake = Fake::new(move |request| {
        let bundle = bundle.lock().unwrap().clone();
        let tag = format!("\"{}\"", margo_core::Digest::of(bundle.as_bytes()));
        Ok(match request.uri().to_string().as_str() {
            "https://mis.example/.well-known/margo" => answer(200, &[JSON], discovery),
            "https://bundles.example/factory.json"
                if request.headers().get("if-none-match").is_some_and(|known| known == tag.as_str()) =>
            {
                answer(304, &[], "")
            }
            "https://bundles.example/factory.json" => answer(200, &[JSON, ("etag", &tag)], bundle),
            _ => answer(404, &[], ""),
        })
    });
    let base = "https://mis.example".parse().unwrap();
    (TrustBundleClient::discovered(Arc::clone(&fake), trust_domain(), base).unwrap(), fake)
}

const DISCOVERY: &str =
    r#"{"trustDomain":"factory.example","trustBundleUri":"https://bundles.example/factory.json","later":1}"#;

fn shared(text: impl Into<String>) -> Arc<Mutex<String>> {
    Arc::new(Mutex::new(text.into()))
}

/// R-D-014, R-D-015: discovery leads to the bundle; what is new is taken, what is known is not sent again.
#[tokio::test]
async fn the_bundle_is_found_and_kept_fresh() {
    let (first, second) = (authority("first"), authority("second"));
    let hour = Duration::from_hours(1);
    let served = shared(bundle(&first).with_schedule(1, hour).to_json());
    let (client, fake) = server(DISCOVERY, Arc::clone(&served));
    let fetched = client.fetch().await.unwrap().unwrap();
    assert_eq!(fetched.bytes(), served.lock().unwrap().as_bytes(), "to be kept as it is");
    let current = CurrentTrustBundle::new(fetched.into_value());

    let (bytes, wait) = client.refresh(&current).await.unwrap();
    assert_eq!((bytes, wait), (None, hour));
    assert!(fake.last().headers().contains_key("if-none-match"));

    *served.lock().unwrap() = bundle(&second).with_schedule(2, Duration::from_secs(7)).to_json();
    let (bytes, wait) = client.refresh(&current).await.unwrap();
    assert!(bytes.is_some());
    assert_eq!(wait, Duration::from_secs(7), "the hint of the new one");
    assert_eq!(current.get().authorities(), [second.der().clone()]);
}

/// R-D-016: nothing older, nothing empty, nothing of anybody else; what was in force stays.
#[tokio::test]
async fn a_worse_bundle_is_refused() {
    let root = authority("root");
    let good = bundle(&root).with_schedule(5, Duration::from_mins(1));
    let current = CurrentTrustBundle::new(good.clone());
    let older = bundle(&authority("older")).with_schedule(4, Duration::from_mins(1)).to_json();
    for text in [
        older.as_str(),
        r#"{"spiffe_sequence":6,"keys":[]}"#,
        r#"{"spiffe_sequence":6,"keys":[{"use":"jwt-svid","x5c":[]}]}"#,
        "",
        "[]",
    ] {
        let (client, _) = server(DISCOVERY, shared(text));
        for _ in 0..2 {
            let error = client.refresh(&current).await.unwrap_err();
            assert!(matches!(error, FetchBundleError::Bundle(_) | FetchBundleError::Replace(_)), "{text}");
        }
        assert_eq!(current.get().authorities(), good.authorities());
    }
    let (client, _) = server(DISCOVERY, shared(r#"{"keys":[]}"#));
    assert!(matches!(client.fetch().await, Err(FetchBundleError::Bundle(TrustBundleError::Empty))));
}

/// R-D-015.
#[tokio::test]
async fn a_discovery_document_is_not_believed_blindly() {
    let served = || shared(bundle(&authority("root")).to_json());
    for (document, is_other) in [
        (
            r#"{"trustDomain":"factory.example","trustBundleUri":"http://bundles.example/factory.json"}"#,
            false,
        ),
        (r#"{"trustDomain":"factory.example","trustBundleUri":"/factory.json"}"#, false),
        (r#"{"trustDomain":"factory.example"}"#, false),
        ("<html>", false),
        (
            r#"{"trustDomain":"elsewhere.example","trustBundleUri":"https://bundles.example/factory.json"}"#,
            true,
        ),
    ] {
        let (client, fake) = server(document, served());
        let error = client.fetch().await.unwrap_err();
        assert_eq!(matches!(error, FetchBundleError::OtherTrustDomain { .. }), is_other, "{error}");
        assert_eq!(fake.seen(), ["GET /.well-known/margo"], "nobody else was asked");
    }
}

#[test]
fn a_bundle_is_not_fetched_in_the_clear() {
    let fake = Fake::new(|_| unreachable!("nothing is sent"));
    let base = "http://mis.example".parse().unwrap();
    let refused = TrustBundleClient::discovered(fake, trust_domain(), base);
    assert!(matches!(refused, Err(SetupError::BaseUrl { .. })));
}
