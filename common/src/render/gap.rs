//! The CloudEvent that tells of missing changes.

use std::sync::Arc;

use bytes::Bytes;

use super::envelope::{Envelope, id_stem};
use super::source::Source;
use super::time::rfc3339_micros;
use crate::cloud_event::{CloudEvent, EventType, push_json_string};
use crate::event::Discontinuity;
use crate::format::{EventFormat, TypeMappings};
use crate::position::Position;

/// Stands for the graph in `source`: a gap is one of the stream, so of all graphs.
const ALL_GRAPHS: &str = "*";

/// Part of the id where other events have their commit time: a gap was never committed.
const NO_COMMIT_TIME_US: i64 = 0;

/// Given the instance (source URI and system identifier of its cluster) and the route's form of events.
pub(super) fn event(
    gap: &Discontinuity,
    noticed_us: i64,
    (source, system_identifier): (&Source, &str),
    (format, types): (EventFormat, &TypeMappings),
) -> CloudEvent {
    let stem = id_stem(system_identifier, &gap.position, NO_COMMIT_TIME_US);
    let envelope = Envelope {
        source: source.uri(ALL_GRAPHS),
        subject: None,
        time: rfc3339_micros(noticed_us).into(),
        sequence: gap.position.sequence().into(),
        partition_key: Arc::from(EventType::StreamGap.name()),
        traceparent: None,
        id_stem: stem,
    };
    envelope.event(0, format, types, EventType::StreamGap, data(gap))
}

/// `{reason, lastKnown, firstNew}`; positions as in the attribute `sequence`, `null` where there is none.
fn data(gap: &Discontinuity) -> Bytes {
    let mut json = String::from(r#"{"reason":"#);
    push_json_string(&mut json, &gap.reason);
    for (name, position) in [("lastKnown", &gap.last_known), ("firstNew", &gap.first_new)] {
        let text = position.as_ref().map(Position::sequence);
        let value = text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""));
        super::property::push_member(&mut json, name, &value);
    }
    json.push('}');
    json.into()
}
