//! What was tried for one delivery. Only the destination's answers about this very event count; those about the connection
//! or another event say nothing of it.

use std::time::Instant;

use super::LanePolicy;
use crate::sink::SinkError;

/// What was tried for one delivery.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// How often the destination answered about it; at least 1.
    pub count: u32,
    /// What it said last.
    pub error: SinkError,
    /// When it answered first. The time to live runs from here, so that no event expires untried.
    first_at: Instant,
}

impl Attempts {
    /// One more than `earlier`, or the first.
    pub(super) fn after(earlier: Option<&Self>, error: &SinkError, now: Instant) -> Self {
        Self {
            count: earlier.map_or(1, |earlier| earlier.count.saturating_add(1)),
            error: error.clone(),
            first_at: earlier.map_or(now, |earlier| earlier.first_at),
        }
    }

    /// The event had as many attempts, or as much time, as the policy gives it.
    pub(super) fn are_used_up(&self, policy: &LanePolicy, now: Instant) -> bool {
        self.count >= policy.attempts_max
            || now.saturating_duration_since(self.first_at) >= policy.time_to_live
    }
}
