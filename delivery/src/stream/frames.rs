//! Frames of the capture stream: protobuf to the domain's terms, and back.

use std::time::Duration;

use twinroute_common::event::Item;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;
use twinroute_common::wire::WireError;
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::hello::Source;
use twinroute_proto::capture::v1::subscribe_request::Frame as Request;
use twinroute_proto::capture::v1::subscribe_response::Frame as Response;

use super::last_seen::LastSeen;
use crate::config::StreamSettings;
use crate::settlement::{BatchAck, CreditBack};

/// Version of the protocol.
const PROTOCOL_VERSION: u32 = 1;

/// A frame from capture.
#[derive(Debug)]
pub(super) enum InFrame {
    Welcome(Welcome),
    Assignment(Assignment),
    Batches(Vec<Batch>),
    HeartbeatSeen(u64),
    /// Partitions and epochs that are over.
    Fenced(Vec<(u32, Epoch)>),
    Progress,
    GoAway {
        reason: String,
        deadline: Duration,
    },
}

/// The answer to Hello.
#[derive(Debug)]
pub(super) struct Welcome {
    pub(super) partition_count: u32,
    pub(super) lease: Duration,
    pub(super) event_bytes_max: u64,
    pub(super) system_identifier: String,
    /// The server's timeline.
    pub(super) timeline: u32,
}

/// Grants and revokes.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) id: u64,
    pub(super) granted: Vec<Granted>,
    pub(super) revoked: Vec<u32>,
    pub(super) deadline: Duration,
    pub(super) min_version: u64,
}

/// A granted partition.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) partition: u32,
    pub(super) epoch: Epoch,
    /// Up to where it is settled; `None` when capture does not know.
    pub(super) resume_after: Option<Position>,
}

/// Items of one partition.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: u32,
    pub(super) epoch: Epoch,
    pub(super) number: u64,
    pub(super) items: Vec<CostedItem>,
}

/// An item and what it took from the credit, in bytes.
#[derive(Debug)]
pub(super) struct CostedItem {
    pub(super) item: Item,
    pub(super) cost_bytes: u64,
}

impl TryFrom<proto::SubscribeResponse> for InFrame {
    type Error = WireError;

    fn try_from(response: proto::SubscribeResponse) -> Result<Self, WireError> {
        let frame = response.frame.ok_or_else(|| WireError::new("SubscribeResponse", "frame"))?;
        Ok(match frame {
            Response::Welcome(welcome) => Self::Welcome(read_welcome(welcome)?),
            Response::Assignment(assignment) => Self::Assignment(read_assignment(assignment)?),
            Response::Batches(batches) => {
                Self::Batches(batches.batches.into_iter().map(read_batch).collect::<Result<_, _>>()?)
            }
            Response::HeartbeatSeen(seen) => Self::HeartbeatSeen(seen.n),
            Response::Fenced(fenced) => {
                let one =
                    |one: proto::FencedPartition| Ok((one.partition, epoch(one.epoch, "FencedPartition")?));
                Self::Fenced(fenced.partitions.into_iter().map(one).collect::<Result<_, _>>()?)
            }
            Response::Progress(_) => Self::Progress,
            Response::GoAway(away) => {
                Self::GoAway { deadline: span(away.deadline, "GoAway", "deadline")?, reason: away.reason }
            }
        })
    }
}

fn read_welcome(welcome: proto::Welcome) -> Result<Welcome, WireError> {
    let limits = welcome.limits.ok_or_else(|| WireError::new("Welcome", "limits"))?;
    let lease = span(welcome.lease, "Welcome", "lease")?;
    if lease < Duration::from_millis(10) {
        return Err(WireError::new("Welcome", "lease"));
    }
    Ok(Welcome {
        partition_count: welcome.partition_count,
        lease,
        event_bytes_max: limits.event_bytes_max,
        system_identifier: welcome.system_identifier,
        timeline: welcome.timeline,
    })
}

fn read_assignment(assignment: proto::Assignment) -> Result<Assignment, WireError> {
    let grant = |grant: proto::Grant| {
        let resume_after = grant.resume_after.map(Into::into);
        Ok(Granted { partition: grant.partition, epoch: epoch(grant.epoch, "Grant")?, resume_after })
    };
    let deadline = match assignment.deadline {
        // Only revokes need one.
        None if assignment.revoked.is_empty() => Duration::ZERO,
        deadline => span(deadline, "Assignment", "deadline")?,
    };
    Ok(Assignment {
        id: assignment.assignment_id,
        granted: assignment.granted.into_iter().map(grant).collect::<Result<_, _>>()?,
        revoked: assignment.revoked,
        deadline,
        min_version: assignment.min_consumer_version,
    })
}

fn read_batch(batch: proto::Batch) -> Result<Batch, WireError> {
    let item = |item: proto::Item| {
        let domain = item.item.ok_or_else(|| WireError::new("Item", "item"))?.try_into()?;
        Ok(CostedItem { item: domain, cost_bytes: item.cost_bytes })
    };
    Ok(Batch {
        partition: batch.partition,
        epoch: epoch(batch.epoch, "Batch")?,
        number: batch.batch,
        items: batch.items.into_iter().map(item).collect::<Result<_, _>>()?,
    })
}

fn epoch(epoch: Option<proto::Epoch>, message: &'static str) -> Result<Epoch, WireError> {
    epoch.map(Into::into).ok_or_else(|| WireError::new(message, "epoch"))
}

fn span(
    span: Option<prost_types::Duration>,
    message: &'static str,
    field: &'static str,
) -> Result<Duration, WireError> {
    span.and_then(|span| Duration::try_from(span).ok()).ok_or_else(|| WireError::new(message, field))
}

pub(super) fn hello(
    settings: &StreamSettings,
    worker_id: &str,
    last_seen: LastSeen,
) -> proto::SubscribeRequest {
    request(Request::Hello(proto::Hello {
        source: Some(Source::Subscription(settings.subscription.clone())),
        consumer_id: worker_id.to_owned(),
        protocol_version: PROTOCOL_VERSION,
        filter: None,
        group_token: settings.group_token.clone(),
        last_seen: last_seen.told(),
    }))
}

pub(super) fn credit(credit: CreditBack) -> proto::SubscribeRequest {
    request(Request::Credit(proto::Credit { events: credit.events, bytes: credit.bytes }))
}

pub(super) fn ack(acks: Vec<BatchAck>, consumer_version: u64) -> proto::SubscribeRequest {
    let one = |ack: BatchAck| proto::PartitionAck {
        partition: ack.partition,
        epoch: Some(ack.epoch.into()),
        batch: ack.batch,
    };
    request(Request::Ack(proto::Ack { partitions: acks.into_iter().map(one).collect(), consumer_version }))
}

pub(super) fn heartbeat(n: u64) -> proto::SubscribeRequest {
    request(Request::Heartbeat(proto::Heartbeat { n }))
}

pub(super) fn released(assignment_id: u64) -> proto::SubscribeRequest {
    request(Request::Released(proto::Released { assignment_id }))
}

pub(super) fn drain() -> proto::SubscribeRequest {
    request(Request::Drain(proto::Drain {}))
}

fn request(frame: Request) -> proto::SubscribeRequest {
    proto::SubscribeRequest { frame: Some(frame) }
}
