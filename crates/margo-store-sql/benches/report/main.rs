//! What a status report costs that is on the disk before it is answered, next to a bare SQLite insert and to the bare
//! disk.
//!
//! A report goes the whole way: the device's token is looked up, the document is read and checked, its deployment is
//! found, and the report is stored beside the earlier ones, of which one is forgotten: as many are there as are kept. Over loopback, one device reports and waits (`1`), or sixteen report at once and all are answered
//! (`16`).
//!
//! The bare insert puts the same columns into a table without indices or references, one transaction each, through
//! the same library and with the same pragmas. The bare disk appends as many bytes to a file and syncs it.
//!
//! The files lie in the target directory: the figures are those of its disk.

#![expect(clippy::unwrap_used, reason = "what cannot be stored has no speed")]

mod connection;

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, Divan};
use http::{Request, header};
use jiff::Timestamp;
use margo_api::NoPublisher;
use margo_core::{ManifestVersion, SpecVersion};
use margo_identity::{BearerAuthenticator, LoopbackOnly, PeerAddr, Token};
use margo_server::{
    Change, ClientRecord, DeploymentRecord, KEPT_REPORTS, ManagementTokens, Manager, ManifestRecord,
    StatusRecord, Store as _, authenticated, router,
};
use margo_store_sql::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use self::connection::Connection;

/// How many deployments the device has; it reports one after the other.
const DEPLOYMENTS: usize = 10;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench]
fn in_process(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let mut ids = (0..DEPLOYMENTS).cycle();
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| world.request(ids.next().unwrap_or_default()))
        .bench_local_values(|request| {
            world.runtime.block_on(async {
                let answer = world.app.clone().oneshot(request).await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.status());
            });
        });
}

#[divan::bench(consts = [1, 16])]
fn loopback<const DEVICES: usize>(bencher: Bencher<'_, '_>) {
    let world = World::new();
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = world.app.clone().into_make_service_with_connect_info::<SocketAddr>();
    world.runtime.spawn(async { axum::serve(listener, service).await });

    let requests: Vec<_> = (0..DEPLOYMENTS).map(|number| world.request_text(number)).collect();
    let mut requests = requests.iter().cycle();
    let mut connections: Vec<_> = (0..DEVICES).map(|_| Connection::open(address)).collect();
    bencher.counter(ItemsCount::new(DEVICES)).bench_local(|| {
        for (connection, request) in connections.iter_mut().zip(&mut requests) {
            connection.send(request.as_bytes());
        }
        for connection in &mut connections {
            let status = connection.receive();
            assert!(matches!(status, 200 | 201), "{status}");
        }
    });
}

#[divan::bench]
fn bare_insert(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let runtime = runtime();
    let mut connection = runtime.block_on(bare(&folder.path().join("bare.db")));
    let document = document(0);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let insert = sqlx::query(
            "INSERT INTO reports (deployment_id, client_id, device_id, revision, received_at, document)
             VALUES ($1, $2, $3, $4, $5, $6)",
        );
        let insert = insert
            .bind(id(0))
            .bind("line-3")
            .bind("line-3")
            .bind(SpecVersion::LATEST.as_str())
            .bind("2026-11-22T10:00:00Z")
            .bind(&*document);
        runtime.block_on(insert.execute(&mut connection)).unwrap();
    });
    runtime.block_on(connection.close()).unwrap();
}

#[divan::bench]
fn bare_disk(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let mut file = File::create(folder.path().join("bare")).unwrap();
    let document = document(0);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        file.write_all(&document).unwrap();
        file.sync_data().unwrap();
    });
}

/// A manager over a store on the disk, with a device that has everything to report.
struct World {
    app: Router,
    token: Token,
    runtime: Runtime,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let (folder, runtime, token) = (folder(), runtime(), Token::generate().unwrap());
        let store = runtime.block_on(SqliteStore::open(&folder.path().join("manager.db"))).unwrap();
        runtime.block_on(fill(&store, &token));
        let manager = Arc::new(Manager::new(store, NoPublisher::new(), Timestamp::now));
        let tokens = LoopbackOnly::new(BearerAuthenticator::new(ManagementTokens::new(Arc::clone(&manager))));
        let app = authenticated(router(manager), Arc::new(tokens));
        Self { app, token, runtime, _folder: folder }
    }

    fn request(&self, number: usize) -> Request<Body> {
        let mut request = Request::post(path(number))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.reveal()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(document(number).into())
            .unwrap();
        let peer: SocketAddr = ([127, 0, 0, 1], 40_000).into();
        request.extensions_mut().insert(PeerAddr::new(peer));
        request
    }

    fn request_text(&self, number: usize) -> String {
        let document = document(number);
        format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            path(number),
            self.token.reveal(),
            document.len(),
            std::str::from_utf8(&document).unwrap()
        )
    }
}

async fn fill(store: &SqliteStore, token: &Token) {
    let client = ClientRecord::new(
        "line-3".parse().unwrap(),
        "line-3".parse().unwrap(),
        SpecVersion::LATEST,
        token.hash(),
        Token::generate().unwrap().hash(),
        Timestamp::UNIX_EPOCH,
    );
    let client_id = client.client_id.clone();
    let first = ManifestVersion::FIRST;
    store.add_client(client, ManifestRecord::new(first, "{}".into(), None)).await.unwrap();
    let second = first.next().unwrap();
    let deployments = (0..DEPLOYMENTS).map(|number| {
        DeploymentRecord::new(
            id(number).parse().unwrap(),
            client_id.clone(),
            "line-3".parse().unwrap(),
            "pump-monitor".parse().unwrap(),
            "1.0.0".to_owned(),
            "helm".to_owned(),
            "plant".to_owned(),
            [("siteId".to_owned(), "DE-0042".into())].into(),
            format!("{:1800}", id(number)).into(),
            second,
            Timestamp::UNIX_EPOCH,
        )
    });
    let manifest = ManifestRecord::new(second, "{}".into(), None);
    store
        .publish(vec![Change::new(client_id.clone(), first, manifest, deployments.collect())])
        .await
        .unwrap();

    for number in (0..DEPLOYMENTS).cycle().take(DEPLOYMENTS * (1 + usize::try_from(KEPT_REPORTS).unwrap())) {
        let status = StatusRecord::new(
            client_id.clone(),
            id(number).parse().unwrap(),
            None,
            SpecVersion::LATEST,
            document(number),
            Timestamp::UNIX_EPOCH,
        );
        store.put_status(status).await.unwrap();
    }
}

/// A new database with the pragmas of the store, and a table with the columns of its reports.
async fn bare(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .unwrap();
    let table = "CREATE TABLE reports (
        position INTEGER NOT NULL PRIMARY KEY, deployment_id TEXT NOT NULL, client_id TEXT NOT NULL, device_id TEXT,
        revision TEXT NOT NULL, received_at TEXT NOT NULL, document BLOB NOT NULL) STRICT";
    sqlx::query(table).execute(&mut connection).await.unwrap();
    connection
}

fn id(number: usize) -> String {
    format!("a3e2f5dc-912e-494f-8395-{number:012}")
}

fn path(number: usize) -> String {
    format!("/api/v1/deployments/{}/status", id(number))
}

fn document(number: usize) -> Bytes {
    let text = format!(
        r#"{{"deploymentId":"{}","adoptedManifestVersion":2,"status":{{"state":"installing"}},"components":[
            {{"name":"measurement-store","state":"installed"}},{{"name":"pump-analyzer","state":"installing"}}]}}"#,
        id(number)
    );
    text.into()
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// One thread that serves; whoever calls `block_on` brings its own.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
