//! Section `watch`: the workers' streams.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

/// Section `watch`: the workers' streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchSettings {
    /// Largest number of connected workers.
    pub workers_max: usize,
    /// How long a worker may take to send its Hello, in milliseconds.
    pub hello_deadline_ms: u64,
    /// Frames that wait for a worker's connection; while it is full, changes are gathered into one.
    pub frames_queued_max: usize,
    /// How long SkipBacklogSegment waits until the segment is skipped, in milliseconds.
    pub skip_deadline_ms: u64,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { workers_max: 1_000, hello_deadline_ms: 10_000, frames_queued_max: 2, skip_deadline_ms: 30_000 }
    }
}

impl WatchSettings {
    /// `hello_deadline_ms`.
    #[must_use]
    pub fn hello_deadline(&self) -> Duration {
        Duration::from_millis(self.hello_deadline_ms)
    }

    /// `skip_deadline_ms`.
    #[must_use]
    pub fn skip_deadline(&self) -> Duration {
        Duration::from_millis(self.skip_deadline_ms)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        [
            check::range("watch.workers_max", &self.workers_max, &(1..=100_000)),
            check::range("watch.hello_deadline_ms", &self.hello_deadline_ms, &(100..=3_600_000)),
            check::range("watch.frames_queued_max", &self.frames_queued_max, &(1..=64)),
            check::range("watch.skip_deadline_ms", &self.skip_deadline_ms, &(100..=600_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
