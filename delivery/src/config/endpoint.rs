//! Section `endpoint`: what holds for every endpoint, whatever its sink.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

/// Section `endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSettings {
    /// How long an event that its destination refused for good waits until it is tried again, in milliseconds. Default
    /// 30,000: an operator may mend the destination, and a try every half minute harms nobody.
    pub blocked_retry_ms: u64,
    /// How long a sink may take to finish what is on its way when it is closed, in milliseconds. Default 2,000: while
    /// it is closed for a partition that goes to another worker, its other events wait.
    pub close_timeout_ms: u64,
    /// How long a destination may be without an answer about any event, while some are on their way, before its endpoint
    /// counts as down, in milliseconds. Default 10,000: a slow one has answered something by then.
    pub answer_timeout_ms: u64,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self { blocked_retry_ms: 30_000, close_timeout_ms: 2_000, answer_timeout_ms: 10_000 }
    }
}

impl EndpointSettings {
    /// `blocked_retry_ms`.
    #[must_use]
    pub fn blocked_retry(&self) -> Duration {
        Duration::from_millis(self.blocked_retry_ms)
    }

    /// `close_timeout_ms`.
    #[must_use]
    pub fn close_timeout(&self) -> Duration {
        Duration::from_millis(self.close_timeout_ms)
    }

    /// `answer_timeout_ms`.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        [
            check::range("endpoint.blocked_retry_ms", &self.blocked_retry_ms, &(100..=3_600_000)),
            check::range("endpoint.close_timeout_ms", &self.close_timeout_ms, &(10..=60_000)),
            check::range("endpoint.answer_timeout_ms", &self.answer_timeout_ms, &(1_000..=600_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
