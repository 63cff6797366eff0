//! Who is calling: how a Margo client proves it, and how a manager finds out.
//!
//! One module per scheme, each with both sides of it:
//!
//! | Scheme | Revisions | Device's side | Manager's side |
//! | --- | --- | --- | --- |
//! | bearer tokens | pre-draft (rev-A 1); for development in all others | [`BearerCredentials`] | [`BearerAuthenticator`] |
//!
//! Whatever the scheme, a device holds [`Credentials`](margo_api::Credentials) and a manager an
//! [`Authenticator`](margo_api::Authenticator); nothing else in the workspace knows which.
//!
//! It refuses to keep secrets: a manager stores the [`TokenHash`] wherever it stores things and answers
//! [`TokenLookup`]; this crate knows no store, no server and no client. It refuses to print them too: no `Debug`
//! or `Display` here shows a token; [`Token::reveal`] is the one way to see it.
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

mod bearer;
mod peer;

pub use bearer::{
    BearerAuthenticator, BearerCredentials, InvalidTokenError, ParseTokenError, Token, TokenError, TokenHash,
    TokenLookup, basic_password, bearer_token,
};
pub use peer::{LoopbackOnly, PeerAddr};
