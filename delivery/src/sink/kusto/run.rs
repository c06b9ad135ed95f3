//! Fills blobs while others are shipped, and cuts them when it is time.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tracing::{debug, info};
use twinroute_common::backoff::Backoff;
use twinroute_common::causes::Causes;
use uuid::Uuid;

use super::blob::Batch;
use super::connection::{Connection, Resources};
use super::failure::Failure;
use super::journal::{Journal, Left, LeftShipment};
use super::ledger::{Ledger, Maker, Place};
use super::shipment::{Fate, Shipment, Shipped, Shipper};
use crate::backlog::store::StoreError;
use crate::config::sinks::KustoLimits;
use crate::sink::port::Port;
use crate::sink::{Reachability, SinkError, Submission, Verdict};

/// How many events are taken from the queue at once.
const TAKEN_AT_ONCE: usize = 256;
/// How many shipments are forgotten at once.
const FORGOTTEN_AT_ONCE: usize = 100;

/// Runs the sink until it is stopped.
pub(super) async fn run(mut port: Port, shipper: Shipper, limits: KustoLimits) {
    let mut backoff = Backoff::new(
        Duration::from_millis(limits.retry_initial_ms),
        Duration::from_millis(limits.retry_max_ms),
    );
    let Some(resources) = connect(&port, &shipper.connection, &limits, &mut backoff).await else {
        return;
    };
    let mut worker = Worker {
        shipper,
        limits,
        backoff,
        batch: Batch::default(),
        ledger: Ledger::default(),
        taken: Vec::with_capacity(TAKEN_AT_ONCE),
        may_forget: false,
    };
    worker.run(&mut port, resources).await;
}

/// Asks for resources and prepares the tables until that works; `None` when the sink stops.
async fn connect(
    port: &Port,
    connection: &Connection,
    limits: &KustoLimits,
    backoff: &mut Backoff,
) -> Option<Resources> {
    loop {
        let connecting = async {
            let resources = connection.resources().await?;
            connection.prepare_tables().await?;
            Ok::<_, Failure>(resources)
        };
        let connected = tokio::select! {
            () = port.stop.cancelled() => return None,
            connected = connecting => connected,
        };
        match connected {
            Ok(resources) => {
                backoff.reset();
                port.tell(Reachability::Connected);
                return Some(resources);
            }
            Err(failure) => {
                port.tell(Reachability::Unreachable(failure.error.to_string()));
                pause(port, backoff, limits, failure.retry_after).await;
            }
        }
    }
}

/// Waits as the backoff says, or as long as the server asks for, within bounds.
async fn pause(port: &Port, backoff: &mut Backoff, limits: &KustoLimits, asked: Option<Duration>) {
    let max = Duration::from_millis(limits.retry_max_ms);
    let wait = asked.unwrap_or_default().min(max).max(backoff.next());
    tokio::select! {
        () = port.stop.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

struct Worker {
    shipper: Shipper,
    limits: KustoLimits,
    backoff: Backoff,
    /// What is being filled.
    batch: Batch,
    ledger: Ledger,
    /// What was taken from the queue and has no place yet.
    taken: Vec<Submission>,
    /// Shipments may be forgotten that are of no more use.
    may_forget: bool,
}

/// What the sink does besides filling blobs, one thing at a time.
type Job = BoxFuture<'static, Done>;

/// A job has come to its end.
enum Done {
    Shipped(Shipped),
    /// It was looked what others have left.
    Looked(Result<Left, StoreError>),
    /// Shipments are not kept any more.
    Forgot(Result<Vec<Uuid>, StoreError>),
}

impl Worker {
    async fn run(&mut self, port: &mut Port, resources: Resources) {
        let stop = port.stop.clone();
        let mut idle = Some(resources);
        let mut job: Option<Job> = None;
        loop {
            if !self.is_behind() {
                self.fill(port).await;
            }
            if job.is_none() {
                job = self.next_job(&mut idle);
            }
            let (has_room, due_at) = (self.taken.is_empty() && !self.is_full(), self.due_at());
            tokio::select! {
                biased;
                done = finished(&mut job) => {
                    job = None;
                    self.take(port, done, &mut idle).await;
                }
                // What is on its way is waited for; what is not, is dropped.
                () = stop.cancelled(), if job.is_none() => return,
                count = port.submissions.recv_many(&mut self.taken, TAKEN_AT_ONCE),
                    if has_room && !stop.is_cancelled() => {
                    if count == 0 {
                        stop.cancel();
                    }
                }
                Ok(()) = port.cleared_until.changed() => {
                    self.ledger.clear(*port.cleared_until.borrow_and_update());
                    self.may_forget = true;
                }
                () = until(due_at), if job.is_none() => {}
            }
        }
    }

    /// What others have left is not known yet: what was taken may be a part of it.
    fn is_behind(&self) -> bool {
        self.shipper.journal.as_ref().is_some_and(Journal::is_behind)
    }

    fn next_job(&mut self, idle: &mut Option<Resources>) -> Option<Job> {
        if !self.taken.is_empty() {
            let known = self.ledger.ids();
            let looking = self.shipper.journal.as_mut()?.look(known);
            return Some(looking.map(Done::Looked).boxed());
        }
        let awaited = self.ledger.awaited();
        let shipments: Vec<Shipment> = if !awaited.is_empty() {
            awaited.into_iter().map(Shipment::Again).collect()
        } else if self.is_full() || self.is_due() {
            std::mem::take(&mut self.batch).finish().into_iter().map(Shipment::New).collect()
        } else {
            return self.forget_useless();
        };
        Some(self.shipper.clone().ship(shipments, idle.take()).map(Done::Shipped).boxed())
    }

    fn forget_useless(&mut self) -> Option<Job> {
        let useless = self.ledger.useless(FORGOTTEN_AT_ONCE);
        let journal = self.shipper.journal.as_ref().filter(|_| self.may_forget && !useless.is_empty())?;
        // What cannot be forgotten now is tried again when more is to be forgotten.
        self.may_forget = false;
        Some(journal.forget(useless.to_vec()).map(Done::Forgot).boxed())
    }

    /// Finds the place of each event that was taken.
    async fn fill(&mut self, port: &Port) {
        let now = Instant::now();
        for submission in self.taken.drain(..) {
            let token = submission.token;
            match self.ledger.place(submission.event.id, token) {
                Place::Waits => {}
                Place::Arrived => port.answers.send(token, Verdict::Delivered).await,
                Place::Nowhere => {
                    if let Err(error) = self.batch.push(&submission, now) {
                        port.answers.send(token, error.permanent()).await;
                    }
                }
            }
        }
    }

    /// Whether the blobs are to hold no more.
    fn is_full(&self) -> bool {
        self.batch.events() >= self.limits.early_cut_events
            || self.batch.largest_bytes() >= self.limits.blob_bytes_max
    }

    /// Whether the first row is too old to wait.
    fn is_due(&self) -> bool {
        self.due_at().is_some_and(|at| at <= Instant::now())
    }

    /// When the first row becomes too old to wait.
    fn due_at(&self) -> Option<Instant> {
        self.batch.began().map(|began| began + Duration::from_millis(self.limits.blob_age_ms))
    }

    async fn take(&mut self, port: &mut Port, done: Done, idle: &mut Option<Resources>) {
        match done {
            Done::Shipped(shipped) => *idle = self.settle(port, shipped).await,
            Done::Looked(Ok(Left { shipments, stale })) => {
                let now = Instant::now().into_std();
                for LeftShipment { id, has_arrived, events } in shipments {
                    self.ledger.know((id, Maker::Other), events, has_arrived, now);
                }
                stale.into_iter().for_each(|id| self.ledger.discard(id));
            }
            Done::Looked(Err(error)) => {
                self.shipper.journal.iter_mut().for_each(Journal::fall_behind);
                let failure = Failure::unreachable("look for shipments of others", Causes(&error));
                self.fail(port, failure).await;
            }
            Done::Forgot(Ok(ids)) => self.ledger.forgotten(&ids),
            Done::Forgot(Err(error)) => {
                debug!("shipments that are of no more use stay for now: {}", Causes(&error));
            }
        }
    }

    /// Answers the events of shipments.
    async fn settle(&mut self, port: &mut Port, shipped: Shipped) -> Option<Resources> {
        let mut failed: Option<Failure> = None;
        for (shipment, fate) in shipped.shipments {
            let (tokens, failure) = self.note(shipment, fate);
            for token in tokens {
                let retryable = |failure: &Failure| failure.error.clone().retryable();
                let verdict = failure.as_ref().map_or(Verdict::Delivered, retryable);
                port.answers.send(token, verdict).await;
            }
            failed = failed.or(failure);
        }
        match failed {
            None => {
                self.backoff.reset();
                port.tell(Reachability::Connected);
            }
            Some(failure) => self.fail(port, failure).await,
        }
        shipped.resources
    }

    /// Takes note of what became of a shipment; the submissions to answer, and why it failed if it did.
    fn note(&mut self, shipment: Shipment, fate: Fate) -> (Vec<u64>, Option<Failure>) {
        let has_journal = self.shipper.journal.is_some();
        let (ledger, now) = (&mut self.ledger, Instant::now().into_std());
        match (shipment, fate) {
            (Shipment::New(blob), Fate::Arrived) => {
                if has_journal {
                    ledger.arrived_at_once(blob.id, now);
                }
                (blob.tokens, None)
            }
            (Shipment::New(blob), Fate::Unknown(failure)) => {
                ledger.know((blob.id, Maker::This), blob.events.into_iter().collect(), false, now);
                (blob.tokens, Some(failure))
            }
            (Shipment::New(blob), Fate::Failed(failure) | Fate::Lost(failure)) => {
                if has_journal {
                    ledger.discard(blob.id);
                }
                (blob.tokens, Some(failure))
            }
            (Shipment::Again(id), Fate::Arrived) => {
                info!(shipment = %id, "a shipment that may have arrived before was sent again");
                (ledger.has_arrived(id), None)
            }
            (Shipment::Again(id), Fate::Failed(failure) | Fate::Unknown(failure)) => {
                (ledger.waiting(id), Some(failure))
            }
            (Shipment::Again(id), Fate::Lost(failure)) => (ledger.lose(id), Some(failure)),
        }
    }

    /// After a failure, what was to follow is answered too, so that it does not overtake.
    async fn fail(&mut self, port: &mut Port, failure: Failure) {
        let filled = std::mem::take(&mut self.batch).into_tokens();
        let taken = self.taken.drain(..).map(|submission| submission.token);
        for token in filled.into_iter().chain(self.ledger.all_waiting()).chain(taken) {
            port.answers.send(token, SinkError::behind_a_failure().retryable()).await;
        }
        if !failure.was_answered() {
            port.tell(Reachability::Unreachable(failure.error.to_string()));
        }
        port.refuse_until_known().await;
        pause(port, &mut self.backoff, &self.limits, failure.retry_after).await;
    }
}

/// Waits for the job; forever when there is none.
async fn finished(job: &mut Option<Job>) -> Done {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
