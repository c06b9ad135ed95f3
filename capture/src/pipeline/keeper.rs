//! Keeps what must be durable: stores what is settled before the slot is told, and follows new labels.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use twinroute_common::lsn::Lsn;

use super::PipelineError;
use super::charge::Charge;
use crate::config::CaptureSettings;
use crate::decode::pgoutput::Relation;
use crate::forecast::Forecast;
use crate::gap::{self, AcceptedGap, Gap, Gaps};
use crate::hub::Hub;
use crate::metrics::SubscriptionMetrics;
use crate::postgres::Control;
use crate::postgres::labels::Labels;
use crate::postgres::row::{self, Told};
use crate::postgres::slot::{self, SlotView};
use crate::retention::Verdict;
use crate::state::{Request, Resume, ResumeRefused, Watched};
use crate::subscription::Subscription;

/// The holder of the subscription's lock.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) control: Control,
    pub(super) hub: Arc<Hub>,
    pub(super) settings: Arc<CaptureSettings>,
    pub(super) charge: Charge,
    /// What is stored, and so may be told to the slot.
    pub(super) confirmable: watch::Sender<Lsn>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) new_tables: mpsc::Receiver<Relation>,
    pub(super) labels: Labels,
    pub(super) metrics: SubscriptionMetrics,
    pub(super) watched: watch::Sender<Watched>,
    /// Comes first in every partition, and is pending until all have acknowledged it.
    pub(super) accepted: Option<AcceptedGap>,
    pub(super) forecast: Forecast,
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
        let mut slot = interval(Duration::from_millis(self.settings.source.slot_poll_ms));
        slot.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_store = Instant::now();
        let mut last_settled = 0;
        let follows = self.charge.follows_labels();
        loop {
            tokio::select! {
                biased;
                // Without the lock nothing may be done any more.
                () = self.control.lost() => return Err(PipelineError::LockLost),
                // A consumer waits for this.
                Some(request) = self.requests.recv() => self.obey(request).await?,
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
                    if follows && relation.replica_identity != b'f' {
                        self.follow_labels().await?;
                    }
                }
                _ = poll.tick(), if follows => self.follow_labels().await?,
                _ = slot.tick() => self.look_at_slot().await?,
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
                    tokio::time::timeout(Duration::from_millis(20), self.requests.recv()).await
                {
                    self.obey(request).await?;
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
        let (confirmed, settled) =
            self.hub.with(|subscription| (subscription.confirmed(), subscription.settled_transactions()));
        // An accepted gap is the first of what is settled.
        let told = if self.accepted.is_some() && settled > 0 { Told::Yes } else { Told::NotYet };
        if confirmed > *self.confirmable.borrow() || told == Told::Yes {
            let name = &self.charge.name;
            row::store_confirmed(&self.control, name, confirmed, told).await?;
            self.confirmable.send_replace(confirmed);
        }
        if told == Told::Yes {
            info!("every partition's holder has acknowledged the gap that was accepted");
            self.accepted = None;
        }
        Ok(())
    }

    async fn obey(&mut self, request: Request) -> Result<(), PipelineError> {
        match request {
            Request::Version { version, stored } => {
                self.store_version(version).await?;
                // A consumer that is gone in the meantime does not wait for the answer.
                let _gone = stored.send(());
                Ok(())
            }
            Request::GroupToken { token, kept } => {
                self.keep_group_token(token).await?;
                let _gone = kept.send(self.hub.with(|subscription| subscription.group_token().to_owned()));
                Ok(())
            }
            Request::Stop(gap) => {
                self.stop_at(gap, "a consumer has seen what the server does not have").await
            }
            Request::Resume(resume) => self.resume(resume).await,
        }
    }

    async fn store_version(&mut self, version: u64) -> Result<(), PipelineError> {
        if version > self.hub.with(|subscription| subscription.min_consumer_version()) {
            row::store_consumer_version(&self.control, &self.charge.name, version).await?;
            self.hub.with(|subscription| subscription.consumer_version(version));
        }
        Ok(())
    }

    /// Keeps the first token that comes. Who is there already has brought none, and must come again.
    async fn keep_group_token(&mut self, token: String) -> Result<(), PipelineError> {
        let (is_first, others) = self
            .hub
            .with(|subscription| (subscription.group_token().is_empty(), subscription.consumer_count()));
        if !is_first {
            return Ok(());
        }
        row::store_group_token(&self.control, &self.charge.name, &token).await?;
        self.hub.with(|subscription| subscription.keep_group_token(token));
        if others > 0 {
            return Err(PipelineError::StartAnew("the consumers have a group token now"));
        }
        Ok(())
    }

    async fn stop_at(&self, gap: Gap, why: &'static str) -> Result<(), PipelineError> {
        let gaps = Gaps { found: Some(gap), accepted: self.accepted.clone() };
        row::store_gaps(&self.control, &self.charge.name, &gaps).await?;
        Err(PipelineError::StartAnew(why))
    }

    async fn resume(&mut self, resume: Resume) -> Result<(), PipelineError> {
        let Resume { accept_gap_at, new_group_token, answer } = resume;
        if accept_gap_at.is_some() {
            let _gone = answer.send(Err(ResumeRefused::NotStopped));
            return Ok(());
        }
        if let Some(token) = new_group_token {
            row::store_group_token(&self.control, &self.charge.name, &token).await?;
        }
        let _gone = answer.send(Ok(()));
        Err(PipelineError::StartAnew("the consumers have another group token now"))
    }

    async fn look_at_slot(&mut self) -> Result<(), PipelineError> {
        let name = &self.hub.identity.slot;
        let Some(view) = slot::view(&self.control, name).await? else { return Ok(()) };
        self.forecast.look(view.safe_wal_size, Instant::now());
        let left = self.forecast.time_to_loss();
        self.metrics.slot_retained_bytes.set(view.retained_bytes);
        self.metrics.slot_safe_wal_bytes.set(view.safe_wal_size.map_or(f64::INFINITY, |bytes| bytes as f64));
        self.metrics.slot_loss_seconds.set(left.map_or(f64::INFINITY, |left| left.as_secs_f64()));
        let reported = self.judge(name, &view).await?;
        self.watched.send_modify(|watched| {
            watched.time_to_slot_loss = left;
            watched.over_half_of_bound = reported;
        });
        Ok(())
    }

    /// What is to be said of the WAL that the slot keeps. Above its bound the subscription stops, and then its slot is
    /// dropped.
    async fn judge(&self, name: &str, view: &SlotView) -> Result<Option<String>, PipelineError> {
        let retention = self.charge.retention(&self.settings);
        self.metrics.slot_retained_bytes_max.set(retention.wal_retained_bytes_max);
        let reason = match retention.judge(name, view.retained_bytes) {
            Verdict::Within => return Ok(None),
            Verdict::Reported(reason) => reason,
            Verdict::Dropped(why) => {
                let settled = self.hub.with(|subscription| subscription.confirmed());
                let settled = gap::boundary(self.hub.identity.incarnation, settled);
                let gap = gap::dropped(&why, settled);
                return self.stop_at(gap, "the slot keeps more WAL than it may").await.map(|()| None);
            }
        };
        if self.watched.borrow().over_half_of_bound.is_none() {
            warn!(subscription = self.charge.name, "{reason}");
        }
        Ok(Some(reason))
    }

    async fn follow_labels(&mut self) -> Result<(), PipelineError> {
        self.labels.follow(&self.control).await?;
        let shortfall = self.labels.shortfall.clone();
        if shortfall != self.watched.borrow().shortfall && !shortfall.is_empty() {
            warn!(reason = shortfall.reason(), "the labels are not all captured in full");
        }
        self.watched.send_modify(|watched| watched.shortfall = shortfall);
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
