//! The content of a segment: a head line with a checksum, then one line of JSON per event.
//!
//! ```text
//! twinroute-segment 1 events=2 sha256=8c1f…
//! {"type":"Konnektr.DigitalTwins.Twin.Update","event":{"specversion":"1.0",…}}
//! {"type":"Konnektr.DigitalTwins.Twin.Delete","event":{"specversion":"1.0",…}}
//! ```
//!
//! `event` is the CloudEvent as structured JSON, so that an operator can read it; `type` is its type before the route's
//! mappings, which names the shape of its data. The checksum is over everything behind the head line.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use twinroute_common::cloud_event::{CloudEvent, EventType};

use super::checksum::checksum;

const MAGIC: &str = "twinroute-segment 1";
/// Bytes of a line besides the event, about.
const LINE_BYTES: usize = 64;

/// A segment cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The head line is missing or of another version.
    #[error("it does not start as a segment does")]
    Head,
    /// What follows the head line is not what was written.
    #[error("its checksum is wrong: it is torn or was changed")]
    Checksum,
    /// It is not there, and no holder of its partition has deleted it.
    #[error("it is not in the store any more, and no worker has deleted it")]
    Missing,
    /// A line is no event, though the checksum is right: another version wrote it.
    #[error("its line {0} is no event that this version knows")]
    Line(usize),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    default_type: &'a str,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// Bytes that an event takes in a segment, about.
#[must_use]
pub fn bytes_of(event: &CloudEvent) -> u64 {
    let texts = [&event.source, &event.event_type, &event.sequence, &event.partition_key];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    (LINE_BYTES + 256 + texts + event.data.len()) as u64
}

/// The content of a segment with these events.
#[must_use]
pub fn encode<'e>(events: impl Iterator<Item = &'e CloudEvent> + Clone) -> Bytes {
    let count = events.clone().count();
    let head = |sum: &str| format!("{MAGIC} events={count} sha256={sum}\n");
    // Large events are copied once: the head has its place before its checksum is known.
    let unsummed = head(&checksum(&[]));
    let bytes: u64 = events.clone().map(bytes_of).sum();
    let mut content = Vec::with_capacity(unsummed.len() + usize::try_from(bytes).unwrap_or_default());
    content.extend_from_slice(unsummed.as_bytes());
    for event in events {
        content.extend_from_slice(br#"{"type":""#);
        content.extend_from_slice(event.default_type.name().as_bytes());
        content.extend_from_slice(br#"","event":"#);
        content.extend_from_slice(&event.to_structured_json());
        content.extend_from_slice(b"}\n");
    }
    if let Some((place, lines)) = content.split_at_mut_checked(unsummed.len()) {
        place.copy_from_slice(head(&checksum(lines)).as_bytes());
    }
    content.into()
}

/// The events of a segment.
///
/// # Errors
/// When it is not what [`encode`] has made.
pub fn decode(content: &[u8]) -> Result<Vec<Arc<CloudEvent>>, Damage> {
    let end = content.iter().position(|byte| *byte == b'\n').ok_or(Damage::Head)?;
    let (head, lines) = content.split_at_checked(end + 1).ok_or(Damage::Head)?;
    let head = std::str::from_utf8(head).map_err(|_| Damage::Head)?;
    let head = head.trim_end().strip_prefix(MAGIC).ok_or(Damage::Head)?;
    let sum = head.split_once(" sha256=").map(|(_, sum)| sum).ok_or(Damage::Head)?;
    if checksum(lines) != sum {
        return Err(Damage::Checksum);
    }
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.enumerate().map(|(index, line)| event(line).ok_or(Damage::Line(index + 2))).collect()
}

fn event(line: &[u8]) -> Option<Arc<CloudEvent>> {
    let Line { default_type, event } = serde_json::from_slice(line).ok()?;
    let default_type = EventType::from_name(default_type)?;
    CloudEvent::from_structured_json(event.get().as_bytes(), default_type).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::test_events::{event, twin_update};

    #[test]
    fn events_come_back_as_they_were() {
        let events = [twin_update("a"), event(EventType::TwinDelete, "b\n\"", r#"{"x":"ü\n"}"#)];
        let read = decode(&encode(events.iter())).unwrap();
        assert_eq!(read.iter().map(|event| (**event).clone()).collect::<Vec<_>>(), events);
        assert_eq!(decode(&encode(std::iter::empty())), Ok(Vec::new()));
    }

    #[test]
    fn any_change_is_noticed() {
        let content = encode([twin_update("a"), twin_update("b")].iter());

        // torn at any byte
        for length in 0..content.len() {
            assert!(decode(content.get(..length).unwrap()).is_err(), "torn at {length}");
        }

        // any byte of the events changed
        let head = content.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for index in head..content.len() {
            let mut changed = content.to_vec();
            *changed.get_mut(index).unwrap() ^= 1;
            assert_eq!(decode(&changed), Err(Damage::Checksum), "changed at {index}");
        }
    }
}
