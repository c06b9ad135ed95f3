//! `GetCaptureStatus`: PostgreSQL's view of the slot beside ours.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use twinroute_common::lsn::Lsn;
use twinroute_proto::capture::v1 as proto;

use super::slots::Slots;
use crate::config::CaptureSettings;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::postgres::ConnectionString;
use crate::postgres::slot::SlotView;
use crate::state::{Running, State};
use crate::subscription::PartitionView;
use crate::wire::duration;

/// Largest number of blockers that are listed; the worst come first.
const BLOCKERS_MAX: usize = 16;

/// Reads the status on demand.
#[derive(Clone, Debug)]
pub(super) struct StatusReader {
    settings: Arc<CaptureSettings>,
    slots: Slots,
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
        let slots = Slots::new(Arc::clone(&settings), config);
        Self { settings, slots, state, metrics }
    }

    /// The subscription, as it is now.
    pub(super) fn subscription(&self) -> proto::Subscription {
        let name = self.settings.source.subscription.clone();
        let mut subscription = proto::Subscription {
            partition_count: self.settings.stream.partition_count,
            retention_policy: proto::RetentionPolicy::Report.into(),
            slot: self.settings.source.slot(),
            ..proto::Subscription::default()
        };
        match &*self.state.borrow() {
            State::Connecting { reason, .. } => {
                subscription.set_state(proto::SubscriptionState::Connecting);
                subscription.reason.clone_from(reason);
            }
            State::Standby { holder } => {
                subscription.set_state(proto::SubscriptionState::Standby);
                subscription.reason = format!("held by {holder}");
            }
            State::Stopped(stopped) => {
                subscription.set_state(proto::SubscriptionState::Stopped);
                subscription.reason = stopped.reason(&name);
                subscription.partition_count = stopped.row.partition_count;
                subscription.slot.clone_from(&stopped.row.slot);
                subscription.group_token.clone_from(&stopped.row.group_token);
                subscription.incarnation = stopped.row.incarnation;
            }
            State::Streaming(Running { hub, .. }) => {
                subscription.set_state(proto::SubscriptionState::Streaming);
                subscription.slot.clone_from(&hub.identity.slot);
                subscription.incarnation = hub.identity.incarnation;
                (subscription.partition_count, subscription.group_token) =
                    hub.with(|running| (running.partition_count(), running.group_token().to_owned()));
            }
        }
        subscription.name = name;
        subscription
    }

    /// Everything, with the slot as PostgreSQL sees it now.
    pub(super) async fn read(&self) -> proto::GetCaptureStatusResponse {
        let name = self.subscription().slot;
        let slot = self.slots.view(&name).await.map(|view| slot_status(name, view));
        // After PostgreSQL has answered: both views are of about the same moment.
        let subscription = self.subscription();
        let mut status = proto::SubscriptionStatus {
            slot,
            subscription: Some(subscription),
            poison_events: self.metrics.poison_events.get(),
            ..proto::SubscriptionStatus::default()
        };
        let required_statements = match &*self.state.borrow() {
            State::Streaming(Running { hub, watched, .. }) => {
                fill(&mut status, hub);
                let watched = watched.borrow();
                status.time_to_slot_loss = watched.time_to_slot_loss.map(duration);
                watched.shortfall.required_statements.clone()
            }
            State::Stopped(stopped) => {
                status.stopped_at = Some(stopped.gap.at.into());
                status.confirmed_flush_lsn = stopped.row.confirmed.0;
                Vec::new()
            }
            State::Connecting { required_statements, .. } => required_statements.clone(),
            State::Standby { .. } => Vec::new(),
        };
        proto::GetCaptureStatusResponse {
            subscriptions: vec![status],
            rows_skipped: self.metrics.rows_skipped.get(),
            required_statements,
        }
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
    status.blockers = blockers(&partitions);
    status.partitions = partitions.into_iter().map(partition).collect();
}

/// Partitions with un-acknowledged items, the oldest item first.
fn blockers(partitions: &[PartitionView]) -> Vec<proto::Blocker> {
    let mut waiting: Vec<_> = partitions.iter().filter_map(|one| Some((one.oldest_unacked?, one))).collect();
    waiting.sort_by_key(|(position, _)| *position);
    let blocker = |(position, one): (twinroute_common::position::Position, &PartitionView)| proto::Blocker {
        consumer_id: one.holder.as_ref().map(|(consumer, _)| consumer.clone()).unwrap_or_default(),
        partition: one.partition,
        position: Some(position.into()),
        age: one.oldest_read_at.map(|read_at| duration(read_at.elapsed())),
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
