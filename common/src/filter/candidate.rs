//! What a filter may ask: a rendered event, and the entity's documents before and after the change.

use std::borrow::Cow;
use std::cell::OnceCell;

use uuid::Uuid;

use super::field::{AttributeName, Field, Side};
use super::operand::Operand;
use crate::cloud_event::{CloudEvent, DATA_CONTENT_TYPE, SPEC_VERSION};
use crate::json::{Document, Value};

/// An event, and what stands behind it. Nothing is read before a filter asks for it, and nothing twice.
#[derive(Debug)]
pub struct Candidate<'a> {
    event: &'a CloudEvent,
    old: Option<Value<'a>>,
    new: Option<Value<'a>>,
    id: OnceCell<[u8; uuid::fmt::Hyphenated::LENGTH]>,
    /// The data, if it is not one of the documents; `None` in it if it cannot be read, which a rendered event's can.
    body: OnceCell<Option<Document<'a>>>,
}

impl<'a> Candidate<'a> {
    /// `old` and `new` are the entity's documents before and after the change, where there are such.
    #[must_use]
    pub fn new(event: &'a CloudEvent, old: Option<Value<'a>>, new: Option<Value<'a>>) -> Self {
        Self { event, old, new, id: OnceCell::new(), body: OnceCell::new() }
    }

    /// The event.
    pub(crate) fn event(&self) -> &'a CloudEvent {
        self.event
    }

    /// A field's value, if it is text.
    pub(crate) fn text<'c>(&'c self, field: &'c Field) -> Option<Cow<'c, str>> {
        match self.operand(field) {
            Operand::Text(text) => Some(text.unescaped()),
            _ => None,
        }
    }

    /// A field's value, or that there is none.
    pub(super) fn operand<'c>(&'c self, field: &'c Field) -> Operand<'c> {
        match field {
            Field::Attribute(name) => self.attribute(*name).map_or(Operand::Missing, Operand::text),
            Field::Document { side, steps } => {
                self.value(*side, steps).map_or(Operand::Missing, Operand::from)
            }
            Field::Unknown => Operand::Missing,
        }
    }

    /// A field's value as people read it.
    pub(super) fn shown(&self, field: &Field) -> Option<Cow<'_, str>> {
        match field {
            Field::Attribute(name) => Some(format!("'{}'", self.attribute(*name)?).into()),
            Field::Document { side, steps } => self.value(*side, steps).map(|value| value.raw().into()),
            Field::Unknown => None,
        }
    }

    fn attribute(&self, name: AttributeName) -> Option<&str> {
        let event = self.event;
        Some(match name {
            AttributeName::EmittedType => &event.event_type,
            AttributeName::DefaultType => event.default_type.name(),
            AttributeName::AzureType => event.default_type.azure_name(),
            AttributeName::Source => &event.source,
            AttributeName::Subject => event.subject.as_deref()?,
            AttributeName::Time => &event.time,
            AttributeName::DataContentType => DATA_CONTENT_TYPE,
            AttributeName::SpecVersion => SPEC_VERSION,
            AttributeName::Id => str::from_utf8(self.id.get_or_init(|| hyphenated(event.id))).ok()?,
        })
    }

    /// The value below a document, or the document itself when there are no steps.
    pub(super) fn value<'c>(&'c self, side: Side, steps: &[Box<str>]) -> Option<Value<'c>> {
        steps.iter().try_fold(self.document(side)?, |value, step| value.get(step))
    }

    /// A document, if there is one.
    pub(super) fn document(&self, side: Side) -> Option<Value<'_>> {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
            Side::Body => self.body(),
        }
    }

    /// The data. That of a create or delete is a document that was read already.
    fn body(&self) -> Option<Value<'_>> {
        let data = &self.event.data;
        let is_data = |document: &Value<'a>| std::ptr::eq(document.raw().as_bytes(), &data[..]);
        if let Some(document) = self.new.filter(is_data).or_else(|| self.old.filter(is_data)) {
            return Some(document);
        }
        self.body.get_or_init(|| Document::parse(data).ok()).as_ref().map(Document::root)
    }
}

fn hyphenated(id: Uuid) -> [u8; uuid::fmt::Hyphenated::LENGTH] {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    id.hyphenated().encode_lower(&mut text);
    text
}
