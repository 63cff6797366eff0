//! What a hostile or broken registry can try.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use margo_api::RuntimeError;
use margo_application::package::MANIFEST_MEDIA_TYPE;
use margo_oci::{Artifact, FetchErrorKind, Fetcher, Limits, Options};

use crate::fake::{Answer, Asked, Content, Fake, archive, broken, fetcher, gzip, kept, status, typed};
use crate::small_disk::SmallDisk;

/// The kind and the text of the failure; nothing is left that stands in the way.
async fn failure(
    content: &Content,
    limits: Limits,
    answer: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (FetchErrorKind, String) {
    let is_hostile = Arc::new(AtomicUsize::new(1));
    let hostile = Arc::clone(&is_hostile);
    let honest = content.clone();
    let fake = Fake::start(move |asked| {
        let honest = honest.answer(asked);
        if hostile.load(Ordering::SeqCst) == 1 { answer(asked, honest) } else { honest }
    })
    .await;
    let (cache, fetcher) = fetcher(fake.options().with_limits(limits));
    let error = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(kept(&cache)["blobs"], 0, "{error}");
    is_hostile.store(0, Ordering::SeqCst);
    if limits == Limits::default() {
        let fetched = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
        assert_eq!(fetched.digest(), content.digest());
    }
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn nobody_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (_cache, fetcher) = fetcher(Options::new().with_attempts(2));
    let package =
        margo_deployment::Package::oci(format!("oci://{address}/pumps/collector"), "1".parse().unwrap());
    let error = fetcher.fetch(&package, &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unreachable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let report = RuntimeError::from(error);
    assert_eq!(report.code(), "registry-unreachable");
}

/// R-D-035.
#[tokio::test]
async fn other_bytes_of_the_same_length() {
    let content = Content::compose();
    let (kind, message) = failure(&content, Limits::default(), |asked, honest| {
        if !asked.path.contains("/blobs/") {
            return honest;
        }
        let mut layer = Content::compose().layer;
        layer[30] ^= 1;
        typed("application/octet-stream", layer)
    })
    .await;
    assert_eq!(kind, FetchErrorKind::Corrupt, "{message}");
    assert!(message.contains("not of its digest"), "{message}");
}

/// R-D-035.
#[tokio::test]
async fn another_manifest_than_the_one_announced() {
    let (kind, message) = failure(&Content::compose(), Limits::default(), |asked, mut honest| {
        if asked.path.contains("/manifests/") {
            let other = margo_core::Digest::of(b"other").to_string();
            honest.headers_mut().insert("docker-content-digest", other.parse().unwrap());
        }
        honest
    })
    .await;
    assert_eq!(kind, FetchErrorKind::Corrupt, "{message}");
}

/// R-D-034.
#[tokio::test]
async fn something_else_than_a_component() {
    for media_type in ["application/vnd.oci.image.index.v1+json", "text/html", ""] {
        let (kind, message) = failure(&Content::compose(), Limits::default(), move |asked, honest| {
            if asked.path.contains("/manifests/") {
                return typed(media_type, Content::compose().manifest);
            }
            honest
        })
        .await;
        assert_eq!(kind, FetchErrorKind::WrongType, "{message}");
    }
    let (kind, _) = failure(&Content::compose(), Limits::default(), |asked, honest| {
        let mut manifest = Content::compose().manifest;
        if asked.path.contains("/manifests/") {
            manifest.truncate(20);
            return typed(MANIFEST_MEDIA_TYPE, manifest);
        }
        honest
    })
    .await;
    assert_eq!(kind, FetchErrorKind::WrongType);
    // A component is no chart.
    let fake = Fake::start(|asked| Content::compose().answer(asked)).await;
    let (_cache, fetcher) = fetcher(fake.options());
    let error = fetcher.fetch(&fake.package(), &Artifact::Chart).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::WrongType);
}

#[tokio::test]
async fn a_layer_that_never_ends_where_it_should() {
    let (kind, message) = failure(&Content::large(), Limits::default(), |asked, honest| {
        if !asked.path.contains("/blobs/") {
            return honest;
        }
        // Always a little less, whatever is asked for.
        broken(&Content::large().layer, 1000)
    })
    .await;
    assert_eq!(kind, FetchErrorKind::Unreachable, "{message}");
    let (kind, message) = failure(&Content::large(), Limits::default(), |asked, honest| {
        if !asked.path.contains("/blobs/") {
            return honest;
        }
        typed("application/octet-stream", Content::large().layer[..1000].to_vec())
    })
    .await;
    assert_eq!(kind, FetchErrorKind::Corrupt, "{message}");
    assert!(message.contains("shorter"), "{message}");
}

#[tokio::test]
async fn a_layer_that_is_longer_than_announced() {
    for is_announced in [true, false] {
        let (kind, message) = failure(&Content::compose(), Limits::default(), move |asked, honest| {
            if !asked.path.contains("/blobs/") {
                return honest;
            }
            let layer = [Content::compose().layer, vec![0; 100_000]].concat();
            if is_announced {
                return typed("application/octet-stream", layer);
            }
            let chunks =
                futures_util::stream::iter(layer.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>());
            let chunks = futures_util::StreamExt::map(chunks, Ok::<_, std::io::Error>);
            Response::new(Body::from_stream(chunks))
        })
        .await;
        assert_eq!(kind, FetchErrorKind::Corrupt, "{message}");
        assert!(message.contains("longer"), "{message}");
    }
}

/// A wrong part is not appended to the right one.
#[tokio::test]
async fn another_part_than_the_one_asked_for() {
    let content = Content::large();
    let half = content.layer.len() / 2;
    for wrong in [0, half - 1, half + 1] {
        let honest = content.clone();
        let fake = Fake::start(move |asked| match (&asked.range, asked.path.contains("/blobs/")) {
            (None, true) => broken(&honest.layer, half),
            (Some(_), _) => {
                let range = format!("bytes {wrong}-{}/{}", honest.layer.len() - 1, honest.layer.len());
                let answer =
                    Response::builder().status(StatusCode::PARTIAL_CONTENT).header("content-range", range);
                answer.body(Body::from(honest.layer[wrong..].to_vec())).unwrap()
            }
            _ => honest.answer(asked),
        })
        .await;
        let (cache, fetcher) = fetcher(fake.options());
        let error = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Unreachable, "{error}");
        assert_eq!(kept(&cache)["blobs"], 0);
    }
}

/// What an attacker, or a power cut, left behind from an earlier attempt.
#[tokio::test]
async fn a_wrong_beginning_is_noticed_and_thrown_away() {
    let content = Content::large();
    let fake = Fake::start({
        let content = content.clone();
        move |asked| content.answer(asked)
    })
    .await;
    for left in [vec![0; 1000], vec![0; content.layer.len()], vec![0; content.layer.len() + 1]] {
        let (cache, fetcher) = fetcher(fake.options());
        std::fs::write(cache.path().join("partial").join(content.digest().hex()), &left).unwrap();
        let fetched = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
        assert_eq!(std::fs::read(fetched.file()).unwrap(), content.layer);
    }
}

#[tokio::test]
async fn more_than_this_device_takes() {
    let content = Content::large();
    let mut limits = Limits::default();
    limits.max_package = content.layer.len() as u64 - 1;
    let honest = content.clone();
    let fake = Fake::start(move |asked| honest.answer(asked)).await;
    let (_cache, small) = fetcher(fake.options().with_limits(limits));
    let error = small.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::TooLarge);
    // Nobody asked for it.
    assert_eq!(fake.count("/blobs/"), 0);

    let mut limits = Limits::default();
    limits.max_manifest = 100;
    let (kind, _) = failure(&content, limits, |_, honest| honest).await;
    assert_eq!(kind, FetchErrorKind::TooLarge);
    // Not announced, and without an end.
    let (kind, _) = failure(&content, limits, |_, _| {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1000]));
        let mut answer = Response::new(Body::from_stream(chunks));
        answer.headers_mut().insert("content-type", MANIFEST_MEDIA_TYPE.parse().unwrap());
        answer
    })
    .await;
    assert_eq!(kind, FetchErrorKind::TooLarge);
}

#[tokio::test]
async fn redirects_without_end_and_to_nowhere() {
    let around = |location: &'static str| {
        move |_: &Asked, _: Answer| {
            let answer = Response::builder().status(StatusCode::FOUND).header("location", location);
            answer.body(Body::empty()).unwrap()
        }
    };
    let (kind, message) = failure(&Content::compose(), Limits::default(), around("/v2/around")).await;
    assert_eq!(kind, FetchErrorKind::Unreachable);
    assert!(message.contains("more than 5"), "{message}");
    let (kind, _) = failure(&Content::compose(), Limits::default(), around("file:///etc/passwd")).await;
    assert_eq!(kind, FetchErrorKind::InvalidReference);
    let (kind, _) = failure(&Content::compose(), Limits::default(), |_, _| status(StatusCode::FOUND)).await;
    assert_eq!(kind, FetchErrorKind::Unreachable);
}

/// A registry cannot send the password of a device to whom it likes, unencrypted.
#[tokio::test]
async fn a_service_of_tokens_that_leaks() {
    for realm in ["ftp://x/", "nonsense", "file:///token"] {
        let (kind, _) = failure(&Content::compose(), Limits::default(), move |_, _| {
            Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .header("www-authenticate", format!("Bearer realm=\"{realm}\""))
                .body(Body::empty())
                .unwrap()
        })
        .await;
        assert!(matches!(kind, FetchErrorKind::Unauthorized | FetchErrorKind::InvalidReference), "{kind:?}");
    }
}

/// R-D-035, revision D, section 3.8. The digests are right, and the archive is not.
#[tokio::test]
async fn archives_that_do_harm() {
    let mut escaping = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..9].copy_from_slice(b"../escape");
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    escaping.append(&header, &[][..]).unwrap();
    let escaping = gzip(&escaping.into_inner().unwrap());
    let bomb = archive(&[("app/compose.yaml", &"0".repeat(32 << 20))]);
    let no_file = archive(&[("app/docker-compose.yml", "services: {}\n")]);
    for (layer, kind) in [
        (escaping, FetchErrorKind::BadArchive),
        (bomb, FetchErrorKind::TooLarge),
        (b"not gzip".to_vec(), FetchErrorKind::BadArchive),
        (no_file, FetchErrorKind::BadArchive),
    ] {
        let content = Content::of(layer);
        let fake = Fake::start(move |asked| content.answer(asked)).await;
        let (cache, fetcher) = fetcher(fake.options());
        let fetched = fetcher.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
        let place = tempfile::tempdir().unwrap();
        let result = fetched.unpack_into(place.path().join("app")).await;
        let error = result.and_then(|unpacked| unpacked.compose_file()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let left: Vec<_> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty() || left == ["app"], "{left:?}");
        assert!(!cache.path().join("escape").exists());
    }
}

/// A disk that fills up is told of as such, leaves nothing, and with room the next attempt succeeds.
#[tokio::test]
async fn a_disk_that_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), 256) else { return };
    let content = Content::large();
    let fake = Fake::start(move |asked| content.answer(asked)).await;
    let (_cache, elsewhere) = fetcher(fake.options());
    let fetched = elsewhere.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    let into = folder.path().join("app");
    for _ in 0..2 {
        let error = fetched.unpack_into(&into).await.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::NoSpace, "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
    }
    // Neither is there room for the package itself: some is left to others.
    let here = Fetcher::new(folder.path().join("cache"), fake.options()).unwrap();
    let error = here.fetch(&fake.package(), &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::NoSpace, "{error}");
    assert_eq!(RuntimeError::from(error).code(), "disk-full");
    disk.grow(64 << 10);
    let fetched = here.fetch(&fake.package(), &Artifact::Compose).await.unwrap();
    fetched.unpack_into(&into).await.unwrap();
}
