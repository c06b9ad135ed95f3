//! A change whose documents were read.

use bytes::Bytes;

use super::envelope::Envelope;
use super::error::{RenderError, Side};
use super::rendering::Rendering;
use super::source::Source;
use super::{history, notification};
use crate::cloud_event::CloudEvent;
use crate::event::{EventData, Operation};
use crate::format::{EventFormat, TypeMappings};
use crate::json::{Document, Value};

/// A change that was read once and can be rendered in any format.
#[derive(Clone, Debug)]
pub struct Change<'e> {
    pub(super) event: &'e EventData,
    pub(super) documents: Documents<'e>,
    pub(super) envelope: Envelope,
}

/// The documents that each operation has; all are objects.
#[derive(Clone, Debug)]
pub(super) enum Documents<'e> {
    Create { new: Document<'e> },
    Update { old: Option<Document<'e>>, new: Document<'e> },
    Delete { old: Document<'e> },
}

impl<'e> Change<'e> {
    pub(super) fn open(
        event: &'e EventData,
        source: &Source,
        system_identifier: &str,
    ) -> Result<Self, RenderError> {
        let old = || read(event.old.as_ref(), Side::Old);
        let new = || read(event.new.as_ref(), Side::New)?.ok_or(RenderError::Missing(Side::New));
        let documents = match event.operation {
            Operation::Create => Documents::Create { new: new()? },
            Operation::Update => Documents::Update { old: old()?, new: new()? },
            Operation::Delete => Documents::Delete { old: old()?.ok_or(RenderError::Missing(Side::Old))? },
        };
        let envelope = Envelope::of_change(event, source.uri(&event.graph), system_identifier);
        Ok(Self { event, documents, envelope })
    }

    /// The document before the change, if there was one and it is known.
    #[must_use]
    pub fn before(&self) -> Option<Value<'_>> {
        match &self.documents {
            Documents::Update { old, .. } => old.as_ref().map(Document::root),
            Documents::Delete { old } => Some(old.root()),
            Documents::Create { .. } => None,
        }
    }

    /// The document after the change, if there is one.
    #[must_use]
    pub fn after(&self) -> Option<Value<'_>> {
        match &self.documents {
            Documents::Create { new } | Documents::Update { new, .. } => Some(new.root()),
            Documents::Delete { .. } => None,
        }
    }

    /// The CloudEvents of this change in one format; none where the format has nothing to say of it.
    #[must_use]
    pub fn render(&self, format: EventFormat, types: &TypeMappings) -> Vec<CloudEvent> {
        let mut rendering = Rendering::new(&self.envelope, format, types);
        match format {
            EventFormat::EventNotification => notification::render(self, &mut rendering),
            EventFormat::DataHistory => history::render(self, &mut rendering),
        }
        rendering.into_events()
    }
}

impl Documents<'_> {
    /// The document after the change, or the last one.
    pub(super) fn latest(&self) -> Value<'_> {
        match self {
            Self::Create { new } | Self::Update { new, .. } => new.root(),
            Self::Delete { old } => old.root(),
        }
    }
}

fn read(document: Option<&Bytes>, side: Side) -> Result<Option<Document<'_>>, RenderError> {
    let Some(text) = document else { return Ok(None) };
    let document = Document::parse(text).map_err(|source| RenderError::Unreadable { side, source })?;
    if !document.root().is_object() {
        return Err(RenderError::NotAnObject(side));
    }
    Ok(Some(document))
}
