use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use margo_identity::{PeerAddr, Svid};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::body::{timed, until_sent};
use super::crowd::Place;
use super::{Kind, ListenConfig, Transport};

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
        match transport.0 {
            Kind::Plain => self.serve(stream, None, max_age).await,
            Kind::Tls(config) => {
                if let Some((stream, _)) = self.shake_hands(stream, config).await {
                    self.serve(stream, None, max_age).await;
                }
            }
            Kind::MutualTls(config) => {
                let clock = Arc::clone(&config.time_provider);
                let Some((stream, Some(svid))) = self.shake_hands(stream, config).await else { return };
                let now = clock.current_time().map_or(u64::MAX, |now| now.as_secs());
                let left = Duration::from_secs(svid.not_after().as_secs().saturating_sub(now));
                let age = max_age.map_or(left, |age| age.min(left)); // R-D-013
                self.serve(stream, Some(svid), Some(age)).await;
            }
        }
    }

    /// The stream, and whose it is if the other end showed a certificate.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Option<(impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Option<Svid>)> {
        let handshake = TlsAcceptor::from(config).accept(stream);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.config.handshake, handshake) => shaken,
            () = self.place.asked_to_leave() => return None,
            () = stop(self.stopping.clone()) => return None,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                // The handshake has verified it; here it is only read.
                let svid = leaf.and_then(|leaf| Svid::read(leaf).ok());
                Some((stream, svid))
            }
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
        svid: Option<Svid>,
        age: Option<Duration>,
    ) {
        let Self { peer, place, app, config, stopping } = self;
        let place = Arc::new(place);
        let service = service_fn({
            let place = Arc::clone(&place);
            move |request: http::Request<Incoming>| {
                let mut request = request.map(|body| timed(body, config.body, &place));
                let extensions = request.extensions_mut();
                extensions.insert(ConnectInfo(peer));
                extensions.insert(PeerAddr::new(peer));
                if let Some(svid) = &svid {
                    extensions.insert(svid.clone());
                }
                let (app, place) = (app.clone(), Arc::clone(&place));
                async move {
                    let response = app.oneshot(request).await?;
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
