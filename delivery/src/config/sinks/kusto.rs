//! Limits of an Azure Data Explorer sink.

use serde::{Deserialize, Serialize};

use twinroute_common::config::{Problem, check::range};

/// Limits of an Azure Data Explorer sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KustoLimits {
    /// Events that are not yet accepted by the ingestion queue. Default 20,000: a blob that is being shipped and one
    /// that is being filled.
    pub in_flight_events_max: usize,
    /// Events at which blobs are cut early. Default 10,000: half of `in_flight_events_max`, so that one half is filled
    /// while the other is shipped.
    pub early_cut_events: usize,
    /// Bytes of rows, before compression, at which a blob is cut. Default 8 MiB: Kusto likes few large blobs, and this
    /// much fits in memory for three tables.
    pub blob_bytes_max: usize,
    /// Age of a blob's first row at which it is cut, in milliseconds. Default 5,000: few blobs, and little beside the
    /// minutes for which Kusto itself gathers them. Without a backlog store it holds back acknowledgements.
    pub blob_age_ms: u64,
    /// How long one blob and its message may take, in milliseconds. Default 60,000: 8 MiB at 1.5 Mbit/s.
    pub upload_deadline_ms: u64,
    /// How long the ingestion endpoint may take for one answer, in milliseconds. Default 30,000: commands on tables
    /// are slow on a busy cluster.
    pub management_deadline_ms: u64,
    /// How old the list of containers and queues may become, in seconds. Default 3,600: as Kusto recommends; their
    /// signatures last for a day.
    pub resources_refresh_s: u64,
    /// Upper end of the first wait after a failure, in milliseconds. Default 200.
    pub retry_initial_ms: u64,
    /// Upper end of any wait after a failure, in milliseconds, a server's `Retry-After` included. Default 60,000: a
    /// throttled cluster asks for tens of seconds.
    pub retry_max_ms: u64,
}

impl Default for KustoLimits {
    fn default() -> Self {
        Self {
            in_flight_events_max: 20_000,
            early_cut_events: 10_000,
            blob_bytes_max: 8 * 1024 * 1024,
            blob_age_ms: 5_000,
            upload_deadline_ms: 60_000,
            management_deadline_ms: 30_000,
            resources_refresh_s: 3_600,
            retry_initial_ms: 200,
            retry_max_ms: 60_000,
        }
    }
}

impl KustoLimits {
    /// What does not work.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let milliseconds = 10..=600_000;
        let early_cut = 1..=self.in_flight_events_max;
        [
            range("sink.kusto.in_flight_events_max", &self.in_flight_events_max, &(1..=1_000_000)),
            range("sink.kusto.early_cut_events", &self.early_cut_events, &early_cut),
            range("sink.kusto.blob_bytes_max", &self.blob_bytes_max, &(1_024..=1_073_741_824)),
            range("sink.kusto.blob_age_ms", &self.blob_age_ms, &milliseconds),
            range("sink.kusto.upload_deadline_ms", &self.upload_deadline_ms, &milliseconds),
            range("sink.kusto.management_deadline_ms", &self.management_deadline_ms, &milliseconds),
            range("sink.kusto.resources_refresh_s", &self.resources_refresh_s, &(1..=86_400)),
            range("sink.kusto.retry_initial_ms", &self.retry_initial_ms, &milliseconds),
            range("sink.kusto.retry_max_ms", &self.retry_max_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
