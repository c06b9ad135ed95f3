//! `GetCaptureStatus`: PostgreSQL's view of the slot beside ours.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::watch;
use twinroute_common::lsn::Lsn;
use twinroute_proto::capture::v1 as proto;

use crate::config::CaptureSettings;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::postgres::Control;
use crate::postgres::connection_string::ConnectionString;
use crate::postgres::slot::{self, SlotView};
use crate::state::State;
use crate::subscription::PartitionView;
use crate::wire::duration;

/// Largest number of blockers that are listed; the worst come first.
const BLOCKERS_MAX: usize = 16;

/// Reads the status on demand.
#[derive(Clone, Debug)]
pub(super) struct StatusReader {
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    state: watch::Receiver<State>,
    metrics: Metrics,
}

impl StatusReader {
    pub(super) fn new(
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        state: watch::Receiver<State>,
        metrics: Metrics,
    ) -> Self {
        Self { settings, config, state, metrics }
    }

    /// The subscription, as it is now.
    pub(super) fn subscription(&self) -> proto::Subscription {
        let state = self.state.borrow().clone();
        let (code, reason, incarnation) = match &state {
            State::Connecting { reason } => (proto::SubscriptionState::Connecting, reason.clone(), 0),
            State::Standby { holder } => (proto::SubscriptionState::Standby, format!("held by {holder}"), 0),
            State::Stopped { reason } => (proto::SubscriptionState::Stopped, reason.clone(), 0),
            State::Streaming(running) => {
                (proto::SubscriptionState::Streaming, String::new(), running.hub.identity.incarnation)
            }
        };
        proto::Subscription {
            name: self.settings.source.subscription.clone(),
            filter: None,
            partition_count: self.settings.stream.partition_count,
            wal_retained_bytes_max: 0,
            retention_policy: proto::RetentionPolicy::Report.into(),
            slot: self.settings.source.slot(),
            state: code.into(),
            reason,
            group_token: String::new(),
            incarnation,
        }
    }

    /// Everything, with the slot as PostgreSQL sees it now.
    pub(super) async fn read(&self) -> proto::GetCaptureStatusResponse {
        let hub = match &*self.state.borrow() {
            State::Streaming(running) => Some(Arc::clone(&running.hub)),
            _ => None,
        };
        let mut status = proto::SubscriptionStatus {
            subscription: Some(self.subscription()),
            poison_events: self.metrics.poison_events.get(),
            slot: self.slot().await,
            ..proto::SubscriptionStatus::default()
        };
        if let Some(hub) = hub {
            fill(&mut status, &hub);
        }
        proto::GetCaptureStatusResponse {
            subscriptions: vec![status],
            rows_skipped: self.metrics.rows_skipped.get(),
            required_statements: Vec::new(),
        }
    }

    /// `None` when PostgreSQL cannot be asked, which the subscription's own state explains.
    async fn slot(&self) -> Option<proto::SlotStatus> {
        let deadline = self.settings.postgres.answer_deadline();
        let control = Control::open(&self.config, "twinroute-capture status", deadline).await.ok()?;
        let name = self.settings.source.slot();
        let view = slot::view(&control, &name).await.ok()??;
        Some(slot_status(name, view))
    }
}

fn slot_status(slot_name: String, view: SlotView) -> proto::SlotStatus {
    proto::SlotStatus {
        slot_name,
        active: view.active,
        wal_status: view.wal_status,
        safe_wal_size: view.safe_wal_size,
        restart_lsn: view.restart_lsn.0,
        confirmed_flush_lsn: view.confirmed_flush_lsn.0,
        failover: view.failover,
        synced: view.synced,
        invalidation_reason: view.invalidation_reason,
        retained_bytes: view.retained_bytes,
    }
}

fn fill(status: &mut proto::SubscriptionStatus, hub: &Hub) {
    let (unacked, oldest, received, confirmed, partitions) = hub.with(|subscription| {
        (
            subscription.unacked(),
            subscription.oldest_unacked_read_at(),
            subscription.received(),
            subscription.confirmed(),
            subscription.partitions(),
        )
    });
    let Lsn(received_lsn) = received;
    let Lsn(confirmed_flush_lsn) = confirmed;
    status.received_lsn = received_lsn;
    status.confirmed_flush_lsn = confirmed_flush_lsn;
    status.unacked_events = unacked.events;
    status.unacked_bytes = unacked.bytes;
    status.oldest_unacked = partitions.iter().filter_map(|one| one.oldest_unacked).min().map(Into::into);
    status.oldest_unacked_age = oldest.map(|read_at| duration(read_at.elapsed()));
    status.blockers = blockers(&partitions, oldest);
    status.partitions = partitions.into_iter().map(partition).collect();
}

/// Partitions with un-acknowledged items, the oldest item first.
fn blockers(partitions: &[PartitionView], oldest: Option<Instant>) -> Vec<proto::Blocker> {
    let mut waiting: Vec<_> = partitions.iter().filter_map(|one| Some((one.oldest_unacked?, one))).collect();
    waiting.sort_by_key(|(position, _)| *position);
    let blocker = |(position, one): (twinroute_common::position::Position, &PartitionView)| proto::Blocker {
        consumer_id: one.holder.as_ref().map(|(consumer, _)| consumer.clone()).unwrap_or_default(),
        partition: one.partition,
        position: Some(position.into()),
        age: oldest.map(|read_at| duration(read_at.elapsed())),
        last_ack_time: one.last_ack.map(|at| (SystemTime::now() - at.elapsed()).into()),
    };
    waiting.into_iter().take(BLOCKERS_MAX).map(blocker).collect()
}

fn partition(view: PartitionView) -> proto::PartitionStatus {
    let (consumer_id, epoch) =
        view.holder.map_or((String::new(), None), |(consumer, epoch)| (consumer, Some(epoch)));
    proto::PartitionStatus {
        partition: view.partition,
        epoch: epoch.map(Into::into),
        consumer_id,
        settled: view.settled.map(Into::into),
        unacked_events: view.unacked_events,
    }
}
