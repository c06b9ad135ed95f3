//! MQTT 3.1.1, and 3.1 by another CONNECT packet.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use rumqttc_v4::mqttbytes::v4::Packet;
use rumqttc_v4::{
    AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, PublishOptions, QoS, TlsConfiguration,
    Transport,
};
use secrecy::ExposeSecret as _;
use twinroute_common::route::{MqttQos, MqttVersion};

use super::bounds::{Bounds, Message};
use super::connect_310;
use super::protocol::{Protocol, Signal, lost, refused};
use super::settings::Settings;
use crate::sink::{SinkError, Verdict};

/// Requests that the client library sends before it reads again.
const REQUESTS_AT_ONCE: usize = 128;

/// Bytes of the largest packet that a server has to send us; we subscribe to nothing.
const INCOMING_BYTES_MAX: usize = 64 * 1024;

/// An MQTT 3.1 or 3.1.1 client.
pub(super) struct V4 {
    client: AsyncClient,
    options: PublishOptions,
}

impl Protocol for V4 {
    const PROPERTIES_BYTES: usize = 0;

    fn connect(settings: &Settings) -> Result<(Self, impl Stream<Item = Signal> + Send), SinkError> {
        let builder = AsyncClient::builder(client_options(settings));
        let capacity = usize::from(settings.limits.in_flight_events_max);
        let (client, events) = builder.capacity(capacity).try_build().map_err(refused)?;
        let options = PublishOptions::new(qos(settings.qos)).retain(settings.retain);
        let bounds =
            Bounds { in_flight_events_max: capacity, packet_bytes_max: settings.limits.packet_bytes_max };
        Ok((Self { client, options }, signals(events, bounds, settings.connect_deadline())))
    }

    fn publish(&self, message: Message) -> Result<impl Future<Output = Verdict> + Send, SinkError> {
        let Message { topic, payload } = message;
        let notice = self.client.try_publish_tracked(topic, payload, self.options).map_err(refused)?;
        Ok(async move {
            match notice.wait_async().await {
                Ok(_) => Verdict::Delivered,
                Err(error) => lost(error),
            }
        })
    }

    fn disconnect(&self) {
        // If it cannot be said, the server will notice by itself.
        let _ = self.client.try_disconnect_now();
    }
}

fn client_options(settings: &Settings) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, (settings.host.clone(), settings.port));
    let packet_bytes_max = usize::try_from(settings.limits.packet_bytes_max).unwrap_or(usize::MAX);
    options
        .set_clean_session(true)
        .set_keep_alive(settings.limits.keep_alive_s)
        .set_pending_throttle(Duration::ZERO)
        .set_max_request_batch(REQUESTS_AT_ONCE)
        .set_max_packet_size(INCOMING_BYTES_MAX, packet_bytes_max)
        .set_inflight(settings.limits.in_flight_events_max);
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
    match (settings.version, &settings.tls) {
        (MqttVersion::V310, tls) => {
            let (host, tls) = (settings.host.clone(), tls.clone());
            options.set_socket_connector(move |address, network| {
                connect_310::connect(address, network, host.clone(), tls.clone())
            });
        }
        (_, Some(tls)) => {
            options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.clone())));
        }
        (_, None) => {}
    }
    options
}

/// The connection as a stream, which unlike the library's own call survives being polled now and then. It ends with the
/// connection, so that the library does not connect and send again.
fn signals(
    mut events: EventLoop,
    bounds: Bounds,
    connect_deadline: Duration,
) -> impl Stream<Item = Signal> + Send {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    // Whole seconds only; the session's own deadline is exact and comes first.
    network.set_connection_timeout(connect_deadline.as_secs() + 1);
    events.set_network_options(network);
    stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Some((Signal::Up(bounds), Some(events))),
            Ok(_) => Some((Signal::Traffic, Some(events))),
            Err(error) => Some((Signal::down(error.to_string()), None)),
        }
    })
}

fn qos(qos: MqttQos) -> QoS {
    match qos {
        MqttQos::AtMostOnce => QoS::AtMostOnce,
        MqttQos::AtLeastOnce => QoS::AtLeastOnce,
        MqttQos::ExactlyOnce => QoS::ExactlyOnce,
    }
}
