//! Limits of an MQTT sink.

use serde::{Deserialize, Serialize};

use twinroute_common::config::{Problem, check::range};

/// Limits of an MQTT sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttLimits {
    /// Messages in flight, over all keys. Default 1,000: 10,000 events/s at 100 ms to the acknowledgement. The
    /// server's receive maximum binds as well.
    pub in_flight_events_max: u16,
    /// Bytes of the largest packet. Default 17 MiB: what capture lets through and its attributes. The server's
    /// maximum packet size binds as well.
    pub packet_bytes_max: u32,
    /// How long a message may be without acknowledgement before the connection counts as dead, in milliseconds.
    /// Default 30,000: longer than a broker that writes to disk, shorter than patience.
    pub ack_deadline_ms: u64,
    /// How long connecting may take, TLS and the server's answer included, in milliseconds. Default 10,000: several
    /// round trips to the other side of the world.
    pub connect_deadline_ms: u64,
    /// How long without a packet before the server is asked for one, in seconds. Default 30: shorter than the minute
    /// after which routers forget a connection.
    pub keep_alive_s: u16,
    /// Upper end of the first wait before connecting again, in milliseconds. Default 200: a broker that restarts is
    /// back in a second.
    pub reconnect_initial_ms: u64,
    /// Upper end of any wait before connecting again, in milliseconds. Default 30,000: as the delivery policy's backoff.
    pub reconnect_max_ms: u64,
}

impl Default for MqttLimits {
    fn default() -> Self {
        Self {
            in_flight_events_max: 1_000,
            packet_bytes_max: 17 * 1024 * 1024,
            ack_deadline_ms: 30_000,
            connect_deadline_ms: 10_000,
            keep_alive_s: 30,
            reconnect_initial_ms: 200,
            reconnect_max_ms: 30_000,
        }
    }
}

impl MqttLimits {
    /// What does not work.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let milliseconds = 10..=600_000;
        // The upper end is the protocol's.
        let packet = 1_024..=268_435_460;
        [
            range("sink.mqtt.in_flight_events_max", &self.in_flight_events_max, &(1..=u16::MAX)),
            range("sink.mqtt.packet_bytes_max", &self.packet_bytes_max, &packet),
            range("sink.mqtt.ack_deadline_ms", &self.ack_deadline_ms, &milliseconds),
            range("sink.mqtt.connect_deadline_ms", &self.connect_deadline_ms, &milliseconds),
            range("sink.mqtt.keep_alive_s", &self.keep_alive_s, &(1..=3_600)),
            range("sink.mqtt.reconnect_initial_ms", &self.reconnect_initial_ms, &milliseconds),
            range("sink.mqtt.reconnect_max_ms", &self.reconnect_max_ms, &milliseconds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
