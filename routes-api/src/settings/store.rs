//! Section `store`: how endpoints and routes are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

/// Section `store`: how endpoints and routes are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// How often changes made by other replicas are looked for, in milliseconds.
    pub poll_ms: u64,
    /// Requests that wait for the database; more are refused.
    pub requests_queued_max: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { poll_ms: 500, requests_queued_max: 256 }
    }
}

impl StoreSettings {
    /// `poll_ms`.
    #[must_use]
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        [
            check::range("store.poll_ms", &self.poll_ms, &(10..=60_000)),
            check::range("store.requests_queued_max", &self.requests_queued_max, &(1..=100_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
