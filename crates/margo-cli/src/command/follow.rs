use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};

use super::failure::Failure;
use super::output::Output;
use crate::{Event, OperatorClient, OperatorError};

/// How many events are taken at once. After each batch the deployments are read again.
const BATCH: usize = 256;

/// How long nothing may happen before the deployments are read again all the same.
const QUIET: Duration = Duration::from_secs(15);

/// The longest pause before asking a manager again that has not answered.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

type Events = Pin<Box<dyn Stream<Item = Vec<Result<Event, OperatorError>>>>>;

/// What happens at a manager, across its restarts.
pub(super) struct Follower<'a> {
    client: &'a OperatorClient,
    events: Option<Events>,
    /// Attempts to connect since the last one that succeeded.
    attempts: u32,
    /// Whether the manager has answered before: only then is it worth waiting for.
    has_answered: bool,
}

impl<'a> Follower<'a> {
    pub(super) fn new(client: &'a OperatorClient) -> Self {
        Self { client, events: None, attempts: 0, has_answered: false }
    }

    /// What has happened since the last call; after it, the state of things is worth reading again.
    ///
    /// Empty when nothing has happened for a while. Whatever happens after the first call has returned is reported.
    /// Nothing is lost when the call is given up.
    pub(super) async fn next(&mut self, output: &mut Output<'_>) -> Result<Vec<Event>, Failure> {
        match tokio::time::timeout(QUIET, self.batch(output)).await {
            Ok(events) => events,
            Err(_) if self.has_answered => Ok(Vec::new()),
            Err(_) => Err(Failure::not_asked("the manager does not say what happens")),
        }
    }

    async fn batch(&mut self, output: &mut Output<'_>) -> Result<Vec<Event>, Failure> {
        loop {
            if self.events.is_none() {
                self.connect().await?;
            }
            let Some(events) = &mut self.events else { continue };
            let batch = events.next().await.unwrap_or_default();
            let is_over = batch.is_empty() || batch.iter().any(Result::is_err);
            if is_over {
                self.events = None;
                output.note("the connection to the manager is lost; connecting again");
            }
            let batch: Vec<Event> = batch.into_iter().map_while(Result::ok).collect();
            if batch.contains(&Event::Ready) {
                // Not none: a manager that closes every connection is not asked without pause.
                self.attempts = 1;
                self.has_answered = true;
            }
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if self.attempts > 0 {
            tokio::time::sleep(pause(self.attempts)).await;
        }
        self.attempts += 1;
        match self.client.events().await {
            Ok(events) => self.events = Some(Box::pin(events.ready_chunks(BATCH))),
            Err(error) if self.has_answered && error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The pause before an attempt, by how many there were.
fn pause(attempts: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses: Vec<u128> = (1..=8).map(|attempts| pause(attempts).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
