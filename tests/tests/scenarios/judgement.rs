//! What the oracle says of a load, and how that is told.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use anyhow::{Result, ensure};
use twinroute_tests::{
    consumers::{Inbox, Received},
    oracle::{self, Arrival, Expected, Verdict},
    stack::Steps,
    twins::ledger,
};

/// What the oracle says of each sink: Kafka, MQTT, Kusto.
pub(crate) struct Verdicts(pub(crate) [Verdict; 3]);

impl Verdicts {
    pub(crate) fn at_kusto(&self) -> &Verdict {
        let [_, _, kusto] = &self.0;
        kusto
    }
}

/// Changes that have not arrived at a sink.
pub(crate) struct Missing {
    changes: HashSet<Expected>,
    looked_at: usize,
}

impl Missing {
    pub(crate) fn of(expected: &[Expected]) -> Self {
        Self { changes: expected.iter().cloned().collect(), looked_at: 0 }
    }

    /// Without what has arrived already.
    pub(crate) fn but(mut self, arrived: &[Arrival]) -> Self {
        for Arrival { key, marker, .. } in arrived {
            if let Some(marker) = marker {
                self.changes.remove(&Expected { key: key.clone(), marker: marker.clone() });
            }
        }
        self
    }

    /// A condition that looks at each arrival once.
    pub(crate) fn tracker(mut self) -> impl FnMut(&[Received]) -> Result<()> {
        move |received| {
            for event in received.get(self.looked_at..).unwrap_or_default() {
                if let Some(marker) = ledger::marker(event) {
                    let change = Expected { key: event.key.clone(), marker: marker.to_string() };
                    self.changes.remove(&change);
                }
            }
            self.looked_at = received.len();
            let missing = self.changes.len();
            ensure!(missing == 0, "{missing} are missing, such as {:?}", self.changes.iter().next());
            Ok(())
        }
    }
}

/// What the oracle needs to know of the arrivals of the prefix.
pub(crate) fn arrivals(inbox: &Inbox, prefix: &str) -> Vec<Arrival> {
    let received = inbox.received();
    received.iter().filter(|event| event.key.starts_with(prefix)).map(ledger::arrival).collect()
}

/// The id of each change.
pub(crate) fn ids(arrivals: &[Arrival]) -> HashMap<(&str, Option<&str>), &str> {
    arrivals.iter().map(|one| ((one.key.as_str(), one.marker.as_deref()), one.id.as_str())).collect()
}

/// The verdict with the first of each kind of culprits.
pub(crate) fn brief(verdict: &Verdict) -> String {
    format!(
        "expected {}, received {}, lost {} {:?}, reordered {} {:?}, split {} {:?}, unexpected {} {:?}",
        verdict.expected,
        verdict.received,
        verdict.lost.len(),
        verdict.lost.first(),
        verdict.reordered.len(),
        verdict.reordered.first(),
        verdict.split.len(),
        verdict.split.first(),
        verdict.unexpected.len(),
        verdict.unexpected.first(),
    )
}

/// One line of what a fault has cost.
pub(crate) fn account(verdicts: &[Verdict], fault: &str, begun: Instant) -> String {
    let counts = |count: fn(&Verdict) -> usize| verdicts.iter().map(count).collect::<Vec<_>>();
    format!(
        "{} changes, lost {:?}, repeated {:?} ({fault}), reordered {:?}; drained in {:.1} s",
        verdicts.first().map_or(0, |verdict| verdict.expected),
        counts(|verdict| verdict.lost.len()),
        counts(|verdict| verdict.repeated),
        counts(|verdict| verdict.reordered.len()),
        begun.elapsed().as_secs_f64(),
    )
}

/// Tells what the oracle says of the arrivals at one place, and what a fault has cost since it ended; then nothing may be lost,
/// out of order, under two ids, or made up.
pub(crate) fn judge(
    steps: &Steps,
    place: &str,
    (expected, arrivals): (&[Expected], &[Arrival]),
    (fault, begun): (&str, Instant),
) -> Result<Verdict> {
    let verdict = oracle::judge(expected, arrivals);
    steps.done(&format!("{place}: {}", account(std::slice::from_ref(&verdict), fault, begun)));
    ensure!(verdict.is_kept(), "{place}: {}", brief(&verdict));
    Ok(verdict)
}
