use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::{SetupError, Transport, TransportError, TransportErrorKind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How [`HttpTransport`] behaves.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    timeout: Duration,
    roots: RootCertStore,
}

impl HttpOptions {
    /// Sets how long one request may take, from connecting to the last byte of its answer. 30 seconds by default;
    /// connecting may take 10 of them.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds every certificate in `pem` to the authorities that may vouch for a manager.
    ///
    /// None is trusted by default: a plant has an authority of its own, and public ones that come with a program age
    /// with the device. Where a public one is meant, add the operating system's file.
    ///
    /// # Errors
    ///
    /// [`SetupError::Certificate`] for text that is not PEM, has no certificate, or has one that cannot be used.
    pub fn with_root_certificate(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        let unusable = |reason: String| SetupError::Certificate { reason };
        let before = self.roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            self.roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if self.roots.len() == before {
            return Err(unusable("there is none in the text".to_owned()));
        }
        Ok(self)
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), roots: RootCertStore::empty() }
    }
}

/// HTTP/1.1 and HTTP/2, in the clear or over TLS 1.2 and 1.3 (rev-D 2). Needs a Tokio runtime.
///
/// Brings its own cryptography, so no process-wide provider has to be installed. Reads nothing from the environment:
/// no proxy, no certificates. Connections are kept and shared; clones are cheap and share them too.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// A transport with these options.
    ///
    /// # Errors
    ///
    /// [`SetupError::Http`] when the system offers no way to make connections.
    pub fn new(options: &HttpOptions) -> Result<Self, SetupError> {
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Http(error.into()))?
            .with_root_certificates(options.roots.clone())
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry a token or a report to whoever the answer names.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(options.timeout.min(CONNECT_TIMEOUT))
            .timeout(options.timeout)
            .build()
            .map_err(|error| SetupError::Http(error.into()))?;
        Ok(Self { client })
    }
}

impl Transport for HttpTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let too_large = || TransportError::new(TransportErrorKind::TooLarge { limit: max_body });
        let request = reqwest::Request::try_from(request)
            .map_err(|cause| TransportError::because(TransportErrorKind::Unsendable, cause))?;
        let mut response = self.client.execute(request).await.map_err(classify)?;
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
