//! What a subscription shows of itself.

use std::time::Instant;

use twinroute_common::lsn::Lsn;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;

use super::log::PartitionLog;
use super::{Bounds, Subscription};

/// What was read and is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unacked {
    /// Number of items.
    pub events: u64,
    /// Sum of their costs.
    pub bytes: u64,
}

/// State of a partition, for people.
#[derive(Clone, Debug)]
pub struct PartitionView {
    /// Number of the partition.
    pub partition: u32,
    /// Its holder and epoch.
    pub holder: Option<(String, Epoch)>,
    /// All items up to here are acknowledged.
    pub settled: Option<Position>,
    /// The oldest item that is not.
    pub oldest_unacked: Option<Position>,
    /// When that was read.
    pub oldest_read_at: Option<Instant>,
    /// Number of items that are not.
    pub unacked_events: u64,
    /// When its holder acknowledged last.
    pub last_ack: Option<Instant>,
}

impl Subscription {
    /// Its bounds.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Number of partitions.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.bounds.partition_count
    }

    /// Number of connected consumers.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// How far the WAL was received.
    #[must_use]
    pub fn received(&self) -> Lsn {
        self.received
    }

    /// The last position that was sent to a consumer, since the start.
    #[must_use]
    pub fn sent(&self) -> Option<Position> {
        self.sent
    }

    /// The token that all consumers share; empty as long as none has brought one.
    #[must_use]
    pub fn group_token(&self) -> &str {
        &self.group_token
    }

    /// What was read and is not acknowledged.
    #[must_use]
    pub fn unacked(&self) -> Unacked {
        self.unacked
    }

    /// When the oldest transaction that is not settled was read.
    #[must_use]
    pub fn oldest_unacked_read_at(&self) -> Option<Instant> {
        self.transactions.oldest_read_at()
    }

    /// State of all partitions.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionView> {
        let view = |(partition, log): (u32, &PartitionLog)| {
            let holder = self.leases.holder(partition);
            let consumer = holder.and_then(|(key, _)| self.consumers.get(&key));
            PartitionView {
                partition,
                holder: holder.zip(consumer).map(|((_, epoch), one)| (one.consumer_id.clone(), epoch)),
                settled: log.settled(),
                oldest_unacked: log.oldest_unacked(),
                oldest_read_at: log.oldest_transaction().and_then(|one| self.transactions.read_at(one)),
                unacked_events: log.unacked() as u64,
                last_ack: consumer.and_then(|one| one.last_ack),
            }
        };
        (0_u32..).zip(&self.partitions).map(view).collect()
    }
}
