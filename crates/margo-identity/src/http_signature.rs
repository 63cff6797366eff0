use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use margo_api::{AuthError, Credentials};
use margo_core::Digest;
use rustls_pki_types::UnixTime;
use sfv::{BareItem, Dictionary, InnerList, ListEntry, ListSerializer, Parser};

use crate::{SignatureAlgorithm, SigningKey, VerifyingKey};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// What earlier texts named instead (X-B-20).
const OBSOLETE: [&str; 2] = ["x-payload-signature", "x-body-signature"];
const LABEL: &str = "sig1";
const MAX_HEADER: usize = 8192;
const MAX_COMPONENTS: usize = 16;

/// The scheme and authority of a manager's URL, such as `https://wfm.example:8443`: what a device calls it, and so
/// what the device signs. A manager behind a proxy cannot see it in a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Box<str>);

impl Origin {
    /// The URL of a request as it was sent: whatever the request's own URI says of scheme and authority.
    fn target(&self, uri: &Uri) -> String {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{}{path}", self.0)
    }

    fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }
}

impl FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let uri: Uri = text.parse().map_err(|_| ParseOriginError)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ParseOriginError);
        };
        let bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
        if !bare || authority.host().is_empty() || !matches!(scheme, "http" | "https") {
            return Err(ParseOriginError);
        }
        // Normal form (RFC 9110, 4.2.3), as RFC 9421 2.2.2 wants it.
        let authority = authority.as_str().to_ascii_lowercase();
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(&authority);
        Ok(Self(format!("{scheme}://{authority}").into()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `https://` or `http://`, a host, and nothing after it but a port")]
#[non_exhaustive]
pub struct ParseOriginError;

/// The value of `Content-Digest` for a body (RFC 9530): `sha-256=:…:`.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "base64 is visible ASCII")]
pub fn content_digest(body: &[u8]) -> HeaderValue {
    let value = format!("sha-256=:{}:", STANDARD.encode(Digest::of(body).as_bytes()));
    HeaderValue::try_from(value).expect("base64 is visible ASCII")
}

/// A device's side of message signatures (rev-B 1.2, RFC 9421): adds `Content-Digest`, `Signature-Input` and
/// `Signature` (R-B-010, R-B-011).
#[derive(Clone, Debug)]
pub struct MessageSigner {
    key: Arc<SigningKey>,
    algorithm: SignatureAlgorithm,
    key_id: Box<str>,
    origin: Origin,
    digest_of_nothing: bool,
}

impl MessageSigner {
    /// Signs calls to the manager at `origin` with `key`, named `key_id`.
    ///
    /// # Errors
    ///
    /// [`KeyIdError`] when the name is not visible ASCII, or has a quote or backslash.
    pub fn new(key: Arc<SigningKey>, key_id: &str, origin: Origin) -> Result<Self, KeyIdError> {
        let allowed = |b: u8| (b' '..=b'~').contains(&b) && !matches!(b, b'"' | b'\\');
        if key_id.is_empty() || !key_id.bytes().all(allowed) {
            return Err(KeyIdError);
        }
        let algorithm = key.algorithm();
        Ok(Self { key, algorithm, key_id: key_id.into(), origin, digest_of_nothing: false })
    }

    /// Signs with RSA-PSS if the key is an RSA key.
    #[must_use]
    pub fn with_rsa_pss(mut self) -> Self {
        if self.algorithm == SignatureAlgorithm::RsaV15Sha256 {
            self.algorithm = SignatureAlgorithm::RsaPssSha256;
        }
        self
    }

    /// Sends and signs a digest of requests without a body too, for managers that ask for it (X-B-23).
    #[must_use]
    pub fn with_digest_of_nothing(mut self) -> Self {
        self.digest_of_nothing = true;
        self
    }

    /// Signs a complete request at the time `created`. A signature it had is replaced.
    ///
    /// # Errors
    ///
    /// [`SignError`] when the operating system has no randomness to give.
    pub fn sign(&self, request: &mut http::Request<Bytes>, created: UnixTime) -> Result<(), SignError> {
        let mut components = vec!["@method", "@target-uri"];
        request.headers_mut().remove(CONTENT_DIGEST);
        if !request.body().is_empty() || self.digest_of_nothing {
            let digest = content_digest(request.body());
            request.headers_mut().insert(CONTENT_DIGEST, digest);
            components.push("content-digest"); // lower case, as RFC 9421 demands (X-B-21)
        }
        let params = format!(
            r#"("{}");created={};keyid="{}""#,
            components.join(r#"" ""#),
            created.as_secs(),
            self.key_id
        );
        let components: Vec<_> = components.into_iter().map(str::to_owned).collect();
        let base = signature_base(Head::of(request), &self.origin, &components, &params, Spelling::Rfc)
            .map_err(|_| SignError)?;
        let signature = self.key.sign(self.algorithm, base.as_bytes()).ok_or(SignError)?;
        let header = |value: String| HeaderValue::try_from(value).map_err(|_| SignError);
        let input = header(format!("{LABEL}={params}"))?;
        let signature = header(format!("{LABEL}=:{}:", STANDARD.encode(signature)))?;
        request.headers_mut().insert(SIGNATURE_INPUT, input);
        request.headers_mut().insert(SIGNATURE, signature);
        Ok(())
    }
}

/// The name of a key cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a key in visible ASCII, without quotes and backslashes")]
#[non_exhaustive]
pub struct KeyIdError;

/// A request could not be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
#[non_exhaustive]
pub struct SignError;

/// A [`MessageSigner`] and a clock: the credentials of a device of rc.1 or rc.2.
#[derive(Clone)]
pub struct SignatureCredentials<C> {
    signer: MessageSigner,
    clock: C,
}

impl<C: Fn() -> UnixTime + Send + Sync> SignatureCredentials<C> {
    /// Signs each request with the time that `clock` tells.
    pub fn new(signer: MessageSigner, clock: C) -> Self {
        Self { signer, clock }
    }
}

impl<C: Fn() -> UnixTime + Send + Sync> Credentials for SignatureCredentials<C> {
    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), AuthError> {
        self.signer.sign(request, (self.clock)()).map_err(|SignError| AuthError::Unavailable)
    }
}

impl<C> fmt::Debug for SignatureCredentials<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureCredentials").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// A manager's side of message signatures: whether a request is what the holder of a key said (R-B-012).
///
/// What must be signed: the method, the URL, and the body's digest if there is a body (X-B-23). How: decided by the
/// key, not by the message. A signature can be presented again as long as the window is open: nothing is remembered here,
/// but in the [`ReplayMemory`](crate::ReplayMemory) of a [`SignatureAuthenticator`](crate::SignatureAuthenticator).
#[derive(Clone, Debug)]
pub struct MessageVerifier {
    origins: Vec<Origin>,
    window: Duration,
    skew: Duration,
}

impl MessageVerifier {
    /// How old a signature may be unless said otherwise: 5 minutes.
    pub const DEFAULT_WINDOW: Duration = Duration::from_mins(5);
    /// How far in the future a signature may be unless said otherwise: 30 seconds.
    pub const DEFAULT_SKEW: Duration = Duration::from_secs(30);

    /// Verifies calls to a manager that devices call by these origins.
    #[must_use]
    pub fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        let origins = origins.into_iter().collect();
        Self { origins, window: Self::DEFAULT_WINDOW, skew: Self::DEFAULT_SKEW }
    }

    /// Takes signatures that are at most `window` old, and at most `skew` in the future.
    #[must_use]
    pub fn with_window(mut self, window: Duration, skew: Duration) -> Self {
        (self.window, self.skew) = (window, skew);
        self
    }

    /// Whether the request is signed, at the time `now`, by the key that `key_of` finds for its `keyid`.
    ///
    /// `key_of` must find only keys of the client the URL names: another client's key must not sign for it.
    ///
    /// # Errors
    ///
    /// [`HttpSignatureError`], for the log; of it the peer learns at most which of [`HttpSignatureErrorKind`] it is.
    pub fn verify(
        &self,
        request: &http::Request<Bytes>,
        key_of: impl FnOnce(&str) -> Option<VerifyingKey>,
        now: UnixTime,
    ) -> Result<(), HttpSignatureError> {
        let signed = self.inspect(Head::of(request), now)?;
        let key = key_of(signed.key_id());
        signed.verify(key.as_slice())?;
        signed.body().check(request.body())
    }

    /// Everything about a signature that can be said without a key and without the body.
    pub(crate) fn inspect<'a>(
        &'a self,
        head: Head<'a>,
        now: UnixTime,
    ) -> Result<Signed<'a>, HttpSignatureError> {
        if OBSOLETE.iter().any(|name| head.headers.contains_key(*name)) {
            return Err(HttpSignatureError::Obsolete);
        }
        let input = Input::read(head.headers)?;
        let body = SignedBody { digest: digest(head.headers)?, is_covered: input.covers("content-digest") };
        if head.announces_body() || body.is_covered {
            body.is_proved()?;
        }
        input.check_coverage()?;
        self.check_time(&input, now)?;
        Ok(Signed { origins: &self.origins, head, input, body, now })
    }

    /// How long after it was made a signature may still be presented, at the most.
    pub(crate) fn presentable(&self) -> Duration {
        self.window.saturating_add(self.skew)
    }

    fn check_time(&self, input: &Input, now: UnixTime) -> Result<(), HttpSignatureError> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if input.created > now.saturating_add(seconds(self.skew)) {
            return Err(HttpSignatureError::Future);
        }
        let too_old = input.created < now.saturating_sub(seconds(self.window));
        if too_old || input.expires.is_some_and(|expires| expires < now) {
            return Err(HttpSignatureError::Stale);
        }
        Ok(())
    }
}

/// What a signature can cover: everything but the body.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    pub(crate) fn of<T>(request: &'a http::Request<T>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }

    /// Whether a body follows, as HTTP/1.1 says it.
    fn announces_body(self) -> bool {
        let length = self.headers.get(header::CONTENT_LENGTH);
        self.headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
    }
}

impl<'a> From<&'a http::request::Parts> for Head<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, headers: &parts.headers }
    }
}

/// What a head says of its body (RFC 9530).
#[derive(Clone, Copy)]
pub(crate) struct SignedBody {
    digest: Option<Digest>,
    is_covered: bool,
}

impl SignedBody {
    /// Whether `body` is the one that was meant: `sha-256` if there is one; and if it is there, it is right.
    pub(crate) fn check(self, body: &[u8]) -> Result<(), HttpSignatureError> {
        // X-B-23: a request without a body may be signed without its digest.
        if !body.is_empty() {
            self.is_proved()?;
        }
        match self.digest {
            Some(digest) if digest != Digest::of(body) => Err(HttpSignatureError::WrongDigest),
            _ => Ok(()),
        }
    }

    fn is_proved(self) -> Result<(), HttpSignatureError> {
        if self.digest.is_none() {
            return Err(HttpSignatureError::MissingDigest);
        }
        let component = "content-digest";
        if self.is_covered { Ok(()) } else { Err(HttpSignatureError::NotCovered { component }) }
    }
}

/// The head of a request with a signature that is in order, but for the key.
pub(crate) struct Signed<'a> {
    origins: &'a [Origin],
    head: Head<'a>,
    input: Input,
    body: SignedBody,
    now: UnixTime,
}

impl Signed<'_> {
    /// What is left to check once the body is here.
    pub(crate) fn body(&self) -> SignedBody {
        self.body
    }

    /// What the message calls the key.
    pub(crate) fn key_id(&self) -> &str {
        &self.input.key_id
    }

    /// What of the signature only its maker can choose: whoever sees an ECDSA signature can write its second half in
    /// another way that holds too.
    pub(crate) fn fingerprint(&self) -> Digest {
        let signature = &self.input.signature;
        Digest::of(&signature[..signature.len() / 2])
    }

    /// Whether one of these keys made the signature.
    pub(crate) fn verify(&self, keys: &[VerifyingKey]) -> Result<(), HttpSignatureError> {
        let mut error = HttpSignatureError::UnknownKey;
        for key in keys {
            match self.verify_with(key) {
                Ok(()) => return Ok(()),
                Err(refused) => error = refused,
            }
        }
        Err(error)
    }

    fn verify_with(&self, key: &VerifyingKey) -> Result<(), HttpSignatureError> {
        let Self { origins, head, input, now, .. } = self;
        let algorithms: Vec<_> = match input.algorithm.as_deref().map(SignatureAlgorithm::named) {
            None => key.algorithms().collect(),
            Some(Some(named)) if key.algorithms().any(|possible| possible == named) => vec![named],
            Some(_) => return Err(HttpSignatureError::Algorithm),
        };
        for origin in *origins {
            for spelling in input.spellings() {
                let base = signature_base(*head, origin, &input.components, &input.params, *spelling)?;
                let verifies = |algorithm| key.verify(algorithm, base.as_bytes(), &input.signature);
                if algorithms.iter().copied().any(verifies) {
                    // Only its holder is told what is wrong with a certificate.
                    let is_valid = key.is_valid_at(*now);
                    return if is_valid { Ok(()) } else { Err(HttpSignatureError::Certificate) };
                }
            }
        }
        Err(HttpSignatureError::Mismatch)
    }
}

/// Why a request is not what somebody said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSignatureError {
    /// There is no signature.
    #[error("the request is not signed")]
    Missing,
    /// There is a signature in a header that was never meant (X-B-20).
    #[error("the request is signed in a header that is not used")]
    Obsolete,
    /// A header cannot be read.
    #[error("the header `{header}` cannot be read: {reason}")]
    Malformed {
        /// The header.
        header: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The body has no digest.
    #[error("the body has no sha-256 digest")]
    MissingDigest,
    /// The digest is not that of the body.
    #[error("the digest is not that of the body")]
    WrongDigest,
    /// Something that must be signed is not.
    #[error("the signature does not cover `{component}`")]
    NotCovered {
        /// What is not signed.
        component: &'static str,
    },
    /// Something is signed that the request does not have, or that nobody here can compute.
    #[error("the signature covers a component that is absent or not supported")]
    UnsupportedComponent,
    /// The signature is too old.
    #[error("the signature is too old")]
    Stale,
    /// The signature is in the future.
    #[error("the signature is in the future")]
    Future,
    /// Nobody has a key of that name, or not the client that is called for.
    #[error("the key is not known")]
    UnknownKey,
    /// The key's certificate is not valid at this time.
    #[error("the certificate of the key is not valid at this time")]
    Certificate,
    /// The message names an algorithm that the key does not have.
    #[error("the algorithm is not one of the key")]
    Algorithm,
    /// The signature is not the key's, or not for this request.
    #[error("the signature does not match")]
    Mismatch,
    /// The signature was presented before.
    #[error("the signature was presented before")]
    Replayed,
}

impl HttpSignatureError {
    /// What the peer may learn.
    #[must_use]
    pub fn kind(&self) -> HttpSignatureErrorKind {
        match self {
            Self::MissingDigest | Self::WrongDigest => HttpSignatureErrorKind::Digest,
            Self::Certificate => HttpSignatureErrorKind::Certificate,
            _ => HttpSignatureErrorKind::Signature,
        }
    }
}

/// The answers that rev-B 1 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "rc.1 and rc.2 have exactly these answers, and will not change")]
pub enum HttpSignatureErrorKind {
    /// 400: `Content-Digest` is missing or wrong.
    Digest,
    /// 401: the signature does not verify.
    Signature,
    /// 403: the certificate is not trusted.
    Certificate,
}

struct Input {
    components: Vec<String>,
    params: String,
    created: i64,
    expires: Option<i64>,
    key_id: String,
    algorithm: Option<String>,
    signature: Vec<u8>,
}

impl Input {
    fn read(headers: &HeaderMap) -> Result<Self, HttpSignatureError> {
        let inputs = dictionary(headers, &SIGNATURE_INPUT, "signature-input")?;
        let signatures = dictionary(headers, &SIGNATURE, "signature")?;
        let (Some(inputs), Some(signatures)) = (inputs, signatures) else {
            return Err(HttpSignatureError::Missing);
        };
        let wrong = |reason| HttpSignatureError::Malformed { header: "signature-input", reason };
        // Another party may have signed as well. Without ours among several, nobody can say which is meant.
        let (label, entry) = match (inputs.get_key_value(LABEL), inputs.len()) {
            (Some(found), _) => found,
            (None, 1) => inputs.first().ok_or(HttpSignatureError::Missing)?,
            (None, _) => return Err(wrong("none of several signatures is `sig1`")),
        };
        let ListEntry::InnerList(input) = entry else { return Err(wrong("not a list of components")) };
        let Some(ListEntry::Item(signature)) = signatures.get(label.as_str()) else {
            return Err(HttpSignatureError::Malformed { header: "signature", reason: "no such label" });
        };
        let Some(signature) = signature.bare_item.as_byte_sequence() else {
            return Err(HttpSignatureError::Malformed { header: "signature", reason: "not a byte sequence" });
        };
        if input.items.len() > MAX_COMPONENTS {
            return Err(wrong("more than 16 components"));
        }
        let mut components = Vec::new();
        for item in &input.items {
            let name =
                item.bare_item.as_string().ok_or_else(|| wrong("a component is not a string"))?.as_str();
            if !item.params.is_empty() {
                return Err(HttpSignatureError::UnsupportedComponent);
            }
            if components.iter().any(|known: &String| known.eq_ignore_ascii_case(name)) {
                return Err(wrong("a component is named twice"));
            }
            components.push(name.to_owned());
        }
        let number = |name: &str| match input.params.get(name) {
            None => Ok(None),
            Some(BareItem::Integer(number)) => Ok(Some(i64::from(*number))),
            Some(_) => Err(wrong("a time is not an integer")),
        };
        let text = |name: &str| match input.params.get(name) {
            None => Ok(None),
            Some(BareItem::String(text)) => Ok(Some(text.as_str().to_owned())),
            Some(_) => Err(wrong("a parameter is not a string")),
        };
        Ok(Self {
            components,
            params: serialize(input).ok_or_else(|| wrong("not a list of components"))?,
            created: number("created")?.ok_or_else(|| wrong("no `created`"))?,
            expires: number("expires")?,
            key_id: text("keyid")?.ok_or_else(|| wrong("no `keyid`"))?,
            algorithm: text("alg")?,
            signature: signature.to_vec(),
        })
    }

    fn covers(&self, component: &str) -> bool {
        self.components.iter().any(|covered| covered.eq_ignore_ascii_case(component))
    }

    fn check_coverage(&self) -> Result<(), HttpSignatureError> {
        match ["@method", "@target-uri"].into_iter().find(|component| !self.covers(component)) {
            Some(component) => Err(HttpSignatureError::NotCovered { component }),
            None => Ok(()),
        }
    }

    /// X-B-21: who capitalises a component as the specification prints it may have signed either spelling, or the
    /// base without quotes that is printed next to it.
    fn spellings(&self) -> &'static [Spelling] {
        let capitalized = |component: &String| component.bytes().any(|b| b.is_ascii_uppercase());
        if self.components.iter().any(capitalized) {
            &[Spelling::AsWritten, Spelling::Rfc, Spelling::Unquoted]
        } else {
            &[Spelling::Rfc]
        }
    }
}

#[derive(Clone, Copy)]
enum Spelling {
    Rfc,
    AsWritten,
    Unquoted,
}

impl Spelling {
    fn name(self, component: &str) -> String {
        match self {
            Self::Rfc => format!("\"{}\"", component.to_ascii_lowercase()),
            Self::AsWritten => format!("\"{component}\""),
            Self::Unquoted => component.to_owned(),
        }
    }
}

/// RFC 9421, 2.5.
fn signature_base(
    head: Head<'_>,
    origin: &Origin,
    components: &[String],
    params: &str,
    spelling: Spelling,
) -> Result<String, HttpSignatureError> {
    use fmt::Write as _;
    let mut base = String::new();
    for component in components {
        let value = match component.to_ascii_lowercase().as_str() {
            "@method" => head.method.to_string(),
            "@target-uri" => origin.target(head.uri),
            "@authority" => origin.authority().to_owned(),
            "@path" => head.uri.path().to_owned(),
            "@query" => format!("?{}", head.uri.query().unwrap_or_default()),
            derived if derived.starts_with('@') => return Err(HttpSignatureError::UnsupportedComponent),
            field => joined(head.headers, field)?.ok_or(HttpSignatureError::UnsupportedComponent)?,
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(base, "{}: {value}", spelling.name(component));
    }
    let _ = write!(base, "{}: {params}", spelling.name("@signature-params"));
    Ok(base)
}

/// The digest that a head announces; other algorithms than `sha-256` alone are none.
fn digest(headers: &HeaderMap) -> Result<Option<Digest>, HttpSignatureError> {
    let Some(digests) = dictionary(headers, &CONTENT_DIGEST, "content-digest")? else { return Ok(None) };
    let Some(ListEntry::Item(digest)) = digests.get("sha-256") else {
        return Err(HttpSignatureError::MissingDigest);
    };
    let bytes: Option<[u8; 32]> = digest.bare_item.as_byte_sequence().and_then(|bytes| bytes.try_into().ok());
    bytes.map(|bytes| Some(bytes.into())).ok_or(HttpSignatureError::WrongDigest)
}

/// The values of a field as one (RFC 9421, 2.1).
fn joined(headers: &HeaderMap, name: &str) -> Result<Option<String>, HttpSignatureError> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        values.push(value.to_str().map_err(|_| HttpSignatureError::UnsupportedComponent)?.trim());
    }
    Ok((!values.is_empty()).then(|| values.join(", ")))
}

fn dictionary(
    headers: &HeaderMap,
    name: &HeaderName,
    header: &'static str,
) -> Result<Option<Dictionary>, HttpSignatureError> {
    let wrong = |reason| HttpSignatureError::Malformed { header, reason };
    let size: usize = headers.get_all(name).iter().map(HeaderValue::len).sum();
    if size > MAX_HEADER {
        return Err(wrong("more than 8192 bytes"));
    }
    let Some(text) = joined(headers, name.as_str()).map_err(|_| wrong("not ASCII"))? else { return Ok(None) };
    Parser::new(&text).parse::<Dictionary>().map(Some).map_err(|_| wrong("not a structured dictionary"))
}

fn serialize(input: &InnerList) -> Option<String> {
    let mut serializer = ListSerializer::new();
    let mut list = serializer.inner_list();
    list.items(&input.items);
    let _ = list.finish().parameters(&input.params); // written already; what is left borrows the text
    serializer.finish()
}
