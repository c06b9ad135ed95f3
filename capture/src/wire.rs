//! Frames of the capture stream: protobuf to the domain's terms, and back.

use std::sync::Arc;
use std::time::Duration;

use twinroute_common::event::Item;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::subscribe_request::Frame as Request;
use twinroute_proto::capture::v1::subscribe_response::Frame as Response;
use twinroute_proto::event::v1::EntityKind;

use crate::config::StreamSettings;
use crate::hub::Identity;
use crate::retention::Policy;
use crate::selection::Selection;
use crate::subscription::{Bounds, OutBatch, OutFrame};

/// A frame from a consumer.
#[derive(Clone, Debug, PartialEq)]
pub enum InFrame {
    /// Opens the stream.
    Hello(proto::Hello),
    /// Lets more be sent.
    Credit {
        /// Number of items.
        events: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Says what is durable.
    Ack {
        /// Partition, epoch and batch.
        acks: Vec<(u32, Epoch, u64)>,
        /// The consumer's own version.
        consumer_version: u64,
    },
    /// Keeps the leases.
    Heartbeat(u64),
    /// Answers an assignment.
    Released(u64),
    /// Gives everything back.
    Drain,
}

/// A frame that says nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Its `oneof` is not set, or holds what this build does not know.
    #[error("the frame is empty, or of a kind that this version does not know")]
    Empty,
    /// A partition's ack has no epoch.
    #[error("the ack of partition {0} has no epoch")]
    NoEpoch(u32),
}

impl TryFrom<proto::SubscribeRequest> for InFrame {
    type Error = FrameError;

    fn try_from(request: proto::SubscribeRequest) -> Result<Self, FrameError> {
        Ok(match request.frame.ok_or(FrameError::Empty)? {
            Request::Hello(hello) => Self::Hello(hello),
            Request::Credit(credit) => Self::Credit { events: credit.events, bytes: credit.bytes },
            Request::Ack(ack) => {
                let partition = |ack: proto::PartitionAck| {
                    let epoch = ack.epoch.ok_or(FrameError::NoEpoch(ack.partition))?;
                    Ok((ack.partition, epoch.into(), ack.batch))
                };
                let acks = ack.partitions.into_iter().map(partition).collect::<Result<_, _>>()?;
                Self::Ack { acks, consumer_version: ack.consumer_version }
            }
            Request::Heartbeat(heartbeat) => Self::Heartbeat(heartbeat.n),
            Request::Released(released) => Self::Released(released.assignment_id),
            Request::Drain(proto::Drain {}) => Self::Drain,
        })
    }
}

/// The answer to Hello.
#[must_use]
pub fn welcome(identity: &Identity, bounds: Bounds, settings: &StreamSettings) -> proto::SubscribeResponse {
    response(Response::Welcome(proto::Welcome {
        partition_count: bounds.partition_count,
        partition_hash: proto::PartitionHash::Fnv1a64Folded.into(),
        lease: Some(duration(settings.lease())),
        limits: Some(proto::Limits {
            frame_bytes_max: bounds.frame_bytes_max,
            event_bytes_max: settings.event_bytes_max,
            unacked_events_max: bounds.unacked_events_max,
            unacked_bytes_max: bounds.unacked_bytes_max,
        }),
        system_identifier: identity.server.system_identifier.clone(),
        timeline: identity.server.timeline,
        slot: identity.slot.clone(),
    }))
}

impl From<OutFrame> for proto::SubscribeResponse {
    fn from(frame: OutFrame) -> Self {
        response(match frame {
            OutFrame::Assignment { assignment, resume_after, min_consumer_version } => {
                let grants = assignment.granted.into_iter().zip(resume_after);
                let grant = |((partition, epoch), resume_after): ((u32, Epoch), Option<_>)| proto::Grant {
                    partition,
                    epoch: Some(epoch.into()),
                    resume_after: resume_after.map(Into::into),
                };
                Response::Assignment(proto::Assignment {
                    assignment_id: assignment.assignment_id,
                    granted: grants.map(grant).collect(),
                    revoked: assignment.revoked,
                    deadline: Some(duration(assignment.deadline)),
                    min_consumer_version,
                })
            }
            OutFrame::Batches(batches) => {
                Response::Batches(proto::Batches { batches: batches.into_iter().map(batch).collect() })
            }
            OutFrame::HeartbeatSeen(n) => Response::HeartbeatSeen(proto::HeartbeatSeen { n }),
            OutFrame::Fenced(fenced) => {
                let one = |(partition, epoch): (u32, Epoch)| proto::FencedPartition {
                    partition,
                    epoch: Some(epoch.into()),
                };
                Response::Fenced(proto::Fenced { partitions: fenced.into_iter().map(one).collect() })
            }
            OutFrame::Progress { received_lsn, confirmed_flush_lsn, partitions } => {
                let one =
                    |(partition, settled, complete): (u32, Option<_>, Option<_>)| proto::PartitionProgress {
                        partition,
                        settled: settled.map(Into::into),
                        complete_through: complete.map(Into::into),
                    };
                Response::Progress(proto::Progress {
                    received_lsn: received_lsn.0,
                    confirmed_flush_lsn: confirmed_flush_lsn.0,
                    partitions: partitions.into_iter().map(one).collect(),
                })
            }
            OutFrame::GoAway { reason, deadline } => {
                Response::GoAway(proto::GoAway { reason, deadline: Some(duration(deadline)) })
            }
        })
    }
}

fn batch(batch: OutBatch) -> proto::Batch {
    let item =
        |item: &Arc<Item>| proto::Item { item: Some(item.as_ref().into()), cost_bytes: item.cost_bytes() };
    proto::Batch {
        partition: batch.partition,
        epoch: Some(batch.epoch.into()),
        batch: batch.batch,
        items: batch.items.iter().map(item).collect(),
    }
}

fn response(frame: Response) -> proto::SubscribeResponse {
    proto::SubscribeResponse { frame: Some(frame) }
}

impl From<Policy> for proto::RetentionPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Report => Self::Report,
            Policy::Drop => Self::Drop,
        }
    }
}

/// A filter as protobuf has it.
#[must_use]
pub fn filter(selection: &Selection) -> proto::SubscriptionFilter {
    let kinds = selection.kinds.iter().map(|&kind| EntityKind::from(kind).into());
    proto::SubscriptionFilter {
        graphs: selection.graphs.clone(),
        kinds: kinds.collect(),
        labels: selection.labels.clone(),
    }
}

/// A position as protobuf's JSON has it, to be given back in a call.
#[must_use]
pub fn position_json(position: Position) -> String {
    let Position { incarnation, commit_lsn, change_lsn, ordinal } = position;
    format!(
        r#"{{"incarnation": "{incarnation}", "commitLsn": "{}", "changeLsn": "{}", "ordinal": {ordinal}}}"#,
        commit_lsn.0, change_lsn.0
    )
}

/// A span as protobuf has it.
#[must_use]
pub fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap_or_default()
}
