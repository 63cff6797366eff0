//! What a listener bears: slow ones, many ones, and its own end.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, post};
use margo_identity::TlsVersions;
use margo_server::listen::{ListenConfig, ServerCertificate, Transport, server_tls_config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pki::{At, ManagerFiles, authority, client_id, device_certificate, issue, now, provider};
use crate::plant::Plant;
use crate::wire::{Server, TLS_1_3, exchange, get, is_over};

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
    let transport = Transport::mutual_tls(files.server(TlsVersions::default()));
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

#[tokio::test]
async fn an_oversized_header_is_answered_431() {
    let server = plain(ListenConfig::new()).await;
    let mut stream = server.connect().await;
    let padding = "x".repeat(40 << 10);
    let request = format!("GET / HTTP/1.1\r\nhost: m\r\nx-padding: {padding}\r\n\r\n");
    assert_eq!(exchange(&mut stream, &request).await.unwrap().status, 431);
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
    let loaded = std::sync::Arc::new(ServerCertificate::load(&certificate, &key, provider()).unwrap());
    let clock = std::sync::Arc::new(At(now()));
    let config =
        server_tls_config(provider(), clock, TlsVersions::default(), std::sync::Arc::clone(&loaded)).unwrap();
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
