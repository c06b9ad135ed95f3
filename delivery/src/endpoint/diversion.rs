//! When an endpoint's new events are parked instead of handed over: while its circuit breaker is open, and for a while
//! after its events have become too old on the way.

use std::time::{Duration, Instant};

/// How long events of a destination that was too slow are parked: one that stays slow is noticed again, at the cost of
/// what is on its way then.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// Whether new events are parked.
#[derive(Debug, Default)]
pub(super) struct Diversion {
    /// Why the breaker is open; `None` while it is closed.
    tripped: Option<String>,
    /// The destination was too slow; until then it counts as such.
    slow_until: Option<Instant>,
}

impl Diversion {
    /// The destination does not answer: the breaker is open, until [`Diversion::answered`].
    pub(super) fn trip(&mut self, why: &str) {
        if self.tripped.as_deref() != Some(why) {
            self.tripped = Some(why.to_owned());
        }
    }

    /// The destination has answered something.
    pub(super) fn answered(&mut self) {
        self.tripped = None;
    }

    /// Events have become too old on their way.
    pub(super) fn slow(&mut self, now: Instant) {
        self.slow_until = Some(now + SLOW_FOR);
    }

    /// Why the breaker is open.
    pub(super) fn tripped(&self) -> Option<&str> {
        self.tripped.as_deref()
    }

    /// New events are parked.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.tripped.is_some() || self.slow_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_is_open_until_there_is_an_answer() {
        let now = Instant::now();
        let mut diversion = Diversion::default();
        assert!(!diversion.is_on(now));
        diversion.trip("connection refused");
        assert!(diversion.is_on(now + SLOW_FOR * 10));
        assert_eq!(diversion.tripped(), Some("connection refused"));
        diversion.answered();
        assert!(!diversion.is_on(now));
    }

    #[test]
    fn what_was_slow_is_given_a_rest() {
        let now = Instant::now();
        let mut diversion = Diversion::default();
        diversion.slow(now);
        diversion.answered();
        assert!(diversion.is_on(now + SLOW_FOR / 2));
        assert!(!diversion.is_on(now + SLOW_FOR));
    }
}
