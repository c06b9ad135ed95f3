//! What a shelf has, and why it does not go on.

use crate::backlog::segment::Damage;

/// What a shelf has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Size of all segments in bytes.
    pub bytes: u64,
    /// Events that are parked and not with the lane.
    pub unread_events: u64,
    /// Size of the segments that are with the lane in bytes.
    pub read_bytes: u64,
    /// Events that wait to be parked, or for what is before them.
    pub waiting_events: u64,
}

/// Why a shelf does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing behind a segment that cannot be read is delivered, until an operator skips it.
    #[error(
        "the parked segment {object} cannot be read: {damage}; nothing behind it in partition {partition} is \
             delivered until it is skipped by SkipBacklogSegment"
    )]
    Damaged {
        /// Path of its object.
        object: String,
        /// Its partition.
        partition: u32,
        /// What is wrong with it.
        damage: Damage,
    },
    /// An operation on the store fails and is tried again.
    #[error("events cannot be parked or read back: {0}")]
    Store(String),
}
