//! A holder of the partition: the real shelf, with a lane that is a list.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use twinroute_common::backoff::Backoff;
use twinroute_common::partition::Epoch;

use crate::backlog::name::Folder;
use crate::backlog::operation::{Operation, Outcome};
use crate::backlog::shelf::{Leave, Shelf, ShelfLimits, Taken};
use crate::delivery::{Delivery, Origin};
use crate::settlement::{ItemRef, LeaseId};
use crate::sink::test_events::twin_update;

/// CloudEvents `sequence` of an event.
pub(super) fn sequence(event: u32) -> String {
    format!("{event:08}")
}

#[derive(Debug)]
pub(super) struct Holder {
    pub(super) shelf: Shelf,
    lease: LeaseId,
    /// What is to be delivered, in order per key.
    lane: VecDeque<Delivery>,
    /// The next event that capture sends.
    pub(super) received: u32,
    /// Where capture began.
    resumed: u32,
    settled: BTreeSet<u32>,
    pub(super) is_down: bool,
    pub(super) running: Option<Operation>,
}

impl Holder {
    pub(super) fn new(folder: Folder, epoch: Epoch, resumed: u32, settled: Option<String>) -> Self {
        let lease = LeaseId(epoch.counter);
        let limits = ShelfLimits {
            segment_bytes_max: 1_500,
            segment_linger: Duration::from_millis(50),
            former_ends: Duration::from_secs(3_600),
            backoff: Backoff::seeded(Duration::from_millis(1), Duration::from_millis(1), 1),
        };
        Self {
            shelf: Shelf::new(folder, 0, (lease, epoch), settled, limits),
            lease,
            lane: VecDeque::new(),
            received: resumed,
            resumed,
            settled: BTreeSet::new(),
            is_down: false,
            running: None,
        }
    }

    fn leave(&self, choice: u8) -> Leave {
        let read_bytes = if choice.is_multiple_of(3) { 0 } else { u64::MAX };
        Leave { park: self.is_down, read_bytes, write_bytes: u64::MAX, copy_bytes: u64::MAX }
    }

    /// Capture sends an event.
    pub(super) fn receive(&mut self, event: u32, key: u8, now: Instant) {
        self.received = event + 1;
        let mut cloud_event = twin_update(&format!("key-{key}"));
        cloud_event.sequence = sequence(event).into();
        let item = ItemRef { lease: self.lease, batch: 1, item: event, partition: 0 };
        let delivery = Delivery { origin: Origin::Stream(item), event: cloud_event.into() };
        if self.is_down || !self.shelf.is_direct() {
            self.shelf.push(delivery, now);
        } else {
            self.lane.push_back(delivery);
        }
    }

    /// The destination goes down, or comes back.
    pub(super) fn toggle(&mut self, now: Instant) {
        self.is_down = !self.is_down;
        if self.is_down {
            let is_of_stream = |delivery: &Delivery| matches!(delivery.origin, Origin::Stream(_));
            let (withdrawn, kept): (Vec<_>, Vec<_>) = self.lane.drain(..).partition(is_of_stream);
            self.lane.extend(kept);
            self.shelf.push_before(withdrawn, now);
        }
    }

    /// Starts the next operation, if none runs.
    pub(super) fn start(&mut self, choice: u8, now: Instant) {
        let leave = self.leave(choice);
        self.lane.extend(self.shelf.take_direct(leave));
        if self.running.is_none() {
            self.running = self.shelf.start(leave, now);
        }
    }

    pub(super) fn take(&mut self, outcome: Outcome, now: Instant) {
        let Taken { loaded, durable, .. } = self.shelf.take(outcome, now);
        self.lane.extend(loaded);
        for origin in durable {
            self.settle(origin);
        }
    }

    /// The destination takes the first event of a key.
    pub(super) fn deliver(&mut self, choice: u8, delivered: &mut Vec<u32>) {
        if self.is_down || self.lane.is_empty() {
            return;
        }
        let picked = usize::from(choice) % self.lane.len();
        let Some(key) = self.lane.get(picked).map(|delivery| delivery.event.partition_key.clone()) else {
            return;
        };
        let first = self.lane.iter().position(|delivery| delivery.event.partition_key == key);
        if let Some(delivery) = first.and_then(|first| self.lane.remove(first)) {
            delivered.push(delivery.event.sequence.parse().unwrap_or(u32::MAX));
            self.settle(delivery.origin);
        }
    }

    fn settle(&mut self, origin: Origin) {
        match origin {
            Origin::Stream(item) => {
                self.settled.insert(item.item);
            }
            Origin::Backlog(parked) => self.shelf.delivered(parked),
            // What is redriven is never parked.
            Origin::Redriven(_) => {}
        }
    }

    /// An operator skips the segment that cannot be read, if there is one.
    pub(super) fn skip(&mut self) {
        if let Some(damaged) = self.shelf.damaged() {
            self.shelf.skip(&damaged.object);
        }
    }

    /// Events below this are settled without a hole.
    pub(super) fn settled(&self) -> u32 {
        (self.resumed..).find(|event| !self.settled.contains(event)).unwrap_or(self.resumed)
    }

    /// Something is settled before something that is not.
    pub(super) fn has_hole(&self) -> bool {
        self.settled.last().is_some_and(|last| *last >= self.settled())
    }

    pub(super) fn is_done(&self) -> bool {
        self.lane.is_empty() && self.shelf.is_idle()
    }
}
