//! `GET /api/v1/deployments/{deploymentId}/{digest}` ([spec], D4); in rc.1 and rc.2 `GET
//! /api/v1/clients/{clientId}/deployments/{deploymentId}/{digest}` (E6): the exact bytes of one deployment.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/desired-state

use bytes::Bytes;
use http::{Method, StatusCode, header};
use margo_core::{DeploymentId, DeviceTarget, Digest, Document, SpecVersion, Upgraded, VerifyError};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, DEPLOYMENT_MEDIA_TYPE, DeploymentRef,
};
use margo_syntax::{DecodeError, Limits};

use super::{
    Dialect, EncodeError, Endpoint, IfNoneMatch, Incoming, Reply, ResponseError, Route, content, immutable,
    not_modified, path, request, success,
};
use crate::{Problem, ProblemType};

/// Asks for one deployment by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The digest of the bytes asked for.
    pub digest: Digest,
    /// The bytes the client holds.
    pub known: IfNoneMatch,
}

impl Request {
    /// Asks for the deployment with these bytes.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, digest: Digest) -> Self {
        Self { deployment_id, digest, known: IfNoneMatch::default() }
    }

    /// The deployment asked for, as a manifest refers to it.
    #[must_use]
    pub fn reference(&self) -> DeploymentRef {
        DeploymentRef::new(self.deployment_id.clone(), self.digest)
    }

    /// The deployment that a response's bytes are, in the newest revision's words beside its own bytes, and what was
    /// lost on the way there. Where no revision is given, the shape tells it. `target` is used where a document of that
    /// revision does not name the device itself.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Mismatch`] before anything is read when the bytes are others than asked for (R-B-026), else why
    /// they are no deployment.
    pub fn read(
        &self,
        bytes: Bytes,
        revision: Option<SpecVersion>,
        target: &DeviceTarget,
        limits: &Limits,
    ) -> Result<Upgraded<Document<ApplicationDeployment>>, VerifyError<DecodeError>> {
        let found = Digest::of(&bytes);
        if found != self.digest {
            return Err(VerifyError::Mismatch { expected: self.digest, found });
        }
        let document = match revision {
            Some(revision) => AnyApplicationDeployment::decode_as(bytes, revision, limits),
            None => AnyApplicationDeployment::decode(bytes, limits),
        };
        let mut losses = Vec::new();
        let document = document.map_err(VerifyError::Decode)?.map(|deployment| {
            let upgraded = deployment.upgrade(target);
            losses = upgraded.losses;
            upgraded.value
        });
        Ok(Upgraded::new(document, losses))
    }
}

/// What a manager answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the endpoint has exactly these successes")]
pub enum Response {
    /// 304: the client holds the bytes (X-D-45).
    NotModified(Digest),
    /// 200: the bytes.
    Deployment {
        /// The digest asked for.
        digest: Digest,
        /// The exact bytes. A client verifies them against what it asked for (R-B-026).
        bytes: Bytes,
    },
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc3, Method::GET, "/api/v1/deployments/{deployment_id}/{digest}"),
        Route::new(
            SpecVersion::V1_0_0Rc2,
            Method::GET,
            "/api/v1/clients/{client_id}/deployments/{deployment_id}/{digest}",
        )
        .since(SpecVersion::V1_0_0Rc1),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let digest = self.digest.to_string();
        let params = [("deployment_id", self.deployment_id.as_str()), ("digest", &digest)];
        let (method, path) = path::<Self>(dialect, &params)?;
        let mut headers = vec![(header::ACCEPT, format!("{DEPLOYMENT_MEDIA_TYPE}, */*;q=0.1"))];
        headers.extend(self.known.digests.iter().map(|d| (header::IF_NONE_MATCH, format!("\"{d}\""))));
        request(method, &path, &headers, Bytes::new())
    }

    /// # Errors
    ///
    /// `404` for what is not an id or not a digest: no content has that name.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        let absent = |error: crate::FieldError| {
            Problem::new(ProblemType::DeploymentNotFound).with_detail(error.message)
        };
        Ok(Self {
            deployment_id: incoming.params.parse("deployment_id").map_err(absent)?,
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
            Self::Deployment { digest, bytes } => {
                content(DEPLOYMENT_MEDIA_TYPE, *digest, kept, bytes.clone())
            }
        }
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let etag = etag(&response);
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Self::NotModified(etag.unwrap_or_else(|| Digest::of(b""))));
        }
        let bytes = success(response)?.into_body();
        Ok(Self::Deployment { digest: etag.unwrap_or_else(|| Digest::of(&bytes)), bytes })
    }
}

pub(super) fn etag(response: &http::Response<Bytes>) -> Option<Digest> {
    let value = response.headers().get(header::ETAG)?.to_str().ok()?;
    value.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::PathParams;

    const RC3: SpecVersion = SpecVersion::V1_0_0Rc3;

    #[test]
    fn both_sides_agree() {
        let digest = Digest::of(b"id: a");
        let request = Request::new("a3e2".parse().unwrap(), digest);
        let http = request.to_http(RC3).unwrap();
        assert_eq!(http.uri().path(), format!("/api/v1/deployments/a3e2/{digest}"));
        let params = PathParams::from_iter([("deployment_id", "a3e2"), ("digest", &digest.to_string())]);
        let read = Request::from_http(Incoming::new(RC3, &params, http.headers(), Bytes::new()));
        assert_eq!(read, Ok(request));
    }

    /// R-B-037, R-D-024, X-B-25, X-D-06: the `ETag` is the digest asked for, and no manifest's.
    #[test]
    fn content_may_be_kept_for_ever() {
        let response = Response::Deployment { digest: Digest::of(b"id: a"), bytes: "id: a".into() };
        let http = response.to_http(RC3);
        assert_eq!(http.headers()["content-type"], "application/yaml");
        assert_eq!(http.headers()["cache-control"], "private, max-age=31536000, immutable");
        assert_eq!(http.headers()["etag"], format!("\"{}\"", Digest::of(b"id: a")));
        assert_eq!(Response::from_http(http), Ok(response));
    }

    /// X-D-26: 63 digits name nothing.
    #[test]
    fn what_is_no_digest_names_nothing() {
        let short = format!("sha256:{}", "0".repeat(63));
        for digest in [short.as_str(), "sha512:00", "status", ""] {
            let params = PathParams::from_iter([("deployment_id", "a3e2"), ("digest", digest)]);
            let headers = http::HeaderMap::new();
            let problem =
                Request::from_http(Incoming::new(RC3, &params, &headers, Bytes::new())).unwrap_err();
            assert_eq!((problem.status, problem.problem_type), (404, ProblemType::DeploymentNotFound));
        }
    }
}
