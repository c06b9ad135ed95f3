//! The format `EventNotification`: one event per change, with the document or a patch.

use super::change::{Change, Documents};
use super::history::model_id;
use super::patch;
use super::rendering::Rendering;
use crate::cloud_event::{EventType, push_json_string};
use crate::event::{EntityKind, Operation};
use crate::json::{Document, Value};

/// The type of a change's only event.
pub(super) fn event_type(kind: EntityKind, operation: Operation) -> EventType {
    match (kind, operation) {
        (EntityKind::Twin, Operation::Create) => EventType::TwinCreate,
        (EntityKind::Twin, Operation::Update) => EventType::TwinUpdate,
        (EntityKind::Twin, Operation::Delete) => EventType::TwinDelete,
        (EntityKind::Relationship, Operation::Create) => EventType::RelationshipCreate,
        (EntityKind::Relationship, Operation::Update) => EventType::RelationshipUpdate,
        (EntityKind::Relationship, Operation::Delete) => EventType::RelationshipDelete,
        (EntityKind::Model, Operation::Create) => EventType::ModelCreate,
        (EntityKind::Model, Operation::Update) => EventType::ModelUpdate,
        (EntityKind::Model, Operation::Delete) => EventType::ModelDelete,
    }
}

pub(super) fn render(change: &Change<'_>, rendering: &mut Rendering<'_>) {
    let event = change.event;
    let event_type = event_type(event.kind, event.operation);
    match &change.documents {
        Documents::Create { .. } => rendering.document(event_type, event.new.clone().unwrap_or_default()),
        Documents::Delete { .. } => rendering.document(event_type, event.old.clone().unwrap_or_default()),
        Documents::Update { old, new } => {
            rendering.written(event_type, |out| write_update(change, old.as_ref(), new.root(), out));
        }
    }
}

/// Appends the data of an update; `None` when nothing but bookkeeping changed.
fn write_update(
    change: &Change<'_>,
    old: Option<&Document<'_>>,
    new: Value<'_>,
    out: &mut String,
) -> Option<()> {
    out.reserve(256);
    out.push_str(r#"{"modelId":"#);
    match change.event.kind {
        EntityKind::Model => push_json_string(out, &change.event.entity_id),
        EntityKind::Twin | EntityKind::Relationship => out.push_str(model_id(new)),
    }
    out.push_str(r#","patch":["#);
    match old {
        Some(old) => patch::write(old.root(), new, out)?,
        None => {
            out.push_str(r#"{"op":"replace","path":"","value":"#);
            out.push_str(new.raw());
            out.push('}');
        }
    }
    out.push_str("]}");
    Some(())
}
