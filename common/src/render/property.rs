//! `DataHistory`'s property events.

use smallvec::SmallVec;

use super::bookkeeping::{LAST_UPDATED_BY, Seen, is_component};
use super::change::Change;
use super::entries::Entries;
use super::history::model_id;
use super::patch;
use super::rendering::Rendering;
use crate::cloud_event::{EventType, push_json_string};
use crate::event::EntityKind;
use crate::json::{Finder, Kind, Text, Value};

/// What became of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PropertyOperation {
    Add,
    Replace,
    Remove,
}

/// Writes the property events of one change.
pub(super) struct Properties<'d, 'r, 'c> {
    rendering: &'r mut Rendering<'c>,
    /// The data up to the property's name.
    head: String,
    /// The data after the operation, but for what the property's entry says.
    tail: String,
    /// The property's name: its own, after those of the components that it is in.
    path: SmallVec<[Text<'d>; 8]>,
    events: usize,
}

impl<'d, 'r, 'c> Properties<'d, 'r, 'c> {
    pub(super) fn new(change: &Change<'_>, rendering: &'r mut Rendering<'c>) -> Self {
        let mut head = String::with_capacity(64);
        head.push_str(r#"{"twinId":"#);
        push_json_string(&mut head, &change.event.ordering_key);
        head.push_str(r#","propertyName":""#);
        let mut tail = String::with_capacity(256);
        change.push_time_and_service(&mut tail);
        let document = change.documents.latest();
        push_member(&mut tail, "modelId", model_id(document));
        if change.event.kind == EntityKind::Relationship {
            tail.push_str(r#","relationshipId":"#);
            push_json_string(&mut tail, &change.event.entity_id);
            push_member(&mut tail, "relationshipName", raw_or_null(document, "$relationshipName"));
            push_member(&mut tail, "relationshipTarget", raw_or_null(document, "$targetId"));
        }
        Self { rendering, head, tail, path: SmallVec::new(), events: 0 }
    }

    /// One event per property that differs between two documents or components, or was written: those that are gone in
    /// the old order, then the others in the new order.
    pub(super) fn changed(&mut self, old: Value<'d>, new: Value<'d>) {
        let mut entries = Entries::between(Some(old), Some(new));
        let mut new_members = Finder::new(new);
        for member in properties(old) {
            if new_members.find(member.name()).is_none() {
                self.at(member.name(), |this| this.gone(member, &mut entries));
            }
        }
        let mut old_members = Finder::new(old);
        for member in properties(new) {
            let before = old_members.find(member.name());
            let is_copy = before.is_some_and(|before| before.raw() == member.raw());
            if is_copy && !entries.written(member.name()) {
                continue;
            }
            self.at(member.name(), |this| this.present(before, member, &mut entries));
        }
    }

    /// One event per property of a document or component: of `new`, or of `old` where there is no new one.
    pub(super) fn all(
        &mut self,
        operation: PropertyOperation,
        old: Option<Value<'d>>,
        new: Option<Value<'d>>,
    ) {
        let Some(listed) = new.or(old) else { return };
        let mut entries = Entries::between(old, new);
        for member in properties(listed) {
            let name = member.name();
            self.at(name, |this| {
                if is_component(member) {
                    let component = |side: Option<Value<'d>>| {
                        let mut members = side?.children();
                        members.find(|other| other.name() == name && is_component(*other))
                    };
                    this.all(operation, component(old), component(new));
                } else {
                    this.event(operation, member, entries.changed(name));
                }
            });
        }
    }

    /// A property that the new document lacks.
    fn gone(&mut self, before: Value<'d>, entries: &mut Entries<'d>) {
        if is_component(before) {
            self.all(PropertyOperation::Remove, Some(before), None);
        } else {
            self.event(PropertyOperation::Remove, before, entries.changed(before.name()));
        }
    }

    /// A property that the new document has.
    fn present(&mut self, before: Option<Value<'d>>, member: Value<'d>, entries: &mut Entries<'d>) {
        let name = member.name();
        match before {
            Some(before) if is_component(before) && is_component(member) => {
                let events = self.events;
                self.changed(before, member);
                let untouched = self.events == events
                    && !patch::differs(Seen::component(before), Seen::component(member));
                if untouched && entries.written(name) {
                    self.all(PropertyOperation::Replace, Some(before), Some(member));
                }
            }
            Some(before) if !is_component(before) && !is_component(member) => {
                if !before.same(member) || entries.written(name) {
                    self.event(PropertyOperation::Replace, member, entries.changed(name));
                }
            }
            _ => {
                if let Some(before) = before {
                    self.gone(before, entries);
                }
                if is_component(member) {
                    self.all(PropertyOperation::Add, None, Some(member));
                } else {
                    self.event(PropertyOperation::Add, member, entries.changed(name));
                }
            }
        }
    }

    fn at(&mut self, name: Text<'d>, write: impl FnOnce(&mut Self)) {
        self.path.push(name);
        write(self);
        self.path.pop();
    }

    /// `entry` is the property's entry in `$metadata` after the change, when it is new or changed.
    fn event(&mut self, operation: PropertyOperation, member: Value<'d>, entry: Option<Value<'d>>) {
        let (value, value_type) = match operation {
            PropertyOperation::Remove => ("null", "null"),
            PropertyOperation::Add | PropertyOperation::Replace => (member.raw(), type_of(member)),
        };
        let Self { rendering, head, tail, path, events } = self;
        rendering.written(EventType::PropertyEvent, |out| {
            out.push_str(head);
            for (depth, name) in path.iter().enumerate() {
                out.push_str(if depth == 0 { "" } else { "." });
                out.push_str(name.raw());
            }
            out.push('"');
            push_member(out, "propertyValue", value);
            for part in
                [r#","propertyType":""#, value_type, r#"","operation":""#, operation.name(), "\"", tail]
            {
                out.push_str(part);
            }
            let said = |name| entry.and_then(|entry| entry.get(name)).map(Value::raw);
            for (name, said) in
                [("sourceTimeStamp", said("sourceTime")), ("updatedBy", said(LAST_UPDATED_BY))]
            {
                if let Some(said) = said {
                    push_member(out, name, said);
                }
            }
            out.push('}');
            Some(())
        });
        *events += 1;
    }
}

impl PropertyOperation {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Replace => "Replace",
            Self::Remove => "Remove",
        }
    }
}

/// The members that can be properties.
fn properties(object: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    object.children().filter(|member| !member.name().starts_with('$'))
}

/// An object's member as JSON text, `null` when there is none.
pub(super) fn raw_or_null<'d>(object: Value<'d>, name: &str) -> &'d str {
    object.get(name).map_or("null", Value::raw)
}

/// Appends `,"name":value`.
pub(super) fn push_member(out: &mut String, name: &str, value: &str) {
    for part in [",\"", name, "\":", value] {
        out.push_str(part);
    }
}

fn type_of(value: Value<'_>) -> &'static str {
    match value.kind() {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Number if value.raw().contains(['.', 'e', 'E']) => "double",
        Kind::Number if value.raw().parse::<i32>().is_ok() => "integer",
        Kind::Number => "long",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}
