//! Capture's metrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use twinroute_common::event::Item;

use crate::gap::Cause;

/// Counters and gauges of one capture process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
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
    pub unacked_events: Gauge<u64, AtomicU64>,
    /// Their size in bytes.
    pub unacked_bytes: Gauge<u64, AtomicU64>,
    /// Age of the oldest transaction that is not settled, in milliseconds.
    pub oldest_unacked_age_ms: Gauge<u64, AtomicU64>,
    /// LSN up to which the WAL was received.
    pub received_lsn: Gauge<u64, AtomicU64>,
    /// LSN up to which PostgreSQL may forget the WAL.
    pub confirmed_lsn: Gauge<u64, AtomicU64>,
    /// Bytes of WAL that PostgreSQL keeps for the slot.
    pub slot_retained_bytes: Gauge<u64, AtomicU64>,
    /// Bytes of WAL that may still be written before the slot may be lost; infinite when nothing bounds it.
    pub slot_safe_wal_bytes: Gauge<f64, AtomicU64>,
    /// Seconds until the slot is lost; infinite when it is not in danger.
    pub slot_loss_seconds: Gauge<f64, AtomicU64>,
    /// 1 for the cause at which the subscription is stopped.
    stopped: Family<CauseLabel, Gauge>,
}

/// Label of what stops a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
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
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(format!("twinroute_capture_{name}"), help, counter.clone());
        };
        counter("wal_messages", "pgoutput messages read", &metrics.wal_messages);
        counter("events", "Events read", &metrics.events);
        counter("poison_events", "Rows that could not be read", &metrics.poison_events);
        counter("discontinuities", "Holes in the stream", &metrics.discontinuities);
        counter("rows_skipped", "Rows that belong to no entity", &metrics.rows_skipped.0);
        counter("items_sent", "Items sent to consumers, repeats included", &metrics.items_sent);
        registry.register("twinroute_capture_consumers", "Connected consumers", metrics.consumers.clone());
        let mut gauge = |name: &str, help: &str, gauge: &Gauge<u64, AtomicU64>| {
            registry.register(format!("twinroute_capture_{name}"), help, gauge.clone());
        };
        gauge("unacked_events", "Items read and not acknowledged", &metrics.unacked_events);
        gauge("unacked_bytes", "Size of items not acknowledged, in bytes", &metrics.unacked_bytes);
        gauge(
            "oldest_unacked_age_ms",
            "Age of the oldest unsettled transaction",
            &metrics.oldest_unacked_age_ms,
        );
        gauge("received_lsn", "WAL received up to here, in bytes", &metrics.received_lsn);
        gauge("confirmed_lsn", "WAL confirmed up to here, in bytes", &metrics.confirmed_lsn);
        gauge("slot_retained_bytes", "WAL that PostgreSQL keeps for the slot", &metrics.slot_retained_bytes);
        let mut forecast = |name: &str, help: &str, gauge: &Gauge<f64, AtomicU64>| {
            gauge.set(f64::INFINITY);
            registry.register(format!("twinroute_capture_{name}"), help, gauge.clone());
        };
        forecast(
            "slot_safe_wal_bytes",
            "WAL that may be written before the slot may be lost",
            &metrics.slot_safe_wal_bytes,
        );
        forecast("slot_loss_seconds", "Seconds until the slot is lost", &metrics.slot_loss_seconds);
        let help = "1 while the subscription is stopped at a gap, by cause";
        registry.register("twinroute_capture_stopped", help, metrics.stopped.clone());
        metrics.show_stopped(None);
        metrics
    }

    /// Shows at what the subscription is stopped; `None` when it is not.
    pub fn show_stopped(&self, stopped: Option<Cause>) {
        for cause in Cause::ALL {
            let label = CauseLabel { cause: cause.name() };
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
