//! `GET /api/v1/deployments` ([spec], D3); in rc.1 and rc.2 `GET /api/v1/clients/{clientId}/deployments` (E5): what
//! the caller should run.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state

use bytes::Bytes;
use http::{Method, StatusCode, header};
use margo_core::{Digest, Document, SpecVersion};
use margo_deployment::{DesiredStateManifest, MANIFEST_MEDIA_TYPE};
use margo_syntax::Limits;

use super::{
    Dialect, EncodeError, Endpoint, IfNoneMatch, Incoming, Reply, ResponseError, Route, content, negotiation,
    not_modified, path, request, success,
};
use crate::{Problem, ProblemType};

/// Asks for the desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The manifests the client holds.
    pub known: IfNoneMatch,
}

impl Request {
    /// Asks for the desired state, unless it is the manifest with the digest `known`.
    #[must_use]
    pub fn new(known: Option<Digest>) -> Self {
        Self { known: IfNoneMatch::one(known) }
    }
}

/// What a manager answers.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the endpoint has exactly these successes")]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it arrives, never kept")]
pub enum Response {
    /// 304: the client holds the current manifest (R-B-035).
    NotModified(Digest),
    /// 200: the current manifest.
    Manifest(Document<DesiredStateManifest>),
}

/// R-B-036, R-D-024: a manifest is never immutable, and private to its client.
const CACHE_CONTROL: &str = "private, no-cache";

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc3, Method::GET, "/api/v1/deployments"),
        Route::new(SpecVersion::V1_0_0Rc2, Method::GET, "/api/v1/clients/{client_id}/deployments")
            .since(SpecVersion::V1_0_0Rc1),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let (method, path) = path::<Self>(dialect, &[])?;
        let mut headers = vec![(header::ACCEPT, MANIFEST_MEDIA_TYPE.to_owned())]; // R-B-017
        headers.extend(self.known.digests.iter().map(|d| (header::IF_NONE_MATCH, format!("\"{d}\""))));
        request(method, &path, &headers, Bytes::new())
    }

    /// # Errors
    ///
    /// `406` when `Accept` names only other media types (R-B-018).
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        if !negotiation::accepts(incoming.headers, MANIFEST_MEDIA_TYPE) {
            return Err(Problem::new(ProblemType::ServerCannotGenerateResponse)
                .with_detail(format!("the manifest is `{MANIFEST_MEDIA_TYPE}`")));
        }
        Ok(Self { known: IfNoneMatch::from_headers(incoming.headers) })
    }
}

impl Reply for Response {
    fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
        match self {
            Self::NotModified(digest) => not_modified(*digest, CACHE_CONTROL),
            // R-B-019, R-B-034
            Self::Manifest(manifest) => {
                content(MANIFEST_MEDIA_TYPE, manifest.digest(), CACHE_CONTROL, manifest.bytes().clone())
            }
        }
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        if response.status() == StatusCode::NOT_MODIFIED {
            let etag = IfNoneMatch::from_headers(
                &response
                    .headers()
                    .get_all(header::ETAG)
                    .iter()
                    .map(|v| (header::IF_NONE_MATCH, v.clone()))
                    .collect(),
            );
            // Without an `ETag` the client still knows what it asked with; the digest is then of no use.
            return Ok(Self::NotModified(etag.digests.first().copied().unwrap_or_else(|| Digest::of(b""))));
        }
        let body = success(response)?.into_body();
        DesiredStateManifest::decode(body, &Limits::default())
            .map(Self::Manifest)
            .map_err(ResponseError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::endpoint::PathParams;

    fn arrive(request: &http::Request<Bytes>) -> Result<Request, Problem> {
        let params = PathParams::default();
        Request::from_http(Incoming::new(SpecVersion::V1_0_0Rc3, &params, request.headers(), Bytes::new()))
    }

    #[test]
    fn both_sides_agree_on_the_request() {
        let request = Request::new(Some(Digest::of(b"manifest")));
        let http = request.to_http(SpecVersion::V1_0_0Rc3).unwrap();
        assert_eq!((http.method(), http.uri().path()), (&Method::GET, "/api/v1/deployments"));
        assert_eq!(arrive(&http), Ok(request));
    }

    #[test]
    fn the_pre_draft_has_no_manifest() {
        let version = SpecVersion::PreDraft;
        assert_eq!(Request::new(None).to_http(version).unwrap_err(), EncodeError::NoRoute { version });
    }

    /// R-B-018.
    #[test]
    fn an_accept_without_the_manifest_is_not_acceptable() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, http::HeaderValue::from_static("text/html"));
        let params = PathParams::default();
        let incoming = Incoming::new(SpecVersion::V1_0_0Rc3, &params, &headers, Bytes::new());
        assert_eq!(Request::from_http(incoming).unwrap_err().status, 406);
    }

    /// R-B-019, R-B-034, R-B-035, R-B-036, R-D-024.
    #[test]
    fn both_sides_agree_on_the_response() {
        let manifest = r#"{"bundle":null,"deployments":[],"manifestVersion":1}"#;
        let manifest = DesiredStateManifest::decode(manifest.into(), &Limits::default()).unwrap();
        let digest = manifest.digest();
        let response = Response::Manifest(manifest);
        let http = response.to_http(SpecVersion::V1_0_0Rc3);
        assert_eq!(http.headers()["content-type"], MANIFEST_MEDIA_TYPE);
        assert_eq!(http.headers()["etag"], format!("\"{digest}\""));
        assert!(!http.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        assert_eq!(Response::from_http(http), Ok(response));

        let unmodified = Response::NotModified(digest);
        let http = unmodified.to_http(SpecVersion::V1_0_0Rc3);
        assert_eq!(http.status(), 304);
        assert!(http.body().is_empty());
        assert_eq!(Response::from_http(http), Ok(unmodified));
    }
}
