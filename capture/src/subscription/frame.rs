//! What a consumer is sent, in the domain's own terms.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;

use super::leases::Assignment;

/// A frame to a consumer.
#[derive(Clone, Debug)]
pub enum OutFrame {
    /// Grants and revokes.
    Assignment {
        /// What is granted and revoked.
        assignment: Assignment,
        /// For each granted partition, the position up to which it is settled.
        resume_after: Vec<Option<Position>>,
        /// The consumer works on nothing before its own version is at least this.
        min_consumer_version: u64,
    },
    /// Events of several partitions.
    Batches(Vec<OutBatch>),
    /// Answers a heartbeat.
    HeartbeatSeen(u64),
    /// Acks came too late.
    Fenced(Vec<(u32, Epoch)>),
    /// How far the stream is.
    Progress {
        /// Received up to here.
        received_lsn: Lsn,
        /// Confirmed up to here.
        confirmed_flush_lsn: Lsn,
        /// Partition, settled and complete-through positions.
        partitions: Vec<(u32, Option<Position>, Option<Position>)>,
    },
    /// The stream is about to be closed.
    GoAway {
        /// Why.
        reason: String,
        /// After how long.
        deadline: Duration,
    },
}

/// Items of one partition.
#[derive(Clone, Debug)]
pub struct OutBatch {
    /// Number of the partition.
    pub partition: u32,
    /// Epoch under which it is held.
    pub epoch: Epoch,
    /// Number of the batch within the lease, from 1.
    pub batch: u64,
    /// The items.
    pub items: Vec<Arc<Item>>,
}
