//! The ledger while events flow: what is lost, repeated and out of order so far. Pure.

use std::fmt;
use std::iter::Sum;

use hashbrown::HashSet;

use super::arrival;
use crate::consumers::Received;
use crate::oracle::{Expected, judge};

/// What is wrong so far. What is under way is not lost: only what a later change of the same key has passed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    lost: usize,
    repeated: usize,
    reordered: usize,
}

impl Tally {
    /// Of one sink. `expected` is what was committed so far, in its order.
    pub(super) fn of(expected: &[Expected], received: &[Received]) -> Self {
        let verdict = judge(expected, &arrival::arrivals(received));
        let missing: HashSet<&Expected> = verdict.lost.iter().collect();
        let mut passed = HashSet::new();
        let mut lost = 0;
        for change in expected.iter().rev() {
            if !missing.contains(change) {
                passed.insert(scope(change));
            } else if passed.contains(&scope(change)) {
                lost += 1;
            }
        }
        Self { lost, repeated: verdict.repeated, reordered: verdict.reordered.len() }
    }
}

/// What keeps its order: a key, and at Kusto a key in one table, which is what the marker's first word tells there.
fn scope(change: &Expected) -> (&str, &str) {
    let table = change.marker.split(' ').next().unwrap_or_default();
    (&change.key, if table.ends_with(".Event") || table.ends_with(".Lifecycle") { table } else { "" })
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, of_sink| Self {
            lost: sum.lost + of_sink.lost,
            repeated: sum.repeated + of_sink.repeated,
            reordered: sum.reordered + of_sink.reordered,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, repeated, reordered } = self;
        write!(f, "lost {lost}, repeated {repeated}, reordered {reordered}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::super::expectation::{members, notification};
    use super::*;
    use crate::consumers::Sink;
    use crate::twins::ledger::MARKER;

    /// The twin's creation that carries this marker, as it is expected.
    fn expected(marker: u32) -> Result<Expected, serde_json::Error> {
        let shown = members(&serde_json::from_value(json!({ MARKER: marker }))?);
        Ok(Expected { key: "a".to_owned(), marker: notification("Twin.Create", "a", shown) })
    }

    /// The same as it arrives.
    fn received(marker: u32) -> Result<Received, serde_json::Error> {
        Ok(Received {
            sink: Sink::Kafka,
            id: marker.to_string(),
            source: String::new(),
            type_: "Konnektr.DigitalTwins.Twin.Create".to_owned(),
            subject: "a".to_owned(),
            key: "a".to_owned(),
            sequence: format!("{marker:04}"),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: to_raw_value(&json!({ "$dtId": "a", MARKER: marker }))?,
            wire: "".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn what_a_later_change_has_passed_by_is_lost_and_what_is_under_way_is_not()
    -> Result<(), serde_json::Error> {
        let committed = [expected(1)?, expected(2)?, expected(3)?, expected(4)?];
        let arrived = [received(1)?, received(3)?, received(3)?];
        let tally = Tally::of(&committed, &arrived);
        assert_eq!(tally, Tally { lost: 1, repeated: 1, reordered: 0 });
        Ok(())
    }
}
