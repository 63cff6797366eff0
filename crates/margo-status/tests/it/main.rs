//! What one file of the crate cannot show alone: laws over whole documents, our own documents, the specification's
//! examples, and the schemas.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

#[path = "../../../margo-core/tests/peer/conversion.rs"]
mod conversion;
mod examples;
mod fixtures;
mod laws;
#[cfg(feature = "schema")]
mod schemas;
