//! The attributes that all CloudEvents of one change share.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::source::SourceUri;
use super::time::rfc3339_micros;
use crate::cloud_event::{CloudEvent, EventType};
use crate::event::{EntityKind, EventData};
use crate::format::{EventFormat, TypeMappings};
use crate::position::Position;

/// All attributes but `id`, `type` and `data`.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) source: SourceUri,
    pub(super) subject: Option<Arc<str>>,
    pub(super) time: Arc<str>,
    pub(super) sequence: Arc<str>,
    pub(super) partition_key: Arc<str>,
    pub(super) traceparent: Option<Arc<str>>,
    /// What the ids are made of, up to the slash before the format.
    pub(super) id_stem: String,
}

/// The first parts of the text that an id is made of: `<system identifier>/<commit LSN>/<commit time in µs>/<change
/// LSN>/<ordinal>/`.
pub(super) fn id_stem(system_identifier: &str, position: &Position, commit_time_us: i64) -> String {
    let mut stem = String::with_capacity(96);
    stem.push_str(system_identifier);
    stem.push('/');
    push_hex(&mut stem, position.commit_lsn.0, 16);
    let _ = write!(stem, "/{commit_time_us}/");
    push_hex(&mut stem, position.change_lsn.0, 16);
    let _ = write!(stem, "/{}/", position.ordinal);
    stem
}

/// [`Position::sequence`], faster: each event has one.
fn sequence(position: &Position) -> Arc<str> {
    let mut sequence = String::with_capacity(56);
    for part in [position.incarnation, position.commit_lsn.0, position.change_lsn.0] {
        push_hex(&mut sequence, part, 16);
    }
    push_hex(&mut sequence, u64::from(position.ordinal), 8);
    sequence.into()
}

/// Appends the lowest `digits` hexadecimal digits.
fn push_hex(text: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) as u32 & 0xF;
        text.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

impl Envelope {
    pub(super) fn of_change(event: &EventData, source: SourceUri, system_identifier: &str) -> Self {
        let partition_key: Arc<str> = event.ordering_key.as_str().into();
        let subject = match event.kind {
            EntityKind::Relationship => {
                let mut subject =
                    String::with_capacity(event.ordering_key.len() + event.entity_id.len() + 15);
                for part in [&event.ordering_key, "/relationships/", &event.entity_id] {
                    subject.push_str(part);
                }
                subject.into()
            }
            EntityKind::Twin | EntityKind::Model if event.entity_id == event.ordering_key => {
                Arc::clone(&partition_key)
            }
            EntityKind::Twin | EntityKind::Model => event.entity_id.as_str().into(),
        };
        Self {
            source,
            subject: Some(subject),
            time: rfc3339_micros(event.commit_time_us).into(),
            sequence: sequence(&event.position),
            partition_key,
            traceparent: (!event.traceparent.is_empty()).then(|| event.traceparent.as_str().into()),
            id_stem: id_stem(system_identifier, &event.position, event.commit_time_us),
        }
    }

    /// The CloudEvent at `index` of a rendering.
    pub(super) fn event(
        &self,
        index: usize,
        format: EventFormat,
        types: &TypeMappings,
        default_type: EventType,
        data: Bytes,
    ) -> CloudEvent {
        let event_type = types.emitted(default_type);
        let mut id_text = String::with_capacity(self.id_stem.len() + event_type.len() + 24);
        for part in [&self.id_stem, format.name(), "/"] {
            id_text.push_str(part);
        }
        let _ = write!(id_text, "{index}/");
        id_text.push_str(&event_type);
        CloudEvent {
            id: Uuid::new_v5(&self.source.namespace, id_text.as_bytes()),
            source: Arc::clone(&self.source.uri),
            event_type,
            default_type,
            subject: self.subject.clone(),
            time: Arc::clone(&self.time),
            sequence: Arc::clone(&self.sequence),
            partition_key: Arc::clone(&self.partition_key),
            traceparent: self.traceparent.clone(),
            data,
        }
    }
}
