//! One dead letter: the CloudEvent as structured JSON, with why it could not be delivered as extension attributes.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;

use super::head::{LetterHead, UnreadableHead};
use super::layout::LetterName;
use crate::causes::Causes;
use crate::cloud_event::{CloudEvent, EventType, StructuredError, push_json_string};

/// Why an event could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people: extension attribute `deadletterreason`.
    pub reason: String,
    /// For programs, such as `MSG_SIZE_TOO_LARGE`: extension attribute `deadlettercode`.
    pub code: &'static str,
    /// How often the destination answered about this very event: extension attribute `deadletterattempts`.
    pub attempts: u32,
    /// When it was given up: extension attribute `deadlettertime`.
    pub time: Timestamp,
    /// Id of the redrive job that sent it in vain, if one did: extension attribute `deadletterredrive`.
    pub redrive: Option<Arc<str>>,
}

/// A letter whose event cannot be sent again.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableLetter {
    /// Its beginning is none of a letter.
    #[error(transparent)]
    Head(#[from] UnreadableHead),
    /// It lacks an attribute, or its end is missing.
    #[error("{}", Causes(.0))]
    Event(#[from] StructuredError),
    /// Neither its type nor `deadlettertype` is a default type.
    #[error(
        "its type `{0}` is none of this product, and `deadlettertype` does not say which one it stands for"
    )]
    Type(String),
}

/// One dead letter, ready to be written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The name of its object.
    pub(super) name: Path,
    /// Its text in three parts, so that the event's data is shared and not copied.
    pub(super) content: [Bytes; 3],
}

impl Letter {
    /// The letter of an event in the folder of an endpoint.
    #[must_use]
    pub fn new(endpoint: &str, event: &CloudEvent, failure: &Failure) -> Self {
        // Times are rendered by us; what no clock can show would stand at 1970 and still be found by its id.
        let time = event.time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let head = event.structured_head(|head| {
            push_failure(head, failure);
            if *event.event_type != *event.default_type.name() {
                let _ = write!(head, r#","deadlettertype":"{}""#, event.default_type.name());
            }
        });
        Self {
            name: LetterName::new(time, event.id).object(endpoint),
            content: [Bytes::from(head), event.data.clone(), Bytes::from_static(b"}")],
        }
    }

    /// The event in the text of a letter, without what made it one.
    ///
    /// # Errors
    /// When it is damaged, or something else wrote it.
    pub fn event(content: &[u8]) -> Result<CloudEvent, UnreadableLetter> {
        let LetterHead { event_type, default_type, .. } = LetterHead::read(content)?;
        let name = if default_type.is_empty() { event_type } else { default_type };
        let default_type = EventType::from_name(&name).ok_or(UnreadableLetter::Type(name))?;
        Ok(CloudEvent::from_structured_json(content, default_type)?)
    }
}

/// Appends the extension attributes, each with a comma before it.
fn push_failure(head: &mut String, failure: &Failure) {
    let Failure { reason, code, attempts, time, redrive } = failure;
    head.push_str(r#","deadletterreason":"#);
    push_json_string(head, reason);
    head.push_str(r#","deadlettercode":"#);
    push_json_string(head, code);
    let _ = write!(head, r#","deadletterattempts":{attempts},"deadlettertime":"{time:.6}""#);
    if let Some(job) = redrive {
        head.push_str(r#","deadletterredrive":"#);
        push_json_string(head, job);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn event() -> CloudEvent {
        CloudEvent {
            id: Uuid::from_u128(0x11),
            source: "https://twins.example.com/".into(),
            event_type: EventType::TwinUpdate.name().into(),
            default_type: EventType::TwinUpdate,
            subject: Some("floor".into()),
            time: "2026-01-01T12:00:00.000000Z".into(),
            sequence: "2a".into(),
            partition_key: "floor".into(),
            traceparent: None,
            data: Bytes::from_static(b"{\"a\": 1.0}"),
        }
    }

    fn failure() -> Failure {
        Failure {
            reason: "\"too\" large".to_owned(),
            code: "MSG_SIZE_TOO_LARGE",
            attempts: 3,
            time: "2026-01-01T12:00:01Z".parse().unwrap(),
            redrive: None,
        }
    }

    #[test]
    fn a_letter_is_the_event_with_four_more_attributes() {
        // given an event
        let event = event();

        // when its letter is made
        let letter = Letter::new("kafka", &event, &failure());

        // then it is the same JSON otherwise, under the event's hour
        let mut read: Value = serde_json::from_slice(&letter.content.concat()).unwrap();
        let told: Vec<Value> = ["reason", "code", "attempts", "time"]
            .into_iter()
            .filter_map(|name| read.as_object_mut()?.remove(&format!("deadletter{name}")))
            .collect();
        assert_eq!(
            told,
            [
                json!("\"too\" large"),
                json!("MSG_SIZE_TOO_LARGE"),
                json!(3),
                json!("2026-01-01T12:00:01.000000Z")
            ]
        );
        let plain: Value = serde_json::from_slice(&event.to_structured_json()).unwrap();
        assert_eq!(read, plain);
        assert!(letter.name.as_ref().starts_with("kafka/2026/01/01/12/"), "{}", letter.name);
    }
    #[test]
    fn the_event_of_a_letter_is_the_one_that_it_was_made_of() {
        for event_type in [EventType::TwinUpdate.name(), "com.example.changed"] {
            let event = CloudEvent { event_type: event_type.into(), ..event() };
            for redrive in [None, Some("job".into())] {
                let letter = Letter::new("kafka", &event, &Failure { redrive, ..failure() });
                assert_eq!(Letter::event(&letter.content.concat()).unwrap(), event);
            }
        }
    }

    #[test]
    fn a_letter_that_lacks_something_is_refused_with_the_reason() {
        let letter = Letter::new("kafka", &event(), &failure()).content.concat();
        let text = String::from_utf8(letter).unwrap();
        let foreign = text.replace(EventType::TwinUpdate.name(), "com.example.changed");
        for text in [&text[..text.len() - 2], &text.replace("partitionkey", "key"), &foreign, "[]"] {
            let refused = Letter::event(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
            assert!(!refused.is_empty(), "{text}");
        }
    }
}
