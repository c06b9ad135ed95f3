//! Parked segments that cannot be read: which they are, and how one is skipped.

use tracing::{info, warn};

use super::Parking;
use crate::backlog::shelf::{Damaged, Shelf};

/// So many damaged segments are told, the first by partition: a message with them stays small.
const TOLD_MAX: usize = 100;

impl Parking {
    /// The damaged segments that are told, by partition, and how many there are.
    pub(super) fn damaged(&self) -> (Vec<Damaged>, usize) {
        let shelves = self.shelves.values().map(|place| &place.shelf);
        let mut damaged: Vec<Damaged> = shelves.filter_map(Shelf::damaged).collect();
        let count = damaged.len();
        damaged.sort_unstable_by_key(|damaged| damaged.partition);
        damaged.truncate(TOLD_MAX);
        (damaged, count)
    }

    /// Skips a damaged segment. One that is not there, or that can be read, is left alone.
    pub(in crate::endpoint) fn skip(&mut self, object: &str) {
        let endpoint = &*self.endpoint;
        for (&partition, place) in &mut self.shelves {
            if place.shelf.skip(object) {
                info!(endpoint, object, partition, "a damaged segment is to be skipped");
                return place.rouse(partition, &mut self.busy);
            }
        }
        info!(endpoint, object, "is no damaged segment of this worker, and is not skipped");
    }

    pub(super) fn count_skipped(&self, skipped: &Damaged) {
        let Damaged { object, partition, events, damage } = skipped;
        self.skipped_segments.inc();
        warn!(
            endpoint = %self.endpoint,
            object,
            partition,
            events,
            "a damaged segment was skipped, and its events are given up: {damage}; what is left of it is kept beside the backlog",
        );
    }
}
