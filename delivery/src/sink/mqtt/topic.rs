//! Topics with placeholders.

use std::fmt::Write as _;

use twinroute_common::cloud_event::CloudEvent;

use crate::sink::SinkError;

/// Bytes of the longest topic (MQTT 5.0, section 1.5.4).
const TOPIC_BYTES_MAX: usize = 65_535;

/// A topic that may hold `{subject}`, `{type}` and `{twinId}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Subject,
    Type,
    TwinId,
}

impl TopicTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// `TOPIC_INVALID` when it is empty, has wildcards, or a placeholder that is not known.
    pub(super) fn parse(template: &str) -> Result<Self, SinkError> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(invalid(template, "has a { without }"));
            };
            parts.push(Part::Text(text.to_owned()));
            parts.push(match name {
                "subject" => Part::Subject,
                "type" => Part::Type,
                "twinId" => Part::TwinId,
                _ => return Err(invalid(template, "may hold {subject}, {type} and {twinId} only")),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        let refused = |text: &str| text.contains(|c| is_unsafe(c) && c != '/' && c != '%');
        if parts.is_empty() {
            return Err(invalid(template, "is empty"));
        }
        if parts.iter().any(|part| matches!(part, Part::Text(text) if refused(text))) {
            return Err(invalid(template, "has a wildcard or a control character"));
        }
        Ok(Self(parts))
    }

    /// The topic of an event. What stands for a placeholder is one level, whatever it contains.
    ///
    /// # Errors
    /// `TOPIC_TOO_LONG`, about the event.
    pub(super) fn topic(&self, event: &CloudEvent) -> Result<String, SinkError> {
        let mut topic = String::with_capacity(64);
        for part in &self.0 {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Subject => push_level(&mut topic, event.subject.as_deref().unwrap_or_default()),
                Part::Type => push_level(&mut topic, &event.event_type),
                // The ordering key is the twin's id, a relationship's source, or the model's id.
                Part::TwinId => push_level(&mut topic, &event.partition_key),
            }
        }
        if topic.len() > TOPIC_BYTES_MAX {
            let message = format!("its topic has {} bytes, and MQTT allows {TOPIC_BYTES_MAX}", topic.len());
            return Err(SinkError::about_event("TOPIC_TOO_LONG", message));
        }
        Ok(topic)
    }
}

fn push_level(topic: &mut String, value: &str) {
    for character in value.chars() {
        if is_unsafe(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(topic, "%{byte:02X}");
            }
        } else {
            topic.push(character);
        }
    }
}

/// What must not stand in a topic's level: the separator, the wildcards, what brokers close the connection for (MQTT 5.0,
/// section 1.5.4), and the percent sign, so that two values never have the same topic.
fn is_unsafe(character: char) -> bool {
    let code = u32::from(character);
    let no_character = (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE;
    matches!(character, '/' | '+' | '#' | '%') || character.is_control() || no_character
}

fn invalid(template: &str, why: &str) -> SinkError {
    SinkError::about_connection("TOPIC_INVALID", format!("the topic {template:?} {why}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sink::test_events;

    fn topic(template: &str, subject: &str) -> String {
        let mut event = test_events::twin_update("room/1");
        event.subject = Some(Arc::from(subject));
        TopicTemplate::parse(template).unwrap().topic(&event).unwrap()
    }

    #[test]
    fn placeholders_are_replaced() {
        let cases = [
            ("twins", "room1", "twins"),
            ("a/{subject}/b", "room1", "a/room1/b"),
            ("{type}", "room1", "Konnektr.DigitalTwins.Twin.Update"),
            ("t/{twinId}/{subject}", "room1", "t/room%2F1/room1"),
            ("t/{subject}", "room1/relationships/r1", "t/room1%2Frelationships%2Fr1"),
        ];
        for (template, subject, expected) in cases {
            assert_eq!(topic(template, subject), expected, "{template}");
        }
    }

    #[test]
    fn no_value_breaks_out_of_its_level() {
        let cases = [
            ("a+b#c", "a%2Bb%23c"),
            ("nul\0", "nul%00"),
            ("line\nend\u{85}", "line%0Aend%C2%85"),
            ("100%", "100%25"),
            ("\u{FFFF}", "%EF%BF%BF"),
            ("Küche", "Küche"),
        ];
        for (subject, expected) in cases {
            assert_eq!(topic("{subject}", subject), expected);
        }
    }

    #[test]
    fn templates_that_cannot_work_are_refused() {
        for template in ["", "a/+/b", "a/#", "{subject", "{nothing}", "nul\0", "{}"] {
            assert!(TopicTemplate::parse(template).is_err(), "{template:?}");
        }
    }

    #[test]
    fn a_topic_that_is_too_long_is_about_its_event() {
        let mut event = test_events::twin_update("room1");
        event.subject = Some(Arc::from("/".repeat(30_000)));
        let error = TopicTemplate::parse("{subject}").unwrap().topic(&event).unwrap_err();
        assert_eq!((error.code, error.about_event), ("TOPIC_TOO_LONG", true));
    }
}
