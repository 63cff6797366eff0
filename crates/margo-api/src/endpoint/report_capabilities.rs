//! `PUT /api/v1/capabilities/{deviceId}` ([spec], D1); in the pre-draft `POST` or `PUT
//! /device/{deviceId}/capabilities` (A1, A2): what a device is capable of.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/device-capabilities

use bytes::Bytes;
use http::{Method, StatusCode};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeviceId, Document, SpecVersion};
use margo_syntax::Limits;

use super::{
    EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, body_problem, empty, json_headers, path,
    request, semantic, success,
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
}

impl Request {
    /// Reports these capabilities, of the device they name.
    #[must_use]
    pub fn new(capabilities: Document<AnyDeviceCapabilities>) -> Self {
        Self { device_id: capabilities.device_id().clone(), capabilities }
    }
}

/// What a manager answers: 201 for the first report, 200 for a later one; always 201 in the pre-draft.
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
        Route::new(SpecVersion::PreDraft, Method::POST, "/device/{device_id}/capabilities"),
        Route::new(SpecVersion::PreDraft, Method::PUT, "/device/{device_id}/capabilities"),
    ];

    type Response = Response;

    fn to_http(&self, version: SpecVersion) -> Result<http::Request<Bytes>, EncodeError> {
        let (method, path) = path::<Self>(version, &[("device_id", self.device_id.as_str())])?;
        let body = if self.capabilities.revision() == version {
            self.capabilities.bytes().clone()
        } else {
            self.capabilities.to_revision(version)?.to_json().into()
        };
        request(method, &path, &json_headers(), body)
    }

    /// # Errors
    ///
    /// `400` for a body that is not a JSON object, `415` for one that is said to be something else, `422` for one
    /// that is no capabilities document or is about another device than the path (R-C-001, X-A-21).
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        incoming.require_json()?;
        let device_id: DeviceId =
            incoming.params.parse("device_id").map_err(|error| semantic(vec![error]))?;
        let capabilities =
            AnyDeviceCapabilities::decode_as(incoming.body, incoming.version, &Limits::default())
                .map_err(|error| body_problem(&error))?;
        if *capabilities.device_id() != device_id {
            let message = format!("is `{}`, and the path is about `{device_id}`", capabilities.device_id());
            return Err(semantic(vec![FieldError::new("properties.id", message)]));
        }
        Ok(Self { device_id, capabilities })
    }
}

impl Reply for Response {
    fn to_http(&self, version: SpecVersion) -> http::Response<Bytes> {
        match (version, self.recorded) {
            (SpecVersion::PreDraft, _) | (_, Recorded::Created) => empty(StatusCode::CREATED),
            (_, Recorded::Updated) => empty(StatusCode::OK),
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
