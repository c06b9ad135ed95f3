//! How a lane waits between attempts, how many there are, and what comes then.

use std::time::Duration;

use twinroute_common::route::{BackoffRange, Endpoint, OnExhausted};

use crate::config::EndpointSettings;

/// How the lane waits between attempts, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct LanePolicy {
    /// Waits after a failure that may pass.
    pub backoff: BackoffRange,
    /// Wait after a permanent failure, in case that an operator mends the destination.
    pub blocked_retry: Duration,
    /// Attempts of one event, after which a failure is permanent.
    pub attempts_max: u32,
    /// Time from an event's first attempt, after which a failure is permanent.
    pub time_to_live: Duration,
    /// What a permanent failure means.
    pub on_exhausted: Exhausted,
}

/// What a permanent failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The event blocks its key, and is tried again now and then.
    Blocks,
    /// The event is given up, to be ended outside of the lane.
    Ends,
}

impl LanePolicy {
    /// As an endpoint says.
    #[must_use]
    pub fn of(endpoint: &Endpoint, settings: &EndpointSettings) -> Self {
        Self {
            backoff: endpoint.policy.backoff,
            blocked_retry: settings.blocked_retry(),
            attempts_max: endpoint.policy.attempts_max,
            time_to_live: endpoint.policy.time_to_live,
            on_exhausted: match endpoint.on_exhausted() {
                OnExhausted::Block => Exhausted::Blocks,
                OnExhausted::Drop | OnExhausted::DeadLetter => Exhausted::Ends,
            },
        }
    }
}
