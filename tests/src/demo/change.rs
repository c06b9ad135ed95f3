//! What the demo changes: entities of the factory, in transactions. Pure.

use crate::twins::document::Object;

/// A thing of the graph; ids are never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entity {
    /// A model, by its DTMI.
    Model(String),
    /// A twin.
    Twin {
        /// `$dtId`
        id: String,
        /// DTMI of its model.
        model: String,
    },
    /// A relationship.
    Relationship {
        /// `$relationshipId`
        id: String,
        /// `$relationshipName`
        name: String,
        /// `$sourceId`
        source: String,
        /// `$targetId`
        target: String,
    },
}

/// What happens to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
}

/// One change of one entity.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) entity: Entity,
    pub(super) operation: Operation,
    /// Of a new entity and of a relationship all properties, of a twin's update those that are set,
    /// of a deletion and of a model none.
    pub(super) properties: Object,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    /// Nothing of it may ever be seen.
    Rollback,
}

/// Changes that happen together; no entity twice, for that would be one event.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) changes: Vec<Change>,
    pub(super) end: End,
}

impl Entity {
    /// The ordering key of its events.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Model(id) | Self::Twin { id, .. } => id,
            Self::Relationship { source, .. } => source,
        }
    }

    /// The subject of its events.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Model(id) | Self::Twin { id, .. } => id.clone(),
            Self::Relationship { id, source, .. } => format!("{source}/relationships/{id}"),
        }
    }

    /// The first part of its events' type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Model(_) => "Model",
            Self::Twin { .. } => "Twin",
            Self::Relationship { .. } => "Relationship",
        }
    }
}

impl Operation {
    /// The last part of its events' type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

impl Transaction {
    /// One that is committed.
    pub(super) fn of(changes: Vec<Change>) -> Self {
        Self { changes, end: End::Commit }
    }
}
