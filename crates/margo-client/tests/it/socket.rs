//! The real transport. Each server here says exactly what the test wrote: what is slow, cut short, endless or
//! encrypted cannot be shown without a socket.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use margo_api::{DesiredStateSource, SinkErrorKind, SourceErrorKind, StatusSink, Update};
use margo_client::{
    ClientLimits, HttpOptions, HttpTransport, RestClient, SetupError, Transport, TransportErrorKind,
};
use margo_core::{ManifestVersion, SpecVersion};
use margo_identity::BearerCredentials;
use margo_status::DeploymentStatusManifest;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

const NOTHING: &str = r#"{"bundle":null,"deployments":[],"manifestVersion":1}"#;

/// What a server does once it has read a request.
#[derive(Clone)]
enum Act {
    /// Sends these bytes and closes.
    Say(Vec<u8>),
    /// Sends the first bytes once and the second ones until the client goes away.
    Repeat(Vec<u8>, Vec<u8>),
    /// Sends nothing and keeps the connection open.
    Wait,
}

struct Server {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { addr: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&server.seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, act.clone(), Arc::clone(&seen)));
            }
        });
        server
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self) -> RestClient<HttpTransport, BearerCredentials> {
        let base = format!("http://{}/margo", self.addr).parse().unwrap();
        RestClient::connect(base, SpecVersion::V1_0_0Rc3, BearerCredentials::new("secret").unwrap()).unwrap()
    }
}

/// One request, one act. The client may go away at any moment, which ends this.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, act: Act, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let head = loop {
        if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return;
        }
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request[..end]).into_owned();
        }
    };
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
    while request.len() < head.len() + 4 + length {
        if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return;
        }
    }
    seen.lock().unwrap().push(head);
    match act {
        Act::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Repeat(first, next) => {
            let mut sent = stream.write_all(&first).await;
            if next.is_empty() {
                return std::future::pending().await;
            }
            while sent.is_ok() {
                sent = stream.write_all(&next).await;
            }
        }
        Act::Wait => std::future::pending().await,
    }
}

fn response(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn ok(body: &str) -> Act {
    Act::Say(response("200 OK", body.as_bytes()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn small() -> ClientLimits {
    let mut limits = ClientLimits::default();
    limits.max_manifest = 1 << 20;
    limits
}

async fn get(
    transport: &HttpTransport,
    url: &str,
    max_body: usize,
) -> Result<http::Response<Bytes>, TransportErrorKind> {
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    transport.send(request, max_body).await.map_err(|error| error.kind())
}

fn plain() -> HttpTransport {
    HttpTransport::new(&HttpOptions::default()).unwrap()
}

#[tokio::test]
async fn a_manifest_arrives_and_the_token_went() {
    let server = Server::start(ok(NOTHING)).await;
    let Update::Changed(manifest) = server.client().poll(None).await.unwrap() else {
        panic!("nothing was known")
    };
    assert_eq!(manifest.bytes(), NOTHING);
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /margo/api/v1/deployments HTTP/1.1\r\n"), "{}", requests[0]);
    let request = requests[0].to_ascii_lowercase();
    for header in ["authorization: bearer secret", "accept: application/vnd.margo", "accept-encoding: gzip"] {
        assert!(request.contains(header), "{header}: {request}");
    }
}

/// R-B-035.
#[tokio::test]
async fn an_unchanged_manifest_has_no_body() {
    let server =
        Server::start(Act::Say(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec())).await;
    let known = margo_api::Checkpoint::new(ManifestVersion::FIRST, margo_core::Digest::of(b"known"));
    assert_eq!(server.client().poll(Some(known)).await.unwrap(), Update::Unchanged);
    let tag = format!("if-none-match: \"{}\"", known.digest);
    assert!(server.requests()[0].to_ascii_lowercase().contains(&tag));
}

/// The digest covers the decoded bytes (rev-B 2.2).
#[tokio::test]
async fn a_compressed_manifest_is_the_same_manifest() {
    let body = gzip(NOTHING.as_bytes());
    let server = Server::start(Act::Say(response("200 OK\r\nContent-Encoding: gzip", &body))).await;
    let Update::Changed(manifest) = server.client().poll(None).await.unwrap() else {
        panic!("nothing was known")
    };
    assert_eq!(manifest.digest(), margo_core::Digest::of(NOTHING.as_bytes()));
}

/// A token does not follow a redirect, not even to the same manager.
#[tokio::test]
async fn redirects_are_refused() {
    let elsewhere = Server::start(ok(NOTHING)).await;
    let location = format!("302 Found\r\nLocation: http://{}/api/v1/deployments", elsewhere.addr);
    let server = Server::start(Act::Say(response(&location, b""))).await;
    assert_eq!(server.client().poll(None).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
    let status = DeploymentStatusManifest::of("a".parse().unwrap(), ManifestVersion::FIRST, Vec::new());
    let error = server.client().report_status(&status).await.unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::Unavailable, "the report is kept");
    assert_eq!(server.requests().len(), 2);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_read() {
    // Only the announcement is ever sent: whoever waited for the body would run into the timeout instead.
    let server = Server::start(Act::Repeat(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n".to_vec(),
        Vec::new(),
    ));
    let error = server.await.client().with_limits(small()).poll(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
}

/// An endless body ends where the limit is; nothing else could end it.
#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let server = Server::start(Act::Repeat(head, chunk(&[b' '; 8192]))).await;
    assert_eq!(
        server.client().with_limits(small()).poll(None).await.unwrap_err().kind(),
        SourceErrorKind::Corrupt
    );
    let url = format!("http://{}/", server.addr);
    let kind = get(&plain(), &url, 100_000).await.unwrap_err();
    assert_eq!(kind, TransportErrorKind::TooLarge { limit: 100_000 });
}

/// A gzip bomb without end: each kilobyte becomes a megabyte of zeros.
#[tokio::test]
async fn a_gzip_bomb_is_cut_off() {
    let mut head =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let (start, more) = endless_zeros();
    head.extend(chunk(&start));
    let server = Server::start(Act::Repeat(head, chunk(&more))).await;
    let url = format!("http://{}/", server.addr);
    let kind = get(&plain(), &url, 10 << 20).await.unwrap_err();
    assert_eq!(kind, TransportErrorKind::TooLarge { limit: 10 << 20 });
    assert_eq!(
        server.client().with_limits(small()).poll(None).await.unwrap_err().kind(),
        SourceErrorKind::Corrupt
    );
}

/// The limit itself may be reached.
#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_the_limit() {
    for head in ["200 OK", "200 OK\r\nContent-Encoding: gzip"] {
        let body = if head.ends_with("gzip") { gzip(&[b'a'; 5000]) } else { vec![b'a'; 5000] };
        let server = Server::start(Act::Say(response(head, &body))).await;
        let url = format!("http://{}/", server.addr);
        assert_eq!(get(&plain(), &url, 5000).await.unwrap().body().len(), 5000, "{head}");
        let kind = get(&plain(), &url, 4999).await.unwrap_err();
        assert_eq!(kind, TransportErrorKind::TooLarge { limit: 4999 }, "{head}");
    }
}

/// The status of an error says what to do, however long or broken its page is.
#[tokio::test]
async fn an_error_is_understood_without_its_page() {
    let head = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n";
    let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let short = format!("{head}Content-Length: 100\r\n\r\n<html>").into_bytes();
    for act in [Act::Repeat(endless, chunk(&[b' '; 8192])), Act::Say(short)] {
        let server = Server::start(act).await;
        let error = server.client().with_limits(small()).poll(None).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unavailable);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_not_a_body() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"manifest".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"man\r\n".to_vec();
    for bytes in [short, chunked, Vec::new(), b"HTTP/1.1 200".to_vec()] {
        let server = Server::start(Act::Say(bytes)).await;
        let kind = get(&plain(), &format!("http://{}/", server.addr), 1000).await.unwrap_err();
        assert_eq!(kind, TransportErrorKind::Interrupted);
        assert_eq!(server.client().poll(None).await.unwrap_err().kind(), SourceErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn what_is_not_compressed_as_claimed_cannot_be_read() {
    let server =
        Server::start(Act::Say(response("200 OK\r\nContent-Encoding: gzip", NOTHING.as_bytes()))).await;
    let kind = get(&plain(), &format!("http://{}/", server.addr), 1000).await.unwrap_err();
    assert_eq!(kind, TransportErrorKind::Undecodable);
    assert_eq!(server.client().poll(None).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
}

#[tokio::test]
async fn a_manager_that_does_not_answer_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"manifest".to_vec();
    let transport =
        HttpTransport::new(&HttpOptions::default().with_timeout(Duration::from_millis(200))).unwrap();
    // Not a word, and a body that stops in the middle.
    for act in [Act::Wait, Act::Repeat(head, Vec::new())] {
        let server = Server::start(act).await;
        let kind = get(&transport, &format!("http://{}/", server.addr), 1000).await.unwrap_err();
        assert_eq!(kind, TransportErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let kind = get(&plain(), &format!("http://{addr}/"), 1000).await.unwrap_err();
    assert_eq!(kind, TransportErrorKind::Unreachable);
}

/// R-D-005 comes later; until then a manager is trusted through an authority one names, and through no other.
#[tokio::test]
async fn only_a_manager_that_an_authority_vouches_for_is_spoken_to() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream, ok(NOTHING), Arc::clone(&log)));
            }
        }
    });

    let base: url::Url = format!("https://{addr}").parse().unwrap();
    let client = |options: &HttpOptions| {
        let transport = HttpTransport::new(options).unwrap();
        let credentials = BearerCredentials::new("secret").unwrap();
        RestClient::new(base.clone(), SpecVersion::V1_0_0Rc3, transport, credentials).unwrap()
    };
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let strangers = HttpOptions::default().with_root_certificate(other.as_bytes()).unwrap();
    for options in [&HttpOptions::default(), &strangers] {
        assert_eq!(client(options).poll(None).await.unwrap_err().kind(), SourceErrorKind::Unavailable);
    }
    assert!(seen.lock().unwrap().is_empty(), "the token stayed here");

    let named = strangers.with_root_certificate(cert.pem().as_bytes()).unwrap();
    assert!(matches!(client(&named).poll(None).await.unwrap(), Update::Changed(_)));
    assert!(seen.lock().unwrap()[0].to_ascii_lowercase().contains("authorization: bearer secret"));

    let error = RestClient::connect(base, SpecVersion::V1_0_0Rc3, BearerCredentials::new("secret").unwrap());
    assert!(matches!(error, Err(SetupError::Certificate { .. })));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let unfinished = "-----BEGIN CERTIFICATE-----\nAAAA";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for pem in ["", "certificate", broken, unfinished, key] {
        let error = HttpOptions::default().with_root_certificate(pem.as_bytes()).unwrap_err();
        assert!(matches!(error, SetupError::Certificate { .. }), "{pem}");
    }
}

/// The start of a gzip stream of zeros, and what can follow it as often as one likes.
fn endless_zeros() -> (Vec<u8>, Vec<u8>) {
    let zeros = vec![0; 1 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut block = || {
        encoder.write_all(&zeros).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    (block(), block())
}
