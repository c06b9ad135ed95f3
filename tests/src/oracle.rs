//! The oracle: compares what was committed with what arrived at one sink. Pure.
//!
//! What was committed is known by *markers*: each change carries one, unique for its key, which the
//! ledger keeps in the order of the commits and which the event shows again.

use hashbrown::{HashMap, HashSet};

/// A committed change that must arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// The ordering key.
    pub key: String,
    /// What tells the change from the others of its key.
    pub marker: String,
}

/// An event that arrived, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The `CloudEvent`'s id.
    pub id: String,
    /// What it must be in order with: see `Received::scope`.
    pub scope: String,
    /// Its position, sortable as text.
    pub sequence: String,
    /// The ordering key.
    pub key: String,
    /// The marker of its change; events without one are judged by id and sequence only.
    pub marker: Option<String>,
}

/// What the oracle found. Lists name the culprits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many changes had to arrive.
    pub expected: usize,
    /// How many of these did, repeats not counted.
    pub received: usize,
    /// Those that did not.
    pub lost: Vec<Expected>,
    /// How many further copies of an id arrived. At least once allows them where a fault explains
    /// them.
    pub repeated: usize,
    /// Ids of events whose first arrival was after that of a later one of the same scope, by
    /// sequence or by the order of the ledger.
    pub reordered: Vec<String>,
    /// Changes that arrived under more than one id.
    pub split: Vec<Expected>,
    /// Changes that arrived and were not expected: rolled back, or rendered wrongly.
    pub unexpected: Vec<Expected>,
}

impl Verdict {
    /// Whether all promises were kept; repeats are no breach.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let Self { lost, reordered, split, unexpected, .. } = self;
        lost.is_empty() && reordered.is_empty() && split.is_empty() && unexpected.is_empty()
    }
}

/// Judges what arrived at one sink. `expected` is in commit order, at least per key.
#[must_use]
pub fn judge(expected: &[Expected], arrivals: &[Arrival]) -> Verdict {
    let ranks: HashMap<&Expected, usize> =
        expected.iter().enumerate().map(|(rank, change)| (change, rank)).collect();
    let mut verdict = Verdict { expected: ranks.len(), ..Verdict::default() };
    let mut ids = HashSet::new();
    let mut id_of: HashMap<Expected, &str> = HashMap::new();
    let mut last: HashMap<&str, (&str, usize)> = HashMap::new();
    for arrival in arrivals {
        if !ids.insert(arrival.id.as_str()) {
            verdict.repeated += 1;
            continue;
        }
        let change = arrival
            .marker
            .as_ref()
            .map(|marker| Expected { key: arrival.key.clone(), marker: marker.clone() });
        let rank = change.as_ref().and_then(|change| ranks.get(change).copied());
        let seen = last.entry(&arrival.scope).or_default();
        let late = arrival.sequence.as_str() < seen.0 || rank.is_some_and(|rank| rank < seen.1);
        if late {
            verdict.reordered.push(arrival.id.clone());
        }
        seen.0 = seen.0.max(&arrival.sequence);
        seen.1 = seen.1.max(rank.unwrap_or_default());
        let Some(change) = change else { continue };
        if rank.is_none() {
            verdict.unexpected.push(change);
        } else if id_of.contains_key(&change) {
            verdict.split.push(change);
        } else {
            id_of.insert(change, &arrival.id);
        }
    }
    verdict.received = id_of.len();
    let mut missing: Vec<_> = ranks.iter().filter(|(change, _)| !id_of.contains_key(**change)).collect();
    missing.sort_unstable_by_key(|(_, rank)| **rank);
    verdict.lost = missing.into_iter().map(|(change, _)| (*change).clone()).collect();
    verdict
}

/// The value that `percent` of `values` do not exceed (nearest rank); `None` of no values.
#[must_use]
pub fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(markers: &[&str]) -> Vec<Expected> {
        let change = |text: &&str| {
            let (key, marker) = text.split_once(':').unwrap_or_default();
            Expected { key: key.to_owned(), marker: marker.to_owned() }
        };
        markers.iter().map(change).collect()
    }

    /// `id key:marker sequence`
    fn arrivals(lines: &[&str]) -> Vec<Arrival> {
        let arrival = |line: &&str| {
            let mut words = line.split(' ').map(str::to_owned);
            let id = words.next().unwrap_or_default();
            let change = words.next().unwrap_or_default();
            let (key, marker) = change.split_once(':').unwrap_or_default();
            Arrival {
                id,
                scope: key.to_owned(),
                sequence: words.next().unwrap_or_default(),
                key: key.to_owned(),
                marker: (!marker.is_empty()).then(|| marker.to_owned()),
            }
        };
        lines.iter().map(arrival).collect()
    }

    #[test]
    fn all_in_order_keeps_the_promises() {
        let verdict =
            judge(&expected(&["a:1", "b:1", "a:2"]), &arrivals(&["x b:1 20", "y a:1 10", "z a:2 30"]));
        assert!(verdict.is_kept(), "{verdict:?}");
        assert_eq!((verdict.expected, verdict.received, verdict.repeated), (3, 3, 0));
    }

    #[test]
    fn what_never_came_is_lost() {
        let verdict = judge(&expected(&["a:1", "a:2", "a:3"]), &arrivals(&["x a:2 20"]));
        assert_eq!(verdict.lost, expected(&["a:1", "a:3"]));
        assert_eq!(verdict.received, 1);
        assert!(!verdict.is_kept());
    }

    #[test]
    fn a_repeat_may_show_an_earlier_event_again() {
        let verdict =
            judge(&expected(&["a:1", "a:2"]), &arrivals(&["x a:1 10", "y a:2 20", "x a:1 10", "y a:2 20"]));
        assert!(verdict.is_kept(), "{verdict:?}");
        assert_eq!((verdict.received, verdict.repeated), (2, 2));
    }

    #[test]
    fn a_first_arrival_after_a_later_event_is_reordered() {
        let by_sequence = judge(&expected(&[]), &arrivals(&["x a: 20", "y a: 10", "z a: 15"]));
        assert_eq!(by_sequence.reordered, ["y", "z"]);
        // Sequences that rise do not excuse an order that the ledger contradicts.
        let by_ledger = judge(&expected(&["a:1", "a:2"]), &arrivals(&["x a:2 10", "y a:1 20"]));
        assert_eq!(by_ledger.reordered, ["y"]);
    }

    #[test]
    fn one_change_under_two_ids_is_no_repeat() {
        let verdict = judge(&expected(&["a:1"]), &arrivals(&["x a:1 10", "y a:1 10"]));
        assert_eq!(verdict.split, expected(&["a:1"]));
        assert_eq!(verdict.repeated, 0);
    }

    #[test]
    fn what_was_not_committed_is_unexpected() {
        let verdict = judge(&expected(&["a:1"]), &arrivals(&["x a:1 10", "y a:9 20"]));
        assert_eq!(verdict.unexpected, expected(&["a:9"]));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 50), Some(2.0));
        assert_eq!(percentile(&values, 99), Some(4.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
