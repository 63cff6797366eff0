use std::collections::BTreeMap;
use std::time::Duration;

use margo_core::{DeploymentId, Digest};
use margo_status::DeploymentStatusManifest;
use tokio::time::Instant;

/// How often what stopped working is started again before it is given up.
const HEALS: u32 = 5;

/// What has worked for so long starts with a clean slate.
const STABLE: Duration = Duration::from_mins(10);

/// How many of those attempts are made at once.
const EAGER_HEALS: u32 = 2;

/// The delay before the next one; each further one doubles it.
const HEAL_DELAY: Duration = Duration::from_secs(10);

/// How often what fails is tried again at every round.
const EAGER: u32 = 8;

/// The delay after that; each further failure doubles it.
const RETRY_DELAY: Duration = Duration::from_mins(1);

/// The longest delay: registries and engines come back some day.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// What went wrong before, and when it is to be tried again. It lasts as long as the agent runs.
#[derive(Debug, Default)]
pub(super) struct Patience {
    heals: BTreeMap<DeploymentId, Attempts>,
    failures: BTreeMap<DeploymentId, Attempts>,
    /// What was said of deployments that do not work and are left alone.
    pub(super) told: BTreeMap<DeploymentId, DeploymentStatusManifest>,
}

#[derive(Clone, Debug)]
struct Attempts {
    digest: Digest,
    count: u32,
    last: Instant,
    due: Instant,
}

/// Whether something is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Now,
    Later,
    Never,
}

impl Patience {
    /// Whether a deployment that was in force is to be applied again; counts it, if so.
    pub(super) fn heal(
        &mut self,
        id: &DeploymentId,
        digest: Digest,
        is_hopeless: bool,
        now: Instant,
    ) -> Verdict {
        let known = self.heals.get(id).filter(|known| known.digest == digest);
        let known = known.filter(|known| {
            known.count >= HEALS || now - known.last < STABLE + known.delay(HEAL_DELAY, EAGER_HEALS)
        });
        let count = known.map_or(0, |known| known.count);
        if is_hopeless || count >= HEALS {
            let given_up = Attempts { digest, count: HEALS, last: now, due: now };
            self.heals.insert(id.clone(), given_up);
            return Verdict::Never;
        }
        if known.is_some_and(|known| now < known.due) {
            return Verdict::Later;
        }
        let mut attempts = Attempts { digest, count: count + 1, last: now, due: now };
        attempts.due += attempts.delay(HEAL_DELAY, EAGER_HEALS);
        self.heals.insert(id.clone(), attempts);
        Verdict::Now
    }

    /// Whether a deployment that may have failed before is to be tried.
    pub(super) fn attempt(&self, id: &DeploymentId, digest: Digest, now: Instant) -> Verdict {
        match self.failures.get(id).filter(|known| known.digest == digest) {
            Some(known) if now < known.due => Verdict::Later,
            _ => Verdict::Now,
        }
    }

    pub(super) fn failed(&mut self, id: &DeploymentId, digest: Digest, now: Instant) {
        let count =
            self.failures.get(id).filter(|known| known.digest == digest).map_or(0, |known| known.count);
        let mut attempts = Attempts { digest, count: count + 1, last: now, due: now };
        attempts.due += attempts.delay(RETRY_DELAY, EAGER);
        self.failures.insert(id.clone(), attempts);
    }

    pub(super) fn succeeded(&mut self, id: &DeploymentId) {
        self.failures.remove(id);
        self.told.remove(id);
    }

    /// Works again, by itself or by somebody's hand.
    pub(super) fn recovered(&mut self, id: &DeploymentId) {
        self.heals.remove(id);
        self.told.remove(id);
    }

    /// Nothing is known of what is gone.
    pub(super) fn forget(&mut self, id: &DeploymentId) {
        self.succeeded(id);
        self.recovered(id);
    }

    /// When something waits that may be tried then.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let heals = self.heals.values().filter(|known| known.count < HEALS);
        heals.chain(self.failures.values()).map(|known| known.due).filter(|due| *due > now).min()
    }
}

impl Attempts {
    /// Nothing until there were `free` attempts, then `first`, and twice as much each time.
    fn delay(&self, first: Duration, free: u32) -> Duration {
        let Some(further) = self.count.checked_sub(free) else { return Duration::ZERO };
        first.saturating_mul(1 << further.min(16)).min(LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> DeploymentId {
        "pump-1".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn healing_is_tried_with_growing_delays_and_given_up() {
        let mut patience = Patience::default();
        let (digest, began) = (Digest::of(b"1"), Instant::now());
        let mut tried = Vec::new();
        for second in 0..2000 {
            let now = began + Duration::from_secs(second);
            if patience.heal(&id(), digest, false, now) == Verdict::Now {
                tried.push(second);
            }
        }
        assert_eq!(tried, [0, 1, 11, 31, 71]);
        let late = began + Duration::from_hours(9);
        assert_eq!(patience.heal(&id(), digest, false, late), Verdict::Never);
        assert_eq!(patience.next(late), None);
        // Another revision, and what came back by itself, start afresh.
        assert_eq!(patience.heal(&id(), Digest::of(b"2"), false, late), Verdict::Now);
        patience.recovered(&id());
        assert_eq!(patience.heal(&id(), Digest::of(b"2"), false, late), Verdict::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_worked_for_long_is_healed_at_once() {
        let mut patience = Patience::default();
        let (digest, mut now) = (Digest::of(b"1"), Instant::now());
        for _ in 0..20 {
            assert_eq!(patience.heal(&id(), digest, false, now), Verdict::Now);
            now += Duration::from_mins(11);
        }
        assert_eq!(patience.heal(&id(), digest, true, now), Verdict::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_retried_at_once_and_then_ever_more_rarely_but_always() {
        let mut patience = Patience::default();
        let (digest, began) = (Digest::of(b"1"), Instant::now());
        let mut tried = Vec::new();
        for minute in 0..300 {
            for round in 0..6 {
                let now = began + Duration::from_secs(minute * 60 + round * 10);
                if patience.attempt(&id(), digest, now) == Verdict::Now {
                    tried.push(minute * 60 + round * 10);
                    patience.failed(&id(), digest, now);
                }
            }
        }
        assert_eq!(tried[..12], [0, 10, 20, 30, 40, 50, 60, 70, 130, 250, 490, 970]);
        assert_eq!(tried[tried.len() - 1] - tried[tried.len() - 2], 3600);
        assert_eq!(patience.attempt(&id(), Digest::of(b"2"), began), Verdict::Now);
    }
}
