//! The runner of one job: pass after pass over the letters of the partitions that are held, until none is left.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, stream};
use hashbrown::{HashMap, HashSet};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use twinroute_common::backoff::Backoff;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::Container;
use uuid::Uuid;

use super::job::Job;
use super::letters::{self, Found, Scope};
use super::notes::Notes;
use super::pace::Pace;
use super::plan::Planned;
use super::{Containers, RedriveContext};
use crate::delivery::Redriven;
use crate::endpoint::{Fate, Redrive, StoredLetter};
use crate::holdings::Held;
use crate::letter_box::open_to_read;
use crate::settlement::LeaseId;

/// Events that are with the endpoint at a time, and their size in bytes: they are held in memory.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Letters that are read ahead.
const READ_AHEAD: usize = 8;
/// Waits before another pass, when one came to nothing.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The runner of one job.
pub(super) struct Runner {
    job: Job,
    context: RedriveContext,
    containers: watch::Receiver<Containers>,
    notes: Arc<Notes>,
    /// Partitions in which nothing is left to do.
    finished: HashSet<u32>,
    /// Letters that are not sent by this job any more, though they are still there.
    passed_over: HashSet<Uuid>,
}

/// What a pass works with.
struct Pass<'a> {
    scope: Scope<'a>,
    container: Container,
    endpoint: mpsc::Sender<Redrive>,
    token: CancellationToken,
}

/// Events that are with the endpoint.
#[derive(Default)]
struct Window {
    answers: FuturesUnordered<Answer>,
    bytes: usize,
}

type Answer = futures_util::future::BoxFuture<'static, Answered>;

struct Answered {
    event_id: Uuid,
    partition: u32,
    bytes: usize,
    /// `None` when it was given back.
    fate: Option<Fate>,
}

impl Window {
    fn has_room(&self) -> bool {
        self.answers.is_empty() || (self.answers.len() < EVENTS_MAX && self.bytes < BYTES_MAX)
    }

    fn push(&mut self, event_id: Uuid, partition: u32, bytes: usize, fate: oneshot::Receiver<Fate>) {
        self.bytes += bytes;
        let answer = async move { Answered { event_id, partition, bytes, fate: fate.await.ok() } };
        self.answers.push(Box::pin(answer));
    }
}

impl Runner {
    pub(super) fn new(
        job: Job,
        context: RedriveContext,
        containers: watch::Receiver<Containers>,
        notes: Arc<Notes>,
    ) -> Self {
        Self { job, context, containers, notes, finished: HashSet::new(), passed_over: HashSet::new() }
    }

    /// Runs until it is aborted: partitions may come to this worker until the job ends.
    pub(super) async fn run(mut self) {
        let mut holdings = self.context.holdings.watch();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let held = Held::clone(&holdings.borrow_and_update());
            let partitions = self.unfinished(&held);
            if partitions.is_empty() {
                if holdings.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let scope = Scope { partitions: &partitions, partition_count: held.count };
            let is_complete = match self.pass(scope).await {
                Ok(is_complete) => {
                    self.notes.error("");
                    is_complete
                }
                Err(why) => {
                    self.notes.error(&why);
                    false
                }
            };
            if is_complete {
                backoff.reset();
                continue;
            }
            // What changes may be what was in the way.
            tokio::select! {
                _ = holdings.changed() => {}
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// The partitions that are held and in which something may be left to do.
    fn unfinished(&self, held: &Held) -> HashMap<u32, LeaseId> {
        let held = held.held.iter().map(|(&partition, holding)| (partition, holding.lease));
        held.filter(|(partition, _)| !self.finished.contains(partition)).collect()
    }

    /// Sends what there is. Whether that was all that it could do; if not, another pass may help.
    async fn pass(&mut self, scope: Scope<'_>) -> Result<bool, String> {
        let endpoint = self.endpoint().ok_or("the endpoint is not in force at the worker")?;
        let container = self.container()?;
        let passed_over = |event_id: Uuid| self.passed_over.contains(&event_id);
        let found = letters::find(&container, &self.job, scope, &passed_over).await;
        let Found { letters, is_cut, unreadable } = found.map_err(|error| error.to_string())?;
        for (event_id, why) in unreadable {
            self.notes.outcome(event_id, false, &why);
            self.passed_over.insert(event_id);
        }
        let token = CancellationToken::new();
        // Also when the runner is aborted: what waits for the endpoint is not taken any more.
        let _guard = token.clone().drop_guard();
        let pass = Pass { scope, container, endpoint, token };
        let given_back = self.send(&pass, letters).await?;
        let held = Held::clone(&self.context.holdings.watch().borrow());
        let is_held = |partition: &u32, lease: &LeaseId| {
            held.held.get(partition).is_some_and(|holding| holding.lease == *lease)
        };
        let is_done = |partition: &u32| !is_cut && !given_back.contains(partition);
        let finished = scope.partitions.iter();
        let finished = finished.filter(|(partition, lease)| is_done(partition) && is_held(partition, lease));
        let finished: Vec<u32> = finished.map(|(partition, _)| *partition).collect();
        self.finished.extend(&finished);
        self.notes.finished(finished);
        Ok(given_back.is_empty())
    }

    fn endpoint(&self) -> Option<mpsc::Sender<Redrive>> {
        let routing = self.context.routing.load();
        Some(routing.endpoints.get(self.job.selection.endpoint.as_str())?.redrives())
    }

    fn container(&self) -> Result<Container, String> {
        let containers = self.containers.borrow();
        let container = containers.get(&self.job.selection.endpoint);
        let container = container.ok_or("the endpoint has no container for dead letters any more")?;
        open_to_read(container, &self.context.resolve_secret)
    }

    /// Hands letters over in order. The partitions of those that were not sent, or given back.
    async fn send(&mut self, pass: &Pass<'_>, letters: Vec<Planned>) -> Result<HashSet<u32>, String> {
        let mut given_back = HashSet::new();
        let mut pace = Pace::new(
            self.job.events_per_second_max,
            pass.scope.partitions.len(),
            pass.scope.partition_count,
        );
        let mut window = Window::default();
        let folder: Arc<str> = self.job.selection.endpoint.as_str().into();
        let read = stream::iter(letters).map(|letter| {
            let (container, folder) = (&pass.container, Arc::clone(&folder));
            async move { (letters::read(container, &folder, &letter).await, letter) }
        });
        let mut read = pin!(read.buffered(READ_AHEAD).fuse());
        let mut failure = None;
        loop {
            let may_send = failure.is_none() && !pass.token.is_cancelled() && window.has_room();
            tokio::select! {
                biased;
                Some(answered) = window.answers.next() => self.note(&mut window, answered, &mut given_back),
                Some((event, letter)) = read.next(), if may_send => match event {
                    Err(error) => failure = Some(error.to_string()),
                    Ok(None) => {}
                    Ok(Some(Err(why))) => {
                        self.notes.outcome(letter.name.event_id(), false, &why);
                        self.passed_over.insert(letter.name.event_id());
                    }
                    Ok(Some(Ok(event))) => {
                        pace.wait().await;
                        self.notes.room().await;
                        self.hand_over(pass, &mut window, letter, event, &folder).await;
                    }
                },
                else => break,
            }
        }
        // What was read and not sent any more.
        if pass.token.is_cancelled() {
            given_back.extend(pass.scope.partitions.keys());
        }
        failure.map_or(Ok(given_back), Err)
    }

    async fn hand_over(
        &self,
        pass: &Pass<'_>,
        window: &mut Window,
        letter: Planned,
        event: Arc<CloudEvent>,
        folder: &Arc<str>,
    ) {
        let Planned { name, partition, .. } = letter;
        let Some(&lease) = pass.scope.partitions.get(&partition) else { return };
        let (answer, fate) = oneshot::channel();
        let event_id = event.id;
        window.push(event_id, partition, event.data.len(), fate);
        let redrive = Redrive {
            event,
            redriven: Redriven { lease, partition, event_id },
            letter: StoredLetter { container: pass.container.clone(), folder: Arc::clone(folder), name },
            job: Arc::clone(&self.job.id),
            pass: pass.token.clone(),
            answer,
        };
        if pass.endpoint.send(redrive).await.is_err() {
            // The endpoint has ended: its answer is that it gives back.
            pass.token.cancel();
        }
    }

    fn note(&mut self, window: &mut Window, answered: Answered, given_back: &mut HashSet<u32>) {
        let Answered { event_id, partition, bytes, fate } = answered;
        window.bytes -= bytes;
        match fate {
            Some(Fate::Delivered) => self.notes.outcome(event_id, true, ""),
            Some(Fate::Failed(why)) => self.notes.outcome(event_id, false, &why),
            Some(Fate::Undeleted(why)) => {
                self.passed_over.insert(event_id);
                self.notes.outcome(event_id, true, &format!("its letter is still there: {why}"));
            }
            None => {
                given_back.insert(partition);
            }
        }
    }
}
