//! A CloudEvent, as the sinks send it (CloudEvents 1.0).

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

mod event_type;
mod structured;

pub use event_type::EventType;
pub(crate) use event_type::TypeSet;
pub use structured::StructuredError;

/// `specversion` of every event.
pub const SPEC_VERSION: &str = "1.0";
/// `datacontenttype` of every event, and of its `data`.
pub const DATA_CONTENT_TYPE: &str = "application/json";

/// One CloudEvent. The attributes that never change are [`SPEC_VERSION`] and [`DATA_CONTENT_TYPE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvent {
    /// `id`: the same for every copy of the event, at every sink and after every retry.
    pub id: Uuid,
    /// `source`: URI of the instance.
    pub source: Arc<str>,
    /// `type`: as the route emits it.
    pub event_type: Arc<str>,
    /// `type` before the route's type mappings; names the shape of `data`.
    pub default_type: EventType,
    /// `subject`; `None` only for a stream gap.
    pub subject: Option<Arc<str>>,
    /// `time`: the commit time, RFC 3339 in UTC with microseconds.
    pub time: Arc<str>,
    /// Extension `sequence`: fixed-width hexadecimal, sorts as text as the changes were made.
    pub sequence: Arc<str>,
    /// Extension `partitionkey`: the ordering key.
    pub partition_key: Arc<str>,
    /// Extension `traceparent` (W3C trace context), when known.
    pub traceparent: Option<Arc<str>>,
    /// `data`: JSON text in UTF-8.
    pub data: Bytes,
}

impl CloudEvent {
    /// The whole event as JSON (CloudEvents JSON format 1.0, section 3); `data` is copied as it stands.
    #[must_use]
    pub fn to_structured_json(&self) -> Vec<u8> {
        let mut json = self.structured_head(|_| ()).into_bytes();
        json.reserve_exact(self.data.len() + 1);
        json.extend_from_slice(&self.data);
        json.push(b'}');
        json
    }

    /// The event as JSON up to and including `"data":`, with what `extend` appends as further attributes.
    pub(crate) fn structured_head(&self, extend: impl FnOnce(&mut String)) -> String {
        let mut head = String::with_capacity(512);
        head.push_str(r#"{"specversion":"1.0""#);
        let mut member = |name: &str, value: &str| {
            let _ = write!(head, r#","{name}":"#);
            push_json_string(&mut head, value);
        };
        let mut id = Uuid::encode_buffer();
        member("id", self.id.hyphenated().encode_lower(&mut id));
        member("source", &self.source);
        member("type", &self.event_type);
        if let Some(subject) = &self.subject {
            member("subject", subject);
        }
        member("time", &self.time);
        member("datacontenttype", DATA_CONTENT_TYPE);
        member("sequence", &self.sequence);
        member("partitionkey", &self.partition_key);
        if let Some(traceparent) = &self.traceparent {
            member("traceparent", traceparent);
        }
        extend(&mut head);
        head.push_str(r#","data":"#);
        head
    }
}

/// Appends `text` as a JSON string (RFC 8259, section 7).
pub fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
