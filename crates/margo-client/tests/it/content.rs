//! Deployments, alone and in a bundle: nothing unverified gets through, and nothing leads away.

use margo_api::{DesiredStateSource, SourceErrorKind};
use margo_client::{ClientLimits, TransportError, TransportErrorKind};
use margo_core::{Digest, SpecVersion};
use margo_deployment::{BundleRef, DeploymentRef, write_bundle};

use crate::fake::{Answer, Client, State, answer, client, yaml};

const RC3: SpecVersion = SpecVersion::V1_0_0Rc3;

/// A manager that has every deployment of `state`, and answers for the bundle as told.
fn with_bundle(
    state: &State,
    bundle: impl Fn() -> Answer + Send + Sync + 'static,
) -> (Client, std::sync::Arc<crate::fake::Fake>) {
    let singles =
        State { manifest: state.manifest.clone(), deployments: state.deployments.clone(), bundle: "".into() };
    client(RC3, move |request| {
        let path = request.uri().path();
        if path.contains("/bundles/") {
            return bundle();
        }
        Ok(singles.single(path).map_or_else(|| answer(404, &[], ""), |bytes| answer(200, &[], bytes)))
    })
}

async fn fetch_all(client: &Client, state: &State) -> Result<Vec<Digest>, SourceErrorKind> {
    let fetched = client.fetch_all(&state.manifest, &state.references()).await;
    let digests = |documents: Vec<_>| {
        documents
            .iter()
            .map(margo_core::Document::<margo_deployment::ApplicationDeployment>::digest)
            .collect()
    };
    fetched.map(digests).map_err(|error| error.kind())
}

fn expected(state: &State) -> Vec<Digest> {
    state.references().iter().map(|reference| reference.digest).collect()
}

#[tokio::test]
async fn a_deployment_is_fetched_by_its_digest() {
    let state = State::with(1);
    let (client, fake) = with_bundle(&state, || panic!("not asked for"));
    let document = client.fetch(&state.references()[0]).await.unwrap();
    assert_eq!(document.bytes(), &state.deployments[0].1);
    assert_eq!(fake.seen(), [format!("GET /margo/api/v1/deployments/d-0/{}", document.digest())]);
}

/// R-B-026, R-B-027.
#[tokio::test]
async fn content_with_another_digest_is_corrupt() {
    let state = State::with(1);
    for body in ["", "id: d-0", "\n"] {
        let (client, _) = client(RC3, move |_| Ok(answer(200, &[], body)));
        let error = client.fetch(&state.references()[0]).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Corrupt, "{body:?}");
    }
}

/// The header is not the content: an `ETag` that claims the right digest proves nothing.
#[tokio::test]
async fn a_claimed_digest_is_not_believed() {
    let state = State::with(1);
    let reference = state.references().remove(0);
    let etag = format!("\"{}\"", reference.digest);
    let (client, _) = client(RC3, move |_| Ok(answer(200, &[("etag", &etag)], "id: d-0")));
    assert_eq!(client.fetch(&reference).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
}

#[tokio::test]
async fn verified_content_that_is_no_deployment_is_corrupt() {
    for body in ["id: [", "7", "id: d-0"] {
        let reference = DeploymentRef::new("d-0".parse().unwrap(), Digest::of(body.as_bytes()));
        let (client, _) = client(RC3, move |_| Ok(answer(200, &[], body)));
        assert_eq!(client.fetch(&reference).await.unwrap_err().kind(), SourceErrorKind::Corrupt, "{body}");
    }
}

/// Rev-D 3.2: `deploymentId` is the top-level `id`.
#[tokio::test]
async fn a_deployment_under_another_id_is_corrupt() {
    let bytes = yaml(&"d-1".parse().unwrap());
    let reference = DeploymentRef::new("d-0".parse().unwrap(), Digest::of(&bytes));
    let (client, _) = client(RC3, move |_| Ok(answer(200, &[], bytes.clone())));
    assert_eq!(client.fetch(&reference).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
}

/// R-B-031: absence of content is its own answer, for the agent to keep apart from deletion.
#[tokio::test]
async fn a_missing_digest_is_not_a_deletion() {
    let (client, _) = client(RC3, |_| Ok(answer(404, &[], "")));
    let error = client.fetch(&State::with(1).references()[0]).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::NotFound);
}

#[tokio::test]
async fn another_place_of_the_same_manager_is_followed() {
    let state = State::with(1);
    let (mut reference, digest) = (state.references().remove(0), state.deployments[0].0.digest);
    let encoded = format!("/api/v1/deployments/d-0/{}", digest.to_string().replace(':', "%3A"));
    for (url, path) in [
        (encoded, format!("/margo/api/v1/deployments/d-0/{digest}")),
        (
            format!("/api/v1/clients/plant-7/deployments/d-0/{digest}"),
            format!("/api/v1/clients/plant-7/deployments/d-0/{digest}"),
        ),
        (format!("http://127.0.0.1:8080/cdn/{digest}"), format!("/cdn/{digest}")),
    ] {
        let (client, fake) = with_bundle(&state, || panic!("not asked for"));
        reference.url.clone_from(&url);
        client.fetch(&reference).await.unwrap();
        assert_eq!(fake.seen(), [format!("GET {path}")], "{url}");
        assert_eq!(fake.last().uri().authority().unwrap(), "127.0.0.1:8080");
    }
}

/// Neither a request nor a token leaves for another origin.
#[tokio::test]
async fn a_manifest_leads_to_nobody_else() {
    let state = State::with(4);
    let digest = state.deployments[0].0.digest;
    for url in [
        format!("http://evil.example/api/v1/deployments/d-0/{digest}"),
        format!("//evil.example/{digest}"),
        format!("http://127.0.0.1:8081/{digest}"),
        format!("https://127.0.0.1:8080/{digest}"),
        format!("file:///{digest}"),
    ] {
        let (client, fake) = with_bundle(&state, || panic!("not asked for"));
        let mut reference = state.references().remove(0);
        reference.url.clone_from(&url);
        assert_eq!(client.fetch(&reference).await.unwrap_err().kind(), SourceErrorKind::Corrupt, "{url}");

        let mut manifest = state.manifest.clone();
        let bundle = manifest.bundle.as_mut().unwrap();
        bundle.url.clone_from(&url);
        client.fetch_all(&manifest, &state.references()).await.unwrap();
        assert!(fake.seen().iter().all(|line| line.starts_with("GET /margo/api/v1/deployments/")), "{url}");
    }
}

#[tokio::test]
async fn many_come_in_a_bundle_and_few_alone() {
    for (count, requests) in [(3, 3), (4, 1)] {
        let state = State::with(count);
        let bundle = state.bundle.clone();
        let (client, fake) = with_bundle(&state, move || Ok(answer(200, &[], bundle.clone())));
        assert_eq!(fetch_all(&client, &state).await, Ok(expected(&state)));
        assert_eq!(fake.seen().len(), requests, "{count}");
    }
}

/// R-B-022, R-B-026, R-B-027: whatever is wrong with a bundle, only verified deployments come out.
#[tokio::test]
async fn a_useless_bundle_is_done_without() {
    let state = State::with(5);
    let short = write_bundle(state.deployments[1..].iter().map(|(r, bytes)| (&r.deployment_id, bytes)));
    let truncated = state.bundle.slice(..state.bundle.len() - 9);
    let useless: Vec<Box<dyn Fn() -> Answer + Send + Sync>> = vec![
        Box::new(|| Ok(answer(404, &[], ""))),
        Box::new(|| Ok(answer(304, &[], ""))),
        Box::new(|| Ok(answer(500, &[], ""))),
        Box::new(|| Ok(answer(200, &[], ""))),
        Box::new(|| Ok(answer(200, &[], "something else"))),
        Box::new(move || Ok(answer(200, &[], truncated.clone()))),
        Box::new(move || Ok(answer(200, &[], short.clone()))),
        Box::new(|| Err(TransportError::new(TransportErrorKind::TooLarge { limit: 1 }))),
        Box::new(|| Err(TransportError::new(TransportErrorKind::TimedOut))),
    ];
    for (index, bundle) in useless.into_iter().enumerate() {
        let (client, fake) = with_bundle(&state, bundle);
        assert_eq!(fetch_all(&client, &state).await, Ok(expected(&state)), "{index}");
        assert_eq!(fake.seen().len(), 6, "{index}");
    }
}

/// The digest is right, and the archive is not that of the manifest, or not one at all.
#[tokio::test]
async fn a_bundle_that_is_announced_wrongly_is_done_without() {
    let mut state = State::with(5);
    let others = write_bundle(State::with(6).deployments.iter().map(|(r, bytes)| (&r.deployment_id, bytes)));
    for archive in [others, "no archive".into()] {
        state.manifest.bundle = Some(BundleRef::new(Digest::of(&archive), archive.len() as u64));
        let (client, fake) = with_bundle(&state, move || Ok(answer(200, &[], archive.clone())));
        assert_eq!(fetch_all(&client, &state).await, Ok(expected(&state)));
        assert_eq!(fake.seen().len(), 6);
    }
}

#[tokio::test]
async fn without_bundle_and_deployments_the_error_is_theirs() {
    let state = State::with(5);
    let (client, _) = client(RC3, |request| {
        let status = if request.uri().path().contains("/bundles/") { 404 } else { 503 };
        Ok(answer(status, &[("retry-after", "7")][..usize::from(status == 503)], ""))
    });
    assert_eq!(fetch_all(&client, &state).await, Err(SourceErrorKind::Unavailable));
}

/// A manager that refuses, or asks to be left alone, is not asked again at once.
#[tokio::test]
async fn a_manager_is_left_alone_when_it_asks() {
    let state = State::with(5);
    for (status, headers, kind) in [
        (403, &[][..], SourceErrorKind::Unauthorized),
        (503, &[("retry-after", "7")], SourceErrorKind::Unavailable),
    ] {
        let (client, fake) = with_bundle(&state, move || Ok(answer(status, headers, "")));
        assert_eq!(fetch_all(&client, &state).await, Err(kind));
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn one_deployment_may_have_so_many_bytes() {
    let state = State::with(5);
    let bundle = state.bundle.clone();
    let (client, _) = with_bundle(&state, move || Ok(answer(200, &[], bundle.clone())));
    let mut limits = ClientLimits::default();
    limits.max_deployment = state.deployments[0].1.len();
    let client = client.with_limits(limits);
    assert_eq!(fetch_all(&client, &state).await, Ok(expected(&state)));
    limits.max_deployment -= 1;
    assert_eq!(fetch_all(&client.with_limits(limits), &state).await, Err(SourceErrorKind::Corrupt));
}
