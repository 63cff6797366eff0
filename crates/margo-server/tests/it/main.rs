//! The reference manager, the router over it and the operator's API, in one process and without a socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bad_input;
mod example;
mod fleet;
mod management;
mod operator_api;
mod plant;
mod publishing;
