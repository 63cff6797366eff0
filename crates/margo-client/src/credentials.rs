use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use margo_api::{AuthError, Credentials};
use margo_identity::{BearerCredentials, MessageSigner, SignatureCredentials, SigningKey, sign_payload};
use rustls::pki_types::UnixTime;

use crate::{HttpTransport, OAuthCredentials};

const PAYLOAD_SIGNATURE: HeaderName = HeaderName::from_static("x-payload-signature");

/// What a device proves itself with, whichever the revision: for programs that find out when they start.
///
/// | Revision | Usual |
/// | --- | --- |
/// | pre-draft | [`oauth`](Self::oauth), [`with_payload_signature`](Self::with_payload_signature) |
/// | rc.1, rc.2 | [`message_signature`](Self::message_signature) |
/// | rc.3 | [`connection`](Self::connection) |
/// | any, on loopback | [`bearer`](Self::bearer) |
#[derive(Clone, Debug)]
pub struct DeviceCredentials {
    scheme: Scheme,
    payload: Option<Arc<SigningKey>>,
}

type Clock = Box<dyn Fn() -> UnixTime + Send + Sync>;

#[derive(Clone)]
enum Scheme {
    Connection,
    Bearer(BearerCredentials),
    OAuth(Arc<OAuthCredentials<HttpTransport>>),
    Signature(Arc<SignatureCredentials<Clock>>),
}

impl DeviceCredentials {
    /// Nothing in a request: the connection is the proof (R-D-001).
    #[must_use]
    pub fn connection() -> Self {
        Self { scheme: Scheme::Connection, payload: None }
    }

    /// The same token each time.
    #[must_use]
    pub fn bearer(credentials: BearerCredentials) -> Self {
        Self { scheme: Scheme::Bearer(credentials), payload: None }
    }

    /// Tokens from a token endpoint (R-A-011).
    #[must_use]
    pub fn oauth(credentials: OAuthCredentials<HttpTransport>) -> Self {
        Self { scheme: Scheme::OAuth(Arc::new(credentials)), payload: None }
    }

    /// A signature over each request, at the time that `clock` tells (R-B-011).
    #[must_use]
    pub fn message_signature(
        signer: MessageSigner,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        let clock: Clock = Box::new(clock);
        Self { scheme: Scheme::Signature(Arc::new(SignatureCredentials::new(signer, clock))), payload: None }
    }

    /// Signs each body as well, with the key of the device's certificate (R-A-013). A request without a body is left
    /// alone: there is nothing to sign.
    #[must_use]
    pub fn with_payload_signature(mut self, key: Arc<SigningKey>) -> Self {
        self.payload = Some(key);
        self
    }
}

impl Credentials for DeviceCredentials {
    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), AuthError> {
        if let Some(key) = &self.payload
            && !request.body().is_empty()
        {
            let signature = sign_payload(key, request.body()).map_err(|_| AuthError::Unavailable)?;
            request.headers_mut().insert(PAYLOAD_SIGNATURE, signature);
        }
        match &self.scheme {
            Scheme::Connection => Ok(()),
            Scheme::Bearer(credentials) => credentials.authorize(request).await,
            Scheme::OAuth(credentials) => credentials.authorize(request).await,
            Scheme::Signature(credentials) => credentials.authorize(request).await,
        }
    }

    async fn renew(&self, refused: &http::Request<Bytes>) -> bool {
        match &self.scheme {
            Scheme::OAuth(credentials) => credentials.renew(refused).await,
            _ => false,
        }
    }
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "Connection",
            Self::Bearer(_) => "Bearer",
            Self::OAuth(_) => "OAuth",
            Self::Signature(_) => "Signature",
        })
    }
}
