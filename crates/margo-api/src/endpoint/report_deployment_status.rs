//! `POST /api/v1/deployments/{deploymentId}/status` ([spec], D6); in rc.1 and rc.2 `POST
//! /api/v1/clients/{clientId}/deployments/{deploymentId}/status` (E8, C8); in the pre-draft `POST
//! /device/{deviceId}/deployment/{deploymentId}/status` (A3): where a deployment stands.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/deployment-status

use bytes::Bytes;
use http::{Method, StatusCode};
use margo_core::{DeploymentId, DeviceId, Document, SpecVersion};
use margo_status::AnyDeploymentStatus;
use margo_syntax::{DecodeError, Format, Limits};

use super::{
    Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, body_problem, empty, json_headers,
    path, request, semantic, success,
};
use crate::{FieldError, Problem, ProblemType, Recorded};

/// Reports where a deployment stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The device the report is about; the pre-draft names it in the path.
    pub device_id: Option<DeviceId>,
    /// The report, in the words of the revision it was written in.
    pub status: Document<AnyDeploymentStatus>,
}

impl Request {
    /// Reports this status, of the device it names, if any.
    #[must_use]
    pub fn new(status: Document<AnyDeploymentStatus>) -> Self {
        Self { device_id: status.device_id().cloned(), status }
    }

    /// Says which device the report is about, where the report itself does not.
    #[must_use]
    pub fn with_device(mut self, device_id: DeviceId) -> Self {
        self.device_id = Some(device_id);
        self
    }
}

/// What a manager answers: 201 for the first report, 200 for a later one; always 201 in the pre-draft, always 200 in
/// rc.1 and rc.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Whether the report was the first of the deployment.
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
        Route::new(SpecVersion::V1_0_0Rc3, Method::POST, "/api/v1/deployments/{deployment_id}/status"),
        Route::new(
            SpecVersion::V1_0_0Rc2,
            Method::POST,
            "/api/v1/clients/{client_id}/deployments/{deployment_id}/status",
        )
        .since(SpecVersion::V1_0_0Rc1),
        // As a diagram and the first text of rc.1 have it (X-B-29).
        Route::new(
            SpecVersion::V1_0_0Rc1,
            Method::POST,
            "/api/v1/clients/{client_id}/deployment/{deployment_id}/status",
        ),
        Route::new(
            SpecVersion::PreDraft,
            Method::POST,
            "/device/{device_id}/deployment/{deployment_id}/status",
        ),
    ];

    type Response = Response;

    fn to_http<'a>(&self, dialect: impl Into<Dialect<'a>>) -> Result<http::Request<Bytes>, EncodeError> {
        let dialect = dialect.into();
        let device_id = self.device_id.as_ref().map_or("", DeviceId::as_str);
        if dialect.version == SpecVersion::PreDraft && device_id.is_empty() {
            return Err(EncodeError::invalid("the pre-draft names the device in the path"));
        }
        let params = [("device_id", device_id), ("deployment_id", self.status.deployment_id().as_str())];
        let (method, path) = path::<Self>(dialect, &params)?;
        let body = if self.status.revision() == dialect.version {
            self.status.bytes().clone()
        } else {
            self.status.to_revision(dialect.version)?.to_json().into()
        };
        request(method, &path, &json_headers(), body)
    }

    /// # Errors
    ///
    /// `400` for a body that is not a JSON object, `415` for one that is said to be something else, `404` for a
    /// path that names no deployment, `422` for a body that is no status or is about another deployment or device
    /// than the path (X-D-36).
    fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
        incoming.require_json()?;
        let deployment_id: DeploymentId = incoming
            .params
            .parse("deployment_id")
            .map_err(|error| Problem::new(ProblemType::DeploymentNotFound).with_detail(error.message))?;
        let limits = Limits::default();
        let status = if incoming.params.get("client_id").is_some() {
            decode_by_shape(incoming.body, &limits)
        } else {
            AnyDeploymentStatus::decode_as(incoming.body, incoming.version, &limits)
        }
        .map_err(|error| body_problem(&error))?;
        let mut errors = Vec::new();
        if *status.deployment_id() != deployment_id {
            let message = format!("is `{}`, and the path is about `{deployment_id}`", status.deployment_id());
            errors.push(FieldError::new("deploymentId", message));
        }
        let mut report = Self::new(status);
        if incoming.version == SpecVersion::PreDraft {
            match incoming.params.parse("device_id") {
                Ok(device_id) => report.device_id = Some(device_id),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(report) } else { Err(semantic(errors)) }
    }
}

/// The route is that of rc.1 and of rc.2; the shape tells which, or how far its user has come since (rev-C 5).
fn decode_by_shape(body: Bytes, limits: &Limits) -> Result<Document<AnyDeploymentStatus>, DecodeError> {
    let detection = AnyDeploymentStatus::detect_bytes(&body, Format::Json, limits)?;
    let revision = detection.revisions().find(|revision| *revision >= SpecVersion::V1_0_0Rc1);
    AnyDeploymentStatus::decode_as(body, revision.unwrap_or(SpecVersion::V1_0_0Rc2), limits)
}

impl Reply for Response {
    fn to_http(&self, version: SpecVersion) -> http::Response<Bytes> {
        match (version, self.recorded) {
            (SpecVersion::PreDraft, _) | (SpecVersion::V1_0_0Rc3, Recorded::Created) => {
                empty(StatusCode::CREATED)
            }
            // X-B-28: rc.1 and rc.2 list 200 alone.
            _ => empty(StatusCode::OK),
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
    use http::HeaderMap;

    use super::*;
    use crate::endpoint::PathParams;

    const RC3: &str = r#"{"adoptedManifestVersion":7,"components":[{"name":"db","state":"installed"}],"deploymentId":"a3e2","status":{"state":"installed"}}"#;

    fn arrive(version: SpecVersion, params: &PathParams, body: &'static str) -> Result<Request, Problem> {
        let headers = HeaderMap::new();
        Request::from_http(Incoming::new(version, params, &headers, body.into()))
    }

    fn about(deployment: &str) -> PathParams {
        PathParams::from_iter([("deployment_id", deployment)])
    }

    #[test]
    fn one_report_in_two_revisions() {
        let report = arrive(SpecVersion::V1_0_0Rc3, &about("a3e2"), RC3).unwrap();
        let http = report.to_http(SpecVersion::V1_0_0Rc3).unwrap();
        assert_eq!(http.uri().path(), "/api/v1/deployments/a3e2/status");
        assert_eq!(http.body(), RC3);

        let report = report.with_device("edge-01".parse().unwrap());
        let http = report.to_http(SpecVersion::PreDraft).unwrap();
        assert_eq!(http.uri().path(), "/device/edge-01/deployment/a3e2/status");
        let body: serde_json::Value = serde_json::from_slice(http.body()).unwrap();
        assert_eq!(body["status"]["state"], "Installed", "X-A-10");
        assert_eq!(body["kind"], "DeploymentStatus");
    }

    #[test]
    fn the_pre_draft_has_no_word_for_removal() {
        const REMOVED: &str = r#"{"adoptedManifestVersion":7,"components":[{"name":"db","state":"removed"}],"deploymentId":"a3e2","status":{"state":"removed"}}"#;
        let report = arrive(SpecVersion::V1_0_0Rc3, &about("a3e2"), REMOVED).unwrap();
        let error = report.with_device("edge-01".parse().unwrap()).to_http(SpecVersion::PreDraft);
        assert!(matches!(error, Err(EncodeError::Unsayable(_))), "{error:?}");
    }

    /// X-D-36, X-D-44.
    #[test]
    fn path_and_body_must_be_about_one_deployment() {
        let problem = arrive(SpecVersion::V1_0_0Rc3, &about("b4f3"), RC3).unwrap_err();
        assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "deploymentId"));
        let problem = arrive(SpecVersion::V1_0_0Rc3, &about(".."), RC3).unwrap_err();
        assert_eq!((problem.status, problem.problem_type), (404, ProblemType::DeploymentNotFound));
    }
}
