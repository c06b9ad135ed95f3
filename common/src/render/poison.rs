//! The CloudEvent that stands for an item which can never become one, so that it can be a dead letter.

use std::sync::Arc;

use bytes::Bytes;

use super::envelope::{Envelope, id_stem};
use super::source::Source;
use super::time::rfc3339_micros;
use crate::cloud_event::{CloudEvent, EventType, push_json_string};
use crate::event::{EventData, PoisonEvent};
use crate::format::{EventFormat, TypeMappings};
use crate::position::Position;

/// What is shown of a document that cannot be read, in bytes: enough to see what it is, little to hold. Capture keeps as
/// much of a row that is too large.
const RAW_BYTES_MAX: usize = 64 * 1024;

/// What is known of an item that can never become an event.
#[derive(Clone, Copy, Debug)]
pub struct Poison<'a> {
    position: Position,
    graph: &'a str,
    label: &'a str,
    key: &'a str,
    reason: &'a str,
    /// The row or the document as it came, or its beginning.
    raw: &'a [u8],
    raw_size_bytes: u64,
    commit_time_us: i64,
}

impl<'a> Poison<'a> {
    /// A row that capture could not read.
    #[must_use]
    pub fn unread(poison: &'a PoisonEvent) -> Self {
        Self {
            position: poison.position,
            graph: &poison.graph,
            label: &poison.label,
            key: &poison.ordering_key,
            reason: &poison.reason,
            raw: &poison.raw,
            raw_size_bytes: poison.raw_size_bytes,
            commit_time_us: poison.commit_time_us,
        }
    }

    /// An event that cannot be rendered, and why.
    #[must_use]
    pub fn unrendered(event: &'a EventData, reason: &'a str) -> Self {
        let raw = event.new.as_deref().or(event.old.as_deref()).unwrap_or_default();
        Self {
            position: event.position,
            graph: &event.graph,
            label: &event.label,
            key: &event.ordering_key,
            reason,
            raw,
            raw_size_bytes: raw.len() as u64,
            commit_time_us: event.commit_time_us,
        }
    }
}

pub(super) fn event(poison: &Poison<'_>, source: &Source, system_identifier: &str) -> CloudEvent {
    let key: Arc<str> = poison.key.into();
    let envelope = Envelope {
        source: source.uri(poison.graph),
        subject: Some(Arc::clone(&key)),
        time: rfc3339_micros(poison.commit_time_us).into(),
        sequence: poison.position.sequence().into(),
        partition_key: key,
        traceparent: None,
        id_stem: id_stem(system_identifier, &poison.position, poison.commit_time_us),
    };
    let (format, types) = (EventFormat::EventNotification, TypeMappings::default());
    envelope.event(0, format, &types, EventType::StreamPoison, data(poison))
}

/// `{position, graph, label, key, reason, raw, rawSizeBytes}`. What is no UTF-8 in `raw` is replaced by U+FFFD.
fn data(poison: &Poison<'_>) -> Bytes {
    let position = poison.position.sequence();
    let raw = poison.raw.get(..RAW_BYTES_MAX).unwrap_or(poison.raw);
    let raw = String::from_utf8_lossy(raw);
    let mut json = String::from(r#"{"position":"#);
    push_json_string(&mut json, &position);
    for (name, text) in [
        ("graph", poison.graph),
        ("label", poison.label),
        ("key", poison.key),
        ("reason", poison.reason),
        ("raw", &*raw),
    ] {
        super::property::push_member(&mut json, name, "");
        push_json_string(&mut json, text);
    }
    super::property::push_member(&mut json, "rawSizeBytes", &poison.raw_size_bytes.to_string());
    json.push('}');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;

    fn poison() -> PoisonEvent {
        PoisonEvent {
            position: Position { incarnation: 1, commit_lsn: Lsn(2), change_lsn: Lsn(3), ordinal: 4 },
            graph: "plant".to_owned(),
            label: "Twin".to_owned(),
            ordering_key: "floor \"1\"".to_owned(),
            reason: "nested too deeply".to_owned(),
            raw: Bytes::from_static(b"{\"a\": \xFF"),
            raw_size_bytes: 70_000_000,
            commit_time_us: 1_700_000_000_000_000,
            xid: 7,
        }
    }

    #[test]
    fn all_that_is_known_of_an_item_stands_in_its_event() {
        let poison = poison();
        let source = Source::new("https://twins.example.com/{graph}");
        let event = event(&Poison::unread(&poison), &source, "7");
        assert_eq!(&*event.event_type, "Konnektr.DigitalTwins.Stream.Poison");
        assert_eq!(&*event.source, "https://twins.example.com/plant");
        assert_eq!(&*event.time, "2023-11-14T22:13:20.000000Z");
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        let expected = serde_json::json!({
            "position": poison.position.sequence(), "graph": "plant", "label": "Twin", "key": "floor \"1\"",
            "reason": "nested too deeply", "raw": "{\"a\": \u{FFFD}", "rawSizeBytes": 70_000_000,
        });
        assert_eq!(data, expected);
    }

    #[test]
    fn the_same_item_has_the_same_id() {
        let source = Source::new("https://twins.example.com/");
        let (first, mut second) = (poison(), poison());
        second.reason = "said otherwise".to_owned();
        let id = |poison: &PoisonEvent| event(&Poison::unread(poison), &source, "7").id;
        assert_eq!(id(&first), id(&second));
        second.position.ordinal = 6;
        assert_ne!(id(&first), id(&second));
    }
}
