//! What a server takes, from its CONNACK and from ours.

use bytes::Bytes;
use twinroute_common::route::MqttQos;

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Topic.
    pub(super) topic: String,
    /// A CloudEvent in structured mode.
    pub(super) payload: Bytes,
}

/// What a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Messages in flight.
    pub(super) in_flight_events_max: usize,
    /// Bytes of a packet.
    pub(super) packet_bytes_max: u32,
}

impl Bounds {
    /// Whether the message fits into a PUBLISH packet; the number of bytes when it does not.
    /// `properties_bytes` counts the property length as well (MQTT 5.0, section 3.3.2.3); 0 before MQTT 5.
    pub(super) fn check(self, message: &Message, qos: MqttQos, properties_bytes: usize) -> Result<(), usize> {
        let bytes = packet_bytes(message, qos, properties_bytes);
        if u32::try_from(bytes).is_ok_and(|bytes| bytes <= self.packet_bytes_max) {
            Ok(())
        } else {
            Err(bytes)
        }
    }
}

/// Bytes of a PUBLISH packet (MQTT 5.0, section 3.3; 3.1.1 without properties).
fn packet_bytes(message: &Message, qos: MqttQos, properties_bytes: usize) -> usize {
    let packet_id = if qos == MqttQos::AtMostOnce { 0 } else { 2 };
    let remaining = 2 + message.topic.len() + packet_id + properties_bytes + message.payload.len();
    let length_bytes = match remaining {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    1 + length_bytes + remaining
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize) -> Message {
        Message { topic: "t/1".to_owned(), payload: Bytes::from(vec![b'x'; payload]) }
    }

    #[test]
    fn the_size_of_a_packet_is_exact() {
        // 1 type + 1 length + 2 topic length + 3 topic + 2 packet id + 1 payload
        assert_eq!(packet_bytes(&message(1), MqttQos::AtLeastOnce, 0), 10);
        assert_eq!(packet_bytes(&message(1), MqttQos::AtMostOnce, 34), 42);
        assert_eq!(packet_bytes(&message(200), MqttQos::AtLeastOnce, 0), 210);
        assert_eq!(packet_bytes(&message(20_000), MqttQos::AtLeastOnce, 0), 20_011);
    }

    #[test]
    fn a_message_that_is_too_large_is_told_with_its_size() {
        let bounds = Bounds { in_flight_events_max: 1, packet_bytes_max: 210 };
        assert_eq!(bounds.check(&message(200), MqttQos::AtLeastOnce, 0), Ok(()));
        assert_eq!(bounds.check(&message(201), MqttQos::AtLeastOnce, 0), Err(211));
    }
}
