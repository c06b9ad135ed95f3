//! The data of one change's CloudEvents in one format, as it is written.

use bytes::Bytes;

use super::envelope::Envelope;
use crate::cloud_event::{CloudEvent, EventType};
use crate::format::{EventFormat, TypeMappings};

/// Collects data: written one after the other into one buffer, of which each event then has its part.
pub(super) struct Rendering<'c> {
    envelope: &'c Envelope,
    format: EventFormat,
    types: &'c TypeMappings,
    buffer: String,
    data: Vec<(EventType, Data)>,
}

enum Data {
    /// A document as it stands.
    Document(Bytes),
    /// The buffer up to this byte, from where the previous one ends.
    Written { end: usize },
}

impl<'c> Rendering<'c> {
    pub(super) fn new(envelope: &'c Envelope, format: EventFormat, types: &'c TypeMappings) -> Self {
        Self { envelope, format, types, buffer: String::new(), data: Vec::new() }
    }

    /// One more event, whose data is this document.
    pub(super) fn document(&mut self, event_type: EventType, document: Bytes) {
        self.data.push((event_type, Data::Document(document)));
    }

    /// One more event, whose data `write` appends; none when it returns `None`.
    pub(super) fn written(&mut self, event_type: EventType, write: impl FnOnce(&mut String) -> Option<()>) {
        let start = self.buffer.len();
        match write(&mut self.buffer) {
            Some(()) => self.data.push((event_type, Data::Written { end: self.buffer.len() })),
            None => self.buffer.truncate(start),
        }
    }

    pub(super) fn into_events(self) -> Vec<CloudEvent> {
        let buffer = Bytes::from(self.buffer);
        let mut start = 0;
        let mut index = 0;
        let event = |(event_type, data)| {
            let data = match data {
                Data::Document(document) => document,
                Data::Written { end } => buffer.slice(std::mem::replace(&mut start, end)..end),
            };
            let event = self.envelope.event(index, self.format, self.types, event_type, data);
            index += 1;
            event
        };
        self.data.into_iter().map(event).collect()
    }
}
