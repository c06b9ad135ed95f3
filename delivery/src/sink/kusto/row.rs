//! A CloudEvent as a line of a blob: its `data` with the event's id and sequence beside the other members.

use twinroute_common::cloud_event::{CloudEvent, push_json_string};
use uuid::Uuid;

use super::tables::{EVENT_ID, SEQUENCE};
use crate::sink::SinkError;

/// Appends the event's line, line end included.
///
/// # Errors
/// When `data` is no JSON object; about the event.
pub fn push_row(event: &CloudEvent, line: &mut Vec<u8>) -> Result<(), SinkError> {
    let data = event.data.trim_ascii();
    let members = data.strip_prefix(b"{").and_then(|data| data.strip_suffix(b"}"));
    let Some(members) = members.map(<[u8]>::trim_ascii) else {
        return Err(SinkError::about_event("DATA_NOT_AN_OBJECT", "its data is no JSON object"));
    };
    line.push(b'{');
    // A line end inside of JSON is a blank, and would end the row here.
    line.extend(members.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    if !members.is_empty() {
        line.push(b',');
    }
    let mut id = Uuid::encode_buffer();
    let mut ours = format!(r#""{EVENT_ID}":"{}","{SEQUENCE}":"#, event.id.hyphenated().encode_lower(&mut id));
    push_json_string(&mut ours, &event.sequence);
    line.extend_from_slice(ours.as_bytes());
    line.extend_from_slice(b"}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use twinroute_common::cloud_event::EventType;

    use super::*;
    use crate::sink::test_events;

    fn row(data: &str) -> Result<String, SinkError> {
        let mut line = Vec::new();
        push_row(&test_events::event(EventType::PropertyEvent, "room1", data), &mut line)?;
        Ok(String::from_utf8(line).unwrap())
    }

    const OURS: &str =
        r#""EventId":"00000000-0000-0000-0000-000000000011","Sequence":"00000001000000000000002a"}"#;

    #[test]
    fn id_and_sequence_stand_beside_the_data() {
        let cases = [
            (r#"{"twinId":"room1","propertyValue":150.0}"#, r#"{"twinId":"room1","propertyValue":150.0,"#),
            ("{}", "{"),
            (" { } ", "{"),
            ("{\n  \"a\": [\r\n1]}\n", "{\"a\": [  1],"),
        ];
        for (data, start) in cases {
            assert_eq!(row(data).unwrap(), format!("{start}{OURS}\n"), "{data}");
        }
    }

    #[test]
    fn data_that_is_no_object_is_refused() {
        for data in ["", "[1]", "null", "{"] {
            assert!(row(data).unwrap_err().about_event, "{data}");
        }
    }
}
