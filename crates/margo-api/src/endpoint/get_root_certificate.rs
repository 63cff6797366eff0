//! `GET /api/v1/onboarding/certificate` (rc.1, rc.2: E1), in the pre-draft `GET /onboarding/certificate` (A5): the
//! authority that the manager's own certificate is issued by.

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use margo_core::SpecVersion;
use margo_syntax::Limits;

use super::{Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, path, request, success};
use crate::{Problem, RootCertificateResponse};

/// Asks for the manager's authority. Nobody has to say who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request;

impl Request {
    /// Asks for the manager's authority.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// 200: the certificate. It may be believed only where the channel it came by was trusted already (R-B-005).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// What the manager says.
    pub message: RootCertificateResponse,
}

impl Response {
    /// The authority has this certificate, in DER.
    #[must_use]
    pub fn new(certificate: &[u8]) -> Self {
        Self { message: RootCertificateResponse::new(certificate) }
    }
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc2, Method::GET, "/api/v1/onboarding/certificate")
            .since(SpecVersion::V1_0_0Rc1),
        Route::new(SpecVersion::PreDraft, Method::GET, "/onboarding/certificate"),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let (method, path) = path::<Self>(dialect.into(), &[])?;
        request(method, &path, &[(header::ACCEPT, "application/json".to_owned())], Bytes::new())
    }

    fn from_http(_: Incoming<'_>) -> Result<Self, Problem> {
        Ok(Self)
    }
}

impl Reply for Response {
    fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.message.to_json());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let body = success(response)?.into_body();
        let message =
            RootCertificateResponse::parse(&body, &Limits::default()).map_err(ResponseError::Unreadable)?;
        Ok(Self { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A5, E1.
    #[test]
    fn both_sides_agree() {
        for (version, path) in [
            (SpecVersion::PreDraft, "/onboarding/certificate"),
            (SpecVersion::V1_0_0Rc1, "/api/v1/onboarding/certificate"),
            (SpecVersion::V1_0_0Rc2, "/api/v1/onboarding/certificate"),
        ] {
            let http = Request::new().to_http(version).unwrap();
            assert_eq!((http.method(), http.uri().path()), (&Method::GET, path));
        }
        let der: Vec<u8> = (0..200).collect();
        let response = Response::new(&der);
        let http = response.to_http(SpecVersion::PreDraft);
        assert_eq!(
            (http.status().as_u16(), &http.headers()["content-type"]),
            (200, &HeaderValue::from_static("application/json"))
        );
        let read = Response::from_http(http).unwrap();
        assert_eq!((read.message.certificate_der().unwrap(), read), (der, response));
    }
}
