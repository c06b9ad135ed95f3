//! One durable subscription: partitions, leases, credit, acknowledgements, and what may be confirmed to PostgreSQL.
//!
//! Pure: takes what was read and what consumers say, and tells what to send and what to confirm. Time is given.

mod bounds;
mod confirm;
mod consumer;
mod frame;
mod leases;
mod log;
mod stuck;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;
use twinroute_common::partition::{Epoch, partition_of};
use twinroute_common::position::Position;

pub use self::bounds::{Bounds, ProtocolError};
use self::confirm::Transactions;
use self::consumer::Consumer;
use self::frame::FrameRoom;
pub use self::frame::{OutBatch, OutFrame};
pub use self::leases::{Assignment, ConsumerKey};
use self::leases::{Leases, Rebalance};
use self::log::{Entry, PartitionLog};
pub use self::view::{PartitionView, Unacked};

/// The subscription's state.
#[derive(Debug)]
pub struct Subscription {
    bounds: Bounds,
    transactions: Transactions,
    partitions: Vec<PartitionLog>,
    leases: Leases,
    consumers: BTreeMap<ConsumerKey, Consumer>,
    next_consumer: u64,
    unacked: Unacked,
    received: Lsn,
    sent: Option<Position>,
    min_consumer_version: u64,
    group_token: String,
}

impl Subscription {
    /// A subscription at the start of a capture process, which is its `generation`.
    #[must_use]
    pub fn new(bounds: Bounds, generation: u64, confirmed: Lsn, min_consumer_version: u64) -> Self {
        Self {
            bounds,
            transactions: Transactions::new(confirmed),
            partitions: (0..bounds.partition_count).map(|_| PartitionLog::default()).collect(),
            leases: Leases::new(bounds.partition_count, generation, bounds.revoke_deadline),
            consumers: BTreeMap::new(),
            next_consumer: 0,
            unacked: Unacked::default(),
            received: confirmed,
            sent: None,
            min_consumer_version,
            group_token: String::new(),
        }
    }

    // What was read.

    /// Takes items of the open transaction, in position order.
    pub fn push(&mut self, items: Vec<impl Into<Arc<Item>>>, now: Instant) {
        for item in items {
            let item: Arc<Item> = item.into();
            let cost_bytes = item.cost_bytes();
            let partition = match &*item {
                Item::Event(event) => Some(partition_of(&event.ordering_key, self.bounds.partition_count)),
                Item::Poison(poison) => Some(partition_of(&poison.ordering_key, self.bounds.partition_count)),
                Item::Discontinuity(_) => None,
            };
            let partitions = partition.map_or(0..self.bounds.partition_count, |one| one..one + 1);
            let transaction = self.transactions.add_items(partitions.len(), now);
            for partition in partitions {
                self.unacked.events += 1;
                self.unacked.bytes += cost_bytes;
                self.push_entry(partition, Entry { item: Arc::clone(&item), transaction, cost_bytes });
            }
        }
    }

    fn push_entry(&mut self, partition: u32, entry: Entry) {
        let Some(log) = self.partitions.get_mut(partition as usize) else { return };
        let was_idle = !log.has_unsent();
        log.push(entry);
        if was_idle {
            self.make_ready(partition);
        }
    }

    /// The open transaction is complete; its end may be confirmed when its items are settled.
    pub fn commit(&mut self, end: Lsn, now: Instant) {
        self.transactions.commit(end, now);
        self.received = self.received.max(end);
    }

    /// The server says how far the WAL is, while no transaction is open and nothing is buffered.
    pub fn keepalive(&mut self, lsn: Lsn) {
        self.transactions.keepalive(lsn);
        self.received = self.received.max(lsn);
    }

    // What consumers say.

    /// A consumer opens a stream. One with the same id is told to go away.
    pub fn join(&mut self, consumer_id: &str, now: Instant) -> ConsumerKey {
        let replaced = self.consumers.iter().find(|(_, consumer)| consumer.consumer_id == consumer_id);
        let replaced = replaced.map(|(&key, _)| key).inspect(|key| drop(self.consumers.remove(key)));
        self.next_consumer += 1;
        let key = ConsumerKey(self.next_consumer);
        self.consumers.insert(key, Consumer::new(consumer_id.to_owned()));
        let rebalance = self.leases.join(key, replaced, now);
        self.apply(rebalance);
        key
    }

    /// The consumer is still part of the subscription, that is, no other stream took its place.
    #[must_use]
    pub fn has(&self, key: ConsumerKey) -> bool {
        self.consumers.contains_key(&key)
    }

    /// A consumer's stream is over. What it did not acknowledge goes to others.
    pub fn leave(&mut self, key: ConsumerKey, now: Instant) {
        if self.consumers.remove(&key).is_some() {
            let rebalance = self.leases.leave(key, now);
            self.apply(rebalance);
        }
    }

    /// A consumer lets more be sent.
    pub fn credit(&mut self, key: ConsumerKey, events: u64, bytes: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.credit.add(events, bytes);
        }
    }

    /// A consumer has made batches durable.
    ///
    /// # Errors
    /// [`ProtocolError`] for what was never sent. Acks of an epoch that is over are answered by a Fenced frame.
    pub fn ack(
        &mut self,
        key: ConsumerKey,
        acks: impl Iterator<Item = (u32, Epoch, u64)>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let (mut fenced, before) = (Vec::new(), self.unacked.events);
        let result = self.settle(key, acks, &mut fenced);
        // Also when the last of them broke the protocol: those before it stand.
        self.transactions.advance();
        let settled = before - self.unacked.events;
        if settled > 0 {
            let unacked_age_max = self.bounds.unacked_age_max;
            let others = self.consumers.iter_mut().filter(|(other, _)| **other != key);
            others.for_each(|(_, other)| other.note_ack_of_another(now, unacked_age_max));
        }
        if let Some(consumer) = self.consumers.get_mut(&key) {
            if settled > 0 {
                consumer.settle(settled);
            }
            consumer.last_ack = Some(now);
            consumer.tell_fenced(fenced);
        }
        result
    }

    fn settle(
        &mut self,
        key: ConsumerKey,
        acks: impl Iterator<Item = (u32, Epoch, u64)>,
        fenced: &mut Vec<(u32, Epoch)>,
    ) -> Result<(), ProtocolError> {
        for (partition, epoch, batch) in acks {
            let partition_count = self.bounds.partition_count;
            let Some(log) = self.partitions.get_mut(partition as usize) else {
                return Err(ProtocolError::UnknownPartition { partition, partition_count });
            };
            if self.leases.holder(partition) != Some((key, epoch)) {
                fenced.push((partition, epoch));
                continue;
            }
            let settled = log.ack(batch).map_err(|ahead| ProtocolError::AckAheadOfSent {
                partition,
                batch,
                last_sent: ahead.last_sent,
            })?;
            for entry in settled {
                self.transactions.settle_item(entry.transaction);
                self.unacked.events -= 1;
                self.unacked.bytes -= entry.cost_bytes;
            }
        }
        Ok(())
    }

    /// A consumer acknowledged with this version of its own; it is stored already.
    pub fn consumer_version(&mut self, version: u64) {
        self.min_consumer_version = self.min_consumer_version.max(version);
    }

    /// The highest version that any consumer has acknowledged with.
    #[must_use]
    pub fn min_consumer_version(&self) -> u64 {
        self.min_consumer_version
    }

    /// The token that all consumers share is stored.
    pub fn keep_group_token(&mut self, token: String) {
        self.group_token = token;
    }

    /// A consumer's heartbeat is to be answered.
    pub fn heartbeat(&mut self, key: ConsumerKey, n: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.tell(OutFrame::HeartbeatSeen(n));
        }
    }

    /// A consumer has given revoked partitions back. An answer after the deadline changes nothing.
    ///
    /// # Errors
    /// [`ProtocolError::UnknownAssignment`] when it answers what was never sent.
    pub fn released(
        &mut self,
        key: ConsumerKey,
        assignment_id: u64,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        if self.leases.last_assignment(key) < assignment_id {
            return Err(ProtocolError::UnknownAssignment { assignment_id });
        }
        if let Some(rebalance) = self.leases.released(key, assignment_id, now) {
            self.apply(rebalance);
        }
        Ok(())
    }

    /// A consumer is leaving.
    pub fn drain(&mut self, key: ConsumerKey, now: Instant) {
        let rebalance = self.leases.drain(key, now);
        self.apply(rebalance);
    }

    /// Time has passed: partitions that were not released in time are taken back.
    pub fn tick(&mut self, now: Instant) {
        let rebalance = self.leases.expire(now);
        self.apply(rebalance);
    }

    /// A consumer has acknowledged nothing of what it has in hand for [`Bounds::unacked_age_max`], while others
    /// acknowledged and could take its partitions. Its stream is to be closed.
    #[must_use]
    pub fn is_stuck(&self, key: ConsumerKey) -> bool {
        let consumer = self.consumers.get(&key);
        let unacked_age_max = self.bounds.unacked_age_max;
        consumer.is_some_and(|one| one.is_stuck(unacked_age_max)) && self.leases.has_another(key)
    }

    /// Tells a consumer how far the stream is.
    pub fn progress(&mut self, key: ConsumerKey) {
        let of = |partition: u32| {
            let log = self.partitions.get(partition as usize)?;
            Some((partition, log.settled(), log.complete_through()))
        };
        let progress = OutFrame::Progress {
            received_lsn: self.received,
            confirmed_flush_lsn: self.transactions.confirmed(),
            partitions: self.leases.held_by(key).filter_map(of).collect(),
        };
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.tell(progress);
        }
    }

    fn apply(&mut self, rebalance: Rebalance) {
        for (partition, holder) in rebalance.freed {
            let Some(log) = self.partitions.get_mut(partition as usize) else { continue };
            let in_hand = log.rewind() as u64;
            if let Some(consumer) = self.consumers.get_mut(&holder) {
                consumer.lose(partition, in_hand);
            }
        }
        for (key, assignment) in rebalance.assignments {
            let granted: Vec<u32> = assignment.granted.iter().map(|&(partition, _)| partition).collect();
            let log = |&partition: &u32| self.partitions.get(partition as usize);
            let frame = OutFrame::Assignment {
                resume_after: granted.iter().map(|partition| log(partition)?.settled()).collect(),
                min_consumer_version: self.min_consumer_version,
                assignment,
            };
            if let Some(consumer) = self.consumers.get_mut(&key) {
                consumer.tell(frame);
            }
            granted.into_iter().for_each(|partition| self.make_ready(partition));
        }
    }

    /// Puts a partition with unsent items into its holder's queue.
    fn make_ready(&mut self, partition: u32) {
        let unsent = self.partitions.get(partition as usize).is_some_and(PartitionLog::has_unsent);
        let Some((holder, _)) = self.leases.holder(partition).filter(|_| unsent) else { return };
        if let Some(consumer) = self.consumers.get_mut(&holder) {
            consumer.ready.push_back(partition);
        }
    }

    // What to send, and what to confirm.

    /// The next frame for a consumer, within its credit; `None` when there is nothing that may be sent now.
    pub fn next_frame(&mut self, key: ConsumerKey) -> Option<OutFrame> {
        let consumer = self.consumers.get_mut(&key)?;
        if let Some(control) = consumer.control.pop_front() {
            return Some(control);
        }
        let mut frame = Vec::new();
        let Bounds { frame_events_max, frame_bytes_max, .. } = self.bounds;
        let mut room = FrameRoom { events: frame_events_max, bytes: frame_bytes_max, empty: true };
        while room.events > 0 && room.bytes > 0 && consumer.credit.allows_one() {
            let Some(partition) = consumer.ready.pop_front() else { break };
            let epoch = self.leases.sendable(partition, key);
            let log = self.partitions.get_mut(partition as usize);
            let (Some(epoch), Some(log)) = (epoch, log) else { continue };
            let items = room.fill(log, consumer);
            if log.has_unsent() {
                consumer.ready.push_back(partition);
            }
            if let Some(last) = items.last() {
                self.sent = self.sent.max(Some(last.position()));
                let batch = log.end_batch(items.len());
                consumer.take_in_hand(items.len() as u64);
                frame.push(OutBatch { partition, epoch, batch, items });
            } else if log.has_unsent() {
                break;
            }
        }
        (!frame.is_empty()).then_some(OutFrame::Batches(frame))
    }

    /// What may be confirmed to PostgreSQL. Never goes back, never passes an un-acknowledged item.
    #[must_use]
    pub fn confirmed(&self) -> Lsn {
        self.transactions.confirmed()
    }

    /// Number of transactions with items that were settled, since the start.
    #[must_use]
    pub fn settled_transactions(&self) -> u64 {
        self.transactions.settled()
    }

    /// More may be read. `in_transaction`: one is open, whose end must be read to confirm it.
    #[must_use]
    pub fn may_read(&self, in_transaction: bool) -> bool {
        let held = self.unacked.events < self.bounds.unacked_events_max
            && self.unacked.bytes < self.bounds.unacked_bytes_max;
        let ahead = self.received.bytes_since(self.confirmed());
        let has_room = ahead < self.bounds.unconfirmed_wal_bytes_max && self.transactions.has_room();
        held && (in_transaction || has_room)
    }
}

#[cfg(test)]
mod tests;
