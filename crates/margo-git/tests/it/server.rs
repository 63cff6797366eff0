//! A real HTTP server in front of a host: what a manager does around it, in little.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Segments, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{Method, StatusCode};
use margo_core::{ClientId, ManifestVersion};
use margo_git::GitHost;
use url::Url;

/// What every device's requests must carry: `margo:secret`.
pub(crate) const AUTHORIZATION: &str = "Basic bWFyZ286c2VjcmV0";

pub(crate) struct Server {
    address: std::net::SocketAddr,
    pub(crate) host: GitHost,
    shared: Arc<Shared>,
}

struct Shared {
    host: GitHost,
    seen: Mutex<Vec<Seen>>,
    mood: Mutex<Mood>,
}

/// Somebody who vouches for servers.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }
}

/// How the server treats what comes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Serving,
    /// Asks for [`AUTHORIZATION`].
    Guarded,
    /// Answers 503 and asks for patience.
    Busy,
    /// Never answers.
    Silent,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) is_compressed: bool,
    pub(crate) status: StatusCode,
    pub(crate) transferred: Option<ManifestVersion>,
    pub(crate) response_bytes: usize,
}

impl Server {
    pub(crate) async fn start(root: &Path) -> Self {
        // Once for the process; the tests share one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = GitHost::new(root);
        let (seen, mood) = (Mutex::default(), Mutex::new(Mood::Serving));
        let shared = Arc::new(Shared { host: host.clone(), seen, mood });
        let router = Router::new().route("/git/{client}/{*path}", any(serve)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { address, host, shared }
    }

    /// The same server behind TLS, and the certificate of the authority that vouches for it, in PEM.
    pub(crate) async fn encrypted(&self, client: &ClientId) -> (Url, String) {
        let authority = Authority::new();
        let names = vec!["localhost".to_owned()];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority.issuer).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = self.address;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that trusts somebody else hangs up here.
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let mut onward = tokio::net::TcpStream::connect(plain).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
                    }
                });
            }
        });
        (format!("https://localhost:{port}/git/{client}").parse().unwrap(), authority.pem)
    }

    pub(crate) fn url(&self, client: &ClientId) -> Url {
        format!("http://{}/git/{client}", self.address).parse().unwrap()
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// What was seen since the last time.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Segments((client, path)): Segments<(ClientId, String)>,
    request: Request,
) -> Response {
    let mood = *shared.mood.lock().unwrap();
    let (head, body) = request.into_parts();
    let response = match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Busy => Err((503, "retry-after", "7")),
        Mood::Guarded if head.headers.get("authorization").is_none_or(|value| value != AUTHORIZATION) => {
            Err((401, "www-authenticate", "Basic realm=\"margo\""))
        }
        Mood::Guarded | Mood::Serving => Ok(()),
    };
    let mut seen = Seen {
        method: head.method.clone(),
        path: path.clone(),
        is_compressed: head.headers.get("content-encoding").is_some_and(|value| value == "gzip"),
        status: StatusCode::OK,
        transferred: None,
        response_bytes: 0,
    };
    let response = if let Err((status, name, value)) = response {
        Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
    } else {
        let body = axum::body::to_bytes(body, 4 * 1024 * 1024).await.unwrap();
        let query = head.uri.query().map(str::to_owned);
        let reply =
            shared.host.serve(&client, &path, query.as_deref(), Request::from_parts(head, body)).await;
        seen.transferred = reply.transferred;
        seen.response_bytes = reply.response.body().len();
        reply.response.map(Body::from)
    };
    seen.status = response.status();
    shared.seen.lock().unwrap().push(seen);
    response
}
