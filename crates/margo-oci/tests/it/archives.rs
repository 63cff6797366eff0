//! Archives at a URL, as the revisions before 1.0.0-rc.3 have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use margo_deployment::Package;
use margo_oci::{Artifact, FetchErrorKind, Limits, Signatures};

use crate::fake::{Answer, Asked, Fake, archive, fetcher, kept, status, typed};

/// Made with `gpg` 2.2: an Ed25519 key that does not expire, and its detached signature of [`SIGNED`].
const KEY: &str = include_str!("data/key.asc");
const OTHER_KEY: &str = include_str!("data/other-key.asc");
const SIGNATURE: &str = include_str!("data/package.tgz.asc");
const SIGNED: &[u8] = include_bytes!("data/package.tgz");

fn package(fake: &Fake, key: Option<&str>) -> Package {
    Package::Archive {
        package_location: format!("http://{}/package.tgz", fake.host()),
        key_location: key.map(|key| format!("http://{}/{key}", fake.host())),
    }
}

fn serve(asked: &Asked) -> Answer {
    match asked.path.as_str() {
        "/package.tgz" => typed("application/gzip", SIGNED.to_vec()),
        "/package.tgz.asc" => typed("text/plain", SIGNATURE.into()),
        "/key.asc" => typed("text/plain", KEY.into()),
        "/other-key.asc" => typed("text/plain", OTHER_KEY.into()),
        "/no-key.asc" => typed("text/plain", "hello".into()),
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// R-A-032.
#[tokio::test]
async fn an_archive_is_fetched_when_it_has_changed() {
    let version = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&version);
    let fake = Fake::start(move |asked| {
        let version = now.load(Ordering::SeqCst);
        if version == 0 {
            return status(StatusCode::BAD_GATEWAY);
        }
        let etag = format!("\"{version}\"");
        if asked.if_none_match.as_deref() == Some(&etag) {
            return status(StatusCode::NOT_MODIFIED);
        }
        let files = [("docker-compose.yml", format!("services: {{}} # {version}\n"))];
        let body = archive(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
        Response::builder().header("etag", etag).body(Body::from(body)).unwrap()
    })
    .await;
    let (cache, fetcher) = fetcher(fake.options());
    let first = fetcher.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap();
    let again = fetcher.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap();
    assert_eq!(first.digest(), again.digest());
    let asked = fake.asked();
    assert_eq!(asked[1].if_none_match.as_deref(), Some("\"1\""));
    let into = cache.path().join("elsewhere");
    let unpacked = first.unpack_into(&into).await.unwrap();
    assert_eq!(unpacked.compose_file().unwrap(), into.join("docker-compose.yml"));

    version.store(2, Ordering::SeqCst);
    let second = fetcher.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap();
    assert_ne!(first.digest(), second.digest());
    // R-A-006.
    version.store(0, Ordering::SeqCst);
    let offline = fetcher.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap();
    assert_eq!(offline.digest(), second.digest());
    assert_eq!(kept(&cache)["partial"], 0);
}

#[tokio::test]
async fn an_archive_without_end_is_given_up() {
    let fake = Fake::start(|_| {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0; 1000]));
        Response::new(Body::from_stream(chunks))
    })
    .await;
    let mut limits = Limits::default();
    limits.max_package = 100_000;
    let (cache, fetcher) = fetcher(fake.options().with_limits(limits));
    let error = fetcher.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::TooLarge, "{error}");
    assert_eq!(kept(&cache)["blobs"], 0);
}

#[tokio::test]
async fn only_the_web_has_archives_and_only_of_compose() {
    let fake = Fake::start(serve).await;
    let (_cache, fetcher) = fetcher(fake.options());
    for location in ["file:///etc/passwd", "nonsense", "https://user:geheim@x.example/a.tgz", "oci://x/y"] {
        let error = fetcher.fetch(&Package::archive(location), &Artifact::Compose).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::InvalidReference, "{location}");
        assert!(!location.contains('@') || !error.to_string().contains("geheim"), "{error}");
    }
    let error = fetcher.fetch(&package(&fake, None), &Artifact::Chart).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidReference);
}

/// Says so where it cannot run; `MARGO_SKIP_ENGINE` has nothing to do with it, since every Debian has the program.
fn has_gpgv() -> bool {
    let has = std::process::Command::new("gpgv").arg("--version").output().is_ok();
    if !has {
        crate::services::say("SKIPPED: no program `gpgv`: signatures are not checked here");
    }
    has
}

/// R-A-032.
#[tokio::test]
async fn a_signature_is_checked_where_a_key_is_named() {
    if !has_gpgv() {
        return;
    }
    let fake = Fake::start(serve).await;
    let (_cache, given) = fetcher(fake.options());
    given.fetch(&package(&fake, Some("key.asc")), &Artifact::Compose).await.unwrap();
    given.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap();
    let (_cache, required) = fetcher(fake.options().with_signatures(Signatures::Required));
    required.fetch(&package(&fake, Some("key.asc")), &Artifact::Compose).await.unwrap();
    let error = required.fetch(&package(&fake, None), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::BadSignature);
    for key in ["other-key.asc", "no-key.asc"] {
        let error = given.fetch(&package(&fake, Some(key)), &Artifact::Compose).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::BadSignature, "{error}");
    }
    let error = given.fetch(&package(&fake, Some("absent.asc")), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::NotFound, "{error}");
    let (_cache, ignored) = fetcher(fake.options().with_signatures(Signatures::Ignored));
    ignored.fetch(&package(&fake, Some("no-key.asc")), &Artifact::Compose).await.unwrap();
}

/// R-A-032.
#[tokio::test]
async fn an_archive_that_was_changed_has_no_signature_any_more() {
    if !has_gpgv() {
        return;
    }
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/package.tgz" => typed("application/gzip", [SIGNED, b"x"].concat()),
        _ => serve(asked),
    })
    .await;
    let (_cache, fetcher) = fetcher(fake.options());
    let error = fetcher.fetch(&package(&fake, Some("key.asc")), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::BadSignature, "{error}");
    assert!(error.to_string().contains("not good"), "{error}");
}

/// R-A-032.
#[tokio::test]
async fn a_signature_that_is_not_there_or_cannot_be_checked_is_no_signature() {
    let fake = Fake::start(|asked| match asked.path.as_str() {
        "/package.tgz.asc" => status(StatusCode::NOT_FOUND),
        _ => serve(asked),
    })
    .await;
    let (_cache, fetcher) = fetcher(fake.options());
    let error = fetcher.fetch(&package(&fake, Some("key.asc")), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::BadSignature);
    let fake = Fake::start(serve).await;
    let (_cache, without) = crate::fake::fetcher(fake.options().with_gpgv("/nonexistent/gpgv"));
    let error = without.fetch(&package(&fake, Some("key.asc")), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::BadSignature);
    assert!(error.to_string().contains("install `gpgv`"), "{error}");
}
