//! What all workers together say of the parked backlog of an endpoint.

use std::collections::BTreeMap;

use super::Workers;

/// Most damaged segments that are shown at a time: who skips them sees the next ones.
const DAMAGED_SHOWN_MAX: usize = 1_000;

/// A segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSegment {
    /// Name of its object in the store.
    pub object: String,
    /// Its partition.
    pub partition: u32,
    /// Events in it.
    pub events: u64,
    /// Why it cannot be read, for people.
    pub error: String,
}

/// The parked backlog of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events in it that are not on their way to the destination.
    pub events: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its segments that cannot be read, by their names.
    pub damaged: Vec<DamagedSegment>,
}

impl Workers {
    /// The parked backlog of an endpoint, over all workers; `None` when none of them reports on the endpoint.
    #[must_use]
    pub fn backlog(&self, endpoint: &str) -> Option<Backlog> {
        let state = self.lock();
        let reports: Vec<_> =
            state.workers.values().filter_map(|worker| worker.endpoints.get(endpoint)).collect();
        if reports.is_empty() {
            return None;
        }
        let mut backlog = Backlog::default();
        // While a partition moves, its former holder and the present one may both name a segment.
        let mut damaged = BTreeMap::new();
        for report in reports {
            backlog.events = backlog.events.saturating_add(report.parked_events);
            backlog.bytes = backlog.bytes.saturating_add(report.backlog_bytes);
            damaged.extend(report.damaged.iter().map(|segment| (&segment.object, segment)));
        }
        backlog.damaged = damaged.into_values().take(DAMAGED_SHOWN_MAX).cloned().collect();
        Some(backlog)
    }
}
