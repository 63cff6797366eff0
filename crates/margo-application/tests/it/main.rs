//! From package to deployment, the laws of descriptions, and the specification's own examples.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "an absent folder is told, and fails nothing")]

#[path = "../../../margo-core/tests/peer/conversion.rs"]
mod conversion;
mod examples;
mod fixtures;
mod laws;
mod packages;
#[cfg(feature = "schema")]
mod schemas;
#[cfg(feature = "schema")]
#[path = "../../../margo-deployment/tests/it/validator.rs"]
mod validator;
mod values;

use margo_application::package::DESCRIPTION_FILE;
use margo_application::{AnyApplicationDescription, ApplicationDescription};
use margo_syntax::Limits;

/// One of the packages every crate tests against.
fn package(name: &str) -> AnyApplicationDescription {
    let path = format!("{}/../../fixtures/packages/{name}/{DESCRIPTION_FILE}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).unwrap();
    AnyApplicationDescription::parse(&text, &Limits::default()).unwrap()
}

fn newest(name: &str) -> ApplicationDescription {
    package(name).upgrade().value
}
