//! What a consumer is sent, in the domain's own terms.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;

use super::consumer::Consumer;
use super::leases::Assignment;
use super::log::PartitionLog;

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

/// What a frame can still take.
pub(super) struct FrameRoom {
    pub(super) events: usize,
    pub(super) bytes: u64,
    pub(super) empty: bool,
}

impl FrameRoom {
    /// Takes items of one partition while frame and credit have room. A frame's first item may be of any size.
    pub(super) fn fill(&mut self, log: &mut PartitionLog, consumer: &mut Consumer) -> Vec<Arc<Item>> {
        let mut items = Vec::new();
        while self.events > 0 && self.bytes > 0 && consumer.credit.allows_one() {
            let Some(cost_bytes) = log.next_cost_bytes() else { break };
            if cost_bytes > self.bytes && !self.empty {
                self.bytes = 0;
                break;
            }
            let Some(item) = log.send_next() else { break };
            consumer.credit.take(cost_bytes);
            self.empty = false;
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(cost_bytes);
            items.push(item);
        }
        items
    }
}
