//! A device's management client: an agent over REST or Git, with a runtime.

use std::fs::{File, TryLockError};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use margo_agent::{Agent, Backoff, CapabilityFile, DayWindow, Host, RedbJournal, Schedule, Zone};
use margo_api::{DynDesiredStateSource, DynWorkloadRuntime};
use margo_client::{HttpOptions, HttpTransport, RestClient};
use margo_git::{GitSource, GitSourceConfig};
use margo_identity::BearerCredentials;
use margo_runtime_folder::{Behavior, FolderRuntime};

use crate::config::{DeviceConfig, RuntimeKind, RuntimeSection, ScheduleSection, SourceKind, read_secret};
use crate::runtimes;

/// The client of a device, put together as its configuration says.
pub type Device = Agent<
    Arc<dyn DynDesiredStateSource>,
    RestClient<HttpTransport, BearerCredentials>,
    Arc<dyn DynWorkloadRuntime>,
    RedbJournal,
>;

/// Puts the client of a device together.
///
/// # Errors
///
/// What the configuration says that cannot be: a token that is not there, a time zone nobody knows.
pub async fn assemble(config: &DeviceConfig) -> Result<Device> {
    let device = &config.device;
    std::fs::create_dir_all(&device.data)
        .with_context(|| format!("`{}` cannot be made", device.data.display()))?;

    let credentials = BearerCredentials::new(&read_secret(&config.manager.token_file)?)
        .with_context(|| format!("`{}`", config.manager.token_file.display()))?;
    let transport = HttpTransport::new(&HttpOptions::default())?;
    let manager =
        RestClient::new(config.manager.url.clone(), config.manager.revision, transport, credentials)?
            .with_device(device.id.clone());

    let source: Arc<dyn DynDesiredStateSource> = match config.desired_state.source {
        SourceKind::Rest => Arc::new(manager.clone()),
        SourceKind::Git => Arc::new(git_source(config)?),
    };
    let capabilities = CapabilityFile::new(&device.capabilities)
        .with_interval(device.capabilities_check)
        .with_host(Host::new().with_storage(&device.data));
    let journal = RedbJournal::open(device.data.join("journal.redb"))?;
    let runtime = match config.runtime.kind {
        RuntimeKind::Folder => folder_runtime(&config.runtime),
        RuntimeKind::Engine => runtimes::engine(config).await?,
    };
    Ok(Agent::new(source, manager, runtime, journal)
        .with_schedule(schedule(&config.schedule)?, jiff::Timestamp::now)
        .with_backoff(Backoff::new(config.schedule.rate, config.schedule.rate.max(MAX_BACKOFF)))
        .with_capabilities(capabilities))
}

/// The longest pause after failures, unless the polling rate itself is longer.
const MAX_BACKOFF: std::time::Duration = std::time::Duration::from_mins(5);

/// Keeps a second process out of a folder for as long as the returned file lives.
///
/// # Errors
///
/// That another process is in it already, or that the folder cannot be written to.
pub fn lock(folder: &std::path::Path) -> Result<File> {
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

fn git_source(config: &DeviceConfig) -> Result<GitSource> {
    let url = config.desired_state.url.clone().context("`desired-state.url` is missing")?;
    let directory = config.device.data.join("desired-state.git");
    let mut git = GitSourceConfig::new(url, directory, config.device.id.clone().into());
    if let Some(file) = &config.desired_state.token_file {
        git.token = Some(read_secret(file)?.into());
    }
    Ok(GitSource::new(git)?)
}

fn schedule(section: &ScheduleSection) -> Result<Schedule> {
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
