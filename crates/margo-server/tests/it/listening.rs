//! What a listener bears: slow ones, many ones, and its own end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use margo_identity::TlsVersions;
use margo_server::listen::{DEFAULT_ADDRESS, ListenConfig, ServerCertificate, Transport, server_tls_config};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::pki::{At, ManagerFiles, authority, client_id, device_certificate, issue, now, provider};
use crate::plant::{Plant, capabilities};
use crate::wire::{Server, TLS_1_3, exchange, get, is_over, with_body};

const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_mins(10);

fn hello() -> Router {
    Router::new().route("/", on_get(async || "hello")).route("/echo", post(async |body: Body| body))
}

async fn plain(config: ListenConfig) -> Server {
    Server::start(Transport::plain(), hello(), config).await
}

async fn mutual(config: ListenConfig) -> (Server, ManagerFiles, crate::pki::Issued) {
    let authority = authority("factory");
    let files = ManagerFiles::new(&authority);
    let client = issue(&authority, &[&client_id("press-7")], |_| {});
    let transport = files.transport(TlsVersions::default());
    (Server::start(transport, hello(), config).await, files, client)
}

/// A handshake that does not come to its end is ended.
#[tokio::test]
async fn a_slow_handshake_is_ended() {
    let (server, _files, client) = mutual(ListenConfig::new().with_time_limits(SOON, LATE, LATE)).await;
    let mut silent = server.connect().await;
    let mut halfway = server.connect().await;
    halfway.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    assert!(is_over(&mut silent).await && is_over(&mut halfway).await);
    let mut quick = server.connect_tls(Some(&client), TLS_1_3).await.unwrap();
    assert_eq!(exchange(&mut quick, &get("/")).await.unwrap().status, 200);
}

/// A header that does not come to its end is ended, and so is a connection that asks nothing more.
#[tokio::test]
async fn a_slow_header_is_ended() {
    let server = plain(ListenConfig::new().with_time_limits(LATE, SOON, LATE)).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut idle = server.connect().await;
    assert_eq!(exchange(&mut idle, &get("/")).await.unwrap().status, 200);
    assert!(is_over(&mut slow).await && is_over(&mut idle).await);
}

/// A body that does not come to its end is answered 408, and what it was for does not happen.
#[tokio::test]
async fn a_slow_body_is_answered_408() {
    let plant = Plant::new();
    let device = plant.onboard("plc-7", margo_core::SpecVersion::LATEST).await;
    let config = ListenConfig::new().with_time_limits(LATE, LATE, SOON);
    let server = Server::start(Transport::plain(), plant.app.clone(), config).await;
    let mut stream = server.connect().await;
    let before = plant.snapshot();
    let head = format!(
        "PUT /api/v1/capabilities/plc-7 HTTP/1.1\r\nhost: m\r\nauthorization: Bearer {}\r\n\
         content-length: 100\r\n\r\n{{",
        device.token.reveal()
    );
    let answer = exchange(&mut stream, &head).await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (408, &408.into()));
    assert_eq!(plant.snapshot(), before);
}

/// Whoever does not read an answer keeps neither it nor a place for ever; whoever reads it gets all of it.
#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_has_to_leave() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 64;
    let app = |gone: Arc<AtomicUsize>| {
        Router::new().route(
            "/",
            on_get(move || {
                let gone = Gone(Arc::clone(&gone));
                let pieces = futures_util::stream::iter(0..PIECES).map(move |_| {
                    let _held = &gone;
                    Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; PIECE]))
                });
                std::future::ready(Body::from_stream(pieces))
            }),
        )
    };
    let authority = authority("factory");
    let files = ManagerFiles::new(&authority);
    let client = issue(&authority, &[&client_id("press-7")], |_| {});
    for is_encrypted in [false, true] {
        let gone = Arc::new(AtomicUsize::new(0));
        let config = ListenConfig::new().with_time_limits(LATE, LATE, LATE).with_stall(SOON);
        let transport =
            if is_encrypted { files.transport(TlsVersions::default()) } else { Transport::plain() };
        let server = Server::start(transport, app(Arc::clone(&gone)), config).await;
        let received = if is_encrypted {
            let mut stream = server.connect_tls(Some(&client), TLS_1_3).await.unwrap();
            stalled(&mut stream, &gone).await
        } else {
            stalled(&mut server.connect().await, &gone).await
        };
        assert!(received < PIECE * PIECES, "what was not taken in time was not sent: {received}");

        let mut stream = server.connect().await;
        if !is_encrypted {
            stream
                .write_all(get("/").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert!(all.len() > PIECE * PIECES);
        }
    }
}

/// Asks, and reads only once the server has given up; how much there was.
async fn stalled(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), gone: &AtomicUsize) -> usize {
    stream.write_all(get("/").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    while gone.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut received = Vec::new();
    // The end of an answer that was cut off is an error.
    let _ = stream.read_to_end(&mut received).await;
    received.len()
}

/// Counts when an answer is given up.
struct Gone(Arc<AtomicUsize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// RFC 9112, 9.6: an answer that comes before the request is complete can be read, and its connection ends in good order.
#[tokio::test]
async fn whoever_is_refused_early_can_read_why() {
    let plant = Plant::new();
    let before = plant.snapshot();
    let server = Server::start(Transport::plain(), plant.app.clone(), ListenConfig::new()).await;
    // With little room of its own, so that the request cannot be sent to nobody.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let body = "x".repeat(900_000);
    let head = "PUT /api/v1/capabilities/plc-7 HTTP/1.1\r\nhost: m\r\ncontent-length: 900000\r\n\r\n";
    let answer = exchange(&mut stream, &format!("{head}{body}")).await.unwrap();
    assert_eq!(answer.status, 401);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert_eq!(plant.snapshot(), before);
    drop(stream);
    server.stop().await;
}

/// Headers that are too large, or too many, are answered 431, whoever sends them, and what they were for does not happen.
#[tokio::test]
async fn an_oversized_header_is_answered_431() {
    let plant = Plant::new();
    let device = plant.onboard("plc-7", margo_core::SpecVersion::LATEST).await;
    let server = Server::start(Transport::plain(), plant.app.clone(), ListenConfig::new()).await;
    let report = |headers: &str| {
        let headers = format!("\r\nauthorization: Bearer {}{headers}\r\n", device.token.reveal());
        let report = with_body("PUT", "/api/v1/capabilities/plc-7", &capabilities("plc-7"));
        report.replacen("\r\n", &headers, 1)
    };
    let before = plant.snapshot();
    for headers in [format!("\r\nx-padding: {}", "x".repeat(40 << 10)), "\r\nx-padding: x".repeat(200)] {
        let mut stream = server.connect().await;
        assert_eq!(exchange(&mut stream, &report(&headers)).await.unwrap().status, 431);
        assert_eq!(plant.snapshot(), before);
    }
    let mut stream = server.connect().await;
    assert_eq!(exchange(&mut stream, &report("")).await.unwrap().status, 201, "the call itself is good");
}

/// R-B-004, R-D-001.
#[test]
fn the_default_port_is_443() {
    assert_eq!(DEFAULT_ADDRESS.port(), 443);
    assert!(DEFAULT_ADDRESS.ip().is_unspecified(), "devices are elsewhere");
    assert_eq!(margo_api::check_port(DEFAULT_ADDRESS.port()), Ok(()));
}

/// Whoever opens connections and says nothing keeps nobody else out.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "whoever reads the log should know when less was shown")]
async fn ten_thousand_half_open_connections_stop_nobody() {
    let config = ListenConfig::new().with_max_connections(256).with_time_limits(LATE, LATE, LATE);
    let (server, _files, client) = mutual(config).await;
    let mut known = server.connect_tls(Some(&client), TLS_1_3).await.unwrap();
    assert_eq!(exchange(&mut known, &get("/")).await.unwrap().status, 200);
    let mut silent = Vec::new();
    for number in 0..10_000 {
        match tokio::net::TcpStream::connect(server.address).await {
            Ok(stream) => silent.push(stream),
            // Neither end can open more: nothing can be shown.
            Err(error) => {
                eprintln!("SKIPPED after {number} of 10000 connections, raise the descriptor limit: {error}");
                return;
            }
        }
        if number % 1000 == 0 {
            let mut newcomer = server.connect_tls(Some(&client), TLS_1_3).await.unwrap();
            assert_eq!(exchange(&mut newcomer, &get("/")).await.unwrap().status, 200, "after {number}");
        }
    }
    assert_eq!(exchange(&mut known, &get("/")).await.unwrap().status, 200, "a connection in use stays");
    let mut newcomer = server.connect_tls(Some(&client), TLS_1_3).await.unwrap();
    assert_eq!(exchange(&mut newcomer, &get("/")).await.unwrap().status, 200);
}

/// Whoever sends bodies drop by drop keeps nobody else out.
#[tokio::test]
async fn unfinished_bodies_stop_nobody() {
    let config = ListenConfig::new().with_max_connections(4).with_time_limits(LATE, LATE, LATE);
    let server = plain(config).await;
    let mut slow = Vec::new();
    for _ in 0..12 {
        let mut stream = server.connect().await;
        // What gave way already cannot be written to, which is as good.
        let _ = stream.write_all(b"POST /echo HTTP/1.1\r\nhost: m\r\ncontent-length: 9\r\n\r\nab").await;
        slow.push(stream);
        let mut newcomer = server.connect().await;
        assert_eq!(exchange(&mut newcomer, &get("/")).await.unwrap().status, 200);
    }
}

/// TLS with the server's certificate alone (R-B-003), read again when it is renewed.
#[tokio::test]
async fn a_servers_certificate_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("key.pem"));
    let write = |issued: &crate::pki::Issued| {
        std::fs::write(&certificate, &issued.pem).unwrap();
        std::fs::write(&key, issued.key.serialize_pem()).unwrap();
    };
    let (first, second) = (device_certificate(), device_certificate());
    write(&first);
    let loaded = Arc::new(ServerCertificate::load(&certificate, &key, provider()).unwrap());
    let clock = Arc::new(At(now()));
    let config = server_tls_config(provider(), clock, TlsVersions::default(), Arc::clone(&loaded)).unwrap();
    let server = Server::start(Transport::tls(config), hello(), ListenConfig::new()).await;
    let presented = async || {
        let mut stream = server.connect_tls(None, TLS_1_3).await.unwrap();
        assert_eq!(exchange(&mut stream, &get("/")).await.unwrap().status, 200);
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(presented().await, first.der);
    std::fs::write(&certificate, &second.pem).unwrap();
    assert!(loaded.reload().unwrap_err().to_string().contains("key.pem"), "the key is another's");
    assert_eq!(presented().await, first.der);
    write(&second);
    assert!(loaded.reload().unwrap());
    assert!(!loaded.reload().unwrap());
    assert_eq!(presented().await, second.der);
}

/// At the end, what is being answered is answered; what is idle ends.
#[tokio::test]
async fn a_listener_ends_in_good_order() {
    let server = plain(ListenConfig::new()).await;
    let mut idle = server.connect().await;
    assert_eq!(exchange(&mut idle, &get("/")).await.unwrap().status, 200);
    let mut busy = server.connect().await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: m\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
    // The head of the answer says that the request is under way.
    let mut byte = [0];
    busy.read_exact(&mut byte).await.unwrap();
    assert_eq!(byte, *b"H");
    let address = server.address;
    let stopped = tokio::spawn(server.stop());
    assert!(is_over(&mut idle).await);
    busy.write_all(b"cd").await.unwrap();
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"abcd"), "{:?}", String::from_utf8_lossy(&rest));
    stopped.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
