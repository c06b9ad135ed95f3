//! The rules of the capture stream, as simple as they can be: lists that are searched, nothing that is kept in step.

mod leases;
mod sending;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What outlives a capture: the promises of all captures together.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By partition, the highest epoch under which it was ever granted.
    epochs: BTreeMap<u32, Epoch>,
    /// What some holder has acknowledged in a live epoch.
    durable: BTreeSet<(u32, Position)>,
    /// The highest version that anybody acknowledged with.
    version: u64,
}

/// One life of a capture.
#[derive(Debug)]
pub(super) struct Reference {
    bounds: Bounds,
    generation: u64,
    pub(super) history: History,
    partitions: Vec<Partition>,
    members: BTreeMap<ConsumerKey, Member>,
    transactions: Vec<Transaction>,
    confirmed: Lsn,
    received: Lsn,
    sent: Option<Position>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Un-acknowledged, in the order they were read.
    pending: Vec<Pending>,
    /// The last that was acknowledged in this life.
    settled: Option<Position>,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Pending {
    position: Position,
    cost_bytes: u64,
    /// Index of its transaction.
    transaction: usize,
}

#[derive(Debug)]
struct Lease {
    holder: ConsumerKey,
    epoch: Epoch,
    is_revoked: bool,
    /// Items of each batch that was sent, and how many of the batches are acknowledged.
    batches: Vec<usize>,
    acked: usize,
}

#[derive(Debug)]
struct Transaction {
    has_items: bool,
    end: Option<Lsn>,
}

#[derive(Debug)]
struct Member {
    consumer_id: String,
    is_draining: bool,
    last_assignment: u64,
    /// The assignment with revokes that is not answered, and when it is overdue.
    unanswered: Option<(u64, Instant)>,
    credit_events: u64,
    credit_bytes: i128,
    /// What it must still be told.
    fenced: BTreeSet<(u32, Epoch)>,
    /// When others acknowledged while this one had items in hand and acknowledged none.
    others_acks: Vec<Instant>,
}

impl Lease {
    /// Number of items that were sent and are not acknowledged.
    fn in_hand(&self) -> usize {
        self.batches.iter().skip(self.acked).sum()
    }
}

impl Reference {
    pub(super) fn new(bounds: Bounds, generation: u64, confirmed: Lsn, history: History) -> Self {
        Self {
            bounds,
            generation,
            history,
            partitions: (0..bounds.partition_count).map(|_| Partition::default()).collect(),
            members: BTreeMap::new(),
            transactions: Vec::new(),
            confirmed,
            received: confirmed,
            sent: None,
        }
    }

    // What is read.

    pub(super) fn push(&mut self, items: &[Item]) {
        if self.transactions.last().is_none_or(|last| last.end.is_some()) {
            self.transactions.push(Transaction { has_items: true, end: None });
        }
        for item in items {
            for partition in partitions_of(item, self.bounds.partition_count) {
                self.partitions[partition as usize].pending.push(Pending {
                    position: item.position(),
                    cost_bytes: item.cost_bytes(),
                    transaction: self.transactions.len() - 1,
                });
            }
        }
    }

    pub(super) fn commit(&mut self, end: Lsn) {
        match self.transactions.last_mut() {
            Some(open) if open.end.is_none() => open.end = Some(end),
            _ => self.transactions.push(Transaction { has_items: false, end: Some(end) }),
        }
        self.received = self.received.max(end);
        self.confirm();
    }

    pub(super) fn keepalive(&mut self, lsn: Lsn) {
        self.received = self.received.max(lsn);
        if self.oldest_pending().is_none() {
            self.confirmed = self.confirmed.max(lsn);
        }
    }

    /// Index of the oldest transaction with an un-acknowledged item.
    fn oldest_pending(&self) -> Option<usize> {
        let oldest = self.partitions.iter().filter_map(|partition| partition.pending.first());
        oldest.map(|pending| pending.transaction).min()
    }

    /// Transactions that are complete, and have nothing un-acknowledged in them or before them.
    fn settled_transactions(&self) -> impl Iterator<Item = &Transaction> {
        let before = self.oldest_pending().unwrap_or(self.transactions.len());
        self.transactions.iter().take(before).filter(|transaction| transaction.end.is_some())
    }

    fn confirm(&mut self) {
        let end = self.settled_transactions().last().and_then(|transaction| transaction.end);
        self.confirmed = self.confirmed.max(end.unwrap_or_default());
    }

    // What consumers say.

    pub(super) fn credit(&mut self, key: ConsumerKey, events: u64, bytes: u64) {
        if let Some(member) = self.members.get_mut(&key) {
            member.credit_events += events;
            member.credit_bytes += i128::from(bytes);
        }
    }

    /// A version is stored.
    pub(super) fn version(&mut self, version: u64) {
        self.history.version = self.history.version.max(version);
    }

    pub(super) fn ack(
        &mut self,
        key: ConsumerKey,
        acks: &[(u32, Epoch, u64)],
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let before = self.unacked().events;
        let mut result = Ok(());
        for &(partition, epoch, batch) in acks {
            result = self.ack_partition(key, partition, epoch, batch);
            if result.is_err() {
                break;
            }
        }
        self.confirm();
        if self.unacked().events < before {
            let in_hand = |key| self.in_hand(key) > 0;
            let waiting: BTreeSet<_> = self.members.keys().copied().filter(|&key| in_hand(key)).collect();
            for (member, state) in &mut self.members {
                if *member == key {
                    state.others_acks.clear();
                } else if waiting.contains(member) {
                    state.others_acks.push(now);
                }
            }
        }
        result
    }

    fn ack_partition(
        &mut self,
        key: ConsumerKey,
        partition: u32,
        epoch: Epoch,
        batch: u64,
    ) -> Result<(), ProtocolError> {
        let Some(state) = self.partitions.get_mut(partition as usize) else {
            let partition_count = self.bounds.partition_count;
            return Err(ProtocolError::UnknownPartition { partition, partition_count });
        };
        let is_held = |lease: &&mut Lease| lease.holder == key && lease.epoch == epoch;
        let Some(lease) = state.lease.as_mut().filter(is_held) else {
            if let Some(member) = self.members.get_mut(&key) {
                member.fenced.insert((partition, epoch));
            }
            return Ok(());
        };
        let last_sent = lease.batches.len() as u64;
        if batch > last_sent {
            return Err(ProtocolError::AckAheadOfSent { partition, batch, last_sent });
        }
        while (lease.acked as u64) < batch {
            for settled in state.pending.drain(..lease.batches[lease.acked]) {
                state.settled = Some(settled.position);
                self.history.durable.insert((partition, settled.position));
            }
            lease.acked += 1;
        }
        Ok(())
    }

    fn in_hand(&self, key: ConsumerKey) -> usize {
        let held = self.partitions.iter().filter_map(|partition| partition.lease.as_ref());
        held.filter(|lease| lease.holder == key).map(Lease::in_hand).sum()
    }

    fn unacked(&self) -> Unacked {
        let pending = self.partitions.iter().flat_map(|partition| &partition.pending);
        pending.fold(Unacked::default(), |sum, one| Unacked {
            events: sum.events + 1,
            bytes: sum.bytes + one.cost_bytes,
        })
    }

    /// All items of a transaction are durable, wherever they belong.
    pub(super) fn is_durable(&self, transaction: &wal::Written) -> bool {
        transaction.items.iter().all(|item| {
            let mut partitions = partitions_of(item, self.bounds.partition_count);
            partitions.all(|partition| self.history.durable.contains(&(partition, item.position())))
        })
    }
}

fn partitions_of(item: &Item, count: u32) -> std::ops::Range<u32> {
    let key = match item {
        Item::Event(event) => &event.ordering_key,
        Item::Poison(poison) => &poison.ordering_key,
        Item::Discontinuity(_) => return 0..count,
    };
    let partition = partition_of(key, count);
    partition..partition + 1
}
