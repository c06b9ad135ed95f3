//! `GetCaptureStatus`: PostgreSQL's view of the slots beside ours.

use std::sync::Arc;
use std::time::SystemTime;

use twinroute_common::lsn::Lsn;
use twinroute_proto::capture::v1 as proto;

use super::slots::Slots;
use crate::catalog::{Catalog, Served};
use crate::config::{CaptureSettings, slot_of};
use crate::hub::Hub;
use crate::postgres::ConnectionString;
use crate::postgres::slot::SlotView;
use crate::state::{Running, State};
use crate::subscription::PartitionView;
use crate::wire::{self, duration};

/// Largest number of blockers that are listed; the worst come first.
const BLOCKERS_MAX: usize = 16;

/// Reads the status on demand.
#[derive(Clone, Debug)]
pub(super) struct StatusReader {
    settings: Arc<CaptureSettings>,
    slots: Slots,
    catalog: Arc<Catalog>,
}

impl StatusReader {
    pub(super) fn new(
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        catalog: Arc<Catalog>,
    ) -> Self {
        let slots = Slots::new(Arc::clone(&settings), config);
        Self { settings, slots, catalog }
    }

    /// The subscription, as it is now.
    pub(super) fn subscription(&self, served: &Served) -> proto::Subscription {
        let retention = self.settings.subscriptions.retention(served.created.as_ref());
        let mut subscription = proto::Subscription {
            name: served.name.clone(),
            filter: served.created.as_ref().map(|created| wire::filter(&created.filter)),
            partition_count: self.settings.stream.partition_count,
            wal_retained_bytes_max: retention.wal_retained_bytes_max,
            retention_policy: proto::RetentionPolicy::from(retention.policy).into(),
            slot: slot_of(&served.name),
            ..proto::Subscription::default()
        };
        match &*served.state.borrow() {
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
                subscription.reason = stopped.reason(&served.name);
                subscription.partition_count = stopped.row.partition_count;
                subscription.slot.clone_from(&stopped.row.slot);
                subscription.group_token.clone_from(&stopped.row.group_token);
                subscription.incarnation = stopped.row.incarnation;
            }
            State::Streaming(Running { hub, watched, .. }) => {
                subscription.set_state(proto::SubscriptionState::Streaming);
                subscription.reason = watched.borrow().over_half_of_bound.clone().unwrap_or_default();
                subscription.slot.clone_from(&hub.identity.slot);
                subscription.incarnation = hub.identity.incarnation;
                (subscription.partition_count, subscription.group_token) =
                    hub.with(|running| (running.partition_count(), running.group_token().to_owned()));
            }
        }
        subscription
    }

    /// Everything, with the slots as PostgreSQL sees them now.
    pub(super) async fn read(&self) -> proto::GetCaptureStatusResponse {
        let slots = self.slots.views().await;
        // After PostgreSQL has answered: both views are of about the same moment.
        let served = self.catalog.all();
        let subscriptions = served.iter().map(|served| {
            let mut status = self.status(served);
            let name = status.subscription.as_ref().map(|subscription| subscription.slot.clone());
            status.slot = name.and_then(|name| {
                let view = slots.get(&name).cloned()?;
                Some(slot_status(name, view))
            });
            status
        });
        let subscriptions = subscriptions.collect();
        let configured = self.catalog.configured();
        let required_statements = match &*configured.state.borrow() {
            State::Streaming(running) => running.watched.borrow().shortfall.required_statements.clone(),
            State::Connecting { required_statements, .. } => required_statements.clone(),
            State::Stopped(_) | State::Standby { .. } => Vec::new(),
        };
        let rows_skipped = configured.metrics.rows_skipped.get();
        proto::GetCaptureStatusResponse { subscriptions, rows_skipped, required_statements }
    }

    /// What capture knows of one.
    fn status(&self, served: &Served) -> proto::SubscriptionStatus {
        let mut status = proto::SubscriptionStatus {
            subscription: Some(self.subscription(served)),
            poison_events: served.metrics.poison_events.get(),
            ..proto::SubscriptionStatus::default()
        };
        match &*served.state.borrow() {
            State::Streaming(Running { hub, watched, .. }) => {
                fill(&mut status, hub);
                status.time_to_slot_loss = watched.borrow().time_to_slot_loss.map(duration);
            }
            State::Stopped(stopped) => {
                status.stopped_at = Some(stopped.gap.at.into());
                status.confirmed_flush_lsn = stopped.row.confirmed.0;
            }
            State::Connecting { .. } | State::Standby { .. } => {}
        }
        status
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
