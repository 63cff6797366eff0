//! The messages and operations against the specification's own examples and OpenAPI documents, which lie beside the
//! checkout and are never committed here.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod examples;
mod laws;
mod messages;
mod openapi;
#[cfg(feature = "schema")]
#[path = "../../../margo-deployment/tests/it/validator.rs"]
mod validator;

use std::path::PathBuf;

/// Where the specification's examples are, if they are there.
fn spec_examples() -> Option<PathBuf> {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
    None
}
