//! 1.0.0-rc.3 over real connections: who is let in, and what they see of one another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use margo_core::SpecVersion;
use margo_identity::{
    MessageSigner, MessageVerifier, SignatureAuthenticator, SigningKey, SvidAuthenticator, SvidVerifier,
    TlsVersions, TrustBundle,
};
use margo_server::listen::{ListenConfig, Reloading, Transport};
use margo_server::{
    ClientAcceptance, ClientKeys, IssuedTokens, LinkRequest, OnboardRequest, PayloadSigned, Proxies,
    RateLimit, Schemes, Store as _, TrustAnchors, authenticated, client_cert_from_proxies, router,
    token_router, trust_router,
};
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose, SanType, date_time_ymd};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::pki::{
    Authority, Issued, ManagerFiles, WFM, authority, client_id, device_certificate, issue, now, subordinate,
};
use crate::plant::{PUMP, Plant, capabilities, old_capabilities, status, target};
use crate::wire::{Response, Server, TLS_1_3, exchange, get, is_over, read_response, with_body};

struct Site {
    plant: Plant,
    authority: Authority,
    files: ManagerFiles,
    server: Server,
}

impl Site {
    async fn new(config: ListenConfig) -> Self {
        Self::with_versions(config, TlsVersions::default()).await
    }

    async fn with_versions(config: ListenConfig, versions: TlsVersions) -> Self {
        let plant = Plant::new();
        let authority = authority("factory");
        let files = ManagerFiles::new(&authority);
        let transport = files.transport(versions);
        let server = Server::start(transport, app(&plant, false), config).await;
        let site = Self { plant, authority, files, server };
        site.client("press-7").await;
        site
    }

    async fn client(&self, name: &str) {
        let request = OnboardRequest::new(name.parse().unwrap(), SpecVersion::LATEST)
            .with_client(name.parse().unwrap());
        self.plant.manager.onboard(request).await.unwrap();
    }

    fn svid(&self, name: &str) -> Issued {
        issue(&self.authority, &[&client_id(name)], |_| {})
    }

    async fn connect(&self, client: &Issued) -> std::io::Result<TlsStream<TcpStream>> {
        self.server.connect_tls(Some(client), TLS_1_3).await
    }

    /// One call on a connection of its own.
    async fn call(&self, client: &Issued, request: &str) -> std::io::Result<Response> {
        let mut stream = self.connect(client).await?;
        exchange(&mut stream, request).await
    }
}

fn app(plant: &Plant, in_namespace: bool) -> axum::Router {
    let mut acceptance = ClientAcceptance::new(Arc::clone(&plant.manager), WFM.parse().unwrap());
    if in_namespace {
        acceptance = acceptance.with_namespace();
    }
    let schemes = Schemes::new().with(SpecVersion::V1_0_0Rc3, SvidAuthenticator::new(acceptance));
    authenticated(router(Arc::clone(&plant.manager)), Arc::new(schemes))
}

const POLL: &str = "/api/v1/deployments";

fn problem_of(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.head.contains("content-type: application/problem+json"), "{}", response.head);
    response.json()["type"].as_str().unwrap().to_owned()
}

/// R-D-001, R-D-004: the caller is its SVID, for as many requests as the connection carries.
#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let site = Site::new(ListenConfig::new()).await;
    let mut stream = site.connect(&site.svid("press-7")).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    assert_eq!(exchange(&mut stream, &put).await.unwrap().status, 201);
    let manifest = exchange(&mut stream, &get(POLL)).await.unwrap();
    assert_eq!((manifest.status, manifest.json()["manifestVersion"].as_u64()), (200, Some(1)));
    let etag = manifest.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = format!("GET {POLL} HTTP/1.1\r\nhost: m\r\nif-none-match: {etag}\r\n\r\n");
    assert_eq!(exchange(&mut stream, &again).await.unwrap().status, 304);
    let known = site.plant.store.devices().await.unwrap();
    assert!(
        known.iter().any(|device| device.client_id.as_str() == "press-7" && device.capabilities.is_some())
    );
    drop(stream);
    site.server.stop().await;
}

/// R-D-002, R-D-009: without a valid SVID there is no connection.
#[tokio::test]
async fn whoever_has_no_valid_svid_gets_no_answer() {
    let site = Site::new(ListenConfig::new()).await;
    let (id, other) = (client_id("press-7"), authority("elsewhere"));
    let before = site.plant.snapshot();
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    let refused = [
        ("expired", issue(&site.authority, &[&id], |p| p.not_after = date_time_ymd(2023, 6, 1))),
        ("not yet valid", issue(&site.authority, &[&id], |p| p.not_before = date_time_ymd(2023, 12, 1))),
        (
            "other trust domain",
            issue(&site.authority, &["spiffe://other.example/margo/wfm/plant/client/press-7"], |_| {}),
        ),
        ("two URIs", issue(&site.authority, &[&id, &client_id("press-8")], |_| {})),
        (
            "no URI",
            issue(&site.authority, &[], |p| {
                p.subject_alt_names = vec![SanType::DnsName("a.b".try_into().unwrap())];
            }),
        ),
        (
            "an authority",
            issue(&site.authority, &[&id], |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        ("may sign", issue(&site.authority, &[&id], |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign))),
        ("unknown authority", issue(&other, &[&id], |_| {})),
    ];
    for (what, issued) in &refused {
        let answer = site.call(issued, &put).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    let anonymous = async {
        let mut stream = site.server.connect_tls(None, TLS_1_3).await?;
        exchange(&mut stream, &put).await
    };
    assert!(anonymous.await.is_err());
    assert_eq!(site.plant.snapshot(), before);
    assert_eq!(site.call(&site.svid("press-7"), &put).await.unwrap().status, 201, "the call itself is good");
}

/// R-D-004, R-D-006, R-D-007: a valid SVID is not enough, and the refusal says nothing about who would be served.
#[tokio::test]
async fn a_valid_svid_that_is_not_accepted_is_403() {
    let site = Site::new(ListenConfig::new()).await;
    let before = site.plant.snapshot();
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    let mut details = Vec::new();
    for id in [
        &client_id("nobody"),
        "spiffe://factory.example/margo/wfm/other/client/press-7",
        "spiffe://factory.example/margo/wfm/plant/client/press-7/more",
        "spiffe://factory.example/margo/wfm/plant/press-7",
        "spiffe://factory.example/press-7",
        WFM,
    ] {
        let answer = site.call(&issue(&site.authority, &[id], |_| {}), &put).await.unwrap();
        assert!(problem_of(&answer, 403).ends_with("#not-authorized"), "{id}");
        details.push(answer.json()["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
    assert_eq!(site.plant.snapshot(), before);
}

/// R-D-006, R-D-013: the policy is asked for every request.
#[tokio::test]
async fn whoever_is_revoked_while_connected_is_refused_with_the_next_request() {
    let site = Site::new(ListenConfig::new()).await;
    let mut stream = site.connect(&site.svid("press-7")).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 200);
    site.plant.manager.retire(&target("press-7")).await.unwrap();
    let before = site.plant.snapshot();
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    for request in [get(POLL), put] {
        let refused = exchange(&mut stream, &request).await.unwrap();
        assert!(problem_of(&refused, 403).ends_with("#not-authorized"));
    }
    assert_eq!(site.plant.snapshot(), before);
}

/// R-D-006, R-D-007, RFC 9110, 10.1.1: whoever is not accepted is told so instead of being asked for the body, and
/// whoever is, is asked for it.
#[tokio::test]
async fn nobody_is_asked_for_a_body_that_nobody_wants() {
    let site = Site::new(ListenConfig::new()).await;
    let before = site.plant.snapshot();
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    let put = put.replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
    let (head, body) = put.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\n\r\n");
    let mut stream = site.connect(&site.svid("nobody")).await.unwrap();
    let refused = exchange(&mut stream, &head).await.unwrap();
    assert!(problem_of(&refused, 403).ends_with("#not-authorized"));
    assert!(is_over(&mut stream).await, "what follows might be the body");
    // Whoever does not wait to be asked can read the answer all the same.
    let mut stream = site.connect(&site.svid("nobody")).await.unwrap();
    let padding = "x".repeat(900_000);
    let eager = format!("PUT {POLL} HTTP/1.1\r\nhost: m\r\ncontent-length: {}\r\n\r\n", padding.len());
    let eager = eager.replace(POLL, "/api/v1/capabilities/press-7");
    stream.write_all(eager.as_bytes()).await.unwrap();
    // The server may have ended the connection before all of it is written.
    let _ = stream.write_all(padding.as_bytes()).await;
    problem_of(&read_response(&mut stream).await.unwrap(), 403);
    assert_eq!(site.plant.snapshot(), before);

    let mut stream = site.connect(&site.svid("press-7")).await.unwrap();
    assert_eq!(exchange(&mut stream, &head).await.unwrap().status, 100);
    assert_eq!(exchange(&mut stream, body).await.unwrap().status, 201);
}

/// R-D-013, R-D-016: a new bundle takes the place of all authorities, for the connections that are there as well.
#[tokio::test]
async fn whoever_the_bundle_does_not_vouch_for_any_more_has_to_leave() {
    let site = Site::new(ListenConfig::new()).await;
    site.client("press-8").await;
    let next = authority("next");
    let trust_domain = || "factory.example".parse().unwrap();
    let certificates = |authorities: &[&Authority]| {
        let certificates: Vec<_> = authorities.iter().map(|authority| authority.der().clone()).collect();
        TrustBundle::new(trust_domain(), certificates).unwrap()
    };
    site.files.bundle.replace(certificates(&[&site.authority, &next])).unwrap();
    let under_next = issue(&next, &[&client_id("press-8")], |_| {});
    let mut old = site.connect(&site.svid("press-7")).await.unwrap();
    let mut new = site.connect(&under_next).await.unwrap();
    for stream in [&mut old, &mut new] {
        assert_eq!(exchange(stream, &get(POLL)).await.unwrap().status, 200);
    }
    // Another bundle with the same authority: nobody has to leave.
    site.files.bundle.replace(certificates(&[&next, &site.authority])).unwrap();
    assert_eq!(exchange(&mut old, &get(POLL)).await.unwrap().status, 200);

    site.files.bundle.replace(certificates(&[&next])).unwrap();
    let before = site.plant.snapshot();
    let put = with_body("PUT", "/api/v1/capabilities/press-7", &capabilities("press-7"));
    let refused = exchange(&mut old, &put).await.unwrap();
    assert!(problem_of(&refused, 403).ends_with("#not-authorized"));
    assert!(refused.head.contains("connection: close"), "{}", refused.head);
    assert!(is_over(&mut old).await);
    assert_eq!(site.plant.snapshot(), before);
    assert_eq!(exchange(&mut new, &get(POLL)).await.unwrap().status, 200);
    // Who comes back with an SVID of the new authority is who it was.
    let reissued = issue(&next, &[&client_id("press-7")], |_| {});
    assert_eq!(site.call(&reissued, &put).await.unwrap().status, 201);
}

/// R-D-008: what is somebody else's looks like what does not exist.
#[tokio::test]
async fn what_is_anothers_cannot_be_told_from_what_is_not() {
    let site = Site::new(ListenConfig::new()).await;
    site.client("press-8").await;
    site.plant.upload(PUMP).await;
    site.plant.deploy("pump-monitor", &["press-8"]).await;
    let owner = "press-8".parse().unwrap();
    let manifest = site.plant.manifest(&owner).await;
    let (reference, bundle) = (&manifest.deployments[0], manifest.bundle.as_ref().unwrap());
    let mut owners = site.connect(&site.svid("press-8")).await.unwrap();
    let put = with_body("PUT", "/api/v1/capabilities/press-8", &capabilities("press-8"));
    assert_eq!(exchange(&mut owners, &put).await.unwrap().status, 201);

    let deployment = |id: &str, digest: &str| get(&format!("/api/v1/deployments/{id}/{digest}"));
    let absent = margo_core::Digest::of(b"nothing").to_string();
    let (id, digest) = (reference.deployment_id.as_str(), reference.digest.to_string());
    let report = |id: &str| {
        with_body("POST", &format!("/api/v1/deployments/{id}/status"), &status(id, 1, "installed"))
    };
    let bundle_path = |digest: &str| get(&format!("/api/v1/bundles/{digest}"));
    let remove = |device: &str| format!("DELETE /api/v1/capabilities/{device} HTTP/1.1\r\nhost: m\r\n\r\n");
    let mut stranger = site.connect(&site.svid("press-7")).await.unwrap();
    let before = site.plant.snapshot();
    for (what, theirs, nobodys) in [
        ("deployment", deployment(id, &digest), deployment("nothing", &absent)),
        ("bundle", bundle_path(&bundle.digest.to_string()), bundle_path(&absent)),
        ("status", report(id), report("nothing")),
        ("device", remove("press-8"), remove("nothing")),
    ] {
        let theirs = exchange(&mut stranger, &theirs).await.unwrap();
        let nobodys = exchange(&mut stranger, &nobodys).await.unwrap();
        problem_of(&theirs, 404);
        let anonymous = |response: &Response| {
            let mut problem = response.json();
            problem.as_object_mut().unwrap().remove("instance");
            (response.status, problem)
        };
        assert_eq!(anonymous(&theirs), anonymous(&nobodys), "{what}");
    }
    let own = exchange(&mut stranger, &get(POLL)).await.unwrap();
    assert_eq!(own.json()["deployments"], serde_json::json!([]));
    assert_eq!(
        before.replace("fetched: None", "").len(),
        site.plant
            .snapshot()
            .replace("fetched: None", "")
            .replace("fetched: Some(ManifestVersion(1))", "")
            .len(),
        "only that the stranger has polled is new"
    );
    assert_eq!(exchange(&mut owners, &deployment(id, &digest)).await.unwrap().status, 200);
}

/// One manager, every revision: the route says which it is, and each has its own way to prove who calls.
#[tokio::test]
async fn every_revision_is_served_at_once() {
    let site = Site::new(ListenConfig::new()).await;
    let plant = &site.plant;
    let old = plant.onboard("plc-7", SpecVersion::PreDraft).await;
    let certificate = device_certificate();
    let request = OnboardRequest::new("line-3".parse().unwrap(), SpecVersion::V1_0_0Rc2)
        .with_client("line-3".parse().unwrap())
        .with_certificate(certificate.pem.clone());
    plant.manager.onboard(request).await.unwrap();
    let manager = || Arc::clone(&plant.manager);
    let verifier = MessageVerifier::new(["https://manager.example".parse().unwrap()]);
    let schemes = Schemes::new()
        .with(SpecVersion::V1_0_0Rc2, SignatureAuthenticator::new(verifier, ClientKeys::new(manager()), now))
        .with(SpecVersion::PreDraft, PayloadSigned::new(manager()).with_optional_signature());
    let tokens = IssuedTokens::for_management(manager(), Duration::from_mins(1));
    let app = authenticated(router(manager()), Arc::new(schemes))
        .merge(token_router(Arc::new(tokens), &RateLimit::new()));
    let older = Server::start(Transport::plain(), app, ListenConfig::new()).await;
    let mut stream = older.connect().await;

    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        old.client_id,
        old.token.reveal()
    );
    let ask = format!("POST /token HTTP/1.1\r\nhost: m\r\ncontent-length: {}\r\n\r\n{form}", form.len());
    let token =
        exchange(&mut stream, &ask).await.unwrap().json()["access_token"].as_str().unwrap().to_owned();
    let report = with_body("PUT", "/device/plc-7/capabilities", &old_capabilities("plc-7")).replacen(
        "\r\n",
        &format!("\r\nauthorization: Bearer {token}\r\n"),
        1,
    );
    assert_eq!(exchange(&mut stream, &report).await.unwrap().status, 201);

    let poll = "/api/v1/clients/line-3/deployments";
    let key = Arc::new(SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap());
    let signer = MessageSigner::new(key, "line-3", "https://manager.example".parse().unwrap()).unwrap();
    let mut message = http::Request::get(poll).body(bytes::Bytes::new()).unwrap();
    signer.sign(&mut message, now()).unwrap();
    let header = |name: &str| format!("{name}: {}\r\n", message.headers()[name].to_str().unwrap());
    let authentic = get(poll).replacen(
        "\r\n\r\n",
        &format!("\r\n{}{}\r\n", header("signature-input"), header("signature")),
        1,
    );
    let manifest = exchange(&mut stream, &authentic).await.unwrap();
    assert_eq!((manifest.status, manifest.json()["manifestVersion"].as_u64()), (200, Some(1)));

    let svid = site.svid("press-7");
    assert_eq!(site.call(&svid, &get(POLL)).await.unwrap().status, 200);
    let before = plant.snapshot();
    assert_eq!(site.call(&svid, &authentic).await.unwrap().status, 403, "not on this listener");
    let newest = get(POLL).replacen("\r\n", &format!("\r\nauthorization: Bearer {token}\r\n"), 1);
    assert_eq!(exchange(&mut stream, &newest).await.unwrap().status, 403, "nor there");
    assert_eq!(plant.snapshot(), before);
}

/// R-D-006: a namespace instead of a list; whoever was retired stays so.
#[tokio::test]
async fn a_namespace_is_served_from_the_first_request_on() {
    let (plant, authority) = (Plant::new(), authority("factory"));
    let files = ManagerFiles::new(&authority);
    let transport = files.transport(TlsVersions::default());
    let server = Server::start(transport, app(&plant, true), ListenConfig::new()).await;
    let newcomer = issue(&authority, &[&client_id("press-9")], |_| {});
    let mut stream = server.connect_tls(Some(&newcomer), TLS_1_3).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 200);
    assert_eq!(plant.manager.list_devices().await.unwrap()[0].client_id.as_str(), "press-9");
    plant.manager.retire(&target("press-9")).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 403);
    let outsider = issue(&authority, &["spiffe://factory.example/margo/wfm/other/client/x"], |_| {});
    let mut stream = server.connect_tls(Some(&outsider), TLS_1_3).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 403);
    assert_eq!(plant.manager.list_devices().await.unwrap().len(), 1);
}

/// R-D-019: a name does not make an SVID that of an older client; an operator does, by linking the two.
#[tokio::test]
async fn an_svid_takes_over_no_older_client() {
    let (plant, authority) = (Plant::new(), authority("factory"));
    let files = ManagerFiles::new(&authority);
    let transport = files.transport(TlsVersions::default());
    let server = Server::start(transport, app(&plant, true), ListenConfig::new()).await;
    let poll = async |name: &str| {
        let svid = issue(&authority, &[&client_id(name)], |_| {});
        let mut stream = server.connect_tls(Some(&svid), TLS_1_3).await.unwrap();
        exchange(&mut stream, &get(POLL)).await.unwrap().status
    };
    let older = [("a", SpecVersion::PreDraft), ("b", SpecVersion::V1_0_0Rc1), ("c", SpecVersion::V1_0_0Rc2)];
    for (name, revision) in older {
        let request = OnboardRequest::new(name.parse().unwrap(), revision).with_client(name.parse().unwrap());
        plant.manager.onboard(request).await.unwrap();
    }
    let before = plant.snapshot();
    for (name, _) in older {
        assert_eq!(poll(name).await, 403, "{name}");
    }
    assert_eq!(plant.snapshot(), before);

    let link = LinkRequest::new();
    plant.manager.link(&target("a"), link.clone().with_client("a".parse().unwrap())).await.unwrap();
    plant.manager.link(&target("b"), link.clone().with_revision(SpecVersion::V1_0_0Rc3)).await.unwrap();
    plant.manager.link(&target("c"), link.with_client("c-svid".parse().unwrap())).await.unwrap();
    assert_eq!((poll("a").await, poll("b").await), (200, 200));
    assert_eq!((poll("c").await, poll("c-svid").await), (403, 200));
}

/// R-D-003: TLS 1.2 only where somebody said so.
#[tokio::test]
async fn tls_1_2_is_spoken_only_where_it_is_configured() {
    const TLS_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    for (versions, expected) in [(TlsVersions::Tls13, false), (TlsVersions::Tls13OrTls12, true)] {
        let site = Site::with_versions(ListenConfig::new(), versions).await;
        let svid = site.svid("press-7");
        let answered = async {
            let mut stream = site.server.connect_tls(Some(&svid), TLS_1_2).await?;
            exchange(&mut stream, &get(POLL)).await
        };
        assert_eq!(answered.await.is_ok(), expected, "{versions:?}");
    }
}

/// R-D-013, R-D-016: a new SVID and a new authority are in force without a restart; half of one is not.
#[tokio::test]
async fn identity_and_bundle_are_read_again() {
    let site = Site::new(ListenConfig::new()).await;
    let reloading = Reloading::new()
        .with_identity(Arc::clone(&site.files.identity))
        .with_bundle(site.files.path("bundle.pem"), Arc::clone(&site.files.bundle));
    let presented = async |client: &Issued| {
        let stream = site.connect(client).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let svid = site.svid("press-7");
    let old = presented(&svid).await;
    reloading.look();
    assert_eq!(presented(&svid).await, old, "nothing has changed");

    std::fs::write(site.files.path("svid.pem"), issue(&site.authority, &[WFM], |_| {}).pem).unwrap();
    reloading.look();
    assert_eq!(presented(&svid).await, old, "the key is another's");
    let renewed = issue(&site.authority, &[WFM], |_| {});
    site.files.replace(&renewed);
    reloading.look();
    assert_eq!(presented(&svid).await, renewed.der);

    let next = authority("next");
    std::fs::write(site.files.path("bundle.pem"), next.pem()).unwrap();
    reloading.look();
    assert!(site.call(&svid, &get(POLL)).await.is_err(), "the old authority is gone");
    let reissued = issue(&next, &[&client_id("press-7")], |_| {});
    assert_eq!(site.call(&reissued, &get(POLL)).await.unwrap().status, 200);
    std::fs::write(site.files.path("bundle.pem"), "").unwrap();
    reloading.look();
    assert_eq!(
        site.call(&reissued, &get(POLL)).await.unwrap().status,
        200,
        "an empty bundle changes nothing"
    );
}

/// R-D-013: no connection is older than it may be, nor than the certificate it was made with.
#[tokio::test]
async fn a_connection_ends_when_it_is_old() {
    let site = Site::new(ListenConfig::new().with_max_age(Some(Duration::from_millis(300)))).await;
    let mut stream = site.connect(&site.svid("press-7")).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 200);
    assert!(is_over(&mut stream).await);

    let site = Site::new(ListenConfig::new().with_max_age(None)).await;
    let in_a_second = date_time_ymd(1970, 1, 1) + Duration::from_secs(now().as_secs() + 1);
    let short = issue(&site.authority, &[&client_id("press-7")], |params| params.not_after = in_a_second);
    let mut stream = site.connect(&short).await.unwrap();
    assert_eq!(exchange(&mut stream, &get(POLL)).await.unwrap().status, 200);
    assert!(is_over(&mut stream).await);
}

/// R-D-017: `Client-Cert` counts from the proxy alone.
#[tokio::test]
async fn a_forwarded_certificate_is_believed_of_the_proxy_alone() {
    let (plant, authority) = (Plant::new(), authority("factory"));
    let files = ManagerFiles::new(&authority);
    let request = OnboardRequest::new("press-7".parse().unwrap(), SpecVersion::LATEST)
        .with_client("press-7".parse().unwrap());
    plant.manager.onboard(request).await.unwrap();
    let proxied = async |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        let verifier = SvidVerifier::new(Arc::clone(&files.bundle));
        let app = client_cert_from_proxies(app(&plant, false), Proxies::new([address], verifier, now));
        Server::start(Transport::plain(), app, ListenConfig::new()).await
    };
    let forwarded = |issued: &Issued, times: usize| {
        let header = format!("client-cert: :{}:\r\n", STANDARD.encode(&issued.der)).repeat(times);
        format!("GET {POLL} HTTP/1.1\r\nhost: m\r\n{header}\r\n")
    };
    let good = issue(&authority, &[&client_id("press-7")], |_| {});
    let forged = issue(&crate::pki::authority("elsewhere"), &[&client_id("press-7")], |_| {});
    let id = client_id("press-7");
    let expired = issue(&authority, &[&id], |params| params.not_after = date_time_ymd(2023, 6, 1));
    let early = issue(&authority, &[&id], |params| params.not_before = date_time_ymd(2023, 12, 1));
    let elsewhere = issue(&authority, &["spiffe://other.example/margo/wfm/plant/client/press-7"], |_| {});
    let before = plant.snapshot();

    let proxy_is_elsewhere = proxied("192.0.2.1").await;
    let mut stream = proxy_is_elsewhere.connect().await;
    problem_of(&exchange(&mut stream, &forwarded(&good, 1)).await.unwrap(), 401);

    let server = proxied("127.0.0.1").await;
    let mut stream = server.connect().await;
    for (request, status) in [
        (get(POLL), 401),
        (forwarded(&forged, 1), 401),
        (forwarded(&expired, 1), 401),
        (forwarded(&early, 1), 401),
        (forwarded(&elsewhere, 1), 401),
        (forwarded(&good, 2), 400),
        (format!("GET {POLL} HTTP/1.1\r\nhost: m\r\nclient-cert: press-7\r\n\r\n"), 400),
    ] {
        problem_of(&exchange(&mut stream, &request).await.unwrap(), status);
    }
    assert_eq!(plant.snapshot(), before);
    assert_eq!(exchange(&mut stream, &forwarded(&good, 1)).await.unwrap().status, 200);
}

/// R-D-017: what is between the client and the authority comes in `Client-Cert-Chain`.
#[tokio::test]
async fn a_proxy_hands_on_the_chain() {
    let (plant, authority) = (Plant::new(), authority("factory"));
    let files = ManagerFiles::new(&authority);
    let request = OnboardRequest::new("press-7".parse().unwrap(), SpecVersion::LATEST)
        .with_client("press-7".parse().unwrap());
    plant.manager.onboard(request).await.unwrap();
    let verifier = SvidVerifier::new(Arc::clone(&files.bundle));
    let proxies = Proxies::new(["127.0.0.1".parse().unwrap()], verifier, now);
    let app = client_cert_from_proxies(app(&plant, false), proxies);
    let server = Server::start(Transport::plain(), app, ListenConfig::new()).await;

    let between = subordinate(&authority, "line");
    let stranger = subordinate(&crate::pki::authority("elsewhere"), "line");
    let leaf = issue(&between, &[&client_id("press-7")], |_| {});
    let item = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    let forwarded = |chain: Option<String>| {
        let chain = chain.map_or_else(String::new, |chain| format!("client-cert-chain: {chain}\r\n"));
        format!("GET {POLL} HTTP/1.1\r\nhost: m\r\nclient-cert: {}\r\n{chain}\r\n", item(&leaf.der))
    };
    let before = plant.snapshot();
    let mut stream = server.connect().await;
    for (chain, status) in [
        (None, 401),
        (Some(item(stranger.der())), 401),
        (Some("line".to_owned()), 400),
        (Some(format!("{}, line", item(between.der()))), 400),
        (Some(vec![item(between.der()); 9].join(", ")), 400),
    ] {
        problem_of(&exchange(&mut stream, &forwarded(chain)).await.unwrap(), status);
    }
    assert_eq!(plant.snapshot(), before);
    let chain = format!("{}, {}", item(between.der()), item(authority.der()));
    assert_eq!(exchange(&mut stream, &forwarded(Some(chain))).await.unwrap().status, 200);
}

/// D7, D8, R-D-015, R-D-016: served to whoever asks, with what a cache needs.
#[tokio::test]
async fn the_bundle_in_force_is_served() {
    let authority = authority("factory");
    let files = ManagerFiles::new(&authority);
    let uri: margo_identity::TrustBundleUri =
        "https://manager.example/.well-known/spiffe/bundle.json".parse().unwrap();
    let anchors = TrustAnchors::new(Arc::clone(&files.bundle)).with_discovery(uri);
    let server =
        Server::start(Transport::plain(), trust_router(Arc::new(anchors)), ListenConfig::new()).await;
    let mut stream = server.connect().await;
    let discovery = exchange(&mut stream, &get("/.well-known/margo")).await.unwrap();
    assert_eq!((discovery.status, &discovery.json()["trustDomain"]), (200, &"factory.example".into()));
    let answer = exchange(&mut stream, &get("/.well-known/spiffe/bundle.json")).await.unwrap();
    let bundle = TrustBundle::parse("factory.example".parse().unwrap(), &answer.body).unwrap();
    assert_eq!(bundle.authorities(), [authority.der().clone()]);
    let etag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again =
        format!("GET /.well-known/spiffe/bundle.json HTTP/1.1\r\nhost: m\r\nif-none-match: {etag}\r\n\r\n");
    assert_eq!(exchange(&mut stream, &again).await.unwrap().status, 304);

    let without = trust_router(Arc::new(TrustAnchors::new(Arc::clone(&files.bundle))));
    let server = Server::start(Transport::plain(), without, ListenConfig::new()).await;
    let absent = exchange(&mut server.connect().await, &get("/.well-known/margo")).await.unwrap();
    assert_eq!(problem_of(&absent, 404), "about:blank");
}
