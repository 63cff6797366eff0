//! Attacks on each scheme, and what must work in spite of them.
#![cfg(all(feature = "http-signature", feature = "payload-signature", feature = "rustls"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod http_signature;
mod payload_signature;
mod pki;
mod svid;
mod tls;
mod trust_bundle;
