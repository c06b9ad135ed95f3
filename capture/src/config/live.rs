//! Section `live`: consumers that want what happens from now on.

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

use crate::subscription::Unacked;

/// Section `live`: bounds of live consumers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveSettings {
    /// Largest number of connected live consumers.
    pub consumers_max: usize,
    /// One that has this many un-acknowledged items is cut off.
    pub unacked_events_max: u64,
    /// One that has this many un-acknowledged bytes is cut off.
    pub unacked_bytes_max: u64,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self { consumers_max: 8, unacked_events_max: 20_000, unacked_bytes_max: 8 << 20 }
    }
}

impl LiveSettings {
    /// What may be un-acknowledged by a live consumer.
    #[must_use]
    pub fn unacked_max(&self) -> Unacked {
        Unacked { events: self.unacked_events_max, bytes: self.unacked_bytes_max }
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        [
            check::range("live.consumers_max", &self.consumers_max, &(1..=1_000)),
            check::non_zero("live.unacked_events_max", &self.unacked_events_max),
            check::non_zero("live.unacked_bytes_max", &self.unacked_bytes_max),
        ]
        .into_iter()
        .flatten()
    }
}
