//! Conversions between the domain's events and their protobuf form. Both services at the ends of the stream use them.

use bytes::Bytes;
use twinroute_proto::capture::v1 as stream;
use twinroute_proto::event::v1 as proto;

use crate::event::{Discontinuity, EntityKind, EventData, Item, Operation, PoisonEvent};
use crate::lsn::Lsn;
use crate::partition::Epoch;
use crate::position::Position;

/// A message lacks a field that it must have, or holds a value that this build does not know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message} has no valid `{field}`")]
pub struct WireError {
    /// Name of the message.
    pub message: &'static str,
    /// Name of the field.
    pub field: &'static str,
}

impl WireError {
    /// The field of the message is missing or unknown.
    #[must_use]
    pub fn new(message: &'static str, field: &'static str) -> Self {
        Self { message, field }
    }
}

impl From<Position> for proto::Position {
    fn from(position: Position) -> Self {
        Self {
            incarnation: position.incarnation,
            commit_lsn: position.commit_lsn.0,
            change_lsn: position.change_lsn.0,
            ordinal: position.ordinal,
        }
    }
}

impl From<proto::Position> for Position {
    fn from(position: proto::Position) -> Self {
        Self {
            incarnation: position.incarnation,
            commit_lsn: Lsn(position.commit_lsn),
            change_lsn: Lsn(position.change_lsn),
            ordinal: position.ordinal,
        }
    }
}

impl From<Epoch> for stream::Epoch {
    fn from(epoch: Epoch) -> Self {
        Self { generation: epoch.generation, counter: epoch.counter }
    }
}

impl From<stream::Epoch> for Epoch {
    fn from(epoch: stream::Epoch) -> Self {
        Self { generation: epoch.generation, counter: epoch.counter }
    }
}

impl From<EntityKind> for proto::EntityKind {
    fn from(kind: EntityKind) -> Self {
        match kind {
            EntityKind::Twin => Self::Twin,
            EntityKind::Relationship => Self::Relationship,
            EntityKind::Model => Self::Model,
        }
    }
}

impl TryFrom<proto::EntityKind> for EntityKind {
    type Error = WireError;

    fn try_from(kind: proto::EntityKind) -> Result<Self, WireError> {
        match kind {
            proto::EntityKind::Twin => Ok(Self::Twin),
            proto::EntityKind::Relationship => Ok(Self::Relationship),
            proto::EntityKind::Model => Ok(Self::Model),
            proto::EntityKind::Unspecified => Err(WireError::new("EventData", "kind")),
        }
    }
}

impl From<Operation> for proto::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::Create,
            Operation::Update => Self::Update,
            Operation::Delete => Self::Delete,
        }
    }
}

impl TryFrom<proto::Operation> for Operation {
    type Error = WireError;

    fn try_from(operation: proto::Operation) -> Result<Self, WireError> {
        match operation {
            proto::Operation::Create => Ok(Self::Create),
            proto::Operation::Update => Ok(Self::Update),
            proto::Operation::Delete => Ok(Self::Delete),
            proto::Operation::Unspecified => Err(WireError::new("EventData", "operation")),
        }
    }
}

impl From<&EventData> for proto::EventData {
    fn from(event: &EventData) -> Self {
        Self {
            position: Some(event.position.into()),
            operation: proto::Operation::from(event.operation).into(),
            kind: proto::EntityKind::from(event.kind).into(),
            graph: event.graph.clone(),
            label: event.label.clone(),
            entity_id: event.entity_id.clone(),
            ordering_key: event.ordering_key.clone(),
            old: event.old.clone(),
            new: event.new.clone(),
            commit_time_us: event.commit_time_us,
            xid: event.xid,
            traceparent: event.traceparent.clone(),
        }
    }
}

impl TryFrom<proto::EventData> for EventData {
    type Error = WireError;

    fn try_from(event: proto::EventData) -> Result<Self, WireError> {
        let operation = event.operation().try_into()?;
        let kind = event.kind().try_into()?;
        Ok(Self {
            position: required(event.position, "EventData")?,
            operation,
            kind,
            graph: event.graph,
            label: event.label,
            entity_id: event.entity_id,
            ordering_key: event.ordering_key,
            old: event.old,
            new: event.new,
            commit_time_us: event.commit_time_us,
            xid: event.xid,
            traceparent: event.traceparent,
        })
    }
}

impl From<&PoisonEvent> for proto::PoisonEvent {
    fn from(poison: &PoisonEvent) -> Self {
        Self {
            position: Some(poison.position.into()),
            graph: poison.graph.clone(),
            label: poison.label.clone(),
            ordering_key: poison.ordering_key.clone(),
            reason: poison.reason.clone(),
            raw: Bytes::clone(&poison.raw),
            raw_size_bytes: poison.raw_size_bytes,
            commit_time_us: poison.commit_time_us,
            xid: poison.xid,
        }
    }
}

impl TryFrom<proto::PoisonEvent> for PoisonEvent {
    type Error = WireError;

    fn try_from(poison: proto::PoisonEvent) -> Result<Self, WireError> {
        Ok(Self {
            position: required(poison.position, "PoisonEvent")?,
            graph: poison.graph,
            label: poison.label,
            ordering_key: poison.ordering_key,
            reason: poison.reason,
            raw: poison.raw,
            raw_size_bytes: poison.raw_size_bytes,
            commit_time_us: poison.commit_time_us,
            xid: poison.xid,
        })
    }
}

impl From<&Discontinuity> for proto::Discontinuity {
    fn from(gap: &Discontinuity) -> Self {
        Self {
            position: Some(gap.position.into()),
            last_known: gap.last_known.map(Into::into),
            first_new: gap.first_new.map(Into::into),
            reason: gap.reason.clone(),
        }
    }
}

impl TryFrom<proto::Discontinuity> for Discontinuity {
    type Error = WireError;

    fn try_from(gap: proto::Discontinuity) -> Result<Self, WireError> {
        Ok(Self {
            position: required(gap.position, "Discontinuity")?,
            last_known: gap.last_known.map(Into::into),
            first_new: gap.first_new.map(Into::into),
            reason: gap.reason,
        })
    }
}

impl From<&Item> for stream::item::Item {
    fn from(item: &Item) -> Self {
        match item {
            Item::Event(event) => Self::Event(event.into()),
            Item::Poison(poison) => Self::Poison(poison.into()),
            Item::Discontinuity(gap) => Self::Discontinuity(gap.into()),
        }
    }
}

impl TryFrom<stream::item::Item> for Item {
    type Error = WireError;

    fn try_from(item: stream::item::Item) -> Result<Self, WireError> {
        Ok(match item {
            stream::item::Item::Event(event) => Self::Event(event.try_into()?),
            stream::item::Item::Poison(poison) => Self::Poison(poison.try_into()?),
            stream::item::Item::Discontinuity(gap) => Self::Discontinuity(gap.try_into()?),
        })
    }
}

fn required(position: Option<proto::Position>, message: &'static str) -> Result<Position, WireError> {
    position.map(Into::into).ok_or_else(|| WireError::new(message, "position"))
}
