//! A CloudEvent read back from its structured JSON, as it was written by this project.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{CloudEvent, EventType};

/// The text is no CloudEvent that this project has written.
#[derive(Debug, thiserror::Error)]
pub enum StructuredError {
    /// No JSON, or an attribute is missing.
    #[error("not a structured CloudEvent")]
    Json(#[from] serde_json::Error),
}

/// The members of CloudEvents JSON format 1.0, section 3.
#[derive(Deserialize)]
struct Structured<'a> {
    id: Uuid,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    subject: Option<String>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    #[serde(borrow)]
    partitionkey: Cow<'a, str>,
    traceparent: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl CloudEvent {
    /// Reads what [`CloudEvent::to_structured_json`] has written; `default_type` is not in the text. `data` stays as it
    /// stands there.
    ///
    /// # Errors
    /// When it is no JSON, or an attribute is missing.
    pub fn from_structured_json(json: &[u8], default_type: EventType) -> Result<Self, StructuredError> {
        let read: Structured<'_> = serde_json::from_slice(json)?;
        Ok(Self {
            id: read.id,
            source: Arc::from(read.source),
            event_type: Arc::from(read.event_type),
            default_type,
            subject: read.subject.map(Arc::from),
            time: Arc::from(read.time),
            sequence: Arc::from(read.sequence),
            partition_key: Arc::from(read.partitionkey),
            traceparent: read.traceparent.map(Arc::from),
            data: Bytes::copy_from_slice(read.data.get().as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            id: u128,
            texts: [String; 5],
            subject: Option<String>,
            traceparent: Option<String>,
            data in any::<Vec<String>>(),
        ) {
            let [source, event_type, time, sequence, partition_key] = texts.map(Arc::from);
            let event = CloudEvent {
                id: Uuid::from_u128(id),
                source,
                event_type,
                default_type: EventType::TwinUpdate,
                subject: subject.map(Arc::from),
                time,
                sequence,
                partition_key,
                traceparent: traceparent.map(Arc::from),
                data: serde_json::to_vec(&data).unwrap_or_default().into(),
            };
            let read = CloudEvent::from_structured_json(&event.to_structured_json(), EventType::TwinUpdate);
            prop_assert_eq!(read.ok(), Some(event));
        }
    }

    #[test]
    fn what_lacks_an_attribute_is_refused() {
        let read = CloudEvent::from_structured_json(br#"{"specversion":"1.0"}"#, EventType::TwinUpdate);
        assert!(read.is_err());
    }
}
