//! What the sinks of one worker may take: memory, time, and where the worker's identity may go.

mod identity;
mod kafka;
mod kusto;
mod mqtt;

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;

pub use identity::IdentityLimits;
pub use kafka::KafkaLimits;
pub use kusto::KustoLimits;
pub use mqtt::MqttLimits;

/// Limits of the sinks, each endpoint's by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkLimits {
    /// Kafka and Event Hubs.
    pub kafka: KafkaLimits,
    /// MQTT.
    pub mqtt: MqttLimits,
    /// Azure Data Explorer.
    pub kusto: KustoLimits,
    /// Access tokens for any of them.
    pub identity: IdentityLimits,
}

impl SinkLimits {
    /// What does not work, with the keys as they stand under the section `sink`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        [self.kafka.problems(), self.mqtt.problems(), self.kusto.problems(), self.identity.problems()]
            .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(SinkLimits::default().problems(), vec![]);
    }

    #[test]
    fn every_value_out_of_range_is_reported_with_its_key() {
        // given three mistakes in three sections
        let mut limits = SinkLimits::default();
        limits.kafka.queue_events_max = 0;
        limits.mqtt.in_flight_events_max = 0;
        limits.kusto.blob_bytes_max = 1;

        // when they are looked for
        let keys: Vec<_> = limits.problems().into_iter().map(|problem| problem.key).collect();

        // then all three are found
        assert_eq!(
            keys,
            ["sink.kafka.queue_events_max", "sink.mqtt.in_flight_events_max", "sink.kusto.blob_bytes_max"]
        );
    }
}
