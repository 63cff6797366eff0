use std::fmt;
use std::sync::Arc;

use margo_api::endpoint::client_in_path;
use margo_api::{AuthError, Authenticator, BoxError, Caller, Identified};
use margo_core::ClientId;
use rustls_pki_types::UnixTime;

use crate::replay::Admission;
use crate::{HttpSignatureError, HttpSignatureErrorKind, MessageVerifier, ReplayMemory, VerifyingKey};

/// Where a manager finds the keys a client may sign with: those of the certificates registered for it (R-B-012).
pub trait KeyLookup: Send + Sync {
    /// The keys of `client` that `key_id` may name: more than one while a certificate is being replaced, none when the
    /// client is not known or has no key of that name. What a key is called is for manager and device to agree on:
    /// rc.1 and rc.2 say "name", and no more.
    fn keys_of(
        &self,
        client: &ClientId,
        key_id: &str,
    ) -> impl Future<Output = Result<Vec<VerifyingKey>, BoxError>> + Send;
}

impl<L: KeyLookup> KeyLookup for Arc<L> {
    async fn keys_of(&self, client: &ClientId, key_id: &str) -> Result<Vec<VerifyingKey>, BoxError> {
        (**self).keys_of(client, key_id).await
    }
}

/// A manager's side of message signatures: the caller is the client that the path names, if a key registered for it made
/// the signature (rc.1, rc.2: R-B-012, R-B-041).
///
/// A client nobody knows is refused as a wrong signature is. A `Content-Digest` that is missing or wrong is
/// [`AuthError::Digest`], a certificate outside its validity period [`AuthError::NotAccepted`]: what rev-B 1 has 400 and
/// 403 for.
pub struct SignatureAuthenticator<L, C> {
    verifier: MessageVerifier,
    keys: L,
    clock: C,
    replays: Arc<ReplayMemory>,
}

impl<L: KeyLookup, C: Fn() -> UnixTime + Send + Sync> SignatureAuthenticator<L, C> {
    /// Verifies with `verifier` and the keys that `keys` knows, at the time that `clock` tells. Each signature is taken
    /// once.
    pub fn new(verifier: MessageVerifier, keys: L, clock: C) -> Self {
        Self { verifier, keys, clock, replays: Arc::default() }
    }

    /// Remembers presented signatures in this memory.
    #[must_use]
    pub fn with_replay_memory(mut self, replays: ReplayMemory) -> Self {
        self.replays = Arc::new(replays);
        self
    }
}

impl<L: KeyLookup, C: Fn() -> UnixTime + Send + Sync> Authenticator for SignatureAuthenticator<L, C> {
    /// A signature covers the digest of the body and not the body: it is verified before a byte of that is read, and is
    /// remembered when the body is there and has the digest.
    async fn identify(&self, head: &http::request::Parts) -> Result<Identified, AuthError> {
        let client = client_in_path(head.uri.path()).ok_or(AuthError::Missing)?;
        let now = (self.clock)();
        let signed = self.verifier.inspect(head.into(), now).map_err(|error| refused(&client, &error))?;
        let keys = self.keys.keys_of(&client, signed.key_id()).await.map_err(|error| {
            tracing::error!(error, "keys cannot be looked up");
            AuthError::Unavailable
        })?;
        signed.verify(&keys).map_err(|error| refused(&client, &error))?;
        let (method, name, body) = (head.method.clone(), signed.fingerprint(), signed.body());
        judge(&client, self.replays.weigh(&client, &method, &name, now))?;

        let (replays, lasting) = (Arc::clone(&self.replays), self.verifier.presentable());
        let identified = Identified::new(Caller::new(client.clone()));
        Ok(identified.with_check(move |bytes| {
            body.check(bytes).map_err(|error| refused(&client, &error))?;
            judge(&client, replays.admit(&client, &method, name, now, lasting))
        }))
    }
}

fn judge(client: &ClientId, admission: Admission) -> Result<(), AuthError> {
    match admission {
        Admission::First => Ok(()),
        Admission::Again => Err(refused(client, &HttpSignatureError::Replayed)),
        Admission::Full => {
            tracing::warn!(%client, "the client asks too often to be remembered");
            Err(AuthError::Unavailable)
        }
    }
}

fn refused(client: &ClientId, error: &HttpSignatureError) -> AuthError {
    tracing::info!(%client, %error, "a signature is refused");
    match error.kind() {
        _ if *error == HttpSignatureError::Missing => AuthError::Missing,
        HttpSignatureErrorKind::Digest => AuthError::Digest,
        HttpSignatureErrorKind::Signature => AuthError::Refused,
        HttpSignatureErrorKind::Certificate => AuthError::NotAccepted,
    }
}

impl<L, C> fmt::Debug for SignatureAuthenticator<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureAuthenticator").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
