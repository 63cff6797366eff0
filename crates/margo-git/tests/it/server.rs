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
