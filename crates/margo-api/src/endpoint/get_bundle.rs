//! `GET /api/v1/bundles/{digest}` ([spec], D5); in rc.1 and rc.2 `GET /api/v1/clients/{clientId}/bundles/{digest}`
//! (E7): every deployment of a manifest in one archive.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state

use bytes::Bytes;
use http::{Method, StatusCode, header};
use margo_core::{Digest, SpecVersion};
use margo_deployment::BUNDLE_MEDIA_TYPE;

use super::get_deployment::etag;
use super::{
    Dialect, EncodeError, Endpoint, IfNoneMatch, Incoming, Reply, ResponseError, Route, content, immutable,
    not_modified, path, request, success,
};
use crate::{Problem, ProblemType};

/// Asks for one bundle by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The digest of the archive asked for.
    pub digest: Digest,
    /// The archives the client holds.
    pub known: IfNoneMatch,
}

impl Request {
    /// Asks for the archive with this digest.
    #[must_use]
    pub fn new(digest: Digest) -> Self {
        Self { digest, known: IfNoneMatch::default() }
    }
}

/// What a manager answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the endpoint has exactly these successes")]
pub enum Response {
    /// 304: the client holds the archive.
    NotModified(Digest),
    /// 200: the archive.
    Bundle {
        /// The digest asked for.
        digest: Digest,
        /// The exact bytes, compressed. A client verifies them against what it asked for (R-B-026).
        bytes: Bytes,
    },
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc3, Method::GET, "/api/v1/bundles/{digest}"),
        Route::new(SpecVersion::V1_0_0Rc2, Method::GET, "/api/v1/clients/{client_id}/bundles/{digest}")
            .since(SpecVersion::V1_0_0Rc1),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let digest = self.digest.to_string();
        let (method, path) = path::<Self>(dialect, &[("digest", &digest)])?;
        let mut headers = vec![(header::ACCEPT, format!("{BUNDLE_MEDIA_TYPE}, */*;q=0.1"))];
        headers.extend(self.known.digests.iter().map(|d| (header::IF_NONE_MATCH, format!("\"{d}\""))));
        request(method, &path, &headers, Bytes::new())
    }

    /// # Errors
    ///
    /// `404` for what is not a digest: no archive has that name (X-B-32).
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        let absent =
            |error: crate::FieldError| Problem::new(ProblemType::InvalidBundle).with_detail(error.message);
        Ok(Self {
            digest: incoming.params.parse("digest").map_err(absent)?,
            known: IfNoneMatch::from_headers(incoming.headers),
        })
    }
}

impl Reply for Response {
    fn to_http(&self, version: SpecVersion) -> http::Response<Bytes> {
        let kept = immutable(version);
        match self {
            Self::NotModified(digest) => not_modified(*digest, kept),
            // R-B-023
            Self::Bundle { digest, bytes } => content(BUNDLE_MEDIA_TYPE, *digest, kept, bytes.clone()),
        }
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let etag = etag(&response);
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Self::NotModified(etag.unwrap_or_else(|| Digest::of(b""))));
        }
        let bytes = success(response)?.into_body();
        Ok(Self::Bundle { digest: etag.unwrap_or_else(|| Digest::of(&bytes)), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::PathParams;

    const RC3: SpecVersion = SpecVersion::V1_0_0Rc3;

    /// R-B-023, R-B-037, R-D-024.
    #[test]
    fn both_sides_agree() {
        let digest = Digest::of(b"archive");
        let request = Request::new(digest);
        let http = request.to_http(RC3).unwrap();
        assert_eq!(http.uri().path(), format!("/api/v1/bundles/{digest}"));
        let params = PathParams::from_iter([("digest", digest.to_string())]);
        assert_eq!(
            Request::from_http(Incoming::new(RC3, &params, http.headers(), Bytes::new())),
            Ok(request)
        );

        let response = Response::Bundle { digest, bytes: "archive".into() };
        let http = response.to_http(RC3);
        assert_eq!(http.headers()["content-type"], BUNDLE_MEDIA_TYPE);
        assert_eq!(Response::from_http(http), Ok(response));
    }

    #[test]
    fn what_is_no_digest_names_nothing() {
        let params = PathParams::from_iter([("digest", "md5:0")]);
        let headers = http::HeaderMap::new();
        let problem = Request::from_http(Incoming::new(RC3, &params, &headers, Bytes::new())).unwrap_err();
        assert_eq!((problem.status, problem.problem_type), (404, ProblemType::InvalidBundle));
    }
}
