//! What the sink does with what has come of a job: shipments are taken note of, and their events answered.

use hashbrown::HashSet;
use tokio::time::Instant;
use tracing::{debug, info};
use twinroute_common::causes::Causes;

use super::{Done, Worker, pause};
use crate::sink::kusto::blob::Blob;
use crate::sink::kusto::connection::Resources;
use crate::sink::kusto::failure::Failure;
use crate::sink::kusto::journal::Left;
use crate::sink::kusto::ledger::{Known, Maker, Resolution};
use crate::sink::kusto::shipment::{Fate, Shipment, Shipped};
use crate::sink::port::Port;
use crate::sink::{Reachability, SinkError, Verdict};

impl Worker {
    pub(super) async fn take(&mut self, port: &mut Port, done: Done, idle: &mut Option<Resources>) {
        match done {
            Done::Shipped(shipped) => *idle = self.settle(port, shipped).await,
            Done::Looked(Ok(Left { shipments, stale })) => {
                self.looked(true);
                shipments.into_iter().for_each(|known| self.ledger.know(known));
                stale.into_iter().for_each(|id| self.ledger.discard(id));
            }
            Done::Looked(Err(error)) => {
                self.looked(false);
                self.fail(port, Failure::of_store(Causes(&error))).await;
            }
            Done::Forgot(Ok(ids)) => self.ledger.forgotten(&ids),
            Done::Forgot(Err(error)) => {
                debug!("shipments that are of no more use stay for now: {}", Causes(&error));
            }
        }
    }

    fn looked(&mut self, has_worked: bool) {
        if let Some(journal) = &mut self.shipper.journal {
            journal.looked(has_worked);
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
        let blob = match shipment {
            Shipment::New(blob) => blob,
            Shipment::Again(id) => {
                let (resolution, failure) = match fate {
                    Fate::Arrived => {
                        info!(shipment = %id, "a shipment that may have arrived before was sent again as it was");
                        (Resolution::Arrived, None)
                    }
                    Fate::Failed { failure, .. } => (Resolution::Failed, Some(failure)),
                    Fate::NotRead(failure) => (Resolution::NotRead, Some(failure)),
                    Fate::Lost(failure) => (Resolution::Lost, Some(failure)),
                };
                return (self.ledger.resolve(id, resolution), failure);
            }
        };
        let Blob { id, partitions, tokens, events, .. } = blob;
        let (has_arrived, is_kept, failure) = match fate {
            Fate::Arrived => (true, true, None),
            Fate::Failed { failure, is_kept } => (false, is_kept, Some(failure)),
            Fate::NotRead(failure) | Fate::Lost(failure) => (false, false, Some(failure)),
        };
        if self.shipper.journal.is_none() {
            return (tokens, failure);
        }
        if is_kept {
            // What has arrived at once is not handed over again here.
            let events = if has_arrived { HashSet::new() } else { events.into_iter().collect() };
            let since = Instant::now().into_std();
            self.ledger.know(Known { id, maker: Maker::This, has_arrived, partitions, events, since });
        } else {
            self.ledger.discard(id);
        }
        (tokens, failure)
    }

    /// After a failure, what was to follow is answered too, so that it does not overtake.
    async fn fail(&mut self, port: &mut Port, failure: Failure) {
        let filled = std::mem::take(&mut self.batch).into_tokens();
        let taken = self.taken.drain(..).map(|submission| submission.token);
        // One of them tells why, also where no blob has failed.
        let mut why = Some(failure.error.clone());
        for token in filled.into_iter().chain(self.ledger.all_waiting()).chain(taken) {
            let error = why.take().unwrap_or_else(SinkError::behind_a_failure);
            port.answers.send(token, error.retryable()).await;
        }
        if failure.is_silence() {
            port.tell(Reachability::Unreachable(failure.error.to_string()));
        }
        port.refuse_until_known().await;
        pause(port, &mut self.backoff, &self.limits, failure.retry_after).await;
    }
}
