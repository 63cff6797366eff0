//! Git's HTTP, carried by an asynchronous client: every wait ends with the poll it belongs to.
//!
//! Git's library speaks the protocol and asks for two operations, get and post. Making the requests ourselves
//! instead of through its own backend is what lets a poll be interrupted at once, stops a peer that sends too
//! much, and tells a refused token from a server that is away.

use std::any::Any;
use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use margo_api::{BoxError, SourceErrorKind};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Host;

use super::{GitSourceConfig, Token};

/// Who the token belongs to, to a server that asks for a name as well.
const USER: &str = "margo";

/// Ends every wait of a poll, once.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    flag: AtomicBool,
    notify: Notify,
}

impl Interrupt {
    pub(super) fn trigger(&self) {
        self.flag.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(super) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    async fn triggered(&self) {
        loop {
            let notified = self.notify.notified();
            if self.flag.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

/// Why a transfer failed, as far as the source's caller is concerned.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: SourceErrorKind,
    pub(super) retry_after: Option<Duration>,
    pub(super) cause: BoxError,
}

impl Fault {
    pub(super) fn new(kind: SourceErrorKind, cause: impl Into<BoxError>) -> Self {
        Self { kind, retry_after: None, cause: cause.into() }
    }
}

/// Makes the client that all polls of a source share.
pub(super) fn client(config: &GitSourceConfig) -> Result<reqwest::Client, Fault> {
    let url = &config.url;
    let unavailable = |cause: BoxError| Fault::new(SourceErrorKind::Unavailable, cause);
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let message = "this process has installed no TLS provider: call \
                       `rustls::crypto::ring::default_provider().install_default()` when it starts";
        return Err(unavailable(message.into()));
    }
    let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        // Without TLS no certificates are looked for, and a machine may well have none.
        builder = builder.tls_certs_only(std::iter::empty());
    } else if !config.root_certificates.is_empty() {
        builder = builder.tls_certs_only(
            root_certificates(&config.root_certificates).map_err(|reason| unavailable(reason.into()))?,
        );
    }
    let is_loopback = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_loopback {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| unavailable(error.into()))
}

/// Reads certificates from PEM; none from no text, or why there are none.
pub(super) fn root_certificates(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, String> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| chain(&error))?;
    if certificates.is_empty() && !pem.is_empty() {
        return Err("there is no certificate in PEM".to_owned());
    }
    Ok(certificates)
}

/// One poll's conversation with the server.
#[derive(Debug)]
pub(super) struct Session {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    token: Option<Token>,
    deadline: Instant,
    interrupt: Arc<Interrupt>,
    /// How many bytes of body may still come.
    budget: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

impl Session {
    pub(super) fn new(
        client: reqwest::Client,
        runtime: tokio::runtime::Handle,
        token: Option<Token>,
        deadline: Instant,
        interrupt: Arc<Interrupt>,
        max_bytes: u64,
    ) -> Arc<Self> {
        let (budget, fault) = (AtomicU64::new(max_bytes), Mutex::new(None));
        Arc::new(Self { client, runtime, token, deadline, interrupt, budget, fault })
    }

    /// What went wrong first, if a transfer did.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes a fault, and says it again as the library wants to hear it.
    fn fail(&self, fault: Fault) -> io::Error {
        let error = io::Error::other(fault.cause.to_string());
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
        error
    }

    /// Waits for `future`, the deadline, or the interrupt.
    fn wait<T>(&self, future: impl Future<Output = Result<T, reqwest::Error>>) -> io::Result<T> {
        let waited = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.interrupt.triggered() => Err("interrupted".into()),
                () = tokio::time::sleep_until(self.deadline) => Err("the server took too long".into()),
                done = future => done.map_err(BoxError::from),
            }
        });
        waited.map_err(|cause| self.fail(Fault::new(SourceErrorKind::Unavailable, cause)))
    }

    fn send(&self, request: reqwest::RequestBuilder, lines: &[String]) -> io::Result<reqwest::Response> {
        let request = lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .fold(request, |request, (name, value)| request.header(name, value.trim()));
        let request = match &self.token {
            Some(token) => request.basic_auth(USER, Some(token.reveal())),
            None => request,
        };
        let response = self.wait(request.send())?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SourceErrorKind::Unauthorized,
            _ => SourceErrorKind::Unavailable,
        };
        // The date form would need a clock.
        let seconds =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Err(self.fail(Fault {
            kind,
            retry_after: seconds.map(Duration::from_secs),
            cause: format!("the server answered {status}").into(),
        }))
    }

    fn chunk(&self, response: &mut reqwest::Response) -> io::Result<Option<Bytes>> {
        let Some(chunk) = self.wait(response.chunk())? else {
            return Ok(None);
        };
        let spent = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let budget = self.budget.load(Ordering::Relaxed);
        let Some(left) = budget.checked_sub(spent) else {
            let message = "the server sends more bytes than this source takes";
            return Err(self.fail(Fault::new(SourceErrorKind::Corrupt, message)));
        };
        self.budget.store(left, Ordering::Relaxed);
        Ok(Some(chunk))
    }
}

/// What Git's library makes its requests with.
pub(super) struct Requests(pub(super) Arc<Session>);

impl Http for Requests {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, Body>> {
        let exchange = Exchange::new(&self.0, self.0.client.get(url), headers);
        exchange.lock().unwrap_or_else(PoisonError::into_inner).response().map_err(gix::Error::from_error)?;
        Ok(GetResponse { headers: Headers::of(&exchange), body: Body::of(&exchange) })
    }

    fn post(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, Body, Upload>> {
        let exchange = Exchange::new(&self.0, self.0.client.post(url), headers);
        let (headers, body) = (Headers::of(&exchange), Body::of(&exchange));
        Ok(PostResponse { post_body: Upload(exchange), headers, body })
    }

    fn configure(&mut self, _: &dyn Any) -> gix::Result<()> {
        Ok(())
    }
}

/// One request and its response. The request is sent when the response is first looked at.
struct Exchange {
    session: Arc<Session>,
    lines: Vec<String>,
    upload: Vec<u8>,
    state: State,
}

enum State {
    Prepared(reqwest::RequestBuilder),
    Answered(reqwest::Response),
    Failed,
}

impl Exchange {
    fn new(
        session: &Arc<Session>,
        request: reqwest::RequestBuilder,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Arc<Mutex<Self>> {
        let lines = headers.into_iter().map(|line| line.as_ref().to_owned()).collect();
        let state = State::Prepared(request);
        Arc::new(Mutex::new(Self { session: Arc::clone(session), lines, upload: Vec::new(), state }))
    }

    fn response(&mut self) -> io::Result<&mut reqwest::Response> {
        if let State::Prepared(_) = self.state
            && let State::Prepared(request) = std::mem::replace(&mut self.state, State::Failed)
        {
            let upload = std::mem::take(&mut self.upload);
            let request = if upload.is_empty() { request } else { request.body(upload) };
            self.state = State::Answered(self.session.send(request, &self.lines)?);
        }
        match &mut self.state {
            State::Answered(response) => Ok(response),
            _ => Err(io::Error::other("the request has failed before")),
        }
    }

    fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let session = Arc::clone(&self.session);
        let chunk = session.chunk(self.response()?);
        if chunk.is_err() {
            self.state = State::Failed;
        }
        chunk
    }
}

/// Takes the body of a request.
pub(super) struct Upload(Arc<Mutex<Exchange>>);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upload.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of a response, one on each line.
pub(super) struct Headers {
    exchange: Arc<Mutex<Exchange>>,
    text: Option<Bytes>,
}

impl Headers {
    fn of(exchange: &Arc<Mutex<Exchange>>) -> Self {
        Self { exchange: Arc::clone(exchange), text: None }
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.text.is_none() {
            let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
            let mut text = Vec::new();
            for (name, value) in exchange.response()?.headers() {
                text.extend_from_slice(name.as_str().as_bytes());
                text.push(b':');
                text.extend_from_slice(value.as_bytes());
                text.push(b'\n');
            }
            drop(exchange);
            self.text = Some(text.into());
        }
        Ok(self.text.as_deref().unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if let Some(text) = &mut self.text {
            text.advance(amount.min(text.len()));
        }
    }
}

/// The body of a response.
pub(super) struct Body {
    exchange: Arc<Mutex<Exchange>>,
    chunk: Bytes,
}

impl Body {
    fn of(exchange: &Arc<Mutex<Exchange>>) -> Self {
        Self { exchange: Arc::clone(exchange), chunk: Bytes::new() }
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.exchange.lock().unwrap_or_else(PoisonError::into_inner).chunk()? {
                Some(chunk) => self.chunk = chunk,
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount.min(self.chunk.len()));
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let count = from.fill_buf()?.read(buffer)?;
    from.consume(count);
    Ok(count)
}

/// An error and everything it came from, in one line: for errors whose own text says little.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |source| {
        let source: &(dyn Error + 'static) = *source;
        source.source()
    });
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
