//! Attacks on each scheme, and what must work in spite of them.
#![cfg(all(feature = "http-signature", feature = "payload-signature", feature = "rustls"))]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

#[cfg(feature = "issue")]
mod authority;
#[cfg(feature = "issue")]
mod example;
mod http_signature;
mod messages;
mod payload_signature;
mod pki;
mod svid;
mod tls;
mod trust_bundle;
#[cfg(feature = "schema")]
#[path = "../../../margo-deployment/tests/it/validator.rs"]
mod validator;
