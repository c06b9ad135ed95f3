//! Which dead letters a call or a redrive job is about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::head::LetterHead;
use super::layout::LetterName;
use super::search::Search;
use crate::route::Violations;

/// Which dead letters a call or a redrive job is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Ids of events; empty for any.
    ids: BTreeSet<Uuid>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Empty for any.
    code: String,
}

impl TryFrom<proto::DeadLetterSelection> for Selection {
    type Error = Violations;

    fn try_from(given: proto::DeadLetterSelection) -> Result<Self, Violations> {
        if given.endpoint_name.is_empty() {
            return Err(Violations::one("endpoint_name", "is required"));
        }
        let ids = given.event_ids.iter().map(|id| event_id("event_ids", id));
        let selection = Self {
            ids: ids.collect::<Result<_, _>>()?,
            from: time("from_time", given.from_time)?,
            until: time("until_time", given.until_time)?,
            endpoint: given.endpoint_name,
            code: given.code,
        };
        match (selection.from, selection.until) {
            (Some(from), Some(until)) if from >= until => {
                Err(Violations::one("from_time", "must be before `until_time`"))
            }
            _ => Ok(selection),
        }
    }
}

impl From<&Selection> for proto::DeadLetterSelection {
    fn from(selection: &Selection) -> Self {
        Self {
            endpoint_name: selection.endpoint.clone(),
            event_ids: selection.ids.iter().map(Uuid::to_string).collect(),
            from_time: selection.from.map(written),
            until_time: selection.until.map(written),
            code: selection.code.clone(),
        }
    }
}

/// Reads the id of an event.
///
/// # Errors
/// When it is none.
pub fn event_id(field: &str, text: &str) -> Result<Uuid, Violations> {
    let reason = || format!("is `{text}`; the id of an event is a UUID");
    text.parse().map_err(|_| Violations::one(field, reason()))
}

fn time(field: &str, given: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Violations> {
    let time = given.map(|time| Timestamp::new(time.seconds, time.nanos)).transpose();
    time.map_err(|_| Violations::one(field, "is beyond what a time can be"))
}

fn written(time: Timestamp) -> prost_types::Timestamp {
    // Before 1970 jiff counts both parts backwards; a timestamp's nanoseconds always count forwards.
    let mut written = prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() };
    written.normalize();
    written
}

impl Selection {
    /// Number of events named; 0 when any will do.
    #[must_use]
    pub fn events_named(&self) -> usize {
        self.ids.len()
    }

    /// Where to look for them, behind a letter that was seen already.
    #[must_use]
    pub fn search<'a>(&'a self, behind: Option<&'a LetterName>) -> Search<'a> {
        Search { endpoint: &self.endpoint, from: self.from, until: self.until, behind }
    }

    /// Those of some names that can be of them.
    #[must_use]
    pub fn wanted(&self, mut names: Vec<LetterName>) -> Vec<LetterName> {
        names.retain(|name| self.ids.is_empty() || self.ids.contains(&name.event_id()));
        names
    }

    /// A letter's name is not enough to tell.
    #[must_use]
    pub fn needs_head(&self) -> bool {
        !self.code.is_empty() || self.from.is_some() || self.until.is_some()
    }

    /// A letter is one of them by what it says of itself.
    #[must_use]
    pub fn has(&self, head: &LetterHead) -> bool {
        let time: Option<Timestamp> = head.time.parse().ok();
        let is_since = self.from.is_none_or(|from| time.is_some_and(|time| time >= from));
        let is_before = self.until.is_none_or(|until| time.is_some_and(|time| time < until));
        is_since && is_before && (self.code.is_empty() || self.code == head.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn given() -> proto::DeadLetterSelection {
        proto::DeadLetterSelection { endpoint_name: "kafka".to_owned(), ..Default::default() }
    }

    #[test]
    fn what_is_not_set_does_not_restrict() {
        let selection = Selection::try_from(given()).unwrap();
        let name = LetterName::new(Timestamp::UNIX_EPOCH, Uuid::nil());
        assert_eq!(selection.wanted(vec![name.clone()]), [name]);
        assert!(selection.has(&LetterHead::default()) && !selection.needs_head());
    }

    #[test]
    fn the_first_moment_is_in_it_and_the_last_is_not() {
        let selection = proto::DeadLetterSelection {
            from_time: at(60),
            until_time: at(120),
            code: "C".to_owned(),
            ..given()
        };
        let selection = Selection::try_from(selection).unwrap();
        let head = |time: &str, code: &str| LetterHead {
            time: time.to_owned(),
            code: code.to_owned(),
            ..LetterHead::default()
        };
        for (time, code, expected) in [
            ("1970-01-01T00:00:59.999999Z", "C", false),
            ("1970-01-01T00:01:00.000000Z", "C", true),
            ("1970-01-01T00:01:00.000000Z", "D", false),
            ("1970-01-01T00:02:00.000000Z", "C", false),
            ("never", "C", false),
        ] {
            assert_eq!(selection.has(&head(time, code)), expected, "{time} {code}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let given = proto::DeadLetterSelection {
            event_ids: vec![Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string()],
            from_time: Some(prost_types::Timestamp { seconds: -1, nanos: 999_000_000 }),
            until_time: at(120),
            code: "C".to_owned(),
            ..given()
        };
        let selection = Selection::try_from(given.clone()).unwrap();
        assert_eq!(selection.events_named(), 2);
        let written = proto::DeadLetterSelection::from(&selection);
        assert_eq!(Selection::try_from(written.clone()).unwrap(), selection);
        assert_eq!((written.event_ids, written.until_time), (given.event_ids, given.until_time));
    }

    #[test]
    fn mistakes_are_named_by_their_fields() {
        let refused = |selection: proto::DeadLetterSelection| {
            let violations = Selection::try_from(selection).unwrap_err();
            violations.as_slice().first().map(|violation| violation.field.clone())
        };
        let field = |field: &str| Some(field.to_owned());
        assert_eq!(refused(proto::DeadLetterSelection::default()), field("endpoint_name"));
        let ids = proto::DeadLetterSelection { event_ids: vec!["x".to_owned()], ..given() };
        assert_eq!(refused(ids), field("event_ids"));
        let empty = proto::DeadLetterSelection { from_time: at(60), until_time: at(60), ..given() };
        assert_eq!(refused(empty), field("from_time"));
        let never = proto::DeadLetterSelection { from_time: at(i64::MAX), ..given() };
        assert_eq!(refused(never), field("from_time"));
    }
}
