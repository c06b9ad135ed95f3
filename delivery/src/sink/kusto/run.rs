//! Fills blobs while others are shipped, and cuts them when it is time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use twinroute_common::backoff::Backoff;

use super::blob::Batch;
use super::connection::{Connection, Resources};
use super::failure::Failure;
use super::shipment::{Shipped, ship};
use crate::config::sinks::KustoLimits;
use crate::sink::port::Port;
use crate::sink::{Reachability, SinkError, Submission, Verdict};

/// How many events are taken from the queue at once.
const TAKEN_AT_ONCE: usize = 256;

/// Runs the sink until it is stopped.
pub(super) async fn run(mut port: Port, connection: Arc<Connection>, limits: KustoLimits) {
    let mut backoff = Backoff::new(
        Duration::from_millis(limits.retry_initial_ms),
        Duration::from_millis(limits.retry_max_ms),
    );
    let Some(resources) = connect(&port, &connection, &limits, &mut backoff).await else {
        return;
    };
    let mut worker = Worker { connection, limits, backoff, batch: Batch::default() };
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
    connection: Arc<Connection>,
    limits: KustoLimits,
    backoff: Backoff,
    /// What is being filled.
    batch: Batch,
}

impl Worker {
    async fn run(&mut self, port: &mut Port, resources: Resources) {
        let stop = port.stop.clone();
        let mut idle = Some(resources);
        let mut shipping: Option<BoxFuture<'static, Shipped>> = None;
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
        loop {
            if shipping.is_none() && (self.is_full() || self.is_due()) {
                let blobs = std::mem::take(&mut self.batch).finish();
                let (connection, resources) = (Arc::clone(&self.connection), idle.take());
                shipping = Some(async move { ship(&connection, blobs, resources).await }.boxed());
            }
            tokio::select! {
                biased;
                shipped = finished(&mut shipping) => {
                    shipping = None;
                    idle = self.settle(port, shipped).await;
                }
                // What is on its way is waited for; what is not, is dropped.
                () = stop.cancelled(), if shipping.is_none() => return,
                count = port.submissions.recv_many(&mut taken, TAKEN_AT_ONCE),
                    if !self.is_full() && !stop.is_cancelled() => {
                    if count == 0 {
                        stop.cancel();
                    }
                    self.fill(port, &mut taken).await;
                }
                () = until(self.due_at()), if shipping.is_none() => {}
            }
        }
    }

    async fn fill(&mut self, port: &Port, taken: &mut Vec<Submission>) {
        let now = Instant::now();
        for Submission { token, event } in taken.drain(..) {
            if let Err(error) = self.batch.push(token, &event, now) {
                port.answers.send(token, error.permanent()).await;
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

    /// Answers the events of a shipment. After a failure, what was to follow is answered too, so that it does not overtake.
    async fn settle(&mut self, port: &mut Port, shipped: Shipped) -> Option<Resources> {
        let mut failed: Option<Failure> = None;
        for (tokens, outcome) in shipped.blobs {
            for token in tokens {
                let verdict = match &outcome {
                    Ok(()) => Verdict::Delivered,
                    Err(failure) => failure.error.clone().retryable(),
                };
                port.answers.send(token, verdict).await;
            }
            failed = failed.or(outcome.err());
        }
        let Some(failure) = failed else {
            self.backoff.reset();
            port.tell(Reachability::Connected);
            return shipped.resources;
        };
        for token in std::mem::take(&mut self.batch).into_tokens() {
            port.answers.send(token, SinkError::behind_a_failure().retryable()).await;
        }
        if !failure.was_answered() {
            port.tell(Reachability::Unreachable(failure.error.to_string()));
        }
        port.refuse_until_known().await;
        pause(port, &mut self.backoff, &self.limits, failure.retry_after).await;
        shipped.resources
    }
}

/// Waits for the shipment; forever when there is none.
async fn finished(shipping: &mut Option<BoxFuture<'static, Shipped>>) -> Shipped {
    match shipping {
        Some(shipping) => shipping.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
