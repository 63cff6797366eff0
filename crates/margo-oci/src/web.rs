//! Requests to registries and servers of archives: credentials, redirects, and what an answer means.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{Client, Response, redirect};
use rustls::RootCertStore;
use rustls::crypto::ring;
use serde::Deserialize;
use url::Url;

use crate::auth::{Challenge, challenges};
use crate::options::Secret;
use crate::{Credentials, FetchError, FetchErrorKind, Options, SetupError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(30);

const MAX_REDIRECTS: usize = 5;

/// The longest pause a server can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The most bytes of a token service's answer.
const MAX_TOKEN: u64 = 1 << 16;

/// Everybody who is talked to.
#[derive(Clone, Debug)]
pub(crate) struct Web(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sites: BTreeMap<String, Site>,
    others: Site,
    attempts: u32,
}

/// One server, and what is known of it.
#[derive(Debug)]
struct Site {
    client: Client,
    credentials: Option<Credentials>,
    plain_http: bool,
    /// What to send, by what it is good for. Kept until it is refused.
    authorizations: Mutex<BTreeMap<String, HeaderValue>>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Get<'a> {
    /// The host as the deployment writes it: whose settings are used.
    pub(crate) host: &'a str,
    pub(crate) url: Url,
    /// The media types that are understood.
    pub(crate) accept: &'static str,
    /// The repository to ask a token for.
    pub(crate) repository: Option<&'a str>,
    /// The first byte that is wanted, and a condition for getting only the rest.
    pub(crate) from: u64,
    /// A further header.
    pub(crate) condition: Option<(http::HeaderName, HeaderValue)>,
}

impl Web {
    pub(crate) fn new(options: &Options) -> Result<Self, SetupError> {
        let mut sites = BTreeMap::new();
        for (host, registry) in &options.registries {
            let site = Site {
                client: client(registry.roots.as_ref().unwrap_or(&options.roots))?,
                credentials: registry.credentials.clone(),
                plain_http: registry.plain_http,
                authorizations: Mutex::default(),
            };
            sites.insert(host.to_ascii_lowercase(), site);
        }
        let others = Site {
            client: client(&options.roots)?,
            credentials: None,
            plain_http: false,
            authorizations: Mutex::default(),
        };
        Ok(Self(Arc::new(Inner { sites, others, attempts: options.attempts })))
    }

    /// `https`, unless it was said that this host speaks in the clear.
    pub(crate) fn scheme(&self, host: &str) -> &'static str {
        if self.site(host).plain_http { "http" } else { "https" }
    }

    /// Patience for one thing that may have to be tried more than once.
    pub(crate) fn patience(&self) -> Patience {
        Patience { left: self.0.attempts, pause: Duration::from_millis(500) }
    }

    /// One request, and all that it takes to have it answered. The answer is a success, 304, or the 416 of a range.
    pub(crate) async fn get(&self, get: &Get<'_>) -> Result<Response, FetchError> {
        let site = self.site(get.host);
        let scope = get.repository.unwrap_or_default();
        let mut response = self.follow(site, get, site.known(scope).as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            site.forget(scope);
            let authorization = self.authorize(site, get, response.headers()).await?;
            let authorization = authorization.ok_or_else(|| refused(get, response.status()))?;
            response = self.follow(site, get, Some(&authorization)).await?;
            if response.status().is_success() {
                site.remember(scope, authorization);
            }
        }
        check(get, response)
    }

    /// Whether anything was said of this host.
    pub(crate) fn knows(&self, host: &str) -> bool {
        self.0.sites.contains_key(host)
    }

    fn site(&self, host: &str) -> &Site {
        self.0.sites.get(host).unwrap_or(&self.0.others)
    }

    /// Sends a request and goes where the answers lead, without taking credentials to others.
    async fn follow(
        &self,
        site: &Site,
        get: &Get<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, FetchError> {
        let mut url = get.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            allowed(site, &url)?;
            let mut request = site.client.get(url.clone()).header(ACCEPT, get.accept);
            if let Some(authorization) = authorization
                && url.origin() == get.url.origin()
            {
                request = request.header(AUTHORIZATION, authorization);
            }
            if get.from > 0 {
                request = request.header(RANGE, format!("bytes={}-", get.from));
            }
            if let Some((name, value)) = &get.condition {
                request = request.header(name, value);
            }
            let response = request.send().await.map_err(|error| lost(&get.url, error))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            url = place.and_then(|place| url.join(place).ok()).ok_or_else(|| {
                FetchError::new(
                    FetchErrorKind::Unreachable,
                    format!("{} redirects to nowhere", shown(&get.url)),
                )
            })?;
        }
        Err(FetchError::new(
            FetchErrorKind::Unreachable,
            format!("{} redirects more than {MAX_REDIRECTS} times", shown(&get.url)),
        ))
    }

    /// What the server wants to be told, if there is anything to tell.
    async fn authorize(
        &self,
        site: &Site,
        get: &Get<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, FetchError> {
        let secret = site.credentials.as_ref().map(|Credentials(secret)| secret);
        if let Some(Secret::Bearer(token)) = secret {
            return bearer(get, token).map(Some);
        }
        for challenge in challenges(headers) {
            match (challenge, secret) {
                (Challenge::Basic, Some(Secret::Basic { user, password })) => {
                    return basic(get, user, password).map(Some);
                }
                (Challenge::Bearer { realm, service, scope }, secret) => {
                    let token = self.token(site, get, secret, &realm, service, scope).await?;
                    return bearer(get, &token).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Asks the service of tokens that a registry names.
    async fn token(
        &self,
        site: &Site,
        get: &Get<'_>,
        secret: Option<&Secret>,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let useless = |problem: &str| {
            let message = format!("the service of tokens of `{}` {problem}", get.host);
            FetchError::new(FetchErrorKind::Unauthorized, message)
        };
        let mut url = Url::parse(realm).map_err(|_| useless("is not at a URL"))?;
        allowed(site, &url)?;
        let scope = scope.or_else(|| get.repository.map(|name| format!("repository:{name}:pull")));
        let pairs = [("service", service), ("scope", scope)];
        url.query_pairs_mut()
            .extend_pairs(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let mut request = site.client.get(url.clone());
        if let Some(Secret::Basic { user, password }) = secret {
            request = request.header(AUTHORIZATION, basic(get, user, password)?);
        }
        let response = request.send().await.map_err(|error| lost(&url, error))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let message = format!("the service of tokens of `{}` answers {status}", get.host);
            return Err(FetchError::new(FetchErrorKind::Unreachable, message));
        }
        if !status.is_success() {
            return Err(useless(&format!("answers {status}")));
        }
        let body = read(response, MAX_TOKEN, &url).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| useless("answers something else"))?;
        answer.token.or(answer.access_token).ok_or_else(|| useless("gives no token"))
    }
}

/// How often something may still be tried.
#[derive(Debug)]
pub(crate) struct Patience {
    left: u32,
    pause: Duration,
}

impl Patience {
    /// Waits until it is time to try again; the error if that is of no use, or was done often enough.
    pub(crate) async fn again(&mut self, error: FetchError) -> Result<(), FetchError> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || !error.is_transient() {
            return Err(error);
        }
        tracing::debug!(error = &error as &dyn std::error::Error, left = self.left, "trying again");
        tokio::time::sleep(error.retry_after().unwrap_or(self.pause).min(MAX_PAUSE)).await;
        self.pause *= 2;
        Ok(())
    }
}

impl Site {
    fn known(&self, scope: &str) -> Option<HeaderValue> {
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    fn remember(&self, scope: &str, authorization: HeaderValue) {
        let mut known = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        // Few repositories on a device: whoever has more asks again.
        if known.len() >= 256 {
            known.clear();
        }
        known.insert(scope.to_owned(), authorization);
    }

    fn forget(&self, scope: &str) {
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).remove(scope);
    }
}

/// Reads a whole answer, and never more than `limit` bytes of it.
pub(crate) async fn read(mut response: Response, limit: u64, url: &Url) -> Result<Vec<u8>, FetchError> {
    let too_large = || {
        let message = format!("{} is larger than {limit} bytes", shown(url));
        FetchError::new(FetchErrorKind::TooLarge, message)
    };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(url, error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A URL as it is told: without what may be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail for URLs without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    format!("`{url}`")
}

/// An answer that did not come, or broke off.
pub(crate) fn lost(url: &Url, error: reqwest::Error) -> FetchError {
    let what = if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "breaks off"
    };
    let error = error.without_url();
    let mut reason = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        reason = format!(": {cause}");
        next = cause.source();
    }
    FetchError::new(FetchErrorKind::Unreachable, format!("{} {what}{reason}", shown(url))).because(error)
}

fn client(roots: &RootCertStore) -> Result<Client, SetupError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Http(error.into()))?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        // Credentials would go wherever the answer says.
        .redirect(redirect::Policy::none())
        // A package is taken as it is, or its digest would be that of something else.
        .no_gzip()
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|error| SetupError::Http(error.into()))
}

fn allowed(site: &Site, url: &Url) -> Result<(), FetchError> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if site.plain_http => Ok(()),
        _ => {
            let message = format!("{} is not encrypted, and it was not said that this may be", shown(url));
            Err(FetchError::new(FetchErrorKind::InvalidReference, message))
        }
    }
}

fn check(get: &Get<'_>, response: Response) -> Result<Response, FetchError> {
    let status = response.status();
    let is_of_range = get.from > 0 && status == StatusCode::RANGE_NOT_SATISFIABLE;
    if status.is_success() || status == StatusCode::NOT_MODIFIED || is_of_range {
        return Ok(response);
    }
    let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(refused(get, status).with_retry_after(pause.map(Duration::from_secs)))
}

fn refused(get: &Get<'_>, status: StatusCode) -> FetchError {
    let url = shown(&get.url);
    let new = |kind, message: String| FetchError::new(kind, message);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            new(FetchErrorKind::Unauthorized, format!("{url} is not for these credentials ({status})"))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            new(FetchErrorKind::NotFound, format!("there is no {url}"))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            new(FetchErrorKind::Unreachable, format!("{url} answers {status}"))
        }
        status if status.is_server_error() => {
            new(FetchErrorKind::Unreachable, format!("{url} answers {status}"))
        }
        status => new(FetchErrorKind::NotFound, format!("{url} answers {status}")),
    }
}

fn basic(get: &Get<'_>, user: &str, password: &str) -> Result<HeaderValue, FetchError> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(get, &format!("Basic {text}"))
}

fn bearer(get: &Get<'_>, token: &str) -> Result<HeaderValue, FetchError> {
    secret(get, &format!("Bearer {token}"))
}

fn secret(get: &Get<'_>, text: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        let message = format!("the token for `{}` has characters that cannot be sent", get.host);
        FetchError::new(FetchErrorKind::Unauthorized, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
