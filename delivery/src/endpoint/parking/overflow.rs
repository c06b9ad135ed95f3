//! What a full backlog has no room for: handed out to be given up, and taken back when that could not be done.

use std::time::Instant;

use super::{Conditions, FULL_AFTER, Parking};
use crate::backlog::shelf::Shelf;
use crate::delivery::{Delivery, Origin};
use crate::settlement::ItemRef;

impl Parking {
    /// The next event to give up for want of room, if there is one.
    pub(in crate::endpoint) fn next_overflow(
        &mut self,
        conditions: Conditions,
        now: Instant,
    ) -> Option<(u64, Delivery)> {
        if !conditions.gives_up || self.overflow_from.is_some_and(|from| from > now) {
            return None;
        }
        let stock = self.stock();
        let leaves =
            self.busy.iter().map(|partition| (*partition, self.leave(*partition, stock, conditions)));
        let leaves: Vec<_> = leaves.collect();
        leaves
            .into_iter()
            .find_map(|(partition, leave)| self.shelves.get_mut(&partition)?.shelf.next_overflow(leave, now))
    }

    /// An event was given up. An item that needs nothing more by it is added to `settled`.
    pub(in crate::endpoint) fn end_overflow(
        &mut self,
        (ticket, origin): (u64, Origin),
        now: Instant,
        settled: &mut Vec<ItemRef>,
    ) {
        self.overflow_backoff.reset();
        if self.shelf_of(origin).is_some_and(|shelf| shelf.end_overflow(ticket, now)) {
            self.settle(origin, settled);
        }
    }

    /// An event could not be given up: it waits again, and none is given up for a while.
    pub(in crate::endpoint) fn keep_overflow(&mut self, (ticket, origin): (u64, Origin), now: Instant) {
        self.overflow_from = Some(now + self.overflow_backoff.next());
        if let Some(shelf) = self.shelf_of(origin) {
            shelf.keep_overflow(ticket, now);
        }
    }

    /// The shelf of an event, unless its lease is over.
    fn shelf_of(&mut self, origin: Origin) -> Option<&mut Shelf> {
        let place = self.shelves.get_mut(&origin.partition())?;
        Some(&mut place.shelf).filter(|shelf| shelf.lease() == origin.lease())
    }

    /// Nothing is given up any more of what was handed out.
    pub(in crate::endpoint) fn keep_all_overflow(&mut self, now: Instant) {
        for place in self.shelves.values_mut() {
            place.shelf.keep_all_overflow(now);
        }
    }

    /// For some time there has always been something that waits to be parked, and no room for it.
    pub(in crate::endpoint) fn is_full(&self, now: Instant) -> bool {
        self.full_since.is_some_and(|since| since + FULL_AFTER <= now)
    }

    /// The bound of what all workers park, in bytes.
    pub(in crate::endpoint) fn parked_bytes_max(&self) -> u64 {
        self.parked_bytes_max
    }

    /// This worker's part of it: as large as its part of all partitions, and one segment at least.
    pub(super) fn share_bytes_max(&self) -> u64 {
        match self.share {
            (_, 0) => self.parked_bytes_max,
            (held, count) => {
                let share = u128::from(self.parked_bytes_max) * held as u128 / u128::from(count);
                let segment = self.context.as_ref().map_or(0, |context| context.settings.segment_bytes_max);
                u64::try_from(share).unwrap_or(u64::MAX).max(segment.min(self.parked_bytes_max))
            }
        }
    }
}
