//! Capture's configuration. Every limit has its unit in its name and its reason beside it.

mod live;
mod memory;
mod subscriptions;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{
    Base, HttpSettings, LogSettings, Problem, RuntimeSettings, Settings, ShutdownSettings, check,
};
use twinroute_common::grpc::ServerSettings;

pub use self::live::LiveSettings;
pub use self::memory::MemorySettings;
pub use self::subscriptions::SubscriptionsSettings;
use crate::decode::Decoder;
use crate::graphs::Graphs;
use crate::postgres::ConnectionString;
use crate::subscription::{Bounds, Unacked};

/// Largest number of partitions: each has a log and a lease, and a hole in the stream is put into each.
pub const PARTITION_COUNT_MAX: u32 = 4_096;

/// All settings of capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureSettings {
    /// Section `postgres`.
    pub postgres: PostgresSettings,
    /// Section `source`.
    pub source: SourceSettings,
    /// Section `stream`.
    pub stream: StreamSettings,
    /// Section `memory`.
    pub memory: MemorySettings,
    /// Section `subscriptions`.
    pub subscriptions: SubscriptionsSettings,
    /// Section `live`.
    pub live: LiveSettings,
    /// Section `grpc`.
    pub grpc: ServerSettings,
    /// Section `http`.
    pub http: HttpSettings,
    /// Section `log`.
    pub log: LogSettings,
    /// Section `runtime`.
    pub runtime: RuntimeSettings,
    /// Section `shutdown`.
    pub shutdown: ShutdownSettings,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self {
            postgres: PostgresSettings::default(),
            source: SourceSettings::default(),
            stream: StreamSettings::default(),
            memory: MemorySettings::default(),
            subscriptions: SubscriptionsSettings::default(),
            live: LiveSettings::default(),
            grpc: ServerSettings::on_port(50051),
            http: HttpSettings::on_port(9091),
            log: LogSettings::default(),
            runtime: RuntimeSettings::default(),
            shutdown: ShutdownSettings::default(),
        }
    }
}

/// Section `postgres`: where the twins are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// Connection string of the database that holds the graphs.
    pub url: String,
    /// How long a connection attempt or an answer may take, in milliseconds.
    pub answer_deadline_ms: u64,
    /// Longest wait between two attempts to connect, in milliseconds.
    pub reconnect_wait_max_ms: u64,
    /// A connection is probed after this much silence, and given up after as much again, in milliseconds.
    pub tcp_keepalive_ms: u64,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: "postgres://postgres@127.0.0.1:5432/postgres".to_owned(),
            answer_deadline_ms: 10_000,
            reconnect_wait_max_ms: 5_000,
            tcp_keepalive_ms: 30_000,
        }
    }
}

impl PostgresSettings {
    /// `answer_deadline_ms`.
    #[must_use]
    pub fn answer_deadline(&self) -> Duration {
        Duration::from_millis(self.answer_deadline_ms)
    }

    /// `reconnect_wait_max_ms`.
    #[must_use]
    pub fn reconnect_wait_max(&self) -> Duration {
        Duration::from_millis(self.reconnect_wait_max_ms)
    }

    /// `tcp_keepalive_ms`.
    #[must_use]
    pub fn tcp_keepalive(&self) -> Duration {
        Duration::from_millis(self.tcp_keepalive_ms)
    }
}

/// Section `source`: what is captured, and under which names in PostgreSQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// Names of the graphs (schemas), and patterns of names.
    pub graphs: Vec<String>,
    /// Name of the subscription.
    pub subscription: String,
    /// Name of the publication.
    pub publication: String,
    /// How often new labels are looked for, in milliseconds.
    pub labels_poll_ms: u64,
    /// How long a statement of ours may wait for a lock on a label's table, in milliseconds.
    pub lock_timeout_ms: u64,
    /// How often the slot is looked at, for its forecast and metrics, in milliseconds.
    pub slot_poll_ms: u64,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            graphs: vec!["digitaltwins".to_owned()],
            subscription: "delivery".to_owned(),
            publication: "twinroute".to_owned(),
            labels_poll_ms: 1_000,
            lock_timeout_ms: 200,
            slot_poll_ms: 5_000,
        }
    }
}

/// Name of a subscription's replication slot.
#[must_use]
pub fn slot_of(subscription: &str) -> String {
    format!("twinroute_{subscription}")
}

/// A subscription's name is part of its slot's, which PostgreSQL restricts to these characters and 63 of them.
///
/// # Errors
/// What it must be.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let fits = (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if fits { Ok(()) } else { Err("must be 1 to 40 of a-z, 0-9 and _, and start with a letter") }
}

/// Section `stream`: bounds of the capture stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Number of partitions of a new subscription that names none.
    pub partition_count: u32,
    /// A consumer without heartbeat for this long loses its partitions, in milliseconds.
    pub lease_ms: u64,
    /// How long a consumer has to give partitions back, in milliseconds.
    pub revoke_deadline_ms: u64,
    /// A consumer that acknowledges nothing for this long, while others do, loses its stream, in milliseconds.
    pub unacked_age_max_ms: u64,
    /// How often every consumer is told how far the stream is, in milliseconds.
    pub progress_interval_ms: u64,
    /// How often what is acknowledged is stored and confirmed to PostgreSQL, in milliseconds.
    pub confirm_interval_ms: u64,
    /// The same while only keepalives arrive, in milliseconds.
    pub idle_confirm_interval_ms: u64,
    /// Largest number of items of one frame.
    pub frame_events_max: usize,
    /// Largest size of a frame, in bytes; a single larger item has a frame of its own.
    pub frame_bytes_max: u64,
    /// Frames that wait for a consumer's connection.
    pub frames_queued_max: usize,
    /// Largest size of a document, in bytes.
    pub event_bytes_max: u64,
    /// Reading stops at this many un-acknowledged items.
    pub unacked_events_max: u64,
    /// Reading stops at this many un-acknowledged bytes.
    pub unacked_bytes_max: u64,
    /// Reading stops, between transactions, this many bytes of WAL ahead of what is confirmed.
    pub unconfirmed_wal_bytes_max: u64,
    /// Largest number of connected consumers of one subscription.
    pub consumers_max: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            partition_count: 64,
            lease_ms: 15_000,
            revoke_deadline_ms: 10_000,
            unacked_age_max_ms: 600_000,
            progress_interval_ms: 1_000,
            confirm_interval_ms: 1_000,
            idle_confirm_interval_ms: 10_000,
            frame_events_max: 1_024,
            frame_bytes_max: 512 << 10,
            frames_queued_max: 4,
            event_bytes_max: 16 << 20,
            unacked_events_max: 100_000,
            unacked_bytes_max: 32 << 20,
            unconfirmed_wal_bytes_max: 1 << 30,
            consumers_max: 256,
        }
    }
}

impl StreamSettings {
    /// `lease_ms`.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// `unacked_age_max_ms`.
    #[must_use]
    pub fn unacked_age_max(&self) -> Duration {
        Duration::from_millis(self.unacked_age_max_ms)
    }

    /// Bounds of a subscription in which so much may be un-acknowledged.
    #[must_use]
    pub fn bounds(&self, partition_count: u32, unacked_max: Unacked) -> Bounds {
        Bounds {
            partition_count,
            frame_events_max: self.frame_events_max,
            frame_bytes_max: self.frame_bytes_max,
            unacked_events_max: unacked_max.events,
            unacked_bytes_max: unacked_max.bytes,
            unconfirmed_wal_bytes_max: self.unconfirmed_wal_bytes_max,
            revoke_deadline: Duration::from_millis(self.revoke_deadline_ms),
            unacked_age_max: self.unacked_age_max(),
        }
    }

    /// What may be un-acknowledged in the configured subscription.
    #[must_use]
    pub fn unacked_max(&self) -> Unacked {
        Unacked { events: self.unacked_events_max, bytes: self.unacked_bytes_max }
    }
}

impl CaptureSettings {
    /// A decoder of the configured graphs.
    #[must_use]
    pub fn decoder(&self, incarnation: u64) -> Decoder {
        let event_bytes_max = usize::try_from(self.stream.event_bytes_max).unwrap_or(usize::MAX);
        Decoder::new(incarnation, event_bytes_max).only(Graphs::new(&self.source.graphs))
    }
}

impl Settings for CaptureSettings {
    fn base(&self) -> Base<'_> {
        Base { log: &self.log, http: &self.http, runtime: &self.runtime, shutdown: &self.shutdown }
    }

    fn problems(&self) -> Vec<Problem> {
        let (postgres, source, stream) = (&self.postgres, &self.source, &self.stream);
        let hour_ms = 3_600_000;
        let name = |key: &str, value: &str| check_name(value).err().map(|must| Problem::new(key, must));
        let mistake = || ConnectionString::new(postgres).err();
        [
            check::url("postgres.url", &postgres.url, &["postgres", "postgresql"])
                .or_else(|| mistake().map(|mistake| Problem::new("postgres.url", mistake.to_string()))),
            check::range("postgres.answer_deadline_ms", &postgres.answer_deadline_ms, &(100..=hour_ms)),
            check::range("postgres.reconnect_wait_max_ms", &postgres.reconnect_wait_max_ms, &(100..=hour_ms)),
            // The kernel counts seconds, and a third of it is the time between two probes.
            check::range("postgres.tcp_keepalive_ms", &postgres.tcp_keepalive_ms, &(3_000..=hour_ms)),
            Graphs::new(&source.graphs).mistake().map(|mistake| Problem::new("source.graphs", mistake)),
            name("source.subscription", &source.subscription),
            name("source.publication", &source.publication),
            check::range("source.labels_poll_ms", &source.labels_poll_ms, &(50..=hour_ms)),
            check::range("source.lock_timeout_ms", &source.lock_timeout_ms, &(1..=60_000)),
            check::range("source.slot_poll_ms", &source.slot_poll_ms, &(50..=hour_ms)),
            check::range("stream.partition_count", &stream.partition_count, &(1..=PARTITION_COUNT_MAX)),
            check::range("stream.lease_ms", &stream.lease_ms, &(500..=hour_ms)),
            check::range("stream.revoke_deadline_ms", &stream.revoke_deadline_ms, &(100..=hour_ms)),
            check::range("stream.unacked_age_max_ms", &stream.unacked_age_max_ms, &(100..=24 * hour_ms)),
            check::range("stream.progress_interval_ms", &stream.progress_interval_ms, &(10..=hour_ms)),
            check::range("stream.confirm_interval_ms", &stream.confirm_interval_ms, &(10..=60_000)),
            check::range(
                "stream.idle_confirm_interval_ms",
                &stream.idle_confirm_interval_ms,
                &(10..=hour_ms),
            ),
            check::range("stream.frame_events_max", &stream.frame_events_max, &(1..=65_536)),
            check::range("stream.frame_bytes_max", &stream.frame_bytes_max, &(1_024..=3 << 20)),
            check::range("stream.frames_queued_max", &stream.frames_queued_max, &(1..=1_024)),
            check::range("stream.event_bytes_max", &stream.event_bytes_max, &(1_024..=1 << 30)),
            check::non_zero("stream.unacked_events_max", &stream.unacked_events_max),
            check::non_zero("stream.unacked_bytes_max", &stream.unacked_bytes_max),
            check::non_zero("stream.unconfirmed_wal_bytes_max", &stream.unconfirmed_wal_bytes_max),
            check::range("stream.consumers_max", &stream.consumers_max, &(1..=10_000)),
            self.memory.problem(stream),
        ]
        .into_iter()
        .flatten()
        .chain(self.subscriptions.problems())
        .chain(self.live.problems())
        .chain(self.grpc.problems("grpc"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let example = include_str!("../../deploy/config/capture.yaml");
        let problems = twinroute_common::config::check_example(example, &CaptureSettings::default());
        assert!(problems.is_empty(), "{problems:#?}");
    }

    #[test]
    fn the_defaults_have_no_problems() {
        assert_eq!(CaptureSettings::default().problems(), []);
    }
}
