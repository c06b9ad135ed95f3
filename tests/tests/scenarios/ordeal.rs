//! Faults between a database and a consumer, and what must hold after them: the ledger's oracle, and an eye on the slot.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use twinroute_tests::{
    oracle::{self, Expected},
    servers::postgres::connect,
    services::Service,
    stack::Steps,
    twins::ledger,
    wait,
};

use crate::{
    recorder::{Record, Recorder},
    slot_watch::{Look, SlotWatch},
};

/// How long capture may take until its health tells the truth.
pub(crate) const HEALTH_DEADLINE: Duration = Duration::from_secs(15);

/// How long all that was written may take to arrive, on a busy machine in a debug build.
pub(crate) const SETTLE_DEADLINE: Duration = Duration::from_secs(120);

/// A consumer, and an eye on the slot, while faults happen.
pub(crate) struct Ordeal {
    name: &'static str,
    url: String,
    begun: Instant,
    pub(crate) recorder: Recorder,
    slot: SlotWatch,
}

impl Ordeal {
    /// Consumes `subscription` of `capture`, whose database has `url`.
    pub(crate) fn begin(name: &'static str, url: &str, capture: &Service, subscription: &str) -> Self {
        Self {
            name,
            url: url.to_owned(),
            begun: Instant::now(),
            recorder: Recorder::start(&capture.grpc(), subscription),
            slot: SlotWatch::start(url, &format!("twinroute_{subscription}")),
        }
    }

    /// Waits until all of the ledger has come, after so many faults; then nothing may be lost, out of order, made up, or
    /// confirmed before it was settled, and what came twice is what a fault left unconfirmed.
    pub(crate) async fn settles(&self, faults: usize) -> Result<()> {
        let expected = ledger::expected(&connect(&self.url).await?).await?;
        ensure!(!expected.is_empty(), "the ledger is empty");
        self.until_all(&expected).await?;
        let records = self.recorder.look(Clone::clone);
        let arrivals: Vec<_> = records.events.iter().map(Record::arrival).collect();
        let verdict = oracle::judge(&expected, &arrivals);
        let runs = records.events.iter().map(|record| record.run).collect::<std::collections::BTreeSet<_>>();
        Steps::told().done(&format!(
            "{}: {faults} faults, {} changes: lost {}, repeated {}, reordered {}; {} streams, {:.1} s",
            self.name,
            verdict.expected,
            verdict.lost.len(),
            verdict.repeated,
            verdict.reordered.len(),
            runs.len(),
            self.begun.elapsed().as_secs_f64()
        ));
        let culprits = (verdict.lost.first(), verdict.reordered.first(), verdict.unexpected.first());
        ensure!(verdict.is_kept(), "lost, reordered, unexpected: {culprits:?}");
        ensure!(records.poison.is_empty(), "{:?}", records.poison);
        ensure!(runs.len() <= faults + 1, "{} streams brought events, after {faults} faults", runs.len());
        copies_are_equal(&records.events)?;
        let looks = self.slot.looks();
        ensure!(!looks.is_empty(), "nobody has looked at the slot");
        confirmed_after_it_was_settled(&records.events, &looks)?;
        repeats_were_not_confirmed(&records.events, &records.runs, &looks)
    }

    /// Waits until every marker of the ledger has come.
    async fn until_all(&self, expected: &[Expected]) -> Result<()> {
        let (mut looked_at, mut markers) = (0, hashbrown::HashSet::new());
        wait::until(SETTLE_DEADLINE, "all changes", async || {
            self.recorder.look(|records| {
                let new = records.events.get(looked_at..).unwrap_or_default();
                markers.extend(new.iter().filter_map(|record| record.marker));
                looked_at = records.events.len();
            });
            let come = markers.len();
            ensure!(come >= expected.len(), "{come} of {} have come", expected.len());
            Ok(())
        })
        .await
    }
}

/// Waits until capture says that it is ready, as it must soon after each fault.
pub(crate) async fn is_ready_again(capture: &Service) -> Result<()> {
    capture.until_page(HEALTH_DEADLINE, "/readyz", |status, _| status == 200).await.map(drop)
}

/// A number below `bound`, at random.
pub(crate) fn random(bound: usize) -> usize {
    use std::hash::{BuildHasher as _, RandomState};
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(RandomState::new().hash_one(0) % bound.max(1)).unwrap_or_default()
}

/// A moment at random, to which nothing leads.
pub(crate) async fn moment(below_ms: usize) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(u64::try_from(random(below_ms))?)).await;
    Ok(())
}

/// Copies of an event are the same to the byte, and none comes twice in one stream.
fn copies_are_equal(events: &[Record]) -> Result<()> {
    let mut first = HashMap::new();
    for event in events {
        if let Some((run, content)) = first.insert(event.position, (event.run, event.content)) {
            ensure!(content == event.content, "{} came with another content", event.position);
            ensure!(run < event.run, "{} came twice in stream {run}", event.position);
        }
    }
    Ok(())
}

/// Whenever the slot was looked at, all that it was confirmed over had been recorded.
fn confirmed_after_it_was_settled(events: &[Record], looks: &[Look]) -> Result<()> {
    let mut recorded = HashMap::new();
    for event in events {
        recorded.entry(event.position).or_insert(event.at);
    }
    let mut recorded: Vec<_> = recorded.into_iter().map(|(at, when)| (at.commit_lsn.0, when)).collect();
    recorded.sort_unstable();
    // For each, when it and all before it had been recorded.
    let all_until: Vec<_> = recorded
        .iter()
        .scan(None, |latest, (_, when)| {
            *latest = (*latest).max(Some(*when));
            Some(*latest)
        })
        .collect();
    for look in looks {
        let settled = recorded.partition_point(|(commit_lsn, _)| *commit_lsn < look.confirmed);
        let last = settled.checked_sub(1).and_then(|last| all_until.get(last).copied().flatten());
        ensure!(
            last.is_none_or(|last| last <= look.at),
            "the slot was confirmed up to {:X} too early",
            look.confirmed
        );
    }
    Ok(())
}

/// A stream begins where the slot was, or behind that.
fn repeats_were_not_confirmed(events: &[Record], runs: &[Instant], looks: &[Look]) -> Result<()> {
    for event in events {
        let begun =
            event.run.checked_sub(1).and_then(|run| runs.get(run)).context("a stream without a start")?;
        let known = looks.partition_point(|look| look.at < *begun);
        let confirmed =
            known.checked_sub(1).and_then(|last| looks.get(last)).map_or(0, |look| look.confirmed);
        let at = event.position.commit_lsn.0;
        ensure!(at >= confirmed, "{at:X} was confirmed, and came in stream {}", event.run);
    }
    Ok(())
}
