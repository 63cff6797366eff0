//! Two ways of serving a repository over smart HTTP, behind the same server.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Segments, Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use margo_core::ClientId;
use margo_git::{GitHost, GitPublisher};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;

/// Where Git keeps its programs.
static EXEC_PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = std::process::Command::new("git").arg("--exec-path").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().into()
});

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) enum Host {
    /// [`GitHost`], inside this process.
    Ours,
    /// The program that comes with Git.
    HttpBackend,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "margo-git",
            Self::HttpBackend => "git http-backend",
        })
    }
}

impl Host {
    /// Serves what was published for `client` at `/git/<client>`.
    pub(crate) async fn serve(self, publisher: &GitPublisher, root: &Path, client: &ClientId) -> SocketAddr {
        let route = "/git/{client}/{*path}";
        let router = match self {
            Self::Ours => Router::new().route(route, any(ours)).with_state(GitHost::new(root)),
            Self::HttpBackend => {
                Router::new().route(route, any(http_backend)).with_state(publisher.repository(client))
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        address
    }
}

async fn ours(
    State(host): State<GitHost>,
    Segments((client, path)): Segments<(ClientId, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let query = head.uri.query().map(str::to_owned);
    let reply = host.serve(&client, &path, query.as_deref(), Request::from_parts(head, body)).await;
    reply.response.map(Body::from)
}

/// A CGI request (RFC 3875), as far as Git asks and answers.
async fn http_backend(
    State(repository): State<PathBuf>,
    Segments((_, path)): Segments<(ClientId, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = Command::new(EXEC_PATH.join("git-http-backend"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROJECT_ROOT", &repository)
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let answer = Bytes::from(child.wait_with_output().await.unwrap().stdout);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&answer[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(&value[..3]),
            _ => response.header(name, value),
        };
    }
    response.body(answer.slice(end + 4..).into()).unwrap()
}

async fn read(body: Body) -> Bytes {
    axum::body::to_bytes(body, 1 << 20).await.unwrap()
}
