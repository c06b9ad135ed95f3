//! Log lines about something that is tried again and again: the first failure, a reminder every 30 s, the recovery.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// At most one line about a lasting failure in this time.
const REMINDER: Duration = Duration::from_secs(30);

/// What keeps failing, or not. One for each thing that is retried.
#[derive(Debug)]
pub struct Outage {
    what: String,
    place: String,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    told: Instant,
    attempts: u64,
}

impl Outage {
    /// Nothing has failed yet. `what` is done at `place`: "connect to PostgreSQL", "127.0.0.1:5432".
    #[must_use]
    pub fn new(what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.into(), failing: None }
    }

    /// An attempt failed; says so if it is the first, or the last line is 30 s old. See [`crate::causes::Causes`].
    pub fn failed(&mut self, why: &(impl Display + ?Sized)) {
        if !self.is_due(Instant::now()) {
            return;
        }
        let attempts = self.failing.as_ref().map_or(1, |failing| failing.attempts);
        warn!(place = %self.place, attempts, "cannot {}: {why}; trying again", self.what);
    }

    /// An attempt succeeded; says so if it failed before.
    pub fn works(&mut self) {
        if let Some(failing) = self.failing.take() {
            let seconds = failing.since.elapsed().as_secs_f64();
            let attempts = failing.attempts;
            info!(place = %self.place, attempts, "can {} again after {seconds:.1} s", self.what);
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let Some(failing) = &mut self.failing else {
            self.failing = Some(Failing { since: now, told: now, attempts: 1 });
            return true;
        };
        failing.attempts += 1;
        let due = now.duration_since(failing.told) >= REMINDER;
        if due {
            failing.told = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_then_one_in_thirty_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outage = Outage::new("connect", "here");
        let told: Vec<bool> = [0, 1, 29, 30, 31, 59, 60].map(|second| outage.is_due(at(second))).into();
        assert_eq!(told, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn after_a_success_the_next_failure_is_a_first_one() {
        let start = Instant::now();
        let mut outage = Outage::new("connect", "here");
        assert!(outage.is_due(start));
        outage.works();
        assert!(outage.is_due(start));
    }
}
