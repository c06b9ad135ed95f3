//! Section `stream`: what is taken from capture, and how much of it at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::backoff::Backoff;
use twinroute_common::config::{Problem, check};

/// Section `stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Name of the subscription, shared by all workers.
    pub subscription: String,
    /// Token that all workers must share; empty for none.
    pub group_token: String,
    /// Items that may be in this worker. Default 16,384: 100,000 events/s at 160 ms from receipt to acknowledgement.
    pub credit_events_max: u64,
    /// Bytes of the items that may be in this worker. Default 24 MiB: some 10,000 events of 1 KiB; rendered they
    /// take about twice that.
    pub credit_bytes_max: u64,
    /// How long acknowledgements and credit are gathered, in milliseconds. Default 5: few frames under load, and no
    /// delay that anybody notices.
    pub ack_interval_ms: u64,
    /// How long capture may take to answer Hello, in milliseconds. Default 10,000: it may have to look at its slot.
    pub welcome_timeout_ms: u64,
    /// Upper end of the first wait before connecting again, in milliseconds.
    pub reconnect_initial_ms: u64,
    /// Upper end of any wait before connecting again, in milliseconds. Default 5,000: capture is needed for all work.
    pub reconnect_max_ms: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            subscription: "delivery".to_owned(),
            group_token: String::new(),
            credit_events_max: 16_384,
            credit_bytes_max: 24 * 1024 * 1024,
            ack_interval_ms: 5,
            welcome_timeout_ms: 10_000,
            reconnect_initial_ms: 100,
            reconnect_max_ms: 5_000,
        }
    }
}

impl StreamSettings {
    /// `ack_interval_ms`.
    #[must_use]
    pub fn ack_interval(&self) -> Duration {
        Duration::from_millis(self.ack_interval_ms)
    }

    /// `welcome_timeout_ms`.
    #[must_use]
    pub fn welcome_timeout(&self) -> Duration {
        Duration::from_millis(self.welcome_timeout_ms)
    }

    /// Waits before connecting again.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        let initial = Duration::from_millis(self.reconnect_initial_ms);
        Backoff::new(initial, Duration::from_millis(self.reconnect_max_ms))
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let milliseconds = 10..=3_600_000;
        [
            check::not_empty(
                "stream.subscription",
                &self.subscription,
                "name the subscription of the workers",
            ),
            check::range("stream.credit_events_max", &self.credit_events_max, &(64..=10_000_000)),
            check::range("stream.credit_bytes_max", &self.credit_bytes_max, &(1 << 20..=1 << 40)),
            check::range("stream.ack_interval_ms", &self.ack_interval_ms, &(0..=1_000)),
            check::range("stream.welcome_timeout_ms", &self.welcome_timeout_ms, &milliseconds),
            check::range("stream.reconnect_initial_ms", &self.reconnect_initial_ms, &milliseconds),
            check::range("stream.reconnect_max_ms", &self.reconnect_max_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
