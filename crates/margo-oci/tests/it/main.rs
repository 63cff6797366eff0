//! A registry of our own that misbehaves on demand, and a real one.
#![expect(clippy::unwrap_used, reason = "tests: helpers that are not themselves `#[test]` functions")]
#![expect(clippy::similar_names, reason = "`fetcher` and `fetched`")]

mod archives;
mod attacks;
mod fake;
mod interop;
mod registry;
mod services;
mod small_disk;
