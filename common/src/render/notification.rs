//! The format `EventNotification`: one event per change, with the document or a patch.

use super::change::{Change, Documents};
use super::history::model_id;
use super::patch;
use super::rendering::Rendering;
use crate::cloud_event::{EventType, push_json_string};
use crate::event::EntityKind;
use crate::json::{Document, Value};

pub(super) fn render(change: &Change<'_>, rendering: &mut Rendering<'_>) {
    let event = change.event;
    let (created, updated, deleted) = match event.kind {
        EntityKind::Twin => (EventType::TwinCreate, EventType::TwinUpdate, EventType::TwinDelete),
        EntityKind::Relationship => {
            (EventType::RelationshipCreate, EventType::RelationshipUpdate, EventType::RelationshipDelete)
        }
        EntityKind::Model => (EventType::ModelCreate, EventType::ModelUpdate, EventType::ModelDelete),
    };
    match &change.documents {
        Documents::Create { .. } => rendering.document(created, event.new.clone().unwrap_or_default()),
        Documents::Delete { .. } => rendering.document(deleted, event.old.clone().unwrap_or_default()),
        Documents::Update { old, new } => {
            rendering.written(updated, |out| write_update(change, old.as_ref(), new.root(), out));
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
