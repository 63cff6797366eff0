//! Who the device is, and whom it trusts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use margo_client::{
    DeviceCredentials, HttpOptions, HttpTransport, MutualTls, OAuthCredentials, Onboarding,
    TrustBundleClient, is_exposed,
};
use margo_core::{ClientId, Digest, SpecVersion};
use margo_identity::{
    BearerCredentials, ClientSpiffeId, CurrentTrustBundle, IdentityFiles, MessageSigner, Origin,
    ReloadingIdentity, SigningKey, TokenRequest, TrustBundle,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use url::Url;

use super::Upkeep;
use crate::config::{
    DeviceConfig, ManagerSection, SignatureSection, SvidSection, read_file, read_secret, write_atomically,
};

/// The first and the longest pause before what a device cannot do without is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How a device gets in touch with its manager.
pub(crate) struct Contact {
    pub(crate) transport: HttpTransport,
    pub(super) credentials: DeviceCredentials,
    /// What the manager calls the client, where its paths say so.
    pub(super) client: Option<ClientId>,
    /// The authorities that vouch for the manager, in PEM; empty where nobody has to.
    pub(super) authority: Vec<u8>,
}

/// Where tokens are issued, and to whom.
pub(super) struct TokenEndpoint {
    pub(super) url: Url,
    pub(super) request: TokenRequest,
}

pub(super) async fn contact(config: &DeviceConfig, upkeep: &mut Upkeep) -> Result<Contact> {
    let manager = &config.manager;
    if let Some(svid) = &manager.svid {
        let mutual = mutual_tls(config, svid, upkeep).await?;
        tracing::info!(identity = %mutual.own_id(), manager = %mutual.own_id().manager(), "mutual TLS");
        let transport = HttpTransport::new(&options(manager).with_mutual_tls(mutual))?;
        let credentials = DeviceCredentials::connection();
        return Ok(Contact { transport, credentials, client: None, authority: Vec::new() });
    }
    let authority = authority(config).await?;
    let mut transport = options(manager);
    if !authority.is_empty() {
        transport = transport.with_root_certificate(&authority)?;
    }
    let transport = HttpTransport::new(&transport)?;
    let mut client = manager.client_id.clone();
    let mut credentials = if let Some(signature) = &manager.signature {
        let (certificate, credentials) = signing(manager, signature)?;
        if client.is_none() {
            client = Some(onboarded(config, &transport, &certificate, &credentials).await?);
        }
        credentials
    } else if let Some(oauth) = &manager.oauth {
        let TokenEndpoint { url, request } = token_endpoint(config, &oauth.endpoint)?;
        DeviceCredentials::oauth(OAuthCredentials::new(transport.clone(), url, request)?)
    } else {
        let file = manager.token_file.as_ref().context("`manager.token-file` is missing")?;
        let token = BearerCredentials::new(&read_secret(file)?);
        DeviceCredentials::bearer(token.with_context(|| format!("`{}`", file.display()))?)
    };
    if let Some(path) = &manager.payload_key {
        credentials = credentials.with_payload_signature(Arc::new(signing_key(path)?));
    }
    Ok(Contact { transport, credentials, client, authority })
}

pub(super) fn token_endpoint(config: &DeviceConfig, endpoint: &str) -> Result<TokenEndpoint> {
    let oauth = config.manager.oauth.as_ref().context("a token endpoint needs `manager.oauth`")?;
    let url = config.manager.url.join(endpoint).with_context(|| format!("`{endpoint}`"))?;
    ensure!(
        !is_exposed(&url),
        "`{url}`: a secret is not sent to another host without encryption; use `https`"
    );
    let request = TokenRequest::new(&oauth.client_id, read_secret(&oauth.secret_file)?);
    Ok(TokenEndpoint { url, request })
}

fn options(manager: &ManagerSection) -> HttpOptions {
    HttpOptions::default()
        .with_tls_versions(manager.tls.versions())
        .with_max_connection_age(manager.tls.max_connection_age)
}

/// Whom to trust where the manager has a certificate of its own: configured, kept, or downloaded once.
async fn authority(config: &DeviceConfig) -> Result<Vec<u8>> {
    let manager = &config.manager;
    if manager.url.scheme() != "https" {
        return Ok(Vec::new());
    }
    if let Some(path) = &manager.tls.authority {
        return Ok(read_file(path)?.into_bytes());
    }
    let kept = config.device.data.join("authority.pem");
    if kept.exists() {
        return Ok(read_file(&kept)?.into_bytes());
    }
    let options = if manager.tls.trust_on_first_use {
        tracing::warn!("whoever answers now is trusted from now on");
        options(manager).trusting_anybody()
    } else if manager.tls.pins.is_empty() {
        bail!(
            "`manager.tls` names neither an `authority` nor `pins`: nobody at an `https` address is trusted"
        );
    } else {
        manager.tls.pins.iter().fold(options(manager), |options, pin| options.with_pin(*pin))
    };
    let transport = HttpTransport::new(&options)?;
    let onboarding = Onboarding::new(manager.url.clone(), manager.revision, transport)?;
    let der = until("the manager's authority", async || Ok(onboarding.root_certificate().await?)).await;
    let pem = pem(&der);
    write_atomically(&kept, pem.as_bytes())?;
    tracing::info!(path = %kept.display(), "the manager's authority was downloaded");
    Ok(pem.into_bytes())
}

fn signing(
    manager: &ManagerSection,
    section: &SignatureSection,
) -> Result<(CertificateDer<'static>, DeviceCredentials)> {
    let pem = read_file(&section.certificate)?;
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok();
    let certificate =
        certificate.with_context(|| format!("`{}` holds no certificate", section.certificate.display()))?;
    let key = Arc::new(signing_key(&section.key)?);
    // The server knows a client's key by its certificate before the client has a name.
    let fingerprint = Digest::of(&certificate).to_string();
    let fingerprint = fingerprint.trim_start_matches("sha256:");
    let origin: Origin = manager.url.origin().ascii_serialization().parse()?;
    let key_id = section.key_id.as_deref().unwrap_or(fingerprint);
    let mut signer = MessageSigner::new(key, key_id, origin)?;
    if section.rsa_pss {
        signer = signer.with_rsa_pss();
    }
    if section.digest_of_nothing {
        signer = signer.with_digest_of_nothing();
    }
    Ok((certificate, DeviceCredentials::message_signature(signer, UnixTime::now)))
}

/// What the manager calls this client: as kept, or as it answers (R-B-006).
async fn onboarded(
    config: &DeviceConfig,
    transport: &HttpTransport,
    certificate: &CertificateDer<'static>,
    credentials: &DeviceCredentials,
) -> Result<ClientId> {
    let kept = config.device.data.join("client-id");
    if kept.exists() {
        return read_secret(&kept)?.parse().with_context(|| format!("`{}`", kept.display()));
    }
    let revision = config.manager.revision;
    if !matches!(revision, SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2) {
        bail!("`manager.signature` is for 1.0.0-rc.1 and 1.0.0-rc.2");
    }
    let onboarding = Onboarding::new(config.manager.url.clone(), revision, transport.clone())?;
    let client = until("onboarding", async || Ok(onboarding.onboard(certificate, credentials).await?)).await;
    write_atomically(&kept, client.as_str().as_bytes())?;
    tracing::info!(%client, "onboarded");
    Ok(client)
}

async fn mutual_tls(config: &DeviceConfig, svid: &SvidSection, upkeep: &mut Upkeep) -> Result<MutualTls> {
    let provider = Arc::new(ring::default_provider());
    let files = IdentityFiles::new(&svid.certificate, &svid.key);
    let identity = Arc::new(ReloadingIdentity::load(files, provider)?);
    if let Some(path) = &svid.bundle {
        return Ok(MutualTls::with_bundle_file(identity, path)?);
    }
    // R-D-014: by an authority or a pin, never by trust on first use.
    let tls = &config.manager.tls;
    let options = match &tls.authority {
        Some(path) => options(&config.manager).with_root_certificate(read_file(path)?.as_bytes())?,
        None if tls.pins.is_empty() => {
            bail!("`manager.tls` names neither an `authority` nor `pins` of the trust bundle's server")
        }
        None => tls.pins.iter().fold(options(&config.manager), |options, pin| options.with_pin(*pin)),
    };
    let transport = HttpTransport::new(&options)?;
    let own = ClientSpiffeId::try_from(identity.svid().id().clone())
        .with_context(|| format!("`{}` is not the SVID of a client", svid.certificate.display()))?;
    let trust_domain = own.trust_domain().clone();
    let client = match (&svid.bundle_uri, &svid.discovery) {
        (Some(uri), _) => TrustBundleClient::at(transport, trust_domain.clone(), uri.clone()),
        (None, Some(base)) => TrustBundleClient::discovered(transport, trust_domain.clone(), base.clone())?,
        (None, None) => bail!("`manager.svid` names no trust bundle"),
    };
    // Kept, so that a restart neither needs the server nor forgets how new the bundle was (R-D-016).
    let kept = config.device.data.join("trust-bundle.json");
    let bundle = if kept.exists() {
        TrustBundle::parse(trust_domain, read_file(&kept)?.as_bytes())
            .with_context(|| format!("`{}` cannot be used", kept.display()))?
    } else {
        let fetched = until("the trust bundle", async || {
            client.fetch().await?.context("the server says that it was not modified")
        });
        let fetched = fetched.await;
        write_atomically(&kept, fetched.bytes())?;
        fetched.into_value()
    };
    let current = Arc::new(CurrentTrustBundle::new(bundle));
    upkeep.refresh_bundle(client, Arc::clone(&current), kept);
    Ok(MutualTls::new(identity, current)?)
}

/// Tries until it succeeds: the network may come later than the device.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T>) -> T {
    let mut pause = PAUSES.0;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => tracing::warn!(error = format!("{error:#}"), "{what} has to wait"),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSES.1);
    }
}

fn signing_key(path: &Path) -> Result<SigningKey> {
    let pem = read_file(path)?;
    SigningKey::from_pem(pem.as_bytes()).with_context(|| format!("`{}`", path.display()))
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}
