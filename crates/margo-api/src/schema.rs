//! The JSON Schemas of these messages, as far as the types do not say them by themselves.

use std::borrow::Cow;

use margo_core::SpecVersion::{self, PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
use margo_core::schema::{document, vocabulary};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::endpoint::request_token;
use crate::{
    ErrorResponse, ONBOARDING_API_VERSION, OnboardingKind, OnboardingRequest, OnboardingResponse, Problem,
    ProblemType, RootCertificateResponse,
};

/// The JSON Schemas of the messages that belong to no model, in every revision that has them: the revision, the name of
/// the message there, and the schema.
///
/// ```
/// let schemas = margo_api::schemas();
/// let names: Vec<_> = schemas.iter().map(|(revision, kind, _)| format!("{revision}/{kind}")).collect();
/// assert_eq!(names[0], "pre-draft/RootCertificateResponse");
/// assert_eq!(names.last().unwrap(), "1.0.0-rc.3/ProblemDetail");
/// ```
#[must_use]
pub fn schemas() -> Vec<(SpecVersion, &'static str, Schema)> {
    let certificate = json!({"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi4uLgotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg=="});
    let token = json!({"access_token": "ACCESS_TOKEN", "token_type": "Bearer", "expires_in": 3600});
    let mut all = vec![
        schema::<RootCertificateResponse>(
            PreDraft,
            "RootCertificateResponse",
            "Root certificate",
            &certificate,
        ),
        schema::<request_token::Response>(PreDraft, "TokenResponse", "Token response", &token),
    ];
    for revision in [V1_0_0Rc1, V1_0_0Rc2] {
        let request = json!({
            "apiVersion": ONBOARDING_API_VERSION,
            "kind": OnboardingKind::TEXT,
            "certificate": "MIIBfzCCASWgAwIBAgIU",
        });
        let response = json!({"clientId": "3e9f6a0e-6c2b-4d0a-9d53-0d6f6a2f1c11"});
        let error = json!({"error": "Invalid signature", "message": "the signature does not match"});
        all.extend([
            schema::<RootCertificateResponse>(
                revision,
                "RootCertificateResponse",
                "Root certificate",
                &certificate,
            ),
            schema::<OnboardingRequest>(revision, OnboardingKind::TEXT, "Onboarding request", &request),
            schema::<OnboardingResponse>(revision, "OnboardingResponse", "Onboarding response", &response),
            schema::<ErrorResponse>(revision, "ErrorResponse", "Error", &error),
        ]);
    }
    let problem = json!({
        "type": ProblemType::SemanticError.as_str(),
        "title": "Semantic Error",
        "status": 422,
        "detail": "1 member is wrong",
        "instance": "/api/v1/capabilities/plc-7",
        "retryable": false,
        "backoffStrategy": "none",
        "errors": [{"field": "properties.cpus[0].cores", "message": "expected a number"}],
    });
    all.push(schema::<Problem>(V1_0_0Rc3, "ProblemDetail", "Problem detail", &problem));
    all
}

fn schema<T: JsonSchema>(
    revision: SpecVersion,
    kind: &'static str,
    title: &str,
    example: &Value,
) -> (SpecVersion, &'static str, Schema) {
    (revision, kind, document::<T>(&format!("{title} ({revision})"), example.clone()))
}

impl JsonSchema for OnboardingKind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        vocabulary([Self::TEXT])
    }
}

/// Any URI reference: vendors have types of their own.
pub(crate) fn problem_type(_: &mut SchemaGenerator) -> Schema {
    let known: Vec<_> = ProblemType::KNOWN.iter().map(ProblemType::as_str).collect();
    json_schema!({"type": "string", "format": "uri-reference", "examples": known})
}
