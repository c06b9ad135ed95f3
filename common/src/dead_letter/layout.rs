//! Where a dead letter stands in its container: `{endpoint}/{yyyy}/{MM}/{dd}/{HH}/{event id}.json`, by the event's time in UTC.
//!
//! The name says all that is needed to find letters of an endpoint and of a time without reading any. It is made of the
//! event alone, so that writing a letter twice is harmless.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use object_store::path::Path;
use uuid::Uuid;

/// How the names of all letters end.
const SUFFIX: &str = ".json";

/// The name of an event's letter.
#[must_use]
pub fn object_name(endpoint: &str, event_time: Timestamp, event_id: Uuid) -> Path {
    Path::from(format!("{}/{event_id}{SUFFIX}", hour_folder(endpoint, event_time)))
}

/// The folder of the letters whose events are of the same hour.
pub(super) fn hour_folder(endpoint: &str, time: Timestamp) -> String {
    format!("{endpoint}/{}", time.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d/%H"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_stands_under_its_events_hour_with_leading_zeros() {
        let id = Uuid::from_u128(0x11);
        let time = "2026-03-04T05:59:59.999999Z".parse().unwrap();
        let expected = "kafka-events/2026/03/04/05/00000000-0000-0000-0000-000000000011.json";
        assert_eq!(object_name("kafka-events", time, id).as_ref(), expected);
    }

    #[test]
    fn a_year_before_1000_has_four_digits_too() {
        let time = "0007-12-31T23:00:00Z".parse().unwrap();
        assert_eq!(hour_folder("e1", time), "e1/0007/12/31/23");
    }
}
