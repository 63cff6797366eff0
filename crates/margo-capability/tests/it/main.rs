//! What one file of the crate cannot show alone: laws over whole documents, and the specification's own examples.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

mod examples;
mod laws;
