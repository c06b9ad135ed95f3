//! `make bench`: how fast the services are, measured against `pg_recvlogical` on the same WAL in the same run.
//!
//! Machines are noisy, so figures are ratios: the reference's rate is 100 %. Each figure is the median of several rounds.

mod capture;
mod delivery;
mod latency;
mod neighbour;
mod pipeline;
mod reference;
mod report;
mod workload;

use std::{path::Path, time::Duration};

use anyhow::Result;

use self::report::Report;
use self::workload::Workload;
use crate::{
    checkout,
    servers::{kafka::Kafka, postgres::Postgres},
    stack::Steps,
};

/// Updates in the backlog.
const EVENTS: u64 = 300_000;
/// Rounds; of each figure the median is reported.
const ROUNDS: usize = 3;
/// How long one run may take: a hundred times what is expected.
const RUN_DEADLINE: Duration = Duration::from_secs(300);

/// What one run took.
#[derive(Clone, Debug)]
pub struct Run {
    /// `pg_recvlogical`, `capture`, `kafka`, `kafka_beside_living`, `kafka_beside_dead` or `drain`.
    pub name: &'static str,
    /// From the start of the measured process to the last event, in seconds.
    pub seconds: f64,
    /// Processor time by process, in seconds.
    pub cpu_s: Vec<(&'static str, f64)>,
    /// Largest resident memory by process, in MiB.
    pub peak_rss_mib: Vec<(&'static str, f64)>,
}

/// Where a run finds the WAL.
#[derive(Debug)]
pub struct Source<'a> {
    /// The server.
    pub postgres: &'a Postgres,
    /// Number of the round, which names its slots.
    pub round: usize,
    /// The backlog's writer.
    pub workload: &'a Workload,
    /// For configurations and logs.
    pub dir: &'a Path,
}

/// Measures everything, prints a table, and writes `.run/bench/summary.json`.
///
/// # Errors
/// When a server or service does not start, or a run does not end.
pub async fn run(steps: &Steps) -> Result<()> {
    let dir = checkout::fresh_run_dir("bench")?;
    let postgres = Postgres::start(&dir.join("postgres")).await?;
    let kafka = Kafka::start(&dir.join("kafka")).await?;
    steps.done("PostgreSQL and Kafka are up");
    let workload = Workload::write(&postgres, EVENTS).await?;
    steps.done(&format!("the backlog is written: {EVENTS} updates, {} MiB of WAL", workload.wal_mib()));
    let mut runs = Vec::new();
    for round in 1..=ROUNDS {
        let source = Source { postgres: &postgres, round, workload: &workload, dir: &dir };
        let mut taken = vec![
            reference::run(&source).await?,
            capture::run(&source).await?,
            delivery::run(&source, &kafka).await?,
        ];
        taken.extend(neighbour::run(&source, &kafka).await?);
        for run in taken {
            let rate = EVENTS as f64 / run.seconds;
            steps.done(&format!("round {round}: {:<19} {rate:>9.0} events/s", run.name));
            runs.push(run);
        }
    }
    let source = Source { postgres: &postgres, round: 0, workload: &workload, dir: &dir };
    let latencies = latency::run(&source, &kafka).await?;
    steps.done("latency is measured: alone, during a rolling restart, and beside a dead endpoint");
    let report = Report::new(EVENTS, &runs, latencies);
    report.print();
    report.write(&dir.join("summary.json"))
}
