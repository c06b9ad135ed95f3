//! What a shelf has, and why it does not go on.

use std::time::Instant;

use super::segments::Totals;
use super::{Phase, Shelf};
use crate::backlog::operation::Operation;
use crate::backlog::segment::Damage;

impl Shelf {
    /// How the shelf is.
    #[must_use]
    pub fn stock(&self) -> Stock {
        let Totals { bytes, unread_events, read_bytes } = self.segments.totals();
        let writing = self.writing.as_ref().map_or(0, |writing| writing.deliveries.len());
        let waiting_events = (writing + self.overflow.len() + self.behind.len()) as u64;
        let writing_bytes = self.writing.as_ref().map_or(0, |writing| writing.bytes);
        let is_reading = matches!(self.running, Some(Operation::Read(..)));
        let reading_bytes =
            if is_reading { self.segments.reading().map_or(0, |stored| stored.bytes) } else { 0 };
        Stock {
            bytes,
            writing_bytes,
            unread_events,
            reading_bytes,
            read_bytes,
            blocked_bytes: 0,
            waiting_events,
        }
    }

    /// It is known what there is.
    #[must_use]
    pub fn is_looked_through(&self) -> bool {
        self.phase != Phase::Unknown
    }

    /// Since when the oldest event is here that is not delivered.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let stored = self.segments.iter().next().map(|stored| stored.since);
        stored.or(self.behind_since)
    }

    /// Why the shelf does not go on: the segment that cannot be read, or the operation that fails.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        // Of one that is to be set aside is said why that fails.
        let is_skipped = self.segments.skipped().is_some() && self.error.is_some();
        let damaged = self.damaged().filter(|_| !is_skipped).map(Trouble::Damaged);
        let fenced = (self.phase == Phase::Fenced).then_some(Trouble::Fenced { partition: self.partition });
        fenced.or(damaged).or_else(|| self.error.clone().map(Trouble::Store))
    }
}

/// What a shelf has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Size of all segments in bytes.
    pub bytes: u64,
    /// Size of the segments that are being written, in bytes.
    pub writing_bytes: u64,
    /// Events that are parked and not with the lane.
    pub unread_events: u64,
    /// Size of the segments that are being read in bytes.
    pub reading_bytes: u64,
    /// Size of the segments that are with the lane in bytes.
    pub read_bytes: u64,
    /// Of what is read back or being read, what is in partitions in which an event blocks its key, in bytes.
    pub blocked_bytes: u64,
    /// Events that wait to be parked, or for what is before them.
    pub waiting_events: u64,
}

impl Stock {
    /// Size of what is read back, or is about to be, in bytes.
    #[must_use]
    pub fn in_memory_bytes(&self) -> u64 {
        self.reading_bytes + self.read_bytes
    }
}

/// A segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Path of its object.
    pub object: String,
    /// Its partition.
    pub partition: u32,
    /// Events in it, by its name.
    pub events: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

/// Why a shelf does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing behind a segment that cannot be read is delivered, until an operator puts it right.
    #[error(
        "the parked segment {} cannot be read: {}; nothing behind it in partition {} is delivered until SkipBacklogSegment \
         gives its {} events up, or it is put right and this worker is started again",
        .0.object, .0.damage, .0.partition, .0.events
    )]
    Damaged(Damaged),
    /// A later holder has claimed what is parked: this one is about to be told, or the store was used by another capture.
    #[error(
        "what is parked of partition {partition} was claimed under a later epoch; unless this worker is about to lose the \
         partition, the store belongs to another capture: give each its own backlog.url"
    )]
    Fenced {
        /// The partition.
        partition: u32,
    },
    /// Events wait to be parked, and the endpoint's bound leaves no room.
    #[error(
        "the parked backlog is full: it has reached this worker's part of parked_bytes_max ({bytes_max} bytes), and newer events \
         wait unacknowledged, in the end those of other endpoints too; mend the destination, raise parked_bytes_max, or let \
         on_full be DEAD_LETTER"
    )]
    Full {
        /// The endpoint's bound over all workers.
        bytes_max: u64,
    },
    /// An operation on the store fails and is tried again.
    #[error("events cannot be parked or read back: {0}")]
    Store(String),
}
