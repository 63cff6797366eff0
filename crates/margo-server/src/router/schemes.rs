use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use margo_api::{AuthError, Authenticator, BoxFuture, Identified};
use margo_core::SpecVersion;

use super::refusal::revision_of;

/// How the callers of each revision prove who they are, on one listener: an [`Authenticator`] that asks the ones of the
/// revision that the path belongs to.
///
/// A revision may have several: the next is asked when a request carries nothing the one before looks for. A
/// revision without any is not served here, whatever its requests carry: `403`.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use bytes::Bytes;
/// use margo_api::{AuthError, Authenticator};
/// use margo_core::SpecVersion;
/// use margo_identity::{BearerAuthenticator, Token};
/// use margo_server::Schemes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let token = Token::generate()?;
/// let known = BTreeMap::from([(token.hash(), "plant-7".parse()?)]);
/// let schemes = Schemes::new().with(SpecVersion::PreDraft, BearerAuthenticator::new(known));
///
/// let call = |path: &str| {
///     let bearer = format!("Bearer {}", token.reveal());
///     http::Request::builder().uri(path).header("authorization", bearer).body(Bytes::new())
/// };
/// let caller = schemes.authenticate(&call("/device/plc-7/capabilities")?).await?;
/// assert_eq!(caller.client_id.as_str(), "plant-7");
/// let refused = schemes.authenticate(&call("/api/v1/deployments")?).await;
/// assert!(matches!(refused, Err(AuthError::Forbidden { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Schemes(BTreeMap<SpecVersion, Vec<Arc<dyn DynAuthenticator>>>);

impl Schemes {
    /// Nobody is let in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in whom `authenticator` knows, on the routes of `version`. 1.0.0-rc.1 and 1.0.0-rc.2 have the same routes, so
    /// that what is said of one is said of both.
    #[must_use]
    pub fn with(mut self, version: SpecVersion, authenticator: impl Authenticator + 'static) -> Self {
        self.0.entry(shared(version)).or_default().push(Arc::new(authenticator));
        self
    }
}

impl Authenticator for Schemes {
    async fn identify(&self, head: &Parts) -> Result<Identified, AuthError> {
        let Some(schemes) = self.0.get(&revision_of(head.uri.path())) else {
            return Err(AuthError::Forbidden { reason: "its revision is not served here" });
        };
        for scheme in schemes {
            match scheme.identify(head).await {
                Err(AuthError::Missing) => {}
                known => return known,
            }
        }
        Err(AuthError::Missing)
    }
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.0.iter().map(|(version, schemes)| (version, schemes.len()));
        f.debug_map().entries(numbers).finish()
    }
}

/// An [`Authenticator`] among others.
trait DynAuthenticator: Send + Sync {
    fn identify<'a>(&'a self, head: &'a Parts) -> BoxFuture<'a, Result<Identified, AuthError>>;
}

impl<A: Authenticator> DynAuthenticator for A {
    fn identify<'a>(&'a self, head: &'a Parts) -> BoxFuture<'a, Result<Identified, AuthError>> {
        Box::pin(Authenticator::identify(self, head))
    }
}

fn shared(version: SpecVersion) -> SpecVersion {
    if version == SpecVersion::V1_0_0Rc1 { SpecVersion::V1_0_0Rc2 } else { version }
}
