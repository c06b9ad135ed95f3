//! How the task ends what the parked backlog has no room for, where the endpoint's policy is not to block then.

use std::time::Instant;

use jiff::Timestamp;
use twinroute_common::dead_letter::Failure;
use twinroute_common::route::OnFull;

use super::Task;
use super::wait::now;
use crate::backlog::shelf::Trouble;

/// Code of the letters.
const BACKLOG_FULL: &str = "BACKLOG_FULL";

impl Task {
    /// What there is no room for is given up, and one more letter can be written.
    pub(super) fn gives_up_overflow(&self) -> bool {
        self.overflow_has_a_way() && self.letters.has_room()
    }

    fn overflow_has_a_way(&self) -> bool {
        self.endpoint.policy.on_full == OnFull::DeadLetter && self.letter_box.is_some()
    }

    /// That events wait for room in the backlog, if they do and have no other way.
    pub(super) fn full(&self) -> Option<Trouble> {
        let is_full = self.parking.is_full(now()) && !self.overflow_has_a_way();
        is_full.then(|| Trouble::Full { bytes_max: self.parking.parked_bytes_max() })
    }

    /// Begins the letters of what there is no room for, as far as they can be written.
    pub(super) fn end_overflow(&mut self, now: Instant) {
        let Some(letter_box) = self.letter_box.clone() else { return };
        let bound = self.parking.parked_bytes_max();
        while self.gives_up_overflow()
            && let Some((ticket, delivery)) = self.parking.next_overflow(self.conditions(now), now)
        {
            let failure = Failure {
                reason: format!(
                    "it was not tried: events wait before it, and the parked backlog has reached the worker's part of its bound of \
                     {bound} bytes (parked_bytes_max)"
                ),
                code: BACKLOG_FULL,
                attempts: 0,
                time: Timestamp::now(),
                redrive: None,
            };
            self.letters.write_overflow(letter_box.clone(), (ticket, delivery), failure);
        }
    }
}
