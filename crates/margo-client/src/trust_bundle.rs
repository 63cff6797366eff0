use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use margo_api::BoxError;
use margo_core::Document;
use margo_identity::{
    CurrentTrustBundle, DiscoveryDocument, ReplaceBundleError, TrustBundle, TrustBundleError, TrustBundleUri,
    TrustDomain,
};
use tokio::sync::Mutex;
use url::Url;

use crate::base::Base;
use crate::{SetupError, Transport, TransportError};

const MAX_BUNDLE: usize = 1 << 20;
const MAX_DISCOVERY: usize = 64 << 10;

/// Where the trust bundle of a device's trust domain is fetched, and fetched again (R-D-014 to R-D-016).
///
/// The transport must know the server by other means than the bundle: by [an
/// authority](crate::HttpOptions::with_root_certificate) or [a pin](crate::HttpOptions::with_pin). Trust on first use
/// is not for this (R-D-014).
#[derive(Debug)]
pub struct TrustBundleClient<T> {
    transport: T,
    trust_domain: TrustDomain,
    place: Place,
    /// The tag of the bundle fetched last, and where it was.
    held: Mutex<Option<(Uri, HeaderValue)>>,
}

#[derive(Clone, Debug)]
enum Place {
    Discovery(Uri),
    Bundle(TrustBundleUri),
}

impl<T> TrustBundleClient<T> {
    /// How long after a bundle without a hint to look for the next (SPIFFE's recommendation).
    pub const DEFAULT_REFRESH: Duration = Duration::from_mins(5);

    /// The bundle is where the discovery document of the server at `base` says: `GET /.well-known/margo` (D7).
    ///
    /// # Errors
    ///
    /// [`SetupError::BaseUrl`] unless `base` is an `https` address.
    pub fn discovered(transport: T, trust_domain: TrustDomain, base: Url) -> Result<Self, SetupError> {
        let base = Base::new(base)?;
        if !base.is_tls() {
            return Err(SetupError::BaseUrl { reason: "a trust bundle is fetched over `https` alone" });
        }
        let place = base
            .route(&Uri::from_static("/.well-known/margo"))
            .map_err(|_| SetupError::BaseUrl { reason: "it is no URI" })?;
        Ok(Self { transport, trust_domain, place: Place::Discovery(place), held: Mutex::new(None) })
    }

    /// The bundle is here (D8).
    #[must_use]
    pub fn at(transport: T, trust_domain: TrustDomain, uri: TrustBundleUri) -> Self {
        Self { transport, trust_domain, place: Place::Bundle(uri), held: Mutex::new(None) }
    }
}

impl<T: Transport> TrustBundleClient<T> {
    /// The bundle, with the bytes it was read from; `None` when it is the one fetched last.
    ///
    /// # Errors
    ///
    /// [`FetchBundleError`]. A device that has no bundle yet must not go on without (R-D-014).
    pub async fn fetch(&self) -> Result<Option<Document<TrustBundle>>, FetchBundleError> {
        let uri = match &self.place {
            Place::Bundle(uri) => uri.get().clone(),
            Place::Discovery(place) => self.discover(place).await?,
        };
        let mut held = self.held.lock().await;
        let tag = held.as_ref().filter(|(place, _)| *place == uri).map(|(_, tag)| tag.clone());
        let answer = self.get(&uri, tag.as_ref(), MAX_BUNDLE).await?;
        if answer.status() == StatusCode::NOT_MODIFIED && tag.is_some() {
            return Ok(None);
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchBundleError::Status { status: answer.status() });
        }
        let tag = answer.headers().get(header::ETAG).cloned();
        let bundle = Document::decode(answer.into_body(), |bytes| {
            TrustBundle::parse(self.trust_domain.clone(), bytes)
        })?;
        *held = tag.map(|tag| (uri, tag));
        Ok(Some(bundle))
    }

    /// Puts the bundle in force if it is a newer one, and says how long to wait before the next time; with the bytes
    /// of the bundle, to be kept, if there is a new one.
    ///
    /// # Errors
    ///
    /// [`FetchBundleError`], and the bundle in force stays: when none can be had, or it is older (R-D-016).
    pub async fn refresh(
        &self,
        current: &CurrentTrustBundle,
    ) -> Result<(Option<Bytes>, Duration), FetchBundleError> {
        let fetched = self.fetch().await?;
        let bytes = match fetched {
            Some(bundle) => {
                let bytes = bundle.bytes().clone();
                if let Err(error) = current.replace(bundle.into_value()) {
                    // Asked for with its tag, the older one would be "not modified" next time.
                    *self.held.lock().await = None;
                    return Err(error.into());
                }
                Some(bytes)
            }
            None => None,
        };
        let hint = current.get().refresh_hint().unwrap_or(Self::DEFAULT_REFRESH);
        Ok((bytes, hint.max(Duration::from_secs(1))))
    }

    async fn discover(&self, place: &Uri) -> Result<Uri, FetchBundleError> {
        let answer = self.get(place, None, MAX_DISCOVERY).await?;
        if answer.status() != StatusCode::OK {
            return Err(FetchBundleError::Status { status: answer.status() });
        }
        let limits = margo_syntax::Limits::default().with_max_bytes(MAX_DISCOVERY);
        let document: DiscoveryDocument =
            margo_syntax::decode(answer.body(), margo_syntax::Format::Json, &limits)
                .map_err(|error| FetchBundleError::Discovery(error.into()))?;
        if document.trust_domain != self.trust_domain {
            return Err(FetchBundleError::OtherTrustDomain { found: document.trust_domain });
        }
        Ok(document.trust_bundle_uri.get().clone())
    }

    async fn get(
        &self,
        uri: &Uri,
        tag: Option<&HeaderValue>,
        max_body: usize,
    ) -> Result<http::Response<Bytes>, FetchBundleError> {
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(tag) = tag {
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.clone());
        }
        Ok(self.transport.send(request, max_body).await?)
    }
}

/// Why there is no (newer) trust bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchBundleError {
    /// The server did not answer, or is not trusted.
    #[error("the trust bundle cannot be fetched")]
    Transport(#[from] TransportError),
    /// The server has none.
    #[error("the trust bundle's server answers {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
    },
    /// The discovery document cannot be read, or names no `https` address (R-D-015).
    #[error("the discovery document cannot be used")]
    Discovery(#[source] BoxError),
    /// The discovery document is of somebody else.
    #[error("the discovery document is of the trust domain `{found}`")]
    OtherTrustDomain {
        /// Whose it is.
        found: TrustDomain,
    },
    /// What was fetched is no bundle to validate with (R-D-016).
    #[error(transparent)]
    Bundle(#[from] TrustBundleError),
    /// What was fetched must not take the place of the bundle in force (R-D-016).
    #[error(transparent)]
    Replace(#[from] ReplaceBundleError),
}
