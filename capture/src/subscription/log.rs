//! The un-acknowledged items of one partition, and how far they were sent to its holder.

use std::collections::VecDeque;
use std::sync::Arc;

use twinroute_common::event::Item;
use twinroute_common::position::Position;

/// Items in the order they were read. Those in front of `sent` are with the holder, in batches.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    items: VecDeque<Entry>,
    /// Number of items, from the front, that were sent under the present lease.
    sent: usize,
    /// Batches of the present lease that are not acknowledged.
    batches: VecDeque<SentBatch>,
    /// Number of the batch sent last, and of the one acknowledged last, under the present lease.
    last_sent: u64,
    settled: Option<Position>,
    complete_through: Option<Position>,
}

/// An item that waits for its acknowledgement.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) item: Arc<Item>,
    /// Number of its transaction.
    pub(super) transaction: u64,
    /// See [`Item::cost_bytes`].
    pub(super) cost_bytes: u64,
}

#[derive(Debug)]
struct SentBatch {
    number: u64,
    items: usize,
}

/// An ack names a batch that was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AheadOfSent {
    pub(super) last_sent: u64,
}

impl PartitionLog {
    pub(super) fn push(&mut self, entry: Entry) {
        self.items.push_back(entry);
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.items.len()
    }

    /// Cost of the next item to send, in bytes.
    pub(super) fn next_cost_bytes(&self) -> Option<u64> {
        self.items.get(self.sent).map(|entry| entry.cost_bytes)
    }

    /// Takes the next item as part of a batch that [`Self::end_batch`] closes.
    pub(super) fn send_next(&mut self) -> Option<Arc<Item>> {
        let item = self.items.get(self.sent).map(|entry| Arc::clone(&entry.item))?;
        self.sent += 1;
        self.complete_through = Some(item.position());
        Some(item)
    }

    /// Closes a batch of the items taken last, and gives its number.
    pub(super) fn end_batch(&mut self, items: usize) -> u64 {
        self.last_sent += 1;
        self.batches.push_back(SentBatch { number: self.last_sent, items });
        self.last_sent
    }

    /// All batches up to `batch` are durable: gives their items.
    pub(super) fn ack(&mut self, batch: u64) -> Result<impl Iterator<Item = Entry> + '_, AheadOfSent> {
        if batch > self.last_sent {
            return Err(AheadOfSent { last_sent: self.last_sent });
        }
        let acked = self.batches.partition_point(|sent| sent.number <= batch);
        let items: usize = self.batches.drain(..acked).map(|sent| sent.items).sum();
        self.sent -= items;
        if let Some(last) = items.checked_sub(1).and_then(|last| self.items.get(last)) {
            self.settled = Some(last.item.position());
        }
        Ok(self.items.drain(..items))
    }

    /// The lease is over: what was sent and not acknowledged will be sent again, to the next holder. Gives its number.
    pub(super) fn rewind(&mut self) -> usize {
        let in_hand = std::mem::take(&mut self.sent);
        self.batches.clear();
        self.last_sent = 0;
        self.complete_through = self.settled;
        in_hand
    }

    pub(super) fn unacked(&self) -> usize {
        self.items.len()
    }

    /// Position of the oldest item that is not acknowledged.
    pub(super) fn oldest_unacked(&self) -> Option<Position> {
        self.items.front().map(|entry| entry.item.position())
    }

    /// Number of that item's transaction.
    pub(super) fn oldest_transaction(&self) -> Option<u64> {
        self.items.front().map(|entry| entry.transaction)
    }

    /// Position up to which all is acknowledged, since the start of this process.
    pub(super) fn settled(&self) -> Option<Position> {
        self.settled
    }

    /// Position up to which all was sent under the present lease.
    pub(super) fn complete_through(&self) -> Option<Position> {
        self.complete_through
    }
}
