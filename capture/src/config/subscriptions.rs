//! Section `subscriptions`: what `CreateSubscription` may make.

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};

use crate::postgres::options::Created;
use crate::retention::{Policy, Retention};
use crate::subscription::Unacked;

/// Section `subscriptions`: subscriptions beside the configured one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriptionsSettings {
    /// Largest number of subscriptions that calls may create.
    pub created_max: usize,
    /// How often rows of others are looked for, in milliseconds.
    pub poll_ms: u64,
    /// WAL that a slot may keep, where the subscription has no bound of its own, in bytes.
    pub wal_retained_bytes_max: u64,
    /// Reading for one of them stops at this many un-acknowledged items.
    pub unacked_events_max: u64,
    /// Reading for one of them stops at this many un-acknowledged bytes.
    pub unacked_bytes_max: u64,
}

impl Default for SubscriptionsSettings {
    fn default() -> Self {
        Self {
            created_max: 4,
            poll_ms: 1_000,
            wal_retained_bytes_max: 8 << 30,
            unacked_events_max: 20_000,
            unacked_bytes_max: 8 << 20,
        }
    }
}

impl SubscriptionsSettings {
    /// How much WAL a subscription may hold back. The configured one, which nobody has created, is never dropped.
    #[must_use]
    pub fn retention(&self, created: Option<&Created>) -> Retention {
        let reported =
            Retention { wal_retained_bytes_max: self.wal_retained_bytes_max, policy: Policy::Report };
        created.map_or(reported, |created| created.retention)
    }

    /// What may be un-acknowledged in one of them.
    #[must_use]
    pub fn unacked_max(&self) -> Unacked {
        Unacked { events: self.unacked_events_max, bytes: self.unacked_bytes_max }
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        [
            // A walsender for each; servers seldom have more than a few dozen slots.
            check::range("subscriptions.created_max", &self.created_max, &(0..=100)),
            check::range("subscriptions.poll_ms", &self.poll_ms, &(50..=3_600_000)),
            check::non_zero("subscriptions.wal_retained_bytes_max", &self.wal_retained_bytes_max),
            check::non_zero("subscriptions.unacked_events_max", &self.unacked_events_max),
            check::non_zero("subscriptions.unacked_bytes_max", &self.unacked_bytes_max),
        ]
        .into_iter()
        .flatten()
    }
}
