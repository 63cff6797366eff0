//! `POST /api/v1/onboarding` (rc.1, rc.2: E2): a device is taken on with its certificate.
//!
//! The pre-draft prints `POST /onboarding/` (A4) and no message, so there is nothing to send; what a device then has to
//! know is entered by hand. In 1.0.0-rc.3 its SVID is all that onboarding leaves behind.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use margo_core::{ClientId, Document, SpecVersion};
use margo_syntax::Limits;

use super::{
    Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, json_headers, path, request,
    success,
};
use crate::{ManagerError, ManagerErrorKind, OnboardingRequest, OnboardingResponse, Problem};

/// Asks to be taken on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// What the device says.
    pub message: Document<OnboardingRequest>,
}

impl Request {
    /// Asks to be taken on with this certificate, in DER.
    #[must_use]
    pub fn new(certificate: &[u8]) -> Self {
        let message = OnboardingRequest::new(certificate);
        let Ok(message) = Document::decode(message.to_json(), |_| Ok::<_, std::convert::Infallible>(message));
        Self { message }
    }

    /// The certificate in DER.
    ///
    /// # Errors
    ///
    /// [`ManagerErrorKind::InvalidCertificate`] for what is no base64, or no certificate's text.
    pub fn certificate(&self) -> Result<Vec<u8>, ManagerError> {
        self.message.certificate_der().map_err(|fault| {
            ManagerError::new(ManagerErrorKind::InvalidCertificate).with_detail(fault.to_string())
        })
    }
}

/// What a manager answers: 201 and what it calls the client, the same for the same certificate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// What the manager says.
    pub message: OnboardingResponse,
}

impl Response {
    /// The device is taken on as this client.
    #[must_use]
    pub fn new(client_id: ClientId) -> Self {
        Self { message: OnboardingResponse::new(client_id) }
    }
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] =
        &[Route::new(SpecVersion::V1_0_0Rc2, Method::POST, "/api/v1/onboarding")
            .since(SpecVersion::V1_0_0Rc1)];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let (method, path) = path::<Self>(dialect.into(), &[])?;
        request(method, &path, &json_headers(), self.message.bytes().clone())
    }

    /// # Errors
    ///
    /// `400` for a body that is no onboarding request, `415` for one that is said to be something else: rc.1 and rc.2
    /// list no `422` here.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        incoming.require_json()?;
        let message = OnboardingRequest::decode(incoming.body, &Limits::default()).map_err(|error| {
            ManagerError::new(ManagerErrorKind::InvalidCertificate).with_detail(error.to_string()).problem()
        })?;
        Ok(Self { message })
    }
}

impl Reply for Response {
    fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.message.to_json());
        *response.status_mut() = StatusCode::CREATED;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let body = success(response)?.into_body();
        let message =
            OnboardingResponse::parse(&body, &Limits::default()).map_err(ResponseError::Unreadable)?;
        Ok(Self { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::PathParams;

    fn arrive(body: Bytes) -> Result<Request, Problem> {
        let (params, headers) = (PathParams::default(), http::HeaderMap::new());
        Request::from_http(Incoming::new(SpecVersion::V1_0_0Rc2, &params, &headers, body))
    }

    #[test]
    fn both_sides_agree() {
        let request = Request::new(b"\x30\x00");
        for version in [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2] {
            let http = request.to_http(version).unwrap();
            assert_eq!((http.method(), http.uri().path()), (&Method::POST, "/api/v1/onboarding"));
            assert_eq!(arrive(http.into_body()).unwrap(), request);
        }
        assert_eq!(request.certificate().unwrap(), b"\x30\x00");
        for version in [SpecVersion::PreDraft, SpecVersion::V1_0_0Rc3] {
            assert_eq!(request.to_http(version).unwrap_err(), EncodeError::NoRoute { version });
        }

        let response = Response::new("plant-7".parse().unwrap());
        let http = response.to_http(SpecVersion::V1_0_0Rc1);
        assert_eq!(
            (http.status(), &http.body()[..]),
            (StatusCode::CREATED, &br#"{"clientId":"plant-7"}"#[..])
        );
        assert_eq!(Response::from_http(http), Ok(response));
    }

    /// X-B-33.
    #[test]
    fn the_first_names_are_read() {
        let body = r#"{"apiVersion":"v1","kind":"OnboardingRequest","public_certificate":"MAA="}"#;
        assert_eq!(arrive(body.into()).unwrap().certificate().unwrap(), b"\x30\x00");
        let response = http::Response::new(Bytes::from(r#"{"client_id":"plant-7"}"#));
        assert_eq!(Response::from_http(response), Ok(Response::new("plant-7".parse().unwrap())));
    }

    #[test]
    fn what_is_no_certificate_is_said_as_the_revision_does() {
        let problem = arrive(r#"{"kind":"OnboardingRequest"}"#.into()).unwrap_err();
        let http = Request::refuse(&problem, SpecVersion::V1_0_0Rc1);
        assert_eq!(
            (http.status(), &http.headers()["content-type"]),
            (StatusCode::BAD_REQUEST, &HeaderValue::from_static("application/json"))
        );
        let body: serde_json::Value = serde_json::from_slice(http.body()).unwrap();
        assert_eq!(body["error"], "Invalid certificate");

        let rejected = ManagerError::new(ManagerErrorKind::ClientRejected).problem();
        let http = Request::refuse(&rejected, SpecVersion::V1_0_0Rc2);
        assert_eq!(
            (http.status(), &http.body()[..]),
            (StatusCode::FORBIDDEN, &br#"{"error":"Client rejected"}"#[..])
        );
    }
}
