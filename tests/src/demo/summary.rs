//! What came of it: a table, a file for programs, and the names of culprits. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{arrival, line::name};
use crate::{
    consumers::{Received, Sink},
    oracle::{self, Expected, percentile},
};

/// How many culprits of one kind are named.
const NAMED: usize = 5;

/// `summary.json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Changes of entities, as the ledger has them.
    changes_committed: usize,
    kafka: Figures,
    mqtt: Figures,
    kusto: Figures,
    /// Broken promises, one sentence each; none is as it must be.
    problems: Vec<String>,
}

/// How one sink fared. Latencies are from the commit to the consumer, repeats not counted.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    expected: usize,
    received: usize,
    lost: usize,
    repeated: usize,
    reordered: usize,
    latency_ms_p50: Option<f64>,
    latency_ms_p99: Option<f64>,
    #[serde(skip)]
    problems: Vec<String>,
}

impl Figures {
    /// Judges what arrived at `sink`.
    pub(super) fn judge(sink: Sink, expected: &[Expected], received: &[Received], faults: &[String]) -> Self {
        let verdict = oracle::judge(expected, &arrival::arrivals(received));
        let latencies: Vec<f64> = first_arrivals(received).map(Received::latency_ms).collect();
        let rounded = |percent| percentile(&latencies, percent).map(|ms| (ms * 10.0).round() / 10.0);
        let changes = |list: &[Expected]| list.iter().map(|change| change.marker.clone()).collect::<Vec<_>>();
        let problems = [
            ("lost", changes(&verdict.lost)),
            ("out of order", describe(&verdict.reordered, received)),
            ("under more than one id", changes(&verdict.split)),
            ("not expected", changes(&verdict.unexpected)),
            ("not readable", faults.to_vec()),
        ];
        let problems = problems.into_iter().filter_map(|(what, culprits)| problem(sink, what, &culprits));
        Self {
            expected: verdict.expected,
            received: verdict.received,
            lost: verdict.lost.len(),
            repeated: verdict.repeated,
            reordered: verdict.reordered.len(),
            latency_ms_p50: rounded(50),
            latency_ms_p99: rounded(99),
            problems: problems.collect(),
        }
    }
}

impl Summary {
    /// Of all sinks, with further problems.
    pub(super) fn new(
        changes_committed: usize,
        [kafka, mqtt, kusto]: [Figures; 3],
        further: Vec<String>,
    ) -> Self {
        let of_sinks = [&kafka, &mqtt, &kusto].into_iter().flat_map(|figures| figures.problems.clone());
        let problems = of_sinks.chain(further).collect();
        Self { changes_committed, kafka, mqtt, kusto, problems }
    }

    /// Whether all promises were kept.
    pub(super) fn is_kept(&self) -> bool {
        self.problems.is_empty()
    }

    /// The table, and the verdict in words.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "         expected  received   lost  repeated  reordered   latency p50        p99\n",
        );
        for (sink, figures) in
            [(Sink::Kafka, &self.kafka), (Sink::Mqtt, &self.mqtt), (Sink::Kusto, &self.kusto)]
        {
            let Figures { expected, received, lost, repeated, reordered, .. } = figures;
            let [p50, p99] = [figures.latency_ms_p50, figures.latency_ms_p99]
                .map(|ms| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms")));
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  {:5}  {expected:8}  {received:8}  {lost:5}  {repeated:8}  {reordered:9}  {p50:>12}  {p99:>9}",
                name(sink)
            );
        }
        let changes = self.changes_committed;
        if self.is_kept() {
            let _ = write!(
                text,
                "\n{changes} changes of twins, relationships and models were committed. \
                 All their events arrived at every sink, those of each twin in order."
            );
        } else {
            let _ = write!(
                text,
                "\n{changes} changes of twins, relationships and models were committed, but not all is well:"
            );
            for problem in &self.problems {
                let _ = write!(text, "\n  {problem}");
            }
        }
        text
    }
}

/// What arrived, without further copies.
fn first_arrivals(received: &[Received]) -> impl Iterator<Item = &Received> {
    let mut ids = hashbrown::HashSet::new();
    received.iter().filter(move |event| ids.insert(event.id.as_str()))
}

/// Names events by type and subject.
fn describe(ids: &[String], received: &[Received]) -> Vec<String> {
    let describe = |id: &String| {
        let event = received.iter().find(|event| event.id == *id);
        event.map_or_else(
            || id.clone(),
            |event| format!("{} {} (id {id})", arrival::short_type(event), event.subject),
        )
    };
    ids.iter().map(describe).collect()
}

fn problem(sink: Sink, what: &str, culprits: &[String]) -> Option<String> {
    let named = culprits.get(..NAMED).unwrap_or(culprits).join("; ");
    let more = match culprits.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!culprits.is_empty()).then(|| format!("{}: {} {what}: {named}{more}", name(sink), culprits.len()))
}
