use axum::Json;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, ToSchema};

/// The document itself.
pub(super) async fn serve() -> Json<serde_json::Value> {
    Json(super::openapi())
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Margo operator API",
        description = "What operators of the reference Workload Fleet Manager (WFM, formerly WOS) see. Not part of \
                       the Margo specification. Every error is a problem document (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        super::onboard,
        super::list_devices,
        super::retire,
        super::retire_by_post,
        super::rotate,
        super::link,
        super::unlink,
        super::upload,
        super::list_applications,
        super::placements,
        super::deploy,
        super::list_deployments,
        super::deployment,
        super::update,
        super::reconfigure,
        super::delete,
        super::events,
    ),
    security(("operator" = [])),
    modifiers(&OperatorScheme),
    tags(
        (name = "devices", description = "Devices and the credentials of their clients"),
        (name = "applications", description = "Application packages"),
        (name = "deployments", description = "What is to run where, and what does"),
        (name = "events", description = "What happens"),
    )
)]
pub(super) struct Document;

struct OperatorScheme;

impl Modify for OperatorScheme {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("operator", SecurityScheme::Http(bearer));
    }
}

/// What is wrong (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes `margo_api::Problem`, which knows no OpenAPI")]
pub(super) struct ProblemDetail {
    /// What kind of problem this is.
    r#type: String,
    /// The kind in words.
    title: String,
    /// The HTTP status code.
    status: u16,
    /// What happened this time.
    detail: Option<String>,
    /// The path of the request.
    instance: Option<String>,
    /// Whether the same request may succeed later.
    retryable: Option<bool>,
    /// When to come back.
    retry_after_seconds: Option<u64>,
    /// How to space retries: `none`, `fixed` or `exponential`.
    backoff_strategy: Option<String>,
    /// Everything that is wrong with the request.
    errors: Vec<FieldFault>,
}

/// One thing that is wrong.
#[derive(ToSchema)]
#[schema(as = FieldError)]
#[expect(dead_code, reason = "it describes `margo_api::FieldError`, which knows no OpenAPI")]
pub(super) struct FieldFault {
    /// Where it is, such as `values.interval` or `targets[0]`.
    field: String,
    /// What is wrong there.
    message: String,
}
