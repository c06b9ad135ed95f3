//! What a dead letter says of itself before its event's data.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

/// What a dead letter says of itself. What it lacks is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterHead {
    /// CloudEvents `type`.
    pub event_type: String,
    /// CloudEvents `subject`.
    pub subject: String,
    /// CloudEvents `time`, RFC 3339.
    pub time: String,
    /// CloudEvents extension `sequence`.
    pub sequence: String,
    /// CloudEvents extension `partitionkey`: the ordering key.
    pub partition_key: String,
    /// Why it could not be delivered, for people.
    pub reason: String,
    /// Why, for programs.
    pub code: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, RFC 3339.
    pub dead_letter_time: String,
    /// The event's default type, where a route gave it another one.
    pub default_type: String,
    /// Id of the redrive job that sent it in vain.
    pub redrive: String,
    /// Size of the whole letter in bytes; 0 when only its text was read.
    pub bytes: u64,
}

/// A text that does not begin as a letter does.
#[derive(Debug, thiserror::Error)]
#[error("it is no CloudEvent in JSON: {0}")]
pub struct UnreadableHead(#[from] serde_json::Error);

impl LetterHead {
    /// Reads the beginning of a letter. Its data stands last, so it need not be there.
    ///
    /// # Errors
    /// When it is not JSON up to there.
    pub fn read(beginning: &[u8]) -> Result<Self, UnreadableHead> {
        let mut reading = Reading::default();
        let mut json = serde_json::Deserializer::from_slice(beginning);
        match (&mut reading).deserialize(&mut json) {
            // The data was come to, and is left where it is: to the parser that is a mistake.
            Err(_) if reading.at_data => Ok(reading.head),
            Ok(()) => Ok(reading.head),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Default)]
struct Reading {
    head: LetterHead,
    at_data: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Reading {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Reading {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a CloudEvent")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let head = &mut self.head;
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            match &*name {
                "data" => {
                    self.at_data = true;
                    return Ok(());
                }
                "type" => head.event_type = members.next_value()?,
                "subject" => head.subject = members.next_value()?,
                "time" => head.time = members.next_value()?,
                "sequence" => head.sequence = members.next_value()?,
                "partitionkey" => head.partition_key = members.next_value()?,
                "deadletterreason" => head.reason = members.next_value()?,
                "deadlettercode" => head.code = members.next_value()?,
                "deadletterattempts" => head.attempts = members.next_value()?,
                "deadlettertime" => head.dead_letter_time = members.next_value()?,
                "deadlettertype" => head.default_type = members.next_value()?,
                "deadletterredrive" => head.redrive = members.next_value()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &[u8] = br#"{"specversion":"1.0","id":"1","type":"T","subject":"s","time":"2026-01-01T00:00:00Z",
        "sequence":"2a","partitionkey":"k","deadlettertype":"D","deadletterredrive":"J","deadletterreason":"too \"large\"","deadlettercode":"C","deadletterattempts":3,"deadlettertime":"2026-01-02T00:00:00Z",
        "data":{"a":1}}"#;

    #[test]
    fn a_head_is_read_with_and_without_its_data() {
        let head = LetterHead::read(LETTER).unwrap();
        let expected = LetterHead {
            event_type: "T".to_owned(),
            subject: "s".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            sequence: "2a".to_owned(),
            partition_key: "k".to_owned(),
            reason: "too \"large\"".to_owned(),
            code: "C".to_owned(),
            attempts: 3,
            dead_letter_time: "2026-01-02T00:00:00Z".to_owned(),
            default_type: "D".to_owned(),
            redrive: "J".to_owned(),
            bytes: 0,
        };
        assert_eq!(head, expected);
        let cut = LETTER.len() - 4;
        assert_eq!(LetterHead::read(&LETTER[..cut]).unwrap(), expected);
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        for text in [&b""[..], b"[]", b"{\"type\": 1}", &LETTER[..40]] {
            assert!(LetterHead::read(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(LetterHead::read(b"{}").unwrap(), LetterHead::default());
    }
}
