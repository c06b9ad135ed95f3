//! Fills blobs while others are shipped, and cuts them when it is time.

mod settling;

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use twinroute_common::backoff::Backoff;
use uuid::Uuid;

use super::blob::Batch;
use super::connection::{Connection, Resources};
use super::failure::Failure;
use super::journal::{Journal, Left};
use super::ledger::{Ledger, Place};
use super::shipment::{Shipment, Shipped, Shipper};
use crate::backlog::store::StoreError;
use crate::config::sinks::KustoLimits;
use crate::sink::port::Port;
use crate::sink::{Reachability, Submission, Verdict};

/// How many events are taken from the queue at once.
const TAKEN_AT_ONCE: usize = 256;
/// How many shipments are sent again at once: as many as there are tables.
const SENT_AGAIN_AT_ONCE: usize = 3;
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
    /// Shipments that are of no more use may be forgotten: once after each time that something was cleared.
    may_forget: bool,
}

/// What the sink does besides filling blobs, one thing at a time.
enum Job {
    Ship(BoxFuture<'static, Shipped>),
    /// Look what others have left.
    Look(BoxFuture<'static, Result<Left, StoreError>>),
    /// Keep some shipments no longer.
    Forget(BoxFuture<'static, Result<Vec<Uuid>, StoreError>>),
}

impl Job {
    fn ships(&self) -> bool {
        matches!(self, Self::Ship(_))
    }
}

/// A job has come to its end.
enum Done {
    Shipped(Shipped),
    Looked(Result<Left, StoreError>),
    Forgot(Result<Vec<Uuid>, StoreError>),
}

impl Worker {
    async fn run(&mut self, port: &mut Port, resources: Resources) {
        let stop = port.stop.clone();
        let mut idle = Some(resources);
        let mut job: Option<Job> = None;
        loop {
            // What others have left is not known yet: what was taken may be a part of it.
            if !self.is_behind() && !matches!(job, Some(Job::Look(_))) {
                self.fill(port).await;
            }
            if job.is_none() && !stop.is_cancelled() {
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
                () = stop.cancelled(), if !job.as_ref().is_some_and(Job::ships) => return,
                count = port.submissions.recv_many(&mut self.taken, TAKEN_AT_ONCE),
                    if has_room && !stop.is_cancelled() => {
                    if count == 0 {
                        stop.cancel();
                    }
                }
                Ok(()) = port.cleared_until.changed() => {
                    self.clear(*port.cleared_until.borrow_and_update());
                }
                () = until(due_at), if job.is_none() => {}
            }
        }
    }

    /// It is to be looked what others have left.
    fn is_behind(&self) -> bool {
        self.shipper.journal.as_ref().is_some_and(Journal::is_behind)
    }

    fn next_job(&mut self, idle: &mut Option<Resources>) -> Option<Job> {
        if self.is_behind() {
            let target = self.shipper.connection.target.clone();
            let (known, room) = (self.ledger.ids(), self.ledger.room());
            return Some(Job::Look(self.shipper.journal.as_mut()?.look(target, known, room).boxed()));
        }
        let awaited = self.ledger.awaited(SENT_AGAIN_AT_ONCE);
        let shipments: Vec<Shipment> = if !awaited.is_empty() {
            awaited.into_iter().map(Shipment::Again).collect()
        } else if self.is_full() || self.is_due() {
            std::mem::take(&mut self.batch).finish().into_iter().map(Shipment::New).collect()
        } else {
            return self.forget_useless();
        };
        Some(Job::Ship(self.shipper.clone().ship(shipments, idle.take()).boxed()))
    }

    fn forget_useless(&mut self) -> Option<Job> {
        let useless = self.ledger.useless(FORGOTTEN_AT_ONCE);
        let journal = self.shipper.journal.as_ref().filter(|_| self.may_forget && !useless.is_empty())?;
        self.may_forget = false;
        Some(Job::Forget(journal.forget(useless.to_vec()).boxed()))
    }

    fn clear(&mut self, until: std::time::Instant) {
        // Of partitions that are held since then, nothing is known yet.
        if let Some(journal) = self.shipper.journal.as_ref().filter(|journal| !journal.is_behind()) {
            self.ledger.clear(until, |partition| journal.is_held(partition));
            self.may_forget = true;
        }
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
}

/// Waits for the job; forever when there is none.
async fn finished(job: &mut Option<Job>) -> Done {
    match job {
        Some(Job::Ship(shipping)) => Done::Shipped(shipping.await),
        Some(Job::Look(looking)) => Done::Looked(looking.await),
        Some(Job::Forget(forgetting)) => Done::Forgot(forgetting.await),
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
