//! What a subscription shows of itself.

use std::time::Instant;

use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;

/// What was read and is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unacked {
    /// Number of items.
    pub events: u64,
    /// Sum of their costs.
    pub bytes: u64,
}

/// State of a partition, for people.
#[derive(Clone, Debug)]
pub struct PartitionView {
    /// Number of the partition.
    pub partition: u32,
    /// Its holder and epoch.
    pub holder: Option<(String, Epoch)>,
    /// All items up to here are acknowledged.
    pub settled: Option<Position>,
    /// The oldest item that is not.
    pub oldest_unacked: Option<Position>,
    /// Number of items that are not.
    pub unacked_events: u64,
    /// When its holder acknowledged last.
    pub last_ack: Option<Instant>,
}
