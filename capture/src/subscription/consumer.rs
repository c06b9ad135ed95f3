//! One consumer's stream, as the subscription sees it: its credit, and what waits to be told or sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use twinroute_common::partition::Epoch;

use super::frame::OutFrame;
use super::stuck::OthersAcks;

/// Largest number of entries of a queued Fenced frame; more only repeat what it says.
const FENCED_MAX: usize = 4096;

/// State of a consumer's stream.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) consumer_id: String,
    pub(super) credit: Credit,
    /// Frames that go before any events.
    pub(super) control: VecDeque<OutFrame>,
    /// Partitions with unsent items, in the order in which they are served.
    pub(super) ready: VecDeque<u32>,
    pub(super) last_ack: Option<Instant>,
    /// Number of items that it was sent under its leases and has not acknowledged.
    in_hand: u64,
    others_acks: OthersAcks,
}

/// What a consumer lets capture send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Credit {
    events: u64,
    /// Below zero when an item larger than what was left was sent.
    bytes: i128,
}

impl Consumer {
    pub(super) fn new(consumer_id: String) -> Self {
        Self {
            consumer_id,
            credit: Credit::default(),
            control: VecDeque::new(),
            ready: VecDeque::new(),
            last_ack: None,
            in_hand: 0,
            others_acks: OthersAcks::default(),
        }
    }

    /// Items were sent to it.
    pub(super) fn take_in_hand(&mut self, items: u64) {
        if self.in_hand == 0 {
            self.others_acks = OthersAcks::default();
        }
        self.in_hand += items;
    }

    /// It has acknowledged items.
    pub(super) fn settle(&mut self, items: u64) {
        self.in_hand -= items;
        self.others_acks = OthersAcks::default();
    }

    /// Its lease of a partition is over, and with it the items in hand.
    pub(super) fn lose(&mut self, partition: u32, items: u64) {
        self.in_hand -= items;
        self.ready.retain(|&ready| ready != partition);
    }

    /// Another consumer has acknowledged items.
    pub(super) fn note_ack_of_another(&mut self, now: Instant, unacked_age_max: Duration) {
        if self.in_hand > 0 {
            self.others_acks.note(now, unacked_age_max);
        }
    }

    /// It acknowledges nothing, and others do.
    pub(super) fn is_stuck(&self, unacked_age_max: Duration) -> bool {
        self.in_hand > 0 && self.others_acks.lasted() >= unacked_age_max
    }

    /// Queues a frame. A later heartbeat's answer or progress takes the place of one that was not sent yet, so that a
    /// consumer that does not read cannot make the queue grow.
    pub(super) fn tell(&mut self, frame: OutFrame) {
        let kind = std::mem::discriminant(&frame);
        if matches!(frame, OutFrame::HeartbeatSeen(_) | OutFrame::Progress { .. }) {
            self.control.retain(|queued| std::mem::discriminant(queued) != kind);
        }
        self.control.push_back(frame);
    }

    /// Queues the answer to late acks, one entry per partition and epoch.
    pub(super) fn tell_fenced(&mut self, late: Vec<(u32, Epoch)>) {
        if late.is_empty() {
            return;
        }
        let queued = self.control.iter_mut().find_map(|frame| match frame {
            OutFrame::Fenced(fenced) => Some(fenced),
            _ => None,
        });
        match queued {
            Some(fenced) => {
                let new: Vec<_> = late.into_iter().filter(|one| !fenced.contains(one)).collect();
                fenced.extend(new.into_iter().take(FENCED_MAX.saturating_sub(fenced.len())));
            }
            None => self.control.push_back(OutFrame::Fenced(late)),
        }
    }
}

impl Credit {
    pub(super) fn add(&mut self, events: u64, bytes: u64) {
        self.events = self.events.saturating_add(events);
        self.bytes = self.bytes.saturating_add(i128::from(bytes));
    }

    /// An item may be sent, however large it is.
    pub(super) fn allows_one(self) -> bool {
        self.events > 0 && self.bytes > 0
    }

    pub(super) fn take(&mut self, cost_bytes: u64) {
        self.events = self.events.saturating_sub(1);
        self.bytes -= i128::from(cost_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_may_overdraw_and_none_after_it() {
        let mut credit = Credit::default();
        assert!(!credit.allows_one());
        credit.add(10, 100);
        assert!(credit.allows_one());
        credit.take(1000);
        assert!(!credit.allows_one());
        credit.add(0, 900);
        assert!(!credit.allows_one());
        credit.add(0, 1);
        assert!(credit.allows_one());
    }
}
