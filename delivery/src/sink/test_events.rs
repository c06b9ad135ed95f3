//! CloudEvents for the sinks' tests.

use std::sync::Arc;

use bytes::Bytes;
use twinroute_common::cloud_event::{CloudEvent, EventType};
use uuid::Uuid;

/// An update of a twin, as events.md's worked example has it.
pub(crate) fn twin_update(twin: &str) -> CloudEvent {
    let data =
        r#"{"modelId":"dtmi:example:Room;1","patch":[{"op":"replace","path":"/Temperature","value":22.0}]}"#;
    event(EventType::TwinUpdate, twin, data)
}

/// An event of a twin with any data.
pub(crate) fn event(kind: EventType, twin: &str, data: &str) -> CloudEvent {
    CloudEvent {
        id: Uuid::from_u128(0x11),
        source: Arc::from("https://twins.example.com/factory"),
        event_type: Arc::from(kind.name()),
        default_type: kind,
        subject: Some(Arc::from(twin)),
        time: Arc::from("2026-01-01T12:00:00.000000Z"),
        sequence: Arc::from("00000001000000000000002a"),
        partition_key: Arc::from(twin),
        traceparent: None,
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}
