//! Messages are told by the few members they have.

use margo_api::{ErrorResponse, OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse};
use margo_core::{Detection, SpecVersion};
use serde_json::Value;

use crate::DocumentKind;

/// What `message` may be of each kind.
pub(crate) fn detections(message: &Value) -> [(DocumentKind, Detection); 8] {
    let (oldest, newest) = (SpecVersion::PreDraft, SpecVersion::V1_0_0Rc3);
    [
        (DocumentKind::OnboardingRequest, OnboardingRequest::detect(message)),
        (DocumentKind::OnboardingResponse, OnboardingResponse::detect(message)),
        (DocumentKind::RootCertificateResponse, RootCertificateResponse::detect(message)),
        (DocumentKind::ProblemDetail, Problem::detect(message)),
        (DocumentKind::ErrorResponse, error(message)),
        (
            DocumentKind::TokenResponse,
            alone(message, oldest, &["access_token", "token_type"], Value::is_string),
        ),
        (
            DocumentKind::DiscoveryDocument,
            alone(message, newest, &["trustDomain", "trustBundleUri"], Value::is_string),
        ),
        (DocumentKind::SpiffeBundle, alone(message, newest, &["keys"], Value::is_array)),
    ]
}

fn error(message: &Value) -> Detection {
    if !message.get("error").is_some_and(Value::is_string) {
        return Detection::none();
    }
    let newest_first = ErrorResponse::REVISIONS.into_iter().rev();
    newest_first.fold(Detection::none(), |found, revision| found.with(revision, ["`error` is there"]))
}

/// A message that one revision alone has, by the members it cannot be without.
fn alone(message: &Value, revision: SpecVersion, members: &[&str], is: fn(&Value) -> bool) -> Detection {
    if !members.iter().all(|member| message.get(member).is_some_and(is)) {
        return Detection::none();
    }
    Detection::none().with(revision, members.iter().map(|member| format!("`{member}` is there")))
}
