//! How an endpoint is at this worker.

use std::time::{Instant, SystemTime};

use super::health::State;
use crate::backlog::shelf::Damaged;

/// How an endpoint is at this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Its state.
    pub state: State,
    /// Since when it is in this state.
    pub since: SystemTime,
    /// Last error, for people; empty when there was none.
    pub last_error: String,
    /// Why its sink could not be started, while that is so.
    pub refused: Option<String>,
    /// Events that were matched and are not delivered, parked ones included.
    pub undelivered: u64,
    /// When the oldest of them came to the endpoint.
    pub oldest: Option<Instant>,
    /// Events that are parked and not read back yet.
    pub parked_events: u64,
    /// Size of the parked segments in bytes.
    pub parked_bytes: u64,
    /// More may be parked than is known: not all was looked through.
    pub is_unknown: bool,
    /// Parked segments that cannot be read, by partition; no more than can be told at a time.
    pub damaged_segments: Vec<Damaged>,
    /// How many there are.
    pub damaged_count: usize,
}
