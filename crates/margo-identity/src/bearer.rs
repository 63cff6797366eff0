use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use margo_api::{AuthError, Authenticator, BoxError, Caller, Credentials, Identified};
use margo_core::{ClientId, Digest, ParseDigestError};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "margo_";
const RANDOM_BYTES: usize = 32;

/// A secret that stands for one client (rev-A 1, `Authorization: Bearer …`): `margo_` and 64 lowercase hex digits,
/// 256 bits of the operating system's randomness.
///
/// The prefix lets people and secret scanners see what it is. A token can be compared and printed only on purpose,
/// through [`hash`](Self::hash) and [`reveal`](Self::reveal).
///
/// ```
/// use margo_identity::Token;
///
/// let token = Token::generate()?;
/// assert!(token.reveal().starts_with("margo_"));
/// assert_eq!(format!("{token:?}"), "Token(redacted)");
/// assert_eq!(token.reveal().parse::<Token>()?.hash(), token.hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// A new token that nobody can guess.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when the operating system has no randomness to give.
    pub fn generate() -> Result<Self, TokenError> {
        use fmt::Write as _;
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(|error| TokenError { reason: error.to_string() })?;
        let mut text = String::with_capacity(PREFIX.len() + 2 * RANDOM_BYTES);
        text.push_str(PREFIX);
        for byte in random {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text.into()))
    }

    /// The secret itself: to hand it over, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a manager keeps of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ParseTokenError)?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_hex && digits.len() == 2 * RANDOM_BYTES { Ok(Self(text.into())) } else { Err(ParseTokenError) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A token could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness: {reason}")]
pub struct TokenError {
    reason: String,
}

/// The text is not a [`Token`]. Says nothing about the text, which may be a secret nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `margo_` followed by 64 lowercase hex digits")]
#[non_exhaustive]
pub struct ParseTokenError;

/// The SHA-256 of a token's text: what a manager stores, so that a stolen store opens nothing.
///
/// Reads and prints as a [`Digest`]: `sha256:` and 64 hex digits. A plain hash is enough because a [`Token`] has 256
/// bits of randomness: there is no dictionary to try. Do not use it for what people choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(Digest);

impl TokenHash {
    /// The hash of a token as it was presented, whatever its form.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Digest::of(presented.as_bytes()))
    }

    /// Whether `presented` is the token this is the hash of.
    ///
    /// Takes the same time wherever the two differ. Even if it did not, time would tell a stranger only how many
    /// bits of two *hashes* agree, and nobody can steer the hash of a guess: this is why looking a hash up in an
    /// index, as [`TokenLookup`] does, is safe as well.
    #[must_use]
    pub fn verify(&self, presented: &str) -> bool {
        let presented = Self::of(presented);
        let pairs = self.0.as_bytes().iter().zip(presented.0.as_bytes());
        pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b))) == 0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TokenHash {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        text.parse().map(Self)
    }
}

/// A device's side: adds `Authorization: Bearer …` to each request (rev-A 1).
#[derive(Clone)]
pub struct BearerCredentials {
    // Marked sensitive: it prints as such, and HTTP/2 leaves it out of its compression tables.
    authorization: HeaderValue,
}

impl BearerCredentials {
    /// Presents this token, one of ours or any other.
    ///
    /// # Errors
    ///
    /// [`InvalidTokenError`] when the text cannot be sent as a bearer token (RFC 6750, 2.1).
    pub fn new(token: &str) -> Result<Self, InvalidTokenError> {
        if !is_token68(token) {
            return Err(InvalidTokenError);
        }
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| InvalidTokenError)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization })
    }
}

impl From<&Token> for BearerCredentials {
    fn from(token: &Token) -> Self {
        Self::new(token.reveal()).expect("a token of ours is a bearer token")
    }
}

impl From<Token> for BearerCredentials {
    fn from(token: Token) -> Self {
        Self::from(&token)
    }
}

impl Credentials for BearerCredentials {
    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), AuthError> {
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        Ok(())
    }
}

impl fmt::Debug for BearerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerCredentials(redacted)")
    }
}

/// The text cannot be sent as a bearer token. Says nothing about the text, which may be a secret nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a token of letters, digits and `-._~+/`, with any `=` at its end")]
#[non_exhaustive]
pub struct InvalidTokenError;

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1). `None` when there is none, more than one, or something
/// else.
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    credentials_of(headers, "bearer").filter(|token| is_token68(token))
}

/// The password of `Authorization: Basic …` (RFC 7617), which is how a Git client presents a token. The user name
/// is ignored. `None` when there is none, more than one, or something else.
#[must_use]
pub fn basic_password(headers: &HeaderMap) -> Option<String> {
    let decoded = STANDARD.decode(credentials_of(headers, "basic")?).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

/// Where a manager finds whose token one is.
///
/// A map from hashes to clients is one, for tests and small managers.
pub trait TokenLookup: Send + Sync {
    /// The client whose token has this hash; `None` when nobody's has (any more).
    fn client_of(&self, hash: &TokenHash) -> impl Future<Output = Result<Option<ClientId>, BoxError>> + Send;
}

impl TokenLookup for BTreeMap<TokenHash, ClientId> {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        Ok(self.get(hash).cloned())
    }
}

impl<L: TokenLookup> TokenLookup for Arc<L> {
    async fn client_of(&self, hash: &TokenHash) -> Result<Option<ClientId>, BoxError> {
        (**self).client_of(hash).await
    }
}

/// A manager's side: the client whose token a request carries (R-D-008).
#[derive(Clone, Debug)]
pub struct BearerAuthenticator<L> {
    lookup: L,
}

impl<L: TokenLookup> BearerAuthenticator<L> {
    /// Accepts the tokens that `lookup` knows.
    #[must_use]
    pub fn new(lookup: L) -> Self {
        Self { lookup }
    }

    /// The client whose token was presented, wherever it was found: for what does not arrive as a bearer token, such
    /// as [`basic_password`].
    ///
    /// # Errors
    ///
    /// [`AuthError::Refused`] for a token nobody has; [`AuthError::Unavailable`] when that cannot be found out, with
    /// the reason in the log alone.
    pub async fn caller_of(&self, presented: &str) -> Result<Caller, AuthError> {
        match self.lookup.client_of(&TokenHash::of(presented)).await {
            Ok(Some(client_id)) => Ok(Caller::new(client_id)),
            Ok(None) => Err(AuthError::Refused),
            Err(error) => {
                tracing::error!(error, "a token cannot be looked up");
                Err(AuthError::Unavailable)
            }
        }
    }
}

impl<L: TokenLookup> Authenticator for BearerAuthenticator<L> {
    async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
        let presented = bearer_token(&head.headers).ok_or(AuthError::Missing)?;
        self.caller_of(presented).await.map(Identified::new)
    }
}

/// What follows `scheme` in the one `Authorization` header. Two headers could mean two callers.
fn credentials_of<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (found, credentials) = value.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim_matches(' '))
}

/// RFC 9110, 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn authorization(values: &[&[u8]]) -> HeaderMap {
        let header = |value: &&[u8]| (header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        values.iter().map(header).collect()
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_eq!(a.reveal().len(), 70);
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().parse::<Token>().unwrap().reveal(), a.reveal());
        let digits = &a.reveal()["margo_".len()..];
        let wrong = [digits.to_owned(), format!("margo_{digits}0"), format!("margo_{}g", &digits[1..])];
        for text in wrong.iter().chain([&a.reveal().to_ascii_uppercase(), &String::new()]) {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_prints_a_token() {
        let token = Token::generate().unwrap();
        let secret = &token.reveal()["margo_".len()..];
        let credentials = BearerCredentials::from(&token);
        let lookup = BTreeMap::from([(token.hash(), "plant-7".parse::<ClientId>().unwrap())]);
        let mut request = http::Request::new(Bytes::new());
        request.headers_mut().insert(header::AUTHORIZATION, credentials.authorization.clone());
        let unsendable = format!("{} {}", token.reveal(), token.reveal());
        let printed = [
            format!("{token:?} {token:#?}"),
            format!("{credentials:?} {credentials:#?}"),
            format!("{request:?}"),
            format!("{:?} {}", token.hash(), token.hash()),
            format!("{:?}", BearerAuthenticator::new(lookup)),
            serde_json::to_string(&token.hash()).unwrap(),
            format!("{0:?} {0}", format!("{}0", token.reveal()).parse::<Token>().unwrap_err()),
            format!("{0:?} {0}", BearerCredentials::new(&unsendable).unwrap_err()),
        ];
        for text in printed {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn a_hash_knows_its_token_and_no_other() {
        let token = Token::generate().unwrap();
        let hash = token.hash();
        assert!(hash.verify(token.reveal()));
        assert!(!hash.verify(Token::generate().unwrap().reveal()));
        assert!(!hash.verify(""));
        // Differences anywhere count, in the last byte as in the first.
        for index in [0, 31] {
            let mut bytes = *hash.0.as_bytes();
            bytes[index] ^= 1;
            assert!(!TokenHash(bytes.into()).verify(token.reveal()), "{index}");
        }
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<TokenHash>(&json).unwrap(), hash);
        assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
        assert!("md5:00".parse::<TokenHash>().is_err());
    }

    #[test]
    fn bearer_tokens_are_read_as_they_are_sent() {
        let read = |values: &[&[u8]]| bearer_token(&authorization(values)).map(str::to_owned);
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  a-b._~+/==", Some("a-b._~+/==")),
            ("BEARER abc ", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer ==", None),
            ("Bearer a b", None),
            ("Bearer a=b", None),
            ("Bearer a,b", None),
            ("Bearerabc", None),
            ("Basic YTpi", None),
        ] {
            assert_eq!(read(&[value.as_bytes()]).as_deref(), expected, "{value}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[b"Bearer a", b"Bearer b"]), None);
        assert_eq!(read(&[b"Bearer \xff"]), None);
    }

    /// MI-004.
    #[test]
    fn basic_passwords_are_read_as_git_sends_them() {
        let read = |text: &str| basic_password(&authorization(&[text.as_bytes()]));
        assert_eq!(read("Basic eDpzZWNyZXQ=").as_deref(), Some("secret"), "x:secret");
        assert_eq!(read("basic OmE6Yg==").as_deref(), Some("a:b"), ":a:b");
        assert_eq!(read("Basic eDo=").as_deref(), Some(""), "x:");
        for malformed in
            ["Basic eA==", "Basic %%%", "Basic /w==", "Basic eDpzZWNyZXQ", "Bearer eDpz", "Basic"]
        {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_sent() {
        for text in ["", "a b", "a\r\nX-Evil: 1", "é", "="] {
            assert_eq!(BearerCredentials::new(text).unwrap_err(), InvalidTokenError, "{text:?}");
        }
    }

    struct Broken;

    impl TokenLookup for Broken {
        async fn client_of(&self, _: &TokenHash) -> Result<Option<ClientId>, BoxError> {
            Err("disk on fire".into())
        }
    }

    #[tokio::test]
    async fn each_way_not_to_be_known_is_told_apart() {
        let token = Token::generate().unwrap();
        let authenticator = BearerAuthenticator::new(Arc::new(BTreeMap::from([(
            token.hash(),
            "plant-7".parse::<ClientId>().unwrap(),
        )])));
        let mut request = http::Request::new(Bytes::new());
        assert_eq!(authenticator.authenticate(&request).await, Err(AuthError::Missing));

        BearerCredentials::from(&token).authorize(&mut request).await.unwrap();
        let caller = authenticator.authenticate(&request).await.unwrap();
        assert_eq!(caller.client_id.as_str(), "plant-7");
        assert_eq!(
            BearerAuthenticator::new(Broken).authenticate(&request).await,
            Err(AuthError::Unavailable)
        );

        // A second call replaces the first proof instead of adding to it.
        BearerCredentials::new("guess").unwrap().authorize(&mut request).await.unwrap();
        assert_eq!(authenticator.authenticate(&request).await, Err(AuthError::Refused));
        assert_eq!(authenticator.caller_of("guess").await, Err(AuthError::Refused));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(
            values in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xffu8], 0..60),
                    "(?i)(bearer|basic) {0,3}[A-Za-z0-9+/=:~ ]{0,40}".prop_map(String::into_bytes),
                ],
                0..3,
            ),
        ) {
            let values: Vec<_> = values.iter().map(Vec::as_slice).collect();
            let headers = authorization(&values);
            let token = bearer_token(&headers);
            // Whatever is read can be presented again, and is then the same.
            if let Some(token) = token {
                let sent = BearerCredentials::new(token).unwrap().authorization;
                let headers = HeaderMap::from_iter([(header::AUTHORIZATION, sent)]);
                prop_assert_eq!(bearer_token(&headers), Some(token));
            }
            prop_assert!(token.is_none() || basic_password(&headers).is_none());
        }

        #[test]
        fn every_password_is_read_back(user in "[^:]{0,20}", password in "\\PC{0,40}") {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(basic_password(&authorization(&[value.as_bytes()])), Some(password));
        }
    }
}
