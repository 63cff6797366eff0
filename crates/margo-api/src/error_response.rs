use bytes::Bytes;
use http::StatusCode;
use margo_core::{Extensions, Loss, SpecVersion, Upgraded};
use margo_syntax::{DecodeError, Format, Limits};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// What is wrong with a request, as rc.1 and rc.2 say it (rev-B 1: E2, and 401).
///
/// The page shows it for onboarding and for 401, and shows no other body; we send it with every error.
///
/// ```
/// use http::StatusCode;
/// use margo_api::{ErrorResponse, Problem};
///
/// let problem = Problem::about_blank(StatusCode::UNAUTHORIZED).with_detail("nobody signed this");
/// let error = ErrorResponse::downgrade(&problem).value;
/// assert_eq!(error.to_json(), r#"{"error":"Invalid signature","message":"nobody signed this"}"#);
/// assert_eq!(error.upgrade(StatusCode::UNAUTHORIZED).value.detail, problem.detail);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorResponse {
    /// What is wrong, in few words.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["Invalid certificate", "Client rejected"])))]
    pub error: String,
    /// What is wrong, at length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Other members.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl ErrorResponse {
    /// This is wrong.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), message: None, extensions: Extensions::new() }
    }

    /// Reads an error.
    ///
    /// # Errors
    ///
    /// The first place that is not JSON, exceeds `limits`, or does not have the form of the page.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        margo_syntax::decode(bytes, Format::Json, limits)
    }

    /// The error as JSON.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        // Texts can always be written as JSON.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// The error in the newest revision's words; `status` is that of the response it came by.
    ///
    /// Other members are kept, but for those whose name means something else there.
    #[must_use]
    pub fn upgrade(mut self, status: StatusCode) -> Upgraded<Problem> {
        let taken = Problem::MEMBERS.into_iter().filter(|name| self.extensions.remove(name).is_some());
        let losses = taken.map(|name| Loss::new(format!("/{name}"), "problems have a member of this name"));
        let losses = losses.collect();
        let mut problem = Problem::about_blank(status);
        problem.title = self.error;
        problem.detail = self.message;
        problem.extensions = self.extensions;
        Upgraded::new(problem, losses)
    }

    /// The problem in the words of rc.1 and rc.2, and what they have none for. What is wrong with each member of a body
    /// becomes part of the message.
    #[must_use]
    pub fn downgrade(problem: &Problem) -> Upgraded<Self> {
        let unnamed = problem.status == 401 && problem.title == "Unauthorized";
        let mut error = Self::new(if unnamed { "Invalid signature" } else { &problem.title });
        let members = problem.errors.iter().map(|error| format!("{}: {}", error.field, error.message));
        let parts: Vec<_> = problem.detail.iter().cloned().chain(members).collect();
        error.message = (!parts.is_empty()).then(|| parts.join("; "));
        error.extensions = problem.extensions.clone();
        let lost = [
            ("/type", problem.kind() != crate::ProblemType::AboutBlank),
            ("/instance", problem.instance.is_some()),
            ("/retryable", problem.retryable.is_some()),
            ("/retryAfterSeconds", problem.retry_after_seconds.is_some()),
            ("/backoffStrategy", problem.backoff_strategy.is_some()),
        ];
        let lost = lost.into_iter().filter(|(_, is_there)| *is_there);
        let mut losses: Vec<_> = lost.map(|(place, _)| Loss::new(place, "errors have words alone")).collect();
        for name in ["error", "message"] {
            if error.extensions.remove(name).is_some() {
                losses.push(Loss::new(format!("/{name}"), "errors have a member of this name"));
            }
        }
        Upgraded::new(error, losses)
    }

    /// The revisions that have it.
    pub const REVISIONS: [SpecVersion; 2] = [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FieldError, ProblemType};

    #[test]
    fn words_survive_both_ways_and_the_rest_is_told() {
        let problem = Problem::new(ProblemType::SemanticError)
            .with_detail("1 member is wrong")
            .with_errors(vec![FieldError::new("properties.id", "must be there")]);
        let Upgraded { value: error, losses, .. } = ErrorResponse::downgrade(&problem);
        assert_eq!(error.error, "Semantic Error");
        assert_eq!(error.message.as_deref(), Some("1 member is wrong; properties.id: must be there"));
        let places: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(places, ["/type", "/retryable", "/backoffStrategy"]);
        let upgraded = error.clone().upgrade(StatusCode::UNPROCESSABLE_ENTITY).value;
        assert_eq!(ErrorResponse::downgrade(&upgraded).value, error);
    }

    /// Some frameworks put the status into the body.
    #[test]
    fn a_member_that_means_something_else_is_told_and_not_written_twice() {
        let text = br#"{"error":"Forbidden","path":"/api","status":403,"type":"x"}"#;
        let Upgraded { value: problem, losses, .. } =
            ErrorResponse::parse(text, &Limits::default()).unwrap().upgrade(StatusCode::FORBIDDEN);
        let places: Vec<_> = losses.iter().map(|loss| loss.pointer.as_str()).collect();
        assert_eq!(places, ["/type", "/status"]);
        assert_eq!(problem.extensions.get("path"), Some(&json!("/api")));
        assert_eq!(Problem::parse(&problem.to_json(), &Limits::default()).unwrap(), problem);
    }

    #[test]
    fn other_members_survive() {
        let text = br#"{"error":"No","trace":7}"#;
        let error = ErrorResponse::parse(text, &Limits::default()).unwrap();
        assert_eq!(error.extensions.get("trace"), Some(&json!(7)));
        assert_eq!(error.to_json(), &text[..]);
        assert!(ErrorResponse::parse(b"{}", &Limits::default()).is_err());
    }
}
