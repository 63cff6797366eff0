use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

const MAX_BYTES: usize = 8192;
const GRANT_TYPE: &str = "client_credentials";

/// What a device asks of the token endpoint (pre-draft, A6; RFC 6749, 4.4.2): a form.
///
/// ```
/// use margo_identity::TokenRequest;
///
/// let request = TokenRequest::new("plant-7", "s3cret&more");
/// assert_eq!(
///     request.to_form(),
///     "grant_type=client_credentials&client_id=plant-7&client_secret=s3cret%26more"
/// );
/// assert_eq!(TokenRequest::from_form(request.to_form().as_bytes())?, request);
/// assert!(!format!("{request:?}").contains("s3cret"));
/// # Ok::<(), margo_identity::TokenEndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    client_id: String,
    client_secret: String,
}

impl TokenRequest {
    /// The media type of the form.
    pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

    /// Asks for a token for `client_id`.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    /// Who asks, as the form says: not checked in any way.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The secret itself: to compare its hash with the one stored.
    #[must_use]
    pub fn reveal_secret(&self) -> &str {
        &self.client_secret
    }

    /// The form.
    #[must_use]
    pub fn to_form(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", &self.client_secret)
            .finish()
    }

    /// Reads a form of at most 8192 bytes. Unknown fields are ignored (RFC 6749, 3.2).
    ///
    /// # Errors
    ///
    /// What the endpoint answers: [`TokenEndpointError::UnsupportedGrantType`] for another grant;
    /// [`TokenEndpointError::InvalidRequest`] when a field is missing, there twice, or there is too much.
    pub fn from_form(form: &[u8]) -> Result<Self, TokenEndpointError> {
        if form.len() > MAX_BYTES {
            return Err(TokenEndpointError::InvalidRequest);
        }
        let (mut grant_type, mut client_id, mut client_secret) = (None, None, None);
        for (name, value) in form_urlencoded::parse(form) {
            let field = match name.as_ref() {
                "grant_type" => &mut grant_type,
                "client_id" => &mut client_id,
                "client_secret" => &mut client_secret,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(TokenEndpointError::InvalidRequest);
            }
        }
        if grant_type.ok_or(TokenEndpointError::InvalidRequest)? != GRANT_TYPE {
            return Err(TokenEndpointError::UnsupportedGrantType);
        }
        match (client_id, client_secret) {
            (Some(client_id), Some(client_secret)) => Ok(Self { client_id, client_secret }),
            _ => Err(TokenEndpointError::InvalidRequest),
        }
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What the token endpoint answers: a token and how long it lasts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenResponse {
    access_token: String,
    token_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl TokenResponse {
    /// A bearer token that lasts for `expires_in`, in whole seconds.
    #[must_use]
    pub fn bearer(access_token: impl Into<String>, expires_in: Duration) -> Self {
        let expires_in = Some(expires_in.as_secs());
        Self { access_token: access_token.into(), token_type: "Bearer".into(), expires_in }
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal_token(&self) -> &str {
        &self.access_token
    }

    /// Whether the token is to be presented as `Authorization: Bearer`. Any case will do (RFC 6749, 5.1).
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.token_type.eq_ignore_ascii_case("bearer")
    }

    /// How long the token lasts from when it was issued. `None` when the endpoint does not say.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why the token endpoint gives no token (RFC 6749, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenEndpointError {
    /// 400: a field is missing or there twice.
    #[error("the token request cannot be read")]
    InvalidRequest,
    /// 401: nobody has that id and secret.
    #[error("the client is not known, or its secret is another")]
    InvalidClient,
    /// 400: not `client_credentials`.
    #[error("only the grant type `client_credentials` is supported")]
    UnsupportedGrantType,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A6.
    #[test]
    fn forms_are_read_as_they_are_sent() {
        let read = |form: &str| TokenRequest::from_form(form.as_bytes());
        let good = "client_id=a&x=y&grant_type=client_credentials&client_secret=b+c%2B";
        assert_eq!(read(good), Ok(TokenRequest::new("a", "b c+")));
        for wrong in [
            "",
            "grant_type=client_credentials&client_id=a",
            "grant_type=client_credentials&client_secret=a",
            "client_id=a&client_secret=b",
            "grant_type=client_credentials&client_id=a&client_id=b&client_secret=c",
        ] {
            assert_eq!(read(wrong), Err(TokenEndpointError::InvalidRequest), "{wrong}");
        }
        let password = "grant_type=password&client_id=a&client_secret=b";
        assert_eq!(read(password), Err(TokenEndpointError::UnsupportedGrantType));
        let large = format!("{good}&pad={}", "x".repeat(MAX_BYTES));
        assert_eq!(read(&large), Err(TokenEndpointError::InvalidRequest));
    }

    /// A6.
    #[test]
    fn answers_are_read_as_they_are_sent() {
        let response = TokenResponse::bearer("t0ken", Duration::from_hours(1));
        let json = serde_json::to_string(&response).unwrap();
        assert_eq!(json, r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#);
        assert_eq!(serde_json::from_str::<TokenResponse>(&json).unwrap(), response);
        assert!(!format!("{response:?}").contains("t0ken"));
        let other = r#"{"access_token":"t","token_type":"bearer","scope":"all"}"#;
        let other: TokenResponse = serde_json::from_str(other).unwrap();
        assert!(other.is_bearer());
        assert_eq!(other.expires_in(), None);
        let error = serde_json::to_string(&TokenEndpointError::InvalidClient).unwrap();
        assert_eq!(error, r#"{"error":"invalid_client"}"#);
    }
}
