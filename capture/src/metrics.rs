//! Capture's metrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use twinroute_common::event::Item;

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
        metrics
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
