//! A real Helm, against as much of a cluster as it needs for config maps.
#![expect(clippy::unwrap_used, reason = "tests: helpers that are not themselves `#[test]` functions")]
#![expect(clippy::similar_names, reason = "`path` and `patch`, `mode` and `more`")]

mod cluster;
mod protobuf;
mod real;
mod registry;
#[path = "../../../margo-oci/tests/it/services.rs"]
mod services;
