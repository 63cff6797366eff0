use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use margo_identity::{SpkiPin, SvidError, TlsVersions, TrustBundle};
use reqwest::redirect;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, RootCertStore};

use crate::mutual_tls::MutualTls;
use crate::pinned::PinnedServer;
use crate::{SetupError, Transport, TransportError, TransportErrorKind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often at most the files of an identity are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How [`HttpTransport`] behaves.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    timeout: Duration,
    max_connection_age: Duration,
    versions: TlsVersions,
    clock: Arc<dyn TimeProvider>,
    trust: Trust,
}

/// Whom to speak to over TLS.
#[derive(Clone, Debug)]
enum Trust {
    /// Who has a certificate for its name from one of these.
    Roots(RootCertStore),
    /// Who has one of these keys.
    Pins(Vec<SpkiPin>),
    /// Anybody.
    FirstUse,
    /// The one manager that follows from our own identity.
    Mutual(MutualTls),
}

impl HttpOptions {
    /// Sets how long one request may take, from connecting to the last byte of its answer. 30 seconds by default;
    /// connecting may take 10 of them.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long a connection may be used after its handshake (R-D-013). 15 minutes by default.
    ///
    /// What a handshake found out, such as that the manager's certificate is valid, is believed no longer than this.
    #[must_use]
    pub fn with_max_connection_age(mut self, age: Duration) -> Self {
        self.max_connection_age = age;
        self
    }

    /// Sets which versions of TLS to speak: 1.3 alone by default (R-B-003, R-D-003).
    #[must_use]
    pub fn with_tls_versions(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    /// Sets by which clock certificates are valid: the operating system's by default.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn TimeProvider>) -> Self {
        self.clock = clock;
        self
    }

    /// Adds every certificate in `pem` to the authorities that may vouch for a manager (R-B-005). Takes the place of
    /// any other way to trust.
    ///
    /// None is trusted by default: a plant has an authority of its own, and public ones that come with a program age
    /// with the device. Where a public one is meant, add the operating system's file.
    ///
    /// # Errors
    ///
    /// [`SetupError::Certificate`] for text that is not PEM, has no certificate, or has one that cannot be used.
    pub fn with_root_certificate(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        let unusable = |reason: String| SetupError::Certificate { reason };
        let mut roots = match self.trust {
            Trust::Roots(roots) => roots,
            _ => RootCertStore::empty(),
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unusable("there is none in the text".to_owned()));
        }
        self.trust = Trust::Roots(roots);
        Ok(self)
    }

    /// Trusts who has this key, whatever its certificate says (R-D-014). Takes the place of any other way to trust;
    /// several pins are alternatives, such as the key in use and the next one.
    #[must_use]
    pub fn with_pin(mut self, pin: SpkiPin) -> Self {
        match &mut self.trust {
            Trust::Pins(pins) => pins.push(pin),
            trust => *trust = Trust::Pins(vec![pin]),
        }
        self
    }

    /// Speaks to anybody: for the one call of the pre-draft by which a device learns whom to trust (A5), where an
    /// operator has said that the network may be trusted that once. No other revision allows it (R-B-005, R-D-014).
    #[must_use]
    pub fn trusting_anybody(mut self) -> Self {
        self.trust = Trust::FirstUse;
        self
    }

    /// Speaks mutual TLS, and to nobody but the manager that follows from the device's own identity (R-D-001,
    /// R-D-005). Takes the place of any other way to trust. Requests to `http` addresses are not sent.
    #[must_use]
    pub fn with_mutual_tls(mut self, mutual: MutualTls) -> Self {
        self.trust = Trust::Mutual(mutual);
        self
    }

    fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&self.clock))
                .with_protocol_versions(self.versions.supported())
        };
        let mut config = match &self.trust {
            Trust::Roots(roots) => builder()?.with_root_certificates(roots.clone()).with_no_client_auth(),
            Trust::Pins(pins) => PinnedServer::of(pins.clone(), provider.clone()).config(builder()?),
            Trust::FirstUse => PinnedServer::anybody(Arc::clone(&provider)).config(builder()?),
            Trust::Mutual(mutual) => {
                mutual.config(Arc::clone(&provider), Arc::clone(&self.clock), self.versions)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()]; // R-B-003, R-D-001
        Ok(config)
    }

    fn build(&self) -> Result<reqwest::Client, SetupError> {
        let tls = self.tls().map_err(|error| SetupError::Http(error.into()))?;
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            // R-D-001: who speaks in the clear has shown nothing of who they are.
            .https_only(self.is_mutual())
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry a token or a report to whoever the answer names.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(self.timeout.min(CONNECT_TIMEOUT))
            .timeout(self.timeout)
            .build()
            .map_err(|error| SetupError::Http(error.into()))
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_connection_age: Duration::from_mins(15),
            versions: TlsVersions::default(),
            clock: Arc::new(DefaultTimeProvider),
            trust: Trust::Roots(RootCertStore::empty()),
        }
    }
}

/// HTTP/1.1, in the clear or over TLS (R-B-003, R-D-001). Needs a Tokio runtime.
///
/// Brings its own cryptography, so no process-wide provider has to be installed. Reads nothing from the environment:
/// no proxy, no certificates. Connections are kept and shared, for at most
/// [a while](HttpOptions::with_max_connection_age) and never beyond a change of what they were made with: an SVID
/// that was renewed on disk, a trust bundle that was replaced. Clones are cheap and share them too.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: HttpOptions,
    current: Mutex<Current>,
}

/// What connections are made with at present. Whoever holds the client of before ends its request with it.
#[derive(Debug)]
struct Current {
    client: reqwest::Client,
    made: Instant,
    looked: Instant,
    bundle: Option<Arc<TrustBundle>>,
}

impl HttpTransport {
    /// A transport with these options.
    ///
    /// # Errors
    ///
    /// [`SetupError::Http`] when the system offers no way to make connections.
    pub fn new(options: &HttpOptions) -> Result<Self, SetupError> {
        let now = Instant::now();
        let bundle = options.bundle();
        let current = Current { client: options.build()?, made: now, looked: now, bundle };
        Ok(Self { shared: Arc::new(Shared { options: options.clone(), current: Mutex::new(current) }) })
    }

    /// The client to send the next request with: a new one, without connections, where the one before must not be
    /// used any more.
    fn client(&self) -> Result<reqwest::Client, SetupError> {
        let options = &self.shared.options;
        // The lock guards what is replaced as a whole, even if a thread panicked.
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut is_fresh = now.duration_since(current.made) < options.max_connection_age;
        if let Trust::Mutual(mutual) = &options.trust {
            if now.duration_since(current.looked) >= LOOK {
                current.looked = now;
                is_fresh &= !mutual.look();
            }
            let same = options.bundle().zip(current.bundle.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(&a, b));
            is_fresh &= same;
        }
        if !is_fresh {
            // Taken first: a bundle that changes meanwhile makes another one.
            let bundle = options.bundle();
            *current = Current { client: options.build()?, made: now, looked: current.looked, bundle };
        }
        Ok(current.client.clone())
    }
}

impl HttpOptions {
    fn is_mutual(&self) -> bool {
        matches!(self.trust, Trust::Mutual(_))
    }

    fn bundle(&self) -> Option<Arc<TrustBundle>> {
        match &self.trust {
            Trust::Mutual(mutual) => Some(mutual.bundle()),
            _ => None,
        }
    }
}

impl Transport for HttpTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let too_large = || TransportError::new(TransportErrorKind::TooLarge { limit: max_body });
        if self.shared.options.is_mutual() && request.uri().scheme() != Some(&http::uri::Scheme::HTTPS) {
            let cause = format!("mutual TLS needs an `https` address, and `{}` is none", request.uri());
            return Err(TransportError::because(TransportErrorKind::Unsendable, cause));
        }
        let client =
            self.client().map_err(|cause| TransportError::because(TransportErrorKind::Unreachable, cause))?;
        let request = reqwest::Request::try_from(request)
            .map_err(|cause| TransportError::because(TransportErrorKind::Unsendable, cause))?;
        let mut response = client.execute(request).await.map_err(classify)?;
        let is_success = response.status().is_success();
        if is_success && response.content_length().is_some_and(|length| length > max_body as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = max_body - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        if is_success {
                            return Err(too_large());
                        }
                        break;
                    }
                }
                Err(error) if is_success => return Err(classify(error)),
                Ok(None) | Err(_) => break,
            }
        }
        let mut answer = http::Response::new(body.freeze());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

fn classify(error: reqwest::Error) -> TransportError {
    match tls_error(&error) {
        // The manager's words: it saw our certificate, or missed it.
        Some(rustls::Error::AlertReceived(alert)) => {
            let cause = format!("it ended the handshake with the alert {alert:?}");
            return TransportError::because(TransportErrorKind::Refused, cause);
        }
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            if let Some(reason) = other.0.downcast_ref::<SvidError>() {
                return TransportError::because(TransportErrorKind::Untrusted, reason.clone());
            }
            return TransportError::because(TransportErrorKind::Untrusted, other.to_string());
        }
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            return TransportError::because(TransportErrorKind::Untrusted, error.clone());
        }
        _ => {}
    }
    let kind = if error.is_timeout() {
        TransportErrorKind::TimedOut
    } else if error.is_connect() {
        TransportErrorKind::Unreachable
    } else if error.is_builder() {
        TransportErrorKind::Unsendable
    } else if is_undecodable(&error) {
        TransportErrorKind::Undecodable
    } else {
        TransportErrorKind::Interrupted
    };
    TransportError::because(kind, error)
}

/// What TLS made of it. An I/O error does not name what it wraps as its source, so it is looked into.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Decompression reports bytes that are not in the coding as invalid data.
fn is_undecodable(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        next = error.source();
    }
    false
}
