//! `PUT /api/v1/capabilities/{deviceId}` ([spec], D1); in rc.2 `POST` or `PUT
//! /api/v1/clients/{clientId}/capabilities/{deviceId}` (C3, C4), in rc.1 the same without the device (E3, E4); in the
//! pre-draft `POST` or `PUT /device/{deviceId}/capabilities` (A1, A2): what a device is capable of.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/device-capabilities

use bytes::Bytes;
use http::{Method, StatusCode};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeviceId, Document, SpecVersion};
use margo_syntax::{DecodeError, Format, Limits};

use super::{
    Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, body_problem, empty, json_headers,
    path_with, request, semantic, success,
};
use crate::{FieldError, Problem, Recorded};

/// Reports what a device is capable of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The device: the one in the body (R-C-001).
    pub device_id: DeviceId,
    /// Its capabilities, in the words of the revision they were written in.
    pub capabilities: Document<AnyDeviceCapabilities>,
    /// Whether the manager has an earlier report of the device. Older revisions `POST` the first and `PUT` the others
    /// (R-B-016); managers need not care.
    pub is_update: bool,
}

impl Request {
    /// Reports these capabilities, of the device they name.
    #[must_use]
    pub fn new(capabilities: Document<AnyDeviceCapabilities>) -> Self {
        Self { device_id: capabilities.device_id().clone(), capabilities, is_update: false }
    }

    /// Says that this is not the first report of the device.
    #[must_use]
    pub fn as_update(mut self) -> Self {
        self.is_update = true;
        self
    }
}

/// What a manager answers: 201 for the first report, 200 for a later one; always 201 in older revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Whether the report was the first of the device.
    pub recorded: Recorded,
}

impl Response {
    /// The report was recorded.
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { recorded }
    }
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc3, Method::PUT, "/api/v1/capabilities/{*device_id}"),
        Route::new(
            SpecVersion::V1_0_0Rc2,
            Method::POST,
            "/api/v1/clients/{client_id}/capabilities/{*device_id}",
        ),
        Route::new(
            SpecVersion::V1_0_0Rc2,
            Method::PUT,
            "/api/v1/clients/{client_id}/capabilities/{*device_id}",
        ),
        // In rc.2 a diagram shows the short form still (X-C-08).
        Route::new(SpecVersion::V1_0_0Rc1, Method::POST, "/api/v1/clients/{client_id}/capabilities"),
        Route::new(SpecVersion::V1_0_0Rc1, Method::PUT, "/api/v1/clients/{client_id}/capabilities"),
        Route::new(SpecVersion::PreDraft, Method::POST, "/device/{device_id}/capabilities"),
        Route::new(SpecVersion::PreDraft, Method::PUT, "/device/{device_id}/capabilities"),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let method = if self.is_update { Method::PUT } else { Method::POST };
        let (method, path) = path_with::<Self>(
            dialect,
            |route| route.method == method,
            &[("device_id", self.device_id.as_str())],
        )?;
        let body = if self.capabilities.revision() == dialect.version {
            self.capabilities.bytes().clone()
        } else {
            self.capabilities.to_revision(dialect.version)?.to_json().into()
        };
        request(method, &path, &json_headers(), body)
    }

    /// # Errors
    ///
    /// `400` for a body that is not a JSON object, `415` for one that is said to be something else, `422` for one
    /// that is no capabilities document or is about another device than the path (R-C-001, X-A-21), or about a device
    /// behind a gateway on a path that names none (X-C-08).
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        incoming.require_json()?;
        let limits = Limits::default();
        let capabilities = if incoming.params.get("client_id").is_some() {
            decode_by_shape(incoming.body, incoming.version, &limits)
        } else {
            AnyDeviceCapabilities::decode_as(incoming.body, incoming.version, &limits)
        }
        .map_err(|error| body_problem(&error))?;
        if incoming.params.get("device_id").is_none() {
            if capabilities.device_id().gateway().is_some() {
                let message = "is behind a gateway, and the path has no place for it";
                return Err(semantic(vec![FieldError::new("properties.id", message)]));
            }
            return Ok(Self::new(capabilities));
        }
        let device_id: DeviceId =
            incoming.params.parse("device_id").map_err(|error| semantic(vec![error]))?;
        if *capabilities.device_id() != device_id {
            let message = format!("is `{}`, and the path is about `{device_id}`", capabilities.device_id());
            return Err(semantic(vec![FieldError::new("properties.id", message)]));
        }
        Ok(Self::new(capabilities))
    }
}

/// The route is that of rc.1 or rc.2; the shape tells how far its user has come since (rev-C 5).
fn decode_by_shape(
    body: Bytes,
    oldest: SpecVersion,
    limits: &Limits,
) -> Result<Document<AnyDeviceCapabilities>, DecodeError> {
    let detection = AnyDeviceCapabilities::detect_bytes(&body, Format::Json, limits)?;
    let oldest = oldest.min(SpecVersion::V1_0_0Rc1);
    let revision = detection.revisions().find(|revision| *revision >= oldest);
    AnyDeviceCapabilities::decode_as(body, revision.unwrap_or(SpecVersion::V1_0_0Rc2), limits)
}

impl Reply for Response {
    fn to_http(&self, version: SpecVersion) -> http::Response<Bytes> {
        match (version, self.recorded) {
            (SpecVersion::V1_0_0Rc3, Recorded::Updated) => empty(StatusCode::OK),
            _ => empty(StatusCode::CREATED),
        }
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        let status = success(response)?.status();
        let created = status == StatusCode::CREATED;
        Ok(Self { recorded: if created { Recorded::Created } else { Recorded::Updated } })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::ProblemType;
    use crate::endpoint::PathParams;

    const RELAY: &str =
        r#"{"properties":{"id":"gw/plc-7","vendor":"V","modelNumber":"M","serialNumber":"S"}}"#;

    fn arrive(device: &str, body: &'static str) -> Result<Request, Problem> {
        let params = PathParams::from_iter([("device_id", device)]);
        let headers = HeaderMap::new();
        Request::from_http(Incoming::new(SpecVersion::V1_0_0Rc3, &params, &headers, body.into()))
    }

    #[test]
    fn both_sides_agree_and_keep_the_bytes() {
        let request = arrive("gw/plc-7", RELAY).unwrap();
        let http = request.to_http(SpecVersion::V1_0_0Rc3).unwrap();
        assert_eq!((http.method(), http.uri().path()), (&Method::PUT, "/api/v1/capabilities/gw/plc-7"));
        assert_eq!(http.body(), RELAY);
    }

    /// R-C-001, X-D-36.
    #[test]
    fn path_and_body_must_be_about_one_device() {
        let problem = arrive("gw/plc-8", RELAY).unwrap_err();
        assert_eq!((problem.status, &problem.problem_type), (422, &ProblemType::SemanticError));
        assert_eq!(problem.errors[0].field, "properties.id");
    }

    /// X-C-13, X-D-32.
    #[test]
    fn a_path_that_navigates_is_no_device() {
        let problem = arrive("gw/../plc-7", RELAY).unwrap_err();
        assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "device_id"));
    }

    /// X-D-36.
    #[test]
    fn only_what_is_no_json_object_is_malformed() {
        for (body, status) in [("{", 400), ("", 400), ("[]", 400), ("7", 400), ("{}", 422)] {
            assert_eq!(arrive("gw", body).unwrap_err().status, status, "{body}");
        }
        let problem = arrive("gw", "{}").unwrap_err();
        assert!(!problem.errors.is_empty(), "R-D-040");
    }

    /// X-D-34.
    #[test]
    fn another_media_type_is_not_read() {
        let params = PathParams::from_iter([("device_id", "gw/plc-7")]);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let incoming = Incoming::new(SpecVersion::V1_0_0Rc3, &params, &headers, RELAY.into());
        assert_eq!(Request::from_http(incoming).unwrap_err().status, 415);
    }

    /// X-A-34: the pre-draft prints 201 for every success.
    #[test]
    fn the_status_says_whether_it_was_the_first() {
        let updated = Response::new(Recorded::Updated);
        assert_eq!(updated.to_http(SpecVersion::V1_0_0Rc3).status(), 200);
        assert_eq!(updated.to_http(SpecVersion::PreDraft).status(), 201);
        let mut response = empty(StatusCode::NO_CONTENT);
        assert_eq!(Response::from_http(response.clone()), Ok(updated));
        *response.status_mut() = StatusCode::CREATED;
        assert_eq!(Response::from_http(response), Ok(Response::new(Recorded::Created)));
    }
}
