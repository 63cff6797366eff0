//! The programs as processes, and both sides assembled over sockets: what no test within one process can show.
//!
//! Each module says what it needs a process or a socket for. Everything happens on loopback, in temporary folders, on
//! ports of this test's own; waits have an end, and processes are killed when a test ends. The tests of Git need the
//! program `git`, as the manager itself does.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, fails it")]
#![expect(clippy::print_stderr, reason = "what the programs said last explains a failure")]

mod bad_input;
#[expect(dead_code, reason = "some of it is for the tests of the runtime")]
#[path = "../../../margo-runtime-compose/tests/it/cable.rs"]
mod cable;
mod demonstration;
mod device_crash;
mod doctor;
mod engine;
mod engine_faults;
mod failure;
mod git_access;
mod identities;
mod interoperability;
mod outage;
mod own_authority;
mod pair;
mod plant;
mod ports;
mod program;
mod raw;
mod secrets;
mod secure;
#[path = "../../../margo-oci/tests/it/services.rs"]
mod services;
mod survival;
