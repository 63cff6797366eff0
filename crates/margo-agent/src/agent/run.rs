use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use margo_api::{CapabilitySink, DesiredStateSource, SinkError, SinkErrorKind, StatusSink, WorkloadRuntime};
use margo_capability::AnyDeviceCapabilities;
use margo_core::DeviceId;
use tokio::time::{Instant, sleep, sleep_until};

use super::Agent;
use crate::outbox::{Delivery, deliver_first};
use crate::schedule::random;
use crate::{CapabilityError, CapabilityFile, Entry, Journal};

/// The longest time spent without a look at the wall clock, which may have been set.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// A wall clock that has gone so much more, or less, than time has passed was set.
const CLOCK_WAS_SET: Duration = Duration::from_secs(30);

impl<S, K, R, J> Agent<S, K, R, J>
where
    S: DesiredStateSource,
    K: StatusSink + CapabilitySink,
    R: WorkloadRuntime,
    J: Journal,
{
    /// Polls by the schedule, delivers reports as they come, and reports capabilities when they change, until
    /// `shutdown` completes.
    ///
    /// Whatever fails is logged, told to the observer, and tried again after a while; nothing ends this but
    /// `shutdown`. What is under way then is dropped: the next start completes it.
    pub async fn run(&mut self, shutdown: impl Future<Output = ()>) {
        let this = &*self;
        tokio::select! {
            () = shutdown => {}
            () = this.keep_polling() => {}
            () = this.keep_delivering() => {}
            () = this.keep_reporting_capabilities() => {}
        }
    }

    async fn keep_polling(&self) {
        let mut backoff = self.backoff.clone();
        let mut last = None;
        loop {
            self.look_until_poll(last).await;
            let started = Instant::now();
            last = Some(started);
            match self.round().await {
                Ok(_) => backoff.reset(),
                // R-A-009, R-B-014.
                Err(_) if self.is_downtime() => {}
                Err(error) => {
                    let mut delay = backoff.next_delay(error.retry_after(), random());
                    // A deployment that keeps failing must not delay the next desired state.
                    if error.is_local() {
                        delay = delay.min(self.schedule.rate());
                    }
                    sleep(delay).await;
                    last = None;
                }
            }
        }
    }

    async fn keep_delivering(&self) {
        let mut backoff = self.backoff.clone();
        loop {
            self.until_contact().await;
            let delay = match deliver_first(&self.journal, &self.sink, &*self.observer).await {
                Ok(Delivery::Done) => {
                    backoff.reset();
                    continue;
                }
                Ok(Delivery::Empty) => {
                    self.queued.notified().await;
                    continue;
                }
                Ok(Delivery::Kept(_)) if self.is_downtime() => continue,
                Ok(Delivery::Kept(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "reports have to wait");
                    backoff.next_delay(error.retry_after(), random())
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "reports have to wait");
                    backoff.next_delay(None, random())
                }
            };
            sleep(delay).await;
        }
    }

    async fn keep_reporting_capabilities(&self) {
        let Some(file) = &self.capabilities else { return pending().await };
        let mut backoff = self.backoff.clone();
        let mut complaint = String::new();
        let mut told = BTreeMap::new();
        loop {
            match read(file).await {
                Ok(devices) => {
                    complaint.clear();
                    self.see_devices(devices);
                }
                // The last good ones stay (and are said once more if they were not told yet).
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let text = format!("{error}: {}", cause.unwrap_or_default());
                    if text != complaint {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "capabilities cannot be told"
                        );
                        complaint = text;
                    }
                }
            }
            let delay = match self.report_devices(&mut told).await {
                Ok(()) => {
                    backoff.reset();
                    file.interval()
                }
                Err(_) if self.is_downtime() => Duration::ZERO,
                Err(retry_after) => backoff.next_delay(retry_after, random()),
            };
            sleep(delay).await;
        }
    }

    /// Tells of every device that is not as it was `told`, gateways first (R-C-003, R-D-020), and of those that are
    /// gone, gateways last (R-C-007).
    ///
    /// The error is how long to leave the manager alone, if it says.
    async fn report_devices(
        &self,
        told: &mut BTreeMap<DeviceId, AnyDeviceCapabilities>,
    ) -> Result<(), Option<Duration>> {
        let Some(devices) = self.seen_devices() else { return Ok(()) };
        let remember = async |ids: BTreeSet<DeviceId>| {
            self.journal.write(vec![Entry::Told(ids)]).await.map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "the capabilities have to wait");
                None
            })
        };
        let mut believed = self.journal.read().await.map_err(|_| None)?.told;
        for capabilities in devices.iter() {
            let id = capabilities.device_id();
            if told.get(id) == Some(capabilities) {
                continue;
            }
            self.until_contact().await;
            // Before it is said: whoever reads this after a power cut takes back what may have arrived.
            if believed.insert(id.clone()) {
                remember(believed.clone()).await?;
            }
            let outcome = self.sink.report_capabilities(capabilities).await;
            self.observer.reported(capabilities, outcome.as_ref().copied());
            match outcome {
                Ok(()) => tracing::info!(device = %id, "reported the capabilities"),
                // They are offered again when they have changed, or after a restart.
                Err(error) if is_final(&error) => {
                    tracing::error!(
                        device = %id,
                        error = &error as &dyn std::error::Error,
                        "the capabilities were not taken"
                    );
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the capabilities have to wait");
                    return Err(error.retry_after());
                }
            }
            told.insert(id.clone(), capabilities.clone());
        }
        let mut gone: Vec<_> = believed.iter().cloned().collect();
        gone.retain(|id| devices.iter().all(|device| device.device_id() != id));
        gone.sort_by_key(|id| std::cmp::Reverse(id.segments().count()));
        for id in gone {
            self.until_contact().await;
            match self.sink.remove_device(&id).await {
                Ok(()) => tracing::info!(device = %id, "told that the device is gone"),
                // Nobody there believes in it, or has a word for its end.
                Err(error) if is_final(&error) => {
                    tracing::info!(
                        device = %id,
                        error = &error as &dyn std::error::Error,
                        "that the device is gone was not taken"
                    );
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "that a device is gone has to wait"
                    );
                    return Err(error.retry_after());
                }
            }
            believed.remove(&id);
            told.remove(&id);
            remember(believed.clone()).await?;
        }
        Ok(())
    }

    /// Waits for the next poll, and heals meanwhile what the device itself can heal.
    async fn look_until_poll(&self, last: Option<Instant>) {
        let mut poll = pin!(self.until_poll(last));
        loop {
            let due = self.patience().next(Instant::now());
            let until_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut poll => return,
                () = self.runtime.changed() => {}
                () = until_due => {}
            }
            self.look().await;
        }
    }

    /// Waits for the next poll, the last of which began at `last`.
    async fn until_poll(&self, last: Option<Instant>) {
        let random = random();
        'schedule: loop {
            let (wall, start) = (self.clock.now(), Instant::now());
            let due = start + self.schedule.next_poll(wall, last.map(|last| start - last), random);
            loop {
                let remaining = due.saturating_duration_since(Instant::now());
                if remaining.is_zero() {
                    return;
                }
                sleep(remaining.min(LONGEST_SLEEP)).await;
                let on_the_wall = self.clock.now().duration_since(wall);
                let passed = start.elapsed().try_into().unwrap_or(jiff::SignedDuration::MAX);
                if on_the_wall.saturating_sub(passed).unsigned_abs() > CLOCK_WAS_SET {
                    continue 'schedule;
                }
            }
        }
    }

    /// Waits for the end of the downtime, if it is downtime.
    async fn until_contact(&self) {
        loop {
            let remaining = self.schedule.next_contact(self.clock.now());
            if remaining.is_zero() {
                return;
            }
            sleep(remaining.min(LONGEST_SLEEP)).await;
        }
    }

    fn is_downtime(&self) -> bool {
        self.schedule.is_downtime(self.clock.now())
    }
}

/// Whether saying it again changes nothing.
fn is_final(error: &SinkError) -> bool {
    matches!(error.kind(), SinkErrorKind::Rejected | SinkErrorKind::Unsayable)
}

pub(super) async fn read(file: &CapabilityFile) -> Result<Vec<AnyDeviceCapabilities>, CapabilityError> {
    let path = file.path().to_owned();
    let file = file.clone();
    let read = tokio::task::spawn_blocking(move || file.read()).await;
    read.unwrap_or_else(|error| Err(CapabilityError::Read { path, source: error.into() }))
}
