//! Laws of the documents, and the specification's own examples.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "an absent folder is told, and fails nothing")]

#[path = "../../../margo-core/tests/peer/conversion.rs"]
mod conversion;
mod examples;
mod fixtures;
mod laws;
#[cfg(feature = "schema")]
mod schemas;
mod size;
mod strategies;
#[cfg(feature = "schema")]
mod validator;
