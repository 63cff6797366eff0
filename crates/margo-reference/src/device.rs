//! A device's management client: an agent over REST or Git, with a runtime.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use margo_agent::{Agent, Backoff, CapabilityFile, DayWindow, Host, RedbJournal, Schedule, Zone};
use margo_api::{DynDesiredStateSource, DynWorkloadRuntime};
use margo_client::{DeviceCredentials, HttpTransport, RestClient, check_port};
use margo_core::SpecVersion;
use margo_git::{GitSource, GitSourceConfig};
use margo_runtime_folder::{Behavior, FolderRuntime};

use crate::config::{DeviceConfig, RuntimeKind, RuntimeSection, ScheduleSection, SourceKind, read_secret};
use crate::runtimes;

mod identity;
mod upkeep;

pub(crate) use identity::Contact;
pub use upkeep::Upkeep;

/// The client of a device, put together as its configuration says.
pub type Device = Agent<
    Arc<dyn DynDesiredStateSource>,
    RestClient<HttpTransport, DeviceCredentials>,
    Arc<dyn DynWorkloadRuntime>,
    RedbJournal,
>;

/// Puts the client of a device together, and says what has to be kept up while it runs.
///
/// What a device needs before it can speak to its manager is fetched here, once: an authority, a trust bundle, what the
/// manager calls the client. As long as that cannot be had, this does not return.
///
/// # Errors
///
/// What the configuration says that cannot be: a token that is not there, an SVID of somebody else, a time zone nobody
/// knows.
pub async fn assemble(config: &DeviceConfig) -> Result<(Device, Upkeep)> {
    let device = &config.device;
    std::fs::create_dir_all(&device.data)
        .with_context(|| format!("`{}` cannot be made", device.data.display()))?;

    let section = &config.manager;
    // R-B-004, R-D-001. What is not encrypted is for development, and the pre-draft names no port.
    if section.url.scheme() == "https"
        && section.revision != SpecVersion::PreDraft
        && let Err(other) = check_port(&section.url)
    {
        tracing::warn!(manager = %section.url, "{other}");
    }
    let mut upkeep = Upkeep::new();
    let (contact, manager) = manager(config, &mut upkeep).await?;
    let source: Arc<dyn DynDesiredStateSource> = match config.desired_state.source {
        SourceKind::Rest => Arc::new(manager.clone()),
        SourceKind::Git => Arc::new(git_source(config, &contact, &mut upkeep).await?),
    };
    let capabilities = CapabilityFile::new(&device.capabilities)
        .with_interval(device.capabilities_check)
        .with_host(Host::new().with_storage(&device.data));
    let journal = RedbJournal::open(device.data.join("journal.redb"))?;
    let runtime = match config.runtime.kind {
        RuntimeKind::Folder => folder_runtime(&config.runtime),
        RuntimeKind::Engine => runtimes::engine(config).await?,
    };
    let agent = Agent::new(source, manager, runtime, journal)
        .with_schedule(schedule(&config.schedule)?, jiff::Timestamp::now)
        .with_backoff(Backoff::new(config.schedule.rate, config.schedule.rate.max(MAX_BACKOFF)))
        .with_capabilities(capabilities);
    Ok((agent, upkeep))
}

/// How the device gets in touch with its manager, and what it says there.
pub(crate) async fn manager(
    config: &DeviceConfig,
    upkeep: &mut Upkeep,
) -> Result<(Contact, RestClient<HttpTransport, DeviceCredentials>)> {
    let contact = identity::contact(config, upkeep).await?;
    let section = &config.manager;
    let (transport, credentials) = (contact.transport.clone(), contact.credentials.clone());
    let mut client = RestClient::new(section.url.clone(), section.revision, transport, credentials)?
        .with_device(config.device.id.clone());
    if let Some(name) = &contact.client {
        client = client.with_client(name.clone());
    }
    Ok((contact, client))
}

/// The longest pause after failures, unless the polling rate itself is longer.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Keeps a second process out of a folder for as long as the returned file lives.
///
/// # Errors
///
/// That another process is in it already, or that the folder cannot be written to.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("`{}` cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("`{}` is in use by another process", folder.display()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("`{}` cannot be locked", path.display()))
        }
    }
}

async fn git_source(config: &DeviceConfig, contact: &Contact, upkeep: &mut Upkeep) -> Result<GitSource> {
    let section = &config.desired_state;
    let url = section.url.clone().context("`desired-state.url` is missing")?;
    let directory = config.device.data.join("desired-state.git");
    let mut git = GitSourceConfig::new(url, directory, config.device.id.clone().into());
    git.root_certificates.clone_from(&contact.authority);
    if let Some(file) = &section.token_file {
        git.token = Some(read_secret(file)?.into());
    }
    let source = GitSource::new(git)?;
    if let Some(file) = &section.token_file {
        upkeep.reread_git_token(source.clone(), file.clone());
    }
    if let Some(endpoint) = &section.token_endpoint {
        let tokens = identity::token_endpoint(config, endpoint)?;
        upkeep.renew_git_token(source.clone(), contact.transport.clone(), tokens).await?;
    }
    Ok(source)
}

/// When the device asks.
pub(crate) fn schedule(section: &ScheduleSection) -> Result<Schedule> {
    let windows = |texts: &[String]| -> Result<Vec<DayWindow>> {
        texts.iter().map(|text| text.parse().with_context(|| format!("`{text}` in `schedule`"))).collect()
    };
    let zone: Zone = section.time_zone.parse().context("`schedule.time-zone`")?;
    Ok(Schedule::every(section.rate).with_jitter(section.jitter).with_windows(
        windows(&section.period)?,
        windows(&section.downtime)?,
        zone,
    )?)
}

fn folder_runtime(section: &RuntimeSection) -> Arc<dyn DynWorkloadRuntime> {
    let mut runtime = FolderRuntime::new(&section.folder).with_pace(section.delay);
    for (component, fail) in &section.fail {
        let behavior = Behavior::new().with_delay(section.delay);
        let behavior = match fail.times {
            Some(times) => behavior.failing_times(times, &fail.code, &fail.message),
            None => behavior.failing(&fail.code, &fail.message),
        };
        runtime = runtime.with_behavior(component.clone(), behavior);
    }
    Arc::new(runtime)
}
