//! Serving a router on a socket that is handed over: plain on loopback, or on TLS with or without client
//! certificates.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use margo_identity::SvidVerifier;
//! use margo_server::listen::{DEFAULT_ADDRESS, ListenConfig, Transport, serve};
//!
//! # async fn run(app: axum::Router, tls: rustls::ServerConfig, verifier: SvidVerifier) -> std::io::Result<()> {
//! // `tls` is what `margo_identity::server_config` makes of this verifier.
//! let listener = tokio::net::TcpListener::bind(DEFAULT_ADDRESS).await?;
//! let shutdown = async { drop(tokio::signal::ctrl_c().await) };
//! serve(listener, Transport::mutual_tls(tls, verifier), app, &ListenConfig::new(), shutdown).await;
//! # Ok(())
//! # }
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use margo_api::MANAGEMENT_PORT;
use margo_identity::SvidVerifier;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

mod authority;
mod body;
mod certificate;
mod connection;
mod crowd;
mod peer;
mod reload;
mod socket;

pub use authority::AuthorityFile;
pub use body::BodyTimeout;
pub use certificate::{LoadCertificateError, ServerCertificate, server_tls_config};
pub use reload::Reloading;

use connection::Connection;
use crowd::Crowd;

/// Where a manager listens for devices unless said otherwise: port 443 of every IPv4 address (R-B-004, R-D-001).
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), MANAGEMENT_PORT);

/// How long to let others end when there is no descriptor left to accept with.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `shutdown` completes and its connections have ended.
///
/// HTTP/1.1 (R-B-003, R-D-001). Each request finds in its extensions the other end of the connection
/// ([`ConnectInfo`](axum::extract::ConnectInfo), [`PeerAddr`](margo_identity::PeerAddr)) and, with mutual TLS, the
/// [`Svid`](margo_identity::Svid) it was authenticated by (R-D-004).
///
/// Every connection has its own task, so a slow handshake is nobody else's. When there are as many connections as there
/// may be, the one that has waited longest without ever completing a request gives way, else the one that is idle
/// longest; a request that is completely here is never given up for a newcomer.
///
/// Where a request is answered before its body was read, because its head was enough to refuse it, the connection ends
/// after the answer; so that the answer can be read, what still arrives of the body is received for a second, up to 1 MiB,
/// and kept nowhere (RFC 9112, 9.6).
///
/// After `shutdown` nothing new is accepted, idle connections end at once, and those that are answering have
/// [`farewell`](ListenConfig::farewell). Dropping the future ends everything.
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    app: Router,
    config: &ListenConfig,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopping) = watch::channel(false);
    let crowd = Arc::new(Crowd::new(config.max_connections));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = Crowd::enter(&crowd) else {
                        tracing::warn!(%peer, "refused: every connection is busy");
                        continue;
                    };
                    // Small answers go out at once; without it they go out later, which is no fault.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        peer,
                        place,
                        app: app.clone(),
                        config: *config,
                        stopping: stopping.clone(),
                    };
                    connections.spawn(connection.run(stream, transport.clone()));
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    crowd.make_room();
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    // An error means that nobody is connected.
    let _ = stop.send(true);
    while connections.join_next().await.is_some() {}
}

/// What connections speak below HTTP.
#[derive(Clone, Debug)]
pub struct Transport(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Plain,
    Tls(Arc<ServerConfig>),
    MutualTls(Arc<ServerConfig>, SvidVerifier),
}

impl Transport {
    /// Nothing: for loopback, and behind a proxy that terminates TLS.
    #[must_use]
    pub fn plain() -> Self {
        Self(Kind::Plain)
    }

    /// TLS with a certificate of the server alone (R-B-003): [`server_tls_config`]. Speaks HTTP/1.1 whatever
    /// `config` offers.
    #[must_use]
    pub fn tls(config: ServerConfig) -> Self {
        Self(Kind::Tls(Arc::new(http_1_1(config))))
    }

    /// TLS with certificates on both sides (R-D-001, R-D-002): [`margo_identity::server_config`] over the same
    /// `verifier`, which is asked again when its trust bundle was replaced: whoever it does not let in any more is refused
    /// with the next request, `403`, and has to leave (R-D-016).
    #[must_use]
    pub fn mutual_tls(config: ServerConfig, verifier: SvidVerifier) -> Self {
        Self(Kind::MutualTls(Arc::new(http_1_1(config)), verifier))
    }
}

fn http_1_1(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// How long things may take, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenConfig {
    /// How many connections there may be, those in their handshake included. 4096 by default; each takes one file
    /// descriptor.
    pub max_connections: usize,
    /// How long a TLS handshake may take. 10 s by default.
    pub handshake: Duration,
    /// How long the header of a request may take, from when the connection could take one: so it is also how long a
    /// connection may be idle. 75 s by default.
    pub header: Duration,
    /// How long the body of a request may take; a later one is answered `408`. 30 s by default.
    pub body: Duration,
    /// How long the other end may take nothing at all of what it is sent before the connection is ended; the longest
    /// that an answer is held for somebody who does not read it. What the operating system keeps for it counts as taken.
    /// 60 s by default.
    pub stall: Duration,
    /// How old a connection may become (R-D-013): from its handshake, and never older than the certificate of the
    /// other end. It ends after the answer that is under way. 1 h by default; `None` for as long as it likes.
    pub max_age: Option<Duration>,
    /// How long an answer may go on after the connection should have ended. 10 s by default.
    pub farewell: Duration,
    /// The largest header of a request in bytes; a larger one is answered `431`. 32 KiB by default.
    pub max_header_bytes: usize,
}

impl ListenConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_connections: 4096,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(75),
            body: Duration::from_secs(30),
            stall: Duration::from_mins(1),
            max_age: Some(Duration::from_hours(1)),
            farewell: Duration::from_secs(10),
            max_header_bytes: 32 << 10,
        }
    }

    /// The same with another [`max_connections`](Self::max_connections).
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// The same with other limits for the [`handshake`](Self::handshake), the [`header`](Self::header) and the
    /// [`body`](Self::body).
    #[must_use]
    pub fn with_time_limits(mut self, handshake: Duration, header: Duration, body: Duration) -> Self {
        (self.handshake, self.header, self.body) = (handshake, header, body);
        self
    }

    /// The same with another [`stall`](Self::stall).
    #[must_use]
    pub fn with_stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// The same with another [`max_age`](Self::max_age).
    #[must_use]
    pub fn with_max_age(mut self, age: Option<Duration>) -> Self {
        self.max_age = age;
        self
    }

    /// The same with another [`farewell`](Self::farewell).
    #[must_use]
    pub fn with_farewell(mut self, farewell: Duration) -> Self {
        self.farewell = farewell;
        self
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether accepting can go on at once.
fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
