//! The format `DataHistory`: lifecycle events, then one event per changed property.

use super::bookkeeping::{METADATA, MODEL};
use super::change::{Change, Documents};
use super::property::{Properties, PropertyOperation, push_member, raw_or_null};
use super::rendering::Rendering;
use crate::cloud_event::{EventType, push_json_string};
use crate::event::EntityKind;
use crate::json::Value;

/// The types that events of an entity can have.
pub(super) fn event_types(kind: EntityKind) -> &'static [EventType] {
    match kind {
        EntityKind::Twin => &[EventType::TwinLifecycle, EventType::PropertyEvent],
        EntityKind::Relationship => &[EventType::RelationshipLifecycle, EventType::PropertyEvent],
        EntityKind::Model => &[],
    }
}

pub(super) fn render(change: &Change<'_>, rendering: &mut Rendering<'_>) {
    let kind = change.event.kind;
    if kind == EntityKind::Model {
        return;
    }
    match &change.documents {
        Documents::Create { new } => {
            lifecycle(change, "Create", rendering);
            Properties::new(change, rendering).all(PropertyOperation::Add, None, Some(new.root()));
        }
        Documents::Update { old: Some(old), new } => {
            if kind == EntityKind::Twin && model_changed(old.root(), new.root()) {
                lifecycle(change, "Update", rendering);
            }
            Properties::new(change, rendering).changed(old.root(), new.root());
        }
        Documents::Update { old: None, new } => {
            Properties::new(change, rendering).all(PropertyOperation::Replace, None, Some(new.root()));
        }
        Documents::Delete { .. } => lifecycle(change, "Delete", rendering),
    }
}

fn lifecycle(change: &Change<'_>, action: &str, rendering: &mut Rendering<'_>) {
    let document = change.documents.latest();
    let event = change.event;
    let push_action = |out: &mut String| {
        for part in [r#","action":""#, action, "\""] {
            out.push_str(part);
        }
        change.push_time_and_service(out);
    };
    if event.kind == EntityKind::Relationship {
        rendering.written(EventType::RelationshipLifecycle, |out| {
            out.push_str(r#"{"relationshipId":"#);
            push_json_string(out, &event.entity_id);
            push_member(out, "name", raw_or_null(document, "$relationshipName"));
            push_action(out);
            out.push_str(r#","source":"#);
            push_json_string(out, &event.ordering_key);
            push_member(out, "target", raw_or_null(document, "$targetId"));
            out.push('}');
            Some(())
        });
    } else {
        rendering.written(EventType::TwinLifecycle, |out| {
            out.push_str(r#"{"twinId":"#);
            push_json_string(out, &event.entity_id);
            push_action(out);
            push_member(out, "modelId", model_id(document));
            out.push('}');
            Some(())
        });
    }
}

impl Change<'_> {
    /// Appends `,"timeStamp":…,"serviceId":…`.
    pub(super) fn push_time_and_service(&self, out: &mut String) {
        for part in [r#","timeStamp":""#, &self.envelope.time, r#"","serviceId":"#] {
            out.push_str(part);
        }
        push_json_string(out, &self.envelope.source.uri);
    }
}

/// `$metadata.$model` as JSON text, `null` when there is none.
pub(super) fn model_id(document: Value<'_>) -> &str {
    model(document).map_or("null", Value::raw)
}

fn model_changed(old: Value<'_>, new: Value<'_>) -> bool {
    match (model(old), model(new)) {
        (Some(old), Some(new)) => !old.same(new),
        (None, None) => false,
        _ => true,
    }
}

fn model(document: Value<'_>) -> Option<Value<'_>> {
    document.get(METADATA)?.get(MODEL)
}
