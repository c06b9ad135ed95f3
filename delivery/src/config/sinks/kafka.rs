//! Limits of a Kafka sink.

use serde::{Deserialize, Serialize};

use twinroute_common::config::{Problem, check::range};

/// Limits of a Kafka sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaLimits {
    /// Events in flight. Default 16,384: 100,000 events/s at 160 ms from hand-over to report.
    pub queue_events_max: usize,
    /// Bytes in flight. Default 32 MiB: more than one largest event. All endpoints share `memory.bytes_max`.
    pub queue_bytes_max: usize,
    /// How long a batch waits for more events, in milliseconds. Default 5: large batches under load, and little to
    /// wait for a single event.
    pub linger_ms: u64,
    /// Events in one batch of one partition. Default 10,000: at 400 B `batch_bytes_max` comes first.
    pub batch_events_max: usize,
    /// Bytes in one batch of one partition. Default 1,000,000: a broker takes 1,048,588 unless told otherwise.
    pub batch_bytes_max: usize,
    /// Bytes of the largest event. Default 17 MiB: what capture lets through and its attributes; the broker's own
    /// limit is lower as a rule, and refuses with the same result.
    pub message_bytes_max: usize,
    /// How long a broker may take for one request, in milliseconds. Default 30,000: as Kafka's own clients.
    pub request_timeout_ms: u64,
    /// How long a topic that does not exist is waited for before anything is written to it, and again before its events
    /// are answered, in milliseconds. Default 10,000: a topic that was just created is known by then.
    pub topic_wait_ms: u64,
    /// How long to wait before a producer that failed is replaced, in milliseconds. Default 200: the wait doubles to
    /// `restart_max_ms` while nothing is delivered.
    pub restart_initial_ms: u64,
    /// The longest wait before a producer that failed is replaced, in milliseconds. Default 30,000: as the
    /// delivery policy's backoff.
    pub restart_max_ms: u64,
    /// How often librdkafka tells which brokers it is connected to, in milliseconds. Default 1,000: the endpoint's
    /// state is right within a second.
    pub state_interval_ms: u64,
}

impl Default for KafkaLimits {
    fn default() -> Self {
        Self {
            queue_events_max: 16_384,
            queue_bytes_max: 32 * 1024 * 1024,
            linger_ms: 5,
            batch_events_max: 10_000,
            batch_bytes_max: 1_000_000,
            message_bytes_max: 17 * 1024 * 1024,
            request_timeout_ms: 30_000,
            topic_wait_ms: 10_000,
            restart_initial_ms: 200,
            restart_max_ms: 30_000,
            state_interval_ms: 1_000,
        }
    }
}

impl KafkaLimits {
    /// What does not work. The ranges are librdkafka's.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let bytes = 1_000..=1_000_000_000;
        let milliseconds = 10..=300_000;
        let queue_bytes = self.message_bytes_max..=2_000_000_000;
        [
            range("sink.kafka.queue_events_max", &self.queue_events_max, &(1..=1_000_000)),
            range("sink.kafka.queue_bytes_max", &self.queue_bytes_max, &queue_bytes),
            range("sink.kafka.linger_ms", &self.linger_ms, &(0..=900_000)),
            range("sink.kafka.batch_events_max", &self.batch_events_max, &(1..=1_000_000)),
            range("sink.kafka.batch_bytes_max", &self.batch_bytes_max, &bytes),
            range("sink.kafka.message_bytes_max", &self.message_bytes_max, &bytes),
            range("sink.kafka.request_timeout_ms", &self.request_timeout_ms, &milliseconds),
            range("sink.kafka.topic_wait_ms", &self.topic_wait_ms, &milliseconds),
            range("sink.kafka.restart_initial_ms", &self.restart_initial_ms, &milliseconds),
            range("sink.kafka.restart_max_ms", &self.restart_max_ms, &milliseconds),
            range("sink.kafka.state_interval_ms", &self.state_interval_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
