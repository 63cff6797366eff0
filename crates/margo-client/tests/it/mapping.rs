//! What goes to the manager, and what its answers mean.

use std::time::Duration;

use margo_api::{
    CapabilitySink, Checkpoint, DesiredStateSource, Problem, ProblemType, SinkErrorKind, SourceErrorKind,
    StatusSink, Update,
};
use margo_capability::AnyDeviceCapabilities;
use margo_capability::pre_draft::{Cpu, DeviceCapabilities, Properties, Resources, Role};
use margo_client::{TransportError, TransportErrorKind};
use margo_core::{Digest, ManifestVersion, SpecVersion};
use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
use margo_syntax::Limits;

use crate::fake::{Answer, answer, client};

const RC3: SpecVersion = SpecVersion::V1_0_0Rc3;
const NOTHING: &str = r#"{"bundle":null,"deployments":[],"manifestVersion":1}"#;

fn status(state: DeploymentState) -> DeploymentStatusManifest {
    let components = vec![ComponentStatus::new("db".parse().unwrap(), state)];
    DeploymentStatusManifest::of("a3e2".parse().unwrap(), ManifestVersion::FIRST, components)
}

fn relay(id: &str) -> AnyDeviceCapabilities {
    let body =
        format!(r#"{{"properties":{{"id":"{id}","vendor":"V","modelNumber":"M","serialNumber":"S"}}}}"#);
    AnyDeviceCapabilities::decode(body.into(), &Limits::default()).unwrap().into_value()
}

/// R-B-017, R-B-035: the digest of the manifest held goes out, its absence comes back.
#[tokio::test]
async fn a_known_manifest_is_unchanged() {
    let (client, fake) = client(RC3, |request| {
        Ok(match request.headers().get("if-none-match") {
            Some(_) => answer(304, &[], ""),
            None => answer(200, &[], NOTHING),
        })
    });
    let Update::Changed(manifest) = client.poll(None).await.unwrap() else { panic!("nothing was known") };
    assert_eq!(manifest.bytes(), NOTHING);
    let request = fake.last();
    assert_eq!(request.uri(), "http://127.0.0.1:8080/margo/api/v1/deployments");
    assert_eq!(request.headers()["accept"], "application/vnd.margo.manifest.v1+json");
    assert_eq!(request.headers()["authorization"], "Bearer secret");
    assert!(!format!("{request:?}").contains("secret"));

    assert_eq!(client.poll(Some(Checkpoint::of(&manifest))).await.unwrap(), Update::Unchanged);
    assert_eq!(fake.last().headers()["if-none-match"], format!("\"{}\"", Digest::of(NOTHING.as_bytes())));
}

#[tokio::test]
async fn a_manager_may_send_what_is_known() {
    let (client, _) = client(RC3, |_| Ok(answer(200, &[], NOTHING)));
    let known = Checkpoint::new(ManifestVersion::FIRST, Digest::of(NOTHING.as_bytes()));
    assert_eq!(client.poll(Some(known)).await.unwrap(), Update::Unchanged);
    let other = Checkpoint::new(ManifestVersion::FIRST, Digest::of(b"other"));
    assert!(matches!(client.poll(Some(other)).await.unwrap(), Update::Changed(_)));
}

#[tokio::test]
async fn nothing_known_cannot_be_unchanged() {
    let (client, _) = client(RC3, |_| Ok(answer(304, &[], "")));
    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
}

/// R-B-028: an unsupported digest algorithm makes the whole manifest invalid. X-D-26.
#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_corrupt() {
    let md5 = r#"{"bundle":null,"deployments":[{"deploymentId":"a","digest":"md5:00","url":"/a/md5:00"}],"manifestVersion":1}"#;
    for body in ["", "{", "[]", "{}", "<html>", md5] {
        let (client, _) = client(RC3, move |_| Ok(answer(200, &[], body)));
        assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Corrupt, "{body}");
    }
}

#[tokio::test]
async fn the_pre_draft_has_no_desired_state_over_rest() {
    let (client, fake) = client(SpecVersion::PreDraft, |_| Ok(answer(200, &[], NOTHING)));
    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::NotFound);
    assert!(fake.seen().is_empty());
}

async fn kinds(
    answer: impl Fn() -> Answer + Clone + Send + Sync + 'static,
) -> (SourceErrorKind, SinkErrorKind) {
    let (client, _) = client(RC3, move |_| answer());
    let as_source = client.poll(None).await.unwrap_err();
    let as_sink = client.report_status(&status(DeploymentState::Installed)).await.unwrap_err();
    assert_eq!(as_source.retry_after(), as_sink.retry_after());
    assert!(std::error::Error::source(&as_source).is_some(), "the cause is kept");
    (as_source.kind(), as_sink.kind())
}

/// X-C-22, X-D-34: codes without a problem document are understood as well.
#[tokio::test]
async fn each_status_means_what_a_device_can_do() {
    for (statuses, expected) in [
        (&[401, 403, 407][..], (SourceErrorKind::Unauthorized, SinkErrorKind::Unauthorized)),
        // Whoever answers so without a problem is no manager: the report is kept.
        (&[404, 410], (SourceErrorKind::NotFound, SinkErrorKind::Unavailable)),
        (
            &[408, 425, 429, 500, 501, 502, 503, 504, 599],
            (SourceErrorKind::Unavailable, SinkErrorKind::Unavailable),
        ),
        (&[400, 405, 406, 409, 413, 415, 422], (SourceErrorKind::Corrupt, SinkErrorKind::Rejected)),
        (&[301, 302, 307, 308], (SourceErrorKind::Corrupt, SinkErrorKind::Unavailable)),
    ] {
        for status in statuses {
            let found =
                kinds(|| Ok(answer(*status, &[("location", "http://evil.example/")], "<html>"))).await;
            assert_eq!(found, expected, "{status}");
        }
    }
}

#[tokio::test]
async fn each_failure_of_the_transport_means_what_a_device_can_do() {
    use TransportErrorKind::{Interrupted, TimedOut, TooLarge, Undecodable, Unreachable, Unsendable};
    for (failures, expected) in [
        (
            &[Unreachable, TimedOut, Interrupted][..],
            (SourceErrorKind::Unavailable, SinkErrorKind::Unavailable),
        ),
        (&[TooLarge { limit: 7 }, Undecodable], (SourceErrorKind::Corrupt, SinkErrorKind::Unavailable)),
        (&[Unsendable], (SourceErrorKind::Corrupt, SinkErrorKind::Rejected)),
    ] {
        for failure in failures {
            assert_eq!(kinds(|| Err(TransportError::new(*failure))).await, expected, "{failure}");
        }
    }
}

/// R-D-038: the type decides; a status that promises another outcome later goes first.
#[tokio::test]
async fn the_type_of_a_problem_decides() {
    let problem = |status: u16, problem_type: &ProblemType, retryable: bool| {
        let mut problem = Problem::new(problem_type.clone());
        problem.status = status;
        problem.retryable = Some(retryable);
        move || Ok(problem.to_http())
    };
    let vendor = ProblemType::from("https://acme.example/problems#later");
    for (status, problem_type, retryable, expected) in [
        (
            400,
            &ProblemType::NotAuthorized,
            false,
            (SourceErrorKind::Unauthorized, SinkErrorKind::Unauthorized),
        ),
        (400, &ProblemType::DeploymentNotFound, false, (SourceErrorKind::NotFound, SinkErrorKind::Rejected)),
        (404, &ProblemType::SemanticError, false, (SourceErrorKind::Corrupt, SinkErrorKind::Rejected)),
        (503, &ProblemType::SemanticError, false, (SourceErrorKind::Unavailable, SinkErrorKind::Unavailable)),
        (409, &vendor, true, (SourceErrorKind::Unavailable, SinkErrorKind::Unavailable)),
        (409, &vendor, false, (SourceErrorKind::Corrupt, SinkErrorKind::Rejected)),
    ] {
        assert_eq!(
            kinds(problem(status, problem_type, retryable)).await,
            expected,
            "{status} {problem_type}"
        );
    }
}

/// R-D-038: the header wins over the advice in the body.
#[tokio::test]
async fn a_delay_is_passed_on() {
    const BODY: &str = r#"{"title":"Busy","status":503,"retryAfterSeconds":9}"#;
    const PROBLEM: (&str, &str) = ("content-type", "application/problem+json");
    const DATE: (&str, &str) = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
    for (headers, body, expected) in [
        (&[("retry-after", "7"), PROBLEM][..], BODY, Some(7)),
        (&[("retry-after", "Sun, 22 Nov 2026 12:02:00 GMT"), DATE, PROBLEM], BODY, Some(120)),
        (&[("retry-after", "nonsense"), PROBLEM], BODY, Some(9)),
        (&[PROBLEM], BODY, Some(9)),
        (&[], "", None),
    ] {
        let (client, _) = client(RC3, move |_| Ok(answer(503, headers, body)));
        let error = client.poll(None).await.unwrap_err();
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{headers:?}");
        let error = client.report_capabilities(&relay("gw")).await.unwrap_err();
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{headers:?}");
    }
}

/// R-B-033, R-D-026; X-D-46: what a manager says on success is ignored.
#[tokio::test]
async fn a_status_is_reported_in_each_revision() {
    let report = status(DeploymentState::Installed);
    let (client, fake) = client(RC3, |_| Ok(answer(200, &[], "anything")));
    client.report_status(&report).await.unwrap();
    assert_eq!(fake.seen(), ["POST /margo/api/v1/deployments/a3e2/status"]);
    let body = String::from_utf8(fake.last().body().to_vec()).unwrap();
    assert!(body.contains(r#""adoptedManifestVersion":1"#) && body.contains(r#""installed""#), "{body}");
    assert_eq!(fake.last().headers()["content-type"], "application/json");

    let (client, fake) = crate::fake::client(SpecVersion::PreDraft, |_| Ok(answer(201, &[], "")));
    let error = client.report_status(&report).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unsayable, "the path needs a device");
    let client = client.with_device("plc-7".parse().unwrap());
    client.report_status(&report).await.unwrap();
    assert_eq!(fake.seen(), ["POST /margo/device/plc-7/deployment/a3e2/status"]);
    let body = String::from_utf8(fake.last().body().to_vec()).unwrap();
    assert!(body.contains(r#""Installed""#), "X-A-10: {body}");

    // A report that names its device is about that one.
    client.report_status(&report.clone().with_device("plc-8".parse().unwrap())).await.unwrap();
    assert_eq!(fake.seen().last().unwrap(), "POST /margo/device/plc-8/deployment/a3e2/status");
}

#[tokio::test]
async fn what_the_pre_draft_cannot_say_is_not_sent() {
    let (client, fake) = client(SpecVersion::PreDraft, |_| Ok(answer(201, &[], "")));
    let client = client.with_device("plc-7".parse().unwrap());
    let removed = client.report_status(&status(DeploymentState::Removed)).await.unwrap_err();
    assert_eq!(removed.kind(), SinkErrorKind::Unsayable);
    let gone = client.remove_device(&"plc-7".parse().unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), SinkErrorKind::Unsayable);
    let child = status(DeploymentState::Installed).with_device("gw/plc-7".parse().unwrap());
    assert_eq!(client.report_status(&child).await.unwrap_err().kind(), SinkErrorKind::Unsayable);
    let child = client.report_capabilities(&relay("gw/plc-7")).await.unwrap_err();
    assert_eq!(child.kind(), SinkErrorKind::Unsayable);
    assert!(fake.seen().is_empty());
}

/// R-C-007, X-D-32.
#[tokio::test]
async fn capabilities_are_reported_and_removed() {
    let (client, fake) = client(RC3, |_| Ok(answer(204, &[], "")));
    client.report_capabilities(&relay("gw/plc-7")).await.unwrap();
    client.remove_device(&"gw/plc-7".parse().unwrap()).await.unwrap();
    assert_eq!(
        fake.seen(),
        ["PUT /margo/api/v1/capabilities/gw/plc-7", "DELETE /margo/api/v1/capabilities/gw/plc-7"]
    );
}

/// R-A-025: the pre-draft's own document goes to a pre-draft manager, and in newer words to a newer one.
#[tokio::test]
async fn capabilities_of_the_pre_draft_are_reported_in_each_revision() {
    let resources = Resources::new(vec![Cpu::new("arm64", 4, 1.8)], 8, 64);
    let roles = vec![Role::StandaloneDevice];
    let device = Properties::new("edge-01".parse().unwrap(), "Acme", "E", "1", roles, resources);
    let document = AnyDeviceCapabilities::from(DeviceCapabilities::new(device));
    for (version, line) in [
        (SpecVersion::PreDraft, "POST /margo/device/edge-01/capabilities"),
        (RC3, "PUT /margo/api/v1/capabilities/edge-01"),
    ] {
        let (client, fake) = client(version, |_| Ok(answer(201, &[], "")));
        client.report_capabilities(&document).await.unwrap();
        assert_eq!(fake.seen(), [line]);
        let sent = AnyDeviceCapabilities::decode(fake.last().into_body(), &Limits::default()).unwrap();
        assert_eq!(sent.revision(), version);
    }
}
