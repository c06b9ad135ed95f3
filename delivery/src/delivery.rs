//! A delivery: one CloudEvent for one endpoint, and where it came from.

use std::sync::Arc;

use twinroute_common::cloud_event::CloudEvent;

use uuid::Uuid;

use crate::settlement::{ItemRef, LeaseId};

/// One CloudEvent to deliver, and what is settled by it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is settled by it.
    pub origin: Origin,
    /// The event.
    pub event: Arc<CloudEvent>,
}

/// Bytes of an event's attributes where it is copied, and of what a client library keeps beside it, about.
const ATTRIBUTES_BYTES: u64 = 1_024;

/// What a sink takes for an event, in bytes, about: its data as it is handed over, and as it is on its way.
#[must_use]
pub fn copy_bytes(event: &CloudEvent) -> u64 {
    ATTRIBUTES_BYTES + 2 * event.data.len() as u64
}

/// Where a delivery came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From capture: the item stays unacknowledged until the delivery is settled.
    Stream(ItemRef),
    /// From the parked backlog: it is acknowledged, and its segment is kept until the delivery is settled.
    Backlog(Parked),
    /// From a dead letter that is sent again: the letter is kept until the delivery is settled.
    Redriven(Redriven),
}

/// Names one event of the parked backlog of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parked {
    /// The lease under which it was read.
    pub lease: LeaseId,
    /// Its partition.
    pub partition: u32,
    /// Its segment; unique within the lease and partition.
    pub segment: u64,
    /// Its index within the segment.
    pub index: u32,
}

/// Names one dead letter that is sent again, at its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redriven {
    /// The lease under which it was read.
    pub lease: LeaseId,
    /// The partition of its ordering key.
    pub partition: u32,
    /// CloudEvents `id`.
    pub event_id: Uuid,
}

impl Origin {
    /// The lease without which nobody may deliver it.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        match self {
            Self::Stream(item) => item.lease,
            Self::Backlog(parked) => parked.lease,
            Self::Redriven(redriven) => redriven.lease,
        }
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        match self {
            Self::Stream(item) => item.partition,
            Self::Backlog(parked) => parked.partition,
            Self::Redriven(redriven) => redriven.partition,
        }
    }
}
