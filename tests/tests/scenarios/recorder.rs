//! A consumer that keeps a record of what it got before it acknowledges, and comes back after each loss of its stream.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use serde::Deserialize;
use tokio::task::JoinHandle;
use twinroute_common::{lsn::Lsn, position::Position};
use twinroute_proto::{
    capture::v1::{Assignment, Batch, Released, item},
    event::v1::{self, Discontinuity, EventData},
};
use twinroute_tests::{oracle::Arrival, wait};

use crate::raw::{RawConsumer, Request, Response};

/// Credit of a new stream; what is settled is given back.
const CREDIT: (u64, u64) = (50_000, 64 << 20);

/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(50);

/// An event that came.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) position: Position,
    /// Its label: the table.
    pub(crate) label: String,
    pub(crate) key: String,
    pub(crate) marker: Option<i64>,
    /// The document before the change came with it.
    pub(crate) has_old: bool,
    /// Two copies of an event have the same.
    pub(crate) content: u64,
    /// Number of the stream that brought it.
    pub(crate) run: usize,
    /// When it was recorded, before it was acknowledged.
    pub(crate) at: Instant,
}

/// All that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) events: Vec<Record>,
    /// Each once, whichever partition it came in.
    pub(crate) discontinuities: Vec<Discontinuity>,
    pub(crate) poison: Vec<String>,
    /// When each stream was opened.
    pub(crate) runs: Vec<Instant>,
}

/// A consumer of one subscription, alone.
pub(crate) struct Recorder {
    records: Arc<Mutex<Records>>,
    task: JoinHandle<()>,
}

/// The one property of a document that the oracle asks for.
#[derive(Deserialize)]
struct Marked {
    marker: Option<i64>,
}

impl Recorder {
    /// Consumes `subscription` of the capture that serves `address`, from now on.
    pub(crate) fn start(address: &str, subscription: &str) -> Self {
        let records = Arc::<Mutex<Records>>::default();
        let (into, address, subscription) =
            (Arc::clone(&records), address.to_owned(), subscription.to_owned());
        let task = tokio::spawn(async move {
            loop {
                // It ends with the stream, for which the scenario has its reasons.
                drop(stream(&address, &subscription, &into).await);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { records, task }
    }

    /// Looks at what has come.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Records) -> T) -> T {
        look(&lock(&self.records))
    }

    /// How many events have come, repeats included.
    pub(crate) fn len(&self) -> usize {
        self.look(|records| records.events.len())
    }

    /// Waits until so many events have come.
    pub(crate) async fn until(&self, events: usize, deadline: Duration) -> Result<()> {
        wait::until(deadline, &format!("{events} events"), async || {
            let come = self.len();
            ensure!(come >= events, "{come} have come");
            Ok(())
        })
        .await
    }

    /// Waits until a discontinuity has come of which the reason holds `words`.
    pub(crate) async fn until_discontinuity(&self, words: &str, deadline: Duration) -> Result<Discontinuity> {
        wait::until(deadline, &format!("a discontinuity about {words}"), async || {
            self.look(|records| {
                let mut fitting = records.discontinuities.iter().filter(|gap| gap.reason.contains(words));
                fitting.next().cloned().with_context(|| format!("{:?} have come", records.discontinuities))
            })
        })
        .await
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Record {
    /// What the oracle needs to know of it. The id of its `CloudEvent` is made of the position.
    pub(crate) fn arrival(&self) -> Arrival {
        let sequence = self.position.sequence();
        Arrival {
            id: sequence.clone(),
            scope: self.key.clone(),
            sequence,
            key: self.key.clone(),
            marker: self.marker.map(|marker| marker.to_string()),
        }
    }
}

/// One stream, to its end.
async fn stream(address: &str, subscription: &str, records: &Mutex<Records>) -> Result<()> {
    let mut consumer = RawConsumer::connect(address).await?;
    consumer.hello(subscription, "recorder").await?;
    consumer.keep_leases();
    let run = {
        let mut records = lock(records);
        records.runs.push(Instant::now());
        records.runs.len()
    };
    consumer.credit(CREDIT.0, CREDIT.1).await?;
    loop {
        match consumer.next().await? {
            Response::Batches(frame) => {
                record(&frame.batches, run, records)?;
                consumer.ack(&frame.batches).await?;
                let items = frame.batches.iter().flat_map(|batch| &batch.items);
                let (events, bytes) =
                    items.fold((0, 0), |(events, bytes), item| (events + 1, bytes + item.cost_bytes));
                consumer.credit(events, bytes).await?;
            }
            Response::Assignment(Assignment { assignment_id, revoked, .. }) if !revoked.is_empty() => {
                consumer.send(Request::Released(Released { assignment_id })).await?;
            }
            _ => {}
        }
    }
}

fn record(batches: &[Batch], run: usize, records: &Mutex<Records>) -> Result<()> {
    let mut records = lock(records);
    for item in batches.iter().flat_map(|batch| &batch.items) {
        match item.item.as_ref().context("an empty item")? {
            item::Item::Event(event) => records.events.push(of_event(event, run)?),
            item::Item::Poison(poison) => records.poison.push(poison.reason.clone()),
            item::Item::Discontinuity(gap) => {
                if !records.discontinuities.contains(gap) {
                    records.discontinuities.push(gap.clone());
                }
            }
        }
    }
    Ok(())
}

fn of_event(event: &EventData, run: usize) -> Result<Record> {
    let marked: Option<Marked> = event.new.as_deref().map(serde_json::from_slice).transpose()?;
    Ok(Record {
        position: position(event.position.context("no position")?),
        label: event.label.clone(),
        key: event.ordering_key.clone(),
        marker: marked.and_then(|marked| marked.marker),
        has_old: event.old.is_some(),
        content: BuildHasherDefault::<DefaultHasher>::default().hash_one(event.encode_to_vec()),
        run,
        at: Instant::now(),
    })
}

/// The same position, to be compared and shown.
pub(crate) fn position(position: v1::Position) -> Position {
    Position {
        incarnation: position.incarnation,
        commit_lsn: Lsn(position.commit_lsn),
        change_lsn: Lsn(position.change_lsn),
        ordinal: position.ordinal,
    }
}

fn lock(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}
