//! What an honest registry and a device do with each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use margo_core::Digest;
use margo_deployment::Package;
use margo_oci::{Artifact, Credentials, FetchErrorKind, Limits, Options, Registry};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::fake::{Answer, Asked, Content, Fake, broken, fetcher, kept, status, typed};

/// R-D-035, R-D-034.
#[tokio::test]
async fn a_component_is_fetched_once_and_unpacked() {
    let content = Content::compose();
    let fake = Fake::start({
        let content = content.clone();
        move |asked| content.answer(asked)
    })
    .await;
    let (cache, fetcher) = fetcher(fake.options());
    // The future can be spawned.
    let fetched = {
        let (fetcher, package) = (fetcher.clone(), fake.package());
        tokio::spawn(async move { fetcher.fetch(&package, &Artifact::Compose).await }).await.unwrap().unwrap()
    };
    assert_eq!(fetched.digest(), content.digest());
    assert_eq!(std::fs::read(fetched.file()).unwrap(), content.layer);
    let into = cache.path().join("elsewhere");
    let unpacked = fetched.unpack_into(&into).await.unwrap();
    assert_eq!(unpacked.compose_file().unwrap(), into.join("app/compose.yaml"));
    assert_eq!(fake.count("/blobs/"), 1);

    fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    let paths: Vec<_> = fake.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v2/pumps/collector/manifests/1.0.9"]);
    assert_eq!(kept(&cache)["partial"], 0);
}

#[tokio::test]
async fn what_two_components_share_is_fetched_once() {
    let content = Content::large();
    let fake = Fake::start(move |asked| content.answer(asked)).await;
    let (_cache, fetcher) = fetcher(fake.options());
    let package = fake.package();
    let (one, other) = tokio::join!(
        fetcher.fetch(&package, &Artifact::Compose),
        fetcher.fetch(&package, &Artifact::Compose)
    );
    assert_eq!(one.unwrap().digest(), other.unwrap().digest());
    assert_eq!(fake.count("/blobs/"), 1);
}

#[tokio::test]
async fn a_digest_is_a_revision_too() {
    let content = Content::compose();
    let manifest = Digest::of(&content.manifest);
    let fake = Fake::start(move |asked| content.answer(asked)).await;
    let (_cache, fetcher) = fetcher(fake.options());
    let package = |digest: Digest| {
        Package::oci(format!("oci://{}/pumps/collector", fake.host()), digest.to_string().parse().unwrap())
    };
    fetcher.fetch(&package(manifest), &Artifact::Compose).await.unwrap();
    let error = fetcher.fetch(&package(Digest::of(b"other")), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Corrupt);
}

fn unauthorized(challenge: &str) -> Answer {
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header("www-authenticate", challenge)
        .body(Body::empty())
        .unwrap()
}

fn with(fake: &Fake, credentials: Option<Credentials>) -> Options {
    let registry = Registry::new().with_plain_http();
    let registry = match credentials {
        Some(credentials) => registry.with_credentials(credentials),
        None => registry,
    };
    fake.options().with_registry(fake.host(), registry)
}

#[tokio::test]
async fn a_password_is_told_when_it_is_asked_for() {
    let content = Content::compose();
    let fake = Fake::start(move |asked| match asked.authorization.as_deref() {
        // margo:secret
        Some("Basic bWFyZ286c2VjcmV0") => content.answer(asked),
        _ => unauthorized("Basic realm=\"plant\""),
    })
    .await;
    let (_cache, good) = fetcher(with(&fake, Some(Credentials::basic("margo", "secret"))));
    good.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    let told: Vec<_> = fake.asked().iter().map(|asked| asked.authorization.is_some()).collect();
    assert_eq!(told, [false, true, true]);
    for wrong in [None, Some(Credentials::basic("margo", "guess")), Some(Credentials::bearer("guess"))] {
        let (cache, bad) = fetcher(with(&fake, wrong));
        let error = bad.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Unauthorized);
        assert!(!format!("{error:?}").contains("guess"));
        assert_eq!(kept(&cache)["partial"], 0);
    }
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says_and_kept() {
    let content = Content::compose();
    let valid = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&valid);
    let tokens = Fake::start(move |asked| {
        let is_known = asked.authorization.as_deref() == Some("Basic bWFyZ286c2VjcmV0");
        if is_known && asked.query == "service=plant&scope=repository%3Apumps%2Fcollector%3Apull" {
            let token = format!(r#"{{"token": "t{}", "expires_in": 60}}"#, now.load(Ordering::SeqCst));
            return typed("application/json", token.into());
        }
        status(StatusCode::UNAUTHORIZED)
    })
    .await;
    let (realm, now) = (tokens.host(), Arc::clone(&valid));
    let fake = Fake::start(move |asked| {
        let token = format!("Bearer t{}", now.load(Ordering::SeqCst));
        if asked.authorization.as_deref() == Some(&token) {
            return content.answer(asked);
        }
        let scope = "repository:pumps/collector:pull";
        unauthorized(&format!(r#"Bearer realm="http://{realm}/token",service="plant",scope="{scope}""#))
    })
    .await;
    let (_cache, good) = fetcher(with(&fake, Some(Credentials::basic("margo", "secret"))));
    good.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    good.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    assert_eq!(tokens.count("/token"), 1);
    // Tokens do not live for ever.
    valid.store(2, Ordering::SeqCst);
    good.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    assert_eq!(tokens.count("/token"), 1);

    let (_cache, bad) = fetcher(with(&fake, Some(Credentials::basic("margo", "guess"))));
    let error = bad.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unauthorized);
    let (_cache, static_token) = fetcher(with(&fake, Some(Credentials::bearer("t2"))));
    static_token.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
}

/// Storage behind a registry is somebody else's.
#[tokio::test]
async fn a_redirect_is_followed_without_credentials() {
    let content = Content::compose();
    let layer = content.layer.clone();
    let storage = Fake::start(move |_| typed("application/octet-stream", layer.clone())).await;
    let place = format!("http://{}/bucket?signature=x", storage.host());
    let fake = Fake::start(move |asked| {
        if asked.authorization.is_none() {
            return unauthorized("Basic realm=x");
        }
        if asked.path.contains("/blobs/") {
            let answer = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
            return answer.header("location", &place).body(Body::empty()).unwrap();
        }
        content.answer(asked)
    })
    .await;
    let (_cache, fetcher) = fetcher(with(&fake, Some(Credentials::basic("margo", "secret"))));
    fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    let asked = storage.asked();
    assert_eq!((asked.len(), asked[0].authorization.as_deref()), (1, None));
}

#[tokio::test]
async fn nothing_goes_over_the_wire_in_the_clear_unless_that_was_said() {
    let content = Content::compose();
    let fake = Fake::start(move |asked| content.answer(asked)).await;
    let (_cache, fetcher) = fetcher(Options::new().with_attempts(1));
    let error = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unreachable);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_private_authority_vouches_for_its_own_registry() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let content = Content::compose();
    let fake = Fake::start_tls(TlsAcceptor::from(Arc::new(tls)), move |asked| content.answer(asked)).await;
    let options = Options::new().with_attempts(1);
    let (_cache, stranger) = fetcher(options.clone());
    let error = stranger.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unreachable);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(fake.asked().is_empty());
    let registry = Registry::new().with_root_certificate(cert.pem().as_bytes()).unwrap();
    let (_cache, friend) = fetcher(options.with_registry(fake.host(), registry));
    friend.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
}

/// R-A-006.
#[tokio::test]
async fn what_is_here_is_used_when_its_registry_is_away() {
    let content = Content::compose();
    let is_away = Arc::new(AtomicUsize::new(0));
    let away = Arc::clone(&is_away);
    let fake = Fake::start(move |asked| match away.load(Ordering::SeqCst) {
        0 => content.answer(asked),
        1 => status(StatusCode::SERVICE_UNAVAILABLE),
        _ => status(StatusCode::NOT_FOUND),
    })
    .await;
    let cache = tempfile::tempdir().unwrap();
    let fetcher = || margo_oci::Fetcher::new(cache.path(), fake.options()).unwrap();
    fetcher().fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    is_away.store(1, Ordering::SeqCst);
    fetcher().fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    // Another type was never here, whatever the tag.
    assert!(fetcher().fetch(&fake.package(), &Artifact::Chart).await.is_err());
    // Gone is not away.
    is_away.store(2, Ordering::SeqCst);
    let error = fetcher().fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::NotFound);
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again() {
    for busy in [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
        let content = Content::compose();
        let asked_before = AtomicUsize::new(0);
        let fake = Fake::start(move |asked| {
            if asked_before.fetch_add(1, Ordering::SeqCst) == 0 {
                let answer = Response::builder().status(busy).header("retry-after", "0");
                return answer.body(Body::empty()).unwrap();
            }
            content.answer(asked)
        })
        .await;
        let (_cache, fetcher) = fetcher(fake.options());
        fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    }
}

/// What breaks off goes on, in the same process and in the next one.
#[tokio::test]
async fn a_download_goes_on_where_it_ended() {
    let content = Content::large();
    let half = content.layer.len() / 2;
    let is_fragile = Arc::new(AtomicUsize::new(usize::MAX));
    let breaks = Arc::clone(&is_fragile);
    let fake = Fake::start({
        let content = content.clone();
        move |asked: &Asked| {
            let is_first = asked.path.contains("/blobs/")
                && breaks
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if is_first && asked.range.is_none() {
                broken(&content.layer, half)
            } else {
                content.answer(asked)
            }
        }
    })
    .await;
    let (cache, one_attempt) = fetcher(fake.options().with_attempts(1));
    let error = one_attempt.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unreachable);
    assert_eq!(kept(&cache)["partial"], 1);
    fake.asked();
    let next = margo_oci::Fetcher::new(cache.path(), fake.options()).unwrap();
    let fetched = next.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    assert_eq!(std::fs::read(fetched.file()).unwrap(), content.layer);
    let ranges: Vec<_> = fake.asked().into_iter().filter_map(|asked| asked.range).collect();
    assert_eq!(ranges, [format!("bytes={half}-")]);
    assert_eq!(kept(&cache)["partial"], 0);

    // Within one fetch.
    let (_cache, fetcher) = fetcher(fake.options());
    fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    assert_eq!(fake.asked().iter().filter(|asked| asked.range.is_some()).count(), 1);
}

#[tokio::test]
async fn the_cache_stays_within_its_size() {
    let contents = ["1", "2", "3", "4"]
        .map(|text| Content::of(crate::fake::archive(&[("a/compose.yaml", &text.repeat(5000))])));
    let size = contents.iter().map(|content| content.layer.len() as u64).max().unwrap();
    let by_tag = contents.clone();
    let fake = Fake::start(move |asked| {
        let of = |content: &&Content| asked.path.ends_with(&content.digest().to_string());
        match asked.path.rsplit('/').next().and_then(|tag| tag.parse::<usize>().ok()) {
            Some(tag) => by_tag[tag].answer(asked),
            None => by_tag.iter().find(of).map_or_else(|| status(StatusCode::NOT_FOUND), |c| c.answer(asked)),
        }
    })
    .await;
    let mut limits = Limits::default();
    limits.max_cache = 2 * size;
    let (cache, fetcher) = fetcher(fake.options().with_limits(limits));
    for (tag, content) in contents.iter().enumerate() {
        let package =
            Package::oci(format!("oci://{}/pumps/collector", fake.host()), tag.to_string().parse().unwrap());
        let fetched = fetcher.fetch(&package, &Artifact::Compose).await.unwrap();
        assert_eq!(fetched.digest(), content.digest());
        assert!(kept(&cache)["blobs"] <= 2);
    }
}

/// What would be pulled is known before, for the platform it is pulled for, and nothing but manifests is asked for.
#[tokio::test]
async fn the_size_of_an_image_is_known_before_it_is_pulled() {
    let manifest = |layer: u64| {
        let blob = |name: &[u8], size: u64| json!({ "digest": Digest::of(name), "size": size });
        json!({ "config": blob(b"config", 7), "layers": [blob(b"layer", layer), blob(b"layer", layer)] })
            .to_string()
    };
    let of = |architecture: &str, digest: Digest| json!({ "digest": digest, "platform": { "os": "linux", "architecture": architecture } });
    let (amd, arm) = (manifest(1000), manifest(2000));
    let arm_digest = Digest::of(arm.as_bytes());
    let index = json!({ "manifests": [of("amd64", Digest::of(amd.as_bytes())), of("arm64", arm_digest)] })
        .to_string();
    let fake = Fake::start(move |asked| {
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        match asked.path.strip_prefix("/v2/pumps/web/manifests/") {
            Some("1") => typed(docker, amd.clone().into()),
            Some("2") => typed("application/vnd.oci.image.index.v1+json", index.clone().into()),
            Some("3") => typed("text/html", b"<p>".to_vec()),
            Some(digest) if *digest == arm_digest.to_string() => typed(docker, arm.clone().into()),
            _ => status(StatusCode::NOT_FOUND),
        }
    })
    .await;
    let (_cache, fetcher) = fetcher(fake.options());
    let size = async |tag: &str, platform: &str| {
        fetcher.image_size(&format!("{}/pumps/web{tag}", fake.host()), platform).await
    };
    assert_eq!(size(":1", "linux/amd64").await.unwrap(), Some(1007));
    assert_eq!(size(":2", "linux/arm64").await.unwrap(), Some(2007));
    assert_eq!(size(&format!("@{arm_digest}"), "linux/arm64").await.unwrap(), Some(2007));
    assert_eq!(size(":2", "linux/s390x").await.unwrap(), None);
    assert_eq!(size(":3", "linux/amd64").await.unwrap(), None);
    assert_eq!(size("", "linux/amd64").await.unwrap_err().kind(), FetchErrorKind::NotFound);
    assert_eq!(fake.count("/blobs/"), 0);
}
