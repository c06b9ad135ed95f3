//! A CloudEvent as a Kafka record in binary content mode (Kafka protocol binding for CloudEvents 1.0, section 3.2).

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use twinroute_common::cloud_event::{CloudEvent, DATA_CONTENT_TYPE, SPEC_VERSION};
use uuid::Uuid;

/// Headers of an event with all attributes.
const HEADERS_MAX: usize = 10;

/// The record of an event: the ordering key as its key, `data` as its value, the attributes as headers. The time is left
/// to the client, since brokers may refuse times that are long past; the event's own is in `ce_time`. `token` comes back with
/// the delivery report.
pub fn record<'a>(topic: &'a str, event: &'a CloudEvent, token: usize) -> BaseRecord<'a, [u8], [u8], usize> {
    let mut id = Uuid::encode_buffer();
    let id: &str = event.id.hyphenated().encode_lower(&mut id);
    let headers = attributes(event, id)
        .fold(OwnedHeaders::new_with_capacity(HEADERS_MAX), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
    BaseRecord::with_opaque_to(topic, token)
        .key(event.partition_key.as_bytes())
        .payload(&event.data[..])
        .headers(headers)
}

fn attributes<'a>(event: &'a CloudEvent, id: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
    let all: [(&str, Option<&str>); HEADERS_MAX] = [
        ("ce_specversion", Some(SPEC_VERSION)),
        ("ce_id", Some(id)),
        ("ce_source", Some(&event.source)),
        ("ce_type", Some(&event.event_type)),
        ("ce_subject", event.subject.as_deref()),
        ("ce_time", Some(&event.time)),
        ("ce_sequence", Some(&event.sequence)),
        ("ce_partitionkey", Some(&event.partition_key)),
        ("ce_traceparent", event.traceparent.as_deref()),
        ("content-type", Some(DATA_CONTENT_TYPE)),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sink::test_events;

    #[test]
    fn an_event_becomes_headers_key_and_value() {
        // given an update of a twin
        let event = test_events::twin_update("room1");

        // when it is made a record
        let record = record("twins", &event, 7);

        // then its attributes are headers, in the binding's spelling
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "00000000-0000-0000-0000-000000000011"),
            ("ce_source", "https://twins.example.com/factory"),
            ("ce_type", "Konnektr.DigitalTwins.Twin.Update"),
            ("ce_subject", "room1"),
            ("ce_time", "2026-01-01T12:00:00.000000Z"),
            ("ce_sequence", "00000001000000000000002a"),
            ("ce_partitionkey", "room1"),
            ("content-type", "application/json"),
        ];
        let id = event.id.to_string();
        assert_eq!(attributes(&event, &id).collect::<Vec<_>>(), expected);

        // and key and value are those of the event
        assert_eq!(record.key, Some("room1".as_bytes()));
        assert_eq!(record.payload, Some(&event.data[..]));
        assert_eq!(record.delivery_opaque, 7);
    }

    #[test]
    fn optional_attributes_are_there_when_known() {
        let mut event = test_events::twin_update("room1");
        event.subject = None;
        event.traceparent = Some(Arc::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let keys: Vec<&str> = attributes(&event, "id").map(|(key, _)| key).collect();
        assert!(!keys.contains(&"ce_subject"));
        assert!(keys.contains(&"ce_traceparent"));
    }
}
