//! Dead letters that are sent again, as their endpoint sees them: each stands in the lane, in queues of their own. Once it
//! is delivered its letter is deleted; refused again, its letter is written anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::{Container, LetterName};
use uuid::Uuid;

use super::LeaseSet;
use crate::delivery::{Delivery, Origin, Redriven};
use crate::holdings::Held;
use crate::retry::Retries;
use crate::settlement::LeaseId;

/// Letters that wait to be taken by an endpoint's task.
pub(super) const WAITING_MAX: usize = 64;
/// Letters that are on their way at a time. Those that are delivered must be deleted before a partition moves on: at a
/// tenth of a second each that takes half a second.
const OPEN_MAX: usize = 256;
/// Letters that are deleted at a time.
const DELETING_MAX: usize = 64;
/// Attempts to delete a letter, and the waits between them. One that stays is told, and would be sent again by another job.
const DELETING: Retries =
    Retries { attempts: 5, waits: (Duration::from_millis(200), Duration::from_secs(5)) };

/// A dead letter to send again.
#[derive(Debug)]
pub(crate) struct Redrive {
    /// Its event.
    pub(crate) event: Arc<CloudEvent>,
    /// The lease and partition under which it is sent.
    pub(crate) redriven: Redriven,
    /// Its letter.
    pub(crate) letter: StoredLetter,
    /// Id of the job.
    pub(crate) job: Arc<str>,
    /// Cancelled when one of its pass was given back, which nothing behind it may overtake, or when its job has ended.
    pub(crate) pass_over: CancellationToken,
    /// Told what became of it; dropped when it was given back.
    pub(crate) answer: oneshot::Sender<Fate>,
}

/// A letter where it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredLetter {
    /// The container.
    pub(crate) container: Container,
    /// The endpoint's folder in it.
    pub(crate) folder: Arc<str>,
    /// Its name there.
    pub(crate) name: LetterName,
}

/// What became of a letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is delivered and its letter deleted.
    Delivered,
    /// It is delivered, but its letter could not be deleted; why.
    Undeleted(String),
    /// It has failed again; why. Its letter says so.
    Failed(String),
}

/// The letters of an endpoint that are being sent again.
pub(super) struct Redriving {
    open: HashMap<Uuid, Open>,
    deleting: FuturesUnordered<BoxFuture<'static, Deleted>>,
    deletions: Arc<Semaphore>,
}

struct Open {
    lease: LeaseId,
    letter: StoredLetter,
    job: Arc<str>,
    pass_over: CancellationToken,
    answer: oneshot::Sender<Fate>,
    /// It is delivered, and its letter is being deleted.
    is_delivered: bool,
}

/// The deletion of a letter has come to its end.
pub(super) struct Deleted {
    redriven: Redriven,
    result: Result<(), String>,
}

impl Redriving {
    pub(super) fn new() -> Self {
        Self {
            open: HashMap::new(),
            deleting: FuturesUnordered::new(),
            deletions: Arc::new(Semaphore::new(DELETING_MAX)),
        }
    }

    /// One more can be taken.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < OPEN_MAX
    }

    /// Those that are in the lane.
    pub(super) fn in_lane(&self) -> usize {
        self.open.values().filter(|open| !open.is_delivered).count()
    }

    /// The delivery for the lane; `None` when it may not be sent, or is on its way already.
    pub(super) fn take(&mut self, redrive: Redrive, held: &Held) -> Option<Delivery> {
        let Redrive { event, redriven, letter, job, pass_over, answer } = redrive;
        let Redriven { lease, partition, event_id } = redriven;
        let is_held = held.by_number.get(&partition).is_some_and(|holding| holding.lease == lease);
        if !is_held || pass_over.is_cancelled() {
            pass_over.cancel();
            return None;
        }
        let present = self.open.get_mut(&event_id).filter(|open| open.lease == lease);
        if let Some(open) = present {
            // It was with the sink when its job ended: the one that takes its place is told what becomes of it.
            (open.letter, open.job, open.pass_over, open.answer) = (letter, job, pass_over, answer);
            return None;
        }
        let open = Open { lease, letter, job, pass_over, answer, is_delivered: false };
        self.open.insert(event_id, open);
        Some(Delivery { origin: Origin::Redriven(redriven), event })
    }

    /// Id of the job that sends an event again.
    pub(super) fn job(&self, redriven: Redriven) -> Option<Arc<str>> {
        self.get(redriven).map(|open| Arc::clone(&open.job))
    }

    /// Its pass is over: it is to be given back if it is not with the sink.
    pub(super) fn is_over(&self, redriven: Redriven) -> bool {
        self.get(redriven).is_none_or(|open| open.pass_over.is_cancelled())
    }

    /// There is one whose pass is over.
    pub(super) fn any_over(&self) -> bool {
        self.open.values().any(|open| open.pass_over.is_cancelled())
    }

    fn get(&self, redriven: Redriven) -> Option<&Open> {
        self.open.get(&redriven.event_id).filter(|open| open.lease == redriven.lease)
    }

    /// Lets go of one; `None` when its lease is over.
    fn remove(&mut self, redriven: Redriven) -> Option<Open> {
        self.get(redriven)?;
        self.open.remove(&redriven.event_id)
    }

    /// One is delivered: its letter is deleted.
    pub(super) fn delivered(&mut self, redriven: Redriven) {
        let Redriven { lease, event_id, .. } = redriven;
        let present = self.open.get_mut(&event_id).filter(|open| open.lease == lease);
        // Otherwise it has failed, or its lease is over.
        let Some(open) = present else { return };
        open.is_delivered = true;
        let (letter, deletions) = (open.letter.clone(), Arc::clone(&self.deletions));
        let deleting = async move {
            // It is never closed.
            let _permit = deletions.acquire_owned().await;
            Deleted { redriven, result: delete(&letter).await }
        };
        self.deleting.push(deleting.boxed());
    }

    /// The next deletion that comes to its end; never, when there is none.
    pub(super) async fn deleted(&mut self) -> Deleted {
        match self.deleting.next().await {
            Some(deleted) => deleted,
            None => std::future::pending().await,
        }
    }

    /// Tells that a letter is deleted.
    pub(super) fn take_deleted(&mut self, deleted: Deleted) {
        let Deleted { redriven, result } = deleted;
        let Some(open) = self.remove(redriven) else { return };
        let fate = match result {
            Ok(()) => Fate::Delivered,
            Err(why) => Fate::Undeleted(why),
        };
        let _job_is_over = open.answer.send(fate);
    }

    /// One has failed again, and its letter says so.
    pub(super) fn failed(&mut self, redriven: Redriven, why: String) {
        if let Some(open) = self.remove(redriven) {
            let _job_is_over = open.answer.send(Fate::Failed(why));
        }
    }

    /// One was taken out of the lane. It is sent again later, with all that stood behind it.
    pub(super) fn give_back(&mut self, redriven: Redriven) {
        if let Some(open) = self.remove(redriven) {
            open.pass_over.cancel();
        }
    }

    /// Has nothing more to do with some leases. Letters of what is delivered are deleted before, so that the next holder
    /// repeats nothing; what has not come to its end at `until` may be repeated.
    pub(super) async fn release(&mut self, leases: &LeaseSet, until: Instant) {
        let finishing = async {
            while self.open.values().any(|open| open.is_delivered && leases.contains(open.lease)) {
                let deleted = self.deleted().await;
                self.take_deleted(deleted);
            }
        };
        let _late = tokio::time::timeout_at(until.into(), finishing).await;
        self.open.retain(|_, open| {
            let is_over = leases.contains(open.lease);
            if is_over {
                open.pass_over.cancel();
            }
            !is_over
        });
    }
}

async fn delete(letter: &StoredLetter) -> Result<(), String> {
    let StoredLetter { container, folder, name } = letter;
    let deleted = DELETING.run(|_| true, || container.delete(folder, name)).await;
    deleted.map_err(|error| error.to_string())
}
