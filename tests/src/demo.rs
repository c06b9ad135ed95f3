//! `stack demo`: a small factory in PostgreSQL, changed through Cypher, and its events as real
//! consumers see them at all sinks; then the verdict, from the ledger of what was committed.

mod arrival;
mod change;
pub mod chaos;
mod expectation;
mod factory;
pub mod generator;
mod line;
mod sample;
mod screen;
mod summary;
mod tally;
mod writer;

use std::{
    fs::{File, TryLockError},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    chaos::Weather,
    expectation::{Expectations, expectations},
    line::{Colour, Lines},
    screen::{Screen, say},
    summary::{Figures, Summary},
    writer::Writer,
};
use crate::{
    checkout,
    consumers::{Consumer, Inbox, Sink, kafka, kusto, mqtt},
    oracle::{Expected, judge},
    stack::{GRAPH, KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Servers, Stack, Steps},
    twins::Graph,
};

/// Delivery workers.
const WORKERS: usize = 2;

/// How long events may take to arrive after the last change.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(60);

/// The folder below `.run` of data, logs and the summary.
const FOLDER: &str = "demo";

/// Exit codes of what a signal has ended start here, as shells have it.
const SIGNALLED: i32 = 128;

const INTRODUCTION: &str = "\
This demo starts PostgreSQL with AGE, Kafka, Mosquitto, Azurite, a stand-in for Kusto, and the router with two workers.
It changes the digital twins of a small factory through Cypher, and shows their events arrive at three sinks.
Then it compares what arrived with what was committed, and stops everything. Ctrl-C stops everything at any time.
";

/// Runs the demo; however it ends, nothing of it runs on.
#[expect(clippy::print_stderr, reason = "it is a command")]
pub async fn run(weather: Weather, steps: &Steps) -> ExitCode {
    let logs = checkout::root().join(".run").join(FOLDER);
    let logs = logs.display();
    // The demo is dropped, and with it all that it has started, before the words about it.
    tokio::select! {
        biased;
        // First: otherwise a signal would wait for the demo's next pause.
        code = signalled() => {
            eprintln!("\nInterrupted: all that was started is stopped. Data and logs are in {logs}.");
            ExitCode::from(code)
        }
        outcome = show(weather, steps) => match outcome {
            Ok(summary) if summary.is_kept() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("\nThe demo cannot go on: {error:#}\nAll that it has started is stopped. Data and logs are in {logs}.");
                ExitCode::FAILURE
            }
        },
    }
}

/// Waits for a signal that ends programs; gives back the exit code for it.
async fn signalled() -> u8 {
    let listen = |kind| signal(kind).ok();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let waiting = kinds.map(|kind| {
        Box::pin(async move {
            match listen(kind) {
                Some(mut signals) => signals.recv().await,
                // Then the signal does what it does by default.
                None => std::future::pending().await,
            };
            kind.as_raw_value()
        })
    });
    let (number, _, _) = futures_util::future::select_all(waiting).await;
    u8::try_from(SIGNALLED + number).unwrap_or(u8::MAX)
}

async fn show(weather: Weather, steps: &Steps) -> Result<Summary> {
    say(&format!("{INTRODUCTION}{}", weather.introduction()))?;
    let _alone = alone()?;
    let dir = checkout::fresh_run_dir(FOLDER)?;
    let mut stack = Stack::start(&dir, WORKERS, steps).await?;
    let sinks = consumers(&stack.servers).await?;
    steps.done("consumers read the Kafka topic, the MQTT topic and the Kusto tables");
    let mut writer = Writer::new(Graph::open(&stack.servers.database(), GRAPH).await?);
    let colour = Colour::of_terminal();
    let lines = Lines::new(colour, TimeZone::system());
    let inboxes = sinks.each_ref().map(|(sink, consumer)| (*sink, consumer.inbox().clone()));
    let mut screen = Screen::new(inboxes.clone().into(), writer.committed(), colour, lines);

    let busy = weather.busy();
    let seconds = busy.as_secs();
    say(&format!(
        "\nThe factory works for {seconds} s. A few changes of each second are shown, with their events at every sink.\n"
    ))?;
    let (written, struck) =
        screen.during(async { tokio::join!(writer.run(busy), weather.strike(&mut stack)) }).await?;
    written.and(struck)?;
    let committed = writer.committed_changes().await?;
    let expected = expectations(&committed);
    screen.during(until_arrived(&inboxes, &expected)).await?;
    screen.figure()?;
    say("")?;

    let drained = stack.drain().await;
    if drained.is_ok() {
        steps.done("the services have drained and ended");
    }
    // Now nothing comes any more.
    let figures = inboxes
        .map(|(sink, inbox)| Figures::judge(sink, expected.at(sink), &inbox.received(), &inbox.faults()));
    drop((sinks, stack));
    steps.done("the servers are stopped");
    let failed = drained.err().map(|error| format!("a service does not end as it should: {error:#}"));
    let summary = Summary::new(committed.len(), figures, failed.into_iter().collect());
    tell(&summary, &dir)?;
    Ok(summary)
}

/// Holds a lock as long as it lives: a second demo would clear the first one's folder.
fn alone() -> Result<File> {
    let path = checkout::create(&checkout::root().join(".run"))?.join("demo.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another demo is running in this checkout; wait for its end, or stop it with Ctrl-C")
        }
        Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}

async fn consumers(servers: &Servers) -> Result<[(Sink, Consumer); 3]> {
    Ok([
        (Sink::Kafka, kafka::attach(&servers.kafka.brokers(), KAFKA_TOPIC).await?),
        (Sink::Mqtt, mqtt::consume("127.0.0.1", servers.mosquitto.port(), MQTT_TOPIC).await?),
        (Sink::Kusto, kusto::consume(&servers.kusto.uri(), KUSTO_DATABASE, &kusto::TABLES)?),
    ])
}

/// Waits until every sink has all, or for long enough.
async fn until_arrived(inboxes: &[(Sink, Inbox); 3], expected: &Expectations) {
    let waiting = inboxes.each_ref().map(|(sink, inbox)| {
        let expected: &[Expected] = expected.at(*sink);
        inbox.until(ARRIVAL_DEADLINE, "all events", move |received| {
            ensure!(received.len() >= expected.len(), "too few");
            let verdict = judge(expected, &arrival::arrivals(received));
            ensure!(verdict.lost.is_empty(), "some are missing");
            Ok(())
        })
    });
    // What is missing is named in the summary.
    let _ = futures_util::future::join_all(waiting).await;
}

/// Prints the summary and writes it for programs.
fn tell(summary: &Summary, dir: &Path) -> Result<()> {
    let file = dir.join("summary.json");
    let json = serde_json::to_string_pretty(summary)?;
    std::fs::write(&file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("\n{}\n", summary.text()))?;
    let (file, dir) = (file.display(), dir.display());
    say(&format!("Summary: {file}\nLogs:    {dir}/*.log of the services, {dir}/*/log of the servers"))
}
