//! Consumers by hand that come and go: what each receives and acknowledges is noted in one book.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twinroute_proto::capture::v1::{Batch, Drain, Released};
use twinroute_proto::event::v1::{EventData, Position};
use twinroute_tests::{
    oracle::{self, Arrival, Verdict},
    twins::ledger,
    wait,
};

use crate::{
    decision::{PARTITIONS, status},
    raw::{RawConsumer, Request, Response, events},
    scene::DEADLINE,
    source::Source,
};

/// Credit of each consumer. It is given back with the acks.
const CREDIT: (u64, u64) = (500, 1 << 24);

/// Consumers of one subscription.
pub(crate) struct Crowd {
    book: Arc<Mutex<Book>>,
    members: BTreeMap<String, Member>,
    /// How far the slot was confirmed, and when that was known.
    confirmed: Vec<(u64, Instant)>,
}

struct Member {
    leave: CancellationToken,
    task: JoinHandle<Result<()>>,
}

/// What all of them have seen.
#[derive(Default)]
struct Book {
    arrivals: Vec<Arrival>,
    /// By position, where its transaction is committed, and when somebody was about to acknowledge it.
    acked: HashMap<String, (u64, Instant)>,
    granted: usize,
}

impl Crowd {
    pub(crate) fn new() -> Self {
        Self { book: Arc::default(), members: BTreeMap::new(), confirmed: Vec::new() }
    }

    /// Another consumer comes.
    pub(crate) async fn join(&mut self, source: &Source, consumer_id: &str) -> Result<()> {
        let consumer = source.join(consumer_id).await?;
        consumer.credit(CREDIT.0, CREDIT.1).await?;
        let leave = CancellationToken::new();
        let work = Work {
            consumer,
            book: Arc::clone(&self.book),
            in_hand: Vec::new(),
            held: BTreeSet::new(),
            leave: leave.clone(),
        };
        self.members.insert(consumer_id.to_owned(), Member { leave, task: tokio::spawn(work.run()) });
        Ok(())
    }

    /// One settles what it has, gives its partitions back, and goes.
    pub(crate) async fn drain(&mut self, consumer_id: &str) -> Result<()> {
        let member = self.members.remove(consumer_id).context("nobody of this name")?;
        member.leave.cancel();
        tokio::time::timeout(DEADLINE, member.task).await.context("it does not end")??
    }

    /// One is gone, with what it had not acknowledged.
    pub(crate) fn break_off(&mut self, consumer_id: &str) -> Result<()> {
        self.members.remove(consumer_id).context("nobody of this name")?.task.abort();
        Ok(())
    }

    /// Number of partitions that were granted so far.
    pub(crate) fn granted(&self) -> usize {
        open(&self.book).granted
    }

    /// Waits until so many partitions were granted, and no more.
    pub(crate) async fn until_granted(&self, partitions: usize) -> Result<()> {
        wait::until(DEADLINE, "the grants", async || {
            let granted = self.granted();
            ensure!(granted == partitions, "{granted} were granted, and {partitions} suffice");
            Ok(())
        })
        .await
    }

    /// Waits until so many more events have arrived than had.
    pub(crate) async fn until_more(&mut self, source: &Source, events: usize) -> Result<()> {
        let before = open(&self.book).arrivals.len();
        wait::until(DEADLINE, "more events", async || {
            self.look(source).await?;
            let arrived = open(&self.book).arrivals.len() - before;
            ensure!(arrived >= events, "{arrived} of {events}");
            Ok(())
        })
        .await
    }

    /// Waits until so many share all partitions evenly; tells how many each holds.
    pub(crate) async fn until_shared(
        &mut self,
        source: &Source,
        consumers: usize,
    ) -> Result<BTreeMap<String, usize>> {
        wait::until(DEADLINE, "even shares", async || {
            self.look(source).await?;
            let mut shares: BTreeMap<String, usize> = BTreeMap::new();
            for partition in status(&source.capture).await?.partitions {
                *shares.entry(partition.consumer_id).or_default() += 1;
            }
            let (least, most) = (PARTITIONS / consumers, PARTITIONS.div_ceil(consumers));
            let even = shares.values().all(|count| (least..=most).contains(count));
            ensure!(shares.len() == consumers && even, "{shares:?}");
            Ok(shares)
        })
        .await
    }

    /// Notes how far the slot is confirmed.
    async fn look(&mut self, source: &Source) -> Result<()> {
        for (name, member) in &self.members {
            ensure!(!member.task.is_finished(), "{name} has ended");
        }
        let confirmed = source.confirmed().await?;
        self.confirmed.push((confirmed, Instant::now()));
        Ok(())
    }

    /// What the oracle says, after all was confirmed. The slot has never passed what was not acknowledged.
    pub(crate) async fn verdict(&mut self, source: &Source) -> Result<Verdict> {
        self.look(source).await?;
        let expected = ledger::expected(source.graph().await?.client()).await?;
        let book = open(&self.book);
        for (confirmed, known_at) in &self.confirmed {
            let late = book
                .acked
                .iter()
                .find(|(_, (commit_lsn, acked_at))| commit_lsn < confirmed && acked_at > known_at);
            ensure!(late.is_none(), "the slot was at {confirmed:X} before the ack of {late:?}");
        }
        let unacked = book.arrivals.iter().find(|arrival| !book.acked.contains_key(&arrival.id));
        ensure!(unacked.is_none(), "confirmed, and acknowledged by nobody: {unacked:?}");
        Ok(oracle::judge(&expected, &book.arrivals))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.members.values().for_each(|member| member.task.abort());
    }
}

/// One consumer at work.
struct Work {
    consumer: RawConsumer,
    book: Arc<Mutex<Book>>,
    in_hand: Vec<Batch>,
    held: BTreeSet<u32>,
    leave: CancellationToken,
}

impl Work {
    async fn run(mut self) -> Result<()> {
        let mut is_leaving = false;
        while !(is_leaving && self.held.is_empty()) {
            let leave = self.leave.clone();
            tokio::select! {
                biased;
                () = leave.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    self.consumer.send(Request::Drain(Drain {})).await?;
                }
                frame = self.consumer.next() => self.take(frame?).await?,
            }
        }
        Ok(())
    }

    async fn take(&mut self, frame: Response) -> Result<()> {
        match frame {
            Response::Batches(frame) => {
                // There is always something in hand when partitions move.
                self.settle().await?;
                let arrived = events(&frame.batches).map(arrival).collect::<Result<Vec<_>>>()?;
                open(&self.book).arrivals.extend(arrived);
                self.in_hand = frame.batches;
                Ok(())
            }
            Response::Assignment(assignment) => {
                open(&self.book).granted += assignment.granted.len();
                self.held.extend(assignment.granted.iter().map(|grant| grant.partition));
                if !assignment.revoked.is_empty() {
                    self.settle().await?;
                    self.held.retain(|partition| !assignment.revoked.contains(partition));
                    let assignment_id = assignment.assignment_id;
                    self.consumer.send(Request::Released(Released { assignment_id })).await?;
                }
                Ok(())
            }
            Response::Progress(_) => self.settle().await,
            frame => bail!("{frame:?} is nothing to expect"),
        }
    }

    /// Acknowledges what is in hand, and gives its credit back.
    async fn settle(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.in_hand);
        if batches.is_empty() {
            return Ok(());
        }
        let acked = events(&batches).map(|event| {
            let position = event.position.unwrap_or_default();
            (sequence(position), (position.commit_lsn, Instant::now()))
        });
        for (id, ack) in acked {
            open(&self.book).acked.entry(id).or_insert(ack);
        }
        self.consumer.ack(&batches).await?;
        let costs = || batches.iter().flat_map(|batch| &batch.items).map(|item| item.cost_bytes);
        self.consumer.credit(costs().count() as u64, costs().sum()).await
    }
}

fn open(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn arrival(event: &EventData) -> Result<Arrival> {
    let document: Value = serde_json::from_slice(event.new.as_deref().context("no document")?)?;
    let id = sequence(event.position.context("no position")?);
    Ok(Arrival {
        sequence: id.clone(),
        id,
        scope: event.ordering_key.clone(),
        key: event.ordering_key.clone(),
        marker: document.get("marker").map(Value::to_string),
    })
}

/// As the `sequence` of a CloudEvent.
fn sequence(position: Position) -> String {
    let Position { incarnation, commit_lsn, change_lsn, ordinal } = position;
    format!("{incarnation:016x}{commit_lsn:016x}{change_lsn:016x}{ordinal:08x}")
}
