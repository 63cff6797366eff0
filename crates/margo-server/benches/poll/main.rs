//! What a poll of the desired state costs: in process, over loopback, and next to nginx that serves the same bytes as
//! a static file.
//!
//! `unchanged` asks with the `ETag` of what is there and is answered `304`; `manifest` asks without and is answered
//! `200`. Over loopback, sixteen kept connections ask at once and all are answered: with one alone, the figure is mostly
//! that of the kernel, which wakes a server on the same core or on another. The router runs on one thread of this
//! process, nginx with one worker; the client is the same.
//!
//! `mutual_tls` asks for what is unchanged as 1.0.0-rc.3 has it: over connections that are kept, and over new ones, each
//! with a full handshake of both certificates (P-256). nginx verifies the chain; the manager also who it is, and whether
//! it is still served.
//!
//! The manager is the whole one, with its tokens looked up and its metrics counted, over the store in memory. As nginx
//! writes no access log here, nobody subscribes to the manager's.

#![expect(clippy::unwrap_used, reason = "what cannot be asked has no speed")]

mod connection;
mod mutual_tls;
mod nginx;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use divan::counter::ItemsCount;
use divan::{Bencher, Divan};
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use margo_api::NoPublisher;
use margo_core::SpecVersion;
use margo_identity::{BearerAuthenticator, LoopbackOnly, PeerAddr};
use margo_server::{DeployRequest, ManagementTokens, Manager, Memory, OnboardRequest, authenticated, router};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use self::connection::Connection;
use self::nginx::Nginx;

const PATH: &str = "/api/v1/deployments";
const PACKAGE: &str = include_str!("../../../../fixtures/packages/pump-monitor-1.1.0/margo.yaml");

/// How many deployments a device has, from few to many.
const DEPLOYMENTS: [usize; 2] = [10, 100];

fn main() {
    WORLDS.get_or_init(|| DEPLOYMENTS.map(World::new));
    Divan::default().sample_count(1_000).config_with_args().main();
    // nginx would outlive this process.
    WORLDS.get().unwrap().iter().filter_map(|world| world.nginx.as_ref()).for_each(Nginx::stop);
    mutual_tls::stop();
}

static WORLDS: OnceLock<[World; 2]> = OnceLock::new();

/// A manager with one device, and what answers for it.
struct World {
    app: Router,
    token: String,
    etag: String,
    bytes: usize,
    address: SocketAddr,
    nginx: Option<Nginx>,
    runtime: Runtime,
}

impl World {
    fn new(deployments: usize) -> Self {
        // The thread that serves; whoever calls `block_on` brings its own.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (app, token) = runtime.block_on(manager(deployments));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.clone().into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async { axum::serve(listener, service).await });

        let answer = runtime.block_on(app.clone().oneshot(request(&token, None))).unwrap();
        let etag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
        let manifest = runtime.block_on(axum::body::to_bytes(answer.into_body(), usize::MAX)).unwrap();
        let nginx = Nginx::start(PATH, &manifest);
        Self { app, token, etag, bytes: manifest.len(), address, nginx, runtime }
    }

    fn of(deployments: usize) -> &'static Self {
        let index = DEPLOYMENTS.iter().position(|known| *known == deployments).unwrap();
        &WORLDS.get().unwrap()[index]
    }
}

/// A manager whose only device has this many deployments, and the device's token.
async fn manager(deployments: usize) -> (Router, String) {
    let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
    let onboarded =
        manager.onboard(OnboardRequest::new("line-3".parse().unwrap(), SpecVersion::LATEST)).await.unwrap();
    manager.upload_application(PACKAGE.into()).await.unwrap();
    let mut request = DeployRequest::new("pump-monitor".parse().unwrap(), vec!["line-3".parse().unwrap()]);
    request.profile = Some("pump-monitor-cluster".to_owned());
    request.values = [("siteId".to_owned(), "DE-0042".into())].into();
    for number in 0..deployments {
        request.namespace = Some(format!("plant-{number}"));
        manager.deploy(&request).await.unwrap();
    }
    let tokens = LoopbackOnly::new(BearerAuthenticator::new(ManagementTokens::new(Arc::clone(&manager))));
    (authenticated(router(manager), Arc::new(tokens)), onboarded.token.reveal().to_owned())
}

fn request(token: &str, known: Option<&str>) -> Request<Body> {
    let mut request = Request::get(PATH).header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(etag) = known {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = ([127, 0, 0, 1], 40_000).into();
    request.extensions_mut().insert(PeerAddr::new(peer));
    request
}

mod in_process {
    use tower::ServiceExt as _;

    use super::{Bencher, DEPLOYMENTS, ItemsCount, StatusCode, World, request};

    #[divan::bench(args = DEPLOYMENTS)]
    fn unchanged(bencher: Bencher<'_, '_>, deployments: usize) {
        let world = World::of(deployments);
        ask(bencher, world, Some(&world.etag), StatusCode::NOT_MODIFIED);
    }

    #[divan::bench(args = DEPLOYMENTS)]
    fn manifest(bencher: Bencher<'_, '_>, deployments: usize) {
        ask(bencher, World::of(deployments), None, StatusCode::OK);
    }

    fn ask(bencher: Bencher<'_, '_>, world: &World, known: Option<&str>, expected: StatusCode) {
        bencher
            .counter(ItemsCount::new(1_u32))
            .with_inputs(|| request(&world.token, known))
            .bench_local_values(|request| {
                world.runtime.block_on(async {
                    let answer = world.app.clone().oneshot(request).await.unwrap();
                    assert_eq!(answer.status(), expected);
                    axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()
                })
            });
    }
}

mod loopback {
    use super::{Bencher, Connection, DEPLOYMENTS, World};

    #[divan::bench(args = DEPLOYMENTS)]
    fn unchanged(bencher: Bencher<'_, '_>, deployments: usize) {
        let world = World::of(deployments);
        let etag = format!("if-none-match: {}\r\n", world.etag);
        ask(bencher, world, &etag, (304, 0));
    }

    #[divan::bench(args = DEPLOYMENTS)]
    fn manifest(bencher: Bencher<'_, '_>, deployments: usize) {
        let world = World::of(deployments);
        ask(bencher, world, "", (200, world.bytes));
    }

    fn ask(bencher: Bencher<'_, '_>, world: &World, headers: &str, expected: (u16, usize)) {
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{headers}\r\n",
            super::PATH,
            world.token
        );
        Connection::bench(bencher, world.address, request.as_bytes(), expected);
    }
}

mod nginx_static_file {
    use super::{Bencher, Connection, DEPLOYMENTS, World};

    #[divan::bench(args = DEPLOYMENTS)]
    fn unchanged(bencher: Bencher<'_, '_>, deployments: usize) {
        ask(bencher, World::of(deployments), true);
    }

    #[divan::bench(args = DEPLOYMENTS)]
    fn manifest(bencher: Bencher<'_, '_>, deployments: usize) {
        ask(bencher, World::of(deployments), false);
    }

    fn ask(bencher: Bencher<'_, '_>, world: &World, is_known: bool) {
        // `main` has said so.
        let Some(nginx) = &world.nginx else { return };
        let request =
            |headers: &str| format!("GET {} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n", super::PATH);
        let (request, expected) = if is_known {
            (request(&format!("if-none-match: {}\r\n", nginx.etag)), (304, 0))
        } else {
            (request(""), (200, world.bytes))
        };
        Connection::bench(bencher, nginx.address, request.as_bytes(), expected);
    }
}
