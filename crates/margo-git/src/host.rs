mod pkt_line;
mod references;
mod upload_pack;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gix::ObjectId;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode};
use margo_core::{ClientId, ManifestVersion};
use tokio::sync::Semaphore;

use self::pkt_line::{Packet, packets};
use self::references::{LsRefs, References};
use self::upload_pack::{Answer, UploadPackError};
use crate::publisher::repository_path;
use crate::repository;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const ADVERTISEMENT: HeaderValue = HeaderValue::from_static("application/x-git-upload-pack-advertisement");
const RESULT: HeaderValue = HeaderValue::from_static("application/x-git-upload-pack-result");
const REQUEST: &str = "application/x-git-upload-pack-request";

/// Serves the repositories of a [`GitPublisher`](crate::GitPublisher) over Git's smart HTTP protocol, for
/// reading (R-A-018, R-A-019).
///
/// It knows no web framework: a request comes in, a reply goes out. Any `git clone` and `git fetch` works
/// against it, in protocol versions 0 to 2. What a branch stands at is answered from the repository itself, so
/// a poll of an unmoved branch starts no child. Only a request for objects starts `git upload-pack`, with an
/// empty environment, a time limit, and no more children at once than [`HostLimits`] allows.
///
/// **Whoever calls authenticates.** [`serve`](Self::serve) takes the client at its caller's word: check the
/// device's token (R-A-016) before, and limit the body while reading it.
///
/// ```
/// use bytes::Bytes;
/// use margo_git::GitHost;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let host = GitHost::new(folder.path());
/// let push = http::Request::get("/").body(Bytes::new())?;
/// let reply = host.serve(&"plc-7".parse()?, "info/refs", Some("service=git-receive-pack"), push).await;
/// assert_eq!(reply.response.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GitHost {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    limits: HostLimits,
    children: Semaphore,
    children_started: AtomicU64,
}

/// How much a [`GitHost`] takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostLimits {
    /// The largest request body in bytes, compared before and after decompression. Default 1 MiB.
    pub request_bytes: usize,
    /// The largest response body in bytes; it is held in memory. Default 256 MiB.
    pub response_bytes: usize,
    /// How long a request for objects may take, waiting for others included. Default 60 s.
    pub timeout: Duration,
    /// How many children run at once. Default 8.
    pub children: usize,
}

impl Default for HostLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { request_bytes: MIB, response_bytes: 256 * MIB, timeout: Duration::from_mins(1), children: 8 }
    }
}

/// What a [`GitHost`] answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct GitReply {
    /// The response to send.
    pub response: Response<Bytes>,
    /// The version the client is given by this response: the one at the commit it asked for. `None` for
    /// everything that brings no objects, such as a poll of an unmoved branch.
    pub transferred: Option<ManifestVersion>,
}

impl GitHost {
    /// Serves the repositories in the folder `root`, a [`GitPublisher`](crate::GitPublisher)'s.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::with_limits(root, HostLimits::default())
    }

    /// As [`new`](Self::new), with other limits.
    #[must_use]
    pub fn with_limits(root: impl Into<PathBuf>, limits: HostLimits) -> Self {
        let children = Semaphore::new(limits.children.clamp(1, Semaphore::MAX_PERMITS));
        let children_started = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { root: root.into(), limits, children, children_started }) }
    }

    /// Answers one request for the repository of `client`.
    ///
    /// `path` is what follows the repository's address (`info/refs`, `git-upload-pack`), `query` the part of the
    /// address after `?`. The request's own URI is not looked at.
    ///
    /// Every failure is a response: 403 for a push, 404 and 405 for what Git never asks, 400 and 413 for what
    /// cannot be read, 503 when too much is going on.
    pub async fn serve(
        &self,
        client: &ClientId,
        path: &str,
        query: Option<&str>,
        request: Request<Bytes>,
    ) -> GitReply {
        let answered = match path.trim_start_matches('/') {
            "info/refs" => self.info_refs(client, query, &request).await,
            "git-upload-pack" => self.upload_pack(client, request).await,
            "git-receive-pack" => Err(Refusal::push()),
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "a Git repository has nothing there")),
        };
        answered.unwrap_or_else(|refusal| GitReply { response: refusal.into_response(), transferred: None })
    }

    /// How many children were started since this host was made, by it and its clones.
    #[must_use]
    pub fn children_started(&self) -> u64 {
        self.shared.children_started.load(Ordering::Relaxed)
    }

    async fn info_refs(
        &self,
        client: &ClientId,
        query: Option<&str>,
        request: &Request<Bytes>,
    ) -> Result<GitReply, Refusal> {
        let mut parameters = query.unwrap_or_default().split('&');
        match parameters.find_map(|parameter| parameter.strip_prefix("service=")) {
            Some("git-upload-pack") => {}
            Some("git-receive-pack") => return Err(Refusal::push()),
            _ => {
                let message = "only Git's smart protocol is spoken here: expected `service=git-upload-pack`";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
            }
        }
        if request.method() != Method::GET {
            return Err(Refusal::method("GET"));
        }
        let protocol = protocol(request.headers());
        let body = if protocol == 2 {
            references::capabilities()
        } else {
            self.read(client, References::read).await?.advertise(protocol)
        };
        Ok(GitReply { response: response(StatusCode::OK, ADVERTISEMENT, body), transferred: None })
    }

    async fn upload_pack(&self, client: &ClientId, request: Request<Bytes>) -> Result<GitReply, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::method("POST"));
        }
        let content_type = request.headers().get(CONTENT_TYPE);
        if content_type.is_none_or(|value| value.as_bytes() != REQUEST.as_bytes()) {
            let message = format!("expected the content type `{REQUEST}`");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let (head, body) = request.into_parts();
        let body = inflate(&head.headers, body, self.shared.limits.request_bytes)?;
        let protocol = protocol(&head.headers);

        let malformed = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
        // A version 0 request ends in `done`, and in stateless HTTP it may be cut short.
        let packets: Vec<Packet<'_>> =
            packets(&body).collect::<Result<_, _>>().map_err(|error| malformed(error.to_string()))?;
        // Git asks for nothing when it only wants to know whether its credentials are taken.
        if packets.iter().all(|packet| *packet == Packet::Flush) {
            return Ok(result(Bytes::new()));
        }
        if protocol == 2 {
            match packets.iter().find_map(|packet| packet.text()?.strip_prefix("command=")) {
                Some("fetch") => {}
                Some("ls-refs") => {
                    let question = LsRefs::parse(arguments(&packets)).map_err(malformed)?;
                    let references = self.read(client, References::read).await?;
                    return Ok(result(references.list(&question).into()));
                }
                _ => return Err(malformed("expected the command `ls-refs` or `fetch`".to_owned())),
            }
        }
        let wanted = packets.iter().filter_map(|packet| wanted(*packet)).collect();
        drop(packets);
        self.fetch(client, protocol, &body, wanted).await
    }

    /// Has a child find the objects.
    async fn fetch(
        &self,
        client: &ClientId,
        protocol: u8,
        request: &[u8],
        wanted: Vec<ObjectId>,
    ) -> Result<GitReply, Refusal> {
        let Shared { root, limits, children, children_started } = &*self.shared;
        let path = repository_path(root, client);
        if !path.is_dir() {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "nothing was published yet"));
        }
        let on_start = || {
            children_started.fetch_add(1, Ordering::Relaxed);
        };
        let run = async {
            // Never closed.
            let _permit = children.acquire().await.ok();
            upload_pack::run(&path, protocol, request, limits.response_bytes, on_start).await
        };
        let Ok(answer) = tokio::time::timeout(limits.timeout, run).await else {
            tracing::warn!(%client, "a request for objects took too long");
            return Err(Refusal::busy());
        };
        let Answer { body, is_complete } = answer.map_err(|error| Refusal::upload_pack(client, &error))?;
        let mut reply = result(body);
        if is_complete && pkt_line::contains_pack(reply.response.body()) {
            let newest = move |path: &Path| {
                let repository = repository::open(path, &[])?;
                // What is wanted need not be a commit.
                let versions = wanted.iter().filter_map(|id| repository::version(&repository, *id).ok());
                Ok(versions.max())
            };
            reply.transferred = self.read(client, newest).await?;
        }
        Ok(reply)
    }

    async fn read<T: Send + 'static>(
        &self,
        client: &ClientId,
        job: impl FnOnce(&Path) -> Result<T, repository::ReadError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let path = repository_path(&self.shared.root, client);
        let done = tokio::task::spawn_blocking(move || job(&path)).await;
        done.map_err(repository::ReadError::storage).flatten().map_err(|error| {
            let cause = std::error::Error::source(&error);
            tracing::error!(%client, %error, cause, "a repository cannot be read");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the repository cannot be read")
        })
    }
}

/// A request that is not answered as it was meant.
struct Refusal {
    status: StatusCode,
    message: String,
    header: Option<(http::HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), header: None }
    }

    fn push() -> Self {
        Self::new(StatusCode::FORBIDDEN, "desired state is read here; only the manager writes it")
    }

    fn method(allowed: &'static str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("expected the method {allowed}"));
        Self { header: Some((ALLOW, HeaderValue::from_static(allowed))), ..refusal }
    }

    fn busy() -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "too much is going on; try again later");
        Self { header: Some((RETRY_AFTER, HeaderValue::from_static("30"))), ..refusal }
    }

    fn upload_pack(client: &ClientId, error: &UploadPackError) -> Self {
        let cause = std::error::Error::source(error);
        tracing::error!(%client, %error, cause, "a request for objects failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }

    fn into_response(self) -> Response<Bytes> {
        let mut response = response(self.status, TEXT, self.message + "\n");
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

fn result(body: Bytes) -> GitReply {
    GitReply { response: response(StatusCode::OK, RESULT, body), transferred: None }
}

fn response(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    let no_cache = HeaderValue::from_static("no-cache, max-age=0, must-revalidate");
    response.headers_mut().insert(CACHE_CONTROL, no_cache);
    response
}

/// The newest protocol version a client speaks, of those spoken here.
fn protocol(headers: &HeaderMap) -> u8 {
    let spoken = headers.get("git-protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let versions = spoken.split(':').filter_map(|key| key.strip_prefix("version=")?.parse().ok());
    versions.filter(|version| *version <= 2).max().unwrap_or(0)
}

/// What follows the first delimiter.
fn arguments<'a, 'b>(packets: &'b [Packet<'a>]) -> &'b [Packet<'a>] {
    let start =
        packets.iter().position(|packet| *packet == Packet::Delimiter).map_or(packets.len(), |at| at + 1);
    let arguments = packets.get(start..).unwrap_or_default();
    let end = arguments.iter().position(|packet| *packet == Packet::Flush).unwrap_or(arguments.len());
    arguments.get(..end).unwrap_or_default()
}

fn wanted(packet: Packet<'_>) -> Option<ObjectId> {
    let hex = packet.text()?.strip_prefix("want ")?.get(..40)?;
    ObjectId::from_hex(hex.as_bytes()).ok()
}

/// Git compresses requests of more than 1 KiB.
fn inflate(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request has more than {max} bytes"));
    if body.len() > max {
        return Err(too_large());
    }
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip" | b"x-gzip") => {
            let mut inflated = Vec::new();
            let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
            let read = flate2::read::GzDecoder::new(&body[..]).take(limit).read_to_end(&mut inflated);
            match read {
                Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the request is not gzip, as it says")),
                Ok(_) if inflated.len() > max => Err(too_large()),
                Ok(_) => Ok(inflated.into()),
            }
        }
        Some(_) => {
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected no content encoding, or gzip"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_known_version_is_spoken() {
        let version = |value: &'static str| {
            protocol(&HeaderMap::from_iter([(
                "git-protocol".parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(version("version=2"), 2);
        assert_eq!(version("version=1:key:version=0"), 1);
        assert_eq!(version("version=3"), 0);
        assert_eq!(version("version=-1:"), 0);
        assert_eq!(protocol(&HeaderMap::new()), 0);
    }

    #[test]
    fn arguments_are_what_follows_the_capabilities() {
        let (a, b) = (Packet::Data(b"command=ls-refs"), Packet::Data(b"peel"));
        assert_eq!(arguments(&[a, Packet::Delimiter, b, Packet::Flush]), [b]);
        assert!(arguments(&[a, Packet::Flush]).is_empty());
        assert!(arguments(&[a, Packet::Delimiter]).is_empty());
    }
}
