//! Who is calling: how a Margo client proves it, and how a manager finds out.
//!
//! One module per scheme, each with both sides of it, and each behind a feature (all are on unless turned off):
//!
//! | Scheme | Revisions | Device's side | Manager's side | Feature |
//! | --- | --- | --- | --- | --- |
//! | bearer tokens | pre-draft (rev-A 1); for development in all others | [`BearerCredentials`] | [`BearerAuthenticator`] | |
//! | OAuth 2.0 client credentials | pre-draft (A6) | [`TokenRequest`] | [`TokenResponse`] | `oauth` |
//! | payload signatures | pre-draft (R-A-013) | [`sign_payload`] | [`PayloadSignature`] | `payload-signature` |
//! | message signatures (RFC 9421) | rc.1, rc.2 (rev-B 1.2) | [`SignatureCredentials`] | [`SignatureAuthenticator`] | `http-signature` |
//! | X.509-SVIDs over mutual TLS | rc.3 (rev-D 2) | [`client_config`] | [`server_config`], [`SvidAuthenticator`] | `svid`, `rustls` |
//!
//! Identities come in files, under the names that SPIRE's tools use: [`IdentityFolder`]. Where there is no identity
//! service, the module `authority` (feature `issue`, off unless turned on) makes a trust domain of one's own.
//!
//! Whatever the scheme, a device holds [`Credentials`](margo_api::Credentials) and a manager an
//! [`Authenticator`](margo_api::Authenticator); nothing else in the workspace knows which. The connection is the
//! credential in mutual TLS; whether a signature holds is asked with the keys registered for one client, which a manager's
//! store knows: [`KeyLookup`].
//!
//! It refuses to keep secrets: a manager stores the [`TokenHash`] wherever it stores things and answers
//! [`TokenLookup`]; this crate knows no store, no server and no client. It refuses to print them too: no `Debug`
//! or `Display` here shows a token or key; [`Token::reveal`] is the one way to see it. It refuses to tell a peer why
//! it is refused: errors name the step that failed, for the log. It reads no clock: every check takes the time.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use bytes::Bytes;
//! use margo_api::{AuthError, Authenticator, Credentials};
//! use margo_identity::{BearerAuthenticator, BearerCredentials, LoopbackOnly, PeerAddr, Token};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once, when a device is onboarded: the device gets the token, the manager keeps its hash.
//! let token = Token::generate()?;
//! let known = BTreeMap::from([(token.hash(), "plant-7".parse()?)]);
//!
//! // The device's side, for each request.
//! let credentials = BearerCredentials::from(&token);
//! let mut request = http::Request::new(Bytes::new());
//! credentials.authorize(&mut request).await?;
//!
//! // The manager's side. A development token is taken from this machine alone.
//! let authenticator = LoopbackOnly::new(BearerAuthenticator::new(known));
//! assert!(matches!(authenticator.authenticate(&request).await, Err(AuthError::Forbidden { .. })));
//! request.extensions_mut().insert(PeerAddr::new("127.0.0.1:49152".parse()?));
//! assert_eq!(authenticator.authenticate(&request).await?.client_id.as_str(), "plant-7");
//! # Ok(())
//! # }
//! ```
//!
//! Where to go next: `margo-client` sends what [`Credentials`](margo_api::Credentials) prove, `margo-server` asks
//! an [`Authenticator`](margo_api::Authenticator).

#[cfg(feature = "issue")]
pub mod authority;

#[cfg(feature = "svid")]
mod accepted;
mod bearer;
#[cfg(feature = "svid")]
mod certificate_summary;
#[cfg(feature = "http-signature")]
mod http_signature;
#[cfg(feature = "rustls")]
mod identity_folder;
#[cfg(feature = "signature")]
mod key;
#[cfg(feature = "payload-signature")]
mod payload_signature;
mod peer;
#[cfg(feature = "http-signature")]
mod replay;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "http-signature")]
mod signature_authenticator;
#[cfg(feature = "svid")]
mod spiffe_bundle;
#[cfg(feature = "svid")]
mod spiffe_id;
#[cfg(feature = "svid")]
mod svid;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "svid")]
mod trust_bundle;

#[cfg(feature = "svid")]
pub use accepted::{AcceptancePolicy, AcceptedClients, NotAcceptedError, SvidAuthenticator};
pub use bearer::{
    BearerAuthenticator, BearerCredentials, InvalidTokenError, ParseTokenError, Token, TokenError, TokenHash,
    TokenLookup, basic_password, bearer_token,
};
#[cfg(feature = "svid")]
pub use certificate_summary::CertificateSummary;
#[cfg(feature = "http-signature")]
pub use http_signature::{
    HttpSignatureError, HttpSignatureErrorKind, KeyIdError, MessageSigner, MessageVerifier, Origin,
    ParseOriginError, SignError, SignatureCredentials, content_digest,
};
#[cfg(feature = "rustls")]
pub use identity_folder::{IdentityFolder, IdentityFolderError};
#[cfg(feature = "signature")]
pub use key::{KeyError, SignatureAlgorithm, SigningKey, VerifyingKey};
#[cfg(feature = "oauth")]
pub use margo_api::endpoint::request_token::{
    Request as TokenRequest, Response as TokenResponse, TokenError as TokenEndpointError,
};
#[cfg(feature = "payload-signature")]
pub use payload_signature::{
    PayloadSignature, PayloadSignatureError, SignPayloadError, sign_payload, verify_payload,
};
pub use peer::{LoopbackOnly, PeerAddr};
#[cfg(feature = "http-signature")]
pub use replay::ReplayMemory;
#[cfg(feature = "schema")]
pub use schema::schemas;
#[cfg(feature = "http-signature")]
pub use signature_authenticator::{KeyLookup, SignatureAuthenticator};
#[cfg(feature = "svid")]
pub use spiffe_bundle::{JsonWebKey, SpiffeBundle};
#[cfg(feature = "svid")]
pub use spiffe_id::{
    ClientSpiffeId, ParseSpiffeIdError, ParseSpiffeIdErrorKind, SpiffeId, TrustDomain, WfmSpiffeId,
};
#[cfg(feature = "svid")]
pub use svid::{Svid, SvidError, SvidVerifier};
#[cfg(feature = "rustls")]
pub use tls::{
    IdentityFiles, LoadIdentityError, ReloadingIdentity, SvidClientVerifier, SvidServerVerifier, TlsVersions,
    client_config, server_config,
};
#[cfg(feature = "svid")]
pub use trust_bundle::{
    CurrentTrustBundle, DiscoveryDocument, DiscoveryError, ParseSpkiPinError, ParseTrustBundleUriError,
    ReplaceBundleError, SpkiPin, TrustBundle, TrustBundleError, TrustBundleUri,
};
