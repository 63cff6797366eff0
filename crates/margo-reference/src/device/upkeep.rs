use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use margo_client::{HttpTransport, OAuthCredentials, TrustBundleClient};
use margo_git::GitSource;
use margo_identity::{CurrentTrustBundle, bearer_token};
use tokio::task::JoinSet;

use super::identity::TokenEndpoint;
use crate::config::{read_secret, write_atomically};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The pause after what did not succeed.
const PAUSE: Duration = Duration::from_secs(10);

/// What is kept up while a device runs: trust bundles and tokens that end. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Upkeep {
    tasks: JoinSet<()>,
}

impl Upkeep {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// R-D-016: by the bundle's own hint; what was put in force is kept.
    pub(super) fn refresh_bundle(
        &mut self,
        client: TrustBundleClient<HttpTransport>,
        current: Arc<CurrentTrustBundle>,
        kept: PathBuf,
    ) {
        self.tasks.spawn(async move {
            loop {
                let wait = match client.refresh(&current).await {
                    Ok((None, wait)) => wait,
                    Ok((Some(bytes), wait)) => {
                        if let Err(error) = write_atomically(&kept, &bytes) {
                            tracing::error!(error = format!("{error:#}"), "the trust bundle cannot be kept");
                        }
                        tracing::info!(sequence = current.get().sequence(), "a trust bundle is in force");
                        wait
                    }
                    Err(error) => {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        tracing::warn!(error, "the trust bundle in force stays");
                        PAUSE
                    }
                };
                tokio::time::sleep(wait).await;
            }
        });
    }

    /// R-A-017: whoever rotates the token writes the file anew.
    pub(super) fn reread_git_token(&mut self, source: GitSource, file: PathBuf) {
        self.tasks.spawn(async move {
            let mut last = read_secret(&file).ok();
            loop {
                tokio::time::sleep(LOOK).await;
                // One that is being written is read the next time.
                let Ok(token) = read_secret(&file) else { continue };
                if last.as_ref() != Some(&token) {
                    source.set_token(Some(token.clone().into()));
                    tracing::info!(path = %file.display(), "the token of the repository was replaced");
                    last = Some(token);
                }
            }
        });
    }

    /// R-A-016: tokens that end soon, each replaced before it does. The first is there when this returns, so that the first
    /// poll needs no second one; unless it cannot be had, which is tried again.
    ///
    /// # Errors
    ///
    /// A token endpoint that is none.
    pub(super) async fn renew_git_token(
        &mut self,
        source: GitSource,
        transport: HttpTransport,
        endpoint: TokenEndpoint,
    ) -> anyhow::Result<()> {
        let TokenEndpoint { url, request } = endpoint;
        let credentials = OAuthCredentials::new(transport, url, request)?;
        let mut last = current_token(&credentials).await.ok();
        if let Some(token) = &last {
            source.set_token(Some(token.clone().into()));
        }
        self.tasks.spawn(async move {
            loop {
                match current_token(&credentials).await {
                    Ok(token) if last.as_ref() == Some(&token) => {}
                    Ok(token) => {
                        source.set_token(Some(token.clone().into()));
                        last = Some(token);
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "the repository's token cannot be renewed"
                        );
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(())
    }
}

/// The token that a request would carry at the moment.
async fn current_token(credentials: &OAuthCredentials<HttpTransport>) -> anyhow::Result<String> {
    use margo_api::Credentials as _;
    let mut request = http::Request::new(bytes::Bytes::new());
    credentials.authorize(&mut request).await?;
    bearer_token(request.headers()).map(str::to_owned).context("no token")
}
