//! Mutual TLS with a manager behind a real socket: who speaks to whom, and from when on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use margo_api::{DesiredStateSource, SourceErrorKind, Update};
use margo_client::{
    DeviceCredentials, HttpOptions, HttpTransport, MutualTls, RestClient, SetupError, Transport,
    TransportErrorKind,
};
use margo_core::SpecVersion;
use margo_identity::{ReloadingIdentity, SpkiPin, SvidVerifier, TlsVersions, server_config};
use rustls::pki_types::CertificateDer;
use rustls::time_provider::DefaultTimeProvider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::pki::{
    Authority, CLIENT, FUTURE, NOW, PAST, WFM, authority, bundle, current, identity, load, write,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n{\"bundle\":null,\"deployments\":[],\"manifestVersion\":1}";

/// What a manager saw of its clients.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(CertificateDer<'static>, usize)>>>);

impl Seen {
    /// How many requests came by each connection.
    fn requests(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(|(_, requests)| *requests).collect()
    }

    fn last(&self) -> CertificateDer<'static> {
        self.0.lock().unwrap().last().unwrap().0.clone()
    }
}

struct Manager {
    addr: SocketAddr,
    seen: Seen,
}

impl Manager {
    async fn start(root: &Authority, identity: Arc<ReloadingIdentity>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = SvidVerifier::new(current(root));
        let config = server_config(
            provider,
            Arc::new(DefaultTimeProvider),
            TlsVersions::default(),
            identity,
            verifier,
        )
        .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let manager = Self { addr: listener.local_addr().unwrap(), seen: Seen::default() };
        let seen = manager.seen.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let peer = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
                    let index = {
                        let mut seen = seen.0.lock().unwrap();
                        seen.push((peer, 0));
                        seen.len() - 1
                    };
                    let mut read = Vec::new();
                    while stream.read_buf(&mut read).await.unwrap_or_default() > 0 {
                        if read.ends_with(b"\r\n\r\n") {
                            seen.0.lock().unwrap()[index].1 += 1;
                            read.clear();
                            stream.write_all(ANSWER).await.unwrap();
                        }
                    }
                });
            }
        });
        manager
    }

    fn client(&self, mutual: MutualTls) -> RestClient<HttpTransport, DeviceCredentials> {
        self.client_with(&HttpOptions::default().with_mutual_tls(mutual))
    }

    fn client_with(&self, options: &HttpOptions) -> RestClient<HttpTransport, DeviceCredentials> {
        // The name is routing and nothing else (R-D-005, R-D-010).
        let base = format!("https://localhost:{}", self.addr.port()).parse().unwrap();
        let transport = HttpTransport::new(options).unwrap();
        RestClient::new(base, SpecVersion::V1_0_0Rc3, transport, DeviceCredentials::connection()).unwrap()
    }
}

fn device(root: &Authority) -> MutualTls {
    MutualTls::new(identity(root, CLIENT, NOW), current(root)).unwrap()
}

/// Everything an error says, down to its cause.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", whole(cause)),
        None => error.to_string(),
    }
}

/// R-D-001, R-D-005, R-D-010: the manager is known by its SPIFFE id, whatever its address; no credential is in the
/// request.
#[tokio::test]
async fn a_device_speaks_to_its_manager() {
    let root = authority("root");
    let manager = Manager::start(&root, identity(&root, WFM, NOW)).await;
    let client = manager.client(device(&root));
    for _ in 0..3 {
        assert!(matches!(client.poll(None).await.unwrap(), Update::Changed(_)));
    }
    assert_eq!(manager.seen.requests(), [3], "one connection");
}

/// R-D-005, R-D-009: each for its own reason, which the log names, and without a request having left.
#[tokio::test]
async fn who_is_not_the_manager_is_told_nothing() {
    let (root, strangers) = (authority("root"), authority("strangers"));
    for (manager, reason) in [
        (
            identity(&root, "spiffe://factory.example/margo/wfm/other", NOW),
            "the peer is `spiffe://factory.example/margo/wfm/other`",
        ),
        (
            identity(&root, CLIENT, NOW),
            "the peer is `spiffe://factory.example/margo/wfm/plant/client/press-7`",
        ),
        (
            identity(&root, "spiffe://elsewhere.example/margo/wfm/plant", NOW),
            "trust domain `elsewhere.example`",
        ),
        (identity(&strangers, WFM, NOW), "chain does not hold"),
        (identity(&root, WFM, PAST), "expired"),
        (identity(&root, WFM, FUTURE), "not valid yet"),
    ] {
        let manager = Manager::start(&root, manager).await;
        let error = manager.client(device(&root)).poll(None).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unavailable, "{reason}");
        let text = whole(&error);
        assert!(text.contains("not trusted to be the manager") && text.contains(reason), "{text}");
        assert!(manager.seen.requests().iter().sum::<usize>() == 0, "{reason}");
    }
}

/// R-D-001, R-D-005: who answers without TLS has not shown to be the manager, and is not even connected to.
#[tokio::test]
async fn nobody_is_spoken_to_in_the_clear() {
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", stranger.local_addr().unwrap());
    let options = HttpOptions::default().with_mutual_tls(device(&authority("root")));
    let transport = HttpTransport::new(&options).unwrap();
    let credentials = DeviceCredentials::connection();
    let client =
        RestClient::new(base.parse().unwrap(), SpecVersion::V1_0_0Rc3, transport, credentials).unwrap();
    tokio::select! {
        answer = client.poll(None) => {
            let text = whole(&answer.unwrap_err());
            assert!(text.contains("mutual TLS needs an `https` address") && text.contains(&base), "{text}");
        }
        _ = stranger.accept() => panic!("a stranger was spoken to"),
    }
}

/// A device whose own SVID has ended is told so by the manager, and somebody has to act.
#[tokio::test]
async fn a_device_that_is_refused_knows_it() {
    let root = authority("root");
    let manager = Manager::start(&root, identity(&root, WFM, NOW)).await;
    let expired = MutualTls::new(identity(&root, CLIENT, PAST), current(&root)).unwrap();
    let error = manager.client(expired).poll(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unauthorized, "{}", whole(&error));
    assert!(whole(&error).contains("does not take this device's certificate"), "{}", whole(&error));
}

/// R-D-013: a renewed SVID is presented without a restart, on a connection of its own.
#[tokio::test]
async fn a_renewed_svid_is_presented() {
    let root = authority("root");
    let manager = Manager::start(&root, identity(&root, WFM, NOW)).await;
    let folder = tempfile::tempdir().unwrap();
    let identity = load(write(folder.path(), &root, CLIENT, NOW));
    let client = manager.client(MutualTls::new(identity, current(&root)).unwrap());
    client.poll(None).await.unwrap();
    let before = manager.seen.last();

    // Half a renewal is none: the key of another certificate cannot be used.
    let kept = std::fs::read(folder.path().join("svid.pem")).unwrap();
    write(folder.path(), &root, CLIENT, NOW);
    let renewed = std::fs::read(folder.path().join("svid.pem")).unwrap();
    std::fs::write(folder.path().join("svid.pem"), kept).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.poll(None).await.unwrap();
    assert_eq!(manager.seen.last(), before);

    std::fs::write(folder.path().join("svid.pem"), renewed).unwrap();
    while manager.seen.last() == before {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.poll(None).await.unwrap();
    }
    assert_eq!(manager.seen.requests().len(), 2);
}

/// R-D-016: a bundle on disk that has changed takes the place of the one before, for connections that exist as well.
/// One without any authority does not.
#[tokio::test]
async fn a_replaced_bundle_decides_from_then_on() {
    let (root, next) = (authority("root"), authority("next"));
    let manager = Manager::start(&root, identity(&root, WFM, NOW)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.json");
    std::fs::write(&file, bundle(&root).to_json()).unwrap();
    let device = MutualTls::with_bundle_file(identity(&root, CLIENT, NOW), &file).unwrap();
    let client = manager.client(device);
    client.poll(None).await.unwrap();

    std::fs::write(&file, r#"{"keys":[]}"#).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client.poll(None).await.unwrap();

    std::fs::write(&file, next.pem()).unwrap();
    let error = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Err(error) = client.poll(None).await {
            break error;
        }
    };
    assert!(whole(&error).contains("chain does not hold"), "{}", whole(&error));
    assert_eq!(manager.seen.requests().len(), 1, "nothing went to the manager of before");
}

/// R-D-013.
#[tokio::test]
async fn a_connection_is_used_for_a_while_only() {
    let root = authority("root");
    let manager = Manager::start(&root, identity(&root, WFM, NOW)).await;
    let options =
        HttpOptions::default().with_mutual_tls(device(&root)).with_max_connection_age(Duration::ZERO);
    let client = manager.client_with(&options);
    for _ in 0..3 {
        client.poll(None).await.unwrap();
    }
    assert_eq!(manager.seen.requests(), [1, 1, 1]);
}

/// R-D-005: an identity that is not a client's has no manager.
#[test]
fn only_a_client_has_a_manager() {
    let root = authority("root");
    for id in [WFM, "spiffe://factory.example/somebody"] {
        let error = MutualTls::new(identity(&root, id, NOW), current(&root)).unwrap_err();
        assert!(matches!(&error, SetupError::Identity { .. }) && error.to_string().contains(id), "{error}");
    }
    let elsewhere = "spiffe://elsewhere.example/margo/wfm/plant/client/press-7";
    let error = MutualTls::new(identity(&root, elsewhere, NOW), current(&root)).unwrap_err();
    assert!(error.to_string().contains("trust domain `factory.example`"), "{error}");
}

/// Without a bundle there is nothing to validate with, so there is no client (R-D-014, R-D-016).
#[test]
fn a_bundle_is_needed() {
    let root = authority("root");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.json");
    for content in
        [None, Some(""), Some(r#"{"keys":[]}"#), Some(r#"{"keys":[{"use":"jwt-svid","kty":"EC"}]}"#)]
    {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let error = MutualTls::with_bundle_file(identity(&root, CLIENT, NOW), &file).unwrap_err();
        assert!(matches!(error, SetupError::Bundle { .. }), "{content:?}");
        assert!(error.to_string().contains("bundle.json"), "{error}");
    }
}

/// R-D-014: a server may be known by its key alone.
#[tokio::test]
async fn a_pinned_key_is_trusted_and_no_other() {
    let root = authority("root");
    let certified = rcgen::generate_simple_self_signed(["wfm.example".to_owned()]).unwrap();
    let addr = tls_server(&certified, rustls::DEFAULT_VERSIONS).await;
    let get = async |options: HttpOptions| {
        let request = http::Request::get(format!("https://{addr}/")).body(Bytes::new()).unwrap();
        let answer = HttpTransport::new(&options).unwrap().send(request, 1000).await;
        answer.map(|answer| answer.status().as_u16()).map_err(|error| error.kind())
    };
    let pin = SpkiPin::of(certified.cert.der()).unwrap();
    let other = SpkiPin::of(root.der()).unwrap();
    assert_eq!(get(HttpOptions::default().with_pin(pin)).await, Ok(200));
    assert_eq!(get(HttpOptions::default().with_pin(other).with_pin(pin)).await, Ok(200));
    assert_eq!(get(HttpOptions::default().with_pin(other)).await, Err(TransportErrorKind::Untrusted));
    assert_eq!(get(HttpOptions::default()).await, Err(TransportErrorKind::Untrusted));
    assert_eq!(get(HttpOptions::default().trusting_anybody()).await, Ok(200));
}

/// R-B-003, R-D-003.
#[tokio::test]
async fn tls_1_2_is_spoken_only_when_configured() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let addr = tls_server(&certified, &[&rustls::version::TLS12]).await;
    let get = async |options: HttpOptions| {
        let options = options.with_root_certificate(certified.cert.pem().as_bytes()).unwrap();
        let request = http::Request::get(format!("https://{addr}/")).body(Bytes::new()).unwrap();
        HttpTransport::new(&options).unwrap().send(request, 1000).await.is_ok()
    };
    assert!(!get(HttpOptions::default()).await);
    assert!(get(HttpOptions::default().with_tls_versions(TlsVersions::Tls13OrTls12)).await);
}

/// A server with a certificate of its own, that answers each connection once.
async fn tls_server(
    certified: &rcgen::CertifiedKey<rcgen::KeyPair>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> SocketAddr {
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") && stream.read_buf(&mut read).await.unwrap_or_default() > 0
                {
                }
                let _ = stream.write_all(ANSWER).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    addr
}
