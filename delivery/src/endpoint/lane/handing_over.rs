//! What a lane hands over to its sink, and when.

use std::cmp::Reverse;
use std::time::Instant;

use super::Lane;
use super::keys::KEPT_MAX;
use crate::sink::Submission;

/// Keys that are passed by at a time because there is no space for their next event.
const PASSED_MAX: usize = 16;

impl Lane {
    /// The next delivery for the sink, if one may be handed over at `now`; the destination `is_away` or can be reached.
    pub fn next(&mut self, now: Instant, is_away: bool) -> Option<Submission> {
        self.wake(now);
        self.lacks_space = false;
        let has_room = self.open < self.in_flight.events_max;
        if !has_room || !self.is_ready() || !self.gate.may_send(now, self.open) {
            return None;
        }
        let mut passed = 0;
        while let Some(key) = self.ready.pop_front() {
            if !self.may_send(key) {
                self.keys.unlist(key);
                continue;
            }
            if self.share.take(self.keys.next_copy_bytes(key), is_away) {
                self.keys.unlist(key);
                let submission = self.keys.hand_over(key);
                self.open += usize::from(submission.is_some());
                self.list(key);
                return submission;
            }
            // A large one must not hold up the keys behind it.
            self.ready.push_back(key);
            self.lacks_space = true;
            passed += 1;
            if passed >= self.ready.len().min(PASSED_MAX) {
                return None;
            }
        }
        self.ready.shrink_to(KEPT_MAX);
        None
    }

    /// [`Lane::next`] has something more as soon as other endpoints leave space for it, of which nobody is told.
    #[must_use]
    pub fn lacks_space(&self) -> bool {
        self.lacks_space
    }

    /// When [`Lane::next`] may have something that it has not now; `None` when only an answer or a push can bring that.
    /// Later than the last call of `next`.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let resting = self.wakes.peek().map(|Reverse((at, _))| *at);
        let has_room = self.open < self.in_flight.events_max;
        let gate = if has_room && self.is_ready() { self.gate.opens_at() } else { None };
        resting.into_iter().chain(gate).min()
    }
}
