//! Which dead letters a call is about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use twinroute_common::dead_letter::{LetterHead, LetterName, Search};
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use crate::refusal::Refusal;

/// Which dead letters a call is about.
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

impl TryFrom<Option<proto::DeadLetterSelection>> for Selection {
    type Error = Refusal;

    fn try_from(selection: Option<proto::DeadLetterSelection>) -> Result<Self, Refusal> {
        let given = selection.unwrap_or_default();
        if given.endpoint_name.is_empty() {
            return Err(Refusal::field("selection.endpoint_name", "is required"));
        }
        let ids = given.event_ids.iter().map(|id| event_id("selection.event_ids", id));
        let selection = Self {
            ids: ids.collect::<Result<_, _>>()?,
            from: time("selection.from_time", given.from_time)?,
            until: time("selection.until_time", given.until_time)?,
            endpoint: given.endpoint_name,
            code: given.code,
        };
        match (selection.from, selection.until) {
            (Some(from), Some(until)) if from >= until => {
                Err(Refusal::field("selection.from_time", "must be before `until_time`"))
            }
            _ => Ok(selection),
        }
    }
}

/// Reads the id of an event.
///
/// # Errors
/// When it is none.
pub fn event_id(field: &str, text: &str) -> Result<Uuid, Refusal> {
    let reason = || format!("is `{text}`; the id of an event is a UUID");
    text.parse().map_err(|_| Refusal::field(field, reason()))
}

fn time(field: &str, given: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Refusal> {
    let time = given.map(|time| Timestamp::new(time.seconds, time.nanos)).transpose();
    time.map_err(|_| Refusal::field(field, "is beyond what a time can be"))
}

impl Selection {
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
        let selection = Selection::try_from(Some(given())).unwrap();
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
        let selection = Selection::try_from(Some(selection)).unwrap();
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
    fn mistakes_are_named_by_their_fields() {
        let refused = |selection| match Selection::try_from(selection) {
            Err(Refusal::Invalid(violations)) => {
                violations.as_slice().first().map(|violation| violation.field.clone())
            }
            _ => None,
        };
        let field = |field: &str| Some(format!("selection.{field}"));
        assert_eq!(refused(None), field("endpoint_name"));
        let ids = proto::DeadLetterSelection { event_ids: vec!["x".to_owned()], ..given() };
        assert_eq!(refused(Some(ids)), field("event_ids"));
        let empty = proto::DeadLetterSelection { from_time: at(60), until_time: at(60), ..given() };
        assert_eq!(refused(Some(empty)), field("from_time"));
        let never = proto::DeadLetterSelection { from_time: at(i64::MAX), ..given() };
        assert_eq!(refused(Some(never)), field("from_time"));
    }
}
