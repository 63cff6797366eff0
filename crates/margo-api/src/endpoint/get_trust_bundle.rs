//! `GET` of the trust bundle's address, illustrated as `/.well-known/spiffe/bundle.json` ([spec], D8): the authorities
//! of a trust domain. Served by the identity service, which may be another party than the manager; the bundle itself
//! is `margo_identity::TrustBundle`.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/margo-api-reference

use super::tagged_json;

tagged_json! {
    /// Asks for the trust bundle.
    request "/.well-known/spiffe/bundle.json";
    /// The trust bundle.
    response
}
