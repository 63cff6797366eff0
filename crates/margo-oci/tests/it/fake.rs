//! A registry in this process: honest unless a test says otherwise, and it writes down what it is asked.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::serve::Listener;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use margo_application::package::{
    COMPOSE_ARTIFACT_TYPE, COMPOSE_MEDIA_TYPE, Descriptor, MANIFEST_MEDIA_TYPE, PackageManifest,
};
use margo_core::Digest;
use margo_deployment::Package;
use margo_oci::{Fetcher, Options, Registry};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) type Answer = Response<Body>;

/// What a registry was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_none_match: Option<String>,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (router, asked) = router(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    pub(crate) async fn start_tls(
        acceptor: TlsAcceptor,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (router, asked) = router(answer);
        tokio::spawn(async move { axum::serve(Tls { listener, acceptor }, router).await });
        Self { address, asked }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Everything since this was called last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// How often a path with this in it was asked for since the last time.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path.contains(part)).count()
    }

    pub(crate) fn package(&self) -> Package {
        Package::oci(format!("oci://{}/pumps/collector", self.host()), "1.0.9".parse().unwrap())
    }

    pub(crate) fn options(&self) -> Options {
        Options::new().with_registry(self.host(), Registry::new().with_plain_http()).with_attempts(2)
    }
}

fn router(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Router, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::<Mutex<Vec<Asked>>>::default();
    let log = Arc::clone(&asked);
    let answer = Arc::new(answer);
    let router = Router::new().fallback(move |request: Request| {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let asked = Asked {
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            authorization: header("authorization"),
            range: header("range"),
            if_none_match: header("if-none-match"),
        };
        log.lock().unwrap().push(asked.clone());
        let answer = answer(&asked);
        async move { answer }
    });
    (router, asked)
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One component in a repository, as an honest registry serves it.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) manifest: Vec<u8>,
    pub(crate) layer: Vec<u8>,
}

impl Content {
    pub(crate) fn compose() -> Self {
        Self::of(archive(&[("app/compose.yaml", "services: {}\n")]))
    }

    pub(crate) fn of(layer: Vec<u8>) -> Self {
        let mut manifest = PackageManifest::new(vec![Descriptor::of(COMPOSE_MEDIA_TYPE, &layer)]);
        manifest.artifact_type = Some(COMPOSE_ARTIFACT_TYPE.to_owned());
        Self { manifest: serde_json::to_vec(&manifest).unwrap(), layer }
    }

    /// A layer that takes more than one packet.
    pub(crate) fn large() -> Self {
        // Incompressible, and the same every time.
        let mut state = 1_u32;
        let noise: String = (0..400_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'!' + u8::try_from(state >> 24).unwrap() % 90)
            })
            .collect();
        Self::of(archive(&[("app/compose.yaml", "services: {}\n"), ("app/noise", &noise)]))
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.layer)
    }

    pub(crate) fn answer(&self, asked: &Asked) -> Answer {
        if asked.path.starts_with("/v2/pumps/collector/manifests/") {
            return typed(MANIFEST_MEDIA_TYPE, self.manifest.clone());
        }
        if asked.path != format!("/v2/pumps/collector/blobs/{}", self.digest()) {
            return status(StatusCode::NOT_FOUND);
        }
        let from = asked.range.as_deref().map(|range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap()
        });
        match from {
            None => typed("application/octet-stream", self.layer.clone()),
            Some(from) => Response::builder()
                .status(StatusCode::PARTIAL_CONTENT)
                .header(
                    "content-range",
                    format!("bytes {from}-{}/{}", self.layer.len() - 1, self.layer.len()),
                )
                .body(Body::from(self.layer[from..].to_vec()))
                .unwrap(),
        }
    }
}

pub(crate) fn typed(media_type: &str, body: Vec<u8>) -> Answer {
    Response::builder().header("content-type", media_type).body(Body::from(body)).unwrap()
}

pub(crate) fn status(status: StatusCode) -> Answer {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// An answer that promises all of `body` and breaks off after `after` bytes of it.
pub(crate) fn broken(body: &[u8], after: usize) -> Answer {
    let part = body[..after].to_vec();
    let chunks = stream::iter([Ok(part), Err(std::io::Error::other("broken"))]);
    let chunks = futures_util::StreamExt::then(chunks, |chunk| async {
        // Lets what came before get through.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        chunk
    });
    Response::builder().header("content-length", body.len()).body(Body::from_stream(chunks)).unwrap()
}

pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A fetcher with a cache of its own.
pub(crate) fn fetcher(options: Options) -> (tempfile::TempDir, Fetcher) {
    let cache = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(cache.path(), options).unwrap();
    (cache, fetcher)
}

/// The names of everything in the cache but records.
pub(crate) fn kept(cache: &tempfile::TempDir) -> BTreeMap<&'static str, usize> {
    let count = |folder: &str| std::fs::read_dir(cache.path().join(folder)).unwrap().count();
    BTreeMap::from([("blobs", count("blobs")), ("partial", count("partial"))])
}
