//! `GET /.well-known/margo` ([spec], D7): where a trust domain's bundle is. Served by the identity service, which may
//! be another party than the manager; the document itself is `margo_identity::DiscoveryDocument`.
//!
//! [spec]: https://specification.margo.org/1.0.0-rc.3/margo-api-reference

use super::tagged_json;

tagged_json! {
    /// Asks for the discovery document.
    request "/.well-known/margo";
    /// The discovery document.
    response
}
