use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use margo_api::AuthError;
use margo_identity::PeerAddr;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

use super::body::{timed, until_sent};
use super::crowd::Place;
use super::peer::Peer;
use super::socket::Socket;
use super::{Kind, ListenConfig, Transport};
use crate::router::refuse;

/// One connection, from when it was accepted.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    pub(super) app: Router,
    pub(super) config: ListenConfig,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Connection {
    pub(super) async fn run(self, stream: TcpStream, transport: Transport) {
        let max_age = self.config.max_age;
        let is_unread = Arc::default();
        let stream = Socket::new(stream, self.config.stall, Arc::clone(&is_unread));
        match transport.0 {
            Kind::Plain => self.serve(stream, is_unread, None, max_age).await,
            Kind::Tls(config) => {
                if let Some(stream) = self.shake_hands(stream, config).await {
                    self.serve(stream, is_unread, None, max_age).await;
                }
            }
            Kind::MutualTls(config, verifier) => {
                let clock = Arc::clone(&config.time_provider);
                // Taken first: one that replaces it meanwhile is asked about with the first request.
                let bundle = verifier.bundle();
                let Some(stream) = self.shake_hands(stream, config).await else { return };
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let Some(peer) = Peer::new(chain, verifier, clock, bundle) else { return };
                let left = Duration::from_secs(peer.seconds_left());
                let age = max_age.map_or(left, |age| age.min(left)); // R-D-013
                self.serve(stream, is_unread, Some(peer), Some(age)).await;
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: Socket<TcpStream>,
        config: Arc<ServerConfig>,
    ) -> Option<TlsStream<Socket<TcpStream>>> {
        let handshake = TlsAcceptor::from(config).accept(stream);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.config.handshake, handshake) => shaken,
            () = self.place.asked_to_leave() => return None,
            () = stop(self.stopping.clone()) => return None,
        };
        match shaken {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer, %error, "no handshake");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %self.peer, "the handshake took too long");
                None
            }
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        is_unread: Arc<AtomicBool>,
        identity: Option<Peer>,
        age: Option<Duration>,
    ) {
        let Self { peer, place, app, config, stopping } = self;
        let place = Arc::new(place);
        let service = service_fn({
            let place = Arc::clone(&place);
            move |request: http::Request<Incoming>| {
                let mut request = request.map(|body| timed(body, config.body, &place, &is_unread));
                let extensions = request.extensions_mut();
                extensions.insert(ConnectInfo(peer));
                extensions.insert(PeerAddr::new(peer));
                let mut is_refused = false;
                if let Some(identity) = &identity {
                    extensions.insert(identity.svid().clone());
                    is_refused = !identity.is_still_trusted();
                }
                let (app, place) = (app.clone(), Arc::clone(&place));
                async move {
                    let response = if is_refused {
                        no_longer_trusted(request.uri().path())
                    } else {
                        app.oneshot(request).await?
                    };
                    Ok::<_, Infallible>(response.map(|body| until_sent(body, place)))
                }
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header)
            .max_header_size(config.max_header_bytes)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);

        let too_old = async {
            match age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut connection => return note(peer, ended),
            () = too_old => {}
            () = stop(stopping) => {}
            // Whoever has begun to be answered is answered.
            () = place.asked_to_leave() => if !place.is_busy() { return },
        }
        connection.as_mut().graceful_shutdown();
        if let Ok(ended) = tokio::time::timeout(config.farewell, connection).await {
            note(peer, ended);
        } else {
            tracing::debug!(%peer, "an answer took longer than its connection may live");
        }
    }
}

/// The last answer of a connection whose other end the trust bundle does not vouch for any more (R-D-007).
fn no_longer_trusted(path: &str) -> Response {
    let mut response = refuse(AuthError::NotAccepted.problem(), path);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Completes when the listener is to end.
async fn stop(mut stopping: watch::Receiver<bool>) {
    // An error means that the listener is gone, which is the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn note(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}
