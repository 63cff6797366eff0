//! Laws of placement, and the specification's own examples.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "an absent folder is told, and fails nothing")]

mod examples;
mod laws;
