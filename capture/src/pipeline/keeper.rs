//! Keeps what must be durable: stores what is settled before the slot is told, and follows new labels.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use twinroute_common::lsn::Lsn;

use super::PipelineError;
use crate::config::CaptureSettings;
use crate::decode::pgoutput::Relation;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::postgres::Control;
use crate::postgres::labels::{self, Shortfall};
use crate::postgres::row;
use crate::state::VersionToStore;
use crate::subscription::Subscription;

/// The holder of the subscription's lock.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) control: Control,
    pub(super) hub: Arc<Hub>,
    pub(super) settings: Arc<CaptureSettings>,
    /// What is stored, and so may be told to the slot.
    pub(super) confirmable: watch::Sender<Lsn>,
    pub(super) versions: mpsc::Receiver<VersionToStore>,
    pub(super) new_tables: mpsc::Receiver<Relation>,
    pub(super) metrics: Metrics,
    pub(super) shortfall: Shortfall,
}

impl Keeper {
    /// Keeps until something fails.
    pub(super) async fn run(&mut self) -> Result<Infallible, PipelineError> {
        let stream = &self.settings.stream;
        let idle_interval = Duration::from_millis(stream.idle_confirm_interval_ms);
        let mut confirm = interval(Duration::from_millis(stream.confirm_interval_ms));
        confirm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut poll = interval(Duration::from_millis(self.settings.source.labels_poll_ms));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_store = Instant::now();
        let mut last_settled = 0;
        loop {
            tokio::select! {
                biased;
                // Without the lock nothing may be done any more.
                () = self.control.lost() => return Err(PipelineError::LockLost),
                // A consumer waits for this.
                Some(request) = self.versions.recv() => self.store_version(request).await?,
                _ = confirm.tick() => {
                    self.show();
                    let settled = self.hub.with(|subscription| subscription.settled_transactions());
                    if settled != last_settled || last_store.elapsed() >= idle_interval {
                        self.store_confirmed().await?;
                        last_settled = settled;
                        last_store = Instant::now();
                    }
                }
                // A label that is new has no old rows until it is looked after.
                Some(relation) = self.new_tables.recv() => {
                    if relation.replica_identity != b'f' {
                        self.follow_labels().await?;
                    }
                }
                _ = poll.tick() => self.follow_labels().await?,
            }
        }
    }

    /// Waits until consumers have settled everything or are gone, then stores it a last time.
    pub(super) async fn drain_consumers(&mut self) -> Result<(), PipelineError> {
        let share = self.settings.shutdown.grace() / 2;
        let settled = async {
            let waits = |subscription: &mut Subscription| {
                subscription.consumer_count() > 0 && subscription.unacked().events > 0
            };
            while self.hub.with(waits) {
                if let Ok(Some(request)) =
                    tokio::time::timeout(Duration::from_millis(20), self.versions.recv()).await
                {
                    self.store_version(request).await?;
                }
            }
            Ok::<(), PipelineError>(())
        };
        if let Ok(settled) = tokio::time::timeout(share, settled).await {
            settled?;
        }
        self.store_confirmed().await
    }

    async fn store_confirmed(&mut self) -> Result<(), PipelineError> {
        let confirmed = self.hub.with(|subscription| subscription.confirmed());
        if confirmed > *self.confirmable.borrow() {
            row::store_confirmed(&self.control, &self.settings.source.subscription, confirmed).await?;
            self.confirmable.send_replace(confirmed);
        }
        Ok(())
    }

    async fn store_version(&mut self, request: VersionToStore) -> Result<(), PipelineError> {
        let known = self.hub.with(|subscription| subscription.min_consumer_version());
        if request.version > known {
            let name = &self.settings.source.subscription;
            row::store_consumer_version(&self.control, name, request.version).await?;
            self.hub.with(|subscription| subscription.consumer_version(request.version));
        }
        // A consumer that is gone in the meantime does not wait for the answer.
        let _gone = request.stored.send(());
        Ok(())
    }

    async fn follow_labels(&mut self) -> Result<(), PipelineError> {
        let shortfall = labels::follow(&self.control, &self.settings.source).await?;
        if shortfall != self.shortfall && !shortfall.is_empty() {
            warn!(reason = shortfall.reason(), "the labels are not all captured in full");
        }
        self.shortfall = shortfall;
        Ok(())
    }

    fn show(&self) {
        let (unacked, oldest, received, confirmed, consumers) = self.hub.with(|subscription| {
            (
                subscription.unacked(),
                subscription.oldest_unacked_read_at(),
                subscription.received(),
                subscription.confirmed(),
                subscription.consumer_count(),
            )
        });
        let age = oldest.map_or(Duration::ZERO, |read_at| read_at.elapsed());
        self.metrics.unacked_events.set(unacked.events);
        self.metrics.unacked_bytes.set(unacked.bytes);
        self.metrics.oldest_unacked_age_ms.set(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self.metrics.received_lsn.set(received.0);
        self.metrics.confirmed_lsn.set(confirmed.0);
        self.metrics.consumers.set(i64::try_from(consumers).unwrap_or(i64::MAX));
    }
}
