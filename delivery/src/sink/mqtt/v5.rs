//! MQTT 5.0.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use rumqttc_v5::mqttbytes::v5::{ConnAck, DisconnectReasonCode, Packet, PubAckProperties, PublishProperties};
use rumqttc_v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, PublishOptions,
    PublishResult, QoS, StateError, TlsConfiguration, Transport, mqttbytes,
};
use secrecy::ExposeSecret as _;
use twinroute_common::route::MqttQos;

use super::bounds::{Bounds, Message};
use super::protocol::{Protocol, Signal, lost, refused};
use super::reason;
use super::settings::Settings;
use crate::sink::{SinkError, Verdict};

/// Content type of a CloudEvent in structured mode (MQTT protocol binding for CloudEvents 1.0, section 3.2.1).
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Requests that the client library sends before it reads again.
const REQUESTS_AT_ONCE: usize = 128;

/// An MQTT 5.0 client.
pub(super) struct V5 {
    client: AsyncClient,
    options: PublishOptions,
}

impl Protocol for V5 {
    /// Length, payload format indicator, content type.
    const PROPERTIES_BYTES: usize = 1 + 2 + (1 + 2 + CONTENT_TYPE.len());

    fn connect(settings: &Settings) -> Result<(Self, impl Stream<Item = Signal> + Send), SinkError> {
        let builder = AsyncClient::builder(client_options(settings));
        let capacity = usize::from(settings.limits.in_flight_events_max);
        let (client, events) = builder.capacity(capacity).try_build().map_err(refused)?;
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some(CONTENT_TYPE.to_owned()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::new(qos(settings.qos)).retain(settings.retain).properties(properties);
        Ok((Self { client, options }, signals(events, Wanted::of(settings))))
    }

    fn publish(&self, message: Message) -> Result<impl Future<Output = Verdict> + Send, SinkError> {
        let Message { topic, payload } = message;
        let notice =
            self.client.try_publish_tracked(topic, payload, self.options.clone()).map_err(refused)?;
        Ok(async move {
            match notice.wait_async().await {
                Ok(result) => verdict(&result),
                Err(error) => lost(error),
            }
        })
    }

    fn disconnect(&self) {
        // If it cannot be said, the server will notice by itself.
        let _ = self.client.try_disconnect_now();
    }
}

/// What the endpoint wants and what it offers, to compare with what the server has.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    qos: MqttQos,
    retain: bool,
    bounds: Bounds,
}

impl Wanted {
    fn of(settings: &Settings) -> Self {
        let bounds = Bounds {
            in_flight_events_max: usize::from(settings.limits.in_flight_events_max),
            packet_bytes_max: settings.limits.packet_bytes_max,
        };
        Self { qos: settings.qos, retain: settings.retain, bounds }
    }

    /// MQTT 5.0, section 3.2.2.3.
    fn compare(self, accepted: &ConnAck) -> Signal {
        let Some(server) = &accepted.properties else {
            return Signal::Up(self.bounds);
        };
        if server.max_qos.is_some_and(|max| max < qos(self.qos) as u8) {
            return Signal::down("the server does not take the endpoint's quality of service");
        }
        if self.retain && server.retain_available == Some(0) {
            return Signal::down("the server does not take retained messages");
        }
        let receive_max = server.receive_max.map_or(usize::MAX, usize::from);
        Signal::Up(Bounds {
            in_flight_events_max: self.bounds.in_flight_events_max.min(receive_max),
            packet_bytes_max: self.bounds.packet_bytes_max.min(server.max_packet_size.unwrap_or(u32::MAX)),
        })
    }
}

fn client_options(settings: &Settings) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, (settings.host.clone(), settings.port));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_clean_start(true)
        .set_keep_alive(settings.limits.keep_alive_s)
        .set_connect_timeout(settings.connect_deadline())
        .set_pending_throttle(Duration::ZERO)
        .set_max_request_batch(REQUESTS_AT_ONCE)
        .set_outgoing_inflight_upper_limit(settings.limits.in_flight_events_max)
        .set_network_options(network);
    match (&settings.username, &settings.password) {
        (Some(username), Some(password)) => {
            let password = Bytes::copy_from_slice(password.expose_secret().as_bytes());
            options.set_credentials(username, password);
        }
        (Some(username), None) => {
            options.set_username(username);
        }
        (None, _) => {}
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.clone())));
    }
    options
}

/// The connection as a stream, which unlike the library's own call survives being polled now and then. It ends with the
/// connection, so that the library does not connect and send again.
fn signals(events: EventLoop, wanted: Wanted) -> impl Stream<Item = Signal> + Send {
    stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(accepted))) => Some((wanted.compare(&accepted), Some(events))),
            Ok(_) => Some((Signal::Traffic, Some(events))),
            Err(error) => {
                Some((Signal::Down { why: error.to_string(), about_message: about_message(&error) }, None))
            }
        }
    })
}

/// The reason code of an ending that is about a message: a DISCONNECT with one (MQTT 5.0, section 3.14.2.1), or an
/// acknowledgement with one that the protocol does not allow there, at which the library gives up. So Mosquitto answers what
/// is larger than its `message_size_limit`.
fn about_message(error: &ConnectionError) -> Option<u8> {
    use DisconnectReasonCode::{PacketTooLarge, PayloadFormatInvalid, TopicNameInvalid};
    match error {
        // So the library calls a reason code that it does not know, of whatever acknowledgement.
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::InvalidConnectReturnCode(code),
        )) => Some(*code),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
            if matches!(reason_code, PacketTooLarge | PayloadFormatInvalid | TopicNameInvalid) =>
        {
            Some(*reason_code as u8)
        }
        _ => None,
    }
}

fn verdict(result: &PublishResult) -> Verdict {
    match result {
        PublishResult::Qos0Flushed => Verdict::Delivered,
        PublishResult::Qos1(ack) => reason::verdict(ack.reason as u8, words(ack.properties.as_ref())),
        PublishResult::Qos2PubRecRejected(received) => reason::verdict(received.reason as u8, None),
        PublishResult::Qos2Completed(completed) => reason::verdict(completed.reason as u8, None),
    }
}

fn words(properties: Option<&PubAckProperties>) -> Option<&str> {
    properties.and_then(|properties| properties.reason_string.as_deref())
}

fn qos(qos: MqttQos) -> QoS {
    match qos {
        MqttQos::AtMostOnce => QoS::AtMostOnce,
        MqttQos::AtLeastOnce => QoS::AtLeastOnce,
        MqttQos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use rumqttc_v5::mqttbytes::v5::{ConnAckProperties, ConnectReturnCode};

    use super::*;

    fn no_properties() -> ConnAckProperties {
        ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }

    fn accepted(change: impl FnOnce(&mut ConnAckProperties)) -> ConnAck {
        let mut properties = no_properties();
        change(&mut properties);
        ConnAck { session_present: false, code: ConnectReturnCode::Success, properties: Some(properties) }
    }

    fn wanted(qos: MqttQos, retain: bool) -> Wanted {
        Wanted { qos, retain, bounds: Bounds { in_flight_events_max: 100, packet_bytes_max: 1000 } }
    }

    #[test]
    fn the_servers_limits_are_obeyed() {
        let wanted = wanted(MqttQos::AtLeastOnce, false);
        let connack = accepted(|server| {
            server.receive_max = Some(20);
            server.max_packet_size = Some(500);
        });
        let Signal::Up(bounds) = wanted.compare(&connack) else { panic!("it is up") };
        assert_eq!(bounds, Bounds { in_flight_events_max: 20, packet_bytes_max: 500 });

        let Signal::Up(bounds) = wanted.compare(&accepted(|_| {})) else { panic!("it is up") };
        assert_eq!(bounds, wanted.bounds);
    }

    #[test]
    fn a_server_that_lacks_something_is_not_used() {
        let no_qos2 = accepted(|server| server.max_qos = Some(1));
        let no_retain = accepted(|server| server.retain_available = Some(0));
        assert!(matches!(wanted(MqttQos::ExactlyOnce, false).compare(&no_qos2), Signal::Down { .. }));
        assert!(matches!(wanted(MqttQos::AtLeastOnce, false).compare(&no_qos2), Signal::Up(_)));
        assert!(matches!(wanted(MqttQos::AtLeastOnce, true).compare(&no_retain), Signal::Down { .. }));
        assert!(matches!(wanted(MqttQos::AtLeastOnce, false).compare(&no_retain), Signal::Up(_)));
    }
}
