//! Section `backlog`: where events are parked that a destination does not take.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{Problem, check};
use twinroute_common::object_container::Location;
use twinroute_common::secret::Secret;

/// Section `backlog`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BacklogSettings {
    /// A directory, `file:///path`, or a container, `https://<account>.blob.core.windows.net/<container>`, that all workers
    /// of a subscription share, and nobody else; empty for none: then a destination that is down stops the others when
    /// its events have used up the credit.
    pub url: String,
    /// SAS of the container with read, create, write, list and delete permission, best as a reference.
    pub sas: Secret,
    /// A segment is written when so many bytes wait. Default 1 MiB: large enough for few objects, small enough to read
    /// one for each endpoint.
    pub segment_bytes_max: u64,
    /// And when the first of them has waited so long, in milliseconds. Default 200: so long acknowledgements wait while a
    /// destination is down.
    pub segment_linger_ms: u64,
    /// Bytes of parked events that an endpoint has in memory while it catches up, as far as there is space for all of them.
    /// Default 4 MiB: enough to keep a sink busy. What refused events block is beside it.
    pub read_bytes_max: u64,
    /// Parked bytes of one endpoint over all workers, unless the endpoint's policy says otherwise. Default 10 GiB: some hours
    /// of 1,000 events/s. Then the policy's `on_full` decides.
    pub parked_bytes_max: u64,
    /// Operations on the store that one endpoint has running. Default 16: enough for a remote store that takes 20 ms for
    /// each.
    pub operations_max: u32,
    /// How long one operation may take, in milliseconds. Default 30,000; then it is tried again.
    pub operation_timeout_ms: u64,
}

impl Default for BacklogSettings {
    fn default() -> Self {
        Self {
            url: "file:///var/lib/twinroute/backlog".to_owned(),
            sas: Secret::default(),
            segment_bytes_max: 1024 * 1024,
            segment_linger_ms: 200,
            read_bytes_max: 4 * 1024 * 1024,
            parked_bytes_max: 10 * 1024 * 1024 * 1024,
            operations_max: 16,
            operation_timeout_ms: 30_000,
        }
    }
}

impl BacklogSettings {
    /// Events are parked.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.url.is_empty()
    }

    /// The store is reached over the network, and may be away.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(Location::parse(&self.url), Ok(Location::Azure { .. }))
    }

    /// `segment_linger_ms`.
    #[must_use]
    pub fn segment_linger(&self) -> Duration {
        Duration::from_millis(self.segment_linger_ms)
    }

    /// `operation_timeout_ms`.
    #[must_use]
    pub fn operation_timeout(&self) -> Duration {
        Duration::from_millis(self.operation_timeout_ms)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let refusal = Some(&self.url).filter(|_| self.is_used()).and_then(|url| Location::parse(url).err());
        let url = refusal.map(|refusal| {
            let message = format!("{refusal}; or a directory: file:///path. Leave it empty to park nothing");
            Problem::new("backlog.url", message)
        });
        let bytes = 4_096..=1 << 40;
        [
            url,
            check::range("backlog.segment_bytes_max", &self.segment_bytes_max, &(4_096..=64 << 20)),
            check::range("backlog.segment_linger_ms", &self.segment_linger_ms, &(1..=10_000)),
            check::range("backlog.read_bytes_max", &self.read_bytes_max, &bytes),
            check::range("backlog.parked_bytes_max", &self.parked_bytes_max, &(4_096..=1 << 50)),
            check::range("backlog.operations_max", &self.operations_max, &(1..=1_024)),
            check::range("backlog.operation_timeout_ms", &self.operation_timeout_ms, &(100..=600_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
