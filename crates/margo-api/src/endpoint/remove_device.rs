//! `DELETE /api/v1/capabilities/{deviceId}` ([spec], D2); in rc.2 `DELETE
//! /api/v1/clients/{clientId}/capabilities/{deviceId}` (C9): a device is gone.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/device-capabilities

use bytes::Bytes;
use http::{Method, StatusCode};
use margo_core::{DeviceId, SpecVersion};

use super::{
    Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, empty, path, request, success,
};
use crate::{Problem, ProblemType};

/// Tells that a device is gone (R-C-007).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The device.
    pub device_id: DeviceId,
}

impl Request {
    /// The device is gone.
    #[must_use]
    pub fn new(device_id: DeviceId) -> Self {
        Self { device_id }
    }
}

/// 204: the manager has forgotten the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response;

impl Response {
    /// The manager has forgotten the device.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Endpoint for Request {
    const ROUTES: &'static [Route] = &[
        Route::new(SpecVersion::V1_0_0Rc3, Method::DELETE, "/api/v1/capabilities/{*device_id}"),
        Route::new(
            SpecVersion::V1_0_0Rc2,
            Method::DELETE,
            "/api/v1/clients/{client_id}/capabilities/{*device_id}",
        ),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let (method, path) = path::<Self>(dialect, &[("device_id", self.device_id.as_str())])?;
        request(method, &path, &[], Bytes::new())
    }

    /// # Errors
    ///
    /// `404` for what is not a device id: no device has that name.
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        let device_id = incoming
            .params
            .parse("device_id")
            .map_err(|error| Problem::new(ProblemType::DeviceNotFound).with_detail(error.message))?;
        Ok(Self { device_id })
    }
}

impl Reply for Response {
    fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
        empty(StatusCode::NO_CONTENT)
    }

    fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
        success(response).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X-C-09, X-D-32: the levels of a device id are segments of the path.
    #[test]
    fn a_child_device_spans_several_segments() {
        let http = Request::new("gw/plc-7".parse().unwrap()).to_http(SpecVersion::V1_0_0Rc3).unwrap();
        assert_eq!((http.method(), http.uri().path()), (&Method::DELETE, "/api/v1/capabilities/gw/plc-7"));
    }
}
