//! Capture's metrics: one set for each subscription, told apart by the label `subscription`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use twinroute_common::event::Item;

use crate::gap::Cause;

/// An unsigned gauge.
pub type UnsignedGauge = Gauge<u64, AtomicU64>;
/// A gauge that may be infinite.
pub type RealGauge = Gauge<f64, AtomicU64>;

/// The metrics of one capture process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    wal_messages: BySubscription<Counter>,
    events: BySubscription<Counter>,
    poison_events: BySubscription<Counter>,
    discontinuities: BySubscription<Counter>,
    rows_skipped: BySubscription<Counter>,
    items_sent: BySubscription<Counter>,
    consumers: BySubscription<Gauge>,
    unacked_events: BySubscription<UnsignedGauge>,
    unacked_bytes: BySubscription<UnsignedGauge>,
    oldest_unacked_age_ms: BySubscription<UnsignedGauge>,
    received_lsn: BySubscription<UnsignedGauge>,
    confirmed_lsn: BySubscription<UnsignedGauge>,
    slot_retained_bytes: BySubscription<UnsignedGauge>,
    slot_retained_bytes_max: BySubscription<UnsignedGauge>,
    slot_safe_wal_bytes: BySubscription<RealGauge>,
    slot_loss_seconds: BySubscription<RealGauge>,
    stopped: Family<CauseLabel, Gauge>,
    /// What the process holds, in bytes.
    pub memory_bytes: UnsignedGauge,
    /// What it may hold, in bytes.
    pub memory_bytes_max: UnsignedGauge,
    /// 1 while nothing is read beside the configured subscription.
    pub memory_paused: Gauge,
}

type BySubscription<M> = Family<NameLabel, M>;

/// Label of a subscription's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    subscription: String,
}

/// Labels of what stops a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    subscription: String,
    cause: &'static str,
}

/// Counters and gauges of one subscription. Clones share them.
#[derive(Clone, Debug)]
pub struct SubscriptionMetrics {
    /// pgoutput messages read.
    pub wal_messages: Counter,
    /// Events read.
    pub events: Counter,
    /// Rows that could not be read.
    pub poison_events: Counter,
    /// Holes in the stream.
    pub discontinuities: Counter,
    /// Rows that belong to no entity.
    pub rows_skipped: Total,
    /// Items sent to consumers, repeats included.
    pub items_sent: Counter,
    /// Connected consumers.
    pub consumers: Gauge,
    /// Items read and not acknowledged.
    pub unacked_events: UnsignedGauge,
    /// Their size in bytes.
    pub unacked_bytes: UnsignedGauge,
    /// Age of the oldest transaction that is not settled, in milliseconds.
    pub oldest_unacked_age_ms: UnsignedGauge,
    /// LSN up to which the WAL was received.
    pub received_lsn: UnsignedGauge,
    /// LSN up to which PostgreSQL may forget the WAL.
    pub confirmed_lsn: UnsignedGauge,
    /// Bytes of WAL that PostgreSQL keeps for the slot.
    pub slot_retained_bytes: UnsignedGauge,
    /// Bytes of WAL that it may keep before that is reported or the slot is dropped.
    pub slot_retained_bytes_max: UnsignedGauge,
    /// Bytes of WAL that may still be written before the slot may be lost; infinite when nothing bounds it.
    pub slot_safe_wal_bytes: RealGauge,
    /// Seconds until the slot is lost; infinite when it is not in danger.
    pub slot_loss_seconds: RealGauge,
    subscription: String,
    stopped: Family<CauseLabel, Gauge>,
}

/// A counter that is told its total.
#[derive(Clone, Debug, Default)]
pub struct Total(Counter);

impl Total {
    /// Counts up to `total`; a lower one, after a restart of its source, starts anew from there.
    pub fn set_to(&self, total: u64) {
        self.0.inner().store(total, std::sync::atomic::Ordering::Relaxed);
    }

    /// The total.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut register = Register(registry);
        register.one("wal_messages", "pgoutput messages read", &metrics.wal_messages);
        register.one("events", "Events read", &metrics.events);
        register.one("poison_events", "Rows that could not be read", &metrics.poison_events);
        register.one("discontinuities", "Holes in the stream", &metrics.discontinuities);
        register.one("rows_skipped", "Rows that belong to no entity", &metrics.rows_skipped);
        register.one("items_sent", "Items sent to consumers, repeats included", &metrics.items_sent);
        register.one("consumers", "Connected consumers", &metrics.consumers);
        register.one("unacked_events", "Items read and not acknowledged", &metrics.unacked_events);
        register.one("unacked_bytes", "Size of items not acknowledged, in bytes", &metrics.unacked_bytes);
        let age = "Age of the oldest unsettled transaction";
        register.one("oldest_unacked_age_ms", age, &metrics.oldest_unacked_age_ms);
        register.one("received_lsn", "WAL received up to here, in bytes", &metrics.received_lsn);
        register.one("confirmed_lsn", "WAL confirmed up to here, in bytes", &metrics.confirmed_lsn);
        let kept = "WAL that PostgreSQL keeps for the slot";
        register.one("slot_retained_bytes", kept, &metrics.slot_retained_bytes);
        let bound = "WAL that the slot may keep before that is reported or the slot is dropped";
        register.one("slot_retained_bytes_max", bound, &metrics.slot_retained_bytes_max);
        let safe = "WAL that may be written before the slot may be lost";
        register.one("slot_safe_wal_bytes", safe, &metrics.slot_safe_wal_bytes);
        register.one("slot_loss_seconds", "Seconds until the slot is lost", &metrics.slot_loss_seconds);
        let stopped = "1 while the subscription is stopped at a gap, by cause";
        register.one("stopped", stopped, &metrics.stopped);
        register.one("memory_bytes", "Resident memory of the process", &metrics.memory_bytes);
        register.one(
            "memory_bytes_max",
            "Resident memory that the process may have",
            &metrics.memory_bytes_max,
        );
        let paused = "1 while memory is too short to read for created subscriptions and live consumers";
        register.one("memory_paused", paused, &metrics.memory_paused);
        metrics
    }

    /// The metrics of one subscription.
    #[must_use]
    pub fn of(&self, subscription: &str) -> SubscriptionMetrics {
        let label = NameLabel { subscription: subscription.to_owned() };
        let of = SubscriptionMetrics {
            wal_messages: self.wal_messages.get_or_create(&label).clone(),
            events: self.events.get_or_create(&label).clone(),
            poison_events: self.poison_events.get_or_create(&label).clone(),
            discontinuities: self.discontinuities.get_or_create(&label).clone(),
            rows_skipped: Total(self.rows_skipped.get_or_create(&label).clone()),
            items_sent: self.items_sent.get_or_create(&label).clone(),
            consumers: self.consumers.get_or_create(&label).clone(),
            unacked_events: self.unacked_events.get_or_create(&label).clone(),
            unacked_bytes: self.unacked_bytes.get_or_create(&label).clone(),
            oldest_unacked_age_ms: self.oldest_unacked_age_ms.get_or_create(&label).clone(),
            received_lsn: self.received_lsn.get_or_create(&label).clone(),
            confirmed_lsn: self.confirmed_lsn.get_or_create(&label).clone(),
            slot_retained_bytes: self.slot_retained_bytes.get_or_create(&label).clone(),
            slot_retained_bytes_max: self.slot_retained_bytes_max.get_or_create(&label).clone(),
            slot_safe_wal_bytes: self.slot_safe_wal_bytes.get_or_create(&label).clone(),
            slot_loss_seconds: self.slot_loss_seconds.get_or_create(&label).clone(),
            subscription: label.subscription,
            stopped: self.stopped.clone(),
        };
        of.slot_safe_wal_bytes.set(f64::INFINITY);
        of.slot_loss_seconds.set(f64::INFINITY);
        of.show_stopped(None);
        of
    }

    /// A subscription is gone, and its metrics with it.
    pub fn forget(&self, subscription: &str) {
        let label = NameLabel { subscription: subscription.to_owned() };
        for counters in [
            &self.wal_messages,
            &self.events,
            &self.poison_events,
            &self.discontinuities,
            &self.rows_skipped,
            &self.items_sent,
        ] {
            counters.remove(&label);
        }
        for gauges in [
            &self.unacked_events,
            &self.unacked_bytes,
            &self.oldest_unacked_age_ms,
            &self.received_lsn,
            &self.confirmed_lsn,
            &self.slot_retained_bytes,
            &self.slot_retained_bytes_max,
        ] {
            gauges.remove(&label);
        }
        self.consumers.remove(&label);
        self.slot_safe_wal_bytes.remove(&label);
        self.slot_loss_seconds.remove(&label);
        for cause in Cause::ALL {
            self.stopped
                .remove(&CauseLabel { subscription: label.subscription.clone(), cause: cause.name() });
        }
    }
}

impl SubscriptionMetrics {
    /// Shows at what the subscription is stopped; `None` when it is not.
    pub fn show_stopped(&self, stopped: Option<Cause>) {
        for cause in Cause::ALL {
            let label = CauseLabel { subscription: self.subscription.clone(), cause: cause.name() };
            self.stopped.get_or_create(&label).set(i64::from(stopped == Some(cause)));
        }
    }

    /// Counts what was read.
    pub fn count_items(&self, items: &[Item]) {
        let (mut events, mut poison, mut gaps) = (0, 0, 0);
        for item in items {
            match item {
                Item::Event(_) => events += 1,
                Item::Poison(_) => poison += 1,
                Item::Discontinuity(_) => gaps += 1,
            }
        }
        self.events.inc_by(events);
        self.poison_events.inc_by(poison);
        self.discontinuities.inc_by(gaps);
    }
}

/// Registers metrics under capture's prefix.
struct Register<'r>(&'r mut Registry);

impl Register<'_> {
    fn one(&mut self, name: &str, help: &str, metric: &(impl Metric + Clone)) {
        self.0.register(format!("twinroute_capture_{name}"), help, metric.clone());
    }
}
