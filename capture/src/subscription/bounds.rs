//! Bounds of a subscription, and what breaks its protocol.

use std::time::Duration;

/// Bounds of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Number of partitions.
    pub partition_count: u32,
    /// Events of one frame, unless its bytes are full before.
    pub frame_events_max: usize,
    /// Bytes of one frame, unless a single item is larger.
    pub frame_bytes_max: u64,
    /// Reading stops at this many un-acknowledged events.
    pub unacked_events_max: u64,
    /// Reading stops at this many un-acknowledged bytes.
    pub unacked_bytes_max: u64,
    /// Reading between transactions stops when it is this many bytes of WAL ahead of what is confirmed.
    pub unconfirmed_wal_bytes_max: u64,
    /// How long a consumer has to give partitions back.
    pub revoke_deadline: Duration,
    /// How long a consumer may acknowledge nothing of what it has, while others acknowledge.
    pub unacked_age_max: Duration,
}

/// A consumer broke the protocol. Its stream is closed with INVALID_ARGUMENT and this reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// An ack of a partition that the subscription does not have.
    #[error("ack of partition {partition}, and there are {partition_count}")]
    UnknownPartition {
        /// Partition of the ack.
        partition: u32,
        /// Number of partitions.
        partition_count: u32,
    },
    /// An ack of a batch that was not sent.
    #[error("ack of batch {batch} of partition {partition}, and the last one sent was {last_sent}")]
    AckAheadOfSent {
        /// Partition of the ack.
        partition: u32,
        /// Batch of the ack.
        batch: u64,
        /// Last batch that was sent.
        last_sent: u64,
    },
    /// A Released of an assignment that was never sent.
    #[error("released assignment {assignment_id}, which was never sent")]
    UnknownAssignment {
        /// Assignment of the frame.
        assignment_id: u64,
    },
}
