//! The client against managers that are not there (`mapping`, `content`) and against sockets that misbehave
//! (`socket`, `mutual_tls`): only a real connection can be slow, cut short or endless.

#![expect(clippy::unwrap_used, reason = "a test may stop where something is not as it set it up")]

mod content;
mod fake;
mod mapping;
mod mutual_tls;
mod oauth;
mod older;
mod pki;
mod socket;
mod trust_bundle;
