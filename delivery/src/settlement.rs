//! Settlement: which items of which batches are settled, what may be acknowledged, and which credit is given back.
//!
//! An item is settled when all its deliveries are, or at once when no route matches it. Batches are acknowledged
//! cumulatively within a lease; credit comes back item by item, also out of order.

use std::collections::VecDeque;
use std::time::Instant;

use hashbrown::HashMap;
use smallvec::SmallVec;
use twinroute_common::partition::Epoch;

/// One holding of a partition by this worker. Never used twice within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// Names one item that this worker was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemRef {
    /// The lease under which it came.
    pub lease: LeaseId,
    /// Number of its batch within the lease, from 1.
    pub batch: u64,
    /// Its index within the batch.
    pub item: u32,
    /// Number of its partition.
    pub partition: u32,
}

/// Credit to be given back to capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreditBack {
    /// Number of items.
    pub events: u64,
    /// Sum of their `cost_bytes`.
    pub bytes: u64,
}

/// A partition's acknowledgement: everything up to `batch` is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchAck {
    /// Number of the partition.
    pub partition: u32,
    /// Epoch under which it is held.
    pub epoch: Epoch,
    /// The last batch of which every item, and every item before, is settled.
    pub batch: u64,
}

/// Capture did not number its batches from 1 without holes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("partition {partition} got batch {got} where {expected} was to come")]
pub struct BatchHole {
    /// Number of the partition.
    pub partition: u32,
    /// The batch that should have come.
    pub expected: u64,
    /// The batch that came.
    pub got: u64,
}

/// What is unsettled in this worker.
#[derive(Debug, Default)]
pub struct Settlement {
    leases: HashMap<LeaseId, Lease>,
    back: CreditBack,
    unsettled: u64,
    unsettled_bytes: u64,
    last_lease: u64,
    /// Leases with an acknowledgement that was not taken yet.
    ackable: Vec<LeaseId>,
}

#[derive(Debug)]
struct Lease {
    partition: u32,
    epoch: Epoch,
    /// All batches up to this one are settled.
    settled: u64,
    /// The batches after `settled`, in order.
    batches: VecDeque<Batch>,
    /// Items that were dispatched and have deliveries open.
    in_delivery: u64,
    ackable: bool,
}

#[derive(Debug)]
struct Batch {
    received_at: Instant,
    unsettled: u32,
    items: SmallVec<[Item; 4]>,
}

#[derive(Debug)]
struct Item {
    progress: Progress,
    cost_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not dispatched yet.
    Waiting,
    /// This many deliveries are open.
    InDelivery(u32),
    Settled,
}

impl Settlement {
    /// Starts a lease.
    pub fn grant(&mut self, partition: u32, epoch: Epoch) -> LeaseId {
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        let lease =
            Lease { partition, epoch, settled: 0, batches: VecDeque::new(), in_delivery: 0, ackable: false };
        self.leases.insert(id, lease);
        id
    }

    /// Takes note of a batch that was received under a lease, with the costs of its items in bytes. A batch of a lease
    /// that is over is not noted.
    ///
    /// # Errors
    /// When its number does not follow the last one's.
    pub fn receive(
        &mut self,
        lease: LeaseId,
        number: u64,
        costs: impl Iterator<Item = u64>,
        now: Instant,
    ) -> Result<(), BatchHole> {
        let Some(held) = self.leases.get_mut(&lease) else { return Ok(()) };
        let expected = held.settled + held.batches.len() as u64 + 1;
        if number != expected {
            return Err(BatchHole { partition: held.partition, expected, got: number });
        }
        let items: SmallVec<[Item; 4]> =
            costs.map(|cost_bytes| Item { progress: Progress::Waiting, cost_bytes }).collect();
        let unsettled = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.unsettled += u64::from(unsettled);
        self.unsettled_bytes += items.iter().map(|item| item.cost_bytes).sum::<u64>();
        held.batches.push_back(Batch { received_at: now, unsettled, items });
        self.advance(lease);
        Ok(())
    }

    /// Takes note that an item was handed over as `deliveries` deliveries; with none it is settled.
    pub fn dispatched(&mut self, item: ItemRef, deliveries: u32) {
        let Some(lease) = self.leases.get_mut(&item.lease) else { return };
        let Some((_, state)) = lease.find(item) else { return };
        debug_assert_eq!(state.progress, Progress::Waiting, "an item is dispatched once");
        state.progress = Progress::InDelivery(deliveries.max(1));
        lease.in_delivery += 1;
        if deliveries == 0 {
            self.delivered(item);
        }
    }

    /// Takes note that one delivery of an item has come to its end. Items of a lease that is over change nothing.
    pub fn delivered(&mut self, item: ItemRef) {
        let Some(lease) = self.leases.get_mut(&item.lease) else { return };
        let Some((batch_unsettled, state)) = lease.find(item) else { return };
        let Progress::InDelivery(open) = state.progress else {
            debug_assert!(false, "a delivery ends once: {item:?}");
            return;
        };
        if open > 1 {
            state.progress = Progress::InDelivery(open - 1);
            return;
        }
        state.progress = Progress::Settled;
        *batch_unsettled -= 1;
        let batch_settled = *batch_unsettled == 0;
        self.back.events += 1;
        self.back.bytes += state.cost_bytes;
        self.unsettled -= 1;
        self.unsettled_bytes -= state.cost_bytes;
        lease.in_delivery -= 1;
        if batch_settled {
            self.advance(item.lease);
        }
    }

    /// Ends a lease: its unsettled items belong to the next holder, and their credit goes back.
    pub fn end(&mut self, lease: LeaseId) {
        let Some(lease) = self.leases.remove(&lease) else { return };
        let unsettled = lease.batches.iter().flat_map(|batch| &batch.items);
        for item in unsettled.filter(|item| item.progress != Progress::Settled) {
            self.back.events += 1;
            self.back.bytes += item.cost_bytes;
            self.unsettled -= 1;
            self.unsettled_bytes -= item.cost_bytes;
        }
    }

    /// Ends all leases and forgets what is to be given back: the stream is over.
    pub fn reset(&mut self) {
        self.leases.clear();
        self.ackable.clear();
        self.back = CreditBack::default();
        self.unsettled = 0;
        self.unsettled_bytes = 0;
    }

    /// Acknowledgements that became possible since the last call.
    pub fn take_acks(&mut self) -> Vec<BatchAck> {
        let Self { leases, ackable, .. } = self;
        let acks = ackable.drain(..).filter_map(|id| {
            let lease = leases.get_mut(&id)?;
            lease.ackable = false;
            Some(BatchAck { partition: lease.partition, epoch: lease.epoch, batch: lease.settled })
        });
        acks.collect()
    }

    /// There is something to acknowledge.
    #[must_use]
    pub fn has_acks(&self) -> bool {
        !self.ackable.is_empty()
    }

    /// Credit that has come free since it was last taken.
    #[must_use]
    pub fn credit_back(&self) -> CreditBack {
        self.back
    }

    /// Takes the credit that has come free.
    pub fn take_credit_back(&mut self) -> CreditBack {
        std::mem::take(&mut self.back)
    }

    /// Items that are received and not settled.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Sum of their `cost_bytes`.
    #[must_use]
    pub fn unsettled_bytes(&self) -> u64 {
        self.unsettled_bytes
    }

    /// Nothing of the lease is with an endpoint.
    #[must_use]
    pub fn is_idle(&self, lease: LeaseId) -> bool {
        self.leases.get(&lease).is_none_or(|lease| lease.in_delivery == 0)
    }

    /// When the oldest batch that is not settled was received.
    #[must_use]
    pub fn oldest_received_at(&self) -> Option<Instant> {
        let fronts = self.leases.values().filter_map(|lease| lease.batches.front());
        fronts.map(|batch| batch.received_at).min()
    }

    /// Moves over the batches at the front that are settled.
    fn advance(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let before = lease.settled;
        while lease.batches.front().is_some_and(|batch| batch.unsettled == 0) {
            lease.batches.pop_front();
            lease.settled += 1;
        }
        if lease.settled > before && !lease.ackable {
            lease.ackable = true;
            self.ackable.push(id);
        }
    }
}

impl Lease {
    /// The item, with the number of unsettled items of its batch; `None` when its batch is settled or unknown.
    fn find(&mut self, item: ItemRef) -> Option<(&mut u32, &mut Item)> {
        let index = item.batch.checked_sub(self.settled + 1)?;
        let batch = self.batches.get_mut(usize::try_from(index).ok()?)?;
        let state = batch.items.get_mut(item.item as usize)?;
        Some((&mut batch.unsettled, state))
    }
}

#[cfg(test)]
mod tests;
