//! Section `routes`: the route table, and where it is kept for times without routes-api.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::backoff::Backoff;
use twinroute_common::config::{Problem, check};
use twinroute_common::secret::Secret;

/// Section `routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoutesSettings {
    /// File with the last good table, for a start without routes-api; empty for none.
    pub cache_file: PathBuf,
    /// Key that seals the file, because endpoints hold secrets: 32 bytes in base64, best as a reference.
    pub cache_key: Secret,
    /// How often the state of the endpoints is reported, in milliseconds; changes of health are reported at once.
    pub status_interval_ms: u64,
    /// How long routes-api may take to send the table, in milliseconds. Then the file is used, if there is one.
    pub table_timeout_ms: u64,
    /// Upper end of the first wait before connecting again, in milliseconds.
    pub reconnect_initial_ms: u64,
    /// Upper end of any wait before connecting again, in milliseconds. Default 5,000: changes of routes wait so long.
    pub reconnect_max_ms: u64,
}

impl Default for RoutesSettings {
    fn default() -> Self {
        Self {
            cache_file: PathBuf::new(),
            cache_key: Secret::default(),
            status_interval_ms: 3_000,
            table_timeout_ms: 10_000,
            reconnect_initial_ms: 100,
            reconnect_max_ms: 5_000,
        }
    }
}

impl RoutesSettings {
    /// `status_interval_ms`.
    #[must_use]
    pub fn status_interval(&self) -> Duration {
        Duration::from_millis(self.status_interval_ms)
    }

    /// `table_timeout_ms`.
    #[must_use]
    pub fn table_timeout(&self) -> Duration {
        Duration::from_millis(self.table_timeout_ms)
    }

    /// Waits before connecting again.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        let initial = Duration::from_millis(self.reconnect_initial_ms);
        Backoff::new(initial, Duration::from_millis(self.reconnect_max_ms))
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let has_file = !self.cache_file.as_os_str().is_empty();
        let unsealed = (has_file && self.cache_key.is_empty()).then(|| {
            let message = "is empty, but routes.cache_file is set: the table holds secrets and is written sealed only; \
                           give 32 bytes in base64, such as `openssl rand -base64 32` makes";
            Problem::new("routes.cache_key", message)
        });
        let milliseconds = 10..=3_600_000;
        [
            unsealed,
            check::range("routes.status_interval_ms", &self.status_interval_ms, &(100..=60_000)),
            check::range("routes.table_timeout_ms", &self.table_timeout_ms, &milliseconds),
            check::range("routes.reconnect_initial_ms", &self.reconnect_initial_ms, &milliseconds),
            check::range("routes.reconnect_max_ms", &self.reconnect_max_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
