use std::collections::BTreeSet;

use margo_api::{SinkError, SinkErrorKind, StatusSink};
use margo_core::DeploymentId;

use crate::{Entry, Journal, JournalError, Observer};

/// How many reports wait at most, unless a journal is told otherwise.
///
/// When so many wait, older reports of a deployment give way to newer ones of the same deployment, oldest first.
/// The newest report of each deployment is never given up, so a device with more deployments than this keeps one
/// report for each.
pub const OUTBOX_LIMIT: usize = 10_000;

/// What became of the report that had waited longest.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Nothing waits.
    Empty,
    /// The manager has it, or will never take it: the next one's turn.
    Done,
    /// It stays, and so does everything behind it.
    Kept(SinkError),
}

/// Delivers the report that has waited longest (R-B-033). Reports never overtake one another.
pub(crate) async fn deliver_first<J: Journal, K: StatusSink>(
    journal: &J,
    sink: &K,
    observer: &dyn Observer,
) -> Result<Delivery, JournalError> {
    let Some(report) = journal.first_report().await? else { return Ok(Delivery::Empty) };
    let outcome = sink.report_status(&report.status).await;
    observer.delivered(&report.status, outcome.as_ref().copied());
    let (deployment, state) = (&report.status.deployment_id, &report.status.status.state);
    match outcome {
        Ok(()) => tracing::debug!(%deployment, %state, "delivered a status report"),
        Err(error) => match error.kind() {
            SinkErrorKind::Rejected => {
                tracing::error!(%deployment, %state, error = &error as &dyn std::error::Error, "dropped a status report");
            }
            // Such as `removing` to a manager of the pre-draft: nobody there waits for it.
            SinkErrorKind::Unsayable => {
                tracing::info!(%deployment, %state, error = &error as &dyn std::error::Error, "dropped a status report");
            }
            _ => return Ok(Delivery::Kept(error)),
        },
    }
    // Only now: a report that is delivered twice, because of a power cut in between, says the same twice.
    journal.write(vec![Entry::Delivered(report.number)]).await?;
    Ok(Delivery::Done)
}

/// The waiting reports to give up, so that a tenth of `limit` becomes free: those that are followed by another one
/// of the same deployment, counting the one about `newest` that is to come. Oldest first.
pub(crate) fn superseded<'a>(
    waiting: impl Iterator<Item = (u64, &'a DeploymentId)>,
    newest: &DeploymentId,
    limit: usize,
) -> Vec<u64> {
    let waiting: Vec<_> = waiting.collect();
    let mut followed = BTreeSet::from([newest]);
    let mut superseded: Vec<u64> =
        waiting.iter().rev().filter(|(_, id)| !followed.insert(id)).map(|(number, _)| *number).collect();
    superseded.reverse();
    // More than one at a time, so that not every report has to look for room.
    let room = limit - limit / 10;
    superseded.truncate((waiting.len() + 1).saturating_sub(room.max(1)));
    superseded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> DeploymentId {
        format!("d{number}").parse().unwrap()
    }

    #[test]
    fn the_oldest_give_way_first() {
        let ids = [id(1), id(2), id(1), id(1), id(3)];
        let waiting = || ids.iter().enumerate().map(|(number, id)| (number as u64, id));
        // Room for five of five and one to come: one must go.
        assert_eq!(superseded(waiting(), &id(2), 5), [0]);
        assert_eq!(superseded(waiting(), &id(2), 4), [0, 1]);
        assert_eq!(superseded(waiting(), &id(2), 1), [0, 1, 2]);
        assert_eq!(superseded(waiting(), &id(9), 1), [0, 2]);
    }

    proptest! {
        /// The latest state of every deployment is kept, whatever the limit.
        #[test]
        fn latest_states_are_never_given_up(
            numbers in prop::collection::vec(0..6_u8, 0..60),
            newest in 0..6_u8,
            limit in 0..40_usize,
        ) {
            let ids: Vec<_> = numbers.iter().copied().map(id).collect();
            let gone = superseded(ids.iter().enumerate().map(|(n, id)| (n as u64, id)), &id(newest), limit);
            prop_assert!(gone.is_sorted());
            for (position, this) in ids.iter().enumerate() {
                let is_latest = *this != id(newest) && !ids[position + 1..].contains(this);
                prop_assert!(!(is_latest && gone.contains(&(position as u64))));
            }
            // Either there is room now, or nothing more can go.
            let distinct: BTreeSet<_> = ids.iter().collect();
            prop_assert!(ids.len() - gone.len() <= limit.max(distinct.len()));
        }
    }
}
