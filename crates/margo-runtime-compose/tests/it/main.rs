//! Most of these tests need a container engine: `cargo xtask engine up`. Without it they say loudly that they did not
//! run.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, fails it")]

mod bad_input;
mod cable;
mod environment;
mod lifecycle;
mod lost_engine;
#[path = "../../../margo-oci/tests/it/services.rs"]
mod services;
#[path = "../../../margo-oci/tests/it/small_disk.rs"]
mod small_disk;
mod tools;
mod world;
