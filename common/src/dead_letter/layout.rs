//! Where a dead letter stands in its container: `{endpoint}/{yyyy}/{MM}/{dd}/{HH}/{event id}.json`, by the event's time in UTC.
//!
//! The name says all that is needed to find letters of an endpoint and of a time without reading any. It is made of the
//! event alone, so that writing a letter twice is harmless.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use object_store::path::Path;
use uuid::Uuid;

/// How the names of all letters end.
const SUFFIX: &str = ".json";
/// Length of `yyyy/MM/dd/HH`.
pub(super) const HOUR_LEN: usize = 13;

/// The name of a letter within the folder of its endpoint. Names are ordered as letters are shown: the newest hour first,
/// within an hour by the events' ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterName {
    /// `yyyy/MM/dd/HH`.
    pub(super) hour: String,
    /// The event's id.
    pub(super) event_id: Uuid,
}

/// A text that is no letter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a letter's name is yyyy/MM/dd/HH/ and the event's id")]
pub struct NoLetterName;

impl LetterName {
    /// The name of an event's letter.
    #[must_use]
    pub fn new(event_time: Timestamp, event_id: Uuid) -> Self {
        Self { hour: hour_of(event_time), event_id }
    }

    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// The letter's object.
    pub(super) fn object(&self, endpoint: &str) -> Path {
        Path::from(format!("{endpoint}/{self}{SUFFIX}"))
    }

    /// The name of an object of an endpoint's folder; `None` when it is no letter.
    pub(super) fn of_object(object: &Path, endpoint: &str) -> Option<Self> {
        object.as_ref().strip_prefix(endpoint)?.strip_prefix('/')?.strip_suffix(SUFFIX)?.parse().ok()
    }
}

impl fmt::Display for LetterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hour, self.event_id)
    }
}

impl FromStr for LetterName {
    type Err = NoLetterName;

    fn from_str(text: &str) -> Result<Self, NoLetterName> {
        let (hour, id) = text.rsplit_once('/').ok_or(NoLetterName)?;
        let parts: Vec<&str> = hour.split('/').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let digits = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let event_id = id.parse().map_err(|_| NoLetterName)?;
        if lengths != [4, 2, 2, 2] || !digits {
            return Err(NoLetterName);
        }
        Ok(Self { hour: hour.to_owned(), event_id })
    }
}

impl Ord for LetterName {
    fn cmp(&self, other: &Self) -> Ordering {
        other.hour.cmp(&self.hour).then_with(|| self.event_id.cmp(&other.event_id))
    }
}

impl PartialOrd for LetterName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The folder of an hour: sorts as text as hours do.
pub(super) fn hour_of(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d/%H").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(time: &str, id: u128) -> LetterName {
        LetterName::new(time.parse().unwrap(), Uuid::from_u128(id))
    }

    #[test]
    fn a_letter_stands_under_its_events_hour_with_leading_zeros() {
        let name = name("2026-03-04T05:59:59.999999Z", 0x11);
        let object = name.object("kafka-events");
        let expected = "kafka-events/2026/03/04/05/00000000-0000-0000-0000-000000000011.json";
        assert_eq!(object.as_ref(), expected);
        assert_eq!(LetterName::of_object(&object, "kafka-events"), Some(name));
        assert_eq!(LetterName::of_object(&object, "kafka"), None);
    }

    #[test]
    fn a_year_before_1000_has_four_digits_too() {
        assert_eq!(name("0007-12-31T23:00:00Z", 1).hour, "0007/12/31/23");
    }

    #[test]
    fn the_newest_hour_comes_first_and_ids_sort_within_it() {
        let mut names = [
            name("2026-01-01T09:30:00Z", 1),
            name("2026-01-01T10:10:00Z", 3),
            name("2026-01-01T10:50:00Z", 2),
        ];
        names.sort();
        assert_eq!(names.map(|name| name.event_id.as_u128()), [2, 3, 1]);
    }

    #[test]
    fn what_is_no_letter_has_no_name() {
        let id = Uuid::from_u128(1);
        for text in
            ["", "x", "2026/01/01/10", "2026/01/01/1/x", &format!("2026/01/aa/10/{id}"), &format!("26/{id}")]
        {
            assert_eq!(text.parse::<LetterName>(), Err(NoLetterName), "{text}");
        }
    }
}
