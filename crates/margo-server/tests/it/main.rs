//! The reference manager, the router over it, the operator's API and the listeners, in one process; with a socket only
//! where the subject is a connection.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bad_input;
mod device_tokens;
mod example;
mod fleet;
mod interoperability;
mod linking;
mod listening;
mod management;
mod mutual_tls;
mod operator_api;
mod pki;
mod placing;
mod plant;
mod publishing;
mod secrets;
mod signatures;
mod wire;
