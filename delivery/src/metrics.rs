//! The metrics of a delivery worker.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::endpoint::{EndpointReport, State};

/// A number that does not fit into a signed one.
type UnsignedGauge = Gauge<u64, AtomicU64>;

/// A number of seconds that goes up and down.
type Seconds = Gauge<f64, AtomicU64>;

/// What the consumer side of the capture stream shows. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct StreamMetrics {
    /// Items received.
    pub items: Counter,
    /// Items that can never be delivered; each is a dead letter, or blocks its partition.
    pub poison_events: Counter,
    /// Holes in the stream, each counted by the holder of partition 0.
    pub discontinuities: Counter,
    /// Items received and not settled.
    pub unsettled_events: Gauge,
    /// Age of the oldest of them.
    pub oldest_unsettled_age_seconds: Seconds,
    /// Partitions held.
    pub partitions: Gauge,
    /// Partitions that a poison event blocks.
    pub poisoned_partitions: Gauge,
    /// Partitions that wait for a newer route table than the worker has.
    pub partitions_awaiting_routes: Gauge,
    /// Credit that capture has left, in items.
    pub credit_events: Gauge,
    /// Version of the route table in force.
    pub route_table_version: Gauge,
}

/// What is shown of the memory of the process. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct MemoryMetrics {
    /// What is resident, in bytes.
    pub bytes: UnsignedGauge,
    /// What may be, in bytes.
    pub bytes_max: UnsignedGauge,
    /// 1 while it is short.
    pub paused: Gauge,
}

/// What the endpoints show.
#[derive(Clone, Debug, Default)]
pub struct EndpointMetrics {
    delivered: Family<EndpointLabels, Counter>,
    retried: Family<EndpointLabels, Counter>,
    discarded: Family<EndpointLabels, Counter>,
    dropped: Family<EndpointLabels, Counter>,
    undelivered: Family<EndpointLabels, Gauge>,
    oldest_age_seconds: Family<EndpointLabels, Seconds>,
    blocked_partitions: Family<EndpointLabels, Gauge>,
    parked_events: Family<EndpointLabels, Gauge>,
    parked_bytes: Family<EndpointLabels, Gauge>,
    damaged_segments: Family<EndpointLabels, Gauge>,
    skipped_segments: Family<EndpointLabels, Counter>,
    state: Family<StateLabels, Gauge>,
}

/// The metrics of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointCounters {
    /// Events delivered.
    pub delivered: Counter,
    /// Refused hand-overs, each of which is tried again.
    pub retried: Counter,
    /// Events given up because the endpoint was deleted.
    pub discarded: Counter,
    /// Events given up because the endpoint's policy says so.
    pub dropped: Counter,
    /// Damaged segments whose events were given up by a call.
    pub skipped_segments: Counter,
    undelivered: Gauge,
    oldest_age_seconds: Seconds,
    blocked_partitions: Gauge,
    parked_events: Gauge,
    parked_bytes: Gauge,
    damaged_segments: Gauge,
    states: [(State, Gauge); State::ALL.len()],
}

/// What is shown of dead letters.
#[derive(Clone, Debug, Default)]
pub struct LetterMetrics {
    written: Family<EndpointLabels, Counter>,
    failures: Family<EndpointLabels, Counter>,
}

/// The dead letters of one endpoint.
#[derive(Clone, Debug)]
pub struct LetterCounters {
    /// Letters written.
    pub written: Counter,
    /// Letters that could not be written, each of which is written again.
    pub failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    endpoint: String,
    state: &'static str,
}

impl StreamMetrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(format!("twinroute_delivery_{name}"), help, counter.clone());
        };
        counter("items", "Items received from capture", &metrics.items);
        counter("poison_events", "Items that can never be delivered", &metrics.poison_events);
        counter("discontinuities", "Holes in the stream", &metrics.discontinuities);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(format!("twinroute_delivery_{name}"), help, gauge.clone());
        };
        gauge("unsettled_events", "Items received and not settled", &metrics.unsettled_events);
        gauge("partitions", "Partitions held", &metrics.partitions);
        gauge("poisoned_partitions", "Partitions that a poison event blocks", &metrics.poisoned_partitions);
        gauge(
            "partitions_awaiting_routes",
            "Partitions that wait for a newer route table, since events of theirs were delivered under one",
            &metrics.partitions_awaiting_routes,
        );
        gauge("credit_events", "Items that capture may still send", &metrics.credit_events);
        gauge("route_table_version", "Version of the route table in force", &metrics.route_table_version);
        registry.register(
            "twinroute_delivery_oldest_unsettled_age_seconds",
            "Age of the oldest item that is not settled, since it was received",
            metrics.oldest_unsettled_age_seconds.clone(),
        );
        metrics
    }
}

impl MemoryMetrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let name = |name: &str| format!("twinroute_delivery_{name}");
        registry.register(name("memory_bytes"), "Resident memory of the process", metrics.bytes.clone());
        let bytes_max = "Resident memory that the process may have";
        registry.register(name("memory_bytes_max"), bytes_max, metrics.bytes_max.clone());
        let paused = "1 while memory is too short to take more events in";
        registry.register(name("memory_paused"), paused, metrics.paused.clone());
        metrics
    }
}

impl EndpointMetrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let name = |name: &str| format!("twinroute_delivery_{name}");
        let delivered = "Events that the destination acknowledged";
        registry.register(name("delivered_events"), delivered, metrics.delivered.clone());
        let retried = "Hand-overs that the destination refused; each event is tried again";
        registry.register(name("retried_events"), retried, metrics.retried.clone());
        let discarded = "Events given up because their endpoint was deleted";
        registry.register(name("discarded_events"), discarded, metrics.discarded.clone());
        let dropped =
            "Events given up without a dead letter, because their endpoint's policy is to drop them";
        registry.register(name("dropped_events"), dropped, metrics.dropped.clone());
        let undelivered = "Events matched and not delivered";
        registry.register(name("undelivered_events"), undelivered, metrics.undelivered.clone());
        let oldest = "Age of the oldest event that is not delivered";
        registry.register(name("oldest_undelivered_age_seconds"), oldest, metrics.oldest_age_seconds.clone());
        let blocked = "Partitions with an event that the destination refused for good";
        registry.register(name("blocked_partitions"), blocked, metrics.blocked_partitions.clone());
        let parked = "Events parked and not read back yet";
        registry.register(name("parked_events"), parked, metrics.parked_events.clone());
        let bytes = "Size of the parked segments in bytes";
        registry.register(name("parked_bytes"), bytes, metrics.parked_bytes.clone());
        let damaged = "Parked segments that cannot be read, each of which stops its partition";
        registry.register(name("damaged_segments"), damaged, metrics.damaged_segments.clone());
        let skipped = "Parked segments that could not be read and were skipped by a call";
        registry.register(name("skipped_segments"), skipped, metrics.skipped_segments.clone());
        let state = "1 for the state that the endpoint is in";
        registry.register(name("endpoint_state"), state, metrics.state.clone());
        metrics
    }

    /// The metrics of one endpoint.
    #[must_use]
    pub fn of(&self, endpoint: &str) -> EndpointCounters {
        let labels = EndpointLabels { endpoint: endpoint.to_owned() };
        EndpointCounters {
            delivered: self.delivered.get_or_create_owned(&labels),
            retried: self.retried.get_or_create_owned(&labels),
            discarded: self.discarded.get_or_create_owned(&labels),
            dropped: self.dropped.get_or_create_owned(&labels),
            skipped_segments: self.skipped_segments.get_or_create_owned(&labels),
            undelivered: self.undelivered.get_or_create_owned(&labels),
            oldest_age_seconds: self.oldest_age_seconds.get_or_create_owned(&labels),
            blocked_partitions: self.blocked_partitions.get_or_create_owned(&labels),
            parked_events: self.parked_events.get_or_create_owned(&labels),
            parked_bytes: self.parked_bytes.get_or_create_owned(&labels),
            damaged_segments: self.damaged_segments.get_or_create_owned(&labels),
            states: State::ALL
                .map(|state| (state, self.state.get_or_create_owned(&state_labels(endpoint, state)))),
        }
    }

    /// Shows nothing more of a deleted endpoint but its counters.
    pub fn forget(&self, endpoint: &str) {
        let labels = EndpointLabels { endpoint: endpoint.to_owned() };
        self.undelivered.remove(&labels);
        self.oldest_age_seconds.remove(&labels);
        self.blocked_partitions.remove(&labels);
        self.parked_events.remove(&labels);
        self.parked_bytes.remove(&labels);
        self.damaged_segments.remove(&labels);
        for state in State::ALL {
            self.state.remove(&state_labels(endpoint, state));
        }
    }
}

impl EndpointCounters {
    /// Shows a report.
    pub fn show(&self, report: &EndpointReport, blocked_partitions: usize, now: Instant) {
        let show = |gauge: &Gauge, number: u64| gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        show(&self.undelivered, report.undelivered);
        show(&self.blocked_partitions, blocked_partitions as u64);
        show(&self.parked_events, report.parked_events);
        show(&self.parked_bytes, report.parked_bytes);
        show(&self.damaged_segments, report.damaged_count as u64);
        let age = report.oldest.map_or(0.0, |oldest| now.saturating_duration_since(oldest).as_secs_f64());
        self.oldest_age_seconds.set(age);
        for (state, gauge) in &self.states {
            gauge.set(i64::from(*state == report.state));
        }
    }
}

impl LetterMetrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let name = |name: &str| format!("twinroute_delivery_{name}");
        let written = "Dead letters written; endpoint `poison` stands for items that no endpoint could take";
        registry.register(name("dead_letters"), written, metrics.written.clone());
        let failures = "Writes of dead letters that failed; each letter is written again";
        registry.register(name("dead_letter_failures"), failures, metrics.failures.clone());
        metrics
    }

    /// The metrics of one endpoint.
    #[must_use]
    pub fn of(&self, endpoint: &str) -> LetterCounters {
        let labels = EndpointLabels { endpoint: endpoint.to_owned() };
        LetterCounters {
            written: self.written.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
        }
    }
}

fn state_labels(endpoint: &str, state: State) -> StateLabels {
    StateLabels { endpoint: endpoint.to_owned(), state: state.name() }
}
