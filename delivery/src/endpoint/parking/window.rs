//! How much an endpoint may read back and write, by what it has in memory and by the space that all endpoints share.
//!
//! What is read back of a partition in which an event blocks its key may stay for as long as an operator takes. It takes
//! nothing of the window of the others, and has the one window itself, with what was read before its events blocked. All of
//! it is within the endpoint's part of the space.

use super::{Conditions, Parking, Place};
use crate::backlog::shelf::{Leave, Stock};

/// A segment that is being read is there twice: as it is stored, and as its events.
const READING_COPIES: u64 = 2;

impl Parking {
    /// What the shelf of a partition may do.
    pub(super) fn leave(&self, partition: u32, stock: Stock, conditions: Conditions) -> Leave {
        let Stock { bytes, writing_bytes, .. } = stock;
        let before = self.before(partition, stock);
        let wanted_bytes = self.wanted_bytes(before, conditions);
        Leave {
            park: conditions.diverted,
            read_bytes: wanted_bytes.min(self.readable_bytes(before, stock, conditions)),
            write_bytes: self.share_bytes_max().saturating_sub(bytes + writing_bytes),
            copy_bytes: self.written.free(false),
        }
    }

    /// Bytes that would be read for a partition if there were space, with so many `before` it.
    pub(super) fn wanted_bytes(&self, before: u64, conditions: Conditions) -> u64 {
        match before {
            // One is read however large it is: otherwise the backlog would never be tried.
            0 => u64::MAX,
            _ if conditions.tripped => 0,
            before => self.read_bytes_max.saturating_sub(before),
        }
    }

    /// Bytes that there is space to read. A common segment always has some where there are few others: its destination goes on.
    fn readable_bytes(&self, before: u64, stock: Stock, conditions: Conditions) -> u64 {
        let segment_bytes_max = self.context.as_ref().map_or(0, |context| context.settings.segment_bytes_max);
        let goes_on = before == 0 && stock.in_memory_bytes() < self.read_bytes_max;
        let always = if goes_on { segment_bytes_max.saturating_mul(2) } else { 0 };
        (self.read.free(conditions.away) / READING_COPIES).max(always)
    }

    /// What takes of the window in which a partition reads, in bytes.
    pub(super) fn before(&self, partition: u32, stock: Stock) -> u64 {
        let moving = stock.in_memory_bytes().saturating_sub(stock.blocked_bytes);
        match self.shelves.get(&partition) {
            Some(place) if self.blocked.contains(&partition) => {
                let own = place.shelf.stock().in_memory_bytes();
                stock.blocked_bytes.max(moving + own)
            }
            _ => moving,
        }
    }

    /// Takes of the space of all endpoints what there is now.
    pub(super) fn hold(&mut self, stock: Stock) {
        self.written.hold(stock.writing_bytes);
        self.read.hold(stock.reading_bytes * READING_COPIES + stock.read_bytes);
    }

    /// What all shelves have.
    pub(super) fn stock(&self) -> Stock {
        let mut sum = Stock::default();
        for (partition, Place { shelf, .. }) in &self.shelves {
            let Stock {
                bytes, writing_bytes, unread_events, reading_bytes, read_bytes, waiting_events, ..
            } = shelf.stock();
            sum.bytes += bytes;
            sum.writing_bytes += writing_bytes;
            sum.unread_events += unread_events;
            sum.reading_bytes += reading_bytes;
            sum.read_bytes += read_bytes;
            sum.waiting_events += waiting_events;
            if self.blocked.contains(partition) {
                sum.blocked_bytes += reading_bytes + read_bytes;
            }
        }
        sum
    }
}
