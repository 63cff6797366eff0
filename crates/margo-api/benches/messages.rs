//! What it costs to read and write the messages that belong to no model: onboarding, the root certificate, errors of every
//! revision.

#![expect(clippy::unwrap_used, reason = "a message that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::{Sample, limits};
use margo_api::{ErrorResponse, OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse};
use margo_syntax::Format;

fn main() {
    documents::main();
}

/// The message of one of our own fixtures, in the text that we write.
macro_rules! message {
    ($name:ident, $message:ident, $path:literal) => {
        mod $name {
            use super::*;

            fn samples() -> Vec<Sample<$message>> {
                let text = include_str!(concat!("../../../fixtures/messages/accepted/", $path));
                let message = $message::parse(text.as_bytes(), &limits()).unwrap();
                let revision = $path.split('/').next().unwrap();
                vec![Sample::new(revision, Format::Json, message.to_json(), message)]
            }

            document!(
                message,
                $message,
                super::samples,
                |bytes| $message::parse(&bytes, &limits()).unwrap(),
                $message::to_json
            );
        }
    };
}

message!(onboarding_request, OnboardingRequest, "1.0.0-rc.2/OnboardingRequest/certificate-text.json");
message!(onboarding_response, OnboardingResponse, "1.0.0-rc.2/OnboardingResponse/uuid.json");
message!(
    root_certificate,
    RootCertificateResponse,
    "pre-draft/RootCertificateResponse/certificate-text.json"
);
message!(error_response, ErrorResponse, "1.0.0-rc.2/ErrorResponse/invalid-signature.json");
message!(problem_detail, Problem, "1.0.0-rc.3/ProblemDetail/semantic-error.json");
