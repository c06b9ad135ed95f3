//! What happened to one entity of a graph in one committed transaction.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::position::Position;

/// What became of the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It exists now and did not before the transaction.
    Create,
    /// It existed before and exists now.
    Update,
    /// It existed before the transaction and does not now.
    Delete,
}

/// What kind of entity it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A digital twin, known by its `$dtId`.
    Twin,
    /// A relationship, known by its `$sourceId` and `$relationshipId`.
    Relationship,
    /// A DTDL model, known by its DTMI.
    Model,
}

/// The net effect of one transaction on one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData {
    /// Position of the entity's last row in the transaction.
    pub position: Position,
    /// Create, update or delete.
    pub operation: Operation,
    /// Twin, relationship or model.
    pub kind: EntityKind,
    /// Name of the graph, which is the PostgreSQL schema.
    pub graph: String,
    /// Name of the AGE label, which is the table.
    pub label: String,
    /// `$dtId`, `$relationshipId` or DTMI.
    pub entity_id: String,
    /// Events with the same key are delivered in order: `$dtId`, `$sourceId` of a relationship, DTMI.
    pub ordering_key: String,
    /// The document before the transaction, checked JSON text in UTF-8; `None` on create, and where PostgreSQL did not send it.
    pub old: Option<Bytes>,
    /// The document after the transaction, checked JSON text in UTF-8; `None` on delete.
    pub new: Option<Bytes>,
    /// Commit time in microseconds since 1970-01-01T00:00:00Z.
    pub commit_time_us: i64,
    /// PostgreSQL's transaction id.
    pub xid: u32,
    /// W3C trace context of the change; empty when the writer gave none.
    pub traceparent: String,
}

/// A row that cannot be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoisonEvent {
    /// Where the row stands.
    pub position: Position,
    /// Name of the graph.
    pub graph: String,
    /// Name of the label.
    pub label: String,
    /// The `$dtId` if one can be found, else the row's `id`.
    pub ordering_key: String,
    /// Why the row cannot be read, for people.
    pub reason: String,
    /// The row's text as received, perhaps only a prefix.
    pub raw: Bytes,
    /// Size of the whole text in bytes.
    pub raw_size_bytes: u64,
    /// Commit time in microseconds since 1970-01-01T00:00:00Z.
    pub commit_time_us: i64,
    /// PostgreSQL's transaction id.
    pub xid: u32,
}

/// Changes between two positions are not in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discontinuity {
    /// Where the discontinuity itself stands.
    pub position: Position,
    /// The last position known to have been streamed.
    pub last_known: Option<Position>,
    /// The first position that follows.
    pub first_new: Option<Position>,
    /// Why, for people.
    pub reason: String,
}

/// One thing to deliver and acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A change.
    Event(EventData),
    /// A row that could not be read.
    Poison(PoisonEvent),
    /// A hole in the stream.
    Discontinuity(Discontinuity),
}

impl Item {
    /// Where the item stands.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Poison(poison) => poison.position,
            Self::Discontinuity(gap) => gap.position,
        }
    }

    /// What the item takes from a consumer's credit and from the bounds of memory, in bytes: its documents, its texts,
    /// and a fixed part for the rest: the item itself, its places in the log, and what the allocator adds.
    #[must_use]
    pub fn cost_bytes(&self) -> u64 {
        const FIXED: usize = 512;
        let texts = match self {
            Self::Event(event) => {
                let documents =
                    event.old.as_ref().map_or(0, Bytes::len) + event.new.as_ref().map_or(0, Bytes::len);
                documents
                    + event.graph.len()
                    + event.label.len()
                    + event.entity_id.len()
                    + event.ordering_key.len()
            }
            Self::Poison(poison) => poison.raw.len() + poison.reason.len() + poison.ordering_key.len(),
            Self::Discontinuity(gap) => gap.reason.len(),
        };
        (FIXED + texts) as u64
    }
}
