//! The table and the summary of a benchmark.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::Run;
use super::latency::{Latencies, Latency};

/// What `.run/bench/summary.json` holds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    runs: Vec<Figures>,
    latency: Latencies,
}

/// Medians of one kind of run.
#[derive(Debug, Serialize)]
struct Figures {
    name: &'static str,
    events: u64,
    seconds: f64,
    events_per_s: f64,
    /// Share of the reference's rate.
    ratio: f64,
    cpu_s_per_million: BTreeMap<&'static str, f64>,
    peak_rss_mib: BTreeMap<&'static str, f64>,
}

impl Report {
    /// Medians of all rounds; the first kind of run is the reference.
    pub(super) fn new(events: u64, runs: &[Run], latency: Latencies) -> Self {
        let mut names: Vec<&'static str> = Vec::new();
        for run in runs {
            if !names.contains(&run.name) {
                names.push(run.name);
            }
        }
        let of = |name: &str| runs.iter().filter(|run| run.name == name).collect::<Vec<_>>();
        let seconds = |name: &str| median(of(name).iter().map(|run| run.seconds));
        let reference = names.first().map_or(0.0, |name| seconds(name));
        let millions = events as f64 / 1e6;
        let figures = |name: &&'static str| Figures {
            name,
            events,
            seconds: seconds(name),
            events_per_s: events as f64 / seconds(name),
            ratio: reference / seconds(name),
            cpu_s_per_million: by_process(&of(name), |run| &run.cpu_s)
                .into_iter()
                .map(|(process, cpu_s)| (process, cpu_s / millions))
                .collect(),
            peak_rss_mib: by_process(&of(name), |run| &run.peak_rss_mib),
        };
        Self { runs: names.iter().map(figures).collect(), latency }
    }

    #[expect(clippy::print_stdout, reason = "the table is the command's output")]
    pub(super) fn print(&self) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("\n{cores} cores; medians; 100 % is pg_recvlogical on the same WAL");
        println!(
            "{:<20}{:>9}{:>12}{:>8}  {:<36}peak RSS, MiB",
            "run", "seconds", "events/s", "ratio", "CPU-s per million events"
        );
        for run in &self.runs {
            let list = |values: &BTreeMap<&str, f64>| {
                values
                    .iter()
                    .map(|(process, value)| format!("{process} {value:.1}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            println!(
                "{:<20}{:>9.2}{:>12.0}{:>7.0}%  {:<36}{}",
                run.name,
                run.seconds,
                run.events_per_s,
                run.ratio * 100.0,
                list(&run.cpu_s_per_million),
                list(&run.peak_rss_mib),
            );
        }
        println!("\nfrom commit to a Kafka consumer, one change a transaction");
        let Latencies { alone, rolling_restart, neighbour_of_dead_sink } = &self.latency;
        let named = [
            ("alone", alone),
            ("rolling_restart", rolling_restart),
            ("neighbour_of_dead_sink", neighbour_of_dead_sink),
        ];
        for (name, latency) in named {
            let Latency { transactions_per_s, p50_ms, p99_ms, repeated } = latency;
            let percent = 100.0 * p99_ms / alone.p99_ms;
            println!(
                "{name:<24}{transactions_per_s:>6.0} transactions/s   p50 {p50_ms:>4.1} ms   p99 {p99_ms:>5.1} ms \
                 ({percent:.0} % of alone)   repeated {repeated}"
            );
        }
        println!(
            "\nto Kafka beside an endpoint that is dead: {:.0} % of the rate beside one that is well; what was parked for it \
             drains at {:.0} % of the rate to Kafka alone",
            self.percent("kafka_beside_dead", "kafka_beside_living"),
            self.percent("drain", "kafka"),
        );
    }

    /// The rate of one kind of run, of that of another.
    fn percent(&self, name: &str, other: &str) -> f64 {
        let rate =
            |name| self.runs.iter().find(|run| run.name == name).map_or(f64::NAN, |run| run.events_per_s);
        100.0 * rate(name) / rate(other)
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn by_process(
    runs: &[&Run],
    values: impl Fn(&Run) -> &Vec<(&'static str, f64)>,
) -> BTreeMap<&'static str, f64> {
    let processes =
        runs.first().map(|run| values(run).iter().map(|(process, _)| *process)).into_iter().flatten();
    let of = |process: &str| {
        let found = runs.iter().flat_map(|run| values(run)).filter(|(name, _)| *name == process);
        median(found.map(|(_, value)| *value).collect::<Vec<_>>().into_iter())
    };
    processes.map(|process| (process, of(process))).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
